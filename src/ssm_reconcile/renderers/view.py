"""A plan's or a report's document -> what people see of it: a `View`, the same for every output.

Here is decided, once, what comes first (what hurts most), what belongs together (targets that get the
same, names under one path, conflicts that differ in the same), what is hidden, and how much of a value
is shown. Texts in a view are one line each and safe to print; Markdown still has to quote them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ssm_reconcile.plan import COUNTED
from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.details import lines_of, remarks_of, type_of
from ssm_reconcile.renderers.grouping import ChangeView, Document, FindingView, Group, findings_of, groups_of
from ssm_reconcile.renderers.inert import visible

SHORT = 12
"""How many digits of a plan id are shown; as many are enough to name it."""


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of one replication. `label` tells it apart in the whole view."""

    replication: str
    name: str
    label: str
    place: str
    complete: bool
    frozen: bool
    replicas: int
    summary: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Route:
    """From one source to its targets: one replication."""

    name: str
    plan_id: str
    source: str
    source_complete: bool
    selected: int
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A plan as people see it. `summary` has the words of a plan's summary."""

    plan_id: str
    scope: tuple[str, ...]
    mode: str
    complete: bool
    summary: Mapping[str, int]
    routes: tuple[Route, ...]
    targets: tuple[TargetView, ...]
    changes: tuple[ChangeView, ...]
    groups: tuple[Group, ...]
    findings: tuple[FindingView, ...]
    guards: frozenset[str]
    chained: int
    narrowed_targets: tuple[str, ...]
    narrowed_only: tuple[str, ...]
    writes: int | None
    seconds: float | None
    created: str
    dropped: tuple[ChangeView, ...] = ()
    """What only the spec before would do (`plan --against`)."""

    @property
    def short_id(self) -> str:
        """The beginning of the plan id, as it is shown and typed."""
        return self.plan_id[:SHORT]

    @property
    def place_word(self) -> str:
        """What targets are called: regions, as long as their names say no more."""
        return place_word(self.targets)

    @property
    def changed(self) -> int:
        """How many changes there are, withheld ones included."""
        return len(self.changes)

    @property
    def pending(self) -> int:
        """How many of them the spec before would make too."""
        return sum(change.pending for change in self.changes)

    @property
    def danger(self) -> int:
        """How many of them delete something on the way, or expose a secret."""
        return sum(change.is_danger for change in self.changes)

    @property
    def dangers(self) -> list[str]:
        """Return the counts of deletes, replacements and exposed secrets in words."""
        deletes, replacements = (
            sum(change.action == action for change in self.changes) for action in ("delete", "replace")
        )
        return words.dangers(deletes, replacements, sum(change.exposes for change in self.changes))


def place_word(targets: Iterable[TargetView]) -> str:
    """What targets are called: regions, as long as their names say no more."""
    return "region" if all(t.place.endswith("/" + t.label) for t in targets) else "target"


def plan_view(document: Document, replication: str | None = None) -> View:
    """The view of a plan's document, or of one replication in it.

    The document is one that `plan_document` made or `read_plan_document` accepted.
    """
    every = document["replications"]
    parts = [part for part in every if replication in (None, part["name"])]
    alone = len(parts) == 1
    whole = len(parts) == len(every)
    named = {part["name"] for part in parts}

    def mine(items: Iterable[Document]) -> list[Document]:
        return [item for item in items if item.get("replication") in named]

    targets = tuple(target_of(t, alone=alone) for t in mine(document["targets"]))
    others = mine(document["others"])
    findings = [f for f in document["findings"] if not f.get("replication") or f["replication"] in named]
    changes = mine(document["changes"])
    budget = (document.get("budget") or {}) if whole else {}
    sources = {part["name"]: part["source"] for part in parts}
    return View(
        plan_id=visible(document["plan_id"] if whole else parts[0]["id"] if parts else ""),
        scope=tuple(visible(part["name"]) for part in parts),
        mode=visible(document["mode"]),
        complete=all(part.get("complete", True) for part in parts) and all(t.complete for t in targets),
        summary=document["summary"] if whole else added(part["summary"] for part in parts),
        routes=tuple(route_of(part, targets) for part in parts),
        targets=targets,
        changes=_sorted(_change(c, sources[c["replication"]], alone=alone) for c in changes),
        groups=groups_of(
            (o.get("counted") or o["row"], o["reasons"], o["name"], label(o, alone=alone)) for o in others
        ),
        findings=findings_of(findings, (*changes, *others)),
        guards=frozenset(visible(guard) for change in changes for guard in change.get("withheld_by") or ()),
        chained=sum(other["row"] == "chained" for other in others),
        narrowed_targets=tuple(visible(name) for name in document["narrowed"]["targets"]),
        narrowed_only=tuple(visible(glob) for glob in document["narrowed"]["only"]),
        writes=budget.get("writes"),
        seconds=budget.get("seconds"),
        created=visible(document.get("created") or ""),
        dropped=_sorted(
            ChangeView(label(d, alone=alone), visible(d["name"]), visible(d["action"]), "")
            for d in (document.get("against") or {}).get("dropped", ())
            if whole or d["replication"] in named
        ),
    )


def label(item: Document, *, alone: bool) -> str:
    """What a target is called: its name, and its replication where there are several."""
    name = item["target"] if "target" in item else item["name"]
    return visible(name if alone else f"{item['replication']}:{name}")


def added(summaries: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sum of several summaries."""
    total: dict[str, int] = {}
    for summary in summaries:
        for word, number in summary.items():
            total[word] = total.get(word, 0) + number
    return total


def target_of(target: Document, *, alone: bool) -> TargetView:
    """One target of a document."""
    return TargetView(
        replication=visible(target["replication"]),
        name=visible(target["name"]),
        label=label(target, alone=alone),
        place=visible(target["place"]),
        complete=target["complete"],
        frozen=target["frozen"],
        replicas=target["replicas"],
        summary={word: target.get(word) or 0 for word in (*COUNTED, "withheld")},
    )


def route_of(part: Document, targets: tuple[TargetView, ...]) -> Route:
    """One replication of a document, with the names of its targets."""
    name = visible(part["name"])
    return Route(
        name=name,
        plan_id=visible(part["id"]),
        source=visible(part["source"]),
        source_complete=bool(part.get("source_complete", True)),
        selected=part.get("selected") or 0,
        targets=tuple(target.name for target in targets if target.replication == name),
    )


def _change(change: Document, source: str, *, alone: bool) -> ChangeView:
    attributes = change["attributes"]
    return ChangeView(
        target=label(change, alone=alone),
        name=visible(change["name"]),
        action=visible(change["action"]),
        kind=type_of(change),
        lines=lines_of(change, source.rsplit("/", 1)[-1]),
        remarks=remarks_of(change),
        attributes=tuple(visible(name) for name in sorted(attributes)),
        withheld=change["fate"] == "withheld",
        changed_outside=bool(change.get("changed_outside")),
        exposes=bool(change.get("exposes")),
        pending=bool(change.get("pending")),
    )


def _sorted(changes: Iterable[ChangeView]) -> tuple[ChangeView, ...]:
    """What hurts most first; by name and target within."""
    return tuple(sorted(changes, key=lambda c: (_rank(c), c.action, c.name, c.target)))


def _rank(change: ChangeView) -> int:
    """Return the place of a change in a list: an exposed secret comes among the replacements."""
    rank = words.danger(change.action)
    return min(rank, words.danger("replace")) if change.exposes else rank
