"""Edited reports: no version proves a value that the replica does not hold, and none is taken over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Restore
from ssm_reconcile.documents.decode import read_report_document
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import NO_SOURCE, OWNER, RECORD, SOURCE, Record, compose_own, digest, parse_record
from ssm_reconcile.renderers.escaping import json_blocks
from ssm_reconcile.report import Report
from ssm_reconcile.spec import (
    AdoptMode,
    DeleteMode,
    Glob,
    Hold,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
)
from ssm_reconcile.undo import make_undo_plan
from tests.builders import replication
from tests.simulated_aws import SimulatedAws

LIFTED = Run(without_hold=True, max_deletes=100, max_change_percent=100)


def edited(aws: SimulatedAws, report: Report, **keys: Any) -> Plan:
    """Return the plan for a report whose outcome has other keys."""
    document = report_document(report, tool_version="1", created=aws.clock.now())
    found: Any = json.loads("".join(json_blocks(document)))
    for key, value in keys.items():
        node = found["outcomes"][0]
        *way, last = key.split("__")
        for step in way:
            node = node[step]
        node[last.replace("record", RECORD)] = value
    return make_undo_plan(read_report_document(json.dumps(found)), (aws.spec,), aws.session(run=LIFTED))


def replicated(kind: str = SECURE) -> tuple[SimulatedAws, Report]:
    aws = SimulatedAws()
    aws.replicate("/p/a", "first", kind)
    aws.put("/p/a", "second", kind)
    return aws, aws.apply()


def reasons(plan: Plan) -> str:
    return "; ".join(reason for one in plan.named for reason in one.reasons)


def assert_proven_values_are_equal(aws: SimulatedAws) -> None:
    aws.pass_time()
    named = {one.name for one in aws.plan().named}
    verified = aws.plan(run=Run(verify_values=True))
    assert [one.name for one in verified.changes if one.name not in named] == []


@pytest.mark.parametrize("source_version", [1, 2, 3])
@pytest.mark.parametrize("of_live", [False, True])
@pytest.mark.parametrize("moved", [False, True])
def test_a_record_that_claims_another_source_version_proves_nothing(
    source_version: int, of_live: bool, moved: bool
) -> None:
    """The former value is that of source version 1; the report claims that it is another one's."""
    aws, report = replicated()
    if moved:
        aws.put("/p/a", "third", SECURE)
    source = aws.world.peek(aws.here, "/p/a")
    assert source is not None
    (written,) = [one.written for one in report.outcomes]
    assert written is not None
    assert written.tags is not None
    record = parse_record(written.tags.before[RECORD])
    assert record is not None
    claimed = source.versions[min(source_version, len(source.versions)) - 1].parameter
    forged = replace(record, source_version=claimed.version, source_modified=claimed.last_modified)
    if of_live:  # as if the value were the live one's
        forged = replace(forged, version=2)
    plan = edited(aws, report, tags__before__record=forged.text())
    assert len(plan.changes) == 1
    aws.carry_out(plan, run=LIFTED)
    assert aws.value("/p/a") == "first"
    assert_proven_values_are_equal(aws)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "created again", SECURE)
    assert_proven_values_are_equal(aws)


def test_a_record_of_a_retag_that_claims_the_present_source_version_proves_nothing() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "first", SECURE, tags={"team": "a"})
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    report = aws.apply()
    aws.put("/p/a", "second", SECURE)
    source = aws.world.peek(aws.here, "/p/a")
    assert source is not None
    record = parse_record((aws.world.tags(aws.there, "/p/a") or {})[RECORD])
    assert record is not None
    claimed = source.latest.parameter
    forged = replace(record, source_version=claimed.version, source_modified=claimed.last_modified)
    plan = edited(aws, report, tags__before__record=forged.text())
    assert len(plan.changes) == 1
    aws.carry_out(plan, run=LIFTED)
    assert aws.plain_tags("/p/a") == {"team": "a"}
    aws.world.tag(aws.here, "/p/a", {"team": "a"})
    assert_proven_values_are_equal(aws)


@pytest.mark.parametrize(
    "forge",
    [
        lambda record: replace(record, source="0" * len(record.source)),
        lambda record: replace(record, source_modified=record.source_modified + timedelta(days=1)),
        lambda record: replace(record, version=7),
    ],
)
def test_a_record_of_another_source_or_of_a_later_time_names_no_source_version(
    forge: Callable[[Record], Record],
) -> None:
    aws, report = replicated()
    (written,) = [one.written for one in report.outcomes]
    assert written is not None
    assert written.tags is not None
    record = parse_record(written.tags.before[RECORD])
    assert record is not None
    versions = []
    for claimed in (record, forge(record)):
        (change,) = edited(aws, report, tags__before__record=claimed.text()).changes
        assert isinstance(change.effect, Restore)
        assert change.effect.record is not None
        versions.append(change.effect.record.source_version)
    assert versions == [1, NO_SOURCE]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"before__version": 7}, "deleted and created again"),
        ({"after__version": 7, "before__version": 6}, "run again"),
        ({"before__last_modified": "2020-01-01T00:00:00.000Z"}, "is not the one in the report"),
        ({"after__last_modified": "2020-01-01T00:00:00.000Z"}, "its version 2 is of"),
        ({"before": None}, "does not say what was written"),
        ({"after": None}, "does not say what was written"),
        ({"tags": None}, "does not say what was written"),
        ({"action": "create", "before": None}, "does not say that the apply created it"),
        ({"action": "delete"}, "AWS keeps no history of a deleted parameter"),
        ({"name": "/p/other"}, "it does not exist any more"),
        ({"tags__after": {OWNER: "x"}}, "its ownership tags differ"),
        ({"tags__before": {OWNER: "other@1/x", RECORD: "v=1"}}, "not those of a parameter before an apply"),
        ({"tags__after__record": "v=1"}, "its record was written again"),
    ],
)
def test_an_edited_outcome_is_listed_and_nothing_is_written(keys: dict[str, Any], reason: str) -> None:
    aws, report = replicated()
    plan = edited(aws, report, **keys)
    assert plan.changes == ()
    assert reason in reasons(plan)


HELD = (Hold(Glob("/**")),)


def forged_owner(aws: SimulatedAws, tags: Mapping[str, str], name: str, source: str) -> dict[str, str]:
    """Return ownership tags for another parameter, with the digests that fit it."""
    record = parse_record(tags[RECORD])
    assert record is not None
    own = compose_own(aws.there.arn(name), "String", aws.spec.id)
    forged = replace(record, own=own, source=digest(aws.here.arn(source)))
    return {OWNER: tags[OWNER], RECORD: forged.text()} | ({SOURCE: source} if source != name else {})


def state_of(aws: SimulatedAws, name: str, version: int) -> dict[str, Any]:
    stored = aws.world.peek(aws.there, name)
    assert stored is not None
    moment = stored.versions[version - 1].parameter.last_modified
    return {"version": version, "last_modified": moment.isoformat()}


@pytest.mark.parametrize("name", ["/p/victim", "/other/victim"])
def test_a_release_in_an_edited_report_makes_no_parameter_a_replica(name: str) -> None:
    spec = replication(delete=DeleteMode.CREATED, include=(Glob("/p/**"),), holds=HELD)
    aws = SimulatedAws(spec)
    aws.put("/p/a", "v")
    aws.put("/p/a", "v", region="us-east-2")
    aws.apply(replace(spec, holds=()))
    tags = aws.world.tags(aws.there, "/p/a") or {}
    aws.delete("/p/a")
    report = aws.apply(replace(spec, holds=()), run=Run(allow_empty_source=True))
    aws.put(name, "theirs", region="us-east-2")
    state = state_of(aws, name, 1)
    before = forged_owner(aws, tags, name, name)
    plan = edited(aws, report, name=name, before=state, after=state, tags__before=before)
    assert plan.changes == ()
    assert "its ownership tags were removed" in reasons(plan)


@pytest.mark.parametrize(("former", "action"), [(1, "update"), (2, "adopt")])
@pytest.mark.parametrize("name", ["/p/victim", "/other/victim"])
def test_an_edited_report_writes_neither_value_nor_tags_to_a_parameter_without_an_owner(
    name: str, former: int, action: str
) -> None:
    aws = SimulatedAws(replication(include=(Glob("/p/**"),), holds=HELD))
    aws.put("/p/a", "1")
    aws.apply(replace(aws.spec, holds=()))
    aws.put("/p/a", "2")
    report = aws.apply(replace(aws.spec, holds=()))
    for value in ("x", "y"):
        aws.put(name, value, region="us-east-2", tags={"team": "theirs"})
        aws.pass_time()
    owner = (aws.world.tags(aws.there, "/p/a") or {})[OWNER]
    plan = edited(
        aws,
        report,
        name=name,
        action=action,
        before=state_of(aws, name, former),
        after=state_of(aws, name, 2),
        tags={"before": {"team": "edited", OWNER: owner}, "after": {"team": "theirs", RECORD: "x"}},
    )
    assert plan.changes == ()
    assert "its ownership tags were removed" in reasons(plan)


def undone_take_over(spec: Replication) -> tuple[SimulatedAws, Report, Mapping[str, str]]:
    """Return an AWS with an undone take-over, its report, and the ownership tags that the undo removed."""
    aws = SimulatedAws(spec)
    aws.put("/p/a", "ours")
    aws.put("/p/a", "theirs", region="us-east-2")
    report = aws.apply(replace(spec, holds=()))
    tags = aws.world.tags(aws.there, "/p/a") or {}
    return aws, aws.undo(report, run=LIFTED), tags


@pytest.mark.parametrize(
    ("name", "source", "reason"),
    [
        ("/p/victim", "/p/victim", ""),
        ("/p/victim", "/p/x/victim", ""),
        ("/p/victim", "/p/a", "the spec does not place /p/a there"),
        ("/p/victim", "/other/victim", "the spec does not place /other/victim there"),
        ("/other/victim", "/other/victim", "the spec does not place /other/victim there"),
        ("/p/not/victim", "/p/not/victim", "the spec does not place /p/not/victim there"),
    ],
)
def test_a_take_over_in_an_edited_report_is_made_only_where_the_spec_places_its_source(
    name: str, source: str, reason: str
) -> None:
    spec = replication(
        adopt=AdoptMode.OVERWRITE,
        include=(Glob("/p/**"),),
        exclude=(Glob("/p/not/**"),),
        rewrites=(Rewrite(Glob("/p/x/**"), RewriteIn.NAME, "/x", ""),),
        holds=HELD,
    )
    aws, report, tags = undone_take_over(spec)
    for value in ("one", "two"):
        aws.put(name, value, region="us-east-2")
    states = {"before": state_of(aws, name, 1), "after": state_of(aws, name, 2)}
    plan = edited(aws, report, name=name, tags__before=forged_owner(aws, tags, name, source), **states)
    assert [change.takes_over for change in plan.changes] == ([] if reason else [True])
    assert reason in reasons(plan)


@pytest.mark.parametrize(
    ("lost", "reason"),
    [(SOURCE, "do not name its source"), (OWNER, "not those of a parameter before an apply")],
)
def test_a_take_over_whose_former_tags_lack_the_source_or_the_owner_is_not_made_again(
    lost: str, reason: str
) -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/x", "")
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE, rewrites=(moved,)))
    aws.put("/p/x/a", "ours")
    aws.put("/p/a", "theirs", region="us-east-2")
    report = aws.apply()
    tags = aws.world.tags(aws.there, "/p/a") or {}
    undone = aws.undo(report, run=LIFTED)
    assert len(aws.plan_undo(undone, run=LIFTED).changes) == 1
    plan = edited(
        aws, undone, tags__before={key: tags[key] for key in (OWNER, RECORD, SOURCE) if key != lost}
    )
    assert plan.changes == ()
    assert reason in reasons(plan)


def test_a_value_of_another_writer_is_not_taken_for_a_half_done_undo() -> None:
    """Version 3 could be the former value that a failed undo wrote; only a comparison shows it."""
    aws, report = replicated()
    aws.put("/p/a", "theirs", SECURE, region="us-east-2")
    plan = aws.plan_undo(report, run=LIFTED)
    done = aws.carry_out(plan, run=LIFTED)
    assert [one.result.value for one in done.outcomes] == ["stale"]
    assert aws.value("/p/a") == "theirs"
    assert "first" not in repr(done)
