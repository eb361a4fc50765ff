"""`init --github` and `doctor --github` with workflows that exist: none is doubled, and none loses a part."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.github.content import REPOSITORY, Hub
from tests.unit.cli.conftest import Cli
from tests.unit.github.test_init_settings import (
    CHECK,
    CHECKS,
    COMMAND,
    COMMIT,
    INIT,
    REVIEWERS,
    ROOT,
    changes,
    contexts,
    fresh,
    problems,
    state,
)  # fmt: skip

pytestmark = pytest.mark.large

__all__ = ["fresh"]

WORKFLOW = ".github/workflows/ssm-reconcile.yml"
OTHER = ".github/workflows/ssm-a.yml"
SPECS = ("specs/a.yaml", "specs/b.yaml")


def found(cli: Cli, *specs: str) -> list[dict[str, Any]]:
    """Return the checks of doctor that are not ok, for what is on GitHub."""
    result = cli("doctor", "--github", "--format", "json", *specs)
    return [one for one in json.loads(result.stdout)["checks"] if one["answer"] != "ok"]


def write_other(cli: Cli, job: str = "ssm-a") -> None:
    """Write a workflow for specs/a.yaml with another path and job, as the docs show for several workflows."""
    assert cli(*INIT, "specs/a.yaml").exit_code == 0
    text = Path(WORKFLOW).read_text().replace("  ssm:\n", f"  {job}:\n").replace(WORKFLOW, OTHER)
    Path(WORKFLOW).unlink()
    Path(OTHER).write_text(text)


def test_the_remedies_of_doctor_keep_a_workflow_for_each_spec(fresh: Hub, cli: Cli) -> None:
    write_other(cli)
    assert problems(fresh, cli, "specs/a.yaml") >= {"branch main: check `ssm-a / SSM check`"}
    remedies = [one["remedy"] for one in found(cli, "specs/a.yaml")]
    commands = dict.fromkeys(command for one in remedies for command in COMMAND.findall(one))
    assert [one for one in commands if "--code-owner" in one] == []
    for command in commands:
        words = shlex.split(command)
        assert (result := cli(*words, *REVIEWERS, "--ref", COMMIT)).exit_code == 0, result.output
        assert f"Kept {OTHER}, which calls for specs/a.yaml." in result.stderr
    assert contexts(fresh) == ["ssm-a / SSM check"]
    assert not Path(WORKFLOW).exists()
    assert problems(fresh, cli, "specs/a.yaml") == set()
    assert cli(*INIT, "specs/b.yaml").exit_code == 0
    assert problems(fresh, cli, *SPECS)
    remedies = [one["remedy"] for one in found(cli, *SPECS)]
    (command,) = {one for remedy in remedies for one in COMMAND.findall(remedy) if "--apply" in one}
    assert cli(*shlex.split(command), "--ref", COMMIT).exit_code == 0
    assert sorted(contexts(fresh)) == [CHECK, "ssm-a / SSM check"]
    assert problems(fresh, cli, *SPECS) == set()
    result = cli(*INIT, "--apply", "specs/b.yaml")
    assert "also requires" not in result.stderr, "the check of the other workflow is reported"
    assert sorted(contexts(fresh)) == [CHECK, "ssm-a / SSM check"]


@pytest.mark.parametrize(
    "words",
    [("specs/a.yaml",), ("specs",), ("--apply", *SPECS), ("--force", "specs/a.yaml"), ("--apply", "--force")],
)
def test_a_spec_of_another_workflow_gets_no_second_call(fresh: Hub, cli: Cli, words: tuple[str, ...]) -> None:
    write_other(cli)
    Path("replication.yaml").write_text(Path("specs/b.yaml").read_text())
    if words[-1] == "--force":
        Path(OTHER).write_text(
            Path(OTHER).read_text().replace("spec: specs/a.yaml", "spec: replication.yaml")
        )
    result = cli(*INIT, *words)
    assert result.exit_code == 64, result.output
    assert f"{OTHER} already plans and applies " in result.stderr
    assert (changes(fresh), Path(WORKFLOW).exists()) == ([], False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spec: specs/a.yaml", "spec: ${{ vars.SPEC }}", "its specs could not be read"),
        ("jobs:", "jobs: [", "cannot be read as YAML"),
        ("specs/a.yaml", "specs/A.yaml", "already plans and applies specs/a.yaml"),
    ],
)
def test_another_workflow_that_may_call_for_a_spec_is_refused(
    fresh: Hub, cli: Cli, old: str, new: str, message: str
) -> None:
    write_other(cli)
    Path(OTHER).write_text(Path(OTHER).read_text().replace(old, new))
    result = cli(*INIT, "specs/a.yaml")
    assert result.exit_code == 64, result.output
    assert message in result.stderr
    assert not Path(WORKFLOW).exists()


@pytest.mark.parametrize("words", [(), ("--apply",)])
def test_no_workflow_is_written_beside_one_that_applies_by_the_action(
    fresh: Hub, cli: Cli, words: tuple[str, ...]
) -> None:
    steps = (
        "    steps:\n      - uses: acme/ssm-reconcile@v1\n        with: {command: apply, reviewed: true}\n"
    )
    own = Path(".github/workflows/ssm-apply.yml")
    own.parent.mkdir(parents=True)
    own.write_text(f"on: push\njobs:\n  apply:\n{steps}")
    result = cli(*INIT, *words)
    assert result.exit_code == 64, result.output
    assert f"{own} already applies by the action" in result.stderr
    assert (changes(fresh), Path(WORKFLOW).exists()) == ([], False)
    result = cli(*INIT, *words, "--force")
    assert result.exit_code == 0, result.output
    assert f"{own} also applies by the action: remove it" in result.stderr
    own.unlink()
    assert "by the action" not in cli(*INIT, *words).stderr


APPLYING = "{uses: acme/ssm-reconcile@v1, with: {command: apply}}"


@pytest.mark.parametrize(
    "text",
    [
        'jobs: {a: {steps: [{uses: acme/ssm-reconcile@v1, with: {command: "${{ inputs.command }}"}}]}}',
        f"jobs: {{a: {{steps: [{{run: {'x' * 5000}}}, {APPLYING}]}}}}",
        f"\ufeffjobs: {{a: {{steps: [{APPLYING}]}}}}",
        "jobs: [ # uses ssm-reconcile",
    ],
    ids=["expression", "long script", "byte order mark", "damaged"],
)
def test_no_workflow_is_written_beside_one_that_may_apply(fresh: Hub, cli: Cli, text: str) -> None:
    own = Path(".github/workflows/deploy.yml")
    own.parent.mkdir(parents=True)
    own.write_text(f"on: push\n{text}" if text[0] != "\ufeff" else text)
    result = cli(*INIT)
    assert result.exit_code == 64, result.output
    assert str(own) in result.stderr
    assert not Path(WORKFLOW).exists()


def test_printed_commands_work_in_a_folder_of_the_repository_and_name_the_account(
    fresh: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Path("specs/a.yaml")
    spec.write_text(spec.read_text().replace(', account: "123456789012"', ""))
    assert problems(fresh, cli, "specs/a.yaml")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(Path.cwd()))
    monkeypatch.chdir("specs")
    commands = dict.fromkeys(
        command for one in found(cli, "a.yaml") for command in COMMAND.findall(one["remedy"])
    )
    assert commands
    for command in commands:
        words = command.replace("@OWNER", "@acme/ops").replace("NAME", "alice")
        words = words.replace("ACCOUNT_ID", "123456789012")
        assert (result := cli(*shlex.split(words), "--ref", COMMIT)).exit_code == 0, result.output
    monkeypatch.chdir("..")
    assert 'account: "123456789012"' in Path(WORKFLOW).read_text()
    assert problems(fresh, cli, "specs/a.yaml") <= {"environment ssm-apply-changed: required reviewers"}


def test_remedies_end_if_another_file_has_the_name_of_the_workflow(fresh: Hub, cli: Cli) -> None:
    write_other(cli)
    Path(WORKFLOW).write_text(
        "on: push\njobs:\n  lint: { runs-on: ubuntu-24.04, steps: [{ run: 'true' }] }\n"
    )
    assert problems(fresh, cli, *SPECS)
    remedies = [one["remedy"] for one in found(cli, *SPECS)]
    (edit,) = (one for one in remedies if "write `spec:" in one)
    assert edit == f"write `spec: specs/b.yaml` in {OTHER}, beside specs/a.yaml in a matrix"
    commands = dict.fromkeys(command for one in remedies for command in COMMAND.findall(one))
    (command,) = (one for one in commands if one.endswith("--apply"))
    result = cli(*shlex.split(command), *REVIEWERS, "--ref", COMMIT)
    assert result.exit_code == 0, result.output
    assert contexts(fresh) == ["ssm-a / SSM check"]


def test_two_workflows_do_not_report_one_check(fresh: Hub, cli: Cli) -> None:
    write_other(cli, "ssm")
    result = cli(*INIT, "specs/b.yaml")
    assert result.exit_code == 64
    assert f"another workflow also reports `{CHECK}`" in result.stderr


def test_a_check_that_no_pull_request_gets_is_not_required(fresh: Hub, cli: Cli) -> None:
    write_other(cli)
    Path(OTHER).write_text(re.sub("  pull_request:.*\n", "", Path(OTHER).read_text()))
    assert cli(*INIT, "--apply", "specs/b.yaml").exit_code == 0
    assert contexts(fresh) == [CHECK]
    result = cli(*INIT, "--apply", *SPECS)
    assert result.exit_code == 0, result.output
    assert contexts(fresh) == [CHECK]
    Path(WORKFLOW).unlink()
    result = cli(*INIT, "--apply", "specs/a.yaml")
    assert result.exit_code == 64
    assert f"{OTHER} stays as it is, and pull requests to main do not start it" in result.stderr


def test_a_remedy_writes_all_specs_of_a_workflow_and_no_workflow_that_has_more(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", *SPECS).exit_code == 0
    path = Path(WORKFLOW)
    pinned = path.read_text()
    path.write_text(pinned.replace(COMMIT, "v1"))
    subject = {f"workflow {WORKFLOW}: ssm: version"}
    assert problems(fresh, cli, "specs/a.yaml") == subject
    (remedy,) = (one["remedy"] for one in found(cli, "specs/a.yaml"))
    (command,) = COMMAND.findall(remedy)
    assert cli(*shlex.split(command), "--ref", COMMIT).exit_code == 0
    assert path.read_text() == pinned
    assert problems(fresh, cli, "specs/a.yaml") == set()
    for old, new in (
        ("23 4/6 * * *", "0 6 * * 1"),
        ("role/ssm-reconcile-", "role/ci/"),
        ("paths: [", "paths: [kms/**, "),
        ("  repository_dispatch: { types: [ssm-reconcile] }\n", ""),
        ("      region:", "      schedule: apply\n      region:"),
        ("jobs:\n", "jobs:\n  lint:\n    runs-on: ubuntu-24.04\n"),
        ("    uses:", "    needs: []\n    uses:"),
    ):
        path.write_text(pinned.replace(COMMIT, "v1").replace(old, new))
        assert problems(fresh, cli, "specs/a.yaml") == subject
        (remedy,) = (one["remedy"] for one in found(cli, "specs/a.yaml"))
        assert remedy == "name a full commit id, with the version as a comment"


def test_a_spec_that_no_call_names_is_added_to_the_others(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", "specs/a.yaml").exit_code == 0
    subject = "workflows: specs/b.yaml"
    assert problems(fresh, cli, "specs/b.yaml") == {subject, "CODEOWNERS: specs/b.yaml"}
    (remedy,) = (one["remedy"] for one in found(cli, "specs/b.yaml") if one["where"] == "workflows")
    (command,) = COMMAND.findall(remedy)
    assert cli(*shlex.split(command), "--apply", "--ref", COMMIT, "--code-owner", "@acme/ops").exit_code == 0
    assert contexts(fresh) == [CHECK, *CHECKS]
    assert problems(fresh, cli, *SPECS) == {f"branch main: check `{CHECK}`"}


def test_a_kept_workflow_without_a_call_for_a_spec_is_noted(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, "specs/a.yaml").exit_code == 0
    text = cli(*INIT, "--apply", *SPECS).stderr
    assert f"Note: {WORKFLOW} does not call for specs/b.yaml: add it there." in text
    path = Path(WORKFLOW)
    path.write_text(path.read_text() + "# mine\n")
    assert "does not call for" not in cli(*INIT, "--apply", "specs/a.yaml").stderr


def test_a_folder_whose_specs_are_called_one_by_one_is_unknown(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", *SPECS).exit_code == 0
    assert problems(fresh, cli, "specs") >= {"workflows: specs/"}
    (one,) = (one for one in found(cli, "specs") if one["where"] == "workflows")
    assert one["answer"] == "unknown"
    (command,) = COMMAND.findall(one["remedy"])
    assert cli(*shlex.split(command)).exit_code == 0


def test_paths_of_specs_that_differ_in_case_only_are_reported(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", *SPECS).exit_code == 0
    path = Path(WORKFLOW)
    path.write_text(path.read_text().replace("specs/b.yaml", "specs/A.yaml"))
    assert "workflows: specs/A.yaml: path" in problems(fresh, cli, "specs/a.yaml")


def test_a_remedy_for_one_spec_names_those_of_all_workflows(fresh: Hub, cli: Cli) -> None:
    write_other(cli)
    assert cli(*INIT, "specs/b.yaml").exit_code == 0
    assert problems(fresh, cli, "specs/b.yaml")
    remedies = [one["remedy"] for one in found(cli, "specs/b.yaml")]
    commands = {one for remedy in remedies for one in COMMAND.findall(remedy) if one.endswith("--apply")}
    assert commands == {f"init --github {REPOSITORY} specs/b.yaml specs/a.yaml --apply"}


def test_a_workflow_that_is_overwritten_loses_no_part_without_a_note(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *SPECS).exit_code == 0
    path = Path(WORKFLOW)
    path.write_text(path.read_text().replace("      region:", "      schedule: apply\n      region:"))
    text = cli(*INIT, "--force", "specs/a.yaml").stderr
    assert f"{WORKFLOW} no longer calls for specs/b.yaml" in text
    assert "; schedule: apply: write it under `with`" in text
    assert "no longer" not in cli(*INIT, "--force", "specs/a.yaml").stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("specs/a.yaml",), SPECS),
        (SPECS, ("specs/a.yaml",)),
        (SPECS, ("specs",)),
        ((*SPECS, "replication.yaml"), SPECS),
    ],
)
def test_a_required_check_that_nothing_reports_is_found_and_the_command_removes_it(
    fresh: Hub, cli: Cli, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply", *before).exit_code == 0
    former = contexts(fresh)
    assert cli(*INIT, *REVIEWERS, "--apply", "--force", *after).exit_code == 0
    now = [one for one in contexts(fresh) if one not in former] or [one for one in CHECKS if len(after) > 1]
    stale = [one for one in contexts(fresh) if one not in now]
    rules = state(fresh)["rulesets"][0]
    assert problems(fresh, cli, *after) == {f"branch main: check `{one}`" for one in stale}
    assert stale
    for one in found(cli, *after):
        assert (one["answer"], "no pull request can be merged" in one["message"]) == ("failed", True)
        command = one["remedy"].removeprefix("remove it: `").removesuffix("`")
        done = subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert contexts(fresh) == now
    assert problems(fresh, cli, *after) == set()
    assert {key: fresh.rulesets[0][key] for key in ("bypass_actors", "conditions", "enforcement")} == {
        key: rules[key] for key in ("bypass_actors", "conditions", "enforcement")
    }


@pytest.mark.parametrize(
    "rule",
    [{"branches": ["main"]}, {"branches": [], "protected_branches": True}, {"reviewers": ["bob"]}],
)
def test_an_environment_that_stops_plans_is_noted_with_a_command_and_not_complete(
    fresh: Hub, cli: Cli, rule: dict[str, Any]
) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    environment = fresh.environments["ssm-plan"]
    environment.wait_timer = 5
    for name, value in rule.items():
        setattr(environment, name, value)
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert "complete." not in result.stderr
    assert "environment ssm-plan has reviewers or does not admit every branch" in result.stderr
    (command,) = (line for line in result.stderr.splitlines() if line.startswith("  gh api --method"))
    subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True)
    assert (environment.branches, environment.reviewers, environment.wait_timer) == (None, [], 5)
    assert "All settings on GitHub are complete." in cli(*INIT, *REVIEWERS, "--apply").stderr
    assert problems(fresh, cli) == {"environment ssm-plan: wait timer"}
    environment.branches = ["main"]
    (command,) = (one["remedy"].split("`")[1] for one in found(cli) if one["subject"] == "branches")
    subprocess.run(["bash", "-ec", command], capture_output=True, text=True, check=True)
    assert problems(fresh, cli) == set()


def test_a_ruleset_of_tags_is_refused(fresh: Hub, cli: Cli) -> None:
    assert cli(*INIT, *REVIEWERS, "--apply").exit_code == 0
    fresh.rulesets[0]["target"] = "tag"
    result = cli(*INIT, *REVIEWERS, "--apply")
    assert result.exit_code == 64
    assert f"the ruleset ssm-reconcile of {REPOSITORY} is not for branches" in result.stderr


@pytest.mark.parametrize("owners", ["CODEOWNERS", "docs/CODEOWNERS", ".github/CODEOWNERS"])
@pytest.mark.parametrize("folder", [".", "specs"])
def test_the_step_that_pushes_adds_each_file_that_was_written(
    fresh: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, owners: str, folder: str
) -> None:
    Path(".git").rmdir()
    subprocess.run(["git", "init", "-q"], check=True)
    Path(owners).parent.mkdir(exist_ok=True)
    Path(owners).write_text("* @acme/all\n")
    monkeypatch.chdir(folder)
    spec = "replication.yaml" if folder == "." else "a.yaml"
    text = cli(*INIT, *REVIEWERS, spec).stderr
    (step,) = (line for line in text.splitlines() if line.startswith("  git add "))
    steps = [step]
    if folder == ".":
        steps += re.findall(r"^\$ (git add \.github .*)", (ROOT / "README.md").read_text(), re.MULTILINE)
        assert len(steps) == 2
    for line in steps:
        subprocess.run(
            ["bash", "-ec", f"git rm -rq --cached . --ignore-unmatch; {line.partition(' && ')[0]}"],
            check=True,
        )
        words = ["git", "diff", "--cached", "--name-only"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == {owners, WORKFLOW}
