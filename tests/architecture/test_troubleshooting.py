"""docs/troubleshooting.md against the source: every finding code and every exit code, both ways.

Codes are found where they are emitted, by reading the source as a tree. A place that emits a code which
cannot be read there has to be named below, with what its codes are: so none is forgotten.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ssm_reconcile import diff
from ssm_reconcile.cli import EXIT_CODES, apply, saved_plan
from ssm_reconcile.cli.help_layout import PRECEDENCE
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event import windows
from ssm_reconcile.guards import GUARDS
from ssm_reconcile.load import patterns, schema
from ssm_reconcile.model import ProblemKind
from ssm_reconcile.undo import match

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "ssm_reconcile"
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
EMITTERS = {"Finding": 1, "stop": 1, "_stop": 1, "_UnreadableError": 0}
"""Calls that emit a finding, and which argument is its code."""
NOTES = {"error": 1, "warn": 1, "note": 1}
"""The same of the loader's `findings`."""
PASSED_ON = {
    "apply/work.py": "the callers of `warn`",
    "cli/apply.py": "`finding_code` of each exception, and `UNEXPECTED`",
    "cli/saved_plan.py": "`finding_code` of `PlanChanged`",
    "diff/__init__.py": "`ProblemKind`, `VALUE_NOTES` and `_ID_FINDINGS`",
    "event/windows.py": "`DELETES`, `DELETES_TOTAL` and `UPDATES`",
    "guards.py": "the callers of `noted`",
    "load/files.py": "the callers of `_UnreadableError`",
    "load/matrix.py": "the codes that its functions return",
    "load/messages.py": "the callers of `error`, `warn` and `defer`",
    "load/patterns.py": "`*-without-effect`, of two kinds of rules",
    "load/schema.py": "the codes of `_MESSAGES`, and those that its functions return",
    "load/tree.py": "the callers of `_stop`",
    "status.py": "`UNMATCHED`",
    "publishers/runner.py": "findings of a document, shown again",
}
KEBAB = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")


def code_of(argument: ast.expr | None, constants: dict[str, str]) -> str | None:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    return constants.get(argument.id) if isinstance(argument, ast.Name) else None


def emitted(path: Path) -> Iterator[str | None]:
    """The codes that one file emits; None for each that cannot be read there."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        whose = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        at = EMITTERS.get(name)
        if name == "warn" and whose == "work":
            at = 0
        if name in NOTES and whose.endswith("findings"):
            at = NOTES[name]
        if name == "stop" and whose != "self":
            at = None
        if at is not None:
            keyword = next((one.value for one in node.keywords if one.arg == "code"), None)
            yield code_of(node.args[at] if len(node.args) > at else keyword, constants)


def returned(path: Path) -> Iterator[str]:
    """Codes in pairs that are returned: what the loader says of a complaint."""
    for node in ast.walk(ast.parse(path.read_text())):
        pair = node.value if isinstance(node, ast.Return) else None
        if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant):
            yield str(pair.elts[0].value)


def codes() -> set[str]:
    found = {code for path in SOURCE.rglob("*.py") for code in emitted(path) if code is not None}
    found |= set(returned(SOURCE / "load" / "matrix.py"))
    found |= set(returned(SOURCE / "load" / "schema.py")) | {code for code, _ in schema._MESSAGES.values()}
    found |= {kind.value for kind in ProblemKind} | {apply.UNEXPECTED, saved_plan.PlanChanged.finding_code}
    found.add(match.ReportRefused.finding_code)
    errors: list[type[ReconcileError]] = [ReconcileError, *ReconcileError.__subclasses__()]
    found |= {error.finding_code for error in errors}
    found |= {*GUARDS, windows.DELETES, windows.DELETES_TOTAL, windows.UPDATES}
    found |= {note.code for note in diff.VALUE_NOTES} | {code for code, _ in diff._ID_FINDINGS.values()}
    return found | set(re.findall(r'"(\w+-without-effect)"', Path(patterns.__file__).read_text()))


def rows() -> list[tuple[str, str, str]]:
    """Code, cause and remedy of each row that explains a finding."""
    found = re.findall(r"^\| `([^`]+)` \| (.*?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
    return [(code, cause, remedy) for code, cause, remedy in found]


def test_no_place_emits_a_code_that_this_test_cannot_know_of() -> None:
    hidden = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if None in set(emitted(path))}
    assert hidden == set(PASSED_ON)


def test_codes_are_words_in_kebab_case() -> None:
    assert {code for code in codes() if not KEBAB.fullmatch(code)} == set()
    assert len(codes()) > 90


def test_every_code_is_explained_and_every_row_is_of_a_code() -> None:
    assert {code for code, _, _ in rows()} == codes()


def test_a_row_has_a_cause_and_a_remedy() -> None:
    named = [code for code, _, remedy in rows() if not remedy]
    assert named == ["incomplete-place"], "of the guard of that name, which nothing lifts"
    assert all(cause for _, cause, _ in rows())


def test_a_code_is_explained_once_but_for_the_guard_of_the_same_name() -> None:
    every = [code for code, _, _ in rows()]
    assert {code for code in every if every.count(code) > 1} == {"incomplete-place"}


def test_every_exit_code_is_explained_and_no_other() -> None:
    listed = [int(code) for code in re.findall(r"^\| (\d+) \| \S", PAGE, re.MULTILINE)]
    assert listed == sorted(EXIT_CODES)
    assert f"in this order is used: {', '.join(map(str, PRECEDENCE))}." in PAGE


def test_every_warning_of_the_function_is_explained_and_no_other() -> None:
    files = (SOURCE / "event").glob("*.py")
    logged = {
        str(node.args[0].value)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"warning", "error"}
        and isinstance(node.args[0], ast.Constant)
    }
    assert len(logged) > 5
    assert set(re.findall(r'^\| "([^"]+)"', PAGE, re.MULTILINE)) - {"name"} == logged
