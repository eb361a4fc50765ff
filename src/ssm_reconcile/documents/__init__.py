"""Types of the JSON documents of a plan and of a report: the only declaration of their keys.

    counts    numbers of addresses and of results; the cost of an apply; attributes that differ; the keywords
              of a type
    encode    Plan or Report -> document
    decode    text of a file -> document, checked against these types

`tools/document_schema.py` generates the JSON Schemas of both from this file. The schema requires a key
unless it is `NotRequired`. An enum in `Annotated` holds the values that this version writes; the reader
checks types, compiled patterns, minima and lengths of lists only.

Other minor versions write fewer keys, so the reader accepts a document in which a key that is `NotRequired`,
`Lenient` or nullable is missing or null. Code that uses such a key calls `get`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypeAlias, TypedDict, final

from ssm_reconcile.change import Action, Fate, Row
from ssm_reconcile.documents.counts import (
    ONE_KIND,
    AttributeEntry,
    BudgetEntry,
    Count,
    CountsEntry,
    Keywords,
    Lenient,
    PlanCounts,
    ResultCounts,
)
from ssm_reconcile.errors import Severity
from ssm_reconcile.plan import Mode
from ssm_reconcile.report import Result
from ssm_reconcile.spec import Run

FORMAT_VERSION = "1.3"
"""`major.minor`: a reader of this major understands every minor of it."""
Version: TypeAlias = Annotated[int, Keywords(minimum=1)]
PlanId: TypeAlias = Annotated[str, re.compile("[0-9a-f]{64}")]
Moment: TypeAlias = Annotated[
    str,
    Keywords(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-23T21:40:00.123Z"]),
]
Digest: TypeAlias = Annotated[str, Keywords(pattern="^[0-9a-f]{12}$", examples=["3f9a0c2b7d11"])]
RowName: TypeAlias = Annotated[str, Keywords(examples=[row.value for row in Row])]


class AddressKeys(TypedDict):
    """The keys that name an address.

    Attributes:
        replication: The name of the replication.
        target: The name of the target.
        name: The name of the parameter in the target.
    """

    replication: str
    target: str
    name: str


class AboutEntry(TypedDict):
    """A parameter or a place that a finding is about.

    Attributes:
        target: The target; empty for the source.
        name: The parameter; empty for the whole place.
    """

    target: str
    name: str


class RemedyEntry(TypedDict):
    """The ways to let the changes through that a guard withholds.

    Attributes:
        flag: The arguments of the command line that lift the guard.
        guard: The guard, for `lifts` of the spec.
        target: The target. Since 1.3 it and `changes` are missing for a guard on all targets: it has no lift.
        count: The number of changes that are withheld.
        changes: The digest of these changes: names, actions, expected versions.
    """

    flag: str
    guard: str
    target: NotRequired[str]
    count: Count
    changes: NotRequired[Digest]


class LiftedEntry(TypedDict):
    """A lift that lets a change through.

    Attributes:
        guard: The guard that would withhold the change.
        target: The target of the change.
        changes: The digest of the lift.
    """

    guard: str
    target: str
    changes: Digest


class FindingEntry(TypedDict):
    """A problem or a fact that a person should know.

    Attributes:
        severity: The weight of the finding. An error is something that the spec asks for and does not get.
        code: A stable word that the documentation explains.
        message: The problem and the remedy.
        where: A position in the spec (`file:line:column`), `target /name`, or empty.
        replication: The replication that the finding belongs to; empty for the whole run.
        about: The parameters or places that the finding is about, if any. Since 1.1.
        remedy: For a guard that can be lifted, the ways to lift it; `message` does not have them. Since 1.1.
    """

    severity: Annotated[str, Severity]
    code: Annotated[str, Keywords(examples=["max-deletes"])]
    message: str
    where: str
    replication: NotRequired[str]
    about: NotRequired[list[AboutEntry]]
    remedy: NotRequired[RemedyEntry]


class OtherEntry(AddressKeys):
    """An address without a change that a person should know.

    Attributes:
        row: The row of the table of cases. Later versions may have more rows.
        counted: The key of the summary that counts the address.
        reasons: The reasons, as sentences.
        attributes: In the row `conflict` of a plan, the attributes that differ: the existing value before,
            that of the source after. Since 1.2.
        type: In the row `conflict`, the type of the source parameter. Since 1.2.
        version: In the row `conflict`, the version of the existing parameter. Since 1.2.
        last_modified: In the row `conflict`, the time of its last change. Since 1.2.
        writer: In the row `conflict`, its last writer, as AWS reports it; empty if unknown. Since 1.2.
        show: True if `show` of the spec matches the name: comments and pages show the attributes too.
            Since 1.2.
        expires: In the row `expiring`, the instant from which a run deletes the replica. Since 1.3.
    """

    row: RowName
    counted: NotRequired[str]
    reasons: list[str]
    attributes: NotRequired[dict[str, Annotated[AttributeEntry, ONE_KIND]]]
    type: NotRequired[str]
    version: NotRequired[Version]
    last_modified: NotRequired[Moment]
    writer: NotRequired[str]
    show: NotRequired[bool]
    expires: NotRequired[Moment]


class TargetEntry(CountsEntry):
    """A target of a replication, with its counts.

    Attributes:
        name: The name of the target.
        replication: The name of the replication.
        place: The account and region.
        complete: Whether the target was listed completely; nothing is planned in an incomplete target.
        frozen: Whether the spec freezes the target: it is planned and never written.
        replicas: All replicas of the replication in the target, also those outside of a narrowed run.
    """

    name: str
    replication: str
    place: Annotated[str, Keywords(examples=["123456789012/us-east-2"])]
    complete: bool
    frozen: bool
    replicas: Count


class NarrowedEntry(TypedDict):
    """The options that narrow the run; an empty list means everything.

    Attributes:
        targets: Names of targets (`--target`).
        only: Path patterns (`--only`).
    """

    targets: list[str]
    only: list[str]


class ExpectedEntry(TypedDict):
    """The conditions under which a change is made; null means that the parameter does not exist.

    Attributes:
        source_version: The version of the source.
        source_last_modified: The time of the last change of the source.
        version: The version of the parameter in the target.
        last_modified: The time of the last change of the parameter in the target.
    """

    source_version: Version | None
    source_last_modified: Moment | None
    version: Version | None
    last_modified: Moment | None


class VersionEntry(TypedDict):
    """A version of a parameter.

    Attributes:
        version: The version.
        last_modified: The time at which it was written, as AWS reports it; null if no read showed it.
    """

    version: Version
    last_modified: Moment | None


class ChangeEntry(AddressKeys):
    """A planned change of one address.

    Attributes:
        row: The row of the table of cases. Later versions may have more rows.
        action: The kind of change.
        type: The type of the parameter before or after the change.
        source: The name of the source parameter; null if no record holds it.
        attributes: The attributes that differ: `value`, `type`, `description`, `AllowedPattern`, `tier`,
            `policies`, `DataType`, `KeyId`, `tags`. For a create, every attribute that is not a default.
        reasons: The reasons, as sentences.
        expected: The conditions under which the change is made.
        fate: Whether the change is to be applied, or a guard withholds it.
        withheld_by: The names of the guards that withhold the change.
        clears_mark: True if the change is withheld and apply removes the mark of its replica. Since 1.3.
        lifted: The lifts that let the change through, each of a guard that would withhold it. Since 1.1.
        changed_outside: Whether another identity changed more than tags of the replica since the last write.
        exposes: Whether the change turns a SecureString into plain text.
        writer: The last writer of the existing parameter, as AWS reports it; empty if unknown.
        takes_over: Whether an update takes over a parameter that no replication owned.
        show: Whether `show` of the spec matches the name of a parameter that is taken over, or that `undo`
            gives back or takes again: else comments and pages hide its attributes. Since 1.2.
        restores: Of a change by `undo` that writes a former version again, that version. Since 1.3.
        unproven: Whether the values were not compared (`--no-decrypt`).
        expires: Of a delete after `delete.after`, the instant in the mark. Since 1.3.
        pending: Whether the spec that the plan was compared with makes exactly the same change.
        effect: The part of the change that the plan id covers. Only in plans that can be applied.
    """

    row: RowName
    action: Annotated[str, Action]
    type: NotRequired[Annotated[str, Keywords(examples=["String", "StringList", "SecureString"])]]
    source: NotRequired[str | None]
    attributes: dict[str, Annotated[AttributeEntry, ONE_KIND]]
    reasons: list[str]
    expected: ExpectedEntry
    fate: Annotated[str, Fate]
    withheld_by: NotRequired[list[str]]
    clears_mark: NotRequired[bool]
    lifted: NotRequired[list[LiftedEntry]]
    changed_outside: NotRequired[bool]
    exposes: NotRequired[bool]
    writer: NotRequired[str]
    takes_over: NotRequired[bool]
    show: NotRequired[bool]
    restores: NotRequired[VersionEntry]
    unproven: NotRequired[bool]
    expires: NotRequired[Moment]
    pending: NotRequired[bool]
    effect: NotRequired[dict[str, object]]


class ReplicationKeys(TypedDict):
    """The keys of a replication that a plan and a report share.

    Attributes:
        name: The name of the replication.
        id: The plan id of this replication alone.
        source: The account and region of the source.
        complete: Whether all its places were listed completely.
        source_complete: Whether its source was listed completely; otherwise nothing is deleted.
        spec_id: Digest of the `id` of the spec. Left out when the spec has none. In a report since 1.3.
    """

    name: str
    id: PlanId
    source: str
    complete: NotRequired[bool]
    source_complete: NotRequired[bool]
    spec_id: NotRequired[Digest]


class ReplicationEntry(ReplicationKeys):
    """A replication of a plan.

    Attributes:
        selected: Source parameters that the spec selects.
        summary: The counts of this replication.
    """

    selected: NotRequired[Count]
    summary: PlanCounts


class ReplicationResultEntry(ReplicationKeys):
    """A replication of a report.

    Attributes:
        summary: The changes of this replication by result.
    """

    summary: ResultCounts


class DroppedEntry(AddressKeys):
    """A change that the current spec no longer makes.

    Attributes:
        action: The kind of change.
    """

    action: str


class AgainstEntry(TypedDict):
    """The comparison with the spec before.

    Attributes:
        pending: The number of changes that the spec before makes in the same way.
        dropped: The changes that only the spec before makes, sorted.
    """

    pending: Count
    dropped: list[DroppedEntry]


class _CommonKeys(TypedDict):
    """The keys that a plan and a report share.

    Attributes:
        format_version: `major.minor`. Readers ignore keys that they do not know and refuse another major.
        tool_version: The version of ssm-reconcile that wrote the document. Not part of the plan id.
        plan_id: SHA-256 of the changes and the versions that they expect: the id that an approval names.
        complete: Whether every place was listed completely.
        mode: How values were read: `normal`, `verify-values`, `no-decrypt`.
        narrowed: The options that narrow the run.
        targets: The targets of all replications.
        others: The addresses without a change that a person should know.
        findings: The findings of the run, then those of each replication.
    """

    format_version: Annotated[str, Keywords(pattern=r"^1\.[0-9]+$", examples=[FORMAT_VERSION])]
    tool_version: NotRequired[str]
    plan_id: PlanId
    complete: bool
    mode: Annotated[str, Keywords(examples=[mode.value for mode in Mode])]
    narrowed: NarrowedEntry
    targets: list[TargetEntry]
    others: list[OtherEntry]
    findings: list[FindingEntry]


UNSAVED_OPTIONS = {"parallelism", "leave_out", "lifts_allowed", "saved_lifts", "without_hold"}
"""Fields of `Run` that are not saved: the first changes no plan, the others are true during one run only."""
_OPTIONS = {
    "bool": bool,
    "tuple[str, ...]": list[str],
    "AdoptMode | None": str | None,
    "int | None": Count | None,
    "tuple[Lift, ...]": list[str],
}
_SAVED = {one.name: _OPTIONS[str(one.type)] for one in fields(Run) if one.name not in UNSAVED_OPTIONS}
if TYPE_CHECKING:  # a type checker does not know keys that are computed
    OptionsEntry: TypeAlias = dict[str, Any]
else:
    OptionsEntry = TypedDict("OptionsEntry", _SAVED | {"name": str | None}, total=False)


@final
class PlanDocument(_CommonKeys):
    """The output of `ssm-reconcile plan --format json` and `--out`; it holds nothing of a secret value.

    Attributes:
        created: The time when the plan was made. Not part of the plan id.
        as_of: The instant at which the plan judges whether something has expired. `apply` of the saved plan
            judges at the same instant. Not part of the plan id.
        summary: The counts of all replications.
        replications: One entry for each document of the spec.
        changes: The changes, sorted by replication, target and name.
        budget: The estimated cost of an apply.
        against: The comparison with the spec before (`plan --against`), or null. Not part of the plan id.
        run: The options of the command line, so that `apply` of a saved plan can repeat the run. Only in
            plans that can be applied.
        undoes: Of a plan of `undo`, the plan id in the report that it takes back. Since 1.3.
        spec_files: The spec files of the run.
    """

    created: NotRequired[Moment]
    as_of: NotRequired[Moment | None]
    summary: PlanCounts
    replications: list[ReplicationEntry]
    changes: Sequence[ChangeEntry]
    budget: NotRequired[BudgetEntry | None]
    against: NotRequired[AgainstEntry | None]
    run: NotRequired[OptionsEntry]
    undoes: NotRequired[PlanId]
    spec_files: NotRequired[list[str]]


class WrittenTagsEntry(TypedDict):
    """The tags that a change wrote or removed, those of the ownership among them.

    Attributes:
        before: Their values before the change; a tag that is missing did not exist.
        after: Their values after the change; a tag that is missing was removed.
    """

    before: dict[str, str]
    after: dict[str, str]


class OutcomeEntry(AddressKeys):
    """The result of one change.

    Attributes:
        row: The row of the table of cases. Later versions may have more rows.
        action: The planned kind of change.
        type: The type of the parameter.
        outcome: The result.
        error: Operation, error code and remedy, without the message of AWS; empty without an error.
        note: Something that a person should know; mostly empty.
        withheld_by: The guards that withheld the change, as in the plan. Since 1.2.
        exposes: True if the change turns a SecureString into plain text. Since 1.2.
        takes_over: True if an update takes over a parameter that no replication owned. Since 1.2.
        releases: True if the parameter stays and is no longer a replica. Since 1.2.
        restores: Of a change by `undo` that writes a former version again, that version. Since 1.3.
        before: The version that the change overwrote, tagged or deleted; null for a create, and if unknown.
            Like `after` and `tags`, only of a change that was applied or failed. `undo` needs it. Since 1.3.
        after: The version that the change left; null after a delete, and if unknown. Since 1.3.
        recreated: True if the change deleted the parameter and created it again. Since 1.3.
        tags: The tags that the change wrote or removed; null if unknown. Since 1.3.
    """

    row: RowName
    action: Annotated[str, Action]
    type: NotRequired[str]
    outcome: Annotated[str, Result]
    error: Lenient[str]
    note: NotRequired[str]
    withheld_by: NotRequired[list[str]]
    exposes: NotRequired[bool]
    takes_over: NotRequired[bool]
    releases: NotRequired[bool]
    restores: NotRequired[VersionEntry]
    before: NotRequired[VersionEntry | None]
    after: NotRequired[VersionEntry | None]
    recreated: NotRequired[bool]
    tags: NotRequired[WrittenTagsEntry | None]


class RemainingEntry(AddressKeys):
    """An address that differs from the spec after the run.

    Attributes:
        reason: The reason.
    """

    reason: str


_APPROVALS = ["saved-plan", "expect-plan", "answer", "yes", "event"]


@final
class ReportDocument(_CommonKeys):
    """The output of `ssm-reconcile apply --format json` and `--out`: one outcome for every change.

    Attributes:
        created: The time when the report was made.
        summary: The changes by result.
        planned: The summary of the plan that was applied.
        replications: One entry for each document of the spec.
        outcomes: The result of each change, sorted by replication, target and name.
        remaining: The addresses that differ from the spec after the run, as a second listing shows.
        interrupted: Whether a signal stopped the run.
        approval: The approval of the apply: a saved plan, the id of a plan, an answer on the terminal,
            `--yes`, or an event. Only the first two are changes that were reviewed before. Since 1.1.
        exit_code: The exit code of the run.
    """

    created: NotRequired[Moment | None]
    summary: ResultCounts
    planned: NotRequired[PlanCounts]
    replications: list[ReplicationResultEntry]
    outcomes: Sequence[OutcomeEntry]
    remaining: list[RemainingEntry]
    interrupted: bool
    approval: NotRequired[Annotated[str, Keywords(enum=_APPROVALS, examples=["saved-plan"])]]
    exit_code: Annotated[int, Keywords(minimum=0, examples=[0, 3, 5, 130])]
