"""Ownership is confirmed again before a write is repeated."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import ADVANCED, STANDARD
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.report import Report
from ssm_reconcile.spec import DeleteMode, Run
from tests.builders import outcome, record, replication
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws

OTHER_ID = {RECORD: record(spec_id="h5t8w4p2zc", version=1).text()}
RUN = Run(max_deletes=10, allow_replace=True)
Prepare = Callable[[SimulatedAws], object]


def made_standard(aws: SimulatedAws) -> None:
    """Make the Advanced source again as a Standard one."""
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "new")


CHANGES: dict[str, tuple[str, Prepare]] = {
    "update": ("PutParameter", lambda aws: aws.put("/p/a", "new")),
    "delete": ("DeleteParameters", lambda aws: aws.delete("/p/a")),
    "replace": ("DeleteParameters", made_standard),
    "retag": ("AddTagsToResource", lambda aws: aws.world.tag(aws.here, "/p/a", {"team": "web"})),
    "release": ("RemoveTagsFromResource", lambda aws: aws.delete("/p/a")),
}
MARKS = {
    "its ownership has changed": OTHER_ID,
    "it has the tag skip_sync itself": {"skip_sync": "true"},
}


def throttled_once(kind: str, meanwhile: Prepare) -> tuple[SimulatedAws, Report]:
    """Return an AWS and the report of an apply whose first write is throttled, while something happens."""
    operation, prepare = CHANGES[kind]
    released = kind == "release"
    spec = replication(delete=DeleteMode.CREATED) if released else replication()
    aws = SimulatedAws(spec)
    if released:
        aws.world.put(aws.there, "/p/a", "v")
    for name in ("/p/a", "/p/b"):
        aws.put(name, "v", tier=ADVANCED if kind == "replace" else STANDARD)
    aws.apply()
    prepare(aws)
    aws.pass_time()
    planned = aws.plan(run=RUN)
    assert [one.withheld_by for one in planned.changes] == [()]
    aws.world.traffic.forget()
    aws.world.faults = at_call(operation, refused(Trouble.THROTTLED), nth=1)
    aws.world.before(operation, lambda: meanwhile(aws))
    return aws, aws.carry_out(planned, run=RUN)


@pytest.mark.parametrize("message", MARKS)
@pytest.mark.parametrize("kind", CHANGES)
def test_a_replica_with_a_new_tag_or_owner_while_a_write_waited_is_not_touched(
    kind: str, message: str
) -> None:
    aws, report = throttled_once(kind, lambda aws: aws.world.tag(aws.there, "/p/a", MARKS[message]))
    one = outcome(report)
    assert (one.result.value, message in one.error) == ("stale", True)
    assert (aws.value("/p/a"), aws.version("/p/a")) == ("v", 1)
    tags = aws.world.tags(aws.there, "/p/a") or {}
    assert MARKS[message].items() <= tags.items()
    assert OWNER in tags
    assert "team" not in tags


@pytest.mark.parametrize("kind", CHANGES)
def test_a_replica_that_is_still_ours_is_written_at_the_second_try(kind: str) -> None:
    _, report = throttled_once(kind, lambda _: None)
    assert outcome(report).result.value == "applied"


def test_an_adoption_is_stale_when_another_owner_took_the_parameter_while_it_waited() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "v")
    theirs = {OWNER: "other@111122223333/eu-west-1", RECORD: record().text()}
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.THROTTLED), nth=1)
    aws.world.before("AddTagsToResource", lambda: aws.world.tag(aws.there, "/p/a", theirs))
    assert outcome(aws.apply()).result.value == "stale"
    assert aws.world.tags(aws.there, "/p/a") == theirs


def test_one_delete_of_a_batch_that_is_not_ours_any_more_does_not_keep_the_other() -> None:
    aws = SimulatedAws()
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    aws.apply()
    aws.delete("/p/a", "/p/b")
    aws.pass_time()
    plan = aws.plan(run=RUN)
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.THROTTLED), nth=1)
    aws.world.before("DeleteParameters", lambda: aws.world.tag(aws.there, "/p/a", OTHER_ID))
    report = aws.carry_out(plan, run=RUN)
    assert [outcome(report, name).result.value for name in ("/p/a", "/p/b")] == ["stale", "applied"]
    assert aws.world.names(aws.there) == ["/p/a", "/p/c"]
