"""Marks count for `max_deletes` when they are written, while they wait, and when they are due."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from ssm_reconcile.change import Change, Mark, Row, TagDiff, Unmark
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import Other, ReplicationPlan
from ssm_reconcile.record import EXPIRES
from ssm_reconcile.spec import Limits, Run
from tests.builders import NOW, change, deletes, fates, part, replication, retags, target

WEEK = timedelta(days=7)
RULES = GuardRules(replication(limits=Limits(max_deletes=10)))
guard = partial(withhold_changes, names=["max-deletes"])


def marks(count: int, prefix: str = "/p/m", *, releases: bool = False) -> list[Change]:
    names = [f"{prefix}{i:03}" for i in range(count)]
    return [change(Mark(name, WEEK, releases), name, row=Row.EXPIRING) for name in names]


def waiting(count: int, *, is_released: bool = False, target: str = "us-east-2") -> tuple[Other, ...]:
    one = Other("prod", target, "", Row.EXPIRING, "expiring", expires=NOW, is_released=is_released)
    return tuple(replace(one, name=f"/p/w{i:03}") for i in range(count))


def judged(*changes: Change, others: tuple[Other, ...] = (), replicas: int = 100) -> ReplicationPlan:
    return guard(part(*changes, others=others, replicas=replicas), RULES)


@pytest.mark.parametrize(
    ("new", "outstanding", "due", "withheld"),
    [
        (10, 0, 0, False),
        (11, 0, 0, True),
        (1, 9, 0, False),
        (1, 10, 0, True),
        (0, 9, 1, False),
        (0, 10, 1, True),
        (4, 4, 2, False),
        (4, 4, 3, True),
        (0, 50, 0, False),
    ],
)
def test_new_marks_outstanding_marks_and_due_deletes_count_together(
    new: int, outstanding: int, due: int, *, withheld: bool
) -> None:
    found = judged(*marks(new), *deletes(due), others=waiting(outstanding))
    number = new + due
    assert fates(found) == ({"withheld" if withheld else "apply": number} if number else {})


@pytest.mark.parametrize(("replicas", "withheld"), [(8, False), (7, True)])
def test_outstanding_marks_count_for_half_of_the_replicas(replicas: int, *, withheld: bool) -> None:
    found = judged(*marks(1), *deletes(1), others=waiting(2), replicas=replicas)
    assert fates(found) == {"withheld" if withheld else "apply": 2}


def test_marks_and_deletes_that_a_narrowed_run_leaves_out_count() -> None:
    for outside, withheld in ((9, False), (10, True), (12, True)):
        plan = part(*marks(1), replicas=100, target={"deletes_outside_only": outside})
        assert fates(guard(plan, RULES)) == {"withheld" if withheld else "apply": 1}


def test_replicas_to_be_released_do_not_count() -> None:
    found = judged(*marks(10), *marks(5, "/p/r", releases=True), others=waiting(20, is_released=True))
    assert fates(found) == {"apply": 15}


def test_marks_of_another_target_do_not_count() -> None:
    assert fates(judged(*marks(1), others=waiting(20, target="eu-west-1"))) == {"apply": 1}


def test_the_remedy_names_the_number_that_covers_all() -> None:
    plan = part(*marks(2), *deletes(3), others=waiting(7))
    found = guard(plan, RULES)
    (finding,) = found.findings
    assert finding.remedy is not None
    assert finding.remedy.flag == "--max-deletes 12"
    assert finding.message == (
        "12 to delete, replace or mark in us-east-2 are more than 10: all withheld (7 of them marked already)"
    )
    assert {one.withheld[0].why for one in found.changes} == {"12 deletes and marks are more than 10"}
    lifted = guard(plan, replace(RULES, run=Run(max_deletes=12)))
    assert fates(lifted) == {"apply": 5}


def test_an_empty_source_withholds_marks_and_names_their_number() -> None:
    plan = part(*marks(2), *deletes(1), others=waiting(4), selected=0)
    found = withhold_changes(plan, RULES, ["empty-source"])
    assert fates(found) == {"withheld": 3}
    (finding,) = found.findings
    assert finding.remedy is not None
    assert finding.remedy.flag == "--allow-empty-source --max-deletes 7"


def test_marks_are_withheld_in_frozen_and_incomplete_targets() -> None:
    rules = GuardRules(replication(targets=(target(frozen=True),)))
    frozen = withhold_changes(part(*marks(1), target={"frozen": True}), rules, ["frozen-target"])
    assert fates(frozen) == {"withheld": 1}
    incomplete = withhold_changes(part(*marks(1), target={"complete": False}), RULES, ["incomplete-place"])
    assert fates(incomplete) == {"withheld": 1}
    unread = replace(RULES, unconfirmed={("us-east-2", "/p/m000"): "its tags could not be confirmed"})
    assert fates(withhold_changes(part(*marks(1)), unread, ["unconfirmed"])) == {"withheld": 1}


def test_retags_and_removed_marks_are_not_counted_and_an_orphan_may_lose_its_mark() -> None:
    removed = change(Unmark(TagDiff(before={EXPIRES: "x"})), "/p/o", row=Row.ORPHAN)
    assert fates(judged(*retags(20), removed, *marks(10))) == {"apply": 31}
    rules = GuardRules(replication(id=None))
    assert fates(withhold_changes(part(removed), rules, ["no-id"])) == {"apply": 1}
