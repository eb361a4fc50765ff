"""The strict double of SSM by itself: what AWS shows and moto does not, seen with plain boto3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import HERE
from tests.doubles.clock import FakeClock
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.behaviour import AwsBehaviour, Duplicates, Expired, KeyForm


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def strict() -> Iterator[StrictMoto]:
    with StrictMoto(clock=FakeClock()) as strict:
        yield strict


@pytest.fixture
def ssm(strict: StrictMoto) -> Any:
    return boto3.client("ssm", HERE)


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_a_listing_shows_arn_writer_and_policy_texts(ssm: Any) -> None:
    policy = '{"Type": "Expiration", "Version": "1.0", "Attributes": {"Timestamp": "2030-01-01T00:00:00Z"}}'
    ssm.put_parameter(Name="a", Value="v", Type="String", Tier="Advanced", Policies=f"[{policy}]")
    found = ssm.describe_parameters()["Parameters"][0]
    assert found["ARN"] == "arn:aws:ssm:us-east-1:123456789012:parameter/a"
    caller = boto3.client("sts", HERE).get_caller_identity()["Arn"]
    assert found["LastModifiedUser"] == caller
    assert found["Policies"] == [
        {"PolicyText": policy, "PolicyType": "Expiration", "PolicyStatus": "Pending"}
    ]


def test_pages_are_as_large_as_asked_and_no_larger_than_fifty(ssm: Any) -> None:
    for number in range(100):
        ssm.put_parameter(Name=f"/n/{number:03}", Value="v", Type="String")
    first = ssm.describe_parameters(MaxResults=50)
    second = ssm.describe_parameters(MaxResults=50, NextToken=first["NextToken"])
    assert [len(page["Parameters"]) for page in (first, second)] == [50, 50]
    assert "NextToken" not in second
    with pytest.raises(ClientError) as caught:
        ssm.describe_parameters(MaxResults=51)
    assert code_of(caught) == "ValidationException"


def test_a_page_may_be_empty_and_have_a_token(strict: StrictMoto, ssm: Any) -> None:
    strict.pages = (0, 1)
    for name in ("/a", "/b"):
        ssm.put_parameter(Name=name, Value="v", Type="String")
    pages = list(ssm.get_paginator("describe_parameters").paginate())
    assert [len(page["Parameters"]) for page in pages] == [0, 1, 0, 1]


def test_a_delete_between_two_pages_skips_nothing(ssm: Any) -> None:
    for name in ("/a", "/b", "/c"):
        ssm.put_parameter(Name=name, Value="v", Type="String")
    first = ssm.describe_parameters(MaxResults=2)
    ssm.delete_parameter(Name="/a")
    second = ssm.describe_parameters(MaxResults=2, NextToken=first["NextToken"])
    assert [one["Name"] for one in second["Parameters"]] == ["/c"]


def test_a_filter_shortens_pages_and_not_their_number(ssm: Any) -> None:
    for name in ("/a", "/b", "/c"):
        ssm.put_parameter(Name=name, Value="v", Type="String")
    chosen = [{"Key": "Name", "Option": "Equals", "Values": ["/c"]}]
    pages = list(
        ssm.get_paginator("describe_parameters").paginate(
            ParameterFilters=chosen, PaginationConfig={"PageSize": 1}
        )
    )
    assert [len(page["Parameters"]) for page in pages] == [0, 0, 1]


def test_eleven_names_are_too_many_and_so_is_one_name_twice(strict: StrictMoto, ssm: Any) -> None:
    for ask in (ssm.get_parameters, ssm.delete_parameters):
        with pytest.raises(ClientError) as caught:
            ask(Names=[f"/n/{number}" for number in range(11)])
        assert code_of(caught) == "ValidationException"
    with pytest.raises(ClientError):
        ssm.get_parameters(Names=["/a", "/a"])
    strict.readings = AwsBehaviour(duplicate_names=Duplicates.ONCE)
    ssm.put_parameter(Name="/a", Value="v", Type="String")
    assert len(ssm.get_parameters(Names=["/a", "/a"])["Parameters"]) == 1


def test_an_answer_carries_the_selector_it_was_asked_by(ssm: Any) -> None:
    ssm.put_parameter(Name="/a", Value="v", Type="String")
    assert ssm.get_parameters(Names=["/a:1"])["Parameters"][0]["Selector"] == ":1"
    assert "Selector" not in ssm.get_parameter(Name="/a")["Parameter"]


def test_a_ciphertext_does_not_hold_the_plaintext(ssm: Any) -> None:
    ssm.put_parameter(Name="/a", Value="hunter2", Type="SecureString")
    assert "hunter2" not in ssm.get_parameter(Name="/a")["Parameter"]["Value"]
    decrypted = ssm.get_parameter(Name="/a", WithDecryption=True)
    assert decrypted["Parameter"]["Value"] == "hunter2"


def test_one_bad_key_fails_the_whole_batch(ssm: Any) -> None:
    kms = boto3.client("kms", HERE)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    ssm.put_parameter(Name="/bad", Value="v", Type="SecureString", KeyId=key)
    ssm.put_parameter(Name="/good", Value="v", Type="SecureString")
    kms.disable_key(KeyId=key)
    with pytest.raises(ClientError) as caught:
        ssm.get_parameters(Names=["/bad", "/good"], WithDecryption=True)
    assert code_of(caught) == "InvalidKeyId"


def test_a_string_that_was_a_secret_has_no_key(ssm: Any) -> None:
    ssm.put_parameter(Name="/a", Value="v", Type="SecureString")
    ssm.put_parameter(Name="/a", Value="v", Type="String", Overwrite=True)
    assert "KeyId" not in ssm.describe_parameters()["Parameters"][0]


def test_a_label_on_nothing_leaves_no_trace(ssm: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ssm.label_parameter_version(Name="/absent", Labels=["x"])
    assert code_of(caught) == "ParameterNotFound"
    assert ssm.describe_parameters()["Parameters"] == []


def test_public_parameters_are_not_listed_after_they_were_read(ssm: Any) -> None:
    ssm.get_parameter(Name="/aws/service/global-infrastructure/regions/us-east-1")
    assert ssm.describe_parameters()["Parameters"] == []


def test_a_refused_write_quotes_the_value_as_aws_does(ssm: Any) -> None:
    with pytest.raises(ClientError) as caught:
        ssm.put_parameter(Name="/a", Value="hunter2", Type="String", AllowedPattern="[0-9]+")
    assert "hunter2" in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(("form", "shown"), [(KeyForm.ALIAS, "alias/app"), (KeyForm.KEY_ID, None)])
def test_a_key_given_by_its_arn_is_reported_by_the_reading(
    strict: StrictMoto, ssm: Any, form: KeyForm, shown: str | None
) -> None:
    strict.readings = AwsBehaviour(key_form=form)
    kms = boto3.client("kms", HERE)
    key = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=key["KeyId"])
    ssm.put_parameter(Name="/a", Value="v", Type="SecureString", KeyId=key["Arn"])
    assert ssm.describe_parameters()["Parameters"][0]["KeyId"] == (shown or key["KeyId"])
    assert ssm.get_parameter(Name="/a", WithDecryption=True)["Parameter"]["Value"] == "v"


def test_an_expiration_that_is_past_may_delete_at_once(strict: StrictMoto, ssm: Any) -> None:
    strict.readings = AwsBehaviour(past_expiration=Expired.DELETED)
    past = '[{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2020-01-01T00:00:00Z"}}]'
    ssm.put_parameter(Name="/a", Value="v", Type="String", Tier="Advanced", Policies=past)
    assert ssm.describe_parameters()["Parameters"] == []


def test_bulk_tags_come_by_a_hundred_with_what_was_tagged_once(ssm: Any) -> None:
    for number in range(101):
        ssm.put_parameter(Name=f"/n/{number:03}", Value="v", Type="String", Tags=[{"Key": "k", "Value": "v"}])
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/n/100", TagKeys=["k"])
    tagging = boto3.client("resourcegroupstaggingapi", HERE)
    pages = list(
        tagging.get_paginator("get_resources").paginate(
            ResourceTypeFilters=["ssm:parameter"], PaginationConfig={"PageSize": 100}
        )
    )
    assert [len(page["ResourceTagMappingList"]) for page in pages] == [100, 1]
    assert pages[1]["ResourceTagMappingList"][0]["Tags"] == []


def test_accounts_are_apart_and_writers_named_by_their_role(ssm: Any) -> None:
    role = "arn:aws:iam::210987654321:role/other"
    result = boto3.client("sts", HERE).assume_role(RoleArn=role, RoleSessionName="run")["Credentials"]
    other = boto3.client(
        "ssm",
        HERE,
        aws_access_key_id=result["AccessKeyId"],
        aws_secret_access_key=result["SecretAccessKey"],
        aws_session_token=result["SessionToken"],
    )
    other.put_parameter(Name="/a", Value="v", Type="String")
    assert ssm.describe_parameters()["Parameters"] == []
    user = other.describe_parameters()["Parameters"][0]["LastModifiedUser"]
    assert user == "arn:aws:sts::210987654321:assumed-role/other/run"


def test_moto_is_itself_again_afterwards() -> None:
    from moto.ssm.responses import SimpleSystemManagerResponse

    before = SimpleSystemManagerResponse.put_parameter
    with StrictMoto():
        assert SimpleSystemManagerResponse.put_parameter is not before
    assert SimpleSystemManagerResponse.put_parameter is before


@pytest.mark.parametrize(
    ("spec", "usage"), [("RSA_2048", "ENCRYPT_DECRYPT"), ("HMAC_256", "GENERATE_VERIFY_MAC")]
)
def test_a_key_that_is_not_symmetric_encrypts_no_parameter(ssm: Any, spec: str, usage: str) -> None:
    kms: Any = boto3.client("kms", HERE)
    key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"]
    with pytest.raises(ClientError) as caught:
        ssm.put_parameter(Name="/a", Value="v", Type="SecureString", KeyId=key)
    assert code_of(caught) == "InvalidKeyId"


def test_an_integration_is_a_secret_in_a_place_of_its_own(ssm: Any) -> None:
    home = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/x"
    for name, kind in (("/a", "SecureString"), (home, "String")):
        with pytest.raises(ClientError) as caught:
            ssm.put_parameter(Name=name, Value="v", Type=kind, DataType="aws:ssm:integration")
        assert code_of(caught) == "ValidationException"
    ssm.put_parameter(Name=home, Value="v", Type="SecureString", DataType="aws:ssm:integration")
    assert ssm.describe_parameters()["Parameters"][0]["DataType"] == "aws:ssm:integration"


@pytest.mark.parametrize("value", ["{{x}}", "{{ssm:x}}", "a {{ x }} b", "{{a{b}}}", "{{\n}}"])
def test_a_value_refers_to_nothing(ssm: Any, value: str) -> None:
    with pytest.raises(ClientError) as caught:
        ssm.put_parameter(Name="/a", Value=value, Type="String")
    assert code_of(caught) == "ValidationException"


def test_tags_are_of_a_name_and_not_of_an_arn(ssm: Any) -> None:
    ssm.put_parameter(Name="/a", Value="v", Type="String")
    arn = ssm.get_parameter(Name="/a")["Parameter"]["ARN"]
    for resource in (arn, "/absent"):
        with pytest.raises(ClientError) as caught:
            ssm.add_tags_to_resource(
                ResourceType="Parameter", ResourceId=resource, Tags=[{"Key": "k", "Value": "v"}]
            )
        assert code_of(caught) == "InvalidResourceId"
