"""Times in outputs: absolute in UTC, on a terminal also relative to the plan, and never to the clock."""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

import pytest

from ssm_reconcile import renderers, wording
from ssm_reconcile.change import Difference, Row, TagDiff
from ssm_reconcile.cli.show import render_plan, render_report
from ssm_reconcile.plan import ExistingParameter
from ssm_reconcile.renderers.markdown_blocks import lifts
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
MODIFIED = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
BOB = "arn:aws:iam::123456789012:user/bob"
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
            outputs.add("".join(render_plan(output_format, plan, color=False)))
            outputs.add("".join(render_report(output_format, report, color=False)))
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
        page = "".join(render_plan(output_format, plans.document_of(plans.twelve()), color=False))
        assert "last changed 2026-11-02 08:00 UTC by user bob" in page
        assert "before this plan" not in page


def test_times_of_all_years_have_four_digits_and_long_spans_a_separator() -> None:
    first = datetime(1, 1, 1, 8, 0, tzinfo=UTC)
    assert wording.utc_text(first) == "0001-01-01 08:00 UTC"
    assert wording.time_before(first, datetime(2026, 1, 1, tzinfo=UTC)) == "739,615 days before"


def test_the_last_day_of_a_proposed_lift_is_counted_in_utc() -> None:
    remedy: Any = {"flag": "--x", "guard": "max-deletes", "target": "t", "count": 1, "changes": "d"}
    (block,) = lifts([remedy], "2026-11-02T23:30:00-05:00", 5)
    assert 'until: "2026-11-10"' in block


@pytest.mark.parametrize("output_format", ["text", "markdown", "html"])
@pytest.mark.parametrize("is_shown", [True, False])
def test_a_conflict_has_version_time_and_writer_of_its_last_change(
    output_format: str, *, is_shown: bool
) -> None:
    left = plans.other("eu-west-1", "/a", Row.CONFLICT, "conflict", "it differs in value")
    existing = ExistingParameter(
        (Difference("value", "theirs", "ours"),), TagDiff(), "String", 3, MODIFIED, BOB, is_shown=is_shown
    )
    plan = plans.document_of(plans.plan_of([], others=[replace(left, conflict=existing)]))
    page = "".join(render_plan(output_format, plan, color=False))
    assert "version 3, last changed 2026-11-02 08:00 UTC" in page
    assert page.count("by user bob") == 1
    assert ("theirs" in page) is (is_shown or output_format == "text")
