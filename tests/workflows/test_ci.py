"""The step of ci.yml that runs the tests that install, with stand-ins for sudo, python3 and make."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PYTHON = """\
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$0" "$3/bin/python3" ;;
  "-m pip install --require-hashes --requirement "*)
    for name in $(sed -n 's/^\\([a-z-]*\\)==.*/\\1/p' "$6"); do cp "$0" "$(dirname "$0")/$name"; done ;;
esac
"""


def test_the_tests_that_install_find_the_locked_installers_and_the_python_of_the_job(tmp_path: Path) -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["wheel"]["steps"]
    (script,) = (step["run"] for step in steps if "make test-slow" in step.get("run", ""))
    programs = tmp_path / "programs"
    programs.mkdir()
    found = "for name in uv pipx pre-commit python3; do command -v $name || exit 1; done"
    for name, body in (("python3", PYTHON), ("make", found), ("sudo", 'echo "$@"')):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "requirements").symlink_to(ROOT / "requirements")
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=tmp_path, env={**os.environ, "PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *installed, uv, pipx, pre_commit, python = done.stdout.splitlines()
    assert installed[-1].endswith("install --yes --quiet fish zsh")
    folder = tmp_path / "build/installers/bin"
    assert [uv, pipx, pre_commit] == [str(folder / name) for name in ("uv", "pipx", "pre-commit")]
    assert python == str(programs / "python3")
