"""The spine: the whole tool in the order in which it works. Read this file first.

    open_places   reach every account and region, and make sure that they are the right ones (places.py)
    make_plan     list -> resolve -> prove -> read, shape, seal -> diff -> confirm -> guards
    carry_out     the same plan, handed to `apply`

Planning reads and cannot write. Whatever is shown, saved or applied is the one `Plan` made here.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeAlias

from ssm_reconcile import apply, observe
from ssm_reconcile.budget import budget
from ssm_reconcile.clock import Clock, Stop
from ssm_reconcile.diff import TargetDiff
from ssm_reconcile.errors import Finding, NothingPlanned, Severity, StoreError
from ssm_reconcile.guards import Rules, guarded
from ssm_reconcile.model import Access, Listing
from ssm_reconcile.places import Connect, Places, narrowed, open_places
from ssm_reconcile.plan import Mode, Narrowing, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.progress import Watch
from ssm_reconcile.report import Report
from ssm_reconcile.settle import Situation, settle
from ssm_reconcile.spec import Replication, Run, Target

__all__ = ["Connect", "Places", "carry_out", "make_plan", "open_places"]

Listings: TypeAlias = Mapping[Access, Listing | StoreError]


def make_plan(specs: Sequence[Replication], places: Places, run: Run, clock: Clock, watch: Watch) -> Plan:
    """The plan for all replications: what has to change so that the targets hold what the specs say.

    Raises NothingPlanned when no source, or no target at all, could be listed.
    """
    specs = narrowed(specs, run)
    listings = _list_all(specs, places, watch)
    key = secrets.token_bytes(32)  # of this run only: a digest is of no use to anybody afterwards
    parts = tuple(_plan_one(spec, places, listings, run, key, clock, watch) for spec in specs)
    if not any(target.complete for part in parts for target in part.targets):
        raise NothingPlanned(
            "nothing could be planned: "
            + "; ".join(sorted({f.message for part in parts for f in part.findings}))
        )
    plan = Plan(
        replications=tuple(sorted(parts, key=lambda part: (part.name, part.source))),
        mode=Mode.NO_DECRYPT if run.no_decrypt else Mode.VERIFY if run.verify_values else Mode.NORMAL,
        narrowing=Narrowing(run.targets, run.only),
    )
    return replace(plan, budget=budget(plan.changes, _rates(specs)))


def carry_out(
    plan: Plan,
    specs: Sequence[Replication],
    places: Places,
    run: Run,
    clock: Clock,
    watch: Watch,
    stop: Stop,
) -> Report:
    """Applies a plan, change by change. Never raises for one change; the report has all outcomes."""
    ends = {}
    for spec in narrowed(specs, run):
        for target in spec.targets:
            try:
                source, store = places.store(spec.source.access), places.store(target.access)
            except StoreError:
                continue  # the plan has nothing to do in a place that could not be opened
            ends[spec.name, target.name] = apply.Ends(spec, target, source, store)
    return apply.apply(plan, ends, run, clock, watch, stop)


def _list_all(specs: Sequence[Replication], places: Places, watch: Watch) -> Listings:
    """Every place once, however many replications use it, all at the same time."""
    wanted = sorted(
        {access for spec in specs for access in (spec.source.access, *(t.access for t in spec.targets))},
        key=repr,
    )

    def one(access: Access) -> Listing | StoreError:
        store = places.opened[access]
        return store if isinstance(store, StoreError) else observe.list_place(store, watch)

    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        return dict(zip(wanted, pool.map(one, wanted), strict=True))


def _plan_one(
    spec: Replication,
    places: Places,
    listings: Listings,
    run: Run,
    key: bytes,
    clock: Clock,
    watch: Watch,
) -> ReplicationPlan:
    """One replication: settle what is true, put every address into its row, let the guards decide."""
    source = listings[spec.source.access]
    live = {target.name: listings[target.access] for target in spec.targets}
    if isinstance(source, StoreError) or not (source.complete or source.parameters):
        return _unplannable(spec, source, live)
    whole = {name: one for name, one in live.items() if isinstance(one, Listing) and one.complete}
    drafts, situation = settle(spec, source, whole, places, run, key, clock.now(), watch)
    part = ReplicationPlan(
        name=spec.name,
        source=str(source.place),
        targets=tuple(
            _target_plan(target, live[target.name], drafts.get(target.name)) for target in spec.targets
        ),
        changes=tuple(sorted((c for one in drafts.values() for c in one.changes), key=lambda c: c.order)),
        others=tuple(
            sorted((o for one in drafts.values() for o in one.others), key=lambda o: (o.target, o.name))
        ),
        findings=(
            *_place_findings(spec, source, live),
            *(finding for _, one in sorted(drafts.items()) for finding in one.findings),
            *_plain_secrets(spec, drafts),
        ),
        selected=situation.selected,
        source_complete=source.complete,
    )
    return guarded(part, Rules(spec, run, situation.unconfirmed))


def _target_plan(target: Target, live: Listing | StoreError, draft: TargetDiff | None) -> TargetPlan:
    place = live.place if isinstance(live, Listing) else target.access.region
    if draft is None:
        return TargetPlan(target.name, str(place), complete=False, frozen=target.frozen)
    return TargetPlan(
        target.name, str(place), frozen=target.frozen, replicas=draft.replicas, in_sync=draft.in_sync
    )


def _unplannable(
    spec: Replication, source: Listing | StoreError, live: Mapping[str, Listing | StoreError]
) -> ReplicationPlan:
    """Without its source nothing can be said of a replication, least of all what to delete."""
    place = str(source.place) if isinstance(source, Listing) else spec.source.access.region
    return ReplicationPlan(
        name=spec.name,
        source=place,
        targets=tuple(_target_plan(target, live[target.name], None) for target in spec.targets),
        findings=tuple(_place_findings(spec, source, live)),
        source_complete=False,
    )


def _place_findings(
    spec: Replication, source: Listing | StoreError, live: Mapping[str, Listing | StoreError]
) -> list[Finding]:
    """What went wrong with listing a place, or made it slow."""
    found = []
    for label, one in (("the source", source), *((f"target {name}", live[name]) for name in sorted(live))):
        if isinstance(one, StoreError):
            message = f"{spec.name}: {label} could not be reached: {one}. {one.remedy}".rstrip()
            found.append(Finding(Severity.ERROR, "incomplete-place", message, label))
        elif not one.complete:
            message = f"{spec.name}: {label} was not listed to the end: {one.trouble}"
            found.append(Finding(Severity.ERROR, "incomplete-place", message, label))
        elif one.trouble:
            found.append(Finding(Severity.WARNING, "slow-tags", f"{spec.name}: {one.trouble}", label))
    return found


def _plain_secrets(spec: Replication, drafts: Mapping[str, TargetDiff]) -> list[Finding]:
    """Plain values whose names look secret are hidden, and had better be SecureStrings."""
    names = sorted(
        {
            change.desired.source.name
            for draft in drafts.values()
            for change in draft.changes
            if change.desired is not None and change.desired.hidden and not change.desired.source.is_secret
        }
    )
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    message = f"{shown}: not a SecureString although the name looks secret; its value is hidden here, but not in AWS"
    return [Finding(Severity.WARNING, "plain-secret", message, spec.name)]


def _rates(specs: Sequence[Replication]) -> dict[str, float]:
    """Calls per second that the specs ask for, the slowest where they differ."""
    rates: dict[str, float] = {}
    for spec in specs:
        for target in spec.targets:
            for name, rate in target.access.rates:
                rates[name] = min(rate, rates.get(name, rate))
    return rates
