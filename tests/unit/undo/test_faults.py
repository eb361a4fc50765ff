"""An undo of which one call fails: each change has an outcome, and a second undo completes it."""

from __future__ import annotations

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
WRITES = ("PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters")
READS = ("GetParameters", "ListTagsForResource")
FAULTS: dict[str, Fault] = {
    "denied": refused(Trouble.DENIED),
    "credentials": refused(Trouble.CREDENTIALS),
    "lost": lost(done=False),
    "lost, done": lost(done=True),
}


def mixed() -> tuple[SimulatedAws, dict[str, Any], Report]:
    """Return an AWS with an apply of each kind of change, what was there before, and the report."""
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
@pytest.mark.parametrize("nth", range(1, 7))
@pytest.mark.parametrize("operation", [*WRITES, *READS])
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
