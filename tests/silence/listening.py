"""Everything that one run says, wherever it says it: what `leaks` is to search."""

from __future__ import annotations

import json
import logging
import threading
import traceback
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path

from ssm_reconcile import reconcile
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.diff.case import cases
from ssm_reconcile.documents.encode import plan_document, report_document, saved_plan_document
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.explain import explain, explanation_text
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers import pages, runner
from ssm_reconcile.renderers.comment_context import NO_CONTEXT
from ssm_reconcile.renderers.drift_issue import plan_issue
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.renderers.markdown import COMMENT_BUDGET, plan_comment
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.report import Report
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Replication, Run
from tests.doubles.clock import FakeClock, StopFlag
from tests.fake_aws.store import MemoryStore
from tests.fake_aws.world import World
from tests.simulated_aws import SimulatedAws

WHEN = datetime(2026, 11, 23, 12, tzinfo=UTC)
FORMATS = ("text", "json", "markdown", "html")
THEIRS = (World, MemoryStore, FakeClock, types.ModuleType, types.FunctionType, type, threading.Thread)
"""Names that the product need not hide: AWS itself, code."""


class Ear(logging.Handler):
    """Every log record of the process, with its arguments and its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = [record.getMessage(), repr(record.args), str(record.__dict__)]
        if record.exc_info and record.exc_info[1]:
            said.append(text_of(record.exc_info[1]))
        self.heard.append("\n".join(said))


@contextmanager
def listening() -> Iterator[Ear]:
    """Set all loggers to DEBUG, as for the search of an error."""
    ear, root = Ear(), logging.getLogger()
    level = root.level
    root.addHandler(ear)
    root.setLevel(logging.DEBUG)
    try:
        yield ear
    finally:
        root.removeHandler(ear)
        root.setLevel(level)


def text_of(error: BaseException) -> str:
    """An exception with all that hangs on it: causes, contexts, notes, locals of the product's own frames."""
    said: list[str] = []
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        todo += [one.__cause__, one.__context__]
        said += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())]
        said += traceback.format_exception_only(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "ssm_reconcile" in frame.f_code.co_filename and "/stores/" not in frame.f_code.co_filename:
                said += [f"{name}={value!r}" for name, value in frame.f_locals.items()]
    return "\n".join(said)


def kept(thing: object) -> str:
    """Every text that can be reached from an object, whatever its repr says of it."""
    texts: list[str] = []
    seen: set[int] = set()
    todo = [thing]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, THEIRS):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            texts.append(one)
        elif isinstance(one, bytes):
            texts += [one.decode("latin-1"), one.hex()]
        elif isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            todo += one
        elif is_dataclass(one):
            todo += [getattr(one, field.name) for field in fields(one)]
        else:
            todo += [getattr(one, name) for name in getattr(one, "__slots__", ()) if hasattr(one, name)]
            todo += list(getattr(one, "__dict__", {}).values())
    return "\n".join(texts)


def outputs_of_plan(plan: Plan, run: Run) -> dict[str, str]:
    """A plan in every form that it ever takes."""
    document = plan_document(plan, tool_version="0", created=WHEN)
    saved = saved_plan_document(
        plan, tool_version="0", created=WHEN, run=run, name=None, spec_files=["replication.yaml"]
    )
    said = {f"plan as {form}": "".join(render_plan(form, saved, color=False)) for form in FORMATS}
    view = PlanView(document)
    said["plan, narrow and in colour"] = plan_text(view, width=40, color=True)
    for level in range(4):
        said[f"comment of level {level}"] = plan_comment(view, level=level)
    said["issue on drift"] = plan_issue(view, context=NO_CONTEXT, budget=COMMENT_BUDGET)
    said["saved plan"] = dumps(saved)
    said["annotations"] = "\n".join(runner.annotation_lines(plan.all_findings, Path(), None))
    said["pages"] = repr(pages.plan_pages(document))
    said["repr of the plan"] = repr(plan) + str(plan) + f"{plan}"
    said["the plan as a dictionary"] = json.dumps(asdict(plan), default=repr)
    said["what the plan keeps"] = kept(plan)
    return said


def outputs_of_report(report: Report) -> dict[str, str]:
    """A report in every form that it ever takes."""
    document = report_document(report, tool_version="0", created=WHEN)
    said = {f"report as {form}": "".join(render_report(form, document, color=True)) for form in FORMATS}
    said["saved report"] = dumps(document)
    said["outputs"] = repr(runner.report_outputs(document))
    said["report pages"] = repr(pages.report_pages(document, None))
    said["repr of the report"] = repr(report) + str(report)
    said["the report as a dictionary"] = json.dumps(asdict(report), default=repr)
    said["what the report keeps"] = kept(report)
    return said


def outputs_of_planning(aws: SimulatedAws, spec: Replication, run: Run) -> dict[str, str]:
    """Return all output about the middle of planning, as `explain` sees it."""
    places = aws.places(spec, run=run)
    part, views = reconcile.plan_replication(spec, Session(places, run, aws.clock, lambda _: None))
    judged = [case for view in views.values() for case in cases(view)]
    said = {
        "repr of the judged": repr(part) + repr(views) + repr(judged[:1]),
        # Every case has the whole context in it, which was printed.
        "repr of the cases": "\n".join(
            repr(getattr(case, field.name))
            for case in judged
            for field in fields(case)
            if field.name != "context"
        ),
        "what the judged keep": kept([part, views, judged]),
        "repr of the places": repr(places),
    }
    names = sorted({case.address for case in judged})
    explained = [one for name in names for one in explain(name, spec, part, views)]
    return {**said, "explanations": explanation_text(explained), "repr of the explanations": repr(explained)}


def everything(aws: SimulatedAws, spec: Replication, run: Run, ear: Ear) -> dict[str, str]:
    """Plan, explain and apply; return all output, and the error that stops the run."""
    said: dict[str, str] = {}
    progress: list[str] = []
    try:
        places = aws.places(spec, run=run)
        watch = lambda one: progress.append(repr(one))  # noqa: E731 - what a command line would show
        plan = reconcile.make_plan([spec], Session(places, run, aws.clock, watch))
        said |= outputs_of_plan(plan, run)
        said |= outputs_of_planning(aws, spec, run)
        report = reconcile.carry_out(plan, [spec], Session(places, run, aws.clock, watch), StopFlag())
        said |= outputs_of_report(report)
        said["what the places keep"] = kept(places)
    except ReconcileError as error:
        said["the error"] = text_of(error)
    except Exception as error:  # noqa: BLE001 - an internal error is output too
        said["the unexpected error"] = text_of(error)
    said["progress"] = "\n".join(progress)
    said["log"] = "\n".join(ear.heard)
    return said
