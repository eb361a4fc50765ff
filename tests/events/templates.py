"""Templates of deploy/, read as data; and event patterns, matched as EventBridge does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
TEMPLATES = sorted(DEPLOY.glob("*.yaml"))


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags."""


def _function(loader: Any, suffix: str, node: Any) -> Any:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".")
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _function)


def loaded(name: str) -> dict[str, Any]:
    """A template of deploy/."""
    found: dict[str, Any] = yaml.load((DEPLOY / name).read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    return found


def rendered(node: Any, **parameters: str) -> Any:
    """A piece of a template with the values of its parameters."""
    if isinstance(node, list):
        return [rendered(one, **parameters) for one in node]
    if not isinstance(node, Mapping):
        return node
    if set(node) == {"Ref"}:
        return parameters[node["Ref"]]
    return {key: rendered(value, **parameters) for key, value in node.items()}


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Match an event as EventBridge does, for the operators of our patterns: values, `prefix`, `$or`."""
    if not isinstance(event, Mapping):
        return False
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
        elif isinstance(wanted, Mapping):
            if not matches(wanted, event.get(key)):
                return False
        elif key not in event or not any(_fits(one, event[key]) for one in wanted):
            return False
    return True


def _fits(rule: Any, value: Any) -> bool:
    if isinstance(rule, Mapping):
        return isinstance(value, str) and value.startswith(rule["prefix"])
    return bool(rule == value)
