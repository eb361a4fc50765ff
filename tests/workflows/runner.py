"""A workflow file and an event -> what a runner would make of them, step by step.

Every `run:` of a workflow and of a composite action is executed by bash, with the files that a runner
gives (GITHUB_ENV, GITHUB_OUTPUT, GITHUB_STEP_SUMMARY, GITHUB_PATH), the event's payload, inputs and
environment as the file says. `uses:` of GitHub's and AWS's own actions are played (`guests`), and an action
below `./` is the one in that folder of the workspace. `tests.workflows.schedule` decides when a job is
executed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.workflows.expressions import filled, holds

ROOT = Path(__file__).parents[2]
SUMMARY_LIMIT = 1024 * 1024
Guest: TypeAlias = Callable[["Job", Mapping[str, str]], Mapping[str, str]]


@dataclass(slots=True)
class Step:
    """The result of one step."""

    name: str
    outcome: str = "skipped"
    conclusion: str = "skipped"
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""
    summary: str = ""


@dataclass(slots=True)
class Job:
    """One job. `github` has its own token; `base` is its name in the file, without a value of its matrix.

    `call` is the call of the reusable workflow that has the job, and `inputs` are those of the call.
    """

    name: str
    spec: Mapping[str, Any]
    github: dict[str, Any]
    variables: Mapping[str, str]
    place: Path
    machine: Mapping[str, str]
    guests: Mapping[str, Guest]
    needs: Mapping[str, Any]
    result: str = "success"
    base: str = ""
    call: Any = None
    inputs: Mapping[str, Any] | None = None
    workflow: Mapping[str, str] = field(default_factory=dict)
    matrix: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    _files: int = 0

    def __post_init__(self) -> None:
        self.base = self.base or self.name

    @property
    def workspace(self) -> Path:
        return self.place / "workspace"

    @property
    def temp(self) -> Path:
        return self.place / "temp"

    @property
    def log(self) -> str:
        return "\n".join(step.log for step in self.steps)

    @property
    def summary(self) -> str:
        return "".join(step.summary for step in self.steps)

    @property
    def annotations(self) -> list[str]:
        return [line for step in self.steps for line in commands(step.log)]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)

    @property
    def permissions(self) -> Mapping[str, str]:
        return self.spec.get("permissions") or {}

    @property
    def environment(self) -> str:
        found = self.spec.get("environment")
        return found["name"] if isinstance(found, dict) else found or ""

    def contexts(self, steps: Mapping[str, Step], **more: Any) -> dict[str, Any]:
        answer = {
            key: {"outcome": one.outcome, "conclusion": one.conclusion, "outputs": one.outputs}
            for key, one in steps.items()
        }
        return {
            "github": self.github,
            "vars": self.variables,
            "inputs": self.github["event"].get("inputs") or {} if self.inputs is None else self.inputs,
            "job": self.workflow,
            "runner": {"temp": str(self.temp), "os": "Linux"},
            "needs": self.needs,
            "matrix": self.matrix,
            "env": {},
            "steps": answer,
            **more,
        }

    def run(self) -> None:
        for folder in (self.workspace, self.temp):
            folder.mkdir(parents=True)
        known: dict[str, Step] = {}
        for spec in self.spec["steps"]:
            if not self._run_step(spec, known, self.contexts(known), self.steps):
                self.result = "failure"
        contexts = self.contexts(known)
        self.outputs = {
            name: filled(text, contexts, {}) for name, text in (self.spec.get("outputs") or {}).items()
        }

    def _run_step(
        self, spec: Mapping[str, Any], known: dict[str, Step], contexts: dict[str, Any], done: list[Step]
    ) -> bool:
        """Runs one step; says whether the job, or the action, goes on as a success."""
        failed = any(step.conclusion == "failure" for step in known.values()) or any(
            step.conclusion == "failure" for step in done
        )
        functions = {
            "success": lambda: not failed, "failure": lambda: failed, "always": lambda: True,
            "cancelled": lambda: False,
        }  # fmt: skip
        step = Step(spec.get("name") or spec.get("uses") or spec.get("run", "").split("\n")[0])
        done.append(step)
        if "id" in spec:
            known[spec["id"]] = step
        if not holds(spec.get("if"), contexts, functions):
            return True
        env = {key: filled(text, contexts, functions) for key, text in (spec.get("env") or {}).items()}
        given = {key: filled(text, contexts, functions) for key, text in (spec.get("with") or {}).items()}
        try:
            good = self._use(spec["uses"], given, step) if "uses" in spec else self._shell(spec, env, step)
        except Refused as refused:
            step.log += f"{refused}\n"
            good = False
        step.outcome = "success" if good else "failure"
        step.conclusion = "success" if good or spec.get("continue-on-error") else "failure"
        return step.conclusion == "success"

    def _use(self, uses: str, given: Mapping[str, str], step: Step) -> bool:
        if uses.startswith("./"):
            return self._composite(self.workspace / uses, given, step)
        name, _, version = uses.partition("@")
        assert re.fullmatch("[0-9a-f]{40}", version), f"{uses} is not pinned"
        step.outputs = dict(self.guests[name](self, given))
        return True

    def _composite(self, folder: Path, given: Mapping[str, str], step: Step) -> bool:
        if not (folder / "action.yml").exists():
            raise Refused(f"Can't find 'action.yml' under {folder}")
        action = parsed(folder / "action.yml")
        declared = action["inputs"]
        assert given.keys() <= declared.keys(), f"no such inputs: {given.keys() - declared.keys()}"
        github = {**self.github, "action_path": str(folder)}
        plain = {"github": github}
        inputs = {
            key: given.get(key, filled(one.get("default", ""), plain, {})) for key, one in declared.items()
        }
        known: dict[str, Step] = {}
        inner: list[Step] = []
        good = True
        for spec in action["runs"]["steps"]:
            contexts = self.contexts(known) | {"inputs": inputs, "github": github}
            good = self._run_step(spec, known, contexts, inner) and good
        contexts = self.contexts(known) | {"inputs": inputs}
        step.outputs = {key: filled(one["value"], contexts, {}) for key, one in action["outputs"].items()}
        step.log = "".join(one.log for one in inner)
        step.summary = "".join(one.summary for one in inner)
        return good

    def _shell(self, spec: Mapping[str, Any], env: Mapping[str, str], step: Step) -> bool:
        assert "${{" not in spec["run"], "an expression in a script is an injection"
        self._files += 1
        files = {
            word: self.temp / f"_runner_{self._files}_{word}"
            for word in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
        }
        for file in files.values():
            file.touch()
        script = self.temp / f"_script_{self._files}.sh"
        script.write_text(spec["run"])
        options = ["--noprofile", "--norc", "-e", "-o", "pipefail"] if "shell" in spec else ["-e"]
        path = ":".join([*reversed(self.path), self.machine["PATH"]])
        done = subprocess.run(
            ["bash", *options, str(script)],
            cwd=self.workspace,
            env={**self.machine, **self._variables(), **self.env, "PATH": path}
            | {word: str(file) for word, file in files.items()}
            | dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        step.log = done.stdout.decode()
        self.env |= pairs(files["GITHUB_ENV"].read_text())
        self.path += files["GITHUB_PATH"].read_text().splitlines()
        step.outputs = pairs(files["GITHUB_OUTPUT"].read_text())
        step.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        return done.returncode == 0 and len(step.summary.encode()) <= SUMMARY_LIMIT

    def _variables(self) -> dict[str, str]:
        """Return the variables that a runner gives to every step."""
        github = self.github
        words = (
            "api_url", "graphql_url", "server_url", "repository", "event_name", "event_path", "sha", "ref",
            "run_id", "run_number", "run_attempt", "workflow", "workflow_ref", "actor", "triggering_actor",
            "ref_name", "head_ref", "base_ref", "repository_id",
        )  # fmt: skip
        return {f"GITHUB_{word.upper()}": str(github[word]) for word in words} | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_JOB": self.base,
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
        }


def parsed(file: Path) -> dict[Any, Any]:
    """Return the content of a workflow or an action; no caller changes it."""
    return _parsed(file.read_text())


@cache
def _parsed(text: str) -> dict[Any, Any]:
    document: dict[Any, Any] = yaml.safe_load(text)
    return document


class Refused(Exception):  # noqa: N818 - a guest that does not let us in
    """A step fails."""


def pairs(text: str) -> dict[str, str]:
    """Parse a file that a step wrote: `name=value`, or a value between two marks."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, rest = re.fullmatch(r"([^=<]+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr] # or it is a bug of ours
        if sign == "=":
            found[name] = rest
        else:
            value: list[str] = []
            for inner in lines:
                if inner == rest:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
    return found


def commands(log: str) -> list[str]:
    """The workflow commands that a runner obeys: none while they are stopped."""
    obeyed, mark = [], ""
    for raw in log.splitlines():
        line = raw.strip()
        if mark:
            mark = "" if line == f"::{mark}::" else mark
        elif line.startswith("::stop-commands::"):
            mark = line.removeprefix("::stop-commands::")
        elif re.match(r"::[a-z-]+( [^:]*)?::", line):
            obeyed.append(line)
    return obeyed


def machine(folder: Path, endpoint: str, command: str) -> dict[str, str]:
    """The environment of a machine: a `python3` that installs nothing and notes what it was asked for."""
    import sys

    folder.mkdir(parents=True, exist_ok=True)
    stub = folder / "python3"
    stub.write_text(_PYTHON.format(real=sys.executable, command=command, noted=folder / "installed"))
    stub.chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


_PYTHON = """\
#!/usr/bin/env bash
# Makes an environment that runs this project from its source; writes down what pip was to install.
set -euo pipefail
case "$1 ${{2:-}} ${{3:-}}" in
  "-I -m venv")
    mkdir -p "$4/bin"
    cat > "$4/bin/python" <<'END'
#!/usr/bin/env bash
printf "%s\\n" "$*" >> "{noted}"
END
    cat > "$4/bin/ssm-reconcile" <<'END'
#!/usr/bin/env bash
exec {command} "$@"
END
    chmod +x "$4/bin/python" "$4/bin/ssm-reconcile"
    ;;
  *) exec "{real}" -I -S "$@" ;;
esac
"""
