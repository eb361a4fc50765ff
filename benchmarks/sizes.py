"""Cost of the plan of a whole run, by size: the table "Size" in docs/event-driven.md, on stdout.

    python -m benchmarks.sizes [PARAMETERS:TARGETS ...]

Each plan runs in a process of its own, as an invocation of the Lambda function makes it. CPU and memory are
measured. The seconds of the listing and of the apply are computed: calls of the busiest place, divided by the
default rates. The server answers at once, so a size takes minutes where AWS would need hours.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator

from benchmarks import children
from benchmarks.scenes import FAST, spec_of
from benchmarks.seeds import Seed
from benchmarks.served import Server, serving
from ssm_reconcile.aws_limits import CALL_RATES

SIZES = tuple((count, targets) for count in (1_000, 10_000, 30_000, 100_000) for targets in (1, 5, 20))
REGIONS = (
    "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "eu-west-1", "eu-west-2", "eu-west-3",
    "eu-central-1", "eu-north-1", "eu-south-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3",
    "ap-southeast-1", "ap-southeast-2", "ap-south-1", "ap-east-1", "sa-east-1", "me-south-1", "af-south-1",
)  # fmt: skip
PATIENCE = 3_600.0
"""Seconds after which a plan is ended."""


def make_plan(url: str, path: str) -> None:
    """Make one plan, and print the number of changes."""
    from ssm_reconcile import reconcile
    from ssm_reconcile.load import load
    from ssm_reconcile.session import Session, open_places
    from ssm_reconcile.spec import Run
    from ssm_reconcile.stores.ssm import Aws
    from ssm_reconcile.system import SystemClock, return_freed_memory

    return_freed_memory()  # as the Lambda function does
    clock, run = SystemClock(threading.Event()), Run()
    specs = load([path]).replications
    places = open_places(specs, Aws(endpoint_url=url, clock=clock).connect, run)
    plan = reconcile.make_plan(specs, Session(places, run, clock, lambda _: None))
    sys.stdout.write(json.dumps({"changes": len(plan.changes)}))


def rows(server: Server, count: int, targets: int) -> Iterator[str]:
    """Yield one row of the table for a first replication, and one with all replicas in sync."""
    for scene, replicas in (("first", False), ("in sync", True)):
        seed = Seed(count, targets=REGIONS[:targets], replicas=replicas)
        server.world(seed)
        with spec_of(seed, FAST) as spec:
            command = (sys.executable, "-m", "benchmarks.sizes", "--plan", server.url, spec)
            cost = children.cost(server, command)
        changes = json.loads(cost.output)["changes"]
        if changes != (0 if replicas else count * targets):
            message = f"{count} parameters, {targets} targets, {scene}: {changes} changes"
            raise RuntimeError(message)
        listing = cost.counts.necessary(CALL_RATES)
        put = changes / targets / CALL_RATES["put"]
        yield (
            f"| {count:,} | {targets} | {scene} | {cost.counts.requests:,} | {cost.megabytes:,.0f} |"
            f" {cost.cpu:,.1f} | {listing:,.0f} | {put:,.0f} |"
        )


def main(words: list[str]) -> None:
    """Print the table, or make one plan (`--plan URL SPEC`)."""
    if words[:1] == ["--plan"]:
        make_plan(*words[1:])
        return
    children.TIMEOUT = PATIENCE
    sizes = [tuple(map(int, word.split(":"))) for word in words] or SIZES
    with serving() as server:
        for count, targets in sizes:
            for row in rows(server, count, targets):
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
