"""Changes whose ownership tags could not be confirmed are withheld."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.change import Fate, Row
from ssm_reconcile.guards import GuardRules, withhold_changes
from tests.builders import creates, deletes, fates, part, replication, updates

guard = partial(withhold_changes, names=["unconfirmed"])

WHY = "its tags could not be confirmed (AccessDeniedException)"


def rules(**unread: str) -> GuardRules:
    return GuardRules(
        replication(), unconfirmed={("us-east-2", f"/p/{name}"): why for name, why in unread.items()}
    )


def test_a_change_whose_tags_could_not_be_read_is_withheld_and_says_why() -> None:
    found = guard(part(*deletes(2)), rules(d000=WHY))
    assert [one.fate for one in found.changes] == [Fate.WITHHELD, Fate.APPLY]
    assert WHY in found.changes[0].withheld[0].why
    assert found.changes[0].withheld_by == ("unconfirmed",)
    assert found.summary()["withheld"] == 1


def test_it_goes_by_target_and_canonical_name() -> None:
    elsewhere = GuardRules(replication(), unconfirmed={("dr-eu", "/p/d000"): WHY})
    assert fates(guard(part(*deletes(1)), elsewhere)) == {"apply": 1}
    bare = replace(updates(1)[0], name="foo")
    found = guard(part(bare), GuardRules(replication(), unconfirmed={("us-east-2", "/foo"): WHY}))
    assert fates(found) == {"withheld": 1}


def test_a_removal_for_skip_sync_rests_on_the_source_too() -> None:
    (gone,) = deletes(1)
    at_source = GuardRules(replication(), unconfirmed={("", "/p/d000"): WHY})
    kept_out = replace(gone, row=Row.KEPT_OUT)
    assert fates(guard(part(kept_out), at_source)) == {"withheld": 1}
    assert fates(guard(part(gone), at_source)) == {"apply": 1}


def test_changes_with_confirmed_tags_are_applied() -> None:
    assert fates(guard(part(*creates(3)), rules())) == {"apply": 3}
