"""The spec file of an incident, the command line, and the failures that a person does not cause."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from click.testing import CliRunner, Result

from ssm_reconcile.cli import root
from ssm_reconcile.model import Access, Place
from ssm_reconcile.stores.failures import name_failure
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.traffic import killed
from tests.fake_aws.world import ACCOUNT
from tests.simulated_aws import SimulatedAws

SECRET = "correct horse battery staple"
WEST = Place(ACCOUNT, "us-west-2")
Act: TypeAlias = Callable[[SimulatedAws], None]
SPEC_FILE = Path("replication.yaml")
SPEC: Mapping[str, Any] = {
    "version": 1,
    "name": "prod",
    "source": {"region": "us-east-1"},
    "targets": [{"region": "us-west-2"}],
    "parameters": {"include": ["/prod/**"]},
    "delete": "owned",
}


class RefusedError(Exception):
    """An exception of boto3, with the attributes that are read."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class EndpointConnectionError(Exception):
    """The exception of botocore when a region does not answer."""


def deny(aws: SimulatedAws, operation: str, place: Place) -> None:
    denied = name_failure(RefusedError("AccessDeniedException"), operation=operation, place=str(place))
    fault = killed(denied, done=False)
    aws.world.faults = lambda called, at, _names, _nth: fault if (called, at) == (operation, place) else None


def shut_down(aws: SimulatedAws, region: str) -> None:
    connect = Memory(aws.world).connect

    def connect_to_others(access: Access) -> MemoryStore:
        if access.region == region:
            raise name_failure(EndpointConnectionError(), operation="GetCallerIdentity", place=region)
        return connect(access)

    aws.connect = connect_to_others


def write_spec(*documents: Mapping[str, Any], **changes: Any) -> None:
    """Change some keys of the first document of the spec (None removes a key), and set the others."""
    first = next(yaml.safe_load_all(SPEC_FILE.read_text())) if SPEC_FILE.exists() else SPEC
    spec = {key: value for key, value in {**first, **changes}.items() if value is not None}
    SPEC_FILE.write_text(yaml.safe_dump_all([spec, *documents], sort_keys=False))


def replicate(aws: SimulatedAws, *names: str, **more: Any) -> None:
    """Put parameters at the source and apply, an hour ago."""
    for name in names:
        aws.put(name, **more)
    aws.pass_time()
    done = run("apply", "--yes", "-q")
    assert done.exit_code == 0, done.output
    aws.pass_time()


def run(*words: str) -> Result:
    result = CliRunner().invoke(root, list(words), input="")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def plan(*words: str) -> dict[str, Any]:
    result = run("plan", "--format", "json", *words)
    assert result.exit_code in {0, 3}, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def explain(name: str, *words: str) -> str:
    result = run("explain", name, *words)
    assert result.exit_code == 0, result.output
    return result.stdout
