"""moto's SSM with AWS's rules in front of it: what AWS refuses is refused, what AWS shows is shown.

    with StrictMoto(readings, clock=clock) as strict:
        boto3.client("ssm", ...)            anything in this process that talks to moto

moto keeps the parameters; this stands between its endpoint and its store, so it works for clients of
this process and for a ThreadedMotoServer in it (`serving=True`: whoever runs the server starts moto).

Differences between moto and AWS that it closes: the ARN and LastModifiedUser of a description, the Selector
of a value; limits on names, pages, tags, sizes and policies; AllowedPattern; a change of type, after which a
String has no KeyId; Intelligent-Tiering resolved, no downgrade of a tier; policy texts as strings, `[{}]`
clears them; omitted fields by `AwsBehaviour`; keys that are unknown, of another region, disabled or going;
ciphertext without the plaintext; integrations; thirty seconds after a delete, tags gone after it; public
parameters and previously tagged ones; a hundred a page; listings while others write; the quadratic scan.
A filter shortens pages, not their number (issue boto/boto3#1079).

Not closed: GetParameters by ARN, filters by DataType, Shared, GetServiceSetting, ByPath, image ids, events;
lags and throttling (fault hooks).

Its refusals of writes quote the value, as AWS's do, so that a test for silence has something to find.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from typing import Any, Self
from unittest import mock

from cryptography.hazmat.primitives.asymmetric import rsa
from moto import mock_aws
from moto.core.responses import ActionResult, EmptyResult
from moto.resourcegroupstaggingapi.responses import ResourceGroupsTaggingAPIResponse
from moto.ssm.exceptions import SSMException
from moto.ssm.responses import SimpleSystemManagerResponse
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import IMAGE, SECURE, STANDARD, TEXT, Place, SealedText, canonical
from ssm_reconcile.system import Clock
from tests.doubles import strict_listings as listings
from tests.doubles.strict_keys import key_id_of, key_state, reported
from tests.fake_aws.behaviour import AwsBehaviour, Expired, Moves
from tests.fake_aws.policies import is_past
from tests.fake_aws.refusal import Refusal
from tests.fake_aws.request import Request, Settled, parse_policies
from tests.fake_aws.rules import (
    STANDARD_PARAMETERS,
    Ground,
    admit,
    admit_names,
    admit_tags,
    admit_untag,
)

_SSM = ("put_parameter", "get_parameter", "get_parameters", "describe_parameters", "delete_parameter",
        "delete_parameters", "add_tags_to_resource", "remove_tags_from_resource",
        "label_parameter_version")  # fmt: skip


_generate_private_key = cache(rsa.generate_private_key)
"""moto makes an RSA key for each KMS key, whatever its kind. No test compares them, and each takes 0.1 s."""


class StrictMoto:
    """A moto that refuses what AWS refuses. Enter it; `settings` are read at each call."""

    def __init__(
        self,
        readings: AwsBehaviour | None = None,
        *,
        clock: Clock | None = None,
        pages: Sequence[int] = (),
        resource_pages: Sequence[int] = (),
        serving: bool = False,
    ) -> None:
        self.readings = readings or AwsBehaviour()
        self.clock = clock
        self.pages = tuple(pages)
        self.resource_pages = tuple(resource_pages)
        self.deleted: dict[tuple[Place, str], datetime] = {}
        self.tagged: set[tuple[Place, str]] = set()
        self._serving = serving
        self._lock = threading.RLock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if not self._serving:
            self._stack.enter_context(mock_aws())
        self._stack.enter_context(mock.patch.object(rsa, "generate_private_key", _generate_private_key))
        for action in _SSM:
            original = getattr(SimpleSystemManagerResponse, action)
            self._patch(SimpleSystemManagerResponse, action, getattr(self, f"_{action}"), original)
        original = ResourceGroupsTaggingAPIResponse.get_resources
        self._patch(ResourceGroupsTaggingAPIResponse, "get_resources", self._get_resources, original)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _patch(
        self, where: type, action: str, strict: Callable[..., Any], original: Callable[..., Any]
    ) -> None:
        def answer(response: Any) -> Any:
            with self._lock:
                try:
                    return strict(response, original)
                except Refusal as refusal:
                    value = response._get_param("Value")
                    quoted = f" Value '{value}' at 'value' is not taken." if value else ""
                    raise SSMException(refusal.code, f"{refusal.reason}.{quoted}") from None

        self._stack.enter_context(mock.patch.object(where, action, answer))

    def now(self) -> datetime:
        """AWS's own time, in milliseconds."""
        now = datetime.now(UTC) if self.clock is None else self.clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    # Writes

    def _put_parameter(self, response: Any, _original: object) -> ActionResult:
        backend, get = response.ssm_backend, response._get_param
        place = place_of(response)
        tags = get("Tags")
        request = Request(
            name=get("Name"),
            value=SealedText(get("Value") or ""),
            type=get("Type"),
            overwrite=bool(get("Overwrite")),
            description=get("Description"),
            allowed_pattern=get("AllowedPattern"),
            tier=get("Tier"),
            policies=get("Policies"),
            data_type=get("DataType"),
            key_id=get("KeyId"),
            tags=None if tags is None else tuple((tag["Key"], tag["Value"]) for tag in tags),
        )
        versions = listings.versions_of(backend, request.name.strip(" "))
        present = settled_of(versions[-1]) if versions else None
        settled = admit(request, present, self._ground(backend, place, request.name.strip(" "), versions))
        name = versions[-1].name if versions else request.name.strip(" ")
        made = backend.put_parameter(
            name=name,
            description=settled.description,
            value=settled.value.reveal(),
            parameter_type=settled.type,
            allowed_pattern=settled.allowed_pattern,
            keyid="" if settled.key_id is None else reported(place, settled.key_id, self.readings),
            overwrite=request.overwrite,
            tags=tags,
            data_type=settled.data_type if settled.data_type in (TEXT, IMAGE) else TEXT,
            tier=settled.tier,
            policies=None,
        )
        made.data_type, made.policies, made.settled = settled.data_type, None, settled
        made.last_modified_date = self.now()
        made.last_modified_user = caller_of(response)
        made.strict_key = None if settled.key_id is None else key_id_of(place, settled.key_id)
        if tags:
            self.tagged.add((place, canonical(name)))
        self._expire(backend, place, made)
        return ActionResult({"Version": made.version, "Tier": made.tier})

    def _ground(self, backend: Any, place: Place, name: str, versions: Sequence[Any]) -> Ground:
        shelf = listings.current(backend)
        standard = 0
        if len(shelf) >= STANDARD_PARAMETERS:
            standard = sum(parameter.tier == STANDARD for parameter in shelf.values())
        return Ground(
            place=place,
            now=self.now(),
            readings=self.readings,
            key_state=lambda reference: key_state(place, reference),
            deleted=self.deleted.get((place, canonical(name))),
            versions=len(versions),
            oldest_labelled=bool(versions and versions[0].labels),
            crowded=standard >= STANDARD_PARAMETERS,
        )

    def _expire(self, backend: Any, place: Place, made: Any) -> None:
        if self.readings.past_expiration is not Expired.DELETED:
            return
        policies = parse_policies(f"[{','.join(made.settled.policies)}]") or []
        if any(is_past(policy, self.now()) for policy in policies):
            self._delete(backend, place, made.name)

    def _delete(self, backend: Any, place: Place, name: str) -> bool:
        found = listings.versions_of(backend, name)
        if not found:
            return False
        key = backend._parameters.normalize_name(name)
        del backend._parameters[key]
        for form in (key, canonical(key), found[-1].name):
            backend._resource_tags.get("Parameter", {}).pop(form, None)
        self.deleted[place, canonical(name)] = self.now()
        self.tagged.discard((place, canonical(name)))
        return True

    def _delete_parameter(self, response: Any, _original: object) -> EmptyResult:
        if not self._delete(response.ssm_backend, place_of(response), response._get_param("Name")):
            raise Refusal("ParameterNotFound", "the parameter does not exist")
        return EmptyResult()

    def _delete_parameters(self, response: Any, _original: object) -> ActionResult:
        names, place = response._get_param("Names"), place_of(response)
        admit_names(names, self.readings)
        gone = {name: self._delete(response.ssm_backend, place, name) for name in names}
        return ActionResult(
            {
                "DeletedParameters": [name for name in names if gone[name]],
                "InvalidParameters": [name for name in names if not gone[name]],
            }
        )

    # Tags and labels

    def _add_tags_to_resource(self, response: Any, original: Callable[..., Any]) -> Any:
        found = self._resource(response)
        if found is None:
            return original(response)
        tags = {tag["Key"]: tag["Value"] for tag in response._get_param("Tags")}
        admit_tags(listings.tags_of(response.ssm_backend, found.name), tags)
        self.tagged.add((place_of(response), canonical(found.name)))
        return self._touched(found, original(response))

    def _remove_tags_from_resource(self, response: Any, original: Callable[..., Any]) -> Any:
        found = self._resource(response)
        if found is None:
            return original(response)
        admit_untag(response._get_param("TagKeys"))
        return self._touched(found, original(response))

    def _touched(self, parameter: Any, answer: Any) -> Any:
        if self.readings.tags_move_modified is Moves.YES:
            parameter.last_modified_date = self.now()
        return answer

    def _resource(self, response: Any) -> Any:
        """The parameter whose tags are meant, by its name and not by its ARN; None for other resources."""
        if response._get_param("ResourceType") != "Parameter":
            return None
        versions = listings.versions_of(response.ssm_backend, response._get_param("ResourceId"))
        if not versions:
            raise Refusal("InvalidResourceId", "the parameter does not exist", Trouble.MISSING)
        return versions[-1]

    def _label_parameter_version(self, response: Any, original: Callable[..., Any]) -> Any:
        if not listings.versions_of(response.ssm_backend, response._get_param("Name")):
            raise Refusal("ParameterNotFound", "the parameter does not exist")
        return original(response)

    # Reads

    def _get_parameter(self, response: Any, original: Callable[..., Any]) -> Any:
        name = response._get_param("Name")
        if name.startswith(("arn:", "/aws/")):
            return original(response)
        found = listings.select(response.ssm_backend, name)
        if found is None:
            raise Refusal("ParameterNotFound", "the parameter does not exist")
        return ActionResult({"Parameter": self._shown(response, name, found)})

    def _get_parameters(self, response: Any, _original: object) -> ActionResult:
        names = response._get_param("Names")
        admit_names(names, self.readings)
        found = {name: listings.select(response.ssm_backend, name) for name in set(names)}
        shown = [self._shown(response, name, one) for name, one in found.items() if one is not None]
        absent = [name for name in names if found[name] is None]
        return ActionResult({"Parameters": shown, "InvalidParameters": absent})

    def _shown(self, response: Any, asked: str, parameter: Any) -> dict[str, Any]:
        place = place_of(response)
        return listings.value(place, asked, parameter, decrypt=bool(response._get_param("WithDecryption")))

    def _describe_parameters(self, response: Any, original: Callable[..., Any]) -> Any:
        if response._get_param("Filters"):
            return original(response)
        page = listings.describe(response, place_of(response), self.pages)
        return ActionResult(page)

    def _get_resources(self, response: Any, original: Callable[..., Any]) -> Any:
        if not set(response._get_param("ResourceTypeFilters", [])) & {"ssm", "ssm:parameter"}:
            return original(response)
        place = place_of(response)
        names = {name for where, name in self.tagged if where == place}
        return listings.resources(response, place, names, self.resource_pages)


def place_of(response: Any) -> Place:
    """The place that a request of moto is for."""
    return Place(response.current_account, response.region, get_partition(response.region))


def caller_of(response: Any) -> str:
    """Return the ARN of the caller of a request, as STS reports it."""
    place = place_of(response)
    backend = sts_backends[place.account][place.partition]
    return str(backend.get_caller_identity(response.get_access_key(), place.region)[1])


def settled_of(parameter: Any) -> Settled:
    """The attributes of a version that moto holds; those that CloudFormation made have no more."""
    known = getattr(parameter, "settled", None)
    if isinstance(known, Settled):
        return known
    return Settled(
        type=parameter.parameter_type,
        value=SealedText(parameter.value),
        description=parameter.description or "",
        allowed_pattern=parameter.allowed_pattern or "",
        tier=parameter.tier or STANDARD,
        data_type=parameter.data_type or TEXT,
        key_id=parameter.keyid if parameter.parameter_type == SECURE else None,
    )
