"""`ssm-reconcile event`: an event, or names -> those parameters reconciled, and a report on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import CommonOptions, Intent
from ssm_reconcile.errors import Finding, Severity, UsageError

if TYPE_CHECKING:
    from ssm_reconcile.cli.command_run import Runner
    from ssm_reconcile.event.events import Message, Rejected
    from ssm_reconcile.event.reconciler import Planned
    from ssm_reconcile.plan import Plan

HELP = """\
Reconcile the parameters that an event names, and no others.

EVENT is a file, or `-` for standard input: an EventBridge event of Parameter Store or about tags, a
list of events, a batch of SQS records, the payload of a GitHub `repository_dispatch` (the file at
GITHUB_EVENT_PATH), a JSON list of names or ARNs, or names one a line. A scheduled event reconciles
everything. An entry that cannot be read is reported and stops no other.

Only these names are read, at the source and where they belong in the targets; all rules and guards are
those of `apply`. A delete lists both places first, since guards count all that would go. What comes from
another place than the source, or is out of scope, is told and changes nothing. Nobody is asked.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile event "$GITHUB_EVENT_PATH"
  echo /prod/db/url | ssm-reconcile event - --spec prod.yaml

\b
Exit codes, the first that fits:
  130  interrupted: what was in flight was finished
   64  wrong usage, or nothing in EVENT that could be understood
    1  error: nothing could be planned
    5  a guard withheld something (the rest was applied)
    3  not all that the spec asks for holds: failed, stale, conflict, invalid, not to be seen yet
    0  done
"""
LOOKS = 4
PAUSE = 2.0
"""Seconds between looks at names whose reads do not agree with what was told of them."""


@click.command("event", help=HELP, epilog=EPILOG)
@click.argument("event", metavar="EVENT", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--spec", "specs", metavar="FILE", multiple=True, type=click.Path(),
    help="The spec, replication.yaml if none is given (repeat for more).",
)  # fmt: skip
@options.plan_options
@options.format_option
@options.out_option("the report")
@options.aws_options
def command(
    event: str,
    specs: tuple[str, ...],
    output_format: str,
    out: Path | None,
    common: CommonOptions,
    intent: Intent,
) -> int:
    """Finds out what the event is about, and does it; returns the exit code."""
    from ssm_reconcile.cli.apply import Applying, Order
    from ssm_reconcile.cli.terminal import read_text
    from ssm_reconcile.event import event_reader, events

    if "-" in specs and event == "-":
        raise click.UsageError("standard input can be the event or the spec, not both.")
    messages = event_reader.read_text(read_text(event, event_reader.LONGEST_TEXT + 1))
    rejected = [message.news for message in messages if isinstance(message.news, events.Rejected)]
    unclear = [one for one in rejected if not one.reason.understood]
    if len(unclear) == len(messages):
        raise UsageError(
            f"{event}: not an event that ssm-reconcile understands: {unclear[0] if unclear else 'empty'}",
            "give an event of Parameter Store, a batch of records, or names",
        )
    if out is not None:
        terminal.check_writable(out)
    order = Order(specs, intent.name, intent.run(common.parallelism), intent)
    if any(isinstance(message.news, events.Full) for message in messages):
        return Applying(order, common, output_format, out, ask=False, planner=command_run.Runner.plan).run()
    return Applying(order, common, output_format, out, ask=False, planner=Naming(messages).plan).run()


@dataclass(slots=True)
class Naming:
    """The names of an event, planned."""

    messages: Sequence[Message]

    def plan(self, work: Runner) -> Plan:
        """The plan for these names, and what is to be said of the others."""
        from ssm_reconcile.cli.progress import show_progress
        from ssm_reconcile.event.reconciler import EventReconciler
        from ssm_reconcile.event.requests import sort_out
        from ssm_reconcile.places import open_places

        with show_progress(work.common) as watch:
            connect = command_run.connect_factory(work.common, work.clock)
            work.places = open_places(work.specs, connect, work.run)
            standby = EventReconciler(
                work.specs, work.places, work.run, work.clock, work.stop.interrupting(watch)
            )
            batch = sort_out(self.messages, work.specs, standby.sources())
            planned = standby.plan(batch.wishes)
            for _ in range(LOOKS - 1):
                if not (planned.unsure or planned.unseen):
                    break
                work.clock.sleep(PAUSE)
                planned = standby.plan(batch.wishes)
        work.run = planned.run
        findings = [*_rejections(why for _, why in batch.rejected), *_doubts(planned)]
        parts = planned.plan.replications
        if planned.unsure:  # not all that was asked for could be judged, and the exit code has to say so
            parts = tuple(replace(part, source_complete=False) for part in parts)
        return replace(planned.plan, replications=parts, findings=(*planned.plan.findings, *findings))


def _rejections(rejected: Iterable[Rejected]) -> list[Finding]:
    return [
        Finding(Severity.NOTICE, "not-for-us", f"nothing is done: {one}")
        if one.reason.understood
        else Finding(Severity.WARNING, "event-not-understood", f"not reconciled: {one}")
        for one in dict.fromkeys(rejected)
    ]


def _doubts(planned: Planned) -> list[Finding]:
    doubtful = [
        Finding(Severity.ERROR, "not-judged", f"{name}: {why}", name) for name, why in planned.unsure.items()
    ]
    busy = {change.source_name for change in planned.plan.changes}
    return doubtful + [
        Finding(Severity.WARNING, "not-seen-yet", f"{name}: {why}", name)
        for name, why in planned.unseen.items()
        if name not in planned.unsure and name not in busy
    ]
