"""Structure of the package: import contracts, sizes of files and functions, number of files, suppressions."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.trees import ROOT, named, nodes_of, text_of, tree_of

SOURCE = ROOT / "src" / "ssm_reconcile"
MODULES = sorted(SOURCE.rglob("*.py"))
PYTHON = sorted([*MODULES, *(ROOT / "tests").rglob("*.py")])

FILE_LINES = 500
FUNCTION_LINES = 50  # docstring included
GENERIC_NAMES = {"utils", "helpers", "helper", "manager", "handler", "process", "data", "common", "misc"}
HEAVY = {"boto3", "botocore", "deepdiff", "jsonschema", "moto", "rich"}


def test_a_file_has_at_most_500_lines() -> None:
    long = [
        f"{named(path)}: {lines} lines: move a part with a name of its own to another file"
        for path in MODULES
        if (lines := len(text_of(path).splitlines())) > FILE_LINES
    ]
    assert not long, "\n".join(long)


def test_a_function_has_at_most_50_lines() -> None:
    long = [
        f"{named(path)}: {node.name} ({size} lines)"
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (size := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)


def test_a_module_has_a_specific_name() -> None:
    generic = {
        named(path): found
        for path in MODULES
        if (found := GENERIC_NAMES & {*re.split(r"[_.]", path.stem), *path.relative_to(SOURCE).parts})
    }
    assert generic == {}


def test_a_module_has_a_docstring() -> None:
    bare = [named(path) for path in MODULES if not ast.get_docstring(tree_of(path))]
    assert not bare, "\n".join(bare)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """Not at the top of a module: `--help` must not wait for boto3."""
    heavy = [
        f"{named(path)}:{node.lineno}: {name}"
        for path in MODULES
        for node in tree_of(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
        )
        if name.split(".")[0] in HEAVY
    ]
    assert not heavy, "\n".join(heavy)


def test_a_suppression_gives_its_code_and_its_reason() -> None:
    bare = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in PYTHON
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if (found := re.search(r"#\s*(?:noqa|type:\s*ignore)(?P<rest>.*)", line))
        and not re.match(r"(?:: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[a-z, -]+\])\s+\S+", found["rest"])
        and path != Path(__file__)
    ]
    assert not bare, "\n".join(bare)


def test_no_package_has_more_than_a_fifth_of_the_lines() -> None:
    """A package is a folder, or a file at the top level."""
    sizes: dict[str, int] = {}
    for path in MODULES:
        package = path.name if path.parent == SOURCE else str(path.parent.relative_to(SOURCE))
        sizes[package] = sizes.get(package, 0) + len(text_of(path).splitlines())
    whole = sum(sizes.values())
    assert {package: size for package, size in sizes.items() if size * 5 > whole} == {}


MOST_FILES = 131
"""Maximum files of the package outside of `FAMILIES`, whose members are added as files of their own.

`init/github.py` is pure and has nothing in common with the survey of parameters. `github/settings.py` reads
what `github/setup_checks.py` judges, and together they are too long. So are `undo/effects.py` and
`undo/former.py`, which it calls for the version, tags and record that a parameter returns to.
`github/workflow_calls.py` parses the workflows that `github/setup_checks.py` judges. `init/ruleset.py` is the
part of `init/github.py` about the ruleset, and together they are too long. `github/call_checks.py` judges the
workflows and `github/setup_checks.py` the settings, and together they are too long. `init/callers.py` reads
the workflows that exist, and `init/github.py` the files and settings to make.
"""
SMALL_LINES = 60
FAMILIES = {"cli", "publishers", "renderers"}
"""Folders with one file for each member: a command, a publisher, an output.

A new member may start small, and only the command that offers it imports it. So its size does not matter.
"""


def test_the_package_has_a_limited_number_of_files_outside_of_families() -> None:
    assert sum(FAMILIES.isdisjoint(path.relative_to(SOURCE).parts) for path in MODULES) <= MOST_FILES


def test_a_small_module_has_more_than_one_importer() -> None:
    """A module under 60 lines with one importer belongs into that importer, except a member of a family."""
    names = {dotted(path): path for path in MODULES}
    importers: dict[str, set[str]] = {name: set() for name in names}
    for name, path in names.items():
        for imported in imported_by(path):
            known = imported if imported in names else imported.rpartition(".")[0]
            if known in names and known != name:
                importers[known].add(name)
    small = {
        path.relative_to(SOURCE).as_posix()
        for name, path in names.items()
        if not path.name.startswith("__")
        and FAMILIES.isdisjoint(path.relative_to(SOURCE).parts)
        and len(importers[name]) == 1
        and len(text_of(path).splitlines()) < SMALL_LINES
    }
    assert small == set()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_by(path: Path) -> set[str]:
    """Return the dotted names of everything that a module imports, with `module.name` for each name."""
    found: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return found


def listed_files() -> set[str]:
    """Return the paths in the tree of docs/architecture.md; a folder's line is that of its `__init__.py`."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    tree = page.split("src/ssm_reconcile/\n", 1)[1].split("```", 1)[0]
    found: set[str] = set()
    folders: list[str] = []
    for line in tree.splitlines():
        folders = folders[: (len(line) - len(line.lstrip())) // 4 - 1]
        names = re.match(r" *((?:[\w.]+/? )*[\w.]+/?)(?:  |$)", line)
        for name in names[1].split() if names else ():
            found.add("".join([*folders, name, "__init__.py" if name.endswith("/") else ""]))
            if name.endswith("/"):
                folders = [*folders, name]
    return found


def test_the_architecture_page_lists_the_files_of_the_package() -> None:
    files = {path.relative_to(SOURCE).as_posix() for path in MODULES} - {"__init__.py", "__main__.py"}
    listed = listed_files()
    assert {path for path in listed if path.endswith(".py")} <= files, "a line without a file"
    assert files - listed == set(), "a file without a line"


BREACHES = {
    "resolve.py": ("import ssm_reconcile.reconcile", "Imports run downwards only"),
    "shape.py": ("import time", "The core has no I/O"),
    "plan_findings.py": ("import boto3", "boto3 is used in stores and event only; in the demo too"),
    "stores/base.py": ("import ssm_reconcile.plan", "Stores do not import plans, changes or records"),
    "report.py": ("import yaml", "YAML and JSON Schema are used in load only"),
    "plan.py": ("import deepdiff", "DeepDiff is used in diff only"),
    "observe.py": ("import rich", "click and rich are used in cli only"),
    "budget.py": (
        "import tests.fake_aws.store",
        "The package does not import the simulated AWS of the tests",
    ),
    "renderers/view.py": ("import ssm_reconcile.renderers.text", "An output does not import another output"),
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the output of lint-imports for a copy of the package that breaks every contract once."""
    copy = tmp_path_factory.mktemp("package")
    shutil.copytree(SOURCE, copy / "ssm_reconcile")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, (line, _) in BREACHES.items():
        path = copy / "ssm_reconcile" / name
        path.write_text(f"{path.read_text()}\n{line}\n")
    (copy / "ssm_reconcile" / "extra.py").write_text('"""Not in a layer."""\n')
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


def test_a_module_without_a_layer_is_found(verdict: str) -> None:
    assert "ssm_reconcile.extra" in verdict
