"""`status` in the world of each case: the states are the rows of the plan, and no value is read."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.change import Row
from tests.cases import steps
from tests.cases.test_cases import FOLDERS, Cli, case_of, cli

__all__ = ["cli"]
SCHEMA = Path(__file__).parents[2] / "schema" / "status.schema.json"
VALUE_READS = {"GetParameter", "GetParameters", "GetParameterHistory"}
BY_VALUE = {Row.ADOPT, Row.CONFLICT, Row.UPDATE, Row.RETAG, Row.IN_SYNC, Row.INVALID}
"""Rows that a plan may find where `status` says `unproven`."""
NARROWING = {"--only", "--target", "--name"}


@lru_cache
def schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


def narrowing(flags: tuple[str, ...]) -> list[str]:
    """Return the flags of a case that `status` has, too."""
    return [word for pair in pairwise(flags) if pair[0] in NARROWING for word in pair]


def rows(plan: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    return {
        (one["replication"], one["target"], one["name"]): one["row"]
        for one in (*plan["changes"], *plan["others"])
    }


@pytest.mark.parametrize("cli", FOLDERS, indirect=True, ids=lambda folder: folder.name)
def test_each_state_is_the_row_of_a_plan_or_what_its_values_decide(cli: Cli) -> None:
    case = case_of(cli.folder)
    cli.arrange(Path("replication.yaml"))
    steps.break_down(cli.aws, cli.content, "plan")
    planned = cli.run("plan", "-q", "--format", "json", *case.flags)
    steps.break_down(cli.aws, cli.content, "plan")
    ran = cli.run("status", "-q", "--format", "json", *narrowing(case.flags))
    assert {call.operation for call in cli.aws.world.traffic.calls} & VALUE_READS == set()
    if not planned.out:
        assert (ran.code, ran.out) == (planned.code, "")
        return
    status = cli.document(ran)
    assert list(schema().iter_errors(status)) == []
    assert ran.code == (0 if cli.document(planned)["complete"] else 3)
    known = rows(cli.document(planned))
    for one in status["replicas"]:
        address = (one["replication"], one["target"], one["name"])
        row, state = known.pop(address, "in_sync"), one["state"]
        expected = {row}
        if row in BY_VALUE:
            expected.add("unproven")
        if row == Row.INVALID:
            expected |= {"create", "replace"}  # only its value shows that the target cannot hold it
        if "--verify-values" in case.flags:
            expected.add("in_sync")  # versions prove it; a forged record is found by its value only
        if row == Row.IN_SYNC:
            expected.add("excluded")  # a plan does not list it either
        assert state in expected, f"{address} is {state} in the status and {row} in the plan"
    assert known == {}, "addresses that only the plan has"
    for secret in steps.secrets(cli.aws):
        assert secret not in ran.out + ran.err


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
