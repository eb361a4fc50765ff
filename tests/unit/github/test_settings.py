"""`doctor --github`: each check in each of its states, on a local GitHub with the permissions of a token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import pytest

from ssm_reconcile.cli.doctor import repository_of
from ssm_reconcile.errors import UsageError
from ssm_reconcile.github import settings
from ssm_reconcile.github.code_owners import is_owned, read_entries
from tests.github.content import REPOSITORY, Hub
from tests.unit.cli.conftest import Cli

ROOT = Path(__file__).parents[3]
TOKEN = "ghs-secret-token-of-the-user"
CHECK = "check `SSM check`"
CALLED_CHECK = "check `ssm / SSM check`"
MERGES = ["pull request", "approving review", "last push", "code owners", CHECK]
PULL_REQUEST = {
    "type": "pull_request",
    "parameters": {
        "required_approving_review_count": 1, "require_last_push_approval": True,
        "require_code_owner_review": True,
    },
}  # fmt: skip
STATUS = {
    "type": "required_status_checks",
    "parameters": {"required_status_checks": [{"context": "SSM check", "integration_id": 15368}]},
}
ACTIONS = {"context": "SSM check", "app_id": 15368}
OWNERS = b"* @acme/all\n/replication.yaml @acme/ops\n/.github/ @acme/ops # all workflows\n"
ALL = {
    "actions": "read", "contents": "read", "variables": "read", "environments": "read",
    "administration": "read",
}  # fmt: skip
OWN_APPLY = """\
jobs:
  merged:
    environment: ssm-apply
    steps:
      - uses: acme/ssm-reconcile@0123456789012345678901234567890123456789
        with:
          command: apply
          reviewed: true
          plan-workflow: .github/workflows/plan.yml
"""
States: TypeAlias = Callable[..., dict[str, str]]


@pytest.fixture
def complete(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A public repository with every setting, and the variables of a terminal in its folder.

    It has two workflows that use the action; `called` is a fixture with a call of the reusable workflow.
    """
    hub.visibility = "public"
    for name in ("ssm-plan", "ssm-apply", "SSM-apply-changed"):
        hub.environment(name).branches = None if name == "ssm-plan" else ["main"]
    hub.environment("SSM-apply-changed").reviewers = ["bob"]
    hub.branch_rules = [PULL_REQUEST, STATUS]
    hub.contents = {
        ".github/workflows/plan.yml": b"jobs:\n  check:\n    name: SSM check\n",
        ".github/workflows/apply.yml": OWN_APPLY.encode(),
        ".github/CODEOWNERS": OWNERS, "replication.yaml": b"version: 1\n",
    }  # fmt: skip
    hub.variables["repository"] = {
        "SSM_PLAN_ROLE": "arn:1", "SSM_APPLY_ROLE": "arn:2", "SSM_REGION": "us-east-1", "SSM_ACCOUNT": "123",
    }  # fmt: skip
    hub.restrict(TOKEN, ALL, "alice")
    monkeypatch.chdir(tmp_path)
    for name in ("GH_TOKEN", "GITHUB_WORKSPACE", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": hub.api_url,
        "GITHUB_SERVER_URL": "https://github.example.com",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return hub


@pytest.fixture
def states(complete: Hub, cli: Cli) -> States:
    """Return a function: options -> the state of each check that is not ok, with the exit code checked."""

    def run(*words: str) -> dict[str, str]:
        result = cli("doctor", "--github", "--format", "json", *words)
        assert TOKEN not in result.output
        found = json.loads(result.stdout)
        jsonschema.validate(found, json.loads((ROOT / "schema" / "doctor.schema.json").read_text()))
        bad = {(one["where"], one["subject"]): one for one in found["checks"] if one["answer"] != "ok"}
        assert all(one["remedy"] for one in bad.values()), bad
        exact = {one["answer"] for one in bad.values()}
        assert result.exit_code == (3 if exact & {"failed", "unknown"} else 0), result.output
        return {f"{where}: {subject}": one["answer"] for (where, subject), one in bad.items()}

    return run


def branch(*subjects: str, state: str = "failed") -> dict[str, str]:
    return {f"branch main: {subject}": state for subject in subjects}


def test_a_complete_repository_passes_every_check(complete: Hub, cli: Cli) -> None:
    result = cli("doctor", "--github")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "acme/params: 0 missing, 0 could not be read, 0 warnings."
    assert result.stdout.count("  ok      ") == 21
    assert [request.method for request in complete.requests] == ["GET"] * len(complete.requests)


def test_a_token_without_any_permission_leaves_every_check_unknown(complete: Hub, states: States) -> None:
    complete.permissions[TOKEN] = {}
    complete.fail("GET", "rules/branches", 403)
    found = states()
    assert set(found.values()) == {"unknown"}
    assert set(found) == {
        *(f"environment {name}: environment" for name in ("ssm-plan", "ssm-apply", "ssm-apply-changed")),
        *branch(*MERGES[:-1], CALLED_CHECK),
        "CODEOWNERS: file",
        "workflows: .github/workflows",
    }


@pytest.mark.parametrize(
    ("permission", "unknown"),
    [
        ("actions", "environment ssm-apply: environment"),
        ("contents", "workflows: .github/workflows"),
        ("contents", "CODEOWNERS: file"),
        ("variables", "variables: SSM_PLAN_ROLE"),
        ("environments", "variables: SSM_NO_DECRYPT"),
    ],
)
def test_a_read_that_is_denied_names_the_permission(
    complete: Hub, states: States, cli: Cli, permission: str, unknown: str
) -> None:
    complete.permissions[TOKEN] = {name: level for name, level in ALL.items() if name != permission}
    assert states()[unknown] == "unknown"
    assert f"the token needs `{permission}: read`" in cli("doctor", "--github").stdout


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_repository_that_cannot_be_read_is_one_unknown_check(
    complete: Hub, states: States, status: int
) -> None:
    complete.fail("GET", f"repos/{REPOSITORY}$", status)
    assert states() == {"repository: access": "unknown"}


def test_a_file_that_is_absent_counts_as_missing_only_if_the_root_could_be_read(
    complete: Hub, states: States
) -> None:
    complete.fail("GET", "contents$", 404)
    assert states()["CODEOWNERS: file"] == "unknown"
    del complete.contents[".github/CODEOWNERS"]
    assert states()["CODEOWNERS: file"] == "failed"


def test_github_that_does_not_answer_is_exit_code_1(complete: Hub, cli: Cli) -> None:
    complete.fail("GET", "actions/variables", 502, times=9, headers={"Retry-After": "1000"})
    result = cli("doctor", "--github")
    assert (result.exit_code, result.stdout) == (1, "")
    assert TOKEN not in result.output


def test_a_response_of_another_form_is_exit_code_1_and_no_traceback(complete: Hub, cli: Cli) -> None:
    complete.fail("GET", "environments$", 200, body=b'{"environments": [{"name": null}, 7]}')
    result = cli("doctor", "--github")
    assert result.exit_code == 1
    assert "a form that this version does not know" in result.output


class TestEnvironments:
    @pytest.mark.parametrize("name", ["ssm-plan", "ssm-apply", "SSM-apply-changed"])
    def test_one_that_does_not_exist_is_missing(self, complete: Hub, states: States, name: str) -> None:
        del complete.environments[name]
        assert states() == {f"environment {name.lower()}: environment": "failed"}

    @pytest.mark.parametrize(
        ("visibility", "state"), [("public", "failed"), ("internal", "failed"), ("private", "warning")]
    )
    def test_a_private_repository_without_reviewers_is_a_warning(
        self, complete: Hub, states: States, cli: Cli, visibility: str, state: str
    ) -> None:
        complete.visibility = visibility
        complete.environment("SSM-apply-changed").reviewers.clear()
        assert states() == {"environment ssm-apply-changed: required reviewers": state}
        hint = "has required reviewers on GitHub Enterprise only"
        assert (hint in cli("doctor", "--github").stdout) == (visibility == "private")

    @pytest.mark.parametrize(
        ("branches", "message"),
        [
            (None, "every branch may use it"),
            ([], "its rule is not a list of selected branches"),
            (["main", "release/*"], "it also admits release/*"),
            (["main", "tag v1"], "it also admits tag v1"),
            (["tag main"], "it does not admit main: an apply cannot run"),
            (["master"], "it does not admit main: an apply cannot run"),
        ],
    )
    @pytest.mark.parametrize("name", ["ssm-apply", "SSM-apply-changed"])
    def test_a_rule_that_admits_anything_but_the_default_branch_fails(
        self, complete: Hub, states: States, cli: Cli, name: str, branches: list[str] | None, message: str
    ) -> None:
        complete.environment(name).branches = branches
        assert states() == {f"environment {name.lower()}: branches": "failed"}
        assert f"FAILED  branches: {message}" in cli("doctor", "--github").stdout

    def test_a_rule_that_admits_all_protected_branches_fails(self, complete: Hub, states: States) -> None:
        complete.environment("ssm-apply").protected_branches = True
        assert states() == {"environment ssm-apply: branches": "failed"}

    @pytest.mark.parametrize(
        ("rule", "subject", "state"),
        [
            ({"branches": ["main"]}, "branches", "failed"),
            ({"branches": ["**"]}, "branches", "failed"),
            ({"branches": [], "protected_branches": True}, "branches", "failed"),
            ({"reviewers": ["bob"]}, "required reviewers", "failed"),
            ({"wait_timer": 5}, "wait timer", "warning"),
        ],
    )
    def test_a_rule_that_stops_plans_is_reported_with_the_command_that_removes_it(
        self, complete: Hub, states: States, cli: Cli, rule: dict[str, Any], subject: str, state: str
    ) -> None:
        for name, value in rule.items():
            setattr(complete.environment("ssm-plan"), name, value)
        assert states() == {f"environment ssm-plan: {subject}": state}
        command = f"gh api --method PUT repos/{REPOSITORY}/environments/ssm-plan --input - <<<"
        assert command in " ".join(cli("doctor", "--github").stdout.split())

    @pytest.mark.parametrize(
        ("rule", "subject"),
        [({"reviewers": ["bob"]}, "required reviewers"), ({"wait_timer": 5}, "wait timer")],
    )
    def test_a_rule_that_lets_each_apply_wait_is_a_warning(
        self, complete: Hub, states: States, rule: dict[str, Any], subject: str
    ) -> None:
        for name, value in rule.items():
            setattr(complete.environment("ssm-apply"), name, value)
        assert states() == {f"environment ssm-apply: {subject}": "warning"}

    def test_branches_that_cannot_be_read_are_unknown(self, complete: Hub, states: States) -> None:
        complete.fail("GET", "environments/ssm-apply/deployment-branch-policies", 404)
        assert states() == {"environment ssm-apply: branches": "unknown"}


class TestRulesOfTheDefaultBranch:
    def test_a_branch_without_any_rule_lacks_all(self, complete: Hub, states: States) -> None:
        complete.branch_rules.clear()
        assert states() == branch(*MERGES)

    @pytest.mark.parametrize(
        ("parameter", "value", "subject"),
        [
            ("required_approving_review_count", 0, "approving review"),
            ("require_last_push_approval", False, "last push"),
            ("require_code_owner_review", False, "code owners"),
        ],
    )
    def test_each_parameter_of_the_pull_request_rule_is_a_check(
        self, complete: Hub, states: States, parameter: str, value: Any, subject: str
    ) -> None:
        parameters = PULL_REQUEST["parameters"]
        assert isinstance(parameters, dict)
        complete.branch_rules = [{**PULL_REQUEST, "parameters": {**parameters, parameter: value}}, STATUS]
        assert states() == branch(subject)

    def test_another_required_check_is_not_ours(self, complete: Hub, states: States) -> None:
        other = {"required_status_checks": [{"context": "lint"}]}
        complete.branch_rules = [PULL_REQUEST, {**STATUS, "parameters": other}]
        assert states() == branch(CHECK)

    def test_requirements_of_several_rulesets_and_the_classic_protection_add_up(
        self, complete: Hub, states: States
    ) -> None:
        complete.branch_rules = [{"type": "deletion"}, STATUS]
        reviews = {"required_approving_review_count": 2, "require_code_owner_reviews": True}
        complete.protection = {"required_pull_request_reviews": reviews}
        assert states() == branch("last push")
        complete.branch_rules = []
        reviews["require_last_push_approval"] = True
        complete.protection["required_status_checks"] = {"contexts": [], "checks": [ACTIONS]}
        assert states() == {}

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_classic_protection_that_cannot_be_read_leaves_the_rest_unknown(
        self, complete: Hub, states: States, cli: Cli, status: int
    ) -> None:
        complete.branch_rules = [PULL_REQUEST]
        complete.protection = {}
        complete.fail("GET", "branches/main/protection", status)
        assert states() == branch(CHECK, state="unknown")
        complete.permissions[TOKEN] = {name: "read" for name in ALL if name != "administration"}
        assert "the token needs `administration: read`" in cli("doctor", "--github").stdout

    def test_rules_that_cannot_be_read_leave_all_unknown_and_name_the_paid_plan(
        self, complete: Hub, states: States, cli: Cli
    ) -> None:
        complete.fail("GET", "rules/branches", 403, times=2)
        assert states() == branch(*MERGES, state="unknown")
        assert "a private repository has rules on a paid plan only" in cli("doctor", "--github").stdout


class TestCodeOwners:
    def test_a_repository_without_the_file(self, complete: Hub, states: States) -> None:
        del complete.contents[".github/CODEOWNERS"]
        assert states() == {"CODEOWNERS: file": "failed"}

    @pytest.mark.parametrize(
        ("text", "missing"),
        [
            ("/.github/ @o\n", ["replication.yaml", "action.yml"]),
            ("* @o\n/.github/workflows/\n", [".github/"]),
            ("* @o\n/.github/*\n", [".github/"]),
            ("* @o\naction.yml\n", ["action.yml"]),
            ("* @o\n*.yaml\n", ["replication.yaml"]),
            ("# * @o\n", ["replication.yaml", ".github/", "action.yml"]),
        ],
    )
    def test_each_file_that_decides_on_an_apply_needs_an_owner(
        self, complete: Hub, states: States, text: str, missing: list[str]
    ) -> None:
        complete.contents |= {".github/CODEOWNERS": text.encode(), "action.yml": b""}
        assert states() == {f"CODEOWNERS: {subject}": "failed" for subject in missing}

    def test_the_first_file_in_the_order_of_github_counts_and_must_be_owned_itself(
        self, complete: Hub, states: States
    ) -> None:
        del complete.contents[".github/CODEOWNERS"]
        complete.contents |= {"docs/CODEOWNERS": OWNERS, "CODEOWNERS": b"*.yaml @o\n.github/ @o\n"}
        assert states() == {"CODEOWNERS: CODEOWNERS": "failed"}
        del complete.contents["CODEOWNERS"]
        assert states() == {}

    def test_a_pattern_that_is_not_understood_is_unknown_unless_a_later_line_decides(
        self, complete: Hub, states: States
    ) -> None:
        complete.contents[".github/CODEOWNERS"] = b"* @o\n/[r]eplication.yaml\n/.github/ @o\n"
        assert states() == {"CODEOWNERS: replication.yaml": "unknown"}

    def test_a_line_with_an_error_is_missing_and_decides_nothing(self, complete: Hub, states: States) -> None:
        complete.codeowners_errors = [{"line": 2, "kind": "Unknown owner"}]
        assert states() == {"CODEOWNERS: lines": "failed", "CODEOWNERS: replication.yaml": "unknown"}

    def test_errors_of_lines_that_cannot_be_read_are_unknown(self, complete: Hub, states: States) -> None:
        complete.fail("GET", "codeowners/errors", 403)
        assert states() == {"CODEOWNERS: lines": "unknown"}

    def test_a_file_without_a_text_in_the_response_is_unknown(self, complete: Hub, states: States) -> None:
        large = b'{"type": "file", "encoding": "none", "content": ""}'
        complete.fail("GET", "contents/.github/CODEOWNERS", 200, body=large)
        assert states() == {"CODEOWNERS: file": "unknown"}

    def test_the_spec_of_the_command_line_is_checked(
        self, complete: Hub, states: States, tmp_path: Path
    ) -> None:
        complete.contents[".github/CODEOWNERS"] = b"/.github/ @o\n/specs/*.yaml @o\n"
        (tmp_path / "specs").mkdir()
        assert states("specs/prod.yaml") == {}
        assert states("specs") == {}
        assert states("other.yaml") == {"CODEOWNERS: other.yaml": "failed"}

    @pytest.mark.parametrize(
        ("pattern", "matching", "other"),
        [
            ("*", ["a", "a/b/c.txt"], []),
            ("*.js", ["a.js", "x/a.js"], ["a.jsx"]),
            ("/build/logs/", ["build/logs/a", "build/logs/b/c"], ["build/logs", "x/build/logs/a"]),
            ("docs/*", ["docs/a.md"], ["docs/b/a.md", "x/docs/a.md"]),
            ("apps/", ["apps/a", "x/apps/b/c"], ["apps"]),
            ("/apps/github", ["apps/github", "apps/github/a"], ["x/apps/github"]),
            ("**/logs", ["logs", "build/logs", "deep/build/logs/a"], ["logs2"]),
            ("a/**/b", ["a/b", "a/x/y/b"], ["a/xb"]),
            ("/a/**", ["a/b", "a/b/c"], ["b/a/c"]),
            ("fil?.txt", ["file.txt", "x/fil1.txt"], ["fil/.txt"]),
        ],
    )
    def test_a_pattern_matches_as_github_documents(
        self, pattern: str, matching: list[str], other: list[str]
    ) -> None:
        entries = read_entries(f"{pattern} @owner", frozenset())
        assert [name for name in (*matching, *other) if is_owned(entries, name)] == matching

    @pytest.mark.parametrize("pattern", ["!a", "[ab]", "a\\ b", "a**b", "*a*a*a*a*a*a"])
    def test_a_pattern_that_is_not_understood_is_reported(self, pattern: str) -> None:
        assert is_owned(read_entries(f"{pattern} @owner", frozenset()), "a") is None

    def test_an_owner_in_a_comment_does_not_count_and_an_address_does(self) -> None:
        assert is_owned(read_entries("* # @owner", frozenset()), "a") is False
        assert is_owned(read_entries("* ops@example.com", frozenset()), "a") is True


class TestVariables:
    @pytest.mark.parametrize("name", ["SSM_PLAN_ROLE", "SSM_APPLY_ROLE", "SSM_REGION", "SSM_ACCOUNT"])
    def test_one_that_is_not_set_is_missing(self, complete: Hub, states: States, name: str) -> None:
        value = complete.variables["repository"].pop(name)
        assert states() == {f"variables: {name}": "failed"}
        complete.variables["organization"] = {name: value}
        assert states() == {}
        complete.variables["organization"] = {name: ""}
        assert states() == {f"variables: {name}": "failed"}

    def test_one_of_an_environment_counts_for_its_jobs_and_not_for_their_conditions(
        self, complete: Hub, states: States
    ) -> None:
        here = complete.variables["repository"]
        moved = {name: here.pop(name) for name in ("SSM_REGION", "SSM_PLAN_ROLE")}
        complete.variables["ssm-plan"] = moved
        assert states() == {"variables: SSM_REGION": "failed", "variables: SSM_PLAN_ROLE": "failed"}
        complete.variables["ssm-apply"] = moved
        assert states() == {"variables: SSM_PLAN_ROLE": "failed"}

    def test_one_that_another_scope_may_have_is_unknown(self, complete: Hub, states: States) -> None:
        del complete.variables["repository"]["SSM_PLAN_ROLE"]
        complete.fail("GET", "organization-variables", 403)
        assert states() == {"variables: SSM_PLAN_ROLE": "unknown", "variables: SSM_NO_DECRYPT": "unknown"}

    @pytest.mark.parametrize(
        ("value", "state"), [("true", None), ("", None), ("false", "warning"), ("no", "failed")]
    )
    def test_plans_that_decrypt_are_a_warning(
        self, complete: Hub, states: States, value: str, state: str | None
    ) -> None:
        complete.variables["repository"]["SSM_NO_DECRYPT"] = value
        assert states() == ({"variables: SSM_NO_DECRYPT": state} if state else {})

    def test_the_variable_of_the_environment_has_precedence(self, complete: Hub, states: States) -> None:
        complete.variables["repository"]["SSM_NO_DECRYPT"] = "true"
        complete.variables["ssm-plan"] = {"SSM_NO_DECRYPT": "false"}
        assert states() == {"variables: SSM_NO_DECRYPT": "warning"}
        complete.fail("GET", "environments/ssm-plan/variables", 403)
        assert states() == {"variables: SSM_NO_DECRYPT": "unknown"}

    def test_all_pages_of_variables_are_read(self, complete: Hub, states: States) -> None:
        here = complete.variables["repository"]
        complete.variables["repository"] = {f"A{number}": "x" for number in range(65)} | here
        assert states() == {}


class TestWorkflows:
    @pytest.mark.parametrize("name", ["plan.yml", "apply.yml"])
    def test_one_that_does_not_exist_is_missing(self, complete: Hub, states: States, name: str) -> None:
        del complete.contents[f".github/workflows/{name}"]
        assert states() == {f"workflows: .github/workflows/{name}": "failed"}

    @pytest.mark.parametrize("text", ["# name: SSM check", "    name: SSM checks", "name: SSM check"])
    def test_a_plan_workflow_without_the_required_job_fails(
        self, complete: Hub, states: States, text: str
    ) -> None:
        complete.contents[".github/workflows/plan.yml"] = text.encode()
        assert states() == {"workflows: .github/workflows/plan.yml": "failed"}

    @pytest.mark.parametrize("text", ["  name: 'SSM check'", '    name: "SSM check" # required'])
    def test_the_name_of_the_job_may_have_quotes(self, complete: Hub, states: States, text: str) -> None:
        complete.contents[".github/workflows/plan.yml"] = text.encode()
        assert states() == {}

    def test_the_inputs_of_an_apply_workflow_may_be_in_flow_style(
        self, complete: Hub, states: States
    ) -> None:
        before, _ = OWN_APPLY.split("        with:\n")
        inputs = "{ command: apply, reviewed: true, plan-workflow: plan.yml }"
        complete.contents[".github/workflows/apply.yml"] = f"{before}        with: {inputs}\n".encode()
        assert states() == {}

    @pytest.mark.parametrize(
        ("text", "remedy"),
        [
            ("jobs: {}\n", "ssm-reconcile init --github"),
            ("# command: apply in ssm-apply\njobs: {}\n", "ssm-reconcile init --github"),
            (OWN_APPLY.replace("plan-workflow:", "# plan-workflow:"), "write `plan-workflow: .github/workf"),
            (OWN_APPLY.replace("plan.yml", "other.yml"), "write `plan-workflow: .github/workflows/plan.yml`"),
        ],
    )
    def test_an_apply_workflow_that_applies_no_reviewed_plan_fails(
        self, complete: Hub, states: States, cli: Cli, text: str, remedy: str
    ) -> None:
        complete.contents[".github/workflows/apply.yml"] = text.encode()
        assert states() == {"workflows: .github/workflows/apply.yml": "failed"}
        assert remedy in cli("doctor", "--github").stdout


CALLER = ".github/workflows/params.yml"
OF_PULLS = "\"${{ github.event_name == 'pull_request' }}\""
CALL = """\
on:
  pull_request: {branches: [main]}
  push: {branches: [main], paths: [replication.yaml, .github/workflows/params.yml]}
  schedule: [{cron: "23 4/6 * * *"}]
  workflow_dispatch: {inputs: {mode: {type: string}, plan-id: {type: string}, lift: {type: string}}}
permissions: {}
jobs:
  ssm:
    uses: acme/ssm-reconcile/.github/workflows/replicate.yml@%s # v0.2.0
    permissions:
      {actions: read, checks: write, contents: read, id-token: write, issues: write, pull-requests: write}
    with:
      plan-role: arn:aws:iam::123456789012:role/plan
      apply-role: arn:aws:iam::123456789012:role/apply
      region: us-east-1
""" % ("a" * 40)
TRIGGERS = CALL[: CALL.index("permissions")]
(DISPATCH,) = (line + "\n" for line in CALL.splitlines() if "workflow_dispatch" in line)


class TestCalls:
    """A repository with one workflow that calls the reusable workflow."""

    @pytest.fixture(autouse=True)
    def called(self, complete: Hub) -> Hub:
        for name in ("plan.yml", "apply.yml"):
            del complete.contents[f".github/workflows/{name}"]
        complete.contents[CALLER] = CALL.encode()
        complete.variables["repository"] = {}
        require(complete, "ssm / SSM check")
        return complete

    def test_a_whole_call_needs_no_variable_and_passes(self, states: States, cli: Cli) -> None:
        assert states() == {}
        text = cli("doctor", "--github").stdout
        assert "variables" not in text
        assert text.count("  ok      ssm: ") == 6

    def test_the_workflow_of_this_repository_is_a_call_with_variables(
        self, called: Hub, states: States
    ) -> None:
        del called.contents[CALLER]
        path = ".github/workflows/ssm-reconcile.yml"
        called.contents[path] = (ROOT / path).read_bytes()
        assert states() == {f"workflow {path}: ssm: {role}-role": "failed" for role in ("plan", "apply")}
        called.variables["repository"] = {"SSM_PLAN_ROLE": "arn:1", "SSM_APPLY_ROLE": "arn:2"}
        assert states() == {}
        called.variables["repository"]["SSM_NO_DECRYPT"] = "false"
        assert states() == {f"workflow {path}: ssm: no-decrypt": "warning"}
        called.fail("GET", "actions/variables", 403)
        assert set(states().values()) == {"unknown"}

    @pytest.mark.parametrize(
        ("old", "new", "subject", "state"),
        [
            ("a" * 40 + " #", "v0 #", "version", "failed"),
            ("a" * 40, "a" * 39, "version", "failed"),
            ("acme/ssm-reconcile/", "OWNER/ssm-reconcile/", "owner", "failed"),
            ("checks: write, ", "", "permissions", "failed"),
            ("issues: write", "issues: read", "permissions", "failed"),
            ("actions: read", "actions: write", None, None),
            ("contents: read", "contents: write", None, None),
            ("contents: read", "contents: none", "permissions", "failed"),
            ("arn:aws:iam::123456789012:role/plan", '""', "plan-role", "failed"),
            ("      apply-role: arn:aws:iam::123456789012:role/apply\n", "", "apply-role", "failed"),
            ("arn:aws:iam::123456789012:role/apply", "null", "apply-role", "failed"),
            ("arn:aws:iam::123456789012:role/apply", "", "apply-role", "failed"),
            ("      region: us-east-1\n", "", "region", "failed"),
            ("      region", "      no-decrypt: false\n      region", "no-decrypt", "warning"),
            ("      region", "      schedule: drift\n      region", None, None),
            ("      region", "      schedule: apply\n      region", None, None),
            ("      region", "      schedule: ${{ vars.A }}\n      region", None, None),
            ("      region", "      schedule: daily\n      region", "schedule input", "failed"),
        ],
    )
    def test_a_fault_of_a_call(
        self, called: Hub, states: States, old: str, new: str, subject: str | None, state: str | None
    ) -> None:
        assert CALL.count(old) == 1
        called.contents[CALLER] = CALL.replace(old, new).encode()
        assert states() == ({f"workflow {CALLER}: ssm: {subject}": state} if subject else {})

    @pytest.mark.parametrize(
        ("line", "subject", "state"),
        [
            ("if: false", "if", "failed"),
            ("if: ${{ false }}", "if", "failed"),
            ("if: github.event_name != 'pull_request'", "if", "unknown"),
            ("if: ${{ github.repository == 'acme/params' }}", None, None),
            ("if: github.repository_owner == 'other'", "if", "unknown"),
            ("if: ${{ !cancelled() }}", None, None),
            ("concurrency: {group: a, cancel-in-progress: true}", "concurrency", "failed"),
            ("concurrency: {group: a, cancel-in-progress: '${{ vars.A }}'}", "concurrency", "unknown"),
            (
                "concurrency: {group: a, cancel-in-progress: \"${{ github.event_name == 'pull_request' }}\"}",
                "concurrency", "failed",
            ),
            (
                f"concurrency: {{group: 'a-${{{{ github.ref }}}}', cancel-in-progress: {OF_PULLS}}}",
                "concurrency", "warning",
            ),
            ("concurrency: {group: a, cancel-in-progress: false}", "concurrency", "warning"),
            ("concurrency: a", "concurrency", "warning"),
            ("concurrency: 'a-${{ github.run_id }}'", None, None),
            ("needs: [lint, test]", "needs", "unknown"),
            ("needs: test", None, None),
            ("if: always()\n    needs: lint", None, None),
            ("strategy: {matrix: {spec: [replication.yaml, b.yaml]}}", "fail-fast", "failed"),
            ("strategy: {fail-fast: true, matrix: {spec: [a, replication.yaml]}}", "fail-fast", "failed"),
            ("strategy: {matrix: {spec: [replication.yaml]}}", None, None),
        ],
    )  # fmt: skip
    def test_a_condition_a_matrix_or_a_queue_that_skips_or_cancels_a_call_is_reported(
        self, called: Hub, states: States, line: str, subject: str | None, state: str | None
    ) -> None:
        others = "  lint: { if: github.event_name == 'push' }\n  test: {}\n"
        called.contents[CALLER] = CALL.replace("  ssm:\n", f"{others}  ssm:\n    {line}\n").encode()
        if "matrix" in line:
            listed = line.partition("[")[2].partition("]")[0].split(", ")
            require(called, *(f"ssm ({one}) / SSM check" for one in listed))
        assert states() == ({f"workflow {CALLER}: ssm: {subject}": state} if subject else {})

    @pytest.mark.parametrize(
        ("old", "new", "subject"),
        [
            ("permissions: {}", "concurrency: {group: a, cancel-in-progress: true}", "concurrency"),
            ("      region", "      regoin: x\n      region", "inputs"),
            ("      region", "      schedule: aply\n      region", "schedule input"),
            ("on:\n", "on:\n  pull_request_target:\n", "pull_request_target"),
        ],
    )
    def test_a_setting_that_github_refuses_or_that_stops_an_apply_fails(
        self, called: Hub, states: States, old: str, new: str, subject: str
    ) -> None:
        called.contents[CALLER] = CALL.replace(old, new, 1).encode()
        assert states() == {f"workflow {CALLER}: ssm: {subject}": "failed"}

    def test_a_filter_of_branches_that_is_not_understood_removes_no_protection(
        self, called: Hub, states: States
    ) -> None:
        text = CALL.replace("{branches: [main]}", "{branches: ['ma[i]n']}", 1)
        assert text != CALL
        called.contents[CALLER] = text.encode()
        assert states() == {
            f"branch main: {CALLED_CHECK}": "unknown", f"workflow {CALLER}: ssm: pull_request": "failed",
        }  # fmt: skip

    def test_a_call_for_the_root_of_the_repository_is_judged(self, called: Hub, states: States) -> None:
        for line in ("spec: ./", 'spec: ""', "spec:"):
            called.contents[CALLER] = CALL.replace("      region", f"      {line}\n      region", 1).encode()
            assert states(), line

    def test_a_workflow_with_a_long_script_or_a_byte_order_mark_is_read(
        self, called: Hub, states: States
    ) -> None:
        script = f"  other:\n    steps: [{{run: {'x' * 5000}}}]\n"
        called.contents[CALLER] = f"\ufeff{CALL}{script}".encode()
        assert states() == {}

    def test_a_step_with_the_placeholder_of_the_owner_is_reported(self, called: Hub, states: States) -> None:
        own = ".github/workflows/validate.yml"
        step = "{uses: OWNER/ssm-reconcile@main, with: {command: validate}}"
        called.contents[own] = f"on: push\njobs:\n  a:\n    steps: [{step}]\n".encode()
        assert states() == {f"workflows: {own}: owner": "failed"}
        called.contents[own] = called.contents[own].replace(b"OWNER", b"acme")
        assert states() == {}

    def test_a_workflow_whose_command_is_an_expression_may_apply(self, called: Hub, states: States) -> None:
        own = ".github/workflows/plan.yml"
        step = '{uses: acme/ssm-reconcile@main, with: {command: "${{ inputs.command }}"}}'
        called.contents[own] = f"on: push\njobs:\n  a:\n    steps: [{step}]\n".encode()
        assert states() == {f"workflows: {own}": "failed"}

    def test_more_workflows_than_are_read_leave_unknown_what_the_others_may_have(
        self, called: Hub, states: States, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(settings, "MOST_WORKFLOWS", 2)
        called.contents |= {f".github/workflows/a{one}.yml": b"on: push\njobs: {}\n" for one in "12"}
        called.contents[".github/CODEOWNERS"] = b"* @acme/ops\n"
        assert states() == {"workflows: .github/workflows": "unknown"}, "a call is not reported as missing"
        called.branch_rules = [PULL_REQUEST]
        unknown = {"workflows: .github/workflows": "unknown", **branch(CALLED_CHECK, state="unknown")}
        assert states() == unknown
        require(called, "ssm / SSM check")
        first = ".github/workflows/ssm-reconcile.yml"
        called.contents[first] = CALL.encode()
        assert states() == {"workflows: .github/workflows": "unknown"}
        unknown = {"workflows: .github/workflows": "unknown", "workflows: other.yaml": "unknown"}
        assert states("other.yaml") == unknown

    @pytest.mark.parametrize(
        "name",
        ["ssm-a / SSM check", "ssm (specs/old.yaml) / SSM check", "params (a) / SSM check", "SSM check"],
    )
    def test_a_required_check_that_no_call_reports_is_named_with_the_command_that_removes_it(
        self, called: Hub, states: States, cli: Cli, name: str
    ) -> None:
        require(called, "ssm / SSM check", "lint / check", "a / b / SSM check", name)
        assert states() == branch(f"check `{name}`")
        text = " ".join(cli("doctor", "--github").stdout.split())
        assert "no workflow on main reports it, so no pull request can be merged" in text
        assert "remove it from the ruleset, which may be one of the organization" in text
        require(called, "ssm / SSM check")
        called.protection = {"required_status_checks": {"contexts": [name]}}
        assert states() == branch(f"check `{name}`")
        path = f"repos/{REPOSITORY}/branches/main/protection/required_status_checks/contexts"
        text = " ".join(cli("doctor", "--github").stdout.split())
        assert f"""`gh api --method DELETE {path} --input - <<< '{{"contexts": ["{name}"]}}'`""" in text
        called.contents[".github/workflows/own.yml"] = b"jobs:\n  x:\n    name: SSM check\n"
        assert states() == branch(f"check `{name}`", state="unknown")

    def test_a_check_that_everyone_may_report_is_a_warning_and_one_of_another_app_fails(
        self, called: Hub, states: States, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = {"required_status_checks": [{"context": "ssm / SSM check"}]}
        rule = {"type": "required_status_checks", "parameters": status}
        called.branch_rules = [PULL_REQUEST, rule]
        subject = "branch main: source of `ssm / SSM check`"
        assert states() == {subject: "warning"}
        called.protection = {
            "required_status_checks": {"checks": [{"context": "ssm / SSM check", "app_id": 15368}]}
        }
        assert states() == {}, "one of the rules names the app"
        called.protection = {
            "required_status_checks": {"checks": [{"context": "ssm / SSM check", "app_id": -1}]}
        }
        assert states() == {subject: "warning"}
        status["required_status_checks"][0]["integration_id"] = 7  # type: ignore[assignment] # a number
        assert states() == {}, "the id of GitHub Actions on another server is unknown"
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
        assert states() == {subject: "failed"}

    def test_a_job_with_every_write_permission_has_the_needed_ones(self, called: Hub, states: States) -> None:
        (line,) = (line for line in CALL.splitlines() if "actions: read" in line)
        for word, state in {"write-all": {}, "read-all": {"permissions": "failed"}}.items():
            called.contents[CALLER] = CALL.replace(f"permissions:\n{line}", f"permissions: {word}").encode()
            assert states() == {f"workflow {CALLER}: ssm: {key}": one for key, one in state.items()}

    def test_the_permissions_of_the_workflow_count_for_a_job_without_its_own(
        self, called: Hub, states: States
    ) -> None:
        (line,) = (line for line in CALL.splitlines() if "actions: read" in line)
        text = CALL.replace(f"    permissions:\n{line}\n", "")
        called.contents[CALLER] = text.encode()
        assert states() == {f"workflow {CALLER}: ssm: permissions": "failed"}
        called.contents[CALLER] = text.replace("permissions: {}", f"permissions: {line.strip()}").encode()
        assert states() == {}

    def test_each_spec_of_a_matrix_has_a_check_to_require(self, called: Hub, states: States) -> None:
        matrix = "  ssm:\n    strategy: {fail-fast: false, matrix: {spec: [specs/a.yaml, specs/b.yaml]}}\n"
        called.contents[CALLER] = CALL.replace("  ssm:\n", matrix).encode()
        names = [f"check `ssm (specs/{one}.yaml) / SSM check`" for one in "ab"]
        found = {key: one for key, one in states().items() if key.startswith("branch")}
        assert found == branch(*names, CALLED_CHECK), "no call reports the former check"
        require(called, "ssm (specs/a.yaml) / SSM check")
        found = {key: one for key, one in states().items() if key.startswith("branch")}
        assert found == branch(names[1])

    @pytest.mark.parametrize(
        "line",
        [
            '    strategy: {fail-fast: false, matrix: {spec: "${{ fromJSON(vars.S) }}"}}\n',
            "    name: ${{ github.ref }}\n",
        ],
    )
    def test_the_checks_of_an_expression_are_unknown(self, called: Hub, states: States, line: str) -> None:
        called.contents[CALLER] = CALL.replace("  ssm:\n", f"  ssm:\n{line}").encode()
        unknown = branch(CALLED_CHECK, state="unknown")
        assert states() == {f"workflow {CALLER}: ssm: checks": "unknown", **unknown}

    def test_a_repository_without_a_call_gets_the_command(
        self, called: Hub, states: States, cli: Cli
    ) -> None:
        called.contents[CALLER] = b"on: push\njobs: {}\n"
        assert states() == {"workflows: .github/workflows/ssm-reconcile.yml": "failed"}
        assert f"`ssm-reconcile init --github {REPOSITORY}`" in cli("doctor", "--github").stdout

    def test_a_call_that_cannot_be_read_is_unknown(self, called: Hub, states: States) -> None:
        called.contents[CALLER] = b"jobs: {uses: ./.github/workflows/replicate.yml\n"
        assert states()[f"workflows: {CALLER}"] == "unknown"

    @pytest.mark.parametrize(
        ("old", "new", "event"),
        [
            (TRIGGERS, "on: {workflow_dispatch: }\n", "pull_request push schedule workflow_dispatch"),
            (TRIGGERS, "on: [pull_request]\n", "push schedule workflow_dispatch"),
            (TRIGGERS, "on: push\n", "pull_request schedule workflow_dispatch"),
            ("request: {branches: [main]}", "request: {branches: [dev]}", "pull_request"),
            ("request: {branches: [main]}", "request: {branches-ignore: [m*]}", "pull_request"),
            ("request: {branches: [main]}", "request: {branches: [main], paths: [a.yaml]}", "pull_request"),
            ("request: {branches: [main]}", "request: {types: [opened]}", "pull_request"),
            ("push: {branches: [main]", "push: {branches: [main, '!ma*']", "push"),
            ("push: {branches: [main], paths: [replication.yaml,", "push: {paths: ['*.yml',", "push"),
            ("push: {branches: [main], paths", "push: {branches: [main], paths-ignore", "push"),
            ("push: {branches: [main], paths:", "push: {tags:", "push"),
            ("push: {branches: [main], paths", "push: {tags: [v1], paths", "push"),
            ("push: {branches: [main], paths", "push: {tags-ignore: [v1], paths", "push"),
            ('  schedule: [{cron: "23 4/6 * * *"}]\n', "", "schedule"),
            ('[{cron: "23 4/6 * * *"}]', "[]", "schedule"),
            ("23 4/6 * * *", "nonsense", "schedule"),
            (DISPATCH, "", "workflow_dispatch"),
            (DISPATCH, "  workflow_dispatch:\n", "workflow_dispatch"),
            ("plan-id: {type: string}", "planid: {type: string}", "workflow_dispatch"),
            (", lift: {type: string}", "", "workflow_dispatch"),
        ],
    )
    def test_an_event_that_does_not_start_the_call_fails(
        self, called: Hub, states: States, cli: Cli, old: str, new: str, event: str
    ) -> None:
        assert CALL.count(old) == 1
        called.contents[CALLER] = CALL.replace(old, new).encode()
        found = states()
        assert found.pop(f"branch main: {CALLED_CHECK}", "") in {"failed", ""}
        assert found == {f"workflow {CALLER}: ssm: {one}": "failed" for one in event.split()}
        text = cli("doctor", "--github").stdout
        assert all(f"write `{one}: " in text for one in event.split())

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (CALL[: CALL.index("  schedule")], "on:\n  pull_request:\n  push:\n"),
            (
                "push: {branches: [main], paths: [replication.yaml,",
                "push: {branches: ['**'], paths: ['*.yaml',",
            ),
            ("push: {branches: [main], paths", "push: {branches: ['m*n'], branches-ignore: [x], paths"),
            ("push: {branches: [main], paths: [replication.yaml,", "push: {paths: ['**/rep*',"),
        ],
    )
    def test_filters_that_admit_the_branch_and_the_spec_pass(
        self, called: Hub, states: States, old: str, new: str
    ) -> None:
        assert CALL.count(old) == 1
        called.contents[CALLER] = CALL.replace(old, new).encode()
        assert states() == {}

    def test_a_spec_with_a_space_in_its_path_is_in_the_filter_of_paths(self, called: Hub, cli: Cli) -> None:
        text = CALL.replace("    with:\n", "    with:\n      spec: specs/a b.yaml\n")
        text = text.replace("[replication.yaml", "[specs/a b.yaml")
        assert text.count("specs/a b.yaml") == 2
        called.contents[CALLER] = text.encode()
        found = cli("doctor", "--github", "specs/a b.yaml").stdout
        assert "leaves out" not in found
        assert f"{CALLER} plans and applies it" in found
        called.contents[CALLER] = text.replace("[specs/a b.yaml", "[specs/a c.yaml").encode()
        assert "leaves out specs/a b.yaml" in cli("doctor", "--github", "specs/a b.yaml").stdout

    def test_a_folder_needs_all_of_its_files_in_the_filter_of_paths(
        self, called: Hub, states: States, tmp_path: Path
    ) -> None:
        (tmp_path / "specs").mkdir()
        called.contents["specs/a.yaml"] = b"version: 1\n"
        called.contents[".github/CODEOWNERS"] = b"* @acme/ops\n"
        text = CALL.replace("    with:\n", "    with:\n      spec: specs\n")
        called.contents[CALLER] = text.replace("[replication.yaml,", "[specs/**,").encode()
        assert states("specs") == {}
        called.contents[CALLER] = text.replace("[replication.yaml,", "[specs/a.yaml,").encode()
        assert states("specs") == {f"workflow {CALLER}: ssm: push": "failed"}

    def test_a_folder_whose_single_spec_is_judged_may_have_all_files_in_the_filter(
        self, called: Hub, states: States
    ) -> None:
        called.contents["specs/a.yaml"] = b"version: 1\n"
        called.contents[".github/CODEOWNERS"] = b"* @acme/ops\n"
        text = CALL.replace("    with:\n", "    with:\n      spec: specs\n")
        called.contents[CALLER] = text.replace("[replication.yaml,", "[specs/**,").encode()
        assert states("specs/a.yaml") == {}
        called.contents[CALLER] = text.replace("[replication.yaml,", "[other/**,").encode()
        assert states("specs/a.yaml") == {f"workflow {CALLER}: ssm: push": "failed"}

    def test_a_workflow_of_another_tool_with_the_name_of_a_former_one_is_not_to_be_removed(
        self, called: Hub, states: States
    ) -> None:
        step = "run: aws ssm get-parameter --name /x && terraform plan"
        called.contents[".github/workflows/plan.yml"] = (
            f"on: push\njobs: {{p: {{steps: [{{{step}}}]}}}}\n".encode()
        )
        assert states() == {}

    def test_a_spec_that_no_call_names_fails_with_the_line_to_write(
        self, called: Hub, states: States, cli: Cli
    ) -> None:
        text = CALL.replace("    with:\n", "    with:\n      spec: other.yaml\n")
        called.contents[CALLER] = text.replace("[replication.yaml,", "['*.yaml',").encode()
        assert states() == {"workflows: replication.yaml": "failed"}
        assert "write `spec: replication.yaml` in .github/workflows/params.yml" in cli(
            "doctor", "--github"
        ).stdout  # fmt: skip

    @pytest.mark.parametrize(("listed", "bad"), [("replication.yaml, b.yaml", 0), ("a.yaml, b.yaml", 1)])
    def test_the_specs_of_a_matrix_are_those_of_its_list(
        self, called: Hub, states: States, listed: str, bad: int
    ) -> None:
        matrix = f"  ssm:\n    strategy: {{fail-fast: false, matrix: {{one: [{listed}]}}}}\n"
        text = CALL.replace("  ssm:\n", matrix).replace(
            "    with:", "    with:\n      spec: ${{ matrix.one }}"
        )
        called.contents[CALLER] = text.replace("paths: [replication.yaml,", "paths: ['*.yaml',").encode()
        require(called, *(f"ssm ({one}) / SSM check" for one in listed.split(", ")))
        assert states() == ({"workflows: replication.yaml": "failed"} if bad else {})

    @pytest.mark.parametrize("name", ["plan.yml", "apply.yml", "former.yml"])
    def test_a_workflow_that_applies_beside_the_call_fails(
        self, called: Hub, states: States, cli: Cli, name: str
    ) -> None:
        called.contents[f".github/workflows/{name}"] = OWN_APPLY.encode()
        assert states() == {f"workflows: .github/workflows/{name}": "failed"}
        assert f"git rm .github/workflows/{name}" in cli("doctor", "--github").stdout

    @pytest.mark.parametrize(
        ("line", "is_former"),
        [("run: ssm-reconcile validate", False), ("run: ssm-reconcile -v plan --no-decrypt", True),
         ("uses: acme/ssm-reconcile@v1", True),
         ("{uses: acme/ssm-reconcile@v1, with: {command: validate}}", False)],
    )  # fmt: skip
    def test_a_plan_workflow_beside_the_call_is_reported_if_it_plans(
        self, called: Hub, states: States, line: str, is_former: bool
    ) -> None:
        text = f"on: pull_request\njobs:\n  tf:\n    steps:\n      - run: terraform plan\n      - {line}\n"
        called.contents[".github/workflows/plan.yml"] = text.encode()
        assert states() == ({"workflows: .github/workflows/plan.yml": "failed"} if is_former else {})

    @pytest.mark.parametrize("names", [("ssm.yml",), ("ssm-plan.yml", "plan.yml")])
    def test_own_workflows_with_other_names_are_unknown_and_no_second_one_is_proposed(
        self, called: Hub, states: States, cli: Cli, names: tuple[str, ...]
    ) -> None:
        del called.contents[CALLER]
        called.contents |= {f".github/workflows/{name}": OWN_APPLY.encode() for name in names}
        require(called, "mine / SSM checks")
        assert states() == {f"workflows: .github/workflows/{name}": "unknown" for name in names}
        text = cli("doctor", "--github").stdout
        assert "not checked: this workflow of your own uses the action with `command: apply`" in text

    @pytest.mark.parametrize("name", ["plan.yml", "other.yml"])
    def test_a_workflow_of_something_else_beside_the_call_passes(
        self, called: Hub, states: States, name: str
    ) -> None:
        called.contents[f".github/workflows/{name}"] = b"on: push\njobs: {} # not ssm-reconcile\n"
        assert states() == {}

    @pytest.mark.parametrize(
        "text",
        [
            "    uses: acme/db/.github/workflows/replicate.yml@main\n",
            "    uses: ./.github/workflows/replicate.yml\n    with: {database: orders}\n",
        ],
    )
    def test_a_reusable_workflow_of_something_else_with_the_same_name_is_not_a_call(
        self, called: Hub, states: States, text: str
    ) -> None:
        called.contents[".github/workflows/db.yml"] = f"on: push\njobs:\n  db:\n{text}".encode()
        assert states() == {}

    @pytest.mark.parametrize("repository", ["me/SSM-reconcile", "me/renamed"])
    def test_a_fork_and_a_repository_that_gets_the_roles_are_called(
        self, called: Hub, states: States, repository: str
    ) -> None:
        called.contents[CALLER] = CALL.replace("acme/ssm-reconcile/", f"{repository}/").encode()
        assert states() == {}

    @pytest.mark.parametrize("role", ["plan-role", "apply-role"])
    def test_a_repository_with_another_name_that_gets_one_role_is_called_without_the_other(
        self, called: Hub, states: States, role: str
    ) -> None:
        renamed = CALL.replace("acme/ssm-reconcile/", "me/renamed/")
        called.contents[CALLER] = re.sub(rf"      {role}: .*\n", "", renamed).encode()
        assert states() == {f"workflow {CALLER}: ssm: {role}": "failed"}

    def test_the_check_of_a_call_that_no_pull_request_starts_must_not_be_required(
        self, called: Hub, states: States, cli: Cli
    ) -> None:
        second = ".github/workflows/dr.yml"
        text = CALL.replace("  pull_request: {branches: [main]}\n", "").replace("  ssm:\n", "  dr:\n")
        text = text.replace("    with:\n", "    with:\n      spec: dr.yaml\n")
        called.contents[second] = text.replace("[replication.yaml,", "[dr.yaml,").encode()
        assert states() == {f"workflow {second}: dr: pull_request": "failed"}
        require(called, "ssm / SSM check", "dr / SSM check")
        assert states()["branch main: check `dr / SSM check`"] == "failed"
        assert f"pull requests do not start {second}, which reports it" in cli("doctor", "--github").stdout

    def test_two_calls_of_one_spec_or_with_one_check_fail(self, called: Hub, states: States) -> None:
        second = ".github/workflows/second.yml"
        called.contents[second] = CALL.encode()
        check = "workflows: check `ssm / SSM check`"
        assert states() == {check: "failed", "workflows: replication.yaml: calls": "failed"}
        called.contents[second] = CALL.replace("  ssm:\n", "  second:\n").encode()
        require(called, "ssm / SSM check", "second / SSM check")
        assert states() == {"workflows: replication.yaml: calls": "failed"}
        text = CALL.replace("    with:\n", "    with:\n      spec: other.yaml\n")
        called.contents[second] = text.replace("[replication.yaml,", "[other.yaml,").encode()
        require(called, "ssm / SSM check")
        assert states() == {check: "failed"}


def require(hub: Hub, *names: str) -> None:
    """Let a ruleset require checks."""
    checks = [{"context": name, "integration_id": 15368} for name in names]
    parameters = {"required_status_checks": checks}
    hub.branch_rules = [PULL_REQUEST, {"type": "required_status_checks", "parameters": parameters}]


def test_hostile_names_in_responses_are_escaped(complete: Hub, cli: Cli) -> None:
    hostile = "x\x1b[31m\u202e\n::error::"
    complete.environment("ssm-apply").branches = ["main", hostile]
    text = cli("doctor", "--github").stdout
    assert "it also admits x" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert not any(line.startswith("::") for line in text.splitlines())
    assert not {"\x1b", "\u202e"} & set(cli("doctor", "--github", "--format", "json").stdout)


class TestUsage:
    def test_a_token_that_is_not_set_is_a_usage_error_with_the_command(
        self, complete: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GITHUB_TOKEN")
        monkeypatch.setenv("PATH", "/nonexistent")
        result = cli("doctor", "--github")
        assert result.exit_code == 64
        assert "run `gh auth login`, or export GITHUB_TOKEN" in " ".join(result.output.split())
        monkeypatch.setenv("GH_TOKEN", TOKEN)
        assert cli("doctor", "--github").exit_code == 0

    def test_the_token_is_that_of_gh_for_the_server_and_is_not_shown(
        self, complete: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("GITHUB_TOKEN")
        gh = tmp_path / "bin" / "gh"
        gh.parent.mkdir()
        gh.write_text(f'#!/bin/sh\ntest "$*" = "auth token --hostname github.example.com" && echo {TOKEN}\n')
        gh.chmod(0o755)
        monkeypatch.setenv("PATH", f"{gh.parent}:/usr/bin:/bin")
        result = cli("doctor", "--github")
        assert result.exit_code == 0, result.output
        assert TOKEN not in result.output
        gh.write_text(f"#!/bin/sh\necho {TOKEN}\nexit 1\n")
        result = cli("doctor", "--github")
        assert result.exit_code == 64
        assert TOKEN not in result.output

    def test_the_repository_is_that_of_the_remote_and_works_without_git(
        self, complete: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("GITHUB_REPOSITORY")
        result = cli("doctor", "--github")
        assert result.exit_code == 64
        assert "export GITHUB_REPOSITORY=OWNER/NAME" in result.output
        git = tmp_path / "bin" / "git"
        git.parent.mkdir()
        git.write_text(
            '#!/bin/sh\n[ "$1" = rev-parse ] && exec pwd\n'
            "[ \"$*\" = 'remote get-url origin' ] && echo git@github.example.com:acme/params.git\n"
        )
        git.chmod(0o755)
        monkeypatch.setenv("PATH", f"{git.parent}:/bin:/usr/bin")
        assert cli("doctor", "--github").exit_code == 0
        monkeypatch.setenv("PATH", str(tmp_path))
        assert cli("doctor", "--github").exit_code == 64

    @pytest.mark.parametrize(
        "words", [("--name", "prod"), ("--target", "x"), ("--no-decrypt",), ("-",), ("../elsewhere.yaml",)]
    )
    def test_options_of_a_plan_and_specs_outside_are_usage_errors(
        self, complete: Hub, cli: Cli, words: tuple[str, ...]
    ) -> None:
        assert cli("doctor", "--github", *words).exit_code == 64
        assert complete.requests == []

    @pytest.mark.parametrize("name", ["GITHUB_API_URL", "GITHUB_SERVER_URL"])
    def test_a_server_with_one_of_its_two_addresses_gets_no_token(
        self, complete: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.delenv(name)
        assert cli("doctor", "--github").exit_code == 64
        assert complete.requests == []

    @pytest.mark.parametrize(
        ("remote", "server"),
        [
            ("https://github.com/acme/params", "https://github.com"),
            ("https://alice:secret@github.com/acme/params.git", "https://github.com"),
            ("git@github.com:acme/params.git", "https://github.com"),
            ("ssh://git@github.com:22/acme/params.git/", "https://github.com"),
            ("ssh://git@ssh.github.com:443/acme/params.git", "https://github.com"),
            ("git@ghe.example.com:acme/params.git", "https://ghe.example.com"),
            ("https://GHE.example.com/acme/params", "https://ghe.example.com"),
        ],
    )
    def test_the_url_of_a_remote_names_the_repository(self, remote: str, server: str) -> None:
        assert repository_of(remote, server) == "acme/params"

    @pytest.mark.parametrize(
        "remote",
        [
            "", "/srv/git/params.git", "https://github.com/acme", "https://evil.example/acme/params",
            "https://evil.example/@github.com/acme/params", "git@work:acme/params.git",
            "https://github.com@evil.example/acme/params", "https://github.com/a/b/c", "file:///acme/params",
            "ftp://github.com/acme/params",
        ],
    )  # fmt: skip
    def test_a_remote_on_another_server_is_refused(self, remote: str) -> None:
        with pytest.raises(UsageError) as caught:
            repository_of(remote, "https://github.com")
        assert "GITHUB_REPOSITORY" in caught.value.remedy

    def test_a_password_in_the_url_of_a_remote_is_not_shown(self) -> None:
        with pytest.raises(UsageError) as caught:
            repository_of("https://alice:hunter2@evil.example/acme/params", "https://github.com")
        assert "hunter2" not in f"{caught.value.message} {caught.value.remedy}"
