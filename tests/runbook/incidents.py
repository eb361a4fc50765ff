"""Incidents: how each comes about, what shows it in a plan, and the way out that `explain` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ssm_reconcile.model import KeyState
from tests.fake_aws.store import Memory
from tests.runbook.commands import SECRET, WEST, Act, deny, replicate, run, shut_down, write_spec
from tests.simulated_aws import SimulatedAws

NAME = "/prod/db/url"


@dataclass(frozen=True)
class Incident:
    """`found`: a row, a finding or a guard in a plan's JSON. `flags`: what the remedy says to give."""

    title: str
    happen: Act
    found: str
    cause: str
    remedy: str
    mend: Act
    name: str = NAME
    flags: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Of the command line, for plan, explain and apply."""

    @property
    def by_apply_alone(self) -> bool:
        """Whether the way out is an apply without a flag, and nothing before it."""
        return self.mend is nothing and not self.flags


def nothing(_: SimulatedAws) -> None:
    """The flag is the whole remedy."""


def spec(**changes: Any) -> Act:
    return lambda _: write_spec(**changes)


def key_disabled(aws: SimulatedAws) -> None:
    aws.world.add_key(aws.here, "alias/app")
    aws.world.add_key(WEST, "alias/app")
    write_spec(kms=[{"source": "alias/app", "targets": {"us-west-2": "alias/app"}}])
    replicate(aws, NAME, value=SECRET, kind="SecureString", key_id="alias/app")
    aws.put(NAME, SECRET + "!", "SecureString", key_id="alias/app")
    aws.world.set_key(WEST, "alias/app", KeyState.DISABLED)


def enable_key(aws: SimulatedAws) -> None:
    aws.world.set_key(WEST, "alias/app", KeyState.USABLE)


def key_unmapped(aws: SimulatedAws) -> None:
    aws.world.add_key(aws.here, "alias/app")
    aws.world.add_key(WEST, "alias/app")
    aws.put(NAME, SECRET, "SecureString", key_id="alias/app")


def map_key(_: SimulatedAws) -> None:
    write_spec(kms=[{"source": "alias/app", "targets": {"us-west-2": "alias/app"}}])


def alias_repointed(aws: SimulatedAws) -> None:
    key_disabled(aws)
    aws.world.set_key(WEST, "alias/app", KeyState.USABLE)
    run("apply", "--yes", "-q")
    aws.pass_time()
    aws.world.add_key(WEST, "alias/new")
    aws.world.point_alias(WEST, "alias/app", "alias/new")


def two_targets(aws: SimulatedAws) -> None:
    """With one target only, nothing at all could be planned when it fails."""
    write_spec(targets=[{"region": "us-west-2"}, {"region": "eu-west-1"}])
    replicate(aws, NAME)


def listing_denied(aws: SimulatedAws) -> None:
    two_targets(aws)
    aws.put(NAME, "changed")
    deny(aws, "DescribeParameters", WEST)


def values_denied(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    aws.put(NAME, "changed")
    deny(aws, "GetParameters", WEST)


def allow(aws: SimulatedAws) -> None:
    aws.world.faults = None


def region_down(aws: SimulatedAws) -> None:
    two_targets(aws)
    aws.put(NAME, "changed")
    shut_down(aws, "us-west-2")


def region_up(aws: SimulatedAws) -> None:
    aws.connect = Memory(aws.world).connect


def edited_by_hand(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    aws.put(NAME, "by hand", region="us-west-2")


def by_cloudformation(aws: SimulatedAws) -> None:
    aws.put(NAME)
    aws.put(NAME, "v", region="us-west-2")
    aws.world.tag(WEST, NAME, {"aws:cloudformation:stack-name": "database"})


def out_of_the_stack(aws: SimulatedAws) -> None:
    aws.world.delete(WEST, NAME)
    aws.pass_time(minutes=1)


def spec_renamed(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    write_spec(name="production")


def tags_copied(aws: SimulatedAws) -> None:
    replicate(aws, "/prod/db/other")
    aws.put(NAME)
    tags = aws.world.tags(WEST, "/prod/db/other") or {}
    aws.put(NAME, "v", region="us-west-2", tags=tags)


def remove_copied_tags(aws: SimulatedAws) -> None:
    aws.world.untag(WEST, NAME, "ssm-reconcile:owner", "ssm-reconcile:record", "ssm-reconcile:source")


def source_emptied(aws: SimulatedAws) -> None:
    replicate(aws, NAME, "/prod/db/user")
    aws.delete(NAME, "/prod/db/user")


def fill_source(aws: SimulatedAws) -> None:
    aws.pass_time(minutes=1)
    aws.put(NAME)
    aws.put("/prod/db/user")


def too_many_deletes(aws: SimulatedAws) -> None:
    names = [f"/prod/many/{i:02}" for i in range(12)]
    replicate(aws, NAME, *names, *(f"/prod/stay/{i:02}" for i in range(30)))
    aws.delete(*names)


def too_many_changes(aws: SimulatedAws) -> None:
    names = [NAME, *(f"/prod/many/{i:02}" for i in range(11))]
    replicate(aws, *names)
    for name in names[:8]:
        aws.put(name, "changed")


def opted_out(aws: SimulatedAws) -> None:
    aws.put(NAME, tags={"skip_sync": "yes"})


def remove_skip_at_source(aws: SimulatedAws) -> None:
    aws.world.untag(aws.here, NAME, "skip_sync")


def target_opted_out(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    aws.put(NAME, "changed")
    aws.world.tag(WEST, NAME, {"skip_sync": "yes"})


def remove_skip_in_target(aws: SimulatedAws) -> None:
    aws.world.untag(WEST, NAME, "skip_sync")


def rule_excludes(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    write_spec(parameters={"include": ["/prod/**"], "exclude": ["/prod/db/**"]})


def data_type_changed(aws: SimulatedAws) -> None:
    replicate(aws, NAME, value="ami-12345678")
    aws.delete(NAME)
    aws.pass_time(minutes=1)
    aws.put(NAME, "ami-12345678", data_type="aws:ec2:image")


def taken_by_another(aws: SimulatedAws) -> None:
    aws.put(NAME)
    aws.put(NAME, "something else", region="us-west-2")


def in_line_by_hand(aws: SimulatedAws) -> None:
    aws.put(NAME, "v", region="us-west-2")


def addresses_collide(aws: SimulatedAws) -> None:
    aws.put("/prod/east/url", "one")
    aws.put("/prod/west/url", "two")
    write_spec(rewrite=[{"match": "/prod/**", "in": "name", "from": "/east/", "to": "/west/"}])


def tell_apart(_: SimulatedAws) -> None:
    write_spec(rewrite=[{"match": "/prod/**", "in": "name", "from": "/east/", "to": "/east-copy/"}])


def grown_too_large(aws: SimulatedAws) -> None:
    aws.put(NAME, "us-east-1," * 409)
    write_spec(
        rewrite=[{"match": "/prod/**", "in": "value", "from": "us-east-1", "to": "{target.region}-standby"}]
    )


def shorten(aws: SimulatedAws) -> None:
    aws.put(NAME, "us-east-1")


def replica_of_a_replica(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    write_spec(
        {
            "version": 1,
            "name": "onward",
            "source": {"region": "us-west-2"},
            "targets": [{"region": "eu-west-1"}],
            "parameters": {"include": ["/prod/**"]},
            "delete": "owned",
        }
    )


def replicate_from_the_origin(_: SimulatedAws) -> None:
    write_spec(
        {
            "version": 1,
            "name": "onward",
            "source": {"region": "us-east-1"},
            "targets": [{"region": "eu-west-1"}],
            "parameters": {"include": ["/prod/**"]},
            "delete": "owned",
        }
    )


def detached(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    assert run("detach", "--target", "us-west-2", "--yes", "-q").exit_code == 0
    aws.put(NAME, "changed")


def undo_detach(_: SimulatedAws) -> None:
    assert run("detach", "--target", "us-west-2", "--undo", "--yes", "-q").exit_code == 0


def roles_reversed(aws: SimulatedAws) -> None:
    detached(aws)
    aws.pass_time()
    write_spec(
        name="back", source={"region": "us-west-2"}, targets=[{"region": "us-east-1"}], adopt="overwrite"
    )


def frozen(aws: SimulatedAws) -> None:
    replicate(aws, NAME)
    aws.put(NAME, "changed")
    write_spec(targets=[{"region": "us-west-2", "frozen": True}])


def expired_policy(aws: SimulatedAws) -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-11-23T08:30:00.000Z"}}'
    aws.put(NAME, tier="Advanced", policies=[policy])
    aws.pass_time()


def renew_policy(aws: SimulatedAws) -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-11-23T08:30:00.000Z"}}'
    aws.put(NAME, tier="Advanced", policies=[policy])


def adopt_never(aws: SimulatedAws) -> None:
    aws.put(NAME)
    aws.put(NAME, region="us-west-2")
    write_spec(adopt="never")


def wrongly_named(aws: SimulatedAws) -> None:
    aws.put(NAME)
    write_spec(rewrite=[{"match": "/prod/**", "in": "name", "from": "/prod/", "to": "/ssm/"}])


INCIDENTS = (
    Incident("a key is disabled", key_disabled, "invalid", "alias/app is disabled", "enable it", enable_key),
    Incident(
        "a key has no counterpart", key_unmapped, "invalid", "no KMS key is mapped", "in `kms`", map_key
    ),
    Incident(
        "an alias points to another key", alias_repointed, "update", "key re-pointed",
        "to update it now: `ssm-reconcile apply", nothing,
    ),
    Incident(
        "the role may not list any more", listing_denied, "incomplete-place", "AccessDenied",
        "allow ssm:DescribeParameters", allow,
    ),
    Incident(
        "the role may not read any more", values_denied, "unreadable", "AccessDenied",
        "allow the run to read it", allow,
    ),
    Incident(
        "a region is down", region_down, "incomplete-place", "EndpointConnectionError",
        "check that the region", region_up,
    ),
    Incident(
        "a replica is edited by hand", edited_by_hand, "changed-outside", "changed outside ssm-reconcile by",
        "--overwrite-outside", nothing, flags=("--overwrite-outside",),
    ),
    Incident(
        "a name is taken by CloudFormation", by_cloudformation, "foreign", "managed by CloudFormation",
        "from the stack database", out_of_the_stack,
    ),
    Incident(
        "a spec is renamed", spec_renamed, "foreign", "it is a replica of prod@",
        "previous_names: [prod]", spec(previous_names=["prod"]),
    ),
    Incident(
        "tags are copied", tags_copied, "copied", "record was written for another parameter",
        "aws ssm remove-tags-from-resource", remove_copied_tags,
    ),
    Incident(
        "the source is emptied", source_emptied, "empty-source", "its source is gone",
        "create /prod/db/url in 123456789012/us-east-1 again", fill_source,
    ),
    Incident(
        "too much is deleted at once", too_many_deletes, "max-deletes", "12 deletes are more than 10",
        "--max-deletes 12", nothing, name="/prod/many/03", flags=("--max-deletes", "12"),
    ),
    Incident(
        "too much changes at once", too_many_changes, "max-change-percent", "67% of the replicas would",
        "--max-change-percent 67", nothing, flags=("--max-change-percent", "67"),
    ),
    Incident(
        "a source parameter opted out", opted_out, "skipped", "its source carries skip_sync",
        "remove the tag skip_sync", remove_skip_at_source,
    ),
    Incident(
        "a replica opted out", target_opted_out, "opted_out", "it carries skip_sync itself",
        "remove the tag skip_sync", remove_skip_in_target,
    ),
    Incident(
        "a rule excludes what was replicated", rule_excludes, "orphan",
        "/prod/db/** (replication.yaml:",
        "change `parameters.include`, `exclude`", spec(parameters={"include": ["/prod/**"]}),
    ),
    Incident(
        "a data type changes", data_type_changed, "replace", "AWS cannot change this in place",
        "--allow-replace", nothing, flags=("--allow-replace",),
    ),
    Incident(
        "a name is taken by another writer", taken_by_another, "conflict",
        "is not a replica, and differs in value",
        "to match its source", in_line_by_hand,
    ),
    Incident(
        "two names land on one", addresses_collide, "address-collision", "several source parameters land",
        "change the `rewrite` rules", tell_apart, name="/prod/west/url",
    ),
    Incident(
        "a value grows too large", grown_too_large, "size", "too large for its tier",
        "shorten it", shorten,
    ),
    Incident(
        "a replica is replicated on", replica_of_a_replica, "chained", "its source is itself a replica",
        "replicate it from its origin", replicate_from_the_origin, words=("--name", "onward"),
    ),
    Incident(
        "a target is detached", detached, "detached", "it is detached",
        "detach --target us-west-2 --undo", undo_detach,
    ),
    Incident(
        "the roles are reversed", roles_reversed, "roles-reversed", "the source was detached from",
        "--allow-reversed", nothing, flags=("--allow-reversed",),
    ),
    Incident(
        "a target is frozen", frozen, "frozen-target", "the target is frozen",
        "`frozen: false`", spec(targets=[{"region": "us-west-2"}]),
    ),
    Incident(
        "a policy has expired", expired_policy, "policy", "Expiration policy",
        "renew or remove its Expiration policy", renew_policy,
    ),
    Incident(
        "nothing may be adopted", adopt_never, "adopt", "`adopt: never` does not adopt it",
        "`adopt: identical`", spec(adopt="identical"),
    ),
    Incident(
        "a rewrite makes a name that AWS keeps", wrongly_named, "name", "begins with aws or ssm",
        "a `rewrite` with `in: name`", spec(rewrite=None),
    ),
)  # fmt: skip
