"""One write, repeated only where a repetition is safe."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from ssm_reconcile.apply.attempts import TRIES, pause, send_write, wait
from ssm_reconcile.apply.work import ChangeStopped, Work
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.report import Result
from tests.builders import store_error
from tests.fake_aws.traffic import AWAIT_TURN
from tests.simulated_aws import SimulatedAws
from tests.unit.apply.context import work


@dataclass
class Write:
    """A write with scripted failures, which logs its calls in order."""

    work: Work
    troubles: list[Trouble] = field(default_factory=list)
    landings: list[str | StoreError | None] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def send(self) -> str:
        self.log.append("send")
        if self.troubles:
            raise store_error(self.troubles.pop(0))
        return "done"

    def recover(self) -> str | None:
        self.log.append("look")
        found = self.landings.pop(0) if self.landings else None
        if isinstance(found, StoreError):
            raise found
        return found

    def go(self, *, has_begun: bool = False) -> str:
        return send_write(
            self.work,
            CallClass.PUT,
            check=lambda: self.log.append("check"),
            send=self.send,
            recover=self.recover,
            confirm=lambda: self.log.append("confirm"),
            has_begun=has_begun,
        )


def written(*troubles: Trouble, landings: list[str | StoreError | None] | None = None) -> Write:
    return Write(work(SimulatedAws()), list(troubles), landings or [])


def test_a_write_that_works_is_made_once_right_after_its_check() -> None:
    one = written()
    assert one.go() == "done"
    assert one.log == ["check", "send"]


def test_a_turn_is_awaited_before_every_check() -> None:
    aws = SimulatedAws()
    one = Write(work(aws), [Trouble.THROTTLED])
    for _ in range(2):
        aws.world.before(AWAIT_TURN, lambda: one.log.append("turn"), name="put")
    one.go()
    assert [word for word in one.log if word != "turn"] == ["check", "send", "confirm", "check", "send"]
    assert one.log[0] == "turn"
    assert one.log.count("turn") == 2


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_change_that_waits_for_its_turn_when_the_run_is_asked_to_stop_is_not_started(
    has_begun: bool,
) -> None:
    aws = SimulatedAws()
    one = Write(work(aws))
    aws.world.before(AWAIT_TURN, aws.stop.set, name="put")
    if has_begun:
        assert one.go(has_begun=True) == "done"
        return
    with pytest.raises(ChangeStopped) as caught:
        one.go()
    assert caught.value.result is Result.NOT_ATTEMPTED
    assert one.log == []


@pytest.mark.parametrize("kind", [Trouble.THROTTLED, Trouble.UNREACHABLE])
def test_a_clean_refusal_is_checked_and_tried_again_without_looking(kind: Trouble) -> None:
    one = written(kind, kind)
    assert one.go() == "done"
    assert one.log == ["check", "send", *["confirm", "check", "send"] * 2]


@pytest.mark.parametrize("kind", list(TRIES))
def test_tries_are_counted_by_kind_and_end(kind: Trouble) -> None:
    one = written(*[kind] * 50)
    with pytest.raises(StoreError):
        one.go()
    assert one.log.count("send") == TRIES[kind]


@pytest.mark.parametrize("kind", [kind for kind in Trouble if kind not in TRIES])
def test_everything_else_is_final(kind: Trouble) -> None:
    one = written(kind)
    with pytest.raises(StoreError):
        one.go()
    assert one.log == ["check", "send"]


class TestLostAnswers:
    def test_it_reads_first_and_a_write_that_was_done_counts(self) -> None:
        one = written(Trouble.LOST, landings=["done before"])
        assert one.go() == "done before"
        assert one.log == ["check", "send", "look"]

    def test_a_write_that_was_not_done_is_checked_and_sent_again(self) -> None:
        one = written(Trouble.LOST, landings=[None])
        assert one.go() == "done"
        assert one.log == ["check", "send", "look", "confirm", "check", "send"]

    def test_looking_may_be_repeated(self) -> None:
        one = written(
            Trouble.LOST, landings=[store_error(Trouble.THROTTLED), store_error(Trouble.LOST), "done"]
        )
        assert one.go() == "done"
        assert one.log.count("look") == 3

    @pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.CREDENTIALS, Trouble.REFUSED])
    def test_when_no_read_succeeds_the_change_has_failed_and_is_not_sent_again(self, kind: Trouble) -> None:
        one = written(Trouble.LOST, landings=[store_error(kind)])
        with pytest.raises(ChangeStopped) as end:
            one.go()
        assert end.value.result is Result.FAILED
        assert "the result could not be verified" in end.value.reason
        assert one.log == ["check", "send", "look"]

    def test_looking_is_not_repeated_for_ever(self) -> None:
        one = written(Trouble.LOST, landings=[store_error(Trouble.LOST)] * 50)
        with pytest.raises(ChangeStopped):
            one.go()
        assert one.log.count("look") == TRIES[Trouble.LOST] - 1


class TestGivingUp:
    def test_dead_credentials_end_everything(self) -> None:
        one = written(Trouble.CREDENTIALS)
        with pytest.raises(StoreError):
            one.go()
        assert "PutParameter: credentials" in one.work.failure_reason

    def test_a_place_that_died_meanwhile_is_not_tried_again(self) -> None:
        one = written(Trouble.THROTTLED, Trouble.THROTTLED)
        one.work.failure_reason = "another change found out"
        with pytest.raises(StoreError):
            one.go()
        assert one.log.count("send") == 1

    def test_a_stop_ends_the_waiting(self) -> None:
        aws = SimulatedAws()
        one = Write(work(aws), [Trouble.THROTTLED])
        aws.stop.set()
        with pytest.raises(ChangeStopped) as end:
            one.go()
        assert end.value.result is Result.NOT_ATTEMPTED

    def test_a_check_ends_the_change(self) -> None:
        one = written()

        def moved() -> None:
            raise ChangeStopped(Result.STALE, "it has moved")

        with pytest.raises(ChangeStopped, match="it has moved"):
            send_write(one.work, CallClass.PUT, check=moved, send=one.send, recover=one.recover)
        assert one.log == []


class TestWaiting:
    def test_it_takes_the_time_it_is_given_in_small_pieces(self) -> None:
        aws = SimulatedAws()
        assert wait(work(aws), 3.2)
        assert sum(aws.clock.slept) == pytest.approx(3.2, abs=0.001)
        assert max(aws.clock.slept) <= 0.5

    def test_it_ends_as_soon_as_the_run_is_asked_to_stop(self) -> None:
        aws = SimulatedAws()
        aws.stop.set()
        assert not wait(work(aws), 60)
        assert aws.clock.slept == []

    def test_without_a_delay_nothing_waits(self) -> None:
        aws = SimulatedAws()
        assert wait(work(aws), 0)
        assert wait(work(aws), 0.0000004)
        assert aws.clock.slept == []

    @pytest.mark.parametrize(("tried", "longest"), [(1, 1), (3, 4), (12, 20), (60, 20)])
    def test_pauses_grow_and_have_a_limit(
        self, tried: int, longest: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for pick, seconds in ((min, 0.1), (max, longest)):
            monkeypatch.setattr(random, "uniform", lambda *bounds, pick=pick: pick(bounds))
            aws = SimulatedAws()
            assert pause(work(aws), tried)
            assert sum(aws.clock.slept) == pytest.approx(seconds, abs=0.01)
