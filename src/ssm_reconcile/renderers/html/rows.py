"""View -> rows of the page: changes, outcomes, and addresses without a change; each with its reasons."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ssm_reconcile.renderers.changes import AttributeLine
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, ConflictView
from ssm_reconcile.renderers.outcomes import RESULTS, OutcomeView, result_word
from ssm_reconcile.renderers.outline import CHANGE_KINDS, ChangeGroup, ListedChange, merge_targets
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import join

DANGEROUS, WITHHELD, OTHER = "Dangerous changes", "Withheld changes", "Other changes"
NOT_APPLIED, APPLIED, LEFT = "Not applied", "Applied", "Left as they are"
_DROPPED = "No longer made"
SECTIONS = {
    DANGEROUS: "changes",
    WITHHELD: "changes",
    OTHER: "changes",
    NOT_APPLIED: "changes",
    APPLIED: "changes",
    _DROPPED: "changes no longer made",
    LEFT: "addresses left as they are",
}
"""The sections in their order, and the words for their rows."""
_STYLES = {
    **{kind.word: kind.word.replace(" ", "-") for kind in CHANGE_KINDS},
    **dict.fromkeys([*(kind.one for kind in KINDS.values()), "remaining"], "left"),
}
"""The class of each kind of row. An action that this version does not know is `unknown`."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a section. The filter selects by name, kind, state and targets.

    `label` is the title of its fold: the reasons that it shares with other rows; empty for none. `cells` is
    the HTML of its first cell, its type and its details.
    """

    section: str
    label: str
    name: str
    kind: str
    state: str
    targets: tuple[str, ...]
    cells: tuple[str, str, str]


def quote(raw: str) -> str:
    """Return any text as HTML without markup, for an element or an attribute."""
    return html.escape(raw, quote=True)


def change_rows(groups: Iterable[ChangeGroup]) -> Iterable[TableRow]:
    """Yield the rows of changes: a change that is equal in several targets is one row."""
    for group in groups:
        section = DANGEROUS if group.kind.is_dangerous else OTHER
        state = "withheld" if group.withheld else "to apply"
        by = f"by {join(group.guards)}" if group.guards else ""
        last = group.shared_last_change()
        label = "; ".join(filter(None, (by, group.kind.effect, *group.reasons, last)))
        tags = _tag("withheld", "WITHHELD") if group.withheld else ""
        tags += _tag("pending", "already pending") if group.pending else ""
        for one in group.changes:
            shared = (group.kind.effect, *group.reasons, last, *one.change.holds)
            own = () if group.reasons else one.change.reasons
            details = _attributes(one.change.public_lines, is_new=one.change.is_new) + "".join(
                map(_remark, (*(() if last else _last_changes(one)), *own))
            )
            details += "".join(_remark(text, "r shared") for text in shared if text)
            cells = (_action(group.kind.word) + tags, quote(one.change.kind), details)
            section = WITHHELD if group.withheld else section
            yield TableRow(section, label, one.change.name, group.kind.word, state, one.targets, cells)


def _last_changes(one: ListedChange) -> list[str]:
    """Return the last changes of a parameter, each with its targets where they differ."""
    found = one.last_changes(with_age=False)
    return [f"{join(at)}: {text}" if len(found) > 1 else text for text, at in found.items()]


def dropped_rows(view: PlanView) -> Iterable[TableRow]:
    """Yield the rows of changes that only the previous spec makes."""
    for one in merge_targets(view.dropped):
        name, action = one.change.name, one.change.action
        yield TableRow(_DROPPED, "", name, action, "", one.targets, (_action(action), "", ""))


def outcome_rows(report: ReportView) -> Iterable[TableRow]:
    """Yield the rows of a report's outcomes: those that failed first, those that were applied last."""
    found: dict[OutcomeView, list[str]] = {}
    for outcome in report.outcomes:
        found.setdefault(replace(outcome, target=""), []).append(outcome.target)
    known = {finding.code for finding in report.findings}
    rank = {result: number for number, result in enumerate(RESULTS)}
    for one, targets in sorted(found.items(), key=lambda item: rank.get(item[0].result, -1)):
        state, label, section, tag = result_word(one.result), one.cause, APPLIED, ""
        if one.result != "applied":
            section, tag = NOT_APPLIED, _tag(one.result, state)
            label = f"{state}: {one.cause}" if one.cause else state
            if one.result == "withheld" and one.guards and known.issuperset(one.guards):
                label = f"{state} by {join(one.guards)}"
        details = _remark(one.cause, "r shared") if one.cause else ""
        word = one.change_kind.word
        cells = (_action(word) + tag, quote(one.kind), details)
        yield TableRow(section, label, one.name, word, state, tuple(targets), cells)


def address_rows(groups: Iterable[AddressGroup]) -> Iterable[TableRow]:
    """Yield the rows of addresses that are left as they are, by kind. Skipped ones are only counted."""
    words = {**{key: kind.one for key, kind in KINDS.items()}, "remaining": "remaining"}
    for key, word in words.items():
        for group in (group for group in groups if group.kind == key):
            label = f"{word}: {group.reason or 'no reason stated'}"
            for name, targets, conflict in group.entries(is_public=True):
                details = _conflict(conflict) if conflict else ""
                yield TableRow(LEFT, label, name, word, "", targets, (_action(word), "", details))


def _conflict(conflict: ConflictView) -> str:
    """Return the differences of a conflict that a page may show, and its last change."""
    lines = _attributes(conflict.lines, is_new=False)
    return lines + (_remark(conflict.last_change) if conflict.last_change else "")


def style_of(word: str) -> str:
    """Return the class of a kind of row."""
    return _STYLES.get(word, "unknown")


def _action(word: str) -> str:
    return f'<span class="a {style_of(word)}">{quote(word)}</span>'


def _tag(style: str, word: str) -> str:
    return f' <span class="tag {quote(style)}">{quote(word)}</span>'


def _remark(remark: str, style: str = "r") -> str:
    return f'<span class="{style}">{quote(remark)}</span>'


def _attributes(lines: Sequence[AttributeLine], *, is_new: bool) -> str:
    """Return the lines of a change; an attribute with several lines is named once."""
    labels = ["", *(line.label for line in lines)]
    return "".join(
        _attribute(line, "k again" if line.label == previous else "k", is_new=is_new)
        for line, previous in zip(lines, labels, strict=False)
    )


def _attribute(line: AttributeLine, style: str, *, is_new: bool) -> str:
    """Return one line on an attribute: both sides, an unchanged part, or the note on it."""
    parts = f'<span class="{style}">{quote(line.label)} </span>'
    parts += f'<span class="part">{quote(line.key)} </span>' if line.key else ""
    if line.note:
        return f'<span class="l note-only">{parts}<span>{quote(line.note)}</span></span>'
    if line.is_context:
        return f'<span class="l context">{parts}<code>{quote(line.after or line.before or "")}</code></span>'
    if line.before is not None:
        word = " removed" if line.after is None else ""
        parts += f"<span>{_side('del', 'before', line.before)}{word} </span>"
    if line.after is not None:
        arrow = "" if line.before is None else '<span aria-hidden="true">&rarr; </span>'
        word = " added" if line.before is None and not is_new else ""
        parts += f"<span>{arrow}{_side('ins', 'after', line.after)}{word}</span>"
    return f'<span class="l">{parts}</span>'


def _side(tag: str, word: str, text: str) -> str:
    shown = f"<code>{quote(text)}</code>" if text else "<i>empty</i>"
    return f'<{tag}><span class="vh">{word} </span>{shown}</{tag}>'
