"""An undo of which one call fails: each change has an outcome, and a second undo completes it."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import OWNER
from ssm_reconcile.report import Report, Result
from ssm_reconcile.spec import AdoptMode, Run
from tests.builders import replication
from tests.fake_aws.traffic import Fault, at_call, lost, refused
from tests.simulated_aws import SimulatedAws

LIFTED = Run(without_hold=True, max_deletes=100, max_change_percent=100)
TAKEN_BACK = ("already taken back: it is as it was before the apply",)
CALLS = {
    "PutParameter": 3,
    "AddTagsToResource": 4,
    "RemoveTagsFromResource": 5,
    "DeleteParameters": 1,
    "GetParameters": 6,
    "ListTagsForResource": 6,
}
"""The operations of an undo of all six changes, and the number of the last call that a fault strikes."""
FAULTS: dict[str, Fault] = {
    "denied": refused(Trouble.DENIED),
    "credentials": refused(Trouble.CREDENTIALS),
    "lost": lost(done=False),
    "lost, done": lost(done=True),
}


def mixed() -> tuple[SimulatedAws, dict[str, Any], Report]:
    """Return an AWS with an apply of each kind of change, what was there before, and the report."""
    aws, before, report = _mixed()
    return aws.copy(), before, report


@cache
def _mixed() -> tuple[SimulatedAws, dict[str, Any], Report]:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    for name, kind in (("/p/plain", "String"), ("/p/secret", SECURE), ("/p/tags", "String")):
        aws.put(name, "one", kind, tags={"team": "a", "gone": "1"})
    aws.apply()
    aws.put("/p/adopted", "same", tags={"team": "a"})
    aws.put("/p/adopted", "same", region="us-east-2", tags={"team": "a"})
    aws.put("/p/taken", "ours", tags={"team": "a"})
    aws.put("/p/taken", "theirs", region="us-east-2", tags={"owner": "them"})
    before = held(aws)
    aws.put("/p/created", "new")
    for name, kind in (("/p/plain", "String"), ("/p/secret", SECURE)):
        aws.put(name, "two", kind)
    for name in ("/p/plain", "/p/secret", "/p/tags"):
        aws.world.tag(aws.here, name, {"team": "b", "more": "2"})
        aws.world.untag(aws.here, name, "gone")
    report = aws.apply()
    assert report.summary["applied"] == 6
    return aws, before, report


def held(aws: SimulatedAws) -> dict[str, Any]:
    """Return value, type and user tags of all parameters of the target."""
    names = aws.names("us-east-2")
    return {name: (aws.value(name), aws.live(name).type, aws.plain_tags(name)) for name in names}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize(
    ("operation", "nth"), [(name, nth) for name, count in CALLS.items() for nth in range(1, count + 1)]
)
def test_a_second_undo_completes_an_undo_of_which_a_call_failed(operation: str, nth: int, kind: str) -> None:
    aws, before, report = mixed()
    plan = aws.plan_undo(report, run=LIFTED)
    assert len(plan.changes) == 6
    aws.world.traffic.forget()
    aws.world.faults = at_call(operation, FAULTS[kind], nth=nth)
    first = aws.carry_out(plan, run=LIFTED)
    assert {one.result for one in first.outcomes} <= set(Result)
    assert len(first.outcomes) == 6
    aws.world.faults = None
    aws.pass_time()
    second = aws.undo(report, run=LIFTED)
    assert second.summary["applied"] == len(second.outcomes)
    assert held(aws) == before
    left = {one.name for one in second.plan.others if one.counted == "invalid"}
    assert left == set()


def test_nothing_is_done_twice() -> None:
    aws, before, report = mixed()
    aws.undo(report, run=LIFTED)
    state = aws.world.state()
    again = aws.undo(report, run=LIFTED)
    assert again.outcomes == ()
    assert {other.reasons for other in again.plan.others} == {TAKEN_BACK}
    assert (len(again.plan.others), again.exit_code) == (6, 0)
    assert aws.world.state() == state
    assert held(aws) == before


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("operation", ["AddTagsToResource", "RemoveTagsFromResource"])
def test_an_adoption_of_a_parameter_with_an_old_record_is_completed_too(operation: str, kind: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", tags={"team": "a"})
    aws.world.untag(aws.there, "/p/a", OWNER)
    before = aws.world.tags(aws.there, "/p/a")
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    aws.world.traffic.forget()
    aws.world.faults = at_call(operation, FAULTS[kind], nth=1)
    aws.carry_out(plan, run=LIFTED)
    aws.world.faults = None
    aws.undo(report, run=LIFTED)
    assert aws.world.tags(aws.there, "/p/a") == before
    again = aws.undo(report, run=LIFTED)
    assert [other.reasons for other in again.plan.others] == [TAKEN_BACK]


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_an_undo_of_an_undo_that_was_taken_back_is_listed_as_such(kind: str) -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "ours", kind)
    aws.put("/p/a", "theirs", kind, region="us-east-2")
    undone = aws.undo(aws.apply(), run=LIFTED)
    aws.undo(undone, run=LIFTED)
    again = aws.undo(undone, run=LIFTED)
    assert (again.outcomes, again.exit_code) == ((), 0)
    assert [other.reasons for other in again.plan.others] == [TAKEN_BACK]


@pytest.mark.parametrize("tags", [{"team": "b"}, {"team": "a"}])
def test_a_record_that_another_apply_wrote_since_is_not_that_of_an_undo(tags: dict[str, str]) -> None:
    """After the apply, the replica gets the tags of the source again; by its record nothing else differs."""
    aws = SimulatedAws()
    aws.replicate("/p/a", tags={"team": "a"})
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    report = aws.apply()
    aws.world.tag(aws.there, "/p/a", {"team": "theirs"})
    aws.world.tag(aws.here, "/p/a", tags)
    assert aws.apply().summary["applied"] == 1
    again = aws.undo(report, run=LIFTED)
    assert again.outcomes == ()
    assert again.exit_code == (3 if tags == {"team": "b"} else 0)


def test_a_replica_that_was_updated_to_the_next_version_since_is_not_taken_back() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    aws.put("/p/a", "new")
    report = aws.apply()
    aws.put("/p/a", "old")
    aws.apply()
    again = aws.undo(report, run=LIFTED)
    assert again.exit_code == 3
    assert "its record was written again" in again.plan.others[0].reasons[0]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_mark_whose_removal_failed_is_removed_by_a_second_undo(kind: str) -> None:
    aws = SimulatedAws(replication(grace=timedelta(days=7)))
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    before = aws.world.tags(aws.there, "/p/a")
    aws.delete("/p/a")
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    aws.world.traffic.forget()
    aws.world.faults = at_call("RemoveTagsFromResource", FAULTS[kind], nth=1)
    aws.carry_out(plan, run=LIFTED)
    aws.world.faults = None
    assert aws.undo(report, run=LIFTED).exit_code == 0
    assert aws.world.tags(aws.there, "/p/a") == before
