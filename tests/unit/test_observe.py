"""Places -> what they hold, and the values that are asked for: reads only, and never raising for one."""

from __future__ import annotations

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import SECURE, Place, Reading, Substitution, UnreadableValue, ValueRequest
from ssm_reconcile.observe import (
    CHUNK,
    confirm_tags,
    explain_slow_tags,
    list_place,
    read,
    resolve_keys,
)
from ssm_reconcile.system import Phase
from tests.builders import NOW, Watched
from tests.doubles.clock import FakeClock
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import Fault, at_call, lost, refused
from tests.fake_aws.world import Pages, World
from tests.simulated_aws import unwatched

KEY = b"k" * 16


def place_of(world: World) -> Place:
    return world.place("us-east-1")


def opened(world: World) -> MemoryStore:
    return MemoryStore(world, place_of(world))


def world(count: int = 3, pages: Pages | None = None, clock: FakeClock | None = None) -> World:
    made = World(clock or FakeClock(NOW), pages=pages)
    for i in range(count):
        made.put(place_of(made), f"/p/{i:03}", f"v{i}", tags={"n": str(i)} if i % 2 else None)
    return made


class TestListing:
    def test_it_holds_all_parameters_with_their_tags(self) -> None:
        w = world(3)
        found = list_place(opened(w), unwatched)
        assert list(found.parameters) == ["/p/000", "/p/001", "/p/002"]
        assert {name: dict(tags) for name, tags in found.tags.items()} == {"/p/001": {"n": "1"}}
        assert (found.complete, found.trouble, found.confirmed) == (True, "", frozenset())
        assert found.place == place_of(w)

    def test_it_costs_pages_and_reads_no_value(self) -> None:
        w = world(120)
        list_place(opened(w), unwatched)
        assert w.traffic.count("DescribeParameters") == 3
        assert w.traffic.count("GetResources") == 1
        assert w.traffic.count() == 4

    def test_empty_and_short_pages_are_no_end(self) -> None:
        w = world(5, pages=Pages(describe=(2, 0, 1), resources=(0, 1)))
        found = list_place(opened(w), unwatched)
        assert (len(found.parameters), len(found.tags)) == (5, 2)

    def test_an_empty_place_is_complete(self) -> None:
        found = list_place(opened(world(0)), unwatched)
        assert (dict(found.parameters), found.complete) == ({}, True)

    def test_a_failed_page_makes_it_incomplete_with_what_was_seen(self) -> None:
        w = world(120)
        for i in range(120):
            w.tag(place_of(w), f"/p/{i:03}", {"t": "1"})
        w.faults = at_call("DescribeParameters", lost(done=False), nth=2)
        found = list_place(opened(w), unwatched)
        assert (len(found.parameters), found.complete) == (50, False)
        assert "DescribeParameters" in found.trouble

    def test_a_parameter_whose_tags_were_not_listed_counts_as_not_seen(self) -> None:
        """Otherwise a failed read would remove all tags of its replicas, and skip_sync."""
        w = world(4, pages=Pages(resources=(1,)))
        w.faults = at_call("GetResources", lost(done=False), nth=2)
        found = list_place(opened(w), unwatched)
        assert (list(found.parameters), found.complete) == (["/p/001"], False)
        assert dict(found.tags_of("/p/001")) == {"n": "1"}

    def test_tags_are_read_one_by_one_where_bulk_reads_are_not_allowed(self) -> None:
        w = world(4)
        w.faults = at_call("GetResources", refused(Trouble.DENIED))
        found = list_place(opened(w), unwatched)
        assert found.complete
        assert {name: dict(tags) for name, tags in found.tags.items() if tags} == {
            "/p/001": {"n": "1"},
            "/p/003": {"n": "3"},
        }
        assert found.confirmed == set(found.parameters)
        assert "one by one, which is slow" in found.trouble
        assert w.traffic.count("ListTagsForResource") == 4

    def test_the_reason_for_slow_tags_has_the_remedy_that_fits_the_denial(self) -> None:
        place, remedy = place_of(world()), "an explicit Deny in the service control policy refuses it"
        denied = StoreError(Trouble.DENIED, place="x", operation="GetResources", code="x", remedy=remedy)
        assert explain_slow_tags(place, denied).endswith(f"is not allowed there; {remedy}")

    def test_tags_are_read_one_by_one_where_the_tagging_endpoint_cannot_be_reached(self) -> None:
        w = world(4)
        w.faults = at_call("GetResources", refused(Trouble.UNREACHABLE))
        found = list_place(opened(w), unwatched)
        assert found.complete
        assert found.confirmed == set(found.parameters)
        assert "com.amazonaws.us-east-1.tagging" in found.trouble
        assert "not allowed" not in found.trouble
        assert w.traffic.count("ListTagsForResource") == 4

    def test_a_place_that_cannot_be_reached_at_all_is_not_read_one_by_one(self) -> None:
        w = world(4)
        w.faults = lambda _op, _place, _names, _nth: refused(Trouble.UNREACHABLE)
        found = list_place(opened(w), unwatched)
        assert not found.complete
        assert w.traffic.count("ListTagsForResource") == 0

    def test_tags_are_not_read_one_by_one_where_the_parameters_are_not_all_listed(self) -> None:
        """Reads of single tags are slow, and nothing is planned in a place that is incomplete anyway."""
        w = world(60)
        parameters, tags = (
            at_call("DescribeParameters", lost(done=False), nth=2),
            at_call("GetResources", refused(Trouble.DENIED)),
        )
        w.faults = lambda *call: parameters(*call) or tags(*call)
        found = list_place(opened(w), unwatched)
        assert (found.complete, w.traffic.count("ListTagsForResource")) == (False, 0)
        assert found.trouble.startswith("DescribeParameters")

    def test_it_is_incomplete_when_neither_way_of_reading_tags_works(self) -> None:
        w = world(4)

        def plan(operation: str, _place: Place, names: tuple[str, ...], _nth: int) -> Fault | None:
            denied = operation == "GetResources" or names == ("/p/002",)
            return refused(Trouble.DENIED) if denied else None

        w.faults = plan
        found = list_place(opened(w), unwatched)
        assert not found.complete
        assert "/p/002" not in found.parameters

    def test_it_tells_who_watches(self) -> None:
        seen = Watched()
        list_place(opened(world(60)), seen)
        assert [one.done for one in seen.all if one.phase is Phase.LISTING and one.total is None] == [50, 60]


class TestConfirming:
    def test_tags_are_read_directly_and_a_name_that_is_gone_has_none(self) -> None:
        fresh, failed = confirm_tags(opened(world()), ["/p/001", "/p/000", "/p/x", "/p/001"], unwatched)
        assert fresh == {"/p/000": {}, "/p/001": {"n": "1"}, "/p/x": None}
        assert failed == {}

    def test_a_name_that_gives_an_error_fails_alone(self) -> None:
        w = world()
        w.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), name="/p/001")
        fresh, failed = confirm_tags(opened(w), ["/p/000", "/p/001"], unwatched)
        assert (set(fresh), set(failed)) == ({"/p/000"}, {"/p/001"})

    def test_each_response_is_reported_because_they_are_slow(self) -> None:
        w, seen = world(), Watched()
        confirm_tags(opened(w), ["/p/000", "/p/001", "/p/x"], seen)
        assert [(one.phase, one.done, one.total) for one in seen.all] == [
            (Phase.CONFIRMING, done, 3) for done in (0, 1, 2, 3)
        ]

    def test_no_names_cost_nothing(self) -> None:
        w = world()
        assert confirm_tags(opened(w), [], unwatched) == ({}, {})
        assert w.traffic.count() == 0


class TestReading:
    def test_each_name_is_read_once_whatever_it_is_asked_for(self) -> None:
        w = world(25)
        questions = {
            (name, who): ValueRequest(f"/p/{name:03}", show=True) for name in range(25) for who in "ab"
        }
        found = read(opened(w), questions, KEY, unwatched, decrypt=True)
        assert len(found) == 50
        assert w.traffic.count("GetParameters") == 3
        one = found[7, "a"]
        assert isinstance(one, Reading)
        assert one.text == "v7"

    def test_each_answer_is_shaped_and_shown_as_it_was_asked(self) -> None:
        questions = {
            "plain": ValueRequest("/p/001", show=True),
            "shaped": ValueRequest("/p/001", (Substitution("v", "w"),), show=True),
            "hidden": ValueRequest("/p/001"),
        }
        found = read(opened(world()), questions, KEY, unwatched, decrypt=True)
        shown = {who: one.text for who, one in found.items() if isinstance(one, Reading)}
        assert shown == {"plain": "v1", "shaped": "w1", "hidden": None}

    def test_a_name_is_found_with_and_without_its_slash(self) -> None:
        w = world(0)
        w.put(place_of(w), "foo", "bar")
        found = read(
            opened(w),
            {1: ValueRequest("foo", show=True), 2: ValueRequest("/foo")},
            KEY,
            unwatched,
            decrypt=True,
        )
        assert all(isinstance(one, Reading) for one in found.values())
        assert w.traffic.count("GetParameters") == 1

    def test_a_value_that_cannot_be_read_stops_that_parameter_only(self) -> None:
        w = world()
        w.faults = at_call("GetParameters", refused(Trouble.KEY), name="/p/001")
        found = read(
            opened(w), {n: ValueRequest(f"/p/00{n}") for n in range(3)}, KEY, unwatched, decrypt=True
        )
        assert [type(found[n]) for n in range(3)] == [Reading, UnreadableValue, Reading]
        assert found[1] == UnreadableValue("InvalidKeyId", "AWS refused to read it", Trouble.KEY)

    def test_a_place_that_does_not_answer_leaves_all_unreadable(self) -> None:
        w = world()
        w.faults = at_call("GetParameters", refused(Trouble.CREDENTIALS))
        found = read(
            opened(w), {n: ValueRequest(f"/p/00{n}") for n in range(3)}, KEY, unwatched, decrypt=True
        )
        assert {one.code for one in found.values() if isinstance(one, UnreadableValue)} == {
            "ExpiredTokenException"
        }
        assert len(found) == 3

    def test_a_value_that_vanished_is_unreadable(self) -> None:
        found = read(opened(world()), {1: ValueRequest("/p/x")}, KEY, unwatched, decrypt=True)
        assert found[1] == UnreadableValue("ParameterNotFound", "it vanished while the plan was made")

    def test_without_decryption_ciphertext_is_never_taken_for_a_value(self) -> None:
        w = world(0)
        w.put(place_of(w), "/p/s", "hunter2", SECURE)
        found = read(opened(w), {1: ValueRequest("/p/s", show=True)}, KEY, unwatched, decrypt=False)
        assert isinstance(found[1], UnreadableValue)
        assert found[1].code == "NotDecrypted"

    def test_values_are_read_in_chunks_with_progress(self) -> None:
        seen = Watched()
        w = world(CHUNK + 1)
        questions = {n: ValueRequest(f"/p/{n:03}") for n in range(CHUNK + 1)}
        read(opened(w), questions, KEY, seen, decrypt=True)
        assert [(one.done, one.total) for one in seen.all] == [(CHUNK, CHUNK + 1), (CHUNK + 1, CHUNK + 1)]

    def test_nothing_asked_reads_nothing(self) -> None:
        w = world()
        assert read(opened(w), dict[int, ValueRequest](), KEY, unwatched, decrypt=True) == {}
        assert w.traffic.count() == 0

    def test_no_value_is_in_what_is_printed_of_it(self) -> None:
        w = world(0)
        w.put(place_of(w), "/p/s", "hunter2", SECURE)
        assert "hunter2" not in repr(read(opened(w), {1: ValueRequest("/p/s")}, KEY, unwatched, decrypt=True))


def test_keys_are_asked_for_only_when_there_are_any() -> None:
    w = world()
    assert resolve_keys(opened(w), frozenset()).keys == {}
    assert w.traffic.count() == 0
    w.add_key(place_of(w), "alias/app")
    ring = resolve_keys(opened(w), frozenset({"alias/app", "alias/aws/ssm"}))
    assert ring.identity("alias/app").startswith("arn:aws:kms:us-east-1:")
    assert ring.identity("alias/aws/ssm") == "alias/aws/ssm"
    assert "alias/aws/ssm" not in {name for call in w.calls for name in call.names}
