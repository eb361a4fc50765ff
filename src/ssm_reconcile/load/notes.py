"""What the loader has to say, while it still knows where: notes in, sorted findings out.

Everything of a spec that is echoed passes through `shown`: a pull request's spec is untrusted, and
its text must not reach a terminal or a comment as anything but text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from ssm_reconcile.errors import Finding, Severity, Where

ECHO_LIMIT = 60
"""Characters of a spec's text that a message repeats."""
NOTE_LIMIT = 200
"""Errors, and warnings, that one load reports: a hostile file could have tens of thousands."""
WORDS_LISTED = 30
"""Known words that a message lists when none is near."""
_WORD_LIMIT = 64
"""Characters of a word that are compared with known words: difflib is quadratic."""


@dataclass(frozen=True, slots=True)
class Note:
    """A finding that still has its position. `about`: the replications that it concerns."""

    where: Where
    severity: Severity
    code: str
    message: str
    about: tuple[str, ...] = ()

    def finding(self) -> Finding:
        """The note as everybody else knows it."""
        return Finding(self.severity, self.code, self.message, str(self.where))


@dataclass(slots=True)
class Notes:
    """Collects notes, each once, up to a bound for each severity."""

    all: dict[Note, None] = field(default_factory=dict)
    counts: dict[Severity, int] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    """The replication that is being looked at, for warnings that name no others."""
    deferred: list[Note] = field(default_factory=list)
    """Errors that `validate` reports, and that do not keep a run from using the spec."""

    def error(self, where: Where, code: str, message: str) -> None:
        """Something that makes the spec unusable."""
        self._take(Note(where, Severity.ERROR, code, message))

    def defer(self, where: Where, code: str, message: str) -> None:
        """Add an error that does not make the spec unusable: a run withholds what depends on it."""
        if len(self.deferred) < NOTE_LIMIT:
            self.deferred.append(Note(where, Severity.ERROR, code, message, self.about))

    def warn(self, where: Where, code: str, message: str, about: Iterable[str] = ()) -> None:
        """Something that is probably not meant."""
        self._take(Note(where, Severity.WARNING, code, message, tuple(about) or self.about))

    def _take(self, note: Note) -> None:
        count = self.counts.get(note.severity, 0)
        if note in self.all or count > NOTE_LIMIT:
            return
        self.counts[note.severity] = count + 1
        if count == NOTE_LIMIT:
            message = f"there are more than {NOTE_LIMIT} of these: mend the ones above, then validate again"
            note = Note(note.where, note.severity, "too-many-findings", message)
        self.all[note] = None

    @property
    def full(self) -> bool:
        """Whether further errors would be dropped anyway."""
        return self.counts.get(Severity.ERROR, 0) > NOTE_LIMIT

    @property
    def failed(self) -> bool:
        """Whether there is any error."""
        return bool(self.counts.get(Severity.ERROR))

    def sorted(self, severity: Severity, files: Sequence[str]) -> tuple[Note, ...]:
        """The notes of one severity by position, files in the order in which they were given."""
        order = {file: i for i, file in enumerate(files)}

        def place(note: Note) -> tuple[int, int, int, str, str]:
            rank = len(order) if note.code == "too-many-findings" else order.get(note.where.file, len(order))
            return rank, note.where.line, note.where.column, note.code, note.message

        return tuple(sorted((note for note in self.all if note.severity is severity), key=place))


def shown(text: str, limit: int = ECHO_LIMIT) -> str:
    r"""Untrusted text on one line: what is not printable is escaped, what is long is cut.

    >>> print(shown(chr(0x202E) + "txt"))
    \u202etxt
    """
    cut = text[:limit]
    safe = "".join(char if _harmless(char) else _escape(char) for char in cut)
    return safe + "…" if len(text) > limit else safe


def _harmless(char: str) -> bool:
    """Space and whatever is neither control, format (bidi), surrogate, unassigned nor a separator."""
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def quoted(text: str) -> str:
    """Untrusted text between double quotes, as one would write it in YAML."""
    return '"' + shown(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant, None when nothing is near (0 to 1: difflib's ratio)."""
    by_form = {_form(one): one for one in sorted(known, reverse=True)}
    found = get_close_matches(_form(word[:_WORD_LIMIT]), by_form, n=1, cutoff=cutoff)
    return by_form[found[0]] if found else None


def _form(word: str) -> str:
    return word.lower().replace("-", "_")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to write instead: the nearest known word, or all of them."""
    words = list(known)
    near = nearest(word, words)
    if near is not None:
        return f"did you mean `{shown(near)}`?"
    listed = ", ".join(shown(one) for one in words[:WORDS_LISTED])
    return f"write one of: {listed}" + (", …" if len(words) > WORDS_LISTED else "")


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_TRAPS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def inline(value: object) -> str:
    """An example as one line of YAML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{inline(key)}: {inline(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(one) for one in value) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _TRAPS:
        return value
    return json.dumps(value, ensure_ascii=False)
