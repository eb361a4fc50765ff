"""The results of a row: changes with preconditions, addresses with reasons, findings."""

from __future__ import annotations

import pytest

from ssm_reconcile.change import Adopt, Preconditions, Retag
from ssm_reconcile.diff import CONFIRMED_RETAGS, NAMED, addresses_to_confirm
from ssm_reconcile.model import IMAGE, SECURE
from ssm_reconcile.record import Origin, compose_own, digest, key_digest
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, DeleteMode, Orphans, Run
from tests.builders import (
    COPIED_AT,
    HERE,
    ID,
    MADE,
    SOMEBODY,
    THERE,
    held,
    judge,
    replica,
    replication,
    ring,
)


def test_a_create_expects_absence_and_the_version_of_its_source() -> None:
    assert judge(held(version=3)).change.expected == Preconditions(3, MADE, None, None)


def test_an_update_expects_both_sides_as_they_were_read() -> None:
    found = judge(held(value="new", version=3), replica(held(), version=2))
    assert found.change.expected == Preconditions(3, MADE, 2, COPIED_AT)


def test_a_delete_expects_the_replica_and_no_source() -> None:
    assert judge([], replica(held())).change.expected == Preconditions(None, None, 1, COPIED_AT)


def test_a_delete_knows_its_source_its_type_and_its_last_writer() -> None:
    change = judge([], replica(held(kind=SECURE), last_modified_user=SOMEBODY)).change
    assert (change.source_name, change.kind, change.writer) == ("/p/a", SECURE, SOMEBODY)


def test_an_adoption_records_what_was_compared() -> None:
    source = held(version=5)
    change = judge(source, replica(source, own_tags=False, version=4)).change
    assert isinstance(change.effect, Adopt)
    made = change.effect.record
    assert (made.source_version, made.source_modified) == (5, MADE)
    assert (made.version, made.written) == (4, COPIED_AT)
    assert (made.own, made.source) == (
        compose_own(THERE.arn("/p/a"), "String", ID),
        digest(HERE.arn("/p/a")),
    )
    assert (made.key, made.rewrite, made.origin) == ("none", "none", Origin.ADOPTED)


def test_an_adopted_secret_records_its_key() -> None:
    source = held(kind=SECURE)
    change = judge(source, replica(source, own_tags=False)).change
    assert isinstance(change.effect, Adopt)
    assert change.effect.record.key == key_digest("alias/aws/ssm")


def test_a_retag_by_versions_alone_keeps_the_versions_of_the_record() -> None:
    source = held(tags={"new": "1"}, kind=SECURE)
    change = judge(source, replica(source, tags={})).change
    assert isinstance(change.effect, Retag)
    assert (change.effect.record.version, change.effect.record.written) == (1, COPIED_AT)


def test_a_warning_about_an_image_is_a_reason_and_a_finding() -> None:
    found = judge(held(data_type=IMAGE))
    assert "AMI ids are regional" in found.reasons
    assert found.diff.findings[0].where == "us-east-2 /p/a"


def test_one_finding_a_key_names_a_few_and_counts_the_rest() -> None:
    sources = [held(f"/p/{i}", kind=SECURE, key_id="alias/app") for i in range(NAMED + 2)]
    found = judge(sources, source_ring=ring(HERE, "alias/app"))
    (finding,) = found.diff.findings
    assert "/p/4 and 2 more)" in finding.message
    assert finding.where == "us-east-2 alias/app"
    assert "alias/app" in finding.message


def test_one_finding_a_key_names_all_while_they_are_few() -> None:
    sources = [held(f"/p/{i}", kind=SECURE, key_id="alias/app") for i in range(NAMED)]
    (finding,) = judge(sources, source_ring=ring(HERE, "alias/app")).diff.findings
    assert finding.message.endswith("(needed by /p/0, /p/1, /p/2, /p/3, /p/4)")


def test_one_finding_an_address_where_it_has_a_problem_of_its_own() -> None:
    tags = {f"t{i}": "x" for i in range(50)}
    found = judge([held("/p/a", tags=tags), held("/p/b", tags=tags)])
    assert [finding.where for finding in found.diff.findings] == ["us-east-2 /p/a", "us-east-2 /p/b"]


def test_an_adopt_states_its_mode_and_the_differences() -> None:
    native = replica(held(value="old"), own_tags=False)
    found = judge(held(value="new", tags={"t": "1"}), native, run=Run(adopt=AdoptMode.OVERWRITE))
    assert "differs in value, tags (`adopt: overwrite`)" in found.reasons


class TestWhatRestsOnTags:
    def test_deletes_releases_replacements_and_retags_rest_on_the_tags_of_the_replica(self) -> None:
        spec = replication(delete=DeleteMode.CREATED)
        live = [
            replica(held("/p/deleted")),
            replica(held("/p/released"), origin=Origin.ADOPTED),
            replica(held("/p/replaced"), tier="Advanced"),
            replica(held("/p/retagged"), tags={"x": "1"}),
            replica(held("/p/updated"), description="x"),
            replica(held("/p/adopted"), own_tags=False),
        ]
        kept = [held(f"/p/{one}") for one in ("replaced", "retagged", "updated", "adopted", "created")]
        found = addresses_to_confirm({"us-east-2": judge(kept, live, spec=spec).diff})
        assert found["us-east-2"] == {"/p/deleted", "/p/released", "/p/replaced", "/p/retagged"}
        assert found[""] == {"/p/retagged"}, "a tag goes since the source's bulk read has none"

    def test_a_removal_for_skip_sync_rests_on_the_tags_of_the_source_too(self) -> None:
        spec = replication(skip_sync=SkipSync(replicas=OnSkip.DELETE))
        found = addresses_to_confirm(
            {"us-east-2": judge(held(tags={"skip_sync": ""}), replica(held()), spec=spec).diff}
        )
        assert found == {"us-east-2": {"/p/a"}, "": {"/p/a"}}

    @pytest.mark.parametrize(("count", "confirmed"), [(CONFIRMED_RETAGS, 50), (CONFIRMED_RETAGS + 1, 0)])
    def test_retags_are_confirmed_when_written_once_they_are_many(self, count: int, confirmed: int) -> None:
        sources = [held(f"/p/{i}", tags={"t": "1"}) for i in range(count)]
        live = [replica(one, tags={}) for one in sources]
        assert len(addresses_to_confirm({"us-east-2": judge(sources, live).diff})["us-east-2"]) == confirmed

    def test_an_orphan_that_is_deleted_does_not_rest_on_its_source(self) -> None:
        spec = replication(include=(), orphans=Orphans.DELETE)
        found = addresses_to_confirm({"us-east-2": judge(held(), replica(held()), spec=spec).diff})
        assert found == {"us-east-2": {"/p/a"}, "": frozenset()}
