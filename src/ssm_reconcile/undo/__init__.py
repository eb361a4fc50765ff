"""The report of an apply + live state -> the plan that takes the apply back.

    match.py     the report against the spec and the opened places -> its changes
    effects.py   one of them, the live parameter and its history -> a change, or why there is none   pure
    former.py    the version, the tags and the record that a parameter returns to                    pure

The plan is guarded, applied and reported like any other, and its report can be undone again. Only targets
are read: their listings, for the names of the report the tags and, where a value returns, the history. The
calls of a target are those of its listing, and one or two for each name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ssm_reconcile import observe
from ssm_reconcile.budget import EndPlace, budget
from ssm_reconcile.change import Change
from ssm_reconcile.documents import ReportDocument
from ssm_reconcile.errors import Address, Finding, Severity, StoreError
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.model import MANAGED_KEY, SOURCE, Listing, Parameter, Place, canonical
from ssm_reconcile.plan import Narrowing, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.record import Standing, digest_id, standing
from ssm_reconcile.session import Session, narrow_specs
from ssm_reconcile.spec import Replication, Target
from ssm_reconcile.stores.base import Store
from ssm_reconcile.system import ProgressSums
from ssm_reconcile.undo.effects import take_back
from ssm_reconcile.undo.former import UndoContext
from ssm_reconcile.undo.match import PastChange, PastChanges, past_changes


@dataclass(frozen=True, slots=True)
class TargetUndo:
    """One target of an undo: what is taken back, what is not, and why it could not be listed, if so."""

    plan: TargetPlan
    changes: tuple[Change, ...] = ()
    others: tuple[Other, ...] = ()
    finding: Finding | None = None


def make_undo_plan(
    report: ReportDocument, specs: Sequence[Replication], session: Session, name: str | None = None
) -> Plan:
    """Return the plan that takes the changes of a report back, where AWS still has what was before.

    Args:
        report: The document of the report.
        specs: The replications of the spec.
        session: The session of the run; the places of the specs are open.
        name: The only replication of the report to undo; None for all.

    Raises:
        ReportRefused: The report lacks what an undo needs, or is not one of an apply of these specs.
        StoreError: A source could not be opened.
        UsageError: A target of the run is unknown.
    """
    run = session.run
    chosen = narrow_specs(specs, run)
    is_narrowed = bool(run.targets) or name is not None
    past = past_changes(report, chosen, session, is_narrowed=is_narrowed)
    named = {part["name"] for part in report["replications"]}
    chosen = tuple(spec for spec in chosen if spec.name in named)
    parts = tuple(
        sorted(
            (_plan_part(spec, past, session) for spec in chosen), key=lambda part: (part.name, part.source)
        )
    )
    plan = Plan(parts, narrowing=Narrowing(run.targets, run.only), as_of=session.as_of)
    return replace(plan, budget=budget(plan.changes, _end_places(chosen, parts)))


def _plan_part(spec: Replication, past: PastChanges, session: Session) -> ReplicationPlan:
    """Return the guarded plan of one replication."""
    source = session.places.store(spec.source.access).place
    progress = ProgressSums(session.progress)
    wanted = {target.access: target for target in spec.targets if past.get((spec.name, target.name))}

    def read(store: Store, target: Target) -> TargetUndo:
        changes = past[spec.name, target.name]
        of_target = replace(session, progress=progress.worker())
        return _plan_target(spec, target, source, store, changes, of_target)

    found = session.places.read_each(wanted, lambda store, access: read(store, wanted[access]))
    targets = [_target_undo(target, found.get(target.access), session) for target in spec.targets]
    part = ReplicationPlan(
        name=spec.name,
        source=str(source),
        targets=tuple(one.plan for one in targets),
        changes=tuple(sorted((c for one in targets for c in one.changes), key=lambda c: c.order)),
        others=tuple(sorted((o for one in targets for o in one.others), key=lambda o: (o.target, o.name))),
        findings=tuple(one.finding for one in targets if one.finding is not None),
        selected=sum(
            not one.is_outside for (name, _), changes in past.items() if name == spec.name for one in changes
        ),
        spec_id=None if spec.id is None else digest_id(spec.id),
    )
    return withhold_changes(part, GuardRules(spec, session.run, today=session.today))


def _target_undo(target: Target, found: TargetUndo | StoreError | None, session: Session) -> TargetUndo:
    """Return the undo of a target; without changes it was not read, and a place that failed is incomplete."""
    if isinstance(found, TargetUndo):
        return found
    opened = session.places.opened[target.access]
    place = opened.place if not isinstance(opened, StoreError) else target.access.region
    plan = TargetPlan(target.name, str(place), complete=found is None, frozen=target.frozen)
    if found is None:
        return TargetUndo(plan)
    return TargetUndo(plan, finding=_incomplete(target, f"could not be reached: {observe.trouble_of(found)}"))


def _incomplete(target: Target, why: str) -> Finding:
    message = f"target {target.name} {why}"
    return Finding(
        Severity.ERROR, "incomplete-place", message, f"target {target.name}", (Address(target.name),)
    )


def _plan_target(
    spec: Replication,
    target: Target,
    source: Place,
    store: Store,
    past: Sequence[PastChange],
    session: Session,
) -> TargetUndo:
    """Read a target, and return what is taken back there. The creates outside of `--only` are counted."""
    outside = [one for one in past if one.is_outside]
    past = [one for one in past if not one.is_outside]
    live = observe.list_place(store, session.progress)
    plan = TargetPlan(target.name, str(store.place), complete=live.complete, frozen=target.frozen)
    if not live.complete:
        why = f"was not listed completely: {live.trouble}"
        return TargetUndo(plan, finding=_incomplete(target, why))
    names = [canonical(one.name) for one in past if canonical(one.name) in live.parameters]
    fresh, failed = observe.confirm_tags(store, names, session.progress)
    live = live.with_tags(fresh)
    valued = [canonical(one.name) for one in past if one.restores_value]
    histories, unread = observe.read_histories(
        store, [name for name in valued if name in live.parameters], session.progress
    )
    former = [version.parameter for history in histories.values() for version in history]
    context = UndoContext(
        spec=spec,
        target=target,
        source=source,
        claim=spec.claim(source),
        live=live,
        unread={name: observe.trouble_of(failure) for name, failure in (failed | unread).items()},
        histories=histories,
        ring=observe.resolve_keys(store, _keys_of([*former, *_parameters_of(live, names)])),
        key=session.key,
        now=session.as_of,
    )
    found = [take_back(context, one) for one in past]
    return TargetUndo(
        replace(
            plan,
            replicas=_count_replicas(live, context),
            deletes_outside_only=sum(isinstance(take_back(context, one), Change) for one in outside),
        ),
        changes=tuple(one for one in found if isinstance(one, Change)),
        others=tuple(one for one in found if isinstance(one, Other)),
    )


def _parameters_of(live: Listing, names: Sequence[str]) -> list[Parameter]:
    return [live.parameters[name] for name in names if name in live.parameters]


def _keys_of(parameters: Sequence[Parameter]) -> frozenset[str]:
    return frozenset(one.key_id or MANAGED_KEY for one in parameters if one.is_secret)


def _count_replicas(live: Listing, context: UndoContext) -> int:
    """Return the number of replicas of the replication, for the guards that take a share of them."""
    return sum(
        standing(live.tags_of(name), live.arn(name), context.claim, placed=True) is Standing.OURS
        for name in live.parameters
    )


def _end_places(
    specs: Sequence[Replication], parts: Sequence[ReplicationPlan]
) -> Mapping[tuple[str, str], EndPlace]:
    by_name = {spec.name: spec for spec in specs}
    found = {}
    for part in parts:
        spec = by_name[part.name]
        found[part.name, SOURCE] = EndPlace(part.source, dict(spec.source.access.rates))
        for target, planned in zip(spec.targets, part.targets, strict=True):
            found[part.name, target.name] = EndPlace(planned.place, dict(target.access.rates))
    return found
