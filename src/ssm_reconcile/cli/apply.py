"""`ssm-reconcile apply`: specs or a saved plan -> the changes made, a report on stdout and in --out.

A plan is approved in one of four ways: a person answers yes to the plan that is shown; `--yes`; the plan
has the expected id; the plan has no change that a saved plan did not have. Whatever fails, there is a
report with an outcome of each change, and the exit code is the one of the failure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ssm_reconcile import __version__, approve
from ssm_reconcile.change import Fate
from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.options import DEFAULT_SPEC, MAX_PLAN_AGE_DAYS, Approval, CommonOptions
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.documents import PlanDocument
from ssm_reconcile.documents.encode import report_document
from ssm_reconcile.encoding import printable_tree
from ssm_reconcile.errors import (
    Address,
    Finding,
    Interrupted,
    NothingPlanned,
    PlaceError,
    PlanRefused,
    ReconcileError,
    Severity,
    SpecError,
    StoreError,
    UsageError,
)
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.renderers.json import dumps
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.spec import Run
from ssm_reconcile.wording import counted, cut

HELP = """\
Plan, and make the changes of the plan: each target then matches the spec.

SPEC are files or directories, replication.yaml if none is given, `-` for standard input; or one plan
that `plan --out` saved. On a terminal the plan is shown and you are asked; the answer no changes nothing
and ends 0. Without a terminal, give --yes (any plan), --expect-plan ID (only this plan), or a saved plan
(only its changes; a change that was made since then counts as done).

A saved plan contains its --target, --only, --name, mode and --adopt; you may repeat the same values. It
contains no flag that lifts a guard: give those flags again. Each change gets an outcome. The report goes
to stdout, and to --out also after an error.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile apply
  ssm-reconcile apply --expect-plan 9535f4258859
  ssm-reconcile apply plan.json --spec prod.yaml --out report.json

\b
Exit codes, the first that applies:
  130  interrupted: changes in flight were finished
   64  wrong usage
    1  error: nothing could be planned
    4  not the plan that was approved, or its approval is too old
    5  a guard withheld a change (the rest was applied)
    3  something does not match the spec: failed, stale, conflict, detached, invalid,
       incomplete
    0  done
"""
DIFFERENCES_SHOWN = 50
"""Differences to a saved plan that are listed one by one."""
NO_PLAN = "0" * 64
"""Placeholder id for a run that produced no plan; the id of an empty plan would look like a real one."""
INTERRUPTED_CHANGE = "the run ended before its outcome was known; run a new plan"


@click.command("apply", help=HELP, epilog=EPILOG)
@options.spec_argument
@options.approval_options
@options.plan_options
@options.exposure_option
@options.format_option()
@options.out_option("the report")
@options.metrics_option
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    approval: Approval,
    run: Run,
    output_format: str,
    out: Path | None,
    metrics: Path | None,
    common: CommonOptions,
) -> int:
    """Plan, get the approval, apply and report; return the exit code."""
    request = request_of(specs, name, run, approval)
    ask = not (approval.yes or approval.expect_plan or request.saved)
    if ask and not terminal.can_ask():
        command_run.load_all(request.specs, request.name)  # report an unusable spec before the missing flag
        raise click.UsageError(
            "stdin is not a terminal, so the plan cannot be confirmed: give --yes, --expect-plan ID, or a"
            " plan that `plan --out` saved."
        )
    if out is not None:
        terminal.check_writable(out)
    return ApplyRun(request, common, output_format, out, ask=ask, metrics=metrics).execute()


@dataclass(frozen=True, slots=True)
class ApplyRequest:
    """The specs or the saved plan to apply, with options and approval.

    Args:
        specs: The spec files as they were given; empty for the default file.
        name: The only replication to apply; None for all.
        run: The plan options; with a saved plan, its options and the guards that are lifted now.
        expect: The id that the plan must have.
        saved: The saved plan.
        saved_flags: The flags that lifted a guard when the saved plan was made, such as `--max-deletes 5`.
        max_plan_age: The greatest age of a saved plan, in days.
        file: The path of the saved plan.
    """

    specs: tuple[str, ...]
    name: str | None
    run: Run
    expect: str | None = None
    saved: PlanDocument | None = None
    saved_flags: tuple[str, ...] = ()
    max_plan_age: float = MAX_PLAN_AGE_DAYS
    file: str = ""

    def command_line(self, common: CommonOptions) -> CommandLine:
        """Return the arguments of a command that plans the same again."""
        specs = () if self.specs == (DEFAULT_SPEC,) else self.specs
        return options.command_line(specs, self.name, self.run, common)

    @property
    def missing_flags(self) -> tuple[str, ...]:
        """The flags that lifted a guard when the saved plan was made, and were not given again."""
        given = " ".join(options.command_line((), None, self.run).lifts) + " "
        return tuple(flag for flag in self.saved_flags if f"{flag} " not in given)


def request_of(specs: Sequence[str], name: str | None, run: Run, approval: Approval) -> ApplyRequest:
    """Return what the command line asks for.

    Args:
        specs: The specs, or one saved plan.
        name: The value of `--name`.
        run: The plan options.
        approval: The approval options.

    Raises:
        UsageError: The arguments contradict each other, or the saved plan.
    """
    if approval.expect_plan is not None:
        approve.matches("", approval.expect_plan)  # refuse a malformed id before any work
    plans = [path for path in specs if _is_saved_plan(path)]
    if not plans:
        if approval.spec:
            raise click.UsageError("--spec needs a saved plan; give the specs themselves as SPEC.")
        options.check_exposure(run)
        return ApplyRequest(tuple(specs), name, run, approval.expect_plan)
    if len(specs) > 1:
        raise click.UsageError("a saved plan must be the only argument: give its specs with --spec FILE.")
    return _saved_request(plans[0], name, run, approval)


def _is_saved_plan(path: str) -> bool:
    """Whether a file is meant to be a saved plan: JSON with a `plan_id`, valid or not."""
    file = Path(path)
    if path == "-" or not file.is_file():
        return False
    try:
        with file.open("rb") as stream:
            if not terminal.decode_guess(stream.read(4096)).lstrip().startswith("{"):
                return False
            stream.seek(0)
            return '"plan_id"' in terminal.decode_guess(stream.read())
    except OSError:
        return False  # the loader reports why it cannot be read


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


def _saved_request(path: str, name: str | None, run: Run, approval: Approval) -> ApplyRequest:
    from ssm_reconcile.documents.decode import read_plan_document

    document = read_plan_document(terminal.read_document(Path(path)))
    saved = approve.run_of(document)
    _refuse_contradictions(name, run, saved)
    made_from = saved.spec_files or (DEFAULT_SPEC,)
    if not approval.spec and not all(Path(file).exists() for file in made_from):
        message = f"{path} was made from {', '.join(made_from)}, which does not exist here"
        raise UsageError(message, f"give its path: {' '.join('--spec FILE' for _ in made_from)}")
    lifted = {flag: getattr(run, flag) for flag in approve.GUARD_FLAGS}
    again = replace(saved.run, **lifted)
    options.check_exposure(again)
    return ApplyRequest(
        specs=approval.spec or made_from,
        name=saved.name,
        run=again,
        expect=approval.expect_plan,
        saved=document,
        saved_flags=saved.flags,
        max_plan_age=approval.max_plan_age,
        file=path,
    )


@dataclass(slots=True)
class ApplyRun:
    """One apply, with a report in every case.

    Args:
        request: What to apply.
        common: The common options.
        output_format: The format of the report on stdout.
        out: The file for the report.
        ask: Whether a person must confirm the plan.
        planner: Makes a plan that needs no approval, such as the one of an event.
        metrics: The file for metrics.
    """

    request: ApplyRequest
    common: CommonOptions
    output_format: str
    out: Path | None
    ask: bool
    planner: Callable[[Runner], Plan] | None = None
    metrics: Path | None = None
    _plan: Plan | None = None
    _writing: bool = False
    _reported: bool = False

    def execute(self) -> int:
        """Apply and return the exit code; raise what stopped the run, after the report is written."""
        try:
            return self._execute()
        except (Exception, KeyboardInterrupt) as error:
            if not self._reported:
                code = terminal.exit_code_of(error)
                self._report(self._stopped(error), code, show=self.output_format != "text")
            raise

    def _execute(self) -> int:
        request = self.request
        specs = command_run.load_specs(request.specs, request.name)
        with command_run.start_runner(specs, request.run, self.common) as runner:
            if request.saved is not None:
                self._check_saved(request.saved, runner)
            plan = runner.plan() if self.planner is None else self.planner(runner)
            if request.saved is None:
                command_run.check_narrowing(plan)
            self._plan = plan
            if not self._approved(plan, runner):
                return self._declined(plan)
            # From here on a signal must not interrupt: each change in flight is finished and reported.
            with runner.stop.finish_gently():
                if runner.stop.is_set():
                    raise KeyboardInterrupt
                self._writing = True
                report = runner.carry_out(plan)
                self._report(report, report.exit_code)
        return report.exit_code

    def _check_saved(self, saved: PlanDocument, runner: Runner) -> None:
        """Raise PlanRefused for what can be refused without a call to AWS."""
        expect = self.request.expect
        if expect is not None and not approve.matches(saved["plan_id"], expect):
            raise PlanRefused(
                f"the saved plan is {saved['plan_id'][:12]}, not the expected {expect}",
                "take the file of the plan that was approved, or have this one approved",
            )
        most = self.request.max_plan_age
        approve.check_age(saved.get("created"), runner.clock.now(), most, self._commands_again)

    def _commands_again(self, days: int | None) -> str:
        """Return the commands that make and apply a new plan, or with `days` the one that applies this."""
        request = self.request
        line = request.command_line(self.common)
        missing = tuple(word for flag in request.missing_flags for word in flag.split())
        line = replace(line, lifts=(*line.lifts, *missing))
        if days is not None:
            return f"`{line.apply_saved(request.file, '--max-plan-age', str(days))}`"
        return f"`{line.plan('--out', request.file)}`, then `{line.apply_saved(request.file)}`"

    def _approved(self, plan: Plan, runner: Runner) -> bool:
        """Whether the plan may be applied; raise PlanRefused when it is not the approved one."""
        expect = self.request.expect
        if self.planner is not None:
            return True
        if self.request.saved is not None:
            self._compare(self.request.saved, plan, runner)
            return True
        if expect is not None:
            if approve.names(plan, expect):
                return True
            self._show(plan, runner)
            raise PlanRefused(
                f"the plan is now {plan.plan_id[:12]}, not the expected {expect}",
                "read the new plan above, and approve that one",
            )
        if not self.common.quiet or self.ask:
            self._show(plan, runner)
        count = sum(change.fate is Fate.APPLY for change in plan.changes)
        if not self.ask or not count:
            return True
        these = "this" if count == 1 else "these"
        return terminal.confirm(f"Apply {these} {counted(count, 'change')}? [y/N] ")

    def _compare(self, saved: PlanDocument, plan: Plan, runner: Runner) -> None:
        from ssm_reconcile.renderers.escaping import escape

        comparison = approve.compare(saved, plan)
        if not self.common.quiet:
            if comparison.done:
                terminal.log(f"Done since the plan was made: {len(comparison.done):,}.")
            for item in comparison.dropped[:DIFFERENCES_SHOWN]:
                terminal.log(f"No longer planned: {escape(str(item))}.")
        if comparison.approved:
            return
        self._show(plan, runner)
        for line in cut([line for _, line in comparison.unapproved], DIFFERENCES_SHOWN):
            terminal.log(escape(line))
        raise _PlanChanged(comparison, self._flags_again())

    def _flags_again(self) -> str:
        """Return the command with the flags of the saved plan that are missing; empty without any."""
        missing = self.request.missing_flags
        if not missing:
            return ""
        words = [word for flag in missing for word in flag.split()]
        again = self.request.command_line(self.common).apply_saved(self.request.file, *words)
        return f"give {' '.join(missing)} again, since a saved plan lifts no guard: `{again}`"

    def _show(self, plan: Plan, runner: Runner) -> None:
        """Write the plan to stderr: stdout is for the report."""
        request = self.request
        document = command_run.saved_document(
            plan, request.run, request.name, request.specs, runner.clock.now()
        )
        again = "" if request.missing_flags else request.command_line(self.common).apply()
        color = terminal.use_color(sys.stderr, self.common.color)
        terminal.log(render_plan("text", document, color=color, apply_command=again))
        command_run.note_standard_input(request.specs, self.common)

    @property
    def _approval(self) -> str:
        """The kind of approval: `event`, `saved-plan`, `expect-plan`, `answer` or `yes`."""
        if self.planner is not None:
            return "event"
        if self.request.saved is not None:
            return "saved-plan"
        if self.request.expect is not None:
            return "expect-plan"
        return "answer" if self.ask else "yes"

    def _declined(self, plan: Plan) -> int:
        terminal.log("Nothing was changed.")
        message = "the question whether to apply was not answered with yes"
        report = Report(
            plan,
            _unknown_outcomes(plan, writing=False),
            findings=(Finding(Severity.NOTICE, "declined", message),),
        )
        self._report(report, 0, show=self.output_format != "text")
        return 0

    def _stopped(self, error: BaseException) -> Report:
        """Return a complete report of a run that an exception stopped."""
        run = self.request.run
        mode = Mode.NO_DECRYPT if run.no_decrypt else Mode.VERIFY if run.verify_values else Mode.NORMAL
        plan = self._plan or Plan((), mode, Narrowing(run.targets, run.only))
        return Report(
            plan,
            _unknown_outcomes(plan, writing=self._writing),
            findings=tuple(_findings(error, writing=self._writing)),
            interrupted=isinstance(error, KeyboardInterrupt | Interrupted),
        )

    def _report(self, report: Report, code: int, *, show: bool = True) -> None:
        """Save the report, then write it to stdout; each once."""
        now = command_run.now()
        document = report_document(report, tool_version=__version__, created=now)
        document |= {"exit_code": code, "approval": self._approval}
        if self._plan is None:
            document |= {"plan_id": NO_PLAN, "complete": False}
        document = printable_tree(document)
        # Set before the first write: if saving fails, `execute` must not write a second report.
        self._reported = True
        try:
            if self.out is not None:
                terminal.save(self.out, dumps(document))
                command_run.note_saved(self.out, "report", self.common)
            if self.metrics is not None and self._plan is not None:
                command_run.save_metrics(self.metrics, report, now)
        finally:
            if show:
                color = terminal.use_color(sys.stdout, self.common.color)
                terminal.write(render_report(self.output_format, document, color=color))


class _PlanChanged(PlanRefused):
    """The plan has changes that the saved plan does not have."""

    def __init__(self, comparison: approve.Comparison, remedy: str) -> None:
        changes = counted(len(comparison.unapproved), "change")
        super().__init__(
            f"the saved plan does not cover {changes} of the current plan",
            remedy or "read the new plan above, and have it approved",
        )
        self.comparison = comparison


def _unknown_outcomes(plan: Plan, *, writing: bool) -> tuple[Outcome, ...]:
    """Return outcomes of a plan of which is only known whether writing had begun."""
    return tuple(
        Outcome(change, Result.WITHHELD)
        if change.fate is Fate.WITHHELD
        else Outcome(change, Result.FAILED, INTERRUPTED_CHANGE)
        if writing
        else Outcome(change, Result.NOT_ATTEMPTED)
        for change in plan.changes
    )


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (_PlanChanged, "plan-changed"),
    (PlanRefused, "plan-refused"),
    (NothingPlanned, "nothing-planned"),
    (PlaceError, "wrong-place"),
    (StoreError, "no-access"),
    (SpecError, "spec"),
    (Interrupted, "interrupted"),
    (KeyboardInterrupt, "interrupted"),
    (ReconcileError, "error"),
    (BaseException, "unexpected"),
)
"""The code of the finding for each kind of exception; the first that fits."""


def _findings(error: BaseException, *, writing: bool) -> list[Finding]:
    """Return what stopped a run, as findings."""
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    if code == "interrupted":
        when = "while it wrote" if writing else "before anything was written"
        return [Finding(Severity.ERROR, code, f"interrupted {when}")]
    message, remedy = terminal.error_summary(error)
    found = [Finding(Severity.ERROR, code, f"{message}: {remedy}" if remedy else message)]
    if isinstance(error, SpecError):
        found += error.findings
    if isinstance(error, _PlanChanged):
        found += [
            Finding(Severity.ERROR, code, line, about=(Address(item.target, item.name),))
            for item, line in error.comparison.unapproved[:DIFFERENCES_SHOWN]
        ]
    return found
