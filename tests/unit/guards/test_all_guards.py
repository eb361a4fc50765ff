"""All guards, in their order: what is withheld for its own sake does not count towards the limits."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.change import Action, Withholding
from ssm_reconcile.errors import Address
from ssm_reconcile.guards import GUARDS, GuardRules, TargetChanges, withhold_changes
from ssm_reconcile.spec import Run
from tests.builders import creates, deletes, fates, part, replaces, replication, updates

RULES = GuardRules(replication())


def test_guards_that_compare_a_count_with_a_limit_come_last() -> None:
    assert list(GUARDS)[-3:] == ["max-deletes", "max-deletes-total", "max-change-percent"]


def test_replacements_that_are_not_allowed_do_not_hold_back_deletes() -> None:
    found = withhold_changes(part(*deletes(10), *replaces(5)), RULES)
    assert fates(found) == {"apply": 10, "withheld": 5}
    allowed = GuardRules(replication(), Run(allow_replace=True))
    found = withhold_changes(part(*deletes(10), *replaces(5)), allowed)
    assert fates(found) == {"withheld": 15}


def test_replicas_changed_outside_do_not_count_towards_the_percentage() -> None:
    plan = part(*updates(20), *updates(20, "/p/hand", changed_outside=True))
    assert fates(withhold_changes(plan, RULES)) == {"apply": 20, "withheld": 20}
    over = GuardRules(replication(), Run(overwrite_outside=True))
    assert fates(withhold_changes(plan, over)) == {"withheld": 40}


def test_a_bootstrap_has_no_guard_in_its_way() -> None:
    assert fates(withhold_changes(part(*creates(500), replicas=0), RULES)) == {"apply": 500}
    assert fates(withhold_changes(part(*creates(250), replicas=250), RULES)) == {"apply": 250}


def test_a_guard_changes_fates_reasons_and_findings_and_nothing_else() -> None:
    plan = part(*deletes(11), *creates(1))
    found = withhold_changes(plan, RULES)
    assert [(one.name, one.effect, one.expected, one.row) for one in found.changes] == [
        (one.name, one.effect, one.expected, one.row) for one in plan.changes
    ]
    assert (found.targets, found.others, found.selected) == (plan.targets, plan.others, plan.selected)


def test_a_plan_within_all_limits_has_no_findings() -> None:
    plan = part(*creates(2), *updates(2), *deletes(2))
    assert withhold_changes(plan, RULES) == plan


def test_a_change_has_one_entry_for_each_guard_that_withholds_it() -> None:
    plan = part(*deletes(1), *updates(1, exposes=True, changed_outside=True))
    (change,) = (one for one in withhold_changes(plan, RULES).changes if one.exposes)
    assert change.withheld_by == ("changed-outside", "exposure")
    assert change.all_reasons == (
        "withheld: another writer changed the replica",
        "withheld: a SecureString would become plain text",
    )


def test_open_changes_are_those_that_no_guard_withholds() -> None:
    held = [replace(one, withheld=(Withholding("one", "why"),)) for one in deletes(1)]
    plan = part(*held, *deletes(2)[1:], *creates(1))
    target = TargetChanges(plan, plan.targets[0], plan.changes, all_deletes=3)
    assert [one.name for one in target.open()] == ["/p/d001", "/p/c000"]
    assert [one.name for one in target.open(Action.DELETE)] == ["/p/d001"]


def test_a_finding_is_about_the_target() -> None:
    (finding,) = withhold_changes(part(*deletes(11)), RULES).findings
    assert (finding.code, finding.where) == ("max-deletes", "us-east-2")
    assert finding.about == (Address("us-east-2"),)
