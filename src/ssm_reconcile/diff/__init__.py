"""Desired + live -> the changes and findings of one target, by the table of cases.

case.py      one address, with all that the table asks about it
compare.py   the attributes and tags that differ
table.py     the rows, in order: the specification
results.py   case and row -> change, or the reason why nothing is done
findings.py  cases -> findings
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ssm_reconcile.change import Change, Delete, Release, Replace, Retag, Row
from ssm_reconcile.diff.case import Case, TargetContext, cases, matching_patterns
from ssm_reconcile.diff.findings import ValueNote, patterns_of, target_findings, unplaced_in_run, value_notes
from ssm_reconcile.diff.results import result
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.errors import Finding
from ssm_reconcile.model import DesiredParameter, Problem, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import Standing, standing, was_replica_of

CONFIRMED_RETAGS = 50
"""Up to so many retags of a target are confirmed when they are planned."""


@dataclass(frozen=True, slots=True)
class TargetDiff:
    """What one target needs. `replicas` counts all that is ours there, narrowed run or not.

    `deletes_outside_run` counts the deletes that a run for some names does not make and a whole run would.
    """

    changes: tuple[Change, ...]
    others: tuple[Other, ...]
    in_sync: int
    replicas: int
    findings: tuple[Finding, ...]
    reversed_roles: tuple[str, ...] = ()
    """Source parameters that were replicas of this place until they were detached, sorted."""
    deletes_outside_run: int = 0
    matched: frozenset[str] = frozenset()
    """The patterns of `--only` that match an address of a row, or the source of it."""
    value_notes: tuple[tuple[ValueNote, str], ...] = ()


def diff(context: TargetContext, desired: Mapping[str, DesiredParameter]) -> TargetDiff:
    """Puts every address of one target into its row; sorted by address.

    A run narrowed by `--only` sees only the addresses that match; `replicas` counts all of them.
    """
    changes: list[Change] = []
    others: list[Other] = []
    problems: list[tuple[Problem, str]] = []
    notes: list[tuple[ValueNote, str]] = []
    in_sync = replicas = deletes_outside_run = 0
    matched: set[str] = set()
    for case in cases(context, desired):
        replicas += case.standing is Standing.OURS
        if context.addresses is not None and case.address not in context.addresses:
            deletes_outside_run += _would_go(case)
            continue
        if context.only:
            patterns = matching_patterns(context.only, _names(case))
            if not patterns:
                continue
            matched |= patterns
        row = row_of(case)
        outcome = result(case, row)
        if row is Row.INVALID:
            problems += [(problem, case.name) for problem in case.problems]
        if outcome is None:
            in_sync += 1
        elif isinstance(outcome, Change):
            changes.append(outcome)
            notes += value_notes(case)
        else:
            others.append(outcome)
    left = unplaced_in_run(context, desired)
    matched.update(*(patterns_of(context, one) for every in left.values() for one in every))
    return TargetDiff(
        changes=tuple(changes),
        others=tuple(others),
        in_sync=in_sync,
        replicas=replicas,
        findings=tuple(target_findings(context, desired, left, problems, changes)),
        reversed_roles=_reversed_roles(context, desired),
        deletes_outside_run=deletes_outside_run,
        value_notes=tuple(notes),
        matched=frozenset(matched),
    )


def _would_go(case: Case) -> bool:
    """Whether a whole run would delete here because the source is gone; needs no value to be read."""
    if case.desired is not None or row_of(case) is not Row.DELETE:
        return False
    outcome = result(case, Row.DELETE)
    return isinstance(outcome, Change) and isinstance(outcome.effect, Delete)


def _reversed_roles(context: TargetContext, desired: Mapping[str, DesiredParameter]) -> tuple[str, ...]:
    """What the source holds detached from this place; what is ours here was agreed to before."""
    claim = context.replication.claim(context.source.place)
    return tuple(
        sorted(
            wanted.source.name
            for address, wanted in desired.items()
            if not wanted.skip
            and was_replica_of(context.source.tags_of(canonical(wanted.source.name)), context.live.place)
            and standing(context.live.tags_of(address), context.live.arn(address), claim, placed=True)
            is not Standing.OURS
        )
    )


def _names(case: Case) -> set[str]:
    """Return the names by which `--only` may mean an address: its own and its source's."""
    source = case.made_from if case.desired is None else case.desired.source.name
    return {case.name} if source is None else {case.name, source}


def addresses_to_confirm(drafts: Mapping[str, TargetDiff]) -> dict[str, frozenset[str]]:
    """The addresses whose tags the planned changes rest on, by target; under `""` those of the source.

    What is deleted, replaced or retagged is confirmed when it is planned; the rest when it is
    written. So are retags once they are many: thousands of single reads would make a plan that only
    renames an owner take longer than its apply, which reads those tags anyway.
    """
    wanted: dict[str, set[str]] = {"": set()}
    for name, draft in drafts.items():
        retags = [change for change in draft.changes if isinstance(change.effect, Retag)]
        chosen = [c for c in draft.changes if isinstance(c.effect, Delete | Release | Replace)]
        if len(retags) <= CONFIRMED_RETAGS:
            chosen += retags
        wanted[name] = {canonical(change.name) for change in chosen}
        wanted[""] |= {
            canonical(change.source_name)
            for change in chosen
            if change.source_name is not None and change.rests_on_source_tags
        }
    return {end: frozenset(names) for end, names in wanted.items()}
