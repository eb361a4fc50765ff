"""A day on which something goes wrong: a world in memory, the real command line, and people who do things."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from ssm_reconcile.cli import root
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.failures import name_failure
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.traffic import Fault, killed
from tests.simulated_aws import SimulatedAws

SECRET = "correct horse battery staple"
MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


class RefusedError(Exception):
    """An exception of boto3, with the attributes that are read."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class EndpointConnectionError(Exception):
    """The exception of botocore when a region does not answer."""


def denied(operation: str, place: Place) -> StoreError:
    return name_failure(RefusedError("AccessDeniedException"), operation=operation, place=str(place))


class Day(SimulatedAws):
    """A source and a standby region, and a spec in the current directory."""

    def __init__(self) -> None:
        super().__init__(start=MORNING)
        self.connect = self._connect
        self.east = self.here
        self.west = self.world.place("us-west-2")
        self.down: set[str] = set()
        self.refusals: set[tuple[str, Place]] = set()
        self.world.faults = self._fault
        self.spec: dict[str, Any] = {
            "version": 1,
            "name": "prod",
            "source": {"region": "us-east-1"},
            "targets": [{"region": "us-west-2"}],
            "parameters": {"include": ["/prod/**"]},
            "delete": "owned",
        }
        self.write()

    def _connect(self, access: Access) -> MemoryStore:
        if access.region in self.down:
            raise name_failure(EndpointConnectionError(), operation="GetCallerIdentity", place=access.region)
        return self.memory.connect(access)

    def _fault(self, operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
        if (operation, place) in self.refusals:
            return killed(denied(operation, place), done=False)
        return None

    # People

    def write(self, *documents: Mapping[str, Any], **changes: Any) -> None:
        """Saves the spec, with some of its keys changed; None takes a key out."""
        self.spec = {key: value for key, value in {**self.spec, **changes}.items() if value is not None}
        Path("replication.yaml").write_text(yaml.safe_dump_all([self.spec, *documents], sort_keys=False))

    def put(self, name: str, value: str = "v", kind: str = "String", **more: Any) -> None:
        self.world.put(more.pop("place", self.east), name, value, kind, **more)

    def pass_time(self) -> None:
        self.clock.advance(timedelta(hours=1))

    def replicate(self, *names: str, **more: Any) -> None:
        """Some parameters, an hour after they were replicated."""
        for name in names:
            self.put(name, **more)
        self.pass_time()
        done = self.run("apply", "--yes", "-q")
        assert done.exit_code == 0, done.output
        self.pass_time()

    # Commands

    def run(self, *words: str) -> Result:
        result = CliRunner().invoke(root, list(words), input="")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def plan(self, *words: str) -> dict[str, Any]:
        result = self.run("plan", "--format", "json", *words)
        assert result.exit_code in {0, 3}, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def explain(self, name: str, *words: str) -> str:
        result = self.run("explain", name, *words)
        assert result.exit_code == 0, result.output
        return result.stdout


Act = Callable[[Day], None]
