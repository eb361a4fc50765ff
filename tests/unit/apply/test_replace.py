"""Replacements: everything is checked before the delete, and what was deleted is created again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from ssm_reconcile.apply import _apply_batch, _OutcomeCounter
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import ADVANCED, SECURE, STANDARD, KeyState
from ssm_reconcile.plan import Plan
from ssm_reconcile.reconcile import carry_out, make_plan
from ssm_reconcile.record import OWNER, Origin, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, KeyRule, Rewrite, RewriteIn, Run
from tests.builders import counted, outcome, replication
from tests.fake_aws import rules
from tests.fake_aws.behaviour import AwsBehaviour, Match, Recreate
from tests.fake_aws.traffic import at_call, killed, lost, refused
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.apply.context import work

ALLOWED = Run(allow_replace=True)
Act = Callable[[SimulatedAws], object]


def downgraded(kind: str = "String", facts: AwsBehaviour | None = None) -> tuple[SimulatedAws, Plan]:
    """An AWS on which an Advanced replica has to become a Standard one."""
    keys = (KeyRule("alias/app", (("us-east-2", "alias/app"),)),)
    aws = SimulatedAws(replication(kms=keys), behaviour=facts)
    for place in (aws.here, aws.there):
        aws.world.add_key(place, "alias/app")
    fields = {"key_id": "alias/app"} if kind == SECURE else {}
    aws.replicate("/p/a", "old", kind, tier=ADVANCED, tags={"team": "a"}, **fields)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new", kind, tier=STANDARD, tags={"team": "a"}, **fields)
    aws.pass_time()
    plan = aws.plan(run=ALLOWED)
    assert counted(plan) == {"replace": 1}
    aws.world.traffic.forget()
    return aws, plan


def result(report: Report) -> tuple[str, str]:
    one = outcome(report)
    return one.result.value, one.error


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_it_deletes_waits_thirty_seconds_and_creates(kind: str) -> None:
    aws, plan = downgraded(kind)
    report = aws.carry_out(plan, run=ALLOWED)
    assert result(report) == ("applied", "")
    assert outcome(report).note == "replaced: deleted and created, its history starts again at version 1"
    assert sum(aws.clock.slept) == 30
    assert [call.operation for call in aws.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]
    live = aws.live("/p/a")
    assert (live.tier, live.version, aws.value("/p/a")) == (STANDARD, 1, "new")
    assert aws.plain_tags("/p/a") == {"team": "a"}
    assert (report.remaining, counted(aws.plan())) == ((), {"in_sync": 1})


@pytest.mark.parametrize("recreate", list(Recreate))
def test_it_works_however_aws_takes_a_create_after_a_delete(recreate: Recreate) -> None:
    aws, plan = downgraded(facts=AwsBehaviour(recreate=recreate))
    assert result(aws.carry_out(plan, run=ALLOWED)) == ("applied", "")


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
    aws, plan = downgraded()
    act(aws)
    before = aws.world.state()
    assert result(aws.carry_out(plan, run=ALLOWED))[0] == state
    assert aws.world.state() == before
    assert not aws.world.traffic.writes()


def test_nothing_is_deleted_when_the_value_cannot_be_read() -> None:
    aws, plan = downgraded(SECURE)
    aws.world.set_key(aws.here, "alias/app", KeyState.DISABLED)
    assert result(aws.carry_out(plan, run=ALLOWED))[0] == "failed"
    assert aws.value("/p/a") == "old"


def test_nothing_is_deleted_when_the_key_became_unusable_after_the_plan() -> None:
    aws, plan = downgraded(SECURE)
    aws.world.set_key(aws.there, "alias/app", KeyState.DISABLED)
    report = aws.carry_out(plan, run=ALLOWED)  # places are opened again, so keys are described again
    assert result(report) == ("withheld", "its key alias/app is disabled: it is not deleted")
    assert aws.value("/p/a") == "old"


def test_nothing_is_deleted_when_the_rewritten_value_does_not_match_its_pattern() -> None:
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}"),)
    aws = SimulatedAws(replication(rewrites=rewrites))
    aws.replicate("/p/a", "a.us-east-1", tier=ADVANCED)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "b.us-east-1", allowed_pattern=".*us-east-1")
    aws.pass_time()
    plan = aws.plan(run=ALLOWED)
    assert [(other.name, other.counted) for other in plan.others] == [("/p/a", "invalid")]
    assert aws.carry_out(plan, run=ALLOWED).outcomes == ()
    assert aws.value("/p/a") == "a.us-east-2"


def test_a_value_that_the_source_holds_is_replaced_whatever_our_byte_count_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "STANDARD_BYTES", 6000)  # an AWS that counts differently
    aws = SimulatedAws()
    aws.replicate("/p/a", "x" * 5000, tier=ADVANCED)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "y" * 5000, tier=STANDARD)
    assert result(aws.apply(run=ALLOWED)) == ("applied", "")
    assert (aws.live("/p/a").tier, aws.value("/p/a")) == (STANDARD, "y" * 5000)
    assert counted(aws.plan()) == {"in_sync": 1}


def test_nothing_is_deleted_when_the_rewritten_value_is_too_large() -> None:
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "x" * 20),)
    aws = SimulatedAws(replication(rewrites=rewrites))
    aws.replicate("/p/a", "old", SECURE, tier=ADVANCED)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "us-east-1" + "y" * 4080, SECURE)
    aws.pass_time()
    run = Run(allow_replace=True, no_decrypt=True)
    assert result(aws.apply(run=run)) == (
        "withheld",
        "its value is too large for its tier: it is not deleted",
    )
    assert aws.value("/p/a") == "old"


def test_tags_that_are_not_ours_to_remove_are_carried_over() -> None:
    aws = SimulatedAws(replication(ignore_tags=("cost:*",)))
    aws.replicate("/p/a", tier=ADVANCED, tags={"team": "a", "cost:center": "here"})
    aws.world.tag(aws.there, "/p/a", {"cost:center": "there", "aws:cloudformation:stack-id": "x"})
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new", tags={"team": "b"})
    aws.pass_time()
    assert result(aws.apply(run=ALLOWED)) == ("applied", "")
    assert (aws.value("/p/a"), aws.plain_tags("/p/a")) == ("new", {"team": "b", "cost:center": "there"})


@pytest.mark.parametrize(("staying", "state"), [(47, "applied"), (48, "withheld")])
def test_nothing_is_deleted_when_the_remaining_tags_leave_no_room(staying: int, state: str) -> None:
    aws = SimulatedAws(replication(ignore_tags=("cost:*",)))
    aws.replicate("/p/a", tier=ADVANCED)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new", tags={"team": "b"})
    aws.pass_time()
    plan = aws.plan(run=ALLOWED)
    aws.world.tag(aws.there, "/p/a", {f"cost:{number}": "" for number in range(staying)})
    assert result(aws.carry_out(plan, run=ALLOWED))[0] == state
    assert aws.value("/p/a") == ("new" if state == "applied" else "v")


def test_a_delete_that_is_refused_leaves_the_replica() -> None:
    aws, plan = downgraded()
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.DENIED))
    state, error = result(aws.carry_out(plan, run=ALLOWED))
    assert state == "failed"
    assert "it was not deleted" in error
    assert aws.value("/p/a") == "old"


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("operation", ["DeleteParameters", "PutParameter"])
def test_a_lost_answer_is_looked_into(operation: str, *, done: bool) -> None:
    aws, plan = downgraded()
    aws.world.faults = at_call(operation, lost(done=done), nth=1)
    assert result(aws.carry_out(plan, run=ALLOWED)) == ("applied", "")
    assert (aws.value("/p/a"), aws.version("/p/a")) == ("new", 1)


def test_a_create_that_fails_at_first_is_tried_for_minutes() -> None:
    aws, plan = downgraded()
    aws.world.faults = lambda operation, _place, _names, nth: (
        refused(Trouble.DENIED) if operation == "PutParameter" and nth < 8 else None
    )
    assert result(aws.carry_out(plan, run=ALLOWED)) == ("applied", "")
    assert 30 + 7 * 10 <= sum(aws.clock.slept) <= 300


def test_a_create_that_fails_for_good_says_so_and_the_next_run_creates() -> None:
    aws, plan = downgraded()
    aws.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
    report = aws.carry_out(plan, run=ALLOWED)
    state, error = result(report)
    assert state == "failed"
    assert error.startswith("deleted, and not created: PutParameter: AccessDeniedException")
    assert error.endswith("the next run creates it")
    assert sum(aws.clock.slept) >= 300
    aws.world.faults = None
    assert counted(aws.plan()) == {"create": 1}


def test_a_name_taken_in_between_is_not_touched() -> None:
    aws, plan = downgraded()

    def take() -> None:
        aws.world.put(aws.there, "/p/a", "theirs")

    aws.world.before("PutParameter", take)
    state, error = result(aws.carry_out(plan, run=ALLOWED))
    assert (state, "a parameter with this name was created" in error) == ("failed", True)
    assert (aws.value("/p/a"), aws.world.tags(aws.there, "/p/a")) == ("theirs", {})


def test_killed_in_between_the_next_run_creates() -> None:
    aws, plan = downgraded()
    aws.world.faults = at_call("PutParameter", killed(KeyboardInterrupt(), done=False))
    with pytest.raises(KeyboardInterrupt):
        aws.carry_out(plan, run=ALLOWED)
    assert aws.value("/p/a") is None
    aws.world.faults = None
    aws.pass_time()
    plan = aws.plan()
    assert counted(plan) == {"create": 1}
    assert result(aws.carry_out(plan)) == ("applied", "")
    assert aws.value("/p/a") == "new"


def test_a_deleted_replica_is_created_when_the_run_is_asked_to_stop() -> None:
    aws, plan = downgraded()
    aws.world.before("DeleteParameters", aws.stop.set)
    report = aws.carry_out(plan, run=ALLOWED)
    assert result(report) == ("applied", "")
    assert (aws.value("/p/a"), report.exit_code) == ("new", 130)


@pytest.mark.parametrize("recreate", list(Recreate))
def test_a_request_to_stop_shortens_no_wait_before_a_create(
    recreate: Recreate, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws, plan = downgraded(facts=AwsBehaviour(recreate=recreate))
    waits = aws.clock.sleep

    def sleep(seconds: float) -> None:
        """Like the clock of real runs: the signal ends the current sleep, and no later one."""
        if seconds == 30:
            aws.stop.set()
            waits(2)
        else:
            waits(seconds)

    monkeypatch.setattr(aws.clock, "sleep", sleep)
    report = aws.carry_out(plan, run=ALLOWED)
    assert (result(report), aws.value("/p/a"), report.exit_code) == (("applied", ""), "new", 130)
    assert [call.operation for call in aws.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]
    assert aws.clock.slept[:2] == [2, 28]


def test_a_create_is_not_repeated_without_pause_when_no_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    aws, plan = downgraded(facts=AwsBehaviour(recreate=Recreate.EXISTS))
    monkeypatch.setattr(aws.clock, "sleep", lambda _seconds: aws.stop.set())
    state, error = result(aws.carry_out(plan, run=ALLOWED))
    assert (state, "the next run creates it" in error, "AMI" in error) == ("failed", True, False)
    assert [call.operation for call in aws.world.traffic.writes()] == ["DeleteParameters", "PutParameter"]


def test_an_adopted_replica_stays_adopted() -> None:
    aws = SimulatedAws()
    aws.world.put(aws.there, "/p/a", "v", tier=ADVANCED)
    aws.replicate("/p/a", "v", tier=ADVANCED)
    aws.delete("/p/a")
    aws.clock.advance(timedelta(minutes=5))
    aws.put("/p/a", "v")
    assert aws.apply(run=ALLOWED).summary["applied"] == 1
    made = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert made is not None
    assert made.origin is Origin.ADOPTED


def rewritten(
    facts: AwsBehaviour | None = None, pattern: str = "", new: str = "b"
) -> tuple[SimulatedAws, Plan]:
    """A secret whose replica has to become Standard, and whose rewritten value the plan has not seen."""
    rewrites = (Rewrite(Glob("/p/**"), RewriteIn.VALUE, "old", new),)
    aws = SimulatedAws(replication(rewrites=rewrites), behaviour=facts)
    aws.replicate("/p/a", "ab", SECURE, tier=ADVANCED)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "old", SECURE, allowed_pattern=pattern)
    aws.pass_time()
    plan = aws.plan(run=BLIND)
    assert counted(plan) == {"replace": 1}
    return aws, plan


BLIND = Run(allow_replace=True, no_decrypt=True)


@pytest.mark.parametrize("new", ["", "{{ssm:x}}"])
def test_nothing_is_deleted_for_a_rewritten_value_that_aws_takes_as_none(new: str) -> None:
    aws, plan = rewritten(new=new)
    state, error = result(aws.carry_out(plan, run=BLIND))
    assert (state, "which AWS refuses" in error) == ("withheld", True)
    assert aws.value("/p/a") == "ab"


@pytest.mark.parametrize("match", list(Match))
def test_nothing_is_deleted_for_a_rewritten_value_that_matches_in_part_only(match: Match) -> None:
    """The matching of AWS is not documented, and an attempt would lose the replica."""
    aws, plan = rewritten(AwsBehaviour(pattern_match=match), "[a-z]+", "new 1")
    state, error = result(aws.carry_out(plan, run=BLIND))
    assert (state, "may not match its AllowedPattern" in error) == ("withheld", True)
    assert aws.value("/p/a") == "ab"


def test_nothing_is_deleted_when_its_expiration_falls_due_before_it_can_be_created() -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"%s"}}'
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tier=ADVANCED)
    aws.world.put(aws.there, "/p/a", "old", data_type="text", tier=ADVANCED)
    due = aws.clock.now() + timedelta(hours=3)
    aws.delete("/p/a")
    aws.pass_time()
    aws.put(
        "/p/a",
        "ami-1",
        tier=ADVANCED,
        data_type="aws:ec2:image",
        policies=(policy % due.isoformat(),),
    )
    aws.pass_time()
    allowed = Run(allow_replace=True, overwrite_outside=True)
    plan = aws.plan(run=allowed)
    assert counted(plan) == {"replace": 1}
    aws.clock.advance(due - aws.clock.now() - timedelta(seconds=20))
    state, error = result(aws.carry_out(plan, run=allowed))
    assert (state, "Expiration policy ends" in error) == ("withheld", True)
    assert aws.value("/p/a") == "old"


def test_nothing_is_deleted_when_tags_that_came_since_leave_no_room() -> None:
    aws = SimulatedAws(replication(ignore_tags=("cost:*",)))
    aws.replicate("/p/a", tier=ADVANCED, tags={f"t{i}": "x" for i in range(40)})
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new", tags={f"u{i}": "x" for i in range(45)})
    aws.pass_time()
    plan = aws.plan(run=ALLOWED)
    assert counted(plan) == {"replace": 1}
    aws.world.tag(aws.there, "/p/a", {f"cost:{i}": "x" for i in range(4)})
    state, error = result(aws.carry_out(plan, run=ALLOWED))
    assert (state, "more than 50" in error) == ("withheld", True)
    assert aws.value("/p/a") == "v"
    aws.world.untag(aws.there, "/p/a", "cost:0")
    assert result(aws.carry_out(plan, run=ALLOWED)) == ("applied", "")


def test_the_key_is_read_again_while_the_places_are_open() -> None:
    """The answer to the question can come an hour after the plan."""
    aws, plan = downgraded(SECURE)
    session = Session(aws.places(run=ALLOWED), ALLOWED, aws.clock, unwatched)
    opened = make_plan([aws.spec], session)
    assert opened.plan_id == plan.plan_id
    aws.world.set_key(aws.there, "alias/app", KeyState.PENDING_DELETION)
    report = carry_out(opened, [aws.spec], session, aws.stop)
    assert result(report) == ("withheld", "its key alias/app is pending deletion: it is not deleted")
    assert aws.value("/p/a") == "old"


def test_nothing_is_deleted_when_the_key_cannot_be_read_at_apply() -> None:
    aws, plan = downgraded(SECURE)
    steps = work(aws, ALLOWED)
    aws.world.faults = at_call("ListAliases", refused(Trouble.CREDENTIALS))
    (one,) = _apply_batch(steps, list(plan.changes), _OutcomeCounter("place", 1, unwatched))
    assert (one.result.value, one.error, one.trouble) == (
        "failed", "ListAliases: ExpiredTokenException", Trouble.CREDENTIALS
    )  # fmt: skip
    assert steps.failure_reason.startswith("ListAliases: ExpiredTokenException")
    assert aws.value("/p/a") == "old"


def test_an_image_that_aws_drops_leaves_nothing_and_the_outcome_says_what_it_takes() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    aws.world.region(aws.there).images = frozenset({"ami-1"})
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "ami-2", data_type="aws:ec2:image")
    state, error = result(aws.apply(run=ALLOWED))
    assert (state, aws.value("/p/a")) == ("failed", None)
    assert "the AMI id is not valid in us-east-2" in error
    assert error.endswith("copy the AMI to that region; the next run creates it")
    assert sum(aws.clock.slept) < 400
    aws.world.region(aws.there).images = frozenset({"ami-1", "ami-2"})
    assert aws.apply().summary["applied"] == 1
    assert aws.value("/p/a") == "ami-2"
