"""Runs of merges: the reviewed plan is applied, or nothing is applied and a reviewer is asked.

Five things can happen between a review and its apply: the source changes, a target changes, a schedule
runs in between, main moves on, and the job runs twice.
"""

from __future__ import annotations

import pytest

from tests.workflows.prepared import prepared
from tests.workflows.stage import APPLY_ROLE, PLAN_ROLE, SECRET, Stage, log_of, results, spec
from tests.workflows.test_histories_review import RULES

pytestmark = pytest.mark.slow

ALL = spec("/app/**", "/shop/**")
EVERYTHING = {"/app/url": "https://example.org", "/app/key": SECRET, "/shop/limit": "100"}
CHANGED = {"ssm-apply-changed"}
WAITING = {"merged": "success", "approval": "waiting", "changed": "queued"}
APPROVED = {"merged": "success", "approval": "success", "changed": "success"}


@prepared
def reviewed(stage: Stage) -> None:
    """A pull request that brings /shop, planned and reviewed."""
    stage.open(ALL)
    stage.plan(jobs={"plan"})


def test_the_reviewed_plan_is_applied_and_the_comment_says_so(reviewed: Stage) -> None:
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds() == EVERYTHING
    assert "Applied 3 of 3 as reviewed" in reviewed.comment().body
    assert jobs["merged"].outputs["failure-reason"] == ""
    assert reviewed.assumed == [(PLAN_ROLE, "ssm-plan"), (APPLY_ROLE, "ssm-apply")]
    assert SECRET not in log_of(jobs) + reviewed.all_output()


def test_source_changed_nothing_is_applied_and_a_reviewer_is_asked(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "999")
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert reviewed.holds() == {}
    body = reviewed.comment().body
    assert "**Not applied**" in body
    assert "altered: create /shop/limit in us-east-2 (prod): source version 1 became 2" in body
    assert "If the run waits for its approval, approve it there" in body


def test_an_approved_plan_is_applied_as_it_was_shown(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "999")
    jobs = reviewed.push(reviewed.merge(), approved=CHANGED)
    assert results(jobs) == APPROVED, log_of(jobs)
    assert reviewed.holds() == {**EVERYTHING, "/shop/limit": "999"}
    assert "Applied 3 of 3 changes, as approved by `@bob`" in reviewed.comment().body


def test_target_changed_nothing_is_applied_and_the_existing_value_stays(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "by another writer", region="us-east-2")
    jobs = reviewed.push(reviewed.merge())
    assert reviewed.holds()["/shop/limit"] == "by another writer"
    body = reviewed.comment().body
    # the create is gone, a conflict took its place: nothing that is left was not reviewed
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert reviewed.holds()["/app/url"] == "https://example.org"
    assert "Applied 2 of 2" in body
    assert "1 reviewed change could not be made any more" in body
    assert (
        "/shop/limit in us-east-2: the parameter already exists, is not a replica, and differs in value"
        in body
    )


def test_a_target_that_needs_another_change_now_asks_a_reviewer(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "100", region="us-east-2")  # equal: it would be adopted, not created
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert set(reviewed.holds()) == {"/shop/limit"}
    assert "action create became adopt" in reviewed.comment().body


def test_a_schedule_that_ran_in_between_did_what_it_may_and_the_rest_is_applied(reviewed: Stage) -> None:
    reviewed.variables["SSM_SCHEDULE"] = "apply"
    jobs = reviewed.later("schedule")  # with the spec of main, which selects /app only
    assert results(jobs) == {"routine": "success"}, log_of(jobs)
    assert set(reviewed.holds()) == {"/app/url", "/app/key"}
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds() == EVERYTHING
    assert "Done since the plan was made, or no longer needed: 2." in log_of(jobs)
    assert "Applied 1 of 1" in reviewed.comment().body
    expected = "2 reviewed changes had been done before, or are no longer needed."
    assert expected in reviewed.comment().body


def test_main_moved_before_the_merge_the_difference_is_shown_and_a_reviewer_is_asked(reviewed: Stage) -> None:
    reviewed.put("/more/x", "1")
    reviewed._git("checkout", "--quiet", "-b", "other")
    (reviewed.repository / "more.txt").write_text("x")
    reviewed._git("checkout", "--quiet", "main")
    text = spec("/app/**").replace("delete: owned", "delete: owned\ntags: { add: { team: x } }")
    reviewed.commit(text)  # by another pull request
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert reviewed.holds() == {}
    assert "tags to add other than approved" in reviewed.comment().body


def test_main_moved_after_the_merge_the_run_that_is_out_of_date_applies_nothing(reviewed: Stage) -> None:
    first = reviewed.merge()
    last = reviewed.commit(spec("/app/**"))  # takes /shop out again, before the first run has begun
    before = reviewed.plan_comment().body
    jobs = reviewed.push(first)
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert reviewed.holds() == {}
    assert f"main has changed replication.yaml since {first[:7]}" in log_of(jobs)
    assert "start the run of the last commit of main" in log_of(jobs)
    assert reviewed.plan_comment().body == before
    assert "This merge was not applied by this run" in reviewed.comment().body
    jobs = reviewed.push(last)  # each of its changes is in the plan of the merge that it overtook
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert set(reviewed.holds()) == {"/app/url", "/app/key"}


def test_main_that_moved_on_without_the_spec_does_no_harm(reviewed: Stage) -> None:
    sha = reviewed.merge()
    reviewed.commit("words", "README.md")
    assert results(reviewed.push(sha)) == {"merged": "success"}
    assert reviewed.holds() == EVERYTHING


def test_the_job_ran_twice_the_second_has_nothing_to_do_and_says_nothing_else(reviewed: Stage) -> None:
    sha = reviewed.merge()
    reviewed.push(sha)
    body, held = reviewed.comment().body, reviewed.holds()
    jobs = reviewed.push(sha)
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds() == held
    assert reviewed.comment().body == body
    assert "Applied 3 of 3 as reviewed" in body


def test_a_comment_that_a_person_edited_is_not_what_was_reviewed(reviewed: Stage) -> None:
    comment = reviewed.plan_comment()
    reviewed.hub.edit(comment, comment.body.replace("/shop/limit", "/shop/other"), by="mallory")
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert reviewed.holds() == {}
    assert "was edited after the plan was posted" in reviewed.comment().body


def test_a_merge_without_a_reviewed_plan_asks_a_reviewer(stage: Stage) -> None:
    stage.open(ALL)  # its plan never ran
    jobs = stage.push(stage.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert stage.holds() == {}
    assert "no reviewed plan to apply" in stage.comment().body


def test_a_plan_of_an_earlier_commit_is_not_applied(reviewed: Stage) -> None:
    reviewed.open(spec("/app/**", "/shop/*"))  # one more commit, merged before its plan was there
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert "not of its last" in reviewed.comment().body
    assert reviewed.holds() == {}


def test_a_push_without_a_pull_request_asks_a_reviewer_and_shows_the_plan_in_the_summary(
    stage: Stage,
) -> None:
    jobs = stage.push(stage.commit(ALL))
    assert results(jobs) == WAITING, log_of(jobs)
    assert "of no merged pull request" in jobs["merged"].summary
    assert "3 changes" in jobs["merged"].summary
    assert not stage.hub.comments


def test_a_merge_that_changes_nothing_needs_no_review(stage: Stage) -> None:
    stage.open(spec("/none/**"))
    stage.plan(jobs={"plan"})
    assert not stage.hub.comments
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)


def test_an_expired_hold_that_stops_everything_asks_for_no_approval(stage: Stage) -> None:
    hold = '  hold: [{ match: "/**", until: "2020-01-01" }]\n'
    jobs = stage.push(stage.commit(RULES % ("", hold)))
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert jobs["merged"].outputs["failure-reason"] == "hold-expired"
    assert "**Not applied**" not in jobs["merged"].summary
    jobs = stage.push(stage.commit(RULES % ('    - "/shop/**"\n', hold.replace("/**", "/app/**"))))
    assert results(jobs) == WAITING, log_of(jobs)


def test_another_change_during_the_approval_is_refused_again(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "999")

    def meanwhile(job: str) -> None:
        if job == "changed":
            reviewed.put("/shop/limit", "1000")

    jobs = reviewed.push(reviewed.merge(), approved=CHANGED, meanwhile=meanwhile)
    assert results(jobs) == {**APPROVED, "changed": "failure"}, log_of(jobs)
    assert reviewed.holds() == {}
    assert "source version 2 became 3" in reviewed.comment().body


def test_a_change_of_main_during_the_approval_is_not_undone(reviewed: Stage) -> None:
    reviewed.put("/shop/limit", "999")

    def meanwhile(job: str) -> None:
        if job == "changed":
            reviewed.commit(spec("/app/**"))

    jobs = reviewed.push(reviewed.merge(), approved=CHANGED, meanwhile=meanwhile)
    assert results(jobs) == {**APPROVED, "changed": "failure"}, log_of(jobs)
    assert "main has changed replication.yaml" in log_of(jobs)
    assert reviewed.holds() == {}


def test_a_guard_that_withholds_a_change_fails_the_job_and_asks_no_one(stage: Stage) -> None:
    stage.push(stage.commit(ALL), approved=CHANGED)
    assert stage.holds() == EVERYTHING
    for name in ("/app/url", "/app/key"):
        stage.delete(name)
    stage.open(ALL.replace("delete: owned", "delete: owned\norphans: keep"))
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert jobs["merged"].outputs["failure-reason"] == "refused"
    assert stage.holds() == EVERYTHING, "two of three: more than half"


def test_an_expired_hold_alone_has_a_reason_of_its_own_and_keeps_the_issue_on_drift(stage: Stage) -> None:
    expired = '  hold: [{ match: /app/key, until: "2020-01-01" }]\n'
    stage.open(RULES % ('    - "/shop/**"\n', expired))
    stage.plan(jobs={"plan"})
    jobs = stage.push(stage.merge())
    assert results(jobs) == {"merged": "failure"}, log_of(jobs)
    assert jobs["merged"].outputs["failure-reason"] == "hold-expired"
    assert "all changes were applied, but a hold of the spec has expired" in log_of(jobs)
    assert "not all was applied" not in log_of(jobs)
    assert stage.holds().keys() == EVERYTHING.keys() - {"/app/key"}
    stage.put("/shop/limit", "200")
    stage.by_hand(mode="apply")
    assert stage.holds()["/shop/limit"] == "200"
    (issue,) = stage.hub.issues
    assert (issue.state, issue.title) == ("open", "SSM drift of prod: a hold has expired")


def test_a_schedule_looks_for_drift_with_the_plan_role_and_writes_nothing(stage: Stage) -> None:
    jobs = stage.later("schedule")
    assert results(jobs) == {"drift": "success"}, log_of(jobs)
    assert stage.assumed == [(PLAN_ROLE, "ssm-plan")]
    assert stage.holds() == {}
    assert any("SSM drift::" in line and "2 changes" in line for line in jobs["drift"].annotations)
    assert not stage.hub.comments


def test_drift_found_by_a_schedule_stays_in_one_issue_until_an_apply_fixes_it(stage: Stage) -> None:
    stage.later("schedule")
    stage.later("schedule")
    (issue,) = stage.hub.issues
    assert (issue.title, issue.state, issue.edits) == ("SSM drift of prod: 2 changes", "open", 0)
    assert SECRET not in issue.body
    jobs = stage.later("workflow_dispatch", mode="apply")
    assert results(jobs) == {"routine": "success"}, log_of(jobs)
    assert issue.state == "closed"
    stage.later("schedule")
    assert len(stage.hub.issues) == 1


def test_a_schedule_that_may_not_write_issues_says_so_and_goes_on(stage: Stage) -> None:
    stage.hub.denied.add("issues")
    jobs = stage.later("schedule")
    assert results(jobs) == {"drift": "success"}, log_of(jobs)
    assert any("no issue on drift" in line and "issues: write" in line for line in jobs["drift"].annotations)


def test_a_schedule_that_gets_no_credentials_says_so_in_the_issue(stage: Stage) -> None:
    stage.variables["SSM_PLAN_ROLE"] = "arn:aws:iam::123456789012:role/untrusted"
    jobs = stage.later("schedule")
    assert results(jobs) == {"drift": "failure"}, log_of(jobs)
    (issue,) = stage.hub.issues
    assert issue.title == "SSM drift of prod: the run made no plan"


@pytest.mark.parametrize("event", ["repository_dispatch", "workflow_dispatch"])
def test_a_dispatch_applies_under_guards(stage: Stage, event: str) -> None:
    jobs = stage.later(event, **({"mode": "apply"} if event == "workflow_dispatch" else {}))
    assert results(jobs) == {"routine": "success"}, log_of(jobs)
    assert set(stage.holds()) == {"/app/url", "/app/key"}
    assert stage.assumed == [(APPLY_ROLE, "ssm-apply")]


def test_by_hand_only_the_plan_with_the_id_is_applied(stage: Stage) -> None:
    jobs = stage.later("workflow_dispatch", mode="drift")
    plan_id = jobs["drift"].step("Plan").outputs["plan-id"]
    stage.put("/app/url", "changed")
    jobs = stage.later("workflow_dispatch", **{"mode": "drift", "plan-id": plan_id[:12]})
    assert results(jobs) == {"by-hand": "failure"}, log_of(jobs)
    assert stage.holds() == {}
    plan_id = stage.later("workflow_dispatch", mode="drift")["drift"].step("Plan").outputs["plan-id"]
    jobs = stage.later("workflow_dispatch", **{"mode": "drift", "plan-id": plan_id[:12]})
    assert results(jobs) == {"by-hand": "success"}, log_of(jobs)
    assert stage.holds()["/app/url"] == "changed"


def test_an_apply_whose_comment_github_does_not_take_is_an_apply_all_the_same(reviewed: Stage) -> None:
    reviewed.hub.denied.add("comment")
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == {"merged": "success"}, log_of(jobs)
    assert reviewed.holds() == EVERYTHING
    assert "Applied 3 of 3" in jobs["merged"].summary


def test_without_permission_to_read_artifacts_an_unreviewed_plan_is_not_applied(
    reviewed: Stage,
) -> None:
    reviewed.hub.denied.add("actions")
    jobs = reviewed.push(reviewed.merge())
    assert results(jobs) == WAITING, log_of(jobs)
    assert reviewed.holds() == {}
