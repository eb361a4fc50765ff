"""A replacement deletes before it creates, so it is asked for."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import Run
from tests.builders import deletes, fates, part, replaces, replication, updates

guard = partial(withhold_changes, names=["replace"])


def test_replacements_are_withheld_and_the_rest_goes_on() -> None:
    found = guard(part(*updates(2), *deletes(1), *replaces(3)), GuardRules(replication()))
    assert fates(found) == {"apply": 3, "withheld": 3}
    assert found.summary()["withheld"] == 3
    assert found.changes[-1].withheld_by == ("replace",)


def test_the_flag_lifts_it() -> None:
    plan = part(*replaces(3))
    assert guard(plan, GuardRules(replication(), Run(allow_replace=True))) == plan


def test_the_finding_says_where_and_what_lifts_it() -> None:
    (finding,) = guard(part(*replaces(3)), GuardRules(replication())).findings
    assert finding.where == "us-east-2"
    assert "3 to replace" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--allow-replace"


def test_with_nothing_to_replace_it_says_nothing() -> None:
    assert guard(part(*updates(1)), GuardRules(replication())).findings == ()
