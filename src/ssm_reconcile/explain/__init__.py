"""Names + the plan for them -> why each is, or is not, as the spec asks, in each target; what to do. Pure.

An explanation describes the outcome in the plan (`Change`, `Other`, or none), so it cannot disagree with
the plan. Values are shown where a plan shows them: never of a SecureString.

facts.py     the facts of an address, its row in words, and why no earlier row fits
remedies.py  what to do: by row, by guard, by selection rule
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ssm_reconcile.change import Change, Fate, Row
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.diff.case import Case, TargetContext, cases
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.documents.status import EXCLUDED
from ssm_reconcile.errors import Address
from ssm_reconcile.explain import facts, remedies
from ssm_reconcile.explain.facts import Fact, RuledOut
from ssm_reconcile.model import SOURCE, DesiredParameter, Listing, canonical
from ssm_reconcile.plan import Other, ReplicationPlan
from ssm_reconcile.record import OWNER, detached_from
from ssm_reconcile.renderers.escaping import LINE_LIMIT, visible
from ssm_reconcile.renderers.groups import merge_alike, without_place
from ssm_reconcile.renderers.terminal_text import LONGEST_NAME, TerminalText
from ssm_reconcile.spec import Glob, Replication
from ssm_reconcile.wording import plural

_NO_BREAK = "\N{NO-BREAK SPACE}"
_LONGEST_CELL = 30
"""The widest column of --short after the name: one long action must not move all lines."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """One address of one target, with the keys of `--format json`.

    Attributes:
        excluded: Whether an exclude or `types` leaves a source parameter out that an include selects.
        row: None where no row applies: the place could not be listed, or no rule selects the name.
        answer: The row in words, or why no row applies.
        ruled_out: The earlier rows of the table, with the reason why they do not fit.
        plan: The action that a plan takes.
        withheld_by: The guards that withhold the action, each with its reason.
        remedies: What to do, one sentence each.
    """

    replication: str
    target: str
    place: str
    name: str
    row: Row | None = None
    excluded: bool = False
    answer: str = ""
    facts: tuple[Fact, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    plan: tuple[str, ...] = ("nothing",)
    withheld_by: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The row, or `excluded`; empty where neither applies."""
        return EXCLUDED if self.excluded else "" if self.row is None else self.row.value


def explain(
    name: str,
    spec: Replication,
    part: ReplicationPlan,
    views: Mapping[str, TargetContext],
    command: CommandLine = CommandLine(),  # noqa: B008 - frozen
    whole: ReplicationPlan | None = None,
) -> Iterator[Explanation]:
    """Yield the explanation of a name for each of its addresses, in the order of the targets in the spec.

    Args:
        name: A name at the source, or a name in a target.
        spec: The replication.
        part: The plan of that replication, for this name at least.
        views: The targets that were listed, by name, as they were compared with the source.
        command: The options that a recommended command has to repeat.
        whole: The plan of all names of the replication, which the guards that count have judged.
            Default: `part`.
    """
    yield from explain_names({name: None}, spec, part, views, command, whole)


def explain_names(
    names: Mapping[str, frozenset[str] | None],
    spec: Replication,
    part: ReplicationPlan,
    views: Mapping[str, TargetContext],
    command: CommandLine = CommandLine(),  # noqa: B008 - frozen
    whole: ReplicationPlan | None = None,
) -> Iterator[Explanation]:
    """Yield the explanations of some names as `explain` does, each address once.

    Args:
        names: Names, each with the targets in which it is explained; None for all.
        spec: The replication.
        part: The plan of that replication, for these names at least.
        views: As for `explain`.
        command: As for `explain`.
        whole: As for `explain`.
    """
    known = {name: {case.address: case for case in cases(context)} for name, context in views.items()}
    every: tuple[Change | Other, ...] = (*part.changes, *part.others)
    outcomes = {(one.target, canonical(one.name)): one for one in every}
    lifts = remedies.GuardLifts(whole or part, spec, command)
    explained: set[tuple[str, str]] = set()
    for name, chosen in names.items():
        for target in part.targets:
            if chosen is not None and target.name not in chosen:
                continue
            begin = Explanation(part.name, target.name, target.place, name)
            if not (target.complete and target.name in views):
                yield _unlisted(begin, part, command)
                continue
            context = views[target.name]
            for address in _addresses(name, context.desired):
                if (target.name, address) in explained:
                    continue
                explained.add((target.name, address))
                case = known[target.name].get(address)
                if case is not None:
                    outcome = outcomes.get((target.name, address))
                    yield _explained(begin, case, outcome, lifts, command)
                    continue
                answer, advice = remedies.explain_unselected(address, spec, context, command)
                found = tuple(facts.facts_of_unselected(address, spec, context))
                source = context.source.parameters.get(address)
                excluded = source is not None and facts.is_excluded(source, spec)
                yield replace(
                    begin, name=address, excluded=excluded, answer=answer, facts=found, remedies=tuple(advice)
                )


def expand_names(
    patterns: Iterable[str], spec: Replication, source: Listing, live: Mapping[str, Listing]
) -> dict[str, frozenset[str] | None]:
    """Return the names that some names and globs select, each with its targets; None for all.

    A glob selects source parameters, and in each target the addresses that hold a replica or get one.

    Args:
        patterns: Names, which are returned whether they exist or not, and globs.
        spec: The replication.
        source: The listing of the source.
        live: The listings of the targets, by name.
    """
    found: dict[str, frozenset[str] | None] = {}
    addresses = {name: sorted(_replica_addresses(spec, source, name, live[name])) for name in live}
    for pattern in patterns:
        if "*" not in pattern:
            found[canonical(pattern)] = None
            continue
        matches = Glob(pattern).matches
        found |= dict.fromkeys(filter(matches, sorted(source.parameters)))
        for target, every in addresses.items():
            for address in filter(matches, every):
                chosen = found.get(address, frozenset())
                if chosen is not None:
                    found[address] = chosen | {target}
    return found


def _replica_addresses(spec: Replication, source: Listing, target: str, live: Listing) -> set[str]:
    """Return the addresses that have an owner tag of a replication, or where it places a parameter."""
    owners = spec.owners(source.place)
    owned = {
        address
        for address in live.parameters
        if (detached_from(live.tags_of(address)) or live.tags_of(address).get(OWNER)) in owners
    }
    placed = (
        spec.address(one.name, source.place, live.place, target)
        for one in source.parameters.values()
        if spec.rule_for(one.name, one.type) is not None
    )
    return owned.union(map(canonical, placed))


def _addresses(name: str, desired: Mapping[str, DesiredParameter]) -> list[str]:
    """Return the addresses of a source name in a target; the name itself if it is an address there."""
    given = canonical(name)
    placed = [address for address, one in desired.items() if canonical(one.source.name) == given]
    return sorted({*placed, *([given] if given in desired or not placed else [])})


def _unlisted(begin: Explanation, part: ReplicationPlan, command: CommandLine) -> Explanation:
    """Return the explanation for a place that could not be listed: only the cause is known."""
    causes = (
        Fact("cause", finding.message)
        for finding in part.findings
        if finding.code == "incomplete-place" and finding.is_about(begin.target)
    )
    return replace(
        begin,
        answer="not known, and no change is planned: a place could not be listed",
        facts=tuple(causes),
        remedies=(f"fix the cause, then run `{command.doctor()}` and this command again",),
    )


def _explained(
    begin: Explanation,
    case: Case,
    outcome: Change | Other | None,
    lifts: remedies.GuardLifts,
    command: CommandLine,
) -> Explanation:
    row = row_of(case)
    withheld = outcome.withheld if isinstance(outcome, Change) else ()
    wants = facts.planned_action(outcome) + ", withheld by a guard" * bool(withheld)
    clears_mark = isinstance(outcome, Change) and outcome.clears_mark
    return replace(
        begin,
        name=case.name,
        row=row,
        answer=facts.row_in_words(case, row, outcome),
        facts=tuple(facts.facts_of_case(case, outcome)),
        ruled_out=tuple(facts.rows_ruled_out(case, row)),
        plan=(wants, *["its mark is removed"] * clears_mark),
        withheld_by=tuple(f"{hold.guard}: {hold.why}" for hold in withheld),
        remedies=tuple(_remedies(case, row, outcome, lifts, command)),
    )


def _remedies(
    case: Case,
    row: Row,
    outcome: Change | Other | None,
    lifts: remedies.GuardLifts,
    command: CommandLine,
) -> Iterator[str]:
    """Yield what applies the change, or lets it through if it is withheld; then the other ways.

    The command for a change that no guard withholds names that change alone: an apply of the whole plan
    ends with exit code 5 if another change is withheld.
    """
    others = list(remedies.remedies_for_row(case, row, outcome, command))
    if not isinstance(outcome, Change):
        yield from others
        return
    if case.desired is not None:  # a source key that cannot decrypt the value stops an apply first
        source = Address(SOURCE, case.desired.source.name)
        yield from (f.message for f in lifts.part.findings if f.code == "source-key" and source in f.about)
    if outcome.fate is Fate.WITHHELD:
        ways = lifts.remedies(outcome) or _from_findings(outcome, lifts.part)
        # Keeping a value secret is better than lifting the guard against its exposure.
        yield from (*others, *ways) if "exposure" in outcome.withheld_by else (*ways, *others)
        return
    yield f"to {outcome.action.value} it now: `{command.narrow(outcome.target, outcome.name).apply()}`"
    if remedies.may_need_replacement(outcome):
        yield from lifts.remedies(outcome)
    yield from others


def _from_findings(change: Change, part: ReplicationPlan) -> list[str]:
    """Return what to do about a change that no flag lets through."""
    found = [hold.remedy for hold in change.withheld if hold.remedy] or [
        finding.message
        for finding in part.findings
        if finding.code in change.withheld_by and finding.is_about(change.target, change.name)
    ]
    return list(dict.fromkeys(found))


def explanation_text(
    explanations: Sequence[Explanation], *, width: int = LINE_LIMIT, verbose: bool = False
) -> str:
    """Return all explanations for a terminal, a block each.

    Args:
        explanations: The explanations.
        width: The columns of the terminal. Names and commands are not broken.
        verbose: Whether the rows that do not fit are shown.
    """
    page = TerminalText(width, color=False)
    for one, *others in merge_alike(explanations, _common_part):
        page.add()
        for indent, label, text in _block(one, verbose=verbose):
            sentence = label.replace(" ", _NO_BREAK) + _unbroken_commands(visible(text, LINE_LIMIT))
            page.add(sentence, indent=indent, hang=max(2, len(label)))
        if others:
            all_of_one = [
                it for it in explanations if (it.replication, it.name) == (one.replication, one.name)
            ]
            is_all = len(others) + 1 == len(all_of_one)
            which = f"all {len(others)} other targets" if is_all else plural(len(others), "other target")
            page.add(f"the same in {which} (--target NAME shows one){'' if is_all else ':'}", indent=2)
            names = [] if is_all else [visible(other.target, LINE_LIMIT) for other in others]
            page.lines += page.packed("    ", names)
    return page.text().replace(_NO_BREAK, " ").rstrip("\n")


def _common_part(one: Explanation) -> Hashable:
    """Return what is equal in the explanations of targets of which one is shown."""
    texts = (one.answer, *one.plan, *one.withheld_by, *one.remedies)
    words = [without_place(text, one.target, one.place) for text in texts]
    same = [facts.without_own_place(fact, one.target, one.place) for fact in one.facts]
    return one.replication, one.name, one.state, *words, *same


def _unbroken_commands(text: str) -> str:
    """Return a text in which no line breaks between backticks."""
    parts = text.split("`")
    parts[1::2] = [part.replace(" ", _NO_BREAK) for part in parts[1::2]]
    return "`".join(parts)


def explanation_lines(explanations: Sequence[Explanation]) -> str:
    """Return one line for each explanation: name, target, state, action of a plan, first remedy or answer."""
    several = len({one.replication for one in explanations}) > 1
    rows = [
        [
            one.name,
            f"{one.replication}, {one.target}" if several else one.target,
            one.state or "-",
            ", ".join(one.plan),
            one.remedies[0] if one.remedies else one.answer,
        ]
        for one in explanations
    ]
    shown = [[visible(cell, LINE_LIMIT) for cell in row] for row in rows]
    limits = (LONGEST_NAME, *[_LONGEST_CELL] * 3)
    widths = [
        max((len(row[column]) for row in shown if len(row[column]) <= limit), default=0)
        for column, limit in enumerate(limits)
    ]
    return "\n".join(
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in shown
    )


def _block(one: Explanation, *, verbose: bool) -> Iterator[tuple[int, str, str]]:
    """Yield the sentences of an explanation, each after its indentation and label; empty: an empty line."""
    yield 0, "", f"{one.name} in {one.target} ({one.place}), replication {one.replication}"
    yield 2, f"[{one.state}] " if one.state else "", one.answer
    yield 0, "", ""
    if one.facts:
        width = max(len(label) for label, _ in one.facts)
        yield from ((2, f"{label:<{width}}  ", text) for label, text in one.facts)
    yield 2, "", f"a plan would do: {', '.join(one.plan)}"
    yield from ((2, "", f"withheld by {guard}") for guard in one.withheld_by)
    if one.ruled_out and verbose:
        yield 2, "", "rows that do not fit:"
        yield from ((4, f"{row:<9}  ", why) for row, why in one.ruled_out)
    if one.remedies:
        yield 2, "", "what to do:"
        yield from ((4, "- ", text) for text in one.remedies)


def explanation_document(explanations: Sequence[Explanation]) -> dict[str, Any]:
    """Return the document that `--format json` prints; `format_version` follows the rule of the plan."""
    found = [
        {
            **asdict(one),
            "facts": [fact._asdict() for fact in one.facts],
            "ruled_out": [ruled_out._asdict() for ruled_out in one.ruled_out],
        }
        for one in explanations
    ]
    return {"format_version": "1.0", "explanations": found}
