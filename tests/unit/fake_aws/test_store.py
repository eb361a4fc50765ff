"""The memory store and its world, beyond what every store promises: calls, faults, lag, readings."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from itertools import chain

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, KeyState, SealedText
from ssm_reconcile.stores.base import Put
from tests.doubles.clock import FakeClock
from tests.fake_aws.behaviour import AwsBehaviour, Expired, KeyForm
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.traffic import AWAIT_TURN, at_call, at_write, killed, lost, refused, skipped
from tests.fake_aws.world import Lag, Pages, World


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


@pytest.fixture
def store(world: World) -> MemoryStore:
    return MemoryStore(world, world.place("us-east-1"))


def put(name: str, text: str = "v", *, overwrite: bool = False) -> Put:
    return Put(name, SealedText(text), "String", overwrite)


def names_of(store: MemoryStore) -> list[str]:
    return [parameter.name for parameter in chain.from_iterable(store.describe())]


def fill(world: World, store: MemoryStore, count: int) -> list[str]:
    names = [f"/many/{number:05}" for number in range(count)]
    for name in names:
        world.put(store.place, name, "v", tags={"k": "v"})
    return names


@pytest.mark.parametrize(
    ("count", "describe", "resources", "values"),
    [(0, 1, 1, 0), (50, 1, 1, 5), (51, 2, 1, 6), (101, 3, 2, 11)],
)
def test_reads_cost_the_calls_that_they_cost_at_aws(
    world: World, store: MemoryStore, count: int, describe: int, resources: int, values: int
) -> None:
    names = fill(world, store, count)
    names_of(store)
    list(store.tagged())
    store.values(names, decrypt=True)
    assert world.traffic.count("DescribeParameters") == describe
    assert world.traffic.count("GetResources") == resources
    assert world.traffic.count("GetParameters") == values
    assert world.traffic.writes() == []


def test_a_filter_does_not_reduce_the_number_of_calls(world: World, store: MemoryStore) -> None:
    fill(world, store, 101)
    store.names_tagged("k", ["v"])
    assert world.traffic.count("DescribeParameters") == 3


def test_a_write_is_one_call_with_its_names(world: World, store: MemoryStore) -> None:
    store.put(put("/a"))
    store.add_tags("/a", {"k": "v"})
    store.remove_tags("/a", ["k"])
    store.delete(["/a", "/b"])
    assert [(call.operation, call.names, call.place) for call in world.traffic.writes()] == [
        ("PutParameter", ("/a",), store.place),
        ("AddTagsToResource", ("/a",), store.place),
        ("RemoveTagsFromResource", ("/a",), store.place),
        ("DeleteParameters", ("/a", "/b"), store.place),
    ]


def test_keys_are_asked_once_a_store_and_the_key_of_aws_never(world: World, store: MemoryStore) -> None:
    world.add_key(store.place, "alias/app")
    store.keys(["alias/aws/ssm"])
    assert world.calls == []
    for _ in range(2):
        store.keys(["alias/app", "alias/absent"])
    assert [call.operation for call in world.calls] == ["ListAliases", "DescribeKey"]


def test_the_key_of_aws_is_known_by_its_id_too(world: World, store: MemoryStore) -> None:
    key = world.region(store.place).key("alias/aws/ssm")
    assert key is not None
    for reference in (key.key_id, key.arn, f"{key.arn.split(':key/')[0]}:alias/aws/ssm"):
        found = store.keys([reference])[reference]
        assert (found.identity, found.managed) == ("alias/aws/ssm", True)


def test_a_key_that_may_not_be_asked_is_unknown(world: World, store: MemoryStore) -> None:
    arn = world.add_key(store.place, "alias/app")
    world.faults = at_call("DescribeKey", refused(Trouble.DENIED))
    found = store.keys(["alias/app"])["alias/app"]
    assert (found.identity, found.state) == (arn, KeyState.UNKNOWN)


def test_aliases_that_may_not_be_listed_are_asked_one_by_one(world: World, store: MemoryStore) -> None:
    arn = world.add_key(store.place, "alias/app")
    world.faults = at_call("ListAliases", refused(Trouble.DENIED))
    assert store.keys(["alias/app"])["alias/app"].identity == arn
    assert store.keys(["alias/absent"])["alias/absent"].state is KeyState.MISSING


def test_a_multi_region_key_is_one_key_in_every_region(world: World, store: MemoryStore) -> None:
    there = world.place("eu-west-1")
    arns = [world.add_key(place, "alias/shared", multi_region=True) for place in (store.place, there)]
    assert len({arn.rsplit("/", 1)[1] for arn in arns}) == 1
    found = MemoryStore(world, there).keys(["alias/shared"])["alias/shared"]
    assert (found.identity, found.multi_region) == (arns[1], True)


def test_a_secret_stays_under_its_key_when_the_alias_moves_on(world: World, store: MemoryStore) -> None:
    world.add_key(store.place, "alias/app")
    world.add_key(store.place, "alias/new")
    world.put(store.place, "/a", "v", "SecureString", key_id="alias/app")
    world.point_alias(store.place, "alias/app", "alias/new")
    world.set_key(store.place, "alias/new", KeyState.DISABLED)
    assert "/a" in store.values(["/a"], decrypt=True).found


@pytest.mark.parametrize(
    ("form", "shown"), [(KeyForm.AS_GIVEN, "arn"), (KeyForm.KEY_ID, "id"), (KeyForm.ALIAS, "alias/app")]
)
def test_a_key_given_by_its_arn_is_reported_by_the_reading(form: KeyForm, shown: str) -> None:
    world = World(FakeClock(), AwsBehaviour(key_form=form))
    here = world.place("us-east-1")
    arn = world.add_key(here, "alias/app")
    world.put(here, "/a", "v", "SecureString", key_id=arn)
    found = world.peek(here, "/a")
    assert found is not None
    assert found.latest.parameter.key_id == {"arn": arn, "id": arn.rsplit("/", 1)[1]}.get(shown, shown)


def test_a_clean_refusal_changes_nothing(world: World, store: MemoryStore) -> None:
    world.faults = at_call("PutParameter", refused(Trouble.THROTTLED, "TooManyUpdates"))
    with pytest.raises(StoreError) as caught:
        store.put(put("/a"))
    assert (caught.value.kind, caught.value.code) == (Trouble.THROTTLED, "TooManyUpdates")
    assert (caught.value.operation, caught.value.place) == ("PutParameter", "123456789012/us-east-1")
    assert world.names(store.place) == []


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_may_have_had_its_effect(world: World, store: MemoryStore, done: bool) -> None:
    world.faults = at_write(1, lost(done=done))
    with pytest.raises(StoreError) as caught:
        store.put(put("/a"))
    assert caught.value.kind is Trouble.LOST
    assert world.names(store.place) == (["/a"] if done else [])
    store.put(put("/b"))


@pytest.mark.parametrize("done", [True, False])
def test_a_kill_ends_the_process_before_or_after_the_effect(
    world: World, store: MemoryStore, done: bool
) -> None:
    world.faults = at_write(2, killed(KeyboardInterrupt(), done=done))
    store.put(put("/a"))
    with pytest.raises(KeyboardInterrupt):
        store.delete(["/a"])
    assert world.names(store.place) == ([] if done else ["/a"])


def test_a_fault_plan_sees_names_and_counts_calls_by_operation_and_place(
    world: World, store: MemoryStore
) -> None:
    seen: list[tuple[str, str, tuple[str, ...], int]] = []
    world.faults = lambda operation, place, names, nth: seen.append((operation, place.region, names, nth))
    other = MemoryStore(world, world.place("eu-west-1"))
    store.put(put("/a"))
    other.put(put("/a"))
    store.put(put("/b"))
    store.tags("/a")
    assert seen == [
        ("PutParameter", "us-east-1", ("/a",), 1),
        ("PutParameter", "eu-west-1", ("/a",), 1),
        ("PutParameter", "us-east-1", ("/b",), 2),
        ("ListTagsForResource", "us-east-1", ("/a",), 1),
    ]


def test_a_lost_answer_hides_a_refusal_too(world: World, store: MemoryStore) -> None:
    world.put(store.place, "/a", "v")
    world.faults = at_write(1, lost(done=True))
    with pytest.raises(StoreError) as caught:
        store.put(put("/a"))
    assert caught.value.kind is Trouble.LOST


def test_an_unreadable_parameter_fails_alone(world: World, store: MemoryStore) -> None:
    names = fill(world, store, 10)
    world.faults = at_call("GetParameters", refused(Trouble.DENIED), name=names[3])
    answers = store.values(names, decrypt=True)
    assert (len(answers.found), list(answers.failed)) == (9, [names[3]])
    assert answers.failed[names[3]].kind is Trouble.DENIED


def test_a_batch_without_an_answer_fails_its_names_and_the_third_fails_all(
    world: World, store: MemoryStore
) -> None:
    names = fill(world, store, 40)
    world.faults = at_call("GetParameters", lost(done=False), nth=2)
    answers = store.values(names, decrypt=True)
    assert (len(answers.found), sorted(answers.failed)) == (30, names[10:20])
    world.faults = at_call("GetParameters", lost(done=False))
    with pytest.raises(StoreError):
        store.values(names, decrypt=True)


def test_a_skipped_page_is_missing_without_a_word(world: World, store: MemoryStore) -> None:
    names = fill(world, store, 120)
    world.faults = at_call("DescribeParameters", skipped(), nth=2)
    assert names_of(store) == names[:50] + names[100:]


def test_a_listing_that_fails_half_way_has_given_its_first_pages(world: World, store: MemoryStore) -> None:
    names = fill(world, store, 120)
    world.faults = at_call("DescribeParameters", refused(Trouble.TOKEN), nth=2)
    pages = store.describe()
    assert [parameter.name for parameter in next(pages)] == names[:50]
    with pytest.raises(StoreError) as caught:
        next(pages)
    assert caught.value.kind is Trouble.TOKEN


def test_others_may_act_between_two_calls(world: World, store: MemoryStore) -> None:
    world.before("PutParameter", lambda: world.put(store.place, "/a", "theirs"), name="/a")
    store.put(put("/b"))
    with pytest.raises(StoreError) as caught:
        store.put(put("/a"))
    assert caught.value.kind is Trouble.EXISTS
    assert world.value(store.place, "/a") == "theirs"
    store.put(put("/a", "ours", overwrite=True))
    assert world.value(store.place, "/a") == "ours"


def test_others_may_act_while_a_turn_is_awaited(world: World, store: MemoryStore) -> None:
    world.before(AWAIT_TURN, lambda: world.put(store.place, "/a", "theirs"), name="put")
    store.await_turn(CallClass.TAGS)
    assert world.names(store.place) == []
    store.await_turn(CallClass.PUT)
    assert world.names(store.place) == ["/a"]
    assert world.calls == []


def test_a_listing_goes_on_after_a_delete_between_its_pages(world: World, store: MemoryStore) -> None:
    names = fill(world, store, 60)
    pages = store.describe()
    first = [parameter.name for parameter in next(pages)]
    world.delete(store.place, names[0])
    world.put(store.place, "/many/zzz", "v")
    rest = [parameter.name for page in pages for parameter in page]
    assert first + rest == [*names, "/many/zzz"]


def test_listings_lag_each_by_its_own_time(world: World, store: MemoryStore, clock: FakeClock) -> None:
    world.lag = Lag(describe=timedelta(seconds=5), resources=timedelta(minutes=20))
    world.put(store.place, "/a", "v", tags={"k": "v"})
    assert names_of(store) == []
    assert list(chain.from_iterable(store.tagged())) == []
    assert store.tags("/a") == {"k": "v"}
    assert list(store.values(["/a"], decrypt=True).found) == ["/a"]
    clock.advance(timedelta(seconds=5))
    assert names_of(store) == ["/a"]
    assert list(chain.from_iterable(store.tagged())) == []
    clock.advance(timedelta(minutes=20))
    world.tag(store.place, "/a", {"k": "w"})
    world.delete(store.place, "/a")
    assert names_of(store) == ["/a"]
    assert next(iter(store.tagged())) == {"/a": {"k": "v"}}
    clock.advance(timedelta(minutes=20))
    assert names_of(store) == []
    assert next(iter(store.tagged())) == {}


def test_values_may_lag_too(world: World, store: MemoryStore, clock: FakeClock) -> None:
    world.put(store.place, "/a", "old")
    clock.advance(timedelta(seconds=10))
    world.lag = Lag(values=timedelta(seconds=2))
    world.put(store.place, "/a", "new")
    assert store.values(["/a"], decrypt=True).found["/a"].version == 1
    clock.advance(timedelta(seconds=2))
    assert store.values(["/a"], decrypt=True).found["/a"].text.reveal() == "new"


def test_pages_may_be_empty_and_cost_a_call_each(world: World, store: MemoryStore) -> None:
    names = fill(world, store, 5)
    world.pages = Pages(describe=(0, 2))
    assert [len(page) for page in store.describe()] == [0, 2, 0, 2, 0, 1]
    assert names_of(store) == names


def test_an_image_that_is_not_in_the_region_is_dropped_in_silence(world: World, store: MemoryStore) -> None:
    world.region(store.place).images = frozenset({"ami-1"})
    image = Put("/a", SealedText("ami-2"), "String", overwrite=False, data_type="aws:ec2:image")
    assert store.put(image) == 1
    assert world.names(store.place) == []


def test_expire_deletes_parameters_after_their_expiration(
    world: World, store: MemoryStore, clock: FakeClock
) -> None:
    due = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-11-23T13:00:00Z"}}'
    world.put(store.place, "/a", "v", tier="Advanced", policies=[due])
    assert world.expire(store.place) == frozenset()
    clock.advance(timedelta(hours=1))
    assert world.expire(store.place) == {"/a"}
    assert world.names(store.place) == []


def test_an_expiration_that_is_past_may_delete_at_once() -> None:
    world = World(FakeClock(), AwsBehaviour(past_expiration=Expired.DELETED))
    here = world.place("us-east-1")
    past = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2020-01-01T00:00:00Z"}}'
    assert world.put(here, "/a", "v", tier="Advanced", policies=[past]) == 1
    assert world.names(here) == []


def test_times_are_in_milliseconds_and_writers_are_named(clock: FakeClock) -> None:
    world = World(clock)
    clock.advance(timedelta(microseconds=1999))
    store = MemoryStore(world, world.place("us-east-1"), caller="arn:aws:iam::123456789012:user/me")
    store.put(put("/a"))
    world.put(store.place, "/b", "v", user="arn:aws:iam::123456789012:user/her")
    ours, theirs = store.describe_names(["/a", "/b"]).values()
    assert ours.last_modified.microsecond == 1000
    assert ours.last_modified_user.endswith("user/me")
    assert theirs.last_modified_user.endswith("user/her")


def test_tags_of_cloudformation_can_be_arranged(world: World, store: MemoryStore) -> None:
    world.put(store.place, "/a", "v")
    world.tag(store.place, "/a", {"aws:cloudformation:stack-name": "s"})
    assert store.tags("/a") == {"aws:cloudformation:stack-name": "s"}
    with pytest.raises(StoreError):
        store.remove_tags("/a", ["aws:cloudformation:stack-name"])


def test_a_snapshot_is_come_back_to(world: World, store: MemoryStore, clock: FakeClock) -> None:
    names = fill(world, store, 3)
    world.add_key(store.place, "alias/app")
    before, kept = world.state(), world.snapshot()
    for _ in range(2):
        clock.advance(timedelta(seconds=1))
        store.put(put(names[0], "other", overwrite=True))
        store.delete([names[1]])
        store.add_tags(names[2], {"new": "v"})
        world.set_key(store.place, "alias/app", KeyState.MISSING)
        assert world.state() != before
        world.restore(kept)
        assert world.state() == before
        assert names_of(store) == names
        assert MemoryStore(world, store.place).keys(["alias/app"])["alias/app"].state is KeyState.USABLE


def test_a_state_differs_by_value_and_does_not_show_it(world: World, store: MemoryStore) -> None:
    world.put(store.place, "/a", "hunter2", "SecureString")
    before = world.state()
    world.restore({})
    world.put(store.place, "/a", "hunter3", "SecureString")
    assert world.state() != before
    shown = f"{world.state()} {world.peek(store.place, '/a')} {world.region(store.place)}"
    assert "hunter" not in shown


def test_a_role_leads_to_its_own_account(world: World) -> None:
    role = "arn:aws:iam::210987654321:role/ssm-reconcile"
    here, there = (Memory(world).connect(Access("us-east-1", role_arn=arn)) for arn in (None, role))
    here.put(put("/a"))
    assert (there.place.account, names_of(there)) == ("210987654321", [])
    assert "210987654321" in there.caller


def test_threads_share_a_world_without_losing_a_write(world: World, store: MemoryStore) -> None:
    def work(number: int) -> None:
        for turn in range(50):
            store.put(put(f"/{number}/{turn}"))
            store.put(put("/shared", overwrite=True))
            names_of(store)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared = world.peek(store.place, "/shared")
    assert shared is not None
    assert shared.latest.parameter.version == 200
    assert len(names_of(store)) == 201
    assert world.traffic.count("PutParameter") == 400


@pytest.mark.large
def test_ten_thousand_parameters_are_listed_in_well_under_a_second(world: World, store: MemoryStore) -> None:
    fill(world, store, 10_000)
    began = time.perf_counter()
    assert len(names_of(store)) == 10_000
    assert sum(map(len, store.tagged())) == 10_000
    assert time.perf_counter() - began < 1.0
    assert world.traffic.count("DescribeParameters") == 200
