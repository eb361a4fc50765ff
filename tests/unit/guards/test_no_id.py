"""Orphans are removed only if the spec has an id."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.change import Row
from ssm_reconcile.guards import GuardRules, withhold_changes
from tests.builders import deletes, fates, part, releases, replication

guard = partial(withhold_changes, names=["no-id"])


def test_removals_of_orphans_are_withheld_without_an_id_and_other_deletes_are_not() -> None:
    orphans = [replace(one, row=Row.ORPHAN) for one in (*deletes(2, "/p/o"), *releases(1))]
    found = guard(part(*orphans, *deletes(1)), GuardRules(replication(id=None)))
    assert fates(found) == {"apply": 1, "withheld": 3}
    assert {one.withheld_by for one in found.changes} == {("no-id",), ()}
    (finding,) = found.findings
    assert finding.code == "no-id"
    assert "Add `id:`" in finding.message
    assert "by hand, or select them again, apply with the `id`, and then exclude them" in finding.message


def test_an_id_lifts_it() -> None:
    plan = part(*[replace(one, row=Row.ORPHAN) for one in deletes(2)])
    assert guard(plan, GuardRules(replication())) == plan
