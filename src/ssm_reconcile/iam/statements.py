"""What a phase does in one place, as statements of an IAM policy.

phase   source                                    target
plan    list, read tags and values, decrypt       the same
apply   the same                                  the same, and write: put, tag, delete, encrypt;
                                                  and `detach`: mark replicas, orphans among them
event   as apply, without `detach`: a run for some names does all that an apply does
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from ssm_reconcile.iam import keys, patterns
from ssm_reconcile.iam.base import Conditions, Site, Statement
from ssm_reconcile.record import DETACHED, OWNER
from ssm_reconcile.spec import Orphans, Replication, Target


class Phase(StrEnum):
    """What the identity is to do."""

    PLAN = "plan"
    APPLY = "apply"
    EVENT = "event"


def of_source(spec: Replication, site: Site, phase: Phase, *, no_decrypt: bool) -> list[Statement]:
    """What is done at the source, which is only ever read."""
    del phase  # all of them read the same
    names = site.parameters(patterns.of_source(spec))
    found = _listing(site)
    found.append(Statement("ReadParameters", ("ssm:GetParameters", "ssm:ListTagsForResource"), names))
    if not no_decrypt:
        found += keys.statements("DecryptSource", ("kms:Decrypt",), keys.at_source(spec), site, names)
    return found


def of_target(
    spec: Replication, target: Target, source: Site, site: Site, phase: Phase, *, no_decrypt: bool
) -> list[Statement]:
    """What is done in one target."""
    addresses = patterns.of_target(spec, source.place, site.place, target.name)
    names = site.parameters(addresses)
    found = _listing(site)
    found.append(Statement("ReadParameters", ("ssm:GetParameters", "ssm:ListTagsForResource"), names))
    known = keys.at_target(spec, target)
    if not no_decrypt:
        found += keys.statements("DecryptReplicas", ("kms:Decrypt",), known, site, names)
    found += _orphans(spec, source, site, phase)
    if phase is Phase.PLAN:
        return found
    found.append(
        Statement(
            "WriteParameters",
            (
                "ssm:AddTagsToResource",
                "ssm:DeleteParameters",
                "ssm:PutParameter",
                "ssm:RemoveTagsFromResource",
            ),
            names,
        )
    )
    encrypt = ("kms:Encrypt", "kms:GenerateDataKey")
    return found + keys.statements("EncryptReplicas", encrypt, known, site, names)


def _listing(site: Site) -> list[Statement]:
    """What has no resource of its own, or tells no more than names, tags and states."""
    return [
        Statement(
            "ListEverything", ("kms:ListAliases", "ssm:DescribeParameters", "tag:GetResources"), ("*",)
        ),
        Statement("DescribeKeys", ("kms:DescribeKey",), (site.key("*"),)),
        Statement(
            "ReadSettingsForDoctor",
            ("ssm:GetServiceSetting",),
            (site.setting("ssm/parameter-store/*"),),
        ),
    ]


def _orphans(spec: Replication, source: Site, site: Site, phase: Phase) -> list[Statement]:
    """Orphans lie where no rule of today leads, so they are known by their owner tag alone."""
    names = (spec.name, *spec.previous_names)
    owners = tuple(f"{name}@{source.account}/{source.region}" for name in names)
    anywhere = site.parameters(["*"])
    found = []
    if spec.orphans is Orphans.DELETE or phase is Phase.APPLY:
        found.append(Statement("ReadTagsOfOrphans", ("ssm:ListTagsForResource",), anywhere))
    if spec.orphans is Orphans.DELETE and phase is not Phase.PLAN:
        actions = ("ssm:DeleteParameters", "ssm:GetParameters")
        found.append(Statement("DeleteOrphans", actions, anywhere, _owned_by(owners)))
    if phase is Phase.APPLY:  # `detach` leaves nothing of ours behind, whatever today's rules are
        marked = (*owners, *(f"{DETACHED}{owner}" for owner in owners))
        found.append(Statement("DetachOrphans", ("ssm:AddTagsToResource",), anywhere, _owned_by(marked)))
    return found


def _owned_by(owners: tuple[str, ...]) -> Conditions:
    return {"StringLike": {f"aws:ResourceTag/{OWNER}": owners}}


def roles(arns: Sequence[str]) -> Statement:
    """The roles of the spec, which the default credentials assume."""
    return Statement("AssumeRolesOfTheSpec", ("sts:AssumeRole",), tuple(arns))


def no_decryption() -> Statement:
    """A plan that must not decrypt: any principal of an account may use its AWS managed key, but for this."""
    return Statement("NeverDecrypt", ("kms:Decrypt",), ("*",), effect="Deny")
