"""Desired + live -> the changes and findings of one target, by the table of cases.

case.py      one address, with all that the table asks about it
compare.py   the attributes and tags that differ
values.py    the parts of a plain value that differ; trees.py reads its keys
table.py     the rows, in order: the specification
results.py   case and row -> change, or the reason why nothing is done
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssm_reconcile.change import Change, Delete, Mark, Release, Replace, Retag, Row, Unmark
from ssm_reconcile.diff.case import Case, TargetContext, cases, copied_tags, matching_patterns, unplaced_names
from ssm_reconcile.diff.results import result
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import Problem, RegionTie, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import OWNER, Standing, source_name, was_replica_of
from ssm_reconcile.wording import first_of

NAMED = 5
"""The number of names that a finding lists; the others are counted."""


CONFIRMED_RETAGS = 50
"""The most retags of a target whose tags the plan confirms; the tags of more are confirmed by apply."""


@dataclass(frozen=True, slots=True)
class ValueNote:
    """A fact about a plain value that a finding reports: its code and its text."""

    code: str
    text: str


SECRET_NAME = ValueNote(
    "plain-secret",
    "not a SecureString although the name looks secret; its value is hidden here, but not in AWS",
)
SECRET_SHAPE = ValueNote(
    "plain-secret",
    "not a SecureString although the value looks like a secret; it is hidden here, but not in AWS:"
    " make it a SecureString, or list the name under `show`",
)
ID_OF_REGION = ValueNote(
    "regional-value",
    "the value holds an id of one region (AMI, subnet, security group, ...) that no rewrite changes:"
    " add a `rewrite` rule, or exclude the parameter",
)
NAME_OF_REGION = ValueNote(
    "regional-value",
    "the value holds an ARN or a host name of {region} that no rewrite changes:"
    " add a `rewrite` rule, or exclude the parameter",
)
VALUE_NOTES = (SECRET_NAME, SECRET_SHAPE, ID_OF_REGION, NAME_OF_REGION)


@dataclass(frozen=True, slots=True)
class TargetDiff:
    """The changes and findings of one target.

    Attributes:
        changes: The changes, sorted by address.
        others: The addresses where nothing is done, with the reasons.
        in_sync: The number of addresses that need no change.
        replicas: The number of replicas of this replication there, also those that the run does not select.
        findings: The findings, except those on values.
        reversed_roles: Source parameters that were replicas of this place until they were detached, sorted.
        deletes_outside_run: The number of replicas outside of this run that a whole run would delete or mark
            to be deleted, and of those that are marked.
        deletes_outside_only: The number of those at names that `--only` leaves out.
        matched: The patterns of `--only` that match an address of a row, or its source.
        value_notes: Notes on values, each with the name of the source parameter.
        holding: The patterns of holds that match an address of the run.
    """

    changes: tuple[Change, ...]
    others: tuple[Other, ...]
    in_sync: int
    replicas: int
    findings: tuple[Finding, ...]
    reversed_roles: tuple[str, ...] = ()
    deletes_outside_run: int = 0
    deletes_outside_only: int = 0
    matched: frozenset[str] = frozenset()
    value_notes: tuple[tuple[ValueNote, str], ...] = ()
    holding: frozenset[str] = frozenset()


def diff(context: TargetContext) -> TargetDiff:
    """Assign each address of one target that the run selects to its row; return the changes that follow."""
    changes, others = list[Change](), list[Other]()
    problems: list[tuple[Problem, str]] = []
    notes: list[tuple[ValueNote, str]] = []
    in_sync = replicas = deletes_outside_run = deletes_outside_only = 0
    matched, holding = set[str](), set[str]()
    for case in cases(context):
        replicas += case.standing is Standing.OURS
        if context.addresses is not None and case.address not in context.addresses:
            deletes_outside_run += _would_go(case)
            continue
        patterns = matching_patterns(context.only, names_of(case)) if context.only else frozenset()
        if context.only and not patterns:
            deletes_outside_only += _would_go(case)
            continue
        matched |= patterns
        holding.update(hold.match.text for hold in case.holds)
        row = row_of(case)
        outcome = result(case, row)
        problems += [(problem, case.name) for problem in case.problems if row is Row.INVALID]
        in_sync += outcome is None
        if isinstance(outcome, Change):
            changes.append(outcome)
            notes += _value_notes(case)
        elif outcome is not None:
            others.append(outcome)
    left = {
        status: [one for one in unplaced_names(context, status) if _is_in_run(context, one)]
        for status in _ID_FINDINGS
    }
    matched.update(*(_patterns_of(context, one) for every in left.values() for one in every))
    return TargetDiff(
        changes=tuple(changes),
        others=tuple(others),
        in_sync=in_sync,
        replicas=replicas,
        findings=(
            *_problem_findings(context.target.name, problems),
            *_copied_findings(context),
            *_id_findings(context, left),
            *_warning_findings(changes),
        ),
        reversed_roles=_reversed_roles(context),
        deletes_outside_run=deletes_outside_run,
        deletes_outside_only=deletes_outside_only,
        value_notes=tuple(notes),
        matched=frozenset(matched),
        holding=frozenset(holding),
    )


def _would_go(case: Case) -> bool:
    """Whether a whole run, this or a later one, would delete the replica of a gone source. Reads no value."""
    row = Row.IN_SYNC if case.desired is not None else row_of(case)
    outcome = result(case, row) if row in (Row.EXPIRING, Row.DELETE) else None
    return outcome is not None and outcome.is_to_delete


def _reversed_roles(context: TargetContext) -> tuple[str, ...]:
    """Return the source parameters that were detached from this place, except those whose replica is ours.

    Where a replica of ours exists already, an earlier run was allowed to reverse the roles.
    """
    return tuple(
        sorted(
            wanted.source.name
            for address, wanted in context.desired.items()
            if not wanted.skip
            and was_replica_of(context.source.tags_of(canonical(wanted.source.name)), context.live.place)
            and context.standing_of(address) is not Standing.OURS
        )
    )


def names_of(case: Case) -> set[str]:
    """Return the names that `--only` may match for an address: its own and that of its source."""
    return {case.name} if case.source_name is None else {case.name, case.source_name}


def addresses_to_confirm(drafts: Mapping[str, TargetDiff]) -> dict[str, frozenset[str]]:
    """Return the addresses whose tags must be confirmed, by target; the key `""` has those of the source.

    The plan confirms the tags of parameters that it deletes, marks, replaces or retags, and of those with an
    outdated mark. The tags of all others are confirmed by apply. So are those of more than `CONFIRMED_RETAGS`
    retags: thousands of single reads would make the plan of a renamed owner slower than its apply, which
    reads these tags anyway.
    """
    wanted: dict[str, set[str]] = {"": set()}
    for name, draft in drafts.items():
        retags = [change for change in draft.changes if isinstance(change.effect, Retag)]
        confirmed = (Delete, Release, Replace, Mark, Unmark)
        chosen = [c for c in draft.changes if isinstance(c.effect, confirmed) or c.outdated_mark is not None]
        if len(retags) <= CONFIRMED_RETAGS:
            chosen += retags
        wanted[name] = {canonical(change.name) for change in chosen}
        wanted[""] |= {
            canonical(change.source_name)
            for change in chosen
            if change.source_name is not None and change.rests_on_source_tags
        }
    return {end: frozenset(names) for end, names in wanted.items()}


def _value_notes(case: Case) -> Iterator[tuple[ValueNote, str]]:
    """Yield the notes about the values of one address, each with the name of the source parameter."""
    wanted = case.desired
    if wanted is None or wanted.source.is_secret:
        return
    source, live = case.source_reading, case.live_reading
    tie = None if source is None else source.tie
    if wanted.hidden:
        yield SECRET_NAME, wanted.source.name
    if any(reading is not None and reading.looks_secret for reading in (source, live)):
        yield SECRET_SHAPE, wanted.source.name
    if tie is RegionTie.ID:
        yield ID_OF_REGION, wanted.source.name
    if tie is RegionTie.REGION:
        yield NAME_OF_REGION, wanted.source.name


def value_findings(
    replication: str, region: str, notes: Iterable[tuple[ValueNote, str]]
) -> Iterator[Finding]:
    """Yield at most one finding for each kind of note, for any number of parameters and targets.

    Args:
        replication: The name of the replication.
        region: The region of the source.
        notes: The notes of all targets, as `value_notes` yields them.
    """
    every = set(notes)
    for kind in VALUE_NOTES:
        names = sorted(name for note, name in every if note is kind)
        if names:
            message = f"{first_of(names, NAMED)}: {kind.text.format(region=region)}"
            yield Finding(Severity.WARNING, kind.code, message, replication)


def _problem_findings(target: str, problems: Iterable[tuple[Problem, str]]) -> Iterator[Finding]:
    """Yield one finding for each problem of a parameter, and one for each key that parameters lack.

    Args:
        target: The name of the target.
        problems: Problems, each with the name of the parameter in the target.
    """
    found: dict[tuple[str, str], list[tuple[Problem, str]]] = {}
    for problem, name in problems:
        found.setdefault((problem.kind.value, problem.subject or name), []).append((problem, name))
    for (kind, subject), every in sorted(found.items()):
        problem, name = every[0]
        if problem.subject:
            message = f"{problem.reason} (needed by {first_of([name for _, name in every], NAMED)})"
        else:
            message = f"{name}: {problem.reason}"
        about = tuple(Address(target, name) for _, name in every)
        yield Finding(Severity.ERROR, kind, message, f"{target} {subject}", about)


def _copied_findings(context: TargetContext) -> Iterator[Finding]:
    """Yield a finding for each parameter to which ownership tags were copied from another one."""
    for address in copied_tags(context):
        if _is_in_run(context, address):
            message = (
                f"{address} carries our owner tag and a record that was written for another parameter:"
                " the tags were copied. It is not changed; remove the ssm-reconcile:* tags from it."
            )
            where = f"{context.target.name} {address}"
            yield Finding(Severity.WARNING, "copied-tags", message, where)


def _is_in_run(context: TargetContext, address: str) -> bool:
    """Whether the run covers an address on which nothing is placed."""
    if context.addresses is not None and address not in context.addresses:
        return False
    return not context.only or bool(_patterns_of(context, address))


def _patterns_of(context: TargetContext, address: str) -> frozenset[str]:
    """Return the patterns of `--only` that match a live parameter, or the source that its tags name."""
    source = source_name(context.live.tags_of(address), address, context.source.place)
    names = {context.live.parameters[address].name, *([source] if source else [])}
    return matching_patterns(context.only, names)


_ID_FINDINGS = {
    Standing.NO_ID: (
        "replica-without-id",
        (
            "{target}: replicas without an `id`, on which nothing is placed: {names}."
            " They have the owner tag of {owners}, but may belong to another spec with the"
            " same name, so they are not deleted. If they are of this spec, delete them yourself."
            " `ssm-reconcile detach --target {target} --without-id` is for a failover only: it detaches"
            " every replica in {target}, and nothing is written to them any more."
        ),
    ),
    Standing.OTHER_ID: (
        "replica-of-another-id",
        (
            "{target}: replicas of another id, on which nothing is placed: {names}."
            " They have the owner tag of {owners}. They belong to another spec with the"
            " same name, or to this spec before its `id` was changed or removed. They are left alone."
            " If the other id is an earlier one of this spec, add it to `previous_ids`."
        ),
    ),
}


def _id_findings(context: TargetContext, replicas: Mapping[Standing, Sequence[str]]) -> Iterator[Finding]:
    """Yield a finding on the replicas without an id, and one on those of another id.

    None on those without an id after an incomplete listing of the source, which may be placed there.
    """
    target = context.target.name
    for status, (code, text) in _ID_FINDINGS.items():
        names = replicas[status]
        is_known = status is not Standing.NO_ID or context.source.complete
        if names and is_known:
            tags = {context.live.tags_of(address)[OWNER] for address in names}
            owners = " or ".join(sorted({owner.rpartition("@")[0] for owner in tags}))
            counted = f"{len(names)} ({first_of(names, NAMED)})"
            message = text.format(target=target, names=counted, owners=owners)
            yield Finding(Severity.WARNING, code, message, target)


def _warning_findings(changes: Iterable[Change]) -> Iterator[Finding]:
    """Yield the warnings of what changes write."""
    for change in changes:
        for warning in () if change.desired is None else change.desired.warnings:
            where = f"{change.target} {change.name}"
            about = (Address(change.target, change.name),)
            message = f"{change.name}: {warning}"
            yield Finding(Severity.WARNING, "regional-value", message, where, about)
