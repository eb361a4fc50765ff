"""Specs -> least-privilege IAM policies, one for each identity, as JSON, Terraform or CloudFormation.

    statements.py  the statements that one phase needs in one place
    trust.py       the trust policy of a role for GitHub's OIDC tokens

An identity is a role of the spec, or the default credentials. Facts: aws-facts D. A star in IAM matches any
text, slashes included, so the policies are wider than the path rules: IAM may allow what the rules exclude.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam.statements import (
    PolicyPhase,
    Statement,
    place_of,
    source_statements,
    target_statements,
)
from ssm_reconcile.spec import Replication, Source, Target

DEFAULT = "default credentials"
"""The identity of places for which the spec has no role."""
WIDER = (
    "Wildcards of IAM match slashes too, so these patterns are wider than the path rules of the spec;"
    " ssm-reconcile leaves out the excluded parameters, IAM does not."
)
MANAGED, INLINE = 6_144, 10_240
"""Characters, blanks not counted, of a managed policy, and of the inline policies of a role (aws-facts D)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The permissions that one identity needs. `account` is `*` where the spec does not name it."""

    identity: str
    account: str
    statements: tuple[Statement, ...]

    def document(self) -> dict[str, Any]:
        """Return the policy in the JSON form of IAM."""
        return {"Version": "2012-10-17", "Statement": [one.document() for one in self.statements]}


def policies(
    specs: Sequence[Replication], phase: PolicyPhase, *, no_decrypt: bool = False
) -> tuple[Policy, ...]:
    """Return the policies of a phase, sorted by identity; statements of several replications are joined.

    Raises:
        UsageError: `no_decrypt` in a phase that writes: a SecureString is decrypted to be written.
    """
    if no_decrypt and phase is not PolicyPhase.PLAN:
        message = f"`iam {phase.value}` needs kms:Decrypt: a SecureString is decrypted before it is written"
        raise UsageError(message, "use --no-decrypt with `iam plan` only")
    statements: dict[str, list[Statement]] = {}
    accounts: dict[str, str] = {}
    for spec in specs:
        source = place_of(spec.source.access, spec.source.account)
        needs: list[tuple[Source | Target, list[Statement]]] = [
            (spec.source, source_statements(spec, source, no_decrypt=no_decrypt))
        ]
        needs += [
            (target, target_statements(spec, target, source, phase, no_decrypt=no_decrypt))
            for target in spec.targets
        ]
        for end, needed in needs:
            identity = end.access.role_arn or DEFAULT
            statements.setdefault(identity, []).extend(needed)
            if accounts.get(identity, "*") == "*":
                accounts[identity] = place_of(end.access, end.account).account
    assumed = tuple(sorted(set(statements) - {DEFAULT}))
    if assumed:
        accounts.setdefault(DEFAULT, "*")
        assume = Statement("AssumeRolesOfTheSpec", ("sts:AssumeRole",), assumed)
        statements.setdefault(DEFAULT, []).append(assume)
    if no_decrypt:
        # Each principal of an account may use its AWS managed key, unless a policy denies it.
        for needed in statements.values():
            needed.append(Statement("NeverDecrypt", ("kms:Decrypt",), ("*",), effect="Deny"))
    return tuple(
        Policy(identity, accounts[identity], _joined(needed))
        for identity, needed in sorted(statements.items())
    )


def _joined(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return the statements, joined where only the resources differ; equal Sids are numbered."""
    joined: dict[object, Statement] = {}
    for one in statements:
        resources = {*one.resources, *(joined[one.kind].resources if one.kind in joined else ())}
        joined[one.kind] = replace(one, resources=tuple(sorted(resources)))
    seen: dict[str, int] = {}
    found = []
    for one in joined.values():
        seen[one.sid] = seen.get(one.sid, 0) + 1
        found.append(one if seen[one.sid] == 1 else replace(one, sid=f"{one.sid}{seen[one.sid]}"))
    return tuple(found)


def too_long(policies: Sequence[Policy]) -> list[str]:
    """Return a sentence for each policy that is too long for a managed policy."""
    found = []
    for policy in policies:
        length = len(json.dumps(policy.document(), separators=(",", ":")))
        if length > MANAGED:
            inline = f" (an inline policy may have {INLINE:,})" if length <= INLINE else ""
            found.append(
                f"the policy for {policy.identity} has {length:,} characters, and a managed policy may have"
                f" {MANAGED:,}{inline}: use fewer patterns in `parameters.include`, or a role for each target"
            )
    return found


def as_json(policies: Sequence[Policy], phase: PolicyPhase) -> str:
    """Return all policies in one document, each with its identity."""
    listed = [
        {"identity": one.identity, "account": one.account, "document": one.document()} for one in policies
    ]
    document = {"format_version": "1.0", "phase": phase.value, "note": WIDER, "policies": listed}
    return json.dumps(document, indent=2)


def as_terraform(policies: Sequence[Policy], phase: PolicyPhase) -> str:
    """Return a data source of the AWS provider for each policy."""
    blocks = [f"# {WIDER}"]
    for label, policy in _labelled(policies, phase):
        lines = [f"# for {policy.identity}", f'data "aws_iam_policy_document" "{label}" {{']
        for number, one in enumerate(policy.statements):
            lines += [""] * bool(number) + _hcl_statement(one)
        blocks.append("\n".join([*lines, "}"]))
    return "\n\n".join(blocks)


def _hcl_statement(one: Statement) -> list[str]:
    lines = ["  statement {", f"    sid       = {_hcl(one.sid)}", f"    effect    = {_hcl(one.effect)}"]
    for name, items in (("actions", one.actions), ("resources", one.resources)):
        lines += [f"    {name:<9} = [", *(f"      {_hcl(item)}," for item in items), "    ]"]
    for operator, every in one.conditions.items():
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
    """Return a quoted string of HCL, with the two markers of templates escaped."""
    return json.dumps(text).replace("${", "$${").replace("%{", "%%{")


def as_cloudformation(policies: Sequence[Policy], phase: PolicyPhase) -> str:
    """Return a template with a managed policy for each policy, in JSON, which is YAML too."""
    resources = {
        "".join(word.capitalize() for word in label.split("_")): {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "Description": f"ssm-reconcile {phase.value}, for {policy.identity}",
                "PolicyDocument": policy.document(),
            },
        }
        for label, policy in _labelled(policies, phase)
    }
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Description": WIDER, "Resources": resources}
    return json.dumps(template, indent=2)


def _labelled(policies: Sequence[Policy], phase: PolicyPhase) -> list[tuple[str, Policy]]:
    """Return the policies with unique labels that HCL and CloudFormation take."""
    found: list[tuple[str, Policy]] = []
    for policy in policies:
        role = policy.identity.split(":role/")[-1]
        account = policy.identity.split(":")[4] if policy.identity.startswith("arn:") else ""
        label = re.sub(r"[^A-Za-z0-9]+", "_", f"ssm_reconcile_{phase.value}_{role}_{account}").strip("_")
        taken = {one for one, _ in found}
        found.append((label if label not in taken else f"{label}_{len(taken)}", policy))
    return found
