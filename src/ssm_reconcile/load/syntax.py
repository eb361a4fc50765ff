"""What PyYAML says of broken YAML, in plain words and at the place where a person would look."""

from __future__ import annotations

import re

import yaml

from ssm_reconcile.errors import Where
from ssm_reconcile.load.notes import Notes, quoted, shown

_COLON = "a `:` is not expected here: quote the text that holds it, or mend the indentation"
_ESCAPE = "an unknown escape in double quotes: write `\\\\` for a backslash, or use single quotes"
_INDENT = "the indentation does not fit the lines before, or a `:` or quotes are missing"
_REST = "nothing is expected after the end of the value: remove it, or begin a document with `---`"
_WORDS = (
    ("mapping values are not allowed", _COLON),
    ("could not find expected ':'", "a `:` is missing after a property name"),
    ("',' or ']'", "the bracket that opens here is not closed, or a `,` or `]` is missing"),
    ("',' or '}'", "the bracket that opens here is not closed, or a `,` or `}` is missing"),
    ("unknown escape character", _ESCAPE),
    ("entries are not allowed", "a list entry is not expected here: begin it on a line of its own"),
    ("expected key", _INDENT),
    ("<block end>", _INDENT),
    ("'-' indicator", "a list entry with `- ` is expected here, as in the lines before"),
    ("<document start>", _REST),
    ("incompatible YAML document", "write YAML 1.1 or 1.2, or leave the %YAML line out"),
    ("node content", "a value is missing here"),
)  # fmt: skip
"""Parts of what the two parsers say (libyaml and pure Python word it differently), and our words."""

_AT_START = frozenset(
    {"while scanning a quoted scalar", "while parsing a flow sequence", "while parsing a flow mapping"}
)

_TOKENS = {
    "while scanning an alias": "an alias",
    "while scanning an anchor": "an anchor",
    "while scanning a tag": "a tag",
    "while parsing a tag": "a tag",
    "while scanning a block scalar": "a text of several lines",
}
"""Contexts in which a character of YAML's own was most likely meant as text, and what YAML reads there."""
_CLOSERS = frozenset(",]}")


def explain(error: yaml.MarkedYAMLError, text: str, file: str, bracket: Where | None, notes: Notes) -> None:
    """Notes a syntax error; `bracket` is the innermost one that was open."""
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and (context in _AT_START or context in _TOKENS):
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    where = Where(file, line + 1, column + 1)
    if "quoted scalar" in context and "end of" in problem:
        notes.error(where, "yaml-syntax", "the quote that begins here is not closed")
        return
    if bracket is not None and line >= len(text.splitlines()):
        notes.error(bracket, "yaml-syntax", "the bracket that opens here is not closed")
        return
    if "cannot start any token" in problem:
        _bad_start(where, _token(text, line, column), notes)
        return
    if context in _TOKENS:
        _quote_it(Where(file, line + 1, column + 1), _token(text, line, column), _TOKENS[context], notes)
        return
    if "node content" in problem and _character(text, line, column) in _CLOSERS:
        _bad_start(where, _token(text, line, column), notes)
        return
    for part, words in _WORDS:
        if part in problem:
            notes.error(where, "yaml-syntax", words)
            return
    notes.error(where, "yaml-syntax", f"this is not valid YAML: {shown(problem, 120)}")


def _bad_start(where: Where, token: str, notes: Notes) -> None:
    if token.startswith("\t"):
        notes.error(where, "yaml-syntax", "YAML does not indent with tabs: use spaces")
        return
    message = f"a value cannot begin with `{shown(token[:1])}`: quote it: {quoted(token)}"
    notes.error(where, "yaml-syntax", message)


def _quote_it(where: Where, token: str, reading: str, notes: Notes) -> None:
    message = f"YAML reads `{shown(token)}` as the start of {reading}: quote it: {quoted(token)}"
    notes.error(where, "yaml-syntax", message)


def _token(text: str, line: int, column: int) -> str:
    """The text from a position on: up to the end of the line, or of the value in a list in brackets."""
    lines = text.split("\n", line + 1)
    rest = lines[line][column:] if line < len(lines) else ""
    bracket = not {"[", "{"}.isdisjoint(lines[line][:column])
    end = re.search(r"\s#|[,\]}]" if bracket else r"\s#", rest)
    return (rest[: end.start()] if end and end.start() else rest).rstrip(" \r") or rest[:1]


def _character(text: str, line: int, column: int) -> str:
    lines = text.split("\n", line + 1)
    return lines[line][column : column + 1] if line < len(lines) else ""
