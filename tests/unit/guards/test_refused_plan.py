"""Changes of a plan that was refused on GitHub are withheld from unreviewed runs."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import Run
from tests.builders import creates, deletes, fates, part, replication, updates

guard = partial(withhold_changes, names=["refused-plan"])


def test_only_the_changes_of_the_given_addresses_are_withheld() -> None:
    plan = part(*deletes(2), *updates(2))
    left, *others = plan.changes
    found = guard(plan, GuardRules(replication(), Run(leave_out=frozenset({left.order}))))
    assert {one.name for one in found.changes if one.withheld} == {left.name}
    assert fates(found) == {"apply": len(others), "withheld": 1}
    (finding,) = [one for one in found.findings if one.code == "refused-plan"]
    assert "1 change in" in finding.message


def test_an_address_of_another_replication_or_target_is_not_meant() -> None:
    plan = part(*updates(1))
    replication_name, target_name, name = plan.changes[0].order
    others = {("other", target_name, name), (replication_name, "other", name)}
    found = guard(plan, GuardRules(replication(), Run(leave_out=frozenset(others))))
    assert found == plan


def test_refused_deletes_do_not_count_towards_the_limit_of_deletes() -> None:
    plan = part(*deletes(12), *creates(1), replicas=100)
    refused = frozenset(change.order for change in plan.changes[:5])
    found = withhold_changes(plan, GuardRules(replication(), Run(leave_out=refused)))
    assert fates(found) == {"apply": 8, "withheld": 5}


def test_nothing_is_withheld_without_addresses() -> None:
    plan = part(*updates(3))
    assert guard(plan, GuardRules(replication())) == plan
