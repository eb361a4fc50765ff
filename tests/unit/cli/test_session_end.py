"""The end of the credentials: an apply stops five minutes before it, and does not begin after that."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.cli.session_end import VARIABLE, read_end
from ssm_reconcile.errors import UsageError
from ssm_reconcile.stores.base import Put
from tests.doubles.clock import NOON, FakeClock
from tests.fake_aws.store import MemoryStore
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

SESSION = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c"}
ONE = ("apply", "--yes", "--target", "us-east-2", "--parallelism", "1", "--out", "report.json")


@pytest.fixture
def clock(aws: SimulatedAws, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """Session credentials that end an hour after noon; it is noon."""
    found = FakeClock()
    monkeypatch.setattr(command_run, "SystemClock", lambda _stop: found)
    for name, value in SESSION.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(VARIABLE, "2026-11-23T13:00:00Z")
    return found


@pytest.fixture
def slow_writes(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were written to the targets, each in 28 minutes."""
    written: list[str] = []
    write = MemoryStore.put

    def put(store: MemoryStore, request: Put) -> int:
        written.append(request.name)
        clock.advance(timedelta(minutes=28))
        return write(store, request)

    monkeypatch.setattr(MemoryStore, "put", put)
    return written


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("report.json").read_text())
    return found


def test_an_apply_stops_five_minutes_before_the_credentials_end(
    aws: SimulatedAws, slow_writes: list[str], cli: Cli
) -> None:
    result = cli(*ONE)
    assert result.exit_code == 130
    assert len(slow_writes) == 2, "the second write ends at 12:56"
    assert sorted(slow_writes) == aws.names("us-east-2")
    assert report()["interrupted"]
    assert (report()["summary"]["applied"], report()["summary"]["not_attempted"]) == (2, 1)
    (found,) = [one for one in report()["findings"] if one["code"] == "credentials-end"]
    message = "stopped five minutes before the credentials end at 2026-11-23 13:00 UTC: run it again"
    assert found["message"] == message
    assert message.capitalize() in result.stderr


def test_the_next_run_with_new_credentials_applies_the_rest(
    aws: SimulatedAws, slow_writes: list[str], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli(*ONE)
    monkeypatch.setenv(VARIABLE, "2026-11-23T14:00:00Z")
    assert cli(*ONE).exit_code == 0
    assert len(aws.names("us-east-2")) == 3
    assert not report()["findings"]


@pytest.mark.parametrize("minutes", [55, 57, 60, 90])
def test_an_apply_does_not_begin_in_the_last_five_minutes(
    aws: SimulatedAws, clock: FakeClock, cli: Cli, minutes: int
) -> None:
    clock.advance(timedelta(minutes=minutes))
    result = cli(*ONE)
    assert result.exit_code == 1
    word = "ended" if minutes >= 60 else "end in less than five minutes,"
    assert f"the credentials {word} at 2026-11-23 13:00 UTC: nothing was changed" in result.stderr
    assert "get new credentials, and run it again" in result.stderr
    assert report()["findings"][0]["code"] == "credentials-end"
    assert aws.names("us-east-2") == []


def test_an_apply_does_not_write_if_the_plan_took_until_the_last_minutes(
    aws: SimulatedAws, clock: FakeClock, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    plan = command_run.Runner.plan

    def plan_slowly(runner: command_run.Runner, *given: Any) -> Any:
        clock.advance(timedelta(minutes=56))
        return plan(runner, *given)

    monkeypatch.setattr(command_run.Runner, "plan", plan_slowly)
    result = cli("apply", "plan.json", "--out", "report.json")
    assert result.exit_code == 1
    assert {one["outcome"] for one in report()["outcomes"]} == {"not_attempted"}
    assert aws.names("us-east-2") == []


@pytest.mark.parametrize("removed", [VARIABLE, "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"])
def test_credentials_without_a_known_end_stop_nothing(
    aws: SimulatedAws, slow_writes: list[str], cli: Cli, monkeypatch: pytest.MonkeyPatch, removed: str
) -> None:
    monkeypatch.delenv(removed)
    assert cli(*ONE).exit_code == 0
    assert len(slow_writes) == 3


def test_a_profile_renews_its_credentials_whatever_the_environment_holds(
    aws: SimulatedAws, slow_writes: list[str], cli: Cli
) -> None:
    assert cli(*ONE, "--profile", "prod").exit_code == 0
    assert len(slow_writes) == 3


@pytest.mark.parametrize("text", ["soon", "2026-11-23T13:00:00"])
def test_a_text_that_is_not_a_time_with_a_zone_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="ISO 8601 with a zone"):
        read_end({**SESSION, VARIABLE: text}, None)


def test_the_end_is_read_in_the_form_of_the_aws_cli() -> None:
    assert read_end({**SESSION, VARIABLE: "2026-11-23T13:00:00+01:00"}, None) == NOON
