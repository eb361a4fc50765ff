"""A small and strict evaluator of IAM policies: what it does not know it refuses to judge.

Knows what identity policies of ours are made of: Allow and Deny, actions, resources with `*` and `?`,
three operators of conditions. A condition on a key that the request does not have does not hold. An
explicit Deny wins, and what nothing allows is denied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


@dataclass(frozen=True)
class Request:
    """One call as IAM sees it. `context`: condition keys with all the values that they have."""

    action: str
    resource: str = "*"
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def like(pattern: str, text: str) -> bool:
    """Whether IAM's wildcards match: a star is any text, slashes and colons too."""
    parts = re.split(r"([*?])", pattern)
    expression = "".join({"*": ".*", "?": "."}.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringLike": like,
    "ForAnyValue:StringEquals": lambda wanted, found: wanted == found,
}


def _holds(conditions: Mapping[str, Mapping[str, Sequence[str]]], request: Request) -> bool:
    for operator, every in conditions.items():
        test = _OPERATORS[operator]
        for key, wanted in every.items():
            found = request.context.get(key, ())
            if not operator.startswith("ForAnyValue:"):
                assert len(found) <= 1, f"{key} has several values: {operator} would not know which"
            if not any(test(one, value) for one in wanted for value in found):
                return False
    return True


def fits(statement: Document, request: Request) -> bool:
    """Whether a statement speaks of a request."""
    assert set(statement) <= _ELEMENTS, f"unknown elements in {statement.get('Sid')}"
    assert statement["Effect"] in {"Allow", "Deny"}
    return (
        any(like(action.lower(), request.action.lower()) for action in statement["Action"])
        and any(like(resource, request.resource) for resource in statement["Resource"])
        and _holds(statement.get("Condition", {}), request)
    )


def allowed(document: Document, request: Request) -> bool:
    """Whether a policy allows a request."""
    assert document["Version"] == "2012-10-17"
    chosen = [one for one in document["Statement"] if fits(one, request)]
    return bool(chosen) and all(one["Effect"] == "Allow" for one in chosen)


def check(document: Document) -> None:
    """Check an identity policy for everything that IAM refuses and that ours could contain."""
    assert document["Version"] == "2012-10-17"
    sids = [one["Sid"] for one in document["Statement"]]
    assert len(set(sids)) == len(sids), sids
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)
    for statement in document["Statement"]:
        assert statement["Action"]
        assert statement["Resource"]
        assert all("parameter//" not in resource for resource in statement["Resource"])
