"""The house as it stands, against the plan of it: import contracts that bite, names, sizes, suppressions."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ssm_reconcile"
MODULES = sorted(SOURCE.rglob("*.py"))
PYTHON = sorted([*MODULES, *(ROOT / "tests").rglob("*.py")])

FILE_LINES = 500
FUNCTION_LINES = 50  # "about 40", docstring and all
EMPTY_NAMES = {"utils", "helpers", "helper", "manager", "handler", "process", "data", "common", "misc"}
HEAVY = {"boto3", "botocore", "jsonschema", "moto", "rich"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_file_stays_readable_in_one_sitting(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES, f"{lines} lines: which part of it has a name of its own?"


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_function_stays_on_one_screen(path: Path) -> None:
    long = [
        f"{node.name} ({size} lines)"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long, ", ".join(long)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    words = set(re.split(r"[_.]", path.stem)) | {part.name for part in path.parents if part != SOURCE}
    assert not words & EMPTY_NAMES
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    """Not at the head of a module: `--help` must not wait for boto3."""
    heavy = [
        f"line {node.lineno}: {name}"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
        if name.split(".")[0] in HEAVY
    ]
    assert not heavy, ", ".join(heavy)


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_a_suppression_gives_its_code_and_its_reason(path: Path) -> None:
    bare = [
        f"line {number}: {line.strip()}"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (found := re.search(r"#\s*(?:noqa|type:\s*ignore)(?P<rest>.*)", line))
        and not re.match(r"(?:: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[a-z, -]+\])\s+\S+", found["rest"])
        and path != Path(__file__)
    ]
    assert not bare, "\n".join(bare)


def test_no_room_takes_up_more_than_a_fifth_of_the_house() -> None:
    """A room is a folder, or a file on the ground floor."""
    sizes: dict[str, int] = {}
    for path in MODULES:
        room = path.name if path.parent == SOURCE else str(path.parent.relative_to(SOURCE))
        sizes[room] = sizes.get(room, 0) + len(path.read_text().splitlines())
    whole = sum(sizes.values())
    assert {room: size for room, size in sizes.items() if size * 5 > whole} == {}


BREACHES = {
    "resolve.py": ("import ssm_reconcile.reconcile", "Imports run downwards only"),
    "shape.py": ("import time", "The core computes"),
    "plan_findings.py": ("import boto3", "AWS is known where a place is opened, and nowhere else"),
    "stores/base.py": ("import ssm_reconcile.plan", "Stores know parameters, not plans"),
    "report.py": ("import yaml", "YAML is known in load only; the library jsonschema is for tests"),
    "observe.py": ("import rich", "Options and terminals are known in cli only"),
    "budget.py": ("import tests.fake_aws.store", "The package does not know the simulated AWS of the tests"),
    "renderers/view.py": ("import ssm_reconcile.renderers.text", "An output does not know another output"),
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What lint-imports says of a copy of the house in which every contract is broken once."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(SOURCE, copy / "ssm_reconcile")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, (line, _) in BREACHES.items():
        path = copy / "ssm_reconcile" / name
        path.write_text(f"{path.read_text()}\n{line}\n")
    (copy / "ssm_reconcile" / "shed.py").write_text('"""Not on the plan."""\n')
    command = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "300", "PATH": ""},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("contract", [contract for _, contract in BREACHES.values()])
def test_an_import_contract_is_broken_by_an_import_against_it(verdict: str, contract: str) -> None:
    assert re.search(rf"^{re.escape(contract)}.*BROKEN", verdict, re.MULTILINE), verdict


def test_a_module_that_is_not_on_the_plan_is_found(verdict: str) -> None:
    assert "ssm_reconcile.shed" in verdict
