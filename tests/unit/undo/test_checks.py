"""Checks of an undo: right before each write, and of the history; and the marks that hide former secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile import observe
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import RECORD, WAS_SECRET, Record, record_of
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Run
from tests.builders import outcome, replication, target
from tests.simulated_aws import SimulatedAws

LIFTED = Run(without_hold=True, max_deletes=100, max_change_percent=100, allow_exposure=True, only=("/p/a",))
PLAIN_TEXT = "plain-text-9"

Act = Callable[[SimulatedAws], object]


def write_record(aws: SimulatedAws) -> None:
    """Write the record of the replica again, as another run does that changes nothing else."""
    record = record_at(aws)
    again = replace(record, written=aws.clock.now())
    aws.world.tag(aws.there, "/p/a", {RECORD: again.text()})


def record_at(aws: SimulatedAws) -> Record:
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    return record


def create_again(aws: SimulatedAws) -> None:
    """Delete the replica, and create it again with the same tags and the same version."""
    tags = aws.world.tags(aws.there, "/p/a") or {}
    aws.delete("/p/a", region="us-east-2")
    aws.pass_time()
    aws.put("/p/a", "theirs", region="us-east-2", tags=tags)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (write_record, "its record has changed since the plan"),
        (lambda aws: aws.put("/p/a", "theirs", region="us-east-2"), "version"),
        (create_again, "version"),
    ],
)
def test_a_created_replica_is_deleted_only_with_the_record_and_version_of_the_plan(
    act: Act, reason: str
) -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    assert len(plan.changes) == 1
    aws.pass_time()
    act(aws)
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result is Result.STALE
    assert reason in done.error
    assert aws.world.state() == before


@pytest.mark.parametrize(
    "act", [lambda aws: aws.put("/p/a", "later"), lambda aws: aws.delete("/p/a")], ids=["changes", "goes"]
)
def test_a_created_replica_is_deleted_though_its_source_changes_or_goes_after_the_plan(act: Act) -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    act(aws)
    assert aws.carry_out(plan, run=LIFTED).summary["applied"] == 1
    assert aws.names("us-east-2") == []


def former_secret() -> SimulatedAws:
    """A plain replica that has been a SecureString, and whose value is therefore hidden."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "former-s3cret", SECURE)
    aws.put("/p/a", PLAIN_TEXT)
    aws.apply(run=Run(allow_exposure=True))
    assert record_at(aws).key == WAS_SECRET
    return aws


def test_the_values_of_a_former_secret_stay_hidden() -> None:
    aws = former_secret()
    aws.put("/p/a", "later-text")
    report = aws.apply()
    assert record_at(aws).key == WAS_SECRET
    plan = aws.plan_undo(report, run=LIFTED)
    assert len(plan.changes) == 1
    assert plan.changes[0].differences
    for text in (PLAIN_TEXT, "later-text", "s3cret"):
        assert text not in repr(plan)
    aws.carry_out(plan, run=LIFTED)
    assert aws.value("/p/a") == PLAIN_TEXT
    assert record_at(aws).key == WAS_SECRET


def test_a_secret_that_becomes_plain_again_keeps_a_record_that_hides_its_value() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", PLAIN_TEXT)
    aws.put("/p/a", "later-s3cret", SECURE)
    report = aws.apply()
    aws.undo(report, run=LIFTED)
    assert (aws.live("/p/a").type, aws.value("/p/a")) == ("String", PLAIN_TEXT)
    assert record_at(aws).key == WAS_SECRET
    shown = aws.plan(run=Run(allow_exposure=True, verify_values=True))
    assert PLAIN_TEXT not in repr(shown)
    again = aws.undo(report, run=LIFTED)
    assert (again.outcomes, again.exit_code) == ((), 0)


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
@pytest.mark.parametrize(
    ("act", "key"),
    [
        (lambda aws: aws.world.tag(aws.there, "/p/a", {"team": "theirs"}), "team"),
        (lambda aws: aws.world.untag(aws.there, "/p/a", "team"), "team"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {"gone": "theirs"}), "gone"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {"more": "theirs"}), "more"),
    ],
    ids=["changed", "removed", "added", "changed, to be removed"],
)
def test_tags_that_others_write_between_the_plan_and_the_write_stay(act: Act, key: str, value: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a", "gone": "1"})
    aws.put("/p/a", value, tags={"team": "b", "more": "2"})
    aws.world.untag(aws.here, "/p/a", "gone")
    plan = aws.plan_undo(aws.apply(), run=LIFTED)
    act(aws)
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert (done.result, done.error) == (Result.STALE, f"its tag {key} has changed since the plan")
    assert aws.world.state() == before


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
def test_nothing_is_written_to_a_version_that_the_plan_did_not_see(value: str) -> None:
    aws, plan = updated(value)
    aws.put("/p/a", "theirs", region="us-east-2")
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result is Result.STALE
    assert "and the plan saw version" in done.error
    assert aws.world.state() == before


@pytest.mark.parametrize("value", ["new", "old"], ids=["update", "retag"])
def test_a_tag_that_no_change_writes_may_be_written_between_the_plan_and_the_write(value: str) -> None:
    aws, plan = updated(value)
    aws.world.tag(aws.there, "/p/a", {"stays": "theirs"})
    assert aws.carry_out(plan, run=LIFTED).summary["applied"] == 1
    assert aws.plain_tags("/p/a") == {"team": "a", "stays": "theirs"}


def updated(value: str = "new") -> tuple[SimulatedAws, Plan]:
    """A replica that an apply has updated, and the plan that takes the update back."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a", "stays": "1"})
    aws.put("/p/a", value, tags={"team": "b", "stays": "1"})
    return aws, aws.plan_undo(aws.apply(), run=LIFTED)


def test_a_former_version_of_another_time_than_in_the_plan_is_not_written() -> None:
    aws, plan = updated()
    tags = aws.world.tags(aws.there, "/p/a") or {}
    aws.delete("/p/a", region="us-east-2")
    aws.pass_time()
    aws.put("/p/a", "theirs 1", region="us-east-2", tags=tags)
    aws.put("/p/a", "theirs 2", region="us-east-2")
    before = aws.world.state()
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert (done.result, done.error) == (Result.STALE, "version 1 is another one than the plan saw")
    assert aws.world.state() == before


def test_a_parameter_that_is_deleted_right_before_the_write_keeps_its_tags() -> None:
    aws, plan = updated()
    aws.pass_time()

    def delete_replica() -> None:
        """Delete it; some time passes, since AWS refuses the name of a parameter that was just deleted."""
        aws.delete("/p/a", region="us-east-2")
        aws.pass_time()

    aws.world.before("PutParameter", delete_replica)
    done = aws.carry_out(plan, run=LIFTED)
    assert done.summary["applied"] == 1
    assert (aws.value("/p/a"), aws.version("/p/a")) == ("old", 1)
    assert aws.plain_tags("/p/a") == {"team": "a", "stays": "1"}
    assert record_at(aws).version == 1


def test_a_former_key_returns_with_its_digest_in_the_record() -> None:
    aws = SimulatedAws()
    aws.world.add_key(aws.here, "alias/x")
    specs = []
    for alias in ("alias/one", "alias/two"):
        aws.world.add_key(aws.there, alias)
        specs.append(replication(targets=(target(keys=(("alias/x", alias),)),)))
    one, two = specs
    aws.put("/p/a", "s3cret", SECURE, key_id="alias/x")
    aws.apply(one)
    former = record_at(aws).key
    report = aws.apply(two)
    assert record_at(aws).key != former
    aws.undo(report, one, run=LIFTED)
    assert (aws.live("/p/a").key_id, record_at(aws).key) == ("alias/one", former)


def test_a_former_data_type_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    aws.put("/p/a", "new")
    report = aws.apply()
    read = observe.read_histories

    def read_image(*args: Any) -> Any:
        """Return histories whose first version has another DataType. AWS refuses to change it in place."""
        histories, unread = read(*args)
        first, last = histories["/p/a"]
        image = replace(first, parameter=replace(first.parameter, data_type="aws:ec2:image"))
        return {"/p/a": (image, last)}, unread

    monkeypatch.setattr(observe, "read_histories", read_image)
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "AWS does not change its DataType in place" in plan.others[0].reasons[0]
