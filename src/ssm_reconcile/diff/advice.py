"""What the values of a replication's changes call for: findings that name parameters and quote no value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssm_reconcile.diff.case import Case
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.region_ties import RegionTie
from ssm_reconcile.wording import first_of

NAMED = 5
"""How many names a finding spells out before it only counts them."""


_BY_NAME = "not a SecureString although the name looks secret; its value is hidden here, but not in AWS"
_BY_SHAPE = (
    "not a SecureString although the value looks like a secret; it is hidden here, but not in AWS:"
    " make it a SecureString, or list the name under `show`"
)
_ID = (
    "the value holds an id of one region (AMI, subnet, security group, ...) that no rewrite changes:"
    " add a `rewrite` rule, or exclude the parameter"
)
_HOST = (
    "the value holds an ARN or a host name of {region} that no rewrite changes:"
    " add a `rewrite` rule, or exclude the parameter"
)


@dataclass(frozen=True, slots=True)
class ValueNotes:
    """What was noticed of one plain value that a change is about. `name` is the source's."""

    name: str
    secret_name: bool = False
    secret_shape: bool = False
    tie: RegionTie | None = None


def notes_of(case: Case) -> ValueNotes | None:
    """Return what is worth a finding about the values of one address, None when nothing is."""
    wanted = case.desired
    if wanted is None or wanted.source.is_secret:
        return None
    source, live = case.source_reading, case.live_reading
    found = ValueNotes(
        wanted.source.name,
        secret_name=wanted.hidden,
        secret_shape=any(one is not None and one.looks_secret for one in (source, live)),
        tie=None if source is None else source.tie,
    )
    return found if found.secret_name or found.secret_shape or found.tie else None


def value_findings(replication: str, region: str, notes: Iterable[ValueNotes]) -> list[Finding]:
    """Return at most one finding for each kind of value, however many parameters and targets there are."""
    every = list(notes)
    by_name = {one.name for one in every if one.secret_name}
    by_shape = {one.name for one in every if one.secret_shape}
    ids = {one.name for one in every if one.tie is RegionTie.ID}
    hosts = {one.name for one in every if one.tie is RegionTie.REGION}
    warning, host = Severity.WARNING, _HOST.format(region=region)
    return [
        *(Finding(warning, "plain-secret", f"{one}: {_BY_NAME}", replication) for one in _some(by_name)),
        *(Finding(warning, "plain-secret", f"{one}: {_BY_SHAPE}", replication) for one in _some(by_shape)),
        *(Finding(warning, "regional-value", f"{one}: {_ID}", replication) for one in _some(ids)),
        *(Finding(warning, "regional-value", f"{one}: {host}", replication) for one in _some(hosts)),
    ]


def _some(names: set[str]) -> list[str]:
    """Return the first names and the number of the others as one text, nothing where there are none."""
    return [first_of(sorted(names), NAMED)] if names else []
