"""The wheel with its extra `demo`, in an environment of its own: commands, schemas, the demo, the hook."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.e2e.wheel import Distributions, build_distributions, install

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build_distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="module")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands."""
    return install(distributions, tmp_path_factory.mktemp("installed") / "venv")


def run(installed: Path, *words: str, folder: Path | None = None) -> str:
    result = subprocess.run(
        [str(installed / words[0]), *words[1:]],
        cwd=folder or installed, capture_output=True, text=True, check=False, timeout=120,
        env={key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "AWS_"))},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout


def test_the_code_that_runs_is_that_of_the_wheel(installed: Path) -> None:
    code = "import ssm_reconcile, sys; print(ssm_reconcile.__file__, *sys.path, sep='\\n')"
    where, *path = run(installed, "python", "-c", code).splitlines()
    assert where.startswith(str(installed.parent))
    assert [entry for entry in path if Path(entry).is_relative_to(ROOT)] == []


def test_the_script_and_the_module_are_one_program(installed: Path) -> None:
    assert run(installed, "ssm-reconcile", "--version") == run(
        installed, "python", "-m", "ssm_reconcile", "--version"
    )


@pytest.mark.parametrize("name", ["replication", "plan", "report", "doctor", "doctor-probe", "status"])
def test_the_schemas_come_with_the_wheel(installed: Path, name: str) -> None:
    assert (
        run(installed, "ssm-reconcile", "schema", name) == (ROOT / f"schema/{name}.schema.json").read_text()
    )


def test_the_demo_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    out = run(installed, "ssm-reconcile", "demo", folder=tmp_path)
    assert "Applied" in out
    assert list(tmp_path.iterdir()) == []


def test_the_end_to_end_tests_pass_with_the_command_of_the_wheel() -> None:
    """Some of them; `make test-wheel` runs all."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/e2e/test_replicating.py"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=environment | {"INSTALLED_WHEEL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_the_hook_for_other_repositories_checks_their_specs(installed: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == "ssm-reconcile-validate"
    assert hook["language"] == "python"
    chosen = [
        name
        for name in (
            "replication.yaml",
            "a/replication.yml",
            "prod-replication.yaml",
            "values.yaml",
            "replication.yaml.j2",
        )
        if re.search(hook["files"], name)
    ]
    assert chosen == ["replication.yaml", "a/replication.yml", "prod-replication.yaml"]
    command = hook["entry"].split()
    assert "valid" in run(installed, *command, str(ROOT / "replication.yaml"))
    assert shutil.which(command[0], path=str(installed))


def test_the_container_file_names_only_existing_files() -> None:
    text = (ROOT / "Containerfile").read_text()
    sources = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert sources
    kept = (ROOT / ".containerignore").read_text().splitlines()
    for source in sources:
        assert (ROOT / source).exists() or source == "ssm_reconcile-*.whl", source
        assert f"!{source}" in kept, source
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE)
