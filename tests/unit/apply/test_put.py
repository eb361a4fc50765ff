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
from tests.builders import counted, outcome, record
from tests.fake_aws.behaviour import AwsBehaviour, InPlace
from tests.fake_aws.traffic import AWAIT_TURN, Fault, at_call, lost, refused
from tests.fake_aws.world import Lag
from tests.simulated_aws import SimulatedAws

Act = Callable[[SimulatedAws], object]


def created() -> tuple[SimulatedAws, Plan]:
    """An AWS on which one create is planned."""
    aws = SimulatedAws()
    aws.put("/p/a", "new", tags={"team": "a"})
    aws.pass_time()
    return aws, aws.plan()


def updated() -> tuple[SimulatedAws, Plan]:
    """An AWS on which one update is planned, from version 1 to 2."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.put("/p/a", "new")
    aws.pass_time()
    return aws, aws.plan()


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


def is_ours(aws: SimulatedAws, version: int, origin: Origin = Origin.CREATED) -> bool:
    tags = aws.world.tags(aws.there, "/p/a") or {}
    made = record_of(tags)
    return (
        tags.get(OWNER) == "prod@123456789012/us-east-1"
        and made is not None
        and made.is_for(aws.there.arn("/p/a"))
        and (made.version, made.origin) == (version, origin)
    )


class TestCreate:
    def test_it_writes_value_and_tags_in_one_call_without_overwrite(self) -> None:
        aws, plan = created()
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert (aws.value("/p/a"), aws.plain_tags("/p/a")) == ("new", {"team": "a"})
        assert is_ours(aws, 1)
        assert len(aws.world.traffic.writes()) == 1

    @pytest.mark.parametrize("moment", ["now", "PutParameter", AWAIT_TURN])
    def test_a_name_that_was_taken_meanwhile_is_not_touched(self, moment: str) -> None:
        aws, plan = created()

        def take() -> None:
            aws.world.put(aws.there, "/p/a", "theirs", tags={"mine": "1"})

        take() if moment == "now" else aws.world.before(moment, take)
        assert result(aws.carry_out(plan)) == (
            "stale",
            "a parameter with this name was created since the plan",
        )
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("theirs", 1)
        assert aws.world.tags(aws.there, "/p/a") == {"mine": "1"}

    def test_a_replica_that_another_run_created_at_the_same_time_is_stale(self) -> None:
        """Both runs have the same record; only a lost response makes it the record of this run."""
        aws, plan = created()
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert result(aws.carry_out(plan)) == (
            "stale",
            "a parameter with this name was created since the plan",
        )

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
        aws, plan = created()
        act(aws)
        assert result(aws.carry_out(plan)) == ("stale", message)
        assert aws.value("/p/a") is None
        assert not aws.world.traffic.writes()

    def test_it_is_stale_when_its_source_became_a_replica(self) -> None:
        aws, plan = created()
        tags = {
            OWNER: "up@123456789012/eu-west-1",
            RECORD: record(own=compose_own(aws.here.arn("/p/a"), "String", None)).text(),
        }
        aws.world.tag(aws.here, "/p/a", tags)
        assert result(aws.carry_out(plan)) == ("stale", "its source is a replica now")

    def test_it_is_stale_when_its_source_was_created_again_at_the_same_version(self) -> None:
        aws, plan = created()
        aws.delete("/p/a")
        aws.pass_time()
        aws.put("/p/a", "another")
        assert result(aws.carry_out(plan))[0] == "stale"
        assert "created again" in result(aws.carry_out(plan))[1]
        assert aws.value("/p/a") is None

    def test_it_writes_the_version_that_was_approved_though_the_source_has_a_newer_version(self) -> None:
        aws, plan = created()
        aws.put("/p/a", "newer")
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert aws.value("/p/a") == "new"
        assert counted(aws.plan()) == {"update": 1}

    def test_it_is_stale_when_that_version_is_gone(self) -> None:
        aws, plan = created()
        for i in range(100):
            aws.put("/p/a", f"v{i}")
        assert result(aws.carry_out(plan)) == ("stale", "version 1 of its source is gone")

    def test_a_value_that_has_become_a_secret_is_never_written_as_plain_text(self) -> None:
        """The listing still shows a String, the value that is read is a SecureString's already."""
        aws = SimulatedAws()
        aws.put("/p/a", "plain")
        aws.pass_time(days=1)
        aws.world.lag = Lag(describe=timedelta(hours=6))
        aws.put("/p/a", "hunter2", SECURE)
        plan = aws.plan()
        assert counted(plan) == {"create": 1}
        assert result(aws.carry_out(plan)) == (
            "stale",
            "its source is a SecureString now, and the plan saw a String",
        )
        assert aws.value("/p/a") is None
        assert "hunter2" not in repr(plan)

    @pytest.mark.parametrize("operation", ["ListTagsForResource", "GetParameters"])
    def test_it_fails_when_the_source_cannot_be_read(self, operation: str) -> None:
        aws, plan = created()
        aws.world.faults = at_call(operation, refused(Trouble.DENIED))
        state, error = result(aws.carry_out(plan))
        assert state == "failed"
        assert error.startswith(f"{operation}: AccessDeniedException")
        assert aws.value("/p/a") is None

    def test_the_source_is_read_once_a_name_for_all_targets(self) -> None:
        aws = SimulatedAws()
        aims = aws.spec.targets
        more = replace(aims[0], name="eu", access=replace(aims[0].access, region="eu-west-1"))
        aws.spec = replace(aws.spec, targets=(*aims, more))
        aws.put("/p/a", "v")
        plan = aws.plan()
        aws.world.traffic.forget()
        assert aws.carry_out(plan).summary["applied"] == 2
        assert aws.world.traffic.count("ListTagsForResource") == 1


@pytest.mark.parametrize("seconds", [0, 1, 5])
def test_an_update_with_a_lost_response_that_reads_show_later_is_sent_once(seconds: int) -> None:
    aws, plan = updated()
    aws.world.lag = Lag(values=timedelta(seconds=seconds))
    aws.world.traffic.forget()
    aws.world.faults = at_call("PutParameter", lost(done=True), nth=1)
    assert result(aws.carry_out(plan))[0] == "applied"
    assert aws.world.traffic.count("PutParameter") == 1


class TestLostAnswerOfACreate:
    @pytest.mark.parametrize("done", [True, False])
    def test_it_reads_first_and_is_applied_either_way(self, *, done: bool) -> None:
        aws, plan = created()
        aws.world.faults = at_call("PutParameter", lost(done=done), nth=1)
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 1)
        assert is_ours(aws, 1)
        assert aws.world.traffic.count("PutParameter") == (1 if done else 2)

    def test_a_create_by_another_client_is_not_taken_for_ours(self) -> None:
        aws, plan = created()
        aws.world.before("PutParameter", lambda: aws.world.put(aws.there, "/p/a", "new"))
        aws.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(aws.carry_out(plan)) == (
            "stale",
            "a parameter with this name was created since the plan",
        )
        assert aws.world.tags(aws.there, "/p/a") == {}

    def test_a_create_of_ours_that_shows_only_later_is_still_ours(self) -> None:
        aws, plan = created()
        aws.world.traffic.forget()

        def late(operation: str, place: Place, _names: tuple[str, ...], nth: int) -> Fault | None:
            if operation == "PutParameter" and nth == 1:
                return lost(done=True)
            first_look = (operation, place, nth) == ("ListTagsForResource", aws.there, 1)
            return refused(Trouble.MISSING) if first_look else None

        aws.world.faults = late
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert aws.world.traffic.count("PutParameter") == 2
        assert is_ours(aws, 1)

    def test_it_fails_when_no_read_succeeds(self) -> None:
        aws, plan = created()
        aws.world.faults = lambda operation, place, _names, _nth: (
            lost(done=True)
            if operation == "PutParameter"
            else refused(Trouble.DENIED)
            if (operation, place) == ("ListTagsForResource", aws.there)
            else None
        )
        state, error = result(aws.carry_out(plan))
        assert state == "failed"
        assert "the result could not be verified" in error
        aws.world.faults = None
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_it_gives_up_after_a_number_of_tries(self) -> None:
        aws, plan = created()
        aws.world.faults = at_call("PutParameter", lost(done=False))
        assert result(aws.carry_out(plan))[0] == "failed"
        assert aws.world.traffic.count("PutParameter") == 6


class TestThrottling:
    @pytest.mark.parametrize("code", ["ThrottlingException", "TooManyUpdates"])
    def test_a_clean_refusal_is_tried_again(self, code: str) -> None:
        aws, plan = created()
        aws.world.faults = lambda operation, _place, _names, nth: (
            refused(Trouble.THROTTLED, code) if operation == "PutParameter" and nth <= 5 else None
        )
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert aws.world.traffic.count("PutParameter") == 6

    def test_it_gives_up_in_the_end_and_names_operation_and_code(self) -> None:
        aws, plan = created()
        aws.world.faults = at_call("PutParameter", refused(Trouble.THROTTLED, "TooManyUpdates"))
        state, error = result(aws.carry_out(plan))
        assert (state, error.startswith("PutParameter: TooManyUpdates")) == ("failed", True)
        assert aws.world.traffic.count("PutParameter") == 12

    def test_a_final_refusal_is_not_tried_again(self) -> None:
        aws, plan = created()
        aws.world.faults = at_call(
            "PutParameter", refused(Trouble.REFUSED, "ParameterPatternMismatchException")
        )
        assert result(aws.carry_out(plan)) == ("failed", "PutParameter: ParameterPatternMismatchException")
        assert aws.world.traffic.count("PutParameter") == 1

    def test_an_update_is_checked_again_before_every_try(self) -> None:
        aws, plan = updated()
        aws.world.traffic.forget()
        aws.world.faults = at_call("PutParameter", refused(Trouble.THROTTLED), nth=1)
        aws.world.before("PutParameter", lambda: aws.world.put(aws.there, "/p/a", "hand"))
        assert result(aws.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
        assert aws.value("/p/a") == "hand"


class TestUpdate:
    def test_it_writes_a_version_and_then_the_record_of_it(self) -> None:
        aws, plan = updated()
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 2)
        assert is_ours(aws, 2)
        assert [call.operation for call in aws.world.traffic.writes()][-2:] == [
            "PutParameter",
            "AddTagsToResource",
        ]

    def test_the_turn_is_awaited_before_the_last_look_not_after_it(self) -> None:
        aws, plan = updated()
        aws.world.before(AWAIT_TURN, lambda: aws.world.put(aws.there, "/p/a", "hand"), name="put")
        assert result(aws.carry_out(plan)) == ("stale", "it is at version 2, and the plan saw version 1")
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("hand", 2)

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
        aws, plan = updated()
        act(aws)
        before = aws.world.state()
        aws.world.traffic.forget()
        assert result(aws.carry_out(plan)) == ("stale", message)
        assert aws.world.state() == before
        assert not aws.world.traffic.writes()

    def test_it_is_stale_when_it_was_created_again_at_the_same_version(self) -> None:
        aws, plan = updated()
        tags = aws.world.tags(aws.there, "/p/a")
        aws.world.delete(aws.there, "/p/a")
        aws.pass_time()
        aws.world.put(aws.there, "/p/a", "hand", tags=tags)
        assert result(aws.carry_out(plan))[0] == "stale"
        assert aws.value("/p/a") == "hand"

    @pytest.mark.parametrize("operation", ["ListTagsForResource", "GetParameters"])
    def test_it_fails_when_the_replica_cannot_be_read(self, operation: str) -> None:
        aws, plan = updated()
        aws.world.faults = lambda called, place, _names, _nth: (
            refused(Trouble.DENIED) if (called, place) == (operation, aws.there) else None
        )
        assert result(aws.carry_out(plan))[0] == "failed"
        assert aws.value("/p/a") == "old"

    def test_a_write_within_the_last_milliseconds_is_reported(self) -> None:
        aws, plan = updated()
        aws.world.before("PutParameter", lambda: aws.world.put(aws.there, "/p/a", "hand"))
        report = aws.carry_out(plan)
        assert outcome(report).note == "version 2 of another client was overwritten"
        assert result(report)[0] == "applied"
        (finding,) = report.findings
        assert (finding.code, finding.where) == ("version-overwritten", "us-east-2 /p/a")
        assert is_ours(aws, 3)
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_a_delete_within_the_last_milliseconds_makes_a_new_replica_with_all_its_tags(self) -> None:
        aws, plan = updated()

        def vanish() -> None:
            aws.world.delete(aws.there, "/p/a")
            aws.clock.advance(timedelta(seconds=31))

        aws.world.before("PutParameter", vanish)
        report = aws.carry_out(plan)
        assert outcome(report).note == "created again: it was deleted right before the write"
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 1)
        assert aws.plain_tags("/p/a") == {"team": "a"}
        assert is_ours(aws, 1)
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_when_only_the_tags_fail_it_says_that_the_value_was_written(self) -> None:
        aws, plan = updated()
        aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
        state, error = result(aws.carry_out(plan))
        assert state == "failed"
        assert "its value was written and its tags were not" in error
        aws.world.faults = None
        assert counted(aws.plan()) == {"retag": 1}

    def test_no_value_is_in_any_error(self) -> None:
        aws, plan = updated()
        aws.world.faults = at_call("PutParameter", refused(Trouble.REFUSED))
        report = aws.carry_out(plan)
        assert "new" not in outcome(report).error.split()
        assert "old" not in outcome(report).error.split()


class TestLostAnswerOfAnUpdate:
    @pytest.mark.parametrize("done", [True, False])
    def test_it_reads_first_and_is_applied_once(self, *, done: bool) -> None:
        aws, plan = updated()
        aws.world.traffic.forget()
        aws.world.faults = at_call("PutParameter", lost(done=done), nth=1)
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 2)
        assert aws.world.traffic.count("PutParameter") == (1 if done else 2)
        assert is_ours(aws, 2)

    def test_a_version_of_another_client_is_not_taken_for_ours(self) -> None:
        aws, plan = updated()
        aws.world.traffic.forget()
        aws.world.before("PutParameter", lambda: aws.world.put(aws.there, "/p/a", "hand"))
        aws.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(aws.carry_out(plan)) == (
            "stale",
            "it is at version 2, written by another client",
        )
        assert aws.value("/p/a") == "hand"

    def test_a_replica_that_vanished_is_stale(self) -> None:
        aws, plan = updated()
        aws.world.traffic.forget()
        aws.world.before("PutParameter", lambda: aws.world.delete(aws.there, "/p/a"))
        aws.world.faults = at_call("PutParameter", lost(done=False), nth=1)
        assert result(aws.carry_out(plan)) == ("stale", "it is gone")


class TestTakeOver:
    def taken(self, run: Run) -> tuple[SimulatedAws, Plan]:
        aws = SimulatedAws()
        aws.put("/p/a", "new")
        aws.world.put(aws.there, "/p/a", "old")
        aws.pass_time()
        return aws, aws.plan(run=run)

    RUN = Run(adopt=AdoptMode.OVERWRITE)

    def test_it_becomes_ours_as_adopted(self) -> None:
        aws, plan = self.taken(self.RUN)
        assert result(aws.carry_out(plan, run=self.RUN)) == ("applied", "")
        assert is_ours(aws, 2, Origin.ADOPTED)

    @pytest.mark.parametrize(
        ("tags", "found"),
        [
            ({"aws:cloudformation:stack-id": "s"}, "cloudformation"),
            ({OWNER: "detached:x"}, "detached"),
        ],
    )
    def test_it_is_stale_when_another_client_took_it_first(self, tags: dict[str, str], found: str) -> None:
        aws, plan = self.taken(self.RUN)
        aws.world.tag(aws.there, "/p/a", tags)
        assert result(aws.carry_out(plan, run=self.RUN)) == (
            "stale",
            f"its ownership has changed since the plan: it is {found}",
        )
        assert aws.value("/p/a") == "old"

    def test_by_tags_alone_it_is_stale_when_the_version_changed(self) -> None:
        aws = SimulatedAws()
        run = Run(adopt=AdoptMode.SAME_VALUE)
        aws.put("/p/a", "v", tags={"t": "1"})
        aws.world.put(aws.there, "/p/a", "v")
        plan = aws.plan(run=run)
        aws.world.put(aws.there, "/p/a", "other")
        assert result(aws.carry_out(plan, run=run))[0] == "stale"
        assert aws.world.tags(aws.there, "/p/a") == {}


class TestTypeChange:
    REFUSING = AwsBehaviour(type_change=InPlace.REFUSED)

    def planned(self, run: Run | None = None) -> tuple[SimulatedAws, Plan]:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", tags={"team": "a"})
        aws.put("/p/a", "new", SECURE)
        aws.world.region(aws.there).readings = self.REFUSING
        aws.pass_time()
        return aws, aws.plan(run=run)

    def test_it_is_withheld_when_aws_refuses_it_in_place(self) -> None:
        aws, plan = self.planned()
        report = aws.carry_out(plan)
        state, error = result(report)
        assert state == "withheld"
        assert "only with --allow-replace" in error
        assert "HierarchyTypeMismatchException" in error
        assert (aws.value("/p/a"), report.exit_code) == ("old", 5)

    def test_it_is_replaced_where_that_is_allowed(self) -> None:
        run = Run(allow_replace=True)
        aws, plan = self.planned(run)
        assert result(aws.carry_out(plan, run=run)) == ("applied", "")
        assert (aws.live("/p/a").type, aws.value("/p/a"), aws.version("/p/a")) == (SECURE, "new", 1)
        assert aws.plain_tags("/p/a") == {"team": "a"}
        assert counted(aws.plan()) == {"in_sync": 1}

    def test_a_parameter_without_ownership_is_never_replaced(self) -> None:
        run = Run(allow_replace=True, adopt=AdoptMode.OVERWRITE)
        aws = SimulatedAws()
        aws.put("/p/a", "new", SECURE)
        aws.world.put(aws.there, "/p/a", "theirs")
        aws.world.region(aws.there).readings = self.REFUSING
        plan = aws.plan(run=run)
        assert counted(plan) == {"update": 1}
        state, error = result(aws.carry_out(plan, run=run))
        assert (state, "--allow-replace" in error) == ("withheld", False)  # it would change nothing
        assert "a parameter that is not a replica is never replaced" in error
        assert aws.value("/p/a") == "theirs"


class TestUnproven:
    RUN = Run(no_decrypt=True)

    def planned(self, value: str, description: str = "") -> tuple[SimulatedAws, Plan]:
        aws = SimulatedAws()
        aws.replicate("/p/a", "old", SECURE)
        aws.put("/p/a", value, SECURE, description=description)
        aws.pass_time()
        return aws, aws.plan(run=self.RUN)

    def test_an_equal_value_is_only_tagged(self) -> None:
        aws, plan = self.planned("old")
        assert (
            outcome(aws.carry_out(plan, run=self.RUN)).note == "its value was equal: only tags were written"
        )
        assert aws.version("/p/a") == 1
        assert counted(aws.plan(run=self.RUN)) == {"in_sync": 1}

    def test_an_equal_value_with_another_attribute_is_written(self) -> None:
        aws, plan = self.planned("old", description="d")
        assert result(aws.carry_out(plan, run=self.RUN)) == ("applied", "")
        assert (aws.version("/p/a"), aws.live("/p/a").description) == (2, "d")

    def test_it_is_stale_when_the_replica_changed(self) -> None:
        aws, plan = self.planned("old")
        aws.world.put(aws.there, "/p/a", "hand", SECURE)
        assert result(aws.carry_out(plan, run=self.RUN))[0] == "stale"
        assert aws.value("/p/a") == "hand"

    @pytest.mark.parametrize("gone", ["before it is looked at", "between the look and the comparison"])
    def test_it_is_stale_when_the_replica_is_gone(self, gone: str) -> None:
        aws, plan = self.planned("new")
        if gone == "before it is looked at":
            aws.world.delete(aws.there, "/p/a")

        def delete(operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> None:
            if (operation, place) == ("GetParameters", aws.there):
                aws.world.delete(aws.there, "/p/a")

        aws.world.faults = delete
        assert result(aws.carry_out(plan, run=self.RUN)) == ("stale", "it is gone")
        assert aws.world.names(aws.there) == []

    def test_it_fails_when_the_replica_cannot_be_compared(self) -> None:
        aws, plan = self.planned("new")
        aws.world.faults = lambda operation, place, _names, _nth: (
            refused(Trouble.KEY) if (operation, place) == ("GetParameters", aws.there) else None
        )
        assert result(aws.carry_out(plan, run=self.RUN))[0] == "failed"
        assert aws.value("/p/a") == "old"


class TestImages:
    def planned(self, image: str) -> tuple[SimulatedAws, Plan]:
        aws = SimulatedAws()
        aws.world.region(aws.there).images = frozenset({"ami-1"})
        aws.put("/p/a", image, data_type=IMAGE)
        aws.pass_time()
        return aws, aws.plan()

    def test_one_that_aws_keeps_is_applied(self) -> None:
        aws, plan = self.planned("ami-1")
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert sum(aws.clock.slept) == 0

    def test_one_that_aws_drops_in_silence_has_failed(self) -> None:
        aws, plan = self.planned("ami-2")
        report = aws.carry_out(plan)
        state, error = result(report)
        assert state == "failed"
        assert "the AMI id is not valid in us-east-2" in error
        assert 300 <= sum(aws.clock.slept) <= 320
        assert [one.name for one in report.remaining] == ["/p/a"]

    def test_an_update_to_one_that_aws_drops_has_failed_too(self) -> None:
        aws, plan = self.planned("ami-1")
        assert result(aws.carry_out(plan)) == ("applied", "")
        aws.put("/p/a", "ami-2", data_type=IMAGE)
        aws.pass_time()
        state, error = result(aws.apply())
        assert (state, aws.value("/p/a")) == ("failed", "ami-1")
        assert "the AMI id is not valid in us-east-2" in error

    def test_one_that_shows_later_is_waited_for(self) -> None:
        aws, plan = self.planned("ami-1")
        aws.world.lag = Lag(values=timedelta(seconds=45))
        assert result(aws.carry_out(plan)) == ("applied", "")
        assert 40 <= sum(aws.clock.slept) <= 60

    def test_a_stop_while_waiting_does_not_call_it_invalid(self) -> None:
        aws, plan = self.planned("ami-2")
        aws.world.before("GetParameters", aws.stop.set, name="/p/a")
        state, error = result(aws.carry_out(plan))
        assert state == "failed"
        assert "not valid" not in error
        assert "the next run checks it" in error


def test_a_create_is_retried_when_aws_reports_a_name_that_does_not_exist_as_taken() -> None:
    """AWS may say so within the half minute after a delete (API reference, DeleteParameter)."""
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.pass_time()
    aws.world.faults = at_call("PutParameter", refused(Trouble.EXISTS, "ParameterAlreadyExists"), nth=1)
    (outcome,) = aws.apply().outcomes
    assert outcome.result is Result.APPLIED
    assert aws.value(canonical("/p/a")) == "v"
