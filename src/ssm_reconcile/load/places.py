"""Source and targets of one document -> what is wrong with where they are and how they are reached."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ssm_reconcile.errors import Where
from ssm_reconcile.load.nodes import View
from ssm_reconcile.load.notes import Notes, shown
from ssm_reconcile.load.regions import check_region
from ssm_reconcile.partitions import partition_of

PlaceKey: TypeAlias = tuple[str, str | None]
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/.*")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place as far as the spec tells: the account may be known from the role alone, or not at all.

    `region` is None when the spec's own mistakes leave open where the place is.
    """

    region: str | None
    account: str | None
    name: str
    where: Where

    @property
    def key(self) -> PlaceKey | None:
        """Two spots with one key are one place: no account means that of the default credentials."""
        return None if self.region is None else (self.region, self.account)

    def may_be(self, other: Spot) -> bool:
        """Whether both could be one place, for all the spec tells."""
        if self.region is None or self.region != other.region:
            return False
        return self.account is None or other.account is None or self.account == other.account

    def __str__(self) -> str:
        return f"{self.account}/{self.region}" if self.account else str(self.region)


def spots(view: View) -> tuple[Spot, list[Spot]]:
    """The places of a document: its source, and its targets in their order.

    Places without a role are all reached with the default credentials, so they share an account.
    """
    targets = list(view.at("targets").each())
    default = _default_account([view.at("source"), *targets])
    account = default.text if default is not None else None
    return _spot(view.at("source"), account), [_spot(one, account) for one in targets]


def _default_account(views: Sequence[View]) -> View | None:
    """Where the spec says first of which account the default credentials are."""
    free = (one.at("account") for one in views if one.at("role_arn").node is None)
    return next((account for account in free if account.text is not None), None)


def _spot(view: View, default: str | None) -> Spot:
    region, arn = view.at("region").text, view.at("role_arn")
    role = _ROLE.fullmatch(arn.text or "")
    account = view.at("account").text or (role[2] if role else default)
    doubtful = role is None and arn.node is not None
    return Spot(None if doubtful else region, account, view.at("name").text or region or "", view.where)


def check_places(view: View, notes: Notes) -> None:
    """Notes what is wrong with the places of a document."""
    source_view, target_views = view.at("source"), list(view.at("targets").each())
    for one in (source_view, *target_views):
        _check_access(one, notes)
        check_region(one.at("region"), notes)
    source, targets = spots(view)
    _check_accounts([source_view, *target_views], notes)
    _check_partitions(source_view, target_views, notes)
    names: dict[str, Where] = {}
    places: dict[PlaceKey, Spot] = {}
    regions = [target.region for target in targets]
    for one, target in zip(target_views, targets, strict=True):
        where = one.at("region").where if one.at("region") else one.where
        if target.key is None:
            continue
        if target.key == source.key:
            message = (
                f"this target is the source itself ({target}): write another region, or the account that is"
                " meant"
            )
            notes.error(where, "target-is-source", message)
        elif target.key in places:
            message = (
                f"this target is the same place as `{shown(places[target.key].name)}` ({target}): remove one"
                " of them"
            )
            notes.error(where, "same-place", message)
        elif one.at("name").node is None and regions.count(target.region) > 1:
            message = f"several targets are in {target.region}: give each a `name`"
            notes.error(where, "target-name-required", message)
        elif target.name in names:
            message = (
                f"the target name `{shown(target.name)}` is taken (line {names[target.name].line}): write"
                " another"
            )
            notes.error(one.at("name").where if one.at("name") else where, "duplicate-target", message)
        names.setdefault(target.name, where)
        places.setdefault(target.key, target)


def _check_partitions(source: View, targets: Sequence[View], notes: Notes) -> None:
    """Report every target that is in another partition than the source: no identity exists in both."""
    home = source.at("region").text
    if home is None:
        return
    partition = partition_of(home)
    for one in targets:
        region = one.at("region").text
        if region is not None and partition_of(region) != partition:
            message = (
                f"{region} is in the partition {partition_of(region)}, the source region {home} is in"
                f" {partition}: credentials, roles and KMS keys are valid in one partition only; write a"
                f" region of {partition}"
            )
            notes.error(one.at("region").where, "several-partitions", message)


def _check_accounts(views: Sequence[View], notes: Notes) -> None:
    """The default credentials are of one account only."""
    default = _default_account(views)
    for one in views:
        account = one.at("account")
        if default is None or account.text in {None, default.text} or one.at("role_arn").node is not None:
            continue
        message = (
            f"without `role_arn` this place is reached with the default credentials, which are of account"
            f" {default.text} (line {default.where.line}): write the role to assume here"
        )
        notes.error(account.where, "account-without-role", message)


def _check_access(view: View, notes: Notes) -> None:
    """The role and the account of one place."""
    account, arn, region = view.at("account").text, view.at("role_arn"), view.at("region").text
    role = _ROLE.fullmatch(arn.text or "")
    if view.at("external_id") and arn.node is None:
        message = "`external_id` is for assuming a role: write `role_arn` as well, or remove it"
        notes.error(view.at("external_id").where, "external-id-without-role", message)
    if role is None:
        return
    if account is not None and account != role[2]:
        message = f"the role is of account {role[2]}, `account` says {account}: mend one of them"
        notes.error(arn.where, "account-mismatch", message)
    if region is not None and role[1] != partition_of(region):
        message = (
            f"the role is of the partition {role[1]}, {region} is in {partition_of(region)}: write a role"
            " from there"
        )
        notes.error(arn.where, "partition-mismatch", message)
