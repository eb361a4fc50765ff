"""Policies of the roles in the templates, and the actions that AWS knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from tests.events.templates import loaded, rendered


def statements(name: str, role: str) -> Iterator[dict[str, Any]]:
    """Return every statement of a role as it is in the template, those of conditions too."""

    def found(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, list):
            for one in node:
                yield from found(one)
        elif isinstance(node, dict) and "Effect" in node:
            yield node
        elif isinstance(node, dict) and "Fn::If" in node:
            yield from found(node["Fn::If"][1:])

    for policy in loaded(name)["Resources"][role]["Properties"]["Policies"]:
        yield from found(policy["PolicyDocument"]["Statement"])


def actions(statement: Mapping[str, Any]) -> set[str]:
    """Return the actions of a statement."""
    return set(_list(statement["Action"]))


def document(template: str, role: str = "Role", **parameters: str) -> dict[str, Any]:
    """Return the policies of a role as one document, rendered, in the form that `iam` prints."""
    found = rendered(loaded(template)["Resources"][role]["Properties"]["Policies"], template, **parameters)
    every = [one for policy in found for one in policy["PolicyDocument"]["Statement"]]
    return {"Version": "2012-10-17", "Statement": [_with_lists(one) for one in every]}


def _with_lists(statement: dict[str, Any]) -> dict[str, Any]:
    conditions = {
        operator: {key: _list(value) for key, value in keys.items()}
        for operator, keys in statement.get("Condition", {}).items()
    }
    lists = {key: _list(statement[key]) for key in ("Action", "Resource")}
    return statement | lists | ({"Condition": conditions} if conditions else {})


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def known_actions() -> dict[str, bool]:
    """Return each action of IAM in lower case, and whether it has a resource.

    Source: the Service Authorization Reference, which cfn-lint has as data.
    """
    file = resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    services = json.loads(file.read_text(encoding="utf-8"))
    return {
        f"{service}:{action}": bool(about.get("Resources"))
        for service, known in services.items()
        for action, about in known["Actions"].items()
    }
