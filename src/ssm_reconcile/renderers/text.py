"""View -> plain text for a terminal: what changes target by target, what does not and why, the sum.

No colour unless asked for. Columns are aligned where they fit; on a narrow terminal each change takes
a line for its name and more below. Names and values are never broken, so they can be copied.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.details import Line
from ssm_reconcile.renderers.fold import fold
from ssm_reconcile.renderers.grouping import ChangeView
from ssm_reconcile.renderers.outcomes import ReportView
from ssm_reconcile.renderers.page import PATHS, ROWS, Page, findings, groups, incomplete, places
from ssm_reconcile.renderers.view import Route, TargetView, View

MARKS = {"delete": "-", "replace": "!", "update": "~", "create": "+", "adopt": "=", "retag": "~"}
_LONGEST_NAME = 60
"""A name column is no wider: one long name must not push all details off the line."""


def plan_text(view: View, *, width: int = 120, color: bool = False, apply_command: str | None = None) -> str:
    """A plan for a terminal of `width` columns.

    `apply_command` is the command that would apply it, without `--expect-plan`; none is named where it is
    empty, and None means one made of what the plan itself knows (narrowing and mode).
    """
    page = Page(width, color=color)
    for route in view.routes:
        _route(page, route, view)
    _narrowed(page, view)
    incomplete(page, view.routes, view.targets)
    _exposed(page, view)
    for target in view.targets:
        _changes(page, target, [change for change in view.changes if change.target == target.label])
    groups(page, view.groups)
    findings(page, view.findings)
    _sum(page, view, apply_command)
    return page.text()


def _route(page: Page, route: Route, view: View) -> None:
    way = f"{route.name}: {route.source} -> {', '.join(route.targets) or 'no target'}"
    counts = f"{route.selected:,} selected"
    if len(view.routes) == 1:
        skipped = view.summary.get("skipped", 0) - view.chained
        counts += f", {skipped:,} skipped by skip_sync" if skipped else ""
        counts += f", {view.chained:,} skipped as replicas themselves" if view.chained else ""
    line = f"{way}        {counts}"
    if len(line) <= page.width:
        page.lines.append(f"{page.paint(way, 'bold')}        {counts}")
    else:
        page.say(way, hang=2, colour="bold")
        page.say(counts, indent=2)


def _narrowed(page: Page, view: View) -> None:
    by = [f"--target {name}" for name in view.narrowed_targets] + [f"--only {g}" for g in view.narrowed_only]
    if by:
        page.say(f"Narrowed to {' '.join(by)}: nothing else was planned.", hang=2)
    if view.mode == "no-decrypt":
        page.say("Made without decryption: SecureString values were not compared.", hang=2)


def _exposed(page: Page, view: View) -> None:
    """What turns from a SecureString into plain text, withheld or not."""
    exposed = [change for change in view.changes if change.exposes]
    if not exposed:
        return
    page.say()
    count = words.count(len(exposed), "SecureString becomes", "SecureStrings become")
    page.say(f"DANGER: {count} plain text:", hang=2, colour="loud")
    for change in exposed:
        page.say(f"{change.name}   {change.target}{'   WITHHELD' if change.withheld else ''}", indent=2)


def _changes(page: Page, target: TargetView, changes: list[ChangeView]) -> None:
    if not changes:
        return
    page.say()
    page.lines.append(page.paint(target.label, "bold") + ("  (frozen)" if target.frozen else ""))
    listed = [change for change in changes if change.action != "adopt" and not change.is_anyway]
    columns = (
        min(_LONGEST_NAME, max((len(c.name) for c in listed), default=0)),
        max((len(c.kind) for c in listed), default=0),
        max((len(_word(c)) for c in listed), default=0),
    )
    for change in listed:
        _change(page, change, columns)
    adopted = [change for change in changes if change.action == "adopt" and not change.is_anyway]
    for withheld in (False, True):
        names = [change.name for change in adopted if change.withheld is withheld]
        for folded in fold(names, PATHS):
            note = ", WITHHELD" if withheld else ""
            page.lines.append(f"  {page.paint('=', '=')} {folded}   adopt (tags only){note}")
    anyway = [change for change in changes if change.is_anyway]
    for action in dict.fromkeys(change.action for change in anyway):
        mark = MARKS.get(action, "?")
        for folded in fold((change.name for change in anyway if change.action == action), PATHS):
            page.lines.append(f"  {page.paint(mark, mark)} {folded}   {action}, pending anyway")


def _word(change: ChangeView) -> str:
    word = f"{change.action} WITHHELD" if change.withheld else change.action
    return f"{word}, pending anyway" if change.pending else word


def _change(page: Page, change: ChangeView, columns: Sequence[int]) -> None:
    """One line where it fits; otherwise what differs goes below."""
    mark = MARKS.get(change.action, "?")
    name, kind, word = columns
    head = f"{change.name:<{name}}   {change.kind:<{kind}}   {_word(change):<{word}}"
    anew = change.action in ("create", "replace")
    lines = _gathered(change.lines, page.width - 6) if anew else change.lines
    details = [_inline(line, anew=anew) for line in lines] + list(change.remarks)
    whole = f"  {mark} {head}   {', '.join(details)}"
    narrow = len(f"  {mark} {head}") > page.width
    if narrow:
        page.lines.append(f"  {page.paint(mark, mark)} {change.name}")
        page.say(f"{change.kind} {_word(change)}".strip(), indent=6)
    elif len(whole) <= page.width or not details:
        page.lines.append(f"  {page.paint(mark, mark)}{whole[3:]}")
        return
    else:
        page.lines.append(f"  {page.paint(mark, mark)} {head}")
    labels = max((len(line.label) for line in lines), default=0)
    for line in lines:
        _below(page, line, 0 if narrow else labels, anew=anew)
    for remark in change.remarks:
        page.say(remark, indent=6, hang=2, colour="dim")


def _gathered(lines: Sequence[Line], width: int) -> Sequence[Line]:
    """All tags of what is made anew on one line, where they fit."""
    tags = [line.after or line.note for line in lines if line.label == "tags"]
    joined = ", ".join(tags)
    label = max((len(line.label) for line in lines), default=0)
    if not tags[1:] or label + 2 + len(joined) > width:
        return lines
    return [*(line for line in lines if line.label != "tags"), Line("tags", after=joined)]


def _inline(line: Line, *, anew: bool) -> str:
    """What differs, in one phrase. `anew`: of what is made anew nothing needs to be called added."""
    if line.note:
        return f"{line.label} {line.note}"
    if line.before is None:
        return f"{line.label} {line.after}{'' if anew else ' added'}"
    if line.after is None:
        return f"{line.label} {line.before} removed"
    return f"{line.label} {line.before} -> {line.after}"


def _below(page: Page, line: Line, label: int, *, anew: bool) -> None:
    """One attribute on its own line, or on two where both sides do not fit on one."""
    start = f"      {line.label:<{label}}  "
    if line.wraps:
        page.say(f"{start[6:]}{line.note}", indent=6, hang=2)
        return
    whole = f"      {line.label:<{label}}  {_inline(line, anew=anew)[len(line.label) + 1 :]}"
    if line.before is None or line.after is None or len(whole) <= page.width:
        page.lines.append(whole)
        return
    page.lines.append(f"{start}{line.before}")
    page.lines.append(f"{' ' * (len(start) - 3)}-> {line.after}")


def _sum(page: Page, view: View, apply_command: str | None) -> None:
    page.say()
    in_sync = f"{view.summary.get('in_sync', 0):,} in sync"
    aside = words.aside(view.summary, ("conflict", "detached", "invalid", "orphaned", "opted_out"))
    rest = f"{in_sync}{', ' + aside if aside else ''}"
    if not view.changed:
        state = "Nothing to do" if view.complete else "INCOMPLETE, nothing to do where it was seen"
        page.say(f"{state}: {rest}.", hang=2, colour="" if view.complete else "loud")
        return
    line = f"Plan {view.short_id}: {words.to_do(view.summary)}, {rest}."
    cost = ""
    if view.writes is not None and view.seconds is not None:
        cost = f"apply: {words.count(view.writes, 'write')}, at least {words.duration(view.seconds)}"
    if cost and len(line) + 3 + len(cost) <= page.width:
        page.lines.append(f"{line}   {cost}")
    else:
        page.say(line, hang=2)
        if cost:
            page.say(cost, indent=2)
    if view.pending:
        page.say(f"{view.pending:,} of them pending anyway: the spec before would make them too.", hang=2)
    if view.dropped:
        page.say(f"{words.count(len(view.dropped), 'change')} of the spec before not made any more.", hang=2)
    withheld = view.summary.get("withheld", 0)
    if withheld:
        page.say(
            f"{withheld:,} of them WITHHELD by a guard: {', '.join(sorted(view.guards))}.", hang=2, colour="~"
        )
    command = _command(view) if apply_command is None else apply_command
    if withheld < view.changed and command:  # on one line however long it is: people copy it
        label, command = "Apply exactly this:", f"{command} --expect-plan {view.short_id}"
        fits = len(label) + 1 + len(command) <= page.width
        page.lines += [f"{label} {command}"] if fits else [label, command]


def _command(view: View) -> str:
    mode = (f"--{view.mode}",) if view.mode in ("no-decrypt", "verify-values") else ()
    return CommandLine(targets=view.narrowed_targets, only=view.narrowed_only, mode=mode).apply()


def report_text(view: ReportView, *, width: int = 120, color: bool = False) -> str:
    """What became of a plan, for a terminal: every change has its outcome, what went wrong is last."""
    page = Page(width, color=color)
    incomplete(page, view.routes, view.targets)
    for target in view.targets:
        _outcomes(page, view, target)
    for group in view.remaining:
        page.say()
        page.say(f"Remaining: {group.size:,}, {group.reason}:", hang=2, colour="bold")
        places(page, group)
    groups(page, view.groups)
    findings(page, view.findings)
    page.say()
    page.say(view.sentence(), hang=2, colour="bold")
    if view.interrupted:
        page.say("Interrupted: the next run goes on where this one stopped.", hang=2, colour="loud")
    return page.text()


_RESULTS = {"applied": "+", "failed": "-", "stale": "~", "withheld": "~", "not_attempted": "~"}


def _outcomes(page: Page, view: ReportView, target: TargetView) -> None:
    mine = [outcome for outcome in view.outcomes if outcome.target == target.label]
    if not mine:
        return
    page.say()
    page.lines.append(page.paint(target.label, "bold"))
    quiet = [o for o in mine if o.result == "applied" and not o.note]
    folded = len(quiet) > ROWS
    if folded:
        for action in words.DANGER:
            for path in fold((o.name for o in quiet if o.action == action), ROWS):
                page.lines.append(f"  {page.paint('·', '+')} {path}   {action} applied")
    listed = [o for o in mine if not (folded and o.result == "applied" and not o.note)]
    name = min(_LONGEST_NAME, max((len(o.name) for o in listed), default=0))
    for outcome in listed:
        mark = "·" if outcome.result == "applied" else "x"
        state = f"{outcome.action} {outcome.result.replace('_', ' ')}"
        line = f"{outcome.name:<{name}}   {state}"
        page.lines.append(f"  {page.paint(mark, _RESULTS.get(outcome.result, ''))} {line}")
        for text in filter(None, (outcome.error, outcome.note)):
            page.say(text, indent=6, hang=2)
