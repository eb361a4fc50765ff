"""Addresses, findings and names -> the groups in which every output shows them.

group_addresses   addresses with the same reason      merge_findings   findings with the same message
path_patterns     many names -> `path/* x N`; each name is under exactly one pattern
merge_alike       many targets -> those of which an output shows the same
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate, groupby
from types import MappingProxyType
from typing import TypeVar

from ssm_reconcile.documents import FindingEntry, OtherEntry, RemedyEntry
from ssm_reconcile.model import canonical
from ssm_reconcile.renderers.changes import (
    AttributeLine,
    conflict_lines,
    last_change_text,
    without_key_places,
)
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.wording import plural

_SEVERITIES = ("error", "warning", "notice")
MANY_TARGETS = 10
"""Targets up to which an output shows each; of more, those that are alike are shown once."""
EXCEPTIONS = 3
"""The most targets that are named as exceptions of all, and the most that are named in any case."""
_T = TypeVar("_T")


def merge_alike(items: Sequence[_T], key: Callable[[_T], Hashable]) -> list[list[_T]]:
    """Return the items in groups of which the key is equal, in the order of the first of each group.

    Up to `MANY_TARGETS` items, each is a group of its own.
    """
    if len(items) <= MANY_TARGETS:
        return [[item] for item in items]
    groups: dict[Hashable, list[_T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def alike_label(names: Sequence[str], total: int, word: str = "target") -> str:
    """Return the label of targets that are alike: `us-east-2`, `us-east-2 and 3 alike`, `each of 40 targets`.

    Args:
        names: The targets.
        total: The number of all targets.
        word: The noun for a target.
    """
    if len(names) == total > 1:
        return f"each of {total:,} {word}s"
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} alike"


def all_but(everywhere: str, targets: Collection[str], every: Collection[str]) -> str:
    """Return `all 40 targets`, `all 40 targets but eu-west-1`, or nothing where the names say it better.

    Args:
        everywhere: The text for all targets.
        targets: The targets that have something in common.
        every: All targets.
    """
    left = sorted(set(every) - set(targets))
    if len(left) > EXCEPTIONS or len(targets) <= (EXCEPTIONS if left else 2):
        return ""
    return f"{everywhere} but {', '.join(left)}" if left else everywhere


def without_place(text: str, target: str, place: str) -> str:
    """Return a text about a target without its name and place, to compare it with that of another target.

    Other accounts and places in it stay, such as that of the source: texts that differ in one do not say the
    same.

    Args:
        text: The text.
        target: The name of the target.
        place: Its place: account and region, or the region.
    """
    account, _, region = place.rpartition("/")
    text = text.replace(f":{region}:{account}:", ":PLACE:")  # a region alone may be that of the source
    for own in filter(None, (target, place, account)):
        # An account before a slash is that of another place.
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(own)}(?![A-Za-z0-9/])", "PLACE", text)
    return text


@dataclass(frozen=True, slots=True)
class AddressKind:
    """The words for addresses without a change: `one` conflict, `many` conflicts, and their state."""

    one: str
    many: str
    state_of_one: str
    state_of_many: str

    def title(self, number: int) -> str:
        """Return `1 conflict, not written` or `2 conflicts, not written`."""
        state = self.state_of_one if number == 1 else self.state_of_many
        return f"{plural(number, self.one, self.many)}, {state}"


_NOT_WRITTEN = ("not written", "not written")
_LEFT = ("left as it is", "left as they are")
KINDS = {
    "conflict": AddressKind("conflict", "conflicts", *_NOT_WRITTEN),
    "detached": AddressKind("detached", "detached", *_LEFT),
    "invalid": AddressKind("invalid", "invalid", *_NOT_WRITTEN),
    "expiring": AddressKind("expiring", "expiring", "not deleted yet", "not deleted yet"),
    "orphaned": AddressKind("orphaned", "orphaned", *_LEFT),
    "held": AddressKind("held", "held", *_LEFT),
    "opted_out": AddressKind("opted out", "opted out", *_LEFT),
}
"""The kinds of addresses that are listed and not changed, in the order in which they are shown."""
_SKIPPED = AddressKind("skipped", "skipped", *_LEFT)


def kind_counts(summary: Mapping[str, int], *words: str) -> str:
    """Return `2 conflicts, 1 invalid`: the numbers of a summary under KINDS, or under `words` only."""
    known = {**KINDS, "skipped": _SKIPPED}
    return ", ".join(
        plural(summary[word], known[word].one, known[word].many)
        for word in words or known
        if summary.get(word)
    )


@dataclass(frozen=True, slots=True)
class ConflictView:
    """The attributes in which an existing parameter differs from its source.

    Attributes:
        lines: The attributes: the existing value before, that of the source after.
        last_change: Version, time and writer of the last change of the parameter; empty if unknown.
        is_public: Whether comments and pages show the lines too (`show` of the spec). A terminal always does.
        targets: The labels of the targets in which all this is equal.
        last_change_with_age: The last change for a terminal, with its time relative to the plan, too.
        common_lines: The attributes with placeholders for the place of the target.
    """

    lines: tuple[AttributeLine, ...]
    last_change: str
    is_public: bool
    targets: tuple[str, ...] = ()
    last_change_with_age: str = ""
    common_lines: tuple[AttributeLine, ...] = ()

    def text_lines(self) -> list[str]:
        """Return the differences as lines of plain text, each attribute named once."""
        width = max((len(line.label) for line in self.lines), default=0)
        found = []
        for label, same in groupby(self.lines, key=lambda line: line.label):
            shown = [text for line in same for text in line.texts(is_new=False)]
            found += [f"{label if i == 0 else '':<{width}}  {text}" for i, text in enumerate(shown)]
        return found


def conflict_view(entry: OtherEntry, created: datetime | None = None, place: str = "") -> ConflictView:
    """Return the differences of an entry under `others` that has attributes.

    Args:
        entry: The entry.
        created: The time of the plan.
        place: The place of its target.
    """
    lines = conflict_lines(entry)
    last, with_age = (
        last_change_text(entry.get("version"), entry.get("last_modified"), entry.get("writer") or "", time)
        for time in (None, created)
    )
    return ConflictView(
        lines,
        last,
        bool(entry.get("show")),
        last_change_with_age=with_age,
        common_lines=without_key_places(lines, place),
    )


@dataclass(frozen=True, slots=True)
class AddressGroup:
    """Addresses of one kind with the same reason.

    `kind` is a key of KINDS or another word. `names` has the labels of the targets of each name, `conflicts`
    the differences at a name, if they are known: one for each set of targets with equal differences. A report
    has none of them, and its groups equal those of its plan.
    """

    kind: str
    reason: str
    names: Mapping[str, tuple[str, ...]]
    conflicts: Mapping[str, tuple[ConflictView, ...]] = field(default_factory=dict, compare=False)

    @property
    def size(self) -> int:
        """Number of addresses."""
        return sum(map(len, self.names.values()))

    def entries(self, *, is_public: bool) -> Iterator[tuple[str, tuple[str, ...], ConflictView | None]]:
        """Yield each name with targets and their differences, if any are known.

        Args:
            is_public: Whether the output is a comment or a page, which has no lines unless they are public.
        """
        for name, targets in self.names.items():
            found: dict[ConflictView, list[str]] = {}
            for one in self.conflicts.get(name, ()):
                lines = one.lines if one.is_public or not is_public else ()
                found.setdefault(replace(one, lines=lines, targets=()), []).extend(one.targets)
            shown = [replace(one, targets=tuple(sorted(at))) for one, at in found.items()]
            rest = tuple(one for one in targets if not any(one in conflict.targets for conflict in shown))
            if rest:
                yield name, rest, None
            yield from ((name, conflict.targets, conflict) for conflict in shown)


def group_addresses(
    items: Iterable[tuple[str, Iterable[str], str, str]],
    conflicts: Mapping[tuple[str, str], ConflictView] = MappingProxyType({}),
) -> tuple[AddressGroup, ...]:
    """Group addresses by kind and reasons.

    Args:
        items: Kind, reasons, name and label of the target of each address.
        conflicts: Differences by name and label of the target.
    """
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for kind, reasons, name, target in items:
        reason = "; ".join(visible(reason) for reason in reasons)
        found.setdefault((visible(kind), reason), {}).setdefault(visible(name), []).append(target)
    return tuple(
        AddressGroup(
            kind,
            reason,
            {name: tuple(sorted(at)) for name, at in sorted(names.items())},
            {name: merged for name, at in sorted(names.items()) if (merged := _merged(name, at, conflicts))},
        )
        for (kind, reason), names in sorted(found.items())
    )


def _merged(
    name: str, targets: Iterable[str], conflicts: Mapping[tuple[str, str], ConflictView]
) -> tuple[ConflictView, ...]:
    """Return the differences at a name, those that are equal in several targets as one."""
    found: dict[ConflictView, list[str]] = {}
    for target in sorted(targets):
        if (name, target) in conflicts:
            one = conflicts[name, target]
            found.setdefault(replace(one, lines=one.common_lines), []).append(target)
    return tuple(
        replace(conflict if len(at) > 1 else conflicts[name, at[0]], targets=tuple(at), common_lines=())
        for conflict, at in found.items()
    )


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding, with all positions that have it.

    `message` has the flag that lifts a guard. `problem` does not, for outputs that show `remedy` as YAML.
    `targets` has the labels of the targets that it is about; empty if it is about none, or does not say it.
    """

    severity: str
    code: str
    problem: str
    flag: str
    where: tuple[str, ...]
    remedy: RemedyEntry | None = None
    targets: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The problem and, for the finding of a guard, the flag that lifts it."""
        return f"{self.problem}. If meant: {self.flag}" if self.flag else self.problem


def merge_findings(
    findings: Iterable[FindingEntry],
    shown: AbstractSet[tuple[str, str, str]],
    label: Callable[[str, str], str],
) -> tuple[FindingView, ...]:
    """Return findings with the same message as one, errors first.

    Args:
        findings: The findings of a document.
        shown: Replication, target and name of the addresses that are shown. A finding on some of these only
            is left out: their reasons say the same.
        label: Returns the label of a target from the names of its replication and its own.
    """
    found: dict[tuple[str, str, str, str], list[str]] = {}
    remedies: dict[tuple[str, str, str, str], RemedyEntry | None] = {}
    targets: dict[tuple[str, str, str, str], list[str]] = {}
    for finding in findings:
        part = finding.get("replication")
        about = {(part or "", one["target"], one["name"]) for one in finding.get("about") or ()}
        if about and about <= shown:
            continue
        remedy = finding.get("remedy")
        words = (finding["severity"], finding["code"], finding["message"], remedy["flag"] if remedy else "")
        key = (visible(words[0]), visible(words[1]), visible(words[2]), visible(words[3]))
        remedies.setdefault(key, remedy)
        at = targets.setdefault(key, [])
        at += [label(part or "", one["target"]) for one in finding.get("about") or () if one["target"]]
        where = found.setdefault(key, [])
        if finding["where"]:
            where.append(visible(finding["where"]))
    rank = {severity: i for i, severity in enumerate(_SEVERITIES)}
    ordered = sorted(found.items(), key=lambda item: (rank.get(item[0][0], -1), item[0]))
    return tuple(
        FindingView(*key, tuple(dict.fromkeys(at)), remedies[key], tuple(dict.fromkeys(targets[key])))
        for key, at in ordered
    )


OTHER_PATHS = "other paths"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """Names under one path. `pattern` is the name itself, `path/*` or, with levels between, `path/**`.

    It is `*` for names without a slash, and OTHER_PATHS for the names under the paths that are not shown.
    """

    path: str
    pattern: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        count = f" \N{MULTIPLICATION SIGN} {len(self.names):,}" if len(self.names) > 1 else ""
        return self.pattern + count


def path_patterns(names: Iterable[str], limit: int) -> tuple[PathPattern, ...]:
    """Group names by the deepest paths of which there are at most `limit`, sorted by path.

    Where even the first levels are more, those with the most names are kept, and the others are one pattern.
    """
    paths = {name: _paths_above(name) for name in sorted(set(names))}
    depth = max((len(above) - 1 for above in paths.values()), default=0)
    groups = _by_path(paths, depth)
    while len(groups) > limit and depth > (1 if limit > 1 else 0):
        depth -= 1
        groups = _by_path(paths, depth)
    largest = sorted(groups, key=lambda path: -len(groups[path]))[: limit - 1]
    kept = sorted(groups if len(groups) <= max(limit, 1) else largest)
    found = [
        PathPattern(path or "/", _pattern(path, groups[path], paths), tuple(groups[path])) for path in kept
    ]
    if others := sorted(name for path in groups.keys() - set(kept) for name in groups[path]):
        found.append(PathPattern(OTHER_PATHS, OTHER_PATHS, tuple(others)))
    return tuple(found)


def _paths_above(name: str) -> list[str]:
    """Return the paths that a name is under, from the empty one down: "", `/shop`, `/shop/prod`."""
    levels = canonical(name)[1:].split("/")[:-1]
    return list(accumulate((f"/{level}" for level in levels), initial=""))


def _by_path(paths: Mapping[str, Sequence[str]], depth: int) -> dict[str, list[str]]:
    """Group names by the first levels of their paths."""
    groups: dict[str, list[str]] = {}
    for name, above in paths.items():
        groups.setdefault(above[min(depth, len(above) - 1)], []).append(name)
    return groups


def _pattern(path: str, names: list[str], paths: Mapping[str, Sequence[str]]) -> str:
    if len(names) == 1:
        return names[0]
    if not any(name.startswith("/") for name in names):
        return "*"
    direct = all(paths[name][-1] == path for name in names)
    return f"{path}/{'*' if direct else '**'}"
