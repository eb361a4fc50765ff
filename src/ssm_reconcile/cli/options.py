"""The options that several commands share, each with its help; packed into one value a command.

talk       -q --debug --color                                 every command
aws        talk, -v --profile --endpoint-url --parallelism --no-progress
planning   what to plan: narrowing, modes, what lifts a guard -> `Intent`
approval   on whose word to apply -> `Word`
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

import click

from ssm_reconcile.cli.terminal import COLOR_CHOICES, check_writable
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.spec import AdoptMode, Run

Command: TypeAlias = Callable[..., Any]
DEFAULT_SPEC = "replication.yaml"
FORMATS = ("text", "json", "markdown", "html")


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """How to run, not what to do: access, loudness, colour."""

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
        """The words that say how AWS is reached."""
        given = (("--profile", self.profile), ("--endpoint-url", self.endpoint_url))
        return tuple(word for flag, value in given if value is not None for word in (flag, value))


@dataclass(frozen=True, slots=True)
class Word:
    """On whose word to apply. `spec`: what a saved plan was made from."""

    spec: tuple[str, ...] = ()
    expect_plan: str | None = None
    yes: bool = False
    max_plan_age: float = 7


@dataclass(frozen=True, slots=True)
class Intent:
    """What to plan, as the command line says it. `name`: only that document of the spec."""

    name: str | None = None
    target: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    verify_values: bool = False
    no_decrypt: bool = False
    adopt: str | None = None
    overwrite_outside: bool = False
    allow_replace: bool = False
    allow_empty_source: bool = False
    allow_reversed: bool = False
    allow_exposure: bool = False
    max_deletes: int | None = None
    max_change_percent: int | None = None

    def run(self, parallelism: int) -> Run:
        """The same for the steps; raises UsageError where two flags exclude each other."""
        if self.verify_values and self.no_decrypt:
            raise click.UsageError(
                "--verify-values reads every value and --no-decrypt none: give one of them."
            )
        check_patterns("--only", self.only)
        return Run(
            verify_values=self.verify_values,
            no_decrypt=self.no_decrypt,
            targets=tuple(dict.fromkeys(self.target)),
            only=tuple(dict.fromkeys(self.only)),
            adopt=None if self.adopt is None else AdoptMode(self.adopt),
            overwrite_outside=self.overwrite_outside,
            allow_replace=self.allow_replace,
            allow_empty_source=self.allow_empty_source,
            allow_reversed=self.allow_reversed,
            allow_exposure=self.allow_exposure,
            max_deletes=self.max_deletes,
            max_change_percent=self.max_change_percent,
            parallelism=parallelism,
        )

    def command_line(self, specs: Sequence[str], common: CommonOptions | None = None) -> CommandLine:
        """Return what other commands have to repeat to be about the same."""
        words = {field.name: self._words(field.name) for field in fields(self)}
        others = [name for name in words if name not in {"name", "target", "only", *_MODE}]
        return CommandLine(
            specs=tuple(specs),
            name=self.name,
            targets=self.target,
            only=self.only,
            mode=tuple(word for name in _MODE for word in words[name]),
            lifts=tuple(word for name in others for word in words[name]),
            access=() if common is None else common.access,
        )

    def _words(self, name: str) -> list[str]:
        value, flag = getattr(self, name), "--" + name.replace("_", "-")
        if value is None or value is False:
            return []
        return [flag] if value is True else [flag, str(value)]  # 0 is a number that was given


_MODE = ("verify_values", "no_decrypt", "adopt")
"""Fields of an intent that say how much is read and adopted: neither narrowing nor the lift of a guard."""


def check_patterns(flag: str, patterns: Iterable[str]) -> None:
    """Raise UsageError for a pattern that no parameter name can match."""
    from ssm_reconcile.load.patterns import impossible

    for pattern in patterns:
        fault = impossible(pattern)
        if fault is not None:
            raise click.UsageError(f"{flag} {shlex.quote(pattern)} {fault}.")


def _remember_debug(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.meta["debug"] = value
    return value


_TALK = (
    click.option("-q", "--quiet", is_flag=True, help="No progress on stderr, only warnings and errors."),
    click.option(
        "--debug", is_flag=True, is_eager=True, callback=_remember_debug,
        help="On an error, show where in the program it arose. Never shows a value.",
    ),
    click.option(
        "--color", type=click.Choice(COLOR_CHOICES), default="auto", show_default=True,
        help="auto: on a terminal; NO_COLOR and FORCE_COLOR are honoured.",
    ),
)  # fmt: skip
_AWS = (
    click.option("--profile", metavar="NAME", help="Profile of the AWS configuration to use."),
    click.option(
        "--endpoint-url", metavar="URL",
        help="Where to send all calls instead of AWS; AWS_ENDPOINT_URL and its kin are honoured too.",
    ),
    click.option(
        "--parallelism", metavar="N", type=click.IntRange(1, 64), default=8, show_default=True,
        help="How many calls may be under way at a time.",
    ),
    click.option("--no-progress", is_flag=True, help="No progress bar; a line now and then instead."),
    click.option("-v", "--verbose", count=True, help="Say more on stderr: each phase of each place."),
)  # fmt: skip
_PLANNING = (
    click.option("--name", metavar="NAME", help="Only the replication of that name."),
    click.option("--target", metavar="NAME", multiple=True, help="Only that target (repeat for more)."),
    click.option(
        "--only", metavar="GLOB", multiple=True,
        help="Only parameters whose names match, such as '/prod/db/**' (repeat for more). Exit 64 when no"
        " parameter matches.",
    ),
    click.option(
        "--verify-values", is_flag=True, help="Read and compare every value, whatever the versions prove."
    ),
    click.option("--no-decrypt", is_flag=True, help="Read no SecureString: needs no kms:Decrypt."),
    click.option(
        "--adopt", type=click.Choice([mode.value for mode in AdoptMode]),
        help="For this run: what to do with parameters that are there already and not ours.",
    ),
    click.option(
        "--overwrite-outside", is_flag=True, help="Overwrite replicas that somebody else has changed."
    ),
    click.option(
        "--allow-replace", is_flag=True, help="Delete and create anew what AWS cannot change in place."
    ),
    click.option("--allow-empty-source", is_flag=True, help="Go on when the rules select nothing any more."),
    click.option(
        "--allow-reversed", is_flag=True, help="Write a place that the source was replicated from before."
    ),
    click.option(
        "--max-deletes", metavar="N", type=click.IntRange(min=0),
        help="For this run: how many deletes and replacements a target may see.",
    ),
    click.option(
        "--max-change-percent", metavar="P", type=click.IntRange(0, 100),
        help="For this run: what part of the replicas of a target may change.",
    ),
)  # fmt: skip

_APPROVAL = (
    click.option(
        "--spec", metavar="FILE", multiple=True, type=click.Path(),
        help="With a saved plan: the spec that it was made from (repeat for more).",
    ),
    click.option("--expect-plan", metavar="ID", help="Only this plan: at least 12 digits of its id."),
    click.option("--yes", is_flag=True, help="Do not ask."),
    click.option(
        "--max-plan-age", metavar="DAYS", type=click.FloatRange(min=0), default=7, show_default=True,
        help="Refuse a saved plan that is older.",
    ),
)  # fmt: skip


def basic_options(command: Command) -> Command:
    """Adds the options of commands without AWS; the command gets them as `common`."""
    return _packed(command, _TALK, CommonOptions, "common")


def aws_options(command: Command) -> Command:
    """Adds the options of commands that call AWS; the command gets them as `common`."""
    return _packed(command, (*_AWS, *_TALK), CommonOptions, "common")


def plan_options(command: Command) -> Command:
    """Adds the options that say what to plan; the command gets them as `intent`."""
    return _packed(command, _PLANNING, Intent, "intent")


def exposure_option(command: Command) -> Command:
    """Adds `--allow-exposure` to `intent`; not for events, which never lift that guard."""
    return click.option(
        "--allow-exposure", is_flag=True,
        help="Turn SecureStrings of a target into plain text where the source is plain. Only with --only.",
    )(command)  # fmt: skip


def check_exposure(run: Run) -> None:
    """Raise UsageError for `--allow-exposure` in a run that names no parameters."""
    if run.allow_exposure and not run.only:
        raise click.UsageError(
            "--allow-exposure is for named parameters only: name them with --only GLOB in the same command."
        )


def approval_options(command: Command) -> Command:
    """Adds the options that say on whose word to apply; the command gets them as `word`."""
    return _packed(command, _APPROVAL, Word, "word")


def format_option(command: Command) -> Command:
    """Adds `--format`."""
    return click.option(
        "--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True,
        help="What to write to stdout.",
    )(command)  # fmt: skip


def out_option(what: str) -> Callable[[Command], Command]:
    """Adds `--out FILE`; the command gets a path or None."""
    path = click.Path(dir_okay=False, path_type=Path)
    return click.option("--out", metavar="FILE", type=path, help=f"Also save {what} (JSON) there.")


def metrics_option(command: Command) -> Command:
    """Adds `--metrics FILE`; the command gets a path or None, checked to be writable."""

    def check(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
        if path is not None:
            check_writable(path, "--metrics")
        return path

    return click.option(
        "--metrics", metavar="FILE", type=click.Path(dir_okay=True, path_type=Path), callback=check,
        help="Also write how each target is doing there, for Prometheus.",
    )(command)  # fmt: skip


def spec_argument(command: Command) -> Command:
    """Adds `SPEC...`: files or directories, `-` for standard input; the command gets `specs`."""
    return click.argument("specs", nargs=-1, metavar="[SPEC]...", type=click.Path())(command)


def spec_option(command: Command) -> Command:
    """Adds `--spec FILE` for commands whose argument is something else; the command gets `specs`."""
    return click.option(
        "--spec", "specs", metavar="FILE", multiple=True, type=click.Path(),
        help=f"The spec: a file or directory (repeat for more); {DEFAULT_SPEC} if none is given.",
    )(command)  # fmt: skip


def name_option(command: Command) -> Command:
    """Adds `--name`; the command gets `name`."""
    return click.option("--name", metavar="NAME", help="Only the replication of that name.")(command)


def text_or_json_option(command: Command) -> Command:
    """Adds `--format` for what has no other form."""
    return click.option(
        "--format", "output_format", type=click.Choice(("text", "json")), default="text", show_default=True,
        help="What to write to stdout.",
    )(command)  # fmt: skip


def _packed(
    command: Command, options: tuple[Callable[[Command], Command], ...], kind: type[Any], word: str
) -> Command:
    known = {field.name for field in fields(kind)}

    @functools.wraps(command)
    def packing(*args: Any, **given: Any) -> Any:
        mine = {name: given.pop(name) for name in list(given) if name in known}
        return command(*args, **given, **{word: kind(**mine)})

    packed: Command = packing
    for option in reversed(options):
        packed = option(packed)
    return packed
