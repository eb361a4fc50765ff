"""The action by itself: its inputs become flags, its signals reach the tool, and misuse is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.workflows.runner import ROOT

(INSTALL, STEP) = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
INPUTS = dict.fromkeys(STEP["env"], "") | {
    "INPUT_SPEC": "replication.yaml", "INPUT_COMMENT": "changes", "INPUT_ARTIFACT": "ssm-plan",
}  # fmt: skip
TOOL = """\
#!/usr/bin/env bash
# Notes how it was called, one argument a line; a plan writes its file.
printf '%s\\n' "--- $1" "${@:2}" >> "$NOTED"
printf '%s\\n' "${AWS_CREDENTIAL_EXPIRATION:-unknown}" >> "$NOTED.$1.end"
for word in "$@"; do
  if [ "${last:-}" = --out ]; then echo '{}' > "$word"; fi
  last="$word"
done
if [ -n "${SLOW:-}" ] && [ "$1" = apply ]; then
  trap 'echo "the tool heard of it" >> "$NOTED"; exit 130' TERM
  touch "$NOTED.started"
  for _ in $(seq 100); do sleep 0.1; done
fi
if [ "$1" != publish ]; then exit "${CODE:-0}"; fi
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    tool = tmp_path / "ssm-reconcile" / "bin" / "ssm-reconcile"
    tool.parent.mkdir(parents=True)
    tool.write_text(TOOL)
    tool.chmod(0o755)
    path = tmp_path / "script.sh"
    path.write_text(STEP["run"])
    return path


def environment(script: Path, **inputs: str) -> dict[str, str]:
    given = {f"INPUT_{key.upper()}" if key.islower() else key: value for key, value in inputs.items()}
    return {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(script.parent),
        "GITHUB_OUTPUT": str(script.parent / "output"),
        "NOTED": str(script.parent / "noted"),
        **INPUTS,
        **given,
    }


def run(script: Path, **inputs: str) -> tuple[int, str, list[list[str]]]:
    """The exit code, the log, and how the tool was called."""
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        env=environment(script, **inputs), capture_output=True, text=True, check=False, cwd=script.parent,
    )  # fmt: skip
    noted = script.parent / "noted"
    calls = noted.read_text().split("--- ")[1:] if noted.exists() else []
    return done.returncode, done.stdout, [call.splitlines() for call in calls]


def test_every_input_of_a_plan_is_a_flag_and_a_list_has_an_item_a_line(script: Path) -> None:
    (script.parent / "base.yaml").touch()
    code, _, calls = run(
        script, command="plan", spec="a b.yaml\n\nspecs\r\n", name="prod", target="x\ny", only="/a/*",
        adopt="never", no_decrypt="true", overwrite_outside="true", allow_replace="true",
        allow_empty_source="true", max_deletes="0", max_deletes_total="7",
        max_change_percent="50",
        against="base.yaml\nnowhere.yaml", lift="a@x=1, b@y=2\nc@z=3", unreviewed="true",
    )  # fmt: skip
    assert code == 0
    plan, publish = calls
    assert plan[:3] == ["plan", "a b.yaml", "specs"]
    text = " ".join(plan[3:])
    for flags in (
        "--name prod", "--target x --target y", "--only /a/*", "--adopt never", "--no-decrypt",
        "--overwrite-outside", "--allow-replace", "--allow-empty-source", "--max-deletes 0",
        "--max-deletes-total 7", "--max-change-percent 50", "--against base.yaml",
        "--lift a@x=1 --lift b@y=2 --lift c@z=3", "--unreviewed",
    ):  # fmt: skip
        assert flags in text
    assert "nowhere" not in text
    assert "--verify-values" not in text
    assert publish[:5] == ["publish", "--comment", "changes", "--name", "prod"]


def test_a_replan_gets_the_workflow_whose_plans_the_merge_accepts(script: Path) -> None:
    _, _, calls = run(
        script,
        command="plan",
        pull_request="7",
        replan_head="a" * 40,
        plan_workflow=".github/workflows/plan.yml",
    )
    publish = " ".join(calls[-1])
    assert "--replan --head" in publish
    assert "--workflow .github/workflows/plan.yml" in publish


def test_nothing_in_an_input_is_run(script: Path) -> None:
    hostile = "$(touch pwned) `touch pwned` ; touch pwned #'\"*"
    _, _, calls = run(script, command="plan", spec=hostile, only=hostile, name=hostile)
    assert not (script.parent / "pwned").exists()
    assert calls[0][1] == hostile
    assert calls[0].count(hostile) == 3


def test_a_saved_plan_gets_the_flags_of_guards_and_none_that_it_brings_along(script: Path) -> None:
    code, _, calls = run(
        script, command="apply", plan_file="plan.json", no_decrypt="true", adopt="never", max_deletes="3",
        max_plan_age="2",
    )  # fmt: skip
    assert code == 0
    (apply, publish) = calls
    assert apply[:4] == ["apply", "plan.json", "--spec", "replication.yaml"]
    assert " ".join(apply[4:]).startswith("--max-plan-age 2 --max-deletes 3 --out")
    assert publish[-3:-1] == ["--plan", "plan.json"]


@pytest.fixture
def repository(script: Path) -> str:
    """A repository whose former commit has one of two specs; the tool reports that commit as the base."""
    tool = script.parent / "ssm-reconcile" / "bin" / "ssm-reconcile"
    (script.parent / "specs").mkdir()
    (script.parent / "specs" / "a.yaml").touch()
    git(script, "init", "--quiet")
    git(script, "add", "specs")
    git(script, *AUTHOR, "commit", "--quiet", "--message", "former")
    base = git(script, "rev-parse", "HEAD")
    (script.parent / "specs" / "b.yaml").touch()
    files = f'mkdir -p "$4" && echo {{}} > "$4/7.json" && echo {base} > "$4/base"'
    fetch = f'if [ "$1 $2" = "github reviewed" ]; then {files}; exit 0; fi\n'
    tool.write_text(TOOL.replace("for word", f"{fetch}for word", 1))
    return base


AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")


def git(script: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=script.parent, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def against(apply: list[str]) -> list[str]:
    return [value for flag, value in pairwise(apply) if flag == "--against"]


@pytest.mark.parametrize("folder", ["specs", "./specs", "{here}/specs"])
def test_each_spec_is_compared_with_its_version_before_the_merge(
    script: Path, repository: str, folder: str
) -> None:
    folder = folder.format(here=script.parent)
    spec = f"{folder}/a.yaml\n{folder}/b.yaml\n"
    code, log, calls = run(script, command="apply", reviewed="true", spec=spec, rest="apply")
    assert code == 0, log
    (apply,) = [call for call in calls if call[0] == "apply"]
    (former,) = against(apply)
    assert former.endswith("/base/specs/a.yaml"), "b.yaml is new"
    assert Path(former).is_file()
    assert apply[apply.index("--rest") + 1] == "apply"


def test_a_folder_of_specs_is_compared_with_the_folder_before_the_merge(
    script: Path, repository: str
) -> None:
    _, _, calls = run(script, command="apply", reviewed="true", spec="specs")
    (apply,) = [call for call in calls if call[0] == "apply"]
    (former,) = against(apply)
    assert [file.name for file in Path(former).iterdir()] == ["a.yaml"]
    assert apply[apply.index("--rest") + 1] == "leave"


def test_the_result_goes_to_each_pull_request_whose_plan_is_applied(script: Path, repository: str) -> None:
    tool = script.parent / "ssm-reconcile" / "bin" / "ssm-reconcile"
    tool.write_text(
        tool.read_text().replace('echo {} > "$4/7.json"', 'echo {} | tee "$4/7.json" > "$4/8.json"')
    )
    _, _, calls = run(script, command="apply", reviewed="true", spec="specs")
    publish = calls[-1]
    assert publish[0] == "publish"
    assert [value for flag, value in pairwise(publish) if flag == "--pull-request"] == ["7", "8"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"command": "apply", "unreviewed": "true", "rest": "all"}, "rest must be leave or apply"),
        ({"command": "apply", "session_seconds": "1h"}, "session-seconds must be a number of seconds"),
        ({"command": "apply"}, "reviewed, plan-file, expect-plan, unreviewed"),
        ({"command": "destroy"}, "validate, plan, apply, failed or open"),
        ({"command": "plan", "allow_replace": "yes"}, "--allow-replace must be true or false"),
    ],
)
def test_misuse_is_reported(script: Path, inputs: dict[str, str], message: str) -> None:
    code, log, calls = run(script, **inputs)
    assert code == 64
    assert "::error title=ssm-reconcile::" in log
    assert message in log
    assert calls == []


def test_an_approval_among_several_specs_needs_the_reviews_before_its_plan(script: Path) -> None:
    given = {"command": "apply", "plan_file": "p.json", "approval_environment": "changed"}
    given["separate_approver"] = "true"
    code, log, calls = run(script, **given, artifacts_by_spec="true")
    assert code == 64
    assert "artifacts-by-spec needs reviews-before" in log
    assert [call[1] for call in calls] == ["suffix"]
    code, log, calls = run(script, **given, reviews_before="none")
    assert code == 0, log
    (proof,) = (call for call in calls if call[:2] == ["github", "approval"])
    assert ("--reviews-before", "none") in set(pairwise(proof))


def test_the_end_of_session_credentials_is_known_to_an_apply_and_to_no_other_command(script: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    run(script, command="apply", unreviewed="true", session_seconds="7200", AWS_SESSION_TOKEN="x")
    noted = script.parent / "noted.apply.end"
    end = datetime.fromisoformat(noted.read_text().strip())
    assert before <= end - timedelta(hours=2) <= datetime.now(UTC)
    assert (script.parent / "noted.publish.end").read_text() == "unknown\n"
    run(script, command="plan", session_seconds="7200", AWS_SESSION_TOKEN="x")
    assert (script.parent / "noted.plan.end").read_text() == "unknown\n"


@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"AWS_SESSION_TOKEN": "x", "session_seconds": ""}, "unknown"),
        ({"session_seconds": "3600"}, "unknown"),
        ({"AWS_SESSION_TOKEN": "x", "session_seconds": "3600", "AWS_CREDENTIAL_EXPIRATION": "now"}, "now"),
    ],
    ids=["no seconds", "no session", "known"],
)
def test_an_end_that_is_unknown_or_known_already_is_not_computed(
    script: Path, given: dict[str, str], end: str
) -> None:
    run(script, command="apply", unreviewed="true", **given)
    assert (script.parent / "noted.apply.end").read_text() == f"{end}\n"


@pytest.mark.parametrize("code", [1, 3, 5, 130])
def test_the_exit_code_of_an_apply_is_that_of_the_step(script: Path, code: int) -> None:
    ended, _, calls = run(script, command="apply", unreviewed="true", CODE=str(code))
    assert calls[0][:2] == ["apply", "replication.yaml"]
    assert "--yes" in calls[0]
    assert calls[-1][0] == "publish", "what it did is published whatever it was"
    assert ended == code


def test_a_run_that_is_cancelled_tells_the_tool_and_waits_for_it(script: Path) -> None:
    result = environment(script, command="apply", unreviewed="true", SLOW="1")
    step = subprocess.Popen(
        ["bash", "-e", str(script)],
        env=result,
        cwd=script.parent,
        stdout=subprocess.DEVNULL,
        # a shell cannot trap what it inherits as ignored, as from a job in the background
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    started = script.parent / "noted.started"
    until = time.monotonic() + 20
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.05)
    step.send_signal(signal.SIGINT)
    assert step.wait(20) == 130
    noted = (script.parent / "noted").read_text()
    assert "the tool heard of it" in noted
    assert noted.index("heard of it") < noted.index("--- publish"), "and what it did is published"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A checkout of the caller whose files have the names of modules; each reports that it ran."""
    folder = tmp_path / "workspace"
    (folder / "pip").mkdir(parents=True)
    names = ("venv", "ensurepip", "logging", "sitecustomize", "argparse", "subprocess", "hatchling", "json")
    for file in (*(f"{name}.py" for name in names), "pip/__init__.py", "pip/__main__.py"):
        (folder / file).write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write(__file__)\n")
    return folder


def test_no_file_of_the_checkout_runs_while_the_tool_is_installed(tmp_path: Path, hostile: Path) -> None:
    """Without an index, the step makes the environment and fails at the first package."""
    done = subprocess.run(
        ["bash", "-c", INSTALL["run"]],
        cwd=hostile,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "RUNNER_TEMP": str(tmp_path),
            "ACTION_PATH": str(ROOT), "HOME": str(tmp_path), "PIP_NO_INDEX": "1",
            "PYTHONPATH": ".",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert "No matching distribution found" in done.stderr
    assert not (tmp_path / "ssm-reconcile/installed-from").exists()


@pytest.mark.parametrize("searched", [{}, {"PYTHONPATH": "."}])
def test_no_file_of_the_checkout_runs_as_the_tool(
    tmp_path: Path, script: Path, hostile: Path, searched: dict[str, str]
) -> None:
    tool = script.parent / "ssm-reconcile" / "bin" / "ssm-reconcile"
    start = f"#!/bin/sh\n'''exec' '{sys.executable}' \"$0\"\n' '''\n"  # as pip writes for a path with a space
    tool.write_text(f"{start}import json, logging, sys\nprint('the tool ran')\n")
    given = environment(script, command="validate") | searched
    done = subprocess.run(
        ["bash", str(script)], cwd=hostile, env=given, capture_output=True, text=True, check=False
    )
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert "the tool ran" in done.stdout
