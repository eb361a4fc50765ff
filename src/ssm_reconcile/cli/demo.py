"""`ssm-reconcile demo`: plan, apply and find changes on a simulated AWS on this machine.

The simulator (moto) runs in a thread, on loopback. Each command of the demo is a process of its own, as a
user runs it. The demo checks each statement that it prints: in the documents that the commands save, the
parameters of the simulator, and its log of requests.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import options
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.terminal import use_color, write
from ssm_reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

EPILOG = """\
\b
Example:
  pip install '.[demo]'
  ssm-reconcile demo
"""
EXIT_CODES = {
    0: "each statement of the demo held",
    1: "a statement did not hold, or the simulator is not installed",
    130: "interrupted",
}
SOURCE = "us-east-1"
TARGET = "us-east-2"
SPEC = """\
version: 1
name: demo
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
kms: [{ source: alias/app, targets: { us-east-2: alias/app } }]
delete: owned
changed_outside: overwrite
guards: { max_deletes: 1 }
"""
LIMITS = "/prod/orders/limits"
PASSWORD = "/prod/orders/db-password"  # noqa: S105 - a name, not a value
EDITED = "/prod/users/url"
FLAGS = ("/prod/flags/beta", "/prod/flags/dark-mode")
REGIONAL = "/prod/users/bucket"
FOREIGN = "/network/vpc"
_EXTRA_PACKAGES = ("moto", "flask")


@click.command("demo", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.basic_options
def command(common: CommonOptions) -> int:
    """Show plan and apply on a simulated AWS on this machine, without an AWS account.

    Shows a plan, a conflict, an apply, drift, and a withheld delete. Needs the extra `demo` (moto, a
    simulator of AWS).
    """
    missing = [package for package in _EXTRA_PACKAGES if find_spec(package) is None]
    if missing:
        message = f"the demo needs the packages of the extra `demo`; not installed: {', '.join(missing)}"
        raise ReconcileError(message, "in a checkout of ssm-reconcile: pip install '.[demo]'")
    color = "always" if use_color(sys.stdout, common.color) else "never"
    with tempfile.TemporaryDirectory(prefix="ssm-reconcile-demo-") as name:
        folder = Path(name)
        with _simulator(folder):
            _Demo(folder, color).run()
    return 0


@contextmanager
def _simulator(folder: Path) -> Iterator[None]:
    """Start an empty AWS, and let this process and its children reach no other one.

    Args:
        folder: A folder for the log of requests.
    """
    os.environ["MOTO_RECORDER_FILEPATH"] = str(folder / "requests.log")  # moto reads it on import
    from moto.server import ThreadedMotoServer

    # It would write a line for each request, and a traceback for GetServiceSetting, which moto does not have.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # a profile of the user
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONWARNINGS": "ignore",
    }
    try:
        yield
    finally:
        server.stop()


@contextmanager
def _recorded_requests() -> Iterator[list[dict[str, Any]]]:
    """Yield a list that gets each request that the simulator receives meanwhile."""
    from moto.moto_api import recorder

    requests: list[dict[str, Any]] = []
    recorder.reset_recording()
    recorder.start_recording()
    try:
        yield requests
    finally:
        recorder.stop_recording()
    requests += map(json.loads, recorder.download_recording().splitlines())


def _is_decryption(request: dict[str, Any]) -> bool:
    """Whether a request to SSM or KMS asks for a decrypted value."""
    operation: str = request["headers"].get("X-Amz-Target", "")
    if operation.startswith("AmazonSSM."):
        return bool(json.loads(base64.b64decode(request["body"])).get("WithDecryption"))
    return operation == "TrentService.Decrypt"


class _Demo:
    """The steps of the demo. Each explains itself in a sentence, runs a command, and checks its effects.

    The checks read the documents that the commands save, and the parameters of the simulator.
    """

    def __init__(self, folder: Path, color: str) -> None:
        self.account = Account()
        self.folder = folder
        self.color = color
        self.copied: set[str] = set()

    def run(self) -> None:
        self._prepare()
        created = self._plan()
        self._take_over()
        self._apply(created)
        self._plan_again()
        self._apply_changes(self._plan_changes())
        self._check("each secret was copied", self.copied == set(self.account.secrets))
        self._title("The end.")
        write(f"{len(self.copied)} secret values were copied, and none of them was printed.")
        write("Next: README.md, 'In your repository'.")

    def _prepare(self) -> None:
        self._title("1. A spec says which parameters of us-east-1 belong in us-east-2.")
        self.account.fill()
        (self.folder / "replication.yaml").write_text(SPEC, encoding="utf-8")
        write(f"$ cat replication.yaml\n{SPEC.rstrip()}")

    def _plan(self) -> dict[str, str]:
        self._title("2. A plan reads both regions and writes nothing; it shows no secret.")
        before = self.account.values(TARGET)
        plan = self._command("plan")
        creates = self.account.values(SOURCE).keys() - {LIMITS, REGIONAL}
        conflicts = {other["name"] for other in plan["others"] if other["row"] == "conflict"}
        self._check("the plan leaves the conflict to the user", conflicts == {LIMITS})
        self._check(
            f"the plan creates {len(creates)} parameters, and changes nothing else",
            _actions(plan["changes"]) == dict.fromkeys(creates, "create"),
        )
        self._check("the plan wrote nothing", self.account.values(TARGET) == before)
        return _actions(plan["changes"])

    def _take_over(self) -> None:
        self._title("3. A conflict waits for your decision: this command takes the parameter over.")
        report = self._command("apply", "--yes", "--only", LIMITS, "--adopt", "overwrite")
        target = self._replicas()
        self._check("the parameter was taken over", _applied(report) == {LIMITS: "update"})
        self._check(
            "the value of the source was written", target[LIMITS] == self.account.values(SOURCE)[LIMITS]
        )
        self._check("nothing else was written", target.keys() == {LIMITS, FOREIGN})

    def _apply(self, planned: dict[str, str]) -> None:
        self._title("4. An apply makes all other changes of the plan.")
        before = self.account.values(TARGET)
        report = self._command("apply", "--yes")
        self._check("the apply made the changes of the plan", _applied(report) == planned)
        source, target = self.account.values(SOURCE), self._replicas()
        for name in source.keys() - {REGIONAL}:
            self._check(f"{name} was copied", target.get(name) == source[name])
        self._check("a parameter outside the spec was not changed", target[FOREIGN] == before[FOREIGN])
        self._check("a parameter with the tag skip_sync was not copied", REGIONAL not in target)

    def _plan_again(self) -> None:
        self._title("5. A second plan finds nothing to do, and decrypts no secret to know it.")
        with _recorded_requests() as requests:
            plan = self._command("plan")
        self._check("the second plan is empty", plan["changes"] == [])
        self._check("the simulator recorded the requests of the plan", bool(requests))
        self._check("the second plan decrypts no secret", not any(map(_is_decryption, requests)))

    def _plan_changes(self) -> dict[str, Any]:
        self._title("6. A plan lists new edits in both regions, and withholds both deletes.")
        self.account.change_source()
        self.account.edit_target()
        plan = self._command("plan")
        changes = dict.fromkeys((LIMITS, PASSWORD, EDITED), "update") | dict.fromkeys(FLAGS, "delete")
        withheld = {change["name"]: change["withheld_by"] for change in plan["changes"]}
        self._check("the plan lists each change", _actions(plan["changes"]) == changes)
        for name in changes:
            self._check(
                f"only deletes are withheld: {name}", withheld[name] == ["max-deletes"] * (name in FLAGS)
            )
        return plan

    def _apply_changes(self, plan: dict[str, Any]) -> None:
        self._title("7. The deletes are intended: this apply lifts the guard.")
        flags = [finding["remedy"]["flag"] for finding in plan["findings"]]
        self._check("the plan has the flag that lifts the guard", flags == ["--max-deletes 2"])
        report = self._command("apply", "--yes", *flags[0].split())
        self._check("the apply made all changes", _applied(report) == _actions(plan["changes"]))
        source, target = self.account.values(SOURCE), self._replicas()
        for name in (LIMITS, PASSWORD, EDITED):
            self._check(f"{name} has the value of the source", target[name] == source[name])
        for name in FLAGS:
            self._check(f"the replica of {name} was deleted", name not in target)

    def _replicas(self) -> dict[str, str]:
        """Return the values of the target, and remember the secrets among them as copied."""
        values = self.account.values(TARGET)
        self.copied |= set(self.account.secrets) & set(values.values())
        return values

    def _title(self, text: str) -> None:
        heading = f"== {text}"
        write("\n" + (click.style(heading, bold=True) if self.color == "always" else heading))

    def _command(self, *words: str) -> dict[str, Any]:
        """Run a command in a process of its own, show its output, and return the document that it saved."""
        write(f"$ ssm-reconcile {' '.join(words)}")
        saved = self.folder / "document.json"
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [
                sys.executable,
                "-m",
                "ssm_reconcile",
                *words,
                "--out",
                saved.name,
                "--quiet",
                "--color",
                self.color,
            ],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"COLUMNS": str(shutil.get_terminal_size().columns)},
            text=True,
            check=False,
        )
        self._check("the output has no secret", self._is_free_of_secrets(done.stdout))
        write(done.stdout.rstrip())
        code = done.returncode
        self._check(f"`{' '.join(words)}` exits with 0 (it exited with {code})", code == 0)
        text = saved.read_text(encoding="utf-8")
        self._check("the saved document has no secret", self._is_free_of_secrets(text))
        document: dict[str, Any] = json.loads(text)
        return document

    def _is_free_of_secrets(self, text: str) -> bool:
        return not any(secret in text for secret in self.account.secrets)

    def _check(self, statement: str, holds: bool) -> None:
        if not holds:
            raise ReconcileError(f"the demo failed at this statement: {statement}", "report this as a bug")


def _actions(changes: list[dict[str, Any]]) -> dict[str, str]:
    """Return the action of each change of a plan, or of each outcome of a report, by name."""
    return {change["name"]: change["action"] for change in changes}


def _applied(report: dict[str, Any]) -> dict[str, str]:
    """Return the action of each change that was applied, by name."""
    return _actions([outcome for outcome in report["outcomes"] if outcome["outcome"] == "applied"])


class Account:
    """The simulated AWS account, written with plain boto3, and its secrets, which must not be printed."""

    def __init__(self) -> None:
        self.secrets: list[str] = []

    def fill(self) -> None:
        """Create keys and parameters: strings, a list and secrets; in the target, two of other teams."""
        import boto3

        for region in (SOURCE, TARGET):
            kms = boto3.client("kms", region_name=region)
            kms.create_alias(AliasName="alias/app", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        for service in ("orders", "users"):
            self._put_secret(f"/prod/{service}/db-password", {"team": service}, KeyId="alias/app")
            self._put(SOURCE, f"/prod/{service}/url", f"https://{service}.example.com")
        self._put(SOURCE, "/prod/orders/hosts", "orders-a,orders-b", Type="StringList")
        self._put(SOURCE, LIMITS, '{"max": 250, "burst": 20}')
        self._put(TARGET, LIMITS, '{"max": 100, "burst": 20}')
        for flag in FLAGS:
            self._put(SOURCE, flag, "on")
        self._put(SOURCE, REGIONAL, "users-us-east-1", {"skip_sync": "true"})
        self._put(TARGET, FOREIGN, "vpc-0a1b2c3d", {"team": "network"})

    def change_source(self) -> None:
        """Change a setting, rotate a password and delete two parameters in the source."""
        self._put(SOURCE, LIMITS, '{"max": 400, "burst": 20}', Overwrite=True)
        self._put_secret(PASSWORD, KeyId="alias/app", Overwrite=True)
        self._ssm(SOURCE).delete_parameters(Names=list(FLAGS))

    def edit_target(self) -> None:
        """Edit a replica in the target by hand."""
        self._put(TARGET, EDITED, "https://old.example.com", Overwrite=True)

    def values(self, region: str) -> dict[str, str]:
        """Return every value of a region by name."""
        pages = self._ssm(region).get_paginator("get_parameters_by_path")
        found = pages.paginate(Path="/", Recursive=True, WithDecryption=True)
        return {one["Name"]: one["Value"] for page in found for one in page["Parameters"]}

    def _put_secret(self, name: str, tags: dict[str, str] | None = None, **fields: Any) -> None:
        value = secrets.token_urlsafe(18)
        self.secrets.append(value)
        self._put(SOURCE, name, value, tags, Type="SecureString", **fields)

    def _put(
        self, region: str, name: str, value: str, tags: dict[str, str] | None = None, **fields: Any
    ) -> None:
        listed = [{"Key": key, "Value": text} for key, text in (tags or {}).items()]
        given = {"Type": "String", "Tags": listed, **fields}
        self._ssm(region).put_parameter(Name=name, Value=value, **given)

    def _ssm(self, region: str) -> SSMClient:
        import boto3

        return boto3.client("ssm", region_name=region)
