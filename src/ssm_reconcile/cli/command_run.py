"""Options -> specs, opened places and a plan: what `plan` and `apply` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ssm_reconcile.cli import terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions, Intent
from ssm_reconcile.cli.progress import CALL_RATES, show_progress
from ssm_reconcile.cli.signals import SignalStop
from ssm_reconcile.cli.terminal import read_standard_input, write_findings
from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity, SpecError, UsageError
from ssm_reconcile.system import SystemClock

if TYPE_CHECKING:
    from ssm_reconcile.documents import PlanDocument
    from ssm_reconcile.load import Loaded
    from ssm_reconcile.places import Connect, Places
    from ssm_reconcile.plan import Plan
    from ssm_reconcile.report import Report
    from ssm_reconcile.spec import Replication, Run

STDIN_LIMIT = 4_000_001
"""Bytes that are read of standard input: more than the loader takes."""


def connect_factory(common: CommonOptions, clock: Clock) -> Connect:
    """What opens places for this run; the one seam at which tests put another world."""
    from ssm_reconcile.stores.ssm import Aws

    aws = Aws(
        profile=common.profile,
        endpoint_url=common.endpoint_url,
        clock=clock,
        parallelism=common.parallelism,
        on_rate=CALL_RATES.note,
    )
    return aws.connect


def load_specs(paths: Sequence[str], name: str | None) -> tuple[Replication, ...]:
    """The replications of some files; warnings go to stderr. Raises SpecError and UsageError."""
    loaded = load_all(paths, name)
    write_findings(loaded.findings)
    return loaded.replications


def load_all(paths: Sequence[str], name: str | None) -> Loaded:
    """Return what some files hold. Raises SpecError, and UsageError for an unknown `--name`."""
    from ssm_reconcile.load import load

    asked_of = tuple(paths) or (DEFAULT_SPEC,)
    return load(asked_of, stdin=_standard_input() if "-" in asked_of else None, name=name)


def note_standard_input(specs: Sequence[str], common: CommonOptions) -> None:
    """Report that the printed commands read the spec from standard input again."""
    if "-" in specs and not common.quiet:
        terminal.log(
            "Note: the printed commands read the spec from standard input again: pipe the same spec into"
            " them, or save it to a file and name that file in place of `-`."
        )


def _standard_input() -> str:
    """The spec on stdin, so much of it that its loader can tell that it is too long."""
    return read_standard_input(STDIN_LIMIT)


def load_base(paths: Sequence[str], name: str | None) -> tuple[Replication, ...] | Finding | None:
    """The spec as it was before, without its warnings; a finding where it cannot be used."""
    from ssm_reconcile.load import load

    if not paths:
        return None
    try:
        loaded = load(paths)
    except SpecError as failure:
        return not_compared(failure)
    return tuple(spec for spec in loaded.replications if name in {None, spec.name})


def not_compared(failure: ReconcileError) -> Finding:
    """That a plan says nothing of what was pending before."""
    message = f"not compared with the spec before, all changes are shown as new: {failure.message}"
    return Finding(Severity.WARNING, "not-compared", message)


@dataclass(slots=True)
class Runner:
    """One run: its specs and what it runs with."""

    specs: tuple[Replication, ...]
    run: Run
    common: CommonOptions
    stop: SignalStop
    clock: Clock
    places: Places | None = None

    def plan(self, base: Sequence[Replication] | Finding | None = None) -> Plan:
        """Opens the places and plans; a signal ends it at once. `base`: the spec as it was before.

        A base that cannot be planned is no reason to plan nothing: the plan says so and compares nothing.
        """
        from ssm_reconcile import reconcile
        from ssm_reconcile.places import open_more, open_places
        from ssm_reconcile.session import Session

        with show_progress(self.common) as watch:
            connect = connect_factory(self.common, self.clock)
            self.places = open_places(self.specs, connect, self.run)
            session = Session(self.places, self.run, self.clock, self.stop.interrupting(watch))
            if base is None or isinstance(base, Finding):
                plan = reconcile.make_plan(self.specs, session)
                return plan if base is None else replace(plan, findings=(*plan.findings, base))
            try:
                wider = replace(session, places=open_more(self.places, base, connect))
                return reconcile.make_plan(self.specs, wider, base=base)
            except Interrupted:
                raise
            except ReconcileError as failure:
                plan = reconcile.make_plan(self.specs, session)
                return replace(plan, findings=(*plan.findings, not_compared(failure)))

    def carry_out(self, plan: Plan) -> Report:
        """Applies a plan that `plan` made. To be called while `stop.finishing` lasts."""
        from ssm_reconcile import reconcile
        from ssm_reconcile.session import Session

        assert self.places is not None, "plan comes before carry_out"
        with show_progress(self.common) as watch:
            session = Session(self.places, self.run, self.clock, watch)
            return reconcile.carry_out(plan, self.specs, session, self.stop)

    def now(self) -> datetime:
        """The time of day."""
        return self.clock.now()


def now() -> datetime:
    """Return the time of day in UTC."""
    return SystemClock().now()


@contextmanager
def start_runner(specs: tuple[Replication, ...], run: Run, common: CommonOptions) -> Iterator[Runner]:
    """A run that signals can stop."""
    with SignalStop() as stop:
        yield Runner(specs, run, common, stop, SystemClock(stop))


def check_narrowing(plan: Plan) -> None:
    """Raise UsageError when no pattern of `--only` matches anything, as far as every place was listed."""
    from ssm_reconcile.plan_findings import UNMATCHED

    unmatched = plan.narrowing.unmatched
    if unmatched and unmatched == plan.narrowing.only and plan.complete:
        raise UsageError("; ".join(finding.message for finding in plan.findings if finding.code == UNMATCHED))


def saved_document(
    plan: Plan, run: Run, intent: Intent, paths: Sequence[str], created: datetime
) -> PlanDocument:
    """The document of a plan that is shown and saved, with what a later `apply` needs."""
    from ssm_reconcile import __version__
    from ssm_reconcile.documents.encode import saved_plan_document
    from ssm_reconcile.encoding import printable_tree

    document = saved_plan_document(
        plan,
        tool_version=__version__,
        created=created,
        run=run,
        name=intent.name,
        spec_files=paths or (DEFAULT_SPEC,),
    )
    return printable_tree(document)  # half a character could not be saved and read back


def save_metrics(path: Path, told: Plan | Report, now: datetime) -> None:
    """Writes how each target is doing, as Prometheus reads it, as a whole or not at all."""
    from ssm_reconcile import status
    from ssm_reconcile.report import Report

    every = status.report_statuses(told) if isinstance(told, Report) else status.plan_statuses(told)
    terminal.save(path, status.metrics(every, now))


def note_saved(path: Path, what: str, common: CommonOptions) -> None:
    """Says where a file is now."""
    if not common.quiet:
        terminal.log(f"Saved the {what} to {path}.")
