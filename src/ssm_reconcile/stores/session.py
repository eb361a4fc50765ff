"""`Access` -> clients of one place, with credentials that renew themselves, and the identity in use.

A run may last longer than the session of a role, so a role is assumed again before its credentials expire.
Clients are created by one thread at a time: boto3 clients are thread-safe, creating them is not (boto3 guide,
"Multithreading or multiprocessing with clients"). The retries of the SDK are off: `calls` counts and
waits itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache, partial, reduce
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ssm_reconcile import __version__
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.calls import attempt, retrying

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.credentials import Credentials
    from types_boto3_kms.client import KMSClient
    from types_boto3_resourcegroupstaggingapi.client import ResourceGroupsTaggingAPIClient
    from types_boto3_ssm.client import SSMClient
    from types_boto3_sts.client import STSClient

    from ssm_reconcile.system import Clock

SESSION_NAME = "ssm-reconcile"
"""The session name in the ARN of an assumed role, and so in CloudTrail and in `LastModifiedUser`."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TAGGING_CONNECT_SECONDS = 3.0
TAGGING_READ_SECONDS = 15.0
"""ListTagsForResource can replace GetResources, so an endpoint without a response is given up soon.

The connect timeout counts for each address of the endpoint; without a route, each address times out.
"""
SETTING_SECONDS = 3.0
"""Time to connect, and to wait for a response of GetServiceSetting: no run needs it, and an apply waits."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one place. `settings` creates the client of GetServiceSetting at its first call."""

    ssm: SSMClient
    kms: KMSClient
    tagging: ResourceGroupsTaggingAPIClient
    sts: STSClient
    settings: Callable[[], SSMClient]


_LOGS_PAYLOADS = frozenset({"botocore", "botocore.auth", "botocore.endpoint", "botocore.parsers"})
"""Loggers that write whole requests and responses, parameter values among them, at the level DEBUG."""


def _is_above_debug(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO


def _disable_debug_logs() -> None:
    """Keep parameter values out of the debug log of botocore.

    A process may set the level of all loggers to DEBUG, as AWS Lambda does. The filter is added to each
    logger: a level may be set again later, and the filter of a parent logger is not asked for records of its
    children.
    """
    known = {name for name in list(logging.root.manager.loggerDict) if name.startswith("botocore.")}
    for name in known | _LOGS_PAYLOADS:
        logger = logging.getLogger(name)
        logger.addFilter(_is_above_debug)
        if name in _LOGS_PAYLOADS and logger.level < logging.INFO:
            logger.setLevel(logging.WARNING)


@dataclass(slots=True)
class ClientFactory:
    """Creates the clients of places, one at a time, and identifies the credentials in use.

    Attributes:
        profile_option: the profile of the AWS configuration; None leaves the choice to boto3.
        endpoint_url: the endpoint of every service; None leaves it to boto3.
        clock: for the pauses between retries.
        jitter: a random number in [0, 1).
        parallelism: the most reads of one class of operations that are open in one place; each client
            keeps twice as many connections.
        read_seconds: time to wait for a response.
    """

    profile_option: str | None
    endpoint_url: str | None
    clock: Clock
    jitter: Callable[[], float]
    parallelism: int
    read_seconds: float = READ_SECONDS
    _base: Session | None = field(default=None, init=False)
    _regional: Session | None = field(default=None, init=False)
    """The session of AssumeRole, with the credentials of `_base`."""
    _endpoints: dict[str, STSClient] = field(default_factory=dict, init=False)
    """The clients of AssumeRole by region."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _user_agent: str | None = field(default=None, init=False)
    """The header of the first client, for all others: composing it for each request is a fifth of its CPU."""

    def __post_init__(self) -> None:
        _disable_debug_logs()

    @property
    def profile(self) -> str:
        """The profile of the AWS configuration that is in use; empty for none."""
        variables = (os.environ.get("AWS_PROFILE"), os.environ.get("AWS_DEFAULT_PROFILE"))
        return next(filter(None, (self.profile_option, *variables)), "")

    def create(self, access: Access) -> Clients:
        """Create the clients of a place. Thread-safe. A role is assumed at the first call.

        Raises:
            StoreError: the profile, the region or the endpoint cannot be used.
        """
        with self._lock:
            answer = attempt(
                lambda: self._create(access), operation="connect", place=access.region, profile=self.profile
            )
        if not isinstance(answer, StoreError):
            return answer
        if answer.code == "ValueError":  # botocore raises it for an endpoint URL without a host
            remedy = "give --endpoint-url or AWS_ENDPOINT_URL as http(s)://host:port"
            kind, code = Trouble.UNREACHABLE, "InvalidEndpoint"
            answer = StoreError(kind, place=access.region, operation="connect", code=code, remedy=remedy)
        raise answer

    def identify(self, clients: Clients, access: Access) -> tuple[Place, str]:
        """Return the place of the credentials and the ARN of their identity (GetCallerIdentity).

        Raises:
            StoreError: the call failed, or the role cannot be assumed.
        """

        def ask() -> tuple[Place, str] | StoreError:
            return attempt(
                lambda: _identity(clients.sts, access.region),
                operation="GetCallerIdentity",
                place=access.region,
                who=access.role_arn or "",
                profile=self.profile,
            )

        return retrying(ask, self.clock, self.jitter)

    def _create(self, access: Access) -> Clients:
        if self._base is None:  # one session for all places, so that an MFA code is asked for once
            self._base = self._session()
        session = self._base
        if access.role_arn is not None:
            session = self._session(_RoleProvider(self, self._role_endpoints(access), access))
        client = partial(self._client, session, access.region)
        limits = {"connect_timeout": TAGGING_CONNECT_SECONDS, "read_timeout": TAGGING_READ_SECONDS}
        sts = client("sts")  # the first client composes its user agent for each request: it makes the fewest
        tagging = client("resourcegroupstaggingapi", **limits)
        settings = cache(partial(self._settings_client, client))
        return Clients(ssm=client("ssm"), kms=client("kms"), tagging=tagging, sts=sts, settings=settings)

    def _settings_client(self, client: Callable[..., SSMClient]) -> SSMClient:
        with self._lock:
            return client("ssm", SETTING_SECONDS, min(SETTING_SECONDS, self.read_seconds))

    def _role_endpoints(self, access: Access) -> tuple[STSClient, ...]:
        """Return the STS of the source region and that of the place, in the order in which to ask them.

        Regional endpoints only: a token of the global endpoint is not valid in opt-in regions (IAM User
        Guide, "Manage AWS STS in an AWS Region").
        """
        if self._regional is None:
            assert self._base is not None
            self._regional = self._session(_BaseProvider(self._base))
            self._regional._session.set_config_variable("sts_regional_endpoints", "regional")  # noqa: SLF001  boto3 offers no way to its core
        regions = dict.fromkeys(filter(None, (access.sts_region, access.region)))
        for region in regions:
            if region not in self._endpoints:
                self._endpoints[region] = self._client(self._regional, region, "sts")
        return tuple(self._endpoints[region] for region in regions)

    def _session(self, provider: _RoleProvider | _BaseProvider | None = None) -> Session:
        from boto3.session import Session
        from botocore.session import Session as Core

        core = Core(profile=self.profile_option)
        if self._base is not None:
            # The loader keeps the models that it has parsed: 20 MB and 0.1 s for the clients of one place.
            core.register_component("data_loader", self._base._session.get_component("data_loader"))  # noqa: SLF001  as above
        if provider is not None:
            core.register_component("credential_provider", provider)
        return Session(botocore_session=core)

    def _client(
        self,
        session: Any,
        region: str,
        service: str,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float | None = None,
    ) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=connect_timeout,
            read_timeout=self.read_seconds if read_timeout is None else read_timeout,
            # The pool of urllib3 does not block: beyond its size, connections are opened and dropped.
            max_pool_connections=max(10, 2 * self.parallelism),
            retries={"mode": "standard", "total_max_attempts": 1},
            tcp_keepalive=True,
            # A twentieth of the CPU of a call, and AWS validates the same arguments.
            parameter_validation=service not in _FREQUENT,
            user_agent=self._user_agent,
            user_agent_extra=None if self._user_agent else f"ssm-reconcile/{__version__}",
        )
        client = session.client(service, region_name=region, endpoint_url=self.endpoint_url, config=config)
        if service in _FREQUENT:
            _tune(client)
        if self._user_agent is None:
            composed = client.meta.config
            # Characters that a header may not have become `-`, as botocore does it for the first client.
            app_id = _NOT_IN_TOKEN.sub("-", composed.user_agent_appid or "")
            self._user_agent = composed.user_agent + (f" app/{app_id}" if app_id else "")
        return client


def configured_region(profile: str | None) -> str | None:
    """Return the region of the AWS configuration; None if there is none, or the profile does not exist."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session as Core

    try:
        return os.environ.get("AWS_REGION") or Core(profile=profile).get_config_variable("region")
    except BotoCoreError:
        return None


@dataclass(frozen=True, slots=True)
class _BaseProvider:
    """A credential provider that shares the credentials of another session."""

    session: Session

    def load_credentials(self) -> Credentials | None:
        """Return the credentials of the other session, which renews them."""
        return self.session.get_credentials()


@dataclass(frozen=True, slots=True)
class _RoleProvider:
    """A credential provider that assumes a role, and assumes it again before the credentials expire."""

    factory: ClientFactory
    endpoints: tuple[STSClient, ...]
    access: Access

    def load_credentials(self) -> Credentials:
        """Return credentials that are fetched at their first use, and again before they expire."""
        from botocore.credentials import DeferredRefreshableCredentials

        return DeferredRefreshableCredentials(self._fetch, "assume-role")

    def _fetch(self) -> dict[str, str]:
        return retrying(self._assume, self.factory.clock, self.factory.jitter)

    def _assume(self) -> dict[str, str] | StoreError:
        """Assume the role at the first STS endpoint that allows it.

        Of several failures, the first one that an STS endpoint answered is returned: it names the cause.
        """
        arn = self.access.role_arn or ""
        failures: list[StoreError] = []
        for sts in self.endpoints:
            answer = attempt(
                partial(_assume, sts, arn, self.access.external_id),
                operation="AssumeRole",
                place=sts.meta.region_name,
                who=arn,
                profile=self.factory.profile,
            )
            if not isinstance(answer, StoreError):
                return answer
            failures.append(answer)
        return next((one for one in failures if one.answered), failures[0])


_NOT_IN_TOKEN = re.compile(r"[^0-9A-Za-z!$%&'*+.^_`|~,-]")
_FREQUENT = frozenset({"ssm", "resourcegroupstaggingapi"})
"""Services that are called once for each parameter or page. The times in their responses stay numbers."""


def _tune(client: Any) -> None:
    """Remove work of botocore that is done for each call and not needed.

    The handler of retries and its two headers (`amz-sdk-*`) are not needed, since the SDK does not retry. The
    services have no endpoint discovery, and only Lambda has a trace id.
    """
    from botocore import handlers

    events, service = client.meta.events, client.meta.service_model.service_id.hyphenize()
    events.register("before-parse", _read_json)
    events.unregister(f"needs-retry.{service}", unique_id=f"retry-config-{service}")
    unneeded = {"add_retry_headers": "request-created", "inject_api_version_header_if_needed": "before-call"}
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        unneeded["add_recursion_detection_header"] = "before-call"
    for name, event in unneeded.items():
        if handler := getattr(handlers, name, None):  # another release of botocore may not have it
            events.unregister(event, handler)
    _register_signer()
    events.register(f"choose-signer.{service}", _choose_signer)


_JSON_SIGNER = "v4-json"
"""The name of our signer among the signature versions of botocore."""
_SET_BY_SIGNER = frozenset(
    {"authorization", "date", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
)


def _choose_signer(signature_version: str, context: Mapping[str, Any], **_: object) -> str | None:
    return _JSON_SIGNER if signature_version == "v4" and not context.get("auth_type") else None


def _register_signer() -> None:
    """Register a signer of JSON requests, which makes the signatures of `SigV4Auth` with less CPU.

    It derives the key once for each day, and reads the headers once: an eighth of the CPU of a call. Requests
    that are not a plain POST to `/` are left to `SigV4Auth`.
    """
    from botocore import auth

    if _JSON_SIGNER in auth.AUTH_TYPE_MAPS:
        return
    hosts: dict[str, str] = {}
    unsigned = frozenset(auth.SIGNED_HEADERS_BLACKLIST)

    class JsonSigner(auth.SigV4Auth):
        """Signer of JSON requests."""

        def add_auth(self, request: Any) -> None:
            """Sign a request: set its headers for date, token and signature."""
            given: Any = self.credentials  # None without credentials
            if request.url not in hosts:
                parts = urlsplit(request.url)
                is_plain = parts.path == "/" and not parts.query
                hosts[request.url] = str(self.headers_to_sign(request)["host"]) if is_plain else ""
            headers = request.headers
            named = {key.lower(): value for key, value in headers.items()}
            signed = {name: " ".join(named[name].split()) for name in named.keys() - unsigned}
            is_plain = request.method == "POST" and hosts[request.url] and not request.params
            is_usual = is_plain and isinstance(request.data, bytes)
            if given is None or not is_usual or not _SET_BY_SIGNER.isdisjoint(signed):
                super().add_auth(request)
                return
            moment = datetime.now(UTC).strftime(auth.SIGV4_TIMESTAMP)
            request.context["timestamp"] = headers["X-Amz-Date"] = moment
            signed |= {"host": hosts[request.url], "x-amz-date": moment}
            if given.token:
                headers["X-Amz-Security-Token"] = signed["x-amz-security-token"] = given.token
            names = sorted(signed)
            lines = "".join([f"{name}:{signed[name]}\n" for name in names])
            body = hashlib.sha256(request.data).hexdigest()
            text = self.string_to_sign(request, f"POST\n/\n\n{lines}\n{';'.join(names)}\n{body}")
            scope = self.credential_scope(request)
            signature = hmac.digest(_signing_key(given.secret_key, scope), text.encode(), "sha256").hex()
            headers["Authorization"] = (
                f"AWS4-HMAC-SHA256 Credential={given.access_key}/{scope}, SignedHeaders={';'.join(names)},"
                f" Signature={signature}"
            )

    auth.AUTH_TYPE_MAPS[_JSON_SIGNER] = JsonSigner


@lru_cache(maxsize=64)
def _signing_key(secret: str, scope: str) -> bytes:
    """Return the key of signatures (IAM User Guide, "Create a signed AWS API request").

    Args:
        secret: the secret access key.
        scope: date, region, service and `aws4_request`, with slashes between them.
    """
    parts = scope.encode().split(b"/")
    return reduce(lambda key, part: hmac.digest(key, part, "sha256"), parts, f"AWS4{secret}".encode())


def _read_json(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Use the JSON of a successful response as it is, without fields that are null.

    The parser of botocore walks every field of every parameter along the service model, which is two fifths
    of the cost of a listing. It still reads errors, and bodies that are not a JSON object.
    """
    if response_dict["status_code"] >= HTTPStatus.MULTIPLE_CHOICES:
        return
    body = response_dict["body"]
    try:
        found = json.loads(body, object_hook=_without_nulls if b"null" in body else None)
    except ValueError:
        return
    if isinstance(found, dict):
        customized_response_dict.update(found)
        response_dict["body"] = b""


def _without_nulls(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if value is not None} if None in item.values() else item


def _assume(sts: STSClient, arn: str, external_id: str | None) -> dict[str, str]:
    """Call AssumeRole and return the credentials in the form that botocore refreshes."""
    more: dict[str, Any] = {} if external_id is None else {"ExternalId": external_id}
    given = sts.assume_role(RoleArn=arn, RoleSessionName=SESSION_NAME, **more)["Credentials"]
    return {
        "access_key": given["AccessKeyId"],
        "secret_key": given["SecretAccessKey"],
        "token": given["SessionToken"],
        "expiry_time": given["Expiration"].isoformat(),
    }


def _identity(sts: STSClient, region: str) -> tuple[Place, str]:
    answer = sts.get_caller_identity()
    arn = answer["Arn"]
    return Place(account=answer["Account"], region=region, partition=arn.split(":")[1]), arn
