"""Types of counts, costs and attributes in the JSON documents; keywords of JSON Schema of a type."""

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
        held: Addresses in the row `held`. Since 1.3.
        expiring: Addresses whose mark is not due: a later run deletes the replica. Since 1.3.
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
    held: NotRequired[Count]
    expiring: NotRequired[Count]
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


Rate: TypeAlias = Annotated[float, Keywords(minimum=0)]


class LimitEntry(TypedDict):
    """The calls that take longest in an apply: those of one operation in one account and region.

    Attributes:
        place: The account and region, or the region of a place that could not be opened.
        operation: The operation; one that shares its rate may make some of the calls.
        rate: Its calls per second.
        seconds: The minimum duration of an apply with this limit, in seconds.
        fitting_rate: With ListTagsForResource only: the `rates.list_tags` at which another operation is the
            limit. The quota of the account must allow it; higher throughput does not raise this quota.
    """

    place: str
    operation: str
    rate: Rate
    seconds: Rate
    fitting_rate: Count | None


class BudgetEntry(TypedDict):
    """The estimated cost of an apply.

    Attributes:
        calls: AWS API calls by operation.
        writes: The number of calls that write.
        seconds: The minimum duration at the configured rates, in seconds.
        limit: The cause of the minimum duration; null if there is nothing to do. Since 1.2.
        with_higher_throughput: If `limit` is PutParameter at its default rate: the limit of an apply where
            the setting for higher throughput is on. Otherwise null. Since 1.2.
    """

    calls: dict[str, Count]
    writes: Count
    seconds: Rate
    limit: NotRequired[LimitEntry | None]
    with_higher_throughput: NotRequired[LimitEntry | None]


class ValuePartEntry(TypedDict):
    """A part of a plain value that differs.

    Attributes:
        key: The place in the value: a path (`limits.max`), a key, `item 3`, `line 12`; empty: the whole.
        before: The existing text, null if the part is added.
        after: The planned text, null if the part is removed.
        context: True for an unchanged part next to a changed one, and for an item that only moved.
        start: The number of characters of the part before the first one that is shown. Left out when 0.
        before_length: The number of characters of the whole existing part, if a text is cut.
        after_length: The number of characters of the whole planned part, if a text is cut.
    """

    key: str
    before: str | None
    after: str | None
    context: NotRequired[bool]
    start: NotRequired[Count]
    before_length: NotRequired[Count]
    after_length: NotRequired[Count]


MOST_PARTS = 20
"""The most parts of a value in a document."""
_FORMS = ["json", "yaml", "env", "list", "lines", "text"]


class AttributeEntry(TypedDict, total=False):
    """An attribute that differs: both sides, or tags, or for a secret only the fact that it differs.

    Attributes:
        before: The existing value, null if absent. Of `tags`, the existing values of the tags that differ.
        after: The planned value, null if absent.
        cut: Whether a value is longer than the part that is shown.
        secret: Always true. Neither side of a secret is ever shown.
        by_shape: True if a plain value is hidden because it looks like a secret, not because of its name.
        added: Tags to add or to overwrite.
        removed: Keys of tags to remove.
        form: Of a plain value, the form of both texts, by which they were compared. Since 1.2.
        parts: Of a plain value, the first parts that differ, in order. Since 1.2.
        more: The number of parts that differ and are not in `parts`. Since 1.2.
        notes: Of a plain value, differences that `parts` do not show, such as line ends. Since 1.2.
    """

    before: str | dict[str, str] | None
    after: str | None
    cut: bool
    secret: Annotated[bool, Keywords(const=True)]
    by_shape: bool
    added: dict[str, str]
    removed: list[str]
    form: Annotated[str, Keywords(enum=_FORMS, examples=["json"])]
    parts: Annotated[list[ValuePartEntry], Keywords(maxItems=MOST_PARTS)]
    more: Count
    notes: list[str]


_SHOWN = ("before", "after", "added", "removed", "form", "parts", "more", "notes")
# A file with a secret value beside `"secret": true` must not pass a validator.
ONE_KIND = Keywords(
    oneOf=[
        {"required": ["secret"], "properties": dict.fromkeys(_SHOWN, False)},
        {"required": ["before", "after"], "properties": {"before": {"type": ["string", "null"]}}},
        {"required": ["added", "removed", "before"], "properties": {"before": {"type": "object"}}},
    ]
)
