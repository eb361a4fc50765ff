"""A tag that is almost the skip tag withholds a parameter, at either end, at plan and at apply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile.change import Change
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.skip_sync import OnSkip, SkipMode, SkipSync
from ssm_reconcile.spec import DeleteMode, Orphans, Run
from tests.builders import replication
from tests.simulated_aws import SimulatedAws

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


def writes(aws: SimulatedAws) -> int:
    return len(aws.world.traffic.writes())


def test_a_mistyped_skip_tag_at_the_source_withholds_a_create() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"Skip-Sync": "yes"})
    plan = aws.plan()
    assert (row(plan), codes(plan)) == ("invalid", [CODE])
    assert aws.carry_out(plan).exit_code == 3
    assert aws.value("/p/a") is None


def test_a_replica_of_a_source_with_a_mistyped_skip_tag_stays_as_it_is() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "new")
    aws.world.tag(aws.here, "/p/a", {"SKIPSYNC": ""})
    before, version = aws.value("/p/a"), aws.version("/p/a")
    plan = aws.plan()
    aws.carry_out(plan)
    assert row(plan) == "invalid"
    assert (aws.value("/p/a"), aws.version("/p/a")) == (before, version)
    assert aws.plain_tags("/p/a") == {}


def test_a_key_under_ignore_is_copied_as_any_other_tag() -> None:
    aws = SimulatedAws(replication(skip_sync=SkipSync(ignore=("Skip-Sync",))))
    aws.put("/p/a", "v", tags={"Skip-Sync": "yes"})
    aws.carry_out(aws.plan())
    assert aws.plain_tags("/p/a") == {"Skip-Sync": "yes"}
    assert row(aws.plan()) == "in_sync"


def test_the_skip_tag_beside_a_near_miss_skips_as_usual() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"Skip-Sync": "yes", "skip_sync": ""})
    plan = aws.plan()
    assert (row(plan), codes(plan)) == ("skipped", [])


def test_a_mistyped_skip_tag_on_a_replica_withholds_its_update() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "new")
    aws.world.tag(aws.there, "/p/a", {"skip-sync": ""})
    plan = aws.plan()
    assert (row(plan), codes(plan)) == ("invalid", [CODE])
    aws.carry_out(plan)
    assert aws.plain_tags("/p/a") == {"skip-sync": ""}
    assert aws.value("/p/a") != "new"


@pytest.mark.parametrize("excluded", [False, True])
def test_a_mistyped_skip_tag_on_a_replica_withholds_its_delete(excluded: bool) -> None:
    aws = SimulatedAws(replication(orphans=Orphans.DELETE, delete=DeleteMode.OWNED))
    aws.replicate("/p/a")
    aws.replicate("/p/b")
    aws.world.tag(aws.there, "/p/a", {"skip-sync": ""})
    if excluded:
        aws.spec = replace(aws.spec, exclude=aws.spec.include)
    else:
        aws.delete("/p/a")
    plan = aws.plan(run=Run(allow_empty_source=True))
    assert (row(plan), codes(plan).count(CODE)) == ("invalid", 1)
    aws.carry_out(plan)
    assert aws.value("/p/a") is not None


def test_a_mistyped_skip_tag_on_a_replica_keeps_it_where_skipped_replicas_are_deleted() -> None:
    aws = SimulatedAws(replication(skip_sync=SkipSync(replicas=OnSkip.DELETE)))
    aws.replicate()
    aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
    aws.world.tag(aws.there, "/p/a", {"skip-sync": ""})
    plan = aws.plan()
    assert (row(plan), plan.changes) == ("kept_out", ())


def test_a_mistyped_skip_tag_in_the_target_withholds_an_adoption() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "v", tags={"skipSync": "yes"})
    plan = aws.plan()
    assert row(plan) == "invalid"
    aws.carry_out(plan)
    assert aws.world.tags(aws.there, "/p/a") == {"skipSync": "yes"}


@pytest.mark.parametrize("end", ["here", "there"])
def test_a_mistyped_skip_tag_that_comes_between_plan_and_apply_stops_the_write(end: str) -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "new")
    plan = aws.plan()
    aws.world.tag(getattr(aws, end), "/p/a", {"Skip-Sync": ""})
    before = writes(aws)
    (outcome,) = aws.carry_out(plan).outcomes
    assert (outcome.result.value, writes(aws)) == ("stale", before)
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
    aws = SimulatedAws(replication(skip_sync=skip))
    aws.replicate()
    aws.put("/p/a", "new")
    aws.world.tag(getattr(aws, end), "/p/a", {"skip_sync": value})
    before = aws.value("/p/a")
    plan = aws.plan()
    aws.carry_out(plan)
    assert (row(plan), codes(plan), aws.value("/p/a")) == ("invalid", [CODE], before)
    assert "with a value that is almost" in plan.all_findings[0].message


def test_a_mistyped_value_that_comes_between_plan_and_apply_stops_the_write() -> None:
    aws = SimulatedAws(replication(skip_sync=LISTED))
    aws.replicate()
    aws.put("/p/a", "new")
    plan = aws.plan()
    aws.world.tag(aws.here, "/p/a", {"skip_sync": "True"})
    (outcome,) = aws.carry_out(plan).outcomes
    assert outcome.result.value == "stale"


def test_a_near_miss_in_the_target_is_to_be_removed_there_and_not_renamed() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.world.tag(aws.there, "/p/a", {"skip-sync": ""})
    (finding,) = [one for one in aws.plan().all_findings if one.code == CODE]
    assert "remove the tag there, or list its key under `skip_sync.ignore`" in finding.message
    assert "rename" not in finding.message
