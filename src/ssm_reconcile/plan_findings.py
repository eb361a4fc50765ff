"""Findings about a whole plan: KMS keys of the source, a renamed spec, patterns that match nothing, drift.

unconfirmed-tags       more tags would have to be read directly than `status` reads
keys-unchecked         KMS did not describe keys of a place
source-key             a key of the source does not decrypt, and values under it must be read
mark-stays             a source exists again, and nothing may remove the mark of its replica
hold-expired           the last day of a hold is over, and it still holds
spec-renamed           replicas of another name at the same source are in the way
only-matches-nothing   a pattern of `--only` matches no selected parameter and no replica
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches

from ssm_reconcile.change import Change, Create, Replace, Row, Update
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import MANAGED_KEY, Key, Keyring, KeyState, Listing, Place, canonical
from ssm_reconcile.plan import UNMET, Other, Plan, ReplicationPlan, mark_stays
from ssm_reconcile.record import OWNER
from ssm_reconcile.spec import Glob, Orphans, Replication
from ssm_reconcile.wording import did_you_mean, first_of, plural

NAMED = 5
"""The number of names that a finding lists; the others are counted."""
MIN_RENAMED = 2
"""The fewest foreign replicas of one name that make a renamed spec likely."""
UNMATCHED = "only-matches-nothing"
MAX_COMPARED = 1000
"""Siblings that are compared with a misspelt level: each comparison is quadratic in its length."""
_REPLICATION_NAME = re.compile(r"[a-z0-9-]{1,64}")
_KEY_FAULTS = {
    KeyState.DISABLED: ("is disabled", "enable it (aws kms enable-key)"),
    KeyState.PENDING_DELETION: (
        "is pending deletion",
        "cancel the deletion (aws kms cancel-key-deletion) and enable it",
    ),
    KeyState.UNAVAILABLE: (
        "has no key material that can be used now",
        "import its key material, or connect its key store",
    ),
    KeyState.MISSING: ("does not exist", "recover it if its deletion is not over"),
}


_UNWRITABLE = {Row.HELD: "a hold stops every change", Row.OPTED_OUT: "it has the opt-out tag itself"}
"""Rows in which nothing may be written to an existing replica."""


def why_mark_stays(one: Change | Other) -> str:
    """Return why a mark stays although its source exists again; empty if it is removed, or there is none."""
    if isinstance(one, Change):
        stays = one.outdated_mark is not None and one.to_apply is None
        return "; ".join(guard.why for guard in one.withheld) if stays else ""
    doubt = "it has a tag that may be a mistyped opt-out tag"
    return _UNWRITABLE.get(one.row, doubt) if one.mark_stays else ""


def find_staying_marks(plan: ReplicationPlan) -> Iterator[Finding]:
    """Yield the marks that stay although their source exists again, by target and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    every: tuple[Change | Other, ...] = (*plan.changes, *plan.others)
    for one in every:
        if why := why_mark_stays(one):
            found.setdefault((one.target, why), []).append(one.name)
    for (target, why), names in sorted(found.items()):
        yield mark_stays(target, names, why)


def find_unchecked_keys(spec: Replication, rings: Mapping[str, Keyring]) -> Iterator[Finding]:
    """Yield the keys that KMS did not describe: only their use shows whether they are usable."""
    for end, ring in sorted(rings.items()):
        label = f"target {end}" if end else "the source"
        unknown = sorted(name for name, key in ring.keys.items() if key.state is KeyState.UNKNOWN)
        if not ring.trouble and not unknown:
            continue
        why = ring.trouble or (
            f"{', '.join(unknown)}: kms:DescribeKey is denied. Allow it in the role's policy and in the key"
            " policies, and remove any policy that denies it explicitly."
        )
        message = f"{spec.name}: KMS keys of {label} could not be checked: {why}"
        yield Finding(Severity.WARNING, "keys-unchecked", message, label)


def find_unusable_source_keys(
    spec: Replication, source: Listing, ring: Keyring, changes: Iterable[Change], unread: Iterable[str]
) -> Iterator[Finding]:
    """Yield each source key that does not decrypt, with the parameters whose values must be read.

    Only values that a change needs count: a replica in sync does not depend on the key of the source.

    Args:
        spec: The replication.
        source: The parameters of the source.
        ring: The keys of the source, as KMS describes them.
        changes: The planned changes of all targets.
        unread: Names of source parameters whose values could not be read for this plan.
    """
    names: dict[str, set[str]] = {}
    for name in {canonical(one) for one in (*_names_to_read(changes), *unread)}:
        parameter = source.parameters.get(name)
        if parameter is None or not parameter.is_secret:
            continue
        reference = parameter.key_id or MANAGED_KEY
        key = ring.keys.get(reference)
        if key is not None and _is_unusable(reference, key):
            names.setdefault(reference, set()).add(parameter.name)
    for reference, under in sorted(names.items()):
        fault, remedy = _KEY_FAULTS[ring.keys[reference].state]
        message = (
            f"{spec.name}: the KMS key {ring.name(reference)} {fault} in the source ({source.place}), so the"
            f" values that have to be read cannot be decrypted: {first_of(sorted(under), NAMED)}; {remedy},"
            " or write these parameters under another key"
        )
        about = tuple(Address("", name) for name in sorted(under))
        yield Finding(Severity.ERROR, "source-key", message, "the source", about)


def find_unconfirmed_tags(spec: Replication, unconfirmed: Mapping[tuple[str, str], str]) -> Iterator[Finding]:
    """Yield one finding for each place with parameters whose state rests on tags of a listing.

    Args:
        spec: The replication.
        unconfirmed: Why tags were not read directly, by end and canonical name.
    """
    for end in sorted({end for end, _ in unconfirmed}):
        names = sorted(name for at, name in unconfirmed if at == end)
        label = f"target {end}" if end else "the source"
        message = (
            f"{spec.name}: {label}: the state of {plural(len(names), 'parameter')} rests on a listing of tags"
            f" that may lag for minutes behind writes ({first_of(names, NAMED)}):"
            f" {unconfirmed[end, names[0]]}; run it again later, or see a plan"
        )
        yield Finding(Severity.WARNING, "unconfirmed-tags", message, label)


def _names_to_read(changes: Iterable[Change]) -> Iterator[str]:
    """Yield the names of the source parameters whose values are written."""
    for change in changes:
        effect = change.effect
        is_update = isinstance(effect, Update) and (effect.put or effect.unproven)
        if is_update or isinstance(effect, Create | Replace):
            yield change.wanted.source.name


def _is_unusable(reference: str, key: Key) -> bool:
    """Whether values under a key cannot be decrypted. A key whose alias is missing still decrypts."""
    if key.state is KeyState.MISSING:
        return "alias/" not in reference
    return key.state in _KEY_FAULTS


def find_expired_holds(spec: Replication, today: date) -> Iterator[Finding]:
    """Yield an error for each hold whose last day is before `today`, a day in UTC."""
    for hold in spec.holds:
        if hold.has_expired(today):
            message = (
                f"{spec.name}: the hold on `{hold.match.text}` expired after {hold.until} (UTC)."
                " It still stops every change: remove the entry, or extend `until`"
            )
            yield Finding(Severity.ERROR, "hold-expired", message, str(hold.where or spec.name))


def find_renamed_spec(
    spec: Replication, source: Place, others: Mapping[str, Iterable[Other]], live: Mapping[str, Listing]
) -> Iterator[Finding]:
    """Yield each other name at the same source that owns several replicas in the way.

    Args:
        spec: The replication.
        source: The place of the source.
        others: The addresses of each target where nothing is done.
        live: The parameters of each target.
    """
    counts: dict[str, dict[str, int]] = {}
    for target, every in sorted(others.items()):
        for other in every:
            if other.row is not Row.FOREIGN:
                continue
            owner = live[target].tags_of(canonical(other.name)).get(OWNER, "")
            name, _, place = owner.rpartition("@")
            if place == str(source) and name != spec.name and _REPLICATION_NAME.fullmatch(name):
                in_target = counts.setdefault(name, {})
                in_target[target] = in_target.get(target, 0) + 1
    for name, found in sorted(counts.items()):
        total = sum(found.values())
        if total >= MIN_RENAMED:
            message = (
                f"{spec.name}: {total:,} parameters in {', '.join(found)} are replicas of `{name}` at"
                f" the same source: if this replication was named `{name}` before, add `previous_names:"
                f" [{name}]` to the spec, and they are taken over"
            )
            yield Finding(Severity.WARNING, "spec-renamed", message, str(spec.where or spec.name))


def report_unmatched(plan: Plan, parts: Iterable[ReplicationPlan], names: Iterable[str]) -> Plan:
    """Return the plan with a warning for each pattern of `--only` that no replication matched.

    Args:
        plan: The plan of the run.
        parts: The replications, those of a compared spec included.
        names: Canonical names of selected parameters, from which a similar pattern is suggested.
    """
    matched = {pattern for part in parts for pattern in part.matched}
    unmatched = tuple(pattern for pattern in plan.narrowing.only if pattern not in matched)
    if not unmatched:
        return plan
    known = list(names)
    found = [
        Finding(Severity.WARNING, UNMATCHED, describe_unmatched(pattern, known)) for pattern in unmatched
    ]
    narrowing = replace(plan.narrowing, unmatched=unmatched)
    return replace(plan, narrowing=narrowing, findings=(*plan.findings, *found))


def describe_unmatched(pattern: str, names: Sequence[str], flag: str = "--only ") -> str:
    """Return the message on a pattern of `--only` without effect, with a similar one that has one.

    Args:
        pattern: The pattern.
        names: The canonical names of the selected parameters.
        flag: The text before the pattern.
    """
    near = nearest_pattern(pattern, names)
    quoted = None if near is None else shlex.quote(near)
    advice = did_you_mean(quoted, "check its spelling, and `parameters` in the spec")
    return f"{flag}{shlex.quote(pattern)} matches no selected parameter and no replica: {advice}"


def nearest_pattern(pattern: str, names: Sequence[str]) -> str | None:
    """Return a similar pattern that matches at least one of the canonical names.

    Levels are corrected from left to right, so the cost is one pass over the names for each level.
    """
    levels = canonical(pattern)[1:].split("/")
    literal = next((i for i, level in enumerate(levels) if "*" in level), len(levels))
    below = [name[1:].split("/") for name in names]
    found: list[str] = []
    for depth, level in enumerate(levels[:literal]):
        below = [name for name in below if len(name) > depth]
        siblings = {name[depth] for name in below}
        close = [level] if level in siblings else get_close_matches(level, sorted(siblings)[:MAX_COMPARED], 1)
        if not close:
            return None
        below = [name for name in below if name[depth] == close[0]]
        found.append(close[0])
    near = "/" + "/".join([*found, *levels[literal:]])
    for offer in (near, f"{near}/**"):
        glob = Glob(offer)
        if offer != pattern and any(glob.matches(name) for name in names):
            return offer
    return None


@dataclass(frozen=True, slots=True, order=True)
class DriftedAddress:
    """An address that differs from the spec. `state` is its action, or the key that counts it."""

    replication: str
    target: str
    name: str
    state: str
    reasons: tuple[str, ...] = ()


def find_drift(plan: Plan, specs: Iterable[Replication]) -> tuple[DriftedAddress, ...]:
    """Return every change, withheld ones included, and every address that needs a decision by a person.

    An orphan counts if its spec has `orphans: delete`. Skipped, held, opted-out, kept-out and chained
    addresses are as the spec wants them, and so are replicas whose mark is not due. An incomplete place has
    no addresses; see `plan.complete`.
    """
    deleted = {spec.name for spec in specs if spec.orphans is Orphans.DELETE}
    found = [
        DriftedAddress(*change.order, f"{change.action}, withheld", change.all_reasons)
        if change.withheld
        else DriftedAddress(*change.order, change.action.value)
        for change in plan.changes
    ]
    for other in plan.others:
        if other.counted in UNMET or (other.row is Row.ORPHAN and other.replication in deleted):
            state = other.row.value if other.row in (Row.FOREIGN, Row.COPIED) else other.counted
            found.append(DriftedAddress(other.replication, other.target, other.name, state, other.reasons))
    return tuple(sorted(found))
