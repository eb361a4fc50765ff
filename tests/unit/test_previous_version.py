"""A tool of the previous version that meets a record of today refuses it: it neither adopts nor removes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as replace_fields
from datetime import timedelta

import pytest

from ssm_reconcile import detach
from ssm_reconcile.change import Row
from ssm_reconcile.record import EXPIRES, Record, digest
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, Glob, Orphans, Run
from tests.builders import OWNED_BY, counted, replication
from tests.doubles import previous_reader
from tests.simulated_aws import SimulatedAws, unwatched

Act = Callable[[SimulatedAws], None]


def create(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v", tags={"team": "a"})
    aws.apply()


def update(aws: SimulatedAws) -> None:
    create(aws)
    aws.pass_time()
    aws.put("/p/a", "new")
    aws.apply()


def retag(aws: SimulatedAws) -> None:
    create(aws)
    aws.pass_time()
    aws.world.tag(aws.here, "/p/a", {"team": "b"})
    aws.apply()


def adopt(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "v")
    aws.apply()


def take_over(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "other")
    aws.apply(run=Run(adopt=AdoptMode.OVERWRITE))


def replace(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v", "SecureString")
    aws.apply()
    aws.pass_time()
    aws.delete("/p/a")
    aws.pass_time()
    aws.put("/p/a", "a,b", "StringList")
    aws.apply(run=Run(allow_replace=True))


WRITES = [create, update, retag, adopt, take_over, replace]


@pytest.mark.parametrize("act", WRITES)
@pytest.mark.parametrize("spec_id", [None, "abc123"])
def test_every_write_leaves_a_record_that_the_previous_version_takes_for_a_copied_one(
    act: Act, spec_id: str | None
) -> None:
    aws = SimulatedAws(replication(id=spec_id))
    act(aws)
    tags = aws.world.tags(aws.there, "/p/a")
    arn = aws.there.arn("/p/a")
    assert tags is not None
    assert previous_reader.standing(tags, arn, [OWNED_BY]) == "copied"
    assert not previous_reader.detaches(tags, arn, [OWNED_BY])


def test_the_frozen_reader_knows_a_record_of_its_own_time() -> None:
    aws = SimulatedAws()
    create(aws)
    tags = write_format_1(aws)
    arn = aws.there.arn("/p/a")
    assert previous_reader.standing(tags, arn, [OWNED_BY]) == "ours"
    assert previous_reader.detaches(tags, arn, [OWNED_BY])


@pytest.fixture
def previous(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, the whole tool compares records as the previous version did."""

    def names(record: Record, arn: str) -> bool:
        return previous_reader.names(record.own, arn)

    return lambda: monkeypatch.setattr(Record, "is_for", names)


@pytest.mark.parametrize("mode", list(AdoptMode))
def test_the_previous_version_writes_nothing_where_records_of_today_stand(
    previous: Callable[[], None], mode: AdoptMode
) -> None:
    """Placed and changed, placed and gone, opted out at the source, and an orphan."""
    aws = SimulatedAws()
    for name in ("/p/changed", "/p/gone", "/p/out", "/p/orphan"):
        aws.put(name, "v")
    aws.apply()
    aws.pass_time()
    aws.put("/p/changed", "new")
    aws.delete("/p/gone")
    aws.world.tag(aws.here, "/p/out", {"skip_sync": "true"})
    previous()
    aws.spec = replication(
        adopt=mode, orphans=Orphans.DELETE, exclude=(Glob("/p/orphan"),),
        skip_sync=SkipSync(replicas=OnSkip.DELETE),
    )  # fmt: skip
    plan = aws.plan()
    assert plan.changes == ()
    assert {(other.name, other.row) for other in plan.others} == {
        ("/p/changed", Row.COPIED),
        ("/p/out", Row.COPIED),
    }


def test_the_previous_version_detaches_nothing_that_has_a_record_of_today(
    previous: Callable[[], None],
) -> None:
    aws = SimulatedAws()
    create(aws)
    previous()
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    names = request.find_replicas()
    done = detach.detach(request, names, aws.clock, unwatched, aws.stop, 1)
    assert [one.result.value for one in done.outcomes] == ["withheld"]
    assert (aws.world.tags(aws.there, "/p/a") or {})[previous_reader.OWNER] == OWNED_BY


def write_format_1(aws: SimulatedAws) -> dict[str, str]:
    """The tags of the replica, with the record that the previous version would have written."""
    tags = dict(aws.world.tags(aws.there, "/p/a") or {})
    own = previous_reader.read_own(tags)
    assert own is not None
    text = tags[previous_reader.RECORD].replace(own, digest(aws.there.arn("/p/a")))
    tags[previous_reader.RECORD] = text
    aws.world.tag(aws.there, "/p/a", tags)
    return tags


class TestUpgrade:
    def test_a_record_of_format_1_stays_in_sync_without_a_write(self) -> None:
        aws = SimulatedAws(replication(id=None))
        create(aws)
        tags = write_format_1(aws)
        aws.pass_time()
        assert counted(aws.plan()) == {"in_sync": 1}
        assert aws.world.tags(aws.there, "/p/a") == tags

    @pytest.mark.parametrize("act", [update, retag])
    def test_the_next_write_that_is_due_leaves_a_record_of_today(self, act: Act) -> None:
        aws = SimulatedAws()
        create(aws)
        write_format_1(aws)
        act(aws)
        tags = aws.world.tags(aws.there, "/p/a") or {}
        assert previous_reader.standing(tags, aws.there.arn("/p/a"), [OWNED_BY]) == "copied"

    def test_a_time_to_wait_writes_a_mark_beside_a_record_of_format_1_and_nothing_else(self) -> None:
        aws = SimulatedAws(replication(id=None))
        create(aws)
        tags = write_format_1(aws)
        aws.put("/p/other")
        aws.apply()
        aws.delete("/p/a")
        aws.pass_time()
        assert [change.row for change in aws.plan().changes] == [Row.DELETE]
        aws.spec = replace_fields(aws.spec, grace=timedelta(days=7))
        assert [change.row for change in aws.plan().changes] == [Row.EXPIRING]
        aws.apply()
        marked = dict(aws.world.tags(aws.there, "/p/a") or {})
        assert marked.pop(EXPIRES)
        assert marked == tags
        aws.pass_time(days=8)
        aws.apply()
        assert aws.version("/p/a") is None
