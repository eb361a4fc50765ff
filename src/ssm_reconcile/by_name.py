"""Names of source parameters -> a plan for their replicas alone, made without listing whole places.

Each name has one address in each target. That address, and every other source name that a rewrite could
place there, is read by its name. `reconcile.make_plan` gets these partial listings, so the table of cases
and the guards are those of a full run (docs/decisions/0012, 0029). Two plans list whole places:

* A plan with deletes lists source and target, so that `max_deletes` counts all deletes that are due. A caller
  that counts deletes by its own state turns that off (`NamePlanner.lists_replicas`).
* A source whose names are rewritten in a way that cannot be reversed is listed.

Cost for N names in each place: N/50 DescribeParameters, and ListTagsForResource for each name that exists. If
a filter of DescribeParameters does not shorten the walk over a place of P parameters (boto/boto3#1079), each
of these DescribeParameters is up to P/50 calls.

DescribeParameters lags behind writes (issue aws/aws-sdk-js#4349), ListTagsForResource does not. A name whose
state is unsure is left out of the plan, to be read again:

* Described and without tags: it was deleted.
* Described at another version than its value, which is read for most changes: one of the reads lags.
* Described at an older version that the record proves equal, so that no value is read: `stale_names` of
  `event.requests` compares the time of the event with that of the source.
* Not described at the source: the delete of a replica ends withheld, since apply reads the source by
  GetParameters right before it. Without a replica, `stale_names` finds the event of the create.
* Not described in the target: a create ends stale, since its name is taken. If the source does not exist
  either, the tags at the address are read.

A name without the time of an event is not compared with a time. If its source was written a moment ago, and
no value is read, the write may be missed until its own event or the next full run. The same holds for the
second of two writes within two seconds, in which the times of events and parameters count as equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations, pairwise
from typing import TypeAlias

from ssm_reconcile import observe, reconcile
from ssm_reconcile.change import Change, Delete, Mark, Release, Replace
from ssm_reconcile.diff.case import TargetContext
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Listing, Parameter, Place, Tags, canonical
from ssm_reconcile.observe import PartialListing, Unsure, list_names, overlaid
from ssm_reconcile.plan import Narrowing, Plan, ReplicationPlan
from ssm_reconcile.reconcile import PlanScope
from ssm_reconcile.record import source_name
from ssm_reconcile.session import HigherThroughput, Places, Session, narrow_specs
from ssm_reconcile.spec import Replication, Rewrite, RewriteIn, Run, Target
from ssm_reconcile.stores.base import Reader, Store
from ssm_reconcile.system import Clock, ProgressListener, read_at_once

LAGS = "its description and its value are of different versions: one of them lags"
NOT_SHOWN = "it has tags, but DescribeParameters does not show it yet"
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
        unchanged: Names whose source has the version that the caller knows. Nothing else was read for them.
        listings: The places as they were read.
    """

    plan: Plan
    specs: tuple[Replication, ...] = ()
    addresses: Mapping[Pair, Mapping[str, frozenset[str]]] = field(default_factory=dict)
    unsure: Mapping[str, Unsure] = field(default_factory=dict)
    unchanged: Mapping[str, SourceVersion] = field(default_factory=dict)
    listings: Mapping[Access, Listing | StoreError] = field(default_factory=dict)

    def names_of(self, replication: str, target: str, address: str) -> frozenset[str]:
        """Return the source names that an address of a target belongs to; empty for an unknown address.

        Args:
            replication: The name of the replication.
            target: The name of the target.
            address: The name of a parameter in the target.
        """
        return self.addresses.get((replication, target), {}).get(canonical(address), frozenset())


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A version of a source parameter; versions restart after a delete, so its time belongs to it."""

    version: int
    modified: datetime


@dataclass(slots=True)
class _Selection:
    """The names of one plan, and what has to be read for them; it changes while the places are read."""

    specs: tuple[Replication, ...]
    requested: Mapping[str, frozenset[str]]
    """The replications of each name."""
    addresses: dict[Pair, dict[str, frozenset[str]]] = field(default_factory=dict)
    candidates: dict[tuple[Pair, str], frozenset[str]] = field(default_factory=dict)
    """Every source name that could be placed at an address."""
    names: dict[Access, set[str]] = field(default_factory=dict)
    """The names to read in each place."""
    irreversible: set[Access] = field(default_factory=set)
    """Sources of replications with a rewrite that cannot be reversed: they are listed whole."""
    unsure: dict[str, Unsure] = field(default_factory=dict)

    def pairs(self) -> Iterable[tuple[Pair, Replication, Target]]:
        """Yield each target of each replication."""
        for spec in self.specs:
            for target in spec.targets:
                yield (spec.name, target.name), spec, target

    def names_for(self, replication: str) -> list[str]:
        """Return the requested names of a replication."""
        return [name for name, specs in self.requested.items() if replication in specs]

    def drop(self, pair: Pair, address: str, why: Unsure) -> None:
        """Leave an address out of the plan: its names are unsure."""
        for name in self.addresses.get(pair, {}).pop(address, frozenset()):
            self.unsure.setdefault(name, why)


@dataclass(frozen=True, slots=True)
class NamePlanner:
    """Plans for some names in opened places.

    Attributes:
        progress: Gets the progress. It may raise StoreError to end the listing of a place.
        lists_replicas: Whether a plan with deletes lists its places whole, so that the guards count all
            deletes that are due. If not, the caller limits deletes by its own counts: the guards
            `max-deletes` and `empty-source` judge no plan.
        throughput: Sets the rate of PutParameter before an apply, as in `Session`.
    """

    specs: tuple[Replication, ...]
    places: Places
    run: Run
    clock: Clock
    progress: ProgressListener
    lists_replicas: bool = True
    throughput: HigherThroughput | None = None

    def session(self) -> Session:
        """Return a new session, with a new key for digests."""
        return Session(self.places, self.run, self.clock, self.progress, self.throughput)

    def plan(
        self, names: Mapping[str, frozenset[str]], known: Mapping[str, SourceVersion] | None = None
    ) -> NamePlan:
        """Return the plan for some names.

        Args:
            names: Canonical source names, each with the names of its replications.
            known: For some names the version of the source from which all their replicas are made already.
                If the source still has it, the name is not read and not planned.

        Raises:
            NothingPlanned: No place of these names could be read.
        """
        concerned = {spec for specs in names.values() for spec in specs}
        specs = narrow_specs([spec for spec in self.specs if spec.name in concerned], self.run)
        if not specs:
            return NamePlan(Plan((), narrowing=Narrowing(self.run.targets, tuple(sorted(names)))))
        chosen = self._select(_Selection(specs, names))
        described = self._describe_sources(chosen) if known else {}
        unchanged = {name: (known or {})[name] for name in _unchanged(chosen, described, known or {})}
        if unchanged:
            chosen = self._select(_Selection(specs, {n: of for n, of in names.items() if n not in unchanged}))
            if not chosen.requested:
                narrowing = Narrowing(self.run.targets, tuple(sorted(names)))
                return NamePlan(Plan((), narrowing=narrowing), unchanged=unchanged)
        listings = self._read(chosen, described)
        self._drop_hidden(chosen, listings)
        listings |= self._listed_whole(chosen.irreversible, listings)
        plan = self._plan_counted(chosen, listings)
        for part in plan.replications:
            for target in part.targets:
                if not (target.complete and part.source_complete):
                    why = f"{target.name if part.source_complete else 'the source'} could not be listed"
                    unlisted = dict.fromkeys(chosen.names_for(part.name), Unsure(why, Trouble.UNREACHABLE))
                    chosen.unsure = unlisted | chosen.unsure
        unsure = dict(sorted(chosen.unsure.items()))
        return NamePlan(plan, specs, chosen.addresses, unsure, unchanged, listings)

    def _describe_sources(self, chosen: _Selection) -> dict[Access, Mapping[str, Parameter]]:
        """Read the descriptions of all names at their sources; a source that fails is read again later."""
        sources = dict.fromkeys(spec.source.access for spec in chosen.specs)
        found: dict[Access, Mapping[str, Parameter]] = {}
        for access in sources:
            try:
                found[access] = self.places.store(access).describe_names(sorted(chosen.names[access]))
            except StoreError:
                continue
        return found

    def address_of(self, spec: Replication, target: Target, name: str) -> str:
        """Return the canonical address of a source name in a target; the name if a place is not open.

        Args:
            spec: The replication.
            target: The target.
            name: The canonical name of the source parameter.
        """
        source, live = (self.places.opened.get(one) for one in (spec.source.access, target.access))
        if isinstance(source, StoreError | None) or isinstance(live, StoreError | None):
            return name
        return canonical(spec.address(name, source.place, live.place, target.name))

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
                chosen.unsure |= dict.fromkeys(
                    names, Unsure(f"{target.name}: {failure}", Trouble.UNREACHABLE)
                )
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

    def _read(
        self, chosen: _Selection, described: Mapping[Access, Mapping[str, Parameter]]
    ) -> ListingsOfNames:
        """Read the names in all places at the same time, and drop each address that is unsure."""

        def read(store: Store, access: Access) -> PartialListing:
            return list_names(store, chosen.names[access], self.progress, self.clock, described.get(access))

        found = self.places.read_each(chosen.names, read)
        unsure = {
            access: one.unsure if isinstance(one, PartialListing) else {} for access, one in found.items()
        }
        for pair, spec, target in chosen.pairs():
            at_source, live = unsure[spec.source.access], unsure[target.access]
            for address in list(chosen.addresses.get(pair, ())):
                candidates = sorted(chosen.candidates[pair, address])
                why = live.get(address) or next((at_source[n] for n in candidates if n in at_source), None)
                if why is not None:
                    chosen.drop(pair, address, why)
        return {
            access: one.listing if isinstance(one, PartialListing) else one for access, one in found.items()
        }

    def _drop_hidden(self, chosen: _Selection, listings: ListingsOfNames) -> None:
        """Drop each address that DescribeParameters shows on neither side, but that has tags in the target.

        Such a replica was created a moment ago, and its source is deleted. Without this read, the delete
        would be taken for done. Where the source exists, the create ends stale: its name is taken.
        """
        hidden: dict[Access, set[str]] = {}
        pairs: list[tuple[Pair, Access, str]] = []
        for pair, spec, target in chosen.pairs():
            source, live = listings[spec.source.access], listings[target.access]
            if isinstance(source, StoreError) or isinstance(live, StoreError):
                continue
            for address in chosen.addresses.get(pair, ()):
                exists = chosen.candidates[pair, address] & source.parameters.keys()
                if source.complete and live.complete and not exists and address not in live.parameters:
                    hidden.setdefault(target.access, set()).add(address)
                    pairs.append((pair, target.access, address))

        def read(access: Access) -> tuple[Access, tuple[Mapping[str, Tags | None], Mapping[str, StoreError]]]:
            store = self.places.store(access)  # open: its listing has no error
            return access, observe.confirm_tags(store, hidden[access], self.progress)

        found = dict(read_at_once(read, hidden))
        for pair, access, address in pairs:
            tags, failed = found[access]
            if address in failed:
                failure = failed[address]
                chosen.drop(pair, address, Unsure(observe.trouble_of(failure), failure.kind))
            elif tags[address] is not None:
                chosen.drop(pair, address, Unsure(NOT_SHOWN))

    def _plan_counted(self, chosen: _Selection, listings: ListingsOfNames) -> Plan:
        """Return the plan, with whole listings of the places of its deletes if this planner counts them.

        If a place cannot be listed, its deletes cannot be counted. They are unsure, and the other names are
        planned without them.
        """
        text = "it would be deleted, and its delete could not be counted, since a place could not be listed"
        why = Unsure(text, Trouble.UNREACHABLE)
        whole = set(chosen.irreversible)
        while True:
            plan = self._plan_sure(chosen, listings)
            removed = self._removed(plan, chosen) if self.lists_replicas else {}
            places = {access for accesses in removed.values() for access in accesses} - whole
            if not places:
                return plan
            found = self._listed_whole(places, listings)
            listed = {access: one for access, one in found.items() if _is_complete(one)}
            listings |= listed
            whole |= listed.keys()
            for (pair, address), accesses in removed.items():
                if accesses & (places - listed.keys()):
                    chosen.drop(pair, address, why)

    def _plan_sure(self, chosen: _Selection, listings: ListingsOfNames) -> Plan:
        """Return the plan without the addresses whose description and value are of different versions."""
        while True:
            addresses = {pair: frozenset(every) for pair, every in chosen.addresses.items()}
            names = tuple(sorted(chosen.requested))
            scope = PlanScope(
                listings, names, addresses, counts_elsewhere=not self.lists_replicas, deletes_later=True
            )
            plan = reconcile.make_plan(chosen.specs, self.session(), scope=scope)
            lagging = [
                ((part.name, target.name), address)
                for part in plan.replications
                for target in part.targets
                for address in target.lagging
            ]
            if not lagging:
                return plan
            for pair, address in lagging:
                chosen.drop(pair, address, Unsure(LAGS))

    def _removed(self, plan: Plan, chosen: _Selection) -> dict[tuple[Pair, str], set[Access]]:
        """Return the addresses that count against the limit of deletes, each with its source and target."""
        ends = {pair: {spec.source.access, target.access} for pair, spec, target in chosen.pairs()}
        return {
            (pair, canonical(change.name)): ends[pair]
            for change in plan.changes
            for pair in [(change.replication, change.target)]
            if self._removes(change)
        }

    def _removes(self, change: Change) -> bool:
        """Whether a change counts against the limit of deletes."""
        effect = change.effect
        return isinstance(effect, Delete | Release | Mark) or (
            isinstance(effect, Replace) and self.run.allow_replace
        )

    def _listed_whole(self, places: AbstractSet[Access], listings: ListingsOfNames) -> ListingsOfNames:
        """List places whole. What was read by name stays: those reads are younger than a listing's pages."""
        ordered = [access for access in listings if access in places]
        found = self.places.read_each(ordered, lambda store, _: observe.list_place(store, self.progress))
        return {access: overlaid(whole, listings[access]) for access, whole in found.items()}


def _unchanged(
    chosen: _Selection,
    described: Mapping[Access, Mapping[str, Parameter]],
    known: Mapping[str, SourceVersion],
) -> frozenset[str]:
    """Return the names whose source has the known version in each of their replications."""
    found: set[str] = set()
    for name in known.keys() & chosen.requested.keys():
        here = [
            described.get(spec.source.access, {}).get(name)
            for spec in chosen.specs
            if spec.name in chosen.requested[name]
        ]
        versions = {None if one is None else SourceVersion(one.version, one.last_modified) for one in here}
        if versions == {known[name]}:
            found.add(name)
    return frozenset(found)


def _is_complete(listing: Listing | StoreError) -> bool:
    return isinstance(listing, Listing) and listing.complete


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
        return _as_listing(list_names(store, wanted[access], session.progress, session.clock))

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


def _as_listing(found: PartialListing) -> Listing:
    """Return the listing, as incomplete if the state of a name could not be read."""
    trouble = "; ".join(dict.fromkeys(one.why for one in found.unsure.values()))
    return replace(found.listing, complete=False, trouble=trouble) if trouble else found.listing


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
