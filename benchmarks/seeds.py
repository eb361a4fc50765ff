"""Seeded worlds: the same parameters from the same seed, a source and, where wanted, its replicas.

A tenth of the parameters are SecureStrings under a customer key, two tenths under the AWS managed key,
the rest plain; each has two tags and a description, as in accounts that one meets. Replicas carry the
record that an apply of ours would have written.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from benchmarks.world import MANAGED_KEY, SECURE, Entry, Region, World
from ssm_reconcile.record import Origin, Record, compose_own, digest, key_digest, ownership_tags

PREFIX = "/bench"
OWNER = "bench"
KEY = "alias/app"
SOURCE_AT = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
REPLICA_AT = datetime(2026, 6, 2, 12, tzinfo=UTC).timestamp()
TEAMS = ("payments", "search", "identity", "logistics", "platform")


@dataclass(frozen=True, slots=True)
class Seed:
    """The first state of a world. `replicas`: the targets hold them already; `owned`: with our tags.

    A target is a region, or `account/region` of another account, which is reached by a role. `drift` of the
    replicas (a share from 0 to 1) are behind: their source has a newer version. `higher_throughput`: the
    setting of that name is on in each target.
    """

    count: int
    account: str = "123456789012"
    source: str = "us-east-1"
    targets: tuple[str, ...] = ("us-east-2",)
    replicas: bool = False
    owned: bool = True
    drift: float = 0.0
    seed: int = 1
    higher_throughput: bool = False


def sow(world: World, seed: Seed) -> None:
    """Make the regions of a seed again."""
    for place in (seed.source, *seed.targets):
        world.regions.pop(_place(seed, place), None)
    source = world.region(seed.account, seed.source)
    source.aliases = {MANAGED_KEY: f"ssm-{seed.source}", KEY: f"app-{seed.source}"}
    source.fill(_entries(seed))
    for place in seed.targets:
        target = world.region(*_place(seed, place))
        target.aliases = {MANAGED_KEY: f"ssm-{target.name}", KEY: f"app-{target.name}"}
        target.higher_throughput = seed.higher_throughput
        if seed.replicas:
            target.fill(
                _replica(entry, source, target, owned=seed.owned) for entry in source.entries.values()
            )
    _drift(source, seed)


def _place(seed: Seed, target: str) -> tuple[str, str]:
    """Return account and region of a target."""
    account, _, region = target.rpartition("/")
    return account or seed.account, region


def _entries(seed: Seed) -> Iterator[Entry]:
    chance = random.Random(seed.seed)  # noqa: S311 - the same world every time, not a secret
    letters = string.ascii_letters + string.digits
    user = f"arn:aws:iam::{seed.account}:user/deployer"
    for number in range(seed.count):
        team = TEAMS[number % len(TEAMS)]
        kind = SECURE if number % 10 in (3, 6, 9) else "StringList" if number % 10 == 5 else "String"
        key = None if kind != SECURE else KEY if number % 10 == 3 else MANAGED_KEY
        yield Entry(
            name=f"{PREFIX}/{team}/service-{number // 40 % 500:03d}/setting-{number:06d}",
            type=kind,
            value="".join(chance.choices(letters, k=chance.randrange(20, 120))),
            tags={"team": team, "stage": "prod"},
            version=1 + number % 7,
            modified=SOURCE_AT + number % 86_400,
            user=user,
            description=f"setting {number} of {team}",
            key_id=key,
        )


def _replica(entry: Entry, source: Region, target: Region, *, owned: bool) -> Entry:
    tags = dict(entry.tags)
    if owned:
        key = None
        if entry.type == SECURE:
            key = MANAGED_KEY if entry.key_id == MANAGED_KEY else target.key_arn(target.aliases[KEY])
        record = Record(
            source_version=entry.version,
            source_modified=datetime.fromtimestamp(entry.modified, tz=UTC),
            version=1,
            written=datetime.fromtimestamp(REPLICA_AT, tz=UTC),
            origin=Origin.CREATED,
            own=compose_own(target.arn(entry.name), entry.type, None),
            source=digest(source.arn(entry.name)),
            key=key_digest(key),
        )
        owner = f"{OWNER}@{source.account}/{source.name}"
        tags |= ownership_tags(owner, record, source_name=entry.name, name=entry.name)
    return replace(entry, tags=tags, version=1, modified=REPLICA_AT, shown="", mapped="")


def _drift(source: Region, seed: Seed) -> None:
    """Give a share of the sources a new version, evenly over the names."""
    if seed.drift <= 0:
        return
    for name in source.order[:: max(1, round(1 / seed.drift))]:
        entry = source.entries[name]
        entry.value += "-new"
        entry.version += 1
        entry.modified += 86_400.0
        entry.touch()


def spec_text(seed: Seed, rates: dict[str, float]) -> str:
    """The spec (YAML) that replicates a world's source to its targets."""
    import json

    names = {target: target.replace("/", "-") for target in seed.targets}
    targets = ", ".join(_target(name, *_place(seed, target), seed) for target, name in names.items())
    mapped = ", ".join(f"{name}: {KEY}" for name in names.values())
    return f"""\
version: 1
name: {OWNER}
source: {{ region: {seed.source} }}
targets: [{targets}]
parameters: {{ include: ["{PREFIX}/**"] }}
kms: [{{ source: {KEY}, targets: {{ {mapped} }} }}]
delete: owned
guards: {{ max_change_percent: 100 }}
rates: {json.dumps(rates)}
"""


def documents_text(seed: Seed, rates: dict[str, float]) -> str:
    """The spec (YAML) of a world with a document for each target."""
    each = (spec_text(replace(seed, targets=(target,)), rates) for target in seed.targets)
    return "---\n".join(
        text.replace(f"name: {OWNER}\n", f"name: {OWNER}-{number}\n") for number, text in enumerate(each)
    )


def _target(name: str, account: str, region: str, seed: Seed) -> str:
    """Return a target of a spec."""
    if account == seed.account:
        return f"{{ region: {region} }}"
    return f"{{ name: {name}, region: {region}, role_arn: 'arn:aws:iam::{account}:role/bench' }}"
