"""Silence of every noun that holds a value while it is in flight: printed, formatted, logged, copied out."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pprint import pformat
from typing import Any

import pytest

from ssm_reconcile.model import SECURE, Parameter, Reading, SealedText, Value, ValueReadings, ValueRequest
from ssm_reconcile.shape import digest_value, read, shape
from ssm_reconcile.stores.base import Answers, Put
from tests.fake_aws.request import Request, Settled, request_of
from tests.silence.listening import listening, text_of
from tests.silence.planted import leaks, plant, token

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SECRET = plant(0)
SEALED = SealedText(SECRET.value)
VALUE = Value("/p/a", SECURE, 1, NOW, SEALED)
PUT = Put("/p/a", SEALED, SECURE, overwrite=False)
HOLDERS: dict[str, Any] = {
    "sealed": SEALED,
    "value": VALUE,
    "answers": Answers({"/p/a": VALUE}, frozenset(), {}),
    "put": PUT,
    "request": request_of(PUT),
    "settled": Settled(SECURE, SEALED),
    "a request of its own": Request("/p/a", SEALED),
    "reading": read(VALUE, ValueRequest("/p/a", show=True), b"key"),
    "readings": ValueReadings({"/p/a": read(VALUE, ValueRequest("/p/a", show=True), b"key")}),
    "shaped": shape(SEALED, ()),
    "pattern": Parameter("/p/a", SECURE, 1, NOW, allowed_pattern=SECRET.value),
}
WAYS: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda one: f"{one}",
    "percent": lambda one: "%s %r" % (one, one),  # noqa: UP031 - as old logging calls do
    "in a list": lambda one: str([one, {"a": one}, (one,)]),
    "pretty": pformat,
    "json": lambda one: json.dumps({"a": one}, default=str),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("holder", HOLDERS)
def test_no_way_of_printing_shows_what_is_inside(holder: str, way: str) -> None:
    assert leaks({way: WAYS[way](HOLDERS[holder])}, [SECRET]) == []


@pytest.mark.parametrize("holder", ["value", "put", "request", "settled"])
def test_as_a_dictionary_it_cannot_be_had_or_stays_sealed(holder: str) -> None:
    try:
        text = repr(asdict(HOLDERS[holder]))
    except TypeError as refused:
        text = text_of(refused)
    assert leaks({"dictionary": text}, [SECRET]) == []


@pytest.mark.parametrize("out", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_sealed_value_cannot_be_carried_off(out: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="does not leave memory"):
        out(SEALED)


@pytest.mark.parametrize("spec", ["", "s", ">40", "x", "!r"])
def test_no_format_reveals_a_sealed_value(spec: str) -> None:
    assert format(SEALED, spec) == "<sealed>"


def test_a_sealed_value_has_no_length_and_no_parts() -> None:
    peeks: list[Callable[[Any], object]] = [len, iter, lambda one: one[0], lambda one: one + "", bytes, int]
    for peek in peeks:
        with pytest.raises(TypeError):
            peek(SEALED)


def test_two_sealed_values_cannot_be_compared_by_chance() -> None:
    """An equality would tell a guesser what is inside."""
    assert SealedText("a") != SealedText("a")


def test_a_digest_is_of_one_run_only() -> None:
    assert digest_value(SEALED, SECURE, b"one key") != digest_value(SEALED, SECURE, b"another key")
    assert leaks({"digest": digest_value(SEALED, SECURE, b"key").hex()}, [SECRET]) == []


def test_a_reading_of_a_secret_has_nothing_to_show() -> None:
    reading = read(VALUE, ValueRequest("/p/a", show=True), b"key")
    assert isinstance(reading, Reading)
    assert reading.text is None


def _missing(value: Value) -> None:
    raise LookupError(value.name, value)


def test_a_logged_exception_with_its_locals_shows_nothing() -> None:
    value, shown = VALUE, ""
    with listening() as ear:
        try:
            _missing(value)
        except LookupError as error:
            logging.getLogger("another").exception("it went wrong with %s", value)
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert leaks({"log": "\n".join(ear.heard), "traceback": shown}, [SECRET]) == []


def test_the_search_finds_planted_secrets() -> None:
    """Every form, or the laws of this folder would hold of anything."""
    for number in (0, 1, 4, 6):
        secret = plant(number, long=number % 2 == 1)
        for name, forms in secret.forms.items():
            for form in forms:
                assert leaks({"somewhere": f"before {form} after"}, [secret]), name
        assert leaks({"somewhere": f"before {token(number + 100)} after"}, [secret]) == []
