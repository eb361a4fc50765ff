"""A matrix is the list of its targets: the spec, and with it the plan and its id, are those of the list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.load import load_text
from ssm_reconcile.model import Place
from ssm_reconcile.spec import Replication, Target
from tests.property.profiles import examples
from tests.simulated_aws import SimulatedAws

HOME = Place("123456789012", "us-east-1")
ACCOUNTS = ("123456789012", "210987654321", "333333333333")
REGIONS = ("us-east-1", "us-east-2", "eu-west-1", "ap-south-1")
KEYS: dict[str, st.SearchStrategy[Any]] = {
    "frozen": st.booleans(),
    "tier": st.sampled_from(["same", "keep", "advanced", "intelligent"]),
    "external_id": st.sampled_from(["one", "x-{target.account}", "{target.name}"]),
    "kms": st.sampled_from([{"default": "alias/dr"}, {"default": "alias/{target.region}"}]),
}


@dataclass(frozen=True)
class Matrix:
    """A matrix, and the targets that a person would write in its place."""

    entry: dict[str, Any]
    written: list[dict[str, Any]]


def selectors() -> st.SearchStrategy[dict[str, str]]:
    one = {"account": st.sampled_from(ACCOUNTS), "region": st.sampled_from(REGIONS)}
    return st.fixed_dictionaries({}, optional=one).filter(bool)


def fits(selector: dict[str, Any], account: str, region: str) -> bool:
    return (selector.get("account", account), selector.get("region", region)) == (account, region)


def filled(value: Any, account: str, region: str, name: str) -> Any:
    if isinstance(value, dict):
        return {key: filled(one, account, region, name) for key, one in value.items()}
    if not isinstance(value, str):
        return value
    for placeholder, text in {"account": account, "region": region, "partition": "aws", "name": name}.items():
        value = value.replace(f"{{target.{placeholder}}}", text)
    return value


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Draw a matrix with `accounts`, or one whose account is that of its role."""
    accounts = draw(st.lists(st.sampled_from(ACCOUNTS), min_size=1, unique=True))
    has_accounts = len(accounts) > 1 or draw(st.booleans())
    regions = draw(st.lists(st.sampled_from(REGIONS), min_size=1, unique=True))
    exclude = draw(st.lists(selectors(), max_size=2))
    role_account = "{target.account}" if has_accounts else accounts[0]
    entry = {
        **({"accounts": accounts} if has_accounts else {}),
        "regions": regions,
        "exclude": exclude,
        "name": "{target.account}-{target.region}",
        "role_arn": f"arn:{{target.partition}}:iam::{role_account}:role/{{target.region}}",
        **draw(st.fixed_dictionaries({}, optional=KEYS)),
    }
    places = [place for place in product(accounts, regions) if not any(fits(one, *place) for one in exclude)]
    overrides = []
    for selector in draw(st.lists(selectors(), max_size=2)):
        changed = draw(st.fixed_dictionaries({}, optional=KEYS))
        others = set(places) - {(HOME.account, HOME.region)}
        if changed and any(fits(selector, *place) for place in others):
            overrides.append({**selector, **changed})
    written = []
    for account, region in places:
        if (account, region) == (HOME.account, HOME.region):
            continue
        own = {key: entry[key] for key in (*KEYS, "role_arn") if key in entry}
        for one in overrides:
            own |= (
                {key: value for key, value in one.items() if key in KEYS}
                if fits(one, account, region)
                else {}
            )
        name = f"{account}-{region}"
        written.append(
            filled(own, account, region, name)
            | {"name": name, "region": region, **({"account": account} if has_accounts else {})}
        )
    return Matrix(entry | ({"overrides": overrides} if overrides else {}), written)


def account_of(target: Target) -> str:
    """Return the account of the role of a target."""
    return str(target.access.role_arn).split(":")[4]


def spec_of(*targets: dict[str, Any], kms: dict[str, str] | None = None) -> Replication:
    document = {
        "version": 1,
        "name": "prod",
        "id": "k3v9x2m7qa",
        "source": {"region": HOME.region, "account": HOME.account},
        "targets": list(targets),
        "parameters": {"include": ["/p/**"]},
        "delete": "owned",
        **({"kms": [{"source": "alias/app", "targets": kms}]} if kms else {}),
    }
    (spec,) = load_text(json.dumps(document)).replications
    return spec


@given(matrix=matrices().filter(lambda one: bool(one.written)))
@examples(100)
def test_the_targets_are_those_of_the_list_each_place_and_name_once(matrix: Matrix) -> None:
    found = spec_of(matrix.entry, kms={"{target.name}": "alias/{target.account}"})
    written = spec_of(
        *matrix.written, kms={one["name"]: f"alias/{one['name'][:12]}" for one in matrix.written}
    )
    assert found == written
    assert len({one.name for one in found.targets}) == len(found.targets)
    places = {(account_of(one), one.access.region) for one in found.targets}
    assert len(places) == len(found.targets)
    assert (HOME.account, HOME.region) not in places


@given(matrix=matrices().filter(lambda one: bool(one.written)), data=st.data())
@examples(50)
def test_the_order_of_the_lists_is_the_order_of_the_targets_and_nothing_else(
    matrix: Matrix, data: st.DataObject
) -> None:
    lists = [key for key in ("accounts", "regions", "exclude") if key in matrix.entry]
    mixed = matrix.entry | {key: data.draw(st.permutations(matrix.entry[key])) for key in lists}
    first, second = spec_of(matrix.entry).targets, spec_of(mixed).targets
    assert sorted(first, key=lambda one: one.name) == sorted(second, key=lambda one: one.name)
    order = list(product(mixed.get("accounts") or [account_of(first[0])], mixed["regions"]))
    found = [order.index((account_of(one), one.access.region)) for one in second]
    assert found == sorted(found)


@given(
    matrix=matrices().filter(lambda one: bool(one.written)),
    names=st.lists(st.sampled_from("abc"), unique=True),
)
@examples(15)
def test_a_plan_of_the_matrix_has_the_id_of_the_plan_of_the_list(matrix: Matrix, names: list[str]) -> None:
    aws = SimulatedAws()
    for name in names:
        aws.put(f"/p/{name}", name)
    found, written = spec_of(matrix.entry), spec_of(*matrix.written)
    assert aws.plan(found).plan_id == aws.plan(written).plan_id
    aws.apply(written)
    assert aws.plan(found).plan_id == aws.plan(written).plan_id
    frozen = {one.name for one in found.targets if one.frozen}
    assert {one.target for one in aws.plan(found).changes} <= frozen
