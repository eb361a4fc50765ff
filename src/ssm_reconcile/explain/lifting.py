"""A withheld change -> what lets it through: what to change in the spec, and the flags to give.

Found by asking the guards again with the first one lifted, since the next one may count what it let go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ssm_reconcile.change import Change, Fate, Row, Update
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.spec import Replication, Run

_MOST_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Lift:
    """What lifts one guard. `edit` is for the spec, `flags` are words for a command, `field` is of a run."""

    edit: str = ""
    flags: tuple[str, ...] = ()
    field: str = ""
    value: bool | int = True

    def of(self, run: Run) -> Run:
        """Return the run with this guard lifted."""
        known = {field.name for field in fields(run)}
        given: dict[str, Any] = {self.field: self.value} if self.field in known else {}
        return replace(run, **given)


@dataclass(frozen=True, slots=True)
class Withheld:
    """A change that a guard withholds, with all that the guards have judged. `by` is that guard."""

    change: Change
    part: ReplicationPlan
    spec: Replication
    by: str

    @property
    def alike(self) -> list[Change]:
        """The changes that the same guard withholds in the same target."""
        return [
            one
            for one in self.part.changes
            if one.target == self.change.target and self.by in one.withheld_by
        ]

    @property
    def replicas(self) -> int:
        """How many replicas the target has."""
        return next(target.replicas for target in self.part.targets if target.name == self.change.target)

    @property
    def going(self) -> int:
        """How many deletes are due at other names."""
        return next(target.going for target in self.part.targets if target.name == self.change.target)


def remedies(change: Change, part: ReplicationPlan, spec: Replication, again: CommandLine) -> list[str]:
    """Return what lets a change through, first what to edit; empty when no step of a user does.

    Also for a change that is withheld only if AWS refuses to change its type in place.
    """
    lifts: list[Lift] = []
    alone = _is_alone(change)
    run, now, told = Run(), change, part
    if alone:
        # The command names that change only, so the guards that count see no other one.
        now = _replaceable(change)
        told = replace(part, changes=(now,))
        if now.fate is Fate.APPLY:
            told = withhold_changes(told, GuardRules(spec, run))
            now = told.changes[0]
    while now.fate is Fate.WITHHELD:
        opened = told
        for by in now.withheld_by:
            withheld = Withheld(now, told, spec, by)
            find = _LIFTS.get(by)
            lift = None if find is None else find(withheld)
            if find is None:
                return []
            if lift is None or lift in lifts:
                return [_in_parts(change, lifts, again)]
            lifts.append(lift)
            run, opened = lift.of(run), _opened(opened, withheld)
        told = withhold_changes(opened, GuardRules(spec, run))
        now = next(one for one in told.changes if one.order == change.order)
    flags = [word for lift in lifts for word in lift.flags]
    flags += ["--allow-replace"] if alone and may_need_replacement(change) else []
    alone = alone or any(one.fate is Fate.WITHHELD and one.target == change.target for one in told.changes)
    command = again.narrowed(change.target, *([change.name] if alone else [])).apply(*flags)
    edits = _edits(lifts)
    why = "to let it through" if change.fate is Fate.WITHHELD else "if AWS refuses the type in place"
    return [f"{edits}, then `{command}`" if edits else f"{why}: `{command}`"]


def _is_alone(change: Change) -> bool:
    """Whether it can be let through without the others that are withheld with it."""
    return not set(change.withheld_by) & {"max-deletes", "max-change-percent", "empty-source"}


def may_need_replacement(change: Change) -> bool:
    """Whether it changes the type of a replica, which AWS may refuse in place (aws-facts B2)."""
    return change.row is Row.UPDATE and any(one.attribute == "type" for one in change.differences)


def _replaceable(change: Change) -> Change:
    """Return the change as `--allow-replace` plans it."""
    if not may_need_replacement(change) or not isinstance(change.effect, Update):
        return change
    return replace(change, effect=replace(change.effect, may_replace=True))


def _edits(lifts: Sequence[Lift]) -> str:
    return " and ".join(lift.edit for lift in lifts if lift.edit)


def _in_parts(change: Change, lifts: Sequence[Lift], again: CommandLine) -> str:
    """Return the command for one change where no flag covers all, with the edits and flags found so far."""
    flags = [word for lift in lifts for word in lift.flags]
    command = again.narrowed(change.target, change.name).apply(*flags)
    edits = _edits(lifts)
    first = f"; first {edits}" if edits else ""
    return f"no flag covers that many changes; one at a time they are not withheld{first}: `{command}`"


def _opened(part: ReplicationPlan, withheld: Withheld) -> ReplicationPlan:
    """Return the plan as it is without that guard in that target."""
    name, thaw = withheld.change.target, withheld.by == "frozen-target"
    changes = tuple(
        replace(change, withheld=()) if change in withheld.alike else change for change in part.changes
    )
    targets = tuple(replace(one, frozen=False) if thaw and one.name == name else one for one in part.targets)
    return replace(part, changes=changes, targets=targets)


def _frozen(withheld: Withheld) -> Lift:
    where = withheld.spec.target(withheld.change.target).where
    at = f" ({where})" if where else ""
    return Lift(edit=f"set `frozen: false` at target {withheld.change.target}{at}")


def _deletes(withheld: Withheld) -> Lift:
    count = len(withheld.alike) + withheld.going
    return Lift(flags=("--max-deletes", str(count)), field="max_deletes", value=count)


def _percent(withheld: Withheld) -> Lift | None:
    percent = -(-len(withheld.alike) * 100 // max(1, withheld.replicas))
    if percent > _MOST_PERCENT:
        return None
    return Lift(flags=("--max-change-percent", str(percent)), field="max_change_percent", value=percent)


def _flag(name: str) -> Callable[[Withheld], Lift]:
    lift = Lift(flags=(f"--{name}",), field=name.replace("-", "_"))
    return lambda _: lift


_LIFTS: Mapping[str, Callable[[Withheld], Lift | None]] = {
    "frozen-target": _frozen,
    "roles-reversed": _flag("allow-reversed"),
    "empty-source": _flag("allow-empty-source"),
    "replace": _flag("allow-replace"),
    "changed-outside": _flag("overwrite-outside"),
    "exposure": _flag("allow-exposure"),
    "max-deletes": _deletes,
    "max-change-percent": _percent,
}
"""The guards that a user can lift. The others withhold what is not known well enough."""
