"""A hand-written replicator that reads all values with boto3, with the proof of a right result and no more.

    python -m benchmarks.optimum ENDPOINT SOURCE TARGET [TARGET ...] {plan|apply}

It lists parameters and tags of both ends in full pages and reads values ten at a time. `apply` creates each
missing parameter with its tags in one call, and reads the versions of what it wrote. `plan` has no record of
versions, so it reads and compares all values. It keeps all values in memory, does not check for `skip_sync`
before a write, and does not handle a failed call. boto3 is used as its documentation recommends.

Exit codes: 0 equal, 1 a parameter is not as it was written, 2 (`plan`) there are differences.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

PREFIX = "/bench"
THREADS = 8
NAMES = 10
"""Names in a call of GetParameters."""
COPIED = ("Type", "Description", "AllowedPattern", "Tier", "DataType", "KeyId")
"""Fields of DescribeParameters that are arguments of PutParameter."""
Items = dict[str, dict[str, Any]]
"""Items of a response by the name of the parameter."""


class Region:
    """One region: its clients, and its parameters and tags while they are listed."""

    def __init__(self, pool: ThreadPoolExecutor, session: Any, endpoint: str, region: str) -> None:
        from botocore.config import Config

        config = Config(max_pool_connections=THREADS, retries={"mode": "standard"})
        self.ssm, self._tagging = (
            session.client(service, region, endpoint_url=endpoint, config=config)
            for service in ("ssm", "resourcegroupstaggingapi")
        )
        self.parameters: Future[Items] = pool.submit(self._describe)
        self.tags: Future[dict[str, list[dict[str, str]]]] = pool.submit(self._list_tags)

    def _describe(self) -> Items:
        pages = self.ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 50})
        listed = (one for page in pages for one in page["Parameters"])
        return {one["Name"]: one for one in listed if one["Name"].startswith(PREFIX)}

    def _list_tags(self) -> dict[str, list[dict[str, str]]]:
        pages = self._tagging.get_paginator("get_resources").paginate(
            ResourceTypeFilters=["ssm:parameter"], PaginationConfig={"PageSize": 100}
        )
        listed = (one for page in pages for one in page["ResourceTagMappingList"])
        return {one["ResourceARN"].partition(":parameter")[2]: one["Tags"] for one in listed}

    def read(self, names: list[str], *, decrypt: bool) -> Items:
        """Return values by name."""
        answer = self.ssm.get_parameters(Names=names, WithDecryption=decrypt)
        return {one["Name"]: one for one in answer["Parameters"]}

    def arguments(self, name: str) -> dict[str, Any]:
        """Return the arguments of a PutParameter that makes a copy, without the value."""
        listed = self.parameters.result()[name]
        chosen = {field: listed[field] for field in COPIED if listed.get(field)}
        return {"Name": name, **chosen, "Tags": self.tags.result().get(name, [])}


def batches(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield sorted names, ten at a time."""
    ordered = sorted(names)
    for start in range(0, len(ordered), NAMES):
        yield ordered[start : start + NAMES]


def plan(source: Region, target: Region, pool: ThreadPoolExecutor) -> int:
    """Return the number of parameters that differ in anything, value included, or exist at one end only."""
    here, there = source.parameters.result(), target.parameters.result()

    def differing(names: list[str]) -> int:
        wanted, found = source.read(names, decrypt=True), target.read(names, decrypt=True)
        return sum(
            wanted[name]["Value"] != found[name]["Value"]
            or comparable(source, name) != comparable(target, name)
            for name in names
        )

    return len(here.keys() ^ there.keys()) + sum(pool.map(differing, batches(here.keys() & there.keys())))


def comparable(region: Region, name: str) -> dict[str, Any]:
    """Return all that is copied but the value; the order of tags has no meaning."""
    arguments = region.arguments(name)
    return {**arguments, "Tags": sorted((tag["Key"], tag["Value"]) for tag in arguments["Tags"])}


def apply(source: Region, target: Region, pool: ThreadPoolExecutor) -> int:
    """Create all missing parameters; return the number of those that a read finds at another version."""

    def create(names: list[str]) -> dict[str, int]:
        values = source.read(names, decrypt=True)
        return {
            name: target.ssm.put_parameter(**source.arguments(name), Value=values[name]["Value"])["Version"]
            for name in names
        }

    def wrong(names: list[str]) -> int:
        found = target.read(names, decrypt=False)
        return sum(name not in found or found[name]["Version"] != written[name] for name in names)

    missing = source.parameters.result().keys() - target.parameters.result().keys()
    written = {name: version for made in pool.map(create, batches(missing)) for name, version in made.items()}
    return sum(pool.map(wrong, batches(written)))


def main(endpoint: str, source: str, *rest: str) -> int:
    """Plan or apply for each target, one after the other, and return the exit code."""
    from boto3.session import Session

    *targets, verb = rest
    session = Session()  # one, used by this thread only: each session loads the models of the services
    with ThreadPoolExecutor(THREADS) as pool:
        origin, *ends = [Region(pool, session, endpoint, name) for name in (source, *targets)]
        if verb == "plan":
            return 2 if sum(plan(origin, end, pool) for end in ends) else 0
        return 1 if sum(apply(origin, end, pool) for end in ends) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
