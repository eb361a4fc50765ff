"""A text with half a character in it: that parameter is affected, and the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.model import SECURE, SealedText
from ssm_reconcile.stores.base import Put
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

HALF = "half \ud800 of it"
HERE, THERE = "us-east-1", "us-east-2"
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/app/**"] }
delete: owned
orphans: keep
"""
FORMATS = ("text", "json", "markdown", "html")
TEXTS: dict[str, dict[str, Any]] = {
    "value": {"text": SealedText(HALF)},
    "description": {"description": HALF},
    "pattern": {"allowed_pattern": f"{HALF}|.*"},
    "tag value": {"tags": {"team": HALF}},
    "tag key": {"tags": {HALF: "a"}},
    "several": {"text": SealedText(HALF), "description": HALF, "tags": {HALF: HALF}},
}


@pytest.fixture
def broken(aws: SimulatedAws) -> SimulatedAws:
    Path("replication.yaml").write_text(SPEC)
    return aws


def put(aws: SimulatedAws, name: str, region: str = HERE, **more: Any) -> None:
    """Write a parameter as another writer."""
    store = aws.store(region)
    there = name in store.describe_names([name])
    wanted: dict[str, Any] = {"text": SealedText("fine"), "type": "String"} | more
    tags = wanted.pop("tags", {})
    if wanted["type"] == SECURE:
        wanted["key_id"] = "alias/aws/ssm"
    store.put(Put(name, overwrite=there, **wanted))
    if tags:
        aws.world.tag(store.place, name, tags)


def plan_of(cli: Cli) -> dict[str, Any]:
    result = cli("plan", "--format", "json", "-q")
    assert result.exit_code in {0, 3}, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("kind", ["String", SECURE])
@pytest.mark.parametrize("what", TEXTS)
def test_in_the_source_it_makes_one_parameter_invalid(
    broken: SimulatedAws, cli: Cli, what: str, kind: str
) -> None:
    put(broken, "/app/half", **({"type": kind} | TEXTS[what]))
    unread = what == "value" and kind == SECURE  # a new secret is not read before it is written
    for form in FORMATS:
        result = cli("plan", "--format", form)
        assert result.exit_code == (0 if unread else 3), result.stderr
        result.stdout.encode()
    document = plan_of(cli)
    assert document["summary"]["create"] == (4 if unread else 3)
    assert document["summary"]["invalid"] == (0 if unread else 1)
    if not unread:
        (other,) = [one for one in document["others"] if one["row"] == "invalid"]
        assert other["name"] == "/app/half"
        assert "half a character" in " ".join(other["reasons"])
        assert "not-unicode" in {finding["code"] for finding in document["findings"]}
    result = cli("apply", "--yes", "--out", "report.json", "--format", "json")
    assert result.exit_code == 3, result.stderr
    report = json.loads(Path("report.json").read_text())
    assert report["summary"]["applied"] == 3
    assert report["summary"]["failed"] == (1 if unread else 0)
    assert broken.names(THERE) == ["/app/hosts", "/app/key", "/app/url"]
    for form in FORMATS:
        assert cli("show", "report.json", "--format", form).exit_code == 0
    result = cli("explain", "/app/half")
    assert result.exit_code == 0, result.stderr
    assert cli("explain", "/app/url").exit_code == 0


@pytest.mark.parametrize("what", TEXTS)
def test_in_a_replica_it_is_overwritten_by_what_the_source_holds(
    broken: SimulatedAws, cli: Cli, what: str
) -> None:
    put(broken, "/app/half")
    assert cli("apply", "--yes", "-q").exit_code == 0
    put(broken, "/app/half", THERE, **({"text": SealedText("fine")} | TEXTS[what]))
    for form in FORMATS:
        assert cli("plan", "--format", form, "--overwrite-outside").exit_code == 0
    assert cli("plan", "--out", "plan.json", "--overwrite-outside", "-q").exit_code == 0
    Path("plan.json").read_bytes().decode()
    for form in FORMATS:
        assert cli("show", "plan.json", "--format", form).exit_code == 0
    result = cli("apply", "plan.json", "--overwrite-outside")
    assert result.exit_code == 0, result.stderr
    assert broken.world.value(broken.store(THERE).place, "/app/half") == "fine"
    assert HALF not in (broken.world.tags(broken.store(THERE).place, "/app/half") or {})
    again = plan_of(cli)
    assert again["summary"]["in_sync"] == 4


@pytest.mark.parametrize("what", TEXTS)
def test_in_what_is_not_ours_it_is_left_alone(broken: SimulatedAws, cli: Cli, what: str) -> None:
    put(broken, "/app/half")
    put(broken, "/app/half", THERE, **TEXTS[what])
    put(broken, "/elsewhere/half", THERE, **TEXTS[what])
    document = plan_of(cli)
    assert document["summary"]["create"] == 3
    assert cli("plan", "--adopt", "overwrite").exit_code == 0
    assert cli("apply", "--yes", "-q").exit_code == 3
    assert broken.names(THERE) == ["/app/half", "/app/hosts", "/app/key", "/app/url", "/elsewhere/half"]


def test_in_a_pattern_of_the_command_line_it_is_wrong_usage_and_no_fault(
    broken: SimulatedAws, cli: Cli
) -> None:
    result = cli("plan", "--only", "/app/\udcff", "--only", "/app/url", "--format", "json")
    assert result.exit_code in {0, 64}
    assert "fault of ssm-reconcile" not in result.stderr


def test_in_an_event_it_is_that_record_only(broken: SimulatedAws, cli: Cli) -> None:
    def event(name: str) -> dict[str, Any]:
        return {
            "source": "aws.ssm", "detail-type": "Parameter Store Change", "account": "123456789012",
            "region": HERE, "time": "2026-01-01T00:00:00Z", "resources": [], "id": name,
            "detail": {"operation": "Update", "name": name, "type": "String"},
        }  # fmt: skip

    records = [
        {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps(event(name))}
        for number, name in enumerate(["/app/\ud800", "/app/url"])
    ]
    Path("event.json").write_text(json.dumps({"Records": records}))
    result = cli("event", "event.json")
    assert "fault of ssm-reconcile" not in result.stderr
    assert result.exit_code == 0, result.stderr
    assert broken.names(THERE) == ["/app/url"]


def test_a_spec_with_half_a_character_is_refused_in_words(broken: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC + 'tags: { add: { a: "\\ud800" } }\n')
    result = cli("plan")
    assert "fault of ssm-reconcile" not in result.stderr
    assert result.exit_code == 1
