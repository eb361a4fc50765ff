"""The wheel, in an environment of its own: the console script, the module, the schemas, the hook."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the wheel, and borrows its dependencies from this one."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install"]
    subprocess.run([*pip, "--no-index", "--no-deps", str(wheel)], check=True, capture_output=True)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # Only the folder itself: its own .pth files, the editable install among them, are not followed.
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def run(installed: Path, *words: str) -> str:
    result = subprocess.run(
        [str(installed / words[0]), *words[1:]],
        cwd=installed, capture_output=True, text=True, check=False, timeout=60,
        env={key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_code_that_runs_is_that_of_the_wheel(installed: Path) -> None:
    where = run(installed, "python", "-c", "import ssm_reconcile; print(ssm_reconcile.__file__)")
    assert where.startswith(str(installed.parent))


def test_the_script_and_the_module_are_one_program(installed: Path) -> None:
    assert run(installed, "ssm-reconcile", "--version") == run(
        installed, "python", "-m", "ssm_reconcile", "--version"
    )


@pytest.mark.parametrize("name", ["replication", "plan", "report", "doctor", "doctor-probe", "status"])
def test_the_schemas_come_with_the_wheel(installed: Path, name: str) -> None:
    assert (
        run(installed, "ssm-reconcile", "schema", name) == (ROOT / f"schema/{name}.schema.json").read_text()
    )


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
        assert (ROOT / source).exists(), source
        assert f"!{source}" in kept, source
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE)
