"""`ssm-reconcile apply`: specs, or a saved plan -> the targets hold it; a report on stdout and in --out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ssm_reconcile import __version__, approve
from ssm_reconcile.change import Fate
from ssm_reconcile.cli import command_run, options, show, terminal
from ssm_reconcile.cli.command_run import Runner
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions, Intent, Word, check_exposure
from ssm_reconcile.cli.terminal import decode_guess, error_summary, exit_code_of, read_document
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

HELP = """\
Plan, and do what the plan says: make each target hold what the spec says.

SPEC are files or directories, replication.yaml if none is given, `-` for standard input; or one plan
that `plan --out` saved. On a terminal the plan is shown and you are asked; a no changes nothing and
ends 0. Without a terminal, say what to do: --yes (whatever the plan is), --expect-plan ID (only this
plan), or a saved plan (only its changes; what was done since counts as done).

A saved plan brings its narrowing, mode and --adopt with it (saying the same again does no harm), but no
flag that lifts a guard: give those again. Each change ends in an outcome. The report goes to stdout, and
to --out even after an error.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile apply
  ssm-reconcile apply --expect-plan 9535f4258859
  ssm-reconcile apply plan.json --spec prod.yaml --out report.json

\b
Exit codes, the first that fits:
  130  interrupted: what was in flight was finished
   64  wrong usage
    1  error: nothing could be planned
    4  not the plan that was approved, or its approval is too old
    5  a guard withheld something (the rest was applied)
    3  not all that the spec asks for holds: failed, stale, conflict, detached, invalid,
       incomplete
    0  done
"""


@click.command("apply", help=HELP, epilog=EPILOG)
@options.spec_argument
@options.approval_options
@options.plan_options
@options.exposure_option
@options.format_option
@options.out_option("the report")
@options.metrics_option
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    word: Word,
    output_format: str,
    out: Path | None,
    metrics: Path | None,
    common: CommonOptions,
    intent: Intent,
) -> int:
    """Finds out what is asked for, and does it; returns the exit code."""
    order = order_of(specs, intent, word, parallelism=common.parallelism)
    ask = not (word.yes or word.expect_plan or order.saved)
    if ask and not terminal.can_ask():
        command_run.load_all(order.specs, order.name)  # a spec that cannot be used is reported first
        raise click.UsageError(
            "there is no terminal to ask on: give --yes, --expect-plan ID, or a plan that `plan --out` saved."
        )
    if out is not None:
        terminal.check_writable(out)
    return Applying(order, common, output_format, out, ask=ask, metrics=metrics).run()


@dataclass(frozen=True, slots=True)
class Order:
    """What to apply. `saved` is the document of a saved plan, `flags` the guard flags it was made with."""

    specs: tuple[str, ...]
    name: str | None
    run: Run
    intent: Intent
    expect: str | None = None
    saved: PlanDocument | None = None
    flags: tuple[str, ...] = ()
    max_plan_age: float = 7
    file: str = ""
    """The saved plan."""

    def command_line(self, common: CommonOptions) -> CommandLine:
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
        return given.command_line(() if self.specs == (DEFAULT_SPEC,) else self.specs, common)

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
            if not decode_guess(stream.read(4096)).lstrip().startswith("{"):
                return False
            stream.seek(0)
            return '"plan_id"' in decode_guess(stream.read())
    except OSError:
        return False  # the loader reports what is wrong with it


def _agree(intent: Intent, run: Run, saved: approve.SavedRun) -> None:
    """What the plan was made with may be said again, as guards have to be; nothing else may be said."""
    common = {
        "name": (intent.name, saved.name),
        "target": (set(run.targets), set(saved.run.targets)),
        "only": (set(run.only), set(saved.run.only)),
        "verify_values": (run.verify_values, saved.run.verify_values),
        "no_decrypt": (run.no_decrypt, saved.run.no_decrypt),
        "adopt": (run.adopt, saved.run.adopt),
    }
    other = [f"--{word.replace('_', '-')}" for word, (now, then) in common.items() if now and now != then]
    if other:
        raise click.UsageError(
            f"a saved plan says itself what was planned, and this one was not made with that: leave out"
            f" {', '.join(other)}."
        )


def _saved_order(path: str, intent: Intent, word: Word, run: Run) -> Order:
    from ssm_reconcile.documents.decode import read_plan_document

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


TOLD = 50
"""How many differences to a saved plan are told one by one."""
NO_PLAN = "0" * 64
"""The id of a plan that there is none of: the id of an empty plan would look like one."""
BROKE_OFF = "the run broke off before its outcome was known: a new plan tells"


@dataclass(slots=True)
class Applying:
    """One apply. `ask`: whether a person has to say yes. `planner` makes a plan that needs no word."""

    order: Order
    common: CommonOptions
    output_format: str
    out: Path | None
    ask: bool
    planner: Callable[[Runner], Plan] | None = None
    metrics: Path | None = None
    plan: Plan | None = None
    writing: bool = False
    published: bool = False

    def run(self) -> int:
        """Applies; returns the exit code. Raises what stopped it, after the report is out."""
        try:
            return self._run()
        except (Exception, KeyboardInterrupt) as error:
            if not self.published:
                self._publish(self._fatal(error), exit_code_of(error), told=self.output_format != "text")
            raise

    def _run(self) -> int:
        order = self.order
        specs = command_run.load_specs(order.specs, order.name)
        with command_run.start_runner(specs, order.run, self.common) as work:
            if order.saved is not None:
                self._check_saved(work)
            plan = work.plan() if self.planner is None else self.planner(work)
            if order.saved is None:
                command_run.check_narrowing(plan)
            self.plan = plan
            if not self._approved(plan, work):
                return self._declined(plan)
            with work.stop.finish_gently():
                if work.stop.is_set():
                    raise KeyboardInterrupt
                self.writing = True
                report = work.carry_out(plan)
                self._publish(report, report.exit_code)
        return report.exit_code

    def _check_saved(self, work: Runner) -> None:
        """What can be refused without a look at AWS."""
        saved = self.order.saved
        assert saved is not None, "asked for a saved plan only"
        if self.order.expect is not None and not approve.matches(saved["plan_id"], self.order.expect):
            raise PlanRefused(
                f"the saved plan is {saved['plan_id'][:12]}, not the expected {self.order.expect}",
                "take the file of the plan that was approved, or have this one approved",
            )
        approve.check_age(saved.get("created"), work.now(), self.order.max_plan_age, self._plan_again)

    def _plan_again(self, days: int | None) -> str:
        """Return the commands that make and apply a new plan, or with `days` the one that applies this."""
        order = self.order
        again = order.command_line(self.common)
        missing = tuple(word for flag in order.missing for word in flag.split())
        again = replace(again, lifts=(*again.lifts, *missing))
        if days is not None:
            return f"`{again.apply_saved(order.file, '--max-plan-age', str(days))}`"
        return f"`{again.plan('--out', order.file)}`, then `{again.apply_saved(order.file)}`"

    def _approved(self, plan: Plan, work: Runner) -> bool:
        """Whether the plan may be applied; raises PlanRefused when it is not the approved one."""
        if self.planner is not None:
            return True
        if self.order.saved is not None:
            self._compare(plan, work)
            return True
        if self.order.expect is not None:
            if not approve.names(plan, self.order.expect):
                self._show(plan, work)
                raise PlanRefused(
                    f"the plan is {plan.plan_id[:12]} now, not the expected {self.order.expect}",
                    "look at the new plan above, and approve that one",
                )
            return True
        if not self.common.quiet or self.ask:
            self._show(plan, work)
        to_apply = sum(change.fate is Fate.APPLY for change in plan.changes)
        if not self.ask or not to_apply:
            return True
        these = "this 1 change" if to_apply == 1 else f"these {to_apply:,} changes"
        return terminal.confirm(f"Apply {these}? [y/N] ")

    def _compare(self, plan: Plan, work: Runner) -> None:
        assert self.order.saved is not None, "asked for a saved plan only"
        verdict = approve.compare(self.order.saved, plan)
        if not self.common.quiet:
            if verdict.done:
                terminal.log(f"Done since the plan was made: {len(verdict.done):,}.")
            for item in verdict.dropped[:TOLD]:
                terminal.log(f"Not planned any more: {_visible(str(item))}.")
        if verdict.approved:
            return
        self._show(plan, work)
        for _, line in verdict.unapproved[:TOLD]:
            terminal.log(_visible(line))
        if len(verdict.unapproved) > TOLD:
            terminal.log(f"... and {len(verdict.unapproved) - TOLD:,} more")
        raise _Changed(verdict, self._give_again())

    def _give_again(self) -> str:
        """Return what to run where a flag that the saved plan was made with was not given; else nothing."""
        missing = self.order.missing
        if not missing:
            return ""
        words = [word for flag in missing for word in flag.split()]
        again = self.order.command_line(self.common).apply_saved(self.order.file, *words)
        return f"give {' '.join(missing)} again, since a saved plan lifts no guard by itself: `{again}`"

    def _show(self, plan: Plan, work: Runner) -> None:
        """The plan on stderr: stdout is for the report."""
        order = self.order
        document = command_run.saved_document(plan, order.run, order.intent, order.specs, work.now())
        again = "" if order.missing else order.command_line(self.common).apply()
        color = terminal.use_color(sys.stderr, self.common.color)
        terminal.log(show.plan_as("text", document, color=color, apply_command=again))
        command_run.note_standard_input(order.specs, self.common)

    @property
    def _approval(self) -> str:
        """What the apply went by: `event`, `saved-plan`, `expect-plan`, `answer` or `yes`."""
        if self.planner is not None:
            return "event"
        if self.order.saved is not None:
            return "saved-plan"
        if self.order.expect is not None:
            return "expect-plan"
        return "answer" if self.ask else "yes"

    def _declined(self, plan: Plan) -> int:
        terminal.log("Nothing was changed.")
        said = Finding(Severity.NOTICE, "declined", "the question whether to apply was not answered with yes")
        report = Report(plan, _outcomes(plan, broke_off=False), findings=(said,))
        self._publish(report, 0, told=self.output_format != "text")
        return 0

    def _fatal(self, error: BaseException) -> Report:
        """A complete report of a run that was cut short by an exception."""
        run = self.order.run
        mode = Mode.NO_DECRYPT if run.no_decrypt else Mode.VERIFY if run.verify_values else Mode.NORMAL
        plan = self.plan or Plan((), mode, Narrowing(run.targets, run.only))
        interrupted = isinstance(error, KeyboardInterrupt | Interrupted)
        outcomes = _outcomes(plan, broke_off=self.writing)
        found = _findings(error, when="while it wrote" if self.writing else "before anything was written")
        return Report(plan, outcomes, findings=tuple(found), interrupted=interrupted)

    def _publish(self, report: Report, code: int, *, told: bool = True) -> None:
        """The report, saved first and then shown, each once."""
        now = command_run.now()
        document = report_document(report, tool_version=__version__, created=now)
        document |= {"exit_code": code, "approval": self._approval}
        if self.plan is None:
            document |= {"plan_id": NO_PLAN, "complete": False}  # nothing was planned from anything
        document = printable_tree(document)
        self.published = True
        try:
            if self.out is not None:
                terminal.save(self.out, dumps(document))
                command_run.note_saved(self.out, "report", self.common)
            if self.metrics is not None and self.plan is not None:
                command_run.save_metrics(self.metrics, report, now)
        finally:
            if told:
                color = terminal.use_color(sys.stdout, self.common.color)
                terminal.write(show.report_as(self.output_format, document, color=color))


class _Changed(PlanRefused):
    """The plan has changes that the saved one had not."""

    def __init__(self, verdict: approve.Comparison, remedy: str) -> None:
        count = len(verdict.unapproved)
        remedy = remedy or "look at the new plan above, and have it approved"
        changes = "1 change" if count == 1 else f"{count:,} changes"
        super().__init__(f"the saved plan does not cover {changes} of the plan now", remedy)
        self.verdict = verdict


def _outcomes(plan: Plan, *, broke_off: bool) -> tuple[Outcome, ...]:
    """Outcomes of a plan that nothing is known of but whether writing had begun."""
    return tuple(
        Outcome(change, Result.WITHHELD)
        if change.fate is Fate.WITHHELD
        else Outcome(change, Result.FAILED, BROKE_OFF)
        if broke_off
        else Outcome(change, Result.NOT_ATTEMPTED)
        for change in plan.changes
    )


_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (_Changed, "plan-changed"),
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


def _findings(error: BaseException, when: str) -> list[Finding]:
    """What stopped a run, as findings."""
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    if code == "interrupted":
        return [Finding(Severity.ERROR, code, f"interrupted {when}")]
    message, remedy = error_summary(error)
    found = [Finding(Severity.ERROR, code, f"{message}: {remedy}" if remedy else message)]
    if isinstance(error, SpecError):
        found += error.findings
    if isinstance(error, _Changed):
        found += [
            Finding(Severity.ERROR, code, line, about=(Address(item.target, item.name),))
            for item, line in error.verdict.unapproved[:TOLD]
        ]
    return found


def _visible(text: str) -> str:
    from ssm_reconcile.renderers.escaping import escape

    return escape(text)
