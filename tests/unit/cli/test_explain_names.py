"""`explain` with several names and globs: one listing of each place, each address once, `--short`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ssm_reconcile.cli.explain import MOST_NAMES
from ssm_reconcile.errors import Trouble
from ssm_reconcile.explain import remedies
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import ReplicationPlan
from tests.fake_aws.traffic import refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, SPEC
from tests.unit.cli.test_explain import run_printed, states

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli


@pytest.fixture
def rows(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Parameters in many rows of us-east-2, and one there that is not the concern of the spec."""
    states(aws, cli)
    aws.put("/app/stranger", "v", region="us-east-2")
    aws.world.traffic.forget()
    return aws


def explanations(cli: Cli, *words: str) -> list[dict[str, Any]]:
    result = cli("explain", *words, "--target", "us-east-2", "--format", "json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)["explanations"]
    return found


def test_a_glob_selects_names_of_the_source_and_replicas(rows: SimulatedAws, cli: Cli) -> None:
    found = {one["name"]: one["row"] for one in explanations(cli, "/app/**")}
    assert found == {
        "/app/adopt": "adopt",
        "/app/conflict": "conflict",
        "/app/gone": "delete",
        "/app/hosts": "kept_out",
        "/app/key": "in_sync",
        "/app/new": "create",
        "/app/orphan": "orphan",
        "/app/url": "update",
    }


def test_each_name_is_explained_once_in_each_target(rows: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/url", "/app/u*", "/app/url", "--format", "json")
    found = [(one["name"], one["target"]) for one in json.loads(result.stdout)["explanations"]]
    assert found == [("/app/url", "us-east-2"), ("/app/url", "eu-west-1")]


@pytest.mark.parametrize(
    "name", ["adopt", "conflict", "gone", "hosts", "key", "new", "orphan", "url", "nothing"]
)
def test_an_explanation_is_that_of_the_name_alone(rows: SimulatedAws, cli: Cli, name: str) -> None:
    alone = explanations(cli, f"/app/{name}")
    assert [one for one in explanations(cli, "/app/k*", f"/app/{name}") if one in alone] == alone


def test_a_replica_without_a_source_is_explained_in_its_target_only(rows: SimulatedAws, cli: Cli) -> None:
    found = json.loads(cli("explain", "/app/gon*", "--format", "json").stdout)["explanations"]
    assert [(one["target"], one["row"]) for one in found] == [("us-east-2", "delete")]


def test_a_glob_selects_an_address_where_a_rewrite_places_a_replica(aws: SimulatedAws, cli: Cli) -> None:
    rule = '{ match: "/app/us-east-1/*", in: name, from: us-east-1, to: "{target.region}" }'
    Path("replication.yaml").write_text(f"{SPEC}rewrite: [{rule}]\n")
    aws.put("/app/us-east-1/url", "v")
    found = json.loads(cli("explain", "/app/eu-west-1/*", "--format", "json").stdout)["explanations"]
    assert [(one["name"], one["target"], one["row"]) for one in found] == [
        ("/app/eu-west-1/url", "eu-west-1", "create")
    ]


def test_a_glob_lists_each_place_once_and_reads_no_name_by_itself(rows: SimulatedAws, cli: Cli) -> None:
    def calls(*words: str) -> Counter[str]:
        rows.world.traffic.forget()
        assert cli("explain", *words, "-q").exit_code == 0
        return Counter(call.operation for call in rows.world.traffic.calls)

    planned = calls("/app/u*")
    rows.world.traffic.forget()
    assert cli("plan", "-q").exit_code == 0
    assert planned == Counter(call.operation for call in rows.world.traffic.calls)
    assert calls("/app/**", "/app/url", "/app/nothing") == planned
    assert planned["DescribeParameters"] == 3


def test_quick_reads_the_values_of_the_names_only(rows: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/u*", "--quick")
    assert "guards that count all changes were not applied (--quick)" in result.stderr
    read = {
        name for call in rows.world.traffic.calls if call.operation == "GetParameters" for name in call.names
    }
    assert read == {"/app/url"}


def test_guards_judge_all_changes(aws: SimulatedAws, cli: Cli) -> None:
    for number in range(20):
        aws.put(f"/app/{number:02}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    for number in range(12):
        aws.delete(f"/app/{number:02}")
    (one,) = explanations(cli, "/app/03*")
    assert one["plan"] == ["delete, withheld by a guard"]
    assert one["remedies"][0] == "to apply it: `ssm-reconcile apply --target us-east-2 --max-deletes 12`"


def test_changes_that_are_withheld_alike_are_judged_once(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        aws.put(f"/app/{number:02}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    for number in range(30):
        aws.put(f"/app/{number:02}", "changed")
    judged: list[int] = []

    def judge(part: ReplicationPlan, rules: GuardRules) -> ReplicationPlan:
        judged.append(len(part.changes))
        return withhold_changes(part, rules)

    monkeypatch.setattr(remedies, "withhold_changes", judge)
    lines = cli("explain", "/app/*", "--short", "--target", "us-east-2").stdout.splitlines()
    assert sum("--max-change-percent 91`" in line for line in lines) == 30
    assert judged == [30]


# --short, and limits


def test_short_is_one_line_for_each_name_and_target(rows: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/new", "/app/key", "/app/nothing", "--short", "--target", "us-east-2")
    line = "ssm-reconcile apply --target us-east-2 --only /app/new"
    assert result.stdout.splitlines() == [
        f"/app/new      us-east-2  create   create   to create it now: `{line}`",
        "/app/key      us-east-2  in_sync  nothing  it is in sync (proven by versions, without reading it)",
        "/app/nothing  us-east-2  -        nothing  check the spelling: names are case-sensitive",
    ]


def test_short_of_one_name_is_its_line(rows: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/new", "--short")
    assert len(result.stdout.splitlines()) == 2


def test_too_many_names_need_a_narrower_glob_or_short_lines(aws: SimulatedAws, cli: Cli) -> None:
    for number in range(MOST_NAMES + 1):
        aws.put(f"/app/many/{number:03}", "v")
    aws.world.traffic.forget()
    result = cli("explain", "/app/many/*")
    assert (result.exit_code, result.stdout) == (64, "")
    assert "101 names match, and at most 100 are explained in full" in result.stderr
    assert "use --short" in result.stderr
    assert "GetParameters" not in {call.operation for call in aws.world.traffic.calls}
    assert len(cli("explain", "/app/many/*", "--short").stdout.splitlines()) == 202
    assert cli("explain", "/app/many/00*").exit_code == 0


def test_a_glob_that_matches_nothing_is_wrong_usage(rows: SimulatedAws, cli: Cli) -> None:
    result = cli("explain", "/app/url", "/ap/*")
    assert (result.exit_code, result.stdout) == (64, "")
    assert "did you mean `'/app/*'`?" in result.stderr
    assert cli("explain", "/app/stran*").exit_code == 64, "a parameter of others is not named"
    assert cli("explain", "/app/**x").exit_code == 64
    assert cli("explain").exit_code == 64


def test_a_target_that_cannot_be_listed_is_not_known(rows: SimulatedAws, cli: Cli) -> None:
    place = rows.store("eu-west-1").place
    rows.world.faults = lambda operation, at, *_: (
        refused(Trouble.DENIED) if (operation, at) == ("DescribeParameters", place) else None
    )
    result = cli("explain", "/app/u*", "--short")
    assert result.exit_code == 0
    first, second = result.stdout.splitlines()
    assert first.startswith("/app/url  us-east-2  update")
    assert second.startswith("/app/url  eu-west-1  -       nothing: no change is planned")


def test_several_replications_are_named(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    text = spec.read_text()
    spec.write_text(f"{text}---\n{text.replace('prod', 'stage').replace('/app/', '/stage/')}")
    aws.put("/stage/url", "v")
    first, second = cli("explain", "/*/u*", "--short", "--target", "us-east-2").stdout.splitlines()
    assert first.startswith("/app/url    prod, us-east-2   create  create  ")
    assert second.startswith("/stage/url  stage, us-east-2  create  create  ")
    assert "--name stage --target us-east-2 --only /stage/url" in second


def test_no_secret_is_shown(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.put("/app/key", f"{SECRET}!", "SecureString")
    for words in ((), ("--short",), ("--format", "json"), ("-v", "--debug")):
        result = cli("explain", "/app/**", *words)
        assert result.exit_code == 0
        assert "/app/key" in result.stdout
        assert SECRET not in result.stdout + result.stderr


# Remedies


def test_a_conflict_is_overwritten_alone_by_the_printed_command(rows: SimulatedAws, cli: Cli) -> None:
    rows.put("/app/other", "source")
    rows.put("/app/other", "by hand", region="us-east-2")
    (one,) = explanations(cli, "/app/conflict")
    (remedy,) = (text for text in one["remedies"] if "--adopt overwrite" in text)
    assert "`ssm-reconcile apply --target us-east-2 --only /app/conflict --adopt overwrite`" in remedy
    assert run_printed(cli, remedy) == 0
    there = rows.store("us-east-2").place
    assert rows.world.value(there, "/app/conflict") == "source"
    assert rows.world.value(there, "/app/other") == "by hand"


def test_a_conflict_that_is_not_changed_in_place_is_not_to_be_overwritten(
    aws: SimulatedAws, cli: Cli
) -> None:
    aws.put("/app/large", "v")
    aws.put("/app/large", "v", region="us-east-2", tier="Advanced")
    (one,) = explanations(cli, "/app/large")
    assert one["row"] == "conflict"
    assert not [text for text in one["remedies"] if "overwrite" in text]
