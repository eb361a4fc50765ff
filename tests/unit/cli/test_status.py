"""`status`: states, reads, formats, exit codes, and text at several widths."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ssm_reconcile.cli import COMPLETION_VARIABLE
from ssm_reconcile.cli.status import COLUMNS, csv_text
from ssm_reconcile.documents.status import ReplicaEntry, StatusDocument
from ssm_reconcile.errors import Trouble
from ssm_reconcile.settle import CONFIRM_EACH
from ssm_reconcile.status import ReplicaState, Status, TargetStates, status_document
from ssm_reconcile.wording import writer_name
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / "status.schema.json").read_text(encoding="utf-8"))
CONFLICT = "the parameter already exists, is not a replica, and differs in"
DEPLOY = "arn:aws:sts::123456789012:assumed-role/deploy/session-1"


@pytest.fixture
def mixed(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Replicas of three days, and in us-east-2 an address of each kind that `status` tells apart."""
    aws.put("/app/old", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.pass_time(hours=80)
    aws.put("/app/url", "changed")
    aws.delete("/app/old")
    aws.put("/app/new", "v")
    for name, more in (("/app/equal", {}), ("/app/other", {"description": "of someone"})):
        aws.put(name, "v")
        aws.put(name, "v", region="us-east-2", **more)
    aws.put("/app/local/url", "v")
    aws.world.put(aws.store("us-east-2").place, "/app/hosts", "c", "StringList", user=DEPLOY)
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace('"/app/**"]', '"/app/**"], exclude: ["/app/local/**"]'))
    aws.world.traffic.forget()
    return aws


def document(cli: Cli, *words: str) -> dict[str, Any]:
    result = cli("status", "--format", "json", *words)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    jsonschema.validate(found, SCHEMA)
    return found


def states(found: dict[str, Any], target: str = "us-east-2") -> dict[str, str]:
    return {one["name"]: one["state"] for one in found["replicas"] if one["target"] == target}


def test_each_address_has_its_state(mixed: SimulatedAws, cli: Cli) -> None:
    found = document(cli)
    assert states(found) == {
        "/app/equal": "unproven",
        "/app/hosts": "unproven",
        "/app/key": "in_sync",
        "/app/local/url": "excluded",
        "/app/new": "create",
        "/app/old": "delete",
        "/app/other": "conflict",
        "/app/url": "unproven",
    }
    (counts,) = (one["counts"] for one in found["targets"] if one["target"] == "us-east-2")
    assert counts == Counter(states(found).values())


def test_a_replica_has_versions_age_and_writer(mixed: SimulatedAws, cli: Cli) -> None:
    found = {one["name"]: one for one in document(cli, "--target", "us-east-2")["replicas"]}
    changed = found["/app/url"]
    assert (changed["source_version"], changed["recorded_source_version"], changed["version"]) == (2, 1, 1)
    assert changed["age_seconds"] == 80 * 3600
    assert found["/app/hosts"]["writer"] == DEPLOY
    gone, new = found["/app/old"], found["/app/new"]
    assert (gone["source_version"], gone["recorded_source_version"]) == (None, 1)
    assert (new["version"], new["last_modified"], new["age_seconds"], new["writer"]) == (None, None, None, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/app/url", "its source was changed after the last apply"),
        ("/app/hosts", "it was changed after the last apply"),
        ("/app/equal", "not a replica; a plan compares the values to decide whether it is adopted"),
        ("/app/other", f"{CONFLICT} description"),
        ("/app/old", "its source is gone"),
        ("/app/local/url", "by /app/local/** (replication.yaml:7:47)"),
    ],
)
def test_a_state_has_its_reason(mixed: SimulatedAws, cli: Cli, name: str, reason: str) -> None:
    found = {one["name"]: one["reasons"] for one in document(cli, "--target", "us-east-2")["replicas"]}
    assert found[name] == [reason]


def reasons_with(cli: Cli, keys: str, *words: str) -> dict[str, list[str]]:
    """Return the reasons by name after these keys were added to the spec."""
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace("delete: owned\n", keys))
    return {one["name"]: one["reasons"] for one in document(cli, "--target", "us-east-2", *words)["replicas"]}


@pytest.mark.parametrize(
    ("mode", "conflict", "equal"),
    [
        ("never", [], "not a replica; a plan does not adopt it (`adopt: never`)"),
        ("identical", [], "not a replica; a plan compares the values to decide whether it is adopted"),
        (
            "same_value",
            ["a plan takes it over if the values are equal (`adopt: same_value`)"],
            "not a replica; a plan compares the values to decide whether it is adopted",
        ),
        (
            "overwrite",
            ["a plan takes it over (`adopt: overwrite`)"],
            "not a replica; a plan takes it over (`adopt: overwrite`)",
        ),
    ],
)
def test_a_reason_has_the_mode_of_adoption(
    mixed: SimulatedAws, cli: Cli, mode: str, conflict: list[str], equal: str
) -> None:
    found = reasons_with(cli, f"delete: owned\nadopt: {mode}\n")
    first, *rest = found["/app/other"]
    assert first.endswith("differs in description")
    assert rest == conflict
    assert found["/app/equal"] == [equal]


@pytest.mark.parametrize("mode", ["same_value", "overwrite"])
def test_no_mode_takes_over_what_aws_does_not_change_in_place(aws: SimulatedAws, cli: Cli, mode: str) -> None:
    aws.put("/app/large", "v")
    aws.put("/app/large", "v", region="us-east-2", tier="Advanced")
    found = reasons_with(cli, f"delete: owned\nadopt: {mode}\n")
    assert found["/app/large"] == [f"{CONFLICT} tier, which AWS cannot change in place"]


def test_the_same_value_of_another_type_is_not_taken_over(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/hosts", "a,b", region="us-east-2")
    found = reasons_with(cli, "delete: owned\nadopt: same_value\n")
    assert found["/app/hosts"] == [f"{CONFLICT} type"]


def test_a_delete_that_the_spec_does_not_allow_has_that_reason(mixed: SimulatedAws, cli: Cli) -> None:
    found = reasons_with(cli, "delete: never\n")
    assert found["/app/old"] == ["its source is gone; `delete: never` keeps it"]


def test_an_adopted_replica_without_source_is_released(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/had", "v")
    aws.put("/app/had", "v", region="us-east-2")
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.delete("/app/had")
    found = reasons_with(cli, "delete: created\n")
    assert found["/app/had"] == ["its source is gone", "it was adopted: it stays and loses our tags"]


def test_an_orphan_that_a_plan_deletes_has_that_reason(mixed: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace("/app/local/**", "/app/key"))
    kept = reasons_with(cli, "delete: owned\n")["/app/key"]
    assert kept == ["the spec places no source parameter here; `orphans: delete` would delete it"]
    deleted = reasons_with(cli, "delete: owned\norphans: delete\n")["/app/key"]
    assert deleted == ["the spec places no source parameter here", "a plan deletes it (`orphans: delete`)"]


def test_a_changed_rewrite_is_a_reason_of_its_own(mixed: SimulatedAws, cli: Cli) -> None:
    rule = '{ match: "/app/*", from: us-east-1, to: "{target.region}" }'
    found = reasons_with(cli, f"delete: owned\nrewrite: [{rule}]\n")
    assert found["/app/key"] == ["its record is of another source or of another rewrite"]
    assert found["/app/hosts"] == ["it was changed after the last apply"]


def test_a_parameter_with_other_tags_is_a_conflict_whatever_its_value_is(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/tagged", "v", tags={"team": "payments"})
    aws.put("/app/tagged", "v", region="us-east-2")
    found = {one["name"]: one for one in document(cli, "--target", "us-east-2")["replicas"]}
    assert found["/app/tagged"]["state"] == "conflict"
    assert found["/app/tagged"]["reasons"][0].endswith("differs in tags")


def test_an_age_is_not_negative_where_the_clock_of_aws_is_ahead() -> None:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    replica = ReplicaState("/a", "in_sync", modified=now + timedelta(seconds=5))
    status = Status((TargetStates("prod", "1/us-east-1", "us-east-2", "1/us-east-2", True, (replica,)),))
    (found,) = status_document(status, now, tool_version="1")["replicas"]
    assert found["age_seconds"] == 0


def test_a_type_that_the_spec_leaves_out_is_excluded(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace('"/app/**"]', '"/app/**"], types: [String, SecureString]'))
    found = {one["name"]: one for one in document(cli, "--target", "us-east-2")["replicas"]}
    assert found["/app/hosts"]["state"] == "excluded"
    assert found["/app/hosts"]["reasons"] == ["by `parameters.types`, which does not list StringList"]


def test_an_excluded_replica_is_an_orphan_and_listed_once(mixed: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace("/app/local/**", "/app/key"))
    names = [one["name"] for one in document(cli, "--target", "us-east-2")["replicas"]]
    assert states(document(cli))["/app/key"] == "orphan"
    assert len(names) == len(set(names))


# Reads


def test_no_value_is_read(mixed: SimulatedAws, cli: Cli) -> None:
    mixed.world.faults = at_call("GetParameters", refused(Trouble.DENIED))
    for form in ("text", "json", "csv"):
        result = cli("status", "--format", form, "-v", "--debug")
        assert result.exit_code == 0
        assert SECRET not in result.stdout + result.stderr
    calls = {call.operation for call in mixed.world.traffic.calls}
    assert calls == {"GetCallerIdentity", "DescribeParameters", "GetResources", "ListTagsForResource"}


def test_at_most_fifty_tags_of_a_place_are_read(aws: SimulatedAws, cli: Cli) -> None:
    """Deletes are confirmed by a plan, however many they are."""
    for number in range(CONFIRM_EACH + 30):
        aws.put(f"/app/{number:03}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    for number in range(CONFIRM_EACH + 30):
        aws.delete(f"/app/{number:03}")
    aws.world.traffic.forget()
    result = cli("status", "--target", "us-east-2")
    assert "80 delete" in result.stdout
    reads = Counter(call.place for call in aws.world.traffic.calls if call.operation == "ListTagsForResource")
    assert reads == {aws.store("us-east-2").place: CONFIRM_EACH}
    assert "the state of 30 parameters rests on a listing of tags" in result.stderr
    assert "[unconfirmed-tags]" in result.stderr


def test_the_limit_of_tags_counts_the_reads_of_all_passes(aws: SimulatedAws, cli: Cli) -> None:
    """Strangers are confirmed first, then deletes."""
    for number in range(30):
        aws.put(f"/app/{number:03}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    for number in range(30):
        aws.delete(f"/app/{number:03}")
        for region in ("us-east-1", "us-east-2"):
            aws.put(f"/app/stranger/{number:03}", "v", region=region)
    aws.world.traffic.forget()
    result = cli("status", "--target", "us-east-2")
    assert "30 delete" in result.stdout
    reads = Counter(call.place for call in aws.world.traffic.calls if call.operation == "ListTagsForResource")
    assert reads == {aws.store("us-east-2").place: CONFIRM_EACH}
    assert "the state of 10 parameters rests on a listing of tags" in result.stderr


def test_a_listing_by_owner_finds_the_replicas_among_more_than_fifty_strangers(
    aws: SimulatedAws, cli: Cli
) -> None:
    for number in range(CONFIRM_EACH + 30):
        for region in ("us-east-1", "us-east-2"):
            aws.put(f"/app/{number:03}", "v", region=region)
    aws.world.traffic.forget()
    result = cli("status", "--target", "us-east-2", "-q")
    assert "80 unproven" in result.stdout
    assert "ListTagsForResource" not in {call.operation for call in aws.world.traffic.calls}
    assert result.stderr == ""


def test_without_a_listing_of_tags_each_is_read_as_in_a_plan(aws: SimulatedAws, cli: Cli) -> None:
    for number in range(CONFIRM_EACH + 30):
        aws.put(f"/app/{number:03}", "v")
    reads: list[int] = []
    for command in ("plan", "status"):
        aws.world.faults = at_call("GetResources", refused(Trouble.DENIED))
        aws.world.traffic.forget()
        assert cli(command, "-q").exit_code == 0
        reads.append(sum(call.operation == "ListTagsForResource" for call in aws.world.traffic.calls))
    assert reads[0] == reads[1] > CONFIRM_EACH
    assert "Without tag:GetResources the tags of each parameter are read" in " ".join(
        cli("status", "--help").stdout.split()
    )


# Options and exit codes


def test_specs_are_arguments_and_options(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    Path("replication.yaml").unlink()
    for number in (1, 2):
        Path(f"{number}.yaml").write_text(text.replace("name: prod", f"name: prod-{number}"))
    both = cli("status", "1.yaml", "--spec", "2.yaml")
    assert both.exit_code == 0, both.stderr
    assert "prod-1: source" in both.stdout
    assert "prod-2: source" in both.stdout
    assert both.stdout.endswith("Next: ssm-reconcile plan 1.yaml 2.yaml\n")
    assert cli("status", "--spec", "1.yaml").exit_code == 0
    assert cli("status", "-", stdin=text).stderr.count("pipe the same spec") == 1


def test_words_of_states_may_have_spaces_and_be_empty(mixed: SimulatedAws, cli: Cli) -> None:
    found = document(cli, "--state", " conflict, delete,", "--target", "us-east-2")
    assert set(states(found).values()) == {"conflict", "delete"}
    assert document(cli, "--state", "")["replicas"] != []


@pytest.mark.parametrize(("form", "code"), [("text", 1), ("csv", 1), ("json", 0)])
def test_findings_of_a_json_are_in_it_and_others_on_stderr(
    mixed: SimulatedAws, cli: Cli, form: str, code: int
) -> None:
    result = cli("status", "--only", "/app/none", "--only", "/app/key", "--format", form)
    assert result.stderr.count("[only-matches-nothing]") == code
    assert ("only-matches-nothing" in result.stdout) == (form == "json")


def test_states_narrow_the_list_and_not_the_counts(mixed: SimulatedAws, cli: Cli) -> None:
    found = document(cli, "--state", "conflict,delete", "--state", "create", "--target", "us-east-2")
    assert set(states(found).values()) == {"conflict", "delete", "create"}
    assert found["targets"] == document(cli, "--target", "us-east-2")["targets"]


def test_an_unknown_state_is_refused_with_a_similar_one(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("status", "--state", "conflict,in-sink")
    assert result.exit_code == 64
    assert "no state is named 'in-sink'" in result.stderr
    assert "the states are: adopt, " in result.stderr
    assert "did you mean `in_sync`?" in result.stderr


def test_states_complete_in_a_comma_list(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPLETION_VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ssm-reconcile status --state foreign,re")
    monkeypatch.setenv("COMP_CWORD", "3")
    found = [line.partition(",")[2] for line in cli().stdout.splitlines()]
    assert found == ["foreign,replace", "foreign,retag"]


def test_only_narrows_counts_and_list(mixed: SimulatedAws, cli: Cli) -> None:
    found = document(cli, "--only", "/app/u*", "--only", "/app/local/**")
    assert states(found) == {"/app/url": "unproven", "/app/local/url": "excluded"}


@pytest.mark.parametrize("name", ["/app/local/url", "/app/local/us-east-2"])
def test_only_selects_an_excluded_parameter_by_its_name_on_both_sides(
    mixed: SimulatedAws, cli: Cli, name: str
) -> None:
    spec = Path("replication.yaml")
    rule = '{ match: "/app/local/*", in: name, from: url, to: "{target.region}" }'
    spec.write_text(f"{spec.read_text()}rewrite: [{rule}]\n")
    found = document(cli, "--target", "us-east-2", "--only", name)
    assert states(found) == {"/app/local/us-east-2": "excluded"}


def test_only_without_a_match_is_wrong_usage(mixed: SimulatedAws, cli: Cli) -> None:
    result = cli("status", "--only", "/app/ulr")
    assert result.exit_code == 64
    assert "--only /app/ulr matches no selected parameter and no replica: did you mean `/app/url`?" in (
        result.stderr
    )
    assert cli("status", "--only", "/app/ulr", "--only", "/app/url").exit_code == 0
    assert cli("status", "--only", "a b").exit_code == 64


def test_an_incomplete_place_ends_in_3(mixed: SimulatedAws, cli: Cli) -> None:
    place = mixed.store("eu-west-1").place
    mixed.world.faults = lambda operation, at, *_: (
        refused(Trouble.DENIED) if (operation, at) == ("DescribeParameters", place) else None
    )
    result = cli("status")
    assert result.exit_code == 3
    assert "  eu-west-1  NOT LISTED COMPLETELY\n" in result.stdout
    assert "  us-east-2  1 delete" in result.stdout
    assert "[incomplete-place]" in result.stderr


def test_a_pattern_without_match_is_not_wrong_usage_while_a_place_is_incomplete(
    mixed: SimulatedAws, cli: Cli
) -> None:
    place = mixed.store("eu-west-1").place
    mixed.world.faults = lambda operation, at, *_: (
        refused(Trouble.DENIED) if (operation, at) == ("DescribeParameters", place) else None
    )
    result = cli("status", "--only", "/app/there/*")
    assert result.exit_code == 3
    assert "[only-matches-nothing]" in result.stderr


def test_no_listing_is_an_error(mixed: SimulatedAws, cli: Cli) -> None:
    mixed.world.faults = at_call("DescribeParameters", refused(Trouble.DENIED))
    result = cli("status")
    assert (result.exit_code, result.stdout) == (1, "")
    _, _, causes = result.stderr.partition("no state is known: ")
    found = [cause.partition(" was not")[0] for cause in causes.split("; ")]
    assert found == ["prod: target eu-west-1", "prod: target us-east-2", "prod: the source"]


def test_an_unknown_target_is_wrong_usage(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("status", "--target", "us-east-9").exit_code == 64


# CSV


def test_csv_holds_what_json_holds(mixed: SimulatedAws, cli: Cli) -> None:
    text = cli("status", "--format", "csv", "-q").stdout
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    found = document(cli)
    assert tuple(rows[0]) == COLUMNS
    for row, one in zip(rows, found["replicas"], strict=True):
        for key in ("replication", "target", "name", "state", "type", "source", "last_modified"):
            assert row[key] == (one[key] or "")
        for key in ("source_version", "recorded_source_version", "version"):
            assert row[key] == ("" if one[key] is None else str(one[key]))
        assert row["writer"] == writer_name(one["writer"])
        assert row["reasons"] == "; ".join(one["reasons"])


def entry(
    name: str = "/a", state: str = "in_sync", writer: str = "", reasons: Sequence[str] = ()
) -> ReplicaEntry:
    return {
        "replication": "prod", "target": "us-east-2", "name": name, "state": state, "type": "String",
        "source": name, "source_version": 1, "recorded_source_version": 1, "version": 1,
        "last_modified": "2026-11-23T12:00:00.000Z", "age_seconds": 119, "writer": writer,
        "reasons": list(reasons),
    }  # fmt: skip


def status_of(*replicas: ReplicaEntry, **counts: int) -> StatusDocument:
    return {
        "format_version": "1.0", "tool_version": "1", "created": "2026-11-23T12:01:00.000Z", "complete": True,
        "targets": [
            {
                "replication": "prod", "source": "1/us-east-1", "target": "us-east-2",
                "place": "1/us-east-2", "complete": True, "counts": counts,
            }
        ],
        "replicas": list(replicas), "findings": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "\\u0009=1"),
        ("-1.5", "-1.5"),
        ('a "b", c', 'a "b", c'),
        ("a\nb", "a\\u000ab"),
    ],
)
def test_no_cell_is_a_formula_or_a_second_line(text: str, cell: str) -> None:
    found = csv_text(status_of(entry(name=text, reasons=[text])))
    (row,) = csv.DictReader(io.StringIO(found, newline=""))
    assert (row["name"], row["reasons"]) == (cell, cell)
    assert found.count("\r\n") == 2


def test_the_time_of_the_run_is_utc(mixed: SimulatedAws, cli: Cli) -> None:
    now = mixed.clock.now().astimezone(UTC)
    shown = datetime.fromisoformat(document(cli)["created"])
    assert abs((shown - now).total_seconds()) < 1
