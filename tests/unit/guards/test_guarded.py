"""All guards, in their order: what is withheld for its own sake does not count towards the limits."""

from __future__ import annotations

from ssm_reconcile.change import Action, Fate
from ssm_reconcile.errors import Address
from ssm_reconcile.guards import GUARDS, Rules, guarded
from ssm_reconcile.guards.base import noted, open_changes, withhold
from ssm_reconcile.spec import Run
from tests.builders import creates, deletes, fates, part, replaces, replication, updates

RULES = Rules(replication())


def test_every_guard_of_the_folder_is_in_the_row_once() -> None:
    names = [guard.__module__.rsplit(".", 1)[-1] for guard in GUARDS]
    assert sorted(names) == [
        "changed_outside",
        "empty_source",
        "exposure",
        "frozen_target",
        "incomplete_place",
        "max_change_percent",
        "max_deletes",
        "no_id",
        "replacement",
        "reversed_roles",
        "unconfirmed",
    ]
    assert names[-2:] == ["max_deletes", "max_change_percent"]


def test_replacements_that_are_not_allowed_do_not_hold_back_deletes() -> None:
    found = guarded(part(*deletes(10), *replaces(5)), RULES)
    assert fates(found) == {"apply": 10, "withheld": 5}
    found = guarded(part(*deletes(10), *replaces(5)), Rules(replication(), Run(allow_replace=True)))
    assert fates(found) == {"withheld": 15}


def test_what_was_changed_outside_does_not_count_towards_the_percentage() -> None:
    plan = part(*updates(20), *updates(20, "/p/hand", changed_outside=True))
    assert fates(guarded(plan, RULES)) == {"apply": 20, "withheld": 20}
    over = Rules(replication(), Run(overwrite_outside=True))
    assert fates(guarded(plan, over)) == {"withheld": 40}


def test_a_bootstrap_has_no_guard_in_its_way() -> None:
    assert fates(guarded(part(*creates(500), replicas=0), RULES)) == {"apply": 500}
    assert fates(guarded(part(*creates(250), replicas=250), RULES)) == {"apply": 250}


def test_a_guard_changes_fates_reasons_and_findings_and_nothing_else() -> None:
    plan = part(*deletes(11), *creates(1))
    found = guarded(plan, RULES)
    assert [(one.name, one.effect, one.expected, one.row) for one in found.changes] == [
        (one.name, one.effect, one.expected, one.row) for one in plan.changes
    ]
    assert (found.targets, found.others, found.selected) == (plan.targets, plan.others, plan.selected)


def test_nothing_is_said_of_an_innocent_plan() -> None:
    plan = part(*creates(2), *updates(2), *deletes(2))
    assert guarded(plan, RULES) == plan


def test_withholding_twice_names_both_guards() -> None:
    once = withhold(part(*deletes(1)), "one", deletes(1), "why")
    twice = withhold(once, "two", deletes(1), "why else")
    assert twice.changes[0].withheld_by == ("one", "two")
    assert twice.changes[0].all_reasons == ("withheld: why", "withheld: why else")


def test_open_changes_are_those_that_nothing_has_withheld() -> None:
    plan = withhold(part(*deletes(2), *creates(1)), "one", deletes(1), "why")
    assert [one.name for one in open_changes(plan, "us-east-2")] == ["/p/d001", "/p/c000"]
    assert [one.name for one in open_changes(plan, "us-east-2", Action.DELETE)] == ["/p/d001"]
    assert open_changes(plan, "elsewhere") == []
    assert plan.changes[0].fate is Fate.WITHHELD


def test_a_note_is_one_more_finding() -> None:
    found = noted(noted(part(), "a", "one", "x", "eu"), "b", "two", "y", "eu-2")
    assert [(one.code, one.where, one.about) for one in found.findings] == [
        ("a", "x", (Address("eu"),)),
        ("b", "y", (Address("eu-2"),)),
    ]
