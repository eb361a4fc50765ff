"""A withheld change -> what lets it through: what to change in the spec, and the flags to give.

Found by asking the guards again with the first one lifted, since the next one may count what it let go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.guards import Rules, guarded
from ssm_reconcile.plan import Change, Fate, ReplicationPlan
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
    """A change that a guard withholds, with all that the guards have judged."""

    change: Change
    part: ReplicationPlan
    spec: Replication

    @property
    def by(self) -> str:
        """The guard that withholds it; the last where there are several."""
        return self.change.withheld_by[-1]

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
    """Return what lets a withheld change through, first what to edit; empty when no step of a user does."""
    lifts: list[Lift] = []
    alone = _is_alone(change)
    # The command names that change only, so the guards that count see no other one.
    run, now, told = Run(), change, replace(part, changes=(change,)) if alone else part
    while now.fate is Fate.WITHHELD:
        withheld = Withheld(now, told, spec)
        find = _LIFTS.get(withheld.by)
        lift = None if find is None else find(withheld)
        if lift is None or lift in lifts:
            return [] if find is None else [_in_parts(change, again)]
        lifts.append(lift)
        run = lift.of(run)
        told = guarded(_opened(withheld), Rules(spec, run))
        now = next(one for one in told.changes if one.order == change.order)
    flags = tuple(word for lift in lifts for word in lift.flags)
    alone = alone or any(one.fate is Fate.WITHHELD and one.target == change.target for one in told.changes)
    command = again.narrowed(change.target, *([change.name] if alone else [])).apply(*flags)
    edits = [lift.edit for lift in lifts if lift.edit]
    if edits:
        return [f"{' and '.join(edits)}, then `{command}`"]
    return [f"to let it through: `{command}`"]


def _is_alone(change: Change) -> bool:
    """Whether it can be let through without the others that are withheld with it."""
    return not set(change.withheld_by) & {"max-deletes", "max-change-percent", "empty-source"}


def _in_parts(change: Change, again: CommandLine) -> str:
    command = again.narrowed(change.target, change.name).apply()
    return f"no flag covers that many changes; one at a time they are not withheld: `{command}`"


def _opened(withheld: Withheld) -> ReplicationPlan:
    """Return the plan as it is without that guard in that target."""
    part, name = withheld.part, withheld.change.target
    changes = tuple(
        replace(change, fate=Fate.APPLY, withheld_by=()) if change in withheld.alike else change
        for change in part.changes
    )
    targets = tuple(replace(one, frozen=False) if one.name == name else one for one in part.targets)
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
