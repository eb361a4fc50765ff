"""Two plans of the same addresses -> the difference: a saved plan and a new one, or two specs.

    run_of        document of a saved plan -> the options of the run to repeat
    saved_lifts   documents of saved plans -> the sets of changes that lifts let through
    check_age     an old approval does not count, even if its plan id is valid again
    compare       saved plan and new plan -> the changes that were not approved
    matches       beginning of a plan id, as people type it -> whether it names a plan
    mark_pending  plan and the plan of the spec before (`plan --against`) -> the plan, each change that both
                  have marked as pending

An approval covers what the plan id covers: the effect of every change with the versions that it expects.
The saved plan may come from anyone; `documents.decode` checks the types of its keys.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.change import Change, Fate
from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.encoding import printable
from ssm_reconcile.errors import Address, Finding, PlanRefused, Severity, UsageError
from ssm_reconcile.lift import Lift, Member, read_lift
from ssm_reconcile.plan import Plan, ReplicationPlan, effect_of, fingerprint, mark_stays
from ssm_reconcile.spec import AdoptMode, Replication, Run
from ssm_reconcile.wording import first_of, plural, utc_text

SavedEffect: TypeAlias = Mapping[str, Any]
"""The result of `change.effect_of`."""
ChangeAddress: TypeAlias = tuple[str, str, str]
"""Replication, target, name."""
SHORTEST_ID = 12
"""Minimum hex digits of a plan id that a person gives."""
LONGEST_ID = 64
CLOCK_SKEW = timedelta(minutes=5)
"""Maximum time that the clock of the machine that made the plan may be ahead."""
REST_SHOWN = 20
"""Changes that a finding names one by one."""
MAX_AGE_DAYS = 7
"""Default maximum age of a saved plan."""
GUARD_FLAGS = (
    "overwrite_outside",
    "allow_replace",
    "allow_empty_source",
    "allow_reversed",
    "allow_exposure",
    "max_deletes",
    "max_deletes_total",
    "max_change_percent",
)
"""Fields of a Run that lift a guard. A saved plan does not lift guards: `apply` needs the flags again."""


def matches(plan_id: str, given: str) -> bool:
    """Return whether `given` is the beginning of a plan id, with or without `sha256:` before it.

    Raises:
        UsageError: `given` is not 12 to 64 hex digits.
    """
    digits = given.strip().lower().removeprefix("sha256:")
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},{LONGEST_ID}}}", digits):
        message = f"a plan id is {SHORTEST_ID} to {LONGEST_ID} hex digits"
        raise UsageError(message, "copy it from the last line of `ssm-reconcile plan`")
    return plan_id.startswith(digits)


def names(plan: Plan, given: str) -> bool:
    """Return whether `given` is the id of this plan, or of its only replication."""
    ids = [plan.plan_id]
    if len(plan.replications) == 1:
        ids.append(plan.id_of(plan.replications[0]))
    return any(matches(one, given) for one in ids)


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The run that made a saved plan. `run` lifts no guard; `lifted` is the same run with its guard flags."""

    run: Run
    lifted: Run
    name: str | None
    spec_files: tuple[str, ...]


def run_of(document: PlanDocument) -> SavedRun:
    """Return the run that made a saved plan.

    Raises:
        UsageError: The plan is one of `undo`, lacks its options or effects, or its plan id is not the id of
            its effects.
    """
    if "undoes" in document:
        message = "this is a plan of `undo`, which `apply` cannot make again"
        raise UsageError(message, "apply it with `ssm-reconcile undo REPORT --expect-plan ID`")
    options = document.get("run")
    if not options:
        raise _damage_error("it has no options of its run")
    adopt = options.get("adopt")
    limits = (options.get(key) for key in ("max_deletes", "max_deletes_total", "max_change_percent"))
    numbers = [number or 0 for number in limits]
    if min(numbers) < 0 or adopt not in (None, *AdoptMode):
        raise _damage_error("it has invalid options of its run")
    if any(change.get("effect") is None for change in document["changes"]):
        raise _damage_error("its changes lack their effects")
    if _effects_id(document) != document["plan_id"]:
        raise _damage_error("its changes are not those of its plan id")
    run = Run(
        verify_values=options.get("verify_values") or False,
        no_decrypt=options.get("no_decrypt") or False,
        targets=tuple(options.get("targets") or ()),
        only=tuple(options.get("only") or ()),
        adopt=None if adopt is None else AdoptMode(adopt),
    )
    given: Mapping[str, Any] = options
    flags = {flag: given[flag] for flag in GUARD_FLAGS if given.get(flag) is not None}
    lifts = [read_lift(text) for text in options.get("lift") or ()]
    if None in lifts:
        raise _damage_error("it has invalid options of its run")
    files = tuple(document.get("spec_files") or ())
    given_lifts = tuple(lift for lift in lifts if lift)
    return SavedRun(run, replace(run, lift=given_lifts, **flags), options.get("name"), files)


def saved_lifts(documents: Iterable[PlanDocument]) -> dict[tuple[str, str], frozenset[Member]]:
    """Return the sets of changes that saved plans lifted, by replication and lift (`str(lift)`).

    The guards take a set only if its digest is the one that a present lift names: a saved plan cannot lift
    what the spec, or `--lift`, does not.
    """
    found: dict[tuple[str, str], set[Member]] = {}
    for document in documents:
        for change in document["changes"]:
            for entry in change.get("lifted") or ():
                key = str(Lift(entry["guard"], change["target"], entry["changes"]))
                expected = (change.get("effect") or {}).get("expected")
                versions = tuple(expected) if isinstance(expected, list) else ()
                member = (change["name"], change["action"], versions)
                found.setdefault((change["replication"], key), set()).add(member)
    return {key: frozenset(members) for key, members in found.items()}


def _damage_error(why: str) -> UsageError:
    return UsageError(
        f"this saved plan cannot be applied: {why}", "make a new one with `ssm-reconcile plan --out FILE`"
    )


def _effects_id(document: PlanDocument) -> str:
    """Return the plan id of the effects in a document: this finds damage, not forgery."""
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
                    change.get("effect")
                    for change in document["changes"]
                    if change["replication"] == part["name"]
                ],
            }
            for part in document["replications"]
        ]
    )


def check_age(
    created: str | None, now: datetime, most_days: float, commands: Callable[[int | None], str]
) -> None:
    """Check the age of a saved plan.

    Args:
        created: The time of the saved plan as its document holds it.
        now: The current time, timezone-aware.
        most_days: The maximum age, in days.
        commands: Returns the commands that make and apply a new plan or, with a number of days, the command
            that applies this one.

    Raises:
        PlanRefused: The plan is older than `most_days`, is from the future, or has no valid time.
    """
    remedy = f"make a new plan and have it approved: {commands(None)}"
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        raise PlanRefused("the saved plan does not say when it was made", remedy) from None
    if moment.tzinfo is None:
        raise PlanRefused("the saved plan does not say when it was made: its time has no zone", remedy)
    age = now - moment
    if age < -CLOCK_SKEW:
        message = "the saved plan was made in the future"
        raise PlanRefused(message, f"check the clocks of both machines, or {remedy}")
    if age > timedelta(days=most_days):
        days = age / timedelta(days=1)
        message = f"the saved plan of {utc_text(moment)} is {days:,.1f} days old, more than {most_days:g}"
        raise PlanRefused(message, f"{remedy}; or allow its age: {commands(int(days) + 1)}")


def check_as_of(as_of: datetime, now: datetime, most_days: float) -> None:
    """Check that an instant can be that of the plan with an expected id.

    Args:
        as_of: The instant, timezone-aware.
        now: The current time, timezone-aware.
        most_days: The maximum age, in days.

    Raises:
        UsageError: It is in the future: things would expire early.
        PlanRefused: It is older than `most_days`: lifts that ended long ago would lift again.
    """
    age = now - as_of
    if age < timedelta(0):
        raise UsageError(f"--as-of {utc_text(as_of)} is in the future", "give the `as_of` of the plan")
    if age > timedelta(days=most_days):
        days = age / timedelta(days=1)
        message = f"--as-of {utc_text(as_of)} is {days:,.1f} days ago, more than {most_days:g}"
        remedy = f"make a new plan and have it approved; or allow its age: --max-plan-age {int(days) + 1}"
        raise PlanRefused(message, remedy)


@dataclass(frozen=True, slots=True, order=True)
class ComparedChange:
    """A change of one of two plans. `why` are the differences, or the reasons why it is not planned now."""

    replication: str
    target: str
    name: str
    action: str
    why: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.action} {self.name} in {self.target} ({self.replication})"
        return f"{text}: {'; '.join(self.why)}" if self.why else text


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between a saved plan and a new one.

    `added` and `altered` changes of the new plan were not approved. `done` and `dropped` changes of the saved
    plan are not in the new one: they were made since or are no longer needed (the source of a create was
    deleted), or something prevents them now. `rest` was not approved either, but the spec before makes the
    same changes (`pending`): the reviewed change of the spec did not cause them.
    """

    added: tuple[ComparedChange, ...] = ()
    altered: tuple[ComparedChange, ...] = ()
    done: tuple[ComparedChange, ...] = ()
    dropped: tuple[ComparedChange, ...] = ()
    rest: tuple[ComparedChange, ...] = ()

    @property
    def approved(self) -> bool:
        """Whether every change of the new plan is in the saved one."""
        return not (self.added or self.altered)

    @property
    def unapproved(self) -> tuple[tuple[ComparedChange, str], ...]:
        """Each change that was not approved, with a line of text."""
        added = ((change, f"new: {change}") for change in self.added)
        return (*added, *((change, f"altered: {change}") for change in self.altered))


def compare(saved: Sequence[PlanDocument], plan: Plan) -> Comparison:
    """Compare what the plan id covers, change by change, and the route of each target.

    Args:
        saved: Documents that `run_of` accepted. A change is approved if one of them has it: several pull
            requests can be merged in one push, each with a plan of its own.
        plan: The plan of the same run, made now.
    """
    before: dict[ChangeAddress, list[tuple[SavedEffect, str]]] = {}
    for document in saved:
        routes = _routes(document)
        for entry in document["changes"]:
            address = (entry["replication"], entry["target"], entry["name"])
            saved_effect = entry.get("effect") or {}
            before.setdefault(address, []).append((saved_effect, routes.get(address[:2], "nowhere")))
    now = {
        (part.name, t.name): f"{part.source} to {t.place}" for part in plan.replications for t in part.targets
    }
    added: list[ComparedChange] = []
    altered: list[ComparedChange] = []
    rest: list[ComparedChange] = []
    for change in plan.changes:
        if change.order not in before:
            (rest if change.pending else added).append(ComparedChange(*change.order, change.action.value))
            continue
        effect, route = _as_saved(effect_of(change)), now[change.order[:2]]
        why: tuple[str, ...] = ()
        for old_effect, old_route in before[change.order]:
            why = differences(old_effect, effect, change)
            if old_route != route:
                why = (f"from {old_route} became from {route}", *why)
            if not why:
                break
        if why:
            compared = ComparedChange(*change.order, change.action.value, why)
            (rest if change.pending else altered).append(compared)
    planned = {change.order for change in plan.changes}
    obstacles = _obstacles(plan)
    gone = [
        ComparedChange(*address, str(effects[-1][0].get("action")), obstacles(address))
        for address, effects in before.items()
        if address not in planned
    ]
    done, dropped = [one for one in gone if not one.why], [one for one in gone if one.why]
    return Comparison(*(tuple(sorted(changes)) for changes in (added, altered, done, dropped, rest)))


def _routes(document: PlanDocument) -> dict[tuple[str, str], str]:
    """Return source and place of each target, by the names of the replication and of the target."""
    sources = {part["name"]: part["source"] for part in document["replications"]}
    return {
        (target["replication"], target["name"]): f"{sources.get(target['replication'])} to {target['place']}"
        for target in document["targets"]
    }


def _as_saved(effect: SavedEffect) -> SavedEffect:
    """Return an effect as a file holds it: lists for tuples, no half characters."""
    saved: SavedEffect = json.loads(printable(json.dumps(effect, ensure_ascii=False)))
    return saved


def _obstacles(plan: Plan) -> Callable[[ChangeAddress], tuple[str, ...]]:
    """Return a function from an address to the reasons why nothing is planned there; none if it is done."""
    others = {(other.replication, other.target, other.name): other for other in plan.others}
    listed = {
        (part.name, target.name): part.source_complete and target.complete
        for part in plan.replications
        for target in part.targets
    }

    def obstacle(address: ChangeAddress) -> tuple[str, ...]:
        if address in others:
            other = others[address]
            return (f"now {other.row.value.replace('_', ' ')}", *other.reasons)
        if address[:2] not in listed:
            return ("no longer in the spec",)
        return () if listed[address[:2]] else ("the listing of its place is incomplete",)

    return obstacle


_EXPECTED = ("source version", "source last modified", "version", "last modified")
_LABELS = {
    "action": "action",
    "row": "row",
    "source": "source",
    "tags_added": "tags to add",
    "tags_removed": "tags to remove",
    "differs": "attributes that differ",
    "expires": "end of its mark",
    "after": "seconds from its mark to its delete",
}
_DESIRED = {"type": "type", "tier": "tier", "key": "KeyId", "shaping": "key or rewrite rules"}
_DESIRED |= {one.field: one.name for one in COPIED}
_NOT_SHOWN = {"tags to add", "tags to remove", "source last modified", "last modified"}
_NOT_SHOWN |= {"key or rewrite rules", *(one.name for one in COPIED if one.name != "DataType")}
"""Parts of an effect whose values may be long, or hidden."""


def differences(old: SavedEffect, new: SavedEffect, change: Change) -> tuple[str, ...]:
    """Return the differences of two effects as phrases; none if they are equal.

    Args:
        old: The effect of the saved plan, of any shape.
        new: The effect of the new plan.
        change: The change of the new plan.
    """
    if old == new or (old.get("clears_mark") and old == {**new, "clears_mark": True}):
        return ()  # equal, or the mark was removed since
    before, after = _facts(old), _facts(new)
    found = [] if old.get("fate") == change.fate.value else [_fate(change)]
    for label in after:
        if before.get(label) == after[label]:
            continue
        if label in _NOT_SHOWN:
            found.append(f"{label} other than approved")
        else:
            found.append(f"{label} {_format_value(before.get(label))} became {_format_value(after[label])}")
    return tuple(found) or ("not the change that was approved",)


def _facts(effect: SavedEffect) -> dict[str, object]:
    """Return the parts of an effect by their labels. An effect from a file may have any shape."""
    expected, desired = effect.get("expected"), effect.get("desired")
    facts: dict[str, object] = {label: effect.get(key) for key, label in _LABELS.items()}
    facts |= zip(_EXPECTED, expected if isinstance(expected, list) else (), strict=False)
    facts |= {"takes over": bool(effect.get("takes_over")), "unproven": bool(effect.get("unproven"))}
    facts["removes its mark"] = bool(effect.get("clears_mark"))
    if isinstance(desired, dict):
        facts |= {label: desired.get(key) for key, label in _DESIRED.items()}
    return facts


def _format_value(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(str(item) for item in value) or "none"
        case _:
            return str(value)


def _fate(change: Change) -> str:
    if change.fate is Fate.WITHHELD:
        return f"withheld now, by {', '.join(change.withheld_by)}"
    return "withheld then, to be applied now"


def leave_rest(plan: Plan, rest: Sequence[ComparedChange]) -> Plan:
    """Return the plan without the changes of `Comparison.rest`, and with a finding that names them."""
    if not rest:
        return plan
    left = {(one.replication, one.target, one.name) for one in rest}
    parts = tuple(
        replace(part, changes=tuple(change for change in part.changes if change.order not in left))
        for part in plan.replications
    )
    message = (
        f"{plural(len(rest), 'change')} left: not reviewed, and not caused by this change of the spec, since"
        f" the former spec makes the same: {first_of([str(one) for one in rest], REST_SHOWN)}"
    )
    about = tuple(Address(one.target, one.name) for one in rest)
    finding = Finding(Severity.WARNING, "not-reviewed", message, about=about)
    marked: dict[str, list[str]] = {}
    for change in plan.changes:
        if change.order in left and change.outdated_mark is not None and change.to_apply is not None:
            marked.setdefault(change.target, []).append(change.name)
    staying = [mark_stays(target, names, "its change was not reviewed") for target, names in marked.items()]
    return replace(plan, replications=parts, findings=(*plan.findings, finding, *staying))


def narrowed_to(specs: Sequence[Replication], run: Run) -> tuple[Replication, ...]:
    """Return the replications of the spec before with the targets of the run; unknown targets are ignored."""
    kept = (
        replace(spec, targets=tuple(t for t in spec.targets if not run.targets or t.name in run.targets))
        for spec in specs
    )
    return tuple(spec for spec in kept if spec.targets)


def mark_pending(plan: Plan, base: Iterable[ReplicationPlan]) -> Plan:
    """Return the plan with `pending` set on each change that the base makes, too: same effect, same route.

    `pending` and `dropped` are for people; neither is part of the plan id.
    """
    before = {part.name: part for part in base}
    parts = tuple(_mark_pending(part, before.get(part.name)) for part in plan.replications)
    planned = {change.order for change in plan.changes}
    dropped = [change for part in before.values() for change in part.changes if change.order not in planned]
    dropped.sort(key=lambda change: change.order)
    return replace(plan, replications=parts, dropped=tuple(dropped))


def _mark_pending(part: ReplicationPlan, base: ReplicationPlan | None) -> ReplicationPlan:
    if base is None:
        return part
    effects = {change.order: effect_of(change) for change in base.changes}
    routes = {target.name: (base.source, target.place) for target in base.targets}
    kept = {t.name for t in part.targets if routes.get(t.name) == (part.source, t.place)}

    def pending(change: Change) -> bool:
        return change.target in kept and effects.get(change.order) == effect_of(change)

    return replace(part, changes=tuple(replace(change, pending=pending(change)) for change in part.changes))
