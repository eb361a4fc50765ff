"""One name + what a plan knows of it -> why it is, or is not, what it should be, target by target.

    facts.py     what is there: rule, tags, key, rewrite, owner, record, versions
    rows.py      the row of the table, and why no earlier one fits
    lifting.py   a withheld change -> what lifts the guard
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

from ssm_reconcile.change import Change, Fate, Row
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.diff.case import Case, TargetContext, cases
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.errors import Address
from ssm_reconcile.explain import facts, lifting, remedies, rows
from ssm_reconcile.model import Desired, canonical
from ssm_reconcile.plan import Other, ReplicationPlan
from ssm_reconcile.spec import Replication

__all__ = ["Explanation", "Seen", "addresses", "explain"]

Seen: TypeAlias = Mapping[str, tuple[TargetContext, Mapping[str, Desired]]]
"""The targets that were listed, by name, as they were judged."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One address of one target. `row` None: it is in no row, either unseen or nobody's business.

    `facts` are pairs of a label and what there is to say; `ruled_out` pairs of an earlier row and why it
    does not fit; `plan` what a plan would do, `wants` the same if nothing withheld it; `guards` what
    withholds that; `remedies` what to do.
    """

    replication: str
    target: str
    place: str
    name: str
    row: Row | None
    answer: str
    facts: tuple[tuple[str, str], ...] = ()
    ruled_out: tuple[tuple[str, str], ...] = ()
    wants: str = ""
    plan: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


def addresses(name: str, desired: Mapping[str, Desired]) -> list[str]:
    """The addresses of a target that a name is about: where it lands as a source, else itself."""
    asked = canonical(name)
    landed = [address for address, one in desired.items() if canonical(one.source.name) == asked]
    return sorted({*landed, *([asked] if asked in desired or not landed else [])})


def explain(
    name: str,
    spec: Replication,
    part: ReplicationPlan,
    seen: Seen,
    again: CommandLine = CommandLine(),  # noqa: B008 - frozen
    whole: ReplicationPlan | None = None,
) -> Iterator[Explanation]:
    """Explain a name in each target of a replication, in the order of the spec.

    `again` is what the commands that are recommended have to repeat, `whole` the plan of all names, which
    the guards have judged.
    """
    for target in part.targets:
        if not (target.complete and target.name in seen):
            yield _unseen(name, part, target.name, target.place, again)
            continue
        scene, desired = seen[target.name]
        known = {case.address: case for case in cases(scene, desired)}
        for address in addresses(name, desired):
            case = known.get(address)
            if case is None:
                yield _nobodys(address, spec, part, scene)
            else:
                yield _explained(case, part, target.place, again, whole or part)


def _unseen(name: str, part: ReplicationPlan, target: str, place: str, again: CommandLine) -> Explanation:
    """A place could not be listed: nothing can be said of any name in it, but why."""
    why = [
        finding.message
        for finding in part.findings
        if finding.code == "incomplete-place" and finding.is_about(target)
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
        remedies=(f"do what the cause says, then run `{again.doctor()}` and this again",),
    )


def _nobodys(address: str, spec: Replication, part: ReplicationPlan, scene: TargetContext) -> Explanation:
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


def _explained(
    case: Case, part: ReplicationPlan, place: str, again: CommandLine, whole: ReplicationPlan
) -> Explanation:
    row = row_of(case)
    outcome = _outcome(case, part)
    guards = tuple(_guards(outcome))
    wants = ", ".join(rows.planned(outcome))
    return Explanation(
        replication=part.name,
        target=case.scene.target.name,
        place=place,
        name=case.name,
        row=row,
        answer=rows.answer(case, row, outcome),
        facts=tuple(facts.of(case, outcome)),
        ruled_out=tuple(rows.ruled_out(case, row)),
        wants=wants,
        plan=(f"{wants}, withheld by a guard" if guards else wants,),
        guards=guards,
        remedies=tuple(_remedies(case, row, outcome, whole, again)),
    )


def _outcome(case: Case, part: ReplicationPlan) -> Change | Other | None:
    """What the plan says of an address; None when it is in sync."""
    both: tuple[Change | Other, ...] = (*part.changes, *part.others)
    return next(
        (one for one in both if one.target == case.scene.target.name and canonical(one.name) == case.address),
        None,
    )


def _remedies(
    case: Case, row: Row, outcome: Change | Other | None, whole: ReplicationPlan, again: CommandLine
) -> Iterator[str]:
    """Yield what applies the change, or lets it through if it is withheld; then the other ways.

    A change that nothing withholds is applied by a command that is about it alone: other changes of the
    plan may be withheld, and then an apply of all of it ends with 5.
    """
    if isinstance(outcome, Change):
        yield from _source_key(case, whole)
    others = list(remedies.of(case, row, outcome, again))
    if isinstance(outcome, Change) and outcome.fate is Fate.WITHHELD:
        lifts = lifting.remedies(outcome, whole, case.scene.replication, again) or _said_of(outcome, whole)
        # What was made secret is better kept so than let through.
        yield from (*others, *lifts) if "exposure" in outcome.withheld_by else (*lifts, *others)
        return
    if isinstance(outcome, Change):
        yield f"to {outcome.action.value} it now: `{again.narrowed(outcome.target, outcome.name).apply()}`"
        if lifting.may_need_replacement(outcome):
            yield from lifting.remedies(outcome, whole, case.scene.replication, again)
    yield from others


def _source_key(case: Case, part: ReplicationPlan) -> Iterator[str]:
    """Yield the fix of a source key that cannot decrypt the value; an apply fails before that."""
    if case.desired is not None:
        source = Address("", case.desired.source.name)
        yield from (f.message for f in part.findings if f.code == "source-key" and source in f.about)


def _said_of(change: Change, part: ReplicationPlan) -> list[str]:
    """Return what to do about a change that no flag lets through."""
    if "no-id" in change.withheld_by:
        return [remedies.NO_ID]
    found = [
        f for f in part.findings if f.code in change.withheld_by and f.is_about(change.target, change.name)
    ]
    return list(dict.fromkeys(finding.message for finding in found))


def _guards(outcome: Change | Other | None) -> Iterator[str]:
    """Yield the guards that withhold a change, and why."""
    if isinstance(outcome, Change):
        yield from (f"{hold.guard}: {hold.why}" for hold in outcome.withheld)
