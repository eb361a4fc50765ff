"""Types of the JSON document of `status`: the only declaration of its keys."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypedDict

from ssm_reconcile.change import Row
from ssm_reconcile.documents import FORMAT_VERSION, AddressKeys, FindingEntry, Moment, Version
from ssm_reconcile.documents.counts import Count, Keywords

UNPROVEN = "unproven"
EXCLUDED = "excluded"
REPLICA_STATES = {
    Row.FOREIGN.value: "The parameter belongs to another spec or to CloudFormation. It is not written.",
    Row.DETACHED.value: "`detach` stopped its replication. It is not written.",
    Row.COPIED.value: "The parameter has the ownership tags of another parameter. It is not written.",
    Row.HELD.value: "A hold of the spec stops every change. It is not written or deleted.",
    Row.OPTED_OUT.value: "The parameter has the opt-out tag itself. It is not written.",
    Row.CHAINED.value: "Its source is itself a replica, and is not replicated.",
    Row.SKIPPED.value: "Its source has the opt-out tag, and no replica exists.",
    Row.KEPT_OUT.value: "Its source has the opt-out tag. `skip_sync.replicas` decides about the replica.",
    Row.EXPIRING.value: "Its source is gone. The replica is marked, or a plan marks it, to be deleted later.",
    Row.DELETE.value: "Its source is gone. A plan deletes the replica, unless `delete` in the spec keeps it.",
    Row.ORPHAN.value: "The rules place no parameter on the replica any more. `orphans` decides about it.",
    Row.INVALID.value: "The target cannot take the parameter.",
    Row.CREATE.value: "The replica does not exist yet.",
    Row.ADOPT.value: "The parameter is not a replica, and is equal. Without values: always `unproven`.",
    Row.CONFLICT.value: "The parameter is not a replica, and differs. `adopt` decides about it.",
    Row.REPLACE.value: "The replica has a difference that AWS does not change in place.",
    Row.UPDATE.value: "An attribute of the replica differs.",
    Row.RETAG.value: "Only tags of the replica differ, or its record is out of date.",
    Row.IN_SYNC.value: "The replica is as the spec wants it, as versions prove.",
    UNPROVEN: "Only the values decide: `in_sync`, `retag` or `update`, or `adopt` or `conflict`.",
    EXCLUDED: "An include selects the source parameter, and an exclude or `types` leaves it out.",
}
"""All states with their meaning, in the order in which outputs show them."""
StateName: TypeAlias = Annotated[str, Keywords(examples=list(REPLICA_STATES))]


class StatesEntry(TypedDict):
    """A target of a replication, with the number of its addresses in each state.

    Attributes:
        replication: The name of the replication.
        source: The account and region of the source.
        target: The name of the target.
        place: The account and region of the target.
        complete: Whether source and target were listed completely.
        counts: The number of addresses by state; a state without addresses is absent.
    """

    replication: str
    source: str
    target: str
    place: str
    complete: bool
    counts: dict[str, Count]


class ReplicaEntry(AddressKeys):
    """One address of a target.

    Attributes:
        state: The row of the table of cases, `unproven` or `excluded`. Later versions may have more states.
        type: The type of the parameter in the target, or of its source; empty if neither exists.
        source: The name of the source parameter; null if it is not known.
        source_version: The version that the source parameter has now; null if its listing does not show it,
            or its name is not known.
        recorded_source_version: The source version that the replica was made from, as its record says; null
            without a record.
        version: The version of the parameter in the target; null if it does not exist.
        last_modified: The time of its last modification.
        age_seconds: The seconds from its last modification to `created`.
        writer: The ARN of the identity that modified it last, as AWS reports it; empty if unknown.
        reasons: Why it has this state, as sentences.
    """

    state: StateName
    type: str
    source: str | None
    source_version: Version | None
    recorded_source_version: Version | None
    version: Version | None
    last_modified: Moment | None
    age_seconds: Count | None
    writer: str
    reasons: list[str]


class StatusDocument(TypedDict):
    """The output of `ssm-reconcile status --format json`: the state of each replica, without any value.

    Attributes:
        format_version: `major.minor`. Readers ignore keys they do not know and refuse another major.
        tool_version: The version of ssm-reconcile that wrote the document.
        created: The time of the run, to which ages refer.
        complete: Whether every place was listed completely. False: exit code 3.
        targets: The targets, with counts of all states, also of those that `--state` leaves out.
        replicas: The addresses, by target and name; with `--state` only those in one of these states.
        findings: Problems and facts that a person should know.
    """

    format_version: Annotated[str, Keywords(pattern=r"^1\.[0-9]+$", examples=[FORMAT_VERSION])]
    tool_version: str
    created: Moment
    complete: bool
    targets: list[StatesEntry]
    replicas: list[ReplicaEntry]
    findings: list[FindingEntry]
