"""Text of a module -> the changes that `tools/mutate.py` can make in it.

A change replaces the smallest node by new text, at its position; the rest of the module stays byte for byte.
Not changed: annotations, docstrings, imports, `assert`, protocols, f-strings, and texts for people.
"""

from __future__ import annotations

import ast
import json
import random
import re
import shutil
import subprocess
import sys
import tomllib
from argparse import Namespace
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = "src/ssm_reconcile"
EQUIVALENT = "tools/mutation_equivalent.toml"
RESULTS = ("killed", "timeout", "survived", "limit", "untested", "equivalent")
SETTLED = {"killed", "timeout", "equivalent"}
"""Results of changes that a run need not repeat."""
SMALL_ROOM = 5
COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {
    ast.Eq: ("!=",), ast.NotEq: ("==",), ast.In: ("not in",), ast.NotIn: ("in",), ast.Is: ("is not",),
    ast.IsNot: ("is",), ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"),
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "//", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*",
    ast.BitOr: "&", ast.BitAnd: "|",
}  # fmt: skip
WORD = re.compile(r"[\w./:*-]*")
"""A text that code reads, such as a key or a code. A text with spaces is for people."""
SAME = {"sorted", "reversed", "set", "strip", "lstrip", "rstrip", "lower", "upper", "casefold"}
"""Functions and methods that are replaced by their operand."""


class Site(NamedTuple):
    """One change in one file. `begin` and `end` are offsets in bytes."""

    path: str
    line: int
    last: int
    begin: int
    end: int
    before: str
    after: str

    def applied(self, text: bytes) -> bytes:
        """Return the module with the change."""
        return text[: self.begin] + self.after.encode() + text[self.end :]

    def compiles(self, text: bytes) -> bool:
        """Whether the module with the change is valid."""
        try:
            compile(self.applied(text), "changed", "exec", dont_inherit=True)
        except SyntaxError:
            return False
        return True

    @property
    def change(self) -> str:
        """The change on one line."""
        return f"{' '.join(self.before.split())}  ->  {' '.join(self.after.split()) or '(removed)'}"


Node = ast.expr | ast.keyword
Span = tuple[tuple[int, int], tuple[int, int]]


def sites_of(path: str, text: bytes) -> list[Site]:
    """Return all changes of a module by position; a few of them do not compile."""
    starts = [0]
    for each in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))
    found = {}
    for ((line, column), (last, stop)), after in _changes(ast.parse(text)):
        begin, end = starts[line - 1] + column, starts[last - 1] + stop
        before = text[begin:end].decode()
        found[begin, end, after] = Site(path, line, last, begin, end, before, after)
    return [found[key] for key in sorted(found)]


def _changes(node: ast.AST) -> Iterator[tuple[Span, str]]:
    """Yield the changes of a node and of all nodes below it."""
    if _is_left_alone(node):
        return
    if isinstance(node, ast.expr | ast.stmt):
        yield from ((_span(node), after) for after in _replacements(node))
    yield from _of_part(node)
    for field, value in ast.iter_fields(node):
        if field not in {"annotation", "returns", "decorator_list"}:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _changes(child)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case (
            ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom() | ast.Expr(value=ast.Constant())
            | ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.AnnAssign(annotation=ast.Name(id="TypeAlias"))
            | ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec")))
            | ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")])
        ):  # fmt: skip
            return True
        case ast.ClassDef(bases=bases):
            return any("Protocol" in ast.unparse(base) for base in bases)
        case _:
            return False


def _span(node: Node | ast.stmt) -> Span:
    return (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)


def _replacements(node: ast.expr | ast.stmt) -> Iterator[str]:
    """Yield the texts that can replace a statement or an expression."""
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"
        case (
            ast.Expr(value=ast.Call()) | ast.Raise() | ast.Delete() | ast.AugAssign()
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
        ):  # fmt: skip
            yield "pass"
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield "yield from ()"
        case ast.Break():
            yield "continue"
        case ast.Continue():
            yield "break"
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            for other in COMPARISONS[type(op)]:
                yield f"({ast.unparse(left)} {other} {ast.unparse(right)})"
        case ast.BoolOp(op=op, values=values):
            parts = [f"({ast.unparse(value)})" for value in values]
            word, other = (" and ", " or ") if isinstance(op, ast.And) else (" or ", " and ")
            yield f"({other.join(parts)})"
            for n in range(len(parts)):
                yield f"({word.join(parts[:n] + parts[n + 1 :])})"
        case (
            ast.BinOp(left=ast.JoinedStr() | ast.Constant(value=str() | bytes() | None))
            | ast.BinOp(right=ast.JoinedStr() | ast.Constant(value=str() | bytes() | None))
        ):
            pass  # of texts or types
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            yield f"(({ast.unparse(left)}) {ARITHMETIC[type(op)]} ({ast.unparse(right)}))"
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() | float() as value):
            yield repr(value + 1)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield f"({ast.unparse(operand)})"
        case (
            ast.Call(func=ast.Name(id=name), args=[operand, *_])
            | ast.Call(func=ast.Attribute(value=operand, attr=name))
        ) if name in SAME:
            yield f"({ast.unparse(operand)})"
        case _:
            pass


def _of_part(node: ast.AST) -> Iterator[tuple[Span, str]]:
    """Yield changes of conditions, elements, arguments and texts, which depend on the node around them."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield _span(test), f"(not ({ast.unparse(test)}))"
        case ast.comprehension(ifs=tests):
            for test in tests:
                yield _span(test), "True"
        case ast.match_case(guard=ast.expr() as test):
            yield _span(test), "True"
        case ast.ExceptHandler(type=ast.expr() as kind):
            yield _span(kind), "()"
        case ast.Compare(left=left, comparators=rights):
            yield from _words(left, *rights)
        case ast.Subscript(slice=part) | ast.MatchValue(value=part):
            yield from _words(part)
        case ast.Dict(keys=keys, values=values):
            firsts = [key or value for key, value in zip(keys, values, strict=True)]
            yield from _removed(firsts, values)
            yield from _words(*(key for key in keys if key is not None))
        case (
            ast.Set(elts=parts) | ast.List(elts=parts, ctx=ast.Load()) | ast.Tuple(elts=parts, ctx=ast.Load())
        ):
            yield from _removed(parts, parts)
            yield from _words(*parts)
        case ast.Call(args=args, keywords=keywords):
            places: list[Node] = [*args, *keywords]
            yield from list(_removed(places, places))[len(args) :]
            if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "startswith", "endswith"}:
                yield from _words(*args[:1])
        case _:
            pass


def _removed(firsts: Sequence[Node], lasts: Sequence[Node]) -> Iterator[tuple[Span, str]]:
    """Yield the removal of each of several elements, from its first node to its last."""
    if len(firsts) > 1:
        for one, following in pairwise(firsts):
            yield (_span(one)[0], _span(following)[0]), ""
        yield (_span(lasts[-2])[1], _span(lasts[-1])[1]), ""


def _words(*nodes: ast.expr) -> Iterator[tuple[Span, str]]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
            yield _span(node), repr(node.value + "~")


def load_equivalents(root: Path) -> dict[tuple[str, str, str], str]:
    """Return the reasons of the equivalent changes by path, line and change.

    Raises:
        SystemExit: An entry has no reason, or its line or its change does not exist.
    """
    found = {}
    for entry in tomllib.loads((root / EQUIVALENT).read_text())["equivalent"]:
        path = root / entry["path"]
        text = path.read_bytes() if path.exists() else b""
        key = entry["path"], entry["line"], entry["change"]
        if key not in {key_of(site, text) for site in sites_of(entry["path"], text)} or not entry["reason"]:
            sys.exit(f"{EQUIVALENT}: {path}: no such line or change, or no reason: {entry}; remove the entry")
        found[key] = entry["reason"]
    return found


def key_of(site: Site, text: bytes) -> tuple[str, str, str]:
    """Return the key of a change that does not depend on line numbers."""
    return site.path, text.splitlines()[site.line - 1].decode().strip(), site.change


def copy_tree(root: Path, to: Path) -> dict[str, bytes]:
    """Copy the files of git as they are in the work tree; returns the modules of the package by path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.decode().split("\0")  # noqa: S603 - git
    for name in names:
        if name and (root / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    return {str(path.relative_to(to)): path.read_bytes() for path in sorted((to / PACKAGE).rglob("*.py"))}


def room_of(path: str) -> str:
    """Return the folder below the package, or "top"."""
    parts = Path(path).relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else "top"


def sample(texts: dict[str, bytes], size: int, seed: int) -> list[Site]:
    """Return one change of each of `size` lines: rooms in proportion to their lines that have changes."""
    rooms: dict[str, dict[tuple[str, int], list[Site]]] = {}
    for path, text in texts.items():
        for site in sites_of(path, text):
            rooms.setdefault(room_of(path), {}).setdefault((path, site.line), []).append(site)
    total, chosen = sum(map(len, rooms.values())), []
    for room, lines in sorted(rooms.items()):
        draw = random.Random(f"{seed} {room}")  # noqa: S311 - a sample
        count = min(len(lines), max(SMALL_ROOM, round(size * len(lines) / total)))
        for key in draw.sample(sorted(lines), count):
            draw.shuffle(lines[key])
            chosen += [site for site in lines[key] if site.compiles(texts[site.path])][:1]
    return chosen


def choose_sites(options: Namespace, texts: dict[str, bytes], last: Sequence[dict[str, Any]]) -> list[Site]:
    """Return the sites of the options: of a place, of the last survivors, or a sample."""
    if options.rerun:
        keys = {(row["path"], row["text"], row["change"]) for row in last if row["result"] not in SETTLED}
        sites = [site for path, text in texts.items() for site in sites_of(path, text)]
        found = list({key: s for s in sites if (key := key_of(s, texts[s.path])) in keys}.values())
    elif options.only:
        path, _, line = options.only.partition(":")
        if path not in texts:
            sys.exit(f"--only {path}: no such module: give its path from the root, such as {PACKAGE}/plan.py")
        sites = [site for site in sites_of(path, texts[path]) if line in {"", str(site.line)}]
        found = [site for site in sites if site.compiles(texts[path])]
    else:
        found = sample(texts, options.sample, options.seed)
    return [site for site in found if options.room in {None, room_of(site.path)}]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the results of the last run."""
    if not path.exists():
        sys.exit(f"{path}: no such file: --rerun needs the results of a run")
    return [json.loads(line) for line in path.read_text().splitlines()]


def row_of(site: Site, text: bytes, result: str) -> dict[str, Any]:
    """Return a row of the results."""
    path, line, change = key_of(site, text)
    return {"path": path, "line": site.line, "text": line, "change": change, "result": result}


def label(row: dict[str, Any]) -> str:
    """Return the result, the place and the change of a row."""
    return f"{row['result']:<10} {row['path']}:{row['line']}  {row['change']}"


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """Return the changes that no test finds, and the kill rates by room."""
    rooms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        rooms[room_of(row["path"])][row["result"]] += 1
    left = sorted(label(row) for row in rows if row["result"] not in SETTLED)
    head = f"{'room':<18}{'sites':>6}{''.join(f'{name:>12}' for name in RESULTS)}{'rate':>8}"
    lines = ["", *left, "", head]
    for room, counts in [*sorted(rooms.items()), ("all rooms", sum(rooms.values(), Counter[str]()))]:
        real = counts.total() - counts["equivalent"]
        rate = (counts["killed"] + counts["timeout"]) / real if real else 1
        cells = "".join(f"{counts[name]:>12}" for name in RESULTS)
        lines.append(f"{room:<18}{counts.total():>6}{cells}{rate:>8.1%}")
    return "\n".join([*lines, ""])
