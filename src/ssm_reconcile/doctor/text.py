"""A diagnosis -> text for a terminal, or the document that `--format json` prints."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from ssm_reconcile.doctor.checks import Answer, Diagnosis
from ssm_reconcile.renderers.escaping import visible

LONGEST = 4000
_MARKS = {Answer.OK: "ok", Answer.WARNING: "!", Answer.FAILED: "FAILED", Answer.UNKNOWN: "?"}


def text(diagnosis: Diagnosis) -> str:
    """All checks by place, and the verdict."""
    return "\n".join(visible(line, LONGEST) for line in _lines(diagnosis))


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    ordered = sorted(diagnosis.checks, key=lambda one: one.where)
    for where, checks in groupby(ordered, key=lambda one: one.where):
        yield where or "the spec"
        for one in checks:
            yield f"  {_MARKS[one.answer]:<6}  {one.subject}: {one.told}"
            if one.remedy and one.answer is not Answer.OK:
                yield f"          what to do: {one.remedy}"
    yield ""
    yield f"A plan will {'' if diagnosis.plan_works else 'NOT '}work."
    if diagnosis.plan_works and diagnosis.apply_works:
        yield "Nothing was found that an apply would fail at; rights to write were not tried."
    else:
        yield "An apply will NOT work, or not for everything."


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The same as data."""
    return {
        "format_version": "1.0",
        "plan_works": diagnosis.plan_works,
        "apply_works": diagnosis.apply_works,
        "checks": [
            {
                "where": one.where,
                "subject": one.subject,
                "answer": one.answer.value,
                "message": one.told,
                "remedy": one.remedy,
                "needed_for": one.needed.value,
            }
            for one in diagnosis.checks
        ],
    }
