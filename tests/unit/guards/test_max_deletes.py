"""Maximum deletes and replacements in one target in one run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from ssm_reconcile.change import Change, Fate, Withholding
from ssm_reconcile.errors import Where
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import TargetPlan
from ssm_reconcile.spec import Limits, Run
from tests.builders import creates, deletes, fates, part, releases, replaces, replication, retags, updates

guard = partial(withhold_changes, names=["max-deletes"])


def rules(limit: int = 10, given: int | None = None) -> GuardRules:
    return GuardRules(replication(limits=Limits(max_deletes=limit)), Run(max_deletes=given))


@pytest.mark.parametrize(("count", "withheld"), [(0, False), (1, False), (10, False), (11, True), (50, True)])
def test_ten_go_and_eleven_are_withheld_all_of_them(count: int, *, withheld: bool) -> None:
    found = guard(part(*deletes(count)), rules())
    assert fates(found) == ({} if not count else {"withheld" if withheld else "apply": count})
    assert found.summary()["withheld"] == (count if withheld else 0)


def test_replacements_count_with_deletes() -> None:
    assert fates(guard(part(*deletes(5), *replaces(5)), rules())) == {"apply": 10}
    assert fates(guard(part(*deletes(5), *replaces(6)), rules())) == {"withheld": 11}


def test_nothing_else_is_counted_or_withheld() -> None:
    rest = [*creates(20), *updates(20), *retags(20), *releases(20)]
    assert fates(guard(part(*rest, *deletes(11)), rules())) == {"apply": 80, "withheld": 11}


@pytest.mark.parametrize(
    ("count", "replicas", "withheld"),
    [(1, 1, False), (2, 4, False), (2, 3, True), (3, 6, False), (4, 7, True), (5, 10, False), (6, 11, True)],
)
def test_half_go_and_more_than_half_are_withheld_unless_it_is_one(
    count: int, replicas: int, *, withheld: bool
) -> None:
    found = guard(part(*deletes(count), replicas=replicas), rules())
    assert fates(found) == {"withheld" if withheld else "apply": count}


@pytest.mark.parametrize(("given", "withheld"), [(11, True), (12, False), (100, False), (0, True)])
def test_the_flag_lifts_it_when_it_covers_them(given: int, *, withheld: bool) -> None:
    found = guard(part(*deletes(12), replicas=12), rules(given=given))
    assert fates(found) == {"withheld" if withheld else "apply": 12}


def test_the_flag_may_be_stricter_than_the_spec() -> None:
    assert fates(guard(part(*deletes(3)), rules(given=2))) == {"withheld": 3}


def test_the_spec_raises_the_number_but_not_the_half() -> None:
    assert fates(guard(part(*deletes(40)), rules(limit=40))) == {"apply": 40}
    assert fates(guard(part(*deletes(40), replicas=79), rules(limit=40))) == {"withheld": 40}


def test_a_limit_of_nought_withholds_the_first() -> None:
    assert fates(guard(part(*deletes(1)), rules(limit=0))) == {"withheld": 1}


def test_withheld_changes_do_not_count() -> None:
    held = [replace(one, withheld=(Withholding("replace", ""),)) for one in replaces(5)]
    assert fates(guard(part(*deletes(10), *held), rules())) == {"apply": 10, "withheld": 5}


def test_each_target_counts_for_itself() -> None:
    def there(changes: list[Change]) -> list[Change]:
        return [replace(one, target="dr-eu") for one in changes]

    plan = part(*deletes(8), *there(deletes(11)))
    plan = replace(plan, targets=(*plan.targets, TargetPlan("dr-eu", "", replicas=100)))
    found = guard(plan, rules())
    assert fates(found) == {"apply": 8, "withheld": 11}
    assert {one.target for one in found.changes if one.fate is Fate.WITHHELD} == {"dr-eu"}


def test_the_finding_names_the_number_the_flag_and_the_line_of_the_spec() -> None:
    lines = {"max_deletes": Where("replication.yaml", 40, 3)}
    spec = replication(limit_lines=lines)
    (finding,) = guard(part(*deletes(11)), GuardRules(spec)).findings
    assert finding.where == "replication.yaml:40:3"
    assert "11 to delete or replace in us-east-2 are more than 10" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--max-deletes 11"
    (finding,) = guard(part(*deletes(11)), rules()).findings
    assert finding.where == "us-east-2"


def test_a_withheld_change_says_by_whom_and_why() -> None:
    one = guard(part(*deletes(2), replicas=3), rules()).changes[0]
    assert one.withheld_by == ("max-deletes",)
    assert "over half of its 3 replicas" in one.withheld[0].why
