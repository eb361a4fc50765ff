"""View of a plan -> plain text for a terminal: changes by target, addresses left alone, the sums.

No colour unless asked for. Columns are aligned where they fit; on a narrow terminal each change takes
a line for its name and more below. Names and values are never broken, so they can be copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers.changes import AttributeLine, ChangeView
from ssm_reconcile.renderers.groups import KINDS
from ssm_reconcile.renderers.terminal_text import (
    LONGEST_NAME,
    TerminalText,
    add_findings,
    add_groups,
    add_incomplete,
)
from ssm_reconcile.renderers.view import PlanView, ReplicationView, TargetView
from ssm_reconcile.wording import plural

MARKS = {"delete": "-", "replace": "!", "update": "~", "create": "+", "adopt": "=", "retag": "~"}


def plan_text(
    view: PlanView, *, width: int = 120, color: bool = False, apply_command: str | None = None
) -> str:
    """Return a plan for a terminal.

    Args:
        view: The plan.
        width: Columns of the terminal.
        color: Whether to add colours.
        apply_command: The command that applies the plan, without `--expect-plan`; empty names none. None
            makes it from the narrowing and the mode of the plan.
    """
    page = TerminalText(width, color=color)
    for replication in view.replications:
        _replication(page, replication, view)
    for notice in view.notices_of("narrowed", "no-decrypt"):
        page.add(str(notice), hang=2)
    add_incomplete(page, view)
    _exposed(page, view)
    for target in view.targets:
        _changes(page, target, [change for change in view.changes if change.target == target.label])
    add_groups(page, view.groups)
    add_findings(page, view.findings)
    _sums(page, view)
    _apply_command(page, view, apply_command)
    return page.text()


def _replication(page: TerminalText, replication: ReplicationView, view: PlanView) -> None:
    targets = ", ".join(replication.targets) or "no target"
    title, counts = (
        f"{replication.name}: {replication.source} -> {targets}",
        f"{replication.selected:,} selected",
    )
    if len(view.replications) == 1:
        skipped = view.summary.get("skipped", 0) - view.chained
        counts += f", {skipped:,} skipped by skip_sync" if skipped else ""
        counts += f", {view.chained:,} skipped because they are replicas" if view.chained else ""
    if len(f"{title}        {counts}") <= page.width:
        page.lines.append(f"{page.paint(title, 'bold')}        {counts}")
    else:
        page.add(title, hang=2, colour="bold")
        page.add(counts, indent=2)


def _exposed(page: TerminalText, view: PlanView) -> None:
    """List the SecureStrings that become plain text, withheld or not."""
    exposed = [change for change in view.changes if change.exposes]
    if not exposed:
        return
    page.add()
    count = plural(len(exposed), "SecureString becomes", "SecureStrings become")
    page.add(f"DANGER: {count} plain text:", hang=2, colour="loud")
    for change in exposed:
        page.add(f"{change.name}   {change.target}{'   WITHHELD' if change.withheld else ''}", indent=2)


def _changes(page: TerminalText, target: TargetView, changes: Sequence[ChangeView]) -> None:
    if not changes:
        return
    page.add_heading(target.label, "  (frozen)" if target.frozen else "")
    pending = [change for change in changes if change.is_pending_only]
    adopted = [change for change in changes if change.action == "adopt" and not change.is_pending_only]
    shown = [change for change in changes if change.action != "adopt" and not change.is_pending_only]
    columns = (
        min(LONGEST_NAME, max((len(c.name) for c in shown), default=0)),
        max((len(c.kind) for c in shown), default=0),
        max((len(_action(c)) for c in shown), default=0),
    )
    for change in shown:
        _change(page, change, columns)
    for withheld in (False, True):
        names = (change.name for change in adopted if change.withheld is withheld)
        page.add_patterns("=", names, f"adopt (tags only){', WITHHELD' if withheld else ''}")
    for action in dict.fromkeys(change.action for change in pending):
        names = (change.name for change in pending if change.action == action)
        page.add_patterns(MARKS.get(action, "?"), names, f"{action}, already pending")


def _action(change: ChangeView) -> str:
    action = f"{change.action} WITHHELD" if change.withheld else change.action
    return f"{action}, already pending" if change.pending else action


def _change(page: TerminalText, change: ChangeView, columns: tuple[int, int, int]) -> None:
    """Add one change: one line where it fits; otherwise the attributes go below."""
    mark = MARKS.get(change.action, "?")
    name, kind, action = columns
    head = f"{change.name:<{name}}   {change.kind:<{kind}}   {_action(change):<{action}}"
    lines = _joined_tags(change.lines, page.width - 6) if change.is_new else change.lines
    details = [f"{line.label} {line.phrase(is_new=change.is_new)}" for line in lines]
    details += change.remarks_with_age
    whole = f"{head}   {', '.join(details)}"
    is_narrow = len(head) + 4 > page.width
    if is_narrow:
        page.add_marked(mark, change.name)
        page.add(f"{change.kind} {_action(change)}".strip(), indent=6)
    elif len(whole) + 4 <= page.width or not details:
        page.add_marked(mark, whole)
        return
    else:
        page.add_marked(mark, head)
    label = 0 if is_narrow else max((len(line.label) for line in lines), default=0)
    for line in lines:
        _attribute(page, line, label, is_new=change.is_new)
    for remark in change.remarks_with_age:
        page.add(remark, indent=6, hang=2, colour="dim")


def _joined_tags(lines: Sequence[AttributeLine], width: int) -> Sequence[AttributeLine]:
    """Put all tags of a new parameter on one line, where they fit."""
    tags = [line.after or line.note for line in lines if line.label == "tags"]
    joined = ", ".join(tags)
    label = max((len(line.label) for line in lines), default=0)
    if not tags[1:] or label + 2 + len(joined) > width:
        return lines
    return [*(line for line in lines if line.label != "tags"), AttributeLine("tags", after=joined)]


def _attribute(page: TerminalText, line: AttributeLine, label: int, *, is_new: bool) -> None:
    """Add one attribute on its own line, or on two where both sides do not fit on one."""
    start = f"      {line.label:<{label}}  "
    if line.wraps:
        page.add(f"{start[6:]}{line.note}", indent=6, hang=2)
        return
    whole = start + line.phrase(is_new=is_new)
    if line.before is None or line.after is None or len(whole) <= page.width:
        page.lines.append(whole)
    else:
        page.lines += [f"{start}{line.before}", f"{' ' * (len(start) - 3)}-> {line.after}"]


def _sums(page: TerminalText, view: PlanView) -> None:
    page.add()
    rest = view.other_counts(*KINDS)
    if not view.changes:
        state = (
            "Nothing to do"
            if view.complete
            else "INCOMPLETE, and nothing to do in the places that were listed"
        )
        page.add(f"{state}: {rest}.", hang=2, colour="" if view.complete else "loud")
        return
    line = f"Plan {view.short_id}: {view.action_counts}, {rest}."
    cost = ""
    if view.budget:
        writes, duration = plural(view.budget["writes"], "write"), _duration(view.budget["seconds"])
        cost = f"apply: {writes}, at least {duration}"
    if cost and len(f"{line}   {cost}") <= page.width:
        page.lines.append(f"{line}   {cost}")
    else:
        page.add(line, hang=2)
        if cost:
            page.add(cost, indent=2)
    if view.pending:
        page.add(f"{view.pending:,} of them already pending: the previous spec makes them too.", hang=2)
    if view.dropped:
        page.add(f"{plural(len(view.dropped), 'change')} of the previous spec no longer made.", hang=2)
    if view.withheld:
        guards = ", ".join(sorted(view.guards))
        page.add(f"{view.withheld:,} of them WITHHELD by a guard: {guards}.", hang=2, colour="~")


def _duration(seconds: float) -> str:
    """Return seconds in the unit that people use: `5 s`, `12 min`, `2.5 h`."""
    if seconds < 100:  # noqa: PLR2004 - longer times are easier to read in minutes
        return f"{math.ceil(seconds)} s"
    if seconds < 100 * 60:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _apply_command(page: TerminalText, view: PlanView, command: str | None) -> None:
    if command is None:
        mode = (f"--{view.mode}",) if view.mode in ("no-decrypt", "verify-values") else ()
        command = CommandLine(targets=view.narrowed_targets, only=view.narrowed_only, mode=mode).apply()
    if command and view.withheld < len(view.changes):
        # People copy the command, so it is never wrapped.
        label, command = "Apply exactly this:", f"{command} --expect-plan {view.short_id}"
        fits = len(label) + 1 + len(command) <= page.width
        page.lines += [f"{label} {command}"] if fits else [label, command]
