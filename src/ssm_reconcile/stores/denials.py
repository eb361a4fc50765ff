"""AWS's text of a refusal -> the action that was denied, by which kind of policy, and how.

The text may name more than it should be shown, so only words from the closed sets below leave here:
the actions that this tool causes, and the kinds of policies that IAM knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_ACTIONS = {
    action.lower(): action
    for action in (
        "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext", "kms:ListAliases", "kms:ReEncryptFrom", "kms:ReEncryptTo",
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:DeleteParameters", "ssm:DescribeParameters",
        "ssm:GetParameter", "ssm:GetParameterHistory", "ssm:GetParameters", "ssm:GetServiceSetting",
        "ssm:LabelParameterVersion", "ssm:ListTagsForResource", "ssm:PutParameter",
        "ssm:RemoveTagsFromResource", "sts:AssumeRole", "sts:GetCallerIdentity", "sts:SetSourceIdentity",
        "sts:TagSession", "tag:GetResources",
    )
}  # fmt: skip
_SERVICE_OF = {
    "AssumeRole": "sts",
    "AssumeRoleWithSAML": "sts",
    "AssumeRoleWithWebIdentity": "sts",
    "DescribeKey": "kms",
    "GetCallerIdentity": "sts",
    "GetResources": "tag",
    "GetRoleCredentials": "sso",
    "ListAliases": "kms",
}
_DENIED_ACTION = re.compile(r"not authorized to perform:?\s+([a-z]+:[a-z]+)", re.IGNORECASE)
_KMS = re.compile(r"\bkms:|awskms|service: ?kms\b", re.IGNORECASE)
_EXPLICIT = "with an explicit deny"


class PolicyType(StrEnum):
    """The kinds of policies that may deny a request, as IAM's messages name them."""

    IDENTITY = "identity-based policy"
    SERVICE_CONTROL = "service control policy"
    RESOURCE_CONTROL = "resource control policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    ENDPOINT = "VPC endpoint policy"
    RESOURCE = "resource-based policy"


_POLICY = re.compile(
    rf"(?:explicit deny in an? |because no )({'|'.join(re.escape(one.value) for one in PolicyType)})",
    re.IGNORECASE,
)
_WHERE_TO_CHANGE = {
    PolicyType.IDENTITY: "change the policies of that role or user",
    PolicyType.SERVICE_CONTROL: "the policy is changed in AWS Organizations, in the management account",
    PolicyType.RESOURCE_CONTROL: "the policy is changed in AWS Organizations, in the management account",
    PolicyType.BOUNDARY: "change the permissions boundary of that role or user",
    PolicyType.SESSION: "the policy is passed when the role is assumed: change it there",
    PolicyType.ENDPOINT: "change the policy of the VPC endpoint",
    PolicyType.RESOURCE: "change the policy of the resource (of a KMS key: its key policy)",
}


@dataclass(frozen=True, slots=True)
class Denial:
    """A refused request. `policy` is None where the text does not name its type."""

    action: str
    policy: PolicyType | None = None
    explicit: bool = False


def denial_in(message: str, operation: str) -> Denial:
    """Return what AWS's message of a denied operation tells; the operation's own action as a last resort."""
    found = _DENIED_ACTION.search(message)
    action = _ACTIONS.get(found[1].lower()) if found else None
    named = _POLICY.search(message)
    policy = next((one for one in PolicyType if named and one.value.lower() == named[1].lower()), None)
    return Denial(action or _presumed(operation, message), policy, _EXPLICIT in message.lower())


def _presumed(operation: str, message: str) -> str:
    """Return the action to allow when the message names none."""
    if operation not in _SERVICE_OF and _KMS.search(message):
        return "kms:Encrypt and kms:GenerateDataKey" if operation == "PutParameter" else "kms:Decrypt"
    return f"{_SERVICE_OF.get(operation, 'ssm')}:{operation}"


def remedy_of(denial: Denial, identity: str, place: str) -> str:
    """Return what helps: an Allow, or where the policy is changed that no Allow overrides."""
    action = denial.action
    if action.startswith("kms:") and action not in ("kms:DescribeKey", "kms:ListAliases"):
        action += " on the parameter's key"
    if denial.explicit:
        source = f" in the {denial.policy}" if denial.policy else ""
        where = _WHERE_TO_CHANGE[denial.policy] if denial.policy else "find the policy that has the Deny"
        return (
            f"an explicit Deny{source} refuses {action} to {identity} in {place}, and no Allow overrides it:"
            f" {where}"
        )
    if denial.policy in (None, PolicyType.IDENTITY):
        return f"allow {action} to {identity} in {place}"
    where = _WHERE_TO_CHANGE[denial.policy]
    return f"the {denial.policy} does not allow {action} to {identity} in {place}: {where}"
