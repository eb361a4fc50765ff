"""Settings of a place: nothing depends on them, so no call waits. (moto has no GetServiceSetting.)"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_reconcile.errors import StoreError
from ssm_reconcile.stores.ssm import SsmStore
from tests.doubles.clock import FakeClock
from tests.integration.faults import aws, open_store


class Response:
    """GetServiceSetting as AWS answers it; `broken` is a part of the id that it does not answer."""

    def __init__(self, store: SsmStore, monkeypatch: pytest.MonkeyPatch, broken: str = "none") -> None:
        self.asked: list[str] = []
        self.broken = broken
        monkeypatch.setattr(store._clients.settings(), "get_service_setting", self)

    def __call__(self, *, SettingId: str) -> dict[str, Any]:  # noqa: N803 - as boto3 calls it
        self.asked.append(SettingId.rsplit("/", 1)[-1])
        if self.broken in SettingId:
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "GetServiceSetting")
        return {"ServiceSetting": {"SettingValue": "true" if "throughput" in SettingId else "Advanced"}}


def test_the_settings_of_a_place_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws() as there:
        store = open_store(there)
        Response(store, monkeypatch)
        found = store.settings()
    assert (found.default_tier, found.high_throughput, found.trouble) == ("Advanced", True, "")


def test_a_setting_that_cannot_be_read_is_asked_once_and_does_not_hide_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws() as there:
        store = open_store(there)
        result = Response(store, monkeypatch, broken="default-parameter-tier")
        found = store.settings()
    assert result.asked == ["default-parameter-tier", "high-throughput-enabled"]
    assert (found.default_tier, found.high_throughput) == (None, True)
    assert "InternalServerError" in found.trouble


def test_higher_throughput_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with aws() as there:
        store = open_store(there)
        result = Response(store, monkeypatch)
        assert store.has_higher_throughput()
    assert result.asked == ["high-throughput-enabled"]


def test_higher_throughput_that_cannot_be_read_is_asked_once_without_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with aws() as there:
        store = open_store(there)
        result = Response(store, monkeypatch, broken="throughput")
        monkeypatch.setattr(store._calls.clock, "sleep", pytest.fail)
        with pytest.raises(StoreError, match="InternalServerError"):
            store.has_higher_throughput()
    assert result.asked == ["high-throughput-enabled"]


@pytest.mark.parametrize(("read_seconds", "limit"), [(30, 3), (2, 2)])
def test_a_setting_is_awaited_for_three_seconds_at_most(read_seconds: float, limit: float) -> None:
    with aws(read_seconds=read_seconds) as there:
        client: Any = open_store(there)._clients.settings()
    assert (client.meta.config.connect_timeout, client.meta.config.read_timeout) == (3, limit)
    assert client.meta.config.retries["total_max_attempts"] == 1


def test_a_setting_is_read_within_the_rate_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    with aws(clock=clock) as there:
        store = open_store(there, rates=(("describe", 0.5),))
        Response(store, monkeypatch)
        for _ in range(2):
            store.has_higher_throughput()
    assert clock.slept == [2.0]
