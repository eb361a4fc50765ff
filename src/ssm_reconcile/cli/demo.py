"""`ssm-reconcile demo`: the whole story on a simulated AWS, on this machine."""

from __future__ import annotations

from importlib.util import find_spec

import click

from ssm_reconcile.cli import options
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import ReconcileError

HELP = """\
Watch it happen on a simulated AWS on this machine: nothing leaves it, and no account is needed.

Parameters are made in one region, planned, applied to another, changed on both sides, and found again.
Needs the extra `demo` (moto, a simulator of AWS).
"""
EPILOG = """\
\b
Example:
  pip install '.[demo]'
  ssm-reconcile demo

\b
Exit codes:
    0  each step did what it says
    1  one did not, or the simulator is not installed
  130  interrupted
"""
_OF_THE_EXTRA = ("moto", "flask")


@click.command("demo", help=HELP, epilog=EPILOG)
@options.basic_options
def command(common: CommonOptions) -> int:
    """Runs it; returns the exit code."""
    missing = [package for package in _OF_THE_EXTRA if find_spec(package) is None]
    if missing:
        message = f"the demo needs a simulator of AWS, of which {' and '.join(missing)} is not installed"
        raise ReconcileError(message, "in a checkout of ssm-reconcile: pip install '.[demo]'")
    from ssm_reconcile import demo

    return demo.run(color=common.color)
