"""`status` in the worlds of the cases; test_cases.py compares its states with the plan of each case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_reconcile.change import Row
from tests.cases.states import narrowing
from tests.cases.test_cases import FOLDERS, Cli, case_of


@pytest.mark.parametrize("row", [row for row in Row if row is not Row.UNDONE])
def test_every_row_is_a_state_of_its_case(row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only values prove that a parameter can be adopted: `adopt` is `unproven`."""
    monkeypatch.chdir(tmp_path)
    state = "unproven" if row is Row.ADOPT else row.value
    found: set[str] = set()
    for folder in (folder for folder in FOLDERS if row.value in case_of(folder).rows):
        cli = Cli(folder)
        cli.aws.connect_command_line(monkeypatch)
        Path("replication.yaml").write_text((folder / "spec.yaml").read_text())
        cli.arrange(Path("replication.yaml"))
        ran = cli.run("status", "-q", "--format", "json", *narrowing(case_of(folder).flags))
        found |= {one["state"] for one in json.loads(ran.out or '{"replicas": []}')["replicas"]}
        if state in found:
            return
    raise AssertionError(f"no case has the state {state}: {found}")
