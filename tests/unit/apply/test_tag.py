"""Adopts, retags and releases: no new version, and no tags on a parameter that has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER, RECORD, SOURCE, Origin, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.spec import DeleteMode, Run
from tests.builders import Stage, counted, outcome, replication
from tests.fake_aws.behaviour import AwsBehaviour, Moves
from tests.fake_aws.traffic import AWAIT_TURN, at_call, lost, refused

Act = Callable[[Stage], object]


def retagged() -> tuple[Stage, Plan]:
    stage = Stage()
    stage.replicate("/p/a", "v", tags={"old": "1", "team": "a"})
    stage.world.untag(stage.here, "/p/a", "old")
    stage.world.tag(stage.here, "/p/a", {"team": "b"})
    stage.pass_time()
    plan = stage.plan()
    assert counted(plan) == {"retag": 1}
    return stage, plan


def adopted() -> tuple[Stage, Plan]:
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v", tags={"team": "a"})
    stage.world.put(stage.there, "/p/a", "v", tags={"team": "a"})
    stage.pass_time()
    plan = stage.plan()
    assert counted(plan) == {"adopt": 1}
    return stage, plan


def released() -> tuple[Stage, Plan]:
    stage = Stage(replication(delete=DeleteMode.CREATED))
    stage.world.put(stage.there, "/p/a", "v")
    stage.replicate("/p/a", "v")
    stage.replicate("/p/b")
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    plan = stage.plan()
    assert counted(plan) == {"retag": 1, "in_sync": 1}
    return stage, plan


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


MOVED: list[tuple[Act, str]] = [
    (lambda s: s.world.put(s.there, "/p/a", "hand"), "it is at version 2, and the plan saw version 1"),
    (lambda s: s.world.delete(s.there, "/p/a"), "it is gone"),
    (lambda s: s.world.tag(s.there, "/p/a", {"skip_sync": ""}), "it has the tag skip_sync itself now"),
    (
        lambda s: s.world.tag(s.there, "/p/a", {OWNER: "detached:x"}),
        "its ownership has changed since the plan: it is detached",
    ),
]


@pytest.mark.parametrize("planned", [retagged, adopted, released])
@pytest.mark.parametrize(("act", "message"), MOVED)
def test_nothing_is_tagged_when_something_has_changed(
    planned: Callable[[], tuple[Stage, Plan]], act: Act, message: str
) -> None:
    stage, plan = planned()
    act(stage)
    before = stage.world.state()
    assert result(stage.carry_out(plan)) == ("stale", message)
    assert stage.world.state() == before


@pytest.mark.parametrize("planned", [retagged, adopted, released])
def test_the_last_look_comes_after_the_wait_for_a_turn(planned: Callable[[], tuple[Stage, Plan]]) -> None:
    stage, plan = planned()
    tags = stage.world.tags(stage.there, "/p/a")
    stage.world.before(AWAIT_TURN, lambda: stage.world.put(stage.there, "/p/a", "hand"), name="tags")
    assert result(stage.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
    assert stage.world.tags(stage.there, "/p/a") == tags


@pytest.mark.parametrize("moves", list(Moves))
@pytest.mark.parametrize("planned", [retagged, adopted])
def test_a_second_try_does_not_stumble_over_our_own_first(
    planned: Callable[[], tuple[Stage, Plan]], moves: Moves
) -> None:
    stage, plan = planned()
    stage.world.region(stage.there).readings = AwsBehaviour(tags_move_modified=moves)
    stage.world.traffic.forget()
    stage.world.faults = at_call("AddTagsToResource", lost(done=True), nth=1)
    assert result(stage.carry_out(plan)) == ("applied", "")


@pytest.mark.parametrize("planned", [retagged, adopted])
def test_nothing_is_tagged_for_a_source_that_is_gone_or_skipped(
    planned: Callable[[], tuple[Stage, Plan]],
) -> None:
    stage, plan = planned()
    stage.world.tag(stage.here, "/p/a", {"skip_sync": ""})
    assert result(stage.carry_out(plan)) == ("stale", "its source has the tag skip_sync now")
    stage.world.delete(stage.here, "/p/a")
    assert result(stage.carry_out(plan)) == ("stale", "its source is gone")


@pytest.mark.parametrize("planned", [retagged, adopted])
def test_a_lost_answer_is_repeated(planned: Callable[[], tuple[Stage, Plan]]) -> None:
    for done in (True, False):
        stage, plan = planned()
        stage.world.traffic.forget()
        stage.world.faults = at_call("AddTagsToResource", lost(done=done), nth=1)
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert counted(stage.plan()) == {"in_sync": 1}


def test_a_retag_adds_and_removes_what_differs_and_notes_the_record() -> None:
    stage, plan = retagged()
    assert result(stage.carry_out(plan)) == ("applied", "")
    assert (stage.plain_tags("/p/a"), stage.version("/p/a")) == ({"team": "b"}, 1)
    assert counted(stage.plan()) == {"in_sync": 1}


def test_an_adoption_records_that_it_was_one() -> None:
    stage, plan = adopted()
    assert result(stage.carry_out(plan)) == ("applied", "")
    made = record_of(stage.world.tags(stage.there, "/p/a") or {})
    assert made is not None
    assert (made.origin, made.version) == (Origin.ADOPTED, 1)
    assert counted(stage.plan()) == {"in_sync": 1}


def test_an_adoption_is_stale_when_another_client_adopted_it_first() -> None:
    stage, plan = adopted()
    stage.carry_out(plan)
    before = stage.world.state()
    assert result(stage.carry_out(plan)) == ("stale", "its ownership has changed since the plan: it is ours")
    assert stage.world.state() == before


def test_a_record_stays_true_when_tags_move_the_date_and_time_passes() -> None:
    """AWS does not document whether tags move LastModifiedDate; plans come to rest either way."""
    for moves in Moves:
        stage = Stage(facts=AwsBehaviour(tags_move_modified=moves))
        stage.world.put(stage.here, "/p/a", "v", tags={"t": "1"})
        stage.world.put(stage.here, "/p/b", "v", tags={"t": "1"})
        stage.world.put(stage.there, "/p/b", "v", tags={"t": "1"})
        stage.pass_time(days=30)
        assert stage.apply().summary["applied"] == 2
        stage.pass_time(days=7)
        assert counted(stage.plan()) == {"in_sync": 2}
        stage.world.tag(stage.here, "/p/a", {"t": "2"})
        stage.world.tag(stage.here, "/p/b", {"t": "2"})
        stage.apply()
        stage.pass_time(days=7)
        assert counted(stage.plan()) == {"in_sync": 2}


class TestRoom:
    def at_the_limit(self, shared: int) -> tuple[Stage, Plan]:
        """A replica with 48 tags and ours, of which all but `shared` are to be exchanged."""
        stage = Stage()
        old = {f"t{i:02}": "x" for i in range(48)}
        stage.replicate("/p/a", "v", tags=old)
        stage.world.untag(stage.here, "/p/a", *sorted(old)[shared:])
        stage.world.tag(stage.here, "/p/a", {f"n{i:02}": "x" for i in range(48 - shared)})
        return stage, stage.plan()

    @pytest.mark.parametrize("shared", [0, 30, 47])
    def test_tags_are_rechanged_before_others_are_added_where_the_sum_would_pass_fifty(
        self, shared: int
    ) -> None:
        stage, plan = self.at_the_limit(shared)
        stage.world.traffic.forget()
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert [call.operation for call in stage.world.traffic.writes()] == [
            "RemoveTagsFromResource",
            "AddTagsToResource",
        ]
        assert len(stage.world.tags(stage.there, "/p/a") or {}) == 50
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_tags_are_added_first_where_there_is_room(self) -> None:
        stage, plan = retagged()
        stage.world.traffic.forget()
        stage.carry_out(plan)
        assert [call.operation for call in stage.world.traffic.writes()] == [
            "AddTagsToResource",
            "RemoveTagsFromResource",
        ]

    def test_tags_of_aws_take_no_room(self) -> None:
        stage = Stage()
        old = {f"t{i:02}": "x" for i in range(47)}
        stage.replicate("/p/a", "v", tags=old)
        stage.world.tag(stage.there, "/p/a", {"aws:a": "1", "aws:b": "1"})
        stage.world.untag(stage.here, "/p/a", "t00")
        stage.world.tag(stage.here, "/p/a", {"n": "1"})
        plan = stage.plan()
        stage.world.traffic.forget()
        stage.carry_out(plan)
        assert [call.operation for call in stage.world.traffic.writes()] == [
            "AddTagsToResource",
            "RemoveTagsFromResource",
        ]


def test_a_tag_that_is_gone_already_is_not_rechanged_again() -> None:
    stage, plan = retagged()
    stage.world.untag(stage.there, "/p/a", "old")
    stage.world.traffic.forget()
    assert result(stage.carry_out(plan)) == ("applied", "")
    assert stage.world.traffic.count("RemoveTagsFromResource") == 0


def test_a_source_tag_that_is_not_true_any_more_goes() -> None:
    stage = Stage()
    stage.replicate()
    stage.world.tag(stage.there, "/p/a", {SOURCE: "/p/forged"})
    assert stage.apply().summary["applied"] == 1
    assert SOURCE not in (stage.world.tags(stage.there, "/p/a") or {})


class TestRelease:
    def test_it_takes_our_tags_and_leaves_everything_else(self) -> None:
        stage, plan = released()
        before = stage.live("/p/a")
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert stage.world.tags(stage.there, "/p/a") == {}
        assert (stage.live("/p/a"), stage.value("/p/a")) == (before, "v")
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_it_is_withheld_when_the_source_exists_after_all(self) -> None:
        stage, plan = released()
        stage.world.put(stage.here, "/p/a", "back")
        assert result(stage.carry_out(plan)) == ("withheld", "its source exists")
        assert {OWNER, RECORD} <= set(stage.world.tags(stage.there, "/p/a") or {})

    def test_it_is_withheld_when_no_read_succeeds_whether_the_source_exists(self) -> None:
        stage, plan = released()
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("GetParameters", stage.here) else None
        )
        state, error = result(stage.carry_out(plan))
        assert state == "withheld"
        assert "could not be confirmed (AccessDeniedException)" in error


def test_a_retag_whose_removal_fails_says_so_and_the_next_run_completes_it() -> None:
    stage, plan = retagged()
    stage.world.faults = at_call("RemoveTagsFromResource", refused(Trouble.DENIED))
    assert result(stage.carry_out(plan)) == ("failed", "RemoveTagsFromResource: AccessDeniedException")
    stage.world.faults = None
    assert counted(stage.plan(Run())) == {"retag": 1}
    assert stage.apply().summary["applied"] == 1
    assert counted(stage.plan()) == {"in_sync": 1}
