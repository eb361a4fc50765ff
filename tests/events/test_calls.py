"""SSM calls of one event, counted by operation; the tags that are not read twice; reads that lag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.apply.work import RECENT_SECONDS
from ssm_reconcile.by_name import NamePlan, NamePlanner
from ssm_reconcile.change import Action
from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.events import Operation
from ssm_reconcile.event.requests import Applied, NameRequest, NameResult, results_of, stale_names
from ssm_reconcile.model import Access, Place
from ssm_reconcile.observe import list_place
from ssm_reconcile.record import DETACHED, OWNER, RECORD
from ssm_reconcile.report import Report
from ssm_reconcile.spec import AdoptMode, DeleteMode, Glob, Replication, Rewrite, RewriteIn, Run
from tests.builders import outcome, replication, target
from tests.doubles.clock import FakeClock
from tests.events.pump import Account
from tests.fake_aws.traffic import at_call, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws, unwatched

REGIONS = ("us-east-2", "us-west-1", "us-west-2")
NAMES = tuple(f"/p/{i:02}" for i in range(25))
Act = Callable[[SimulatedAws], object]


def spec_with(targets: int = 1) -> Replication:
    every = tuple(target(region, region=region) for region in REGIONS[:targets])
    return replication(targets=every, include=(Glob("/p/**"),))


class OneInvocation:
    """The plan and the apply of one invocation for some names, in a warm process: its places are open."""

    def __init__(self, aws: SimulatedAws, *, lists_replicas: bool = False) -> None:
        self.aws = aws
        places = aws.places()
        self.planner = NamePlanner(
            (aws.spec,), places, Run(), aws.clock, unwatched, lists_replicas=lists_replicas
        )
        aws.world.traffic.forget()

    def plan(self, *names: str) -> NamePlan:
        return self.planner.plan({name: frozenset({self.aws.spec.name}) for name in names})

    def apply(self, planned: NamePlan) -> Report:
        session = self.planner.session()
        return reconcile.carry_out(planned.plan, planned.specs, session, self.aws.stop, planned.listings)

    def handle(self, name: str, operation: Operation = Operation.UNKNOWN) -> NameResult:
        """Handle the event of a change that is just made; return the result for its name."""
        at = self.aws.clock.now() if operation is not Operation.UNKNOWN else None
        requests = {name: NameRequest(name, frozenset({self.aws.spec.name}), operation, at)}
        planned = self.plan(name)
        stale = stale_names(planned, requests, self.aws.clock.now())
        (result,) = results_of(Applied(planned, self.apply(planned), stale=stale), requests, {})
        return result

    def calls(self, place: Place | None = None) -> Counter[str]:
        return Counter(call.operation for call in self.aws.world.calls if place in (None, call.place))


def replicated(targets: int = 1, *, spec: Replication | None = None) -> SimulatedAws:
    """Return an AWS with replicas of 25 names."""
    aws = SimulatedAws(spec or spec_with(targets), clock=FakeClock(tick=timedelta(milliseconds=1)))
    for name in NAMES:
        aws.put(name)
    aws.apply()
    return aws


EVENTS: dict[str, tuple[str, Act]] = {
    "create": ("/p/new", lambda aws: aws.put("/p/new")),
    "update": ("/p/00", lambda aws: aws.put("/p/00", "w")),
    "delete": ("/p/00", lambda aws: aws.delete("/p/00")),
    "nothing": ("/p/00", lambda _: None),
    "again deleted": ("/p/never", lambda _: None),
}
CALLS: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "create": (
        {"DescribeParameters": 1, "ListTagsForResource": 1, "GetParameters": 1},
        {"DescribeParameters": 1, "GetParameters": 2, "PutParameter": 1},
    ),
    "update": (
        {"DescribeParameters": 1, "ListTagsForResource": 1, "GetParameters": 1},
        {"DescribeParameters": 1, "ListTagsForResource": 1, "GetParameters": 4,
         "PutParameter": 1, "AddTagsToResource": 1},
    ),
    "delete": (
        {"DescribeParameters": 1},
        {"DescribeParameters": 1, "ListTagsForResource": 2, "GetParameters": 3, "DeleteParameters": 1},
    ),
    "nothing": (
        {"DescribeParameters": 1, "ListTagsForResource": 1},
        {"DescribeParameters": 1, "ListTagsForResource": 1},
    ),
    "again deleted": ({"DescribeParameters": 1}, {"DescribeParameters": 1, "ListTagsForResource": 1}),
}  # fmt: skip
"""The calls that one event makes once, and those that it makes for each target, at either end."""
LIMITS = {"create": (8, 4), "update": (11, 8), "delete": (9, 8), "nothing": (4, 2), "again deleted": (4, 2)}
"""The most calls of an event with one target, and of each further target."""


@pytest.mark.parametrize("targets", [1, 2, 3])
@pytest.mark.parametrize("event", EVENTS)
class TestCallsOfOneEvent:
    def test_the_calls_by_operation(self, event: str, targets: int) -> None:
        aws = replicated(targets)
        name, act = EVENTS[event]
        act(aws)
        invocation = OneInvocation(aws)
        invocation.apply(invocation.plan(name))
        once, each = CALLS[event]
        assert invocation.calls() == Counter(once) + Counter({k: n * targets for k, n in each.items()})

    def test_the_sum_is_within_the_limit(self, event: str, targets: int) -> None:
        once, each = (sum(calls.values()) for calls in CALLS[event])
        first, further = LIMITS[event]
        assert once + each * targets <= first + further * (targets - 1)


@pytest.mark.parametrize(("event", "most"), [("create", 8), ("update", 11), ("delete", 9), ("nothing", 4)])
def test_the_function_makes_no_other_calls(event: str, most: int) -> None:
    account = Account()
    stack = account.deploy(
        "version: 1\nname: prod\nsource: { region: us-east-1 }\ntargets: [{ region: us-east-2 }]\n"
        'parameters: { include: ["/p/**"] }\ndelete: owned\n'
    )
    for name in ("/p/00", "/p/01", "/p/02"):
        account.put(account.here, name, "v")
    account.drain()
    stack.whole_run()
    account.world.traffic.forget()
    account.published = 0
    match event:
        case "nothing":
            account.publish(account.event(account.here, "/p/00", "LabelParameterVersion"))
        case "delete":
            account.delete(account.here, "/p/00")
        case _:
            account.put(account.here, "/p/00" if event == "update" else "/p/new", "w")
    account.drain()
    once, each = CALLS[event]
    counted = Counter(call.operation for call in account.world.calls)
    assert counted == Counter(once) + Counter(each)
    assert counted.total() <= most


class TestNothingIsListedWhole:
    def whole(self, invocation: OneInvocation) -> list[str]:
        listed = [one for one in invocation.aws.world.calls if not one.names]
        return [one.operation for one in listed]

    def test_for_a_delete(self) -> None:
        aws = replicated()
        aws.delete("/p/00")
        invocation = OneInvocation(aws)
        assert invocation.apply(invocation.plan("/p/00")).summary["applied"] == 1
        assert self.whole(invocation) == []

    def test_for_25_updates(self) -> None:
        aws = replicated()
        for name in NAMES:
            aws.put(name, "w")
        invocation = OneInvocation(aws, lists_replicas=True)
        assert invocation.apply(invocation.plan(*NAMES)).summary["applied"] == 25
        assert self.whole(invocation) == []

    def test_a_delete_that_the_guards_count_lists_both_places(self) -> None:
        aws = replicated()
        aws.delete("/p/00")
        invocation = OneInvocation(aws, lists_replicas=True)
        assert invocation.apply(invocation.plan("/p/00")).summary["applied"] == 1
        assert sorted(self.whole(invocation)) == ["DescribeParameters"] * 2 + ["GetResources"] * 2

    def test_a_rewrite_that_cannot_be_reversed_lists_the_source_only(self) -> None:
        erased = Rewrite(Glob("/p/**"), RewriteIn.NAME, "-east", "")
        aws = replicated(spec=replication(include=(Glob("/p/**"),), rewrites=(erased,)))
        aws.delete("/p/00")
        invocation = OneInvocation(aws)
        assert invocation.apply(invocation.plan("/p/00")).summary["applied"] == 1
        assert sorted(self.whole(invocation)) == ["DescribeParameters", "GetResources"]


OTHERS = {OWNER: "other@111122223333/eu-west-1"}
MARKS: dict[str, Act] = {
    "detached": lambda aws: aws.world.tag(aws.there, "/p/00", {OWNER: f"{DETACHED}prod@1/us-east-1"}),
    "opted out": lambda aws: aws.world.tag(aws.there, "/p/00", {"skip_sync": "true"}),
    "taken over": lambda aws: aws.world.tag(aws.there, "/p/00", OTHERS | record_of_ours(aws)),
}


def record_of_ours(aws: SimulatedAws) -> dict[str, str]:
    """Return a record for the address, as any owner writes it; that of another address where it has none."""
    other = SimulatedAws()
    other.replicate("/p/00")
    tags = aws.world.tags(aws.there, "/p/00") or {}
    return {RECORD: tags.get(RECORD) or (other.world.tags(other.there, "/p/00") or {})[RECORD]}


WRITES: dict[str, tuple[Action, str, Act]] = {
    "update": (Action.UPDATE, "PutParameter", lambda aws: aws.put("/p/00", "w")),
    "retag": (
        Action.RETAG, "AddTagsToResource", lambda aws: aws.world.tag(aws.here, "/p/00", {"team": "a"}),
    ),
    "adopt": (
        Action.ADOPT, "AddTagsToResource",
        lambda aws: aws.world.untag(aws.there, "/p/00", OWNER, RECORD),
    ),
}  # fmt: skip


class TestTagsThatThePlanRead:
    def planned(self, write: str) -> tuple[OneInvocation, NamePlan]:
        aws = replicated(spec=replication(include=(Glob("/p/**"),), adopt=AdoptMode.IDENTICAL))
        action, _, prepare = WRITES[write]
        prepare(aws)
        aws.pass_time()
        invocation = OneInvocation(aws)
        planned = invocation.plan("/p/00")
        assert [change.action for change in planned.plan.changes] == [action]
        return invocation, planned

    @pytest.mark.parametrize("write", WRITES)
    @pytest.mark.parametrize(("seconds", "reads"), [(RECENT_SECONDS - 1, 0), (RECENT_SECONDS + 1, 1)])
    def test_they_are_read_again_once_they_are_old(self, write: str, seconds: float, reads: int) -> None:
        invocation, planned = self.planned(write)
        aws = invocation.aws
        aws.pass_time(seconds=seconds)
        aws.world.traffic.forget()
        assert outcome(invocation.apply(planned), "/p/00").result.value == "applied"
        for place in (aws.here, aws.there):
            assert invocation.calls(place)["ListTagsForResource"] == reads, place

    @pytest.mark.parametrize("mark", MARKS)
    @pytest.mark.parametrize("write", WRITES)
    def test_a_target_that_changes_after_that_is_not_written(self, write: str, mark: str) -> None:
        invocation, planned = self.planned(write)
        aws = invocation.aws
        aws.pass_time(seconds=RECENT_SECONDS + 1)
        MARKS[mark](aws)
        self.assert_untouched(invocation, planned)

    @pytest.mark.parametrize("mark", MARKS)
    @pytest.mark.parametrize("write", WRITES)
    def test_a_write_that_is_repeated_reads_them_again(self, write: str, mark: str) -> None:
        invocation, planned = self.planned(write)
        aws = invocation.aws
        aws.world.traffic.forget()
        aws.world.faults = at_call(WRITES[write][1], refused(Trouble.THROTTLED), nth=1)
        aws.world.before(WRITES[write][1], lambda: MARKS[mark](aws))
        self.assert_untouched(invocation, planned)

    def assert_untouched(self, invocation: OneInvocation, planned: NamePlan) -> None:
        aws = invocation.aws
        report = invocation.apply(planned)
        assert outcome(report, "/p/00").result.value == "stale"
        assert (aws.value("/p/00"), aws.version("/p/00")) == ("v", 1)
        assert "team" not in (aws.plain_tags("/p/00") or {})

    @pytest.mark.parametrize("write", WRITES)
    def test_a_source_that_opts_out_after_that_is_not_copied(self, write: str) -> None:
        invocation, planned = self.planned(write)
        aws = invocation.aws
        aws.pass_time(seconds=RECENT_SECONDS + 1)
        aws.world.tag(aws.here, "/p/00", {"skip_sync": "true"})
        self.assert_untouched(invocation, planned)

    @pytest.mark.parametrize("mark", MARKS)
    @pytest.mark.parametrize("mode", [DeleteMode.OWNED, DeleteMode.CREATED], ids=["delete", "release"])
    def test_a_delete_and_a_release_read_them_right_before(self, mode: DeleteMode, mark: str) -> None:
        spec = replication(include=(Glob("/p/**"),), delete=mode)
        aws = SimulatedAws(spec, clock=FakeClock(tick=timedelta(milliseconds=1)))
        aws.world.put(aws.there, "/p/00", "v")
        for name in NAMES:
            aws.put(name)
        aws.apply()
        aws.delete("/p/00")
        invocation = OneInvocation(aws)
        planned = invocation.plan("/p/00")
        MARKS[mark](aws)
        before = aws.world.tags(aws.there, "/p/00")
        assert outcome(invocation.apply(planned), "/p/00").result.value == "stale"
        assert aws.world.tags(aws.there, "/p/00") == before

    def test_tags_of_a_whole_listing_are_no_direct_read(self) -> None:
        invocation, planned = self.planned("update")
        aws, spec = invocation.aws, invocation.aws.spec
        accesses: list[Access] = [spec.source.access, spec.targets[0].access]
        places = invocation.planner.places
        whole = {access: list_place(places.store(access), unwatched) for access in accesses}
        aws.world.traffic.forget()
        session = invocation.planner.session()
        report = reconcile.carry_out(planned.plan, planned.specs, session, aws.stop, whole)
        assert outcome(report, "/p/00").result.value == "applied"
        assert invocation.calls()["ListTagsForResource"] == 2


class TestReadsThatLag:
    """DescribeParameters does not show a write yet; ListTagsForResource always does."""

    def lagging(self, aws: SimulatedAws, act: Act) -> OneInvocation:
        """Let something happen that descriptions do not show for a minute."""
        aws.pass_time()
        aws.world.lag = Lag(describe=timedelta(minutes=1))
        act(aws)
        aws.pass_time(seconds=1)
        return OneInvocation(aws)

    def assert_again(self, invocation: OneInvocation, name: str, operation: Operation, value: object) -> None:
        """Check that the first result is `again`, and that the next one, without a lag, is right."""
        aws = invocation.aws
        first = invocation.handle(name, operation)
        assert first.status == "again", first
        aws.pass_time(minutes=2)
        assert invocation.handle(name).status in {"applied", "nothing to do"}
        assert aws.value(name) == value

    def test_a_value_that_is_newer_than_its_description_is_not_written(self) -> None:
        aws = replicated()
        aws.put("/p/00", "w")
        invocation = self.lagging(aws, lambda aws: aws.put("/p/00", "x"))
        planned = invocation.plan("/p/00", "/p/01")
        assert (set(planned.unsure), planned.plan.changes) == ({"/p/00"}, ())
        assert "different versions" in planned.unsure["/p/00"].why
        self.assert_again(invocation, "/p/00", Operation.UNKNOWN, "x")

    def test_a_replica_that_is_newer_than_its_description_is_not_written(self) -> None:
        aws = replicated()
        aws.put("/p/00", "w")
        invocation = self.lagging(aws, lambda aws: aws.world.put(aws.there, "/p/00", "theirs"))
        planned = invocation.plan("/p/00")
        assert (set(planned.unsure), planned.plan.changes) == ({"/p/00"}, ())
        assert aws.value("/p/00") == "theirs"

    def test_one_name_that_lags_does_not_delay_the_others(self) -> None:
        aws = replicated()
        for name in NAMES[:2]:
            aws.put(name, "w")
        invocation = self.lagging(aws, lambda aws: aws.put("/p/00", "x"))
        planned = invocation.plan(*NAMES[:2])
        assert [change.name for change in planned.plan.changes] == ["/p/01"]
        assert invocation.apply(planned).summary["applied"] == 1

    def test_an_update_that_no_description_shows_is_retried_by_its_time(self) -> None:
        aws = replicated()
        aws.pass_time()
        invocation = self.lagging(aws, lambda aws: aws.put("/p/00", "w"))
        assert invocation.plan("/p/00").plan.changes == ()  # versions prove the old value equal
        self.assert_again(invocation, "/p/00", Operation.UPDATE, "w")

    def test_a_create_that_no_description_shows_is_retried_by_its_time(self) -> None:
        invocation = self.lagging(replicated(), lambda aws: aws.put("/p/new"))
        self.assert_again(invocation, "/p/new", Operation.CREATE, "v")

    def test_a_source_that_is_deleted_and_still_described_is_retried(self) -> None:
        invocation = self.lagging(replicated(), lambda aws: aws.delete("/p/00"))
        self.assert_again(invocation, "/p/00", Operation.UNKNOWN, None)

    def test_a_source_that_is_created_again_and_not_described_keeps_its_replica(self) -> None:
        aws = replicated()
        aws.delete("/p/00")
        invocation = self.lagging(aws, lambda aws: aws.put("/p/00", "again"))
        result = invocation.handle("/p/00")
        assert [one.error for one in result.outcomes] == ["its source exists"]
        self.assert_again(invocation, "/p/00", Operation.UNKNOWN, "again")

    def test_a_replica_that_is_not_described_yet_is_not_taken_for_gone(self) -> None:
        """A source that was created and deleted: the replica of the create is still to be deleted."""
        aws = replicated()
        aws.pass_time()
        aws.put("/p/new")
        assert OneInvocation(aws).handle("/p/new").status == "applied"
        aws.delete("/p/new")
        aws.world.lag = Lag(describe=timedelta(minutes=1))
        invocation = OneInvocation(aws)
        planned = invocation.plan("/p/new")
        assert "does not show it yet" in planned.unsure["/p/new"].why
        self.assert_again(invocation, "/p/new", Operation.DELETE, None)

    def test_a_replica_that_is_not_described_yet_is_not_created_again(self) -> None:
        aws = replicated()
        aws.put("/p/new")
        invocation = self.lagging(aws, lambda aws: OneInvocation(aws).handle("/p/new"))
        assert aws.version("/p/new") == 1
        self.assert_again(invocation, "/p/new", Operation.UNKNOWN, "v")
        assert aws.version("/p/new") == 1

    def test_an_absent_target_whose_tags_cannot_be_read_is_retried(self) -> None:
        invocation = OneInvocation(replicated())
        invocation.aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED))
        assert invocation.handle("/p/never").status == "again"
