"""The wheel with its extra `demo` on each Python of this machine, with the locked packages from the index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_reconcile import __version__
from tests.e2e.wheel import Distributions, build_distributions

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
PIP = (
    "--no-compile",
    "--disable-pip-version-check",
    "--no-input",
    "--quiet",
    "--retries",
    "1",
    "--timeout",
    "20",
)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build_distributions(tmp_path_factory.mktemp("distributions"))


def candidates(version: str) -> Iterator[str]:
    """Yield interpreters of a version: on the path, and those of pyenv, whose stubs are not active."""
    found = shutil.which(f"python{version}")
    if found:
        yield found
    pyenv = shutil.which("pyenv")
    if pyenv:
        listed = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False)
        for name in re.findall(rf"^{re.escape(version)}\.\d+$", listed.stdout, re.MULTILINE):
            prefix = subprocess.run([pyenv, "prefix", name], capture_output=True, text=True, check=False)
            yield f"{prefix.stdout.strip()}/bin/python{version}"


def interpreter(version: str) -> str:
    """Return an interpreter of a version that can make environments, or skip the test."""
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    for path in candidates(version):
        done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return path
    pytest.skip(f"this machine has no Python {version}")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_demo_runs_on_each_python(distributions: Distributions, tmp_path: Path, version: str) -> None:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AWS_", "PYENV_"))
    }
    environment, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=empty, env=kept, capture_output=True, text=True, check=False, timeout=400
        )

    made = run(interpreter(version), "-m", "venv", str(environment))
    assert made.returncode == 0, made.stderr
    python = str(environment / "bin" / "python")
    install = (python, "-m", "pip", "install", *PIP)
    locked = run(*install, "--require-hashes", "--requirement", str(ROOT / "requirements" / "demo.txt"))
    if locked.returncode and re.search("connection|timed out|name resolution", locked.stderr, re.IGNORECASE):
        pytest.skip("no connection to the package index")
    assert locked.returncode == 0, locked.stderr
    wheel = run(*install, "--no-index", f"{distributions.wheel}[demo]")
    assert wheel.returncode == 0, wheel.stderr
    command = str(environment / "bin" / "ssm-reconcile")
    assert run(command, "--version").stdout == f"ssm-reconcile, version {__version__}\n"
    demo = run(command, "demo")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "Applied" in demo.stdout
    assert list(empty.iterdir()) == []


def test_the_documentation_has_each_python_once() -> None:
    text = (ROOT / "docs" / "upgrading.md").read_text()
    tried, others = re.findall(
        r"^Python (.+?) are tried:.* Python (.+?) is not tried\.$", text, re.MULTILINE
    )[0]
    assert (*re.findall(r"\d\.\d+", tried), *re.findall(r"\d\.\d+", others)) == VERSIONS
