"""Specs and places -> whether a plan will work, whether an apply will work, and what is wrong.

Checks identity, settings, clock, listing and account of each place; permissions, keys, names, limits and
duration of each replication. Doctor gets readers, so it cannot write.

A permission is tested by a real call: the tags and the value of one parameter, and one SecureString for each
key. The value is dropped. Where no parameter exists, a name that does not exist is read: AWS reports it as
missing to an identity with the permission. Write permissions cannot be tested without writing; they are
reported as unknown. Cost: a listing and about six calls for each place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from ssm_reconcile import observe
from ssm_reconcile.aws_limits import CALL_RATES, HIGHER_THROUGHPUT_PUT_RATE, PARAMETER_LIMITS, CallClass
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import Finding, Severity, StoreError, Trouble
from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    STANDARD,
    Access,
    DesiredParameter,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    ProblemKind,
    canonical,
)
from ssm_reconcile.plan_findings import find_expired_holds
from ssm_reconcile.record import Standing, standing
from ssm_reconcile.resolve import Route, resolve, source_keys, target_keys
from ssm_reconcile.session import Connect, endpoints, narrow_specs, place_errors
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.stores.base import Answers, Reader, Settings, Store
from ssm_reconcile.system import Clock, ProgressListener
from ssm_reconcile.wording import first_of

MAX_SKEW = timedelta(seconds=60)
"""Clocks within this time are in sync: the Date header has whole seconds, and the response took time."""
REFUSED_SKEW = timedelta(minutes=5)
"""Beyond this, AWS refuses the signature of a request (RequestTimeTooSkewed)."""
SHOWN_IN_SECONDS = 120
THE_SOURCE = "the source"
WRITES = (
    "ssm:PutParameter, ssm:AddTagsToResource, ssm:RemoveTagsFromResource, ssm:DeleteParameters"
    " and, for keys of your own, kms:Encrypt and kms:GenerateDataKey"
)


class Answer(StrEnum):
    """The result of a check. UNKNOWN is not a failure: the check could not be made."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Needed(StrEnum):
    """The command that fails when the check fails."""

    PLAN = "plan"
    APPLY = "apply"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Check:
    """One check, with the keys of `--format json`.

    `where` is `the source`, `target NAME` or a position in the spec.
    """

    where: str
    subject: str
    answer: Answer
    message: str
    remedy: str = ""
    needed_for: Needed = Needed.NOTHING


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, in the order in which they were made.

    `places`: account and region of each target, or the region, by the `where` of its checks.
    """

    checks: tuple[Check, ...]
    places: Mapping[str, str] = field(default_factory=dict)

    def _works(self, *needs: Needed) -> bool:
        return not any(one.answer is Answer.FAILED and one.needed_for in needs for one in self.checks)

    @property
    def plan_works(self) -> bool:
        """Whether no check failed that a plan needs."""
        return self._works(Needed.PLAN)

    @property
    def apply_works(self) -> bool:
        """Whether no check failed that an apply needs. Write permissions are not tested."""
        return self._works(Needed.PLAN, Needed.APPLY)

    @property
    def exit_code(self) -> int:
        """0 plan and apply work, 3 only a plan works, 1 a plan does not work."""
        if not self.plan_works:
            return 1
        return 0 if self.apply_works else 3


def diagnose(
    specs: Sequence[Replication],
    connect: Connect,
    run: Run,
    clock: Clock,
    watch: ProgressListener,
    findings: Iterable[Finding] = (),
    command_line: CommandLine = CommandLine(),  # noqa: B008 - frozen
) -> Diagnosis:
    """Check everything that a plan and an apply need. A failed call is a failed check and raises nothing.

    Args:
        specs: the replications.
        connect: opens a place.
        run: the options of the run, for the targets and for decryption.
        clock: the clock of this machine.
        watch: receives the progress of listings.
        findings: the findings of the loader.
        command_line: the arguments that recommended commands repeat.

    Returns:
        All checks.
    """
    checks = [_of_finding(one) for one in findings]
    places, names = _CheckedPlaces(connect, clock, watch, command_line), dict[str, str]()
    for spec in narrow_specs(specs, run):
        for label, access, account, _ in endpoints(spec):
            if access not in places.opened:
                checks += places.open(access, label)
            names[label] = places.name(access, account)
        checks += _of_replication(spec, places, decrypt=not run.no_decrypt)
        checks += map(_of_expired_hold, find_expired_holds(spec, clock.now().date()))
    return Diagnosis(tuple(dict.fromkeys(checks)), names)


def _of_finding(finding: Finding) -> Check:
    answer = Answer.WARNING if finding.severity is not Severity.ERROR else Answer.FAILED
    return Check(finding.where, f"spec: {finding.code}", answer, finding.message, needed_for=Needed.PLAN)


def _of_expired_hold(finding: Finding) -> Check:
    remedy = "until then, `plan` and `apply` do all else and end with exit code 3"
    return Check(finding.where, f"spec: {finding.code}", Answer.WARNING, finding.message, remedy)


@dataclass(frozen=True, slots=True)
class _CheckedPlaces:
    """The places of all replications: each opened one, or the error, and the listings."""

    connect: Connect
    clock: Clock
    watch: ProgressListener
    command_line: CommandLine
    opened: dict[Access, Store | StoreError] = field(default_factory=dict)
    listings: dict[Access, Listing] = field(default_factory=dict)
    settings: dict[Access, Settings] = field(default_factory=dict)

    def put_rate(self, access: Access) -> float:
        """Return the PutParameter calls per second of an apply: those of the spec, else by the setting."""
        on = self.settings[access].high_throughput
        default = HIGHER_THROUGHPUT_PUT_RATE if on else CALL_RATES[CallClass.PUT]
        return dict(access.rates).get(CallClass.PUT, default)

    def complete_listing(self, access: Access) -> tuple[Reader, Listing] | None:
        """Return a place with its listing; None if it could not be opened or listed completely."""
        reader = self.opened[access]
        if isinstance(reader, StoreError) or not self.listings[access].complete:
            return None
        return reader, self.listings[access]

    def name(self, access: Access, account: str | None) -> str:
        """Return the account and region of a place. `account`: that of the spec, for one that is not open."""
        reader = self.opened[access]
        if isinstance(reader, StoreError):
            return "/".join(filter(None, (account, access.region)))
        return str(reader.place)

    def open(self, access: Access, label: str) -> Iterator[Check]:
        """Open and list one place; its checks are the same for all replications that use it."""
        try:
            reader = self.opened[access] = self.connect(access)
        except StoreError as failure:
            self.opened[access] = failure
            yield Check(label, "identity", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)
            return
        yield Check(label, "identity", Answer.OK, f"{reader.caller} in {reader.place}", "", Needed.PLAN)
        settings = self.settings[access] = reader.settings()
        yield _clock(label, settings.moment, self.clock.now())
        is_faster = label != THE_SOURCE and CallClass.PUT not in dict(access.rates)
        yield from _settings(label, settings, is_faster=is_faster)
        listing = self.listings[access] = observe.list_place(reader, self.watch)
        if not listing.complete:
            remedy = f"`{self.command_line.iam('plan')}` prints what this identity needs"
            yield Check(label, "listing", Answer.FAILED, listing.trouble, remedy, Needed.PLAN)
        elif listing.trouble:
            yield Check(label, "listing", Answer.WARNING, listing.trouble)
        else:
            message = f"{len(listing.parameters):,} parameters (ssm:DescribeParameters, tag:GetResources)"
            yield Check(label, "listing", Answer.OK, message, "", Needed.PLAN)


def _clock(label: str, there: datetime | None, here: datetime) -> Check:
    if there is None:
        return Check(label, "clock", Answer.UNKNOWN, "the responses of AWS had no Date header")
    skew = abs(here - there)
    message = f"{skew.total_seconds():.0f} s apart"
    if skew <= MAX_SKEW:
        return Check(label, "clock", Answer.OK, message)
    remedy = "set the clock of this machine (NTP)"
    if skew <= REFUSED_SKEW:
        return Check(label, "clock", Answer.WARNING, message, remedy)
    return Check(label, "clock", Answer.FAILED, f"{message}: AWS refuses requests", remedy, Needed.PLAN)


def _settings(label: str, settings: Settings, *, is_faster: bool) -> Iterator[Check]:
    """Yield the checks of the service settings. None is needed: each write names its tier.

    `is_faster`: whether an apply uses the setting for higher throughput, at targets without `rates.put`.
    """
    if settings.default_tier is None or settings.high_throughput is None:
        trouble = settings.trouble or "AWS did not respond"
        use = f"an apply keeps PutParameter at {CALL_RATES[CallClass.PUT]:g}/s without them"
        message = f"not readable; {use if is_faster else 'neither plan nor apply needs them'}: {trouble}"
        optional = "optional: allow ssm:GetServiceSetting, and remove any explicit deny of it"
        yield Check(label, "settings", Answer.UNKNOWN, message, optional if settings.denied else "")
        return
    tier = f"{settings.default_tier}; not used, every write names its tier"
    yield Check(label, "default tier", Answer.OK, tier)
    if not is_faster:
        return
    rate = f"on: an apply uses PutParameter at {HIGHER_THROUGHPUT_PUT_RATE:g}/s"
    throughput = rate if settings.high_throughput else "off: with it, a large first apply is faster"
    yield Check(label, "higher throughput", Answer.OK, throughput)


def _of_replication(spec: Replication, places: _CheckedPlaces, *, decrypt: bool) -> Iterator[Check]:
    """Yield the checks that depend on the spec: accounts, selection, permissions, contents of targets."""
    for label, error in place_errors(spec, places.opened):
        yield Check(label, "account", Answer.FAILED, error.message, error.remedy, Needed.PLAN)
    source = places.complete_listing(spec.source.access)
    if source is None:
        return
    reader, listing = source
    every = listing.parameters.values()
    selected = [one for one in every if spec.rule_for(one.name, one.type) is not None]
    if selected:
        yield Check(THE_SOURCE, "selection", Answer.OK, f"{spec.name}: {len(selected):,} selected")
        yield from _permissions(THE_SOURCE, reader, selected, decrypt=decrypt)
    else:
        message = f"{spec.name}: its rules select none of {len(every):,} parameters"
        yield Check(THE_SOURCE, "selection", Answer.WARNING, message, "check `parameters` in the spec")
    for target in spec.targets:
        place = places.complete_listing(target.access)
        if place is not None:
            put_rate = places.put_rate(target.access)
            check = _TargetCheck(spec, target, *source, *place, put_rate, places.command_line)
            yield from check.permissions(selected, decrypt=decrypt)
            yield from check.contents(places.clock.now())


def _permissions(label: str, reader: Reader, some: Sequence[Parameter], *, decrypt: bool) -> Iterator[Check]:
    """Read tags and a value of one parameter, and a SecureString of each key."""
    plain = next((one for one in some if not one.is_secret), some[0])
    yield from _reads(label, reader, some[0].name, plain.name)
    by_key = {one.key_id or "": one.name for one in some if one.is_secret}
    for key, name in sorted(by_key.items()):
        if decrypt:
            read = partial(reader.values, [name], decrypt=True)
            yield _permission(label, "kms:Decrypt", read, f"allowed with {key} (asked for {name})")
        else:
            message = f"not asked for {key}: --no-decrypt; an apply needs it at the source"
            yield Check(label, "kms:Decrypt", Answer.UNKNOWN, message)


def _reads(label: str, reader: Reader, with_tags: str, with_value: str) -> Iterator[Check]:
    tags = partial(reader.tags, with_tags)
    yield _permission(label, "ssm:ListTagsForResource", tags, f"allowed (asked for {with_tags})")
    value = partial(reader.values, [with_value], decrypt=False)
    yield _permission(label, "ssm:GetParameters", value, f"allowed (asked for {with_value})")


def _permission(label: str, action: str, read: Callable[[], object], allowed: str) -> Check:
    """Make a call and return whether it was allowed; `allowed` is the message if it was."""
    try:
        answer = read()
        if isinstance(answer, Answers) and answer.failed:
            raise next(iter(answer.failed.values()))
    except StoreError as failure:
        message = f"{failure.operation}: {failure.code}"
        if failure.kind is not Trouble.DENIED:
            return Check(label, action, Answer.FAILED, message, failure.remedy, Needed.PLAN)
        remedy = failure.remedy or f"allow {action} to this identity"
        if action == "kms:Decrypt":
            remedy += "; or plan with --no-decrypt"
        return Check(label, action, Answer.FAILED, f"not allowed ({message})", remedy, Needed.PLAN)
    return Check(label, action, Answer.OK, allowed, "", Needed.PLAN)


@dataclass(frozen=True, slots=True)
class _TargetCheck:
    """One target of one replication, with reader and listing of both places."""

    spec: Replication
    target: Target
    source_reader: Reader
    source: Listing
    reader: Reader
    live: Listing
    put_rate: float
    command_line: CommandLine

    @property
    def label(self) -> str:
        """The name of the target in checks."""
        return f"target {self.target.name}"

    def permissions(self, selected: Sequence[Parameter], *, decrypt: bool) -> Iterator[Check]:
        """Check the permissions on the addresses of the selected parameters."""
        addresses = [
            self.spec.address(one.name, self.source.place, self.live.place, self.target.name)
            for one in selected
        ]
        known = self.live.parameters
        existing = [known[name] for one in addresses if (name := canonical(one)) in known]
        if existing:
            yield from _permissions(self.label, self.reader, existing, decrypt=decrypt)
        elif addresses:
            yield from _reads(self.label, self.reader, addresses[0], addresses[0])
        message = f"cannot be tested without writing: {WRITES}"
        remedy = f"compare the role with `{self.command_line.iam('apply')}`"
        yield Check(self.label, "rights to write", Answer.UNKNOWN, message, remedy, Needed.APPLY)

    def contents(self, now: datetime) -> Iterator[Check]:
        """Check keys, names, ids, limits and the duration of the first apply."""
        live = self.live
        try:
            ring = observe.resolve_keys(self.source_reader, source_keys(self.spec, self.source))
            wanted_keys = target_keys(self.spec, self.target, self.source, live, ring)
            keys = observe.resolve_keys(self.reader, wanted_keys)
        except StoreError as failure:
            yield Check(self.label, "keys", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)
            return
        desired = resolve(Route(self.spec, self.target, self.source, live.place, ring, keys, now))
        wanted = {name: one for name, one in desired.items() if not (one.skip or one.chained)}
        missing = [one for name, one in wanted.items() if name not in live.parameters and not one.problems]
        if self.target.frozen:
            message, remedy = "it is frozen: planned, never written", "`frozen: false` in the spec lifts it"
            yield Check(self.label, "frozen", Answer.WARNING, message, remedy)
        yield from self._keys(wanted, keys)
        yield from self._problems(wanted)
        yield from self._ids(desired)
        yield from self._limits(missing)
        yield self._duration(len(missing))

    def _keys(self, wanted: Mapping[str, DesiredParameter], ring: Keyring) -> Iterator[Check]:
        """Yield a check for each key that replicas get; `_problems` reports the unusable ones."""
        for reference in sorted({one.key_id for one in wanted.values() if one.key_id is not None}):
            key = ring.keys.get(reference)
            if key is None or key.state is KeyState.UNKNOWN:
                message = f"{reference}: its state could not be read (kms:DescribeKey, kms:ListAliases)"
                yield Check(self.label, "key", Answer.UNKNOWN, message)
            elif key.state is KeyState.USABLE:
                meaning = "" if key.identity == reference else f" is {key.identity}"
                yield Check(self.label, "key", Answer.OK, f"{reference}{meaning}", "", Needed.APPLY)

    def _problems(self, wanted: Mapping[str, DesiredParameter]) -> Iterator[Check]:
        """Yield the parameters that the target cannot take, one check for each reason."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for one in wanted.values():
            for problem in one.problems:
                reasons.setdefault((problem.kind.value, problem.reason), []).append(one.name)
        for (kind, reason), names in sorted(reasons.items()):
            message = f"{reason} (needed by {first_of(names, 1)})"
            subject = "key" if kind == ProblemKind.KEY.value else f"cannot take it: {kind}"
            remedy = f"`{self.command_line.explain(names[0])}` says what to do"
            yield Check(self.label, subject, Answer.FAILED, message, remedy, Needed.APPLY)

    def _ids(self, desired: Mapping[str, DesiredParameter]) -> Iterator[Check]:
        """Report replicas with our owner tag whose record has the id of another spec, or no id."""
        claim = self.spec.claim(self.source.place)
        found: dict[Standing, list[str]] = {}
        for name in sorted(self.live.parameters):
            status = standing(self.live.tags_of(name), self.live.arn(name), claim, placed=False)
            found.setdefault(status, []).append(name)
        if other := found.get(Standing.OTHER_ID):
            message = f"replicas of another spec named {self.spec.name}: {len(other):,}, such as {other[0]}"
            remedy = "give one of the two specs another `name`; or list an earlier id in `previous_ids`"
            yield Check(self.label, "id", Answer.WARNING, message, remedy, Needed.APPLY)
        if bare := found.get(Standing.NO_ID):
            kept = [name for name in bare if name not in desired]
            message = f"replicas whose record has no id: {len(bare):,}, such as {(kept or bare)[0]}"
            remedy = (
                f"an apply records the id, except for {len(kept):,} on which nothing is placed. They may"
                " belong to another spec with the same name, so they are kept. If one is of this"
                " spec, delete it yourself"
            )
            answer, remedy = (Answer.WARNING, remedy) if kept else (Answer.OK, "")
            yield Check(self.label, "id", answer, message, remedy, Needed.APPLY)

    def _limits(self, missing: Sequence[DesiredParameter]) -> Iterator[Check]:
        """Compare the parameters of each tier, with those to create, to the limit of the place."""
        advanced = sum(one.tier == ADVANCED for one in self.live.parameters.values())
        standard = len(self.live.parameters) - advanced
        to_create = Counter(one.tier for one in missing)
        either = to_create[INTELLIGENT]  # AWS chooses Advanced when the limit of Standard is reached
        as_standard = min(either, max(0, PARAMETER_LIMITS[STANDARD] - standard - to_create[STANDARD]))
        for tier, existing, more in (
            (STANDARD, standard, to_create[STANDARD] + as_standard),
            (ADVANCED, advanced, to_create[ADVANCED] + either - as_standard),
        ):
            limit = PARAMETER_LIMITS[tier]
            message = f"{tier}: {existing:,} exist, {more:,} to create, limit {limit:,}"
            if existing + more > limit:
                remedy = "select less, set `tier: intelligent` for the target, or spread them over accounts"
                yield Check(self.label, "room", Answer.FAILED, message, remedy, Needed.APPLY)
            elif (existing + more) * 10 > limit * 9:
                yield Check(self.label, "room", Answer.WARNING, message)
            elif existing or more:
                yield Check(self.label, "room", Answer.OK, message, "", Needed.APPLY)

    def _duration(self, count: int) -> Check:
        """Return the least time of the creates: each reads tags of its source, and is one PutParameter."""
        reads = dict(self.spec.source.access.rates).get(CallClass.LIST_TAGS, CALL_RATES[CallClass.LIST_TAGS])
        seconds = count / min(self.put_rate, reads)
        time = f"{seconds:.0f} s" if seconds < SHOWN_IN_SECONDS else f"{seconds / 60:.0f} min"
        message = f"{count:,} to create at {min(self.put_rate, reads):g} a second: at least {time}"
        if reads < self.put_rate:
            message += (
                f"; the limit is ListTagsForResource at the source, not PutParameter at {self.put_rate:g}:"
                f" `rates: {{list_tags: {math.ceil(self.put_rate)}}}` would fit, if its quota allows it (List"
                " tags for resource rate in Service Quotas)"
            )
        return Check(self.label, "first apply", Answer.OK, message)
