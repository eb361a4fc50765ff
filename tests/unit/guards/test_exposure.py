"""A SecureString in a target is not turned into plain text unless that is meant."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import AdoptMode, Run
from tests.builders import fates, part, replaces, replication, updates

guard = partial(withhold_changes, names=["exposure"])

EXPOSING = updates(7, "/p/secret", exposes=True)
PLAN = part(*updates(3), *EXPOSING)


def test_a_change_to_plain_text_is_withheld_and_the_others_are_not() -> None:
    found = guard(PLAN, GuardRules(replication()))
    assert fates(found) == {"apply": 3, "withheld": 7}
    assert all(one.exposes == (one.withheld_by == ("exposure",)) for one in found.changes)


def test_the_finding_names_the_parameters_and_both_flags() -> None:
    (finding,) = guard(PLAN, GuardRules(replication())).findings
    assert (finding.code, finding.where) == ("exposure", "us-east-2")
    assert "7 SecureStrings in us-east-2 would become plain text (/p/secret000, " in finding.message
    assert "/p/secret004 and 2 more)" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--only NAME --allow-exposure"


def test_a_source_that_was_made_plain_is_not_withheld() -> None:
    meant = part(*updates(2, exposes=True, source_made_plain=True))
    assert guard(meant, GuardRules(replication())) == meant


def test_only_its_own_flag_lifts_it() -> None:
    assert guard(PLAN, GuardRules(replication(), Run(allow_exposure=True))) == PLAN
    loud = Run(
        overwrite_outside=True, allow_replace=True, allow_empty_source=True, allow_reversed=True,
        max_deletes=99, max_change_percent=100, adopt=AdoptMode.OVERWRITE,
    )  # fmt: skip
    assert fates(guard(PLAN, GuardRules(replication(adopt=AdoptMode.OVERWRITE), loud)))["withheld"] == 7


def test_it_withholds_also_what_another_guard_withholds_already() -> None:
    outside = part(*updates(1, exposes=True, changed_outside=True))
    (change,) = withhold_changes(outside, GuardRules(replication())).changes
    assert change.withheld_by == ("changed-outside", "exposure")
    lifted = withhold_changes(outside, GuardRules(replication(), Run(overwrite_outside=True)))
    assert lifted.changes[0].withheld_by == ("exposure",)


def test_a_replacement_is_withheld_too() -> None:
    plan = part(*(replace(change, exposes=True) for change in replaces(1)))
    found = withhold_changes(plan, GuardRules(replication(), Run(allow_replace=True)))
    assert found.changes[0].withheld_by == ("exposure",)
