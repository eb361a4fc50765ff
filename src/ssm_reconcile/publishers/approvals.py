"""Files of `github approval` and `github reviewed` -> the people behind an apply, and their plans.

A person who starts a run by hand with a plan id is in the variables of the runner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssm_reconcile.documents import ReportDocument
from ssm_reconcile.errors import UsageError
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.renderers.comment_context import Approval, ApprovalKind


@dataclass(frozen=True, slots=True)
class Approvals:
    """The people behind an apply.

    Attributes:
        approved_by: The person who approved the run in its environment.
        reviewed_by: By pull request, the people whose review of its plan counts.
        plans: By pull request, the file of its plan.
    """

    approved_by: tuple[str, ...] = ()
    reviewed_by: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    plans: Mapping[int, Path] = field(default_factory=dict)

    def of(self, number: int | None) -> Approval | None:
        """Return the people behind the changes of a pull request, or of all; None if no one is known."""
        if self.approved_by:
            return Approval(ApprovalKind.APPROVED, self.approved_by)
        if number is None:
            found = sorted({login for people in self.reviewed_by.values() for login in people})
        else:
            found = list(self.reviewed_by.get(number, ()))
        return Approval(ApprovalKind.REVIEWED, tuple(found)) if found else None


NO_APPROVALS = Approvals()


def read_approvals(file: Path, text: str) -> Approvals:
    """Return the people in `approval.json` or `reviewed.json`.

    Args:
        file: The path of the file; the plans of `reviewed.json` are beside it.
        text: The content of the file.

    Raises:
        UsageError: The file is neither of them.
    """
    try:
        document = json.loads(text)
        if "approved_by" in document:
            return Approvals(approved_by=(_text(document["approved_by"]),))
        plans = {int(one["pull_request"]): one for one in document["plans"]}
        return Approvals(
            reviewed_by={number: tuple(map(_text, one["reviewed_by"])) for number, one in plans.items()},
            plans={number: file.parent / Path(_text(one["file"])).name for number, one in plans.items()},
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError("is not the file of `github approval` or `github reviewed`") from error


def _text(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError
    return found


def approval_by_hand(run: WorkflowRun, document: ReportDocument) -> Approval | None:
    """Return the person who started an apply by the id of its plan; None for any other apply.

    A run that was started again names both people: the first one has given the id.
    """
    is_by_hand = run.event_name == "workflow_dispatch" and document.get("approval") == "expect-plan"
    people = tuple(dict.fromkeys(filter(None, (run.actor, run.triggering_actor))))
    return Approval(ApprovalKind.PLAN_ID, people) if is_by_hand and people else None
