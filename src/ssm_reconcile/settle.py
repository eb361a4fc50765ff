"""Listings of one replication -> the diff of each target, with every tag confirmed that a decision needs.

Bulk reads of tags lag behind writes (issue aws/aws-sdk#302). They can save calls, but no decision against
safety may depend on them: before a parameter counts as "not a replica", and before a delete, a replacement
or a retag is planned, its tags are read directly. A direct read can change the result, so all rows are
computed again until no unconfirmed tag matters.

Values are compared by versions first. The record of a replica names the source version that it was made
from and the version that the replica had then. Where both still hold, the values are equal and are not
read. All other values are read. This protects against accidents only: a person who writes both a value
and our tags can fake a record; `--verify-values` reads every value.

Cost: one ListTagsForResource for each tag to confirm, one GetParameters for each ten values to read. Where
more than `CONFIRM_EACH` names of a target would be confirmed as "not a replica", two filtered listings of the
target (each N/50 DescribeParameters) choose those whose tags are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeVar

from ssm_reconcile import observe
from ssm_reconcile.diff import TargetDiff, addresses_to_confirm, diff
from ssm_reconcile.diff.case import TargetContext, matching_patterns
from ssm_reconcile.diff.compare import is_same_version
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import (
    IMAGE,
    SOURCE,
    DesiredParameter,
    Keyring,
    Listing,
    Reading,
    Tags,
    UnreadableValue,
    ValueReadings,
    ValueRequest,
    canonical,
)
from ssm_reconcile.record import (
    OWNER,
    STACK_TAG,
    Standing,
    proves_equal,
    record_of,
    source_names,
    standing,
    was_secret,
)
from ssm_reconcile.resolve import Route, resolve, source_keys, target_keys
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, Hold, Replication, Run
from ssm_reconcile.stores.base import Reader
from ssm_reconcile.system import Phase, Progress, read_at_once

CONFIRM_EACH = 50
"""Maximum names whose tags are read one by one, in `confirm_owners` and in a place with `listings_only`."""
_T = TypeVar("_T")
TagReads: TypeAlias = tuple[Mapping[str, Tags | None], Mapping[str, str]]
"""Tags that were read directly, by name (None: the parameter does not exist), and why others were not."""
Addresses: TypeAlias = Mapping[tuple[str, str], frozenset[str]]
"""Canonical addresses by replication and target name."""


@dataclass(frozen=True, slots=True)
class ReplicationState:
    """State of one replication that the table of cases uses.

    Attributes:
        source: The listing of the source.
        live: The listing of each target that was listed completely, by target name.
        selected: Number of source parameters that the rules select.
        in_scope: Number of them that `--only` matches; None without `--only`.
        matched: The patterns of `--only` that match one of them.
        unconfirmed: Why tags could not be read, by end (`SOURCE` or a target name) and canonical name.
        inputs: The input of the last diff, by target name; empty until `settle` returns.
        rings: The KMS keys that matter, by end.
    """

    source: Listing
    live: Mapping[str, Listing]
    selected: int = 0
    in_scope: int | None = None
    matched: frozenset[str] = frozenset()
    unconfirmed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    inputs: Mapping[str, TargetContext] = field(default_factory=dict)
    rings: Mapping[str, Keyring] = field(default_factory=dict)

    def with_tags(self, end: str, reads: TagReads) -> ReplicationState:
        """Return the state after some tags of one end were read directly."""
        fresh, failed = reads
        unread = {(end, name): f"its tags could not be confirmed ({why})" for name, why in failed.items()}
        known = {**self.unconfirmed, **unread}
        if end == SOURCE:
            return replace(self, source=self.source.with_tags(fresh), unconfirmed=known)
        live = {**self.live, end: self.live[end].with_tags(fresh)}
        return replace(self, live=live, unconfirmed=known)

    def unconfirmed_in(self, target: str) -> frozenset[str]:
        """Return the canonical names in a target whose tags could not be read."""
        return frozenset(name for end, name in self.unconfirmed if end == target)

    def not_read(self, end: str, names: frozenset[str]) -> frozenset[str]:
        """Return those of some names whose tags were not read directly yet, with or without success."""
        confirmed = (self.source if end == SOURCE else self.live[end]).confirmed
        return frozenset(n for n in names if n not in confirmed and (end, n) not in self.unconfirmed)


def settle(
    spec: Replication,
    source: Listing,
    live: Mapping[str, Listing],
    session: Session,
    addresses: Addresses | None = None,
    *,
    listings_only: bool = False,
) -> tuple[dict[str, TargetDiff], ReplicationState]:
    """Return the diff of each target, and what is known of the replication then.

    Args:
        spec: The replication, narrowed to the targets of the run.
        source: The listing of the source.
        live: The listings of the targets that were listed completely, by target name.
        session: The session of the run.
        addresses: The addresses that a run for some names may plan for; None in a full run.
        listings_only: Whether no value is read, and the tags of at most `CONFIRM_EACH` names of each place.
    """
    reads = _ReplicationReads(spec, session, session.as_of, addresses, listings_only)
    state = _selection(spec, ReplicationState(source, live), session.run)
    state = reads.confirm_owners(reads.resolve_keys(state))
    inputs: dict[str, TargetContext] = {}
    diffs: dict[str, TargetDiff] = {}
    # The loop ends: each pass reads the tags of at least one more name, and no name is read twice. Two or
    # three passes are usual; a pass without new reads costs no call.
    while True:
        changed = reads.inputs(
            state, [name for name in state.live if not _is_current(inputs.get(name), state)]
        )
        inputs |= changed
        diffs |= {name: diff(one) for name, one in changed.items()}
        wanted = {end: state.not_read(end, names) for end, names in addresses_to_confirm(diffs).items()}
        if not any(wanted.values()):
            return diffs, replace(state, inputs=inputs)
        state = _read_tags(state, wanted, reads.tags)


def _is_current(context: TargetContext | None, state: ReplicationState) -> bool:
    """Whether no tag of the source or of the target was read since the diff of that input."""
    if context is None:
        return False
    return context.source is state.source and context.live is state.live[context.target.name]


def _selection(spec: Replication, state: ReplicationState, run: Run) -> ReplicationState:
    """Return the state with the number of selected source parameters, and of those that `--only` matches."""
    source = state.source
    names = [one.name for one in source.parameters.values() if spec.rule_for(one.name, one.type) is not None]
    if not run.only:
        return replace(state, selected=len(names))
    only = tuple(map(Glob, run.only))
    matched: set[str] = set()
    in_scope = 0
    for name in names:
        placed = {spec.address(name, source.place, live.place, target) for target, live in state.live.items()}
        patterns = matching_patterns(only, {name, *placed})
        in_scope += bool(patterns)
        matched |= patterns
    return replace(state, selected=len(names), in_scope=in_scope, matched=frozenset(matched))


def _read_tags(
    state: ReplicationState,
    wanted: Mapping[str, frozenset[str]],
    read: Callable[[str, frozenset[str]], TagReads],
) -> ReplicationState:
    """Return the state after tags of each end were read."""
    ends = [end for end, names in sorted(wanted.items()) if names]
    for end, found in _at_once(lambda end: read(end, wanted[end]), ends).items():
        state = state.with_tags(end, found)
    return state


def _at_once(read: Callable[[str], _T], ends: Iterable[str]) -> dict[str, _T]:
    """Return the result of a read for each end; all ends at the same time, since each has its own quotas."""
    names = list(ends)
    return dict(zip(names, read_at_once(read, names), strict=True))


@dataclass(frozen=True, slots=True)
class _ReplicationReads:
    """The direct reads of one replication; each value is read once, however often the rows are computed."""

    spec: Replication
    session: Session
    now: datetime
    addresses: Addresses | None
    listings_only: bool
    tag_reads: Counter[str] = field(default_factory=Counter)
    """Number of names whose tags were read, by end."""
    values: dict[tuple[str, ValueRequest], Reading | UnreadableValue] = field(default_factory=dict)
    resolved: dict[str, tuple[Listing, dict[str, DesiredParameter]]] = field(default_factory=dict)
    """By target name: the source listing that was resolved last, and the result."""
    proven: dict[str, tuple[Listing, Listing, Proof]] = field(default_factory=dict)
    """By target name: the listings of source and target that were compared last, and the result."""

    @property
    def only(self) -> tuple[Glob, ...]:
        return tuple(map(Glob, self.session.run.only))

    def reader(self, end: str) -> Reader:
        """Return the reader of the source or of a target."""
        access = self.spec.source.access if end == SOURCE else self.spec.target(end).access
        return self.session.places.store(access)

    def resolve_keys(self, state: ReplicationState) -> ReplicationState:
        """Return the state with the KMS keys that matter, resolved in every place; all targets at once."""
        ring = observe.resolve_keys(self.reader(SOURCE), source_keys(self.spec, state.source))

        def resolve_in(name: str) -> Keyring:
            live = state.live[name]
            references = target_keys(self.spec, self.spec.target(name), state.source, live, ring)
            return observe.resolve_keys(self.reader(name), references)

        return replace(state, rings={SOURCE: ring, **_at_once(resolve_in, state.live)})

    def tags(self, end: str, names: frozenset[str]) -> TagReads:
        """Read the tags of some names of one end directly."""
        left = CONFIRM_EACH - self.tag_reads[end] if self.listings_only else len(names)
        chosen = sorted(names)[:left]
        self.tag_reads[end] += len(chosen)
        fresh, failed = observe.confirm_tags(self.reader(end), chosen, self.session.progress)
        over_limit = dict.fromkeys(names.difference(chosen), f"at most {CONFIRM_EACH} are read")
        return fresh, {name: failure.code for name, failure in failed.items()} | over_limit

    def confirm_owners(self, state: ReplicationState) -> ReplicationState:
        """Confirm each parameter that bulk reads call "not a replica".

        Up to CONFIRM_EACH names are read one by one. For more, two filtered listings find the few that have
        an owner tag of any owner or belong to a CloudFormation stack, and only those are read: values of
        other owners are not read. A filter does not shorten a listing (`Reader.names_tagged`), so 10,000
        parameters cost 400 calls.
        """

        def read(name: str, suspects: frozenset[str]) -> TagReads:
            reader = self.reader(name)
            if len(suspects) > CONFIRM_EACH:
                progress = partial(Progress, str(reader.place), Phase.CONFIRMING, 0)
                self.session.progress(progress(len(suspects)))
                try:
                    suspects &= reader.names_tagged(OWNER, ()) | reader.names_tagged(STACK_TAG, ())
                except StoreError as failure:
                    return {}, dict.fromkeys(suspects, failure.code)
                self.session.progress(progress(len(suspects)))
            return self.tags(name, suspects)

        proofs = self._proofs(state, state.live)
        return _read_tags(
            state, {name: frozenset(proof.unconfirmed_strangers) for name, proof in proofs.items()}, read
        )

    def desired_parameters(self, state: ReplicationState) -> dict[str, dict[str, DesiredParameter]]:
        """Return what each target should hold, by target name and canonical address."""
        for name, live in state.live.items():
            # The result depends on the listing of the source: it is kept until tags of the source are read.
            if name not in self.resolved or self.resolved[name][0] is not state.source:
                target, rings = self.spec.target(name), state.rings
                route = Route(
                    self.spec, target, state.source, live.place, rings[SOURCE], rings[name], self.now
                )
                others = (found for source, found in self.resolved.values() if source is state.source)
                self.resolved[name] = (state.source, resolve(route, next(others, {})))
        return {name: self.resolved[name][1] for name in state.live}

    def _addresses_in(self, target: str) -> frozenset[str] | None:
        if self.addresses is None:
            return None
        return self.addresses.get((self.spec.name, target), frozenset())

    def _in_run(
        self, desired: Mapping[str, Mapping[str, DesiredParameter]]
    ) -> Mapping[str, Mapping[str, DesiredParameter]]:
        """Return the addresses that the run may plan for: no other value or tag is read."""
        only = self.only
        if not only and self.addresses is None:
            return desired
        return {
            name: {
                address: one
                for address, one in every.items()
                if ((chosen := self._addresses_in(name)) is None or address in chosen)
                and (not only or matching_patterns(only, (one.name, one.source.name)))
            }
            for name, every in desired.items()
        }

    def inputs(self, state: ReplicationState, targets: Iterable[str]) -> dict[str, TargetContext]:
        """Return the diff input of some targets; reads the values that are not known yet."""
        desired = self.desired_parameters(state)
        proofs = self._proofs(state, targets)
        self._read_values(proofs)
        return {
            name: TargetContext(
                replication=self.spec,
                target=self.spec.target(name),
                claim=self.spec.claim(state.source.place),
                desired=desired[name],
                source=state.source,
                live=state.live[name],
                ring=state.rings[name],
                run=self.session.run,
                settled=proof.equal,
                unproven=proof.unproven,
                holds=proof.holds,
                readings=self._readings(name, proof, state.unconfirmed_in(name)),
                as_of=self.session.as_of,
                only=self.only,
                addresses=self._addresses_in(name),
            )
            for name, proof in proofs.items()
        }

    def _proofs(self, state: ReplicationState, targets: Iterable[str]) -> dict[str, Proof]:
        """Return the version proofs of some targets. A proof is kept until tags of either end are read."""
        in_run = self._in_run(self.desired_parameters(state))
        proofs = {}
        for name in targets:
            source, live = state.source, state.live[name]
            kept = self.proven.get(name)
            if kept is None or kept[0] is not source or kept[1] is not live:
                proof = prove(
                    self.spec, name, in_run[name], source, live, self.session.run,
                    reads_values=not self.listings_only,
                )  # fmt: skip
                kept = self.proven[name] = (source, live, proof)
            proofs[name] = kept[2]
        return proofs

    def _read_values(self, proofs: Mapping[str, Proof]) -> None:
        """Read the values that no earlier pass has read: all ends at once, each name once."""
        wanted: dict[str, dict[tuple[str, ValueRequest], ValueRequest]] = {}
        for name, proof in proofs.items():
            for end, questions in ((SOURCE, proof.source), (name, proof.live)):
                for question in questions.values():
                    if (end, question) not in self.values:
                        wanted.setdefault(end, {})[end, question] = question

        def read(end: str) -> dict[tuple[str, ValueRequest], Reading | UnreadableValue]:
            session = self.session
            decrypt = not session.run.no_decrypt
            return observe.read(self.reader(end), wanted[end], session.key, session.progress, decrypt=decrypt)

        for found in _at_once(read, sorted(wanted)).values():
            self.values.update(found)

    def _readings(self, name: str, proof: Proof, unconfirmed: Collection[str]) -> ValueReadings:
        """Return the values of one target. Both texts are kept only where both are shown and differ.

        A parameter whose tags could not be read may have another owner: its value is compared, not shown.
        """
        source = {address: self.values[SOURCE, question] for address, question in proof.source.items()}
        live = {address: self.values[name, question] for address, question in proof.live.items()}
        for address, held in live.items():
            pair = (source[address], held)
            shown = [one for one in pair if isinstance(one, Reading) and one.text is not None]
            hidden = address in unconfirmed or len(shown) < len(pair)
            if hidden or shown[0].digest == shown[1].digest:
                source[address], live[address] = map(_hidden, pair)
        return ValueReadings(source, live)


def _hidden(reading: Reading | UnreadableValue) -> Reading | UnreadableValue:
    return replace(reading, text=None) if isinstance(reading, Reading) else reading


@dataclass(frozen=True, slots=True)
class Proof:
    """Result of the version proof for one target, and the values that must be read; by canonical address.

    Attributes:
        equal: Addresses whose values are equal, as their versions prove.
        source: Source values to read.
        live: Values of the target to read.
        unproven: Addresses whose values would have to be read, and must not be.
        unconfirmed_strangers: Addresses of existing parameters that only bulk reads call "not a replica".
        holds: The holds that match, for each address where they were evaluated.
    """

    equal: AbstractSet[str] = frozenset()
    source: Mapping[str, ValueRequest] = field(default_factory=dict)
    live: Mapping[str, ValueRequest] = field(default_factory=dict)
    unproven: AbstractSet[str] = frozenset()
    unconfirmed_strangers: AbstractSet[str] = frozenset()
    holds: Mapping[str, tuple[Hold, ...]] = field(default_factory=dict)


def prove(
    replication: Replication,
    target: str,
    desired: Mapping[str, DesiredParameter],
    source: Listing,
    live: Listing,
    run: Run,
    *,
    reads_values: bool = True,
) -> Proof:
    """Return which values versions prove to be equal, and which must be read.

    Args:
        replication: The replication that the target belongs to.
        target: The name of the target.
        desired: What the target should hold, by canonical address; only these addresses are examined.
        source: The listing of the source.
        live: The listing of the target.
        run: `verify_values` reads every value, `no_decrypt` no SecureString.
        reads_values: Whether any value may be read.
    """
    claim = replication.claim(source.place)
    equal, unproven, strangers, holds = set[str](), set[str](), set[str](), dict[str, tuple[Hold, ...]]()
    from_source, from_live = dict[str, ValueRequest](), dict[str, ValueRequest]()
    for address, wanted in desired.items():
        there, tags = live.parameters.get(address), live.tags_of(address)
        status = standing(tags, live.arn(address), claim, placed=True)
        if there is not None and status is Standing.FREE and address not in live.confirmed:
            strangers.add(address)
        record = record_of(tags) if there is not None and status is Standing.OURS else None
        matters = there is None or _value_matters(replication, target, status, tags)
        if replication.holds:
            holds[address] = _holds_on(replication, wanted, tags if record else None, source)
        if not matters or wanted.skip or wanted.chained or wanted.problems or holds.get(address):
            continue  # no run writes the value, whatever it is
        if there is not None and record is not None and proves_equal(record, wanted, there, source.place):
            equal.add(address)
            if not run.verify_values:
                continue
        secret = wanted.source.is_secret or (there is not None and there.is_secret)
        show = not (wanted.hidden or secret or any(map(was_secret, (tags, _source_tags(source, wanted)))))
        if not reads_values or (run.no_decrypt and secret):
            unproven.update({address} - equal if there is not None else ())
            continue
        if there is None and not show and not wanted.substitutions:
            continue  # a new SecureString is read when it is written
        from_source[address] = _source_question(replication, wanted, source, live, show=show)
        if there is not None:
            from_live[address] = ValueRequest(there.name, (), show, lifted=from_source[address].lifted)
    return Proof(equal, from_source, from_live, unproven, strangers, holds)


def _source_tags(source: Listing, wanted: DesiredParameter) -> Tags:
    return source.tags_of(canonical(wanted.source.name))


def _source_question(
    replication: Replication, wanted: DesiredParameter, here: Listing, there: Listing, *, show: bool
) -> ValueRequest:
    source, substitutions = wanted.source, wanted.substitutions
    pattern = source.allowed_pattern if substitutions else ""
    is_regional = here.place.region != there.place.region and source.data_type != IMAGE
    region = here.place.region if is_regional else ""
    lifted = replication.shows(source.name, wanted.name)
    return ValueRequest(source.name, substitutions, show, pattern, lifted, region)


def _holds_on(
    replication: Replication, wanted: DesiredParameter, replica: Tags | None, source: Listing
) -> tuple[Hold, ...]:
    """Return the holds that match an address. `replica`: the tags of an existing replica of ours."""
    return replication.holds_on(source_names(wanted.source.name, replica, wanted.name, source.place))


def _value_matters(replication: Replication, target: str, status: Standing, tags: Tags) -> bool:
    """Whether a row can depend on the value of a live parameter."""
    if replication.skip_sync.applies(tags, target) or replication.skip_sync.is_doubtful(tags, target):
        return False
    return status in (Standing.OURS, Standing.FREE)


def lagging_addresses(context: TargetContext) -> frozenset[str]:
    """Return the addresses whose description and value are of different versions: one of the reads lags.

    Reads lag behind writes (issue aws/aws-sdk-js#4349), or the parameter was written between both reads.

    Args:
        context: The input of the last diff of a target.
    """
    at_source = {address: context.desired[address].source for address in context.readings.source}
    sides = ((context.readings.source, at_source), (context.readings.live, context.live.parameters))
    return frozenset(
        address
        for found, described in sides
        for address, reading in found.items()
        if isinstance(reading, Reading) and not is_same_version(reading, described[address])
    )
