"""Calls and seconds of an apply, computed before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.aws_limits import CALL_RATES, DELETE_SECONDS, HIGHER_THROUGHPUT_PUT_RATE, CallClass
from ssm_reconcile.budget import EndPlace, _paces, budget
from ssm_reconcile.change import Change, Release, TagDiff, Update, Withholding
from ssm_reconcile.model import SOURCE, Place
from ssm_reconcile.plan import BudgetLimit
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, DeleteMode, Run
from ssm_reconcile.stores.buckets import Bucket, Rates
from tests.builders import (
    change,
    creates,
    deletes,
    desired,
    plan_of,
    releases,
    replaces,
    replication,
    retags,
    updates,
)
from tests.doubles.clock import FakeClock
from tests.property.profiles import examples
from tests.simulated_aws import SimulatedAws


def test_nothing_to_do_costs_nothing() -> None:
    found = budget([], {})
    assert (dict(found.calls), found.seconds, found.writes) == ({}, 0.0, 0)


def test_a_create_is_one_write_and_its_reads_go_by_ten() -> None:
    found = budget(creates(20), {})
    assert dict(found.calls) == {
        "GetParameters": 2 + 2,  # source values, and the last look
        "ListTagsForResource": 20,  # skip_sync at the source
        "PutParameter": 20,
    }
    assert found.writes == 20


def test_one_name_of_ten_costs_a_call() -> None:
    assert budget(creates(1), {}).calls["GetParameters"] == 2
    assert budget(creates(11), {}).calls["GetParameters"] == 4


def test_an_update_is_checked_written_and_tagged() -> None:
    found = budget(updates(1), {})
    assert dict(found.calls) == {
        "AddTagsToResource": 1,
        "GetParameters": 3,
        "ListTagsForResource": 2,
        "PutParameter": 1,
    }


def test_removing_tags_is_a_call_of_its_own() -> None:
    removing = change(Update(desired(), TagDiff({"gone": "1"})))
    assert budget([removing], {}).calls["RemoveTagsFromResource"] == 1
    assert "RemoveTagsFromResource" not in budget(updates(1), {}).calls


def test_a_retag_and_a_take_over_by_tags_put_nothing() -> None:
    assert "PutParameter" not in budget(retags(3), {}).calls
    tags_only = change(Update(desired(), TagDiff({}, {"a": "1"}), put=False))
    assert "PutParameter" not in budget([tags_only], {}).calls


def test_a_release_only_takes_tags_away() -> None:
    assert budget(releases(2), {}).writes == 2
    assert isinstance(releases(1)[0].effect, Release)


def test_deletes_go_by_ten_and_replacements_one_by_one() -> None:
    assert budget(deletes(20), {}).calls["DeleteParameters"] == 2
    found = budget(replaces(3), {})
    assert (found.calls["DeleteParameters"], found.calls["PutParameter"]) == (3, 3)


def test_withheld_changes_cost_no_calls() -> None:
    held = [replace(one, withheld=(Withholding("replace", ""),)) for one in creates(5)]
    assert budget([*held, *creates(1, "/p/x")], {}) == budget(creates(1, "/p/x"), {})


def test_targets_are_written_side_by_side() -> None:
    west = [replace(one, target="us-west-1") for one in creates(30)]
    assert budget([*creates(30), *west], {}).seconds == budget(creates(30), {}).seconds == 10.0
    assert budget([*creates(30), *west], {}).calls["PutParameter"] == 60


def test_skip_sync_is_read_once_a_source_name_whatever_the_number_of_targets() -> None:
    west = [replace(one, target="us-west-1") for one in creates(4)]
    assert budget([*creates(4), *west], {}).calls["ListTagsForResource"] == 4


@pytest.mark.parametrize(("rates", "seconds"), [({}, 10.0), ({"put": 10.0}, 6.0), ({"put": 1.0}, 30.0)])
def test_the_slowest_class_of_the_busiest_target_sets_the_time(
    rates: dict[str, float], seconds: float
) -> None:
    assert budget(creates(30), {("prod", "us-east-2"): EndPlace("there", rates)}).seconds == seconds


def _of_another(changes: list[Change]) -> list[Change]:
    return [replace(one, replication="other") for one in changes]


def test_two_replications_into_one_place_wait_for_the_same_quota() -> None:
    both = [*creates(30), *_of_another(creates(30))]
    there = {("prod", "us-east-2"): EndPlace("there"), ("other", "us-east-2"): EndPlace("there")}
    apart = {("prod", "us-east-2"): EndPlace("there"), ("other", "us-east-2"): EndPlace("elsewhere")}
    assert (budget(both, there).seconds, budget(both, apart).seconds) == (20.0, 10.0)


@pytest.mark.parametrize("order", list(permutations(("prod", "other", "idle"))))
def test_the_lowest_rate_of_all_replications_counts_also_of_those_without_changes(
    order: tuple[str, ...],
) -> None:
    rates = {"prod": 10.0, "other": 2.0, "idle": 0.5}
    there = {(name, "us-east-2"): EndPlace("there", {"put": rates[name]}) for name in order}
    there["prod", "eu-west-1"] = EndPlace("elsewhere", {"put": 0.1})
    assert budget([*creates(30), *_of_another(creates(30))], there).seconds == 120.0
    assert budget(creates(30), there).seconds == 60.0


@pytest.mark.parametrize(("rate", "seconds"), [(6.0, 20.0), (2.0, 30.0)])
def test_a_replication_without_a_rate_counts_with_the_default(rate: float, seconds: float) -> None:
    rates = {"prod": {"put": rate}, "other": {}}
    there = {(name, "us-east-2"): EndPlace("there", one) for name, one in rates.items()}
    assert budget([*creates(30), *_of_another(creates(30))], there).seconds == seconds


@pytest.mark.parametrize("rate", [0.1, 100.0])
def test_a_replication_that_only_reads_in_a_place_does_not_change_the_rate_of_its_puts(rate: float) -> None:
    ends = {("prod", "us-east-2"): EndPlace("there"), ("other", SOURCE): EndPlace("there", {"put": rate})}
    assert budget(creates(30), ends).seconds == 10.0
    own = {
        **ends,
        ("prod", "us-east-2"): EndPlace("there", {"put": 6.0}),
        ("more", SOURCE): EndPlace("there"),
    }
    assert budget(creates(30), own).seconds == 6.0, "the tags of the source at 5/s"


REGIONS = ("us-east-1", "us-east-2", "eu-west-1")
RATES = st.dictionaries(
    st.sampled_from([one.value for one in CallClass]), st.sampled_from((0.5, 2.0, 6.0, 40.0)), max_size=4
)
REPLICATIONS = st.lists(
    st.tuples(st.lists(st.sampled_from(REGIONS), min_size=2, max_size=3, unique=True), RATES), min_size=1
)


@pytest.mark.parametrize("put", [CALL_RATES[CallClass.PUT], HIGHER_THROUGHPUT_PUT_RATE])
@given(replications=REPLICATIONS)
@examples(40)
def test_the_rates_of_a_plan_are_those_of_its_apply(
    put: float, replications: list[tuple[list[str], dict[str, float]]]
) -> None:
    shared = Rates(FakeClock())
    ends: dict[tuple[str, str], EndPlace] = {}
    used: dict[tuple[str, CallClass], Bucket] = {}
    for number, (regions, rates) in enumerate(replications):
        for end, region in zip((SOURCE, *regions), regions, strict=False):
            place = Place("123456789012", region)
            buckets = shared.of(place, tuple(rates.items()), read_only=end == SOURCE)
            used |= {(str(place), CallClass(kind)): bucket for kind, bucket in buckets.items()}
            ends[str(number), end] = EndPlace(str(place), rates)
    for (_, kind), bucket in used.items():
        if kind is CallClass.PUT:
            bucket.set_default(put)
    paces = _paces(ends, {**CALL_RATES, CallClass.PUT: put})
    assert {key: paces[key] for key in used} == {key: bucket.rate for key, bucket in used.items()}
    assert paces.found.keys() == used.keys()


HERE, THERE = "1/us-east-1", "1/us-east-2"


def _at(**rates: float) -> dict[tuple[str, str], EndPlace]:
    return {("prod", SOURCE): EndPlace(HERE, rates), ("prod", "us-east-2"): EndPlace(THERE, rates)}


@pytest.mark.parametrize(
    ("changes", "rates", "limit"),
    [
        (creates(300), {}, BudgetLimit(THERE, "PutParameter", 3.0, 100.0)),
        (creates(300), {"put": 10.0}, BudgetLimit(HERE, "ListTagsForResource", 5.0, 60.0, 10)),
        (creates(300), {"put": 10.0, "list_tags": 10.0}, BudgetLimit(THERE, "PutParameter", 10.0, 30.0)),
        (updates(300), {"put": 10.0}, BudgetLimit(THERE, "AddTagsToResource", 5.0, 60.0)),
        (retags(300), {"tags": 20.0}, BudgetLimit(HERE, "ListTagsForResource", 5.0, 60.0, 20)),
        (deletes(300), {}, BudgetLimit(THERE, "ListTagsForResource", 5.0, 60.0, 50)),
        (replaces(30), {}, BudgetLimit(THERE, "PutParameter", 3.0, 10.0 + DELETE_SECONDS)),
        ([], {}, None),
    ],
)
def test_the_limit_is_the_operation_and_place_of_the_least_time(
    changes: list[Change], rates: dict[str, float], limit: BudgetLimit | None
) -> None:
    found = budget(changes, _at(**rates))
    assert found.limit == limit
    assert found.seconds == (0 if limit is None else limit.seconds)


@pytest.mark.parametrize("changes", [creates(300), retags(301), deletes(999), [*creates(9), *deletes(7)]])
def test_with_the_fitting_rate_another_operation_is_the_limit(changes: list[Change]) -> None:
    rates = {"put": 13.0, "tags": 17.0}
    now = budget(changes, _at(**rates)).limit
    assert now is not None
    assert now.fitting_rate is not None
    fitting = budget(changes, _at(**rates, list_tags=float(now.fitting_rate))).limit
    almost = budget(changes, _at(**rates, list_tags=now.fitting_rate - 1.0)).limit
    assert fitting is not None
    assert almost is not None
    assert fitting.operation != "ListTagsForResource"
    assert almost.operation == "ListTagsForResource"


def test_the_limit_with_higher_throughput_is_that_of_ten_puts_a_second() -> None:
    found = budget(creates(300), _at()).with_higher_throughput
    assert found == budget(creates(300), _at(put=10.0)).limit
    assert budget(creates(300), _at(list_tags=99.0)).with_higher_throughput == BudgetLimit(
        THERE, "PutParameter", 10.0, 30.0
    )


@pytest.mark.parametrize(("changes", "rates"), [(creates(30), {"put": 3.0}), (deletes(30), {}), ([], {})])
def test_without_a_limit_by_the_default_of_puts_higher_throughput_changes_nothing(
    changes: list[Change], rates: dict[str, float]
) -> None:
    assert budget(changes, _at(**rates)).with_higher_throughput is None


def test_the_pause_of_a_replacement_is_in_each_time() -> None:
    found = budget([*creates(300), *replaces(1, "/p/x")], _at())
    assert found.limit is not None
    assert found.with_higher_throughput is not None
    assert found.seconds == found.limit.seconds == 100.3 + DELETE_SECONDS
    assert found.with_higher_throughput.seconds == 60.2 + DELETE_SECONDS


def test_higher_throughput_raises_a_place_up_to_the_rate_that_another_replication_sets() -> None:
    both = [*creates(30), *_of_another(creates(30))]
    for rate, raised in ((6.0, (6.0, 10.0)), (3.0, None)):
        ends = {
            ("prod", "us-east-2"): EndPlace(THERE),
            ("other", "us-east-2"): EndPlace(THERE, {"put": rate}),
        }
        found = budget(both, ends)
        assert found.limit == BudgetLimit(THERE, "PutParameter", 3.0, 20.0)
        more = found.with_higher_throughput
        assert (more and (more.rate, more.seconds)) == raised


def test_the_fitting_rate_is_that_of_the_place_with_the_most_calls() -> None:
    """Another place may have a higher rate than the limit, and more calls: one `list_tags` fits both."""
    ends = {
        ("prod", SOURCE): EndPlace(HERE, {"list_tags": 5.0}),
        ("prod", "us-east-2"): EndPlace(THERE, {"put": 20.0}),
        ("other", SOURCE): EndPlace("1/eu-west-1", {"list_tags": 50.0}),
        ("other", "us-east-2"): EndPlace(THERE, {"put": 20.0}),
    }
    limit = budget([*creates(50), *_of_another(creates(100))], ends).limit
    assert limit == BudgetLimit(HERE, "ListTagsForResource", 5.0, 10.0, 14)  # 100 calls in the 7.5 s of puts


def test_higher_throughput_does_not_change_a_place_whose_rate_is_set() -> None:
    slow = {**_at(), ("prod", "eu-west-1"): EndPlace("1/eu-west-1", {"put": 2.0})}
    west = [replace(one, target="eu-west-1") for one in creates(10)]
    found = budget([*creates(30), *west], slow)
    assert found.limit == BudgetLimit(THERE, "PutParameter", 3.0, 10.0)
    assert found.with_higher_throughput == BudgetLimit(HERE, "ListTagsForResource", 5.0, 6.0, 6)


def test_the_id_of_a_plan_does_not_depend_on_its_limit() -> None:
    plan = plan_of(*creates(3))
    ids = {replace(plan, budget=one).plan_id for one in (None, budget(creates(3), {}), budget([], {}))}
    assert len(ids) == 1


def test_skip_sync_is_read_once_a_source_name_whatever_the_number_of_replications() -> None:
    both = [*creates(4), *_of_another(creates(4))]
    same = {("prod", SOURCE): EndPlace("here"), ("other", SOURCE): EndPlace("here")}
    assert budget(both, same).calls["ListTagsForResource"] == 4
    assert budget(both, {**same, ("other", SOURCE): EndPlace("elsewhere")}).calls["ListTagsForResource"] == 8


def test_an_apply_of_everything_at_once_makes_exactly_the_calls_that_its_plan_names() -> None:
    spec = replication(
        delete=DeleteMode.CREATED, skip_sync=SkipSync(replicas=OnSkip.DELETE), adopt=AdoptMode.SAME_VALUE
    )
    run = Run(max_deletes=100, max_change_percent=100, allow_replace=True)
    aws = SimulatedAws(spec)
    _before(aws)
    assert aws.apply(run=run).summary["applied"] == 64
    _after(aws)
    aws.pass_time()
    plan = aws.plan(run=run)
    kinds = Counter(type(one.effect).__name__ for one in plan.changes)
    assert kinds == {
        "Create": 13,
        "Update": 13,
        "Retag": 12,
        "Adopt": 3,
        "Replace": 2,
        "Delete": 16,
        "Release": 2,
    }
    aws.world.calls.clear()
    report = aws.carry_out(plan, run=run)
    assert report.summary["applied"] == len(plan.changes)
    assert plan.budget is not None
    made = Counter(call.operation for call in aws.world.calls)
    assert made.pop("GetCallerIdentity") == 2, "the apply opens both places again"
    assert plan.budget.calls == made


def _before(aws: SimulatedAws) -> None:
    for number in range(62):
        tier = "Advanced" if number in {40, 41} else "Standard"
        kind = "SecureString" if number % 3 == 0 else "String"
        aws.put(f"/p/{number:02}", f"value {number}", kind, tags={"t": "1"}, tier=tier)
    for number in (90, 91):
        for place in (aws.here, aws.there):
            aws.world.put(place, f"/p/{number}", "there before", tags={"t": "1"})


def _after(aws: SimulatedAws) -> None:
    world, here = aws.world, aws.here
    for number in range(12):
        world.put(here, f"/p/{number:02}", f"new value {number}")
    for number in range(12, 24):
        world.tag(here, f"/p/{number:02}", {"t": "2"})
    for number in range(24, 36):
        world.delete(here, f"/p/{number:02}")
    for number in range(36, 40):
        world.tag(here, f"/p/{number:02}", {"skip_sync": "1"})
    for number in (40, 41):
        world.delete(here, f"/p/{number}")
    aws.pass_time()
    for number in (40, 41):
        world.put(here, f"/p/{number}", f"value {number}", tags={"t": "1"})
    for number in (90, 91):
        world.delete(here, f"/p/{number}")
    for number in range(13):
        world.put(here, f"/p/new-{number:02}", "new", tags={"t": "1"})
    for number in range(3):
        for place in (here, aws.there):
            world.put(place, f"/p/same-{number}", "same", tags={"t": "1"})
    world.put(here, "/p/alike", "same", tags={"t": "1"}, description="this one")
    world.put(aws.there, "/p/alike", "same", tags={"t": "1"}, description="another one")
