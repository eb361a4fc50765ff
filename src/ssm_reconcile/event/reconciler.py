"""Names -> a plan for them alone, its apply, and what became of each: the spine, with a short listing.

Only those names are read, each by its name, at the source and at their addresses in the targets. From
there on it is `reconcile`: the same table, the same guards, the same apply. What a guard has to count is
counted: a batch that would delete lists both places once, and so does one that updates much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ssm_reconcile import observe, reconcile
from ssm_reconcile.change import Action, Change, Delete, Release, Replace
from ssm_reconcile.clock import Clock, Stop
from ssm_reconcile.errors import StoreError
from ssm_reconcile.event.requests import NameRequest
from ssm_reconcile.event.selection import Aim, End, find_homes
from ssm_reconcile.event.stale_reads import unseen
from ssm_reconcile.model import Access, Listing, Place, canonical
from ssm_reconcile.observe import Glimpse
from ssm_reconcile.places import Places, narrowed
from ssm_reconcile.plan import Narrowing, Plan
from ssm_reconcile.progress import ProgressListener
from ssm_reconcile.record import Standing, standing
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Replication, Run, Target
from ssm_reconcile.system import ReadPool

MANY_UPDATES = 10
"""From so many updates of one target in one batch on, its replicas are counted (docs/decisions/0012)."""
COUNT_LASTS = timedelta(minutes=10)
"""How long a count of replicas is good enough to take a percentage of."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan for some names.

    `homes`: the addresses that it is about, by replication and target, each with the names that lie there.
    `unsure`: names of which nothing can be said now, and why. `unseen`: names that were said to have
    changed and that do not show it yet.
    """

    plan: Plan
    specs: tuple[Replication, ...] = ()
    run: Run = Run()
    homes: Mapping[End, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)

    def names_of(self, replication: str, target: str, address: str) -> frozenset[str]:
        """The source names that an address of a target is about."""
        return self.homes.get((replication, target), {}).get(canonical(address), frozenset())


@dataclass(slots=True)
class EventReconciler:
    """The spine, ready for the next names: specs, opened places, and what was counted lately."""

    specs: tuple[Replication, ...]
    places: Places
    run: Run
    clock: Clock
    watch: ProgressListener
    counts: dict[End, tuple[datetime, int]] = field(default_factory=dict)
    patience: ProgressListener | None = None
    """Watches whole listings in the place of `watch`: raises StoreError when one takes too long."""

    def sources(self) -> dict[str, Place]:
        """Where each replication's source is, as far as it could be reached."""
        opened = {spec.name: self.places.opened.get(spec.source.access) for spec in self.specs}
        return {
            name: store.place
            for name, store in opened.items()
            if store is not None and not isinstance(store, StoreError)
        }

    def plan(self, wishes: Mapping[str, NameRequest]) -> Planned:
        """The plan for some names; raises NothingPlanned when no place of theirs could be read.

        Names that a whole run has judged are not held against a percentage once more: of a first
        adoption that is handed on in parts, each part is a large share of what is owned by then.
        """
        concerned = {name for wish in wishes.values() for name in wish.specs}
        specs = narrowed([spec for spec in self.specs if spec.name in concerned], self.run)
        if not specs:
            return Planned(Plan((), narrowing=Narrowing(self.run.targets, tuple(sorted(wishes)))))
        aim = self._aim(specs, wishes)
        glimpses = self._glimpses(aim)
        self._leave_out_the_unsure(aim, glimpses)
        listings: dict[Access, Listing | StoreError] = {
            access: found.listing if isinstance(found, Glimpse) else found
            for access, found in glimpses.items()
        }
        self._widen(listings, {s.source.access for s in specs if s.name in aim.unlimited}, aim)
        plan = self._planned(aim, listings, wishes)
        wide = self._to_be_listed(plan, aim, judged=_judged(wishes))
        if wide:
            plan = self._planned_wide(plan, wide, aim, listings, wishes)
        self._leave_out_the_unlisted(plan, aim, wishes)
        return Planned(
            plan=plan,
            specs=specs,
            run=self.run,
            homes=aim.homes,
            unsure=dict(sorted(aim.unsure.items())),
            unseen=unseen(specs, wishes, listings, self.clock.now()),
        )

    def carry_out(self, planned: Planned, stop: Stop) -> Report:
        """Applies it, as any plan."""
        session = Session(self.places, planned.run, self.clock, self.watch)
        return reconcile.carry_out(planned.plan, planned.specs, session, stop)

    def _aim(self, specs: tuple[Replication, ...], wishes: Mapping[str, NameRequest]) -> Aim:
        """Where the names lie in each target, and what else has to be read to judge of them."""
        aim = Aim(specs)
        for spec in specs:
            mine = [name for name, wish in wishes.items() if spec.name in wish.specs]
            aim.names.setdefault(spec.source.access, set()).update(mine)
            for target in spec.targets:
                aim.names.setdefault(target.access, set())
                ends = self._ends(spec, target)
                if isinstance(ends, StoreError):
                    aim.unsure |= dict.fromkeys(mine, f"{target.name}: {ends}")
                else:
                    find_homes(aim, spec, target, *ends, mine)
        return aim

    def _ends(self, spec: Replication, target: Target) -> tuple[Place, Place] | StoreError:
        try:
            return self.places.store(spec.source.access).place, self.places.store(target.access).place
        except StoreError as failure:
            return failure

    def _glimpses(self, aim: Aim) -> dict[Access, Glimpse | StoreError]:
        """What every place says of the names that matter there, all places at the same time."""

        def one(access: Access) -> Glimpse | StoreError:
            store = self.places.opened[access]
            if isinstance(store, StoreError):
                return store
            return observe.list_names(store, aim.names[access], self.watch)

        wanted = sorted(aim.names, key=repr)
        with ReadPool(max_workers=len(wanted)) as pool:
            return dict(zip(wanted, pool.map(one, wanted), strict=True))

    def _leave_out_the_unsure(self, aim: Aim, glimpses: Mapping[Access, Glimpse | StoreError]) -> None:
        for spec in aim.specs:
            source = _unsure(glimpses[spec.source.access])
            for target in spec.targets:
                end, live = (spec.name, target.name), _unsure(glimpses[target.access])
                for address in list(aim.homes.get(end, ())):
                    asked = sorted(aim.rivals[end][address])
                    doubt = live.get(address) or next((source[n] for n in asked if n in source), "")
                    if doubt:
                        aim.drop(end, address, doubt)

    def _leave_out_the_unlisted(self, plan: Plan, aim: Aim, wishes: Mapping[str, NameRequest]) -> None:
        """A place that was not listed to the end says nothing of any name of its replication."""
        for part in plan.replications:
            for target in part.targets:
                if not (target.complete and part.source_complete):
                    why = f"{target.name if part.source_complete else 'the source'} could not be listed"
                    mine = [name for name, wish in wishes.items() if part.name in wish.specs]
                    aim.unsure |= {name: why for name in mine if name not in aim.unsure}

    def _planned_wide(
        self,
        plan: Plan,
        wide: set[Access],
        aim: Aim,
        listings: dict[Access, Listing | StoreError],
        wishes: Mapping[str, NameRequest],
    ) -> Plan:
        """The plan over whole listings. Where one cannot be had, only what needs it is left out.

        A delete that cannot be judged comes again by itself; its neighbours in the batch do not wait
        for it. When nothing else is left, or updates need the same listing, the failure stands.
        """
        narrow = dict(listings)
        self._widen(listings, wide, aim)
        failed = {access for access in wide if not _complete(listings[access])}
        if failed and self._leave_out_what_goes(plan, failed, aim):
            spared = {**listings, **{access: narrow[access] for access in failed}}
            without = self._planned(aim, spared, wishes)
            if not self._to_be_listed(without, aim, judged=_judged(wishes)) & failed:
                return without
        return self._planned(aim, listings, wishes)

    def _leave_out_what_goes(self, plan: Plan, failed: set[Access], aim: Aim) -> bool:
        """Whether anything is left without the deletes that need a place that could not be listed."""
        for spec in aim.specs:
            for target in spec.targets:
                if failed.isdisjoint({spec.source.access, target.access}):
                    continue
                for change in plan.changes:
                    mine = (change.replication, change.target) == (spec.name, target.name)
                    if mine and _goes(change.effect, self.run):
                        why = "it is to go, and places could not be listed to count what goes with it"
                        aim.drop((spec.name, target.name), canonical(change.name), why)
        return any(aim.homes.values())

    def _planned(
        self, aim: Aim, listings: Mapping[Access, Listing | StoreError], wishes: Mapping[str, NameRequest]
    ) -> Plan:
        homes = {end: frozenset(addresses) for end, addresses in aim.homes.items()}
        fresh = self.clock.now() - COUNT_LASTS
        counts = {end: count for end, (at, count) in self.counts.items() if at >= fresh}
        if _judged(wishes) and not aim.listed:
            counts = {}
        scope = reconcile.PlanScope(listings, tuple(sorted(wishes)), homes, counts)
        session = Session(self.places, self.run, self.clock, self.watch)
        return reconcile.make_plan(aim.specs, session, scope=scope)

    def _to_be_listed(self, plan: Plan, aim: Aim, *, judged: bool) -> set[Access]:
        """The places that have to be listed whole before a guard can judge of this plan."""
        wide: set[Access] = set()
        for spec in aim.specs:
            for target in spec.targets:
                changes = [c for c in plan.changes if (c.replication, c.target) == (spec.name, target.name)]
                if any(_goes(change.effect, self.run) for change in changes):
                    wide |= {spec.source.access, target.access}
                elif (
                    not (judged or _counted(plan, spec.name, target.name))
                    and _updates(changes) >= MANY_UPDATES
                ):
                    wide.add(target.access)
        return wide

    def _widen(self, listings: dict[Access, Listing | StoreError], wide: Iterable[Access], aim: Aim) -> None:
        """Lists places whole; what was read by its name stays as it was read: it is the surer word."""
        wanted = sorted(wide, key=repr)
        aim.listed = aim.listed or bool(wanted)
        with ReadPool(max_workers=max(1, len(wanted))) as pool:
            found = list(pool.map(self._listed_whole, wanted))
        for access, whole in zip(wanted, found, strict=True):
            known = listings[access]
            if isinstance(whole, Listing) and isinstance(known, Listing) and known.complete:
                listings[access] = _overlaid(whole, known)
            elif isinstance(whole, StoreError):
                listings[access] = whole
        now = self.clock.now()
        for spec in aim.specs:
            source = listings[spec.source.access]
            for target in spec.targets:
                live = listings[target.access]
                if target.access not in wanted or not _complete(live):  # half a count is none
                    continue
                if isinstance(live, Listing) and isinstance(source, Listing):
                    self.counts[spec.name, target.name] = (now, _replicas(spec, source.place, live))

    def _listed_whole(self, access: Access) -> Listing | StoreError:
        store = self.places.opened[access]
        if isinstance(store, StoreError):
            return store
        return observe.list_place(store, self.patience or self.watch)


def _complete(found: Listing | StoreError) -> bool:
    return isinstance(found, Listing) and found.complete


def _unsure(found: Glimpse | StoreError) -> Mapping[str, str]:
    return found.unsure if isinstance(found, Glimpse) else {}


def _goes(effect: object, run: Run) -> bool:
    """Whether a change takes a replica away, so that it counts against what may be deleted."""
    return isinstance(effect, Delete | Release) or (isinstance(effect, Replace) and run.allow_replace)


def _judged(wishes: Mapping[str, NameRequest]) -> bool:
    return all(wish.judged for wish in wishes.values())


def _updates(changes: Iterable[Change]) -> int:
    return sum(change.action in {Action.UPDATE, Action.REPLACE} for change in changes)


def _counted(plan: Plan, replication: str, target: str) -> bool:
    return any(
        one.counted
        for part in plan.replications
        for one in part.targets
        if (part.name, one.name) == (replication, target)
    )


def _overlaid(whole: Listing, known: Listing) -> Listing:
    """A whole listing in which the names that were read directly are as they were read."""
    direct = known.confirmed
    return replace(
        whole,
        parameters={**{k: v for k, v in whole.parameters.items() if k not in direct}, **known.parameters},
        tags={**{k: v for k, v in whole.tags.items() if k not in direct}, **known.tags},
        confirmed=whole.confirmed | direct,
    )


def _replicas(spec: Replication, source: Place, live: Listing) -> int:
    claim = spec.claim(source)
    return sum(
        standing(live.tags_of(name), live.arn(name), claim, placed=True) is Standing.OURS
        for name in live.parameters
    )
