"""The plan as data: what counts as what, and what its id covers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.change import (
    Action,
    Adopt,
    Change,
    Create,
    Delete,
    Difference,
    Preconditions,
    Release,
    Replace,
    Retag,
    Row,
    TagDiff,
    Update,
    Withholding,
)
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.model import ADVANCED, SECURE, Substitution
from ssm_reconcile.plan import (
    COUNTED,
    WRITES,
    Budget,
    Mode,
    Narrowing,
    Other,
    Plan,
    ReplicationPlan,
    TargetPlan,
    effect_of,
    fingerprint,
)
from ssm_reconcile.record import OWNER, RECORD
from tests.builders import (
    COPIED_AT,
    MADE,
    change,
    creates,
    deletes,
    desired,
    parameter,
    part,
    plan_of,
    record,
    retags,
    updates,
)

TAGS = TagDiff({"gone": "1", "old": "1"}, {"new": "1", "old": "2"})


class TestTagDiff:
    def test_it_knows_what_is_added_and_what_is_removed(self) -> None:
        assert TAGS.added == {"new": "1", "old": "2"}
        assert TAGS.removed == ("gone",)

    def test_it_is_false_when_there_is_nothing_to_do(self) -> None:
        assert not TagDiff()
        assert TagDiff({"a": "1"})
        assert TagDiff({}, {"a": "1"})


class TestChange:
    @pytest.mark.parametrize(
        ("effect", "action"),
        [
            (Create(desired()), Action.CREATE),
            (Update(desired(), TAGS), Action.UPDATE),
            (Update(desired(), TAGS, put=False, takes_over=True), Action.UPDATE),
            (Retag(desired(), TAGS, record()), Action.RETAG),
            (Release("/p/a", TAGS), Action.RETAG),
            (Adopt(desired(), TAGS, record()), Action.ADOPT),
            (Replace(desired()), Action.REPLACE),
            (Delete("/p/a"), Action.DELETE),
        ],
    )
    def test_each_effect_counts_as_one_action(self, effect: Any, action: Action) -> None:
        assert change(effect).action is action

    def test_a_create_and_a_replacement_bring_all_tags(self) -> None:
        wanted = desired(tags={"a": "1"})
        assert change(Create(wanted)).tags == TagDiff({}, {"a": "1"})
        assert change(Replace(wanted)).tags == TagDiff({}, {"a": "1"})

    def test_the_others_bring_those_that_differ_and_a_delete_none(self) -> None:
        for effect in (Update(desired(), TAGS), Retag(desired(), TAGS, record()), Release("/p/a", TAGS)):
            assert change(effect).tags == TAGS
        assert not change(Delete("/p/a")).tags

    def test_only_what_stays_ours_has_something_desired(self) -> None:
        wanted = desired()
        for effect in (Create(wanted), Replace(wanted), Update(wanted, TAGS), Adopt(wanted, TAGS, record())):
            assert change(effect).desired is wanted
        assert change(Delete("/p/a")).desired is None
        assert change(Release("/p/a", TAGS)).desired is None


HOLDS = (Withholding("a", "x"), Withholding("b", "y"), Withholding("c", "z"))


class TestSummary:
    def test_each_address_is_counted_once_and_withheld_counts_fates(self) -> None:
        held = [replace(one, withheld=(Withholding("a", ""),)) for one in deletes(2)]
        others = (
            Other("prod", "us-east-2", "/p/x", Row.CHAINED, "skipped"),
            Other("prod", "us-east-2", "/p/y", Row.FOREIGN, "conflict"),
        )
        found = part(*creates(3), *held, *retags(1), others=others, target={"in_sync": 7}).summary()
        assert {word: count for word, count in found.items() if count} == {
            "create": 3,
            "delete": 2,
            "retag": 1,
            "in_sync": 7,
            "skipped": 1,
            "conflict": 1,
            "withheld": 2,
        }
        assert set(found) == {*COUNTED, "withheld"}
        assert sum(found[word] for word in COUNTED) == 15

    def test_it_can_be_of_one_target(self) -> None:
        west = replace(creates(1)[0], target="us-west-1")
        one = replace(
            part(*creates(2), west, target={"in_sync": 1}),
            targets=(TargetPlan("us-east-2", "", in_sync=1), TargetPlan("us-west-1", "", in_sync=4)),
        )
        assert (one.summary("us-west-1")["create"], one.summary("us-west-1")["in_sync"]) == (1, 4)
        assert (one.summary()["create"], one.summary()["in_sync"]) == (3, 5)

    def test_of_several_replications_it_adds_up(self) -> None:
        plan = Plan((part(*creates(1)), replace(part(*updates(2)), name="dev")))
        assert (plan.summary["create"], plan.summary["update"]) == (1, 2)
        assert [one.name for one in plan.changes] == ["/p/c000", "/p/u000", "/p/u001"]


class TestComplete:
    def test_a_plan_is_complete_when_each_place_of_each_replication_is(self) -> None:
        assert Plan((part(),)).complete
        assert not Plan((part(), part(source_complete=False))).complete
        assert not Plan((part(target={"complete": False}),)).complete


def test_findings_of_the_run_come_before_those_of_replications() -> None:
    one, two = Finding(Severity.WARNING, "a", "m"), Finding(Severity.ERROR, "b", "m")
    assert Plan((part(findings=(two,)),), findings=(one,)).all_findings == (one, two)


def base() -> Change:
    wanted = desired(source=parameter(description="d", allowed_pattern="x.*"), tags={"t": "1"})
    return change(
        Update(wanted, TAGS),
        differences=(Difference("value", "old", "new"),),
        reasons=("r",),
        kind="String",
        writer="w",
    )


def with_source(**fields: Any) -> Callable[[Change], Change]:
    def altered(one: Change) -> Change:
        assert isinstance(one.effect, Update)
        wanted = one.effect.desired
        source = replace(wanted.source, **fields)
        return replace(one, effect=replace(one.effect, desired=replace(wanted, source=source)))

    return altered


def with_desired(**fields: Any) -> Callable[[Change], Change]:
    def altered(one: Change) -> Change:
        assert isinstance(one.effect, Update)
        return replace(one, effect=replace(one.effect, desired=replace(one.effect.desired, **fields)))

    return altered


def with_effect(**fields: Any) -> Callable[[Change], Change]:
    def altered(one: Change) -> Change:
        assert isinstance(one.effect, Update)
        return replace(one, effect=replace(one.effect, **fields))

    return altered


def with_expected(**fields: Any) -> Callable[[Change], Change]:
    return lambda one: replace(one, expected=replace(one.expected, **fields))


def with_(**fields: Any) -> Callable[[Change], Change]:
    return lambda one: replace(one, **fields)


class TestPlanId:
    def test_the_same_world_has_the_same_id_of_64_hex_digits(self) -> None:
        assert plan_of(base()).plan_id == plan_of(base()).plan_id
        assert len(plan_of(base()).plan_id) == 64
        assert set(plan_of(base()).plan_id) <= set("0123456789abcdef")

    @pytest.mark.parametrize(
        "altered",
        [
            pytest.param(with_expected(source_version=2), id="the version of the source value"),
            pytest.param(with_expected(source_modified=MADE + timedelta(seconds=1)), id="its moment"),
            pytest.param(with_expected(version=2), id="the version of the replica"),
            pytest.param(with_expected(modified=COPIED_AT + timedelta(milliseconds=1)), id="its moment too"),
            pytest.param(with_expected(version=None, modified=None), id="absence"),
            pytest.param(with_source(type="StringList"), id="type"),
            pytest.param(with_source(description="e"), id="description"),
            pytest.param(with_source(allowed_pattern="y.*"), id="pattern"),
            pytest.param(with_desired(tier=ADVANCED), id="tier"),
            pytest.param(with_desired(may_rise=True), id="that the tier may rise"),
            pytest.param(with_source(policies=("{}",)), id="policies"),
            pytest.param(with_source(data_type="aws:ec2:image"), id="data type"),
            pytest.param(with_source(name="/p/other"), id="the source's name"),
            pytest.param(with_desired(key_identity="arn:k"), id="key"),
            pytest.param(with_desired(substitutions=(Substitution("a", "b"),)), id="shaping"),
            pytest.param(with_effect(tags=TagDiff({}, {"new": "1", "old": "2"})), id="a tag removed"),
            pytest.param(
                with_effect(tags=TagDiff(TAGS.before, {"new": "2", "old": "2"})), id="a tag's value"
            ),
            pytest.param(with_effect(takes_over=True), id="that it takes over"),
            pytest.param(with_effect(unproven=True), id="that it is unproven"),
            pytest.param(with_(withheld=(Withholding("a", ""),)), id="fate"),
            pytest.param(with_(name="/p/b"), id="name"),
            pytest.param(with_(target="us-west-1"), id="target"),
            pytest.param(with_(row=Row.CONFLICT), id="row"),
            pytest.param(with_(differences=()), id="which attributes differ"),
            pytest.param(with_(effect=Create(desired())), id="action"),
            pytest.param(with_(effect=Delete(None)), id="another action"),
        ],
    )
    def test_it_changes_with_each_effect_of_a_change(self, altered: Callable[[Change], Change]) -> None:
        assert plan_of(altered(base())).plan_id != plan_of(base()).plan_id

    @pytest.mark.parametrize(
        "altered",
        [
            pytest.param(with_(reasons=("another",)), id="words"),
            pytest.param(with_(writer="another-writer", changed_outside=True), id="who wrote"),
            pytest.param(with_(differences=(Difference("value", "another", "text"),)), id="a value"),
            pytest.param(with_(kind="shown"), id="the kind that is shown"),
            pytest.param(with_source(version=9), id="a listing that is behind"),
            pytest.param(with_desired(rule="/p/* (replication.yaml:9:5)"), id="the rule's line"),
        ],
    )
    def test_it_does_not_change_with_what_is_only_for_people(
        self, altered: Callable[[Change], Change]
    ) -> None:
        assert plan_of(altered(base())).plan_id == plan_of(base()).plan_id

    def test_it_does_not_depend_on_which_guards_withhold_a_change(self) -> None:
        held = [replace(base(), withheld=holds) for holds in (HOLDS[:1], HOLDS[1:])]
        assert len({plan_of(one).plan_id for one in held}) == 1

    def test_it_does_not_depend_on_order(self) -> None:
        some = [*creates(3), *deletes(2)]
        assert plan_of(*some).plan_id == plan_of(*reversed(some)).plan_id
        assert (
            plan_of(only=("/a", "/b"), targets=("x", "y")).plan_id
            == plan_of(only=("/b", "/a"), targets=("y", "x")).plan_id
        )

    def test_it_changes_with_mode_and_narrowing(self) -> None:
        ids = {
            plan_of(base()).plan_id,
            plan_of(base(), mode=Mode.VERIFY).plan_id,
            plan_of(base(), mode=Mode.NO_DECRYPT).plan_id,
            plan_of(base(), only=("/p/**",)).plan_id,
            plan_of(base(), targets=("us-east-2",)).plan_id,
        }
        assert len(ids) == 5

    def test_it_changes_with_the_replication_and_its_source(self) -> None:
        ids = {
            Plan((part(base()),)).plan_id,
            Plan((replace(part(base()), name="dev"),)).plan_id,
            Plan((replace(part(base()), source="210987654321/us-east-1"),)).plan_id,
            Plan((part(base()), part(base()))).plan_id,
        }
        assert len(ids) == 4

    def test_it_does_not_change_with_what_does_not_change(self) -> None:
        one = part(base())
        other = replace(
            one,
            others=(Other("prod", "us-east-2", "/p/x", Row.CONFLICT, "conflict"),),
            findings=(Finding(Severity.WARNING, "a", "m"),),
            selected=7,
            targets=(replace(one.targets[0], in_sync=9, replicas=4),),
        )
        assert Plan((one,)).plan_id == Plan((other,)).plan_id
        assert replace(Plan((one,)), budget=Budget({"PutParameter": 1}, 1.0)).plan_id == Plan((one,)).plan_id

    def test_each_replication_has_an_id_of_its_own(self) -> None:
        one, two = part(base()), replace(part(*creates(1)), name="dev")
        both = Plan((one, two))
        assert both.id_of(one) != both.id_of(two)
        assert both.id_of(one) == Plan((one,)).id_of(one)

    @pytest.mark.parametrize("pattern", ["x.*", "hunter2"])
    def test_the_pattern_of_a_secret_is_in_no_id(self, pattern: str) -> None:
        secret = with_source(type=SECURE, allowed_pattern=pattern)(base())
        assert pattern not in json.dumps(effect_of(secret))

    def test_nor_is_that_of_a_plain_parameter_where_the_replica_is_a_secret(self) -> None:
        """They are often the same: a parameter is made plain, and its replica is not yet."""
        plain = with_source(allowed_pattern="hunter2")(base())
        was = replace(plain, differences=(Difference("type", SECURE, "String"),))
        assert "hunter2" in json.dumps(effect_of(plain))
        assert "hunter2" not in json.dumps(effect_of(was))

    def test_no_value_is_in_it(self) -> None:
        seen = replace(base(), differences=(Difference("value", before="hunter2", after="rabbit3"),))
        assert "hunter2" not in json.dumps(effect_of(seen))
        assert "rabbit3" not in json.dumps(effect_of(seen))

    def test_a_release_differs_from_a_delete_and_binds_to_the_tags_it_takes(self) -> None:
        ours = change(Release("/p/a", TagDiff(before={OWNER: "o", RECORD: "r"})), row=Row.DELETE)
        gone = change(Delete("/p/a"), row=Row.DELETE)
        assert effect_of(ours)["tags_removed"] == [OWNER, RECORD]
        assert plan_of(ours).plan_id != plan_of(gone).plan_id

    def test_a_fingerprint_is_over_canonical_json(self) -> None:
        assert fingerprint({"b": 1, "a": "ü"}) == fingerprint({"a": "ü", "b": 1})
        assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_writes_of_a_budget_are_the_calls_that_change_something() -> None:
    budget = Budget(
        {"PutParameter": 2, "AddTagsToResource": 1, "GetParameters": 9, "DeleteParameters": 1}, 1.0
    )
    assert budget.writes == 4
    assert "GetParameters" not in WRITES


def test_an_empty_plan_has_an_id_and_expects_nothing() -> None:
    assert Plan(()).plan_id == fingerprint([])
    assert Plan(()).complete
    assert Preconditions() == Preconditions(None, None, None, None)
    assert not Narrowing()
    assert Narrowing(only=("/a",))
    assert ReplicationPlan("prod", "").complete
