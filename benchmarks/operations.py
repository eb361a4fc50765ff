"""The operations that a replicator calls: JSON in, JSON out, on a `World`.

What AWS rules and no benchmark needs is not ruled here (names, sizes, patterns): that is what the
strict doubles of the test suite are for. Paging, versions, tags, filters after the page (issue
boto/boto3#1079) and batches are as in AWS.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.world import MANAGED_KEY, SECURE, Entry, Region, pairs

Body = Mapping[str, Any]


class Refused(Exception):  # noqa: N818 - an answer of AWS, not a fault of ours
    """An error answer: its code, as AWS spells it."""


class Service:
    """Serve one region. `now` returns seconds since the epoch; `sparse`: every n-th page is empty."""

    def __init__(
        self, region: Region, caller: str, now: Callable[[], float], decrypted: Counter[str], sparse: int
    ) -> None:
        self._region = region
        self._caller = caller
        self._now = now
        self._decrypted = decrypted
        self._sparse = sparse

    def serve(self, operation: str, body: Body) -> str:
        """The answer as JSON; raises Refused."""
        return _OPERATIONS[operation](self, body)

    def describe(self, body: Body) -> str:
        """DescribeParameters: up to 50 a page, filtered after the page was cut.

        Names that are asked for are looked up: whether AWS walks for them too is not known, and to
        say so here would favour us.
        """
        named = [name for f in body.get("ParameterFilters", ()) if f["Key"] == "Name" for name in f["Values"]]
        if named:
            known = [entry for entry in map(self._region.get, named) if entry is not None]
            return _listed(
                "Parameters", [e.describe(self._region.arn(e.name)) for e in known], "NextToken", None
            )
        size = body.get("MaxResults", 10)
        if not 1 <= size <= 50:
            raise Refused("ValidationException")
        start, number = _opened(body.get("NextToken"))
        if self._sparse and number % self._sparse == self._sparse - 1:
            return _listed("Parameters", [], "NextToken", _token(start, number + 1))
        found, after = self._region.page(start, size)
        for wanted in body.get("ParameterFilters", ()):
            found = [entry for entry in found if _matches(entry, wanted)]
        items = [entry.describe(self._region.arn(entry.name)) for entry in found]
        return _listed("Parameters", items, "NextToken", after and _token(after, number + 1))

    def resources(self, body: Body) -> str:
        """GetResources: up to 100 a page; everything here is tagged, or is not listed."""
        size = body.get("ResourcesPerPage", 50)
        if not 1 <= size <= 100:
            raise Refused("InvalidParameterException")
        start, number = _opened(body.get("PaginationToken"))
        found, after = self._region.page(start, size)
        items = [entry.mapping(self._region.arn(entry.name)) for entry in found if entry.tags]
        return _listed(
            "ResourceTagMappingList", items, "PaginationToken", after and _token(after, number + 1)
        )

    def values(self, body: Body) -> str:
        """GetParameters: up to ten names, each with a version or without."""
        names = body["Names"]
        if not 1 <= len(names) <= 10:
            raise Refused("ValidationException")
        found, missing = [], []
        for name in names:
            items = self._value(name, decrypt=body.get("WithDecryption", False))
            if items is None:
                missing.append(name)
            else:
                found.append(items)
        found.sort(key=lambda items: str(items["Name"]))
        return json.dumps({"Parameters": found, "InvalidParameters": missing})

    def value(self, body: Body) -> str:
        """GetParameter."""
        items = self._value(body["Name"], decrypt=body.get("WithDecryption", False))
        if items is None:
            raise Refused("ParameterNotFound")
        return json.dumps({"Parameter": items})

    def _value(self, asked: str, *, decrypt: bool) -> dict[str, Any] | None:
        name, _, selector = asked.partition(":")
        entry = self._region.get(name)
        if entry is None or (selector and selector != str(entry.version)):
            return None
        value = entry.value
        if entry.type == SECURE and decrypt:
            self._decrypted["Decrypt"] += 1
        elif entry.type == SECURE:
            value = "AQICAHj-ciphertext"
        items = {
            "Name": entry.name, "Type": entry.type, "Value": value, "Version": entry.version,
            "LastModifiedDate": entry.modified, "ARN": self._region.arn(entry.name), "DataType": "text",
        }  # fmt: skip
        return items | ({"Selector": f":{selector}"} if selector else {})

    def by_path(self, body: Body) -> str:
        """GetParametersByPath, of all levels below the path: up to ten a page."""
        prefix = f"{body['Path'].rstrip('/')}/"
        start, number = _opened(body.get("NextToken"))
        found, after = self._region.page(start or prefix, body.get("MaxResults", 10))
        names = [entry.name for entry in found if entry.name.startswith(prefix)]
        items = [json.dumps(self._value(name, decrypt=body.get("WithDecryption", False))) for name in names]
        is_last = after is None or not after.startswith(prefix)
        return _listed("Parameters", items, "NextToken", None if is_last else _token(after, number + 1))

    def put(self, body: Body) -> str:
        """PutParameter: a create with its tags, or an overwrite without."""
        old = self._region.get(body["Name"])
        overwrite = body.get("Overwrite", False)
        if overwrite and body.get("Tags"):
            raise Refused("ValidationException")
        if old is not None and not overwrite:
            raise Refused("ParameterAlreadyExists")
        kind = body.get("Type") or (old.type if old is not None else "")
        self._region.put(
            Entry(
                name=body["Name"] if old is None else old.name,
                type=kind,
                value=body["Value"],
                tags={tag["Key"]: tag["Value"] for tag in body.get("Tags", ())} if old is None else old.tags,
                version=1 if old is None else old.version + 1,
                modified=round(self._now(), 3),
                user=self._caller,
                description=body.get("Description", ""),
                pattern=body.get("AllowedPattern", ""),
                tier=body.get("Tier", "Standard"),
                key_id=body.get("KeyId", MANAGED_KEY) if kind == SECURE else None,
            )
        )
        written = self._region.get(body["Name"])
        assert written is not None
        return json.dumps({"Version": written.version, "Tier": written.tier})

    def delete_many(self, body: Body) -> str:
        """DeleteParameters: up to ten names."""
        names = body["Names"]
        if not 1 <= len(names) <= 10:
            raise Refused("ValidationException")
        gone = [name for name in names if self._region.remove(name)]
        return json.dumps(
            {"DeletedParameters": gone, "InvalidParameters": [n for n in names if n not in gone]}
        )

    def delete(self, body: Body) -> str:
        """DeleteParameter."""
        if not self._region.remove(body["Name"]):
            raise Refused("ParameterNotFound")
        return "{}"

    def _tagged(self, body: Body) -> Entry:
        entry = self._region.get(body["ResourceId"])
        if entry is None:
            raise Refused("InvalidResourceId")
        return entry

    def list_tags(self, body: Body) -> str:
        """ListTagsForResource."""
        return json.dumps({"TagList": pairs(self._tagged(body).tags)})

    def add_tags(self, body: Body) -> str:
        """AddTagsToResource."""
        entry = self._tagged(body)
        entry.tags.update((tag["Key"], tag["Value"]) for tag in body["Tags"])
        entry.touch(tags_only=True)
        return "{}"

    def remove_tags(self, body: Body) -> str:
        """RemoveTagsFromResource."""
        entry = self._tagged(body)
        for key in body["TagKeys"]:
            entry.tags.pop(key, None)
        entry.touch(tags_only=True)
        return "{}"

    def setting(self, body: Body) -> str:
        """GetServiceSetting, of the settings of Parameter Store."""
        values = {
            "/ssm/parameter-store/high-throughput-enabled": str(self._region.higher_throughput).lower(),
            "/ssm/parameter-store/default-parameter-tier": "Standard",
        }
        if body["SettingId"] not in values:
            raise Refused("ServiceSettingNotFound")
        items = {"SettingId": body["SettingId"], "SettingValue": values[body["SettingId"]]}
        return json.dumps({"ServiceSetting": items})

    def aliases(self, _: Body) -> str:
        """ListAliases, all on one page."""
        items = [
            {"AliasName": alias, "TargetKeyId": key, "AliasArn": self._region.key_arn(key)}
            for alias, key in self._region.aliases.items()
        ]
        return json.dumps({"Aliases": items, "Truncated": False})

    def key(self, body: Body) -> str:
        """DescribeKey, of keys that an alias points to."""
        key = body["KeyId"].rpartition("/")[2]
        if key not in self._region.aliases.values():
            raise Refused("NotFoundException")
        items = {
            "KeyId": key, "Arn": self._region.key_arn(key), "KeyState": "Enabled", "KeyManager": "CUSTOMER",
            "KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": False,
        }  # fmt: skip
        return json.dumps({"KeyMetadata": items})


def _listed(field: str, items: list[str], token_field: str, token: str | None) -> str:
    after = f',"{token_field}":{json.dumps(token)}' if token else ""
    return f'{{"{field}":[{",".join(items)}]{after}}}'


def _token(start: str | None, number: int) -> str:
    """A token: how many pages there were, and the name to go on with."""
    return f"{number}|{start or ''}"


def _opened(token: str | None) -> tuple[str | None, int]:
    if not token:
        return None, 0
    number, _, start = token.partition("|")
    return start or None, int(number)


def _matches(entry: Entry, wanted: Body) -> bool:
    """Tag filters; others are taken for met."""
    values = wanted.get("Values")
    tag = wanted["Key"].removeprefix("tag:")
    if tag == wanted["Key"]:
        return True
    return entry.tags.get(tag) in values if values else tag in entry.tags


_OPERATIONS: Mapping[str, Callable[[Service, Body], str]] = {
    "DescribeParameters": Service.describe,
    "GetResources": Service.resources,
    "GetParameters": Service.values,
    "GetParameter": Service.value,
    "GetParametersByPath": Service.by_path,
    "PutParameter": Service.put,
    "DeleteParameters": Service.delete_many,
    "DeleteParameter": Service.delete,
    "ListTagsForResource": Service.list_tags,
    "AddTagsToResource": Service.add_tags,
    "RemoveTagsFromResource": Service.remove_tags,
    "GetServiceSetting": Service.setting,
    "ListAliases": Service.aliases,
    "DescribeKey": Service.key,
}
KNOWN = frozenset(_OPERATIONS)
"""The operations that are served, without STS."""
