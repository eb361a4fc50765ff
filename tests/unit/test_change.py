"""Changes: the short name of the last writer."""

from __future__ import annotations

import pytest

from ssm_reconcile.wording import outside_change_reason, writer_name

STS, IAM = "arn:aws:sts::123456789012:", "arn:aws:iam::123456789012:"


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        (f"{STS}assumed-role/deploy/alice@example.com", "role deploy"),
        (f"{STS}assumed-role/AWSReservedSSO_Admin_0123/alice@example.com", "role AWSReservedSSO_Admin_0123"),
        (f"{STS}assumed-role/AWSServiceRoleForSSM/session", "role AWSServiceRoleForSSM"),
        (f"{IAM}role/aws-service-role/ssm.amazonaws.com/AWSServiceRoleForSSM", "role AWSServiceRoleForSSM"),
        (f"{IAM}role/deploy", "role deploy"),
        (f"{IAM}user/alice", "user alice"),
        (f"{IAM}user/division/team/alice", "user alice"),
        (f"{IAM}root", "the root user"),
        (f"{STS}federated-user/alice@example.com", "a federated user"),
        ("arn:aws-cn:sts::123456789012:assumed-role/deploy/session", "role deploy"),
        (f"{STS}assumed-role/cdk-123456789012-us-east-1/session", "role cdk-ACCOUNT-us-east-1"),
        (f"{STS}assumed-role/cdk-444455556666-us-east-1/session", "role cdk-ACCOUNT-us-east-1"),
        (f"{STS}assumed-role/x-1234567890123456/s", "role x-1234567890123456"),
        ("arn:aws:iam::1:user/111", "user 111"),
    ],
)  # fmt: skip
def test_a_writer_has_a_short_name_without_account_and_session(arn: str, name: str) -> None:
    assert writer_name(arn) == name


@pytest.mark.parametrize(
    "arn",
    [
        "", "alice", "AWS Service", "arn:", "arn:aws:iam::123456789012:", f"{IAM}user/", f"{IAM}user",
        f"{STS}assumed-role", f"{STS}assumed-role//session", f"{IAM}group/admins",
        f"{IAM}root/alice@example.com/", "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
    ],
)  # fmt: skip
def test_an_identity_of_another_form_has_no_name(arn: str) -> None:
    assert writer_name(arn) == ""
    assert outside_change_reason(arn) == "changed outside ssm-reconcile by an unknown identity"
