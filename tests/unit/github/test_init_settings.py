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
from types import SimpleNamespace
from typing import Any

import pytest

from ssm_reconcile.cli import gh
from tests.github.content import REPOSITORY, Environment, Hub
from tests.github.gh import run as run_gh
from tests.unit.cli.conftest import SPEC, Cli

pytestmark = pytest.mark.large

ROOT = Path(__file__).parents[3]
TOKEN = "ghs-secret-token-of-the-user"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REVIEWERS = ("--reviewer", "alice", "--reviewer", "@acme/ops")
INIT = ("init", "--github", REPOSITORY, "--ref", COMMIT, "--code-owner", "@acme/ops")
CHECK = "ssm / SSM check"
COMMAND = re.compile("`ssm-reconcile ([^`]+)`")


@pytest.fixture
def fresh(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A public repository without any setting, and a spec; `gh` answers in process and is on the path too."""
    hub.visibility = "public"
    hub.tokens[TOKEN] = "alice"
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gh"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{ROOT}/tests/github/gh.py" "$@"\n')
    program.chmod(0o755)
    text = SPEC.replace("region: us-east-1", 'region: us-east-1, account: "123456789012"')
    Path("replication.yaml").write_text(text)
    Path("specs").mkdir()
    for name in ("a", "b"):
        Path(f"specs/{name}.yaml").write_text(text.replace("prod", name).replace("/app/", f"/{name}/"))
    for name in ("GITHUB_WORKSPACE", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "PATH": f"{program.parent}:/usr/bin:/bin", "GH_TOKEN": TOKEN, "GH_TEST_API": hub.api_url,
        "GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": hub.api_url,
        "GITHUB_SERVER_URL": "https://github.example.com",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    in_process = SimpleNamespace(run=run_gh, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(gh, "subprocess", in_process)
    return hub


@pytest.fixture
def processes(fresh: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request starts the program `gh`."""
    monkeypatch.setattr(gh, "subprocess", subprocess)


def state(hub: Hub) -> Mapping[str, Any]:
    """Return all settings of the repository."""
    environments = {name: one.document | {"branches": one.branches} for name, one in hub.environments.items()}
    return copy.deepcopy({"environments": environments, "rulesets": hub.rulesets})


def problems(hub: Hub, cli: Cli, *specs: str) -> set[str]:
    """Return the checks of `doctor --github` that are not ok, after a push of the files."""
    files = [path for path in Path().rglob("*") if path.is_file() and path.parts[0] != "bin"]
    hub.contents = {
        path.as_posix(): path.read_bytes().replace(b"uses: OWNER/", b"uses: acme/") for path in files
    }
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
    assert "Unchanged: .github/workflows/ssm-reconcile.yml" in cli(*INIT, "--apply").stderr


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
    changed.can_admins_bypass = False
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
    assert not changed.can_admins_bypass


def test_reviewers_and_the_ruleset_are_kept_among_more_than_a_page_of_others(fresh: Hub, cli: Cli) -> None:
    changed = Environment("SSM-Apply-Changed", 1, ["bob"])
    fresh.environments = {f"e{n}": Environment(f"e{n}", n) for n in range(120)}
    fresh.environments |= {changed.name: changed, "ssm-apply": Environment("ssm-apply", 2, ["bob"])}
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    assert changed.reviewers == ["bob", "alice", "acme/ops"]
    assert fresh.environments["ssm-apply"].reviewers == ["bob"]
    others = [fresh.rulesets[0] | {"id": fresh.next_id(), "name": f"r{n}"} for n in range(120)]
    fresh.rulesets = [*others, *fresh.rulesets]
    changed.branches = [*(f"b{n}" for n in range(120)), "main"]
    fresh.requests.clear()
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    assert changes(fresh) == []


def test_the_printed_commands_say_that_they_are_for_a_repository_without_the_settings(
    fresh: Hub, cli: Cli
) -> None:
    first, *others = cli(*INIT, *REVIEWERS).stdout.splitlines()
    assert first.startswith("# For a repository without these environments and this ruleset")
    assert "--apply" in first
    assert [line.partition("=")[0] for line in others[:2]] == ["REVIEWER_1", "REVIEWER_2"]


def test_a_token_that_may_not_read_environments_replaces_none(fresh: Hub, cli: Cli) -> None:
    fresh.environments = {"ssm-plan": Environment("ssm-plan", 1, ["bob"])}
    fresh.restrict(TOKEN, {"administration": "write", "contents": "write"}, "alice")
    result = cli(*INIT, "--apply")
    assert result.exit_code == 1
    assert "environments: `gh api" in result.stderr
    assert changes(fresh) == []


def test_a_tag_with_the_name_of_the_branch_admits_no_branch(fresh: Hub, cli: Cli) -> None:
    fresh.environments = {"ssm-apply": Environment("ssm-apply", 1, [], ["tag main"])}
    assert cli(*INIT, "--apply").exit_code == 0
    assert fresh.environments["ssm-apply"].branches == ["tag main", "main"]


def test_a_ruleset_of_the_organization_is_not_the_one_of_the_repository(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, "--apply").exit_code == 0
    (own,) = fresh.rulesets
    own["source_type"] = "Organization"
    assert cli(*INIT, "--apply").exit_code == 0
    assert [one["source_type"] for one in fresh.rulesets] == ["Organization", "Repository"]


def test_a_ruleset_for_all_branches_stays_and_its_weaker_review_does_not(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, "--apply").exit_code == 0
    (ruleset,) = fresh.rulesets
    ruleset["conditions"]["ref_name"]["include"] = ["~ALL"]
    review = next(rule for rule in ruleset["rules"] if rule["type"] == "pull_request")["parameters"]
    review |= {"required_approving_review_count": 0, "dismiss_stale_reviews_on_push": False}
    assert cli(*INIT, "--apply").exit_code == 0
    (found,) = fresh.rulesets
    assert found["conditions"]["ref_name"]["include"] == ["~ALL"]
    review = next(rule for rule in found["rules"] if rule["type"] == "pull_request")["parameters"]
    assert review["required_approving_review_count"] == 1
    assert review["dismiss_stale_reviews_on_push"] is True


@pytest.mark.parametrize("excluded", ["refs/heads/main", "~DEFAULT_BRANCH", "refs/heads/m*"])
def test_settings_that_admit_too_much_are_noted_with_commands_that_remove_them(
    fresh: Hub, cli: Cli, excluded: str
) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    fresh.rulesets[0]["conditions"]["ref_name"]["exclude"] = ["refs/heads/old", excluded]
    fresh.environments["ssm-apply"].branches = ["main", "dev's", "tag main"]
    fresh.environments["ssm-plan"].reviewers = ["alice"]
    before = state(fresh)
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert result.exit_code == 0
    assert state(fresh) == before, "a person decides"
    assert "complete" not in result.stderr
    assert "environment ssm-apply also admits the branch dev's." in result.stderr
    assert "environment ssm-apply also admits the tag main." in result.stderr
    assert "environment ssm-plan has reviewers or does not admit every branch" in result.stderr
    assert '{"reviewers": null, "deployment_branch_policy": null}' in result.stderr, "GitHub documents null"
    assert f"ruleset ssm-reconcile excludes {excluded}: it does not hold for main." in result.stderr
    commands = [line for line in result.stderr.splitlines() if line.startswith("  gh api --method")]
    done = subprocess.run(
        ["bash", "-e"], input="\n".join(commands), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert fresh.rulesets[0]["conditions"]["ref_name"]["exclude"] == ["refs/heads/old"]
    assert problems(fresh, cli) == set()
    assert "All settings on GitHub are complete." in cli(*INIT, *REVIEWERS, "--apply").stderr


def test_settings_without_a_reviewer_are_not_called_complete(fresh: Hub, cli: Cli) -> None:
    for words, is_complete in (((), False), ((), False), (REVIEWERS, False), ((), True)):
        result = cli(*INIT, *words, "--apply")
        assert ("All settings on GitHub are complete." in result.stderr) is is_complete
        assert ("no one can approve" in result.stderr) is (not words and not is_complete)


def test_the_next_steps_are_in_order_and_have_the_ids_of_the_repository(fresh: Hub, cli: Cli) -> None:
    applied, printed = cli(*INIT, "--apply").stderr, cli(*INIT).stderr
    words = next(line for line in printed.splitlines() if " iam stack " in line).partition(">")[0]
    done = subprocess.run(["sh", "-ec", f"echo {words}"], capture_output=True, text=True, check=False)
    assert done.stdout.endswith("iam stack --github acme/params --github-ids 1234/5678\n"), done.stderr
    assert "iam stack --github acme/params --github-ids 1234/5678 > roles.json" in applied
    for text in (printed, applied):
        assert "a second person must approve the last push" in text
        assert "--stack-name ssm-reconcile-prod " in text
        assert "aws cloudformation deploy --region us-east-1 " in text
    order = (" iam stack ", "cloudformation deploy", "merge it", "doctor --github")
    steps = [applied.index(word) for word in order]
    assert steps == sorted(steps)
    assert applied.splitlines()[-1] == "  ssm-reconcile doctor --github"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("params$", b"[]"),
        ("params$", b"{}"),
        ("params$", b"not JSON"),
        ("/environments$", b"null"),
        ("/environments/ssm-plan$", b"[]"),
        ("/rulesets$", b"{}"),
        ("/rulesets$", b"[1]"),
        ("/rulesets$", b'[{"id": 7}]'),
        ("/users/alice$", b'{"id": "x"}'),
        ("/users/alice$", b"{}"),
    ],
)
def test_a_response_of_another_form_is_an_error_of_github(
    fresh: Hub, cli: Cli, path: str, body: bytes
) -> None:
    fresh.fail("GET", path, 200, body=body)
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert result.exit_code == 1, result.output
    assert "acme/params: the response of GitHub has a form that this version does not know" in result.stderr
    assert not written()


def test_a_gh_that_does_not_end_or_start_is_reported(
    fresh: Hub, processes: None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path("bin/gh")
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(gh, "_SECONDS", 0.2)
    assert "no response, `gh` did not end in 0.2 seconds" in cli(*INIT, "--apply").stderr
    program.write_text("#!/nowhere/sh\n")
    assert "no response, `gh` could not be started: No such file" in cli(*INIT, "--apply").stderr


def test_a_ruleset_is_completed_and_keeps_other_rules_checks_and_bypasses(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    (ruleset,) = fresh.rulesets
    ruleset["bypass_actors"] = [{"actor_id": 1, "actor_type": "Team", "bypass_mode": "pull_request"}]
    ruleset["enforcement"] = "disabled"
    ruleset["conditions"]["ref_name"] = {"include": ["refs/heads/next"], "exclude": ["refs/heads/old"]}
    rules = {rule["type"]: rule for rule in ruleset["rules"]}
    review = rules["pull_request"]["parameters"]
    assert review["required_review_thread_resolution"] is False
    review |= {"required_approving_review_count": 2, "require_code_owner_review": False}
    review["required_review_thread_resolution"] = True
    status = rules["required_status_checks"]["parameters"]
    assert status["strict_required_status_checks_policy"] is False
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
        assert kinds["pull_request"]["required_review_thread_resolution"] is True
        assert kinds["required_status_checks"]["strict_required_status_checks_policy"] is True
        assert contexts(fresh) == [CHECK, "build", *CHECKS]


CHECKS = ["ssm (specs/a.yaml) / SSM check", "ssm (specs/b.yaml) / SSM check"]


@pytest.mark.parametrize("words", [(), ("--force",)])
def test_the_checks_of_other_specs_stay_required(fresh: Hub, cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", "specs/a.yaml", "specs/b.yaml").exit_code == 0
    before = state(fresh)
    result = cli(*INIT, *REVIEWERS, "--apply", *words, "specs/a.yaml")
    assert result.exit_code == 0, result.output
    if not words:
        assert state(fresh) == before
        assert "All settings on GitHub are complete." in result.stderr
    else:
        assert contexts(fresh) == [*CHECKS, CHECK]
        listed = ", ".join(f"`{one}`" for one in CHECKS)
        assert f"ruleset ssm-reconcile also requires {listed}, which" in result.stderr


def test_the_printed_command_removes_the_checks_that_the_workflow_does_not_report(
    fresh: Hub, cli: Cli
) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", "specs/a.yaml", "specs/b.yaml").exit_code == 0
    fresh.rulesets[0]["conditions"]["ref_name"]["exclude"] = ["refs/heads/main"]
    result = cli(*INIT, *REVIEWERS, "--apply", "--force")
    (command,) = (line for line in result.stderr.splitlines() if line.startswith("  gh api --method"))
    subprocess.run(["bash", "-e"], input=command, capture_output=True, text=True, check=True)
    assert contexts(fresh) == [CHECK]
    assert fresh.rulesets[0]["conditions"]["ref_name"]["exclude"] == []
    assert "All settings on GitHub are complete." in cli(*INIT, *REVIEWERS, "--apply").stderr


@pytest.mark.parametrize(
    ("uses", "other"),
    [
        ("replicate.yml@", "other.yml@"),
        ("    uses:", "    name: ${{ inputs.name }}\n    uses:"),
        ("    uses:", "    strategy: { matrix: { spec: '${{ fromJSON(vars.SPECS) }}' } }\n    uses:"),
        ("jobs:", "jobs: ["),
    ],
)
def test_a_kept_workflow_whose_checks_are_unknown_changes_nothing(
    fresh: Hub, cli: Cli, uses: str, other: str
) -> None:
    assert cli(*INIT).exit_code == 0
    path = Path(".github/workflows/ssm-reconcile.yml")
    path.write_text(text := path.read_text().replace(uses, other))
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert result.exit_code == 64
    assert "the checks that it reports could not be read" in result.stderr
    assert (changes(fresh), path.read_text()) == ([], text)


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
    assert "failed: HTTP 403, not " in " ".join(refused.stderr.split())
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


def test_a_token_that_may_only_read_is_reported(fresh: Hub, processes: None, cli: Cli) -> None:
    fresh.restrict(TOKEN, {"actions": "write", "contents": "write"}, "alice")
    result = cli(*INIT, "--apply")
    assert result.exit_code == 1
    assert "environment ssm-plan: `gh api --method PUT" in result.stderr
    assert "HTTP 403" in result.stderr
    assert fresh.environments == {}
