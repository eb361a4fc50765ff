"""Types of the counts in the JSON documents, and the keywords of JSON Schema that a type can have."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypeAlias, TypedDict, TypeVar

LENIENT = "lenient"
_T = TypeVar("_T")


class Keywords:
    """Keywords of JSON Schema for a type. A dict cannot be hashed, and so not be a part of a union."""

    def __init__(self, **values: object) -> None:
        self.values = values


Lenient: TypeAlias = Annotated[_T, LENIENT]
Count: TypeAlias = Annotated[int, Keywords(minimum=0)]


class CountsEntry(TypedDict):
    """Number of addresses by word; each address is counted once. `withheld` counts changes.

    Attributes:
        create: Addresses where a parameter is created.
        update: Addresses where a new version is written.
        retag: Addresses where only tags or the record change.
        replace: Addresses where a parameter is deleted and created again.
        adopt: Addresses where an equal parameter is adopted by its tags.
        delete: Addresses where a replica is deleted.
        in_sync: Addresses without a change.
        skipped: Addresses in the rows `skipped` and `chained`.
        opted_out: Addresses in the rows `opted_out` and `kept_out`.
        orphaned: Addresses in the row `orphan`, and replicas that `delete: never` keeps.
        conflict: Addresses in the rows `foreign`, `copied`, `conflict`, and parameters that `adopt: never`
            leaves. Before 1.1 also those in the row `detached`.
        detached: Addresses in the row `detached`. Since 1.1.
        invalid: Addresses whose parameter the target cannot hold.
        withheld: Changes that a guard withholds.
    """

    create: Lenient[Count]
    update: Lenient[Count]
    retag: Lenient[Count]
    replace: Lenient[Count]
    adopt: Lenient[Count]
    delete: Lenient[Count]
    in_sync: Lenient[Count]
    skipped: Lenient[Count]
    opted_out: Lenient[Count]
    orphaned: Lenient[Count]
    conflict: Lenient[Count]
    detached: NotRequired[Count]
    invalid: Lenient[Count]
    withheld: Lenient[Count]


class ResultsEntry(TypedDict):
    """Number of changes by result.

    Attributes:
        applied: Changes that were made.
        failed: Changes that AWS refused, or whose response was lost.
        stale: Changes that were not made because the parameter had changed since the plan.
        withheld: Changes that a guard withheld.
        not_attempted: Changes that the run did not start.
    """

    applied: Count
    failed: Count
    stale: Count
    withheld: Count
    not_attempted: Count


PlanCounts: TypeAlias = Annotated[dict[str, int], CountsEntry]
ResultCounts: TypeAlias = Annotated[dict[str, int], ResultsEntry]
