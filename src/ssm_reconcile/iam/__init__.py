"""Specs -> least-privilege IAM policies, one for each identity, as JSON, Terraform or CloudFormation.

    statements.py  the statements that one phase needs in one place
    stack.py       CloudFormation templates of the roles of a repository's workflows

An identity is a role of the spec, or the default credentials. Source: Service Authorization Reference.
A star in IAM matches any text, slashes included, so the policies are wider than the path rules: IAM
may allow what the rules exclude.

Also: a repository on GitHub -> the trust policy of a role that its workflows may assume. The subject of a
token names the repository in one of two forms (github/docs#45221). A policy that lists both
is valid for either:

    repo:OWNER/REPO:...                      before 2026-07-15
    repo:OWNER@OWNER_ID/REPO@REPO_ID:...     repositories created or renamed since, and those that opted in

The rest of the subject is `environment:NAME` for a job with an environment, `ref:refs/heads/BRANCH` for one
without, `pull_request` on a pull request.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ssm_reconcile.aws_limits import DEFAULT_PARTITION, dns_suffix, partition_of
from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam.statements import (
    DECRYPT,
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
"""Characters, blanks not counted, of a managed policy, and of the inline policies of a role (IAM quotas)."""
ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
"""The default of aws-actions/configure-aws-credentials, in every partition."""
ACCOUNT = "ACCOUNT_ID"
"""Placeholder for the account in a trust policy, where none is given."""
_ASSUME = ("sts:AssumeRole",)
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}/[A-Za-z0-9._-]{1,100}")
"""An owner has `_` before the short code of its enterprise, if the enterprise manages its users."""
_IDS = re.compile(r"\d{1,20}/\d{1,20}")
_WORD = re.compile(r"[^\s:*?\x00-\x1f]{1,255}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The permissions that one identity needs. `account` is `*` where the spec does not name it."""

    identity: str
    account: str
    statements: tuple[Statement, ...]

    @property
    def short_name(self) -> str:
        """The name of the role without its path, or `default` for the default credentials."""
        return "default" if self.identity == DEFAULT else self.identity.rpartition("/")[2]

    def document(self) -> dict[str, Any]:
        """Return the policy in the JSON form of IAM."""
        return {"Version": "2012-10-17", "Statement": [one.document() for one in self.statements]}


def policies(
    specs: Sequence[Replication], phase: PolicyPhase, *, no_decrypt: bool = False, undo: bool = False
) -> tuple[Policy, ...]:
    """Return the policies of a phase, sorted by identity; statements of several replications are joined.

    Args:
        specs: The replications.
        phase: The command that the policies are for.
        no_decrypt: Whether plans run with `--no-decrypt`.
        undo: Whether `undo` runs as well.

    Raises:
        UsageError: `no_decrypt` in a phase that writes: a SecureString is decrypted to be written. Or `undo`
            for events, which have no report.
    """
    if undo and phase is PolicyPhase.EVENT:
        raise UsageError("an event run has no report to undo", "use --undo with `iam plan` or `iam apply`")
    if no_decrypt and phase is not PolicyPhase.PLAN:
        message = f"`iam {phase.value}` needs kms:Decrypt: a SecureString is decrypted before it is written"
        raise UsageError(message, "use --no-decrypt with `iam plan` only")
    statements: dict[str, list[Statement]] = defaultdict(list)
    accounts: dict[str, str] = defaultdict(lambda: "*")

    def grant(end: Source | Target, needed: list[Statement]) -> None:
        identity = end.access.role_arn or DEFAULT
        statements[identity] += needed
        if accounts[identity] == "*":
            accounts[identity] = place_of(end.access, end.account).account

    for spec in specs:
        source = place_of(spec.source.access, spec.source.account)
        grant(spec.source, source_statements(spec, source, phase))
        for target in spec.targets:
            grant(target, target_statements(spec, target, source, phase, undo=undo))
    assumed = tuple(sorted(set(statements) - {DEFAULT}))
    if assumed:
        statements[DEFAULT].append(Statement("AssumeRolesOfTheSpec", _ASSUME, assumed))
    if no_decrypt:
        # Each principal of an account may use its AWS managed key, unless a policy denies it.
        never = Statement("NeverDecrypt", DECRYPT, ("*",), effect="Deny")
        for identity, granted in statements.items():
            statements[identity] = [*(one for one in granted if one.actions != DECRYPT), never]
    return tuple(
        Policy(identity, accounts[identity], _joined(granted))
        for identity, granted in sorted(statements.items())
    )


def _joined(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Return the statements, joined where only the resources differ; equal Sids are numbered."""
    joined: dict[Statement, set[str]] = defaultdict(set)
    for one in statements:
        joined[replace(one, resources=())].update(one.resources)
    seen: Counter[str] = Counter()
    found = []
    for one, resources in joined.items():
        seen[one.sid] += 1
        sid = one.sid if seen[one.sid] == 1 else f"{one.sid}{seen[one.sid]}"
        found.append(replace(one, sid=sid, resources=tuple(sorted(resources))))
    return tuple(found)


def document_length(document: Mapping[str, Any]) -> int:
    """Return the characters of a policy that count for the quotas of IAM."""
    return len(json.dumps(document, separators=(",", ":")))


def shorter(policy: Policy) -> str:
    """Return the remedy for a policy that is too long.

    A role for each target shortens the policies of parameters, and lengthens the list of roles to assume.
    """
    longest = max(policy.statements, key=lambda one: document_length(one.document()))
    if longest.actions == _ASSUME:
        return "use one role for all regions of an account, such as `role/ssm-reconcile`"
    return (
        "use fewer patterns in `parameters.include`, or a role for each target, such as"
        " `role/ssm-reconcile-{target.region}`"
    )


def too_long(policies: Sequence[Policy]) -> list[str]:
    """Return a sentence for each policy that is too long for a managed policy."""
    found = []
    for policy in policies:
        length = document_length(policy.document())
        if length > MANAGED:
            inline = f" (an inline policy may have {INLINE:,})" if length <= INLINE else ""
            found.append(
                f"the policy for {policy.identity} has {length:,} characters, and a managed policy may have"
                f" {MANAGED:,}{inline}: {shorter(policy)}"
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
    for operator, key, values in one.conditions:
        lines += ["    condition {", f"      test     = {_hcl(operator)}", f"      variable = {_hcl(key)}"]
        lines += ["      values   = [", *(f"        {_hcl(value)}," for value in values), "      ]", "    }"]
    return [*lines, "  }"]


def _hcl(value: object, indent: int | None = None) -> str:
    """Return a value as HCL, which takes JSON, with the two markers of templates in strings escaped."""
    return json.dumps(value, indent=indent).replace("${", "$${").replace("%{", "%%{")


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


FORMATS = {"json": as_json, "terraform": as_terraform, "cloudformation": as_cloudformation}


@dataclass(frozen=True, slots=True)
class TrustedWorkflows:
    """The workflow runs that a role trusts. `ids` is `OWNER_ID/REPO_ID`, None for the older form only."""

    repository: str
    ids: str | None = None
    environment: str | None = None
    branch: str = "main"
    pull_requests: bool = False

    def check(self) -> None:
        """Check that the subjects match no other repository, branch or environment.

        Raises:
            UsageError: A part has a wildcard, a colon or another form than GitHub's.
        """
        if not _REPOSITORY.fullmatch(self.repository):
            raise UsageError(f"{self.repository!r} is not OWNER/REPO")
        if self.ids is not None and not _IDS.fullmatch(self.ids):
            remedy = "`gh api repos/OWNER/REPO --jq '\"\\(.owner.id)/\\(.id)\"'` prints them"
            raise UsageError(f"{self.ids!r} is not OWNER_ID/REPO_ID, two numbers", remedy)
        for word in (self.environment, self.branch):
            if word is not None and not _WORD.fullmatch(word):
                raise UsageError(f"{word!r} is not a branch or an environment: no wildcard, no colon")

    @property
    def subjects(self) -> list[str]:
        """Each subject that the role trusts, without wildcards."""
        runs = [f"environment:{self.environment}" if self.environment else f"ref:refs/heads/{self.branch}"]
        runs += ["pull_request"] if self.pull_requests else []
        names = [self.repository]
        if self.ids is not None:
            (owner, repo), (owner_id, repo_id) = self.repository.split("/"), self.ids.split("/")
            names.append(f"{owner}@{owner_id}/{repo}@{repo_id}")
        return [f"repo:{name}:{run}" for name in names for run in runs]


def partition_for(specs: Sequence[Replication]) -> str:
    """Return the partition of the places of some specs, `aws` without a spec.

    Raises:
        UsageError: The specs are in several partitions.
    """
    found = {partition_of(spec.source.access.region) for spec in specs} or {DEFAULT_PARTITION}
    if len(found) > 1:
        message = f"the specs are in several partitions ({', '.join(sorted(found))})"
        raise UsageError(message, "run the command once for each spec")
    return found.pop()


def trust_policy(
    trusted: TrustedWorkflows, account: str, partition: str = DEFAULT_PARTITION
) -> dict[str, Any]:
    """Return the trust policy in the JSON form of IAM.

    Args:
        trusted: The workflow runs to trust.
        account: The account of the role and of the OIDC provider, 12 digits or a placeholder.
        partition: The partition of the role. Where its domain is another one than that of `aws`, the audience
            may be the STS of either.

    Raises:
        UsageError: A part of `trusted` is not valid.
    """
    return trust_of(trusted, f"arn:{partition}:iam::{account}:oidc-provider/{ISSUER}", partition)


def audiences(partition: str) -> list[str]:
    """Return the audiences of the tokens that a role of a partition may trust."""
    return list(dict.fromkeys((AUDIENCE, f"sts.{dns_suffix(partition)}")))


def trust_of(trusted: TrustedWorkflows, provider: object, partition: str) -> dict[str, Any]:
    """Return the trust policy for an OIDC provider.

    Args:
        trusted: The workflow runs to trust.
        provider: The ARN of the provider, or an expression of CloudFormation for it.
        partition: The partition of the role.

    Raises:
        UsageError: A part of `trusted` is not valid.
    """
    trusted.check()
    accepted = audiences(partition)
    claims = {f"{ISSUER}:aud": accepted if accepted[1:] else AUDIENCE, f"{ISSUER}:sub": trusted.subjects}
    statement = {
        "Sid": "WorkflowsOfTheRepository",
        "Effect": "Allow",
        "Principal": {"Federated": provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": claims},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust_as(form: str, policy: dict[str, Any]) -> str:
    """Return a trust policy in one of the `FORMATS`."""
    if form == "terraform":
        return f"assume_role_policy = jsonencode({_hcl(policy, indent=2)})"
    return json.dumps({"AssumeRolePolicyDocument": policy} if form == "cloudformation" else policy, indent=2)
