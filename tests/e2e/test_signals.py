"""SIGINT and SIGTERM sent to a command, wherever it is waiting at that moment."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.doubles.command_server import ForkedProcess
from tests.e2e.aws import Asked, Meddle
from tests.e2e.conftest import HERE, THERE, Shell

SOON = 4.0
"""Seconds: the promise is two, and this machine may be busy. What hangs in these tests hangs for longer."""
GENTLE = 1.6
"""Seconds: longer than a command that only reads is given to end."""
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])


@pytest.fixture
def hung() -> threading.Event:
    """Ends what hangs when the test is over; nothing else does."""
    return threading.Event()


def hanging(operation: str, hung: threading.Event) -> Meddle:
    """A server that takes requests of one operation and never answers."""

    def meddle(asked: Asked) -> None:
        if asked.operation == operation:
            hung.wait(30)

    return meddle


def interrupted(
    shell: Shell, process: ForkedProcess, number: signal.Signals
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Send a signal; return how the process ended and after how many seconds."""
    started = time.monotonic()
    process.send_signal(number)
    return shell.ended(process), time.monotonic() - started


WAITING = {
    "plan, asking who it is": (("plan",), "GetCallerIdentity"),
    "plan, listing": (("plan",), "DescribeParameters"),
    "plan, listing tags": (("plan",), "GetResources"),
    "plan, reading values": (("plan",), "GetParameters"),
    "explain": (("explain", "/a"), "DescribeParameters"),
    "doctor": (("doctor",), "DescribeParameters"),
    "status": (("status",), "DescribeParameters"),
    "init": (("init", "--source-region", HERE, "--target", THERE, "--yes", "--force"), "DescribeParameters"),
    "event, before it writes": (("event", "event.json"), "GetParameters"),
    "detach, before it writes": (("detach", "--target", THERE, "--yes"), "DescribeParameters"),
    "apply, before it writes": (("apply", "--yes"), "DescribeParameters"),
}


@BOTH
@pytest.mark.parametrize("case", WAITING)
def test_a_signal_ends_a_hung(shell: Shell, hung: threading.Event, case: str, number: signal.Signals) -> None:
    words, operation = WAITING[case]
    shell.put("/a", "1")
    shell.write_spec()
    path = f"{shell.path}/a"
    event = (
        '{"source": "aws.ssm", "detail-type": "Parameter Store Change", "account": "123456789012",'
        f' "region": "{HERE}", "time": "2026-01-01T00:00:00Z", "resources": [],'
        f' "detail": {{"operation": "Update", "name": "{path}", "type": "String"}}}}'
    )
    (shell.folder / "event.json").write_text(event)
    shell.proxy.meddle = hanging(operation, hung)
    process = shell.start(*(path if word == "/a" else word for word in words), start_new_session=True)
    shell.proxy.wait_for(operation, 1)
    result, seconds = interrupted(shell, process, number)
    hung.set()
    assert result.returncode == 130, result.stderr
    assert seconds < SOON
    assert "Interrupted." in result.stderr
    assert shell.proxy.count("PutParameter") == 0


@BOTH
def test_a_signal_ends_a_publish_that_waits_for_github(shell: Shell, number: signal.Signals) -> None:
    shell.write_spec()
    assert shell.run("plan", "--out", "plan.json", "-q").returncode == 0
    (shell.folder / "event.json").write_text('{"pull_request": {"number": 7, "head": {"sha": "0"}}}')
    with socket.create_server(("127.0.0.1", 0)) as github:
        github.settimeout(30)
        url = f"http://127.0.0.1:{github.getsockname()[1]}"
        env: dict[str, str | None] = {
            "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "a-token", "GITHUB_API_URL": url,
            "GITHUB_REPOSITORY": "acme/parameters", "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": "event.json", "GITHUB_SHA": "1" * 40, "GITHUB_REF": "refs/pull/7/merge",
        }  # fmt: skip
        process = shell.start("publish", "plan.json", env=env, start_new_session=True)
        connection, _ = github.accept()
        result, seconds = interrupted(shell, process, number)
        connection.close()
    assert result.returncode == 130, result.stderr
    assert seconds < SOON


@BOTH
def test_a_signal_ends_a_wait_for_rates(shell: Shell, number: signal.Signals) -> None:
    for each in range(12):
        shell.put(f"/{each}", "1")
    spec = shell.write_spec()
    spec.write_text(spec.read_text().replace("describe: 50", "describe: 0.01"))
    process = shell.start("plan", start_new_session=True)
    shell.proxy.wait_for("DescribeParameters", 2)  # one page of each place; the next ones wait for minutes
    result, seconds = interrupted(shell, process, number)
    assert result.returncode == 130
    assert seconds < SOON


@BOTH
def test_a_signal_ends_a_read_of_the_spec(shell: Shell, number: signal.Signals) -> None:
    process = shell.start("validate", "-", stdin=subprocess.PIPE, start_new_session=True)
    time.sleep(1)  # nothing to be seen from outside: it reads
    result, seconds = interrupted(shell, process, number)
    assert result.returncode == 130
    assert seconds < SOON


@BOTH
def test_a_signal_lets_an_apply_finish_a_write(
    shell: Shell, hung: threading.Event, number: signal.Signals
) -> None:
    for each in range(12):
        shell.put(f"/{each}", "1")
    shell.write_spec()
    shell.proxy.meddle = hanging("PutParameter", hung)
    process = shell.start(
        "apply", "--yes", "--parallelism", "1", "--out", "report.json", start_new_session=True
    )
    shell.proxy.wait_for("PutParameter", 1)
    process.send_signal(number)
    read = shell.proxy.count("GetParameters")
    time.sleep(GENTLE)
    assert process.poll() is None, "a write in flight is waited for"
    hung.set()
    result = shell.ended(process)
    assert result.returncode == 130
    assert shell.proxy.count("PutParameter") == 1
    assert shell.proxy.count("GetParameters") == read, "no verification begins after the signal"
    assert shell.report()["summary"] == {
        "applied": 1, "failed": 0, "stale": 0, "withheld": 0, "not_attempted": 11,
    }  # fmt: skip
    assert len(shell.names()) == 1


def test_a_signal_lets_a_detach_finish_a_write(shell: Shell, hung: threading.Event) -> None:
    for each in range(12):
        shell.put(f"/{each}", "1")
    shell.write_spec()
    assert shell.run("apply", "--yes", "-q").returncode == 0
    shell.proxy.meddle = hanging("AddTagsToResource", hung)
    process = shell.start("detach", "--target", THERE, "--yes", "--parallelism", "1", start_new_session=True)
    shell.proxy.wait_for("AddTagsToResource", 1)
    listed = shell.proxy.count("DescribeParameters")
    process.send_signal(signal.SIGTERM)
    time.sleep(GENTLE)
    assert process.poll() is None
    hung.set()
    result = shell.ended(process)
    assert result.returncode == 130
    assert shell.proxy.count("AddTagsToResource") == 1
    assert shell.proxy.count("DescribeParameters") == listed, "no second listing begins after the signal"


def probing(shell: Shell) -> ForkedProcess:
    given = ("--probe", shell.path, "--account", "123456789012", "--yes-write-here")
    return shell.start("doctor", *given, env={"AWS_DEFAULT_REGION": THERE}, start_new_session=True)


@BOTH
def test_a_signal_lets_a_probe_clean_up(shell: Shell, hung: threading.Event, number: signal.Signals) -> None:
    shell.proxy.meddle = hanging("GetResources", hung)
    process = probing(shell)
    shell.proxy.wait_for("GetResources", 1)
    assert len(shell.names()) == 1
    process.send_signal(number)
    time.sleep(GENTLE)
    assert process.poll() is None, "the call in flight is waited for"
    hung.set()
    result = shell.ended(process)
    assert result.returncode == 130, result.stderr
    assert "Cleaned up: nothing of this run remains." in result.stdout
    assert shell.names() == {}


def test_a_second_signal_ends_a_clean_up_and_the_next_probe_waits_for_ten_minutes(
    shell: Shell, hung: threading.Event
) -> None:
    stopped = threading.Event()

    def meddle(asked: Asked) -> None:
        if asked.operation == "GetResources" or (asked.operation == "DeleteParameters" and stopped.is_set()):
            stopped.wait(30) if asked.operation == "GetResources" else hung.wait(30)

    shell.proxy.meddle = meddle
    process = probing(shell)
    shell.proxy.wait_for("GetResources", 1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    deletes = shell.proxy.count("DeleteParameters")
    stopped.set()
    shell.proxy.wait_for("DeleteParameters", deletes + 1)
    result, seconds = interrupted(shell, process, signal.SIGINT)
    assert (result.returncode, seconds < SOON) == (130, True)
    (left,) = shell.names()
    assert f"1 parameter may remain:\n  {shell.path}{left}\n" in result.stderr
    refused = shell.ended(probing(shell))
    assert refused.returncode == 64
    assert "another probe may be running" in " ".join(refused.stderr.split())
    assert list(shell.names()) == [left]
    hung.set()


def apply_until_credentials_end(shell: Shell, seconds: float) -> subprocess.CompletedProcess[str]:
    """Apply; the last five minutes of the credentials begin after so many seconds, in the first write."""
    stop = datetime.now(UTC) + timedelta(seconds=seconds)

    def meddle(asked: Asked) -> None:
        if asked.operation == "PutParameter":
            time.sleep(max(0.0, (stop - datetime.now(UTC)).total_seconds() + 0.2))

    shell.proxy.meddle = meddle
    session: dict[str, str | None] = {
        "AWS_SESSION_TOKEN": "testing",
        "AWS_CREDENTIAL_EXPIRATION": (stop + timedelta(minutes=5)).isoformat(),
    }
    return shell.run("apply", "--yes", "--parallelism", "1", "--out", "report.json", env=session)


def test_an_apply_stops_five_minutes_before_its_session_credentials_end(shell: Shell) -> None:
    for each in range(12):
        shell.put(f"/{each}", "1")
    shell.write_spec()
    result = apply_until_credentials_end(shell, 3)
    if shell.proxy.count("PutParameter") == 0:  # on a busy machine, the plan takes longer
        result = apply_until_credentials_end(shell, 20)
    assert result.returncode == 130, result.stderr
    assert shell.proxy.count("PutParameter") == 1, "the write in flight is finished"
    assert (shell.report()["summary"]["applied"], shell.report()["summary"]["not_attempted"]) == (1, 11)
    assert "credentials-end" in {finding["code"] for finding in shell.report()["findings"]}
    assert "Stopped five minutes before the credentials end" in result.stderr
    assert shell.run("apply", "--yes").returncode == 0
    assert len(shell.names()) == 12


def test_session_credentials_that_have_ended_are_refused_before_a_call(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    session: dict[str, str | None] = {
        "AWS_SESSION_TOKEN": "testing", "AWS_CREDENTIAL_EXPIRATION": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    result = shell.run("apply", "--yes", env=session)
    assert result.returncode == 1
    assert "get new credentials" in result.stderr
    assert shell.proxy.seen == []
