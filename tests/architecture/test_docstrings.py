"""Docstrings of the public functions and classes of the package: which sections they must have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.trees import ROOT, named, tree_of

CODE = sorted((ROOT / "src" / "ssm_reconcile").rglob("*.py"))
ARGUMENTS_WITHOUT_SECTION = 2
"""The most arguments that a summary describes without an `Args:` section."""


def public_functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yield the public functions of a module and the public methods of its public classes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (one for one in node.body if isinstance(one, ast.FunctionDef))


def is_click_command(function: ast.FunctionDef) -> bool:
    """Whether a decorator makes the function a command or group: its docstring is the help text."""
    calls = [one.func for one in function.decorator_list if isinstance(one, ast.Call)]
    return any(isinstance(call, ast.Attribute) and call.attr in {"command", "group"} for call in calls)


def arguments(function: ast.FunctionDef) -> list[str]:
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [one.arg for one in every if one.arg not in {"self", "cls"}]


def undescribed_arguments(tree: ast.Module) -> list[str]:
    """Return each argument that is missing in the `Args:` section of a function that needs one."""
    faults = []
    for function in public_functions(tree):
        if function.name.startswith("_") or is_click_command(function):
            continue
        names = arguments(function)
        section = (ast.get_docstring(function) or "").partition("Args:")[2]
        if len(names) > ARGUMENTS_WITHOUT_SECTION:
            missing = [name for name in names if not re.search(rf"^\s+{name}: ", section, re.MULTILINE)]
            faults += [f"{function.lineno}: {function.name}({name})" for name in missing]
    return faults


def raised_in(function: ast.FunctionDef) -> list[ast.Raise]:
    """Return the `raise` statements with an exception, without those of inner functions."""
    found, nodes = [], list[ast.AST](function.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            nodes += ast.iter_child_nodes(node)
    return found


def undescribed_exceptions(tree: ast.Module) -> list[str]:
    """Return each function that raises an exception and whose docstring does not describe it."""
    return [
        f"{function.lineno}: {function.name}"
        for function in public_functions(tree)
        if not function.name.startswith("_")
        and not is_click_command(function)
        and raised_in(function)
        and "Raises:" not in (ast.get_docstring(function) or "")
    ]


def dataclasses_with_arguments(tree: ast.Module) -> list[str]:
    """Return each dataclass whose docstring has `Args:`; its fields are described under `Attributes:`."""
    return [
        f"{node.lineno}: {node.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(one) for one in node.decorator_list)
        and "Args:" in (ast.get_docstring(node) or "")
    ]


def test_docstrings_describe_arguments_and_exceptions() -> None:
    found = [
        f"{named(path)}:{fault}"
        for path in CODE
        for rule in (undescribed_arguments, undescribed_exceptions, dataclasses_with_arguments)
        for fault in rule(tree_of(path))
    ]
    assert not found, "\n".join(found)


def test_rules_find_each_kind_of_fault() -> None:
    tree = ast.parse(
        "@dataclass\nclass One:\n    '''One.\n\n    Args:\n        a: A.\n    '''\n"
        "def two(a, b, c):\n    '''Two.\n\n    Args:\n        a: A.\n        b: B.\n    '''\n"
        "def three():\n    '''Three.'''\n    raise ValueError(1)\n"
    )
    assert dataclasses_with_arguments(tree) == ["2: One"]
    assert undescribed_arguments(tree) == ["8: two(c)"]
    assert undescribed_exceptions(tree) == ["15: three"]
