"""`publish`, from the command line to the pull request, the summary, the outputs and the annotations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.renderers.markdown import SUMMARY_BUDGET
from ssm_reconcile.report import Result
from tests.github.content import Hub
from tests.unit.cli.conftest import HEAD, MERGE, NUMBER, SPEC, TOKEN, Cli, outputs, save
from tests.unit.publishers.conftest import renamed
from tests.unit.renderers import plans


def test_a_plan_is_in_the_comment_the_summary_the_outputs_and_on_the_lines(hub: Hub, cli: Cli) -> None:
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0, result.stderr
    (comment,) = hub.comments
    assert facts_of(comment.body.replace("replication", "replication"))
    assert "12 changes in 3 regions" in comment.body
    assert "[SSM plan &#35;214](https://github.com/acme/params/actions/runs/19822345678)" in comment.body
    assert "12 changes in 3 regions" in Path("summary.md").read_text()
    assert outputs()["changes"] == "12"
    assert outputs()["failure-reason"] == ""
    assert outputs()["plan-path"] == str(Path("plan.json").absolute())
    assert result.stdout.startswith("::error title=size::")
    assert "posted" in result.stderr


@pytest.mark.parametrize("is_full", [False, True])
def test_only_a_full_job_summary_is_a_warning(hub: Hub, cli: Cli, *, is_full: bool) -> None:
    before = "x" * SUMMARY_BUDGET * is_full
    Path("summary.md").write_text(before)
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0
    assert ("::warning::the job summary is full" in result.stdout) is is_full
    assert (Path("summary.md").read_text() == before) is is_full
    assert "12 changes" in hub.comments[0].body


def test_a_missing_permission_is_a_warning_and_the_summary_is_written(hub: Hub, cli: Cli) -> None:
    hub.denied.add("comment")
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0
    assert "::warning::no comment on the pull request" in result.stdout
    assert "12 changes" in Path("summary.md").read_text()


def test_a_missing_required_comment_is_an_error(hub: Hub, cli: Cli) -> None:
    hub.denied.add("comment")
    result = cli("publish", save(plans.document_of(plans.twelve())), "--comment", "required")
    assert result.exit_code == 1
    assert "pull-requests: write" in result.stderr
    assert TOKEN not in result.output


def test_github_in_trouble_does_not_decide_the_run(hub: Hub, cli: Cli) -> None:
    hub.fail("GET", "comments$", 422, times=9)
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0
    assert "::warning::no comment" in result.stdout


def test_never_is_never(hub: Hub, cli: Cli) -> None:
    assert cli("publish", save(plans.document_of(plans.twelve())), "--comment", "never").exit_code == 0
    assert not hub.requests
    assert Path("summary.md").exists()


def test_without_a_token_there_is_a_warning(hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0
    assert "there is no GITHUB_TOKEN" in result.stdout
    assert not hub.requests


def test_outside_of_github_there_is_nothing_to_publish_to(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EVENT_PATH", "EVENT_NAME", "STEP_SUMMARY", "OUTPUT", "REPOSITORY", "TOKEN"):
        monkeypatch.delenv(f"GITHUB_{name}")
    result = cli("publish", save(plans.document_of(plans.in_sync())))
    assert result.exit_code == 0
    assert "No pull request" in result.stderr


def test_another_pull_request_can_be_named(hub: Hub, cli: Cli) -> None:
    hub.pulls[99] = hub.pulls[NUMBER] | {"number": 99}
    cli("publish", save(plans.document_of(plans.twelve())), "--pull-request", "99")
    assert [comment.number for comment in hub.comments] == [99]


def test_a_failed_plan_is_published_for_every_replication_of_the_spec(hub: Hub, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC)
    result = cli("publish", "--failed", "Error: AccessDenied\n  What to do: @team, look")
    assert result.exit_code == 0
    (comment,) = hub.comments
    facts = facts_of(comment.body)
    assert facts is not None
    assert (facts["scope"], facts["state"]) == ("prod", "failed")
    assert "AccessDenied" in comment.body
    assert outputs()["failure-reason"] == "plan-failed"
    assert "This run made no plan" in Path("summary.md").read_text()


@pytest.mark.parametrize("content", [None, "", "{", '{"format_version": "1.0"', "[]"])
def test_a_plan_file_that_cannot_be_read_is_a_failed_plan_and_an_error(
    hub: Hub, cli: Cli, content: str | None
) -> None:
    if content is not None:
        Path("plan.json").write_text(content)
    result = cli("publish", "plan.json")
    assert result.exit_code == 1
    assert "Error: plan.json" in result.stderr
    (comment,) = hub.comments
    assert "This run made no plan" in comment.body


def test_a_report_of_a_refusal_that_cannot_be_read_is_an_error_about_that_file(hub: Hub, cli: Cli) -> None:
    result = cli("publish", save(plans.document_of(plans.twelve())), "--refused", "gone.json")
    assert result.exit_code == 1
    assert "Error: gone.json cannot be read" in result.stderr


def test_a_plan_of_a_report_that_cannot_be_read_is_a_warning(hub: Hub, cli: Cli) -> None:
    result = cli("publish", "--failed", "no credentials", "--plan", "gone.json")
    assert result.exit_code == 0
    assert "--plan gone.json cannot be read" in result.stdout


def test_the_failure_of_an_unreadable_spec_updates_the_existing_comments(hub: Hub, cli: Cli) -> None:
    cli("publish", save(plans.document_of(plans.twelve())))
    Path("replication.yaml").write_text("version: [")
    cli("publish", "--failed", "the spec is broken")
    (comment,) = hub.comments
    assert "the spec is broken" in comment.body


def test_a_reason_is_inert(hub: Hub, cli: Cli) -> None:
    cli("publish", "--failed", "```\n@team <script> \x1b[31m\u202e\n" + "line\n" * 500)
    (comment,) = hub.comments
    fence = next(line for line in comment.body.splitlines() if line.startswith("````"))
    assert comment.body.count(fence.removesuffix("text")) >= 2
    assert "\x1b" not in comment.body
    assert "\u202e" not in comment.body
    assert len(comment.body) < 5000


def test_after_the_merge_a_second_comment_on_the_pull_request_has_the_report(
    hub: Hub, cli: Cli, request: pytest.FixtureRequest
) -> None:
    plan = save(plans.document_of(plans.twelve()))
    cli("publish", plan)
    request.getfixturevalue("push")
    report = save(plans.report_document_of(plans.reported(plans.twelve())), "report.json")
    result = cli("publish", report, "--plan", plan)
    assert result.exit_code == 0, result.stderr
    _shown, comment = hub.comments
    assert "Applied 12 of 12 as reviewed" in comment.body
    assert "Applied 12 of 12" in Path("summary.md").read_text()
    assert outputs()["failure-reason"] == "apply-failed", (
        "there are conflicts: not all that is asked for holds"
    )


def test_an_incomplete_apply_is_in_the_comment_and_in_the_failure_reason(
    hub: Hub, cli: Cli, push: None
) -> None:
    plan = save(plans.document_of(plans.twelve()))
    document = plans.report_document_of(plans.reported(plans.twelve(), [Result.APPLIED, Result.FAILED]))
    cli("publish", save(document, "report.json"), "--plan", plan)
    (comment,) = hub.comments
    assert "Applied 6 of 12" in comment.body
    assert "TooManyUpdates" in comment.body
    assert outputs()["failure-reason"] == "apply-failed"


def test_a_refused_apply_shows_the_new_plan_and_the_difference(hub: Hub, cli: Cli, push: None) -> None:
    document = plans.report_document_of(plans.reported(plans.twelve(), [Result.NOT_ATTEMPTED]))
    lines = ["new: create /shop/@new in eu-west-1 (prod)", "the saved plan does not cover 2 changes"]
    document["findings"] += [
        {"severity": "error", "code": "plan-changed", "message": text, "where": "", "replication": ""}
        for text in lines
    ]
    document["findings"][-2]["about"] = [{"target": "eu-west-1", "name": "/shop/@new"}]
    document["exit_code"] = 4
    refused = save(document, "report.json")
    cli("publish", save(plans.document_of(plans.twelve())), "--refused", refused)
    (comment,) = hub.comments
    assert "**Not applied**: the saved plan does not cover 2 changes. Nothing was written." in comment.body
    assert "\nnew: create /shop/@new in eu-west-1 (prod)\n" in comment.body
    assert "12 changes in 3 regions" in comment.body
    assert outputs()["failure-reason"] == "plan-changed"


def test_an_apply_that_stopped_before_the_plan_is_published_as_a_failure(
    hub: Hub, cli: Cli, push: None
) -> None:
    document = plans.report_document_of(plans.reported(plans.plan_of([])))
    document |= {"replications": [], "targets": [], "exit_code": 1, "plan_id": "0" * 64}
    finding = {
        "severity": "error",
        "code": "no-access",
        "message": "AccessDenied",
        "where": "",
        "replication": "",
    }
    document["findings"] = [finding]
    plan = save(plans.document_of(plans.twelve()))
    cli("publish", save(document, "report.json"), "--plan", plan)
    (comment,) = hub.comments
    assert "AccessDenied" in comment.body
    assert outputs()["failure-reason"] == "apply-failed"


def publication(folder: str = "plan") -> dict[str, Any]:
    return dict(json.loads((Path(folder) / "publication.json").read_text()))


def test_the_posted_comment_is_saved_word_for_word_with_its_id_and_time(hub: Hub, cli: Cli) -> None:
    document = plans.document_of(plans.twelve())
    payload = {"pull_request": {"number": NUMBER, "head": {"sha": HEAD}, "base": {"sha": MERGE}}}
    Path("event.json").write_text(json.dumps(payload))
    result = cli("publish", save(document), "--save", "plan")
    assert result.exit_code == 0, result.stderr
    (comment,) = hub.comments
    assert (Path("plan") / "comment.md").read_text() == comment.body
    assert publication() == {
        "format_version": "1.0",
        "spec": "replication.yaml",
        "pull_request": NUMBER,
        "head": HEAD,
        "base": MERGE,
        "comments": [
            {
                "scope": "prod",
                "file": "comment.md",
                "comment": comment.id,
                "plan": f"sha256:{document['plan_id']}",
                "first_posted": comment.updated,
                "updated": comment.updated,
            }
        ],
    }


def test_a_comment_that_shows_this_plan_of_this_run_already_is_saved_as_it_is(hub: Hub, cli: Cli) -> None:
    plan = save(plans.document_of(plans.twelve()))
    cli("publish", plan)
    (comment,) = hub.comments
    comment.updated = "2026-11-20T10:00:00Z"
    cli("publish", plan, "--save", "plan")
    assert comment.edits == 0
    assert publication()["comments"][0]["comment"] == comment.id
    assert publication()["comments"][0]["first_posted"] == "2026-11-20T10:00:00Z"


def test_a_comment_whose_post_had_no_answer_is_saved_with_its_id(hub: Hub, cli: Cli) -> None:
    hub.fail("POST", "comments$", 502, done=True)
    cli("publish", save(plans.document_of(plans.twelve())), "--save", "plan")
    (comment,) = hub.comments
    assert publication()["comments"][0]["comment"] == comment.id


def test_each_replication_has_its_saved_comment_in_a_file_with_a_safe_name(hub: Hub, cli: Cli) -> None:
    document = plans.document_of(plans.twelve())
    (part,) = document["replications"]
    document["replications"] = [{**part, "name": name} for name in ("prod", "a/../b")]
    result = cli("publish", save(document), "--comment", "always", "--save", "plan")
    assert result.exit_code == 0, result.stderr
    bodies = {comment.body for comment in hub.comments}
    assert sorted(path.name for path in Path("plan").iterdir()) == [
        "comment.a%2F..%2Fb.md", "comment.prod.md", "publication.json",
    ]  # fmt: skip
    assert {path.read_text() for path in Path("plan").glob("*.md")} == bodies


def test_without_the_permission_to_comment_nothing_is_saved(hub: Hub, cli: Cli) -> None:
    hub.denied.add("comment")
    assert cli("publish", save(plans.document_of(plans.twelve())), "--save", "plan").exit_code == 0
    assert not Path("plan").exists()


def test_only_a_run_of_a_pull_request_saves_what_it_posts(hub: Hub, cli: Cli, push: None) -> None:
    result = cli("publish", save(plans.document_of(plans.twelve())), "--save", "plan")
    assert result.exit_code == 64
    assert "not a run of a pull request" in result.stderr
    assert hub.comments == []


def test_a_run_whose_branch_has_a_newer_spec_fails(hub: Hub, cli: Cli, push: None) -> None:
    Path("replication.yaml").write_text(SPEC)
    assert cli("publish", "--current").exit_code == 0
    hub.branches["main"].append("2" * 40)
    hub.files["2" * 40] = ["replication.yaml"]
    result = cli("publish", "--current")
    assert result.exit_code == 1
    assert "main has changed replication.yaml since abcdef0" in result.stderr


@pytest.mark.parametrize(
    "words", [(), ("a.json", "--failed", "x"), ("--failed", "x", "--reviewed", "y"), ("a", "--current")]
)
def test_one_thing_at_a_time(hub: Hub, cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("publish", *words).exit_code == 64


def test_an_environment_that_cannot_be_is_wrong_usage(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "no slash")
    assert cli("publish", "--failed", "x").exit_code == 64


def test_validate_annotates_the_lines_of_the_spec_in_a_runner_and_on_demand(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("replication.yaml").write_text(SPEC.replace("delete:", "delte:"))
    result = cli("validate")
    assert result.exit_code == 1
    assert "::error file=replication.yaml,line=8,col=1,title=unknown-property::" in result.stderr
    assert "::" not in result.stdout
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in cli("validate").stderr
    result = cli("validate", "--format", "github")
    assert all(line.startswith("::error ") for line in result.stdout.splitlines())


def test_validate_keeps_its_json_clean_in_a_runner(hub: Hub, cli: Cli) -> None:
    Path("replication.yaml").write_text("version: 2\n")
    assert json.loads(cli("validate", "--format", "json").stdout)["valid"] is False


@pytest.mark.parametrize(
    ("ref", "narrowed", "state"),
    [
        ("refs/heads/main", {}, "closed"),
        ("refs/heads/topic", {}, "open"),
        ("refs/tags/main", {}, "open"),
        ("refs/heads/main", {"targets": ["eu-west-1"]}, "open"),
        ("refs/heads/main", {"only": ["/shop/*"]}, "open"),
    ],
)
def test_only_a_whole_run_of_the_default_branch_closes_an_issue_on_drift(
    hub: Hub, cli: Cli, push: None, monkeypatch: pytest.MonkeyPatch, ref: str, narrowed: Any, state: str
) -> None:
    cli("publish", save(plans.document_of(plans.twelve())), "--comment", "never", "--issue")
    monkeypatch.setenv("GITHUB_REF", ref)
    clean = plans.document_of(plans.in_sync())
    clean["narrowed"] |= narrowed
    result = cli("publish", save(clean), "--comment", "never", "--issue")
    assert result.exit_code == 0
    (issue,) = hub.issues
    assert issue.state == state
    reason = "Issue on drift: left as it is, because only runs of the default branch write it."
    assert (reason in result.stderr) is (ref != "refs/heads/main")
    assert len(hub.comments) == (state == "closed")


@pytest.mark.parametrize("spec", [None, "version: ["])
def test_the_failure_of_a_spec_without_a_known_replication_opens_an_issue(
    hub: Hub, cli: Cli, push: None, spec: str | None
) -> None:
    if spec is not None:
        Path("replication.yaml").write_text(spec)
    result = cli("publish", "--failed", "the spec is broken", "--comment", "never", "--issue")
    assert result.exit_code == 0, result.stderr
    (issue,) = hub.issues
    assert "The last run made no plan for the spec" in issue.body
    assert "the spec is broken" in issue.body


def test_a_replication_that_the_spec_of_another_branch_lacks_keeps_its_issue(
    hub: Hub, cli: Cli, push: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("publish", save(plans.document_of(plans.twelve())), "--comment", "never", "--issue")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/topic")
    other = plans.document_of(renamed(plans.in_sync(), "staging"))
    result = cli("publish", save(other), "--comment", "never", "--issue")
    assert result.exit_code == 0, result.stderr
    assert [issue.state for issue in hub.issues] == ["open"]


def test_a_run_whose_branch_has_a_newer_spec_leaves_the_issue_on_drift(
    hub: Hub, cli: Cli, push: None
) -> None:
    cli("publish", save(plans.document_of(plans.twelve())), "--comment", "never", "--issue")
    hub.branches["main"].append("2" * 40)
    hub.files["2" * 40] = ["replication.yaml"]
    result = cli("publish", save(plans.document_of(plans.in_sync())), "--comment", "never", "--issue")
    assert result.exit_code == 0
    assert [issue.state for issue in hub.issues] == ["open"]
    reason = "main has changed replication.yaml since abcdef0: this run is out of date"
    assert f"Issue on drift: left as it is, because {reason}.\n" in result.stderr


def test_a_missing_permission_for_issues_is_a_warning(hub: Hub, cli: Cli, push: None) -> None:
    hub.restrict(TOKEN, {"contents": "read"})
    result = cli("publish", save(plans.document_of(plans.twelve())), "--comment", "never", "--issue")
    assert result.exit_code == 0
    assert "::warning::no issue on drift: " in result.stdout
    assert "The token needs `issues: write` and `contents: read`" in result.stdout
    assert not hub.issues


@pytest.mark.parametrize("mode", ["changes", "required"])
def test_a_comment_with_another_plan_that_stays_fails_the_run(hub: Hub, cli: Cli, mode: str) -> None:
    cli("publish", save(plans.document_of(plans.twelve())))
    hub.denied.add("comment")
    result = cli("publish", save(plans.document_of(plans.in_sync())), "--comment", mode, "--issue")
    assert result.exit_code == 1
    assert "Error: pull request 7: the comment of run 19822345678 is out of date" in result.stderr
    assert "What to do: the token needs `pull-requests: write`" in result.stderr
    assert outputs()["changes"] == "0", "the other destinations have the plan"


def test_the_issue_on_drift_is_written_although_the_comment_could_not_be_corrected(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    monkeypatch.setenv("GITHUB_SHA", MERGE)
    cli("publish", save(plans.document_of(plans.in_sync())), "--comment", "always")
    hub.denied.add("comment")
    assert cli("publish", save(plans.document_of(plans.twelve())), "--issue").exit_code == 1
    assert len(hub.issues) == 1


def test_a_locked_pull_request_is_a_warning_that_names_the_lock(hub: Hub, cli: Cli) -> None:
    hub.pulls[NUMBER]["locked"] = True
    result = cli("publish", save(plans.document_of(plans.twelve())))
    assert result.exit_code == 0
    expected = "pull request 7 is locked. unlock it, and start this run again"
    assert f"::warning::no comment on the pull request: {expected}\n" in result.stdout
