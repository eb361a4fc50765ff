"""View -> the blocks that a Markdown page is made of; `markdown` chooses among them.

Each block is whole: its fences and folds are closed, and it may be left out, never cut. Names and
values appear in fences and code only, sentences of others word by word through `prose`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssm_reconcile.encoding import utf8
from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.asides import at, folded, is_everywhere, spans
from ssm_reconcile.renderers.fold import fold
from ssm_reconcile.renderers.grouping import ChangeView, Merged, merged
from ssm_reconcile.renderers.inert import code, fence, prose, span
from ssm_reconcile.renderers.view import TargetView, View

MARKS = {"delete": "-", "create": "+", "adopt": "="}
"""How a line of a diff block begins; what changes something that is there gets `!`."""
NAMED = 10
"""How many deletes and replacements are named at the top; all of them are listed below."""


def table(view: View, most: int = 0) -> str:
    """Counts by target; columns that are zero everywhere are left out, but for the usual four."""
    always = ("create", "update", "replace", "delete")
    extra = [
        w for w in ("adopt", "retag", "conflict", "detached", "invalid", "withheld") if view.summary.get(w)
    ]
    columns = (*always, *extra, "in_sync")
    titles = {"in_sync": "Unchanged"}
    head = [view.place_word.capitalize(), *(titles.get(word, word.capitalize()) for word in columns)]
    rows = [f"| {' | '.join(head)} |", f"|---|{'--:|' * len(columns)}"]
    shown = view.targets[:most] if most else view.targets
    for target in shown:
        cells = [_cell(word, target.summary.get(word, 0)) for word in columns]
        rows.append(f"| {' | '.join([_name(target), *cells])} |")
    if len(shown) < len(view.targets):
        rows.append(f"\n… and {len(view.targets) - len(shown):,} more {view.place_word}s.")
    return "\n".join(rows)


def _name(target: TargetView) -> str:
    notes = [note for note, said in (("incomplete", not target.complete), ("frozen", target.frozen)) if said]
    return span(target.label, table=True) + "".join(f" **{note}**" for note in notes)


def _cell(word: str, number: int) -> str:
    loud = word in ("delete", "conflict", "invalid", "withheld") and number
    return f"**{number:,}**" if loud else f"{number:,}"


def alert(kind: str, paragraphs: Iterable[str]) -> str:
    """One of GitHub's alert boxes."""
    lines = f"[!{kind}]\n{chr(10).join(paragraphs)}".split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def caution(view: View, changes: Sequence[Merged], *, named: bool) -> str:
    """What is deleted, replaced and made plain, by name where these are few."""
    sentences = [f"**{words.listed(view.dangers)}.**"]
    if named and len(changes) <= NAMED:
        sentences.append("; ".join(_fate(view, change) for change in changes) + ".")
        sentences += [
            f"{span(change.name)} in {spans(change.changed_outside)} was last changed outside this tool."
            for change in changes
            if change.changed_outside
        ]
    else:
        sentences.append("Listed below.")
    return alert("CAUTION", [" ".join(sentences)])


def _fate(view: View, change: Merged) -> str:
    verb = {"delete": "leaves", "replace": "is replaced in"}.get(change.action, "changes in")
    if change.exposes:
        verb = f"becomes plain text and {verb}" if change.action == "replace" else "becomes plain text in"
    everywhere = len(change.targets) > 2 and is_everywhere(view, change.targets)  # noqa: PLR2004 - both, else
    where = f"all {view.place_word}s" if everywhere else spans(change.targets)
    return f"{span(change.name)} {verb} {where}{' (withheld)' if change.withheld else ''}"


def warnings(view: View, most: int) -> list[str]:
    """What a reader must know before anything else: incomplete places, what guards withhold."""
    blocks = []
    unseen = [
        f"**The source {span(route.source)} was not listed to the end.** No delete is planned."
        for route in view.routes
        if not route.source_complete
    ]
    unseen += [
        f"**{span(target.label)} was not listed to the end.** Nothing is planned there."
        for target in view.targets
        if not target.complete
    ]
    if unseen:
        blocks.append(alert("WARNING", ["\n\n".join(_some(unseen, most))]))
    withheld = view.summary.get("withheld", 0)
    if withheld:
        said = [prose(finding.message) for finding in view.findings if finding.code in view.guards]
        unsaid = view.guards - {finding.code for finding in view.findings}
        said += [
            f"By the guard {span(guard)}, for the reason that each change states." for guard in sorted(unsaid)
        ]
        title = f"**{words.count(withheld, 'change')} withheld.** The rest is not affected."
        blocks.append(alert("WARNING", [title, "", *(f"* {line}" for line in _some(said, most))]))
    return blocks


def _some(items: Sequence[str], most: int) -> list[str]:
    if len(items) <= most:
        return list(items)
    return [*items[:most], f"… and {len(items) - most:,} more."]


def note(view: View) -> str:
    """To what the plan was narrowed, and how much was read for it."""
    said = []
    by = [f"--target {name}" for name in view.narrowed_targets] + [f"--only {g}" for g in view.narrowed_only]
    if by:
        said.append(f"Narrowed to {words.listed([span(text) for text in by], 20)}: nothing else was planned.")
    if view.mode == "no-decrypt":
        said.append("Made without decryption: `SecureString` values were not compared.")
    return " ".join(said)


def by_target(view: View, chunk: int = 0) -> list[str]:
    """Everything, target by target; with `chunk`, no more than so many changes a block."""
    blocks = []
    for target in view.targets:
        mine = [c for c in view.changes if c.target == target.label and not c.is_anyway]
        changes = [c for c in mine if c.action != "adopt"]
        size = chunk or len(changes) or 1
        parts = [changes[i : i + size] for i in range(0, len(changes), size)]
        for number, part in enumerate(parts, 1):
            title = f"<b>{code(target.label)}</b>: {tally(part)}"
            title += f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
            body = fence([line for change in part for line in full(change)])
            blocks.append(folded(title, body, is_open=True))
    return blocks


def tally(changes: Iterable[ChangeView]) -> str:
    """`2 create, 1 update`."""
    counts: dict[str, int] = {}
    for change in changes:
        counts[change.action] = counts.get(change.action, 0) + 1
    known = [word for word in words.ACTIONS if word in counts]
    return ", ".join(f"{counts[word]:,} {word}" for word in (*known, *sorted(set(counts) - set(known))))


def _head(change: ChangeView | Merged) -> str:
    loud = change.is_danger
    kind = f"  [{change.kind}]" if change.kind else ""
    mark = MARKS.get(change.action, "!")
    action = change.action.upper() if loud else change.action
    late = ", pending anyway" if change.pending else ""
    return f"{mark} {change.name}{kind} {action}{', WITHHELD' if change.withheld else ''}{late}"


def full(change: ChangeView) -> list[str]:
    """One change with all that differs, as lines of a diff."""
    lines = [_head(change)]
    width = max((len(line.label) for line in change.lines), default=0)
    for line in change.lines:
        label = f"{line.label:<{width}}"
        if line.note or (change.action == "create" and line.before is None):
            lines.append(f"      {label}  {line.note or line.after}")
            continue
        if line.before is not None:
            lines.append(f"-     {label}  {line.before}")
        if line.after is not None:
            lines.append(f"+     {label}  {line.after}")
    return lines + [f"      {remark}" for remark in change.remarks]


def one_line(view: View, change: Merged) -> str:
    """One change on one line, with the targets that get it."""
    attributes = f" {', '.join(change.attributes)}" if change.attributes else ""
    return f"{_head(change)}{attributes}{at(view, change.targets)}"


def dangers(view: View, changes: Sequence[Merged], room: int | None = None) -> str:
    """Deletes and replacements, one line each, never folded; as many as there is room for (bytes)."""
    lines, left = [], room
    for change in changes:
        line = one_line(view, change)
        if left is not None:
            left -= len(utf8(line)) + 1
            if left < 0:
                break
        lines.append(line)
    rest = len(changes) - len(lines)
    body = fence(lines) if lines else ""
    if rest:
        body += f"\n\n… and {rest:,} more {_named_dangers(changes)}: the saved plan lists them all."
    name = _named_dangers(changes).capitalize()
    title = f"<b>{name}</b> ({words.count(len(changes), 'parameter')})"
    return folded(title, body, is_open=True)


def _named_dangers(changes: Sequence[Merged]) -> str:
    exposed = any(change.exposes for change in changes)
    return "deletes, replacements and exposed secrets" if exposed else "deletes and replacements"


def by_path(view: View, most: int = 12) -> list[str]:
    """Creates, updates and retags, one line a parameter, the same in several targets merged."""
    changes = [c for c in view.changes if not (c.is_danger or c.is_anyway) and c.action != "adopt"]
    blocks = []
    for path in fold((change.name for change in changes), most):
        names = set(path.names)
        mine = [change for change in changes if change.name in names]
        lines = [one_line(view, change) for change in merged(mine)]
        blocks.append(folded(f"{code(path.path)}: {tally(mine)}", fence(lines)))
    return blocks


def by_pattern(view: View, actions: Iterable[str], most: int, *, anyway: bool = False) -> list[str]:
    """Changes of some actions, names under one path folded to a line; pending ones or all others."""
    lines = []
    for action in actions:
        for withheld in (False, True):
            mine = [
                c
                for c in view.changes
                if c.action == action and not c.is_danger and c.withheld is withheld and c.is_anyway is anyway
            ]
            for path in fold((change.name for change in mine), most):
                names = set(path.names)
                total = sum(change.name in names for change in mine)
                many = f"  ({words.count(total, 'change')})" if total != len(names) else ""
                late = ", WITHHELD" if withheld else ""
                lines.append(f"{MARKS.get(action, '!')} {path}  {action}{late}{many}")
    return lines


def adoptions(view: View, most: int) -> str:
    """What is taken over as it is: always folded by path, since nothing of it changes but tags."""
    names = {change.name for change in view.changes if change.action == "adopt" and not change.pending}
    if not names:
        return ""
    title = f"<b>Adoptions</b> ({words.count(len(names), 'parameter')}, equal already: only tags are written)"
    return folded(title, fence(by_pattern(view, ("adopt",), most)))


def anyway(view: View, most: int) -> str:
    """What the spec before would do in the same way: folded, as it is not what is reviewed."""
    changes = [change for change in view.changes if change.is_anyway]
    if not changes:
        return ""
    lines = [one_line(view, change) for change in merged(changes)]
    if len(lines) > most:
        lines = by_pattern(view, ("update", "create", "retag", "adopt"), most, anyway=True)
    title = (
        f"<b>Pending anyway</b> ({words.count(len(changes), 'change')} that the spec before would make too)"
    )
    return folded(title, fence(lines))


def dropped(view: View, most: int) -> str:
    """What only the spec before would do."""
    if not view.dropped:
        return ""
    lines = [one_line(view, change) for change in merged(view.dropped)]
    if len(lines) > most:
        lines = []
        for action in dict.fromkeys(change.action for change in view.dropped):
            names = [change.name for change in view.dropped if change.action == action]
            lines += [f"{MARKS.get(action, '!')} {path}  {action}" for path in fold(names, most)]
    total = words.count(len(view.dropped), "change")
    return folded(f"<b>Not done any more</b> ({total} that only the spec before would make)", fence(lines))
