"""Desired + live + readings -> one `Case` for each address of a target, with all that the table asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX, TAG_LIMIT
from ssm_reconcile.change import Difference, TagDiff
from ssm_reconcile.diff.compare import (
    VALUE,
    ValueMatch,
    attribute_differences,
    cannot_change_in_place,
    compare_values,
    is_same_version,
    tag_difference,
    value_difference,
)
from ssm_reconcile.errors import Trouble
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
    EXPIRES,
    Claim,
    ExpiryMark,
    Record,
    Standing,
    digest_id,
    has_source_tag,
    is_copied,
    mark_of,
    record_of,
    source_name,
    source_names,
    standing,
)
from ssm_reconcile.spec import AdoptMode, DeleteMode, Glob, Hold, Replication, Run, Target, TierMode


@dataclass(frozen=True, slots=True)
class TargetContext:
    """The data that all addresses of one target share.

    Attributes:
        replication: The replication of the spec.
        target: The target of the spec.
        claim: The owner tags and ids of the replication.
        desired: The desired parameters by canonical address.
        source: The parameters of the source.
        live: The parameters of the target.
        ring: The KMS keys of the target.
        run: The options of the run.
        settled: Addresses whose values are equal, as versions in the record prove.
        unproven: Addresses of SecureStrings whose values the run must not read (`--no-decrypt`).
        readings: The values that were read.
        as_of: The instant at which it is judged whether something has expired, in UTC.
        only: The patterns of `--only`.
        addresses: The canonical addresses that the run may plan for; None for all.
        holds: The holds that match, for each address where they were already evaluated.
    """

    replication: Replication
    target: Target
    claim: Claim
    desired: Mapping[str, DesiredParameter]
    source: Listing
    live: Listing
    ring: Keyring
    run: Run
    settled: AbstractSet[str]
    unproven: AbstractSet[str]
    readings: ValueReadings
    as_of: datetime
    only: tuple[Glob, ...] = ()
    addresses: frozenset[str] | None = None
    holds: Mapping[str, tuple[Hold, ...]] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """The value of the owner tag of this replication's replicas."""
        return self.claim.owners[0]

    @property
    def id_digest(self) -> str | None:
        """The digest of the id of the spec; None without an id."""
        return None if self.replication.id is None else digest_id(self.replication.id)

    @property
    def adopt(self) -> AdoptMode:
        """The treatment of a parameter that is not a replica: that of the run, else that of the spec."""
        return self.run.adopt or self.replication.adopt

    def standing_of(self, address: str) -> Standing:
        """Return the owner of an existing parameter, as seen by this replication."""
        tags, arn = self.live.tags_of(address), self.live.arn(address)
        return standing(tags, arn, self.claim, placed=address in self.desired)


@dataclass(frozen=True, slots=True)
class Case:
    """One address of a target. The results of comparisons are empty where nothing is compared.

    Attributes:
        context: The target.
        address: The canonical name.
        desired: The parameter that the spec places here; None where it places none.
        live: The existing parameter; None where none exists.
        tags: The tags of the existing parameter.
        standing: The owner of the existing parameter, as seen by this replication.
        record: The record of a replica of this replication.
        opted_out: Whether the existing parameter carries the skip tag itself.
        holds: The holds of the spec that match. Each of them stops every change here.
        made_from: The name of the source parameter of a replica on which nothing is placed, if known.
        source_gone: Whether the listing of the source does not show that source parameter.
        would_place: Whether the spec would place that source parameter on this address.
        value_match: Whether the values are known to be equal.
        differences: The attributes that differ.
        tag_diff: The tags that differ.
        problems: The reasons why the target cannot take the parameter.
        unproven: Whether the values were not compared because of `--no-decrypt`.
        needs_replace: Whether AWS cannot change a difference in place.
        has_doubtful_tag: Whether the existing parameter carries a tag that is almost the skip tag. It is
            then neither written nor deleted.
        is_undecryptable: Whether the value of a replica could not be read because its key, which the
            change replaces, is unusable. It is written without a comparison.
    """

    context: TargetContext
    address: str
    desired: DesiredParameter | None
    live: Parameter | None
    tags: Tags
    standing: Standing
    record: Record | None
    opted_out: bool
    holds: tuple[Hold, ...] = ()
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
    is_undecryptable: bool = False

    @property
    def ours(self) -> bool:
        """Whether a replica of this replication exists here."""
        return self.live is not None and self.standing is Standing.OURS

    @property
    def is_source_gone(self) -> bool:
        """Whether that source parameter is known not to exist: `source_gone` after a complete listing."""
        return self.source_gone and self.context.source.complete

    @property
    def recorded_id(self) -> str | None:
        """The digest of the id in the record; None without a record or an id."""
        return None if self.record is None else self.record.id_digest(self.context.live.arn(self.address))

    @property
    def mark(self) -> ExpiryMark | None:
        """The mark of a replica that waits for its deletion; None without one that counts."""
        return None if self.record is None else mark_of(self.tags, self.context.live.arn(self.address))

    @property
    def is_waiting(self) -> bool:
        """Whether a replica whose source is gone is not deleted yet: its time runs, or begins now."""
        if self.context.replication.delete is DeleteMode.NEVER:
            return False
        mark = self.mark
        has_grace = self.context.replication.grace > timedelta(0)
        return has_grace if mark is None else not mark.is_due(self.context.as_of)

    @property
    def has_outdated_mark(self) -> bool:
        """Whether a replica has a mark, in any form, although its source exists."""
        exists = self.desired is not None or (self.made_from is not None and not self.source_gone)
        is_claimed = self.ours and self.recorded_id in self.context.claim.ids
        return EXPIRES in self.tags and exists and is_claimed

    @property
    def outdated_mark(self) -> str | None:
        """The text of such a mark if it counts, so that its time would be that of a later delete."""
        return self.tags[EXPIRES] if self.has_outdated_mark and self.mark is not None else None

    @property
    def name(self) -> str:
        """The name with or without a leading slash, as it is or would be written in the target."""
        if self.live is not None:
            return self.live.name
        return self.desired.name if self.desired is not None else self.address

    @property
    def source_name(self) -> str | None:
        """The name of the source parameter; None for a replica whose source is not known."""
        return self.made_from if self.desired is None else self.desired.source.name

    @property
    def hold(self) -> Hold | None:
        """The hold that a row names: the one that ends last."""
        return max(self.holds, key=lambda hold: hold.until or date.max, default=None)

    @property
    def source_names(self) -> frozenset[str | None]:
        """The names of sources that a hold may match (`record.source_names`)."""
        placed = None if self.desired is None else self.desired.source.name
        replica = None if self.record is None else self.tags
        return source_names(placed, replica, self.address, self.context.source.place)

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of the attributes that differ, and `tags` if they differ."""
        return (*(one.attribute for one in self.differences), *(("tags",) if self.tag_diff else ()))

    @property
    def uncompared_reasons(self) -> tuple[str, ...]:
        """The reason why a value that is written was not compared; empty where it was."""
        reason = "its value could not be compared, since the key that it has cannot be used any more"
        return (reason,) if self.is_undecryptable else ()

    @property
    def source_reading(self) -> Reading | None:
        """The source value after its rewrites; None where it was not read."""
        found = self.context.readings.source.get(self.address)
        return found if isinstance(found, Reading) else None

    @property
    def live_reading(self) -> Reading | None:
        """The live value; None where it was not read."""
        found = self.context.readings.live.get(self.address)
        return found if isinstance(found, Reading) else None

    @property
    def is_mixed(self) -> bool:
        """Whether the read of the live value returned another version, date or type than the listing."""
        live, reading = self.live, self.live_reading
        return live is not None and reading is not None and not is_same_version(reading, live)


def cases(context: TargetContext) -> Iterator[Case]:
    """Yield each address that holds a replica of ours or on which a source parameter is placed, sorted."""
    for case in _addresses(context):
        yield _with_skip_tag(_with_hold(_compared(case) if case.desired is not None else _left_over(case)))


def _addresses(context: TargetContext) -> Iterator[Case]:
    """Yield each of these addresses without any comparison."""
    unplaced = (one for one in context.live.parameters if one not in context.desired)
    for address in sorted([*context.desired, *unplaced]):
        wanted = context.desired.get(address)
        there = context.live.parameters.get(address)
        tags = context.live.tags_of(address) if there is not None else {}
        status = context.standing_of(address) if there is not None else Standing.FREE
        if wanted is None and status is not Standing.OURS:
            continue
        yield Case(
            context=context,
            address=address,
            desired=wanted,
            live=there,
            tags=tags,
            standing=status,
            record=record_of(tags) if status is Standing.OURS else None,
            opted_out=there is not None and context.replication.skip_sync.applies(tags, context.target.name),
        )


def _with_hold(case: Case) -> Case:
    """Return the case with the holds that stop its changes."""
    rules = case.context.replication
    if not rules.holds:
        return case
    found = case.context.holds.get(case.address)
    found = rules.holds_on(case.source_names) if found is None else found
    return replace(case, holds=found) if found else case


def _with_skip_tag(case: Case) -> Case:
    """Add the problem of a live parameter whose own opt-out tag may be mistyped."""
    skip_sync, target = case.context.replication.skip_sync, case.context.target.name
    if not skip_sync.is_doubtful(case.tags, target):
        return case
    carrier = f"the parameter in {case.context.live.place}"
    found = skip_sync.problems(case.tags, target, carrier, live=True)
    return replace(case, problems=(*case.problems, *found), has_doubtful_tag=True)


def matching_patterns(globs: Iterable[Glob], names: Collection[str]) -> frozenset[str]:
    """Return the texts of the globs that match at least one of some names."""
    return frozenset(glob.text for glob in globs if any(glob.matches(name) for name in names))


def copied_tags(context: TargetContext) -> list[str]:
    """Return the addresses of parameters that carry our tags, copied from another parameter, sorted.

    Only addresses on which nothing is placed are returned: on the others the table reports it.
    """
    live, owners = context.live, context.claim.owners
    return [one for one in _unplaced_names(context) if is_copied(live.tags_of(one), live.arn(one), owners)]


def unplaced_names(context: TargetContext, status: Standing) -> list[str]:
    """Return the addresses with that standing on which nothing is placed, sorted."""
    return [one for one in _unplaced_names(context) if context.standing_of(one) is status]


def _unplaced_names(context: TargetContext) -> list[str]:
    """Return the addresses of parameters with tags on which nothing is placed, sorted."""
    live, desired = context.live, context.desired
    return sorted(one for one in live.tags if one in live.parameters and one not in desired)


def _left_over(case: Case) -> Case:
    """Return the case of a replica on which nothing is placed, with the state of its recorded source."""
    context = case.context
    made_from = source_name(case.tags, case.address, context.source.place)
    if made_from is None or case.live is None:
        return case
    rules = context.replication
    selected = rules.rule_for(made_from, case.live.type) is not None
    address = rules.address(made_from, context.source.place, context.live.place, context.target.name)
    case = replace(
        case,
        made_from=made_from,
        source_gone=canonical(made_from) not in context.source.parameters,
        would_place=selected and canonical(address) == case.address,
    )
    return replace(case, problems=_mark_room(case))


def _mark_room(case: Case) -> tuple[Problem, ...]:
    """Return the problem of a replica that is to be marked, and has no room for another tag."""
    is_marked = EXPIRES in case.tags or not case.context.source.complete
    if is_marked or not (case.source_gone and case.would_place and case.is_waiting):
        return ()
    if sum(not key.startswith(RESERVED_TAG_PREFIX) for key in case.tags) < TAG_LIMIT:
        return ()
    reason = (
        f"its source is gone, and it has {TAG_LIMIT} tags: without room for the tag {EXPIRES} it is kept;"
        " remove one of its own"
    )
    return (Problem(ProblemKind.TAGS, reason),)


def _compared(case: Case) -> Case:
    """Return the case of an address on which a parameter is placed, compared with the live one."""
    context, live = case.context, case.live
    unproven = live is not None and case.address in context.unproven
    known = _match_values(case, unproven=unproven)
    assert case.desired is not None
    wanted = _with_tier(context.target.tier, case.desired, live, case.source_reading, known)
    if wanted is not case.desired:
        case = replace(case, desired=wanted)
    if live is None:
        return replace(case, problems=(*wanted.problems, *_read_problems(case)))
    differences = attribute_differences(wanted, live, context.ring, case.record)
    if _is_undecryptable(case, differences):
        case = replace(case, is_undecryptable=True)
    if known is ValueMatch.DIFFERENT:
        differences = (*differences, value_difference(case.source_reading, case.live_reading))
    elif case.is_undecryptable:
        differences = (*differences, Difference(VALUE, secret=True))
    problems = (*wanted.problems, *_read_problems(case), *_tag_room(case))
    tag_diff = tag_difference(context.replication, wanted, case.tags)
    if known is ValueMatch.EQUAL and not (problems or differences or tag_diff):
        return case  # most parameters: the results of their comparison are the defaults
    return replace(
        case,
        problems=problems,
        value_match=known,
        differences=tuple(sorted(differences, key=lambda d: (d.attribute != "value", d.attribute))),
        tag_diff=tag_diff,
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
    """Return the desired parameter with the tier that a write requests.

    With `keep`, a create requests the source's tier and an update the live tier, or Advanced if Standard
    cannot hold the value or its policies. AWS never changes Advanced back to Standard (user guide, tiers).

    Args:
        mode: The tier mode of the target.
        desired: The desired parameter, with the tier of the other modes.
        live: The live parameter, if any.
        reading: The source value after its rewrites, if it was read.
        known: Whether that value equals the live value.
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


def _match_values(case: Case, *, unproven: bool) -> ValueMatch:
    """Return whether the source value equals the live value, by versions or by readings."""
    context = case.context
    if case.live is None or unproven:
        return ValueMatch.UNKNOWN
    if case.address in context.settled and case.source_reading is None:
        return ValueMatch.EQUAL
    return compare_values(context.readings.source.get(case.address), context.readings.live.get(case.address))


def _is_undecryptable(case: Case, differences: tuple[Difference, ...]) -> bool:
    """Whether a replica cannot be read because of a key that this change replaces.

    If the old key was deleted and another one is mapped, a problem that asks to fix the old key would be
    wrong. No comparison is needed: the source value is written under the new key in any case.
    """
    found = case.context.readings.live.get(case.address)
    of_key = isinstance(found, UnreadableValue) and found.trouble is Trouble.KEY
    return case.ours and of_key and any(d.attribute == "KeyId" for d in differences)


def _read_problems(case: Case) -> tuple[Problem, ...]:
    """Return the problems that the readings show: unreadable values, and rewrites that AWS would refuse."""
    wanted = case.desired
    assert wanted is not None
    problems = []
    for side, readings in (("source", case.context.readings.source), ("target", case.context.readings.live)):
        found = readings.get(case.address)
        if isinstance(found, UnreadableValue) and not (side == "target" and case.is_undecryptable):
            reason = f"its {side} value cannot be read ({found.code}): {found.reason}"
            is_outage = found.trouble is not None and found.trouble.is_outage
            problems.append(Problem(ProblemKind.UNREADABLE, reason, is_outage=is_outage))
    reading = case.source_reading
    if reading is not None and reading.rewritten:  # AWS accepted an unchanged value at the source
        tier = wanted.tier
        if not reading.fits_advanced or (tier == STANDARD and not reading.fits_standard):
            problems.append(Problem(ProblemKind.SIZE, f"its value is too large for its tier ({tier})"))
    if reading is not None and not reading.is_unicode:
        reason = "its value holds half a character (a lone surrogate): write the source's value again"
        problems.append(Problem(ProblemKind.NOT_UNICODE, reason))
    if reading is not None and not reading.fits_pattern:
        reason = "its rewritten value does not match its AllowedPattern: fix the rewrite or the pattern"
        problems.append(Problem(ProblemKind.REWRITE, reason))
    if reading is not None and reading.is_invalid_rewrite:
        reason = "its rewritten value is empty or holds a {{ }}, which AWS refuses: fix the rewrite"
        problems.append(Problem(ProblemKind.REWRITE, reason))
    return tuple(problems)


def _tag_room(case: Case) -> tuple[Problem, ...]:
    """Return the problem of a replica whose own tags leave too little room; apply does not remove those."""
    wanted = case.desired
    assert wanted is not None
    ours = 2 + has_source_tag(wanted.source.name, wanted.name)
    room = TAG_LIMIT - len(wanted.tags) - ours
    if len(case.tags) <= room:
        return ()
    staying = [key for key in case.tags if case.context.replication.leaves_tag(key)]
    if not staying or len(staying) <= room:
        return ()
    reason = (
        f"it would have more than {TAG_LIMIT} tags: {len(staying)} of its own, those of its source, and the"
        " ownership tags; remove some of its own"
    )
    return (Problem(ProblemKind.TAGS, reason),)
