"""An exception of boto3 -> a `StoreError` with kind, place, operation, code and remedy, and nothing else.

Messages of AWS may quote values (a pattern mismatch, a validation error), so no message, response or request
is kept. This module reads an exception, names it and drops it. Only words of closed sets are taken from a
message: the denied action, the type of policy, the cause of a refused signature. Exceptions are distinguished
by the names of their classes, so that botocore need not be imported.

Kinds of failures and their meaning for a write:

THROTTLED, UNREACHABLE   nothing was written
LOST                     it may have been written: HTTP 5xx, resets, timeouts, responses that cannot be parsed
CREDENTIALS              no call will work before a new sign-in; a role that cannot be assumed is one of these
all others               AWS refused, and nothing was written
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.stores.advice import Cause, Denial, Failure, PolicyType, advice_for, place_of_url

_BY_CODE: dict[Trouble, frozenset[str]] = {
    Trouble.THROTTLED: frozenset({  # LimitExceeded codes are other quotas (botocore, _retry.json)
        "BandwidthLimitExceeded", "PriorRequestNotComplete", "ProvisionedThroughputExceededException",
        "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown", "Throttling",
        "ThrottledException", "ThrottlingException", "TooManyRequestsException", "TooManyUpdates",
        "TransactionInProgressException",
    }),
    Trouble.DENIED: frozenset({
        "AccessDenied", "AccessDeniedException", "AuthorizationError", "NotAuthorized",
        "UnauthorizedAccess", "UnauthorizedException", "UnauthorizedOperation",
    }),
    Trouble.CREDENTIALS: frozenset({
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
        "IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId",
        "InvalidIdentityToken", "InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "OptInRequired", "RegionDisabledException", "RequestExpired",
        "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
        "UnrecognizedClientException",
    }),
    Trouble.LOST: frozenset({
        "InternalError", "InternalFailure", "InternalServerError", "InternalServerErrorException",
        "KMSInternalException", "RequestTimeout", "RequestTimeoutException", "ServiceUnavailable",
        "ServiceUnavailableException", "DependencyTimeoutException",
    }),
    Trouble.MISSING: frozenset({
        "InvalidArnException", "InvalidResourceId", "NotFoundException", "ParameterNotFound",
        "ParameterVersionNotFound",
    }),
    Trouble.EXISTS: frozenset({"ParameterAlreadyExists"}),
    Trouble.KEY: frozenset({
        "DisabledException", "InvalidKeyId", "InvalidKeyUsageException", "KMSInvalidStateException",
        "KeyUnavailableException",
    }),
    Trouble.TYPE: frozenset({"HierarchyTypeMismatchException"}),
    Trouble.TOKEN: frozenset({
        "InvalidMarkerException", "InvalidNextToken", "PaginationTokenExpiredException",
    }),
}  # fmt: skip
_BY_CLASS: dict[Trouble, frozenset[str]] = {
    Trouble.CREDENTIALS: frozenset({
        "ConfigNotFound", "ConfigParseError", "CredentialRetrievalError", "InfiniteLoopConfigError",
        "InvalidConfigError", "LoginError", "MetadataRetrievalError", "MissingDependencyException",
        "NoAuthTokenError", "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound",
        "RefreshWithMFAUnsupportedError", "SSOError", "TokenRetrievalError", "UnknownCredentialError",
        "UnknownTokenProviderError",
    }),
    Trouble.UNREACHABLE: frozenset({
        "ConnectTimeoutError", "EndpointConnectionError", "InvalidRegionError", "NoRegionError",
        "ProxyConnectionError", "UnknownEndpointError",
    }),
    Trouble.REFUSED: frozenset({"EndpointProviderError", "ParamValidationError", "ValidationError"}),
}  # fmt: skip
_KIND_OF_CODE = {code: kind for kind, codes in _BY_CODE.items() for code in codes}
_KIND_OF_CLASS = {name: kind for kind, names in _BY_CLASS.items() for name in names}
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
_POLICY = re.compile(
    rf"(?:explicit deny in an? |because no )({'|'.join(re.escape(one.value) for one in PolicyType)})",
    re.IGNORECASE,
)
_TLS_REFUSED = ("certificate", "handshake", "wrong_version", "wrong version")
_NETWORK = frozenset({"ConnectionError", "HTTPClientError", "OSError"})
"""Base classes of the exceptions of botocore and urllib3 for a missing response."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_CREDENTIAL_OPERATIONS = frozenset({
    "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetRoleCredentials",
})  # fmt: skip
"""Operations that the SDK calls for credentials, before or during another call."""
_KIND_WHILE_ASSUMING = {
    Trouble.LOST: Trouble.UNREACHABLE,  # the request that needed the credentials was not sent
    Trouble.THROTTLED: Trouble.THROTTLED,
    Trouble.UNREACHABLE: Trouble.UNREACHABLE,
}
_CLOCK = ("signature expired", "signature not yet current", "request has expired", "too skewed")
_CLOCK_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SCOPE = "credential should be scoped to"
LONGEST_DETAIL = 200
_URLS = ("endpoint_url", "proxy_url")
_DETAILS = ("profile", "provider", "cred_var", "path", "region_name")
"""Fields of exceptions of the SDK that may be shown: they come from the AWS configuration."""


def name_failure(
    error: Exception, *, operation: str, place: str, who: str = "", profile: str = ""
) -> StoreError:
    """Convert an exception of one call into a StoreError.

    Args:
        error: the exception of boto3; only its code or the name of its class is kept.
        operation: the AWS operation.
        place: `account/region`, or the region.
        who: the ARN of the identity or role that called.
        profile: the profile of the AWS configuration in use.

    Returns:
        The error to raise outside of the `except` block: inside, Python would chain the original exception.
    """
    code, kind = _classify(error)
    inner = getattr(error, "operation_name", None)
    if inner in _CREDENTIAL_OPERATIONS:
        operation = inner  # the credentials of a role expired during another call
    message = _response(error)[1]
    denial = _denial_in(message, operation) if kind is Trouble.DENIED else None
    role_refused = False
    if operation in _CREDENTIAL_OPERATIONS:
        role_refused = kind not in _KIND_WHILE_ASSUMING and kind is not Trouble.CREDENTIALS
        kind = _KIND_WHILE_ASSUMING.get(kind, Trouble.CREDENTIALS)
    failure = Failure(
        kind=kind,
        code=code,
        operation=operation,
        place=place,
        identity=who,
        profile=profile,
        cause=_cause(code, message),
        denial=denial,
        role_refused=role_refused,
        details=_details(error),
    )
    found = advice_for(failure)
    return StoreError(
        kind,
        place=place,
        operation=operation,
        code=code,
        remedy=found.remedy,
        problem=found.problem,
        action=denial.action if denial is not None else "",
        answered=not any(one.__name__ in _NETWORK for one in type(error).__mro__),
    )


def _denial_in(message: str, operation: str) -> Denial:
    """Return the denial in a message of AWS; the action of the operation where the message names none."""
    found = _DENIED_ACTION.search(message)
    action = _ACTIONS.get(found[1].lower()) if found else None
    named = _POLICY.search(message)
    policy = next((one for one in PolicyType if named and one.value.lower() == named[1].lower()), None)
    return Denial(action or _presumed_action(operation, message), policy, _EXPLICIT in message.lower())


def _presumed_action(operation: str, message: str) -> str:
    """Return the action to allow when the message names none."""
    if operation not in _SERVICE_OF and _KMS.search(message):
        return "kms:Encrypt and kms:GenerateDataKey" if operation == "PutParameter" else "kms:Decrypt"
    return f"{_SERVICE_OF.get(operation, 'ssm')}:{operation}"


def _cause(code: str, message: str) -> Cause:
    """Return the cause of a refused signature, by the fixed phrases of AWS."""
    if code in _CLOCK_CODES or any(phrase in message for phrase in _CLOCK):
        return Cause.CLOCK
    return Cause.ENDPOINT if _SCOPE in message else Cause.UNKNOWN


def _details(error: Exception) -> dict[str, str]:
    """Return the fields of the exception that may be shown, shortened."""
    fields: Any = getattr(error, "kwargs", None)
    if not isinstance(fields, dict):
        return {}
    found = {key: str(fields[key])[:LONGEST_DETAIL] for key in _DETAILS if fields.get(key)}
    return found | {key: place_of_url(str(fields[key])) for key in _URLS if fields.get(key)}


def tier_is_unknown(error: Exception) -> bool:
    """Whether AWS refused because this partition has no tiers: nothing was written."""
    code, message, _ = _response(error)
    return code == "ValidationException" and "tier is not supported" in message


def _response(error: Exception) -> tuple[str, str, int]:
    """Return code, lower-case message and HTTP status of a response; empty without a response."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", "", 0
    detail = response.get("Error") or {}
    status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    code = str(detail.get("Code") or "").rpartition("#")[2]
    return code, str(detail.get("Message") or "").lower(), int(status)


def _classify(error: Exception) -> tuple[str, Trouble]:
    """Return the code that may be shown, and the kind."""
    code, message, status = _response(error)
    if not code and not status:
        return _without_response(error)
    shown = code if _CODE.fullmatch(code) else f"HTTP {status}"
    kind = _KIND_OF_CODE.get(code)
    if kind is None and code == "ValidationException" and "downgrade" in message:
        kind = Trouble.DOWNGRADE
    if kind is None:
        kind = _by_status(status)
    return shown, kind


def _by_status(status: int) -> Trouble:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Trouble.LOST
    known = {401: Trouble.CREDENTIALS, 403: Trouble.DENIED, 429: Trouble.THROTTLED}
    return known.get(status, Trouble.REFUSED)


def _without_response(error: Exception) -> tuple[str, Trouble]:
    """Return code and kind of a call without a response, by the exception of the SDK or the network."""
    shown = type(error).__name__
    if shown == "RuntimeError" and "credentials" in str(error).lower():
        # The SDK refreshed the credentials, and they are still expired.
        return "ExpiredCredentials", Trouble.CREDENTIALS
    for ancestor in type(error).__mro__:
        if ancestor.__name__ == "SSLError":
            text = str(error).lower()
            clean = any(sign in text for sign in _TLS_REFUSED)
            return "SSLError", Trouble.UNREACHABLE if clean else Trouble.LOST
        kind = _KIND_OF_CLASS.get(ancestor.__name__)
        if kind is not None:
            return shown, kind
    return shown, Trouble.LOST  # unknown exceptions too: a write may have been done
