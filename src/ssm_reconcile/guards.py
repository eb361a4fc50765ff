"""Plan -> the same plan, with the changes withheld that should not be applied without a closer look.

A guard is a pure function: the changes of one target -> what it withholds of them, and why. It never
alters what a change does. `GUARDS` has the order: the last three guards compare a count with a limit, and
count only what the others leave. To add a guard, write its function and add it to `GUARDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeAlias

from ssm_reconcile.change import Action, Change, Fate, Row, Unmark, Withholding
from ssm_reconcile.delete_counts import counts_in_total, deletes_of_all, excess_of_deletes, may_delete
from ssm_reconcile.errors import Address, Finding, Remedy, Severity, Where
from ssm_reconcile.lift import LIFTABLE, Lifted, Member, RunLifts, Withheld, digest_of, member_of
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.spec import NO_ID_REMEDY, ChangedOutside, Replication, Run
from ssm_reconcile.wording import first_of, plural

MIN_REPLICAS = 10
"""The fewest replicas of a target for which a percentage is a useful limit."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """The spec, the options of this run that lift guards, and facts that a plan does not have.

    `unconfirmed`: by target and canonical name, why the tags of a parameter could not be read directly;
    the target is empty for parameters of the source. `reversed_roles`: by target, the source parameters
    that were replicas of parameters in the target's place until they were detached. `today`: the day in UTC,
    for the lifts of the spec; without it, they have ended.
    """

    replication: Replication
    run: Run = Run()
    unconfirmed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reversed_roles: Mapping[str, Sequence[str]] = field(default_factory=dict)
    today: date = date.max


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """All changes of one target, those that are withheld already included."""

    plan: ReplicationPlan
    target: TargetPlan
    changes: Sequence[Change]
    all_deletes: int
    """The result of `deletes_of_all`, for the guard on all targets."""

    def open(self, *actions: Action) -> list[Change]:
        """Return the changes that no guard withholds yet, of the given actions or of all."""
        return [
            change
            for change in self.changes
            if change.fate is Fate.APPLY and (not actions or change.action in actions)
        ]

    @property
    def marked(self) -> int:
        """The number of replicas that later runs delete, since their marks are not due."""
        return sum(one.is_to_delete and one.target == self.target.name for one in self.plan.others)


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
        flag: The arguments that lift the guard.
    """

    changes: Sequence[Change]
    why: str
    message: str = ""
    where: Where | str | None = None
    limit: int | None = None
    count: int | None = None
    remedy: str = ""
    flag: str = ""


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
    lifts = RunLifts(
        (*rules.replication.lifts, *rules.run.lift), rules.today, is_reviewed=rules.run.lifts_allowed
    )
    lifted = lifts.saved_sets(plan, rules.run.saved_lifts)
    while True:
        judged, withheld = _judge(plan, rules, names, lifted)
        found = lifts.matches(plan, withheld)
        if not found:  # each turn withholds fewer changes, so there is a last one
            break
        lifted |= found
    findings = (*judged.findings, *lifts.findings(judged, withheld, lifted))
    return replace(judged, findings=findings)


def _judge(
    plan: ReplicationPlan, rules: GuardRules, names: Collection[str] | None, lifted: Lifted
) -> tuple[ReplicationPlan, Withheld]:
    """Return the plan as the guards judge it, and the changes that each guard withholds in each target.

    A change that one guard lets through by a lift counts for the guards after it.
    """
    changes = {change.order: change for change in plan.changes}
    orders: dict[str, list[tuple[str, str, str]]] = {}
    for change in plan.changes:
        orders.setdefault(change.target, []).append(change.order)
    findings, withheld = list(plan.findings), Withheld()
    for name, guard in GUARDS.items():
        is_total = guard is _guard_max_deletes_total
        limit, checks_half = _limit_of_deletes(rules)
        due = deletes_of_all(plan, changes.values(), limit, checks_half=checks_half) if is_total else 0
        for target in plan.targets if names is None or name in names else ():
            of_target = [changes[order] for order in orders.get(target.name, ())]
            for found in guard(TargetChanges(plan, target, of_target, due), rules):
                reason = Withholding(name, found.why, found.limit, found.count, found.remedy)
                held: list[Member] = []
                for change in found.changes:
                    member = member_of(change)
                    lift = lifted.get((name, target.name, member))
                    if lift is None:
                        changes[change.order] = replace(change, withheld=(*change.withheld, reason))
                        held.append(member)
                    else:
                        used = (*change.lifted, (name, lift.changes))
                        changes[change.order] = replace(change, lifted=used)
                if held and found.flag:
                    withheld[name, target.name] = held
                if held and found.message:
                    _add_finding(findings, _finding(plan, target, name, found, held))
    return replace(plan, changes=tuple(changes.values()), findings=tuple(findings)), withheld


def _add_finding(findings: list[Finding], finding: Finding) -> None:
    """Add a finding; one that the target before has as well becomes one finding about both targets."""
    last, remedy = findings[-1] if findings else None, finding.remedy
    if last is None or replace(last, about=finding.about) != finding or (remedy and remedy.target):
        findings.append(finding)
        return
    if remedy and last.remedy:
        remedy = replace(remedy, count=remedy.count + last.remedy.count)
    findings[-1] = replace(last, about=(*last.about, *finding.about), remedy=remedy)


def _finding(
    plan: ReplicationPlan, target: TargetPlan, guard: str, found: GuardResult, held: Sequence[Member]
) -> Finding:
    """Return the finding that a guard withholds changes."""
    message, lifted = found.message, len(found.changes) - len(held)
    if lifted:
        message += f". {plural(lifted, 'change')} of these {'is' if lifted == 1 else 'are'} lifted"
    remedy = None
    if found.flag:
        remedy = Remedy(found.flag, guard, "", len(held), "")
    if remedy and guard in LIFTABLE:
        digest = digest_of(plan.name, guard, target.name, held)
        remedy = replace(remedy, target=target.name, changes=digest)
    where = str(found.where or target.name)
    return Finding(Severity.WARNING, guard, message, where, (Address(target.name),), remedy)


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
        held = plural(len(changes), "change")
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
            f" were detached from {target.target.place} ({first_of(sources, 3)}). Nothing is written unless"
            " the roles have changed for good"
        )
        why = "the source was detached from this target"
        where = rules.replication.target(name).where
        yield GuardResult(target.open(), why, message, where, flag="--allow-reversed")


def _guard_refused_plan(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold changes of addresses whose plan was refused on GitHub, or waits there for an approval.

    Without this guard, the next scheduled apply would make the changes that a person refused. Nothing lifts
    it in a run that is given the addresses.
    """
    name, addresses = target.target.name, rules.run.leave_out
    changes = [change for change in target.open() if change.order in addresses]
    why = "a plan for this address was refused, or waits for an approval"
    message = (
        f"{plural(len(changes), 'change')} in {name} withheld: a plan for the same parameters was refused on"
        " GitHub, or waits there for an approval. Approve that plan, apply it by its id, or merge a change of"
        " the spec"
    )
    yield GuardResult(changes, why, message)


def _guard_empty_source(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all that removes replicas or their tags while the spec selects no source parameter.

    A plan for some names whose deletes are counted elsewhere has not listed the source, and is not judged.
    """
    plan, changes = target.plan, target.open(Action.DELETE, Action.RETAG, Action.REPLACE)
    if plan.selected or rules.run.allow_empty_source or target.target.counts_elsewhere:
        return
    deletes = sum(map(may_delete, changes)) + target.marked
    also = f" --max-deletes {deletes}" if deletes > 1 else ""  # all of them are over half of them
    message = (
        f"the source {plan.source} holds nothing that the spec selects, and {target.target.name} has"
        f" {plural(target.target.replicas, 'replica')}: nothing is deleted"
    )
    where = rules.replication.source.where or plan.source
    why = "the source holds nothing that the spec selects"
    yield GuardResult(changes, why, message, where, flag=f"--allow-empty-source{also}")


def _guard_no_id(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold the deletes of orphans, and the releases of adopted ones, while the spec has no id.

    Without an id in the records, the orphans may belong to another spec with the same name.
    """
    if rules.replication.id is not None:
        return
    orphans = (change for change in target.open() if change.row is Row.ORPHAN)
    changes = [change for change in orphans if not isinstance(change.effect, Unmark)]
    message = (
        f"{plural(len(changes), 'orphan')} to remove in {target.target.name}: withheld, since the"
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
    message = f"{len(changes)} to replace (delete, wait, create) in {target.target.name}: withheld"
    if not rules.run.allow_replace:
        yield GuardResult(changes, "reads fail between delete and create", message, flag="--allow-replace")


def _guard_undo_without_hold(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold what `undo` takes back while no hold of the spec matches: the next run would make it again."""
    holds_on, where = rules.replication.holds_on, rules.replication.where
    changes = [one for one in target.open() if one.is_undo and not holds_on({one.source_name})]
    why, remedy = (
        "the next run would undo the undo",
        "Add the source to `parameters.hold`, or give --without-hold",
    )
    held = f"{plural(len(changes), 'change')} in {target.target.name} withheld"
    if not rules.run.without_hold:
        message = f"{held}: no hold of the spec matches, and {why}. {remedy}"
        yield GuardResult(changes, why, message, where, remedy=remedy)


def _guard_changed_outside(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold updates and replacements of replicas that another writer has changed."""
    changes = [change for change in target.open() if change.changed_outside]
    message = (
        f"{plural(len(changes), 'replica')} in {target.target.name}"
        f" {'was' if len(changes) == 1 else 'were'} changed outside ssm-reconcile: withheld. Bring the"
        " change to the source, or overwrite it (`changed_outside: overwrite` always does)"
    )
    if not rules.run.overwrite_outside and rules.replication.changed_outside is not ChangedOutside.OVERWRITE:
        yield GuardResult(changes, "another writer changed the replica", message, flag="--overwrite-outside")


def _guard_exposure(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold writes that turn a SecureString into plain text, unless the source was made plain as well.

    Changes that another guard withholds are included: the flag of that guard alone must not write them.
    """
    changes = [change for change in target.changes if change.exposes and not change.source_made_plain]
    names = first_of([change.name for change in changes], 5)
    message = (
        f"{plural(len(changes), 'SecureString')} in {target.target.name} would become plain"
        f" text ({names}): withheld. Make the source a SecureString"
    )
    if not rules.run.allow_exposure:
        flag = "--only NAME --allow-exposure"
        yield GuardResult(changes, "a SecureString would become plain text", message, flag=flag)


def _guard_max_deletes(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all deletes and replacements of a target if they exceed the limit, or half of its replicas.

    With `delete.after`, new marks are withheld with them, and marks that are not due count too: a mass delete
    is withheld when it is marked, and again when it is due. One delete never exceeds half. A limit that is
    given for this run replaces both checks. A run for some names, or with `--only`, also counts the deletes
    and marks at other names. A plan whose deletes are counted elsewhere is not judged.
    """
    if target.target.counts_elsewhere:
        return
    limit, checks_half = _limit_of_deletes(rules)
    changes = [change for change in target.open() if may_delete(change)]
    count = len(changes) + target.marked + target.target.deletes_outside
    why = excess_of_deletes(count, limit, target.target.replicas if checks_half else None)
    if not why:
        return
    marks = target.marked + sum(change.row is Row.EXPIRING for change in changes)
    message = f"{count} to delete or replace in {target.target.name} are {why}: all withheld"
    if marks:
        message = f"{count} to delete, replace or mark in {target.target.name} are {why}: all withheld"
        message += f" ({target.marked} of them marked already)" * bool(target.marked)
    where, flag = rules.replication.limit_lines.get("max_deletes"), f"--max-deletes {count}"
    counted = "deletes and marks" if marks else "deletes"
    yield GuardResult(changes, f"{count} {counted} are {why}", message, where, limit, count, flag=flag)


def _limit_of_deletes(rules: GuardRules) -> tuple[int, bool]:
    """Return the limit on the deletes of one target, and whether half of its replicas is a limit too."""
    given = rules.run.max_deletes
    return (rules.replication.limits.max_deletes, True) if given is None else (given, False)


def _guard_max_deletes_total(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold the deletes and replacements of all targets if their sum exceeds the limit.

    Each target may stay below its own limit while one mistake at the source deletes from all of them. Changes
    that a lift of `max-deletes` names are reviewed one by one: they neither count nor are withheld. A larger
    limit for one target, given for this run, raises the default limit for all, and not one in the spec.
    """
    run, limits = rules.run, rules.replication.limits
    given = run.max_deletes_total
    limit = limits.of_all_targets(run.max_deletes) if given is None else given
    count = target.all_deletes
    changes = [change for change in target.open() if counts_in_total(change)]
    if count <= limit or target.target.counts_elsewhere:
        return
    counted, verb = "deletes", "delete or replace"
    if rules.replication.grace:
        counted, verb = "deletes and marks", "delete, replace or mark"
    why = f"{count} {counted} in all targets are more than {limit}"
    message = (
        f"{count} to {verb} in all targets are more than {limit}: all withheld. In the spec,"
        " `guards.max_deletes_total` raises the limit"
    )
    where = rules.replication.limit_lines.get("max_deletes_total") or target.plan.name
    yield GuardResult(changes, why, message, where, limit, count, flag=f"--max-deletes-total {count}")


def _guard_max_change_percent(target: TargetChanges, rules: GuardRules) -> Iterator[GuardResult]:
    """Withhold all updates and replacements of a target if they exceed a percentage of its replicas.

    Creates, adoptions and retags do not count, so that an interrupted first apply can continue. A plan for
    some names is not judged: each of its changes follows a deliberate write at the source.
    """
    given, replicas = rules.run.max_change_percent, target.target.replicas
    limit = rules.replication.limits.max_change_percent if given is None else given
    changes = target.open(Action.UPDATE, Action.REPLACE)
    if target.target.for_names or replicas < MIN_REPLICAS or len(changes) * 100 <= limit * replicas:
        return
    percent = -(-len(changes) * 100 // replicas)
    why = f"{percent}% of the replicas would change, the limit is {limit}%"
    message = (
        f"{percent}% of the {replicas} replicas in {target.target.name} would change (limit {limit}%):"
        " withheld"
    )
    where, flag = rules.replication.limit_lines.get("max_change_percent"), f"--max-change-percent {percent}"
    yield GuardResult(changes, why, message, where, limit, percent, flag=flag)


GUARDS: Mapping[str, Guard] = {
    "incomplete-place": _guard_incomplete_place,
    "frozen-target": _guard_frozen_target,
    "roles-reversed": _guard_reversed_roles,
    "refused-plan": _guard_refused_plan,
    "empty-source": _guard_empty_source,
    "unconfirmed": _guard_unconfirmed,
    "no-id": _guard_no_id,
    "replace": _guard_replace,
    "changed-outside": _guard_changed_outside,
    "undo-without-hold": _guard_undo_without_hold,
    "exposure": _guard_exposure,
    "max-deletes": _guard_max_deletes,
    "max-deletes-total": _guard_max_deletes_total,
    "max-change-percent": _guard_max_change_percent,
}
"""The guards by their names, in order. A name is also the code of the finding."""
