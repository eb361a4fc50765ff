"""Roles of a spec: names and paths of another form are errors, after placeholders are filled in too.

Source of the lengths: IAM API reference, CreateRole (RoleName, Path). Its pattern admits an empty part of a
path, which a spec may not have: such as a placeholder without a value.
"""

from __future__ import annotations

import re

import pytest

from ssm_reconcile.errors import Finding, SpecError
from ssm_reconcile.load import load_text
from ssm_reconcile.load.schema import replication_schema

ACCOUNT = "210987654321"
REFUSED = {
    "a name of 65 characters": "R" * 65,
    "the same below a path": "path/" + "R" * 65,
    "an empty name": "a/",
    "an empty part of the path": "/x",
    "an empty part later": "a//x",
    "a path of 513 characters": "p" * 511 + "/x",
    "a path of 513 characters in two parts": "p" * 255 + "/" + "p" * 255 + "/x",
}
ACCEPTED = ["x", "R" * 64, "w+=,.@-_1", "team/a/Writer", "p" * 510 + "/" + "R" * 64]


def text_of(source: str, target: str) -> str:
    """Return a spec with two roles, in the lines 3 and 5."""
    return f"""\
version: 1
name: prod
source: {{ region: us-east-1, role_arn: "arn:aws:iam::123456789012:role/{source}" }}
targets:
  - {{ region: us-east-2, {target} }}
parameters: {{ include: ["/prod/**"] }}
delete: owned
"""


def role(name: str) -> str:
    return f'role_arn: "arn:aws:iam::{ACCOUNT}:role/{name}"'


def errors_of(text: str) -> list[Finding]:
    with pytest.raises(SpecError) as refused:
        load_text(text, "spec.yaml")
    return list(refused.value.findings)


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_role_that_iam_allows_is_accepted(name: str) -> None:
    (spec,) = load_text(text_of(name, role(name))).replications
    assert spec.source.access.role_arn == f"arn:aws:iam::123456789012:role/{name}"
    assert spec.targets[0].access.role_arn == f"arn:aws:iam::{ACCOUNT}:role/{name}"


@pytest.mark.parametrize("case", REFUSED)
def test_a_role_of_another_form_is_an_error_with_its_line(case: str) -> None:
    found = errors_of(text_of(REFUSED[case], role(REFUSED[case])))
    assert [(one.code, one.where.split(":")[1]) for one in found] == [
        ("bad-format", "3"),
        ("bad-format", "5"),
    ]
    assert all(
        "name has at most 64 characters and whose path has no empty part" in one.message for one in found
    )


@pytest.mark.parametrize(
    ("name", "written", "is_accepted"),
    [
        ("n" * 64, "{target.name}", True),
        ("n" * 64, "{target.name}-{target.region}", False),
        ("n" * 50, "ssm-{target.name}-{target.region}", True),
        ("n" * 51, "ssm-{target.name}-{target.region}", False),
        ("n", "ssm-reconcile-{target.region}-{target.account}-{target.partition}-{target.name}", True),
        ("n" * 64, "{target.name}/" * 7 + "x", True),
        ("n" * 64, "{target.name}/" * 8 + "x", False),
        ("n", "{target.name}/", False),
        ("n", "a//{target.name}", False),
    ],
)
def test_the_limits_are_those_of_the_role_with_its_placeholders_filled_in(
    name: str, written: str, is_accepted: bool
) -> None:
    text = text_of("x", f"name: {name}, {role(written)}")
    if is_accepted:
        (spec,) = load_text(text).replications
        values = {"name": name, "region": "us-east-2", "account": ACCOUNT, "partition": "aws"}
        filled = re.sub(r"\{target\.(\w+)\}", lambda found: values[found[1]], written)
        assert spec.targets[0].access.role_arn == f"arn:aws:iam::{ACCOUNT}:role/{filled}"
    else:
        (error,) = errors_of(text)
        assert (error.code, error.where.split(":")[1]) == ("bad-format", "5")


def test_a_matrix_and_its_overrides_have_the_same_limits() -> None:
    places = 'name: "{target.account}-{target.region}", regions: [us-east-2, us-west-2]'
    plain = text_of("x", "REST").replace("region: us-east-2, REST", places + ", REST")
    long = f'role_arn: "arn:aws:iam::{{target.account}}:role/{"r" * 42}-{{target.name}}"'
    override = f'accounts: ["{ACCOUNT}"], {role("x")}, overrides: [{{ region: us-west-2, {long} }}]'
    for rest in (f'accounts: ["{ACCOUNT}"], {long}', override):
        (error,) = errors_of(plain.replace("REST", rest))
        assert (error.code, error.where.split(":")[1]) == ("bad-format", "5")


def test_the_patterns_of_the_schema_differ_in_placeholders_only() -> None:
    properties = replication_schema()["properties"]
    entry = properties["targets"]["items"]["properties"]
    one, other = entry["role_arn"], entry["overrides"]["items"]["properties"]["role_arn"]
    assert one["pattern"] == other["pattern"]
    names = ["x", "R" * 65, "a/", "/x", "p" * 511 + "/x", "p" * 510 + "/x", "a b", "a/b", "a*"]
    for name in names:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        patterns = (properties["source"]["properties"]["role_arn"]["pattern"], one["pattern"])
        assert len({bool(re.fullmatch(pattern, arn)) for pattern in patterns}) == 1
