"""`doctor --probe`: measured rates, answers by the behaviour of AWS, limits of each request, the clean-up."""

from __future__ import annotations

import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import Any

import pytest

from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.doctor.probe import ProbeReport, check_path, expect, find_overlap, prepare, run_probe
from ssm_reconcile.doctor.probe_calls import PROBE_SECONDS, PROBE_TAG, ProbeEnd, ProbeEndError
from ssm_reconcile.doctor.probe_rates import RATE_PLANS, MeasuredRate, RateMeter, RatePlan
from ssm_reconcile.errors import StoreError, Trouble, UsageError
from ssm_reconcile.model import Access, Place
from ssm_reconcile.spec import Glob, Rewrite, RewriteIn
from ssm_reconcile.wording import utc_text
from tests.builders import replication, target
from tests.fake_aws.behaviour import (
    AwsBehaviour,
    Duplicates,
    InPlace,
    ListSpaces,
    Match,
    Moves,
    Omitted,
    Recreate,
    all_readings,
    label,
)
from tests.fake_aws.probed import (
    PATH,
    RUN,
    RUN_AGAIN,
    InlineExecutor,
    Probed,
    limited,
    most_in_a_second,
    staged,
)
from tests.fake_aws.traffic import Fault, FaultPlan, at_call, killed, lost, refused
from tests.fake_aws.world import ACCOUNT, Lag
from tests.simulated_aws import SimulatedAws

pytestmark = pytest.mark.large

AREA = f"{PATH}/{RUN}/"
WRITES = ("PutParameter", "AddTagsToResource", "LabelParameterVersion", "DeleteParameters")
READS = ("GetParameters", "GetParametersByPath", "DescribeParameters", "ListTagsForResource", "GetResources")


def rate_of(report: ProbeReport, kind: CallClass) -> MeasuredRate:
    return next(one for one in report.rates if one.kind is kind)


def answers(report: ProbeReport) -> dict[str, str | None]:
    return {one.id: one.answer for one in report.facts}


def written_names(probed: Probed) -> set[str]:
    """The names in all writes."""
    found: set[str] = set()
    for one in probed.sent(*WRITES):
        found |= {one["Name"]} if "Name" in one else set(one.get("Names", ()) or {one.get("ResourceId")})
    return found


def of_call(operation: str, kind: Trouble, *, after: int = 0, only: str = "") -> FaultPlan:
    """Refuse an operation after some calls of it, for names with a text."""

    def plan(called: str, _: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        is_meant = called == operation and nth > after and (not only or any(only in one for one in names))
        return refused(kind) if is_meant else None

    return plan


# Rates


@pytest.mark.parametrize(
    ("factor", "burst"),
    [(0.5, 10.0), (1.0, 5.0), (1.0, 30.0), (1.3, 10.0), (2.0, 5.0), (2.0, 30.0), (3.3, 10.0)],
)
def test_the_sustained_rate_is_within_a_tenth_of_the_quota(factor: float, burst: float) -> None:
    probed = staged()
    quotas = {plan.kind.value: plan.rates[0] * factor for plan in RATE_PLANS}
    probed.aws.world.faults = limited(probed.aws, quotas, burst)
    report = probed.run()
    for kind, quota in quotas.items():
        one = rate_of(report, CallClass(kind))
        assert one.sustained is not None, one
        assert one.sustained == pytest.approx(quota, rel=0.1), one
        assert one.is_limit
        assert one.throttled <= 15
        assert report.spec_rates[kind] <= 0.9 * one.sustained
        assert report.spec_rates[kind] < quota
    assert report.exit_code == 0
    assert probed.names == []


@pytest.mark.parametrize(("quota", "burst"), [(1.2, 3.0), (1.2, 10.0), (1.7, 3.0), (2.2, 10.0)])
def test_far_below_the_default_all_rates_are_found_with_few_throttled_calls(
    quota: float, burst: float
) -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {plan.kind.value: quota for plan in RATE_PLANS}, burst)
    report = probed.run()
    for one in report.rates:
        assert one.sustained == pytest.approx(quota, rel=0.1), one
        assert one.is_limit
        assert one.throttled <= 16
    assert report.is_clean


def test_a_slow_client_measures_itself_and_says_so() -> None:
    report = staged(latency=0.5).run()
    one = rate_of(report, CallClass.DELETE)
    assert one.reason == "this client is not faster"
    assert one.sustained == pytest.approx(2.0, rel=0.1)
    assert not one.is_limit


def test_a_step_up_takes_four_seconds_and_that_at_the_highest_rate_fifteen() -> None:
    plan = RatePlan(CallClass.PUT, "PutParameter", 40)
    assert [round(rate, 2) for rate in plan.rates] == [3, 4.24, 6, 8.49, 12]
    assert [plan.calls_up(rate) for rate in plan.rates] == [12, 17, 24, 34, 180]
    assert plan.most_calls == 2 * 40 + (12 + 17 + 24 + 34 + 180) + 5 * 30
    assert max(RatePlan(CallClass.LIST_TAGS, "ListTagsForResource", 20).rates) == 19


def test_a_measurement_ends_at_its_most_calls() -> None:
    """Each step down is throttled late, so that all steps together have many calls."""
    probed = staged()

    def plan(called: str, _: Place, _names: tuple[str, ...], nth: int) -> Fault | None:
        is_meant = called == "DescribeParameters" and nth > 20 and nth % 25 == 0
        return refused(Trouble.THROTTLED) if is_meant else None

    probed.aws.world.faults = plan
    one = rate_of(probed.run(), CallClass.DESCRIBE)
    most = next(plan.most_calls for plan in RATE_PLANS if plan.kind is CallClass.DESCRIBE)
    assert one.reason == f"not found with {most} calls"
    assert one.calls <= most


def test_a_burst_of_tags_changes_each_parameter_once() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("PutParameter", Trouble.DENIED, after=15)
    report = probed.run()
    one = rate_of(report, CallClass.TAGS)
    assert one.burst == report.remains.deleted < 40
    names = [one["ResourceId"] for one in probed.sent("AddTagsToResource")][1 : one.burst + 1]
    assert len(set(names)) == one.burst


def test_two_changes_of_one_parameter_at_a_time_are_not_a_quota() -> None:
    probed = staged()

    def plan(called: str, _: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        is_busy = called in {"PutParameter", "AddTagsToResource"} and nth > 80 and nth % 7 == 0
        return refused(Trouble.THROTTLED, "TooManyUpdates") if is_busy and "fact" not in names[0] else None

    probed.aws.world.faults = plan
    report = probed.run()
    for kind in (CallClass.PUT, CallClass.TAGS):
        one = rate_of(report, kind)
        assert (one.is_limit, one.throttled, one.reason) == (False, 0, "")
    assert report.throttled.keys() <= {"PutParameter"}


def test_a_rate_of_updates_without_a_parameter_to_update_has_a_reason() -> None:
    probed = staged()

    def plan(called: str, _: Place, names: tuple[str, ...], _nth: int) -> Fault | None:
        is_meant = called == "PutParameter" and any("/put/" in name for name in names)
        return refused(Trouble.THROTTLED) if is_meant else None

    probed.aws.world.faults = plan
    one = rate_of(probed.run(), CallClass.PUT)
    assert (one.sustained, one.reason) == (None, "NothingCreated")


def test_a_small_burst_of_creates_leaves_enough_names_for_updates() -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {"put": 3.0}, 2)
    assert probed.run().exit_code == 0
    updated = {
        one["Name"] for one in probed.sent("PutParameter") if one["Overwrite"] and "/put/" in one["Name"]
    }
    assert len(updated) >= 12


def test_saved_calls_do_not_make_the_highest_rate_look_unlimited() -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {"delete": 17.0}, 39)
    one = rate_of(probed.run(), CallClass.DELETE)
    assert one.is_limit
    assert one.sustained == pytest.approx(17.0, rel=0.1)


@pytest.mark.parametrize("burst", [4, 10, 17])
def test_the_burst_is_that_of_the_quota(burst: int) -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {"tags": 5, "describe": 5, "delete": 5}, burst)
    report = probed.run()
    for kind in (CallClass.TAGS, CallClass.DESCRIBE, CallClass.DELETE):
        one = rate_of(report, kind)
        assert (one.burst, one.burst_is_limit) == (burst, True)


def test_without_throttling_the_rates_are_lower_bounds() -> None:
    report = staged().run()
    for plan in RATE_PLANS:
        one = rate_of(report, plan.kind)
        assert one.sustained == pytest.approx(plan.rates[-1])
        assert not one.is_limit
        assert not one.burst_is_limit
        assert one.throttled == 0
    assert "get" not in report.spec_rates


def test_a_throttled_call_ends_its_step() -> None:
    """Two throttled calls of one class are never at the same moment."""
    probed = staged()
    throttled: list[tuple[float, str]] = []
    quotas = limited(probed.aws, dict.fromkeys(("tags", "delete", "describe"), 4.0), 10)

    def plan(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        fault = quotas(operation, place, names, nth)
        if fault is not None:
            throttled.append((probed.aws.clock.monotonic(), operation))
        return fault

    probed.aws.world.faults = plan
    probed.run()
    assert len(throttled) == len(set(throttled)) > 3


def test_a_rate_that_is_not_found_is_not_proposed() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("DescribeParameters", Trouble.DENIED)
    report = probed.run()
    one = rate_of(report, CallClass.DESCRIBE)
    assert (one.sustained, one.reason) == (None, "AccessDeniedException")
    assert "describe" not in report.spec_rates
    assert report.exit_code == 3


@pytest.mark.threads
def test_a_burst_is_sent_at_the_same_time() -> None:
    """Threads of the real executor: each call waits until all are under way."""
    probed = staged()
    together = threading.Barrier(8, timeout=10)
    plan = next(one for one in RATE_PLANS if one.kind is CallClass.DELETE)
    meter = RateMeter(probed.calls, ThreadPoolExecutor)
    assert meter.passes(lambda _: together.wait(), float("inf"), 8)
    assert plan.burst > 8


@pytest.mark.threads
def test_after_a_throttled_call_only_the_calls_under_way_are_answered() -> None:
    probed = staged()
    together, sent = threading.Barrier(10, timeout=10), list[int]()

    def send(number: int) -> None:
        sent.append(number)
        together.wait()
        raise StoreError(
            Trouble.THROTTLED, place="", operation="DeleteParameters", code="ThrottlingException"
        )

    assert not RateMeter(probed.calls, ThreadPoolExecutor).passes(send, float("inf"), 40)
    assert len(sent) == 10


def test_the_most_calls_of_each_measurement_are_kept() -> None:
    probed = staged()
    report = probed.run()
    for plan in RATE_PLANS:
        assert rate_of(report, plan.kind).calls <= plan.most_calls
    found = expect()
    assert sum(report.calls.values()) <= found.requests
    assert report.created <= found.creates


# Facts

READINGS: dict[str, tuple[str, dict[Any, str]]] = {
    "type_change": ("type-change", {InPlace.ALLOWED: "allowed", InPlace.REFUSED: "refused"}),
    "pattern_omitted": ("pattern-omitted", {Omitted.KEPT: "kept", Omitted.RESET: "reset"}),
    "pattern_match": ("pattern-match", {Match.WHOLE: "whole value", Match.ANYWHERE: "anywhere"}),
    "list_spaces": ("list-spaces", {ListSpaces.STRIPPED: "stripped", ListSpaces.KEPT: "kept"}),
    "duplicate_names": ("duplicate-names", {Duplicates.REFUSED: "refused", Duplicates.ONCE: "once"}),
    "tags_move_modified": ("tags-move-modified", {Moves.NO: "no", Moves.YES: "yes"}),
    "recreate": (
        "recreate", {Recreate.BUSY: "refused", Recreate.EXISTS: "refused", Recreate.ALLOWED: "allowed"},
    ),
}  # fmt: skip


BEHAVIOURS = [
    one
    for one in all_readings()
    if one == AwsBehaviour() or any(getattr(one, fact) != getattr(AwsBehaviour(), fact) for fact in READINGS)
]
"""The behaviours that a probe can see: the default, each departure in a probed fact, and all departures."""
OUTSIDE = ("/prod/db", "/probes/x", "/probe-not")


@cache
def run_beside_others(behaviour: AwsBehaviour) -> tuple[Probed, ProbeReport, object]:
    """Return a run beside other parameters, its report, and the state before it."""
    aws = SimulatedAws(behaviour=behaviour)
    for name in OUTSIDE:
        aws.put(name, "v", region="us-east-2")
    before = aws.world.state([aws.there])
    probed = staged(aws)
    return probed, probed.run(), before


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=label)
def test_nothing_outside_of_the_area_of_the_run_is_written(behaviour: AwsBehaviour) -> None:
    probed, _, before = run_beside_others(behaviour)
    assert {name for name in written_names(probed) if not name.startswith(AREA)} == set()
    assert probed.aws.world.state([probed.aws.there]) == before


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=label)
def test_each_answer_follows_the_behaviour_of_aws(behaviour: AwsBehaviour) -> None:
    probed, report, _ = run_beside_others(behaviour)
    found = answers(report)
    for field, (fact, words) in READINGS.items():
        assert found[fact] == words[getattr(behaviour, field)], fact
    assert found["labels-move-modified"] == found["tags-move-modified"]
    assert found["create-rate"] == "alike"
    assert report.exit_code == 0
    assert sorted(probed.names) == sorted(OUTSIDE)


def test_the_time_until_a_name_may_be_created_again_is_measured() -> None:
    report = staged(latency=0.123).run()
    (one,) = [one for one in report.facts if one.id == "recreate"]
    assert one.code == "TooManyUpdates"
    assert one.seconds is not None
    assert one.seconds == round(one.seconds, 1) == pytest.approx(31.5, abs=0.5)


def test_a_write_that_is_not_visible_is_read_for_ten_seconds_and_the_reason_names_the_place() -> None:
    probed = staged(SimulatedAws(lag=Lag(values=timedelta(hours=1))), latency=0.1)
    (one,) = [one for one in probed.run().facts if one.id == "list-spaces"]
    assert one.answer is None
    assert one.reason == f"GetParameters in {probed.aws.there} failed: NotVisible"
    reads = [given for given in probed.sent("GetParameters") if given["Names"] == [f"{AREA}fact/list"]]
    assert len(reads) == 6, "one every two seconds"


@pytest.mark.parametrize(("lag", "answer"), [(0, "listed"), (25, "listed"), (500, "not listed")])
def test_the_lag_of_get_resources_is_measured_for_a_minute(lag: int, answer: str) -> None:
    aws = SimulatedAws(lag=Lag(resources=timedelta(seconds=lag)))
    report = staged(aws, latency=0.123).run()
    (one,) = [one for one in report.facts if one.id == "resources-lag"]
    assert one.answer == answer
    assert one.seconds is not None
    assert one.seconds == round(one.seconds, 1)
    assert lag <= one.seconds <= lag + 3 or (answer == "not listed" and 60 <= one.seconds < 65)


def test_facts_that_need_a_key_or_the_advanced_tier_are_named_with_the_reason() -> None:
    probed = staged()
    report = probed.run()
    left = [one for one in report.facts if one.answer is None]
    assert len(left) == 8
    assert all(one.reason.startswith("not probed: needs") for one in left)
    assert {one["Tier"] for one in probed.sent("PutParameter")} == {"Standard"}
    assert not [one for one in probed.sent("PutParameter") if "KeyId" in one or one["Type"] == "SecureString"]


def test_the_pages_of_get_resources_are_read_to_the_end() -> None:
    probed = staged()
    send, given = probed.store.send, list[Any]()

    def page(operation: str, arguments: Any) -> Any:
        if operation != "GetResources":
            return send(operation, arguments)
        given.append(arguments.get("PaginationToken"))
        found = [] if len(given) == 1 else [{"ResourceARN": "x"}]
        return {"ResourceTagMappingList": found, "PaginationToken": "next"}

    probed.store.send = page  # type: ignore[method-assign]  # an empty first page
    report = probed.run()
    assert given == [None, "next"]
    (one,) = [one for one in report.facts if one.id == "resources-lag"]
    assert (one.answer, one.seconds) == ("listed", 0.0)


def test_a_denied_fact_has_its_reason_and_the_others_are_answered() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("LabelParameterVersion", Trouble.DENIED)
    report = probed.run()
    assert answers(report)["labels-move-modified"] is None
    assert answers(report)["tags-move-modified"] == "no"


# Limits of each request


def test_each_parameter_has_its_tags_from_its_creation() -> None:
    probed = staged()
    probed.run()
    created = [one for one in probed.sent("PutParameter") if not one["Overwrite"]]
    assert len(created) > 50
    for one in created:
        tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        assert tags == {"skip_sync": "true", "no_copy": "true", PROBE_TAG: RUN}


def test_reads_are_never_more_than_twenty_a_second() -> None:
    probed = staged()
    probed.run()
    times = [time for time, operation, _ in probed.store.log if operation in READS]
    assert most_in_a_second(times) <= 20
    assert len(times) > 500


@pytest.mark.parametrize(
    ("latency", "rate"),
    [(0.0, 0.3), (0.0, 20.0), (0.2, 1.0), (2.0, 0.3), (2.0, 20.0), (5.0, 1.0), (20.0, 0.3), (20.0, 20.0)],
)
def test_a_run_creates_at_most_300_and_ends_within_ten_minutes(latency: float, rate: float) -> None:
    probed = staged(latency=latency)
    quotas = {plan.kind.value: rate for plan in RATE_PLANS}
    probed.aws.world.faults = limited(probed.aws, quotas, max(3.0, rate))
    report = probed.run()
    assert probed.store.log[-1][0] <= PROBE_SECONDS
    assert report.seconds <= PROBE_SECONDS
    assert len([one for one in probed.sent("PutParameter") if not one["Overwrite"]]) <= 300
    assert probed.names == [], report.remains
    assert report.is_clean


@pytest.mark.parametrize(
    ("at", "growth"),
    [(0.0, 1.02), (0.0, 300.0), (60.0, 1.2), (150.0, 1.02), (150.0, 300.0), (230.0, 1.2)],
)
def test_with_responses_that_become_slow_no_request_begins_after_ten_minutes(
    at: float, growth: float
) -> None:
    probed = staged()

    def plan(*_: object) -> None:
        if probed.aws.clock.monotonic() > at:
            probed.store.latency = min(29.0, max(0.1, probed.store.latency) * growth)

    probed.aws.world.faults = plan
    report = probed.run()
    assert probed.store.log[-1][0] <= PROBE_SECONDS
    assert report.seconds <= PROBE_SECONDS + probed.store.latency * (growth - 1)
    assert list(report.remains.remaining) == probed.names
    assert report.exit_code == 3


@pytest.mark.parametrize("rate", [0.2, 0.3, 0.4, 0.5, 0.6])
def test_a_low_quota_of_tag_reads_leaves_time_for_the_clean_up(rate: float) -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {plan.kind.value: rate for plan in RATE_PLANS}, 3)
    report = probed.run()
    assert report.seconds <= PROBE_SECONDS
    assert (report.is_clean, probed.names) == (True, [])


@pytest.mark.parametrize(("count", "latency", "kept"), [(20, 5.0, 285), (40, 2.0, 224)])
def test_the_time_of_the_clean_up_is_kept(count: int, latency: float, kept: int) -> None:
    """It suffices for responses that take half as long again, and for listings that are repeated."""
    probed = staged(latency=latency)
    for number in range(count):
        probed.calls.create(f"x/{number}", Type="String", Value="v")
    with pytest.raises(ProbeEndError):
        probed.calls.wait(PROBE_SECONDS)
    assert PROBE_SECONDS - probed.calls.seconds == kept
    probed.store.latency = 1.5 * latency
    sent: Counter[str] = Counter()

    def throttle_every_second_listing(operation: str, *_: object) -> Fault | None:
        sent[operation] += 1
        is_first = operation == "GetParametersByPath" and sent[operation] % 2 == 1
        return refused(Trouble.THROTTLED) if is_first else None

    probed.aws.world.faults = throttle_every_second_listing
    assert probed.calls.clean_up().remaining == ()
    assert probed.names == []
    assert probed.calls.seconds <= PROBE_SECONDS


def test_a_request_is_not_repeated_when_no_time_is_left() -> None:
    probed = staged()
    probed.aws.pass_time(seconds=PROBE_SECONDS - 4)
    probed.aws.world.faults = of_call("GetParameters", Trouble.THROTTLED)
    with pytest.raises(StoreError):
        probed.calls.persist("GetParameters", Names=[PATH])
    assert len(probed.sent("GetParameters")) == 3
    assert probed.calls.seconds <= PROBE_SECONDS


def test_reads_of_several_threads_wait_behind_each_other() -> None:
    """While one read waits for the rate, another thread cannot send one."""
    probed = staged()
    clock, sleep = probed.aws.clock, probed.aws.clock.sleep
    others: list[threading.Thread] = []
    counts: list[int] = []

    def send() -> None:
        probed.calls.probe("GetParameters", Names=[PATH])

    def wait(seconds: float) -> None:
        if not others:
            others.append(threading.Thread(target=send))
            others[0].start()
            others[0].join(0.3)
            counts.append(len(probed.store.log))
        sleep(seconds)

    for _ in range(20):
        send()
    clock.sleep = wait  # type: ignore[method-assign]  # the moment of the wait
    send()
    others[0].join(10)
    assert counts == [20]
    assert len(probed.store.log) == 22


def test_with_slow_responses_no_rate_is_measured() -> None:
    report = staged(latency=5.0).run()
    assert report.end is ProbeEnd.COMPLETE
    assert {one.reason for one in report.rates} <= {"a response takes 5.0 s", "no time was left"}
    assert report.exit_code == 3


def test_with_responses_that_take_less_than_a_second_all_rates_are_measured() -> None:
    """The time that is kept for the clean-up does not end the measurements early."""
    report = staged(latency=0.8).run()
    assert [one.kind for one in report.rates if one.sustained is None] == []
    assert report.exit_code == 0


def test_the_limit_of_creates_is_in_the_code() -> None:
    probed = staged()
    for number in range(300):
        probed.calls.create(f"x/{number}", Type="String", Value="v")
    with pytest.raises(ValueError, match="more than 300"):
        probed.calls.create("x/300", Type="String", Value="v")
    assert probed.calls.clean_up().remaining == ()
    assert probed.names == []


STANDARD = {"Tier": "Standard"}
TAGS = [{"Key": key, "Value": "true"} for key in ("skip_sync", "no_copy")] + [
    {"Key": PROBE_TAG, "Value": RUN}
]
FORBIDDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a create elsewhere": ("PutParameter", {"Name": "/prod/a", "Overwrite": False, "Tags": TAGS}),
    "a create beside the run": ("PutParameter", {"Name": f"{PATH}/x", "Overwrite": False, "Tags": TAGS}),
    "a create of a name that stays absent": (
        "PutParameter",
        {"Name": f"{AREA}absent/1", "Overwrite": False, "Tags": TAGS, **STANDARD},
    ),
    "a create without tags": (
        "PutParameter",
        {"Name": f"{AREA}x", "Overwrite": False, "Tags": [], **STANDARD},
    ),
    "a create without a tier": ("PutParameter", {"Name": f"{AREA}x", "Overwrite": False, "Tags": TAGS}),
    "an overwrite without a tier": ("PutParameter", {"Name": f"{AREA}x", "Overwrite": True}),
    "an overwrite of nothing": ("PutParameter", {"Name": f"{AREA}x", "Overwrite": True, **STANDARD}),
    "tags elsewhere": ("AddTagsToResource", {"ResourceId": "/prod/a", "Tags": []}),
    "a label elsewhere": ("LabelParameterVersion", {"Name": "/prod/a"}),
    "a delete elsewhere": ("DeleteParameters", {"Names": ["/prod/a"]}),
    "a delete without a look at the tags": ("DeleteParameters", {"Names": [f"{AREA}put/1"]}),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_request_outside_of_the_run_is_refused_before_it_is_sent(case: str) -> None:
    probed = staged()
    operation, arguments = FORBIDDEN[case]
    with pytest.raises(ValueError, match=r"outside of|create|tags were not read|tier"):
        probed.calls.probe(operation, **arguments)
    assert probed.store.log == []


# Another probe of the same path


def test_a_path_that_changed_in_the_last_ten_minutes_is_refused_with_the_earliest_time() -> None:
    first = staged()
    name = first.calls.create("put/1", Type="String", Value="v")
    first.aws.pass_time(minutes=9, seconds=59)
    again = staged(first.aws, run=RUN_AGAIN)
    with pytest.raises(UsageError, match="another probe may be running") as refused:
        again.run()
    end = first.aws.clock.now() + timedelta(seconds=1)
    assert refused.value.remedy == f"run it again in 1 minute, after {utc_text(end)}, or give another path"
    assert (first.names, again.sent(*WRITES)) == ([name], [])
    first.aws.pass_time(seconds=1)
    assert again.run().leftovers == 1


@pytest.mark.parametrize("nth", [2, 40, 80])
def test_two_probes_at_the_same_time_leave_nothing(nth: int) -> None:
    first = staged()
    again = staged(first.aws, run=RUN_AGAIN)
    others: list[str] = []

    def plan(called: str, _: Place, _names: tuple[str, ...], count: int) -> Fault | None:
        if (called, count) == ("PutParameter", nth):
            first.aws.world.faults = None
            with pytest.raises(UsageError) as refused:
                again.run()
            others.append(str(refused.value))
        return None

    first.aws.world.faults = plan
    assert first.run().exit_code == 0
    assert len(others) == 1
    assert first.names == []


def test_an_overwrite_that_creates_its_parameter_ends_the_run_and_leaves_nothing() -> None:
    """Another writer deletes all parameters of the run between two updates."""
    probed = staged(SimulatedAws(behaviour=AwsBehaviour(recreate=Recreate.ALLOWED)))
    aws, deleted = probed.aws, list[str]()

    def plan(called: str, _: Place, _names: tuple[str, ...], count: int) -> Fault | None:
        if (called, count) == ("PutParameter", 80):
            deleted.extend(probed.names)
            aws.world.delete(aws.there, *deleted)
        return None

    aws.world.faults = plan
    report = probed.run()
    assert len(deleted) > 20
    assert (report.end, probed.names) == (ProbeEnd.FAILED, [])
    assert re.search(r"another writer deleted /probe/0123456789ab/put/.+: is another probe", report.trouble)
    assert len(probed.sent("PutParameter")) == 80
    assert report.exit_code == 3


# The path


def refusal_of(path: str) -> UsageError | None:
    try:
        check_path(path)
    except UsageError as error:
        return error
    return None


@pytest.mark.parametrize(
    "path",
    ["probe", "/", "/probe/", "//probe", "/aws/x", "/ssm-probe", "/p*", "/a b", "/x" * 13, "/" + "x" * 500],
)
def test_a_path_that_aws_does_not_accept_is_refused(path: str) -> None:
    assert refusal_of(path) is not None


@pytest.mark.parametrize("path", ["/probe", "/a/b-c/d_e.f", "/x" * 12])
def test_a_path_of_levels_is_accepted(path: str) -> None:
    assert refusal_of(path) is None


@pytest.mark.parametrize(
    ("include", "path", "overlap"),
    [
        ("/prod/**", "/probe", False),
        ("/**", "/probe", True),
        ("/probe", "/probe", True),
        ("/probe/**", "/probe", True),
        ("/probe/x/**", "/probe", True),
        ("/probe/**", "/probe/x", True),
        ("/*/db/*", "/probe", True),
        ("/pro*", "/probe", True),
        ("/probes/**", "/probe", False),
        ("/other/*", "/probe", False),
    ],
)
def test_a_path_that_overlaps_an_include_is_found(include: str, path: str, overlap: bool) -> None:
    spec = replication(include=(Glob(include),))
    assert (find_overlap(path, [spec], ACCOUNT) is not None) is overlap


@pytest.mark.parametrize(
    ("old", "new", "path", "overlap"),
    [
        ("/prod", "/probe", "/probe", True),
        ("/prod", "/probe", "/probe/x", True),
        ("/prod", "/probe/x/y", "/probe/x", True),
        ("/prod/us-east-1", "/prod/us-east-2", "/probe", False),
        ("prod", "probe", "/probe", True),
        ("d", "be", "/probe", True),
        ("us-east-1", "{target.region}", "/prod-us-east-2", False),
        ("/prod/us-east-1", "/{target.region}", "/us-east-2", True),
    ],
)
def test_a_path_on_which_a_rewrite_places_replicas_is_found(
    old: str, new: str, path: str, overlap: bool
) -> None:
    rule = Rewrite(Glob("/prod/**"), RewriteIn.NAME, old, new)
    spec = replication(include=(Glob("/prod/**"),), rewrites=(rule,))
    assert (find_overlap(path, [spec], ACCOUNT) is not None) is overlap


def test_a_rewrite_of_values_places_nothing_on_a_path() -> None:
    rule = Rewrite(Glob("/prod/**"), RewriteIn.VALUE, "/prod", "/probe")
    spec = replication(include=(Glob("/prod/**"),), rewrites=(rule,))
    assert find_overlap("/probe", [spec], ACCOUNT) is None


def test_the_account_of_a_role_counts_in_a_rewrite() -> None:
    rule = Rewrite(Glob("/prod/**"), RewriteIn.NAME, "/prod", "/{target.account}")
    role = Access("us-east-2", role_arn="arn:aws:iam::210987654321:role/x")
    spec = replication(include=(Glob("/prod/**"),), rewrites=(rule,), targets=(target(access=role),))
    assert find_overlap("/210987654321", [spec], ACCOUNT) is not None
    assert find_overlap(f"/{ACCOUNT}", [spec], ACCOUNT) is None


@pytest.mark.parametrize("name", [PATH, f"{PATH}/x", f"{PATH}/a/b/c", f"{AREA}x", f"{PATH}/{RUN_AGAIN}/x"])
def test_a_path_that_holds_a_parameter_is_refused(name: str) -> None:
    aws = SimulatedAws()
    aws.put(name, "v", region="us-east-2")
    aws.pass_time()
    before = aws.world.state([aws.there])
    probed = staged(aws)
    with pytest.raises(UsageError, match=r"not empty|has this name"):
        probed.run()
    assert aws.world.state([aws.there]) == before
    assert probed.sent("PutParameter", "AddTagsToResource") == []


def test_of_a_path_with_many_parameters_600_are_read() -> None:
    """A run creates at most 300, so a path with more is one of another use."""
    aws = SimulatedAws()
    for number in range(700):
        aws.put(f"{PATH}/x/{number}", "v", region="us-east-2")
    aws.pass_time()
    probed = staged(aws)
    with pytest.raises(UsageError, match="not empty"):
        probed.run()
    assert len(probed.sent("GetParametersByPath")) == 61, "ten names in a call, and one call more"


@pytest.mark.parametrize("operation", ["GetParametersByPath", "ListTagsForResource", "DeleteParameters"])
def test_nothing_is_created_without_the_permissions_of_the_clean_up(operation: str) -> None:
    probed = staged()
    probed.aws.world.faults = of_call(operation, Trouble.DENIED)
    report = probed.run()
    assert (report.end, report.exit_code) == (ProbeEnd.FAILED, 1)
    assert operation in report.trouble
    assert probed.sent("PutParameter") == []


# The clean-up

PHASES = [
    ("GetParametersByPath", 1), ("DeleteParameters", 1), ("GetResources", 1), ("LabelParameterVersion", 1),
    ("GetParameters", 4), ("ListTagsForResource", 30), ("DescribeParameters", 5), ("PutParameter", 20),
    ("PutParameter", 60), ("PutParameter", 150), ("AddTagsToResource", 10), ("AddTagsToResource", 100),
    ("DeleteParameters", 30), ("DeleteParameters", 300),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "nth"), PHASES)
def test_a_stop_in_each_phase_leaves_nothing(operation: str, nth: int) -> None:
    probed = staged()

    def plan(called: str, _: Place, _names: tuple[str, ...], count: int) -> Fault | None:
        if (called, count) == (operation, nth):
            probed.aws.stop.set()
        return None

    probed.aws.world.faults = plan
    report = probed.run()
    assert probed.names == []
    assert (report.end, report.exit_code) == (ProbeEnd.INTERRUPTED, 130)
    assert len(report.facts) == 18
    assert len(report.rates) == len(RATE_PLANS)
    last = max(i for i, (_, called, _args) in enumerate(probed.store.log) if called == operation)
    assert last < len(probed.store.log)


class Killed(BaseException):
    """The process ends: nothing after it is sent."""


@pytest.mark.parametrize(("nth", "done"), [(1, False), (1, True), (5, True), (70, False), (200, True)])
def test_the_next_run_deletes_the_leftovers_of_a_crash(nth: int, done: bool) -> None:
    probed = staged()
    dead: list[bool] = []

    def plan(called: str, _: Place, _names: tuple[str, ...], count: int) -> Fault | None:
        if dead:
            raise Killed
        if (called, count) == ("PutParameter", nth):
            dead.append(True)
            return killed(Killed(), done=done)
        return None

    probed.aws.world.faults = plan
    with pytest.raises(Killed):
        probed.run()
    left = len(probed.names)
    assert left >= min(40, nth // 3)
    probed.aws.world.faults = None
    probed.aws.pass_time(minutes=10)
    again = staged(probed.aws, run=RUN_AGAIN)
    report = again.run()
    assert report.leftovers >= left
    assert (report.exit_code, again.names) == (0, [])


def test_leftovers_are_listed_where_the_clean_up_is_not_allowed() -> None:
    probed = staged()
    dead: list[bool] = []

    def kill(called: str, *_: object) -> Fault | None:
        if dead or called == "LabelParameterVersion":
            dead.append(True)
            return killed(Killed(), done=False)
        return None

    probed.aws.world.faults = kill
    with pytest.raises(Killed):
        probed.run()
    left = probed.names
    assert left
    probed.aws.pass_time(minutes=10)
    again = staged(probed.aws, run=RUN_AGAIN)
    probed.aws.world.faults = lambda called, *_: (
        refused(Trouble.DENIED) if called == "DeleteParameters" else None
    )
    report = again.run()
    assert report.remains.remaining == tuple(left)
    assert (report.exit_code, again.names) == (3, left)


def test_a_parameter_of_another_writer_below_the_path_is_never_touched() -> None:
    probed = staged()
    aws = probed.aws
    others = [f"{PATH}/other", f"{AREA}other", f"{AREA}put/other"]

    def write() -> None:
        for name in others:
            aws.put(name, "theirs", region="us-east-2", tags={"team": "b"})

    aws.world.before("LabelParameterVersion", write)
    report = probed.run()
    assert probed.names == sorted(others)
    assert report.remains.foreign == tuple(sorted(others))
    assert report.exit_code == 3
    assert written_names(probed).isdisjoint(others)
    assert {aws.world.value(aws.there, name) for name in others} == {"theirs"}


def test_a_parameter_that_lost_its_tag_is_not_deleted() -> None:
    probed = staged()
    aws = probed.aws
    name = f"{AREA}fact/tagged"
    aws.world.before("DescribeParameters", lambda: aws.world.untag(aws.there, name, PROBE_TAG))
    report = probed.run()
    assert probed.names == [name]
    assert report.remains.foreign == (name,)


def test_denied_deletes_are_listed_by_name() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("DeleteParameters", Trouble.DENIED, only="put/")
    report = probed.run()
    assert report.exit_code == 3
    assert list(report.remains.remaining) == probed.names
    assert f"{AREA}put/0" in probed.names
    assert "AccessDeniedException" in report.remains.trouble


@pytest.mark.parametrize("kind", [Trouble.THROTTLED, Trouble.LOST, Trouble.UNREACHABLE])
def test_a_delete_that_fails_for_a_moment_is_repeated(kind: Trouble) -> None:
    probed = staged()
    failed: list[int] = []

    def plan(called: str, _: Place, names: tuple[str, ...], count: int) -> Fault | None:
        if called == "DeleteParameters" and any("put/" in name for name in names) and len(failed) < 3:
            failed.append(count)
            return refused(kind)
        return None

    probed.aws.world.faults = plan
    report = probed.run()
    assert len(failed) == 3
    assert (report.is_clean, probed.names) == (True, [])


@pytest.mark.parametrize("done", [False, True])
def test_a_create_with_a_lost_response_is_cleaned_up(done: bool) -> None:
    probed = staged(SimulatedAws(lag=Lag(describe=timedelta(minutes=30))))
    probed.aws.world.faults = at_call("PutParameter", lost(done=done), nth=30)
    report = probed.run()
    assert report.is_clean
    assert probed.names == []


def test_the_clean_up_reads_tags_below_the_measured_rate() -> None:
    probed = staged()
    probed.aws.world.faults = limited(probed.aws, {"list_tags": 1.0}, 2)
    report = probed.run()
    measured = rate_of(report, CallClass.LIST_TAGS)
    assert measured.throttled > 0
    assert report.throttled["ListTagsForResource"] == measured.throttled
    assert probed.names == []


def test_names_that_the_listing_does_not_show_yet_are_deleted() -> None:
    probed = staged(SimulatedAws(lag=Lag(describe=timedelta(minutes=30))))
    report = probed.run()
    assert probed.names == []
    assert report.exit_code == 0


def test_a_failed_listing_of_the_clean_up_is_reported_and_the_known_names_are_deleted() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("GetParametersByPath", Trouble.DENIED, after=2)
    report = probed.run()
    assert probed.names == []
    assert (report.is_clean, report.exit_code) == (False, 3)


def test_an_error_in_the_program_does_not_prevent_the_clean_up() -> None:
    probed = staged()
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        if line.startswith("AddTagsToResource"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_probe(probed.calls, probed.aws.there, high_throughput=None, executor=InlineExecutor, note=note)
    assert probed.names == []
    assert notes[-1].startswith("clean-up: ")


def test_each_delete_follows_a_look_at_the_tags_of_its_names() -> None:
    probed = staged()
    probed.run()
    looked: set[str] = set()
    for _, operation, arguments in probed.store.log:
        if operation == "ListTagsForResource":
            looked.add(arguments["ResourceId"])
        elif operation == "DeleteParameters":
            names = {name for name in arguments["Names"] if "/absent/" not in name}
            assert names <= looked
            assert len(names) <= 10
            looked -= names


def test_denied_creates_end_with_exit_code_1() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("PutParameter", Trouble.DENIED)
    report = probed.run()
    assert (report.created, report.exit_code) == (0, 1)
    with pytest.raises(StoreError):
        probed.calls.create("x", Type="String", Value="v")


def test_leftovers_that_cannot_be_deleted_are_listed_and_end_the_run() -> None:
    probed = staged()
    probed.calls.create("put/1", Type="String", Value="v")
    probed.aws.pass_time()
    again = staged(probed.aws, run=RUN_AGAIN)
    probed.aws.world.faults = of_call("DeleteParameters", Trouble.DENIED, only="put/")
    report = again.run()
    assert (report.end, report.exit_code) == (ProbeEnd.FAILED, 3)
    assert report.remains.remaining == (f"{AREA}put/1",)
    assert report.trouble == "1 leftover of an earlier run could not be deleted"
    assert "AccessDeniedException" in report.remains.trouble
    assert again.sent("PutParameter") == []


def test_a_second_ctrl_c_names_the_leftovers_that_are_deleted() -> None:
    probed = staged()
    names = [probed.calls.create(f"put/{number}", Type="String", Value="v") for number in range(15)]
    probed.aws.pass_time()
    again = staged(probed.aws, run=RUN_AGAIN)
    seen: list[tuple[str, ...]] = []

    def plan(called: str, _: Place, at: tuple[str, ...], __: int) -> Fault | None:
        if called == "ListTagsForResource" and at[0] in names:
            seen.append(again.calls.may_remain())
        return None

    probed.aws.world.faults = plan
    assert prepare(again.calls).deleted == 15
    assert seen[0] == tuple(sorted(names))
    assert len(seen[-1]) == 5, "the first ten are deleted"
    assert again.calls.may_remain() == ()


def test_a_stop_with_remains_exits_with_3_and_lists_them() -> None:
    probed = staged()
    deny = of_call("DeleteParameters", Trouble.DENIED, only="put/")

    def plan(called: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        if (called, nth) == ("PutParameter", 40):
            probed.aws.stop.set()
        return deny(called, place, names, nth)

    probed.aws.world.faults = plan
    report = probed.run()
    assert (report.end, report.exit_code) == (ProbeEnd.INTERRUPTED, 3)
    assert list(report.remains.remaining) == probed.names != []


@pytest.mark.parametrize("lag", [1, 3])
def test_a_parameter_whose_tags_are_not_visible_yet_is_not_taken_for_deleted(lag: float) -> None:
    """Tags and listings lag behind the create that a stop follows."""
    probed = staged(SimulatedAws(lag=Lag(describe=timedelta(seconds=10))))
    created: dict[str, float] = {}

    def plan(called: str, _: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        now = probed.aws.clock.monotonic()
        if called == "PutParameter":
            created.setdefault(names[0], now)
            if nth == 22:
                probed.aws.stop.set()
        is_early = called == "ListTagsForResource" and now - created.get(names[0], -lag) < lag
        return refused(Trouble.MISSING) if is_early else None

    probed.aws.world.faults = plan
    report = probed.run()
    assert (report.is_clean, probed.names) == (True, [])


def test_a_name_that_was_not_deleted_does_not_answer_how_soon_it_is_created_again() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("ListTagsForResource", Trouble.MISSING, after=1, only="recreate")
    report = probed.run()
    (one,) = [one for one in report.facts if one.id == "recreate"]
    if one.answer is not None:  # the first read of the tags is the one that counts
        pytest.fail(str(one))
    assert "not deleted" in one.reason


def test_a_clean_up_deletes_no_parameter_of_another_run() -> None:
    other = staged(run=RUN_AGAIN)
    probed = staged(other.aws)
    made: list[str] = []

    def write() -> None:
        made.append(other.calls.create("put/0", Type="String", Value="v"))

    probed.aws.world.before("LabelParameterVersion", write)
    report = probed.run()
    assert probed.names == made
    assert report.remains.foreign == tuple(made)


def test_a_clean_up_reads_a_parameter_of_another_run_once_and_waits_for_its_own_only() -> None:
    other = staged(run=RUN_AGAIN)
    theirs = other.calls.create("put/0", Type="String", Value="v")
    probed = staged(other.aws)
    mine = probed.calls.create("put/1", Type="String", Value="v")
    probed.store.log.clear()
    remains = probed.calls.clean_up()
    assert (remains.deleted, remains.remaining, remains.foreign) == (1, (), (theirs,))
    reads = [str(one["ResourceId"]) for one in probed.sent("ListTagsForResource")]
    assert (reads.count(theirs), reads.count(mine)) == (1, 1)


def test_tags_that_were_read_allow_one_delete() -> None:
    probed = staged()
    name = probed.calls.create("put/0", Type="String", Value="v")
    assert probed.calls.delete([name]).gone == {name}
    with pytest.raises(ValueError, match="tags were not read"):
        probed.calls.probe("DeleteParameters", Names=[name])


def test_ended_credentials_end_the_probe() -> None:
    probed = staged()
    probed.aws.world.faults = of_call("DescribeParameters", Trouble.CREDENTIALS, after=10)
    report = probed.run()
    assert report.end is ProbeEnd.FAILED
    assert "DescribeParameters" in report.trouble
    assert len(probed.sent("DescribeParameters")) == 11
    assert probed.names == []
