"""What boto3 raised -> a `StoreError` that says kind, place, operation and code, and nothing else.

AWS's messages may quote values (a pattern mismatch, a validation error), so no message, response or
parameter of the request travels on: an error is looked at here, named, and dropped. Exceptions are
told apart by the names of their classes, so that nothing of botocore has to be imported for it.

THROTTLED, UNREACHABLE   nothing was done
LOST                     it may have been done: 5xx, resets, timeouts, answers that nobody can read
CREDENTIALS              nothing will work until somebody signs in; a role that cannot be assumed is one
all others               a clean refusal
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from ssm_reconcile.errors import StoreError, Trouble

_BY_CODE: dict[Trouble, frozenset[str]] = {
    Trouble.THROTTLED: frozenset({  # aws-facts A5, A6; LimitExceeded codes are quotas of another kind
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
        "MissingAuthenticationTokenException", "OptInRequired", "RequestExpired", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "TokenRefreshRequired", "UnrecognizedClientException",
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
_KMS_SAID_NO = ("kms:", "awskms")
_TLS_REFUSED = ("certificate", "handshake", "wrong_version", "wrong version")
_NETWORK = frozenset({"ConnectionError", "HTTPClientError", "OSError"})
"""Base classes of what botocore and urllib3 raise when no answer arrives."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_ASSUMING = {
    Trouble.LOST: Trouble.UNREACHABLE,  # whatever became of it, the request that needed it was not sent
    Trouble.THROTTLED: Trouble.THROTTLED,
    Trouble.UNREACHABLE: Trouble.UNREACHABLE,
}
_ACTIONS = {
    "AssumeRole": "sts:AssumeRole",
    "DescribeKey": "kms:DescribeKey",
    "GetResources": "tag:GetResources",
    "ListAliases": "kms:ListAliases",
}


def name_failure(error: Exception, *, operation: str, place: str, who: str = "") -> StoreError:
    """Names what went wrong with one call.

    Args:
        error: what boto3 raised; nothing of it is kept but its code or the name of its class.
        operation: the AWS operation that was called.
        place: the place's label, for the reader.
        who: the identity or role that called, for the remedy.

    Returns:
        The error to raise, outside of the `except` block: inside, Python would chain the original.
    """
    code, kind, about_kms = _classify(error)
    if getattr(error, "operation_name", None) == "AssumeRole":
        operation = "AssumeRole"  # also in the middle of another call, when a role's hour is over
    if operation == "AssumeRole":
        kind = _ASSUMING.get(kind, Trouble.CREDENTIALS)
    remedy = _remedy(kind, operation=operation, place=place, who=who, code=code, about_kms=about_kms)
    answered = not any(one.__name__ in _NETWORK for one in type(error).__mro__)
    return StoreError(kind, place=place, operation=operation, code=code, remedy=remedy, answered=answered)


def tier_is_unknown(error: Exception) -> bool:
    """Whether a refusal says that this partition has no tiers (aws-facts B3): nothing was written."""
    code, message, _ = _response(error)
    return code == "ValidationException" and "tier is not supported" in message


def _response(error: Exception) -> tuple[str, str, int]:
    """Code, lower-case message and HTTP status of an answer; empty when there was no answer."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return "", "", 0
    said = response.get("Error") or {}
    status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode") or 0
    code = str(said.get("Code") or "").rpartition("#")[2]
    return code, str(said.get("Message") or "").lower(), int(status)


def _classify(error: Exception) -> tuple[str, Trouble, bool]:
    """The code that may be shown, the kind, and whether KMS is what said no."""
    code, message, status = _response(error)
    if not code and not status:
        return (*_without_answer(error), False)
    shown = code if _CODE.fullmatch(code) else f"HTTP {status}"
    kind = _KIND_OF_CODE.get(code)
    if kind is None and code == "ValidationException" and "downgrade" in message:
        kind = Trouble.DOWNGRADE
    if kind is None:
        kind = _by_status(status)
    return shown, kind, kind is Trouble.DENIED and any(sign in message for sign in _KMS_SAID_NO)


def _by_status(status: int) -> Trouble:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return Trouble.LOST
    return {401: Trouble.CREDENTIALS, 403: Trouble.DENIED, 429: Trouble.THROTTLED}.get(
        status, Trouble.REFUSED
    )


def _without_answer(error: Exception) -> tuple[str, Trouble]:
    """Code and kind of a call that got no answer from AWS: what the SDK or the network said."""
    shown = type(error).__name__
    if shown == "RuntimeError" and "credentials" in str(error).lower():
        return "ExpiredCredentials", Trouble.CREDENTIALS  # refreshed, and still expired
    for ancestor in type(error).__mro__:
        if ancestor.__name__ == "SSLError":
            told = str(error).lower()
            clean = any(sign in told for sign in _TLS_REFUSED)
            return "SSLError", Trouble.UNREACHABLE if clean else Trouble.LOST
        kind = _KIND_OF_CLASS.get(ancestor.__name__)
        if kind is not None:
            return shown, kind
    return shown, Trouble.LOST  # including what nobody foresaw: the careful reading


def _action(operation: str, *, about_kms: bool) -> str:
    """The IAM action to allow."""
    if not about_kms or operation in _ACTIONS:
        return _ACTIONS.get(operation, f"ssm:{operation}")
    if operation == "PutParameter":
        return "kms:Encrypt and kms:GenerateDataKey on the parameter's key"
    return "kms:Decrypt on the parameter's key"


def _remedy(kind: Trouble, *, operation: str, place: str, who: str, code: str, about_kms: bool) -> str:
    """What the reader can do about it, in one sentence or two."""
    identity = who or "the identity in use"
    match kind:
        case Trouble.DENIED:
            return f"allow {_action(operation, about_kms=about_kms)} to {identity} in {place}"
        case Trouble.CREDENTIALS if operation == "AssumeRole":
            return (
                f"{who or 'the role'} could not be assumed: its trust policy must allow your own identity"
                " (with the `external_id`, if it asks for one), and your identity needs sts:AssumeRole on it"
            )
        case Trouble.CREDENTIALS:
            return (
                f"sign in again, or give valid credentials for {place} (--profile, AWS_PROFILE, AWS_*"
                " variables); a region that the account has not enabled answers like this too"
            )
        case Trouble.UNREACHABLE:
            return (
                f"check that the region of {place} exists, the network and its proxy,"
                " and --endpoint-url or AWS_ENDPOINT_URL"
            )
        case Trouble.THROTTLED:
            return f"wait until less is going on in {place}, or lower `rates` in the spec; then run again"
        case Trouble.LOST:
            return f"run again: AWS did not answer {operation}, and the next run sees what became of it"
        case Trouble.MISSING:
            return f"run again: it was not, or not any more, in {place}"
        case Trouble.EXISTS:
            return "run again: somebody else created it meanwhile"
        case Trouble.KEY:
            return f"check that the KMS key exists in {place}, is enabled and may be used by {identity}"
        case Trouble.TYPE:
            return "AWS does not change this type in place: only a replacement does"
        case Trouble.DOWNGRADE:
            return "AWS does not turn Advanced into Standard in place: only a replacement does"
        case Trouble.TOKEN:
            return f"run again: the listing of {place} could not be read to its end"
        case Trouble.REFUSED:
            return f"AWS does not take this request; docs of {operation} explain {code}"
