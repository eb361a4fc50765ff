"""One place -> who we are there, what it holds, how it is set, and whether the clocks agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from ssm_reconcile import observe
from ssm_reconcile.clock import Clock
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor.checks import Answer, Check, Needed
from ssm_reconcile.model import Access, Listing, Place
from ssm_reconcile.progress import ProgressListener
from ssm_reconcile.spec import Replication
from ssm_reconcile.stores.base import Reader, Settings

NEAR = timedelta(seconds=60)
"""Clocks this near are the same: the Date header has whole seconds, and the answer took its time."""
REFUSED = timedelta(minutes=5)
"""Beyond this AWS refuses the signature of a request (RequestTimeTooSkewed)."""


def look(
    label: str, reader: Reader, clock: Clock, watch: ProgressListener, again: CommandLine
) -> tuple[Listing, list[Check]]:
    """What the place holds, and the checks of it."""
    checks = [Check(label, "identity", Answer.OK, f"{reader.caller} in {reader.place}", needed=Needed.PLAN)]
    settings = reader.settings()
    checks += [_clock(label, settings.moment, clock.now()), *_settings(label, settings)]
    listing = observe.list_place(reader, watch)
    checks.append(_listed(label, listing, again))
    return listing, checks


def _listed(label: str, listing: Listing, again: CommandLine) -> Check:
    subject = "listing"
    if not listing.complete:
        remedy = f"`{again.iam('plan')}` prints what this identity needs"
        return Check(label, subject, Answer.FAILED, listing.trouble, remedy, Needed.PLAN)
    told = f"{len(listing.parameters):,} parameters (ssm:DescribeParameters, tag:GetResources)"
    if listing.trouble:
        return Check(label, subject, Answer.WARNING, listing.trouble)
    return Check(label, subject, Answer.OK, told, needed=Needed.PLAN)


def _settings(label: str, settings: Settings) -> list[Check]:
    """Neither is needed: every write names its tier, and rates are those of the spec."""
    if settings.default_tier is None or settings.high_throughput is None:
        trouble = settings.trouble or "AWS gave no answer"
        told = f"not readable, and neither plan nor apply needs them: {trouble}"
        remedy = (
            "optional: allow ssm:GetServiceSetting, and remove any explicit deny of it"
            if settings.denied
            else ""
        )
        return [Check(label, "settings", Answer.UNKNOWN, told, remedy)]
    throughput = "on" if settings.high_throughput else "off: a large first apply is faster with it"
    return [
        Check(
            label, "default tier", Answer.OK, f"{settings.default_tier}; not used, every write names its tier"
        ),
        Check(label, "higher throughput", Answer.OK, throughput),
    ]


def _clock(label: str, there: datetime | None, here: datetime) -> Check:
    if there is None:
        return Check(label, "clock", Answer.UNKNOWN, "AWS's answers carried no time")
    skew = abs(here - there)
    told = f"{skew.total_seconds():.0f} s apart"
    if skew <= NEAR:
        return Check(label, "clock", Answer.OK, told)
    remedy = "set the clock of this machine (NTP)"
    if skew <= REFUSED:
        return Check(label, "clock", Answer.WARNING, told, remedy)
    return Check(label, "clock", Answer.FAILED, f"{told}: AWS refuses requests", remedy, Needed.PLAN)


def accounts(spec: Replication, found: Mapping[Access, Place]) -> list[Check]:
    """Whether each place is the one that the spec means, and none is there twice."""
    checks: list[Check] = []
    seen: dict[Place, str] = {}
    ends = [("the source", spec.source.access, spec.source.account)]
    ends += [(f"target {one.name}", one.access, one.account) for one in spec.targets]
    for label, access, account in ends:
        place = found.get(access)
        if place is None:
            continue
        if account is not None and account != place.account:
            told = f"{spec.name}: it should be account {account}, the credentials are of {place.account}"
            remedy = f"use credentials or a role_arn of {account}, or mend `account` in the spec"
            checks.append(Check(label, "account", Answer.FAILED, told, remedy, Needed.PLAN))
        if place in seen:
            told = f"{spec.name}: it is the same place as {seen[place]}: {place}"
            remedy = "give them different regions or accounts"
            checks.append(Check(label, "account", Answer.FAILED, told, remedy, Needed.PLAN))
        seen[place] = label
    return checks
