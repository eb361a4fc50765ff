"""One address of one target, with everything that the table asks about it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ssm_reconcile.aws_limits import TAG_LIMIT, TAG_VALUE_LIMIT
from ssm_reconcile.change import Difference, TagDiff
from ssm_reconcile.diff.compare import (
    VALUE,
    ValueMatch,
    attribute_differences,
    cannot_change_in_place,
    compare_values,
    tag_difference,
    value_difference,
)
from ssm_reconcile.model import (
    ADVANCED,
    STANDARD,
    DesiredParameter,
    Keyring,
    Listing,
    Parameter,
    Problem,
    ProblemKind,
    Reading,
    Tags,
    UnreadableValue,
    ValueReadings,
    canonical,
)
from ssm_reconcile.record import (
    SAME_MOMENT,
    Record,
    Standing,
    digest_id,
    is_copied,
    record_of,
    source_name,
    standing,
)
from ssm_reconcile.spec import Glob, Replication, Run, Target, TierMode


@dataclass(frozen=True, slots=True)
class TargetContext:
    """What is the same for all addresses of one target."""

    replication: Replication
    target: Target
    source: Listing
    live: Listing
    ring: Keyring
    run: Run
    settled: frozenset[str]
    unproven: frozenset[str]
    readings: ValueReadings

    only: tuple[Glob, ...] = ()
    addresses: frozenset[str] | None = None
    """The canonical addresses that the run may plan for; None: all."""

    @property
    def owner(self) -> str:
        """The owner tag of our replicas."""
        return self.replication.owner(self.source.place)

    @property
    def id_digest(self) -> str | None:
        """The digest of the id of the spec; None without an id."""
        return None if self.replication.id is None else digest_id(self.replication.id)


@dataclass(frozen=True, slots=True)
class Case:
    """One address. `desired` None: nothing is placed here. `live` None: nothing is there.

    `made_from` is the name of the source that a replica was made from, as far as it can be known,
    `source_gone` whether it is no longer there, `would_place` whether today's rules would place it
    here. The rest is what was compared; it is empty where nothing is to be compared.
    """

    context: TargetContext
    address: str
    desired: DesiredParameter | None
    live: Parameter | None
    tags: Tags
    standing: Standing
    record: Record | None
    opted_out: bool
    made_from: str | None = None
    source_gone: bool = False
    would_place: bool = False
    value_match: ValueMatch = ValueMatch.EQUAL
    differences: tuple[Difference, ...] = ()
    tag_diff: TagDiff = TagDiff()
    problems: tuple[Problem, ...] = ()
    unproven: bool = False
    needs_replace: bool = False
    has_doubtful_tag: bool = False
    """Whether the live parameter carries a tag that is almost the skip tag: no write, no delete."""
    is_undecryptable: bool = False
    """Ours, under a key that cannot be used any more and is to be changed: written without a look."""

    @property
    def ours(self) -> bool:
        """Whether a replica of this replication is there."""
        return self.live is not None and self.standing is Standing.OURS

    @property
    def recorded_id(self) -> str | None:
        """The digest of the id in the record of our replica; None without one."""
        return None if self.record is None else self.record.id_digest(self.context.live.arn(self.address))

    @property
    def name(self) -> str:
        """The name as a person writes it: as it is in the target, or as it would be there."""
        if self.live is not None:
            return self.live.name
        return self.desired.name if self.desired is not None else self.address

    @property
    def uncompared_reasons(self) -> tuple[str, ...]:
        """The reason why its value was not compared, though it is about to be written anew."""
        reason = "its value could not be compared, since the key that it has cannot be used any more"
        return (reason,) if self.is_undecryptable else ()

    @property
    def source_reading(self) -> Reading | None:
        """The shaped source value, where it was read."""
        found = self.context.readings.source.get(self.address)
        return found if isinstance(found, Reading) else None

    @property
    def live_reading(self) -> Reading | None:
        """The live value, where it was read."""
        found = self.context.readings.live.get(self.address)
        return found if isinstance(found, Reading) else None

    @property
    def is_mixed(self) -> bool:
        """Whether the read of the live value returned another version, date or type than the listing."""
        live, reading = self.live, self.live_reading
        if live is None or reading is None:
            return False
        same_moment = abs(reading.last_modified - live.last_modified) <= SAME_MOMENT
        return not (same_moment and (reading.version, reading.type) == (live.version, live.type))


def cases(context: TargetContext, desired: Mapping[str, DesiredParameter]) -> Iterator[Case]:
    """Each address that is ours or on which a source parameter is placed, sorted."""
    claim = context.replication.claim(context.source.place)
    for address in sorted(desired.keys() | context.live.parameters.keys()):
        wanted = desired.get(address)
        there = context.live.parameters.get(address)
        tags = context.live.tags_of(address) if there is not None else {}
        status = Standing.FREE
        if there is not None:
            status = standing(tags, context.live.arn(address), claim, placed=wanted is not None)
        if wanted is None and status is not Standing.OURS:
            continue
        case = Case(
            context=context,
            address=address,
            desired=wanted,
            live=there,
            tags=tags,
            standing=status,
            record=record_of(tags) if status is Standing.OURS else None,
            opted_out=there is not None and context.replication.skip_sync.applies(tags, context.target.name),
        )
        yield _with_skip_tag(_compared(case) if wanted is not None else _left_over(case))


def _with_skip_tag(case: Case) -> Case:
    """Add the problem of a live parameter whose own opt-out tag may be mistyped."""
    context = case.context
    carrier = f"the parameter in {context.live.place}"
    found = context.replication.skip_sync.problems(case.tags, context.target.name, carrier, live=True)
    return replace(case, problems=(*case.problems, *found), has_doubtful_tag=True) if found else case


def matching_patterns(globs: Iterable[Glob], names: Collection[str]) -> frozenset[str]:
    """Return the texts of the globs that match at least one of some names."""
    return frozenset(glob.text for glob in globs if any(glob.matches(name) for name in names))


def copied_tags(context: TargetContext, desired: Mapping[str, DesiredParameter]) -> list[str]:
    """Addresses where nothing is placed and somebody copied our tags to, sorted."""
    owners = context.replication.owners(context.source.place)
    return sorted(
        address
        for address in context.live.tags
        if address not in desired
        and address in context.live.parameters
        and is_copied(context.live.tags_of(address), context.live.arn(address), owners)
    )


def unplaced(context: TargetContext, desired: Mapping[str, DesiredParameter], status: Standing) -> list[str]:
    """Return the addresses with that standing on which nothing is placed, sorted."""
    claim = context.replication.claim(context.source.place)
    return sorted(
        address
        for address in context.live.tags
        if address not in desired
        and address in context.live.parameters
        and standing(context.live.tags_of(address), context.live.arn(address), claim, placed=False) is status
    )


def _left_over(case: Case) -> Case:
    """A replica on which nothing is placed: is its source gone, and would it be placed here today?"""
    context = case.context
    made_from = source_name(case.tags, case.address, context.source.place)
    if made_from is None or case.live is None:
        return case
    rules = context.replication
    selected = rules.rule_for(made_from, case.live.type) is not None
    lands = rules.address(made_from, context.source.place, context.live.place, context.target.name)
    return replace(
        case,
        made_from=made_from,
        source_gone=canonical(made_from) not in context.source.parameters,
        would_place=selected and canonical(lands) == case.address,
    )


def _compared(case: Case) -> Case:
    """An address where something is placed, compared with what is there."""
    context, live = case.context, case.live
    unproven = live is not None and case.address in context.unproven
    known = _verdict(case, unproven=unproven)
    assert case.desired is not None
    wanted = _with_tier(context.target.tier, case.desired, live, case.source_reading, known)
    case = replace(case, desired=wanted)
    if live is None:
        return replace(case, problems=(*wanted.problems, *_read_problems(case)))
    differences = attribute_differences(wanted, live, context.ring, case.record)
    case = replace(case, is_undecryptable=_is_illegible(case, differences))
    if known is ValueMatch.DIFFERENT:
        differences = (*differences, value_difference(case.source_reading, case.live_reading))
    elif case.is_undecryptable:
        differences = (*differences, Difference(VALUE, secret=True))
    return replace(
        case,
        problems=(*wanted.problems, *_read_problems(case), *_tag_room(case)),
        value_match=known,
        differences=tuple(sorted(differences, key=lambda d: (d.attribute != "value", d.attribute))),
        tag_diff=tag_difference(context.replication, wanted, case.tags),
        unproven=unproven,
        needs_replace=cannot_change_in_place(wanted, live, differences),
    )


def _with_tier(
    mode: TierMode,
    desired: DesiredParameter,
    live: Parameter | None,
    reading: Reading | None,
    known: ValueMatch,
) -> DesiredParameter:
    """Return the desired parameter with the tier to request, once the live parameter is known.

    `reading` is the shaped source value where it was read, `known` whether it equals the live value.
    """
    if mode is not TierMode.KEEP:
        return desired
    source = desired.source
    tier = source.tier if live is None else live.tier
    if tier != STANDARD:
        return replace(desired, tier=tier)
    if source.policies:
        return replace(desired, tier=ADVANCED)
    if known is ValueMatch.EQUAL:  # the live parameter holds the value in this tier
        return replace(desired, tier=STANDARD)
    if reading is None:
        held = source.tier == STANDARD and not desired.substitutions
        return replace(desired, tier=STANDARD, may_rise=not held)
    held = source.tier == STANDARD and not reading.rewritten
    return replace(desired, tier=STANDARD if held or reading.fits_standard else ADVANCED)


def _verdict(case: Case, *, unproven: bool) -> ValueMatch:
    """Whether the value of the source is known to equal the live value."""
    context = case.context
    if case.live is None or unproven:
        return ValueMatch.UNKNOWN
    if case.address in context.settled and case.source_reading is None:
        return ValueMatch.EQUAL
    return compare_values(context.readings.source.get(case.address), context.readings.live.get(case.address))


def _is_illegible(case: Case, differences: tuple[Difference, ...]) -> bool:
    """Whether a replica cannot be read for a key that it is to lose.

    Somebody who has mapped another key, since the old one is gone, must not be told to mend the old one.
    Nothing is lost by not comparing: the source's value is written under the new key either way.
    """
    found = case.context.readings.live.get(case.address)
    of_key = isinstance(found, UnreadableValue) and found.of_key
    return case.ours and of_key and any(d.attribute == "KeyId" for d in differences)


def _read_problems(case: Case) -> tuple[Problem, ...]:
    """What the readings say against a write: unreadable on either side, too large after a rewrite."""
    wanted = case.desired
    assert wanted is not None
    problems = []
    for side, readings in (("source", case.context.readings.source), ("target", case.context.readings.live)):
        found = readings.get(case.address)
        if isinstance(found, UnreadableValue) and not (side == "target" and case.is_undecryptable):
            reason = f"its {side} value cannot be read ({found.code}): {found.reason}"
            problems.append(Problem(ProblemKind.UNREADABLE, reason))
    reading = case.source_reading
    if reading is not None and reading.rewritten:  # AWS accepted an unchanged value at the source
        tier = wanted.tier
        if not reading.fits_advanced or (tier == STANDARD and not reading.fits_standard):
            problems.append(Problem(ProblemKind.SIZE, f"its value is too large for its tier ({tier})"))
    if reading is not None and not reading.is_unicode:
        reason = "its value holds half a character (a lone surrogate): write the source's value again"
        problems.append(Problem(ProblemKind.NOT_UNICODE, reason))
    if reading is not None and not reading.fits_pattern:
        reason = "its rewritten value does not match its AllowedPattern: mend the rewrite or the pattern"
        problems.append(Problem(ProblemKind.REWRITE, reason))
    if reading is not None and reading.is_invalid_rewrite:
        reason = "its rewritten value is empty or holds a {{ }}, which AWS does not take: mend the rewrite"
        problems.append(Problem(ProblemKind.REWRITE, reason))
    return tuple(problems)


def _tag_room(case: Case) -> tuple[Problem, ...]:
    """Tags that stay on the replica because they are not ours to remove take room too."""
    wanted = case.desired
    assert wanted is not None
    staying = [
        key
        for key in case.tags
        if not key.startswith(("aws:", "ssm-reconcile:")) and not case.context.replication.replicates_tag(key)
    ]
    renamed = canonical(wanted.source.name) != canonical(wanted.name)
    ours = 2 + (renamed and len(wanted.source.name) <= TAG_VALUE_LIMIT)
    if not staying or len(staying) + len(wanted.tags) + ours <= TAG_LIMIT:
        return ()
    reason = (
        f"with the {len(staying)} tags that stay on it there is no room for its tags and ours ({TAG_LIMIT})"
    )
    return (Problem(ProblemKind.TAGS, reason),)
