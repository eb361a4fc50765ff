"""Ownership is confirmed again before a write is repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import ADVANCED, STANDARD
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.report import Report
from ssm_reconcile.spec import DeleteMode, Run
from tests.builders import Stage, outcome, record, replication
from tests.fake_aws.traffic import at_call, refused

OTHER_ID = {RECORD: record(spec_id="h5t8w4p2zc", version=1).text()}
RUN = Run(max_deletes=10, allow_replace=True)
Prepare = Callable[[Stage], object]


def made_standard(stage: Stage) -> None:
    """Make the Advanced source again as a Standard one."""
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new")


CHANGES: dict[str, tuple[str, Prepare]] = {
    "update": ("PutParameter", lambda stage: stage.world.put(stage.here, "/p/a", "new")),
    "delete": ("DeleteParameters", lambda stage: stage.world.delete(stage.here, "/p/a")),
    "replace": ("DeleteParameters", made_standard),
    "retag": ("AddTagsToResource", lambda stage: stage.world.tag(stage.here, "/p/a", {"team": "web"})),
    "release": ("RemoveTagsFromResource", lambda stage: stage.world.delete(stage.here, "/p/a")),
}
MARKS = {
    "its ownership has changed": OTHER_ID,
    "it has the tag skip_sync itself": {"skip_sync": "true"},
}


def throttled_once(kind: str, meanwhile: Prepare) -> tuple[Stage, Report]:
    """Return a stage and the report of an apply whose first write is throttled, while something happens."""
    operation, prepare = CHANGES[kind]
    released = kind == "release"
    spec = replication(delete=DeleteMode.CREATED) if released else replication()
    stage = Stage(spec)
    if released:
        stage.world.put(stage.there, "/p/a", "v")
    for name in ("/p/a", "/p/b"):
        stage.world.put(stage.here, name, "v", tier=ADVANCED if kind == "replace" else STANDARD)
    stage.apply()
    prepare(stage)
    stage.pass_time()
    planned = stage.plan(RUN)
    assert [one.withheld_by for one in planned.changes] == [()]
    stage.world.traffic.forget()
    stage.world.faults = at_call(operation, refused(Trouble.THROTTLED), nth=1)
    stage.world.before(operation, lambda: meanwhile(stage))
    return stage, stage.carry_out(planned, RUN)


@pytest.mark.parametrize("message", MARKS)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_replica_with_a_new_tag_or_owner_while_a_write_waited_is_not_touched(
    kind: str, message: str
) -> None:
    stage, report = throttled_once(kind, lambda stage: stage.world.tag(stage.there, "/p/a", MARKS[message]))
    one = outcome(report)
    assert (one.result.value, message in one.error) == ("stale", True)
    assert (stage.value("/p/a"), stage.version("/p/a")) == ("v", 1)
    tags = stage.world.tags(stage.there, "/p/a") or {}
    assert MARKS[message].items() <= tags.items()
    assert OWNER in tags
    assert "team" not in tags


@pytest.mark.parametrize("kind", CHANGES)
def test_a_replica_that_is_still_ours_is_written_at_the_second_try(kind: str) -> None:
    _, report = throttled_once(kind, lambda _: None)
    assert outcome(report).result.value == "applied"


def test_an_adoption_is_stale_when_another_owner_took_the_parameter_while_it_waited() -> None:
    stage = Stage()
    stage.world.put(stage.here, "/p/a", "v")
    stage.world.put(stage.there, "/p/a", "v")
    theirs = {OWNER: "other@111122223333/eu-west-1", RECORD: record().text()}
    stage.world.faults = at_call("AddTagsToResource", refused(Trouble.THROTTLED), nth=1)
    stage.world.before("AddTagsToResource", lambda: stage.world.tag(stage.there, "/p/a", theirs))
    assert outcome(stage.apply()).result.value == "stale"
    assert stage.world.tags(stage.there, "/p/a") == theirs


def test_one_delete_of_a_batch_that_is_not_ours_any_more_does_not_keep_the_other() -> None:
    stage = Stage()
    for name in ("/p/a", "/p/b", "/p/c"):
        stage.world.put(stage.here, name, "v")
    stage.apply()
    stage.world.delete(stage.here, "/p/a", "/p/b")
    stage.pass_time()
    plan = stage.plan(RUN)
    stage.world.faults = at_call("DeleteParameters", refused(Trouble.THROTTLED), nth=1)
    stage.world.before("DeleteParameters", lambda: stage.world.tag(stage.there, "/p/a", OTHER_ID))
    report = stage.carry_out(plan, RUN)
    assert [outcome(report, name).result.value for name in ("/p/a", "/p/b")] == ["stale", "applied"]
    assert stage.world.names(stage.there) == ["/p/a", "/p/c"]
