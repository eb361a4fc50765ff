"""A repository on GitHub -> the trust policy of a role that its workflows may assume.

The subject of a token names the repository in one of two forms (aws-facts D):

    repo:OWNER/REPO:...                      before 2026-07-15
    repo:OWNER@OWNER_ID/REPO@REPO_ID:...     repositories made or renamed since, and those that opted in

A policy that lists both works for either. The rest of the subject is `environment:NAME` for a job with an
environment, `ref:refs/heads/BRANCH` for one without, `pull_request` on a pull request.
"""

from __future__ import annotations

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
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_IDS = re.compile(r"\d{1,20}/\d{1,20}")
_WORD = re.compile(r"[^\s:*?\x00-\x1f]{1,255}")


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose tokens to trust. `ids` is `OWNER_ID/REPO_ID`, None for the classic form only."""

    repository: str
    ids: str | None = None
    environment: str | None = None
    branch: str = "main"
    pull_requests: bool = False

    def check(self) -> None:
        """Raises UsageError for what could let in somebody else: a wildcard, a missing part."""
        if not _REPOSITORY.fullmatch(self.repository):
            raise UsageError(f"{self.repository!r} is not OWNER/REPO")
        if self.ids is not None and not _IDS.fullmatch(self.ids):
            remedy = "`gh api repos/OWNER/REPO --jq '\"\\(.owner.id)/\\(.id)\"'` prints them"
            raise UsageError(f"{self.ids!r} is not OWNER_ID/REPO_ID, two numbers", remedy)
        for word in (self.environment, self.branch):
            if word is not None and not _WORD.fullmatch(word):
                raise UsageError(f"{word!r} is no name of a branch or an environment: no wildcard, no colon")

    @property
    def subjects(self) -> list[str]:
        """Every subject to accept, exactly."""
        ends = [f"environment:{self.environment}" if self.environment else f"ref:refs/heads/{self.branch}"]
        ends += ["pull_request"] if self.pull_requests else []
        names = [self.repository]
        if self.ids is not None:
            (owner, repo), (owner_id, repo_id) = self.repository.split("/"), self.ids.split("/")
            names.append(f"{owner}@{owner_id}/{repo}@{repo_id}")
        return [f"repo:{name}:{end}" for name in names for end in ends]


def partition_for(specs: Sequence[Replication]) -> str:
    """Return the partition of the places of some specs; raises UsageError when there are several."""
    found = {partition_of(spec.source.access.region) for spec in specs} or {DEFAULT}
    if len(found) > 1:
        message = f"the specs are in several partitions ({', '.join(sorted(found))})"
        raise UsageError(message, "choose one with --name or --partition")
    return found.pop()


def _audiences(partition: str) -> str | list[str]:
    """Return the audiences to accept: where the domain differs, workflows may ask for its STS instead."""
    own = f"sts.{dns_suffix(partition)}"
    return AUDIENCE if own == AUDIENCE else [AUDIENCE, own]


def trust(trusted: Trusted, account: str, partition: str = DEFAULT) -> dict[str, Any]:
    """The trust policy. `account` is where the role and the OIDC provider are; it may be a placeholder."""
    trusted.check()
    conditions = {f"{ISSUER}:aud": _audiences(partition), f"{ISSUER}:sub": trusted.subjects}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "WorkflowsOfTheRepository",
                "Effect": "Allow",
                "Principal": {"Federated": f"arn:{partition}:iam::{account}:oidc-provider/{ISSUER}"},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {"StringEquals": conditions},
            }
        ],
    }
