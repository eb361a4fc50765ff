"""Commands in a clean environment, forked from one warm interpreter, over moto's server behind a proxy.

One server a session; each test has its own names (`/<test>/...`), its own folder and its own proxy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.command_server import CommandServer, ForkedProcess
from tests.e2e.aws import Proxy, moto, proxied

if TYPE_CHECKING:
    from types_boto3_ssm.client import SSMClient

SOURCE = Path(__file__).parents[2] / "src"
SECRET = "correct horse battery staple"
HERE, THERE = "us-east-1", "us-east-2"


@dataclass
class Shell:
    """A terminal of a stranger: no profile, no region, nothing but the credentials that are given."""

    folder: Path
    proxy: Proxy
    path: str
    environment: dict[str, str]
    commands: CommandServer
    heard: list[str] = field(default_factory=list)

    def start(self, *words: str, env: dict[str, str | None] | None = None, **how: Any) -> ForkedProcess:
        """Start the command; a variable that is None is removed."""
        wanted = self.environment | (env or {})
        environment = {k: v for k, v in wanted.items() if v is not None}
        return self.commands.start("ssm-reconcile", words, cwd=self.folder, env=environment, **how)

    def run(
        self, *words: str, env: dict[str, str | None] | None = None, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        how = {} if stdin is None else {"stdin": subprocess.PIPE}
        return self.ended(self.start(*words, env=env, **how), stdin)

    def ended(self, process: ForkedProcess, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The end of what was started."""
        out, err = process.communicate(stdin, timeout=120)
        assert process.returncode is not None
        self.heard += [out or "", err or ""]
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def aws(self, *words: str) -> Any:
        """Run the AWS CLI as people do, and return its answer."""
        environment = self.environment | {"AWS_ENDPOINT_URL": self.proxy.behind}
        process = self.commands.start("aws", [*words, "--output", "json"], cwd=self.folder, env=environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out) if out.strip() else None

    def ssm(self, region: str) -> SSMClient:
        """Return a client of other people: faster than the CLI, and not through the proxy."""
        import boto3

        session = boto3.Session("testing", "testing", region_name=region)
        client: SSMClient = session.client("ssm", endpoint_url=self.proxy.behind)
        return client

    def put(self, name: str, value: str, region: str = HERE, kind: Any = "String") -> None:
        """Write `name` below this test's own path, as another writer."""
        self.ssm(region).put_parameter(Name=self.path + name, Value=value, Type=kind, Overwrite=True)

    def names(self, region: str = THERE) -> dict[str, str]:
        """Return the decrypted values below this test's own path, by name."""
        pages = self.ssm(region).get_paginator("get_parameters_by_path")
        found = pages.paginate(Path=self.path, Recursive=True, WithDecryption=True)
        return {p["Name"].removeprefix(self.path): p["Value"] for page in found for p in page["Parameters"]}

    def write_spec(self, more: str = "", file: str = "replication.yaml", name: str = "") -> Path:
        """A spec for this test's own path."""
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"""\
version: 1
name: {name or self.path.strip("/")}
source: {{ region: {HERE} }}
targets: [{{ region: {THERE} }}]
parameters: {{ include: ["{self.path}/**"] }}
delete: owned
rates: {{ put: 50, list_tags: 50, tags: 50, describe: 50, get: 50, resources: 50 }}
{more}""")
        return path

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """One moto for all tests of a worker."""
    with moto() as url:
        yield url


@pytest.fixture
def shell(
    server: str, commands: CommandServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Shell]:
    """A clean shell; at the end nothing that it heard or wrote down may hold a secret or a traceback."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    with proxied(server) as proxy:
        environment = {
            "PATH": os.environ.get("PATH", ""), "HOME": str(tmp_path), "PYTHONPATH": str(SOURCE),
            "PYTHONUTF8": "1", "COLUMNS": "120",
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_ENDPOINT_URL": proxy.url,
            "AWS_DEFAULT_REGION": HERE,
        }  # fmt: skip
        folder = tmp_path / "work"
        folder.mkdir()
        shell = Shell(folder, proxy, f"/{name}", environment, commands)
        yield shell
        written = [f.read_text(errors="replace") for f in folder.rglob("*") if f.is_file()]
        for text in (*shell.heard, *written):
            assert SECRET not in text
            assert "Traceback" not in text
