"""Each message is done, retried, or refused for a reason that only a person can remove."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.by_name import NamePlan, NamePlanner
from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.event.aws_lambda import Function
from ssm_reconcile.event.state import State, TableUnavailableError, lease_of
from ssm_reconcile.model import Place
from ssm_reconcile.session import Connect
from tests.events.pump import TIMEOUT, Account, Deployed, metrics
from tests.events.test_deployed import SPEC, assert_converged, writes
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import Fault, lost, refused

PAIR = ("prod", "us-east-2")


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


def lines(stack: Deployed, message: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stack.log.getvalue().splitlines()]
    return [line for line in found if line["message"] == message]


def replicated(account: Account, stack: Deployed, count: int = 4) -> list[str]:
    names = [f"/prod/{i:02}" for i in range(count)]
    for name in names:
        account.put(account.here, name, "v")
    account.drain()
    stack.whole_run()
    account.world.traffic.forget()
    account.published = 0
    return names


def unreachable(_: str) -> None:
    raise TableUnavailableError("DynamoDB: ConnectTimeoutError")


class TestLeases:
    def test_a_name_that_another_invocation_works_on_is_left_to_its_message(
        self, account: Account, stack: Deployed
    ) -> None:
        until = account.clock.now().timestamp() + 100
        State(stack.table, account.clock).take_leases([lease_of(*PAIR, "/prod/a")], "other", until)
        account.put(account.here, "/prod/a", "v")
        account.put(account.here, "/prod/b", "v")
        stack.poll()
        assert account.world.names(account.there) == ["/prod/b"]
        assert not [call for call in account.world.calls if "/prod/a" in call.names]
        account.drain()
        assert_converged(account)

    def test_leases_are_taken_before_anything_is_read_and_released_after_the_last_read(
        self, account: Account, stack: Deployed
    ) -> None:
        seen: list[bool] = []

        def look(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            if operation != "GetCallerIdentity":
                seen.append(lease_of(*PAIR, "/prod/a") in stack.table.held())
            return None

        account.world.faults = look
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        assert len(seen) > 5
        assert all(seen)
        assert not stack.table.held()

    def test_a_lease_ends_soon_after_the_invocation_that_took_it(
        self, account: Account, stack: Deployed
    ) -> None:
        ends: list[float] = []
        key = lease_of(*PAIR, "/prod/a")
        start = account.clock.now().timestamp()
        account.world.before("PutParameter", lambda: ends.append(stack.table.items[key].expires - start))
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        assert TIMEOUT + 14 <= ends[0] <= TIMEOUT + 17

    def test_an_event_needs_four_requests_to_the_table(self, account: Account, stack: Deployed) -> None:
        names = replicated(account, stack)
        stack.table.calls.clear()
        account.put(account.here, names[0], "w")
        account.drain()
        assert stack.table.calls == {"PutItem": 2}
        stack.table.calls.clear()
        account.delete(account.here, names[0])
        account.drain()
        assert stack.table.calls == {"PutItem": 2, "BatchGetItem": 1, "DeleteItem": 1}


class TestWithoutTheTable:
    def test_a_written_name_is_read_once_more_after_a_minute(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack.table.fault = unreachable
        account.put(account.here, "/prod/a", "v")
        start = account.clock.now()
        stack.poll()
        assert account.world.value(account.there, "/prod/a") == "v"
        visible = stack.queue.next_visible()
        assert visible is not None
        assert timedelta(seconds=60) <= visible - start <= timedelta(seconds=62)
        assert metrics(capsys.readouterr().out)["TableUnavailable"] == 1
        account.drain()
        assert stack.invocations == 2
        assert len(writes(account, account.there)) == 1

    def test_a_name_with_nothing_to_do_is_done(self, account: Account, stack: Deployed) -> None:
        (name,) = replicated(account, stack, 1)
        stack.table.fault = unreachable
        account.publish(account.event(account.here, name, "LabelParameterVersion"))
        before = stack.invocations
        account.drain()
        assert stack.invocations == before + 1

    def test_a_delete_waits_and_is_made_later(self, account: Account, stack: Deployed) -> None:
        names = replicated(account, stack)
        stack.table.fault = unreachable
        account.delete(account.here, names[0])
        account.put(account.here, names[1], "w")
        for _ in range(6):
            stack.poll()
            account.wait()
        assert account.world.names(account.there) == names
        assert account.world.value(account.there, names[1]) == "w"
        assert any("deletes wait" in reason for one in lines(stack, "name") for reason in one["reasons"])
        stack.table.fault = lambda _: None
        account.drain()
        assert_converged(account)
        assert not stack.queue.dead

    def test_a_day_without_the_table_loses_nothing(self, account: Account, stack: Deployed) -> None:
        names = replicated(account, stack)
        stack.table.fault = unreachable
        account.delete(account.here, names[0])
        end = account.clock.now() + timedelta(hours=24)
        while account.clock.now() < end:
            stack.poll()
            account.wait()
        assert not stack.queue.dead
        stack.table.fault = lambda _: None
        account.drain()
        assert_converged(account)


class TestAnotherWriter:
    def contend(self, account: Account, times: int) -> None:
        """Another writer changes the replica right after each write, so many times."""
        left = [times]

        def after(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            # The function reads the replica again after its writes of value and tags.
            if operation == "GetParameters" and place == account.there and left[0] and self.written(account):
                left[0] -= 1
                account.world.traffic.forget()
                account.world.put(account.there, names[0], f"theirs {left[0]}")
            return None

        account.world.faults = after

    def written(self, account: Account) -> bool:
        return any(call.operation == "AddTagsToResource" for call in account.world.traffic.writes())

    def test_a_replica_that_differs_after_the_write_is_read_again(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(SPEC + "changed_outside: overwrite\n")
        (name,) = replicated(account, stack, 1)
        self.contend(account, 1)
        account.put(account.here, name, "w")
        account.drain()
        assert account.world.value(account.there, name) == "w"
        assert metrics(capsys.readouterr().out)["Contended"] == 0
        assert not stack.queue.dead

    def test_after_the_second_write_it_is_contended_and_not_written_again(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(SPEC + "changed_outside: overwrite\n")
        (name,) = replicated(account, stack, 1)
        self.contend(account, 100)
        account.put(account.here, name, "w")
        account.drain()
        assert account.world.value(account.there, name) == "theirs 98"
        assert metrics(capsys.readouterr().out)["Contended"] == 1
        assert not stack.queue.dead
        (last,) = [one for one in lines(stack, "name") if one["result"] == "contended"]
        assert last["parameter"] == name
        assert "another writer changes the replica after each write" in last["reasons"]

    def test_a_replica_that_was_changed_outside_is_refused_at_once(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (name,) = replicated(account, stack, 1)
        account.world.put(account.there, name, "theirs", user="arn:aws:iam::123456789012:user/eve")
        capsys.readouterr()
        before = stack.invocations
        account.put(account.here, name, "w")
        account.drain()
        assert stack.invocations == before + 1
        assert account.world.value(account.there, name) == "theirs"
        counted = metrics(capsys.readouterr().out)
        assert (counted["Withheld"], counted["Refused"]) == (1, 1)
        assert lines(stack, "name")[-1]["result"] == "refused"


class TestDeletesWithoutACount:
    def test_one_delete_goes_and_the_others_wait_for_a_whole_run_that_is_started(
        self, account: Account, stack: Deployed
    ) -> None:
        for i in range(10):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        for i in range(3):
            account.delete(account.here, f"/prod/{i:02}")
        stack.poll()
        assert len(account.world.names(account.there)) == 9
        assert len(stack.queue.messages) == 2
        assert stack.clients.started == 1
        account.wait()
        stack.poll()
        assert stack.clients.started == 1
        account.drain()
        assert_converged(account)
        assert not stack.queue.dead

    def test_a_count_that_is_older_than_two_schedules_is_none(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        names = replicated(account, stack, 10)
        account.clock.advance(timedelta(hours=49))
        for name in names[:2]:
            account.delete(account.here, name)
        stack.poll()
        assert len(account.world.names(account.there)) == 9
        account.drain()
        assert_converged(account)

    def test_a_count_within_two_schedules_is_used(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        names = replicated(account, stack, 10)
        account.clock.advance(timedelta(hours=47))
        for name in names[:2]:
            account.delete(account.here, name)
        stack.poll()
        assert len(account.world.names(account.there)) == 8
        assert stack.clients.started == 0

    def test_half_of_a_count_from_before_the_event_is_counted_again(self, account: Account) -> None:
        """Events made forty replicas since the last whole run counted none."""
        stack = account.deploy(SPEC)
        stack.whole_run()
        for i in range(40):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        for i in range(3):
            account.delete(account.here, f"/prod/{i:02}")
        account.drain()
        assert_converged(account)

    def test_a_whole_run_that_cannot_be_started_is_started_by_the_next_event(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for i in range(10):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()

        def fails(machine: str) -> None:
            raise ReconcileError("StartExecution failed: ThrottlingException")

        for i in range(2):
            account.delete(account.here, f"/prod/{i:02}")
        with monkeypatch.context() as patch:
            patch.setattr(stack.clients, "start_whole_run", fails)
            stack.poll()
        account.drain()
        assert_converged(account)

    def test_half_of_an_old_count_is_counted_again_before_it_withholds(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        replicated(account, stack, 2)
        for i in range(10, 20):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        account.clock.advance(timedelta(minutes=15))
        for i in range(10, 13):
            account.delete(account.here, f"/prod/{i:02}")
        account.drain()
        assert_converged(account)

    def test_more_than_half_of_the_replicas_are_withheld(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        names = replicated(account, stack, 6)
        account.clock.advance(timedelta(hours=1))
        for name in names[:5]:
            account.delete(account.here, name)
        account.drain()
        assert account.world.names(account.there) == names[3:]
        assert "over half of its" in stack.log.getvalue()


class TestAPassThatFails:
    def break_name(self, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
        """Make the plan of every pass with this name raise an error."""
        plan = NamePlanner.plan

        def fails(planner: NamePlanner, names: Any, known: Any = None) -> NamePlan:
            if name in names:
                raise error
            return plan(planner, names, known)

        monkeypatch.setattr(NamePlanner, "plan", fails)

    @pytest.mark.parametrize("error", [KeyError("x"), ReconcileError("x")])
    def test_only_the_message_of_the_defect_fails(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        self.break_name(monkeypatch, "/prod/05", error)
        for i in range(30):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.drain()
        assert account.world.names(account.there) == [f"/prod/{i:02}" for i in range(30) if i != 5]
        (dead,) = stack.queue.dead
        assert json.loads(dead)["detail"]["name"] == "/prod/05"
        (entry,) = lines(stack, "dead letter")
        assert entry["parameters"] == ["/prod/05"]


def test_a_whole_run_logs_each_change_that_it_did_not_make(account: Account, stack: Deployed) -> None:
    names = replicated(account, stack, 3)
    account.world.put(account.there, names[0], "theirs", user="arn:aws:iam::123456789012:user/eve")
    for name in names[:2]:
        account.world.put(account.here, name, "w")
    account.world.faults = lambda operation, place, called, _: (
        refused(Trouble.DENIED) if operation == "PutParameter" and names[1] in called else None
    )
    stack.whole_run()
    found = {one["parameter"]: one for one in lines(stack, "change")}
    assert {name: one["result"] for name, one in found.items()} == {names[0]: "withheld", names[1]: "failed"}
    assert "another writer changed the replica" in found[names[0]]["reason"]
    assert found[names[1]]["target"] == "us-east-2"


def test_a_message_that_is_not_understood_is_refused_and_counted(
    account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.queue.send("{ no json")
    stack.queue.send("/dev/not-selected")
    account.drain()
    counted = metrics(capsys.readouterr().out)
    assert (counted["Rejected"], counted["Refused"]) == (2, 1)


def test_a_new_stack_waits_for_its_first_whole_run_from_the_first_watch(
    account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    for hours in (0, 5):
        account.clock.advance(timedelta(hours=hours))
        capsys.readouterr()
        assert hours <= stack.invoke({"watch": "whole-run"})["hours"] < hours + 0.1
        assert "Remaining" not in metrics(capsys.readouterr().out)


def test_a_watch_without_a_table_reports_nothing(account: Account) -> None:
    assert account.deploy(SPEC, environment={}).invoke({"watch": "whole-run"}) == {"hours": None}


class TestUpdatesOfEvents:
    LIMITED = SPEC.replace("guards: {", "guards: { events: { max_updates: 3 }, ")

    def test_updates_over_the_limit_of_a_window_are_withheld(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(self.LIMITED)
        names = replicated(account, stack, 5)
        capsys.readouterr()
        for name in names:
            account.put(account.here, name, "w")
            account.drain()
        assert [account.world.value(account.there, name) for name in names] == ["w"] * 3 + ["v"] * 2
        assert metrics(capsys.readouterr().out)["Withheld"] == 2
        assert "4 updates by events in 24 hours are more than 3" in stack.log.getvalue()

    def test_a_whole_run_and_creates_are_not_limited(self, account: Account) -> None:
        stack = account.deploy(self.LIMITED)
        names = replicated(account, stack, 20)
        for name in names[:5]:
            account.world.put(account.here, name, "w")
        stack.whole_run()
        assert_converged(account)

    def test_a_repeated_event_counts_once(self, account: Account) -> None:
        stack = account.deploy(self.LIMITED)
        names = replicated(account, stack, 5)
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "PutParameter" else None
        )
        account.put(account.here, names[0], "w")
        for _ in range(4):
            stack.poll()
            account.wait()
        account.world.faults = None
        for name in names[1:3]:
            account.put(account.here, name, "w")
        account.drain()
        assert [account.world.value(account.there, name) for name in names[:3]] == ["w"] * 3

    def test_without_the_key_updates_are_not_limited(self, account: Account, stack: Deployed) -> None:
        names = replicated(account, stack, 60)
        for name in names[:40]:
            account.put(account.here, name, "w")
        account.drain()
        assert_converged(account)


class TestReservations:
    def test_a_delete_that_was_not_sent_gives_its_place_back(self, account: Account) -> None:
        stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 1"))
        names = replicated(account, stack)
        account.delete(account.here, names[0])
        account.world.before("DeleteParameters", lambda: None)
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.THROTTLED)
            if operation == "ListTagsForResource" and place == account.there and len(account.world.calls) > 3
            else None
        )
        stack.poll()
        account.world.faults = None
        key = f"window#max-deletes#{PAIR[0]}#{PAIR[1]}"
        assert not stack.table.items.get(key) or not stack.table.items[key].data
        account.drain()
        assert account.world.names(account.there) == names[1:]

    def test_a_delete_with_a_lost_response_keeps_its_place(self, account: Account) -> None:
        stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 1"))
        names = replicated(account, stack)
        account.world.faults = lambda operation, *_: (
            lost(done=True) if operation == "DeleteParameters" else None
        )
        account.delete(account.here, names[0])
        account.drain()
        account.world.faults = None
        account.delete(account.here, names[1])
        account.drain()
        assert account.world.names(account.there) == names[1:]


class TestTheEndOfAnInvocation:
    def test_the_rest_is_returned_before_the_function_is_killed(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for i in range(25):
            account.put(account.here, f"/prod/{i:02}", "v")
        account.world.before("PutParameter", lambda: account.clock.sleep(14), times=10_000)
        began = account.clock.monotonic()
        stack.poll()
        assert account.clock.monotonic() - began < TIMEOUT
        written = len(account.world.names(account.there))
        assert 0 < written < 25
        assert len(stack.queue.messages) == 25 - written
        assert metrics(capsys.readouterr().out)["TargetUnavailable"] == 0
        account.drain()
        assert not stack.queue.dead
        assert_converged(account)

    def test_reads_that_take_too_long_end_in_time(self, account: Account, stack: Deployed) -> None:
        account.put(account.here, "/prod/a", "v")
        account.drain()
        for i in range(25):
            account.put(account.here, f"/prod/{i:02}", "v")
        function, clock = stack.function, account.clock
        account.world.before("ListTagsForResource", lambda: function.timer.sleep(20), times=10_000)
        began = clock.monotonic()
        stack.poll()
        assert clock.monotonic() - began < TIMEOUT
        assert stack.queue.messages

    def test_a_message_with_many_names_is_split(self, account: Account, stack: Deployed) -> None:
        names = [f"/prod/{i:04}" for i in range(200)]
        for name in names:
            account.world.put(account.here, name, "v")
        stack.queue.send(json.dumps(names))
        account.put(account.here, "/prod/neighbour", "v")
        stack.poll()
        assert account.world.names(account.there) == ["/prod/neighbour"]
        assert len(stack.queue.messages) == 20
        account.drain()
        assert_converged(account)


class TestAPlaceThatIsAway:
    SPEC = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")

    def test_it_is_not_tried_again_for_a_minute_and_the_others_go_on(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack, west = account.deploy(self.SPEC), account.world.place("eu-west-1")
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.UNREACHABLE) if place == west and operation != "GetCallerIdentity" else None
        )
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        tried = sum(call.place == west for call in account.world.calls)
        account.put(account.here, "/prod/b", "v")
        stack.poll()
        assert sum(call.place == west for call in account.world.calls) == tried
        assert account.world.names(account.there) == ["/prod/a", "/prod/b"]
        assert metrics(capsys.readouterr().out)["TargetUnavailable"] == 2
        assert lines(stack, "cannot be used")[-1]["places"] == ["eu-west-1"]
        account.clock.advance(timedelta(seconds=61))
        stack.poll()
        assert sum(call.place == west for call in account.world.calls) > tried
        account.world.faults = None
        account.drain()
        assert account.world.names(west) == ["/prod/a", "/prod/b"]

    def test_values_that_cannot_be_read_for_a_day_lose_nothing(
        self, account: Account, stack: Deployed
    ) -> None:
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.THROTTLED) if (operation, place) == ("GetParameters", account.here) else None
        )
        account.put(account.here, "/prod/a", "v")
        end = account.clock.now() + timedelta(hours=24)
        while account.clock.now() < end:
            stack.poll()
            account.wait()
        assert not stack.queue.dead
        account.world.faults = None
        account.drain()
        assert_converged(account)


def test_raised_rates_reach_a_warm_process(
    account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new spec gets new rate limits: the ones of a process can only be lowered."""
    opened: list[str] = []
    stack.function.connect = None

    def new_opener(_: Function) -> Connect:
        opened.append(stack.spec)
        return Memory(account.world).connect

    monkeypatch.setattr(Function, "_connect_to_aws", new_opener)
    account.put(account.here, "/prod/a", "v")
    account.drain()
    account.clock.advance(timedelta(minutes=6))
    account.put(account.here, "/prod/a", "w")
    account.drain()
    assert len(opened) == 1
    stack.spec = SPEC + "rates: { put: 10 }\n"
    account.clock.advance(timedelta(minutes=6))
    account.put(account.here, "/prod/a", "x")
    account.drain()
    assert opened == [SPEC, stack.spec]


def test_a_message_of_a_whole_run_of_earlier_versions_is_reconciled_as_names(
    account: Account,
) -> None:
    stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 1"))
    names = replicated(account, stack, 6)
    for name in names[:3]:
        account.world.delete(account.here, name)
    stack.queue.send(json.dumps({"names": names[:3], "judged": True}))
    account.drain()
    assert len(account.world.names(account.there)) == 5
