"""`ssm-reconcile demo`: plan, apply and find changes on a simulated AWS on this machine."""

from __future__ import annotations

from importlib.util import find_spec

import click

from ssm_reconcile.cli import options
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import ReconcileError

HELP = """\
Show plan and apply on a simulated AWS on this machine, without an AWS account.

Creates parameters in one region, copies them to another, changes them on both sides, and finds the changes.
Needs the extra `demo` (moto, a simulator of AWS).
"""
EPILOG = """\
\b
Example:
  pip install '.[demo]'
  ssm-reconcile demo

\b
Exit codes:
    0  each statement of the demo held
    1  a statement did not hold, or the simulator is not installed
  130  interrupted
"""
_EXTRA_PACKAGES = ("moto", "flask")


@click.command("demo", help=HELP, epilog=EPILOG)
@options.basic_options
def command(common: CommonOptions) -> int:
    """Run the demo and return the exit code."""
    missing = [package for package in _EXTRA_PACKAGES if find_spec(package) is None]
    if missing:
        message = f"the demo needs the packages of the extra `demo`; not installed: {', '.join(missing)}"
        raise ReconcileError(message, "in a checkout of ssm-reconcile: pip install '.[demo]'")
    from ssm_reconcile import demo

    return demo.run(color=common.color)
