"""Changes of a plan -> groups in the order of danger, for every output that is read from its top.

outline_changes   changes -> groups of one kind and state with the reasons that all of a group share; in a
                  group, equal changes of several targets are one, and many changes are path patterns
guard_reasons     changes and findings -> the guards that withhold changes, each with its reasons and remedies
run_flags         findings -> the flags that lift them all
apply_cost        budget -> the writes and the least time of an apply; a long one with its cause
apply_means       budget -> the means against a long time

A dangerous change deletes or overwrites what may be needed. Dangerous changes are listed also where others
are path patterns, unless more than LISTED of one kind are under one path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ssm_reconcile.aws_limits import OPERATIONS, CallClass
from ssm_reconcile.change import WITHHELD_MARK
from ssm_reconcile.documents.counts import BudgetEntry, LimitEntry
from ssm_reconcile.renderers.changes import ChangeView
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.renderers.groups import FindingView, PathPattern, path_patterns
from ssm_reconcile.wording import plural

LISTED = 40
"""The most changes of one kind that are listed; more are path patterns."""
DANGERS = 120
"""The most lines of a group of dangerous changes that are not all listed, apart from its path patterns."""
LONG_APPLY = 60.0
"""Seconds of an apply beyond which its limit is named."""
_SMALL = 4
"""A group of less than one part in this many of the limit is listed, whatever else there is of its kind."""
_GUARD_GROUPS = 3
"""The most groups of one kind and state that are made for their guards."""
_REASON_GROUPS = 4
"""The most groups of one kind and state that are made for their reasons."""
_NUMBER = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class ChangeKind:
    """A kind of change: its word, its title and its effect, empty where the title says it."""

    word: str
    title: str
    effect: str = ""
    is_dangerous: bool = False

    @property
    def rank(self) -> int:
        """The place in the order of danger."""
        return _RANKS.get(self.word, -1)


CHANGE_KINDS = (
    ChangeKind("delete", "Delete", is_dangerous=True),
    ChangeKind("replace", "Replace", is_dangerous=True),
    ChangeKind("expose", "Expose as plain text", is_dangerous=True),
    ChangeKind("older secret", "Returns to an older secret", is_dangerous=True),
    ChangeKind("take over", "Take over", is_dangerous=True),
    ChangeKind("release", "Release", is_dangerous=True),
    ChangeKind("mark", "Mark to expire", "only tags are written"),
    ChangeKind("update", "Update"),
    ChangeKind("create", "Create"),
    ChangeKind("adopt", "Adopt", "only tags are written"),
    ChangeKind("retag", "Retag", "only tags are written"),
)
"""The kinds of changes, the most dangerous first. A kind that this version does not know is before them."""
_BY_WORD = {kind.word: kind for kind in CHANGE_KINDS}
_RANKS = {kind.word: rank for rank, kind in enumerate(CHANGE_KINDS)}


def kind_of(change: ChangeView) -> ChangeKind:
    """Return the kind of a planned change."""
    return kind_from(
        change.action,
        exposes=change.exposes,
        takes_over=change.takes_over,
        releases=change.releases,
        marks=change.marks,
        returns_secret=change.returns_secret,
    )


def kind_from(
    action: str,
    *,
    exposes: bool,
    takes_over: bool,
    releases: bool,
    marks: bool = False,
    returns_secret: bool = False,
) -> ChangeKind:
    """Return the kind of a change.

    Args:
        action: The action of the document.
        exposes: Whether a SecureString becomes plain text.
        takes_over: Whether the parameter was not a replica.
        releases: Whether the parameter stays and is no longer a replica.
        marks: Whether a later run deletes or releases the parameter.
        returns_secret: Whether `undo` writes a former version of a SecureString again.
    """
    word = "mark" if marks else action
    if exposes:
        word = "expose"
    elif returns_secret:
        word = "older secret"
    elif action not in ("delete", "replace") and (takes_over or releases):
        word = "take over" if takes_over else "release"
    return _BY_WORD.get(word) or ChangeKind(word, word.capitalize(), "unknown action", is_dangerous=True)


@dataclass(frozen=True, slots=True)
class ListedChange:
    """The same change in the targets of its `members`: only last change and place of the key differ.

    `change` is the change in its target, or as it is shown for several.
    """

    members: tuple[ChangeView, ...]
    change: ChangeView = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        first = self.members[0]
        object.__setattr__(self, "change", first if len(self.members) == 1 else first.as_shared)

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels of the targets."""
        return tuple(member.target for member in self.members)

    def last_changes(self, *, with_age: bool) -> dict[str, tuple[str, ...]]:
        """Return the last changes of the parameter, each with the targets that have it."""
        found: dict[str, list[str]] = {}
        for member in self.members:
            text = member.last_change_with_age if with_age else member.last_change
            found.setdefault(text, []).append(member.target)
        return {text: tuple(targets) for text, targets in found.items() if text}


@dataclass(frozen=True, slots=True)
class ChangePattern:
    """The changes of a group whose names are under one path."""

    path: PathPattern
    changes: tuple[ListedChange, ...]

    @property
    def size(self) -> int:
        """Number of changes, counted in each target."""
        return _size(self.changes)

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels of all targets of the changes, sorted."""
        return tuple(sorted({target for change in self.changes for target in change.targets}))

    @property
    def is_uniform(self) -> bool:
        """Whether every name has one change, in the same targets."""
        return self.size == len(self.path.names) * len(self.targets)

    @property
    def contents(self) -> tuple[str, ...]:
        """The attributes that differ, or the types of parameters that are created or removed."""
        views = [change.change for change in self.changes]
        found = (v.attributes if v.action in ("update", "retag") else (v.kind,) for v in views)
        return tuple(sorted({one for many in found for one in many} - {""}))


@dataclass(frozen=True, slots=True)
class ChangeGroup:
    """Changes of one kind that are withheld alike; `reasons` hold for all of them.

    `changes` has all of them. Each is in `listed` or in one of `patterns`. `guards` is empty where nothing
    is withheld, or by too many combinations of guards.
    """

    kind: ChangeKind
    guards: tuple[str, ...]
    reasons: tuple[str, ...]
    changes: tuple[ListedChange, ...]
    listed: tuple[ListedChange, ...] = ()
    patterns: tuple[ChangePattern, ...] = ()

    @property
    def withheld(self) -> bool:
        """Whether the changes are not applied."""
        return self.changes[0].change.withheld

    @property
    def pending(self) -> bool:
        """Whether the previous spec makes all of the changes, too."""
        return all(one.change.pending for one in self.changes)

    @property
    def size(self) -> int:
        """Number of changes, counted in each target."""
        return _size(self.changes)

    def shared_last_change(self, *, with_age: bool = False) -> str:
        """Return the last change of the parameters if it is the same for several; otherwise nothing."""
        found = [tuple(one.last_changes(with_age=with_age)) for one in self.changes]
        is_shared = len(found) > 1 and len(found[0]) == 1 and len(set(found)) == 1
        return found[0][0] if is_shared else ""


@dataclass(frozen=True, slots=True)
class GuardReason:
    """A guard, the number of changes that it withholds, its findings, or the reasons of its changes."""

    guard: str
    size: int
    findings: tuple[FindingView, ...]
    reasons: tuple[str, ...]


def _size(changes: Iterable[ListedChange]) -> int:
    return sum(len(change.members) for change in changes)


def merge_targets(changes: Iterable[ChangeView]) -> list[ListedChange]:
    """Merge changes of several targets that differ only as in `ListedChange`, in the order of the first."""
    found: dict[ChangeView, list[ChangeView]] = {}
    for change in changes:
        key = replace(
            change,
            target="",
            lines=change.common_lines,
            last_change="",
            last_change_with_age="",
            holds=(),
            changed_outside=False,
        )
        found.setdefault(key, []).append(change)
    return [ListedChange(tuple(members)) for members in found.values()]


def outline_changes(
    changes: Iterable[ListedChange],
    listed: int | None = LISTED,
    patterns: int = LISTED,
    dangers: int = DANGERS,
    *,
    is_divided: bool = True,
) -> tuple[ChangeGroup, ...]:
    """Return the groups of changes: by kind, then withheld ones first and pending ones last.

    Args:
        changes: The changes of a plan, merged by `merge_targets`.
        listed: The most changes of one kind that are listed; None for all. It does not apply to dangerous
            changes, of which up to LISTED are listed.
        patterns: The most path patterns of one group that is not dangerous.
        dangers: The most path patterns of a dangerous group, and the most changes under several paths that
            are listed in it.
        is_divided: Whether changes of one kind are divided by guards, reasons, and the previous spec, too.
    """
    states: dict[tuple[int, str, bool, bool], list[ListedChange]] = {}
    kinds: dict[str, ChangeKind] = {}
    for one in changes:
        kind = kind_of(one.change)
        kinds[kind.word] = kind
        state = (kind.rank, kind.word, one.change.pending and is_divided, not one.change.withheld)
        states.setdefault(state, []).append(one)
    groups = [
        ChangeGroup(kinds[state[1]], guards, reasons, part)
        for state, same in sorted(states.items())
        for guards, held in _by_guards(same, _GUARD_GROUPS if is_divided else 1)
        for reasons, part in _by_reasons(held, _REASON_GROUPS if is_divided else 0)
    ]
    totals = {word: sum(len(one.changes) for one in groups if one.kind.word == word) for word in kinds}
    return tuple(_fold(group, totals[group.kind.word], listed, patterns, dangers) for group in groups)


def _by_guards(
    changes: Sequence[ListedChange], most: int
) -> list[tuple[tuple[str, ...], list[ListedChange]]]:
    """Divide changes by the guards that withhold them, unless these are too many combinations."""
    found: dict[tuple[str, ...], list[ListedChange]] = {}
    for one in changes:
        found.setdefault(one.change.guards, []).append(one)
    return sorted(found.items()) if len(found) <= most else [((), list(changes))]


def _by_reasons(
    changes: Sequence[ListedChange], most: int
) -> list[tuple[tuple[str, ...], tuple[ListedChange, ...]]]:
    """Divide changes by the reasons that several share; the others, with reasons of their own, are last."""
    found: dict[tuple[str, ...], list[ListedChange]] = {}
    for one in changes:
        found.setdefault(one.change.reasons, []).append(one)
    shared = {reasons: same for reasons, same in found.items() if reasons and len(same) > 1}
    largest = sorted(shared, key=lambda reasons: (-len(shared[reasons]), reasons))[:most]
    rest = tuple(one for one in changes if one.change.reasons not in largest)
    first = rest[0].change.reasons if len(rest) > 1 else ()
    common = tuple(reason for reason in first if all(reason in one.change.reasons for one in rest))
    return [*((key, tuple(shared[key])) for key in largest), *([(common, rest)] if rest else [])]


def _fold(group: ChangeGroup, total: int, listed: int | None, patterns: int, dangers: int) -> ChangeGroup:
    """Return a group with its changes listed or as path patterns; `total` counts the changes of its kind."""
    limit = math.inf if listed is None else LISTED if group.kind.is_dangerous else listed
    if total <= limit or len(group.changes) * _SMALL <= limit:
        return replace(group, listed=group.changes)
    by_name: dict[str, list[ListedChange]] = {}
    for change in group.changes:
        by_name.setdefault(change.change.name, []).append(change)
    shown: list[ListedChange] = []
    found: list[ChangePattern] = []
    room = dangers if group.kind.is_dangerous else 0
    paths = path_patterns(by_name, dangers if group.kind.is_dangerous else patterns)
    for path in sorted(paths, key=lambda one: len(one.names)):
        inside = tuple(change for name in path.names for change in by_name[name])
        if len(inside) == 1 or len(inside) <= min(LISTED, room):
            shown += inside
            room -= len(inside)
        else:
            found.append(ChangePattern(path, inside))
    return replace(
        group,
        listed=tuple(sorted(shown, key=lambda one: one.change.name)),
        patterns=tuple(sorted(found, key=lambda one: one.path.path)),
    )


def guard_reasons(changes: Iterable[ChangeView], findings: Iterable[FindingView]) -> tuple[GuardReason, ...]:
    """Return the guards that withhold changes, in the order of the changes.

    Args:
        changes: The changes of a plan.
        findings: Its findings; the code of a finding of a guard is the name of the guard.
    """
    reasons: dict[str, list[str]] = {}
    for change in changes:
        for guard, reason in zip(change.guards, change.holds, strict=False):
            reasons.setdefault(guard, []).append(reason.removeprefix(WITHHELD_MARK))
    by_code: dict[str, list[FindingView]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    return tuple(
        GuardReason(guard, len(texts), tuple(by_code.get(guard, ())), tuple(dict.fromkeys(texts)))
        for guard, texts in reasons.items()
    )


def run_flags(findings: Iterable[FindingView]) -> list[str]:
    """Return the flags that lift findings, each with its largest number: a flag is for the whole run."""
    found: dict[str, tuple[int, str]] = {}
    for flag in (finding.flag for finding in findings if finding.flag):
        option, _, number = flag.rpartition(" ")
        key, size = (option, int(number)) if _NUMBER.fullmatch(number) else (flag, 0)
        if size >= found.get(key, (0, ""))[0]:
            found[key] = (size, flag)
    return [flag for _, flag in found.values()]


def guard_sentences(guard: GuardReason) -> list[str]:
    """Return the text of each finding of a guard, or each reason of its changes; no sentence twice."""
    return without_repeats([finding.problem for finding in guard.findings] or guard.reasons)


def without_repeats(texts: Iterable[str]) -> list[str]:
    """Return texts without the sentences of the texts before; one of which nothing is left is empty."""
    said, found = set[str](), []
    for text in texts:
        sentences = [sentence for sentence in text.split(". ") if sentence not in said]
        said.update(sentences)
        found.append(". ".join(sentences))
    return found


def long_limit(budget: BudgetEntry | None) -> LimitEntry | None:
    """Return the cause of the least time of an apply that takes more than a minute; None for others."""
    return budget.get("limit") if budget and budget["seconds"] > LONG_APPLY else None


def apply_cost(budget: BudgetEntry, name: Callable[[str], str] = visible) -> str:
    """Return the writes and the least time of an apply; a long one with its cause.

    Args:
        budget: The cost of the apply.
        name: Returns an operation or a place as it is shown.
    """
    text = f"apply: {plural(budget['writes'], 'write')}, at least {_duration(budget['seconds'])}"
    limit = long_limit(budget)
    return text if limit is None else f"{text}: {_rate(limit, name)} in {name(limit['place'])}"


def apply_means(
    budget: BudgetEntry | None, name: Callable[[str], str], code: Callable[[str], str]
) -> Iterator[str]:
    """Yield sentences on the means against a long apply: higher throughput, and a rate after its quota.

    Args:
        budget: The cost of the apply.
        name: As in `apply_cost`.
        code: Returns a part of a spec as it is shown.
    """
    limit = long_limit(budget)
    if budget is None or limit is None:
        return
    raised = budget.get("with_higher_throughput")
    if raised is not None:
        time = _duration(raised["seconds"])
        yield f"With higher throughput on, it takes at least {time}: {_rate(raised, name)}."
    rate = (raised or limit)["fitting_rate"]
    if rate:
        quota = f"Raise the quota of {name(OPERATIONS[CallClass.LIST_TAGS])} first"
        yield f"{quota}, then {code(f'rates: {{list_tags: {rate}}}')} fits."


def _rate(limit: LimitEntry, name: Callable[[str], str]) -> str:
    return f"{name(limit['operation'])} at {limit['rate']:g}/s"


def _duration(seconds: float) -> str:
    """Return seconds in the unit that people use: `5 s`, `12 min`, `2.5 h`."""
    if seconds < 100:  # noqa: PLR2004 - longer times are easier to read in minutes
        return f"{math.ceil(seconds)} s"
    if seconds < 100 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"
