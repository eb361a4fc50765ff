"""View -> the blocks of a Markdown page. `markdown` and `drift_issue` choose among them.

Each block is complete: its fences and folds are closed, so a page can leave it out but not cut it. Names
and values appear in fences and code only; sentences of others pass word by word through `prose`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

from ssm_reconcile.documents import RemedyEntry
from ssm_reconcile.encoding import utf8
from ssm_reconcile.renderers.escaping import fence, prose, span
from ssm_reconcile.renderers.groups import KINDS, AddressGroup, FindingView, all_but, path_patterns
from ssm_reconcile.renderers.outline import guard_reasons, guard_sentences
from ssm_reconcile.renderers.view import PlanView, RunView, TargetView
from ssm_reconcile.wording import cut, join, parse_time, plural

LIFT_DAYS = 7
"""Days of a lift as the comment proposes it."""
_LIFTS_SHOWN = 100
"""Entries of `lifts` that a page has; more than these are improbable, and would take the room of the plan."""
REASONS_SHOWN = 100
"""Reasons of withheld changes that a page has."""
_TABLE_ROWS = 8
"""Targets whose counts are shown open; the table of more targets is folded."""
_OPEN_ITEMS = 10
"""Addresses or findings with an error that are listed open; more of them are folded."""


def join_blocks(blocks: Iterable[str]) -> str:
    """Join blocks with an empty line between them."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def byte_size(text: str) -> int:
    """Return the number of bytes in UTF-8."""
    return len(utf8(text))


def blocks_within(blocks: Iterable[str], budget: int) -> list[str]:
    """Return the blocks that fit into `budget` bytes; a block that does not fit is left out."""
    kept = []
    for block in filter(None, blocks):
        if byte_size(block) + 2 <= budget:
            kept.append(block)
            budget -= byte_size(block) + 2
    return kept


def scope_names(names: Sequence[str]) -> str:
    """Return the names of the replications."""
    return join([span(name) for name in names], 10)


def fold(summary: str, body: str, *, is_open: bool = False) -> str:
    """Return a collapsible section.

    Args:
        summary: HTML that is always visible.
        body: Markdown that is visible after a click.
        is_open: Whether the body is visible at first.
    """
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>\n\n{body}\n</details>"


def alert(kind: str, paragraphs: Iterable[str]) -> str:
    """Return one of GitHub's alert boxes."""
    lines = f"[!{kind}]\n{chr(10).join(paragraphs)}".split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def in_targets(view: RunView, targets: Sequence[str]) -> str:
    """Return the targets for the end of a line; nothing where the view has only one."""
    if len(view.targets) == 1:
        return ""
    labels, everywhere = {target.label for target in view.targets}, f"all {view.place_word}s"
    if labels <= set(targets):
        return f"  ({everywhere})"
    return f"  ({all_but(everywhere, targets, labels) or ', '.join(targets)})"


def _spans(targets: Sequence[str]) -> str:
    return join([span(target) for target in targets], 6)


def counts_table(view: PlanView, limit: int = 0) -> str:
    """Return the counts by target, for the first `limit` targets, unless the sums say the same."""
    columns = view.columns
    if len(view.targets) == 1 or set(columns) <= {"in_sync"}:
        return ""
    titles = [word.replace("_", " ").capitalize() for word in (view.place_word, *columns)]
    rows = [f"| {' | '.join(titles)} |", f"|---|{'--:|' * len(columns)}"]
    shown = view.targets[:limit] if limit else view.targets
    for target in shown:
        cells = [_cell(word, target.summary[word]) for word in columns]
        rows.append(f"| {' | '.join([_target(target), *cells])} |")
    if len(shown) < len(view.targets):
        rows.append(f"\n… and {len(view.targets) - len(shown):,} more {view.place_word}s.")
    table = "\n".join(rows)
    title = f"<b>Counts of {plural(len(view.targets), view.place_word)}</b>"
    return table if len(shown) <= _TABLE_ROWS else fold(title, table)


def _target(target: TargetView) -> str:
    notes = [" **incomplete**"] * (not target.complete) + [" **frozen**"] * target.frozen
    return span(target.label, table=True) + "".join(notes)


def _cell(word: str, number: int) -> str:
    is_bold = word in ("delete", "conflict", "invalid", "withheld") and number
    return f"**{number:,}**" if is_bold else f"{number:,}"


def guard_items(view: PlanView) -> list[str]:
    """Return the reasons of the guards that withhold changes, as items of a list; no sentence twice."""
    return [
        f"* {span(guard.guard)}: {prose(text)}"
        for guard in guard_reasons(view.changes, view.findings)
        for text in filter(None, guard_sentences(guard))
    ]


def incomplete_places(view: RunView, limit: int) -> str:
    """Return the alert on places that were not listed completely."""
    notices = [f"**{notice.sentence(_spans)}** {notice.effect}" for notice in view.notices_of("incomplete")]
    return alert("WARNING", ["\n\n".join(cut(notices, limit, "more.", "…"))]) if notices else ""


def remedies(view: PlanView, limit: int) -> list[str]:
    """Return the reasons of withheld changes if they are many, and the YAML that lifts guards."""
    reasons = guard_items(view)
    lines = cut(reasons, REASONS_SHOWN, "more, all in the saved plan.", "* …")
    title = "All reasons" if len(reasons) <= REASONS_SHOWN else "Reasons"
    more = fold(f"<b>{title} of withheld changes</b>", "\n".join(lines)) if len(reasons) > limit else ""
    found = [finding.remedy for finding in view.findings if finding.code in view.guards and finding.remedy]
    return [more, *lifts(found, view.created, limit)]


def lifts(remedies: Sequence[RemedyEntry], created: str, limit: int) -> list[str]:
    """Return the YAML that lifts guards. Its reason is empty, so that a person has to write it.

    Args:
        remedies: The remedies of the findings of guards. One on all targets has no lift.
        created: The time of the plan or report, from which the last day of a lift is counted.
        limit: The most entries that are open.
    """
    liftable = [one for one in remedies if "target" in one]
    if not liftable:
        return []
    until, time = "YYYY-MM-DD", parse_time(created)
    with suppress(OverflowError):
        until = str(time.date() + timedelta(days=LIFT_DAYS)) if time else until
    lines = [
        f"  - {{guard: {json.dumps(one['guard'])}, target: {json.dumps(one['target'])},"
        f" count: {one['count']}, changes: {json.dumps(one['changes'])}, until: {json.dumps(until)},"
        ' reason: ""}'
        for one in liftable[:_LIFTS_SHOWN]
    ]
    intro = "To let withheld changes through, add to the spec, with a reason, and have the new plan reviewed:"
    block = f"{intro}\n\n{fence(['lifts:', *lines], 'yaml')}"
    if len(liftable) > _LIFTS_SHOWN:
        block += f"\n\nThe comment on the new plan has {len(liftable) - _LIFTS_SHOWN:,} more."
    if len(liftable) > limit:
        block = fold(f"<b>{len(liftable):,} entries of the spec</b> that let withheld changes through", block)
    return [block]


def notes(view: RunView) -> str:
    """Return the notices on how the plan was made."""
    notices = view.notices_of("undo", "narrowed", "no-decrypt")
    return " ".join(n.sentence(lambda names: join([span(name) for name in names], 20)) for n in notices)


def left_alone(view: RunView, limit: int) -> list[str]:
    """Return the addresses without a change, a block for each kind, grouped by their reason."""
    blocks = []
    for key, kind in KINDS.items():
        groups = [group for group in view.groups if group.kind == key]
        if groups:
            title = f"<b>{kind.title(sum(group.size for group in groups))}</b>"
            is_open = key == "invalid" and sum(group.size for group in groups) <= _OPEN_ITEMS
            blocks.append(fold(title, by_reason(view, groups, limit), is_open=is_open))
    return blocks


def by_reason(view: RunView, groups: Sequence[AddressGroup], limit: int, *, labelled: bool = False) -> str:
    """Return one item for each reason, with its names.

    Args:
        view: The view of the plan or report.
        groups: The addresses, grouped by reason.
        limit: The most reasons, and the most names of a reason.
        labelled: Whether each item begins with its kind.
    """
    parts = []
    for group in groups[:limit]:
        label = f"{prose(group.kind)}: " if labelled else ""
        lines = []
        for name, targets, conflict in group.entries(is_public=True):
            note = f"  {conflict.last_change}" if conflict and conflict.last_change else ""
            lines.append(f"{name}{in_targets(view, targets)}{note}")
            lines += [f"  {line}" for line in conflict.text_lines()] if conflict else []
        if len(group.names) > limit:
            lines = [str(path) for path in path_patterns(group.names, limit)]
        block = fence(lines, "text").replace("\n", "\n  ")
        parts.append(f"* {label}{prose(group.reason) or 'no reason stated'}\n\n  {block}")
    if len(groups) > limit:
        parts.append(f"… and {plural(len(groups) - limit, 'more reason', 'more reasons')}.")
    return "\n\n".join(parts)


def findings(items: Sequence[FindingView], limit: int, *, is_open: bool = False) -> str:
    """Return the findings, errors first. The flag that lifts a guard is not for a comment: see `lifts`.

    Args:
        items: The findings.
        limit: The most findings that are shown.
        is_open: Whether they are open also without an error.
    """
    if not items:
        return ""
    lines = []
    for finding in items[:limit]:
        where = f" ({_spans(finding.where)})" if finding.where else ""
        lines.append(f"* **{prose(finding.severity)}** {span(finding.code)}: {prose(finding.problem)}{where}")
    if len(items) > limit:
        lines.append(f"* … and {len(items) - limit:,} more.")
    title = f"<b>{plural(len(items), 'finding')}</b>"
    is_open |= len(items) <= _OPEN_ITEMS and any(finding.severity == "error" for finding in items)
    return fold(title, "\n".join(lines), is_open=is_open)
