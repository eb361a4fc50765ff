"""The options for logging and colour, which are valid before and after the name of a command.

`ssm-reconcile -v plan` equals `ssm-reconcile plan -v`. An option that the command does not have has no effect
before its name.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource


def _remember_debug(context: click.Context, _: click.Parameter, value: bool) -> bool:
    context.meta["debug"] = value or bool(context.meta.get("debug"))  # shared with the contexts of commands
    return value


verbose_option = click.option(
    "-v", "--verbose", count=True, help="Report each phase of each place on stderr."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Write only warnings and errors to stderr.")
debug_option = click.option(
    "--debug", is_flag=True, is_eager=True, callback=_remember_debug,
    help="On an error, print a traceback of files, lines and error types; it contains no value.",
)  # fmt: skip
color_option = click.option(
    "--color", type=click.Choice(("auto", "always", "never")), default="auto", show_default=True,
    help="auto: colour on a terminal. NO_COLOR and FORCE_COLOR are respected.",
)  # fmt: skip


def add_top_level(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the current command, completed by those before its name."""
    context = click.get_current_context()
    first = context.find_root().params
    chosen = context.get_parameter_source("color") is not ParameterSource.DEFAULT
    return given | {
        "verbose": first["verbose"] + given.get("verbose", 0),
        "quiet": first["quiet"] or given["quiet"],
        "debug": first["debug"] or given["debug"],
        "color": given["color"] if chosen else first["color"],
    }
