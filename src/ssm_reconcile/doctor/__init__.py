"""Specs + the places as they are -> whether a plan will work, whether an apply will, and what is amiss.

    checks.py   what a diagnosis is made of
    places.py   who we are in a place, what may be listed there, its settings and clock
    rights.py   permissions, by calls that do no harm
    targets.py  what the rules ask of a target: keys, names, room, time
    text.py     for a terminal, or as a document

It is handed readers, so it cannot write; rights to write are named and not proven. Costs what listing
costs, and half a dozen calls a place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssm_reconcile.clock import Clock
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.doctor import places, rights, targets
from ssm_reconcile.doctor.checks import Answer, Check, Diagnosis, Needed
from ssm_reconcile.errors import Finding, Severity, StoreError
from ssm_reconcile.model import Access, Listing
from ssm_reconcile.places import Connect, narrowed
from ssm_reconcile.progress import ProgressListener
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.stores.base import Reader

__all__ = ["Answer", "Check", "Diagnosis", "Needed", "diagnose"]


def diagnose(
    specs: Sequence[Replication],
    connect: Connect,
    run: Run,
    clock: Clock,
    watch: ProgressListener,
    findings: Iterable[Finding] = (),
    again: CommandLine = CommandLine(),  # noqa: B008 - frozen
) -> Diagnosis:
    """Looks at everything that a run would rest on; what goes wrong is an answer, nothing is raised.

    `findings` are what the loader had to say of the spec, `again` is what the commands that are recommended
    have to repeat.
    """
    specs = narrowed(specs, run)
    checks = [_of_finding(one) for one in findings]
    opened: dict[Access, tuple[Reader, Listing] | None] = {}
    for spec in specs:
        for access, label in _ends(spec):
            if access not in opened:
                checks += _open(access, label, connect, clock, watch, opened, again)
        checks += _of_replication(spec, opened, run, clock, again)
    return Diagnosis(tuple(dict.fromkeys(checks)))


def _ends(spec: Replication) -> list[tuple[Access, str]]:
    return [(spec.source.access, "the source"), *((one.access, f"target {one.name}") for one in spec.targets)]


def _of_finding(finding: Finding) -> Check:
    answer = Answer.WARNING if finding.severity is not Severity.ERROR else Answer.FAILED
    return Check(finding.where, f"spec: {finding.code}", answer, finding.message, needed=Needed.PLAN)


def _open(
    access: Access,
    label: str,
    connect: Connect,
    clock: Clock,
    watch: ProgressListener,
    opened: dict[Access, tuple[Reader, Listing] | None],
    again: CommandLine,
) -> list[Check]:
    """One place, once, however many replications use it."""
    try:
        reader = connect(access)
    except StoreError as failure:
        opened[access] = None
        return [Check(label, "identity", Answer.FAILED, str(failure), failure.remedy, Needed.PLAN)]
    listing, checks = places.look(label, reader, clock, watch, again)
    opened[access] = (reader, listing)
    return checks


def _of_replication(
    spec: Replication,
    opened: dict[Access, tuple[Reader, Listing] | None],
    run: Run,
    clock: Clock,
    again: CommandLine,
) -> list[Check]:
    """What depends on the rules: accounts, rights on parameters, keys, room, time."""
    checks = places.accounts(spec, {access: end[0].place for access, end in opened.items() if end})
    source = opened[spec.source.access]
    if source is None or not source[1].complete:
        return checks
    reader, listing = source
    checks += rights.at_source(spec, reader, listing, decrypt=not run.no_decrypt)
    for target in spec.targets:
        end = opened[target.access]
        if end is not None and end[1].complete:
            checks += rights.at_target(spec, target, listing, *end, again, decrypt=not run.no_decrypt)
            checks += targets.look(spec, target, reader, listing, *end, again, now=clock.now())
    return checks
