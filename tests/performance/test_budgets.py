"""Number of calls of a run: counted by a server, with full pages, on the real boto3 store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import ceil

import pytest

from benchmarks.scenes import MANY_TARGETS
from benchmarks.seeds import Seed, documents_text, spec_text
from benchmarks.served import Server
from ssm_reconcile.spec import Run
from ssm_reconcile.stores.ssm import SsmStore
from tests.performance.conftest import FAST, Bench

Make = Callable[..., Bench]
REGIONS = ("us-east-2", "eu-west-1", "eu-central-1")
WRITES = ("PutParameter", "AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters")


def listing_budget(count: int, targets: int) -> int:
    return (targets + 1) * (ceil(count / 50) + ceil(count / 100) + 10)


@pytest.mark.parametrize(("count", "targets"), [(1, 1), (50, 1), (501, 3)])
def test_a_plan_with_nothing_to_do_lists_and_asks_nothing_else(
    server: Server, bench: Make, count: int, targets: int
) -> None:
    it = bench(Seed(count, targets=REGIONS[:targets], replicas=True))
    plan = it.plan()
    counts = server.counts()
    assert plan.summary["in_sync"] == count * targets
    assert counts.requests <= listing_budget(count, targets)
    assert counts.decrypted == 0
    assert not counts.calls["GetParameters"]


@pytest.mark.parametrize("drift", [0.0, 0.1])
def test_a_status_lists_and_reads_fifty_tags_of_a_place_at_most(
    server: Server, bench: Make, drift: float
) -> None:
    count, targets = 1_000, 2
    it = bench(Seed(count, targets=REGIONS[:targets], replicas=True, drift=drift))
    status = it.status()
    counts = server.counts()
    assert [one.counts["in_sync"] for one in status.targets] == [count - round(count * drift)] * targets
    assert counts.requests <= listing_budget(count, targets) + 50 * (targets + 1)
    assert counts.calls["ListTagsForResource"] <= 50 * (targets + 1)
    assert not counts.calls["GetParameters"]


def test_verifying_reads_every_value_by_ten_and_once(server: Server, bench: Make) -> None:
    count, targets = 310, 2
    it = bench(Seed(count, targets=REGIONS[:targets], replicas=True), run=Run(verify_values=True))
    assert it.plan().summary["in_sync"] == count * targets
    counts = server.counts()
    extra = (targets + 1) * ceil(count / 10)
    assert counts.calls["GetParameters"] <= extra
    assert counts.requests <= listing_budget(count, targets) + extra


def test_only_what_changed_is_read(server: Server, bench: Make) -> None:
    it = bench(Seed(500, replicas=True, drift=0.02))
    plan = it.plan()
    assert plan.summary["update"] == 10
    counts = server.counts()
    assert counts.calls["GetParameters"] == 2
    assert counts.decrypted <= 20


def test_a_bootstrap_writes_each_parameter_once(server: Server, bench: Make) -> None:
    count, targets = 60, 2
    it = bench(Seed(count, targets=REGIONS[:targets]))
    plan = it.plan()
    report, counts, _ = it.counted(plan)
    assert report.summary["applied"] == count * targets
    writes = sum(counts.calls[name] for name in WRITES)
    assert writes <= 1.05 * count * targets
    assert counts.calls["ListTagsForResource"] <= count, "skip_sync is asked once a source name, not a target"
    assert plan.budget is not None
    assert plan.budget.calls == _in_plans(counts.calls)
    assert it.plan().summary["in_sync"] == count * targets, "and then there is nothing left to do"


@pytest.mark.parametrize(("on", "rate"), [(True, 10), (False, 3)])
def test_a_bootstrap_reads_the_setting_of_each_target_once_and_keeps_its_quota(
    server: Server, bench: Make, *, on: bool, rate: float
) -> None:
    count = 40 if on else 12
    rates = {kind: one for kind, one in FAST.items() if kind != "put"}
    it = bench(Seed(count, targets=REGIONS[:2], higher_throughput=on), rates)
    plan = it.plan()
    assert not server.counts().calls["GetServiceSetting"]
    server.weather(rates={"put": rate})
    report, counts, _ = it.counted(plan)
    assert report.summary["applied"] == count * 2
    read = {place: n for place, n in counts.places.items() if place.endswith("GetServiceSetting")}
    assert read == {f"123456789012/{region} GetServiceSetting": 1 for region in REGIONS[:2]}
    assert counts.throttled.total() == 0
    assert it.places is not None
    stores = [one for one in it.places.opened.values() if isinstance(one, SsmStore)]
    rates_of_puts = {
        one.place.region: one._calls.rates["put"].rate for one in stores if "put" in one._calls.rates
    }
    assert rates_of_puts == dict.fromkeys(REGIONS[:2], rate), "the source has no rate of writes"
    assert plan.budget is not None
    assert plan.budget.calls == _in_plans(counts.calls)


@pytest.mark.parametrize("others", [FAST, {**FAST, "put": 500.0}], ids=["same rates", "other rates"])
def test_two_replications_of_one_source_list_it_once_and_ask_it_once(
    server: Server, bench: Make, others: dict[str, float]
) -> None:
    count = 60
    first = spec_text(Seed(count, targets=REGIONS[:1]), FAST)
    second = spec_text(Seed(count, targets=REGIONS[1:2]), others).replace("name: bench", "name: second")
    it = bench(Seed(count, targets=REGIONS[:2]), text=f"{first}---\n{second}")
    plan = it.plan()
    listed = server.counts()
    assert listed.calls["DescribeParameters"] == ceil(count / 50) + 2, "the source, and two empty targets"
    assert listed.calls["GetResources"] == ceil(count / 100) + 2
    report, counts, _ = it.counted(plan)
    assert report.summary["applied"] == 2 * count
    assert counts.calls["ListTagsForResource"] == count
    assert plan.budget is not None
    assert plan.budget.calls == _in_plans(counts.calls)


def test_a_plan_of_forty_targets_lists_each_place_once_and_reads_what_changed(
    server: Server, bench: Make
) -> None:
    count, drift = 60, 0.1
    it = bench(Seed(count, targets=MANY_TARGETS, replicas=True, drift=drift))
    plan = it.plan()
    places = len(MANY_TARGETS) + 1
    assert plan.summary["update"] == count * drift * len(MANY_TARGETS)
    assert _in_plans(server.counts().calls) == {
        "AssumeRole": sum("/" in target for target in MANY_TARGETS),
        "DescribeKey": places,
        "DescribeParameters": places * ceil(count / 50),
        "GetParameters": places * ceil(count * drift / 10),
        "GetResources": places * ceil(count / 100),
        "ListAliases": places,
    }


def test_a_plan_of_many_documents_lists_their_source_once(server: Server, bench: Make) -> None:
    """Their parameters have no owner: two listings with filters replace the reads of their tags."""
    count, seed = 60, Seed(60, targets=MANY_TARGETS[:8], replicas=True, owned=False)
    it = bench(seed, text=documents_text(seed, FAST))
    plan = it.plan()
    targets = len(seed.targets)
    assert plan.summary["adopt"] == count * targets
    counts = server.counts()
    source = {
        name.split()[1]: n for name, n in counts.places.items() if name.startswith("123456789012/us-east-1 ")
    }
    assert source["DescribeParameters"] == ceil(count / 50)
    assert counts.calls["DescribeParameters"] == (1 + 3 * targets) * ceil(count / 50)
    assert counts.calls["GetResources"] == (1 + targets) * ceil(count / 100)
    assert not counts.calls["ListTagsForResource"]


def test_an_update_is_two_writes(server: Server, bench: Make) -> None:
    it = bench(Seed(60, replicas=True, drift=0.5), run=Run(max_change_percent=100))
    plan = it.plan()
    report, counts, _ = it.counted(plan)
    assert report.summary["applied"] == 30
    assert counts.calls["PutParameter"] == 30
    assert counts.calls["AddTagsToResource"] == 30
    assert plan.budget is not None
    assert plan.budget.calls == _in_plans(counts.calls)


def test_short_and_empty_pages_cost_calls_and_lose_nothing(server: Server, bench: Make) -> None:
    it = bench(Seed(310, replicas=True))
    server.weather(sparse=3)
    plan = it.plan()
    assert plan.summary["in_sync"] == 310
    assert plan.complete


def _in_plans(calls: Counter[str]) -> dict[str, int]:
    """Return the calls that a plan counts: without those to KMS, and those that open a place for writes."""
    return {
        name: count
        for name, count in sorted(calls.items())
        if name not in {"Decrypt", "GetServiceSetting", "GetCallerIdentity"}
    }
