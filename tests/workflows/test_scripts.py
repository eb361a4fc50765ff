"""The scripts inside of the workflows and the action: shellcheck, no expressions, pins, permissions."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), ROOT / "action.yml"]
WORKFLOWS = [file for file in FILES[:-1] if file.name != "release.yml"]
"""The workflows that a pull request can change the result of; `test_release.py` tests the other one."""
CALLED = yaml.safe_load((ROOT / ".github" / "workflows" / "replicate.yml").read_text())
CALLER = yaml.safe_load((ROOT / ".github" / "workflows" / "ssm-reconcile.yml").read_text())
TOOL = "./.ssm-reconcile"
WITHOUT_CODE = {"Wait for the approval of the current plan", "SSM check"}
"""Jobs that only wait, or only read results: they run no code of the repository."""
OURS = {"actions", "aws-actions", "pypa"}
"""Owners of the actions that are used; aws-actions and pypa for credentials: they are not written twice."""


def steps(file: Path) -> Iterator[dict[str, Any]]:
    document = yaml.safe_load(file.read_text())
    jobs = document.get("jobs", {"action": document.get("runs", {})})
    for job in jobs.values():
        yield from job.get("steps", ())


def permissions_of(workflow: dict[Any, Any]) -> dict[str, str]:
    """Return the permissions of all jobs together."""
    found: dict[str, str] = {}
    for job in workflow["jobs"].values():
        for name, level in job["permissions"].items():
            found[name] = "write" if "write" in (level, found.get(name)) else "read"
    return found


SCRIPTS = [
    pytest.param(step, id=f"{file.name}:{step.get('name') or step['run'].splitlines()[0]}")
    for file in FILES
    for step in steps(file)
    if "run" in step
]


@pytest.mark.parametrize("step", SCRIPTS)
def test_a_script_is_clean_to_shellcheck_and_holds_no_expression(
    step: dict[str, Any], tmp_path: Path
) -> None:
    assert "${{" not in step["run"], "what a stranger can write must come through the environment"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/usr/bin/env bash\n{step['run']}")
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run(
        [str(shellcheck), "--severity=style", str(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_of_others_are_few_and_pinned_with_their_version_beside(file: Path) -> None:
    for uses, comment in re.findall(r"uses: (\S+)(.*)", file.read_text()):
        if uses.startswith("./"):
            continue
        owner, commit = uses.split("/")[0], uses.partition("@")[2]
        assert owner in OURS
        assert re.fullmatch(r"[0-9a-f]{40}", commit), uses
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), uses


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_allows_nothing_and_each_job_what_it_needs(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    assert document["permissions"] == {}
    assert "pull_request_target" not in document[True], "`on` is true in YAML 1.1"
    for name, job in document["jobs"].items():
        if "uses" in job:
            assert job["permissions"] == permissions_of(CALLED), (
                "what GitHub needs to start the run, and no more"
            )
            continue
        assert (job["permissions"] == {}) == (job["name"] in WITHOUT_CODE), name
        assert job["permissions"].get("contents", "read") == "read", name
        assert job["timeout-minutes"], name
        writes = {key for key, value in job["permissions"].items() if value == "write"}
        assert writes <= {"checks", "id-token", "pull-requests", "issues"}, name
        steps = [step.get("with") or {} for step in job["steps"]]
        assert ("checks" in writes) == any("check" in given for given in steps), "for the check run of a plan"
        assert ("issues" in writes) == (name in {"routine", "drift"}), "drift without a reviewer has an issue"
        assert ("id-token" in writes) == ("environment" in job and name != "approval"), (
            "credentials come through an environment; the job that waits for an approval has none"
        )


def test_all_jobs_that_can_write_to_aws_are_in_one_queue_and_no_other_job_is() -> None:
    jobs, group = CALLED["jobs"], "ssm-apply-${{ inputs.spec }}"
    for name, job in jobs.items():
        if job["permissions"].get("id-token") != "write" or job["environment"]["name"] == "ssm-plan":
            assert job.get("concurrency", {}).get("group") != group, name
            continue
        assert job["concurrency"] == {"group": group, "cancel-in-progress": False, "queue": "max"}
        assert job["environment"]["name"] == "ssm-apply", "the one environment that the apply role trusts"
    assert jobs["approval"]["environment"]["name"] == "ssm-apply-changed"


def test_each_apply_knows_how_long_its_credentials_are_valid() -> None:
    for name, job in CALLED["jobs"].items():
        given = [step.get("with", {}) for step in job["steps"]]
        valid = {one["role-duration-seconds"] for one in given if "role-duration-seconds" in one}
        known = {one.get("session-seconds") for one in given if one.get("command") == "apply"}
        assert valid == known, name


def test_the_reusable_workflow_has_no_input_for_the_workflow_that_plans() -> None:
    """A caller could name a file that anyone can change: the path is the one that GitHub reports."""
    inputs = CALLED[True]["workflow_call"]["inputs"]
    assert set(inputs) == {
        "spec", "plan-role", "apply-role", "region", "account", "schedule", "no-decrypt", "session-seconds",
    }  # fmt: skip
    assert set(CALLED[True]) == {"workflow_call"}
    for step in steps(ROOT / ".github" / "workflows" / "replicate.yml"):
        assert "plan-workflow" not in step.get("with", {})
        assert "SSM_RECONCILE_ARTIFACT_SUFFIX" not in str(step)


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        (".", 1), ("./", 1), ("", 1), ("/etc/specs", 1), ("..", 1), ("specs/../..", 1), ("specs/.", 1),
        ("-x/a.yaml", 1), (".ssm-reconcile", 1), (".ssm-reconcile/a.yaml", 1), ("./.ssm-reconcile/", 1),
        ("specs", 0), ("specs/", 0), ("./specs/a.yaml", 0), (".specs/a..b.yaml", 0), ("specs/-a.yaml", 0),
        (".ssm-reconciled", 0),
    ],
)  # fmt: skip
def test_a_spec_in_a_place_that_no_job_can_use_is_refused_early(tmp_path: Path, spec: str, code: int) -> None:
    """A job checks out the tool into a folder, and replaces the spec of a checkout with that of a merge."""
    step = next(step for step in CALLED["jobs"]["touched"]["steps"] if step.get("id") == "diff")
    script = f"git() {{ return 1; }}\n{step['run']}"
    given = {"SPEC": spec, "BASE": "HEAD^1", "PUSHED": "false", "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = subprocess.run(["bash", "-ec", script], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").exists() == (code == 0)
    assert ("::the input spec must " in done.stdout) == (code == 1)


def test_inputs_of_a_start_by_hand_are_those_of_the_caller() -> None:
    """`inputs` are those of the call. In the called workflow, only `github.event.inputs` has the others."""
    text = (ROOT / ".github" / "workflows" / "replicate.yml").read_text()
    by_hand = set(CALLER[True]["workflow_dispatch"]["inputs"])
    assert by_hand == set(re.findall(r"github\.event\.inputs\.([\w-]+)", text))
    used = set(re.findall(r"(?<!event\.)\binputs\.([\w-]+)", text))
    assert used == set(CALLED[True]["workflow_call"]["inputs"])


def test_the_tool_is_the_commit_of_the_reusable_workflow_in_each_job() -> None:
    refusal = "Refuse a runner that does not report the commit of this workflow"
    for name, job in CALLED["jobs"].items():
        places = [number for number, step in enumerate(job["steps"]) if step.get("uses") == TOOL]
        if not places:
            continue
        names = [step.get("name") for step in job["steps"]]
        tool = names.index("Check out the tool")
        assert names[tool - 1] == refusal, name
        assert job["steps"][tool]["with"] == {
            "repository": "${{ job.workflow_repository }}", "ref": "${{ job.workflow_sha }}",
            "path": ".ssm-reconcile", "persist-credentials": False,
        }  # fmt: skip
        checkouts = [
            n for n, s in enumerate(job["steps"]) if s.get("uses", "").startswith("actions/checkout")
        ]
        assert checkouts[-1] == tool < min(places), "another checkout would remove it"
        taken = [number for number, step in enumerate(job["steps"]) if step.get("id") == "merge"]
        assert all(number < tool for number in taken), "a file of a pull request must not replace the tool"


def test_each_call_of_the_action_has_the_spec_and_artifacts_by_spec() -> None:
    storing = {"plan", "apply"}
    for step in steps(ROOT / ".github" / "workflows" / "replicate.yml"):
        if step.get("uses") == TOOL:
            given = step["with"]
            assert given["spec"] == "${{ inputs.spec }}"
            assert (given.get("artifacts-by-spec") is True) == (given["command"] in storing)
            decrypts = {
                "plan": "${{ inputs.no-decrypt }}",
                "apply": "${{ vars.SSM_NO_DECRYPT || inputs.no-decrypt }}",
            }
            assert given.get("no-decrypt") == decrypts.get(given["command"]), "a plan has no variable"
        elif "artifact" in step.get("uses", ""):
            assert "artifact-suffix }}" in step["with"]["name"]


def test_every_input_reaches_the_script_and_every_flag_of_a_guard_has_one() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    result = {re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value)[1] for value in step["env"].values()}  # type: ignore[index] # or an input is not passed as it is
    assert result == set(action["inputs"])
    assert all(f"${name}" in step["run"] for name in step["env"])
    flags = {
        "adopt",
        "overwrite-outside",
        "allow-replace",
        "allow-empty-source",
        "max-deletes",
        "max-deletes-total",
        "max-change-percent",
    }
    assert flags | {"no-decrypt", "verify-values", "target", "only", "against"} <= set(action["inputs"])
    assert all(f"--{flag}" in step["run"] for flag in flags)
