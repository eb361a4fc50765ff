"""The KMS keys that a spec names in one place -> statements that allow their use, and no more.

A key by ARN or id is a resource. A key by alias is any key of the place that has that alias
(`kms:ResourceAliases`): IAM cannot name it otherwise. Where a rule takes in keys that nobody named (a
multi-Region key without a rule, any source key where a target has a default), the resource is wide. In
each case the use is bound to our parameters by the encryption context that SSM sends, PARAMETER_ARN
(aws-facts D). The AWS managed key needs no statement: it serves every principal of its account.
"""

from __future__ import annotations

from collections.abc import Iterable

from ssm_reconcile.iam.base import Site, Statement
from ssm_reconcile.model import SECURE
from ssm_reconcile.spec import Replication, Target

_MANAGED = "alias/aws/"


def at_source(spec: Replication) -> frozenset[str]:
    """The references to source keys that the rules name; `*` where they take in any."""
    if SECURE not in spec.types:
        return frozenset()
    named = {rule.source for rule in spec.kms}
    named |= {source for target in spec.targets for source, _ in target.keys}
    wide = {"*"} if any(target.default_key for target in spec.targets) else {"mrk-*"}
    return frozenset(_unmanaged(named | wide))


def at_target(spec: Replication, target: Target) -> frozenset[str]:
    """The references to keys that replicas in a target may be encrypted under."""
    if SECURE not in spec.types:
        return frozenset()
    named = {key for rule in spec.kms for name, key in rule.targets if name == target.name}
    named |= {key for _, key in target.keys}
    named |= {target.default_key} if target.default_key else {"mrk-*"}
    return frozenset(_unmanaged(named))


def _unmanaged(references: Iterable[str]) -> Iterable[str]:
    return (one for one in references if _MANAGED not in one)


def statements(
    sid: str, actions: tuple[str, ...], references: Iterable[str], site: Site, parameters: tuple[str, ...]
) -> list[Statement]:
    """What may be done with those keys, for those parameters (ARNs)."""
    context = {"StringLike": {"kms:EncryptionContext:PARAMETER_ARN": parameters}}
    ids, aliases = set(), set()
    for reference in references:
        name = reference.rpartition(":")[2] if reference.startswith("arn:") else reference
        if name.startswith("alias/"):
            aliases.add(name)
        elif reference.startswith("arn:"):
            ids.add(reference)
        else:
            ids.add(site.key(name.removeprefix("key/")))
    any_key = site.key("*")
    if any_key in ids:
        ids, aliases = {any_key}, set()
    found = []
    if ids:
        found.append(Statement(sid, actions, tuple(sorted(ids)), context))
    if aliases:
        by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": tuple(sorted(aliases))}}
        found.append(Statement(f"{sid}ByAlias", actions, (any_key,), {**context, **by_alias}))
    return found
