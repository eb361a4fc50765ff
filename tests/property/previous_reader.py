"""The reader of plans and reports before `ssm_reconcile.documents`: the oracle of `test_documents.py`.

Keys that are not known are ignored; what is missing or of another kind is named by its place, never
quoted. A file may come from anybody: nothing of its content gets into a message.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ssm_reconcile.change import Action
from ssm_reconcile.errors import UsageError
from ssm_reconcile.plan import COUNTED

MAJOR = "1"
Shape: TypeAlias = Any
"""A type; a dict of shapes by key; a list of one shape; `{"*": shape}` for any key; `(shape, ..., None)`
where null or nothing will do too; a pattern of texts."""
PLAN_ID = re.compile(r"[0-9a-f]{64}")
LARGEST = float.fromhex("0x1.fffffffffffffp+1023")
"""The largest number that is one in floating point."""

_REPLICATION = {
    "name": str,
    "id": PLAN_ID,
    "source": str,
    "summary": {"*": int},
    "selected": (int, None),
    "complete": (bool, None),
    "source_complete": (bool, None),
}
_TARGET = {
    "name": str,
    "replication": str,
    "place": str,
    "complete": bool,
    "frozen": bool,
    "replicas": int,
    **dict.fromkeys((*COUNTED, "withheld"), (int, None)),
}
_ATTRIBUTE = {
    "before": (str, {"*": str}, None),
    "after": (str, None),
    "secret": (bool, None),
    "cut": (bool, None),
    "added": ({"*": str}, None),
    "removed": ([str], None),
}
_EXPECTED = {
    "source_version": (int, None),
    "source_last_modified": (str, None),
    "version": (int, None),
    "last_modified": (str, None),
}
_ADDRESS = {"replication": str, "target": str, "name": str, "row": str}
_CHANGE = {
    **_ADDRESS,
    "action": str,
    "attributes": {"*": _ATTRIBUTE},
    "reasons": [str],
    "expected": _EXPECTED,
    "fate": str,
    "withheld_by": ([str], None),
    "changed_outside": (bool, None),
    "exposes": (bool, None),
    "source": (str, None),
    "writer": (str, None),
    "type": (str, None),
    "takes_over": (bool, None),
    "unproven": (bool, None),
    "pending": (bool, None),
}
_OTHER = {**_ADDRESS, "reasons": [str], "counted": (str, None)}
_FINDING = {
    "severity": str,
    "code": str,
    "message": str,
    "where": str,
    "replication": (str, None),
    "about": ([{"target": str, "name": str}], None),
}
_COMMON = {
    "format_version": str,
    "plan_id": PLAN_ID,
    "summary": {"*": int},
    "targets": [_TARGET],
    "others": [_OTHER],
    "findings": [_FINDING],
    "replications": [_REPLICATION],
    "created": (str, None),
    "tool_version": (str, None),
    "mode": str,
    "complete": bool,
    "narrowed": {"targets": [str], "only": [str]},
}
_BUDGET = {"calls": {"*": int}, "writes": int, "seconds": float}
_DROPPED = {"replication": str, "target": str, "name": str, "action": str}
_AGAINST = {"pending": int, "dropped": [_DROPPED]}
_PLAN: Shape = {**_COMMON, "changes": [_CHANGE], "budget": (_BUDGET, None), "against": (_AGAINST, None)}
_OUTCOME = {
    **_ADDRESS,
    "action": str,
    "outcome": str,
    "error": (str, None),
    "note": (str, None),
    "type": (str, None),
}
_REMAINING = {"replication": str, "target": str, "name": str, "reason": str}
_REPORT: Shape = {
    **_COMMON,
    "outcomes": [_OUTCOME],
    "remaining": [_REMAINING],
    "interrupted": bool,
    "exit_code": int,
    "planned": ({"*": int}, None),
    "approval": (str, None),
}


def read_plan_document(text: str) -> dict[str, Any]:
    """The document of a saved plan; raises UsageError when the text is none."""
    document = _parse(text, "plan")
    check_format(document)
    return document


def read_report_document(text: str) -> dict[str, Any]:
    """The document of a saved report; raises UsageError when the text is none."""
    document = _parse(text, "report")
    _check_version(document, "report")
    _check_shape(document, _REPORT, "report")
    _check_sums(document, "report", "outcomes")
    return document


def check_format(document: Mapping[str, Any]) -> None:
    """Raises UsageError unless this is a plan of a format that this version reads."""
    _check_version(document, "plan")
    _check_shape(document, _PLAN, "plan")
    _check_sums(document, "plan", "changes")


def _parse(text: str, what: str) -> dict[str, Any]:
    try:
        document = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_doubles,
        )
        if _HALF.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        message = f"this is not a saved {what}: it is not a JSON object, or not a sound one"
        raise UsageError(message, f"make one with `ssm-reconcile {_MAKER[what]} --out FILE`")
    return document


_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Where half of a character may be: alone it is no text, and could be neither shown nor compared."""


def _refuse_constant(_: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Of two equal keys one reader takes the first and another the last: what would have been approved?"""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


_MAKER = {"plan": "plan", "report": "apply"}


def _check_version(document: Mapping[str, Any], what: str) -> None:
    version = document.get("format_version")
    key = {"plan": "changes", "report": "outcomes"}[what]
    if not isinstance(version, str) or "plan_id" not in document or key not in document:
        message = f"this is not a saved {what}: it lacks `format_version`, `plan_id` or `{key}`"
        raise UsageError(message, f"make one with `ssm-reconcile {_MAKER[what]} --out FILE`")
    major, dot, minor = version.partition(".")
    if major != MAJOR or not dot or not (minor.isascii() and minor.isdigit()):
        message = f"this {what} has another format than {MAJOR}.x, which this version reads"
        raise UsageError(message, f"make the {what} anew, or use the version of ssm-reconcile that made it")


def _check_shape(document: Mapping[str, Any], shape: Shape, what: str) -> None:
    place = _misfit(document, shape, "")
    if place is not None:
        message = f"this {what} is damaged: `{place}` is missing or not of the kind it should be"
        raise UsageError(message, f"make the {what} anew")


def _check_sums(document: Mapping[str, Any], what: str, key: str) -> None:
    """Every address belongs to a target that is listed, and the summary counts what is there.

    So that nothing in a file can hide behind a summary, or in a target that no output would name.
    """
    targets = {(target["replication"], target["name"]) for target in document["targets"]}
    names = {part["name"] for part in document["replications"]}
    items = [*document[key], *document["others"]]
    known = all((item["replication"], item["target"]) in targets for item in items)
    word = {"changes": "action", "outcomes": "outcome"}[key]
    counts = Counter(item[word] for item in document[key])
    counts["withheld"] += sum(item.get("fate") == "withheld" for item in document[key])
    told = document["summary"]
    right = all(told.get(name, 0) == number for name, number in counts.items())
    if what == "plan":
        at = Counter((item["replication"], item["target"], item["action"]) for item in document[key])
        right = right and all(
            at[target["replication"], target["name"], action] == (target.get(action) or 0)
            for target in document["targets"]
            for action in Action
        )
    if not known or not right or not {name for name, _ in targets} <= names:
        message = f"this {what} is damaged: `targets` or `summary` do not fit `{key}`"
        raise UsageError(message, f"make the {what} anew")


def _misfit(value: object, shape: Shape, place: str) -> str | None:
    """Where a value does not fit a shape; None when it does."""
    if isinstance(shape, tuple):
        fits = value is None or any(one and _misfit(value, one, place) is None for one in shape)
        return None if fits else place
    if isinstance(shape, list):
        return _misfit_list(value, shape[0], place)
    if isinstance(shape, dict):
        return _misfit_dict(value, shape, place)
    return None if _is_of(value, shape) else place


def _is_of(value: object, kind: type | re.Pattern[str]) -> bool:
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    if isinstance(value, bool):
        return kind is bool
    if kind is float:  # of an integer without bounds not every number is one
        return isinstance(value, int | float) and abs(value) <= LARGEST
    return isinstance(value, kind)


def _misfit_list(value: object, shape: Shape, place: str) -> str | None:
    if not isinstance(value, list):
        return place
    return _first(_misfit(item, shape, f"{place}[{i}]") for i, item in enumerate(value))


def _misfit_dict(value: object, shape: Shape, place: str) -> str | None:
    if not isinstance(value, dict):
        return place
    if "*" in shape:
        return _first(_misfit(item, shape["*"], f"{place}.*") for item in value.values())
    return _first(_misfit(value.get(key), one, f"{place}.{key}".lstrip(".")) for key, one in shape.items())


def _first(places: Iterable[str | None]) -> str | None:
    return next((place for place in places if place is not None), None)
