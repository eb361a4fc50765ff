"""Streams that are closed from the start or break later: they change what is shown, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.renderers.escaping import dumps
from tests.doubles import command_server
from tests.doubles.command_server import CommandServer
from tests.e2e.conftest import HERE, THERE, Shell
from tests.e2e.test_startup import ENVIRONMENT, SPEC
from tests.unit.renderers import plans

CLOSED: dict[str, dict[str, int | str]] = {
    "stdout": {"stdout": command_server.CLOSED},
    "stderr": {"stderr": command_server.CLOSED},
    "stdin": {"stdin": command_server.CLOSED},
    "both outputs": {"stdout": command_server.CLOSED, "stderr": command_server.CLOSED},
    "all": {
        "stdin": command_server.CLOSED,
        "stdout": command_server.CLOSED,
        "stderr": command_server.CLOSED,
    },
    "full stdout": {"stdout": "/dev/full"},
    "full outputs": {"stdout": "/dev/full", "stderr": "/dev/full"},
    "unwritable stdout": {"stdout": "/dev/null"},
}
"""The streams that cannot be used: closed, a file that is full, or one that is open for reading."""


def redirected(
    commands: CommandServer, how: str, *words: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command with streams that cannot be used."""
    with ExitStack() as opened:
        streams: dict[str, Any] = {}
        for name, given in CLOSED[how].items():
            if isinstance(given, str):
                file = opened.enter_context(Path(given).open("rb" if given == "/dev/null" else "wb"))
                streams[name] = file.fileno()
            else:
                streams[name] = given
        process = commands.start("ssm-reconcile", words, cwd=cwd, env=env or ENVIRONMENT, **streams)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err or "")


def in_shell(
    how: str, *words: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a fresh interpreter with redirections of a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {how}', "sh", sys.executable, "-m", "ssm_reconcile", *words],
        capture_output=True, text=True, cwd=cwd, env=env or ENVIRONMENT, timeout=120, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


OFFLINE = {
    "help": (("--help",), 0),
    "help of a command": (("plan", "--help"), 0),
    "version": (("--version",), 0),
    "validate": (("validate",), 0),
    "validate, not valid": (("validate", "wrong.yaml"), 1),
    "show": (("show", "wrong.yaml"), 64),
    "unknown option": (("plan", "--nope"), 64),
    "no terminal to ask on": (("apply",), 64),
}


@pytest.mark.parametrize("how", ["stdout", "stderr", "all", "full outputs"])
@pytest.mark.parametrize("case", OFFLINE)
def test_a_stream_that_cannot_be_used_does_not_change_the_exit_code(
    commands: CommandServer, tmp_path: Path, case: str, how: str
) -> None:
    words, code = OFFLINE[case]
    (tmp_path / "replication.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text("version: 1\n")
    result = redirected(commands, how, *words, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert "fault of ssm-reconcile" not in result.stderr


PRINTING = {
    "schema": ("schema", "plan"),
    "policy": ("iam", "plan"),
    "stack": ("iam", "stack", "--github", "acme/params"),
    "completion": ("completion", "bash"),
    "help of a command": ("help", "plan"),
    "settings": ("init", "--github", "acme/params", "--ref", "0" * 40, "--force", "--account", "1" * 12),
    "plan": ("show", "plan.json"),
}


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("stdout", "it is closed"), ("full stdout", "No space left on device"), ("all", ""),
        ("unwritable stdout", "Bad file descriptor"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("case", PRINTING)
def test_a_command_that_only_prints_fails_if_its_output_is_lost(
    commands: CommandServer, tmp_path: Path, case: str, how: str, reason: str
) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    (tmp_path / "plan.json").write_text(dumps(plans.document_of(plans.twelve())))
    result = redirected(commands, how, *PRINTING[case], cwd=tmp_path)
    assert result.returncode == 1
    if reason:
        assert f"Error: standard output could not be written: {reason}\n" in result.stderr
        assert "What to do: run the command again with standard output to a file" in result.stderr
        assert "Warning" not in result.stderr


def test_an_output_whose_reader_went_away_is_not_lost(commands: CommandServer, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = commands.start(
        "ssm-reconcile", ("schema", "plan"), cwd=tmp_path, env=ENVIRONMENT, stdout=writing
    )
    os.close(writing)
    _, errors = process.communicate(timeout=120)
    assert (process.wait(), errors) == (0, "")


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

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return redirected(shell.commands, how, *words, cwd=shell.folder, env=shell.environment)

    result = run("plan", "--out", "plan.json")
    assert result.returncode == 0, result.stderr
    result = run("apply", "plan.json", "-q", "--out", "report.json")
    assert result.returncode == 3, "a conflict is left"
    assert shell.report()["summary"]["applied"] == 1
    assert json.loads((shell.folder / "plan.json").read_text())["summary"]["conflict"] == 1
    assert shell.names() == {"/a": "1", "/b": "not ours"}
    assert run("plan", "--detailed-exitcode").returncode == 0


ONLINE = {
    "explain": ("explain", "/a"),
    "doctor": ("doctor",),
    "status": ("status",),
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
    result = redirected(shell.commands, "all", *words, cwd=shell.folder, env=shell.environment)
    assert result.returncode == (open_code or int(case in PRINTING_ONLINE))


PRINTING_ONLINE = {"explain", "status"}


def test_a_full_disk_behind_stdout_is_reported(tmp_path: Path) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    result = in_shell(">/dev/full", "validate", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == "Warning: standard output could not be written: No space left on device\n"


def test_nothing_that_is_printed_gets_into_a_file_that_took_the_place_of_stdout(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    words = ("plan", "--out", "plan.json")
    # A fresh interpreter starts without streams; the other tests fork one that has them.
    result = in_shell("<&- >&- 2>&-", *words, cwd=shell.folder, env=shell.environment)
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
