"""Templates of deploy/, read as data; their functions, and event patterns, evaluated as AWS does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
TEMPLATES = sorted(DEPLOY.glob("*.yaml"))
STACK_ID = (
    "arn:aws:cloudformation:us-east-1:123456789012:stack/reconcile/4f2c1d90-0000-4000-8000-000000000000"
)
PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "reconcile",
    "AWS::StackId": STACK_ID,
}
REQUIRED = {
    "TargetRegions": "us-east-2",
    "ReplicatorRoleArn": "arn:aws:iam::123456789012:role/reconcile",
    "ExternalId": "external-id",
    "Regions": "us-east-2",
    "EventBusArn": "arn:aws:events:us-east-1:123456789012:event-bus/central",
    "Repository": "owner/name",
    "SourceBucket": "bucket",
}
"""Values of the parameters without a default."""
_NO_VALUE = object()


_Base = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


class _Loader(_Base):  # type: ignore[misc, valid-type] # one of two classes
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


@cache
def _template(name: str) -> dict[str, Any]:
    return loaded(name)


def rendered(node: Any, template: str = "template.yaml", **parameters: str) -> Any:
    """Return a piece of a template with the values of its functions.

    `Ref` and `Fn::GetAtt` of a resource return the name of the resource, and name and attribute.

    Args:
        node: The piece.
        template: The file in deploy/ that has it, for parameters and conditions.
        parameters: Values of parameters and pseudo parameters, a list as text with commas. Others have
            their default.
    """
    return _Stack(_template(template), parameters).value(node)


class _Stack:
    """A template with values for its parameters."""

    def __init__(self, template: Mapping[str, Any], given: Mapping[str, str]) -> None:
        self._conditions = template.get("Conditions", {})
        pseudo = {name: given.get(name, value) for name, value in PSEUDO.items()}
        self._values: dict[str, Any] = {**pseudo}
        for name, declared in template["Parameters"].items():
            text = str(given.get(name, declared.get("Default", REQUIRED.get(name, ""))))
            if "AllowedPattern" in declared:
                assert re.fullmatch(declared["AllowedPattern"], text), (name, text)
            self._values[name] = text.split(",") if declared["Type"] == "CommaDelimitedList" else text
        assert set(given) <= set(self._values), "a parameter that the template does not have"

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            every = [self.value(one) for one in node]
            return [one for one in every if one is not _NO_VALUE]
        if not isinstance(node, Mapping):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return _NO_VALUE if argument == "AWS::NoValue" else self._values.get(argument, argument)
            if name.startswith("Fn::"):
                return self._function(name.removeprefix("Fn::"), argument)
        every_key = {key: self.value(value) for key, value in node.items()}
        return {key: value for key, value in every_key.items() if value is not _NO_VALUE}

    def _function(self, name: str, argument: Any) -> Any:
        if name == "If":
            return self.value(argument[1 if self.holds(self._conditions[argument[0]]) else 2])
        if name == "Sub":
            text, more = argument if isinstance(argument, list) else (argument, {})
            known = {**self._values, **{key: self.value(one) for key, one in more.items()}}
            return re.sub(r"\$\{([^}!]+)\}", lambda found: str(known.get(found[1], found[1])), text)
        if name == "GetAtt":
            return ".".join(argument)
        values = self.value(argument)
        if name == "Select":
            return values[1][int(values[0])]
        if name == "Split":
            return values[1].split(values[0])
        if name == "Join":
            return values[0].join(values[1])
        raise AssertionError(f"Fn::{name} is not implemented")

    def holds(self, condition: Any) -> bool:
        ((name, argument),) = condition.items()
        if name == "Condition":
            return self.holds(self._conditions[argument])
        if name == "Fn::Not":
            return not self.holds(argument[0])
        if name in {"Fn::And", "Fn::Or"}:
            return (all if name == "Fn::And" else any)(self.holds(one) for one in argument)
        if name == "Fn::Equals":
            one, other = self.value(argument)
            return bool(one == other)
        raise AssertionError(f"{name} is not implemented")


def matches(pattern: Mapping[str, Any], event: Any) -> bool:
    """Whether an event matches a pattern, as EventBridge decides, for the operators of our patterns.

    Values, `prefix`, `exists`, `anything-but` with a prefix, and `$or`. A field that is an array matches if
    one of its values does, also for `anything-but` (Amazon EventBridge User Guide, "Matching arrays"). A
    field in an array of objects is looked for in each object. Operators work on leaves only, and a field that
    is absent matches `exists: false` alone.
    """
    if isinstance(event, list):
        return any(matches(pattern, one) for one in event)
    if not isinstance(event, Mapping):
        event = {}
    for key, wanted in pattern.items():
        if key == "$or":
            if not any(matches(one, event) for one in wanted):
                return False
        elif isinstance(wanted, Mapping):
            if not matches(wanted, event.get(key)):
                return False
        elif not any(_fits(rule, list(_leaves(event, key))) for rule in wanted):
            return False
    return True


def _leaves(event: Mapping[str, Any], key: str) -> Iterator[Any]:
    if key in event:
        value = event[key]
        found: Sequence[Any] = value if isinstance(value, list) else [value]
        yield from (one for one in found if not isinstance(one, Mapping))


def _fits(rule: Any, values: list[Any]) -> bool:
    if not isinstance(rule, Mapping):
        return rule in values
    ((operator, argument),) = rule.items()
    if operator == "exists":
        return bool(values) is argument
    if operator == "prefix":
        return any(isinstance(one, str) and one.startswith(argument) for one in values)
    if operator == "anything-but" and set(argument) == {"prefix"}:
        return any(not (isinstance(one, str) and one.startswith(argument["prefix"])) for one in values)
    raise AssertionError(f"{operator} is not implemented")
