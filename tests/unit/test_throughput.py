"""The setting for higher throughput: read once a place by runs that write values, and its rate of puts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.aws_limits import CALL_RATES, CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Place
from ssm_reconcile.report import Report
from ssm_reconcile.session import HIGHER_THROUGHPUT_SECONDS, HigherThroughput
from ssm_reconcile.spec import Glob, Replication, Source
from tests.builders import replication, target
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import ACCOUNT
from tests.simulated_aws import SimulatedAws

SETTING = "GetServiceSetting"
DEFAULT = CALL_RATES[CallClass.PUT]


def access(region: str = "us-east-2", *, role: str = "", put: float | None = None) -> Access:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{role}" if role else None
    return Access(region, arn, rates=() if put is None else (("put", put),))


def spec_for(name: str, *accesses: Access, put: float | None = None) -> Replication:
    """Return a replication of /NAME/** from us-east-1 to some places."""
    return replication(
        name=name,
        id=name,
        include=(Glob(f"/{name}/**"),),
        source=Source(access("us-east-1", put=put)),
        targets=tuple(target(f"t{number}", access=one) for number, one in enumerate(accesses)),
    )


class Process:
    """The applies of one process, and the lines that it reports."""

    def __init__(self, *specs: Replication) -> None:
        self.specs = specs
        self.aws = SimulatedAws(specs[0])
        self.memory = Memory(self.aws.world)
        self.aws.connect = self.memory.connect
        self.lines: list[str] = []
        self.throughput = HigherThroughput(self.aws.clock, self.lines.append)
        for spec in specs:
            self.aws.put(f"/{spec.name}/a")

    def apply(self) -> Report:
        session = replace(self.aws.session(*self.specs), throughput=self.throughput)
        plan = reconcile.make_plan(self.specs, session)
        assert not self.reads(), "a plan reads no setting"
        return reconcile.carry_out(plan, self.specs, session, self.aws.stop)

    def reads(self) -> list[Place]:
        return [call.place for call in self.aws.world.calls if call.operation == SETTING]

    def rate(self, region: str = "us-east-2", kind: CallClass = CallClass.PUT) -> float:
        place = self.aws.place(region)
        return self.memory.rates._buckets[place.account, region, kind].rate


def test_the_setting_raises_put_parameter_to_ten_calls_a_second() -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.higher_throughput.add(there.aws.there)
    assert there.apply().summary["applied"] == 1
    assert there.reads() == [there.aws.there], "the source is only read"
    assert there.rate() == 10
    assert there.rate(kind=CallClass.GET) == CALL_RATES[CallClass.GET], "applications share this quota"
    assert there.lines == [f"{there.aws.there}: higher throughput is on: PutParameter at 10/s"]


def test_a_setting_that_is_off_leaves_the_default() -> None:
    there = Process(spec_for("prod", access()))
    there.apply()
    assert (there.reads(), there.rate()) == ([there.aws.there], DEFAULT)
    assert there.lines == [f"{there.aws.there}: higher throughput is off: PutParameter at 3/s"]


def test_each_target_is_read_once_and_has_its_own_rate() -> None:
    there = Process(spec_for("prod", access("us-east-2"), access("eu-west-1")))
    there.aws.world.higher_throughput.add(there.aws.place("eu-west-1"))
    there.apply()
    assert sorted(map(str, there.reads())) == [f"{ACCOUNT}/eu-west-1", f"{ACCOUNT}/us-east-2"]
    assert (there.rate("us-east-2"), there.rate("eu-west-1")) == (DEFAULT, 10)


@pytest.mark.parametrize("role", ["", "other"], ids=["two replications", "two roles"])
def test_a_place_is_read_once(role: str) -> None:
    there = Process(spec_for("prod", access()), spec_for("more", access(role=role)))
    there.aws.world.higher_throughput.add(there.aws.there)
    assert there.apply().summary["applied"] == 2
    assert (there.reads(), there.rate()) == ([there.aws.there], 10)


@pytest.mark.parametrize("rates", [(20.0, 20.0), (6.0, 4.0), (4.0, 40.0)])
def test_rates_of_all_specs_hold_and_the_setting_is_not_read(rates: tuple[float, float]) -> None:
    first, second = rates
    there = Process(spec_for("prod", access(put=first)), spec_for("more", access(put=second)))
    there.aws.world.higher_throughput.add(there.aws.there)
    assert there.apply().summary["applied"] == 2
    assert (there.reads(), there.rate()) == ([], min(rates))


@pytest.mark.parametrize("rate", [5.0, 20.0])
@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("on", [True, False])
def test_the_setting_is_the_default_of_a_spec_without_a_rate(
    rate: float, *, is_first: bool, on: bool
) -> None:
    rates = (rate, None) if is_first else (None, rate)
    there = Process(*(spec_for(f"p{number}", access(put=one)) for number, one in enumerate(rates)))
    if on:
        there.aws.world.higher_throughput.add(there.aws.there)
    assert there.apply().summary["applied"] == 2
    assert (there.reads(), there.rate()) == ([there.aws.there], min(rate, 10 if on else DEFAULT))


def test_a_rate_of_another_place_does_not_count() -> None:
    there = Process(spec_for("prod", access(), access("eu-west-1", put=2.0)))
    there.apply()
    assert there.reads() == [there.aws.there]


@pytest.mark.parametrize("denied", [("first",), ("second",), ("first", "second")])
def test_an_identity_that_may_not_read_the_setting_leaves_it_to_the_next(denied: tuple[str, ...]) -> None:
    there = Process(spec_for("prod", access(role="first")), spec_for("more", access(role="second")))
    there.aws.world.higher_throughput.add(there.aws.there)

    class Identified(MemoryStore):
        def has_higher_throughput(self) -> bool:
            read = super().has_higher_throughput()
            if self.caller in denied:
                raise StoreError(
                    Trouble.DENIED, place=str(self.place), operation=SETTING, code="AccessDenied"
                )
            return read

    def connect(access: Access) -> MemoryStore:
        store = there.memory.connect(access)
        caller = (access.role_arn or "").partition("/")[2]
        return Identified(store.world, store.place, caller, store._buckets)

    there.aws.connect = connect
    assert there.apply().summary["applied"] == 2
    assert len(there.reads()) == (1 if "first" not in denied else 2)
    assert there.rate() == (DEFAULT if len(denied) == 2 else 10)
    assert len(there.lines) == 1


def test_a_read_that_takes_long_is_kept_for_an_hour_from_its_start() -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.before(SETTING, lambda: there.aws.pass_time(seconds=300))
    assert there.apply().summary["applied"] == 1
    for seconds, reads in ((HIGHER_THROUGHPUT_SECONDS - 301, 1), (1, 2)):
        there.aws.pass_time(seconds=seconds)
        there.aws.put("/prod/a", str(seconds))
        there.aws.world.calls.clear()
        there.apply()
        assert len(there.reads()) == reads - 1


def test_a_run_that_is_stopped_during_the_read_writes_nothing() -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.before(SETTING, there.aws.stop.set)
    assert there.apply().summary["not_attempted"] == 1
    assert not there.aws.world.traffic.count("PutParameter")


def only_tags(there: Process) -> None:
    there.aws.world.tag(there.aws.here, "/prod/a", {"team": "a"})


def frozen(there: Process) -> None:
    there.aws.put("/prod/b")
    [spec] = there.specs
    there.specs = (replace(spec, targets=tuple(replace(one, frozen=True) for one in spec.targets)),)


@pytest.mark.parametrize("act", [lambda _: None, only_tags, frozen], ids=["in sync", "tags", "withheld"])
def test_without_a_put_the_setting_is_not_read(act: Callable[[Process], object]) -> None:
    there = Process(spec_for("prod", access()))
    there.apply()
    there.throughput.known.clear()
    act(there)
    there.aws.pass_time()
    there.aws.world.traffic.forget()
    there.apply()
    assert there.reads() == []


def test_a_run_that_is_stopped_reads_no_setting() -> None:
    there = Process(spec_for("prod", access()))
    there.aws.stop.set()
    there.apply()
    assert there.reads() == []


@pytest.mark.parametrize(
    ("kind", "code", "remedy"),
    [
        (Trouble.DENIED, "AccessDeniedException", "; allow ssm:GetServiceSetting to use it"),
        (Trouble.LOST, "ReadTimeoutError", ""),
        (Trouble.THROTTLED, "ThrottlingException", ""),
    ],
)
def test_a_setting_that_cannot_be_read_costs_one_call_and_the_default_holds(
    kind: Trouble, code: str, remedy: str
) -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.faults = at_call(SETTING, refused(kind))
    assert there.apply().summary["applied"] == 1
    assert (there.reads(), there.rate()) == ([there.aws.there], DEFAULT)
    [line] = there.lines
    message = f"the setting for higher throughput could not be read ({code}): PutParameter at 3/s{remedy}"
    assert line == f"{there.aws.there}: {message}"


@pytest.mark.parametrize("denied", [False, True])
def test_a_process_reads_the_setting_again_after_an_hour(*, denied: bool) -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.faults = at_call(SETTING, refused(Trouble.DENIED)) if denied else None

    def reads_after(seconds: float) -> int:
        there.aws.pass_time(seconds=seconds)
        there.aws.put("/prod/a", str(seconds))
        there.aws.world.traffic.forget()
        assert there.apply().summary["applied"] == 1
        return len(there.reads())

    found = [reads_after(seconds) for seconds in (1, HIGHER_THROUGHPUT_SECONDS - 1, 1, 1)]
    assert found == [1, 0, 1, 0]


def test_a_setting_that_was_turned_off_restores_the_default() -> None:
    there = Process(spec_for("prod", access()))
    there.aws.world.higher_throughput.add(there.aws.there)
    there.apply()
    there.aws.world.higher_throughput.clear()
    there.aws.pass_time()
    there.aws.put("/prod/a", "new")
    there.aws.world.traffic.forget()
    there.apply()
    assert there.rate() == DEFAULT


def test_new_rates_of_a_process_get_the_known_setting_without_a_read() -> None:
    """The function makes new rates for a new spec."""
    there = Process(spec_for("prod", access()))
    there.aws.world.higher_throughput.add(there.aws.there)
    there.apply()
    there.memory = Memory(there.aws.world)
    there.aws.connect = there.memory.connect
    there.aws.put("/prod/a", "new")
    there.aws.world.traffic.forget()
    there.apply()
    assert (there.reads(), there.rate()) == ([], 10)
