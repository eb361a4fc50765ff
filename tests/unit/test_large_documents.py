"""Documents that are hashed, written and stored in pieces equal those in one piece."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.cli import command_run
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.plan import Mode, Narrowing, Plan, effect_of
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.stores.ssm import Aws
from ssm_reconcile.stores.wire import RecordedTags, moment_of, name_in, parameter_of, tags_of
from ssm_reconcile.system import SystemClock, return_freed_memory
from tests.builders import HERE, creates, deletes, part, updates
from tests.property.profiles import examples


def canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_the_plan_id_is_the_hash_of_canonical_json() -> None:
    parts = (part(*creates(3), *updates(2, "/p/ü")), part(*deletes(1)), part())
    plan = Plan(parts, mode=Mode.VERIFY, narrowing=Narrowing(("b", "a"), ("/p/**",)))
    documents = [
        {
            "replication": one.name,
            "source": one.source,
            "mode": "verify",
            "targets": ["a", "b"],
            "only": ["/p/**"],
            "changes": [effect_of(change) for change in sorted(one.changes, key=lambda c: c.order)],
        }
        for one in parts
    ]
    documents[0]["mode"] = documents[1]["mode"] = documents[2]["mode"] = plan.mode.value
    assert plan.plan_id == hashlib.sha256(canonical(documents).encode()).hexdigest()
    assert plan.id_of(parts[0]) == hashlib.sha256(canonical(documents[0]).encode()).hexdigest()
    assert Plan(()).plan_id == hashlib.sha256(b"[]").hexdigest()


@pytest.mark.parametrize("count", [0, 1, 700, 2_000])
def test_a_document_of_many_changes_is_written_in_blocks_that_fit_together(count: int) -> None:
    document = {"changes": [{"name": f"/p/{n}\u202e", "lines": ["a\nb", n, None]} for n in range(count)]}
    whole = json.dumps(document, sort_keys=True, ensure_ascii=False, indent=2)
    assert dumps(document) == whole.replace("\u202e", "\\u202e") + "\n"
    assert json.loads(dumps(document)) == document


def metadata(number: int) -> dict[str, object]:
    text = "a and b"
    return {
        "Name": f"/p/{number}",
        "Type": f"String{'List' * (number % 2)}",
        "Version": 1,
        "LastModifiedDate": datetime(2026, 11, 1, tzinfo=UTC),
        "Description": f"of {text}",
        "LastModifiedUser": f"user {text}",
    }


def test_texts_that_parameters_and_places_share_are_in_memory_once() -> None:
    one, same, other = (parameter_of(metadata(number)) for number in (2, 2, 4))
    assert one.name is same.name is name_in(HERE.arn("/p/2"), HERE)
    assert one.type is other.type
    assert one.description is other.description
    assert one.last_modified_user is other.last_modified_user


def test_tags_are_sorted_and_short_ones_shared() -> None:
    pairs = [{"Key": key, "Value": value} for key, value in (("b", "x" * 3), ("a", "y" * 200))]
    first, second = tags_of(pairs), tags_of(json.loads(json.dumps(pairs)))
    assert list(first) == ["a", "b"]
    assert first == second == {"a": "y" * 200, "b": "xxx"}
    assert first["b"] is second["b"]


def pairs_of(**tags: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def test_equal_tags_are_in_memory_once_and_a_record_is_kept_apart() -> None:
    one, same = (tags_of(pairs_of(team=f"a{number}")) for number in ("1", "1"))
    assert one is same
    first, second = (tags_of(pairs_of(team="a", record=number * 99, stage="b")) for number in ("1", "2"))
    assert isinstance(first, RecordedTags)
    assert isinstance(second, RecordedTags)
    assert sys.getsizeof(first) < 100
    assert first._shared is second._shared


@given(tags=st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.text("x", min_size=81), max_size=5))
@examples(30)
def test_tags_with_a_record_are_used_as_a_dictionary(tags: dict[str, str]) -> None:
    found = tags_of(pairs_of(**tags))
    assert found == tags == dict(found)
    assert tags == found
    assert list(found) == list(found.keys()) == sorted(tags)
    assert list(found.items()) == sorted(tags.items())
    assert list(found.values()) == [tags[key] for key in sorted(tags)]
    assert len(found) == len(tags)
    for key in (*tags, "absent"):
        assert found.get(key) == tags.get(key)
        assert found.get(key, "y") == tags.get(key, "y")
        assert (key in found) == (key in tags)
    with pytest.raises(KeyError):
        found["absent"]
    assert repr(found) == repr(dict(sorted(tags.items())))


def test_times_are_read_as_the_moments_they_are() -> None:
    noon = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
    for told_time in (noon.timestamp(), noon.isoformat(), "2026-11-23T14:00:00.250+02:00"):
        assert moment_of(told_time) == noon
        assert moment_of(told_time).utcoffset() is not None
    assert moment_of(1).astimezone(timezone(timedelta(hours=2))).hour == 2


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_large_freed_blocks_are_returned_where_the_c_library_can(
    monkeypatch: pytest.MonkeyPatch, missing: type[Exception]
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *given: asked.append(given)))
    return_freed_memory()
    assert asked == [(-3, 262_144)]

    def fail(_: None) -> None:
        raise missing

    monkeypatch.setattr("ctypes.CDLL", fail)
    return_freed_memory()


def test_large_freed_blocks_stay_without_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ctypes", raising=False)
    monkeypatch.setitem(sys.modules, "_ctypes", None)
    return_freed_memory()
    assert "ctypes" not in sys.modules


def test_programs_return_freed_memory_and_the_library_leaves_its_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("aws_lambda_powertools")
    from ssm_reconcile.event.aws_lambda import Function

    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *given: asked.append(given)))
    Aws(clock=SystemClock())
    assert asked == []
    command_run.connect_factory(CommonOptions(), SystemClock())
    assert asked == [(-3, 262_144)]
    Function({})._connect_to_aws()
    assert asked == [(-3, 262_144)] * 2
