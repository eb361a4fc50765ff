"""Places that a run could not use, by their names: they raise an alarm and are not tried for a minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Withholding
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.event.full_run import GROUP, _groups, _only
from ssm_reconcile.event.name_run import find_unavailable
from ssm_reconcile.model import Access
from ssm_reconcile.plan import Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.session import Places, Session
from ssm_reconcile.spec import Run, Source
from tests.builders import creates, deletes, replication, store_error, target
from tests.doubles.clock import FakeClock
from tests.simulated_aws import unwatched

EAST, WEST = Access("us-east-2"), Access("eu-west-1")
SPEC = replication(targets=(target("east", access=EAST), target("west", access=WEST)))
OTHER = replace(SPEC, name="other", source=Source(Access("eu-central-1")))


def part(name: str = "prod", *, is_listed: bool = True, incomplete: str = "") -> ReplicationPlan:
    targets = tuple(TargetPlan(one, "place", complete=one != incomplete) for one in ("east", "west"))
    return ReplicationPlan(name, "place", targets, source_complete=is_listed)


def unavailable(
    *parts: ReplicationPlan, report: Report | None = None, stopped: bool = False, west: Any = None
) -> tuple[tuple[str, ...], set[Access]]:
    specs = (SPEC, OTHER)[: max(1, len(parts))]
    opened: Any = {EAST: object(), WEST: west or object()}
    session = Session(Places(opened), Run(), FakeClock(), unwatched)
    names, away = find_unavailable(specs, Plan(parts), report, session, stopped=stopped)
    return names, set(away)


def test_all_places_of_a_complete_plan_can_be_used() -> None:
    assert unavailable(part(), part("other")) == ((), set())


@pytest.mark.parametrize("parts", [(), (part(is_listed=False, incomplete="east"),)])
def test_without_its_source_a_replication_has_no_other_unavailable_place(
    parts: tuple[ReplicationPlan, ...],
) -> None:
    assert unavailable(*parts) == (("source of prod",), {Access("us-east-1")})


def test_a_source_that_is_away_hides_no_place_of_another_replication() -> None:
    found = unavailable(part(is_listed=False), part("other", incomplete="east"))
    assert found == (("east", "source of prod"), {Access("us-east-1"), EAST})


def test_a_target_that_was_not_listed_or_opened_is_named() -> None:
    assert unavailable(part(incomplete="east")) == (("east",), {EAST})
    away: StoreError = store_error(Trouble.UNREACHABLE)
    assert unavailable(part(), west=away) == (("west",), {WEST})


def test_a_target_whose_changes_were_given_up_is_named_unless_the_time_was_over() -> None:
    change = replace(creates(1)[0], target="west")
    for result, is_away in ((Result.NOT_ATTEMPTED, True), (Result.FAILED, False)):
        report = Report(Plan(()), (Outcome(change, result),))
        assert unavailable(part(), report=report) == ((("west",), {WEST}) if is_away else ((), set()))
        assert unavailable(part(), report=report, stopped=True) == ((), set())


class TestGroups:
    """Groups of a whole run: some changes of each target, and its deletes last."""

    def plan(self) -> Plan:
        east = [replace(one, target="east") for one in (*deletes(3), *creates(GROUP))]
        west = [replace(one, target="west") for one in creates(2)]
        held = replace(creates(1)[0], name="/p/held", withheld=(Withholding("max-deletes", "too many"),))
        return Plan((replace(part(), changes=(*east, *west, held)),))

    def test_each_target_has_its_part_of_a_group_and_deletes_come_last(self) -> None:
        first, second = _groups(self.plan())
        counts = [sum(one.target == name for one in first) for name in ("east", "west")]
        assert counts == [GROUP, 2]
        assert {str(one.action) for one in first} == {"create"}
        assert [(one.target, str(one.action)) for one in second] == [("east", "delete")] * 3

    def test_a_group_is_a_plan_of_its_changes_only(self) -> None:
        plan = self.plan()
        *_, last = _groups(plan)
        assert list(_only(plan, last).changes) == last

    def test_a_plan_without_changes_has_no_group(self) -> None:
        assert list(_groups(Plan((part(),)))) == []
