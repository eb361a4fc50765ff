"""`publish` after an apply: people, several pull requests, runs by hand, overtaken runs; check runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.report import Result
from tests.github.content import REPOSITORY, Hub, stamp
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import HEAD, MERGE, NUMBER, SPEC, TOKEN, Cli, save
from tests.unit.renderers import plans

BASE, LATER = "b" * 40, "1a2b3c4" + "0" * 33
APPLY = ".github/workflows/ssm-reconcile.yml"
RESULT = "ssm-reconcile:result"


@pytest.fixture
def merged(hub: Hub, push: None) -> Hub:
    """A push with the pull requests 7 and 8, which change the spec; 7 and 8 have a comment with a plan."""
    Path("replication.yaml").write_text(SPEC)
    Path("event.json").write_text(json.dumps({"before": BASE}))
    second = "c" * 40
    hub.branches["main"] = [BASE, second, MERGE]
    hub.merged_by[second] = [8]
    hub.pulls[8] = hub.pulls[NUMBER] | {"number": 8, "merge_commit_sha": second}
    for sha in (second, MERGE):
        hub.files[sha] = ["replication.yaml"]
    for number in (NUMBER, 8):
        hub.pull_files[number] = [{"filename": "replication.yaml"}]
    hub.add_run("19822345678", APPLY, "push", MERGE)
    return hub


def report(*results: Result, approval: str = "saved-plan") -> str:
    document = plans.report_document_of(plans.reported(plans.twelve(), results or [Result.APPLIED]))
    return save(document | {"approval": approval}, "report.json")


def result_of(hub: Hub, number: int = NUMBER) -> str:
    (comment,) = [c for c in hub.shown(number) if c.body.startswith(f"<!-- {RESULT} ")]
    return comment.body


def approval_file(**more: Any) -> str:
    known = {"environment": "ssm-apply-changed", "approved_by": "bob", "run": 1, "plan_id": "0", **more}
    return save(known, "approval.json")


def reviewed_file() -> str:
    """Save two reviewed plans as `github reviewed` does: of everything, and of one change."""
    Path("reviewed").mkdir()
    save(plans.document_of(plans.twelve()), "reviewed/7.json")
    save(plans.document_of(plans.plan_of([plans.create("eu-west-1", "/of/eight")])), "reviewed/8.json")
    entries = [
        {"pull_request": 7, "file": "7.json", "plan_id": "0", "reviewed_by": ["bob", "carol"]},
        {"pull_request": 8, "file": "8.json", "plan_id": "0", "reviewed_by": []},
    ]
    return save({"plans": entries, "base": BASE}, "reviewed/reviewed.json")


def test_the_result_and_the_summary_name_the_person_who_approved(merged: Hub, cli: Cli) -> None:
    words = ("--plan", save(plans.document_of(plans.twelve())), "--approval", approval_file())
    result = cli("publish", report(Result.APPLIED, Result.FAILED), *words)
    assert result.exit_code == 0, result.stderr
    for text in (result_of(merged), Path("summary.md").read_text()):
        assert "**Applied 6 of 12 changes, as approved by `@bob`**, 6 failed" in text
        assert "as reviewed" not in text


def test_each_result_names_the_reviewers_of_its_own_plan_and_shows_it(merged: Hub, cli: Cli) -> None:
    numbers = ("--pull-request", "7", "--pull-request", "8", "--pull-request", "7")
    result = cli("publish", report(), "--approval", reviewed_file(), *numbers)
    assert result.exit_code == 0, result.stderr
    assert "Applied 12 of 12 changes, as reviewed by `@bob` and `@carol`**" in result_of(merged, 7)
    assert "/of/eight" not in result_of(merged, 7)
    assert "Applied 12 of 12 as reviewed**" in result_of(merged, 8)
    assert "/of/eight" in result_of(merged, 8)
    assert "as reviewed by `@bob` and `@carol`" in Path("summary.md").read_text()


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "null", '{"approved_by": 1}', '{"plans": [{"pull_request": 7}]}', '{"plans": 1}'],
)
def test_a_damaged_file_of_an_approval_is_a_warning_and_names_no_one(
    merged: Hub, cli: Cli, content: str | None
) -> None:
    if content is not None:
        Path("approval.json").write_text(content)
    result = cli("publish", report(), "--approval", "approval.json")
    assert result.exit_code == 0, result.stderr
    assert "::warning::--approval approval.json" in result.stdout
    assert "Applied 12 of 12 as reviewed**" in result_of(merged)


def test_the_plans_beside_a_forged_list_are_the_only_ones_that_are_read(merged: Hub, cli: Cli) -> None:
    Path("secret.json").write_text("{}")
    Path("reviewed").mkdir()
    entry = {"pull_request": 7, "file": "../secret.json", "reviewed_by": []}
    result = cli("publish", report(), "--approval", save({"plans": [entry]}, "reviewed/reviewed.json"))
    assert "--plan reviewed/secret.json cannot be read" in result.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "2 reviewed changes had been done before, or are no longer needed."),
        (("--target", "us-east-2"), "1 reviewed change had been done before, or is no longer needed."),
    ],
)
def test_a_reviewed_create_whose_source_was_deleted_is_not_counted_as_done(
    aws: SimulatedAws, merged: Hub, cli: Cli, words: tuple[str, ...], expected: str
) -> None:
    assert cli("plan", "--out", "plan.json", *words).exit_code == 0
    aws.delete("/app/url")
    result = cli("apply", "plan.json", "--out", "report.json")
    assert result.exit_code == 0, result.stderr
    assert cli("publish", "report.json", "--plan", "plan.json").exit_code == 0
    assert expected in result_of(merged)


@pytest.mark.parametrize("words", [(), ("--refused", "report.json"), ("--unreviewed", "no review")])
def test_a_refusal_and_a_result_are_on_each_pull_request_of_the_push(
    merged: Hub, cli: Cli, words: tuple[str, ...]
) -> None:
    file, plan = report(), save(plans.document_of(plans.twelve()))
    result = cli("publish", plan if words else file, *words)
    assert result.exit_code == 0, result.stderr
    assert facts_of(result_of(merged, 7), RESULT)
    assert result_of(merged, 7) == result_of(merged, 8)


def test_a_comment_that_cannot_be_posted_on_one_pull_request_does_not_stop_the_others(
    merged: Hub, cli: Cli
) -> None:
    merged.pulls[8]["locked"] = True
    result = cli("publish", report())
    assert result.exit_code == 0
    assert "pull request 8 is locked" in result.stdout
    assert "Applied 12 of 12" in result_of(merged, 7)
    merged.pulls[8]["locked"], merged.pulls[7]["locked"] = False, True
    assert cli("publish", report(Result.FAILED), "--comment", "required").exit_code == 1
    assert "Applied 0 of 12" in result_of(merged, 8)


@pytest.fixture
def by_hand(merged: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A run that carol started with a plan id, after a later commit that is not of the spec."""
    monkeypatch.setenv("GITHUB_EVENT_NAME", "workflow_dispatch")
    monkeypatch.setenv("GITHUB_ACTOR", "carol")
    monkeypatch.setenv("GITHUB_TRIGGERING_ACTOR", "carol")
    monkeypatch.setenv("GITHUB_SHA", "9" * 40)
    merged.branches["main"].append("9" * 40)
    merged.files["9" * 40] = ["README.md"]
    return merged


def test_an_apply_by_hand_names_who_started_it_on_the_pull_request_of_the_spec(
    by_hand: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("publish", report(approval="expect-plan")).exit_code == 0
    text = "**Applied 12 of 12 changes by plan id, started by `@carol`**"
    assert text in result_of(by_hand)
    assert text in Path("summary.md").read_text()
    assert not by_hand.shown(8)
    monkeypatch.setenv("GITHUB_TRIGGERING_ACTOR", "dave")
    cli("publish", report(approval="expect-plan"))
    assert "started by `@carol`, and again by `@dave`" in result_of(by_hand)


def test_an_apply_by_hand_of_a_spec_without_a_pull_request_is_in_the_summary_only(
    by_hand: Hub, cli: Cli
) -> None:
    by_hand.merged_by.clear()
    result = cli("publish", report(approval="expect-plan"))
    assert result.exit_code == 0
    assert "No pull request" in result.stderr
    assert "started by `@carol`" in Path("summary.md").read_text()
    assert not by_hand.comments


@pytest.mark.parametrize("approval", ["yes", "saved-plan"])
def test_another_apply_of_a_dispatch_comments_nowhere_and_names_no_one(
    by_hand: Hub, cli: Cli, approval: str
) -> None:
    assert cli("publish", report(approval=approval)).exit_code == 0
    assert "@carol" not in Path("summary.md").read_text()
    assert not by_hand.comments


@pytest.fixture
def overtaken(merged: Hub) -> Hub:
    """A later push has changed the spec; pull request 7 has a comment with a plan."""
    merged.say(NUMBER, '<!-- ssm-reconcile:plan {"v":1,"scope":"prod","spec":"replication.yaml"} -->\n')
    merged.branches["main"].append(LATER)
    merged.files[LATER] = ["replication.yaml"]
    return merged


def test_a_merge_that_was_overtaken_names_the_run_that_took_over(overtaken: Hub, cli: Cli) -> None:
    overtaken.add_run("19822345999", APPLY, "push", LATER)
    result = cli("publish", "--overtaken")
    assert result.exit_code == 0, result.stderr
    text = (
        "**This merge was not applied by this run**: `main` has a newer spec. Nothing was written. The run of"
        " `1a2b3c4` applies it, asks for an approval, or lists its changes as not reviewed:"
        f" [its run](https://github.com/{REPOSITORY}/actions/runs/19822345999)."
    )
    assert text in result_of(overtaken)
    assert text in Path("summary.md").read_text()
    assert not overtaken.shown(8), "a pull request that never had a plan gets no comment"


def test_a_merge_that_was_overtaken_links_to_the_list_of_runs_until_a_later_one_is_known(
    overtaken: Hub, cli: Cli
) -> None:
    assert cli("publish", "--overtaken").exit_code == 0
    assert (
        f"[the list of runs](https://github.com/{REPOSITORY}/actions/workflows/ssm-reconcile.yml)"
        in result_of(overtaken)
    )


def test_a_merge_that_was_overtaken_is_reported_also_without_a_readable_spec(
    overtaken: Hub, cli: Cli
) -> None:
    Path("replication.yaml").write_text("version: [")
    result = cli("publish", "--overtaken", "--comment", "always")
    assert result.exit_code == 0, result.stderr
    assert "**This merge was not applied by this run**" in result_of(overtaken)


def test_the_run_that_took_over_writes_its_result_on_the_pull_request_that_was_overtaken(
    overtaken: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    overtaken.add_run("19822345000", APPLY, "push", BASE)
    overtaken.keep("19822345000", "ssm-report", {"report.json": b"{}"})
    cli("publish", "--overtaken")
    overtaken.add_run("19822345999", APPLY, "push", LATER)
    monkeypatch.setenv("GITHUB_RUN_ID", "19822345999")
    monkeypatch.setenv("GITHUB_SHA", LATER)
    Path("event.json").write_text(json.dumps({"before": MERGE}))
    overtaken.pulls[9] = overtaken.pulls[8] | {"number": 9, "merge_commit_sha": LATER, "merged_at": stamp()}
    overtaken.pull_files[9] = [{"filename": "replication.yaml"}]
    overtaken.merged_by[LATER] = [9]
    result = cli("publish", report())
    assert result.exit_code == 0, result.stderr
    for number in (7, 8, 9):
        assert "Applied 12 of 12" in result_of(overtaken, number)


def test_the_result_of_an_earlier_attempt_stays_when_its_merge_is_overtaken(overtaken: Hub, cli: Cli) -> None:
    cli("publish", report())
    before = result_of(overtaken)
    assert cli("publish", "--overtaken").exit_code == 0
    assert result_of(overtaken) == before


def test_a_refusal_that_waits_for_its_approval_is_replaced_when_its_merge_is_overtaken(
    overtaken: Hub, cli: Cli
) -> None:
    cli("publish", save(plans.document_of(plans.twelve())), "--unreviewed", "no review")
    cli("publish", "--overtaken")
    assert "was not applied by this run" in result_of(overtaken)
    assert "approve" not in result_of(overtaken).replace("asks for an approval", "")


def test_a_merge_that_left_its_branch_is_applied_by_no_run(overtaken: Hub, cli: Cli) -> None:
    overtaken.branches["main"] = [LATER]
    overtaken.branches["old"] = [BASE, MERGE]
    assert cli("publish", "--overtaken").exit_code == 0
    assert "abcdef0` is no longer a part of main" in result_of(overtaken).replace("`abcdef0`", "abcdef0`")
    assert "applies it" not in result_of(overtaken)


def test_a_merge_that_is_current_was_not_overtaken(merged: Hub, cli: Cli) -> None:
    result = cli("publish", "--overtaken")
    assert (result.exit_code, result.stderr) == (0, "The spec of this run is current.\n")
    assert cli("publish", "--overtaken", "-q").stderr == ""
    assert not merged.comments
    assert not Path("summary.md").exists()


@pytest.mark.parametrize(
    ("code", "conclusion"),
    [("0", "success"), ("2", "success"), ("1", "failure"), ("3", "failure"), (None, "failure")],
)
def test_a_check_run_of_the_head_commit_follows_the_exit_code_of_the_plan(
    hub: Hub,
    cli: Cli,
    code: str | None,
    conclusion: str,
) -> None:
    words = () if code is None else ("--plan-exit", code)
    result = cli("publish", save(plans.document_of(plans.twelve())), "--check", "SSM plan", *words)
    assert result.exit_code == 0, result.stderr
    (check,) = hub.check_runs
    assert (check["head_sha"], check["name"], check["conclusion"]) == (HEAD, "SSM plan", conclusion)
    assert check["output"]["title"].startswith("2 deletes, 1 replacement of 12 changes")
    assert f"Check run SSM plan on {HEAD[:7]}: created.\n" in result.stderr


def test_a_failed_plan_is_a_failed_check_run(hub: Hub, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC)
    assert cli("publish", "--failed", "no credentials", "--check", "SSM plan").exit_code == 0
    (check,) = hub.check_runs
    assert (check["conclusion"], check["output"]["title"]) == ("failure", "No plan was made")
    assert "no credentials" in check["output"]["summary"]


def test_a_plan_that_cannot_be_read_is_a_failed_check_run(hub: Hub, cli: Cli) -> None:
    assert cli("publish", "gone.json", "--check", "SSM plan", "--plan-exit", "0").exit_code == 1
    assert hub.check_runs[0]["conclusion"] == "failure"


def test_a_missing_permission_for_check_runs_is_a_warning(hub: Hub, cli: Cli) -> None:
    hub.restrict(TOKEN, {"pull-requests": "write"})
    result = cli("publish", save(plans.document_of(plans.twelve())), "--check", "SSM plan")
    assert result.exit_code == 0
    assert "::warning::no check run: POST" in result.stdout
    assert "checks: write" in result.stdout
    assert not hub.check_runs
    assert hub.comments


def test_without_a_token_the_check_run_and_the_issue_are_missed_with_a_warning(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    plan = save(plans.document_of(plans.twelve()))
    result = cli("publish", plan, "--comment", "never", "--check", "SSM plan", "--issue")
    assert result.exit_code == 0
    for missing in ("check run", "issue on drift"):
        assert f"::warning::no {missing}: there is no GITHUB_TOKEN" in result.stdout
    assert not hub.requests


def test_quiet_keeps_warnings_and_writes_no_progress(hub: Hub, cli: Cli) -> None:
    hub.restrict(TOKEN, {"pull-requests": "write"})
    result = cli("publish", save(plans.document_of(plans.twelve())), "--check", "SSM plan", "-q")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "::warning::no check run" in result.stdout
    assert hub.comments


def test_without_the_option_no_check_run_is_created(hub: Hub, cli: Cli) -> None:
    cli("publish", save(plans.document_of(plans.twelve())))
    assert not hub.check_runs
