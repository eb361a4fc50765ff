"""An empty path of one account -> the rates that AWS allows there, and answers to open questions about AWS.

    check_path, find_overlap    the path, before any request
    Expectation                 the requests, events and seconds of a run, at most
    prepare                     the path is empty, and this identity may clean up; leftovers are deleted
    run_probe                   facts, rates, and the clean-up in every case

The only command that writes without a plan. `probe_calls` limits what it can write; times, stop and executor
are arguments. Cost: at most 300 Standard parameters for at most ten minutes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ssm_reconcile.aws_limits import LEVEL_LIMIT, CallClass, is_reserved_name
from ssm_reconcile.doctor import probe_facts, probe_rates
from ssm_reconcile.doctor.probe_calls import (
    ABSENT,
    PROBE_SECONDS,
    RUN_ID,
    ProbeArea,
    ProbeCalls,
    ProbeEnd,
    ProbeEndError,
    Remains,
)
from ssm_reconcile.doctor.probe_facts import CREATE_RATE, FactAnswer
from ssm_reconcile.doctor.probe_rates import RATE_PLANS, SPEC_SHARE, MeasuredRate, RateMeter, RatePlan
from ssm_reconcile.errors import StoreError, Trouble, UsageError
from ssm_reconcile.load.patterns import overlaps
from ssm_reconcile.model import Place
from ssm_reconcile.spec import Replication, RewriteIn
from ssm_reconcile.wording import first_of, plural, utc_text

_MOST_LEVELS = LEVEL_LIMIT - 3
"""Levels of the path; three follow."""
_CLEAN_UP_SHARE = 0.8
"""The part of the measured rate, or of the lowest throttled one, at which the clean-up reads tags."""
_LONGEST_PATH = 500
"""Characters of the path; names have about a thousand."""


def check_path(path: str) -> None:
    """Check the form of a path, without a request.

    Raises:
        UsageError: AWS does not accept names below it.
    """
    if not re.fullmatch(r"(?:/[A-Za-z0-9_.-]+)+", path):
        raise UsageError(f"--probe {path!r} is not a path", "write it as /level or /level/level")
    if is_reserved_name(path):
        message = f"--probe {path}: AWS reserves names that begin with aws or ssm"
        raise UsageError(message, "begin it with another word, such as /probe")
    if path.count("/") > _MOST_LEVELS or len(path) > _LONGEST_PATH:
        raise UsageError("--probe: the path leaves no room for names below it", "write a shorter path")


def find_overlap(path: str, specs: Iterable[Replication], account: str) -> str | None:
    """Return the pattern of a spec that may select, or place, a parameter at or below a path; None if none.

    Args:
        path: The path.
        specs: All replications of the spec.
        account: The account of places for which the spec names none.
    """
    for spec in specs:
        for include in spec.include:
            if any(overlaps(pattern, include.text) for pattern in _patterns(path, spec, account)):
                return f"{include.text} of {spec.name}"
    return None


def _patterns(path: str, spec: Replication, account: str) -> Iterator[str]:
    """Yield patterns of all source names that are, or are placed, at or below a path.

    A rewrite replaces its old text in a name. Where its new text may stand at the end of the path or before
    it, the name before the rewrite begins with the path up to there, and the old text.
    """
    below = f"{path}/"
    yield from (path, f"{below}**")
    source = Place(
        _account(spec.source.account, spec.source.access.role_arn, account), spec.source.access.region
    )
    for rule in (one for one in spec.rewrites if one.scope is RewriteIn.NAME):
        for target in spec.targets:
            there = _account(target.account, target.access.role_arn, account)
            change = rule.substitution(source, Place(there, target.access.region), target.name)
            for start in range(len(below)):
                rest = below[start:]
                if rest.startswith(change.new) or change.new.startswith(rest):
                    begin = below[:start] + change.old
                    yield from (begin.rstrip("/"), f"{begin}*", f"{begin.rstrip('/')}*/**")


def _account(given: str | None, role_arn: str | None, default: str) -> str:
    return given or (role_arn.split(":")[4] if role_arn else default)


@dataclass(frozen=True, slots=True)
class Expectation:
    """The numbers of one run, at most.

    Attributes:
        creates: Parameters that are created, and deleted again.
        updates: Updates of parameters.
        tag_changes: Changes of tags.
        requests: All requests, those of the clean-up included.
    """

    creates: int
    updates: int
    tag_changes: int
    requests: int

    @property
    def events(self) -> int:
        """The events `Parameter Store Change` on the event bus of the region; one is that of a label."""
        return 2 * self.creates + self.updates + 1

    @property
    def tag_events(self) -> int:
        """The events `Tag Change on Resource`: creates have tags."""
        return self.creates + self.tag_changes


def expect() -> Expectation:
    """Return the numbers of one run, at most: the limits of the measurements and of the facts."""
    requests = {plan.kind: plan.most_calls for plan in RATE_PLANS}
    burst = next(plan.burst for plan in RATE_PLANS if plan.kind is CallClass.PUT)
    apart = probe_rates.CREATES_AT_RATE + probe_rates.UPDATED_NAMES
    creates = probe_facts.MOST_CREATES + burst + apart
    clean_up = 2 * creates + len(RATE_PLANS) * 20
    return Expectation(
        creates=creates,
        updates=requests[CallClass.PUT] - burst + probe_facts.UPDATES,
        tag_changes=requests[CallClass.TAGS] + probe_facts.TAG_CHANGES,
        requests=sum(requests.values()) + creates - burst + probe_facts.MOST_READS + clean_up,
    )


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """The result of one run.

    Attributes:
        place: The account and region.
        area: The path, and the id of the run.
        high_throughput: The service setting; None if it could not be read.
        end: The reason for which probing ended.
        seconds: The time of the run, the clean-up included.
        created: Parameters that were created.
        rates: The measured rates.
        facts: The answers to open questions.
        calls: Requests by operation.
        throttled: Throttled requests by operation.
        leftovers: Parameters of earlier runs that were deleted.
        remains: The result of the clean-up.
        trouble: The failure that ended probing; empty without one.
        remedy: What to do about it; not in the JSON.
    """

    place: Place
    area: ProbeArea
    high_throughput: bool | None
    end: ProbeEnd
    seconds: float
    created: int
    rates: tuple[MeasuredRate, ...]
    facts: tuple[FactAnswer, ...]
    calls: Mapping[str, int]
    throttled: Mapping[str, int]
    leftovers: int
    remains: Remains
    trouble: str = ""
    remedy: str = ""

    @property
    def spec_rates(self) -> dict[str, float]:
        """The `rates` to put into the spec: only classes whose rate was found."""
        found = {str(one.kind): one.spec_rate for one in self.rates}
        return {kind: rate for kind, rate in sorted(found.items()) if rate is not None}

    @property
    def is_clean(self) -> bool:
        """Whether AWS lists nothing at the path any more."""
        remains = self.remains
        return not (remains.remaining or remains.foreign or remains.trouble)

    @property
    def exit_code(self) -> int:
        """3 something remains, 130 interrupted, 1 nothing was created, 3 a rate was not measured, else 0."""
        if not self.is_clean:
            return 3
        if self.end is ProbeEnd.INTERRUPTED:
            return 130
        if not self.created:
            return 1
        is_measured = self.end is ProbeEnd.COMPLETE and len(self.spec_rates) == len(RATE_PLANS)
        return 0 if is_measured else 3


def prepare(calls: ProbeCalls) -> Remains:
    """Check that the path is empty and that this identity may clean up; delete leftovers of earlier runs.

    Returns:
        The leftovers that were deleted, and those that could not be deleted.

    Raises:
        UsageError: The path holds parameters that no probe has created, or that a running probe may have
            created.
        StoreError: The path could not be listed, or a permission for the clean-up is missing.
    """
    path = calls.area.path
    if calls.persist("GetParameters", Names=[path], WithDecryption=False).get("Parameters"):
        raise UsageError(f"--probe {path}: a parameter has this name", "give a path that nothing uses")
    absent = f"{calls.area.prefix}{ABSENT}/check"
    listed = dict(calls.list_below())
    others = [name for name in listed if not RUN_ID.fullmatch(_level_below(path, name))]
    if others:
        raise _not_empty(path, others)
    _check_age(calls, max(listed.values(), default=None))
    try:
        calls.tags(absent)
        calls.probe("DeleteParameters", Names=[absent])
    except StoreError as failure:
        if not listed:
            raise
        return Remains(remaining=tuple(sorted(listed)), trouble=str(failure))
    found = calls.clean_up(any_run=True)
    if found.foreign:
        raise _not_empty(path, found.foreign)
    return found


def _check_age(calls: ProbeCalls, changed: datetime | None) -> None:
    """Check that the last change below the path is older than a run may be; raise UsageError."""
    if changed is None:
        return
    end = changed + timedelta(seconds=PROBE_SECONDS)
    if (seconds := (end - calls.clock.now()).total_seconds()) > 0:
        problem = "another probe may be running: a parameter changed less than ten minutes ago"
        minutes = plural(math.ceil(seconds / 60), "minute")
        remedy = f"run it again in {minutes}, after {utc_text(end)}, or give another path"
        raise UsageError(f"--probe {calls.area.path}: {problem}", remedy)


def _check_leftovers(found: Remains) -> None:
    """Check that no leftover remains; raise ProbeEndError."""
    if found.remaining or found.trouble:
        message = f"{plural(len(found.remaining), 'leftover')} of an earlier run could not be deleted"
        raise ProbeEndError(ProbeEnd.FAILED, message, "delete them by hand, or run it again later")


def _level_below(path: str, name: str) -> str:
    return name.removeprefix(f"{path}/").partition("/")[0]


def _not_empty(path: str, names: Sequence[str]) -> UsageError:
    message = f"--probe {path} is not empty: {first_of(names, 3)}"
    return UsageError(message, "give a path that nothing uses; these parameters were not touched")


@dataclass(slots=True)
class _Findings:
    """The results so far."""

    rates: list[MeasuredRate] = field(default_factory=list)
    facts: list[FactAnswer] = field(default_factory=list)
    leftovers: int = 0

    def complete(self, reason: str) -> None:
        """Add the measurements and the questions that were not reached, with the reason."""
        measured = {one.kind for one in self.rates}
        left = [plan for plan in RATE_PLANS if plan.kind not in measured]
        self.rates += [MeasuredRate(plan.kind, plan.operation, reason=reason) for plan in left]
        self.facts += probe_facts.unanswered({one.id for one in self.facts}, reason)


def run_probe(
    calls: ProbeCalls,
    place: Place,
    *,
    high_throughput: bool | None,
    executor: Callable[[int], Executor],
    note: Callable[[str], object],
) -> ProbeReport:
    """Answer the open questions, measure the rates, and delete all parameters of the run in every case.

    Args:
        calls: Sends the requests of the run.
        place: The account and region.
        high_throughput: The service setting of the place.
        executor: Returns an executor with that many workers.
        note: Receives a line about the progress.
    """
    found, end, trouble, remedy, remains = _Findings(), ProbeEnd.COMPLETE, "", "", Remains()
    try:
        remains = prepare(calls)
        found.leftovers = remains.deleted
        _check_leftovers(remains)
        _probe(calls, found, executor, note)
    except ProbeEndError as over:
        end, trouble, remedy = over.end, over.trouble, over.remedy
    except StoreError as failure:
        end, trouble, remedy = ProbeEnd.FAILED, str(failure), failure.remedy
    finally:
        if calls.may_exist():
            note(f"clean-up: {len(calls.may_exist())} parameters")
            remains = calls.clean_up()
    reason = {ProbeEnd.INTERRUPTED: "interrupted", ProbeEnd.TIME: "no time was left"}.get(end, trouble)
    found.complete(reason)
    return ProbeReport(
        place=place,
        area=calls.area,
        high_throughput=high_throughput,
        end=end,
        seconds=round(calls.seconds, 1),
        created=calls.created,
        rates=tuple(found.rates),
        facts=tuple(found.facts),
        calls=dict(sorted(calls.calls.items())),
        throttled={name: count for name, count in sorted(calls.throttled.items()) if count},
        leftovers=found.leftovers,
        remains=remains,
        trouble=trouble,
        remedy=remedy,
    )


def _probe(
    calls: ProbeCalls, found: _Findings, executor: Callable[[int], Executor], note: Callable[[str], object]
) -> None:
    """Fill the findings, one after the other: what was found stays when probing ends early."""
    for fact in probe_facts.read_facts(calls):
        found.facts.append(fact)
        note(f"{fact.id}: {fact.answer or fact.reason}")
    meter = RateMeter(calls, executor)
    for plan in RATE_PLANS:
        note(f"{plan.operation}: burst, then steady rates")
        rate = _measure(calls, meter, plan)
        found.rates.append(rate)
        if rate.kind is CallClass.LIST_TAGS:
            calls.tag_rate = min(calls.tag_rate, _CLEAN_UP_SHARE * (rate.sustained or meter.lowest))
        if rate.kind is CallClass.PUT and rate.sustained is not None:
            found.facts.append(_compare_creates(calls, meter, rate.sustained))


def _measure(calls: ProbeCalls, meter: RateMeter, plan: RatePlan) -> MeasuredRate:
    """Measure one operation on the parameters of the run; raise ProbeEndError."""
    names = calls.may_exist()
    if not names and plan.kind in {CallClass.LIST_TAGS, CallClass.TAGS}:
        return MeasuredRate(plan.kind, plan.operation, reason="no parameter was created")

    def list_tags(number: int) -> object:
        name = names[number % len(names)]
        return calls.probe("ListTagsForResource", ResourceType="Parameter", ResourceId=name)

    def describe(_number: int) -> object:
        return calls.probe("DescribeParameters", MaxResults=50)

    def create(number: int) -> object:
        return calls.create(f"put/{number}", Type="String", Value="0")

    def update(number: int) -> object:
        existing = [name for name in calls.may_exist() if name.startswith(f"{calls.area.prefix}put/")]
        if not existing:
            raise StoreError(
                Trouble.MISSING, place=calls.place, operation="PutParameter", code="NothingCreated"
            )
        name = existing[number % len(existing)]
        given = {"Type": "String", "Tier": "Standard", "Value": str(number)}
        return calls.probe("PutParameter", Name=name, Overwrite=True, **given)

    def tag(number: int) -> object:
        tags = [{"Key": "note", "Value": str(number)}]
        name = names[number % len(names)]
        return calls.probe("AddTagsToResource", ResourceType="Parameter", ResourceId=name, Tags=tags)

    def delete(number: int) -> object:
        return calls.probe("DeleteParameters", Names=[f"{calls.area.prefix}{ABSENT}/{number}"])

    match plan.kind:
        case CallClass.LIST_TAGS:
            return meter.measure(plan, list_tags, list_tags)
        case CallClass.DESCRIBE:
            return meter.measure(plan, describe, describe)
        case CallClass.PUT:
            for number in range(probe_rates.UPDATED_NAMES):
                calls.wait(1.0)
                with suppress(StoreError):  # the burst reports it
                    calls.create(f"put/update-{number}", Type="String", Value="0")
            return meter.measure(plan, create, update)
        case CallClass.TAGS:  # two changes of one parameter at a time are refused for another reason
            return meter.measure(replace(plan, burst=min(plan.burst, len(names))), tag, tag)
        case _:
            return meter.measure(plan, delete, delete)


def _compare_creates(calls: ProbeCalls, meter: RateMeter, rate: float) -> FactAnswer:
    """Send creates at the rate of the updates."""

    def create(number: int) -> object:
        return calls.create(f"create/{number}", Type="String", Value="0")

    found = FactAnswer(*CREATE_RATE)
    try:
        is_alike = meter.passes(create, SPEC_SHARE * rate, probe_rates.CREATES_AT_RATE)
    except StoreError as failure:
        return replace(found, code=failure.code, reason=str(failure))
    return replace(found, answer="alike" if is_alike else "creates are slower")
