"""A tool of the previous version that meets a record of today refuses it: it neither adopts nor removes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ssm_reconcile import detach
from ssm_reconcile.change import Row
from ssm_reconcile.record import Record, digest
from ssm_reconcile.spec import AdoptMode, Glob, OnSkip, Orphans, Run, SkipSync
from tests.builders import OWNED_BY, Stage, counted, replication
from tests.doubles import previous_reader
from tests.simulated_aws import unwatched

Act = Callable[[Stage], None]


def create(stage: Stage) -> None:
    stage.world.put(stage.here, "/p/a", "v", tags={"team": "a"})
    stage.apply()


def update(stage: Stage) -> None:
    create(stage)
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "new")
    stage.apply()


def retag(stage: Stage) -> None:
    create(stage)
    stage.pass_time()
    stage.world.tag(stage.here, "/p/a", {"team": "b"})
    stage.apply()


def adopt(stage: Stage) -> None:
    stage.world.put(stage.here, "/p/a", "v")
    stage.world.put(stage.there, "/p/a", "v")
    stage.apply()


def take_over(stage: Stage) -> None:
    stage.world.put(stage.here, "/p/a", "v")
    stage.world.put(stage.there, "/p/a", "other")
    stage.apply(Run(adopt=AdoptMode.OVERWRITE))


def replace(stage: Stage) -> None:
    stage.world.put(stage.here, "/p/a", "v", "SecureString")
    stage.apply()
    stage.pass_time()
    stage.world.delete(stage.here, "/p/a")
    stage.pass_time()
    stage.world.put(stage.here, "/p/a", "a,b", "StringList")
    stage.apply(Run(allow_replace=True))


WRITES = [create, update, retag, adopt, take_over, replace]


@pytest.mark.parametrize("act", WRITES)
@pytest.mark.parametrize("spec_id", [None, "abc123"])
def test_every_write_leaves_a_record_that_the_previous_version_takes_for_a_copied_one(
    act: Act, spec_id: str | None
) -> None:
    stage = Stage(replication(id=spec_id))
    act(stage)
    tags = stage.world.tags(stage.there, "/p/a")
    arn = stage.there.arn("/p/a")
    assert tags is not None
    assert previous_reader.standing(tags, arn, [OWNED_BY]) == "copied"
    assert not previous_reader.detaches(tags, arn, [OWNED_BY])


def test_the_frozen_reader_knows_a_record_of_its_own_time() -> None:
    stage = Stage()
    create(stage)
    tags = write_format_1(stage)
    arn = stage.there.arn("/p/a")
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
    stage = Stage()
    for name in ("/p/changed", "/p/gone", "/p/out", "/p/orphan"):
        stage.world.put(stage.here, name, "v")
    stage.apply()
    stage.pass_time()
    stage.world.put(stage.here, "/p/changed", "new")
    stage.world.delete(stage.here, "/p/gone")
    stage.world.tag(stage.here, "/p/out", {"skip_sync": "true"})
    previous()
    stage.spec = replication(
        adopt=mode, orphans=Orphans.DELETE, exclude=(Glob("/p/orphan"),),
        skip_sync=SkipSync(replicas=OnSkip.DELETE),
    )  # fmt: skip
    plan = stage.plan()
    assert plan.changes == ()
    assert {(other.name, other.row) for other in plan.others} == {
        ("/p/changed", Row.COPIED),
        ("/p/out", Row.COPIED),
    }


def test_the_previous_version_detaches_nothing_that_has_a_record_of_today(
    previous: Callable[[], None],
) -> None:
    stage = Stage()
    create(stage)
    previous()
    request = detach.resolve_request(stage.spec, "us-east-2", stage.places(), undo=False)
    names = request.find_replicas()
    done = detach.detach(request, names, stage.clock, unwatched, stage.stop, 1)
    assert [one.result.value for one in done.outcomes] == ["withheld"]
    assert (stage.world.tags(stage.there, "/p/a") or {})[previous_reader.OWNER] == OWNED_BY


def write_format_1(stage: Stage) -> dict[str, str]:
    """The tags of the replica, with the record that the previous version would have written."""
    tags = dict(stage.world.tags(stage.there, "/p/a") or {})
    own = previous_reader.read_own(tags)
    assert own is not None
    text = tags[previous_reader.RECORD].replace(own, digest(stage.there.arn("/p/a")))
    tags[previous_reader.RECORD] = text
    stage.world.tag(stage.there, "/p/a", tags)
    return tags


class TestUpgrade:
    def test_a_record_of_format_1_stays_in_sync_without_a_write(self) -> None:
        stage = Stage(replication(id=None))
        create(stage)
        tags = write_format_1(stage)
        stage.pass_time()
        assert counted(stage.plan()) == {"in_sync": 1}
        assert stage.world.tags(stage.there, "/p/a") == tags

    @pytest.mark.parametrize("act", [update, retag])
    def test_the_next_write_that_is_due_leaves_a_record_of_today(self, act: Act) -> None:
        stage = Stage()
        create(stage)
        write_format_1(stage)
        act(stage)
        tags = stage.world.tags(stage.there, "/p/a") or {}
        assert previous_reader.standing(tags, stage.there.arn("/p/a"), [OWNED_BY]) == "copied"
