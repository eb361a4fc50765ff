"""Signals: SIGINT and SIGTERM set a flag; no new work starts, calls in flight end and are reported."""

from __future__ import annotations

import threading

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.change import Replace
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.plan import WRITES
from ssm_reconcile.report import Report, Result
from ssm_reconcile.system import Stop
from tests.fake_aws.traffic import Fault, lost, refused
from tests.faults.mixed import SPEC, Mixed, assert_reported, assert_untouched, mixed
from tests.simulated_aws import SimulatedAws


class Flag:
    """The flag, raised by the nth write; a fault may strike that write and those that follow."""

    def __init__(self, number: int, fault: Fault | None = None, *, lasting: bool = False) -> None:
        self.number, self.fault, self.lasting = number, fault, lasting
        self.event = threading.Event()
        self.lock = threading.Lock()
        self.writes = 0

    def is_set(self) -> bool:
        return self.event.is_set()

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        if operation not in WRITES:
            return None
        with self.lock:
            self.writes += 1
            number = self.writes
        if number == self.number:
            self.event.set()
        struck = number >= self.number if self.lasting else number == self.number
        return self.fault if struck else None


FAULTS = {
    "none": None,
    "throttled": refused(Trouble.THROTTLED),
    "lost-before": lost(done=False),
    "lost-after": lost(done=True),
    "denied": refused(Trouble.DENIED),
}


@pytest.fixture(scope="module")
def world() -> Mixed:
    return mixed()


def apply(aws: SimulatedAws, stop: Stop) -> Report:
    """Plan and apply in one run that is asked to stop."""
    session = aws.session(SPEC)
    return reconcile.carry_out(reconcile.make_plan([SPEC], session), [SPEC], session, stop)


def writes_of_a_run(world: Mixed) -> int:
    aws = world.again()
    aws.apply(SPEC)
    return len(aws.world.traffic.writes())


STOPS = [
    pytest.param("none", False, marks=pytest.mark.threads),  # the other target has a call in flight
    *((fault, lasting) for fault in FAULTS if fault != "none" for lasting in (False, True)),
]


@pytest.mark.parametrize(("fault", "lasting"), STOPS)
def test_stopped_at_every_write_in_turn(world: Mixed, fault: str, lasting: bool) -> None:
    """Also while that very write, or every one since, goes wrong."""
    total = writes_of_a_run(world)
    for number in range(1, total + 1):
        aws = world.again()
        flag = Flag(number, FAULTS[fault], lasting=lasting)
        aws.world.faults = flag
        report = apply(aws, flag)
        assert report.interrupted
        assert report.exit_code == 130
        assert_reported(aws, world.state, report)
        assert_untouched(aws, world.state, report.plan)
        if FAULTS[fault] is None:
            assert {outcome.result for outcome in report.outcomes} <= {Result.APPLIED, Result.NOT_ATTEMPTED}
            assert len(aws.world.traffic.writes()) <= number + 4, "no new work was begun"
        world.assert_converges()


def test_a_parameter_deleted_for_a_replacement_is_created_before_the_run_ends(world: Mixed) -> None:
    aws = world.again()
    number = 0

    class AtTheDelete(Flag):
        def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            if operation == "DeleteParameters" and "/p/wide" in map(canonical, names):
                self.event.set()
            return None

    flag = AtTheDelete(number)
    aws.world.faults = flag
    report = apply(aws, flag)
    replaced = [o for o in report.outcomes if isinstance(o.change.effect, Replace)]
    assert [outcome.result for outcome in replaced] == [Result.APPLIED]
    assert aws.world.value(aws.there, "/p/wide") == "narrow"
    assert report.interrupted


def test_stopped_before_the_first_write_nothing_is_written(world: Mixed) -> None:
    aws = world.again()
    flag = Flag(0)
    flag.event.set()
    before = aws.world.state()
    report = apply(aws, flag)
    assert aws.world.state() == before
    assert {outcome.result for outcome in report.outcomes} == {Result.NOT_ATTEMPTED}
    assert report.exit_code == 130
