"""Changes that a saved plan approves, and changes that it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ssm_reconcile import approve
from ssm_reconcile.change import (
    Change,
    Create,
    Delete,
    Difference,
    Mark,
    Preconditions,
    Row,
    TagDiff,
    Update,
    Withholding,
)
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.documents.encode import saved_plan_document
from ssm_reconcile.errors import PlanRefused, UsageError
from ssm_reconcile.model import SECURE, DesiredParameter, Parameter, Substitution
from ssm_reconcile.plan import Narrowing, Other, Plan, ReplicationPlan, TargetPlan
from ssm_reconcile.record import EXPIRES
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.spec import AdoptMode, Run

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TARGET = TargetPlan("us-east-2", "123456789012/us-east-2", replicas=3)


def parameter(name: str, **given: Any) -> Parameter:
    made = Parameter(name, "String", 3, NOON)
    return replace(made, **given)


def create_with(**different: Any) -> Change:
    desired = DesiredParameter("/app/a", parameter("/app/a"), {"team": "payments"}, "Standard", **different)
    return replace(create(), effect=Create(desired))


def create(name: str = "/app/a", **given: Any) -> Change:
    source = parameter(name, **given)
    desired = DesiredParameter(name, source, {"team": "payments"}, source.tier)
    return Change("prod", "us-east-2", name, Row.CREATE, Create(desired), Preconditions(3, NOON))


def update(**given: Any) -> Change:
    name = "/app/b"
    made = Change(
        "prod",
        "us-east-2",
        name,
        Row.UPDATE,
        Update(DesiredParameter(name, parameter(name), {}, "Standard"), TagDiff()),
        Preconditions(3, NOON, 2, NOON),
        (Difference("value", "1", "2"),),
    )
    return replace(made, **given)


def delete(name: str = "/app/c", **given: Any) -> Change:
    expected = Preconditions(None, None, 4, NOON)
    effect = given.pop("effect", Delete(name))
    return Change("prod", "us-east-2", name, Row.DELETE, effect, expected, **given)


def plan(*changes: Change, **given: Any) -> Plan:
    part = ReplicationPlan("prod", "123456789012/us-east-1", (TARGET,), tuple(changes), selected=3)
    return Plan((replace(part, **given),))


def saved(made: Plan, run: Run = Run(), **given: Any) -> Any:
    """As it comes back from a file."""
    how: dict[str, Any] = {"name": None, "spec_files": ["replication.yaml"]} | given
    document = saved_plan_document(made, tool_version="0.1.0", created=NOON, run=run, **how)
    return read_plan_document(dumps(document))


def words(verdict: approve.Comparison) -> str:
    return "\n".join(line for _, line in verdict.unapproved)


def test_the_same_plan_is_approved_and_nothing_of_it_is_done() -> None:
    verdict = approve.compare([saved(plan(create(), update(), delete()))], plan(create(), update(), delete()))
    assert verdict == approve.Comparison()
    assert verdict.approved


def test_a_change_that_is_no_longer_planned_is_done() -> None:
    verdict = approve.compare([saved(plan(create(), update()))], plan(update()))
    assert verdict.approved
    assert [item.name for item in verdict.done] == ["/app/a"]


def test_a_new_change_is_refused_and_named() -> None:
    verdict = approve.compare([saved(plan(create()))], plan(create(), delete()))
    assert not verdict.approved
    assert words(verdict) == "new: delete /app/c in us-east-2 (prod)"


def test_a_change_is_approved_if_any_of_the_saved_plans_has_it() -> None:
    both = [saved(plan(create())), saved(plan(update()))]
    assert approve.compare(both, plan(create(), update())).approved
    verdict = approve.compare(both, plan(create(), update(), delete()))
    assert words(verdict) == "new: delete /app/c in us-east-2 (prod)"


def test_one_saved_plan_with_the_same_effect_approves_a_change_of_both_plans() -> None:
    newer = update(expected=Preconditions(4, NOON, 2, NOON))
    for both in ([plan(update()), plan(newer)], [plan(newer), plan(update())]):
        assert approve.compare([saved(one) for one in both], plan(newer)).approved
        assert not approve.compare([saved(one) for one in both], plan(newer)).altered


def test_the_same_change_to_another_target_is_a_new_one() -> None:
    elsewhere = replace(create(), target="eu-west-1")
    targets = (TARGET, TargetPlan("eu-west-1", "123456789012/eu-west-1"))
    verdict = approve.compare([saved(plan(create()))], plan(create(), elsewhere, targets=targets))
    assert words(verdict) == "new: create /app/a in eu-west-1 (prod)"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (update(), update(expected=Preconditions(4, NOON, 2, NOON)), "source version 3 became 4"),
        (update(), update(expected=Preconditions(3, NOON, 5, NOON)), "version 2 became 5"),
        (
            update(),
            update(expected=Preconditions(3, NOON + timedelta(seconds=9), 2, NOON)),
            "source last modified other than approved",
        ),
        (update(), update(withheld=(Withholding("max-deletes", ""),)), "withheld now, by max-deletes"),
        (update(withheld=(Withholding("max-deletes", ""),)), update(), "withheld then, to be applied now"),
        (update(), delete("/app/b"), "action update became delete"),
        (create(), create(type="StringList"), "type String became StringList"),
        (create(), create(tier="Advanced"), "tier Standard became Advanced"),
        (create(), create(description="other"), "description other than approved"),
        (create(), create(allowed_pattern="^x$"), "AllowedPattern other than approved"),
        (create(), create(policies=("{}",)), "policies other than approved"),
        (
            update(),
            update(differences=(Difference("tier", "Standard", "Advanced"),)),
            "attributes that differ value became tier",
        ),
        (
            create(),
            replace(
                create(),
                effect=Create(DesiredParameter("/app/a", parameter("/app/a"), {"team": "web"}, "Standard")),
            ),
            "tags to add other than approved",
        ),
        (
            create(),
            replace(
                create(),
                effect=Create(
                    DesiredParameter("/app/a", parameter("/app/z"), {"team": "payments"}, "Standard")
                ),
            ),
            "source /app/a became /app/z",
        ),
        (
            update(),
            update(
                effect=Update(
                    DesiredParameter("/app/b", parameter("/app/b"), {}, "Standard"),
                    TagDiff(),
                    takes_over=True,
                )
            ),
            "takes over no became yes",
        ),
        (
            create(),
            create_with(key_identity="alias/k"),
            "KeyId none became alias/k",
        ),
        (
            create(),
            create_with(substitutions=(Substitution("us-east-1", "us-east-2"),)),
            "key or rewrite rules other than approved",
        ),
        (
            delete(effect=Delete("/app/c", NOON)),
            delete(effect=Delete("/app/c", NOON.replace(minute=1))),
            "end of its mark 2026-11-23T12:00:00Z became 2026-11-23T12:01:00Z",
        ),
        (
            delete(effect=Mark("/app/c", timedelta(days=7))),
            delete(effect=Mark("/app/c", timedelta(days=1))),
            "seconds from its mark to its delete 604800 became 86400",
        ),
    ],
)
def test_an_altered_change_is_refused_in_words(before: Change, after: Change, message: str) -> None:
    verdict = approve.compare([saved(plan(before))], plan(after))
    assert not verdict.approved
    assert message in words(verdict)


def test_the_removal_of_a_mark_is_approved_and_counts_as_done_afterwards() -> None:
    withheld = update(withheld=(Withholding("changed-outside", ""),))
    tags = TagDiff(before={EXPIRES: "mark"})
    effect = Update(withheld.wanted, tags)
    marked = replace(withheld, effect=effect, outdated_mark="mark")
    assert approve.compare([saved(plan(marked))], plan(withheld)).approved
    assert approve.compare([saved(plan(marked))], plan(marked)).approved
    added = words(approve.compare([saved(plan(withheld))], plan(marked)))
    assert added == "altered: update /app/b in us-east-2 (prod): removes its mark no became yes"
    other = replace(withheld, expected=Preconditions(4, NOON, 2, NOON))
    assert not approve.compare([saved(plan(marked))], plan(other)).approved


def test_a_change_that_is_left_names_its_mark_unless_the_plan_does() -> None:
    marked = update(outdated_mark="mark")
    rest = [approve.ComparedChange(*marked.order, "update")]

    def codes(change: Change) -> list[str]:
        return [one.code for one in approve.leave_rest(plan(change), rest).findings]

    assert codes(update()) == ["not-reviewed"]
    assert codes(marked) == ["not-reviewed", "mark-stays"]
    assert codes(replace(marked, withheld=(Withholding("replace", ""),))) == ["not-reviewed", "mark-stays"]
    assert codes(replace(marked, withheld=(Withholding("frozen-target", ""),))) == ["not-reviewed"]


def test_a_target_that_is_another_place_now_is_refused_though_its_changes_are_the_same() -> None:
    moved = replace(TARGET, place="123456789012/eu-west-1")
    verdict = approve.compare([saved(plan(create()))], plan(create(), targets=(moved,)))
    assert "to 123456789012/us-east-2 became from 123456789012/us-east-1 to 123456789012/eu-west-1" in words(
        verdict
    )


def test_another_source_is_refused() -> None:
    verdict = approve.compare([saved(plan(create()))], plan(create(), source="210987654321/us-east-1"))
    assert not verdict.approved


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            plan(others=(Other("prod", "us-east-2", "/app/a", Row.CONFLICT, "conflict", ("not ours",)),)),
            "now conflict; not ours",
        ),
        (plan(targets=(replace(TARGET, complete=False),)), "the listing of its place is incomplete"),
        (plan(source_complete=False), "the listing of its place is incomplete"),
        (plan(targets=()), "no longer in the spec"),
    ],
)
def test_a_change_that_something_prevents_is_dropped_not_done(now: Plan, message: str) -> None:
    verdict = approve.compare([saved(plan(create()))], now)
    assert verdict.approved
    assert not verdict.done
    assert message in str(verdict.dropped[0])


def test_the_pattern_of_a_secret_is_nowhere_in_a_saved_plan() -> None:
    document = saved(plan(create(type=SECURE, allowed_pattern="^hunter2$")))
    assert "hunter2" not in json.dumps(document)


def test_a_saved_plan_brings_its_mode_narrowing_and_adoption_but_no_guard_flag() -> None:
    run = Run(
        no_decrypt=True, targets=("us-east-2",), only=("/app/**",), adopt=AdoptMode.SAME_VALUE,
        allow_replace=True, overwrite_outside=True, allow_empty_source=True, allow_exposure=True,
        max_deletes=0, max_deletes_total=70, max_change_percent=80,
    )  # fmt: skip
    made = replace(plan(create()), narrowing=Narrowing(run.targets, run.only))
    found = approve.run_of(saved(made, run, name="prod", spec_files=["a.yaml", "b.yaml"]))
    assert found.run == Run(
        no_decrypt=True, targets=("us-east-2",), only=("/app/**",), adopt=AdoptMode.SAME_VALUE
    )
    assert found.name == "prod"
    assert found.spec_files == ("a.yaml", "b.yaml")
    assert found.lifted == run


def test_a_guard_flag_that_a_saved_plan_does_not_have_is_not_given() -> None:
    document = saved(plan(create()))
    document["run"]["max_deletes"] = None
    del document["run"]["allow_reversed"]  # as in a plan of an earlier version
    assert approve.run_of(read_plan_document(json.dumps(document))).lifted == Run()


def test_the_id_of_a_saved_plan_is_that_of_its_changes() -> None:
    document = saved(plan(create(), update(), delete()))
    approve.run_of(document)
    document["changes"][0]["effect"]["expected"][0] += 1
    with pytest.raises(UsageError, match="not those of its plan id"):
        approve.run_of(document)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.pop("run"),
        lambda d: d.update(run=[]),
        lambda d: d["run"].update(adopt="please"),
        lambda d: d["run"].update(targets="us-east-2"),
        lambda d: d["run"].update(no_decrypt="yes"),
        lambda d: d["run"].update(name=7),
        lambda d: d["run"].update(max_deletes="many"),
        lambda d: d["run"].update(max_deletes=-1),
        lambda d: d.update(spec_files=[1]),
        lambda d: d["changes"][0].pop("effect"),
        lambda d: d.update(changes=[], summary={}, targets=[{**d["targets"][0], "create": 0}]),
    ],
)
def test_a_damaged_saved_plan_approves_nothing(damage: Any) -> None:
    document = saved(plan(create()))
    damage(document)
    with pytest.raises(UsageError, match=r"cannot be applied|is damaged: `"):
        approve.run_of(read_plan_document(json.dumps(document)))


@pytest.mark.parametrize(
    ("created", "message"),
    [
        ((NOON - timedelta(days=7, minutes=1)).isoformat(), "of 2026-11-16 11:59 UTC is 7.0 days old"),
        ((NOON + timedelta(minutes=6)).isoformat(), "in the future"),
        ("yesterday", "does not say when"),
        (None, "does not say when"),
        ("2026-11-23T12:00:00", "no zone"),
    ],
)
def test_an_approval_that_is_too_old_or_not_yet_is_refused(created: str | None, message: str) -> None:
    with pytest.raises(PlanRefused, match=message):
        approve.check_age(created, NOON, 7, lambda _: "`new`")


@pytest.mark.parametrize("age", [timedelta(days=6, hours=23), timedelta(), timedelta(minutes=-4)])
def test_an_approval_within_its_days_counts_and_clocks_may_differ_a_little(age: timedelta) -> None:
    saved_at = (NOON - age).isoformat()
    approve.check_age(saved_at, NOON, 7, lambda _: "`new`")
    with pytest.raises(PlanRefused, match="days old"):
        approve.check_age(saved_at, NOON + timedelta(days=8), 7, lambda _: "`new`")


def test_an_id_is_named_by_its_beginning_with_or_without_its_kind() -> None:
    made = plan(create())
    for given in (made.plan_id, made.plan_id[:12], f"sha256:{made.plan_id[:20]}", made.plan_id[:12].upper()):
        assert approve.names(made, given)
    assert approve.names(made, made.id_of(made.replications[0])[:12])
    assert not approve.names(made, "0" * 12)
    assert not approve.matches(made.plan_id, made.plan_id[1:20])


def test_the_id_of_one_replication_does_not_name_a_plan_of_two() -> None:
    part = plan(create()).replications[0]
    both = Plan((part, replace(part, name="other", changes=())))
    assert not approve.names(both, both.id_of(part))


@pytest.mark.parametrize("given", ["", "9535f425885", "latest", "9535f4258859g", "a" * 65])
def test_an_invalid_id_is_wrong_usage(given: str) -> None:
    with pytest.raises(UsageError, match="hex digits"):
        approve.matches("9535f4258859", given)
