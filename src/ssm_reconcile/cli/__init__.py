"""A command line -> one command and its exit code; results on stdout, all other text on stderr.

Commands are listed in a static table and imported only when they run. `--help` and `--version` import click
and the modules of the layout; the errors are imported when one is raised. To add a command: a file here that
defines `command`, and a line in `SECTIONS`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ssm_reconcile import __version__
from ssm_reconcile.cli import help_layout, terminal, verbosity

PROGRAM = "ssm-reconcile"
COMPLETION_VARIABLE = "_SSM_RECONCILE_COMPLETE"
SECTIONS = {
    "Set up": {
        "init": "Write a first replication.yaml; with --github, the files for GitHub.",
        "validate": "Check a spec; needs no AWS.",
        "doctor": "Check whether a plan and an apply will work.",
        "iam": "Print the IAM policies that a spec needs; needs no AWS.",
        "schema": "Print the JSON schema of the spec or of an output.",
    },
    "Run": {
        "plan": "Show the changes that an apply would make.",
        "apply": "Make the targets match the spec.",
        "event": "Reconcile the parameters that an event names.",
    },
    "Inspect": {
        "show": "Show a saved plan or report again; needs no AWS.",
        "status": "Show the state of every replica; reads no value.",
        "explain": "Explain the state of a parameter in each target.",
    },
    "Recover": {
        "undo": "Take back what an apply did.",
        "detach": "At a failover: stop the replication to a target.",
    },
    "CI": {
        "publish": "Show a plan or report on its GitHub pull request.",
    },
    "Other": {
        "demo": "Run all steps on a simulated AWS on this machine.",
        "help": "Show the help of a command.",
        "completion": "Print a completion script for a shell.",
    },
}
"""The commands by task, each with its line in `--help`."""
COMMANDS = {name: line for commands in SECTIONS.values() for name, line in commands.items()}
"""Each command with its line in `--help`; `cli/<name>.py` defines it as `command`."""
HIDDEN = {"github"}
"""Commands that the action calls; `--help` does not list them."""
PRINTING = {"completion", "explain", "iam", "schema", "show", "status"}
"""Commands whose whole result is what they print: exit code 0 without it would be wrong."""
_SMALL_COMMANDS = {"schema": "schema", "completion": "completion", "help": "show_help"}
"""Commands of `cli/texts.py`, with their names there."""

EPILOG = """\
\b
Example:
  ssm-reconcile validate
  ssm-reconcile plan --out plan.json
  ssm-reconcile apply plan.json
"""
INTERRUPTED = 130
"""The exit code of `errors.Interrupted`, which `--help` does not import."""
EXIT_CODES = {
    0: "done",
    1: "error: nothing could be planned",
    2: "plan --detailed-exitcode: there are changes",
    3: "something does not match the spec: failed, stale, conflict, invalid, incomplete",
    4: "not the plan that was approved",
    5: "a guard withheld a change (the rest was applied)",
    64: "wrong usage",
    INTERRUPTED: "interrupted",
}


class CommandGroup(help_layout.DocumentedGroup):
    """The group of all commands; imports a command only when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, by task."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None for an unknown name."""
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        small = _SMALL_COMMANDS.get(cmd_name)
        file, name = (cmd_name, "command") if small is None else ("texts", small)
        command: click.Command = getattr(importlib.import_module(f"ssm_reconcile.cli.{file}"), name)
        return command

    def sections(self, ctx: click.Context) -> dict[str, dict[str, str]]:
        """Return the commands by task, without importing them."""
        return SECTIONS

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a name as click does; for an unknown name, suggest the most similar one.

        Raises:
            click.UsageError: No command has that name.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from ssm_reconcile.wording import did_you_mean, nearest

            near = nearest(args[0], COMMANDS)
            if near is None:
                raise
            raise click.UsageError(f"{error.message} {did_you_mean(near).capitalize()}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an exception into a message and an exit code."""
        from ssm_reconcile.cli.signals import SignalStop

        try:
            with SignalStop():
                code = super().invoke(ctx)
                if not code and ctx.invoked_subcommand in PRINTING:
                    terminal.check_output()
                return code
        except (click.exceptions.Exit, click.UsageError):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every exception becomes a message here
            return _report_error(error, debug=bool(ctx.meta.get("debug")))

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Parse, run, and end the process with the exit code that `EPILOG` lists."""
        terminal.prepare_streams()
        code = self._run(args)
        terminal.restore_streams()
        sys.exit(code)

    def _run(self, args: Sequence[str] | None) -> int:
        code: object
        if COMPLETION_VARIABLE in os.environ:
            importlib.import_module("ssm_reconcile.cli.texts")  # adds PowerShell to the shells of click
        try:
            code = super().main(
                args, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, standalone_mode=False
            )
        except SystemExit as end:  # of the completion of click
            code = end.code
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - every exception becomes a message here
            return _report_error(error, debug=False)
        return code if isinstance(code, int) else 0


def _report_error(error: BaseException, *, debug: bool) -> int:
    from ssm_reconcile.cli import error_output

    return error_output.report_error(error, debug=debug)


@click.group(
    cls=CommandGroup, epilog=EPILOG, exit_codes=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
@verbosity.verbose_option
@verbosity.quiet_option
@verbosity.debug_option
@verbosity.color_option
@click.version_option(__version__, prog_name=PROGRAM)
def root(**_: Any) -> None:
    """Replicate AWS SSM parameters to other regions and accounts, according to a reviewed plan.

    A spec in git (replication.yaml) says which parameters of one source belong in which targets.
    `plan` compares the spec with the targets and shows the changes, without any SecureString value;
    `apply` makes exactly these changes. The options of Logging may also follow the command.
    """


def main() -> NoReturn:
    """Run the command line as a process; the entry point of the console script.

    An interrupted process ends without waiting for its threads, since a thread may wait for a server.
    """
    import gc

    # With the default of 700, the collector walks all listed parameters often: 7 % of the CPU of a plan.
    gc.set_threshold(20_000, 20, 20)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        root.main()
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            os._exit(INTERRUPTED)
        # The last collection would walk all objects before the system frees them: 2 % of the CPU of an apply.
        gc.freeze()
        raise
