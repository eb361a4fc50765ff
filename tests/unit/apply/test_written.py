"""The state before and after a change that was applied, where responses are lost and runs are stopped."""

from __future__ import annotations

from ssm_reconcile.errors import Trouble
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.report import ParameterVersion, Result, Written
from tests.builders import outcome
from tests.fake_aws.traffic import at_call, lost, refused
from tests.simulated_aws import SimulatedAws


def written(aws: SimulatedAws, name: str = "/p/a") -> Written:
    found = outcome(aws.apply(), name).written
    assert found is not None
    return found


def test_a_create_whose_response_was_lost_names_the_tags_that_it_wrote() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.world.faults = at_call("PutParameter", lost(done=True))
    found = written(aws)
    live = aws.live("/p/a")
    assert (found.before, found.after) == (None, ParameterVersion(1, live.last_modified))
    assert found.tags is not None
    assert found.tags.before == {}
    assert found.tags.after == aws.world.tags(aws.there, "/p/a")


def test_an_update_whose_response_was_lost_names_its_version() -> None:
    aws = SimulatedAws()
    aws.replicate()
    before = aws.live("/p/a")
    aws.put("/p/a", "w")
    aws.world.faults = at_call("PutParameter", lost(done=True))
    found = written(aws)
    assert found.before == ParameterVersion(1, before.last_modified)
    assert found.after == ParameterVersion(2, aws.live("/p/a").last_modified)
    assert found.tags is not None
    assert found.tags.before.keys() == found.tags.after.keys() == {RECORD}


def test_the_state_of_a_change_that_failed_is_unknown() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "w")
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED))
    one = outcome(aws.apply())
    assert (one.result, one.written) == (Result.FAILED, None)


def test_a_stopped_run_names_the_version_without_its_time() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v")
    aws.world.before("PutParameter", aws.stop.set)
    assert written(aws).after == ParameterVersion(1, None)


def test_a_version_of_another_writer_is_seen_in_the_numbers() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "w")
    aws.world.before("PutParameter", lambda: aws.put("/p/a", "theirs", region="us-east-2"))
    found = written(aws)
    assert found.before is not None
    assert found.after is not None
    assert (found.before.version, found.after.version) == (1, 3)


def test_a_deleted_replica_is_named_with_all_its_tags() -> None:
    aws = SimulatedAws()
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v", tags={"team": "a"})
    aws.apply()
    tags, live = aws.world.tags(aws.there, "/p/a"), aws.live("/p/a")
    aws.delete("/p/a")
    found = written(aws)
    assert found.tags is not None
    assert found.tags.before == tags
    assert {OWNER, RECORD, "team"} == found.tags.before.keys()
    assert (found.before, found.after, found.tags.after) == (
        ParameterVersion(1, live.last_modified),
        None,
        {},
    )
