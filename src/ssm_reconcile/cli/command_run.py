"""Options and specs -> a runner that opens places, plans and applies, for commands that call AWS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import error_output, terminal, text_files
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.progress import SHOWN_RATES, log_opening, show_progress
from ssm_reconcile.cli.signals import SignalStop
from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity, UsageError
from ssm_reconcile.system import Clock, Stop, SystemClock, return_freed_memory

if TYPE_CHECKING:
    from ssm_reconcile.documents import PlanDocument
    from ssm_reconcile.load import Loaded
    from ssm_reconcile.model import Access
    from ssm_reconcile.plan import Plan
    from ssm_reconcile.report import Report
    from ssm_reconcile.session import Places
    from ssm_reconcile.spec import Replication, Run
    from ssm_reconcile.stores.base import RequestStore
    from ssm_reconcile.system import ProgressListener

STDIN_LIMIT = 4_000_001
"""Bytes that are read of standard input: one more than the loader accepts."""


def connect_factory(common: CommonOptions, clock: Clock) -> Callable[[Access], RequestStore]:
    """Return the function that opens places; tests replace it to use a simulated AWS."""
    from ssm_reconcile.stores.ssm import Aws

    return_freed_memory()
    aws = Aws(
        profile=common.profile,
        endpoint_url=common.endpoint_url,
        clock=clock,
        parallelism=common.parallelism,
        on_rate=SHOWN_RATES.note,
    )
    return aws.connect


def load_specs(paths: Sequence[str], name: str | None) -> tuple[Replication, ...]:
    """Return the replications of some files; write warnings, but no notices, to stderr.

    Raises:
        SpecError: A file cannot be used.
        UsageError: No replication has the name `name`.
    """
    loaded = load_all(paths, name)
    error_output.write_findings(one for one in loaded.findings if one.severity is not Severity.NOTICE)
    return loaded.replications


def load_all(paths: Sequence[str], name: str | None) -> Loaded:
    """Return replications and findings of some files, as `load_specs` does; write nothing."""
    from ssm_reconcile.load import load

    files = tuple(paths) or (DEFAULT_SPEC,)
    stdin = text_files.read_text("-", STDIN_LIMIT) if "-" in files else None
    return load(files, stdin=stdin, name=name)


def check_can_ask(paths: Sequence[str], name: str | None, remedy: str) -> None:
    """Check that a person can answer the question of an apply.

    Args:
        paths: The spec files as they were given.
        name: The value of `--name`.
        remedy: The arguments to give in place of an answer.

    Raises:
        UsageError: stdin is not a terminal.
    """
    if not terminal.can_ask():
        load_all(paths, name)  # report an unusable spec before the missing flag
        raise click.UsageError(f"stdin is not a terminal, so the plan cannot be confirmed: {remedy}.")


def note_standard_input(specs: Sequence[str], common: CommonOptions) -> None:
    """Report that the printed commands read the spec from standard input again."""
    if "-" in specs and not common.quiet:
        terminal.log(
            "Note: the printed commands read the spec from standard input again: pipe the same spec into"
            " them, or save it to a file and name that file in place of `-`."
        )


@dataclass(slots=True)
class Runner:
    """One run of a command: specs and options, the stop signal, the clock, and the places once opened.

    `as_of` is that of the session; None: the time of the plan.
    """

    specs: tuple[Replication, ...]
    run: Run
    common: CommonOptions
    stop: SignalStop
    clock: Clock
    places: Places | None = None
    may_probe: bool = True
    as_of: datetime | None = None
    _is_announced: bool = False

    @property
    def connect(self) -> Callable[[Access], RequestStore]:
        """The function that opens a place."""
        from ssm_reconcile.session import without_probing

        connect = connect_factory(self.common, self.clock)
        return connect if self.may_probe else without_probing(connect)

    @contextmanager
    def reading(self) -> Iterator[ProgressListener]:
        """Show progress; a signal stops the worker that reports next."""
        self._announce()
        with show_progress(self.common) as listener:
            yield self.stop.interrupting(listener)

    def open_places(self) -> Places:
        """Open the places of all specs; raise as `places.open_places` does."""
        from ssm_reconcile.session import open_places

        self._announce()
        self.places = open_places(self.specs, self.connect, self.run)
        return self.places

    def _announce(self) -> None:
        """Write the number of places, once; raise UsageError for an unknown target."""
        from ssm_reconcile.session import endpoints, narrow_specs

        if not self._is_announced:
            chosen = narrow_specs(self.specs, self.run)
            log_opening((access for spec in chosen for _, access, *_ in endpoints(spec)), self.common)
            self._is_announced = True

    def plan(self, against: Sequence[str] = (), name: str | None = None) -> Plan:
        """Open the places and return the plan; a signal interrupts it.

        Args:
            against: The files of the former spec, to mark the changes that it would make as well. If it
                cannot be used, the plan has a finding and compares nothing.
            name: The only replication of the former spec to compare; None for all.
        """
        with self.reading() as progress:
            from ssm_reconcile import reconcile
            from ssm_reconcile.load import load
            from ssm_reconcile.session import Session, open_more

            as_of = self.as_of or self.clock.now()
            session = Session(self.open_places(), self.run, self.clock, progress, as_of=as_of)
            if not against:
                return reconcile.make_plan(self.specs, session)
            try:
                base = [spec for spec in load(against).replications if name in {None, spec.name}]
                wider = replace(session, places=open_more(session.places, base, self.connect))
                return reconcile.make_plan(self.specs, wider, base=base)
            except Interrupted:
                raise
            except ReconcileError as failure:
                why = f"not compared with the former spec, all changes are shown as new: {failure.message}"
            plan = reconcile.make_plan(self.specs, session)
        return replace(plan, findings=(*plan.findings, Finding(Severity.WARNING, "not-compared", why)))

    def carry_out(self, plan: Plan, stop: Stop) -> Report:
        """Apply a plan that `plan` returned; call it inside of `stop.finish_gently`.

        Args:
            plan: The plan.
            stop: The request to stop: a signal, or the end of the credentials.
        """
        from ssm_reconcile import reconcile
        from ssm_reconcile.session import HigherThroughput, Session

        assert self.places is not None, "plan comes before carry_out"
        report = terminal.log if self.common.verbose and not self.common.quiet else _discard
        throughput = HigherThroughput(self.clock, report)
        # Not `reading`: a signal must not interrupt a worker that writes. It sees `stop` between two changes.
        with show_progress(self.common) as progress:
            as_of = plan.as_of or self.clock.now()
            session = Session(self.places, self.run, self.clock, progress, throughput, as_of=as_of)
            return reconcile.carry_out(plan, self.specs, session, stop)


def _discard(_: str) -> None:
    """Write nothing."""


@contextmanager
def start_runner(
    specs: tuple[Replication, ...], run: Run, common: CommonOptions, stop: SignalStop | None = None
) -> Iterator[Runner]:
    """Yield a runner that a signal can stop.

    Args:
        specs: The replications of the run.
        run: The options of the run.
        common: The options of all commands; `--parallelism` applies to the run.
        stop: The handler of signals; None for that of most commands.
    """
    try:
        with stop or SignalStop() as signals:
            run = replace(run, parallelism=common.parallelism)
            yield Runner(specs, run, common, signals, SystemClock(signals))
    finally:
        if common.verbose and not common.quiet:
            _log_found_rates()


def _log_found_rates() -> None:
    for place, rates in SHOWN_RATES.found(was_throttled=True).items():
        terminal.log(f"{place}: rates found by probing, for the spec: rates: {json.dumps(rates)}")
    for place, rates in SHOWN_RATES.found(was_throttled=False).items():
        unproven = "not throttled up to these rates; AWS may have used saved calls"
        terminal.log(f"{place}: {unproven}: {json.dumps(rates)}")


def check_narrowing(plan: Plan) -> None:
    """Check that a pattern of `--only` matches a parameter.

    Raises:
        UsageError: No pattern matches, and every place was listed.
    """
    from ssm_reconcile.plan_findings import UNMATCHED

    unmatched = plan.narrowing.unmatched
    if unmatched and unmatched == plan.narrowing.only and plan.complete:
        raise UsageError("; ".join(finding.message for finding in plan.findings if finding.code == UNMATCHED))


def saved_document(
    plan: Plan, run: Run, name: str | None, paths: Sequence[str], created: datetime
) -> PlanDocument:
    """Return the document of a plan as it is shown and saved, with what a later `apply` needs.

    Args:
        plan: The plan.
        run: The plan options.
        name: The value of `--name`.
        paths: The spec files as they were given; empty for the default file.
        created: The time of the plan, with a time zone.
    """
    from ssm_reconcile import __version__
    from ssm_reconcile.documents.encode import saved_plan_document
    from ssm_reconcile.encoding import printable_tree

    files = paths or (DEFAULT_SPEC,)
    document = saved_plan_document(
        plan, tool_version=__version__, created=created, run=run, name=name, spec_files=files
    )
    return printable_tree(document)  # the entries of its changes are printable already


def save_metrics(path: Path | None, result: Plan | Report, now: datetime) -> None:
    """Write the state of each target to a file in the text format of Prometheus.

    Args:
        path: The file; None writes nothing.
        result: The plan, or the report of its apply.
        now: The time of the run, timezone-aware.

    Raises:
        ReconcileError: The file cannot be written.
    """
    from ssm_reconcile.metrics import metrics, target_statuses
    from ssm_reconcile.report import Report

    if path is not None:
        plan, outcomes = (result.plan, result.outcomes) if isinstance(result, Report) else (result, ())
        every = target_statuses(plan, outcomes)
        text_files.save(path, metrics(every, now))


def save_document(path: Path | None, document: Mapping[str, Any], what: str, common: CommonOptions) -> None:
    """Write a plan or report to a file in one step, and log its path.

    Args:
        path: The file; None writes nothing.
        document: The document of the plan or report.
        what: `plan` or `report`, for the message.
        common: The options of all commands; `--quiet` omits the message.

    Raises:
        ReconcileError: The file cannot be written.
    """
    from ssm_reconcile.renderers.escaping import json_blocks

    if path is not None:
        text_files.save(path, json_blocks(document))
        if not common.quiet:
            terminal.log(f"Saved the {what} to {path}.")
