"""Document of a plan or a report -> `PlanView` or `ReportView`, which every output shows.

The view decides the order (most dangerous first), merges, groups, hides and cuts, once for all outputs.
Every text in a view is one line and safe to print on a terminal; Markdown and HTML quote it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial
from types import MappingProxyType
from typing import TypeVar

from ssm_reconcile.change import Row
from ssm_reconcile.documents import (
    AddressKeys,
    ChangeEntry,
    DroppedEntry,
    OtherEntry,
    OutcomeEntry,
    PlanDocument,
    RemainingEntry,
    ReplicationEntry,
    ReplicationKeys,
    ReplicationResultEntry,
    ReportDocument,
    TargetEntry,
)
from ssm_reconcile.documents.decode import counts_of
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import UNMET
from ssm_reconcile.renderers.changes import (
    ACTIONS,
    BY_DANGER,
    HARMLESS,
    ChangeView,
    change_view,
    returns_secret,
)
from ssm_reconcile.renderers.danger import Danger, danger_of
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.renderers.groups import (
    AddressGroup,
    ConflictView,
    FindingView,
    conflict_view,
    group_addresses,
    kind_counts,
    merge_findings,
)
from ssm_reconcile.renderers.outcomes import OutcomeGroup, OutcomeView, group_outcomes, result_word
from ssm_reconcile.renderers.outline import CHANGE_KINDS, ListedChange, kind_of, merge_targets
from ssm_reconcile.wording import join, parse_time, plural

SHORT_ID = 12
"""Digits of a plan id that are shown. They are enough to name the plan."""
UNRESOLVED = ("conflict", "detached", "invalid", "orphaned")
"""The kinds of addresses without a change that a reviewer must know about."""

_DANGER_COUNTS = {
    "delete": ("delete", "deletes"),
    "replace": ("replacement", "replacements"),
    "expose": ("SecureString made plain", "SecureStrings made plain"),
    "older secret": ("return to an older secret", "returns to an older secret"),
    "take over": ("take-over", "take-overs"),
    "release": ("release", "releases"),
}
"""The words for the changes of each dangerous kind."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact about the whole plan or report that every output shows.

    `kind` is `undo`, `narrowed`, `no-decrypt`, `incomplete` or `interrupted`. `{}` in `fact` stands for
    `names`, which each output quotes in its own way. `effect` is the sentence after the fact.
    """

    kind: str
    fact: str
    names: tuple[str, ...] = ()
    effect: str = ""

    def sentence(self, quote: Callable[[Sequence[str]], str] | None = None) -> str:
        """Return the fact with its names, which `quote` quotes and joins; without it, they are unchanged."""
        unquoted = " ".join if self.kind == "narrowed" else join
        return self.fact.replace("{}", (quote or unquoted)(self.names))

    def __str__(self) -> str:
        return f"{self.sentence()}{' ' if self.effect else ''}{self.effect}"


class TargetView:
    """One target of one replication. `label` is unique in the whole view."""

    def __init__(self, entry: TargetEntry, label: str) -> None:
        self.replication = visible(entry["replication"])
        self.name = visible(entry["name"])
        self.label = label
        self.place = visible(entry["place"])
        self.complete = entry["complete"]
        self.frozen = entry["frozen"]
        self.summary = counts_of(entry)


class ReplicationView:
    """One replication: its source and the names of its targets."""

    def __init__(
        self, part: ReplicationEntry | ReplicationResultEntry, targets: Iterable[TargetView]
    ) -> None:
        selected = part.get("selected")
        self.name = visible(part["name"])
        self.source = visible(part["source"])
        self.selected = selected if isinstance(selected, int) else 0
        self.targets = tuple(target.name for target in targets if target.replication == self.name)


_Entry = TypeVar("_Entry", ChangeEntry, OtherEntry, OutcomeEntry, RemainingEntry, DroppedEntry, TargetEntry)


class RunView:
    """The common part of the views, for all replications of a document or for one.

    `scope` has the names of the replications. `summary` counts actions and addresses in a plan, and outcomes
    in a report.
    """

    findings: tuple[FindingView, ...]

    def __init__(self, document: PlanDocument | ReportDocument, replication: str | None) -> None:
        parts = [part for part in document["replications"] if replication in (None, part["name"])]
        self._names = {part["name"] for part in parts}
        self.is_whole = len(parts) == len(document["replications"])
        self.plan_id = visible(document["plan_id"] if self.is_whole else parts[0]["id"] if parts else "")
        self.scope = tuple(visible(part["name"]) for part in parts)
        self.summary = document["summary"] if self.is_whole else _sum(part["summary"] for part in parts)
        self.targets = tuple(
            TargetView(entry, self._target_label(entry["replication"], entry["name"]))
            for entry in self._of(document["targets"])
        )
        self.replications = tuple(ReplicationView(part, self.targets) for part in parts)
        self.complete = all(entry.get("complete", True) for entry in (*parts, *self._of(document["targets"])))
        self._places = {target.label: target.place for target in self.targets}
        others, created = list(self._of(document["others"])), parse_time(document.get("created"))
        self.groups = self._groups(
            ((entry.get("counted") or entry["row"], entry["reasons"], entry) for entry in others),
            {
                (visible(entry["name"]), label): conflict_view(entry, created, self._places.get(label, ""))
                for entry, label in zip(others, map(self._label, others), strict=True)
                if entry.get("attributes")
            },
        )
        self.notices = [*_run_notices(document), *_incomplete_places(parts, self.targets)]

    def _of(self, entries: Iterable[_Entry]) -> Iterator[_Entry]:
        """Yield the entries that belong to the replications of the view."""
        return (entry for entry in entries if entry["replication"] in self._names)

    def _label(self, entry: AddressKeys) -> str:
        return self._target_label(entry["replication"], entry["target"])

    def _target_label(self, replication: str, target: str) -> str:
        """Return the name of a target, after its replication where there are several."""
        return visible(target if len(self._names) == 1 else f"{replication}:{target}")

    def _groups(
        self,
        items: Iterable[tuple[str, Iterable[str], AddressKeys]],
        conflicts: Mapping[tuple[str, str], ConflictView] = MappingProxyType({}),
    ) -> tuple[AddressGroup, ...]:
        found = ((kind, reasons, entry["name"], self._label(entry)) for kind, reasons, entry in items)
        return group_addresses(found, conflicts)

    def _findings(
        self, document: PlanDocument | ReportDocument, shown: AbstractSet[tuple[str, str, str]]
    ) -> tuple[FindingView, ...]:
        """Return the findings of the run and of the replications, except those on `shown` addresses only."""
        names = {"", None, *self._names}
        found = [entry for entry in document["findings"] if entry.get("replication") in names]
        return merge_findings(found, shown, self._target_label)

    @property
    def has_expired_hold(self) -> bool:
        """Whether a hold of the spec has expired, so that the run ends with exit code 3."""
        return any(finding.code == "hold-expired" for finding in self.findings)

    @property
    def short_id(self) -> str:
        """The beginning of the plan id, as outputs show it and people type it."""
        return self.plan_id[:SHORT_ID]

    @property
    def place_word(self) -> str:
        """The word for a target: `region`, or `target` where a label is not the name of a region."""
        return "region" if all(t.place.endswith("/" + t.label) for t in self.targets) else "target"

    def notices_of(self, *kinds: str) -> list[Notice]:
        """Return the notices of these kinds, in the order of the view."""
        return [notice for notice in self.notices if notice.kind in kinds]


class PlanView(RunView):
    """A plan. `guards` are the guards that withhold changes, `chained` counts skipped replicas.

    `dropped` are the changes that only the previous spec makes (`plan --against`).

    Args:
        document: A document that `plan_document` made or `read_plan_document` accepted.
        replication: The name of a replication; None selects all.
    """

    def __init__(self, document: PlanDocument, replication: str | None = None) -> None:
        super().__init__(document, replication)
        others = list(self._of(document["others"]))
        against = document.get("against")
        sources = {part["name"]: part["source"] for part in document["replications"]}
        self.mode = visible(document["mode"])
        self.created = visible(document.get("created") or "")
        created, shown, changes = parse_time(self.created), set(map(_address, others)), []
        for change in self._of(document["changes"]):
            shown.add(_address(change))
            label, source = self._label(change), sources[change["replication"]]
            changes.append(change_view(change, source, label, created, self._places.get(label, "")))
        self.findings = self._findings(document, shown)
        self.changes = tuple(sorted(changes, key=_danger_key))
        self.guards = {guard for change in changes for guard in change.guards}
        self.chained = sum(other["row"] == "chained" for other in others)
        self.narrowed_targets = tuple(visible(name) for name in document["narrowed"]["targets"])
        self.narrowed_only = tuple(visible(glob) for glob in document["narrowed"]["only"])
        self.budget = document.get("budget") if self.is_whole else None
        dropped = (
            ChangeView(self._label(d), visible(d["name"]), visible(d["action"]), "")
            for d in self._of(against["dropped"] if against else ())
        )
        self.dropped = tuple(sorted(dropped, key=_danger_key))

    @cached_property
    def merged(self) -> tuple[ListedChange, ...]:
        """The changes, merged by target: a page is made from them once for each level of detail."""
        return tuple(merge_targets(self.changes))

    @property
    def pending(self) -> int:
        """Number of changes that the previous spec makes too."""
        return sum(change.pending for change in self.changes)

    @property
    def withheld(self) -> int:
        """Number of changes that guards withhold."""
        return self.summary.get("withheld", 0)

    @property
    def has_writes(self) -> bool:
        """Whether apply writes anything: a change that is not withheld, or the removal of a mark."""
        return any(not change.withheld or change.clears_mark for change in self.changes)

    @property
    def dangerous(self) -> tuple[ChangeView, ...]:
        """The changes of a dangerous kind."""
        return tuple(change for change in self.changes if kind_of(change).is_dangerous)

    @property
    def danger(self) -> Danger:
        """The dangerous changes, for a marker."""
        return self._danger(self.dangerous)

    @property
    def drift_danger(self) -> Danger:
        """The changes that are dangerous or whose replica others changed, for a marker."""
        outside = [one for one in self.changes if one.changed_outside and not kind_of(one).is_dangerous]
        return self._danger([*self.dangerous, *outside])

    def _danger(self, changes: Sequence[ChangeView]) -> Danger:
        """Return the danger of changes. A replacement that also exposes a secret has the keys of both."""
        keys = [(change.target, change.name, kind_of(change).word) for change in changes]
        keys += [(one.target, one.name, one.action) for one in changes if one.action not in HARMLESS]
        return danger_of(self.scope, len(changes), keys)

    @property
    def danger_counts(self) -> list[str]:
        """The numbers of dangerous changes by kind, without zeros."""
        kinds = Counter(kind_of(change) for change in self.dangerous)
        unknown = sum(number for kind, number in kinds.items() if kind.rank < 0)
        counts = [(kinds[kind], *_DANGER_COUNTS[kind.word]) for kind in CHANGE_KINDS if kind.is_dangerous]
        counts.append((unknown, "change of an unknown action", "changes of an unknown action"))
        return [plural(number, one, many) for number, one, many in counts if number]

    @property
    def columns(self) -> tuple[str, ...]:
        """The words of the summary that are not zero in all targets, as the columns of a table."""
        words = (*BY_DANGER, "conflict", "detached", "invalid", "withheld", "expiring", "held", "in_sync")
        return tuple(word for word in words if self.summary.get(word))

    def headline(self, *, count_names: bool = False, quote: Callable[[str], str] = str) -> str:
        """Return `12 changes in 3 regions`, `no changes, 2 conflicts` or `nothing to do`.

        An incomplete plan is called INCOMPLETE.

        Args:
            count_names: Whether the parameters are counted, too.
            quote: The form of the name of a target, which is shown if only one has changes.
        """
        names = plural(len({change.name for change in self.changes}), "parameter")
        targets = {change.target for change in self.changes}
        where = quote(*targets) if len(targets) == 1 else plural(len(targets), self.place_word)
        number = f"{plural(len(self.changes), 'change')}{f' to {names}' if count_names else ''} in {where}"
        if not self.changes:
            number = f"no changes, {self.unresolved}" if self.unresolved else "nothing to do"
        return f"{number}{'' if self.complete else ', and INCOMPLETE'}"

    @property
    def unresolved(self) -> str:
        """`2 conflicts, 1 orphaned`: the addresses without a change that a person has to look at."""
        return kind_counts(self.summary, *UNRESOLVED)

    def other_counts(self, *kinds: str) -> str:
        """Return `480 in sync, 3 conflicts`: the addresses without a change, of some kinds or of all."""
        counts = (f"{self.summary.get('in_sync', 0):,} in sync", kind_counts(self.summary, *kinds))
        return ", ".join(filter(None, counts))

    @property
    def action_counts(self) -> str:
        """`5 to create, 4 to delete (2 withheld)`; empty where the plan has no change."""
        held = Counter(change.action for change in self.changes if change.withheld)
        return ", ".join(
            f"{self.summary[word]:,} to {word}" + f" ({held[word]:,} withheld)" * bool(held[word])
            for word in ACTIONS
            if self.summary.get(word)
        )


class ReportView(RunView):
    """A report. `remaining` are addresses that still differ from the spec and have no outcome.

    The outcomes are also in groups: `unapplied_groups` and `applied_groups`.

    Args:
        document: A document that `report_document` made or `read_report_document` accepted.
        replication: The name of a replication; None selects all.
    """

    def __init__(self, document: ReportDocument, replication: str | None = None) -> None:
        super().__init__(document, replication)
        outcomes = list(self._of(document["outcomes"]))
        listed = set(map(_address, self._of(document["others"])))
        # An address that is not applied or is listed with its reason is not listed again as remaining.
        shown = listed | {_address(o) for o in outcomes if o["outcome"] != "applied"}
        self.findings = self._findings(document, listed)
        self.outcomes = sorted((_outcome(o, self._label(o)) for o in outcomes), key=_danger_key)
        self.unapplied_groups = group_outcomes(one for one in self.outcomes if one.result != "applied")
        self.applied_groups = group_outcomes(one for one in self.outcomes if one.result == "applied")
        self.remaining = self._groups(
            ("remaining", [entry["reason"]], entry)
            for entry in self._of(document["remaining"])
            if _address(entry) not in shown
        )
        self.created = visible(document.get("created") or "")
        self.interrupted = document["interrupted"]
        self.approval = document.get("approval") or ""
        if self.interrupted:
            self.notices.append(Notice("interrupted", "Interrupted: the next run applies the rest."))

    @property
    def is_done(self) -> bool:
        """Whether every change was applied and nothing remains."""
        return self.complete and not (self.unapplied_counts or self.remaining or self.unmet)

    @property
    def danger(self) -> Danger:
        """The changes that were not applied, for a marker."""
        left = [(one.target, one.name, one.action) for one in self.outcomes if one.result != "applied"]
        return danger_of(self.scope, self.total - self.applied, left)

    def guard_findings(self, groups: Iterable[OutcomeGroup]) -> list[FindingView]:
        """Return the findings of the guards that withheld the changes of some groups, in their targets."""
        groups = list(groups)
        guards = {guard for group in groups if group.result == "withheld" for guard in group.guards}
        places = {target for group in groups for targets in group.names.values() for target in targets}
        return [
            one
            for one in self.findings
            if one.code in guards and (not one.targets or not places.isdisjoint(one.targets))
        ]

    @property
    def other_findings(self) -> list[FindingView]:
        """The findings that do not say why changes were withheld."""
        known = self.guard_findings(self.unapplied_groups)
        return [finding for finding in self.findings if finding not in known]

    @property
    def is_reviewed(self) -> bool:
        """Whether the changes were those of a plan that was approved before the apply."""
        return self.approval in ("saved-plan", "expect-plan")

    @property
    def total(self) -> int:
        """Number of changes that the plan had."""
        return sum(self.summary.values())

    @property
    def applied(self) -> int:
        """Number of changes that were applied."""
        return self.summary.get("applied", 0)

    @property
    def applied_of_total(self) -> str:
        """`9 of 12 changes`."""
        return f"{self.applied:,} of {plural(self.total, 'change')}"

    @property
    def unapplied_counts(self) -> list[str]:
        """The numbers of changes that were not applied, by result: `2 failed`, `1 stale`."""
        return [
            f"{number:,} {result_word(result)}"
            for result, number in sorted(self.summary.items())
            if number and result != "applied"
        ]

    @property
    def unmet(self) -> str:
        """Addresses without a change that differ from the spec: `2 conflicts, 1 invalid`."""
        sizes = {word: sum(group.size for group in self.groups if group.kind == word) for word in UNMET}
        return kind_counts(sizes)

    def sentence(self) -> str:
        """Return one line: `Applied 9 of 12 changes: 2 failed, 1 stale (plan 9535f4258859).`."""
        if not self.total:
            state = "Nothing to do"
            if not self.complete:
                state = "INCOMPLETE: nothing to do in the places that were listed"
            return f"{state}{': ' + self.unmet if self.unmet else ''}."
        rest = ", ".join(filter(None, [*self.unapplied_counts, self.unmet]))
        return f"Applied {self.applied_of_total}{': ' + rest if rest else ''} (plan {self.short_id})."


def _run_notices(document: PlanDocument | ReportDocument) -> Iterable[Notice]:
    """Yield the notices on how the plan was made."""
    undone = document.get("undoes")
    if isinstance(undone, str):
        yield Notice("undo", "Takes back the apply of the plan {}.", (undone[:SHORT_ID],))
    narrowed = [f"--target {visible(name)}" for name in document["narrowed"]["targets"]]
    narrowed += [f"--only {visible(glob)}" for glob in document["narrowed"]["only"]]
    if narrowed:
        yield Notice("narrowed", "Narrowed to {}: nothing else was planned.", tuple(narrowed))
    if document["mode"] == "no-decrypt":
        fact = "Made without decryption: {} values were not compared."
        yield Notice("no-decrypt", fact, (SECURE,))


def _incomplete_places(parts: Iterable[ReplicationKeys], targets: Iterable[TargetView]) -> Iterable[Notice]:
    notice = partial(Notice, "incomplete")
    for part in parts:
        if not part.get("source_complete", True):
            source = (visible(part["source"]),)
            yield notice("The source {} was not listed completely.", source, "No delete is planned.")
    labels = tuple(target.label for target in targets if not target.complete)
    if labels:
        were = "was" if len(labels) == 1 else "were"
        yield notice(f"{{}} {were} not listed completely.", labels, "Nothing is planned there.")


def _sum(summaries: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for summary in summaries:
        total.update(summary)
    return total


def _address(entry: AddressKeys) -> tuple[str, str, str]:
    return (entry["replication"], entry["target"], entry["name"])


def _outcome(outcome: OutcomeEntry, label: str) -> OutcomeView:
    return OutcomeView(
        target=label,
        name=visible(outcome["name"]),
        action=visible(outcome["action"]),
        kind=visible(outcome.get("type") or ""),
        result=visible(outcome["outcome"]),
        error=visible(outcome.get("error") or ""),
        note=visible(outcome.get("note") or ""),
        guards=tuple(visible(guard) for guard in outcome.get("withheld_by") or ()),
        exposes=bool(outcome.get("exposes")),
        takes_over=bool(outcome.get("takes_over")),
        releases=bool(outcome.get("releases")),
        marks=outcome["row"] == Row.EXPIRING.value,
        returns_secret=returns_secret(outcome),
    )


def _danger_key(item: ChangeView | OutcomeView) -> tuple[int, str, str, str]:
    """Return the sort key: the most dangerous kind first."""
    kind = kind_of(item) if isinstance(item, ChangeView) else item.change_kind
    return (kind.rank, kind.word, item.name, item.target)
