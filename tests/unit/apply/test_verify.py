"""The last look: direct reads of what was written, and what remains to be done."""

from __future__ import annotations

from datetime import timedelta

from ssm_reconcile.apply.verify import NAMES_PER_REPORT, VERIFY_WAITS, remaining, verify_target
from ssm_reconcile.change import Row
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import KeyState
from ssm_reconcile.plan import Other, Plan
from ssm_reconcile.report import Outcome, Remaining, Result
from ssm_reconcile.system import Phase, Progress
from tests.builders import Watched, creates, part
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.apply.context import work


def looked(aws: SimulatedAws, written: dict[str, int | None]) -> list[tuple[str, str]]:
    one = work(aws)
    one.written.update(written)
    return [(left.name, left.reason) for left in verify_target(one, unwatched)]


def test_written_and_deleted_parameters_do_not_remain() -> None:
    aws = SimulatedAws()
    aws.world.put(aws.there, "/p/a", "v")
    assert looked(aws, {"/p/a": 1, "/p/gone": None}) == []
    assert aws.clock.slept == []


def test_nothing_written_reads_nothing() -> None:
    aws = SimulatedAws()
    assert looked(aws, {}) == []
    assert aws.world.traffic.count() == 0


def test_a_long_last_look_says_how_far_it_is_and_still_asks_by_ten() -> None:
    aws, watched = SimulatedAws(), Watched()
    one = work(aws)
    one.written.update((f"/p/{number:04}", None) for number in range(NAMES_PER_REPORT + 10))
    assert verify_target(one, watched) == []
    place = str(aws.there)
    total = NAMES_PER_REPORT + 10
    assert watched.all == [
        Progress(place, Phase.CHECKING, done, total) for done in (0, NAMES_PER_REPORT, total)
    ]
    assert aws.world.traffic.count("GetParameters") == NAMES_PER_REPORT // 10 + 1


def test_parameters_that_are_not_as_written_are_reported() -> None:
    aws = SimulatedAws()
    aws.world.put(aws.there, "/p/moved", "v")
    aws.world.put(aws.there, "/p/moved", "w")
    aws.world.put(aws.there, "/p/back", "v")
    assert looked(aws, {"/p/moved": 1, "/p/back": None, "/p/lost": 1}) == [
        ("/p/back", "deleted, but it exists again"),
        ("/p/lost", "written, but it does not exist any more"),
        ("/p/moved", "written as version 1, but it is at version 2"),
    ]
    assert sum(aws.clock.slept) == sum(VERIFY_WAITS)


def test_reads_that_lag_are_given_time() -> None:
    aws = SimulatedAws()
    aws.world.lag = Lag(values=timedelta(seconds=2))
    aws.world.put(aws.there, "/p/a", "v")
    assert looked(aws, {"/p/a": 1}) == []
    assert 2 <= sum(aws.clock.slept) <= 5


def test_failed_reads_are_reported() -> None:
    aws = SimulatedAws()
    aws.world.put(aws.there, "/p/a", "v")
    aws.world.faults = at_call("GetParameters", refused(Trouble.CREDENTIALS))
    assert looked(aws, {"/p/a": 1}) == [
        ("/p/a", "written, but it could not be read again (ExpiredTokenException)")
    ]


def test_secrets_are_looked_at_without_decryption() -> None:
    aws = SimulatedAws()
    aws.world.add_key(aws.there, "alias/x")
    aws.world.put(aws.there, "/p/a", "v", "SecureString", key_id="alias/x")
    aws.world.set_key(aws.there, "alias/x", KeyState.DISABLED)
    assert looked(aws, {"/p/a": 1}) == []


def test_a_change_that_was_not_applied_remains_with_its_reason() -> None:
    one, two, three = creates(3)
    outcomes = [
        Outcome(one, Result.APPLIED),
        Outcome(two, Result.STALE, "a parameter with this name was created since the plan"),
        Outcome(three, Result.NOT_ATTEMPTED),
    ]
    assert remaining(Plan((part(one, two, three),)), outcomes) == [
        Remaining(
            "prod", "us-east-2", two.name, "stale: a parameter with this name was created since the plan"
        ),
        Remaining("prod", "us-east-2", three.name, "not_attempted"),
    ]


def test_conflicts_detached_and_invalid_ones_remain_and_nothing_else_that_is_left_alone() -> None:
    words = ("conflict", "detached", "invalid", "orphaned", "skipped", "opted_out")
    others = tuple(Other("prod", "us-east-2", f"/p/{w}", Row.CONFLICT, w, ("why",)) for w in words)
    assert [left.reason for left in remaining(Plan((part(others=others),)), [])] == [
        "conflict: why",
        "detached: why",
        "invalid: why",
    ]
