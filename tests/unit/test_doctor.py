"""The doctor: what it finds, what it cannot know, what a run will come to, and that it never writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile import doctor
from ssm_reconcile.cli.doctor import document, text
from ssm_reconcile.doctor import Answer, Check, Diagnosis, Needed
from ssm_reconcile.errors import Finding, Severity, StoreError, Trouble
from ssm_reconcile.model import Access, KeyState, Parameter
from ssm_reconcile.session import Connect
from ssm_reconcile.spec import KeyRule, Run, Source
from ssm_reconcile.stores.base import Settings
from ssm_reconcile.stores.ssm import moment_in
from tests.builders import replication, store_error
from tests.builders import target as target_of
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.traffic import Fault, FaultPlan, refused
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.cli.conftest import SECRET, Cli, aws, cli

__all__ = ["aws", "cli"]


def staged() -> SimulatedAws:
    aws = SimulatedAws(replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),)))
    aws.world.add_key(aws.here, "alias/app")
    aws.world.add_key(aws.there, "alias/app")
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.put("/p/secret", SECRET, "SecureString", key_id="alias/app")
    return aws


def examined(aws: SimulatedAws, run: Run | None = None, connect: Connect | None = None) -> Diagnosis:
    connect = connect or Memory(aws.world).connect
    return doctor.diagnose([aws.spec], connect, run or Run(), aws.clock, unwatched)


def check(found: Diagnosis, where: str, subject: str) -> Check:
    (one,) = [one for one in found.checks if (one.where, one.subject) == (where, subject)]
    return one


def failed(found: Diagnosis) -> list[tuple[str, str]]:
    return [(one.where, one.subject) for one in found.checks if one.answer is Answer.FAILED]


def strike(aws: SimulatedAws, operation: str, region: str, kind: Trouble = Trouble.DENIED) -> None:
    def plan(called: str, place: object, names: tuple[str, ...], nth: int) -> Fault | None:
        return refused(kind) if (called, str(place).split("/")[1]) == (operation, region) else None

    faults: FaultPlan = plan
    aws.world.faults = faults


def test_a_working_setup_has_no_failed_check() -> None:
    found = examined(staged())
    assert failed(found) == []
    assert (found.plan_works, found.apply_works, found.exit_code) == (True, True, 0)
    assert "assumed-role/ssm-reconcile" in check(found, "the source", "identity").message
    assert check(found, "the source", "selection").message == "prod: 2 selected"
    assert check(found, "the source", "default tier").answer is Answer.OK
    assert check(found, "target us-east-2", "key").message.startswith("alias/app is arn:aws:kms:us-east-2")


def test_nothing_is_written_and_no_secret_is_shown() -> None:
    aws = staged()
    found = examined(aws)
    assert aws.world.traffic.writes() == []
    assert SECRET not in text(found) + json.dumps(document(found))


def test_write_permissions_are_reported_as_unknown() -> None:
    one = check(examined(staged()), "target us-east-2", "rights to write")
    assert one.answer is Answer.UNKNOWN
    assert "cannot be tested without writing" in one.message
    assert "ssm:PutParameter" in one.message


@pytest.mark.parametrize(
    ("operation", "region", "where", "subject", "action"),
    [
        ("DescribeParameters", "us-east-1", "the source", "listing", "DescribeParameters"),
        ("DescribeParameters", "us-east-2", "target us-east-2", "listing", "DescribeParameters"),
        ("ListTagsForResource", "us-east-1", "the source", "ssm:ListTagsForResource", "ListTagsForResource"),
        ("GetParameters", "us-east-1", "the source", "ssm:GetParameters", "GetParameters"),
        ("GetParameters", "us-east-2", "target us-east-2", "ssm:GetParameters", "GetParameters"),
    ],
)
def test_a_right_that_is_missing_stops_a_plan_and_is_named(
    operation: str, region: str, where: str, subject: str, action: str
) -> None:
    aws = staged()
    strike(aws, operation, region)
    found = examined(aws)
    one = check(found, where, subject)
    assert one.answer is Answer.FAILED
    assert action in one.message
    assert one.remedy
    assert found.exit_code == 1


@pytest.mark.parametrize("kind", [Trouble.DENIED, Trouble.UNREACHABLE])
def test_tags_one_by_one_are_slow_and_no_failure(kind: Trouble) -> None:
    aws = staged()
    strike(aws, "GetResources", "us-east-1", kind)
    found = examined(aws)
    assert check(found, "the source", "listing").answer is Answer.WARNING
    assert found.exit_code == 0


def test_a_key_that_does_not_decrypt_stops_a_plan_but_not_one_without_decryption() -> None:
    aws = staged()
    aws.world.set_key(aws.here, "alias/app", KeyState.DISABLED)
    found = examined(aws)
    assert check(found, "the source", "kms:Decrypt").answer is Answer.FAILED
    assert found.exit_code == 1
    found = examined(aws, Run(no_decrypt=True))
    assert check(found, "the source", "kms:Decrypt").answer is Answer.UNKNOWN
    assert found.exit_code == 0


def test_a_target_key_that_is_disabled_stops_an_apply_only() -> None:
    aws = staged()
    aws.world.set_key(aws.there, "alias/app", KeyState.DISABLED)
    found = examined(aws)
    assert ("target us-east-2", "key") in failed(found)
    assert (found.plan_works, found.apply_works, found.exit_code) == (True, False, 3)


def test_a_target_key_whose_state_may_not_be_read_is_unknown_and_stops_nothing() -> None:
    aws = staged()
    strike(aws, "DescribeKey", "us-east-2")
    found = examined(aws)
    one = check(found, "target us-east-2", "key")
    assert one.answer is Answer.UNKNOWN
    assert one.message.startswith("alias/app: ")
    assert "kms:DescribeKey" in one.message
    assert (found.plan_works, found.apply_works, found.exit_code) == (True, True, 0)


def test_each_target_key_has_one_check_however_many_parameters_need_it() -> None:
    aws = staged()
    aws.put("/p/secret2", SECRET, "SecureString", key_id="alias/app")
    aws.put("/p/managed", SECRET, "SecureString")
    message = [
        one.message for one in examined(aws).checks if (one.where, one.subject) == ("target us-east-2", "key")
    ]
    assert [line.partition(" is ")[0] for line in message] == ["alias/app", "alias/aws/ssm"]


def test_a_key_that_the_spec_names_by_its_arn_is_named_once() -> None:
    aws = staged()
    (arn,) = check(examined(aws), "target us-east-2", "key").message.split()[2:]
    aws.spec = replace(aws.spec, kms=(KeyRule("alias/app", (("us-east-2", arn),)),))
    assert check(examined(aws), "target us-east-2", "key").message == arn


def test_invalid_parameters_of_a_target_are_reported_once_with_their_number() -> None:
    aws = staged()
    aws.world.set_key(aws.there, "alias/app", KeyState.DISABLED)
    assert check(examined(aws), "target us-east-2", "key").message.endswith("(needed by /p/secret)")
    for name in ("/p/secret2", "/p/secret3"):
        aws.put(name, SECRET, "SecureString", key_id="alias/app")
    assert check(examined(aws), "target us-east-2", "key").message.endswith(
        "(needed by /p/secret and 2 more)"
    )


def test_a_name_that_the_target_cannot_take_stops_an_apply_and_leads_to_explain() -> None:
    aws = staged()
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-11-23T12:30:00Z"}}'
    aws.put("/p/old", "v", tier="Advanced", policies=[policy])
    aws.pass_time()
    found = examined(aws)
    one = check(found, "target us-east-2", "cannot take it: policy")
    assert "explain /p/old" in one.remedy
    assert found.exit_code == 3


def test_a_place_that_does_not_answer_stops_a_plan() -> None:
    aws = staged()

    def connect(access: Access) -> MemoryStore:
        if access.region == "us-east-2":
            raise store_error(Trouble.UNREACHABLE, "GetCallerIdentity")
        return Memory(aws.world).connect(access)

    found = examined(aws, connect=connect)
    assert check(found, "target us-east-2", "identity").answer is Answer.FAILED
    assert found.places["target us-east-2"] == "us-east-2"
    assert examined(staged()).places["target us-east-2"] == "123456789012/us-east-2"
    assert found.exit_code == 1


def test_another_account_and_one_place_twice_are_found() -> None:
    aws = staged()
    aws.spec = replace(
        aws.spec,
        source=replace(aws.spec.source, account="999999999999"),
        targets=(target_of(), target_of("again", access=Access("us-east-2", rates=(("put", 1.0),)))),
    )
    found = examined(aws)
    assert "should be account 999999999999" in check(found, "the source", "account").message
    assert "target us-east-2 are the same place" in check(found, "target again", "account").message
    assert found.exit_code == 1


@pytest.mark.parametrize(
    ("behind", "answer"),
    [
        (2, Answer.OK),
        (-60, Answer.OK),
        (61, Answer.WARNING),
        (-300, Answer.WARNING),
        (301, Answer.FAILED),  # RequestTimeTooSkewed
    ],
)
def test_the_difference_of_clocks_is_reported(behind: int, answer: Answer) -> None:
    aws = staged()

    class Skewed(MemoryStore):
        def settings(self) -> Settings:
            return Settings(moment=aws.clock.now() + timedelta(seconds=behind))

    def connect(access: Access) -> MemoryStore:
        return Skewed(aws.world, aws.world.place(access.region))

    one = check(examined(aws, connect=connect), "the source", "clock")
    assert one.answer is answer
    assert f"{abs(behind)} s apart" in one.message


def test_a_replica_of_another_spec_is_named_by_the_first_name_in_any_order_of_the_listing() -> None:
    aws = staged()
    aws.spec = replace(aws.spec, id="k7m2x9qv4d")
    aws.apply()
    aws.spec = replace(aws.spec, id="h5t8w4p2zc")

    class Reversed(MemoryStore):
        def describe(self) -> Iterator[Sequence[Parameter]]:
            return (page[::-1] for page in super().describe())

    def connect(access: Access) -> MemoryStore:
        return Reversed(aws.world, aws.world.place(access.region))

    message = check(examined(aws, connect=connect), "target us-east-2", "id").message
    assert message == "replicas of another spec named prod: 2, such as /p/a"


def test_settings_that_cannot_be_read_are_no_failure() -> None:
    aws = staged()
    strike(aws, "GetServiceSetting", "us-east-1")
    found = examined(aws)
    one = check(found, "the source", "settings")
    assert one.answer is Answer.UNKNOWN
    assert one.message.startswith("not readable; neither plan nor apply needs them: ")
    assert one.remedy == "optional: allow ssm:GetServiceSetting, and remove any explicit deny of it"
    assert found.exit_code == 0


@pytest.mark.parametrize("rates", [(), (("put", 5.0),)])
def test_settings_that_cannot_be_read_keep_the_default_at_targets_without_a_rate(
    rates: tuple[tuple[str, float], ...],
) -> None:
    aws = staged()
    aws.spec = replace(aws.spec, targets=(target_of(access=Access("us-east-2", rates=rates)),))
    strike(aws, "GetServiceSetting", "us-east-2")
    message = check(examined(aws), "target us-east-2", "settings").message
    use = "neither plan nor apply needs them" if rates else "an apply keeps PutParameter at 3/s without them"
    assert message.startswith(f"not readable; {use}: ")


@pytest.mark.parametrize("on", [True, False])
def test_only_targets_without_a_rate_have_a_line_on_higher_throughput(*, on: bool) -> None:
    aws = staged()
    west = target_of("eu-west-1", access=Access("eu-west-1", rates=(("put", 5.0),)))
    aws.spec = replace(aws.spec, targets=(*aws.spec.targets, west))
    if on:
        aws.world.higher_throughput |= {aws.here, aws.there, aws.place("eu-west-1")}
    found = [one for one in examined(aws).checks if one.subject == "higher throughput"]
    assert [one.where for one in found] == ["target us-east-2"]
    assert found[0].message.startswith("on: an apply uses PutParameter at 10/s" if on else "off: with it")


def test_settings_that_no_right_would_make_readable_name_no_right() -> None:
    aws = staged()

    class Silent(MemoryStore):
        def settings(self) -> Settings:
            return Settings(moment=aws.clock.now(), trouble="GetServiceSetting failed: 500. run again")

    def connect(access: Access) -> MemoryStore:
        return Silent(aws.world, aws.world.place(access.region))

    one = check(examined(aws, connect=connect), "the source", "settings")
    assert (one.answer, one.remedy) == (Answer.UNKNOWN, "")


def test_room_is_counted_with_what_is_still_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = staged()
    aws.world.put(aws.there, "/other", "v")
    assert "Standard: 1 exist, 2 to create" in check(examined(aws), "target us-east-2", "room").message
    monkeypatch.setattr(doctor, "PARAMETER_LIMITS", {"Standard": 3, "Advanced": 9})
    assert check(examined(aws), "target us-east-2", "room").answer is Answer.WARNING
    monkeypatch.setattr(doctor, "PARAMETER_LIMITS", {"Standard": 2, "Advanced": 9})
    found = examined(aws)
    assert check(found, "target us-east-2", "room").answer is Answer.FAILED
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("rates", "message"),
    [((), "2 to create at 3 a second: at least 1 s"), ((("put", 0.01),), "at least 3 min")],
)
def test_the_time_of_a_first_apply_follows_from_the_rate(
    rates: tuple[tuple[str, float], ...], message: str
) -> None:
    aws = staged()
    aim = target_of(access=Access("us-east-2", rates=rates))
    aws.spec = replace(aws.spec, targets=(aim,))
    assert message in check(examined(aws), "target us-east-2", "first apply").message


@pytest.mark.parametrize(
    ("rates", "rate", "is_read"),
    [
        ((), 5, True),
        ((("list_tags", 10.0),), 10, False),
        ((("put", 4.0),), 4, False),
        ((("list_tags", 8.0),), 8, True),
    ],
)
def test_the_time_of_a_first_apply_with_higher_throughput_names_the_reads_of_tags(
    rates: tuple[tuple[str, float], ...], rate: int, *, is_read: bool
) -> None:
    aws = staged()
    aws.world.higher_throughput.add(aws.there)
    source, aim = Source(Access("us-east-1", rates=rates)), target_of(access=Access("us-east-2", rates=rates))
    aws.spec = replace(aws.spec, source=source, targets=(aim,))
    found = examined(aws)
    message = check(found, "target us-east-2", "first apply").message
    assert message.startswith(f"2 to create at {rate} a second: at least ")
    assert ("the limit is ListTagsForResource at the source, not PutParameter at 10" in message) is is_read
    assert ("`rates: {list_tags: 10}` would fit, if its quota allows it" in message) is is_read
    lines = [one.message for one in found.checks if one.subject == "higher throughput"]
    assert lines == ([] if "put" in dict(rates) else ["on: an apply uses PutParameter at 10/s"])


def test_a_first_apply_creates_no_existing_parameter_and_no_invalid_one() -> None:
    aws = staged()
    aws.world.put(aws.there, "/p/a", "v")
    aws.world.set_key(aws.there, "alias/app", KeyState.DISABLED)
    found = examined(aws)
    assert check(found, "target us-east-2", "first apply").message.startswith("0 to create at 3 a second")
    assert "Standard: 1 exist, 0 to create" in check(found, "target us-east-2", "room").message


def test_higher_throughput_of_the_source_changes_no_time_of_a_first_apply() -> None:
    aws = staged()
    aws.world.higher_throughput.add(aws.here)
    message = check(examined(aws), "target us-east-2", "first apply").message
    assert message == "2 to create at 3 a second: at least 1 s"


def test_rules_that_select_nothing_and_a_frozen_target_are_warnings() -> None:
    aws = staged()
    aws.spec = replace(aws.spec, targets=(replace(aws.spec.targets[0], frozen=True),))
    assert check(examined(aws), "target us-east-2", "frozen").answer is Answer.WARNING
    aws.delete("/p/a", "/p/secret")
    assert check(examined(aws), "the source", "selection").answer is Answer.WARNING


def test_the_warnings_of_the_spec_are_among_the_checks() -> None:
    aws = staged()
    warning = Finding(Severity.WARNING, "include-covered", "remove one", "r.yaml:3:5")
    connect = Memory(aws.world).connect
    found = doctor.diagnose([aws.spec], connect, Run(), aws.clock, unwatched, [warning])
    assert check(found, "r.yaml:3:5", "spec: include-covered").answer is Answer.WARNING
    assert found.exit_code == 0


def test_a_place_is_looked_at_once_however_many_replications_use_it() -> None:
    aws = staged()
    connected: list[Access] = []

    def connect(access: Access) -> MemoryStore:
        connected.append(access)
        return Memory(aws.world).connect(access)

    both = [aws.spec, replace(aws.spec, name="other")]
    doctor.diagnose(both, connect, Run(), aws.clock, unwatched)
    assert len(connected) == len(set(connected)) == 2


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ((), 0),
        ((Answer.WARNING, Needed.PLAN), 0),
        ((Answer.UNKNOWN, Needed.APPLY), 0),
        ((Answer.FAILED, Needed.NOTHING), 0),
        ((Answer.FAILED, Needed.APPLY), 3),
        ((Answer.FAILED, Needed.PLAN), 1),
    ],
)
def test_the_exit_code_says_what_will_work(checks: tuple[Answer, Needed] | tuple[()], code: int) -> None:
    every = (Check("x", "y", checks[0], "z", needed_for=checks[1]),) if checks else ()
    assert Diagnosis(every).exit_code == code


def test_the_time_of_an_answer_is_its_date_header() -> None:
    moment = moment_in({"date": "Mon, 23 Nov 2026 12:00:00 GMT"})
    assert moment is not None
    assert moment.isoformat() == "2026-11-23T12:00:00+00:00"
    assert moment_in({}) is None
    assert moment_in({"date": "yesterday"}) is None


Strike = Callable[[SimulatedAws], None]


class TestTheCommand:
    def test_it_says_what_will_work_and_ends_so(self, aws: SimulatedAws, cli: Cli) -> None:
        expected = cli("doctor")
        assert expected.exit_code == 0, expected.output
        assert "A plan will work." in expected.stdout
        assert "target eu-west-1" in expected.stdout
        assert SECRET not in expected.output

    def test_as_json_it_is_alone_on_stdout(self, aws: SimulatedAws, cli: Cli) -> None:
        expected = json.loads(cli("doctor", "--format", "json", "--target", "us-east-2").stdout)
        assert (expected["plan_works"], expected["apply_works"]) == (True, True)
        assert {one["where"] for one in expected["checks"]} == {"the source", "target us-east-2"}

    def test_a_place_that_does_not_answer_is_1(
        self, aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ssm_reconcile.cli import command_run

        def connect(access: Access) -> MemoryStore:
            raise StoreError(
                Trouble.CREDENTIALS, place=access.region, operation="GetCallerIdentity", code="ExpiredToken"
            )

        monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: connect)
        expected = cli("doctor")
        assert expected.exit_code == 1
        assert "ExpiredToken" in expected.stdout
        assert "A plan will NOT work." in expected.stdout
