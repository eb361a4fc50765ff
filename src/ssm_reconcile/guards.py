"""Plan -> the same plan, with the changes withheld that should not be applied without a closer look.

A guard is a pure function: the changes of one target -> what it withholds of them, and why. It never
alters what a change does. `GUARDS` has the order: the last two guards compare a count with a limit, and
count only what the others leave. To add a guard, write its function and add it to `GUARDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ssm_reconcile.change import Action, Change, Fate, Hold, Row, Update
from ssm_reconcile.errors import Address, Finding, Severity, Where
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.spec import NO_ID_REMEDY, ChangedOutside, Replication, Run
from ssm_reconcile.wording import counted, first_of

MIN_REPLICAS = 10
"""The fewest replicas of a target for which a percentage is a useful limit."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """The spec, the options of this run that lift guards, and facts that a plan does not have.

    `unconfirmed`: by target and canonical name, why the tags of a parameter could not be read directly;
    the target is empty for parameters of the source. `reversed_roles`: by target, the source parameters
    that were replicas of parameters in the target's place until they were detached.
    """

    replication: Replication
    run: Run = Run()
    unconfirmed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reversed_roles: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """All changes of one target, those that are withheld already included."""

    plan: ReplicationPlan
    target: TargetPlan
    changes: Sequence[Change]

    def open(self, *actions: Action) -> list[Change]:
        """Return the changes that no guard withholds yet, of the given actions or of all."""
        return [
            change
            for change in self.changes
            if change.fate is Fate.APPLY and (not actions or change.action in actions)
        ]


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The changes that one guard withholds in one target.

    Attributes:
        changes: The changes.
        why: A phrase for each of the changes.
        message: The text of a finding; empty for none.
        where: The position of the finding in the spec; None for the name of the target.
        limit: The limit of a guard that counts.
        count: The number that exceeds the limit.
        remedy: A sentence that says what lets the changes through.
    """

    changes: Sequence[Change]
    why: str
    message: str = ""
    where: Where | str | None = None
    limit: int | None = None
    count: int | None = None
    remedy: str = ""


Guard: TypeAlias = Callable[[TargetChanges, GuardRules], Iterator[GuardResult]]


def withhold_changes(
    plan: ReplicationPlan, rules: GuardRules, names: Collection[str] | None = None
) -> ReplicationPlan:
    """Return the plan with the changes withheld that guards withhold, and the findings that say so.

    Args:
        plan: The plan of one replication; changes that are withheld already stay withheld.
        rules: What lifts guards, and facts that the plan does not have.
        names: The guards to apply, by their names in `GUARDS`; all when None.

    Cost: one pass over the changes of each target for each guard.
    """
    changes = {change.order: change for change in plan.changes}
    findings = list(plan.findings)
    for name, guard in GUARDS.items():
        for target in plan.targets if names is None or name in names else ():
            of_target = [change for change in changes.values() if change.target == target.name]
            for found in guard(TargetChanges(plan, target, of_target), rules):
                hold = Hold(name, found.why, found.limit, found.count, found.remedy)
                for change in found.changes:
                    changes[change.order] = replace(change, withheld=(*change.withheld, hold))
                if found.changes and found.message:
                    where = str(found.where or target.name)
                    about = (Address(target.name),)
                    findings.append(Finding(Severity.WARNING, name, found.message, where, about))
    return replace(plan, changes=tuple(changes.values()), findings=tuple(findings))


def _guard_incomplete_place(target: TargetChanges, _: GuardRules) -> Iterator[GuardResult]:
    """Withhold all changes of an incomplete target, and deletes while the source is incomplete.

    `diff` plans none of these. Nothing lifts this guard.
    """
    why = "the listing of a place is incomplete"
    if not target.target.complete:
        yield GuardResult(target.open(), why)
    elif not target.plan.source_complete:
        yield GuardResult(target.open(Action.DELETE, Action.REPLACE), why)


def _guard_frozen_target(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all changes of a target that the spec freezes."""
    name, changes = target.target.name, target.open()
    if target.target.frozen:
        held = counted(len(changes), "change")
        message = f"{name} is frozen: {held} withheld; `frozen: false` lifts it"
        yield GuardResult(changes, "the target is frozen", message, rules.replication.target(name).where)


def _guard_reversed_roles(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all changes of a target of which the source has detached replicas.

    After a failover the standby region is independent. A spec that names the two regions the wrong way
    round, or that fails back too early, would overwrite the region that the standby was made from.
    """
    name = target.target.name
    sources = rules.reversed_roles.get(name, ())
    if sources and not rules.run.allow_reversed:
        message = (
            f"source and target of {name} look reversed: the source {target.plan.source} has replicas that"
            f" were detached from {target.target.place} ({first_of(sources, 3)}). If the roles have changed"
            " for good, use --allow-reversed"
        )
        why = "the source was detached from this target"
        yield GuardResult(target.open(), why, message, rules.replication.target(name).where)


def _guard_refused_plan(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold changes of addresses whose plan was refused on GitHub, or waits there for an approval.

    Without this guard, the next scheduled apply would make the changes that a person refused. Nothing lifts
    it in a run that is given the addresses.
    """
    name, addresses = target.target.name, rules.run.leave_out
    changes = [change for change in target.open() if change.order in addresses]
    why = "a plan for this address was refused, or waits for an approval"
    message = (
        f"{counted(len(changes), 'change')} in {name} withheld: a plan for the same parameters was refused on"
        " GitHub, or waits there for an approval. Approve that plan, apply it by its id, or merge a change of"
        " the spec"
    )
    yield GuardResult(changes, why, message)


def _guard_empty_source(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all that removes replicas or their tags while the spec selects no source parameter."""
    plan, changes = target.plan, target.open(Action.DELETE, Action.RETAG, Action.REPLACE)
    if plan.selected or rules.run.allow_empty_source:
        return
    deletes = sum(change.action is not Action.RETAG for change in changes)
    also = f" --max-deletes {deletes}" if deletes > 1 else ""  # all of them are over half of them
    message = (
        f"the source {plan.source} holds nothing that the spec selects, and {target.target.name} has"
        f" {counted(target.target.replicas, 'replica')}: nothing is deleted."
        f" If that is meant: --allow-empty-source{also}"
    )
    where = rules.replication.source.where or plan.source
    yield GuardResult(changes, "the source holds nothing that the spec selects", message, where)


def _guard_no_id(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold the deletes of orphans, and the releases of adopted ones, while the spec has no id.

    Without an id in the records, the orphans may belong to another spec with the same name.
    """
    if rules.replication.id is not None:
        return
    changes = [change for change in target.open() if change.row is Row.ORPHAN]
    message = (
        f"{counted(len(changes), 'orphan')} to remove in {target.target.name}: withheld, since the"
        f" spec has no `id` and another spec with the same name may own them. {NO_ID_REMEDY}"
    )
    why, where = "`orphans: delete` needs an `id` in the spec", rules.replication.where
    yield GuardResult(changes, why, message, where, remedy=NO_ID_REMEDY)


def _guard_unconfirmed(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold changes whose ownership tags could not be confirmed by a direct read."""
    for change in target.open():
        why = rules.unconfirmed.get((target.target.name, canonical(change.name)))
        if why is None and change.source_name is not None and change.rests_on_source_tags:
            why = rules.unconfirmed.get(("", canonical(change.source_name)))
        if why is not None:
            yield GuardResult([change], why)


def _guard_replace(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold replacements: between delete and create, readers fail, and the history is lost."""
    changes = target.open(Action.REPLACE)
    message = (
        f"{len(changes)} to replace (delete, wait, create) in {target.target.name}:"
        " withheld without --allow-replace"
    )
    if not rules.run.allow_replace:
        yield GuardResult(changes, "only with --allow-replace", message)


def _guard_changed_outside(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold updates and replacements of replicas that another writer has changed."""
    changes = [change for change in target.open() if change.changed_outside]
    message = (
        f"{counted(len(changes), 'replica')} in {target.target.name}"
        f" {'was' if len(changes) == 1 else 'were'} changed outside ssm-reconcile: withheld. Bring the"
        " change to the source, or give --overwrite-outside (or `changed_outside: overwrite`)"
    )
    if not rules.run.overwrite_outside and rules.replication.changed_outside is not ChangedOutside.OVERWRITE:
        yield GuardResult(changes, "only with --overwrite-outside", message)


def _guard_exposure(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold writes that turn a SecureString into plain text, unless the source was made plain as well.

    Changes that another guard withholds are included: the flag of that guard alone must not write them.
    """
    changes = [change for change in target.changes if change.exposes and not change.source_made_plain]
    names = first_of([change.name for change in changes], 5)
    message = (
        f"{counted(len(changes), 'SecureString')} in {target.target.name} would become plain"
        f" text ({names}): withheld. Make the source a SecureString, or, if plain text is meant,"
        " name it with --only and give --allow-exposure"
    )
    if not rules.run.allow_exposure:
        yield GuardResult(changes, "only with --only and --allow-exposure", message)


def _guard_max_deletes(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all deletes and replacements of a target if they exceed the limit, or half of its replicas.

    One delete never exceeds half. A limit that is given for this run replaces both checks. A run for some
    names also counts the deletes that are due at other names, so that a mass delete in small runs counts.
    """
    given, replicas = rules.run.max_deletes, target.target.replicas
    limit = rules.replication.limits.max_deletes if given is None else given
    changes = [change for change in target.open() if _may_delete(change)]
    count = len(changes) + target.target.deletes_outside_run
    if count > limit:
        why = f"more than {limit}"
    elif given is None and count > 1 and count * 2 > replicas:
        why = f"over half of its {replicas} replicas"
    else:
        return
    message = (
        f"{count} to delete or replace in {target.target.name} are {why}: all withheld."
        f" If meant: --max-deletes {count}"
    )
    where = rules.replication.limit_lines.get("max_deletes")
    yield GuardResult(changes, f"{count} deletes are {why}", message, where, limit, count)


def _may_delete(change: Change) -> bool:
    """Whether a change deletes, or replaces if AWS refuses to change the type in place."""
    if isinstance(change.effect, Update):
        return change.effect.may_replace
    return change.action in (Action.DELETE, Action.REPLACE)


def _guard_max_change_percent(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all updates and replacements of a target if they exceed a percentage of its replicas.

    Creates, adoptions and retags do not count, so that an interrupted first apply can continue. A run for
    some names does not know the other replicas, and is not limited.
    """
    given, replicas = rules.run.max_change_percent, target.target.replicas
    limit = rules.replication.limits.max_change_percent if given is None else given
    changes = target.open(Action.UPDATE, Action.REPLACE)
    if not target.target.counted or replicas < MIN_REPLICAS or len(changes) * 100 <= limit * replicas:
        return
    percent = -(-len(changes) * 100 // replicas)
    why = f"{percent}% of the replicas would change, the limit is {limit}%"
    message = (
        f"{percent}% of the {replicas} replicas in {target.target.name} would change (limit {limit}%):"
        f" withheld. If meant: --max-change-percent {percent}, or raise guards.max_change_percent"
    )
    where = rules.replication.limit_lines.get("max_change_percent")
    yield GuardResult(changes, why, message, where, limit, percent)


GUARDS: Mapping[str, Guard] = {
    "incomplete-place": _guard_incomplete_place,
    "frozen-target": _guard_frozen_target,
    "roles-reversed": _guard_reversed_roles,
    "refused-plan": _guard_refused_plan,
    "empty-source": _guard_empty_source,
    "no-id": _guard_no_id,
    "unconfirmed": _guard_unconfirmed,
    "replace": _guard_replace,
    "changed-outside": _guard_changed_outside,
    "exposure": _guard_exposure,
    "max-deletes": _guard_max_deletes,
    "max-change-percent": _guard_max_change_percent,
}
"""The guards by their names, in order. A name is also the code of the finding."""
