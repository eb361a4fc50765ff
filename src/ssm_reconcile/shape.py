"""One value + its rewrites -> the value of the target, and the facts that are kept of it.

`observe` (to compare) and `apply` (to write) both use it, so that the compared value is the written one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from ssm_reconcile.aws_limits import ADVANCED_BYTES, PATTERN_LIMIT, STANDARD_BYTES
from ssm_reconcile.encoding import is_unicode, utf8
from ssm_reconcile.model import (
    SECURE,
    STRING_LIST,
    Reading,
    RegionTie,
    SealedText,
    Substitution,
    Value,
    ValueRequest,
)
from ssm_reconcile.secret_detection import value_looks_secret

EXCERPT = 200
"""The most characters of a text that are shown of a plain value."""
_LEAD = 40
"""Characters before the first difference of two texts that are shown of long ones."""
DIGEST_BYTES = 16
"""The size of the digest of a value. Its key is random and of this run only."""
PATTERN_MEMORY = 1 << 20
"""The most bytes of one compiled pattern; a pattern that needs more is not evaluated."""
_AMBIGUOUS = re.compile(r"\(\?[A-Za-z-]*U|&&|\[[^\]]*\[")
"""Syntax that means something else in RE2 than in Java: the flag U, and nested sets."""


def shape(text: SealedText, substitutions: Iterable[Substitution]) -> SealedText:
    """Return the value with all rewrites applied. A rewrite replaces every occurrence of a literal text."""
    shaped = text.reveal()
    for change in substitutions:
        shaped = shaped.replace(change.old, change.new)
    return SealedText(shaped)


def normalize_value(text: str, kind: str) -> str:
    """Return a value as it is compared: a StringList without spaces around its commas.

    AWS removes these spaces on write (API reference, GetParameters). All other text is compared
    byte for byte.
    """
    if kind != STRING_LIST:
        return text
    return ",".join(item.strip(" ") for item in text.split(","))


def digest_value(text: SealedText, kind: str, key: bytes) -> bytes:
    """Return a keyed digest, by which two values of one run can be compared.

    Args:
        text: The value.
        kind: The type of the parameter.
        key: A random key of this run. Without it, the digest reveals nothing.
    """
    return hashlib.blake2b(
        utf8(normalize_value(text.reveal(), kind)), key=key, digest_size=DIGEST_BYTES
    ).digest()


def utf8_size(text: str) -> int:
    """Return the number of bytes in UTF-8. A lone surrogate counts as three."""
    return len(utf8(text))


def excerpt_start(before: str | None, after: str | None) -> int:
    """Return the number of characters to leave out before two texts, so that their first difference is shown.

    0 for texts of at most EXCERPT characters, and where one side does not exist.
    """
    if before is None or after is None or max(len(before), len(after)) <= EXCERPT:
        return 0
    same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    same = min(len(before), len(after)) if same is None else same
    return max(0, same - _LEAD) if same > EXCERPT - _LEAD else 0


def excerpt(text: str | None, start: int = 0) -> str | None:
    """Return at most EXCERPT characters of a text, from `start` on."""
    return None if text is None else text[start : start + EXCERPT]


def pattern_accepts(pattern: str, before: SealedText, after: SealedText, kind: str = "") -> bool | None:
    """Return whether AWS accepts a rewritten value under an AllowedPattern; None if this is unknown.

    AWS does not document its regular expression engine and its anchoring. An interpretation of
    the pattern counts only if it accepts `before`, which AWS has accepted at the source. The result is
    known if all such interpretations agree.

    Args:
        pattern: The AllowedPattern; empty for none.
        before: The value of the source.
        after: The value after its rewrites.
        kind: The type of the parameter.
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
    """Return the interpretations of a pattern: a whole or partial match, of the value or of each list item.

    Empty if RE2 cannot compile the pattern. RE2 runs in linear time and within `PATTERN_MEMORY`, so no
    pattern blocks a run, and no result depends on the speed of the machine.
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
    """Whether a rewrite made a value that AWS refuses: an empty one, or one with `{{ }}`.

    Source: API reference, PutParameter. A value that has `{{ }}` at the source was accepted by AWS,
    so the rewrite is not the cause.
    """
    return _refused(after.reveal()) and not _refused(before.reveal())


def _refused(text: str) -> bool:
    """Whether a value is empty or holds a `{{ }}` reference to another parameter."""
    opening = text.find("{{")  # not a regular expression: `{{` alone, many times, takes quadratic time
    return not text or (opening >= 0 and text.find("}}", opening + 2) >= 0)


def read(value: Value, request: ValueRequest, key: bytes) -> Reading:
    """Return the facts that are kept of one value.

    A value that is read as a SecureString is never shown, even if its listing had another type.

    Args:
        value: The value as it was read.
        request: The treatment of the value.
        key: The key of the digest.
    """
    plain = value.type != SECURE
    shaped = shape(value.text, request.substitutions)
    before, text = value.text.reveal(), shaped.reveal()
    show = request.show and plain
    looks_secret = show and not request.lifted and any(map(value_looks_secret, {before, text}))
    show = show and not looks_secret
    size = utf8_size(text)
    return Reading(
        version=value.version,
        last_modified=value.last_modified,
        digest=digest_value(shaped, value.type, key),
        text=text if show else None,
        rewritten=text != before,
        fits_standard=size <= STANDARD_BYTES,
        fits_advanced=size <= ADVANCED_BYTES,
        fits_pattern=pattern_accepts(request.pattern, value.text, shaped, value.type) is not False,
        is_invalid_rewrite=is_invalid_rewrite(value.text, shaped),
        is_unicode=is_unicode(text),
        looks_secret=looks_secret,
        tie=remaining_tie(before, text, request.region) if request.region and plain else None,
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
    """Return the reference of a plain value to the region that it was read from; None without one."""
    if _ID.search(text):
        return RegionTie.ID
    if region not in text.lower():
        return None
    arn = rf"arn:aws[a-z-]*:[a-z0-9-]+:{re.escape(region)}:\d*:{_GENERATED}"
    if re.search(arn, text):
        return RegionTie.ARN
    return RegionTie.REGION if re.search(rf"(?<![a-z0-9]){re.escape(region)}(?!\d)", text.lower()) else None


def remaining_tie(before: str, after: str, region: str) -> RegionTie | None:
    """Return the reference to a region that the rewrites did not change; None without one.

    The name of a region alone, outside of an ARN or a host name, does not count.

    Args:
        before: The value of the source.
        after: The value after its rewrites.
        region: The region of the source.
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
