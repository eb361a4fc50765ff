"""The way that this project grew from: one parameter after the other, written whether it changed or not.

    python -m benchmarks.seed_way ENDPOINT SOURCE TARGET [TARGET ...]

As the blog post's Ruby does it, a full replication lists the source, and for each name reads the value,
reads the tags, puts the value with Overwrite, and adds the tags. It does not read the targets first.
(In the post a queue and a Lambda stand between listing and copying; they are left out, to its favour.)
"""

from __future__ import annotations

import sys
from typing import Any

PREFIX = "/bench"
SKIP = "skip_sync"


def replicate(source: Any, target: Any) -> int:
    """Copy every parameter from one SSM client's region to the other's; says how many."""
    copied = 0
    for page in source.get_paginator("describe_parameters").paginate(MaxResults=50):
        for item in page["Parameters"]:
            copied += item["Name"].startswith(PREFIX) and _copy(item["Name"], source, target)
    return copied


def _copy(name: str, source: Any, target: Any) -> bool:
    found = source.get_parameter(Name=name, WithDecryption=True)["Parameter"]
    tags = source.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)["TagList"]
    if any(tag["Key"] == SKIP for tag in tags):
        return False
    target.put_parameter(Name=name, Value=found["Value"], Type=found["Type"], Overwrite=True)
    target.add_tags_to_resource(ResourceType="Parameter", ResourceId=name, Tags=tags)
    return True


def main(endpoint: str, source: str, *targets: str) -> None:
    """Replicate to each target, one after the other."""
    from boto3.session import Session

    def client(region: str) -> Any:
        return Session(region_name=region).client("ssm", endpoint_url=endpoint)

    for target in targets:
        sys.stdout.write(f"{target}: {replicate(client(source), client(target))}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
