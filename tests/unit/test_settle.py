"""No doubt is left that a decision rests on: lagging tags never decide against safety."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile import settle
from ssm_reconcile.change import Row
from ssm_reconcile.diff import TargetDiff, diff
from ssm_reconcile.diff.case import TargetContext
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import OWNER, RECORD, STACK_TAG
from ssm_reconcile.settle import CONFIRM_EACH, Proof
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, Glob, Replication, Rewrite, RewriteIn, Run
from tests.builders import counted, replication, target
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws

LATE = Lag(resources=timedelta(hours=6))
"""Bulk tag reads are six hours behind."""


def asked(aws: SimulatedAws, operation: str = "ListTagsForResource") -> int:
    return aws.world.traffic.count(operation)


def three_places() -> SimulatedAws:
    return SimulatedAws(replication(targets=(target(), target("eu-west-1", region="eu-west-1"))))


def meet(aws: SimulatedAws, calls: int) -> None:
    """The next tag reads wait until so many of them are under way."""
    meeting = threading.Barrier(calls, timeout=20)
    aws.world.traffic.before("ListTagsForResource", meeting.wait, times=calls)


def test_a_target_is_compared_again_only_after_a_read_of_its_tags_or_of_those_of_the_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: Counter[str] = Counter()

    def count(context: TargetContext) -> TargetDiff:
        compared[context.target.name] += 1
        return diff(context)

    monkeypatch.setattr(settle, "diff", count)
    aws = three_places()
    aws.put("/p/a", "v")
    aws.apply()
    aws.put("/p/b", "v")
    aws.apply(run=Run(targets=("eu-west-1",)))
    aws.delete("/p/b")
    aws.pass_time()
    compared.clear()
    assert counted(aws.plan()) == {"in_sync": 2, "delete": 1}
    assert compared == {"us-east-2": 1, "eu-west-1": 2}


def test_versions_are_compared_again_only_after_a_read_of_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: Counter[str] = Counter()
    prove = settle.prove

    def count(spec: Replication, name: str, *rest: Any, **options: Any) -> Proof:
        compared[name] += 1
        return prove(spec, name, *rest, **options)

    monkeypatch.setattr(settle, "prove", count)
    aws = three_places()
    aws.put("/p/a", "v")
    aws.apply()
    aws.world.put(aws.place("eu-west-1"), "/p/b", "v")
    aws.put("/p/b", "v")
    aws.pass_time()
    compared.clear()
    assert counted(aws.plan()) == {"in_sync": 2, "create": 1, "adopt": 1}
    assert compared == {"us-east-2": 1, "eu-west-1": 2}


def test_tags_of_the_source_that_were_read_for_one_target_count_for_the_others() -> None:
    aws = three_places()
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.apply()
    aws.world.tag(aws.place("eu-west-1"), "/p/a", {"team": "x"})
    aws.pass_time(hours=8)
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    aws.pass_time()
    aws.world.lag = LATE
    assert counted(aws.plan()) == {"retag": 2}


class TestOwnership:
    def test_new_replicas_are_not_foreign_while_bulk_tags_lag(self) -> None:
        aws = SimulatedAws(lag=LATE)
        for i in range(5):
            aws.put(f"/p/{i}", "v")
        aws.apply()
        aws.world.traffic.forget()
        assert counted(aws.plan()) == {"in_sync": 5}
        assert asked(aws) == 5

    def test_many_doubts_are_settled_by_two_scans(self) -> None:
        aws = SimulatedAws(lag=LATE)
        for i in range(CONFIRM_EACH + 1):
            aws.put(f"/p/{i}", "v")
        aws.apply()
        for i in range(3):
            aws.put(f"/p/n{i}", "v")
            aws.world.put(aws.there, f"/p/n{i}", "v")
        aws.world.traffic.forget()
        assert counted(aws.plan()) == {"in_sync": CONFIRM_EACH + 1, "adopt": 3}
        assert asked(aws) == CONFIRM_EACH + 1  # those that the scan found to be ours
        assert asked(aws, "DescribeParameters") == 2 + 2 + 2 + 2  # the source, the target, both scans

    @pytest.mark.parametrize(
        ("tags", "row"),
        [
            ({OWNER: "detached:other@123456789012/us-east-1"}, Row.DETACHED),
            ({OWNER: "other@123456789012/us-east-1", RECORD: "v=9"}, Row.FOREIGN),
            ({STACK_TAG: "web"}, Row.FOREIGN),
        ],
    )
    def test_of_many_doubts_the_value_of_another_owner_is_not_read(
        self, tags: dict[str, str], row: Row
    ) -> None:
        aws = SimulatedAws(lag=LATE)
        for i in range(CONFIRM_EACH + 1):
            aws.put(f"/p/{i}", "v")
            aws.world.put(aws.there, f"/p/{i}", "other")
        aws.pass_time(hours=7)
        aws.put("/p/a", "v")
        aws.world.put(aws.there, "/p/a", "PLANTED")
        aws.world.tag(aws.there, "/p/a", tags)
        aws.world.traffic.forget()
        plan = aws.plan()
        assert counted(plan)["conflict"] == CONFIRM_EACH + 1 + (row is Row.FOREIGN)
        assert [one.row for one in plan.others if one.name == "/p/a"] == [row]
        reads = [call for call in aws.world.calls if call.operation == "GetParameters"]
        assert not any("/p/a" in call.names for call in reads if call.place == aws.there)
        assert "PLANTED" not in repr(plan)

    def test_up_to_fifty_doubts_need_no_scan(self) -> None:
        aws = SimulatedAws()
        for i in range(CONFIRM_EACH):
            aws.put(f"/p/{i}", "v")
            aws.world.put(aws.there, f"/p/{i}", "v")
        assert counted(aws.plan()) == {"adopt": CONFIRM_EACH}
        assert asked(aws) == CONFIRM_EACH
        assert asked(aws, "DescribeParameters") == 2

    @pytest.mark.threads
    def test_each_target_is_asked_while_the_others_are(self) -> None:
        """None of them is answered before all have been asked."""
        aws = three_places()
        for place in (aws.here, aws.there, aws.world.place("eu-west-1")):
            aws.world.put(place, "/p/a", "v")
        meet(aws, 2)
        assert counted(aws.plan()) == {"adopt": 2}

    def test_unconfirmed_changes_are_withheld(self) -> None:
        aws = SimulatedAws()
        for i in range(2):
            aws.put(f"/p/{i}", "v")
            aws.world.put(aws.there, f"/p/{i}", "v")
        aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), name="/p/1")
        plan = aws.plan()
        assert counted(plan) == {"adopt": 2, "withheld": 1}
        assert [one.withheld_by for one in plan.changes] == [(), ("unconfirmed",)]

    def test_a_scan_that_fails_leaves_all_it_was_for_unconfirmed(self) -> None:
        aws = SimulatedAws()
        for i in range(CONFIRM_EACH + 1):
            aws.put(f"/p/{i:03}", "v")
            aws.world.put(aws.there, f"/p/{i:03}", "v")
        calls = iter(range(99))
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED)
            if operation == "DescribeParameters" and place == aws.there and next(calls) >= 2
            else None
        )
        assert counted(aws.plan()) == {"adopt": CONFIRM_EACH + 1, "withheld": CONFIRM_EACH + 1}


class TestBeforeDangerousChanges:
    def test_a_delete_is_planned_on_tags_read_directly_only(self) -> None:
        aws = SimulatedAws(lag=LATE)
        aws.replicate()
        aws.pass_time(days=1)
        aws.delete("/p/a")
        aws.world.untag(aws.there, "/p/a", "ssm-reconcile:owner")
        assert counted(aws.plan()) == {}

    def test_an_opt_out_at_the_target_is_seen_before_a_delete(self) -> None:
        aws = SimulatedAws(lag=LATE)
        aws.replicate()
        aws.pass_time(days=1)
        aws.delete("/p/a")
        aws.world.tag(aws.there, "/p/a", {"skip_sync": ""})
        assert counted(aws.plan()) == {"opted_out": 1}

    def test_a_removal_for_skip_sync_is_not_planned_when_the_tag_is_gone_again(self) -> None:
        aws = SimulatedAws(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)), lag=LATE)
        aws.replicate()
        aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
        aws.pass_time(days=1)
        assert counted(aws.plan()) == {"delete": 1}
        aws.world.untag(aws.here, "/p/a", "skip_sync")
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_a_removal_for_skip_sync_is_withheld_when_the_source_cannot_be_asked(self) -> None:
        aws = SimulatedAws(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)), lag=LATE)
        aws.replicate()
        aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
        aws.pass_time(days=1)
        aws.world.untag(aws.here, "/p/a", "skip_sync")
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if operation == "ListTagsForResource" and place == aws.here else None
        )
        assert counted(aws.plan()) == {"delete": 1, "withheld": 1}

    def test_a_source_that_turns_out_to_be_gone_becomes_a_delete(self) -> None:
        aws = SimulatedAws(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
        aws.replicate()
        aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
        aws.pass_time(days=1)
        aws.world.lag = Lag(describe=timedelta(hours=6), resources=timedelta(hours=6))
        aws.delete("/p/a")
        (change,) = aws.plan().changes
        assert change.row == "delete"

    @pytest.mark.parametrize(("count", "reads"), [(50, 50), (51, 0)])
    def test_retags_are_confirmed_when_planned_while_they_are_few(self, count: int, reads: int) -> None:
        aws = SimulatedAws()
        for i in range(count):
            aws.put(f"/p/{i:03}", "v")
        aws.apply()
        for i in range(count):
            aws.world.tag(aws.here, f"/p/{i:03}", {"t": "1"})
        aws.world.traffic.forget()
        assert counted(aws.plan()) == {"retag": count}
        assert asked(aws) == reads

    @pytest.mark.threads
    def test_every_end_is_asked_while_the_others_are(self) -> None:
        """Source and targets have quotas of their own: one after the other would take three times as long."""
        aws = three_places()
        aws.put("/p/a", "v", tags={"t": "1"})
        aws.apply()
        aws.world.tag(aws.here, "/p/a", {"t": "2"})
        meet(aws, 3)
        assert counted(aws.plan()) == {"retag": 2}

    def test_no_tag_is_removed_while_tags_of_the_source_lag(self) -> None:
        aws = SimulatedAws()
        aws.replicate(tags={"team": "a"})
        aws.world.untag(aws.here, "/p/a", "team")
        aws.pass_time(days=1)
        aws.world.lag = LATE
        aws.world.tag(aws.here, "/p/a", {"team": "a"})
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_no_tag_is_taken_away_when_the_source_cannot_be_asked(self) -> None:
        aws = SimulatedAws()
        aws.replicate(tags={"team": "a"})
        aws.world.untag(aws.here, "/p/a", "team")
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("ListTagsForResource", aws.here) else None
        )
        assert counted(aws.plan()) == {"retag": 1, "withheld": 1}

    def test_updates_and_creates_cost_no_tag_read_in_the_plan(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.put("/p/a", "new")
        aws.put("/p/b", "new")
        aws.world.traffic.forget()
        assert counted(aws.plan()) == {"update": 1, "create": 1}
        assert asked(aws) == 0


class TestWhatIsRead:
    def test_an_in_sync_plan_costs_listings_only_and_decrypts_nothing(self) -> None:
        aws = SimulatedAws()
        for i in range(30):
            aws.put(f"/p/{i}", "v", SECURE if i % 2 else "String", tags={"t": "1"})
        aws.apply()
        aws.world.traffic.forget()
        assert counted(aws.plan()) == {"in_sync": 30}
        assert {call.operation for call in aws.world.calls} == {
            "GetCallerIdentity",
            "DescribeParameters",
            "GetResources",
        }

    def test_only_what_is_not_proven_is_read(self) -> None:
        aws = SimulatedAws()
        for i in range(30):
            aws.put(f"/p/{i:02}", "v", SECURE)
        aws.apply()
        aws.put("/p/07", "new", SECURE)
        aws.world.traffic.forget()
        aws.plan()
        assert [call.names for call in aws.world.calls if call.operation == "GetParameters"] == [
            ("/p/07",),
            ("/p/07",),
        ]

    def test_no_decrypt_never_asks_for_a_secret(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/s", "old", SECURE)
        aws.put("/p/s", "new", SECURE)
        aws.put("/p/n", "new", SECURE)
        aws.world.put(aws.there, "/p/n", "new", SECURE)
        aws.world.traffic.forget()
        assert counted(aws.plan(run=Run(no_decrypt=True))) == {"update": 1, "conflict": 1}
        assert asked(aws, "GetParameters") == 0

    def test_a_changed_picture_is_drawn_again_until_it_holds(self) -> None:
        """Bulk tags show an owned replica that another replication has adopted since."""
        aws = SimulatedAws(replication(adopt=AdoptMode.NEVER), lag=LATE)
        aws.replicate()
        aws.pass_time(days=1)
        aws.delete("/p/a")
        aws.world.tag(aws.there, "/p/a", {"ssm-reconcile:owner": "staging@123456789012/us-east-1"})
        plan = aws.plan()
        assert (counted(plan), plan.replications[0].targets[0].replicas) == ({}, 0)


def test_a_rewritten_value_that_its_pattern_refuses_is_found_by_the_plan() -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
    aws = SimulatedAws(replication(rewrites=(moved,)))
    aws.put("/p/a", "a.us-east-1", allowed_pattern=".*us-east-1")
    aws.put("/p/b", "b.us-east-1", allowed_pattern="[a-z].us-east-[12]")
    aws.pass_time()
    plan = aws.plan()
    assert [(other.name, other.counted) for other in plan.others] == [("/p/a", "invalid")]
    assert [finding.code for finding in plan.all_findings] == ["rewrite"]
    assert aws.apply().summary["applied"] == 1
    assert aws.value("/p/b") == "b.us-east-2"
