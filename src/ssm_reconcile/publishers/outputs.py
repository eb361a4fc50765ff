"""A plan or a report -> what later steps of a workflow read: the outputs of a step.

changes create update replace delete   numbers    plan-id          64 hex digits
withheld danger conflict detached      numbers    plan-path        a file
invalid orphaned                       numbers    failure-reason   plan-failed | plan-changed |
                                                  refused | apply-failed, empty where all is well
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssm_reconcile.change import Action

PLAN_FAILED = "plan-failed"
COUNTS = (
    "create", "update", "replace", "delete", "withheld", "conflict", "detached", "invalid", "orphaned",
)  # fmt: skip
"""Words of a plan's summary that are outputs of their own."""
_NOTHING_PLANNED = "0" * 64


def of_plan(document: Mapping[str, Any], path: Path) -> dict[str, str]:
    """The outputs of a plan that was saved there."""
    counts = _counts(document["summary"])
    return {
        **counts,
        "danger": _danger(document),
        "plan-id": document["plan_id"],
        "plan-path": str(path.absolute()),
    }


def of_report(document: Mapping[str, Any]) -> dict[str, str]:
    """The outputs of an apply."""
    return {
        **_counts(document.get("planned") or {}),
        "plan-id": document["plan_id"],
        "failure-reason": failure_of(document),
    }


def _danger(document: Mapping[str, Any]) -> str:
    """Return how many changes delete something on the way or turn a SecureString into plain text."""
    changes = document["changes"]
    return str(sum(one["action"] in ("delete", "replace") or bool(one.get("exposes")) for one in changes))


def failure_of(document: Mapping[str, Any]) -> str:
    """Why an apply did not do all that was asked: by its exit code, and whether there was a plan."""
    match document["exit_code"]:
        case 0:
            return ""
        case 4 if document["plan_id"] != _NOTHING_PLANNED:
            return "plan-changed"
        case 4 | 5:
            return "refused"
        case _:
            return "apply-failed"


def _counts(summary: Mapping[str, int]) -> dict[str, str]:
    changes = sum(summary.get(action.value, 0) for action in Action)
    danger = summary.get("delete", 0) + summary.get("replace", 0)
    return {"changes": str(changes), "danger": str(danger)} | {
        word: str(summary.get(word, 0)) for word in COUNTS
    }


def write(file: Path, pairs: Mapping[str, str]) -> None:
    """Appends to the file that GITHUB_OUTPUT names; a value of several lines between random marks."""
    with file.open("a", encoding="utf-8") as stream:
        for name, value in pairs.items():
            if "\n" in value or "\r" in value:
                mark = f"end-{secrets.token_hex(16)}"
                stream.write(f"{name}<<{mark}\n{value}\n{mark}\n")
            else:
                stream.write(f"{name}={value}\n")
