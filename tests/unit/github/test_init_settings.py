"""`init --github`: the printed commands and `--apply`, on a local GitHub through a `gh` of the tests."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.github.content import REPOSITORY, Environment, Hub
from tests.unit.cli.conftest import SPEC, Cli

ROOT = Path(__file__).parents[3]
TOKEN = "ghs-secret-token-of-the-user"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVIEWERS = ("--reviewer", "alice", "--reviewer", "@acme/ops")
INIT = ("init", "--github", REPOSITORY, "--ref", COMMIT, "--code-owner", "@acme/ops")
CHECK = "ssm / SSM check"
COMMAND = re.compile("`ssm-reconcile ([^`]+)`")


@pytest.fixture
def fresh(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A public repository without any setting, a spec in its folder, and a `gh` that reaches it."""
    hub.visibility = "public"
    hub.tokens[TOKEN] = "alice"
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "bin").mkdir()
    gh = tmp_path / "bin" / "gh"
    gh.write_text(f'#!/bin/sh\nexec {sys.executable} -P {ROOT}/tests/github/gh.py "$@"\n')
    gh.chmod(0o755)
    text = SPEC.replace("region: us-east-1", 'region: us-east-1, account: "123456789012"')
    Path("replication.yaml").write_text(text)
    Path("specs").mkdir()
    for name in ("a", "b"):
        Path(f"specs/{name}.yaml").write_text(text.replace("prod", name).replace("/app/", f"/{name}/"))
    for name in ("GITHUB_WORKSPACE", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "PATH": f"{gh.parent}:/usr/bin:/bin", "GH_TOKEN": TOKEN, "GH_TEST_API": hub.api_url,
        "GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": hub.api_url,
        "GITHUB_SERVER_URL": "https://github.example.com",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return hub


def state(hub: Hub) -> Mapping[str, Any]:
    """Return all settings of the repository."""
    environments = {name: one.document | {"branches": one.branches} for name, one in hub.environments.items()}
    return copy.deepcopy({"environments": environments, "rulesets": hub.rulesets})


def problems(hub: Hub, cli: Cli, *specs: str) -> set[str]:
    """Return the checks of `doctor --github` that are not ok, after a push of the files."""
    files = [path for path in Path().rglob("*") if path.is_file() and path.parts[0] != "bin"]
    hub.contents = {path.as_posix(): path.read_bytes() for path in files}
    found = json.loads(cli("doctor", "--github", "--format", "json", *specs).stdout)
    return {f"{one['where']}: {one['subject']}" for one in found["checks"] if one["answer"] != "ok"}


def changes(hub: Hub) -> list[str]:
    return [f"{request.method} {request.path}" for request in hub.requests if request.method != "GET"]


def contexts(hub: Hub) -> list[str]:
    """Return the checks that the rulesets require."""
    rules = [rule for ruleset in hub.rulesets for rule in ruleset["rules"]]
    status = [rule["parameters"] for rule in rules if rule["type"] == "required_status_checks"]
    return [check["context"] for one in status for check in one["required_status_checks"]]


def run_script(text: str) -> None:
    done = subprocess.run(["sh", "-e"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("specs", [(), ("specs",), ("specs/a.yaml", "specs/b.yaml")])
def test_the_printed_commands_and_apply_make_the_same_settings_which_are_complete(
    fresh: Hub, cli: Cli, specs: tuple[str, ...]
) -> None:
    printed = cli(*INIT, *REVIEWERS, *specs)
    assert printed.exit_code == 0, printed.output
    assert fresh.requests == [], "nothing is sent"
    run_script(printed.stdout)
    by_script = state(fresh)
    fresh.environments.clear()
    fresh.rulesets.clear()
    applied = cli(*INIT, *REVIEWERS, "--apply", *specs)
    assert applied.exit_code == 0, applied.output
    assert without_ids(state(fresh)) == without_ids(by_script)
    assert {name: one.branches for name, one in fresh.environments.items()} == {
        "ssm-plan": None, "ssm-apply": ["main"], "ssm-apply-changed": ["main"],
    }  # fmt: skip
    assert fresh.environments["ssm-apply-changed"].reviewers == ["alice", "acme/ops"]
    assert contexts(fresh) == {
        0: [CHECK], 1: [CHECK],
        2: ["ssm (specs/a.yaml) / SSM check", "ssm (specs/b.yaml) / SSM check"],
    }[len(specs)]  # fmt: skip
    assert problems(fresh, cli, *specs) == set()
    assert cli("doctor", "--github", *specs).exit_code == 0


def without_ids(found: Any) -> Any:
    """Return settings without the ids that GitHub gives."""
    if isinstance(found, dict):
        return {key: without_ids(value) for key, value in found.items() if key != "id"}
    return [without_ids(one) for one in found] if isinstance(found, list) else found


def test_each_command_is_shown_before_it_is_run_and_a_second_run_changes_nothing(
    fresh: Hub, cli: Cli
) -> None:
    result = cli(*INIT, *REVIEWERS, "--apply")
    shown = [line.split()[3:5] for line in result.stderr.splitlines() if line.startswith("gh api")]
    assert [f"{method} /{path}" for method, path in shown] == changes(fresh)
    assert changes(fresh)[0] == f"PUT /repos/{REPOSITORY}/environments/ssm-plan"
    assert TOKEN not in result.output
    assert result.stdout == ""
    before = state(fresh)
    fresh.requests.clear()
    again = cli(*INIT, *REVIEWERS, "--apply")
    assert again.exit_code == 0, again.output
    assert "All settings on GitHub are complete." in again.stderr
    assert changes(fresh) == []
    assert state(fresh) == before


@pytest.mark.parametrize("specs", [(), ("specs",)])
def test_the_remedies_of_doctor_complete_a_repository_without_any_setting(
    fresh: Hub, cli: Cli, specs: tuple[str, ...]
) -> None:
    assert problems(fresh, cli, *specs)
    found = json.loads(cli("doctor", "--github", "--format", "json", *specs).stdout)["checks"]
    remedies = [one["remedy"] for one in found if one["answer"] != "ok"]
    commands = list(dict.fromkeys(command for one in remedies for command in COMMAND.findall(one)))
    assert len(commands) == 3, remedies
    for command in commands:
        words = shlex.split(command.replace("@OWNER", "@acme/ops").replace("NAME", "alice"))
        assert (result := cli(*words, "--ref", COMMIT)).exit_code == 0, result.output
    assert problems(fresh, cli, *specs) == {"environment ssm-apply-changed: required reviewers"}
    (remedy,) = (
        one["remedy"]
        for one in json.loads(cli("doctor", "--github", "--format", "json", *specs).stdout)["checks"]
        if one["answer"] == "failed"
    )
    (command,) = COMMAND.findall(remedy)
    assert cli(*shlex.split(command.replace("NAME", "alice")), "--ref", COMMIT).exit_code == 0
    assert problems(fresh, cli, *specs) == set()


def test_apply_keeps_a_workflow_that_a_person_changed(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT).exit_code == 0
    path = Path(".github/workflows/ssm-reconcile.yml")
    changed = path.read_text().replace("uses: OWNER/", "uses: acme/")
    path.write_text(changed)
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert result.exit_code == 0, result.output
    assert "Kept .github/workflows/ssm-reconcile.yml, which has another text" in result.stderr
    assert path.read_text() == changed
    assert problems(fresh, cli) == set()
    assert cli(*INIT, *REVIEWERS, "--apply", "--force").exit_code == 0
    assert path.read_text() != changed


def test_the_steps_depend_on_the_workflow_that_is_pushed_before_its_rules(fresh: Hub, cli: Cli) -> None:
    late = " ".join(cli(*INIT, *REVIEWERS, "--apply").stderr.split())
    assert "its plan does not count as reviewed" in late
    pushed = " ".join(cli(*INIT, *REVIEWERS, "--apply").stderr.split())
    assert "its plan is applied on merge" in pushed
    printed = cli(*INIT, *REVIEWERS).stderr.splitlines()
    names = ["iam stack", "cloudformation deploy", "git push origin main", "--apply", "doctor --github"]
    lines = [number for name in names for number, line in enumerate(printed) if name in line]
    assert lines == sorted(lines)
    assert len(lines) == len(names)
    again = next(line for line in printed if "--apply" in line)
    assert "--reviewer alice --reviewer @acme/ops --apply" in again


def test_settings_of_others_are_kept(fresh: Hub, cli: Cli) -> None:
    changed = Environment("ssm-apply-changed", 1, ["bob"], ["main"], prevent_self_review=True, wait_timer=5)
    fresh.environments = {
        "ssm-plan": Environment("ssm-plan", 2, ["bob"]),
        "ssm-apply": Environment("ssm-apply", 3, ["bob"], [], protected_branches=True),
        "ssm-apply-changed": changed,
    }
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    found = fresh.environments
    assert (found["ssm-plan"].reviewers, found["ssm-plan"].branches) == (["bob"], None)
    assert (found["ssm-apply"].reviewers, found["ssm-apply"].branches) == (["bob"], ["main"])
    assert changed.reviewers == ["bob", "alice", "acme/ops"]
    assert (changed.prevent_self_review, changed.wait_timer, changed.branches) == (True, 5, ["main"])


def test_a_ruleset_is_completed_and_keeps_other_rules_checks_and_bypasses(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    (ruleset,) = fresh.rulesets
    ruleset["bypass_actors"] = [{"actor_id": 1, "actor_type": "Team", "bypass_mode": "pull_request"}]
    ruleset["enforcement"] = "disabled"
    ruleset["conditions"]["ref_name"] = {"include": ["refs/heads/next"], "exclude": ["refs/heads/old"]}
    rules = {rule["type"]: rule for rule in ruleset["rules"]}
    review = rules["pull_request"]["parameters"]
    review |= {"required_approving_review_count": 2, "require_code_owner_review": False}
    status = rules["required_status_checks"]["parameters"]
    status["strict_required_status_checks_policy"] = True
    status["required_status_checks"].append({"context": "build"})
    ruleset["rules"] = [
        rules["pull_request"],
        rules["required_status_checks"],
        {"type": "required_signatures"},
    ]
    for _ in range(2):
        assert cli(*INIT, *REVIEWERS, "--apply", "--force", "specs/a.yaml", "specs/b.yaml").exit_code == 0
        (found,) = fresh.rulesets
        assert found["bypass_actors"] == ruleset["bypass_actors"]
        assert found["enforcement"] == "active"
        include = ["refs/heads/next", "~DEFAULT_BRANCH"]
        assert found["conditions"] == {"ref_name": {"include": include, "exclude": ["refs/heads/old"]}}
        kinds = {rule["type"]: rule.get("parameters", {}) for rule in found["rules"]}
        assert {"required_signatures", "deletion", "non_fast_forward"} < kinds.keys()
        assert kinds["pull_request"]["required_approving_review_count"] == 2
        assert kinds["pull_request"]["require_code_owner_review"] is True
        assert kinds["required_status_checks"]["strict_required_status_checks_policy"] is True
        checks = ["build", "ssm (specs/a.yaml) / SSM check", "ssm (specs/b.yaml) / SSM check"]
        assert contexts(fresh) == checks


def test_only_the_app_of_github_actions_may_report_the_check(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, "--apply").exit_code == 0
    rules = {rule["type"]: rule for rule in fresh.rulesets[0]["rules"]}
    (check,) = rules["required_status_checks"]["parameters"]["required_status_checks"]
    assert check == {"context": CHECK, "integration_id": 15368}


def test_a_private_repository_without_enterprise_refuses_reviewers_only(fresh: Hub, cli: Cli) -> None:
    fresh.visibility, fresh.plan = "private", "team"
    refused = cli(*INIT, *REVIEWERS, "--apply")
    assert refused.exit_code == 1
    assert "environment ssm-apply-changed: `gh api --method PUT" in refused.stderr
    assert "HTTP 422" in refused.stderr
    assert "GitHub Enterprise only: there run again without --reviewer" in " ".join(refused.stderr.split())
    assert fresh.environments.keys() == {"ssm-plan", "ssm-apply"}
    assert contexts(fresh) == [CHECK], "all that is possible is done"
    without = cli(*INIT, "--apply")
    assert without.exit_code == 0, without.output
    assert "no one can approve in ssm-apply-changed" in without.stderr
    assert fresh.environments["ssm-apply-changed"].branches == ["main"]
    assert problems(fresh, cli) & {"environment ssm-apply-changed: required reviewers"}, "a warning"


def test_a_private_repository_without_a_paid_plan_has_no_branch_rules(fresh: Hub, cli: Cli) -> None:
    fresh.visibility, fresh.plan = "private", "free"
    refused = cli(*INIT, "--apply")
    assert refused.exit_code == 1
    assert "on a paid plan of GitHub only" in " ".join(refused.stderr.split())
    assert not written()


def test_the_first_refusal_stops_and_the_next_run_goes_on(fresh: Hub, cli: Cli) -> None:
    fresh.fail("POST", "deployment-branch-policies$", 403, body=b'{"message": "not \\u001b[1m yours"}')
    refused = cli(*INIT, "--apply")
    assert refused.exit_code == 1
    assert "branches of environment ssm-apply: `gh api --method POST" in refused.stderr
    assert "\x1b" not in refused.stderr
    assert "must administer the repository" in " ".join(refused.stderr.split())
    assert [one.rpartition("/")[2] for one in changes(fresh)] == [
        "ssm-plan", "ssm-apply", "deployment-branch-policies",
    ]  # fmt: skip
    fresh.requests.clear()
    assert cli(*INIT, "--apply").exit_code == 0
    assert changes(fresh)[0].endswith("/ssm-apply/deployment-branch-policies")


def written() -> bool:
    return Path(".github").exists()


def test_without_gh_nothing_is_written(fresh: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path("nowhere").absolute()))
    result = cli(*INIT, "--apply")
    assert result.exit_code == 64
    assert "`gh`, which is not installed" in result.stderr
    assert "leave out --apply" in result.stderr
    assert not written()


def test_without_a_login_nothing_is_written(fresh: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_TOKEN")
    result = cli(*INIT, "--apply")
    assert result.exit_code == 1
    assert "no response, To get started with GitHub CLI" in " ".join(result.stderr.split())
    assert "gh auth status" in result.stderr
    assert not written()


def test_another_default_branch_is_refused_before_anything_is_written(fresh: Hub, cli: Cli) -> None:
    result = cli(*INIT, "--apply", "--branch", "trunk")
    assert result.exit_code == 64
    assert "the default branch of acme/params is main" in result.stderr
    assert "give --branch main" in result.stderr
    assert not written()


@pytest.mark.parametrize("name", ["mallory", "acme/unknown"])
def test_an_unknown_reviewer_is_named_and_nothing_is_changed(fresh: Hub, cli: Cli, name: str) -> None:
    result = cli(*INIT, "--apply", "--reviewer", name)
    assert result.exit_code == 1
    assert f"reviewer {name}: " in result.stderr
    assert changes(fresh) == []
    assert not written()


def test_a_token_that_may_only_read_is_reported(fresh: Hub, cli: Cli) -> None:
    fresh.restrict(TOKEN, {"actions": "write", "contents": "write"}, "alice")
    result = cli(*INIT, "--apply")
    assert result.exit_code == 1
    assert "environment ssm-plan: `gh api --method PUT" in result.stderr
    assert "HTTP 403" in result.stderr
    assert fresh.environments == {}
