"""The language rules of CONTRIBUTING.md, for every file."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

from tests.architecture.trees import ROOT, named, nodes_of, text_of, tree_of

SOURCE = ROOT / "src" / "ssm_reconcile"
PROSE = sorted(
    [
        *ROOT.glob("*.md"),
        *(path for path in (ROOT / "docs").rglob("*.md") if "reference" not in path.parts),
        *(ROOT / "schema").glob("*.json"),
        *(ROOT / ".github").rglob("*.yml"),
        ROOT / "action.yml",
        ROOT / "replication.yaml",
        ROOT / "pyproject.toml",
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / "tests" / "cases").glob("*.md"),
        *(ROOT / "tests" / "cases").rglob("case.yaml"),
        ROOT / "Makefile",
        *(ROOT / "deploy").glob("*.yaml"),
        *(ROOT / "examples").rglob("*.yaml"),
        *(ROOT / "examples").rglob("*.md"),
    ]
)
CODE = sorted(SOURCE.rglob("*.py"))
OLD_READER = ROOT / "tests" / "property" / "previous_reader.py"
"""A reader of an earlier version, kept word for word as the oracle of a property test."""
SCRIPTS = [*(ROOT / "tools").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
TESTS = sorted({*(ROOT / "tests").rglob("*.py"), *SCRIPTS} - {Path(__file__), OLD_READER})
BANNED = re.compile(
    r"\b(?:told|tells? of|said|nobody|somebody|mend(?:s|ed|ing)?|anew|by now|besides|as far as"
    r"|(?:do|does|may) hurt|comes? again|what is there|the word of|has to come|is no (?!longer\b)[a-z]+)\b",
    re.IGNORECASE,
)
OPENING = re.compile(r"(?:What|Who|Whose|Where|How)\b")


def prose_of(path: Path) -> list[tuple[int, str]]:
    """The lines of a module that a person reads: strings, docstrings and comments, with line numbers."""
    kinds = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))
    return [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline)
        if token.type in kinds
    ]


def faults_of(path: Path) -> list[str]:
    """Each use of a banned word, and each docstring that opens with What, Who, Where or How."""
    if path.suffix != ".py":
        lines = list(enumerate(text_of(path).splitlines(), 1))
        return [f"{n}: {found[0]!r}" for n, line in lines for found in BANNED.finditer(line)]
    faults = []
    if BANNED.search(text_of(path)):  # tokens are slow to find
        faults = [f"{n}: {found[0]!r}" for n, text in prose_of(path) for found in BANNED.finditer(text)]
    for node in nodes_of(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if OPENING.match(text):
                faults.append(f"{getattr(node, 'lineno', 1)}: a docstring opens with {text.split()[0]!r}")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = str(node.value.value)
            if OPENING.match(text) and node.col_offset == 0 and node.lineno > 1:
                faults.append(f"{node.lineno}: a docstring opens with {text.split()[0]!r}")
    return faults


def faulty_names(path: Path) -> list[str]:
    """Return each name with a banned word, and each test whose name begins with what, who, where or how."""
    return [
        f"{node.lineno}: {node.name}"
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and (
            BANNED.search(node.name.replace("_", " ")) or re.match("test_(what|whose?|where|how)_", node.name)
        )
    ]


def test_language_of_tests_and_scripts_follows_the_rules() -> None:
    found = [f"{named(path)}:{fault}" for path in TESTS for fault in faults_of(path) + faulty_names(path)]
    assert not found, "\n".join(found)


def test_language_follows_the_rules() -> None:
    found = [f"{named(path)}:{fault}" for path in (*CODE, *PROSE) for fault in faults_of(path)]
    assert not found, "\n".join(found)


def type_names(path: Path) -> list[str]:
    """Return the names of classes, type aliases and type variables of a module, without leading underscores.

    `_T` is the usual name of a type variable, and free.
    """
    found = []
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            found.append(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and re.match(r"TypeVar\(|ParamSpec\(", ast.unparse(node.value)):
            found.append(ast.unparse(node.targets[0]))
    return [name.lstrip("_") for name in found if name != "_T"]


def test_the_name_of_a_type_has_one_meaning() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for path in CODE:
        for name in type_names(path):
            homes[name].append(named(path))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


def test_the_rules_find_what_they_forbid(tmp_path: Path) -> None:
    """The check itself, on one text of each kind."""
    module = tmp_path / "one.py"
    module.write_text('"""What it does."""\n\n# nobody knows\nTEXT = "mend the spec"\n')
    page = tmp_path / "page.md"
    page.write_text("It is said again.\nThe plan is applied.\n")
    assert Counter(fault.split(": ")[0] for fault in faults_of(module)) == {"1": 1, "3": 1, "4": 1}
    assert len(faults_of(page)) == 1
    types = tmp_path / "types.py"
    types.write_text("class _Row: ...\nKey: TypeAlias = str\nItem = TypeVar('Item')\n_T = TypeVar('_T')\n")
    assert type_names(types) == ["Row", "Key", "Item"]
