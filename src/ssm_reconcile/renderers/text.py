"""View -> plain text for a terminal: changes by target, addresses left alone with reasons, the sums.

No colour unless asked for. Columns are aligned where they fit; on a narrow terminal each change takes
a line for its name and more below. Names and values are never broken, so they can be copied.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers.changes import BY_DANGER, AttributeLine, ChangeView
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, path_patterns
from ssm_reconcile.renderers.view import (
    OutcomeView,
    PlanView,
    ReplicationView,
    ReportView,
    RunView,
    TargetView,
)
from ssm_reconcile.wording import join, plural

MARKS = {"delete": "-", "replace": "!", "update": "~", "create": "+", "adopt": "=", "retag": "~"}
COLOURS = {"-": "31", "!": "31", "~": "33", "+": "32", "=": "36", "bold": "1", "loud": "1;31", "dim": "2"}
PATHS = 40
"""Lines that folded names may take in one group."""
ROWS = 20
"""Names of a group that are listed before they are folded."""
_LONGEST_NAME = 60
"""The widest name column: one long name must not move all details to other lines."""


class TerminalText:
    """Lines of at most `width` columns where their words allow it."""

    def __init__(self, width: int, *, color: bool) -> None:
        self.width = max(width, 20)
        self.color = color
        self.lines: list[str] = []

    def paint(self, text: str, colour: str) -> str:
        """Return the text in a colour, if colours are wanted."""
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.color and colour in COLOURS else text

    def add(self, text: str = "", *, indent: int = 0, hang: int = 0, colour: str = "") -> None:
        """Add one sentence, wrapped at spaces.

        Args:
            text: The sentence; empty for an empty line.
            indent: The spaces before each line.
            hang: The further spaces before each line but the first.
            colour: A key of the colours; empty for none.
        """
        if not text:
            self.lines.append("")
            return
        wrapped = textwrap.wrap(
            text,
            self.width,
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hang),
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.lines += [self.paint(line, colour) for line in wrapped]

    def add_heading(self, label: str, note: str = "") -> None:
        """Add an empty line and the label of a target."""
        self.lines += ["", self.paint(label, "bold") + note]

    def add_marked(self, mark: str, text: str, colour: str | None = None) -> None:
        """Add a line that is not wrapped, after a mark.

        Args:
            mark: The mark before the text.
            text: The text of the line.
            colour: The colour of the mark; None for the colour that belongs to it.
        """
        self.lines.append(f"  {self.paint(mark, mark if colour is None else colour)} {text}")

    def add_patterns(self, mark: str, names: Iterable[str], note: str, limit: int = PATHS) -> None:
        """Add names as path patterns, one line each.

        Args:
            mark: The mark before each line.
            names: The names of parameters.
            note: The text after each pattern.
            limit: The most lines.
        """
        for pattern in path_patterns(names, limit):
            self.add_marked(mark, f"{pattern}   {note}", "+" if mark == "·" else mark)

    def text(self) -> str:
        """Return all lines, with one line break at the end."""
        return "\n".join(line.rstrip() for line in self.lines).strip("\n") + "\n"


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
    _incomplete(page, view)
    _exposed(page, view)
    for target in view.targets:
        _changes(page, target, [change for change in view.changes if change.target == target.label])
    _groups(page, view.groups)
    _findings(page, view.findings)
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


def _incomplete(page: TerminalText, view: RunView) -> None:
    for notice in view.notices_of("incomplete"):
        text = str(notice)
        text = text.replace("The source", "the source", 1) if notice.fact.startswith("The") else text
        page.add(f"INCOMPLETE: {text}", hang=2, colour="loud")


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
        min(_LONGEST_NAME, max((len(c.name) for c in shown), default=0)),
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
    details = [f"{line.label} {line.phrase(is_new=change.is_new)}" for line in lines] + list(change.remarks)
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
    for remark in change.remarks:
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


def report_text(view: ReportView, *, width: int = 120, color: bool = False) -> str:
    """Return the outcomes of an apply for a terminal; problems are last.

    Args:
        view: The view of the report.
        width: The columns of the terminal.
        color: Whether the text has terminal colours.
    """
    page = TerminalText(width, color=color)
    _incomplete(page, view)
    for target in view.targets:
        _outcomes(page, target, [outcome for outcome in view.outcomes if outcome.target == target.label])
    for group in view.remaining:
        page.add()
        page.add(f"Remaining: {group.size:,}, {group.reason}:", hang=2, colour="bold")
        _names(page, group)
    _groups(page, view.groups)
    _findings(page, view.findings)
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
    name = min(_LONGEST_NAME, max((len(o.name) for o in shown), default=0))
    for outcome in shown:
        mark = "·" if outcome.result == "applied" else "x"
        state = f"{outcome.action} {outcome.result.replace('_', ' ')}"
        page.add_marked(mark, f"{outcome.name:<{name}}   {state}", _RESULTS.get(outcome.result, ""))
        for text in filter(None, (outcome.error, outcome.note)):
            page.add(text, indent=6, hang=2)


def _groups(page: TerminalText, groups: Sequence[AddressGroup]) -> None:
    """Add the addresses without a change, by kind and reason."""
    for key, kind in KINDS.items():
        same = [group for group in groups if group.kind == key]
        if not same:
            continue
        page.add()
        title = f"{kind.many.capitalize()}, {kind.state_of_many}: {sum(group.size for group in same):,}"
        page.add(title, colour="bold")
        for group in same:
            page.add(f"{group.reason}:" if group.reason else "no reason stated:", indent=2, hang=2)
            _names(page, group)


def _names(page: TerminalText, group: AddressGroup) -> None:
    """Add the names of a group with their targets, folded by path where there are many."""
    if len(group.names) > ROWS:
        page.lines += [f"    {p}" for p in path_patterns(group.names, PATHS)]
        return
    for name, targets in group.names.items():
        line = f"    {name}   {', '.join(targets)}"
        if len(line) <= page.width:
            page.lines.append(line)
        else:
            page.lines.append(f"    {name}")
            page.add(", ".join(targets), indent=6)


def _findings(page: TerminalText, findings: Sequence[FindingView]) -> None:
    if findings:
        page.add()
    for finding in findings:
        colour = {"error": "loud", "warning": "~"}.get(finding.severity, "")
        where = f" ({join(finding.where, 3)})" if finding.where else ""
        page.add(f"{finding.severity}: {finding.message} [{finding.code}]{where}", hang=2, colour=colour)
