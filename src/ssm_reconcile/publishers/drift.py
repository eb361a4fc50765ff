"""Plans, reports and failures -> what there is to say of each replication in the issue on its drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ssm_reconcile.publishers.pages import names_in
from ssm_reconcile.renderers.drift_issue import (
    drift_weight,
    failure_issue,
    issue_title,
    plan_differences,
    plan_issue,
    report_differences,
    report_issue,
)
from ssm_reconcile.renderers.markdown_blocks import CommentContext
from ssm_reconcile.renderers.view import plan_view, report_view

Document: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drift:
    """What was found of one replication; nothing found is the end of an issue.

    `weight` counts what hurts, so that more of it can be told; None leaves it as it was. `write` makes
    the body, for a context, of at most so many bytes; the number is the weight that was told before.
    """

    scope: str
    found: str
    weight: int | None = 0
    write: Callable[[CommentContext, int, int], str] = lambda _context, _budget, _before: ""

    @property
    def title(self) -> str:
        """The title of its issue."""
        return issue_title([self.scope] if self.scope else [], self.found)


def plan_drifts(document: Document) -> list[Drift]:
    """What a plan finds to do, a replication at a time."""
    return [_plan_drift(document, name) for name in names_in(document)]


def _plan_drift(document: Document, name: str) -> Drift:
    view = plan_view(document, name)

    def write(context: CommentContext, budget: int, _before: int) -> str:
        return plan_issue(view, context=context, budget=budget)

    return Drift(name, plan_differences(view), drift_weight(view), write)


def report_drifts(document: Document) -> list[Drift]:
    """What an apply has left undone, a replication at a time."""
    return [_report_drift(document, name) for name in names_in(document)]


def _report_drift(document: Document, name: str) -> Drift:
    report = report_view(document, name)

    def write(context: CommentContext, budget: int, _before: int) -> str:
        return report_issue(report, context=context, budget=budget)

    left = sum(n for result, n in report.summary.items() if result != "applied")
    return Drift(name, report_differences(report), left, write)


def failure_drifts(scopes: Sequence[str], reason: str) -> list[Drift]:
    """There is no plan of some replications; the empty scope is the spec as a whole."""

    def drift(scope: str) -> Drift:
        def write(context: CommentContext, _budget: int, before: int) -> str:
            return failure_issue([scope], reason, context=context, danger=before)

        return Drift(scope, "it could not be looked at", None, write)

    return [drift(scope) for scope in scopes]
