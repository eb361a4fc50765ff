"""A replica that was changed outside is not overwritten without a flag."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import ChangedOutside, Run
from tests.builders import fates, part, replication, updates

guard = partial(withhold_changes, names=["changed-outside"])

PLAN = part(*updates(3), *updates(2, "/p/hand", changed_outside=True))


def test_a_replica_changed_outside_is_withheld_and_the_others_are_applied() -> None:
    found = guard(PLAN, GuardRules(replication()))
    assert fates(found) == {"apply": 3, "withheld": 2}
    assert found.summary()["withheld"] == 2
    assert all(one.changed_outside == (one.withheld_by == ("changed-outside",)) for one in found.changes)


def test_the_finding_says_where_how_many_and_what_lifts_it() -> None:
    (finding,) = guard(PLAN, GuardRules(replication())).findings
    assert finding.where == "us-east-2"
    assert "2 replicas in us-east-2 were changed outside" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--overwrite-outside"


def test_the_flag_lifts_it() -> None:
    found = guard(PLAN, GuardRules(replication(), Run(overwrite_outside=True)))
    assert (found, found.findings) == (PLAN, ())


def test_the_spec_lifts_it() -> None:
    assert guard(PLAN, GuardRules(replication(changed_outside=ChangedOutside.OVERWRITE))) == PLAN


def test_without_such_a_change_it_says_nothing() -> None:
    assert guard(part(*updates(2)), GuardRules(replication())) == part(*updates(2))
