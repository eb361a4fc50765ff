"""What boto3 raised -> a `StoreError` that says kind, place, operation, code and remedy, and nothing else.

AWS's messages may quote values (a pattern mismatch, a validation error), so no message, response or
parameter of the request travels on: an error is looked at here, named, and dropped. Only words from closed
sets are taken from a message: the denied action, the type of policy, the cause of a refused signature.
Exceptions are told apart by the names of their classes, so that botocore need not be imported for it.

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
from ssm_reconcile.stores.advice import LONGEST_DETAIL, Cause, Failure, advice, place_of_url
from ssm_reconcile.stores.denials import denial_in

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
_TLS_REFUSED = ("certificate", "handshake", "wrong_version", "wrong version")
_NETWORK = frozenset({"ConnectionError", "HTTPClientError", "OSError"})
"""Base classes of what botocore and urllib3 raise when no answer arrives."""
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_OF_CREDENTIALS = frozenset({
    "AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetRoleCredentials",
})  # fmt: skip
"""Operations that the SDK calls for credentials before, or in the middle of, the call that was asked for."""
_ASSUMING = {
    Trouble.LOST: Trouble.UNREACHABLE,  # whatever became of it, the request that needed it was not sent
    Trouble.THROTTLED: Trouble.THROTTLED,
    Trouble.UNREACHABLE: Trouble.UNREACHABLE,
}
_CLOCK = ("signature expired", "signature not yet current", "request has expired", "too skewed")
_CLOCK_CODES = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_SCOPE = "credential should be scoped to"
_URLS = ("endpoint_url", "proxy_url")
_DETAILS = ("profile", "provider", "cred_var", "path", "region_name")
"""Fields of the SDK's exceptions that may be shown: what a person wrote into the AWS configuration."""


def name_failure(
    error: Exception, *, operation: str, place: str, who: str = "", profile: str = ""
) -> StoreError:
    """Names what went wrong with one call.

    Args:
        error: what boto3 raised; nothing of it is kept but its code or the name of its class.
        operation: the AWS operation that was called.
        place: the place's label, for the reader.
        who: the identity or role that called, for the remedy.
        profile: the profile in use, for the remedy.

    Returns:
        The error to raise, outside of the `except` block: inside, Python would chain the original.
    """
    code, kind = _classify(error)
    inner = getattr(error, "operation_name", None)
    if inner in _OF_CREDENTIALS:
        operation = inner  # also in the middle of another call, when a role's hour is over
    message = _response(error)[1]
    denial = denial_in(message, operation) if kind is Trouble.DENIED else None
    role_refused = False
    if operation in _OF_CREDENTIALS:
        role_refused = kind not in _ASSUMING and kind is not Trouble.CREDENTIALS
        kind = _ASSUMING.get(kind, Trouble.CREDENTIALS)
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
    found = advice(failure)
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


def _cause(code: str, message: str) -> Cause:
    """Return what a refused signature is about, by AWS's fixed phrases for it."""
    if code in _CLOCK_CODES or any(phrase in message for phrase in _CLOCK):
        return Cause.CLOCK
    return Cause.ENDPOINT if _SCOPE in message else Cause.UNKNOWN


def _details(error: Exception) -> dict[str, str]:
    """Return what the SDK hands over as fields and may be shown, shortened."""
    told: Any = getattr(error, "kwargs", None)
    if not isinstance(told, dict):
        return {}
    found = {key: str(told[key])[:LONGEST_DETAIL] for key in _DETAILS if told.get(key)}
    return found | {key: place_of_url(str(told[key])) for key in _URLS if told.get(key)}


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


def _classify(error: Exception) -> tuple[str, Trouble]:
    """The code that may be shown, and the kind."""
    code, message, status = _response(error)
    if not code and not status:
        return _without_answer(error)
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
