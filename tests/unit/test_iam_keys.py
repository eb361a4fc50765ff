"""Permissions for KMS keys: those that the spec names for a place, and no other key."""

from __future__ import annotations

import pytest

from ssm_reconcile.iam import policies
from ssm_reconcile.iam.statements import PolicyPhase
from ssm_reconcile.load import load_text
from tests.doubles import iam
from tests.doubles.iam import Request

ACCOUNT = "123456789012"
ID = "11111111-2222-3333-4444-555555555555"
SHARED = "arn:aws:kms:us-east-2:210987654321:key/22222222-2222-3333-4444-555555555555"
"""A key of another account."""
ARN = f"arn:aws:kms:us-east-2:{ACCOUNT}"
OTHER_ACCOUNT = "210987654321"
ID_OF_THEIRS = "33333333-2222-3333-4444-555555555555"
MULTI_REGION = "mrk-0123456789abcdef0123456789abcdef"
SPEC = f"""\
version: 1
name: prod
source: {{ region: us-east-1, account: "{ACCOUNT}" }}
targets:
  - region: us-east-2
    account: "{ACCOUNT}"
    kms: {{ keys: {{ alias/own: alias/own-here, alias/number: {ID}, alias/arn: "{SHARED}" }} }}
  - region: eu-west-1
    account: "{ACCOUNT}"
    kms: {{ keys: {{ alias/aws/ssm: alias/of-the-managed-key }} }}
  - region: eu-west-2
    account: "{ACCOUNT}"
    kms: {{ default: alias/dr }}
parameters: {{ include: ["/prod/**"] }}
kms:
  - source: alias/app
    targets: {{ us-east-2: alias/app-here, eu-west-2: alias/app-there }}
  - source: arn:aws:kms:us-east-1:{ACCOUNT}:alias/with-an-arn
    targets: {{ us-east-2: "{ARN}:alias/with-an-arn-here" }}
delete: owned
"""
WITHOUT_DEFAULT = SPEC.replace("default: alias/dr", "{}").replace("kms: { {} }", "kms: {}")
NAMES = (
    "alias/own", "alias/own-here", "alias/number", "alias/arn", "alias/with-an-arn", "alias/with-an-arn-here",
    "alias/app", "alias/app-here", "alias/app-there",
    "alias/of-the-managed-key", "alias/dr", "alias/aws/ssm", "alias/another", "alias/theirs",
    ID, ID_OF_THEIRS, SHARED, MULTI_REGION,
)  # fmt: skip


def usable(
    text: str,
    phase: PolicyPhase,
    action: str,
    region: str,
    account: str = ACCOUNT,
    parameter: str = "/prod/a",
) -> set[str]:
    """Return the keys, named by an alias or an id, that an action may use for a parameter of a region."""
    (policy,) = policies(load_text(text).replications, phase)
    found = set()
    for name in NAMES:
        key = "99999999-2222-3333-4444-555555555555" if name.startswith("alias/") else name
        context = {
            "kms:EncryptionContext:PARAMETER_ARN": (f"arn:aws:ssm:{region}:{ACCOUNT}:parameter{parameter}",)
        }
        if name.startswith("alias/"):
            context["kms:ResourceAliases"] = (name,)
        arn = name if name == SHARED else f"arn:aws:kms:{region}:{account}:key/{key}"
        request = Request(action, arn, context)
        found |= {name} if iam.allowed(policy.document(), request) else set()
    return found


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (
            "us-east-2",
            {"alias/own-here", "alias/app-here", "alias/with-an-arn-here", ID, SHARED, MULTI_REGION},
        ),
        ("eu-west-1", {"alias/of-the-managed-key", MULTI_REGION}),
        ("eu-west-2", {"alias/dr", "alias/app-there"}),
    ],
)
def test_replicas_are_encrypted_with_the_keys_of_their_target_only(region: str, expected: set[str]) -> None:
    for phase in (PolicyPhase.APPLY, PolicyPhase.EVENT):
        for action in ("kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"):
            assert usable(SPEC, phase, action, region) == expected
    assert usable(SPEC, PolicyPhase.PLAN, "kms:Decrypt", region) == expected
    assert usable(SPEC, PolicyPhase.PLAN, "kms:Encrypt", region) == set()


@pytest.mark.parametrize("phase", list(PolicyPhase))
@pytest.mark.parametrize("region", ["us-east-1", "us-east-2", "eu-west-1", "eu-west-2"])
def test_no_key_may_be_used_for_a_parameter_that_the_spec_does_not_select(
    phase: PolicyPhase, region: str
) -> None:
    for action in ("kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"):
        assert usable(SPEC, phase, action, region, parameter="/other/a") == set()


@pytest.mark.parametrize("phase", list(PolicyPhase))
def test_the_source_is_decrypted_with_the_mapped_keys_or_with_any_if_a_target_has_a_default(
    phase: PolicyPhase,
) -> None:
    mapped = {"alias/own", "alias/number", "alias/arn", "alias/app", "alias/with-an-arn", MULTI_REGION}
    assert usable(WITHOUT_DEFAULT, phase, "kms:Decrypt", "us-east-1") == mapped
    assert usable(SPEC, phase, "kms:Decrypt", "us-east-1") == set(NAMES) - {SHARED}
    assert usable(SPEC, phase, "kms:Encrypt", "us-east-1") == set()


def test_the_keys_of_a_policy_are_sorted() -> None:
    theirs = f"arn:aws:kms:us-east-2:{OTHER_ACCOUNT}"
    text = SPEC.replace("alias/number", f'alias/other: "{theirs}:alias/theirs", alias/number')
    (policy,) = policies(load_text(text).replications, PolicyPhase.APPLY)
    aliases = [f"alias/{name}-here" for name in ("app", "own", "with-an-arn")]
    ids = [f"{ARN}:key/{ID}", f"{ARN}:key/mrk-*", SHARED]
    found = {one["Sid"]: one for one in policy.document()["Statement"]}
    assert found["EncryptReplicas"]["Resource"] == ids
    values = found["EncryptReplicasByAlias"]["Condition"]["ForAnyValue:StringEquals"]
    assert values == {"kms:ResourceAliases": aliases}
    places = [found[f"EncryptReplicasByAlias{number}"]["Resource"] for number in ("", "2")]
    assert places == [[f"{ARN}:key/*"], [f"{theirs}:key/*"]]


@pytest.mark.parametrize("base", [SPEC, WITHOUT_DEFAULT])
@pytest.mark.parametrize(
    ("reference", "name"), [("alias/theirs",) * 2, (f"key/{ID_OF_THEIRS}", ID_OF_THEIRS)]
)
def test_an_arn_allows_the_key_in_the_account_that_it_names_only(
    base: str, reference: str, name: str
) -> None:
    text = base.replace(f"{ACCOUNT}:alias/with-an-arn-here", f"{OTHER_ACCOUNT}:{reference}")
    text = text.replace(f"{ACCOUNT}:alias/with-an-arn", f"{OTHER_ACCOUNT}:{reference}")
    for action in ("kms:Encrypt", "kms:Decrypt"):
        assert usable(text, PolicyPhase.APPLY, action, "us-east-2", OTHER_ACCOUNT) == {name, SHARED}
        assert name not in usable(text, PolicyPhase.APPLY, action, "us-east-2")
    assert usable(text, PolicyPhase.PLAN, "kms:Decrypt", "us-east-1", OTHER_ACCOUNT) == {name}
    assert (name in usable(text, PolicyPhase.PLAN, "kms:Decrypt", "us-east-1")) is (base is SPEC)


def test_keys_that_any_key_of_an_unknown_account_covers_are_not_listed() -> None:
    text = SPEC.replace(f', account: "{ACCOUNT}" }}\ntargets', " }\ntargets")
    text = text.replace("alias/own: ", f'"arn:aws:kms:us-east-1:{OTHER_ACCOUNT}:key/{ID}": ')
    assert text.count(OTHER_ACCOUNT) == 2
    (policy,) = policies(load_text(text).replications, PolicyPhase.PLAN)
    used = [one for one in policy.document()["Statement"] if one["Sid"].startswith("DecryptSource")]
    assert [one["Resource"] for one in used] == [["arn:aws:kms:us-east-1:*:key/*"]]
