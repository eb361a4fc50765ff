"""The document of a plan or a report -> text, JSON, Markdown or HTML, as `--format` asks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

WIDTH = 120
"""Columns where there is no terminal to ask."""


def plan_as(form: str, document: Mapping[str, Any], *, color: bool, apply_command: str | None = None) -> str:
    """A plan's document in one of the formats.

    `apply_command` would apply it, but for its id; empty: name none. None: made of what the plan says.
    """
    from ssm_reconcile.renderers import view

    match form:
        case "json":
            from ssm_reconcile.renderers.json import dumps

            return dumps(document)
        case "markdown":
            from ssm_reconcile.renderers.markdown import plan_summary

            return plan_summary(view.plan_view(document))
        case "html":
            from ssm_reconcile.renderers.html import plan_html

            return plan_html(view.plan_view(document), apply_command=apply_command or "")
        case _:
            from ssm_reconcile.renderers.text import plan_text

            return plan_text(
                view.plan_view(document), width=_width(), color=color, apply_command=apply_command
            )


def report_as(form: str, document: Mapping[str, Any], *, color: bool) -> str:
    """A report's document in one of the formats."""
    from ssm_reconcile.renderers.outcomes import report_view

    match form:
        case "json":
            from ssm_reconcile.renderers.json import dumps

            return dumps(document)
        case "markdown":
            from ssm_reconcile.renderers.markdown import report_summary

            return report_summary(report_view(document))
        case "html":
            from ssm_reconcile.renderers.html import report_html

            return report_html(report_view(document))
        case _:
            from ssm_reconcile.renderers.text import report_text

            return report_text(report_view(document), width=_width(), color=color)


def _width() -> int:
    """Columns of the terminal; COLUMNS is honoured."""
    return shutil.get_terminal_size((WIDTH, 24)).columns
