"""A named failure -> the problem in plain words, where the code is not clear, and the remedy.

The input is data only: kind, code, cause, denial, and fields of the SDK (the profile, the URL of the
endpoint). No message of AWS is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from ssm_reconcile.aws_limits import (
    LEVEL_LIMIT,
    PARAMETER_LIMITS,
    POLICY_LIMIT,
    TAG_LIMIT,
    VERSION_LIMIT,
    is_opt_in,
    partition_of,
)
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import ADVANCED, STANDARD

WRITES = frozenset({
    "AddTagsToResource", "DeleteParameters", "LabelParameterVersion", "PutParameter",
    "RemoveTagsFromResource",
})  # fmt: skip


class Cause(StrEnum):
    """The cause of a refused signature."""

    CLOCK = "clock"
    ENDPOINT = "endpoint"
    UNKNOWN = "unknown"


class PolicyType(StrEnum):
    """Types of policies that may deny a request, as in the messages of IAM."""

    IDENTITY = "identity-based policy"
    SERVICE_CONTROL = "service control policy"
    RESOURCE_CONTROL = "resource control policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    ENDPOINT = "VPC endpoint policy"
    RESOURCE = "resource-based policy"


@dataclass(frozen=True, slots=True)
class Denial:
    """A denied request. `policy` is None where AWS does not name its type."""

    action: str
    policy: PolicyType | None = None
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed call. `place` is `account/region` or the region; `details` are fields of the SDK.

    `role_refused`: AWS refused the role, not the credentials of the caller.
    """

    kind: Trouble
    code: str
    operation: str
    place: str
    identity: str = ""
    profile: str = ""
    cause: Cause = Cause.UNKNOWN
    denial: Denial | None = None
    role_refused: bool = False
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The region of the place."""
        return self.place.rpartition("/")[2]

    @property
    def who(self) -> str:
        """The ARN of the identity that called, or words for an unknown one."""
        return self.identity or "the identity in use"


@dataclass(frozen=True, slots=True)
class Advice:
    """Problem and remedy of a failure; `problem` is empty where the code is clear."""

    remedy: str
    problem: str = ""


def advice_for(failure: Failure) -> Advice:
    """Return problem and remedy of a failure."""
    if failure.code in _NOT_ENABLED or (failure.code in _UNKNOWN_KEY and is_opt_in(failure.region)):
        return _region_not_enabled(failure)
    if failure.role_refused:
        return Advice(_role_remedy(failure))
    match failure.kind:
        case Trouble.DENIED if failure.denial is not None:
            return Advice(_denial_remedy(failure.denial, failure.who, failure.place))
        case Trouble.CREDENTIALS:
            return _of_credentials(failure)
        case Trouble.UNREACHABLE:
            return _of_network(failure)
        case Trouble.LOST:
            return _of_lost(failure)
        case Trouble.REFUSED:
            other = (
                f"AWS refuses the request; the API reference of {failure.operation} explains {failure.code}"
            )
            return Advice(_REFUSALS.get(failure.code, other))
        case _:
            return _of_kind(failure)


_WHERE_TO_CHANGE = {
    PolicyType.IDENTITY: "change the policies of that role or user",
    PolicyType.SERVICE_CONTROL: "the policy is changed in AWS Organizations, in the management account",
    PolicyType.RESOURCE_CONTROL: "the policy is changed in AWS Organizations, in the management account",
    PolicyType.BOUNDARY: "change the permissions boundary of that role or user",
    PolicyType.SESSION: "the policy is passed when the role is assumed: change it there",
    PolicyType.ENDPOINT: "change the policy of the VPC endpoint",
    PolicyType.RESOURCE: "change the policy of the resource (of a KMS key: its key policy)",
}


def _denial_remedy(denial: Denial, identity: str, place: str) -> str:
    """Return the remedy of a denial: an Allow, or the place of the policy that no Allow overrides."""
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


def place_of_url(url: str) -> str:
    """Return scheme, host and port of a URL, without user, password, path and query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" if host else ""


_NOT_ENABLED = frozenset({"OptInRequired", "RegionDisabledException"})
_UNKNOWN_KEY = frozenset({"AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"})


def _region_not_enabled(failure: Failure) -> Advice:
    region = failure.region
    who = _CALLER if failure.operation == "AssumeRole" else failure.who
    enable = f"enable it there (aws account enable-region --region-name {region}) or remove it from the spec"
    if failure.code == "RegionDisabledException":
        return Advice(
            f"activate STS in {region} (IAM console, account settings); if the region is off, {enable}",
            f"STS of {region} is not active for the account",
        )
    if failure.code == "OptInRequired":
        return Advice(enable, f"the account of {who} has not enabled {region}")
    return Advice(
        f"{region} is an opt-in region: {enable}; if it is enabled, sign in again",
        f"the account of {who} has not enabled {region}, or its credentials are not valid",
    )


_CALLER = "your own identity"


def _role_remedy(failure: Failure) -> str:
    denial = failure.denial
    if failure.operation == "GetRoleCredentials":
        profile = f" {failure.profile}" if failure.profile else ""
        return (
            f"the SSO user may not use the account and role of the profile{profile}: assign the permission"
            " set in IAM Identity Center, or choose another profile"
        )
    by_trust = denial is None or denial.policy in (None, PolicyType.RESOURCE)
    if denial is not None and (denial.explicit or not by_trust):
        role = failure.identity or "the role"
        if denial.policy is PolicyType.RESOURCE:
            return f"the trust policy of {role} has an explicit Deny for {_CALLER}: change it there"
        return _denial_remedy(denial, f"{_CALLER} on {role}", failure.place)
    if failure.operation != "AssumeRole":
        return (
            "the role could not be assumed with the token of the identity provider: its trust policy must"
            " allow the subject and the audience of the token (`ssm-reconcile iam trust` prints one for"
            " GitHub)"
        )
    return (
        f"{failure.identity or 'the role'} could not be assumed: its trust policy must allow your own"
        " identity (with the `external_id`, if it requires one), and your identity needs sts:AssumeRole on it"
    )


def _of_credentials(failure: Failure) -> Advice:
    profile = failure.details.get("profile") or failure.profile
    named = f" --profile {profile}" if profile else ""
    match failure.code:
        case "NoCredentialsError":
            where = f"in the profile {profile}" if profile else "in the environment, the AWS files or a role"
            return Advice(
                "choose a profile (--profile or AWS_PROFILE), set AWS_ACCESS_KEY_ID and"
                f" AWS_SECRET_ACCESS_KEY, or sign in with `aws sso login{named}`",
                f"there are no credentials {where}",
            )
        case "ProfileNotFound":
            return Advice(
                "write a profile that `aws configure list-profiles` lists (--profile or AWS_PROFILE)",
                f"the AWS configuration does not have the profile {profile}",
            )
        case "PartialCredentialsError":
            missing = failure.details.get("cred_var", "one part")
            return Advice(f"set {missing} as well, or remove the other parts", f"{missing} is missing")
        case "ConfigParseError" | "ConfigNotFound":
            path = failure.details.get("path", "the AWS configuration file")
            wrong = "is not valid" if failure.code == "ConfigParseError" else "does not exist"
            return Advice("correct the file, or AWS_CONFIG_FILE", f"{path} {wrong}")
        case "InvalidConfigError" | "InfiniteLoopConfigError" | "UnknownCredentialError":
            return Advice(
                f"check the profile{f' {profile}' if profile else ''} in the AWS configuration file"
                " (source_profile, credential_source)",
                "the AWS configuration is not usable",
            )
        case "CredentialRetrievalError" | "MetadataRetrievalError":
            provider = failure.details.get("provider", "of the instance")
            return Advice(
                "run what the profile names (credential_process, role of the instance or container) by hand:"
                " `aws sts get-caller-identity` shows its error",
                f"the credential provider {provider} gave no credentials",
            )
        case "MissingDependencyException":
            return Advice("install botocore[crt]", "the profile needs a library that is not installed")
        case "RefreshWithMFAUnsupportedError":
            return Advice("run again: the profile needs a new MFA code", "the MFA session has ended")
        case code if code in _SSO:
            return Advice(f"run `aws sso login{named}`", "the SSO session has expired, or there is none")
        case _:
            return _of_signature(failure, named)


_SSO = frozenset({
    "LoginError", "NoAuthTokenError", "SSOError", "SSOTokenLoadError", "TokenRetrievalError",
    "UnauthorizedSSOTokenError", "UnknownTokenProviderError",
})  # fmt: skip


def _of_signature(failure: Failure, profile: str) -> Advice:
    if failure.cause is Cause.CLOCK:
        return Advice(
            "set the clock of this machine (NTP); `ssm-reconcile doctor` shows the difference",
            "the clock of this machine differs from AWS's by more than five minutes",
        )
    if failure.cause is Cause.ENDPOINT:
        return Advice(
            f"use an endpoint of {failure.region}: check --endpoint-url and AWS_ENDPOINT_URL*",
            f"the endpoint belongs to another region or service than {failure.region}",
        )
    if failure.code in _UNKNOWN_KEY | {"InvalidAccessKeyId"}:
        return Advice(
            "sign in again, or choose other credentials (--profile, AWS_PROFILE, AWS_* variables): they must"
            f" be of the partition {partition_of(failure.region)}",
            "AWS does not know the access key",
        )
    if failure.code in {"InvalidSignatureException", "SignatureDoesNotMatch"}:
        return Advice(
            "check AWS_SECRET_ACCESS_KEY and the profile; a proxy that changes requests causes it too",
            "the secret access key does not belong to the access key",
        )
    return Advice(
        f"sign in again (`aws sso login{profile}`), or give valid credentials for {failure.place} (--profile,"
        " AWS_PROFILE, AWS_* variables)"
    )


def _of_network(failure: Failure) -> Advice:
    url = failure.details.get("endpoint_url", "")
    match failure.code:
        case "ProxyConnectionError":
            proxy = failure.details.get("proxy_url", "")
            return Advice(
                "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
                f"the proxy {proxy} cannot be reached".replace("  ", " "),
            )
        case "SSLError":
            return Advice(
                "set AWS_CA_BUNDLE to the certificates of your proxy, or correct --endpoint-url",
                f"the TLS certificate of {url or 'the endpoint'} was not accepted",
            )
        case "InvalidRegionError" | "NoRegionError" | "UnknownEndpointError":
            region = failure.details.get("region_name") or failure.region
            return Advice("correct `region` in the spec", f"{region} is not a region of AWS")
        case _:
            return Advice(
                f"check that the region of {failure.place} exists, the network and its proxy, and"
                " --endpoint-url or AWS_ENDPOINT_URL; in a VPC without internet access create an interface"
                f" endpoint for the service in {failure.region}",
                f"{url} cannot be reached" if url else "",
            )


def _of_lost(failure: Failure) -> Advice:
    url = failure.details.get("endpoint_url", "")
    problem = f"{url} did not answer" if url else ""
    if failure.operation in WRITES:
        return Advice(
            f"run again: AWS did not answer {failure.operation}, and the next run checks what was written",
            problem,
        )
    return Advice(f"run again: AWS did not answer {failure.operation} in {failure.place}", problem)


_REFUSALS = {
    "ParameterLimitExceeded": (
        f"{STANDARD}: {PARAMETER_LIMITS[STANDARD]:,} parameters per account and region, {ADVANCED}:"
        f" {PARAMETER_LIMITS[ADVANCED]:,}; delete parameters, store some as {ADVANCED}, or have the quota of"
        f" {ADVANCED} parameters raised (Service Quotas)"
    ),
    "ParameterMaxVersionLimitExceeded": (
        f"a parameter has {VERSION_LIMIT} versions, and AWS cannot delete the oldest because it carries a"
        " label: move the label to a newer version (aws ssm label-parameter-version)"
    ),
    "TooManyTagsError": (
        f"a parameter carries {TAG_LIMIT} tags: remove some, or name source tags in `tags.ignore`"
    ),
    "PoliciesLimitExceededException": f"a parameter has {POLICY_LIMIT} policies: remove some at the source",
    "HierarchyLevelLimitExceededException": (
        f"a name has {LEVEL_LIMIT} levels: shorten it, or add a `rewrite`"
    ),
    "ParameterPatternMismatchException": (
        "the value does not match the AllowedPattern: correct the value or the pattern at the source, or the"
        " `rewrite`"
    ),
    "InvalidAllowedPatternException": "AWS does not accept the AllowedPattern: correct it at the source",
    "UnsupportedParameterType": "AWS does not accept the type with this data type: correct it at the source",
    "InvalidPolicyTypeException": (
        "AWS supports the policy types Expiration, ExpirationNotification and NoChangeNotification: correct"
        " the policies at the source"
    ),
    "InvalidPolicyAttributeException": (
        "a policy has an attribute or a value that AWS does not accept: correct the policies at the source"
    ),
    "IncompatiblePolicyException": (
        "two policies of the parameter conflict: remove one of them at the source"
    ),
    "ServiceSettingNotFound": "the setting does not exist in this region",
}
"""The remedy of each code of PutParameter and AddTagsToResource (API reference, Errors)."""


_REMEDIES = {
    Trouble.THROTTLED: ("wait until {place} has fewer calls, or lower `rates` in the spec; then run again"),
    Trouble.MISSING: "run again: the parameter does not exist in {place}",
    Trouble.EXISTS: "run again: another process created it in the meantime",
    Trouble.KEY: "check that the KMS key exists in {place}, is enabled and allows its use to {who}",
    Trouble.TYPE: "AWS does not change this type in place: only a replacement does",
    Trouble.DOWNGRADE: "AWS does not turn Advanced into Standard in place: only a replacement does",
    Trouble.TOKEN: "run again: the listing of {place} is incomplete",
}


def _of_kind(failure: Failure) -> Advice:
    text = _REMEDIES.get(failure.kind, "run again: {operation} in {place} failed")
    return Advice(text.format(place=failure.place, who=failure.who, operation=failure.operation))
