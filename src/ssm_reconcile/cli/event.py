"""`ssm-reconcile event`: an event, or names -> those parameters reconciled, and a report on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import Finding, Severity, UsageError
from ssm_reconcile.spec import Run

if TYPE_CHECKING:
    from ssm_reconcile.by_name import NamePlan
    from ssm_reconcile.cli.command_run import Runner
    from ssm_reconcile.event.events import Message, Rejected
    from ssm_reconcile.plan import Plan

EPILOG = """\
\b
Examples:
  ssm-reconcile event "$GITHUB_EVENT_PATH"
  echo /prod/db/url | ssm-reconcile event - --spec prod.yaml
"""
EXIT_CODES = {
    0: "done",
    1: "error: nothing could be planned",
    3: "something does not match the spec (failed, stale, conflict, detached, invalid, incomplete), or a hold"
    " has expired",
    5: "a guard withheld a change (the rest was applied)",
    64: "wrong usage, or EVENT has no event or parameter name",
    130: "interrupted: changes in flight were finished",
}
TRIES = 4
PAUSE = 2.0
"""Seconds between the plans of names whose reads are older than their event."""


@click.command("event", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.argument("event", metavar="EVENT", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--spec", "specs", metavar="FILE", multiple=True, type=click.Path(),
    help="The spec, replication.yaml if none is given (repeat for more).",
)  # fmt: skip
@options.event_options
@options.format_option()
@options.out_option("the report")
@options.aws_options
def command(
    event: str,
    specs: tuple[str, ...],
    output_format: str,
    out: Path | None,
    common: CommonOptions,
    run: Run,
    name: str | None,
) -> int:
    """Reconcile the parameters that an event names, and no others.

    EVENT is a file, or `-` for standard input: an EventBridge event of Parameter Store or about tags, a
    list of events, a batch of SQS records, the payload of a GitHub `repository_dispatch` (the file at
    GITHUB_EVENT_PATH), a JSON list of names or ARNs, or names one a line. A scheduled event reconciles
    everything. An entry that cannot be read is reported and stops no other.

    Only these names are read, at the source and at their addresses in the targets. The rules and guards are
    those of `apply`. A delete first lists both places, since guards count all deletes. A name from another
    place than the source, or out of scope, is reported and changes nothing. No confirmation is asked for.
    """
    from ssm_reconcile.cli.apply import ApplyRun
    from ssm_reconcile.cli.text_files import read_text
    from ssm_reconcile.event import events

    if "-" in specs and event == "-":
        raise click.UsageError("standard input can be the event or the spec, not both.")
    # Up to four bytes each for the longest text, the byte order mark, and one character that is too many.
    messages = events.read_text(read_text(event, 4 * (events.LONGEST_TEXT + 2)))
    contents = [message.content for message in messages]
    unclear = [one for one in contents if isinstance(one, events.Rejected) and not one.reason.is_understood]
    if len(unclear) == len(messages):
        raise UsageError(
            f"{'standard input' if event == '-' else event} has no event or parameter name:"
            f" {unclear[0] if unclear else 'it is empty'}",
            "give an event of Parameter Store, a batch of records, or names",
        )
    is_full_run = any(isinstance(one, events.FullRun) for one in contents)
    planner = command_run.Runner.plan if is_full_run else partial(plan_messages, messages)
    return ApplyRun(specs, name, run, common, "event", output_format, out, planner=planner).execute()


def plan_messages(messages: Sequence[Message], runner: Runner) -> Plan:
    """Return the plan for the names of an event, with a finding for each name that is not in it."""
    from ssm_reconcile.by_name import NamePlanner
    from ssm_reconcile.event.requests import merge_requests, source_places, stale_names

    with runner.reading() as progress:
        places = runner.open_places()
        planner = NamePlanner(runner.specs, places, runner.run, runner.clock, progress)
        batch = merge_requests(messages, runner.specs, source_places(runner.specs, places))
        names = {name: request.specs for name, request in batch.requests.items()}

        attempt = 1
        while True:
            planned = planner.plan(names)
            stale = stale_names(planned, batch.requests, runner.clock.now())
            if attempt == TRIES or not (planned.unsure or stale):
                break
            attempt += 1
            runner.clock.sleep(PAUSE)
    rejected = dict.fromkeys(why for _, why in batch.rejected)
    findings = [*map(_rejection, rejected), *_unplanned(planned, stale)]
    parts = planned.plan.replications
    if planned.unsure:  # some names have no plan, and the exit code has to say so
        parts = tuple(replace(part, source_complete=False) for part in parts)
    return replace(planned.plan, replications=parts, findings=(*planned.plan.findings, *findings))


def _rejection(rejected: Rejected) -> Finding:
    if rejected.reason.is_understood:
        return Finding(Severity.NOTICE, "not-for-us", f"nothing is done: {rejected}")
    return Finding(Severity.WARNING, "event-not-understood", f"not reconciled: {rejected}")


def _unplanned(planned: NamePlan, stale: Mapping[str, str]) -> list[Finding]:
    found = [
        Finding(Severity.ERROR, "not-judged", f"{name}: {why}", name) for name, why in planned.unsure.items()
    ]
    changed = {change.source_name for change in planned.plan.changes}
    return found + [
        Finding(Severity.WARNING, "not-seen-yet", f"{name}: {why}", name)
        for name, why in stale.items()
        if name not in planned.unsure and name not in changed
    ]
