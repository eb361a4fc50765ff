"""The stores that have to keep the same promises, each on a bench where tests can arrange its world."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from functools import cache

import pytest

from ssm_reconcile.model import Access, KeyState, SealedText, Tags
from ssm_reconcile.stores.base import Put, Store
from ssm_reconcile.stores.session import ClientFactory, Clients
from ssm_reconcile.stores.ssm import Aws
from tests.doubles.clock import FakeClock
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.behaviour import AwsBehaviour
from tests.fake_aws.store import Memory
from tests.fake_aws.world import Pages, World

HERE = "us-east-1"


class Bench(ABC):
    """One kind of store with all that a test has to arrange around it."""

    clock: FakeClock

    @abstractmethod
    def store(self, region: str = HERE) -> Store: ...

    @abstractmethod
    def add_key(self, alias: str, region: str = HERE) -> str: ...

    @abstractmethod
    def set_key(self, reference: str, state: KeyState) -> None: ...

    @abstractmethod
    def label(self, name: str, version: int, label: str) -> None: ...

    def rest(self) -> None:
        """Lets the half minute pass that a name needs after its delete."""
        self.clock.advance(timedelta(seconds=31))


class MemoryBench(Bench):
    def __init__(self, readings: AwsBehaviour, sizes: tuple[int, ...]) -> None:
        self.clock = FakeClock()
        self.world = World(self.clock, readings, pages=Pages(describe=sizes, resources=sizes))

    def store(self, region: str = HERE) -> Store:
        return Memory(self.world).connect(Access(region))

    def add_key(self, alias: str, region: str = HERE) -> str:
        return self.world.add_key(self.world.place(region), alias)

    def set_key(self, reference: str, state: KeyState) -> None:
        self.world.set_key(self.world.place(HERE), reference, state)

    def label(self, name: str, version: int, label: str) -> None:
        self.world.label(self.world.place(HERE), name, version, label)


class SharedClients(ClientFactory):
    """Clients that all tests share: to create them takes longer than most tests. They keep no state."""

    def create(self, access: Access) -> Clients:
        return created(access.region)


@cache
def created(region: str) -> Clients:
    return ClientFactory(None, None, FakeClock(), lambda: 0.5, 1).create(Access(region))


class MotoBench(Bench):
    def __init__(self, strict: StrictMoto, clock: FakeClock) -> None:
        self.clock = clock
        self.strict = strict

    def store(self, region: str = HERE) -> Store:
        # Not the clock of the double: its rates would let time pass between two calls.
        aws, clock = Aws(clock=FakeClock(), parallelism=1), FakeClock()
        aws._clients = SharedClients(None, None, clock, lambda: 0.5, 1)
        return aws.connect(Access(region))

    def add_key(self, alias: str, region: str = HERE) -> str:
        import boto3

        kms = boto3.client("kms", region)
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        return key["Arn"]

    def set_key(self, reference: str, state: KeyState) -> None:
        import boto3

        kms = boto3.client("kms", HERE)
        key_id = kms.describe_key(KeyId=reference)["KeyMetadata"]["KeyId"]
        if state is KeyState.DISABLED:
            kms.disable_key(KeyId=key_id)
        else:
            kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)

    def label(self, name: str, version: int, label: str) -> None:
        import boto3

        boto3.client("ssm", HERE).label_parameter_version(Name=name, ParameterVersion=version, Labels=[label])


def secret(name: str, text: str = "s3cret", *, overwrite: bool = False, key: str | None = None) -> Put:
    return Put(name, SealedText(text), "SecureString", overwrite, key_id=key or "alias/aws/ssm")


def plain(name: str, text: str = "value", *, overwrite: bool = False, tags: Tags | None = None) -> Put:
    return Put(name, SealedText(text), "String", overwrite, tags=tags)


@pytest.fixture(params=["memory", "moto"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def readings() -> AwsBehaviour:
    return AwsBehaviour()


@pytest.fixture
def sizes() -> tuple[int, ...]:
    """Sizes of pages; none: full ones. Tests of paging override it."""
    return ()


@pytest.fixture
def bench(
    kind: str, readings: AwsBehaviour, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    if kind == "memory":
        yield MemoryBench(readings, sizes)
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    clock = FakeClock()
    with StrictMoto(readings, clock=clock, pages=sizes, resource_pages=sizes) as strict:
        yield MotoBench(strict, clock)


@pytest.fixture
def store(bench: Bench) -> Store:
    return bench.store()
