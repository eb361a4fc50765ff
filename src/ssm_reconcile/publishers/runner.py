"""Findings, counts and Markdown -> annotations, step outputs and the job summary of a runner.

Source: GitHub docs, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ssm_reconcile.change import Action
from ssm_reconcile.documents import PlanDocument, ReportDocument
from ssm_reconcile.encoding import printable
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import UNMET
from ssm_reconcile.renderers.changes import returns_secret
from ssm_reconcile.renderers.markdown import SUMMARY_BUDGET
from ssm_reconcile.renderers.view import PlanView, ReportView

ANNOTATIONS = 10
"""Maximum annotations of each severity in a step; GitHub drops the others without a word."""
MESSAGE_LIMIT = 4000
"""Characters of an annotation; GitHub cuts longer ones."""
PLAN_FAILED = "plan-failed"
HOLD_EXPIRED = "hold-expired"
"""Reason of an apply that has done everything else, and of a plan without anything else to do."""
PROBLEM = 3
"""Exit code of a plan that is incomplete, has something invalid or an expired hold."""
COUNTS = (
    "create", "update", "replace", "delete", "withheld", "conflict", "detached", "invalid", "expiring",
    "orphaned", "held",
)  # fmt: skip
"""Keys of the summary of a plan that are step outputs."""
_NO_PLAN = "0" * 64
_POSITION = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)")


def annotation_lines(findings: Iterable[Finding], folder: Path, root: Path | None) -> list[str]:
    """Return a workflow command for each finding, errors first: `::error file=replication.yaml,line=3::...`.

    Args:
        findings: The findings. Of each severity at most ten are shown; the tenth is the number of the others.
        folder: The directory to which the positions of findings are relative.
        root: The root of the repository, which annotations are relative to.
    """
    lines = []
    every = list(dict.fromkeys(findings))
    for severity in Severity:
        chosen = [finding for finding in every if finding.severity is severity]
        shown = chosen if len(chosen) <= ANNOTATIONS else chosen[: ANNOTATIONS - 1]
        lines += [_annotation(finding, folder, root) for finding in shown]
        if len(shown) < len(chosen):
            lines.append(command(severity, f"and {len(chosen) - len(shown):,} more: see the log"))
    return lines


def _annotation(finding: Finding, folder: Path, root: Path | None) -> str:
    position = _POSITION.fullmatch(finding.where)
    if position is None:
        where = f"{finding.where}: " if finding.where else ""
        return command(finding.severity, f"{where}{finding.message}", title=finding.code)
    file = position["file"]
    with suppress(ValueError, OSError):  # outside of the repository GitHub shows it without a line
        file = (folder / file).resolve().relative_to((root or folder).resolve()).as_posix()
    place = {"file": file, "line": position["line"], "col": position["column"]}
    return command(finding.severity, finding.message, **place, title=finding.code)


def command(name: str, message: str, **properties: str) -> str:
    """Return one workflow command, escaped as in actions/toolkit (`command.ts`)."""
    text = ",".join(
        f"{key}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for key, value in properties.items()
    )
    return f"::{name}{' ' if text else ''}{text}::{_escaped(message[:MESSAGE_LIMIT])}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def findings_in(document: PlanDocument | ReportDocument) -> list[Finding]:
    """Return the findings of a document; an unknown severity becomes a notice."""
    known = {severity.value: severity for severity in Severity}
    return [
        Finding(known.get(f["severity"], Severity.NOTICE), f["code"], f["message"], f["where"])
        for f in document["findings"]
    ]


def plan_outputs(document: PlanDocument, path: Path) -> dict[str, str]:
    """Return the step outputs of a plan that was saved at `path`: counts, `plan-id` and `plan-path`."""
    dangerous = sum(
        change["action"] in ("delete", "replace") or bool(change.get("exposes")) or returns_secret(change)
        for change in document["changes"]
    )
    return {
        **_counts(document["summary"]),
        "danger": str(dangerous),
        "plan-id": document["plan_id"],
        "plan-path": str(path.absolute()),
    }


def plan_failure_reason(document: PlanDocument, exit_code: int | None) -> str:
    """Return the `failure-reason` of a plan that no one is asked to approve; empty for success.

    Args:
        document: The plan.
        exit_code: The exit code of `plan`; None if it was not given.
    """
    if exit_code != PROBLEM:
        return ""
    view = PlanView(document)
    is_done = view.complete and not view.changes and not any(view.summary.get(word) for word in UNMET)
    return HOLD_EXPIRED if is_done and view.has_expired_hold else PLAN_FAILED


def report_outputs(document: ReportDocument) -> dict[str, str]:
    """Return the step outputs of an apply: counts, `plan-id` and `failure-reason`, empty for success."""
    not_approved = "refused" if document["plan_id"] == _NO_PLAN else "plan-changed"
    view = ReportView(document)
    unfinished = HOLD_EXPIRED if view.is_done and view.has_expired_hold else "apply-failed"
    reasons = {0: "", 3: unfinished, 4: not_approved, 5: "refused"}
    return {
        **_counts(document.get("planned") or {}),
        "plan-id": document["plan_id"],
        "failure-reason": reasons.get(document["exit_code"], "apply-failed"),
    }


def _counts(summary: Mapping[str, int]) -> dict[str, str]:
    changes = sum(summary.get(action.value, 0) for action in Action)
    danger = summary.get("delete", 0) + summary.get("replace", 0)
    counts = {key: str(summary.get(key, 0)) for key in COUNTS}
    return {"changes": str(changes), "danger": str(danger), **counts}


def write_outputs(file: Path, outputs: Mapping[str, str]) -> None:
    """Append to the file of GITHUB_OUTPUT; a random delimiter keeps a value from adding other outputs."""
    with file.open("a", encoding="utf-8") as stream:
        for name, value in outputs.items():
            if "\n" in value or "\r" in value:
                delimiter = f"end-{secrets.token_hex(16)}"
                stream.write(f"{name}<<{delimiter}\n{value}\n{delimiter}\n")
            else:
                stream.write(f"{name}={value}\n")


def summary_space(file: Path) -> int:
    """Return the number of bytes that the file of GITHUB_STEP_SUMMARY can still take.

    GitHub drops a summary of more than 1 MiB as a whole, and the step fails.
    """
    return SUMMARY_BUDGET - (file.stat().st_size if file.exists() else 0)


def write_summary(file: Path, text: str) -> bool:
    """Append to the file of GITHUB_STEP_SUMMARY if the text fits; return whether it fits."""
    content = printable(text).encode()
    if len(content) > summary_space(file):
        return False
    with file.open("ab") as stream:
        stream.write(content)
    return True
