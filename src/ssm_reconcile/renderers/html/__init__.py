"""View -> one page of HTML that needs nothing else: no network, no server, no other files.

    page.html   the frame      style.css   light and dark, wide and narrow, paper      script.js   the filter

A Content-Security-Policy names the style and the script by their hashes and forbids everything else, so
nothing in a name or a value can load, run or be sent. Without scripts the page shows all rows; the script
only hides rows that do not match the filter. Every text of a view goes through `_text`, so that nothing in
it is markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from string import Template
from typing import TypeVar

from ssm_reconcile.renderers.changes import BY_DANGER, AttributeLine, ChangeView
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, path_patterns
from ssm_reconcile.renderers.outcomes import OutcomeView
from ssm_reconcile.renderers.view import PlanView, ReplicationView, ReportView, RunView
from ssm_reconcile.wording import join, parse_time, plural, utc_text

_FILES = resources.files(__package__)
_PAGE, _BAR, _STYLE, _SCRIPT = (
    _FILES.joinpath(name).read_text(encoding="utf-8")
    for name in ("page.html", "bar.html", "style.css", "script.js")
)
_NAMED = 5
"""Parameters that the note on dangerous changes names."""
_NAMED_TARGETS = 3
"""The most targets that are always named, and the most that are named as exceptions of all."""
_PATHS = 60
"""Paths by which changes are grouped and which the filter offers."""
_FLAT = 40
"""Rows of a section that are shown without folds."""
_COLUMNS = ("What", "Name", "Type", "Where", "Details")
_DANGEROUS, _WITHHELD, _OTHER = "Dangerous changes", "Withheld changes", "Other changes"
_NOT_APPLIED, _APPLIED, _LEFT = "Not applied", "Applied", "Left as they are"
_SECTIONS = (_DANGEROUS, _WITHHELD, _OTHER, _NOT_APPLIED, _APPLIED, _LEFT)
"""The titles of the sections in their order."""
_LEFT_KINDS = frozenset([*(kind.one for kind in KINDS.values()), "remaining"])
_ZERO = '<td role="cell" class="zero">0</td>'
_Item = TypeVar("_Item", ChangeView, OutcomeView)


@dataclass(frozen=True, slots=True)
class _TableRow:
    """One row of a section. The filter selects by name, kind, state and targets.

    `cells`: HTML of its first cell, its type and its details. `reason`: the fold of an address without a
    change; empty for changes, which are grouped by path.
    """

    section: str
    name: str
    kind: str
    state: str
    targets: tuple[str, ...]
    cells: tuple[str, str, str]
    reason: str = ""


def plan_html(view: PlanView, *, apply_command: str = "") -> str:
    """Return a plan as a page. `apply_command` applies it, without `--expect-plan`; empty names none."""
    return _page(
        view,
        f"SSM plan for {join(view.scope, 5)}: {view.headline()}",
        _sums(view),
        [
            *map(_replication, view.replications),
            _facts(view, apply_command),
            *(_note("error", str(notice)) for notice in view.notices_of("incomplete")),
            *_alerts(view),
            _findings([found for found in view.findings if found.code not in view.guards]),
            _counts_by_action(view),
            *_tables(view, [*_change_rows(view), *_group_rows(view.groups)]),
        ],
    )


def report_html(report: ReportView) -> str:
    """Return the outcomes of a plan as a page."""
    applied = f"applied {report.applied_of_total}" if report.total else "nothing to do"
    title = f"SSM apply for {join(report.scope, 5)}: {applied}"
    return _page(
        report,
        title,
        _text(report.sentence()),
        [
            *map(_replication, report.replications),
            *(_note("warning", str(notice)) for notice in report.notices_of("interrupted")),
            *(_note("error", str(notice)) for notice in report.notices_of("incomplete")),
            _findings(report.findings),
            _counts_by_result(report),
            *_tables(report, [*_outcome_rows(report), *_group_rows((*report.remaining, *report.groups))]),
        ],
    )


def _page(view: RunView, title: str, lead: str, body: Iterable[str]) -> str:
    """Return the document. `lead` and `body` are HTML."""
    policy = (
        f"default-src 'none'; script-src {_hash(_SCRIPT)}; style-src {_hash(_STYLE)}; base-uri 'none';"
        " form-action 'none'"
    )
    return Template(_PAGE).substitute(
        policy=policy,
        title=_text(title),
        style=_STYLE,
        lead=lead,
        body="\n".join(filter(None, body)),
        plan=_text(view.plan_id),
        script=_SCRIPT,
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _note(kind: str, sentence: str) -> str:
    """Return a sentence in a box; `kind` is `error`, `warning` or empty."""
    return f'<div class="note {kind}"><p>{_text(sentence)}</p></div>'


def _sums(view: PlanView) -> str:
    actions = view.action_counts
    return f"{f'<strong>{_text(actions)}.</strong> ' if actions else ''}{_text(view.other_counts())}."


def _replication(replication: ReplicationView) -> str:
    targets = join([f"<code>{_text(target)}</code>" for target in replication.targets], 8) or "no target"
    selected = f": {replication.selected:,} parameters selected" if replication.selected else ""
    source = f"<code>{_text(replication.source)}</code>"
    return f"<p>{_text(replication.name)}: {source} to {targets}{selected}.</p>"


def _facts(view: PlanView, apply_command: str) -> str:
    """Return the plan id, the notices on how the plan was made, and the command that applies it."""
    created = parse_time(view.created)
    made = f", made {utc_text(created)}" if created else ""
    facts = f'<p class="dim">Plan <code>{_text(view.short_id)}</code>{made}.</p>'
    facts += "".join(_note("", str(notice)) for notice in view.notices_of("narrowed", "no-decrypt"))
    if apply_command and view.withheld < len(view.changes):
        command = _text(f"{apply_command} --expect-plan {view.short_id}")
        facts += f"<p>Apply exactly this: <code>{command}</code></p>"
    return facts


def _alerts(view: PlanView) -> Iterable[str]:
    """Yield the notes on dangerous changes, and on withheld changes with the flags that let them through."""
    if view.dangerous:
        names = join(list(dict.fromkeys(change.name for change in view.dangerous)), _NAMED)
        sentence = f"{join(view.danger_counts)} ({names})."
        held = sum(change.withheld for change in view.dangerous)
        sentence += f" {held:,} of them WITHHELD." if held else ""
        outside = sum(change.changed_outside for change in view.dangerous)
        if outside:
            were = plural(outside, "of them was", "of them were")
            sentence += f" {were} last changed outside ssm-reconcile."
        yield _note("error", sentence)
    if view.withheld:
        items = [
            f"{_text(found.problem)}{f'. If meant: <code>{_text(found.flag)}</code>' if found.flag else ''}"
            for found in view.findings
            if found.code in view.guards
        ]
        unstated = sorted(view.guards - {found.code for found in view.findings})
        items += [f"Guard {_text(guard)}: the reason is at each change" for guard in unstated]
        title = f"{plural(view.withheld, 'change')} WITHHELD. The other changes are not affected."
        yield (
            f'<section class="note withheld"><p><strong>{title}</strong></p>'
            f"<ul>{''.join(f'<li>{item}.</li>' for item in items)}</ul></section>"
        )


def _findings(findings: Sequence[FindingView]) -> str:
    if not findings:
        return ""
    items = "".join(
        f"<li><strong>{_text(finding.severity)}</strong> {_text(finding.message)}"
        f' <span class="dim">[{_text(finding.code)}]'
        f"{' ' + _text(join(finding.where, 3)) if finding.where else ''}</span></li>"
        for finding in findings
    )
    kind = "error" if any(finding.severity == "error" for finding in findings) else ""
    title = f"<p><strong>{plural(len(findings), 'finding')}</strong></p>"
    return f'<section class="note {kind}">{title}<ul>{items}</ul></section>'


def _counts_by_action(view: PlanView) -> str:
    numbers = [[target.summary.get(word, 0) for word in view.columns] for target in view.targets]
    return _counts(view, view.columns, numbers)


def _counts_by_result(report: ReportView) -> str:
    results = sorted({o.result for o in report.outcomes}, key=lambda result: (result != "applied", result))
    numbers = [
        [sum(o.target == t.label and o.result == result for o in report.outcomes) for result in results]
        for t in report.targets
    ]
    return _counts(report, results, numbers) if results else ""


def _counts(view: RunView, columns: Sequence[str], numbers: Sequence[Sequence[int]]) -> str:
    """Return a table with one row of numbers for each target."""
    titles = (view.place_word, *(column.replace("_", " ") for column in columns))
    head = "".join(f'<th role="columnheader" scope="col">{_text(title)}</th>' for title in titles)
    body = ""
    for target, row in zip(view.targets, numbers, strict=True):
        cells = ""
        for column, number in zip(columns, row, strict=True):
            word = _text(column.replace("_", " "))
            shown = f"<b>{number:,}</b>" if column in ("delete", "replace", "failed") else f"{number:,}"
            cells += f'<td role="cell" data-w="{word}">{shown}</td>' if number else _ZERO
        frozen = " (frozen)" if target.frozen else ""
        label = f'<th role="rowheader" scope="row"><code>{_text(target.label)}</code>{frozen}</th>'
        body += f'<tr role="row">{label}{cells}</tr>'
    return (
        f'<table role="table" class="sums"><caption class="vh">Counts by {view.place_word}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def _tables(view: RunView, rows: Sequence[_TableRow]) -> Iterable[str]:
    """Yield the bar with the filter, and the sections with their tables."""
    if not rows:
        return
    paths = path_patterns((row.name for row in rows), _PATHS)
    numbers = {name: number for number, path in enumerate(paths) for name in path.names}
    sections: dict[str, list[tuple[_TableRow, str]]] = {}
    for number, row in enumerate(sorted(rows, key=lambda row: _SECTIONS.index(row.section))):
        markup = _row(view, row, f'data-n="{number}" data-p="{numbers[row.name]}"')
        sections.setdefault(row.section, []).append((row, markup))
    yield _bar(view, rows, [path.path for path in paths])
    for title, members in sections.items():
        groups: dict[str, list[tuple[_TableRow, str]]] = {}
        for row, markup in members:
            path = paths[numbers[row.name]].path if len(members) > _FLAT else ""
            groups.setdefault(row.reason or path, []).append((row, markup))
        what = "addresses left as they are" if title == _LEFT else "changes"
        is_open = title in (_DANGEROUS, _NOT_APPLIED) or len(members) <= _FLAT
        body = "".join(_group(title, label, inside, is_open=is_open) for label, inside in groups.items())
        total, slug = sum(len(row.targets) for row, _ in members), title.lower().replace(" ", "-")
        yield (
            f'<section class="rows" data-what="{what}" aria-labelledby="{slug}">'
            f'<h2 id="{slug}">{title} <span class="n">{total:,}</span></h2>{body}</section>'
        )
    yield '<p id="empty" class="dim" hidden>Nothing matches the filter.</p>'


def _group(title: str, label: str, rows: Sequence[tuple[_TableRow, str]], *, is_open: bool) -> str:
    """Return the rows under one path or reason as a fold; without a label, it has no visible title."""
    heads = "".join(f'<th role="columnheader" scope="col">{column}</th>' for column in _COLUMNS)
    shown = f"<code>{_text(label)}</code>" if label.startswith("/") else _text(label)
    counts = ""
    for word, number in _sizes((row.kind, row) for row, _ in rows).items():
        action = f" {_text(word)}" if title != _LEFT else ""
        counts += f' <span class="a {_style(word)}">{number:,}{action}</span>'
    return (
        f'<details class="{"group" if label else "group flat"}"{" open" if is_open or not label else ""}>'
        f'<summary><span class="label">{shown}</span><span class="counts">{counts}</span></summary>'
        f'<table role="table"><caption class="vh">{title} {_text(label)}</caption>'
        f'<thead role="rowgroup" class="vh"><tr role="row">{heads}</tr></thead>'
        f'<tbody role="rowgroup">\n{chr(10).join(markup for _, markup in rows)}\n</tbody></table></details>'
    )


def _row(view: RunView, row: _TableRow, keys: str) -> str:
    first, type_, last = row.cells
    numbers = {target.label: number for number, target in enumerate(view.targets)}
    return (
        f'<tr role="row" data-k="{_text(row.kind)}" data-s="{_text(row.state)}" {keys}'
        f' data-t="{" ".join(str(numbers.get(label, -1)) for label in row.targets)}">'
        f'<td role="cell">{first}</td><th role="rowheader" scope="row"><code>{_text(row.name)}</code></th>'
        f'<td role="cell">{type_}</td><td role="cell">{_where(view, row.targets)}</td>'
        f'<td role="cell">{last}</td></tr>'
    )


def _where(view: RunView, targets: Sequence[str]) -> str:
    """Return the targets of a row: each, or all but a few."""
    others = [target.label for target in view.targets if target.label not in targets]
    if len(targets) == 1 or (others and len(targets) <= _NAMED_TARGETS) or len(others) > _NAMED_TARGETS:
        return ", ".join(f"<code>{_text(label)}</code>" for label in targets)
    but = " but " + join([f"<code>{_text(label)}</code>" for label in others]) if others else ""
    return f"all {len(view.targets)} {view.place_word}s{but}"


def _bar(view: RunView, rows: Sequence[_TableRow], paths: Sequence[str]) -> str:
    """Return the bar that stays visible: counts, and the controls that the script makes visible."""
    kinds = _sizes((row.kind, row) for row in rows)
    states = _sizes((row.state, row) for row in rows if row.state)
    targets, place = {target.label: target.label for target in view.targets}, {"target": view.place_word}
    options = "".join(f'<option value="{_text(path)}"></option>' for path in paths)
    selects = _select("target", view.place_word.capitalize(), f"all {view.place_word}s", targets)
    selects += _select("kind", "What", "everything", {w: f"{w} ({n:,})" for w, n in kinds.items()})
    if len(states) > 1:
        selects += _select("state", "State", "any", {w: f"{w} ({n:,})" for w, n in states.items()})
    order = _select("sort", "Sort by", "danger", {"name": "name", **place, "action": "action"})
    order += _select("group", "Group by", "default", {"path": "path", **place, "none": "none"})
    columns = "".join(f"<span>{column}</span>" for column in _COLUMNS)
    return Template(_BAR).substitute(
        name=_text(join(view.scope, 3)), selects=selects, order=order, options=options, columns=columns
    )


def _sizes(rows: Iterable[tuple[str, _TableRow]]) -> dict[str, int]:
    """Return each word with the number of its addresses, in the order of the rows."""
    found: dict[str, int] = {}
    for word, row in rows:
        found[word] = found.get(word, 0) + len(row.targets)
    return found


def _select(name: str, label: str, first: str, options: Mapping[str, str]) -> str:
    choices = "".join(f'<option value="{_text(v)}">{_text(shown)}</option>' for v, shown in options.items())
    return (
        f'<span class="field"><label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">'
        f'<option value="">{first}</option>{choices}</select></span>'
    )


def _text(raw: str) -> str:
    """Return any text as HTML without markup, for an element or an attribute."""
    return html.escape(raw, quote=True)


def _change_rows(view: PlanView) -> list[_TableRow]:
    """Return the rows of a plan's changes, in the order of the view."""
    rows = []
    for change, targets in _merged(view.changes):
        tags = (
            ("withheld", "WITHHELD", change.withheld),
            ("expose", "becomes plain text", change.exposes),
            ("release", "releases ownership", change.releases),
            ("", "already pending", change.pending),
        )
        first = _action(change.action) + "".join(_tag(style, word) for style, word, is_set in tags if is_set)
        details = _attributes(change) + "".join(map(_remark, change.remarks))
        state = "withheld" if change.withheld else "to apply"
        section = _DANGEROUS if change.is_dangerous or change.releases else _OTHER
        section = _WITHHELD if change.withheld else section
        cells = (first, _text(change.kind), details)
        rows.append(_TableRow(section, change.name, change.action, state, targets, cells))
    return rows


def _outcome_rows(report: ReportView) -> list[_TableRow]:
    """Return the rows of a report's outcomes."""
    rows = []
    for outcome, targets in _merged(report.outcomes):
        state = outcome.result.replace("_", " ")
        details = "".join(map(_remark, filter(None, (outcome.error, outcome.note))))
        tag = _tag(outcome.result, state) if outcome.result != "applied" else ""
        cells = (_action(outcome.action) + tag, _text(outcome.kind), details)
        section = _APPLIED if outcome.result == "applied" else _NOT_APPLIED
        rows.append(_TableRow(section, outcome.name, outcome.action, state, targets, cells))
    return rows


def _group_rows(groups: Iterable[AddressGroup]) -> list[_TableRow]:
    """Return the rows of addresses that are left as they are, by kind. Skipped ones are only counted."""
    words = {**{key: kind.one for key, kind in KINDS.items()}, "remaining": "remaining"}
    return [
        _TableRow(
            _LEFT,
            name,
            word,
            "",
            targets,
            (_action(word), "", ""),
            f"{word}: {group.reason or 'no reason stated'}",
        )
        for key, word in words.items()
        for group in groups
        if group.kind == key
        for name, targets in group.names.items()
    ]


def _merged(items: Iterable[_Item]) -> list[tuple[_Item, tuple[str, ...]]]:
    """Return the items that differ in more than their target, each with its targets."""
    found: dict[_Item, list[str]] = {}
    for item in items:
        found.setdefault(replace(item, target=""), []).append(item.target)
    return [(item, tuple(targets)) for item, targets in found.items()]


def _style(word: str) -> str:
    """Return the class of a kind. An action that this version does not know looks like a replacement."""
    return word if word in BY_DANGER else "left" if word in _LEFT_KINDS else "replace"


def _action(action: str) -> str:
    return f'<span class="a {_style(action)}">{_text(action)}</span>'


def _tag(style: str, word: str) -> str:
    return f' <span class="tag {_text(style)}">{_text(word)}</span>'


def _remark(remark: str) -> str:
    return f'<span class="r">{_text(remark)}</span>'


def _attributes(change: ChangeView) -> str:
    """Return the lines of a change; an attribute with several lines is named once."""
    labels = ["", *(line.label for line in change.lines)]
    return "".join(
        _attribute(line, "k again" if line.label == previous else "k", is_new=change.is_new)
        for line, previous in zip(change.lines, labels, strict=False)
    )


def _attribute(line: AttributeLine, style: str, *, is_new: bool) -> str:
    """Return one line on an attribute: both sides, an unchanged part, or the note on it."""
    parts = f'<span class="{style}">{_text(line.label)} </span>'
    parts += f'<span class="part">{_text(line.key)} </span>' if line.key else ""
    if line.note:
        return f'<span class="l note-only">{parts}{_text(line.note)}</span>'
    if line.is_context:
        return f'<span class="l context">{parts}<code>{_text(line.after or line.before or "")}</code></span>'
    if line.before is not None:
        word = " removed" if line.after is None else ""
        parts += (
            f'<span><del><span class="vh">before </span><code>{_text(line.before)}</code></del>{word} </span>'
        )
    if line.after is not None:
        word = " added" if line.before is None and not is_new else ""
        arrow = "" if line.before is None else '<span aria-hidden="true">&rarr; </span>'
        after = f'<ins><span class="vh">after </span><code>{_text(line.after)}</code></ins>'
        parts += f"<span>{arrow}{after}{word}</span>"
    return f'<span class="l">{parts}</span>'
