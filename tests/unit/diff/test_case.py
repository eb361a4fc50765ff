"""One address with everything that the table asks about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ssm_reconcile.diff.case import Case, TargetContext, cases, copied_tags
from ssm_reconcile.diff.compare import ValueMatch
from ssm_reconcile.model import DesiredParameter, Listing, ValueReadings, canonical
from ssm_reconcile.record import RECORD, Standing, digest
from ssm_reconcile.spec import Glob, Replication, Run
from tests.builders import HERE, MADE, NOW, THERE, Held, desired, held, listing, replica, replication, ring


def listed(place: object, *there: Held) -> Listing:
    return listing(
        HERE if place is HERE else THERE,
        *(one.parameter for one in there),
        tags={canonical(one.name): one.tags for one in there},
    )


def context(
    source: tuple[Held, ...] = (),
    live: tuple[Held, ...] = (),
    spec: Replication | None = None,
    settled: frozenset[str] = frozenset(),
    wanted: Mapping[str, DesiredParameter] | None = None,
) -> TargetContext:
    spec = spec or replication()
    return TargetContext(
        replication=spec,
        target=spec.targets[0],
        claim=spec.claim(HERE),
        desired=wanted or {},
        source=listed(HERE, *source),
        live=listed(THERE, *live),
        ring=ring(THERE),
        run=Run(),
        settled=settled,
        unproven=frozenset(),
        readings=ValueReadings(),
        as_of=NOW,
    )


def only(found: list[Case]) -> Case:
    (case,) = found
    return case


def test_a_replica_knows_what_it_was_made_from_and_that_it_is_gone() -> None:
    case = only(list(cases(context(live=(replica(held()),)))))
    assert (case.made_from, case.source_gone, case.would_place, case.ours) == ("/p/a", True, True, True)
    assert case.name == "/p/a"


def test_a_replica_whose_source_is_still_there_is_not_gone() -> None:
    case = only(list(cases(context((held(),), (replica(held()),)))))
    assert (case.made_from, case.source_gone) == ("/p/a", False)


def test_a_replica_that_cannot_tell_its_source_is_not_called_gone() -> None:
    strange = replica(held(), record={"source": digest("arn:x")})
    case = only(list(cases(context(live=(strange,)))))
    assert (case.made_from, case.source_gone, case.would_place) == (None, False, False)


def test_a_source_tag_alone_proves_nothing() -> None:
    mine = replica(held())
    forged = replace(mine, tags={**mine.tags, "ssm-reconcile:source": "/p/other"})
    assert only(list(cases(context(live=(forged,))))).made_from == "/p/a"


def test_an_unowned_parameter_at_no_desired_address_has_no_case() -> None:
    native = replica(held(), own_tags=False)
    copied = replica(held("/p/b"), record={"own": digest("arn:x")})
    assert list(cases(context(live=(native, copied)))) == []


def test_an_address_that_is_absent_takes_the_name_of_what_is_placed() -> None:
    case = only(list(cases(context(wanted={"/foo": desired("foo")}))))
    assert (case.name, case.live, case.standing, case.opted_out) == ("foo", None, Standing.FREE, False)


def test_an_address_that_is_there_keeps_the_name_it_has() -> None:
    case = only(
        list(cases(context(live=(replica(held("/foo"), own_tags=False),), wanted={"/foo": desired("foo")})))
    )
    assert case.name == "/foo"


def test_tags_of_a_name_that_is_gone_count_for_nothing() -> None:
    at = context()
    ghost = replace(at, live=replace(at.live, tags={"/p/a": {"skip_sync": "1"}}))
    case = only(list(cases(replace(ghost, desired={"/p/a": desired()}))))
    assert (case.opted_out, dict(case.tags)) == (False, {})


def test_values_proven_by_versions_are_equal_and_unread_values_are_unknown() -> None:
    live = (replica(held()),)
    assert only(list(cases(context(live=live, wanted={"/p/a": desired()})))).value_match is ValueMatch.UNKNOWN
    settled = context(live=live, settled=frozenset({"/p/a"}))
    assert only(list(cases(replace(settled, desired={"/p/a": desired()})))).value_match is ValueMatch.EQUAL


def test_a_record_is_believed_only_of_what_is_ours() -> None:
    foreign = replica(held(), owner="staging@123456789012/us-east-1")
    case = only(list(cases(context(live=(foreign,), wanted={"/p/a": desired()}))))
    assert (case.record, case.standing) == (None, Standing.FOREIGN)
    ours = only(list(cases(context(live=(replica(held()),), wanted={"/p/a": desired()}))))
    assert ours.record is not None
    assert ours.record.source_modified == MADE


def test_cases_come_sorted_by_address() -> None:
    live = tuple(replica(held(name)) for name in ("/p/z", "/p/b"))
    found = list(cases(context(live=live, wanted={"/p/c": desired("/p/c"), "/p/a": desired("/p/a")})))
    assert [case.address for case in found] == ["/p/a", "/p/b", "/p/c", "/p/z"]


def test_copied_tags_are_found_on_existing_parameters_at_undesired_addresses() -> None:
    copied = replica(held("/q/a"), record={"own": digest("arn:x")})
    placed = replica(held("/p/a"), record={"own": digest("arn:x")})
    at = context(live=(copied, placed))
    ghosts = replace(at, live=replace(at.live, tags={**at.live.tags, "/q/ghost": copied.tags}))
    assert copied_tags(replace(ghosts, desired={"/p/a": desired()})) == ["/q/a"]


def test_a_broken_record_of_ours_is_not_called_copied() -> None:
    mine = replica(held("/q/a"))
    broken = replace(mine, tags={**mine.tags, RECORD: "nonsense"})
    assert copied_tags(context(live=(broken,))) == []


def test_would_place_asks_the_rules_of_today() -> None:
    narrower = replication(include=(Glob("/p/b"),))
    case = only(list(cases(context(live=(replica(held()),), spec=narrower))))
    assert (case.source_gone, case.would_place) == (True, False)
