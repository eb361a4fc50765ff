"""The package of deploy/build.sh: identical for each build, complete, and without anything unused."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.doubles.once import make_once
from tests.e2e.aws import moto

ROOT = Path(__file__).parents[2]
LARGEST = 24_000_000
"""Bytes of all files: 10 % more than measured. Zipped, a third of it."""
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
rewrite: [{ match: /prod/pattern, from: us-east-1, to: "{target.region}" }]
adopt: same_value
delete: owned
rates: { put: 200, tags: 200, list_tags: 200, describe: 200, get: 200, resources: 200, delete: 200 }
"""
PROGRAM = """\
import contextlib, json, os, sys
folder = sys.argv[1]
sys.path.insert(0, folder)

class Context:
    aws_request_id = "request"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)

def modules():
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return {name: file for name, file in files.items() if file and name != "__main__"}

from ssm_reconcile.event.aws_lambda import answer
found = {"import": modules()}
for step, event in json.loads(sys.argv[2]).items():
    with contextlib.redirect_stdout(sys.stderr):
        answer(event, Context())
    found[step] = modules()
import boto3
for service in os.listdir(os.path.join(folder, "botocore", "data")):
    if "." not in service:
        boto3.client(service)
print(json.dumps({"modules": found, "last": modules()}))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the packages are those of Linux"),
]


@dataclass(frozen=True, slots=True)
class Packages:
    """Two builds of the same inputs, and what a process reported that ran the first one."""

    first: Path
    second: Path
    report: dict[str, Any]

    def modules(self, step: str) -> set[str]:
        """Return the modules that were imported after a step."""
        return set(self.report["modules"][step])


def start_build(folder: Path, spec: Path) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHON": sys.executable,
        "VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
        "MACHINE": platform.machine(),
        "INTO": str(folder),
    }
    return subprocess.Popen(
        ["sh", "deploy/build.sh", str(spec)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def build_twice(folder: Path) -> None:
    """Build into `first` and `second`, at the same time."""
    (folder / "replication.yaml").write_text(SPEC)
    spec = folder / "replication.yaml"
    builds = [start_build(folder / name, spec) for name in ("first", "second")]
    for build in builds:
        _, errors = build.communicate()
        if "No matching distribution found" in errors and "connection" in errors.lower():
            pytest.skip("no connection to the package index")
        assert build.returncode == 0, errors


def run_function(package: Path) -> dict[str, Any]:
    """Return the report of a process that has nothing but the package and the standard library."""
    events = {
        "first event": {"names": ["/prod/plain"]},
        "pattern and difference": {"names": ["/prod/pattern"]},
        "whole run": {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    }
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    with moto() as url:
        environment = keys | {
            "AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1", "NAME": "prod",
            "LAMBDA_TASK_ROOT": str(package), "SPEC_PATH": "replication.yaml",
        }  # fmt: skip
        client = boto3.Session("testing", "testing").client
        source, target = (client("ssm", region, endpoint_url=url) for region in ("us-east-1", "us-east-2"))
        source.put_parameter(Name="/prod/plain", Value="one", Type="String")
        source.put_parameter(
            Name="/prod/pattern", Value="us-east-1", Type="String", AllowedPattern="[a-z0-9-]+"
        )
        source.put_parameter(Name="/prod/whole", Value="whole", Type="SecureString")
        target.put_parameter(Name="/prod/pattern", Value="us-east-2", Type="String", Description="another")
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(package), json.dumps(events)],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        report: dict[str, Any] = json.loads(result.stdout)
        held = target.get_parameters(
            Names=["/prod/plain", "/prod/pattern", "/prod/whole"], WithDecryption=True
        )
        report["held"] = {one["Name"]: one["Value"] for one in held["Parameters"]}
    return report


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Two builds and one run, shared by the workers of a test run."""

    def build(folder: Path) -> None:
        build_twice(folder)
        (folder / "report.json").write_text(json.dumps(run_function(folder / "first")))

    folder = make_once(tmp_path_factory, "function", build)
    return Packages(folder / "first", folder / "second", json.loads((folder / "report.json").read_text()))


def contents(folder: Path) -> dict[str, tuple[int, float, bytes]]:
    """Return mode, modification time and bytes of each file and folder."""
    return {
        str(path.relative_to(folder)): (
            (found := path.stat()).st_mode,
            found.st_mtime,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_two_builds_are_identical(packages: Packages) -> None:
    first, second = contents(packages.first), contents(packages.second)
    assert [name for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()
    assert len({time for _, time, _ in first.values()}) == 1


def test_the_function_needs_nothing_but_the_package(packages: Packages) -> None:
    standard = Path(os.__file__).parent
    outside = {
        name: file
        for name, file in packages.report["last"].items()
        if not Path(file).is_relative_to(packages.first)
        and (not Path(file).is_relative_to(standard) or "site-packages" in file)
    }
    assert outside == {}
    assert packages.report["held"] == {
        "/prod/plain": "one",
        "/prod/pattern": "us-east-2",
        "/prod/whole": "whole",
    }


def test_each_distribution_in_the_package_is_imported(packages: Packages) -> None:
    """Neither the command line nor the build needs anything here; `rich` and `hatchling` would be found."""
    tops = {path.stem.partition(".")[0] for path in packages.first.iterdir() if path.suffix in {"", ".py"}}
    imported = {name.partition(".")[0] for name in packages.report["last"]}
    assert tops - {"__pycache__"} - imported == set()


def test_modules_that_were_removed_are_not_imported_by_the_others(packages: Packages) -> None:
    """Also not by an import in a function, which no run has to reach."""
    missing = {
        f"{path.relative_to(packages.first)}: {module}"
        for path in (packages.first / "ssm_reconcile").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in imported_modules(node)
        if module.startswith("ssm_reconcile") and not exists(packages.first, module)
    }
    assert missing == set()
    assert not exists(packages.first, "ssm_reconcile.cli")


def imported_modules(node: ast.AST) -> Iterator[str]:
    """Yield the modules of an import; `from a import b` names the module a, and b if it is one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
        source = ROOT / "src"
        names = (f"{node.module}.{alias.name}" for alias in node.names)
        yield from (name for name in names if exists(source, name))


def exists(folder: Path, module: str) -> bool:
    """Whether a folder has a module."""
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_the_service_models_are_those_of_our_clients(packages: Packages) -> None:
    code = "".join(path.read_text() for path in (packages.first / "ssm_reconcile").rglob("*.py"))
    used = set(re.findall(r'client\(\s*"([a-z0-9]+)"', code))
    kept = {path.name for path in (packages.first / "botocore/data").iterdir() if path.is_dir()}
    assert {"ssm", "sts", "kms", "resourcegroupstaggingapi", "sqs", "s3", "dynamodb", "stepfunctions"} <= used
    assert kept == used


def test_every_module_is_compiled_for_the_folder_of_lambda(packages: Packages) -> None:
    """With an unchecked hash: the interpreter does not look at the source, whose time changes in the zip."""
    for path in packages.first.rglob("*.py"):
        compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        assert compiled.read_bytes()[4:8] == b"\1\0\0\0", path
    handler = packages.first / "ssm_reconcile/event/__pycache__"
    (compiled,) = handler.glob("aws_lambda.*")
    assert b"/var/task/ssm_reconcile/event/aws_lambda.py" in compiled.read_bytes()


def test_the_package_is_small(packages: Packages) -> None:
    size = sum(path.stat().st_size for path in packages.first.rglob("*") if path.is_file())
    assert size < LARGEST


def test_a_cold_start_imports_only_what_each_event_needs(packages: Packages) -> None:
    """DeepDiff compares attributes that differ, RE2 checks patterns, and AWS is called for an event."""
    later = {
        "asyncio",
        "boto3",
        "botocore.session",
        "deepdiff",
        "jsonschema",
        "multiprocessing",
        "re2",
        "yaml",
    }
    assert packages.modules("import") & later == set()
    assert packages.modules("first event") & {"asyncio", "deepdiff", "re2"} == set()
    assert {"deepdiff", "re2"} <= packages.modules("pattern and difference")
