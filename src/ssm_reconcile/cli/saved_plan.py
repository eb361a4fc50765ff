"""Files of `plan --out` -> the approved changes, for `apply PLAN` and `plan --reviewed`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from ssm_reconcile import approve
from ssm_reconcile.cli import error_output, options, terminal, text_files
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import log_reading
from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.errors import Address, Finding, PlanRefused, Severity, UsageError
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.escaping import escape
from ssm_reconcile.spec import Run
from ssm_reconcile.wording import cut, plural

DIFFERENCES_SHOWN = 50
"""Differences to a saved plan that are listed one by one."""


class PlanChanged(PlanRefused):
    """The plan has changes that no saved plan has; each is a finding."""

    finding_code = "plan-changed"

    def __init__(self, unapproved: Sequence[tuple[approve.ComparedChange, str]], remedy: str) -> None:
        changes = plural(len(unapproved), "change")
        super().__init__(f"the saved plan does not cover {changes} of the current plan", remedy)
        self.findings = tuple(
            Finding(Severity.ERROR, self.finding_code, line, about=(Address(change.target, change.name),))
            for change, line in unapproved[:DIFFERENCES_SHOWN]
        )


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Saved plans of one run, each of which approves its changes.

    Attributes:
        file: The path of the first one.
        documents: The contents.
        made: The options of the run that made them.
        max_age: The maximum age, in days.
    """

    file: str
    documents: tuple[PlanDocument, ...]
    made: approve.SavedRun
    max_age: float

    @property
    def plan_id(self) -> str:
        """The id of the first plan."""
        return self.documents[0]["plan_id"]

    def as_of(self, now: datetime) -> datetime:
        """Return the instant at which the plans judge whether something has expired; the earliest of several.

        A plan of an earlier version has none: then, and never later, it is `now`.
        """
        texts = [document.get("as_of") for document in self.documents]
        return min([now, *(datetime.fromisoformat(text) for text in texts if text is not None)])

    def options(self, given: Run) -> Run:
        """Return the options of the saved plans, with the guards that the command line lifts."""
        lifted = {flag: getattr(given, flag) for flag in (*approve.GUARD_FLAGS, "lift")}
        return replace(self.made.run, **lifted, saved_lifts=approve.saved_lifts(self.documents))

    def with_lifts(self, run: Run) -> Run:
        """Return options that lift all that they lift already, and all that lifted a guard of the plan."""
        made = self.made.lifted
        limits: dict[str, Any] = {}
        for flag in (*approve.GUARD_FLAGS, "without_hold"):
            values = [one for one in (getattr(run, flag), getattr(made, flag)) if one is not None]
            limits[flag] = max(values, default=None)  # a larger limit lifts what a smaller one lifts
        return replace(run, **limits, lift=tuple(dict.fromkeys((*run.lift, *made.lift))))

    def missing_lifts(self, run: Run) -> tuple[str, ...]:
        """Return the arguments that lifted a guard when the plan was made, and that `run` lacks."""
        given = options.lift_flags(run)
        missing = [flag for flag in options.lift_flags(self.with_lifts(run)) if flag not in given]
        return tuple(" ".join(missing).split())

    def lift_remedy(self, run: Run) -> str:
        """Return how to lift the guards again that `run` does not lift; empty if it lifts all of them."""
        missing = " ".join(self.missing_lifts(run))
        if not missing:
            return ""
        if error_output.is_action():
            return (
                f"give this step the inputs for {missing} as well, since a saved plan lifts no guard; or lift"
                " the guard in the spec"
            )
        return f"give {missing} again, since a saved plan lifts no guard"

    def check_age(self, now: datetime, commands: Callable[[int | None], str]) -> None:
        """Raise PlanRefused if one of the plans is too old; `commands` as in `approve.check_age`."""
        given = _remedies_in_comment if error_output.is_action() else commands
        for document in self.documents:
            approve.check_age(document.get("created"), now, self.max_age, given)
            if (as_of := document.get("as_of")) is not None:  # an old one would bring ended lifts back
                approve.check_age(as_of, now, self.max_age, given)


def _remedies_in_comment(days: int | None) -> str:
    """Return what to do about an old plan where its file and the command line are out of reach."""
    if days is not None:
        return f"set the input `max-plan-age` to {days}"
    return "approve the current plan, or plan the pull request again"


def read_saved_plan(
    files: Sequence[Path], name: str | None, run: Run, max_age: float, common: CommonOptions
) -> SavedPlan:
    """Return the saved plans of some files.

    Args:
        files: The files, at least one.
        name: The value of `--name`; None if it was not given.
        run: The options of the command line.
        max_age: The maximum age of a plan, in days.
        common: The options of all commands.

    Raises:
        UsageError: A file is not a saved plan, or an option contradicts the options of the plan.
    """
    log_reading(files, common)
    from ssm_reconcile.documents.decode import read_plan_document

    documents = tuple(read_plan_document(text_files.read_document(file)) for file in files)
    made, *more = map(approve.run_of, documents)
    _refuse_contradictions(name, run, made)
    for path, other in zip(files[1:], more, strict=True):
        if (other.run, other.name) != (made.run, made.name):
            message = f"{path} was made with other options than {files[0]}: both cannot be used together"
            raise UsageError(message, "make both plans with the same options")
    return SavedPlan(str(files[0]), documents, made, max_age)


def _refuse_contradictions(name: str | None, run: Run, saved: approve.SavedRun) -> None:
    """Raise UsageError for an option that was given and differs from the one of the saved plan."""
    pairs = {
        "name": (name, saved.name),
        "target": (set(run.targets), set(saved.run.targets)),
        "only": (set(run.only), set(saved.run.only)),
        "verify-values": (run.verify_values, saved.run.verify_values),
        "no-decrypt": (run.no_decrypt, saved.run.no_decrypt),
        "adopt": (run.adopt, saved.run.adopt),
    }
    different = [f"--{flag}" for flag, (now, then) in pairs.items() if now and now != then]
    if different:
        raise click.UsageError(
            f"a saved plan says what was planned, and this one was made with other values: leave out"
            f" {', '.join(different)}."
        )


def compare_plans(saved: SavedPlan, plan: Plan, *, quiet: bool) -> approve.Comparison:
    """Compare a plan with the saved ones, and write to stderr what is no longer planned, or not approved.

    Args:
        saved: The saved plans.
        plan: The plan of the same run, made now.
        quiet: Whether to write only what was not approved.
    """
    comparison = approve.compare(saved.documents, plan)
    if not quiet:
        if comparison.done:
            terminal.log(f"Done since the plan was made, or no longer needed: {len(comparison.done):,}.")
        for item in comparison.dropped[:DIFFERENCES_SHOWN]:
            terminal.log(f"No longer planned: {escape(str(item))}.")
    return comparison


def log_unapproved(comparison: approve.Comparison) -> None:
    """Write the changes that were not approved to stderr, one line each."""
    for line in cut([line for _, line in comparison.unapproved], DIFFERENCES_SHOWN):
        terminal.log(escape(line))
