"""Specs and opened places -> a plan; a plan -> a report. Read this file first: it has the steps in order.

    open_places   open each account and region, and check that they are the ones of the spec (session.py)
    make_plan     for each replication (`plan_replication`):
                  list -> resolve -> compare versions -> read values -> diff -> confirm tags -> guards
                  (and the changes that a former spec would make as well: approve.py)
    carry_out     the same plan, applied

Planning reads and cannot write. Each plan that is shown, saved or applied is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from typing import TypeAlias, TypeVar

from ssm_reconcile import apply, approve, observe
from ssm_reconcile.apply.work import RecentTags, SourceTags, Work
from ssm_reconcile.budget import EndPlace, budget
from ssm_reconcile.change import Change, Delete, Fate, Release, Row
from ssm_reconcile.diff import TargetDiff, value_findings
from ssm_reconcile.diff.case import TargetContext
from ssm_reconcile.errors import Address, Finding, NothingPlanned, Severity, StoreError
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.model import SOURCE, Access, Listing, Place, UnreadableValue, canonical
from ssm_reconcile.plan import Mode, Narrowing, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.plan_findings import (
    find_expired_holds,
    find_renamed_spec,
    find_staying_marks,
    find_unchecked_keys,
    find_unconfirmed_tags,
    find_unusable_source_keys,
    report_unmatched,
)
from ssm_reconcile.record import digest_id
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session, narrow_specs
from ssm_reconcile.settle import ReplicationState, lagging_addresses, settle
from ssm_reconcile.spec import HOLD_KEY, Replication, Run, Target
from ssm_reconcile.system import MOST_AT_ONCE, ProgressSums, Stop, read_at_once

_PATTERNS_REPORTED = 20
"""Maximum findings about patterns without effect in one replication."""

_NO_HOLD = (
    "stops no change, so nothing is held by it: no placed parameter and no replica comes from a source that"
    " it matches"
)

_T = TypeVar("_T")
Listings: TypeAlias = Mapping[Access, Listing | StoreError]


@dataclass(frozen=True, slots=True)
class PlanScope:
    """The listings of a run, and for a run for some names its selection.

    Attributes:
        listings: The listing of each place by access, or the error of a place that could not be opened.
        names: The source names that the run is about; empty in a full run.
        addresses: The canonical addresses that the run may plan for, by replication and target name;
            None in a full run.
        counts_elsewhere: Whether the caller limits deletes by its own counts. The guards do not judge the
            number of deletes then, nor whether the source is empty: the places are not listed whole.
        deletes_later: Whether replicas whose mark is due are left to a whole run.
        listings_only: Whether no value is read, tags are read directly as `settle` limits it, and no guard
            judges the changes. Such a plan shows states; it must not be applied.
    """

    listings: Listings
    names: tuple[str, ...] = ()
    addresses: Mapping[tuple[str, str], frozenset[str]] | None = None
    counts_elsewhere: bool = False
    deletes_later: bool = False
    listings_only: bool = False


def make_plan(
    specs: Sequence[Replication],
    session: Session,
    *,
    base: Sequence[Replication] | None = None,
    scope: PlanScope | None = None,
) -> Plan:
    """Return the plan for all replications: the changes that make the targets match the specs.

    Args:
        specs: The replications.
        session: The session of the run; the places of all specs are open.
        base: The former spec, with open places: changes that it would make as well are marked as pending.
        scope: Listings and selection of a run for some names; None in a full run, which lists every place.

    Raises:
        NothingPlanned: No source could be listed, or no target.
    """
    run = session.run
    specs = narrow_specs(specs, run)
    former = None if base is None else approve.narrowed_to(base, run)
    altered = [old for old in former or () if old not in specs]
    scope = scope or PlanScope(list_places((*specs, *altered), session))
    planned = plan_each((*specs, *altered), session, scope, lambda part, _: part)
    parts, former_parts = planned[: len(specs)], planned[len(specs) :]
    if not any(target.complete for part in parts for target in part.targets):
        raise NothingPlanned(
            "nothing could be planned: "
            + "; ".join(sorted({f.message for part in parts for f in part.findings}))
        )
    plan = Plan(
        replications=tuple(sorted(parts, key=lambda part: (part.name, part.source))),
        mode=Mode.NO_DECRYPT if run.no_decrypt else Mode.VERIFY if run.verify_values else Mode.NORMAL,
        narrowing=Narrowing(run.targets, run.only + scope.names),
        as_of=session.as_of,
    )
    plan = replace(plan, budget=budget(plan.changes, _end_places(specs, parts)))
    if former is None:
        return _with_unmatched(plan, parts, specs, scope)
    kept = [part for part in plan.replications if any(part.name == old.name for old in former)]
    unaltered = [part for part in kept if not any(part.name == old.name for old in altered)]
    plan = _with_unmatched(plan, (*parts, *former_parts), (*specs, *altered), scope)
    return approve.mark_pending(plan, [*unaltered, *former_parts])


def _with_unmatched(
    plan: Plan, parts: Sequence[ReplicationPlan], specs: Sequence[Replication], scope: PlanScope
) -> Plan:
    """Return the plan with a finding for each pattern of `--only` that matches nothing."""
    if not plan.narrowing.only or scope.names:  # a run for some names lists only these
        return plan
    return report_unmatched(plan, parts, selected_names(specs, scope.listings))


def selected_names(specs: Sequence[Replication], listings: Listings) -> Iterator[str]:
    """Yield the canonical names of the listed source parameters that the rules of some specs select."""
    for spec in specs:
        source = listings[spec.source.access]
        if isinstance(source, Listing):
            yield from (
                name
                for name, one in source.parameters.items()
                if spec.rule_for(one.name, one.type) is not None
            )


def carry_out(
    plan: Plan,
    specs: Sequence[Replication],
    session: Session,
    stop: Stop,
    listings: Listings | None = None,
) -> Report:
    """Apply a plan, change by change; return a report with an outcome of each change.

    Args:
        plan: The plan.
        specs: The replications that it was made from.
        session: The session of the run.
        stop: The request to stop: no new change begins after it.
        listings: The listings of a plan that was made by this process: tags that were read directly a few
            seconds ago are not read again. None: all tags are read.
    """

    def recent(access: Access) -> RecentTags | None:
        listing = (listings or {}).get(access)
        return RecentTags(listing, session.clock) if isinstance(listing, Listing) else None

    works: dict[tuple[str, str], Work] = {}
    tags: dict[tuple[Place, str], SourceTags] = {}  # by place and identity: rights may differ
    places, run = session.places, session.run
    for spec in narrow_specs(specs, run):
        for target in spec.targets:
            try:
                source, store = places.store(spec.source.access), places.store(target.access)
            except StoreError:
                continue  # the plan has nothing to do in a place that could not be opened
            source_tags = tags.setdefault(
                (source.place, source.caller), SourceTags(source, recent(spec.source.access))
            )
            works[spec.name, target.name] = Work(
                spec, target, source, store, run, session.clock, stop, source_tags, recent(target.access)
            )
    if session.throughput is not None and not stop.is_set():
        puts = {
            (one.replication, one.target)
            for one in plan.changes
            if one.fate is Fate.APPLY and one.writes_value
        }
        session.throughput.set_rates(work.store for key, work in works.items() if key in puts)
    return apply.apply(plan, works, run.parallelism, session.progress, stop)


def list_places(specs: Sequence[Replication], session: Session) -> Listings:
    """List all places at once, each place once, also where several replications use it with other rates."""
    wanted = [access for spec in specs for access in (spec.source.access, *(t.access for t in spec.targets))]
    # Two accesses that differ in rates or in `read_only` are one place: it is listed with the last one of a
    # target, if there is one: its store names the counts of a listing in errors of writes.
    readers: dict[Access, Access] = {}
    for access in wanted:
        place = _without_rates(access)
        if place not in readers or not access.read_only:
            readers[place] = access
    progress = ProgressSums(session.progress)
    listed = session.places.read_each(
        readers.values(), lambda store, _: observe.list_place(store, progress.worker())
    )
    return {access: listed[readers[_without_rates(access)]] for access in wanted}


def _without_rates(access: Access) -> Access:
    return replace(access, rates=(), probe=False, read_only=False)


def plan_each(
    specs: Sequence[Replication],
    session: Session,
    scope: PlanScope,
    result: Callable[[ReplicationPlan, Mapping[str, TargetContext]], _T],
) -> list[_T]:
    """Plan replications at the same time, within the quotas of their places.

    The number at the same time is such that any of them have at most `MOST_AT_ONCE` sources and targets, and
    at least one.

    Args:
        specs: The replications.
        session: The session of the run.
        scope: The listings of the run.
        result: Returns what is kept of the plan and the contexts of a replication; it is called in a thread.

    Returns:
        The results in the order of the specs, whichever plan is made first.
    """
    widest = sorted((len(spec.targets) + 1 for spec in specs), reverse=True)
    most = max(1, sum(ends <= MOST_AT_ONCE for ends in accumulate(widest)))
    progress = ProgressSums(session.progress)

    def plan(spec: Replication) -> _T:
        return result(*plan_replication(spec, replace(session, progress=progress.worker()), scope))

    return read_at_once(plan, specs, most)


def plan_replication(
    spec: Replication, session: Session, scope: PlanScope | None = None
) -> tuple[ReplicationPlan, Mapping[str, TargetContext]]:
    """Return the plan of one replication with its guards applied, and the context of each listed target.

    Without a `scope` all places are listed. Guards that count see the listings only. Unlike `make_plan` it
    does not raise when no place could be listed: the findings say why.

    Args:
        spec: The replication.
        session: The session of the run.
        scope: The listings and addresses of a run for some names; None for a full run.
    """
    part, inputs = _plan_listed(spec, session, scope or PlanScope(list_places([spec], session)))
    expired = tuple(find_expired_holds(spec, session.today))
    return replace(part, findings=(*part.findings, *expired), has_expired_hold=bool(expired)), inputs


def _plan_listed(
    spec: Replication, session: Session, scope: PlanScope
) -> tuple[ReplicationPlan, Mapping[str, TargetContext]]:
    """Return the plan of one replication and the context of each target, without expired holds."""
    source = scope.listings[spec.source.access]
    live = {target.name: scope.listings[target.access] for target in spec.targets}
    if isinstance(source, StoreError) or not (source.complete or source.parameters):
        place = str(source.place) if isinstance(source, Listing) else spec.source.access.region
        targets = _target_plans(spec, scope, {}, {})
        findings = tuple(_place_findings(spec, source, live))
        return ReplicationPlan(spec.name, place, targets, findings=findings, source_complete=False), {}
    whole = {name: one for name, one in live.items() if isinstance(one, Listing) and one.complete}
    drafts, state = settle(spec, source, whole, session, scope.addresses, listings_only=scope.listings_only)
    changes = tuple(sorted((c for one in drafts.values() for c in one.changes), key=lambda c: c.order))
    others = sorted((o for one in drafts.values() for o in one.others), key=lambda o: (o.target, o.name))
    notes = [note for one in drafts.values() for note in one.value_notes]
    part = ReplicationPlan(
        name=spec.name,
        source=str(source.place),
        targets=_target_plans(spec, scope, drafts, state.inputs),
        changes=changes,
        others=tuple(_without_unconfirmed(other, state) for other in others),
        findings=(
            *_place_findings(spec, source, live),
            *_selection_findings(spec, state, drafts, session.run, scope),
            *find_renamed_spec(spec, source.place, {name: one.others for name, one in drafts.items()}, whole),
            *find_unchecked_keys(spec, state.rings),
            *find_unusable_source_keys(spec, source, state.rings[SOURCE], changes, _unread(state.inputs)),
            *(finding for _, one in sorted(drafts.items()) for finding in one.findings),
            *value_findings(spec.name, source.place.region, notes),
        ),
        selected=state.selected,
        in_scope=state.in_scope,
        matched=state.matched.union(*(draft.matched for draft in drafts.values())),
        source_complete=source.complete,
        spec_id=None if spec.id is None else digest_id(spec.id),
    )
    part = _without_due_deletes(part) if scope.deletes_later else part
    return _judged(part, spec, session, scope, drafts, state), state.inputs


def _without_due_deletes(part: ReplicationPlan) -> ReplicationPlan:
    """Return the plan with each replica whose mark is due as one that a whole run deletes."""

    def expires(change: Change) -> datetime | None:
        return change.effect.expires if isinstance(change.effect, Delete | Release) else None

    later = tuple(
        Other(
            *change.order,
            Row.EXPIRING,
            "expiring",
            (*change.reasons, "the next whole run does it"),
            expires=expires(change),
            is_released=isinstance(change.effect, Release),
        )
        for change in part.changes
        if expires(change) is not None
    )
    changes = tuple(change for change in part.changes if expires(change) is None)
    others = sorted((*part.others, *later), key=lambda one: (one.target, one.name))
    return replace(part, changes=changes, others=tuple(others))


def _without_unconfirmed(other: Other, state: ReplicationState) -> Other:
    """Return an address without its differences if its tags could not be read: it may have another owner."""
    is_unconfirmed = (other.target, canonical(other.name)) in state.unconfirmed
    return replace(other, conflict=None) if is_unconfirmed else other


def _judged(
    part: ReplicationPlan,
    spec: Replication,
    session: Session,
    scope: PlanScope,
    drafts: Mapping[str, TargetDiff],
    state: ReplicationState,
) -> ReplicationPlan:
    """Return the plan with the changes withheld that guards hold back; of listings only, it has no guards."""
    if scope.listings_only:
        return replace(part, findings=(*part.findings, *find_unconfirmed_tags(spec, state.unconfirmed)))
    reversed_roles = {name: one.reversed_roles for name, one in drafts.items()}
    rules = GuardRules(spec, session.run, state.unconfirmed, reversed_roles, session.today)
    judged = withhold_changes(part, rules)
    return replace(judged, findings=(*judged.findings, *find_staying_marks(judged)))


def _target_plans(
    spec: Replication,
    scope: PlanScope,
    drafts: Mapping[str, TargetDiff],
    inputs: Mapping[str, TargetContext],
) -> tuple[TargetPlan, ...]:
    return tuple(
        _target_plan(target, scope, drafts.get(target.name), inputs.get(target.name))
        for target in spec.targets
    )


def _target_plan(
    target: Target, scope: PlanScope, draft: TargetDiff | None, context: TargetContext | None
) -> TargetPlan:
    """Return a target with its counts. Without a draft it could not be listed, or the source could not."""
    live = scope.listings[target.access]
    place = live.place if isinstance(live, Listing) else target.access.region
    for_names = scope.addresses is not None
    found = draft or TargetDiff((), (), in_sync=0, replicas=0, findings=())
    return TargetPlan(
        target.name,
        str(place),
        complete=draft is not None,
        frozen=target.frozen,
        replicas=found.replicas,
        in_sync=found.in_sync,
        for_names=for_names,
        counts_elsewhere=scope.counts_elsewhere,
        deletes_outside_run=found.deletes_outside_run,
        deletes_outside_only=found.deletes_outside_only,
        lagging=lagging_addresses(context) if for_names and context is not None else frozenset(),
    )


def _place_findings(
    spec: Replication, source: Listing | StoreError, live: Mapping[str, Listing | StoreError]
) -> list[Finding]:
    """Return findings for places that could not be listed, and for listings that were slow."""
    found = []
    for name, one in (("", source), *sorted(live.items())):
        label, about = (f"target {name}" if name else "the source"), (Address(name),)
        if isinstance(one, StoreError):
            message = f"{spec.name}: {label} could not be reached: {one}. {one.remedy}".rstrip()
            found.append(Finding(Severity.ERROR, "incomplete-place", message, label, about))
        elif not one.complete:
            message = f"{spec.name}: {label} was not listed completely: {one.trouble}"
            found.append(Finding(Severity.ERROR, "incomplete-place", message, label, about))
        elif one.trouble:
            found.append(Finding(Severity.WARNING, "slow-tags", f"{spec.name}: {one.trouble}", label))
    return found


def _selection_findings(
    spec: Replication, state: ReplicationState, drafts: Mapping[str, TargetDiff], run: Run, scope: PlanScope
) -> list[Finding]:
    """Return a warning for rules that select nothing, otherwise one for each pattern without effect.

    A run for some names (its `scope` has addresses) does not know all parameters and has no such finding. A
    hold may match the recorded source of a replica, so it needs the listings of all targets.
    """
    source = state.source
    if not source.complete or scope.addresses is not None:
        return []
    every = f"the {len(source.parameters)} parameters of {source.place}"
    if not state.selected:
        message = f"{spec.name}: the rules select none of {every}: look at `parameters`"
        where = str(spec.include[0].where or spec.name)
        return [Finding(Severity.WARNING, "nothing-selected", message, where)]
    if run.only:
        return []
    is_whole = not run.targets and len(drafts) == len(spec.targets)
    holding = frozenset[str]().union(*(one.holding for one in drafts.values())) if is_whole else None
    listed = ((one.name, one.type) for one in source.parameters.values())
    unused = spec.patterns_without_effect(listed, holding)
    nothing = f"decides about none of {every}: no name matches it, or another pattern is applied first"
    more = f" ({len(unused)} patterns are like this)" if len(unused) > _PATTERNS_REPORTED else ""
    return [
        Finding(
            Severity.WARNING,
            "pattern-without-effect",
            f"{spec.name}: `{glob.text}` under `{key}` {_NO_HOLD if key == HOLD_KEY else nothing};"
            f" correct or remove it{more}",
            str(glob.where or spec.name),
        )
        for key, glob in unused[:_PATTERNS_REPORTED]
    ]


def _unread(inputs: Mapping[str, TargetContext]) -> set[str]:
    """Return the names of the source parameters whose values could not be read."""
    return {
        view.desired[address].source.name
        for view in inputs.values()
        for address, found in view.readings.source.items()
        if isinstance(found, UnreadableValue)
    }


def _end_places(
    specs: Sequence[Replication], parts: Sequence[ReplicationPlan]
) -> dict[tuple[str, str], EndPlace]:
    """Return place and rates of each end of each replication."""
    found: dict[tuple[str, str], EndPlace] = {}
    for spec, part in zip(specs, parts, strict=True):
        found[spec.name, SOURCE] = EndPlace(part.source, dict(spec.source.access.rates))
        for target, planned in zip(spec.targets, part.targets, strict=True):
            found[spec.name, target.name] = EndPlace(planned.place, dict(target.access.rates))
    return found
