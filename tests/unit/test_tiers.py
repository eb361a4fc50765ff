"""Tier of replicas: what each mode of a target plans, writes and accepts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ssm_reconcile.change import Change, Update
from ssm_reconcile.model import ADVANCED, INTELLIGENT, SECURE, STANDARD
from ssm_reconcile.spec import AdoptMode, Glob, Replication, Rewrite, RewriteIn, Run, TierMode
from tests.builders import Judged, counted, held, judge, replica, replication, target
from tests.simulated_aws import SimulatedAws

POLICY = '{"Attributes":{"After":"20","Unit":"Days"},"Type":"NoChangeNotification","Version":"1.0"}'
STALE = {"version": 7}
"""A record that does not prove the value, so that both values are read."""
GROWS = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "x" * 20)


def spec_of(tier: TierMode, **more: object) -> Replication:
    return replication(targets=(target(tier=tier),), **more)


def aws_with_tier(tier: TierMode, **more: object) -> SimulatedAws:
    return SimulatedAws(spec_of(tier, **more))


def tiers(found: Judged) -> tuple[str, str | None]:
    """The row, and the tier that the write requests."""
    wanted = found.change.desired if found.changes else None
    return found.row, None if wanted is None else wanted.tier


def tier_change(change: Change) -> list[tuple[str | None, str | None]]:
    return [(d.before, d.after) for d in change.differences if d.attribute == "tier"]


# Creates


@pytest.mark.parametrize(
    ("mode", "source", "requested"),
    [
        (TierMode.SAME, STANDARD, STANDARD),
        (TierMode.SAME, ADVANCED, ADVANCED),
        (TierMode.KEEP, STANDARD, STANDARD),
        (TierMode.KEEP, ADVANCED, ADVANCED),
        (TierMode.ADVANCED, STANDARD, ADVANCED),
        (TierMode.INTELLIGENT, STANDARD, INTELLIGENT),
        (TierMode.INTELLIGENT, ADVANCED, INTELLIGENT),
    ],
)
def test_a_create_requests_the_tier_of_its_mode(mode: TierMode, source: str, requested: str) -> None:
    assert tiers(judge(held(tier=source), spec=spec_of(mode))) == ("create", requested)


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_a_create_that_a_rewrite_makes_too_large_is_advanced_with_keep(kind: str) -> None:
    source = held(value="us-east-1" + "y" * 4080, kind=kind)
    assert judge(source, spec=spec_of(TierMode.SAME, rewrites=(GROWS,))).codes == ["size"]
    found = judge(source, spec=spec_of(TierMode.KEEP, rewrites=(GROWS,)))
    assert tiers(found) == ("create", ADVANCED)
    assert "Standard cannot hold its value" in found.reasons


def test_no_tier_takes_a_rewritten_value_over_eight_kilobytes() -> None:
    source = held(value="us-east-1" + "y" * 8180, tier=ADVANCED)
    for mode in TierMode:
        assert judge(source, spec=spec_of(mode, rewrites=(GROWS,))).codes == ["size"]


# Live replicas


@pytest.mark.parametrize(
    ("mode", "row"),
    [
        (TierMode.SAME, "replace"),
        (TierMode.KEEP, "in_sync"),
        (TierMode.ADVANCED, "in_sync"),
        (TierMode.INTELLIGENT, "in_sync"),
    ],
)
def test_an_advanced_replica_of_a_standard_source_is_replaced_with_same_only(
    mode: TierMode, row: str
) -> None:
    source = held()
    found = judge(source, replica(source, tier=ADVANCED), spec=spec_of(mode))
    assert found.row == row
    if row == "replace":
        assert "`tier: keep` for us-east-2 in the spec accepts the tier Advanced" in found.reasons


@pytest.mark.parametrize(
    ("mode", "row"),
    [
        (TierMode.SAME, "conflict"),
        (TierMode.KEEP, "adopt"),
        (TierMode.ADVANCED, "adopt"),
        (TierMode.INTELLIGENT, "adopt"),
    ],
)
def test_an_advanced_parameter_that_is_not_ours_is_adopted_where_its_tier_is_accepted(
    mode: TierMode, row: str
) -> None:
    source = held()
    assert judge(source, replica(source, tier=ADVANCED, own_tags=False), spec=spec_of(mode)).row == row


@pytest.mark.parametrize(
    ("mode", "source", "live", "requested"),
    [
        (TierMode.SAME, ADVANCED, STANDARD, ADVANCED),
        (TierMode.KEEP, STANDARD, ADVANCED, ADVANCED),
        (TierMode.KEEP, ADVANCED, STANDARD, STANDARD),
        (TierMode.KEEP, STANDARD, STANDARD, STANDARD),
        (TierMode.ADVANCED, STANDARD, STANDARD, ADVANCED),
        (TierMode.INTELLIGENT, STANDARD, ADVANCED, INTELLIGENT),
        (TierMode.INTELLIGENT, ADVANCED, STANDARD, INTELLIGENT),
    ],
)
def test_an_update_requests_the_tier_of_its_mode(
    mode: TierMode, source: str, live: str, requested: str
) -> None:
    made_from = held(value="new", tier=source)
    found = judge(made_from, replica(made_from, "old", tier=live, record=STALE), spec=spec_of(mode))
    assert tiers(found) == ("update", requested)
    assert tier_change(found.change) == ([(live, requested)] if requested == ADVANCED != live else [])


def test_advanced_changes_a_standard_replica_that_is_in_sync_and_names_the_cost() -> None:
    source = held()
    found = judge(source, replica(source), spec=spec_of(TierMode.ADVANCED))
    assert tiers(found) == ("update", ADVANCED)
    assert "Advanced is billed, and AWS does not take a parameter back" in found.reasons


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_keep_becomes_advanced_where_a_new_value_exceeds_standard(kind: str) -> None:
    source = held(value="x" * 4097, kind=kind, tier=ADVANCED)
    found = judge(source, replica(source, "old", tier=STANDARD, record=STALE), spec=spec_of(TierMode.KEEP))
    assert tiers(found) == ("update", ADVANCED)
    assert tier_change(found.change) == [(STANDARD, ADVANCED)]
    assert "Standard cannot hold its value or policies; Advanced is billed" in found.reasons
    fits = held(value="x" * 4096, kind=kind, tier=ADVANCED)
    small = judge(fits, replica(fits, "old", tier=STANDARD, record=STALE), spec=spec_of(TierMode.KEEP))
    assert tiers(small) == ("update", STANDARD)


def test_keep_becomes_advanced_where_the_source_has_policies() -> None:
    source = held(tier=ADVANCED, policies=(POLICY,))
    found = judge(source, replica(source, tier=STANDARD, policies=()), spec=spec_of(TierMode.KEEP))
    assert tiers(found) == ("update", ADVANCED)


def test_keep_stays_standard_where_a_standard_source_holds_the_value() -> None:
    source = held(value="x" * 5000)
    found = judge(source, replica(source, "old", record=STALE), spec=spec_of(TierMode.KEEP))
    assert tiers(found) == ("update", STANDARD)


@pytest.mark.parametrize("live", [STANDARD, ADVANCED, INTELLIGENT])
def test_intelligent_rests_whichever_tier_is_reported(live: str) -> None:
    source = held()
    assert judge(source, replica(source, tier=live), spec=spec_of(TierMode.INTELLIGENT)).row == "in_sync"


# Without decryption


def test_keep_without_decryption_says_that_the_tier_may_change() -> None:
    source = held(value="x" * 5000, kind=SECURE, tier=ADVANCED)
    there = replica(source, "old", tier=STANDARD, record=STALE)
    found = judge(source, there, spec=spec_of(TierMode.KEEP), run=Run(no_decrypt=True))
    assert "it becomes Advanced if its value, which was not read, exceeds Standard" in found.reasons
    assert tiers(found) == ("update", STANDARD)


@pytest.mark.parametrize(("size", "tier"), [(4096, STANDARD), (4097, ADVANCED)])
def test_an_apply_without_decryption_requests_advanced_where_the_value_needs_it(size: int, tier: str) -> None:
    aws = aws_with_tier(TierMode.KEEP)
    aws.replicate("/p/a", "old", SECURE)
    aws.put("/p/a", "x" * size, SECURE, tier=ADVANCED)
    report = aws.apply(run=Run(no_decrypt=True))
    assert report.summary["applied"] == 1, report.outcomes
    assert (aws.live("/p/a").tier, aws.value("/p/a")) == (tier, "x" * size)
    assert counted(aws.plan(run=Run(verify_values=True))) == {"in_sync": 1}


# Rest and cost


@pytest.mark.parametrize("mode", list(TierMode))
@pytest.mark.parametrize("source", [STANDARD, ADVANCED])
def test_a_replica_comes_to_rest_in_every_mode_when_the_mode_changes(mode: TierMode, source: str) -> None:
    aws = aws_with_tier(TierMode.SAME)
    aws.replicate("/p/a", tier=source)
    for step in (mode, TierMode.KEEP, mode):
        aws.spec = replace(aws.spec, targets=(target(tier=step),))
        aws.apply(run=Run(allow_replace=True))
        assert counted(aws.plan()) == {"in_sync": 1}


def test_a_policy_that_the_source_drops_is_dropped_with_intelligent_tiering() -> None:
    aws = aws_with_tier(TierMode.INTELLIGENT)
    aws.replicate("/p/a", tier=ADVANCED, policies=[POLICY])
    assert aws.live("/p/a").policies
    aws.put("/p/a", "v", tier=ADVANCED, policies=["{}"])
    assert aws.apply().summary["applied"] == 1
    assert (aws.live("/p/a").policies, counted(aws.plan())) == ((), {"in_sync": 1})


def test_the_requested_tier_is_in_the_plan_id() -> None:
    aws = aws_with_tier(TierMode.SAME)
    aws.put("/p/a", "v")
    ids = set()
    for mode in (TierMode.SAME, TierMode.ADVANCED, TierMode.INTELLIGENT):
        aws.spec = spec_of(mode)
        ids.add(aws.plan().plan_id)
    assert len(ids) == 3


def test_a_takeover_of_an_advanced_parameter_keeps_its_tier() -> None:
    source = held(value="new")
    there = replica(source, "old", tier=ADVANCED, own_tags=False)
    found = judge(source, there, spec=spec_of(TierMode.KEEP, adopt=AdoptMode.OVERWRITE))
    assert isinstance(found.change.effect, Update)
    assert tiers(found) == ("conflict", ADVANCED)
