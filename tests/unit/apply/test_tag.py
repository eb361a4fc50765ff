"""Adopts, retags and releases: no new version, and no tags on a parameter that has changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_reconcile.apply.tag import send_tags
from ssm_reconcile.errors import Trouble
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER, RECORD, SOURCE, Origin, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.spec import DeleteMode, Run
from tests.builders import counted, outcome, replication
from tests.fake_aws.behaviour import AwsBehaviour, Moves
from tests.fake_aws.traffic import AWAIT_TURN, at_call, lost, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.apply.context import work

Act = Callable[[SimulatedAws], object]


def retagged() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v", tags={"old": "1", "team": "a"})
    aws.world.untag(aws.here, "/p/a", "old")
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    aws.pass_time()
    plan = aws.plan()
    assert counted(plan) == {"retag": 1}
    return aws, plan


def adopted() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.world.put(aws.there, "/p/a", "v", tags={"team": "a"})
    aws.pass_time()
    plan = aws.plan()
    assert counted(plan) == {"adopt": 1}
    return aws, plan


def released() -> tuple[SimulatedAws, Plan]:
    aws = SimulatedAws(replication(delete=DeleteMode.CREATED))
    aws.world.put(aws.there, "/p/a", "v")
    aws.replicate("/p/a", "v")
    aws.replicate("/p/b")
    aws.delete("/p/a")
    aws.pass_time()
    plan = aws.plan()
    assert counted(plan) == {"retag": 1, "in_sync": 1}
    return aws, plan


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
    planned: Callable[[], tuple[SimulatedAws, Plan]], act: Act, message: str
) -> None:
    aws, plan = planned()
    act(aws)
    before = aws.world.state()
    assert result(aws.carry_out(plan)) == ("stale", message)
    assert aws.world.state() == before


@pytest.mark.parametrize("planned", [retagged, adopted, released])
def test_the_last_look_comes_after_the_wait_for_a_turn(
    planned: Callable[[], tuple[SimulatedAws, Plan]],
) -> None:
    aws, plan = planned()
    tags = aws.world.tags(aws.there, "/p/a")
    aws.world.before(AWAIT_TURN, lambda: aws.world.put(aws.there, "/p/a", "hand"), name="tags")
    assert result(aws.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
    assert aws.world.tags(aws.there, "/p/a") == tags


@pytest.mark.parametrize("moves", list(Moves))
@pytest.mark.parametrize("planned", [retagged, adopted])
def test_a_second_try_does_not_stumble_over_our_own_first(
    planned: Callable[[], tuple[SimulatedAws, Plan]], moves: Moves
) -> None:
    aws, plan = planned()
    aws.world.region(aws.there).readings = AwsBehaviour(tags_move_modified=moves)
    aws.world.traffic.forget()
    aws.world.faults = at_call("AddTagsToResource", lost(done=True), nth=1)
    assert result(aws.carry_out(plan)) == ("applied", "")


@pytest.mark.parametrize("planned", [retagged, adopted])
def test_nothing_is_tagged_for_a_source_that_is_gone_or_skipped(
    planned: Callable[[], tuple[SimulatedAws, Plan]],
) -> None:
    aws, plan = planned()
    aws.world.tag(aws.here, "/p/a", {"skip_sync": ""})
    assert result(aws.carry_out(plan)) == ("stale", "its source has the tag skip_sync now")
    aws.delete("/p/a")
    assert result(aws.carry_out(plan)) == ("stale", "its source is gone")


@pytest.mark.parametrize("planned", [retagged, adopted])
def test_a_lost_answer_is_repeated(planned: Callable[[], tuple[SimulatedAws, Plan]]) -> None:
    for done in (True, False):
        aws, plan = planned()
        aws.world.traffic.forget()
        aws.world.faults = at_call("AddTagsToResource", lost(done=done), nth=1)
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert counted(aws.plan()) == {"in_sync": 1}


def test_a_retag_adds_and_removes_what_differs_and_notes_the_record() -> None:
    aws, plan = retagged()
    assert result(aws.carry_out(plan)) == ("applied", "")
    assert (aws.plain_tags("/p/a"), aws.version("/p/a")) == ({"team": "b"}, 1)
    assert counted(aws.plan()) == {"in_sync": 1}


def test_an_adoption_records_that_it_was_one() -> None:
    aws, plan = adopted()
    assert result(aws.carry_out(plan)) == ("applied", "")
    made = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert made is not None
    assert (made.origin, made.version) == (Origin.ADOPTED, 1)
    assert counted(aws.plan()) == {"in_sync": 1}


def test_an_adoption_is_stale_when_another_client_adopted_it_first() -> None:
    aws, plan = adopted()
    aws.carry_out(plan)
    before = aws.world.state()
    assert result(aws.carry_out(plan)) == ("stale", "its ownership has changed since the plan: it is ours")
    assert aws.world.state() == before


def test_a_record_stays_true_when_tags_move_the_date_and_time_passes() -> None:
    """AWS does not document whether tags move LastModifiedDate; plans come to rest either way."""
    for moves in Moves:
        aws = SimulatedAws(behaviour=AwsBehaviour(tags_move_modified=moves))
        aws.put("/p/a", "v", tags={"t": "1"})
        aws.put("/p/b", "v", tags={"t": "1"})
        aws.world.put(aws.there, "/p/b", "v", tags={"t": "1"})
        aws.pass_time(days=30)
        assert aws.apply().summary["applied"] == 2
        aws.pass_time(days=7)
        assert counted(aws.plan()) == {"in_sync": 2}
        aws.world.tag(aws.here, "/p/a", {"t": "2"})
        aws.world.tag(aws.here, "/p/b", {"t": "2"})
        aws.apply()
        aws.pass_time(days=7)
        assert counted(aws.plan()) == {"in_sync": 2}


class TestRoom:
    def at_the_limit(self, shared: int) -> tuple[SimulatedAws, Plan]:
        """A replica with 48 tags and ours, of which all but `shared` are to be exchanged."""
        aws = SimulatedAws()
        old = {f"t{i:02}": "x" for i in range(48)}
        aws.replicate("/p/a", "v", tags=old)
        aws.world.untag(aws.here, "/p/a", *sorted(old)[shared:])
        aws.world.tag(aws.here, "/p/a", {f"n{i:02}": "x" for i in range(48 - shared)})
        return aws, aws.plan()

    @pytest.mark.parametrize("shared", [0, 30, 47])
    def test_tags_are_rechanged_before_others_are_added_where_the_sum_would_pass_fifty(
        self, shared: int
    ) -> None:
        aws, plan = self.at_the_limit(shared)
        aws.world.traffic.forget()
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert [call.operation for call in aws.world.traffic.writes()] == [
            "RemoveTagsFromResource",
            "AddTagsToResource",
        ]
        assert len(aws.world.tags(aws.there, "/p/a") or {}) == 50
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_tags_are_added_first_where_there_is_room(self) -> None:
        aws, plan = retagged()
        aws.world.traffic.forget()
        aws.carry_out(plan)
        assert [call.operation for call in aws.world.traffic.writes()] == [
            "AddTagsToResource",
            "RemoveTagsFromResource",
        ]

    def test_tags_of_aws_take_no_room(self) -> None:
        aws = SimulatedAws()
        aws.replicate("/p/a", "v")
        (change,) = retagged()[1].changes
        aws.world.traffic.forget()
        live = {f"t{i:02}": "x" for i in range(49)} | {"aws:a": "1", "aws:b": "1"}
        send_tags(work(aws), change, {"n": "1"}, ["t00"], live)
        assert [call.operation for call in aws.world.traffic.writes()] == [
            "AddTagsToResource",
            "RemoveTagsFromResource",
        ]


def test_a_tag_that_is_gone_already_is_not_rechanged_again() -> None:
    aws, plan = retagged()
    aws.world.untag(aws.there, "/p/a", "old")
    aws.world.traffic.forget()
    assert result(aws.carry_out(plan)) == ("applied", "")
    assert aws.world.traffic.count("RemoveTagsFromResource") == 0


def test_a_source_tag_that_is_not_true_any_more_goes() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.world.tag(aws.there, "/p/a", {SOURCE: "/p/forged"})
    assert aws.apply().summary["applied"] == 1
    assert SOURCE not in (aws.world.tags(aws.there, "/p/a") or {})


class TestRelease:
    def test_it_takes_our_tags_and_leaves_everything_else(self) -> None:
        aws, plan = released()
        before = aws.live("/p/a")
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert aws.world.tags(aws.there, "/p/a") == {}
        assert (aws.live("/p/a"), aws.value("/p/a")) == (before, "v")
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_it_is_withheld_when_the_source_exists_after_all(self) -> None:
        aws, plan = released()
        aws.put("/p/a", "back")
        assert result(aws.carry_out(plan)) == ("withheld", "its source exists")
        assert {OWNER, RECORD} <= set(aws.world.tags(aws.there, "/p/a") or {})

    def test_it_is_withheld_when_no_read_succeeds_whether_the_source_exists(self) -> None:
        aws, plan = released()
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.DENIED) if (operation, place) == ("GetParameters", aws.here) else None
        )
        state, error = result(aws.carry_out(plan))
        assert state == "withheld"
        assert "could not be confirmed (AccessDeniedException)" in error


def test_a_retag_whose_removal_fails_says_so_and_the_next_run_completes_it() -> None:
    aws, plan = retagged()
    aws.world.faults = at_call("RemoveTagsFromResource", refused(Trouble.DENIED))
    assert result(aws.carry_out(plan)) == ("failed", "RemoveTagsFromResource: AccessDeniedException")
    aws.world.faults = None
    assert counted(aws.plan(run=Run())) == {"retag": 1}
    assert aws.apply().summary["applied"] == 1
    assert counted(aws.plan()) == {"in_sync": 1}
