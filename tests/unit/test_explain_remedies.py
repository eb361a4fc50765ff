"""The remedies of an explanation: each situation has these sentences, in this order, and no others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.errors import Where
from ssm_reconcile.explain.facts import facts_of_case
from ssm_reconcile.explain.remedies import explain_unselected, remedies_for_row
from ssm_reconcile.model import DesiredParameter, Problem, ProblemKind, ValueReadings
from ssm_reconcile.record import DETACHED, OWNER, RECORD, Standing
from ssm_reconcile.spec import AdoptMode, Glob, Hold, KeyRule, Run
from tests.builders import HERE, NOW, OWNED_BY, THERE, desired, listing, replication, ring
from tests.simulated_aws import SimulatedAws
from tests.unit.test_explain_rows import (
    OTHER,
    OWN_TAGS,
    Act,
    copied,
    exclude,
    exclude_and_delete,
    own,
    remove_source,
    replicated,
    skip,
)

ALONE = "`ssm-reconcile apply --target us-east-2 --only /p/a"
EXCLUDE = "or exclude it here: `parameters.exclude` in the spec, or a `rewrite` with `in: name`"
OTHER_ID = "if the other id is an earlier one of this spec: list it in `previous_ids`"
NO_ID = "if it is of this spec: delete it yourself, or select it again, and the next apply records the id"
HOLDS = (Hold(Glob("/p/a")), Hold(Glob("/p/**"), date(2026, 11, 1), where=Where("spec.yaml", 7, 7)))


def missing(aws: SimulatedAws) -> None:
    aws.delete("/p/a", region="us-east-2")


def skip_without_replica(aws: SimulatedAws) -> None:
    missing(aws)
    skip(aws)


def unknown(aws: SimulatedAws) -> None:
    missing(aws)
    remove_source(aws)


def take_tags(aws: SimulatedAws) -> None:
    aws.world.untag(aws.there, "/p/a", OWNER, RECORD)


def conflict(aws: SimulatedAws) -> None:
    take_tags(aws)
    aws.put("/p/a", "w", region="us-east-2")


def conflict_of_tier(aws: SimulatedAws) -> None:
    take_tags(aws)
    aws.put("/p/a", region="us-east-2", tier="Advanced")


def join_stack(aws: SimulatedAws) -> None:
    take_tags(aws)
    aws.world.tag(aws.there, "/p/a", {"aws:cloudformation:stack-name": "shop"})


def hold(*holds: Hold) -> Act:
    return lambda aws: setattr(aws, "spec", replace(aws.spec, holds=holds))


def nothing(aws: SimulatedAws) -> None:
    """Leave all as it is."""


def change_id(act: Act = nothing) -> Act:
    def change(aws: SimulatedAws) -> None:
        act(aws)
        aws.spec = replace(aws.spec, id="h5t8w4p2zc")

    return change


@pytest.mark.parametrize(
    ("act", "row", "remedies"),
    [
        (
            missing, Row.CREATE,
            [f"to create it now: {ALONE}`", "to keep it out: `parameters.exclude`, or the tag skip_sync"],
        ),
        (
            skip_without_replica, Row.SKIPPED,
            ["to replicate it: remove the tag skip_sync from it in 123456789012/us-east-1"],
        ),
        (
            lambda aws: aws.world.tag(aws.there, "/p/a", copied(aws)), Row.COPIED,
            [
                (
                    "remove the copied tags: aws ssm remove-tags-from-resource --resource-type Parameter"
                    f" --resource-id /p/a --region us-east-2 --tag-keys {OWN_TAGS}"
                ),
                "then it has no owner, and `adopt` in the spec decides",
            ],
        ),
        (take_tags, Row.ADOPT, [f"to adopt it now: {ALONE}`"]),
        (
            conflict, Row.CONFLICT,
            [
                "change /p/a in 123456789012/us-east-2 to match its source: then it is adopted",
                (f"or overwrite it from the source: {ALONE} --adopt overwrite`;"
                " all conflicts: `adopt: overwrite` in the spec"),
                "or exclude it: `parameters.exclude`",
            ],
        ),
        (
            conflict_of_tier, Row.CONFLICT,
            [
                "change /p/a in 123456789012/us-east-2 to match its source: then it is adopted",
                "or exclude it: `parameters.exclude`",
            ],
        ),
        (
            hold(HOLDS[0]), Row.HELD,
            ["to let runs change it again: remove the entry for `/p/a` from `parameters.hold`"],
        ),
        (
            hold(*HOLDS), Row.HELD,
            [
                ("to keep it as it is: extend `until` of `/p/**` (spec.yaml:7:7);"
                " until then, runs end with exit code 3"),
                ("to let runs change it again: remove the entry for `/p/a`, `/p/**` (spec.yaml:7:7)"
                " from `parameters.hold`"),
            ],
        ),
        (
            join_stack, Row.FOREIGN,
            [
                "remove it from the stack shop, which deletes it; the next apply creates it",
                ("(with `DeletionPolicy: Retain` it may keep the tags of the stack,"
                " and then it stays `foreign`)"),
                EXCLUDE,
            ],
        ),
        (
            change_id(), Row.FOREIGN,
            [
                "give this spec another `name`, or exclude /p/a in one of the two specs",
                OTHER_ID,
                "after copying a spec as a template or fork: give the copy a new `id` and `name`",
                EXCLUDE,
            ],
        ),
    ],
)  # fmt: skip
def test_a_row_has_these_remedies(act: Act, row: Row, remedies: list[str]) -> None:
    found = replicated(act)
    assert (found.row, list(found.remedies)) == (row, remedies)


@pytest.mark.parametrize("adopt", [AdoptMode.IDENTICAL, AdoptMode.NEVER])
def test_an_equal_parameter_is_adopted_by_the_spec_or_by_a_command_for_it_alone(adopt: AdoptMode) -> None:
    found = replicated(take_tags, adopt=adopt)
    by_flag = f"`adopt: identical` in the spec, or {ALONE} --adopt identical`, adopts it; its value stays"
    by_plan = f"to adopt it now: {ALONE}`"
    assert found.remedies == (by_flag if adopt is AdoptMode.NEVER else by_plan,)


def test_a_conflict_that_the_spec_overwrites_has_the_command_only() -> None:
    found = replicated(conflict, adopt=AdoptMode.OVERWRITE)
    assert (found.row, found.remedies) == (Row.CONFLICT, (f"to update it now: {ALONE}`",))


DELETED_FIRST = "a replacement deletes it first: reads fail for some seconds, and its history is lost"


@pytest.mark.parametrize(
    ("before", "after", "remedies"),
    [
        (
            {"tier": "Advanced"}, {},
            ["to accept the tier Advanced: `tier: keep` for us-east-2 in the spec", DELETED_FIRST],
        ),
        ({}, {"data_type": "aws:ec2:image"}, [DELETED_FIRST]),
    ],
)  # fmt: skip
def test_a_replacement_deletes_the_replica_and_a_tier_can_be_kept(
    before: dict[str, Any], after: dict[str, Any], remedies: list[str]
) -> None:
    def create_again(aws: SimulatedAws) -> None:
        for attributes in (before, after):
            aws.delete("/p/a")
            aws.pass_time()
            aws.put("/p/a", "ami-12345678", **attributes)
            aws.apply()
            aws.pass_time()

    found = replicated(create_again)
    assert (found.row, list(found.remedies[-len(remedies) :])) == (Row.REPLACE, remedies)
    assert not any("keep the change" in one for one in found.remedies)


EXCLUDED = "remove that rule from `parameters.exclude`, or narrow it"
STANDBY = "leave it while us-east-2 is live: nothing writes, adopts or deletes it"
AGAIN = "to replicate into it again"
UNDO = "`ssm-reconcile detach --target us-east-2 --undo`"
UNDO_WITHOUT_ID = "`ssm-reconcile detach --target us-east-2 --undo --without-id`"
REMOVE_TAGS = (
    "aws ssm remove-tags-from-resource --resource-type Parameter"
    f" --resource-id /p/a --region us-east-2 --tag-keys {OWN_TAGS}"
)
ADOPT_DECIDES = "then it has no owner, and `adopt` in the spec decides"
UNREADABLE = [
    f"if a later version of ssm-reconcile wrote it: run {UNDO} with that version",
    f"otherwise remove its ownership tags: {REMOVE_TAGS}",
    ADOPT_DECIDES,
]
REATTACH = (
    "to make it a replica again: `ssm-reconcile detach --target us-east-2 --undo`;"
    " without a source that is placed here, `delete` or `orphans` in the spec decides"
)


def record_as(aws: SimulatedAws, text: str) -> None:
    """Give the replica another record."""
    aws.world.tag(aws.there, "/p/a", {RECORD: text})


def detach(owner: str, act: Act) -> Act:
    def change(aws: SimulatedAws) -> None:
        own(f"{DETACHED}{owner}")(aws)
        act(aws)

    return change


@pytest.mark.parametrize(
    ("act", "spec_id", "answer", "remedies"),
    [
        (change_id(exclude), "k3v9x2m7qa", "excluded by /p/a; the replica there has another id",
         [OTHER_ID, EXCLUDED]),
        (change_id(exclude_and_delete), "k3v9x2m7qa",
         "the spec places no parameter here; the replica there has another id", [OTHER_ID]),
        (change_id(exclude), None, "excluded by /p/a; the replica there has no id", [NO_ID, EXCLUDED]),
        (change_id(remove_source), None, "the spec places no parameter here; the replica there has no id",
         [NO_ID]),
        (unknown, None, "/p/a does not exist in 123456789012/us-east-1, and no replica of it exists here",
         ["check the spelling: names are case-sensitive", "check that the spec's source is correct"]),
        (detach(OWNED_BY, remove_source), None,
         f"the spec places no parameter here; it is detached (it was of {OWNED_BY})", [STANDBY, REATTACH]),
        (detach(OWNED_BY, exclude), None, f"excluded by /p/a; it is detached (it was of {OWNED_BY})",
         [STANDBY, REATTACH, EXCLUDED]),
        (detach(OWNED_BY, change_id(remove_source)), "k3v9x2m7qa",
         f"the spec places no parameter here; it is detached (it was of {OWNED_BY})",
         [STANDBY, f"{OTHER_ID}, then {UNDO}"]),
        (detach(OWNED_BY, change_id(remove_source)), None,
         f"the spec places no parameter here; it is detached (it was of {OWNED_BY})",
         [STANDBY, f"to make it a replica again, if it is of this spec: select it, then {UNDO_WITHOUT_ID}"]),
        (detach(OTHER, remove_source), None,
         f"the spec places no parameter here; it is detached (it was of {OTHER})", [STANDBY]),
    ],
)  # fmt: skip
def test_a_name_without_a_row_has_these_remedies(
    act: Act, spec_id: str | None, answer: str, remedies: list[str]
) -> None:
    found = replicated(act, id=spec_id)
    assert (found.row, list(found.remedies)) == (None, remedies)
    assert found.answer.startswith(answer)


@pytest.mark.parametrize(
    ("owner", "spec_id", "act", "ways"),
    [
        (OWNED_BY, "k3v9x2m7qa", nothing, [f"{AGAIN}: {UNDO}"]),
        (OTHER, "k3v9x2m7qa", nothing, [f"{AGAIN}: `detach --undo` in the spec of {OTHER}"]),
        (OTHER, "k3v9x2m7qa", change_id(), [f"{AGAIN}: `detach --undo` in the spec of {OTHER}"]),
        (OWNED_BY, None, nothing, [f"{AGAIN}: {UNDO}"]),
        (OWNED_BY, None, change_id(), [f"{AGAIN}, if it is of this spec: {UNDO_WITHOUT_ID}"]),
        (OWNED_BY, "k3v9x2m7qa", change_id(), [f"{OTHER_ID}, then {UNDO}", EXCLUDE]),
        (
            OWNED_BY, "k3v9x2m7qa", lambda aws: record_as(aws, copied(aws)[RECORD]),
            [f"remove the copied tags: {REMOVE_TAGS}", ADOPT_DECIDES],
        ),
        (OWNED_BY, "k3v9x2m7qa", lambda aws: record_as(aws, "v=9 later"), UNREADABLE),
        (OWNED_BY, "k3v9x2m7qa", lambda aws: aws.world.untag(aws.there, "/p/a", RECORD), UNREADABLE),
    ],
)  # fmt: skip
def test_a_detached_parameter_is_reattached_by_its_former_owner(
    owner: str, spec_id: str | None, act: Act, ways: list[str]
) -> None:
    found = replicated(detach(owner, act), id=spec_id)
    assert (found.row, list(found.remedies)) == (Row.DETACHED, [f"{STANDBY} (it was of {owner})", *ways])


def test_tags_of_a_parameter_that_does_not_exist_any_more_do_not_make_it_detached() -> None:
    """GetResources may still list the tags of a deleted parameter."""
    context = case_of().context
    live = listing(THERE, tags={"/p/a": {OWNER: f"{DETACHED}{OWNED_BY}"}})
    answer, _ = explain_unselected("/p/a", replication(), replace(context, live=live), CommandLine())
    assert answer.endswith("no replica of it exists here")


def case_of(*problems: Problem, **more: Any) -> Case:
    """A parameter that the target cannot take."""
    spec = replication()
    context = TargetContext(
        replication=spec, target=spec.targets[0], claim=spec.claim(HERE), desired={}, source=listing(HERE),
        live=listing(THERE), ring=ring(THERE), run=Run(), settled=frozenset(), unproven=frozenset(),
        readings=ValueReadings({}, {}), as_of=NOW,
    )  # fmt: skip
    given: dict[str, Any] = {"desired": desired(problems=problems), "live": None, "record": None, **more}
    return Case(context, "/p/a", tags={}, standing=Standing.FREE, opted_out=False, problems=problems, **given)


UNKNOWN = (
    "whether its source exists is unknown, since the listing of 123456789012/us-east-1 is incomplete: fix the"
    " cause, then run this command again"
)
GONE = "its source /p/a does not exist any more: to keep the replica, create it again"
SELECT = "to replicate it again: change `parameters.include`, `exclude` or `types` so that it is selected"
REMOVE = "to remove it: `orphans: delete` in the spec, or delete it yourself"
RECREATE = "to keep it: create /p/a in 123456789012/us-east-1 again"
KEEP = "to keep such replicas: `delete: never` in the spec"


@pytest.mark.parametrize(
    ("row", "made_from", "is_listed", "is_complete", "remedies"),
    [
        (Row.ORPHAN, "/p/a", False, True, [GONE, SELECT, REMOVE]),
        (Row.ORPHAN, "/p/a", False, False, [UNKNOWN, SELECT]),
        (Row.ORPHAN, None, False, True, [SELECT, REMOVE]),
        (Row.ORPHAN, None, False, False, [UNKNOWN, SELECT]),
        (Row.ORPHAN, "/p/a", True, False, [SELECT, REMOVE]),
        (Row.DELETE, "/p/a", False, True, [RECREATE, KEEP]),
        (Row.DELETE, "/p/a", False, False, [UNKNOWN, KEEP]),
        (Row.EXPIRING, "/p/a", False, True, [f"{RECREATE}; the next run then removes the mark", KEEP]),
        (Row.EXPIRING, "/p/a", False, False, [UNKNOWN, KEEP]),
    ],
)
def test_a_source_that_an_incomplete_listing_does_not_show_is_unknown(
    row: Row, made_from: str | None, is_listed: bool, is_complete: bool, remedies: list[str]
) -> None:
    case = case_of(desired=None, made_from=made_from, source_gone=made_from is not None and not is_listed)
    case = replace(case, context=replace(case.context, source=listing(HERE, complete=is_complete)))
    assert list(remedies_for_row(case, row, None, CommandLine())) == remedies
    sentences = {one.text for one in facts_of_case(case, None) if one.label == "source"}
    assert (
        sentences
        == {
            None: set(),
            (True, True): {"/p/a, it exists"},
            (True, False): {"/p/a, it exists"},
            (False, True): {"/p/a, it does not exist in 123456789012/us-east-1"},
            (False, False): {"/p/a, unknown: the listing of 123456789012/us-east-1 is incomplete"},
        }[None if made_from is None else (is_listed, is_complete)]
    )


AT_SOURCE = {
    ProblemKind.KEY: "map another one for us-east-2 in `kms`",
    ProblemKind.SIZE: "or set `tier: keep` for the target",
    ProblemKind.NAME: "or a `rewrite` with `in: name`, or exclude it",
    ProblemKind.POLICY: "renew or remove its Expiration policy at the source",
    ProblemKind.TAGS: "name some of its tags in `tags.ignore`",
    ProblemKind.COLLISION: "change the `rewrite` rules in the spec so that the names differ",
    ProblemKind.UNREADABLE: "or plan with --no-decrypt",
    ProblemKind.REWRITE: "correct the `rewrite` rule in the spec",
    ProblemKind.NOT_UNICODE: "write the text again at the source",
    ProblemKind.SKIP_TAG: "to opt out, write the tag's key and value as the spec has them",
}
AT_TARGET = {
    ProblemKind.TAGS: "remove a tag from /p/a in 123456789012/us-east-2",
    ProblemKind.SKIP_TAG: "remove the tag from /p/a in 123456789012/us-east-2",
}


@pytest.mark.parametrize("kind", ProblemKind)
def test_each_problem_of_a_placed_parameter_has_one_remedy(kind: ProblemKind) -> None:
    problems = Problem(kind, "one"), Problem(kind, "another")
    (found,) = remedies_for_row(case_of(*problems), Row.INVALID, None, CommandLine())
    assert AT_SOURCE[kind] in found


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [(ProblemKind.TAGS, None), (ProblemKind.SKIP_TAG, None), (ProblemKind.SKIP_TAG, desired())],
)
def test_a_problem_of_a_tag_of_the_target_is_solved_there(
    kind: ProblemKind, wanted: DesiredParameter | None
) -> None:
    case = case_of(Problem(kind, "one"), desired=wanted)
    (found,) = remedies_for_row(case, Row.INVALID, None, CommandLine())
    assert found.startswith(AT_TARGET[kind])


def test_a_problem_of_a_key_names_the_rule_that_maps_keys() -> None:
    rules = KeyRule("alias/a", ()), KeyRule("alias/b", (), where=Where("spec.yaml", 9, 3))
    case = case_of(Problem(ProblemKind.KEY, "one"))
    case = replace(case, context=replace(case.context, replication=replication(kms=rules)))
    (found,) = remedies_for_row(case, Row.INVALID, None, CommandLine())
    assert found == (
        "repair the key in 123456789012/us-east-2 (create it, enable it, cancel its deletion), or map another"
        " one for us-east-2 in `kms` (spec.yaml:9:3)"
    )


def test_two_problems_have_two_remedies_in_their_order() -> None:
    problems = Problem(ProblemKind.POLICY, "one"), Problem(ProblemKind.SIZE, "another")
    first, second = remedies_for_row(case_of(*problems), Row.INVALID, None, CommandLine())
    assert AT_SOURCE[ProblemKind.POLICY] in first
    assert AT_SOURCE[ProblemKind.SIZE] in second
