"""The KMS maps of one document -> what is wrong with the keys and targets that they name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ssm_reconcile.errors import Where
from ssm_reconcile.load.nodes import Scalar, View
from ssm_reconcile.load.notes import Notes, did_you_mean, shown
from ssm_reconcile.load.places import Spot
from ssm_reconcile.model import MANAGED_KEY
from ssm_reconcile.partitions import partition_of

_ARN = re.compile(r"arn:(aws[a-z-]*):kms:([a-z0-9-]+):([0-9]{12}):(.*)", re.DOTALL)


def check_keys(view: View, source: Spot, targets: Sequence[Spot], notes: Notes) -> None:
    """Notes what is wrong with the shared map and with those of the targets."""
    by_name = {target.name: target for target in targets}
    views = list(view.at("targets").each())
    all_known = all(one.at("name") or one.at("name").node is None for one in views) and all(by_name)
    seen: dict[str, Where] = {}
    for rule in view.at("kms").each():
        node = rule.at("source").node
        if isinstance(node, Scalar) and rule.at("source"):
            _check_source(node, source, notes)
            _check_repeated(node, seen, notes)
        for name, key in rule.at("targets").pairs():
            if name.text in by_name:
                if isinstance(key.node, Scalar) and key:
                    _check_key(key.node, by_name[name.text], "the target", notes)
            elif all_known:
                message = f"there is no target `{shown(name.text)}`: {did_you_mean(name.text, by_name)}"
                notes.error(name.where, "kms-unknown-target", message)
    for one, target in zip(views, targets, strict=True):
        default = one.at("kms", "default")
        if isinstance(default.node, Scalar) and default:
            _check_key(default.node, target, "the target", notes)
        for name, key in one.at("kms", "keys").pairs():
            _check_source(name, source, notes)
            if isinstance(key.node, Scalar) and key:
                _check_key(key.node, target, "the target", notes)


def _check_source(node: Scalar, source: Spot, notes: Notes) -> None:
    _check_key(node, source, "the source", notes)


def _check_repeated(node: Scalar, seen: dict[str, Where], notes: Notes) -> None:
    if node.text in seen:
        message = (
            f"the source key {shown(node.text)} is mapped in line {seen[node.text].line} already: put all"
            " its targets there"
        )
        notes.error(node.where, "duplicate-kms-source", message)
    seen.setdefault(node.text, node.where)


def _check_key(node: Scalar, place: Spot, whose: str, notes: Notes) -> None:
    """A key must be of its place's region; AWS managed keys of other services are of no use to SSM."""
    arn = _ARN.fullmatch(node.text)
    name = arn[4] if arn else node.text
    if arn and place.region is not None and arn[2] != place.region:
        message = (
            f"this key is in {arn[2]}, {whose} is {place.region}: KMS keys work in their own region only;"
            " write one from there"
        )
        notes.error(node.where, "key-region", message)
    elif arn and arn[1] != partition_of(arn[2]):
        message = (
            f"this ARN is of the partition {arn[1]}, {arn[2]} is in {partition_of(arn[2])}: write"
            f" arn:{partition_of(arn[2])}:kms:..."
        )
        notes.error(node.where, "partition-mismatch", message)
    if name.startswith("alias/aws/") and name != MANAGED_KEY:
        message = (
            f"{shown(name)} belongs to another AWS service, which alone may use it: write {MANAGED_KEY} or a"
            " key of your own"
        )
        notes.warn(node.where, "aws-managed-key", message)
