"""`ssm-reconcile event`: what is named is reconciled, all else is left alone, and bad input is answered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.events import LONGEST_TEXT
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli


def changed(name: str, operation: str = "Update", **more: Any) -> str:
    """An event of EventBridge as the user guide shows it."""
    return json.dumps(
        {
            "version": "0", "id": "x", "detail-type": "Parameter Store Change", "source": "aws.ssm",
            "account": "123456789012", "time": "2026-11-23T12:00:00Z", "region": "us-east-1",
            "resources": [f"arn:aws:ssm:us-east-1:123456789012:parameter{name}"],
            "detail": {"operation": operation, "name": name, "type": "String"},
        } | more
    )  # fmt: skip


def test_only_the_parameter_that_is_named_is_written(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin=changed("/app/url"))
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == aws.names("eu-west-1") == ["/app/url"]


@pytest.mark.parametrize(
    "text",
    [
        "/app/key",
        "/app/key\n/app/key\n",
        '["/app/key"]',
        '{"names": ["/app/key"]}',
        '{"event_type": "ssm", "client_payload": {"name": "/app/key", "operation": "Update"}}',
        json.dumps({"client_payload": json.loads(changed("/app/key"))}),
        json.dumps({"Records": [{"messageId": "1", "body": "/app/key"}]}),
        json.dumps({"Records": [{"messageId": "1", "body": changed("/app/key")}]}),
        json.dumps([{"messageId": "1", "body": changed("/app/key"), "eventSource": "aws:sqs"}]),
        json.dumps([json.loads(changed("/app/key"))]),
        "arn:aws:ssm:us-east-1:123456789012:parameter/app/key",
    ],
    ids=[
        "name",
        "lines",
        "list",
        "names",
        "dispatch",
        "dispatched event",
        "seed",
        "queue",
        "pipe",
        "events",
        "ARN",
    ],
)
def test_an_event_may_come_in_any_of_its_envelopes(text: str, aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin=text)
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/key"]
    assert SECRET not in result.output


def test_an_event_may_be_a_file_and_the_spec_another(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").rename("other.yaml")
    Path("event.json").write_text(changed("/app/url"))
    result = cli("event", "event.json", "--spec", "other.yaml", "--format", "json", "--target", "us-east-2")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [(one["name"], one["target"], one["outcome"]) for one in report["outcomes"]] == [
        ("/app/url", "us-east-2", "applied")
    ]
    assert aws.names("eu-west-1") == []


def test_a_scheduled_event_reconciles_everything(aws: SimulatedAws, cli: Cli) -> None:
    event = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
    assert cli("event", "-", stdin=json.dumps(event)).exit_code == 0
    assert aws.names("us-east-2") == aws.names("us-east-1")


def test_only_leaves_named_parameters_alone_that_it_does_not_match(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", "--only", "/app/k*", "--only", "/none", stdin="/app/key\n/app/url\n")
    assert result.exit_code == 0, result.stderr
    assert aws.names("us-east-2") == ["/app/key"]
    result = cli("event", "-", "--only", "/none", stdin=changed("/app/url"))
    assert (result.exit_code, aws.names("us-east-2")) == (0, ["/app/key"])
    assert "Nothing to do." in result.stdout


def test_only_that_matches_no_parameter_of_a_scheduled_event_is_wrong_usage(
    aws: SimulatedAws, cli: Cli
) -> None:
    event = {"detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}
    result = cli("event", "-", "--only", "/none", stdin=json.dumps(event))
    assert (result.exit_code, result.stdout) == (64, "")
    assert "--only /none matches no selected parameter and no replica" in result.stderr
    assert aws.names("us-east-2") == []
    assert "Exit 64 when EVENT is a scheduled event and no parameter matches." in " ".join(
        cli("event", "--help").stdout.split()
    )


def test_a_deleted_parameter_is_deleted_in_the_targets(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.delete("/app/url")
    result = cli("event", "-", stdin=changed("/app/url", "Delete"))
    assert result.exit_code == 0, result.output
    assert aws.names("us-east-2") == ["/app/hosts", "/app/key"]


def test_guards_count_what_a_whole_run_would_delete(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.delete("/app/url")
    aws.delete("/app/hosts")  # two of three: more than one, and over half
    result = cli("event", "-", stdin=changed("/app/url", "Delete"))
    assert result.exit_code == 5
    assert len(aws.names("us-east-2")) == 3
    result = cli("event", "-", "--max-deletes", "2", stdin=changed("/app/url", "Delete"))
    assert result.exit_code == 0, result.output
    assert aws.names("us-east-2") == ["/app/hosts", "/app/key"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (changed("/other/url"), "/other/url"),
        (changed("/app/url", region="eu-west-1"), "123456789012/eu-west-1"),
        (changed("/app/url", account="999999999999"), "999999999999/us-east-1"),
    ],
    ids=["out of scope", "a target's own event", "another account"],
)
def test_an_event_for_another_spec_is_reported_and_changes_nothing(
    text: str, why: str, aws: SimulatedAws, cli: Cli
) -> None:
    result = cli("event", "-", stdin=text)
    assert result.exit_code == 0, result.stderr
    assert why in result.stdout
    assert aws.names("us-east-2") == []


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "mark"])
@pytest.mark.parametrize("filler", [" ", "\U0001f511"], ids=["one byte", "four bytes"])
def test_a_text_of_the_maximum_size_is_read_to_its_end_and_a_longer_one_is_refused(
    mark: str, filler: str, aws: SimulatedAws, cli: Cli
) -> None:
    last = "\n/app/hosts"
    text = filler * (LONGEST_TEXT - len(last)) + last
    for longer in (filler + text, filler * (LONGEST_TEXT + 1), filler * (LONGEST_TEXT + 9)):
        refused = cli("event", "-", stdin=mark + longer)
        assert refused.exit_code == 64
        assert "more than 1,048,576 characters" in refused.stderr
    assert aws.world.traffic.writes() == []
    assert cli("event", "-", stdin=mark + text).exit_code == 0
    assert aws.names("us-east-2") == ["/app/hosts"]


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "[1]", '{"detail-type": "EC2 Instance State-change"}', "a b$c"]
)
def test_an_unknown_document_is_wrong_usage(text: str, aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin=text)
    assert result.exit_code == 64
    assert result.stdout == ""
    assert "event" in result.stderr


def tags_changed(name: str, kind: str, **detail: Any) -> str:
    """An event about tags, as `aws.tag` or CloudTrail sends it."""
    arn = f"arn:aws:ssm:us-east-1:123456789012:parameter{name}"
    if kind == "aws.tag":
        more: dict[str, Any] = {
            "source": "aws.tag", "detail-type": "Tag Change on Resource", "resources": [arn],
        }  # fmt: skip
        return changed(name, detail={"service": "ssm", "resource-type": "parameter", **detail}, **more)
    call = {
        "eventSource": "ssm.amazonaws.com", "eventName": "AddTagsToResource",
        "requestParameters": {"resourceType": "Parameter", "resourceId": name},
    }  # fmt: skip
    return changed(name, detail={**call, **detail}, **{"detail-type": "AWS API Call via CloudTrail"})


@pytest.mark.parametrize("kind", ["aws.tag", "CloudTrail"])
def test_a_change_of_tags_reconciles_its_parameter_and_waits_for_no_date(
    kind: str, aws: SimulatedAws, cli: Cli
) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.store("us-east-1").add_tags("/app/url", {"team": "a"})
    event = json.loads(tags_changed("/app/url", kind))
    event["time"] = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = cli("event", "-", "--format", "json", stdin=json.dumps(event))
    assert result.exit_code == 0, result.output
    assert "does not show yet" not in result.stdout
    tags = aws.store("us-east-2").tags("/app/url")
    assert tags is not None
    assert tags["team"] == "a"


@pytest.mark.parametrize("kind", ["aws.tag", "CloudTrail"])
def test_an_event_about_our_own_tags_writes_nothing(kind: str, aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    keys = {"changed-tag-keys": ["ssm-reconcile:record"]}
    result = cli("event", "-", "--format", "json", stdin=tags_changed("/app/url", kind, **keys))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["outcomes"] == []


def test_a_tag_call_that_failed_is_ignored(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin=tags_changed("/app/url", "CloudTrail", errorCode="AccessDenied"))
    assert result.exit_code == 0, result.output
    assert "the API call failed" in result.stdout
    assert aws.names("us-east-2") == []


def test_an_arn_of_another_place_changes_nothing(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin="arn:aws:ssm:eu-west-1:123456789012:parameter/app/url")
    assert result.exit_code == 0, result.output
    assert "123456789012/eu-west-1" in result.stdout
    assert aws.names("us-east-2") == []


def test_one_bad_name_in_a_list_is_named_and_the_others_are_reconciled(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("event", "-", stdin='{"names": ["/app/url", "/app/k ey"]}')
    assert result.exit_code == 0, result.output
    assert '"/app/k ey"' in result.stdout
    assert (
        "event-not-understood"
        in cli("event", "-", "--format", "json", stdin='["/app/url", "/app/k ey"]').stdout
    )
    assert aws.names("us-east-2") == ["/app/url"]


def test_a_repeated_delete_event_says_nothing_of_the_rules(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.delete("/app/url")
    assert cli("event", "-", stdin=changed("/app/url", "Delete")).exit_code == 0
    result = cli("event", "-", stdin=changed("/app/url", "Delete"))
    assert result.exit_code == 0, result.output
    assert "the rules select none" not in result.output


def test_a_name_that_cannot_be_read_is_an_error_of_the_report(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssm_reconcile.cli.event.PAUSE", 0.0)
    aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), name="/app/url")
    result = cli("event", "-", "--format", "json", stdin="/app/url")
    assert result.exit_code == 3
    found = [one for one in json.loads(result.stdout)["findings"] if one["severity"] == "error"]
    assert "not-judged" in {one["code"] for one in found}
    assert aws.names("us-east-2") == []


def test_wrong_arguments_are_wrong_usage(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("event", "nope.json").exit_code == 64
    assert cli("event", "-", "--spec", "-", stdin="/app/url").exit_code == 64
    Path("latin").write_bytes(b"/app/\xe9")
    assert cli("event", "latin").exit_code == 64


def test_a_change_that_is_not_visible_after_four_reads_is_reported(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssm_reconcile.cli.event.PAUSE", 0.0)
    assert cli("apply", "--yes").exit_code == 0
    aws.world.traffic.forget()
    later = (datetime.now(UTC) + timedelta(seconds=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = cli("event", "-", stdin=changed("/app/url", time=later))
    assert "does not show yet" in result.stdout
    reads = [call for call in aws.world.calls if call.operation == "DescribeParameters"]
    assert len([call for call in reads if call.place.region == "us-east-1"]) == 4
