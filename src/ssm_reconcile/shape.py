"""One value + the rules -> the value that a target gets, and what may be kept of it.

Used by `observe` (to compare) and by `apply` (to write), so that what is compared is what is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from ssm_reconcile.aws_limits import ADVANCED_BYTES, PATTERN_LIMIT, STANDARD_BYTES
from ssm_reconcile.encoding import is_unicode, utf8
from ssm_reconcile.model import SECURE, STRING_LIST, Reading, RegionTie, SealedText, Substitution, Value
from ssm_reconcile.secret_detection import value_looks_secret

EXCERPT = 200
"""How many characters of a plain value are kept to be shown."""
DIGEST_BYTES = 16
"""Of a digest with a random key of this run: enough, and there is one for each value of each place."""
PATTERN_MEMORY = 1 << 20
"""Bytes that one compiled pattern may take; a pattern that needs more is not judged."""
_AMBIGUOUS = re.compile(r"\(\?[A-Za-z-]*U|&&|\[[^\]]*\[")
"""Syntax that RE2 compiles with another meaning than Java: the flag U, and sets inside of sets."""


def shape(text: SealedText, substitutions: Iterable[Substitution]) -> SealedText:
    """The value with every rewrite applied: literal text, all its occurrences."""
    shaped = text.reveal()
    for change in substitutions:
        shaped = shaped.replace(change.old, change.new)
    return SealedText(shaped)


def normalize_value(text: str, kind: str) -> str:
    """The form in which values are compared.

    AWS returns a StringList with no spaces around its commas, whatever was written (aws-facts B10),
    so they make no difference; everything else is compared byte for byte.
    """
    if kind != STRING_LIST:
        return text
    return ",".join(item.strip(" ") for item in text.split(","))


def digest_value(text: SealedText, kind: str, key: bytes) -> bytes:
    """A keyed digest: tells within one run whether two values are equal, and nothing to anybody else."""
    return hashlib.blake2b(
        utf8(normalize_value(text.reveal(), kind)), key=key, digest_size=DIGEST_BYTES
    ).digest()


def utf8_size(text: str) -> int:
    """Bytes of UTF-8. Half a character (a lone surrogate) counts as three."""
    return len(utf8(text))


def pattern_accepts(pattern: str, before: SealedText, after: SealedText, kind: str = "") -> bool | None:
    """Whether AWS accepts a rewritten value under an AllowedPattern; None where this is not known.

    The engine of AWS and its anchoring are not known (aws-facts B10). A reading of the pattern counts
    only where it accepts `before`, the value that the source holds. The result is True or False where
    all such readings agree.
    """
    old, new = before.reveal(), after.reveal()
    if not pattern or old == new:
        return True
    if len(pattern) > PATTERN_LIMIT or _AMBIGUOUS.search(pattern):
        return None
    if max(utf8_size(old), utf8_size(new)) > ADVANCED_BYTES or not is_unicode(pattern + old + new):
        return None
    holding = [reading for reading in _readings(pattern, kind) if reading(old)]
    verdicts = {reading(new) for reading in holding}
    return verdicts.pop() if len(verdicts) == 1 else None


def _readings(pattern: str, kind: str) -> list[Callable[[str], bool]]:
    """The ways in which AWS may read a pattern: whole or partial, the value or each item of a list.

    Empty where RE2 cannot compile the pattern. RE2 runs in linear time and within `PATTERN_MEMORY`, so
    that no pattern holds a run up and no verdict depends on the speed of the machine.
    """
    import re2  # here: `--help` and `validate` do not need it

    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, True, PATTERN_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        return []

    def whole(text: str) -> bool:
        return compiled.fullmatch(text) is not None

    def partial(text: str) -> bool:
        return compiled.search(text) is not None

    if kind != STRING_LIST:
        return [whole, partial]
    return [
        whole,
        partial,
        lambda text: all(map(whole, text.split(","))),
        lambda text: all(map(partial, text.split(","))),
    ]


def is_invalid_rewrite(before: SealedText, after: SealedText) -> bool:
    """Whether a rewrite made of a value what AWS refuses: nothing at all, or a `{{ }}` (aws-facts B10).

    What the source holds AWS has taken; a rewrite is not blamed for what was in there before.
    """
    return _refused(after.reveal()) and not _refused(before.reveal())


def _refused(text: str) -> bool:
    """Whether a value is empty or holds a `{{ }}` reference to another parameter."""
    opening = text.find("{{")  # not a regular expression: `{{` alone, many times, takes quadratic time
    return not text or (opening >= 0 and text.find("}}", opening + 2) >= 0)


def read(
    value: Value,
    substitutions: Iterable[Substitution],
    key: bytes,
    *,
    show: bool,
    pattern: str = "",
    lifted: bool = False,
    region: str = "",
) -> Reading:
    """What is kept of one value. `show`: its name and place allow its beginning to be seen.

    A value that arrives as a SecureString is never shown, whatever its listing said a moment ago. One that
    looks like a secret is not shown either, unless `lifted`. `region` is searched for in a plain value.
    """
    plain = value.type != SECURE
    shaped = shape(value.text, substitutions)
    before, text = value.text.reveal(), shaped.reveal()
    looks_secret = show and plain and not lifted and any(map(value_looks_secret, {before, text}))
    show = show and plain and not looks_secret
    size = utf8_size(text)
    return Reading(
        version=value.version,
        last_modified=value.last_modified,
        digest=digest_value(shaped, value.type, key),
        excerpt=text[:EXCERPT] if show else None,
        cut=show and len(text) > EXCERPT,
        rewritten=text != value.text.reveal(),
        fits_standard=size <= STANDARD_BYTES,
        fits_advanced=size <= ADVANCED_BYTES,
        fits_pattern=pattern_accepts(pattern, value.text, shaped, value.type) is not False,
        is_invalid_rewrite=is_invalid_rewrite(value.text, shaped),
        is_unicode=is_unicode(text),
        looks_secret=looks_secret,
        tie=remaining_tie(before, text, region) if region and plain else None,
        type=value.type,
    )


_ID = re.compile(
    r"(?<![A-Za-z0-9-])(?:ami|vpc|subnet|sg|i|vol|snap|eni|rtb|igw|nat|eipalloc|acl|tgw|fs|lt|vpce|pcx"
    r"|sgr|vpce-svc)-(?:[0-9a-f]{17}|(?=[0-9]{0,7}[a-f])[0-9a-f]{8})(?![A-Za-z0-9])"
)
"""Eight digits without a letter are more often a date or a number."""
_GENERATED = (
    r"[^\s\"',]*(?:[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|(?<=secret:)[^\s\"',]*-[A-Za-z0-9]{6}(?![\w-]))"
)


def region_tie(text: str, region: str) -> RegionTie | None:
    """Return what ties a plain value to the region that it was read from; None when nothing does."""
    if _ID.search(text):
        return RegionTie.ID
    if region not in text.lower():
        return None
    arn = rf"arn:aws[a-z-]*:[a-z0-9-]+:{re.escape(region)}:\d*:{_GENERATED}"
    if re.search(arn, text):
        return RegionTie.ARN
    return RegionTie.REGION if re.search(rf"(?<![a-z0-9]){re.escape(region)}(?!\d)", text.lower()) else None


def remaining_tie(before: str, after: str, region: str) -> RegionTie | None:
    """Return what still ties a value to its region after the rewrites; None when nothing does.

    Only what the rewrites left as it was counts. The bare name of a region is not a tie here.
    """
    if any(found[0] in before for found in _ID.finditer(after)):
        return RegionTie.ID
    if region not in after.lower():
        return None
    pattern = _host_or_arn(region)
    return RegionTie.REGION if pattern.search(after) and pattern.search(before) else None


@lru_cache
def _host_or_arn(region: str) -> re.Pattern[str]:
    """Return the pattern of an ARN in a region, and of a host name with the region as a label."""
    name = re.escape(region)
    return re.compile(
        rf"arn:aws[a-z-]{{0,12}}:[a-z0-9-]{{1,40}}:{name}:|(?<![A-Za-z0-9]){name}\.[a-z]"
        rf"|[a-z0-9]\.{name}(?![a-z0-9-])",
        re.IGNORECASE,
    )
