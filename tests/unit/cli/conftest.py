"""A world in memory behind the one seam of the command line, and the command line itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result

from ssm_reconcile.cli import command_run, root
from ssm_reconcile.model import Access, SealedText
from ssm_reconcile.stores.base import Put
from ssm_reconcile.system import SystemClock
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.world import World

SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets:
  - region: us-east-2
  - region: eu-west-1
parameters: { include: ["/app/**"] }
delete: owned
"""
SECRET = "correct horse battery staple"
Cli: TypeAlias = Callable[..., Result]


class Aws:
    """Changes of other people to the simulated AWS between two commands."""

    def __init__(self) -> None:
        self.world = World(SystemClock(threading.Event()))
        self.memory = Memory(self.world)

    def store(self, region: str) -> MemoryStore:
        return self.memory.connect(Access(region))

    def put(self, name: str, text: str, *, region: str = "us-east-1", kind: str = "String") -> None:
        store = self.store(region)
        there = name in store.describe_names([name])
        key = "alias/aws/ssm" if kind == "SecureString" else None
        store.put(Put(name, SealedText(text), kind, overwrite=there, key_id=key))

    def delete(self, name: str, *, region: str = "us-east-1") -> None:
        self.store(region).delete([name])

    def names(self, region: str) -> list[str]:
        return sorted(p.name for page in self.store(region).describe() for p in page)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    """Three parameters at the source, nothing in the targets, and the spec in the current directory."""
    for word in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(word, raising=False)
    world = Aws()
    world.put("/app/url", "https://example.org")
    world.put("/app/hosts", "a,b", kind="StringList")
    world.put("/app/key", SECRET, kind="SecureString")
    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: world.memory.connect)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    return world


@pytest.fixture
def cli() -> Cli:
    """Runs the command line in this process; stdin is not a terminal."""

    def run(*words: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(root, list(words), input=stdin)

    return run
