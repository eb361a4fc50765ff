"""Maximum percentage of the replicas of one target that one run changes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from ssm_reconcile.change import TagDiff, Update, Withholding
from ssm_reconcile.errors import Where
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.spec import Limits, Run
from tests.builders import (
    change,
    creates,
    deletes,
    desired,
    fates,
    part,
    releases,
    replaces,
    replication,
    retags,
    updates,
)

guard = partial(withhold_changes, names=["max-change-percent"])


def rules(limit: int = 30, given: int | None = None) -> GuardRules:
    return GuardRules(replication(limits=Limits(max_change_percent=limit)), Run(max_change_percent=given))


@pytest.mark.parametrize(
    ("count", "replicas", "withheld"),
    [
        (9, 9, False),
        (4, 10, True),
        (3, 10, False),
        (30, 100, False),
        (31, 100, True),
        (3, 11, False),
        (4, 11, True),
        (100, 333, True),
        (99, 333, False),
    ],
)
def test_thirty_percent_go_and_more_are_withheld_from_ten_replicas_on(
    count: int, replicas: int, *, withheld: bool
) -> None:
    found = guard(part(*updates(count), replicas=replicas), rules())
    assert fates(found) == {"withheld" if withheld else "apply": count}


def test_replacements_and_take_overs_count_with_updates() -> None:
    taken = [
        replace(change(Update(desired(), TagDiff(), takes_over=True)), name=f"/p/{i}") for i in range(11)
    ]
    assert fates(guard(part(*updates(10), *replaces(10), *taken), rules())) == {"withheld": 31}
    assert fates(guard(part(*updates(10), *replaces(9), *taken), rules())) == {"apply": 30}


def test_creates_adopts_retags_and_deletes_never_count() -> None:
    rest = [*creates(50), *retags(50), *releases(20), *deletes(20)]
    assert fates(guard(part(*rest, replicas=10), rules())) == {"apply": 140}


@pytest.mark.parametrize("count", [31, 50, 67, 99, 100])
def test_the_flag_that_the_finding_names_lifts_it(count: int) -> None:
    plan = part(*updates(count), replicas=101)
    found = guard(plan, rules())
    (finding,) = found.findings
    assert finding.remedy is not None
    named = int(finding.remedy.flag.removeprefix("--max-change-percent "))
    assert fates(guard(plan, rules(given=named))) == {"apply": count}
    assert fates(guard(plan, rules(given=named - 1))) == {"withheld": count}


def test_the_spec_lifts_it_too_and_the_flag_may_be_stricter() -> None:
    assert fates(guard(part(*updates(50)), rules(limit=50))) == {"apply": 50}
    assert fates(guard(part(*updates(50)), rules(limit=100, given=10))) == {"withheld": 50}
    assert fates(guard(part(*updates(1)), rules(limit=0))) == {"withheld": 1}


def test_withheld_changes_do_not_count() -> None:
    held = [replace(one, withheld=(Withholding("replace", ""),)) for one in replaces(20)]
    assert fates(guard(part(*updates(30), *held), rules())) == {"apply": 30, "withheld": 20}


def test_the_finding_says_where_and_how_much() -> None:
    spec = replication(limit_lines={"max_change_percent": Where("replication.yaml", 41, 3)})
    (finding,) = guard(part(*updates(34), replicas=101), GuardRules(spec)).findings
    assert finding.where == "replication.yaml:41:3"
    assert "34% of the 101 replicas in us-east-2 would change (limit 30%)" in finding.message


def test_a_withheld_change_says_by_whom_and_it_is_counted() -> None:
    found = guard(part(*updates(4), replicas=10), rules())
    assert {one.withheld_by for one in found.changes} == {("max-change-percent",)}
    assert found.summary()["withheld"] == 4
