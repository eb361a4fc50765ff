"""The context of one target: tags read once, failures that stop the target, records and requests."""

from __future__ import annotations

import pytest

from ssm_reconcile.apply.work import UNREACHABLE_LIMIT, ChangeStopped, SourceTags, put_request, raise_failed
from ssm_reconcile.change import Create
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import ADVANCED, SECURE, SealedText
from ssm_reconcile.record import OWNER, RECORD, SOURCE, Origin, compose_own, digest, key_digest
from ssm_reconcile.report import Result
from tests.builders import COPIED_AT, ID, MADE, NOW, change, desired, parameter, store_error
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.apply.context import work


def source_tags(aws: SimulatedAws) -> SourceTags:
    return SourceTags(MemoryStore(aws.world, aws.here))


class TestSourceTags:
    def test_each_name_is_read_once_whatever_its_slash(self) -> None:
        aws = SimulatedAws()
        aws.put("foo", "v", tags={"t": "1"})
        tags = source_tags(aws)
        assert [dict(tags.of(name) or {}) for name in ("foo", "/foo", "foo")] == [{"t": "1"}] * 3
        assert aws.world.traffic.count("ListTagsForResource") == 1

    def test_a_name_that_is_gone_has_none_and_is_read_once(self) -> None:
        aws = SimulatedAws()
        tags = source_tags(aws)
        assert (tags.of("/p/x"), tags.of("/p/x")) == (None, None)
        assert aws.world.traffic.count() == 1

    def test_an_error_is_raised_to_every_caller(self) -> None:
        aws = SimulatedAws()
        aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED), nth=1)
        tags = source_tags(aws)
        for _ in range(2):
            with pytest.raises(StoreError, match="AccessDenied"):
                tags.of("/p/a")
        assert aws.world.traffic.count() == 1


class TestLearning:
    def test_credentials_that_are_gone_end_the_target_at_once(self) -> None:
        one = work(SimulatedAws())
        one.record_failure(store_error(Trouble.CREDENTIALS, code="ExpiredTokenException"))
        assert one.failure_reason == "PutParameter: ExpiredTokenException. do that"

    def test_an_endpoint_that_is_not_reached_ends_it_after_a_few_times(self) -> None:
        one = work(SimulatedAws())
        for _ in range(UNREACHABLE_LIMIT - 1):
            one.record_failure(store_error(Trouble.UNREACHABLE))
        assert one.failure_reason == ""
        one.record_failure(store_error(Trouble.UNREACHABLE))
        assert "123456789012/us-east-2 cannot be reached" in one.failure_reason

    @pytest.mark.parametrize(
        "kind", [kind for kind in Trouble if kind not in (Trouble.CREDENTIALS, Trouble.UNREACHABLE)]
    )
    def test_other_trouble_is_that_of_one_change(self, kind: Trouble) -> None:
        one = work(SimulatedAws())
        for _ in range(10):
            one.record_failure(store_error(kind))
        assert one.failure_reason == ""


def test_a_failure_is_reported_with_operation_code_and_remedy() -> None:
    with pytest.raises(ChangeStopped) as end:
        raise_failed(store_error(Trouble.REFUSED, code="ValidationException"), doing="it was not written")
    assert end.value.result is Result.FAILED
    assert end.value.reason == "PutParameter: ValidationException - it was not written - do that"
    assert end.value.failure is not None


class TestRecord:
    def test_it_is_of_what_the_plan_expected_not_of_the_listing(self) -> None:
        one = work(SimulatedAws())
        wanted = desired(version=9)
        made = one.record(change(Create(wanted)), 3, Origin.CREATED)
        assert (made.source_version, made.source_modified) == (1, MADE)
        assert (made.version, made.written) == (3, NOW)

    def test_it_names_both_parameters_and_the_key(self) -> None:
        one = work(SimulatedAws())
        wanted = desired(kind=SECURE, key_id="alias/app", key_identity="arn:k")
        made = one.record(change(Create(wanted)), 1, Origin.ADOPTED)
        assert made.own == compose_own(one.place.arn("/p/a"), SECURE, ID)
        assert made.source == digest(one.source.place.arn("/p/a"))
        assert (made.key, made.origin) == (key_digest("arn:k"), Origin.ADOPTED)

    def test_our_tags_carry_todays_owner(self) -> None:
        one = work(SimulatedAws())
        planned = change(Create(desired(source=parameter("/p/a"))), "/q/a")
        made = one.record(planned, 1, Origin.CREATED)
        tags = one.ownership(planned, made)
        assert tags == {OWNER: "prod@123456789012/us-east-1", RECORD: made.text(), SOURCE: "/p/a"}


class TestRequest:
    FULL = parameter(
        kind=SECURE,
        description="d",
        allowed_pattern="p",
        tier=ADVANCED,
        policies=("{}",),
        key_id="alias/app",
        at=COPIED_AT,
    )

    def test_it_is_complete(self) -> None:
        wanted = desired(source=self.FULL, key_id="alias/dr")
        put = put_request(change(Create(wanted), "/q/a"), SealedText("v"), {"t": "1"})
        assert (put.name, put.type, put.overwrite) == ("/q/a", SECURE, False)
        assert (put.description, put.allowed_pattern, put.tier) == ("d", "p", ADVANCED)
        assert (put.policies, put.data_type, put.key_id, put.tags) == (
            ("{}",),
            "text",
            "alias/dr",
            {"t": "1"},
        )

    def test_an_overwrite_carries_no_tags(self) -> None:
        put = put_request(change(Create(desired(source=self.FULL))), SealedText("v"), None)
        assert (put.overwrite, put.tags) == (True, None)

    def test_a_plain_value_carries_no_key(self) -> None:
        wanted = desired(key_id="alias/dr")
        assert put_request(change(Create(wanted)), SealedText("v"), None).key_id is None

    def test_it_does_not_show_the_value(self) -> None:
        assert "hunter2" not in repr(put_request(change(Create(desired())), SealedText("hunter2"), None))


def test_a_note_says_of_which_address_it_is() -> None:
    one = work(SimulatedAws())
    one.warn("some-code", change(Create(desired())), "something")
    (finding,) = one.findings
    assert (finding.code, finding.where, finding.message) == (
        "some-code",
        "us-east-2 /p/a",
        "/p/a: something",
    )
