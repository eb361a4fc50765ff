"""The table of cases, row by row: when it fits, and where it ends and the next one begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from ssm_reconcile.change import Adopt as Adoption
from ssm_reconcile.change import Create, Delete, Release, Replace, Retag, Row, Update
from ssm_reconcile.diff.table import TABLE
from ssm_reconcile.model import (
    ADVANCED,
    IMAGE,
    INTELLIGENT,
    MANAGED_KEY,
    SECURE,
    STANDARD,
    STRING_LIST,
    Key,
    Keyring,
    KeyState,
)
from ssm_reconcile.record import (
    EXPIRES,
    OWNER,
    RECORD,
    SOURCE,
    ExpiryMark,
    Origin,
    compose_own,
    digest,
    key_digest,
    parse_record,
    rewrite_digest,
)
from ssm_reconcile.skip_sync import OnSkip, SkipMode, SkipSync
from ssm_reconcile.spec import (
    AdoptMode,
    DeleteMode,
    Glob,
    Hold,
    KeyRule,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Run,
)
from tests.builders import (
    COPIED_AT,
    HERE,
    MADE,
    NOW,
    OWNED_BY,
    SOMEBODY,
    THERE,
    US,
    Held,
    held,
    judge,
    key_arn,
    replica,
    replication,
    ring,
    target,
)

OTHERS = "staging@123456789012/us-east-1"
SKIP = {"skip_sync": "yes"}
NOTICE = '{"Attributes":{"After":"30","Unit":"Days"},"Type":"NoChangeNotification","Version":"1.0"}'


def test_the_rows_are_tried_in_the_order_of_the_design() -> None:
    assert [row for row, _ in TABLE] == [row for row in Row if row is not Row.UNDONE]


def foreign(of: Held, **more: Any) -> Held:
    return replica(of, owner=OTHERS, **more)


def copied(of: Held, **more: Any) -> Held:
    return replica(of, record={"own": digest(THERE.arn("/p/elsewhere"))}, **more)


def detached(of: Held, **more: Any) -> Held:
    mine = replica(of, **more)
    return replace(mine, tags={**mine.tags, OWNER: f"detached:{OWNED_BY}"})


class TestForeign:
    def test_foreign_is_another_owners_replica_where_something_is_placed(self) -> None:
        found = judge(held(), foreign(held()))
        assert found.row == "foreign"
        assert found.other.counted == "conflict"
        assert OTHERS in found.reasons

    @pytest.mark.parametrize("mode", list(AdoptMode))
    def test_foreign_stays_a_conflict_in_every_adopt_mode(self, mode: AdoptMode) -> None:
        assert judge(held(), foreign(held()), run=Run(adopt=mode)).row == "foreign"

    def test_foreign_is_what_cloudformation_manages_and_we_do_not(self) -> None:
        stack = replica(held(), own_tags=False, tags={"aws:cloudformation:stack-name": "s"})
        found = judge(held(), stack)
        assert (found.row, found.other.counted) == ("foreign", "conflict")
        assert "CloudFormation" in found.reasons

    def test_foreign_ends_where_a_stack_manages_what_is_ours(self) -> None:
        mine = replica(held())
        both = replace(mine, tags={**mine.tags, "aws:cloudformation:stack-name": "s"})
        assert judge(held(), both).row == "in_sync"

    def test_foreign_comes_before_detached_opted_out_and_skipped(self) -> None:
        source = held(tags=SKIP)
        assert judge(source, foreign(held(), tags=SKIP)).row == "foreign"

    @pytest.mark.parametrize("marked", [detached, copied])
    def test_foreign_is_what_a_stack_manages_before_it_is_detached_or_copied(
        self, marked: Callable[[Held], Held]
    ) -> None:
        there = marked(held())
        stack = replace(there, tags={**there.tags, "aws:cloudformation:stack-name": "s"})
        assert judge(held(), stack).row == "foreign"

    def test_foreign_with_an_unreadable_record_is_left_to_its_owner(self) -> None:
        later = replace(foreign(held()), tags={OWNER: OTHERS, RECORD: "v=9 something new"})
        assert judge(held(), later).row == "foreign"

    def test_foreign_needs_a_record_that_names_the_parameter_itself(self) -> None:
        stray = foreign(held(), record={"own": digest(THERE.arn("/p/elsewhere"))})
        assert judge(held(), stray).row == "adopt"

    def test_foreign_is_invisible_where_nothing_is_placed(self) -> None:
        found = judge([], foreign(held()))
        assert (found.rows, found.codes, found.diff.replicas) == ([], [], 0)


class TestDetached:
    def test_detached_is_left_alone_until_it_is_taken_back(self) -> None:
        found = judge(held(), detached(held()))
        assert (found.row, found.other.counted) == ("detached", "detached")
        assert found.reasons == "it is detached; `detach --undo` reattaches it"

    @pytest.mark.parametrize(
        ("owner", "record", "reason"),
        [
            (OTHERS, {}, f"it is detached; it was a replica of {OTHERS}"),
            (
                OWNED_BY, {"own": compose_own(THERE.arn("/p/a"), "String", "n0t0ur1d00")},
                "it was a replica of another spec with the same name and another id",
            ),
            (
                OWNED_BY, {"own": compose_own(THERE.arn("/p/a"), "String", None)},
                "`detach --undo --without-id` reattaches it",
            ),
            (
                OWNED_BY, {"own": digest(THERE.arn("/p/elsewhere"))},
                "its record is not of this parameter, so `detach --undo` skips it",
            ),
            (
                OWNED_BY, {"own": "later"},
                "its record is missing or cannot be read, so `detach --undo` skips it",
            ),
        ],
    )  # fmt: skip
    def test_detached_names_the_undo_that_reattaches_it_or_why_none_does(
        self, owner: str, record: dict[str, Any], reason: str
    ) -> None:
        there = replica(held(), record=record)
        there = replace(there, tags={**there.tags, OWNER: f"detached:{owner}"})
        found = judge(held(), there)
        assert found.row == "detached"
        assert found.reasons.endswith(reason)

    @pytest.mark.parametrize("mode", list(AdoptMode))
    def test_detached_is_not_adopted_in_any_mode(self, mode: AdoptMode) -> None:
        assert judge(held(value="new"), detached(held()), run=Run(adopt=mode)).row == "detached"

    def test_detached_comes_before_opted_out_chained_and_skipped(self) -> None:
        assert judge(held(tags=SKIP), detached(held(), tags=SKIP)).row == "detached"

    def test_detached_is_not_deleted_when_its_source_is_gone(self) -> None:
        found = judge([], detached(held()))
        assert (found.rows, found.diff.replicas) == ([], 0)


class TestCopied:
    def test_copied_tags_are_a_conflict_where_something_is_placed(self) -> None:
        found = judge(held(), copied(held()))
        assert (found.row, found.other.counted) == ("copied", "conflict")
        assert "copied ownership tags" in found.reasons
        assert found.codes == []

    def test_copied_tags_where_nothing_is_placed_are_invisible_and_a_warning(self) -> None:
        found = judge([], copied(held()), spec=replication(orphans=Orphans.DELETE))
        assert (found.rows, found.diff.replicas) == ([], 0)
        assert found.codes == ["copied-tags"]
        assert found.diff.findings[0].where == "us-east-2 /p/a"

    def test_copied_tags_on_what_a_stack_manages_are_a_warning_too(self) -> None:
        there = copied(held())
        stack = replace(there, tags={**there.tags, "aws:cloudformation:stack-name": "s"})
        found = judge([], stack)
        assert (found.rows, found.codes) == ([], ["copied-tags"])

    def test_copied_ends_where_the_record_names_this_very_parameter(self) -> None:
        assert judge(held(), replica(held())).row == "in_sync"

    def test_copied_needs_a_record_an_owner_tag_alone_has_no_owner(self) -> None:
        half = replace(replica(held()), tags={OWNER: OWNED_BY})
        assert judge(held(), half).row == "adopt"

    def test_copied_comes_before_opted_out_and_skipped(self) -> None:
        assert judge(held(tags=SKIP), copied(held(), tags=SKIP)).row == "copied"


class TestHeld:
    """The row right after `copied`: a hold stops whatever a later row would do or report."""

    SPEC = replication(adopt=AdoptMode.OVERWRITE, orphans=Orphans.DELETE, holds=(Hold(Glob("/p/a")),))
    RENAME = Rewrite(Glob("/p/**"), RewriteIn.NAME, "/p/", "/q/")

    @pytest.mark.parametrize(
        ("source", "live"),
        [
            ([held()], []),
            ([held(value="new", version=2)], [replica(held())]),
            ([held(tags={"team": "a"})], [replica(held())]),
            ([held()], [held()]),
            ([held()], [held(value="other")]),
            ([], [replica(held())]),
            ([held()], [replica(held())]),
            ([held(tags=SKIP)], [replica(held())]),
            ([held()], [replica(held(), tags=SKIP)]),
            ([held()], [replica(held(), tier=ADVANCED)]),
        ],
        ids=[
            "create", "update", "retag", "adopt", "conflict", "delete", "in sync", "kept out", "opted out",
            "replace",
        ],
    )  # fmt: skip
    def test_held_comes_before_every_row_after_copied(self, source: list[Held], live: list[Held]) -> None:
        found = judge(source, live, spec=self.SPEC, run=Run(allow_replace=True))
        assert (found.row, found.other.counted) == ("held", "held")
        assert found.proof.source == found.proof.live == {}, "a held value is not read"
        assert judge(source, live, spec=replace(self.SPEC, holds=())).row != "held"

    @pytest.mark.parametrize(
        ("live", "row"),
        [(foreign(held()), "foreign"), (copied(held()), "copied"), (detached(held()), "detached")],
        ids=["foreign", "copied", "detached"],
    )
    def test_held_does_not_hide_the_rows_before_it(self, live: Held, row: str) -> None:
        assert judge(held(), live, spec=self.SPEC).row == row

    def test_held_is_decided_by_the_name_of_the_source_and_not_by_the_address(self) -> None:
        spec = replace(self.SPEC, rewrites=(self.RENAME,))
        assert judge(held(), spec=spec).row == "held"
        assert judge(held(), spec=replace(spec, holds=(Hold(Glob("/q/a")),))).row == "create"

    @pytest.mark.parametrize(("pattern", "row"), [("/p/a", "held"), ("/q/a", "delete")])
    def test_held_is_decided_by_the_recorded_name_when_the_source_is_gone(
        self, pattern: str, row: str
    ) -> None:
        spec = replace(self.SPEC, rewrites=(self.RENAME,), holds=(Hold(Glob(pattern)),))
        assert judge([], replica(held(), name="/q/a"), spec=spec).row == row

    def test_held_by_any_hold_is_a_replica_that_does_not_name_its_source(self) -> None:
        spec = replace(self.SPEC, rewrites=(self.RENAME,), holds=(Hold(Glob("/elsewhere")),))
        made = replica(held(), name="/q/a")
        nameless = replace(made, tags={key: text for key, text in made.tags.items() if key != SOURCE})
        found = judge([], nameless, spec=spec)
        assert found.row == "held"
        assert "its source is not recorded" in found.reasons
        assert judge([], nameless, spec=replace(spec, holds=())).row == "orphan"

    @pytest.mark.parametrize("by_rewrite", [True, False], ids=["renamed replica", "renamed source"])
    def test_held_is_a_replica_of_a_held_source_also_when_another_source_is_placed_there(
        self, by_rewrite: bool
    ) -> None:
        was = "/p/db/url" if by_rewrite else "/q/x"
        hold, rename = Hold(Glob(was)), Rewrite(Glob("/p/x"), RewriteIn.NAME, "/p/", "/q/")
        spec = replication(include=(Glob("/p/x"),), rewrites=(rename,), holds=(hold,))
        there = replica(held(was), name="/q/x")
        new = held("/p/x", value="another")
        found = judge(new, there, spec=spec)
        assert (found.row, found.proof.source, found.proof.live) == ("held", {}, {})
        assert found.reasons.endswith(f"stops every change; the replica here was made from `{was}`")
        assert judge(new, there, spec=replace(spec, holds=(Hold(Glob("/p/other")),))).row == "update"

    def test_held_by_any_hold_is_such_a_replica_that_does_not_name_its_source(self) -> None:
        rename = Rewrite(Glob("/p/x"), RewriteIn.NAME, "/p/", "/q/")
        spec = replication(include=(Glob("/p/x"),), rewrites=(rename,), holds=(Hold(Glob("/elsewhere")),))
        made = replica(held("/p/db/url"), name="/q/x")
        nameless = replace(made, tags={key: text for key, text in made.tags.items() if key != SOURCE})
        assert "its source is not recorded" in judge(held("/p/x"), nameless, spec=spec).reasons
        mine = replica(held("/p/x"), name="/q/x")
        nameless = replace(mine, tags={key: text for key, text in mine.tags.items() if key != SOURCE})
        assert judge(held("/p/x", value="new", version=2), nameless, spec=spec).row == "update"

    def test_held_ends_at_other_names(self) -> None:
        assert judge([held("/p/a"), held("/p/b")], spec=self.SPEC).rows == ["held", "create"]


class TestOptedOut:
    def test_opted_out_is_a_replica_that_carries_the_skip_sync_tag_itself(self) -> None:
        found = judge(held(value="new", version=2), replica(held(), tags=SKIP))
        assert (found.row, found.other.counted) == ("opted_out", "opted_out")

    def test_opted_out_holds_for_what_is_not_ours_too(self) -> None:
        native = replica(held(), own_tags=False, tags=SKIP)
        assert judge(held(value="new"), native, run=Run(adopt=AdoptMode.OVERWRITE)).row == "opted_out"

    def test_opted_out_keeps_a_replica_whose_source_is_gone(self) -> None:
        assert judge([], replica(held(), tags=SKIP)).row == "opted_out"

    def test_opted_out_comes_before_chained_and_kept_out(self) -> None:
        spec = replication(skip_sync=SkipSync(replicas=OnSkip.DELETE))
        assert judge(held(tags=SKIP), replica(held(), tags=SKIP), spec=spec).row == "opted_out"

    def test_opted_out_reads_no_value(self) -> None:
        found = judge(held(value="new", version=2), replica(held(), tags=SKIP))
        assert not found.proof.source
        assert not found.proof.live

    def test_opted_out_in_mode_targets_needs_this_targets_name(self) -> None:
        spec = replication(skip_sync=SkipSync(mode=SkipMode.TARGETS))
        here = replica(held(), tags={"skip_sync": "us-east-2"})
        elsewhere = replica(held(), tags={"skip_sync": "us-west-1"})
        assert judge(held(), here, spec=spec).row == "opted_out"
        assert judge(held(), elsewhere, spec=spec).row == "in_sync"


class TestChained:
    def replica_at_the_source(self, owner: str = "up@123456789012/eu-west-1") -> Held:
        source = held()
        tags = replica(source, owner=owner).tags
        at_home = replica(source, owner=owner, record={"own": digest(HERE.arn("/p/a"))}).tags
        assert tags[OWNER] == at_home[OWNER] == owner
        return replace(source, tags=at_home)

    @pytest.mark.parametrize("owner", ["up@123456789012/eu-west-1", OWNED_BY])
    def test_chained_is_a_source_that_is_itself_a_replica_of_any_owner(self, owner: str) -> None:
        found = judge(self.replica_at_the_source(owner))
        assert (found.row, found.other.counted) == ("chained", "skipped")

    def test_chained_leaves_an_existing_replica_as_it_is(self) -> None:
        found = judge(self.replica_at_the_source(), replica(held(), value="other"))
        assert found.row == "chained"

    def test_chained_needs_a_record_that_names_the_source_parameter(self) -> None:
        source = held()
        copied_along = replace(source, tags=replica(source, owner=OTHERS).tags)
        assert judge(copied_along).row == "create"

    def test_chained_comes_before_skipped(self) -> None:
        source = self.replica_at_the_source()
        assert judge(replace(source, tags={**source.tags, **SKIP})).row == "chained"

    def test_chained_does_not_hold_for_a_detached_replica(self) -> None:
        source = self.replica_at_the_source()
        alone = replace(source, tags={**source.tags, OWNER: f"detached:{OTHERS}"})
        assert judge(alone).row == "create"


class TestSkipped:
    def test_skipped_is_an_opted_out_source_with_nothing_in_the_target(self) -> None:
        found = judge(held(tags=SKIP))
        assert (found.row, found.other.counted) == ("skipped", "skipped")
        assert "skip_sync" in found.reasons

    def test_skipped_leaves_alone_what_is_not_ours(self) -> None:
        native = replica(held(), "other", own_tags=False)
        assert judge(held(tags=SKIP), native, run=Run(adopt=AdoptMode.OVERWRITE)).row == "skipped"

    def test_skipped_ends_where_the_replica_is_ours(self) -> None:
        assert judge(held(tags=SKIP), replica(held())).row == "kept_out"

    @pytest.mark.parametrize(
        ("skip", "tags", "row"),
        [
            (SkipSync(), {"skip_sync": ""}, "skipped"),
            (SkipSync(), {"skip_sync": "false"}, "skipped"),
            (SkipSync(), {"SKIP_SYNC": "true"}, "invalid"),
            (SkipSync(tag="local"), {"local": "x"}, "skipped"),
            (SkipSync(tag="local"), {"skip_sync": "x"}, "create"),
            (SkipSync(mode=SkipMode.LISTED, values=("true", "yes")), {"skip_sync": "yes"}, "skipped"),
            (SkipSync(mode=SkipMode.LISTED, values=("true", "yes")), {"skip_sync": "no"}, "create"),
            (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "us-east-2"}, "skipped"),
            (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "dr-eu:us-east-2"}, "skipped"),
            (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "dr-eu"}, "create"),
            (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": "us-east-22"}, "create"),
            (SkipSync(mode=SkipMode.TARGETS), {"skip_sync": ""}, "create"),
        ],
    )
    def test_skipped_follows_the_mode_of_skip_sync(
        self, skip: SkipSync, tags: dict[str, str], row: str
    ) -> None:
        assert judge(held(tags=tags), spec=replication(skip_sync=skip)).row == row

    def test_skipped_comes_before_invalid(self) -> None:
        assert judge(held("/aws-like", tags=SKIP), spec=replication(include=(Glob("/**"),))).row == "skipped"


class TestKeptOut:
    DELETING = SkipSync(replicas=OnSkip.DELETE)

    def test_kept_out_keeps_the_replica_as_it_is(self) -> None:
        found = judge(held(value="new", version=2, tags=SKIP), replica(held()))
        assert (found.row, found.other.counted) == ("kept_out", "opted_out")
        assert not found.proof.source

    def test_kept_out_deletes_the_replica_where_the_spec_says_so(self) -> None:
        found = judge(held(tags=SKIP), replica(held()), spec=replication(skip_sync=self.DELETING))
        assert found.row == "kept_out"
        assert found.change.effect == Delete(None)
        assert found.change.source_name == "/p/a"

    def test_kept_out_deletes_nothing_with_delete_never(self) -> None:
        spec = replication(skip_sync=self.DELETING, delete=DeleteMode.NEVER)
        found = judge(held(tags=SKIP), replica(held()), spec=spec)
        assert (found.row, found.other.counted) == ("kept_out", "opted_out")

    def test_kept_out_releases_what_was_adopted_with_delete_created(self) -> None:
        spec = replication(skip_sync=self.DELETING, delete=DeleteMode.CREATED)
        found = judge(held(tags=SKIP), replica(held(), origin=Origin.ADOPTED), spec=spec)
        assert isinstance(found.change.effect, Release)

    def test_kept_out_deletes_nothing_when_the_source_listing_is_incomplete(self) -> None:
        spec = replication(skip_sync=self.DELETING)
        found = judge(held(tags=SKIP), replica(held()), spec=spec, source_complete=False)
        assert (found.row, found.other.counted) == ("kept_out", "opted_out")

    def test_kept_out_becomes_delete_once_the_source_is_gone(self) -> None:
        assert judge([], replica(held())).row == "delete"

    def test_kept_out_shows_no_attribute_of_what_it_deletes(self) -> None:
        spec = replication(skip_sync=self.DELETING)
        source = replace(held(tags=SKIP), parameter=replace(held().parameter, description="new"))
        assert judge(source, replica(held()), spec=spec).change.differences == ()


class TestDelete:
    def test_delete_is_a_replica_whose_source_is_gone_and_would_be_placed_here(self) -> None:
        found = judge([], replica(held()))
        assert found.row == "delete"
        assert found.change.effect == Delete("/p/a")
        assert found.change.expected.version == 1
        assert found.change.expected.modified == COPIED_AT
        assert "its source is gone" in found.reasons

    def test_delete_ends_where_the_rules_no_longer_place_the_source(self) -> None:
        assert judge([], replica(held()), spec=replication(include=(Glob("/q/**"),))).row == "orphan"
        assert judge([], replica(held()), spec=replication(exclude=(Glob("/p/a"),))).row == "orphan"
        assert judge([], replica(held()), spec=replication(types=frozenset({SECURE}))).row == "orphan"

    def test_delete_never_keeps_and_reports(self) -> None:
        found = judge([], replica(held()), spec=replication(delete=DeleteMode.NEVER))
        assert (found.row, found.other.counted) == ("delete", "orphaned")

    def test_delete_created_deletes_what_was_created(self) -> None:
        found = judge([], replica(held()), spec=replication(delete=DeleteMode.CREATED))
        assert found.change.effect == Delete("/p/a")

    def test_delete_created_releases_what_was_adopted(self) -> None:
        spec = replication(delete=DeleteMode.CREATED)
        found = judge([], replica(held(), origin=Origin.ADOPTED, tags={"team": "x"}), spec=spec)
        assert isinstance(found.change.effect, Release)
        assert found.change.action == "retag"
        assert found.change.tags.removed == (OWNER, RECORD)
        assert found.change.tags.added == {}

    def test_delete_owned_deletes_what_was_adopted_too(self) -> None:
        assert judge([], replica(held(), origin=Origin.ADOPTED)).change.effect == Delete("/p/a")

    def test_delete_is_not_planned_when_the_source_is_incomplete(self) -> None:
        found = judge([], replica(held()), source_complete=False)
        assert (found.row, found.other.counted) == ("delete", "orphaned")
        assert "is incomplete" in found.reasons

    @pytest.mark.parametrize("mode", DeleteMode)
    def test_no_source_is_reported_as_gone_when_its_listing_is_incomplete(self, mode: DeleteMode) -> None:
        spec = replication(delete=mode)
        for found in (
            judge([], replica(held()), spec=spec, source_complete=False),
            judge(
                [], replica(held()), spec=replace(spec, include=(Glob("/other/**"),)), source_complete=False
            ),
        ):
            assert found.other.counted == "orphaned"
            assert "gone" not in found.reasons

    def test_delete_follows_a_rewritten_name_by_its_source_tag(self) -> None:
        spec = replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.NAME, "/p/", "/p/{target.region}/"),))
        gone = replica(held("/p/a"), name="/p/us-east-2/a")
        assert gone.tags[SOURCE] == "/p/a"
        found = judge([], gone, spec=spec)
        assert found.change.effect == Delete("/p/a")
        assert "its source /p/a is gone" in found.reasons

    def test_delete_is_an_orphan_where_the_rewrite_would_place_it_elsewhere(self) -> None:
        assert judge([], replica(held("/p/a"), name="/p/us-east-2/a")).row == "orphan"

    def test_delete_of_a_secret_needs_no_value(self) -> None:
        found = judge([], replica(held(kind=SECURE)))
        assert found.row == "delete"
        assert not found.proof.live


class TestExpiring:
    """More in test_expiring.py."""

    SPEC = replication(grace=timedelta(days=7))

    def marked(self, expires: datetime) -> Held:
        found = replica(held())
        mark = ExpiryMark(expires, digest(THERE.arn("/p/a")), 1)
        return replace(found, tags={**found.tags, EXPIRES: mark.text()})

    def test_expiring_is_a_replica_that_has_no_mark_yet(self) -> None:
        assert judge([], replica(held()), spec=self.SPEC).change.action == "retag"

    def test_expiring_it_stays_until_its_mark_is_due(self) -> None:
        assert judge([], self.marked(NOW + timedelta(seconds=1)), spec=self.SPEC).row == "expiring"
        assert judge([], self.marked(NOW), spec=self.SPEC).row == "delete"

    def test_expiring_ends_where_the_source_comes_back(self) -> None:
        assert judge(held(), self.marked(NOW), spec=self.SPEC).row == "retag"

    def test_expiring_is_an_orphan_where_the_rules_no_longer_place_the_source(self) -> None:
        spec = replace(self.SPEC, include=(Glob("/q/**"),))
        assert judge([], self.marked(NOW), spec=spec).row == "orphan"


class TestOrphan:
    OUTSIDE = replication(include=(Glob("/q/**"),))

    def test_orphan_is_a_replica_on_which_todays_rules_place_nothing(self) -> None:
        found = judge(held(), replica(held()), spec=self.OUTSIDE)
        assert (found.row, found.other.counted) == ("orphan", "orphaned")

    def test_orphan_it_is_too_when_its_source_is_gone(self) -> None:
        found = judge([], replica(held()), spec=self.OUTSIDE)
        assert found.row == "orphan"
        assert "its source is gone" in found.reasons

    def test_orphan_when_its_source_is_unknown(self) -> None:
        strange = replica(held(), record={"source": digest("arn:somewhere")})
        found = judge([], strange)
        assert found.row == "orphan"
        assert "its source is gone" not in found.reasons, "that is not known"

    def test_orphan_is_deleted_where_the_spec_says_so(self) -> None:
        found = judge(held(), replica(held()), spec=replace(self.OUTSIDE, orphans=Orphans.DELETE))
        assert found.row == "orphan"
        assert found.change.effect == Delete(None)

    def test_orphan_whose_source_is_gone_is_deleted_only_once_that_is_confirmed(self) -> None:
        found = judge([], replica(held()), spec=replace(self.OUTSIDE, orphans=Orphans.DELETE))
        assert found.change.effect == Delete("/p/a")

    def test_orphan_is_kept_by_delete_never(self) -> None:
        spec = replace(self.OUTSIDE, orphans=Orphans.DELETE, delete=DeleteMode.NEVER)
        assert judge(held(), replica(held()), spec=spec).other.counted == "orphaned"

    def test_orphan_that_was_adopted_is_released_with_delete_created(self) -> None:
        spec = replace(self.OUTSIDE, orphans=Orphans.DELETE, delete=DeleteMode.CREATED)
        found = judge(held(), replica(held(), origin=Origin.ADOPTED), spec=spec)
        assert isinstance(found.change.effect, Release)

    def test_orphan_is_not_deleted_when_the_source_is_incomplete(self) -> None:
        spec = replace(self.OUTSIDE, orphans=Orphans.DELETE)
        found = judge(held(), replica(held()), spec=spec, source_complete=False)
        assert (found.row, found.other.counted) == ("orphan", "orphaned")

    def test_orphan_ends_where_something_else_lands_on_its_address(self) -> None:
        other = held("/p/b")
        spec = replication(
            include=(Glob("/p/b"),),
            rewrites=(Rewrite(Glob("/p/b"), RewriteIn.NAME, "/p/b", "/p/a"),),
        )
        assert judge(other, replica(held("/p/a"), "old"), spec=spec).row == "update"


class TestInvalid:
    def test_invalid_says_which_key_is_not_mapped_once_for_all(self) -> None:
        sources = [held(f"/p/{i}", kind=SECURE, key_id="alias/app") for i in range(3)]
        found = judge([*sources, held("/p/x")], source_ring=ring(HERE, "alias/app"))
        assert found.rows == ["invalid", "invalid", "invalid", "create"]
        assert found.codes == ["key"]
        assert "/p/0, /p/1, /p/2" in found.diff.findings[0].message

    @pytest.mark.parametrize(
        ("state", "excerpt"),
        [
            (KeyState.MISSING, "does not exist"),
            (KeyState.DISABLED, "is disabled"),
            (KeyState.PENDING_DELETION, "is pending deletion"),
            (KeyState.UNSUITABLE, "not a symmetric"),
        ],
    )
    def test_invalid_is_a_target_key_that_cannot_be_used(self, state: KeyState, excerpt: str) -> None:
        found = judge(
            held(kind=SECURE, key_id="alias/app"),
            spec=replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),)),
            source_ring=ring(HERE, "alias/app"),
            target_ring=ring(THERE, "alias/app", app=state),
        )
        assert found.row == "invalid"
        assert excerpt in found.reasons

    def test_invalid_is_not_decided_when_the_key_cannot_be_described(self) -> None:
        found = judge(
            held(kind=SECURE, key_id="alias/app"),
            spec=replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),)),
            source_ring=ring(HERE, "alias/app"),
            target_ring=ring(THERE, "alias/app", app=KeyState.UNKNOWN),
        )
        assert found.row == "create"

    def test_invalid_is_a_value_that_a_rewrite_made_too_large_and_its_size_is_not_shown(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "x", "xy")
        spec = replication(rewrites=(rule,))
        assert judge(held(value="x" * 2048), spec=spec).row == "create"
        found = judge(held(value="x" * 2049), spec=spec)
        assert (found.row, found.codes) == ("invalid", ["size"])
        assert "too large for its tier (Standard)" in found.reasons
        assert "4098" not in str(found.diff)

    @pytest.mark.parametrize("kind", ["String", SECURE])
    @pytest.mark.parametrize(("size", "tier"), [(4097, STANDARD), (9000, ADVANCED)])
    def test_a_value_that_the_source_holds_is_not_invalid_by_our_byte_count(
        self, kind: str, size: int, tier: str
    ) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "us-east-2")
        large = held(value="x" * size, kind=kind, tier=tier)
        for spec in (replication(), replication(rewrites=(rule,))):
            assert judge(large, spec=spec).row == "create"
            assert judge(large, replica(large, "small", record={"version": 7}), spec=spec).row == "update"
        rewritten = held(value="us-east-1" + "x" * size, kind=kind, tier=tier)
        assert judge(rewritten, spec=replication(rewrites=(rule,))).codes == ["size"]

    @pytest.mark.parametrize(("old", "new"), [("us-east-1", ""), ("us-east-1", "{{ssm:x}}")])
    @pytest.mark.parametrize("kind", ["String", SECURE])
    def test_invalid_is_a_rewritten_value_that_aws_takes_as_none(self, old: str, new: str, kind: str) -> None:
        spec = replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.VALUE, old, new),))
        found = judge(held(value="us-east-1", kind=kind), spec=spec)
        assert (found.row, found.codes) == ("invalid", ["rewrite"])
        assert judge(held(value="us-west-1", kind=kind), spec=spec).row == "create"

    def test_invalid_counts_bytes_not_characters(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "x", "é")
        spec = replication(rewrites=(rule,))
        assert judge(held(value="x" * 2048), spec=spec).row == "create"
        assert judge(held(value="x" * 2049), spec=spec).row == "invalid"

    def test_invalid_takes_eight_kilobytes_in_the_advanced_tier(self) -> None:
        spec = replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.VALUE, "x", "xy"),))
        assert judge(held(value="x" * 4096, tier=ADVANCED), spec=spec).row == "create"
        assert judge(held(value="x" * 4097, tier=ADVANCED), spec=spec).row == "invalid"

    @pytest.mark.parametrize("name", ["/aws/x", "/ssmx", "/AWSome", "/" + "/".join("abcdefghijklmnop")])
    def test_invalid_is_a_name_that_the_target_cannot_take(self, name: str) -> None:
        rule = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", name)
        found = judge(held(), spec=replication(rewrites=(rule,)))
        assert (found.row, found.codes) == ("invalid", ["name"])

    def test_invalid_is_an_expiration_that_is_past(self) -> None:
        def policy(days: int) -> str:
            at = (NOW + timedelta(days=days)).isoformat()
            return f'{{"Attributes":{{"Timestamp":"{at}"}},"Type":"Expiration","Version":"1.0"}}'

        assert judge(held(tier=ADVANCED, policies=(policy(-1),))).codes == ["policy"]
        assert judge(held(tier=ADVANCED, policies=(policy(0),))).row == "invalid"
        assert judge(held(tier=ADVANCED, policies=(policy(1),))).row == "create"

    def test_invalid_is_a_parameter_whose_tags_leave_no_room_for_ours(self) -> None:
        tags = {f"t{i}": "x" for i in range(48)}
        assert judge(held(tags=tags)).row == "create"
        assert judge(held(tags={**tags, "one": "more"})).codes == ["tag-room"]

    def test_invalid_counts_the_source_tag_of_a_rewritten_name(self) -> None:
        spec = replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.NAME, "/p/", "/q/"),))
        tags = {f"t{i}": "x" for i in range(48)}
        assert judge(held(tags=tags), spec=spec).row == "invalid"

    def test_invalid_counts_what_stays_on_the_replica(self) -> None:
        spec = replication(ignore_tags=("cost:*",))
        staying = {f"cost:{i}": "x" for i in range(10)}
        wanted = {f"t{i}": "x" for i in range(40)}
        found = judge(held(tags=wanted), replica(held(), tags=staying), spec=spec)
        assert (found.row, found.codes) == ("invalid", ["tag-room"])
        fewer = {f"t{i}": "x" for i in range(37)}
        assert judge(held(tags=fewer), replica(held(), tags=staying), spec=spec).row == "retag"

    def test_invalid_are_two_sources_on_one_address(self) -> None:
        rule = Rewrite(Glob("/p/b"), RewriteIn.NAME, "/p/b", "/p/a")
        found = judge([held("/p/a"), held("/p/b")], spec=replication(rewrites=(rule,)))
        assert (found.row, found.codes) == ("invalid", ["address-collision"])
        assert "/p/a, /p/b" in found.reasons

    def test_invalid_ends_where_one_of_two_sources_is_skipped(self) -> None:
        rule = Rewrite(Glob("/p/b"), RewriteIn.NAME, "/p/b", "/p/a")
        found = judge([held("/p/a", tags=SKIP), held("/p/b")], spec=replication(rewrites=(rule,)))
        assert found.row == "create"
        assert found.change.source_name == "/p/b"

    def test_invalid_is_a_value_that_cannot_be_read_on_either_side_and_only_that(self) -> None:
        broken = held("/p/a", kind=SECURE, version=2, broken="AccessDeniedException")
        found = judge([broken, held("/p/b")], [replica(held("/p/a", kind=SECURE))])
        assert found.rows == ["invalid", "create"]
        assert "source value cannot be read (AccessDeniedException)" in "".join(found.diff.others[0].reasons)
        at_target = replica(held(kind=SECURE), broken="InvalidKeyId")
        found = judge(held(kind=SECURE, version=2), at_target)
        assert (found.row, found.codes) == ("invalid", ["unreadable"])
        assert "target value" in found.reasons

    def test_update_of_a_replica_whose_old_key_is_gone_writes_it_under_the_new_one(self) -> None:
        source = held(kind=SECURE, key_id="alias/app", version=2)
        spec = replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/new"),)),))
        rings: dict[str, Any] = {
            "source_ring": ring(HERE, "alias/app"),
            "target_ring": ring(THERE, "alias/new", "alias/old"),
        }
        old = key_digest(key_arn(THERE, "alias/old"))
        live = replica(source, version=3, key_id="alias/old", record={"source_version": 1, "key": old})
        unread = replace(live, broken="InvalidKeyId")
        found = judge(source, unread, spec=spec, **rings)
        assert found.row == "update"
        assert [d.attribute for d in found.change.differences] == ["value", "KeyId"]
        assert "the key that it has cannot be used any more" in found.reasons
        assert found.change.differences[0].secret
        fewer = judge(
            replace(source, parameter=replace(source.parameter, tier=STANDARD)),
            replace(unread, parameter=replace(unread.parameter, tier=ADVANCED)),
            spec=spec,
            **rings,
        )
        assert fewer.row == "replace"
        assert [d.attribute for d in fewer.change.differences] == ["value", "KeyId", "tier"]
        # not allowed is not gone, and what is not ours is not overwritten unseen
        assert (
            judge(source, replace(live, broken="AccessDeniedException"), spec=spec, **rings).row == "invalid"
        )
        theirs = replica(source, version=3, key_id="alias/old", own_tags=False, broken="InvalidKeyId")
        assert judge(source, theirs, spec=spec, run=Run(adopt=AdoptMode.OVERWRITE), **rings).row == "invalid"

    def test_invalid_leaves_an_existing_replica_as_it_is(self) -> None:
        tags = {f"t{i}": "x" for i in range(49)}
        found = judge(held(tags=tags, value="new", version=2), replica(held()))
        assert (found.row, found.other.counted) == ("invalid", "invalid")


class TestCreate:
    def test_create_is_placed_and_absent(self) -> None:
        found = judge(held(value="hello"))
        assert found.row == "create"
        assert isinstance(found.change.effect, Create)
        assert (found.change.expected.source_version, found.change.expected.version) == (1, None)
        (difference,) = found.change.differences
        assert (difference.before, difference.after, difference.secret) == (None, "hello", False)

    def test_create_of_a_secret_shows_and_reads_nothing(self) -> None:
        found = judge(held(value="hunter2", kind=SECURE))
        assert found.change.differences[0].secret
        assert not found.proof.source
        assert "hunter2" not in str(found)

    def test_create_of_a_plain_value_whose_name_looks_secret_is_hidden(self) -> None:
        found = judge(held("/p/db_password", value="hunter2"))
        assert found.change.differences[0].secret
        assert "hunter2" not in str(found)

    def test_create_carries_tags_minus_ignored_plus_added(self) -> None:
        spec = replication(ignore_tags=("cost:*",), add_tags=(("from", "us-east-1"), ("cost:center", "dr")))
        tags = {"team": "a", "cost:x": "1", "aws:cloudformation:stack-id": "s", "ssm-reconcile:owner": "o"}
        assert judge(held(tags=tags), spec=spec).change.tags.added == {
            "team": "a",
            "from": "us-east-1",
            "cost:center": "dr",
        }

    def test_create_ends_where_the_target_is_narrowed_away(self) -> None:
        assert judge(held(), run=Run(only=("/q/**",))).rows == []

    def test_create_takes_the_address_of_a_rewrite(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "{source.region}", "{target.region}")
        found = judge(held("/p/us-east-1/a"), spec=replication(rewrites=(rule,)))
        assert (found.change.name, found.change.source_name) == ("/p/us-east-2/a", "/p/us-east-1/a")

    def test_create_warns_of_an_image_id(self) -> None:
        found = judge(held(data_type=IMAGE))
        assert (found.row, found.codes) == ("create", ["regional-value"])


def native(of: Held, value: str | None = None, **more: Any) -> Held:
    return replica(of, value, own_tags=False, **more)


class TestAdopt:
    @pytest.mark.parametrize("kind", ["String", STRING_LIST, SECURE])
    def test_adopt_is_an_existing_parameter_that_is_equal_in_every_replicated_attribute(
        self, kind: str
    ) -> None:
        source = held(kind=kind, version=7, tags={"team": "a"})
        found = judge(source, native(source, version=3))
        assert found.row == "adopt"
        effect = found.change.effect
        assert isinstance(effect, Adoption)
        assert (effect.record.origin, effect.record.version, effect.record.source_version) == (
            Origin.ADOPTED,
            3,
            7,
        )
        assert effect.record.written == COPIED_AT
        assert found.change.differences == ()

    def test_adopt_never_leaves_it_and_calls_it_a_conflict(self) -> None:
        found = judge(held(), native(held()), spec=replication(adopt=AdoptMode.NEVER))
        assert (found.row, found.other.counted) == ("adopt", "conflict")

    @pytest.mark.parametrize("mode", [AdoptMode.IDENTICAL, AdoptMode.SAME_VALUE, AdoptMode.OVERWRITE])
    def test_adopt_happens_in_all_other_modes(self, mode: AdoptMode) -> None:
        found = judge(held(), native(held()), spec=replication(adopt=mode))
        assert (found.row, found.change.action) == ("adopt", "adopt")

    def test_adopt_mode_of_the_run_goes_over_the_spec(self) -> None:
        spec = replication(adopt=AdoptMode.NEVER)
        assert judge(held(), native(held()), spec=spec, run=Run(adopt=AdoptMode.IDENTICAL)).changes
        assert not judge(held(), native(held()), run=Run(adopt=AdoptMode.NEVER)).changes

    def test_adopt_does_not_mind_spaces_around_the_commas_of_a_list(self) -> None:
        source = held(value="a, b ,c", kind=STRING_LIST)
        assert judge(source, native(source, "a,b,c")).row == "adopt"

    def test_adopt_does_mind_spaces_in_a_plain_string(self) -> None:
        assert judge(held(value="a, b"), native(held(), "a,b")).row == "conflict"

    @pytest.mark.parametrize(
        ("there", "differs"),
        [
            ({"description": "d"}, "description"),
            ({"allowed_pattern": "v"}, "AllowedPattern"),
            ({"tier": ADVANCED}, "tier"),
            ({"data_type": IMAGE}, "DataType"),
            ({"type": SECURE, "key_id": MANAGED_KEY}, "type"),
            ({"tags": {"team": "b"}}, "tags"),
        ],
    )
    def test_adopt_ends_at_the_first_difference(self, there: dict[str, Any], differs: str) -> None:
        found = judge(held(), native(held(), **there))
        assert (found.row, found.other.counted) == ("conflict", "conflict")
        assert differs in found.reasons

    def test_adopt_heals_an_owner_tag_without_a_record(self) -> None:
        half = replace(native(held()), tags={OWNER: OWNED_BY, RECORD: "broken"})
        assert judge(held(), half).row == "adopt"

    def test_adopt_ignores_tags_that_are_ignored_and_those_of_aws(self) -> None:
        spec = replication(ignore_tags=("cost:*",))
        there = native(held(), tags={"cost:x": "1", "aws:backup:x": "1"})
        assert judge(held(), there, spec=spec).row == "adopt"

    def test_a_parameter_of_a_cloudformation_stack_is_not_adopted(self) -> None:
        assert judge(held(), native(held(), tags={"aws:cloudformation:stack-id": "s"})).row == "foreign"


class TestConflict:
    def test_conflict_is_an_existing_unowned_parameter_that_differs(self) -> None:
        found = judge(held(value="new"), native(held(), "old"))
        assert (found.row, found.other.counted) == ("conflict", "conflict")
        assert "differs in value" in found.reasons

    @pytest.mark.parametrize("mode", [AdoptMode.NEVER, AdoptMode.IDENTICAL, AdoptMode.SAME_VALUE])
    def test_conflict_over_a_value_stays_one_unless_overwrite(self, mode: AdoptMode) -> None:
        assert (
            judge(held(value="new"), native(held(), "old"), spec=replication(adopt=mode)).other.counted
            == "conflict"
        )

    def test_conflict_is_overwritten_in_mode_overwrite_and_says_that_it_takes_over(self) -> None:
        found = judge(held(value="new"), native(held(), "old"), run=Run(adopt=AdoptMode.OVERWRITE))
        effect = found.change.effect
        assert isinstance(effect, Update)
        assert (found.row, effect.takes_over, effect.put, effect.origin) == (
            "conflict",
            True,
            True,
            Origin.ADOPTED,
        )
        assert "takes over" in found.reasons
        assert not found.change.changed_outside

    def test_conflict_in_mode_same_value_brings_the_rest_in_line(self) -> None:
        spec = replication(adopt=AdoptMode.SAME_VALUE)
        found = judge(held(), native(held(), description="d"), spec=spec)
        assert [d.attribute for d in found.change.differences] == ["description"]

    def test_conflict_over_tags_alone_makes_no_version(self) -> None:
        spec = replication(adopt=AdoptMode.SAME_VALUE)
        effect = judge(held(tags={"team": "a"}), native(held(), tags={}), spec=spec).change.effect
        assert isinstance(effect, Update)
        assert (effect.put, effect.takes_over) == (False, True)
        assert effect.record is not None
        assert effect.record.origin is Origin.ADOPTED

    def test_conflict_over_the_type_is_not_the_same_value(self) -> None:
        there = native(held(), type=STRING_LIST)
        assert judge(held(), there, run=Run(adopt=AdoptMode.SAME_VALUE)).row == "conflict"
        assert judge(held(), there, run=Run(adopt=AdoptMode.OVERWRITE)).change.action == "update"

    def test_conflict_that_needs_a_replacement_is_never_taken_over(self) -> None:
        found = judge(held(), native(held(), tier=ADVANCED), run=Run(adopt=AdoptMode.OVERWRITE))
        assert (found.row, found.other.counted) == ("conflict", "conflict")
        assert "cannot change in place" in found.reasons

    @pytest.mark.parametrize("mode", list(AdoptMode))
    def test_conflict_without_decryption_because_values_cannot_be_compared(self, mode: AdoptMode) -> None:
        source = held(kind=SECURE)
        found = judge(source, native(source), run=Run(no_decrypt=True, adopt=mode))
        assert (found.row, found.other.counted) == ("conflict", "conflict")
        assert "cannot compare" in found.reasons

    def test_conflict_without_decryption_does_not_concern_plain_values(self) -> None:
        assert judge(held(), native(held()), run=Run(no_decrypt=True)).row == "adopt"


class TestReplace:
    def test_replace_is_a_downgrade_of_the_tier(self) -> None:
        found = judge(held(), replica(held(), tier=ADVANCED))
        assert found.row == "replace"
        assert found.change.effect == Replace(found.desired["/p/a"])

    def test_replace_is_another_data_type(self) -> None:
        assert judge(held(), replica(held(), data_type=IMAGE)).row == "replace"

    def test_replace_ends_where_the_tier_goes_up(self) -> None:
        found = judge(held(tier=ADVANCED), replica(held(), tier=STANDARD))
        assert found.row == "update"
        assert [d.attribute for d in found.change.differences] == ["tier"]

    @pytest.mark.parametrize("tier", [STANDARD, ADVANCED])
    def test_replace_is_never_due_to_intelligent_tiering(self, tier: str) -> None:
        assert judge(held(tier=INTELLIGENT), replica(held(tier=tier), tier=tier)).row == "in_sync"

    def test_replace_ends_where_only_the_type_differs_since_aws_may_change_it(self) -> None:
        found = judge(held(version=2), replica(held(), type=STRING_LIST))
        assert found.row == "update"

    def test_replace_remembers_that_it_was_adopted(self) -> None:
        found = judge(held(), replica(held(), tier=ADVANCED, origin=Origin.ADOPTED))
        assert isinstance(found.change.effect, Replace)
        assert found.change.effect.origin is Origin.ADOPTED


class TestUpdate:
    def test_update_is_ours_with_another_value(self) -> None:
        found = judge(held(value="new", version=2), replica(held(value="old")))
        assert found.row == "update"
        (difference,) = found.change.differences
        assert (difference.attribute, difference.before, difference.after) == ("value", "old", "new")
        assert found.change.expected.source_version == 2

    @pytest.mark.parametrize(
        ("at_source", "differs"),
        [
            ({"description": "d"}, "description"),
            ({"allowed_pattern": "v"}, "AllowedPattern"),
            ({"tier": ADVANCED}, "tier"),
            ({"tier": ADVANCED, "policies": ('{"Type":"NoChangeNotification"}',)}, "policies"),
        ],
    )
    def test_update_names_the_attribute_that_differs_and_no_other(
        self, at_source: dict[str, Any], differs: str
    ) -> None:
        source = held(version=2, **at_source)
        live = replica(held(tier=at_source.get("tier", STANDARD) if differs != "tier" else STANDARD))
        found = judge(source, live)
        assert found.row == "update"
        assert [d.attribute for d in found.change.differences] == [differs]

    @pytest.mark.parametrize("clear", ["description", "allowed_pattern"])
    def test_update_clears_what_the_source_no_longer_has(self, clear: str) -> None:
        found = judge(held(), replica(held(), **{clear: "there"}))
        (difference,) = found.change.differences
        assert (difference.before, difference.after) == ("there", "")

    def test_update_puts_the_value_first_and_then_goes_by_name(self) -> None:
        source = held(value="new", version=2, description="d", allowed_pattern="n.*")
        found = judge(source, replica(held(value="old")))
        assert [d.attribute for d in found.change.differences] == ["value", "AllowedPattern", "description"]

    def test_update_of_a_secret_shows_neither_value_nor_pattern(self) -> None:
        source = held(value="hunter2", kind=SECURE, version=2, allowed_pattern="hunter.")
        found = judge(source, replica(held(value="rabbit3", kind=SECURE)))
        assert [(d.attribute, d.secret) for d in found.change.differences] == [
            ("value", True),
            ("AllowedPattern", True),
        ]
        assert "hunter" not in str(found.diff.changes[0].differences)
        assert "rabbit" not in str(found)

    @pytest.mark.parametrize(("before", "after"), [(SECURE, "String"), ("String", SECURE)])
    def test_update_hides_a_value_when_either_side_is_a_secret(self, before: str, after: str) -> None:
        source = held(value="hunter2", kind=after, version=2)
        there = replica(held(value="rabbit3", kind=before))
        found = judge(source, there)
        assert found.row == "update"
        assert found.change.differences[0].secret
        assert "hunter2" not in str(found)
        assert "rabbit3" not in str(found)

    def test_update_does_not_mind_spaces_in_a_list(self) -> None:
        source = held(value="a, b", kind=STRING_LIST, version=2)
        assert judge(source, replica(source, "a,b", record={"source_version": 1})).row == "retag"

    @pytest.mark.parametrize(
        ("allowed", "excerpt"), [(True, "it is replaced"), (False, "it needs --allow-replace")]
    )
    def test_update_of_the_type_says_what_becomes_of_it_where_aws_refuses(
        self, *, allowed: bool, excerpt: str
    ) -> None:
        source = held(kind=SECURE, version=2)
        found = judge(source, replica(held()), run=Run(allow_replace=allowed))
        assert excerpt in found.reasons
        assert "history keeps the old plain values" in found.reasons

    def test_update_says_when_it_was_changed_outside(self) -> None:
        there = replica(held(), "hand", version=2, last_modified_user=SOMEBODY)
        found = judge(held(), there)
        assert (found.row, found.change.changed_outside) == ("update", True)
        assert "changed outside ssm-reconcile by user another-writer" in found.reasons
        assert found.change.writer == SOMEBODY

    def test_update_is_not_changed_outside_when_the_last_writer_is_us(self) -> None:
        session = "arn:aws:sts::123456789012:assumed-role/ssm-reconcile/another-session"
        there = replica(held(), "half done", version=2, last_modified_user=session)
        assert not judge(held(), there).change.changed_outside

    @pytest.mark.parametrize(
        ("live", "attribute"),
        [
            ({"type": SECURE, "key_id": MANAGED_KEY}, "type"),
            ({"allowed_pattern": "v"}, "AllowedPattern"),
            ({"description": "theirs"}, "description"),
            ({"tier": ADVANCED}, "tier"),
            ({"tier": ADVANCED, "policies": (NOTICE,)}, "policies"),
            ({"data_type": "aws:ec2:image"}, "DataType"),
        ],
    )
    def test_a_replica_is_changed_outside_when_any_attribute_differs(
        self, live: dict[str, Any], attribute: str
    ) -> None:
        source = held(value="new", version=2)
        there = replica(held(), "new", version=2, last_modified_user=SOMEBODY, **live)
        found = judge(source, there)
        assert attribute in [difference.attribute for difference in found.change.differences]
        assert found.change.changed_outside
        by_us = judge(source, replica(held(), "new", version=2, last_modified_user=US, **live))
        assert not by_us.change.changed_outside
        recorded = judge(source, replica(held(), "new", last_modified_user=SOMEBODY, **live))
        assert not recorded.change.changed_outside

    def test_a_replica_under_another_key_is_changed_outside(self) -> None:
        spec = replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),)),))
        source = held(kind=SECURE, key_id="alias/app")
        there = replica(
            source, version=2, last_modified_user=SOMEBODY, key_id="alias/strict",
            record={"key": key_digest(key_arn(THERE, "alias/app"))},
        )  # fmt: skip
        found = judge(
            source, there, spec=spec, source_ring=ring(HERE, "alias/app"),
            target_ring=ring(THERE, "alias/app", "alias/strict"),
        )  # fmt: skip
        assert [difference.attribute for difference in found.change.differences] == ["KeyId"]
        assert found.change.changed_outside

    def test_a_replica_whose_tags_alone_differ_is_not_changed_outside(self) -> None:
        source = held(tags={"team": "a"})
        there = replica(source, version=2, last_modified_user=SOMEBODY, tags={"team": "b"})
        found = judge(source, there)
        assert (found.row, found.change.changed_outside) == ("retag", False)

    def test_update_is_not_changed_outside_when_the_version_is_the_one_we_recorded(self) -> None:
        there = replica(held(value="old"), last_modified_user=SOMEBODY)
        assert not judge(held(value="new", version=2), there).change.changed_outside

    def test_update_is_changed_outside_when_it_was_recreated_at_the_same_version(self) -> None:
        later = COPIED_AT + timedelta(minutes=11)
        there = replica(held(), "hand", last_modified=later, last_modified_user=SOMEBODY)
        assert judge(held(), there).change.changed_outside

    def test_update_without_decryption_is_marked_unproven(self) -> None:
        source = held(kind=SECURE, version=2)
        found = judge(source, replica(held(kind=SECURE)), run=Run(no_decrypt=True))
        effect = found.change.effect
        assert isinstance(effect, Update)
        assert (found.row, effect.unproven) == ("update", True)
        assert "unproven" in found.reasons
        assert not found.proof.source
        assert not found.proof.live

    def test_update_without_decryption_is_not_needed_where_versions_prove_it(self) -> None:
        source = held(kind=SECURE)
        assert judge(source, replica(source), run=Run(no_decrypt=True)).row == "in_sync"

    def test_update_without_decryption_still_reads_plain_values(self) -> None:
        source = held(value="new", version=2)
        found = judge(source, replica(held(value="old")), run=Run(no_decrypt=True))
        assert not getattr(found.change.effect, "unproven", True)

    def test_update_takes_a_version_read_over_one_listed(self) -> None:
        source = held(value="new", version=5)
        found = judge(source, replica(held(value="old"), version=4))
        assert (found.change.expected.source_version, found.change.expected.version) == (5, 4)


def mapped(**more: Any) -> Replication:
    return replication(kms=(KeyRule("alias/app", (("us-east-2", "alias/app-2"),)),), **more)


class TestUpdateOfKeys:
    SOURCE = held(kind=SECURE, key_id="alias/app")
    RINGS: ClassVar[dict[str, Any]] = {
        "source_ring": ring(HERE, "alias/app"),
        "target_ring": ring(THERE, "alias/app-2"),
    }

    def there(self, key: str = "alias/app-2", recorded: str | None = None) -> Held:
        identity = recorded or key_arn(THERE, "alias/app-2")
        return replica(self.SOURCE, key_id=key, record={"key": key_digest(identity)})

    def test_update_of_a_key_is_not_needed_when_it_is_the_mapped_one(self) -> None:
        assert judge(self.SOURCE, self.there(), spec=mapped(), **self.RINGS).row == "in_sync"

    def test_update_compares_keys_resolved_not_as_they_are_named(self) -> None:
        arn = key_arn(THERE, "alias/app-2")
        known = ring(THERE, "alias/app-2").keys
        rings = {**self.RINGS, "target_ring": Keyring({**known, arn: Key(arn)})}
        assert judge(self.SOURCE, self.there(key=arn), spec=mapped(), **rings).row == "in_sync"

    def test_update_is_not_needed_while_kms_cannot_resolve_the_mapped_key(self) -> None:
        rings = {**self.RINGS, "target_ring": Keyring({})}
        assert judge(self.SOURCE, self.there(), spec=mapped(), **rings).row == "in_sync"

    def test_update_brings_the_right_key_although_the_value_is_equal(self) -> None:
        found = judge(self.SOURCE, self.there(key=MANAGED_KEY), spec=mapped(), **self.RINGS)
        assert found.row == "update"
        (difference,) = found.change.differences
        assert (difference.attribute, difference.before, difference.after) == (
            "KeyId",
            MANAGED_KEY,
            "alias/app-2",
        )

    def test_update_says_key_re_pointed_when_the_alias_means_another_key(self) -> None:
        found = judge(self.SOURCE, self.there(recorded="arn:old"), spec=mapped(), **self.RINGS)
        assert found.row == "update"
        assert "key re-pointed" in found.reasons
        assert [d.attribute for d in found.change.differences] == ["KeyId"]

    def test_update_of_a_plain_value_has_nothing_to_do_with_keys(self) -> None:
        found = judge(held(), replica(held(), record={"key": key_digest("arn:old")}))
        assert found.row == "retag"


class TestRetag:
    def test_retag_is_ours_where_only_tags_differ(self) -> None:
        source = held(tags={"team": "b", "new": "1"})
        found = judge(source, replica(held(), tags={"team": "a", "old": "1"}))
        assert found.row == "retag"
        assert found.change.tags.added == {"new": "1", "team": "b"}
        assert found.change.tags.removed == ("old",)
        assert not found.proof.source

    def test_retag_is_ours_where_only_the_record_is_out_of_date(self) -> None:
        source = held(version=2)
        found = judge(source, replica(held()))
        effect = found.change.effect
        assert isinstance(effect, Retag)
        assert (found.row, effect.record.source_version, effect.record.version) == ("retag", 2, 1)
        assert not effect.tags
        assert "record is out of date" in found.reasons

    def test_retag_heals_the_record_after_an_equal_version_of_the_replica(self) -> None:
        there = replica(held(), version=2, last_modified=COPIED_AT + timedelta(hours=1))
        effect = judge(held(), there).change.effect
        assert isinstance(effect, Retag)
        assert (effect.record.version, effect.record.written) == (2, COPIED_AT + timedelta(hours=1))

    def test_retag_gives_a_previous_owners_replica_todays_name(self) -> None:
        spec = replication(name="live", previous_names=("prod",))
        found = judge(held(), replica(held()), spec=spec)
        assert found.row == "retag"
        assert not found.proof.source

    def test_retag_ends_where_the_previous_name_is_not_in_the_spec(self) -> None:
        assert judge(held(), replica(held()), spec=replication(name="live")).row == "foreign"

    def test_retag_never_touches_ignored_or_aws_tags(self) -> None:
        spec = replication(ignore_tags=("cost:*",))
        there = replica(held(), tags={"cost:x": "1", "aws:x": "1", "skip": "y"})
        assert judge(held(), there, spec=spec).change.tags.removed == ("skip",)

    def test_retag_removes_a_source_tag_that_is_no_longer_true(self) -> None:
        mine = replica(held())
        there = replace(mine, tags={**mine.tags, SOURCE: "/p/other"})
        assert judge(held(), there).row == "retag"

    def test_retag_keeps_the_origin(self) -> None:
        effect = judge(held(version=2), replica(held(), origin=Origin.ADOPTED)).change.effect
        assert isinstance(effect, Retag)
        assert effect.record.origin is Origin.ADOPTED

    @pytest.mark.parametrize("kind", ["String", SECURE])
    def test_retag_comes_of_a_rewrite_rule_that_changes_nothing(self, kind: str) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
        spec = replication(rewrites=(rule,))
        found = judge(held(kind=kind), replica(held(kind=kind)), spec=spec)
        effect = found.change.effect
        assert isinstance(effect, Retag)
        wanted = found.desired["/p/a"].substitutions
        assert effect.record.rewrite == rewrite_digest(wanted) != "none"

    def test_retag_ends_where_the_rewrite_changes_the_value(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
        source = held(value="db.us-east-1.example")
        found = judge(source, replica(source), spec=replication(rewrites=(rule,)))
        assert found.row == "update"
        assert found.change.differences[0].after == "db.us-east-2.example"

    def test_retag_of_a_rewrite_rule_is_seen_without_decryption(self) -> None:
        rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "a", "b")
        source = held(kind=SECURE)
        found = judge(source, replica(source), spec=replication(rewrites=(rule,)), run=Run(no_decrypt=True))
        assert found.row == "update"


class TestInSync:
    @pytest.mark.parametrize("kind", ["String", STRING_LIST, SECURE])
    def test_in_sync_is_proven_by_versions_without_reading(self, kind: str) -> None:
        source = held(kind=kind, version=4, tags={"team": "a"})
        found = judge(source, replica(source))
        assert found.row == "in_sync"
        assert found.diff.in_sync == found.diff.replicas == 1
        assert not found.proof.source
        assert not found.proof.live

    def test_in_sync_is_compared_equal_with_verify_values(self) -> None:
        found = judge(held(kind=SECURE), replica(held(kind=SECURE)), run=Run(verify_values=True))
        assert found.row == "in_sync"
        assert set(found.proof.source) == set(found.proof.live) == {"/p/a"}

    def test_in_sync_is_not_believed_with_verify_values_when_it_is_faked(self) -> None:
        faked = replica(held(), "evil")
        assert judge(held(), faked).row == "in_sync"
        found = judge(held(), faked, run=Run(verify_values=True))
        assert found.row == "update"

    @pytest.mark.parametrize(
        ("changes", "row"),
        [
            ({"source_modified": MADE + timedelta(seconds=2)}, "in_sync"),
            ({"source_modified": MADE + timedelta(seconds=3)}, "retag"),
            ({"written": COPIED_AT - timedelta(minutes=10)}, "in_sync"),
            ({"written": COPIED_AT - timedelta(minutes=11)}, "retag"),
            ({"source_version": 2}, "retag"),
            ({"version": 2}, "retag"),
            ({"rewrite": "0" * 16}, "retag"),
            ({"source": digest("arn:another")}, "retag"),
        ],
    )
    def test_in_sync_ends_where_a_version_or_a_moment_is_not_as_recorded(
        self, changes: dict[str, Any], row: str
    ) -> None:
        assert judge(held(), replica(held(), record=changes)).row == row

    def test_in_sync_does_not_depend_on_the_order_of_policies(self) -> None:
        one, two = '{"Type":"ExpirationNotification"}', '{"Type":"NoChangeNotification"}'
        source = held(tier=ADVANCED, policies=(one, two))
        assert judge(source, replica(source, policies=(two, one))).row == "in_sync"

    def test_in_sync_is_a_name_with_and_without_its_slash(self) -> None:
        spec = replication(include=(Glob("foo"),))
        source = held("foo")
        assert judge(source, replica(source, name="/foo"), spec=spec).row == "in_sync"

    def test_in_sync_in_a_narrowed_run_counts_all_replicas(self) -> None:
        sources = [held(f"/p/{i}") for i in range(5)]
        found = judge(sources, [replica(one) for one in sources], run=Run(only=("/p/3",)))
        assert (found.diff.in_sync, found.diff.replicas) == (1, 5)


def test_unowned_and_unplaced_parameters_never_appear() -> None:
    strangers = [
        native(held("/q/a")),
        foreign(held("/q/b")),
        native(held("/q/c"), tags={"aws:cloudformation:stack-id": "s"}),
        detached(held("/q/d")),
        native(held("/q/e"), tags=SKIP),
    ]
    found = judge([], strangers, spec=replication(orphans=Orphans.DELETE))
    assert (found.rows, found.diff.replicas, found.diff.findings) == ([], 0, ())
    assert not found.proof.live


def test_each_address_is_in_exactly_one_row_and_sorted() -> None:
    sources = [held(f"/p/{i}", tags=SKIP if i % 3 == 0 else {}) for i in range(9)]
    live = [replica(held(f"/p/{i}"), "x" if i % 2 else None) for i in range(2, 14)]
    found = judge(list(reversed(sources)), live, run=Run(verify_values=True))
    names = [c.name for c in found.changes] + [o.name for o in found.diff.others]
    assert len(names) == len(set(names))
    assert len(names) + found.diff.in_sync == 14
    assert [c.name for c in found.changes] == sorted(c.name for c in found.changes)
    assert found.diff == judge(sources, list(reversed(live)), run=Run(verify_values=True)).diff


def test_a_frozen_target_is_judged_like_any_other() -> None:
    assert judge(held(), spec=replication(targets=(target(frozen=True),))).row == "create"


def test_every_row_of_the_table_has_its_tests_by_name() -> None:
    names = [name for thing in globals().values() if isinstance(thing, type) for name in vars(thing)]
    for row, _ in TABLE:
        assert sum(name.startswith(f"test_{row.value}_") for name in names) >= 4, row


def test_a_record_as_made_for_these_tests_is_one_that_can_be_read() -> None:
    found = parse_record(replica(held()).tags[RECORD])
    assert found is not None
    assert found.is_for(THERE.arn("/p/a"))
