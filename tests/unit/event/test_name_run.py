"""A run for some names: leases, reads that lag, the end of the time, and a table that gives no answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.events import Operation
from ssm_reconcile.event.leases import MARGIN
from ssm_reconcile.event.name_run import IN_WORK, LAGS, UNLEASED, NameRunResult
from ssm_reconcile.event.requests import NameResult, Retry, RetryCause, write_key
from ssm_reconcile.event.state import TableItem, lease_of
from ssm_reconcile.event.timer import RESERVE
from ssm_reconcile.event.windows import NO_COUNT, NO_TABLE
from ssm_reconcile.model import Access
from tests.builders import replication, target
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag
from tests.unit.event.run_stage import WORKING_SECONDS, RunStage

PAIR = ("prod", "us-east-2")
LEASE = lease_of(*PAIR, "/p/a")


@pytest.fixture
def stage() -> RunStage:
    return RunStage()


def only(found: NameRunResult) -> NameResult:
    (result,) = found.results
    return result


def cause(result: NameResult) -> RetryCause | None:
    return None if result.retry is None else result.retry.cause


@pytest.mark.parametrize(("count", "status", "value"), [(1, "applied", "new"), (2, "contended", "v")])
def test_a_replica_that_differed_after_two_writes_is_not_written_again(
    stage: RunStage, count: int, status: str, value: str
) -> None:
    stage.replicate("/p/a", "/p/b")
    stage.put("/p/a", "/p/b", value="new")
    written = {write_key((*PAIR, "/p/a")): count}
    found = stage.run(stage.request("/p/a"), stage.request("/p/b"), written=written)
    assert [(one.status, one.retry) for one in found.results] == [(status, None), ("applied", None)]
    assert (stage.aws.value("/p/a"), stage.aws.value("/p/b")) == (value, "new")


class TestLeases:
    def test_a_lease_outlives_the_invocation_and_is_released_with_it(self, stage: RunStage) -> None:
        stage.put("/p/a")
        seen: list[float] = []
        stage.aws.world.before("PutParameter", lambda: seen.append(stage.table.items[LEASE].expires))
        end = stage.aws.clock.now().timestamp() + WORKING_SECONDS + RESERVE
        stage.run(stage.request())
        assert seen == [end + MARGIN]
        assert not stage.table.held()

    def test_a_name_of_another_invocation_is_left_to_it(self, stage: RunStage) -> None:
        stage.put("/p/a", "/p/b")
        until = stage.aws.clock.now().timestamp() + 60
        stage.table.items[LEASE] = TableItem("other", until)
        found = stage.run(stage.request("/p/a"), stage.request("/p/b"))
        assert [one.retry for one in found.results] == [IN_WORK, None]
        assert stage.aws.names("us-east-2") == ["/p/b"]
        assert stage.table.held() == {LEASE}, "that of the other one"

    def test_they_are_released_after_an_error(self, stage: RunStage) -> None:
        stage.put("/p/a")

        def fail() -> None:
            raise ZeroDivisionError

        stage.aws.world.before("DescribeParameters", fail, times=9)
        with pytest.raises(ZeroDivisionError):
            stage.run(stage.request())
        assert not stage.table.held()

    @pytest.mark.parametrize(("ago", "is_known"), [(-2, True), (2, True), (-3, False)])
    def test_an_event_of_a_version_that_is_replicated_already_reads_its_description_only(
        self, stage: RunStage, ago: int, is_known: bool
    ) -> None:
        """The time of an event is in whole seconds, so it may be two seconds after that of the version."""
        stage.put("/p/a")
        request = stage.request(ago=ago)
        assert only(stage.run(replace(request, at=stage.aws.clock.now()))).status == "applied"
        stage.aws.pass_time()
        stage.aws.world.traffic.forget()
        found = only(stage.run(request))
        assert (found.status, found.retry) == ("nothing to do", None)
        assert stage.calls("DescribeParameters") == (1 if is_known else 2)

    def test_a_name_that_is_retried_leaves_no_version(self, stage: RunStage) -> None:
        stage.put("/p/a")
        stage.aws.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
        found = stage.run(stage.request())
        assert (cause(only(found)), found.done) == (RetryCause.OWN, {})
        assert stage.table.items == {}


class TestReadsThatLag:
    def test_a_read_from_before_the_event_is_retried(self, stage: RunStage) -> None:
        stage.replicate("/p/a")
        result = only(stage.run(stage.request()))
        assert cause(result) is RetryCause.STALE
        assert "does not show yet" in result.reasons[0]

    @pytest.mark.parametrize(
        ("age", "later", "is_confirmed"),
        [(60, 0, True), (61, 0, False), (10, 2, True), (10, -2, True), (10, -3, False)],
    )
    @pytest.mark.parametrize("is_known", [True, False])
    def test_a_description_that_fits_a_young_event_is_confirmed_by_the_value(
        self, stage: RunStage, age: int, later: int, is_confirmed: bool, is_known: bool
    ) -> None:
        """Right after another change, an old description looks new enough.

        Args:
            stage: The stage.
            age: The age of the event when the names are read, in seconds.
            later: The time of the event after that of the version in the description, in seconds.
            is_confirmed: Whether GetParameters reads the version too.
            is_known: Whether the leases have the version from which the replica was made.
        """
        stage.put("/p/a")
        request = stage.request(ago=-later)
        if is_known:
            stage.run(request)
        else:
            stage.aws.apply()
        stage.aws.clock.advance(timedelta(seconds=1))
        stage.put("/p/a", value="new")
        since = timedelta(seconds=age + later)
        stage.aws.clock.advance(since - timedelta(seconds=1))
        stage.aws.world.lag = Lag(describe=since - timedelta(milliseconds=500))
        found = stage.run(request)
        assert (only(found).retry == LAGS) is is_confirmed
        assert set(found.done) == (set() if is_confirmed else {"/p/a"})


class TestTheEndOfTheTime:
    def test_reads_leave_two_fifths_of_the_time_to_writes(self, stage: RunStage) -> None:
        for seconds, status in ((59, "applied"), (61, "again")):
            stage.put("/p/a", value=str(seconds))
            stage.aws.world.before("DescribeParameters", partial(stage.timer.sleep, seconds))
            assert only(stage.run(stage.request())).status == status

    def test_changes_that_were_not_attempted_are_retried_soon_and_no_target_is_unavailable(
        self, stage: RunStage
    ) -> None:
        stage.put("/p/a")
        stage.aws.world.before("DescribeParameters", stage.end_time)
        found = stage.run(stage.request())
        assert cause(only(found)) is RetryCause.BUSY
        assert (found.unavailable, stage.aws.names("us-east-2")) == ((), [])

    def test_a_change_that_was_just_made_is_read_again(self, stage: RunStage) -> None:
        """The reads after the writes were not made."""
        stage.put("/p/a")
        stage.aws.world.before("PutParameter", stage.end_time)
        found = stage.run(stage.request())
        assert (stage.aws.value("/p/a"), only(found).retry) == ("v", UNLEASED)


class TestWithoutTheTable:
    def test_a_written_name_is_read_again_and_the_failure_is_reported(self, stage: RunStage) -> None:
        stage.replicate("/p/b")
        stage.put("/p/a")
        stage.lose_table()
        found = stage.run(stage.request("/p/a"), stage.request_by_hand("/p/b"))
        assert [one.retry for one in found.results] == [UNLEASED, None]
        assert found.table_error == "no answer"

    def test_deletes_wait_and_the_failure_is_reported(self, stage: RunStage) -> None:
        stage.replicate("/p/a")
        stage.aws.delete("/p/a")
        stage.lose_table("BatchGetItem")
        found = stage.run(stage.request(operation=Operation.DELETE))
        assert only(found).retry == Retry(RetryCause.OUTAGE, NO_TABLE)
        assert (found.table_error, stage.aws.names("us-east-2")) == ("no answer", ["/p/a"])

    def test_a_lease_whose_release_failed_is_reported(self, stage: RunStage) -> None:
        stage.put("/p/a")
        stage.aws.world.before("PutParameter", stage.lose_table)
        found = stage.run(stage.request())
        assert (only(found).status, found.table_error) == ("applied", "no answer")


class TestDeletes:
    def delete(self, stage: RunStage, *names: str) -> NameRunResult:
        stage.replicate("/p/a", "/p/b", "/p/c")
        stage.aws.delete(*names)
        return stage.run(*(stage.request(name, Operation.DELETE) for name in names))

    def test_without_a_count_one_goes_and_the_others_wait_for_a_whole_run(self, stage: RunStage) -> None:
        found = self.delete(stage, "/p/a", "/p/b")
        assert [one.retry for one in found.results] == [None, Retry(RetryCause.COUNT, NO_COUNT)]
        assert found.needs_count
        assert stage.aws.names("us-east-2") == ["/p/b", "/p/c"]

    def test_one_that_goes_asks_for_no_count(self, stage: RunStage) -> None:
        found = self.delete(stage, "/p/a")
        assert (only(found).status, found.needs_count) == ("applied", False)

    def test_the_place_of_a_delete_that_was_not_made_is_free_again(self, stage: RunStage) -> None:
        stage.replicate("/p/a")
        stage.aws.delete("/p/a")
        stage.aws.pass_time()
        stage.aws.world.before("GetParameters", lambda: stage.put("/p/a"))
        found = stage.run(stage.request(operation=Operation.DELETE))
        assert cause(only(found)) is not None
        assert [len(one.data) for key, one in stage.table.items.items() if key.startswith("window#")] == [0]


def test_a_source_that_is_away_is_an_outage_of_each_name(stage: RunStage) -> None:
    stage.put("/p/a")
    stage.aws.world.faults = at_call("DescribeParameters", refused(Trouble.UNREACHABLE))
    found = stage.run(stage.request("/p/a"), stage.request("/p/b"))
    assert [cause(one) for one in found.results] == [RetryCause.OUTAGE] * 2
    assert (found.unavailable, stage.table.held()) == (("us-east-2",), frozenset())


def test_the_lease_of_a_busy_name_in_another_target_is_free_before_the_others_run() -> None:
    stage = RunStage(replication(targets=(target(), target("eu-west-1", access=Access("eu-west-1")))))
    stage.put("/p/a", "/p/b")
    stage.table.items[LEASE] = TableItem("other", stage.aws.clock.now().timestamp() + 60)
    seen: list[frozenset[str]] = []
    stage.aws.world.before("PutParameter", lambda: seen.append(stage.table.held()))
    stage.run(stage.request("/p/a"), stage.request("/p/b"))
    assert seen == [{LEASE, lease_of("prod", "us-east-2", "/p/b"), lease_of("prod", "eu-west-1", "/p/b")}]
