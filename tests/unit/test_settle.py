"""No doubt is left that a decision rests on: lagging tags never decide against safety."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.settle import CONFIRM_EACH
from ssm_reconcile.spec import AdoptMode, Glob, OnSkip, Rewrite, RewriteIn, Run, SkipSync
from tests.builders import Stage, counted, replication, target
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag

LATE = Lag(resources=timedelta(hours=6))
"""Bulk tag reads are six hours behind."""


def asked(stage: Stage, operation: str = "ListTagsForResource") -> int:
    return stage.world.traffic.count(operation)


def three_places() -> Stage:
    return Stage(replication(targets=(target(), target("eu-west-1", region="eu-west-1"))))


def meet(stage: Stage, calls: int) -> None:
    """The next tag reads wait until so many of them are under way."""
    meeting = threading.Barrier(calls, timeout=20)
    stage.world.traffic.before("ListTagsForResource", meeting.wait, times=calls)


class TestOwnership:
    def test_new_replicas_are_not_foreign_while_bulk_tags_lag(self) -> None:
        stage = Stage(lag=LATE)
        for i in range(5):
            stage.world.put(stage.here, f"/p/{i}", "v")
        stage.apply()
        stage.world.traffic.forget()
        assert counted(stage.plan()) == {"in_sync": 5}
        assert asked(stage) == 5

    def test_many_doubts_are_settled_by_one_scan(self) -> None:
        stage = Stage(lag=LATE)
        for i in range(CONFIRM_EACH + 1):
            stage.world.put(stage.here, f"/p/{i}", "v")
        stage.apply()
        for i in range(3):
            stage.world.put(stage.here, f"/p/n{i}", "v")
            stage.world.put(stage.there, f"/p/n{i}", "v")
        stage.world.traffic.forget()
        assert counted(stage.plan()) == {"in_sync": CONFIRM_EACH + 1, "adopt": 3}
        assert asked(stage) == CONFIRM_EACH + 1  # those that the scan found to be ours
        assert asked(stage, "DescribeParameters") == 2 + 2 + 2  # the source, the target, the scan

    def test_up_to_fifty_doubts_need_no_scan(self) -> None:
        stage = Stage()
        for i in range(CONFIRM_EACH):
            stage.world.put(stage.here, f"/p/{i}", "v")
            stage.world.put(stage.there, f"/p/{i}", "v")
        assert counted(stage.plan()) == {"adopt": CONFIRM_EACH}
        assert asked(stage) == CONFIRM_EACH
        assert asked(stage, "DescribeParameters") == 2

    def test_each_target_is_asked_while_the_others_are(self) -> None:
        """None of them is answered before all have been asked."""
        stage = three_places()
        for place in (stage.here, stage.there, stage.world.place("eu-west-1")):
            stage.world.put(place, "/p/a", "v")
        meet(stage, 2)
        assert counted(stage.plan()) == {"adopt": 2}

    def test_unconfirmed_changes_are_withheld(self) -> None:
        stage = Stage()
        for i in range(2):
            stage.world.put(stage.here, f"/p/{i}", "v")
            stage.world.put(stage.there, f"/p/{i}", "v")
        stage.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), name="/p/1")
        plan = stage.plan()
        assert counted(plan) == {"adopt": 2, "withheld": 1}
        assert [one.withheld_by for one in plan.changes] == [(), ("unconfirmed",)]

    def test_a_scan_that_fails_leaves_all_it_was_for_unconfirmed(self) -> None:
        stage = Stage()
        for i in range(CONFIRM_EACH + 1):
            stage.world.put(stage.here, f"/p/{i:03}", "v")
            stage.world.put(stage.there, f"/p/{i:03}", "v")
        calls = iter(range(99))
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED)
            if operation == "DescribeParameters" and place == stage.there and next(calls) >= 2
            else None
        )
        assert counted(stage.plan()) == {"adopt": CONFIRM_EACH + 1, "withheld": CONFIRM_EACH + 1}


class TestBeforeDangerousChanges:
    def test_a_delete_is_planned_on_tags_read_directly_only(self) -> None:
        stage = Stage(lag=LATE)
        stage.replicate()
        stage.pass_time(days=1)
        stage.world.delete(stage.here, "/p/a")
        stage.world.untag(stage.there, "/p/a", "ssm-reconcile:owner")
        assert counted(stage.plan()) == {}

    def test_an_opt_out_at_the_target_is_seen_before_a_delete(self) -> None:
        stage = Stage(lag=LATE)
        stage.replicate()
        stage.pass_time(days=1)
        stage.world.delete(stage.here, "/p/a")
        stage.world.tag(stage.there, "/p/a", {"skip_sync": ""})
        assert counted(stage.plan()) == {"opted_out": 1}

    def test_a_removal_for_skip_sync_is_not_planned_when_the_tag_is_gone_again(self) -> None:
        stage = Stage(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)), lag=LATE)
        stage.replicate()
        stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
        stage.pass_time(days=1)
        assert counted(stage.plan()) == {"delete": 1}
        stage.world.untag(stage.here, "/p/a", "skip_sync")
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_a_removal_for_skip_sync_is_withheld_when_the_source_cannot_be_asked(self) -> None:
        stage = Stage(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)), lag=LATE)
        stage.replicate()
        stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
        stage.pass_time(days=1)
        stage.world.untag(stage.here, "/p/a", "skip_sync")
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if operation == "ListTagsForResource" and place == stage.here else None
        )
        assert counted(stage.plan()) == {"delete": 1, "withheld": 1}

    def test_a_source_that_turns_out_to_be_gone_becomes_a_delete(self) -> None:
        stage = Stage(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
        stage.replicate()
        stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
        stage.pass_time(days=1)
        stage.world.lag = Lag(describe=timedelta(hours=6), resources=timedelta(hours=6))
        stage.world.delete(stage.here, "/p/a")
        (change,) = stage.plan().changes
        assert change.row == "delete"

    @pytest.mark.parametrize(("count", "reads"), [(50, 50), (51, 0)])
    def test_retags_are_confirmed_when_planned_while_they_are_few(self, count: int, reads: int) -> None:
        stage = Stage()
        for i in range(count):
            stage.world.put(stage.here, f"/p/{i:03}", "v")
        stage.apply()
        for i in range(count):
            stage.world.tag(stage.here, f"/p/{i:03}", {"t": "1"})
        stage.world.traffic.forget()
        assert counted(stage.plan()) == {"retag": count}
        assert asked(stage) == reads

    def test_every_end_is_asked_while_the_others_are(self) -> None:
        """Source and targets have quotas of their own: one after the other would take three times as long."""
        stage = three_places()
        stage.world.put(stage.here, "/p/a", "v", tags={"t": "1"})
        stage.apply()
        stage.world.tag(stage.here, "/p/a", {"t": "2"})
        meet(stage, 3)
        assert counted(stage.plan()) == {"retag": 2}

    def test_no_tag_is_removed_while_tags_of_the_source_lag(self) -> None:
        stage = Stage()
        stage.replicate(tags={"team": "a"})
        stage.world.untag(stage.here, "/p/a", "team")
        stage.pass_time(days=1)
        stage.world.lag = LATE
        stage.world.tag(stage.here, "/p/a", {"team": "a"})
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_no_tag_is_taken_away_when_the_source_cannot_be_asked(self) -> None:
        stage = Stage()
        stage.replicate(tags={"team": "a"})
        stage.world.untag(stage.here, "/p/a", "team")
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("ListTagsForResource", stage.here) else None
        )
        assert counted(stage.plan()) == {"retag": 1, "withheld": 1}

    def test_updates_and_creates_cost_no_tag_read_in_the_plan(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.put(stage.here, "/p/a", "new")
        stage.world.put(stage.here, "/p/b", "new")
        stage.world.traffic.forget()
        assert counted(stage.plan()) == {"update": 1, "create": 1}
        assert asked(stage) == 0


class TestWhatIsRead:
    def test_an_in_sync_plan_costs_listings_only_and_decrypts_nothing(self) -> None:
        stage = Stage()
        for i in range(30):
            stage.world.put(stage.here, f"/p/{i}", "v", SECURE if i % 2 else "String", tags={"t": "1"})
        stage.apply()
        stage.world.traffic.forget()
        assert counted(stage.plan()) == {"in_sync": 30}
        assert {call.operation for call in stage.world.calls} == {
            "GetCallerIdentity",
            "DescribeParameters",
            "GetResources",
        }

    def test_only_what_is_not_proven_is_read(self) -> None:
        stage = Stage()
        for i in range(30):
            stage.world.put(stage.here, f"/p/{i:02}", "v", SECURE)
        stage.apply()
        stage.world.put(stage.here, "/p/07", "new", SECURE)
        stage.world.traffic.forget()
        stage.plan()
        assert [call.names for call in stage.world.calls if call.operation == "GetParameters"] == [
            ("/p/07",),
            ("/p/07",),
        ]

    def test_no_decrypt_never_asks_for_a_secret(self) -> None:
        stage = Stage()
        stage.replicate("/p/s", "old", SECURE)
        stage.world.put(stage.here, "/p/s", "new", SECURE)
        stage.world.put(stage.here, "/p/n", "new", SECURE)
        stage.world.put(stage.there, "/p/n", "new", SECURE)
        stage.world.traffic.forget()
        assert counted(stage.plan(Run(no_decrypt=True))) == {"update": 1, "conflict": 1}
        assert asked(stage, "GetParameters") == 0

    def test_a_changed_picture_is_drawn_again_until_it_holds(self) -> None:
        """Bulk tags show an owned replica that another replication has adopted since."""
        stage = Stage(replication(adopt=AdoptMode.NEVER), lag=LATE)
        stage.replicate()
        stage.pass_time(days=1)
        stage.world.delete(stage.here, "/p/a")
        stage.world.tag(stage.there, "/p/a", {"ssm-reconcile:owner": "staging@123456789012/us-east-1"})
        plan = stage.plan()
        assert (counted(plan), plan.replications[0].targets[0].replicas) == ({}, 0)


def test_a_rewritten_value_that_its_pattern_refuses_is_found_by_the_plan() -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
    stage = Stage(replication(rewrites=(moved,)))
    stage.world.put(stage.here, "/p/a", "a.us-east-1", allowed_pattern=".*us-east-1")
    stage.world.put(stage.here, "/p/b", "b.us-east-1", allowed_pattern="[a-z].us-east-[12]")
    stage.pass_time()
    plan = stage.plan()
    assert [(other.name, other.counted) for other in plan.others] == [("/p/a", "invalid")]
    assert [finding.code for finding in plan.all_findings] == ["rewrite"]
    assert stage.apply().summary["applied"] == 1
    assert stage.value("/p/b") == "b.us-east-2"
