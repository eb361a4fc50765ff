"""A report's document -> what people see of what became of a plan: a `ReportView`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ssm_reconcile.plan import COUNTED, UNMET
from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.grouping import Document, FindingView, Group, findings_of, groups_of
from ssm_reconcile.renderers.inert import visible
from ssm_reconcile.renderers.view import (
    SHORT,
    Route,
    TargetView,
    added,
    label,
    place_word,
    route_of,
    target_of,
)


@dataclass(frozen=True, slots=True)
class OutcomeView:
    """What became of one change; `target` is the target's label."""

    target: str
    name: str
    action: str
    kind: str
    result: str
    error: str
    note: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """A report as people see it. `summary` counts outcomes."""

    plan_id: str
    scope: tuple[str, ...]
    complete: bool
    summary: Mapping[str, int]
    routes: tuple[Route, ...]
    targets: tuple[TargetView, ...]
    outcomes: tuple[OutcomeView, ...]
    remaining: tuple[Group, ...]
    groups: tuple[Group, ...]
    findings: tuple[FindingView, ...]
    interrupted: bool
    exit_code: int
    approval: str = ""

    @property
    def is_reviewed(self) -> bool:
        """Whether the changes were those of a plan that was approved before the apply."""
        return self.approval in ("saved-plan", "expect-plan")

    @property
    def unmet(self) -> str:
        """Addresses without a change that do not hold what the spec asks for: `2 conflicts, 1 invalid`."""
        kept = {word: sum(group.size for group in self.groups if group.counted == word) for word in UNMET}
        return words.aside(kept, [word for word in COUNTED if word in UNMET])

    @property
    def short_id(self) -> str:
        """The beginning of the plan id."""
        return self.plan_id[:SHORT]

    @property
    def place_word(self) -> str:
        """What targets are called."""
        return place_word(self.targets)

    @property
    def unapplied(self) -> tuple[OutcomeView, ...]:
        """The changes that were not applied."""
        return tuple(outcome for outcome in self.outcomes if outcome.result != "applied")

    def sentence(self) -> str:
        """One line: `Applied 9 of 12 changes: 2 failed, 1 stale (plan 9535f4258859).`."""
        total = sum(self.summary.values())
        if not total:
            state = "Nothing to do" if self.complete else "INCOMPLETE: nothing to do where it was seen"
            return f"{state}{': ' + self.unmet if self.unmet else ''}."
        counts = [
            f"{number:,} {result.replace('_', ' ')}"
            for result, number in sorted(self.summary.items())
            if number and result != "applied"
        ]
        rest = ", ".join([*counts, *([self.unmet] if self.unmet else [])])
        done = f"Applied {self.summary.get('applied', 0):,} of {words.count(total, 'change')}"
        return f"{done}{': ' + rest if rest else ''} (plan {self.short_id})."


def _address(item: Document) -> tuple[str, str, str]:
    return (item["replication"], item["target"], item["name"])


def report_view(document: Document, replication: str | None = None) -> ReportView:
    """The view of a report's document, or of one replication in it."""
    every = document["replications"]
    parts = [part for part in every if replication in (None, part["name"])]
    alone = len(parts) == 1
    whole = len(parts) == len(every)
    named = {part["name"] for part in parts}
    targets = tuple(target_of(t, alone=alone) for t in document["targets"] if t["replication"] in named)
    outcomes = [
        OutcomeView(
            target=label(o, alone=alone),
            name=visible(o["name"]),
            action=visible(o["action"]),
            kind=visible(o.get("type") or ""),
            result=visible(o["outcome"]),
            error=visible(o.get("error") or ""),
            note=visible(o.get("note") or ""),
        )
        for o in document["outcomes"]
        if o["replication"] in named
    ]
    others = [o for o in document["others"] if o["replication"] in named]
    said = {_address(o) for o in others}
    said |= {_address(o) for o in document["outcomes"] if o["outcome"] != "applied"}
    remaining = [
        r for r in document["remaining"] if r["replication"] in named and _address(r) not in said
    ]  # what is said of its outcome, or among the conflicts, is not said a second time
    findings = [f for f in document["findings"] if not f.get("replication") or f["replication"] in named]
    return ReportView(
        plan_id=visible(document["plan_id"] if whole else parts[0]["id"] if parts else ""),
        scope=tuple(visible(part["name"]) for part in parts),
        complete=all(part.get("complete", True) for part in parts) and all(t.complete for t in targets),
        summary=document["summary"] if whole else added(part["summary"] for part in parts),
        routes=tuple(route_of(part, targets) for part in parts),
        targets=targets,
        outcomes=tuple(sorted(outcomes, key=lambda o: (words.danger(o.action), o.action, o.name, o.target))),
        remaining=groups_of(
            ("remaining", [r["reason"]], r["name"], label(r, alone=alone)) for r in remaining
        ),
        groups=groups_of(
            (o.get("counted") or o["row"], o["reasons"], o["name"], label(o, alone=alone)) for o in others
        ),
        findings=findings_of(findings, others),
        interrupted=document["interrupted"],
        exit_code=document["exit_code"],
        approval=document.get("approval") or "",
    )
