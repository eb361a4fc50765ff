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
from ssm_reconcile.renderers.view import OutcomeView, PlanView, ReplicationView, ReportView, RunView
from ssm_reconcile.wording import join, parse_time, plural, utc_text

_FILES = resources.files(__package__)
_PAGE, _STYLE, _SCRIPT = (
    _FILES.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "style.css", "script.js")
)
_NAMED = 5
"""Parameters that the note on dangerous changes names."""
_TARGETS = 3
"""Targets that a row names before it counts the others."""
_PATHS = 60
"""Paths that the filter offers."""
_Item = TypeVar("_Item", ChangeView, OutcomeView)


@dataclass(frozen=True, slots=True)
class _TableRow:
    """One row: the filter selects by `name`, `kind`, `state` and the labels of its `targets`."""

    name: str
    kind: str
    state: str
    targets: tuple[str, ...]
    markup: str


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
            _findings(view.findings),
            _counts_by_action(view),
            *_tables(view, _change_rows(view), _group_rows(view, view.groups)),
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
            *_tables(report, _outcome_rows(report), _group_rows(report, (*report.remaining, *report.groups))),
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
        plan=_text(view.short_id),
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
    facts = f'<p class="dim">Plan <code>{_text(view.plan_id)}</code>{made}.</p>'
    facts += "".join(_note("", str(notice)) for notice in view.notices_of("narrowed", "no-decrypt"))
    if apply_command and view.withheld < len(view.changes):
        command = _text(f"{apply_command} --expect-plan {view.short_id}")
        facts += f"<p>Apply exactly this: <code>{command}</code></p>"
    return facts


def _alerts(view: PlanView) -> Iterable[str]:
    """Yield the notes on dangerous changes and on changes that guards withhold."""
    if view.dangerous:
        names = join(list(dict.fromkeys(change.name for change in view.dangerous)), _NAMED)
        sentence = f"{join(view.danger_counts)} ({names}), first in the list below."
        outside = sum(change.changed_outside for change in view.dangerous)
        if outside:
            were = plural(outside, "of them was", "of them were")
            sentence += f" {were} last changed outside ssm-reconcile."
        yield _note("error", sentence)
    if view.withheld:
        number, guards = plural(view.withheld, "change"), ", ".join(sorted(view.guards))
        yield _note("warning", f"{number} withheld by a guard: {guards}. The other changes are not affected.")


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
    head = "".join(f'<th scope="col">{_text(title)}</th>' for title in titles)
    body = ""
    for target, row in zip(view.targets, numbers, strict=True):
        cells = ""
        for column, number in zip(columns, row, strict=True):
            is_bold = number and column in ("delete", "replace", "failed")
            cells += f"<td>{f'<b>{number:,}</b>' if is_bold else f'{number:,}'}</td>"
        frozen = " (frozen)" if target.frozen else ""
        body += f'<tr><th scope="row"><code>{_text(target.label)}</code>{frozen}</th>{cells}</tr>'
    return (
        f'<div class="scroll"><table class="sums"><caption class="vh">Counts by {view.place_word}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _tables(view: RunView, rows: Sequence[_TableRow], left: Sequence[_TableRow]) -> Iterable[str]:
    """Yield the filter and the tables of changes and of addresses left as they are."""
    if rows or left:
        yield '<span id="rows"></span>'
        yield _filters(view, [*rows, *left])
    if rows:
        yield "<h2>Changes</h2>"
        yield _table(rows, "changes", ("what", "name", "type", "where", "details"))
    if left:
        yield "<h2>Left as they are</h2>"
        yield _table(left, "addresses left as they are", ("what", "name", "where", "why"))


def _table(rows: Sequence[_TableRow], what: str, columns: Sequence[str]) -> str:
    """Return the rows, a caption that counts them, and a sentence for when none matches the filter."""
    head = "".join(
        f'<th role="columnheader" scope="col" class="c-{column}">{column.capitalize()}</th>'
        for column in columns
    )
    total = sum(len(row.targets) for row in rows)
    caption = f"{total:,} {what}"
    if len(rows) != total:
        caption += f" in {plural(len(rows), 'row')}: targets with equal details share a row"
    left = "" if "type" in columns else " left"
    body = "\n".join(row.markup for row in rows)
    return (
        f'<div><table role="table" class="rows{left}" data-what="{what}"><caption>{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">\n{body}\n</tbody></table>'
        '<p class="empty dim" hidden>No row matches the filter.</p></div>'
    )


def _filters(view: RunView, rows: Sequence[_TableRow]) -> str:
    """Return the controls of the filter; the script makes them visible."""
    kinds, states = _counted((r.kind, r) for r in rows), _counted((r.state, r) for r in rows)
    targets = {str(number): target.label for number, target in enumerate(view.targets)}
    paths = [path.path for path in path_patterns((row.name for row in rows), _PATHS) if path.path != "/"]
    options = "".join(f'<option value="{_text(path)}/"></option>' for path in paths)
    selects = _select("target", view.place_word.capitalize(), targets, f"all {view.place_word}s")
    selects += _select("kind", "What", kinds, "everything")
    selects += _select("state", "State", states, "any") if len(states) > 1 else ""
    return (
        f'<form id="filters" role="search" aria-label="Filter the list" hidden>{selects}'
        '<label>Path <input name="path" list="paths" placeholder="/prod/ or /prod/**/url" autocomplete="off"'
        ' spellcheck="false"></label>'
        f'<datalist id="paths">{options}</datalist>'
        '<label>Text <input name="text" type="search" placeholder="in names, values, reasons"'
        ' autocomplete="off" spellcheck="false"></label>'
        '<button type="reset">Show all</button>'
        '<p id="count" role="status" aria-live="polite"></p></form>'
        '<p id="off" class="dim">Scripts are off: the filter is not available, and all rows are shown.</p>'
    )


def _counted(rows: Iterable[tuple[str, _TableRow]]) -> dict[str, str]:
    """Return each word with the number of its addresses, in the order of the rows."""
    found: dict[str, int] = {}
    for word, row in rows:
        if word:
            found[word] = found.get(word, 0) + len(row.targets)
    return {word: f"{word} ({number:,})" for word, number in found.items()}


def _select(name: str, label: str, options: Mapping[str, str], everything: str) -> str:
    choices = "".join(f'<option value="{_text(v)}">{_text(shown)}</option>' for v, shown in options.items())
    first = f'<option value="">{everything}</option>'
    return f'<label>{label} <select name="{name}">{first}{choices}</select></label>'


def _text(raw: str) -> str:
    """Return any text as HTML without markup, for an element or an attribute."""
    return html.escape(raw, quote=True)


def _change_rows(view: PlanView) -> list[_TableRow]:
    """Return the rows of a plan's changes, in the order of the view."""
    rows = []
    for change, targets in _merged(view.changes):
        tag = ' <span class="tag">withheld</span>' if change.withheld else ""
        details = "".join(map(_attribute, change.lines)) + "".join(map(_remark, change.remarks))
        state = "withheld" if change.withheld else "to apply"
        cells = (_action(change.action) + tag, _text(change.kind), details)
        rows.append(_row(view, change.name, change.action, state, targets, cells))
    return rows


def _outcome_rows(report: ReportView) -> list[_TableRow]:
    """Return the rows of a report's outcomes; changes that were not applied come first."""
    rows = []
    for outcome, targets in sorted(_merged(report.outcomes), key=lambda item: item[0].result == "applied"):
        state = outcome.result.replace("_", " ")
        details = f'<span class="tag {_text(outcome.result)}">{_text(state)}</span>'
        details += "".join(map(_remark, filter(None, (outcome.error, outcome.note))))
        cells = (_action(outcome.action), _text(outcome.kind), details)
        rows.append(_row(report, outcome.name, outcome.action, state, targets, cells))
    return rows


def _group_rows(view: RunView, groups: Iterable[AddressGroup]) -> list[_TableRow]:
    """Return the rows of addresses that are left as they are, by kind. Skipped ones are only counted."""
    words = {**{key: kind.one for key, kind in KINDS.items()}, "remaining": "remaining"}
    rows = []
    for key, word in words.items():
        for group in (group for group in groups if group.kind == key):
            reason = f'<span class="l">{_text(group.reason) or "no reason stated"}</span>'
            cells = (f'<span class="a">{word}</span>', None, reason)
            rows += [_row(view, name, word, "", targets, cells) for name, targets in group.names.items()]
    return rows


def _merged(items: Iterable[_Item]) -> list[tuple[_Item, tuple[str, ...]]]:
    """Return the items that differ in more than their target, each with its targets."""
    found: dict[_Item, list[str]] = {}
    for item in items:
        found.setdefault(replace(item, target=""), []).append(item.target)
    return [(item, tuple(targets)) for item, targets in found.items()]


def _row(
    view: RunView,
    name: str,
    kind: str,
    state: str,
    targets: Sequence[str],
    cells: tuple[str, str | None, str],
) -> _TableRow:
    """Return a row. `cells`: HTML of its first cell, its type (None: no such column) and its last cell."""
    numbers = {target.label: number for number, target in enumerate(view.targets)}
    where = join([f"<code>{_text(label)}</code>" for label in targets], _TARGETS)
    if len(targets) > 1 and len(targets) == len(numbers):
        where = f"all {len(targets)} {view.place_word}s"
    first, type_, last = cells
    middle = "" if type_ is None else f'<td role="cell">{type_}</td>'
    markup = (
        f'<tr role="row" data-k="{_text(kind)}"{f" data-s={chr(34)}{_text(state)}{chr(34)}" if state else ""}'
        f' data-t="{" ".join(str(numbers.get(label, -1)) for label in targets)}">'
        f'<td role="cell">{first}</td><th role="rowheader" scope="row"><code>{_text(name)}</code></th>'
        f'{middle}<td role="cell">{where}</td><td role="cell">{last}</td></tr>'
    )
    return _TableRow(name, kind, state, tuple(targets), markup)


def _action(action: str) -> str:
    # An action that this version does not know gets the colour of a replacement.
    return f'<span class="a {action if action in BY_DANGER else "replace"}">{_text(action)}</span>'


def _remark(remark: str) -> str:
    return f'<span class="r">{_text(remark)}</span>'


def _attribute(line: AttributeLine) -> str:
    """Return one attribute: both sides, or the note on it."""
    parts = f'<span class="k">{_text(line.label)}</span> {_text(line.note)}'
    if not line.note:
        if line.before is not None:
            parts += f'<del><span class="vh">before </span><code>{_text(line.before)}</code></del>'
        if line.before is not None and line.after is not None:
            parts += ' <span aria-hidden="true">&rarr;</span> '
        if line.after is not None:
            parts += f'<ins><span class="vh">after </span><code>{_text(line.after)}</code></ins>'
    return f'<span class="l">{parts}</span>'
