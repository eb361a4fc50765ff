"""Changes, addresses and findings -> what belongs together, so that it is said once.

merged       the same change in several targets       groups_of     addresses with the same reason
findings_of  findings with the same message, without what is said at its address already
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ssm_reconcile.renderers.details import Line
from ssm_reconcile.renderers.inert import visible

Document: TypeAlias = Mapping[str, Any]
HARMLESS = ("create", "update", "adopt", "retag")
"""The actions that delete nothing; one that this version does not know is not among them."""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change in one target. `target` is the target's label, `kind` the type or `old -> new`."""

    target: str
    name: str
    action: str
    kind: str
    lines: tuple[Line, ...] = ()
    remarks: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    withheld: bool = False
    changed_outside: bool = False
    exposes: bool = False
    pending: bool = False

    @property
    def is_danger(self) -> bool:
        """Whether something is deleted on the way, or a SecureString becomes plain text."""
        return self.action not in HARMLESS or self.exposes

    @property
    def is_anyway(self) -> bool:
        """Whether it may be folded, because the spec before would do it too and it deletes nothing."""
        return self.pending and not self.is_danger


@dataclass(frozen=True, slots=True)
class Merged:
    """The same change in several targets."""

    name: str
    action: str
    kind: str
    attributes: tuple[str, ...]
    withheld: bool
    pending: bool
    targets: tuple[str, ...]
    changed_outside: tuple[str, ...]
    exposes: bool = False

    @property
    def is_danger(self) -> bool:
        """Whether something is deleted on the way, or a SecureString becomes plain text."""
        return self.action not in HARMLESS or self.exposes


@dataclass(frozen=True, slots=True)
class Place:
    """One name and the targets in which something is said of it."""

    name: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses where nothing is done for the same reason, or that ended in the same way."""

    counted: str
    reason: str
    places: tuple[Place, ...]

    @property
    def size(self) -> int:
        """How many addresses."""
        return sum(len(place.targets) for place in self.places)


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding, with all the positions at which it was made."""

    severity: str
    code: str
    message: str
    where: tuple[str, ...]


def merged(changes: Iterable[ChangeView]) -> tuple[Merged, ...]:
    """Changes that are the same in several targets as one each, in the order of the first."""
    found: dict[tuple[str, str, str, tuple[str, ...], bool, bool], list[ChangeView]] = {}
    for change in changes:
        attributes = change.attributes if change.action in ("update", "retag") else ()
        key = (change.name, change.action, change.kind, attributes, change.withheld, change.pending)
        found.setdefault(key, []).append(change)
    return tuple(
        Merged(
            *key,
            targets=tuple(change.target for change in every),
            changed_outside=tuple(change.target for change in every if change.changed_outside),
            exposes=any(change.exposes for change in every),
        )
        for key, every in found.items()
    )


def groups_of(items: Iterable[tuple[str, Iterable[str], str, str]]) -> tuple[Group, ...]:
    """(counted, reasons, name, target) grouped by what they have in common, names with their targets."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for counted, reasons, name, target in items:
        reason = "; ".join(visible(reason) for reason in reasons)
        found.setdefault((visible(counted), reason), {}).setdefault(visible(name), []).append(target)
    return tuple(
        Group(counted, reason, tuple(Place(name, tuple(sorted(at))) for name, at in sorted(names.items())))
        for (counted, reason), names in sorted(found.items())
    )


_SEVERITIES = ("error", "warning", "notice")


def findings_of(findings: Iterable[Document], addresses: Iterable[Document] = ()) -> tuple[FindingView, ...]:
    """Findings with the same message as one, errors first.

    A finding is left out where `addresses` has all parameters that it is about: their reasons say the same.
    """
    said = {(item["replication"], item["target"], item["name"]) for item in addresses}
    found: dict[tuple[str, str, str], list[str]] = {}
    for finding in findings:
        part = finding.get("replication")
        about = {(part, one["target"], one["name"]) for one in finding.get("about") or ()}
        if about and about <= said:
            continue
        key = (visible(finding["severity"]), visible(finding["code"]), visible(finding["message"]))
        where = found.setdefault(key, [])
        if finding["where"]:
            where.append(visible(finding["where"]))
    rank = {severity: i for i, severity in enumerate(_SEVERITIES)}
    ordered = sorted(found.items(), key=lambda item: (rank.get(item[0][0], -1), item[0]))
    return tuple(FindingView(*key, tuple(dict.fromkeys(where))) for key, where in ordered)
