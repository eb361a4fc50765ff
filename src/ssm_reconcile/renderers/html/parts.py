"""The parts that every page has: the frame with its policy, notes, tables, the controls of the filter."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.fold import fold
from ssm_reconcile.renderers.html.rows import Places, Row, counted, text
from ssm_reconcile.renderers.html.script import SCRIPT
from ssm_reconcile.renderers.html.style import STYLE
from ssm_reconcile.renderers.view import TargetView

PATHS = 60
"""How many paths the path filter offers."""


def page(title: str, body: Iterable[str]) -> str:
    """The whole document: a title, the body, and a policy that lets only our style and script act."""
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(SCRIPT)}",
            f"style-src {_hash(STYLE)}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            *filter(None, body),
            f"<script>{SCRIPT}</script>",
            "</body>",
            "</html>\n",
        ]
    )


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def note(kind: str, sentence: str) -> str:
    """A sentence in a box; `kind` is `error`, `warning` or nothing."""
    return f'<div class="note {kind}"><p>{text(sentence)}</p></div>'


def sums_table(
    word: str, heads: Sequence[str], rows: Sequence[tuple[TargetView, list[int]]], columns: Sequence[str]
) -> str:
    """Numbers by target."""
    bold = {"delete", "replace", "failed"}
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in (word, *heads))
    lines = []
    for target, numbers in rows:
        cells = "".join(
            f"<td>{f'<b>{n:,}</b>' if n and column in bold else f'{n:,}'}</td>"
            for column, n in zip(columns, numbers, strict=True)
        )
        frozen = " (frozen)" if target.frozen else ""
        lines.append(f'<tr><th scope="row"><code>{text(target.label)}</code>{frozen}</th>{cells}</tr>')
    body = "".join(lines)
    return (
        f'<div class="scroll"><table class="sums"><caption class="vh">Counts by {word}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


_HEADS = {
    "what": "What",
    "name": "Name",
    "type": "Type",
    "where": "Where",
    "details": "Details",
    "why": "Why",
}


def table(rows: Sequence[Row], what: str, columns: Sequence[str]) -> str:
    """The rows in a table with a caption that counts them, and a sentence for when none fits the filter."""
    head = "".join(
        f'<th role="columnheader" scope="col" class="c-{column}">{_HEADS[column]}</th>' for column in columns
    )
    total = sum(len(row.where) for row in rows)
    caption = f"{total:,} {what}"
    if len(rows) != total:
        caption += f" in {words.count(len(rows), 'row')}: what is the same in several places is one row"
    left = "" if "type" in columns else " left"
    body = "\n".join(row.markup for row in rows)
    return (
        f'<div><table role="table" class="rows{left}" data-what="{what}"><caption>{caption}</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">\n{body}\n</tbody></table>'
        '<p class="empty dim" hidden>Nothing here fits the filter.</p></div>'
    )


def filters(rows: Sequence[Row], places: Places) -> str:
    """The controls; hidden until the script is there to serve them."""
    kinds, states = counted(rows, "kind"), counted(rows, "state")
    where = {str(number): label for number, label in enumerate(places.labels)}
    paths = [path.path for path in fold((row.name for row in rows), PATHS) if path.path != "/"]
    options = "".join(f'<option value="{text(path)}/"></option>' for path in paths)
    target = _select("target", places.word.capitalize(), where, f"all {places.word}s")
    kind = _select("kind", "What", {k: f"{k} ({n:,})" for k, n in kinds.items()}, "everything")
    state = (
        _select("state", "State", {s: f"{s} ({n:,})" for s, n in states.items()}, "any")
        if len(states) > 1
        else ""
    )
    return (
        '<form id="filters" role="search" aria-label="Filter the list" hidden>'
        f"{target}{kind}{state}"
        '<label>Path <input name="path" list="paths" placeholder="/prod/ or /prod/**/url" autocomplete="off"'
        ' spellcheck="false"></label>'
        f'<datalist id="paths">{options}</datalist>'
        '<label>Text <input name="text" type="search" placeholder="in names, values, reasons"'
        ' autocomplete="off" spellcheck="false"></label>'
        '<button type="reset">Show all</button>'
        '<p id="count" role="status" aria-live="polite"></p></form>'
        '<p id="off" class="dim">Scripts are off: there is no filter, and all is listed.</p>'
    )


def _select(name: str, label: str, options: Mapping[str, str], everything: str) -> str:
    choices = "".join(
        f'<option value="{text(value)}">{text(said)}</option>' for value, said in options.items()
    )
    first = f'<option value="">{everything}</option>'
    return f'<label>{label} <select name="{name}">{first}{choices}</select></label>'
