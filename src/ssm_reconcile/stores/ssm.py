"""Parameters in AWS: `base.Reader` and `base.Writer` over boto3.

    Aws(...).connect(access)  ->  SsmStore     asks STS for the identity and the account

Reads are retried by `calls` at the rates of `rates`; a write is one request. `wire` converts between AWS's
JSON and our types, `failures` converts exceptions. boto3 is imported when a place is opened, so importing
this module is cheap.
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ssm_reconcile.aws_limits import NAMES_PER_CALL, PARAMETER_LIMITS, CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import ADVANCED, Access, Key, Parameter, Place, Tags, Value, canonical, sorted_tags
from ssm_reconcile.stores.base import Answers, PastVersion, Put, Settings
from ssm_reconcile.stores.buckets import RateListener, Rates
from ssm_reconcile.stores.calls import Calls, attempt
from ssm_reconcile.stores.failures import tier_is_unknown
from ssm_reconcile.stores.keys import Keys
from ssm_reconcile.stores.session import READ_SECONDS, ClientFactory, Clients
from ssm_reconcile.stores.wire import (
    batches,
    forms,
    name_in,
    parameter_of,
    past_version_of,
    put_arguments,
    tags_of,
    value_of,
)
from ssm_reconcile.system import Clock, ReadPool

if TYPE_CHECKING:
    from types_boto3_ssm.client import SSMClient
    from types_boto3_ssm.type_defs import (
        DescribeParametersRequestTypeDef,
        ParameterStringFilterTypeDef,
        PutParameterResultTypeDef,
        ServiceSettingTypeDef,
        TagTypeDef,
    )

DESCRIBE_PAGE = 50
"""Parameters in a page of DescribeParameters (MaxResults), and values of a filter (ParameterStringFilter)."""
HISTORY_PAGE = 50
"""Versions in a page of GetParameterHistory (MaxResults)."""
TAGGED_PAGE = 100
"""Resources in a page of GetResources (ResourcesPerPage)."""
TIER_SETTING = "/ssm/parameter-store/default-parameter-tier"
THROUGHPUT_SETTING = "/ssm/parameter-store/high-throughput-enabled"
"""Ids of service settings (GetServiceSetting, SettingId)."""
PARAMETER_LIMIT = "ParameterLimitExceeded"
_NAME_FAILURES = frozenset({Trouble.DENIED, Trouble.KEY, Trouble.MISSING, Trouble.REFUSED})
_PLACE_FAILURES = frozenset({Trouble.LOST, Trouble.THROTTLED})
_GIVE_UP_AFTER = 3


class Aws:
    """Opens places in AWS. Use one instance in a process: the places opened through it share their rates."""

    def __init__(
        self,
        profile: str | None = None,
        endpoint_url: str | None = None,
        *,
        clock: Clock,
        parallelism: int = 8,
        jitter: Callable[[], float] = random.random,
        on_rate: RateListener | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        """Make no call yet.

        Args:
            profile: the profile of the AWS configuration; None leaves it to boto3 (`AWS_PROFILE`).
            endpoint_url: the endpoint of every service, STS included; None leaves it to `AWS_ENDPOINT_URL*`.
            clock: for rates and retries.
            parallelism: the most reads of one class of operations that are open in one place.
            jitter: a random number in [0, 1), for the pauses between retries and between calls.
            on_rate: receives the rates of each place, and their changes by throttling.
            read_seconds: time to wait for a response.
        """
        self._clients = ClientFactory(
            profile, endpoint_url, clock, jitter, parallelism, read_seconds=read_seconds
        )
        self._rates = Rates(clock, on_rate, parallelism, jitter)

    def connect(self, access: Access) -> SsmStore:
        """Open a place and identify it by GetCallerIdentity. Thread-safe. Raise StoreError."""
        factory = self._clients
        clients = factory.create(access)
        place, caller = factory.identify(clients, access)
        buckets = self._rates.of(place, access.rates, probe=access.probe, read_only=access.read_only)
        calls = Calls(str(place), caller, buckets, factory.clock, factory.jitter, factory.profile)
        return SsmStore(place, caller, clients, calls, factory.parallelism)


class SsmStore:
    """One account and region in AWS. Thread-safe. Every method raises StoreError when its call fails.

    `place` is the account and region that STS returned, `caller` the ARN of the identity in use.
    """

    def __init__(self, place: Place, caller: str, clients: Clients, calls: Calls, parallelism: int) -> None:
        self.place = place
        self.caller = caller
        self._clients = clients
        self._ssm = clients.ssm
        self._calls = calls
        self._parallelism = parallelism
        self._keys = Keys(clients.kms, place, calls)
        self._has_tiers = True
        self._tagging_failure: StoreError | None = None
        self._listed_tiers: Counter[str] = Counter()

    # Reader

    def describe(self) -> Iterator[Sequence[Parameter]]:
        """Yield every parameter of the place, page by page (DescribeParameters without a filter).

        After an expired token the listing restarts: names are then repeated, and the later page is the newer
        one.
        """
        tiers: dict[str, str] = {}
        for page in self._described(None):
            tiers.update((one.name, one.tier) for one in page)
            yield page
        self._listed_tiers = Counter(tiers.values())

    def describe_names(self, names: Iterable[str]) -> Mapping[str, Parameter]:
        """Return the named parameters that exist, by canonical name; fifty names in a call."""
        asked = list(dict.fromkeys(form for name in names for form in forms(canonical(name))))
        wanted = {canonical(name) for name in asked}
        found: dict[str, Parameter] = {}
        for start in range(0, len(asked), DESCRIBE_PAGE):
            values = asked[start : start + DESCRIBE_PAGE]
            for page in self._described({"Key": "Name", "Option": "Equals", "Values": values}):
                found.update((canonical(one.name), one) for one in page if canonical(one.name) in wanted)
                if all(canonical(value) in found for value in values):
                    break  # all are found; the filter would not end the listing early (boto/boto3#1079)
        return found

    def names_tagged(self, key: str, values: Sequence[str]) -> frozenset[str]:
        """Return the canonical names of all parameters whose tag `key` has one of the values.

        Without `values`, any value counts. The filter saves no calls: AWS returns pages for the whole place,
        most of them empty (boto/boto3#1079).
        """
        tag = f"tag:{key}"
        filters: list[ParameterStringFilterTypeDef] = [
            {"Key": tag, "Option": "Equals", "Values": list(values[start : start + DESCRIBE_PAGE])}
            for start in range(0, len(values), DESCRIBE_PAGE)
        ]
        pages = (page for chosen in filters or [{"Key": tag}] for page in self._described(chosen))
        return frozenset(canonical(parameter.name) for page in pages for parameter in page)

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        """Yield tags by canonical name, page by page (GetResources); eventually consistent.

        Parameters that never had a tag are not listed (GetResources). After an expired token the listing
        restarts, as in `describe`.

        Raises:
            StoreError: UNREACHABLE when the endpoint never responds; immediately when it is called again.
        """
        if self._tagging_failure is not None:
            raise self._tagging_failure
        pages = self._calls.pages("GetResources", self._tagged_page, replaceable=True)
        try:
            yield from pages
        except StoreError as failure:
            if failure.answered:
                raise
            self._tagging_failure = self._calls.error(
                Trouble.UNREACHABLE, failure.operation, failure.code, failure.remedy
            )
        if self._tagging_failure is not None:  # outside of `except`, where Python would chain the original
            raise self._tagging_failure

    def tags(self, name: str) -> Tags | None:
        """Return the tags of one parameter (ListTagsForResource, consistent); None when it does not exist."""
        for form in forms(canonical(name)):
            ask = partial(self._listed_tags, form)
            try:
                return self._calls.read("ListTagsForResource", ask)
            except StoreError as failure:
                if failure.kind is not Trouble.MISSING:
                    raise
        return None

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        """Return values by GetParameters, ten in a call, calls in parallel; a name may be `name:version`."""
        return _ValueReads(self._ssm, self._calls, self._parallelism, decrypt).read(names)

    def history(self, name: str) -> Sequence[PastVersion]:
        """Return the versions that AWS keeps of a parameter, by version (GetParameterHistory, 50 a page)."""
        found: dict[int, PastVersion] = {}  # by version: after an expired token, pages are repeated
        for form in forms(canonical(name)):
            try:
                for page in self._calls.pages("GetParameterHistory", partial(self._past_page, form)):
                    found |= {past.parameter.version: past for past in page}
                break
            except StoreError as failure:
                if failure.kind is not Trouble.MISSING:
                    raise
        return [found[version] for version in sorted(found)]

    def keys(self, references: Iterable[str], *, fresh: bool = False) -> Mapping[str, Key]:
        """Return keys by alias, id or ARN (ListAliases, DescribeKey), cached for the run."""
        return self._keys.resolve(list(references), fresh=fresh)

    def settings(self) -> Settings:
        """Return the service settings of the place (GetServiceSetting) and its time; never raise."""
        failures: list[StoreError] = []
        found: dict[str, str] = {}
        for setting in (TIER_SETTING, THROUGHPUT_SETTING):
            try:
                found[setting] = self._setting(setting)
            except StoreError as failure:
                failures.append(failure)
        on = found.get(THROUGHPUT_SETTING)
        return Settings(
            default_tier=found.get(TIER_SETTING),
            high_throughput=None if on is None else _is_on(on),
            moment=self._moment(),
            trouble=str(failures[0]) if failures else "",
            denied=any(failure.kind is Trouble.DENIED for failure in failures),
        )

    def has_higher_throughput(self) -> bool:
        """Return whether the setting for higher throughput is on (GetServiceSetting, one attempt)."""
        return _is_on(self._setting(THROUGHPUT_SETTING))

    # Writer

    def await_turn(self, kind: CallClass) -> None:
        """Wait until the rate of the place allows a write of that class."""
        self._calls.rates[kind].take()

    def is_rate_set(self, kind: CallClass) -> bool:
        """Return whether all replications that write in this place set the rate of that class."""
        return self._calls.rates[kind].is_set

    def set_default_rate(self, kind: CallClass, rate: float) -> None:
        """Use another default rate, in calls per second; it counts unless all specs set the rate."""
        self._calls.rates[kind].set_default(rate)

    def put(self, request: Put) -> int:
        """Write a parameter and return its version (PutParameter).

        Raises:
            StoreError: the write failed; at the limit of parameters, the remedy has the counts of the last
                listing.
        """
        try:
            return self._calls.write("PutParameter", lambda: self._put(request)["Version"])
        except StoreError as failure:
            if failure.code != PARAMETER_LIMIT or not self._listed_tiers:
                raise
            counts = " and ".join(f"{self._listed_tiers[tier]:,} {tier}" for tier in PARAMETER_LIMITS)
            remedy = f"the last listing of {self.place} has {counts} parameters; {failure.remedy}"
            crowded = self._calls.error(failure.kind, failure.operation, failure.code, remedy)
        raise crowded

    def add_tags(self, name: str, tags: Tags) -> None:
        """Add or overwrite tags (AddTagsToResource); no call without tags."""
        pairs: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in sorted_tags(tags)]
        if pairs:
            add = partial(self._ssm.add_tags_to_resource, ResourceType="Parameter", ResourceId=name)
            self._calls.write("AddTagsToResource", partial(add, Tags=pairs))

    def remove_tags(self, name: str, keys: Sequence[str]) -> None:
        """Remove tags (RemoveTagsFromResource); no call without keys."""
        if keys:
            remove = partial(self._ssm.remove_tags_from_resource, ResourceType="Parameter", ResourceId=name)
            self._calls.write("RemoveTagsFromResource", partial(remove, TagKeys=sorted(set(keys))))

    def delete(self, names: Sequence[str]) -> frozenset[str]:
        """Delete up to ten parameters and return the canonical names that do not exist any more.

        Raises:
            ValueError: more than ten names. AWS refuses them; some emulators delete them.
            StoreError: the call failed.
        """
        if len(names) > NAMES_PER_CALL:
            message = f"DeleteParameters takes {NAMES_PER_CALL} names, not {len(names)}"
            raise ValueError(message)
        if not names:
            return frozenset()
        return self._calls.write("DeleteParameters", partial(self._delete, names))

    # RequestStore

    def send(self, operation: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one request as it is, without a rate and without retries, and return the response.

        Raises:
            StoreError: the request failed.
        """
        client = self._clients.tagging if operation == "GetResources" else self._ssm
        method = getattr(client, re.sub(r"\B(?=[A-Z])", "_", operation).lower())
        answer: Mapping[str, Any] | StoreError = attempt(
            partial(method, **arguments),
            operation=operation,
            place=str(self.place),
            who=self.caller,
            profile=self._calls.profile,
        )
        if isinstance(answer, StoreError):
            raise answer
        return answer

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
        # A page with a token may be empty. Without token and parameters, the response is not valid: KeyError.
        listed = answer["Parameters"] if "NextToken" not in answer else answer.get("Parameters", [])
        return [parameter_of(one) for one in listed], answer.get("NextToken")

    def _tagged_page(self, token: str | None) -> tuple[Mapping[str, Tags], str | None]:
        answer = self._clients.tagging.get_resources(
            ResourceTypeFilters=["ssm:parameter"], ResourcesPerPage=TAGGED_PAGE, PaginationToken=token or ""
        )
        listed = answer["ResourceTagMappingList"]
        named = ((name_in(one["ResourceARN"], self.place), one.get("Tags", ())) for one in listed)
        page = {name: tags_of(tags) for name, tags in named if name is not None}
        return page, answer.get("PaginationToken")

    def _listed_tags(self, name: str) -> Tags:
        answer = self._ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=name)
        return tags_of(answer["TagList"])

    def _past_page(self, name: str, token: str | None) -> tuple[Sequence[PastVersion], str | None]:
        ask = partial(
            self._ssm.get_parameter_history, Name=name, WithDecryption=False, MaxResults=HISTORY_PAGE
        )
        answer = ask() if token is None else ask(NextToken=token)
        return [past_version_of(one) for one in answer["Parameters"]], answer.get("NextToken")

    def _delete(self, names: Sequence[str]) -> frozenset[str]:
        answer = self._ssm.delete_parameters(Names=list(names))
        invalid = answer.get("InvalidParameters", [])
        gone = (*(answer.get("DeletedParameters", []) if invalid else answer["DeletedParameters"]), *invalid)
        return frozenset(map(canonical, gone))

    def _put(self, request: Put) -> PutParameterResultTypeDef:
        """Send one PutParameter; a second one where the partition has no tiers and refused the first.

        An Advanced parameter is refused there: written as Standard, it would differ in every later plan.
        """
        arguments = put_arguments(request)
        if self._has_tiers or request.tier == ADVANCED:
            try:
                return self._ssm.put_parameter(**arguments)
            except Exception as error:
                if not tier_is_unknown(error) or request.tier == ADVANCED:
                    raise
                self._has_tiers = False
        del arguments["Tier"]
        return self._ssm.put_parameter(**arguments)

    def _setting(self, setting: str) -> str:
        def ask() -> ServiceSettingTypeDef:
            return self._clients.settings().get_service_setting(SettingId=setting)["ServiceSetting"]

        answer = self._calls.once("GetServiceSetting", ask)
        return answer.get("SettingValue", "")

    def _moment(self) -> datetime | None:
        """Return the time of AWS: every identity may call GetCallerIdentity; its response has a Date."""
        try:
            answer = self._calls.read("GetCallerIdentity", self._clients.sts.get_caller_identity)
        except StoreError:
            return None
        return moment_in(answer["ResponseMetadata"].get("HTTPHeaders", {}))


def _is_on(setting: str) -> bool:
    return str(setting).lower() == "true"  # emulators may send a boolean


def moment_in(headers: Mapping[str, Any]) -> datetime | None:
    """Return the time of a response by its Date header, in whole seconds; None without a valid header."""
    try:
        moment = parsedate_to_datetime(str(headers["date"]))
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None


@dataclass(slots=True)
class _ValueReads:
    """One read of values by GetParameters, by `name` or `name:version`: ten in a call, calls in parallel.

    AWS refuses a whole batch for one parameter that may not be read or whose key cannot be used; this is not
    documented. So a refused batch is read again name by name, and only the names that fail alone have failed.
    A failure of the place (credentials, network) is raised, and so is the third batch without a response.
    """

    ssm: SSMClient
    calls: Calls
    parallelism: int
    decrypt: bool
    found: dict[str, Value] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    failed: dict[str, StoreError] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    unanswered: int = 0
    gave_up: StoreError | None = None

    def read(self, names: Iterable[str]) -> Answers:
        """Return the answers for the names, as described at `base.Reader.values`. Raise StoreError."""
        self._read_batches(dict.fromkeys(map(canonical, names)))
        # AWS may have stored a name of one level without its slash, so a missing name is read in both forms.
        self._read_batches(forms(name)[-1] for name in sorted(self.missing) if len(forms(name)) > 1)
        missing = frozenset(self.missing) - self.found.keys() - self.failed.keys()
        return Answers(found=self.found, missing=missing, failed=self.failed)

    def _read_batches(self, names: Iterable[str]) -> None:
        asked = list(batches(names, NAMES_PER_CALL))
        workers = min(self.parallelism, len(asked))
        if workers <= 1:
            for batch in asked:
                self._batch(batch)
            return
        with ReadPool(max_workers=workers, thread_name_prefix="values") as pool:
            for done in [pool.submit(self._batch, batch) for batch in asked]:
                done.result()

    def _batch(self, names: tuple[str, ...]) -> None:
        """Read some names. Raise StoreError for a failure of the place."""
        if self.gave_up is not None:
            raise self.gave_up  # other batches have started before the first failure was raised
        try:
            found, missing = self.calls.read("GetParameters", partial(self._ask, names))
        except StoreError as failure:
            if failure.kind in _PLACE_FAILURES:
                self._count(failure)
            elif failure.kind not in _NAME_FAILURES:
                raise
            elif len(names) > 1:
                for name in names:
                    self._batch((name,))
                return
            self._failed(names, failure)
            return
        with self.lock:
            self.found.update(found)
            self.missing |= missing
            for name in {canonical(name) for name in names} - found.keys() - missing:
                remedy = "run again: AWS left this parameter out of its answer"
                self.failed[name] = self.calls.error(Trouble.LOST, "GetParameters", "NoAnswer", remedy)

    def _ask(self, names: tuple[str, ...]) -> tuple[Mapping[str, Value], set[str]]:
        answer = self.ssm.get_parameters(Names=list(names), WithDecryption=self.decrypt)
        # A parameter is in a batch once, so the name without selector identifies the answer.
        asked = {canonical(name).partition(":")[0]: canonical(name) for name in names}
        # All names may be invalid. Without either list the response is not valid: KeyError.
        invalid = answer.get("InvalidParameters", [])
        listed = answer.get("Parameters", []) if invalid else answer["Parameters"]
        values = [value_of(one) for one in listed]
        found = {asked[value.name]: value for value in values if value.name in asked}
        return found, {canonical(name) for name in invalid} - found.keys()

    def _count(self, failure: StoreError) -> None:
        """Count a batch without a response; raise at the third: then the place does not respond."""
        with self.lock:
            self.unanswered += 1
            if self.unanswered >= _GIVE_UP_AFTER:
                self.gave_up = failure
                raise failure

    def _failed(self, names: tuple[str, ...], failure: StoreError) -> None:
        with self.lock:
            for name in map(canonical, names):
                if failure.kind is Trouble.MISSING:
                    self.missing.add(name)
                else:
                    self.failed[name] = failure
