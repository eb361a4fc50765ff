"""Source and targets of one document -> findings about their places, roles and KMS keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

from ssm_reconcile.aws_limits import partition_of, partitions
from ssm_reconcile.errors import Severity, Where
from ssm_reconcile.load.messages import FINDING_LIMIT, SpecFindings, advise_name, echo
from ssm_reconcile.load.schema import NodeView
from ssm_reconcile.load.tree import ScalarNode
from ssm_reconcile.model import MANAGED_KEY
from ssm_reconcile.wording import did_you_mean

PlaceKey: TypeAlias = tuple[str, str | None]
ROLE = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/.*")
_KEY_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):(.*)", re.DOTALL)
_NEAR = 2
"""Typing errors between a region and the known region that is suggested."""


@dataclass(frozen=True, slots=True)
class PlaceSpec:
    """A place as the spec names it: the account may be known from the role alone, or not at all.

    `region` is None when errors of the spec leave the place open.
    """

    region: str | None
    account: str | None
    name: str
    where: Where

    @property
    def key(self) -> PlaceKey | None:
        """The identity of the place: no account means the account of the default credentials."""
        return None if self.region is None else (self.region, self.account)

    def may_be(self, other: PlaceSpec) -> bool:
        """Whether both may be one place, according to the spec."""
        same_account = None in {self.account, other.account} or self.account == other.account
        return self.region is not None and self.region == other.region and same_account

    def __str__(self) -> str:
        return f"{self.account}/{self.region}" if self.account else str(self.region)


def places_of(view: NodeView) -> tuple[PlaceSpec, list[PlaceSpec]]:
    """Return the source of a document, and its targets in their order.

    Places without a role are all reached with the default credentials, so they share an account.
    """
    views = [view.at("source"), *view.at("targets").each()]
    default = default_account(views)
    source, *targets = (_place(one, None if default is None else default.text) for one in views)
    return source, targets


def default_account(views: Sequence[NodeView]) -> NodeView | None:
    """Return the first account in the spec that must be that of the default credentials.

    Args:
        views: The source and the targets.
    """
    free = (one.at("account") for one in views if one.at("role_arn").node is None)
    return next((account for account in free if account.text is not None), None)


def _place(view: NodeView, default: str | None) -> PlaceSpec:
    region, arn = view.at("region").text, view.at("role_arn")
    role = ROLE.fullmatch(arn.text or "")
    account = view.at("account").text or (role[2] if role else default)
    is_open = role is None and arn.node is not None
    return PlaceSpec(None if is_open else region, account, view.at("name").text or region or "", view.where)


def check_places(view: NodeView, findings: SpecFindings) -> None:
    """Report the errors in the places of a document: regions, roles, accounts, names and duplicates."""
    views = [view.at("source"), *view.at("targets").each()]
    for one in views:
        _check_access(one, findings)
        _check_region(one.at("region"), findings)
    _check_accounts(views, findings)
    _check_partitions(views[0], views[1:], findings)
    _check_targets(views[1:], *places_of(view), findings)


def _check_targets(
    views: Sequence[NodeView], source: PlaceSpec, targets: Sequence[PlaceSpec], findings: SpecFindings
) -> None:
    """Report targets that are the source, that are one place, or that have one name."""
    names: dict[str, Where] = {}
    places: dict[PlaceKey, PlaceSpec] = {}
    regions = Counter(key[0] for key in {target.key for target in targets} if key is not None)
    for one, target in zip(views, targets, strict=True):
        where = one.at("region").where if one.at("region") else one.where
        if target.key is None:
            continue
        if target.key == source.key:
            message = f"this target is the source ({target}): write another region or `account`"
            findings.error(where, "target-is-source", message)
        elif target.key in places:
            other = places[target.key]
            named = f"`{echo(other.name)}` (line {other.where.line})"
            message = f"this target is the same place as {named}, {target}: remove one of them"
            findings.error(where, "same-place", message)
        elif one.at("name").node is None and regions[target.key[0]] > 1:
            message = f"several targets are in {target.region}: give each a `name`"
            findings.error(where, "target-name-required", message)
        elif target.name in names:
            line = names[target.name].line
            message = f"another target has the name `{echo(target.name)}` (line {line}): write another name"
            findings.error(one.at("name").where if one.at("name") else where, "duplicate-target", message)
        names.setdefault(target.name, where)
        places.setdefault(target.key, target)


def _check_partitions(source: NodeView, targets: Sequence[NodeView], findings: SpecFindings) -> None:
    """Report each target that is in another partition than the source: no identity is valid in both."""
    home = source.at("region").text
    for one in targets:
        region = one.at("region").text
        if home is None or region is None or partition_of(region) == partition_of(home):
            continue
        wanted = partition_of(home)
        both = f"{region} is in the partition {partition_of(region)}, and the source in {wanted}"
        message = f"{both}: no credentials are valid in both; write a region of {wanted}"
        findings.error(one.at("region").where, "several-partitions", message)


def _check_accounts(views: Sequence[NodeView], findings: SpecFindings) -> None:
    """Report accounts that the default credentials cannot be in: they are in one account only."""
    default = default_account(views)
    for one in views:
        account = one.at("account")
        if default is None or account.text in {None, default.text} or one.at("role_arn").node is not None:
            continue
        used = (
            f"the default credentials, of account {default.text} (line {default.where.line}), are used here"
        )
        message = f"without `role_arn` {used}: write the `role_arn` of a role in {account.text}"
        findings.error(account.where, "account-without-role", message)


def _check_access(view: NodeView, findings: SpecFindings) -> None:
    """Report a role that does not fit the account or the region of its place."""
    account, arn, region = view.at("account").text, view.at("role_arn"), view.at("region").text
    role = ROLE.fullmatch(arn.text or "")
    if view.at("external_id") and arn.node is None:
        message = "`external_id` has no effect without `role_arn`: write `role_arn`, or remove `external_id`"
        findings.error(view.at("external_id").where, "external-id-without-role", message)
    if role is None:
        return
    if account is not None and account != role[2]:
        message = f"the role is in account {role[2]}, and `account` is {account}: correct one of them"
        findings.error(arn.where, "account-mismatch", message)
    if region is not None and role[1] != partition_of(region):
        wanted = partition_of(region)
        message = (
            f"the role is in the partition {role[1]}, and {region} in {wanted}: write a role in {wanted}"
        )
        findings.error(arn.where, "partition-mismatch", message)


def _check_region(view: NodeView, findings: SpecFindings) -> None:
    """Warn of an unknown region. It stays allowed: AWS opens regions after a version is released."""
    region = view.text
    if region is None or region in _known_regions() or findings.is_full(Severity.WARNING):
        return
    hint = did_you_mean(_near_region(region), "check the spelling")
    message = f"`{echo(region)}` is not a region that this version knows: {hint}"
    findings.warn(view.where, "unknown-region", message)


@cache
def _known_regions() -> frozenset[str]:
    return frozenset(name for one in partitions() for name in one.regions)


@lru_cache(FINDING_LIMIT)
def _near_region(region: str) -> str | None:
    """Return the known region of which an unknown one is a typing error; None if none is near.

    The cache makes it cheap for a region of a matrix, which is checked for each account.
    """
    distance, near = min((_typing_errors(region, one), one) for one in sorted(_known_regions()))
    return near if distance <= _NEAR else None


def _typing_errors(one: str, other: str) -> int:
    """Return the least number of characters to insert, remove, change, or swap with their neighbour."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        row = [i]
        for j, wanted in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (char != wanted))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == wanted:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def check_keys(view: NodeView, findings: SpecFindings) -> None:
    """Report the errors in the shared KMS map and in those of the targets."""
    source, targets = places_of(view)
    views = list(view.at("targets").each())
    by_name = {target.name: target for target in targets}
    all_known = all(one.at("name") or one.at("name").node is None for one in views) and all(by_name)
    seen: dict[str, Where] = {}
    for rule in view.at("kms").each():
        node = rule.at("source").text_node
        if node is not None:
            _check_key(node, source, "the source", findings)
            if node.text in seen:
                line = seen[node.text].line
                message = f"{echo(node.text)} is already mapped in line {line}: write all its targets there"
                findings.error(node.where, "duplicate-kms-source", message)
            seen.setdefault(node.text, node.where)
        for name, key in rule.at("targets").pairs():
            if name.text in by_name:
                _check_key(key.text_node, by_name[name.text], "the target", findings)
            elif all_known:
                message = f"no target has the name `{echo(name.text)}`: {advise_name(name.text, by_name)}"
                findings.error(name.where, "kms-unknown-target", message)
    for one, target in zip(views, targets, strict=True):
        _check_key(one.at("kms", "default").text_node, target, "the target", findings)
        for name, key in one.at("kms", "keys").pairs():
            _check_key(name, source, "the source", findings)
            _check_key(key.text_node, target, "the target", findings)


def _check_key(node: ScalarNode | None, place: PlaceSpec, whose: str, findings: SpecFindings) -> None:
    """Report a key of another region or partition, and an AWS managed key of another service."""
    if node is None:
        return
    arn = _KEY_ARN.fullmatch(node.text)
    name = arn[4] if arn else node.text
    if arn and place.region is not None and arn[2] != place.region:
        message = f"this key is in {arn[2]}, and {whose} in {place.region}: write a key in {place.region}"
        findings.error(node.where, "key-region", message)
    elif arn and arn[1] != partition_of(arn[2]):
        wanted = partition_of(arn[2])
        message = (
            f"this ARN has the partition {arn[1]}, and {arn[2]} is in {wanted}: write arn:{wanted}:kms:..."
        )
        findings.error(node.where, "partition-mismatch", message)
    if name.startswith("alias/aws/") and name != MANAGED_KEY:
        message = f"only another AWS service may use {echo(name)}: write {MANAGED_KEY}, or a key of yours"
        findings.warn(node.where, "aws-managed-key", message)
