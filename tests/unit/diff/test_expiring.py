"""The row `expiring`: replicas without a source wait for their deletion, and marks that count or do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Delete, Mark, Release, Retag, Unmark, Update
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import EXPIRES, OWNER, RECORD, ExpiryMark, Origin, compose_own, digest
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import DeleteMode, Glob, Hold, Orphans, Replication
from tests.builders import HERE, NOW, THERE, Held, Judged, held, judge, replica, replication

WEEK = timedelta(days=7)
SPEC = replication(grace=WEEK)
ARN = THERE.arn("/p/a")


def mark(by: timedelta = timedelta(), *, arn: str = ARN, source_version: int = 1) -> str:
    """Return the mark of a replica that is deleted by a run at NOW and this time."""
    return ExpiryMark(NOW + by, digest(arn), source_version).text()


def marked(text: str | None = None, **more: Any) -> Held:
    """Return a replica with a mark, by default one that is due in an hour."""
    found = replica(held(), **more)
    return replace(found, tags={**found.tags, EXPIRES: mark(timedelta(hours=1)) if text is None else text})


def test_a_replica_whose_source_is_gone_is_marked_first() -> None:
    found = judge([], replica(held()), spec=SPEC)
    assert (found.row, found.change.action) == ("expiring", "retag")
    assert found.change.effect == Mark("/p/a", WEEK)
    assert found.change.expected.version == 1
    assert (
        found.reasons == "its source is gone: it is marked, and the first whole run 7 days later deletes it"
    )


def test_without_a_time_it_is_deleted_at_once() -> None:
    assert judge([], replica(held())).change.effect == Delete("/p/a")


def test_a_mark_that_is_not_due_is_not_a_change() -> None:
    found = judge([], marked(), spec=SPEC)
    assert (found.row, found.other.counted, found.changes) == ("expiring", "expiring", ())
    assert found.other.expires == NOW + timedelta(hours=1)
    assert found.reasons == "its source is gone: the first whole run after 2026-11-23 13:00 UTC deletes it"


@pytest.mark.parametrize(("by", "is_due"), [(-1, True), (0, True), (1, False)])
def test_a_mark_is_due_at_its_instant(by: int, *, is_due: bool) -> None:
    found = judge([], marked(mark(timedelta(seconds=by))), spec=SPEC)
    assert found.row == ("delete" if is_due else "expiring")


def test_a_due_mark_is_a_delete_that_needs_the_mark() -> None:
    found = judge([], marked(mark()), spec=SPEC)
    assert found.change.effect == Delete("/p/a", NOW)
    assert found.reasons == "its source is gone; its mark ended at 2026-11-23 12:00 UTC"


@pytest.mark.parametrize("grace", [timedelta(0), timedelta(days=1), timedelta(days=90)])
def test_another_time_in_the_spec_is_for_new_marks_only(grace: timedelta) -> None:
    spec = replication(grace=grace)
    assert judge([], marked(), spec=spec).row == "expiring"
    assert judge([], marked(mark()), spec=spec).row == "delete"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "cleared",
        mark(-WEEK, arn=THERE.arn("/p/b")),
        mark(-WEEK, source_version=2),
        mark(-WEEK) + " ",
        mark(-WEEK).replace("Z", "+00:00", 1),
        mark(-WEEK).replace("2026-11-16", "2026-02-30"),
        mark(-WEEK).replace("own=", "OWN="),
        mark(-WEEK).replace("2026", "\u0662\u0660\u0662\u0666"),
        mark(-WEEK).replace(" source=1", ""),
        mark(-WEEK).replace(" source=1", " source=01"),
    ],
)
def test_a_mark_that_does_not_count_deletes_nothing_and_is_replaced(text: str) -> None:
    assert judge([], marked(text), spec=SPEC).change.effect == Mark("/p/a", WEEK)


def test_a_mark_of_an_unreadable_record_counts_for_nothing() -> None:
    broken = marked(mark(-WEEK))
    broken = replace(broken, tags={**broken.tags, RECORD: "v=9"})
    assert judge([], broken, spec=SPEC).rows == []  # not ours


def test_delete_created_releases_an_adopted_replica_after_its_mark() -> None:
    spec = replace(SPEC, delete=DeleteMode.CREATED)
    first = judge([], replica(held(), origin=Origin.ADOPTED), spec=spec)
    assert first.change.effect == Mark("/p/a", WEEK, releases=True)
    assert first.reasons.endswith("the first whole run 7 days later releases it")
    waiting = judge([], marked(origin=Origin.ADOPTED), spec=spec)
    assert (waiting.other.counted, waiting.other.is_released) == ("expiring", True)
    due = judge([], marked(mark(), origin=Origin.ADOPTED), spec=spec)
    assert isinstance(due.change.effect, Release)
    assert due.change.effect.expires == NOW
    assert due.change.tags.removed == (EXPIRES, OWNER, RECORD)


def test_delete_never_keeps_it_whatever_its_mark_says() -> None:
    spec = replace(SPEC, delete=DeleteMode.NEVER)
    for live in (replica(held()), marked(), marked(mark(-WEEK))):
        found = judge([], live, spec=spec)
        assert (found.row, found.other.counted) == ("delete", "orphaned")


@pytest.mark.parametrize("live", [replica(held()), marked(), marked(mark(-WEEK))])
def test_an_incomplete_source_marks_and_deletes_nothing(live: Held) -> None:
    found = judge([], live, spec=SPEC, source_complete=False)
    assert found.other.counted == "orphaned"
    assert "is incomplete" in found.reasons


def test_an_orphan_is_deleted_without_a_mark() -> None:
    spec = replace(SPEC, include=(Glob("/q/**"),), orphans=Orphans.DELETE)
    assert judge([], replica(held()), spec=spec).change.effect == Delete("/p/a")


def test_skip_sync_deletes_without_a_mark() -> None:
    spec = replace(SPEC, skip_sync=SkipSync(replicas=OnSkip.DELETE))
    found = judge(held(tags={"skip_sync": ""}), replica(held()), spec=spec)
    assert (found.row, found.change.effect) == ("kept_out", Delete(None))


def test_a_replica_without_room_for_the_mark_is_invalid_and_kept() -> None:
    full = replica(held(), tags={f"t{i:02}": "x" for i in range(48)})
    found = judge([], full, spec=SPEC)
    assert (found.row, found.other.counted) == ("invalid", "invalid")
    assert "without room for the tag ssm-reconcile:expires it is kept" in found.reasons
    assert found.codes == ["tag-room"]
    assert judge([], full).row == "delete"
    room = replica(held(), tags={**{f"t{i:02}": "x" for i in range(47)}, "aws:cloudformation:x": "y"})
    assert judge([], room, spec=SPEC).row == "expiring"
    assert judge([], full, spec=SPEC, source_complete=False).other.counted == "orphaned"


@pytest.mark.parametrize("live", [replica(held()), marked(), marked(mark(-WEEK))])
@pytest.mark.parametrize("until", [None, NOW.date(), NOW.date() - WEEK])
def test_a_hold_stops_marks_and_deletes_also_when_it_has_expired(live: Held, until: date | None) -> None:
    spec = replace(SPEC, holds=(Hold(Glob("/p/*"), until, "an audit"),))
    assert judge([], live, spec=spec).other.row == "held"
    assert judge(held(), live, spec=spec).other.row == "held"


class TestReturn:
    def test_a_source_that_comes_back_is_a_retag_that_removes_the_mark(self) -> None:
        for text in (mark(WEEK), mark(-WEEK), "unreadable"):
            found = judge(held(), marked(text), spec=SPEC)
            assert found.row == "retag"
            assert isinstance(found.change.effect, Retag)
            assert found.change.tags.removed == (EXPIRES,)
            assert found.reasons == "its source exists again: its mark is removed"
            assert not found.change.rests_on_source_tags

    def test_without_a_mark_nothing_is_different(self) -> None:
        assert judge(held(), replica(held()), spec=SPEC).row == "in_sync"

    def test_an_update_removes_the_mark_too(self) -> None:
        found = judge(held(value="new", version=2), marked(), spec=SPEC)
        assert isinstance(found.change.effect, Update)
        assert found.change.tags.removed == (EXPIRES,)

    def test_an_adoption_removes_the_mark_too(self) -> None:
        free = marked(own_tags=False)
        found = judge(held(), free, spec=SPEC)
        assert (found.row, found.change.tags.removed) == ("adopt", (EXPIRES,))

    @pytest.mark.parametrize(
        ("source", "spec", "row"),
        [
            (held(tags={"skip_sync": ""}), SPEC, "kept_out"),
            (held(), replace(SPEC, exclude=(Glob("/p/a"),)), "orphan"),
            (held(), replace(SPEC, types=frozenset({SECURE})), "orphan"),
            (held(tags={"Skip-Sync": ""}), SPEC, "invalid"),
        ],
    )
    def test_rows_that_write_nothing_else_remove_the_mark(
        self, source: Held, spec: Replication, row: str
    ) -> None:
        found = judge(source, marked(), spec=spec)
        assert (found.row, found.change.action) == (row, "retag")
        assert isinstance(found.change.effect, Unmark)
        assert found.change.tags.removed == (EXPIRES,)
        assert judge(source, replica(held()), spec=spec).changes == ()

    def test_a_replica_whose_source_is_invalid_loses_its_mark_and_the_problem_is_still_reported(self) -> None:
        found = judge(held(tags={"Skip-Sync": ""}), marked(), spec=SPEC)
        assert found.codes == ["skip-tag-near-miss"]
        assert found.reasons.startswith("its source exists again: its mark is removed")
        assert "Skip-Sync" in found.reasons

    def test_a_chained_source_removes_the_mark(self) -> None:
        at_home = {"own": digest(HERE.arn("/p/a"))}
        chained = replica(held(), owner="up@123456789012/eu-west-1", record=at_home)
        found = judge(replace(held(), tags=chained.tags), marked(), spec=SPEC)
        assert found.row == "chained"
        assert isinstance(found.change.effect, Unmark)

    @pytest.mark.parametrize(
        ("source", "own_tags", "spec", "row"),
        [
            (held(), {"skip_sync": ""}, SPEC, "opted_out"),
            (held(), {}, replace(SPEC, holds=(Hold(Glob("/p/a")),)), "held"),
            (held(), {"Skip-Sync": ""}, SPEC, "invalid"),
            (held(), {"Skip-Sync": ""}, replace(SPEC, exclude=(Glob("/p/a"),)), "invalid"),
            (held(tags={"skip_sync": ""}), {"Skip-Sync": ""}, SPEC, "kept_out"),
        ],
    )
    def test_a_mark_stays_while_the_replica_is_not_to_be_written(
        self, source: Held, own_tags: dict[str, str], spec: Replication, row: str
    ) -> None:
        found = judge(source, marked(tags=own_tags), spec=spec).other
        assert (found.row, found.mark_stays) == (row, True)
        for text in ("cleared", mark(-WEEK, source_version=9)):
            assert not judge(source, marked(text, tags=own_tags), spec=spec).other.mark_stays
        assert not judge([], marked(tags=own_tags), spec=spec).other.mark_stays

    def test_a_replica_with_the_record_of_no_id_keeps_its_mark(self) -> None:
        own = compose_own(ARN, "String", None)
        other = marked(record={"own": own})
        found = judge(held(tags={"skip_sync": ""}), other, spec=SPEC)
        assert (found.row, found.changes) == ("kept_out", ())

    def test_an_orphan_without_a_source_keeps_its_mark(self) -> None:
        spec = replace(SPEC, exclude=(Glob("/p/a"),))
        assert judge([], marked(), spec=spec).other.row == "orphan"


def test_the_effect_has_the_time_of_the_spec_and_never_an_instant_of_the_clock() -> None:
    def effects(found: Judged) -> str:
        return repr(found.change.effect)

    later = judge([], replica(held()), spec=SPEC, now=NOW + timedelta(days=3))
    assert effects(later) == effects(judge([], replica(held()), spec=SPEC))
