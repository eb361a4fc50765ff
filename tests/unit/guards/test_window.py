"""Changes that are withheld because a window of the event path has no place left."""

from __future__ import annotations

from ssm_reconcile.change import Fate, Withholding
from ssm_reconcile.delete_counts import excess_of_deletes
from ssm_reconcile.event.windows import withhold_over_window
from ssm_reconcile.plan import Plan
from tests.builders import deletes, part, updates


def test_a_change_without_a_place_is_withheld_with_its_reason_and_the_others_go() -> None:
    changes = [*deletes(3), *updates(1)]
    plan = Plan((part(*changes),))
    pair = (changes[0].replication, changes[0].target)
    hold = Withholding("max-deletes", "more than 2 in 24h", 2, 3)
    found = withhold_over_window(plan, "max-deletes", pair, {changes[1].order}, hold)
    assert [one.name for one in found.changes if one.fate is Fate.WITHHELD] == [changes[1].name]
    assert [one.withheld for one in found.changes if one.withheld] == [(hold,)]
    (finding,) = found.all_findings
    assert (finding.code, finding.where) == ("max-deletes", pair[1])
    assert finding.message == f"1 change in {pair[1]} withheld: more than 2 in 24h"


def test_a_plan_without_such_a_change_is_the_same_plan() -> None:
    plan = Plan((part(*deletes(1)),))
    reason = Withholding("max-deletes", "")
    assert withhold_over_window(plan, "max-deletes", ("prod", "x"), (), reason) is plan


def test_a_plan_of_another_replication_is_not_changed() -> None:
    plan = Plan((part(*deletes(1)),))
    order = plan.changes[0].order
    reason = Withholding("max-deletes", "")
    found = withhold_over_window(plan, "max-deletes", ("another", order[1]), {order}, reason)
    assert found.changes == plan.changes
    assert not found.all_findings


def test_deletes_exceed_the_limit_or_half_of_the_replicas() -> None:
    assert excess_of_deletes(2, 2, None) == ""
    assert excess_of_deletes(3, 2, None) == "more than 2"
    assert excess_of_deletes(1, 10, 1) == ""
    assert excess_of_deletes(2, 10, 4) == ""
    assert excess_of_deletes(2, 10, 3) == "over half of its 3 replicas"
