"""Spec and source -> what a target should hold: addresses, tags, keys, and what is wrong with them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from ssm_reconcile.model import (
    ADVANCED,
    IMAGE,
    MANAGED_KEY,
    SECURE,
    Access,
    DesiredParameter,
    Key,
    Keyring,
    KeyState,
    Parameter,
    Place,
    ProblemKind,
    Substitution,
)
from ssm_reconcile.resolve import Route, choose_key, resolve, source_keys, target_keys
from ssm_reconcile.skip_sync import SkipMode, SkipSync
from ssm_reconcile.spec import Glob, KeyRule, Replication, Rewrite, RewriteIn, Target
from tests.builders import HERE, NOW, THERE, key_arn, listing, parameter, replication, ring, target

MRK = "arn:aws:kms:us-east-1:123456789012:key/mrk-1"
SOURCE_RING = ring(HERE, "alias/app")
TARGET_RING = ring(THERE, "alias/app", "alias/dr")


def settle(
    *parameters: Parameter,
    spec: Replication | None = None,
    tags: dict[str, dict[str, str]] | None = None,
    place: Place = THERE,
    aim: Target | None = None,
    source_ring: Keyring = SOURCE_RING,
    target_ring: Keyring = TARGET_RING,
    now: datetime = NOW,
) -> dict[str, DesiredParameter]:
    spec = spec or replication()
    source = listing(HERE, *parameters, tags=tags)
    return resolve(Route(spec, aim or spec.targets[0], source, place, source_ring, target_ring, now))


def kinds(found: DesiredParameter) -> list[ProblemKind]:
    return [problem.kind for problem in found.problems]


class TestSelection:
    def test_an_included_parameter_is_placed_under_its_name(self) -> None:
        spec = replication(include=(Glob("/p/**"), Glob("/shared/*")), exclude=(Glob("/p/x/**"),))
        names = ("/p/a", "/p/b/c", "/p/x/y", "/shared/a", "/shared/a/b", "/q")
        assert list(settle(*map(parameter, names), spec=spec)) == ["/p/a", "/p/b/c", "/shared/a"]

    def test_only_the_types_of_the_spec_are_placed(self) -> None:
        spec = replication(types=frozenset({"StringList"}))
        found = settle(parameter("/p/a"), parameter("/p/b", "StringList"), spec=spec)
        assert list(found) == ["/p/b"]

    def test_it_remembers_the_rule_that_selected(self) -> None:
        spec = replication(include=(Glob("/p/a*"), Glob("/p/**")))
        assert [one.rule for one in settle(parameter("/p/ab"), parameter("/p/b"), spec=spec).values()] == [
            "/p/a*",
            "/p/**",
        ]

    def test_a_name_without_a_slash_lands_on_its_one_address(self) -> None:
        found = settle(parameter("foo"), spec=replication(include=(Glob("foo"),)))
        assert list(found) == ["/foo"]
        assert found["/foo"].name == "foo"

    def test_addresses_come_sorted(self) -> None:
        assert list(settle(parameter("/p/b"), parameter("/p/a"))) == ["/p/a", "/p/b"]


class TestOtherTargets:
    def test_a_desired_parameter_equal_to_that_of_another_target_is_the_same_object(self) -> None:
        source = listing(HERE, parameter("/p/a"), parameter("/p/key", SECURE, key_id="alias/app"))
        spec = replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),))
        first, *others = (
            Route(spec, spec.targets[0], source, THERE, SOURCE_RING, keys, NOW)
            for keys in (TARGET_RING, TARGET_RING, ring(HERE, "alias/app"))
        )
        found = resolve(first)
        for route in others:
            again = resolve(route, found)
            assert again == resolve(route)
            assert again["/p/a"] is found["/p/a"]
            assert (again["/p/key"] is found["/p/key"]) == (route.target_ring is TARGET_RING)

    def test_a_collision_of_three_names_them_all(self) -> None:
        rewrites = tuple(Rewrite(Glob(f"/p/{x}"), RewriteIn.NAME, f"/p/{x}", "/p/z") for x in "ab")
        found = settle(*map(parameter, ("/p/a", "/p/b", "/p/z")), spec=replication(rewrites=rewrites))
        assert list(found) == ["/p/z"]
        assert "/p/a, /p/b, /p/z" in found["/p/z"].problems[0].reason


class TestTags:
    def test_the_sources_tags_are_taken_but_for_ours_and_those_of_aws(self) -> None:
        tags = {"team": "a", "aws:x": "1", "ssm-reconcile:owner": "o", "skip_sync": "1"}
        assert dict(settle(parameter(), tags={"/p/a": tags})["/p/a"].tags) == {"team": "a"}

    def test_ignored_tags_are_not_copied_and_added_ones_win(self) -> None:
        spec = replication(ignore_tags=("cost:*",), add_tags=(("team", "dr"), ("cost:x", "1")))
        tags = {"/p/a": {"team": "a", "cost:x": "2", "cost:y": "3"}}
        assert dict(settle(parameter(), spec=spec, tags=tags)["/p/a"].tags) == {"cost:x": "1", "team": "dr"}

    @pytest.mark.parametrize(("count", "fits"), [(48, True), (49, False)])
    def test_our_two_tags_need_room(self, count: int, *, fits: bool) -> None:
        tags = {"/p/a": {f"t{i}": "" for i in range(count)}}
        assert kinds(settle(parameter(), tags=tags)["/p/a"]) == ([] if fits else [ProblemKind.TAGS])

    @pytest.mark.parametrize(("length", "fits"), [(256, False), (257, True)])
    def test_the_source_tag_of_a_renamed_one_needs_room_only_where_it_fits(
        self, length: int, *, fits: bool
    ) -> None:
        name = "/p/" + "x" * (length - 3)
        spec = replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.NAME, "/p/", "/q/"),))
        tags = {name: {f"t{i}": "" for i in range(48)}}
        (found,) = settle(parameter(name), spec=spec, tags=tags).values()
        assert kinds(found) == ([] if fits else [ProblemKind.TAGS])

    def test_skip_sync_is_asked_for_this_target(self) -> None:
        spec = replication(skip_sync=SkipSync(mode=SkipMode.TARGETS))
        tags = {"/p/a": {"skip_sync": "us-east-2:dr"}, "/p/b": {"skip_sync": "dr"}}
        found = settle(parameter("/p/a"), parameter("/p/b"), spec=spec, tags=tags)
        assert [one.skip for one in found.values()] == [True, False]


class TestRewrites:
    RULES = (
        Rewrite(Glob("/p/endpoint"), RewriteIn.VALUE, "{source.region}", "{target.region}"),
        Rewrite(Glob("/p/**"), RewriteIn.VALUE, "{source.account}", "{target.account}/{target.name}"),
        Rewrite(Glob("/p/name/**"), RewriteIn.NAME, "us-east-1", "{target.region}"),
    )
    SPEC = replication(rewrites=RULES)

    def test_the_first_rule_that_matches_wins_and_placeholders_are_filled_on_both_sides(self) -> None:
        found = settle(parameter("/p/endpoint"), parameter("/p/other"), spec=self.SPEC)
        assert found["/p/endpoint"].substitutions == (Substitution("us-east-1", "us-east-2"),)
        assert found["/p/other"].substitutions == (Substitution("123456789012", "123456789012/us-east-2"),)

    def test_a_name_is_changed_by_rules_for_names_only(self) -> None:
        found = settle(parameter("/p/name/us-east-1"), parameter("/p/us-east-1"), spec=self.SPEC)
        assert list(found) == ["/p/name/us-east-2", "/p/us-east-1"]
        assert found["/p/name/us-east-2"].source.name == "/p/name/us-east-1"

    def test_two_sources_on_one_address_are_a_problem_that_names_both(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "us-east-1", "us-east-2")
        found = settle(
            parameter("/p/us-east-1"), parameter("/p/us-east-2"), spec=replication(rewrites=(rule,))
        )
        assert kinds(found["/p/us-east-2"]) == [ProblemKind.COLLISION]
        assert "/p/us-east-1, /p/us-east-2" in found["/p/us-east-2"].problems[0].reason

    def test_a_slash_alone_does_not_tell_two_names_apart(self) -> None:
        rule = Rewrite(Glob("/p/b"), RewriteIn.NAME, "/p/b", "foo")
        spec = replication(include=(Glob("/p/b"), Glob("/foo")), rewrites=(rule,))
        assert kinds(settle(parameter("/p/b"), parameter("/foo"), spec=spec)["/foo"]) == [
            ProblemKind.COLLISION
        ]

    def test_a_value_is_hidden_when_either_name_looks_secret(self) -> None:
        rule = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", "/p/password")
        found = settle(
            parameter("/p/a"), parameter("/p/token"), parameter("/p/x"), spec=replication(rewrites=(rule,))
        )
        assert [found[n].hidden for n in ("/p/password", "/p/token", "/p/x")] == [True, True, False]


class TestNames:
    def problems(self, name: str, place: Place = THERE) -> list[ProblemKind]:
        rule = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", name)
        (found,) = settle(parameter(), spec=replication(rewrites=(rule,)), place=place).values()
        return kinds(found)

    @pytest.mark.parametrize(
        "name", ["/a/b", "foo", "/a.b-c_d", "/x/aws", "/" + "/".join("x" * 15), "/saws", "/a/ssm/b"]
    )
    def test_these_names_are_fine(self, name: str) -> None:
        assert self.problems(name) == []

    @pytest.mark.parametrize(
        "name",
        [
            "/a b",
            "/a//b",
            "/a/",
            "a/b",
            "/ä",
            "/a{b}",
            "/aws",
            "/aws/x",
            "/AWSx",
            "aws-x",
            "/ssm",
            "SSM-x",
            "/" + "/".join("x" * 16),
        ],
    )
    def test_these_names_are_refused_before_aws_refuses_them(self, name: str) -> None:
        assert self.problems(name) == [ProblemKind.NAME]

    @pytest.mark.parametrize(
        ("region", "partition", "length"),
        [("us-east-2", "aws", 966), ("ap-southeast-2", "aws", 961), ("us-gov-west-1", "aws-us-gov", 955)],
    )
    def test_a_name_may_be_too_long_in_one_region_only(
        self, region: str, partition: str, length: int
    ) -> None:
        place = Place("123456789012", region, partition)
        assert self.problems("x" * length, place) == []
        assert self.problems("x" * (length + 1), place) == [ProblemKind.NAME]


class TestPolicies:
    @pytest.mark.parametrize(
        ("stamp", "past"),
        [
            (NOW.isoformat(), True),
            ((NOW + timedelta(seconds=1)).isoformat(), False),
            ("2026-11-23T11:59:59Z", True),
            ("2026-11-23T12:00:01.000Z", False),
            ("2026-11-23T13:30:00+02:00", True),
            ("2026-11-23T11:59:59", True),
            ("2026-11-23T12:00:01", False),
            ("not a time", False),
        ],
    )
    def test_an_expiration_that_is_past_is_a_problem(self, stamp: str, *, past: bool) -> None:
        policy = f'{{"Attributes":{{"Timestamp":"{stamp}"}},"Type":"Expiration"}}'
        found = settle(parameter(tier=ADVANCED, policies=(policy,)))["/p/a"]
        assert kinds(found) == ([ProblemKind.POLICY] if past else [])

    @pytest.mark.parametrize(
        "policy", ['{"Type":"NoChangeNotification"}', '{"Type":"Expiration"}', "[]", "x", "[" * 4000]
    )
    def test_other_policies_are_none_of_our_business(self, policy: str) -> None:
        assert kinds(settle(parameter(tier=ADVANCED, policies=(policy,)))["/p/a"]) == []


class TestKeys:
    def key(
        self,
        reference: str | None,
        spec: Replication,
        ring_: Keyring = SOURCE_RING,
        place: Place = THERE,
    ) -> str | None:
        secret = parameter(kind=SECURE, key_id=reference)
        return choose_key(spec, spec.targets[0], secret, ring_, HERE, place)

    def mapped(self, **more: Any) -> Replication:
        return replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/dr"),)),), **more)

    def test_the_managed_key_goes_to_its_namesake(self) -> None:
        assert self.key(MANAGED_KEY, replication()) == MANAGED_KEY
        assert self.key(None, replication()) == MANAGED_KEY

    def test_the_managed_key_needs_no_resolution(self) -> None:
        assert self.key(MANAGED_KEY, replication(), Keyring({})) == MANAGED_KEY

    def test_the_managed_key_does_not_go_to_a_default(self) -> None:
        assert self.key(MANAGED_KEY, replication(targets=(target(default_key="alias/dr"),))) == MANAGED_KEY

    def test_the_managed_key_may_be_mapped(self) -> None:
        spec = replication(kms=(KeyRule(MANAGED_KEY, (("us-east-2", "alias/dr"),)),))
        assert self.key(MANAGED_KEY, spec) == "alias/dr"

    def test_a_customer_key_goes_where_the_map_says(self) -> None:
        assert self.key("alias/app", self.mapped()) == "alias/dr"

    def test_a_customer_key_without_a_mapping_has_none(self) -> None:
        assert self.key("alias/other", self.mapped()) is None
        spec = replication(kms=(KeyRule("alias/app", (("elsewhere", "alias/dr"),)),))
        assert self.key("alias/app", spec) is None

    def test_a_customer_key_without_a_mapping_takes_the_default(self) -> None:
        assert self.key("alias/app", replication(targets=(target(default_key="alias/dr"),))) == "alias/dr"

    def test_a_target_has_the_last_word(self) -> None:
        aim = target(keys=(("alias/app", "alias/own"),), default_key="alias/default")
        assert self.key("alias/app", self.mapped(targets=(aim,))) == "alias/own"

    @pytest.mark.parametrize("reference", ["alias/app", "the-id", "the-arn"])
    @pytest.mark.parametrize("named", ["alias/app", "the-id", "the-arn"])
    def test_a_key_may_be_named_in_any_form_on_either_side(self, reference: str, named: str) -> None:
        one = Key(key_arn(HERE, "alias/app"))
        known = Keyring({"alias/app": one, "the-id": one, "the-arn": one})
        assert (
            self.key(reference, replication(kms=(KeyRule(named, (("us-east-2", "alias/dr"),)),)), known)
            == "alias/dr"
        )

    def test_a_multi_region_key_maps_to_itself_when_the_map_is_silent(self) -> None:
        known = Keyring({"alias/m": Key(MRK, multi_region=True)})
        assert self.key("alias/m", replication(), known) == "arn:aws:kms:us-east-2:123456789012:key/mrk-1"
        mapped = replication(kms=(KeyRule("alias/m", (("us-east-2", "alias/dr"),)),))
        assert self.key("alias/m", mapped, known) == "alias/dr"

    def test_a_multi_region_key_is_of_one_account(self) -> None:
        known = Keyring({"alias/m": Key(MRK, multi_region=True)})
        assert self.key("alias/m", replication(), known, Place("210987654321", "us-east-2")) is None

    def test_a_secret_carries_the_key_and_what_it_resolves_to(self) -> None:
        found = settle(parameter(kind=SECURE, key_id="alias/app"), spec=self.mapped())["/p/a"]
        assert (found.key_id, found.key_identity) == ("alias/dr", key_arn(THERE, "alias/dr"))

    def test_a_plain_value_has_no_key(self) -> None:
        found = settle(parameter(), spec=self.mapped())["/p/a"]
        assert (found.key_id, found.key_identity) == (None, None)

    def test_problems_of_one_key_share_their_subject(self) -> None:
        found = settle(
            parameter("/p/a", SECURE, key_id="alias/x"), parameter("/p/b", SECURE, key_id="alias/x")
        )
        assert [one.problems[0].subject for one in found.values()] == ["alias/x", "alias/x"]

    def test_a_key_is_one_subject_by_whatever_name_it_is_used(self) -> None:
        """Or else one key that is missing in the map would be three findings."""
        one, arn = Key(key_arn(HERE, "alias/x")), key_arn(HERE, "alias/x")
        known = Keyring({"alias/x": one, "the-id": one, arn: one})
        names = ("alias/x", "the-id", arn)
        secrets = [parameter(f"/p/{i}", SECURE, key_id=name) for i, name in enumerate(names)]
        found = settle(*secrets, source_ring=known)
        assert {one.problems[0].subject for one in found.values()} == {"alias/x"}
        gone = Key(key_arn(THERE, "alias/y"), KeyState.DISABLED)
        mapped = replication(
            kms=tuple(KeyRule(name, (("us-east-2", f"{i}"),)) for i, name in enumerate("ab"))
        )
        here = Keyring({name: Key(f"arn:{name}") for name in "ab"})
        secrets = [parameter(f"/p/{name}", SECURE, key_id=name) for name in "ab"]
        found = settle(*secrets, spec=mapped, source_ring=here, target_ring=Keyring({"0": gone, "1": gone}))
        assert {one.problems[0].subject for one in found.values()} == {"0"}

    def test_a_multi_region_key_of_a_third_account_stays_of_that_account(self) -> None:
        central = "arn:aws:kms:us-east-1:999999999999:key/mrk-1"
        known = Keyring({central: Key(central, multi_region=True)})
        assert self.key(central, replication(), known) == "arn:aws:kms:us-east-2:999999999999:key/mrk-1"


class TestKeysToAsk:
    SPEC = replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/dr"),)),))

    def test_without_secrets_nothing_is_asked(self) -> None:
        source = listing(HERE, parameter())
        assert source_keys(self.SPEC, source) == frozenset()
        assert target_keys(self.SPEC, target(), source, listing(THERE), Keyring({})) == frozenset()

    def test_the_source_is_asked_about_used_and_mapped_keys(self) -> None:
        source = listing(HERE, parameter(kind=SECURE, key_id="alias/x"))
        assert source_keys(self.SPEC, source) == {"alias/x", "alias/app"}

    def test_without_a_map_the_managed_key_alone_is_not_looked_up_further(self) -> None:
        assert source_keys(replication(), listing(HERE, parameter(kind=SECURE))) == {MANAGED_KEY}

    def test_unselected_parameters_are_not_read(self) -> None:
        assert source_keys(self.SPEC, listing(HERE, parameter("/q", SECURE, key_id="alias/x"))) == frozenset()

    def test_the_target_is_asked_about_chosen_keys_and_those_in_use(self) -> None:
        source = listing(HERE, parameter(kind=SECURE, key_id="alias/app"))
        live = listing(
            THERE, parameter(kind=SECURE, key_id="alias/old"), parameter("/q", SECURE, key_id="alias/q")
        )
        assert target_keys(self.SPEC, target(), source, live, SOURCE_RING) == {"alias/dr", "alias/old"}


def test_an_integration_has_to_stay_where_aws_wants_integrations() -> None:
    home = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/x"
    hook = parameter(home, SECURE, data_type="aws:ssm:integration")
    include = (Glob("/**"),)
    assert kinds(settle(hook, spec=replication(include=include))[home]) == []
    moved = Rewrite(Glob("/**"), RewriteIn.NAME, "/webhook/", "/hook/")
    found = settle(hook, spec=replication(include=include, rewrites=(moved,)))
    (lands,) = found
    assert kinds(found[lands]) == [ProblemKind.NAME]


def test_an_image_id_comes_with_a_warning_about_the_region() -> None:
    (warning,) = settle(parameter(data_type=IMAGE))["/p/a"].warnings
    assert "us-east-2" in warning


def test_targets_are_resolved_each_for_itself() -> None:
    aim = Target("dr", Access("eu-west-1"), default_key="alias/dr")
    spec = replication(targets=(target(), aim))
    secret = parameter(kind=SECURE, key_id="alias/app")
    assert kinds(settle(secret, spec=spec)["/p/a"]) == [ProblemKind.KEY]
    assert kinds(settle(secret, spec=spec, aim=aim)["/p/a"]) == []
