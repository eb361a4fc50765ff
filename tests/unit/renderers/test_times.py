"""Times in outputs: absolute in UTC, on a terminal also relative to the plan, and never to the clock."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

import pytest

from ssm_reconcile import renderers, wording
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.report import Result
from tests.unit.renderers import plans

MODULES = [
    wording,
    *(
        importlib.import_module(one.name)
        for one in pkgutil.walk_packages(renderers.__path__, f"{renderers.__name__}.")
    ),
]
RESULTS = (Result.APPLIED, Result.FAILED, Result.STALE, Result.WITHHELD, Result.NOT_ATTEMPTED)


class FixedDatetime(datetime):
    """A clock that a test sets."""

    instant: ClassVar[datetime]

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return cls.instant.astimezone(tz) if tz else cls.instant.replace(tzinfo=None)

    @classmethod
    def utcnow(cls) -> Any:
        return cls.instant.replace(tzinfo=None)


def deleted(created: Any, modified: str | None = "2026-11-02T08:00:00.000Z") -> Any:
    """Return a plan with one delete of a replica of that time."""
    document = plans.document_of(plans.plan_of([plans.delete("eu-west-1", "/a")]))
    document["changes"][0]["expected"]["last_modified"] = modified
    return {**document, "created": created}


def text_of(document: Any) -> str:
    return plan_text(PlanView(document), width=200)


@pytest.fixture
def no_zone() -> Iterator[None]:
    """Restore the time zone of the process."""
    yield
    time.tzset()


@pytest.mark.usefixtures("no_zone")
@pytest.mark.parametrize("output_format", ["text", "markdown", "html", "json"])
def test_a_saved_document_has_equal_bytes_at_another_time_and_in_another_zone(
    output_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plans.document_of(plans.twelve())
    report = plans.report_document_of(plans.reported(plans.twelve(), RESULTS))
    for module in MODULES:
        if hasattr(module, "datetime"):
            monkeypatch.setattr(module, "datetime", FixedDatetime)
    outputs = set()
    for year, zone in ((2026, "UTC"), (2031, "Asia/Kathmandu"), (2020, "Pacific/Auckland")):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            patch.setenv("COLUMNS", "100")
            time.tzset()
            FixedDatetime.instant = datetime(year, 6, 1, 12, 0, tzinfo=UTC)
            patch.setattr(time, "time", FixedDatetime.instant.timestamp)
            outputs.add(render_plan(output_format, plan, color=False))
            outputs.add(render_report(output_format, report, color=False))
    assert len(outputs) == 2


def test_a_terminal_has_the_time_relative_to_the_plan() -> None:
    assert "last changed 2026-11-02 08:00 UTC (2 h before this plan) by" in text_of(
        deleted("2026-11-02T10:03:00.000Z")
    )


@pytest.mark.parametrize(
    "created", [None, "", "yesterday", "2026-99-99T08:00:00.000Z", "2026-11-02T07:00:00.000Z", "\x1b[31m"]
)
def test_a_time_that_is_missing_hostile_or_earlier_leaves_out_the_relative_part(created: Any) -> None:
    text = text_of(deleted(created))
    assert "version 4, last changed 2026-11-02 08:00 UTC by role ssm-reconcile" in text
    assert "this plan)" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("modified", [None, "", "2026-99-99T08:00:00.000Z"])
def test_an_unknown_time_of_the_last_change_is_left_out(modified: str | None) -> None:
    text = text_of(deleted("2026-11-02T10:03:00.000Z", modified))
    assert "version 4, last changed by role ssm-reconcile" in text


def test_markdown_and_html_have_the_absolute_time_only() -> None:
    for output_format in ("markdown", "html"):
        page = render_plan(output_format, plans.document_of(plans.twelve()), color=False)
        assert "last changed 2026-11-02 08:00 UTC by user bob" in page
        assert "before this plan" not in page
