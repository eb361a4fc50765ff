"""Incidents: how each comes about, what shows it in a plan, and the way out that `explain` names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ssm_reconcile.model import KeyState
from tests.runbook.day import SECRET, Act, Day

NAME = "/prod/db/url"
_MINUTE = timedelta(minutes=1)


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


def nothing(_: Day) -> None:
    """The flag is the whole remedy."""


def spec(**changes: Any) -> Act:
    return lambda day: day.write(**changes)


def key_disabled(day: Day) -> None:
    day.world.add_key(day.east, "alias/app")
    day.world.add_key(day.west, "alias/app")
    day.write(kms=[{"source": "alias/app", "targets": {"us-west-2": "alias/app"}}])
    day.replicate(NAME, value=SECRET, kind="SecureString", key_id="alias/app")
    day.put(NAME, SECRET + "!", "SecureString", key_id="alias/app")
    day.world.set_key(day.west, "alias/app", KeyState.DISABLED)


def enable_key(day: Day) -> None:
    day.world.set_key(day.west, "alias/app", KeyState.USABLE)


def key_unmapped(day: Day) -> None:
    day.world.add_key(day.east, "alias/app")
    day.world.add_key(day.west, "alias/app")
    day.put(NAME, SECRET, "SecureString", key_id="alias/app")


def map_key(day: Day) -> None:
    day.write(kms=[{"source": "alias/app", "targets": {"us-west-2": "alias/app"}}])


def alias_repointed(day: Day) -> None:
    key_disabled(day)
    day.world.set_key(day.west, "alias/app", KeyState.USABLE)
    day.run("apply", "--yes", "-q")
    day.pass_time()
    day.world.add_key(day.west, "alias/new")
    day.world.point_alias(day.west, "alias/app", "alias/new")


def two_targets(day: Day) -> None:
    """With one target only, nothing at all could be planned when it fails."""
    day.write(targets=[{"region": "us-west-2"}, {"region": "eu-west-1"}])
    day.replicate(NAME)


def listing_denied(day: Day) -> None:
    two_targets(day)
    day.put(NAME, "changed")
    day.refusals.add(("DescribeParameters", day.west))


def values_denied(day: Day) -> None:
    day.replicate(NAME)
    day.put(NAME, "changed")
    day.refusals.add(("GetParameters", day.west))


def allow(day: Day) -> None:
    day.refusals.clear()


def region_down(day: Day) -> None:
    two_targets(day)
    day.put(NAME, "changed")
    day.down.add("us-west-2")


def region_up(day: Day) -> None:
    day.down.clear()


def edited_by_hand(day: Day) -> None:
    day.replicate(NAME)
    day.put(NAME, "by hand", place=day.west)


def by_cloudformation(day: Day) -> None:
    day.put(NAME)
    day.put(NAME, "v", place=day.west)
    day.world.tag(day.west, NAME, {"aws:cloudformation:stack-name": "database"})


def out_of_the_stack(day: Day) -> None:
    day.world.delete(day.west, NAME)
    day.clock.advance(_MINUTE)


def spec_renamed(day: Day) -> None:
    day.replicate(NAME)
    day.write(name="production")


def tags_copied(day: Day) -> None:
    day.replicate("/prod/db/other")
    day.put(NAME)
    tags = day.world.tags(day.west, "/prod/db/other") or {}
    day.put(NAME, "v", place=day.west, tags=tags)


def remove_copied_tags(day: Day) -> None:
    day.world.untag(day.west, NAME, "ssm-reconcile:owner", "ssm-reconcile:record", "ssm-reconcile:source")


def source_emptied(day: Day) -> None:
    day.replicate(NAME, "/prod/db/user")
    day.world.delete(day.east, NAME, "/prod/db/user")


def fill_source(day: Day) -> None:
    day.clock.advance(_MINUTE)
    day.put(NAME)
    day.put("/prod/db/user")


def too_many_deletes(day: Day) -> None:
    names = [f"/prod/many/{i:02}" for i in range(12)]
    day.replicate(NAME, *names, *(f"/prod/stay/{i:02}" for i in range(30)))
    day.world.delete(day.east, *names)


def too_many_changes(day: Day) -> None:
    names = [NAME, *(f"/prod/many/{i:02}" for i in range(11))]
    day.replicate(*names)
    for name in names[:8]:
        day.put(name, "changed")


def opted_out(day: Day) -> None:
    day.put(NAME, tags={"skip_sync": "yes"})


def remove_skip_at_source(day: Day) -> None:
    day.world.untag(day.east, NAME, "skip_sync")


def target_opted_out(day: Day) -> None:
    day.replicate(NAME)
    day.put(NAME, "changed")
    day.world.tag(day.west, NAME, {"skip_sync": "yes"})


def remove_skip_in_target(day: Day) -> None:
    day.world.untag(day.west, NAME, "skip_sync")


def rule_excludes(day: Day) -> None:
    day.replicate(NAME)
    day.write(parameters={"include": ["/prod/**"], "exclude": ["/prod/db/**"]})


def data_type_changed(day: Day) -> None:
    day.replicate(NAME, value="ami-12345678")
    day.world.delete(day.east, NAME)
    day.clock.advance(_MINUTE)
    day.put(NAME, "ami-12345678", data_type="aws:ec2:image")


def taken_by_another(day: Day) -> None:
    day.put(NAME)
    day.put(NAME, "something else", place=day.west)


def in_line_by_hand(day: Day) -> None:
    day.put(NAME, "v", place=day.west)


def addresses_collide(day: Day) -> None:
    day.put("/prod/east/url", "one")
    day.put("/prod/west/url", "two")
    day.write(rewrite=[{"match": "/prod/**", "in": "name", "from": "/east/", "to": "/west/"}])


def tell_apart(day: Day) -> None:
    day.write(rewrite=[{"match": "/prod/**", "in": "name", "from": "/east/", "to": "/east-copy/"}])


def grown_too_large(day: Day) -> None:
    day.put(NAME, "us-east-1," * 409)
    day.write(
        rewrite=[{"match": "/prod/**", "in": "value", "from": "us-east-1", "to": "{target.region}-standby"}]
    )


def shorten(day: Day) -> None:
    day.put(NAME, "us-east-1")


def replica_of_a_replica(day: Day) -> None:
    day.replicate(NAME)
    day.write(
        {
            "version": 1,
            "name": "onward",
            "source": {"region": "us-west-2"},
            "targets": [{"region": "eu-west-1"}],
            "parameters": {"include": ["/prod/**"]},
            "delete": "owned",
        }
    )


def replicate_from_the_origin(day: Day) -> None:
    day.write(
        {
            "version": 1,
            "name": "onward",
            "source": {"region": "us-east-1"},
            "targets": [{"region": "eu-west-1"}],
            "parameters": {"include": ["/prod/**"]},
            "delete": "owned",
        }
    )


def detached(day: Day) -> None:
    day.replicate(NAME)
    assert day.run("detach", "--target", "us-west-2", "--yes", "-q").exit_code == 0
    day.put(NAME, "changed")


def undo_detach(day: Day) -> None:
    assert day.run("detach", "--target", "us-west-2", "--undo", "--yes", "-q").exit_code == 0


def roles_reversed(day: Day) -> None:
    detached(day)
    day.pass_time()
    day.write(
        name="back", source={"region": "us-west-2"}, targets=[{"region": "us-east-1"}], adopt="overwrite"
    )


def frozen(day: Day) -> None:
    day.replicate(NAME)
    day.put(NAME, "changed")
    day.write(targets=[{"region": "us-west-2", "frozen": True}])


def expired_policy(day: Day) -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2026-11-23T08:30:00.000Z"}}'
    day.put(NAME, tier="Advanced", policies=[policy])
    day.pass_time()


def renew_policy(day: Day) -> None:
    policy = '{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2027-11-23T08:30:00.000Z"}}'
    day.put(NAME, tier="Advanced", policies=[policy])


def adopt_never(day: Day) -> None:
    day.put(NAME)
    day.put(NAME, place=day.west)
    day.write(adopt="never")


def wrongly_named(day: Day) -> None:
    day.put(NAME)
    day.write(rewrite=[{"match": "/prod/**", "in": "name", "from": "/prod/", "to": "/ssm/"}])


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
        "the source is emptied", source_emptied, "empty-source", "its source /prod/db/url is gone",
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
