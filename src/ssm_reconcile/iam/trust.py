"""A repository on GitHub -> the trust policy of a role that its workflows may assume.

The subject of a token names the repository in one of two forms (aws-facts D):

    repo:OWNER/REPO:...                      before 2026-07-15
    repo:OWNER@OWNER_ID/REPO@REPO_ID:...     repositories created or renamed since, and those that opted in

A policy that lists both is valid for either. The rest of the subject is `environment:NAME` for a job with an
environment, `ref:refs/heads/BRANCH` for one without, `pull_request` on a pull request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssm_reconcile.errors import UsageError
from ssm_reconcile.partitions import DEFAULT, dns_suffix, partition_of
from ssm_reconcile.spec import Replication

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
"""The default of aws-actions/configure-aws-credentials, in every partition."""
ACCOUNT = "ACCOUNT_ID"
"""Placeholder for the account in a trust policy, where none is given."""
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_IDS = re.compile(r"\d{1,20}/\d{1,20}")
_WORD = re.compile(r"[^\s:*?\x00-\x1f]{1,255}")


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
    found = {partition_of(spec.source.access.region) for spec in specs} or {DEFAULT}
    if len(found) > 1:
        message = f"the specs are in several partitions ({', '.join(sorted(found))})"
        raise UsageError(message, "choose one with --name or --partition")
    return found.pop()


def trust_policy(trusted: TrustedWorkflows, account: str, partition: str = DEFAULT) -> dict[str, Any]:
    """Return the trust policy in the JSON form of IAM.

    Args:
        trusted: The workflow runs to trust.
        account: The account of the role and of the OIDC provider, 12 digits or a placeholder.
        partition: The partition of the role. Where its domain is another one than that of `aws`, the audience
            may be the STS of either.

    Raises:
        UsageError: A part of `trusted` is not valid.
    """
    trusted.check()
    own = f"sts.{dns_suffix(partition)}"
    audiences = AUDIENCE if own == AUDIENCE else [AUDIENCE, own]
    statement = {
        "Sid": "WorkflowsOfTheRepository",
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{ISSUER}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{ISSUER}:aud": audiences, f"{ISSUER}:sub": trusted.subjects}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def trust_as(form: str, policy: dict[str, Any]) -> str:
    """Return a trust policy as `json`, `terraform` or `cloudformation`."""
    match form:
        case "terraform":
            return f"assume_role_policy = jsonencode({json.dumps(policy, indent=2)})".replace("${", "$${")
        case "cloudformation":
            return json.dumps({"AssumeRolePolicyDocument": policy}, indent=2)
        case _:
            return json.dumps(policy, indent=2)
