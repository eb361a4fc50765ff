"""A replication -> the IAM statements that one phase needs in one place.

phase   source                                    target
plan    list, read tags and values, decrypt       the same
apply   the same                                  the same, and write: put, tag, delete, encrypt;
                                                  tag orphans, also those of `detach`
undo    as plan or apply, and the history of replicas: the option `--undo` of both
event   as apply, without `detach` and without the settings that only `doctor` reads: a run for some names
        does the same as an apply. Deletes need the owner tag of a replication of this source. That prevents
        mistakes only, because the same identity may add tags.

Path rules become ARNs of parameters, in which a star of IAM matches slashes too:

    /prod/**     parameter/prod/*
    /a/**/b      parameter/a/b and parameter/a/*/b
    /shared/*    parameter/shared/*       (wider than the rule)
    foo          parameter/foo

The ARN of a parameter has one slash after `parameter`, also when its name begins with one
(Service Authorization Reference).

A KMS key by ARN or id is a resource. A key by alias is any key of the place that has the alias
(`kms:ResourceAliases`), since IAM cannot name it otherwise. Where a rule allows keys that the spec does not
name (a multi-Region key without a rule, any source key where a target has a default), the resource is wide.
In each case the encryption context that SSM sends, PARAMETER_ARN, limits the use to the parameters (KMS
developer guide, Parameter Store). The AWS managed key needs no statement: each principal of its
account may use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import product
from typing import Any, TypeAlias

from ssm_reconcile.aws_limits import partition_of
from ssm_reconcile.model import SECURE, Access, Place, Substitution, canonical
from ssm_reconcile.record import DETACHED, OWNER
from ssm_reconcile.spec import Glob, Orphans, Replication, RewriteIn, Target

_MANAGED = "alias/aws/"
_READ = ("ssm:GetParameters", "ssm:ListTagsForResource")
_HISTORY = ("ssm:GetParameterHistory",)
_DELETE = ("ssm:DeleteParameters",)
_WRITE = ("ssm:AddTagsToResource", "ssm:PutParameter", "ssm:RemoveTagsFromResource")
DECRYPT = ("kms:Decrypt",)
_ENCRYPT = ("kms:Encrypt", "kms:GenerateDataKey")
_LIST = ("kms:ListAliases", "ssm:DescribeParameters", "tag:GetResources")
"""Actions without a resource of their own; they return names, tags and states only."""


Condition: TypeAlias = tuple[str, str, tuple[str, ...]]
"""Operator, condition key and values."""


class PolicyPhase(StrEnum):
    """The command that an identity runs."""

    PLAN = "plan"
    APPLY = "apply"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy. Actions and resources are sorted; `sid` names the purpose."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    effect: str = "Allow"

    def document(self) -> dict[str, Any]:
        """Return the statement in the JSON form of IAM."""
        document: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": self.effect,
            "Action": list(self.actions),
            "Resource": list(self.resources),
        }
        for operator, key, values in self.conditions:
            document.setdefault("Condition", {}).setdefault(operator, {})[key] = list(values)
        return document


def place_of(access: Access, account: str | None) -> Place:
    """Return the place of an access; its account is `*` where neither the spec nor the role names it."""
    from_role = access.role_arn.split(":")[4] if access.role_arn else "*"
    return Place(account or from_role, access.region, partition_of(access.region))


def _arn(place: Place, service: str, resource: str) -> str:
    return f"arn:{place.partition}:{service}:{place.region}:{place.account}:{resource}"


def _parameters(place: Place, patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the ARNs of patterns of names that have no leading slash."""
    return tuple(_arn(place, "ssm", f"parameter/{pattern}") for pattern in patterns)


def source_statements(spec: Replication, source: Place, phase: PolicyPhase) -> list[Statement]:
    """Return the statements for the source, which each phase only reads.

    Args:
        spec: The replication.
        source: The place of its source.
        phase: The command to run.
    """
    names = _parameters(source, source_patterns(spec))
    return [
        *_read_statements(source, names, "DecryptSource", _source_keys(spec)),
        *_setting_statements(source, phase, is_target=False),
    ]


def target_statements(
    spec: Replication, target: Target, source: Place, phase: PolicyPhase, *, undo: bool = False
) -> list[Statement]:
    """Return the statements for one target.

    Args:
        spec: The replication.
        target: One of its targets.
        source: The place of its source.
        phase: The command to run.
        undo: Whether `undo` runs as well, which reads the history of replicas.
    """
    place = place_of(target.access, target.account)
    names = _parameters(place, _target_patterns(spec, source, place, target.name))
    keys = _target_keys(spec, target)
    found = _read_statements(place, names, "DecryptReplicas", keys)
    if undo:
        found.append(Statement("ReadHistory", _HISTORY, names))
    found += _setting_statements(place, phase, is_target=True)
    found += _orphan_statements(spec, source, place, phase)
    if phase is PolicyPhase.APPLY:
        found.append(Statement("WriteParameters", tuple(sorted((*_WRITE, *_DELETE))), names))
    if phase is PolicyPhase.EVENT:
        found.append(Statement("WriteParameters", _WRITE, names))
        found.append(Statement("DeleteReplicas", _DELETE, names, _owned_by((_of_source(source),))))
    if phase is not PolicyPhase.PLAN:
        found += _key_statements("EncryptReplicas", _ENCRYPT, keys, place, names)
    return found


def _read_statements(
    place: Place, names: tuple[str, ...], decrypt: str, keys: Iterable[str]
) -> list[Statement]:
    """Return the statements to list a place and to read parameters; `decrypt` is the Sid for their keys."""
    return [
        Statement("ListEverything", _LIST, ("*",)),
        Statement("DescribeKeys", ("kms:DescribeKey",), (_arn(place, "kms", "key/*"),)),
        Statement("ReadParameters", _READ, names),
        *_key_statements(decrypt, DECRYPT, keys, place, names),
    ]


def _setting_statements(place: Place, phase: PolicyPhase, *, is_target: bool) -> list[Statement]:
    """Return the statement for the service settings; it is optional, since each read of one may fail.

    `doctor` reads all of them before a plan and an apply, an apply the one for higher throughput in targets.
    """
    settings = "*"
    if phase is PolicyPhase.EVENT:
        if not is_target:
            return []
        settings = "high-throughput-enabled"
    resource = _arn(place, "ssm", f"servicesetting/ssm/parameter-store/{settings}")
    return [Statement("ReadSettings", ("ssm:GetServiceSetting",), (resource,))]


def _orphan_statements(spec: Replication, source: Place, place: Place, phase: PolicyPhase) -> list[Statement]:
    """Return the statements for orphans: no rule of the spec names them, so the owner tag must.

    Tags may be read without an owner tag: an orphan may have lost it, and `tag:GetResources` has no limit
    either. The tags of an orphan are written to remove an outdated mark, and by `detach`, which also takes
    its own work back.
    """
    owners = spec.owners(source)
    anywhere = _parameters(place, ["*"])
    found = [Statement("ReadTagsOfOrphans", ("ssm:ListTagsForResource",), anywhere)]
    if spec.orphans is Orphans.DELETE and phase is not PolicyPhase.PLAN:
        actions = ("ssm:DeleteParameters", "ssm:GetParameters")
        found.append(Statement("DeleteOrphans", actions, anywhere, _owned_by(owners)))
    if phase is not PolicyPhase.PLAN:
        marked = (*owners, *(f"{DETACHED}{owner}" for owner in owners))
        if phase is PolicyPhase.EVENT:  # the templates in deploy/ do not have the name of the spec
            marked = (_of_source(source),)
        actions = ("ssm:AddTagsToResource", "ssm:RemoveTagsFromResource")
        found.append(Statement("TagOrphans", actions, anywhere, _owned_by(marked)))
    return found


def _of_source(source: Place) -> str:
    """Return the pattern of the owners of all replications from a source."""
    return f"*@{source.account}/{source.region}"


def _owned_by(owners: tuple[str, ...]) -> tuple[Condition, ...]:
    return (("StringLike", f"aws:ResourceTag/{OWNER}", owners),)


def source_patterns(spec: Replication) -> list[str]:
    """Return IAM patterns of all names that the include rules match, without the leading slash, sorted."""
    return _without_covered(pattern for glob in spec.include for pattern in iam_patterns(glob))


def _target_patterns(spec: Replication, source: Place, place: Place, target: str) -> list[str]:
    """Return IAM patterns of all names that replicas of selected parameters may have in a target."""
    found = set(source_patterns(spec))
    for rule in spec.rewrites:
        if rule.scope is RewriteIn.NAME:
            change = rule.substitution(source, place, target)
            found |= {one for pattern in list(found) for one in rewritten(f"/{pattern}", change)}
    return _without_covered(found)


def iam_patterns(glob: Glob) -> set[str]:
    """Return the least IAM patterns that together match every name that a path rule matches."""
    levels = canonical(glob.text)[1:].split("/")
    *inner, last = levels
    choices = [("*/", "") if level == "**" else (f"{level}/",) for level in inner]
    end = "*" if last == "**" else last
    return {"".join(parts) + end for parts in product(*choices)}


def rewritten(pattern: str, change: Substitution) -> set[str]:
    """Return IAM patterns of the names that a rewrite makes of names which a pattern matches.

    Text of the pattern itself is replaced; a star stays a star. Where the old text may begin in the pattern's
    text and end in a star, or the other way round, all that follows becomes a star.
    """
    parts = [part.replace(change.old, change.new) for part in pattern.split("*")]
    found = {"*".join(parts)}
    head = ""
    for part in parts[:-1]:
        head += part
        cut = [k for k in range(1, len(change.old)) if part.endswith(change.old[:k])]
        if cut:
            found.add(head[: len(head) - max(cut)] + "*")
        head += "*"
    if any(part.startswith(change.old[k:]) for part in parts[1:] for k in range(1, len(change.old)) if part):
        found.add(parts[0] + "*")
    return {one.removeprefix("/") for one in found}


def _without_covered(patterns: Iterable[str]) -> list[str]:
    """Return the patterns, sorted, without those that another one, whose only star is its end, covers."""
    every = set(patterns)
    wide = [one for one in every if one.endswith("*") and one.count("*") == 1]
    return sorted(
        one for one in every if not any(other != one and one.startswith(other[:-1]) for other in wide)
    )


def _source_keys(spec: Replication) -> frozenset[str]:
    """Return the references to source keys that the rules name; `*` where they allow any key."""
    named = {rule.source for rule in spec.kms}
    named |= {source for target in spec.targets for source, _ in target.keys}
    named.add("*" if any(target.default_key for target in spec.targets) else "mrk-*")
    return _customer_keys(spec, named)


def _target_keys(spec: Replication, target: Target) -> frozenset[str]:
    """Return the references to keys under which replicas in a target may be encrypted."""
    named = {key for rule in spec.kms for name, key in rule.targets if name == target.name}
    named |= {key for _, key in target.keys}
    named.add(target.default_key or "mrk-*")
    return _customer_keys(spec, named)


def _customer_keys(spec: Replication, references: Iterable[str]) -> frozenset[str]:
    if SECURE not in spec.types:
        return frozenset()
    return frozenset(one for one in references if _MANAGED not in one)


def _key_statements(
    sid: str, actions: tuple[str, ...], references: Iterable[str], place: Place, parameters: tuple[str, ...]
) -> list[Statement]:
    """Return the statements that allow actions with keys, for some parameters.

    Args:
        sid: The Sid; the statement for keys by alias has the suffix `ByAlias`.
        actions: Actions of KMS.
        references: Keys as the spec names them: ids, aliases or ARNs, and `*` or `mrk-*`.
        place: The place of the keys.
        parameters: ARNs of the parameters.
    """
    context: Condition = ("StringLike", "kms:EncryptionContext:PARAMETER_ARN", parameters)
    own = _arn(place, "kms", "")
    ids: set[str] = set()
    aliases: dict[str, set[str]] = {}
    for reference in references:
        home, _, name = (reference if ":" in reference else own + reference).rpartition(":")
        if name.startswith("alias/"):
            aliases.setdefault(f"{home}:key/*", set()).add(name)
        else:
            ids.add(f"{home}:key/{name.removeprefix('key/')}")
    any_key = f"{own}key/*"
    if any_key in ids:
        ids = {any_key, *(one for one in ids if not fnmatchcase(one, any_key))}
        aliases = {keys: names for keys, names in aliases.items() if not fnmatchcase(keys, any_key)}
    found = [Statement(sid, actions, tuple(ids), (context,))] if ids else []
    for keys, names in sorted(aliases.items()):
        by_alias = ("ForAnyValue:StringEquals", "kms:ResourceAliases", tuple(sorted(names)))
        found.append(Statement(f"{sid}ByAlias", actions, (keys,), (context, by_alias)))
    return found
