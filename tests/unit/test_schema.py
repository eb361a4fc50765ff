"""The JSON schema of a replication: what editors show, and what the loader validates with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from ssm_reconcile.errors import UsageError, Where
from ssm_reconcile.load import load_text
from ssm_reconcile.load.messages import inline
from ssm_reconcile.load.schema import schema_text, violations
from ssm_reconcile.load.tree import ListNode, MappingNode, Node, ScalarKind, ScalarNode

SCHEMA: dict[str, Any] = json.loads(schema_text("replication"))


def properties(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of a schema, with the dotted path to it."""
    for name, below in schema.get("properties", {}).items():
        yield f"{path}{name}", below
        yield from properties(below, f"{path}{name}.")
        for key in ("items", "additionalProperties"):
            if isinstance(below.get(key), dict):
                yield f"{path}{name}[]", below[key]
                yield from properties(below[key], f"{path}{name}[].")


EVERY = dict(properties(SCHEMA))


def test_the_schema_is_draft_07_and_names_itself() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert all(SCHEMA[key] for key in ("$id", "title", "description"))


@pytest.mark.parametrize("path", EVERY)
def test_a_property_has_a_description_and_examples_that_are_valid(path: str) -> None:
    schema = EVERY[path]
    assert schema["description"].strip().endswith((".", ")")), "a description is a sentence"
    assert schema["examples"]
    for example in schema["examples"]:
        assert list(Draft7Validator(schema).iter_errors(example)) == []


@pytest.mark.parametrize("path", [path for path, schema in EVERY.items() if "properties" in schema])
def test_a_mapping_takes_no_property_that_it_does_not_know(path: str) -> None:
    assert EVERY[path]["additionalProperties"] is False


@pytest.mark.parametrize("path", [path for path, schema in EVERY.items() if "pattern" in schema])
def test_a_pattern_has_an_error_message_in_words(path: str) -> None:
    assert EVERY[path]["patternErrorMessage"]


@pytest.mark.parametrize("path", [path for path, schema in EVERY.items() if schema.get("type") == "array"])
def test_a_list_is_bounded(path: str) -> None:
    assert EVERY[path]["maxItems"] <= 1000


def test_a_default_is_valid() -> None:
    defaults = {path: schema for path, schema in EVERY.items() if "default" in schema}
    assert defaults
    for path, schema in defaults.items():
        assert list(Draft7Validator(schema).iter_errors(schema["default"])) == [], path


def test_properties_that_begin_with_x_are_ignored_at_the_top_only() -> None:
    assert list(SCHEMA["patternProperties"]) == ["^x-"]
    assert not [path for path, schema in EVERY.items() if "patternProperties" in schema]


def test_every_key_of_the_design_is_in_the_schema() -> None:
    above = "version name previous_names id previous_ids adopt delete orphans changed_outside hide show"
    below = {
        "source": "region account role_arn external_id",
        "targets[]": "region name account role_arn external_id frozen tier kms kms.default kms.keys",
        "parameters": "include exclude types",
        "skip_sync": "tag values replicas ignore",
        "kms[]": "source targets",
        "rewrite[]": "match in from to",
        "tags": "ignore add",
        "guards": "max_deletes max_change_percent",
        "rates": "describe get put delete tags list_tags resources kms",
    }
    keys = {*above.split(), *(path.removesuffix("[]") for path in below)}
    keys |= {f"{path}.{key}" for path, names in below.items() for key in names.split()}
    named = {path for path in EVERY if not path.endswith("[]")}
    assert named == keys


def test_the_required_keys_are_those_of_the_design() -> None:
    required = {"version", "name", "source", "targets", "parameters", "delete"}
    assert set(SCHEMA["required"]) == required
    assert SCHEMA["properties"]["source"]["required"] == ["region"]
    assert SCHEMA["properties"]["parameters"]["required"] == ["include"]
    assert "default" not in SCHEMA["properties"]["delete"]


@pytest.mark.parametrize(
    "path", [path for path, schema in EVERY.items() if "." not in path and "[" not in path]
)
def test_the_loader_accepts_the_examples_of_the_schema(path: str) -> None:
    document: dict[str, Any] = json.loads(json.dumps(SCHEMA["examples"][0]))
    for example in EVERY[path]["examples"]:
        document[path] = example
        text = "\n".join(f"{key}: {inline(value)}" for key, value in document.items())
        assert len(load_text(text).replications) == 1


@pytest.mark.parametrize("name", ["../replication", "nonsense", ""])
def test_an_unknown_schema_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError, match="replication, plan, report"):
        schema_text(name)


KEYWORDS = {
    "type", "enum", "const", "required", "properties", "additionalProperties", "propertyNames", "items",
    "uniqueItems", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems",
    "maxItems", "minProperties", "maxProperties", "if", "then", "else",
}  # fmt: skip
"""Keywords that the loader applies."""
ANNOTATIONS = {"$schema", "$id", "title", "description", "examples", "default", "patternErrorMessage"}


def keywords(schema: object) -> Iterator[str]:
    """Every keyword of a schema and of those below; names of properties are not keywords."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        yield key
        if key in {"properties", "patternProperties"}:
            for below in value.values():
                yield from keywords(below)
        elif key not in {"examples", "default"}:
            yield from keywords(value)


def test_the_schema_has_only_keywords_that_the_loader_applies() -> None:
    assert set(keywords(SCHEMA)) - ANNOTATIONS <= KEYWORDS | {"patternProperties"}


def tree(value: object) -> Node:
    """The nodes of a JSON value."""
    where = Where("a.yaml")
    match value:
        case dict():
            entries = ((ScalarNode(str(k), ScalarKind.STRING, where), tree(v)) for k, v in value.items())
            return MappingNode(tuple(entries), where)
        case list():
            return ListNode(tuple(map(tree, value)), where)
        case bool():
            return ScalarNode(str(value).lower(), ScalarKind.BOOLEAN, where)
        case int():
            return ScalarNode(str(value), ScalarKind.INTEGER, where)
        case float():
            return ScalarNode(str(value), ScalarKind.NUMBER, where)
        case None:
            return ScalarNode("", ScalarKind.NULL, where)
        case _:
            return ScalarNode(str(value), ScalarKind.STRING, where)


TEXTS = ["", "prod", "us-east-1", "any", "targets", "alias/app", "String", "/a/**", "owned", "123456789012"]
VALUES = st.none() | st.booleans() | st.integers(-2, 200) | st.sampled_from([0.5, 1.5, *TEXTS])


def below(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Values that are often valid for a schema."""
    examples = st.sampled_from(schema.get("examples", [1]))
    names = [*schema.get("properties", {"q": {}}), "q"]
    members: Mapping[str, Any] = schema.get("properties", {})
    found = examples | VALUES | st.lists(VALUES, max_size=3)
    if members:
        some = st.fixed_dictionaries({}, optional={name: below(one) for name, one in members.items()})
        found |= some | st.dictionaries(st.sampled_from(names), VALUES, max_size=3)
    if "properties" in schema.get("items", {}):
        found |= st.lists(below(schema["items"]), max_size=3)
    return found


@settings(max_examples=300, deadline=None)
@given(below(SCHEMA))
def test_the_loader_refuses_what_the_library_jsonschema_refuses(value: object) -> None:
    """By path of the value and keyword; the loader compares texts only for `uniqueItems`."""
    expected = set()
    for error in Draft7Validator(SCHEMA).iter_errors(value):
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        if "propertyNames" in error.absolute_schema_path:
            path += f".{error.instance}"
        if error.validator != "uniqueItems":
            expected.add((path.removeprefix("."), error.validator))
    found = {(one.path, one.rule) for one in violations(tree(value), SCHEMA) if one.rule != "uniqueItems"}
    assert found - {one for one in found if one[1] == "required"} == {
        one for one in expected if one[1] != "required"
    }
