"""One case, its row, its guards -> what to do, or to change in the spec, for another result. Pure.

`remedies_for_row` depends on the row of the table, `GuardLifts` on the guards that withhold the change,
`explain_unselected` on the rules that do not select a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ssm_reconcile.change import Change, Fate, Row, Update
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.delete_counts import may_delete
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.diff.table import standing_if_reattached
from ssm_reconcile.explain.facts import selection
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.model import Problem, ProblemKind, canonical
from ssm_reconcile.plan import Other, ReplicationPlan
from ssm_reconcile.record import OWNER, PREFIX, Standing, detached_from, standing
from ssm_reconcile.skip_sync import OnSkip
from ssm_reconcile.spec import Hold, Replication, Run

_TAGS = " ".join(PREFIX + word for word in ("owner", "record", "source", "expires"))
_REMOVE_TAGS = (
    "aws ssm remove-tags-from-resource --resource-type Parameter"
    f" --resource-id {{name}} --region {{region}} --tag-keys {_TAGS}"
)
_EARLIER_ID = "if the other id is an earlier one of this spec: list it in `previous_ids`"
_EXCLUDE_HERE = "or exclude it here: `parameters.exclude` in the spec, or a `rewrite` with `in: name`"
_SOURCE_UNKNOWN = (
    "whether its source exists is unknown, since the listing of {source} is incomplete: fix the cause, then"
    " run this command again"
)
_BY_ROW: Mapping[Row, tuple[str, ...]] = {
    Row.DETACHED: (
        "leave it while {target} is live: nothing writes, adopts or deletes it (it was of {detached_from})",
    ),
    Row.COPIED: (
        f"remove the copied tags: {_REMOVE_TAGS}",
        "then it has no owner, and `adopt` in the spec decides",
    ),
    Row.OPTED_OUT: ("to replicate it again: remove the tag {tag} from {name} in {place}",),
    Row.CHAINED: (
        "replicate it from its origin: at the source it is a replica of {owner}",
        "if it must not be a replica any more: detach {source} in the spec of {owner}",
    ),
    Row.SKIPPED: ("to replicate it: remove the tag {tag} from it in {source}",),
    Row.KEPT_OUT: ("to replicate it again: remove the tag {tag} from it in {source}",),
    Row.EXPIRING: (
        "to keep it: create {made_from} in {source} again; the next run then removes the mark",
        "to keep such replicas: `delete: never` in the spec",
    ),
    Row.DELETE: (
        "to keep it: create {made_from} in {source} again",
        "to keep such replicas: `delete: never` in the spec",
    ),
    Row.CREATE: ("to keep it out: `parameters.exclude`, or the tag {tag}",),
}
"""The remedies of the rows that always have the same ones; `remedies_for_row` has those of the others."""
_BY_PROBLEM = {
    ProblemKind.SIZE: "shorten it, make it Advanced at the source, or set `tier: keep` for the target",
    ProblemKind.NAME: "give it another name at the source, or a `rewrite` with `in: name`, or exclude it",
    ProblemKind.POLICY: "renew or remove its Expiration policy at the source",
    ProblemKind.TAGS: "name some of its tags in `tags.ignore`",
    ProblemKind.COLLISION: "change the `rewrite` rules in the spec so that the names differ, or exclude one",
    ProblemKind.REWRITE: "correct the `rewrite` rule in the spec",
    ProblemKind.NOT_UNICODE: "write the text again at the source, with whole characters only",
    ProblemKind.SKIP_TAG: "to opt out, write the tag's key and value as the spec has them; to replicate,"
    " remove the tag, or list a key of another meaning under `skip_sync.ignore` in the spec",
    ProblemKind.UNREADABLE: "allow the run to read it (ssm:GetParameters, kms:Decrypt), repair its key,"
    " or plan with --no-decrypt",
}


def remedies_for_row(
    case: Case, row: Row, outcome: Change | Other | None, command: CommandLine
) -> Iterator[str]:
    """Yield each way to another result, one sentence each; none for an address that is in sync.

    Args:
        case: The case of the parameter.
        row: Its row in the table of cases.
        outcome: The change or the other result that the plan has for it; None if the plan has none.
        command: The command line of the spec, for the commands in the sentences.
    """
    yield from _sentences(case, row)
    match row:
        case Row.FOREIGN:
            yield from _foreign(case)
        case Row.DETACHED:
            yield from _reattach(case, command)
        case Row.HELD:
            yield from _held(case)
        case Row.KEPT_OUT:
            if case.context.replication.skip_sync.replicas is OnSkip.KEEP:
                yield "to remove its replica: `skip_sync: { replicas: delete }` in the spec"
        case Row.ORPHAN:
            yield from _orphan(case, outcome)
        case Row.INVALID:
            yield from dict.fromkeys(_for_problem(case, problem) for problem in case.problems)
        case Row.ADOPT if not isinstance(outcome, Change):
            line = _adopt(case, command, "identical")
            also = _also_applied(case)
            yield f"`adopt: identical` in the spec, or `{line}`, adopts it; its value stays{also}"
        case Row.CONFLICT if not isinstance(outcome, Change):
            yield from _conflict(case, command)
        case Row.REPLACE | Row.UPDATE | Row.RETAG:
            assert isinstance(outcome, Change)
            yield from _difference(case, outcome)
        case _:
            return


def _sentences(case: Case, row: Row) -> Iterator[str]:
    """Yield the remedies that a row always has, with the names of the case."""
    source, target = case.context.source, case.context.target.name
    values = {
        "name": case.name,
        "target": target,
        "place": case.context.live.place,
        "region": case.context.live.place.region,
        "source": source.place,
        "made_from": case.made_from,
        "tag": case.context.replication.skip_sync.tag,
        "owner": case.desired and source.tags_of(canonical(case.desired.source.name)).get(OWNER),
        "detached_from": detached_from(case.tags),
    }
    sentences = _BY_ROW.get(row, ())
    if row in (Row.EXPIRING, Row.DELETE) and not case.is_source_gone:
        sentences = (_SOURCE_UNKNOWN, *sentences[1:])
    yield from (sentence.format(**values) for sentence in sentences)


def _reattach(case: Case, command: CommandLine) -> Iterator[str]:
    """Yield the ways to make a detached parameter a replica again, by its former owner and its record."""
    target, claim, arn = case.context.target.name, case.context.claim, case.context.live.arn(case.address)
    owner, again = detached_from(case.tags), "to replicate into it again"
    undo = command.detach(target, "--undo")
    if owner not in claim.owners:
        yield f"{again}: `detach --undo` in the spec of {owner}"
        return
    match standing_if_reattached(case.tags, arn, claim):
        case Standing.OURS:
            yield f"{again}: `{undo}`"
        case Standing.NO_ID:
            yield f"{again}, if it is of this spec: `{command.detach(target, '--undo', '--without-id')}`"
        case Standing.OTHER_ID:
            yield f"{_EARLIER_ID}, then `{undo}`"
            yield _EXCLUDE_HERE
        case found:
            tags, then = _BY_ROW[Row.COPIED]
            if found is not Standing.COPIED:
                yield f"if a later version of ssm-reconcile wrote it: run `{undo}` with that version"
                tags = f"otherwise remove its ownership tags: {_REMOVE_TAGS}"
            yield tags.format(name=case.name, region=case.context.live.place.region)
            yield then


def _foreign(case: Case) -> Iterator[str]:
    spec = case.context.replication
    if case.standing is Standing.CLOUDFORMATION:
        stack = case.tags.get("aws:cloudformation:stack-name", "a stack")
        yield f"remove it from the stack {stack}, which deletes it; the next apply creates it"
        yield "(with `DeletionPolicy: Retain` it may keep the tags of the stack, and then it stays `foreign`)"
    elif case.standing is Standing.OTHER_ID:
        yield f"give this spec another `name`, or exclude {case.name} in one of the two specs"
        yield _EARLIER_ID
        yield "after copying a spec as a template or fork: give the copy a new `id` and `name`"
    else:
        name, _, place = case.tags.get(OWNER, "").rpartition("@")
        if place == str(case.context.source.place):
            yield f"if {name} is the earlier name of {spec.name}: `previous_names: [{name}]` in the spec"
        yield "let only one replication place it: exclude it in the other, or detach it there first"
    yield _EXCLUDE_HERE


def _held(case: Case) -> Iterator[str]:
    today = case.context.as_of.date()
    if expired := [hold for hold in case.holds if hold.has_expired(today)]:
        named = _named_holds(expired)
        yield f"to keep it as it is: extend `until` of {named}; until then, runs end with exit code 3"
    every = _named_holds(case.holds)
    yield f"to let runs change it again: remove the entry for {every} from `parameters.hold`"


def _named_holds(holds: Iterable[Hold]) -> str:
    """Return the patterns of holds with their positions: "`/db/**` (spec.yaml:7:7), `/db/url`"."""
    return ", ".join(f"`{hold.match.text}`" + (f" ({hold.where})" if hold.where else "") for hold in holds)


def _orphan(case: Case, outcome: Change | Other | None) -> Iterator[str]:
    context = case.context
    is_unknown = not context.source.complete and (case.source_gone or case.made_from is None)
    if is_unknown:
        yield _SOURCE_UNKNOWN.format(source=context.source.place)
    if case.is_source_gone:
        yield f"its source {case.made_from} does not exist any more: to keep the replica, create it again"
    yield "to replicate it again: change `parameters.include`, `exclude` or `types` so that it is selected"
    if not isinstance(outcome, Change) and not is_unknown:
        yield "to remove it: `orphans: delete` in the spec, or delete it yourself"


def _for_problem(case: Case, problem: Problem) -> str:
    place = case.context.live.place
    if problem.kind is ProblemKind.KEY:
        where = next((f" ({rule.where})" for rule in case.context.replication.kms if rule.where), "")
        return (
            f"repair the key in {place} (create it, enable it, cancel its deletion), or map"
            f" another one for {case.context.target.name} in `kms`{where}"
        )
    at_source = case.desired is not None and problem in case.desired.problems
    if problem.kind is ProblemKind.SKIP_TAG and not at_source:
        return (
            f"remove the tag from {case.name} in {place}, or list a key of another meaning"
            " under `skip_sync.ignore` in the spec"
        )
    if case.desired is None:  # a replica without room for the mark of its deletion
        return f"remove a tag from {case.name} in {place}"
    return _BY_PROBLEM[problem.kind]


def _adopt(case: Case, command: CommandLine, mode: str) -> str:
    """Return the command that adopts one name; `_also_applied` says whether it is two addresses."""
    alone = replace(command.narrow(case.context.target.name, case.name), mode=())
    return alone.apply("--adopt", mode)


def _also_applied(case: Case) -> str:
    """Return the other address that `--only NAME` selects: that of the source parameter of this name."""
    context = case.context
    source = context.source.parameters.get(case.address)
    if source is None:
        return ""
    place, there = context.source.place, context.live.place
    other = context.replication.address(source.name, place, there, context.target.name)
    if canonical(other) == case.address or canonical(other) not in context.desired:
        return ""
    return f"; this command applies {other} as well, since its source has the same name"


def _conflict(case: Case, command: CommandLine) -> Iterator[str]:
    if case.unproven:
        yield "plan without --no-decrypt, so that the two values can be compared"
        return
    yield f"change {case.name} in {case.context.live.place} to match its source: then it is adopted"
    if not case.needs_replace:
        line = _adopt(case, command, "overwrite")
        overwrite = f"or overwrite it from the source: `{line}`{_also_applied(case)}"
        yield f"{overwrite}; all conflicts: `adopt: overwrite` in the spec"
    yield "or exclude it: `parameters.exclude`"


def _difference(case: Case, outcome: Change) -> Iterator[str]:
    if outcome.exposes and not outcome.source_made_plain:
        yield f"to keep it secret: make it a SecureString at the source, {case.context.source.place}, too"
    elif outcome.changed_outside:
        yield f"to keep the change: make it at the source, {case.context.source.place}, too"
    elif outcome.row is Row.REPLACE:
        if any(difference.attribute == "tier" for difference in outcome.differences):
            yield f"to accept the tier Advanced: `tier: keep` for {case.context.target.name} in the spec"
        yield "a replacement deletes it first: reads fail for some seconds, and its history is lost"


_UNPLACED = {
    Standing.OTHER_ID: (
        (
            "the replica there has another id: it belongs to another spec with the same name, or to this"
            " spec before its `id` was changed or removed; no run changes it"
        ),
        [_EARLIER_ID],
    ),
    Standing.NO_ID: (
        "the replica there has no id and may belong to another spec with the same name; no run changes it",
        ["if it is of this spec: delete it yourself, or select it again, and the next apply records the id"],
    ),
}


def explain_unselected(
    address: str, spec: Replication, context: TargetContext, command: CommandLine
) -> tuple[str, list[str]]:
    """Return why no row applies to a name of a target, and what would change that.

    Args:
        address: The canonical name.
        spec: The replication.
        context: The target.
        command: The command line of the spec, for the commands in the sentences.
    """
    source, replica = context.source.parameters.get(address), _unplaced(address, spec, context, command)
    if source is not None:
        rule, remedy = selection(source.name, source.type, spec)
        answer, advice = " ".join(rule), [remedy]
    elif replica is not None:
        answer, advice = "the spec places no parameter here", list[str]()
        if not context.source.complete:
            answer = f"the listing of {context.source.place} is incomplete, and shows no source for it"
    else:
        answer = f"{address} does not exist in {context.source.place}, and no replica of it exists here"
        advice = ["check the spelling: names are case-sensitive", "check that the spec's source is correct"]
        if not context.source.complete:
            answer = f"{address} is not in the incomplete listing of the source, and has no replica here"
            advice = [_SOURCE_UNKNOWN.format(source=context.source.place)]
    if replica is None:
        return answer, advice
    kept, remedies = replica
    return f"{answer}; {kept}", [*remedies, *advice]


def _unplaced(
    address: str, spec: Replication, context: TargetContext, command: CommandLine
) -> tuple[str, list[str]] | None:
    """Return why no run changes a parameter where nothing is placed, and what to do.

    None if nothing exists there, or a parameter with another standing.
    """
    live, target, claim = context.live, context.target.name, spec.claim(context.source.place)
    if address not in live.parameters:
        return None
    tags = live.tags_of(address)
    found = standing(tags, live.arn(address), claim, placed=False)
    if found is Standing.NO_ID and not context.source.complete:
        is_listed = address in context.source.parameters
        return _UNPLACED[found][0], [_SOURCE_UNKNOWN.format(source=context.source.place)] * (not is_listed)
    if found is not Standing.DETACHED:
        return _UNPLACED.get(found)
    owner = detached_from(tags)
    again, undo = "to make it a replica again", command.detach(target, "--undo")
    ways = {
        Standing.OURS: (
            f"{again}: `{undo}`; without a source that is placed here,"
            " `delete` or `orphans` in the spec decides"
        ),
        Standing.NO_ID: (
            f"{again}, if it is of this spec: select it, then"
            f" `{command.detach(target, '--undo', '--without-id')}`"
        ),
        Standing.OTHER_ID: f"{_EARLIER_ID}, then `{undo}`",
    }
    way = ways.get(standing_if_reattached(tags, live.arn(address), claim))
    leave = f"leave it while {target} is live: nothing writes, adopts or deletes it"
    return f"it is detached (it was of {owner})", [leave, way] if way else [leave]


_FIELDS = {
    "roles-reversed": "allow_reversed",
    "empty-source": "allow_empty_source",
    "replace": "allow_replace",
    "changed-outside": "overwrite_outside",
    "exposure": "allow_exposure",
    "max-deletes": "max_deletes",
    "max-deletes-total": "max_deletes_total",
    "max-change-percent": "max_change_percent",
}
"""The field of `Run` that lifts a guard; a guard that counts is lifted by its count."""
_COUNTING = frozenset({"max-deletes", "max-deletes-total", "max-change-percent", "empty-source"})
_FROZEN = "frozen-target"
MOST_PERCENT = 100


class _Lifts(NamedTuple):
    """The guards to lift for a change, each with its count.

    `alone`: whether the change is applied alone. `suffices`: whether flags can lift the guards.
    """

    guards: Mapping[str, bool | int]
    alone: bool
    suffices: bool = True


class GuardLifts:
    """The ways to let the changes of a plan through; changes that are withheld alike are judged once.

    Args:
        part: The plan that the guards have judged.
        spec: The replication.
        command: The options that a recommended command has to repeat.
    """

    def __init__(self, part: ReplicationPlan, spec: Replication, command: CommandLine) -> None:
        self.part = part
        self._spec = spec
        self._command = command
        self._found: dict[tuple[object, ...], _Lifts | None] = {}

    def remedies(self, change: Change) -> list[str]:
        """Return what lets a change through, edits first; empty when the user cannot lift the guards.

        Also for a change that is withheld only if AWS refuses to change its type in place.
        """
        counted = not _COUNTING.isdisjoint(change.withheld_by)
        key = (change.target, change.action, may_delete(change), change.withheld_by)
        if not counted or key not in self._found:
            self._found[key] = self._find(change, counted=counted)
        found = self._found[key]
        if found is None:
            return []
        target = self._command.narrow(change.target)
        alone = self._command.narrow(change.target, change.name)
        replaced = ["--allow-replace"] if not counted and may_need_replacement(change) else []
        line = (alone if found.alone else target).apply(*_flags(found.guards), *replaced)
        if _FROZEN in found.guards:
            return [f"{_thaw(self._spec, change)}, then `{line}`"]
        why = "to apply it" if change.fate is Fate.WITHHELD else "if AWS refuses the type in place"
        if not found.suffices:
            why = "no flag lifts the limit for that many changes; a single change is not withheld"
        return [f"{why}: `{line}`"]

    def _find(self, change: Change, *, counted: bool) -> _Lifts | None:
        """Return the guards to lift; None if one of them cannot be lifted.

        The guards judge again after each lift, since a counting guard may count what the first one withheld.
        """
        spec, lifts = self._spec, dict[str, bool | int]()
        judged = self.part if counted else _judged_alone(change, self.part, spec)
        while (now := next(one for one in judged.changes if one.order == change.order)).withheld:
            for hold in now.withheld:
                if hold.guard != _FROZEN and hold.guard not in _FIELDS:
                    return None
                value = hold.count or True
                if hold.guard == "max-change-percent" and value > MOST_PERCENT:
                    return _Lifts(lifts, alone=True, suffices=False)
                lifts[hold.guard] = value
                judged = _without_guard(judged, change.target, hold.guard)
            given: dict[str, Any] = {_FIELDS[one]: lifts[one] for one in lifts if one != _FROZEN}
            judged = withhold_changes(judged, GuardRules(spec, Run(**given)))
        others = any(one.withheld and one.target == change.target for one in judged.changes)
        return _Lifts(lifts, alone=not counted or others)


def _judged_alone(change: Change, part: ReplicationPlan, spec: Replication) -> ReplicationPlan:
    """Return the plan of one change as `--allow-replace` plans it: a counting guard counts no other."""
    if may_need_replacement(change):
        assert isinstance(change.effect, Update)
        change = replace(change, effect=replace(change.effect, may_replace=True))
    return withhold_changes(replace(part, changes=(change,)), GuardRules(spec, Run()))


def may_need_replacement(change: Change) -> bool:
    """Whether a change alters the type of a replica, which AWS may refuse in place.

    Source: API reference, PutParameter: HierarchyTypeMismatchException.
    """
    return change.row is Row.UPDATE and any(one.attribute == "type" for one in change.differences)


def _flags(lifts: Mapping[str, bool | int]) -> Iterator[str]:
    """Yield the words that lift some guards, to add to a command."""
    for guard, value in lifts.items():
        if guard != _FROZEN:
            yield "--" + _FIELDS[guard].replace("_", "-")
            yield from () if value is True else (str(value),)


def _thaw(spec: Replication, change: Change) -> str:
    target = spec.target(change.target)
    at = f" ({target.where})" if target.where else ""
    return f"set `frozen: false` at target {target.name}{at}"


def _without_guard(part: ReplicationPlan, target: str, guard: str) -> ReplicationPlan:
    """Return the plan without one guard in one target."""
    changes = (
        replace(one, withheld=()) if one.target == target and guard in one.withheld_by else one
        for one in part.changes
    )
    targets = (
        replace(one, frozen=False) if guard == _FROZEN and one.name == target else one for one in part.targets
    )
    return replace(part, changes=tuple(changes), targets=tuple(targets))
