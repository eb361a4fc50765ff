"""The command `iam`: policies of a spec, trust of a repository; it asks nothing of AWS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.iam import stack
from tests.unit.cli.conftest import SPEC, Cli, cli

__all__ = ["cli"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def connect(*_: object) -> None:
        pytest.fail("it went to AWS")

    monkeypatch.setattr(command_run, "connect_factory", connect)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)


@pytest.mark.parametrize("phase", ["plan", "apply", "event"])
def test_each_phase_prints_a_document(cli: Cli, phase: str) -> None:
    result = cli("iam", phase)
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["phase"] == phase
    (policy,) = document["policies"]
    assert policy["identity"] == "default credentials"
    assert ("ssm:PutParameter" in result.stdout) is (phase != "plan")
    assert "arn:aws:ssm:us-east-2:*:parameter/app/*" in result.stdout


def test_no_decrypt_denies_it_and_does_not_go_with_apply(cli: Cli) -> None:
    assert '"Effect": "Deny"' in cli("iam", "plan", "--no-decrypt").stdout
    result = cli("iam", "apply", "--no-decrypt")
    assert result.exit_code == 64
    assert "iam plan" in result.stderr


@pytest.mark.parametrize(("form", "sign"), [("terraform", "aws_iam_policy_document"),
                                            ("cloudformation", "AWS::IAM::ManagedPolicy")])  # fmt: skip
def test_other_forms(cli: Cli, form: str, sign: str) -> None:
    assert sign in cli("iam", "plan", "--format", form).stdout


ROLES = """\
version: 1
name: prod
source: { region: us-east-1, role_arn: "arn:aws:iam::123456789012:role/reader" }
targets:
  - { region: us-east-2, role_arn: "arn:aws:iam::123456789012:role/path/writer" }
parameters: { include: ["/app/**"] }
delete: owned
"""


def test_a_document_is_what_iam_takes_and_nothing_else(cli: Cli) -> None:
    result = cli("iam", "plan", "--document")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert set(document) == {"Version", "Statement"}
    (policy,) = json.loads(cli("iam", "plan").stdout)["policies"]
    assert document == policy["document"]


def test_a_document_for_several_identities_says_how_to_choose_one(cli: Cli) -> None:
    Path("replication.yaml").write_text(ROLES)
    result = cli("iam", "apply", "--document")
    assert result.exit_code == 64
    assert result.stdout == ""
    assert (
        "choose one with --identity: arn:aws:iam::123456789012:role/path/writer,"
        " arn:aws:iam::123456789012:role/reader, default"
    ) in result.stderr


@pytest.mark.parametrize(
    ("identity", "action"),
    [
        ("writer", "ssm:PutParameter"),
        ("arn:aws:iam::123456789012:role/path/writer", "ssm:PutParameter"),
        ("default", "sts:AssumeRole"),
    ],
)
def test_an_identity_is_chosen_by_its_arn_or_name(cli: Cli, identity: str, action: str) -> None:
    Path("replication.yaml").write_text(ROLES)
    result = cli("iam", "apply", "--document", "--identity", identity)
    assert result.exit_code == 0
    assert action in {one for s in json.loads(result.stdout)["Statement"] for one in s["Action"]}
    (policy,) = json.loads(cli("iam", "apply", "--identity", identity).stdout)["policies"]
    assert policy["document"] == json.loads(result.stdout)


def test_an_unknown_identity_and_another_format_are_wrong_usage(cli: Cli) -> None:
    Path("replication.yaml").write_text(ROLES)
    result = cli("iam", "plan", "--identity", "raeder")
    assert result.exit_code == 64
    assert "no identity is named 'raeder'" in result.stderr
    assert cli("iam", "plan", "--document", "--format", "terraform").exit_code == 64


@pytest.mark.parametrize(
    ("patterns", "noted"), [(1, None), (12, "an inline policy may have"), (80, "characters")]
)
def test_a_policy_that_iam_would_not_take_is_noted(cli: Cli, patterns: int, noted: str | None) -> None:
    include = ", ".join(f'"/team-{number:02}/**"' for number in range(patterns))
    Path("replication.yaml").write_text(SPEC.replace('"/app/**"', include))
    result = cli("iam", "apply", "--format", "cloudformation")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["Resources"]
    assert ("a managed policy may have 6,144" in result.stderr) is (noted is not None)
    assert (noted or "") in result.stderr
    assert ("inline" in result.stderr) is (noted == "an inline policy may have")
    assert cli("iam", "apply", "-q").stderr == ""


def test_trust_says_what_is_still_to_be_filled_in(cli: Cli) -> None:
    result = cli("iam", "trust", "--github", "acme/params")
    assert result.exit_code == 0
    assert "ACCOUNT_ID" in result.stdout
    assert "ACCOUNT_ID" in result.stderr
    assert "--github-ids" in result.stderr
    whole = cli("iam", "trust", "--github", "acme/params", "--github-ids", "1/2", "--account", "123456789012")
    assert whole.stderr == ""
    subjects = json.loads(whole.stdout)["Statement"][0]["Condition"]["StringEquals"]
    assert subjects["token.actions.githubusercontent.com:sub"] == [
        "repo:acme/params:ref:refs/heads/main",
        "repo:acme@1/params@2:ref:refs/heads/main",
    ]


def test_trust_takes_the_partition_from_the_spec_or_the_option(cli: Cli) -> None:
    def partition(*words: str) -> str:
        result = cli("iam", "trust", "--github", "acme/params", *words)
        assert result.exit_code == 0, result.stderr
        arn: str = json.loads(result.stdout)["Statement"][0]["Principal"]["Federated"]
        return arn.split(":")[1]

    assert partition() == "aws"
    Path("replication.yaml").write_text(SPEC.replace("us-east-", "us-gov-east-").replace("eu-", "us-gov-"))
    Path("china.yaml").write_text(SPEC.replace("us-east-", "cn-north-").replace("eu-", "cn-"))
    assert partition() == "aws-us-gov"
    assert partition("china.yaml") == "aws-cn"
    assert partition("--partition", "aws-eusc") == "aws-eusc"
    Path("replication.yaml").unlink()
    assert partition() == "aws"


@pytest.mark.parametrize(
    "words",
    [
        ("--github", "acme"),
        ("--github", "a/b", "--account", "12"),
        ("--github", "a/b", "--partition", "aws-mars"),
        (),
    ],
)
def test_wrong_usage(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("iam", "trust", *words).exit_code == 64


def test_a_stack_is_a_template_with_the_policies_of_plan_and_apply(cli: Cli) -> None:
    result = cli("iam", "stack", "--github", "acme/params", "--github-ids", "1/2")
    assert result.exit_code == 0
    assert result.stderr == ""
    resources = json.loads(result.stdout)["Resources"]
    for role, words in (("PlanRole", ("plan", "--no-decrypt")), ("ApplyRole", ("apply",))):
        (policy,) = resources[role]["Properties"]["Policies"]
        assert policy["PolicyDocument"] == json.loads(cli("iam", *words, "--document").stdout)
        (trust,) = resources[role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        environment = f"ssm-{words[0]}"
        printed = cli(
            "iam", "trust", "--github", "acme/params", "--github-ids", "1/2", "--environment", environment
        )
        assert trust["Condition"] == json.loads(printed.stdout)["Statement"][0]["Condition"]


def test_a_stack_for_another_account_has_its_roles_only(cli: Cli) -> None:
    Path("replication.yaml").write_text(ROLES.replace("123456789012:role/path", "210987654321:role/path"))
    own = cli("iam", "stack", "--github", "acme/params")
    assert "use --target-account for each of 210987654321" in own.stderr
    assert "--github-ids" in own.stderr
    assert set(json.loads(own.stdout)["Resources"]) == {"OidcProvider", "PlanRole", "ApplyRole", "RoleReader"}
    other = cli("iam", "stack", "--github", "acme/params", "--target-account", "210987654321")
    assert "deploy the stack of account 123456789012 first" in other.stderr
    (role,) = json.loads(other.stdout)["Resources"].values()
    assert (role["Properties"]["Path"], role["Properties"]["RoleName"]) == ("/path/", "writer")
    quiet = cli("iam", "stack", "--github", "acme/params", "--target-account", "210987654321", "-q")
    assert (quiet.stdout, quiet.stderr) == (other.stdout, "")


@pytest.mark.parametrize(("size", "has_note"), [(51_200, False), (51_201, True)])
def test_a_file_of_more_than_51200_bytes_needs_a_bucket(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, size: int, *, has_note: bool
) -> None:
    template = {"Metadata": {"Notes": []}, "Description": ""}
    template["Description"] = "x" * (size - len(json.dumps(template, indent=2)) - 1)
    monkeypatch.setattr(stack, "own_stack", lambda *_: template)
    result = cli("iam", "stack", "--github", "acme/params")
    assert len(result.stdout) == size
    assert ("--s3-bucket" in result.stderr) is has_note


def test_a_stack_that_is_large_has_a_note_on_the_bucket(cli: Cli) -> None:
    assert "--s3-bucket" not in cli("iam", "stack", "--github", "acme/params").stderr
    regions = ("us-west-1", "us-west-2", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "sa-east-1")
    targets = "".join(f"  - {{ region: {one}, kms: {{ default: alias/app }} }}\n" for one in regions)
    include = ", ".join(f'"/team-{number}/**"' for number in range(14))
    text = f"""\
version: 1
name: wide
source: {{ region: us-east-1 }}
targets:
{targets}parameters: {{ include: [{include}] }}
delete: owned
"""
    Path("replication.yaml").write_text(text)
    result = cli("iam", "stack", "--github", "acme/params")
    assert len(result.stdout) > 51_200
    assert "deploy it with --s3-bucket" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--github", "acme"), "is not OWNER/REPO"),
        (("--github", "a/b", "--github-ids", "1"), "is not OWNER_ID/REPO_ID"),
        (("--github", "a/b", "--target-account", "210987654320"), "the spec has roles in: 210987654321"),
        ((), "--github"),
    ],
)
def test_wrong_usage_of_stack(cli: Cli, words: tuple[str, ...], message: str) -> None:
    Path("replication.yaml").write_text(ROLES.replace("123456789012:role/path", "210987654321:role/path"))
    result = cli("iam", "stack", *words)
    assert result.exit_code == 64
    assert result.stdout == ""
    assert message in result.stderr
