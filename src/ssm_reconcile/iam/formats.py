"""Policies -> text: JSON, Terraform (HCL), CloudFormation (YAML, written as JSON is: it is YAML too)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssm_reconcile.iam import Phase, Policy

VERSION = "2012-10-17"
WIDER = (
    "IAM's wildcards run through slashes, so these patterns are wider than the path rules of the spec;"
    " what the spec excludes is left out by ssm-reconcile, not by IAM."
)
ACCOUNT = "ACCOUNT_ID"
"""Stands for the account in a trust policy of which nobody said where it goes."""


def document(policy: Policy) -> dict[str, Any]:
    """One policy as IAM has it."""
    return {"Version": VERSION, "Statement": [one.document() for one in policy.statements]}


MANAGED, INLINE = 6_144, 10_240
"""Characters that IAM takes in a managed policy, and in the inline ones of a role; blanks do not count."""


def too_long(policies: Sequence[Policy]) -> list[str]:
    """A sentence for each policy that IAM would not take as a managed one."""
    found = []
    for policy in policies:
        length = len(json.dumps(document(policy), separators=(",", ":")))
        if length > MANAGED:
            inline = f" (an inline one may have {INLINE:,})" if length <= INLINE else ""
            found.append(
                f"the policy for {policy.identity} has {length:,} characters, and IAM takes {MANAGED:,} in a"
                f" managed policy{inline}: fewer patterns in `parameters.include`, or roles of their own for"
                " targets, make it shorter"
            )
    return found


def as_json(policies: Sequence[Policy], phase: Phase) -> str:
    """All policies in one document, each beside the identity that it is for."""
    return json.dumps(
        {
            "format_version": "1.0",
            "phase": phase.value,
            "note": WIDER,
            "policies": [
                {"identity": one.identity, "account": one.account, "document": document(one)}
                for one in policies
            ],
        },
        indent=2,
    )


def as_terraform(policies: Sequence[Policy], phase: Phase) -> str:
    """A data source of the AWS provider for each policy."""
    blocks = [f"# {WIDER}"]
    for label, policy in _labelled(policies, phase):
        lines = [f"# for {policy.identity}", f'data "aws_iam_policy_document" "{label}" {{']
        for number, one in enumerate(policy.statements):
            lines += [""] * bool(number) + _statement(one.document())
        blocks.append("\n".join([*lines, "}"]))
    return "\n\n".join(blocks)


def _statement(told: dict[str, Any]) -> list[str]:
    lines = [
        "  statement {",
        f"    sid       = {_hcl(told['Sid'])}",
        f"    effect    = {_hcl(told['Effect'])}",
    ]
    for word, key in (("actions", "Action"), ("resources", "Resource")):
        lines += [f"    {word:<9} = [", *(f"      {_hcl(item)}," for item in told[key]), "    ]"]
    for operator, every in told.get("Condition", {}).items():
        for key, values in every.items():
            lines += [
                "    condition {",
                f"      test     = {_hcl(operator)}",
                f"      variable = {_hcl(key)}",
                "      values   = [",
                *(f"        {_hcl(value)}," for value in values),
                "      ]",
                "    }",
            ]
    return [*lines, "  }"]


def _hcl(text: str) -> str:
    """A quoted string of HCL: its two template markers are escaped, too."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")


def as_cloudformation(policies: Sequence[Policy], phase: Phase) -> str:
    """A managed policy a policy, to be attached to the roles that the stack makes."""
    resources = {
        "".join(word.capitalize() for word in label.split("_")): {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": f"ssm-reconcile {phase.value}, for {policy.identity}",
                "PolicyDocument": document(policy),
            },
        }
        for label, policy in _labelled(policies, phase)
    }
    return _template(resources, WIDER)


def _labelled(policies: Sequence[Policy], phase: Phase) -> list[tuple[str, Policy]]:
    """Policies by names that HCL and CloudFormation take, each once."""
    found: list[tuple[str, Policy]] = []
    for policy in policies:
        role = policy.identity.split(":role/")[-1]
        account = policy.identity.split(":")[4] if policy.identity.startswith("arn:") else ""
        words = re.sub(r"[^A-Za-z0-9]+", "_", f"ssm_reconcile_{phase.value}_{role}_{account}").strip("_")
        taken = {label for label, _ in found}
        found.append((words if words not in taken else f"{words}_{len(taken)}", policy))
    return found


def _template(resources: dict[str, Any], description: str) -> str:
    """A template of CloudFormation. JSON is YAML as well, and needs no library to be written."""
    told = {"AWSTemplateFormatVersion": "2010-09-09", "Description": description, "Resources": resources}
    return json.dumps(told, indent=2)


def trust_as(form: str, told: dict[str, Any]) -> str:
    """A trust policy in one of the formats."""
    match form:
        case "terraform":
            return f"assume_role_policy = jsonencode({json.dumps(told, indent=2)})".replace("${", "$${")
        case "cloudformation":
            return json.dumps({"AssumeRolePolicyDocument": told}, indent=2)
        case _:
            return json.dumps(told, indent=2)
