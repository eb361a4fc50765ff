"""Memory and CPU by the number of parameters: each run in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scenes
from benchmarks.children import PRODUCT, Cost, cost
from benchmarks.seeds import Seed, spec_text
from benchmarks.served import Server
from tests.performance.conftest import FAST

TARGETS = ("us-east-2", "eu-west-1")


def planned(server: Server, folder: Path, count: int, *options: str) -> Cost:
    seed = Seed(count, targets=TARGETS, replicas=True)
    server.world(seed)
    spec = folder / f"{count}.yaml"
    spec.write_text(spec_text(seed, FAST))
    return cost(server, [*PRODUCT, "plan", "-q", "--endpoint-url", server.url, str(spec), *options])


def test_memory_and_cpu_grow_little_with_the_number_of_parameters(server: Server, tmp_path: Path) -> None:
    """A parameter in three places takes 1.9 KB: its three descriptions, its tags and two records.

    CPU, without the start, which is the same for all: the cost of a parameter, early and late. Squared cost
    would be five times as much late; other processes change it by a half.
    """
    none, few, many = (planned(server, tmp_path, count) for count in (10, 2_010, 8_010))
    assert "16,020 in sync" in many.output
    assert many.megabytes < 106
    assert (many.memory - few.memory) / 6_000 < 2_300
    assert (many.cpu - few.cpu) / 6_000 <= 2 * (few.cpu - none.cpu) / 2_000


@pytest.mark.parametrize(("options", "limit"), [(("--format", "json"), 3), (("--out", "plan.json"), 5)])
def test_a_plan_of_many_changes_is_written_as_a_stream(
    server: Server, tmp_path: Path, options: tuple[str, ...], limit: int
) -> None:
    """The limit is in KB of memory a change, its parameter and its value included."""
    few, many = (created(server, tmp_path, count, *options) for count in (500, 2_000))
    assert (many.memory - few.memory) / 1_500 < limit * 1_000


def created(server: Server, folder: Path, count: int, *options: str) -> Cost:
    """Plan a world without replicas: each parameter is created."""
    seed = Seed(count)
    server.world(seed)
    spec = folder / f"{count}.yaml"
    spec.write_text(spec_text(seed, FAST))
    words = [*PRODUCT, "plan", "-q", "--endpoint-url", server.url, str(spec), *options]
    return cost(server, words, cwd=folder)


@pytest.mark.bench
@pytest.mark.parametrize(("options", "limit"), [((), 300), (("--verify-values",), 600)])
def test_a_hundred_thousand_parameters_fit_into_memory(
    server: Server, tmp_path: Path, options: tuple[str, ...], limit: int
) -> None:
    few, many = planned(server, tmp_path, 1_000, *options), planned(server, tmp_path, 100_000, *options)
    assert "200,000 in sync" in many.output
    assert many.megabytes < limit
    assert many.cpu / 100_000 <= 1.3 * few.cpu / 1_000


@pytest.mark.bench
@pytest.mark.parametrize("options", [("--format", "json"), ("--out", "plan.json")])
def test_a_plan_of_twenty_thousand_changes_fits_into_150_mb(
    server: Server, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert created(server, tmp_path, 20_000, *options).megabytes < 150


@pytest.mark.bench
def test_cpu_stays_a_small_multiple_of_that_of_the_optimum(server: Server) -> None:
    """The bounds are the targets; RESULTS.md has what was measured."""
    rows = scenes.in_turn(server, 10_000, rounds=3)
    cpu = {(row.who, row.scene): row.cost.cpu for row in rows}
    assert cpu[scenes.OURS, scenes.BOOTSTRAP] <= 1.5 * cpu[scenes.OPTIMUM, scenes.BOOTSTRAP]
    assert cpu[scenes.OURS, scenes.IN_SYNC] <= 0.5 * cpu[scenes.OPTIMUM, scenes.IN_SYNC]
