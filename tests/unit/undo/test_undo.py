"""Undo: what an apply did is taken back where AWS still has what was before; the rest is listed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ssm_reconcile.change import Fate, Row
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, KeyState
from ssm_reconcile.plan import Plan
from ssm_reconcile.record import EXPIRES, NO_SOURCE, OWNER, RECORD, record_of
from ssm_reconcile.report import Report, Result
from ssm_reconcile.spec import AdoptMode, DeleteMode, Run
from tests.builders import counted, outcome, replication, target
from tests.fake_aws.behaviour import AwsBehaviour, InPlace
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws

LIFTED = Run(without_hold=True, max_deletes=100, max_change_percent=100)


def state(aws: SimulatedAws, name: str = "/p/a") -> tuple[Any, ...]:
    """Value, attributes and tags, without those of the ownership."""
    live = aws.live(name)
    return (
        aws.value(name), live.type, live.key_id, live.description, live.allowed_pattern, live.policies,
        aws.plain_tags(name),
    )  # fmt: skip


def reasons(plan: Plan, name: str = "/p/a") -> str:
    (found,) = [one for one in plan.named if one.name == name]
    return "; ".join(found.reasons)


def updated(**more: Any) -> tuple[SimulatedAws, Report, tuple[Any, ...]]:
    """A replica that an apply has updated, the report, and the state before."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", description="one", tags={"team": "a", "gone": "1"})
    before = state(aws)
    aws.put("/p/a", "new", **{"description": "two", "tags": {"team": "b", "more": "2"}, **more})
    aws.world.untag(aws.here, "/p/a", "gone")
    return aws, aws.apply(), before


def test_an_update_returns_to_the_former_version_with_attributes_and_tags() -> None:
    aws, report, before = updated()
    assert aws.value("/p/a") == "new"
    done = aws.undo(report, run=LIFTED)
    assert done.summary["applied"] == 1
    assert done.exit_code == 0
    assert state(aws) == before
    assert aws.version("/p/a") == 3


def test_the_record_names_the_older_source_version_so_the_next_plan_updates_again() -> None:
    aws, report, _ = updated()
    aws.undo(report, run=LIFTED)
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    assert (record.source_version, record.version) == (1, 3)
    assert counted(aws.plan()) == {"update": 1}


def test_a_secret_returns_to_the_former_version_under_its_former_key() -> None:
    aws = SimulatedAws()
    for place in (aws.here, aws.there):
        aws.world.add_key(place, "alias/x")
    aws.replicate("/p/a", "former-s3cret", SECURE)
    before = state(aws)
    aws.put("/p/a", "later-s3cret", SECURE)
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    assert "returns to an older secret: version 1" in reasons(plan)
    assert "s3cret" not in repr(plan)
    aws.carry_out(plan, run=LIFTED)
    assert state(aws) == before


def test_a_plan_decrypts_nothing_and_reads_the_history_of_each_name_once() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", SECURE)
    aws.put("/p/a", "new", SECURE)
    report = aws.apply()
    aws.world.traffic.forget()
    aws.plan_undo(report, run=LIFTED)
    calls = [call.operation for call in aws.world.calls if call.place == aws.there]
    assert calls.count("GetParameterHistory") == 1
    assert "GetParameters" not in calls
    assert {call.operation for call in aws.world.calls if call.place == aws.here} == {"GetCallerIdentity"}


def test_a_create_is_deleted_though_its_source_exists() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    assert [change.row for change in plan.changes] == [Row.UNDONE]
    assert aws.carry_out(plan, run=LIFTED).summary["applied"] == 1
    assert aws.names("us-east-2") == []
    assert aws.names("us-east-1") == ["/p/a"]


def test_deletes_of_creates_count_for_max_deletes() -> None:
    aws = SimulatedAws()
    for number in range(11):
        aws.put(f"/p/{number:02}", "v")
    report = aws.apply()
    plan = aws.plan_undo(report, run=Run(without_hold=True))
    assert {change.withheld_by for change in plan.changes} == {("max-deletes",)}


def test_creates_outside_of_only_count_for_the_limits_on_deletes_while_they_can_be_undone() -> None:
    spec = replication(targets=(target(), target("eu-west-1", region="eu-west-1")))
    aws = SimulatedAws(spec)
    aws.put("/p/old", "v1")
    aws.apply()
    for number in range(11):
        aws.put(f"/p/{number:02}", "v")
    aws.put("/p/old", "v2")
    report = aws.apply()
    run = Run(without_hold=True, targets=("us-east-2",), max_deletes=10, max_change_percent=100)
    only = replace(run, only=("/p/00", "/p/old"))
    plan = aws.plan_undo(report, run=only)
    assert {change.name: change.withheld_by for change in plan.changes} == {
        "/p/00": ("max-deletes",),
        "/p/old": (),
    }
    assert plan.replications[0].selected == 2
    assert plan.replications[0].targets[0].deletes_outside_only == 10
    aws.world.tag(aws.there, "/p/10", {RECORD: "theirs"})
    assert {change.fate for change in aws.plan_undo(report, run=only).changes} == {Fate.APPLY}
    of_all = aws.plan_undo(report, run=replace(only, targets=()))
    assert [part.deletes_outside_only for part in of_all.replications[0].targets] == [9, 10]


def test_targets_without_a_selected_create_count_for_the_limit_on_all_targets() -> None:
    regions = ("us-east-2", "eu-west-1")
    aws = SimulatedAws(replication(targets=tuple(target(region, region=region) for region in regions)))
    aws.put("/p/only", "v")
    aws.put("/p/only", "theirs", region="eu-west-1")
    for number in range(9):
        aws.put(f"/p/{number}", "v")
    report = aws.apply()
    run = Run(without_hold=True, max_deletes=100, max_change_percent=100, only=("/p/only",))
    plan = aws.plan_undo(report, run=replace(run, max_deletes_total=18))
    assert [part.deletes_outside_only for part in plan.replications[0].targets] == [9, 9]
    assert [change.withheld_by for change in plan.changes] == [("max-deletes-total",)]


def test_an_adoption_stops_being_a_replica() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.put("/p/a", "v", region="us-east-2", tags={"team": "a"})
    report = aws.apply()
    assert outcome(report).change.row is Row.ADOPT
    aws.undo(report, run=LIFTED)
    assert aws.world.tags(aws.there, "/p/a") == {"team": "a"}
    assert aws.version("/p/a") == 1


def test_a_retag_gets_its_tags_back() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v", tags={"team": "a"})
    aws.world.tag(aws.here, "/p/a", {"team": "b", "more": "1"})
    report = aws.apply()
    assert outcome(report).change.row is Row.RETAG
    aws.undo(report, run=LIFTED)
    assert (aws.plain_tags("/p/a"), aws.version("/p/a")) == ({"team": "a"}, 1)
    assert counted(aws.plan()) == {"retag": 1}


def test_a_release_and_an_undone_adoption_are_listed_with_what_to_do() -> None:
    aws = SimulatedAws(replication(delete=DeleteMode.CREATED))
    aws.put("/p/a", "v")
    aws.put("/p/a", "v", region="us-east-2")
    aws.apply()
    aws.delete("/p/a")
    released = aws.apply(run=Run(allow_empty_source=True))
    aws.put("/p/a", "v")
    adopted = aws.apply()
    assert outcome(adopted).change.row is Row.ADOPT
    undone = aws.undo(adopted, run=LIFTED)
    assert aws.world.tags(aws.there, "/p/a") == {}
    for report in (released, undone):
        plan = aws.plan_undo(report, run=LIFTED)
        assert plan.changes == ()
        assert "cannot be undone: its ownership tags were removed" in reasons(plan)
        assert "the next one adopts it" in reasons(plan)
        assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert counted(aws.plan()) == {"adopt": 1}


def test_a_mark_is_removed_and_never_written_again() -> None:
    aws = SimulatedAws(replication(grace=timedelta(days=7)))
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    before = aws.world.tags(aws.there, "/p/a")
    aws.delete("/p/a")
    report = aws.apply()
    assert EXPIRES in (aws.world.tags(aws.there, "/p/a") or {})
    plan = aws.plan_undo(report, run=LIFTED)
    assert [change.row for change in plan.changes] == [Row.UNDONE]
    aws.carry_out(plan, run=LIFTED)
    assert aws.world.tags(aws.there, "/p/a") == before
    assert "as it was before" in reasons(aws.plan_undo(report, run=LIFTED))
    marked = aws.apply()
    aws.put("/p/a", "back")
    unmarked = aws.apply()
    assert unmarked.summary["applied"] == marked.summary["applied"] == 1
    aws.undo(unmarked, run=LIFTED)
    assert EXPIRES not in (aws.world.tags(aws.there, "/p/a") or {})


def test_a_completed_delete_is_listed_with_what_to_do() -> None:
    aws = SimulatedAws()
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a")
    plan = aws.plan_undo(aws.apply(), run=LIFTED)
    assert plan.changes == ()
    assert "The next apply creates the replica again, if its source exists" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda aws: aws.put("/p/a", "theirs", region="us-east-2"), "it is at version 3"),
        (
            lambda aws: [aws.put("/p/a", value, region="us-east-2") for value in ("theirs", "again")],
            "it is at version 4, and the apply left version 2",
        ),
        (lambda aws: aws.delete("/p/a", region="us-east-2"), "it does not exist any more"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {RECORD: "v=2"}), "its record was written again"),
        (lambda aws: aws.world.untag(aws.there, "/p/a", OWNER, RECORD), "its ownership tags differ"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {"skip_sync": "1"}), "it carries the tag skip_sync"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {"SkipSync": "1"}), "or one like it"),
        (lambda aws: aws.world.tag(aws.there, "/p/a", {OWNER: "detached:prod"}), "its ownership has changed"),
    ],
)
def test_changes_since_the_apply_are_left_alone_and_listed(act: Any, reason: str) -> None:
    aws, report, _ = updated()
    act(aws)
    before = aws.world.state()
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "changed since the apply" in reasons(plan)
    assert reason in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert aws.world.state() == before


def test_a_tag_that_was_changed_since_stays_and_the_rest_returns() -> None:
    aws, report, before = updated()
    aws.world.tag(aws.there, "/p/a", {"team": "theirs"})
    plan = aws.plan_undo(report, run=LIFTED)
    assert "its tag team was changed since, and stays" in reasons(plan)
    aws.carry_out(plan, run=LIFTED)
    assert aws.plain_tags("/p/a") == {"team": "theirs", "gone": "1"}
    assert state(aws)[:-1] == before[:-1]


def test_without_a_hold_nothing_is_taken_back() -> None:
    aws, report, _ = updated()
    plan = aws.plan_undo(report)
    assert [change.withheld_by for change in plan.changes] == [("undo-without-hold",)]
    assert aws.carry_out(plan).exit_code == 5
    assert aws.value("/p/a") == "new"


def test_a_secret_does_not_become_plain_unasked() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "plain")
    aws.put("/p/a", "secret", SECURE)
    report = aws.apply()
    plan = aws.plan_undo(report, run=LIFTED)
    assert [change.withheld_by for change in plan.changes] == [("exposure",)]
    run = replace(LIFTED, allow_exposure=True, only=("/p/a",))
    aws.undo(report, run=run)
    assert (aws.live("/p/a").type, aws.value("/p/a")) == ("String", "plain")


def test_an_undo_can_be_undone() -> None:
    aws, report, _ = updated()
    after = state(aws)
    undone = aws.undo(report, run=LIFTED)
    again = aws.undo(undone, run=LIFTED)
    assert again.summary["applied"] == 1
    assert state(aws) == after
    record = record_of(aws.world.tags(aws.there, "/p/a") or {})
    assert record is not None
    assert record.source_version == NO_SOURCE
    assert counted(aws.plan()) == {"retag": 1}


@pytest.mark.parametrize("moved", [True, False])
def test_an_alias_that_names_another_key_than_at_the_former_version_is_named(moved: bool) -> None:
    aws = SimulatedAws()
    for place in (aws.here, aws.there):
        aws.world.add_key(place, "alias/x")
    aws.put("/p/a", "old", SECURE, key_id="alias/x")
    spec = replication(targets=(target(default_key="alias/x"),))
    aws.apply(spec)
    aws.put("/p/a", "new", SECURE, key_id="alias/x")
    report = aws.apply(spec)
    if moved:
        aws.world.point_alias(aws.there, "alias/x", aws.world.add_key(aws.there, "alias/y"))
    plan = aws.plan_undo(report, spec, run=LIFTED)
    text = "its key alias/x names another key now than when version 1 was written"
    assert (text in reasons(plan)) is moved
    assert [change.takes_over for change in plan.changes] == [False]


def test_a_key_by_which_another_writer_wrote_the_former_version_is_not_compared_with_the_record() -> None:
    aws = SimulatedAws()
    aws.world.add_key(aws.there, "alias/theirs")
    aws.replicate("/p/a", "old", SECURE)
    aws.put("/p/a", "theirs", SECURE, region="us-east-2", key_id="alias/theirs")
    report = aws.apply(run=Run(overwrite_outside=True))
    assert "names another key" not in reasons(aws.plan_undo(report, run=LIFTED))


def test_a_key_that_cannot_be_used_is_named() -> None:
    aws = SimulatedAws(replication())
    aws.world.add_key(aws.there, "alias/x")
    aws.put("/p/a", "ours", SECURE)
    aws.put("/p/a", "theirs", SECURE, region="us-east-2", key_id="alias/x")
    spec = replication(adopt=AdoptMode.OVERWRITE)
    report = aws.apply(spec)
    aws.world.set_key(aws.there, "alias/x", KeyState.DISABLED)
    plan = aws.plan_undo(report, spec, run=LIFTED)
    assert plan.changes == ()
    assert "the key alias/x of version 1 is disabled" in reasons(plan)


def test_a_change_that_failed_is_listed_with_what_to_do() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.world.faults = at_call("PutParameter", refused(Trouble.DENIED))
    report = aws.apply()
    aws.world.faults = None
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "it failed, and what it wrote is unknown. Correct the source and apply again" in reasons(plan)


@pytest.mark.parametrize("kind", ["String", SECURE])
def test_tags_that_complete_a_write_of_an_earlier_run_are_listed_as_not_possible(kind: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", kind, tags={"team": "a"})
    aws.put("/p/a", "bad", kind, tags={"team": "b"})
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
    assert aws.apply().summary["failed"] == 1
    aws.world.faults = None
    report = aws.apply()
    assert outcome(report).change.row is Row.RETAG
    before = aws.world.state()
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "version 2 was written after its record, of version 1, and before the apply" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert aws.world.state() == before


def test_a_replica_that_was_replaced_is_listed() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v", data_type="text")
    aws.put("/p/a", "v", tier="Advanced", region="us-east-2")
    report = aws.apply(run=Run(allow_replace=True, overwrite_outside=True))
    assert outcome(report).result is Result.APPLIED
    assert outcome(report).change.row is Row.REPLACE
    assert "deleted and created again" in reasons(aws.plan_undo(report, run=LIFTED))


def test_an_update_that_became_a_replacement_is_listed_also_at_version_1() -> None:
    aws = SimulatedAws(behaviour=AwsBehaviour(type_change=InPlace.REFUSED))
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new", "StringList", tags={"team": "b"})
    report = aws.apply(run=Run(allow_replace=True))
    assert outcome(report).change.row is Row.UPDATE
    assert_listed_as_recreated(aws, report)


def test_an_update_that_created_the_parameter_again_is_listed() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "old", tags={"team": "a"})
    aws.put("/p/a", "new", tags={"team": "b"})
    plan = aws.plan()

    def delete() -> None:
        aws.delete("/p/a", region="us-east-2")
        aws.pass_time(minutes=1)

    aws.world.before("PutParameter", delete)
    report = aws.carry_out(plan)
    assert "created again" in outcome(report).note
    assert_listed_as_recreated(aws, report)


def assert_listed_as_recreated(aws: SimulatedAws, report: Report) -> None:
    (entry,) = report_document(report, tool_version="1", created=aws.clock.now())["outcomes"]
    assert entry["recreated"] is True
    assert entry["before"] is not None
    assert entry["after"] is not None
    assert entry["before"]["version"] == entry["after"]["version"] == 1
    before = aws.world.state()
    plan = aws.plan_undo(report, run=LIFTED)
    assert plan.changes == ()
    assert "deleted and created again" in reasons(plan)
    assert aws.carry_out(plan, run=LIFTED).exit_code == 3
    assert aws.world.state() == before
