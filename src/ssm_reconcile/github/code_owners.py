"""Text of CODEOWNERS -> whether files have an owner. Pure.

The last line that matches a file decides, and a line may have no owner. A pattern with an escape, or with
more wildcards than could be compared quickly, is not understood: files that it may match are unknown. Source:
GitHub docs, "About code owners".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from ssm_reconcile.doctor import Answer, Check

Entries: TypeAlias = list[tuple[re.Pattern[str] | None, bool]]
_MOST_STARS = 4
"""Maximum wildcards of a pattern: the time of a comparison grows with their number."""


def read_entries(text: str, faulty_lines: frozenset[int]) -> Entries:
    """Return the lines of CODEOWNERS, the last first, as pairs: pattern, and whether it has an owner.

    Args:
        text: The text of the file.
        faulty_lines: The numbers of the lines that GitHub ignores; the pattern of each is None.
    """
    found: Entries = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split("#", 1)[0].split()
        if words:
            pattern = None if number in faulty_lines else _pattern(words[0])
            found.append((pattern, any("@" in word for word in words[1:])))
    return found[::-1]


def is_owned(entries: Entries, name: str) -> bool | None:
    """Return whether the last line that matches has an owner; None if a later one is not understood."""
    for pattern, has_owner in entries:
        if pattern is None:
            return None
        if pattern.fullmatch(name):
            return has_owner
    return False


def check_owners(path: str, entries: Entries, subject: str, names: Sequence[str]) -> Check:
    """Return the check that each of some files has an owner.

    Args:
        path: The path of CODEOWNERS.
        entries: Its lines, the last first.
        subject: The file or folder that needs an owner.
        names: The files that the subject stands for.
    """
    owned = {name: is_owned(entries, name) for name in names}
    missing = [name for name, found in owned.items() if found is False]
    unclear = [name for name, found in owned.items() if found is None]
    if missing:
        message = f"{path} has no owner for {'' if subject in names else 'a file such as '}{missing[0]}"
        remedy = f"add a line below the others: /{subject} @OWNER"
        return Check("CODEOWNERS", subject, Answer.FAILED, message, remedy)
    if unclear:
        message = f"{path} has a line that is not understood here and may match {unclear[0]}"
        remedy = f"look at the owners on the page of the file, or add a line at the end: /{subject} @OWNER"
        return Check("CODEOWNERS", subject, Answer.UNKNOWN, message, remedy)
    return Check("CODEOWNERS", subject, Answer.OK, f"{path} names an owner")


def _pattern(text: str) -> re.Pattern[str] | None:
    """Return a pattern of CODEOWNERS as a regular expression; None for one that is not understood.

    The rules are those of gitignore, except that `folder/*` does not match deeper files, and that GitHub
    supports neither `!` nor `[ ]`.
    """
    parts = text.strip("/").split("/")
    if re.search(r"[!\[\]\\]", text) or text.count("*") > _MOST_STARS:
        return None
    if any("**" in part and part != "**" for part in parts):
        return None
    anchored = "/" in text.rstrip("/")
    found = "" if anchored else "(?:.*/)?"
    for number, part in enumerate(parts, 1):
        is_last = number == len(parts)
        if part == "**":
            found += ".*" if is_last else "(?:.*/)?"
        else:
            found += re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + ("" if is_last else "/")
    if text.endswith("/"):
        return re.compile(f"{found}/.*")
    return re.compile(found if anchored and parts[-1] == "*" else f"{found}(?:/.*)?")
