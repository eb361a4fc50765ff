"""Half characters: found, replaced, and encoded for digests."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from ssm_reconcile.encoding import is_unicode, printable, printable_tree, utf8


@pytest.mark.parametrize(
    ("text", "whole"), [("", True), ("a", True), ("é😀", True), ("a\ud800", False), ("\udfff", False)]
)
def test_a_lone_surrogate_is_found(text: str, whole: bool) -> None:
    assert is_unicode(text) is whole
    assert (printable(text) == text) is whole
    printable(text).encode()


def test_different_texts_have_different_bytes() -> None:
    texts = ["a", "é", "\ud800", "\udbff", "\udc00", "\ufffd", "😀"]
    assert len({utf8(text) for text in texts}) == len(texts)
    assert utf8("é😀") == "é😀".encode()


def test_a_document_is_made_printable_down_to_its_keys() -> None:
    document = {"a": ["\ud800", ("b\udfff", 1)], "tags": MappingProxyType({"\udc00": None})}
    assert printable_tree(document) == {"a": ["\ufffd", ["b\ufffd", 1]], "tags": {"\ufffd": None}}


def test_a_printable_document_is_not_copied() -> None:
    document = {"a": ["é", {"b": 1.5}]}
    assert printable_tree(document) is document
