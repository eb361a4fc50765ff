"""The requests of one probe: names, counts, rates and time are checked here before a request is sent.

Every request of `doctor --probe` goes through `ProbeCalls`. A write outside of the area of this run raises an
exception before it is sent. Only the clean-up deletes parameters: by names whose own tags, read right before,
show the run. An overwrite is sent only for a name that this run has created, since AWS creates a missing
parameter without tags. Each PutParameter asks for the Standard tier: without Tier, AWS takes the default tier
of the account, which may be Advanced.

The clean-up comes out of the ten minutes of the run: before each request, the time that it needs for the
parameters created so far is estimated. Probing ends when only that time is left.
"""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ssm_reconcile.aws_limits import NAMES_PER_CALL
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Tags, canonical, sorted_tags
from ssm_reconcile.record import PREFIX
from ssm_reconcile.stores.base import RequestStore
from ssm_reconcile.stores.wire import moment_of, tags_of
from ssm_reconcile.system import Clock, Stop

PROBE_TAG = PREFIX + "probe"
"""The tag of each parameter of a probe; its value is the id of the run."""
RUN_ID = re.compile(r"[0-9a-f]{12}")
PROBE_SECONDS = 600.0
"""Time of a run, the clean-up included."""
MOST_PARAMETERS = 300
"""Creates that a run sends, also those that AWS refuses."""
READS_PER_SECOND = 20
"""Reads of any kind that a run sends in a second: running applications share their quotas."""
ABSENT = "absent"
"""The level of names that are never created. Deletes of such names are measured."""

_READ_WINDOW = 1.05
"""Seconds in which READS_PER_SECOND reads are sent: more than one, since requests arrive unevenly."""
_WRITTEN_NAME = {"PutParameter": "Name", "AddTagsToResource": "ResourceId", "LabelParameterVersion": "Name"}
"""The argument that names the parameter of a write."""
_READS = frozenset({
    "DescribeParameters", "GetParameters", "GetParametersByPath", "GetResources", "ListTagsForResource",
})  # fmt: skip
_PASSING = frozenset({Trouble.LOST, Trouble.THROTTLED, Trouble.UNREACHABLE})
_MAY_EXIST = frozenset({Trouble.EXISTS, Trouble.LOST})
"""Failures of a create after which the parameter may exist."""
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each repetition of a request that AWS throttled or did not answer."""
_CLEAN_UP_SECONDS = 30.0
"""Time of a clean-up without parameters: listings, and pauses after throttling."""
_TAG_READS_PER_SECOND = 4.0
"""Tags read in a second by the clean-up, until a probe has measured less."""
_MISSING_SECONDS = 5.0
"""Time between two reads of a missing parameter, after which it counts as deleted."""
_MOST_LISTED = 2 * MOST_PARAMETERS
"""Names that a listing returns at most: a path with more of them is not one of a probe."""


def is_throttled(failure: StoreError) -> bool:
    """Whether a quota throttled a request; two changes of one parameter at a time are not a quota."""
    return failure.kind is Trouble.THROTTLED and failure.code != "TooManyUpdates"


class ProbeEnd(StrEnum):
    """The reason for which a probe ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    TIME = "time"
    FAILED = "failed"


class ProbeEndError(Exception):
    """No further request of the probe may be sent; the clean-up follows.

    Args:
        end: The reason.
        trouble: The failure, for `ProbeEnd.FAILED`.
        remedy: What to do about it.
    """

    def __init__(self, end: ProbeEnd, trouble: str = "", remedy: str = "") -> None:
        super().__init__(trouble or end.value)
        self.end, self.trouble, self.remedy = end, trouble, remedy


@dataclass(frozen=True, slots=True)
class ProbeArea:
    """The names that one run may write, and the tags of each of its parameters.

    Attributes:
        path: The path that the user gave; nothing else is below it.
        run: The id of the run.
        skip_tags: Keys of tags that opt a parameter out of replication.
    """

    path: str
    run: str
    skip_tags: tuple[str, ...] = ("skip_sync",)

    @property
    def prefix(self) -> str:
        """The start of each name of this run."""
        return f"{self.path}/{self.run}/"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of each parameter of this run, set at its creation."""
        return {**dict.fromkeys(self.skip_tags, "true"), PROBE_TAG: self.run}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The tags of each parameter of this run, as an argument of AWS."""
        return [{"Key": key, "Value": value} for key, value in sorted_tags(self.tags)]

    def run_of(self, name: str, tags: Tags) -> str | None:
        """Return the id of the run that created a parameter; None if its name and its tag do not show one."""
        level = name.removeprefix(f"{self.path}/").partition("/")[0]
        return level if RUN_ID.fullmatch(level) and tags.get(PROBE_TAG) == level else None


@dataclass(frozen=True, slots=True)
class Remains:
    """The result of a clean-up.

    Attributes:
        deleted: Parameters that this clean-up deleted.
        remaining: Names of probe parameters that may still exist.
        foreign: Names below the path that no probe has created; they were not touched.
        trouble: The failure that ended the clean-up; empty without one.
    """

    deleted: int = 0
    remaining: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class DeleteResult:
    """The result of one delete.

    Attributes:
        gone: Names that do not exist any more.
        foreign: Names that exist, and whose tags do not show a run that may be deleted.
        failure: The first failure; the other names are not deleted.
    """

    gone: frozenset[str]
    foreign: frozenset[str]
    failure: StoreError | None = None


class ProbeCalls:
    """Sends the requests of one run. Thread-safe; `tag_rate` may be lowered to a measured rate."""

    def __init__(self, sender: RequestStore, area: ProbeArea, clock: Clock, stop: Stop) -> None:
        """Start the ten minutes of the run.

        Args:
            sender: Sends single requests to the place.
            area: The names that may be written.
            clock: Time and waiting.
            stop: The request to stop.
        """
        self.area = area
        self.place = str(sender.place)
        self.clock = clock
        self.tag_rate = _TAG_READS_PER_SECOND
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self.created = 0
        self._sent_creates = 0
        self._sender = sender
        self._stop = stop
        self._started = clock.monotonic()
        self._existing: dict[str, None] = {}
        self._missing: dict[str, float] = {}
        self._listed: tuple[str, ...] = ()
        self._checked: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._reads: deque[float] = deque(maxlen=READS_PER_SECOND)
        self._durations: deque[float] = deque((0.1,), maxlen=20)

    @property
    def seconds(self) -> float:
        """The time since the start of the run."""
        return self.clock.monotonic() - self._started

    @property
    def latency(self) -> float:
        """The mean time of the last requests, in seconds."""
        with self._lock:
            return sum(self._durations) / len(self._durations)

    def may_exist(self) -> tuple[str, ...]:
        """Return the names that this run has created and not deleted."""
        return tuple(self._existing)

    def may_remain(self) -> tuple[str, ...]:
        """Return these names and those that a clean-up deletes now; callable in a signal handler."""
        return tuple(dict.fromkeys((*self._existing, *self._listed)))

    def create(self, level: str, **arguments: Any) -> str:
        """Create a parameter with the tags of the run and return its name.

        Args:
            level: The part of the name below the area.
            **arguments: Further arguments of PutParameter; Value and Type are required.

        Raises:
            StoreError: AWS refused the request.
            ProbeEndError: No further request may be sent.
        """
        name = f"{self.area.prefix}{level}"
        tags = self.area.tag_list
        self.probe("PutParameter", Name=name, Overwrite=False, Tier="Standard", Tags=tags, **arguments)
        return name

    def probe(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Send one request of the probe and return the response.

        Args:
            operation: The operation of the AWS API.
            **arguments: Its arguments.

        Raises:
            StoreError: AWS refused the request.
            ProbeEndError: The run was asked to stop, only the time of the clean-up is left, the credentials
                have ended, or an overwrite has created its parameter.
            ValueError: The request is outside of the area of this run, or one create too many.
        """
        self.check_open()
        try:
            answer = self._send(operation, arguments, check=self.check_open)
        except StoreError as failure:
            if failure.kind is Trouble.CREDENTIALS:
                raise ProbeEndError(ProbeEnd.FAILED, str(failure), failure.remedy) from failure
            raise
        if arguments.get("Overwrite") and answer.get("Version") == 1:
            self._tag_again(str(arguments["Name"]))
        return answer

    def _tag_again(self, name: str) -> None:
        """Add the tags of the run to a parameter that an overwrite has created, and end the run.

        Version 1 shows that another writer had deleted it. The tags let the clean-up delete it.
        """
        trouble = f"another writer deleted {name}: is another probe running on this path?"
        try:
            self.persist(
                "AddTagsToResource", ResourceType="Parameter", ResourceId=name, Tags=self.area.tag_list
            )
        except StoreError as failure:
            trouble = f"{trouble} It may exist without tags: {failure}"
        raise ProbeEndError(ProbeEnd.FAILED, trouble)

    def check_open(self) -> None:
        """Check that the probe may go on.

        Raises:
            ProbeEndError: The run was asked to stop, or only the time of the clean-up is left.
        """
        if self._stop.is_set():
            raise ProbeEndError(ProbeEnd.INTERRUPTED)
        if self.seconds + self._clean_up_seconds() > PROBE_SECONDS:
            raise ProbeEndError(ProbeEnd.TIME)

    def wait(self, seconds: float) -> None:
        """Wait in short intervals, so that a request to stop is noticed.

        Raises:
            ProbeEndError: The run was asked to stop, or only the time of the clean-up is left.
        """
        until = self.clock.monotonic() + seconds
        self.check_open()
        while (left := until - self.clock.monotonic()) > 0:
            self.clock.sleep(min(left, 1.0))
            self.check_open()

    def persist(self, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """Send a request that may be repeated: again after throttling, and also after a request to stop.

        Args:
            operation: The operation of the AWS API.
            **arguments: Its arguments.

        Raises:
            StoreError: The last attempt failed, or the ten minutes are over.
        """
        for pause in (*_PAUSES, None):
            try:
                return self._send(operation, arguments)
            except StoreError as failure:
                if failure.kind not in _PASSING or pause is None or self._is_late(pause):
                    raise
            self.clock.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def list_below(self) -> Iterator[tuple[str, datetime]]:
        """Yield each name below the path with its LastModifiedDate; no value is decrypted, and none is kept.

        Names may repeat.

        Raises:
            StoreError: The path could not be listed.
        """
        token: str | None = None
        count = 0
        while True:
            page = self.persist(
                "GetParametersByPath",
                Path=self.area.path, Recursive=True, WithDecryption=False, MaxResults=10,
                **({} if token is None else {"NextToken": token}),
            )  # fmt: skip
            found = page.get("Parameters", ())
            yield from ((canonical(one["Name"]), moment_of(one["LastModifiedDate"])) for one in found)
            count += len(found)
            token = page.get("NextToken")
            if not token or count > _MOST_LISTED:
                return

    def tags(self, name: str) -> Tags | None:
        """Return the tags of a parameter; None if it does not exist.

        Raises:
            StoreError: The tags could not be read.
        """
        self.clock.sleep(1 / self.tag_rate)
        try:
            answer = self.persist("ListTagsForResource", ResourceType="Parameter", ResourceId=name)
        except StoreError as failure:
            if failure.kind is not Trouble.MISSING:
                raise
            return None
        return tags_of(answer.get("TagList", ()))

    def delete(self, names: Sequence[str], *, any_run: bool = False) -> DeleteResult:
        """Delete up to ten parameters whose own tags show this run, or any run. Never raise.

        When no time is left, the rest of the names is not deleted.

        Args:
            names: The names.
            any_run: Whether parameters of other runs below the path are deleted as well.
        """
        found: dict[str, Tags | None] = {}
        failures: list[StoreError] = []
        for name in names:
            if self._is_late(1 / self.tag_rate, requests=2):
                break
            try:
                found[name] = self.tags(name)
            except StoreError as failure:
                failures.append(failure)
        gone: set[str] = set()
        missing = {name for name, tags in found.items() if tags is None}
        shown = {name: self.area.run_of(name, tags) for name, tags in found.items() if tags is not None}
        ours = sorted(name for name, run in shown.items() if run and (any_run or run == self.area.run))
        if ours and not self._is_late(0.0):
            with self._lock:
                self._checked = frozenset(ours)
            try:
                answer = self._send("DeleteParameters", {"Names": ours})
            except StoreError as failure:
                failures.append(failure)
            else:
                gone = {canonical(name) for name in answer.get("DeletedParameters", ())}
                missing |= {canonical(name) for name in answer.get("InvalidParameters", ())}
        gone |= {name for name in missing if self._is_gone(name)}
        for name in gone:
            self._existing.pop(name, None)
        foreign = frozenset(shown) - frozenset(ours)
        return DeleteResult(frozenset(gone), foreign, failures[0] if failures else None)

    def _is_gone(self, name: str) -> bool:
        """Whether a missing parameter is gone: one that this run has created may not be visible yet."""
        now = self.clock.monotonic()
        return name not in self._existing or now - self._missing.setdefault(name, now) >= _MISSING_SECONDS

    def clean_up(self, *, any_run: bool = False) -> Remains:
        """Delete the parameters of this run, or of all runs, and return the names that remain. Never raise.

        The names are those that this run has created and those that are listed, since a listing may lag. It
        is repeated until a listing shows nothing of a run, at most until the ten minutes are over.
        """
        foreign, gone, remaining = set[str](), set[str](), set[str]()
        failure: StoreError | None = None
        for pause in (*_PAUSES, 0.0):
            remaining, failure = self._known()
            remaining -= foreign
            wanted = sorted(remaining)
            self._listed = tuple(wanted)
            for batch in (wanted[at : at + NAMES_PER_CALL] for at in range(0, len(wanted), NAMES_PER_CALL)):
                if self._is_late(0.0):
                    break
                found = self.delete(batch, any_run=any_run)
                failure = failure or found.failure
                remaining -= found.gone | found.foreign
                gone |= found.gone
                foreign |= found.foreign
                self._listed = tuple(sorted(remaining))
            is_final = failure is not None and failure.kind not in _PASSING
            if not wanted or is_final or self._is_late(pause):
                break
            self.clock.sleep(pause)
        return Remains(len(gone), tuple(sorted(remaining)), tuple(sorted(foreign)), str(failure or ""))

    def _known(self) -> tuple[set[str], StoreError | None]:
        """Return the names that may be of a run, and the failure of the listing."""
        known = set(self.may_exist())
        try:
            known |= {name for name, _ in self.list_below()}
        except StoreError as failure:
            return known, failure
        return known, None

    def _is_late(self, pause: float, requests: int = 1) -> bool:
        """Whether no time is left for a pause and some requests, as slow as the last ones."""
        latency = max(self.latency, self._durations[-1])
        return self.seconds + pause + requests * latency > PROBE_SECONDS

    def _clean_up_seconds(self) -> float:
        """Return the time that the clean-up of the existing parameters and of one more takes at most."""
        latency = 1.5 * self.latency
        count = len(self._existing) + 1
        batches = count / NAMES_PER_CALL + 1
        return _CLEAN_UP_SECONDS + count * (latency + 1 / self.tag_rate) + 4 * batches * latency

    def _send(
        self, operation: str, arguments: Mapping[str, Any], check: Callable[[], None] = lambda: None
    ) -> Mapping[str, Any]:
        self._admit(operation, arguments)
        if operation in _READS:
            self._await_read(check)
        with self._lock:
            self.calls[operation] += 1
        began = self.clock.monotonic()
        try:
            return self._sender.send(operation, arguments)
        except StoreError as failure:
            with self._lock:
                self.throttled[operation] += is_throttled(failure)
                if arguments.get("Overwrite") is False and failure.kind not in _MAY_EXIST:
                    self._existing.pop(arguments["Name"], None)
                    self.created -= 1
            raise
        finally:
            with self._lock:
                self._durations.append(self.clock.monotonic() - began)

    def _await_read(self, check: Callable[[], None]) -> None:
        """Wait until a read may be sent. The lock is held meanwhile: the others wait behind this one."""
        with self._reading:
            while len(self._reads) == READS_PER_SECOND:
                left = self._reads[0] + _READ_WINDOW - self.clock.monotonic()
                if left <= 0:
                    break
                self.clock.sleep(left)
                check()
            self._reads.append(self.clock.monotonic())

    def _admit(self, operation: str, arguments: Mapping[str, Any]) -> None:
        """Refuse every request that is not one of this run; raise ValueError."""
        if operation in _READS:
            return
        if operation == "DeleteParameters":
            names = frozenset(arguments["Names"])
            absent = all(name.startswith(f"{self.area.prefix}{ABSENT}/") for name in names)
            with self._lock:
                checked, self._checked = self._checked, frozenset()
            if not absent and not names <= checked:
                raise ValueError("a delete of names whose tags were not read right before")
            return
        name = str(arguments[_WRITTEN_NAME[operation]])
        if not name.startswith(self.area.prefix):
            raise ValueError(f"{operation} outside of {self.area.prefix}")
        if operation == "PutParameter" and arguments.get("Tier") != "Standard":
            raise ValueError("a PutParameter that does not ask for the Standard tier")
        if operation != "PutParameter" or arguments["Overwrite"]:
            if name not in self._existing:
                raise ValueError(f"{operation} of a parameter that this run has not created")
            return
        tags = tags_of(arguments["Tags"])
        if name.startswith(f"{self.area.prefix}{ABSENT}/") or not self.area.tags.items() <= tags.items():
            raise ValueError("a create without the tags of the run, or of a name that is not created")
        with self._lock:
            if self._sent_creates >= MOST_PARAMETERS:
                raise ValueError(f"more than {MOST_PARAMETERS} creates")
            self._sent_creates += 1
            self.created += 1
            self._existing[name] = None
