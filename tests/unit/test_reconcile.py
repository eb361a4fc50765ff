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
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import (
    AdoptMode,
    ChangedOutside,
    DeleteMode,
    Glob,
    KeyRule,
    Limits,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
    Target,
)
from tests.builders import counted, outcome, replication, target
from tests.doubles.clock import StopFlag
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import at_call, lost, refused
from tests.fake_aws.world import Lag, Seen
from tests.simulated_aws import SimulatedAws, unwatched

NATIVE = {"/q/native": "theirs", "/q/secret": "hunter2"}


def strangers(aws: SimulatedAws) -> None:
    """Unowned parameters of the target, and a parameter of the source that is not selected."""
    aws.world.put(aws.there, "/q/native", "theirs", tags={"team": "b"})
    aws.world.put(aws.there, "/q/secret", "hunter2", SECURE)
    aws.put("/q/native", "ours")


def untouched(aws: SimulatedAws) -> dict[str, Seen]:
    everything = aws.world.state([aws.here, aws.there])
    there = {name: seen for name, seen in everything[aws.there].items() if name.startswith("/q/")}
    return {**there, **{f"source {name}": seen for name, seen in everything[aws.here].items()}}


@dataclass
class RunResult:
    """The plan and report of one run."""

    aws: SimulatedAws
    plan: Plan
    report: Report
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> str:
        rows = [one.row.value for one in self.plan.changes] + [one.row.value for one in self.plan.others]
        (row,) = rows
        return row


def plan_and_apply(aws: SimulatedAws, run: Run | None = None) -> RunResult:
    """Plan and apply. Assert that unowned parameters are unchanged and that the next plan is empty."""
    strangers(aws)
    aws.pass_time()
    before = untouched(aws)
    live_before = dict(aws.world.state([aws.there])[aws.there])
    plan = aws.plan(run=run)
    assert aws.plan(run=run).plan_id == plan.plan_id
    shown = counted(plan)
    report = aws.carry_out(plan, run=run)
    aws.pass_time()
    assert untouched(aws) == before
    assert len(report.outcomes) == len(plan.changes)
    again = aws.plan(run=run)
    if not report.summary["withheld"]:
        assert not again.changes, again.changes
    else:
        assert again.plan_id == plan.plan_id
    writes = aws.world.traffic.writes()
    aws.carry_out(again, run=run)
    assert aws.world.traffic.writes() == writes, "an apply of nothing wrote something"
    assert shown == counted(plan)
    return RunResult(aws, plan, report, live_before)


def same(result: RunResult, name: str = "/p/a") -> bool:
    """Whether a parameter of the target is unchanged, with its tags and its version."""
    return result.aws.world.state([result.aws.there])[result.aws.there].get(name) == result.before.get(name)


OTHER_OWNER = "staging@123456789012/us-east-1"


class TestConflicts:
    @pytest.mark.parametrize("mode", [None, AdoptMode.OVERWRITE])
    def test_foreign_stays_as_it_is(self, mode: AdoptMode | None) -> None:
        aws = SimulatedAws(replication(name="staging"))
        aws.replicate()
        aws.spec = replication(name="prod")
        aws.put("/p/a", "new")
        result = plan_and_apply(aws, Run(adopt=mode))
        assert (result.row, counted(result.plan)) == ("foreign", {"conflict": 1})
        assert same(result)
        assert result.report.exit_code == 3
        assert "conflict: it is a replica of staging@" in result.report.remaining[0].reason

    def test_foreign_stack_stays_as_it_is(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v")
        aws.world.put(aws.there, "/p/a", "v")
        aws.world.tag(aws.there, "/p/a", {"aws:cloudformation:stack-name": "s"})
        result = plan_and_apply(aws, Run(adopt=AdoptMode.OVERWRITE))
        assert (result.row, same(result)) == ("foreign", True)

    def test_detached_stays_as_it_is(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.world.tag(aws.there, "/p/a", {OWNER: "detached:prod@123456789012/us-east-1"})
        aws.put("/p/a", "new")
        result = plan_and_apply(aws, Run(adopt=AdoptMode.OVERWRITE))
        assert (result.row, counted(result.plan), same(result)) == ("detached", {"detached": 1}, True)

    def test_copied_tags_are_a_conflict_where_something_is_placed(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/b")
        aws.put("/p/a", "v")
        aws.world.put(aws.there, "/p/a", "v", tags=aws.world.tags(aws.there, "/p/b"))
        result = plan_and_apply(aws, Run(adopt=AdoptMode.OVERWRITE))
        assert (counted(result.plan), same(result)) == ({"conflict": 1, "in_sync": 1}, True)

    def test_copied_tags_where_nothing_is_placed_are_a_finding_and_never_deleted(self) -> None:
        aws = SimulatedAws(replication(orphans=Orphans.DELETE))
        aws.replicate("/p/b")
        aws.world.put(aws.there, "/p/stray", "v", tags=aws.world.tags(aws.there, "/p/b"))
        result = plan_and_apply(aws)
        assert counted(result.plan) == {"in_sync": 1}
        assert [one.code for one in result.plan.all_findings] == ["copied-tags"]
        assert same(result, "/p/stray")

    def test_conflict_keeps_the_existing_parameter(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "new", SECURE)
        aws.world.put(aws.there, "/p/a", "old", SECURE)
        result = plan_and_apply(aws)
        assert (result.row, same(result), result.report.exit_code) == ("conflict", True, 3)

    def test_conflict_is_taken_over_where_the_run_says_overwrite(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "new", description="d", tags={"team": "a"})
        aws.world.put(aws.there, "/p/a", "old", tags={"mine": "1"})
        result = plan_and_apply(aws, Run(adopt=AdoptMode.OVERWRITE))
        assert counted(result.plan) == {"update": 1}
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 2)
        assert aws.plain_tags("/p/a") == {"team": "a"}
        made = record_of(aws.world.tags(aws.there, "/p/a") or {})
        assert made is not None
        assert (made.origin, made.version) == (Origin.ADOPTED, 2)

    def test_conflict_with_the_same_value_makes_no_version_when_only_tags_differ(self) -> None:
        aws = SimulatedAws(replication(adopt=AdoptMode.SAME_VALUE))
        aws.put("/p/a", "v", tags={"team": "a"})
        aws.world.put(aws.there, "/p/a", "v", tags={"mine": "1"})
        plan_and_apply(aws)
        assert (aws.version("/p/a"), aws.plain_tags("/p/a")) == (1, {"team": "a"})


class TestLeftAlone:
    def test_opted_out_at_the_target_is_left_as_it_is(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.world.tag(aws.there, "/p/a", {"skip_sync": ""})
        aws.put("/p/a", "new")
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan), same(result)) == ("opted_out", {"opted_out": 1}, True)
        assert result.report.exit_code == 0

    def test_chained_makes_no_loop_between_two_replications(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        back = Replication(
            "back",
            replace(aws.spec.source, access=Access("us-east-2")),
            (Target("us-east-1", Access("us-east-1")), target("us-west-2", region="us-west-2")),
            (Glob("/p/**"),),
            DeleteMode.OWNED,
        )
        aws.spec = back
        plan = aws.plan()
        assert counted(plan) == {"skipped": 2}
        assert {one.row.value for one in plan.others} == {"chained"}

    def test_skipped_is_not_replicated(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v", tags={"skip_sync": "no"})
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan), aws.value("/p/a")) == ("skipped", {"skipped": 1}, None)
        assert result.report.exit_code == 0

    def test_kept_out_stays_as_it_is_and_goes_once_its_source_is_gone(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/b")
        aws.replicate("/p/a")
        aws.put("/p/a", "new")
        aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan)) == ("kept_out", {"opted_out": 1, "in_sync": 1})
        assert same(result)
        aws.delete("/p/a")
        result = plan_and_apply(aws)
        assert (result.row, aws.value("/p/a")) == ("delete", None)

    def test_kept_out_is_deleted_where_the_spec_says_so(self) -> None:
        aws = SimulatedAws(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
        aws.replicate()
        aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan), aws.value("/p/a")) == ("kept_out", {"delete": 1}, None)

    def test_skipped_parameters_keep_the_tag_to_themselves(self) -> None:
        aws = SimulatedAws(replication(skip_sync=SkipSync(tag="local")))
        aws.put("/p/a", "v", tags={"skip_sync": "1"})
        plan_and_apply(aws)
        assert aws.plain_tags("/p/a") == {"skip_sync": "1"}


class TestRemovals:
    def test_delete_removes_a_replica_whose_source_is_gone(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a")
        aws.replicate("/p/b", "kept")
        aws.delete("/p/a")
        result = plan_and_apply(aws)
        assert counted(result.plan) == {"delete": 1, "in_sync": 1}
        assert (aws.value("/p/a"), aws.value("/p/b")) == (None, "kept")

    def test_delete_never_keeps_it(self) -> None:
        aws = SimulatedAws(replication(delete=DeleteMode.NEVER))
        aws.replicate("/p/a")
        aws.replicate("/p/b")
        aws.delete("/p/a")
        result = plan_and_apply(aws)
        assert (counted(result.plan), same(result)) == ({"orphaned": 1, "in_sync": 1}, True)
        assert result.report.exit_code == 0

    def test_delete_created_releases_what_was_adopted(self) -> None:
        aws = SimulatedAws(replication(delete=DeleteMode.CREATED))
        aws.replicate("/p/b")
        aws.world.put(aws.there, "/p/a", "v", tags={"team": "a"})
        aws.replicate("/p/a", tags={"team": "a"})
        aws.delete("/p/a")
        aws.delete("/p/b")
        aws.put("/p/c", "v")
        result = plan_and_apply(aws)
        assert counted(result.plan) == {"delete": 1, "retag": 1, "create": 1}
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("v", 1)
        assert aws.world.tags(aws.there, "/p/a") == {"team": "a"}
        assert aws.value("/p/b") is None

    def test_orphan_is_reported_and_kept(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.spec = replication(include=(Glob("/x/**"),))
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan), same(result)) == ("orphan", {"orphaned": 1}, True)
        assert result.report.exit_code == 0

    def test_orphan_is_deleted_where_the_spec_says_so_though_its_source_exists(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a")
        aws.replicate("/p/b")
        aws.spec = replication(exclude=(Glob("/p/a"),), orphans=Orphans.DELETE)
        result = plan_and_apply(aws)
        assert (counted(result.plan), aws.value("/p/a")) == ({"delete": 1, "in_sync": 1}, None)

    def test_a_recreated_source_is_not_a_delete(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.delete("/p/a")
        aws.pass_time()
        aws.put("/p/a", "v")
        result = plan_and_apply(aws)
        assert (result.row, aws.version("/p/a")) == ("retag", 1)


class TestCreate:
    def test_create_brings_everything_that_a_parameter_is_in_one_call(self) -> None:
        policy = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Days"}}'
        aws = SimulatedAws(replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app-2"),)),)))
        aws.world.add_key(aws.here, "alias/app")
        aws.world.add_key(aws.there, "alias/app-2")
        aws.put(
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
        result = plan_and_apply(aws)
        assert (result.row, result.plan.changes[0].differences[0].secret) == ("create", True)
        live = aws.live("/p/a")
        source = aws.world.peek(aws.here, "/p/a")
        assert source is not None
        for attribute in ("type", "description", "allowed_pattern", "tier", "policies", "data_type"):
            assert getattr(live, attribute) == getattr(source.latest.parameter, attribute), attribute
        assert (live.key_id, live.version, aws.value("/p/a")) == ("alias/app-2", 1, "hünter2\nline")
        assert aws.plain_tags("/p/a") == {"team": "a"}
        assert [call.operation for call in aws.world.traffic.writes()] == ["PutParameter"]

    def test_create_under_a_rewritten_name_remembers_its_source(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "{source.region}", "{target.region}")
        value = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "{source.region}", "{target.region}")
        aws = SimulatedAws(replication(rewrites=(rule, value)))
        aws.put("/p/us-east-1/url", "db.us-east-1.example")
        plan_and_apply(aws)
        assert aws.value("/p/us-east-2/url") == "db.us-east-2.example"
        assert (aws.world.tags(aws.there, "/p/us-east-2/url") or {})[SOURCE] == "/p/us-east-1/url"
        aws.delete("/p/us-east-1/url")
        aws.put("/p/other", "v")
        result = plan_and_apply(aws)
        assert (counted(result.plan), aws.value("/p/us-east-2/url")) == ({"create": 1, "delete": 1}, None)

    def test_invalid_is_not_written_and_the_rest_goes_on(self) -> None:
        aws = SimulatedAws()
        aws.world.add_key(aws.here, "alias/app")
        aws.put("/p/a", "v", SECURE, key_id="alias/app")
        aws.put("/p/b", "v")
        result = plan_and_apply(aws)
        assert counted(result.plan) == {"invalid": 1, "create": 1}
        assert [one.code for one in result.plan.all_findings] == ["key"]
        assert (aws.value("/p/a"), aws.value("/p/b"), result.report.exit_code) == (None, "v", 3)


class TestAdopt:
    def test_adopt_takes_ownership_by_tags_alone(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v", SECURE, tags={"team": "a"})
        aws.world.put(aws.there, "/p/a", "v", SECURE, tags={"team": "a"})
        result = plan_and_apply(aws)
        assert (result.row, aws.version("/p/a"), result.report.exit_code) == ("adopt", 1, 0)
        assert [call.operation for call in aws.world.traffic.writes()] == ["AddTagsToResource"]
        assert set(aws.world.tags(aws.there, "/p/a") or {}) == {"team", OWNER, RECORD}

    def test_adopt_never_leaves_it_a_conflict(self) -> None:
        aws = SimulatedAws(replication(adopt=AdoptMode.NEVER))
        aws.put("/p/a", "v")
        aws.world.put(aws.there, "/p/a", "v")
        result = plan_and_apply(aws)
        assert (result.row, counted(result.plan), same(result)) == ("adopt", {"conflict": 1}, True)
        assert result.report.exit_code == 3


class TestUpdates:
    @pytest.mark.parametrize("kind", ["String", "StringList", SECURE])
    def test_update_brings_a_new_value(self, kind: str) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", kind)
        aws.put("/p/a", "new", kind)
        result = plan_and_apply(aws)
        assert (result.row, aws.value("/p/a"), aws.version("/p/a")) == ("update", "new", 2)

    def test_update_brings_attributes_in_line_without_a_change_of_the_value(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "v", description="d", allowed_pattern=".*")
        aws.put("/p/a", "v", description="", allowed_pattern="", tier=ADVANCED)
        result = plan_and_apply(aws)
        (change,) = result.plan.changes
        assert [one.attribute for one in change.differences] == ["AllowedPattern", "description", "tier"]
        live = aws.live("/p/a")
        assert (live.description, live.allowed_pattern, live.tier) == ("", "", ADVANCED)

    @pytest.mark.parametrize(("before", "after"), [("String", SECURE), (SECURE, "String")])
    def test_update_changes_the_type_in_place_where_aws_does(self, before: str, after: str) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", before)
        aws.put("/p/a", "new", after)
        result = plan_and_apply(aws)
        assert (result.row, aws.live("/p/a").type, aws.value("/p/a")) == ("update", after, "new")
        assert result.plan.changes[0].differences[0].secret

    def test_update_of_a_hand_edit_is_withheld_until_it_is_asked_for(self) -> None:
        aws = SimulatedAws()
        for i in range(4):
            aws.replicate(f"/p/{i}")
        aws.world.put(aws.there, "/p/0", "hand")
        result = plan_and_apply(aws)
        assert counted(result.plan) == {"update": 1, "withheld": 1, "in_sync": 3}
        assert (same(result, "/p/0"), result.report.exit_code) == (True, 5)
        assert result.plan.changes[0].changed_outside
        result = plan_and_apply(aws, Run(overwrite_outside=True))
        assert (aws.value("/p/0"), result.report.exit_code) == ("v", 0)

    def test_update_of_a_hand_edit_is_done_where_the_spec_says_so(self) -> None:
        aws = SimulatedAws(replication(changed_outside=ChangedOutside.OVERWRITE))
        aws.replicate()
        aws.world.put(aws.there, "/p/a", "hand")
        plan_and_apply(aws)
        assert aws.value("/p/a") == "v"

    def test_update_after_a_replica_was_deleted_by_hand_is_a_create(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.world.delete(aws.there, "/p/a")
        assert plan_and_apply(aws).row == "create"
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("v", 1)

    def test_update_of_a_key_that_was_re_pointed(self) -> None:
        aws = SimulatedAws(replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),)))
        for place in (aws.here, aws.there):
            aws.world.add_key(place, "alias/app")
        aws.replicate("/p/a", "v", SECURE, key_id="alias/app")
        new = aws.world.add_key(aws.there, "alias/new")
        aws.world.point_alias(aws.there, "alias/app", new)
        result = plan_and_apply(aws)
        assert result.row == "update"
        assert "key re-pointed" in result.plan.changes[0].reasons[0]
        stored = aws.world.peek(aws.there, "/p/a")
        assert stored is not None
        assert stored.latest.key_arn == new

    def test_update_that_is_unproven_reads_both_values_and_writes_when_they_differ(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", SECURE)
        aws.put("/p/a", "new", SECURE)
        result = plan_and_apply(aws, Run(no_decrypt=True))
        assert (result.plan.mode, result.row) == (Mode.NO_DECRYPT, "update")
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 2)

    def test_update_that_is_unproven_only_retags_when_the_values_are_equal(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "v", SECURE)
        aws.put("/p/a", "v", SECURE)
        result = plan_and_apply(aws, Run(no_decrypt=True))
        assert outcome(result.report).note == "its value was equal: only tags were written"
        assert aws.version("/p/a") == 1

    def test_without_decryption_an_unproven_stranger_is_a_conflict(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v", SECURE)
        aws.world.put(aws.there, "/p/a", "v", SECURE)
        result = plan_and_apply(aws, Run(no_decrypt=True, adopt=AdoptMode.OVERWRITE))
        assert (result.row, same(result)) == ("conflict", True)


class TestRetag:
    def test_retag_equalises_tags_and_makes_no_version(self) -> None:
        aws = SimulatedAws(replication(ignore_tags=("cost:*",)))
        aws.replicate(tags={"team": "a", "old": "1"})
        aws.world.untag(aws.here, "/p/a", "old")
        aws.world.tag(aws.here, "/p/a", {"team": "b", "new": "1", "cost:x": "1"})
        aws.world.tag(aws.there, "/p/a", {"cost:y": "1", "stray": "1"})
        result = plan_and_apply(aws)
        assert (result.row, aws.version("/p/a")) == ("retag", 1)
        assert aws.plain_tags("/p/a") == {"team": "b", "new": "1", "cost:y": "1"}

    def test_retag_heals_the_record_after_an_equal_rewrite_of_the_source(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "v", SECURE)
        aws.put("/p/a", "v", SECURE)
        result = plan_and_apply(aws)
        assert (result.row, aws.version("/p/a")) == ("retag", 1)

    def test_retag_gives_replicas_of_an_earlier_name_to_the_new_one(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.spec = replication(name="live", previous_names=("prod",))
        result = plan_and_apply(aws)
        assert result.row == "retag"
        assert (aws.world.tags(aws.there, "/p/a") or {})[OWNER] == "live@123456789012/us-east-1"

    def test_retag_completes_a_write_that_was_killed_between_put_and_tags(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", tags={"t": "1"})
        aws.put("/p/a", "new")
        aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
        assert aws.apply().summary["failed"] == 1
        aws.world.faults = None
        result = plan_and_apply(aws)
        assert (result.row, aws.version("/p/a")) == ("retag", 2)


class TestReplace:
    def downgraded(self) -> SimulatedAws:
        aws = SimulatedAws()
        for i in range(4):
            aws.replicate(f"/p/{i}", tier=ADVANCED)
        aws.delete("/p/0")
        aws.pass_time()
        aws.put("/p/0", "new", tier=STANDARD, tags={"t": "1"})
        return aws

    def test_replace_is_withheld_unless_it_is_allowed(self) -> None:
        result = plan_and_apply(self.downgraded())
        assert counted(result.plan) == {"replace": 1, "in_sync": 3, "withheld": 1}
        assert (same(result, "/p/0"), result.report.exit_code) == (True, 5)

    def test_replace_deletes_waits_and_creates(self) -> None:
        aws = self.downgraded()
        result = plan_and_apply(aws, Run(allow_replace=True))
        assert result.report.exit_code == 0
        live = aws.live("/p/0")
        assert (live.tier, live.version, aws.value("/p/0")) == (STANDARD, 1, "new")
        assert aws.plain_tags("/p/0") == {"t": "1"}


class TestInSync:
    def test_in_sync_writes_nothing(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        result = plan_and_apply(aws)
        assert (counted(result.plan), same(result), result.report.exit_code) == ({"in_sync": 1}, True, 0)

    def test_in_sync_is_found_out_to_be_faked_by_verify_values(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        now = aws.clock.now
        aws.world.put(aws.there, "/p/a", "evil", user="arn:aws:iam::123456789012:user/evil")
        tags = aws.world.tags(aws.there, "/p/a") or {}
        made = record_of(tags)
        assert made is not None
        aws.world.tag(aws.there, "/p/a", {RECORD: replace(made, version=2, written=now()).text()})
        assert counted(aws.plan()) == {"in_sync": 1}
        assert counted(aws.plan(run=Run(verify_values=True))) == {"update": 1}


class TestIncomplete:
    def test_nothing_is_deleted_when_the_source_was_listed_in_part(self) -> None:
        aws = SimulatedAws()
        for i in range(60):
            aws.put(f"/p/{i:02}", "v", tags={"t": "1"})
        aws.apply()
        aws.put("/p/00", "new")
        aws.world.faults = lambda operation, place, _names, nth: (
            lost(done=False) if (operation, place, nth % 2) == ("DescribeParameters", aws.here, 0) else None
        )
        aws.world.traffic.forget()
        plan = aws.plan()
        assert counted(plan) == {"update": 1, "in_sync": 49, "orphaned": 10}
        assert not plan.complete
        assert [one.code for one in plan.all_findings] == ["incomplete-place"]
        assert aws.carry_out(plan).exit_code == 3
        assert len(aws.world.names(aws.there)) == 60

    def test_no_tags_are_removed_when_those_of_the_source_were_listed_in_part(self) -> None:
        aws = SimulatedAws()
        for i in range(150):
            aws.put(f"/p/{i:03}", "v", tags={"t": "1"})
        aws.apply()
        aws.world.traffic.forget()
        aws.world.faults = lambda operation, place, _names, nth: (
            lost(done=False) if (operation, place, nth) == ("GetResources", aws.here, 2) else None
        )
        plan = aws.plan()
        assert counted(plan) == {"in_sync": 100, "orphaned": 50}

    def test_nothing_at_all_is_planned_into_a_target_listed_in_part(self) -> None:
        aws = SimulatedAws(replication(targets=(target(), target("eu", region="eu-west-1"))))
        aws.put("/p/a", "v")
        eu = aws.world.place("eu-west-1")
        aws.world.faults = lambda operation, place, _names, _nth: (
            lost(done=False) if (operation, place) == ("DescribeParameters", eu) else None
        )
        plan = aws.plan()
        assert counted(plan) == {"create": 1}
        assert [one.complete for one in plan.replications[0].targets] == [True, False]
        assert [one.where for one in plan.all_findings] == ["target eu"]
        report = aws.carry_out(plan)
        assert (report.exit_code, aws.value("/p/a")) == (3, "v")

    def test_a_target_that_cannot_be_opened_leaves_the_others(self) -> None:
        aws = SimulatedAws(replication(targets=(target(), target("eu", region="eu-west-1"))))
        aws.put("/p/a", "v")
        eu = aws.world.place("eu-west-1")
        aws.world.faults = lambda _op, place, _names, _nth: (
            refused(Trouble.UNREACHABLE) if place == eu else None
        )
        report = aws.carry_out(aws.plan())
        assert (report.summary["applied"], report.exit_code) == (1, 3)

    @pytest.mark.parametrize("region", ["us-east-1", "us-east-2"])
    def test_without_a_source_or_any_target_nothing_can_be_planned(self, region: str) -> None:
        aws = SimulatedAws()
        down = aws.world.place(region)
        aws.put("/p/a", "v")
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("DescribeParameters", down) else None
        )
        with pytest.raises(NothingPlanned, match="AccessDeniedException"):
            aws.plan()

    def test_an_empty_source_that_was_listed_to_the_end_is_guarded(self) -> None:
        aws = SimulatedAws()
        aws.replicate()
        aws.delete("/p/a")
        aws.put("/x/not-selected", "v")
        result = plan_and_apply(aws)
        assert (counted(result.plan), same(result)) == ({"delete": 1, "withheld": 1}, True)
        result = plan_and_apply(aws, Run(allow_empty_source=True))
        assert (result.report.exit_code, aws.value("/p/a")) == (0, None)


class TestNarrowed:
    def test_a_run_narrowed_to_names_leaves_the_others_and_says_so(self) -> None:
        aws = SimulatedAws()
        for name in ("/p/a", "/p/b"):
            aws.put(name, "v")
        plan = aws.plan(run=Run(only=("/p/a",)))
        assert (counted(plan), plan.narrowing.only) == ({"create": 1}, ("/p/a",))
        aws.carry_out(plan, run=Run(only=("/p/a",)))
        assert (aws.value("/p/a"), aws.value("/p/b")) == ("v", None)

    def test_a_run_narrowed_to_a_target_reads_no_other(self) -> None:
        aws = SimulatedAws(replication(targets=(target(), target("eu", region="eu-west-1"))))
        aws.put("/p/a", "v")
        plan = aws.plan(run=Run(targets=("eu",)))
        assert [one.name for one in plan.replications[0].targets] == ["eu"]
        assert {call.place.region for call in aws.world.calls} == {"us-east-1", "eu-west-1"}

    def test_a_narrowed_run_takes_percentages_of_all_replicas(self) -> None:
        aws = SimulatedAws()
        for i in range(10):
            aws.put(f"/p/{i}", "v")
        aws.apply()
        for i in range(4):
            aws.put(f"/p/{i}", "new")
        assert counted(aws.plan(run=Run(only=("/p/0", "/p/1", "/p/2")))) == {"update": 3}
        assert counted(aws.plan())["withheld"] == 4


class TestPlanId:
    def arranged(self, *, backwards: bool = False) -> SimulatedAws:
        aws = SimulatedAws()
        names = [f"/p/{i}" for i in range(6)]
        for name in reversed(names) if backwards else names:
            aws.put(name, "v", SECURE if name.endswith("3") else "String", tags={"t": name})
        return aws

    def test_the_same_world_has_the_same_id_whatever_the_order_time_and_run(self) -> None:
        one, two = self.arranged(), self.arranged(backwards=True)
        first = one.plan()
        assert two.plan() == first
        two.pass_time(days=3)
        assert two.plan().plan_id == first.plan_id
        assert two.plan(run=Run(parallelism=1)).plan_id == first.plan_id

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
    def test_another_world_or_other_rules_have_another(self, act: Callable[[SimulatedAws], object]) -> None:
        aws = self.arranged()
        before = aws.plan().plan_id
        act(aws)
        assert aws.plan().plan_id != before

    def test_unrelated_parameters_keep_the_plan_id(self) -> None:
        aws = self.arranged()
        before = aws.plan().plan_id
        aws.world.put(aws.there, "/q/x", "stranger")
        aws.put("/q/x", "not selected")
        assert aws.plan().plan_id == before

    def test_a_target_of_the_same_name_in_another_place_has_another(self) -> None:
        aws = self.arranged()
        aws.spec = replication(targets=(target("dr"),))
        before = aws.plan().plan_id
        aws.spec = replication(targets=(target("dr", region="eu-west-1"),))
        assert aws.plan().plan_id != before


class TestPlan:
    def test_a_plan_has_its_budget(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v")
        budget = aws.plan().budget
        assert budget is not None
        assert (budget.calls["PutParameter"], budget.writes) == (1, 1)

    def test_the_budget_goes_by_the_rates_of_the_spec(self) -> None:
        aws = SimulatedAws(replication(targets=(target(access=Access("us-east-2", rates=(("put", 0.5),))),)))
        aws.put("/p/a", "v")
        budget = aws.plan().budget
        assert budget is not None
        assert budget.seconds == 2.0

    def test_a_plain_value_with_a_secret_name_is_hidden_and_found(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/db/password", "hunter2")
        plan = aws.plan()
        assert [one.code for one in plan.all_findings] == ["plain-secret"]
        assert "hunter2" not in repr(plan)

    def test_no_secret_is_in_a_plan_or_a_report(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "hunter2", SECURE)
        aws.put("/p/a", "rabbit3", SECURE, allowed_pattern="rabbit3|hunter2")
        aws.put("/p/b", "turtle4", SECURE)
        plan = aws.plan()
        report = aws.carry_out(plan)
        result = repr(plan.changes[0].differences) + repr(report.outcomes[0].error) + repr(plan.all_findings)
        assert not [word for word in ("hunter2", "rabbit3", "turtle4") if word in result]

    def test_several_replications_are_one_plan_sorted_by_name(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v")
        aws.put("/d/a", "v")
        dev = replication(name="dev", include=(Glob("/d/**"),))
        specs = [aws.spec, dev]
        places = open_places(specs, Memory(aws.world).connect, Run())
        plan = reconcile.make_plan(specs, Session(places, Run(), aws.clock, unwatched))
        assert [one.name for one in plan.replications] == ["dev", "prod"]
        assert aws.world.traffic.count("DescribeParameters") == 2
        report = reconcile.carry_out(plan, specs, Session(places, Run(), aws.clock, unwatched), StopFlag())
        assert report.summary["applied"] == 2
        assert aws.world.names(aws.there) == ["/d/a", "/p/a"]

    def test_listings_that_lag_behind_our_own_writes_are_no_remainder(self) -> None:
        aws = SimulatedAws()
        aws.world.lag = Lag(describe=aws.world.lag.describe, resources=aws.world.lag.resources)
        aws.put("/p/a", "v")
        report = aws.apply()
        assert (report.remaining, report.exit_code) == ((), 0)


def test_patterns_without_effect_are_reported_only_by_a_plan_of_all_parameters_of_a_complete_source() -> None:
    aws = SimulatedAws(replication(include=(Glob("/p/**"), Glob("/p/a"))))
    aws.put("/p/a", "v")
    (found,) = aws.plan().all_findings
    assert (found.code, found.severity.value) == ("pattern-without-effect", "warning")
    assert "`/p/a` under `parameters.include` decides about none of the 1 parameters of" in found.message
    assert aws.plan(run=Run(only=("/p/a",))).all_findings == ()
    for i in range(60):
        aws.put(f"/p/{i:02}", "v")
    aws.world.faults = lambda operation, place, _names, nth: (
        lost(done=False) if (operation, place, nth % 2) == ("DescribeParameters", aws.here, 0) else None
    )
    aws.world.traffic.forget()
    assert [one.code for one in aws.plan().all_findings] == ["incomplete-place"]


def test_at_most_twenty_patterns_without_effect_are_reported() -> None:
    aws = SimulatedAws(replication(include=(Glob("/p/**"), *(Glob(f"/q/{i}") for i in range(30)))))
    aws.put("/p/a", "v")
    found = aws.plan().all_findings
    assert len(found) == 20
    assert all("(30 patterns are like this)" in one.message for one in found)


def test_a_narrowed_run_finds_a_renamed_replica_by_the_source_that_is_gone() -> None:
    rename = Rewrite(Glob("/p/**"), RewriteIn.NAME, "east", "west")
    aws = SimulatedAws(replication(rewrites=(rename,)))
    for name in ("/p/east", "/p/other"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/east")
    aws.pass_time()
    (change,) = aws.plan(run=Run(only=("/p/east",))).changes
    assert (change.action, change.name) == (Action.DELETE, "/p/west")


def test_a_type_change_that_may_be_a_replacement_counts_as_one() -> None:
    limits = Limits(max_deletes=0)
    aws = SimulatedAws(replication(limits=limits))
    aws.replicate("/p/a", "v")
    aws.put("/p/a", "v", SECURE)
    aws.pass_time()
    (change,) = aws.plan().changes
    assert change.fate is Fate.APPLY
    (change,) = aws.plan(run=Run(allow_replace=True)).changes
    assert change.withheld_by == ("max-deletes",)
    assert aws.plan().plan_id != aws.plan(run=Run(allow_replace=True, max_deletes=1)).plan_id


def test_rules_that_select_nothing_are_a_finding() -> None:
    aws = SimulatedAws(replication(include=(Glob("/nowhere/**"),)))
    aws.put("/p/a", "v")
    assert [finding.code for finding in aws.plan().all_findings] == ["nothing-selected"]
    assert aws.apply().outcomes == ()
