"""An incomplete source listing withholds deletes; an incomplete target listing withholds every change."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.change import Action, Fate
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import Run
from tests.builders import creates, deletes, fates, part, replaces, replication, retags, updates

guard = partial(withhold_changes, names=["incomplete-place"])

EVERYTHING = [*creates(1), *updates(1), *retags(1), *deletes(1), *replaces(1)]
RULES = GuardRules(replication())


def test_nothing_happens_in_a_target_that_was_not_listed_to_the_end() -> None:
    assert fates(guard(part(*EVERYTHING, target={"complete": False}), RULES)) == {"withheld": 5}


def test_nothing_is_deleted_when_the_source_was_not_listed_to_the_end() -> None:
    found = guard(part(*EVERYTHING, source_complete=False), RULES)
    assert {one.action for one in found.changes if one.fate is Fate.WITHHELD} == {
        Action.DELETE,
        Action.REPLACE,
    }
    assert found.summary()["withheld"] == 2


def test_complete_places_are_none_of_its_business() -> None:
    plan = part(*EVERYTHING)
    assert guard(plan, RULES) == plan


def test_nothing_lifts_it() -> None:
    run = Run(max_deletes=99, allow_replace=True, allow_empty_source=True, overwrite_outside=True)
    found = guard(part(*deletes(1), source_complete=False), GuardRules(replication(), run))
    assert fates(found) == {"withheld": 1}
    assert found.changes[0].withheld_by == ("incomplete-place",)
