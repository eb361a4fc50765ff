"""Document of `status` -> text for a terminal: counts of each target, then its addresses by state and reason.

Addresses in sync, excluded ones and large groups (`terminal_text.ROWS`) are counted by path, unless the
user asks for their state. Where the columns do not fit the width, the facts of an address are on a line of
their own. No name is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from datetime import timedelta

from ssm_reconcile.documents.status import EXCLUDED, REPLICA_STATES, ReplicaEntry, StatesEntry, StatusDocument
from ssm_reconcile.renderers.escaping import LINE_LIMIT, visible
from ssm_reconcile.renderers.groups import alike_label, merge_alike, path_patterns, without_place
from ssm_reconcile.renderers.terminal_text import PATHS, ROWS, TerminalText
from ssm_reconcile.wording import cut, parse_time, span_text, utc_text, writer_name

COUNTED_BY_PATH = frozenset({"in_sync", EXCLUDED})
"""States whose addresses are counted by path, however few they are."""
_NO_BREAK = "\N{NO-BREAK SPACE}"
_NAMED = 50
"""Targets that are named above what they have in common."""
_TITLES = ("name", "source version", "modified", "age", "writer")
_COLOURS = {
    **dict.fromkeys(("foreign", "copied", "conflict", "invalid"), "loud"),
    **dict.fromkeys(("delete", "replace"), "-"),
    **dict.fromkeys(("update", "retag", "unproven", "expiring", "orphan", "detached", "held"), "~"),
    **dict.fromkeys(("create", "adopt", "in_sync"), "+"),
}
"""The colour of a state, as a key of `terminal_text.COLOURS`."""


def status_text(
    document: StatusDocument,
    *,
    width: int,
    color: bool = False,
    listed: Collection[str] = (),
    next_step: str = "",
) -> str:
    """Return the status for a terminal.

    Args:
        document: The status.
        width: The columns of the terminal.
        color: Whether the text has terminal colours.
        listed: States whose addresses are all listed, although others are counted by path.
        next_step: The command to run next; empty for none.
    """
    page = TerminalText(width, color=color)
    _add_summary(page, document)
    listed_sources = {one["replication"] for one in document["targets"] if one["complete"]}
    several = len({target["replication"] for target in document["targets"]}) > 1
    replicas: dict[tuple[str, str], list[ReplicaEntry]] = {}
    for one in document["replicas"]:
        replicas.setdefault((one["replication"], one["target"]), []).append(one)
    targets = [(target, mine) for target in document["targets"] if (mine := replicas.get(_key(target)))]
    for alike in merge_alike(targets, lambda pair: tuple(_facts(one, pair[0]["place"]) for one in pair[1])):
        labels = [f"{one['replication']}, {one['target']}" if several else one["target"] for one, _ in alike]
        target, _ = alike[0]
        note = f" ({target['place']})" if len(alike) == 1 else ""
        page.add_heading(visible(alike_label(labels, len(document["targets"]))), visible(note))
        if 1 < len(alike) < len(document["targets"]):
            page.lines += page.packed("  ", cut([visible(label) for label in labels], _NAMED))
        is_source_listed = target["replication"] in listed_sources
        _add_groups(page, _merged([mine for _, mine in alike]), listed, is_source_listed=is_source_listed)
    if page.is_cut or next_step:
        page.add()
    if page.is_cut:
        page.add("Counted by path: --state STATE lists each address.")
    if next_step:
        page.add(f"Next: {_unbroken([visible(next_step, LINE_LIMIT)])}", hang=2)
    return page.text().replace(_NO_BREAK, " ")


def _key(target: StatesEntry) -> tuple[str, str]:
    return target["replication"], target["target"]


def _facts(one: ReplicaEntry, place: str) -> tuple[object, ...]:
    """Return the facts of an address in a place that are equal in targets that are shown once."""
    reasons = tuple(without_place(reason, one["target"], place) for reason in one["reasons"])
    versions = (one["source_version"], one["recorded_source_version"])
    return one["replication"], one["name"], one["state"], reasons, versions, writer_name(one["writer"])


def _merged(every: Sequence[Sequence[ReplicaEntry]]) -> list[ReplicaEntry]:
    """Return the addresses of targets that are alike, without times that differ."""
    merged = []
    for one, *others in zip(*every, strict=True):
        is_same = all(_utc(other["last_modified"]) == _utc(one["last_modified"]) for other in others)
        shown = one.copy()
        if not is_same:
            shown["last_modified"] = shown["age_seconds"] = None
        merged.append(shown)
    return merged


def _add_summary(page: TerminalText, document: StatusDocument) -> None:
    """Add a line for each replication, and the counts of each of its targets."""

    def states(target: StatesEntry) -> Hashable:
        return target["replication"], target["source"], target["complete"], tuple(target["counts"].items())

    groups = merge_alike(document["targets"], states)
    sums = Counter(target["replication"] for target in document["targets"])
    labels = [
        visible(alike_label([one["target"] for one in alike], sums[alike[0]["replication"]]))
        for alike in groups
    ]
    label_width = max(map(len, labels))
    replication = None
    for label, (target, *_) in zip(labels, groups, strict=True):
        if target["replication"] != replication:
            replication = target["replication"]
            at = f"status at {_utc(document['created'])}"
            page.add(f"{visible(replication)}: source {visible(target['source'])}, {at}")
        counts = [f"{number:,} {visible(state)}" for state, number in target["counts"].items()]
        if not target["complete"]:
            counts.insert(0, "NOT LISTED COMPLETELY")
        begin = f"{label:<{label_width}}".replace(" ", _NO_BREAK)
        colour = "" if target["complete"] else "loud"
        text = f"{begin}{_NO_BREAK * 2}{_unbroken(counts or ['nothing selected'])}"
        page.add(text, indent=2, hang=label_width + 2, colour=colour)


def _add_groups(
    page: TerminalText, replicas: Sequence[ReplicaEntry], listed: Collection[str], *, is_source_listed: bool
) -> None:
    """Add the addresses of one target, grouped by state and reasons."""
    groups: dict[tuple[str, tuple[str, ...]], list[ReplicaEntry]] = {}
    for one in replicas:
        groups.setdefault((one["state"], tuple(one["reasons"])), []).append(one)
    rank = {state: i for i, state in enumerate(REPLICA_STATES)}
    by_path = {
        group
        for group, some in groups.items()
        if group[0] not in listed and (group[0] in COUNTED_BY_PATH or len(some) > ROWS)
    }
    page.is_cut |= bool(by_path)
    rows = {
        id(one): _cells(one, is_source_listed=is_source_listed)
        for group in groups.keys() - by_path
        for one in groups[group]
    }
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows.values(), strict=True)]
    is_table = sum(widths) + 2 * len(widths) + 2 <= page.width
    if rows and is_table:
        page.lines.append(_columns(_TITLES, widths))
    for state, reasons in sorted(groups, key=lambda group: (rank.get(group[0], -1), group)):
        some = groups[state, reasons]
        why = "; ".join(visible(reason) for reason in reasons)
        title = f"{visible(state)} ({len(some):,})" + (f": {why}" if why else "")
        page.add(title, indent=2, hang=2, colour=_COLOURS.get(state, "bold"))
        if (state, reasons) in by_path:
            patterns = path_patterns((one["name"] for one in some), PATHS)
            page.lines += [f"    {visible(str(pattern))}" for pattern in patterns]
            continue
        for one in some:
            if is_table:
                page.lines.append(_columns(rows[id(one)], widths))
            else:
                name, *facts = rows[id(one)]
                page.lines.append(f"    {name}")
                if known := _joined_facts(facts):
                    page.add(known, indent=6)


def _cells(one: ReplicaEntry, *, is_source_listed: bool) -> tuple[str, ...]:
    """Return the texts of one address, in the order of `_TITLES`."""
    age = one["age_seconds"]
    return (
        visible(one["name"]),
        _source_version(one, is_source_listed=is_source_listed),
        _utc(one["last_modified"]),
        "-" if age is None else span_text(timedelta(seconds=age)),
        visible(writer_name(one["writer"])) or "-",
    )


def _joined_facts(facts: Sequence[str]) -> str:
    """Return the facts of an address as one line; those that are unknown are left out."""
    version, modified, age, writer = facts
    found = [
        f"source version {version}" if version != "-" else "",
        f"{modified} ({age})" if modified != "-" else "",
        writer if writer != "-" else "",
    ]
    return _unbroken(filter(None, found))


def _source_version(one: ReplicaEntry, *, is_source_listed: bool) -> str:
    """Return `12`, `11 (now 12)` or `11 (gone)`: the recorded version, and the present one if it differs.

    `11 (now unknown)` if the name of the source is not known, or the source is not known to be listed
    completely: it may exist.
    """
    now, recorded = one["source_version"], one["recorded_source_version"]
    if now is None:
        is_gone = one["source"] is not None and is_source_listed
        return "-" if recorded is None else f"{recorded} ({'gone' if is_gone else 'now unknown'})"
    return str(now) if recorded in (None, now) else f"{recorded} (now {now})"


def _utc(time: str | None) -> str:
    """Return the time of a document in minutes; `-` for none."""
    found = parse_time(time)
    return "-" if found is None else utc_text(found)


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "    " + "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))


def _unbroken(parts: Iterable[str]) -> str:
    """Return the parts as a list in which a line breaks between two of them only."""
    return ", ".join(part.replace(" ", _NO_BREAK) for part in parts)
