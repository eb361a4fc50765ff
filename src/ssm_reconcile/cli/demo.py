"""`ssm-reconcile demo`: plan, apply and find changes on a simulated AWS on this machine.

The simulator (moto) runs in a thread, on loopback. Each command of the demo is a process of its own, as a
user runs it. The demo checks each statement that it prints.
"""

from __future__ import annotations

import logging
import os
import secrets
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
targets:
  - region: us-east-2
parameters:
  include: ["/prod/**", "/shared/*"]
kms:
  - source: alias/app
    targets: { us-east-2: alias/app }
  - source: alias/payments
    targets: { us-east-2: alias/payments }
delete: owned
# Calls per second: the simulator has no quotas. Without these lines, the demo waits for those of AWS.
rates: { describe: 100, get: 100, put: 100, delete: 100, tags: 100, list_tags: 100 }
"""
CREATED = 34
NOT_COPIED = {"/prod/search/cache", "/prod/orders/bucket", "/shared/flag-1"}
"""Two parameters with the tag skip_sync, and one whose name is taken in the target."""
_EXTRA_PACKAGES = ("moto", "flask")


@click.command("demo", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.basic_options
def command(common: CommonOptions) -> int:
    """Show plan and apply on a simulated AWS on this machine, without an AWS account.

    Creates parameters in one region, copies them to another, changes them on both sides, and finds the
    changes. Needs the extra `demo` (moto, a simulator of AWS).
    """
    missing = [package for package in _EXTRA_PACKAGES if find_spec(package) is None]
    if missing:
        message = f"the demo needs the packages of the extra `demo`; not installed: {', '.join(missing)}"
        raise ReconcileError(message, "in a checkout of ssm-reconcile: pip install '.[demo]'")
    color = "always" if use_color(sys.stdout, common.color) else "never"
    with tempfile.TemporaryDirectory(prefix="ssm-reconcile-demo-") as folder, _simulator():
        _Demo(Path(folder), color).run()
    write("\nThe simulated AWS was stopped and all files of the demo were deleted.")
    write("Next: README.md, 'Set it up in five minutes'.")
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
    """The steps of the demo. Each writes text, runs commands, and checks what the text says."""

    def __init__(self, folder: Path, color: str) -> None:
        self.account = _Account()
        self.folder = folder
        self.color = color
        self.printed = ""

    def run(self) -> None:
        self._prepare()
        self._plan()
        self._apply()
        self._find_changes()
        self._apply_changes()
        self._check_secrets()

    def _prepare(self) -> None:
        self._title("1. Two regions in a simulated AWS")
        self.account.fill()
        count = len(self.account.values(SOURCE))
        write("The simulator (moto) runs on this machine. No request leaves it.")
        write(f"{SOURCE} has {count} parameters: strings, lists, and SecureStrings under two KMS keys.")
        write(f"{TARGET} has 4 parameters of other teams.")
        write("\nThe spec, replication.yaml, copies /prod and /shared from one region to the other:\n")
        write("    " + SPEC.replace("\n", "\n    ").rstrip())
        (self.folder / "replication.yaml").write_text(SPEC, encoding="utf-8")

    def _plan(self) -> None:
        self._title("2. Make a plan: it reads both regions and writes nothing")
        before = self.account.values(TARGET)
        text = self._command("plan", "--out", "plan.json", expect=0)
        self._check(f"the plan creates {CREATED} parameters", f"{CREATED} to create" in text)
        self._check("the plan wrote nothing", self.account.values(TARGET) == before)

    def _apply(self) -> None:
        self._title("3. Apply the plan")
        before = self.account.values(TARGET)
        self._command("apply", "plan.json", expect=3)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in source:
            if name.startswith(("/prod/", "/shared/")) and name not in NOT_COPIED:
                self._check(f"{name} was copied", target.get(name) == source[name])
        for name in ("/native/us-east-2/only", "/prod/search/cache", "/shared/flag-1"):
            self._check(f"{name} was not changed", target[name] == before[name])
        self._check("a parameter with the tag skip_sync was not copied", "/prod/orders/bucket" not in target)
        write("\nExit code 3: one parameter remains. /shared/flag-1 existed in the target before, with")
        write("another value and no owner tag. It is a conflict, and it is not overwritten until you decide.")
        write("/shared/flag-0 existed too, with the same value. It was adopted: only its tags were written.")
        self._title("4. Plan again: nothing to do")
        text = self._command("plan", "--detailed-exitcode", expect=0)
        self._check("the second plan is empty", "Nothing to do" in text)
        write("\nThis plan decrypted no SecureString: each replica has a record of its source version.")

    def _find_changes(self) -> None:
        self._title("5. Find changes on both sides")
        self.account.change_source()
        self.account.edit_target()
        write(f"In {SOURCE}, a limit and a password were changed and a flag was deleted.")
        write(f"In {TARGET}, one replica was edited by hand. The plan shows all four:\n")
        text = self._command("plan", "--detailed-exitcode", "--out", "plan.json", expect=2)
        changed = ("/prod/orders/limits", "/prod/users/db/password", "/prod/payments/log-level")
        for name in ("/shared/flag-3", *changed):
            self._check(f"the plan shows {name}", name in text)

    def _apply_changes(self) -> None:
        self._title("6. Apply: a replica that was edited by hand is withheld")
        self._command("apply", "plan.json", expect=5)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in ("/prod/orders/limits", "/prod/users/db/password"):
            self._check(f"the new value of {name} was copied", target[name] == source[name])
        self._check("the replica of the deleted flag was deleted", "/shared/flag-3" not in target)
        edited = "/prod/payments/log-level"
        self._check("the edit by hand was not overwritten", target[edited] == "debug")
        write("\nExit code 5: a guard withheld a change. This command overwrites the edit:\n")
        self._command("apply", "--yes", "--overwrite-outside", expect=3)
        self._check("the edit was overwritten", self.account.values(TARGET)[edited] == "info")

    def _check_secrets(self) -> None:
        leaked = any(secret in self.printed for secret in self.account.secrets)
        self._check("no secret was printed", not leaked)
        self._title("Result")
        write(f"{len(self.account.secrets)} secrets were copied, and none of them was printed.")

    def _title(self, text: str) -> None:
        write(f"\n== {text} ==\n")

    def _command(self, *words: str, expect: int) -> str:
        """Run a command in a process of its own, show its output, and check its exit code."""
        write(f"$ ssm-reconcile {' '.join(words)}")
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [sys.executable, "-m", "ssm_reconcile", *words, "--no-progress", "--color", self.color],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
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


class _Account:
    """The simulated AWS account, written with plain boto3, and its secrets, which must not be printed.

    The source region has forty parameters: all three types, tags, two KMS keys, and some with the tag
    skip_sync. The target region has four parameters that other teams created before.
    """

    def __init__(self) -> None:
        self.secrets: list[str] = []

    def fill(self) -> None:
        """Create keys and parameters."""
        import boto3

        for region in (SOURCE, TARGET):
            for alias in ("alias/app", "alias/payments"):
                kms = boto3.client("kms", region_name=region)
                kms.create_alias(AliasName=alias, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        for service in ("orders", "payments", "search", "users"):
            self._fill_service(service)
        for i in range(4):
            self._put(SOURCE, f"/shared/flag-{i}", "on" if i % 2 else "off", {"team": "platform"})
        regional = {"skip_sync": "regional"}
        self._put(SOURCE, "/prod/search/cache", "cache.us-east-1.internal", regional)
        self._put(SOURCE, "/prod/orders/bucket", "orders-us-east-1", regional)
        self._put(SOURCE, "/staging/orders/url", "https://staging.example.com")
        self._put(SOURCE, "/staging/users/url", "https://staging.example.com")
        self._put(TARGET, "/prod/search/cache", "cache.us-east-2.internal", {"team": "search"})
        self._put(TARGET, "/native/us-east-2/only", "created before the demo", {"team": "network"})
        self._put(TARGET, "/shared/flag-0", "off", {"team": "platform"})
        self._put(TARGET, "/shared/flag-1", "value of the platform team", {"team": "platform"})

    def _fill_service(self, service: str) -> None:
        base, tags = f"/prod/{service}", {"team": service, "tier": "backend"}
        url = f"https://{service}.example.com"
        self._put(SOURCE, f"{base}/url", url, tags, Description=f"Entry of {service}")
        self._put(SOURCE, f"{base}/hosts", f"{service}-a,{service}-b", tags, Type="StringList")
        self._put(SOURCE, f"{base}/log-level", "info", tags, AllowedPattern="^(debug|info|warn)$")
        self._put(SOURCE, f"{base}/limits", '{"max": 100, "burst": 20}', tags)
        self._put(SOURCE, f"{base}/region-note", "any region", tags)
        key = "alias/payments" if service == "payments" else "alias/app"
        self._put_secret(f"{base}/db/password", tags, KeyId=key)
        self._put_secret(f"{base}/api/key", tags, KeyId=key)
        self._put_secret(f"{base}/session/seed", tags)

    def change_source(self) -> None:
        """Change a setting, rotate a password and delete a parameter in the source."""
        self._put(SOURCE, "/prod/orders/limits", '{"max": 250, "burst": 20}', Overwrite=True)
        self._put_secret("/prod/users/db/password", KeyId="alias/app", Overwrite=True)
        self._ssm(SOURCE).delete_parameter(Name="/shared/flag-3")

    def edit_target(self) -> None:
        """Edit a replica in the target by hand."""
        self._put(TARGET, "/prod/payments/log-level", "debug", Overwrite=True)

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
