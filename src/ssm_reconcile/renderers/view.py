"""Document of a plan or a report -> `PlanView` or `ReportView`, which every output shows.

The view decides the order (most dangerous first), merges, groups, hides and cuts, once for all outputs.
Every text in a view is one line and safe to print on a terminal; Markdown and HTML quote it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

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
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import COUNTED, UNMET
from ssm_reconcile.renderers.changes import ACTIONS, BY_DANGER, ChangeView, change_view
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.renderers.groups import (
    AddressGroup,
    FindingView,
    group_addresses,
    kind_counts,
    merge_findings,
)
from ssm_reconcile.wording import counted

SHORT_ID = 12
"""Digits of a plan id that are shown. They are enough to name the plan."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A fact about the whole plan or report that every output shows.

    `kind` is `narrowed`, `no-decrypt`, `incomplete` or `interrupted`. `{}` in `fact` stands for `names`,
    which each output quotes in its own way. `effect` is the sentence after the fact.
    """

    kind: str
    fact: str
    names: tuple[str, ...] = ()
    effect: str = ""

    def sentence(self, join: Callable[[Sequence[str]], str] = " ".join) -> str:
        """Return the fact with its names, which `join` quotes and joins."""
        return self.fact.replace("{}", join(self.names))

    def __str__(self) -> str:
        return f"{self.sentence()}{' ' if self.effect else ''}{self.effect}"


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of one replication. `label` is unique in the whole view."""

    replication: str
    name: str
    label: str
    place: str
    complete: bool
    frozen: bool
    summary: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReplicationView:
    """One replication: its source and the names of its targets."""

    name: str
    source: str
    selected: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """The outcome of one change; `target` is the target's label."""

    target: str
    name: str
    action: str
    kind: str
    result: str
    error: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunView:
    """The common part of the views. `scope` has the names of the replications.

    `summary` counts actions and addresses in a plan, and outcomes in a report.
    """

    plan_id: str
    scope: tuple[str, ...]
    complete: bool
    summary: Mapping[str, int]
    replications: tuple[ReplicationView, ...]
    targets: tuple[TargetView, ...]
    groups: tuple[AddressGroup, ...]
    findings: tuple[FindingView, ...]
    notices: tuple[Notice, ...]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView(RunView):
    """A plan. `guards` are the guards that withhold changes, `chained` counts skipped replicas.

    `dropped` are the changes that only the previous spec makes (`plan --against`).
    """

    mode: str
    changes: tuple[ChangeView, ...]
    guards: frozenset[str]
    chained: int
    narrowed_targets: tuple[str, ...]
    narrowed_only: tuple[str, ...]
    writes: int | None
    seconds: float | None
    created: str
    dropped: tuple[ChangeView, ...] = ()

    @property
    def pending(self) -> int:
        """Number of changes that the previous spec makes too."""
        return sum(change.pending for change in self.changes)

    @property
    def withheld(self) -> int:
        """Number of changes that guards withhold."""
        return self.summary.get("withheld", 0)

    @property
    def dangerous(self) -> tuple[ChangeView, ...]:
        """The changes that delete something or expose a secret."""
        return tuple(change for change in self.changes if change.is_dangerous)

    @property
    def danger_counts(self) -> list[str]:
        """The numbers of deletes, replacements and exposed secrets, without zeros."""
        deletes, replacements = (
            sum(change.action == action for change in self.changes) for action in ("delete", "replace")
        )
        exposed = sum(change.exposes for change in self.changes)
        unknown = sum(change.action not in BY_DANGER for change in self.changes)
        counts = (
            (deletes, "delete", "deletes"),
            (replacements, "replacement", "replacements"),
            (exposed, "SecureString made plain", "SecureStrings made plain"),
            (unknown, "change of an unknown action", "changes of an unknown action"),
        )
        return [counted(number, one, many) for number, one, many in counts if number]

    @property
    def columns(self) -> tuple[str, ...]:
        """The words of the summary that a table has: the usual four, and others that are not zero."""
        always = ("create", "update", "replace", "delete")
        if_any = ("adopt", "retag", "conflict", "detached", "invalid", "withheld")
        return (*always, *(word for word in if_any if self.summary.get(word)), "in_sync")

    def headline(self, *, count_names: bool = False) -> str:
        """Return `12 changes in 3 regions` or `nothing to do`; an incomplete plan is called INCOMPLETE."""
        names = counted(len({change.name for change in self.changes}), "parameter")
        where = counted(len({change.target for change in self.changes}), self.place_word)
        number = f"{counted(len(self.changes), 'change')}{f' to {names}' if count_names else ''} in {where}"
        number = number if self.changes else "nothing to do"
        return f"{number}{'' if self.complete else ', and INCOMPLETE'}"

    def other_counts(self, *kinds: str) -> str:
        """Return `480 in sync, 3 conflicts`: the addresses without a change, of some kinds or of all."""
        return ", ".join(
            filter(None, (f"{self.summary.get('in_sync', 0):,} in sync", kind_counts(self.summary, *kinds)))
        )

    @property
    def action_counts(self) -> str:
        """`5 to create, 4 to update`; empty where the plan has no change."""
        return ", ".join(f"{self.summary[word]:,} to {word}" for word in ACTIONS if self.summary.get(word))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView(RunView):
    """A report. `remaining` are addresses that still differ from the spec and have no outcome."""

    outcomes: tuple[OutcomeView, ...]
    remaining: tuple[AddressGroup, ...]
    interrupted: bool
    approval: str = ""

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
        return f"{self.applied:,} of {counted(self.total, 'change')}"

    @property
    def unapplied_counts(self) -> list[str]:
        """The numbers of changes that were not applied, by result: `2 failed`, `1 stale`."""
        return [
            f"{number:,} {result.replace('_', ' ')}"
            for result, number in sorted(self.summary.items())
            if number and result != "applied"
        ]

    @property
    def unmet(self) -> str:
        """Addresses without a change that differ from the spec: `2 conflicts, 1 invalid`."""
        sizes = {word: sum(group.size for group in self.groups if group.kind == word) for word in UNMET}
        return kind_counts(sizes, *(word for word in COUNTED if word in UNMET))

    def sentence(self) -> str:
        """Return one line: `Applied 9 of 12 changes: 2 failed, 1 stale (plan 9535f4258859).`."""
        if not self.total:
            state = (
                "Nothing to do"
                if self.complete
                else "INCOMPLETE: nothing to do in the places that were listed"
            )
            return f"{state}{': ' + self.unmet if self.unmet else ''}."
        rest = ", ".join(filter(None, [*self.unapplied_counts, self.unmet]))
        return f"Applied {self.applied_of_total}{': ' + rest if rest else ''} (plan {self.short_id})."


_Entry = TypeVar("_Entry", ChangeEntry, OtherEntry, OutcomeEntry, RemainingEntry, DroppedEntry, TargetEntry)


@dataclass(frozen=True, slots=True)
class _Selection:
    """A document, and the replications of it that a view shows."""

    document: PlanDocument | ReportDocument
    parts: Sequence[ReplicationEntry | ReplicationResultEntry]

    @property
    def is_whole(self) -> bool:
        """Whether the view shows all replications."""
        return len(self.parts) == len(self.document["replications"])

    def of(self, entries: Iterable[_Entry]) -> list[_Entry]:
        """Return the entries that belong to the replications."""
        names = {part["name"] for part in self.parts}
        return [entry for entry in entries if entry["replication"] in names]

    def label(self, entry: AddressKeys) -> str:
        """Return the label of the entry's target."""
        return self.label_of(entry["replication"], entry["target"])

    def label_of(self, replication: str, target: str) -> str:
        """Return the name of a target, after its replication where there are several."""
        return visible(target if len(self.parts) == 1 else f"{replication}:{target}")

    def findings(self, addresses: Sequence[AddressKeys]) -> tuple[FindingView, ...]:
        """Return the findings of the run and of the replications that `addresses` do not show already."""
        names = {"", None, *(part["name"] for part in self.parts)}
        found = [entry for entry in self.document["findings"] if entry.get("replication") in names]
        return merge_findings(found, addresses)


def _select(document: PlanDocument | ReportDocument, replication: str | None) -> _Selection:
    parts = [part for part in document["replications"] if replication in (None, part["name"])]
    return _Selection(document, parts)


def _common(chosen: _Selection, *, interrupted: bool = False) -> dict[str, Any]:
    """Return the fields of a RunView but its findings."""
    document, parts = chosen.document, chosen.parts
    targets = tuple(
        _target(entry, chosen.label_of(entry["replication"], entry["name"]))
        for entry in chosen.of(document["targets"])
    )
    complete = all(part.get("complete", True) for part in parts) and all(t.complete for t in targets)
    return {
        "plan_id": visible(document["plan_id"] if chosen.is_whole else parts[0]["id"] if parts else ""),
        "scope": tuple(visible(part["name"]) for part in parts),
        "complete": complete,
        "summary": document["summary"] if chosen.is_whole else _sum(part["summary"] for part in parts),
        "replications": tuple(_replication(part, targets) for part in parts),
        "targets": targets,
        "groups": group_addresses(
            (entry.get("counted") or entry["row"], entry["reasons"], entry["name"], chosen.label(entry))
            for entry in chosen.of(document["others"])
        ),
        "notices": (*_run_notices(document, interrupted=interrupted), *_incomplete_places(parts, targets)),
    }


def plan_view(document: PlanDocument, replication: str | None = None) -> PlanView:
    """Return the view of a plan's document, or of one replication in it.

    Args:
        document: A document that `plan_document` made or `read_plan_document` accepted.
        replication: The name of a replication; None selects all.
    """
    chosen = _select(document, replication)
    changes, others = chosen.of(document["changes"]), chosen.of(document["others"])
    budget = document.get("budget") if chosen.is_whole else None
    against = document.get("against")
    sources = {part["name"]: part["source"] for part in chosen.parts}
    return PlanView(
        **_common(chosen),
        findings=chosen.findings([*changes, *others]),
        mode=visible(document["mode"]),
        changes=_by_danger(change_view(c, sources[c["replication"]], chosen.label(c)) for c in changes),
        guards=frozenset(visible(guard) for change in changes for guard in change.get("withheld_by") or ()),
        chained=sum(other["row"] == "chained" for other in others),
        narrowed_targets=tuple(visible(name) for name in document["narrowed"]["targets"]),
        narrowed_only=tuple(visible(glob) for glob in document["narrowed"]["only"]),
        writes=budget["writes"] if budget else None,
        seconds=budget["seconds"] if budget else None,
        created=visible(document.get("created") or ""),
        dropped=_by_danger(
            ChangeView(chosen.label(d), visible(d["name"]), visible(d["action"]), "")
            for d in chosen.of(against["dropped"] if against else ())
        ),
    )


def report_view(document: ReportDocument, replication: str | None = None) -> ReportView:
    """Return the view of a report's document, or of one replication in it.

    Args:
        document: A document that `report_document` made or `read_report_document` accepted.
        replication: The name of a replication; None selects all.
    """
    chosen = _select(document, replication)
    outcomes, others = chosen.of(document["outcomes"]), chosen.of(document["others"])
    # An address that is not applied or is listed with its reason is not listed again as remaining.
    shown = {_address(o) for o in others} | {_address(o) for o in outcomes if o["outcome"] != "applied"}
    return ReportView(
        **_common(chosen, interrupted=document["interrupted"]),
        findings=chosen.findings(others),
        outcomes=tuple(sorted((_outcome(o, chosen.label(o)) for o in outcomes), key=_danger_key)),
        remaining=group_addresses(
            ("remaining", [entry["reason"]], entry["name"], chosen.label(entry))
            for entry in chosen.of(document["remaining"])
            if _address(entry) not in shown
        ),
        interrupted=document["interrupted"],
        approval=document.get("approval") or "",
    )


def _run_notices(document: PlanDocument | ReportDocument, *, interrupted: bool) -> Iterable[Notice]:
    """Yield the notices on how the plan was made and how the run ended."""
    narrowed = [f"--target {visible(name)}" for name in document["narrowed"]["targets"]]
    narrowed += [f"--only {visible(glob)}" for glob in document["narrowed"]["only"]]
    if narrowed:
        yield Notice("narrowed", "Narrowed to {}: nothing else was planned.", tuple(narrowed))
    if document["mode"] == "no-decrypt":
        fact = "Made without decryption: {} values were not compared."
        yield Notice("no-decrypt", fact, (SECURE,))
    if interrupted:
        yield Notice("interrupted", "Interrupted: the next run applies the rest.")


def _incomplete_places(parts: Iterable[ReplicationKeys], targets: Iterable[TargetView]) -> Iterable[Notice]:
    notice = partial(Notice, "incomplete")
    for part in parts:
        if not part.get("source_complete", True):
            source = (visible(part["source"]),)
            yield notice("The source {} was not listed completely.", source, "No delete is planned.")
    for target in targets:
        if not target.complete:
            yield notice("{} was not listed completely.", (target.label,), "Nothing is planned there.")


def _sum(summaries: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for summary in summaries:
        for word, number in summary.items():
            total[word] = total.get(word, 0) + number
    return total


def _address(entry: AddressKeys) -> tuple[str, str, str]:
    return (entry["replication"], entry["target"], entry["name"])


def _target(entry: TargetEntry, label: str) -> TargetView:
    counts = cast(Mapping[str, int | None], entry)
    return TargetView(
        replication=visible(entry["replication"]),
        name=visible(entry["name"]),
        label=label,
        place=visible(entry["place"]),
        complete=entry["complete"],
        frozen=entry["frozen"],
        summary={word: counts.get(word) or 0 for word in (*COUNTED, "withheld")},
    )


def _replication(
    part: ReplicationEntry | ReplicationResultEntry, targets: Iterable[TargetView]
) -> ReplicationView:
    name, selected = visible(part["name"]), part.get("selected")
    return ReplicationView(
        name=name,
        source=visible(part["source"]),
        selected=selected if isinstance(selected, int) else 0,
        targets=tuple(target.name for target in targets if target.replication == name),
    )


def _outcome(outcome: OutcomeEntry, label: str) -> OutcomeView:
    return OutcomeView(
        target=label,
        name=visible(outcome["name"]),
        action=visible(outcome["action"]),
        kind=visible(outcome.get("type") or ""),
        result=visible(outcome["outcome"]),
        error=visible(outcome.get("error") or ""),
        note=visible(outcome.get("note") or ""),
    )


def _by_danger(changes: Iterable[ChangeView]) -> tuple[ChangeView, ...]:
    return tuple(sorted(changes, key=_danger_key))


def _danger_key(item: ChangeView | OutcomeView) -> tuple[int, str, str, str]:
    """Return the sort key: most dangerous action first, an exposed secret among the replacements."""
    rank = BY_DANGER.index(item.action) if item.action in BY_DANGER else -1
    if isinstance(item, ChangeView) and item.exposes:
        rank = min(rank, BY_DANGER.index("replace"))
    return (rank, item.action, item.name, item.target)
