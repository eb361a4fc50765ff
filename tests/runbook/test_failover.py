"""docs/failover.md, step by step: its own commands, in its own order, over memory and over moto."""

from __future__ import annotations

import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from click.testing import CliRunner, Result

from ssm_reconcile.cli import command_run, root
from ssm_reconcile.model import Access
from ssm_reconcile.stores.base import Store
from ssm_reconcile.stores.ssm import Aws
from tests.doubles.clock import FakeClock
from tests.doubles.strict_moto import StrictMoto
from tests.fake_aws.store import Memory
from tests.fake_aws.world import World

PAGE = (Path(__file__).parents[2] / "docs" / "failover.md").read_text()
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets:
  - region: us-west-2
    frozen: false
parameters:
  include: ["/prod/**"]
delete: owned
"""
Kind: TypeAlias = Literal["String", "SecureString"]
SECRET = "correct horse battery staple"
EAST, WEST = "us-east-1", "us-west-2"


def commands() -> list[str]:
    """Every command of the page, in order."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    return [line.strip()[2:] for block in blocks for line in block.splitlines() if "$ " in line]


class Regions(ABC):
    """Actions of people in two regions."""

    clock: FakeClock

    @abstractmethod
    def connect(self, access: Access) -> Store: ...

    @abstractmethod
    def put(self, region: str, name: str, value: str, kind: Kind = "String") -> None: ...

    @abstractmethod
    def delete(self, region: str, name: str) -> None: ...

    def held(self, region: str) -> dict[str, str]:
        """Values in clear, by name."""
        store = self.connect(Access(region))
        names = [one.name for page in store.describe() for one in page]
        found = store.values(names, decrypt=True).found
        return {name: value.text.reveal() for name, value in found.items()}

    def pass_time(self) -> None:
        self.clock.advance(timedelta(hours=1))


class InMemory(Regions):
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.world = World(self.clock)

    def connect(self, access: Access) -> Store:
        return Memory(self.world).connect(access)

    def put(self, region: str, name: str, value: str, kind: Kind = "String") -> None:
        self.world.put(self.world.place(region), name, value, kind)

    def delete(self, region: str, name: str) -> None:
        self.world.delete(self.world.place(region), name)


class OnMoto(Regions):
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.strict = StrictMoto(clock=self.clock)

    def connect(self, access: Access) -> Store:
        return Aws(clock=FakeClock(), parallelism=1).connect(access)

    def put(self, region: str, name: str, value: str, kind: Kind = "String") -> None:
        import boto3

        boto3.client("ssm", region).put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)

    def delete(self, region: str, name: str) -> None:
        import boto3

        boto3.client("ssm", region).delete_parameter(Name=name)


@pytest.fixture(params=["memory", "moto"])
def regions(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Regions]:
    monkeypatch.chdir(tmp_path)
    for word in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(word, raising=False)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    found = InMemory() if request.param == "memory" else OnMoto()
    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: found.connect)
    monkeypatch.setattr(command_run, "SystemClock", lambda *_: found.clock)
    if isinstance(found, OnMoto):
        with found.strict:
            yield found
    else:
        yield found


class Reader:
    """A reader who follows the page: the next command must be the expected one."""

    def __init__(self, regions: Regions) -> None:
        self.regions = regions
        self.left = commands()

    def run(self, words: str, code: int) -> Result:
        assert self.left.pop(0) == f"ssm-reconcile {words}"
        result = CliRunner().invoke(root, [*shlex.split(words)], input="")
        assert result.exit_code == code, result.output
        assert SECRET not in result.output
        self.regions.pass_time()
        return result


def freeze(*, frozen: bool) -> None:
    word = str(frozen).lower()
    Path("replication.yaml").write_text(SPEC.replace("frozen: false", f"frozen: {word}"))


def arrange(regions: Regions) -> None:
    """Two regions in step, and both specs in the current directory."""
    freeze(frozen=False)
    (back,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    Path("back.yaml").write_text(re.sub(r"^   ", "", back, flags=re.MULTILINE))
    regions.put(EAST, "/prod/url", "east")
    regions.put(EAST, "/prod/old", "old")
    regions.put(EAST, "/prod/key", SECRET, "SecureString")
    regions.pass_time()
    assert CliRunner().invoke(root, ["apply", "--yes", "-q"]).exit_code == 0
    regions.pass_time()


def drill(reader: Reader, regions: Regions) -> None:
    reader.run("plan --verify-values --fail-on-drift", 0)
    reader.run("detach --target us-west-2 --yes", 0)
    regions.put(WEST, "/prod/url", "drill")
    regions.pass_time()
    reader.run("detach --target us-west-2 --undo --yes", 0)
    result = reader.run("plan", 0).output
    # moto has one identity only: what anybody writes there looks like ours
    assert ("changed outside" if isinstance(regions, InMemory) else "/prod/url") in result
    reader.run("apply --yes --overwrite-outside", 0)
    reader.run("plan --verify-values --fail-on-drift", 0)


def fail_over(reader: Reader, regions: Regions) -> None:
    before = regions.held(WEST)
    reader.run("detach --target us-west-2 --yes", 0)
    freeze(frozen=True)
    regions.put(EAST, "/prod/url", "a late write in the region that was left")
    regions.put(EAST, "/prod/late", "and a new name")
    reader.run("apply --yes", 5)
    assert regions.held(WEST) == before


def work_in_the_standby_region(regions: Regions) -> None:
    regions.put(WEST, "/prod/url", "west")
    regions.put(WEST, "/prod/new", "made in the west")
    regions.put(WEST, "/prod/key", SECRET + "!", "SecureString")
    regions.delete(WEST, "/prod/old")
    regions.pass_time()


def fail_back(reader: Reader, regions: Regions) -> None:
    before, working = regions.held(EAST), regions.held(WEST)
    assert "roles-reversed" in reader.run("plan back.yaml", 0).output
    assert CliRunner().invoke(root, ["apply", "back.yaml", "--yes", "-q"]).exit_code == 5
    assert regions.held(EAST) == before
    reader.run("apply back.yaml --yes --allow-reversed", 0)
    assert regions.held(EAST) == {**before, **working}
    regions.put(WEST, "/prod/url", "west, later")
    regions.pass_time()
    reader.run("apply back.yaml --yes", 0)
    reader.run("plan back.yaml --verify-values --fail-on-drift", 0)


def change_over(reader: Reader, regions: Regions) -> None:
    reader.run("detach --target us-east-1 --spec back.yaml --yes", 0)
    regions.delete(EAST, "/prod/old")
    regions.delete(EAST, "/prod/late")
    reader.run("detach --target us-west-2 --undo --yes", 0)
    freeze(frozen=False)
    reader.run("apply --yes --allow-reversed", 0)
    reader.run("plan --verify-values --fail-on-drift", 0)


def test_the_page_is_gone_through_from_the_drill_to_the_way_back(regions: Regions) -> None:
    reader = Reader(regions)
    arrange(regions)
    start = regions.held(WEST)
    assert start == {"/prod/url": "east", "/prod/old": "old", "/prod/key": SECRET}
    drill(reader, regions)
    assert regions.held(WEST) == start
    fail_over(reader, regions)
    work_in_the_standby_region(regions)
    fail_back(reader, regions)
    change_over(reader, regions)
    assert regions.held(EAST) == regions.held(WEST)
    assert regions.held(WEST)["/prod/url"] == "west, later"
    assert reader.left == []

    regions.put(EAST, "/prod/url", "and from now on as it was before")
    regions.pass_time()
    assert CliRunner().invoke(root, ["apply", "--yes", "-q"]).exit_code == 0
    assert regions.held(WEST)["/prod/url"] == "and from now on as it was before"
