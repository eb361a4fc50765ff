"""AWS in memory: accounts x regions, created when first used, and the calls to them.

A `World` is what the memory store reads and writes. Tests arrange it with `put`, `delete`, `tag` and
friends: what other people do, neither written down as calls nor struck by faults, yet by AWS's rules.

    world = World(clock)
    here = world.place("us-east-1")
    world.put(here, "/prod/url", "https://...", tags={"team": "a"})
    store = MemoryStore(world, here)
    world.faults = at_write(3, lost(done=True))        what goes wrong     (traffic.py)
    world.before("PutParameter", lambda: ...)          what others do between two calls
    world.readings, world.lag, world.pages             what kind of AWS this is
    world.higher_throughput.add(here)                  the setting of an account and region is on
    world.calls, world.state(), world.value(here, n)   what came of it
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ssm_reconcile.aws_limits import partition_of
from ssm_reconcile.model import KeyState, Parameter, Place, SealedText, Tags, canonical
from ssm_reconcile.system import Clock
from tests.fake_aws.behaviour import AwsBehaviour, Expired
from tests.fake_aws.policies import is_past
from tests.fake_aws.region import Region, Stored
from tests.fake_aws.request import Request, parse_policies
from tests.fake_aws.traffic import Call, FaultPlan, Traffic

ACCOUNT = "123456789012"
SOMEBODY = "arn:aws:iam::123456789012:user/another-writer"
_SALT = secrets.token_bytes(16)


@dataclass(frozen=True, slots=True)
class Lag:
    """Time until a write is visible. AWS documents no limit of it.

    `describe`: DescribeParameters; `resources`: tag:GetResources; `values`: GetParameters.
    """

    describe: timedelta = timedelta()
    resources: timedelta = timedelta()
    values: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Pages:
    """The sizes of pages, repeated in turn; none means full pages. Zero is an empty page with a token."""

    describe: tuple[int, ...] = ()
    resources: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One parameter, for comparing worlds: no value, but a digest of it that differs when it does."""

    parameter: Parameter
    value: bytes = field(repr=False)
    tags: tuple[tuple[str, str], ...]


class World:
    """Everything that AWS holds, in one process. Thread-safe; all effects are one at a time."""

    def __init__(
        self,
        clock: Clock,
        readings: AwsBehaviour | None = None,
        *,
        lag: Lag | None = None,
        pages: Pages | None = None,
    ) -> None:
        self.clock = clock
        self.readings = readings or AwsBehaviour()
        self.lag = lag or Lag()
        self.pages = pages or Pages()
        self.traffic = Traffic()
        self.higher_throughput: set[Place] = set()
        self._regions: dict[Place, Region] = {}

    # What kind of world, and what happens in it

    @property
    def calls(self) -> list[Call]:
        """All calls so far, in order."""
        return self.traffic.calls

    @property
    def faults(self) -> FaultPlan | None:
        """The fault plan; None: no faults."""
        return self.traffic.faults

    @faults.setter
    def faults(self, plan: FaultPlan | None) -> None:
        self.traffic.faults = plan

    def before(
        self, operation: str, act: Callable[[], object], *, name: str | None = None, times: int = 1
    ) -> None:
        """Has something happen right before the next call of an operation (see `Traffic.before`)."""
        self.traffic.before(operation, act, name=name, times=times)

    def place(self, region: str, account: str = ACCOUNT) -> Place:
        """A place of this world, in the partition of its region."""
        return Place(account, region, partition_of(region))

    def region(self, place: Place) -> Region:
        """Return the content of a place; empty at the first use."""
        with self.traffic.lock:
            if place not in self._regions:
                self._regions[place] = Region(place, self.readings)
            return self._regions[place]

    # What other people do

    def put(
        self,
        place: Place,
        name: str,
        value: str,
        type: str = "String",  # noqa: A002 (as AWS names it)
        *,
        tags: Tags | None = None,
        user: str = SOMEBODY,
        policies: Sequence[str] = (),
        **fields: str,
    ) -> int:
        """Create or overwrite a parameter, as another writer. `fields` are those of `Request`."""
        with self.traffic.lock:
            there = canonical(name) in self.region(place).parameters
            text = f"[{','.join(policies)}]" if policies else None
            pairs = None if tags is None or there else tuple(tags.items())
            request = Request(
                name, SealedText(value), type, overwrite=there, policies=text, tags=pairs, **fields
            )
            version = self.write(place, request, user)
            if there and tags is not None:
                self.tag(place, name, tags)
            return version

    def write(self, place: Place, request: Request, user: str) -> int:
        """PutParameter by anybody: the version, or a `Refusal`."""
        with self.traffic.lock:
            version = self.region(place).put(request, self.clock.now(), user)
            if self.readings.past_expiration is Expired.DELETED:
                self.expire(place)
            return version

    def delete(self, place: Place, *names: str) -> None:
        """Delete parameters, as another writer."""
        with self.traffic.lock:
            for name in names:
                self.region(place).delete(name, self.clock.now())

    def tag(self, place: Place, name: str, tags: Tags) -> None:
        """Tag a parameter, as another writer; `aws:` tags are accepted too, as CloudFormation sets them."""
        with self.traffic.lock:
            self.region(place).tag(name, tags, self.clock.now(), by_aws=True)

    def untag(self, place: Place, name: str, *keys: str) -> None:
        """Remove tags, as another writer."""
        with self.traffic.lock:
            self.region(place).untag(name, keys, self.clock.now())

    def label(self, place: Place, name: str, version: int, label: str) -> None:
        """Label a version, as another writer."""
        with self.traffic.lock:
            self.region(place).label(name, version, label, self.clock.now())

    def expire(self, place: Place) -> frozenset[str]:
        """AWS deletes what has expired: the names. It does so now and then; here when asked."""
        with self.traffic.lock:
            now, region = self.clock.now(), self.region(place)
            due = frozenset(name for name, stored in region.parameters.items() if _is_due(stored, now))
            self.delete(place, *due)
            return due

    # Keys

    def add_key(self, place: Place, alias: str, *, multi_region: bool = False) -> str:
        """A new KMS key with an alias: its ARN. Multi-Region keys of one alias are replicas."""
        with self.traffic.lock:
            region = self.region(place)
            key = region.add_key(alias, multi_region=multi_region)
            region.aliases[alias] = key.key_id
            return key.arn

    def point_alias(self, place: Place, alias: str, reference: str) -> None:
        """Points an alias at another key; what was encrypted stays under the old one."""
        with self.traffic.lock:
            key = self.region(place).key(reference)
            if key is None:
                raise LookupError(reference)
            self.region(place).aliases[alias] = key.key_id

    def set_key(self, place: Place, reference: str, state: KeyState) -> None:
        """Disables a key, or whatever the state says; MISSING removes it and keeps its aliases."""
        with self.traffic.lock:
            region = self.region(place)
            key = region.key(reference)
            if key is None:
                raise LookupError(reference)
            if state is KeyState.MISSING:
                del region.keys[key.key_id]
            else:
                region.keys[key.key_id] = replace(key, state=state)

    # What came of it

    def peek(self, place: Place, name: str) -> Stored | None:
        """A parameter with its history and tags."""
        return self.region(place).parameters.get(canonical(name))

    def value(self, place: Place, name: str) -> str | None:
        """The value of a parameter in clear, for tests."""
        found = self.peek(place, name)
        return None if found is None else found.latest.settled.value.reveal()

    def tags(self, place: Place, name: str) -> dict[str, str] | None:
        """The tags of a parameter."""
        found = self.peek(place, name)
        return None if found is None else dict(found.tags)

    def names(self, place: Place) -> list[str]:
        """The canonical names of a place, sorted."""
        return sorted(self.region(place).parameters)

    def state(self, places: Iterable[Place] | None = None) -> Mapping[Place, Mapping[str, Seen]]:
        """All that the world holds, to be compared with another moment of it, or another world."""
        with self.traffic.lock:
            wanted = sorted(self._regions) if places is None else places
            return {
                place: {name: _seen(stored) for name, stored in sorted(self.region(place).parameters.items())}
                for place in wanted
            }

    def snapshot(self) -> Mapping[Place, Region]:
        """The world as it is, to come back to with `restore`. Cheap: what is stored never changes."""
        with self.traffic.lock:
            return {place: region.copy() for place, region in self._regions.items()}

    def restore(self, snapshot: Mapping[Place, Region]) -> None:
        """Puts the world back to a snapshot. The log of calls, faults and the clock stay as they are."""
        with self.traffic.lock:
            self._regions = {place: region.copy() for place, region in snapshot.items()}


def _is_due(stored: Stored, now: datetime) -> bool:
    return any(
        is_past(policy, now)
        for text in stored.latest.settled.policies
        for policy in parse_policies(f"[{text}]") or ()
    )


def _seen(stored: Stored) -> Seen:
    text = stored.latest.settled.value.reveal()
    return Seen(
        parameter=stored.latest.parameter,
        value=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=_SALT, digest_size=16).digest(),
        tags=tuple(sorted(stored.tags.items())),
    )
