"""Plan, report or failure -> pages: the Markdown for one replication, for a comment or for an issue on drift.

A page writes its text late, because the text depends on the existing body: GitHub may refuse a long text, and
some facts are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ssm_reconcile.documents import AddressKeys, PlanDocument, ReportDocument
from ssm_reconcile.renderers import drift_issue, markdown, report_markdown
from ssm_reconcile.renderers.comment_context import CommentContext, plan_fact
from ssm_reconcile.renderers.danger import NO_DANGER, Danger
from ssm_reconcile.renderers.escaping import fence, prose, visible
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import cut, plural

REFUSED = ("plan-changed", "plan-refused")
"""Codes of the findings of a report in which an apply explains its refusal."""
LINES = 30
"""Maximum lines of a list."""


@dataclass(frozen=True, slots=True)
class Page:
    """The text about one replication.

    Attributes:
        scope: The replication; empty if no name is known.
        worth: Whether to create a body for the page. An issue without a page that is worth one is closed.
        danger: The dangerous changes; None keeps those of the existing body.
        write: Returns Markdown for a context, a level of detail and a maximum number of bytes.
        levels: The number of levels of detail.
        quiet_after: The state of an existing comment to which the page adds nothing.
        found: For an issue, a few words for its title.
        plan: For a plan, its id as in the marker.
        unresolved: For a plan, the counts of conflicts and the like as in the marker.
    """

    scope: str
    worth: bool
    danger: Danger | None
    write: Callable[[CommentContext, int, int], str]
    levels: int = len(markdown.LEVELS)
    quiet_after: str = ""
    found: str = ""
    plan: str = ""
    unresolved: str = ""

    @property
    def title(self) -> str:
        """The title of the issue."""
        return drift_issue.issue_title([self.scope] if self.scope else [], self.found)


def names_in(document: PlanDocument | ReportDocument) -> list[str]:
    """Return the replications of a plan or a report."""
    return [part["name"] for part in document["replications"]]


def plan_pages(document: PlanDocument, note: str = "", known: Sequence[str] = ()) -> list[Page]:
    """Return the pages for the comments on a plan.

    Args:
        document: The plan.
        note: Markdown under the title.
        known: The replications that have a comment; one that is not in the plan was removed from the spec.
    """
    names = names_in(document)

    def page(name: str) -> Page:
        view = PlanView(document, name)

        def write(context: CommentContext, level: int, budget: int) -> str:
            return markdown.plan_comment(view, context=context, level=level, budget=budget, intro=note)

        held = view.summary.get("held")  # reviewers see which parameters a new hold matches
        worth = bool(view.changes or not view.complete or view.unresolved or held)
        plan = plan_fact(view.plan_id)
        return Page(name, worth, view.danger, write, plan=plan, unresolved=view.unresolved)

    return [*map(page, names), *(gone_page(scope) for scope in known if scope and scope not in names)]


def report_pages(document: ReportDocument, plan: PlanDocument | None) -> list[Page]:
    """Return the pages for the comments on a report, with the reviewed plan if it is known."""
    return [_report_page(document, plan, name) for name in names_in(document)]


def _report_page(document: ReportDocument, plan: PlanDocument | None, name: str) -> Page:
    report = ReportView(document, name)
    known = plan if plan is not None and name in names_in(plan) else None
    view = None if known is None else PlanView(known, name)
    note = "" if known is None else _since_review(document, known, name)

    def write(context: CommentContext, level: int, budget: int) -> str:
        applied = replace(context, extra=(*context.extra, ("state", "applied")))
        return report_markdown.report_comment(
            report, view, context=applied, level=level, budget=budget, intro=note
        )

    worth = bool(sum(report.summary.values()))
    danger = view.danger if view else None
    return Page(name, worth, danger, write, quiet_after="" if worth else "applied")


def _since_review(document: ReportDocument, plan: PlanDocument, name: str) -> str:
    """Return Markdown about the reviewed changes that the apply did not make.

    They had been done before, are no longer needed (the source of a create was deleted), or are blocked.
    """
    done = {_address(outcome) for outcome in document["outcomes"]}
    left = [c for c in plan["changes"] if c["replication"] == name and _address(c) not in done]
    others = {_address(other): other for other in document["others"]}
    blocked = [others[_address(change)] for change in left if _address(change) in others]
    blocks = []
    if len(left) > len(blocked):
        rest = len(left) - len(blocked)
        verb = "is" if rest == 1 else "are"
        blocks.append(f"{plural(rest, 'reviewed change')} had been done before, or {verb} no longer needed.")
    if blocked:
        total = plural(len(blocked), "reviewed change")
        lines = [f"{one['name']} in {one['target']}: {'; '.join(one['reasons'])}" for one in blocked]
        blocks += [f"**{total} could not be made any more:**", _fenced(lines)]
    return "\n\n".join(blocks)


def _address(item: AddressKeys) -> tuple[str, str, str]:
    return (item["replication"], item["target"], item["name"])


def _fenced(lines: Sequence[str]) -> str:
    return fence(cut([visible(line, 300) for line in lines], LINES), "text")


def overtaken_pages(scopes: Sequence[str], takeover: report_markdown.Takeover) -> list[Page]:
    """Return the pages for the results of a merge that another run applies.

    A result of this merge stays: an earlier attempt of the run may have applied it.

    Args:
        scopes: The replications.
        takeover: The reason, and the run that took over.
    """

    def page(scope: str) -> Page:
        def write(context: CommentContext, _level: int, _budget: int) -> str:
            return report_markdown.overtaken_comment(scope, takeover, context=context)

        return Page(scope, worth=False, danger=None, write=write, quiet_after="applied")

    return [page(scope) for scope in scopes]


def failure_pages(scopes: Sequence[str], reason: str, *, is_stopped: bool = False) -> list[Page]:
    """Return the pages for the comments on a run without a plan.

    Args:
        scopes: The replications; an empty name is the whole spec.
        reason: The lines of the error.
        is_stopped: Whether an apply is known to have stopped before it had a plan.
    """

    def page(scope: str) -> Page:
        def write(context: CommentContext, _level: int, _budget: int) -> str:
            return markdown.failure_comment((scope,), reason, context=context, is_stopped=is_stopped)

        return Page(scope, worth=True, danger=None, write=write)

    return [page(scope) for scope in scopes]


def gone_page(scope: str) -> Page:
    """Return the page for the comment on a replication that the spec no longer has."""
    return Page(
        scope,
        worth=False,
        danger=NO_DANGER,
        write=lambda context, _level, _budget: markdown.removed_comment(scope, context=context),
    )


def plan_issue_pages(document: PlanDocument) -> list[Page]:
    """Return the pages for the issues on the drift that a plan shows."""

    def page(name: str) -> Page:
        view = PlanView(document, name)

        def write(context: CommentContext, _level: int, budget: int) -> str:
            return drift_issue.plan_issue(view, context=context, budget=budget)

        found = drift_issue.plan_differences(view)
        return Page(name, bool(found), view.drift_danger, write, levels=1, found=found)

    return [page(name) for name in names_in(document)]


def report_issue_pages(document: ReportDocument) -> list[Page]:
    """Return the pages for the issues on what an apply left undone."""

    def page(name: str) -> Page:
        report = ReportView(document, name)

        def write(context: CommentContext, _level: int, budget: int) -> str:
            return drift_issue.report_issue(report, context=context, budget=budget)

        found = drift_issue.report_differences(report)
        return Page(name, bool(found), report.danger, write, levels=1, found=found)

    return [page(name) for name in names_in(document)]


def failure_issue_pages(scopes: Sequence[str], reason: str) -> list[Page]:
    """Return the pages for the issues on a run without a plan; the empty scope is the whole spec."""

    def page(scope: str) -> Page:
        def write(context: CommentContext, _level: int, _budget: int) -> str:
            return drift_issue.failure_issue([scope], reason, context=context)

        return Page(scope, worth=True, danger=None, write=write, levels=1, found="the run made no plan")

    return [page(scope) for scope in scopes]


def refusal(document: ReportDocument) -> str:
    """Return Markdown with the reason why an apply refused, and the changes that were not approved."""
    found = [f for f in document["findings"] if f["code"] in REFUSED]
    lines = [f["message"] for f in found if f.get("about")]  # each is about a change that is not approved
    reasons = [f["message"] for f in found if not f.get("about")]
    if not reasons:
        return ""
    return "\n\n".join([unreviewed_notice(reasons[0]), *([_fenced(lines)] if lines else [])])


def unreviewed_notice(reason: str) -> str:
    """Return Markdown with the reason why no reviewed plan can be applied."""
    return (
        f"**Not applied**: {prose(reason.rstrip('. '))}. Nothing was written. Below is the plan, with its"
        " id in the last line. If the run waits for its approval, approve it there; otherwise open a new pull"
        " request, or apply the plan by its id."
    )


def merge_group_notice(reason: str) -> str:
    """Return Markdown with the reasons why a merge group must not be merged, the first line as a sentence."""
    first, *rest = reason.strip().splitlines() or [""]
    notice = (
        f"**Not as reviewed**: {prose(first.rstrip('. '))}. Nothing was written. Below is the plan of the"
        " merge group as it is now. Start this workflow on the default branch, or push a commit, so that the"
        " pull request shows its new plan. Have it reviewed, and add the pull request to the queue again."
    )
    return "\n\n".join([notice, *([_fenced(rest)] if rest else [])])
