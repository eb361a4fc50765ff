"""Random situations: which AWS it is, what stood there, what our first run made of it, what others did since.

The names are few, so that things meet. Everything here is what the loader lets through. Functions draw their
parts one by one from fixed strategies: to validate new strategies for each example takes a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import date
from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies as st

from ssm_reconcile.model import SECURE, STRING_LIST
from ssm_reconcile.skip_sync import OnSkip, SkipMode, SkipSync
from ssm_reconcile.spec import (
    AdoptMode,
    ChangedOutside,
    DeleteMode,
    Glob,
    Hold,
    KeyRule,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
    TierMode,
)
from tests.fake_aws.behaviour import AwsBehaviour, Expired, facts
from tests.property import actions
from tests.property.actions import UserAction
from tests.property.places import FAR, FROM, LIFTED, NEAR, PLACES, SOURCE, TO_FAR, TO_NEAR, three_places
from tests.simulated_aws import SimulatedAws

NAMES = (
    "/p/a",
    "/p/b",
    "/p/db/password",
    "/p/url",
    "/p/us-east-1/x",
    "/p/us-east-2/x",
    "/p/list",
    "solo",
    "/q/other",
)
LONG = "y" * 4080
"""With a region before it just under the limit of a Standard value, over it with an account too."""
PLAIN = (
    "one",
    "two",
    "https://us-east-1.example.org",
    "zwei Wörter",
    "line\nline\n",
    f"us-east-1{LONG}",
    "x" * 4096,
)
LISTS = ("a,b,c", "a, b ,c", "us-east-1,b")
BIG = "z" * 5000
PATTERNS = ("", "(?s).*", "(?s).*us-east-1.*", "[a-z ]+")
FAR_OFF = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2031-01-01T00:00:00.000Z"}}'
SOON = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-11-23T12:05:00.000Z"}}'
"""Past by the time of the second run."""
QUIET = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"20","Unit":"Days"}}'
KEYS = (None, "alias/app", "alias/two", "alias/two#", "alias/app@", "alias/many", "alias/lonely")
TAG_SETS = (
    (),
    (("team", "a"),),
    (("team", "b"), ("cost:center", "7")),
    (("skip_sync", "1"),),
    (("skip_sync", NEAR), ("team", "a")),
    (("aws:cloudformation:stack-name", "theirs"),),
    tuple((f"t{i:02}", "x") for i in range(46)),
    tuple((f"t{i:02}", "y") for i in range(49)),
)

every_reading = st.builds(
    AwsBehaviour, **{fact: st.sampled_from(choices) for fact, choices in facts().items()}
)


@cache
def one_of(*choices: Any) -> st.SearchStrategy[Any]:
    """One of some things, the first being the simplest."""
    return st.sampled_from(choices)


tag_sets = one_of(*[()] * 9, *[(("team", "a"),)] * 5, *TAG_SETS)


def write(draw: st.DrawFn, where: str, name: str) -> actions.Write:
    """Draw a parameter as people write them: of any type, and mostly what AWS accepts."""
    kind = draw(one_of("String", "String", SECURE, STRING_LIST))
    tier = draw(one_of(*["Standard"] * 6, "Advanced", "Intelligent-Tiering"))
    value = draw(one_of(*(LISTS if kind == STRING_LIST else PLAIN)))
    policies: tuple[str, ...] = ()
    if tier != "Standard":
        policies = draw(one_of((), (FAR_OFF,), (QUIET, FAR_OFF), (SOON,)))
        value = draw(one_of(value, BIG)) if kind != STRING_LIST else value
    return actions.Write(
        where=where,
        name=name,
        value=value,
        type=kind,
        description=draw(one_of(None, "", "what it is for", "something else")),
        pattern=draw(one_of(*[""] * 9, *PATTERNS)),
        tier=tier,
        policies=policies,
        data_type=draw(one_of(*[None] * 5, "aws:ec2:image")) if kind == "String" else None,
        key=draw(one_of(None, *KEYS)) if kind == SECURE else None,
        tags=draw(tag_sets),
        by_us=draw(one_of(False, False, True)),
    )


@dataclass(frozen=True, slots=True)
class Cast:
    """The names and the targets that actions choose from."""

    draw: st.DrawFn
    names: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.draw(one_of(*self.names)))

    @property
    def target(self) -> str:
        return str(self.draw(one_of(*self.targets)))

    @property
    def side(self) -> str:
        """The source as often as any target."""
        return self.target if self.draw(st.booleans()) else SOURCE

    def write(self) -> actions.Write:
        return write(self.draw, self.side, self.name)

    def clone(self) -> actions.Clone:
        return actions.Clone(self.target, self.name, self.draw(st.booleans()))


Disturb: TypeAlias = Callable[[Cast], UserAction]
DISTURBANCES: tuple[Disturb, ...] = (
    Cast.write,
    Cast.write,
    lambda cast: actions.Edit(cast.side, cast.name, cast.draw(edits)),
    lambda cast: actions.Edit(cast.side, cast.name, cast.draw(edits)),
    lambda cast: actions.Delete(cast.side, cast.name),
    lambda cast: actions.Delete(SOURCE, cast.name),
    lambda cast: actions.Recreate(cast.side, cast.name, cast.draw(one_of(*PLAIN))),
    lambda cast: actions.AddTags(cast.side, cast.name, cast.draw(tag_sets)),
    lambda cast: actions.RemoveTags(
        cast.side, cast.name, cast.draw(one_of(("team",), ("skip_sync",), ("t00", "t01")))
    ),
    Cast.clone,
    lambda cast: actions.RepointAlias(cast.side, "alias/app", cast.draw(one_of("alias/two", "alias/many"))),
    lambda cast: actions.DisableKey(cast.side, cast.draw(one_of("alias/two", "alias/app"))),
)
SHADY: tuple[Disturb, ...] = (
    lambda cast: actions.RemoveTags(
        cast.target, cast.name, cast.draw(one_of(("ssm-reconcile:record",), ("ssm-reconcile:owner",)))
    ),
    lambda cast: actions.CopyTags(cast.side, cast.name, cast.name),
    lambda cast: actions.Detach(cast.target, cast.name),
    lambda cast: actions.Claim(cast.side, cast.name),
    lambda cast: actions.TagAsStack(cast.target, cast.name),
)
"""Actions on our own tags."""


def disturb(cast: Cast, *, shady: bool) -> UserAction:
    """Draw an action on a parameter after it was replicated, on either side. `shady`: on our tags too."""
    chosen: Disturb = cast.draw(one_of(*DISTURBANCES, *SHADY) if shady else one_of(*DISTURBANCES))
    return chosen(cast)


edits: st.SearchStrategy[Mapping[str, Any]] = st.sampled_from(
    (
        {"value": "edited"},
        {"value": "us-east-1, edited"},
        {"description": "edited"},
        {"description": ""},
        {"pattern": "(?s).+"},
        {"pattern": ""},
        {"tier": "Advanced"},
        {"tier": "Standard"},
        {"type": SECURE},
        {"type": "String"},
        {"type": STRING_LIST},
        {"data_type": "aws:ec2:image"},
        {"tier": "Advanced", "policies": (QUIET,)},
        {"policies": ()},
        {"type": SECURE, "key": "alias/two"},
        {},
    )
)
"""One attribute of a parameter, or two that go together; none: it is written again as it is."""


RULES = (
    (),
    (KeyRule("alias/app", ((NEAR, "alias/app"), (FAR, "alias/app"))),),
    (
        KeyRule("alias/app", ((NEAR, "alias/app"), (FAR, "alias/app"))),
        KeyRule("alias/two", ((NEAR, "alias/two"),)),
    ),
    (
        KeyRule("alias/app", ((NEAR, "alias/two"), (FAR, "alias/missing"))),
        KeyRule("alias/two", ((FAR, "alias/app"),)),
    ),
)
REGION = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "{source.region}", "{target.region}")
GROWS = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.account}-{target.region}")
RENAMES = Rewrite(Glob("/p/us-east-1/*"), RewriteIn.NAME, "us-east-1", "{target.region}")
SPOILS = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "one", "{{ssm:one}}")
EMPTIES = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "one", "")
REWRITES = ((), (REGION,), (GROWS,), (RENAMES,), (RENAMES, REGION), (SPOILS,), (RENAMES, EMPTIES))
SKIPS = (
    SkipSync(),
    SkipSync(replicas=OnSkip.DELETE),
    SkipSync(mode=SkipMode.TARGETS, replicas=OnSkip.DELETE),
    SkipSync(mode=SkipMode.LISTED, values=("1", "yes")),
)


HOLDS = (
    (Hold(Glob("/p/a")),),
    (Hold(Glob("/p/**"), date(2026, 11, 1), "expired"),),
    (Hold(Glob("/p/us-east-1/*"), date(2031, 1, 1)), Hold(Glob("solo"), None, "for now")),
    (Hold(Glob("/p/*")), Hold(Glob("/p/db/**"))),
)
"""Without an end, expired, not expired; also on names that a rewrite changes, and on two levels."""


ID, EARLIER_ID = "k3v9x2m7qa", "h5t8w4p2zc"


def replication(draw: st.DrawFn, name: str = "prod") -> Replication:
    """Draw a replication with any of the choices that a spec has."""
    default = draw(one_of("alias/two", None))
    tiers = one_of(*[TierMode.SAME] * 3, *TierMode)
    near = replace(TO_NEAR, default_key=default, tier=draw(tiers))
    far = replace(
        TO_FAR, default_key=default, tier=draw(tiers), keys=draw(one_of((), (("alias/many", "alias/app"),)))
    )
    orphans = draw(one_of(*Orphans))
    ids = (ID,) if orphans is Orphans.DELETE else (ID, ID, None)
    return Replication(
        name=name,
        id=draw(one_of(*ids)),
        previous_ids=draw(one_of((), (), (EARLIER_ID,))),
        source=FROM,
        targets=draw(one_of((near,), (near, far))),
        include=draw(
            one_of((Glob("/p/**"), Glob("solo")), (Glob("/**"),), (Glob("/p/*"), Glob("/p/us-east-1/*")))
        ),
        delete=draw(one_of(*DeleteMode)),
        exclude=draw(one_of(*[()] * 4, (Glob("/p/b"),), (Glob("/p/db/**"),))),
        types=draw(one_of(*[frozenset({"String", STRING_LIST, SECURE})] * 3, frozenset({"String", SECURE}))),
        previous_names=draw(one_of((), ("older",))),
        skip_sync=draw(one_of(*SKIPS)),
        kms=draw(one_of(*RULES)),
        rewrites=draw(one_of((), (), *REWRITES)),
        ignore_tags=draw(one_of((), ("cost:*",), ("t0*",))),
        add_tags=draw(one_of((), (("replicated-from", "us-east-1"),))),
        adopt=draw(
            one_of(
                AdoptMode.IDENTICAL,
                AdoptMode.NEVER,
                AdoptMode.SAME_VALUE,
                AdoptMode.OVERWRITE,
                AdoptMode.OVERWRITE,
            )
        ),
        orphans=orphans,
        changed_outside=draw(one_of(*ChangedOutside)),
        hide=draw(one_of((), (Glob("*url*"),))),
        show=draw(one_of((), (Glob("*password*"),))),
        holds=draw(one_of(*[()] * 8, *HOLDS)),
    )


runs = st.builds(
    replace,
    st.just(LIFTED),
    verify_values=st.booleans(),
    no_decrypt=one_of(False, False, True),
    adopt=one_of(None, None, *AdoptMode),
)
"""Runs that lift all guards, in every mode; `verify_values` with `no_decrypt` reads plain values only."""


def departures(thing: Any) -> str:
    """A dataclass by what departs from its defaults, which is what one wants to read of a failure."""
    shown = []
    for field in fields(thing):
        value = getattr(thing, field.name)
        if value != field.default and (field.default is not MISSING or value not in ((), {})):
            shown.append(f"{field.name}={value!r}")
    return f"{type(thing).__name__}({', '.join(shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class Scenario:
    """`first` is what we ran before `since` happened (None: never), `spec` what holds today."""

    readings: AwsBehaviour
    spec: Replication
    run: Run
    before: tuple[UserAction, ...]
    first: Replication | None
    since: tuple[UserAction, ...]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __repr__(self) -> str:
        result = [f"readings = {departures(self.readings)}", f"spec = {departures(self.spec)}"]
        result += [f"run = {departures(self.run)}"]
        result += [f"before: {departures(action)}" for action in self.before]
        same = replace(self.spec, holds=())
        result += ["first: the same spec without holds" if self.first == same else f"first: {self.first}"]
        result += [f"since: {departures(action)}" for action in self.since]
        return "\n  ".join(("", *result))

    def play(self) -> SimulatedAws:
        """Return the AWS after all actions, with listings up to date."""
        aws = three_places(self.readings)
        actions.perform(aws, self.before)
        aws.pass_time(minutes=20)
        if self.first is not None:
            aws.apply(self.first)
            aws.pass_time(minutes=20)
        actions.perform(aws, self.since)
        aws.pass_time(minutes=20)
        if self.readings.past_expiration is Expired.DELETED:
            # Such an AWS is deleting what has expired all the time; here before the run, not during it.
            for place in PLACES.values():
                aws.world.expire(place)
            aws.pass_time(minutes=20)
        return aws


selections = st.lists(st.sampled_from(NAMES), min_size=4, max_size=8, unique=True)
few, several = st.integers(0, 3), st.integers(3, 9)


@st.composite
def scenarios(draw: st.DrawFn, *, shady: bool = True, run: st.SearchStrategy[Run] = runs) -> Scenario:
    """Any scenario. The spec of the first run was another one now and then."""
    spec = replication(draw)
    earlier = draw(one_of("same", "same", "same", "never", "renamed", "another", "without id", "other id"))
    first: Replication | None = spec
    if earlier == "never":
        first = None
    elif earlier == "renamed":
        first = replace(spec, name="older", previous_names=())
    elif earlier == "without id":
        first = replace(spec, id=None, previous_ids=())
    elif earlier == "other id":
        first = replace(spec, id=draw(one_of(EARLIER_ID, "stranger")), previous_ids=())
    elif earlier == "another":
        first = replication(draw)
    if first is not None:
        first = replace(first, holds=())  # so that replicas of held names exist
    cast = Cast(draw, tuple(draw(selections)), tuple(target.name for target in spec.targets))
    source = [write(draw, SOURCE, name) for name in cast.names]
    there: list[UserAction] = [
        cast.clone() if draw(st.booleans()) else write(draw, cast.target, cast.name) for _ in range(draw(few))
    ]
    since = [disturb(cast, shady=shady) for _ in range(draw(several))]
    return Scenario(draw(every_reading), spec, draw(run), (*source, *there), first, tuple(since))
