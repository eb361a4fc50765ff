"""Creates and updates: every race right before them, lost answers, and what their versions tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import IMAGE, SECURE, Place, canonical
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER, RECORD, Origin, compose_own, record_of
from ssm_reconcile.report import Report, Result
from ssm_reconcile.spec import AdoptMode, Run
from tests.builders import Stage, counted, outcome, record
from tests.fake_aws.behaviour import AwsBehaviour, InPlace
from tests.fake_aws.traffic import AWAIT_TURN, Fault, at_call, lost, refused
from tests.fake_aws.world import Lag

Act = Callable[[Stage], object]


def created() -> tuple[Stage, Plan]:
    """A stage on which one create is planned."""
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "new", tags={"team": "a"})
    stage.pass_time()
    return stage, stage.plan()


def updated() -> tuple[Stage, Plan]:
    """A stage on which one update is planned, from version 1 to 2."""
    stage = Stage()
    stage.replicate("/p/a", "old", tags={"team": "a"})
    stage.world.put(stage.here, "/p/a", "new")
    stage.pass_time()
    return stage, stage.plan()


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


def is_ours(stage: Stage, version: int, origin: Origin = Origin.CREATED) -> bool:
    tags = stage.world.tags(stage.there, "/p/a") or {}
    made = record_of(tags)
    return (
        tags.get(OWNER) == "prod@123456789012/us-east-1"
        and made is not None
        and made.is_for(stage.there.arn("/p/a"))
        and (made.version, made.origin) == (version, origin)
    )


class TestCreate:
    def test_it_writes_value_and_tags_in_one_call_without_overwrite(self) -> None:
        stage, plan = created()
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert (stage.value("/p/a"), stage.plain_tags("/p/a")) == ("new", {"team": "a"})
        assert is_ours(stage, 1)
        assert len(stage.world.traffic.writes()) == 1

    @pytest.mark.parametrize("moment", ["now", "PutParameter", AWAIT_TURN])
    def test_a_name_that_was_taken_meanwhile_is_not_touched(self, moment: str) -> None:
        stage, plan = created()

        def take() -> None:
            stage.world.put(stage.there, "/p/a", "theirs", tags={"mine": "1"})

        take() if moment == "now" else stage.world.before(moment, take)
        assert result(stage.carry_out(plan)) == (
            "stale",
            "a parameter with this name was created since the plan",
        )
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("theirs", 1)
        assert stage.world.tags(stage.there, "/p/a") == {"mine": "1"}

    @pytest.mark.parametrize(
        ("act", "message"),
        [
            (lambda s: s.world.delete(s.here, "/p/a"), "its source is gone"),
            (
                lambda s: s.world.tag(s.here, "/p/a", {"skip_sync": ""}),
                "its source has the tag skip_sync now",
            ),
        ],
    )
    def test_it_is_stale_when_its_source_is_not_to_be_replicated_any_more(
        self, act: Act, message: str
    ) -> None:
        stage, plan = created()
        act(stage)
        assert result(stage.carry_out(plan)) == ("stale", message)
        assert stage.value("/p/a") is None
        assert not stage.world.traffic.writes()

    def test_it_is_stale_when_its_source_became_a_replica(self) -> None:
        stage, plan = created()
        tags = {
            OWNER: "up@123456789012/eu-west-1",
            RECORD: record(own=compose_own(stage.here.arn("/p/a"), "String", None)).text(),
        }
        stage.world.tag(stage.here, "/p/a", tags)
        assert result(stage.carry_out(plan)) == ("stale", "its source is a replica now")

    def test_it_is_stale_when_its_source_was_created_again_at_the_same_version(self) -> None:
        stage, plan = created()
        stage.world.delete(stage.here, "/p/a")
        stage.pass_time()
        stage.world.put(stage.here, "/p/a", "another")
        assert result(stage.carry_out(plan))[0] == "stale"
        assert "created again" in result(stage.carry_out(plan))[1]
        assert stage.value("/p/a") is None

    def test_it_writes_the_version_that_was_approved_though_the_source_has_a_newer_version(self) -> None:
        stage, plan = created()
        stage.world.put(stage.here, "/p/a", "newer")
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert stage.value("/p/a") == "new"
        assert counted(stage.plan()) == {"update": 1}

    def test_it_is_stale_when_that_version_is_gone(self) -> None:
        stage, plan = created()
        for i in range(100):
            stage.world.put(stage.here, "/p/a", f"v{i}")
        assert result(stage.carry_out(plan)) == ("stale", "version 1 of its source is gone")

    def test_a_value_that_has_become_a_secret_is_never_written_as_plain_text(self) -> None:
        """The listing still shows a String, the value that is read is a SecureString's already."""
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "plain")
        stage.pass_time(days=1)
        stage.world.lag = Lag(describe=timedelta(hours=6))
        stage.world.put(stage.here, "/p/a", "hunter2", SECURE)
        plan = stage.plan()
        assert counted(plan) == {"create": 1}
        assert result(stage.carry_out(plan)) == (
            "stale",
            "its source is a SecureString now, and the plan saw a String",
        )
        assert stage.value("/p/a") is None
        assert "hunter2" not in repr(plan)

    @pytest.mark.parametrize("operation", ["ListTagsForResource", "GetParameters"])
    def test_it_fails_when_the_source_cannot_be_read(self, operation: str) -> None:
        stage, plan = created()
        stage.world.faults = at_call(operation, refused(Trouble.DENIED))
        state, error = result(stage.carry_out(plan))
        assert state == "failed"
        assert error.startswith(f"{operation}: AccessDeniedException")
        assert stage.value("/p/a") is None

    def test_the_source_is_read_once_a_name_for_all_targets(self) -> None:
        stage = Stage()
        aims = stage.spec.targets
        more = replace(aims[0], name="eu", access=replace(aims[0].access, region="eu-west-1"))
        stage.spec = replace(stage.spec, targets=(*aims, more))
        stage.world.put(stage.here, "/p/a", "v")
        plan = stage.plan()
        stage.world.traffic.forget()
        assert stage.carry_out(plan).summary["applied"] == 2
        assert stage.world.traffic.count("ListTagsForResource") == 1


class TestLostAnswerOfACreate:
    @pytest.mark.parametrize("done", [True, False])
    def test_it_reads_first_and_is_applied_either_way(self, *, done: bool) -> None:
        stage, plan = created()
        stage.world.faults = at_call("PutParameter", lost(done=done), nth=1)
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 1)
        assert is_ours(stage, 1)
        assert stage.world.traffic.count("PutParameter") == (1 if done else 2)

    def test_a_create_by_another_client_is_not_taken_for_ours(self) -> None:
        stage, plan = created()
        stage.world.before("PutParameter", lambda: stage.world.put(stage.there, "/p/a", "new"))
        stage.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(stage.carry_out(plan)) == (
            "stale",
            "a parameter with this name was created since the plan",
        )
        assert stage.world.tags(stage.there, "/p/a") == {}

    def test_a_create_of_ours_that_shows_only_later_is_still_ours(self) -> None:
        stage, plan = created()
        stage.world.traffic.forget()

        def late(operation: str, place: Place, _names: tuple[str, ...], nth: int) -> Fault | None:
            if operation == "PutParameter" and nth == 1:
                return lost(done=True)
            first_look = (operation, place, nth) == ("ListTagsForResource", stage.there, 1)
            return refused(Trouble.MISSING) if first_look else None

        stage.world.faults = late
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert stage.world.traffic.count("PutParameter") == 2
        assert is_ours(stage, 1)

    def test_it_fails_when_no_read_succeeds(self) -> None:
        stage, plan = created()
        stage.world.faults = lambda operation, place, _names, _nth: (
            lost(done=True)
            if operation == "PutParameter"
            else refused(Trouble.DENIED)
            if (operation, place) == ("ListTagsForResource", stage.there)
            else None
        )
        state, error = result(stage.carry_out(plan))
        assert state == "failed"
        assert "the result could not be verified" in error
        stage.world.faults = None
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_it_gives_up_after_a_number_of_tries(self) -> None:
        stage, plan = created()
        stage.world.faults = at_call("PutParameter", lost(done=False))
        assert result(stage.carry_out(plan))[0] == "failed"
        assert stage.world.traffic.count("PutParameter") == 6


class TestThrottling:
    @pytest.mark.parametrize("code", ["ThrottlingException", "TooManyUpdates"])
    def test_a_clean_refusal_is_tried_again(self, code: str) -> None:
        stage, plan = created()
        stage.world.faults = lambda operation, _place, _names, nth: (
            refused(Trouble.THROTTLED, code) if operation == "PutParameter" and nth <= 5 else None
        )
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert stage.world.traffic.count("PutParameter") == 6

    def test_it_gives_up_in_the_end_and_names_operation_and_code(self) -> None:
        stage, plan = created()
        stage.world.faults = at_call("PutParameter", refused(Trouble.THROTTLED, "TooManyUpdates"))
        state, error = result(stage.carry_out(plan))
        assert (state, error.startswith("PutParameter: TooManyUpdates")) == ("failed", True)
        assert stage.world.traffic.count("PutParameter") == 12

    def test_a_final_refusal_is_not_tried_again(self) -> None:
        stage, plan = created()
        stage.world.faults = at_call(
            "PutParameter", refused(Trouble.REFUSED, "ParameterPatternMismatchException")
        )
        assert result(stage.carry_out(plan)) == ("failed", "PutParameter: ParameterPatternMismatchException")
        assert stage.world.traffic.count("PutParameter") == 1

    def test_an_update_is_checked_again_before_every_try(self) -> None:
        stage, plan = updated()
        stage.world.traffic.forget()
        stage.world.faults = at_call("PutParameter", refused(Trouble.THROTTLED), nth=1)
        stage.world.before("PutParameter", lambda: stage.world.put(stage.there, "/p/a", "hand"))
        assert result(stage.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
        assert stage.value("/p/a") == "hand"


class TestUpdate:
    def test_it_writes_a_version_and_then_the_record_of_it(self) -> None:
        stage, plan = updated()
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 2)
        assert is_ours(stage, 2)
        assert [call.operation for call in stage.world.traffic.writes()][-2:] == [
            "PutParameter",
            "AddTagsToResource",
        ]

    def test_the_turn_is_awaited_before_the_last_look_not_after_it(self) -> None:
        stage, plan = updated()
        stage.world.before(AWAIT_TURN, lambda: stage.world.put(stage.there, "/p/a", "hand"), name="put")
        assert result(stage.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("hand", 2)

    @pytest.mark.parametrize(
        ("act", "message"),
        [
            (
                lambda s: s.world.put(s.there, "/p/a", "hand"),
                "it is at version 2, and the plan saw version 1",
            ),
            (lambda s: s.world.delete(s.there, "/p/a"), "it is gone"),
            (
                lambda s: s.world.untag(s.there, "/p/a", OWNER),
                "its ownership has changed since the plan: it is free",
            ),
            (
                lambda s: s.world.tag(s.there, "/p/a", {OWNER: "detached:x"}),
                "its ownership has changed since the plan: it is detached",
            ),
            (
                lambda s: s.world.tag(s.there, "/p/a", {OWNER: "staging@123456789012/us-east-1"}),
                "its ownership has changed since the plan: it is foreign",
            ),
            (
                lambda s: s.world.tag(s.there, "/p/a", {"skip_sync": ""}),
                "it has the tag skip_sync itself now",
            ),
            (
                lambda s: s.world.tag(s.here, "/p/a", {"skip_sync": ""}),
                "its source has the tag skip_sync now",
            ),
            (lambda s: s.world.delete(s.here, "/p/a"), "its source is gone"),
        ],
    )
    def test_it_is_stale_when_something_has_changed_and_nothing_is_written(
        self, act: Act, message: str
    ) -> None:
        stage, plan = updated()
        act(stage)
        before = stage.world.state()
        stage.world.traffic.forget()
        assert result(stage.carry_out(plan)) == ("stale", message)
        assert stage.world.state() == before
        assert not stage.world.traffic.writes()

    def test_it_is_stale_when_it_was_created_again_at_the_same_version(self) -> None:
        stage, plan = updated()
        tags = stage.world.tags(stage.there, "/p/a")
        stage.world.delete(stage.there, "/p/a")
        stage.pass_time()
        stage.world.put(stage.there, "/p/a", "hand", tags=tags)
        assert result(stage.carry_out(plan))[0] == "stale"
        assert stage.value("/p/a") == "hand"

    @pytest.mark.parametrize("operation", ["ListTagsForResource", "GetParameters"])
    def test_it_fails_when_the_replica_cannot_be_read(self, operation: str) -> None:
        stage, plan = updated()
        stage.world.faults = lambda called, place, _names, _nth: (
            refused(Trouble.DENIED) if (called, place) == (operation, stage.there) else None
        )
        assert result(stage.carry_out(plan))[0] == "failed"
        assert stage.value("/p/a") == "old"

    def test_a_write_within_the_last_milliseconds_is_reported(self) -> None:
        stage, plan = updated()
        stage.world.before("PutParameter", lambda: stage.world.put(stage.there, "/p/a", "hand"))
        report = stage.carry_out(plan)
        assert outcome(report).note == "version 2 of another client was overwritten"
        assert result(report)[0] == "applied"
        (finding,) = report.findings
        assert (finding.code, finding.where) == ("version-overwritten", "us-east-2 /p/a")
        assert is_ours(stage, 3)
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_a_delete_within_the_last_milliseconds_makes_a_new_replica_with_all_its_tags(self) -> None:
        stage, plan = updated()

        def vanish() -> None:
            stage.world.delete(stage.there, "/p/a")
            stage.clock.advance(timedelta(seconds=31))

        stage.world.before("PutParameter", vanish)
        report = stage.carry_out(plan)
        assert outcome(report).note == "created again: it was deleted right before the write"
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 1)
        assert stage.plain_tags("/p/a") == {"team": "a"}
        assert is_ours(stage, 1)
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_when_only_the_tags_fail_it_says_that_the_value_was_written(self) -> None:
        stage, plan = updated()
        stage.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
        state, error = result(stage.carry_out(plan))
        assert state == "failed"
        assert "its value was written and its tags were not" in error
        stage.world.faults = None
        assert counted(stage.plan()) == {"retag": 1}

    def test_no_value_is_in_any_error(self) -> None:
        stage, plan = updated()
        stage.world.faults = at_call("PutParameter", refused(Trouble.REFUSED))
        report = stage.carry_out(plan)
        assert "new" not in outcome(report).error.split()
        assert "old" not in outcome(report).error.split()


class TestLostAnswerOfAnUpdate:
    @pytest.mark.parametrize("done", [True, False])
    def test_it_reads_first_and_is_applied_once(self, *, done: bool) -> None:
        stage, plan = updated()
        stage.world.traffic.forget()
        stage.world.faults = at_call("PutParameter", lost(done=done), nth=1)
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 2)
        assert stage.world.traffic.count("PutParameter") == (1 if done else 2)
        assert is_ours(stage, 2)

    def test_a_version_of_another_client_is_not_taken_for_ours(self) -> None:
        stage, plan = updated()
        stage.world.traffic.forget()
        stage.world.before("PutParameter", lambda: stage.world.put(stage.there, "/p/a", "hand"))
        stage.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(stage.carry_out(plan)) == (
            "stale",
            "it is at version 2, written by another client",
        )
        assert stage.value("/p/a") == "hand"

    def test_a_replica_that_vanished_is_stale(self) -> None:
        stage, plan = updated()
        stage.world.traffic.forget()
        stage.world.before("PutParameter", lambda: stage.world.delete(stage.there, "/p/a"))
        stage.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(stage.carry_out(plan)) == ("stale", "it is gone")


class TestTakeOver:
    def taken(self, run: Run) -> tuple[Stage, Plan]:
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "new")
        stage.world.put(stage.there, "/p/a", "old")
        stage.pass_time()
        return stage, stage.plan(run)

    RUN = Run(adopt=AdoptMode.OVERWRITE)

    def test_it_becomes_ours_as_adopted(self) -> None:
        stage, plan = self.taken(self.RUN)
        assert result(stage.carry_out(plan, self.RUN)) == ("applied", "")
        assert is_ours(stage, 2, Origin.ADOPTED)

    @pytest.mark.parametrize(
        ("tags", "found"),
        [
            ({"aws:cloudformation:stack-id": "s"}, "cloudformation"),
            ({OWNER: "detached:x"}, "detached"),
        ],
    )
    def test_it_is_stale_when_another_client_took_it_first(self, tags: dict[str, str], found: str) -> None:
        stage, plan = self.taken(self.RUN)
        stage.world.tag(stage.there, "/p/a", tags)
        assert result(stage.carry_out(plan, self.RUN)) == (
            "stale",
            f"its ownership has changed since the plan: it is {found}",
        )
        assert stage.value("/p/a") == "old"

    def test_by_tags_alone_it_is_stale_when_the_version_changed(self) -> None:
        stage = Stage()
        run = Run(adopt=AdoptMode.SAME_VALUE)
        stage.world.put(stage.here, "/p/a", "v", tags={"t": "1"})
        stage.world.put(stage.there, "/p/a", "v")
        plan = stage.plan(run)
        stage.world.put(stage.there, "/p/a", "other")
        assert result(stage.carry_out(plan, run))[0] == "stale"
        assert stage.world.tags(stage.there, "/p/a") == {}


class TestTypeChange:
    REFUSING = AwsBehaviour(type_change=InPlace.REFUSED)

    def planned(self, run: Run | None = None) -> tuple[Stage, Plan]:
        stage = Stage()
        stage.replicate("/p/a", "old", tags={"team": "a"})
        stage.world.put(stage.here, "/p/a", "new", SECURE)
        stage.world.region(stage.there).readings = self.REFUSING
        stage.pass_time()
        return stage, stage.plan(run)

    def test_it_is_withheld_when_aws_refuses_it_in_place(self) -> None:
        stage, plan = self.planned()
        report = stage.carry_out(plan)
        state, error = result(report)
        assert state == "withheld"
        assert "only with --allow-replace" in error
        assert "HierarchyTypeMismatchException" in error
        assert (stage.value("/p/a"), report.exit_code) == ("old", 5)

    def test_it_is_replaced_where_that_is_allowed(self) -> None:
        run = Run(allow_replace=True)
        stage, plan = self.planned(run)
        assert result(stage.carry_out(plan, run)) == ("applied", "")
        assert (stage.live("/p/a").type, stage.value("/p/a"), stage.version("/p/a")) == (SECURE, "new", 1)
        assert stage.plain_tags("/p/a") == {"team": "a"}
        assert counted(stage.plan()) == {"in_sync": 1}

    def test_a_parameter_without_ownership_is_never_replaced(self) -> None:
        run = Run(allow_replace=True, adopt=AdoptMode.OVERWRITE)
        stage = Stage()
        stage.world.put(stage.here, "/p/a", "new", SECURE)
        stage.world.put(stage.there, "/p/a", "theirs")
        stage.world.region(stage.there).readings = self.REFUSING
        plan = stage.plan(run)
        assert counted(plan) == {"update": 1}
        state, error = result(stage.carry_out(plan, run))
        assert (state, "--allow-replace" in error) == ("withheld", False)  # it would change nothing
        assert "a parameter that is not a replica is never replaced" in error
        assert stage.value("/p/a") == "theirs"


class TestUnproven:
    RUN = Run(no_decrypt=True)

    def planned(self, value: str, description: str = "") -> tuple[Stage, Plan]:
        stage = Stage()
        stage.replicate("/p/a", "old", SECURE)
        stage.world.put(stage.here, "/p/a", value, SECURE, description=description)
        stage.pass_time()
        return stage, stage.plan(self.RUN)

    def test_an_equal_value_is_only_tagged(self) -> None:
        stage, plan = self.planned("old")
        assert outcome(stage.carry_out(plan, self.RUN)).note == "its value was equal: only tags were written"
        assert stage.version("/p/a") == 1
        assert counted(stage.plan(self.RUN)) == {"in_sync": 1}

    def test_an_equal_value_with_another_attribute_is_written(self) -> None:
        stage, plan = self.planned("old", description="d")
        assert result(stage.carry_out(plan, self.RUN)) == ("applied", "")
        assert (stage.version("/p/a"), stage.live("/p/a").description) == (2, "d")

    def test_it_is_stale_when_the_replica_changed(self) -> None:
        stage, plan = self.planned("old")
        stage.world.put(stage.there, "/p/a", "hand", SECURE)
        assert result(stage.carry_out(plan, self.RUN))[0] == "stale"
        assert stage.value("/p/a") == "hand"

    @pytest.mark.parametrize("gone", ["before it is looked at", "between the look and the comparison"])
    def test_it_is_stale_when_the_replica_is_gone(self, gone: str) -> None:
        stage, plan = self.planned("new")
        if gone == "before it is looked at":
            stage.world.delete(stage.there, "/p/a")

        def delete(operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> None:
            if (operation, place) == ("GetParameters", stage.there):
                stage.world.delete(stage.there, "/p/a")

        stage.world.faults = delete
        assert result(stage.carry_out(plan, self.RUN)) == ("stale", "it is gone")
        assert stage.world.names(stage.there) == []

    def test_it_fails_when_the_replica_cannot_be_compared(self) -> None:
        stage, plan = self.planned("new")
        stage.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.KEY) if (operation, place) == ("GetParameters", stage.there) else None
        )
        assert result(stage.carry_out(plan, self.RUN))[0] == "failed"
        assert stage.value("/p/a") == "old"


class TestImages:
    def planned(self, image: str) -> tuple[Stage, Plan]:
        stage = Stage()
        stage.world.region(stage.there).images = frozenset({"ami-1"})
        stage.world.put(stage.here, "/p/a", image, data_type=IMAGE)
        stage.pass_time()
        return stage, stage.plan()

    def test_one_that_aws_keeps_is_applied(self) -> None:
        stage, plan = self.planned("ami-1")
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert sum(stage.clock.slept) == 0

    def test_one_that_aws_drops_in_silence_has_failed(self) -> None:
        stage, plan = self.planned("ami-2")
        report = stage.carry_out(plan)
        state, error = result(report)
        assert state == "failed"
        assert "the AMI id is not valid in us-east-2" in error
        assert 300 <= sum(stage.clock.slept) <= 320
        assert [one.name for one in report.remaining] == ["/p/a"]

    def test_one_that_shows_later_is_waited_for(self) -> None:
        stage, plan = self.planned("ami-1")
        stage.world.lag = Lag(values=timedelta(seconds=45))
        assert result(stage.carry_out(plan)) == ("applied", "")
        assert 40 <= sum(stage.clock.slept) <= 60

    def test_a_stop_while_waiting_does_not_call_it_invalid(self) -> None:
        stage, plan = self.planned("ami-2")
        stage.world.before("GetParameters", stage.stop.set, name="/p/a")
        state, error = result(stage.carry_out(plan))
        assert state == "failed"
        assert "not valid" not in error
        assert "the next run checks it" in error


def test_a_create_is_retried_when_aws_reports_a_name_that_does_not_exist_as_taken() -> None:
    """AWS may say so within the half minute after a delete (API reference, DeleteParameter)."""
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v")
    stage.pass_time()
    stage.world.faults = at_call("PutParameter", refused(Trouble.EXISTS, "ParameterAlreadyExists"), nth=1)
    (outcome,) = stage.apply().outcomes
    assert outcome.result is Result.APPLIED
    assert stage.value(canonical("/p/a")) == "v"
