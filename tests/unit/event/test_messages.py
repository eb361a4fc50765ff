"""The end of each message: passes, pauses, attempts, dead letters, and messages that are split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.event.events import FullRun, Message, Names, Operation, Rejected, read_document
from ssm_reconcile.event.messages import LONGEST_PAUSE, MOST_ATTEMPTS, NAMES_A_PASS, Inbox
from ssm_reconcile.event.requests import NameResult, Retry, RetryCause
from ssm_reconcile.event.state import MessageAttempts, TableUnavailableError
from ssm_reconcile.event.timer import Timer
from tests.builders import store_error
from tests.events.pump import metrics
from tests.unit.event.inbox_stage import ENVIRONMENT, Stage, named, take


@pytest.fixture
def stage() -> Iterator[Stage]:
    found = Stage()
    yield found
    found.log.flush()  # Powertools keeps metrics that were not written for the next invocation


class TestPasses:
    def passes(self, inbox: Inbox) -> list[list[int]]:
        """Return the number of names of each message of each pass."""
        return [
            [len(one.content.names) for one in messages if isinstance(one.content, Names)]
            for messages in inbox.passes()
        ]

    def test_messages_with_few_names_come_first(self, stage: Stage) -> None:
        long = named("long", *(f"/l{i}" for i in range(NAMES_A_PASS)))
        short = [named(f"s{i}", f"/s{i}") for i in range(3)]
        assert self.passes(stage.inbox(long, *short)) == [[1, 1, 1], [NAMES_A_PASS]]

    def test_a_pass_has_a_limited_number_of_different_names(self, stage: Stage) -> None:
        same = [named(f"s{i}", "/same") for i in range(100)]
        others = [named(f"o{i}", f"/o{i:03}") for i in range(NAMES_A_PASS)]
        found = self.passes(stage.inbox(*same, *others))
        assert [len(one) for one in found] == [100 + NAMES_A_PASS - 1, 1]

    def test_a_message_without_a_queue_is_cut(self, stage: Stage) -> None:
        stage.environment.clear()
        inbox = stage.inbox(named("", *(f"/{i}" for i in range(2 * NAMES_A_PASS + 1))))
        inbox.split()
        assert self.passes(inbox) == [[NAMES_A_PASS], [NAMES_A_PASS], [1]]

    def test_messages_that_are_left_return_soon_and_are_not_counted(self, stage: Stage) -> None:
        inbox = stage.inbox(named("a", "/a"), named("b", "/b"))
        inbox.leave(inbox.work[:1])
        assert inbox.settle() == ["a"]
        assert stage.clients.pauses == {"r-a": 5}
        assert not stage.table.items

    def test_rejected_entries_and_whole_runs_are_no_names(self, stage: Stage) -> None:
        (bad,) = read_document({"Records": [{"messageId": "bad", "body": "{"}]})
        inbox = stage.inbox(bad, Message(FullRun(), "full"), named("a", "/a"))
        assert [(one.identifier, type(why)) for one, why in inbox.rejected] == [("bad", Rejected)]
        assert [one.identifier for one in inbox.full_runs] == ["full"]
        assert self.passes(inbox) == [[1]]
        inbox.fail_full_runs()
        assert inbox.settle() == ["full"]
        assert not stage.table.items


class TestSplit:
    def test_a_record_with_many_names_is_sent_back_in_parts_and_is_done(self, stage: Stage) -> None:
        names = [f"/{i:03}" for i in range(51)]
        inbox = stage.inbox(named("long", *names), named("short", "/a"))
        inbox.split()
        assert [len(one["names"]) for one in stage.clients.sent] == [10] * 5 + [1]
        assert [name for one in stage.clients.sent for name in one["names"]] == names
        assert [[one.identifier for one in messages] for messages in inbox.passes()] == [["short"]]
        assert inbox.settle() == []

    def test_each_long_record_is_split_also_after_a_short_one_and_after_a_failure(self, stage: Stage) -> None:
        long = [f"/{i}" for i in range(NAMES_A_PASS + 1)]
        inbox = stage.inbox(named("short", "/a"), named("first", *long), named("second", *long))
        send, failures = stage.clients.send, [ReconcileError("SendMessage failed")]

        def fail_once(queue: str, documents: Iterable[Mapping[str, Any]]) -> None:
            if failures:
                raise failures.pop()
            send(queue, documents)

        stage.clients.send = fail_once  # type: ignore[method-assign] # one failure only
        inbox.split()
        assert sum(len(one["names"]) for one in stage.clients.sent) == len(long)
        assert sorted(one.identifier for one in inbox.work) == ["first", "short"]
        assert inbox.settle() == ["first"]

    def test_a_record_with_as_many_names_as_a_pass_is_not_split(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", *(f"/{i}" for i in range(NAMES_A_PASS))))
        inbox.split()
        assert not stage.clients.sent

    def test_many_events_in_one_record_are_split_and_keep_their_operation(self, stage: Stage) -> None:
        events = [
            Message(Names((f"/{i}",), Operation.DELETE, None, stage.clock.now()), "m", "r-m")
            for i in range(NAMES_A_PASS + 1)
        ]
        inbox = stage.inbox(*events)
        inbox.split()
        assert len(stage.clients.sent) == NAMES_A_PASS + 1
        assert {one["operation"] for one in stage.clients.sent} == {"Delete"}
        assert {one["time"] for one in stage.clients.sent} == {stage.clock.now().isoformat()}

    def test_another_request_in_a_record_that_is_split_stays(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", *(f"/{i}" for i in range(NAMES_A_PASS + 1))), Message(FullRun(), "m"))
        inbox.split()
        assert len(inbox.full_runs) == 1
        assert list(inbox.passes()) == []

    def test_a_record_that_cannot_be_sent_is_retried_as_a_whole(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", *(f"/{i}" for i in range(NAMES_A_PASS + 1))))
        stage.clients.fails = True
        inbox.split()
        assert list(inbox.passes()) == []
        assert "SendMessage failed" in stage.lines.getvalue()
        stage.clients.fails = False
        assert inbox.settle() == ["m"]
        assert not stage.table.items


class TestPauses:
    @pytest.mark.parametrize(
        ("cause", "pauses"),
        [
            (RetryCause.OUTAGE, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]),
            (RetryCause.BUSY, [5] * 10),
            (RetryCause.LOOK, [60] * 10),
            (RetryCause.COUNT, [60] * 10),
        ],
    )
    def test_a_cause_that_passes_is_retried_without_end(
        self, stage: Stage, cause: RetryCause, pauses: list[int]
    ) -> None:
        found = [stage.fail(cause, received) for received in range(1, 11)]
        assert found == [(["m"], pause) for pause in pauses]
        assert stage.fail(cause, 400)[0] == ["m"]
        assert not stage.clients.dead
        assert not stage.table.items

    @pytest.mark.parametrize("cause", [RetryCause.OWN, RetryCause.STALE])
    def test_an_attempt_of_its_own_is_counted_and_the_last_one_is_a_dead_letter(
        self, stage: Stage, cause: RetryCause
    ) -> None:
        for number in range(1, MOST_ATTEMPTS):
            pause = min(LONGEST_PAUSE, 5 * 2 ** (number - 1))
            assert stage.fail(cause, received=number + 20) == (["m"], pause)
        assert not stage.clients.dead
        assert stage.fail(cause, received=100) == ([], None)
        assert stage.clients.dead == [('["/a"]', "why")]
        assert '"dead letter"' in stage.lines.getvalue()

    @pytest.mark.parametrize(("received", "pause"), [(100, 5), (101, 900)])
    def test_from_many_receives_on_each_pause_is_the_longest(
        self, stage: Stage, received: int, pause: int
    ) -> None:
        assert stage.fail(RetryCause.BUSY, received) == (["m"], pause)

    @pytest.mark.parametrize("cause", [RetryCause.OUTAGE, RetryCause.BUSY, RetryCause.LOOK, RetryCause.OWN])
    @pytest.mark.parametrize(("seconds", "is_dead"), [(-1, False), (0, True), (1, True)])
    def test_a_message_that_is_retried_after_84_hours_is_a_dead_letter(
        self, stage: Stage, cause: RetryCause, seconds: int, *, is_dead: bool
    ) -> None:
        """Its queue drops it after 96 hours, without a dead letter."""
        sent = stage.clock.now() - timedelta(hours=84, seconds=seconds)
        message = named("m", "/a", received=300, sent=sent)
        inbox = stage.inbox(message)
        take(inbox, message, NameResult("/a", retry=Retry(cause, "why")))
        assert inbox.settle() == ([] if is_dead else ["m"])
        assert stage.clients.dead == ([('["/a"]', "why")] if is_dead else [])

    def test_an_old_message_that_is_done_is_not_a_dead_letter(self, stage: Stage) -> None:
        message = named("m", "/a", received=300, sent=stage.clock.now() - timedelta(hours=90))
        inbox = stage.inbox(message)
        take(inbox, message, NameResult("/a"))
        assert inbox.settle() == []
        assert not stage.clients.dead

    def test_outages_between_attempts_do_not_count(self, stage: Stage) -> None:
        for number in range(MOST_ATTEMPTS - 1):
            stage.fail(RetryCause.OWN, received=2 * number + 1)
            stage.fail(RetryCause.OUTAGE, received=2 * number + 2)
        assert not stage.clients.dead
        stage.fail(RetryCause.OWN, received=50)
        assert len(stage.clients.dead) == 1

    def test_the_earliest_retry_of_its_names_is_that_of_the_message(self, stage: Stage) -> None:
        message = named("m", "/a", "/b", received=8)
        inbox = stage.inbox(message)
        retries = (Retry(RetryCause.OUTAGE, "away"), Retry(RetryCause.BUSY, "busy"))
        take(inbox, message, *(NameResult(n, retry=r) for n, r in zip(("/a", "/b"), retries, strict=True)))
        assert inbox.settle() == ["m"]
        assert stage.clients.pauses == {"r-m": 5}

    def test_one_name_that_fails_for_its_own_reason_makes_an_attempt(self, stage: Stage) -> None:
        message = named("m", "/a", "/b", "/c")
        inbox = stage.inbox(message)
        causes = (RetryCause.OWN, RetryCause.OUTAGE, RetryCause.OWN)
        results = [
            NameResult(n, retry=Retry(c, "why")) for n, c in zip(("/a", "/b", "/c"), causes, strict=True)
        ]
        take(inbox, message, *results)
        inbox.settle()
        assert stage.state is not None
        assert stage.state.read_attempts(["m"]) == {"m": MessageAttempts(1)}

    def test_each_reason_is_sent_once_with_a_dead_letter(self, stage: Stage) -> None:
        assert stage.state is not None
        stage.state.write_attempts("m", MessageAttempts(MOST_ATTEMPTS - 1))
        message = named("m", "/c", "/a", "/b", received=2)
        inbox = stage.inbox(message)
        reasons = zip(("/a", "/b", "/c"), ("denied", "denied", "gone"), strict=True)
        take(inbox, message, *(NameResult(n, retry=Retry(RetryCause.OWN, why)) for n, why in reasons))
        assert inbox.settle() == []
        assert stage.clients.dead == [('["/c", "/a", "/b"]', "denied; gone")]
        assert json.loads(stage.lines.getvalue())["parameters"] == ["/a", "/b", "/c"]

    def test_each_message_ends_by_itself(self, stage: Stage) -> None:
        """One that is done and one that is a dead letter do not end the others."""
        assert stage.state is not None
        stage.state.write_attempts("dead", MessageAttempts(MOST_ATTEMPTS - 1))
        messages = [
            named("done", "/a"),
            named("dead", "/b", received=2),
            named("busy", "/c"),
            named("", "/d"),
        ]
        inbox = stage.inbox(*messages, named("last", "/e"))
        retries = {"/b": RetryCause.OWN, "/c": RetryCause.BUSY, "/d": RetryCause.BUSY, "/e": RetryCause.LOOK}
        for message in messages:
            (name,) = json.loads(message.body)
            cause = retries.get(name)
            take(inbox, message, NameResult(name, retry=None if cause is None else Retry(cause, "why")))
        take(inbox, named("last", "/e"), NameResult("/e", retry=Retry(RetryCause.LOOK, "why")))
        assert inbox.settle() == ["busy", "last"]
        assert stage.clients.dead == [('["/b"]', "why")]
        assert stage.clients.pauses == {"r-busy": 5, "r-last": 60}

    def test_a_dead_letter_that_cannot_be_sent_stays_in_the_queue(self, stage: Stage) -> None:
        assert stage.state is not None
        stage.state.write_attempts("m", MessageAttempts(MOST_ATTEMPTS))
        stage.clients.fails = True
        assert stage.fail(RetryCause.OWN, received=20)[0] == ["m"]
        assert stage.lines.getvalue().count("SendMessage failed") == 2  # of the dead letter and of the pause
        stage.clients.fails = False
        assert stage.fail(RetryCause.OWN, received=21)[0] == []

    def test_without_a_dead_letter_queue_the_message_stays(self, stage: Stage) -> None:
        del stage.environment["DEAD_LETTERS_URL"]
        for received in range(1, 15):
            assert stage.fail(RetryCause.OWN, received)[0] == ["m"]

    def test_without_a_table_receives_are_counted(self, stage: Stage) -> None:
        stage.state = None
        assert stage.fail(RetryCause.OWN, MOST_ATTEMPTS - 1)[0] == ["m"]
        assert stage.fail(RetryCause.OUTAGE, MOST_ATTEMPTS + 5)[0] == ["m"]
        assert stage.fail(RetryCause.OWN, MOST_ATTEMPTS)[0] == []

    def test_with_a_table_that_cannot_be_reached_no_attempt_ends_a_message(self, stage: Stage) -> None:
        def fails(_: str) -> None:
            raise TableUnavailableError("DynamoDB: InternalServerError")

        stage.table.fault = fails
        for received in range(1, 30):
            assert stage.fail(RetryCause.OWN, received)[0] == ["m"]
        assert not stage.clients.dead

    @pytest.mark.parametrize(("received", "operation"), [(4, "BatchGetItem"), (4, "PutItem"), (1, "PutItem")])
    def test_without_an_answer_of_the_table_receives_set_the_pause_and_it_is_logged(
        self, stage: Stage, received: int, operation: str
    ) -> None:
        def fails(called: str) -> None:
            if called == operation:
                raise TableUnavailableError("DynamoDB: InternalServerError")

        stage.table.fault = fails
        assert stage.fail(RetryCause.OWN, received) == (["m"], 5 * 2 ** (received - 1))
        assert "InternalServerError" in stage.lines.getvalue()

    def test_attempts_that_cannot_be_read_are_logged_and_counted(
        self, stage: Stage, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing is written for an outage, so only the read fails."""

        def fails(_: str) -> None:
            raise TableUnavailableError("DynamoDB: InternalServerError")

        stage.table.fault = fails
        assert stage.fail(RetryCause.OUTAGE, received=4) == (["m"], 40)
        assert stage.lines.getvalue().count("InternalServerError") == 1
        stage.log.flush()
        assert metrics(capsys.readouterr().out)["TableUnavailable"] == 1

    def test_after_attempts_that_could_not_be_read_receives_set_the_pause(self, stage: Stage) -> None:
        """The count that is written then starts from zero: it ends no message and sets no pause."""
        failures = [TableUnavailableError("DynamoDB: InternalServerError")]

        def fails_once(_: str) -> None:
            if failures:
                raise failures.pop()

        stage.table.fault = fails_once
        assert stage.fail(RetryCause.OWN, received=4) == (["m"], 40)

    def test_pauses_that_cannot_be_set_are_logged(self, stage: Stage) -> None:
        stage.clients.fails = True
        assert stage.fail(RetryCause.BUSY) == (["m"], None)
        assert "SendMessage failed" in stage.lines.getvalue()


class TestHold:
    def test_messages_are_hidden_until_after_the_invocation(self, stage: Stage) -> None:
        timer = Timer(stage.clock)
        timer.begin(lambda: 299.5 - stage.clock.monotonic())
        stage.clock.sleep(100)
        messages = (named("m", "/a"), named("n", "/b"), named("", "/c"))
        Inbox(messages, ENVIRONMENT, stage.clients, None, timer, stage.log).hold()
        assert stage.clients.pauses == {"r-m": 230, "r-n": 230}

    def test_an_invocation_without_a_message_hides_none(self, stage: Stage) -> None:
        timer = Timer(stage.clock)
        timer.begin(lambda: 300)
        stage.clients.fails = True
        Inbox((named("", "/c"),), ENVIRONMENT, stage.clients, None, timer, stage.log).hold()
        assert not stage.lines.getvalue()


class TestAttempts:
    def test_writes_that_differ_are_counted_by_name(self, stage: Stage) -> None:
        message = named("m", "/a", "/b")
        differs = Retry(RetryCause.STALE, "differs")
        inbox = stage.inbox(message)
        take(
            inbox,
            message,
            NameResult("/a", retry=differs, differing=frozenset({"prod east /a"})),
            NameResult("/b"),
        )
        inbox.settle()
        again = stage.inbox(named("m", "/a", "/b", received=2))
        assert again.written([(again.work[0], frozenset({"/a", "/b"}))]) == {"prod east /a": 1}

    def test_writes_of_several_attempts_are_added(self, stage: Stage) -> None:
        differs = Retry(RetryCause.STALE, "differs")
        for received, names in ((1, ["/a"]), (2, ["/b"]), (3, ["/a"])):
            message = named("m", "/a", "/b", received=received)
            inbox = stage.inbox(message)
            take(inbox, message, *(NameResult(n, retry=differs, differing=frozenset({n})) for n in names))
            inbox.settle()
        assert stage.state is not None
        assert stage.state.read_attempts(["m"]) == {"m": MessageAttempts(3, {"/a": 2, "/b": 1})}

    @pytest.mark.parametrize("order", [("m", "n"), ("n", "m")])
    def test_of_two_messages_for_a_name_the_higher_count_of_writes_holds(
        self, stage: Stage, order: tuple[str, str]
    ) -> None:
        """With the lower one a replica that is contended would be written again."""
        assert stage.state is not None
        stage.state.write_attempts("m", MessageAttempts(2, {"prod east /a": 2}))
        stage.state.write_attempts("n", MessageAttempts(1, {"prod east /a": 1}))
        inbox = stage.inbox(*(named(one, "/a", received=3) for one in order))
        found = inbox.written([(message, frozenset({"/a"})) for message in inbox.work])
        assert found == {"prod east /a": 2}

    @pytest.mark.parametrize(("received", "retried"), [(1, False), (2, True)])
    def test_a_message_is_retried_from_its_second_receive(
        self, stage: Stage, received: int, *, retried: bool
    ) -> None:
        assert stage.inbox(named("m", "/a", received=received)).is_retried is retried

    def test_messages_that_no_spec_judges_wait_as_in_an_outage_and_are_not_counted(
        self, stage: Stage
    ) -> None:
        inbox = stage.inbox(named("m", "/a", received=3))
        inbox.leave_all("the spec cannot be used")
        assert inbox.settle() == ["m"]
        assert stage.clients.pauses == {"r-m": 20}
        assert not stage.table.items

    def test_a_first_receive_reads_no_attempts(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", "/a"))
        inbox.written([(inbox.work[0], frozenset({"/a"}))])
        inbox.settle()
        assert not stage.table.calls

    def test_attempts_are_read_once_an_invocation(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", "/a", received=2), named("n", "/b", received=3))
        for _ in range(3):
            inbox.written([(inbox.work[0], frozenset({"/a"}))])
        inbox.settle()
        assert stage.table.calls == {"BatchGetItem": 1}
        assert inbox.is_retried

    def test_an_error_of_a_pass_counts_unless_it_is_an_outage(self, stage: Stage) -> None:
        away = store_error(Trouble.UNREACHABLE)
        for error, failed in (
            (ValueError("x"), 1), (TableUnavailableError("x"), 1), (away, 1), (KeyError("x"), 2),
        ):  # fmt: skip
            inbox = stage.inbox(named("m", "/a", received=2))
            inbox.fail([(inbox.work[0], frozenset({"/a"}))], error)
            assert inbox.settle() == ["m"]
            assert stage.state is not None
            assert stage.state.read_attempts(["m"])["m"].failed == failed

    def test_a_message_of_which_no_name_is_selected_does_not_fail_with_its_pass(self, stage: Stage) -> None:
        inbox = stage.inbox(named("m", "/a"))
        inbox.fail([(inbox.work[0], frozenset())], ValueError("x"))
        assert inbox.settle() == []


def test_the_age_of_messages_that_are_retried_is_measured(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = stage.clock.now()
    stage.clock.advance(timedelta(minutes=20))
    inbox = stage.inbox(named("old", "/a", sent=sent), named("new", "/b", sent=sent))
    inbox.leave(inbox.work[:1])
    inbox.settle()
    stage.log.flush()
    assert metrics(capsys.readouterr().out) == {"WaitingSeconds": 1200}


def test_work_without_a_message_is_unfinished(stage: Stage) -> None:
    inbox = stage.inbox(named("", "/a"), named("m", "/b"))
    assert not inbox.is_unfinished
    inbox.leave([one for one in inbox.work if one.body == '["/b"]'])
    assert not inbox.is_unfinished
    inbox.leave([one for one in inbox.work if one.body == '["/a"]'])
    assert inbox.is_unfinished
    assert inbox.settle() == ["m"]
