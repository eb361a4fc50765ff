"""The doctor's verdict and its JSON: what each answer says, and that a schema describes every key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.cli.doctor import document, text
from ssm_reconcile.doctor import Answer, Check, Diagnosis, Needed
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access
from tests.fake_aws import traffic
from tests.fake_aws.store import MemoryStore
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC, Cli, aws, cli

__all__ = ["aws", "cli"]

SCHEMA = json.loads((Path(__file__).parents[2] / "schema" / "doctor.schema.json").read_text(encoding="utf-8"))
PLAN = "A plan will work."
NO_PLAN = "A plan will NOT work."
APPLY = "No check failed that an apply needs; write permissions were not tested."
NO_APPLY = "An apply will NOT work for all parameters."


def check(answer: Answer, needed: Needed = Needed.NOTHING, remedy: str = "do this") -> Check:
    return Check("the source", "listing", answer, "it is so", remedy, needed)


VERDICTS: list[tuple[list[Check], bool, bool, int]] = [
    ([], True, True, 0),
    ([check(Answer.OK, Needed.PLAN), check(Answer.WARNING, Needed.PLAN)], True, True, 0),
    ([check(Answer.UNKNOWN, Needed.PLAN), check(Answer.UNKNOWN, Needed.APPLY)], True, True, 0),
    ([check(Answer.FAILED, Needed.NOTHING)], True, True, 0),
    ([check(Answer.OK, Needed.PLAN), check(Answer.FAILED, Needed.APPLY)], True, False, 3),
    ([check(Answer.FAILED, Needed.PLAN)], False, False, 1),
    ([check(Answer.FAILED, Needed.APPLY), check(Answer.FAILED, Needed.PLAN)], False, False, 1),
]


@pytest.mark.parametrize(("checks", "plan", "apply", "code"), VERDICTS)
def test_text_json_and_exit_code_give_the_same_verdict(
    checks: list[Check], plan: bool, apply: bool, code: int
) -> None:
    found = Diagnosis(tuple(checks))
    assert text(found).splitlines()[-2:] == [PLAN if plan else NO_PLAN, APPLY if apply else NO_APPLY]
    expected = document(found)
    assert (expected["plan_works"], expected["apply_works"]) == (plan, apply)
    assert found.exit_code == code


@pytest.mark.parametrize(
    ("answer", "mark", "remedy"),
    [
        (Answer.OK, "ok    ", False),
        (Answer.WARNING, "!     ", True),
        (Answer.FAILED, "FAILED", True),
        (Answer.UNKNOWN, "?     ", True),
    ],
)
def test_each_answer_has_its_mark_and_a_remedy_unless_all_is_well(
    answer: Answer, mark: str, remedy: bool
) -> None:
    lines = text(Diagnosis((check(answer),))).splitlines()
    assert lines[:2] == ["the source", f"  {mark}  listing: it is so"]
    assert ("          what to do: do this" in lines) is remedy
    assert "what to do" not in text(Diagnosis((check(answer, remedy=""),)))


def test_the_checks_of_a_place_stand_together_and_those_of_the_spec_say_so() -> None:
    checks = [
        Check("the source", "identity", Answer.OK, "us"),
        Check("", "spec: code", Answer.WARNING, "odd"),
        Check("the source", "listing", Answer.OK, "3 parameters"),
    ]
    assert text(Diagnosis(tuple(checks))).splitlines()[:5] == [
        "the spec",
        "  !       spec: code: odd",
        "the source",
        "  ok      identity: us",
        "  ok      listing: 3 parameters",
    ]


@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize("needed", list(Needed))
def test_a_check_as_data_has_every_field_under_its_own_key(answer: Answer, needed: Needed) -> None:
    one = Check("target dr", "key", answer, "alias/app is disabled", "enable it", needed)
    assert document(Diagnosis((one,)))["checks"] == [
        {
            "where": "target dr",
            "subject": "key",
            "answer": answer.value,
            "message": "alias/app is disabled",
            "remedy": "enable it",
            "needed_for": needed.value,
        }
    ]


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without the freedom to have keys that it does not describe."""
    found = {key: closed(value) if isinstance(value, dict) else value for key, value in schema.items()}
    return {**found, "additionalProperties": False} if schema.get("type") == "object" else found


@pytest.mark.parametrize("answer", list(Answer))
@pytest.mark.parametrize("needed", list(Needed))
def test_the_schema_describes_every_key_and_no_other(answer: Answer, needed: Needed) -> None:
    expected = document(Diagnosis((check(answer, needed), check(answer, needed, ""))))
    jsonschema.validate(expected, closed(SCHEMA))
    assert expected.keys() == set(SCHEMA["required"]) == SCHEMA["properties"].keys()
    described = SCHEMA["properties"]["checks"]["items"]
    assert expected["checks"][0].keys() == set(described["required"]) == described["properties"].keys()


def test_the_schema_knows_every_answer_and_what_it_is_needed_for() -> None:
    described = SCHEMA["properties"]["checks"]["items"]["properties"]
    assert described["answer"]["enum"] == [one.value for one in Answer]
    assert described["needed_for"]["enum"] == [one.value for one in Needed]


def refuse(access: Access) -> MemoryStore:
    raise StoreError(
        Trouble.CREDENTIALS, place=access.region, operation="GetCallerIdentity", code="ExpiredToken"
    )


class TestTheCommand:
    def answered(self, cli: Cli, code: int) -> tuple[bool, bool]:
        expected = cli("doctor", "--format", "json")
        assert expected.exit_code == code, expected.output
        found = json.loads(expected.stdout)
        jsonschema.validate(found, closed(SCHEMA))
        return found["plan_works"], found["apply_works"]

    def test_all_is_well(self, aws: SimulatedAws, cli: Cli) -> None:
        assert self.answered(cli, 0) == (True, True)

    def test_the_warnings_of_the_spec_are_checks_and_its_notices_are_not(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        matrix = SPEC.replace("- region: us-east-2", "- regions: [us-east-1, us-east-2]")
        text = matrix.replace('["/app/**"]', '["/app/**", "/app/**"]')
        account = 'region: us-east-1, account: "123456789012" }'
        Path("replication.yaml").write_text(text.replace("region: us-east-1 }", account))
        codes = {code for code in ("source-left-out", "include-covered") if code in cli("validate").output}
        assert codes == {"source-left-out", "include-covered"}
        found = {one["subject"] for one in json.loads(cli("doctor", "--format", "json").stdout)["checks"]}
        assert {one for one in found if one.startswith("spec: ")} == {"spec: include-covered"}

    def test_a_secret_without_a_key_in_the_target_fails_at_an_apply_only(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        here = aws.world.place("us-east-1")
        aws.world.add_key(here, "alias/app")
        aws.world.put(here, "/app/secret", "s", "SecureString", key_id="alias/app")
        assert self.answered(cli, 3) == (True, False)

    def test_a_listing_that_is_denied_fails_at_a_plan(self, aws: SimulatedAws, cli: Cli) -> None:
        aws.world.faults = traffic.at_call("DescribeParameters", traffic.refused(Trouble.DENIED))
        assert self.answered(cli, 1) == (False, False)

    def test_no_place_that_answers_fails_at_a_plan(
        self, aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: refuse)
        assert self.answered(cli, 1) == (False, False)
