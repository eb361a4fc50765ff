"""Conditions of a write, checked right before it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.apply import checks
from ssm_reconcile.apply.work import ChangeStopped
from ssm_reconcile.change import Create, Delete, Preconditions, Release, TagDiff, Update
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import SECURE, SealedText, Substitution, Value
from ssm_reconcile.report import Result
from tests.builders import COPIED_AT, MADE, change, deletes, desired, store_error
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.apply.context import work


def value(version: int = 1, **more: Any) -> Value:
    given: dict[str, Any] = {"type": "String", "last_modified": MADE, "text": SealedText("v")}
    fields = {**given, **more}
    return Value("/p/a", fields["type"], version, fields["last_modified"], fields["text"])


ONE = change(Create(desired()))


@pytest.mark.parametrize(
    ("version", "seconds", "so"),
    [(1, 0, True), (1, 2, True), (1, -2, True), (1, 2.001, False), (1, -3, False), (2, 0, False)],
)
def test_a_replica_is_as_expected_by_version_and_moment(version: int, seconds: float, *, so: bool) -> None:
    live = value(version, last_modified=COPIED_AT + timedelta(seconds=seconds))
    assert checks.is_as_planned(ONE, live) is so


def test_an_existing_parameter_differs_from_an_expected_absence() -> None:
    absent = replace(ONE, expected=Preconditions(1, MADE))
    assert not checks.is_as_planned(absent, value(last_modified=COPIED_AT))


class TestShaped:
    def ended(self, found: Value | StoreError | None) -> ChangeStopped:
        values = {} if found is None else {"/p/a": found}
        with pytest.raises(ChangeStopped) as end:
            checks.value_to_write(ONE, values)
        return end.value

    def test_it_is_the_value_with_its_rewrites(self) -> None:
        rewritten = replace(ONE, effect=Create(desired(substitutions=(Substitution("v", "w"),))))
        assert checks.value_to_write(rewritten, {"/p/a": value()}).reveal() == "w"

    @pytest.mark.parametrize(("seconds", "fine"), [(2, True), (-2, True), (3, False)])
    def test_it_must_be_of_the_moment_that_the_plan_saw(self, seconds: int, *, fine: bool) -> None:
        late = value(last_modified=MADE + timedelta(seconds=seconds))
        if fine:
            assert checks.value_to_write(ONE, {"/p/a": late}).reveal() == "v"
        else:
            assert self.ended(late).result is Result.STALE

    def test_a_version_that_is_gone_is_stale(self) -> None:
        assert self.ended(None).result is Result.STALE

    def test_a_value_that_cannot_be_read_has_failed(self) -> None:
        end = self.ended(store_error(Trouble.KEY, "GetParameters", "InvalidKeyId"))
        assert (end.result, end.reason) == (
            Result.FAILED,
            "GetParameters: InvalidKeyId - its source value could not be read - do that",
        )

    @pytest.mark.parametrize("kind", [SECURE, "StringList"])
    def test_a_value_of_another_type_is_stale(self, kind: str) -> None:
        assert self.ended(value(type=kind)).result is Result.STALE


class TestSourceValues:
    def test_they_are_read_by_name_and_version_in_one_call(self) -> None:
        aws = SimulatedAws()
        names = [f"/p/{i}" for i in range(10)]
        for name in names:
            aws.put(name, f"old {name}")
            aws.put(name, f"new {name}")
        found = checks.source_values(work(aws), [change(Create(desired(name)), name) for name in names])
        assert {name: one.text.reveal() for name, one in found.items() if isinstance(one, Value)} == {
            name: f"old {name}" for name in names
        }
        (call,) = aws.world.calls
        assert call.names == tuple(f"{name}:1" for name in names)

    def test_they_are_found_by_the_name_of_the_change(self) -> None:
        aws = SimulatedAws()
        aws.put("foo", "v")
        renamed = change(Create(desired("/q/foo", source=desired("foo").source)), "/q/foo")
        assert set(checks.source_values(work(aws), [renamed])) == {"/q/foo"}

    def test_one_that_cannot_be_read_has_its_own_error(self) -> None:
        aws = SimulatedAws()
        for name in ("/p/a", "/p/b"):
            aws.put(name, "v")
        aws.world.faults = at_call("GetParameters", refused(Trouble.KEY), name="/p/b:1")
        both = [change(Create(desired(name)), name) for name in ("/p/a", "/p/b", "/p/gone")]
        found = checks.source_values(work(aws), both)
        assert {name: type(one) for name, one in found.items()} == {"/p/a": Value, "/p/b": StoreError}

    def test_a_place_that_does_not_answer_fails_them_all(self) -> None:
        aws = SimulatedAws()
        aws.world.faults = at_call("GetParameters", refused(Trouble.CREDENTIALS))
        found = checks.source_values(work(aws), [ONE])
        assert isinstance(found["/p/a"], StoreError)


class TestSourceGone:
    def test_only_what_aws_calls_invalid_is_gone(self) -> None:
        aws = SimulatedAws()
        aws.put("/p/d001", "v")
        assert checks.reasons_to_keep(work(aws), deletes(2)) == {"/p/d001": "its source exists"}

    def test_an_error_does_not_prove_absence(self) -> None:
        aws = SimulatedAws()
        aws.world.faults = at_call("GetParameters", refused(Trouble.DENIED))
        found = checks.reasons_to_keep(work(aws), deletes(2))
        assert set(found) == {"/p/d000", "/p/d001"}
        assert "AccessDeniedException" in found["/p/d000"]

    def test_nothing_is_read_where_the_source_may_exist(self) -> None:
        aws = SimulatedAws()
        orphan = change(Delete(None), source_name="/p/a")
        released = change(Release(None, TagDiff()))
        assert checks.reasons_to_keep(work(aws), [orphan, released, ONE]) == {}
        assert aws.world.traffic.count() == 0

    def test_a_name_that_is_asked_without_its_slash_is_understood(self) -> None:
        aws = SimulatedAws()
        aws.put("foo", "v")
        gone = change(Delete("foo"), "foo")
        assert checks.reasons_to_keep(work(aws), [gone]) == {"foo": "its source exists"}


def test_a_source_whose_tags_cannot_be_read_fails_the_change_with_the_condition_that_is_open() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED))
    with pytest.raises(ChangeStopped, match="skip_sync could not be confirmed at the source") as ended:
        checks.check_source(work(aws), ONE)
    assert ended.value.result is Result.FAILED


@pytest.mark.parametrize(("shown", "refused"), [(False, True), (True, False)])
def test_a_secret_is_not_overwritten_by_plain_text_that_the_plan_did_not_show(
    *, shown: bool, refused: bool
) -> None:
    aws = SimulatedAws()
    aws.world.put(aws.there, "/p/a", "hidden", SECURE)
    live = aws.live("/p/a")
    effect = Update(desired(), TagDiff(), put=True)
    expected = Preconditions(1, live.last_modified, live.version, live.last_modified)
    planned = replace(change(effect), expected=expected, exposes=shown)
    if refused:
        with pytest.raises(ChangeStopped, match="it has become a SecureString") as ended:
            checks.check_version(work(aws), planned)
        assert ended.value.result is Result.STALE
    else:
        checks.check_version(work(aws), planned)
