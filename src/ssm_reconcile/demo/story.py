"""The demo's steps. Every claim it makes is checked; a step that does not hold ends it with 1."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ssm_reconcile.demo.server import server
from ssm_reconcile.demo.world import SOURCE, TARGET, World

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
CREATED, ADOPTED, SKIPPED = 34, 1, 2
Say = Callable[[str], None]


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the story is told on stdout


class _BrokenError(Exception):
    """A step did not do what it says."""


def run(*, color: str = "auto", say: Say = _print) -> int:
    """Tells the story. Returns 0 when every step did what it says, else 1. Takes a minute at most.

    `color` is the choice of the command line (`auto`, `always`, `never`), handed on to each command.
    """
    if color == "auto":
        color = "always" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else "never"
    with tempfile.TemporaryDirectory(prefix="ssm-reconcile-demo-") as folder, server() as endpoint:
        world = World(endpoint)
        try:
            _Story(world, Path(folder), say, color).tell()
        except _BrokenError as broken:
            say(f"\nThe demo did not do what it says: {broken}")
            return 1
    say("\nThe pretended AWS is gone, and nothing is left behind. Next: README.md, 'Set it up'.")
    return 0


class _Story:
    def __init__(self, world: World, folder: Path, say: Say, color: str) -> None:
        self.color = color
        self.world = world
        self.folder = folder
        self.say = say
        self.printed = ""

    def tell(self) -> None:
        self._begin()
        self._first_plan()
        self._apply()
        self._nothing_to_do()
        self._drift()
        self._apply_under_guards()
        self._secrets_stayed_secret()

    def _begin(self) -> None:
        self._title("An AWS of its own, on this machine only")
        self.world.fill()
        source = self.world.values(SOURCE)
        self.say(f"moto stands in for AWS. {SOURCE} holds {len(source)} parameters: plain strings, lists and")
        self.say(f"SecureStrings under two keys; {TARGET} holds four that somebody else made.")
        self.say("\nThis is the whole spec, replication.yaml:\n")
        self.say("    " + SPEC.replace("\n", "\n    ").rstrip())
        (self.folder / "replication.yaml").write_text(SPEC, encoding="utf-8")

    def _first_plan(self) -> None:
        self._title("What would be done? A plan only reads")
        before = self.world.values(TARGET)
        text = self._command("plan", expect=0)
        self._holds(f"{CREATED} to create" in text, f"the plan creates {CREATED}")
        self._holds(self.world.values(TARGET) == before, "nothing was written by a plan")

    def _apply(self) -> None:
        self._title("Do it")
        before = self.world.values(TARGET)
        self._command("apply", "--yes", expect=3)
        source, target = self.world.values(SOURCE), self.world.values(TARGET)
        replicated = [name for name in source if name.startswith(("/prod/", "/shared/"))]
        opted_out = {"/prod/search/cache", "/prod/orders/bucket"}
        for name in replicated:
            if name not in opted_out | {"/shared/flag-1"}:
                self._holds(target.get(name) == source[name], f"{name} arrived as it is")
        for name in ("/native/us-east-2/only", "/prod/search/cache", "/shared/flag-1"):
            self._holds(target[name] == before[name], f"{name} is not ours and was not touched")
        self._holds("/prod/orders/bucket" not in target, "what carries skip_sync stays where it is")
        self.say("\nExit code 3, and rightly so: /shared/flag-1 was there before, is not ours and differs.")
        self.say("It is reported as a conflict and left alone until somebody decides. /shared/flag-0 was")
        self.say("equal: adopted.")

    def _nothing_to_do(self) -> None:
        self._title("Again: there is nothing to do, and no secret is decrypted to know it")
        text = self._command("plan", "--detailed-exitcode", expect=0)
        self._holds("Nothing to do" in text, "the plan is empty")

    def _drift(self) -> None:
        self._title("Life goes on: changes at the source, and a hand in the standby region")
        self.world.change_source()
        self.world.edit_target()
        self.say(f"In {SOURCE} a limit was raised, a password rotated, a flag retired. In {TARGET} somebody")
        self.say("changed a replica by hand. The plan finds all four:")
        text = self._command("plan", "--detailed-exitcode", expect=2)
        found = ("orders/limits", "users/db/password", "payments/log-level")
        for name in ("/shared/flag-3", *(f"/prod/{name}" for name in found)):
            self._holds(name in text, f"the plan names {name}")

    def _apply_under_guards(self) -> None:
        self._title("Apply: what is safe is done, what somebody else changed is withheld")
        self._command("apply", "--yes", expect=5)
        source, target = self.world.values(SOURCE), self.world.values(TARGET)
        self._holds(target["/prod/orders/limits"] == source["/prod/orders/limits"], "the limit arrived")
        same = target["/prod/users/db/password"] == source["/prod/users/db/password"]
        self._holds(same, "the rotated password arrived")
        self._holds("/shared/flag-3" not in target, "the retired flag is gone")
        self._holds(target["/prod/payments/log-level"] == "debug", "the hand edit was not overwritten")
        self.say("\nExit code 5: something was withheld. To overwrite the hand edit after all:")
        self._command("apply", "--yes", "--overwrite-outside", expect=3)
        undone = self.world.values(TARGET)["/prod/payments/log-level"] == "info"
        self._holds(undone, "the hand edit is undone")

    def _secrets_stayed_secret(self) -> None:
        leaked = [secret for secret in self.world.secrets if secret in self.printed]
        self._holds(not leaked, "no secret was printed")
        count = len(self.world.secrets)
        self.say(f"\n{count} secrets were replicated, and none of them stands anywhere above.")

    def _title(self, text: str) -> None:
        self.say(f"\n== {text} ==\n")

    def _command(self, *words: str, expect: int) -> str:
        """Runs the real command and shows what it prints; its exit code must be the expected one."""
        self.say(f"$ ssm-reconcile {' '.join(words)}")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_ENDPOINT_URL": self.world.endpoint,
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
        self.say(done.stdout.rstrip())
        code = done.returncode
        self._holds(code == expect, f"`{' '.join(words)}` ends with {expect}, not {code}")
        return done.stdout

    def _holds(self, fact: bool, claim: str) -> None:  # noqa: FBT001 - a fact, not a switch
        if not fact:
            raise _BrokenError(claim)
