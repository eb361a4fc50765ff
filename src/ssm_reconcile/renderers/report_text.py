"""View of a report -> plain text for a terminal: outcomes by target, remaining addresses, the sum."""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.renderers.changes import BY_DANGER
from ssm_reconcile.renderers.terminal_text import (
    LONGEST_NAME,
    ROWS,
    TerminalText,
    add_findings,
    add_groups,
    add_incomplete,
    add_names,
)
from ssm_reconcile.renderers.view import OutcomeView, ReportView, TargetView


def report_text(view: ReportView, *, width: int = 120, color: bool = False) -> str:
    """Return the outcomes of an apply for a terminal; problems are last.

    Args:
        view: The view of the report.
        width: The columns of the terminal.
        color: Whether the text has terminal colours.
    """
    page = TerminalText(width, color=color)
    add_incomplete(page, view)
    for target in view.targets:
        _outcomes(page, target, [outcome for outcome in view.outcomes if outcome.target == target.label])
    for group in view.remaining:
        page.add()
        page.add(f"Remaining: {group.size:,}, {group.reason}:", hang=2, colour="bold")
        add_names(page, group)
    add_groups(page, view.groups)
    add_findings(page, view.findings)
    page.add()
    page.add(view.sentence(), hang=2, colour="bold")
    for notice in view.notices_of("interrupted"):
        page.add(str(notice), hang=2, colour="loud")
    return page.text()


_RESULTS = {"applied": "+", "failed": "-", "stale": "~", "withheld": "~", "not_attempted": "~"}


def _outcomes(page: TerminalText, target: TargetView, outcomes: Sequence[OutcomeView]) -> None:
    if not outcomes:
        return
    page.add_heading(target.label)
    quiet = [o for o in outcomes if o.result == "applied" and not o.note]
    shown = outcomes
    if len(quiet) > ROWS:
        shown = [o for o in outcomes if o.result != "applied" or o.note]
        for action in BY_DANGER:
            names = (o.name for o in quiet if o.action == action)
            page.add_patterns("·", names, f"{action} applied", ROWS)
    name = min(LONGEST_NAME, max((len(o.name) for o in shown), default=0))
    for outcome in shown:
        mark = "·" if outcome.result == "applied" else "x"
        state = f"{outcome.action} {outcome.result.replace('_', ' ')}"
        page.add_marked(mark, f"{outcome.name:<{name}}   {state}", _RESULTS.get(outcome.result, ""))
        for text in filter(None, (outcome.error, outcome.note)):
            page.add(text, indent=6, hang=2)
