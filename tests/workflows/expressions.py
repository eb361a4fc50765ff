"""`${{ ... }}` as GitHub evaluates it, for the parts that our workflows use; any other is an error.

Literals, contexts by dots, `== != && || !`, brackets, the status functions, and a few others. Strings compare
without case, values of different kinds as numbers (GitHub's "Evaluate expressions in workflows and actions").
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Contexts: TypeAlias = Mapping[str, Any]
Functions: TypeAlias = Mapping[str, Callable[..., Any]]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<word>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)"
    r"|(?P<sign>==|!=|&&|\|\||[!(),]))"
)
_STATUS = re.compile(r"\b(?:success|failure|always|cancelled)\(\)")


class Evaluation:
    """One expression while it is read."""

    def __init__(self, text: str, contexts: Contexts, functions: Functions) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._contexts = contexts
        self._functions = functions

    def value(self) -> Any:
        found = self._either()
        assert self._at == len(self._tokens), f"more than an expression: {self._tokens[self._at :]}"
        return found

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._at += 1
            return True
        return False

    def _either(self) -> Any:
        found = self._both()
        while self._take("||"):
            other = self._both()
            found = found if truthy(found) else other
        return found

    def _both(self) -> Any:
        found = self._equal()
        while self._take("&&"):
            other = self._equal()
            found = other if truthy(found) else found
        return found

    def _equal(self) -> Any:
        found = self._not()
        while True:
            if self._take("=="):
                found = equal(found, self._not())
            elif self._take("!="):
                found = not equal(found, self._not())
            else:
                return found

    def _not(self) -> Any:
        return not truthy(self._not()) if self._take("!") else self._one()

    def _one(self) -> Any:
        kind, text = self._peek()
        self._at += 1
        if (kind, text) == ("sign", "("):
            found = self._either()
            assert self._take(")"), "a bracket is not closed"
            return found
        match kind:
            case "text":
                return text[1:-1].replace("''", "'")
            case "number":
                return int(text)
            case "word" if self._take("("):
                return {**BUILT_IN, **self._functions}[text](*self._arguments())
            case "word":
                return self._named(text)
            case _:
                raise AssertionError(f"not an expression: {kind} {text}")

    def _arguments(self) -> list[Any]:
        found: list[Any] = []
        while not self._take(")"):
            assert not found or self._take(","), "arguments are separated by commas"
            found.append(self._either())
        return found

    def _named(self, text: str) -> Any:
        known = {"true": True, "false": False, "null": None}
        if text in known:
            return known[text]
        first, *rest = text.split(".")
        assert first in self._contexts, f"unknown context {first}"
        found: Any = self._contexts[first]
        for part in rest:
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def _tokens(text: str) -> Any:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        assert found is not None, f"cannot read: {text[at:]}"
        at = found.end()
        assert found.lastgroup is not None, "every alternative has a name"
        yield found.lastgroup, found[found.lastgroup]


def truthy(value: Any) -> bool:
    return value not in (None, False, 0, "") or value is True


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    if type(one) is type(other):
        return bool(one == other)
    return _number(one) == _number(other)


def _number(value: Any) -> float:
    match value:
        case None:
            return 0
        case bool() | int():
            return float(value)
        case str():
            try:
                return float(value) if value.strip() else 0
            except ValueError:
                return math.nan
        case _:
            return math.nan


def _contains(where: Any, item: Any) -> bool:
    if isinstance(where, list):
        return any(equal(one, item) for one in where)
    return shown(item).lower() in shown(where).lower()


BUILT_IN: Functions = {
    "contains": _contains,
    "startsWith": lambda text, start: shown(text).lower().startswith(shown(start).lower()),
    "endsWith": lambda text, end: shown(text).lower().endswith(shown(end).lower()),
    "fromJSON": json.loads,
    "toJSON": lambda value: json.dumps(value, indent=2),
    "format": lambda text, *values: re.sub(r"\{(\d+)\}", lambda found: shown(values[int(found[1])]), text),
}
"""The functions of GitHub's expressions that do not depend on the status of a job."""


def shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def filled(text: Any, contexts: Contexts, functions: Functions) -> str:
    """A text with its expressions replaced."""
    return re.sub(
        r"\$\{\{(.*?)\}\}",
        lambda found: shown(Evaluation(found[1], contexts, functions).value()),
        shown(text),
        flags=re.DOTALL,
    )


def evaluated(text: Any, contexts: Contexts) -> Any:
    """A value with its expressions replaced; one that is a single expression keeps the type of its result."""
    if not isinstance(text, str):
        return text
    alone = re.fullmatch(r"\$\{\{((?:(?!\}\}).)*)\}\}", text.strip(), re.DOTALL)
    return Evaluation(alone[1], contexts, {}).value() if alone else filled(text, contexts, {})


def holds(condition: Any, contexts: Contexts, functions: Functions) -> bool:
    """An `if:`; without a status function, only as long as nothing has failed."""
    text = "" if condition is None else shown(condition).strip()
    inner = re.fullmatch(r"\$\{\{(.*)\}\}", text, re.DOTALL)
    text = inner[1] if inner else text
    if not _STATUS.search(text):
        text = f"success() && ({text or 'true'})"
    return truthy(Evaluation(text, contexts, functions).value())
