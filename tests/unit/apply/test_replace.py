"""Replacements: everything is checked before the delete, and what was deleted is created again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import ADVANCED, SECURE, STANDARD, KeyState
from ssm_reconcile.plan import Plan
from ssm_reconcile.reconcile import carry_out, make_plan
from ssm_reconcile.record import OWNER, Origin, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, KeyRule, Rewrite, RewriteIn, Run
from tests.builders import Stage, counted, outcome, replication
from tests.fake_aws import rules
from tests.fake_aws.behaviour import AwsBehaviour, Match, Recreate
from tests.fake_aws.traffic import at_call, killed, lost, refused
from tests.simulated_aws import unwatched

ALLOWED = Run(allow_replace=True)
Act = Callable[[Stage], object]


def downgraded(kind: str = "String", facts: AwsBehaviour | None = None) -> tuple[Stage, Plan]:
    """A stage on which an Advanced replica has to become a Standard one."""
    keys = (KeyRule("alias/app", (("us-east-2", "alias/app"),)),)
    stage = Stage(replication(kms=keys), facts=facts)
    for place in (stage.here, stage.there):
        stage.world.add_key(place, "alias/app")
    fields = {"key_id": "alias/app"} if kind == SECURE else {}
    stage.replicate("/p/a", "old", kind, tier=ADVANCED, tags={"team": "a"}, **fields)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new", kind, tier=STANDARD, tags={"team": "a"}, **fields)
    stage.pass_time()
    plan = stage.plan(ALLOWED)
    assert counted(plan) == {"replace": 1}
    stage.world.traffic.forget()
    return stage, plan


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_it_deletes_waits_thirty_seconds_and_creates(kind: str) -> None:
    stage, plan = downgraded(kind)
    report = stage.carry_out(plan, ALLOWED)
    assert result(report) == ("applied", "")
    assert outcome(report).note == "replaced: deleted and created, its history starts again at version 1"
    assert sum(stage.clock.slept) == 30
    assert [call.operation for call in stage.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]
    live = stage.live("/p/a")
    assert (live.tier, live.version, stage.value("/p/a")) == (STANDARD, 1, "new")
    assert stage.plain_tags("/p/a") == {"team": "a"}
    assert (report.remaining, counted(stage.plan())) == ((), {"in_sync": 1})


@pytest.mark.parametrize("recreate", list(Recreate))
def test_it_works_however_aws_takes_a_create_after_a_delete(recreate: Recreate) -> None:
    stage, plan = downgraded(facts=AwsBehaviour(recreate=recreate))
    assert result(stage.carry_out(plan, ALLOWED)) == ("applied", "")


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda s: s.world.put(s.there, "/p/a", "hand", tier=ADVANCED), "stale"),
        (lambda s: s.world.delete(s.there, "/p/a"), "stale"),
        (lambda s: s.world.untag(s.there, "/p/a", OWNER), "stale"),
        (lambda s: s.world.tag(s.there, "/p/a", {"skip_sync": ""}), "stale"),
        (lambda s: s.world.tag(s.here, "/p/a", {"skip_sync": ""}), "stale"),
        (lambda s: s.world.delete(s.here, "/p/a"), "stale"),
    ],
)
def test_nothing_is_deleted_when_something_has_changed(act: Act, state: str) -> None:
    stage, plan = downgraded()
    act(stage)
    before = stage.world.state()
    assert result(stage.carry_out(plan, ALLOWED))[0] == state
    assert stage.world.state() == before
    assert not stage.world.traffic.writes()


def test_nothing_is_deleted_when_the_value_cannot_be_read() -> None:
    stage, plan = downgraded(SECURE)
    stage.world.set_key(stage.here, "alias/app", KeyState.DISABLED)
    assert result(stage.carry_out(plan, ALLOWED))[0] == "failed"
    assert stage.value("/p/a") == "old"


def test_nothing_is_deleted_when_the_key_became_unusable_after_the_plan() -> None:
    stage, plan = downgraded(SECURE)
    stage.world.set_key(stage.there, "alias/app", KeyState.DISABLED)
    report = stage.carry_out(plan, ALLOWED)  # places are opened again, so keys are described again
    assert result(report) == ("withheld", "its key alias/app is disabled: it is not deleted")
    assert stage.value("/p/a") == "old"


def test_nothing_is_deleted_when_the_rewritten_value_does_not_match_its_pattern() -> None:
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}"),)
    stage = Stage(replication(rewrites=rewrites))
    stage.replicate("/p/a", "a.us-east-1", tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "b.us-east-1", allowed_pattern=".*us-east-1")
    stage.pass_time()
    plan = stage.plan(ALLOWED)
    assert [(other.name, other.counted) for other in plan.others] == [("/p/a", "invalid")]
    assert stage.carry_out(plan, ALLOWED).outcomes == ()
    assert stage.value("/p/a") == "a.us-east-2"


def test_a_value_that_the_source_holds_is_replaced_whatever_our_byte_count_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "STANDARD_BYTES", 6000)  # an AWS that counts differently
    stage = Stage()
    stage.replicate("/p/a", "x" * 5000, tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "y" * 5000, tier=STANDARD)
    assert result(stage.apply(ALLOWED)) == ("applied", "")
    assert (stage.live("/p/a").tier, stage.value("/p/a")) == (STANDARD, "y" * 5000)
    assert counted(stage.plan()) == {"in_sync": 1}


def test_nothing_is_deleted_when_the_rewritten_value_is_too_large() -> None:
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "x" * 20),)
    stage = Stage(replication(rewrites=rewrites))
    stage.replicate("/p/a", "old", SECURE, tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "us-east-1" + "y" * 4080, SECURE)
    stage.pass_time()
    run = Run(allow_replace=True, no_decrypt=True)
    assert result(stage.apply(run)) == ("withheld", "its value is too large for its tier: it is not deleted")
    assert stage.value("/p/a") == "old"


def test_tags_that_are_not_ours_to_remove_are_carried_over() -> None:
    stage = Stage(replication(ignore_tags=("cost:*",)))
    stage.replicate("/p/a", tier=ADVANCED, tags={"team": "a", "cost:center": "here"})
    stage.world.tag(stage.there, "/p/a", {"cost:center": "there", "aws:cloudformation:stack-id": "x"})
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new", tags={"team": "b"})
    stage.pass_time()
    assert result(stage.apply(ALLOWED)) == ("applied", "")
    assert (stage.value("/p/a"), stage.plain_tags("/p/a")) == ("new", {"team": "b", "cost:center": "there"})


@pytest.mark.parametrize(("staying", "state"), [(47, "applied"), (48, "withheld")])
def test_nothing_is_deleted_when_the_remaining_tags_leave_no_room(staying: int, state: str) -> None:
    stage = Stage(replication(ignore_tags=("cost:*",)))
    stage.replicate("/p/a", tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new", tags={"team": "b"})
    stage.pass_time()
    plan = stage.plan(ALLOWED)
    stage.world.tag(stage.there, "/p/a", {f"cost:{number}": "" for number in range(staying)})
    assert result(stage.carry_out(plan, ALLOWED))[0] == state
    assert stage.value("/p/a") == ("new" if state == "applied" else "v")


def test_a_delete_that_is_refused_leaves_the_replica() -> None:
    stage, plan = downgraded()
    stage.world.faults = at_call("DeleteParameters", refused(Trouble.DENIED))
    state, error = result(stage.carry_out(plan, ALLOWED))
    assert state == "failed"
    assert "it was not deleted" in error
    assert stage.value("/p/a") == "old"


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("operation", ["DeleteParameters", "PutParameter"])
def test_a_lost_answer_is_looked_into(operation: str, *, done: bool) -> None:
    stage, plan = downgraded()
    stage.world.faults = at_call(operation, lost(done=done), nth=1)
    assert result(stage.carry_out(plan, ALLOWED)) == ("applied", "")
    assert (stage.value("/p/a"), stage.version("/p/a")) == ("new", 1)


def test_a_create_that_fails_at_first_is_tried_for_minutes() -> None:
    stage, plan = downgraded()
    stage.world.faults = lambda operation, _place, _names, nth: (
        refused(Trouble.DENIED) if operation == "PutParameter" and nth < 8 else None
    )
    assert result(stage.carry_out(plan, ALLOWED)) == ("applied", "")
    assert 30 + 7 * 10 <= sum(stage.clock.slept) <= 300


def test_a_create_that_fails_for_good_says_so_and_the_next_run_creates() -> None:
    stage, plan = downgraded()
    stage.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
    report = stage.carry_out(plan, ALLOWED)
    state, error = result(report)
    assert state == "failed"
    assert error.startswith("deleted, and not created: PutParameter: AccessDeniedException")
    assert error.endswith("the next run creates it")
    assert sum(stage.clock.slept) >= 300
    stage.world.faults = None
    assert counted(stage.plan()) == {"create": 1}


def test_a_name_taken_in_between_is_not_touched() -> None:
    stage, plan = downgraded()

    def take() -> None:
        stage.world.put(stage.there, "/p/a", "theirs")

    stage.world.before("PutParameter", take)
    state, error = result(stage.carry_out(plan, ALLOWED))
    assert (state, "a parameter with this name was created" in error) == ("failed", True)
    assert (stage.value("/p/a"), stage.world.tags(stage.there, "/p/a")) == ("theirs", {})


def test_killed_in_between_the_next_run_creates() -> None:
    stage, plan = downgraded()
    stage.world.faults = at_call("PutParameter", killed(KeyboardInterrupt(), done=False))
    with pytest.raises(KeyboardInterrupt):
        stage.carry_out(plan, ALLOWED)
    assert stage.value("/p/a") is None
    stage.world.faults = None
    stage.pass_time()
    plan = stage.plan()
    assert counted(plan) == {"create": 1}
    assert result(stage.carry_out(plan)) == ("applied", "")
    assert stage.value("/p/a") == "new"


def test_a_deleted_replica_is_created_when_the_run_is_asked_to_stop() -> None:
    stage, plan = downgraded()
    stage.world.before("DeleteParameters", stage.stop.set)
    report = stage.carry_out(plan, ALLOWED)
    assert result(report) == ("applied", "")
    assert (stage.value("/p/a"), report.exit_code) == ("new", 130)


@pytest.mark.parametrize("recreate", list(Recreate))
def test_a_request_to_stop_shortens_no_wait_before_a_create(
    recreate: Recreate, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, plan = downgraded(facts=AwsBehaviour(recreate=recreate))
    waits = stage.clock.sleep

    def sleep(seconds: float) -> None:
        """Like the clock of real runs: the signal ends the current sleep, and no later one."""
        if seconds == 30:
            stage.stop.set()
            waits(2)
        else:
            waits(seconds)

    monkeypatch.setattr(stage.clock, "sleep", sleep)
    report = stage.carry_out(plan, ALLOWED)
    assert (result(report), stage.value("/p/a"), report.exit_code) == (("applied", ""), "new", 130)
    assert [call.operation for call in stage.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]
    assert stage.clock.slept[:2] == [2, 28]


def test_a_create_is_not_repeated_without_pause_when_no_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, plan = downgraded(facts=AwsBehaviour(recreate=Recreate.EXISTS))
    monkeypatch.setattr(stage.clock, "sleep", lambda _seconds: stage.stop.set())
    state, error = result(stage.carry_out(plan, ALLOWED))
    assert (state, "the next run creates it" in error, "AMI" in error) == ("failed", True, False)
    assert [call.operation for call in stage.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]


def test_an_adopted_replica_stays_adopted() -> None:
    stage = Stage()
    stage.world.put(stage.there, "/p/a", "v", tier=ADVANCED)
    stage.replicate("/p/a", "v", tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.clock.advance(timedelta(minutes=5))
    stage.world.put(stage.here, "/p/a", "v")
    assert stage.apply(ALLOWED).summary["applied"] == 1
    made = record_of(stage.world.tags(stage.there, "/p/a") or {})
    assert made is not None
    assert made.origin is Origin.ADOPTED


def rewritten(facts: AwsBehaviour | None = None, pattern: str = "", new: str = "b") -> tuple[Stage, Plan]:
    """A secret whose replica has to become Standard, and whose rewritten value the plan has not seen."""
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "old", new),)
    stage = Stage(replication(rewrites=rewrites), facts=facts)
    stage.replicate("/p/a", "ab", SECURE, tier=ADVANCED)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "old", SECURE, allowed_pattern=pattern)
    stage.pass_time()
    plan = stage.plan(BLIND)
    assert counted(plan) == {"replace": 1}
    return stage, plan


BLIND = Run(allow_replace=True, no_decrypt=True)


@pytest.mark.parametrize("new", ["", "{{ssm:x}}"])
def test_nothing_is_deleted_for_a_rewritten_value_that_aws_takes_as_none(new: str) -> None:
    stage, plan = rewritten(new=new)
    state, error = result(stage.carry_out(plan, BLIND))
    assert (state, "which AWS refuses" in error) == ("withheld", True)
    assert stage.value("/p/a") == "ab"


@pytest.mark.parametrize("match", list(Match))
def test_nothing_is_deleted_for_a_rewritten_value_that_matches_in_part_only(match: Match) -> None:
    """The matching of AWS is not documented, and an attempt would lose the replica."""
    stage, plan = rewritten(AwsBehaviour(pattern_match=match), "[a-z]+", "new 1")
    state, error = result(stage.carry_out(plan, BLIND))
    assert (state, "may not match its AllowedPattern" in error) == ("withheld", True)
    assert stage.value("/p/a") == "ab"


def test_nothing_is_deleted_when_its_expiration_falls_due_before_it_can_be_created() -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"%s"}}'
    stage = Stage()
    stage.replicate("/p/a", "old", tier=ADVANCED)
    stage.world.put(stage.there, "/p/a", "old", data_type="text", tier=ADVANCED)
    due = stage.clock.now() + timedelta(hours=3)
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(
        stage.here,
        "/p/a",
        "ami-1",
        tier=ADVANCED,
        data_type="aws:ec2:image",
        policies=(policy % due.isoformat(),),
    )
    stage.pass_time()
    allowed = Run(allow_replace=True, overwrite_outside=True)
    plan = stage.plan(allowed)
    assert counted(plan) == {"replace": 1}
    stage.clock.advance(due - stage.clock.now() - timedelta(seconds=20))
    state, error = result(stage.carry_out(plan, allowed))
    assert (state, "Expiration policy ends" in error) == ("withheld", True)
    assert stage.value("/p/a") == "old"


def test_nothing_is_deleted_when_tags_that_came_since_leave_no_room() -> None:
    stage = Stage(replication(ignore_tags=("cost:*",)))
    stage.replicate("/p/a", tier=ADVANCED, tags={f"t{i}": "x" for i in range(40)})
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new", tags={f"u{i}": "x" for i in range(45)})
    stage.pass_time()
    plan = stage.plan(ALLOWED)
    assert counted(plan) == {"replace": 1}
    stage.world.tag(stage.there, "/p/a", {f"cost:{i}": "x" for i in range(4)})
    state, error = result(stage.carry_out(plan, ALLOWED))
    assert (state, "more than 50" in error) == ("withheld", True)
    assert stage.value("/p/a") == "v"
    stage.world.untag(stage.there, "/p/a", "cost:0")
    assert result(stage.carry_out(plan, ALLOWED)) == ("applied", "")


def test_the_key_is_read_again_while_the_places_are_open() -> None:
    """The answer to the question can come an hour after the plan."""
    stage, plan = downgraded(SECURE)
    session = Session(stage.places(ALLOWED), ALLOWED, stage.clock, unwatched)
    opened = make_plan([stage.spec], session)
    assert opened.plan_id == plan.plan_id
    stage.world.set_key(stage.there, "alias/app", KeyState.PENDING_DELETION)
    report = carry_out(opened, [stage.spec], session, stage.stop)
    assert result(report) == ("withheld", "its key alias/app is pending deletion: it is not deleted")
    assert stage.value("/p/a") == "old"


def test_an_image_that_aws_drops_leaves_nothing_and_the_outcome_says_what_it_takes() -> None:
    stage = Stage()
    stage.replicate("/p/a", "old")
    stage.world.region(stage.there).images = frozenset({"ami-1"})
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "ami-2", data_type="aws:ec2:image")
    state, error = result(stage.apply(ALLOWED))
    assert (state, stage.value("/p/a")) == ("failed", None)
    assert "the AMI id is not valid in us-east-2" in error
    assert error.endswith("copy the AMI to that region; the next run creates it")
    assert sum(stage.clock.slept) < 400
    stage.world.region(stage.there).images = frozenset({"ami-1", "ami-2"})
    assert stage.apply().summary["applied"] == 1
    assert stage.value("/p/a") == "ami-2"
