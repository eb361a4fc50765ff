"""Converge: after an apply that nothing withheld, once listings show our writes, the plan is empty."""

from __future__ import annotations

import pytest
from hypothesis import given

from ssm_reconcile.change import Change, Replace, Update
from ssm_reconcile.model import KeyState, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.spec import Replication, Run
from tests.fake_aws.behaviour import AwsBehaviour, InPlace, all_readings, label
from tests.property import actions
from tests.property.places import FAR, NEAR, SOURCE, three_places
from tests.property.profiles import examples
from tests.property.scenarios import BIG, FAR_OFF, QUIET, Scenario, scenarios
from tests.simulated_aws import SimulatedAws


def address(change: Change) -> tuple[str, str]:
    """A change's address."""
    return (change.target, change.name)


def excused(aws: SimulatedAws, run: Run, outcome: Outcome) -> str:
    """Why AWS itself keeps this change from being made, though no plan could know; empty when nothing does.

    These are all there are. Each is a fact that shows in the answer to the write or to the read of a
    value that the plan had no reason to read, so it ends `failed` or `withheld`, run for run, and says
    why; everything else has to be applied at once.
    """
    change, error = outcome.change, outcome.error
    desired = change.desired
    if desired is None:
        return ""
    readings = aws.world.readings
    source = aws.world.peek(aws.here, desired.source.name)
    assert source is not None
    unmatched = "ParameterPatternMismatch" in error or "may not match its AllowedPattern" in error
    if unmatched and desired.substitutions and desired.source.allowed_pattern:
        return "the rewritten value does not match the AllowedPattern"
    if isinstance(change.effect, Replace) and "too large for its tier" in error and desired.substitutions:
        # The plan trusts versions and does not read the value; only the apply finds that it needs Advanced.
        text = source.latest.settled.value.reveal()
        for one in desired.substitutions:
            text = text.replace(one.old, one.new)
        return "the rewritten value does not fit into the lower tier" if len(text.encode()) > 4096 else ""
    key = source.latest.key_arn
    if "InvalidKeyId" in error and key is not None:
        usable = aws.world.region(aws.here).key_state(key) is KeyState.USABLE
        return "" if usable else "the source value cannot be decrypted"
    if isinstance(change.effect, Update) and change.effect.takes_over and outcome.result is Result.WITHHELD:
        refused = readings.type_change is InPlace.REFUSED
        return (
            "a parameter that is not a replica is never replaced"
            if refused and "HierarchyTypeMismatch" in error
            else ""
        )
    if run.no_decrypt and desired.source.is_secret and desired.substitutions:
        refused = "ValidationException" in error or "too large" in error or "does not take" in error
        return "without decryption the rewritten value is unknown" if refused else ""
    return ""


def held_back(aws: SimulatedAws, run: Run, report: Report) -> set[tuple[str, str]]:
    """The addresses that AWS keeps from converging; anything else that was not applied is a failure."""
    found = set()
    for outcome in report.outcomes:
        if outcome.result is Result.APPLIED:
            continue
        assert excused(aws, run, outcome), f"{outcome.result}: {outcome.error}\n{outcome.change}"
        found.add(address(outcome.change))
    return found


def unreadable(plan: Plan) -> set[tuple[str, str]]:
    """Return the addresses that are invalid only because a mode reads their value."""
    said = ("value cannot be read", "its rewritten value", "its value is too large")
    return {
        (other.target, other.name)
        for other in plan.others
        if other.counted == "invalid" and any(text in reason for reason in other.reasons for text in said)
    }


def unsettled(plan: Plan, besides: set[tuple[str, str]]) -> list[Change]:
    """The changes of a plan that should be empty."""
    return [change for change in plan.changes if address(change) not in besides]


@given(scenario=scenarios())
@examples(75)
def test_after_an_apply_the_next_plan_is_empty(scenario: Scenario) -> None:
    aws = scenario.play()
    report = aws.apply(scenario.spec, run=scenario.run)
    besides = held_back(aws, scenario.run, report)
    aws.pass_time(minutes=20)
    assert unsettled(aws.plan(scenario.spec, run=scenario.run), besides) == []


@given(scenario=scenarios())
@examples(20)
def test_a_plan_is_in_sync_in_every_mode_after_an_apply_in_one(scenario: Scenario) -> None:
    """In particular: a plan that trusts versions and a plan that reads every value agree."""
    aws = scenario.play()
    report = aws.apply(scenario.spec, run=scenario.run)
    besides = held_back(aws, scenario.run, report) | unreadable(report.plan)
    aws.pass_time(minutes=20)
    for run in (Run(), Run(verify_values=True), Run(no_decrypt=True)):
        asked = Run(verify_values=run.verify_values, no_decrypt=run.no_decrypt, adopt=scenario.run.adopt)
        plan = aws.plan(scenario.spec, run=asked)
        # Without decryption foreign parameters cannot be compared, so they are unchanged either way; what
        # that mode left as "cannot compare" another mode may well adopt or take over.
        left = unsettled(plan, besides)
        if scenario.run.no_decrypt and not run.no_decrypt:
            left = [c for c in left if c.row not in ("adopt", "conflict", "create")]
        assert left == []


EVERYTHING: tuple[actions.UserAction, ...] = (
    actions.Write(SOURCE, "/p/a", "one", tags=(("team", "a"),)),
    actions.Write(SOURCE, "/p/b", "hidden", "SecureString", key="alias/app"),
    actions.Write(SOURCE, "/p/list", "a, b ,c", "StringList", description="with spaces"),
    actions.Write(SOURCE, "/p/url", BIG, tier="Intelligent-Tiering", policies=(QUIET, FAR_OFF)),
    actions.Write(SOURCE, "/p/db/password", "s3cret", "SecureString", key="alias/many", pattern="[a-z0-9]+"),
    actions.Write(SOURCE, "/p/us-east-1/x", "ami-12345678", data_type="aws:ec2:image"),
    actions.Write(SOURCE, "/p/us-east-2/x", "spare", "SecureString", key="alias/two#", tier="Advanced"),
    actions.Clone(NEAR, "/p/a"),
)
TROUBLES: tuple[actions.UserAction, ...] = (
    actions.Write(NEAR, "/p/a", "two", "SecureString", key="alias/two@", description="by hand"),
    actions.Write(SOURCE, "/p/b", "now plain", "String"),
    actions.Write(NEAR, "/p/list", "a,b", "StringList", tier="Advanced", policies=(QUIET,)),
    actions.AddTags(NEAR, "/p/db/password", (("cost:center", "7"),)),
    actions.RepointAlias(NEAR, "alias/app", "alias/two"),
    actions.Write(SOURCE, "/p/url", "small again", pattern="(?s).*"),
    actions.Write(NEAR, "/p/us-east-1/x", "plain text"),
    actions.Recreate(NEAR, "/p/us-east-2/x", "created again"),
    actions.AddTags(SOURCE, "/p/us-east-1/x", (("team", "b"),)),
)


def full_spec() -> Replication:
    """Every kind of rule that bears on attributes."""
    from dataclasses import replace

    from ssm_reconcile.spec import AdoptMode, DeleteMode, Glob
    from tests.property.places import FROM, TO_FAR, TO_NEAR
    from tests.property.scenarios import REGION, RULES

    return Replication(
        "prod",
        FROM,
        (replace(TO_NEAR, default_key="alias/two"), replace(TO_FAR, default_key="alias/two")),
        (Glob("/p/**"),),
        DeleteMode.OWNED,
        kms=RULES[1],
        rewrites=(REGION,),
        adopt=AdoptMode.OVERWRITE,
    )


@pytest.mark.parametrize("readings", list(all_readings()), ids=label)
def test_every_reading_of_every_open_fact_converges_in_one_apply(readings: AwsBehaviour) -> None:
    aws, spec = three_places(readings), full_spec()
    for happens in (EVERYTHING, TROUBLES):
        actions.perform(aws, happens)
        aws.pass_time(minutes=20)
        report = aws.apply(spec)
        assert [f"{o.change.name} {o.error}" for o in report.outcomes if o.result is not Result.APPLIED] == []
        assert report.outcomes
        aws.pass_time(minutes=20)
        assert aws.plan(spec).changes == ()


def test_the_troubles_above_ask_for_every_kind_of_write() -> None:
    """Or else the law over all readings would try less than it says."""
    aws, spec = three_places(), full_spec()
    actions.perform(aws, EVERYTHING)
    aws.pass_time(minutes=20)
    planned = {change.action.value for change in aws.plan(spec).changes}
    aws.apply(spec)
    aws.pass_time(minutes=20)
    actions.perform(aws, TROUBLES)
    aws.pass_time(minutes=20)
    plan = aws.plan(spec)
    planned |= {change.action.value for change in plan.changes}
    assert planned == {"create", "adopt", "update", "replace", "retag"}
    assert any(isinstance(change.effect, Replace) for change in plan.changes)
    assert {canonical(change.name) for change in plan.changes if change.target == FAR} < {
        canonical(change.name) for change in plan.changes if change.target == NEAR
    } | {"/p/b", "/p/url", "/p/us-east-1/x"}
