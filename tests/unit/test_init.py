"""The parts of a proposal: ties to a region, patterns for names, and the relation of existing parameters."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.init import (
    InitChoices,
    as_pattern,
    cover,
    cover_within,
    exact_names,
    paths_below,
    propose,
    propose_valid,
    top_paths,
)
from ssm_reconcile.init.survey import Likeness, survey
from ssm_reconcile.model import MANAGED_KEY, SECURE, Access, Place, RegionTie
from ssm_reconcile.session import Places, Session
from ssm_reconcile.shape import region_tie, remaining_tie
from ssm_reconcile.spec import Glob, Run
from tests.fake_aws.store import Memory
from tests.property.profiles import examples
from tests.simulated_aws import SimulatedAws, unwatched

HERE = Place("123456789012", "us-east-1")
LEVEL = st.sampled_from(["a", "b", "c", "prod", "us-east-1"])
NAMES = st.lists(
    st.lists(LEVEL, min_size=1, max_size=4).map(lambda x: "/" + "/".join(x)), unique=True, min_size=1
)


@pytest.mark.parametrize(
    ("value", "look"),
    [
        ("on", None),
        ("https://example.org", None),
        ("https://s3.us-east-1.amazonaws.com/x", RegionTie.REGION),
        ("us-east-1", RegionTie.REGION),
        ("db.us-east-1a.internal", RegionTie.REGION),
        ("us-east-11", None),
        ("bus-east-1", None),
        ("eu-west-1", None),
        ("ami-0abcdef1234567890", RegionTie.ID),
        ("ami-1234567a", RegionTie.ID),
        ("snap-20261128", None),
        ("vol-12345678", None),
        ("US-EAST-1.RDS.AMAZONAWS.COM", RegionTie.REGION),
        ("[vpc-0a1b2c3d4e5f60718]", RegionTie.ID),
        ("sg-0a1b2c3d,us-east-1", RegionTie.ID),
        ("tsunami-12345678", None),
        ("vpc-production", None),
        ("i-1234567", None),
        ("arn:aws:sqs:us-east-1:123456789012:orders", RegionTie.REGION),
        ("arn:aws:lambda:us-east-1:123456789012:function:resize", RegionTie.REGION),
        ("arn:aws:kms:us-east-1:123456789012:key/0f3c1c52-6a3e-4d0b-9d0e-1a2b3c4d5e03", RegionTie.ARN),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:db-Ab12Cd", RegionTie.ARN),
        (
            "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/x/50dc6c495c0c9188",
            RegionTie.ARN,
        ),
        ("arn:aws:kms:eu-west-1:123456789012:key/0f3c1c52-6a3e-4d0b-9d0e-1a2b3c4d5e03", None),
        ("arn:aws:iam::123456789012:role/x", None),
    ],
)
def test_a_value_shows_what_ties_it_to_its_region(value: str, look: RegionTie | None) -> None:
    assert region_tie(value, HERE.region) is look


@pytest.mark.parametrize(
    ("value", "tie"),
    [
        ("db.us-east-1", RegionTie.REGION),
        ("https://db.us-east-1:5432/x", RegionTie.REGION),
        ("DB.US-EAST-1", RegionTie.REGION),
        ("US-EAST-1.RDS.AMAZONAWS.COM", RegionTie.REGION),
        ("https://db.us-east-1/x", RegionTie.REGION),
        ("subnet-0a1b2c3d", RegionTie.ID),
        ("snap-20261128", None),
        ("vol-12345678", None),
        ("us-east-1", None),
        ("US-EAST-1", None),
        ("db.us-east-11", None),
        ("db.us-east-1a", None),
    ],
)
def test_a_host_name_with_the_region_as_a_label_is_tied_to_it(value: str, tie: RegionTie | None) -> None:
    assert remaining_tie(value, value, "us-east-1") is tie


@given(NAMES, st.data())
@examples(50)
def test_a_cover_means_all_chosen_names_and_no_other(names: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    paths = cover(chosen, names)
    meant = {name for name in names if any(Glob(path).matches(name) for path in paths)}
    assert meant == set(chosen)
    assert sum(paths.values()) == len(chosen)


@given(NAMES)
def test_the_top_paths_mean_every_name_once(names: list[str]) -> None:
    paths = top_paths(names)
    for name in names:
        assert sum(Glob(path).matches(name) for path in paths) == 1
    assert sum(paths.values()) == len(names)


@given(NAMES, st.data(), st.sampled_from([4, 8, 100]))
@examples(50)
def test_a_short_cover_is_exact_too_or_there_is_none(
    names: list[str], data: st.DataObject, limit: int
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    paths = cover_within(chosen, names, limit)
    if paths is None:
        assert len(cover(chosen, names)) > limit
        return
    assert len(paths) <= limit
    assert {name for name in names if any(Glob(path).matches(name) for path in paths)} == set(chosen)


def test_a_whole_path_is_one_pattern() -> None:
    names = ["/a/x/1", "/a/x/2", "/a/y", "/b"]
    assert list(cover(["/a/x/1", "/a/x/2"], names)) == ["/a/x/**"]
    assert list(cover(["/a/x/1"], names)) == ["/a/x/1"]


def test_one_path_that_holds_everything_is_shown_in_parts_and_included_whole() -> None:
    names = ["/acme/a/1", "/acme/b/1", "/acme/c"]
    whole = top_paths(names)
    assert list(whole) == ["/acme/**"]
    assert list(paths_below(whole, names)) == ["/acme/*", "/acme/a/**", "/acme/b/**"]
    assert paths_below(top_paths([*names, "/b/x"]), [*names, "/b/x"]) == {}


@pytest.mark.parametrize(("number", "shown"), [(1, 0), (2, 2), (12, 12), (13, 0)])
def test_two_to_twelve_second_levels_are_shown(number: int, shown: int) -> None:
    names = [f"/acme/{n}/x" for n in range(number)]
    assert len(paths_below(top_paths(names), names)) == shown


@pytest.mark.parametrize(
    ("number", "limit", "patterns"),
    [
        (2, 8, ["/p/0/k", "/p/1/k"]),
        (3, 8, ["/**/k"]),  # more than a quarter of the limit
        (1, 3, ["/p/0/k"]),
        (2, 2, ["/**/k"]),
    ],
)
def test_a_last_level_replaces_names_that_are_more_than_a_quarter_of_the_limit(
    number: int, limit: int, patterns: list[str]
) -> None:
    chosen = [f"/p/{n}/k" for n in range(number)]
    others = [f"/p/{n}/x" for n in range(number)]
    assert list(cover_within(chosen, [*chosen, *others], limit) or ()) == patterns


def test_names_whose_last_level_others_have_too_are_listed_beside_the_last_levels() -> None:
    chosen = [*(f"/p/{n}/k" for n in range(4)), "/p/0/x", "/q/a", "/q/b"]
    every = [*chosen, *(f"/p/{n}/x" for n in range(1, 4)), "/r/a", "/r/b"]
    assert cover_within(chosen, every, 4) == {"/**/k": 4, "/p/0/x": 1, "/q/**": 2}
    assert cover_within(chosen, every, 2) is None
    assert cover(chosen, every) == {**{f"/p/{n}/k": 1 for n in range(1, 4)}, "/p/0/**": 2, "/q/**": 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/a/b", "/a/b"),
        ("/a/*", "/a/*"),
        ("/**/b", "/*/b"),
        ('/a/"q" $(rm)', "/a/*q*rm*"),
        ("/a/b\n- c: {}", "/a/b*-*c*"),
        ("/\N{LATIN SMALL LETTER U WITH DIAERESIS}/b", "/*/b"),
    ],
)
def test_a_name_that_is_not_a_valid_pattern_is_written_with_stars(name: str, message: str) -> None:
    assert as_pattern(name) == message
    assert Glob(message).matches(name)


def test_a_name_is_left_to_the_plan_where_its_stars_would_mean_another_one() -> None:
    every = ("/a/*", "/a/b", "/a/x y", "/c/d e")
    assert exact_names({"/a/*", "/a/x y", "/c/d e"}, every) == {"/a/x y", "/c/d e"}
    assert exact_names({"/a/*", "/a/b", "/a/x y"}, every) == {"/a/*", "/a/b", "/a/x y"}


class TestExistingSecrets:
    """SecureStrings that a target already has, compared with decryption."""

    @pytest.mark.parametrize(
        ("source_key", "target_key", "likeness"),
        [
            ("alias/app", "alias/app", Likeness.IDENTICAL),
            ("alias/app", "alias/other", Likeness.SAME_VALUE),
            ("alias/app", None, Likeness.SAME_VALUE),
            (None, None, Likeness.IDENTICAL),
            (None, "alias/app", Likeness.SAME_VALUE),
            ("alias/only-here", "alias/app", None),  # left out: its key has no counterpart
        ],
    )
    def test_the_key_counts(
        self, source_key: str | None, target_key: str | None, likeness: Likeness | None
    ) -> None:
        aws = self.staged()
        aws.put("/p/a", "s", SECURE, key_id=source_key or MANAGED_KEY)
        aws.world.put(aws.there, "/p/a", "s", SECURE, key_id=target_key or MANAGED_KEY)
        assert self.compared(aws) is likeness

    @pytest.mark.parametrize(
        ("here", "there", "likeness"),
        [
            ({}, {}, Likeness.IDENTICAL),
            ({"description": "d"}, {}, Likeness.SAME_VALUE),
            ({"allowed_pattern": "s"}, {}, Likeness.SAME_VALUE),
            ({"tier": "Advanced"}, {}, Likeness.SAME_VALUE),
            ({"tags": {"team": "a"}}, {}, Likeness.SAME_VALUE),
            ({}, {"tags": {"team": "a"}}, Likeness.SAME_VALUE),
            ({"tags": {"team": "a"}}, {"tags": {"team": "b"}}, Likeness.SAME_VALUE),
            ({"tags": {"team": "a"}}, {"tags": {"team": "a"}}, Likeness.IDENTICAL),
            ({"tags": {"skip_sync": "x"}}, {}, None),  # skipped
        ],
    )
    def test_all_that_is_replicated_counts(
        self, here: dict[str, Any], there: dict[str, Any], likeness: Likeness | None
    ) -> None:
        aws = self.staged()
        aws.put("/p/a", "s", SECURE, **here)
        aws.world.put(aws.there, "/p/a", "s", SECURE, **there)
        assert self.compared(aws) is likeness

    def test_another_value_or_type_differs(self) -> None:
        aws = self.staged()
        aws.put("/p/a", "s", SECURE)
        aws.world.put(aws.there, "/p/a", "t", SECURE)
        assert self.compared(aws) is Likeness.DIFFERENT
        aws.world.put(aws.there, "/p/b", "s")
        aws.put("/p/b", "s", SECURE)
        assert self.compared(aws, "/p/b") is Likeness.DIFFERENT

    def test_without_decryption_nothing_is_known_of_a_secret(self) -> None:
        aws = self.staged()
        for place in (aws.here, aws.there):
            aws.world.put(place, "/p/a", "s", SECURE)
        assert self.compared(aws, decrypt=False) is Likeness.UNKNOWN

    def staged(self) -> SimulatedAws:
        aws = SimulatedAws()
        for alias in ("alias/app", "alias/other"):
            aws.world.add_key(aws.here, alias)
            aws.world.add_key(aws.there, alias)
        aws.world.add_key(aws.here, "alias/only-here")
        return aws

    def compared(self, aws: SimulatedAws, name: str = "/p/a", *, decrypt: bool = True) -> Likeness | None:
        aws.put("/p/other", "v")
        memory = Memory(aws.world)
        here, there = Access("us-east-1", read_only=True), Access("us-east-2")
        places = Places({access: memory.connect(access) for access in (here, there)})
        found = survey(here, {"us-east-2": there}, places, unwatched)
        session = Session(places, Run(), aws.clock, unwatched)
        proposal = propose_valid(found, InitChoices(), session, compare_secrets=decrypt)
        return proposal.likeness["us-east-2"].get(name)


def test_a_parameter_of_a_stack_a_replica_and_any_other_are_distinguished() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/replica")
    for place in (aws.here, aws.there):
        for name in ("/p/stack", "/p/free"):
            aws.world.put(place, name, "v")
    aws.world.tag(aws.there, "/p/stack", {"aws:cloudformation:stack-name": "shop"})
    found = {name: TestExistingSecrets().compared(aws, f"/p/{name}") for name in ("stack", "replica", "free")}
    assert found == {"stack": Likeness.FOREIGN, "replica": Likeness.OURS, "free": Likeness.IDENTICAL}


@pytest.mark.parametrize(("number", "patterns", "selected"), [(150, 150, 150), (151, 0, 302)])
def test_at_most_150_patterns_are_excluded_for_one_reason(number: int, patterns: int, selected: int) -> None:
    aws = SimulatedAws()
    for n in range(number):
        aws.put(f"/p/{n}/bad{n}", "x")
        aws.put(f"/p/{n}/x", "x")
    access = Access("us-east-1", read_only=True)
    places = Places({access: Memory(aws.world).connect(access)})
    found = survey(access, {}, places, unwatched)
    made = propose(found, InitChoices(), {f"/p/{n}/bad{n}": "too large" for n in range(number)})
    (excluded,) = made.excluded
    assert (len(excluded.paths), excluded.count, made.selected) == (patterns, number, selected)


@pytest.mark.large
def test_more_invalid_names_than_the_limit_stay_selected_after_two_plans() -> None:
    """A rewritten value is too large in this target only, so that a plan finds the names."""
    aws = SimulatedAws()
    for n in range(151):
        aws.put(f"/p/{n}/bad{n}", "us-east-1 " * 409)
        aws.put(f"/p/{n}/x", "x")
    here, there = Access("us-east-1", read_only=True), Access("ap-southeast-2")
    memory = Memory(aws.world)
    places = Places({access: memory.connect(access) for access in (here, there)})
    found = survey(here, {"ap-southeast-2": there}, places, unwatched)
    made = propose_valid(found, InitChoices(), Session(places, Run(), aws.clock, unwatched))
    (excluded,) = made.excluded
    assert (made.selected, excluded.count, excluded.paths) == (302, 151, {})


def test_secrets_that_a_target_has_not_are_not_decrypted() -> None:
    aws = SimulatedAws()
    aws.put("/p/both", "s", SECURE)
    aws.world.put(aws.there, "/p/both", "s", SECURE)
    aws.put("/p/new", "s", SECURE)
    assert TestExistingSecrets().compared(aws, "/p/both") is Likeness.IDENTICAL
    reads = [call for call in aws.world.calls if call.operation == "GetParameters"]
    assert "/p/new" not in {name for call in reads for name in call.names}
