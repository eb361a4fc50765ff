"""Kills, slow tables, other writers and lags in the middle of the work of the function."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.errors import ReconcileError, StoreError, Trouble
from ssm_reconcile.event.leases import Leases
from ssm_reconcile.event.state import State, TableItem, TableUnavailableError
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.base import Store
from tests.doubles.clock import FakeClock
from tests.events.pump import TIMEOUT, Account, Deployed, Invocation, metrics
from tests.events.test_deployed import SPEC, assert_converged
from tests.events.test_outcomes import lines, replicated
from tests.events.test_whole_run import put
from tests.fake_aws.traffic import Fault, refused
from tests.fake_aws.world import Lag, World

TWO = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
OVERWRITE = "changed_outside: overwrite\n"


class Crash(BaseException):
    """The process is gone: nothing after it runs."""


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


class TestAKilledSliceOfAWholeRun:
    @pytest.fixture
    def killed(self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
        put(account, 30)
        calls = iter(range(100))

        def crash() -> None:
            if next(calls) == 5:
                raise Crash

        account.world.before("PutParameter", crash, times=6)
        with monkeypatch.context() as patch:
            patch.setattr(Leases, "release", lambda *_, **__: None)
            with pytest.raises(Crash):
                stack.run_slice(execution="one")
        stack.function = stack.new_process()
        account.clock.advance(timedelta(seconds=60))
        return stack

    def test_its_retry_takes_its_leases_over(self, account: Account, killed: Deployed) -> None:
        assert killed.run_slice(execution="one")["not_attempted"] == 0
        assert_converged(account)

    def test_another_execution_reports_what_it_left_to_others(
        self, account: Account, killed: Deployed
    ) -> None:
        killed.table.items.pop("lease#whole-run", None)
        killed.run_slice(execution="two")
        last = State(killed.table, account.clock).read_whole_run()
        assert last is not None
        assert last.remaining == 30 - len(account.world.names(account.there)) > 0


@pytest.mark.parametrize("where", ["plan", "open"])
def test_a_defect_in_a_whole_run_logs_no_message_that_may_hold_a_value(
    account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Lambda and Step Functions keep the message of an exception that leaves the function."""
    put(account, 3)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("hunter2")

    if where == "plan":
        monkeypatch.setattr("ssm_reconcile.reconcile.make_plan", fails)
    else:
        monkeypatch.setattr(stack.function, "connect", fails)
    with pytest.raises(ReconcileError, match="the whole run failed") as raised:
        stack.run_slice()
    chain = (raised.value, raised.value.__cause__)
    assert all("hunter2" not in repr(one) for one in chain)
    assert raised.value.__suppress_context__
    assert "hunter2" not in stack.log.getvalue()
    assert "unexpected ValueError" in stack.log.getvalue()
    assert not stack.table.held()


class TestATableThatHangs:
    def hang(self, account: Account, stack: Deployed) -> None:
        def fault(_: str) -> None:
            account.clock.sleep(10)
            raise TableUnavailableError("DynamoDB: ReadTimeoutError")

        stack.table.fault = fault

    def test_attempts_that_cannot_be_written_do_not_exceed_the_time(
        self, account: Account, stack: Deployed
    ) -> None:
        names = replicated(account, stack, 25)
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "PutParameter" else None
        )
        for name in names:
            account.put(account.here, name, "w")
        self.hang(account, stack)
        began = account.clock.monotonic()
        stack.poll()
        assert account.clock.monotonic() - began < 60

    def test_updates_go_on(self, account: Account, stack: Deployed) -> None:
        names = replicated(account, stack, 3)
        account.delete(account.here, names[0])
        account.put(account.here, names[1], "w")
        self.hang(account, stack)
        began = account.clock.monotonic()
        stack.poll()
        assert account.clock.monotonic() - began < 60
        assert account.world.value(account.there, names[1]) == "w"

    def test_a_single_call_without_an_answer_is_repeated(self, account: Account, stack: Deployed) -> None:
        failing = iter([True])

        def fault(_: str) -> None:
            if next(failing, False):
                raise TableUnavailableError("DynamoDB: InternalServerError")

        stack.table.fault = fault
        account.put(account.here, "/prod/a", "v")
        account.drain()
        assert stack.invocations == 1
        assert not stack.table.held()

    def test_the_next_invocation_calls_the_table_again(self, account: Account, stack: Deployed) -> None:
        self.hang(account, stack)
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        stack.table.fault = lambda _: None
        stack.table.calls.clear()
        account.drain()
        assert stack.table.calls["PutItem"] >= 1


class TestAnotherWriterOfOneReplica:
    def contend(self, account: Account, name: str, more: Callable[..., Fault | None]) -> list[int]:
        """Change the replica after each write; return a list to which the number of writes is added."""
        written: list[int] = []

        def after(operation: str, place: Place, called: tuple[str, ...], nth: int) -> Fault | None:
            writes = account.world.traffic.writes()
            tagged = any(one.operation == "AddTagsToResource" for one in writes)
            if (operation, place) == ("GetParameters", account.there) and name in called and tagged:
                written.append(sum(one.operation == "PutParameter" and name in one.names for one in writes))
                account.world.traffic.forget()
                account.published = 0
                account.world.put(account.there, name, f"theirs {len(written)}")
            return more(operation, place, called, nth)

        account.world.faults = after
        return written

    def test_a_failing_neighbour_in_the_message_causes_no_further_write(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(SPEC + OVERWRITE)
        first, second = replicated(account, stack, 2)

        def denied(operation: str, _: Place, called: tuple[str, ...], __: int) -> Fault | None:
            return refused(Trouble.DENIED) if operation == "PutParameter" and second in called else None

        written = self.contend(account, first, denied)
        for name in (first, second):
            account.world.put(account.here, name, "w")
        stack.queue.send(json.dumps([first, second]))
        account.drain()
        assert sum(written) == 2
        assert metrics(capsys.readouterr().out)["Contended"] >= 1

    def test_a_target_that_is_away_causes_no_further_write(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack, west = account.deploy(TWO + OVERWRITE), account.world.place("eu-west-1")
        (name,) = replicated(account, stack, 1)

        def away(_: str, place: Place, *__: object) -> Fault | None:
            return refused(Trouble.UNREACHABLE) if place == west else None

        written = self.contend(account, name, away)
        account.put(account.here, name, "w")
        end = account.clock.now() + timedelta(hours=2)
        while account.clock.now() < end:
            stack.poll()
            account.wait()
        assert sum(written) == 2
        assert metrics(capsys.readouterr().out)["Contended"] >= 1


@pytest.mark.parametrize("lag", [1, 8, 30])
@pytest.mark.parametrize("second", ["delete", "put"])
@pytest.mark.parametrize("gap", [0.5, 1.8])
def test_a_second_change_within_two_seconds_is_not_lost_by_a_description_that_lags(
    lag: int, second: str, gap: float
) -> None:
    account = Account(world=World(FakeClock(tick=timedelta(milliseconds=1)), lag=Lag()))
    account.clock = account.world.clock  # type: ignore[assignment]  # the one that was just made
    stack = account.deploy(SPEC)
    account.put(account.here, "/prod/a", "v")
    account.drain()
    stack.whole_run()
    account.clock.advance(timedelta(minutes=5))
    account.put(account.here, "/prod/a", "w")
    account.clock.advance(timedelta(seconds=gap))
    stack.poll()
    if second == "delete":
        account.delete(account.here, "/prod/a")
    else:
        account.put(account.here, "/prod/a", "x")
    account.world.lag = Lag(timedelta(seconds=lag))
    account.clock.advance(timedelta(seconds=0.5))
    account.drain()
    expected = None if second == "delete" else "x"
    assert account.world.value(account.there, "/prod/a") == expected


@pytest.mark.parametrize("trouble", [Trouble.THROTTLED, Trouble.UNREACHABLE, Trouble.CREDENTIALS])
def test_a_version_that_cannot_be_confirmed_during_an_outage_uses_up_no_attempt(
    account: Account, stack: Deployed, trouble: Trouble
) -> None:
    account.put(account.here, "/prod/a", "v")
    account.drain()
    account.world.faults = lambda operation, place, *_: (
        refused(trouble) if (operation, place) == ("GetParameters", account.here) else None
    )
    account.publish(account.event(account.here, "/prod/a", "Create"))
    stack.poll()
    assert lines(stack, "name")[-1]["result"] == "again"
    assert not [key for key in stack.table.items if key.startswith("attempts#")]


def test_two_names_with_one_address_are_not_handled_at_the_same_time(account: Account) -> None:
    rewrite = 'rewrite: [{ match: "/**", in: name, from: "us-east-1", to: "{target.region}" }]\n'
    stack = account.deploy(SPEC + rewrite)
    first, second = "/prod/us-east-1/x", "/prod/us-east-2/x"
    account.put(account.here, first, "v")
    account.drain()
    stack.whole_run()
    assert account.world.names(account.there) == [second]
    account.delete(account.here, first)
    other = stack.new_process()
    answers: list[Any] = []

    def create_second() -> None:
        account.world.put(account.here, second, "new")
        event = account.event(account.here, second, "Create")
        record = {"messageId": "m", "receiptHandle": "m", "body": json.dumps(event)}
        answers.append(other.handle({"Records": [record]}, Invocation(account.clock)))

    account.world.before("DeleteParameters", create_second)
    account.drain()
    assert answers == [{"batchItemFailures": [{"itemIdentifier": "m"}]}]


def test_an_image_that_is_not_valid_does_not_delay_its_neighbours(account: Account, stack: Deployed) -> None:
    account.world.region(account.there).images = frozenset({"ami-00000001"})
    account.world.put(account.here, "/prod/a", "ami-12345678", data_type="aws:ec2:image")
    names = [f"/prod/b{i}" for i in range(9)]
    for name in names:
        account.world.put(account.here, name, "v")
    stack.queue.send(json.dumps(["/prod/a", *names]))
    stack.poll()
    assert account.world.names(account.there) == names


def test_a_role_that_cannot_be_assumed_for_hours_uses_up_no_message(account: Account) -> None:
    stack, west = account.deploy(TWO), account.world.place("eu-west-1")
    real, end = stack.function.connect, account.clock.now() + timedelta(hours=3)
    assert real is not None

    def connect(access: Access) -> Store:
        if access.region == "eu-west-1" and account.clock.now() < end:
            raise StoreError(Trouble.DENIED, place="eu-west-1", operation="AssumeRole", code="AccessDenied")
        return real(access)

    stack.function.connect = connect
    account.put(account.here, "/prod/a", "v")
    while account.clock.now() < end:
        stack.poll()
        account.wait()
    account.drain()
    assert not stack.queue.dead
    assert account.world.names(west) == ["/prod/a"]


def test_a_name_without_a_read_after_its_write_is_read_again(account: Account) -> None:
    stack = account.deploy(SPEC + OVERWRITE)
    (name,) = replicated(account, stack, 1)

    def slow() -> None:
        account.clock.sleep(TIMEOUT - 12)
        account.world.put(account.there, name, "theirs")

    account.world.before("AddTagsToResource", slow)
    account.put(account.here, name, "w")
    stack.poll()
    assert stack.queue.messages
    account.drain()
    assert account.world.value(account.there, name) == "w"


def test_a_message_that_waits_too_long_is_a_dead_letter_before_its_queue_drops_it(
    account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(12):
        account.put(account.here, f"/prod/{i:02}", "v")
    account.drain()
    monkeypatch.setattr(stack.clients, "start_whole_run", lambda _: None)
    for i in range(5):
        account.delete(account.here, f"/prod/{i:02}")
    while stack.queue.messages:
        stack.poll()
        account.wait()
    assert not stack.queue.expired
    assert stack.queue.dead
    assert len(stack.queue.dead) + 12 - len(account.world.names(account.there)) == 5


def test_an_item_of_another_format_is_ignored(account: Account, stack: Deployed) -> None:
    names = replicated(account, stack, 4)
    for key in ("count#prod#us-east-2", "window#max-deletes#prod#us-east-2"):
        stack.table.items[key] = TableItem("x", 1e12, ["another", "format"])
    account.delete(account.here, names[0])
    account.put(account.here, names[1], "w")
    account.drain()
    assert not stack.queue.dead
    assert_converged(account)


def test_the_places_of_a_whole_run_that_cannot_be_listed_are_counted(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, west = account.deploy(TWO), account.world.place("eu-west-1")
    account.world.faults = lambda _, place, *__: refused(Trouble.UNREACHABLE) if place == west else None
    stack.whole_run()
    assert metrics(capsys.readouterr().out)["TargetUnavailable"] == 1
    assert lines(stack, "cannot be used")[-1]["places"] == ["eu-west-1"]


def test_the_digest_of_a_spec_is_the_same_in_every_process(account: Account, stack: Deployed) -> None:
    """Leases keep the versions of one spec for all processes, so it is made of the text."""
    account.put(account.here, "/prod/a", "v")
    account.drain()
    digest = stack.function.spec_digest
    stack.function = stack.new_process()
    account.put(account.here, "/prod/a", "w")
    account.drain()
    assert stack.function.spec_digest == digest == "7a2691f383120704"


def test_no_value_is_in_the_table_a_message_or_the_log(
    account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for a message that fails until it is a dead letter, with the reason that is sent with it."""
    secret = "correct horse battery staple"
    sent: list[Any] = []
    send = stack.clients._sqs.send_message_batch

    def listen(**request: Any) -> Any:
        sent.append(request)
        return send(**request)

    monkeypatch.setattr(stack.clients._sqs, "send_message_batch", listen)
    names = replicated(account, stack, 2)
    account.world.faults = lambda operation, _, called, __: (
        refused(Trouble.DENIED) if operation == "PutParameter" and names[0] in called else None
    )
    for name in names:
        account.put(account.here, name, secret, type="SecureString")
    account.drain()
    stack.whole_run()
    (letter,) = sent
    assert "AccessDenied" in letter["Entries"][0]["MessageAttributes"]["reason"]["StringValue"]
    seen = repr((sent, stack.table.items, stack.queue.dead, stack.function, stack.clients))
    printed = capsys.readouterr()
    assert secret not in seen + stack.log.getvalue() + printed.out + printed.err
    assert account.world.value(account.there, names[1]) == secret
