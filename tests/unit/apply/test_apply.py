"""A whole apply: every change has one outcome, and one failure never stops the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from ssm_reconcile.change import Action
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, Access, Place
from ssm_reconcile.plan import Plan
from ssm_reconcile.reconcile import carry_out
from ssm_reconcile.report import Report, Result
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Run
from ssm_reconcile.system import Phase
from tests.builders import Watched, counted, outcome, replication, store_error, target
from tests.doubles.clock import StopFlag
from tests.fake_aws.traffic import Fault, FaultPlan, at_call, at_write, killed, lost, refused
from tests.simulated_aws import SimulatedAws

SERIAL = Run(parallelism=1)


def mixed(aws: SimulatedAws | None = None) -> SimulatedAws:
    """A source that moved on from its replicas in every way."""
    return arrange(aws) if aws else arranged().copy()


@cache
def arranged() -> SimulatedAws:
    """Return the AWS that each test copies."""
    return arrange(SimulatedAws())


def arrange(aws: SimulatedAws) -> SimulatedAws:
    for i in range(30):
        aws.put(f"/p/{i:02}", f"v{i}", SECURE if i % 3 == 0 else "String", tags={"t": "1"})
    aws.apply()
    for i in range(3):
        aws.put(f"/p/{i:02}", "new", SECURE if i % 3 == 0 else "String")
    for i in range(3, 6):
        aws.world.tag(aws.here, f"/p/{i:02}", {"t": "2"})
    aws.delete("/p/06", "/p/07", "/p/08")
    for i in range(30, 33):
        aws.put(f"/p/{i:02}", "fresh", tags={"t": "1"})
    for i in range(33, 35):
        aws.put(f"/p/{i:02}", "both")
        aws.world.put(aws.there, f"/p/{i:02}", "both")
    aws.pass_time()
    aws.world.traffic.forget()
    return aws


MIXED = {"update": 3, "retag": 3, "delete": 3, "create": 3, "adopt": 2, "in_sync": 21}


def results(report: Report) -> dict[str, int]:
    return {result: count for result, count in report.summary.items() if count}


def assert_one_outcome_each(report: Report, plan: Plan) -> None:
    """Every change has one outcome, sorted."""
    assert [one.change for one in report.outcomes] == sorted(plan.changes, key=lambda change: change.order)


def test_a_mixed_plan_is_applied_and_comes_to_rest() -> None:
    aws = mixed()
    plan = aws.plan()
    assert counted(plan) == MIXED
    report = aws.carry_out(plan)
    assert_one_outcome_each(report, plan)
    assert (results(report), report.exit_code, report.remaining, report.findings) == (
        {"applied": 14},
        0,
        (),
        (),
    )
    aws.pass_time()
    assert counted(aws.plan()) == {"in_sync": 32}


@pytest.mark.parametrize("parallelism", [1, 2, 16])
def test_the_outcome_does_not_depend_on_how_many_work_at_it(parallelism: int) -> None:
    aws = mixed()
    report = aws.carry_out(aws.plan(), run=Run(parallelism=parallelism))
    assert results(report) == {"applied": 14}


def test_each_failure_is_of_one_change_and_the_rest_goes_on() -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.faults = lambda operation, _place, names, _nth: (
        refused(Trouble.REFUSED)
        if operation == "PutParameter" and names in {("/p/00",), ("/p/31",)}
        else None
    )
    report = aws.carry_out(plan)
    assert_one_outcome_each(report, plan)
    assert results(report) == {"applied": 12, "failed": 2}
    assert {left.name for left in report.remaining} == {"/p/00", "/p/31"}
    assert report.exit_code == 3
    aws.world.faults = None
    assert counted(aws.plan()) == {"update": 1, "create": 1, "in_sync": 30}


def test_a_withheld_change_is_an_outcome_and_writes_nothing() -> None:
    aws = mixed()
    aws.spec = replication(targets=(target(frozen=True),))
    before = aws.world.state()
    report = aws.carry_out(aws.plan())
    assert (results(report), report.exit_code) == ({"withheld": 14}, 5)
    assert all(one.error.startswith("frozen-target") for one in report.outcomes)
    assert aws.world.state() == before
    assert not aws.world.traffic.writes()


@pytest.mark.parametrize(
    "operation", ["PutParameter", "AddTagsToResource", "ListTagsForResource", "GetParameters"]
)
def test_credentials_that_die_in_the_middle_leave_the_rest_not_attempted(operation: str) -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.traffic.forget()

    def dying(called: str, place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
        dead = aws.world.traffic.count(operation) >= 4
        return refused(Trouble.CREDENTIALS) if dead and place == aws.there else None

    aws.world.faults = dying
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    found = results(report)
    assert found["not_attempted"] >= 3
    assert found.get("failed", 0) <= 2
    assert report.exit_code == 3
    left = [one for one in report.outcomes if one.result is Result.NOT_ATTEMPTED]
    assert all("ExpiredTokenException" in one.error for one in left)
    aws.world.faults = None
    aws.pass_time()
    assert results(aws.apply())["applied"] >= found["not_attempted"]
    assert counted(aws.plan()) == {"in_sync": 32}


def test_credentials_of_the_source_that_die_leave_the_rest_not_attempted() -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.faults = lambda _called, place, _names, _nth: (
        refused(Trouble.CREDENTIALS)
        if place == aws.here and aws.world.traffic.count("PutParameter")
        else None
    )
    aws.world.traffic.forget()
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    assert results(report)["not_attempted"] >= 5
    assert Action.DELETE not in {one.change.action for one in report.outcomes if one.result is Result.APPLIED}


def test_an_endpoint_that_is_not_reached_is_given_up_after_a_few_times() -> None:
    aws = SimulatedAws()
    for i in range(40):
        aws.put(f"/p/{i:02}", "v")
    plan = aws.plan()
    aws.world.faults = at_call("PutParameter", refused(Trouble.UNREACHABLE))
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    assert results(report) == {"failed": 1, "not_attempted": 39}
    assert aws.world.traffic.count("PutParameter") == 3
    assert "us-east-2 cannot be reached" in report.outcomes[-1].error


def test_a_target_that_dies_does_not_stop_the_others() -> None:
    aws = SimulatedAws(replication(targets=(target(), target("eu", region="eu-west-1"))))
    for i in range(5):
        aws.put(f"/p/{i}", "v")
    plan = aws.plan()
    aws.world.faults = lambda called, place, _names, _nth: (
        refused(Trouble.CREDENTIALS) if (called, place) == ("PutParameter", aws.there) else None
    )
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    assert results(report) == {"applied": 5, "failed": 1, "not_attempted": 4}
    assert {one.change.target for one in report.outcomes if one.result is Result.APPLIED} == {"eu"}


def test_a_place_that_could_not_be_opened_any_more_leaves_its_changes_not_attempted() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    plan = aws.plan()
    places = aws.places()
    down = store_error(Trouble.UNREACHABLE, "GetCallerIdentity")
    gone = replace(places, opened={**places.opened, Access("us-east-2"): down})
    report = carry_out(plan, [aws.spec], Session(gone, Run(), aws.clock, lambda _: None), StopFlag())
    assert results(report) == {"not_attempted": 1}
    assert report.exit_code == 3


class TestStopping:
    def test_a_stop_before_the_first_change_attempts_none(self) -> None:
        aws = mixed()
        plan = aws.plan()
        aws.stop.set()
        report = aws.carry_out(plan)
        assert_one_outcome_each(report, plan)
        assert (results(report), report.exit_code) == ({"not_attempted": 14}, 130)
        assert {one.error for one in report.outcomes} == {"the run was stopped"}

    def test_a_stop_in_the_middle_finishes_what_is_in_flight(self) -> None:
        aws = mixed()
        plan = aws.plan()
        aws.world.before("PutParameter", aws.stop.set, name="/p/01")
        report = aws.carry_out(plan, run=SERIAL)
        assert_one_outcome_each(report, plan)
        assert outcome(report, "/p/01").result is Result.APPLIED
        assert aws.value("/p/01") == "new"
        assert results(report)["applied"] + results(report)["not_attempted"] == 14
        assert (report.interrupted, report.exit_code) == (True, 130)
        aws.stop = StopFlag()
        aws.apply()
        assert counted(aws.plan()) == {"in_sync": 32}

    def test_after_a_stop_nothing_is_deleted(self) -> None:
        aws = mixed()
        aws.world.before("AddTagsToResource", aws.stop.set)
        aws.carry_out(aws.plan(), run=SERIAL)
        assert aws.world.traffic.count("DeleteParameters") == 0


def writes_of_a_mixed_plan() -> int:
    aws = mixed()
    aws.carry_out(aws.plan(), run=SERIAL)
    return len(aws.world.traffic.writes())


NUMBER = writes_of_a_mixed_plan()


@pytest.mark.parametrize("number", range(1, NUMBER + 1))
@pytest.mark.parametrize("done", [True, False])
def test_killed_at_any_write_the_next_run_converges(number: int, *, done: bool) -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.faults = at_write(number, killed(KeyboardInterrupt(), done=done))
    with pytest.raises(KeyboardInterrupt):
        aws.carry_out(plan, run=SERIAL)
    aws.world.faults = None
    aws.pass_time()
    assert set(results(aws.apply())) <= {"applied"}
    assert counted(aws.plan()) == {"in_sync": 32}


@pytest.mark.parametrize("number", range(1, NUMBER + 1))
@pytest.mark.parametrize(
    "fault",
    [lost(done=True), lost(done=False), refused(Trouble.THROTTLED), refused(Trouble.DENIED)],
    ids=["lost after", "lost before", "throttled", "denied"],
)
def test_struck_at_any_write_every_change_has_its_outcome_and_the_next_run_converges(
    number: int, fault: Fault
) -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.faults = at_write(number, fault)
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    if fault.kind is not Trouble.DENIED:
        assert results(report) == {"applied": 14}
    aws.world.faults = None
    aws.pass_time()
    aws.apply()
    assert counted(aws.plan()) == {"in_sync": 32}


@pytest.mark.parametrize(
    ("label", "make"),
    [
        ("ListTagsForResource", lambda nth: at_call("ListTagsForResource", refused(Trouble.DENIED), nth=nth)),
        ("GetParameters", lambda nth: at_call("GetParameters", refused(Trouble.LOST), nth=nth)),
    ],
)
@pytest.mark.parametrize("nth", range(1, 9))
def test_struck_at_a_read_nothing_wrong_is_written(
    label: str, make: Callable[[int], FaultPlan], nth: int
) -> None:
    aws = mixed()
    plan = aws.plan()
    aws.world.traffic.forget()
    aws.world.faults = make(nth)
    report = aws.carry_out(plan, run=SERIAL)
    assert_one_outcome_each(report, plan)
    assert set(results(report)) <= {"applied", "failed", "withheld"}, label
    aws.world.faults = None
    aws.pass_time()
    aws.apply()
    assert counted(aws.plan()) == {"in_sync": 32}


def test_two_runs_at_once_do_no_harm() -> None:
    aws = mixed()
    one, two = aws.plan(), aws.plan()
    first = aws.carry_out(one)
    before = aws.world.state()
    second = aws.carry_out(two)
    assert results(first) == {"applied": 14}
    again = [found.change.action for found in second.outcomes if found.result is Result.APPLIED]
    assert set(again) <= {Action.RETAG}, "only tags that are already set may be written again"
    assert results(second)["stale"] == 14 - len(again)
    assert aws.world.state() == before
    assert counted(aws.plan()) == {"in_sync": 32}


def test_an_error_of_our_own_takes_down_one_change_only() -> None:
    aws = mixed()
    plan = aws.plan()

    def broken() -> None:
        raise ZeroDivisionError

    aws.world.before("PutParameter", broken, name="/p/30")
    report = aws.carry_out(plan)
    assert results(report) == {"applied": 13, "failed": 1}
    assert "internal error (ZeroDivisionError)" in outcome(report, "/p/30").error


def test_source_values_are_read_ten_at_a_time_and_only_for_what_is_put() -> None:
    aws = SimulatedAws()
    for i in range(25):
        aws.put(f"/p/{i:02}", "v")
    plan = aws.plan()
    aws.world.traffic.forget()
    aws.carry_out(plan)
    reads = [c for c in aws.world.calls if c.operation == "GetParameters" and c.place == aws.here]
    assert sorted(len(call.names) for call in reads) == [5, 10, 10]
    aws.pass_time()
    aws.world.tag(aws.here, "/p/00", {"t": "1"})
    plan = aws.plan()
    aws.world.traffic.forget()
    aws.carry_out(plan)
    assert not [c for c in aws.world.calls if c.operation == "GetParameters" and c.place == aws.here]


def test_progress_is_reported() -> None:
    aws = mixed()
    seen = Watched()
    carry_out(aws.plan(), [aws.spec], Session(aws.places(), SERIAL, aws.clock, seen), StopFlag())
    done = [one.done for one in seen.all if one.phase is Phase.WRITING]
    assert done == sorted(done)
    assert done[-1] == 14
    assert {one.total for one in seen.all if one.phase is Phase.WRITING} == {14}


def test_an_empty_plan_does_nothing_and_is_done() -> None:
    aws = SimulatedAws()
    aws.replicate()
    plan = aws.plan()
    aws.world.traffic.forget()
    report = aws.carry_out(plan)
    assert (report.outcomes, report.exit_code) == ((), 0)
    assert {call.operation for call in aws.world.calls} == {"GetCallerIdentity"}


def test_no_value_is_in_a_report() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "hunter2", SECURE, allowed_pattern="hunter.")
    plan = aws.plan()
    aws.world.faults = at_call("PutParameter", refused(Trouble.REFUSED))
    report = aws.carry_out(plan)
    shown = repr(report.outcomes[0].error) + repr(report.remaining) + repr(report.findings)
    assert "hunter" not in shown
