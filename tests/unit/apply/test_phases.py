"""In which order, and in which company, changes are carried out."""

from __future__ import annotations

from ssm_reconcile.apply import _OutcomeCounter, _phases
from ssm_reconcile.change import Change, Delete, Row
from ssm_reconcile.report import Outcome, Result
from ssm_reconcile.system import Phase, Progress
from tests.builders import Watched, change, creates, deletes, replaces, retags


def kept_out(count: int) -> list[Change]:
    return [change(Delete(None), f"/p/k{i}", row=Row.KEPT_OUT) for i in range(count)]


def _by_ten(changes: list[Change]) -> list[list[Change]]:
    return [changes[:10], changes[10:]]


def test_first_what_is_written_then_what_is_replaced_and_only_then_what_goes() -> None:
    mixed = [*deletes(2), *replaces(2), *creates(2)]
    writes, replaced, gone = _phases(mixed)
    assert writes == ([creates(2)], [])
    assert replaced == ([[one] for one in replaces(2)],)
    assert gone == ([deletes(2)],)


def test_those_that_need_the_same_read_go_together() -> None:
    mixed = [one for pair in zip(retags(15), creates(15), strict=True) for one in pair]
    put, tagged = next(_phases(mixed))
    assert (put, tagged) == (_by_ten(creates(15)), _by_ten(retags(15)))
    *_, (gone,) = _phases([one for pair in zip(kept_out(12), deletes(12), strict=True) for one in pair])
    assert [sum(one in deletes(12) for one in batch) for batch in gone] == [10, 2, 0]


def test_progress_counts_each_change_as_it_ends() -> None:
    watched = Watched()
    counter = _OutcomeCounter("1/us-east-1", 3, watched)
    outcomes = [Outcome(one, Result.APPLIED) for one in creates(3)]
    assert counter.count(outcomes[:1]) == outcomes[:1]
    counter.count(outcomes[1:])
    assert watched.all == [Progress("1/us-east-1", Phase.WRITING, done, 3) for done in (1, 3)]
