"""Specs and places -> whether a plan will work, whether an apply will work, and what is wrong.

    checks.py   the types: Check, Diagnosis
    targets.py  checks that depend on the rules: permissions, keys, names, limits, duration

This module checks identity, settings, clock, listing and account of each place. It gets readers, so it cannot
write; write permissions are reported as unknown. Cost: a listing and about six calls for each place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ssm_reconcile import observe
from ssm_reconcile.clock import Clock
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor import targets
from ssm_reconcile.doctor.checks import Answer, Check, Diagnosis, Needed
from ssm_reconcile.errors import Finding, Severity, StoreError
from ssm_reconcile.model import Access, Listing, Place
from ssm_reconcile.places import Connect, narrowed
from ssm_reconcile.progress import ProgressListener
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.stores.base import Reader, Settings

MAX_SKEW = timedelta(seconds=60)
"""Clocks within this time are in sync: the Date header has whole seconds, and the response took time."""
REFUSED_SKEW = timedelta(minutes=5)
"""Beyond this, AWS refuses the signature of a request (RequestTimeTooSkewed)."""
Opened = dict[Access, tuple[Reader, Listing] | None]
"""Reader and listing of each place; None where it could not be opened."""


def diagnose(
    specs: Sequence[Replication],
    connect: Connect,
    run: Run,
    clock: Clock,
    watch: ProgressListener,
    findings: Iterable[Finding] = (),
    command_line: CommandLine = CommandLine(),  # noqa: B008 - frozen
) -> Diagnosis:
    """Check everything that a plan and an apply need. A failed call is a failed check and raises nothing.

    Args:
        specs: the replications.
        connect: opens a place.
        run: the options of the run, for the targets and for decryption.
        clock: the clock of this machine.
        watch: receives the progress of listings.
        findings: the findings of the loader.
        command_line: the arguments that recommended commands repeat.

    Returns:
        All checks.
    """
    specs = narrowed(specs, run)
    checks = [_of_finding(one) for one in findings]
    opened: Opened = {}
    for spec in specs:
        for label, access, _ in _endpoints(spec):
            if access not in opened:
                opened[access], found = _open(access, label, connect, clock, watch, command_line)
                checks += found
        checks += _of_replication(spec, opened, run, clock, command_line)
    return Diagnosis(tuple(dict.fromkeys(checks)))


def _endpoints(spec: Replication) -> list[tuple[str, Access, str | None]]:
    """Return label, access and expected account of the source and of each target."""
    source = ("the source", spec.source.access, spec.source.account)
    return [source, *((f"target {one.name}", one.access, one.account) for one in spec.targets)]


def _of_finding(finding: Finding) -> Check:
    answer = Answer.WARNING if finding.severity is not Severity.ERROR else Answer.FAILED
    return Check(finding.where, f"spec: {finding.code}", answer, finding.message, needed=Needed.PLAN)


def _open(
    access: Access,
    label: str,
    connect: Connect,
    clock: Clock,
    watch: ProgressListener,
    command_line: CommandLine,
) -> tuple[tuple[Reader, Listing] | None, list[Check]]:
    """Open and list one place; its checks are the same for all replications that use it."""
    try:
        reader = connect(access)
    except StoreError as failure:
        return None, [Check(label, "identity", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)]
    identity = f"{reader.caller} in {reader.place}"
    settings = reader.settings()
    listing = observe.list_place(reader, watch)
    return (reader, listing), [
        Check(label, "identity", Answer.OK, identity, needed=Needed.PLAN),
        _clock(label, settings.moment, clock.now()),
        *_settings(label, settings),
        _listing(label, listing, command_line),
    ]


def _of_replication(
    spec: Replication, opened: Opened, run: Run, clock: Clock, command_line: CommandLine
) -> list[Check]:
    """Return the checks that depend on the spec: accounts, permissions, keys, limits, duration."""
    checks = _accounts(spec, {access: end[0].place for access, end in opened.items() if end})
    source = opened[spec.source.access]
    if source is None or not source[1].complete:
        return checks
    decrypt = not run.no_decrypt
    checks += targets.check_source(spec, *source, decrypt=decrypt)
    for target in spec.targets:
        end = opened[target.access]
        if end is not None and end[1].complete:
            context = targets.TargetCheck(spec, target, *source, *end, command_line)
            checks += [*context.permissions(decrypt=decrypt), *context.contents(clock.now())]
    return checks


def _listing(label: str, listing: Listing, command_line: CommandLine) -> Check:
    if not listing.complete:
        remedy = f"`{command_line.iam('plan')}` prints what this identity needs"
        return Check(label, "listing", Answer.FAILED, listing.trouble, remedy, Needed.PLAN)
    if listing.trouble:
        return Check(label, "listing", Answer.WARNING, listing.trouble)
    message = f"{len(listing.parameters):,} parameters (ssm:DescribeParameters, tag:GetResources)"
    return Check(label, "listing", Answer.OK, message, needed=Needed.PLAN)


def _settings(label: str, settings: Settings) -> list[Check]:
    """Return the checks of the service settings. None is needed: each write names its tier."""
    if settings.default_tier is None or settings.high_throughput is None:
        trouble = settings.trouble or "AWS did not respond"
        message = f"not readable, and neither plan nor apply needs them: {trouble}"
        optional = "optional: allow ssm:GetServiceSetting, and remove any explicit deny of it"
        return [Check(label, "settings", Answer.UNKNOWN, message, optional if settings.denied else "")]
    tier = f"{settings.default_tier}; not used, every write names its tier"
    throughput = "on" if settings.high_throughput else "off: with it, a large first apply is faster"
    return [
        Check(label, "default tier", Answer.OK, tier),
        Check(label, "higher throughput", Answer.OK, throughput),
    ]


def _clock(label: str, there: datetime | None, here: datetime) -> Check:
    if there is None:
        return Check(label, "clock", Answer.UNKNOWN, "the responses of AWS had no Date header")
    skew = abs(here - there)
    message = f"{skew.total_seconds():.0f} s apart"
    if skew <= MAX_SKEW:
        return Check(label, "clock", Answer.OK, message)
    remedy = "set the clock of this machine (NTP)"
    if skew <= REFUSED_SKEW:
        return Check(label, "clock", Answer.WARNING, message, remedy)
    return Check(label, "clock", Answer.FAILED, f"{message}: AWS refuses requests", remedy, Needed.PLAN)


def _accounts(spec: Replication, found: Mapping[Access, Place]) -> list[Check]:
    """Check that each place has the account of the spec, and that no two places are the same."""
    checks: list[Check] = []
    seen: dict[Place, str] = {}
    for label, access, account in _endpoints(spec):
        place = found.get(access)
        if place is None:
            continue
        if account is not None and account != place.account:
            message = f"{spec.name}: it should be account {account}, the credentials are of {place.account}"
            remedy = f"use credentials or a role_arn of {account}, or correct `account` in the spec"
            checks.append(Check(label, "account", Answer.FAILED, message, remedy, Needed.PLAN))
        if place in seen:
            message = f"{spec.name}: it is the same place as {seen[place]}: {place}"
            remedy = "give them different regions or accounts"
            checks.append(Check(label, "account", Answer.FAILED, message, remedy, Needed.PLAN))
        seen[place] = label
    return checks
