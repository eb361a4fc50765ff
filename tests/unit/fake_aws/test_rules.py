"""`tests.fake_aws.rules`, where AWS's refusals depend on more than one field or on an open fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import KeyState, Place, SealedText
from tests.doubles.clock import NOON
from tests.fake_aws.behaviour import (
    AwsBehaviour,
    Expired,
    KeyForm,
    Match,
    Omitted,
    OmittedKey,
    PolicyText,
    Unasked,
    all_readings,
    facts,
    label,
)
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.request import Request, Settled
from tests.fake_aws.rules import Ground, admit, admit_names, admit_page, admit_tags, admit_untag

HERE = Place("123456789012", "us-east-1")
EXPIRES = '[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"%s"}}]'
PRESENT = Settled(
    "String", SealedText("old"), "about", "[a-z]+", "Advanced", ('{"Type":"x"}',), "aws:ec2:image"
)


def ground(readings: AwsBehaviour | None = None, **fields: object) -> Ground:
    states = {"alias/on": KeyState.USABLE, "alias/aws/ssm": KeyState.USABLE, "alias/off": KeyState.DISABLED}
    plain = Ground(HERE, NOON, readings or AwsBehaviour(), lambda key: states.get(key, KeyState.MISSING))
    return replace(plain, **fields)  # type: ignore[arg-type]  # the fields of Ground, by name


def put(text: str = "new", **fields: object) -> Request:
    plain = Request("/a", SealedText(text), "String")
    return replace(plain, **fields)  # type: ignore[arg-type]  # the fields of Request, by name


def refusal(request: Request, present: Settled | None, where: Ground) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admit(request, present, where)
    return caught.value


def test_a_refusal_never_quotes_the_value() -> None:
    secret = "hunter2-{{x}}"
    message = refusal(put(secret), None, ground())
    assert secret not in f"{message} {message.reason} {message.args}"


@pytest.mark.parametrize("region", ["us-east-1", "ap-southeast-2", "us-gov-west-1"])
def test_the_length_of_a_name_depends_on_its_place(region: str) -> None:
    place = Place("123456789012", region, "aws-us-gov" if region.startswith("us-gov") else "aws")
    longest = {"us-east-1": 966, "ap-southeast-2": 961, "us-gov-west-1": 955}[region]
    admit(put(name="/" + "n" * (longest - 1)), None, ground(place=place))
    assert refusal(put(name="/" + "n" * longest), None, ground(place=place)).code == "ValidationException"


def test_spaces_around_a_name_are_stripped_and_spaces_inside_refused() -> None:
    admit(put(name="  /a "), None, ground())
    refusal(put(name="/a b"), None, ground())


def test_a_type_is_required_to_create_and_kept_by_an_overwrite() -> None:
    assert refusal(put(type=None), None, ground()).code == "ValidationException"
    assert admit(put(type=None, overwrite=True), PRESENT, ground()).type == "String"


def test_attributes_that_are_always_kept_or_cleared() -> None:
    bare = admit(put(overwrite=True), PRESENT, ground())
    assert (bare.description, bare.policies) == (PRESENT.description, PRESENT.policies)
    cleared = admit(put(overwrite=True, description="", policies="[{}]"), PRESENT, ground())
    assert (cleared.description, cleared.policies) == ("", ())


@pytest.mark.parametrize("reading", Omitted)
def test_omitted_fields_follow_their_readings(reading: Omitted) -> None:
    readings = AwsBehaviour(pattern_omitted=reading, data_type_omitted=reading, tier_omitted=reading)
    settled = admit(put(overwrite=True, tier="Advanced"), PRESENT, ground(readings))
    kept = reading is Omitted.KEPT
    assert settled.allowed_pattern == ("[a-z]+" if kept else "")
    assert settled.data_type == ("aws:ec2:image" if kept else "text")
    if kept:
        assert admit(put(overwrite=True), PRESENT, ground(readings)).tier == "Advanced"
    else:
        assert refusal(put(overwrite=True), PRESENT, ground(readings)).kind is Trouble.DOWNGRADE


@pytest.mark.parametrize("reading", OmittedKey)
def test_an_omitted_key_follows_its_reading(reading: OmittedKey) -> None:
    present = Settled("SecureString", SealedText("v"), key_id="alias/on")
    settled = admit(
        put(overwrite=True, type="SecureString"), present, ground(AwsBehaviour(key_omitted=reading))
    )
    assert settled.key_id == ("alias/on" if reading is OmittedKey.KEPT else "alias/aws/ssm")


def test_a_kept_key_has_to_be_usable_too() -> None:
    present = Settled("SecureString", SealedText("v"), key_id="alias/off")
    readings = AwsBehaviour(key_omitted=OmittedKey.KEPT)
    message = refusal(put(overwrite=True, type="SecureString"), present, ground(readings))
    assert (message.kind, message.code) == (Trouble.KEY, "InvalidKeyId")


@pytest.mark.parametrize("reading", Unasked)
def test_a_key_with_a_plain_type_is_refused_or_ignored(reading: Unasked) -> None:
    where = ground(AwsBehaviour(key_on_plain=reading))
    if reading is Unasked.REFUSED:
        refusal(put(key_id="alias/on"), None, where)
    else:
        assert admit(put(key_id="alias/on"), None, where).key_id is None


@pytest.mark.parametrize("reading", Unasked)
def test_clearing_policies_of_a_standard_parameter_is_refused_or_nothing(reading: Unasked) -> None:
    where = ground(AwsBehaviour(clear_on_standard=reading))
    if reading is Unasked.REFUSED:
        refusal(put(policies="[{}]"), None, where)
    else:
        assert admit(put(policies="[{}]"), None, where).policies == ()


@pytest.mark.parametrize("reading", Unasked)
def test_the_data_type_text_of_a_secret_is_refused_or_taken(reading: Unasked) -> None:
    where = ground(AwsBehaviour(text_with_secret=reading))
    request = put(type="SecureString", data_type="text")
    if reading is Unasked.REFUSED:
        refusal(request, None, where)
    else:
        assert admit(request, None, where).data_type == "text"
    assert admit(put(data_type="text"), None, where).data_type == "text"


@pytest.mark.parametrize("reading", Match)
def test_a_pattern_matches_the_whole_value_or_a_part_of_it(reading: Match) -> None:
    where = ground(AwsBehaviour(pattern_match=reading))
    request = put("abc1", allowed_pattern="[a-z]+")
    if reading is Match.WHOLE:
        assert refusal(request, None, where).code == "ParameterPatternMismatchException"
    else:
        admit(request, None, where)
    refusal(put("123", allowed_pattern="[a-z]+"), None, where)


@pytest.mark.parametrize("reading", Expired)
def test_an_expiration_that_is_past_follows_its_reading(reading: Expired) -> None:
    where = ground(AwsBehaviour(past_expiration=reading))
    due = put(tier="Advanced", policies=EXPIRES % NOON.isoformat())
    if reading is Expired.REFUSED:
        assert refusal(due, None, where).code == "InvalidPolicyAttributeException"
    else:
        assert admit(due, None, where).policies
    later = (NOON + timedelta(seconds=1)).isoformat()
    assert admit(put(tier="Advanced", policies=EXPIRES % later), None, where).policies


@pytest.mark.parametrize("reading", PolicyText)
def test_the_text_of_a_policy_is_kept_or_rewritten_once_and_for_all(reading: PolicyText) -> None:
    where = ground(AwsBehaviour(policy_text=reading))
    first = admit(put(tier="Advanced", policies=EXPIRES % "2031-01-01T02:00:00+02:00"), None, where)
    again = admit(put(tier="Advanced", policies=f"[{first.policies[0]}]"), None, where)
    assert again.policies == first.policies
    rewritten = "2031-01-01T00:00:00.000Z" in first.policies[0]
    assert rewritten == (reading is PolicyText.NORMALISED)


def test_a_policy_makes_intelligent_tiering_advanced() -> None:
    request = put(tier="Intelligent-Tiering", policies=EXPIRES % "2031-01-01T00:00:00Z")
    assert admit(request, None, ground()).tier == "Advanced"


def test_a_crowded_region_takes_no_more_standard_parameters() -> None:
    where = ground(crowded=True)
    assert refusal(put(), None, where).code == "ParameterLimitExceeded"
    assert admit(put(tier="Intelligent-Tiering"), None, where).tier == "Advanced"
    assert admit(put(overwrite=True), Settled("String", SealedText("v")), where).tier == "Standard"


def test_a_hundredth_version_drops_the_oldest_unless_it_is_labelled() -> None:
    present = Settled("String", SealedText("v"))
    admit(put(overwrite=True), present, ground(versions=100))
    admit(put(overwrite=True), present, ground(versions=99, oldest_labelled=True))
    where = ground(versions=100, oldest_labelled=True)
    assert refusal(put(overwrite=True), present, where).code == "ParameterMaxVersionLimitExceeded"


def test_a_tag_key_given_twice_is_refused() -> None:
    refusal(put(tags=(("k", "a"), ("k", "b"))), None, ground())


def test_tags_of_aws_do_not_count_and_cannot_be_touched() -> None:
    present = {f"aws:{number}": "v" for number in range(9)} | {f"k{number}": "v" for number in range(49)}
    admit_tags(present, {"fits": ""})
    for refused in ({"a": "", "b": ""}, {"aws:new": ""}, {"": "v"}):
        with pytest.raises(Refusal):
            admit_tags(present, refused)
    with pytest.raises(Refusal):
        admit_untag(["k1", "aws:1"])


def test_tags_take_letters_digits_and_spaces_of_any_script() -> None:
    admit_tags({}, {"Größe 日本": "١٢٣ x_.:/=+-@"})
    for refused in ("tab\t", "new\nline", "emoji 🗾", "comma,", "brace}"):
        with pytest.raises(Refusal):
            admit_tags({}, {"k": refused})


def test_a_batch_has_one_to_ten_names_each_once() -> None:
    admit_names([f"/{number}" for number in range(10)], AwsBehaviour())
    for refused in ([], [f"/{number}" for number in range(11)], ["/a", "a"], ["/a", "/a:1"]):
        with pytest.raises(Refusal):
            admit_names(refused, AwsBehaviour())


def test_a_page_is_at_most_as_large_as_the_operation_allows() -> None:
    admit_page(50, 50)
    for refused in (0, 51):
        with pytest.raises(Refusal):
            admit_page(refused, 50)


def test_every_open_fact_has_all_its_readings_in_the_list() -> None:
    listed = list(all_readings())
    assert listed[0] == AwsBehaviour()
    assert len(set(listed)) == len(listed)
    for fact, readings in facts().items():
        assert readings[0] is getattr(AwsBehaviour(), fact)
        assert {getattr(one, fact) for one in listed} == set(readings)
        assert len(readings) >= 2


def test_the_label_of_readings_says_what_departs() -> None:
    assert label(AwsBehaviour()) == "default"
    assert label(AwsBehaviour(key_form=KeyForm.KEY_ID)) == "key_form=key_id"
