"""Text of a saved plan or report -> a document of the declared types, or an error that names the path.

The file may come from anyone: no part of its content is repeated in a message.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, NotRequired, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

from ssm_reconcile.change import Action
from ssm_reconcile.documents import (
    FORMAT_VERSION,
    ChangeEntry,
    OutcomeEntry,
    PlanDocument,
    ReportDocument,
    TargetEntry,
)
from ssm_reconcile.documents.counts import LENIENT, Keywords
from ssm_reconcile.errors import UsageError
from ssm_reconcile.plan import COUNTED
from ssm_reconcile.report import Result

MAJOR = FORMAT_VERSION.partition(".")[0]
Shape: TypeAlias = Any
"""A type; a compiled pattern of texts; a `BoundedShape`; a dict of shapes by key; `{"*": shape}` for any key;
a list of one shape; a tuple of alternatives, with None where null or a missing key is accepted too."""
LARGEST = float.fromhex("0x1.fffffffffffffp+1023")
"""The largest number that floating point can hold."""


@dataclass(frozen=True, slots=True)
class BoundedShape:
    """A shape of a number with a minimum, or of a list with a maximum length."""

    shape: Shape
    minimum: float
    max_items: float


_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character (a lone surrogate): such a text can be neither printed nor compared."""
_COMMANDS = {"plan": "plan", "report": "apply"}
_ITEMS = {"plan": "changes", "report": "outcomes"}


def read_plan_or_report(text: str) -> PlanDocument | ReportDocument:
    """Return the document of a saved plan or report; a report has `outcomes`. Raise UsageError for others."""
    document = _parsed(text, "plan or report")
    return _report(document) if "outcomes" in document else _plan(document)


def read_plan_document(text: str) -> PlanDocument:
    """Return the document of a saved plan; raise UsageError when the text is not a plan."""
    return _plan(_parsed(text, "plan"))


def read_report_document(text: str) -> ReportDocument:
    """Return the document of a saved report; raise UsageError when the text is not a report."""
    return _report(_parsed(text, "report"))


def counts_of(target: TargetEntry) -> dict[str, int]:
    """Return the counts of a target by the words of a summary, 0 for a word that the file lacks."""
    counts = cast("Mapping[str, int | None]", target)
    return {word: counts.get(word) or 0 for word in (*COUNTED, "withheld")}


def _plan(document: dict[str, Any]) -> PlanDocument:
    _check(document, PlanDocument, "plan")
    plan = cast("PlanDocument", document)
    changes = plan["changes"]
    actions = Counter((change["replication"], change["target"], change["action"]) for change in changes)
    counted = all(
        actions[target["replication"], target["name"], action] == counts_of(target)[action]
        for target in plan["targets"]
        for action in Action
    )
    totals = Counter(change["action"] for change in changes)
    totals["withheld"] += sum(change["fate"] == "withheld" for change in changes)
    _check_sums(plan, changes, totals, "plan", counted=counted)
    return plan


def _report(document: dict[str, Any]) -> ReportDocument:
    _check(document, ReportDocument, "report")
    report = cast("ReportDocument", document)
    totals = Counter({Result.WITHHELD.value: 0})
    totals.update(outcome["outcome"] for outcome in report["outcomes"])
    _check_sums(report, report["outcomes"], totals, "report")
    return report


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        document = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_doubles
        )
        if _HALF.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        message = f"this is not a saved {what}: it is not a valid JSON object"
        commands = " or ".join(
            f"`ssm-reconcile {command} --out FILE`" for kind, command in _COMMANDS.items() if kind in what
        )
        raise UsageError(message, f"make one with {commands}")
    return document


def _refuse_constant(_: str) -> None:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _without_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal keys one reader takes the first and another the last: an approval would be ambiguous.
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _check(document: Mapping[str, Any], kind: type, what: str) -> None:
    """Raise UsageError unless a document is a plan or report of this format and fits its type."""
    version, items = document.get("format_version"), _ITEMS[what]
    if not isinstance(version, str) or "plan_id" not in document or items not in document:
        message = f"this is not a saved {what}: it lacks `format_version`, `plan_id` or `{items}`"
        raise UsageError(message, f"make one with `ssm-reconcile {_COMMANDS[what]} --out FILE`")
    major, dot, minor = version.partition(".")
    if major != MAJOR or not dot or not (minor.isascii() and minor.isdigit()):
        message = f"this {what} has another format than {MAJOR}.x, which this version reads"
        raise UsageError(message, f"make a new {what}, or use the version of ssm-reconcile that made it")

    place = _misfit(document, _document_shape(kind), "")
    if place is not None:
        message = f"this {what} is damaged: `{place}` is missing or of the wrong type"
        raise UsageError(message, f"make a new {what}")


def _check_sums(
    document: PlanDocument | ReportDocument,
    items: Sequence[ChangeEntry] | Sequence[OutcomeEntry],
    totals: Mapping[str, int],
    what: str,
    *,
    counted: bool = True,
) -> None:
    """Raise UsageError unless every address has a listed target, and the summary equals the totals.

    Otherwise a file could hold changes that its summary, or any output by target, does not show.
    """
    targets = {(target["replication"], target["name"]) for target in document["targets"]}
    listed = all((item["replication"], item["target"]) in targets for item in (*items, *document["others"]))
    summary = document["summary"]
    counted = counted and all(summary.get(word, 0) == number for word, number in totals.items())
    names = {part["name"] for part in document["replications"]}
    if not listed or not counted or not {name for name, _ in targets} <= names:
        message = f"this {what} is damaged: `targets` or `summary` do not fit `{_ITEMS[what]}`"
        raise UsageError(message, f"make a new {what}")


@cache
def _document_shape(kind: type) -> Shape:
    """Return the shape of a plan or a report; it is derived from hundreds of type hints."""
    return _shape_of(kind)


def _shape_of(kind: Any) -> Shape:
    """Return the shape that a type stands for; see `Shape`."""
    arguments = get_args(kind)
    match get_origin(kind):
        case origin if origin is Annotated:
            inner = _bounded(_shape_of(arguments[0]), arguments[1:])
            pattern = next((one for one in arguments[1:] if isinstance(one, re.Pattern)), inner)
            return (pattern, None) if LENIENT in arguments[1:] else pattern
        case origin if origin is NotRequired:
            return (_shape_of(arguments[0]), None)
        case origin if origin in (UnionType, Union):
            return tuple(None if one is type(None) else _shape_of(one) for one in arguments)
        case origin if origin in (list, Sequence):
            return [_shape_of(arguments[0])]
        case origin if origin is dict:
            return {"*": _shape_of(arguments[1])}
        case _ if isinstance(kind, type) and issubclass(kind, dict):
            hints = get_type_hints(kind, include_extras=True)
            total = vars(kind)["__total__"]
            return {key: _shape_of(one if total else NotRequired[one]) for key, one in hints.items()}
        case _:
            return kind


def _bounded(shape: Shape, annotations: Iterable[object]) -> Shape:
    """Return a shape with the limits that its keywords of JSON Schema set."""
    limits: dict[str, Any] = {}
    for one in annotations:
        limits |= one.values if isinstance(one, Keywords) else {}
    if limits.keys().isdisjoint(("minimum", "maxItems")):
        return shape
    return BoundedShape(shape, limits.get("minimum", -math.inf), limits.get("maxItems", math.inf))


def _misfit(value: object, shape: Shape, place: str) -> str | None:
    """Return the path of the first value that does not fit a shape; None when every value fits."""
    if isinstance(shape, tuple):
        accepted = value is None and None in shape
        fitting = accepted or any(_misfit(value, one, place) is None for one in shape if one is not None)
        return None if fitting else place
    if isinstance(shape, BoundedShape):
        found = _misfit(value, shape.shape, place)
        return place if found is None and not _is_within(value, shape) else found
    if isinstance(shape, list):
        if not isinstance(value, list):
            return place
        return _first(_misfit(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value))
    if not isinstance(shape, dict):
        return None if _is_of(value, shape) else place
    if not isinstance(value, dict):
        return place
    if "*" in shape:
        return _first(_misfit(item, shape["*"], f"{place}.*") for item in value.values())
    return _first(_misfit(value.get(key), one, f"{place}.{key}".lstrip(".")) for key, one in shape.items())


def _is_within(value: Any, limits: BoundedShape) -> bool:
    if isinstance(value, list):
        return len(value) <= limits.max_items
    return bool(value >= limits.minimum)


def _is_of(value: object, kind: type | re.Pattern[str]) -> bool:
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    if isinstance(value, bool):  # Python counts it as an int
        return kind in (bool, object)
    if kind is float:  # an int has no bounds, a float has
        return isinstance(value, int | float) and abs(value) <= LARGEST
    return isinstance(value, kind)


def _first(places: Iterable[str | None]) -> str | None:
    return next((place for place in places if place is not None), None)
