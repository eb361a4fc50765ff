"""The server that the benchmarks measure against: pages, quotas, batches, and accounts."""

from __future__ import annotations

import time
from math import ceil
from typing import Any

import pytest
from botocore.exceptions import ClientError

from benchmarks import plot, scenes
from benchmarks.quotas import Bucket
from benchmarks.seeds import Seed
from benchmarks.served import Server
from tests.performance.conftest import client


@pytest.fixture
def ssm(server: Server) -> Any:
    server.world(Seed(120, targets=()))
    return client(server)


def test_pages_are_as_long_as_asked_and_the_last_has_no_token(server: Server, ssm: Any) -> None:
    pages = list(ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 50}))
    assert [len(page["Parameters"]) for page in pages] == [50, 50, 20]
    assert len({one["Name"] for page in pages for one in page["Parameters"]}) == 120
    with pytest.raises(ClientError):
        ssm.describe_parameters(MaxResults=51)
    assert server.counts().calls["DescribeParameters"] == 4


def test_empty_pages_come_in_between(server: Server, ssm: Any) -> None:
    server.weather(sparse=2)
    pages = list(ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 50}))
    server.weather()
    assert [len(page["Parameters"]) for page in pages] == [50, 0, 50, 0, 20]


def test_a_delete_between_two_pages_skips_nothing(ssm: Any) -> None:
    first = ssm.describe_parameters(MaxResults=50)
    ssm.delete_parameter(Name=first["Parameters"][0]["Name"])
    second = ssm.describe_parameters(MaxResults=50, NextToken=first["NextToken"])
    third = ssm.describe_parameters(MaxResults=50, NextToken=second["NextToken"])
    assert sum(len(page["Parameters"]) for page in (first, second, third)) == 120


def test_values_come_by_ten_and_by_version_and_a_secret_only_when_decrypted(server: Server, ssm: Any) -> None:
    secret = next(
        one["Name"]
        for one in ssm.describe_parameters(MaxResults=50)["Parameters"]
        if one["Type"] == "SecureString"
    )
    plain = ssm.get_parameters(Names=[secret, "/none"], WithDecryption=True)
    closed = ssm.get_parameters(Names=[secret], WithDecryption=False)
    assert plain["InvalidParameters"] == ["/none"]
    assert plain["Parameters"][0]["Value"] != closed["Parameters"][0]["Value"]
    assert server.counts().decrypted == 1
    version = plain["Parameters"][0]["Version"]
    assert ssm.get_parameters(Names=[f"{secret}:{version + 1}"])["Parameters"] == []
    with pytest.raises(ClientError):
        ssm.get_parameters(Names=[f"/{n}" for n in range(11)])


def test_a_path_lists_its_parameters_and_no_others(ssm: Any) -> None:
    for name in ("/a/x", *(f"/probe/run/{number:02}" for number in range(12)), "/probe2/x", "/z/x"):
        ssm.put_parameter(Name=name, Value="x", Type="String")
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/probe", Recursive=True))
    assert [len(page["Parameters"]) for page in pages] == [10, 2]
    assert {one["Name"].rpartition("/")[0] for page in pages for one in page["Parameters"]} == {"/probe/run"}
    assert ssm.get_parameters_by_path(Path="/empty")["Parameters"] == []


def test_a_quota_lets_a_burst_through_and_says_rate_exceeded_after(server: Server, ssm: Any) -> None:
    server.weather(rates={"get": 5}, bursts={"get": 3}, latency=0.02)
    codes = []
    began = time.monotonic()
    for _ in range(5):
        try:
            ssm.get_parameters(Names=["/x"])
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    server.weather()
    assert codes[:3] == ["", "", ""]
    assert "ThrottlingException" in codes[3:]
    assert time.monotonic() - began >= 5 * 0.02
    assert server.counts().throttled["GetParameters"] == codes.count("ThrottlingException")


def test_a_bucket_fills_up_again_and_no_further_than_its_burst() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take(0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(0.5), bucket.take(0.6)] == [True, False]
    assert [bucket.take(100) for _ in range(4)] == [True, True, True, False]


def test_overwrite_and_tags_do_not_go_together(ssm: Any) -> None:
    with pytest.raises(ClientError) as refused:
        ssm.put_parameter(
            Name="/x", Value="1", Type="String", Overwrite=True, Tags=[{"Key": "a", "Value": "1"}]
        )
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_the_same_seed_is_the_same_world_and_another_one_is_not(server: Server) -> None:
    values = []
    for seed in (1, 1, 2):
        server.world(Seed(5, targets=(), seed=seed))
        ssm = client(server)
        names = [one["Name"] for one in ssm.describe_parameters(MaxResults=50)["Parameters"]]
        found = ssm.get_parameters(Names=names, WithDecryption=True)["Parameters"]
        values.append([one["Value"] for one in found])
    assert values[0] == values[1] != values[2]


def test_a_plot_is_a_picture_with_each_line_in_it() -> None:
    lines: plot.Series = {"calls": [(1_000, 99), (10_000, 909)], "seconds": [(1_000, 0.5), (10_000, 5)]}
    picture = plot.svg("t", "x", lines)
    assert picture.count("<polyline") == 2
    assert ">10,000<" in picture
    assert picture.startswith("<svg")


def test_the_optimum_copies_everything_and_reads_all_values_to_find_differences(
    server: Server,
) -> None:
    count = 130
    created, compared = scenes.the_optimum(server, count)
    listing = 2 * (ceil(count / 50) + ceil(count / 100))
    assert created.cost.counts.requests == listing // 2 + 2 + count + 2 * ceil(count / 10)
    assert compared.cost.counts.requests == listing + 2 * ceil(count / 10)
    assert created.cost.counts.decrypted == 0.3 * count, "the check of the writes decrypts nothing"
    assert compared.cost.counts.decrypted == 2 * 0.3 * count
    assert compared.cost.code == 0


@pytest.mark.parametrize("lost", [{"Value": "other"}, {"Description": "other"}, {"Tier": "Advanced"}])
def test_the_proof_of_the_optimum_finds_any_difference(server: Server, lost: dict[str, str]) -> None:
    seed = Seed(12, replicas=True, owned=False)
    server.world(seed)
    assert server.differing(seed) == []
    target = client(server, region=seed.targets[0])
    found = target.describe_parameters(MaxResults=50)["Parameters"][0]
    value = target.get_parameters(Names=[found["Name"]], WithDecryption=True)["Parameters"][0]["Value"]
    kept = {key: found[key] for key in ("Name", "Type", "Description", "Tier", "KeyId") if key in found}
    target.put_parameter(**{**kept, "Value": value, **lost}, Overwrite=True)
    assert server.differing(seed) == [found["Name"]]
    assert scenes.optimum(server, seed, "plan").code == 2


def test_a_lost_tag_is_a_difference_too(server: Server) -> None:
    seed = Seed(12, replicas=True, owned=False)
    server.world(seed)
    name = client(server).describe_parameters(MaxResults=50)["Parameters"][0]["Name"]
    target = client(server, region=seed.targets[0])
    target.remove_tags_from_resource(ResourceType="Parameter", ResourceId=name, TagKeys=["team"])
    assert server.differing(seed) == [name]
    assert scenes.optimum(server, seed, "plan").code == 2
