"""Faults: any call that fails at any moment is reported, changes nothing else, and the next run converges.

kind       how the call goes wrong, one for each `Trouble` that any call can have
operation  of AWS, in the plan or in the apply
moment     the first of its calls, the second, ..., from one on, every other one

The error code of a fault is text for a person; tests/unit/test_failures.py has the codes of each `Trouble`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from ssm_reconcile.change import Release
from ssm_reconcile.errors import ReconcileError, StoreError, Trouble
from ssm_reconcile.model import Place
from ssm_reconcile.plan import WRITES
from tests.fake_aws.traffic import Fault, FaultPlan, lost, refused
from tests.fake_aws.world import Pages
from tests.faults.mixed import SPEC, Mixed, assert_reported, assert_untouched, mixed
from tests.property.places import FAR, PLACES, TO_NEAR, three_places

KINDS: Mapping[str, Fault] = {
    "throttled": refused(Trouble.THROTTLED, "ThrottlingException"),
    "lost-before": lost(done=False),
    "lost-after": lost(done=True),
    "denied": refused(Trouble.DENIED),
    "expired": refused(Trouble.CREDENTIALS),
    "unreachable": refused(Trouble.UNREACHABLE),
    "token": refused(Trouble.TOKEN),
}
OPERATIONS = (
    "GetCallerIdentity",
    "DescribeParameters",
    "GetResources",
    "ListTagsForResource",
    "GetParameters",
    "ListAliases",
    "DescribeKey",
    "PutParameter",
    "AddTagsToResource",
    "RemoveTagsFromResource",
    "DeleteParameters",
)
MOMENTS: Mapping[str, Callable[[int], bool]] = {
    "first": lambda n: n == 1,
    "second": lambda n: n == 2,
    "third": lambda n: n == 3,
    "fifth": lambda n: n == 5,
    "ninth": lambda n: n == 9,
    "always": lambda n: n >= 1,
    "from the third": lambda n: n >= 3,
    "every other": lambda n: n % 2 == 0,
}


class Striking:
    """A fault plan for one operation that counts how often it struck."""

    def __init__(
        self, operation: str, fault: Fault, when: Callable[[int], bool], where: Place | None = None
    ) -> None:
        self.operation, self.fault, self.when, self.where = operation, fault, when, where
        self.struck = 0

    def __call__(self, operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        if operation != self.operation or self.where not in (None, place) or not self.when(nth):
            return None
        self.struck += 1
        return self.fault


@pytest.fixture(scope="module")
def world() -> Mixed:
    return mixed()


def goes_wrong(world: Mixed, faults: FaultPlan) -> None:
    """One run with faults, and all that holds after it."""
    aws = world.again()
    before = aws.world.state()
    aws.world.faults = faults
    try:
        report = aws.apply(SPEC)
    except ReconcileError as failure:
        # No plan, no apply: reported in one sentence, and nothing was written.
        if not str(failure):
            pytest.fail("an error without a word")
        assert aws.world.state() == before
    else:
        assert_reported(aws, before, report)
        assert_untouched(aws, before, report.plan)
    world.assert_converges()


def cells() -> Iterator[tuple[str, str]]:
    for kind, fault in KINDS.items():
        for operation in OPERATIONS:
            if operation in WRITES or not fault.done:  # a read has no effect
                yield kind, operation


@pytest.fixture(scope="module")
def calls(world: Mixed) -> Mapping[str, int]:
    """Return the most calls of each operation in one place, in a run without faults."""
    most: Counter[str] = Counter()

    def count(operation: str, _place: Place, _names: tuple[str, ...], nth: int) -> None:
        most[operation] = max(most[operation], nth)

    goes_wrong(world, count)
    return most


@pytest.mark.parametrize(("kind", "operation"), list(cells()))
def test_a_fault_is_reported_and_the_next_run_converges(
    world: Mixed, calls: Mapping[str, int], kind: str, operation: str
) -> None:
    hits = 0
    for when in MOMENTS.values():
        if not any(when(n) for n in range(1, calls[operation] + 1)):
            continue  # it strikes no call: the same run as that of `calls`
        faults = Striking(operation, KINDS[kind], when)
        goes_wrong(world, faults)
        hits += bool(faults.struck)
    # Each operation is called, or the law would say nothing about it.
    assert hits >= ENOUGH[operation]


ENOUGH = {
    "GetCallerIdentity": 2,
    "DescribeParameters": 2,
    "GetResources": 2,
    "ListTagsForResource": 8,
    "GetParameters": 8,
    "ListAliases": 2,
    "DescribeKey": 2,
    "PutParameter": 5,
    "AddTagsToResource": 5,
    "RemoveTagsFromResource": 5,
    "DeleteParameters": 2,
}
"""In how many of the eight moments an operation is struck: most are called but once or twice a place."""


@pytest.mark.threads
@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_region_that_is_down_does_not_hold_up_the_other(world: Mixed, operation: str) -> None:
    aws = world.again()
    aws.world.faults = Striking(operation, refused(Trouble.UNREACHABLE), lambda _: True, where=PLACES[FAR])
    report = aws.apply(SPEC)
    here = [outcome for outcome in report.outcomes if outcome.change.target == "us-east-2"]
    assert here
    assert {outcome.result.value for outcome in here} == {"applied"}
    if operation != "GetResources":  # ListTagsForResource takes its place
        assert report.exit_code in (3, 5), "not all that the spec asks for holds, or is withheld there"
    world.assert_converges()


def test_trouble_says_operation_and_code_and_nothing_of_the_answer() -> None:
    error = StoreError(
        Trouble.DENIED, place="1/eu-west-1", operation="PutParameter", code="AccessDeniedException"
    )
    assert str(error) == "PutParameter in 1/eu-west-1 failed: AccessDeniedException"


@pytest.mark.parametrize("operation", ["DescribeParameters", "GetResources"])
@pytest.mark.parametrize("where", ["source", "us-east-2", "eu"])
def test_nothing_is_planned_from_a_listing_that_failed(world: Mixed, operation: str, where: str) -> None:
    """No change at all in an incomplete target, and no removal anywhere when it was the source."""
    aws = world.again()
    aws.world.pages = Pages(describe=(3,), resources=(3,))
    aws.world.faults = Striking(operation, lost(done=True), lambda n: n == 2, where=PLACES[where])
    plan = aws.plan(SPEC)
    aws.world.pages = Pages()
    assert not plan.complete
    assert "incomplete-place" in {finding.code for finding in plan.all_findings}
    if where == "source":
        assert {change.action.value for change in plan.changes} & {"delete", "replace"} == set()
        assert not any(isinstance(change.effect, Release) for change in plan.changes)
    else:
        assert {change.target for change in plan.changes} == {"us-east-2", "eu"} - {where}


def test_unreadable_kms_does_not_encrypt_under_another_key() -> None:
    """A `default` is for keys that are not mapped, not for keys that could not be read."""
    aws = three_places()
    spec = replace(SPEC, targets=(replace(TO_NEAR, default_key="alias/two"),), kms=())
    aws.put("/p/a", "hush", "SecureString", key_id="alias/many")
    aws.put("/p/b", "hush", "SecureString")
    aws.pass_time(minutes=20)
    aws.world.faults = Striking("ListAliases", lost(done=True), lambda _: True, where=aws.here)
    report = aws.apply(spec)
    assert [outcome.change.name for outcome in report.outcomes] == ["/p/b"]
    assert [(other.name, other.row) for other in report.plan.others] == [("/p/a", "invalid")]
    assert report.exit_code == 3
    aws.world.faults = None
    aws.pass_time(minutes=20)
    aws.apply(spec)
    written = aws.world.peek(aws.there, "/p/a")
    assert written is not None
    assert "key/mrk-" in str(written.latest.key_arn)
