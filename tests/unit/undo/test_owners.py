"""Undo of values that were not ours: parameters that were taken over, and changes outside ssm-reconcile."""

from __future__ import annotations

import pytest

from ssm_reconcile.change import Restore
from ssm_reconcile.documents.encode import change_entry, report_document
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import NO_SOURCE, OWNER, RECORD, SOURCE, Origin, record_of
from ssm_reconcile.renderers.changes import change_view
from ssm_reconcile.renderers.outline import kind_of
from ssm_reconcile.report import Report
from ssm_reconcile.spec import AdoptMode, Glob, Rewrite, RewriteIn, Run
from tests.builders import counted, replication
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.undo.test_undo import LIFTED, reasons, state


def overwritten_outside() -> tuple[SimulatedAws, Report]:
    """A value of another writer that `apply --overwrite-outside` has overwritten."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.put("/p/a", "theirs", region="us-east-2")
    aws.put("/p/a", "new", tags={"team": "b"})
    return aws, aws.apply(run=Run(overwrite_outside=True))


def test_the_returned_value_of_another_writer_is_protected_as_before_the_apply() -> None:
    aws, report = overwritten_outside()
    plan = aws.plan_undo(report, run=LIFTED)
    assert "its former value is that of another writer, and counts as changed outside again" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 0
    assert (aws.value("/p/a"), aws.plain_tags("/p/a")) == ("theirs", {"team": "a"})
    again = aws.undo(report, run=LIFTED)
    assert (again.outcomes, again.exit_code) == ((), 0)
    after = aws.plan()
    assert [change.withheld_by for change in after.changes] == [("changed-outside",)]
    assert "changed outside ssm-reconcile, and returned by an undo" in reasons(after)
    assert aws.carry_out(after).exit_code == 5
    assert aws.apply(run=Run(overwrite_outside=True)).summary["applied"] == 1
    assert aws.value("/p/a") == "new"
    aws.put("/p/a", "next")
    assert aws.apply().summary["applied"] == 1, "the replica holds a value of its source again"


def test_the_protection_survives_an_undo_of_an_undo_and_its_undo() -> None:
    aws, report = overwritten_outside()
    undone = aws.undo(report, run=LIFTED)
    again = aws.undo(undone, run=LIFTED)
    assert aws.value("/p/a") == "new"
    assert [change.withheld_by for change in aws.plan().changes] == [()]
    aws.undo(again, run=LIFTED)
    assert aws.value("/p/a") == "theirs"
    assert [change.withheld_by for change in aws.plan().changes] == [("changed-outside",)]


def test_the_own_value_of_a_run_that_failed_is_not_that_of_another_writer() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.put("/p/a", "bad", tags={"team": "b"})
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
    aws.apply()
    aws.world.faults = None
    aws.put("/p/a", "worse", tags={"team": "c"})
    report = aws.apply()
    aws.undo(report, run=LIFTED)
    assert aws.value("/p/a") == "bad"
    assert [change.withheld_by for change in aws.plan().changes] == [()]


def test_the_record_of_a_value_of_another_writer_names_no_source_version() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    for number in range(120):
        aws.put("/p/a", f"theirs {number}", region="us-east-2")
    aws.put("/p/a", "new")
    report = aws.apply(run=Run(overwrite_outside=True))
    aws.world.traffic.forget()
    plan = aws.plan_undo(report, run=LIFTED)
    assert aws.world.traffic.count("GetParameterHistory") == 2, "100 versions in two pages"
    change = plan.changes[0]
    assert isinstance(change.effect, Restore)
    assert change.effect.record is not None
    assert change.effect.record.source_version == NO_SOURCE


def test_a_take_over_returns_the_value_and_the_ownership() -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours", tags={"team": "a"})
    aws.put("/p/a", "theirs", region="us-east-2", tags={"team": "b"})
    report = aws.apply()
    assert aws.value("/p/a") == "ours"
    aws.undo(report, run=LIFTED)
    assert (aws.value("/p/a"), aws.world.tags(aws.there, "/p/a")) == ("theirs", {"team": "b"})


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_an_undo_of_a_take_over_can_be_undone(kind: str) -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours", kind, tags={"team": "a"})
    aws.put("/p/a", "theirs", kind, region="us-east-2", tags={"team": "b"})
    report = aws.apply()
    after, tags = state(aws), aws.world.tags(aws.there, "/p/a") or {}
    undone = aws.undo(report, run=LIFTED)
    assert aws.world.tags(aws.there, "/p/a") == {"team": "b"}
    plan = aws.plan_undo(undone, run=LIFTED)
    assert "it is a replica again" in reasons(plan)
    again = aws.carry_out(plan, run=LIFTED)
    assert (again.summary["applied"], state(aws)) == (1, after)
    now = aws.world.tags(aws.there, "/p/a") or {}
    record = record_of(now)
    assert record is not None
    assert (now[OWNER], record.version, record.source_version) == (tags[OWNER], 4, NO_SOURCE)
    aws.undo(again, run=LIFTED)
    assert (aws.value("/p/a"), aws.world.tags(aws.there, "/p/a")) == ("theirs", {"team": "b"})


@pytest.mark.parametrize(("kind", "title"), [("String", "take over"), (SECURE, "older secret")])
def test_a_take_over_that_is_done_again_is_listed_under_danger(kind: str, title: str) -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours", kind)
    aws.put("/p/a", "theirs", kind, region="us-east-2")
    undone = aws.undo(aws.apply(), run=LIFTED)
    again = aws.undo(undone, run=LIFTED)
    (change,) = again.plan.changes
    found = kind_of(change_view(change_entry(change), str(aws.here), "us-east-2"))
    assert (found.word, found.is_dangerous) == (title, True)
    (entry,) = report_document(again, tool_version="1", created=aws.clock.now())["outcomes"]
    assert entry["takes_over"] is True
    assert not undone.plan.changes[0].takes_over


@pytest.mark.parametrize("kind", ["String", SECURE])
@pytest.mark.parametrize("removed", [(OWNER,), (OWNER, RECORD)])
def test_a_take_over_that_someone_released_since_is_left(kind: str, removed: tuple[str, ...]) -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours", kind)
    aws.put("/p/a", "theirs", kind, region="us-east-2")
    report = aws.apply()
    aws.world.untag(aws.there, "/p/a", *removed)
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "its ownership tags were removed" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert (aws.value("/p/a"), aws.version("/p/a")) == ("ours", 2)


def test_an_undo_of_a_take_over_of_a_parameter_with_an_old_record_can_be_undone() -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/x", "")
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE, rewrites=(moved,)))
    aws.put("/p/x/a", "old")
    aws.apply()
    aws.world.untag(aws.there, "/p/a", OWNER, SOURCE)
    before = aws.world.tags(aws.there, "/p/a") or {}
    aws.put("/p/x/a", "ours")
    report = aws.apply()
    after = aws.world.tags(aws.there, "/p/a") or {}
    undone = aws.undo(report, run=LIFTED)
    assert (aws.value("/p/a"), (aws.world.tags(aws.there, "/p/a") or {}).keys()) == ("old", before.keys())
    assert aws.undo(undone, run=LIFTED).summary["applied"] == 1
    now = aws.world.tags(aws.there, "/p/a") or {}
    assert (aws.value("/p/a"), now[OWNER], now[SOURCE]) == ("ours", after[OWNER], after[SOURCE])
    record = record_of(now)
    assert record is not None
    assert (record.version, record.origin, record.source_version) == (4, Origin.ADOPTED, NO_SOURCE)


def test_the_source_name_of_the_record_in_the_report_hides_the_values_of_an_undo_of_an_undo() -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/hidden", "")
    spec = replication(adopt=AdoptMode.OVERWRITE, rewrites=(moved,), hide=(Glob("/p/hidden/**"),))
    aws = SimulatedAws(spec)
    aws.put("/p/hidden/a", "our-text")
    aws.put("/p/a", "their-text", region="us-east-2")
    undone = aws.undo(aws.apply(), run=LIFTED)
    assert aws.value("/p/a") == "their-text"
    plan = aws.plan_undo(undone, run=LIFTED)
    assert counted(plan) == {"update": 1}
    assert "-text" not in repr(plan)
