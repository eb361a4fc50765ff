"""A clone of the repository with a tag, and a runner for the scripts of `release.yml`.

docker and gh are stand-ins that write their arguments down. Nothing here uses a network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import ssm_reconcile
from tests.architecture.test_documents import files

ROOT = Path(__file__).parents[2]
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
JOBS: dict[str, Any] = WORKFLOW["jobs"]
VERSION = ssm_reconcile.__version__
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
REPOSITORY: str = URLS["Repository"].removeprefix("https://github.com/")
TAG = f"v{VERSION}"
DIGEST, AMD64, ARM64 = (f"sha256:{digit * 64}" for digit in "567")
DOCKER = f"""\
case "$*" in
  *"imagetools inspect ghcr.io"*)
    test -e "$STANDINS/index" || {{ echo "ERROR: ${{REGISTRY:-ghcr.io/a:1: not found}}" >&2; exit 1; }}
    echo {DIGEST} ;;
  *"imagetools inspect"*) echo {DIGEST} ;;
  *"imagetools create"*) touch "$STANDINS/index" ;;
  "image inspect"*-amd64*) echo "ghcr.io/example/ssm-reconcile@{AMD64}" ;;
  "image inspect"*-arm64*) echo "ghcr.io/example/ssm-reconcile@{ARM64}" ;;
  *"import pip") test -n "$HAS_PIP" ;;
  *"--entrypoint id"*) echo "${{USER_ID:-10001}}" ;;
  *--version) echo "ssm-reconcile, version {VERSION}" ;;
  login*) cat >> "$STANDINS/tokens" ;;
esac
"""
GH = """\
release=$STANDINS/release
case "$*" in
  "release view"*) test -e "$release" ;;
  "release create"*)
    echo draft > "$release" # while the files are uploaded
    test -z "$INTERRUPTED" || exit 1
    echo published > "$release" ;;
  "release edit"*--draft=false*) echo published > "$release" ;;
  *actions/workflows*) echo "$RUNS" ;;
  *"--method P"*) test -z "$FORBIDDEN" ;;
  *matching-refs*) cat "$STANDINS/tags" ;;
  *"/git/ref/tags/"*) test -e "$STANDINS/major" ;;
esac
"""


def git(folder: Path, *words: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *options, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Runner:
    """A clone of the repository, and what a runner sets for its scripts; also one that exists already."""

    def __init__(self, place: Path) -> None:
        self.folder, self.temp, self.standins = (place / name for name in ("clone", "temp", "standins"))
        for folder in (self.folder, self.temp, self.standins):
            folder.mkdir(parents=True, exist_ok=True)
        for name, body in (("docker", DOCKER), ("gh", GH)):
            standin = self.standins / name
            if standin.exists():  # another worker runs it
                continue
            standin.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "$STANDINS/calls"\n{body}')
            standin.chmod(0o755)
        self.calls_file, self.output = self.standins / "calls", self.standins / "output"

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def run(
        self, job: str, name: str, contexts: Mapping[str, str] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the script of a step as a runner does. `contexts` has the values of expressions."""
        step = next(step for step in JOBS[job]["steps"] if step.get("name") == name)
        known = {"github.token": "the-token", "github.event.repository.default_branch": "main"}
        known |= contexts or {}
        given = {
            key: re.sub(r"\$\{\{ (.+?) \}\}", lambda found: known[found[1]], value)
            for key, value in step.get("env", {}).items()
        }
        runner = {
            "GITHUB_REPOSITORY": "Example/ssm-reconcile", "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REF_NAME": TAG, "GITHUB_ACTOR": "octocat", "GITHUB_SHA": "c" * 40,
            "GITHUB_OUTPUT": str(self.output), "RUNNER_TEMP": str(self.temp), "STANDINS": str(self.standins),
            "PATH": f"{self.standins}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GIT_"))}
        return subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=self.folder, env=kept | runner | given | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def outputs(self) -> dict[str, str]:
        """Return what the steps have written for later jobs."""
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


def passed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], message: str) -> None:
    assert done.returncode != 0, done.stdout
    assert message in done.stdout + done.stderr


def clone_into(folder: Path) -> None:
    """Commit the present files as a release: a section in the changelog, and the owner of the repository."""
    for path in files(ROOT):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    owned = subprocess.run(
        ["grep", "-rlZF", REPOSITORY, "."], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    changes = [(name, REPOSITORY, "Example/ssm-reconcile") for name in owned.split("\0")[:-1]]
    changes.append(("CHANGELOG.md", "\n## Unreleased\n", f"\n## Unreleased\n\n## {VERSION} - 2026-12-01\n"))
    for name, old, new in changes:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Release")
    git(folder, "update-ref", "refs/remotes/origin/main", "HEAD")


def clean_environments(runner: Runner) -> None:
    """Make what the step installs from the index: the packages of this environment, without our own."""
    borrowed = runner.temp / "borrowed"
    borrowed.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "ssm_reconcile" not in path.name and path.suffix != ".pth":
            (borrowed / path.name).symlink_to(path)
    for name in ("wheel", "sdist"):
        venv.create(runner.temp / name, symlinks=True)
        (site,) = (runner.temp / name / "lib").glob("python*/site-packages")
        (site / "borrowed.pth").write_text(f"{borrowed}\n")
