"""Explanations row by row: why the earlier rows do not fit, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.explain import Explanation
from ssm_reconcile.explain.facts import Fact, is_excluded, without_own_place
from ssm_reconcile.model import SECURE, Access
from ssm_reconcile.record import CLEARED, DETACHED, EXPIRES, OWNER, RECORD, record_of
from ssm_reconcile.spec import DeleteMode, Glob, Orphans, Run, Source
from tests.builders import OWNED_BY, parameter, replication, target
from tests.simulated_aws import SimulatedAws
from tests.unit.test_explain import explained, facts

OURS = "it is a replica of this spec"
NOT_PLACED = "the spec places no parameter here"
NOT_SELECTED = "the rules of the spec would not place its source here"
SKIP = "its source has no skip_sync tag that applies here"
NO_TAG = "it has no skip_sync tag that applies here"
EXISTS = "its source exists and is placed here"
NO_HOLD = "no hold of the spec matches the name of its source"
OWN_TAGS = "ssm-reconcile:owner ssm-reconcile:record ssm-reconcile:source ssm-reconcile:expires"
PLACED_REASONS = {"expiring": EXISTS, "delete": EXISTS, "orphan": EXISTS}
OTHER = "other@111122223333/eu-west-1"

Act = Callable[[SimulatedAws], object]


def replicated(act: Act, kind: str = "String", run: Run | None = None, **spec: Any) -> Explanation:
    """Explain a replica after an act."""
    aws = SimulatedAws(replication(**spec))
    aws.replicate("/p/z")  # so that no guard takes the source for empty
    aws.replicate(kind=kind)
    act(aws)
    aws.pass_time()
    return explained(aws, run=run)


def tag_replica(**tags: str) -> Act:
    return lambda aws: aws.world.tag(aws.there, "/p/a", tags)


def own(owner: str) -> Act:
    return lambda aws: aws.world.tag(aws.there, "/p/a", {OWNER: owner})


def exclude(aws: SimulatedAws) -> None:
    aws.spec = replace(aws.spec, exclude=(Glob("/p/a"),))


def exclude_and_delete(aws: SimulatedAws) -> None:
    exclude(aws)
    aws.delete("/p/a")


def exclude_unknown_source(aws: SimulatedAws) -> None:
    """Exclude the source of a replica whose record does not prove the name of it."""
    exclude(aws)
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    aws.world.tag(aws.there, "/p/a", {RECORD: replace(record, source="0" * 32).text()})


def skip(aws: SimulatedAws) -> None:
    aws.world.tag(aws.here, "/p/a", {"skip_sync": "true"})


def remove_source(aws: SimulatedAws) -> None:
    aws.delete("/p/a")


def wait_for_the_mark(aws: SimulatedAws) -> None:
    aws.delete("/p/a")
    aws.apply()
    aws.pass_time(days=3)


class TestWhyEarlierRowsDoNotFit:
    def test_a_replica_in_sync_fits_no_other_row(self) -> None:
        assert dict(replicated(lambda _: None).ruled_out) == {
            **dict.fromkeys(("foreign", "detached", "copied", "adopt", "conflict"), OURS),
            "held": NO_HOLD,
            "opted_out": NO_TAG,
            "chained": "its source is not a replica",
            "skipped": SKIP,
            "kept_out": SKIP,
            **PLACED_REASONS,
            "invalid": "the target accepts it",
            "create": "it exists",
            **dict.fromkeys(("replace", "update", "retag"), "nothing of that kind differs"),
        }

    def test_nothing_exists_where_a_replica_is_to_be_created(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        absent = dict.fromkeys(("foreign", "detached", "copied", "opted_out"), "no parameter exists here")
        assert dict(explained(aws).ruled_out).items() >= absent.items()

    @pytest.mark.parametrize(
        ("act", "row", "reasons"),
        [
            (skip, Row.KEPT_OUT, {"skipped": OURS, "foreign": OURS}),
            (
                remove_source, Row.DELETE,
                {
                    **dict.fromkeys(("foreign", "detached", "copied", "chained", "kept_out"), NOT_PLACED),
                    "opted_out": NO_TAG, "expiring": "`delete.after` is 0",
                },
            ),
            (
                exclude, Row.ORPHAN,
                dict.fromkeys(("expiring", "delete"), "its source still exists"),
            ),
            (
                exclude_and_delete, Row.ORPHAN,
                dict.fromkeys(("expiring", "delete"), NOT_SELECTED),
            ),
            (
                exclude_unknown_source, Row.ORPHAN,
                dict.fromkeys(("expiring", "delete"), "its record proves no source name"),
            ),
            (own(f"{DETACHED}{OWNED_BY}"), Row.DETACHED, {"foreign": "it is detached"}),
            (
                lambda aws: aws.world.tag(aws.there, "/p/a", copied(aws)), Row.COPIED,
                {"foreign": "its tags were copied", "detached": "its tags were copied"},
            ),
            (
                lambda aws: aws.world.untag(aws.there, "/p/a", OWNER, RECORD), Row.ADOPT,
                {"foreign": "it has no owner", "copied": "it has no owner"},
            ),
        ],
    )  # fmt: skip
    def test_a_row_is_ruled_out_by_its_own_reason(self, act: Act, row: Row, reasons: dict[str, str]) -> None:
        found = replicated(act)
        assert found.row is row
        assert {name: dict(found.ruled_out).get(name) for name in reasons} == reasons

    @pytest.mark.parametrize(
        ("spec", "act", "row", "why"),
        [
            ({"delete": DeleteMode.NEVER}, remove_source, Row.DELETE, "`delete: never` keeps it"),
            ({"grace": timedelta(days=2)}, wait_for_the_mark, Row.DELETE, "its mark is due"),
        ],
    )
    def test_a_delete_does_not_wait_for_a_reason(
        self, spec: dict[str, Any], act: Act, row: Row, why: str
    ) -> None:
        found = replicated(act, **spec)
        assert (found.row, dict(found.ruled_out)["expiring"]) == (row, why)

    def test_a_conflict_is_not_adopted_since_it_differs_or_is_not_compared(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", "v", SECURE)
        aws.put("/p/a", "v", SECURE, region="us-east-2", tags={"team": "b"})
        assert dict(explained(aws).ruled_out)["adopt"] == "it differs in tags"
        aws.world.untag(aws.there, "/p/a", "team")
        found = explained(aws, run=Run(no_decrypt=True))
        assert (found.row, dict(found.ruled_out)["adopt"]) == (
            Row.CONFLICT, "its value could not be compared",
        )  # fmt: skip
        assert "without --no-decrypt" in found.remedies[0]
        assert found.remedies[1:] == ()

    def test_without_a_comparison_nothing_is_known_to_differ(self) -> None:
        found = replicated(lambda aws: aws.put("/p/a", "w", SECURE), SECURE, Run(no_decrypt=True))
        assert (found.row, dict(found.ruled_out)["replace"]) == (
            Row.UPDATE, "nothing of that kind is known to differ",
        )  # fmt: skip


def copied(aws: SimulatedAws) -> dict[str, str]:
    """Return the ownership tags of another replica."""
    aws.replicate("/p/b")
    return dict(aws.world.tags(aws.there, "/p/b") or {})


class TestRemedies:
    @pytest.mark.parametrize(
        ("act", "row", "texts"),
        [
            (skip, Row.KEPT_OUT, ["remove the tag skip_sync", "`skip_sync: { replicas: delete }`"]),
            (tag_replica(skip_sync="true"), Row.OPTED_OUT, ["remove the tag skip_sync from /p/a in"]),
            (remove_source, Row.DELETE, ["`ssm-reconcile apply", "create /p/a in", "`delete: never`"]),
            (
                exclude, Row.ORPHAN,
                ["change `parameters.include`", "to remove it: `orphans: delete` in the spec"],
            ),
            (
                exclude_and_delete, Row.ORPHAN,
                ["its source /p/a does not exist", "change `parameters.include`", "to remove it"],
            ),
            (
                own(f"{DETACHED}{OWNED_BY}"), Row.DETACHED,
                ["leave it while us-east-2 is live", "detach --target us-east-2 --undo`"],
            ),
            (
                lambda aws: aws.world.tag(aws.there, "/p/a", copied(aws)), Row.COPIED,
                [
                    f"--resource-id /p/a --region us-east-2 --tag-keys {OWN_TAGS}",
                    "then it has no owner",
                ],
            ),
            (own(OTHER), Row.FOREIGN, ["let only one replication place it", "or exclude it here"]),
            (
                own("shop@123456789012/us-east-1"), Row.FOREIGN,
                ["shop is the earlier name of prod: `previous_names: [shop]`", "let only one", "or exclude"],
            ),
            (
                lambda aws: setattr(aws, "spec", replace(aws.spec, id="h5t8w4p2zc")), Row.FOREIGN,
                ["give this spec another `name`", "`previous_ids`", "new `id` and `name`", "or exclude"],
            ),
        ],
    )  # fmt: skip
    def test_each_way_to_another_result_is_one_sentence(self, act: Act, row: Row, texts: list[str]) -> None:
        found = replicated(act)
        assert found.row is row
        assert len(found.remedies) == len(texts), found.remedies
        for text, remedy in zip(texts, found.remedies, strict=True):
            assert text in remedy

    @pytest.mark.parametrize(
        ("act", "texts"),
        [
            (lambda aws: aws.put("/p/a", "w"), []),
            (lambda aws: aws.world.tag(aws.here, "/p/a", {"team": "a"}), []),
            (lambda aws: aws.put("/p/a", "w", SECURE), ["if AWS refuses the type in place"]),
            (
                lambda aws: aws.put("/p/a", "w", region="us-east-2"),
                ["to keep the change: make it at the source, 123456789012/us-east-1, too"],
            ),
        ],
    )
    def test_a_difference_has_the_command_first_and_the_ways_that_fit_it(
        self, act: Act, texts: list[str]
    ) -> None:
        command, *others = replicated(act).remedies
        assert "`ssm-reconcile apply --target us-east-2 --only /p/a" in command
        assert len(others) == len(texts), others
        for text, remedy in zip(texts, others, strict=True):
            assert text in remedy

    def test_keeping_a_value_secret_comes_before_the_flag_that_exposes_it(self) -> None:
        first, command = replicated(lambda aws: aws.put("/p/a", "w", SECURE, region="us-east-2")).remedies
        assert first == "to keep it secret: make it a SecureString at the source, 123456789012/us-east-1, too"
        assert "--allow-exposure" in command

    def test_a_source_that_was_made_plain_is_not_to_be_made_secret_again(self) -> None:
        def make_plain(aws: SimulatedAws) -> None:
            aws.delete("/p/a")
            aws.pass_time()
            aws.put("/p/a", "w")

        found = replicated(make_plain, SECURE)
        assert found.row is Row.UPDATE
        assert not any("keep it secret" in one for one in found.remedies)

    def test_a_replica_that_waits_for_its_deletion_can_be_kept(self) -> None:
        def wait(aws: SimulatedAws) -> None:
            aws.delete("/p/a")
            aws.apply()

        found = replicated(wait, grace=timedelta(days=2))
        assert found.row is Row.EXPIRING
        assert ["removes the mark" in one for one in found.remedies] == [True, False]
        assert "`delete: never`" in found.remedies[1]

    def test_an_orphan_that_is_deleted_has_no_remedy_that_deletes_it(self) -> None:
        found = replicated(exclude, orphans=Orphans.DELETE)
        assert found.plan[0].startswith("delete")
        assert not any("orphans: delete" in one for one in found.remedies)

    def test_a_source_that_is_a_replica_is_replicated_from_its_origin(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a", region="eu-central-1")
        first = replication(
            name="first",
            source=Source(Access("eu-central-1")),
            targets=(target("us-east-1", region="us-east-1"),),
        )
        aws.apply(first)
        found = explained(aws)
        assert found.row is Row.CHAINED
        assert "at the source it is a replica of first@123456789012/eu-central-1" in found.remedies[0]
        assert "detach 123456789012/us-east-1 in the spec of first@" in found.remedies[1]

    def test_a_parameter_of_a_stack_is_removed_from_the_stack(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/a")
        tags = {"aws:cloudformation:stack-name": "shop"}
        aws.put("/p/a", region="us-east-2")
        aws.world.tag(aws.there, "/p/a", tags)
        found = explained(aws)
        assert found.row is Row.FOREIGN
        assert "from the stack shop" in found.remedies[0]
        assert len(found.remedies) == 3


class TestFacts:
    def test_the_versions_are_those_that_changed(self) -> None:
        assert facts(replicated(lambda aws: aws.put("/p/a", "w")))["versions"] == (
            "source now 2; replica as recorded"
        )

    def test_a_record_that_cannot_be_read_is_a_fact(self) -> None:
        found = replicated(lambda aws: aws.world.tag(aws.there, "/p/a", {RECORD: "x"}))
        assert facts(found)["record"] == "none, or not readable"
        assert "versions" not in facts(found)
        found = replicated(lambda aws: aws.world.untag(aws.there, "/p/a", OWNER))
        assert facts(found)["owner"].startswith("none")
        assert "record" not in facts(found)

    def test_a_mark_is_a_fact_with_the_end_that_it_has(self) -> None:
        def mark(aws: SimulatedAws) -> None:
            aws.delete("/p/a")
            aws.apply()
            aws.pass_time()

        def come_back(aws: SimulatedAws) -> None:
            mark(aws)
            aws.put("/p/a")

        waiting = facts(replicated(mark, grace=timedelta(days=2)))["mark"]
        assert re.fullmatch(r"expires at 2026-11-25 [0-9:]+ UTC", waiting)
        back = replicated(come_back, grace=timedelta(days=2))
        assert facts(back)["mark"] == f"{waiting}; its source exists again: apply removes it"
        assert "mark" not in facts(replicated(lambda _: None))
        assert facts(replicated(tag_replica(**{EXPIRES: CLEARED})))["mark"].startswith("it does not count")

    def test_a_record_after_an_undo_names_no_versions_that_it_does_not_have(self) -> None:
        def return_outside_value(aws: SimulatedAws) -> None:
            tags = aws.world.tags(aws.there, "/p/a")
            record = record_of(tags or {})
            assert record is not None
            aws.world.tag(aws.there, "/p/a", {RECORD: record.of_outside_value().text()})

        found = facts(replicated(return_outside_value))
        assert found["record"] == (
            "created; the source version that its value is of is not known;"
            " its value is that of another writer, which an undo returned"
        )
        assert found["versions"] == "source now 1; replica now 1, and none is recorded"

    def test_only_another_key_than_that_of_the_last_apply_is_a_fact(self) -> None:
        def make_plain(aws: SimulatedAws) -> None:
            aws.delete("/p/a")
            aws.pass_time()
            aws.put("/p/a", "w")

        def record_key(key: str, aws: SimulatedAws) -> None:
            text = (aws.world.tags(aws.there, "/p/a") or {})[RECORD]
            aws.world.tag(aws.there, "/p/a", {RECORD: re.sub(r"key=\w+", f"key={key}", text)})

        acts = make_plain, partial(record_key, "none"), partial(record_key, "0123456789abcdef")
        found = [facts(replicated(act, SECURE)).get("key", "") for act in acts]
        assert [text.startswith("not the key of the last apply") for text in found] == [False, False, True]

    def test_the_owner_is_shown_with_its_standing(self) -> None:
        assert facts(replicated(lambda _: None))["owner"] == f"{OWNED_BY} (ours)"
        assert facts(replicated(own(OTHER)))["owner"].startswith(f"{OTHER} (")

    @pytest.mark.parametrize(
        ("earlier", "state"), [("k3v9x2m7qa", " (of another id)"), (None, " (without an id)")]
    )
    def test_the_owner_of_a_replica_that_is_not_placed_is_shown_with_its_id(
        self, earlier: str | None, state: str
    ) -> None:
        def leave_out(aws: SimulatedAws) -> None:
            aws.spec = replace(aws.spec, id="h5t8w4p2zc", exclude=(Glob("/p/a"),))

        assert facts(replicated(leave_out, id=earlier))["owner"] == f"{OWNED_BY}{state}"


class TestAlikeTargets:
    """Facts of two targets that differ in their own place only are shown once."""

    @pytest.mark.parametrize(
        ("label", "text"),
        [
            ("live", "String (Standard) in {place}, version 1 of 2026-11-23 {hour}:00 UTC"),
            ("record", "created; written as version 1 at 2026-11-23 {hour}:00 UTC"),
            ("key", "alias/app at the source, alias/app (arn:aws:kms:{region}:1:key/{hour}-a) in {region}"),
            ("differs", "KeyId  alias/old -> arn:aws:kms:{region}:123456789012:alias/app"),
            ("cause", "target {region}: {place} could not be listed"),
        ],
    )
    def test_the_own_place_and_times_are_left_out(self, label: str, text: str) -> None:
        first, second = (
            without_own_place(
                Fact(label, text.format(place=place, region=region, hour=hour)), region, place
            )
            for region, hour, place in (
                ("us-east-2", 12, "123456789012/us-east-2"), ("eu-west-1", 13, "123456789012/eu-west-1"),
            )
        )  # fmt: skip
        assert first == second
        assert first.label == label

    @pytest.mark.parametrize("label", ["owner", "source", "live tags", "differs", "mark"])
    def test_any_other_fact_is_compared_as_it_is(self, label: str) -> None:
        """An account in a value or a tag is not that of the target, and a time is not that of a write."""
        fact = Fact(label, "value  us-east-2 at 2026-11-23 12:00 UTC in 123456789012/us-east-2")
        assert without_own_place(fact, "us-east-2", "123456789012/us-east-2") == fact

    @pytest.mark.parametrize(
        ("fact", "other"),
        [
            (Fact("live", "String in 1/us-east-2"), Fact("live", "StringList in 1/us-east-2")),
            (Fact("key", "alias/a in us-east-2"), Fact("key", "alias/b in us-east-2")),
            (Fact("record", "created"), Fact("record", "adopted")),
        ],
    )
    def test_any_other_difference_stays(self, fact: Fact, other: Fact) -> None:
        here = ("us-east-2", "1/us-east-2")
        assert without_own_place(fact, *here) != without_own_place(other, *here)


def test_excluded_is_a_name_that_an_include_selects_and_a_rule_or_its_type_leaves_out() -> None:
    spec = replication(exclude=(Glob("/p/x/**"),), types=frozenset({"String"}))
    names = {"/p/a": "String", "/p/x/a": "String", "/p/list": "StringList", "/q/a": "String"}
    excluded = [name for name, kind in names.items() if is_excluded(parameter(name, kind), spec)]
    assert excluded == ["/p/x/a", "/p/list"]
