"""A damaged or forged document gets the same verdict as from the previous reader, written by hand."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.documents import decode, encode
from ssm_reconcile.errors import UsageError
from ssm_reconcile.renderers.escaping import json_blocks
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Run
from tests.property import previous_reader
from tests.property.profiles import examples
from tests.unit.renderers import plans

PLAN: Any = plans.whole(
    encode.saved_plan_document(
        plans.twelve(),
        tool_version="0.1.0",
        created=plans.NOW,
        run=Run(only=("/app/**",)),
        name=None,
        spec_files=["replication.yaml"],
    )
)
REPORT: Any = plans.report_document_of(plans.reported(plans.twelve(), tuple(Result)))
STRICTER = ("run", "spec_files", "effect", "spec_id", "by_shape", "limit", "with_higher_throughput", "as_of")
"""Keys that the previous reader did not check."""
WRITTEN = {"before", "after", "tags"}
"""Keys of an outcome that it did not check."""
# Numbers from 1 on: the previous reader did not check minima.
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(1), st.just(10**400), st.text(max_size=3), st.just([]), st.just({}),
    st.just(["x"]), st.just([1]), st.just({"x": "y"}), st.just({"x": 1}),
    st.just("0" * 64), st.floats(allow_nan=False),
)  # fmt: skip


def places(node: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document; of a list, the first two items."""
    keys = list(node) if isinstance(node, dict) else list(range(min(2, len(node))))
    for key in keys:
        yield (*way, key)
        if isinstance(node[key], dict | list):
            yield from places(node[key], (*way, key))


def is_stricter(way: tuple[Any, ...]) -> bool:
    """Whether the previous reader did not check a place."""
    return any(key in way for key in STRICTER) or (way[0] == "outcomes" and bool(WRITTEN & set(way)))


def refused(read: Callable[[str], Any], text: str) -> str:
    """The message of the refusal, empty when the document is accepted."""
    try:
        assert read(text) == json.loads(text)
    except UsageError as error:
        return error.message
    return ""


READERS: dict[str, tuple[Any, Callable[[str], Any], Callable[[str], Any]]] = {
    "plan": (PLAN, decode.read_plan_document, previous_reader.read_plan_document),
    "report": (REPORT, decode.read_report_document, previous_reader.read_report_document),
}


@pytest.mark.parametrize("kind", READERS)
@given(data=st.data())
@examples(40)
def test_the_verdict_is_the_previous_one_and_the_message_names_the_place(
    kind: str, data: st.DataObject
) -> None:
    valid, read, read_before = READERS[kind]
    document = copy.deepcopy(valid)
    document["format_version"] = data.draw(st.sampled_from(["1.0", "1.1", "1.12", "2.0", 1]))
    ways = [data.draw(st.sampled_from(list(places(valid)))) for _ in range(data.draw(st.integers(0, 2)))]
    for way in ways:
        node = document
        for step in way[:-1]:
            node = node[step] if isinstance(node, dict | list) and _has(node, step) else {}
        if isinstance(node, dict):
            match data.draw(st.sampled_from(["change", "remove", "add"])):
                case "change":
                    node[way[-1]] = data.draw(JUNK)
                case "remove":
                    node.pop(way[-1], None)
                case _:
                    node["unknown"] = data.draw(JUNK)
    text = json.dumps(document)
    now, before = refused(read, text), refused(read_before, text)
    if any(map(is_stricter, ways)):
        assert now or not before
        return
    assert bool(now) == bool(before)
    assert ("is damaged: `" in now) == ("is damaged: `" in before)


def _has(node: Any, step: Any) -> bool:
    return step in node if isinstance(node, dict) else isinstance(step, int) and step < len(node)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=()), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
"""Documents of any form, lone surrogates and commands for a runner included."""


@given(st.dictionaries(st.text(max_size=3), JSON | st.sampled_from(["::x", ["##[y"], [["::z"]]])))
def test_the_blocks_of_a_document_are_its_text(document: dict[str, Any]) -> None:
    assert "".join(json_blocks(document)) == plans.text_at_once(document)


@given(texts=st.lists(st.text(st.characters(exclude_categories=()), max_size=9), max_size=4))
def test_the_text_of_entries_is_that_of_a_list(texts: list[str]) -> None:
    entries = encode.EntrySequence(texts, lambda text: {"name": text, "tags": {text: [text]}})
    blocks = json_blocks({"format_version": "1.2", "changes": entries, "targets": []})
    whole = {"format_version": "1.2", "changes": list(entries), "targets": []}
    assert "".join(blocks) == plans.text_at_once(whole)


@pytest.mark.parametrize("kind", READERS)
def test_damage_in_one_place_is_refused_with_that_place(kind: str) -> None:
    valid, read, read_before = READERS[kind]
    for way in places(valid):
        document = copy.deepcopy(valid)
        node = document
        for step in way[:-1]:
            node = node[step]
        node[way[-1]] = ["damage", {"deep": 1}] if not isinstance(node[way[-1]], list) else "damage"
        text = json.dumps(document)
        if not is_stricter(way):
            named = [
                message.partition("`")[2].partition("`")[0]
                for message in (refused(read, text), refused(read_before, text))
            ]
            assert named[0] == named[1], way
