"""Counts, lists, times and suggestions in English: `1 change`, `a, b and 7 more`, ``did you mean `a`?``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

COMPARED = 64
"""Characters of a name that are compared with known names: difflib takes quadratic time."""


def plural(number: int, noun: str, form: str = "") -> str:
    """Return a number with its noun: `1 change`, `1,050 changes`.

    Args:
        number: The number.
        noun: The singular.
        form: The plural of the noun; empty for the singular with an `s`.
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
        lines: All lines.
        most: The number of lines to keep.
        rest: The words after the number, `more` or for example `more lines`.
        mark: The start of the last line.
    """
    left = len(lines) - most
    return [*lines[:most], f"{mark} and {left:,} {rest}"] if left > 0 else list(lines)


def utc_text(time: datetime) -> str:
    """Return a time as people read it: `2026-11-02 14:03 UTC`. `time` is timezone-aware."""
    return f"{time.astimezone(UTC).isoformat(' ')[:16]} UTC"


def parse_time(text: str | None) -> datetime | None:
    """Return the time of a document in UTC; None for another text. A time without a zone is in UTC."""
    try:
        time = datetime.fromisoformat(text or "")
        return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def time_before(time: datetime, of: datetime) -> str:
    """Return by which time one is before another: `just before`, `5 min before`, `3 days before`.

    Empty if `time` is more than a minute after `of`: their clocks differ.
    """
    if time - of > timedelta(minutes=1):
        return ""
    span = of - time
    return "just before" if span < timedelta(minutes=1) else f"{span_text(span)} before"


def span_text(span: timedelta) -> str:
    """Return a span of time in one whole unit: `0 min`, `59 min`, `47 h`, `3 days`."""
    minutes = span // timedelta(minutes=1)
    if minutes < 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60):,} days"


def period_text(period: timedelta) -> str:
    """Return a number of whole days or hours: `7 days`, `12 hours`."""
    hours = period // timedelta(hours=1)
    return plural(hours, "hour") if hours % 24 else plural(hours // 24, "day")


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


def outside_change_reason(writer: str) -> str:
    """Return the reason that names who changed a replica. `writer` is an ARN where AWS reports one."""
    return f"changed outside ssm-reconcile by {writer_name(writer) or 'an unknown identity'}"


_IDENTITY = re.compile(r"arn:[a-z0-9-]+:(?:iam|sts)::[0-9]*:([a-z-]+)/?(.*)")
_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)", re.ASCII)
"""An account in the name of a role: that of the identity or, of a deployment role, another one."""


def writer_name(arn: str) -> str:
    """Return an identity as outputs show it: `role deploy` or `user alice`; empty for an unknown form.

    Outputs also go to pull requests: the name has no account, and no session, which may be an e-mail address.
    """
    found = _IDENTITY.fullmatch(arn)
    if found is None:
        return ""
    kind, path = found.groups()
    match kind:
        case "root" if not path:
            return "the root user"
        case "federated-user" if path:
            return "a federated user"  # the session chooses its name
        case "assumed-role":
            kind, name = "role", path.partition("/")[0]
        case "role" | "user":
            name = path.rpartition("/")[2]
        case _:
            return ""
    return f"{kind} {_ACCOUNT.sub('ACCOUNT', name)}" if name else ""


_KEY_ARN = re.compile(r"arn:([a-z-]+):kms:([a-z0-9-]+):([0-9]{12}):")


def key_without_place(text: str, place: str) -> str:
    """Return a text in which the ARNs of KMS keys have placeholders for the place of a target.

    A region and an account that are not those of the target stay: the keys of two targets are not the same
    if only one of them is in another account.

    Args:
        text: The text.
        place: The place of the target: account and region, or the region.
    """
    account, _, region = place.rpartition("/")

    def shared(arn: re.Match[str]) -> str:
        partition = "{target.partition}" if arn[2] == region else arn[1]
        at = "{target.region}" if arn[2] == region else arn[2]
        return f"arn:{partition}:kms:{at}:{'{target.account}' if arn[3] == account else arn[3]}:"

    return _KEY_ARN.sub(shared, text)
