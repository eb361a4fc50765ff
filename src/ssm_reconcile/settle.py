"""Listings -> what each target needs, with every doubt settled that a decision rests on.

Bulk tag reads lag (aws-facts A2). They may speed a plan up, never decide against safety: before a
parameter is called "not ours", and before a delete, replacement or retag is planned, its tags are
read directly. A read may change the picture, so the rows are computed again until no doubt is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeAlias

from ssm_reconcile import observe
from ssm_reconcile.diff import TargetDiff, addresses_to_confirm, diff
from ssm_reconcile.diff.case import TargetContext, matching_patterns
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import (
    SOURCE,
    DesiredParameter,
    Keyring,
    Listing,
    Reading,
    Tags,
    UnreadableValue,
    ValueReadings,
    ValueRequest,
)
from ssm_reconcile.progress import Phase, Progress
from ssm_reconcile.prove import CONFIRM_EACH, Proof, doubts, prove
from ssm_reconcile.record import OWNER
from ssm_reconcile.resolve import resolve, source_keys, target_keys
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, Replication
from ssm_reconcile.stores.base import Reader
from ssm_reconcile.system import ReadPool

Asked: TypeAlias = tuple[str, ValueRequest]
Answers: TypeAlias = dict[Asked, Reading | UnreadableValue]
Told: TypeAlias = tuple[Mapping[str, Tags | None], Mapping[str, StoreError]]
"""Tags as they were read directly, and the names that gave an error."""
Ask: TypeAlias = Callable[[str, frozenset[str]], Told]


@dataclass(frozen=True, slots=True)
class View:
    """One target as it was judged: what its rows were made from."""

    context: TargetContext
    desired: Mapping[str, DesiredParameter]


@dataclass(frozen=True, slots=True)
class Situation:
    """All that is known of one replication. `unconfirmed`: tags that could not be read, and why.

    `selected` counts source parameters; `in_scope` those of them that `--only` matches, by the patterns
    `matched`; None where the run is not narrowed so.

    `views` are the targets as they were judged last, by name; there once everything is settled. `rings`
    are the KMS keys that matter, by end.
    """

    source: Listing
    live: Mapping[str, Listing]
    selected: int = 0
    in_scope: int | None = None
    matched: frozenset[str] = frozenset()
    unconfirmed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)
    rings: Mapping[str, Keyring] = field(default_factory=dict)

    def learn(
        self, end: str, fresh: Mapping[str, Tags | None], failed: Mapping[str, StoreError]
    ) -> Situation:
        """The situation after some tags of one end were read directly."""
        unread = {
            (end, name): f"its tags could not be confirmed ({failure.code})"
            for name, failure in failed.items()
        }
        known = {**self.unconfirmed, **unread}
        if end == SOURCE:
            return replace(self, source=self.source.with_tags(fresh), unconfirmed=known)
        live = {**self.live, end: self.live[end].with_tags(fresh)}
        return replace(self, live=live, unconfirmed=known)

    def unasked(self, end: str, names: frozenset[str]) -> frozenset[str]:
        """Those of some names whose tags were not asked for yet."""
        confirmed = (self.source if end == SOURCE else self.live[end]).confirmed
        return frozenset(n for n in names if n not in confirmed and (end, n) not in self.unconfirmed)


@dataclass(frozen=True, slots=True)
class Settling:
    """One replication while it is being settled: who to ask, and how to judge."""

    spec: Replication
    session: Session
    now: datetime
    rings: Mapping[str, Keyring]
    answers: Answers
    only: tuple[Glob, ...] = ()
    addresses: Mapping[tuple[str, str], frozenset[str]] | None = None
    """The addresses that the run may plan for, by replication and target; None: all."""
    resolved: dict[str, tuple[Listing, dict[str, DesiredParameter]]] = field(default_factory=dict)
    """What was resolved last for a target, and from which state of the source."""

    def reader(self, end: str) -> Reader:
        """The reader of the source or of a target."""
        access = self.spec.source.access if end == SOURCE else self.spec.target(end).access
        return self.session.places.store(access)

    def addresses_in(self, target: str) -> frozenset[str] | None:
        """Return the canonical addresses that the run may plan for in a target; None for all of them."""
        if self.addresses is None:
            return None
        return self.addresses.get((self.spec.name, target), frozenset())


def settle(
    spec: Replication,
    source: Listing,
    live: Mapping[str, Listing],
    session: Session,
    addresses: Mapping[tuple[str, str], frozenset[str]] | None = None,
) -> tuple[dict[str, TargetDiff], Situation]:
    """What each listed target needs. Reads only what the proof by versions leaves open."""
    only = tuple(Glob(text) for text in session.run.only)
    situation = _selection(spec, Situation(source, live), only)
    situation = replace(situation, rings=_rings(spec, situation, session))
    settling = Settling(spec, session, session.clock.now(), situation.rings, {}, only, addresses)
    situation = _settle_ownership(settling, situation)
    while True:
        views = _views(settling, situation)
        drafts = {name: diff(view.context, view.desired) for name, view in views.items()}
        wanted = {end: situation.unasked(end, names) for end, names in addresses_to_confirm(drafts).items()}
        if not any(wanted.values()):
            return drafts, replace(situation, views=views)
        situation = _learnt(
            situation,
            wanted,
            lambda end, names: observe.confirm_tags(settling.reader(end), names, session.progress),
        )


def _selection(spec: Replication, situation: Situation, only: tuple[Glob, ...]) -> Situation:
    """Return the situation with the number of selected source parameters, and what `--only` leaves of it."""
    source = situation.source
    names = [one.name for one in source.parameters.values() if spec.rule_for(one.name, one.type) is not None]
    if not only:
        return replace(situation, selected=len(names))
    matched: set[str] = set()
    in_scope = 0
    for name in names:
        landing = {
            spec.address(name, source.place, live.place, target) for target, live in situation.live.items()
        }
        patterns = matching_patterns(only, {name, *landing})
        in_scope += bool(patterns)
        matched |= patterns
    return replace(situation, selected=len(names), in_scope=in_scope, matched=frozenset(matched))


def _learnt(situation: Situation, wanted: Mapping[str, frozenset[str]], ask: Ask) -> Situation:
    """The situation after some tags of each end were read: each has quotas of its own, so all at once."""
    ends = [end for end, names in sorted(wanted.items()) if names]
    with ReadPool(max_workers=max(1, len(ends))) as pool:
        for end, told in zip(ends, pool.map(lambda end: ask(end, wanted[end]), ends), strict=True):
            situation = situation.learn(end, *told)
    return situation


def _rings(spec: Replication, situation: Situation, session: Session) -> dict[str, Keyring]:
    """The KMS keys that matter, resolved in every place."""
    ring = observe.resolve_keys(session.places.store(spec.source.access), source_keys(spec, situation.source))
    rings = {SOURCE: ring}
    for name, live in situation.live.items():
        target = spec.target(name)
        references = target_keys(spec, target, situation.source, live, ring)
        rings[name] = observe.resolve_keys(session.places.store(target.access), references)
    return rings


def _asked_for(
    settling: Settling, desired: Mapping[str, Mapping[str, DesiredParameter]]
) -> Mapping[str, Mapping[str, DesiredParameter]]:
    """What a run narrowed by `--only`, or for some names, is about: nothing else is read for it."""
    if not settling.only and settling.addresses is None:
        return desired
    return {
        name: {
            address: one
            for address, one in every.items()
            if ((chosen := settling.addresses_in(name)) is None or address in chosen)
            and (not settling.only or matching_patterns(settling.only, (one.name, one.source.name)))
        }
        for name, every in desired.items()
    }


def _desired(settling: Settling, situation: Situation) -> dict[str, dict[str, DesiredParameter]]:
    """What each target should hold. Of a target's own listing `resolve` takes the place only."""
    for name, live in situation.live.items():
        if name not in settling.resolved or settling.resolved[name][0] is not situation.source:
            desired = resolve(
                settling.spec,
                settling.spec.target(name),
                situation.source,
                live,
                source_ring=settling.rings[SOURCE],
                target_ring=settling.rings[name],
                now=settling.now,
            )
            settling.resolved[name] = (situation.source, desired)
    return {name: settling.resolved[name][1] for name in situation.live}


def _settle_ownership(settling: Settling, situation: Situation) -> Situation:
    """No parameter is called "not ours" on the word of bulk reads.

    A few are asked one by one; for many, one scan finds those that do carry our owner tag.
    """
    desired = _asked_for(settling, _desired(settling, situation))
    owners = settling.spec.owners(situation.source.place)

    def ask(name: str, suspects: frozenset[str]) -> Told:
        reader = settling.reader(name)
        if len(suspects) > CONFIRM_EACH:
            settling.session.progress(Progress(str(reader.place), Phase.CONFIRMING, 0, len(suspects)))
            try:
                suspects &= reader.names_tagged(OWNER, owners)
            except StoreError as failure:
                return {}, dict.fromkeys(suspects, failure)
        return observe.confirm_tags(reader, suspects, settling.session.progress)

    suspects = {
        name: frozenset(doubts(settling.spec, desired[name], situation.source, live))
        for name, live in situation.live.items()
    }
    return _learnt(situation, suspects, ask)


def _views(settling: Settling, situation: Situation) -> dict[str, View]:
    """Every target with all that its rows are made from, as far as it is known now."""
    desired = _desired(settling, situation)
    asked_for = _asked_for(settling, desired)
    proofs = {
        name: prove(settling.spec, name, asked_for[name], situation.source, live, settling.session.run)
        for name, live in situation.live.items()
    }
    _ask(settling, proofs)
    return {
        name: View(
            TargetContext(
                replication=settling.spec,
                target=settling.spec.target(name),
                source=situation.source,
                live=live,
                ring=settling.rings[name],
                run=settling.session.run,
                settled=proofs[name].settled,
                unproven=proofs[name].unproven,
                readings=_readings(settling, name, proofs[name]),
                only=settling.only,
                addresses=settling.addresses_in(name),
            ),
            desired[name],
        )
        for name, live in situation.live.items()
    }


def _ask(settling: Settling, proofs: Mapping[str, Proof]) -> None:
    """Reads what is open and was not read before: all ends at the same time, each name once."""
    open_questions: dict[str, dict[Asked, ValueRequest]] = {}
    for name, proof in proofs.items():
        for end, questions in ((SOURCE, proof.source), (name, proof.live)):
            for question in questions.values():
                asked = (end, question)
                if asked not in settling.answers:
                    open_questions.setdefault(end, {})[asked] = question

    def read(end: str) -> Answers:
        return observe.read(
            settling.reader(end),
            open_questions[end],
            settling.session.key,
            settling.session.progress,
            decrypt=not settling.session.run.no_decrypt,
        )

    with ReadPool(max_workers=max(1, len(open_questions))) as pool:
        for answers in pool.map(read, sorted(open_questions)):
            settling.answers.update(answers)


def _readings(settling: Settling, name: str, proof: Proof) -> ValueReadings:
    source = {address: settling.answers[SOURCE, question] for address, question in proof.source.items()}
    live = {address: settling.answers[name, question] for address, question in proof.live.items()}
    for address, held in live.items():
        pair = (source[address], held)
        if any(isinstance(one, Reading) and one.looks_secret for one in pair):
            source[address], live[address] = map(_not_shown, pair)
    return ValueReadings(source, live)


def _not_shown(reading: Reading | UnreadableValue) -> Reading | UnreadableValue:
    """Return a reading without its excerpt: the other side of the same address looks like a secret."""
    return replace(reading, excerpt=None, cut=False) if isinstance(reading, Reading) else reading
