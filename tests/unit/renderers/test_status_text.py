"""Whole texts of small statuses: several replications, widths, colours, targets that are alike."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssm_reconcile.documents.status import ReplicaEntry, StatesEntry, StatusDocument
from ssm_reconcile.renderers.status_text import status_text

GONE = "its source is gone"
DEPLOY = "arn:aws:sts::123456789012:assumed-role/deploy/s"


def target(
    name: str, replication: str = "prod", *, account: str = "2", complete: bool = True, **counts: int
) -> StatesEntry:
    return {
        "replication": replication, "source": "1/us-east-1", "target": name, "place": f"{account}/{name}",
        "complete": complete, "counts": counts,
    }  # fmt: skip


def entry(name: str, state: str, reason: str = "", *, place: str = "us-east-2", **more: Any) -> ReplicaEntry:
    found = {
        "replication": "prod", "target": place, "name": name, "state": state, "type": "String",
        "source": name, "source_version": 3, "recorded_source_version": 3, "version": 1,
        "last_modified": "2026-11-23T12:00:00.000Z", "age_seconds": 119, "writer": DEPLOY,
        "reasons": [reason] if reason else [], **more,
    }  # fmt: skip
    return cast("ReplicaEntry", found)


def status(targets: list[StatesEntry], *replicas: ReplicaEntry) -> StatusDocument:
    return {
        "format_version": "1.0", "tool_version": "1", "created": "2026-11-23T12:01:00.000Z", "complete": True,
        "targets": targets, "replicas": list(replicas), "findings": [],
    }  # fmt: skip


TWO = status(
    [
        target("us-east-2", delete=2, create=1, update=1, in_sync=2),
        target("us-west-1", complete=False, update=2),
        target("us-west-2", "stage", conflict=1_200),
        target("us-west-3", "stage"),
    ],
    entry("/app/b", "delete", GONE, source_version=None, recorded_source_version=2),
    entry(
        "/app/a", "delete", GONE,
        source_version=None, recorded_source_version=None, last_modified=None, age_seconds=None, writer="",
    ),
    entry("/app/c", "create", recorded_source_version=None),
    entry("/app/d", "update", "the value differs", recorded_source_version=2),
    entry("/app/y", "in_sync"),
    entry("/app/x", "in_sync"),
    entry("/s", "conflict", "it differs", place="us-west-2", replication="stage"),
)  # fmt: skip

WIDE = """\
prod: source 1/us-east-1, status at 2026-11-23 12:01 UTC
  us-east-2  2 delete, 1 create, 1 update, 2 in_sync
  us-west-1  NOT LISTED COMPLETELY, 2 update
stage: source 1/us-east-1, status at 2026-11-23 12:01 UTC
  us-west-2  1,200 conflict
  us-west-3  nothing selected

prod, us-east-2 (2/us-east-2)
    name    source version  modified              age    writer
  delete (2): its source is gone
    /app/b  2 (gone)        2026-11-23 12:00 UTC  1 min  role deploy
    /app/a  -               -                     -      -
  create (1)
    /app/c  3               2026-11-23 12:00 UTC  1 min  role deploy
  update (1): the value differs
    /app/d  2 (now 3)       2026-11-23 12:00 UTC  1 min  role deploy
  in_sync (2)
    /app/* × 2

stage, us-west-2 (2/us-west-2)
    name  source version  modified              age    writer
  conflict (1): it differs
    /s    3               2026-11-23 12:00 UTC  1 min  role deploy

Counted by path: --state STATE lists each address.
"""
NARROW = """\
prod: source 1/us-east-1,
status at 2026-11-23 12:01 UTC
  us-east-2  2 delete,
             1 create,
             1 update,
             2 in_sync
  us-west-1  NOT LISTED COMPLETELY,
             2 update
stage: source 1/us-east-1,
status at 2026-11-23 12:01 UTC
  us-west-2  1,200 conflict
  us-west-3  nothing selected

prod, us-east-2 (2/us-east-2)
  delete (2): its source is
    gone
    /app/b
      source version 2 (gone),
      2026-11-23 12:00 UTC (1 min),
      role deploy
    /app/a
  create (1)
    /app/c
      source version 3,
      2026-11-23 12:00 UTC (1 min),
      role deploy
  update (1): the value
    differs
    /app/d
      source version 2 (now 3),
      2026-11-23 12:00 UTC (1 min),
      role deploy
  in_sync (2)
    /app/* × 2

stage, us-west-2 (2/us-west-2)
  conflict (1): it differs
    /s
      source version 3,
      2026-11-23 12:00 UTC (1 min),
      role deploy

Counted by path: --state STATE
lists each address.
Next:
  ssm-reconcile plan --target us-east-2
"""


def test_a_wide_terminal_has_columns_and_a_part_for_each_replication() -> None:
    assert status_text(TWO, width=80) == WIDE


def test_a_narrow_terminal_has_the_facts_of_an_address_below_its_name() -> None:
    assert status_text(TWO, width=30, next_step="ssm-reconcile plan --target us-east-2") == NARROW


def test_the_columns_take_the_last_column_of_the_terminal() -> None:
    widest = max(map(len, WIDE.splitlines()))
    assert status_text(TWO, width=widest) == WIDE
    assert status_text(TWO, width=widest - 1) != WIDE


COLOURS = {
    "1;31": ("foreign", "copied", "conflict", "invalid"),
    "31": ("delete", "replace"),
    "33": ("update", "retag", "unproven", "expiring", "orphan", "detached", "held"),
    "32": ("create", "adopt", "in_sync"),
    "1": ("opted_out", "excluded", "newer"),
}


@pytest.mark.parametrize(("code", "state"), [(code, one) for code, some in COLOURS.items() for one in some])
def test_a_title_has_the_colour_of_its_state(code: str, state: str) -> None:
    found = status([target("us-east-2", complete=False)], entry("/a", state, "a reason of" + " words" * 3))
    assert status_text(found, width=34, color=True, listed=[state]).startswith(
        "prod: source 1/us-east-1, status\nat 2026-11-23 12:01 UTC\n"
        "\x1b[1;31m  us-east-2  NOT LISTED COMPLETELY\x1b[0m\n"
        f"\n\x1b[1mus-east-2\x1b[0m (2/us-east-2)\n\x1b[{code}m  {state} (1): a reason of"
    )


def test_states_are_sorted_by_rank_and_reason_and_a_state_of_a_later_version_is_the_first() -> None:
    found = status(
        [target("us-east-2")],
        *(entry("/a", *state) for state in (("create", "b"), ("create", "a"), ("foreign",), ("newer",))),
    )
    titles = [
        line for line in status_text(found, width=80).splitlines() if line.endswith(")") or ": " in line
    ]
    assert titles[2:] == ["  newer (1)", "  foreign (1)", "  create (1): a", "  create (1): b"]


def test_all_addresses_of_the_listed_states_are_shown() -> None:
    text = status_text(TWO, width=80, listed=("in_sync",))
    assert "  in_sync (2)\n    /app/y  3  " in text
    assert "Counted by path" not in text


@pytest.mark.parametrize(("number", "line"), [(20, "    /a/19  3"), (21, "    /a/* × 21")])
def test_the_names_of_a_group_of_more_than_twenty_are_counted_by_path(number: int, line: str) -> None:
    few = entry("/b", "update", "it is listed below a group that is counted")
    found = status([target("us-east-2")], *(entry(f"/a/{i}", "update") for i in range(number)), few)
    lines = status_text(found, width=80).splitlines()
    assert sum(one.startswith(line) for one in lines) == 1
    assert sum(one.startswith("    /b  ") for one in lines) == 1


def test_a_status_that_is_all_counted_by_path_has_no_columns() -> None:
    found = status([target("us-east-2")], entry("/app/a", "in_sync"), entry("/b", "excluded"))
    assert (
        status_text(found, width=100)
        == """\
prod: source 1/us-east-1, status at 2026-11-23 12:01 UTC
  us-east-2  nothing selected

us-east-2 (2/us-east-2)
  in_sync (1)
    /app/a
  excluded (1)
    /b

Counted by path: --state STATE lists each address.
"""
    )


def test_the_next_command_is_apart_from_the_addresses() -> None:
    found = status([target("us-east-2"), target("us-west-2")], entry("/a", "held", writer=""))
    assert status_text(found, width=100, next_step="ssm-reconcile plan").endswith(
        "  held (1)\n    /a    3               2026-11-23 12:00 UTC  1 min  -\n\nNext: ssm-reconcile plan\n"
    )


def alike(number: int, *replicas: ReplicaEntry, apart: int = 1) -> str:
    """Return the status of some targets, of which the first ones have another reason."""
    every: list[Any] = [
        {**one, "target": f"t{i}", "reasons": ["of its own"] if i < apart else one["reasons"]}
        for i in range(number)
        for one in replicas
    ]
    found = status([target(f"t{i}", account=f"t{i}", update=1) for i in range(number)], *every)
    return status_text(found, width=60)


def test_each_of_ten_targets_is_shown() -> None:
    text = alike(10, entry("/a", "update"))
    assert text.count("\n    /a\n") == text.count("  update (1)") == text.count("  1 update\n") == 10
    assert "\nt9 (t9/t9)\n" in text


def test_more_targets_that_are_alike_are_shown_once_with_their_names() -> None:
    assert (
        alike(12, entry("/a", "update", "the value differs"))
        == """\
prod: source 1/us-east-1, status at 2026-11-23 12:01 UTC
  each of 12 targets  1 update

t0 (t0/t0)
  update (1): of its own
    /a
      source version 3, 2026-11-23 12:00 UTC (1 min),
      role deploy

t1 and 10 alike
  t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11
  update (1): the value differs
    /a
      source version 3, 2026-11-23 12:00 UTC (1 min),
      role deploy
"""
    )


def test_of_many_targets_that_are_alike_fifty_are_named() -> None:
    text = alike(61, entry("/a", "update"))
    assert "\nt1 and 59 alike\n  t1, t2, t3," in text
    assert " t50, ... and 10 more\n  update (1)\n" in text


def test_two_targets_that_are_alike_are_named() -> None:
    text = alike(11, entry("/a", "update"), apart=2)
    assert "\nt0 and 1 alike\n  t0, t1\n  update (1): of its own\n" in text
    assert "\nt2 and 8 alike\n  t2, t3, t4, t5, t6, t7, t8, t9, t10\n  update (1)\n" in text


def test_targets_that_are_all_alike_are_not_named() -> None:
    names = [f"t{i}" for i in range(11)]
    at = {"t4": "2026-11-23T12:00:30.000Z", "t5": "2026-11-23T11:59:00.000Z"}
    found = status(
        [target(name, update=1) for name in names],
        *(entry("/same", "update", place=name, last_modified=at["t4"]) for name in names),
        *(entry("/other", "update", place=name, last_modified=at.get(name, at["t4"])) for name in names),
    )
    assert (
        status_text(found, width=72)
        == """\
prod: source 1/us-east-1, status at 2026-11-23 12:01 UTC
  each of 11 targets  1 update

each of 11 targets
    name    source version  modified              age    writer
  update (2)
    /same   3               2026-11-23 12:00 UTC  1 min  role deploy
    /other  3               -                     -      role deploy
"""
    )


@pytest.mark.parametrize(
    "other",
    [
        {"name": "/b"}, {"state": "create"}, {"replication": "stage"}, {"reasons": ["another"]},
        {"source_version": 4}, {"recorded_source_version": 4}, {"writer": "arn:aws:iam::1:user/bob"},
    ],
)  # fmt: skip
def test_targets_that_differ_in_a_fact_are_shown_apart(other: dict[str, Any]) -> None:
    names = [f"t{i}" for i in range(11)]
    changed: Any = {**entry("/a", "update", place="t4"), **other}
    every = [changed if name == "t4" else entry("/a", "update", place=name) for name in names]
    parts = [target(name, changed["replication"] if name == "t4" else "prod") for name in names]
    text = status_text(status(parts, *every), width=72)
    assert "t0 and 9 alike\n  " in text
    assert "t4 (2/t4)\n" in text


@pytest.mark.parametrize(
    "other",
    [{"complete": False}, {"counts": {"update": 1}}, {"source": "1/us-west-1"}, {"replication": "stage"}],
)
def test_the_counts_of_targets_that_differ_are_shown_apart(other: dict[str, Any]) -> None:
    parts: list[Any] = [{**target(f"t{i}"), **(other if i == 9 else {})} for i in range(11)]
    lines = status_text(status(parts), width=72).splitlines()
    labels = [line[2:].split("  ")[0] for line in lines if line.startswith("  ")]
    assert labels == ["each of 10 targets" if "replication" in other else "t0 and 9 alike", "t9"]


def test_labels_of_counts_have_one_width() -> None:
    names = [f"t{i}" for i in range(11)]
    found = status([target(name, update=int(name == "t9")) for name in names])
    assert status_text(found, width=72).splitlines()[1:] == [
        "  t0 and 9 alike  0 update",
        "  t9              1 update",
    ]


@pytest.mark.parametrize(
    ("completes", "source", "version"),
    [
        ((True,), "/a", "2 (gone)"),
        ((True,), None, "2 (now unknown)"),
        ((False,), "/a", "2 (now unknown)"),
        ((False, True), "/a", "2 (gone)"),
    ],
)
def test_a_source_is_gone_only_if_its_name_is_known_and_it_is_listed_completely(
    completes: tuple[bool, ...], source: str | None, version: str
) -> None:
    """A target that is listed completely shows that the source of its replication is, too."""
    gone = entry("/a", "delete", GONE, source=source, source_version=None, recorded_source_version=2)
    targets = [
        target(name, complete=one) for name, one in zip(("us-east-2", "us-west-1"), completes, strict=False)
    ]
    text = status_text(status([*targets, target("us-west-2", "stage")], gone), width=100)
    assert f"    /a    {version}  " in text
