"""The two stores agree: any sequence of calls gets the same answers from both, in every reading of AWS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import KeyState, SealedText
from ssm_reconcile.stores.base import Put, Store
from tests.contract.conftest import Bench, MemoryBench, MotoBench
from tests.doubles.clock import FakeClock
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.behaviour import AwsBehaviour, facts

POLICIES = [
    '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2030-01-01T01:00:00+01:00"}}',
    '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2020-01-01T00:00:00Z"}}',
    '{"Version":"1.0","Type":"NoChangeNotification","Attributes":{"Unit":"Days","After":"20"}}',
]
NAMES = st.sampled_from(["/a", "/a/b", "c", "/c"])
TAGS = st.dictionaries(st.sampled_from(["k", "l", "aws:x", "bad!"]), st.sampled_from(["", "v"]), max_size=2)
PUTS = st.builds(
    Put,
    name=NAMES,
    text=st.sampled_from(["v", "w", "a, b", "ami-1", "x" * 4097]).map(SealedText),
    type=st.sampled_from(["String", "StringList", "SecureString"]),
    overwrite=st.sampled_from([True, True, True, False]),
    description=st.sampled_from(["", "d"]),
    allowed_pattern=st.sampled_from(["", "", "", "[a-z]+", "["]),
    tier=st.sampled_from(["Standard", "Advanced", "Intelligent-Tiering"]),
    policies=st.just(()) | st.lists(st.sampled_from(POLICIES), max_size=2, unique=True).map(tuple),
    data_type=st.sampled_from(["text", "text", "text", "aws:ec2:image"]),
    key_id=st.sampled_from([None, "alias/aws/ssm", "alias/app", "alias/app", "alias/off", "alias/absent"]),
    tags=st.none() | st.none() | TAGS,
)
SEEDS = (
    Put("/a", SealedText("v"), "String", overwrite=False, tags={"k": "v"}),
    Put("/a/b", SealedText("v"), "SecureString", overwrite=False, tier="Advanced", policies=(POLICIES[0],),
        key_id="alias/app"),
    Put("c", SealedText("a,b"), "StringList", overwrite=False, description="d", allowed_pattern="[a-z,]+"),
)  # fmt: skip
Step = Callable[[Bench, Store], object]


def fitting(put: Put) -> Put:
    """A key only with a SecureString: that is what `Put` asks of its callers."""
    key = put.key_id if put.type == "SecureString" else None
    return Put(put.name, put.text, put.type, put.overwrite, put.description, put.allowed_pattern, put.tier,
               put.policies, put.data_type, key, put.tags)  # fmt: skip


STEPS: st.SearchStrategy[Step] = st.one_of(
    PUTS.map(lambda put: lambda _, store: store.put(fitting(put))),
    PUTS.map(lambda put: lambda _, store: store.put(fitting(put))),
    st.tuples(NAMES, TAGS).map(lambda result: lambda _, store: store.add_tags(*result)),
    st.tuples(NAMES, st.just(["k", "absent"])).map(
        lambda result: lambda _, store: store.remove_tags(*result)
    ),
    st.sets(NAMES, min_size=1, max_size=3).map(lambda names: lambda _, store: store.delete(sorted(names))),
    st.sampled_from([1, 31]).map(
        lambda passed: lambda bench, _: bench.clock.advance(timedelta(seconds=passed))
    ),
)
READINGS = st.builds(AwsBehaviour, **{fact: st.sampled_from(readings) for fact, readings in facts().items()})


def answer(step: Step, bench: Bench, store: Store) -> object:
    try:
        return step(bench, store)
    except StoreError as failure:
        return (failure.kind, failure.code, failure.operation)


def shown(store: Store) -> object:
    """All that a reader can see, but for who wrote it."""
    found = {one.name: one for page in store.describe() for one in page}
    values = store.values([*found, *(f"{name}:1" for name in found)], decrypt=True)
    return (
        {name: [getattr(one, slot) for slot in one.__slots__ if slot != "last_modified_user"]
         for name, one in found.items()},
        {name: (value.text.reveal(), value.version, value.type) for name, value in values.found.items()},
        values.missing,
        {name: store.tags(name) for name in found},
        dict(chain.from_iterable(page.items() for page in store.tagged())),
    )  # fmt: skip


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.large
@pytest.mark.usefixtures("credentials")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(readings=READINGS, steps=st.lists(STEPS, min_size=1, max_size=10))
def test_both_stores_give_the_same_answers(readings: AwsBehaviour, steps: list[Step]) -> None:
    clock = FakeClock()
    with StrictMoto(readings, clock=clock) as strict:
        benches: list[Bench] = [MemoryBench(readings, ()), MotoBench(strict, clock)]
        for bench in benches:
            bench.add_key("alias/app")
            bench.add_key("alias/off")
            bench.set_key("alias/off", KeyState.DISABLED)
        stores = [bench.store() for bench in benches]
        for seed in SEEDS:
            assert [store.put(seed) for store in stores] == [1, 1]
        for step in steps:
            ours, theirs = (answer(step, bench, store) for bench, store in zip(benches, stores, strict=True))
            assert ours == theirs
        assert shown(stores[0]) == shown(stores[1])
