"""A server that pages, throttles and delays like AWS, and the spine above the real boto3 store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from boto3.session import Session as AwsSession
from botocore.config import Config

from benchmarks.quotas import AWS
from benchmarks.seeds import Seed, spec_text
from benchmarks.served import CREDENTIALS, Counts, Server, environment, serving
from ssm_reconcile import reconcile
from ssm_reconcile.load import load
from ssm_reconcile.plan import Plan
from ssm_reconcile.report import Report
from ssm_reconcile.session import HigherThroughput, Places, Session, open_places
from ssm_reconcile.spec import Replication, Run
from ssm_reconcile.status import Status, read_status
from ssm_reconcile.stores.ssm import Aws
from ssm_reconcile.system import SystemClock

FAST = dict.fromkeys(AWS, 10_000.0)
"""Rates that hold nothing up."""


@dataclass(slots=True)
class Bench:
    """One replication between regions of the server; the real boto3 store in between."""

    server: Server
    specs: tuple[Replication, ...]
    run: Run = Run()
    places: Places | None = None

    def plan(self) -> Plan:
        clock = SystemClock(threading.Event())
        self.places = open_places(
            self.specs, Aws(endpoint_url=self.server.url, clock=clock).connect, self.run
        )
        return reconcile.make_plan(self.specs, Session(self.places, self.run, clock, lambda _: None))

    def status(self) -> Status:
        clock = SystemClock(threading.Event())
        connect = Aws(endpoint_url=self.server.url, clock=clock).connect
        places = open_places(self.specs, connect, self.run)
        return read_status(self.specs, Session(places, self.run, clock, lambda _: None))

    def apply(self, plan: Plan) -> Report:
        assert self.places is not None
        stop = threading.Event()
        clock = SystemClock(stop)
        throughput = HigherThroughput(clock, lambda _: None)
        session = Session(self.places, self.run, clock, lambda _: None, throughput)
        return reconcile.carry_out(plan, self.specs, session, stop)

    def names(self) -> list[str]:
        """The content of the source."""
        pages = client(self.server).get_paginator("describe_parameters").paginate()
        return [one["Name"] for page in pages for one in page["Parameters"]]

    def counted(self, plan: Plan) -> tuple[Report, Counts, float]:
        """An apply, the calls that it made, and the seconds that it took."""
        self.server.counts()
        began = time.monotonic()
        report = self.apply(plan)
        return report, self.server.counts(), time.monotonic() - began


def client(server: Server, service: str = "ssm", region: str = "us-east-1") -> Any:
    session = AwsSession(
        CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=region
    )
    once = Config(retries={"mode": "standard", "total_max_attempts": 1})
    untyped: Any = session
    return untyped.client(service, endpoint_url=server.url, config=once)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def bench(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[object]:
    """Makes a world and the spec that replicates it; fair weather again afterwards."""
    for key, value in environment().items():
        if key.startswith("AWS_"):
            monkeypatch.setenv(key, value)

    def make(
        seed: Seed, rates: Mapping[str, float] | None = None, run: Run | None = None, text: str | None = None
    ) -> Bench:
        server.world(seed)
        text = text or spec_text(seed, dict(FAST if rates is None else rates))
        return Bench(server, load(("-",), stdin=text).replications, run or Run())

    yield make
    server.weather()
