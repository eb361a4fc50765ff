"""The JSON schema of a replication: what editors show, and what the loader validates with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from ssm_reconcile import __version__
from ssm_reconcile.errors import SpecError, UsageError
from ssm_reconcile.load import load_text
from ssm_reconcile.load.messages import SpecFindings, inline
from ssm_reconcile.load.schema import _MESSAGES, _plain, _validator, schema_text
from ssm_reconcile.load.tree import documents

SOURCE = Path(__file__).parents[2] / "src"
SCHEMA: dict[str, Any] = json.loads(schema_text("replication"))


SCHEMAS = sorted((SOURCE.parent / "schema").glob("*.json"))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_named_by_the_address_of_a_release_which_does_not_move(path: Path) -> None:
    """A branch or `latest` would give one name to different contents."""
    address = r"https://github\.com/[\w-]+/ssm-reconcile/releases/download/v(\d+\.\d+\.\d+)/([\w.-]+)"
    found = re.fullmatch(address, json.loads(path.read_text())["$id"])
    assert found is not None
    assert found.groups() == (__version__, path.name)


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
    of_target = "name role_arn external_id frozen tier kms kms.default kms.keys"
    below = {
        "source": "region account role_arn external_id",
        "targets[]": f"region account regions accounts exclude overrides {of_target}",
        "targets[].exclude[]": "account region",
        "targets[].overrides[]": f"account region {of_target}",
        "parameters": "include exclude hold types",
        "parameters.hold[]": "match until reason",
        "skip_sync": "tag values replicas ignore",
        "kms[]": "source targets",
        "rewrite[]": "match in from to",
        "tags": "ignore add",
        "delete": "mode after",
        "guards": "max_deletes max_deletes_total max_change_percent window events",
        "guards.events": "max_updates",
        "lifts[]": "guard target count changes until reason",
        "rates": "describe get put delete tags list_tags resources kms probe",
    }
    keys = {*above.split(), "lifts", *(path.removesuffix("[]") for path in below)}
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


WITHOUT_MESSAGE = {"properties", "propertyNames", "items", "if", "then", "else", "patternProperties"}
"""Keywords whose violations are those of the schemas below them."""
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


def test_the_loader_has_a_message_for_each_rule_of_the_schema() -> None:
    rules = set(keywords(SCHEMA)) - ANNOTATIONS - WITHOUT_MESSAGE
    assert rules == {*_MESSAGES, "additionalProperties"}


def codes(text: str) -> list[str]:
    """The code and the line of each error."""
    with pytest.raises(SpecError) as refused:
        load_text(text)
    return [f"{one.code} {(one.where or '').split(':')[1]}" for one in refused.value.findings]


VALID = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
"""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('name: "prod\\n"', "bad-format 2"),  # the `$` of the pattern would match before the line feed
        ("guards: { max_deletes: 1.0 }", "wrong-type 7"),
        ("previous_names: [a, b, a]", "duplicate-item 7"),
        ("id: 0123456", "unquoted 7"),  # YAML reads an octal number
        ("version: true", "wrong-type 1"),
    ],
)
def test_the_loader_is_stricter_than_the_library_jsonschema(line: str, expected: str) -> None:
    key = line.split(":", maxsplit=1)[0]
    lines = VALID.splitlines()
    kept = [line if one.startswith(f"{key}:") else one for one in lines]
    assert codes("\n".join(kept if line in kept else [*lines, line])) == [expected]


def test_an_error_of_the_library_holds_no_text_of_the_spec() -> None:
    """The library puts the `repr` of the value into its messages, for a list the whole list."""
    text = VALID + "hide: { planted: [planted, { planted: planted }] }\nplanted: 1\n"
    document = next(iter(documents(text, "a.yaml", SpecFindings())))
    assert document.root is not None
    errors = list(_validator().iter_errors(_plain(document.root, {})))
    assert {one.validator for one in errors} == {"type", "additionalProperties"}
    assert not [one.message for one in errors if "planted" in one.message]


@pytest.mark.large
def test_the_first_errors_of_many_are_the_same_in_each_process() -> None:
    """The library visits free names in the order of a set, which is another one in each process."""
    program = (
        "from ssm_reconcile.load import load_text\n"
        "from ssm_reconcile.errors import SpecError\n"
        "names = ', '.join(f'k{i}: [1]' for i in range(900))\n"
        f"try: load_text({VALID!r} + 'tags: {{ add: {{ ' + names + ' }} }}')\n"
        "except SpecError as error: print([one.where for one in error.findings])\n"
    )
    outputs: set[str] = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert "replication.yaml" in outputs.pop()
