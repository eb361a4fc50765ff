"""Types of the JSON document of `status`: the only declaration of its keys."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypedDict

from ssm_reconcile.change import Row
from ssm_reconcile.documents import AddressKeys, FindingEntry, Moment, Version
from ssm_reconcile.documents.counts import Count, Keywords

UNPROVEN = "unproven"
EXCLUDED = "excluded"
STATES = (*(row.value for row in Row), UNPROVEN, EXCLUDED)
"""All states, in the order in which outputs show them."""
STATUS_VERSION = "1.0"
"""`major.minor`: a reader of this major understands every minor of it."""
StateName: TypeAlias = Annotated[str, Keywords(examples=list(STATES))]


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
        source_version: The version that the source parameter has now; null if it does not exist.
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

    format_version: Annotated[str, Keywords(pattern=r"^1\.[0-9]+$", examples=[STATUS_VERSION])]
    tool_version: str
    created: Moment
    complete: bool
    targets: list[StatesEntry]
    replicas: list[ReplicaEntry]
    findings: list[FindingEntry]
