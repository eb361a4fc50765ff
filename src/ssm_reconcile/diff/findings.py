"""Cases of one target -> findings. None of them quotes a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from ssm_reconcile.change import Change
from ssm_reconcile.diff.case import Case, TargetContext, copied_tags, matching_patterns, unplaced
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import DesiredParameter, Problem, RegionTie
from ssm_reconcile.record import OWNER, Standing, source_name
from ssm_reconcile.wording import first_of

NAMED = 5
"""The number of names that a finding lists; the others are counted."""


class ValueNote(StrEnum):
    """A fact about a plain value that is worth a finding."""

    SECRET_NAME = "secret name"  # noqa: S105 - not a password
    SECRET_SHAPE = "secret shape"  # noqa: S105 - not a password
    ID_OF_REGION = "id of a region"
    NAME_OF_REGION = "name of a region"


_VALUE_FINDINGS = {
    ValueNote.SECRET_NAME: (
        "plain-secret",
        "not a SecureString although the name looks secret; its value is hidden here, but not in AWS",
    ),
    ValueNote.SECRET_SHAPE: (
        "plain-secret",
        (
            "not a SecureString although the value looks like a secret; it is hidden here, but not in AWS:"
            " make it a SecureString, or list the name under `show`"
        ),
    ),
    ValueNote.ID_OF_REGION: (
        "regional-value",
        (
            "the value holds an id of one region (AMI, subnet, security group, ...) that no rewrite changes:"
            " add a `rewrite` rule, or exclude the parameter"
        ),
    ),
    ValueNote.NAME_OF_REGION: (
        "regional-value",
        (
            "the value holds an ARN or a host name of {region} that no rewrite changes:"
            " add a `rewrite` rule, or exclude the parameter"
        ),
    ),
}


def value_notes(case: Case) -> Iterator[tuple[ValueNote, str]]:
    """Yield the notes about the values of one address, each with the name of the source parameter."""
    wanted = case.desired
    if wanted is None or wanted.source.is_secret:
        return
    source, live = case.source_reading, case.live_reading
    tie = None if source is None else source.tie
    if wanted.hidden:
        yield ValueNote.SECRET_NAME, wanted.source.name
    if any(reading is not None and reading.looks_secret for reading in (source, live)):
        yield ValueNote.SECRET_SHAPE, wanted.source.name
    if tie is RegionTie.ID:
        yield ValueNote.ID_OF_REGION, wanted.source.name
    if tie is RegionTie.REGION:
        yield ValueNote.NAME_OF_REGION, wanted.source.name


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
    for kind, (code, text) in _VALUE_FINDINGS.items():
        names = sorted(name for note, name in every if note is kind)
        if names:
            message = f"{first_of(names, NAMED)}: {text.format(region=region)}"
            yield Finding(Severity.WARNING, code, message, replication)


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


def _copied_findings(context: TargetContext, desired: Mapping[str, DesiredParameter]) -> Iterator[Finding]:
    """Yield a finding for each parameter to which ownership tags were copied from another one."""
    for address in copied_tags(context, desired):
        if _is_in_run(context, address):
            message = (
                f"{address} carries our owner tag and a record that was written for another parameter:"
                " somebody copied the tags. It is left alone; remove the ssm-reconcile:* tags from it."
            )
            where = f"{context.target.name} {address}"
            yield Finding(Severity.WARNING, "copied-tags", message, where)


def unplaced_in_run(
    context: TargetContext, desired: Mapping[str, DesiredParameter]
) -> Mapping[Standing, Sequence[str]]:
    """Return the replicas without an id and of another id on which nothing is placed, as far as selected."""
    return {
        standing: [one for one in unplaced(context, desired, standing) if _is_in_run(context, one)]
        for standing in (Standing.NO_ID, Standing.OTHER_ID)
    }


def _is_in_run(context: TargetContext, address: str) -> bool:
    """Whether the run covers an address on which nothing is placed."""
    if context.addresses is not None and address not in context.addresses:
        return False
    return not context.only or bool(patterns_of(context, address))


def patterns_of(context: TargetContext, address: str) -> frozenset[str]:
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
    """Yield a finding on the replicas without an id, and one on those of another id."""
    target = context.target.name
    for standing, (code, text) in _ID_FINDINGS.items():
        names = replicas[standing]
        if names:
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


def target_findings(
    context: TargetContext,
    desired: Mapping[str, DesiredParameter],
    unplaced_replicas: Mapping[Standing, Sequence[str]],
    problems: Iterable[tuple[Problem, str]],
    changes: Iterable[Change],
) -> Iterator[Finding]:
    """Yield all findings of one target, except those on values, which are of the whole replication.

    Args:
        context: The target.
        desired: The desired parameters by address.
        unplaced_replicas: The result of `unplaced_in_run`.
        problems: The problems of the parameters that the target cannot take, each with its name.
        changes: The planned changes.
    """
    yield from _problem_findings(context.target.name, problems)
    yield from _copied_findings(context, desired)
    yield from _id_findings(context, unplaced_replicas)
    yield from _warning_findings(changes)
