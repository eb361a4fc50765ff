"""One case in its row -> what to do, or to change in the spec, to get something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from ssm_reconcile.change import Change, Row
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.model import Problem, ProblemKind, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import OWNER, PREFIX, Standing, detached_from, standing
from ssm_reconcile.skip_tag import OnSkip
from ssm_reconcile.spec import Replication

_TAGS = " ".join(PREFIX + word for word in ("owner", "record", "source"))


def of(case: Case, row: Row, outcome: Change | Other | None, again: CommandLine) -> Iterator[str]:
    """Yield each way to another result, one sentence each; none for what is as it should be."""
    rules, place = case.scene.replication, case.scene.live.place
    tag = rules.skip_sync.tag
    match row:
        case Row.FOREIGN:
            yield from _foreign(case)
        case Row.DETACHED:
            yield from _detached(case, again)
        case Row.COPIED:
            yield from _copied(case)
        case Row.OPTED_OUT:
            yield f"to replicate it again: remove the tag {tag} from {case.name} in {place}"
        case Row.CHAINED:
            yield from _chained(case)
        case Row.SKIPPED:
            yield f"to replicate it: remove the tag {tag} from it in {case.scene.source.place}"
        case Row.KEPT_OUT:
            yield f"to replicate it again: remove the tag {tag} from it in {case.scene.source.place}"
            if rules.skip_sync.replicas is OnSkip.KEEP:
                yield "to have its replica removed: `skip_sync: { replicas: delete }` in the spec"
        case Row.DELETE:
            yield f"if it should live on: create {case.made_from} in {case.scene.source.place} again"
            yield "to keep such replicas: `delete: never` in the spec"
        case Row.ORPHAN:
            yield from _orphan(case, outcome)
        case Row.INVALID:
            yield from dict.fromkeys(_problem(case, problem) for problem in case.problems)
        case Row.CREATE:
            yield f"to keep it out: `parameters.exclude`, or the tag {tag}"
        case Row.ADOPT:
            if not isinstance(outcome, Change):
                alone = replace(again.narrowed(case.scene.target.name, case.name), mode=())
                command = alone.apply("--adopt", "identical")
                yield f"`adopt: identical` in the spec, or `{command}`, takes it over; its value stays"
        case Row.CONFLICT:
            if not isinstance(outcome, Change):
                yield from _conflict(case)
        case Row.REPLACE | Row.UPDATE | Row.RETAG:
            yield from _difference(case, outcome)
        case Row.IN_SYNC:
            return
        case _:
            assert_never(row)


def _foreign(case: Case) -> Iterator[str]:
    rules, scene = case.scene.replication, case.scene
    if case.standing is Standing.CLOUDFORMATION:
        stack = case.tags.get("aws:cloudformation:stack-name", "a stack")
        yield f"take it out of the stack {stack}, which deletes it; the next apply creates it"
        yield "(a `DeletionPolicy: Retain` may leave the stack's tags on it, and then it stays as it is)"
    elif case.standing is Standing.OTHER_ID:
        yield f"give this spec another `name`, or exclude {case.name} in one of the two specs"
        yield "if the other id is an earlier one of this spec: list it in `previous_ids`"
        yield "after copying a spec as a template or fork: give the copy a new `id` and `name`"
    else:
        name, _, place = case.tags.get(OWNER, "").rpartition("@")
        if place == str(scene.source.place):
            yield f"if {name} is what {rules.name} was called before: `previous_names: [{name}]` in the spec"
        yield "let one replication place it: exclude it in the other, or detach it there first"
    yield "or leave it out here: `parameters.exclude` in the spec, or a `rewrite` with `in: name`"


def _detached(case: Case, again: CommandLine) -> Iterator[str]:
    target = case.scene.target.name
    owner = detached_from(case.tags)
    yield f"leave it while {target} is live: nothing writes, adopts or deletes it (it was of {owner})"
    yield f"to replicate into it again: `{again.detach(target, '--undo')}`"


def _copied(case: Case) -> Iterator[str]:
    yield (
        "remove the copied tags: aws ssm remove-tags-from-resource --resource-type Parameter"
        f" --resource-id {case.name} --region {case.scene.live.place.region} --tag-keys {_TAGS}"
    )
    yield "then it counts as nobody's, and `adopt` in the spec decides"


def _chained(case: Case) -> Iterator[str]:
    wanted, source = case.desired, case.scene.source
    assert wanted is not None
    owner = source.tags_of(canonical(wanted.source.name)).get(OWNER)
    yield f"replicate it from where it is made: at the source it is a replica of {owner}"
    yield f"if it is to be no replica any more: detach {source.place} in the spec of {owner}"


def _orphan(case: Case, outcome: Change | Other | None) -> Iterator[str]:
    if case.source_gone:
        yield f"its source {case.made_from} is gone, too: create it again if it should live on"
    yield "to replicate it again: change `parameters.include`, `exclude` or `types` so that it is selected"
    if not isinstance(outcome, Change):
        yield "to have it removed: `orphans: delete` in the spec, or delete it yourself"


NO_ID = (
    "`orphans: delete` deletes only replicas that are recorded with the `id` of the spec: delete this one"
    " by hand, or select it again, add an `id` to the spec, apply, and then exclude it"
)
"""Remedy for an orphan of a spec without an id: its record has none either, and an id alone is too late."""

_PROBLEMS = {
    ProblemKind.SIZE: "shorten it, make it Advanced at the source, or set `tier: keep` for the target",
    ProblemKind.NAME: "give it another name at the source, or a `rewrite` with `in: name`, or exclude it",
    ProblemKind.POLICY: "renew or remove its Expiration policy at the source",
    ProblemKind.TAGS: "name some of its tags in `tags.ignore`",
    ProblemKind.COLLISION: "make the `rewrite` rules in the spec tell them apart, or exclude one",
    ProblemKind.REWRITE: "mend the `rewrite` rule in the spec",
    ProblemKind.NOT_UNICODE: "write the text again at the source, with whole characters only",
    ProblemKind.SKIP_TAG: "to opt out, write the tag's key and value as the spec has them; to replicate,"
    " remove the tag, or list a key of another meaning under `skip_sync.ignore` in the spec",
    ProblemKind.UNREADABLE: "give the right to read it (ssm:GetParameters, kms:Decrypt), mend its key,"
    " or plan with --no-decrypt",
}


def _problem(case: Case, problem: Problem) -> str:
    if problem.kind is ProblemKind.KEY:
        where = next((f" ({rule.where})" for rule in case.scene.replication.kms if rule.where), "")
        return (
            f"mend the key in {case.scene.live.place} (create it, enable it, cancel its deletion), or map"
            f" another one for {case.scene.target.name} in `kms`{where}"
        )
    at_source = case.desired is not None and problem in case.desired.problems
    if problem.kind is ProblemKind.SKIP_TAG and not at_source:
        return (
            f"remove the tag from {case.name} in {case.scene.live.place}, or list a key of another meaning"
            " under `skip_sync.ignore` in the spec"
        )
    return _PROBLEMS[problem.kind]


def _conflict(case: Case) -> Iterator[str]:
    if case.unproven:
        yield "plan without --no-decrypt, so that the two values can be compared"
        return
    yield f"bring {case.name} in {case.scene.live.place} in line by hand: what is equal is adopted"
    yield "or let the source win: `adopt: overwrite` in the spec (or --adopt overwrite for one run)"
    yield "or leave it out: `parameters.exclude`"


def _difference(case: Case, outcome: Change | Other | None) -> Iterator[str]:
    if isinstance(outcome, Change) and outcome.exposes and not outcome.source_made_plain:
        yield f"to keep it secret: make it a SecureString at the source, {case.scene.source.place}, too"
        return
    if isinstance(outcome, Change) and outcome.changed_outside:
        yield f"to keep the change: make it at the source, {case.scene.source.place}, too"
        return
    if isinstance(outcome, Change) and outcome.row is Row.REPLACE:
        if any(difference.attribute == "tier" for difference in outcome.differences):
            yield f"to accept the tier Advanced: `tier: keep` for {case.scene.target.name} in the spec"
        yield "a replacement deletes it first: readers fail for a moment, and its history is lost"


_UNPLACED = {
    Standing.OTHER_ID: (
        (
            "the replica there has another id: it belongs to another spec with the same name, or to this"
            " spec before its `id` was changed or removed; it is left alone"
        ),
        "if the other id is an earlier one of this spec: list it in `previous_ids`",
    ),
    Standing.NO_ID: (
        "the replica there has no id and may belong to another spec with the same name; it is left alone",
        "if it is of this spec: delete it yourself, or select it again, and the next apply records the id",
    ),
}


def unselected(address: str, spec: Replication, scene: TargetContext) -> tuple[str, list[str]]:
    """Return why no row applies to a name here, and what would change that."""
    answer, advice = _unselected(address, spec, scene)
    claim = spec.claim(scene.source.place)
    found = standing(scene.live.tags_of(address), scene.live.arn(address), claim, placed=False)
    if address not in scene.live.parameters or found not in _UNPLACED:
        return answer, advice
    kept, remedy = _UNPLACED[found]
    if address not in scene.source.parameters:
        return f"nothing is placed here: {kept}", [remedy]
    return f"{answer}; {kept}", [remedy, *advice]


def _unselected(address: str, spec: Replication, scene: TargetContext) -> tuple[str, list[str]]:
    source = scene.source.parameters.get(address)
    if source is None:
        return (
            f"there is no {address} in {scene.source.place}, and nothing here is ours",
            ["check the spelling: letters match exactly", "check that the spec's source is the right one"],
        )
    excluding = spec.excluded_by(address)
    if excluding is not None:
        return f"excluded by {excluding}", ["take that rule out of `parameters.exclude`, or narrow it"]
    if spec.included_by(address) is None:
        where = f" ({spec.where})" if spec.where else ""
        return "no include rule selects it", [f"add it to `parameters.include`{where}"]
    return (
        f"it is a {source.type}, and `parameters.types` leaves those out",
        [f"add {source.type} to `parameters.types`"],
    )
