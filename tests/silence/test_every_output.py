"""Silence: planted secrets are in no output, repr, log, exception or saved file, in no form one can think of.

What is a secret: every value that is a SecureString anywhere, the AllowedPattern of it, every plain value
of a name that looks secret or is hidden, a plain value with the shape of a secret on either side, and a plain
value whose other side is a SecureString, or was one when we wrote it. Each target is judged alone: a source
value that is plain on both sides in one target is shown there, whatever another target holds. What is plain
on both sides is shown, and stays so: hiding too much is a failure too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, STRING_LIST, Place, canonical
from ssm_reconcile.record import RECORD, parse_record
from ssm_reconcile.session import Session
from ssm_reconcile.spec import AdoptMode, Glob, Replication, Run
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.traffic import Fault, killed, lost, refused
from tests.property import actions
from tests.property.expected import View
from tests.property.places import FAR, LIFTED, NEAR, PLACES, SOURCE, three_places
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios
from tests.property.test_converge import full_spec
from tests.silence.listening import everything, kept, listening
from tests.silence.planted import LONG, Planted, leaks, plant, token
from tests.simulated_aws import SimulatedAws


def planted(scenario: Scenario) -> tuple[Scenario, list[Planted]]:
    """Return the same scenario with a secret of its own in each value."""
    made: list[Planted] = []

    def one(action: actions.UserAction) -> actions.UserAction:
        if isinstance(action, actions.Edit) and "value" in action.changed:
            return replace(action, changed={**action.changed, "value": _next(made, long=False).value})
        if not isinstance(action, actions.Write | actions.Recreate):
            return action
        fresh = _next(made, long=len(action.value) > 1000)
        pattern = {}
        if isinstance(action, actions.Write) and action.pattern:
            # A token of its own: it is metadata, and kept, but of a secret it is not shown.
            pattern = {"pattern": f"(?s).*|{token(PATTERNS + len(made))}"}
            made.append(Planted(token(PATTERNS + len(made)), pattern["pattern"]))
        changed: dict[str, Any] = {"value": fresh.value, **pattern}
        return replace(action, **changed)

    before, since = tuple(map(one, scenario.before)), tuple(map(one, scenario.since))
    return replace(scenario, before=before, since=since), made


def _next(made: list[Planted], *, long: bool) -> Planted:
    made.append(plant(len(made), long=long))
    return made[-1]


def secret_tokens(aws: SimulatedAws, spec: Replication) -> set[str]:
    """The tokens that nothing may say, as the world is now."""
    hidden, shown, plain = set[str](), set[str](), set[str]()
    for place in PLACES.values():
        for stored in aws.world.region(place).parameters.values():
            for version in stored.versions:
                held = tokens(version.settled.value.reveal())
                if version.parameter.type == SECURE:
                    hidden |= held | tokens(version.parameter.allowed_pattern)
                elif version is stored.latest and not has_shape(version.settled.value.reveal()):
                    shown |= held | tokens(version.parameter.allowed_pattern)
    for target in spec.targets:
        for texts, secret in pairs(View(aws, spec, target)):
            if secret:
                hidden |= texts
                shown -= texts
            else:
                plain |= texts
    return hidden - shown - plain


def pairs(view: View) -> list[tuple[set[str], bool]]:
    """Return the values on both sides of each address, and whether they must be hidden there."""
    found = []
    for address, placed in view.placed().items():
        live = view.aws.world.peek(view.place, address)
        sides = [*placed, *([live] if live is not None else [])]
        texts = set[str]()
        for side in sides:
            texts |= tokens(side.latest.settled.value.reveal())
        record = None if live is None else parse_record(live.tags.get(RECORD, ""))
        was = address in view.ours() and record is not None and record.key != "none"
        secure = was or any(side.latest.parameter.type == SECURE for side in sides)
        lifted = all(view.spec.shows(one.latest.parameter.name) for one in placed)
        secure = secure or (
            not lifted and any(has_shape(side.latest.settled.value.reveal()) for side in sides)
        )
        found.append((texts, secure or any(view.spec.hides(one.latest.parameter.name) for one in placed)))
    return found


def has_shape(text: str) -> bool:
    """Whether a planted value has the shape of a secret: it is one of a few, so this needs no rules."""
    return "-----BEGIN" in text or "postgres://" in text


def tokens(text: str) -> set[str]:
    """The tokens in a text."""
    return {one for one in re.findall(r"[A-Z2-7]{16}", text) if one in KNOWN}


PATTERNS = 500
"""From this number on, tokens stand in AllowedPatterns."""
KNOWN = frozenset(token(number) for start in (0, PATTERNS) for number in range(start, start + 100))


def assert_silent(said: Mapping[str, str], secrets: list[Planted]) -> None:
    """Values are nowhere. A pattern is metadata, and part of what is planned: it is kept, and not shown."""
    patterns = [one for one in secrets if one.value.startswith("(?s).*|")]
    assert leaks(said, [one for one in secrets if one not in patterns]) == []
    assert leaks({k: v for k, v in said.items() if k not in KEPT}, patterns) == []


KEPT = frozenset(
    {
        "what the plan keeps",
        "what the report keeps",
        "what the judged keep",
        "the plan as a dictionary",
        "the report as a dictionary",
    }
)


@given(scenario=scenarios())
@examples(30)
def test_no_output_says_a_secret(scenario: Scenario) -> None:
    scenario, made = planted(scenario)
    aws = scenario.play()
    secrets = secret_tokens(aws, scenario.spec)
    with listening() as ear:
        said = everything(aws, scenario.spec, scenario.run, ear)
    assert_silent(said, [one for one in made if one.token in secrets])


FAULTS: dict[str, Callable[[], Fault]] = {
    "denied": lambda: refused(Trouble.DENIED),
    "refused": lambda: refused(Trouble.REFUSED),
    "lost before": lambda: lost(done=False),
    "lost after": lambda: lost(done=True),
    "bad key": lambda: refused(Trouble.KEY),
    # A new exception for each call: a raised one keeps its traceback, and so the locals of earlier examples.
    "bug before": lambda: killed(ValueError("boom"), done=False),
    "bug after": lambda: killed(KeyError("boom"), done=True),
}
OPERATIONS = ("GetParameters", "PutParameter", "AddTagsToResource", "ListTagsForResource", "DeleteParameters")


@given(
    scenario=scenarios(),
    fault=st.sampled_from(sorted(FAULTS)),
    operation=st.sampled_from(OPERATIONS),
    nth=st.integers(1, 4),
    lasting=st.booleans(),
)
@examples(30)
def test_no_failure_says_a_secret(
    scenario: Scenario, fault: str, operation: str, nth: int, lasting: bool
) -> None:
    scenario, made = planted(scenario)
    aws = scenario.play()
    secrets = secret_tokens(aws, scenario.spec)

    def plan(called: str, place: Place, names: tuple[str, ...], count: int) -> Fault | None:
        struck = called == operation and (count >= nth if lasting else count == nth)
        return FAULTS[fault]() if struck else None

    aws.world.traffic.forget()
    aws.world.faults = plan
    with listening() as ear:
        said = everything(aws, scenario.spec, scenario.run, ear)
    assert_silent(said, [one for one in made if one.token in secrets])


def secret_aws(readings: AwsBehaviour | None = None) -> tuple[SimulatedAws, list[Planted]]:
    """Secrets of every shape, short and long, at the source; every second one another at the target."""
    aws, made = three_places(readings), []
    for number in range(13):
        made.append(plant(number, long=number >= 10))
        key = "alias/app" if number % 3 else None
        actions.perform(aws, [actions.Write(SOURCE, f"/p/{number}", made[-1].value, SECURE, key=key)])
        if number % 2:
            made.append(plant(number + 40))
            actions.perform(aws, [actions.Write(NEAR, f"/p/{number}", made[-1].value, SECURE, key=key)])
    aws.pass_time(minutes=20)
    return aws, made


MODES = {
    "normal": LIFTED,
    "verify-values": replace(LIFTED, verify_values=True),
    "no-decrypt": replace(LIFTED, no_decrypt=True),
    "guards as they come": Run(),
}


@pytest.mark.parametrize("mode", MODES)
def test_secrets_of_every_shape_through_a_whole_life(mode: str) -> None:
    """Created, taken over, in sync, updated, changed outside, re-created, deleted."""
    aws, made = secret_aws()
    spec = full_spec()
    changes: list[list[actions.UserAction]] = [
        [],
        [],
        [actions.Edit(SOURCE, f"/p/{n}", {"value": _next_of(made, 60 + n)}) for n in range(4)],
        [actions.Edit(NEAR, f"/p/{n}", {"value": _next_of(made, 70 + n)}) for n in range(4)],
        [actions.Recreate(FAR, f"/p/{n}", _next_of(made, 80 + n)) for n in range(4)],
        [actions.Delete(SOURCE, f"/p/{n}") for n in range(4)],
    ]
    for happens in changes:
        actions.perform(aws, happens)
        aws.pass_time(minutes=20)
        with listening() as ear:
            said = everything(aws, spec, MODES[mode], ear)
        assert leaks(said, made) == []
        aws.pass_time(minutes=20)


def _next_of(made: list[Planted], number: int) -> str:
    made.append(plant(number))
    return made[-1].value


def test_a_secret_that_is_too_large_is_reported_without_its_size() -> None:
    aws, spec = three_places(), full_spec()
    value = f"us-east-1{token(1)}" + "us-east-1" * 450
    assert LONG < len(value) <= 4096
    actions.perform(aws, [actions.Write(SOURCE, "/p/a", value, SECURE)])
    aws.pass_time(minutes=20)
    grows = replace(spec.rewrites[0], new="{target.account}-{target.region}")
    spec = replace(spec, rewrites=(grows,))
    grown = value.replace("us-east-1", "123456789012-us-east-2")
    with listening() as ear:
        said = everything(aws, spec, LIFTED, ear)
    assert "too large for its tier" in said["plan as text"]
    assert leaks(said, [Planted(token(1), value), Planted(token(1), grown)]) == []


@pytest.mark.parametrize(
    ("source", "target"),
    [("String", SECURE), (SECURE, "String"), (SECURE, STRING_LIST), (STRING_LIST, SECURE), (SECURE, SECURE)],
)
def test_neither_side_is_shown_if_one_is_a_secure_string(source: str, target: str) -> None:
    aws, one, other = three_places(), plant(1), plant(2)
    actions.perform(
        aws,
        [actions.Write(SOURCE, "/p/a", one.value, source), actions.Write(NEAR, "/p/a", other.value, target)],
    )
    aws.pass_time(minutes=20)
    with listening() as ear:
        said = everything(aws, full_spec(), LIFTED, ear)
    # The other target has nothing yet: what is plain at the source is created there, and shown.
    said = {where: text for where, text in said.items() if source == SECURE} or only(NEAR, aws, ear)
    assert leaks(said, [one, other]) == []


def test_a_plain_source_value_is_hidden_in_the_target_that_holds_a_secure_string_and_nowhere_else() -> None:
    aws, one, near, far = three_places(), plant(0), plant(1), plant(4)
    actions.perform(
        aws,
        [
            actions.Write(SOURCE, "/p/a", one.value),
            actions.Write(NEAR, "/p/a", near.value, SECURE),
            actions.Write(FAR, "/p/a", far.value),
        ],
    )
    aws.pass_time(minutes=20)
    run = replace(LIFTED, adopt=AdoptMode.OVERWRITE)
    assert secret_tokens(aws, full_spec()) == {near.token}
    with listening() as ear:
        said = everything(aws, full_spec(), replace(run, targets=(NEAR,)), ear)
    assert leaks(said, [one, near]) == []
    with listening() as ear:
        said = everything(aws, full_spec(), run, ear)
    assert leaks(said, [near]) == []
    assert one.token in said["plan as text"]


def only(target: str, aws: SimulatedAws, ear: object) -> dict[str, str]:
    """Return the output about one target, of a run that is narrowed to it."""
    fresh = three_places()
    for place in (fresh.here, fresh.there):
        for stored in aws.world.region(place).parameters.values():
            version = stored.versions[0]
            fresh.world.put(
                place, version.parameter.name, version.settled.value.reveal(), version.parameter.type
            )
    fresh.pass_time(minutes=20)
    with listening() as heard:
        return everything(fresh, full_spec(), replace(LIFTED, targets=(target,)), heard)


def test_a_value_that_was_a_secure_string_at_our_write_is_hidden_although_it_is_plain_now() -> None:
    aws, spec, one, other = three_places(), full_spec(), plant(1), plant(2)
    actions.perform(aws, [actions.Write(SOURCE, "/p/a", one.value, SECURE)])
    aws.apply(spec)
    aws.pass_time(minutes=20)
    actions.perform(
        aws,
        [
            actions.Edit(NEAR, "/p/a", {"type": "String"}),
            actions.Edit(FAR, "/p/a", {"type": "String"}),
            actions.Write(SOURCE, "/p/a", other.value, "String"),
        ],
    )
    aws.pass_time(minutes=20)
    with listening() as ear:
        said = everything(aws, spec, LIFTED, ear)
    assert leaks(said, [one, other]) == []


@pytest.mark.parametrize(
    "name", ["/p/db/password", "/p/ACCESS_KEY", "/p/api-token/x", "/p/my.Passphrase", "/p/url"]
)
def test_a_plain_value_of_a_name_that_looks_secret_is_hidden_on_both_sides(name: str) -> None:
    aws, one, other = three_places(), plant(1), plant(2)
    actions.perform(aws, [actions.Write(SOURCE, name, one.value), actions.Write(NEAR, name, other.value)])
    aws.pass_time(minutes=20)
    spec = replace(full_spec(), hide=(Glob("*url*"),))
    with listening() as ear:
        said = everything(aws, spec, LIFTED, ear)
    assert leaks(said, [one, other]) == []


@pytest.mark.parametrize(("source", "target"), [(SECURE, SECURE), (SECURE, "String"), ("String", SECURE)])
def test_the_pattern_of_a_secret_is_reported_as_different_and_not_shown(source: str, target: str) -> None:
    aws, one, other = three_places(), plant(1), plant(2)
    for where, kind, secret in ((SOURCE, source, one), (NEAR, target, other)):
        pattern = f"(?s).*|{secret.token}"
        actions.perform(aws, [actions.Write(where, "/p/a", "value", kind, pattern=pattern)])
    aws.pass_time(minutes=20)
    with listening() as ear:
        said = everything(aws, full_spec(), replace(LIFTED, targets=(NEAR,)), ear)
    assert "AllowedPattern" in said["plan as text"]
    # The pattern of what is plain is metadata, and part of what is approved; that of a secret is not shown.
    hidden = [secret for secret, kind in ((one, source), (other, target)) if kind == SECURE]
    assert leaks({where: text for where, text in said.items() if where not in KEPT}, hidden) == []


def test_a_value_that_becomes_a_secure_string_during_the_plan_is_hidden() -> None:
    for where, operation in ((SOURCE, "GetParameters"), (NEAR, "GetParameters")):
        aws, one, other, third = three_places(), plant(1), plant(2), plant(3)
        actions.perform(
            aws, [actions.Write(SOURCE, "/p/a", one.value), actions.Write(NEAR, "/p/a", other.value)]
        )
        aws.pass_time(minutes=20)
        turns = actions.Write(where, "/p/a", third.value, SECURE)
        aws.world.before(operation, partial(actions.perform, aws, [turns]))
        run = replace(LIFTED, targets=(NEAR,))
        with listening() as ear:
            said = everything(aws, full_spec(), run, ear)
        assert leaks(said, [third]) == []


BY_SHAPE = {
    "a URL with a password": "postgres://app:{t}@db.example.org/app",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\n{t}\n-----END RSA PRIVATE KEY-----",
    "a field of a JSON document": '{{"user": "app", "db": {{"password": "{t}"}}}}',
    "a line of a .env file": "LOG_LEVEL=info\nAPI_TOKEN={t}\n",
    "a part of a connection string": "Server=db;User ID=app;Password={t};Encrypt=True",
    "a token of GitHub": "ghp_{t}{t}",
    "an item of a list": "one,redis://:{t}@cache:6379/0,two",
}


@pytest.mark.parametrize("shape", BY_SHAPE.values(), ids=BY_SHAPE)
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_plain_value_with_the_shape_of_a_secret_is_in_no_output(shape: str, side: str) -> None:
    aws = three_places()
    secret = Planted(token(1), shape.format(t=token(1)))
    other = Planted(token(2), f"harmless {token(2)}")
    mine, theirs = (secret, other) if side == "source" else (other, secret)
    actions.perform(
        aws, [actions.Write(place, "/p/a", held.value) for place, held in ((SOURCE, mine), (NEAR, theirs))]
    )
    aws.pass_time(minutes=20)
    with listening() as ear:
        said = everything(aws, full_spec(), replace(LIFTED, targets=(NEAR,)), ear)
    assert "/p/a: not a SecureString although the value looks like a secret" in said["plan as json"]
    assert leaks(said, [secret, other]) == [], "the harmless side is hidden, too"


def test_plain_values_on_both_sides_are_shown() -> None:
    """Or else the laws above would hold of a tool that shows nothing at all."""
    aws, one, other = three_places(), plant(0), plant(10)
    actions.perform(aws, [actions.Write(SOURCE, "/p/a", one.value), actions.Write(NEAR, "/p/a", other.value)])
    aws.pass_time(minutes=20)
    with listening() as ear:
        said = everything(aws, replace(full_spec(), show=(Glob("/p/a"),)), LIFTED, ear)
    for form in ("text", "json", "markdown", "html"):
        assert one.token in said[f"plan as {form}"]
        assert other.token in said[f"plan as {form}"]
    places = {finding.split(" in ")[1].split(":")[0] for finding in leaks(said, [one])}
    assert {"saved plan", "repr of the plan", "what the plan keeps", "comment of level 0"} <= places


def test_nothing_of_a_value_is_kept_when_a_run_is_over() -> None:
    """Not even sealed: values are compared as keyed digests and read again when they are written."""
    from ssm_reconcile import reconcile

    aws, made = secret_aws()
    spec = full_spec()
    places = aws.places(spec)
    plan = reconcile.make_plan([spec], Session(places, LIFTED, aws.clock, lambda _: None))
    texts = kept([plan, places])
    assert "/p/1" in texts
    assert leaks({"what is kept": texts}, made) == []
    assert canonical("/p/1") in {canonical(change.name) for change in plan.changes}
