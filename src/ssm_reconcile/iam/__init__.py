"""Specs -> least-privilege IAM policies, one for each identity that a run needs; and who may assume a role.

    base.py        a statement, and the place that it is about
    patterns.py    path rules -> ARNs of parameters, as IAM spells them
    keys.py        the KMS keys that the spec names, and what is allowed with them
    statements.py  what a phase does in one place
    trust.py       GitHub's OIDC tokens, in both forms of their subject
    formats.py     JSON, Terraform, CloudFormation

An identity is a role of the spec, or the default credentials. Facts: aws-facts D. IAM's wildcards stand
for any text, `/` included, so they are wider than path rules: what the rules exclude, IAM may allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssm_reconcile.errors import UsageError
from ssm_reconcile.iam.base import Site, Statement
from ssm_reconcile.iam.statements import Phase, no_decryption, of_source, of_target, roles
from ssm_reconcile.model import Access
from ssm_reconcile.spec import Replication

__all__ = ["DEFAULT", "Phase", "Policy", "Statement", "policies"]

DEFAULT = "default credentials"
"""The identity of places that the spec gives no role for."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one identity needs. `account` is `*` where the spec does not say it."""

    identity: str
    account: str
    statements: tuple[Statement, ...]


def policies(specs: Sequence[Replication], phase: Phase, *, no_decrypt: bool = False) -> tuple[Policy, ...]:
    """The policies of a phase, sorted by identity; the same statement of two replications stands once.

    Raises UsageError for `no_decrypt` in a phase that writes: what is written has to be decrypted.
    """
    if no_decrypt and phase is not Phase.PLAN:
        message = (
            f"`iam {phase.value}` cannot do without kms:Decrypt: a SecureString is decrypted to be written"
        )
        raise UsageError(message, "--no-decrypt goes with `iam plan`")
    found: dict[str, list[Statement]] = {}
    accounts: dict[str, str] = {}
    for spec in specs:
        source = Site.of(spec.source.access, spec.source.account)
        for site, access, statements in (
            (source, spec.source.access, of_source(spec, source, phase, no_decrypt=no_decrypt)),
            *(
                (site, target.access, of_target(spec, target, source, site, phase, no_decrypt=no_decrypt))
                for target in spec.targets
                for site in [Site.of(target.access, target.account)]
            ),
        ):
            identity = access.role_arn or DEFAULT
            found.setdefault(identity, []).extend(statements)
            if accounts.get(identity, "*") == "*":
                accounts[identity] = site.account
    assumed = _assumed(specs)
    if assumed:
        found.setdefault(DEFAULT, []).append(roles(assumed))
        accounts.setdefault(DEFAULT, "*")
    if no_decrypt:
        for statements in found.values():
            statements.append(no_decryption())
    return tuple(
        Policy(identity, accounts[identity], _merged(statements))
        for identity, statements in sorted(found.items())
    )


def _assumed(specs: Sequence[Replication]) -> list[str]:
    accesses: set[Access] = set()
    for spec in specs:
        accesses |= {spec.source.access, *(target.access for target in spec.targets)}
    return sorted({access.role_arn for access in accesses if access.role_arn is not None})


def _merged(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Statements that differ in their resources only become one; equal Sids are numbered."""
    merged: dict[object, Statement] = {}
    for one in statements:
        known = merged.get(one.kind)
        merged[one.kind] = one if known is None else known.with_resources(one.resources)
    seen: dict[str, int] = {}
    out = []
    for one in merged.values():
        seen[one.sid] = seen.get(one.sid, 0) + 1
        out.append(one if seen[one.sid] == 1 else one.renamed(f"{one.sid}{seen[one.sid]}"))
    return tuple(out)
