"""`publish --replan`: a run of the default branch plans an open pull request again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.github.marked import facts_of
from ssm_reconcile.renderers.escaping import dumps
from tests.github.content import Hub
from tests.unit.cli.conftest import HEAD, MERGE, NUMBER, Cli, outputs, save
from tests.unit.publishers.conftest import marker
from tests.unit.renderers import plans

RUN, REPLAN = "19822345678", "19822345999"
PLAN_FILE = ".github/workflows/ssm-reconcile.yml"
REQUEST = ("--replan", "--pull-request", str(NUMBER), "--head", HEAD)


@pytest.fixture
def shown(hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """An open pull request with its comment and artifact; then a run of the default branch."""
    hub.add_run(RUN, PLAN_FILE, "pull_request", HEAD, branch="change")
    cli("publish", save(plans.document_of(plans.twelve())), "--save", "plan")
    files = {path.name: path.read_bytes() for path in Path("plan").iterdir()}
    hub.keep(RUN, "ssm-plan", {**files, "plan.json": Path("plan.json").read_bytes()})
    hub.add_run(REPLAN, PLAN_FILE, "schedule", MERGE)
    for name, value in {
        "EVENT_NAME": "schedule", "SHA": MERGE, "REF": "refs/heads/main", "RUN_ID": REPLAN,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"GITHUB_{name}", value)
    Path("event.json").write_text("{}")
    Path("output").unlink()
    return hub


def other_plan(value: str = "other") -> dict[str, Any]:
    found: dict[str, Any] = plans.document_of(plans.plan_of([plans.create("eu-west-1", "/a", value=value)]))
    return found


def test_a_plan_that_the_comment_shows_is_not_posted_again(shown: Hub, cli: Cli) -> None:
    result = cli("publish", "plan.json", *REQUEST, "--save", "again")
    assert result.exit_code == 0, result.stderr
    assert "Pull request 7 shows this plan: the comment is left as it is" in result.stderr
    assert outputs()["replanned"] == "false"
    assert [comment.edits for comment in shown.comments] == [0]
    assert not Path("again").exists()


def test_a_plan_that_changed_replaces_the_one_in_the_comment_and_is_saved(shown: Hub, cli: Cli) -> None:
    document = other_plan()
    result = cli("publish", save(document, "new.json"), *REQUEST, "--save", "again")
    assert result.exit_code == 0, result.stderr
    (comment,) = shown.comments
    facts = facts_of(comment.body)
    assert facts is not None
    assert (facts["run"], facts["head"], facts["plan"]) == (REPLAN, HEAD, f"sha256:{document['plan_id']}")
    assert "Applied on merge only as it is shown here" in comment.body
    assert outputs()["replanned"] == "true"
    assert (Path("again") / "comment.md").read_text() == comment.body
    publication = json.loads((Path("again") / "publication.json").read_text())
    assert (publication["pull_request"], publication["head"], publication["base"]) == (NUMBER, HEAD, MERGE)


def test_a_new_conflict_is_posted_though_the_changes_and_so_the_plan_id_are_the_same(
    shown: Hub, cli: Cli
) -> None:
    document = json.loads(Path("plan.json").read_text())
    conflicts = document["summary"]["conflict"]
    for target in document["targets"]:
        target["conflict"] += 1
    document["summary"]["conflict"] = conflicts + len(document["targets"])
    cli("publish", save(document, "new.json"), *REQUEST)
    assert outputs()["replanned"] == "true"
    (comment,) = shown.comments
    assert f"{conflicts + len(document['targets'])} conflicts" in comment.body
    assert f"sha256:{document['plan_id']}" in comment.body


@pytest.mark.parametrize("case", ["expired", "none", "another name", "no time", "of no run", "no run"])
def test_a_plan_without_its_artifact_is_posted_again(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    match case:
        case "expired":
            shown.artifacts[0].expired = True
        case "none":
            shown.artifacts.clear()
        case "another name":
            shown.artifacts[0].name = "ssm-plan-7"
        case "no time":
            shown.artifacts[0].created = ""
        case "of no run":  # the field may be null
            documented = Hub.artifact_document
            monkeypatch.setattr(
                Hub, "artifact_document", lambda hub, one: documented(hub, one) | {"workflow_run": None}
            )
        case _:
            del shown.runs[RUN]
    assert cli("publish", "plan.json", *REQUEST).exit_code == 0
    assert outputs()["replanned"] == "true"
    assert [comment.edits for comment in shown.comments] == [1]


@pytest.mark.parametrize(("days", "replanned"), [(4.9, "false"), (5.1, "true")])
def test_the_same_plan_is_stored_again_two_days_before_a_merge_refuses_its_age(
    shown: Hub, cli: Cli, days: float, replanned: str
) -> None:
    shown.backdate(RUN, days=days)
    assert cli("publish", "plan.json", *REQUEST).exit_code == 0
    assert outputs()["replanned"] == replanned


def test_the_artifact_of_an_earlier_replan_has_the_number_in_its_name(shown: Hub, cli: Cli) -> None:
    new = save(other_plan(), "new.json")
    cli("publish", new, *REQUEST)
    Path("output").unlink()
    shown.keep(REPLAN, f"ssm-plan-{NUMBER}", {"plan.json": b"{}"})
    assert cli("publish", new, *REQUEST).exit_code == 0
    assert outputs()["replanned"] == "false"


def test_the_same_plan_of_an_older_commit_is_posted_again(shown: Hub, cli: Cli) -> None:
    newer = "4" * 40
    shown.pulls[NUMBER]["head"]["sha"] = newer
    assert cli("publish", "plan.json", "--replan", "--pull-request", "7", "--head", newer).exit_code == 0
    assert outputs()["replanned"] == "true"


def test_a_failed_plan_in_the_comment_is_replaced(shown: Hub, cli: Cli) -> None:
    shown.comments[0].body = marker(state="failed", run=RUN)
    assert cli("publish", "plan.json", *REQUEST).exit_code == 0
    assert "12 changes in 3 regions" in shown.comments[-1].body


@pytest.mark.parametrize("state", ["failed", "applied"])
def test_a_comment_with_the_facts_of_the_plan_that_does_not_show_it_is_replaced(
    shown: Hub, cli: Cli, state: str
) -> None:
    (comment,) = shown.comments
    comment.body = comment.body.replace('"scope"', f'"state": "{state}", "scope"', 1)
    assert (facts_of(comment.body) or {})["state"] == state
    assert cli("publish", "plan.json", *REQUEST).exit_code == 0
    assert outputs()["replanned"] == "true"


def test_a_failed_plan_of_a_replication_that_was_removed_is_replaced(shown: Hub, cli: Cli) -> None:
    shown.say(NUMBER, marker(scope="staging", plan="", state="failed", run=RUN))
    assert cli("publish", "plan.json", *REQUEST).exit_code == 0
    assert outputs()["replanned"] == "true"
    assert "failed" not in {(facts_of(one.body) or {}).get("state") for one in shown.comments}


@pytest.mark.parametrize(("run", "replanned"), [(REPLAN, "false"), (RUN, "true")])
def test_comments_of_several_replications_are_left_if_one_run_wrote_them(
    shown: Hub, cli: Cli, run: str, replanned: str
) -> None:
    document = json.loads(Path("plan.json").read_text())
    (part,) = document["replications"]
    document["replications"] = [{**part, "name": name} for name in ("prod", "staging")]
    two = save(document, "two.json")
    cli("publish", two, *REQUEST, "--comment", "always")
    shown.keep(REPLAN, f"ssm-plan-{NUMBER}", {"plan.json": b"{}"})
    assert [(facts_of(one.body) or {})["run"] for one in shown.shown(NUMBER)] == [REPLAN, REPLAN]
    last = shown.shown(NUMBER)[-1]
    last.body = last.body.replace(REPLAN, run)
    Path("output").unlink()
    assert cli("publish", two, *REQUEST, "--comment", "always").exit_code == 0
    assert outputs()["replanned"] == replanned
    assert {(facts_of(one.body) or {})["run"] for one in shown.shown(NUMBER)} == {REPLAN}


def test_a_plan_without_changes_and_without_a_comment_is_not_posted(shown: Hub, cli: Cli) -> None:
    shown.comments.clear()
    assert cli("publish", save(plans.document_of(plans.in_sync())), *REQUEST).exit_code == 0
    assert (outputs()["replanned"], shown.comments) == ("false", [])


def test_a_permission_that_is_missing_fails_a_replan(shown: Hub, cli: Cli) -> None:
    shown.denied.add("actions")
    result = cli("publish", "plan.json", *REQUEST)
    assert result.exit_code == 1
    assert "actions: read" in result.stderr


@pytest.mark.parametrize("content", ["", "report"])
def test_a_file_that_is_not_a_plan_leaves_the_comment(shown: Hub, cli: Cli, content: str) -> None:
    report = dumps(plans.report_document_of(plans.reported(plans.twelve())))
    Path("bad.json").write_text(report if content else "")
    result = cli("publish", "bad.json", *REQUEST)
    assert result.exit_code == 64
    assert [comment.edits for comment in shown.comments] == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--replan", "--pull-request", "7"), "needs a plan"),
        (("--replan", "--head", HEAD), "needs a plan"),
        (("--replan", "--pull-request", "7", "--head", "main"), "needs a plan"),
        (("--head", HEAD), "only used with --replan"),
        (("--workflow", PLAN_FILE), "only used with --replan and --reviewed"),
    ],
)
def test_a_replan_without_its_pull_request_and_commit_is_wrong_usage(
    shown: Hub, cli: Cli, options: tuple[str, ...], message: str
) -> None:
    result = cli("publish", "plan.json", *options)
    assert result.exit_code == 64
    assert message in result.stderr
    assert [comment.edits for comment in shown.comments] == [0]


OTHER_FILE = ".github/workflows/apply.yml"


def test_a_run_of_another_workflow_than_the_merge_accepts_posts_nothing(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"acme/params/{OTHER_FILE}@refs/heads/main")
    result = cli("publish", save(other_plan()), *REQUEST, "--workflow", PLAN_FILE, "--check", "SSM plan")
    assert result.exit_code == 64
    assert f"this run is of {OTHER_FILE}, and the merge accepts plans of {PLAN_FILE} only" in result.stderr
    assert f"plan open pull requests again in {PLAN_FILE}" in result.stderr
    assert ([comment.edits for comment in shown.comments], shown.check_runs) == ([0], [])


def test_a_run_of_the_workflow_that_the_merge_accepts_posts_its_plan(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"acme/params/{PLAN_FILE}@refs/heads/main")
    assert cli("publish", save(other_plan()), *REQUEST, "--workflow", PLAN_FILE).exit_code == 0
    assert outputs()["replanned"] == "true"


def test_a_run_of_an_unknown_file_compares_the_plan_in_the_comment_with_the_accepted_file(
    shown: Hub, cli: Cli
) -> None:
    for accepted, replanned in ((PLAN_FILE, "false"), (OTHER_FILE, "true")):
        assert cli("publish", "plan.json", *REQUEST, "--workflow", accepted).exit_code == 0
        assert outputs()["replanned"] == replanned
        Path("output").unlink()


def test_a_failure_cannot_be_published_as_a_replan(shown: Hub, cli: Cli) -> None:
    assert cli("publish", "--failed", "why", *REQUEST).exit_code == 64


def test_a_replan_in_a_run_of_a_pull_request_is_wrong_usage(hub: Hub, cli: Cli) -> None:
    result = cli("publish", save(other_plan()), *REQUEST)
    assert result.exit_code == 64
    assert "this is a run of a pull request" in result.stderr
    assert hub.comments == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": {"sha": "5" * 40}}, "has a newer commit"),
        ({"state": "closed"}, "is closed"),
        ({"state": "closed", "merged_at": "2026-11-23T10:00:00Z"}, "is merged"),
    ],
)
def test_a_replan_of_an_old_commit_or_a_closed_pull_request_writes_nothing(
    shown: Hub, cli: Cli, change: dict[str, Any], message: str
) -> None:
    shown.pulls[NUMBER] |= change
    result = cli("publish", save(other_plan()), *REQUEST, "--save", "again")
    assert result.exit_code == 0
    assert f"Pull request 7 {message}: the comment is left as it is." in result.stderr
    assert (outputs()["replanned"], shown.comments[0].edits) == ("false", 0)
    assert not Path("again").exists()


def test_an_incomplete_plan_does_not_replace_the_one_in_the_comment(shown: Hub, cli: Cli) -> None:
    result = cli("publish", save({**other_plan(), "complete": False}), *REQUEST, "--save", "again")
    assert result.exit_code == 1
    assert "a place was not listed completely" in result.stderr
    assert [comment.edits for comment in shown.comments] == [0]
    assert not Path("again").exists()
