"""Rows -> the bar with the controls, and sections whose rows are in folds by path or by reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from string import Template

from ssm_reconcile.renderers.groups import path_patterns
from ssm_reconcile.renderers.html.rows import (
    DANGEROUS,
    LEFT,
    NOT_APPLIED,
    OTHER,
    SECTIONS,
    WITHHELD,
    TableRow,
    quote,
    style_of,
)
from ssm_reconcile.renderers.view import RunView
from ssm_reconcile.wording import join

_BAR = resources.files(__package__).joinpath("bar.html").read_text(encoding="utf-8")
_MANY = 500
"""Rows of a section of which a browser lays out only those on the screen."""
_COLUMNS = ("What", "Name", "Type", "Where", "Details")
_NAMED_TARGETS = 3
"""The most targets that are always named, and the most that are named as exceptions of all."""
_MOST_LABELS = 8
"""The most targets of a row that are shown outside of a fold."""
_PATHS = 60
"""Paths by which changes are grouped and which the filter offers."""
_FLAT = 40
"""Rows of a section that are shown without folds."""


def tables(view: RunView, rows: Sequence[TableRow]) -> Iterable[str]:
    """Yield the bar with the filter, and the sections with their tables."""
    if not rows:
        return
    paths = path_patterns((row.name for row in rows), _PATHS)
    numbers = {name: number for number, path in enumerate(paths) for name in path.names}
    sections: dict[str, list[tuple[TableRow, str]]] = {}
    order = list(SECTIONS)
    for number, row in enumerate(sorted(rows, key=lambda row: order.index(row.section))):
        markup = _row(view, row, f'data-n="{number}" data-p="{numbers[row.name]}"')
        sections.setdefault(row.section, []).append((row, markup))
    yield _bar(view, rows, [path.path for path in paths])
    for title, members in sections.items():
        shown = "Changes" if title == OTHER and title == next(iter(sections)) else title
        groups: dict[str, list[tuple[TableRow, str]]] = {}
        by_path = len(members) > _FLAT and title not in (WITHHELD, NOT_APPLIED, LEFT)
        for row, markup in members:
            label = paths[numbers[row.name]].path if by_path else row.label
            groups.setdefault(label, []).append((row, markup))
        is_open = title in (DANGEROUS, NOT_APPLIED) or len(members) <= _FLAT
        body = "".join(
            _group(title, label, inside, is_open=is_open, is_path=by_path) for label, inside in groups.items()
        )
        total, slug = sum(len(row.targets) for row, _ in members), shown.lower().replace(" ", "-")
        style = "rows many" if len(members) > _MANY else "rows"
        yield (
            f'<section class="{style}" data-what="{SECTIONS[title]}" aria-labelledby="{slug}">'
            f'<h2 id="{slug}">{shown} <span class="n">{total:,}</span></h2>{body}</section>'
        )
    yield '<p id="empty" class="dim" hidden>Nothing matches the filter.</p>'


def _group(
    title: str, label: str, rows: Sequence[tuple[TableRow, str]], *, is_open: bool, is_path: bool
) -> str:
    """Return the rows under one path or reason as a fold; without a label, it has no visible title."""
    heads = "".join(f'<th role="columnheader" scope="col">{column}</th>' for column in _COLUMNS)
    shown = f"<code>{quote(label)}</code>" if is_path else quote(label)
    counts = ""
    for word, number in _sizes((row.kind, row) for row, _ in rows).items():
        action = f" {quote(word)}" if title != LEFT else ""
        counts += f' <span class="a {style_of(word)}">{number:,}{action}</span>'
    style = "group path" if is_path else "group reason" if label else "group flat"
    return (
        f'<details class="{style}"{" open" if is_open or not label else ""}>'
        f'<summary><span class="label">{shown}</span><span class="counts">{counts}</span></summary>'
        f'<table role="table"><caption class="vh">{title} {quote(label)}</caption>'
        f'<thead role="rowgroup" class="vh"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">\n{chr(10).join(markup for _, markup in rows)}\n</tbody></table></details>'
    )


def _row(view: RunView, row: TableRow, keys: str) -> str:
    first, type_, last = row.cells
    numbers = {target.label: number for number, target in enumerate(view.targets)}
    return (
        f'<tr role="row" data-k="{quote(row.kind)}" data-s="{quote(row.state)}" {keys}'
        f' data-t="{" ".join(str(numbers.get(label, -1)) for label in row.targets)}">'
        f'<td role="cell">{first}</td><th role="rowheader" scope="row"><code>{quote(row.name)}</code></th>'
        f'<td role="cell">{type_}</td><td role="cell">{_where(view, row.targets)}</td>'
        f'<td role="cell">{last}</td></tr>'
    )


def _where(view: RunView, targets: Sequence[str]) -> str:
    """Return the targets of a row: each, or all but a few."""
    others = [target.label for target in view.targets if target.label not in targets]
    if len(targets) == 1 or (others and len(targets) <= _NAMED_TARGETS) or len(others) > _NAMED_TARGETS:
        return _labels(targets)
    but = " but " + join([f"<code>{quote(label)}</code>" for label in others]) if others else ""
    return f"all {len(view.targets)} {view.place_word}s{but}"


def _labels(targets: Sequence[str]) -> str:
    """Return labels of targets, each with its comma; of many, the last ones are in a fold."""
    if len(targets) == 1:
        return f"<code>{quote(targets[0])}</code>"
    last = len(targets) - 1
    items = [
        f'<span class="target"><code>{quote(label)}</code>{"," if number < last else ""}</span>'
        for number, label in enumerate(targets)
    ]
    if len(items) <= _MOST_LABELS:
        return " ".join(items)
    shown, others = items[:_MOST_LABELS], items[_MOST_LABELS:]
    fold = f"<details><summary>and {len(others)} more</summary>{' '.join(others)}</details>"
    return f"{' '.join(shown)} {fold}"


def _bar(view: RunView, rows: Sequence[TableRow], paths: Sequence[str]) -> str:
    """Return the bar that stays visible: counts, and the controls that the script makes visible."""
    kinds = _sizes((row.kind, row) for row in rows)
    states = _sizes((row.state, row) for row in rows if row.state)
    targets, place = {target.label: target.label for target in view.targets}, {"target": view.place_word}
    options = "".join(f'<option value="{quote(path)}"></option>' for path in paths)
    selects = _select("target", view.place_word.capitalize(), f"all {view.place_word}s", targets)
    selects += _select("kind", "What", "everything", {w: f"{w} ({n:,})" for w, n in kinds.items()})
    if len(states) > 1:
        selects += _select("state", "State", "any", {w: f"{w} ({n:,})" for w, n in states.items()})
    order = _select("sort", "Sort by", "danger", {"name": "name", **place, "action": "action"})
    order += _select("group", "Group by", "default", {"path": "path", **place, "none": "none"})
    columns = "".join(f"<span>{column}</span>" for column in _COLUMNS)
    return Template(_BAR).substitute(
        name=quote(join(view.scope, 3)), selects=selects, order=order, options=options, columns=columns
    )


def _sizes(rows: Iterable[tuple[str, TableRow]]) -> dict[str, int]:
    """Return each word with the number of its addresses, in the order of the rows."""
    found: dict[str, int] = {}
    for word, row in rows:
        found[word] = found.get(word, 0) + len(row.targets)
    return found


def _select(name: str, label: str, first: str, options: Mapping[str, str]) -> str:
    choices = "".join(f'<option value="{quote(v)}">{quote(shown)}</option>' for v, shown in options.items())
    return (
        f'<span class="field"><label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">'
        f'<option value="">{first}</option>{choices}</select></span>'
    )
