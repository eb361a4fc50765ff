"""The options that several commands share, each with its help, and the values that they become.

basic_options     -q --debug --color, for every command               -> `common: CommonOptions`
aws_options       basic_options, -v --profile --endpoint-url ...      -> `common: CommonOptions`
plan_options      what to plan, and which guards to lift              -> `run: spec.Run`, `name`
"""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import click

from ssm_reconcile.cli import verbosity
from ssm_reconcile.cli.text_files import check_writable
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.lift import Lift
from ssm_reconcile.spec import AdoptMode, Run

Command: TypeAlias = Callable[..., Any]
Decorator: TypeAlias = Callable[[Command], Command]
DEFAULT_SPEC = "replication.yaml"
FORMATS = ("text", "json", "markdown", "html")
_MODE = ("verify_values", "no_decrypt", "adopt")
"""Fields of a Run that say which values are read and what is adopted: no selection, and no lifted guard."""


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """Access to AWS, verbosity and colour; the same for every plan."""

    verbose: int = 0
    quiet: bool = False
    debug: bool = False
    color: str = "auto"
    profile: str | None = None
    endpoint_url: str | None = None
    parallelism: int = 8
    no_progress: bool = False

    @property
    def access(self) -> tuple[str, ...]:
        """The command line arguments that say how AWS is reached."""
        given = (("--profile", self.profile), ("--endpoint-url", self.endpoint_url))
        return tuple(word for flag, value in given if value is not None for word in (flag, value))


class LeaveOut(frozenset[tuple[str, str, str]]):
    """The addresses of `--leave-out`, with the path of their file."""

    file: str


def command_line(
    specs: Sequence[str], name: str | None, run: Run, common: CommonOptions | None = None
) -> CommandLine:
    """Return the arguments that another command needs to work on the same plan.

    Args:
        specs: The spec files as they were given; empty for the default file.
        name: The value of `--name`.
        run: The plan options.
        common: Access to AWS; None: leave it out.
    """
    mode = tuple(" ".join(_flag(field, run) for field in _MODE).split())
    left_out = ("--leave-out", run.leave_out.file) if isinstance(run.leave_out, LeaveOut) else ()
    return CommandLine(
        specs=tuple(specs),
        name=name,
        targets=run.targets,
        only=run.only,
        mode=(*mode, *left_out),
        lifts=tuple(" ".join(lift_flags(run)).split()),
        access=() if common is None else common.access,
    )


def lift_flags(run: Run) -> list[str]:
    """Return the flags that lift a guard, such as `--max-deletes 5`."""
    from ssm_reconcile.approve import GUARD_FLAGS

    flags = [flag for field in (*GUARD_FLAGS, "without_hold") if (flag := _flag(field, run))]
    return [*flags, *(f"--lift {lift}" for lift in run.lift)]


def _flag(field: str, run: Run) -> str:
    value, flag = getattr(run, field), "--" + field.replace("_", "-")
    if value is None or value is False:  # 0 is a number that was given
        return ""
    return flag if value is True else f"{flag} {value}"


def _run_of(given: dict[str, Any]) -> Run:
    """Take the plan options out of the arguments of a command; raise UsageError for a contradiction."""
    # `--parallelism` stays with the common options; `start_runner` puts it into the Run.
    names = [field.name for field in fields(Run) if field.name in given and field.name != "parallelism"]
    mine = {name: given.pop(name) for name in names}
    run = Run(
        **{
            **mine,
            "targets": tuple(dict.fromkeys(mine["targets"])),
            "only": tuple(dict.fromkeys(mine["only"])),
            "adopt": None if mine.get("adopt") is None else AdoptMode(mine["adopt"]),
        }
    )
    if run.verify_values and run.no_decrypt:
        raise click.UsageError("--verify-values reads every value and --no-decrypt none: give one of them.")
    check_patterns("--only", run.only)
    return run


def check_patterns(flag: str, patterns: Iterable[str]) -> None:
    """Check that each pattern of a flag can match a parameter name.

    Raises:
        click.UsageError: A pattern matches no possible name.
    """
    from ssm_reconcile.load.patterns import impossible

    for pattern in patterns:
        fault = impossible(pattern)
        if fault is not None:
            raise click.UsageError(f"{flag} {shlex.quote(pattern)} {fault}.")


def check_exposure(run: Run) -> None:
    """Check that `--allow-exposure` is used with named parameters only.

    Raises:
        click.UsageError: The run has `--allow-exposure` and names no parameters.
    """
    if run.allow_exposure and not run.only:
        raise click.UsageError(
            "--allow-exposure is for named parameters only: name them with --only GLOB in the same command."
        )


target_option = click.option(
    "--target", "targets", metavar="NAME", multiple=True, help="Only this target (repeat for more)."
)
name_option = click.option("--name", metavar="NAME", help="Only the replication with this name.")
only_option = click.option(
    "--only", metavar="GLOB", multiple=True,
    help="Only parameters whose names match, such as '/prod/db/**' (repeat for more). Exit 64 when no"
    " parameter matches.",
)  # fmt: skip
event_only_option = click.option(
    "--only", metavar="GLOB", multiple=True,
    help="Of the parameters that EVENT names, only those whose names match, such as '/prod/db/**' (repeat"
    " for more). Exit 64 when EVENT is a scheduled event and no parameter matches.",
)  # fmt: skip
"""For `event`: names that match no pattern are not an error, because an event may name other parameters."""
max_deletes_option = click.option(
    "--max-deletes", metavar="N", type=click.IntRange(min=0),
    help="For this run: maximum deletes and replacements per target. Raises the default of"
    " --max-deletes-total, and not `guards.max_deletes_total` of the spec.",
)  # fmt: skip
max_deletes_total_option = click.option(
    "--max-deletes-total", metavar="N", type=click.IntRange(min=0),
    help="For this run: maximum deletes and replacements in all targets of a replication together.",
)  # fmt: skip
max_change_percent_option = click.option(
    "--max-change-percent", metavar="P", type=click.IntRange(0, 100),
    help="For this run: maximum percentage of the replicas of a target that may change.",
)  # fmt: skip
no_decrypt_option = click.option(
    "--no-decrypt", is_flag=True, help="Read no SecureString; needs no kms:Decrypt."
)
spec_argument = click.argument("specs", nargs=-1, metavar="[SPEC]...", type=click.Path())
"""Files or directories, `-` for standard input."""
spec_option = click.option(
    "--spec", "specs", metavar="FILE", multiple=True, type=click.Path(),
    help=f"The spec: a file or directory (repeat for more). Default: {DEFAULT_SPEC}.",
)  # fmt: skip
"""For commands whose argument is not a spec."""
exposure_option = click.option(
    "--allow-exposure", is_flag=True,
    help="Turn SecureStrings of a target into plain text where the source is plain text. Only with --only.",
)  # fmt: skip
"""Not for events, which never lift that guard."""


def _read_leave_out(
    _: click.Context, __: click.Parameter, path: Path | None
) -> frozenset[tuple[str, str, str]]:
    """Return the addresses in a file of `--leave-out`; raise UsageError for a file of another form."""
    if path is None:
        return frozenset()
    found = LeaveOut(_left_out_addresses(path))
    found.file = str(path)
    return found


def _left_out_addresses(path: Path) -> frozenset[tuple[str, str, str]]:
    fault = f"--leave-out {path} is not a JSON list of objects with replication, target and name"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = frozenset((entry["replication"], entry["target"], entry["name"]) for entry in entries)
    except OSError as error:
        raise click.UsageError(f"--leave-out {path} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise click.UsageError(f"{fault}.") from error
    if not all(isinstance(word, str) for address in found for word in address):
        raise click.UsageError(f"{fault}.")
    return found


expect_plan_option = click.option(
    "--expect-plan", metavar="ID", help="Apply only this plan: at least 12 digits of its id."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
leave_out_option = click.option(
    "--leave-out", metavar="FILE", type=click.Path(path_type=Path), callback=_read_leave_out,
    help="Withhold the changes of the addresses in this JSON file: their plan was refused, or waits for an"
    " approval. Not for a saved plan.",
)  # fmt: skip
"""Not for events: the event stack does not know what was refused on GitHub."""


def _read_instant(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Return a time in UTC; raise BadParameter for a text that is not a time with a zone."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(f"{text!r} is not a time with a zone, such as 2026-11-29T18:46:15Z.")


as_of_option = click.option(
    "--as-of", metavar="TIME", callback=_read_instant,
    help="With --expect-plan: judge what has expired at this time, the `as_of` of the plan as JSON.",
)  # fmt: skip


def _read_lifts(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[Lift, ...]:
    """Return the lifts of `--lift`; raise UsageError for a text of another form, or an unknown guard."""
    from ssm_reconcile.lift import LIFTABLE, read_lift

    found = dict.fromkeys(map(read_lift, texts))
    for text in texts:
        if read_lift(text) is None:
            raise click.UsageError(
                f"--lift {shlex.quote(text)} is not GUARD@TARGET=DIGEST, such as"
                f" max-deletes@us-east-2=3f9a0c2b7d11: GUARD is one of {', '.join(LIFTABLE)}, and DIGEST the"
                " 12 hex digits in the comment or in the JSON of the plan."
            )
    return tuple(lift for lift in found if lift is not None)


lift_option = click.option(
    "--lift", metavar="GUARD@TARGET=DIGEST", multiple=True, callback=_read_lifts,
    help="Let exactly the changes through that this guard withholds in this target, as `lifts` in the spec"
    " does (repeat for more). The digest is in the comment and in the JSON of the plan. Not with --yes.",
)  # fmt: skip
"""Not for events, which never lift a guard by the spec."""

_BASIC = (verbosity.quiet_option, verbosity.debug_option, verbosity.color_option)
_AWS = (
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration to use."),
    click.option(
        "--endpoint-url", metavar="URL",
        help="Send all calls to this URL instead of AWS. AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE>"
        " are respected.",
    ),
    click.option(
        "--parallelism", metavar="N", type=click.IntRange(1, 64), default=8, show_default=True,
        help="Maximum reads of one kind in each place, and writes in each target, at a time.",
    ),
    click.option(
        "--no-progress", is_flag=True,
        help="Write a line every ten seconds instead of a bar. `Opening ...` stays above the result.",
    ),
    verbosity.verbose_option,
)  # fmt: skip
_PLAN = (
    click.option(
        "--verify-values", is_flag=True,
        help="Read and compare every value, also where versions prove that the values are equal.",
    ),
    no_decrypt_option,
    click.option(
        "--adopt", type=click.Choice([mode.value for mode in AdoptMode]),
        help="For this run: how to treat a parameter of a target that exists and is not a replica.",
    ),
    click.option(
        "--overwrite-outside", is_flag=True, help="Overwrite replicas changed outside ssm-reconcile."
    ),
    click.option(
        "--allow-replace", is_flag=True, help="Delete and recreate what AWS cannot change in place."
    ),
    click.option(
        "--allow-empty-source", is_flag=True, help="Continue when the rules select no source parameter."
    ),
    click.option(
        "--allow-reversed", is_flag=True, help="Write to a place that the source was replicated from before."
    ),
    max_deletes_option,
    max_deletes_total_option,
    max_change_percent_option,
)  # fmt: skip


def _packed(argument: str, take: Callable[[dict[str, Any]], Any], *options: Decorator) -> Decorator:
    """Return a decorator that adds options; the command gets what `take` makes of them as one argument."""

    def add(command: Command) -> Command:
        @functools.wraps(command)
        def call_with_packed(**given: Any) -> Any:
            return command(**{argument: take(given), **given})

        packed: Command = call_with_packed
        for option in reversed(options):
            packed = option(packed)
        return packed

    return add


def _common_of(given: dict[str, Any]) -> CommonOptions:
    names = [field.name for field in fields(CommonOptions) if field.name in given]
    mine = {name: given.pop(name) for name in names}
    return CommonOptions(**verbosity.add_top_level(mine))


basic_options = _packed("common", _common_of, *_BASIC)
"""The options of commands without AWS; the command gets them as `common`."""
aws_options = _packed("common", _common_of, *_AWS, *_BASIC)
"""The options of commands that call AWS; the command gets them as `common`."""
plan_options = _packed("run", _run_of, name_option, target_option, only_option, *_PLAN)
"""The options that say what to plan; the command gets them as `run` and `name`."""
event_options = _packed("run", _run_of, name_option, target_option, event_only_option, *_PLAN)
"""`plan_options` for an event."""


undo_options = _packed(
    "run",
    _run_of,
    name_option,
    target_option,
    only_option,
    exposure_option,
    max_deletes_option,
    max_deletes_total_option,
    max_change_percent_option,
    click.option(
        "--without-hold", is_flag=True,
        help="Take back also what no hold of the spec matches: the next apply makes these changes again.",
    ),
)  # fmt: skip
"""The options of an undo; the command gets them as `run` and `name`."""


def format_option(*choices: str) -> Decorator:
    """Return the option `--format` with these choices; the command gets `output_format`."""
    return click.option(
        "--format", "output_format", type=click.Choice(choices or FORMATS), default="text",
        show_default=True, help="Format of the result on stdout.",
    )  # fmt: skip


def _extent_of(given: dict[str, Any]) -> str:
    """Take the options of the extent; raise UsageError for both, or for another format than text."""
    flags = [f"--{extent}" for extent in ("summary", "full") if given.pop(extent)]
    if len(flags) > 1:
        raise click.UsageError("--summary and --full contradict each other: give one of them.")
    if flags and given["output_format"] != "text":
        wanted = given["output_format"]
        raise click.UsageError(f"{flags[0]} is for --format text: {wanted} lists each change. Leave it out.")
    return flags[0].removeprefix("--") if flags else "grouped"


extent_options = _packed(
    "extent",
    _extent_of,
    click.option("--summary", is_flag=True, help="Show the counts and the reasons of withheld changes only."),
    click.option("--full", is_flag=True, help="List each change with its attributes, also of a large plan."),
)
"""The part of a plan that a text shows; below `format_option`. The command gets it as `extent`."""


def out_option(what: str) -> Decorator:
    """Return the option `--out FILE`; the command gets a path or None, checked to be writable."""
    return _output_file("--out", f"Also save {what} (JSON) in this file.")


def _output_file(flag: str, text: str) -> Decorator:
    def check(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            check_writable(path, flag)
        return path

    return click.option(flag, metavar="FILE", type=click.Path(path_type=Path), callback=check, help=text)


metrics_option = _output_file(
    "--metrics", "Also write the state of each target to this file, in the text format of Prometheus."
)
