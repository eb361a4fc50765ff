"""A frozen target is planned and never written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from ssm_reconcile.change import Fate
from ssm_reconcile.errors import Where
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import TargetPlan
from ssm_reconcile.spec import Run
from tests.builders import (
    creates,
    deletes,
    fates,
    part,
    releases,
    replaces,
    replication,
    retags,
    target,
    updates,
)

guard = partial(withhold_changes, names=["frozen-target"])

EVERYTHING = [*creates(1), *updates(1), *retags(1), *deletes(1), *releases(1), *replaces(1)]
FROZEN = {"frozen": True}


def test_every_change_of_a_frozen_target_is_withheld() -> None:
    found = guard(part(*EVERYTHING, target=FROZEN), GuardRules(replication()))
    assert fates(found) == {"withheld": 6}
    assert found.summary()["withheld"] == 6


def test_no_flag_lifts_it() -> None:
    run = Run(
        overwrite_outside=True,
        allow_replace=True,
        allow_empty_source=True,
        max_deletes=99,
        max_change_percent=100,
    )
    assert fates(guard(part(*EVERYTHING, target=FROZEN), GuardRules(replication(), run))) == {"withheld": 6}


def test_other_targets_go_on() -> None:
    plan = part(*creates(1), *[replace(one, target="dr-eu") for one in creates(2)])
    plan = replace(plan, targets=(*plan.targets, TargetPlan("dr-eu", "", frozen=True)))
    found = guard(plan, GuardRules(replication(targets=(target(), target("dr-eu")))))
    assert [one.target for one in found.changes if one.fate is Fate.WITHHELD] == ["dr-eu", "dr-eu"]


def test_the_finding_says_where() -> None:
    spec = replication(targets=(target(where=Where("replication.yaml", 9, 5)),))
    (finding,) = guard(part(*creates(2), target=FROZEN), GuardRules(spec)).findings
    assert (finding.where, "2 changes withheld" in finding.message) == ("replication.yaml:9:5", True)
    (finding,) = guard(part(*creates(2), target=FROZEN), GuardRules(replication())).findings
    assert finding.where == "us-east-2"


def test_a_frozen_target_with_nothing_to_do_says_nothing() -> None:
    assert guard(part(target=FROZEN), GuardRules(replication())).findings == ()
