"""A plan -> a saved plan that can be applied later, and back to the run that has to be made again.

A saved plan may come from anybody, so nothing in it is trusted to be of the right kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from ssm_reconcile.change import effect_of
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.plan import Plan, fingerprint
from ssm_reconcile.spec import AdoptMode, Run

Document: TypeAlias = Mapping[str, Any]

SHORTEST_ID = 12
"""Hex digits that at least have to be given of a plan id."""
LONGEST_ID = 64
CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future a plan may come from: the clocks of two machines differ."""
GUARD_FLAGS = (
    "overwrite_outside",
    "allow_replace",
    "allow_empty_source",
    "allow_reversed",
    "allow_exposure",
    "max_deletes",
    "max_change_percent",
)
"""Fields of a Run that lift a guard: a saved plan does not bring them along, apply is told again."""


def matches(plan_id: str, given: str) -> bool:
    """Whether `given` names that id: at least 12 hex digits of its beginning, `sha256:` before it or not.

    Raises UsageError when it could name no id at all.
    """
    digits = given.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},{LONGEST_ID}}}", digits):
        message = f"a plan id is {SHORTEST_ID} to {LONGEST_ID} hex digits"
        raise UsageError(message, "copy it from the last line of `ssm-reconcile plan`")
    return plan_id.startswith(digits)


def names(plan: Plan, given: str) -> bool:
    """Whether `given` is the id of this plan, or of the only replication in it."""
    ids = [plan.plan_id]
    if len(plan.replications) == 1:
        ids.append(plan.id_of(plan.replications[0]))
    return any(matches(one, given) for one in ids)


_UNSAID = frozenset({"parallelism", "aim"})
"""Of a run: how fast, and which names an event was about. Neither is for a later apply."""


def bound(
    document: Document, plan: Plan, run: Run, *, name: str | None, spec_files: Sequence[str]
) -> dict[str, Any]:
    """The document of a plan, with `changes[].effect`, `run` and `spec_files`: what apply needs of it."""
    effects = [effect_of(change) for change in sorted(plan.changes, key=lambda c: c.order)]
    changes = [
        {**change, "effect": effect} for change, effect in zip(document["changes"], effects, strict=True)
    ]
    asked = {field.name: getattr(run, field.name) for field in fields(run) if field.name not in _UNSAID}
    asked |= {"targets": list(run.targets), "only": list(run.only), "name": name}
    asked["adopt"] = None if run.adopt is None else run.adopt.value
    return {**document, "changes": changes, "run": asked, "spec_files": list(spec_files)}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a saved plan says of the run that made it. `flags` are the guard flags it was made with."""

    run: Run
    name: str | None
    spec_files: tuple[str, ...]
    flags: tuple[str, ...]


def run_of(document: Document) -> Saved:
    """The run to make again; raises UsageError when the document does not say, or is not what it says.

    Guard flags are not in the run: a guard is lifted by the spec or by its flag, at plan and at apply,
    never by an approval.
    """
    asked = document.get("run")
    files = document.get("spec_files", [])
    if not isinstance(asked, dict) or not _texts(files) or not _fits(asked):
        raise _damaged("it does not say how it was made")
    if any(not isinstance(change.get("effect"), dict) for change in document["changes"]):
        raise _damaged("it does not say what its changes assume")
    if _id_of(document) != document["plan_id"]:
        raise _damaged("its changes are not those of its plan id")
    adopt = asked.get("adopt")
    run = Run(
        verify_values=asked.get("verify_values", False),
        no_decrypt=asked.get("no_decrypt", False),
        targets=tuple(asked.get("targets", ())),
        only=tuple(asked.get("only", ())),
        adopt=None if adopt is None else AdoptMode(adopt),
    )
    flags = tuple(
        _flag(word, asked[word])
        for word in GUARD_FLAGS
        if asked.get(word) is not None and asked[word] is not False  # 0 is a number that was given
    )
    return Saved(run, asked.get("name"), tuple(files), flags)


def _fits(asked: Mapping[str, Any]) -> bool:
    """Whether a `run` holds what it should."""
    adopt, name = asked.get("adopt"), asked.get("name")
    switches = ("verify_values", "no_decrypt", *(flag for flag in GUARD_FLAGS if not flag.startswith("max_")))
    numbers = [asked.get(word) for word in ("max_deletes", "max_change_percent")]
    return (
        all(isinstance(asked.get(word, False), bool) for word in switches)
        and all(_texts(asked.get(word, [])) for word in ("targets", "only"))
        and all(number is None or (isinstance(number, int) and number >= 0) for number in numbers)
        and (adopt is None or adopt in [mode.value for mode in AdoptMode])
        and (name is None or isinstance(name, str))
    )


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _flag(word: str, value: object) -> str:
    flag = "--" + word.replace("_", "-")
    return flag if value is True else f"{flag} {value}"


def _damaged(why: str) -> UsageError:
    return UsageError(
        f"this saved plan cannot be applied: {why}", "make it anew with `ssm-reconcile plan --out FILE`"
    )


def _id_of(document: Document) -> str:
    """The plan id that the effects of a document have: of use against damage, not against forgery."""
    narrowed = document["narrowed"]
    return fingerprint(
        [
            {
                "replication": part["name"],
                "source": part["source"],
                **({"spec_id": part["spec_id"]} if "spec_id" in part else {}),
                "mode": document["mode"],
                "targets": sorted(narrowed["targets"]),
                "only": sorted(narrowed["only"]),
                "changes": [
                    change["effect"]
                    for change in document["changes"]
                    if change["replication"] == part["name"]
                ],
            }
            for part in document["replications"]
        ]
    )


def check_age(
    document: Document, now: datetime, most_days: float, commands: Callable[[int | None], str]
) -> None:
    """Raise PlanRefused when a saved plan is older than `most_days`, or comes from the future.

    `now` is timezone-aware. `commands` returns what to run: to make and apply a new plan, or, with a
    number of days, to apply this one.
    """
    remedy = f"make a new plan and have it approved: {commands(None)}"
    try:
        created = datetime.fromisoformat(str(document.get("created")))
    except ValueError:
        raise PlanRefused("the saved plan does not say when it was made", remedy) from None
    if created.tzinfo is None:
        raise PlanRefused("the saved plan does not say when it was made: its time has no zone", remedy)
    age = now - created
    if age < -CLOCK_SKEW:
        message = "the saved plan was made in the future"
        raise PlanRefused(message, f"check the clocks of both machines, or {remedy}")
    if age > timedelta(days=most_days):
        days = age / timedelta(days=1)
        message = f"the saved plan is {days:.1f} days old, more than {most_days:g}"
        raise PlanRefused(message, f"{remedy}; or allow its age: {commands(int(days) + 1)}")
