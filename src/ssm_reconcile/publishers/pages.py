"""Plans, reports and failures -> what there is to say of each replication, in Markdown.

A page is written late, when the comment that it goes into is known: its level of detail may have to
rise, and some facts are taken over from the comment that is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ssm_reconcile.renderers.escaping import fence, prose, visible
from ssm_reconcile.renderers.markdown import failure_comment, plan_comment, removed_comment, report_comment
from ssm_reconcile.renderers.markdown_blocks import CommentContext
from ssm_reconcile.renderers.view import plan_view, report_view
from ssm_reconcile.wording import counted

Document: TypeAlias = Mapping[str, Any]
REFUSED = ("plan-changed", "plan-refused")
"""The findings of a report in which an apply says why it refused."""
TOLD = 30
"""How many lines of a difference are shown."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a comment is to say of one replication.

    `worth` says whether that is worth a first comment. `danger` counts deletes and replacements; None
    leaves it as it was. `write` makes Markdown for a context, from a level of detail on. `quiet_after`
    names a state of the comment that this page has nothing to add to.
    """

    scope: str
    worth: bool
    danger: int | None
    write: Callable[[CommentContext, int, int], str]
    quiet_after: str = ""


def names_in(document: Document) -> list[str]:
    """The replications of a plan or a report."""
    return [part["name"] for part in document["replications"]]


def plan_pages(document: Document, said: str = "") -> list[Page]:
    """A page a replication of a plan."""
    return [_plan_page(document, name, said) for name in names_in(document)]


def _plan_page(document: Document, name: str, said: str) -> Page:
    view = plan_view(document, name)
    worth = bool(view.changes or not view.complete or view.summary.get("invalid"))

    def write(context: CommentContext, level: int, budget: int) -> str:
        return plan_comment(view, context=context, level=level, budget=budget, intro=said)

    return Page(name, worth, len(view.dangerous), write)


def report_pages(document: Document, plan: Document | None) -> list[Page]:
    """A page a replication of a report; with the plan that was applied, under its title."""
    return [_report_page(document, plan, name) for name in names_in(document)]


def _report_page(document: Document, plan: Document | None, name: str) -> Page:
    report = report_view(document, name)
    view = plan_view(plan, name) if plan is not None and name in names_in(plan) else None
    said = _since_review(document, plan, name) if plan is not None and view is not None else ""

    def write(context: CommentContext, level: int, budget: int) -> str:
        applied = replace(context, extra=(*context.extra, ("state", "applied")))
        return report_comment(report, view, context=applied, level=level, budget=budget, intro=said)

    nothing = not sum(report.summary.values())
    return Page(name, not nothing, len(view.dangerous) if view else None, write, "applied" if nothing else "")


def _since_review(document: Document, plan: Document, name: str) -> str:
    """Markdown of what became of those reviewed changes that the apply had no reason, or no way, to make."""
    done = {_address(outcome) for outcome in document["outcomes"]}
    left = [c for c in plan["changes"] if c["replication"] == name and _address(c) not in done]
    others = {_address(other): other for other in document["others"]}
    blocked = [others[_address(change)] for change in left if _address(change) in others]
    blocks = []
    if len(left) > len(blocked):
        blocks.append(f"{counted(len(left) - len(blocked), 'reviewed change')} had been done before.")
    if blocked:
        total = counted(len(blocked), "reviewed change")
        lines = [
            visible(f"{o['name']} in {o['target']}: {'; '.join(o['reasons'])}", 300) for o in blocked[:TOLD]
        ]
        lines += [f"... and {len(blocked) - TOLD:,} more"] if len(blocked) > TOLD else []
        blocks += [f"**{total} could not be made any more:**", fence(lines, "text")]
    return "\n\n".join(blocks)


def _address(item: Document) -> tuple[str, str, str]:
    return (item["replication"], item["target"], item["name"])


def failure_pages(scopes: Sequence[str], reason: str) -> list[Page]:
    """A page a scope that says that there is no plan; the scope is empty where no name is known."""

    def page(scope: str) -> Page:
        def write(context: CommentContext, _level: int, _budget: int) -> str:
            danger = int(dict(context.extra).get("before", "0"))
            return failure_comment((scope,), reason, context=context, danger=danger)

        return Page(scope, worth=True, danger=None, write=write)

    return [page(scope) for scope in scopes]


def gone_page(scope: str) -> Page:
    """The page of a replication that the spec does not have any more."""
    return Page(
        scope,
        worth=False,
        danger=0,
        write=lambda context, _level, _budget: removed_comment(scope, context=context),
    )


def refusal(document: Document) -> str:
    """Markdown of why an apply refused, and in what its plan differs from the approved one."""
    found = [f for f in document["findings"] if f["code"] in REFUSED]
    lines = [f["message"] for f in found if f.get("about")]  # each is about a change that is not approved
    reasons = [f["message"] for f in found if not f.get("about")]
    if not reasons:
        return ""
    shown = [visible(line, 300) for line in lines[:TOLD]]
    if len(lines) > TOLD:
        shown.append(f"... and {len(lines) - TOLD:,} more")
    return "\n\n".join([_not_applied(reasons[0]), *([fence(shown, "text")] if shown else [])])


def unreviewed(reason: str) -> str:
    """Markdown of why there is no reviewed plan that could be applied."""
    return _not_applied(reason)


def _not_applied(reason: str) -> str:
    return (
        f"**Not applied**: {prose(reason.rstrip('. '))}. Nothing was written. Below is the plan as it is now:"
        " approve it where the run waits for that, or open a new pull request."
    )
