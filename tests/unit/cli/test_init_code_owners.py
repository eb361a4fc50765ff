"""`init --github`: the entries of CODEOWNERS."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_reconcile.init.github import WORKFLOW
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_init_github import INIT, OWNERS


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (OWNERS, "", ["/replication.yaml @acme/ops @bob", "/.github/ @acme/ops @bob"]),
        (OWNERS, "* @all\n", ["* @all", "/replication.yaml @acme/ops @bob", "/.github/ @acme/ops @bob"]),
        (OWNERS, "* @all", ["* @all", "/replication.yaml @acme/ops @bob", "/.github/ @acme/ops @bob"]),
        (
            OWNERS, "/replication.yaml @acme/ops @bob\n/.github/ @acme/ops @bob\n*.md @all\n",
            ["/replication.yaml @acme/ops @bob", "/.github/ @acme/ops @bob", "*.md @all"],
        ),
        (
            OWNERS, "/.github/ @acme/ops @bob\n/replication.yaml @acme/ops @bob\n*.yml @all\n",
            ["/.github/ @acme/ops @bob", "/replication.yaml @acme/ops @bob", "*.yml @all",
             "/.github/ @acme/ops @bob"],
        ),
        (
            OWNERS, "/replication.yaml @carol\n/.github/ @acme/ops @bob\n",
            ["/replication.yaml @carol", "/.github/ @acme/ops @bob", "/replication.yaml @acme/ops @bob"],
        ),
        (
            "CODEOWNERS", "* @all\n",
            ["* @all", "/replication.yaml @acme/ops @bob", "/.github/ @acme/ops @bob",
             "/CODEOWNERS @acme/ops @bob"],
        ),
    ],
)  # fmt: skip
def test_owners_are_appended_once_and_decide(
    repository: Path, cli: Cli, path: str, before: str, after: list[str]
) -> None:
    if before:
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(before)
    words = (*INIT, "--code-owner", "@acme/ops", "--code-owner", "bob", "--code-owner", "@bob")
    for _ in range(2):
        assert cli(*words).exit_code == 0
        lines = Path(path).read_text().splitlines()
        assert [line for line in lines if line and not line.startswith("#")] == after
    assert f"Unchanged: {path}" in cli(*words).stderr
    assert len([name for name in (OWNERS, "CODEOWNERS") if Path(name).exists()]) == 1


def test_a_line_that_no_longer_decides_is_noted(repository: Path, cli: Cli) -> None:
    Path("CODEOWNERS").write_text("* @all\n/replication.yaml @carol # x\n*.md @docs\n/.github/ @bob\n")
    words = (*INIT, "--code-owner", "@bob")
    notes = [line for line in cli(*words).stderr.splitlines() if "no longer decides" in line]
    end = "no longer decides for the files of the new lines."
    assert notes == [
        f"Note: CODEOWNERS: `{line}` {end}" for line in ("/replication.yaml @carol # x", "* @all")
    ]
    assert "no longer decides" not in cli(*words).stderr


def test_code_owners_that_github_would_not_read_are_refused_and_not_cut(repository: Path, cli: Cli) -> None:
    Path(OWNERS).parent.mkdir()
    new = "\n# The spec of ssm-reconcile, and the workflows. The last line that matches a file decides.\n"
    new += "/replication.yaml @bob\n/.github/ @bob\n"
    text = ""
    for length in (3_000_001, 3_000_001 - len(new)):
        text = "#" * (length - 1) + "\n"
        Path(OWNERS).write_text(text)
        result = cli(*INIT, "--code-owner", "@bob")
        assert result.exit_code == 64
        assert f"{OWNERS} has 3,000,001 bytes, and GitHub reads at most 3,000,000" in result.stderr
        assert Path(OWNERS).read_text() == text
        assert not Path(WORKFLOW).exists()
    Path(OWNERS).write_text(text[1:])
    assert cli(*INIT, "--code-owner", "@bob").exit_code == 0
    assert Path(OWNERS).read_text() == text[1:] + new


def test_code_owners_keep_the_ends_of_their_lines(repository: Path, cli: Cli) -> None:
    Path("CODEOWNERS").write_bytes(b"* @all\r\n")
    for word in ("Wrote", "Unchanged:"):
        assert f"{word} CODEOWNERS" in cli(*INIT, "--code-owner", "@bob").stderr
        found = Path("CODEOWNERS").read_bytes()
        assert found.count(b"\r\n") == found.count(b"\n") == 6
