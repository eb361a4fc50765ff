"""Plan or Report -> the JSON document that is saved, published and read back: a contract.

`schema/plan.schema.json` and `schema/report.schema.json` describe the documents. Readers ignore keys
that they do not know and refuse another major `format_version`. Nothing secret is in them: a secret
attribute is `{"secret": true}`, and that is all there is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.change import Change, Create, Delete, Difference, Preconditions, Release, Update
from ssm_reconcile.errors import Finding
from ssm_reconcile.model import STANDARD, DesiredParameter
from ssm_reconcile.plan import Other, Plan, ReplicationPlan
from ssm_reconcile.renderers.escaping import escape
from ssm_reconcile.report import Outcome, Report, Result

FORMAT_VERSION = "1.1"
"""`major.minor`: a reader of this major understands every minor of it."""


def dumps(document: Mapping[str, Any]) -> str:
    """Canonical, readable JSON: sorted keys, two spaces, a newline at the end.

    Characters that could deceive the eye or a terminal are escaped, which JSON allows in any string.
    """
    return "".join(_blocks(document)) + "\n"


_BLOCK = 4096
"""Tokens that are escaped together: a plan of many changes is millions of them."""


def _blocks(document: Mapping[str, Any]) -> Iterator[str]:
    """The text in blocks of whole lines."""
    tokens: list[str] = []
    for token in json.JSONEncoder(ensure_ascii=False, sort_keys=True, indent=2).iterencode(document):
        if len(tokens) >= _BLOCK and token.startswith("\n"):
            yield escaped_lines("".join(tokens))
            tokens = []
        tokens.append(token)
    yield escaped_lines("".join(tokens))


def escaped_lines(text: str) -> str:
    """Each line made safe to print; line breaks stay."""
    return "\n".join(escape(line) for line in text.split("\n"))


def plan_document(plan: Plan, *, tool_version: str, created: datetime) -> dict[str, Any]:
    """The document of `plan --format json` and `--out`. `created` is timezone-aware."""
    budget = plan.budget
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created": moment(created),
        "plan_id": plan.plan_id,
        "complete": plan.complete,
        "mode": plan.mode.value,
        "narrowed": {"targets": sorted(plan.narrowing.targets), "only": sorted(plan.narrowing.only)},
        "summary": plan.summary,
        "against": _against(plan),
        "replications": [_replication(part, plan) for part in plan.replications],
        "targets": [target for part in plan.replications for target in _targets(part)],
        "changes": [_change(change) for change in sorted(plan.changes, key=lambda c: c.order)],
        "others": [_other(other) for other in sorted(plan.others, key=_address)],
        "findings": _plan_findings(plan),
        "budget": budget
        and {
            "calls": dict(sorted(budget.calls.items())),
            "writes": budget.writes,
            "seconds": budget.seconds,
        },
    }


def report_document(
    report: Report, *, tool_version: str = "", created: datetime | None = None
) -> dict[str, Any]:
    """The document of `apply --format json` and `--out`; complete even when the run was cut short."""
    plan = report.plan
    known = _plan_findings(plan)
    fresh = [_finding(finding, "") for finding in sorted(report.findings)]
    outcomes = sorted(report.outcomes, key=lambda o: o.change.order)
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created": None if created is None else moment(created),
        "plan_id": plan.plan_id,
        "complete": plan.complete,
        "mode": plan.mode.value,
        "narrowed": {"targets": sorted(plan.narrowing.targets), "only": sorted(plan.narrowing.only)},
        "interrupted": report.interrupted,
        "exit_code": report.exit_code,
        "summary": report.summary,
        "planned": plan.summary,
        "replications": [_reported(part, report) for part in plan.replications],
        "targets": [target for part in plan.replications for target in _targets(part)],
        "outcomes": [_outcome(outcome) for outcome in outcomes],
        "others": [_other(other) for other in sorted(plan.others, key=_address)],
        "remaining": [
            {"replication": r.replication, "target": r.target, "name": r.name, "reason": r.reason}
            for r in sorted(report.remaining, key=_address)
        ],
        "findings": _joined(known, fresh),
    }


def moment(time: datetime) -> str:
    """A moment as ISO 8601 in UTC with milliseconds: `2026-11-23T21:40:00.123Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _address(item: Any) -> tuple[str, str, str]:
    return (item.replication, item.target, item.name)


def _replication(part: ReplicationPlan, plan: Plan) -> dict[str, Any]:
    return {
        "name": part.name,
        "id": plan.id_of(part),
        "source": part.source,
        **({} if part.spec_id is None else {"spec_id": part.spec_id}),
        "selected": part.selected if part.in_scope is None else part.in_scope,
        "complete": part.complete,
        "source_complete": part.source_complete,
        "summary": part.summary(),
    }


def _against(plan: Plan) -> dict[str, Any] | None:
    """What the spec that the plan was compared with would do: the same, and what only it would do."""
    if plan.against is None:
        return None
    return {
        "pending": sum(change.pending for change in plan.changes),
        "dropped": [
            {
                "replication": change.replication,
                "target": change.target,
                "name": change.name,
                "action": change.action.value,
            }
            for change in plan.against.dropped
        ],
    }


def _reported(part: ReplicationPlan, report: Report) -> dict[str, Any]:
    results = [outcome.result for outcome in report.outcomes if outcome.change.replication == part.name]
    return {
        "name": part.name,
        "id": report.plan.id_of(part),
        "source": part.source,
        "complete": part.complete,
        "source_complete": part.source_complete,
        "summary": {result.value: results.count(result) for result in Result},
    }


def _targets(part: ReplicationPlan) -> Iterable[dict[str, Any]]:
    for target in part.targets:
        yield {
            "name": target.name,
            "replication": part.name,
            "place": target.place,
            "complete": target.complete,
            "frozen": target.frozen,
            "replicas": target.replicas,
            **part.summary(target.name),
        }


def _change(change: Change) -> dict[str, Any]:
    update = change.effect if isinstance(change.effect, Update) else None
    return {
        "replication": change.replication,
        "target": change.target,
        "name": change.name,
        "action": change.action.value,
        "row": change.row.value,
        "type": change.kind,
        "source": _source_of(change),
        "attributes": _attributes(change),
        "reasons": list(change.all_reasons),
        "expected": _expected(change.expected),
        "fate": change.fate.value,
        "withheld_by": list(change.withheld_by),
        "pending": change.pending,
        "changed_outside": change.changed_outside,
        "exposes": change.exposes,
        "writer": change.writer,
        "takes_over": bool(update and update.takes_over),
        "unproven": bool(update and update.unproven),
    }


def _source_of(change: Change) -> str | None:
    """The name of the source parameter, None where no record tells it."""
    if change.source_name is not None:
        return change.source_name
    match change.effect:
        case Delete(source_name) | Release(source_name, _):
            return source_name
        case _:
            return None if change.desired is None else change.desired.source.name


def _expected(expected: Preconditions) -> dict[str, Any]:
    return {
        "source_version": expected.source_version,
        "source_last_modified": None
        if expected.source_modified is None
        else moment(expected.source_modified),
        "version": expected.version,
        "last_modified": None if expected.modified is None else moment(expected.modified),
    }


def _attributes(change: Change) -> dict[str, Any]:
    """What differs, by attribute; of what is created anew, everything that is not a default."""
    found: dict[str, Any] = {}
    match change.effect:
        case Create(desired):
            found |= _anew(desired)
        case _:
            pass
    found |= {d.attribute: _difference(d) for d in change.differences}
    tags = change.tags
    if tags:
        found["tags"] = {
            "added": tags.added,
            "removed": list(tags.removed),
            "before": dict(sorted(tags.before.items())),
        }
    return found


def _difference(difference: Difference) -> dict[str, Any]:
    if difference.secret:
        return {"secret": True, "by_shape": True} if difference.by_shape else {"secret": True}
    shown: dict[str, Any] = {"before": difference.before, "after": difference.after}
    if difference.repointed:
        shown = {"before": f"{difference.before} (as it was)", "after": f"{difference.after} (re-pointed)"}
    return {**shown, "cut": True} if difference.cut else shown


def _anew(desired: DesiredParameter) -> dict[str, Any]:
    """The attributes of a parameter that is made; the pattern of a secret is not shown."""
    source = desired.source
    hidden = {one.name for one in COPIED if one.is_private and source.is_secret}
    texts = {one.name: one.text_of(source) for one in COPIED if one.of(source) != one.default}
    texts |= {"tier": desired.tier} if desired.tier != STANDARD else {}
    texts |= {"KeyId": desired.key_id} if desired.key_id else {}
    return {
        name: {"secret": True} if name in hidden else {"before": None, "after": text}
        for name, text in texts.items()
    }


def _other(other: Other) -> dict[str, Any]:
    return {
        "replication": other.replication,
        "target": other.target,
        "name": other.name,
        "row": other.row.value,
        "counted": other.counted,
        "reasons": list(other.reasons),
    }


def _finding(finding: Finding, replication: str) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "message": finding.message,
        "where": finding.where,
        "replication": replication,
        **({"about": [one._asdict() for one in finding.about]} if finding.about else {}),
    }


def _plan_findings(plan: Plan) -> list[dict[str, Any]]:
    """Findings of the run first, then those of each replication."""
    found = [_finding(finding, "") for finding in sorted(plan.findings)]
    for part in plan.replications:
        found += [_finding(finding, part.name) for finding in sorted(part.findings)]
    return found


def _joined(known: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The plan's findings and those of the apply, what was said before only once."""
    said = {(f["code"], f["message"], f["where"]) for f in known}
    return known + [f for f in fresh if (f["code"], f["message"], f["where"]) not in said]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    change = outcome.change
    return {
        "replication": change.replication,
        "target": change.target,
        "name": change.name,
        "action": change.action.value,
        "row": change.row.value,
        "type": change.kind,
        "outcome": outcome.result.value,
        "error": outcome.error,
        "note": outcome.note,
    }
