"""Views -> the rows of the page's tables. What is the same in several targets is one row that names them.

Every text of a view goes through `text`, so that nothing in it is markup. Roles are written out: on a
narrow screen rows are laid out as blocks, and some browsers forget then that they are a table.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.details import Line
from ssm_reconcile.renderers.grouping import ChangeView, Group
from ssm_reconcile.renderers.outcomes import OutcomeView

LEFT = {
    "conflict": "conflict",
    "detached": "detached",
    "invalid": "invalid",
    "orphaned": "orphaned",
    "opted_out": "opted out",
    "remaining": "remaining",
}
"""Kinds of addresses that are not changed, in the order in which they are shown."""
NAMED = 3
"""How many targets a row names before it counts the rest."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `kind` and `state` are what filters ask for, `where` the labels of its targets."""

    name: str
    kind: str
    state: str
    where: tuple[str, ...]
    markup: str


@dataclass(frozen=True, slots=True)
class Places:
    """The targets of the page: their numbers, which rows carry, and what they are called together."""

    labels: tuple[str, ...]
    word: str

    def numbers(self, where: Iterable[str]) -> str:
        """The targets of a row, for the filter."""
        known = {label: number for number, label in enumerate(self.labels)}
        return " ".join(str(known.get(label, -1)) for label in where)

    def named(self, where: Sequence[str]) -> str:
        """The targets of a row, for people."""
        if len(where) > 1 and len(where) == len(self.labels):
            return f"all {len(where)} {self.word}s"
        return words.listed([f"<code>{text(label)}</code>" for label in where], max(NAMED, 1))


def text(raw: str) -> str:
    """Any text as HTML that does nothing, in an element or an attribute."""
    return html.escape(raw, quote=True)


def change_rows(changes: Iterable[ChangeView], places: Places) -> list[Row]:
    """The rows of a plan's changes, in the order of the view."""
    found: dict[ChangeView, list[str]] = {}
    for change in changes:
        found.setdefault(replace(change, target=""), []).append(change.target)
    return [_change(change, tuple(where), places) for change, where in found.items()]


def _change(change: ChangeView, where: tuple[str, ...], places: Places) -> Row:
    state = "withheld" if change.withheld else "to apply"
    badge = ' <span class="tag">withheld</span>' if change.withheld else ""
    said = "".join(_line(line) for line in change.lines)
    said += "".join(f'<span class="r">{text(remark)}</span>' for remark in change.remarks)
    cells = (_action(change.action) + badge, change.name, text(change.kind), places.named(where), said)
    return Row(change.name, change.action, state, where, _row(change.action, state, where, places, cells))


def outcome_rows(outcomes: Iterable[OutcomeView], places: Places) -> list[Row]:
    """The rows of what became of changes: what was not applied first."""
    found: dict[OutcomeView, list[str]] = {}
    for outcome in outcomes:
        found.setdefault(replace(outcome, target=""), []).append(outcome.target)
    ordered = sorted(found.items(), key=lambda item: item[0].result == "applied")
    return [_outcome(outcome, tuple(where), places) for outcome, where in ordered]


def _outcome(outcome: OutcomeView, where: tuple[str, ...], places: Places) -> Row:
    state = outcome.result.replace("_", " ")
    said = f'<span class="tag {text(outcome.result)}">{text(state)}</span>'
    said += "".join(f'<span class="r">{text(t)}</span>' for t in (outcome.error, outcome.note) if t)
    cells = (_action(outcome.action), outcome.name, text(outcome.kind), places.named(where), said)
    return Row(outcome.name, outcome.action, state, where, _row(outcome.action, state, where, places, cells))


def group_rows(groups: Iterable[Group], places: Places) -> list[Row]:
    """The rows of addresses that are left as they are, and why."""
    order = {kind: number for number, kind in enumerate(LEFT)}
    rows = []
    for group in sorted(groups, key=lambda g: (order.get(g.counted, len(order)), g.counted)):
        if group.counted not in LEFT:
            continue  # what the spec itself leaves out is counted, not listed
        kind = LEFT[group.counted]
        for place in group.places:
            reason = f'<span class="l">{text(group.reason) or "no reason stated"}</span>'
            cells = (f'<span class="a">{kind}</span>', place.name, None, places.named(place.targets), reason)
            rows.append(
                Row(place.name, kind, "", place.targets, _row(kind, "", place.targets, places, cells))
            )
    return rows


def _row(
    kind: str, state: str, where: Sequence[str], places: Places, cells: tuple[str, str, str | None, str, str]
) -> str:
    what, name, type_, at, said = cells
    marks = f' data-s="{text(state)}"' if state else ""
    middle = "" if type_ is None else f'<td role="cell">{type_}</td>'
    return (
        f'<tr role="row" data-k="{text(kind)}"{marks} data-t="{places.numbers(where)}">'
        f'<td role="cell">{what}</td><th role="rowheader" scope="row"><code>{text(name)}</code></th>'
        f'{middle}<td role="cell">{at}</td><td role="cell">{said}</td></tr>'
    )


def _action(action: str) -> str:
    known = action if action in words.DANGER else "replace"
    return f'<span class="a {known}">{text(action)}</span>'


def _line(line: Line) -> str:
    """One attribute: what it was and what it will be, or a note on it."""
    said = f'<span class="k">{text(line.label)}</span> '
    if line.note:
        return f'<span class="l">{said}{text(line.note)}</span>'
    if line.before is not None:
        said += f'<del><span class="vh">before </span><code>{text(line.before)}</code></del>'
    if line.before is not None and line.after is not None:
        said += ' <span aria-hidden="true">&rarr;</span> '
    if line.after is not None:
        said += f'<ins><span class="vh">after </span><code>{text(line.after)}</code></ins>'
    return f'<span class="l">{said}</span>'


def counted(rows: Iterable[Row], which: str) -> Mapping[str, int]:
    """How many addresses have each kind or state, in the order of the rows."""
    found: dict[str, int] = {}
    for row in rows:
        key = row.kind if which == "kind" else row.state
        if key:
            found[key] = found.get(key, 0) + len(row.where)
    return found
