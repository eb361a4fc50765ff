"""An order -> a plan, its approval, the apply, and a report in every case.

Approval is one of four: somebody says yes to the plan that is shown; `--yes`; the plan has the expected
id; the plan has no change that the saved one had not. Whatever goes wrong, there is a report that says
what became of each change, and the exit code is the one that the failure means.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ssm_reconcile import __version__, approve
from ssm_reconcile.change import Fate
from ssm_reconcile.cli import running, showing, streams
from ssm_reconcile.cli.failures import code_of, summary_of
from ssm_reconcile.cli.options import Asked
from ssm_reconcile.cli.orders import Order
from ssm_reconcile.cli.running import Work
from ssm_reconcile.cli.system_clock import SystemClock
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
)
from ssm_reconcile.plan import Mode, Narrowing, Plan
from ssm_reconcile.renderers.json import dumps, report_document
from ssm_reconcile.report import Outcome, Report, Result
from ssm_reconcile.surrogates import printable_tree

TOLD = 50
"""How many differences to a saved plan are told one by one."""
NO_PLAN = "0" * 64
"""The id of a plan that there is none of: the id of an empty plan would look like one."""
BROKE_OFF = "the run broke off before its outcome was known: a new plan tells"


@dataclass(slots=True)
class Applying:
    """One apply. `ask`: whether a person has to say yes. `planner` makes a plan that needs no word."""

    order: Order
    asked: Asked
    form: str
    out: Path | None
    ask: bool
    planner: Callable[[Work], Plan] | None = None
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
                self._publish(self._fatal(error), code_of(error), told=self.form != "text")
            raise

    def _run(self) -> int:
        order = self.order
        specs = running.load_specs(order.specs, order.name)
        with running.working(specs, order.run, self.asked) as work:
            if order.saved is not None:
                self._check_saved(work)
            plan = work.plan() if self.planner is None else self.planner(work)
            if order.saved is None:
                running.check_narrowing(plan)
            self.plan = plan
            if not self._approved(plan, work):
                return self._declined(plan)
            with work.stop.finishing():
                if work.stop.is_set():
                    raise KeyboardInterrupt
                self.writing = True
                report = work.carry_out(plan)
                self._publish(report, report.exit_code)
        return report.exit_code

    def _check_saved(self, work: Work) -> None:
        """What can be refused without a look at AWS."""
        saved = self.order.saved
        assert saved is not None, "asked for a saved plan only"
        if self.order.expect is not None and not approve.matches(saved["plan_id"], self.order.expect):
            raise PlanRefused(
                f"the saved plan is {saved['plan_id'][:12]}, not the expected {self.order.expect}",
                "take the file of the plan that was approved, or have this one approved",
            )
        approve.check_age(saved, work.now(), self.order.max_plan_age, self._plan_again)

    def _plan_again(self, days: int | None) -> str:
        """Return the commands that make and apply a new plan, or with `days` the one that applies this."""
        order = self.order
        again = order.command_line(self.asked)
        missing = tuple(word for flag in order.missing for word in flag.split())
        again = replace(again, lifts=(*again.lifts, *missing))
        if days is not None:
            return f"`{again.apply_saved(order.file, '--max-plan-age', str(days))}`"
        return f"`{again.plan('--out', order.file)}`, then `{again.apply_saved(order.file)}`"

    def _approved(self, plan: Plan, work: Work) -> bool:
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
        if not self.asked.quiet or self.ask:
            self._show(plan, work)
        to_apply = sum(change.fate is Fate.APPLY for change in plan.changes)
        if not self.ask or not to_apply:
            return True
        these = "this 1 change" if to_apply == 1 else f"these {to_apply:,} changes"
        return streams.confirmed(f"Apply {these}? [y/N] ")

    def _compare(self, plan: Plan, work: Work) -> None:
        assert self.order.saved is not None, "asked for a saved plan only"
        verdict = approve.compare(self.order.saved, plan)
        if not self.asked.quiet:
            if verdict.done:
                streams.aside(f"Done since the plan was made: {len(verdict.done):,}.")
            for item in verdict.dropped[:TOLD]:
                streams.aside(f"Not planned any more: {_visible(str(item))}.")
        if verdict.approved:
            return
        self._show(plan, work)
        for _, line in verdict.unapproved[:TOLD]:
            streams.aside(_visible(line))
        if len(verdict.unapproved) > TOLD:
            streams.aside(f"... and {len(verdict.unapproved) - TOLD:,} more")
        raise _Changed(verdict, self._give_again())

    def _give_again(self) -> str:
        """Return what to run where a flag that the saved plan was made with was not given; else nothing."""
        missing = self.order.missing
        if not missing:
            return ""
        words = [word for flag in missing for word in flag.split()]
        again = self.order.command_line(self.asked).apply_saved(self.order.file, *words)
        return f"give {' '.join(missing)} again, since a saved plan lifts no guard by itself: `{again}`"

    def _show(self, plan: Plan, work: Work) -> None:
        """The plan on stderr: stdout is for the report."""
        order = self.order
        document = running.document_of(plan, order.run, order.intent, order.specs, work.now())
        again = "" if order.missing else order.command_line(self.asked).apply()
        color = streams.colored(sys.stderr, self.asked.color)
        streams.aside(showing.plan_as("text", document, color=color, apply_command=again))
        running.say_standard_input(order.specs, self.asked)

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
        streams.aside("Nothing was changed.")
        said = Finding(Severity.NOTICE, "declined", "the question whether to apply was not answered with yes")
        report = Report(plan, _outcomes(plan, broke_off=False), findings=(said,))
        self._publish(report, 0, told=self.form != "text")
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
        now = SystemClock(_NEVER).now()
        document = report_document(report, tool_version=__version__, created=now)
        document |= {"exit_code": code, "approval": self._approval}
        if self.plan is None:
            document |= {"plan_id": NO_PLAN, "complete": False}  # nothing was planned from anything
        document = printable_tree(document)
        self.published = True
        try:
            if self.out is not None:
                streams.save(self.out, dumps(document))
                running.say_saved(self.out, "report", self.asked)
            if self.metrics is not None and self.plan is not None:
                running.save_metrics(self.metrics, report, now)
        finally:
            if told:
                color = streams.colored(sys.stdout, self.asked.color)
                streams.result(showing.report_as(self.form, document, color=color))


class _Changed(PlanRefused):
    """The plan has changes that the saved one had not."""

    def __init__(self, verdict: approve.Verdict, remedy: str) -> None:
        count = len(verdict.unapproved)
        remedy = remedy or "look at the new plan above, and have it approved"
        changes = "1 change" if count == 1 else f"{count:,} changes"
        super().__init__(f"the saved plan does not cover {changes} of the plan now", remedy)
        self.verdict = verdict


class _Never:
    """Nobody asks to stop while a report is written."""

    def wait(self, timeout: float | None = None) -> bool:
        return False


_NEVER = _Never()


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
    message, remedy = summary_of(error)
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
    from ssm_reconcile.renderers.inert import escaped

    return escaped(text)
