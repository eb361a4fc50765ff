"""The findings of one load, collected with their positions; and text of a spec made safe for messages.

A spec from a pull request is untrusted. Every text of it that a message repeats passes through `echo`, so
that it reaches a terminal or a comment as text and nothing else.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ssm_reconcile.errors import Finding, Severity, Where
from ssm_reconcile.spec import PLACEHOLDERS, TARGET_PLACEHOLDERS
from ssm_reconcile.wording import did_you_mean, nearest

ECHO_LIMIT = 60
"""Characters of a spec's text that a message repeats."""
FINDING_LIMIT = 200
"""Errors, and warnings, that one load reports: a hostile file could have tens of thousands."""
TOO_LARGE = "too many values (an alias counts as its whole anchor, a matrix as its targets): split the spec"
NAMES_LISTED = 30
"""Known names that a message lists when none is near."""


@dataclass(frozen=True, slots=True)
class SpecFinding:
    """A finding with its position. `about`: the names of the replications that it concerns."""

    where: Where
    severity: Severity
    code: str
    message: str
    about: tuple[str, ...] = ()

    def finding(self) -> Finding:
        """Return the finding that leaves the loader."""
        return Finding(self.severity, self.code, self.message, str(self.where))


@dataclass(slots=True)
class SpecFindings:
    """Collects findings, each once, up to a limit for each severity; and limits the work of the load."""

    all: dict[SpecFinding, None] = field(default_factory=dict)
    counts: dict[Severity, int] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    """The replication that is being checked, for warnings that name no others."""
    deferred: list[SpecFinding] = field(default_factory=list)
    """Errors that `validate` reports, and that do not keep a run from using the spec."""
    nodes_left: int = 60_000
    """Values that may still be read, over all files. Those of expanded targets count as if written."""
    comparisons_left: int = 3_000_000
    """Comparisons of patterns that may still be made; the cheapest counts 1. Below 0: some were left out."""

    def error(self, where: Where, code: str, message: str) -> None:
        """Add an error: the spec cannot be used.

        Args:
            where: The position in the spec.
            code: The message code.
            message: The text of the finding.
        """
        self._add(SpecFinding(where, Severity.ERROR, code, message))

    def defer(self, where: Where, code: str, message: str) -> None:
        """Add an error with which the spec can be used: a run withholds the changes that depend on it.

        Args:
            where: The position in the spec.
            code: The message code.
            message: The text of the finding.
        """
        if len(self.deferred) < FINDING_LIMIT:
            self.deferred.append(SpecFinding(where, Severity.ERROR, code, message, self.about))

    def warn(self, where: Where, code: str, message: str, about: Iterable[str] = ()) -> None:
        """Add a warning: the spec can be used, and is probably not what was meant.

        Args:
            where: The position in the spec.
            code: The message code.
            message: The text of the finding.
            about: The names of the replications; empty for those that are being checked.
        """
        self._add(SpecFinding(where, Severity.WARNING, code, message, tuple(about) or self.about))

    def note(self, where: Where, code: str, message: str) -> None:
        """Add a notice: a consequence of the spec that may surprise. Only `validate` shows it.

        Args:
            where: The position in the spec.
            code: The message code.
            message: The text of the finding.
        """
        self._add(SpecFinding(where, Severity.NOTICE, code, message, self.about))

    def take_nodes(self, number: int) -> bool:
        """Count values that are read or expanded, and return whether they are within the limit.

        Args:
            number: The number of values.
        """
        self.nodes_left -= number
        return self.nodes_left >= 0

    def _add(self, one: SpecFinding) -> None:
        count = self.counts.get(one.severity, 0)
        if one in self.all or count > FINDING_LIMIT:
            return
        self.counts[one.severity] = count + 1
        if count == FINDING_LIMIT:
            message = f"more than {FINDING_LIMIT} findings: correct those above, then validate again"
            one = SpecFinding(one.where, one.severity, "too-many-findings", message)
        self.all[one] = None

    def is_full(self, severity: Severity) -> bool:
        """Return whether the limit of a severity is passed, so that further findings are dropped."""
        return self.counts.get(severity, 0) > FINDING_LIMIT

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return bool(self.counts.get(Severity.ERROR))

    def sorted(self, severity: Severity, files: Sequence[str]) -> tuple[SpecFinding, ...]:
        """Return the findings of one severity by position, in the order of the given files."""
        order = {file: i for i, file in enumerate(files)}

        def rank(one: SpecFinding) -> tuple[int, int, int, str, str]:
            last = one.code == "too-many-findings"
            at = len(order) if last else order.get(one.where.file, len(order))
            return at, one.where.line, one.where.column, one.code, one.message

        return tuple(sorted((one for one in self.all if one.severity is severity), key=rank))


def echo(text: str, limit: int = ECHO_LIMIT) -> str:
    r"""Return untrusted text on one line: unprintable characters are escaped, long text is cut.

    >>> print(echo(chr(0x202E) + "txt"))
    \u202etxt
    """
    safe = "".join(
        # Visible is every category but controls (with bidi, surrogates, unassigned) and separators.
        char
        if char == " " or unicodedata.category(char)[0] not in "CZ"
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text[:limit]
    )
    return safe + "…" if len(text) > limit else safe


def quote(text: str) -> str:
    """Return untrusted text between double quotes, as in YAML."""
    return '"' + echo(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def advise_name(name: str, known: Iterable[str]) -> str:
    """Return the advice for an unknown name: the nearest known name, or all of them."""
    names = list(known)
    if not names:
        return "none is defined"
    near = nearest(name, names)
    listed = ", ".join(echo(one) for one in names[:NAMES_LISTED])
    every = f"write one of: {listed}" + (", …" if len(names) > NAMES_LISTED else "")
    return did_you_mean(None if near is None else echo(near), every)


_BRACED = re.compile(r"\{[^{}]*\}|\{[^{}:/]*|\}")
"""A part of a text in braces, or a brace without its counterpart: up to where an ARN goes on."""


def brace_error(text: str, known: Collection[str]) -> str | None:
    """Return the error about the first brace of a text that is not in a known placeholder; None without one.

    Args:
        text: The text, in which every brace belongs to a placeholder.
        known: The placeholders that are allowed there.
    """
    wrong = next((found[0] for found in _BRACED.finditer(text) if found[0] not in known), None)
    return None if wrong is None else unknown_placeholder(wrong, known)


def unknown_placeholder(wrong: str, known: Collection[str]) -> str:
    """Return the error about a text that is not a placeholder: the nearest one, and all of them.

    Args:
        wrong: The text, with its braces.
        known: The placeholders that are allowed there.
    """
    # One that is allowed elsewhere is not a typing error.
    is_known = wrong in (*PLACEHOLDERS, *TARGET_PLACEHOLDERS)
    near = None if is_known else nearest(f"{{{wrong.strip('{}')}}}", known)
    if wrong == "}":
        error = f"{quote(wrong)} has no `{{` before it"
    elif wrong.endswith("}"):
        error = f"{quote(wrong)} is not a placeholder here"
    else:
        error = f"{quote(wrong)} is not closed by a `}}`"
    advice = f"write one of {', '.join(known)}"
    return f"{error}: {advice if near is None else f'{did_you_mean(near)} Or {advice}'}"


_UNQUOTED = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_READ_AS_OTHER = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def inline(value: object) -> str:
    """Return an example as one line of YAML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{inline(key)}: {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    if isinstance(value, str) and _UNQUOTED.fullmatch(value) and value.lower() not in _READ_AS_OTHER:
        return value
    return json.dumps(value, ensure_ascii=False)


_ARN = re.compile(r"arn:aws[a-z-]*:ssm:[^:]*:[^:]*:parameter(/[^:]*)(:.*)?")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_GIT = re.compile(r".*[\\/]Git(?=[\\/])")
_SELECTOR = re.compile(r"([A-Za-z0-9_./-]+):([A-Za-z0-9_.-]+)")


def name_hint(text: str) -> str:
    """Return the advice for an ARN, a Windows path or a name with a selector; for any other text nothing."""
    arn = _ARN.fullmatch(text)
    if arn is not None:
        return f"; this is an ARN: write the name in it, `{echo(arn[1])}`"
    if text.startswith("arn:"):
        return "; this is an ARN: write the name of the parameter"
    if _DRIVE.match(text):
        root = _GIT.match(text)
        name = text[root.end() :].replace("\\", "/") if root else ""
        write = f"write `{echo(name)}`" if name.strip("/") else "write the name again"
        return f"; a shell such as Git Bash made it a Windows path: {write} and set MSYS_NO_PATHCONV=1"
    selector = _SELECTOR.fullmatch(text)
    if selector is None:
        return ""
    return f"; `:{echo(selector[2])}` selects a version or label: write `{echo(selector[1])}` without it"
