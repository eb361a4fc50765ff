"""One name + what a plan knows of it -> why it is, or is not, what it should be, target by target.

    facts.py     what is there: rule, tags, key, rewrite, owner, record, versions
    rows.py      the row of the table, and why no earlier one fits
    remedies.py  what to do, or to change in the spec, to get something else
    text.py      all of it for a terminal, or as a document
    glance.py    a place of which only some names are seen, so that no more is read

Pure, but for the glance. It explains the plan's own answer (`Change`, `Other`, or nothing), so it cannot
disagree with it. A value is shown where a plan would show it, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ssm_reconcile.diff.case import Case, Scene, cases
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.explain import facts, remedies, rows
from ssm_reconcile.model import Desired, canonical
from ssm_reconcile.plan import Change, Fate, Other, ReplicationPlan, Row
from ssm_reconcile.spec import Replication

__all__ = ["Explanation", "Seen", "addresses", "explain"]

Seen: TypeAlias = Mapping[str, tuple[Scene, Mapping[str, Desired]]]
"""The targets that were listed, by name, as they were judged."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One address of one target. `row` None: it is in no row, either unseen or nobody's business.

    `facts` are pairs of a label and what there is to say; `ruled_out` pairs of an earlier row and why it
    does not fit; `plan` what a plan would do; `guards` what withholds that; `remedies` what to do.
    """

    replication: str
    target: str
    place: str
    name: str
    row: Row | None
    answer: str
    facts: tuple[tuple[str, str], ...] = ()
    ruled_out: tuple[tuple[str, str], ...] = ()
    plan: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


def addresses(name: str, desired: Mapping[str, Desired]) -> list[str]:
    """The addresses of a target that a name is about: where it lands as a source, else itself."""
    asked = canonical(name)
    landed = [address for address, one in desired.items() if canonical(one.source.name) == asked]
    return sorted({*landed, *([asked] if asked in desired or not landed else [])})


def explain(name: str, spec: Replication, part: ReplicationPlan, seen: Seen) -> Iterator[Explanation]:
    """What there is to say of a name in each target of a replication, in the order of the spec."""
    for target in part.targets:
        if not (target.complete and target.name in seen):
            yield _unseen(name, part, target.name, target.place)
            continue
        scene, desired = seen[target.name]
        known = {case.address: case for case in cases(scene, desired)}
        for address in addresses(name, desired):
            case = known.get(address)
            if case is None:
                yield _nobodys(address, spec, part, scene)
            else:
                yield _explained(case, part, target.place)


def _unseen(name: str, part: ReplicationPlan, target: str, place: str) -> Explanation:
    """A place could not be listed: nothing can be said of any name in it, but why."""
    why = [
        finding.message
        for finding in part.findings
        if finding.code == "incomplete-place" and finding.where in {"the source", f"target {target}"}
    ]
    return Explanation(
        replication=part.name,
        target=target,
        place=place,
        name=name,
        row=None,
        answer="nothing can be said: a place could not be listed",
        facts=tuple(("cause", one) for one in why),
        plan=("nothing: no change is planned into a place that was not seen to its end",),
        remedies=("do what the cause says, then run `ssm-reconcile doctor` and this again",),
    )


def _nobodys(address: str, spec: Replication, part: ReplicationPlan, scene: Scene) -> Explanation:
    """Nothing is placed here and nothing here is ours."""
    answer, advice = remedies.unselected(address, spec, scene)
    return Explanation(
        replication=part.name,
        target=scene.target.name,
        place=str(scene.live.place),
        name=address,
        row=None,
        answer=answer,
        facts=tuple(facts.of_nobodys(address, spec, scene)),
        plan=("nothing",),
        remedies=tuple(advice),
    )


def _explained(case: Case, part: ReplicationPlan, place: str) -> Explanation:
    row = row_of(case)
    outcome = _outcome(case, part)
    return Explanation(
        replication=part.name,
        target=case.scene.target.name,
        place=place,
        name=case.name,
        row=row,
        answer=rows.answer(case, row, outcome),
        facts=tuple(facts.of(case, outcome)),
        ruled_out=tuple(rows.ruled_out(case, row)),
        plan=tuple(rows.planned(outcome)),
        guards=tuple(_guards(outcome, part)),
        remedies=tuple(remedies.of(case, row, outcome)),
    )


def _outcome(case: Case, part: ReplicationPlan) -> Change | Other | None:
    """What the plan says of an address; None when it is in sync."""
    both: tuple[Change | Other, ...] = (*part.changes, *part.others)
    return next(
        (one for one in both if one.target == case.scene.target.name and canonical(one.name) == case.address),
        None,
    )


def _guards(outcome: Change | Other | None, part: ReplicationPlan) -> Iterator[str]:
    """What withholds a change, with what lifts it, in the words of the plan."""
    if not isinstance(outcome, Change) or outcome.fate is not Fate.WITHHELD:
        return
    for guard in outcome.withheld_by:
        told = [one.message for one in part.findings if one.code == guard and outcome.target in one.message]
        why = [reason for reason in outcome.reasons if reason.startswith("withheld: ")]
        yield f"{guard}: {'; '.join(dict.fromkeys(told or why))}"
