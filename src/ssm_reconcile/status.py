"""Specs and opened places -> the state of each replica, from listings alone: no value is read.

The states are the rows of the table of cases (diff/table.py), and two more:

unproven   versions do not prove that the values are equal: a plan reads them, and finds in_sync, retag,
           update, adopt or conflict
excluded   a source parameter that an include selects and an exclude or its type leaves out

Only values can prove that a parameter can be adopted, so `adopt` is always `unproven` here. For the same
reason `invalid` has only what listings show. Cost: the listings and KMS keys of a plan, and the
reads of tags that the help of the command states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ssm_reconcile import reconcile
from ssm_reconcile.change import Change, Delete, Row
from ssm_reconcile.diff import names_of
from ssm_reconcile.diff.case import Case, TargetContext, cases, matching_patterns
from ssm_reconcile.diff.results import SOURCE_GONE, conflict_reason, result
from ssm_reconcile.diff.table import row_of
from ssm_reconcile.documents import FORMAT_VERSION
from ssm_reconcile.documents.encode import finding_entry, moment
from ssm_reconcile.documents.status import (
    EXCLUDED,
    REPLICA_STATES,
    UNPROVEN,
    ReplicaEntry,
    StatusDocument,
)
from ssm_reconcile.errors import Finding, NothingPlanned, Severity, UsageError
from ssm_reconcile.explain.facts import is_excluded, selection
from ssm_reconcile.model import Parameter, canonical
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.plan_findings import UNMATCHED, describe_unmatched
from ssm_reconcile.reconcile import PlanScope, selected_names
from ssm_reconcile.session import Session, narrow_specs
from ssm_reconcile.spec import AdoptMode, Glob, Replication


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One address of a target. What does not exist is None or empty.

    Attributes:
        name: The name in the target.
        state: One of `REPLICA_STATES`.
        kind: The type of the parameter in the target, or of its source.
        source: The name of the source parameter, if it is known.
        source_version: The present version of the source parameter.
        recorded_version: The source version that the replica was made from, according to its record.
        version: The version of the parameter in the target.
        modified: The time of its last modification.
        writer: The ARN of the identity that modified it last, as AWS reports it.
        reasons: Why it has this state, as sentences.
    """

    name: str
    state: str
    kind: str = ""
    source: str | None = None
    source_version: int | None = None
    recorded_version: int | None = None
    version: int | None = None
    modified: datetime | None = None
    writer: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetStates:
    """One target of one replication: the states of its addresses, sorted by name.

    `place` and `source` are accounts and regions. `complete`: whether source and target were listed
    completely.
    """

    replication: str
    source: str
    name: str
    place: str
    complete: bool
    states: tuple[ReplicaState, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """The number of addresses by state, in the order of `REPLICA_STATES`; none of 0."""
        found = Counter(one.state for one in self.states)
        return {state: found[state] for state in REPLICA_STATES if found[state]}


@dataclass(frozen=True, slots=True)
class Status:
    """The targets of a run, in the order of the spec, and the findings of each replication."""

    targets: tuple[TargetStates, ...]
    findings: tuple[tuple[str, Finding], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every place was listed completely."""
        return all(target.complete for target in self.targets)


def read_status(specs: Sequence[Replication], session: Session) -> Status:
    """Return the state of every address in the targets of some replications.

    Args:
        specs: The replications.
        session: The session of the run; the places of all specs are open. Its run narrows targets and names.

    Raises:
        NothingPlanned: No source could be listed, or no target.
        UsageError: No address matches a pattern of `--only`, and all places were listed completely.
    """
    specs = narrow_specs(specs, session.run)
    scope = PlanScope(reconcile.list_places(specs, session), listings_only=True)
    every = reconcile.plan_each(specs, session, scope, _status_of)
    targets = tuple(target for one, _ in every for target in one.targets)
    findings = tuple(finding for one, _ in every for finding in one.findings)
    if not any(is_listed for _, is_listed in every):
        causes = sorted({finding.message for _, finding in findings})
        raise NothingPlanned(f"no state is known: {'; '.join(causes)}")
    status = Status(targets, findings)
    unmatched = _unmatched_patterns(status, session.run.only)
    known = list(selected_names(specs, scope.listings)) if unmatched else []
    messages = [describe_unmatched(pattern, known) for pattern in unmatched]
    if unmatched and len(unmatched) == len(session.run.only) and status.complete:
        raise UsageError("; ".join(messages))
    found = (("", Finding(Severity.WARNING, UNMATCHED, message)) for message in messages)
    return replace(status, findings=(*found, *status.findings))


def _status_of(part: ReplicationPlan, contexts: Mapping[str, TargetContext]) -> tuple[Status, bool]:
    """Return the status of one replication, and whether one of its targets was listed."""
    targets = tuple(_target_states(part, target, contexts.get(target.name)) for target in part.targets)
    return Status(targets, tuple((part.name, finding) for finding in part.findings)), bool(contexts)


def _unmatched_patterns(status: Status, only: Sequence[str]) -> list[str]:
    """Return the patterns of `--only` that match no address and no source of one."""
    names = {
        name for target in status.targets for one in target.states for name in (one.name, one.source) if name
    }
    return [pattern for pattern in only if not any(map(Glob(pattern).matches, names))]


def _target_states(part: ReplicationPlan, target: TargetPlan, context: TargetContext | None) -> TargetStates:
    complete = part.source_complete and target.complete
    states = () if context is None else tuple(sorted(_states(context), key=lambda one: one.name))
    return TargetStates(part.name, part.source, target.name, target.place, complete, states)


def _states(context: TargetContext) -> Iterator[ReplicaState]:
    """Yield the state of each address that `--only` selects."""
    taken = set()
    for case in cases(context):
        taken.add(case.address)
        if _is_selected(context, names_of(case)):
            yield _state_of(case)
    for found in _excluded(context):
        address = canonical(found.name)
        if address not in taken:
            taken.add(address)
            yield found


def _is_selected(context: TargetContext, names: Collection[str]) -> bool:
    return not context.only or bool(matching_patterns(context.only, names))


def _excluded(context: TargetContext) -> Iterator[ReplicaState]:
    """Yield each source parameter that an include and `--only` select and another rule leaves out."""
    rules, source = context.replication, context.source
    for one in source.parameters.values():
        if not is_excluded(one, rules):
            continue
        name = rules.address(one.name, source.place, context.live.place, context.target.name)
        if not _is_selected(context, {name, one.name}):
            continue
        rule, _ = selection(one.name, one.type, rules)
        yield ReplicaState(name, EXCLUDED, one.type, one.name, one.version, reasons=(f"by {rule.text}",))


def _state_of(case: Case) -> ReplicaState:
    row, live, source = row_of(case), case.live, _source_of(case)
    unproven = _is_unproven(case, row)
    found = ReplicaState(
        name=case.name,
        state=UNPROVEN if unproven else row.value,
        kind=next((one.type for one in (live, source) if one is not None), ""),
        source=case.source_name,
        source_version=None if source is None else source.version,
        recorded_version=None if case.record is None else case.record.source_version or None,
        reasons=(_why_unproven(case),) if unproven else _reasons(case, row),
    )
    if live is None:
        return found
    return replace(found, version=live.version, modified=live.last_modified, writer=live.last_modified_user)


def _source_of(case: Case) -> Parameter | None:
    """Return the source parameter of an address; None if it is unknown or does not exist."""
    if case.desired is not None:
        return case.desired.source
    return None if case.made_from is None else case.context.source.parameters.get(canonical(case.made_from))


def _is_unproven(case: Case, row: Row) -> bool:
    """Whether only a comparison of the values decides which row fits."""
    if not case.unproven or case.differences or row not in (Row.CONFLICT, Row.UPDATE):
        return False
    return row is Row.UPDATE or not case.tag_diff


def _why_unproven(case: Case) -> str:
    """Return why versions do not prove that the values are equal."""
    record, live, wanted = case.record, case.live, case.desired
    if not case.ours:
        match case.context.adopt:
            case AdoptMode.NEVER:
                return "not a replica; a plan does not adopt it (`adopt: never`)"
            case AdoptMode.OVERWRITE:
                return "not a replica; a plan takes it over (`adopt: overwrite`)"
            case _:
                return "not a replica; a plan compares the values to decide whether it is adopted"
    if record is None or live is None or wanted is None:
        return "its record cannot be read"
    if record.is_of_outside_value:
        return "its value is that of another writer, which an undo returned"
    if not record.is_made_from(wanted.source):
        return "its source was changed after the last apply"
    if not record.is_at_recorded_version(live):
        return "it was changed after the last apply"
    return "its record is of another source or of another rewrite"


def _reasons(case: Case, row: Row) -> tuple[str, ...]:
    """Return why an address has its row, and the mode by which a plan does not do what the row says."""
    outcome = result(case, row)
    match row:
        case Row.CONFLICT:
            return (conflict_reason(case), *_of_adoption(case))
        case Row.UPDATE | Row.REPLACE | Row.RETAG if case.differing:
            return (f"differs in {', '.join(case.differing)}",)
        case Row.CREATE:
            return ()
        case Row.DELETE if isinstance(outcome, Change):  # its source is a fact of its own
            return (SOURCE_GONE, *outcome.reasons[1:])
        case Row.ORPHAN if isinstance(outcome, Change) and isinstance(outcome.effect, Delete):
            return (*outcome.reasons, "a plan deletes it (`orphans: delete`)")
        case _:
            return () if outcome is None else outcome.reasons


def _of_adoption(case: Case) -> tuple[str, ...]:
    """Return what a plan does about a conflict, unless it only reports it."""
    mode = case.context.adopt
    if case.needs_replace or mode not in (AdoptMode.OVERWRITE, AdoptMode.SAME_VALUE):
        return ()
    if mode is AdoptMode.OVERWRITE:
        return ("a plan takes it over (`adopt: overwrite`)",)
    return (
        ()
        if "type" in case.differing
        else ("a plan takes it over if the values are equal (`adopt: same_value`)",)
    )


def status_document(
    status: Status, created: datetime, *, tool_version: str, states: Collection[str] = ()
) -> StatusDocument:
    """Return the document of a status.

    Args:
        status: The status.
        created: The time of the run, timezone-aware.
        tool_version: The version of ssm-reconcile that goes into the document.
        states: The states whose addresses are listed; empty for all. The counts have all states.
    """
    return {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created": moment(created),
        "complete": status.complete,
        "targets": [
            {
                "replication": target.replication,
                "source": target.source,
                "target": target.name,
                "place": target.place,
                "complete": target.complete,
                "counts": target.counts,
            }
            for target in status.targets
        ],
        "replicas": [
            _replica(target, one, created)
            for target in status.targets
            for one in target.states
            if not states or one.state in states
        ],
        "findings": [finding_entry(finding, replication) for replication, finding in status.findings],
    }


def _replica(target: TargetStates, one: ReplicaState, created: datetime) -> ReplicaEntry:
    modified = one.modified
    return {
        "replication": target.replication,
        "target": target.name,
        "name": one.name,
        "state": one.state,
        "type": one.kind,
        "source": one.source,
        "source_version": one.source_version,
        "recorded_source_version": one.recorded_version,
        "version": one.version,
        "last_modified": None if modified is None else moment(modified),
        "age_seconds": None if modified is None else max(0, int((created - modified).total_seconds())),
        "writer": one.writer,
        "reasons": list(one.reasons),
    }
