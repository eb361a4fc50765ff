"""What boto3 raises, named: kind, operation, code, and never a word of the original."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.stores.failures import name_failure, tier_is_unknown

SECRET = "correct horse battery staple"


def answered(
    code: str, message: str = SECRET, status: int = 400, operation: str = "PutParameter"
) -> sdk.ClientError:
    told: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return sdk.ClientError(told, operation)


def named(
    error: Exception, operation: str = "PutParameter", who: str = "arn:aws:iam::1:role/x"
) -> StoreError:
    return name_failure(error, operation=operation, place="1/us-east-1", who=who)


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 400, Trouble.THROTTLED),
        ("ThrottledException", 400, Trouble.THROTTLED),
        ("TooManyUpdates", 400, Trouble.THROTTLED),
        ("RequestLimitExceeded", 503, Trouble.THROTTLED),
        ("Whatever", 429, Trouble.THROTTLED),
        ("AccessDeniedException", 400, Trouble.DENIED),
        ("AccessDenied", 403, Trouble.DENIED),
        ("ExpiredTokenException", 400, Trouble.CREDENTIALS),
        ("UnrecognizedClientException", 400, Trouble.CREDENTIALS),
        ("InvalidClientTokenId", 403, Trouble.CREDENTIALS),
        ("SignatureDoesNotMatch", 403, Trouble.CREDENTIALS),
        ("InternalServerError", 500, Trouble.LOST),
        ("ServiceUnavailable", 503, Trouble.LOST),
        ("Whatever", 502, Trouble.LOST),
        ("com.amazonaws.ssm#InternalServerError", 500, Trouble.LOST),
        ("ParameterNotFound", 400, Trouble.MISSING),
        ("InvalidResourceId", 400, Trouble.MISSING),
        ("NotFoundException", 400, Trouble.MISSING),
        ("ParameterAlreadyExists", 400, Trouble.EXISTS),
        ("InvalidKeyId", 400, Trouble.KEY),
        ("HierarchyTypeMismatchException", 400, Trouble.TYPE),
        ("PaginationTokenExpiredException", 400, Trouble.TOKEN),
        ("InvalidNextToken", 400, Trouble.TOKEN),
        ("ValidationException", 400, Trouble.REFUSED),
        ("ParameterPatternMismatchException", 400, Trouble.REFUSED),
        ("ParameterLimitExceeded", 400, Trouble.REFUSED),
    ],
)
def test_an_answer_of_aws_has_a_kind(code: str, status: int, kind: Trouble) -> None:
    assert named(answered(code, status=status)).kind is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sdk.NoCredentialsError(), Trouble.CREDENTIALS),
        (sdk.PartialCredentialsError(provider="env", cred_var="x"), Trouble.CREDENTIALS),
        (sdk.ProfileNotFound(profile="nobody"), Trouble.CREDENTIALS),
        (sdk.TokenRetrievalError(provider="sso", error_msg=SECRET), Trouble.CREDENTIALS),
        (sdk.UnauthorizedSSOTokenError(), Trouble.CREDENTIALS),
        (sdk.CredentialRetrievalError(provider="x", error_msg=SECRET), Trouble.CREDENTIALS),
        (RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
         Trouble.CREDENTIALS),
        (sdk.EndpointConnectionError(endpoint_url="https://x"), Trouble.UNREACHABLE),
        (sdk.ConnectTimeoutError(endpoint_url="https://x"), Trouble.UNREACHABLE),
        (sdk.InvalidRegionError(region_name="us east"), Trouble.UNREACHABLE),
        (sdk.SSLError(endpoint_url="x", error=OSError("CERTIFICATE_VERIFY_FAILED")), Trouble.UNREACHABLE),
        (sdk.SSLError(endpoint_url="https://x", error=OSError("bad record mac")), Trouble.LOST),
        (sdk.ReadTimeoutError(endpoint_url="https://x"), Trouble.LOST),
        (sdk.ConnectionClosedError(endpoint_url="https://x"), Trouble.LOST),
        (sdk.HTTPClientError(error=SECRET), Trouble.LOST),
        (ResponseParserError(SECRET), Trouble.LOST),
        (sdk.ParamValidationError(report=SECRET), Trouble.REFUSED),
        (IndexError(SECRET), Trouble.LOST),
    ],
)  # fmt: skip
def test_what_came_instead_of_an_answer_has_a_kind(error: Exception, kind: Trouble) -> None:
    failure = named(error)
    assert failure.kind is kind
    assert SECRET not in f"{failure!r} {failure} {failure.args} {failure.remedy} {failure.code}"


def test_a_downgrade_is_told_by_its_message_and_the_message_is_dropped() -> None:
    said = f"This parameter uses the advanced-parameter tier. You can't downgrade a parameter. {SECRET}"
    failure = named(answered("ValidationException", said))
    assert failure.kind is Trouble.DOWNGRADE
    assert SECRET not in f"{failure!r} {failure} {failure.args} {failure.remedy} {failure.code}"


def test_a_code_that_is_not_a_code_is_not_shown() -> None:
    failure = named(answered(f"oops {SECRET}", status=418))
    assert failure.code == "HTTP 418"


def test_a_refusal_names_the_permission_the_identity_and_the_place() -> None:
    remedy = named(answered("AccessDeniedException", "not authorized"), "GetParameters").remedy
    assert remedy == "allow ssm:GetParameters to arn:aws:iam::1:role/x in 1/us-east-1"
    assert "tag:GetResources" in named(answered("AccessDeniedException", ""), "GetResources").remedy


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetParameters", "kms:Decrypt"),
        ("PutParameter", "kms:GenerateDataKey"),
        ("DescribeKey", "kms:DescribeKey"),
    ],
)
def test_a_refusal_of_kms_names_the_permission_on_the_key(operation: str, action: str) -> None:
    said = "User is not authorized to perform: kms:Something (Service: AWSKMS; Status Code: 400)"
    assert action in named(answered("AccessDeniedException", said), operation).remedy


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, Trouble.CREDENTIALS),
        ("ThrottlingException", 400, Trouble.THROTTLED),
        ("InternalFailure", 500, Trouble.UNREACHABLE),
    ],
)
def test_a_role_that_cannot_be_assumed_again_means_that_the_write_was_never_sent(
    code: str, status: int, kind: Trouble
) -> None:
    failure = named(answered(code, status=status, operation="AssumeRole"), "PutParameter")
    assert (failure.kind, failure.operation) == (kind, "AssumeRole")


@pytest.mark.parametrize("kind", list(Trouble))
def test_every_kind_has_a_remedy(kind: Trouble) -> None:
    codes = {
        Trouble.DENIED: "AccessDenied", Trouble.CREDENTIALS: "ExpiredToken", Trouble.THROTTLED: "Throttling",
        Trouble.LOST: "InternalFailure", Trouble.MISSING: "ParameterNotFound",
        Trouble.EXISTS: "ParameterAlreadyExists", Trouble.KEY: "InvalidKeyId",
        Trouble.TYPE: "HierarchyTypeMismatchException", Trouble.TOKEN: "InvalidNextToken",
        Trouble.REFUSED: "Odd", Trouble.DOWNGRADE: "ValidationException",
    }  # fmt: skip
    error: Exception = sdk.EndpointConnectionError(endpoint_url="https://x")
    if kind is not Trouble.UNREACHABLE:
        error = answered(codes[kind], "cannot downgrade")
    failure = named(error)
    assert failure.kind is kind
    assert len(failure.remedy) > 20


def test_only_the_tier_refusal_is_taken_for_one() -> None:
    assert tier_is_unknown(answered("ValidationException", "Tier is not supported in this region"))
    assert not tier_is_unknown(answered("ValidationException", "Value is too long"))
    assert not tier_is_unknown(sdk.NoCredentialsError())
