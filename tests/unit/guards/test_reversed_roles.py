"""The guard against a source and a target that were exchanged by mistake."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import Run
from tests.builders import creates, deletes, fates, part, replication

guard = partial(withhold_changes, names=["roles-reversed"])

NAMES = ("/p/a", "/p/b", "/p/c", "/p/d")


def test_everything_is_withheld_from_a_target_that_the_source_was_detached_from() -> None:
    found = guard(
        part(*creates(2), *deletes(1)), GuardRules(replication(), reversed_roles={"us-east-2": NAMES})
    )
    assert fates(found) == {"withheld": 3}
    (finding,) = found.findings
    assert finding.code == "roles-reversed"
    assert "(/p/a, /p/b, /p/c and 1 more)" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--allow-reversed"


def test_another_target_is_written() -> None:
    plan = part(*creates(2))
    assert (
        guard(plan, GuardRules(replication(), reversed_roles={"eu-west-1": NAMES, "us-east-2": ()})) == plan
    )


def test_the_flag_lifts_it() -> None:
    plan = part(*creates(2))
    rules = GuardRules(replication(), Run(allow_reversed=True), reversed_roles={"us-east-2": NAMES})
    assert guard(plan, rules) == plan


def test_without_changes_there_is_nothing_to_say() -> None:
    assert guard(part(), GuardRules(replication(), reversed_roles={"us-east-2": NAMES})).findings == ()
