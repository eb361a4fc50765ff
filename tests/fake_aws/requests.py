"""Single requests with the arguments of boto3 -> responses of the simulated AWS (`RequestStore.send`).

Only the operations and arguments of `doctor --probe`. A request with another argument fails the test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ssm_reconcile.model import Place, SealedText, canonical
from tests.fake_aws.region import Region, Stored
from tests.fake_aws.request import Request
from tests.fake_aws.rules import admit_names
from tests.fake_aws.world import World

_FIELDS = {
    "Name": "name", "Type": "type", "Overwrite": "overwrite", "Tier": "tier",
    "AllowedPattern": "allowed_pattern",
}  # fmt: skip


def names_of(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The names in a request; a path counts as one."""
    for key in ("Name", "ResourceId", "Path"):
        if key in arguments:
            return (str(arguments[key]),)
    return tuple(arguments.get("Names", ()))


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers the requests of one identity in one place."""

    world: World
    place: Place
    caller: str

    def respond(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response; a refusal of AWS is raised as `Refusal`."""
        answers: Mapping[str, Callable[..., Mapping[str, Any]]] = {
            "PutParameter": self._put,
            "AddTagsToResource": self._tag,
            "ListTagsForResource": self._list_tags,
            "LabelParameterVersion": self._label,
            "DeleteParameters": self._delete,
            "GetParameters": self._get,
            "GetParametersByPath": self._get_by_path,
            "DescribeParameters": self._describe,
            "GetResources": self._resources,
        }
        return answers[operation](**arguments)

    @property
    def _region(self) -> Region:
        return self.world.region(self.place)

    def _view(self, lag: Any) -> Mapping[str, Stored]:
        return self._region.as_of(self.world.clock.now() - lag)

    def _put(self, Value: str, Tags: Any = None, **more: Any) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        tags = None if Tags is None else tuple((one["Key"], one["Value"]) for one in Tags)
        fields = {_FIELDS[key]: value for key, value in more.items()}
        request = Request(value=SealedText(Value), tags=tags, **fields)
        return {"Version": self.world.write(self.place, request, self.caller)}

    def _tag(self, ResourceType: str, ResourceId: str, Tags: Any) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        assert ResourceType == "Parameter"
        tags = {one["Key"]: one["Value"] for one in Tags}
        self._region.tag(ResourceId, tags, self.world.clock.now())
        return {}

    def _list_tags(self, ResourceType: str, ResourceId: str) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        assert ResourceType == "Parameter"
        return {"TagList": _pairs(self._region.find(ResourceId).tags)}

    def _label(self, Name: str, ParameterVersion: int, Labels: Any) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        self._region.label(Name, ParameterVersion, Labels[0], self.world.clock.now())
        return {"InvalidLabels": []}

    def _delete(self, Names: list[str]) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        admit_names(Names, self.world.readings)
        known = [name for name in Names if self.world.peek(self.place, name) is not None]
        self.world.delete(self.place, *known)
        return {"DeletedParameters": known, "InvalidParameters": [one for one in Names if one not in known]}

    def _get(self, Names: list[str], *, WithDecryption: bool = False) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        assert not WithDecryption
        admit_names(Names, self.world.readings)
        view = self._view(self.world.lag.values)
        found = [view[name] for name in sorted({canonical(name) for name in Names}) if name in view]
        return {"Parameters": [_shown(one) for one in found]}

    def _get_by_path(self, MaxResults: int, NextToken: str = "", **more: Any) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        path = more.pop("Path")
        assert more == {"Recursive": True, "WithDecryption": False}
        view = self._view(self.world.lag.describe)
        names = sorted(name for name in view if name.startswith(f"{path}/") and name > NextToken)
        page = names[:MaxResults]
        token = {"NextToken": page[-1]} if len(names) > MaxResults else {}
        return {"Parameters": [_shown(view[name]) for name in page], **token}

    def _describe(self, MaxResults: int) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        return {"Parameters": [{"Name": name} for name in sorted(self._region.parameters)[:MaxResults]]}

    def _resources(self, ResourceTypeFilters: Any, TagFilters: Any) -> Mapping[str, Any]:  # noqa: N803 - of AWS
        assert ResourceTypeFilters == ["ssm:parameter"]
        (wanted,) = TagFilters
        found = [
            {"ResourceARN": self.place.arn(name), "Tags": _pairs(one.tags)}
            for name, one in self._view(self.world.lag.resources).items()
            if one.tags.get(wanted["Key"]) in wanted["Values"]
        ]
        return {"ResourceTagMappingList": found, "PaginationToken": ""}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _shown(stored: Stored) -> dict[str, Any]:
    parameter, text = stored.latest.parameter, stored.latest.settled.value
    value = "encrypted" if parameter.is_secret else text.reveal()
    return {
        "Name": parameter.name, "Type": parameter.type, "Value": value, "Version": parameter.version,
        "LastModifiedDate": parameter.last_modified,
    }  # fmt: skip
