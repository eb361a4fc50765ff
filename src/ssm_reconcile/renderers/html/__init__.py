"""View -> one page of HTML that needs nothing else: no network, no server, no other files.

    page.html   the frame      style.css   light and dark, wide and narrow, paper
    bar.html    the controls   script.js   filter, order, groups, and their state in the URL

A Content-Security-Policy names the style and the script by their hashes and forbids everything else, so
nothing in a name or a value can load, run or be sent. Without scripts the page has all rows, in folds where
they are many; the script hides, moves and counts rows. Every text of a view goes through `quote`, so that
nothing in it is markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from string import Template

from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.renderers.groups import FindingView
from ssm_reconcile.renderers.html.rows import address_rows, change_rows, dropped_rows, outcome_rows, quote
from ssm_reconcile.renderers.html.tables import tables
from ssm_reconcile.renderers.outline import (
    ChangeGroup,
    GuardReason,
    apply_cost,
    apply_means,
    guard_reasons,
    guard_sentences,
    long_limit,
    outline_changes,
    run_flags,
)
from ssm_reconcile.renderers.view import PlanView, ReplicationView, ReportView, RunView
from ssm_reconcile.wording import join, parse_time, plural, utc_text

_FILES = resources.files(__package__)
_PAGE, _STYLE, _SCRIPT = (
    _FILES.joinpath(name).read_text(encoding="utf-8") for name in ("page.html", "style.css", "script.js")
)
_NAMED = 5
"""Parameters that the note on dangerous changes names."""
_LISTED = 10
"""Findings, reasons of guards or targets that are listed without a fold that hides them."""
_ZERO = '<td role="cell" class="zero">0</td>'


def plan_html(view: PlanView, *, apply_command: str = "") -> str:
    """Return a plan as a page. `apply_command` applies it, without `--expect-plan`; empty names none."""
    groups = outline_changes(view.merged, listed=None)
    return _page(
        view,
        f"SSM plan for {join(view.scope, 5)}: {view.headline()}",
        _sums(view),
        [
            *map(_replication, view.replications),
            _facts(view, "made"),
            _long_apply(view),
            _apply_command(view, apply_command),
            *_incomplete(view),
            *_alerts(view, groups),
            _findings([found for found in view.findings if found.code not in view.guards]),
            _counts_by_action(view),
            *tables(view, [*change_rows(groups), *dropped_rows(view), *address_rows(view.groups)]),
        ],
    )


def report_html(report: ReportView) -> str:
    """Return the outcomes of a plan as a page."""
    state = f"applied {report.applied_of_total}" if report.total else "nothing to do"
    title = f"SSM apply for {join(report.scope, 5)}: {state}{'' if report.complete else ', and INCOMPLETE'}"
    rest = ", ".join(filter(None, [*report.unapplied_counts, report.unmet]))
    return _page(
        report,
        title,
        quote(f"{rest}." if rest else ""),
        [
            *map(_replication, report.replications),
            *(_note("warning", str(notice)) for notice in report.notices_of("interrupted")),
            _facts(report, "reported"),
            *_incomplete(report),
            *_withheld(report),
            _findings(report.other_findings),
            _counts_by_result(report),
            *tables(report, [*outcome_rows(report), *address_rows((*report.remaining, *report.groups))]),
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
        title=quote(title),
        style=_STYLE,
        lead=lead,
        body="\n".join(filter(None, body)),
        plan=quote(view.plan_id),
        script=_SCRIPT,
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _note(kind: str, sentence: str, start: str = "") -> str:
    """Return a sentence in a box; `kind` is `error`, `warning` or empty, `start` is bold."""
    bold = f"<strong>{quote(start)}</strong> " if start else ""
    return f'<div class="note {kind}"><p>{bold}{quote(sentence)}</p></div>'


def _sums(view: PlanView) -> str:
    actions = view.action_counts
    return f"{f'<strong>{quote(actions)}.</strong> ' if actions else ''}{quote(view.other_counts())}."


def _replication(replication: ReplicationView) -> str:
    targets = join([f"<code>{quote(target)}</code>" for target in replication.targets], 8) or "no target"
    selected = f": {plural(replication.selected, 'parameter')} selected" if replication.selected else ""
    source = f"<code>{quote(replication.source)}</code>"
    return f"<p>{quote(replication.name)}: {source} to {targets}{selected}.</p>"


def _facts(view: PlanView | ReportView, verb: str) -> str:
    """Return the plan id, the time after `verb`, and the notices on how the plan was made."""
    created = parse_time(view.created)
    made = f", {verb} {utc_text(created)}" if created else ""
    facts = f'<p class="dim">Plan <code>{quote(view.short_id)}</code>{made}.</p>'
    return facts + "".join(
        _note("", str(notice)) for notice in view.notices_of("undo", "narrowed", "no-decrypt")
    )


def _incomplete(view: RunView) -> list[str]:
    return [_note("error", str(notice)) for notice in view.notices_of("incomplete")]


def _long_apply(view: PlanView) -> str:
    """Return the cost of an apply of more than a minute, and the means against it; empty for others."""
    if view.budget is None or long_limit(view.budget) is None:
        return ""
    cost = apply_cost(view.budget, _code).removeprefix("apply")
    return f"<p>Apply{cost}. {' '.join(apply_means(view.budget, _code, _code))}</p>"


def _code(text: str) -> str:
    return f"<code>{quote(visible(text))}</code>"


def _apply_command(view: PlanView, command: str) -> str:
    """Return the command that applies the plan, if there is one and something to apply."""
    if not command or not view.has_writes:
        return ""
    return f"<p>Apply exactly this: <code>{quote(f'{command} --expect-plan {view.short_id}')}</code></p>"


def _alerts(view: PlanView, groups: Sequence[ChangeGroup]) -> Iterable[str]:
    """Yield the notes on dangerous changes, and on withheld changes with the flags that let them through."""
    dangerous = [one for group in groups if group.kind.is_dangerous for one in group.changes]
    members = [member for one in dangerous for member in one.members]
    if dangerous:
        sizes: Counter[str] = Counter()
        for group in groups:
            sizes[group.kind.word] += group.size if group.kind.is_dangerous else 0
        counts = join([f"{size:,} {word}" for word, size in sizes.items() if size])
        sentence = f"{join(list(dict.fromkeys(one.change.name for one in dangerous)), _NAMED)}."
        held = sum(member.withheld for member in members)
        sentence += f" {held:,} of them WITHHELD." if held else ""
        if outside := sum(member.changed_outside for member in members):
            were = plural(outside, "of them was", "of them were")
            sentence += f" {were} last changed outside ssm-reconcile."
        yield _note("error", sentence, f"DANGER: {counts}:")
    if view.withheld:
        title = f"{view.withheld:,} of {plural(len(view.changes), 'change')} WITHHELD."
        yield _guards(title, guard_reasons(view.changes, view.findings))


def _withheld(report: ReportView) -> Iterable[str]:
    """Yield the note on the guards that withheld changes, if the report has their findings."""
    guards: dict[str, list[FindingView]] = {}
    for finding in report.guard_findings(report.unapplied_groups):
        guards.setdefault(finding.code, []).append(finding)
    if guards:
        title = f"{report.summary.get('withheld', 0):,} of {plural(report.total, 'change')} WITHHELD."
        yield _guards(title, [GuardReason(code, 0, tuple(found), ()) for code, found in guards.items()])


def _guards(title: str, guards: Iterable[GuardReason]) -> str:
    """Return the note on guards: the reasons of each, then its flags; no sentence and no flag twice."""
    items = ""
    for guard in guards:
        texts = [quote(text) for text in filter(None, guard_sentences(guard))]
        lift = join([f"<code>{quote(flag)}</code>" for flag in run_flags(guard.findings)])
        lift = f"If meant: {lift}" if lift else ""
        if len(texts) == 1:
            items += f"<li>{quote(guard.guard)}: {'. '.join(filter(None, [*texts, lift]))}</li>"
        else:
            listed = "".join(f"<li>{text}</li>" for text in texts)
            items += f"<li>{quote(guard.guard)}: {lift}<ul>{listed}</ul></li>"
    body = _fold(title, f"<ul>{items}</ul>", is_open=items.count("<li>") <= _LISTED)
    return f'<section class="note withheld">{body}</section>'


def _findings(findings: Sequence[FindingView]) -> str:
    if not findings:
        return ""
    items = "".join(
        f"<li><strong>{quote(finding.severity)}</strong> {quote(finding.message)}"
        f' <span class="dim">[{quote(finding.code)}]'
        f"{' ' + quote(join(finding.where, 3)) if finding.where else ''}</span></li>"
        for finding in findings
    )
    kind = "error" if any(finding.severity == "error" for finding in findings) else ""
    body = _fold(plural(len(findings), "finding"), f"<ul>{items}</ul>", is_open=len(findings) <= _LISTED)
    return f'<section class="note {kind}">{body}</section>'


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
    head = "".join(f'<th role="columnheader" scope="col">{quote(title)}</th>' for title in titles)
    body = ""
    for target, row in zip(view.targets, numbers, strict=True):
        cells = ""
        for column, number in zip(columns, row, strict=True):
            word = quote(column.replace("_", " "))
            shown = f"<b>{number:,}</b>" if column in ("delete", "replace", "failed") else f"{number:,}"
            cells += f'<td role="cell" data-w="{word}">{shown}</td>' if number else _ZERO
        notes = " (INCOMPLETE)" * (not target.complete) + " (frozen)" * target.frozen
        label = f'<th role="rowheader" scope="row"><code>{quote(target.label)}</code>{notes}</th>'
        body += f'<tr role="row">{label}{cells}</tr>'
    table = (
        f'<table role="table" class="sums"><caption class="vh">Counts by {view.place_word}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )
    is_open = len(view.targets) <= _LISTED
    return _fold(f"Counts of {plural(len(view.targets), view.place_word)}", table, is_open=is_open)


def _fold(title: str, body: str, *, is_open: bool) -> str:
    return f"<details{' open' if is_open else ''}><summary>{title}</summary>{body}</details>"
