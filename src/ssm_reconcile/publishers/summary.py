"""Markdown -> the summary of a job.

A step's summary of more than 1 MiB is dropped whole, and the step fails: so nothing is written that
would take it over the budget, what is there already counted.
"""

from __future__ import annotations

from pathlib import Path

from ssm_reconcile.encoding import printable
from ssm_reconcile.renderers.markdown import SUMMARY_BUDGET


def room(file: Path) -> int:
    """Bytes that still fit."""
    return SUMMARY_BUDGET - (file.stat().st_size if file.exists() else 0)


def write(file: Path, text: str) -> bool:
    """Appends to the file that GITHUB_STEP_SUMMARY names; says whether it fitted."""
    content = printable(text).encode()
    if len(content) > room(file):
        return False
    with file.open("ab") as stream:
        stream.write(content)
    return True
