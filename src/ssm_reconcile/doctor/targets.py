"""What the rules ask of one target -> whether it can take it: keys, names, room; and how long it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from ssm_reconcile import observe
from ssm_reconcile.aws_limits import CALL_RATES, PARAMETER_LIMITS, CallClass
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor.checks import Answer, Check, Needed
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import (
    ADVANCED,
    INTELLIGENT,
    STANDARD,
    DesiredParameter,
    Keyring,
    KeyState,
    Listing,
    ProblemKind,
)
from ssm_reconcile.record import Standing, standing
from ssm_reconcile.resolve import resolve, source_keys, target_keys
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import Reader
from ssm_reconcile.wording import first_of


def look(
    spec: Replication,
    target: Target,
    reader: Reader,
    source: Listing,
    there: Reader,
    live: Listing,
    again: CommandLine,
    *,
    now: datetime,
) -> list[Check]:
    """Every check of one target that depends on the rules."""
    label = f"target {target.name}"
    try:
        ring = observe.resolve_keys(reader, source_keys(spec, source))
        keys = observe.resolve_keys(there, target_keys(spec, target, source, live, ring))
    except StoreError as failure:
        return [Check(label, "keys", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)]
    desired = resolve(spec, target, source, live, source_ring=ring, target_ring=keys, now=now)
    wanted = {name: one for name, one in desired.items() if not (one.skip or one.chained)}
    checks = [*_frozen(label, target), *_keys(label, wanted, keys), *_problems(label, wanted, again)]
    checks += _ids(label, spec, source, live, desired)
    missing = [one for name, one in wanted.items() if name not in live.parameters and not one.problems]
    return [*checks, *_room(label, live, missing), _duration(label, target, len(missing))]


def _frozen(label: str, target: Target) -> list[Check]:
    if not target.frozen:
        return []
    told = "it is frozen: planned, never written"
    return [Check(label, "frozen", Answer.WARNING, told, "`frozen: false` in the spec lifts it")]


def _keys(label: str, wanted: Mapping[str, DesiredParameter], ring: Keyring) -> list[Check]:
    """Each key that replicas get here, and what it is good for."""
    found = []
    for reference in sorted({one.key_id for one in wanted.values() if one.key_id is not None}):
        key = ring.keys.get(reference)
        if key is None or key.state is KeyState.UNKNOWN:
            told = f"{reference}: its state could not be asked (kms:DescribeKey, kms:ListAliases)"
            found.append(Check(label, "key", Answer.UNKNOWN, told))
        elif key.state is KeyState.USABLE:
            meaning = "" if key.identity == reference else f" is {key.identity}"
            found.append(Check(label, "key", Answer.OK, f"{reference}{meaning}", needed=Needed.APPLY))
    return found


def _problems(label: str, wanted: Mapping[str, DesiredParameter], again: CommandLine) -> list[Check]:
    """What the target cannot take, one check a reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in wanted.values():
        for problem in one.problems:
            key = (problem.kind.value, problem.reason)
            reasons.setdefault(key, []).append(one.name)
    found = []
    for (kind, reason), names in sorted(reasons.items()):
        told = f"{reason} (needed by {first_of(names, 1)})"
        subject = "key" if kind == ProblemKind.KEY.value else f"cannot take it: {kind}"
        remedy = f"`{again.explain(names[0])}` says what to do"
        found.append(Check(label, subject, Answer.FAILED, told, remedy, Needed.APPLY))
    return found


def _ids(
    label: str, spec: Replication, source: Listing, live: Listing, desired: Mapping[str, DesiredParameter]
) -> list[Check]:
    """Report replicas with our owner tag whose record has the id of another spec, or none."""
    claim = spec.claim(source.place)
    found: dict[Standing, list[str]] = {}
    for name in sorted(live.parameters):
        status = standing(live.tags_of(name), live.arn(name), claim, placed=False)
        found.setdefault(status, []).append(name)
    checks = []
    other = found.get(Standing.OTHER_ID, [])
    if other:
        told = f"replicas of another spec named {spec.name}: {len(other):,}, such as {other[0]}"
        remedy = "give one of the two specs another `name`; an earlier id of this spec goes to `previous_ids`"
        checks.append(Check(label, "id", Answer.WARNING, told, remedy, Needed.APPLY))
    bare = found.get(Standing.NO_ID, [])
    if bare:
        kept = [name for name in bare if name not in desired]
        told = f"replicas whose record has no id: {len(bare):,}, such as {(kept or bare)[0]}"
        remedy = (
            f"an apply records the id, except for {len(kept):,} on which nothing is placed. They may belong"
            " to another spec with the same name, so they are kept: delete yourself those of this spec"
        )
        checks.append(
            Check(
                label, "id", Answer.WARNING if kept else Answer.OK, told, remedy if kept else "", Needed.APPLY
            )
        )
    return checks


def _room(label: str, live: Listing, missing: list[DesiredParameter]) -> list[Check]:
    """Head-room under the limits of the place, with what is still to be created."""
    found = []
    advanced = sum(one.tier == ADVANCED for one in live.parameters.values())
    standard = len(live.parameters) - advanced
    to_come = Counter(one.tier for one in missing)
    either = to_come[INTELLIGENT]  # AWS chooses Advanced where Standard is full
    as_standard = min(either, max(0, PARAMETER_LIMITS[STANDARD] - standard - to_come[STANDARD]))
    for tier, limit, there, more in (
        (STANDARD, PARAMETER_LIMITS[STANDARD], standard, to_come[STANDARD] + as_standard),
        (ADVANCED, PARAMETER_LIMITS[ADVANCED], advanced, to_come[ADVANCED] + either - as_standard),
    ):
        told = f"{tier}: {there:,} there, {more:,} to come, of {limit:,}"
        if there + more > limit:
            remedy = "select less, set `tier: intelligent` for the target, or spread them over accounts"
            found.append(Check(label, "room", Answer.FAILED, told, remedy, Needed.APPLY))
        elif (there + more) * 10 > limit * 9:
            found.append(Check(label, "room", Answer.WARNING, told))
        elif there or more:
            found.append(Check(label, "room", Answer.OK, told, needed=Needed.APPLY))
    return found


def _duration(label: str, target: Target, count: int) -> Check:
    """A new parameter is one PutParameter, tags and all; nothing is slower (aws-facts A4, F)."""
    rate = dict(target.access.rates).get(CallClass.PUT, CALL_RATES[CallClass.PUT])
    seconds = count / rate
    told = f"{count:,} to create at {rate:g} a second: at least {_time(seconds)}"
    return Check(label, "first apply", Answer.OK, told)


def _time(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - up to two minutes seconds read better
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"
