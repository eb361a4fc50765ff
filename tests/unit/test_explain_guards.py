"""The flags that an explanation gives for withheld changes: each change has those that it needs itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Change, Difference, Mark, Row
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.explain.remedies import GuardLifts
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.spec import Limits, Replication, Run
from tests.builders import change, deletes, part, releases, replaces, replication, target, updates

ONE = "`ssm-reconcile apply --target us-east-2 --only /p/u000"
BEFORE = "to apply it: `ssm-reconcile apply --target us-east-2"
OF_TYPE = (Difference("type", "String", "SecureString"),)


def flags(
    plan: ReplicationPlan, spec: Replication | None = None, run: Run | None = None, **rules: Any
) -> dict[str, str]:
    """Return the remedies of the withheld changes by name, without the text that all of them have."""
    spec = spec or replication()
    judged = withhold_changes(plan, GuardRules(spec, run or Run(), **rules))
    lifts = GuardLifts(judged, spec, CommandLine())
    found = {one.name: lifts.remedies(one) for one in judged.changes if one.withheld}
    return {name: " ".join(texts).removeprefix(BEFORE).strip(" `") for name, texts in found.items()}


def test_a_change_of_type_needs_more_than_another_one_that_is_withheld_alike() -> None:
    of_type, of_value = updates(2, changed_outside=True)
    of_type = replace(of_type, differences=OF_TYPE)
    assert flags(part(of_type, of_value), replication(limits=Limits(max_deletes=0))) == {
        of_type.name: f"--only {of_type.name} --overwrite-outside --max-deletes 1 --allow-replace",
        of_value.name: f"--only {of_value.name} --overwrite-outside",
    }


def test_a_change_of_type_that_may_replace_counts_as_a_delete() -> None:
    """Its command allows a replacement, and the limit on deletes must let that one through."""
    spec = replication(limits=Limits(max_deletes=0))
    (of_type,) = updates(1, differences=OF_TYPE)
    lifts = GuardLifts(withhold_changes(part(of_type), GuardRules(spec)), spec, CommandLine())
    line = "`ssm-reconcile apply --target us-east-2 --only /p/u000 --max-deletes 1 --allow-replace`"
    assert lifts.remedies(of_type) == [f"if AWS refuses the type in place: {line}"]


def test_a_replacement_needs_a_flag_that_a_delete_does_not_need() -> None:
    (delete, *others), (replacement,) = deletes(11), replaces(1)
    found = flags(part(delete, *others, replacement), run=Run(allow_replace=True))
    assert found[delete.name] == "--only /p/d000 --max-deletes 12"
    assert found[replacement.name] == "--max-deletes 12 --allow-replace"


def marks(count: int, prefix: str, *, releases: bool) -> list[Change]:
    names = [f"{prefix}{n:03}" for n in range(count)]
    return [change(Mark(name, timedelta(days=2), releases), name, row=Row.EXPIRING) for name in names]


@pytest.mark.parametrize(
    "changes",
    [
        (*deletes(11), *releases(1)),
        (*releases(1), *deletes(11)),
        (*marks(11, "/p/d", releases=False), *marks(1, "/p/l", releases=True)),
        (*marks(1, "/p/l", releases=True), *marks(11, "/p/d", releases=False)),
    ],
)
def test_a_release_needs_no_flag_for_the_deletes_that_are_withheld_with_it(changes: list[Change]) -> None:
    found = flags(part(*changes, selected=0))
    assert found["/p/d000"] == "--allow-empty-source --max-deletes 11"
    assert found["/p/l000"] == "--only /p/l000 --allow-empty-source"


def test_each_target_has_its_own_flags() -> None:
    plan = part(*deletes(30), *deletes(25, "/p/eu", target="eu"))
    eu = TargetPlan("eu", "123456789012/eu-west-1", replicas=100)
    found = flags(
        replace(plan, targets=(*plan.targets, eu)),
        replication(targets=(target(), target("eu", region="eu-west-1"))),
    )
    assert found["/p/d000"] == "--max-deletes 30"
    assert found["/p/eu000"].endswith("--target eu --max-deletes 25")


@pytest.mark.parametrize(("exposes", "more"), [(False, ""), (True, " --allow-exposure")])
def test_a_frozen_target_is_thawed_and_the_limits_of_its_other_changes_do_not_count(
    exposes: bool, more: str
) -> None:
    frozen = replication(targets=(target(frozen=True),))
    found = flags(part(*updates(20, exposes=exposes), replicas=20, target={"frozen": True}), frozen)
    line = f"ssm-reconcile apply --target us-east-2 --only /p/u000{more}"
    assert found["/p/u000"] == f"set `frozen: false` at target us-east-2, then `{line}"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (100, "--max-change-percent 100"),
        (101, f"no flag lifts the limit for that many changes; a single change is not withheld: {ONE}"),
    ],
)  # fmt: skip
def test_a_flag_lets_at_most_as_many_changes_through_as_there_are_replicas(count: int, text: str) -> None:
    assert flags(part(*updates(count), replicas=100))["/p/u000"] == text


def test_many_changes_of_type_are_let_through_as_any_other_changes() -> None:
    found = flags(part(*updates(50, differences=OF_TYPE)))
    assert set(found.values()) == {"--max-change-percent 50"}


def test_a_limit_on_all_targets_is_raised_for_all_deletes() -> None:
    found = flags(part(*deletes(6)), replication(limits=Limits(max_deletes_total=5)))
    assert set(found.values()) == {"--max-deletes-total 6"}


def test_a_parameter_that_is_taken_over_is_not_replaced() -> None:
    (taken,) = updates(1, row=Row.CONFLICT, differences=OF_TYPE, exposes=True)
    assert flags(part(taken)) == {taken.name: "--only /p/u000 --allow-exposure"}


def test_changes_that_stay_withheld_do_not_count() -> None:
    unconfirmed = {("us-east-2", "/p/d012"): "its tags could not be read"}
    found = flags(part(*deletes(13)), unconfirmed=unconfirmed)
    assert (found["/p/d000"], found["/p/d012"]) == ("--only /p/d000 --max-deletes 12", "")
