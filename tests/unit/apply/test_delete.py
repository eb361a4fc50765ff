"""Deletes: last of all, by ten, and only on what was confirmed right before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ssm_reconcile.apply.delete import delete_replicas
from ssm_reconcile.errors import Trouble
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER
from ssm_reconcile.report import Report
from ssm_reconcile.spec import Glob, Orphans, Run
from tests.builders import counted, outcome, replication
from tests.fake_aws.traffic import AWAIT_TURN, Fault, at_call, lost, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.apply.context import work

Act = Callable[[SimulatedAws], object]
MANY = Run(max_deletes=100)


def going(count: int = 1, kept: int = 2) -> tuple[SimulatedAws, Plan]:
    """An AWS on which deletes are planned; `kept` other parameters stay."""
    aws = SimulatedAws()
    for i in range(count + kept):
        aws.put(f"/p/{i:02}", f"v{i}")
    aws.apply()
    aws.delete(*(f"/p/{i:02}" for i in range(count)))
    aws.pass_time()
    plan = aws.plan(run=MANY)
    assert counted(plan) == {"delete": count, "in_sync": kept}
    aws.world.traffic.forget()
    return aws, plan


def result(report: Report, name: str = "/p/00") -> tuple[str, str]:
    one = outcome(report, name)
    return one.result.value, one.error


def deletes(aws: SimulatedAws) -> list[tuple[str, ...]]:
    return [call.names for call in aws.world.calls if call.operation == "DeleteParameters"]


def struck(operation: str, place: Any, fault: Fault, name: str = "") -> Callable[..., Fault | None]:
    return lambda called, where, names, _nth: (
        fault if (called, where) == (operation, place) and (not name or name in names) else None
    )


def test_they_go_by_ten_and_what_is_kept_stays() -> None:
    aws, plan = going(23)
    report = aws.carry_out(plan, run=MANY)
    assert report.summary["applied"] == 23
    assert sorted(map(len, deletes(aws))) == [3, 10, 10]
    assert aws.world.names(aws.there) == ["/p/23", "/p/24"]
    assert (report.exit_code, report.remaining) == (0, ())


def test_they_come_after_everything_else() -> None:
    aws, _ = going(3)
    for i in range(12):
        aws.put(f"/p/x{i}", "v")
    aws.put("/p/03", "new")
    plan = aws.plan(run=MANY)
    aws.world.traffic.forget()
    aws.carry_out(plan, run=MANY)
    operations = [call.operation for call in aws.world.traffic.writes()]
    assert operations.index("DeleteParameters") == len(operations) - 1


def test_each_is_confirmed_by_its_own_tags_right_before() -> None:
    aws, plan = going(4)
    aws.carry_out(plan, run=MANY)
    operations = [(c.operation, c.place == aws.there, len(c.names)) for c in aws.world.calls][1 + 1 :]
    assert operations[:7] == [
        ("ListTagsForResource", True, 1),
        ("ListTagsForResource", True, 1),
        ("ListTagsForResource", True, 1),
        ("ListTagsForResource", True, 1),
        ("GetParameters", True, 4),
        ("GetParameters", False, 4),
        ("DeleteParameters", True, 4),
    ]


@pytest.mark.parametrize(
    ("act", "state", "message"),
    [
        (lambda s: s.world.put(s.here, "/p/00", "back"), "withheld", "its source exists"),
        (
            lambda s: s.world.put(s.there, "/p/00", "hand"),
            "stale",
            "it is at version 2, and the plan saw version 1",
        ),
        (lambda s: s.world.delete(s.there, "/p/00"), "stale", "it is gone"),
        (
            lambda s: s.world.untag(s.there, "/p/00", OWNER),
            "stale",
            "its ownership has changed since the plan: it is free",
        ),
        (
            lambda s: s.world.tag(s.there, "/p/00", {"skip_sync": ""}),
            "stale",
            "it has the tag skip_sync itself now",
        ),
        (
            lambda s: s.world.tag(s.there, "/p/00", {OWNER: "detached:x"}),
            "stale",
            "its ownership has changed since the plan: it is detached",
        ),
    ],
)
def test_a_changed_replica_is_kept_and_the_others_are_deleted(act: Act, state: str, message: str) -> None:
    aws, plan = going(3)
    act(aws)
    before = aws.world.state()[aws.there].get("/p/00")
    report = aws.carry_out(plan, run=MANY)
    assert result(report) == (state, message)
    assert report.summary["applied"] == 2
    assert aws.world.state()[aws.there].get("/p/00") == before
    assert deletes(aws) == [("/p/01", "/p/02")]


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda s: s.world.put(s.there, "/p/00", "hand"), "stale"),
        (lambda s: s.world.delete(s.there, "/p/00"), "stale"),
        (lambda s: s.world.put(s.here, "/p/00", "back"), "withheld"),
    ],
)
def test_the_last_look_comes_after_the_wait_for_a_turn(act: Act, state: str) -> None:
    aws, plan = going(2)
    aws.world.before(AWAIT_TURN, lambda: act(aws), name="delete")
    report = aws.carry_out(plan, run=MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == (state, "applied")
    assert deletes(aws) == [("/p/01",)]


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.LOST, Trouble.THROTTLED])
def test_a_delete_without_confirmed_tags_is_not_made(kind: Trouble) -> None:
    aws, plan = going(2)
    aws.world.faults = struck("ListTagsForResource", aws.there, refused(kind), "/p/00")
    report = aws.carry_out(plan, run=MANY)
    state, error = result(report)
    assert state == "withheld"
    assert "its ownership could not be confirmed" in error
    assert result(report, "/p/01")[0] == "applied"
    assert report.exit_code == 5


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.UNREACHABLE, Trouble.LOST])
def test_a_source_that_cannot_be_read_is_not_gone(kind: Trouble) -> None:
    aws, plan = going(3)
    aws.world.faults = struck("GetParameters", aws.here, refused(kind))
    report = aws.carry_out(plan, run=MANY)
    assert report.summary["withheld"] == 3
    assert "whether its source is gone could not be confirmed" in result(report)[1]
    assert deletes(aws) == []


def test_a_replica_whose_version_cannot_be_read_is_kept() -> None:
    aws, plan = going(2)
    aws.world.faults = struck("GetParameters", aws.there, refused(Trouble.DENIED), "/p/00")
    report = aws.carry_out(plan, run=MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == ("withheld", "applied")


def test_an_orphan_needs_no_absence_of_its_source() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a")
    aws.replicate("/p/b")
    aws.spec = replication(include=(Glob("/p/b"),), orphans=Orphans.DELETE)
    assert aws.apply().summary["applied"] == 1
    assert aws.world.names(aws.there) == ["/p/b"]


@pytest.mark.parametrize(
    ("kind", "code"), [(Trouble.DENIED, "AccessDeniedException"), (Trouble.REFUSED, "InternalRefusal")]
)
def test_one_that_aws_refuses_to_delete_does_not_keep_the_other_nine(kind: Trouble, code: str) -> None:
    aws, plan = going(10)
    aws.world.faults = struck("DeleteParameters", aws.there, refused(kind, code), "/p/04")
    report = aws.carry_out(plan, run=MANY)
    assert result(report, "/p/04") == ("failed", f"DeleteParameters: {code}")
    assert report.summary["applied"] == 9
    assert aws.world.names(aws.there) == ["/p/04", "/p/10", "/p/11"]
    assert report.exit_code == 3


def test_of_two_one_that_we_may_not_delete_does_not_keep_the_other() -> None:
    aws, plan = going(2)
    aws.world.faults = struck("DeleteParameters", aws.there, refused(Trouble.DENIED), "/p/00")
    report = aws.carry_out(plan, run=MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == ("failed", "applied")


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_looked_into(*, done: bool) -> None:
    aws, plan = going(3)
    aws.world.faults = at_call("DeleteParameters", lost(done=done), nth=1)
    report = aws.carry_out(plan, run=MANY)
    assert report.summary["applied"] == 3
    assert len(deletes(aws)) == (1 if done else 2)
    assert report.remaining == ()


def test_after_a_lost_response_only_the_replicas_that_are_gone_are_reported_as_deleted() -> None:
    aws, plan = going(2)
    aws.world.faults = at_call("DeleteParameters", lost(done=False), nth=1)
    aws.world.before("DeleteParameters", lambda: aws.world.delete(aws.there, "/p/00"))
    report = aws.carry_out(plan, run=MANY)
    assert result(report, "/p/00") == ("applied", "")
    assert result(report, "/p/01") == ("failed", "DeleteParameters: AWS did not delete it")
    assert (aws.value("/p/01"), report.exit_code) == ("v1", 3)


def test_throttling_is_waited_out() -> None:
    aws, plan = going(3)
    aws.world.faults = lambda operation, _place, _names, nth: (
        refused(Trouble.THROTTLED) if operation == "DeleteParameters" and nth < 4 else None
    )
    assert aws.carry_out(plan, run=MANY).summary["applied"] == 3


def test_before_another_try_everything_is_looked_at_again() -> None:
    aws, plan = going(3)
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.THROTTLED), nth=1)
    aws.world.before("DeleteParameters", lambda: aws.put("/p/01", "back"))
    report = aws.carry_out(plan, run=MANY)
    assert result(report, "/p/01") == ("withheld", "its source exists")
    assert deletes(aws)[-1] == ("/p/00", "/p/02")
    assert aws.value("/p/01") == "v1"


def test_a_refusal_fails_them_with_operation_and_code() -> None:
    aws, plan = going(1)
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.REFUSED, "InternalRefusal"))
    assert result(aws.carry_out(plan, run=MANY)) == ("failed", "DeleteParameters: InternalRefusal")


def test_an_outcome_reports_whether_the_delete_was_sent_and_which_call_failed() -> None:
    aws, plan = going(3)
    aws.world.faults = struck("DeleteParameters", aws.there, refused(Trouble.DENIED), "/p/00")
    aws.put("/p/01", "again")
    report = aws.carry_out(plan, run=MANY)
    found = {name: outcome(report, name) for name in ("/p/00", "/p/01", "/p/02")}
    assert [one.sent for one in found.values()] == [True, False, True]
    assert [one.trouble for one in found.values()] == [Trouble.DENIED, None, None]


def test_a_delete_that_was_sent_is_reported_as_sent_and_one_that_was_not_is_not() -> None:
    aws, plan = going()
    change, steps = plan.changes[0], work(aws, MANY)
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.REFUSED), nth=1)
    assert [one.sent for one in delete_replicas(steps, [change])] == [True]
    aws.world.put(aws.there, "/p/00", "by hand")
    assert [one.sent for one in delete_replicas(steps, [change])] == [False]


def test_an_unconfirmed_owner_is_reported_with_the_call_that_failed() -> None:
    aws, plan = going()
    aws.world.faults = struck("ListTagsForResource", aws.there, refused(Trouble.DENIED))
    one = outcome(aws.carry_out(plan, run=MANY), "/p/00")
    assert (one.result.value, one.sent, one.trouble) == ("withheld", False, Trouble.DENIED)
