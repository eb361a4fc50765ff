"""Scenes: each makes a world on the server, runs commands against it, and returns their cost."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import terraform
from benchmarks.children import PRODUCT, Cost, cost
from benchmarks.quotas import AWS
from benchmarks.seeds import Seed, documents_text, spec_text
from benchmarks.served import Server
from ssm_reconcile.aws_limits import HIGHER_THROUGHPUT_PUT_RATE

OURS, OPTIMUM, BLOG_POST, TERRAFORM = "ssm-reconcile", "the optimum", "the blog post", "Terraform"
"""The programs that are measured."""
BOOTSTRAP, IN_SYNC = "apply, bootstrap", "plan, in sync"
JSON_SCENES = ("plan --format json", "plan --out")
FAST = dict.fromkeys(AWS, 10_000.0)
"""Rates at which no call waits, so that only the cost of the program is measured."""
LATENCY = 0.025
TARGETS = ("us-east-2", "eu-west-1", "eu-central-1")
WORKING = frozenset({0, 3})


@dataclass(frozen=True, slots=True)
class Row:
    """One run of a program: the scene, the numbers of parameters and targets, and the cost."""

    who: str
    scene: str
    count: int
    targets: int
    cost: Cost


@contextmanager
def spec_of(
    seed: Seed, rates: dict[str, float], text: Callable[[Seed, dict[str, float]], str] = spec_text
) -> Iterator[str]:
    """The path of the spec that replicates a world."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "replication.yaml")
        path.write_text(text(seed, rates))
        yield str(path)


def ours(server: Server, verb: str, spec: str, *options: str) -> Cost:
    """Return the cost of one ssm-reconcile command."""
    return cost(server, [*PRODUCT, verb, "-q", "--endpoint-url", server.url, spec, *options], allowed=WORKING)


def reads(server: Server, count: int, targets: int) -> Iterator[Row]:
    """Yield a plan in sync, one with one percent of stale replicas, and one that reads every value."""
    for scene, drift, options in (
        (IN_SYNC, 0.0, ()),
        ("plan, 1% drift", 0.01, ()),
        ("plan --verify-values", 0.0, ("--verify-values",)),
    ):
        seed = Seed(count, targets=TARGETS[:targets], replicas=True, drift=drift)
        server.world(seed)
        with spec_of(seed, FAST) as spec:
            yield Row(OURS, scene, count, targets, ours(server, "plan", spec, *options))


def large_json(server: Server, count: int) -> Iterator[Row]:
    """Yield plans of many creates: as JSON on stdout, and as text with JSON in a file."""
    seed = Seed(count)
    server.world(seed)
    with spec_of(seed, FAST) as spec, tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "plan.json"))
        for scene, options in zip(JSON_SCENES, (("--format", "json"), ("--out", out)), strict=True):
            yield Row(OURS, scene, count, 1, ours(server, "plan", spec, *options))


def bootstrap(server: Server, count: int, targets: int) -> Iterator[Row]:
    """Yield the first apply; raise RuntimeError unless the plan after it has no changes."""
    seed = Seed(count, targets=TARGETS[:targets])
    server.world(seed)
    with spec_of(seed, FAST) as spec:
        yield Row(OURS, BOOTSTRAP, count, targets, ours(server, "apply", spec, "--yes"))
        after = ours(server, "plan", spec, "--detailed-exitcode")
    if after.code:
        message = f"after a bootstrap of {count} the plan is not empty (exit code {after.code})"
        raise RuntimeError(message)


def the_seeds_way(server: Server, count: int) -> Iterator[Row]:
    """Yield two runs that copy one parameter after the other; the second writes all again."""
    seed = Seed(count)
    server.world(seed)
    command = [sys.executable, "-m", "benchmarks.seed_way", server.url, seed.source, *seed.targets]
    for scene in (BOOTSTRAP, IN_SYNC):
        yield Row(BLOG_POST, scene, count, 1, cost(server, command))


def the_optimum(server: Server, count: int) -> Iterator[Row]:
    """Yield the optimum of boto3: a bootstrap, proven by the world of the server, and a plan in sync."""
    who = OPTIMUM
    seed = Seed(count)
    server.world(seed)
    yield Row(who, BOOTSTRAP, count, 1, optimum(server, seed, "apply"))
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
    yield Row(who, IN_SYNC, count, 1, compared)


def optimum(server: Server, seed: Seed, verb: str) -> Cost:
    """Return the cost of the optimum's `plan` or `apply`; its plan may find differences."""
    command = [sys.executable, "-m", "benchmarks.optimum", server.url, seed.source, *seed.targets, verb]
    return cost(server, command, allowed=frozenset({0, 2} if verb == "plan" else {0}))


def terraforms_way(server: Server, count: int, notes: list[str]) -> Iterator[Row]:
    """Yield an apply with a resource for each parameter, and a plan in sync; a note without Terraform."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server.world(Seed(0))
        try:
            notes.append(terraform.prepare(folder, server, count))
        except terraform.Skipped as why:
            notes.append(f"Terraform: skipped, {why}")
            return
        made = terraform.run(folder, server, "apply", "-auto-approve")
        yield Row(TERRAFORM, BOOTSTRAP, count, 1, made)
        yield Row(TERRAFORM, IN_SYNC, count, 1, terraform.run(folder, server, "plan"))


def in_turn(server: Server, count: int, rounds: int) -> list[Row]:
    """Run ssm-reconcile and the optimum in turn, and return of each scene the run with the median CPU time.

    The load of the machine changes during a run; it is similar for runs that follow each other.
    """
    runs = [
        [*bootstrap(server, count, 1), next(reads(server, count, 1)), *the_optimum(server, count)]
        for _ in range(rounds)
    ]
    by_cpu = [sorted(same, key=lambda row: row.cost.cpu) for same in zip(*runs, strict=True)]
    return [same[rounds // 2] for same in by_cpu]


@dataclass(frozen=True, slots=True)
class Pace:
    """A run under quotas: its cost, and the quotas of the server in calls per second."""

    scene: str
    count: int
    cost: Cost
    rates: Mapping[str, float]

    @property
    def necessary(self) -> float:
        """The seconds that the calls need at these rates."""
        return self.cost.counts.necessary(self.rates)

    @property
    def limit(self) -> str:
        """The class of calls that needs these seconds."""
        return self.cost.counts.slowest(self.rates)[1]

    @property
    def ratio(self) -> float:
        """The time as a multiple of the necessary time."""
        return self.cost.wall / self.necessary

    @property
    def wasted(self) -> float:
        """The share of requests that were throttled."""
        return self.cost.counts.throttled.total() / self.cost.counts.requests


def paced_plan(server: Server, count: int) -> Pace:
    """Return an in-sync plan under quotas and latency, at the default rates."""
    seed = Seed(count, replicas=True)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        return Pace(IN_SYNC, count, ours(server, "plan", spec), AWS)


def paced_apply(server: Server, count: int) -> Pace:
    """Return a bootstrap under quotas and latency, its own plan included."""
    seed = Seed(count)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        return Pace(BOOTSTRAP, count, ours(server, "apply", spec, "--yes"), AWS)


def paced_updates(server: Server, count: int) -> Pace:
    """Return an apply that updates half of the replicas: a put and a call for tags each."""
    seed = Seed(count, replicas=True, drift=0.5)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        taken = ours(server, "apply", spec, "--yes", "--max-change-percent", "100")
        return Pace("apply, updates", count // 2, taken, AWS)


def higher_throughput(server: Server, count: int, list_tags: float) -> Pace:
    """Return a bootstrap of a target with higher throughput: ten puts a second.

    Args:
        server: The server.
        count: The parameters.
        list_tags: The quota of ListTagsForResource, in calls per second; the spec has the same rate.
    """
    rates = {**AWS, "put": HIGHER_THROUGHPUT_PUT_RATE, "list_tags": list_tags}
    seed = Seed(count, higher_throughput=True)
    server.world(seed)
    server.weather(rates=rates, latency=LATENCY)
    with spec_of(seed, {"list_tags": list_tags}) as spec:
        return Pace(BOOTSTRAP, count, ours(server, "apply", spec, "--yes"), rates)


MANY_TARGETS = tuple(f"us-east-{number}" for number in range(10, 30)) + tuple(
    f"21098765432{account}/us-east-{number}" for account in range(4) for number in range(2, 7)
)
"""Forty targets: twenty regions of the account of the source, and five in each of four other accounts."""


def many_targets(server: Server, count: int, drift: float = 0.0) -> Pace:
    """Return a plan for forty targets under quotas and latency, at the default rates."""
    seed = Seed(count, targets=MANY_TARGETS, replicas=True, drift=drift)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}) as spec:
        scene = f"plan, {len(seed.targets)} targets, " + (f"{drift:.0%} drift" if drift else "in sync")
        return Pace(scene, count, ours(server, "plan", spec), AWS)


def many_documents(server: Server, count: int, documents: int = 8) -> Pace:
    """Return a plan of replications of one source, each to its own target of parameters without an owner.

    Tags of up to `settle.CONFIRM_EACH` parameters are read directly; above, filtered listings replace that.
    """
    seed = Seed(count, targets=MANY_TARGETS[:documents], replicas=True, owned=False, drift=0.1)
    server.world(seed)
    server.weather(rates=AWS, latency=LATENCY)
    with spec_of(seed, {}, documents_text) as spec:
        return Pace(f"plan, {documents} documents", count, ours(server, "plan", spec), AWS)


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
