"""Two effects of one change, as approved and as planned now -> in words, what is not as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.change import Change, Fate

Effect: TypeAlias = Mapping[str, Any]
"""What `plan.effect_of` makes of a change."""

_EXPECTED = ("source version", "source last modified", "version", "last modified")
_SPOKEN = {"type": "type", "tier": "tier", "data_type": "DataType", "key": "KeyId"}
"""Desired attributes that are shown as they were and are; the others may be long, or hidden."""
_NAMED = {one.field: one.name for one in COPIED if one.field not in _SPOKEN}
_NAMED["shaping"] = "key or rewrite rules"


def differences(old: Effect, new: Effect, change: Change) -> tuple[str, ...]:
    """In words, what of an effect is not as it was; empty when it is the same."""
    if old == new:
        return ()
    found = [_became(word, old.get(word), new.get(word)) for word in ("action", "row", "source")]
    found.append(_fate(old.get("fate"), change))
    found += _expected(old.get("expected"), new["expected"])
    found += [
        f"{what} other than approved" if old.get(word) != new.get(word) else ""
        for word, what in (("tags_added", "tags to add"), ("tags_removed", "tags to remove"))
    ]
    found.append(_became("attributes that differ", old.get("differs"), new.get("differs")))
    found += [
        _became(words, old.get(word, False), new.get(word, False))
        for word, words in (("takes_over", "takes over"), ("unproven", "unproven"))
    ]
    found += _desired(old.get("desired"), new.get("desired"))
    told = tuple(text for text in found if text)
    return told or ("not the change that was approved",)


def _became(word: str, old: object, new: object) -> str:
    return "" if old == new else f"{word} {_shown(old)} became {_shown(new)}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(str(item) for item in value) or "none"
        case _:
            return str(value)


def _fate(old: object, change: Change) -> str:
    if old == change.fate.value:
        return ""
    if change.fate is Fate.WITHHELD:
        return f"withheld now, by {', '.join(change.withheld_by)}"
    return "withheld then, to be applied now"


def _expected(old: object, new: Sequence[int | None]) -> list[str]:
    if not isinstance(old, list) or len(old) != len(new):
        return ["expected versions other than approved"]
    pairs = list(zip(_EXPECTED, old, new, strict=True))
    versions = [_became(word, before, after) for word, before, after in pairs if word.endswith("version")]
    if any(versions):
        return versions
    return [f"{word} other than approved" for word, before, after in pairs if before != after]


def _desired(old: object, new: Effect | None) -> list[str]:
    if old == new:
        return []
    if not isinstance(old, dict) or new is None:
        return ["what it should hold is other than approved"]
    spoken = [_became(words, old.get(word), new.get(word)) for word, words in _SPOKEN.items()]
    named = [f"{words} changed" if old.get(word) != new.get(word) else "" for word, words in _NAMED.items()]
    return spoken + named
