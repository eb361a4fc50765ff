"""Undo after later applies, undos and changes by others: no state counts as the former one unless it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ssm_reconcile.aws_limits import TAG_LIMIT
from ssm_reconcile.by_name import plan_one_name
from ssm_reconcile.change import Restore, Row
from ssm_reconcile.errors import Trouble
from ssm_reconcile.explain import explain
from ssm_reconcile.model import SECURE
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import OWNER, RECORD, SOURCE, record_of
from ssm_reconcile.report import Report
from ssm_reconcile.spec import AdoptMode, Glob, Rewrite, RewriteIn, Run
from ssm_reconcile.status import read_status
from tests.builders import outcome, replication
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.undo.test_undo import LIFTED, reasons

UNKNOWN = "version 3 may be the former value or another one, which only a read of both shows"


def fail_at_tags(aws: SimulatedAws) -> None:
    """Apply, with an AddTagsToResource that is refused."""
    aws.world.traffic.forget()
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
    assert aws.apply().summary["failed"] == 1
    aws.world.faults = None


def rows(plan: Plan) -> list[tuple[str, Row]]:
    return [(one.name, one.row) for one in plan.named]


def test_a_later_retag_is_not_an_undo_of_the_earlier_one() -> None:
    """The record of the later retag equals that which an undo writes, apart from its time."""
    aws = SimulatedAws()
    aws.replicate("/p/a", tags={"team": "a"})
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    report = aws.apply()
    aws.world.tag(aws.here, "/p/a", {"team": "c"})
    aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    assert rows(plan) == [("/p/a", Row.CONFLICT)]
    assert "its record was written again; its tag team was changed since, and stays" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert aws.plain_tags("/p/a") == {"team": "c"}


def test_an_adoption_that_others_released_with_another_tag_is_not_as_before_it() -> None:
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.put("/p/a", "v", region="us-east-2", tags={"team": "b"})
    report = aws.apply()
    aws.world.untag(aws.there, "/p/a", OWNER, RECORD)
    aws.world.tag(aws.there, "/p/a", {"team": "c"})
    plan = aws.plan_undo(report, run=LIFTED)
    assert rows(plan) == [("/p/a", Row.CONFLICT)]
    assert reasons(plan).endswith("left as it is: its tag team was changed since, and stays")


def taken_over(kind: str, *, had_record: bool) -> tuple[SimulatedAws, Report]:
    """Return an AWS with a parameter that was taken over at version 2, and the report."""
    aws = SimulatedAws(replication(adopt=AdoptMode.OVERWRITE))
    if had_record:
        aws.replicate("/p/a", "theirs", kind)
        aws.world.untag(aws.there, "/p/a", OWNER)
    else:
        aws.put("/p/a", "theirs", kind, region="us-east-2")
    aws.put("/p/a", "ours", kind)
    report = aws.apply()
    assert outcome(report).change.takes_over
    return aws, report


@pytest.mark.parametrize("had_record", [True, False])
@pytest.mark.parametrize(
    ("kind", "value", "row", "reason"),
    [
        ("String", "another", Row.CONFLICT, "it is at version 3, and the apply left version 2"),
        ("String", "theirs", Row.IN_SYNC, "already taken back"),
        (SECURE, "another", Row.CONFLICT, UNKNOWN),
        (SECURE, "theirs", Row.CONFLICT, UNKNOWN),
    ],
)
def test_a_value_that_the_owner_wrote_after_a_take_over_is_not_called_the_former_one(
    kind: str, value: str, row: Row, reason: str, had_record: bool
) -> None:
    aws, report = taken_over(kind, had_record=had_record)
    former = outcome(report).written
    assert former is not None
    assert former.tags is not None
    aws.world.untag(aws.there, "/p/a", OWNER, RECORD)
    aws.world.tag(aws.there, "/p/a", {key: former.tags.before[key] for key in former.tags.before})
    aws.put("/p/a", value, kind, region="us-east-2")
    before = aws.world.state()
    plan = aws.plan_undo(report, run=LIFTED)
    assert rows(plan) == [("/p/a", row)]
    assert reason in reasons(plan)
    aws.carry_out(plan, run=LIFTED)
    assert aws.world.state() == before


@pytest.mark.parametrize("had_record", [True, False])
def test_the_former_value_of_a_secret_that_was_taken_over_is_listed_as_unknown_after_the_undo(
    had_record: bool,
) -> None:
    aws, report = taken_over(SECURE, had_record=had_record)
    aws.undo(report, run=LIFTED)
    assert aws.value("/p/a") == "theirs"
    assert reasons(aws.plan_undo(report, run=LIFTED)) == UNKNOWN


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("String", "former", "version 3 has the former value already"),
        (SECURE, "former", "version 3 may be the former value; it is compared before the tags are written"),
        (SECURE, "next", "version 3 may be the former value; it is compared before the tags are written"),
    ],
)
def test_a_next_version_without_a_record_of_its_own_is_compared_before_the_tags_are_written(
    kind: str, value: str, reason: str
) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "former", kind)
    aws.put("/p/a", "later", kind)
    report = aws.apply()
    aws.put("/p/a", value, kind)
    fail_at_tags(aws)
    plan = aws.plan_undo(report, run=LIFTED)
    assert reason in reasons(plan)
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result.value == ("applied" if value == "former" else "stale")
    assert aws.value("/p/a") == value


def test_a_version_that_is_gone_before_the_comparison_stops_the_undo() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "former", SECURE)
    aws.put("/p/a", "later", SECURE)
    report = aws.apply()
    aws.put("/p/a", "former", SECURE)
    fail_at_tags(aws)
    plan = aws.plan_undo(report, run=LIFTED)
    stored = aws.world.peek(aws.there, "/p/a")
    assert stored is not None
    aws.world.region(aws.there).parameters["/p/a"] = replace(stored, versions=stored.versions[1:])
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.result.value == "stale"
    assert "its value is not the former one" in done.error


def test_a_version_that_is_written_between_the_listing_and_the_history_is_left() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "former")
    aws.put("/p/a", "later")
    report = aws.apply()
    aws.world.before("GetParameterHistory", lambda: aws.put("/p/a", "theirs", region="us-east-2"))
    assert "it was written while the plan was made" in reasons(aws.plan_undo(report, run=LIFTED))


def test_an_owner_tag_that_a_later_apply_left_is_not_the_former_one() -> None:
    aws = SimulatedAws(replication(name="old"))
    aws.replicate("/p/a", tags={"team": "a"})
    aws.spec = replication(name="prod", previous_names=("old",))
    report = aws.apply()
    written = outcome(report).written
    assert written is not None
    assert written.tags is not None
    assert OWNER in written.tags.before
    aws.world.tag(aws.there, "/p/a", {"team": "theirs"})
    assert aws.apply().summary["applied"] == 1
    plan = aws.plan_undo(report, run=LIFTED)
    assert rows(plan) == [("/p/a", Row.CONFLICT)]
    assert "its record was written again" in reasons(plan)


def test_a_parameter_that_a_stack_manages_since_is_left() -> None:
    aws, report = taken_over("String", had_record=False)
    aws.world.tag(aws.there, "/p/a", {"aws:cloudformation:stack-name": "theirs"})
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "not those of a parameter before an apply" in reasons(plan)


def test_the_record_names_the_rewrite_of_the_former_version_and_keeps_the_source_tag() -> None:
    name = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/x", "")
    value = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "one", "1")
    aws = SimulatedAws(replication(rewrites=(name, value)))
    aws.put("/p/x/a", "one")
    aws.apply()
    former = aws.world.tags(aws.there, "/p/a") or {}
    aws.put("/p/x/a", "two")
    aws.spec = replication(rewrites=(name, replace(value, old="two", new="2")))
    aws.undo(aws.apply(), run=LIFTED)
    assert aws.value("/p/a") == "1"
    now = aws.world.tags(aws.there, "/p/a") or {}
    record, before = record_of(now), record_of(former)
    assert record is not None
    assert before is not None
    assert (record.source_version, record.rewrite) == (1, before.rewrite)
    assert now[SOURCE] == former[SOURCE] == "/p/x/a"


def test_the_value_of_a_parameter_without_a_known_source_name_is_not_shown_after_an_undone_adoption() -> None:
    name = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/x", "")
    aws = SimulatedAws(replication(rewrites=(name,), show=(Glob("/p/**"),)))
    aws.put("/p/x/a", "v")
    aws.put("/p/a", "v", region="us-east-2")
    report = aws.apply()
    aws.pass_time()
    assert [one.is_shown for one in aws.plan_undo(report, run=LIFTED).changes] == [True]
    aws.world.untag(aws.there, "/p/a", SOURCE)
    assert [one.is_shown for one in aws.plan_undo(report, run=LIFTED).changes] == [False]


def test_former_tags_without_room_are_not_written() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v", tags={f"former{number}": "1" for number in range(10)})
    aws.world.untag(aws.here, "/p/a", *(f"former{number}" for number in range(10)))
    report = aws.apply()
    free = TAG_LIMIT - len(aws.world.tags(aws.there, "/p/a") or {})
    for number in range(free - 10):
        aws.world.tag(aws.there, "/p/a", {f"theirs{number}": "1"})
    assert len(aws.plan_undo(report, run=LIFTED).changes) == 1
    aws.world.tag(aws.there, "/p/a", {"one-more": "1"})
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "cannot be undone: with its former tags it would have more than 50" in reasons(plan)


def test_a_tag_that_is_not_replicated_any_more_stays() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a", "stage": "1"})
    aws.put("/p/a", "new", tags={"team": "b", "stage": "2"})
    report = aws.apply()
    plan = aws.plan_undo(report, replication(ignore_tags=("team",)), run=LIFTED)
    assert "its tag team is not replicated any more, and stays" in reasons(plan)
    aws.carry_out(plan, replication(ignore_tags=("team",)), run=LIFTED)
    assert aws.plain_tags("/p/a") == {"team": "b", "stage": "1"}


@pytest.mark.parametrize("kind", ["String", SECURE])
@pytest.mark.parametrize("undos", [1, 2, 3])
def test_a_value_of_an_apply_that_failed_after_undos_is_not_one_of_another_writer(
    undos: int, kind: str
) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", kind)
    aws.put("/p/a", "new", kind)
    report = aws.apply()
    for _ in range(undos):
        report = aws.undo(report, run=LIFTED)
    aws.put("/p/a", "newer", kind)
    fail_at_tags(aws)
    aws.put("/p/a", "newest", kind)
    assert [change.withheld_by for change in aws.plan().changes] == [()]


def test_a_replica_that_others_created_again_at_its_version_stays_protected_after_an_undo() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    tags = aws.world.tags(aws.there, "/p/a")
    aws.delete("/p/a", region="us-east-2")
    aws.pass_time()
    aws.put("/p/a", "theirs", region="us-east-2", tags=tags)
    aws.put("/p/a", "new")
    assert [change.withheld_by for change in aws.plan().changes] == [("changed-outside",)]
    aws.undo(aws.apply(run=Run(overwrite_outside=True)), run=LIFTED)
    assert aws.value("/p/a") == "theirs"
    assert [change.withheld_by for change in aws.plan().changes] == [("changed-outside",)]


def returned_outside() -> SimulatedAws:
    """Return an AWS in which an undo returned a value of another writer."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.put("/p/a", "theirs", region="us-east-2")
    aws.put("/p/a", "new", tags={"team": "b"})
    aws.undo(aws.apply(run=Run(overwrite_outside=True)), run=LIFTED)
    assert aws.value("/p/a") == "theirs"
    return aws


def test_the_protection_returns_when_the_tags_of_a_returned_value_return() -> None:
    aws = returned_outside()
    aws.put("/p/a", "theirs", tags={"team": "c"})
    report = aws.apply()
    assert outcome(report).change.row is Row.RETAG
    aws.undo(report, run=LIFTED)
    aws.put("/p/a", "newer", tags={"team": "a"})
    assert [change.withheld_by for change in aws.plan().changes] == [("changed-outside",)]


def test_explain_names_a_returned_value_of_another_writer() -> None:
    aws = returned_outside()
    session = aws.session()
    (found,) = explain("/p/a", aws.spec, *plan_one_name(aws.spec, session, "/p/a"))
    facts = dict(found.facts)
    assert facts["record"].endswith("its value is that of another writer, which an undo returned")
    assert facts["versions"].endswith("replica now 4, and none is recorded")
    assert "version 0" not in repr(found)


def test_the_former_type_in_the_history_must_be_that_of_the_plan() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "former-s3cret", SECURE)
    aws.put("/p/a", "later-s3cret", SECURE)
    plan = aws.plan_undo(aws.apply(), run=LIFTED)
    (change,) = plan.changes
    assert isinstance(change.effect, Restore)
    desired = change.effect.desired
    plain = replace(desired, source=replace(desired.source, type="String", key_id=None), key_id=None)
    forged = replace(change, effect=replace(change.effect, desired=plain), exposes=True)
    (part,) = plan.replications
    done = aws.carry_out(replace(plan, replications=(replace(part, changes=(forged,)),)), run=LIFTED)
    assert outcome(done).error == "version 1 is another one than the plan saw"
    assert aws.live("/p/a").type == SECURE


def test_a_record_that_is_written_after_the_plan_stops_an_undo_of_an_update() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old")
    aws.put("/p/a", "new")
    plan = aws.plan_undo(aws.apply(), run=LIFTED)
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    again = replace(record, written=record.written + timedelta(minutes=1))
    aws.world.tag(aws.there, "/p/a", {RECORD: again.text()})
    done = outcome(aws.carry_out(plan, run=LIFTED))
    assert done.error == "its record has changed since the plan"
    assert aws.value("/p/a") == "new"


def test_a_replica_that_is_deleted_right_before_the_write_keeps_the_name_of_its_source() -> None:
    aws = SimulatedAws(replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.NAME, "/x", ""),)))
    aws.put("/p/x/a", "old")
    aws.apply()
    aws.put("/p/x/a", "new")
    plan = aws.plan_undo(aws.apply(), run=LIFTED)

    def delete_replica() -> None:
        aws.delete("/p/a", region="us-east-2")
        aws.pass_time()

    aws.world.before("PutParameter", delete_replica)
    assert aws.carry_out(plan, run=LIFTED).summary["applied"] == 1
    assert (aws.value("/p/a"), aws.version("/p/a")) == ("old", 1)
    assert (aws.world.tags(aws.there, "/p/a") or {})[SOURCE] == "/p/x/a"


def test_a_parameter_that_was_adopted_again_is_not_as_before_the_first_adoption() -> None:
    aws = SimulatedAws()
    for region in ("us-east-1", "us-east-2"):
        aws.put("/p/a", region=region)
    report = aws.apply()
    aws.world.untag(aws.there, "/p/a", OWNER, RECORD)
    assert outcome(aws.apply()).change.row is Row.ADOPT
    plan = aws.plan_undo(report, run=LIFTED)
    assert rows(plan) == [("/p/a", Row.CONFLICT)]
    assert "its record was written again" in reasons(plan)


def test_status_names_a_returned_value_of_another_writer() -> None:
    aws = returned_outside()
    found = read_status((aws.spec,), aws.session())
    assert "its value is that of another writer, which an undo returned" in repr(found)
