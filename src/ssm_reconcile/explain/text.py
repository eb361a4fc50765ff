"""Explanations -> text for a terminal, or the document that `--format json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ssm_reconcile.renderers.escaping import visible

if TYPE_CHECKING:
    from ssm_reconcile.explain import Explanation

LONGEST = 4000
"""More than any line of ours has; what others wrote is shorter, too (aws-facts A1.3)."""


def text(every: Sequence[Explanation], *, verbose: bool = False) -> str:
    """Return all explanations, a block each; `verbose`: with the rows that do not fit."""
    return "\n\n".join("\n".join(_block(one, verbose=verbose)) for one in every)


def _block(one: Explanation, *, verbose: bool) -> Iterator[str]:
    row = f"[{one.row.value}] " if one.row is not None else ""
    yield _line(f"{one.name} in {one.target} ({one.place}), replication {one.replication}")
    yield _line(f"  {row}{one.answer}")
    yield ""
    width = max((len(label) for label, _ in one.facts), default=0)
    yield from (_line(f"  {label:<{width}}  {what}") for label, what in one.facts)
    yield _line(f"  a plan would do: {one.wants or ', '.join(one.plan)}")
    for guard in one.guards:
        yield _line(f"  withheld by {guard}")
    if one.ruled_out and verbose:
        yield "  rows that do not fit:"
        yield from (_line(f"    {row:<9}  {why}") for row, why in one.ruled_out)
    if one.remedies:
        yield "  what to do:"
        yield from (_line(f"    - {what}") for what in one.remedies)


def _line(line: str) -> str:
    return visible(line, LONGEST)


def document(every: Sequence[Explanation]) -> dict[str, Any]:
    """The same as data; `format_version` by the rule of all our documents."""
    return {
        "format_version": "1.0",
        "explanations": [
            {
                "replication": one.replication,
                "target": one.target,
                "place": one.place,
                "name": one.name,
                "row": None if one.row is None else one.row.value,
                "answer": one.answer,
                "facts": [{"label": label, "text": what} for label, what in one.facts],
                "ruled_out": [{"row": row, "why": why} for row, why in one.ruled_out],
                "plan": list(one.plan),
                "withheld_by": list(one.guards),
                "remedies": list(one.remedies),
            }
            for one in every
        ],
    }
