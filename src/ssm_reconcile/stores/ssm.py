"""Parameters in AWS: `base.Reader` and `base.Writer` over boto3.

    Aws(...).connect(access)  ->  SsmStore     asks STS who we are, and which account this is

Reads are retried by `calls` at the pace of `rates`; a write is one request. What AWS says is put into
our nouns by `wire`, what goes wrong by `failures`. boto3 is imported when a place is opened, so that
importing this module costs nothing.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ssm_reconcile.aws_limits import NAMES_PER_CALL, PARAMETER_LIMITS, CallClass
from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import ADVANCED, Access, Key, Parameter, Place, Tags, canonical, sorted_tags
from ssm_reconcile.stores import rates
from ssm_reconcile.stores.base import Answers, Put, Settings
from ssm_reconcile.stores.calls import Calls
from ssm_reconcile.stores.failures import tier_is_unknown
from ssm_reconcile.stores.keys import Keys
from ssm_reconcile.stores.session import Clients, Door
from ssm_reconcile.stores.settings import read_settings
from ssm_reconcile.stores.values import Values
from ssm_reconcile.stores.wire import forms, name_in, parameter_of, put_arguments, tags_of

if TYPE_CHECKING:
    from types_boto3_ssm.type_defs import (
        DescribeParametersRequestTypeDef,
        ParameterStringFilterTypeDef,
        PutParameterResultTypeDef,
        TagTypeDef,
    )

DESCRIBE_PAGE = 50
"""Parameters a page of DescribeParameters, and names a filter (aws-facts A1)."""
TAGGED_PAGE = 100
"""Resources a page of GetResources (aws-facts A2)."""
PARAMETER_LIMIT = "ParameterLimitExceeded"


class Aws:
    """Opens places in AWS. One of these a process: places opened through it share their rates."""

    def __init__(
        self,
        profile: str | None = None,
        endpoint_url: str | None = None,
        *,
        clock: Clock,
        parallelism: int = 8,
        jitter: Callable[[], float] = random.random,
        told: rates.Told | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            profile: of the AWS configuration; None leaves it to boto3 (`AWS_PROFILE`).
            endpoint_url: for every service, STS included; None leaves it to `AWS_ENDPOINT_URL*`.
            clock: paces calls and retries.
            parallelism: requests under way at a time while values are read.
            jitter: a random number in [0, 1), for the pauses between retries.
            told: hears at which rate each place is asked, and when AWS's throttling changes it.
        """
        self._door = Door(profile, endpoint_url, clock, jitter, parallelism)
        self._rates = rates.Rates(clock, told)
        self._clock = clock
        self._jitter = jitter
        self._parallelism = parallelism
        self._opening = threading.Lock()

    def connect(self, access: Access) -> SsmStore:
        """A place, identified by GetCallerIdentity; raises StoreError. May be called from any thread."""
        with self._opening:  # clients are made by one thread at a time (aws-facts A6)
            clients = self._door.open(access)
        place, caller = self._door.identify(clients, access)
        buckets = self._rates.of(place, access.rates)
        calls = Calls(str(place), caller, buckets, self._clock, self._jitter, self._door.profile)
        return SsmStore(place, caller, clients, calls, self._parallelism)


class SsmStore:
    """One place in AWS. Thread-safe. Every method raises StoreError when its call fails."""

    def __init__(self, place: Place, caller: str, clients: Clients, calls: Calls, parallelism: int) -> None:
        self._place = place
        self._caller = caller
        self._clients = clients
        self._ssm = clients.ssm
        self._tagging = clients.tagging
        self._calls = calls
        self._values = Values(clients.ssm, calls, parallelism)
        self._keys = Keys(clients.kms, place, calls)
        self._tiers = True
        self._untagged: StoreError | None = None
        self._listed: Counter[str] = Counter()

    @property
    def place(self) -> Place:
        """The account and region that STS answered for the credentials in use."""
        return self._place

    @property
    def caller(self) -> str:
        """The ARN of the identity that reads and writes here."""
        return self._caller

    # Reader

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """Every parameter of the place, a page at a time (DescribeParameters, unfiltered).

        After a token that expired the listing begins anew: names then come twice, and the later page
        is the newer truth.
        """
        tiers: dict[str, str] = {}
        for page in self._described(None):
            tiers.update((one.name, one.tier) for one in page)
            yield page
        self._listed = Counter(tiers.values())

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """The named parameters that exist, by canonical name, fifty names a call."""
        asked = list(dict.fromkeys(form for name in names for form in forms(canonical(name))))
        wanted = {canonical(name) for name in asked}
        found: dict[str, Parameter] = {}
        for start in range(0, len(asked), DESCRIBE_PAGE):
            values = asked[start : start + DESCRIBE_PAGE]
            for page in self._described({"Key": "Name", "Option": "Equals", "Values": values}):
                found.update((canonical(one.name), one) for one in page if canonical(one.name) in wanted)
                if all(canonical(value) in found for value in values):
                    break  # a filter may not shorten the walk (aws-facts A1.1); the last name ends it
        return found

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """Canonical names of all parameters whose tag `key` has one of the values, or any for none given.

        A filter does not make it cheaper: AWS walks the whole place for it (aws-facts A1.1).
        """
        tag = f"tag:{key}"
        filters: list[ParameterStringFilterTypeDef] = [
            {"Key": tag, "Option": "Equals", "Values": list(values[start : start + DESCRIBE_PAGE])}
            for start in range(0, len(values), DESCRIBE_PAGE)
        ]
        pages = (page for chosen in filters or [{"Key": tag}] for page in self._described(chosen))
        return frozenset(canonical(parameter.name) for page in pages for parameter in page)

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """Tags by canonical name, a page at a time (GetResources): eventually consistent.

        Lists what is tagged or once was, never what was never tagged (aws-facts A2). After a token
        that expired the listing begins anew, as in `describe`. An endpoint that never answered raises
        StoreError (UNREACHABLE), at once when it is asked again.
        """
        if self._untagged is not None:
            raise self._untagged
        pages = self._calls.pages("GetResources", self._tagged_page, replaceable=True)
        try:
            yield from pages
        except StoreError as failure:
            if failure.answered:
                raise
            self._untagged = self._calls.trouble(
                Trouble.UNREACHABLE, failure.operation, failure.code, failure.remedy
            )
        if self._untagged is not None:  # raised here, or it would carry the original along
            raise self._untagged

    def tags(self, name: str) -> Tags | None:
        """The tags of one parameter, consistent (ListTagsForResource); None when it is not there."""
        for form in forms(canonical(name)):
            ask = partial(self._listed_tags, form)
            try:
                return self._calls.read("ListTagsForResource", ask)
            except StoreError as failure:
                if failure.kind is not Trouble.MISSING:
                    raise
        return None

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Values by GetParameters, ten at a time and side by side; a name may be `name:version`."""
        return self._values.read(names, decrypt=decrypt)

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Aliases, ids and ARNs resolved to keys (ListAliases, DescribeKey), cached for the run."""
        return self._keys.resolve(list(references), fresh=fresh)

    def settings(self) -> Settings:
        """What the place is set to (GetServiceSetting), and the time there; never raises."""
        return read_settings(self._clients, self._calls)

    # Writer

    def await_turn(self, kind: CallClass) -> None:
        """Waits until the rate of the place lets a write of that kind out."""
        self._calls.rates[kind].take()

    def put(self, request: Put) -> int:
        """Writes a parameter and returns its version (PutParameter)."""
        try:
            return self._calls.write("PutParameter", lambda: self._put(request)["Version"])
        except StoreError as failure:
            if failure.code != PARAMETER_LIMIT or not self._listed:
                raise
            counts = " and ".join(f"{self._listed[tier]:,} {tier}" for tier in PARAMETER_LIMITS)
            listed = f"the last listing of {self._place} has {counts} parameters"
            remedy = f"{listed}; {failure.remedy}"
            crowded = self._calls.trouble(failure.kind, failure.operation, failure.code, remedy)
        raise crowded

    def add_tags(self, name: str, tags: Tags) -> None:
        """Adds or overwrites tags (AddTagsToResource); none is no call."""
        pairs: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in sorted_tags(tags)]
        if pairs:
            ask = partial(
                self._ssm.add_tags_to_resource, ResourceType="Parameter", ResourceId=name, Tags=pairs
            )
            self._calls.write("AddTagsToResource", ask)

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        """Removes tags (RemoveTagsFromResource); none is no call."""
        if keys:
            ask = partial(
                self._ssm.remove_tags_from_resource,
                ResourceType="Parameter",
                ResourceId=name,
                TagKeys=sorted(set(keys)),
            )
            self._calls.write("RemoveTagsFromResource", ask)

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        """Deletes up to ten parameters and returns the canonical names that are gone now.

        Raises ValueError for more than ten: AWS takes no more, some emulators do.
        """
        if len(names) > NAMES_PER_CALL:
            message = f"DeleteParameters takes {NAMES_PER_CALL} names, not {len(names)}"
            raise ValueError(message)
        if not names:
            return frozenset()
        return self._calls.write("DeleteParameters", partial(self._delete, names))

    def _described(self, chosen: ParameterStringFilterTypeDef | None) -> Iterator[Sequence[Parameter]]:
        return self._calls.pages("DescribeParameters", partial(self._described_page, chosen))

    def _described_page(
        self, chosen: ParameterStringFilterTypeDef | None, token: str | None
    ) -> tuple[Sequence[Parameter], str | None]:
        arguments: DescribeParametersRequestTypeDef = {"MaxResults": DESCRIBE_PAGE}
        if chosen is not None:
            arguments["ParameterFilters"] = [chosen]
        if token is not None:
            arguments["NextToken"] = token
        answer = self._ssm.describe_parameters(**arguments)
        # a page with a token may hold nothing; without either it is no answer at all
        told = answer["Parameters"] if "NextToken" not in answer else answer.get("Parameters", [])
        return [parameter_of(one) for one in told], answer.get("NextToken")

    def _tagged_page(self, token: str | None) -> tuple[Mapping[str, Tags], str | None]:
        answer = self._tagging.get_resources(
            ResourceTypeFilters=["ssm:parameter"], ResourcesPerPage=TAGGED_PAGE, PaginationToken=token or ""
        )
        told = answer["ResourceTagMappingList"]
        named = ((name_in(one["ResourceARN"], self._place), one.get("Tags", ())) for one in told)
        page = {name: tags_of(tags) for name, tags in named if name is not None}
        return page, answer.get("PaginationToken")

    def _listed_tags(self, name: str) -> Tags:
        answer = self._ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
        return tags_of(answer["TagList"])

    def _delete(self, names: Sequence[str]) -> frozenset[str]:
        answer = self._ssm.delete_parameters(Names=list(names))
        invalid = answer.get("InvalidParameters", [])
        gone = (*(answer.get("DeletedParameters", []) if invalid else answer["DeletedParameters"]), *invalid)
        return frozenset(map(canonical, gone))

    def _put(self, request: Put) -> PutParameterResultTypeDef:
        """Send one PutParameter; a second one where the partition has no tiers, which was a clean refusal.

        What has to be Advanced is refused there: written as Standard it would differ for ever.
        """
        arguments = put_arguments(request)
        if self._tiers or request.tier == ADVANCED:
            try:
                return self._ssm.put_parameter(**arguments)
            except Exception as error:
                if not tier_is_unknown(error) or request.tier == ADVANCED:
                    raise
                self._tiers = False
        del arguments["Tier"]
        return self._ssm.put_parameter(**arguments)
