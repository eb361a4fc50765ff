"""Plan or Report -> the document that is saved, published and read back.

No document holds a secret: a secret attribute is `{"secret": true}` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Generic, TypeAlias, TypeVar, overload

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.change import (
    Change,
    Create,
    Delete,
    Difference,
    Release,
    Restore,
    TagDiff,
    Update,
    ValuePart,
    ValueParts,
)
from ssm_reconcile.documents import (
    FORMAT_VERSION,
    UNSAVED_OPTIONS,
    AddressKeys,
    ChangeEntry,
    FindingEntry,
    NarrowedEntry,
    OtherEntry,
    OutcomeEntry,
    PlanDocument,
    ReplicationEntry,
    ReplicationKeys,
    ReportDocument,
    TargetEntry,
    VersionEntry,
)
from ssm_reconcile.documents.counts import AttributeEntry, LimitEntry, ValuePartEntry
from ssm_reconcile.encoding import printable_tree
from ssm_reconcile.errors import Finding
from ssm_reconcile.model import STANDARD, DesiredParameter
from ssm_reconcile.plan import BudgetLimit, Other, Plan, ReplicationPlan, effect_of
from ssm_reconcile.report import Outcome, ParameterVersion, Remaining, Report, Result, Written
from ssm_reconcile.spec import Run

_Addressed: TypeAlias = Change | Other | Remaining
_A = TypeVar("_A", Change, Other, Remaining)
_I = TypeVar("_I")
_E = TypeVar("_E")


class EntrySequence(Sequence[_E], Generic[_I, _E]):
    """The entries of some items, each made when it is read: all entries together take much memory."""

    def __init__(self, items: Sequence[_I], entry_of: Callable[[_I], _E]) -> None:
        self._items = items
        self._entry_of = entry_of

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> _E: ...
    @overload
    def __getitem__(self, at: slice) -> list[_E]: ...
    def __getitem__(self, at: int | slice) -> _E | list[_E]:
        if isinstance(at, slice):
            return [self._entry_of(item) for item in self._items[at]]
        return self._entry_of(self._items[at])

    def __iter__(self) -> Iterator[_E]:
        return map(self._entry_of, self._items)


def plan_document(plan: Plan, *, tool_version: str, created: datetime) -> PlanDocument:
    """Return the document of `plan --format json` and `plan --out`.

    Args:
        plan: The plan.
        tool_version: The version of ssm-reconcile that goes into the document.
        created: The time of the document, timezone-aware.
    """
    budget, dropped = plan.budget, plan.dropped
    plan_id, ids = plan.read_ids()
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "plan_id": plan_id,
        "complete": plan.complete,
        "mode": plan.mode.value,
        "narrowed": _narrowed(plan),
        "targets": _targets(plan),
        "others": [other_entry(other) for other in _sorted(plan.others)],
        "findings": _findings(plan),
        "created": moment(created),
        "as_of": _moment(plan.as_of),
        "summary": plan.summary,
        "against": None
        if dropped is None
        else {
            "pending": sum(change.pending for change in plan.changes),
            "dropped": [{**_address(one), "action": one.action.value} for one in dropped],
        },
        "replications": [_replication(part, one) for part, one in zip(plan.replications, ids, strict=True)],
        "changes": EntrySequence(_sorted(plan.changes), change_entry),
        "budget": None
        if budget is None
        else {
            "calls": dict(budget.calls),
            "writes": budget.writes,
            "seconds": budget.seconds,
            "limit": _limit(budget.limit),
            "with_higher_throughput": _limit(budget.with_higher_throughput),
        },
    }


def _limit(limit: BudgetLimit | None) -> LimitEntry | None:
    if limit is None:
        return None
    return {
        "place": limit.place,
        "operation": limit.operation,
        "rate": limit.rate,
        "seconds": limit.seconds,
        "fitting_rate": limit.fitting_rate,
    }


def saved_plan_document(
    plan: Plan, *, tool_version: str, created: datetime, run: Run, name: str | None, spec_files: Sequence[str]
) -> PlanDocument:
    """Return the document of a plan that `apply` can use later: with its options and effects.

    The texts of its changes are printable: a lone surrogate could not be saved as UTF-8.

    Args:
        plan: The plan.
        tool_version: The version of this program.
        created: The time of the plan, timezone-aware.
        run: The options of the run; those of `UNSAVED_OPTIONS` are not saved.
        name: The replication that the command line selects, None for all.
        spec_files: The paths of the spec as given.
    """
    document = plan_document(plan, tool_version=tool_version, created=created)
    document["changes"] = EntrySequence(_sorted(plan.changes), _saved_entry)
    options = asdict(run) | {"targets": list(run.targets), "only": list(run.only), "name": name}
    options["lift"] = [str(lift) for lift in run.lift]
    document["run"] = {key: value for key, value in options.items() if key not in UNSAVED_OPTIONS}
    document["spec_files"] = list(spec_files)
    return document


def report_document(report: Report, *, tool_version: str, created: datetime) -> ReportDocument:
    """Return the document of `apply --format json` and `apply --out`.

    Args:
        report: The report; it may be that of an interrupted run.
        tool_version: The version of ssm-reconcile that goes into the document.
        created: The time of the document, timezone-aware.
    """
    plan = report.plan
    plan_id, ids = plan.read_ids()
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "plan_id": plan_id,
        "complete": plan.complete,
        "mode": plan.mode.value,
        "narrowed": _narrowed(plan),
        "targets": _targets(plan),
        "others": [_other(other) for other in _sorted(plan.others)],
        "findings": _findings(plan, report.findings),
        "created": moment(created),
        "interrupted": report.interrupted,
        "exit_code": report.exit_code,
        "summary": report.summary,
        "planned": plan.summary,
        "replications": [
            {**_replication_keys(part, one), "summary": _results(report, part)}
            for part, one in zip(plan.replications, ids, strict=True)
        ],
        "outcomes": EntrySequence(sorted(report.outcomes, key=lambda one: one.change.order), _outcome),
        "remaining": [{**_address(one), "reason": one.reason} for one in _sorted(report.remaining)],
    }


def _outcome(outcome: Outcome) -> OutcomeEntry:
    change = outcome.change
    entry: OutcomeEntry = {
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
    if change.withheld:
        entry["withheld_by"] = list(change.withheld_by)
    if change.exposes:
        entry["exposes"] = True
    if change.takes_over:
        entry["takes_over"] = True
    if isinstance(change.effect, Release) or (
        isinstance(change.effect, Restore) and change.effect.owner is None
    ):
        entry["releases"] = True
    if change.former is not None:
        entry["restores"] = _restored(change.former)
    if outcome.result in (Result.APPLIED, Result.FAILED):
        written = outcome.written or Written(None, None, None)
        entry["before"], entry["after"] = _version(written.before), _version(written.after)
        if written.recreated:
            entry["recreated"] = True
        tags = written.tags
        entry["tags"] = None if tags is None else {"before": dict(tags.before), "after": dict(tags.after)}
    return printable_tree(entry)


def _restored(former: DesiredParameter) -> VersionEntry:
    """Return the former version that a change writes again."""
    return {"version": former.source.version, "last_modified": moment(former.source.last_modified)}


def _version(found: ParameterVersion | None) -> VersionEntry | None:
    return None if found is None else {"version": found.version, "last_modified": _moment(found.modified)}


def moment(time: datetime) -> str:
    """Return a time as ISO 8601 in UTC with milliseconds: `2026-11-23T21:40:00.123Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(time: datetime | None) -> str | None:
    return None if time is None else moment(time)


def _address(item: _Addressed) -> AddressKeys:
    return {"replication": item.replication, "target": item.target, "name": item.name}


def _sorted(items: Iterable[_A]) -> list[_A]:
    return sorted(items, key=lambda item: (item.replication, item.target, item.name))


def _narrowed(plan: Plan) -> NarrowedEntry:
    return {"targets": sorted(plan.narrowing.targets), "only": sorted(plan.narrowing.only)}


def _replication(part: ReplicationPlan, plan_id: str) -> ReplicationEntry:
    selected = part.selected if part.in_scope is None else part.in_scope
    return {**_replication_keys(part, plan_id), "selected": selected, "summary": part.summary()}


def _replication_keys(part: ReplicationPlan, plan_id: str) -> ReplicationKeys:
    keys: ReplicationKeys = {
        "name": part.name,
        "id": plan_id,
        "source": part.source,
        "complete": part.complete,
        "source_complete": part.source_complete,
    }
    if part.spec_id is not None:
        keys["spec_id"] = part.spec_id
    return keys


def _results(report: Report, part: ReplicationPlan) -> dict[str, int]:
    results = [outcome.result for outcome in report.outcomes if outcome.change.replication == part.name]
    return {result.value: results.count(result) for result in Result}


def _targets(plan: Plan) -> list[TargetEntry]:
    entries: list[Any] = [
        {
            "name": target.name,
            "replication": part.name,
            "place": target.place,
            "complete": target.complete,
            "frozen": target.frozen,
            "replicas": target.replicas,
            **part.summary(target.name),
        }
        for part in plan.replications
        for target in part.targets
    ]
    return entries


def change_entry(change: Change) -> ChangeEntry:
    """Return the entry of a change under `changes` of a plan."""
    update = change.effect if isinstance(change.effect, Update) else None
    expected = change.expected
    entry: ChangeEntry = {
        "replication": change.replication,
        "target": change.target,
        "name": change.name,
        "action": change.action.value,
        "row": change.row.value,
        "type": change.kind,
        "source": _source_of(change),
        "attributes": _attributes(change),
        "reasons": list(change.all_reasons),
        "expected": {
            "source_version": expected.source_version,
            "source_last_modified": _moment(expected.source_modified),
            "version": expected.version,
            "last_modified": _moment(expected.modified),
        },
        "fate": change.fate.value,
        "withheld_by": list(change.withheld_by),
        "pending": change.pending,
        "changed_outside": change.changed_outside,
        "exposes": change.exposes,
        "writer": change.writer,
        "takes_over": change.takes_over,
        "unproven": bool(update and update.unproven),
    }
    if change.clears_mark:
        entry["clears_mark"] = True
    if change.is_shown is not None:
        entry["show"] = change.is_shown
    if isinstance(change.effect, Delete | Release) and change.effect.expires is not None:
        entry["expires"] = moment(change.effect.expires)
    if change.former is not None:
        entry["restores"] = _restored(change.former)
    if change.lifted:
        entry["lifted"] = [
            {"guard": guard, "target": change.target, "changes": digest} for guard, digest in change.lifted
        ]
    return entry


def _saved_entry(change: Change) -> ChangeEntry:
    entry: ChangeEntry = {**change_entry(change), "effect": effect_of(change)}
    return printable_tree(entry)


def _source_of(change: Change) -> str | None:
    """Return the name of the source parameter, None if no record holds it."""
    if change.source_name is not None:
        return change.source_name
    if isinstance(change.effect, Delete | Release):
        return change.effect.source_name
    return None if change.desired is None else change.desired.source.name


def _attributes(change: Change) -> dict[str, AttributeEntry]:
    """Return the attributes that differ; of a create, every attribute that is not a default."""
    found = _created(change.effect.desired) if isinstance(change.effect, Create) else {}
    return found | _differing(change.differences, change.tags)


def _differing(differences: Iterable[Difference], tags: TagDiff) -> dict[str, AttributeEntry]:
    found = {one.attribute: _difference(one) for one in differences}
    if tags:
        before = dict(sorted(tags.before.items()))
        found["tags"] = {"added": tags.added, "removed": list(tags.removed), "before": before}
    return found


def _difference(difference: Difference) -> AttributeEntry:
    if difference.secret:
        return {"secret": True, "by_shape": True} if difference.by_shape else {"secret": True}
    shown: AttributeEntry = {"before": difference.before, "after": difference.after}
    if difference.repointed:
        shown = {"before": f"{difference.before} (as it was)", "after": f"{difference.after} (re-pointed)"}
    if difference.cut:
        shown["cut"] = True
    if difference.parts is not None:
        shown |= _parts(difference.parts)
    return shown


def _parts(parts: ValueParts) -> AttributeEntry:
    found: AttributeEntry = {"form": parts.form, "parts": [_part(one) for one in parts.parts]}
    if parts.more:
        found["more"] = parts.more
    if parts.notes:
        found["notes"] = list(parts.notes)
    return found


def _part(part: ValuePart) -> ValuePartEntry:
    entry: ValuePartEntry = {"key": part.key, "before": part.before, "after": part.after}
    if part.is_context:
        entry["context"] = True
    if part.start:
        entry["start"] = part.start
    if part.is_cut:
        entry["before_length"], entry["after_length"] = part.before_length, part.after_length
    return entry


def _created(desired: DesiredParameter) -> dict[str, AttributeEntry]:
    source = desired.source
    # the pattern of a secret may hold a part of it
    hidden = {one.name for one in COPIED if one.is_private and source.is_secret}
    texts = {one.name: one.text_of(source) for one in COPIED if one.of(source) != one.default}
    texts |= {"tier": desired.tier} if desired.tier != STANDARD else {}
    texts |= {"KeyId": desired.key_id} if desired.key_id else {}
    return {
        name: {"secret": True} if name in hidden else {"before": None, "after": text}
        for name, text in texts.items()
    }


def other_entry(other: Other) -> OtherEntry:
    """Return the entry of a plan, with both sides of a conflict. The entries of a report have no sides."""
    entry, existing = _other(other), other.conflict
    if existing is not None:
        entry["attributes"] = _differing(existing.differences, existing.tags)
        entry["type"] = existing.kind
        entry["version"] = existing.version
        entry["last_modified"] = moment(existing.modified)
        entry["writer"] = existing.writer
        if existing.is_shown:
            entry["show"] = True
    return entry


def _other(other: Other) -> OtherEntry:
    entry: OtherEntry = {
        "replication": other.replication,
        "target": other.target,
        "name": other.name,
        "row": other.row.value,
        "counted": other.counted,
        "reasons": list(other.reasons),
    }
    if other.expires is not None:
        entry["expires"] = moment(other.expires)
    return entry


def finding_entry(finding: Finding, replication: str) -> FindingEntry:
    """Return a finding with the replication that it belongs to; empty for the whole run."""
    entry: FindingEntry = {
        "severity": finding.severity.value,
        "code": finding.code,
        "message": finding.message,
        "where": finding.where,
        "replication": replication,
    }
    if finding.about:
        entry["about"] = [{"target": one.target, "name": one.name} for one in finding.about]
    if finding.remedy is not None:
        remedy: Any = {key: value for key, value in asdict(finding.remedy).items() if value != ""}
        entry["remedy"] = remedy
    return entry


def _findings(plan: Plan, new: Iterable[Finding] = ()) -> list[FindingEntry]:
    """Return the findings of the run, those of each replication, and those of the apply that are new."""
    found = [finding_entry(finding, "") for finding in sorted(plan.findings)]
    for part in plan.replications:
        found += [finding_entry(finding, part.name) for finding in sorted(part.findings)]
    known = {(entry["code"], entry["message"], entry["where"]) for entry in found}
    unknown = (one for one in sorted(new) if (one.code, one.message, one.where) not in known)
    return [*found, *(finding_entry(finding, "") for finding in unknown)]
