"""What a sceptical reading found, each held by a test of its own."""

from __future__ import annotations

from ssm_reconcile.change import Action, Fate
from ssm_reconcile.model import SECURE, canonical
from ssm_reconcile.record import RECORD, WAS_SECRET, parse_record
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Glob, Limits, Replication, Rewrite, RewriteIn, Run
from tests.builders import Stage, replication

LIFTED = Run(max_deletes=100, max_change_percent=1000)


def test_what_was_ever_a_secret_stays_hidden_however_often_its_plain_value_changes() -> None:
    stage = Stage()
    stage.replicate("/p/a", "PLANTED", SECURE)
    stage.world.put(stage.here, "/p/a", "PLANTED", "String")
    assert stage.apply(LIFTED).summary["applied"] == 1
    assert stage.live("/p/a").type == "String"
    for value in ("second", "third"):
        stage.world.put(stage.here, "/p/a", value, "String")
        (change,) = stage.plan(LIFTED).changes
        assert [(d.attribute, d.secret, d.before, d.after) for d in change.differences] == [
            ("value", True, None, None)
        ]
        assert stage.apply(LIFTED).summary["applied"] == 1
        record = parse_record((stage.world.tags(stage.there, "/p/a") or {})[RECORD])
        assert record is not None
        assert record.key == WAS_SECRET
    assert stage.plan().changes == ()


def test_a_narrowed_run_finds_a_renamed_replica_by_the_source_that_is_gone() -> None:
    rename = Rewrite(Glob("/p/**"), RewriteIn.NAME, "east", "west")
    stage = Stage(replication(rewrites=(rename,)))
    for name in ("/p/east", "/p/other"):
        stage.world.put(stage.here, name, "v")
    stage.apply()
    stage.world.delete(stage.here, "/p/east")
    stage.pass_time()
    (change,) = stage.plan(Run(only=("/p/east",))).changes
    assert (change.action, change.name) == (Action.DELETE, "/p/west")


def test_a_type_change_that_may_be_a_replacement_counts_as_one() -> None:
    limits = Limits(max_deletes=0)
    stage = Stage(replication(limits=limits))
    stage.replicate("/p/a", "v")
    stage.world.put(stage.here, "/p/a", "v", SECURE)
    stage.pass_time()
    (change,) = stage.plan().changes
    assert change.fate is Fate.APPLY
    (change,) = stage.plan(Run(allow_replace=True)).changes
    assert change.withheld_by == ("max-deletes",)
    assert stage.plan().plan_id != stage.plan(Run(allow_replace=True, max_deletes=1)).plan_id


def test_rules_that_select_nothing_are_said() -> None:
    stage = Stage(_selecting("/nowhere/**"))
    stage.world.put(stage.here, "/p/a", "v")
    assert [finding.code for finding in stage.plan().all_findings] == ["nothing-selected"]
    assert stage.apply().outcomes == ()


def _selecting(pattern: str) -> Replication:
    return replication(include=(Glob(pattern),))


def test_a_name_that_is_taken_by_nothing_is_tried_again() -> None:
    """AWS may say so within the half minute after a delete (aws-facts A1)."""
    from ssm_reconcile.errors import Trouble
    from tests.fake_aws.traffic import at_call, refused

    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v")
    stage.pass_time()
    stage.world.faults = at_call("PutParameter", refused(Trouble.EXISTS, "ParameterAlreadyExists"), nth=1)
    (outcome,) = stage.apply().outcomes
    assert outcome.result is Result.APPLIED
    assert stage.value(canonical("/p/a")) == "v"


def test_a_rewritten_value_that_its_pattern_refuses_is_found_by_the_plan() -> None:
    moved = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
    stage = Stage(replication(rewrites=(moved,)))
    stage.world.put(stage.here, "/p/a", "a.us-east-1", allowed_pattern=".*us-east-1")
    stage.world.put(stage.here, "/p/b", "b.us-east-1", allowed_pattern="[a-z].us-east-[12]")
    stage.pass_time()
    plan = stage.plan()
    assert [(other.name, other.counted) for other in plan.others] == [("/p/a", "invalid")]
    assert [finding.code for finding in plan.all_findings] == ["rewrite"]
    assert stage.apply().summary["applied"] == 1
    assert stage.value("/p/b") == "b.us-east-2"
