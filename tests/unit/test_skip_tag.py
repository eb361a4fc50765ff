"""A tag that is almost the skip tag withholds a parameter, at either end, at plan and at apply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile.change import Change
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.spec import DeleteMode, OnSkip, Orphans, Run, SkipMode, SkipSync
from tests.builders import Stage, replication

CODE = "skip-tag-near-miss"


@pytest.mark.parametrize(
    "key", ["Skip_Sync", "skip-sync", "SKIPSYNC", "skip:sync", " skip sync", "skip_sync_", "S-k-i-p_Sync"]
)
def test_a_key_that_differs_only_in_case_and_separators_is_a_near_miss(key: str) -> None:
    assert SkipSync().near_misses({key: ""}) == (key,)


@pytest.mark.parametrize("key", ["skip_sync", "skip", "sync", "skip_syncs", "no_skip_sync", "skip.sync", ""])
def test_the_skip_tag_itself_and_other_keys_are_not_near_misses(key: str) -> None:
    assert SkipSync().near_misses({key: ""}) == ()


def test_a_skip_tag_of_another_name_has_its_own_near_misses() -> None:
    skip = SkipSync(tag="No-Replication", ignore=("no_replication",))
    assert skip.near_misses(["no:replication", "no_replication", "No-Replication", "skip-sync"]) == (
        "no:replication",
    )


def test_a_skip_tag_of_separators_only_has_no_near_misses() -> None:
    assert SkipSync(tag="_").near_misses(["-", ":", " "]) == ()


def row(plan: Plan, name: str = "/p/a") -> str:
    both: tuple[Change | Other, ...] = (*plan.changes, *plan.others)
    return next((one.row.value for one in both if one.name == name), "in_sync")


def codes(plan: Plan) -> list[str]:
    return [one.code for one in plan.all_findings]


def writes(stage: Stage) -> int:
    return len(stage.world.traffic.writes())


def test_a_mistyped_skip_tag_at_the_source_withholds_a_create() -> None:
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v", tags={"Skip-Sync": "yes"})
    plan = stage.plan()
    assert (row(plan), codes(plan)) == ("invalid", [CODE])
    assert stage.carry_out(plan).exit_code == 3
    assert stage.value("/p/a") is None


def test_a_replica_of_a_source_with_a_mistyped_skip_tag_stays_as_it_is() -> None:
    stage = Stage()
    stage.replicate()
    stage.world.put(stage.here, "/p/a", "new")
    stage.world.tag(stage.here, "/p/a", {"SKIPSYNC": ""})
    before, version = stage.value("/p/a"), stage.version("/p/a")
    plan = stage.plan()
    stage.carry_out(plan)
    assert row(plan) == "invalid"
    assert (stage.value("/p/a"), stage.version("/p/a")) == (before, version)
    assert stage.plain_tags("/p/a") == {}


def test_a_key_under_ignore_is_copied_as_any_other_tag() -> None:
    stage = Stage(replication(skip_sync=SkipSync(ignore=("Skip-Sync",))))
    stage.world.put(stage.here, "/p/a", "v", tags={"Skip-Sync": "yes"})
    stage.carry_out(stage.plan())
    assert stage.plain_tags("/p/a") == {"Skip-Sync": "yes"}
    assert row(stage.plan()) == "in_sync"


def test_the_skip_tag_beside_a_near_miss_skips_as_usual() -> None:
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v", tags={"Skip-Sync": "yes", "skip_sync": ""})
    plan = stage.plan()
    assert (row(plan), codes(plan)) == ("skipped", [])


def test_a_mistyped_skip_tag_on_a_replica_withholds_its_update() -> None:
    stage = Stage()
    stage.replicate()
    stage.world.put(stage.here, "/p/a", "new")
    stage.world.tag(stage.there, "/p/a", {"skip-sync": ""})
    plan = stage.plan()
    assert (row(plan), codes(plan)) == ("invalid", [CODE])
    stage.carry_out(plan)
    assert stage.plain_tags("/p/a") == {"skip-sync": ""}
    assert stage.value("/p/a") != "new"


@pytest.mark.parametrize("excluded", [False, True])
def test_a_mistyped_skip_tag_on_a_replica_withholds_its_delete(excluded: bool) -> None:
    stage = Stage(replication(orphans=Orphans.DELETE, delete=DeleteMode.OWNED))
    stage.replicate("/p/a")
    stage.replicate("/p/b")
    stage.world.tag(stage.there, "/p/a", {"skip-sync": ""})
    if excluded:
        stage.spec = replace(stage.spec, exclude=stage.spec.include)
    else:
        stage.world.delete(stage.here, "/p/a")
    plan = stage.plan(Run(allow_empty_source=True))
    assert (row(plan), codes(plan).count(CODE)) == ("invalid", 1)
    stage.carry_out(plan)
    assert stage.value("/p/a") is not None


def test_a_mistyped_skip_tag_on_a_replica_keeps_it_where_skipped_replicas_are_deleted() -> None:
    stage = Stage(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
    stage.replicate()
    stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
    stage.world.tag(stage.there, "/p/a", {"skip-sync": ""})
    plan = stage.plan()
    assert (row(plan), plan.changes) == ("kept_out", ())


def test_a_mistyped_skip_tag_in_the_target_withholds_an_adoption() -> None:
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v")
    stage.world.put(stage.there, "/p/a", "v", tags={"skipSync": "yes"})
    plan = stage.plan()
    assert row(plan) == "invalid"
    stage.carry_out(plan)
    assert stage.world.tags(stage.there, "/p/a") == {"skipSync": "yes"}


@pytest.mark.parametrize("end", ["here", "there"])
def test_a_mistyped_skip_tag_that_comes_between_plan_and_apply_stops_the_write(end: str) -> None:
    stage = Stage()
    stage.replicate()
    stage.world.put(stage.here, "/p/a", "new")
    plan = stage.plan()
    stage.world.tag(getattr(stage, end), "/p/a", {"Skip-Sync": ""})
    before = writes(stage)
    (outcome,) = stage.carry_out(plan).outcomes
    assert (outcome.result.value, writes(stage)) == ("stale", before)
    assert "`Skip-Sync`, which is almost the skip tag `skip_sync`" in outcome.error


TARGETS = SkipSync(mode=SkipMode.TARGETS)
LISTED = SkipSync(mode=SkipMode.LISTED, values=("true",))


@pytest.mark.parametrize("value", ["us_east_2", "US-EAST-2", "us east 2", "dr:US-East-2", "us-east-2/dr"])
def test_a_value_that_almost_names_the_target_is_a_near_miss(value: str) -> None:
    assert TARGETS.almost_applies({"skip_sync": value}, "us-east-2")
    assert not TARGETS.applies({"skip_sync": value}, "us-east-2")


@pytest.mark.parametrize("value", ["us-east-2", "eu-west-1", "dr", "", "-", "us-east-22", "all"])
def test_the_name_of_a_target_and_another_value_are_not_near_misses(value: str) -> None:
    assert not TARGETS.almost_applies({"skip_sync": value}, "us-east-2")


@pytest.mark.parametrize("value", ["True", "true ", "TRUE", "t-rue"])
def test_a_value_that_is_almost_a_listed_one_is_a_near_miss(value: str) -> None:
    assert LISTED.almost_applies({"skip_sync": value}, "us-east-2")


@pytest.mark.parametrize("value", ["true", "false", "yes", "", " "])
def test_a_listed_value_and_another_one_are_not_near_misses(value: str) -> None:
    assert not LISTED.almost_applies({"skip_sync": value}, "us-east-2")


def test_any_value_of_the_skip_tag_counts_so_none_is_a_near_miss() -> None:
    assert not SkipSync().almost_applies({"skip_sync": "True"}, "us-east-2")


@pytest.mark.parametrize("end", ["here", "there"])
@pytest.mark.parametrize(("skip", "value"), [(TARGETS, "US_EAST_2"), (LISTED, "True")])
def test_a_mistyped_value_of_the_skip_tag_withholds_an_update(end: str, skip: SkipSync, value: str) -> None:
    stage = Stage(replication(skip_sync=skip))
    stage.replicate()
    stage.world.put(stage.here, "/p/a", "new")
    stage.world.tag(getattr(stage, end), "/p/a", {"skip_sync": value})
    before = stage.value("/p/a")
    plan = stage.plan()
    stage.carry_out(plan)
    assert (row(plan), codes(plan), stage.value("/p/a")) == ("invalid", [CODE], before)
    assert "with a value that is almost" in plan.all_findings[0].message


def test_a_mistyped_value_that_comes_between_plan_and_apply_stops_the_write() -> None:
    stage = Stage(replication(skip_sync=LISTED))
    stage.replicate()
    stage.world.put(stage.here, "/p/a", "new")
    plan = stage.plan()
    stage.world.tag(stage.here, "/p/a", {"skip_sync": "True"})
    (outcome,) = stage.carry_out(plan).outcomes
    assert outcome.result.value == "stale"


def test_a_near_miss_in_the_target_is_to_be_removed_there_and_not_renamed() -> None:
    stage = Stage()
    stage.replicate()
    stage.world.tag(stage.there, "/p/a", {"skip-sync": ""})
    (finding,) = [one for one in stage.plan().all_findings if one.code == CODE]
    assert "remove the tag there, or list its key under `skip_sync.ignore`" in finding.message
    assert "rename" not in finding.message
