"""State of the function between passes and invocations: places, time, the lease of a whole run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.by_name import NamePlan, NamePlanner
from ssm_reconcile.errors import ReconcileError, Trouble
from ssm_reconcile.event.messages import NAMES_A_PASS
from ssm_reconcile.event.state import State, TableUnavailableError
from ssm_reconcile.model import Access, KeyState, Place
from ssm_reconcile.stores.base import Store
from tests.builders import store_error
from tests.events.pump import TIMEOUT, WHOLE_TIMEOUT, Account, Deployed, metrics
from tests.events.test_deployed import SPEC
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.traffic import Fault, at_call, refused

TWO = SPEC.replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
SECOND = timedelta(seconds=1)


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def stack(account: Account) -> Deployed:
    return account.deploy(SPEC)


def names(count: int) -> list[str]:
    return [f"/prod/{i:02}" for i in range(count)]


def opened(account: Account, place: Place | None = None) -> int:
    """Return how many times a place was opened."""
    return sum(
        call.operation == "GetCallerIdentity" and place in (None, call.place) for call in account.world.calls
    )


def make_unreachable(account: Account, *places: Place) -> None:
    """Make every call in these places fail, those that open them too."""

    def fault(operation: str, place: Place, _: tuple[str, ...], __: int) -> Fault | None:
        return refused(Trouble.UNREACHABLE) if place in places else None

    account.world.faults = fault


class TestTheTimeOfAnInvocation:
    def test_messages_are_hidden_until_just_after_it(self, account: Account, stack: Deployed) -> None:
        """So they return soon if it is killed; the timeout of the queue is longer."""
        seen: list[timedelta] = []

        def look() -> None:
            visible = stack.queue.next_visible()
            assert visible is not None
            seen.append(visible - account.clock.now())

        account.world.before("PutParameter", look)
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        assert TIMEOUT + 25 <= seen[0].total_seconds() <= TIMEOUT + 31

    @pytest.mark.parametrize(("seconds", "reads"), [(40, 2), (60, 1)])
    def test_a_further_pass_begins_with_thirty_seconds_left(
        self, account: Account, stack: Deployed, seconds: float, reads: int
    ) -> None:
        for name in names(11):
            account.put(account.here, name, "v")
        account.world.before("PutParameter", lambda: account.clock.sleep(seconds))
        stack.invoke({"Records": stack.queue.receive(11)}, 100)
        found = [call for call in account.world.calls if call.operation == "DescribeParameters"]
        assert sum(call.place == account.here for call in found) == reads

    def test_the_first_pass_begins_with_less(self, account: Account, stack: Deployed) -> None:
        account.put(account.here, "/prod/a", "v")
        stack.invoke({"Records": stack.queue.receive(1)}, 40)
        assert account.world.names(account.there) == ["/prod/a"]


class TestAPassThatFails:
    def fail(
        self, account: Account, monkeypatch: pytest.MonkeyPatch, error: Exception, count: int = 3
    ) -> list[int]:
        """Change some parameters, and make each plan fail; return the number of names of each."""
        planned: list[int] = []

        def fails(_: NamePlanner, wanted: Any, __: Any = None) -> NamePlan:
            planned.append(len(wanted))
            raise error

        monkeypatch.setattr(NamePlanner, "plan", fails)
        for name in names(count):
            account.put(account.here, name, "v")
        return planned

    def test_an_outage_is_not_tried_for_each_message(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        planned = self.fail(account, monkeypatch, store_error(Trouble.UNREACHABLE))
        stack.poll()
        assert (planned, len(stack.queue.messages)) == ([3], 3)
        assert not metrics(capsys.readouterr().out)["Failed"]

    @pytest.mark.parametrize(("count", "tried"), [(1, [1]), (2, [2, 1, 1]), (3, [3, 1, 1, 1])])
    def test_a_defect_is_tried_for_each_message_and_counted_for_each_name(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], count: int, tried: list[int],
    ) -> None:  # fmt: skip
        planned = self.fail(account, monkeypatch, KeyError("x"), count)
        stack.poll()
        assert (planned, len(stack.queue.messages)) == (tried, count)
        assert metrics(capsys.readouterr().out)["Failed"] == count

    def test_a_defect_counts_each_name_of_a_message(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        self.fail(account, monkeypatch, KeyError("x"), 0)
        stack.queue.send(json.dumps({"names": names(3)}))
        stack.poll()
        assert metrics(capsys.readouterr().out)["Failed"] == 3


class TestPlaces:
    def test_a_place_is_away_for_a_minute_from_its_first_failure(self, account: Account) -> None:
        """Events in that minute do not make it longer."""
        stack, west = account.deploy(TWO), account.world.place("eu-west-1")
        account.world.faults = lambda operation, place, *_: (
            refused(Trouble.UNREACHABLE) if place == west and operation != "GetCallerIdentity" else None
        )
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        tried = sum(call.place == west for call in account.world.calls)
        for seconds, is_tried in ((30, False), (27, False), (5, True)):
            account.clock.advance(seconds * SECOND)
            account.put(account.here, f"/prod/{seconds}", "v")
            stack.poll()
            assert (sum(call.place == west for call in account.world.calls) > tried) is is_tried

    def test_a_place_that_cannot_be_opened_is_away_as_well(self, account: Account) -> None:
        stack, west = account.deploy(TWO), account.world.place("eu-west-1")
        make_unreachable(account, west)
        for seconds, tries in ((0, 1), (20, 1), (35, 1), (10, 2)):
            account.clock.advance(seconds * SECOND)
            account.put(account.here, f"/prod/{seconds:02}{tries}", "v")
            stack.poll()
            assert opened(account, west) == tries
        assert len(account.world.names(account.there)) == 4

    def test_without_any_place_messages_are_retried_and_it_is_counted(
        self, account: Account, stack: Deployed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_unreachable(account, account.here, account.there)
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        counted = metrics(capsys.readouterr().out)
        assert (counted["TargetUnavailable"], counted["SpecFailed"], counted["Again"]) == (1, 0, 1)
        before = opened(account)
        account.wait()
        stack.poll()
        assert opened(account) == before  # for a minute no place is tried again
        account.world.faults = None
        account.drain()
        assert account.world.names(account.there) == ["/prod/a"]

    def test_a_spec_whose_places_are_wrong_is_counted_as_a_spec(
        self, account: Account, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(
            SPEC.replace("region: us-east-2", "region: us-east-2, account: '999999999999'")
        )
        account.put(account.here, "/prod/a", "v")
        stack.poll()
        counted = metrics(capsys.readouterr().out)
        assert (counted["TargetUnavailable"], counted["SpecFailed"], counted["Again"]) == (0, 1, 1)

    @pytest.mark.parametrize(("seconds", "opens"), [(14, 2), (16, 4)])
    def test_a_retried_message_opens_places_again_that_are_older_than_seconds(
        self, account: Account, stack: Deployed, seconds: int, opens: int
    ) -> None:
        """Places keep the states of their keys, and a key may be enabled again."""
        account.put(account.here, "/prod/a", "v")
        account.drain()
        account.put(account.here, "/prod/a", "w")
        records = stack.queue.receive(1)
        records[0]["attributes"]["ApproximateReceiveCount"] = "2"
        account.clock.advance(seconds * SECOND)
        stack.invoke({"Records": records})
        assert opened(account) == opens

    @pytest.mark.parametrize(("seconds", "opens"), [(299.5, 2), (300.5, 4)])
    def test_a_warm_process_opens_places_again_after_five_minutes(
        self, account: Account, stack: Deployed, seconds: float, opens: int
    ) -> None:
        for value in ("v", "w"):
            account.put(account.here, "/prod/a", value)
            account.drain()
            assert opened(account) == 2
        account.put(account.here, "/prod/a", "x")
        age = account.clock.monotonic() - stack.function.loaded_at
        account.clock.advance(seconds * SECOND - age * SECOND)
        stack.poll()
        assert opened(account) == opens

    def test_a_slice_of_a_whole_run_opens_them_again(self, account: Account, stack: Deployed) -> None:
        for seconds, opens in ((0, 2), (10, 2), (10, 4)):
            account.clock.advance(seconds * SECOND)
            stack.run_slice()
            assert opened(account) == opens

    def test_after_a_problem_with_a_key_they_are_opened_again_once(
        self, account: Account, stack: Deployed
    ) -> None:
        for place in (account.here, account.there):
            account.world.add_key(place, "alias/app")
        account.world.set_key(account.there, "alias/app", KeyState.DISABLED)
        account.put(account.here, "/prod/a", "v", type="SecureString", key_id="alias/app")
        stack.poll()
        account.world.set_key(account.there, "alias/app", KeyState.USABLE)
        for opens in (4, 4):
            account.put(account.here, "/prod/b", str(opens))
            stack.poll()
            assert opened(account) == opens

    def test_after_a_problem_with_a_key_in_an_earlier_pass_they_are_opened_again(
        self, account: Account, stack: Deployed
    ) -> None:
        for place in (account.here, account.there):
            account.world.add_key(place, "alias/app")
        account.world.set_key(account.there, "alias/app", KeyState.DISABLED)
        account.put(account.here, "/prod/a", "v", type="SecureString", key_id="alias/app")
        stack.queue.send(json.dumps({"names": names(NAMES_A_PASS)}))  # a pass of its own, after the event
        stack.invoke({"Records": stack.queue.receive(2)})
        assert opened(account) == 2
        account.put(account.here, "/prod/b", "v")
        stack.poll()
        assert opened(account) == 4


class TestHigherThroughput:
    """The setting is read by the first write of a process in a place, and kept for an hour."""

    def write(self, account: Account, seconds: float = 0) -> int:
        """Reconcile a change after some time; return how many times the setting was read."""
        account.clock.advance(seconds * SECOND)
        account.put(account.here, "/prod/a", str(seconds))
        account.world.traffic.forget()
        account.published = 0
        account.drain()
        read = [call.place for call in account.world.calls if call.operation == "GetServiceSetting"]
        assert set(read) <= {account.there}
        assert account.world.value(account.there, "/prod/a") == str(seconds)
        return len(read)

    @staticmethod
    def rate(account: Account, stack: Deployed) -> float:
        planner = stack.function.planner
        assert planner is not None
        (store,) = (one for one in planner.places.opened.values() if one.place == account.there)
        assert isinstance(store, MemoryStore)
        return store._buckets[CallClass.PUT].rate

    @pytest.mark.parametrize("is_denied", [False, True])
    def test_it_is_read_once_an_hour_also_if_it_is_denied(
        self, account: Account, stack: Deployed, *, is_denied: bool
    ) -> None:
        account.world.higher_throughput.add(account.there)
        if is_denied:
            account.world.faults = at_call("GetServiceSetting", refused(Trouble.DENIED))
        found = [self.write(account, seconds) for seconds in (0, 400, 2000, 1000, 300, 400)]
        assert found == [1, 0, 0, 0, 1, 0], "the places were opened again in between"
        assert self.rate(account, stack) == (3 if is_denied else 10)

    def test_a_new_spec_gets_the_rate_without_a_read(self, account: Account, stack: Deployed) -> None:
        account.world.higher_throughput.add(account.there)
        assert self.write(account) == 1
        before = stack.function._opener
        stack.function.connect = Memory(account.world).connect
        stack.spec = SPEC.replace("max_deletes: 1000", "max_deletes: 999")
        assert self.write(account, 400) == 0
        assert stack.function._opener is not before, "its rates are new"
        assert self.rate(account, stack) == 10

    def test_a_rate_of_the_spec_holds(self, account: Account) -> None:
        account.world.higher_throughput.add(account.there)
        stack = account.deploy(f"{SPEC}rates: {{ put: 4 }}\n")
        assert self.write(account) == 0
        assert self.rate(account, stack) == 4

    def test_slices_of_a_whole_run_read_it_once(self, account: Account, stack: Deployed) -> None:
        for name in names(120):  # two groups of changes
            account.world.put(account.here, name, "v")
        for _ in range(2):
            stack.run_slice()
            account.world.put(account.here, "/prod/00", str(account.clock.now()))
        assert account.world.traffic.count("GetServiceSetting") == 1

    def test_without_a_write_it_is_not_read(self, account: Account, stack: Deployed) -> None:
        stack.run_slice()
        account.put(account.here, "/elsewhere", "v")
        account.drain()
        assert account.world.traffic.count("GetServiceSetting") == 0


class TestProbing:
    @pytest.mark.parametrize("is_slice", [False, True])
    def test_the_event_path_never_probes(self, account: Account, *, is_slice: bool) -> None:
        stack = account.deploy(f"{SPEC}rates: {{ probe: true }}\n")
        opened: list[Access] = []
        real = stack.function.connect
        assert real is not None

        def connect(access: Access) -> Store:
            opened.append(access)
            return real(access)

        stack.function.connect = connect
        account.put(account.here, "/prod/a", "v")
        if is_slice:
            stack.run_slice()
        else:
            account.drain()
        assert account.world.names(account.there) == ["/prod/a"]
        planner = stack.function.planner
        assert planner is not None
        assert planner.specs[0].source.access.probe, "the spec asks for it"
        assert [access.probe for access in opened] == [False, False]


class TestTheLeaseOfAWholeRun:
    def test_it_outlives_a_slice_by_five_minutes(self, account: Account, stack: Deployed) -> None:
        account.world.put(account.here, "/prod/a", "v")
        seen: list[float] = []
        start = account.clock.now().timestamp()
        account.world.before(
            "PutParameter", lambda: seen.append(stack.table.items["lease#whole-run"].expires - start)
        )
        stack.run_slice()
        assert WHOLE_TIMEOUT + 300 <= seen[0] <= WHOLE_TIMEOUT + 302

    @pytest.mark.parametrize(
        "method", ["take_whole_run", "release_whole_run", "write_whole_run", "write_counts", "take_leases"]
    )
    def test_without_the_table_the_run_goes_on_and_it_is_counted(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str], method: str,
    ) -> None:  # fmt: skip
        def fails(*_: Any) -> None:
            raise TableUnavailableError("DynamoDB: ConnectTimeoutError")

        account.world.put(account.here, "/prod/a", "v")
        monkeypatch.setattr(State, method, fails)
        assert stack.run_slice()["written"] == 1
        assert metrics(capsys.readouterr().out)["TableUnavailable"] == 1
        assert "ConnectTimeoutError" in stack.log.getvalue()

    def test_a_window_that_cannot_be_reached_is_counted(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        def fails(*_: Any) -> None:
            raise TableUnavailableError("DynamoDB: ConnectTimeoutError")

        for name in ("/prod/a", "/prod/b", "/prod/c"):
            account.world.put(account.here, name, "v")
        stack.run_slice()
        account.world.delete(account.here, "/prod/a")
        monkeypatch.setattr(State, "reserve", fails)
        capsys.readouterr()
        assert stack.run_slice()["not_attempted"] == 1
        assert metrics(capsys.readouterr().out)["TableUnavailable"] == 1

    def test_a_slice_that_wrote_nothing_releases_it(self, account: Account, stack: Deployed) -> None:
        """The state machine ends then, so no slice follows that would release it."""
        account.world.put(account.here, "/prod/a", "v")
        slow = account.clock.sleep
        account.world.before("GetParameters", lambda: slow(50), times=100)
        answer = stack.run_slice(60)
        assert (answer["not_attempted"], answer["written"]) == (1, 0)
        assert "lease#whole-run" not in stack.table.items


class TestAStartThatFails:
    def test_the_next_event_starts_a_whole_run_at_once(
        self, account: Account, stack: Deployed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in names(10):
            account.put(account.here, name, "v")
        account.drain()

        def fails(_: str) -> None:
            raise ReconcileError("StartExecution failed: ThrottlingException")

        for name in names(3):
            account.delete(account.here, name)
        with monkeypatch.context() as patch:
            patch.setattr(stack.clients, "start_whole_run", fails)
            stack.poll()
        assert stack.clients.started == 0
        account.wait()
        stack.poll()
        assert stack.clients.started == 1
