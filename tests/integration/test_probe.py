"""`doctor --probe` from the command line to moto: every request is one that boto3 and AWS's rules accept."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner, Result

from ssm_reconcile.cli import command_run, root
from ssm_reconcile.doctor import probe_rates
from tests.doubles.clock import FakeClock
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.behaviour import AwsBehaviour, Duplicates, InPlace, ListSpaces, Match, Moves, Omitted
from tests.fake_aws.probed import InlineExecutor

ACCOUNT = "123456789012"
READINGS = {
    "default": (AwsBehaviour(), {
        "type-change": "allowed", "pattern-omitted": "kept", "list-spaces": "stripped",
        "duplicate-names": "refused", "tags-move-modified": "no", "recreate": "refused",
    }),
    "other": (
        AwsBehaviour(
            type_change=InPlace.REFUSED, pattern_omitted=Omitted.RESET, list_spaces=ListSpaces.KEPT,
            pattern_match=Match.ANYWHERE, duplicate_names=Duplicates.ONCE, tags_move_modified=Moves.YES,
        ),
        {
            "type-change": "refused", "pattern-omitted": "reset", "list-spaces": "kept",
            "pattern-match": "anywhere", "duplicate-names": "once", "tags-move-modified": "yes",
        },
    ),
}  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeClock:
    """Credentials, a region, no spec, a clock that does not wait, and short steps: moto has no quotas."""
    found = FakeClock()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setattr(probe_rates, "UP_SECONDS", 0.3)
    monkeypatch.setattr(probe_rates, "TOP_SECONDS", 0.5)
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", InlineExecutor)
    monkeypatch.setattr(command_run, "SystemClock", lambda *_: found)
    return found


def run(*words: str) -> Result:
    given = ("doctor", "--probe", "/probe", "--account", ACCOUNT, "--yes-write-here", *words)
    return CliRunner().invoke(root, given)


def names() -> list[str]:
    pages = boto3.client("ssm", region_name="us-east-2").get_paginator("describe_parameters").paginate()
    return [one["Name"] for page in pages for one in page["Parameters"]]


@pytest.mark.parametrize("case", READINGS)
def test_a_probe_of_moto_answers_by_its_rules_and_leaves_nothing(clock: FakeClock, case: str) -> None:
    behaviour, expected = READINGS[case]
    with StrictMoto(behaviour, clock=clock):
        boto3.client("ssm", region_name="us-east-2").put_parameter(Name="/prod/a", Value="v", Type="String")
        result = run("--format", "json", "-q")
        assert result.exit_code == 0, result.output
        assert names() == ["/prod/a"]
    found = json.loads(result.stdout)
    answers = {one["id"]: one["answer"] for one in found["facts"]}
    assert {fact: answers[fact] for fact in expected} == expected
    assert answers["resources-lag"] == "listed"
    assert {one["class"]: one["is_limit"] for one in found["rates"]} == dict.fromkeys(
        ("list_tags", "describe", "put", "tags", "delete"), False
    )
    assert min(one["calls"] for one in found["rates"]) > 20


def test_another_account_is_refused_on_moto(clock: FakeClock) -> None:
    with StrictMoto(clock=clock):
        given = ("doctor", "--probe", "/probe", "--account", "210987654321", "--yes-write-here")
        result = CliRunner().invoke(root, given)
        assert (result.exit_code, names()) == (64, [])


def test_leftovers_on_moto_are_deleted_and_other_parameters_refuse_the_path(clock: FakeClock) -> None:
    tags = [{"Key": "ssm-reconcile:probe", "Value": "0123456789ab"}]
    with StrictMoto(clock=clock):
        ssm = boto3.client("ssm", region_name="us-east-2")
        for number in range(23):
            ssm.put_parameter(
                Name=f"/probe/0123456789ab/put/{number}",
                Value="v",
                Type="String",
                Tags=tags,  # type: ignore[arg-type]  # plain data
            )
        assert (run().exit_code, len(names())) == (64, 23), "another probe may be running"
        clock.advance(timedelta(minutes=10))
        result = run("--format", "json", "-q")
        assert (result.exit_code, json.loads(result.stdout)["leftovers"], names()) == (0, 23, [])
        ssm.put_parameter(Name="/probe/mine", Value="v", Type="String")
        assert (run().exit_code, names()) == (64, ["/probe/mine"])
