"""The files and the log of a runner: annotations, outputs, the job summary."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.publishers import runner
from ssm_reconcile.publishers.runner import ANNOTATIONS, annotation_lines, command, findings_in
from ssm_reconcile.report import Result
from tests.unit.renderers import plans

TOP = Path("/top")


def error(message: str, where: str = "") -> Finding:
    return Finding(Severity.ERROR, "a-code", message, where)


def test_a_finding_with_a_position_is_an_annotation_on_its_line() -> None:
    found = annotation_lines([error("wrong", "replication.yaml:3:7")], TOP, TOP)
    assert found == ["::error file=replication.yaml,line=3,col=7,title=a-code::wrong"]


def test_a_path_is_relative_to_the_root_of_the_repository() -> None:
    (line,) = annotation_lines([error("wrong", "prod.yaml:3:7")], TOP / "params", TOP)
    assert "file=params/prod.yaml," in line


def test_a_finding_without_a_position_says_where_in_words() -> None:
    (line,) = annotation_lines([error("too large", "eu-west-1 /shop/a")], TOP, TOP)
    assert line == "::error title=a-code::eu-west-1 /shop/a: too large"


def test_nothing_in_a_message_or_a_property_can_end_a_command() -> None:
    hostile = "a%0Ab\r\n::error::forged"
    line = command("warning", hostile, title="x,line=1:y\n::error::z")
    assert line == ("::warning title=x%2Cline=1%3Ay%0A%3A%3Aerror%3A%3Az::a%250Ab%0D%0A::error::forged")
    assert "\n" not in line


def test_an_annotation_has_at_most_4000_characters_before_they_are_escaped() -> None:
    assert command("error", "%" * 4001) == f"::error::{'%25' * 4000}"


def test_of_a_kind_there_are_ten_and_the_tenth_says_how_many_more() -> None:
    every = [error(f"number {i:02}") for i in range(25)]
    every += [Finding(Severity.WARNING, "w", f"w{i}") for i in range(ANNOTATIONS)]
    lines = annotation_lines(every, TOP, TOP)
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == ANNOTATIONS
    assert errors[-1] == "::error::and 16 more: see the log"
    assert sum(line.startswith("::warning") for line in lines) == ANNOTATIONS
    assert not any("more" in line for line in lines if line.startswith("::warning"))


def test_the_findings_of_a_plan_are_annotations_too() -> None:
    found = findings_in(plans.document_of(plans.twelve()))
    assert [finding.severity for finding in found] == [Severity.ERROR, Severity.WARNING]


def test_the_outputs_of_a_plan_are_its_counts_its_id_and_its_file(tmp_path: Path) -> None:
    plan = plans.twelve()
    outputs = runner.plan_outputs(plans.document_of(plan), tmp_path / "plan.json")
    assert outputs == {
        "changes": "12",
        "create": "5",
        "update": "4",
        "replace": "1",
        "delete": "2",
        "danger": "3",
        "withheld": "0",
        "conflict": "3",
        "detached": "0",
        "invalid": "1",
        "expiring": "0",
        "orphaned": "0",
        "held": "0",
        "plan-id": plan.plan_id,
        "plan-path": str(tmp_path / "plan.json"),
    }


def test_a_change_that_shows_or_returns_a_secret_is_dangerous_too(tmp_path: Path) -> None:
    document = plans.document_of(plans.plan_of([plans.create("eu-west-1", f"/{name}") for name in "abcd"]))
    shown, returned, plain, _ = document["changes"]
    shown["exposes"] = True
    returned["restores"], returned["type"] = 2, "SecureString"
    plain["restores"] = 2
    assert runner.plan_outputs(document, tmp_path / "plan.json")["danger"] == "2"


@pytest.mark.parametrize(
    ("results", "reason"),
    [([Result.APPLIED], ""), ([Result.FAILED], "apply-failed"), ([Result.WITHHELD], "refused")],
)
def test_a_report_says_why_not_all_was_done(results: list[Result], reason: str) -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a")])
    outputs = runner.report_outputs(plans.report_document_of(plans.reported(plan, results)))
    assert outputs["failure-reason"] == reason
    assert outputs["changes"] == "1"


EXPIRED = Finding(Severity.ERROR, "hold-expired", "the hold expired")
INVALID = plans.other("eu-west-1", "/b", Row.INVALID, "invalid", "too large")


@pytest.mark.parametrize(
    ("results", "more", "reason"),
    [
        ([Result.APPLIED], {}, "hold-expired"),
        ([Result.FAILED], {}, "apply-failed"),
        ([Result.APPLIED], {"others": [INVALID]}, "apply-failed"),
        ([Result.APPLIED], {"incomplete": ["us-west-2"]}, "apply-failed"),
        ([Result.APPLIED], {"findings": []}, "apply-failed"),
        ([Result.WITHHELD], {}, "refused"),
    ],
)
def test_an_expired_hold_is_the_reason_only_if_everything_else_was_done(
    results: list[Result], more: dict[str, Any], reason: str
) -> None:
    plan = plans.plan_of([plans.create("eu-west-1", "/a")], **{"findings": [EXPIRED], **more})
    document = plans.report_document_of(plans.reported(plan, results))
    document["exit_code"] = document["exit_code"] or 3
    assert runner.report_outputs(document)["failure-reason"] == reason


@pytest.mark.parametrize(
    ("more", "exit_code", "reason"),
    [
        ({}, 3, "hold-expired"),
        ({}, 0, ""),
        ({}, None, ""),
        ({"changes": [plans.create("eu-west-1", "/a")]}, 3, "plan-failed"),
        ({"others": [INVALID]}, 3, "plan-failed"),
        ({"incomplete": ["us-west-2"]}, 3, "plan-failed"),
        ({"findings": []}, 3, "plan-failed"),
    ],
)
def test_an_expired_hold_is_the_reason_of_a_plan_only_if_nothing_else_is_left(
    more: dict[str, Any], exit_code: int | None, reason: str
) -> None:
    document = plans.document_of(plans.plan_of(**{"changes": [], "findings": [EXPIRED], **more}))
    assert runner.plan_failure_reason(document, exit_code) == reason


def test_an_apply_that_refused_had_another_plan_or_none_at_all() -> None:
    document = plans.report_document_of(plans.reported(plans.plan_of([]), ()))
    for exit_code, plan_id, reason in (
        (4, "1" * 64, "plan-changed"),
        (4, "0" * 64, "refused"),
        (5, "1" * 64, "refused"),
        (130, "1" * 64, "apply-failed"),
    ):
        document["exit_code"], document["plan_id"] = exit_code, plan_id
        outputs = runner.report_outputs(document)
        assert outputs["failure-reason"] == reason


def test_a_value_of_several_lines_cannot_forge_another_output(tmp_path: Path) -> None:
    file = tmp_path / "output"
    runner.write_outputs(file, {"plan-path": "a\nfailure-reason=forged", "changes": "1"})
    first, value, forged, end, last = file.read_text().splitlines()
    assert first == f"plan-path<<{end}"
    assert (value, forged, last) == ("a", "failure-reason=forged", "changes=1")
    assert len(end) > 30


def test_step_outputs_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """In a process of its own: whether the locale counts is decided when Python starts."""
    code = (
        "import sys; from pathlib import Path; from ssm_reconcile.publishers import runner\n"
        r"runner.write_outputs(Path(sys.argv[1]), {'plan-path': '\xe9.json'})"
    )
    file = tmp_path / "output"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", code, str(file)], env=environment, check=True)
    assert file.read_bytes() == "plan-path=é.json\n".encode()


def test_a_summary_is_appended_as_long_as_there_is_room(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    assert runner.summary_space(file) == 900_000
    assert runner.write_summary(file, "x" * 899_990)
    assert not runner.write_summary(file, "é" * 6)
    assert file.stat().st_size == 899_990
    assert runner.write_summary(file, "é" * 5)
