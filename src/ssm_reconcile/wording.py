"""Counts, lists and suggestions in English: `1 change`, `a, b and 7 more`, ``did you mean `a`?``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

COMPARED = 64
"""Characters of a name that are compared with known names: difflib takes quadratic time."""


def plural(number: int, noun: str, form: str = "") -> str:
    """Return a number with its noun: `1 change`, `1,050 changes`.

    Args:
        number: how many.
        noun: the singular.
        form: the plural of the noun; empty for the singular with an `s`.
    """
    return f"{number:,} {noun if number == 1 else form or noun + 's'}"


def join(items: Sequence[str], most: int = 0) -> str:
    """Return the items as one text: `a`, `a and b`, `a, b and c`; with `most`, `a, b and 7 more`."""
    if most and len(items) > most:
        return first_of(items, most)
    if len(items) < 2:  # noqa: PLR2004 - `and` joins two
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def first_of(items: Sequence[str], most: int) -> str:
    """Return the first items and the number of the others: `a, b` or `a, b and 7 more`."""
    left = len(items) - most
    return ", ".join(items[:most]) + (f" and {left:,} more" if left > 0 else "")


def cut(lines: Sequence[str], most: int, rest: str = "more", mark: str = "...") -> list[str]:
    """Return the first lines, and one line that counts the others: `... and 7 more`.

    Args:
        lines: all lines.
        most: the number of lines to keep.
        rest: the words after the number, `more` or for example `more lines`.
        mark: the start of the last line.
    """
    left = len(lines) - most
    return [*lines[:most], f"{mark} and {left:,} {rest}"] if left > 0 else list(lines)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that was probably meant; None if no name is similar enough.

    Args:
        name: The name as written.
        known: The valid names.
        cutoff: The least similarity of a result, from 0 to 1.
    """
    from difflib import get_close_matches

    by_form = {_form(one): one for one in sorted(known, reverse=True)}
    found = get_close_matches(_form(name[:COMPARED]), by_form, n=1, cutoff=cutoff)
    return by_form[found[0]] if found else None


def _form(name: str) -> str:
    return name.lower().replace("-", "_")


def did_you_mean(near: str | None, otherwise: str = "") -> str:
    """Return the suggestion of a similar name, or other advice when there is none."""
    return otherwise if near is None else f"did you mean `{near}`?"
