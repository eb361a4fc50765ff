"""How a place is reached: `Access` -> clients with credentials that renew themselves, and who we are.

A run may be longer than a role's hour, so a role is assumed again whenever its credentials run out.
All clients are made before any thread uses one: using a client is thread-safe, making one is not
(aws-facts A6). The SDK's own retries are off for every call: `calls` counts and waits itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ssm_reconcile import __version__
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.calls import attempt, retrying

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from botocore.credentials import Credentials
    from types_boto3_kms.client import KMSClient
    from types_boto3_resourcegroupstaggingapi.client import ResourceGroupsTaggingAPIClient
    from types_boto3_ssm.client import SSMClient
    from types_boto3_sts.client import STSClient

    from ssm_reconcile.clock import Clock

Answer = TypeVar("Answer")

SESSION_NAME = "ssm-reconcile"
"""The session name in every role's ARN, and so in CloudTrail and in `LastModifiedUser`."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TAGGING_CONNECT_SECONDS = 3.0
TAGGING_READ_SECONDS = 15.0
"""Bulk tag reads have a substitute, so an endpoint that does not answer is given up within a minute.

The connect limit counts for each address of the endpoint, and without a route each one runs into it.
"""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one place, and the session that they belong to."""

    ssm: SSMClient
    kms: KMSClient
    tagging: ResourceGroupsTaggingAPIClient
    sts: STSClient


_TALKERS = frozenset({"botocore", "botocore.auth", "botocore.endpoint", "botocore.parsers"})
"""They print requests and answers whole, and what is signed: a plain digest of a request."""


class _Discreet(logging.Filter):
    """Lets through what is said to people, and nothing that is said to debug."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO


_DISCREET = _Discreet()


def _hush() -> None:
    """Botocore's debug log prints requests and answers whole, values and all (ux.md section 2).

    A process may have turned all logging up, as a Lambda does by its log level; not this one's. A
    filter at each logger, since a level may be set again later and a parent's filter is not asked.
    """
    known = {name for name in list(logging.root.manager.loggerDict) if name.startswith("botocore.")}
    for name in known | _TALKERS:
        logger = logging.getLogger(name)
        logger.addFilter(_DISCREET)
        if name in _TALKERS and logger.level < logging.INFO:
            logger.setLevel(logging.WARNING)


class Door:
    """Opens places: profile and endpoint of the command line, and how patient to be."""

    def __init__(
        self,
        profile: str | None,
        endpoint_url: str | None,
        clock: Clock,
        jitter: Callable[[], float],
        parallelism: int,
    ) -> None:
        self._profile = profile
        self._endpoint_url = endpoint_url
        self._clock = clock
        self._jitter = jitter
        self._parallelism = parallelism
        self._base: Session | None = None
        _hush()

    @property
    def profile(self) -> str:
        """The profile of the AWS configuration that is in use; empty for none."""
        return self._profile or os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or ""

    def open(self, access: Access) -> Clients:
        """Makes the clients of a place; not thread-safe. A role is assumed at the first call.

        Raises StoreError when the profile, the region or the endpoint cannot be used at all.
        """
        answer = attempt(
            lambda: self._open(access), operation="connect", place=access.region, profile=self.profile
        )
        if not isinstance(answer, StoreError):
            return answer
        if answer.code == "ValueError":  # what botocore says of an endpoint URL without a host
            remedy = "give --endpoint-url or AWS_ENDPOINT_URL as http(s)://host:port"
            kind, code = Trouble.UNREACHABLE, "InvalidEndpoint"
            answer = StoreError(kind, place=access.region, operation="connect", code=code, remedy=remedy)
        raise answer

    def identify(self, clients: Clients, access: Access) -> tuple[Place, str]:
        """The place that the credentials belong to and the ARN of their identity (GetCallerIdentity).

        Raises StoreError, also for a role that cannot be assumed.
        """

        def ask() -> tuple[Place, str] | StoreError:
            return attempt(
                lambda: _identity(clients.sts, access.region),
                operation="GetCallerIdentity",
                place=access.region,
                who=access.role_arn or "",
                profile=self.profile,
            )

        return self.patiently(ask)

    def patiently(self, ask: Callable[[], Answer | StoreError]) -> Answer:
        """The answer of a call that may be repeated; raises its last StoreError."""
        return retrying(ask, self._clock, self._jitter)

    def _open(self, access: Access) -> Clients:
        if self._base is None:  # one for all places: whoever has to type a code types it once
            self._base = self._session()
        session = self._base
        if access.role_arn is not None:
            session = self._session(_Assumed(self, self._role_endpoints(access), access))
        return Clients(
            ssm=self._client(session, "ssm", access.region),
            kms=self._client(session, "kms", access.region),
            tagging=self._client(
                session,
                "resourcegroupstaggingapi",
                access.region,
                connect_timeout=TAGGING_CONNECT_SECONDS,
                read_timeout=TAGGING_READ_SECONDS,
            ),
            sts=self._client(session, "sts", access.region),
        )

    def _role_endpoints(self, access: Access) -> tuple[STSClient, ...]:
        """Return the STS of the source region and that of the place, in the order in which to ask them.

        Regional endpoints only: a token of the global one is not valid in an opt-in region.
        """
        assert self._base is not None
        session = self._session(_Given(self._base))
        session._session.set_config_variable("sts_regional_endpoints", "regional")  # noqa: SLF001  boto3 offers no way to its core
        regions = dict.fromkeys(filter(None, (access.sts_region, access.region)))
        return tuple(self._client(session, "sts", region) for region in regions)

    def _session(self, provider: _Assumed | _Given | None = None) -> Session:
        from boto3.session import Session
        from botocore.session import Session as Core

        core = Core(profile=self._profile)
        core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment_of)
        if provider is not None:
            core.register_component("credential_provider", provider)
        return Session(botocore_session=core)

    def _client(
        self,
        session: Any,
        service: str,
        region: str,
        *,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
    ) -> Any:
        config = self._config(connect_timeout, read_timeout)
        return session.client(service, region_name=region, endpoint_url=self._endpoint_url, config=config)

    def _config(self, connect_timeout: float, read_timeout: float) -> Config:
        from botocore.config import Config

        return Config(
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            # Its pool does not block: what is beyond it opens and discards sockets (aws-facts A6).
            max_pool_connections=max(10, 2 * self._parallelism),
            retries={"mode": "standard", "total_max_attempts": 1},
            tcp_keepalive=True,
            user_agent_extra=f"ssm-reconcile/{__version__}",
        )


@dataclass(frozen=True, slots=True)
class _Given:
    """A session's credential provider that shares the credentials of another session."""

    session: Session

    def load_credentials(self) -> Credentials | None:
        """Return the credentials of the other session, which renew themselves there."""
        return self.session.get_credentials()


@dataclass(frozen=True, slots=True)
class _Assumed:
    """A session's credential provider that assumes a role, and assumes it again in time."""

    door: Door
    endpoints: tuple[STSClient, ...]
    access: Access

    def load_credentials(self) -> Credentials:
        """Credentials that fetch themselves at their first use, and again before they expire."""
        from botocore.credentials import DeferredRefreshableCredentials

        return DeferredRefreshableCredentials(self._fetch, "assume-role")

    def _fetch(self) -> dict[str, str]:
        return self.door.patiently(self._ask)

    def _ask(self) -> dict[str, str] | StoreError:
        """Assume the role at the first STS that allows it.

        Of several failures the first that an STS answered is returned: it names the cause best.
        """
        arn = self.access.role_arn or ""
        failures: list[StoreError] = []
        for sts in self.endpoints:
            answer = attempt(
                partial(_assume, sts, arn, self.access.external_id),
                operation="AssumeRole",
                place=sts.meta.region_name,
                who=arn,
                profile=self.door.profile,
            )
            if not isinstance(answer, StoreError):
                return answer
            failures.append(answer)
        return next((one for one in failures if one.answered), failures[0])


def moment_of(told: Any) -> datetime:
    """A time as AWS writes it, in UTC.

    botocore's own parser goes by way of the local zone, for each parameter of a listing: a fifth of
    what a page costs. It still reads what is no plain number.
    """
    if isinstance(told, int | float):
        try:
            return datetime.fromtimestamp(told, tz=UTC)
        except (OSError, OverflowError, ValueError):
            pass
    from botocore.utils import parse_timestamp

    return parse_timestamp(told)


def _assume(sts: STSClient, arn: str, external_id: str | None) -> dict[str, str]:
    """One AssumeRole, in the form that botocore's refreshable credentials want."""
    if external_id is None:
        answer = sts.assume_role(RoleArn=arn, RoleSessionName=SESSION_NAME)
    else:
        answer = sts.assume_role(RoleArn=arn, RoleSessionName=SESSION_NAME, ExternalId=external_id)
    given = answer["Credentials"]
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
