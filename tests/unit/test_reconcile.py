"""Each row end to end on the memory store: a tiny world, its plan, what an apply makes of it, and rest.

After every apply that nothing withheld the second plan is empty; and whatever is not ours and not placed
is, byte for byte, as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.change import Action, Fate
from ssm_reconcile.errors import NothingPlanned, Trouble
from ssm_reconcile.model import ADVANCED, SECURE, STANDARD, Access
from ssm_reconcile.plan import Mode, Plan
from ssm_reconcile.record import OWNER, RECORD, SOURCE, Origin, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session, open_places
from ssm_reconcile.spec import (
    AdoptMode,
    ChangedOutside,
    DeleteMode,
    Glob,
    KeyRule,
    Limits,
    OnSkip,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
    SkipSync,
    Target,
)
from tests.builders import Never, Stage, counted, outcome, replication, target
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import at_call, lost, refused
from tests.fake_aws.world import Lag, Seen
from tests.simulated_aws import unwatched

NATIVE = {"/q/native": "theirs", "/q/secret": "hunter2"}


def strangers(stage: Stage) -> None:
    """Unowned parameters of the target, and a parameter of the source that is not selected."""
    stage.world.put(stage.there, "/q/native", "theirs", tags={"team": "b"})
    stage.world.put(stage.there, "/q/secret", "hunter2", SECURE)
    stage.world.put(stage.here, "/q/native", "ours")


def untouched(stage: Stage) -> dict[str, Seen]:
    everything = stage.world.state([stage.here, stage.there])
    there = {name: seen for name, seen in everything[stage.there].items() if name.startswith("/q/")}
    return {**there, **{f"source {name}": seen for name, seen in everything[stage.here].items()}}


@dataclass
class RunResult:
    """The plan and report of one run."""

    stage: Stage
    plan: Plan
    report: Report
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> str:
        rows = [one.row.value for one in self.plan.changes] + [one.row.value for one in self.plan.others]
        (row,) = rows
        return row


def plan_and_apply(stage: Stage, run: Run | None = None) -> RunResult:
    """Plan and apply. Assert that unowned parameters are unchanged and that the next plan is empty."""
    strangers(stage)
    stage.pass_time()
    before = untouched(stage)
    live_before = dict(stage.world.state([stage.there])[stage.there])
    plan = stage.plan(run)
    assert stage.plan(run).plan_id == plan.plan_id
    shown = counted(plan)
    report = stage.carry_out(plan, run)
    stage.pass_time()
    assert untouched(stage) == before
    assert len(report.outcomes) == len(plan.changes)
    again = stage.plan(run)
    if not report.summary["withheld"]:
        assert not again.changes, again.changes
    else:
        assert again.plan_id == plan.plan_id
    writes = stage.world.traffic.writes()
    stage.carry_out(again, run)
    assert stage.world.traffic.writes() == writes, "an apply of nothing wrote something"
    assert shown == counted(plan)
    return RunResult(stage, plan, report, live_before)


def same(result: RunResult, name: str = "/p/a") -> bool:
    """Whether a parameter of the target is unchanged, with its tags and its version."""
    return result.stage.world.state([result.stage.there])[result.stage.there].get(name) == result.before.get(
        name
    )


OTHER_OWNER = "staging@123456789012/us-east-1"


class TestConflicts:
    @pytest.mark.parametrize("mode", [None, AdoptMode.OVERWRITE])
    def test_foreign_stays_as_it_is(self, mode: AdoptMode | None) -> None:
        stage = Stage(replication(name="staging"))
        stage.replicate()
        stage.spec = replication(name="prod")
        stage.world.put(stage.here, "/p/a", "new")
        result = plan_and_apply(stage, Run(adopt=mode))
        assert (result.row, counted(result.plan)) == ("foreign", {"conflict": 1})
        assert same(result)
        assert result.report.exit_code == 3
        assert "conflict: it is a replica of staging@" in result.report.remaining[0].reason

    def test_foreign_stack_stays_as_it_is(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.put(stage.there, "/p/a", "v")
        stage.world.tag(stage.there, "/p/a", {"aws:cloudformation:stack-name": "s"})
        result = plan_and_apply(stage, Run(adopt=AdoptMode.OVERWRITE))
        assert (result.row, same(result)) == ("foreign", True)

    def test_detached_stays_as_it_is(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.tag(stage.there, "/p/a", {OWNER: "detached:prod@123456789012/us-east-1"})
        stage.world.put(stage.here, "/p/a", "new")
        result = plan_and_apply(stage, Run(adopt=AdoptMode.OVERWRITE))
        assert (result.row, counted(result.plan), same(result)) == ("detached", {"detached": 1}, True)

    def test_copied_tags_are_a_conflict_where_something_is_placed(self) -> None:
        stage = Stage()
        stage.replicate("/p/b")
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.put(stage.there, "/p/a", "v", tags=stage.world.tags(stage.there, "/p/b"))
        result = plan_and_apply(stage, Run(adopt=AdoptMode.OVERWRITE))
        assert (counted(result.plan), same(result)) == ({"conflict": 1, "in_sync": 1}, True)

    def test_copied_tags_where_nothing_is_placed_are_a_finding_and_never_deleted(self) -> None:
        stage = Stage(replication(orphans=Orphans.DELETE))
        stage.replicate("/p/b")
        stage.world.put(stage.there, "/p/stray", "v", tags=stage.world.tags(stage.there, "/p/b"))
        result = plan_and_apply(stage)
        assert counted(result.plan) == {"in_sync": 1}
        assert [one.code for one in result.plan.all_findings] == ["copied-tags"]
        assert same(result, "/p/stray")

    def test_conflict_keeps_the_existing_parameter(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "new", SECURE)
        stage.world.put(stage.there, "/p/a", "old", SECURE)
        result = plan_and_apply(stage)
        assert (result.row, same(result), result.report.exit_code) == ("conflict", True, 3)

    def test_conflict_is_taken_over_where_the_run_says_overwrite(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "new", description="d", tags={"team": "a"})
        stage.world.put(stage.there, "/p/a", "old", tags={"mine": "1"})
        result = plan_and_apply(stage, Run(adopt=AdoptMode.OVERWRITE))
        assert counted(result.plan) == {"update": 1}
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 2)
        assert stage.plain_tags("/p/a") == {"team": "a"}
        made = record_of(stage.world.tags(stage.there, "/p/a") or {})
        assert made is not None
        assert (made.origin, made.version) == (Origin.ADOPTED, 2)

    def test_conflict_with_the_same_value_makes_no_version_when_only_tags_differ(self) -> None:
        stage = Stage(replication(adopt=AdoptMode.SAME_VALUE))
        stage.world.put(stage.here, "/p/a", "v", tags={"team": "a"})
        stage.world.put(stage.there, "/p/a", "v", tags={"mine": "1"})
        plan_and_apply(stage)
        assert (stage.version("/p/a"), stage.plain_tags("/p/a")) == (1, {"team": "a"})


class TestLeftAlone:
    def test_opted_out_at_the_target_is_left_as_it_is(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.tag(stage.there, "/p/a", {"skip_sync": ""})
        stage.world.put(stage.here, "/p/a", "new")
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan), same(result)) == ("opted_out", {"opted_out": 1}, True)
        assert result.report.exit_code == 0

    def test_chained_makes_no_loop_between_two_replications(self) -> None:
        stage = Stage()
        stage.replicate()
        back = Replication(
            "back",
            replace(stage.spec.source, access=Access("us-east-2")),
            (Target("us-east-1", Access("us-east-1")), target("us-west-2", region="us-west-2")),
            (Glob("/p/**"),),
            DeleteMode.OWNED,
        )
        stage.spec = back
        plan = stage.plan()
        assert counted(plan) == {"skipped": 2}
        assert {one.row.value for one in plan.others} == {"chained"}

    def test_skipped_is_not_replicated(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v", tags={"skip_sync": "no"})
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan), stage.value("/p/a")) == ("skipped", {"skipped": 1}, None)
        assert result.report.exit_code == 0

    def test_kept_out_stays_as_it_is_and_goes_once_its_source_is_gone(self) -> None:
        stage = Stage()
        stage.replicate("/p/b")
        stage.replicate("/p/a")
        stage.world.put(stage.here, "/p/a", "new")
        stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan)) == ("kept_out", {"opted_out": 1, "in_sync": 1})
        assert same(result)
        stage.world.delete(stage.here, "/p/a")
        result = plan_and_apply(stage)
        assert (result.row, stage.value("/p/a")) == ("delete", None)

    def test_kept_out_is_deleted_where_the_spec_says_so(self) -> None:
        stage = Stage(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
        stage.replicate()
        stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan), stage.value("/p/a")) == ("kept_out", {"delete": 1}, None)

    def test_skipped_parameters_keep_the_tag_to_themselves(self) -> None:
        stage = Stage(replication(skip_sync=SkipSync(tag="local")))
        stage.world.put(stage.here, "/p/a", "v", tags={"skip_sync": "1"})
        plan_and_apply(stage)
        assert stage.plain_tags("/p/a") == {"skip_sync": "1"}


class TestRemovals:
    def test_delete_removes_a_replica_whose_source_is_gone(self) -> None:
        stage = Stage()
        stage.replicate("/p/a")
        stage.replicate("/p/b", "kept")
        stage.world.delete(stage.here, "/p/a")
        result = plan_and_apply(stage)
        assert counted(result.plan) == {"delete": 1, "in_sync": 1}
        assert (stage.value("/p/a"), stage.value("/p/b")) == (None, "kept")

    def test_delete_never_keeps_it(self) -> None:
        stage = Stage(replication(delete=DeleteMode.NEVER))
        stage.replicate("/p/a")
        stage.replicate("/p/b")
        stage.world.delete(stage.here, "/p/a")
        result = plan_and_apply(stage)
        assert (counted(result.plan), same(result)) == ({"orphaned": 1, "in_sync": 1}, True)
        assert result.report.exit_code == 0

    def test_delete_created_releases_what_was_adopted(self) -> None:
        stage = Stage(replication(delete=DeleteMode.CREATED))
        stage.replicate("/p/b")
        stage.world.put(stage.there, "/p/a", "v", tags={"team": "a"})
        stage.replicate("/p/a", tags={"team": "a"})
        stage.world.delete(stage.here, "/p/a")
        stage.world.delete(stage.here, "/p/b")
        stage.world.put(stage.here, "/p/c", "v")
        result = plan_and_apply(stage)
        assert counted(result.plan) == {"delete": 1, "retag": 1, "create": 1}
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("v", 1)
        assert stage.world.tags(stage.there, "/p/a") == {"team": "a"}
        assert stage.value("/p/b") is None

    def test_orphan_is_reported_and_kept(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.spec = replication(include=(Glob("/x/**"),))
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan), same(result)) == ("orphan", {"orphaned": 1}, True)
        assert result.report.exit_code == 0

    def test_orphan_is_deleted_where_the_spec_says_so_though_its_source_exists(self) -> None:
        stage = Stage()
        stage.replicate("/p/a")
        stage.replicate("/p/b")
        stage.spec = replication(exclude=(Glob("/p/a"),), orphans=Orphans.DELETE)
        result = plan_and_apply(stage)
        assert (counted(result.plan), stage.value("/p/a")) == ({"delete": 1, "in_sync": 1}, None)

    def test_a_recreated_source_is_not_a_delete(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.delete(stage.here, "/p/a")
        stage.pass_time()
        stage.world.put(stage.here, "/p/a", "v")
        result = plan_and_apply(stage)
        assert (result.row, stage.version("/p/a")) == ("retag", 1)


class TestCreate:
    def test_create_brings_everything_that_a_parameter_is_in_one_call(self) -> None:
        policy = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Days"}}'
        stage = Stage(replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app-2"),)),)))
        stage.world.add_key(stage.here, "alias/app")
        stage.world.add_key(stage.there, "alias/app-2")
        stage.world.put(
            stage.here,
            "/p/a",
            "hünter2\nline",
            SECURE,
            tags={"team": "a"},
            description="d",
            allowed_pattern="(?s).*",
            tier=ADVANCED,
            policies=[policy],
            key_id="alias/app",
        )
        result = plan_and_apply(stage)
        assert (result.row, result.plan.changes[0].differences[0].secret) == ("create", True)
        live = stage.live("/p/a")
        source = stage.world.peek(stage.here, "/p/a")
        assert source is not None
        for attribute in ("type", "description", "allowed_pattern", "tier", "policies", "data_type"):
            assert getattr(live, attribute) == getattr(source.latest.parameter, attribute), attribute
        assert (live.key_id, live.version, stage.value("/p/a")) == ("alias/app-2", 1, "hünter2\nline")
        assert stage.plain_tags("/p/a") == {"team": "a"}
        assert [call.operation for call in stage.world.traffic.writes()] == ["PutParameter"]

    def test_create_under_a_rewritten_name_remembers_its_source(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "{source.region}", "{target.region}")
        value = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "{source.region}", "{target.region}")
        stage = Stage(replication(rewrites=(rule, value)))
        stage.world.put(stage.here, "/p/us-east-1/url", "db.us-east-1.example")
        plan_and_apply(stage)
        assert stage.value("/p/us-east-2/url") == "db.us-east-2.example"
        assert (stage.world.tags(stage.there, "/p/us-east-2/url") or {})[SOURCE] == "/p/us-east-1/url"
        stage.world.delete(stage.here, "/p/us-east-1/url")
        stage.world.put(stage.here, "/p/other", "v")
        result = plan_and_apply(stage)
        assert (counted(result.plan), stage.value("/p/us-east-2/url")) == ({"create": 1, "delete": 1}, None)

    def test_invalid_is_not_written_and_the_rest_goes_on(self) -> None:
        stage = Stage()
        stage.world.add_key(stage.here, "alias/app")
        stage.world.put(stage.here, "/p/a", "v", SECURE, key_id="alias/app")
        stage.world.put(stage.here, "/p/b", "v")
        result = plan_and_apply(stage)
        assert counted(result.plan) == {"invalid": 1, "create": 1}
        assert [one.code for one in result.plan.all_findings] == ["key"]
        assert (stage.value("/p/a"), stage.value("/p/b"), result.report.exit_code) == (None, "v", 3)


class TestAdopt:
    def test_adopt_takes_ownership_by_tags_alone(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v", SECURE, tags={"team": "a"})
        stage.world.put(stage.there, "/p/a", "v", SECURE, tags={"team": "a"})
        result = plan_and_apply(stage)
        assert (result.row, stage.version("/p/a"), result.report.exit_code) == ("adopt", 1, 0)
        assert [call.operation for call in stage.world.traffic.writes()] == ["AddTagsToResource"]
        assert set(stage.world.tags(stage.there, "/p/a") or {}) == {"team", OWNER, RECORD}

    def test_adopt_never_leaves_it_a_conflict(self) -> None:
        stage = Stage(replication(adopt=AdoptMode.NEVER))
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.put(stage.there, "/p/a", "v")
        result = plan_and_apply(stage)
        assert (result.row, counted(result.plan), same(result)) == ("adopt", {"conflict": 1}, True)
        assert result.report.exit_code == 3


class TestUpdates:
    @pytest.mark.parametrize("kind", ["String", "StringList", SECURE])
    def test_update_brings_a_new_value(self, kind: str) -> None:
        stage = Stage()
        stage.replicate("/p/a", "old", kind)
        stage.world.put(stage.here, "/p/a", "new", kind)
        result = plan_and_apply(stage)
        assert (result.row, stage.value("/p/a"), stage.version("/p/a")) == ("update", "new", 2)

    def test_update_brings_attributes_in_line_without_a_change_of_the_value(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "v", description="d", allowed_pattern=".*")
        stage.world.put(stage.here, "/p/a", "v", description="", allowed_pattern="", tier=ADVANCED)
        result = plan_and_apply(stage)
        (change,) = result.plan.changes
        assert [one.attribute for one in change.differences] == ["AllowedPattern", "description", "tier"]
        live = stage.live("/p/a")
        assert (live.description, live.allowed_pattern, live.tier) == ("", "", ADVANCED)

    @pytest.mark.parametrize(("before", "after"), [("String", SECURE), (SECURE, "String")])
    def test_update_changes_the_type_in_place_where_aws_does(self, before: str, after: str) -> None:
        stage = Stage()
        stage.replicate("/p/a", "old", before)
        stage.world.put(stage.here, "/p/a", "new", after)
        result = plan_and_apply(stage)
        assert (result.row, stage.live("/p/a").type, stage.value("/p/a")) == ("update", after, "new")
        assert result.plan.changes[0].differences[0].secret

    def test_update_of_a_hand_edit_is_withheld_until_it_is_asked_for(self) -> None:
        stage = Stage()
        for i in range(4):
            stage.replicate(f"/p/{i}")
        stage.world.put(stage.there, "/p/0", "hand")
        result = plan_and_apply(stage)
        assert counted(result.plan) == {"update": 1, "withheld": 1, "in_sync": 3}
        assert (same(result, "/p/0"), result.report.exit_code) == (True, 5)
        assert result.plan.changes[0].changed_outside
        result = plan_and_apply(stage, Run(overwrite_outside=True))
        assert (stage.value("/p/0"), result.report.exit_code) == ("v", 0)

    def test_update_of_a_hand_edit_is_done_where_the_spec_says_so(self) -> None:
        stage = Stage(replication(changed_outside=ChangedOutside.OVERWRITE))
        stage.replicate()
        stage.world.put(stage.there, "/p/a", "hand")
        plan_and_apply(stage)
        assert stage.value("/p/a") == "v"

    def test_update_after_a_replica_was_deleted_by_hand_is_a_create(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.delete(stage.there, "/p/a")
        assert plan_and_apply(stage).row == "create"
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("v", 1)

    def test_update_of_a_key_that_was_re_pointed(self) -> None:
        stage = Stage(replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),)))
        for place in (stage.here, stage.there):
            stage.world.add_key(place, "alias/app")
        stage.replicate("/p/a", "v", SECURE, key_id="alias/app")
        new = stage.world.add_key(stage.there, "alias/new")
        stage.world.point_alias(stage.there, "alias/app", new)
        result = plan_and_apply(stage)
        assert result.row == "update"
        assert "key re-pointed" in result.plan.changes[0].reasons[0]
        stored = stage.world.peek(stage.there, "/p/a")
        assert stored is not None
        assert stored.latest.key_arn == new

    def test_update_that_is_unproven_reads_both_values_and_writes_when_they_differ(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "old", SECURE)
        stage.world.put(stage.here, "/p/a", "new", SECURE)
        result = plan_and_apply(stage, Run(no_decrypt=True))
        assert (result.plan.mode, result.row) == (Mode.NO_DECRYPT, "update")
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 2)

    def test_update_that_is_unproven_only_retags_when_the_values_are_equal(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "v", SECURE)
        stage.world.put(stage.here, "/p/a", "v", SECURE)
        result = plan_and_apply(stage, Run(no_decrypt=True))
        assert outcome(result.report).note == "its value was equal: only tags were written"
        assert stage.version("/p/a") == 1

    def test_without_decryption_an_unproven_stranger_is_a_conflict(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v", SECURE)
        stage.world.put(stage.there, "/p/a", "v", SECURE)
        result = plan_and_apply(stage, Run(no_decrypt=True, adopt=AdoptMode.OVERWRITE))
        assert (result.row, same(result)) == ("conflict", True)


class TestRetag:
    def test_retag_equalises_tags_and_makes_no_version(self) -> None:
        stage = Stage(replication(ignore_tags=("cost:*",)))
        stage.replicate(tags={"team": "a", "old": "1"})
        stage.world.untag(stage.here, "/p/a", "old")
        stage.world.tag(stage.here, "/p/a", {"team": "b", "new": "1", "cost:x": "1"})
        stage.world.tag(stage.there, "/p/a", {"cost:y": "1", "stray": "1"})
        result = plan_and_apply(stage)
        assert (result.row, stage.version("/p/a")) == ("retag", 1)
        assert stage.plain_tags("/p/a") == {"team": "b", "new": "1", "cost:y": "1"}

    def test_retag_heals_the_record_after_an_equal_rewrite_of_the_source(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "v", SECURE)
        stage.world.put(stage.here, "/p/a", "v", SECURE)
        result = plan_and_apply(stage)
        assert (result.row, stage.version("/p/a")) == ("retag", 1)

    def test_retag_gives_replicas_of_an_earlier_name_to_the_new_one(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.spec = replication(name="live", previous_names=("prod",))
        result = plan_and_apply(stage)
        assert result.row == "retag"
        assert (stage.world.tags(stage.there, "/p/a") or {})[OWNER] == "live@123456789012/us-east-1"

    def test_retag_completes_a_write_that_was_killed_between_put_and_tags(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "old", tags={"t": "1"})
        stage.world.put(stage.here, "/p/a", "new")
        stage.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
        assert stage.apply().summary["failed"] == 1
        stage.world.faults = None
        result = plan_and_apply(stage)
        assert (result.row, stage.version("/p/a")) == ("retag", 2)


class TestReplace:
    def downgraded(self) -> Stage:
        stage = Stage()
        for i in range(4):
            stage.replicate(f"/p/{i}", tier=ADVANCED)
        stage.world.delete(stage.here, "/p/0")
        stage.pass_time()
        stage.world.put(stage.here, "/p/0", "new", tier=STANDARD, tags={"t": "1"})
        return stage

    def test_replace_is_withheld_unless_it_is_allowed(self) -> None:
        result = plan_and_apply(self.downgraded())
        assert counted(result.plan) == {"replace": 1, "in_sync": 3, "withheld": 1}
        assert (same(result, "/p/0"), result.report.exit_code) == (True, 5)

    def test_replace_deletes_waits_and_creates(self) -> None:
        stage = self.downgraded()
        result = plan_and_apply(stage, Run(allow_replace=True))
        assert result.report.exit_code == 0
        live = stage.live("/p/0")
        assert (live.tier, live.version, stage.value("/p/0")) == (STANDARD, 1, "new")
        assert stage.plain_tags("/p/0") == {"t": "1"}


class TestInSync:
    def test_in_sync_writes_nothing(self) -> None:
        stage = Stage()
        stage.replicate()
        result = plan_and_apply(stage)
        assert (counted(result.plan), same(result), result.report.exit_code) == ({"in_sync": 1}, True, 0)

    def test_in_sync_is_found_out_to_be_faked_by_verify_values(self) -> None:
        stage = Stage()
        stage.replicate()
        now = stage.clock.now
        stage.world.put(stage.there, "/p/a", "evil", user="arn:aws:iam::123456789012:user/evil")
        tags = stage.world.tags(stage.there, "/p/a") or {}
        made = record_of(tags)
        assert made is not None
        stage.world.tag(stage.there, "/p/a", {RECORD: replace(made, version=2, written=now()).text()})
        assert counted(stage.plan()) == {"in_sync": 1}
        assert counted(stage.plan(Run(verify_values=True))) == {"update": 1}


class TestIncomplete:
    def test_nothing_is_deleted_when_the_source_was_listed_in_part(self) -> None:
        stage = Stage()
        for i in range(60):
            stage.world.put(stage.here, f"/p/{i:02}", "v", tags={"t": "1"})
        stage.apply()
        stage.world.put(stage.here, "/p/00", "new")
        stage.world.faults = lambda operation, place, _names, nth: (
            lost(done=False) if (operation, place, nth % 2) == ("DescribeParameters", stage.here, 0) else None
        )
        stage.world.traffic.forget()
        plan = stage.plan()
        assert counted(plan) == {"update": 1, "in_sync": 49, "orphaned": 10}
        assert not plan.complete
        assert [one.code for one in plan.all_findings] == ["incomplete-place"]
        assert stage.carry_out(plan).exit_code == 3
        assert len(stage.world.names(stage.there)) == 60

    def test_no_tags_are_removed_when_those_of_the_source_were_listed_in_part(self) -> None:
        stage = Stage()
        for i in range(150):
            stage.world.put(stage.here, f"/p/{i:03}", "v", tags={"t": "1"})
        stage.apply()
        stage.world.traffic.forget()
        stage.world.faults = lambda operation, place, _names, nth: (
            lost(done=False) if (operation, place, nth) == ("GetResources", stage.here, 2) else None
        )
        plan = stage.plan()
        assert counted(plan) == {"in_sync": 100, "orphaned": 50}

    def test_nothing_at_all_is_planned_into_a_target_listed_in_part(self) -> None:
        stage = Stage(replication(targets=(target(), target("eu", region="eu-west-1"))))
        stage.world.put(stage.here, "/p/a", "v")
        eu = stage.world.place("eu-west-1")
        stage.world.faults = lambda operation, place, _names, _nth: (
            lost(done=False) if (operation, place) == ("DescribeParameters", eu) else None
        )
        plan = stage.plan()
        assert counted(plan) == {"create": 1}
        assert [one.complete for one in plan.replications[0].targets] == [True, False]
        assert [one.where for one in plan.all_findings] == ["target eu"]
        report = stage.carry_out(plan)
        assert (report.exit_code, stage.value("/p/a")) == (3, "v")

    def test_a_target_that_cannot_be_opened_leaves_the_others(self) -> None:
        stage = Stage(replication(targets=(target(), target("eu", region="eu-west-1"))))
        stage.world.put(stage.here, "/p/a", "v")
        eu = stage.world.place("eu-west-1")
        stage.world.faults = lambda _op, place, _names, _nth: (
            refused(Trouble.UNREACHABLE) if place == eu else None
        )
        report = stage.carry_out(stage.plan())
        assert (report.summary["applied"], report.exit_code) == (1, 3)

    @pytest.mark.parametrize("region", ["us-east-1", "us-east-2"])
    def test_without_a_source_or_any_target_nothing_can_be_planned(self, region: str) -> None:
        stage = Stage()
        down = stage.world.place(region)
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("DescribeParameters", down) else None
        )
        with pytest.raises(NothingPlanned, match="AccessDeniedException"):
            stage.plan()

    def test_an_empty_source_that_was_listed_to_the_end_is_guarded(self) -> None:
        stage = Stage()
        stage.replicate()
        stage.world.delete(stage.here, "/p/a")
        stage.world.put(stage.here, "/x/not-selected", "v")
        result = plan_and_apply(stage)
        assert (counted(result.plan), same(result)) == ({"delete": 1, "withheld": 1}, True)
        result = plan_and_apply(stage, Run(allow_empty_source=True))
        assert (result.report.exit_code, stage.value("/p/a")) == (0, None)


class TestNarrowed:
    def test_a_run_narrowed_to_names_leaves_the_others_and_says_so(self) -> None:
        stage = Stage()
        for name in ("/p/a", "/p/b"):
            stage.world.put(stage.here, name, "v")
        plan = stage.plan(Run(only=("/p/a",)))
        assert (counted(plan), plan.narrowing.only) == ({"create": 1}, ("/p/a",))
        stage.carry_out(plan, Run(only=("/p/a",)))
        assert (stage.value("/p/a"), stage.value("/p/b")) == ("v", None)

    def test_a_run_narrowed_to_a_target_reads_no_other(self) -> None:
        stage = Stage(replication(targets=(target(), target("eu", region="eu-west-1"))))
        stage.world.put(stage.here, "/p/a", "v")
        plan = stage.plan(Run(targets=("eu",)))
        assert [one.name for one in plan.replications[0].targets] == ["eu"]
        assert {call.place.region for call in stage.world.calls} == {"us-east-1", "eu-west-1"}

    def test_a_narrowed_run_takes_percentages_of_all_replicas(self) -> None:
        stage = Stage()
        for i in range(10):
            stage.world.put(stage.here, f"/p/{i}", "v")
        stage.apply()
        for i in range(4):
            stage.world.put(stage.here, f"/p/{i}", "new")
        assert counted(stage.plan(Run(only=("/p/0", "/p/1", "/p/2")))) == {"update": 3}
        assert counted(stage.plan())["withheld"] == 4


class TestPlanId:
    def arranged(self, *, backwards: bool = False) -> Stage:
        stage = Stage()
        names = [f"/p/{i}" for i in range(6)]
        for name in reversed(names) if backwards else names:
            stage.world.put(
                stage.here, name, "v", SECURE if name.endswith("3") else "String", tags={"t": name}
            )
        return stage

    def test_the_same_world_has_the_same_id_whatever_the_order_time_and_run(self) -> None:
        one, two = self.arranged(), self.arranged(backwards=True)
        first = one.plan()
        assert two.plan() == first
        two.pass_time(days=3)
        assert two.plan().plan_id == first.plan_id
        assert two.plan(Run(parallelism=1)).plan_id == first.plan_id

    @pytest.mark.parametrize(
        "act",
        [
            pytest.param(lambda s: s.world.put(s.here, "/p/0", "v"), id="a new version of a source"),
            pytest.param(lambda s: s.world.tag(s.here, "/p/0", {"t": "x"}), id="a tag"),
            pytest.param(lambda s: s.world.put(s.here, "/p/9", "v"), id="one more"),
            pytest.param(lambda s: s.world.delete(s.here, "/p/0"), id="one less"),
            pytest.param(lambda s: s.world.put(s.there, "/p/0", "v"), id="something in the target"),
            pytest.param(
                lambda s: setattr(s, "spec", replication(targets=(target(frozen=True),))), id="fate"
            ),
            pytest.param(lambda s: setattr(s, "spec", replication(name="dev")), id="the replication"),
        ],
    )
    def test_another_world_or_other_rules_have_another(self, act: Callable[[Stage], object]) -> None:
        stage = self.arranged()
        before = stage.plan().plan_id
        act(stage)
        assert stage.plan().plan_id != before

    def test_unrelated_parameters_keep_the_plan_id(self) -> None:
        stage = self.arranged()
        before = stage.plan().plan_id
        stage.world.put(stage.there, "/q/x", "stranger")
        stage.world.put(stage.here, "/q/x", "not selected")
        assert stage.plan().plan_id == before

    def test_a_target_of_the_same_name_in_another_place_has_another(self) -> None:
        stage = self.arranged()
        stage.spec = replication(targets=(target("dr"),))
        before = stage.plan().plan_id
        stage.spec = replication(targets=(target("dr", region="eu-west-1"),))
        assert stage.plan().plan_id != before


class TestPlan:
    def test_a_plan_has_its_budget(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v")
        budget = stage.plan().budget
        assert budget is not None
        assert (budget.calls["PutParameter"], budget.writes) == (1, 1)

    def test_the_budget_goes_by_the_rates_of_the_spec(self) -> None:
        stage = Stage(replication(targets=(target(access=Access("us-east-2", rates=(("put", 0.5),))),)))
        stage.world.put(stage.here, "/p/a", "v")
        budget = stage.plan().budget
        assert budget is not None
        assert budget.seconds == 2.0

    def test_a_plain_value_with_a_secret_name_is_hidden_and_found(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/db/password", "hunter2")
        plan = stage.plan()
        assert [one.code for one in plan.all_findings] == ["plain-secret"]
        assert "hunter2" not in repr(plan)

    def test_no_secret_is_in_a_plan_or_a_report(self) -> None:
        stage = Stage()
        stage.replicate("/p/a", "hunter2", SECURE)
        stage.world.put(stage.here, "/p/a", "rabbit3", SECURE, allowed_pattern="rabbit3|hunter2")
        stage.world.put(stage.here, "/p/b", "turtle4", SECURE)
        plan = stage.plan()
        report = stage.carry_out(plan)
        result = repr(plan.changes[0].differences) + repr(report.outcomes[0].error) + repr(plan.all_findings)
        assert not [word for word in ("hunter2", "rabbit3", "turtle4") if word in result]

    def test_several_replications_are_one_plan_sorted_by_name(self) -> None:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "v")
        stage.world.put(stage.here, "/d/a", "v")
        dev = replication(name="dev", include=(Glob("/d/**"),))
        specs = [stage.spec, dev]
        places = open_places(specs, Memory(stage.world).connect, Run())
        plan = reconcile.make_plan(specs, Session(places, Run(), stage.clock, unwatched))
        assert [one.name for one in plan.replications] == ["dev", "prod"]
        assert stage.world.traffic.count("DescribeParameters") == 2
        report = reconcile.carry_out(plan, specs, Session(places, Run(), stage.clock, unwatched), Never())
        assert report.summary["applied"] == 2
        assert stage.world.names(stage.there) == ["/d/a", "/p/a"]

    def test_listings_that_lag_behind_our_own_writes_are_no_remainder(self) -> None:
        stage = Stage()
        stage.world.lag = Lag(describe=stage.world.lag.describe, resources=stage.world.lag.resources)
        stage.world.put(stage.here, "/p/a", "v")
        report = stage.apply()
        assert (report.remaining, report.exit_code) == ((), 0)


def test_patterns_without_effect_are_reported_only_by_a_plan_of_all_parameters_of_a_complete_source() -> None:
    stage = Stage(replication(include=(Glob("/p/**"), Glob("/p/a"))))
    stage.world.put(stage.here, "/p/a", "v")
    (found,) = stage.plan().all_findings
    assert (found.code, found.severity.value) == ("pattern-without-effect", "warning")
    assert "`/p/a` under `parameters.include` decides about none of the 1 parameters of" in found.message
    assert stage.plan(Run(only=("/p/a",))).all_findings == ()
    for i in range(60):
        stage.world.put(stage.here, f"/p/{i:02}", "v")
    stage.world.faults = lambda operation, place, _names, nth: (
        lost(done=False) if (operation, place, nth % 2) == ("DescribeParameters", stage.here, 0) else None
    )
    stage.world.traffic.forget()
    assert [one.code for one in stage.plan().all_findings] == ["incomplete-place"]


def test_at_most_twenty_patterns_without_effect_are_reported() -> None:
    stage = Stage(replication(include=(Glob("/p/**"), *(Glob(f"/q/{i}") for i in range(30)))))
    stage.world.put(stage.here, "/p/a", "v")
    found = stage.plan().all_findings
    assert len(found) == 20
    assert all("(30 patterns are like this)" in one.message for one in found)


def test_a_narrowed_run_finds_a_renamed_replica_by_the_source_that_is_gone() -> None:
    rename = Rewrite(Glob("/p/**"), RewriteIn.NAME, "east", "west")
    stage = Stage(replication(rewrites=(rename,)))
    for name in ("/p/east", "/p/other"):
        stage.world.put(stage.here, name, "v")
    stage.apply()
    stage.world.delete(stage.here, "/p/east")
    stage.pass_time()
    (change,) = stage.plan(Run(only=("/p/east",))).changes
    assert (change.action, change.name) == (Action.DELETE, "/p/west")


def test_a_type_change_that_may_be_a_replacement_counts_as_one() -> None:
    limits = Limits(max_deletes=0)
    stage = Stage(replication(limits=limits))
    stage.replicate("/p/a", "v")
    stage.world.put(stage.here, "/p/a", "v", SECURE)
    stage.pass_time()
    (change,) = stage.plan().changes
    assert change.fate is Fate.APPLY
    (change,) = stage.plan(Run(allow_replace=True)).changes
    assert change.withheld_by == ("max-deletes",)
    assert stage.plan().plan_id != stage.plan(Run(allow_replace=True, max_deletes=1)).plan_id


def test_rules_that_select_nothing_are_a_finding() -> None:
    stage = Stage(replication(include=(Glob("/nowhere/**"),)))
    stage.world.put(stage.here, "/p/a", "v")
    assert [finding.code for finding in stage.plan().all_findings] == ["nothing-selected"]
    assert stage.apply().outcomes == ()
