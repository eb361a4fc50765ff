"""`explain` with several names and globs: one listing of each place, each address once, `--short`."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ssm_reconcile.cli.explain import MOST_NAMES
from ssm_reconcile.errors import Trouble
from ssm_reconcile.explain import remedies
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.record import DETACHED, OWNER
from tests.builders import OWNED_BY
from tests.fake_aws.traffic import refused
from tests.fake_aws.world import Pages
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


def test_a_glob_selects_a_detached_parameter_where_the_spec_places_nothing(
    rows: SimulatedAws, cli: Cli
) -> None:
    rows.store("us-east-2").add_tags("/app/gone", {OWNER: f"{DETACHED}{OWNED_BY}"})
    (one,) = explanations(cli, "/app/gon*")
    assert (one["name"], one["row"], one["plan"]) == ("/app/gone", None, ["nothing"])
    assert ["owner", f"{DETACHED}{OWNED_BY}"] in [list(fact.values()) for fact in one["facts"]]


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


def test_short_is_not_padded_by_a_long_text(aws: SimulatedAws, cli: Cli) -> None:
    aws.put(f"/app/{'long' * 20}", "v")
    lines = cli("explain", "/app/**", "--short", "--target", "us-east-2").stdout.splitlines()
    assert [line for line in lines if line.startswith("/app/hosts  us-east-2  create  create  to create")]


def test_short_says_that_a_name_is_excluded(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace('"/app/**"]', '"/app/**"], exclude: ["/app/u*"]'))
    result = cli("explain", "/app/url", "/other", "--short", "--target", "us-east-2")
    assert [line.split()[2] for line in result.stdout.splitlines()] == ["excluded", "-"]
    assert "  [excluded] excluded by /app/u*" in cli("explain", "/app/url").stdout


@pytest.mark.parametrize("width", [60, 80])
def test_the_text_is_wrapped_at_the_width_and_commands_are_whole(
    rows: SimulatedAws, cli: Cli, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = cli("explain", "/app/**", "-v").stdout
    unbroken = re.compile(r"`[^`\n]*`|\S+")
    wide = [line for line in text.splitlines() if len(line) > width]
    assert all(len(unbroken.findall(line)) <= 2 for line in wide), wide
    assert "\n      `ssm-reconcile apply --target us-east-2 --only /app/conflict --adopt overwrite`;" in text


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


def deny_listing(aws: SimulatedAws, *regions: str) -> None:
    places = [aws.store(region).place for region in regions]
    aws.world.faults = lambda operation, at, *_: (
        refused(Trouble.DENIED) if operation == "DescribeParameters" and at in places else None
    )


def test_a_target_that_cannot_be_listed_is_not_known(rows: SimulatedAws, cli: Cli) -> None:
    deny_listing(rows, "eu-west-1")
    result = cli("explain", "/app/u*", "/app/new", "--short")
    assert result.exit_code == 3
    found = [line.split("  ")[:3] for line in result.stdout.splitlines()]
    assert found == [
        ["/app/url", "us-east-2", "update"],
        ["/app/url", "eu-west-1", "-"],
        ["/app/new", "us-east-2", "create"],
        ["/app/new", "eu-west-1", "-"],
    ]
    assert "  -       nothing  fix the cause, then run `ssm-reconcile doctor`" in result.stdout
    assert "target eu-west-1 was not listed completely" in result.stderr
    assert result.stderr.count("[incomplete-place]") == 1


@pytest.mark.parametrize("words", [(), ("--short",)])
def test_a_glob_without_a_match_is_not_wrong_usage_while_a_place_is_incomplete(
    rows: SimulatedAws, cli: Cli, words: tuple[str, ...]
) -> None:
    rows.put("/app/secret/a", "v", region="eu-west-1")
    deny_listing(rows, "eu-west-1")
    result = cli("explain", "/app/secret/*", *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "[incomplete-place]" in result.stderr
    assert "check its spelling" not in result.stderr


@pytest.mark.parametrize("words", [(), ("--short",), ("--format", "json")])
def test_a_source_that_cannot_be_listed_is_a_finding(
    rows: SimulatedAws, cli: Cli, words: tuple[str, ...]
) -> None:
    rows.put("/app/secret/a", "v")
    deny_listing(rows, "us-east-1")
    result = cli("explain", "/app/secret/*", "/app/**", *words)
    assert result.exit_code == 3
    assert "the source was not listed completely" in result.stderr
    assert "[incomplete-place]" in result.stderr
    assert "/app/gone" in result.stdout, "a replica in a target is named"


@pytest.mark.parametrize("spec_id", ["", "id: h5t8w4p2zc\n"])
def test_no_source_is_called_gone_while_its_listing_is_incomplete(
    rows: SimulatedAws, cli: Cli, spec_id: str
) -> None:
    """All pages of the source after the first one fail; the replicas that have no source are listed."""
    place = rows.store("us-east-1").place
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text() + spec_id)
    rows.world.pages = Pages(describe=(1,))
    rows.world.faults = lambda operation, at, _, count: (
        refused(Trouble.DENIED) if (operation, at) == ("DescribeParameters", place) and count > 1 else None
    )
    result = cli("explain", "/app/**", "/app/nothing", "--target", "us-east-2")
    assert result.exit_code == 3
    shown = " ".join(result.stdout.split())
    assert (f"unknown: the listing of {place} is incomplete" in shown) is not bool(spec_id)
    assert "whether its source exists is unknown" in shown
    assert "/app/nothing is not in the incomplete listing of the source" in shown
    missing = f"does not exist in {place}"
    for claim in ("not exist any more", missing, "delete it yourself", "to keep it: create"):
        assert claim not in shown
    rows.world.traffic.forget()
    text = cli("status", "--target", "us-east-2").stdout
    assert ("(now unknown)" in text) is not bool(spec_id)
    assert "(gone)" not in text
    rows.world.traffic.forget()
    planned = " ".join(cli("plan", "--target", "us-east-2").stdout.split())
    assert "incomplete-place" in planned
    assert "replica-without-id" not in planned
    assert "delete them yourself" not in planned


def test_a_source_that_cannot_be_reached_is_a_finding(rows: SimulatedAws, cli: Cli) -> None:
    place = rows.store("us-east-1").place
    rows.world.faults = lambda _, at, *__: refused(Trouble.DENIED) if at == place else None
    result = cli("explain", "/app/u*", "/app/url", "--short", "--target", "us-east-2")
    assert result.exit_code == 3
    assert result.stdout.startswith("/app/url  us-east-2  -  nothing  fix the cause")
    assert "[incomplete-place]" in result.stderr


def test_a_name_without_a_glob_ends_in_0_where_a_place_is_not_known(rows: SimulatedAws, cli: Cli) -> None:
    deny_listing(rows, "eu-west-1")
    assert cli("explain", "/app/url", "/app/new").exit_code == 0


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


@pytest.mark.parametrize("words", [(), ("--no-decrypt",)])
def test_a_conflict_is_overwritten_alone_by_the_printed_command(
    rows: SimulatedAws, cli: Cli, words: tuple[str, ...]
) -> None:
    rows.put("/app/other", "source")
    rows.put("/app/other", "by hand", region="us-east-2")
    (one,) = explanations(cli, "/app/conflict", *words)
    (remedy,) = (text for text in one["remedies"] if "--adopt overwrite" in text)
    assert "`ssm-reconcile apply --target us-east-2 --only /app/conflict --adopt overwrite`" in remedy
    assert "as well" not in remedy
    assert run_printed(cli, remedy) == 0
    there = rows.store("us-east-2").place
    assert rows.world.value(there, "/app/conflict") == "source"
    assert rows.world.value(there, "/app/other") == "by hand"


def test_a_remedy_names_the_other_address_that_its_command_selects(aws: SimulatedAws, cli: Cli) -> None:
    """`--only` selects source names and addresses: a name can be both, of two parameters."""
    rules = ", ".join(
        f'{{ match: "/app/{old}", in: name, from: {old}, to: {new} }}'
        for old, new in (("one", "two"), ("two", "three"))
    )
    Path("replication.yaml").write_text(f"{SPEC}rewrite: [{rules}]\n")
    for name, region in (
        ("one", "us-east-1"),
        ("two", "us-east-1"),
        ("two", "us-east-2"),
        ("three", "us-east-2"),
    ):
        aws.put(f"/app/{name}", f"of {region}", region=region)
    found = {
        one["name"]: next(text for text in one["remedies"] if "--adopt overwrite" in text)
        for one in explanations(cli, "/app/two")
    }
    assert "--only /app/two --adopt overwrite`; this command applies /app/three as well" in found["/app/two"]
    assert "--only /app/three --adopt overwrite`; all conflicts" in found["/app/three"]
    spec = Path("replication.yaml").read_text()
    Path("replication.yaml").write_text(spec.replace('"/app/**"]', '"/app/**"], exclude: [/app/two]'))
    (alone,) = (one for one in explanations(cli, "/app/two") if one["name"] == "/app/two")
    assert not [text for text in alone["remedies"] if "as well" in text]
    Path("replication.yaml").write_text(spec)
    assert run_printed(cli, found["/app/two"]) == 0
    assert aws.world.value(aws.store("us-east-2").place, "/app/three") == "of us-east-1"


def test_a_conflict_that_is_not_changed_in_place_is_not_to_be_overwritten(
    aws: SimulatedAws, cli: Cli
) -> None:
    aws.put("/app/large", "v")
    aws.put("/app/large", "v", region="us-east-2", tier="Advanced")
    (one,) = explanations(cli, "/app/large")
    assert one["row"] == "conflict"
    assert not [text for text in one["remedies"] if "overwrite" in text]
