"""The sentences of refusals and failures are true in each place that shows them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Result
from tests.github.content import Hub
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import NUMBER, SPEC, Cli, save
from tests.unit.renderers import plans
from tests.unit.renderers.shapes import large_plan

Texts: TypeAlias = dict[str, str]
PROMISE = "Applied on merge"


def texts(hub: Hub) -> Texts:
    """Return the last comment on the pull request, the job summary and the issue."""
    found = {"comment": hub.shown(NUMBER)[-1].body} if hub.shown(NUMBER) else {}
    if hub.issues:
        found["issue"] = hub.issues[-1].body
    return found | {"summary": Path("summary.md").read_text()}


@cache
def large() -> Plan:
    """Return a plan whose names have no room in a comment."""
    return large_plan("long names", 400)


def plan_file(*, is_large: bool = False) -> str:
    return save(plans.document_of(large() if is_large else plans.twelve()))


def refused_report() -> str:
    document = plans.report_document_of(plans.reported(plans.twelve(), [Result.NOT_ATTEMPTED]))
    text = "the saved plan does not cover 2 changes of the current plan: read the current plan"
    finding = {"severity": "error", "code": "plan-changed", "message": text, "where": "", "replication": ""}
    return save(document | {"findings": [finding], "exit_code": 4}, "refused.json")


def stopped_report() -> str:
    document = plans.report_document_of(plans.reported(plans.plan_of([])))
    finding = {"severity": "error", "code": "no-access", "message": "Denied", "where": "", "replication": ""}
    changes: dict[str, Any] = {"replications": [], "targets": [], "exit_code": 1, "plan_id": "0" * 64}
    return save(document | changes | {"findings": [finding]}, "report.json")


@pytest.mark.parametrize("words", [lambda: ("--refused", refused_report()), lambda: ("--unreviewed", "none")])
def test_a_refusal_has_its_plan_and_id_below_and_promises_nothing(
    hub: Hub, cli: Cli, push: None, words: Callable[[], tuple[str, ...]]
) -> None:
    assert cli("publish", plan_file(), *words()).exit_code == 0
    for place, text in texts(hub).items():
        notice, below = text.split("Below is the plan, with its id in the last line.")
        assert "**Not applied**" in notice, place
        assert "> **Delete: " in below, place
        assert "<sub>Plan `" in below.rstrip().split("\n")[-1], place
        assert "above" not in notice, place
        assert PROMISE not in text, place


@pytest.mark.parametrize("is_large", [False, True])
def test_a_plan_of_a_pull_request_promises_and_says_where_the_rest_is(
    hub: Hub, cli: Cli, is_large: bool
) -> None:
    cli("publish", plan_file(is_large=is_large), "--issue")
    found = texts(hub)
    assert f"{PROMISE} only as it is shown here." in found["comment"]
    assert f"{PROMISE} only as it is shown here." in found["summary"]
    rest = "are in the run summary and in the saved plan ([artifacts of the run]"
    assert (rest in found["comment"]) is is_large


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch", "repository_dispatch"])
def test_a_plan_outside_of_a_pull_request_promises_nothing(
    hub: Hub, cli: Cli, push: None, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_EVENT_NAME", event)
    cli("publish", plan_file(), "--issue", "--comment", "always")
    for place, text in texts(hub).items():
        assert PROMISE not in text, place


def test_an_issue_names_no_artifact_which_its_run_does_not_have(hub: Hub, cli: Cli, push: None) -> None:
    cli("publish", plan_file(is_large=True), "--issue", "--comment", "never")
    issue = texts(hub)["issue"]
    assert "The attributes of each change are in the run summary." in issue
    assert "artifacts" not in issue


def test_a_long_result_names_the_run_that_made_the_plan(hub: Hub, cli: Cli, push: None) -> None:
    report = save(plans.report_document_of(plans.reported(large())), "report.json")
    cli("publish", report, "--plan", plan_file(is_large=True))
    comment = texts(hub)["comment"]
    where = "are in the summary of the run that made the plan and in the saved plan of that run."
    assert where in comment
    assert "artifacts of the run" not in comment


def test_a_failed_plan_of_a_pull_request_says_that_its_older_plan_is_out_of_date(hub: Hub, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC)
    cli("publish", plan_file())
    cli("publish", "--failed", "no credentials")
    for place, text in texts(hub).items():
        assert "An older plan of this pull request is out of date." in text, place
        assert "in this comment" not in text, place


def test_an_apply_that_stopped_before_its_plan_wrote_nothing_and_outdates_no_plan(
    hub: Hub, cli: Cli, push: None
) -> None:
    Path("replication.yaml").write_text(SPEC)
    cli("publish", stopped_report())
    for place, text in texts(hub).items():
        assert "**This run stopped before it had a plan.** Nothing was written." in text, place
        assert "out of date" not in text, place
        assert "SSM plan for" not in text, place


@pytest.mark.parametrize("words", [("--failed", "no credentials"), ("gone.json",)])
def test_a_run_whose_result_is_unknown_does_not_say_that_nothing_was_written(
    hub: Hub, cli: Cli, push: None, words: tuple[str, ...]
) -> None:
    Path("replication.yaml").write_text(SPEC)
    cli("publish", *words)
    for place, text in texts(hub).items():
        assert "**This run has no result.** Its log has the details." in text, place
        assert "Nothing was written" not in text, place
        assert "out of date" not in text, place


def test_the_remedy_of_a_refused_apply_is_true_wherever_its_report_is_shown(
    aws: SimulatedAws, cli: Cli
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    aws.put("/app/more", "new")
    for words in (("plan.json",), ("--expect-plan", "0" * 12)):
        result = cli("apply", *words, "--out", "report.json")
        assert result.exit_code == 4
        assert "read the current plan" in result.stderr
        shown = cli("show", "report.json", "--format", "markdown").stdout
        assert "read the current plan" in shown
        assert "above" not in shown
