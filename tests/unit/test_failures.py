"""An exception of boto3 -> its kind, operation and code, without the original text."""

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
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return sdk.ClientError(response, operation)


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
        ("DependencyTimeoutException", 400, Trouble.LOST),
        ("KMSInternalException", 400, Trouble.LOST),
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
    ("code", "fix"),
    [
        ("ParameterLimitExceeded", "delete parameters, store some as Advanced"),
        ("ParameterMaxVersionLimitExceeded", "move the label to a newer version"),
        ("TooManyTagsError", "remove some, or name source tags in `tags.ignore`"),
        ("PoliciesLimitExceededException", "remove some at the source"),
        ("HierarchyLevelLimitExceededException", "shorten it, or add a `rewrite`"),
        ("ParameterPatternMismatchException", "correct the value or the pattern at the source"),
        ("InvalidAllowedPatternException", "AllowedPattern: correct it at the source"),
        ("UnsupportedParameterType", "the type with this data type: correct it at the source"),
        ("InvalidPolicyTypeException", "the policy types Expiration, ExpirationNotification"),
        ("InvalidPolicyAttributeException", "an attribute or a value that AWS does not accept"),
        ("IncompatiblePolicyException", "two policies of the parameter conflict: remove one"),
        ("ServiceSettingNotFound", "the setting does not exist in this region"),
        ("Whatever", "the API reference of PutParameter explains Whatever"),
    ],
)
def test_the_remedy_of_a_refused_request_is_that_of_its_code(code: str, fix: str) -> None:
    assert fix in named(answered(code)).remedy


@pytest.mark.parametrize("error", [{}, {"Error": None}, {"Error": {"Code": None, "Message": None}}])
def test_a_response_without_a_code_has_the_kind_of_its_status(error: dict[str, Any]) -> None:
    failure: Any = answered("Whatever")
    failure.response = {**error, "ResponseMetadata": {"HTTPStatusCode": 502}}
    found = named(failure)
    assert (found.code, found.kind) == ("HTTP 502", Trouble.LOST)


@pytest.mark.parametrize("metadata", [{}, {"ResponseMetadata": None}, {"ResponseMetadata": {}}])
def test_a_response_without_a_status_has_the_kind_of_its_code(metadata: dict[str, Any]) -> None:
    failure: Any = answered("Whatever")
    failure.response = {"Error": {"Code": "AccessDenied"}, **metadata}
    found = named(failure)
    assert (found.code, found.kind) == ("AccessDenied", Trouble.DENIED)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sdk.NoCredentialsError(), Trouble.CREDENTIALS),
        (sdk.PartialCredentialsError(provider="env", cred_var="x"), Trouble.CREDENTIALS),
        (sdk.ProfileNotFound(profile="missing"), Trouble.CREDENTIALS),
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
def test_a_failure_instead_of_a_response_has_a_kind(error: Exception, kind: Trouble) -> None:
    failure = named(error)
    assert failure.kind is kind
    assert SECRET not in f"{failure!r} {failure} {failure.args} {failure.remedy} {failure.code}"


@pytest.mark.parametrize(
    ("error", "is_answered"),
    [
        (answered("AccessDeniedException"), True),
        (ResponseParserError(SECRET), True),
        (sdk.NoCredentialsError(), True),
        (sdk.EndpointConnectionError(endpoint_url="https://x"), False),
        (sdk.ReadTimeoutError(endpoint_url="https://x"), False),
        (OSError("no route to host"), False),
    ],
)
def test_only_a_failure_of_the_network_is_without_an_answer(error: Exception, is_answered: bool) -> None:
    assert named(error).answered is is_answered


def test_a_downgrade_is_recognised_by_its_message_and_the_message_is_dropped() -> None:
    expected = f"This parameter uses the advanced-parameter tier. You can't downgrade a parameter. {SECRET}"
    failure = named(answered("ValidationException", expected))
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
    expected = "User is not authorized to perform: kms:Something (Service: AWSKMS; Status Code: 400)"
    assert action in named(answered("AccessDeniedException", expected), operation).remedy


USER = "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform:"
ON = "on resource: arn:aws:ssm:us-east-1:1:parameter/a"


@pytest.mark.parametrize(
    ("operation", "expected", "action"),
    [
        ("PutParameter", f"{USER} ssm:AddTagsToResource {ON}", "ssm:AddTagsToResource"),
        (
            "PutParameter",
            f"{USER} kms:GenerateDataKey {ON} (Service: Kms, Status Code: 400)",
            "kms:GenerateDataKey",
        ),
        ("GetParameters", "The ciphertext refers to a key (Service: Kms, Status Code: 400)", "kms:Decrypt"),
        (
            "GetParameters",
            "The ciphertext refers to a key (Service: AWSKMS; Status Code: 400)",
            "kms:Decrypt",
        ),
        ("GetCallerIdentity", "Access denied", "sts:GetCallerIdentity"),
        ("DeleteParameters", f"{USER} ssm:hunter2 {ON}", "ssm:DeleteParameters"),
        ("PutParameter", f"{USER} {SECRET}", "ssm:PutParameter"),
    ],
)
def test_the_denied_action_is_the_one_that_aws_names(operation: str, expected: str, action: str) -> None:
    failure = named(answered("AccessDeniedException", expected), operation)
    assert failure.action == action
    assert failure.remedy.startswith(f"allow {action} ")
    assert "hunter2" not in failure.remedy


POLICIES = {
    "service control policy": "AWS Organizations",
    "resource control policy": "AWS Organizations",
    "permissions boundary": "permissions boundary of that role",
    "session policy": "when the role is assumed",
    "VPC endpoint policy": "policy of the VPC endpoint",
    "resource-based policy": "key policy",
}


@pytest.mark.parametrize(("policy", "fix"), POLICIES.items())
def test_a_denial_by_another_policy_than_the_identitys_names_it_and_the_fix(policy: str, fix: str) -> None:
    implicit = named(
        answered(
            "AccessDeniedException",
            f"{USER} ssm:PutParameter {ON} because no {policy} allows the ssm:PutParameter action",
        )
    )
    assert implicit.remedy.startswith(f"the {policy} does not allow ssm:PutParameter to ")
    assert fix in implicit.remedy
    explicit = named(
        answered(
            "AccessDeniedException",
            f"{USER} ssm:PutParameter {ON} with an explicit deny in a {policy}: arn:x",
        )
    )
    assert explicit.remedy.startswith(f"an explicit Deny in the {policy} refuses ssm:PutParameter to ")
    assert fix in explicit.remedy


@pytest.mark.parametrize(
    "expected", ["with an explicit deny", "with an explicit deny in an identity-based policy"]
)
def test_an_explicit_deny_never_gets_the_remedy_to_allow(expected: str) -> None:
    remedy = named(answered("AccessDeniedException", f"{USER} ssm:PutParameter {ON} {expected}")).remedy
    assert "no Allow overrides it" in remedy
    assert not remedy.startswith("allow ")


def test_a_role_that_an_organization_denies_is_not_blamed_on_its_trust_policy() -> None:
    expected = f"{USER} sts:AssumeRole {ON} with an explicit deny in a service control policy"
    failure = named(answered("AccessDenied", expected, 403, "AssumeRole"), "AssumeRole")
    assert failure.kind is Trouble.CREDENTIALS
    assert "service control policy" in failure.remedy
    assert "trust policy" not in failure.remedy


ROLE = "arn:aws:iam::210987654321:role/sync"
ASKS_FOR_ROLE = f"{USER} sts:AssumeRole on resource: {ROLE}"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (answered("ExpiredToken", "The security token has expired", 403, "AssumeRole"), "sign in again"),
        (answered("InvalidClientTokenId", "not valid", 403, "AssumeRole"), "does not know the access key"),
        (answered("SignatureDoesNotMatch", "Signature expired: x", 403, "AssumeRole"), "clock"),
        (answered("SignatureDoesNotMatch", "does not match", 403, "AssumeRole"), "AWS_SECRET_ACCESS_KEY"),
        (sdk.NoCredentialsError(), "there are no credentials"),
    ],
)
def test_credentials_of_the_caller_that_are_not_valid_are_not_blamed_on_the_trust_policy_of_a_role(
    error: Exception, words: str
) -> None:
    failure = named(error, "AssumeRole", ROLE)
    assert (failure.kind, failure.operation) == (Trouble.CREDENTIALS, "AssumeRole")
    assert words in f"{failure} {failure.remedy}"
    assert "trust policy" not in failure.remedy


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ("", "its trust policy must allow your own identity"),
        (" because no resource-based policy allows the sts:AssumeRole action", "its trust policy must allow"),
        (" with an explicit deny in a resource-based policy", "trust policy of {role} has an explicit Deny"),
        (
            " because no identity-based policy allows it",
            "allow sts:AssumeRole to your own identity on {role}",
        ),
        (" with an explicit deny", "refuses sts:AssumeRole to your own identity on {role}"),
    ],
)
def test_a_role_that_was_refused_is_named_with_the_policy_to_change(expected: str, words: str) -> None:
    failure = named(answered("AccessDenied", ASKS_FOR_ROLE + expected, 403, "AssumeRole"), "AssumeRole", ROLE)
    assert words.format(role=ROLE) in failure.remedy
    assert "key policy" not in failure.remedy


def test_a_role_that_is_refused_for_another_reason_than_a_policy_is_named() -> None:
    error = answered("ValidationError", "DurationSeconds exceeds the maximum", 400, "AssumeRole")
    failure = named(error, "AssumeRole", ROLE)
    assert failure.kind is Trouble.CREDENTIALS
    assert f"{ROLE} could not be assumed" in failure.remedy


def test_the_account_of_the_caller_and_not_that_of_the_role_has_to_enable_the_region_of_the_sts() -> None:
    error = answered("InvalidClientTokenId", status=403, operation="AssumeRole")
    failure = name_failure(error, operation="AssumeRole", place="af-south-1", who=ROLE)
    assert "the account of your own identity has not enabled af-south-1" in str(failure)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("AssumeRoleWithWebIdentity", "the subject and the audience of the token"),
        ("GetRoleCredentials", "IAM Identity Center"),
    ],
)
def test_credentials_that_the_sdk_is_refused_are_not_blamed_on_the_call_that_needed_them(
    operation: str, words: str
) -> None:
    failure = named(answered("AccessDenied", "no access", 403, operation), "GetCallerIdentity")
    assert (failure.kind, failure.operation) == (Trouble.CREDENTIALS, operation)
    assert words in failure.remedy
    assert "allow sts:GetCallerIdentity" not in failure.remedy


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        ("SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than x", "clock"),
        ("InvalidSignatureException", "Signature not yet current: x is still later than y", "clock"),
        ("RequestTimeTooSkewed", "The difference is too large", "clock"),
        ("RequestExpired", "too old", "clock"),
        ("InvalidSignatureException", "Credential should be scoped to a valid region, not 'x'", "us-east-1"),
        ("SignatureDoesNotMatch", "Credential should be scoped to correct service: 'sts'", "endpoint"),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            "AWS_SECRET_ACCESS_KEY",
        ),
    ],
)
def test_a_refused_signature_does_not_get_the_remedy_to_sign_in(code: str, expected: str, words: str) -> None:
    failure = named(answered(code, f"{expected} {SECRET}", 403), "GetCallerIdentity")
    assert failure.kind is Trouble.CREDENTIALS
    assert "sign in" not in failure.remedy
    assert words in f"{failure} {failure.remedy}"
    assert SECRET not in f"{failure} {failure.remedy}"


@pytest.mark.parametrize(
    ("error", "problem", "fix"),
    [
        (sdk.NoCredentialsError(), "there are no credentials in the profile dr", "login --profile dr"),
        (sdk.ProfileNotFound(profile="nope"), "does not have the profile nope", "configure list-profiles"),
        (sdk.PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"),
         "aws_secret_access_key is missing", "set aws_secret_access_key"),
        (sdk.ConfigParseError(path="/etc/aws"), "/etc/aws is not valid", "AWS_CONFIG_FILE"),
        (sdk.ConfigNotFound(path="/etc/aws"), "/etc/aws does not exist", "AWS_CONFIG_FILE"),
        (sdk.InvalidConfigError(error_msg=SECRET), "configuration is not usable", "the profile dr"),
        (sdk.CredentialRetrievalError(provider="custom-process", error_msg=SECRET),
         "custom-process gave no credentials", "credential_process"),
        (sdk.UnauthorizedSSOTokenError(), "the SSO session has expired", "login --profile dr"),
        (sdk.SSOTokenLoadError(error_msg=SECRET), "the SSO session has expired", "login --profile dr"),
        (sdk.TokenRetrievalError(provider="sso", error_msg=SECRET), "the SSO session has", "aws sso login"),
        (sdk.EndpointConnectionError(endpoint_url="https://u:p@x.example:1/q?s"),
         "https://x.example:1 cannot be reached", "--endpoint-url"),
        (sdk.ConnectTimeoutError(endpoint_url="https://x.example/"), "https://x.example cannot", "VPC"),
        (sdk.ProxyConnectionError(proxy_url="http://u:p@proxy:3128"), "the proxy http://proxy:3128 cannot",
         "HTTPS_PROXY"),
        (sdk.SSLError(endpoint_url="https://x.example", error=OSError("CERTIFICATE_VERIFY_FAILED")),
         "certificate of https://x.example was not accepted", "AWS_CA_BUNDLE"),
        (sdk.ReadTimeoutError(endpoint_url="https://x.example"), "x.example did not answer", "run again"),
        (sdk.InvalidRegionError(region_name="us east"), "us east is not a region", "`region`"),
        (sdk.NoRegionError(), "us-east-1 is not a region", "`region`"),
    ],
)  # fmt: skip
def test_exceptions_of_the_sdk_become_a_problem_with_name_url_and_remedy(
    error: Exception, problem: str, fix: str
) -> None:
    failure = name_failure(error, operation="GetParameters", place="us-east-1", profile="dr")
    assert problem in str(failure)
    assert type(error).__name__ in str(failure), "the name to search for"
    assert fix in failure.remedy
    assert "u:p" not in f"{failure}{failure.remedy}"
    assert SECRET not in f"{failure}{failure.remedy}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ParameterLimitExceeded", ("10,000", "100,000", "Advanced", "Service Quotas")),
        ("ParameterMaxVersionLimitExceeded", ("100 versions", "label")),
        ("TooManyTagsError", ("50 tags", "`tags.ignore`")),
        ("PoliciesLimitExceededException", ("10 policies",)),
        ("HierarchyLevelLimitExceededException", ("15 levels",)),
        ("InvalidPolicyTypeException", ("NoChangeNotification", "at the source")),
        ("InvalidPolicyAttributeException", ("attribute", "at the source")),
        ("IncompatiblePolicyException", ("two policies", "at the source")),
    ],
)
def test_the_remedy_of_a_limit_has_its_number(code: str, words: tuple[str, ...]) -> None:
    remedy = named(answered(code)).remedy
    assert [word for word in words if word not in remedy] == []


def test_only_a_lost_write_speaks_of_what_was_written() -> None:
    assert "was written" in named(answered("InternalServerError", status=500)).remedy
    assert "written" not in named(answered("InternalServerError", status=500), "GetServiceSetting").remedy


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
