"""Every test function asserts something, directly or in a helper that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.architecture.trees import ROOT, named, nodes_of

TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("*.py"))
CHECKS = {"raises", "warns", "fail"}
"""Functions of pytest that fail a test."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def called(function: ast.AST) -> Iterator[str]:
    """Yield the name of each function or method that a function calls."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def checks(function: ast.AST) -> bool:
    """Whether a function itself has an assert statement, or calls `pytest.raises` and the like."""
    return any(
        isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Attribute)
            and node.attr in CHECKS
            and isinstance(node.value, ast.Name)
            and node.value.id == "pytest"
        )
        for node in ast.walk(function)
    )


@cache
def checking_functions(path: Path) -> frozenset[str]:
    """Return the names of the functions and methods of a module that assert something, tests apart."""
    return frozenset(
        node.name
        for node in nodes_of(path)
        if isinstance(node, Function) and not node.name.startswith("test") and checks(node)
    )


def known_helpers(path: Path) -> set[str]:
    """Return the asserting helpers of a module, of its conftest files and of what it imports from tests."""
    modules = {
        path,
        *(folder / "conftest.py" for folder in path.parents if TESTS in (folder, *folder.parents)),
    }
    for node in nodes_of(path):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tests"):
            modules.add(ROOT / f"{node.module.replace('.', '/')}.py")
            modules |= {ROOT / node.module.replace(".", "/") / f"{one.name}.py" for one in node.names}
    return {name for module in modules if module.exists() for name in checking_functions(module)}


def unasserted_tests(path: Path) -> list[str]:
    """Return each test of a module that neither asserts nor calls a helper that asserts."""
    helpers = known_helpers(path)
    return [
        f"{node.lineno}: {node.name}"
        for node in nodes_of(path)
        if isinstance(node, Function)
        and node.name.startswith("test")
        and not checks(node)
        and helpers.isdisjoint(called(node))
    ]


def test_every_test_asserts_something() -> None:
    modules = [path for path in FILES if path.name.startswith("test_")]
    found = [f"{named(path)}:{test}" for path in modules for test in unasserted_tests(path)]
    assert not found, "\n".join(found)


def test_the_check_finds_a_test_without_assertion(tmp_path: Path) -> None:
    module = tmp_path / "test_one.py"
    module.write_text(
        "def helper(): assert call()\n"
        "def test_direct(): assert call()\n"
        "def test_raises():\n    with pytest.raises(ValueError): call()\n"
        "def test_helper(): helper()\n"
        "class TestAll:\n    def test_method(self): self.call()\n"
        "def test_other_test(): test_direct()\n"
    )
    assert unasserted_tests(module) == ["8: test_other_test", "7: test_method"]
