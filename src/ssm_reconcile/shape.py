"""One value + the rules -> the value that a target gets, and what may be kept of it.

Used by `observe` (to compare) and by `apply` (to write), so that what is compared is what is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from ssm_reconcile.model import SECURE, STRING_LIST, Reading, Sealed, Substitution, Value

STANDARD_BYTES = 4096
"""The size limit of a Standard value, in bytes of UTF-8 (aws-facts B3)."""
ADVANCED_BYTES = 8192
"""The size limit of an Advanced value, in bytes of UTF-8 (aws-facts B3)."""
EXCERPT = 200
"""How many characters of a plain value are kept to be shown."""
DIGEST_BYTES = 16
"""Of a digest with a random key of this run: enough, and there is one for each value of each place."""
_REFERENCE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
"""What AWS takes for a reference to another parameter, and refuses in a value (aws-facts B10)."""


def shape(text: Sealed, substitutions: Iterable[Substitution]) -> Sealed:
    """The value with every rewrite applied: literal text, all its occurrences."""
    shaped = text.reveal()
    for change in substitutions:
        shaped = shaped.replace(change.old, change.new)
    return Sealed(shaped)


def normal(text: str, kind: str) -> str:
    """The form in which values are compared.

    AWS returns a StringList with no spaces around its commas, whatever was written (aws-facts B10),
    so they make no difference; everything else is compared byte for byte.
    """
    if kind != STRING_LIST:
        return text
    return ",".join(item.strip(" ") for item in text.split(","))


def seal(text: Sealed, kind: str, key: bytes) -> bytes:
    """A keyed digest: tells within one run whether two values are equal, and nothing to anybody else."""
    return hashlib.blake2b(normal(text.reveal(), kind).encode(), key=key, digest_size=DIGEST_BYTES).digest()


def matches(pattern: str, text: str) -> bool:
    """Whether AWS takes a value under an AllowedPattern, as far as it can be told here.

    AWS's engine is not ours (aws-facts B10): a pattern that ours cannot read is taken as no match.
    """
    try:
        return not pattern or re.search(pattern, text) is not None
    except re.error:
        return False


def surely_matches(pattern: str, before: Sealed, after: Sealed) -> bool:
    """Whether a rewritten value matches, whichever way AWS matches: the whole value, or anywhere in it.

    Which one it is nobody knows (aws-facts B10), but what the source holds has matched: where only a part
    of that does, a part is enough.
    """
    text, known = after.reveal(), before.reveal()
    return matches(pattern, text) and (_whole(pattern, text) or not _whole(pattern, known))


def _whole(pattern: str, text: str) -> bool:
    return not pattern or re.fullmatch(pattern, text) is not None


def spoiled(before: Sealed, after: Sealed) -> bool:
    """Whether a rewrite made of a value what AWS refuses: nothing at all, or a `{{ }}` (aws-facts B10).

    What the source holds AWS has taken; a rewrite is not blamed for what was in there before.
    """
    return _refused(after.reveal()) and not _refused(before.reveal())


def _refused(text: str) -> bool:
    return not text or _REFERENCE.search(text) is not None


def read(
    value: Value, substitutions: Iterable[Substitution], key: bytes, *, show: bool, pattern: str = ""
) -> Reading:
    """What is kept of one value. `show`: its name and place allow its beginning to be seen.

    A value that arrives as a SecureString is never shown, whatever its listing said a moment ago.
    """
    show = show and value.type != SECURE
    shaped = shape(value.text, substitutions)
    text = shaped.reveal()
    size = len(text.encode())
    return Reading(
        version=value.version,
        last_modified=value.last_modified,
        digest=seal(shaped, value.type, key),
        excerpt=text[:EXCERPT] if show else None,
        cut=show and len(text) > EXCERPT,
        fits_standard=size <= STANDARD_BYTES,
        fits_advanced=size <= ADVANCED_BYTES,
        fits_pattern=matches(pattern, text),
        spoiled=spoiled(value.text, shaped),
    )
