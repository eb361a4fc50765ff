"""Streams that are closed from the start or break later: they change what is shown, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import HERE, THERE, Shell
from tests.e2e.test_startup import ENVIRONMENT, SPEC

CLOSED = {
    "stdout": ">&-",
    "stderr": "2>&-",
    "stdin": "<&-",
    "both outputs": ">&- 2>&-",
    "all": "<&- >&- 2>&-",
    "full stdout": ">/dev/full",
    "full outputs": ">/dev/full 2>&1",
    "unwritable stdout": "1</dev/null",
}


def redirected(
    how: str, *words: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command with redirections of a shell."""
    script = f'exec "$@" {how}'
    return subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "ssm_reconcile", *words],
        capture_output=True, text=True, cwd=cwd, env=env or ENVIRONMENT, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


OFFLINE = {
    "help": (("--help",), 0),
    "help of a command": (("plan", "--help"), 0),
    "version": (("--version",), 0),
    "validate": (("validate",), 0),
    "validate, not valid": (("validate", "wrong.yaml"), 1),
    "schema": (("schema", "plan"), 0),
    "iam": (("iam", "plan"), 0),
    "completion": (("completion", "bash"), 0),
    "show": (("show", "wrong.yaml"), 64),
    "unknown option": (("plan", "--nope"), 64),
    "no terminal to ask on": (("apply",), 64),
}


@pytest.mark.parametrize("how", ["stdout", "stderr", "all", "full outputs"])
@pytest.mark.parametrize("case", OFFLINE)
def test_a_stream_that_cannot_be_used_does_not_change_the_exit_code(
    tmp_path: Path, case: str, how: str
) -> None:
    words, code = OFFLINE[case]
    (tmp_path / "replication.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text("version: 1\n")
    result = redirected(CLOSED[how], *words, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert "fault of ssm-reconcile" not in result.stderr


@pytest.mark.parametrize("how", CLOSED)
def test_an_apply_does_its_work_and_saves_its_report_whatever_becomes_of_its_streams(
    shell: Shell, how: str
) -> None:
    path = f"/{'-'.join(how.split())}"
    shell.path = path  # one server for all of them
    shell.put("/a", "1")
    shell.put("/b", "2")
    shell.put("/b", "not ours", THERE)
    shell.write_spec()
    result = redirected(CLOSED[how], "plan", "--out", "plan.json", cwd=shell.folder, env=shell.environment)
    assert result.returncode == 0, result.stderr
    result = redirected(
        CLOSED[how], "apply", "plan.json", "-q", "--out", "report.json",
        cwd=shell.folder, env=shell.environment,
    )  # fmt: skip
    assert result.returncode == 3, "a conflict is left"
    assert shell.report()["summary"]["applied"] == 1
    assert json.loads((shell.folder / "plan.json").read_text())["summary"]["conflict"] == 1
    assert shell.names() == {"/a": "1", "/b": "not ours"}
    result = redirected(CLOSED[how], "plan", "--detailed-exitcode", cwd=shell.folder, env=shell.environment)
    assert result.returncode == 0


ONLINE = {
    "explain": ("explain", "/a"),
    "doctor": ("doctor",),
    "init": ("init", "--source-region", HERE, "--target", THERE, "--yes", "--output", "new.yaml", "--force"),
    "detach": ("detach", "--target", THERE, "--yes"),
}


@pytest.mark.parametrize("case", ONLINE)
def test_every_command_ends_the_same_with_closed_streams(shell: Shell, case: str) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    assert shell.run("apply", "--yes", "-q").returncode == 0
    words = [f"{shell.path}/a" if word == "/a" else word for word in ONLINE[case]]
    open_code = shell.run(*words).returncode
    result = redirected(CLOSED["all"], *words, cwd=shell.folder, env=shell.environment)
    assert result.returncode == open_code


def test_a_full_disk_behind_stdout_is_reported(tmp_path: Path) -> None:
    result = redirected(">/dev/full", "schema", "plan", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == "Warning: standard output could not be written: No space left on device\n"


def test_nothing_that_is_printed_gets_into_a_file_that_took_the_place_of_stdout(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    result = redirected("<&- >&- 2>&-", "plan", "--out", "plan.json", cwd=shell.folder, env=shell.environment)
    assert result.returncode == 0
    assert json.loads((shell.folder / "plan.json").read_text())["summary"]["create"] == 1
    assert all(asked.body.lstrip().startswith((b"{", b"Action")) for asked in shell.proxy.seen)


@pytest.mark.parametrize("words", [("apply", "--yes"), ("plan",)], ids=["apply", "plan"])
def test_readers_that_go_away_do_not_change_the_exit_code(shell: Shell, words: tuple[str, ...]) -> None:
    shell.put("/a", "1")
    shell.put("/b", "not ours", THERE)
    shell.put("/b", "2")
    shell.write_spec()
    reading, writing = os.pipe()
    os.close(reading)
    process = shell.start(*words, stdout=writing, stderr=writing)
    os.close(writing)
    code = process.wait(timeout=120)
    assert code == (3 if words[0] == "apply" else 0)
    assert ("/a" in shell.names()) is (words[0] == "apply")
