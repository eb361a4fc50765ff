"""Replications and targets of one run: their reads overlap, in any order with the same result."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ssm_reconcile import reconcile, system
from ssm_reconcile.documents.encode import plan_document
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, Access, Place
from ssm_reconcile.session import Session
from ssm_reconcile.spec import AdoptMode, Glob, KeyRule, Limits, Replication, Target
from ssm_reconcile.status import read_status, status_document
from ssm_reconcile.system import MOST_AT_ONCE, Phase, Progress, ProgressSums, ReadPool, read_at_once
from tests.builders import NOW, replication
from tests.doubles.open_calls import PATIENCE, OpenCalls
from tests.fake_aws.traffic import Fault, killed, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.renderers.plans import whole

pytestmark = pytest.mark.threads

DOCUMENTS, TARGETS = 8, 40


@dataclass(slots=True)
class Meeting:
    """A fault plan that lets the first calls of an operation by each of several callers wait for each other.

    Attributes:
        operation: The operation of AWS.
        caller: Returns the caller of a call; None for a call that does not wait.
        barrier: The meeting.
    """

    operation: str
    caller: Callable[[Place, tuple[str, ...]], str | None]
    barrier: threading.Barrier
    seen: set[str]

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], _nth: int) -> Fault | None:
        caller = self.caller(place, names) if operation == self.operation else None
        if caller is not None and caller not in self.seen:
            self.seen.add(caller)
            self.barrier.wait(PATIENCE)
        return None


def meeting(operation: str, count: int, caller: Callable[[Place, tuple[str, ...]], str | None]) -> Meeting:
    return Meeting(operation, caller, threading.Barrier(count), set())


def documents() -> tuple[SimulatedAws, list[Replication]]:
    """Return an AWS with replications of one source to one target, each with a stranger at its address."""
    aws = SimulatedAws()
    specs = [
        replication(name=f"doc-{n}", include=(Glob(f"/{n}/**"),), adopt=AdoptMode.SAME_VALUE)
        for n in range(DOCUMENTS)
    ]
    for n in range(DOCUMENTS):
        aws.put(f"/{n}/a", "v")
        aws.put(f"/{n}/a", "v", region="us-east-2")
    return aws, specs


def document_of(place: Place, names: tuple[str, ...]) -> str | None:
    return names[0].split("/")[1] if place.region == "us-east-2" else None


class TestReplications:
    def test_a_place_is_listed_once_also_if_replications_differ_in_rates_and_probing(self) -> None:
        aws, specs = documents()
        first, second = specs[:2]
        (aim,) = second.targets
        aim = replace(aim, access=replace(aim.access, rates=(("put", 1.0),), probe=True))
        here = replace(second.source, access=replace(second.source.access, read_only=True))
        both = (first, replace(second, source=here, targets=(aim,)))
        listed = reconcile.list_places(both, aws.session(*both))
        assert aws.world.traffic.count("DescribeParameters") == 2
        assert len(listed) == 4

    @pytest.mark.parametrize("operation", ["ListTagsForResource", "GetParameters"])
    def test_replications_of_a_plan_read_at_the_same_time(self, operation: str) -> None:
        aws, specs = documents()
        aws.world.faults = meeting(operation, DOCUMENTS, document_of)
        assert aws.plan(*specs).summary["adopt"] == DOCUMENTS

    def test_replications_of_a_status_read_at_the_same_time(self) -> None:
        aws, specs = documents()
        aws.world.faults = meeting("ListTagsForResource", DOCUMENTS, document_of)
        assert [one.counts for one in read_status(specs, aws.session(*specs)).targets] == (
            [{"unproven": 1}] * DOCUMENTS
        )

    def test_the_spec_and_the_former_spec_are_planned_at_the_same_time(self) -> None:
        aws, specs = documents()
        former = [replace(spec, adopt=AdoptMode.OVERWRITE) for spec in specs]
        both = threading.Barrier(2)

        def wait(operation: str, place: Place, names: tuple[str, ...], _nth: int) -> Fault | None:
            if operation == "GetParameters" and document_of(place, names) == "0":
                both.wait(PATIENCE)
            return None

        aws.world.faults = wait
        plan = reconcile.make_plan(specs, aws.session(*specs), base=former)
        assert len(plan.changes) == DOCUMENTS

    @pytest.mark.large
    @pytest.mark.parametrize(
        ("widths", "most"), [([47] * 8, 2), ([1] * 7 + [48], 8), ([1, 60, 1, 60], 1), ([100, 1], 1)]
    )
    def test_at_most_96_sources_and_targets_are_planned_at_the_same_time(
        self, widths: list[int], most: int
    ) -> None:
        """A plan has up to nine threads for each, and AWS Lambda 1,024 for a process."""
        aws, specs = documents()
        targets = tuple(Target(f"t{n}", Access(f"us-east-{n}")) for n in range(10, 110))
        open_plans = OpenCalls(most)
        each = [replace(spec, targets=targets[:n]) for spec, n in zip(specs, widths, strict=False)]
        session = aws.session(*each)
        scope = reconcile.PlanScope(reconcile.list_places(each, session))
        reconcile.plan_each(each, session, scope, lambda *_: open_plans.wait())
        assert open_plans.most == most

    def test_progress_of_a_place_is_that_of_all_replications(self) -> None:
        aws, specs = documents()
        events: list[Progress] = []
        session = Session(aws.places(*specs), aws.run, aws.clock, events.append)
        reconcile.make_plan(specs, session)
        for place in map(str, (aws.here, aws.there)):
            reads = [one for one in events if (one.place, one.phase) == (place, Phase.READING)]
            assert [one.done for one in reads] == list(range(1, DOCUMENTS + 1))
            assert reads[-1].total == DOCUMENTS
        tags = [one for one in events if one.phase is Phase.CONFIRMING]
        assert [one.done for one in tags] == sorted(one.done for one in tags)
        assert tags[-1] == Progress(str(aws.there), Phase.CONFIRMING, DOCUMENTS, DOCUMENTS)

    def test_progress_of_an_apply_is_that_of_all_replications(self) -> None:
        aws, specs = documents()
        for n in range(DOCUMENTS):
            aws.put(f"/{n}/b", "v")
        events: list[Progress] = []
        session = Session(aws.places(*specs), aws.run, aws.clock, events.append)
        plan = reconcile.make_plan(specs, session)
        reconcile.carry_out(plan, specs, session, aws.stop)
        for phase in (Phase.WRITING, Phase.CHECKING):
            done = [one.done for one in events if one.phase is phase]
            assert done == sorted(done)
            last = [one for one in events if one.phase is phase][-1]
            assert (last.done, last.total) == (len(plan.changes), len(plan.changes))

    def test_progress_adds_up_workers_and_the_passes_of_each(self) -> None:
        events: list[Progress] = []
        progress = ProgressSums(events.append)
        one, two = progress.worker(), progress.worker()

        def report(
            worker: Callable[[Progress], None], done: int, total: int | None
        ) -> tuple[int, int | None]:
            worker(Progress("here", Phase.CONFIRMING, done, total))
            return events[-1].done, events[-1].total

        assert report(one, 0, 300) == (0, 300)
        assert report(one, 0, 2) == (0, 2), "the listings leave two of 300"
        assert report(two, 4, None) == (4, None)
        assert report(two, 5, 5) == (5, 7)
        assert report(one, 2, 2) == (7, 7)
        assert report(one, 1, 3) == (8, 10), "its second pass"
        one(Progress("there", Phase.CONFIRMING, 1, 1))
        one(Progress("here", Phase.READING, 2, 9))
        assert events[-2:] == [
            Progress("there", Phase.CONFIRMING, 1, 1),
            Progress("here", Phase.READING, 2, 9),
        ]


class TestPlaces:
    @pytest.mark.large
    def test_at_most_96_places_are_opened_and_listed_at_the_same_time(self) -> None:
        aws = SimulatedAws()
        spec = replication(targets=tuple(Target(f"t{n}", Access(f"us-east-{n}")) for n in range(10, 140)))
        calls = {
            operation: OpenCalls(MOST_AT_ONCE) for operation in ("GetCallerIdentity", "DescribeParameters")
        }

        def count(operation: str, place: Place, *_: object) -> None:
            if operation in calls and place != aws.here:  # the first place is opened alone
                calls[operation].wait()

        aws.world.faults = count
        reconcile.list_places([spec], aws.session(spec))
        assert [one.most for one in calls.values()] == [MOST_AT_ONCE, MOST_AT_ONCE]

    def test_the_error_of_the_first_place_in_the_spec_is_raised(self) -> None:
        aws = SimulatedAws()
        regions = ("us-west-1", "ap-south-1", "eu-west-1")
        spec = replication(targets=tuple(Target(region, Access(region)) for region in regions))
        later_failed = threading.Event()

        def fail(operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
            if operation != "DescribeParameters" or place.region == aws.here.region:
                return None
            if place.region == regions[0]:
                assert later_failed.wait(PATIENCE)
            later_failed.set()
            return killed(ValueError(place.region), done=False)

        aws.world.faults = fail
        with pytest.raises(ValueError, match=regions[0]):
            reconcile.list_places([spec], aws.session(spec))


class TestTargets:
    @pytest.mark.parametrize("operation", ["ListAliases", "ListTagsForResource", "GetParameters"])
    def test_targets_of_a_replication_are_read_at_the_same_time(self, operation: str) -> None:
        regions = [f"us-east-{n}" for n in range(10, 10 + TARGETS)]
        rule = KeyRule("alias/app", tuple((region, "alias/app") for region in regions))
        aws = SimulatedAws(
            replication(targets=tuple(Target(name, Access(name)) for name in regions), kms=(rule,))
        )
        aws.world.add_key(aws.here, "alias/app")
        aws.put("/p/a", "v")
        aws.put("/p/b", "v", SECURE, key_id="alias/app")
        for region in regions:
            aws.put("/p/a", "other", region=region)
        aws.world.faults = meeting(
            operation, TARGETS, lambda place, _: place.region if place.region in regions else None
        )
        assert aws.plan().summary["conflict"] == TARGETS


class TestOrder:
    @pytest.mark.large
    def test_the_order_in_which_reads_end_does_not_change_a_byte(self) -> None:
        """Delays, a target that fails, tags that cannot be read, and withheld changes: as without delays."""
        aws, specs = documents()
        specs = [
            replace(spec, targets=(*spec.targets, Target("eu", Access("eu-west-1"))), limits=Limits(0, 1))
            for spec in specs
        ]
        for n in range(DOCUMENTS):
            aws.put(f"/{n}/b", "secret", SECURE, tags={"team": str(n)})
            aws.put(f"/{n}/c", "v")
            aws.put(f"/{n}/c", "w", region="eu-west-1")

        def outputs(chance: random.Random | None) -> str:
            def strike(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
                if chance is not None:
                    time.sleep(chance.random() * 0.003)
                if operation == "ListTagsForResource" and "/3/c" in names:
                    return refused(Trouble.DENIED)
                return refused(Trouble.KEY) if operation == "GetParameters" and "/5/a" in names else None

            aws.world.faults = strike
            plan = aws.plan(*specs)
            status = read_status(specs, aws.session(*specs))
            both = (
                whole(plan_document(plan, tool_version="1", created=NOW)),
                status_document(status, NOW, tool_version="1"),
            )
            return json.dumps(both)

        expected = outputs(None)
        assert "could not be confirmed" in expected
        for seed in range(6):
            assert outputs(random.Random(seed)) == expected  # noqa: S311 - a delay, not a secret

    def test_the_error_of_the_first_read_in_order_is_raised(self) -> None:
        second_failed = threading.Event()

        def read(number: int) -> int:
            if number == 1:
                assert second_failed.wait(PATIENCE)
            elif number == 2:
                second_failed.set()
            raise ValueError(f"read {number}")

        with pytest.raises(ValueError, match="read 1"):
            read_at_once(read, (1, 2))
        assert read_at_once(read, ()) == []

    def test_after_an_error_no_further_read_begins(self) -> None:
        failed, further = threading.Event(), threading.Event()

        def read(number: int) -> None:
            if number == 0:
                assert failed.wait(PATIENCE)
                assert not further.wait(0.2)
            elif number == 1:
                failed.set()
                raise ValueError("read 1")
            else:
                further.set()

        with pytest.raises(ValueError, match="read 1"):
            read_at_once(read, range(10), most=2)
        assert not further.is_set()

    def test_a_read_before_the_failed_one_begins_after_its_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Threads may begin in another order than that of the items."""

        class LastFirst(ReadPool):
            def map(self, fn: Any, *items: Any, **_: Any) -> Any:
                reads = [self.submit(fn, item) for item in reversed(items[0])]
                return [one.result() for one in reversed(reads)]

        monkeypatch.setattr(system, "ReadPool", LastFirst)

        def read(number: int) -> int:
            raise ValueError(f"read {number}")

        with pytest.raises(ValueError, match="read 0"):
            read_at_once(read, (0, 1), most=1)
