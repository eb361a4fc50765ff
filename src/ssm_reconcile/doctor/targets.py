"""Spec and listings -> the checks that depend on the rules: permissions, keys, names, limits, duration.

A permission is tested by a real call: the tags and the value of one parameter, and one SecureString for each
key. The value is dropped. Where no parameter exists, a name that does not exist is read: AWS reports it as
missing to an identity with the permission. Write permissions cannot be tested without writing; they are
reported as unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ssm_reconcile import observe
from ssm_reconcile.aws_limits import CALL_RATES, PARAMETER_LIMITS, CallClass
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor.checks import Answer, Check, Needed
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    STANDARD,
    DesiredParameter,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    ProblemKind,
    canonical,
)
from ssm_reconcile.record import Standing, standing
from ssm_reconcile.resolve import resolve, source_keys, target_keys
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import Answers, Reader
from ssm_reconcile.wording import first_of

SHOWN_IN_SECONDS = 120
WRITES = (
    "ssm:PutParameter, ssm:AddTagsToResource, ssm:RemoveTagsFromResource, ssm:DeleteParameters"
    " and, for keys of your own, kms:Encrypt and kms:GenerateDataKey"
)


def check_source(spec: Replication, reader: Reader, listing: Listing, *, decrypt: bool) -> list[Check]:
    """Check the selection of the rules, and the permissions on it."""
    selected = [one for one in listing.parameters.values() if spec.rule_for(one.name, one.type) is not None]
    if not selected:
        message = f"{spec.name}: its rules select none of {len(listing.parameters):,} parameters"
        return [Check("the source", "selection", Answer.WARNING, message, "check `parameters` in the spec")]
    selection = Check("the source", "selection", Answer.OK, f"{spec.name}: {len(selected):,} selected")
    return [selection, *_permissions("the source", reader, selected, decrypt=decrypt)]


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """One target of one replication, with reader and listing of both places."""

    spec: Replication
    target: Target
    source_reader: Reader
    source: Listing
    reader: Reader
    live: Listing
    command_line: CommandLine

    @property
    def label(self) -> str:
        """The name of the target in checks."""
        return f"target {self.target.name}"

    def permissions(self, *, decrypt: bool) -> list[Check]:
        """Check the permissions on the addresses of the rules."""
        addresses = [
            self.spec.address(one.name, self.source.place, self.live.place, self.target.name)
            for one in self.source.parameters.values()
            if self.spec.rule_for(one.name, one.type) is not None
        ]
        known = self.live.parameters
        existing = [known[name] for one in addresses if (name := canonical(one)) in known]
        if existing:
            checks = _permissions(self.label, self.reader, existing, decrypt=decrypt)
        else:
            checks = _reads(self.label, self.reader, addresses[0], addresses[0]) if addresses else []
        message = f"cannot be tested without writing: {WRITES}"
        remedy = f"compare the role with `{self.command_line.iam('apply')}`"
        unknown = Check(self.label, "rights to write", Answer.UNKNOWN, message, remedy, Needed.APPLY)
        return [*checks, unknown]

    def contents(self, now: datetime) -> list[Check]:
        """Check keys, names, ids, limits and the duration of the first apply."""
        label, live = self.label, self.live
        try:
            ring = observe.resolve_keys(self.source_reader, source_keys(self.spec, self.source))
            wanted_keys = target_keys(self.spec, self.target, self.source, live, ring)
            keys = observe.resolve_keys(self.reader, wanted_keys)
        except StoreError as failure:
            return [Check(label, "keys", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)]
        desired = resolve(
            self.spec, self.target, self.source, live, source_ring=ring, target_ring=keys, now=now
        )
        wanted = {name: one for name, one in desired.items() if not (one.skip or one.chained)}
        missing = [one for name, one in wanted.items() if name not in live.parameters and not one.problems]
        return [
            *self._frozen(),
            *_keys(label, wanted, keys),
            *self._problems(wanted),
            *self._ids(desired),
            *_limits(label, live, missing),
            self._duration(len(missing)),
        ]

    def _frozen(self) -> list[Check]:
        if not self.target.frozen:
            return []
        message, remedy = "it is frozen: planned, never written", "`frozen: false` in the spec lifts it"
        return [Check(self.label, "frozen", Answer.WARNING, message, remedy)]

    def _problems(self, wanted: Mapping[str, DesiredParameter]) -> list[Check]:
        """Return the parameters that the target cannot take, one check for each reason."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for one in wanted.values():
            for problem in one.problems:
                reasons.setdefault((problem.kind.value, problem.reason), []).append(one.name)
        found = []
        for (kind, reason), names in sorted(reasons.items()):
            message = f"{reason} (needed by {first_of(names, 1)})"
            subject = "key" if kind == ProblemKind.KEY.value else f"cannot take it: {kind}"
            remedy = f"`{self.command_line.explain(names[0])}` says what to do"
            found.append(Check(self.label, subject, Answer.FAILED, message, remedy, Needed.APPLY))
        return found

    def _ids(self, desired: Mapping[str, DesiredParameter]) -> list[Check]:
        """Report replicas with our owner tag whose record has the id of another spec, or no id."""
        claim = self.spec.claim(self.source.place)
        found: dict[Standing, list[str]] = {}
        for name in sorted(self.live.parameters):
            status = standing(self.live.tags_of(name), self.live.arn(name), claim, placed=False)
            found.setdefault(status, []).append(name)
        checks = []
        other = found.get(Standing.OTHER_ID, [])
        if other:
            message = f"replicas of another spec named {self.spec.name}: {len(other):,}, such as {other[0]}"
            remedy = (
                "give one of the two specs another `name`; an earlier id of this spec goes to `previous_ids`"
            )
            checks.append(Check(self.label, "id", Answer.WARNING, message, remedy, Needed.APPLY))
        bare = found.get(Standing.NO_ID, [])
        if bare:
            kept = [name for name in bare if name not in desired]
            message = f"replicas whose record has no id: {len(bare):,}, such as {(kept or bare)[0]}"
            remedy = (
                f"an apply records the id, except for {len(kept):,} on which nothing is placed. They may"
                " belong to another spec with the same name, so they are kept. If one is of this"
                " spec, delete it yourself"
            )
            answer, remedy = (Answer.WARNING, remedy) if kept else (Answer.OK, "")
            checks.append(Check(self.label, "id", answer, message, remedy, Needed.APPLY))
        return checks

    def _duration(self, count: int) -> Check:
        """Return the least time of the creates: each is one PutParameter with tags, the slowest operation."""
        rate = dict(self.target.access.rates).get(CallClass.PUT, CALL_RATES[CallClass.PUT])
        seconds = count / rate
        time = f"{seconds:.0f} s" if seconds < SHOWN_IN_SECONDS else f"{seconds / 60:.0f} min"
        message = f"{count:,} to create at {rate:g} a second: at least {time}"
        return Check(self.label, "first apply", Answer.OK, message)


def _keys(label: str, wanted: Mapping[str, DesiredParameter], ring: Keyring) -> list[Check]:
    """Return a check for each key that replicas get in the target."""
    found = []
    for reference in sorted({one.key_id for one in wanted.values() if one.key_id is not None}):
        key = ring.keys.get(reference)
        if key is None or key.state is KeyState.UNKNOWN:
            message = f"{reference}: its state could not be read (kms:DescribeKey, kms:ListAliases)"
            found.append(Check(label, "key", Answer.UNKNOWN, message))
        elif key.state is KeyState.USABLE:
            meaning = "" if key.identity == reference else f" is {key.identity}"
            found.append(Check(label, "key", Answer.OK, f"{reference}{meaning}", needed=Needed.APPLY))
    return found


def _limits(label: str, live: Listing, missing: Sequence[DesiredParameter]) -> list[Check]:
    """Compare the parameters of each tier, with those to create, to the limit of the place."""
    found = []
    advanced = sum(one.tier == ADVANCED for one in live.parameters.values())
    standard = len(live.parameters) - advanced
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
            found.append(Check(label, "room", Answer.FAILED, message, remedy, Needed.APPLY))
        elif (existing + more) * 10 > limit * 9:
            found.append(Check(label, "room", Answer.WARNING, message))
        elif existing or more:
            found.append(Check(label, "room", Answer.OK, message, needed=Needed.APPLY))
    return found


def _permissions(label: str, reader: Reader, some: Sequence[Parameter], *, decrypt: bool) -> list[Check]:
    """Read tags and a value of one parameter, and a SecureString of each key."""
    plain = next((one for one in some if not one.is_secret), some[0])
    checks = _reads(label, reader, some[0].name, plain.name)
    by_key = {one.key_id or "": one.name for one in some if one.is_secret}
    for key, name in sorted(by_key.items()):
        if decrypt:
            read = partial(reader.values, [name], decrypt=True)
            checks.append(_permission(label, "kms:Decrypt", read, f"allowed with {key} (asked for {name})"))
        else:
            message = f"not asked for {key}: --no-decrypt; an apply needs it at the source"
            checks.append(Check(label, "kms:Decrypt", Answer.UNKNOWN, message))
    return checks


def _reads(label: str, reader: Reader, with_tags: str, with_value: str) -> list[Check]:
    tags = partial(reader.tags, with_tags)
    value = partial(reader.values, [with_value], decrypt=False)
    return [
        _permission(label, "ssm:ListTagsForResource", tags, f"allowed (asked for {with_tags})"),
        _permission(label, "ssm:GetParameters", value, f"allowed (asked for {with_value})"),
    ]


def _permission(label: str, action: str, read: Callable[[], object], allowed: str) -> Check:
    """Make a call and return whether it was allowed; `allowed` is the message if it was."""
    try:
        answer = read()
    except StoreError as failure:
        return _refused(label, action, failure)
    refused = next(iter(answer.failed.values()), None) if isinstance(answer, Answers) else None
    if refused is not None:
        return _refused(label, action, refused)
    return Check(label, action, Answer.OK, allowed, needed=Needed.PLAN)


def _refused(label: str, action: str, failure: StoreError) -> Check:
    message = f"{failure.operation}: {failure.code}"
    if failure.kind is not Trouble.DENIED:
        return Check(label, action, Answer.FAILED, message, failure.remedy, Needed.PLAN)
    remedy = failure.remedy or f"allow {action} to this identity"
    if action == "kms:Decrypt":
        remedy += "; or plan with --no-decrypt"
    return Check(label, action, Answer.FAILED, f"not allowed ({message})", remedy, Needed.PLAN)
