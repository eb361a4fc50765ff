"""Names of source parameters -> a plan for their replicas alone, made without listing whole places.

Each name has one address in each target. That address, and every other source name that a rewrite could
place there, is read by its name. `reconcile.make_plan` gets these partial listings, so the table of cases
and the guards are those of a full run. A guard that counts replicas needs more: a plan with deletes lists
source and target once, and so does a plan with many updates (docs/decisions/0012).

Cost for N names: N/10 GetParameters, N/50 DescribeParameters and N ListTagsForResource in each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from typing import TypeAlias

from ssm_reconcile import observe, reconcile
from ssm_reconcile.change import Action, Change, Delete, Release, Replace
from ssm_reconcile.diff.case import TargetContext
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import Access, Listing, Parameter, Place, Tags, canonical
from ssm_reconcile.plan import Narrowing, Plan, ReplicationPlan
from ssm_reconcile.reconcile import PlanScope
from ssm_reconcile.record import Standing, source_name, standing
from ssm_reconcile.session import Places, Session, narrow_specs
from ssm_reconcile.spec import Replication, Rewrite, RewriteIn, Run, Target
from ssm_reconcile.stores.base import Reader, Store
from ssm_reconcile.system import Clock, ProgressListener

MANY_UPDATES = 10
"""Updates of one target in one plan from which its replicas are counted (docs/decisions/0012)."""
COUNT_LASTS = timedelta(minutes=10)
"""Age up to which a count of replicas is used for the percentage of a guard."""
MOST_OCCURRENCES = 8
"""Places in an address where a rewrite may have inserted its text; beyond, the source is listed whole."""

Pair: TypeAlias = tuple[str, str]
"""A replication and one of its targets, by name."""
ListingsOfNames: TypeAlias = dict[Access, Listing | StoreError]


@dataclass(frozen=True, slots=True)
class NamePlan:
    """A plan for some names.

    Attributes:
        addresses: The canonical addresses that the plan is about, each with its source names.
        unsure: Names whose state could not be read, and why. The plan holds nothing for them.
        listings: The places as they were read.
    """

    plan: Plan
    specs: tuple[Replication, ...] = ()
    addresses: Mapping[Pair, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    listings: Mapping[Access, Listing | StoreError] = field(default_factory=dict)

    def names_of(self, replication: str, target: str, address: str) -> frozenset[str]:
        """Return the source names that an address of a target belongs to; empty for an unknown address.

        Args:
            replication: The name of the replication.
            target: The name of the target.
            address: The name of a parameter in the target.
        """
        return self.addresses.get((replication, target), {}).get(canonical(address), frozenset())


@dataclass(slots=True)
class _Selection:
    """The names of one plan, and what has to be read for them; it changes while the places are read."""

    specs: tuple[Replication, ...]
    requested: Mapping[str, frozenset[str]]
    """The replications of each name."""
    counts_known: bool = False
    """Whether the caller has held all of these changes against the counting guards before."""
    addresses: dict[Pair, dict[str, frozenset[str]]] = field(default_factory=dict)
    candidates: dict[tuple[Pair, str], frozenset[str]] = field(default_factory=dict)
    """Every source name that could be placed at an address."""
    names: dict[Access, set[str]] = field(default_factory=dict)
    """The names to read in each place."""
    irreversible: set[Access] = field(default_factory=set)
    """Sources of replications with a rewrite that cannot be reversed: they are listed whole."""
    unsure: dict[str, str] = field(default_factory=dict)
    listed_whole: bool = False

    def pairs(self) -> Iterable[tuple[Pair, Replication, Target]]:
        """Yield each target of each replication."""
        for spec in self.specs:
            for target in spec.targets:
                yield (spec.name, target.name), spec, target

    def names_for(self, replication: str) -> list[str]:
        """Return the requested names of a replication."""
        return [name for name, specs in self.requested.items() if replication in specs]

    def drop(self, pair: Pair, address: str, why: str) -> None:
        """Leave an address out of the plan: its names are unsure."""
        for name in self.addresses[pair].pop(address, frozenset()):
            self.unsure.setdefault(name, why)


@dataclass(slots=True)
class NamePlanner:
    """Plans for some names in opened places; keeps the counts of replicas between plans."""

    specs: tuple[Replication, ...]
    places: Places
    run: Run
    clock: Clock
    progress: ProgressListener
    counts: dict[Pair, tuple[datetime, int]] = field(default_factory=dict)
    listing_progress: ProgressListener | None = None
    """Gets the progress of whole listings in the place of `progress`; may raise StoreError to end one."""

    def session(self) -> Session:
        """Return a new session, with a new key for digests."""
        return Session(self.places, self.run, self.clock, self.progress)

    def plan(self, names: Mapping[str, frozenset[str]], *, counts_known: bool = False) -> NamePlan:
        """Return the plan for some names.

        Args:
            names: Canonical source names, each with the names of its replications.
            counts_known: A full run has planned these changes and its guards have counted them. They are
                not counted again: of a first adoption in parts, each part is a large share of the
                replicas that exist by then.

        Raises:
            NothingPlanned: No place of these names could be read.
        """
        concerned = {spec for specs in names.values() for spec in specs}
        specs = narrow_specs([spec for spec in self.specs if spec.name in concerned], self.run)
        if not specs:
            return NamePlan(Plan((), narrowing=Narrowing(self.run.targets, tuple(sorted(names)))))
        chosen = self._select(_Selection(specs, names, counts_known))
        listings = self._read(chosen)
        self._list_whole(listings, chosen.irreversible, chosen)
        plan = self._planned(chosen, listings)
        uncounted = self._to_list_whole(plan, chosen)
        if uncounted:
            plan = self._planned_whole(plan, uncounted, chosen, listings)
        for part in plan.replications:
            for target in part.targets:
                if not (target.complete and part.source_complete):
                    why = f"{target.name if part.source_complete else 'the source'} could not be listed"
                    chosen.unsure = dict.fromkeys(chosen.names_for(part.name), why) | chosen.unsure
        unsure = dict(sorted(chosen.unsure.items()))
        return NamePlan(plan, specs, chosen.addresses, unsure, listings)

    def _select(self, chosen: _Selection) -> _Selection:
        """Add the addresses of the names, and every name to be read for them."""
        for pair, spec, target in chosen.pairs():
            names = chosen.names_for(spec.name)
            chosen.names.setdefault(spec.source.access, set()).update(names)
            chosen.names.setdefault(target.access, set())
            try:
                source = self.places.store(spec.source.access).place
                place = self.places.store(target.access).place
            except StoreError as failure:
                chosen.unsure |= dict.fromkeys(names, f"{target.name}: {failure}")
                continue
            addresses = chosen.addresses.setdefault(pair, {})
            for name in names:
                address = canonical(spec.address(name, source, place, target.name))
                addresses[address] = addresses.get(address, frozenset()) | {name}
                found = source_candidates(spec, target, source, place, address)
                if found is None:
                    chosen.irreversible.add(spec.source.access)
                candidates = (found or frozenset()) | addresses[address]
                chosen.candidates[pair, address] = candidates
                chosen.names[spec.source.access] |= candidates
                chosen.names[target.access].add(address)
        return chosen

    def _read(self, chosen: _Selection) -> ListingsOfNames:
        """Read the names in all places at the same time, and drop each address that is unsure."""

        def read(store: Store, access: Access) -> PartialListing:
            return list_names(store, chosen.names[access], self.progress)

        found = self.places.read_each(chosen.names, read)
        unsure = {
            access: one.unsure if isinstance(one, PartialListing) else {} for access, one in found.items()
        }
        for pair, spec, target in chosen.pairs():
            at_source, live = unsure[spec.source.access], unsure[target.access]
            for address in list(chosen.addresses.get(pair, ())):
                candidates = sorted(chosen.candidates[pair, address])
                why = live.get(address) or next((at_source[n] for n in candidates if n in at_source), "")
                if why:
                    chosen.drop(pair, address, why)
        return {
            access: one.listing if isinstance(one, PartialListing) else one for access, one in found.items()
        }

    def _planned(self, chosen: _Selection, listings: ListingsOfNames) -> Plan:
        addresses = {pair: frozenset(every) for pair, every in chosen.addresses.items()}
        oldest = self.clock.now() - COUNT_LASTS
        counts = {pair: count for pair, (at, count) in self.counts.items() if at >= oldest}
        if chosen.counts_known and not chosen.listed_whole:
            counts = {}
        scope = PlanScope(listings, tuple(sorted(chosen.requested)), addresses, counts)
        return reconcile.make_plan(chosen.specs, self.session(), scope=scope)

    def _to_list_whole(self, plan: Plan, chosen: _Selection) -> set[Access]:
        """Return the places that have to be listed whole before the counting guards can judge the plan."""
        places: set[Access] = set()
        counted = {(part.name, one.name) for part in plan.replications for one in part.targets if one.counted}
        for pair, spec, target in chosen.pairs():
            changes = [change for change in plan.changes if (change.replication, change.target) == pair]
            updates = sum(change.action in {Action.UPDATE, Action.REPLACE} for change in changes)
            if any(self._removes(change) for change in changes):
                places |= {spec.source.access, target.access}
            elif updates >= MANY_UPDATES and pair not in counted and not chosen.counts_known:
                places.add(target.access)
        return places

    def _removes(self, change: Change) -> bool:
        """Whether a change counts against the limit of deletes."""
        effect = change.effect
        return isinstance(effect, Delete | Release) or (
            isinstance(effect, Replace) and self.run.allow_replace
        )

    def _planned_whole(
        self, plan: Plan, places: set[Access], chosen: _Selection, listings: ListingsOfNames
    ) -> Plan:
        """Return the plan over whole listings. A place that cannot be listed costs only its deletes.

        A delete that cannot be counted is unsure, and the other names of the batch are planned without it.
        If updates need the same listing, or nothing else is left, the failure stays in the plan.
        """
        partial = dict(listings)
        self._list_whole(listings, places, chosen)
        found = {access: listings[access] for access in places}
        failed = {a for a, one in found.items() if isinstance(one, StoreError) or not one.complete}
        if failed and self._drop_removals(plan, failed, chosen):
            without = self._planned(chosen, {**listings, **{access: partial[access] for access in failed}})
            if not self._to_list_whole(without, chosen) & failed:
                return without
        return self._planned(chosen, listings)

    def _drop_removals(self, plan: Plan, failed: set[Access], chosen: _Selection) -> bool:
        """Drop the deletes that need a place that could not be listed; return whether anything is left."""
        why = "it would be deleted, and its delete could not be counted, since a place could not be listed"
        for pair, spec, target in chosen.pairs():
            if failed & {spec.source.access, target.access}:
                for change in plan.changes:
                    if (change.replication, change.target) == pair and self._removes(change):
                        chosen.drop(pair, canonical(change.name), why)
        return any(chosen.addresses.values())

    def _list_whole(self, listings: ListingsOfNames, places: set[Access], chosen: _Selection) -> None:
        """List places whole. What was read by name stays: those reads are younger than a listing's pages."""
        chosen.listed_whole = chosen.listed_whole or bool(places)
        listener = self.listing_progress or self.progress
        found = self.places.read_each(places, lambda store, _: observe.list_place(store, listener))
        for access, whole in found.items():
            known = listings[access]
            if isinstance(whole, StoreError):
                listings[access] = whole
            elif isinstance(known, Listing) and known.complete:
                listings[access] = _overlaid(whole, known)
        now = self.clock.now()
        for pair, spec, target in chosen.pairs():
            if target.access not in places:
                continue
            source, live = listings[spec.source.access], listings[target.access]
            # An incomplete listing gives no count: of too few replicas every change is too large a share.
            if isinstance(source, Listing) and isinstance(live, Listing) and live.complete:
                self.counts[pair] = (now, _count_replicas(spec, source.place, live))


def plan_one_name(
    spec: Replication, session: Session, name: str
) -> tuple[ReplicationPlan, Mapping[str, TargetContext]]:
    """Return the plan for one name in each target of a replication, and the listed targets; to explain it.

    Guards that count see this name only. Does not raise when a place cannot be read: a finding says why.

    Args:
        spec: The replication.
        session: The run and its opened places.
        name: The name of a source parameter, or an address in a target.
    """
    return reconcile.plan_replication(spec, session, _read_one_name(spec, session, canonical(name)))


def _read_one_name(spec: Replication, session: Session, name: str) -> PlanScope:
    """Read a name as a source name and as an address, and the source that a replica there records."""
    places = session.places
    source = places.opened[spec.source.access]
    addresses: dict[Pair, frozenset[str]] = {}
    wanted: dict[Access, set[str]] = {}
    at_source: set[str] | None = {name}
    for target in spec.targets:
        live = places.opened[target.access]
        found = {name}
        if not isinstance(source, StoreError) and not isinstance(live, StoreError):
            found.add(canonical(spec.address(name, source.place, live.place, target.name)))
            for address in found:
                candidates = source_candidates(spec, target, source.place, live.place, address)
                at_source = None if candidates is None or at_source is None else {*at_source, *candidates}
        addresses[spec.name, target.name] = frozenset(found)
        wanted.setdefault(target.access, set()).update(found)

    def read_listing(store: Reader, access: Access) -> Listing:
        return _as_listing(list_names(store, wanted[access], session.progress, check_versions=False))

    listings = places.read_each(wanted, read_listing)
    if isinstance(source, StoreError):
        return PlanScope({**listings, spec.source.access: source}, (name,), addresses)
    if at_source is None:
        listings[spec.source.access] = observe.list_place(source, session.progress)
        return PlanScope(listings, (name,), addresses)
    for (_, target_name), every in addresses.items():
        replicas = listings[spec.target(target_name).access]
        if isinstance(replicas, Listing):
            origins = (source_name(replicas.tags_of(address), address, source.place) for address in every)
            at_source |= {canonical(origin) for origin in origins if origin is not None}
    wanted[spec.source.access] = {*at_source}
    listings |= places.read_each([spec.source.access], read_listing)
    return PlanScope(listings, (name,), addresses)


@dataclass(frozen=True, slots=True)
class PartialListing:
    """Some parameters of one place. `unsure`: names whose state could not be read, and why."""

    listing: Listing
    unsure: Mapping[str, str] = field(default_factory=dict)


def list_names(
    reader: Reader, names: Iterable[str], progress: ProgressListener, *, check_versions: bool = True
) -> PartialListing:
    """Read some parameters of one place by name; all others are absent from the listing.

    GetParameters (10 names a call, no decryption) reads which exist, DescribeParameters (50 names a call)
    their attributes, ListTagsForResource (one name a call) their tags. Never raises for a failed call: a
    failure of one name makes that name unsure, a failure of the place makes the listing incomplete.

    Args:
        reader: The place.
        names: Names in any form; they are read as canonical names.
        progress: Gets the tags, which are read a few a second.
        check_versions: Compare the version of each value with that of its description. Reads lag behind
            writes (issue aws/aws-sdk-js#4349), so different versions make a name unsure. Without, no
            value is read.
    """
    wanted = frozenset(canonical(name) for name in names)
    versions: dict[str, int] = {}
    unsure: dict[str, str] = {}
    try:
        if check_versions:
            answers = reader.values(sorted(wanted), decrypt=False)
            versions = {name: value.version for name, value in answers.found.items()}
            unsure = {name: str(failure) for name, failure in answers.failed.items()}
        existing = sorted(versions if check_versions else wanted)
        described = reader.describe_names(existing) if existing else {}
    except StoreError as failure:
        return PartialListing(
            Listing(reader.place, reader.caller, complete=False, trouble=observe.trouble_of(failure))
        )
    for name, version in versions.items():
        if name not in described or described[name].version != version:
            unsure[name] = "its description and its value are of different versions: one of them lags"
    fresh, failed = observe.confirm_tags(reader, described.keys() - unsure.keys(), progress)
    unsure |= {name: observe.trouble_of(failure) for name, failure in failed.items()}
    unsure |= {name: "it vanished while it was read" for name, tags in fresh.items() if tags is None}
    listing = Listing(
        place=reader.place,
        caller=reader.caller,
        parameters={name: one for name, one in described.items() if name not in unsure},
        tags={name: tags for name, tags in fresh.items() if tags is not None and name not in unsure},
        confirmed=wanted - unsure.keys(),
    )
    return PartialListing(listing, unsure)


def _as_listing(found: PartialListing) -> Listing:
    """Return the listing, as incomplete if the state of a name could not be read."""
    trouble = "; ".join(dict.fromkeys(found.unsure.values()))
    return replace(found.listing, complete=False, trouble=trouble) if trouble else found.listing


def _overlaid(whole: Listing, known: Listing) -> Listing:
    """Return a whole listing with the state of each name that was read directly."""
    direct = known.confirmed
    parameters: dict[str, Parameter] = {k: v for k, v in whole.parameters.items() if k not in direct}
    tags: dict[str, Tags] = {k: v for k, v in whole.tags.items() if k not in direct}
    return replace(
        whole,
        parameters=parameters | dict(known.parameters),
        tags=tags | dict(known.tags),
        confirmed=whole.confirmed | direct,
    )


def _count_replicas(spec: Replication, source: Place, live: Listing) -> int:
    claim = spec.claim(source)
    return sum(
        standing(live.tags_of(name), live.arn(name), claim, placed=True) is Standing.OURS
        for name in live.parameters
    )


def source_candidates(
    spec: Replication, target: Target, source: Place, place: Place, address: str
) -> frozenset[str] | None:
    """Return every source name that is placed at an address, whether it exists or not.

    If two of them exist they collide, and a replica made from one of them must not be deleted while it
    exists. None if a rewrite cannot be reversed; without rewrites of names, the address itself.

    Args:
        spec: The replication.
        target: The target.
        source: The place of the source.
        place: The place of the target.
        address: The canonical name of a parameter in the target.
    """
    candidates = {canonical(address)}
    for rule in spec.rewrites:
        if rule.scope is RewriteIn.NAME:
            found = _names_before(rule, source, place, target.name, canonical(address))
            if found is None:
                return None
            candidates |= found
    return frozenset(
        name for name in candidates if canonical(spec.address(name, source, place, target.name)) == address
    )


def _names_before(rule: Rewrite, source: Place, place: Place, target: str, address: str) -> set[str] | None:
    """Return the names that a rewrite may have turned into an address: any of its new texts reversed."""
    change = rule.substitution(source, place, target)
    if not change.new:
        return None
    starts = [i for i in range(len(address)) if address.startswith(change.new, i)]
    if len(starts) > MOST_OCCURRENCES:  # 2 ** 8 combinations
        return None
    length = len(change.new)
    found: set[str] = set()
    for count in range(1, len(starts) + 1):
        for chosen in combinations(starts, count):
            if any(later - earlier < length for earlier, later in pairwise(chosen)):
                continue
            name = address
            for start in reversed(chosen):
                name = name[:start] + change.old + name[start + length :]
            found.add(canonical(name))
    return found
