"""Converge, over the wire: whatever people write on both sides, one apply settles it, however AWS is read.

The same law as in `tests/property`, with boto3, the wire format and the strict moto in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from ssm_reconcile import reconcile
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import SECURE, STANDARD, STRING_LIST, Access, SealedText
from ssm_reconcile.report import Result
from ssm_reconcile.session import Session, open_places
from ssm_reconcile.spec import (
    AdoptMode,
    ChangedOutside,
    DeleteMode,
    Glob,
    KeyRule,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
    Source,
    Target,
    TierMode,
)
from ssm_reconcile.stores.base import Put, Store
from ssm_reconcile.stores.session import ClientFactory
from ssm_reconcile.stores.ssm import Aws
from tests.doubles.clock import FakeClock, StopFlag
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.behaviour import AwsBehaviour, Unasked, all_readings, facts, label
from tests.simulated_aws import unwatched

FAR_ACCOUNT = "210987654321"
ROLE = f"arn:aws:iam::{FAR_ACCOUNT}:role/ssm-reconcile"
FROM, NEAR = Access("us-east-1"), Access("us-east-2")
FAR = Access("eu-west-1", role_arn=ROLE, external_id="one of ours")
SPEC = Replication(
    "prod",
    Source(FROM),
    (
        Target("us-east-2", NEAR, default_key="alias/two"),
        Target("eu", FAR, default_key="alias/two", account=FAR_ACCOUNT),
    ),
    (Glob("/p/**"), Glob("solo")),
    DeleteMode.OWNED,
    kms=(KeyRule("alias/app", (("us-east-2", "alias/app"), ("eu", "alias/two"))),),
    rewrites=(
        Rewrite(Glob("/p/**"), RewriteIn.VALUE, "{source.region}", "{target.region}"),
        Rewrite(Glob("/p/us-east-1/*"), RewriteIn.NAME, "us-east-1", "{target.name}"),
    ),
    ignore_tags=("cost:*",),
    add_tags=(("replicated-from", "us-east-1"),),
    adopt=AdoptMode.OVERWRITE,
    changed_outside=ChangedOutside.OVERWRITE,
)
RUN = Run(
    allow_replace=True, allow_empty_source=True, allow_exposure=True, max_deletes=999, max_change_percent=999,
    parallelism=1,
)  # fmt: skip
LATER = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2031-01-01T01:00:00+01:00"}}'
QUIET = '{"Version":"1.0","Type":"NoChangeNotification","Attributes":{"Unit":"Days","After":"20"}}'
Step = Callable[[FakeClock, Sequence[Store]], object]


@st.composite
def puts(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from(["String", STRING_LIST, SECURE, SECURE]))
    tier = draw(st.sampled_from([STANDARD, STANDARD, "Advanced", "Intelligent-Tiering"]))
    policies = draw(st.sampled_from([(), (LATER,), (QUIET, LATER)])) if tier != STANDARD else ()
    texts = ["v", "w", "a, b ,c", "db.us-east-1.x", "zwei Wörter\r\nund mehr\n", "é" * 2048]
    return Put(
        draw(st.sampled_from(["/p/a", "/p/b", "solo", "/p/us-east-1/x", "/p/eu/x"])),
        SealedText(draw(st.sampled_from([*texts, "x" * 8192] if tier != STANDARD else texts))),
        kind,
        overwrite=draw(st.sampled_from([True, True, False])),
        description=draw(st.sampled_from(["", "d"])),
        allowed_pattern=draw(st.sampled_from(["", "", "", "(?s).*"])),
        tier=tier,
        policies=policies,
        data_type=draw(st.sampled_from(["text", "text", "aws:ec2:image"])) if kind == "String" else "text",
        key_id=draw(st.sampled_from(["alias/aws/ssm", "alias/app", "alias/two"])) if kind == SECURE else None,
    )


def puts_at(place: int, put: Put) -> Step:
    return lambda _, stores: stores[place].put(put)


def tags_at(place: int, name: str, tags: dict[str, str]) -> Step:
    return lambda _, stores: stores[place].add_tags(name, tags)


def deletes_at(place: int, name: str) -> Step:
    def step(clock: FakeClock, stores: Sequence[Store]) -> None:
        stores[place].delete([name])
        clock.advance(timedelta(seconds=31))

    return step


PLACES = st.sampled_from([0, 0, 1, 2])
NAMES = st.sampled_from(["/p/a", "/p/b", "solo", "/p/us-east-1/x", "/p/eu/x"])
TAGS = st.dictionaries(
    st.sampled_from(["team", "cost:center", "t"]), st.sampled_from(["", "v=1"]), min_size=1
)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.one_of(
        st.builds(puts_at, PLACES, puts()),
        st.builds(puts_at, PLACES, puts()),
        st.builds(puts_at, st.just(0), puts()),
        st.builds(tags_at, PLACES, NAMES, TAGS),
        st.builds(deletes_at, PLACES, NAMES),
    ),
    min_size=6,
    max_size=16,
)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def add_keys() -> None:
    for access in (FROM, NEAR, FAR):
        kms = _CLIENTS[access].kms
        for alias in ("alias/app", "alias/two"):
            kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


_CLIENTS: dict[Access, Any] = {}
"""The boto3 clients of each place."""
_ROLES: dict[str, Any] = {}
"""The assumed roles of moto, and the access keys of their account."""


@contextmanager
def shared_clients() -> Iterator[None]:
    """Create the boto3 clients of each place once: that is half of the time of an example.

    The credentials of the role stay valid in each moto.
    """
    create = ClientFactory.create

    def shared(factory: ClientFactory, access: Access) -> Any:
        if access not in _CLIENTS:
            _CLIENTS[access] = create(factory, access)
        return _CLIENTS[access]

    sts, iam = sts_backends[FAR_ACCOUNT]["aws"], iam_backends[FAR_ACCOUNT]["aws"]
    sts.assumed_roles.extend(_ROLES.get("roles", ()))
    iam.access_keys.update(_ROLES.get("keys", {}))
    with mock.patch.object(ClientFactory, "create", shared):
        yield
    _ROLES.update(roles=list(sts.assumed_roles), keys=dict(iam.access_keys))


def converges(
    readings: AwsBehaviour, before: list[Step], since: list[Step], spec: Replication = SPEC
) -> None:
    """Perform actions and an apply, twice; after each apply nothing is left to do."""
    clock = FakeClock()
    with StrictMoto(readings, clock=clock), shared_clients():
        people = [Aws(clock=clock, parallelism=1).connect(access) for access in (FROM, NEAR, FAR)]
        add_keys()
        for happens in (before, since):
            for step in happens:
                with suppress(StoreError):  # people get errors too
                    step(clock, people)
                clock.advance(timedelta(seconds=7))
            clock.advance(timedelta(minutes=20))
            places = open_places([spec], Aws(clock=clock, parallelism=1).connect, RUN)
            plan = reconcile.make_plan([spec], Session(places, RUN, clock, unwatched))
            report = reconcile.carry_out(plan, [spec], Session(places, RUN, clock, unwatched), StopFlag())
            left = [
                (o.change.target, o.change.name, o.error)
                for o in report.outcomes
                if o.result is not Result.APPLIED
            ]
            assert [
                one for one in left if "a parameter that is not a replica is never replaced" not in one[2]
            ] == []
            clock.advance(timedelta(minutes=20))
            again = reconcile.make_plan([spec], Session(places, RUN, clock, unwatched))
            besides = {one[:2] for one in left}
            assert [one for one in again.changes if (one.target, one.name) not in besides] == []


ALL_KINDS: list[Step] = [
    puts_at(0, Put("/p/a", SealedText("x" * 5000), "String", overwrite=False, description="d",
                   tier="Advanced", policies=(QUIET, LATER), allowed_pattern="x+")),
    puts_at(0, Put("/p/b", SealedText("s3cret"), SECURE, overwrite=False, key_id="alias/app")),
    puts_at(0, Put("solo", SealedText("a, b ,c"), STRING_LIST, overwrite=False)),
    puts_at(0, Put("/p/us-east-1/x", SealedText("ami-1"), "String", overwrite=False,
                   data_type="aws:ec2:image")),
    puts_at(1, Put("/p/b", SealedText("theirs"), SECURE, overwrite=False, key_id="alias/two")),
    puts_at(0, Put("/p/c", SealedText("v"), "String", overwrite=False, tier="Advanced", description="d")),
    tags_at(0, "/p/a", {"team": "a"}),
]  # fmt: skip
ALL_TROUBLES: list[Step] = [
    puts_at(0, Put("/p/b", SealedText("db.us-east-1.x"), "String", overwrite=True)),
    puts_at(1, Put("solo", SealedText("a,b"), SECURE, overwrite=True, key_id="alias/two")),
    puts_at(2, Put("/p/a", SealedText("small"), "String", overwrite=True, tier="Advanced")),
    puts_at(1, Put("/p/c", SealedText("v"), "String", overwrite=True, tier="Advanced", policies=(QUIET,))),
    deletes_at(0, "/p/us-east-1/x"),
    puts_at(0, Put("/p/us-east-1/x", SealedText("plain"), "String", overwrite=False)),
    tags_at(0, "/p/a", {"team": "b"}),
    tags_at(2, "/p/a", {"cost:center": "there", "extra": ""}),
]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("readings", list(all_readings()), ids=label)
def test_all_kinds_of_change_are_settled_by_one_apply_in_every_reading(readings: AwsBehaviour) -> None:
    converges(readings, ALL_KINDS, ALL_TROUBLES)


TIER_TROUBLES: list[Step] = [
    puts_at(0, Put("/p/a", SealedText("x"), "String", overwrite=True, description="d", tier="Advanced")),
    puts_at(0, Put("/p/b", SealedText("other"), SECURE, overwrite=True, key_id="alias/app")),
    puts_at(
        1, Put("/p/b", SealedText("by hand"), SECURE, overwrite=True, key_id="alias/two", tier="Advanced")
    ),
    puts_at(
        2, Put("solo", SealedText("a,b"), STRING_LIST, overwrite=True, tier="Advanced", policies=(QUIET,))
    ),
    puts_at(0, Put("/p/big", SealedText("y" * 5000), SECURE, overwrite=False, tier="Advanced")),
    puts_at(1, Put("/p/big", SealedText("small"), SECURE, overwrite=False)),
]


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("tier", list(TierMode))
@pytest.mark.parametrize("clear", list(Unasked))
def test_every_tier_of_a_target_is_settled_by_one_apply(tier: TierMode, clear: Unasked) -> None:
    converges(AwsBehaviour(clear_on_standard=clear), ALL_KINDS, TIER_TROUBLES, tiered(tier))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("tier", [tier for tier in TierMode if tier is not SPEC.targets[0].tier])
def test_all_kinds_of_change_are_settled_by_one_apply_in_every_tier(tier: TierMode) -> None:
    converges(AwsBehaviour(), ALL_KINDS, ALL_TROUBLES, tiered(tier))


def tiered(tier: TierMode) -> Replication:
    return replace(SPEC, targets=tuple(replace(target, tier=tier) for target in SPEC.targets))


@pytest.mark.usefixtures("credentials")
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    readings=st.builds(AwsBehaviour, **{fact: st.sampled_from(several) for fact, several in facts().items()}),
    before=STEPS,
    since=STEPS,
)
def test_whatever_people_write_is_settled_by_one_apply(
    readings: AwsBehaviour, before: list[Step], since: list[Step]
) -> None:
    converges(readings, before, since)
