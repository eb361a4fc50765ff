"""`ssm-reconcile demo`: plan, apply and find changes on a simulated AWS on this machine.

The simulator (moto) runs in a thread, on loopback. Each command of the demo is a process of its own, as a
user runs it. The demo checks each statement that it prints.
"""

from __future__ import annotations

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
    with tempfile.TemporaryDirectory(prefix="ssm-reconcile-demo-") as folder, _simulator():
        _Demo(Path(folder), color).run()
    return 0


@contextmanager
def _simulator() -> Iterator[None]:
    """Start an empty AWS, and let this process and its children reach no other one."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would write a line for each request
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


class _Demo:
    """The steps of the demo. Each explains itself in a sentence, runs a command, and checks its effects."""

    def __init__(self, folder: Path, color: str) -> None:
        self.account = Account()
        self.folder = folder
        self.color = color
        self.printed = ""

    def run(self) -> None:
        self._prepare()
        self._plan()
        self._take_over()
        self._apply()
        self._plan_again()
        self._plan_changes()
        self._apply_changes()
        self._check_secrets()

    def _prepare(self) -> None:
        self._title("1. A spec says which parameters of us-east-1 belong in us-east-2.")
        self.account.fill()
        (self.folder / "replication.yaml").write_text(SPEC, encoding="utf-8")
        write(f"$ cat replication.yaml\n{SPEC.rstrip()}")

    def _plan(self) -> None:
        self._title("2. A plan reads both regions and writes nothing; it shows no secret.")
        before = self.account.values(TARGET)
        text = self._command("plan", expect=0)
        created = len(self.account.values(SOURCE)) - 2
        self._check(f"the plan creates {created} parameters", f"{created} to create" in text)
        self._check("the plan shows the conflict", LIMITS in text)
        self._check("the plan wrote nothing", self.account.values(TARGET) == before)

    def _take_over(self) -> None:
        self._title("3. A conflict waits for your decision: this command takes the parameter over.")
        self._command("apply", "--yes", "--only", LIMITS, "--adopt", "overwrite", expect=0)
        target = self.account.values(TARGET)
        self._check(
            "the value of the source was written", target[LIMITS] == self.account.values(SOURCE)[LIMITS]
        )
        self._check("nothing else was written", target.keys() == {LIMITS, FOREIGN})

    def _apply(self) -> None:
        self._title("4. An apply makes all other changes of the plan.")
        before = self.account.values(TARGET)
        self._command("apply", "--yes", expect=0)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in source.keys() - {REGIONAL}:
            self._check(f"{name} was copied", target.get(name) == source[name])
        self._check("a parameter outside the spec was not changed", target[FOREIGN] == before[FOREIGN])
        self._check("a parameter with the tag skip_sync was not copied", REGIONAL not in target)

    def _plan_again(self) -> None:
        self._title("5. A second plan finds nothing to do, and decrypts no secret to know it.")
        text = self._command("plan", expect=0)
        self._check("the second plan is empty", "Nothing to do" in text)

    def _plan_changes(self) -> None:
        self._title(
            "6. Someone edits a replica; in us-east-1 a password is rotated, a limit raised, and two\n"
            "flags are deleted: the plan lists each change, and withholds both deletes, as one is allowed."
        )
        self.account.change_source()
        self.account.edit_target()
        text = self._command("plan", expect=0)
        for name in (LIMITS, PASSWORD, EDITED, *FLAGS):
            self._check(f"the plan shows {name}", name in text)
        self._check("the plan says how to lift the guard", "--max-deletes" in text)

    def _apply_changes(self) -> None:
        self._title(
            "7. The deletes are meant, so the apply lifts the guard; it repairs the edited replica, too."
        )
        self._command("apply", "--yes", "--max-deletes", "2", expect=0)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in (LIMITS, PASSWORD, EDITED):
            self._check(f"{name} has the value of the source", target[name] == source[name])
        for name in FLAGS:
            self._check(f"the replica of {name} was deleted", name not in target)

    def _check_secrets(self) -> None:
        leaked = any(secret in self.printed for secret in self.account.secrets)
        self._check("no secret was printed", not leaked)
        self._title("The end.")
        write(f"{len(self.account.secrets)} secret values were copied, and none of them was printed.")
        write("The simulated AWS is stopped, and all files of the demo are deleted.")
        write("Next: README.md, 'Set it up in five minutes'.")

    def _title(self, text: str) -> None:
        heading = f"== {text}"
        write("\n" + (click.style(heading, bold=True) if self.color == "always" else heading))

    def _command(self, *words: str, expect: int) -> str:
        """Run a command in a process of its own, show its output, and check its exit code."""
        write(f"$ ssm-reconcile {' '.join(words)}")
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [sys.executable, "-m", "ssm_reconcile", *words, "--quiet", "--color", self.color],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"COLUMNS": str(shutil.get_terminal_size().columns)},
            text=True,
            check=False,
        )
        self.printed += done.stdout
        write(done.stdout.rstrip())
        code = done.returncode
        self._check(f"`{' '.join(words)}` exits with {expect} (it exited with {code})", code == expect)
        return done.stdout

    def _check(self, statement: str, holds: bool) -> None:
        if not holds:
            raise ReconcileError(f"the demo failed at this statement: {statement}", "report this as a bug")


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
