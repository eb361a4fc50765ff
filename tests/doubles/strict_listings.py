"""Responses of the strict SSM: moto's parameters -> responses in the shape and the pages of AWS.

A token names the last entry shown and the number of the page, so that what others write between two
pages moves nothing: an entry is neither skipped nor shown twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, KeyState, Place, canonical
from tests.doubles.strict_keys import state_of
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.rules import PAGE, RESOURCES_PAGE, admit_page


def current(backend: Any) -> dict[str, Any]:
    """The latest version of each parameter by canonical name; public ones are not listed."""
    found = {}
    for name, versions in list(backend._parameters.items()):
        if versions and not name.startswith("/aws/"):
            found[canonical(name)] = versions[-1]
    return found


def versions_of(backend: Any, name: str) -> list[Any]:
    """All versions of a parameter, without making an empty entry as a look into moto does."""
    key = backend._parameters.normalize_name(name)
    return list(dict.get(backend._parameters, key) or ())


def select(backend: Any, asked: str) -> Any:
    """The version that `name`, `name:version` or `name:label` asks for, or None."""
    name, colon, selector = asked.partition(":")
    versions = versions_of(backend, name)
    if not colon:
        return versions[-1] if versions else None
    fitting = (v for v in reversed(versions) if str(v.version) == selector or selector in v.labels)
    return next(fitting, None)


def tags_of(backend: Any, name: str) -> dict[str, str]:
    """The tags of a parameter under the name that moto stored."""
    return dict(backend._resource_tags.get("Parameter", {}).get(name, {}))


def value(place: Place, asked: str, parameter: Any, *, decrypt: bool) -> dict[str, Any]:
    """One item of GetParameters; a key that cannot decrypt fails the whole call."""
    text = parameter.value
    if parameter.parameter_type == SECURE:
        text = _decrypted(place, parameter) if decrypt else _ciphertext(parameter)
    selector = asked.partition(":")[2]
    return {
        "Name": parameter.name,
        "Type": parameter.parameter_type,
        "Value": text,
        "Version": parameter.version,
        "LastModifiedDate": parameter.last_modified_date,
        "ARN": place.arn(parameter.name),
        "DataType": parameter.data_type,
        **({"Selector": f":{selector}"} if selector else {}),
    }


def _decrypted(place: Place, parameter: Any) -> str:
    key_id = getattr(parameter, "strict_key", None)
    if key_id is not None and state_of(place, key_id) is not KeyState.USABLE:
        raise Refusal("InvalidKeyId", "KMS cannot use the key", Trouble.KEY)
    return str(parameter.decrypt(parameter.value))


def _ciphertext(parameter: Any) -> str:
    digest = hashlib.sha256(f"{id(parameter)} {parameter.version}".encode()).digest()
    return base64.b64encode(b"\x01\x02\x02\x00x" + digest).decode()


def describe(response: Any, place: Place, sizes: Sequence[int]) -> dict[str, Any]:
    """One page of DescribeParameters. Filters come after the page (issue boto/boto3#1079)."""
    backend, size = response.ssm_backend, response._get_param("MaxResults") or PAGE
    filters = response._get_param("ParameterFilters")
    admit_page(size, PAGE)
    backend._validate_parameter_filters(filters, by_path=False)
    shelf = current(backend)
    names, token = _page(sorted(shelf), response._get_param("NextToken"), size, sizes)
    page = [shelf[name] for name in names if backend._match_filters(shelf[name], filters)]
    shown = {"Parameters": [metadata(place, parameter) for parameter in page]}
    return shown | ({"NextToken": token} if token else {})


def metadata(place: Place, parameter: Any) -> dict[str, Any]:
    """One item of DescribeParameters."""
    optional = {
        "Description": parameter.description,
        "AllowedPattern": parameter.allowed_pattern,
        "KeyId": parameter.keyid if parameter.parameter_type == SECURE else None,
    }
    settled = getattr(parameter, "settled", None)
    return {
        "Name": parameter.name,
        "ARN": place.arn(parameter.name),
        "Type": parameter.parameter_type,
        "LastModifiedDate": parameter.last_modified_date,
        "LastModifiedUser": getattr(parameter, "last_modified_user", ""),
        "Version": parameter.version,
        "Tier": parameter.tier,
        "Policies": [
            {"PolicyText": text, "PolicyType": json.loads(text)["Type"], "PolicyStatus": "Pending"}
            for text in (settled.policies if settled else ())
        ],
        "DataType": parameter.data_type,
        **{field: text for field, text in optional.items() if text},
    }


def resources(response: Any, place: Place, names: Iterable[str], sizes: Sequence[int]) -> str:
    """One page of tag:GetResources, with what was tagged once and has no tags any more."""
    size = int(response._get_param("ResourcesPerPage") or RESOURCES_PAGE)
    admit_page(size, RESOURCES_PAGE)
    backend = response.backend.ssm_backend
    shelf = current(backend)
    listed, token = _page(
        sorted(set(names) & set(shelf)), response._get_param("PaginationToken"), size, sizes
    )
    tags = {name: tags_of(backend, shelf[name].name) for name in listed}
    filters = response._get_param("TagFilters", [])
    entries = [
        {"ResourceARN": place.arn(name), "Tags": [{"Key": k, "Value": v} for k, v in found.items()]}
        for name, found in tags.items()
        if _has(found, filters)
    ]
    return json.dumps({"ResourceTagMappingList": entries, "PaginationToken": token})


def _has(tags: Mapping[str, str], filters: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"]) for one in filters
    )


def _page(
    names: Sequence[str], token: str | None, size: int, sizes: Sequence[int]
) -> tuple[Sequence[str], str]:
    """The next names and the next token, empty at the end. `sizes` of pages are taken in turn."""
    number, after = 0, ""
    if token:
        try:
            number, after = json.loads(base64.b64decode(token))
        except ValueError:
            raise Refusal("InvalidNextToken", "this is not a token", Trouble.TOKEN) from None
    wanted = min(size, sizes[number % len(sizes)]) if sizes else size
    start = bisect_right(names, after)
    page = names[start : start + wanted]
    if start + wanted >= len(names):
        return page, ""
    last = page[-1] if page else after
    return page, base64.b64encode(json.dumps([number + 1, last]).encode()).decode()
