"""`status`: states, reads, formats, exit codes, and text at several widths."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from ssm_reconcile.change import writer_name
from ssm_reconcile.cli import COMPLETION_VARIABLE
from ssm_reconcile.cli.status import COLUMNS, csv_text
from ssm_reconcile.documents.status import ReplicaEntry, StatusDocument
from ssm_reconcile.errors import Trouble
from ssm_reconcile.renderers.status_text import age_text, status_text
from ssm_reconcile.settle import CONFIRM_EACH
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / "status.schema.json").read_text(encoding="utf-8"))
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
        ("/app/other", "not a replica, and differs in description"),
        ("/app/old", "its source is gone"),
        ("/app/local/url", "by /app/local/** (replication.yaml:7:47)"),
    ],
)
def test_a_state_has_its_reason(mixed: SimulatedAws, cli: Cli, name: str, reason: str) -> None:
    found = {one["name"]: one["reasons"] for one in document(cli, "--target", "us-east-2")["replicas"]}
    assert found[name] == [reason]


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


# Options and exit codes


def test_states_narrow_the_list_and_not_the_counts(mixed: SimulatedAws, cli: Cli) -> None:
    found = document(cli, "--state", "conflict,delete", "--state", "create", "--target", "us-east-2")
    assert set(states(found).values()) == {"conflict", "delete", "create"}
    assert found["targets"] == document(cli, "--target", "us-east-2")["targets"]


def test_an_unknown_state_is_refused_with_a_similar_one(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("status", "--state", "conflict,in-sink")
    assert result.exit_code == 64
    assert "no state is named 'in-sink'" in result.stderr
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


def test_no_listing_is_an_error(mixed: SimulatedAws, cli: Cli) -> None:
    mixed.world.faults = at_call("DescribeParameters", refused(Trouble.DENIED))
    result = cli("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no state is known" in result.stderr


def test_an_unknown_target_is_wrong_usage(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("status", "--target", "us-east-9").exit_code == 64


def test_colours_mark_the_states(mixed: SimulatedAws, cli: Cli) -> None:
    coloured = cli("status", "--color", "always", "--target", "us-east-2").stdout
    plain = cli("status", "--target", "us-east-2").stdout
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert re.search(r"\x1b\[1;31m  conflict \(1\)", coloured)


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


# Text


def test_in_sync_and_excluded_are_counted_by_path_unless_they_are_asked_for(
    cli: Cli, aws: SimulatedAws
) -> None:
    for number in range(30):
        aws.put(f"/app/many/{number:02}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    text = cli("status", "--target", "us-east-2").stdout
    assert "  in_sync (33)\n    /app/* × 3\n    /app/many/* × 30\n" in text
    assert "/app/many/07" not in text
    assert text.startswith("prod: source 123456789012/us-east-1, status at ")
    assert "\n  us-east-2  33 in_sync\n" in text
    assert "/app/many/07" in cli("status", "--target", "us-east-2", "--state", "in_sync").stdout


def test_a_reason_is_printed_once_for_its_group(mixed: SimulatedAws, cli: Cli) -> None:
    mixed.put("/app/new2", "v")
    text = cli("status", "--target", "us-east-2").stdout
    assert text.count("its source is gone") == 1
    assert "  create (2)\n    /app/new " in text


def test_columns_align_at_a_hundred_columns(
    mixed: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = cli("status", "--target", "us-east-2").stdout.splitlines()
    (head,) = (line for line in lines if line.startswith("    name "))
    (gone,) = (line for line in lines if line.startswith("    /app/old "))
    assert gone[head.index("source version") :].startswith("1 (gone)")
    assert gone[head.index("age") :].startswith("3 d")
    assert gone[head.index("writer") :] == "role ssm-reconcile"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_no_line_is_wider_than_the_terminal(
    mixed: SimulatedAws, cli: Cli, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    text = cli("status").stdout
    assert max(map(len, text.splitlines())) <= width
    assert "role deploy" in text
    assert "1 (now 2)" in text


def test_a_long_name_is_not_cut() -> None:
    name = "/" + "/".join(["level"] * 30)
    lines = status_text(status_of(entry(name, state="update")), width=80).splitlines()
    assert f"    {name}" in lines
    assert "      source version 1, 2026-11-23 12:00 UTC (119 s)" in lines


def test_hostile_text_has_no_effect_on_a_terminal() -> None:
    text = status_text(
        status_of(entry("\x1b[31m", state="x\n", writer="\u202eevil", reasons=["\x07"])), width=80
    )
    assert not {"\x1b", "\u202e", "\x07"} & set(text)


def test_a_wrapped_reason_is_not_a_command_for_a_runner() -> None:
    reason = f"it is a replica of {'x' * 50} ::error::forged"
    text = status_text(status_of(entry(state="foreign", reasons=[reason])), width=60)
    assert "forged" in text
    assert not re.search(r"^\s*::", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (119, "119 s"), (120, "2 min"), (7_199, "119 min"), (7_200, "2 h"),
        (172_799, "47 h"), (172_800, "2 d"), (40_000_000, "462 d"),
    ],
)  # fmt: skip
def test_an_age_has_one_unit(seconds: int, text: str) -> None:
    assert age_text(seconds) == text


def test_the_time_of_the_run_is_utc(mixed: SimulatedAws, cli: Cli) -> None:
    now = mixed.clock.now().astimezone(UTC)
    shown = datetime.fromisoformat(document(cli)["created"])
    assert abs((shown - now).total_seconds()) < 1


def test_each_of_several_replications_has_its_own_part(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    text = spec.read_text()
    spec.write_text(f"{text}---\n{text.replace('prod', 'stage').replace('/app/', '/stage/')}")
    aws.put("/stage/a", "v")
    shown = cli("status").stdout
    assert "\nstage: source 123456789012/us-east-1" in shown
    assert "\nstage, us-east-2 (123456789012/us-east-2)\n" in shown
    assert {one["replication"] for one in document(cli, "--name", "stage")["replicas"]} == {"stage"}
