"""Help: groups of options, exit codes, widths, the command `help`, and options before a command."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import click
import pytest

from ssm_reconcile.cli import COMMANDS, EXIT_CODES, HIDDEN, PROGRAM, root
from ssm_reconcile.cli.help_layout import GROUPS, PRECEDENCE, DocumentedCommand
from ssm_reconcile.errors import ReconcileError
from tests.unit.cli.conftest import Cli


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command with its words."""
    context = click.Context(group)
    names = [*COMMANDS, *HIDDEN] if group is root else group.list_commands(context)
    for name in names:
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = [((), root), *commands(root, ())]
each_command = pytest.mark.parametrize(
    ("words", "command"), ALL, ids=[" ".join(words) or PROGRAM for words, _ in ALL]
)
CODES = {
    "": "0 1 2 3 4 5 64 130", "init": "0 1 64", "validate": "0 1 64", "doctor": "0 1 3 64 130",
    "iam": "0 1 64", "schema": "0 64", "plan": "0 1 2 3 4 64 130", "apply": "0 1 3 4 5 64 130",
    "event": "0 1 3 5 64 130", "show": "0 1 64", "status": "0 1 3 64 130", "explain": "0 1 3 64 130",
    "undo": "0 1 3 4 5 64 130", "detach": "0 1 3 5 64 130", "publish": "0 1 4 64", "demo": "0 1 130",
    "help": "0 64", "completion": "0 64", "github": "0 1 4 64", "github suffix": "0 64",
}  # fmt: skip
"""Exit codes that scripts rely on; those of a group count for its commands too."""
OF_AWS = {
    "--profile", "--endpoint-url", "--parallelism", "--verbose", "--quiet", "--debug", "--color",
    "--no-progress",
}  # fmt: skip
"""Options of all commands that call AWS."""
FLAGS = [flag for flags in GROUPS.values() for flag in flags]


def help_of(command: click.Command, width: int) -> list[str]:
    context = command.context_class(
        command, info_name=PROGRAM, terminal_width=width, help_option_names=["-h", "--help"]
    )
    return context.get_help().splitlines()


def headings(lines: list[str]) -> list[str]:
    return [line.rstrip(":") for line in lines if re.fullmatch(r"\w.*:", line)]


@each_command
def test_every_option_belongs_to_a_group(words: tuple[str, ...], command: click.Command) -> None:
    flags = {param.opts[-1] for param in command.params if isinstance(param, click.Option)}
    assert flags - set(FLAGS) == set(), f"flags of `{' '.join(words)}` that are in no group of help_layout"


def test_every_flag_of_a_group_is_an_option_and_in_one_group_only() -> None:
    options = {
        param.opts[-1] for _, command in ALL for param in command.params if isinstance(param, click.Option)
    }
    assert set(FLAGS) == options | {"--help"}
    assert len(FLAGS) == len(set(FLAGS))


@each_command
def test_groups_have_one_order_and_are_not_empty(words: tuple[str, ...], command: click.Command) -> None:
    lines = help_of(command, 100)
    shown = [heading for heading in headings(lines) if heading in GROUPS]
    assert shown == [group for group in GROUPS if group in shown]
    for heading in shown:
        assert lines[lines.index(f"{heading}:") + 1].strip().startswith("-"), words


@each_command
def test_a_help_shows_each_option_once(words: tuple[str, ...], command: click.Command) -> None:
    lines = help_of(command, 100)
    for param in command.params:
        if isinstance(param, click.Option):
            flag = re.compile(rf"  (-\w, )?{param.opts[-1]}\b(?!-)")
            assert len([line for line in lines if flag.match(line)]) == 1, words


def test_a_plan_has_these_groups(cli: Cli) -> None:
    lines = cli("plan", "--help").stdout.splitlines()
    groups = [heading for heading in headings(lines) if heading in GROUPS]
    assert groups == ["Scope", "Comparison", "Review", "Guards", "Output", "AWS", "Logging", "General"]


@each_command
def test_exit_codes_ascend(words: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, DocumentedCommand), f"`{' '.join(words)}` needs cls=DocumentedCommand"
    lines = help_of(command, 100)
    table = lines[lines.index("Exit codes:") + 1 :]
    codes = [int(found[1]) for line in table if (found := re.match(r" {2,4}(\d+)  \S", line))]
    assert codes == sorted(command.exit_codes)
    assert set(codes) <= set(PRECEDENCE)
    assert "Exit codes" not in (command.epilog or "")


@each_command
def test_the_exit_codes_of_a_command_are_a_contract(words: tuple[str, ...], command: click.Command) -> None:
    assert isinstance(command, DocumentedCommand)
    expected = CODES.get(" ".join(words)) or CODES[words[0]]
    assert " ".join(map(str, command.exit_codes)) == expected


@pytest.mark.parametrize("name", ["plan", "apply", "event", "status", "explain", "undo", "detach", "doctor"])
def test_a_command_that_calls_aws_has_the_options_of_all_of_them(name: str) -> None:
    command = dict(ALL)[name,]
    flags = {flag for each in command.params for flag in (*each.opts, *each.secondary_opts)}
    assert flags >= OF_AWS, OF_AWS - flags


@each_command
def test_only_commands_with_several_results_state_the_order_of_precedence(
    cli: Cli, words: tuple[str, ...], command: click.Command
) -> None:
    assert isinstance(command, DocumentedCommand)
    text = " ".join(cli(*words, "--help").stdout.split())
    order = "If several apply, the first one in this order is used: 130, 64, 1, "
    assert (order in text) == (words in [(), ("plan",), ("apply",), ("event",), ("undo",), ("detach",)])
    assert ("If several apply" in text) == (order in text)


@each_command
@pytest.mark.parametrize("width", [80, 40])
def test_a_help_fits_the_terminal(words: tuple[str, ...], command: click.Command, width: int) -> None:
    """Except, below 80 columns: examples and options, which stay on one line so that they can be copied."""
    lines = help_of(command, width)
    if command.epilog and width < 80:
        start = next(number for number, line in enumerate(lines) if line.startswith("Example"))
        end = next(number for number in range(start, len(lines)) if not lines[number])
        lines = lines[:start] + lines[end:]
    context = click.Context(command, help_option_names=["-h", "--help"])
    records = [param.get_help_record(context) for param in command.get_params(context)]
    options = {f"  {record[0]}" for record in records if record is not None} if width < 80 else set()
    too_long = [line for line in lines if len(line) > width and line.rstrip() not in options]
    assert too_long == [], words


def test_a_narrow_terminal_gets_narrow_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    context = root.make_context(PROGRAM, ["plan"])
    text = context.get_help()
    assert "\n  init        Write a first\n              replication.yaml; with\n" in text
    assert "\n  -v, --verbose\n      Report each phase of each place\n      on stderr.\n" in text


@pytest.mark.parametrize("columns", ["", "0", "nope", "200"])
def test_a_help_without_a_terminal_or_with_a_wide_one_has_78_columns(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setenv("COLUMNS", columns)
    assert root.make_context(PROGRAM, ["plan"]).make_formatter().width == 78


@each_command
def test_help_of_a_command_equals_its_option(
    cli: Cli, words: tuple[str, ...], command: click.Command
) -> None:
    asked, given = cli("help", *words), cli(*words, "--help")
    assert (asked.exit_code, given.exit_code) == (0, 0)
    assert asked.stdout == given.stdout
    assert command.help is not None


@pytest.mark.parametrize(
    ("words", "suggestion"), [(("plna",), "`plan`"), (("iam", "trst"), "'trust'")], ids=["plan", "trust"]
)
def test_help_of_an_unknown_command_suggests_one(cli: Cli, words: tuple[str, ...], suggestion: str) -> None:
    result = cli("help", *words)
    assert result.exit_code == 64
    assert result.stdout == ""
    assert f"Did you mean {suggestion}?" in result.stderr


def phases(stderr: str) -> list[str]:
    return sorted(re.sub(r"[\d.]+", "N", line) for line in stderr.splitlines())


@pytest.mark.usefixtures("aws")
def test_options_for_logging_may_precede_the_command(cli: Cli) -> None:
    plain, after, before = cli("plan"), cli("plan", "-v"), cli("-v", "plan")
    assert phases(after.stderr) == phases(before.stderr) != phases(plain.stderr)
    assert cli("-q", "plan").stderr == cli("plan", "-q").stderr == ""


@pytest.mark.usefixtures("aws")
def test_colour_may_precede_the_command_and_the_later_choice_wins(cli: Cli) -> None:
    assert "\x1b[" in cli("--color", "always", "plan").stdout
    assert "\x1b[" not in cli("--color", "always", "plan", "--color", "never").stdout
    assert "\x1b[" not in cli("--color", "always", "plan", "--color", "auto").stdout


@pytest.mark.parametrize("words", [("--debug", "plan"), ("plan", "--debug")], ids=" ".join)
@pytest.mark.usefixtures("aws")
def test_debug_may_precede_the_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ssm_reconcile.cli.command_run.load_specs", fail)
    assert "Traceback" in cli(*words).stderr
    assert "Traceback" not in cli("plan").stderr


@pytest.mark.usefixtures("aws")
def test_debug_may_follow_an_option_that_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ssm_reconcile.lift.read_lift", fail)
    assert "Traceback" in cli("plan", "--lift", "x", "--debug").stderr
    assert "Traceback" not in cli("plan", "--lift", "x").stderr


@pytest.mark.parametrize("command", ["validate", "schema", "completion"])
@pytest.mark.usefixtures("aws")
def test_an_option_that_a_command_does_not_have_has_no_effect_before_it(cli: Cli, command: str) -> None:
    words = (command, "bash") if command == "completion" else (command,)
    assert cli("-v", *words).exit_code == 0
    assert cli("-v", *words).stdout == cli(*words).stdout


def test_each_exit_code_of_an_error_is_in_the_help_of_all_commands() -> None:
    kinds: list[type[ReconcileError]] = [ReconcileError, *subclasses(ReconcileError)]
    assert {one.exit_code for one in kinds} <= EXIT_CODES.keys()
    assert {2, 3, 5} <= EXIT_CODES.keys()


def subclasses(kind: type[ReconcileError]) -> list[type[ReconcileError]]:
    return [found for one in kind.__subclasses__() for found in (one, *subclasses(one))]
