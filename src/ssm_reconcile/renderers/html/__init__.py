"""View -> one page of HTML that needs nothing else: no network, no server, no scripts from elsewhere.

    rows   the tables' rows      parts   frame, tables, filter      style, script   all that may act in it

A Content-Security-Policy names the one style and the one script by their hashes and forbids all else,
so whatever a name or a value holds, nothing of it can load, run or be sent. Without scripts the page
is whole; the script only hides rows that a filter does not ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.grouping import FindingView
from ssm_reconcile.renderers.html.parts import filters, note, page, sums_table, table
from ssm_reconcile.renderers.html.rows import Places, Row, change_rows, group_rows, outcome_rows, text
from ssm_reconcile.renderers.outcomes import ReportView
from ssm_reconcile.renderers.view import Route, TargetView, View

DANGERS_NAMED = 5
"""Up to so many parameters are named in the note about dangerous changes."""


def plan_html(view: View, *, apply_command: str = "") -> str:
    """A plan as a page. `apply_command` is what would apply it, without `--expect-plan`."""
    places = _places(view.targets, view.place_word)
    changes, left = change_rows(view.changes, places), group_rows(view.groups, places)
    scope = words.listed(view.scope, 5)
    where = words.count(len({change.target for change in view.changes}), view.place_word)
    number = f"{words.count(view.changed, 'change')} in {where}" if view.changed else "nothing to do"
    title = f"SSM plan for {scope}: {number}{'' if view.complete else ', and INCOMPLETE'}"
    body = [
        *_head(title, _sums(view.summary)),
        *[_route(route) for route in view.routes],
        _facts(view, apply_command),
        *_incomplete(view.routes, view.targets),
        *_alerts(view),
        _findings(view.findings),
        _plan_table(view),
        *_tables(changes, left, places, "changes"),
        _foot(view.short_id),
    ]
    return page(title, body)


def report_html(report: ReportView) -> str:
    """What became of a plan, as a page."""
    places = _places(report.targets, report.place_word)
    rows = outcome_rows(report.outcomes, places)
    left = group_rows((*report.remaining, *report.groups), places)
    total = sum(report.summary.values())
    done = f"applied {report.summary.get('applied', 0):,} of {words.count(total, 'change')}"
    title = f"SSM apply for {words.listed(report.scope, 5)}: {done if total else 'nothing to do'}"
    body = [
        *_head(title, text(report.sentence())),
        *[_route(route) for route in report.routes],
        note("warning", "Interrupted: the next run goes on where this one stopped.")
        if report.interrupted
        else "",
        *_incomplete(report.routes, report.targets),
        _findings(report.findings),
        _outcome_table(report),
        *_tables(rows, left, places, "changes"),
        _foot(report.short_id),
    ]
    return page(title, body)


def _places(targets: Sequence[TargetView], word: str) -> Places:
    return Places(tuple(target.label for target in targets), word)


def _head(title: str, sentence: str) -> list[str]:
    return [
        '<a class="skip" href="#rows">Skip to the list</a>',
        "<main>",
        f"<h1>{text(title)}</h1>",
        f'<p class="lead">{sentence}</p>',
    ]


def _sums(summary: Mapping[str, int]) -> str:
    rest = f"{summary.get('in_sync', 0):,} in sync"
    aside = words.aside(summary)
    todo = words.to_do(summary)
    said = f"<strong>{text(todo)}.</strong> " if todo else ""
    return f"{said}{text(rest + (', ' + aside if aside else ''))}."


def _route(route: Route) -> str:
    targets = words.listed([f"<code>{text(target)}</code>" for target in route.targets], 8) or "no target"
    selected = f": {route.selected:,} parameters selected" if route.selected else ""
    return f"<p>{text(route.name)}: <code>{text(route.source)}</code> to {targets}{selected}.</p>"


def _facts(view: View, apply_command: str) -> str:
    """The id, how the plan was made, and what would apply exactly it."""
    said = [f"Plan <code>{text(view.plan_id)}</code>"]
    said += [f"made {text(view.created[:19].replace('T', ' '))} UTC"] if view.created else []
    facts = f'<p class="dim">{", ".join(said)}.</p>'
    by = [f"--target {name}" for name in view.narrowed_targets] + [f"--only {g}" for g in view.narrowed_only]
    if by:
        facts += note("", f"Narrowed to {' '.join(by)}: nothing else was planned.")
    if view.mode == "no-decrypt":
        facts += note("", "Made without decryption: SecureString values were not compared.")
    open_changes = view.changed - view.summary.get("withheld", 0)
    if apply_command and open_changes > 0:
        command = text(f"{apply_command} --expect-plan {view.short_id}")
        facts += f"<p>Apply exactly this: <code>{command}</code></p>"
    return facts


def _incomplete(routes: Iterable[Route], targets: Iterable[TargetView]) -> list[str]:
    return [
        note("error", f"The source {route.source} was not listed to the end. No delete is planned.")
        for route in routes
        if not route.source_complete
    ] + [
        note("error", f"{target.label} was not listed to the end. Nothing is planned there.")
        for target in targets
        if not target.complete
    ]


def _alerts(view: View) -> list[str]:
    """What a reader must know first: what is deleted on the way, and what guards withhold."""
    found = []
    if view.danger:
        outside = sum(change.changed_outside for change in view.changes if change.is_danger)
        more = (
            f" {words.count(outside, 'of them was', 'of them were')} last changed outside this tool."
            if outside
            else ""
        )
        found.append(
            note(
                "error",
                f"{words.listed(view.dangers) or 'Something is deleted on the way'}"
                f" ({_danger_names(view)}). {'It comes' if view.danger == 1 else 'They come'} first"
                f" below.{more}",
            )
        )
    withheld = view.summary.get("withheld", 0)
    if withheld:
        by = ", ".join(sorted(view.guards))
        found.append(
            note(
                "warning",
                f"{words.count(withheld, 'change')} withheld by a guard: {by}. The rest is not affected.",
            )
        )
    return found


def _danger_names(view: View) -> str:
    """Return the names of the dangerous changes, the first few of them."""
    return words.listed(list(dict.fromkeys(c.name for c in view.changes if c.is_danger)), DANGERS_NAMED)


def _findings(every: Sequence[FindingView]) -> str:
    if not every:
        return ""
    items = "".join(
        f"<li><strong>{text(finding.severity)}</strong> {text(finding.message)}"
        f' <span class="dim">[{text(finding.code)}]'
        f"{' ' + text(words.listed(finding.where, 3)) if finding.where else ''}</span></li>"
        for finding in every
    )
    kind = "error" if any(finding.severity == "error" for finding in every) else ""
    title = f"<p><strong>{words.count(len(every), 'finding')}</strong></p>"
    return f'<section class="note {kind}">{title}<ul>{items}</ul></section>'


def _plan_table(view: View) -> str:
    """Counts by target; columns that are zero everywhere are left out, but for the usual four."""
    usual = ("create", "update", "replace", "delete")
    extra = [
        w for w in ("adopt", "retag", "conflict", "detached", "invalid", "withheld") if view.summary.get(w)
    ]
    columns = (*usual, *extra, "in_sync")
    rows = [(target, [target.summary.get(word, 0) for word in columns]) for target in view.targets]
    return sums_table(view.place_word, [word.replace("_", " ") for word in columns], rows, columns)


def _outcome_table(report: ReportView) -> str:
    results = sorted({o.result for o in report.outcomes}, key=lambda r: (r != "applied", r))
    rows = [
        (t, [sum(o.target == t.label and o.result == result for o in report.outcomes) for result in results])
        for t in report.targets
    ]
    return (
        sums_table(report.place_word, [r.replace("_", " ") for r in results], rows, results)
        if results
        else ""
    )


def _tables(rows: Sequence[Row], left: Sequence[Row], places: Places, what: str) -> list[str]:
    if not rows and not left:
        return ["</main>"]
    parts = ['<span id="rows"></span>', filters([*rows, *left], places)]
    if rows:
        parts += [
            f"<h2>{what.capitalize()}</h2>",
            table(rows, what, ("what", "name", "type", "where", "details")),
        ]
    if left:
        parts += [
            "<h2>Left as they are</h2>",
            table(left, "addresses left as they are", ("what", "name", "where", "why")),
        ]
    return [*parts, "</main>"]


def _foot(short_id: str) -> str:
    return (
        f"<footer><p>Plan <code>{text(short_id)}</code>. SecureString values are never shown, nor their"
        " length or hash. This page is one file, loads nothing and sends nothing.</p></footer>"
    )
