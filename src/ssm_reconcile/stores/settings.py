"""What a place is set to, and what time it is there: two GetServiceSetting and one GetCallerIdentity.

Neither is needed to plan or to apply, so trouble is told and never raised. The time is the Date header of
an answer of STS, which anybody may ask: whole seconds, and right whatever the region.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.stores.base import Settings
from ssm_reconcile.stores.calls import Calls

if TYPE_CHECKING:
    from ssm_reconcile.stores.session import Clients

TIER = "/ssm/parameter-store/default-parameter-tier"
THROUGHPUT = "/ssm/parameter-store/high-throughput-enabled"
"""Ids of service settings (aws-facts A4, B3)."""


def read_settings(clients: Clients, calls: Calls) -> Settings:
    """What can be read; what cannot is None, with the reason."""
    failures: list[StoreError] = []
    told: dict[str, str] = {}
    for setting in (TIER, THROUGHPUT):
        try:
            told[setting] = calls.once("GetServiceSetting", partial(_ask, clients, setting))
        except StoreError as failure:
            failures.append(failure)
    on = told.get(THROUGHPUT)
    return Settings(
        default_tier=told.get(TIER),
        high_throughput=None if on is None else on.lower() == "true",
        moment=_moment(clients, calls),
        trouble=str(failures[0]) if failures else "",
        denied=any(failure.kind is Trouble.DENIED for failure in failures),
    )


def _ask(clients: Clients, setting: str) -> str:
    return clients.ssm.get_service_setting(SettingId=setting)["ServiceSetting"].get("SettingValue", "")


def _moment(clients: Clients, calls: Calls) -> datetime | None:
    try:
        answer = calls.read("GetCallerIdentity", clients.sts.get_caller_identity)
    except StoreError:
        return None
    return moment_in(answer["ResponseMetadata"].get("HTTPHeaders", {}))


def moment_in(headers: Mapping[str, Any]) -> datetime | None:
    """The time of an answer by its Date header; None where it has none that can be read."""
    try:
        moment = parsedate_to_datetime(str(headers["date"]))
    except (KeyError, ValueError):
        return None
    return moment if moment.tzinfo is not None else None
