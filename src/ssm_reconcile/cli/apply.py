"""`ssm-reconcile apply`: specs or a saved plan -> the changes made, a report on stdout and in --out.

A plan is approved in one of four ways: a person answers yes to the plan that is shown; `--yes`; the plan
has the expected id; the plan has no change that a saved plan did not have. Whatever fails, there is a
report with an outcome of each change, and the exit code is the one of the failure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from ssm_reconcile import __version__, approve
from ssm_reconcile.change import Fate
from ssm_reconcile.cli import command_run, error_output, options, terminal, text_files
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.saved_plan import (
    PlanChanged,
    SavedPlan,
    compare_plans,
    log_unapproved,
    read_saved_plan,
)
from ssm_reconcile.cli.session_end import SessionStop, read_end
from ssm_reconcile.cli.show import is_unreviewed, render_plan, render_report, sums, sums_by_target
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.encoding import printable_tree
from ssm_reconcile.errors import (
    Finding,
    Interrupted,
    PlanRefused,
    ReconcileError,
    Severity,
    UsageError,
)
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.spec import Run
from ssm_reconcile.system import SystemClock
from ssm_reconcile.wording import cut, plural

EPILOG = """\
\b
Examples:
  ssm-reconcile apply
  ssm-reconcile apply --expect-plan 9535f4258859
  ssm-reconcile apply plan.json --spec prod.yaml --out report.json
"""
EXIT_CODES = {
    0: "done",
    1: "error: nothing could be planned",
    3: "something does not match the spec (failed, stale, conflict, detached, invalid, incomplete), or a hold"
    " has expired",
    4: "not the plan that was approved, or its approval is too old",
    5: "a guard withheld a change (the rest was applied)",
    64: "wrong usage",
    130: "interrupted, or stopped five minutes before the credentials end: changes in flight were finished",
}
NO_PLAN = "0" * 64
"""Placeholder id for a run that produced no plan; the id of an empty plan would look like a real one."""
UNEXPECTED = "unexpected"
"""The code of the finding for an exception that is not a ReconcileError."""
_TARGETS = 20
"""Targets whose sums are written before an apply without a question."""
INTERRUPTED_CHANGE = "the run ended before its outcome was known; run a new plan"


@click.command("apply", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@options.spec_argument
@click.option(
    "--spec", "saved_specs", metavar="FILE", multiple=True, type=click.Path(),
    help="With a saved plan: the spec that it was made from (repeat for more).",
)  # fmt: skip
@click.option(
    "--also", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
    help="With a saved plan: another one, whose changes are approved as well (repeat for more).",
)  # fmt: skip
@click.option(
    "--against", metavar="SPEC", multiple=True, type=click.Path(),
    help="With a saved plan: the former spec. A change that it makes as well needs no review (repeat for"
    " more).",
)  # fmt: skip
@click.option(
    "--rest", type=click.Choice(("leave", "apply")), default="leave", show_default=True,
    help="With --against: leave or apply the changes that were not reviewed and that the former spec makes as"
    " well.",
)  # fmt: skip
@options.expect_plan_option
@options.as_of_option
@options.yes_option
@click.option(
    "--max-plan-age", metavar="DAYS", type=click.FloatRange(min=0), default=approve.MAX_AGE_DAYS,
    show_default=True, help="Refuse a saved plan, or a time of --as-of, that is older.",
)  # fmt: skip
@options.plan_options
@options.exposure_option
@options.leave_out_option
@options.lift_option
@options.format_option()
@options.out_option("the report")
@options.metrics_option
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    saved_specs: tuple[str, ...],
    also: tuple[Path, ...],
    against: tuple[str, ...],
    rest: str,
    expect_plan: str | None,
    as_of: datetime | None,
    yes: bool,
    max_plan_age: float,
    name: str | None,
    run: Run,
    output_format: str,
    out: Path | None,
    metrics: Path | None,
    common: CommonOptions,
) -> int:
    """Plan, and make the changes of the plan: each target then matches the spec.

    SPEC are files or directories, replication.yaml if none is given, `-` for standard input; or one plan
    that `plan --out` saved. On a terminal the plan is shown and you are asked; the answer no changes
    nothing and ends 0. Without a question, stderr has the sums of the plan, and the report lists
    the changes. Without a terminal, give --yes (any plan), --expect-plan ID (only this plan), or a
    saved plan (only its changes; a change that was made since then counts as done).

    A saved plan contains its --target, --only, --name, mode and --adopt; you may repeat the same values.
    It contains no flag that lifts a guard: give those flags again. `lifts` of the spec do not count with
    --yes. Each change gets an outcome. The report goes to stdout, and to --out also after an error.
    """
    approval = approval_of(expect_plan, yes=yes)
    started = ApplyRun(specs, name, run, common, approval, output_format, out, metrics, expect=expect_plan)
    started.as_of, started.max_age = as_of, max_plan_age
    if any(map(_is_saved_plan, specs)):
        started = _with_saved_plan(replace(started, rest=rest), saved_specs, max_plan_age, also, against)
    elif saved_specs:
        raise click.UsageError("--spec needs a saved plan; give the specs themselves as SPEC.")
    elif also or against:
        raise click.UsageError("--also and --against need a saved plan: give the first one as the argument.")
    started.run = _with_lifts(started, run)
    _check_as_of(started)
    if started.approval == "answer":
        remedy = "give --yes, --expect-plan ID, or a plan that `plan --out` saved"
        command_run.check_can_ask(started.specs, started.name, remedy)
    return started.execute()


def approval_of(expect_plan: str | None, *, yes: bool) -> str:
    """Return how the plan of a command is approved: `expect-plan`, `yes` or `answer`.

    Args:
        expect_plan: The value of `--expect-plan`.
        yes: The flag `--yes`.

    Raises:
        UsageError: The id of the plan is malformed.
    """
    if expect_plan is None:
        return "yes" if yes else "answer"
    approve.matches("", expect_plan)  # refuse a malformed id before any work
    return "expect-plan"


def _with_lifts(started: ApplyRun, given: Run) -> Run:
    """Return the options of an apply, in which lifts count if its plan is reviewed, named or answered.

    Args:
        started: The apply, with the options of its saved plan.
        given: The options of the command line.

    Raises:
        UsageError: An option lifts a guard, or leaves changes out, and has no place in this apply.
    """
    options.check_exposure(started.run)
    if started.run.lift and started.approval == "yes":
        raise click.UsageError(
            "--lift does not count with --yes, since that plan is not reviewed: give --expect-plan ID or a"
            " saved plan in place of --yes."
        )
    if given.leave_out and started.saved is not None:
        raise click.UsageError("--leave-out is not for a saved plan, which says itself what is applied.")
    return replace(started.run, lifts_allowed=started.approval != "yes")


def _check_as_of(started: ApplyRun) -> None:
    """Raise UsageError for an --as-of without the id of a plan, or with a saved plan."""
    if started.as_of is not None and (started.saved is not None or started.expect is None):
        raise click.UsageError(
            "--as-of is for --expect-plan ID and specs: a saved plan holds its own time, and other runs judge"
            " at the present time."
        )


def _is_saved_plan(path: str) -> bool:
    """Whether a file is meant to be a saved plan: JSON with a `plan_id`, valid or not."""
    file = Path(path)
    if path == "-" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            if not text_files.decode_guess(stream.read(4096)).lstrip().startswith("{"):
                return False
            stream.seek(0)
            return '"plan_id"' in text_files.decode_guess(stream.read())
    except OSError:
        return False  # the loader reports why it cannot be read


def _with_saved_plan(
    given: ApplyRun,
    specs: tuple[str, ...],
    max_age: float,
    also: tuple[Path, ...],
    against: tuple[str, ...],
) -> ApplyRun:
    """Return the apply of a saved plan: with the options of the plan, and the guards that are lifted now.

    Args:
        given: The apply with the file of the plan in place of the specs.
        specs: The spec that the plan was made from; empty for the paths that the plan contains.
        max_age: The maximum age of the plan, in days.
        also: The files of further saved plans, made with the same options.
        against: The files of the former spec.

    Raises:
        UsageError: The arguments contradict each other, or the saved plan.
    """
    if len(given.specs) > 1:
        raise click.UsageError("a saved plan must be the only argument: give its specs with --spec FILE.")
    saved = read_saved_plan((Path(given.specs[0]), *also), given.name, given.run, max_age, given.common)
    made_from = saved.made.spec_files or (DEFAULT_SPEC,)
    if not specs and not all(Path(path).exists() for path in made_from):
        message = f"{saved.file} was made from {', '.join(made_from)}, which does not exist here"
        raise UsageError(message, f"give its path: {' '.join('--spec FILE' for _ in made_from)}")
    return replace(
        given,
        specs=specs or made_from,
        name=saved.made.name,
        run=saved.options(given.run),
        approval="saved-plan",
        saved=saved,
        planner=lambda runner: runner.plan(against, saved.made.name),
    )


@dataclass(slots=True)
class ApplyRun:
    """One apply, with a report in every case.

    Attributes:
        specs: The spec files as they were given; empty for the default file.
        name: The only replication to apply; None for all.
        run: The plan options.
        common: The common options.
        approval: `event`, `saved-plan`, `expect-plan`, `answer` or `yes`; in the report.
        output_format: The format of the report on stdout.
        out: The file for the report.
        metrics: The file for metrics.
        expect: The id that the plan must have.
        as_of: The instant of the expected plan at which it judges what has expired; None for the present.
        max_age: The maximum age of that instant, in days.
        saved: The plan with the changes that are approved.
        planner: Makes the plan.
        again: Returns the command that applies the same plan.
        rest: Whether changes that were not reviewed, and that the former spec makes as well, are applied or
            left: `apply` or `leave`.
    """

    specs: tuple[str, ...]
    name: str | None
    run: Run
    common: CommonOptions
    approval: str
    output_format: str
    out: Path | None
    metrics: Path | None = None
    expect: str | None = None
    as_of: datetime | None = None
    max_age: float = approve.MAX_AGE_DAYS
    saved: SavedPlan | None = None
    planner: Callable[[Runner], Plan] = Runner.plan
    again: Callable[[CommandLine], str] = CommandLine.apply
    rest: str = "leave"
    _plan: Plan | None = None
    _shown: PlanDocument | None = None
    _writing: bool = False
    _reported: bool = False

    def execute(self) -> int:
        """Apply and return the exit code; raise what stopped the run, after the report is written."""
        try:
            return self._execute()
        except (Exception, KeyboardInterrupt) as error:
            if not self._reported:
                code = error_output.exit_code_of(error)
                # Once it writes, the report alone names the changes that may have been made.
                show = self._writing or self.output_format != "text"
                self._report(self._report_of_stop(error), code, show=show)
            raise

    def _execute(self) -> int:
        specs = command_run.load_specs(self.specs, self.name)
        with command_run.start_runner(specs, self.run, self.common) as runner:
            runner.may_probe = self.approval != "event"
            session = SessionStop(runner.stop, runner.clock, read_end(os.environ, self.common.profile))
            session.check()
            if self.as_of is not None:
                approve.check_as_of(self.as_of, runner.clock.now(), self.max_age)
                runner.as_of = self.as_of
            if self.saved is not None:
                self._check_saved(self.saved, runner)
                runner.as_of = self.saved.as_of(runner.clock.now())
            plan = self.planner(runner)
            if self.saved is None:
                command_run.check_narrowing(plan)
            self._plan = plan
            if not self._is_approved(plan, runner):
                terminal.log("Nothing was changed.")
                message = "the question whether to apply was not answered with yes"
                report = self._unfinished([Finding(Severity.NOTICE, "declined", message)])
                self._report(report, 0, show=self.output_format != "text")
                return 0
            # From here on a signal must not interrupt: each change in flight is finished and reported.
            with runner.stop.finish_gently():
                if runner.stop.is_set():
                    raise KeyboardInterrupt
                session.check()
                self._writing = True
                report = session.add_finding(runner.carry_out(self._plan, session))
                self._report(report, report.exit_code)
        return report.exit_code

    def _check_saved(self, saved: SavedPlan, runner: Runner) -> None:
        """Raise PlanRefused for what can be refused without a call to AWS."""
        if self.expect is not None and not approve.matches(saved.plan_id, self.expect):
            raise PlanRefused(
                f"the saved plan is {saved.plan_id[:12]}, not the expected {self.expect}",
                "take the file of the plan that was approved, or have this one approved",
            )
        again = self._command_line()

        def commands(days: int | None) -> str:
            if days is not None:
                return f"`{again.apply_saved(saved.file, '--max-plan-age', str(days))}`"
            return f"`{again.plan('--out', saved.file)}`, then `{again.apply_saved(saved.file)}`"

        saved.check_age(runner.clock.now(), commands)

    def _missing_lifts(self) -> tuple[str, ...]:
        """Return the arguments that lifted a guard when the saved plan was made and were not given again."""
        return () if self.saved is None else self.saved.missing_lifts(self.run)

    def _command_line(self) -> CommandLine:
        """Return the arguments of a command that plans the same again, with the same guards lifted."""
        specs = () if self.specs == (DEFAULT_SPEC,) else self.specs
        run = self.run if self.saved is None else self.saved.with_lifts(self.run)
        return options.command_line(specs, self.name, run, self.common)

    def command_line(self) -> str:
        """Return the command that applies the same plan, without its id."""
        return self.again(self._command_line())

    def _is_approved(self, plan: Plan, runner: Runner) -> bool:
        """Whether the plan may be applied; raise PlanRefused when it is not the approved one."""
        if self.approval == "event":
            return True
        if self.saved is not None:
            self._compare(self.saved, plan, runner)
            return True
        if self.expect is not None:
            if approve.names(plan, self.expect):
                self._log_sums(plan)
                return True
            self._show(plan, runner)
            raise PlanRefused(
                f"the plan is now {plan.plan_id[:12]}, not the expected {self.expect}",
                "read the current plan, and approve that one",
            )
        if self.approval == "yes":
            self._log_sums(plan)
            return True
        self._shown = self._show(plan, runner, is_asked=True)
        count = sum(change.to_apply is not None for change in plan.changes)
        if not count:
            return True
        these = "this" if count == 1 else "these"
        return terminal.confirm(f"Apply {these} {plural(count, 'change')}? [y/N] ")

    def _compare(self, saved: SavedPlan, plan: Plan, runner: Runner) -> None:
        """Raise PlanRefused for a change that the saved plan does not have."""
        comparison = compare_plans(saved, plan, quiet=self.common.quiet)
        unapproved = comparison.unapproved
        if not unapproved:
            if self.rest == "leave":
                self._plan = approve.leave_rest(plan, comparison.rest)
            self._log_sums(self._plan or plan)
            return
        self._show(plan, runner)
        log_unapproved(comparison)
        remedy = saved.lift_remedy(self.run)
        if remedy and not error_output.is_action():
            remedy += f": `{self._command_line().apply_saved(saved.file)}`"
        raise PlanChanged(unapproved, remedy or "read the current plan, and have it approved")

    def _log_sums(self, plan: Plan) -> None:
        """Write the sums of the plan to stderr: the report has the changes, so they are not listed twice."""
        if self.common.quiet:
            return
        terminal.log(f"Plan {plan.plan_id[:12]}: {sums(plan.changes)}.")
        lines = sums_by_target(plan)
        if lines:
            terminal.log("\n".join(cut(lines, _TARGETS, "more lines", "  ...")))

    def _show(self, plan: Plan, runner: Runner, *, is_asked: bool = False) -> PlanDocument:
        """Write the plan to stderr, since stdout is for the report; return its document.

        Args:
            plan: The plan.
            runner: The planner.
            is_asked: Whether a question follows, so that no command is needed that applies the plan.
        """
        document = command_run.saved_document(plan, self.run, self.name, self.specs, runner.clock.now())
        hidden = is_asked or self._missing_lifts() or is_unreviewed(document)
        again = "" if hidden else self.command_line()
        color = terminal.use_color(sys.stderr, self.common.color)
        terminal.log(render_plan("text", document, color=color, apply_command=again))
        command_run.note_standard_input(self.specs, self.common)
        return document

    def _report_of_stop(self, error: BaseException) -> Report:
        """Return a complete report of a run that an exception stopped."""
        if isinstance(error, KeyboardInterrupt | Interrupted):
            when = "while it wrote" if self._writing else "before anything was written"
            finding = Finding(Severity.ERROR, Interrupted.finding_code, f"interrupted {when}")
            return self._unfinished([finding], interrupted=True)
        code = error.finding_code if isinstance(error, ReconcileError) else UNEXPECTED
        message, remedy = error_output.error_summary(error)
        finding = Finding(Severity.ERROR, code, f"{message}: {remedy}" if remedy else message)
        more = error.findings if isinstance(error, ReconcileError) else ()
        return self._unfinished([finding, *more])

    def _unfinished(self, findings: Sequence[Finding], *, interrupted: bool = False) -> Report:
        """Return the report of a run whose outcomes are unknown, apart from whether it began to write."""
        run = self.run
        mode = Mode.NO_DECRYPT if run.no_decrypt else Mode.VERIFY if run.verify_values else Mode.NORMAL
        plan = self._plan or Plan((), mode, Narrowing(run.targets, run.only))
        unknown, why = (Result.FAILED, INTERRUPTED_CHANGE) if self._writing else (Result.NOT_ATTEMPTED, "")
        outcomes = tuple(
            Outcome(change, Result.WITHHELD)
            if change.fate is Fate.WITHHELD
            else Outcome(change, unknown, why)
            for change in plan.changes
        )
        return Report(plan, outcomes, findings=tuple(findings), interrupted=interrupted)

    def _report(self, report: Report, code: int, *, show: bool = True) -> None:
        """Save the report, then write it to stdout; each once."""
        now = SystemClock().now()
        document = report_document(report, tool_version=__version__, created=now)
        document |= {"exit_code": code, "approval": self.approval}
        if self._plan is None:
            document |= {"plan_id": NO_PLAN, "complete": False}
        document = printable_tree(document)
        # Set before the first write: if saving fails, `execute` must not write a second report.
        self._reported = True
        try:
            command_run.save_document(self.out, document, "report", self.common)
            if self._plan is not None:
                command_run.save_metrics(self.metrics, report, now)
        finally:
            shown = self._shown if terminal.shares_terminal() else None
            is_empty = self.output_format == "text" and not (report.outcomes or report.findings)
            if show and not (shown and is_empty):
                color = terminal.use_color(sys.stdout, self.common.color)
                terminal.write(render_report(self.output_format, document, color=color, shown=shown))
