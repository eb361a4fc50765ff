"""A store in memory: one place of a `World`, as one identity sees it; no AWS, no network, no waiting.

It keeps the promises of `base` and refuses what AWS refuses (`rules`), and each method costs the calls
that it would cost at AWS: pages of fifty and a hundred, batches of ten, filters that still walk every
page (issue boto/boto3#1079). Nothing is retried in here: a fault that a world plans is the last word.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import cycle, islice
from typing import Any, TypeAlias, TypeVar

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import STANDARD, Access, Key, Parameter, Place, SealedText, Tags, Value, canonical
from ssm_reconcile.stores.base import Answers, PastVersion, Put, Settings
from ssm_reconcile.stores.buckets import Bucket, Rates
from ssm_reconcile.stores.wire import batches
from tests.fake_aws.keys import Keyhole
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.region import Region, Stored, Version
from tests.fake_aws.request import request_of
from tests.fake_aws.requests import Responder, names_of
from tests.fake_aws.rules import BATCH, PAGE, RESOURCES_PAGE, admit_names
from tests.fake_aws.traffic import AWAIT_TURN, Call
from tests.fake_aws.world import ACCOUNT, World

_Answer = TypeVar("_Answer")
_OF_A_NAME = frozenset({Trouble.DENIED, Trouble.KEY, Trouble.MISSING, Trouble.REFUSED})
_PASSING = frozenset({Trouble.LOST, Trouble.THROTTLED})
_GIVE_UP_AFTER = 3
"""Batches that AWS would not answer: after so many it is the place, not the batch (as `values` has it)."""
Page: TypeAlias = tuple[Sequence[tuple[str, Stored]], str, bool]


@dataclass(slots=True)
class Memory:
    """Connects to places of a world, as `ssm.Aws` does to places of AWS: they share their rates.

    `account` is that of the default credentials; a role leads to its own account.
    """

    world: World
    account: str = ACCOUNT
    rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        self.rates = Rates(self.world.clock)

    def connect(self, access: Access) -> MemoryStore:
        """The store that an access leads to. Raises StoreError where the world plans it."""
        account = access.role_arn.split(":")[4] if access.role_arn else self.account
        place = self.world.place(access.region, account)
        self.world.traffic.perform(Call("GetCallerIdentity", place), lambda: None)
        buckets = self.rates.of(place, access.rates, read_only=access.read_only)
        return MemoryStore(self.world, place, buckets=buckets)


@dataclass(slots=True)
class _Work:
    """The result so far of one reading of values."""

    found: dict[str, Value]
    missing: set[str]
    failed: dict[str, StoreError]
    unanswered: int = 0


class MemoryStore:
    """Reads and writes one place of a world."""

    def __init__(
        self,
        world: World,
        place: Place,
        caller: str = "",
        buckets: Mapping[str, Bucket] | None = None,
    ) -> None:
        self.world = world
        self._place = place
        self._caller = caller or f"arn:{place.partition}:sts::{place.account}:assumed-role/ssm-reconcile/run"
        self._keys = Keyhole(world, place)
        self._buckets = Rates(world.clock).of(place) if buckets is None else buckets
        self._seen: dict[timedelta, tuple[object, View]] = {}

    @property
    def place(self) -> Place:
        """The place that this store reads and writes."""
        return self._place

    @property
    def caller(self) -> str:
        """The ARN that shows as LastModifiedUser."""
        return self._caller

    # Reader

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """Every parameter, by pages."""
        for page in self._scan(()):
            yield [stored.latest.parameter for stored in page]

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """The named parameters that exist; fifty names a scan."""
        wanted = sorted({canonical(name) for name in names})
        found: dict[str, Parameter] = {}
        for batch in _slices(wanted, PAGE):
            for page in self._scan(tuple(batch)):
                shown = (stored.latest.parameter for stored in page)
                found |= {canonical(p.name): p for p in shown if canonical(p.name) in batch}
                if all(name in found for name in batch):
                    break
        return found

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """The names of all parameters with that tag and one of the values (none given: any value)."""
        wanted = set(values)
        return frozenset(
            canonical(stored.latest.parameter.name)
            for page in self._scan(())
            for stored in page
            if key in stored.tags and (not wanted or stored.tags[key] in wanted)
        )

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """Tags of all that is or was tagged, by pages; as late as the world says."""
        sizes = self.world.pages.resources or (RESOURCES_PAGE,)
        for page in self._pages("GetResources", (), sizes, self.world.lag.resources):
            yield {name: dict(stored.tags) for name, stored in page}

    def tags(self, name: str) -> Tags | None:
        """The tags of one parameter as they are; None when it is not there."""
        try:
            return self._call("ListTagsForResource", (name,), lambda: dict(self._region.find(name).tags))
        except StoreError as failure:
            if failure.kind is Trouble.MISSING:
                return None
            raise

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Values, ten names a call; where a call fails on one of them, each is asked by itself."""
        work = _Work({}, set(), {})
        for batch in batches(map(canonical, names), BATCH):
            self._read(batch, work, decrypt=decrypt)
        return Answers(work.found, frozenset(work.missing), work.failed)

    def _read(self, batch: tuple[str, ...], work: _Work, *, decrypt: bool) -> None:
        """Fail single names for their own errors; raise errors of the place."""
        try:
            answer = self._call("GetParameters", batch, partial(self._get, batch, decrypt=decrypt))
        except StoreError as failure:
            if failure.kind in _OF_A_NAME and len(batch) > 1:
                for name in batch:
                    self._read((name,), work, decrypt=decrypt)
                return
            work.unanswered += failure.kind in _PASSING
            if failure.kind not in _OF_A_NAME | _PASSING or work.unanswered >= _GIVE_UP_AFTER:
                raise
            work.failed |= dict.fromkeys(batch, failure)
            return
        work.found |= answer
        work.missing |= set(batch) - set(answer)

    def _get(self, names: Sequence[str], *, decrypt: bool) -> dict[str, Value]:
        admit_names(names, self.world.readings)
        view = self._view(self.world.lag.values).stored
        versions = {name: _version_of(view, name) for name in names}
        return {name: self._value(v, decrypt=decrypt) for name, v in versions.items() if v is not None}

    def _value(self, version: Version, *, decrypt: bool) -> Value:
        shown, text = version.parameter, version.settled.value
        if shown.is_secret:
            if not decrypt:
                text = self._shown(version)
            elif version.key_arn is None or not self._keys.usable(version.key_arn):
                raise Refusal("InvalidKeyId", "KMS cannot use the key", Trouble.KEY)
        return Value(canonical(shown.name), shown.type, shown.version, shown.last_modified, text)

    def history(self, name: str) -> Sequence[PastVersion]:
        """All kept versions, oldest first, fifty a call; a SecureString is not decrypted."""
        found: list[PastVersion] = []
        more = True
        while more:
            page = partial(self._past, canonical(name), len(found))
            try:
                versions, more = self._call("GetParameterHistory", (name,), page)
            except StoreError as failure:
                if failure.kind is Trouble.MISSING:
                    return []
                raise
            found += versions
        return found

    def _past(self, name: str, start: int) -> tuple[list[PastVersion], bool]:
        stored = self._view(self.world.lag.values).stored.get(name)
        if stored is None:
            raise Refusal("ParameterNotFound", "the parameter does not exist", Trouble.MISSING)
        versions = stored.versions[start : start + PAGE]
        past = [PastVersion(one.parameter, self._shown(one)) for one in versions]
        return past, start + PAGE < len(stored.versions)

    def _shown(self, version: Version) -> SealedText:
        """The value without decryption."""
        shown = version.parameter
        encrypted = SealedText(f"encrypted:{self._place}:{shown.version}")
        return encrypted if shown.is_secret else version.settled.value

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Keys by the references that were given, asked once a store, or now."""
        return self._keys.resolve(references, fresh=fresh)

    def settings(self) -> Settings:
        """Return the settings of the place; the clock is the world's."""
        try:
            on = self.has_higher_throughput()
        except StoreError as failure:
            denied = failure.kind is Trouble.DENIED
            return Settings(moment=self.world.clock.now(), trouble=str(failure), denied=denied)
        return Settings(STANDARD, high_throughput=on, moment=self.world.clock.now())

    def has_higher_throughput(self) -> bool:
        """Whether the world has the setting on in this place."""
        return self._call("GetServiceSetting", (), lambda: self._place in self.world.higher_throughput)

    # Writer

    def await_turn(self, step: CallClass) -> None:
        """Never waits; what is to happen before `AwaitTurn` happens now, with the step as its name."""
        self.world.traffic.announce(Call(AWAIT_TURN, self._place, (step.value,)))

    def is_rate_set(self, kind: CallClass) -> bool:
        """Whether each access that writes here sets that rate."""
        return self._buckets[kind].is_set

    def set_default_rate(self, kind: CallClass, rate: float) -> None:
        """Use another default rate; no call waits for it."""
        self._buckets[kind].set_default(rate)

    def put(self, request: Put) -> int:
        """PutParameter: the version."""
        return self._call(
            "PutParameter",
            (request.name,),
            lambda: self.world.write(self._place, request_of(request), self._caller),
        )

    def add_tags(self, name: str, tags: Tags) -> None:
        """AddTagsToResource; without tags, no call is made."""
        if tags:
            effect = partial(self._region.tag, name, tags, self.world.clock.now())
            self._call("AddTagsToResource", (name,), effect)

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        """RemoveTagsFromResource; without keys, no call is made."""
        if keys:
            effect = partial(self._region.untag, name, keys, self.world.clock.now())
            self._call("RemoveTagsFromResource", (name,), effect)

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        """DeleteParameters: the names that are gone, whether they were there or not.

        Raises ValueError for more than ten, as the store of AWS does.
        """
        if len(names) > BATCH:
            message = f"DeleteParameters takes {BATCH} names, not {len(names)}"
            raise ValueError(message)

        def effect() -> frozenset[str]:
            admit_names(names, self.world.readings)
            self.world.delete(self._place, *names)
            return frozenset(canonical(name) for name in names)

        return self._call("DeleteParameters", tuple(names), effect) if names else frozenset()

    # RequestStore

    def send(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """One request with the arguments of boto3, and its response."""
        responder = Responder(self.world, self._place, self._caller)
        return self._call(operation, names_of(arguments), partial(responder.respond, operation, arguments))

    # How it is done

    @property
    def _region(self) -> Region:
        return self.world.region(self._place)

    def _call(self, operation: str, names: tuple[str, ...], effect: Callable[[], _Answer]) -> _Answer:
        return self._send(Call(operation, self._place, names), effect)

    def _send(
        self, call: Call, effect: Callable[[], _Answer], skip: Callable[[_Answer], _Answer] | None = None
    ) -> _Answer:
        """Send one request. Nothing waits and nothing is retried here; a subclass may do both."""
        return self.world.traffic.perform(call, effect, skip=skip)

    def _view(self, lag: timedelta) -> View:
        """Return the listing that is visible now, made once for as long as nothing changes."""
        moment = self.world.clock.now() - lag
        state = (self._region, len(self._region.changes), moment if lag else None)
        known = self._seen.get(lag)
        if known is None or known[0] != state:
            stored = self._region.as_of(moment)
            known = self._seen[lag] = (state, View(sorted(stored), dict(stored)))
        return known[1]

    def _scan(self, names: tuple[str, ...]) -> Iterator[Sequence[Stored]]:
        """One DescribeParameters to the end. A filter shortens its pages, not their number."""
        pages = self.world.pages.describe or (PAGE,)
        for page in self._pages("DescribeParameters", names, pages, self.world.lag.describe):
            yield [stored for _, stored in page]

    def _pages(
        self, operation: str, names: tuple[str, ...], sizes: Sequence[int], lag: timedelta
    ) -> Iterator[Sequence[tuple[str, Stored]]]:
        """A call a page, one for an empty listing too. Each page shows the world as it is by then.

        `GetResources` pages count only what was ever tagged.
        """
        listed, after = cycle(sizes), ""
        more = True
        while more:
            size = next(listed)
            page, after, more = self._send(
                Call(operation, self._place, names),
                partial(self._page, lag, after, size, tagged=operation == "GetResources"),
                lambda answer: ((), *answer[1:]),
            )
            yield page

    def _page(self, lag: timedelta, after: str, size: int, *, tagged: bool) -> Page:
        return self._view(lag).page(after, size, tagged=tagged)


@dataclass(frozen=True, slots=True)
class View:
    """One state of a place, in the order of names."""

    names: Sequence[str]
    stored: Mapping[str, Stored]

    def page(self, after: str, size: int, *, tagged: bool) -> Page:
        """The next entries after a name, the name to go on after, and whether there is more."""
        wanted: list[tuple[str, Stored]] = []
        for name in islice(self.names, bisect_right(self.names, after), None):
            stored = self.stored[name]
            if tagged and not stored.was_tagged:
                continue
            if len(wanted) == size:
                return wanted, wanted[-1][0] if wanted else after, True
            wanted.append((name, stored))
        return wanted, wanted[-1][0] if wanted else after, False


def _slices(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _version_of(view: Mapping[str, Stored], asked: str) -> Version | None:
    name, colon, selector = asked.partition(":")
    stored = view.get(name)
    if stored is None:
        return None
    if not colon:
        return stored.latest
    for version in reversed(stored.versions):
        if str(version.parameter.version) == selector or selector in version.labels:
            return version
    return None
