"""Sizes of requests: never more than AWS accepts, and everything is read.

The limits are those of the API references; moto accepts more than AWS for some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from ssm_reconcile.aws_limits import CALL_RATES
from ssm_reconcile.model import SealedText
from ssm_reconcile.record import OWNER
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.ssm import SsmStore
from tests.integration.faults import Wire, answer, aws, open_store

NAMES = [f"/p/{i:03}" for i in range(101)]


@pytest.fixture(scope="module")
def store() -> Iterator[SsmStore]:
    """A place with more parameters than one page of any call holds."""
    with aws() as there:
        store = open_store(there, rates=tuple((kind, 1e6) for kind in CALL_RATES))
        for name in NAMES:
            store.put(Put(name, SealedText("v"), "String", overwrite=False, tags={OWNER: f"o{name}"}))
        yield store


def listed(store: SsmStore) -> set[str]:
    return {one.name for page in store.describe() for one in page}


def tagged(store: SsmStore) -> set[str]:
    return {name for page in store.tagged() for name in page}


@pytest.mark.parametrize(
    ("service", "operation", "size", "most", "ask"),
    [
        ("_ssm", "DescribeParameters", lambda body: body["MaxResults"], 50, listed),
        (
            "_ssm",
            "DescribeParameters",
            lambda body: len(body["ParameterFilters"][0]["Values"]),
            50,
            lambda store: set(store.describe_names(NAMES)),
        ),
        (
            "_ssm",
            "DescribeParameters",
            lambda body: len(body["ParameterFilters"][0]["Values"]),
            50,
            lambda store: set(store.names_tagged(OWNER, [f"o{name}" for name in NAMES])),
        ),
        (
            "_ssm",
            "GetParameters",
            lambda body: len(body["Names"]),
            10,
            lambda store: set(store.values(NAMES, decrypt=False).found),
        ),
        ("_clients.tagging", "GetResources", lambda body: body["ResourcesPerPage"], 100, tagged),
    ],
    ids=["list", "names", "tagged names", "values", "tags"],
)
def test_a_page_is_as_large_as_aws_allows_and_no_larger(
    store: SsmStore,
    service: str,
    operation: str,
    size: Callable[[dict[str, Any]], int],
    most: int,
    ask: Callable[[SsmStore], set[str]],
) -> None:
    wire = Wire(attrgetter(service)(store), operation)
    assert ask(store) == set(NAMES)
    sizes = [size(body) for body in wire.bodies]
    assert len(sizes) > 1, "one page would prove nothing"
    assert max(sizes) == most


def test_aliases_are_listed_in_pages_that_kms_takes(store: SsmStore) -> None:
    """moto has one page for all aliases and any limit, so the pages are made here."""
    kms = store._keys._kms
    key: Any = kms.create_key()["KeyMetadata"]
    aliases = [{"AliasName": f"alias/{i:03}", "TargetKeyId": key["KeyId"]} for i in range(150)]

    def page(body: dict[str, Any]) -> AWSResponse:
        start, size = int(body.get("Marker", "0")), body["Limit"]
        rest = {"Truncated": True, "NextMarker": str(start + size)} if start + size < len(aliases) else {}
        return answer(200, {"Aliases": aliases[start : start + size], **rest})

    wire = Wire(kms, "ListAliases").answers(page)
    found = store.keys(["alias/000", "alias/149"])
    assert {one.identity for one in found.values()} == {key["Arn"]}
    assert [(body["Limit"], body.get("Marker")) for body in wire.bodies] == [(100, None), (100, "100")]
