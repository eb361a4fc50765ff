"""`ssm-reconcile detach`: a target -> its replicas marked as detached, or with --undo as replicas again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import show_progress
from ssm_reconcile.errors import unknown_name
from ssm_reconcile.spec import Run
from ssm_reconcile.wording import plural

if TYPE_CHECKING:
    from ssm_reconcile.detach import DetachReport, DetachRequest

EPILOG = """\
\b
Examples:
  ssm-reconcile detach --target us-east-2
  ssm-reconcile detach --target us-east-2 --undo --yes
"""
EXIT_CODES = {
    0: "done",
    1: "error: nothing could be listed",
    3: "a replica could not be changed",
    5: "replicas of another spec with the same name were left alone",
    64: "wrong usage",
    130: "interrupted: changes in flight were finished",
}


@click.command("detach", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.option("--target", metavar="NAME", required=True, help="The target to detach.")
@options.spec_option
@options.name_option
@click.option("--undo", is_flag=True, help="Make detached parameters replicas again.")
@click.option(
    "--without-id", is_flag=True,
    help="Include replicas whose record has no id, although the spec has one.",
)  # fmt: skip
@options.yes_option
@options.format_option("text", "json")
@options.aws_options
def command(
    *,
    target: str,
    specs: tuple[str, ...],
    name: str | None,
    undo: bool,
    without_id: bool,
    yes: bool,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Detach the replicas of a target: no run writes, adopts or deletes them any more.

    For a failover to that target. The owner tag of each replica becomes a detached mark; values do not
    change. The source is not read, so it may be down. If the command is interrupted, run it again. --undo
    makes detached parameters replicas again.

    Replicas of another spec with the same name (another id) are left alone; the exit code is then 5. If the
    spec has an id, replicas without an id are left alone too, unless --without-id is given.
    """
    from ssm_reconcile import detach

    if not yes and not terminal.can_ask():
        raise click.UsageError("stdin is not a terminal, so the detach cannot be confirmed: give --yes.")
    run = Run(targets=(target,))
    every = command_run.load_specs(specs, name)
    loaded = tuple(spec for spec in every if any(one.name == target for one in spec.targets))
    if not loaded:
        raise unknown_name("target", target, (one.name for spec in every for one in spec.targets))
    with command_run.start_runner(loaded, run, common) as runner:
        places = runner.open_places()
        requests = [
            detach.resolve_request(spec, target, places, undo=undo, without_id=without_id) for spec in loaded
        ]
        found = [(request, request.find_replicas()) for request in requests]
        count = sum(len(names) for _, names in found)
        if count and not yes and not terminal.confirm(_question(requests, count, undo=undo)):
            terminal.log("Nothing was changed.")
            return 0
        with runner.stop.finish_gently(), show_progress(common) as progress:
            done = [
                detach.detach(request, names, runner.clock, progress, runner.stop, common.parallelism)
                for request, names in found
            ]
    terminal.write(_text(done) if output_format == "text" else _document(done))
    return max((one.exit_code for one in done), default=0)


def _question(requests: Sequence[DetachRequest], count: int, *, undo: bool) -> str:
    place, owners = requests[0].store.place, ", ".join(request.spec.name for request in requests)
    these = f"{'this' if count == 1 else 'these'} {plural(count, 'replica')}"
    verb = "Reattach" if undo else "Detach"
    return f"{verb} {these} of {owners} in {requests[0].target.name} ({place})? [y/N] "


def _text(every: Sequence[DetachReport]) -> str:
    from ssm_reconcile.renderers.escaping import visible
    from ssm_reconcile.report import Result

    lines: list[str] = []
    for one in every:
        verb, count = "reattached" if one.undo else "detached", one.summary["applied"]
        kept = plural(one.of_another_spec, "replica")
        others = f"; {kept} of another spec with the same name left alone" if one.of_another_spec else ""
        nothing = "" if one.outcomes else ": there was nothing to do"
        lines.append(f"{one.replication}: {count:,} {verb} in {one.target} ({one.place}){others}{nothing}")
        for result in Result:
            chosen = [h for h in one.outcomes if h.result is result and result is not Result.APPLIED]
            word = result.value.replace("_", " ")
            lines += [f"  {word}  {visible(h.name)}  {visible(h.reason)}" for h in chosen]
    return "\n".join(lines)


def _document(every: Sequence[DetachReport]) -> str:
    return json.dumps(
        {
            "format_version": "1.0",
            "replications": [
                {
                    "name": one.replication,
                    "target": one.target,
                    "place": one.place,
                    "undo": one.undo,
                    "summary": one.summary,
                    "outcomes": [
                        {"name": h.name, "outcome": h.result.value, "error": h.reason} for h in one.outcomes
                    ],
                }
                for one in every
            ],
        },
        indent=2,
    )
