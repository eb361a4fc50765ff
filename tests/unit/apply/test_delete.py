"""Deletes: last of all, by ten, and only on what was confirmed right before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER
from ssm_reconcile.report import Report
from ssm_reconcile.spec import Glob, Orphans, Run
from tests.builders import Stage, counted, outcome, replication
from tests.fake_aws.traffic import AWAIT_TURN, Fault, at_call, lost, refused

Act = Callable[[Stage], object]
MANY = Run(max_deletes=100)


def going(count: int = 1, kept: int = 2) -> tuple[Stage, Plan]:
    """A stage on which deletes are planned; `kept` other parameters stay."""
    stage = Stage()
    for i in range(count + kept):
        stage.world.put(stage.here, f"/p/{i:02}", f"v{i}")
    stage.apply()
    stage.world.delete(stage.here, *(f"/p/{i:02}" for i in range(count)))
    stage.pass_time()
    plan = stage.plan(MANY)
    assert counted(plan) == {"delete": count, "in_sync": kept}
    stage.world.traffic.forget()
    return stage, plan


def result(report: Report, name: str = "/p/00") -> tuple[str, str]:
    one = outcome(report, name)
    return one.result.value, one.error


def deletes(stage: Stage) -> list[tuple[str, ...]]:
    return [call.names for call in stage.world.calls if call.operation == "DeleteParameters"]


def struck(operation: str, place: Any, fault: Fault, name: str = "") -> Callable[..., Fault | None]:
    return lambda called, where, names, _nth: (
        fault if (called, where) == (operation, place) and (not name or name in names) else None
    )


def test_they_go_by_ten_and_what_is_kept_stays() -> None:
    stage, plan = going(23)
    report = stage.carry_out(plan, MANY)
    assert report.summary["applied"] == 23
    assert sorted(map(len, deletes(stage))) == [3, 10, 10]
    assert stage.world.names(stage.there) == ["/p/23", "/p/24"]
    assert (report.exit_code, report.remaining) == (0, ())


def test_they_come_after_everything_else() -> None:
    stage, _ = going(3)
    for i in range(12):
        stage.world.put(stage.here, f"/p/x{i}", "v")
    stage.world.put(stage.here, "/p/03", "new")
    plan = stage.plan(MANY)
    stage.world.traffic.forget()
    stage.carry_out(plan, MANY)
    operations = [call.operation for call in stage.world.traffic.writes()]
    assert operations.index("DeleteParameters") == len(operations) - 1


def test_each_is_confirmed_by_its_own_tags_right_before() -> None:
    stage, plan = going(4)
    stage.carry_out(plan, MANY)
    operations = [(c.operation, c.place == stage.there, len(c.names)) for c in stage.world.calls][1 + 1 :]
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
    stage, plan = going(3)
    act(stage)
    before = stage.world.state()[stage.there].get("/p/00")
    report = stage.carry_out(plan, MANY)
    assert result(report) == (state, message)
    assert report.summary["applied"] == 2
    assert stage.world.state()[stage.there].get("/p/00") == before
    assert deletes(stage) == [("/p/01", "/p/02")]


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda s: s.world.put(s.there, "/p/00", "hand"), "stale"),
        (lambda s: s.world.delete(s.there, "/p/00"), "stale"),
        (lambda s: s.world.put(s.here, "/p/00", "back"), "withheld"),
    ],
)
def test_the_last_look_comes_after_the_wait_for_a_turn(act: Act, state: str) -> None:
    stage, plan = going(2)
    stage.world.before(AWAIT_TURN, lambda: act(stage), name="delete")
    report = stage.carry_out(plan, MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == (state, "applied")
    assert deletes(stage) == [("/p/01",)]


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.LOST, Trouble.THROTTLED])
def test_a_delete_without_confirmed_tags_is_not_made(kind: Trouble) -> None:
    stage, plan = going(2)
    stage.world.faults = struck("ListTagsForResource", stage.there, refused(kind), "/p/00")
    report = stage.carry_out(plan, MANY)
    state, error = result(report)
    assert state == "withheld"
    assert "its ownership could not be confirmed" in error
    assert result(report, "/p/01")[0] == "applied"
    assert report.exit_code == 5


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.UNREACHABLE, Trouble.LOST])
def test_a_source_that_cannot_be_read_is_not_gone(kind: Trouble) -> None:
    stage, plan = going(3)
    stage.world.faults = struck("GetParameters", stage.here, refused(kind))
    report = stage.carry_out(plan, MANY)
    assert report.summary["withheld"] == 3
    assert "whether its source is gone could not be confirmed" in result(report)[1]
    assert deletes(stage) == []


def test_a_replica_whose_version_cannot_be_read_is_kept() -> None:
    stage, plan = going(2)
    stage.world.faults = struck("GetParameters", stage.there, refused(Trouble.DENIED), "/p/00")
    report = stage.carry_out(plan, MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == ("withheld", "applied")


def test_an_orphan_needs_no_absence_of_its_source() -> None:
    stage = Stage()
    stage.replicate("/p/a")
    stage.replicate("/p/b")
    stage.spec = replication(include=(Glob("/p/b"),), orphans=Orphans.DELETE)
    assert stage.apply().summary["applied"] == 1
    assert stage.world.names(stage.there) == ["/p/b"]


def test_one_that_we_may_not_delete_does_not_keep_the_other_nine() -> None:
    stage, plan = going(10)
    stage.world.faults = struck("DeleteParameters", stage.there, refused(Trouble.DENIED), "/p/04")
    report = stage.carry_out(plan, MANY)
    assert result(report, "/p/04") == ("failed", "DeleteParameters: AccessDeniedException")
    assert report.summary["applied"] == 9
    assert stage.world.names(stage.there) == ["/p/04", "/p/10", "/p/11"]
    assert report.exit_code == 3


def test_of_two_one_that_we_may_not_delete_does_not_keep_the_other() -> None:
    stage, plan = going(2)
    stage.world.faults = struck("DeleteParameters", stage.there, refused(Trouble.DENIED), "/p/00")
    report = stage.carry_out(plan, MANY)
    assert (result(report)[0], result(report, "/p/01")[0]) == ("failed", "applied")


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_looked_into(*, done: bool) -> None:
    stage, plan = going(3)
    stage.world.faults = at_call("DeleteParameters", lost(done=done), nth=1)
    report = stage.carry_out(plan, MANY)
    assert report.summary["applied"] == 3
    assert len(deletes(stage)) == (1 if done else 2)
    assert report.remaining == ()


def test_throttling_is_waited_out() -> None:
    stage, plan = going(3)
    stage.world.faults = lambda operation, _place, _names, nth: (
        refused(Trouble.THROTTLED) if operation == "DeleteParameters" and nth < 4 else None
    )
    assert stage.carry_out(plan, MANY).summary["applied"] == 3


def test_before_another_try_everything_is_looked_at_again() -> None:
    stage, plan = going(3)
    stage.world.faults = at_call("DeleteParameters", refused(Trouble.THROTTLED), nth=1)
    stage.world.before("DeleteParameters", lambda: stage.world.put(stage.here, "/p/01", "back"))
    report = stage.carry_out(plan, MANY)
    assert result(report, "/p/01") == ("withheld", "its source exists")
    assert deletes(stage)[-1] == ("/p/00", "/p/02")
    assert stage.value("/p/01") == "v1"


def test_a_refusal_fails_them_with_operation_and_code() -> None:
    stage, plan = going(1)
    stage.world.faults = at_call("DeleteParameters", refused(Trouble.REFUSED, "InternalRefusal"))
    assert result(stage.carry_out(plan, MANY)) == ("failed", "DeleteParameters: InternalRefusal")
