"""The arguments of `apply` -> an order: which specs, which run, and on whose word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from ssm_reconcile import approve
from ssm_reconcile.cli.documents import guessed_text, read_document
from ssm_reconcile.cli.options import DEFAULT_SPEC, Asked, Intent, Word, check_exposure
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError
from ssm_reconcile.spec import Run


@dataclass(frozen=True, slots=True)
class Order:
    """What to apply. `saved` is the document of a saved plan, `flags` the guard flags it was made with."""

    specs: tuple[str, ...]
    name: str | None
    run: Run
    intent: Intent
    expect: str | None = None
    saved: Mapping[str, Any] | None = None
    flags: tuple[str, ...] = ()
    max_plan_age: float = 7
    file: str = ""
    """The saved plan."""

    def command_line(self, asked: Asked) -> CommandLine:
        """Return what a command has to repeat to plan the same again."""
        given = self.intent
        if self.saved is not None:
            run = self.run
            given = replace(
                given,
                name=self.name,
                target=run.targets,
                only=run.only,
                verify_values=run.verify_values,
                no_decrypt=run.no_decrypt,
                adopt=None if run.adopt is None else run.adopt.value,
            )
        return given.command_line(() if self.specs == (DEFAULT_SPEC,) else self.specs, asked)

    @property
    def missing(self) -> tuple[str, ...]:
        """The flags that lifted a guard when the saved plan was made, and were not given again."""
        given = " ".join(self.intent.command_line(()).lifts) + " "
        return tuple(flag for flag in self.flags if f"{flag} " not in given)


def order_of(specs: Sequence[str], intent: Intent, word: Word, *, parallelism: int) -> Order:
    """What the command line asks for; raises UsageError when it makes no sense."""
    run = intent.run(parallelism)
    if word.expect_plan is not None:
        approve.matches("", word.expect_plan)  # an id that cannot be one is told before any work
    plans = [path for path in specs if _is_saved_plan(path)]
    if not plans:
        if word.spec:
            raise click.UsageError("--spec goes with a saved plan; name the specs themselves as SPEC.")
        check_exposure(run)
        return Order(tuple(specs), intent.name, run, intent, word.expect_plan)
    if len(specs) > 1:
        raise click.UsageError("a saved plan stands alone: name its specs with --spec FILE.")
    return _saved_order(plans[0], intent, word, run)


def _is_saved_plan(path: str) -> bool:
    """Whether a file is meant to be a saved plan: JSON with a `plan_id`, be it sound or not."""
    file = Path(path)
    if path == "-" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            if not guessed_text(stream.read(4096)).lstrip().startswith("{"):
                return False
            stream.seek(0)
            return '"plan_id"' in guessed_text(stream.read())
    except OSError:
        return False  # the loader reports what is wrong with it


def _agree(intent: Intent, run: Run, saved: approve.Saved) -> None:
    """What the plan was made with may be said again, as guards have to be; nothing else may be said."""
    asked = {
        "name": (intent.name, saved.name),
        "target": (set(run.targets), set(saved.run.targets)),
        "only": (set(run.only), set(saved.run.only)),
        "verify_values": (run.verify_values, saved.run.verify_values),
        "no_decrypt": (run.no_decrypt, saved.run.no_decrypt),
        "adopt": (run.adopt, saved.run.adopt),
    }
    other = [f"--{word.replace('_', '-')}" for word, (now, then) in asked.items() if now and now != then]
    if other:
        raise click.UsageError(
            f"a saved plan says itself what was planned, and this one was not made with that: leave out"
            f" {', '.join(other)}."
        )


def _saved_order(path: str, intent: Intent, word: Word, run: Run) -> Order:
    from ssm_reconcile.renderers.reading import read_plan_document

    document = read_plan_document(read_document(Path(path)))
    saved = approve.run_of(document)
    _agree(intent, run, saved)
    made_from = saved.spec_files or (DEFAULT_SPEC,)
    specs = word.spec or made_from
    if not word.spec and not all(Path(file).exists() for file in made_from):
        message = f"{path} was made from {', '.join(made_from)}, which is not here"
        raise UsageError(message, f"say where it is: {' '.join('--spec FILE' for _ in made_from)}")
    lifted = {flag: getattr(run, flag) for flag in approve.GUARD_FLAGS}
    again = replace(saved.run, parallelism=run.parallelism, **lifted)
    check_exposure(again)
    return Order(
        specs=specs,
        name=saved.name,
        run=again,
        intent=intent,
        expect=word.expect_plan,
        saved=document,
        flags=saved.flags,
        max_plan_age=word.max_plan_age,
        file=path,
    )
