"""The scenes that are measured: each makes a world, runs commands against it, and returns their cost."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import terraform
from benchmarks.children import PRODUCT, Cost, cost
from benchmarks.quotas import AWS
from benchmarks.seeds import Seed, spec_text
from benchmarks.served import Server

FAST = dict.fromkeys(AWS, 10_000.0)
"""Rates that hold nothing up: what is measured is what the program itself costs."""
LATENCY = 0.025
TARGETS = ("us-east-2", "eu-west-1", "eu-central-1")
WORKING = frozenset({0, 3})


@dataclass(frozen=True, slots=True)
class Row:
    """One run: who, doing what, with how many parameters and targets."""

    who: str
    scene: str
    count: int
    targets: int
    cost: Cost


@contextmanager
def spec_of(seed: Seed, rates: dict[str, float]) -> Iterator[str]:
    """The path of the spec that replicates a world."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "replication.yaml")
        path.write_text(spec_text(seed, rates))
        yield str(path)


def ours(server: Server, verb: str, spec: str, *options: str) -> Cost:
    """Return the cost of one ssm-reconcile command."""
    return cost(server, [*PRODUCT, verb, "-q", "--endpoint-url", server.url, spec, *options], allowed=WORKING)


def reads(server: Server, count: int, targets: int) -> Iterator[Row]:
    """In sync, one percent behind, every value read."""
    for scene, drift, options in (
        ("plan, in sync", 0.0, ()),
        ("plan, 1% drift", 0.01, ()),
        ("plan --verify-values", 0.0, ("--verify-values",)),
    ):
        seed = Seed(count, targets=TARGETS[:targets], replicas=True, drift=drift)
        server.world(seed)
        with spec_of(seed, FAST) as spec:
            yield Row("ours", scene, count, targets, ours(server, "plan", spec, *options))


def bootstrap(server: Server, count: int, targets: int) -> Iterator[Row]:
    """The first apply, and the plan after it: by then it has to be in sync."""
    seed = Seed(count, targets=TARGETS[:targets])
    server.world(seed)
    with spec_of(seed, FAST) as spec:
        yield Row("ours", "apply, bootstrap", count, targets, ours(server, "apply", spec, "--yes"))
        after = ours(server, "plan", spec, "--detailed-exitcode")
    if after.code:
        message = f"after a bootstrap of {count} the plan is not empty (exit code {after.code})"
        raise RuntimeError(message)


def the_seeds_way(server: Server, count: int) -> Iterator[Row]:
    """One parameter after the other, twice: it does the same whether there is something to do or not."""
    seed = Seed(count)
    server.world(seed)
    command = [sys.executable, "-m", "benchmarks.seed_way", server.url, seed.source, *seed.targets]
    for scene in ("bootstrap", "in sync"):
        yield Row("the seed's way", scene, count, 1, cost(server, command))


def the_optimum(server: Server, count: int) -> Iterator[Row]:
    """The lower bound of boto3: a bootstrap, proven by the world of the server, and a plan in sync."""
    who = "the optimum"
    seed = Seed(count)
    server.world(seed)
    yield Row(who, "bootstrap", count, 1, optimum(server, seed, "apply"))
    wrong = server.differing(seed)
    if wrong:
        message = (
            f"{who}: after a bootstrap of {count}, {len(wrong)} parameters differ, the first is {wrong[0]}"
        )
        raise RuntimeError(message)
    server.world(replace(seed, replicas=True, owned=False))
    compared = optimum(server, seed, "plan")
    if compared.code:
        raise RuntimeError(f"{who}: it finds differences between equal regions")
    yield Row(who, "in sync", count, 1, compared)


def optimum(server: Server, seed: Seed, verb: str) -> Cost:
    """Return the cost of the optimum's `plan` or `apply`; its plan may find differences."""
    command = [sys.executable, "-m", "benchmarks.optimum", server.url, seed.source, *seed.targets, verb]
    return cost(server, command, allowed=frozenset({0, 2} if verb == "plan" else {0}))


def terraforms_way(server: Server, count: int, notes: list[str]) -> Iterator[Row]:
    """A resource a parameter: create all, then plan with nothing to do. Nothing where it cannot run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server.world(Seed(0))
        try:
            notes.append(terraform.prepare(folder, server, count))
        except terraform.Skipped as why:
            notes.append(f"Terraform: skipped, {why}")
            return
        made = terraform.run(folder, server, "apply", "-auto-approve")
        yield Row("Terraform", "bootstrap", count, 1, made)
        yield Row("Terraform", "in sync", count, 1, terraform.run(folder, server, "plan"))


@dataclass(frozen=True, slots=True)
class Pace:
    """A run under AWS's quotas: what it took, and what its calls need at those rates."""

    scene: str
    count: int
    cost: Cost
    necessary: float

    @property
    def ratio(self) -> float:
        """The time as a multiple of the necessary time."""
        return self.cost.wall / self.necessary

    @property
    def wasted(self) -> float:
        """The share of requests that were throttled."""
        return self.cost.counts.throttled.total() / self.cost.counts.requests


def paced_plan(server: Server, count: int) -> Pace:
    """An in-sync plan under quotas and latency, at the default rates."""
    seed = Seed(count, replicas=True)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        return _paced("plan, in sync", count, ours(server, "plan", spec))


def paced_apply(server: Server, count: int) -> Pace:
    """A bootstrap under quotas and latency, its own plan included."""
    seed = Seed(count)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        return _paced("apply, bootstrap", count, ours(server, "apply", spec, "--yes"))


def paced_updates(server: Server, count: int) -> Pace:
    """An apply that updates half of the replicas: a put and a tag call each, and the looks before them."""
    seed = Seed(count, replicas=True, drift=0.5)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        return _paced(
            "apply, updates", count // 2, ours(server, "apply", spec, "--yes", "--max-change-percent", "100")
        )


MANY_TARGETS = tuple(f"us-east-{number}" for number in range(10, 30)) + tuple(
    f"21098765432{account}/us-east-{number}" for account in range(4) for number in range(2, 7)
)
"""Forty targets: twenty regions of the account of the source, and five in each of four other accounts."""


def many_targets(server: Server, count: int, drift: float = 0.0) -> Pace:
    """A plan for forty targets under quotas and latency, at the default rates."""
    seed = Seed(count, targets=MANY_TARGETS, replicas=True, drift=drift)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        scene = f"plan, {len(seed.targets)} targets, " + (f"{drift:.0%} drift" if drift else "in sync")
        return _paced(scene, count, ours(server, "plan", spec))


def _paced(scene: str, count: int, taken: Cost) -> Pace:
    return Pace(scene, count, taken, taken.counts.necessary(AWS))


def profile(server: Server, count: int) -> str:
    """Return the CPU time of an in-sync plan with one target, as two tables in Markdown."""
    import subprocess

    from benchmarks.served import ROOT, environment

    seed = Seed(count, replicas=True)
    server.weather()
    server.world(seed)
    with spec_of(seed, FAST) as spec:
        command = [
            sys.executable,
            "-m",
            "benchmarks.profiled",
            "plan",
            "-q",
            "--endpoint-url",
            server.url,
            spec,
        ]
        result = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment()
        )
    return result.stderr
