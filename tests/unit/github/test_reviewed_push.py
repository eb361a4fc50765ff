"""The reviewed plans of a push: each rule by which a plan counts, broken once on the simulated GitHub."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.reviewed import ReviewMode, ReviewRules, reviewed_push
from ssm_reconcile.github.workflow_run import artifact_suffix, read_workflow_run
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Artifact, Comment, Hub, repository, stamp
from tests.unit.cli.conftest import Cli
from tests.unit.github.conftest import BEFORE, MERGE
from tests.unit.publishers.conftest import HEAD, NUMBER, SPEC, TOKEN, marker, renamed
from tests.unit.renderers import plans

PLAN = plans.twelve()
PLAN_RUN = "400"
WORKFLOW = ".github/workflows/ssm-reconcile.yml"
OTHER_HEAD, MIDDLE = "7" * 40, "c" * 40


def show(
    hub: Hub, number: int = NUMBER, plan: Plan = PLAN, *, commit: str = HEAD, run: str = PLAN_RUN,
    ago: float = 60, name: str = "ssm-plan", **changes: Any,
) -> tuple[Comment, Artifact]:  # fmt: skip
    """Post the comment of a plan and store its artifact, as a plan run does; `changes` are forged keys."""
    text = f"{marker(run=run, head=commit, plan=f'sha256:{plan.plan_id}')}12 changes\n\n| a | b |\n"
    comment = hub.say(number, text)
    publication = {
        "format_version": "1.0", "spec": SPEC, "pull_request": number, "head": commit, "base": BEFORE,
        "comments": [{
            "scope": "prod", "file": "comment.md", "comment": comment.id, "plan": f"sha256:{plan.plan_id}",
            "first_posted": stamp(ago),
        }],
    } | changes  # fmt: skip
    return comment, hub.keep(run, name, files(plan, publication, text))


def files(plan: Plan, publication: Any, text: str) -> dict[str, bytes]:
    return {
        "plan.json": dumps(plans.document_of(plan)).encode(),
        "publication.json": json.dumps(publication).encode(),
        "comment.md": text.encode(),
    }


@pytest.fixture
def shown(merged: Hub) -> Hub:
    """A merged pull request with a comment and the artifact of its run."""
    show(merged)
    return merged


def fetch(cli: Cli, *words: str) -> Result:
    return cli("github", "reviewed", "--out", "reviewed", *words)


def refusal(cli: Cli, *words: str) -> str:
    result = fetch(cli, *words)
    assert result.exit_code == 4, result.stderr
    assert "What to do" in result.stderr
    assert not Path("reviewed").exists()
    return result.stderr


def index() -> Any:
    return json.loads(Path("reviewed/reviewed.json").read_text())


def test_the_reviewed_plan_is_saved_with_its_index(shown: Hub, cli: Cli) -> None:
    result = fetch(cli)
    assert result.exit_code == 0, result.stderr
    assert Path("reviewed/7.json").read_text() == dumps(plans.document_of(PLAN))
    assert index() == {
        "plans": [{"pull_request": 7, "file": "7.json", "plan_id": PLAN.plan_id, "reviewed_by": []}],
        "base": BEFORE,
    }
    assert Path("reviewed/base").read_text() == f"{BEFORE}\n"
    assert "pull request 7" in result.stderr
    assert fetch(cli, "--quiet").stderr == ""


def test_line_ends_and_white_space_at_the_end_of_lines_do_not_count_as_an_edit(shown: Hub, cli: Cli) -> None:
    comment = shown.comments[0]
    first, _, text = comment.body.partition("\n")
    comment.body = first + "\r\n" + text.replace("\n", " \r\n") + "\n\n"
    assert fetch(cli).exit_code == 0


def indent_comment(hub: Hub) -> None:
    comment = hub.comments[0]
    hub.edit(comment, comment.body.replace("12 changes", "    12 changes"), by="mallory")


def delete_comment(hub: Hub) -> None:
    hub.comments.clear()


def minimize_comment(hub: Hub) -> None:
    hub.comments[0].minimized = "OUTDATED"


def push_another_commit(hub: Hub) -> None:
    hub.pulls[NUMBER]["head"]["sha"] = OTHER_HEAD


def forge_marker(hub: Hub) -> None:
    """Copy the whole comment and its marker: the artifact names the id of the first one."""
    body = hub.comments[0].body
    hub.comments.clear()
    hub.say(NUMBER, body)


def forge_plan_id(hub: Hub) -> None:
    comment = hub.comments[0]
    hub.edit(comment, comment.body.replace(PLAN.plan_id, plans.many(2).plan_id), by="mallory")


def post_a_second_comment(hub: Hub) -> None:
    hub.say(NUMBER, hub.comments[0].body.replace("12 changes", "no changes"))


def run_of_another_repository(hub: Hub) -> None:
    hub.runs[PLAN_RUN]["repository"] = repository("mallory/params")


def run_of_a_fork(hub: Hub) -> None:
    hub.runs[PLAN_RUN]["head_repository"] = repository("mallory/params")


def run_of_another_event(hub: Hub) -> None:
    hub.runs[PLAN_RUN]["event"] = "pull_request_target"


def run_of_a_push_to_the_branch(hub: Hub) -> None:
    hub.runs[PLAN_RUN] |= {"event": "push", "head_branch": "change"}


def run_of_another_commit(hub: Hub) -> None:
    hub.runs[PLAN_RUN]["head_sha"] = OTHER_HEAD


def no_artifact(hub: Hub) -> None:
    hub.artifacts.clear()


def artifact_of_another_run(hub: Hub) -> None:
    hub.artifacts[0].run = "399"


def artifact_after_the_merge(hub: Hub) -> None:
    hub.artifacts[0].created = stamp(-7200)


def change_workflow(hub: Hub) -> None:
    change_files(hub, {"filename": ".github/workflows/ssm-reconcile.yml"})


def change_action(hub: Hub) -> None:
    change_files(hub, {"filename": "action.yml"})


def move_workflow(hub: Hub) -> None:
    change_files(hub, {"filename": "docs/plan.yml", "previous_filename": ".github/plan.yml"})


def change_files(hub: Hub, *more: dict[str, str]) -> None:
    hub.pull_files[NUMBER] += more
    hub.pulls[NUMBER]["changed_files"] = len(hub.pull_files[NUMBER])


def too_many_files(hub: Hub) -> None:
    hub.pulls[NUMBER]["changed_files"] = 3001


def only_other_files(hub: Hub) -> None:
    hub.pull_files[NUMBER] = [{"filename": "README.md"}]


def no_pull_request(hub: Hub) -> None:
    hub.merged_by.clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (indent_comment, "was edited after the plan was posted"),
        (delete_comment, "has no comment with a plan"),
        (minimize_comment, "has no comment with a plan"),
        (push_another_commit, "is of 3f9c2ab, not of its last, 7777777"),
        (forge_marker, "not the one that the comments in pull request 7 show"),
        (forge_plan_id, "not the one that the comment in pull request 7 shows"),
        (post_a_second_comment, "not the one that the comments in pull request 7 show"),
        (run_of_another_repository, "of another repository"),
        (run_of_a_fork, "of another repository"),
        (run_of_another_event, "neither of a pull request nor of the default branch"),
        (run_of_a_push_to_the_branch, "neither of a pull request nor of the default branch"),
        (run_of_another_commit, "of another commit than the last one"),
        (no_artifact, "run 400 has no artifact ssm-plan"),
        (artifact_of_another_run, "run 400 has no artifact ssm-plan"),
        (artifact_after_the_merge, "was stored after the merge"),
        (change_workflow, "changes .github/workflows/ssm-reconcile.yml"),
        (change_action, "changes action.yml"),
        (move_workflow, "changes .github/plan.yml"),
        (too_many_files, "changes 3,001 files"),
        (only_other_files, "no pull request of this commit touches the spec"),
        (no_pull_request, "this commit is of no merged pull request"),
    ],
)
def test_a_broken_rule_is_refused(shown: Hub, cli: Cli, change: Callable[[Hub], None], words: str) -> None:
    change(shown)
    assert words in refusal(cli)


def test_an_artifact_whose_document_names_another_run_is_not_of_the_run(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = shown.artifact_document(shown.artifacts[0])
    document["workflow_run"]["id"] = 399
    monkeypatch.setattr(Hub, "artifact_document", lambda _hub, _artifact: document)
    assert "run 400 has no artifact ssm-plan" in refusal(cli)


@pytest.mark.parametrize(
    "forged",
    [{"spec": "other.yaml"}, {"pull_request": 8}, {"head": OTHER_HEAD}],
    ids=lambda one: next(iter(one)),
)
def test_an_artifact_of_another_pull_request_or_commit_is_refused(
    merged: Hub, cli: Cli, forged: dict[str, Any]
) -> None:
    show(merged, **forged)
    assert "is not that of the last commit of pull request 7" in refusal(cli)


def test_an_artifact_with_another_plan_is_refused(shown: Hub, cli: Cli) -> None:
    comment = shown.comments[0]
    publication = json.loads(_texts(shown.artifacts[0])["publication.json"])
    shown.artifacts = [shown.keep(PLAN_RUN, "ssm-plan", files(plans.many(2), publication, comment.body))]
    assert "not the one that the comment in pull request 7 shows" in refusal(cli)


def test_a_comment_for_another_replication_is_refused(shown: Hub, cli: Cli) -> None:
    publication = json.loads(_texts(shown.artifacts[0])["publication.json"])
    comment = shown.comments[0]
    comment.body = comment.body.replace('"scope": "prod"', '"scope": "stage"')
    shown.artifacts = [shown.keep(PLAN_RUN, "ssm-plan", files(PLAN, publication, comment.body))]
    assert "not the one that the comment in pull request 7 shows" in refusal(cli)


def test_changes_of_a_replication_without_a_comment_were_not_shown(merged: Hub, cli: Cli) -> None:
    two = replace(PLAN, replications=PLAN.replications + renamed(PLAN, "stage").replications)
    part = two.id_of(two.replications[0])
    text = f"{marker(run=PLAN_RUN, plan=f'sha256:{part}')}12 changes"
    comment = merged.say(NUMBER, text)
    entry = {
        "scope": "prod", "file": "comment.prod.md", "comment": comment.id, "plan": f"sha256:{part}",
        "first_posted": stamp(60),
    }  # fmt: skip
    publication = {
        "format_version": "1.0", "spec": SPEC, "pull_request": 7, "head": HEAD, "base": BEFORE,
        "comments": [entry],
    }  # fmt: skip
    content = files(two, publication, text)
    content["comment.prod.md"] = content.pop("comment.md")
    merged.keep(PLAN_RUN, "ssm-plan", content)
    assert "no comment in pull request 7 shows the changes of stage" in refusal(cli)


def _texts(artifact: Artifact) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("plan.json", None, "it has no plan.json"),
        ("publication.json", None, "it has no publication.json, which older versions did not store"),
        ("comment.md", None, "publication.json is damaged"),
        ("other.json", b"{}", "a file that publication.json does not name"),
        ("../comment.md", b"{}", "the artifact has directories"),
        ("plan.json", b"{}", "this is not a saved plan"),
        ("plan.json", b"\xff", "does not hold one plan, or a few texts"),
        ("publication.json", b"[]", "publication.json is damaged"),
        ("publication.json", b"no", "publication.json is damaged"),
        ("publication.json", b"[" * 100_000, "publication.json is damaged"),
        ("publication.json", {"format_version": "2.0"}, "a format that this version does not know"),
        ("publication.json", {"comments": None}, "publication.json is damaged"),
        ("publication.json", {"comments": [{}]}, "publication.json is damaged"),
        ("publication.json", {"pull_request": "7"}, "publication.json is damaged"),
    ],
)
def test_a_forged_archive_is_refused(shown: Hub, cli: Cli, name: str, content: Any, words: str) -> None:
    texts = _texts(shown.artifacts[0])
    if isinstance(content, dict):
        content = json.dumps(json.loads(texts[name]) | content).encode()
    texts = {**texts, name: content} if content is not None else {k: v for k, v in texts.items() if k != name}
    shown.artifacts = [shown.keep(PLAN_RUN, "ssm-plan", texts)]
    assert words in refusal(cli)


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "comments.txt"},
        {"file": "plan.json"},
        {"first_posted": "2026-11-28T21:00:00"},
        {"comment": "1"},
    ],
)
def test_a_forged_entry_of_a_comment_is_refused(merged: Hub, cli: Cli, entry: dict[str, Any]) -> None:
    _, artifact = show(merged)
    texts = _texts(artifact)
    publication = json.loads(texts["publication.json"])
    publication["comments"][0] |= entry
    content = texts | {"publication.json": json.dumps(publication).encode()}
    if entry.get("file") == "comments.txt":
        content[entry["file"]] = content.pop("comment.md")
    merged.artifacts = [merged.keep(PLAN_RUN, "ssm-plan", content)]
    assert "publication.json is damaged" in refusal(cli)


def test_an_archive_that_is_damaged_is_refused(shown: Hub, cli: Cli) -> None:
    shown.artifacts[0].content = b"no zip"
    assert "does not hold one plan, or a few texts" in refusal(cli)


def test_of_a_run_with_two_attempts_the_last_artifact_before_the_merge_counts(shown: Hub, cli: Cli) -> None:
    comment = shown.comments[0]
    publication = json.loads(_texts(shown.artifacts[0])["publication.json"])
    late = shown.keep(PLAN_RUN, "ssm-plan", files(plans.many(2), publication, comment.body))
    late.created = stamp(-7200)
    assert fetch(cli).exit_code == 0
    late.created = stamp()
    assert "not the one that the comment in pull request 7 shows" in refusal_again(cli)


def refusal_again(cli: Cli, *words: str) -> str:
    result = fetch(cli, *words)
    assert result.exit_code == 4
    return result.stderr


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_a_plan_of_the_default_branch_counts_by_its_own_artifact(merged: Hub, cli: Cli, event: str) -> None:
    merged.add_run("450", ".github/workflows/ssm-reconcile.yml", event, BEFORE)
    show(merged, run="450", name="ssm-plan-7")
    assert fetch(cli).exit_code == 0
    merged.runs["450"]["head_branch"] = "change"
    assert "neither of a pull request nor of the default branch" in refusal_again(cli)


def test_a_run_of_a_tag_with_the_name_of_the_default_branch_is_refused(merged: Hub, cli: Cli) -> None:
    merged.add_run("450", ".github/workflows/ssm-reconcile.yml", "push", "c" * 40, branch="main")
    show(merged, run="450", name="ssm-plan-7")
    assert "run 450 is of a commit that is not on main" in refusal_again(cli)


def test_the_comment_of_the_last_run_counts(merged: Hub, cli: Cli) -> None:
    show(merged, plan=plans.many(2))
    merged.add_run("450", ".github/workflows/ssm-reconcile.yml", "pull_request", HEAD, branch="change")
    show(merged, run="450")
    assert fetch(cli).exit_code == 0
    assert index()["plans"][0]["plan_id"] == PLAN.plan_id


def test_an_unmerged_pull_request_that_is_named_is_refused(shown: Hub, cli: Cli) -> None:
    assert fetch(cli, "--pull-request", "7").exit_code == 0
    shown.pulls[NUMBER]["merged_at"] = None
    assert "pull request 7 is not merged" in refusal_again(cli, "--pull-request", "7")


def test_another_plan_workflow_can_be_named(shown: Hub, cli: Cli) -> None:
    shown.runs[PLAN_RUN]["path"] = ".github/workflows/ssm.yml@refs/heads/change"
    assert fetch(cli, "--workflow", ".github/workflows/ssm.yml").exit_code == 0


# Reviews


def approve(hub: Hub, by: str = "bob", **given: Any) -> None:
    hub.review(NUMBER, by, **given)


def approve_another_commit(hub: Hub) -> None:
    approve(hub, commit=OTHER_HEAD)


def approve_before_the_plan(hub: Hub) -> None:
    approve(hub, ago=90)


def approve_as_the_author(hub: Hub) -> None:
    approve(hub, "Alice")


@pytest.mark.parametrize("mode", ["required", "if-any"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (approve_another_commit, "@bob approved 7777777, not 3f9c2ab"),
        (approve_before_the_plan, "@bob approved before this plan was posted"),
        (approve_as_the_author, "@alice is the author"),
    ],
)
def test_an_approval_that_is_not_of_this_plan_is_refused(
    shown: Hub, cli: Cli, change: Callable[[Hub], None], words: str, mode: str
) -> None:
    change(shown)
    assert words in refusal(cli, "--review", mode)
    assert fetch(cli, "--review", "ignore").exit_code == 0


def test_an_approval_of_this_plan_counts_and_is_named(shown: Hub, cli: Cli) -> None:
    approve_another_commit(shown)
    approve(shown, "carol", ago=30)
    approve(shown, "dave")
    result = fetch(cli, "--review", "required")
    assert result.exit_code == 0, result.stderr
    assert index()["plans"][0]["reviewed_by"] == ["carol", "dave"]
    assert "approved by @carol, @dave" in result.stderr


def request_changes_later(hub: Hub) -> None:
    approve(hub)
    approve(hub, state="CHANGES_REQUESTED")


def comment_only(hub: Hub) -> None:
    approve(hub, state="COMMENTED")


def approve_without_write_access(hub: Hub) -> None:
    hub.roles["bob"] = "read"
    approve(hub)


def approve_as_a_bot(hub: Hub) -> None:
    approve(hub, "helper[bot]")


@pytest.mark.parametrize(
    "change",
    [
        lambda _hub: None, request_changes_later, comment_only, approve_without_write_access,
        approve_as_a_bot,
    ],
)  # fmt: skip
def test_without_an_approving_review_only_required_refuses(
    shown: Hub, cli: Cli, change: Callable[[Hub], None]
) -> None:
    change(shown)
    assert "has no approving review" in refusal(cli, "--review", "required")
    assert fetch(cli, "--review", "if-any").exit_code == 0


def test_a_later_comment_does_not_take_an_approval_back(shown: Hub, cli: Cli) -> None:
    approve(shown)
    comment_only(shown)
    assert fetch(cli, "--review", "required").exit_code == 0


def test_a_role_that_cannot_be_read_refuses(shown: Hub, cli: Cli) -> None:
    approve(shown)
    shown.fail("GET", "/permission$", 403)
    assert "collaborators/bob/permission" in refusal(cli)


# Pushes with several pull requests


@pytest.fixture
def two(shown: Hub) -> Hub:
    """A push that merges pull request 6 before pull request 7."""
    shown.branches["main"] = [BEFORE, MIDDLE, MERGE]
    shown.merged_by[MIDDLE] = [6]
    shown.pulls[6] = shown.pulls[NUMBER] | {"number": 6, "head": {"sha": OTHER_HEAD, "ref": "other"}}
    shown.pull_files[6] = list(shown.pull_files[NUMBER])
    shown.add_run("390", ".github/workflows/ssm-reconcile.yml", "pull_request", OTHER_HEAD, branch="other")
    return shown


def test_a_push_has_the_plans_of_all_of_its_pull_requests(two: Hub, cli: Cli) -> None:
    show(two, 6, plans.many(2), commit=OTHER_HEAD, run="390")
    assert fetch(cli).exit_code == 0
    assert [one["file"] for one in index()["plans"]] == ["6.json", "7.json"]
    assert json.loads(Path("reviewed/6.json").read_text())["plan_id"] == plans.many(2).plan_id


def test_a_pull_request_without_a_reviewed_plan_refuses_all(two: Hub, cli: Cli) -> None:
    assert "pull request 6 has no comment with a plan" in refusal(cli)


def test_a_pull_request_that_does_not_touch_the_spec_needs_no_plan(two: Hub, cli: Cli) -> None:
    two.pull_files[6] = [{"filename": ".github/workflows/other.yml"}]
    assert fetch(cli).exit_code == 0
    assert [one["file"] for one in index()["plans"]] == ["7.json"]


def test_the_plans_of_a_push_that_was_overtaken_are_taken_over(two: Hub, cli: Cli) -> None:
    """The range starts at the last push with a result, and not at the commit before this push."""
    show(two, 6, plans.many(2), commit=OTHER_HEAD, run="390")
    first, result = "d" * 40, "ssm-report"
    two.branches["main"] = [first, BEFORE, MIDDLE, MERGE]
    Path("event.json").write_text(json.dumps({"before": MIDDLE}))
    two.add_run("480", ".github/workflows/ssm-reconcile.yml", "push", first)
    two.add_run("490", ".github/workflows/ssm-reconcile.yml", "push", MIDDLE)
    two.add_run("510", ".github/workflows/ssm-reconcile.yml", "push", "e" * 40)
    two.keep("510", result, {"x": b""})
    two.keep("490", "other", {"x": b""})
    two.keep("480", result, {"x": b""})
    assert fetch(cli).exit_code == 0
    assert (len(index()["plans"]), index()["base"]) == (2, first)
    two.keep("490", result, {"x": b""})
    assert fetch(cli).exit_code == 0
    assert ([one["pull_request"] for one in index()["plans"]], index()["base"]) == ([7], MIDDLE)


def test_a_plan_that_waits_or_was_rejected_is_not_in_the_spec_that_was_applied(two: Hub, cli: Cli) -> None:
    first = "d" * 40
    two.branches["main"] = [first, BEFORE, MIDDLE, MERGE]
    two.add_run("480", ".github/workflows/ssm-reconcile.yml", "push", first)
    two.add_run("490", ".github/workflows/ssm-reconcile.yml", "push", MIDDLE)
    two.keep("490", "ssm-plan-changed", {"x": b""})
    assert fetch(cli).exit_code == 0
    assert ([one["pull_request"] for one in index()["plans"]], index()["base"]) == ([7], "")
    two.keep("480", "ssm-report", {"x": b""})
    assert fetch(cli).exit_code == 0
    assert ([one["pull_request"] for one in index()["plans"]], index()["base"]) == ([7], first)


def test_a_run_of_a_tag_with_the_name_of_the_branch_is_not_an_earlier_result(two: Hub, cli: Cli) -> None:
    two.branches["main"] = ["d" * 40, BEFORE, MIDDLE, MERGE]
    two.add_run("480", ".github/workflows/ssm-reconcile.yml", "push", "d" * 40)
    two.keep("480", "ssm-report", {"x": b""})
    two.add_run("490", ".github/workflows/ssm-reconcile.yml", "push", "7" * 40, branch="main")
    two.keep("490", "ssm-report", {"x": b""})
    show(two, 6, plans.many(2), commit=OTHER_HEAD, run="390")
    assert fetch(cli).exit_code == 0
    assert index()["base"] == "d" * 40


def test_results_are_looked_for_in_20_pushes(shown: Hub, cli: Cli) -> None:
    for number in range(470, 491):
        shown.add_run(str(number), ".github/workflows/ssm-reconcile.yml", "push", BEFORE)
    shown.keep("470", "ssm-report", {"x": b""})
    shown.runs["470"]["head_sha"] = "d" * 40
    assert fetch(cli).exit_code == 0
    assert index()["base"] == BEFORE
    del shown.runs["471"]
    shown.branches["main"] = ["d" * 40, BEFORE, MERGE]
    assert fetch(cli).exit_code == 0
    assert index()["base"] == "d" * 40


def test_a_merge_group_has_the_plans_of_its_pull_requests_before_their_merge(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown.pulls[NUMBER]["merged_at"] = None
    group = {"base_sha": BEFORE, "base_ref": "refs/heads/main", "head_sha": MERGE}
    Path("event.json").write_text(json.dumps({"merge_group": group}))
    monkeypatch.setenv("GITHUB_EVENT_NAME", "merge_group")
    monkeypatch.setenv("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-7")
    assert fetch(cli).exit_code == 0
    assert index() == {
        "plans": [{"pull_request": 7, "file": "7.json", "plan_id": PLAN.plan_id, "reviewed_by": []}],
        "base": BEFORE,
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [(f"pr-7-{BEFORE}", True), ("pr-7", False), (f"7-{BEFORE}", False), (f"pr-7-{BEFORE}/x", False)],
)
def test_the_branch_of_a_merge_group_names_a_pull_request_whose_commit_was_squashed(
    shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str, found: bool
) -> None:
    shown.pulls[NUMBER]["merged_at"] = None
    shown.merged_by.clear()
    ref = f"refs/heads/gh-readonly-queue/main/{name}"
    group = {"base_sha": BEFORE, "base_ref": "refs/heads/main", "head_sha": MERGE, "head_ref": ref}
    Path("event.json").write_text(json.dumps({"merge_group": group}))
    monkeypatch.setenv("GITHUB_EVENT_NAME", "merge_group")
    assert fetch(cli).exit_code == (0 if found else 4)
    assert not found or [one["pull_request"] for one in index()["plans"]] == [7]


# Faults


@pytest.mark.parametrize("missing", ["actions", "contents", "pull-requests"])
def test_a_proof_without_a_permission_is_refused_with_the_permissions(
    shown: Hub, cli: Cli, missing: str
) -> None:
    every = {"actions": "read", "contents": "read", "pull-requests": "read"}
    shown.restrict(TOKEN, {name: level for name, level in every.items() if name != missing})
    assert "the token needs `actions: read`, `contents: read` and `pull-requests: read`" in refusal(cli)
    shown.restrict(TOKEN, every)
    assert fetch(cli).exit_code == 0


def test_a_spec_outside_of_the_repository_is_wrong_usage(shown: Hub, cli: Cli) -> None:
    assert fetch(cli, "--spec", "/elsewhere/replication.yaml").exit_code == 64


def test_the_key_of_the_spec_has_all_files_and_the_name(merged: Hub, cli: Cli) -> None:
    comment, artifact = show(merged, spec="replication.yaml,b.yaml#prod")
    comment.body = comment.body.replace(f'"spec": "{SPEC}"', '"spec": "replication.yaml,b.yaml#prod"')
    texts = _texts(artifact)
    merged.artifacts = [merged.keep(PLAN_RUN, "ssm-plan", texts | {"comment.md": comment.body.encode()})]
    result = fetch(cli, "--spec", "replication.yaml", "--spec", "b.yaml", "--name", "prod")
    assert result.exit_code == 0, result.stderr


def test_the_rules_do_not_write_to_github(shown: Hub) -> None:
    run = read_workflow_run(os.environ)
    rules = ReviewRules(SPEC, (SPEC,), "ssm-plan", ".github/workflows/ssm-reconcile.yml", ReviewMode.IF_ANY)
    reviewed_push(GitHub(run, FakeClock()), run, rules, None)
    assert {r.method for r in shown.requests if not r.path.endswith("/graphql")} == {"GET"}


class TestWorkflowOfTheRun:
    """Without --workflow, the workflow that plans is the one of this run, on the default branch."""

    OTHER = ".github/workflows/other.yml"

    def test_the_file_is_the_one_that_github_reports(
        self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"{REPOSITORY}/{self.OTHER}@refs/heads/main")
        assert f"of the workflow {WORKFLOW}, not of {self.OTHER}" in refusal(cli)
        shown.runs["400"]["path"] = self.OTHER
        assert fetch(cli).exit_code == 0

    def test_an_option_has_precedence(self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("GITHUB_WORKFLOW_REF")
        assert f"not of {self.OTHER}" in refusal(cli, "--workflow", self.OTHER)
        assert fetch(cli, "--workflow", WORKFLOW).exit_code == 0

    @pytest.mark.parametrize(
        ("ref", "words"),
        [
            ("refs/heads/release", "at refs/heads/release, not on the default branch, main"),
            ("refs/tags/main", "at refs/tags/main, not on the default branch, main"),
            ("refs/pull/7/merge", "at refs/pull/7/merge, not on the default branch, main"),
        ],
    )
    def test_a_file_that_is_not_on_the_default_branch_is_refused(
        self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, ref: str, words: str
    ) -> None:
        monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"{REPOSITORY}/{WORKFLOW}@{ref}")
        assert words in refusal(cli)

    def test_a_file_of_another_repository_is_refused(
        self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"mallory/params/{WORKFLOW}@refs/heads/main")
        assert "the workflow of this run is of mallory/params, not of acme/params" in refusal(cli)

    @pytest.mark.parametrize(
        "text", ["", WORKFLOW, f"{REPOSITORY}/{WORKFLOW}", f"{REPOSITORY}/a.yml@refs/heads/main"]
    )
    def test_a_runner_that_does_not_report_the_file_is_a_usage_error(
        self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv("GITHUB_WORKFLOW_REF", text)
        result = fetch(cli)
        assert result.exit_code == 64
        assert "GITHUB_WORKFLOW_REF is not set" in result.stderr
        assert "--workflow FILE" in result.stderr

    def test_a_merge_group_has_the_file_of_its_own_branch(
        self, shown: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shown.pulls[NUMBER]["merged_at"] = None
        group = {"base_sha": BEFORE, "base_ref": "refs/heads/main", "head_sha": MERGE}
        Path("event.json").write_text(json.dumps({"merge_group": group}))
        ref = "refs/heads/gh-readonly-queue/main/pr-7"
        monkeypatch.setenv("GITHUB_EVENT_NAME", "merge_group")
        monkeypatch.setenv("GITHUB_REF", ref)
        monkeypatch.setenv("GITHUB_WORKFLOW_REF", f"{REPOSITORY}/{WORKFLOW}@{ref}")
        assert fetch(cli).exit_code == 0


class TestResultsBySpec:
    """With artifacts by spec, the result of a push is an artifact of this spec, never a conclusion."""

    FIRST = "d" * 40

    @pytest.fixture(autouse=True)
    def earlier(self, two: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
        monkeypatch.setenv("SSM_RECONCILE_ARTIFACT_SUFFIX", "-a-12345678")
        two.branches["main"] = [self.FIRST, BEFORE, MIDDLE, MERGE]
        two.add_run("480", WORKFLOW, "push", self.FIRST)
        two.add_run("490", WORKFLOW, "push", MIDDLE)
        show(two, 6, plans.many(2), commit=OTHER_HEAD, run="390")
        for run in ("390", "400"):
            (one,) = (one for one in two.artifacts if one.run == run)
            one.name = "ssm-plan-a-12345678"
        return two

    def base(self, cli: Cli) -> str:
        result = fetch(cli, "--artifact", "ssm-plan-a-12345678")
        assert result.exit_code == 0, result.output
        return str(index()["base"])

    def test_a_push_that_succeeded_for_another_spec_is_not_a_result(self, earlier: Hub, cli: Cli) -> None:
        earlier.runs["490"] |= {"status": "completed", "conclusion": "success"}
        earlier.keep("490", "ssm-report-b-12345678", {"x": b""})
        earlier.keep("490", "ssm-report", {"x": b""})
        earlier.keep("480", "ssm-report-a-12345678", {"x": b""})
        assert self.base(cli) == self.FIRST
        assert len(index()["plans"]) == 2, "the plan of the push between them is taken over"

    @pytest.mark.parametrize("name", ["ssm-report", "ssm-in-sync"])
    def test_an_artifact_of_this_spec_is_a_result(self, earlier: Hub, cli: Cli, name: str) -> None:
        earlier.runs["490"] |= {"status": "completed", "conclusion": "failure"}
        earlier.keep("490", f"{name}-a-12345678", {"x": b""})
        assert self.base(cli) == MIDDLE
        assert len(index()["plans"]) == 1

    @pytest.mark.parametrize(
        "change",
        [
            {"event": "pull_request"}, {"event": "schedule"}, {"event": "workflow_dispatch"},
            {"path": ".github/workflows/other.yml"}, {"head_branch": "release"}, {"head_sha": "7" * 40},
        ],
        ids=str,
    )  # fmt: skip
    def test_only_a_push_of_this_workflow_to_this_branch_has_a_result(
        self, earlier: Hub, cli: Cli, change: dict[str, str]
    ) -> None:
        earlier.keep("480", "ssm-report-a-12345678", {"x": b""})
        earlier.keep("490", "ssm-report-a-12345678", {"x": b""})
        earlier.runs["490"] |= change
        assert self.base(cli) == self.FIRST

    def test_without_a_result_the_range_starts_before_the_oldest_push(self, earlier: Hub, cli: Cli) -> None:
        earlier.runs["490"] |= {"status": "completed", "conclusion": "success"}
        earlier.branches["main"].insert(0, "e" * 40)
        assert self.base(cli) == "e" * 40
        assert len(index()["plans"]) == 2

    def test_the_last_approval_is_of_this_spec(self, earlier: Hub, cli: Cli) -> None:
        earlier.keep("480", "ssm-report-a-12345678", {"x": b""})
        earlier.keep("490", "ssm-plan-changed-a-12345678", {"x": b""})
        assert self.base(cli) == self.FIRST
        assert len(index()["plans"]) == 1

    def test_a_suffix_of_another_form_is_a_usage_error(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSM_RECONCILE_ARTIFACT_SUFFIX", "-a/b")
        assert fetch(cli).exit_code == 64


@pytest.mark.parametrize(
    ("specs", "text"),
    [
        ((), ""), (("replication.yaml",), ""), (("specs",), "-specs-7846086a"), (("a/b",), "-a-b-c14cddc0"),
        (("a-b",), "-a-b-d44362d6"), (("\u00e9",), "-spec-4a99557e"),
    ],
)  # fmt: skip
def test_the_suffix_of_a_spec(cli: Cli, specs: tuple[str, ...], text: str) -> None:
    words = [word for one in specs for word in ("--spec", one)]
    result = cli("github", "suffix", *words)
    assert (result.exit_code, result.stdout) == (0, f"{text}\n")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3))
def test_a_suffix_can_be_part_of_the_name_of_an_artifact(specs: list[str]) -> None:
    suffix = artifact_suffix(specs)
    assert read_workflow_run({"SSM_RECONCILE_ARTIFACT_SUFFIX": suffix}).artifact_suffix == suffix
    assert not set('":<>|*?\r\n\\/') & set(suffix)
