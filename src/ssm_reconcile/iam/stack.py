"""Specs and a repository on GitHub -> CloudFormation templates of the roles that its workflows use.

    own account      the plan role, the apply role, the OIDC provider, and the roles of the spec in it
    another account  the roles of the spec in that account

The own account is that of the default credentials: the workflows have no others. The policies are those of
`iam plan --no-decrypt` and `iam apply`. A role of the spec has the policy of `iam apply`, because plan and
apply assume the same `role_arn`. Its trust policy has the form of deploy/target-role.yaml.

A template is JSON, which CloudFormation accepts, and this package does not import YAML. Its only expressions
are the ARNs of its own resources, so a test compares the policies with those that the other commands print.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.iam import (
    DEFAULT,
    INLINE,
    ISSUER,
    MANAGED,
    WIDER,
    Policy,
    TrustedWorkflows,
    audiences,
    document_length,
    partition_for,
    policies,
    shorter,
    trust_of,
)
from ssm_reconcile.iam.statements import PolicyPhase, Statement, place_of
from ssm_reconcile.record import digest
from ssm_reconcile.spec import Replication, Source, Target

PLAN_ENVIRONMENT, APPLY_ENVIRONMENT = "ssm-plan", "ssm-apply"
"""The environments on GitHub whose jobs may assume the plan role and the apply role."""
BODY = 51_200
"""Bytes of a template that CloudFormation accepts without a bucket (CloudFormation quotas)."""
_ROLE_NAME = 64
_ATTACHED = 10
"""Managed policies of a role (IAM quotas, the default)."""
_LENGTHS = (MANAGED, MANAGED // 2, MANAGED // 4)
"""Lengths of a document with one piece, in the order in which they are tried."""
_ANY_OF = frozenset({"StringEquals", "StringLike", "ForAnyValue:StringEquals"})
"""Operators that match if one of their values does (IAM user guide, conditions with multiple values)."""
_SESSION = "ApplySessionSeconds"
_NEW_PROVIDER = "CreateOidcProvider"
_PROVIDER = {"Fn::If": [_NEW_PROVIDER, {"Ref": "OidcProvider"}, {"Ref": "OidcProviderArn"}]}
"""The ARN of the provider: the one of the stack, or the one that the parameter names."""


class RoleNames(NamedTuple):
    """The names of the plan role and of the apply role."""

    plan: str
    apply: str

    @property
    def stack(self) -> str:
        """The name of their stack. CloudFormation allows letters, digits and `-` in it."""
        name = self.plan.removesuffix("-plan")
        plain = re.sub(r"[^A-Za-z0-9-]", "-", name)
        return plain if plain == name else f"{plain}-{digest(name)[:8]}"


def role_names(specs: Sequence[Replication], repository: str) -> RoleNames:
    """Return the names of the plan role and the apply role of a stack.

    One replication gives them its name, several the name of the repository. A name that is too
    long for IAM is cut and ends in a digest.

    Args:
        specs: The replications of the stack.
        repository: The repository on GitHub, as OWNER/REPO.
    """
    name = specs[0].name if len(specs) == 1 else repository.rpartition("/")[2]
    room = _ROLE_NAME - len("ssm-reconcile--apply")
    if len(name) > room:
        name = f"{name[: room - 9]}-{digest(name)[:8]}"
    return RoleNames(f"ssm-reconcile-{name}-plan", f"ssm-reconcile-{name}-apply")


def _ends(specs: Sequence[Replication]) -> list[Source | Target]:
    found: list[Source | Target] = [spec.source for spec in specs]
    return [*found, *(target for spec in specs for target in spec.targets)]


def own_account(specs: Sequence[Replication]) -> str | None:
    """Return the account of the default credentials, or of the sources; None if the specs do not name it.

    Raises:
        UsageError: The specs name several.
    """
    found = {end.account for end in _ends(specs) if end.account and end.access.role_arn is None}
    found = found or {place_of(spec.source.access, spec.source.account).account for spec in specs} - {"*"}
    if len(found) > 1:
        message = f"the default credentials would be in several accounts ({', '.join(sorted(found))})"
        raise UsageError(message, "run the command once for each spec")
    return found.pop() if found else None


@dataclass(frozen=True, slots=True)
class _Stack:
    """The input of a template, and the parts that both kinds of template have."""

    specs: Sequence[Replication]
    repository: str
    ids: str | None

    @property
    def names(self) -> RoleNames:
        return role_names(self.specs, self.repository)

    def roles_by_account(self) -> dict[str, list[Policy]]:
        """Return the policies for the roles of the specs, by account."""
        found: dict[str, list[Policy]] = defaultdict(list)
        for policy in policies(self.specs, PolicyPhase.APPLY):
            if policy.identity != DEFAULT:
                found[policy.account].append(policy)
        return found

    def add_roles(
        self, template: dict[str, Any], roles: Sequence[Policy], principals: Sequence[object]
    ) -> None:
        """Add roles of the specs to a template, with an output for the ARN of each."""
        ids = _logical_ids([policy.identity for policy in roles])
        for policy in roles:
            logical = ids[policy.identity]
            path, _, name = policy.identity.partition(":role")[2].rpartition("/")
            about = "Assumed by the plan and the apply of ssm-reconcile; role_arn in the spec."
            trust = _trust_in_roles(principals, self._external_ids(policy.identity))
            role = {"RoleName": name, "Path": f"{path}/", "Description": about}
            _add_role(template, logical, role | {"AssumeRolePolicyDocument": trust}, policy)
            template["Outputs"][f"{logical}Arn"] = _output(logical, "role_arn in the spec.")

    def _external_ids(self, role_arn: str) -> list[str]:
        """Return the external ids with which a role is assumed; none if one place of it has none."""
        accesses = [end.access for end in _ends(self.specs)]
        found = {one.external_id for one in accesses if one.role_arn == role_arn}
        return [] if None in found else sorted(map(str, found))


def own_stack(specs: Sequence[Replication], repository: str, ids: str | None = None) -> dict[str, Any]:
    """Return the template for the account of the default credentials.

    Args:
        specs: The replications that the workflows of the repository plan and apply.
        repository: The repository on GitHub, as OWNER/REPO.
        ids: Its ids, as OWNER_ID/REPO_ID; None for the older form of the subject only.

    Raises:
        UsageError: The repository is not valid, the specs need several accounts or partitions, a policy does
            not fit IAM, or two roles have one name.
    """
    stack = _Stack(specs, repository, ids)
    partition, others = partition_for(specs), stack.roles_by_account()
    own = others.pop(own_account(specs) or "", [])
    about = "Roles of the workflows of ssm-reconcile on GitHub."
    template = _template(about, _notes(stack, own, others), _own_sections(partition))
    for logical, name, environment, phase in (
        ("PlanRole", stack.names.plan, PLAN_ENVIRONMENT, PolicyPhase.PLAN),
        ("ApplyRole", stack.names.apply, APPLY_ENVIRONMENT, PolicyPhase.APPLY),
    ):
        granted = policies(specs, phase, no_decrypt=phase is PolicyPhase.PLAN)
        policy = next(one for one in granted if one.identity == DEFAULT)
        trust = trust_of(TrustedWorkflows(repository, ids, environment), _PROVIDER, partition)
        jobs = f"Jobs of {repository} on GitHub with the environment {environment}."
        role = {"RoleName": name, "Description": jobs, "AssumeRolePolicyDocument": trust}
        if phase is PolicyPhase.APPLY:
            role["MaxSessionDuration"] = {"Ref": _SESSION}
        _add_role(template, logical, role, policy)
        template["Outputs"][f"{logical}Arn"] = _output(logical, f"Role for the environment {environment}.")
    stack.add_roles(template, own, [_arn_of("PlanRole"), _arn_of("ApplyRole")])
    _check_names(template)
    return template


def target_stack(specs: Sequence[Replication], repository: str, account: str) -> dict[str, Any]:
    """Return the template for another account, with the roles of the specs in it.

    Args:
        specs: The replications that the workflows of the repository plan and apply.
        repository: The repository on GitHub, as OWNER/REPO.
        account: The account.

    Raises:
        UsageError: The specs have no role in the account, or do not name their own account, or a policy does
            not fit IAM.
    """
    TrustedWorkflows(repository).check()
    stack = _Stack(specs, repository, None)
    own, roles = own_account(specs), stack.roles_by_account()
    if own is None:
        message = "the trust policies name the plan role and the apply role, and their account is not known"
        raise UsageError(message, "write `account` of the source in the spec")
    if account == own:
        message = f"account {own} has the plan role and the apply role"
        raise UsageError(message, "leave out --target-account: its other roles are in the same stack")
    if account not in roles:
        others = sorted(set(roles) - {own})
        raise unknown_name("account", account, others, "the spec has roles in")
    prefix = f"arn:{partition_for(specs)}:iam::{own}:role"
    order = f"deploy the stack of account {own} first: IAM refuses a trust policy with an unknown role"
    template = _template("Roles that ssm-reconcile assumes in this account.", [order], {})
    stack.add_roles(template, roles[account], [f"{prefix}/{name}" for name in stack.names])
    _check_names(template)
    return template


def _template(description: str, notes: Sequence[str], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a template whose resources and outputs are added later; `sections` come first."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"{description} {WIDER}",
        "Metadata": {"Notes": list(notes)},
        **sections,
        "Resources": dict(sections.get("Resources", {})),
        "Outputs": {},
    }


def _own_sections(partition: str) -> dict[str, Any]:
    """Return the parameters and the OIDC provider of the own account.

    An account has the provider once for all repositories, so it outlives the stack.
    """
    return {
        "Parameters": {
            "OidcProviderArn": {
                "Type": "String",
                "Default": "",
                "AllowedPattern": rf"(arn:[a-z-]+:iam::[0-9]{{12}}:oidc-provider/{re.escape(ISSUER)})?",
                "Description": f"ARN of the OIDC provider {ISSUER}. Empty - the stack creates the provider.",
            },
            _SESSION: {
                "Type": "Number",
                "Default": 3600,
                "MinValue": 3600,
                "MaxValue": 43200,
                "Description": "Longest session of the apply role, for an apply of more than an hour.",
            },
        },
        "Conditions": {_NEW_PROVIDER: {"Fn::Equals": [{"Ref": "OidcProviderArn"}, ""]}},
        "Resources": {
            "OidcProvider": {
                "Type": "AWS::IAM::OIDCProvider",
                "Condition": _NEW_PROVIDER,
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"Url": f"https://{ISSUER}", "ClientIdList": audiences(partition)},
            }
        },
    }


def _notes(stack: _Stack, own: Sequence[Policy], others: Mapping[str, Sequence[Policy]]) -> list[str]:
    """Return the sentences about a stack that its reader needs before the deployment."""
    found = []
    if stack.ids is None:
        found.append("a repository created or renamed since 2026-07-15 needs --github-ids to match")
    if others:
        accounts = ", ".join(sorted(others))
        found.append(f"the spec has roles in other accounts: use --target-account for each of {accounts}")
    if own or others:
        found.append(
            "the plan role can assume the roles of the spec, which may write and decrypt in their accounts,"
            " since plan and apply have the same role_arn"
        )
    return found


def _trust_in_roles(principals: Sequence[object], external_ids: Sequence[str]) -> dict[str, Any]:
    """Return the trust policy of a role of the spec, in the form of deploy/target-role.yaml."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": list(principals)},
        "Action": "sts:AssumeRole",
    }
    if external_ids:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": list(external_ids)}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _add_role(template: dict[str, Any], logical: str, properties: dict[str, Any], policy: Policy) -> None:
    """Add a role with a policy: inline where it fits, else as managed policies.

    Raises:
        UsageError: The policy fits neither.
    """
    document = policy.document()
    resources = template["Resources"]
    if document_length(document) <= INLINE:
        granted: dict[str, Any] = {"Policies": [{"PolicyName": "ssm-reconcile", "PolicyDocument": document}]}
    else:
        attached = {f"Policy{n}{logical}": part for n, part in enumerate(managed_documents(policy), 1)}
        for name, part in attached.items():
            about = {"Description": f"Part of the policy of {properties['RoleName']}."}
            resources[name] = {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": about | {"PolicyDocument": part},
            }
        granted = {"ManagedPolicyArns": [{"Ref": name} for name in attached]}
    resources[logical] = {"Type": "AWS::IAM::Role", "Properties": properties | granted}


def managed_documents(policy: Policy) -> list[dict[str, Any]]:
    """Return documents that each fit a managed policy, and together grant what a policy does.

    A statement that is too long is cut in halves, over its resources or over the values of a condition,
    whichever list is longer. IAM evaluates the statements of all policies of a role together, so the pieces
    of a statement allow, or deny, exactly what the statement does. The pieces are smaller where larger ones
    do not fit a role.

    Args:
        policy: The policy to split.

    Raises:
        UsageError: The policy does not fit the managed policies of a role.
    """
    for length in _LENGTHS:
        pieces = [piece for one in policy.statements for piece in _pieces(one, length)]
        found = [_document(held) for held in _packed(pieces)]
        if len(found) <= _ATTACHED and all(document_length(one) <= MANAGED for one in found):
            return found
    total = document_length(policy.document())
    message = (
        f"the policy for {policy.identity} has {total:,} characters, and does not fit {_ATTACHED} managed"
        f" policies of {MANAGED:,}"
    )
    raise UsageError(message, shorter(policy))


def _document(statements: Sequence[Statement]) -> dict[str, Any]:
    return Policy("", "", tuple(statements)).document()


def _fits(statements: Sequence[Statement], length: int) -> bool:
    return document_length(_document(statements)) <= length


def _packed(pieces: Sequence[Statement]) -> list[list[Statement]]:
    """Return the pieces in documents: each in the first one with room, else in a new one."""
    found: list[list[Statement]] = []
    for piece in pieces:
        room = next((held for held in found if _fits([*held, piece], MANAGED)), None)
        if room is None:
            found.append(room := [])
        room.append(piece)
    return found


def _pieces(statement: Statement, length: int) -> list[Statement]:
    """Return a statement, or its pieces of at most a length where they can be cut so far."""
    if _fits([statement], length):
        return [statement]
    found, rest = [], [replace(statement, sid=f"{statement.sid}Part999")]
    while rest:
        piece = rest.pop()
        halves = () if _fits([piece], length) else tuple(_halves(piece))
        rest += reversed(halves)
        found += [] if halves else [piece]
    if not found[1:]:
        return [statement]
    return [replace(piece, sid=f"{statement.sid}Part{n}") for n, piece in enumerate(found, 1)]


def _halves(statement: Statement) -> Iterator[Statement]:
    """Yield the two halves of a statement by its longest list; none if each list has one item."""
    lists = [statement.resources] + [
        values if operator in _ANY_OF else () for operator, _, values in statement.conditions
    ]
    cut = max(range(len(lists)), key=lambda n: len("".join(lists[n])) if lists[n][1:] else -1)
    middle = len(lists[cut]) // 2
    for half in (lists[cut][:middle], lists[cut][middle:]) if middle else ():
        if cut == 0:
            yield replace(statement, resources=half)
        else:
            conditions = list(statement.conditions)
            operator, key, _ = conditions[cut - 1]
            conditions[cut - 1] = (operator, key, half)
            yield replace(statement, conditions=tuple(conditions))


def _check_names(template: Mapping[str, Any]) -> None:
    """Check that no two roles have one name; IAM compares names without case and path.

    Raises:
        UsageError: Two roles have one name.
    """
    properties = [one["Properties"] for one in template["Resources"].values()]
    names = [one["RoleName"] for one in properties if "RoleName" in one]
    seen = Counter(name.lower() for name in names)
    twice = sorted(name for name in names if seen[name.lower()] > 1)
    if twice:
        message = f"two roles of the stack would have one name: {', '.join(twice)}"
        raise UsageError(message, "write another role in `role_arn` of the spec")


def _logical_ids(role_arns: Sequence[str]) -> dict[str, str]:
    """Return an id in the template for each role, from its name."""
    plain = {}
    for arn in role_arns:
        words = re.split(r"[^A-Za-z0-9]+", arn.rpartition("/")[2])
        plain[arn] = "Role" + "".join(word[:1].upper() + word[1:] for word in words)
    taken = list(plain.values())
    return {arn: one if taken.count(one) == 1 else f"{one}{digest(arn)[:8]}" for arn, one in plain.items()}


def _output(logical: str, description: str) -> dict[str, Any]:
    return {"Description": description, "Value": _arn_of(logical)}


def _arn_of(logical: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [logical, "Arn"]}
