"""Plan and report for some names -> the result of each name: its status, its retry, what differed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile.by_name import NamePlan
from ssm_reconcile.change import Create, Delete, Row, Withholding
from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.requests import (
    DIFFERS,
    Applied,
    NameRequest,
    NameResult,
    Retry,
    RetryCause,
    results_of,
    write_key,
)
from ssm_reconcile.model import ProblemKind
from ssm_reconcile.observe import Unsure
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.report import Outcome, Remaining, Report, Result
from tests.builders import NOW, change, desired, part

PAIR = ("prod", "us-east-2")
ADDRESSES = {PAIR: {"/t/a": frozenset({"/p/a"}), "/t/b": frozenset({"/p/b"})}}
KEY = "prod us-east-2 /t/a"


def planned(**more: object) -> NamePlan:
    """Return a plan of two names whose replicas have other names."""
    return replace(NamePlan(Plan(()), addresses=ADDRESSES), **more)  # type: ignore[arg-type] # any field


def results(applied: Applied, written: dict[str, int] | None = None) -> dict[str, NameResult]:
    requests = {name: NameRequest(name, frozenset({"prod"}), at=NOW) for name in ("/p/b", "/p/a")}
    found = results_of(applied, requests, written or {})
    assert [one.name for one in found] == ["/p/a", "/p/b"]
    assert {one.at for one in found} == {NOW}
    return {one.name: one for one in found}


def outcome(result: Result, trouble: Trouble | None = None, effect: object = None, **more: object) -> Outcome:
    made = change(effect or Create(desired("/t/a")), "/t/a", **more)
    return Outcome(made, result, "why", trouble=trouble)


def of_outcome(one: Outcome, *, stopped: bool = False) -> NameResult:
    found = results(Applied(planned(), Report(Plan(()), (one,)), stopped=stopped))
    assert found["/p/b"].status == "nothing to do", "it is the outcome of the other name"
    assert found["/p/a"].outcomes == (one,)
    return found["/p/a"]


def cause(found: NameResult) -> RetryCause | None:
    return None if found.retry is None else found.retry.cause


@pytest.mark.parametrize(
    ("result", "trouble", "retried"),
    [
        (Result.APPLIED, None, None),
        (Result.APPLIED, Trouble.UNREACHABLE, None),
        (Result.WITHHELD, None, None),
        (Result.FAILED, Trouble.DENIED, RetryCause.OWN),
        (Result.FAILED, None, RetryCause.OWN),
        (Result.FAILED, Trouble.UNREACHABLE, RetryCause.OUTAGE),
        (Result.STALE, None, RetryCause.STALE),
        (Result.STALE, Trouble.UNREACHABLE, RetryCause.OUTAGE),
        (Result.NOT_ATTEMPTED, None, RetryCause.OUTAGE),
    ],
)
def test_the_cause_of_a_retry_follows_the_outcome(
    result: Result, trouble: Trouble | None, retried: RetryCause | None
) -> None:
    found = of_outcome(outcome(result, trouble))
    assert cause(found) is retried
    if found.retry is not None:
        assert found.retry.why == f"{result}: why"


def test_a_change_that_the_end_of_the_time_prevented_is_retried_soon() -> None:
    assert cause(of_outcome(outcome(Result.NOT_ATTEMPTED), stopped=True)) is RetryCause.BUSY


def test_a_delete_that_could_not_be_confirmed_is_retried_and_one_that_a_guard_withholds_is_not() -> None:
    effect = Delete("/t/a", NOW)
    unconfirmed = outcome(Result.WITHHELD, effect=effect, row=Row.DELETE)
    assert cause(of_outcome(unconfirmed)) is RetryCause.STALE
    denied = outcome(Result.WITHHELD, Trouble.DENIED, effect, row=Row.DELETE)
    assert cause(of_outcome(denied)) is RetryCause.OWN
    guarded = outcome(
        Result.WITHHELD, effect=effect, row=Row.DELETE, withheld=(Withholding("max-deletes", "too many"),)
    )
    assert of_outcome(guarded).status == "withheld"


def test_a_mark_that_was_removed_of_an_invalid_parameter_is_looked_at_again() -> None:
    assert cause(of_outcome(outcome(Result.APPLIED, row=Row.INVALID))) is RetryCause.OWN


@pytest.mark.parametrize(
    ("is_outage", "kind", "retried"),
    [
        (True, ProblemKind.UNREADABLE, RetryCause.OUTAGE),
        (False, ProblemKind.UNREADABLE, RetryCause.OWN),
        (True, ProblemKind.KEY, None),
    ],
)
def test_a_value_that_cannot_be_read_is_read_again(
    is_outage: bool, kind: ProblemKind, retried: RetryCause | None
) -> None:
    other = Other(
        *PAIR, "/t/a", Row.INVALID, "invalid", ("one", "two"), frozenset({kind}), is_outage=is_outage
    )
    plan = Plan((part(others=(other,)),))
    found = results(Applied(planned(plan=plan), Report(plan, ())))["/p/a"]
    assert cause(found) is retried
    assert found.others == (other,)
    if found.retry is not None:
        assert found.retry.why == "one; two"


class TestReplicasThatDiffer:
    """A read after the write did not show what was written: another writer wants the replica."""

    def applied(self, *, after_write: bool = True) -> Applied:
        remaining = Remaining(*PAIR, "/t/a", "differs", after_write=after_write)
        return Applied(planned(), Report(Plan(()), (), (remaining,)))

    def test_the_first_time_the_name_is_read_again(self) -> None:
        found = results(self.applied())
        assert found["/p/a"].retry == Retry(RetryCause.STALE, DIFFERS)
        assert {name: set(one.differing) for name, one in found.items()} == {"/p/a": {KEY}, "/p/b": set()}
        assert write_key((*PAIR, "/t/a")) == KEY

    def test_the_second_time_it_is_contended(self) -> None:
        found = results(self.applied(), {KEY: 1})["/p/a"]
        assert (found.retry, found.contended, found.status) == (None, True, "contended")
        assert found.reasons == ("another writer changes the replica after each write",)

    def test_a_difference_of_another_kind_is_none(self) -> None:
        assert results(self.applied(after_write=False))["/p/a"] == NameResult("/p/a", at=NOW)

    def test_a_change_that_is_not_made_any_more_is_contended(self) -> None:
        applied = replace(self.applied(after_write=False), barred=frozenset({(*PAIR, "/t/a")}))
        found = results(applied)
        assert (found["/p/a"].status, found["/p/b"].status) == ("contended", "nothing to do")


def test_the_first_reason_to_retry_counts() -> None:
    """A change that waits comes before a failed read, and that before an outcome and an old read."""
    failed = Report(Plan(()), (outcome(Result.FAILED),))
    stale = {"/p/a": "old"}
    unsure = {"/p/a": Unsure("denied", Trouble.DENIED)}
    waiting = {"/p/a": Retry(RetryCause.COUNT, "count")}
    found = [
        results(Applied(planned(), Report(Plan(()), ()), stale=stale)),
        results(Applied(planned(), failed, stale=stale)),
        results(Applied(planned(unsure=unsure), failed, stale=stale)),
        results(Applied(planned(unsure=unsure), failed, waiting=waiting, stale=stale)),
    ]
    retries = [one["/p/a"].retry for one in found]
    assert retries == [
        Retry(RetryCause.STALE, "old"),
        Retry(RetryCause.OWN, "failed: why"),
        Retry(RetryCause.OWN, "denied"),
        Retry(RetryCause.COUNT, "count"),
    ]
    assert all(one["/p/b"].retry is None for one in found)


@pytest.mark.parametrize(
    ("trouble", "retried"),
    [(None, RetryCause.STALE), (Trouble.DENIED, RetryCause.OWN), (Trouble.UNREACHABLE, RetryCause.OUTAGE)],
)
def test_a_name_that_could_not_be_read_is_retried_by_its_trouble(
    trouble: Trouble | None, retried: RetryCause
) -> None:
    applied = Applied(planned(unsure={"/p/a": Unsure("why", trouble)}), Report(Plan(()), ()))
    assert results(applied)["/p/a"].retry == Retry(retried, "why")
