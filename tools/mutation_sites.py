"""Text of a module -> the changes that `tools/mutate.py` can make in it.

A change replaces the smallest node by new text, at its position; the rest of the module stays byte for byte.
Not changed: annotations, docstrings, imports, `assert`, protocols, f-strings, and texts for people.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Place:
    """Position of a change in its module."""

    path: str
    statement: int = 0
    """First line of the statement."""
    body: tuple[int, int] | None = None
    """Lines of the function that has the change in its code or its defaults."""
    at_import: bool = True
    names: tuple[str, ...] = ()
    """Names that the statement binds, if it runs at import."""


@dataclass(frozen=True, slots=True)
class Site:
    """One change in one file. `begin` and `end` are offsets in bytes."""

    place: Place
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


Span = tuple[tuple[int, int], tuple[int, int]]
Change = tuple[Span, str, Place]


def sites_of(path: str, text: bytes) -> list[Site]:
    """Return all changes of a module by position; a few of them do not compile."""
    tree = ast.parse(text)
    starts = [0]
    for each in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(each))
    found = {}
    for ((line, column), (last, stop)), after, place in _changes(tree, Place(path)):
        begin, end = starts[line - 1] + column, starts[last - 1] + stop
        before = text[begin:end].decode()
        found[begin, end, after] = Site(place, line, last, begin, end, before, after)
    return [found[key] for key in sorted(found)]


def _changes(node: ast.AST, place: Place) -> Iterator[Change]:
    """Yield the changes of a node and of all nodes below it."""
    if _is_left_alone(node):
        return
    if isinstance(node, ast.stmt):
        names = place.names + _bound(node) if place.at_import else ()
        place = replace(place, statement=node.lineno, names=names)
    for span, after in (*_of_statement(node), *_of_expression(node), *_of_part(node)):
        yield span, after, place
    for field, value in ast.iter_fields(node):
        below = place
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and field in {
            "args",
            "body",
        }:
            first = node.body[0] if isinstance(node.body, list) else node.body
            body = (first.lineno, node.end_lineno or first.lineno)
            below = replace(place, body=body, at_import=place.at_import and field == "args")
        if field not in {"annotation", "returns", "decorator_list"}:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _changes(child, below)


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Expr(value=ast.Constant()) | ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec"))):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
        case ast.ClassDef(bases=bases):
            return any("Protocol" in ast.unparse(base) for base in bases)
        case _:
            return False


def _bound(node: ast.stmt) -> tuple[str, ...]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return (name,)
        case ast.Assign(targets=targets):
            return tuple(target.id for target in targets if isinstance(target, ast.Name))
        case _:
            return ()


def _span(first: ast.expr | ast.stmt | ast.keyword, last: ast.AST | None = None) -> Span:
    end = last if isinstance(last, ast.expr | ast.keyword) else first
    return (first.lineno, first.col_offset), (end.end_lineno or 0, end.end_col_offset or 0)


def _of_statement(node: ast.AST) -> Iterator[tuple[Span, str]]:
    match node:
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield _span(node), "return None"
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Delete() | ast.AugAssign():
            yield _span(node), "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield _span(node), "pass"
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield _span(node), "yield from ()"
        case ast.Break():
            yield _span(node), "continue"
        case ast.Continue():
            yield _span(node), "break"
        case _:
            pass


def _of_expression(node: ast.AST) -> Iterator[tuple[Span, str]]:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            for other in COMPARISONS[type(op)]:
                yield _span(node), f"({ast.unparse(left)} {other} {ast.unparse(right)})"
        case ast.BoolOp(op=op, values=values):
            parts = [f"({ast.unparse(value)})" for value in values]
            yield _span(node), f"({(' or ' if isinstance(op, ast.And) else ' and ').join(parts)})"
            word = " and " if isinstance(op, ast.And) else " or "
            for n in range(len(parts)):
                yield _span(node), f"({word.join(parts[:n] + parts[n + 1 :])})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _span(node), f"({ast.unparse(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC and not _text(left, right):
            yield _span(node), f"(({ast.unparse(left)}) {ARITHMETIC[type(op)]} ({ast.unparse(right)}))"
        case ast.Constant(value=bool() as value):
            yield _span(node), str(not value)
        case ast.Constant(value=int() | float() as value):
            yield _span(node), repr(value + 1)
        case ast.Call(func=ast.Name(id=name), args=[operand, *_]) if name in SAME:
            yield _span(node), f"({ast.unparse(operand)})"
        case ast.Call(func=ast.Attribute(value=operand, attr=name)) if name in SAME:
            yield _span(node), f"({ast.unparse(operand)})"
        case _:
            pass


def _text(*nodes: ast.expr) -> bool:
    return any(isinstance(n, ast.JoinedStr | ast.Constant) and not _is_number(n) for n in nodes)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


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
            places: list[ast.expr | ast.keyword] = [*args, *keywords]
            yield from list(_removed(places, places))[len(args) :]
            if isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "startswith", "endswith"}:
                yield from _words(*args[:1])
        case _:
            pass


def _removed(
    firsts: Sequence[ast.expr | ast.keyword], lasts: Sequence[ast.expr | ast.keyword]
) -> Iterator[tuple[Span, str]]:
    """Yield the removal of each of several elements, from its first node to its last."""
    for n in range(len(firsts) if len(firsts) > 1 else 0):
        if n + 1 < len(firsts):
            yield (_span(firsts[n])[0], _span(firsts[n + 1])[0]), ""
        else:
            yield (_span(lasts[n - 1])[1], _span(lasts[n])[1]), ""


def _words(*nodes: ast.expr) -> Iterator[tuple[Span, str]]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and WORD.fullmatch(node.value):
            yield _span(node), repr(node.value + "~")


def load_equivalents(path: Path, root: Path) -> dict[tuple[str, str, str], str]:
    """Return the reasons of the equivalent changes by path, line and change.

    Raises:
        SystemExit: An entry has no reason, or its line or its change does not exist.
    """
    entries = tomllib.loads(path.read_text())["equivalent"] if path.exists() else []
    found = {}
    for entry in entries:
        text = (root / entry["path"]).read_bytes() if (root / entry["path"]).exists() else b""
        key = (entry["path"], entry["line"], entry["change"])
        if key not in {key_of(site, text) for site in sites_of(entry["path"], text)}:
            sys.exit(
                f"{path.name}: {entry['path']}: no such line or change: {entry['line']}; remove the entry"
            )
        found[key] = entry["reason"]
    return found


def key_of(site: Site, text: bytes) -> tuple[str, str, str]:
    """Return the key of a change that does not depend on line numbers."""
    return site.place.path, text.splitlines()[site.line - 1].decode().strip(), site.change
