"""Desired + live -> what is to be done at each address of one target, by the table of cases.

advice.py      what the values call for: findings that quote none
case.py        one address, with everything the table asks about it
compare.py     which attributes differ
table.py       the rows, in order: the specification
results.py     what follows from a row
provenance.py  whose work a replica is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ssm_reconcile.change import Change, Delete, Release, Replace, Retag, Row
from ssm_reconcile.diff.advice import ValueNotes, notes_of, value_findings
from ssm_reconcile.diff.case import Case, Scene, cases, copied_tags, matching, unplaced
from ssm_reconcile.diff.results import result
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.errors import Address, Finding, Severity
from ssm_reconcile.model import Desired, Problem, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import OWNER, Standing, source_name, standing, was_replica_of
from ssm_reconcile.wording import first_of

__all__ = ["Scene", "TargetDiff", "diff", "matching", "rests_on", "value_findings"]

CONFIRMED_RETAGS = 50
"""Up to so many retags of a target are confirmed when they are planned."""
NAMED = 5
"""How many addresses a finding names before it only counts them."""


@dataclass(frozen=True, slots=True)
class TargetDiff:
    """What one target needs. `replicas` counts all that is ours there, narrowed run or not.

    `going` counts the deletes that a run for some names does not make and a whole run would.
    """

    changes: tuple[Change, ...]
    others: tuple[Other, ...]
    in_sync: int
    replicas: int
    findings: tuple[Finding, ...]
    reversed_roles: tuple[str, ...] = ()
    """Source parameters that were replicas of this place until they were detached, sorted."""
    going: int = 0
    matched: frozenset[str] = frozenset()
    """The patterns of `--only` that match an address of a row, or the source of it."""
    value_notes: tuple[ValueNotes, ...] = ()


def diff(scene: Scene, desired: Mapping[str, Desired]) -> TargetDiff:
    """Puts every address of one target into its row; sorted by address.

    A run narrowed by `--only` sees only the addresses that match; `replicas` counts all of them.
    """
    changes: list[Change] = []
    others: list[Other] = []
    problems: dict[tuple[str, str], list[tuple[Problem, str]]] = {}
    notes: list[ValueNotes] = []
    in_sync = replicas = going = 0
    matched: set[str] = set()
    for case in cases(scene, desired):
        replicas += case.standing is Standing.OURS
        if scene.addresses is not None and case.address not in scene.addresses:
            going += _would_go(case)
            continue
        if scene.only:
            patterns = matching(scene.only, _names(case))
            if not patterns:
                continue
            matched |= patterns
        row = row_of(case)
        outcome = result(case, row)
        if row is Row.INVALID:
            for problem in case.problems:
                problems.setdefault(_subject(problem, case.name), []).append((problem, case.name))
        if outcome is None:
            in_sync += 1
        elif isinstance(outcome, Change):
            changes.append(outcome)
            notes += [note] if (note := notes_of(case)) else []
        else:
            others.append(outcome)
    findings = (
        *_problem_findings(scene, problems),
        *_copied_findings(scene, desired),
        *_id_findings(scene, desired),
        *_warnings(changes),
    )
    return TargetDiff(
        changes=tuple(changes),
        others=tuple(others),
        in_sync=in_sync,
        replicas=replicas,
        findings=findings,
        reversed_roles=_reversed_roles(scene, desired),
        going=going,
        value_notes=tuple(notes),
        matched=_matched_unplaced(scene, desired).union(matched),
    )


def _would_go(case: Case) -> bool:
    """Whether a whole run would delete here because the source is gone; needs no value to be read."""
    if case.desired is not None or row_of(case) is not Row.DELETE:
        return False
    outcome = result(case, Row.DELETE)
    return isinstance(outcome, Change) and isinstance(outcome.effect, Delete)


def _reversed_roles(scene: Scene, desired: Mapping[str, Desired]) -> tuple[str, ...]:
    """What the source holds detached from this place; what is ours here was agreed to before."""
    claim = scene.replication.claim(scene.source.place)
    return tuple(
        sorted(
            wanted.source.name
            for address, wanted in desired.items()
            if not wanted.skip
            and was_replica_of(scene.source.tags_of(canonical(wanted.source.name)), scene.live.place)
            and standing(scene.live.tags_of(address), scene.live.arn(address), claim, placed=True)
            is not Standing.OURS
        )
    )


def _names(case: Case) -> set[str]:
    """Return the names by which `--only` may mean an address: its own and its source's."""
    source = case.made_from if case.desired is None else case.desired.source.name
    return {case.name} if source is None else {case.name, source}


def _subject(problem: Problem, name: str) -> tuple[str, str]:
    """Problems of one key are one finding, however many parameters it hits."""
    return (problem.kind.value, problem.subject or name)


def _problem_findings(
    scene: Scene, problems: Mapping[tuple[str, str], list[tuple[Problem, str]]]
) -> list[Finding]:
    found = []
    for (kind, subject), every in sorted(problems.items()):
        problem, name = every[0]
        target = scene.target.name
        if problem.subject:
            message = f"{problem.reason} (needed by {first_of([name for _, name in every], NAMED)})"
        else:
            message = f"{name}: {problem.reason}"
        about = tuple(Address(target, name) for _, name in every)
        found.append(Finding(Severity.ERROR, kind, message, f"{target} {subject}", about))
    return found


def _copied_findings(scene: Scene, desired: Mapping[str, Desired]) -> list[Finding]:
    return [
        Finding(
            Severity.WARNING,
            "copied-tags",
            f"{address} carries our owner tag and a record that was written for another parameter:"
            " somebody copied the tags. It is left alone; remove the ssm-reconcile:* tags from it.",
            f"{scene.target.name} {address}",
        )
        for address in copied_tags(scene, desired)
        if _is_in_run(scene, address)
    ]


def _is_in_run(scene: Scene, address: str) -> bool:
    """Whether the run is about an address on which nothing is placed."""
    if scene.addresses is not None and address not in scene.addresses:
        return False
    return not scene.only or bool(_patterns(scene, address))


def _patterns(scene: Scene, address: str) -> frozenset[str]:
    """Return the patterns of `--only` that match the address, or the source that its tags name."""
    source = source_name(scene.live.tags_of(address), address, scene.source.place)
    return matching(scene.only, {scene.live.parameters[address].name, *([source] if source else [])})


def _unplaced_in_run(scene: Scene, desired: Mapping[str, Desired], status: Standing) -> list[str]:
    return [address for address in unplaced(scene, desired, status) if _is_in_run(scene, address)]


def _matched_unplaced(scene: Scene, desired: Mapping[str, Desired]) -> frozenset[str]:
    """Return the patterns of `--only` that match a replica which a finding names."""
    addresses = (
        address
        for status in (Standing.NO_ID, Standing.OTHER_ID)
        for address in _unplaced_in_run(scene, desired, status)
    )
    return frozenset().union(*(_patterns(scene, address) for address in addresses))


def _id_findings(scene: Scene, desired: Mapping[str, Desired]) -> list[Finding]:
    return [*_without_id_findings(scene, desired), *_another_id_findings(scene, desired)]


def _without_id_findings(scene: Scene, desired: Mapping[str, Desired]) -> list[Finding]:
    names = _unplaced_in_run(scene, desired, Standing.NO_ID)
    if not names:
        return []
    target = scene.target.name
    message = (
        f"{target}: replicas without an `id`, on which nothing is placed: {len(names)}"
        f" ({first_of(names, NAMED)})."
        f" They have the owner tag of {_owner_names(scene, names)}, but may belong to another spec with the"
        " same name, so they are not deleted. If they are of this spec, delete them yourself."
        f" `ssm-reconcile detach --target {target} --without-id` is for a failover only: it detaches"
        f" every replica in {target}, and nothing is written to them any more."
    )
    return [Finding(Severity.WARNING, "replica-without-id", message, target)]


def _another_id_findings(scene: Scene, desired: Mapping[str, Desired]) -> list[Finding]:
    names = _unplaced_in_run(scene, desired, Standing.OTHER_ID)
    if not names:
        return []
    target = scene.target.name
    message = (
        f"{target}: replicas of another id, on which nothing is placed: {len(names)}"
        f" ({first_of(names, NAMED)})."
        f" They have the owner tag of {_owner_names(scene, names)}. They belong to another spec with the"
        " same name, or to this spec before its `id` was changed or removed. They are left alone."
        " If the other id is an earlier one of this spec, add it to `previous_ids`."
    )
    return [Finding(Severity.WARNING, "replica-of-another-id", message, target)]


def _owner_names(scene: Scene, addresses: list[str]) -> str:
    """Return the names of the replications in the owner tags of some replicas."""
    owners = {scene.live.tags_of(address)[OWNER] for address in addresses}
    return " or ".join(sorted({owner.rpartition("@")[0] for owner in owners}))


def _warnings(changes: list[Change]) -> list[Finding]:
    return [
        Finding(
            Severity.WARNING,
            "regional-value",
            f"{change.name}: {warning}",
            f"{change.target} {change.name}",
            (Address(change.target, change.name),),
        )
        for change in changes
        if change.desired is not None
        for warning in change.desired.warnings
    ]


def _rests_on_source(change: Change) -> bool:
    """Whether the source's tags are the reason to take something away: the replica, or a tag of it."""
    return change.row is Row.KEPT_OUT or (isinstance(change.effect, Retag) and bool(change.tags.before))


def rests_on(drafts: Mapping[str, TargetDiff]) -> dict[str, frozenset[str]]:
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
            if change.source_name is not None and _rests_on_source(change)
        }
    return {end: frozenset(names) for end, names in wanted.items()}
