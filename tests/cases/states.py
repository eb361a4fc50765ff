"""`status` against the plan of a case: the states are the rows of the plan, and no value is read."""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema

from ssm_reconcile.change import Row

SCHEMA = Path(__file__).parents[2] / "schema" / "status.schema.json"
BY_VALUE = {Row.ADOPT, Row.CONFLICT, Row.UPDATE, Row.RETAG, Row.IN_SYNC, Row.INVALID}
"""Rows that a plan may find where `status` says `unproven`."""
NARROWING = {"--only", "--target", "--name"}


@lru_cache
def _schema() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


def narrowing(flags: tuple[str, ...]) -> list[str]:
    """Return the flags of a case that `status` has, too."""
    return [word for pair in pairwise(flags) if pair[0] in NARROWING for word in pair]


def _rows(plan: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    return {
        (one["replication"], one["target"], one["name"]): one["row"]
        for one in (*plan["changes"], *plan["others"])
    }


def compare_states(status: dict[str, Any], plan: dict[str, Any], *, verified: bool) -> None:
    """Compare each state with the row of the plan, or with what only its values decide.

    Args:
        status: The document of `status`.
        plan: The document of `plan`.
        verified: Whether the plan compared all values (`--verify-values`).
    """
    assert list(_schema().iter_errors(status)) == []
    known = _rows(plan)
    for one in status["replicas"]:
        address = (one["replication"], one["target"], one["name"])
        row, state = known.pop(address, "in_sync"), one["state"]
        expected = {row}
        if row in BY_VALUE:
            expected.add("unproven")
        if row == Row.INVALID:
            expected |= {"create", "replace"}  # only its value shows that the target cannot hold it
        if verified:
            expected.add("in_sync")  # versions prove it; a forged record is found by its value only
        if row == Row.IN_SYNC:
            expected.add("excluded")  # a plan does not list it either
        assert state in expected, f"{address} is {state} in the status and {row} in the plan"
    assert known == {}, "addresses that only the plan has"
