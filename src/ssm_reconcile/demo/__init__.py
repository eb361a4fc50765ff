"""The main use of the package, shown on a simulated AWS on this machine.

    server.py  moto in a process of its own, on loopback
    world.py   about forty parameters in two regions, and the changes that other people make to them

This module runs the steps. It checks each statement that it prints, and returns 1 when a statement does not
hold.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ssm_reconcile.demo.server import server
from ssm_reconcile.demo.world import SOURCE, TARGET, DemoAccount

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
"""
CREATED = 34
NOT_COPIED = {"/prod/search/cache", "/prod/orders/bucket", "/shared/flag-1"}
"""Two parameters with the tag skip_sync, and one whose name is taken in the target."""
Write = Callable[[str], None]


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the output of the demo


class _StatementError(Exception):
    """A statement of the demo does not hold."""


def run(*, color: str = "auto", write: Write = _print) -> int:
    """Run the demo, which takes up to a minute.

    Args:
        color: `auto`, `always` or `never`; passed on to each command.
        write: receives the text.

    Returns:
        0 when every statement of the demo held, else 1.

    Raises:
        ReconcileError: the simulator does not start.
    """
    if color == "auto":
        color = "always" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "never"
    with tempfile.TemporaryDirectory(prefix="ssm-reconcile-demo-") as folder, server() as endpoint:
        try:
            _Demo(DemoAccount(endpoint), Path(folder), write, color).run()
        except _StatementError as error:
            write(f"\nThe demo failed at this statement: {error}")
            return 1
    write("\nThe simulated AWS was stopped and all files of the demo were deleted.")
    write("Next: README.md, 'Set it up in five minutes'.")
    return 0


class _Demo:
    def __init__(self, account: DemoAccount, folder: Path, write: Write, color: str) -> None:
        self.account = account
        self.folder = folder
        self.write = write
        self.color = color
        self.printed = ""

    def run(self) -> None:
        self._prepare()
        self._plan()
        self._apply()
        self._plan_again()
        self._find_changes()
        self._apply_changes()
        self._check_secrets()

    def _prepare(self) -> None:
        self._title("1. Two regions in a simulated AWS")
        self.account.fill()
        count = len(self.account.values(SOURCE))
        self.write("The simulator (moto) runs on this machine. No request leaves it.")
        self.write(f"{SOURCE} has {count} parameters: strings, lists, and SecureStrings under two KMS keys.")
        self.write(f"{TARGET} has 4 parameters of other teams.")
        self.write("\nThe spec, replication.yaml, copies /prod and /shared from one region to the other:\n")
        self.write("    " + SPEC.replace("\n", "\n    ").rstrip())
        (self.folder / "replication.yaml").write_text(SPEC, encoding="utf-8")

    def _plan(self) -> None:
        self._title("2. Make a plan: it reads both regions and writes nothing")
        before = self.account.values(TARGET)
        text = self._command("plan", "--out", "plan.json", expect=0)
        self._check(f"{CREATED} to create" in text, f"the plan creates {CREATED} parameters")
        self._check(self.account.values(TARGET) == before, "the plan wrote nothing")

    def _apply(self) -> None:
        self._title("3. Apply the plan")
        before = self.account.values(TARGET)
        self._command("apply", "plan.json", expect=3)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in source:
            if name.startswith(("/prod/", "/shared/")) and name not in NOT_COPIED:
                self._check(target.get(name) == source[name], f"{name} was copied")
        for name in ("/native/us-east-2/only", "/prod/search/cache", "/shared/flag-1"):
            self._check(target[name] == before[name], f"{name} was not changed")
        self._check("/prod/orders/bucket" not in target, "a parameter with the tag skip_sync was not copied")
        self.write(
            "\nExit code 3: one parameter remains. /shared/flag-1 existed in the target before, with another"
        )
        self.write("value and no owner tag. It is a conflict, and it is not overwritten until you decide.")
        self.write(
            "/shared/flag-0 existed too, with the same value. It was adopted: only its tags were written."
        )

    def _plan_again(self) -> None:
        self._title("4. Plan again: nothing to do")
        text = self._command("plan", "--detailed-exitcode", expect=0)
        self._check("Nothing to do" in text, "the second plan is empty")
        self.write("\nThis plan decrypted no SecureString: each replica has a record of its source version.")

    def _find_changes(self) -> None:
        self._title("5. Find changes on both sides")
        self.account.change_source()
        self.account.edit_target()
        self.write(f"In {SOURCE}, a limit and a password were changed and a flag was deleted.")
        self.write(f"In {TARGET}, one replica was edited by hand. The plan shows all four:\n")
        text = self._command("plan", "--detailed-exitcode", "--out", "plan.json", expect=2)
        found = ("orders/limits", "users/db/password", "payments/log-level")
        for name in ("/shared/flag-3", *(f"/prod/{name}" for name in found)):
            self._check(name in text, f"the plan shows {name}")

    def _apply_changes(self) -> None:
        self._title("6. Apply: a replica that was edited by hand is withheld")
        self._command("apply", "plan.json", expect=5)
        source, target = self.account.values(SOURCE), self.account.values(TARGET)
        for name in ("/prod/orders/limits", "/prod/users/db/password"):
            self._check(target[name] == source[name], f"the new value of {name} was copied")
        self._check("/shared/flag-3" not in target, "the replica of the deleted flag was deleted")
        edited = "/prod/payments/log-level"
        self._check(target[edited] == "debug", "the edit by hand was not overwritten")
        self.write("\nExit code 5: a guard withheld a change. This command overwrites the edit:\n")
        self._command("apply", "--yes", "--overwrite-outside", expect=3)
        self._check(self.account.values(TARGET)[edited] == "info", "the edit was overwritten")

    def _check_secrets(self) -> None:
        leaked = [secret for secret in self.account.secrets if secret in self.printed]
        self._check(not leaked, "no secret was printed")
        self._title("Result")
        self.write(f"{len(self.account.secrets)} secrets were copied, and none of them was printed.")

    def _title(self, text: str) -> None:
        self.write(f"\n== {text} ==\n")

    def _command(self, *words: str, expect: int) -> str:
        """Run a command in a process of its own, show its output, and check its exit code."""
        self.write(f"$ ssm-reconcile {' '.join(words)}")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_ENDPOINT_URL": self.account.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONWARNINGS": "ignore",
        }
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            [sys.executable, "-m", "ssm_reconcile", *words, "--no-progress", "--color", self.color],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        self.printed += done.stdout
        self.write(done.stdout.rstrip())
        code = done.returncode
        self._check(code == expect, f"`{' '.join(words)}` exits with {expect} (it exited with {code})")
        return done.stdout

    def _check(self, holds: bool, statement: str) -> None:  # noqa: FBT001 - a fact, not a switch
        if not holds:
            raise _StatementError(statement)
