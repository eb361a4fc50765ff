"""One change as data: an address of a target, its effect, and the preconditions of apply.

Change        one address, with its row, the reasons, and the guards that withhold it
└── Effect    what is done: Create | Update | Retag | Adopt | Replace | Delete | Release | Mark | Unmark
              | Restore
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, TypeAlias

from ssm_reconcile.model import DesiredParameter, Tags, sorted_tags
from ssm_reconcile.record import EXPIRES, Origin, Record

WITHHELD_MARK = "withheld: "
"""Start of a reason why a guard withholds a change, among the reasons of the change."""
MARK_IS_CLEARED = "its source exists again: its mark is removed, although the change is withheld"
MARK_CLEARING_GUARDS = frozenset({"no-id", "replace", "changed-outside", "exposure", "max-change-percent"})
MARK_CLEARING_GUARDS |= {"max-deletes", "max-deletes-total", "max-updates"}
"""Guards of which apply removes the outdated mark of a change. With others, nothing may be written at all."""


class Row(StrEnum):
    """The rows of the table of cases, in the order in which they are tried (design, section 4)."""

    FOREIGN = "foreign"
    DETACHED = "detached"
    COPIED = "copied"
    HELD = "held"
    OPTED_OUT = "opted_out"
    CHAINED = "chained"
    SKIPPED = "skipped"
    KEPT_OUT = "kept_out"
    EXPIRING = "expiring"
    DELETE = "delete"
    ORPHAN = "orphan"
    INVALID = "invalid"
    CREATE = "create"
    ADOPT = "adopt"
    CONFLICT = "conflict"
    REPLACE = "replace"
    UPDATE = "update"
    RETAG = "retag"
    IN_SYNC = "in_sync"
    UNDONE = "undone"
    """Not in the table: a parameter that an apply created or marked, and that `undo` deletes or unmarks."""


class Action(StrEnum):
    """The action at one address."""

    CREATE = "create"
    UPDATE = "update"
    RETAG = "retag"
    REPLACE = "replace"
    ADOPT = "adopt"
    DELETE = "delete"


class Fate(StrEnum):
    """Whether a change is to be applied, or a guard withholds it."""

    APPLY = "apply"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class Withholding:
    """Why one guard withholds a change.

    `why` is a phrase for the change, `remedy` a sentence that says what lets it through. A guard that
    counts has a `limit` and the `count` that exceeds it (changes, or percent of the replicas).
    """

    guard: str
    why: str
    limit: int | None = None
    count: int | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ValuePart:
    """One part of a plain value that differs, or an unchanged part next to it.

    Attributes:
        key: The place in the value, such as `limits.max`, `item 3` or `line 12`; empty for the whole value.
        before: The text in the target, at most `shape.EXCERPT` characters; None where the part is added.
        after: The text to be written, likewise; None where the part is removed.
        start: Number of characters of the part that are left out before both texts.
        before_length: Number of characters of the whole part in the target.
        after_length: Number of characters of the whole part to be written.
        is_context: Whether the part is unchanged, or moved only.
    """

    key: str
    before: str | None
    after: str | None
    start: int = 0
    before_length: int = 0
    after_length: int = 0
    is_context: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether a text is shorter than the part."""
        return len(self.before or "") < self.before_length or len(self.after or "") < self.after_length


@dataclass(frozen=True, slots=True)
class ValueParts:
    """The parts of a plain value that differ.

    Attributes:
        form: The form of both texts: `json`, `yaml`, `env`, `list`, `lines` or `text`.
        parts: The first parts that differ, in order.
        more: Number of parts that differ and are left out.
        notes: Differences that no part shows, in words without any text of the value.
    """

    form: str
    parts: tuple[ValuePart, ...]
    more: int = 0
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the only part is the whole value, as it is."""
        return self.form in ("list", "text") and all(not (one.key or one.is_cut) for one in self.parts)


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute that differs, as it may be shown.

    Attributes:
        attribute: The name in `attributes.ATTRIBUTES`.
        before: The text in the target; None where there is none, or where it is not shown.
        after: The text to be written; None where there is none, or where it is not shown.
        secret: Whether neither side is shown.
        cut: Whether a plain value is longer than the text.
        by_shape: Whether a plain value is not shown because it has the form of a secret.
        repointed: Whether the alias of the key is unchanged but names another key since the last write.
        parts: The parts of a plain value that differ; None for another attribute, and where `secret` is set.
    """

    attribute: str
    before: str | None = None
    after: str | None = None
    secret: bool = False
    cut: bool = False
    by_shape: bool = False
    repointed: bool = False
    parts: ValueParts | None = None


@dataclass(frozen=True, slots=True)
class TagDiff:
    """The tags that differ: their keys with the present and the desired values."""

    before: Tags = field(default_factory=dict)
    after: Tags = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    @property
    def added(self) -> dict[str, str]:
        """Tags to add or to overwrite."""
        return dict(sorted_tags(self.after))

    @property
    def removed(self) -> tuple[str, ...]:
        """Keys to remove."""
        return tuple(sorted(set(self.before) - set(self.after)))


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Versions and dates that must be unchanged when a change is applied; `version` None: no parameter."""

    source_version: int | None = None
    source_modified: datetime | None = None
    version: int | None = None
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Create a parameter, with its tags in the same call."""

    action: ClassVar[Action] = Action.CREATE
    desired: DesiredParameter


@dataclass(frozen=True, slots=True)
class Update:
    """Overwrite the existing parameter.

    Attributes:
        desired: The parameter to write.
        tags: The tags that differ.
        put: Whether a version is written. False where only tags differ, which needs none.
        takes_over: Whether the parameter is not a replica of this replication yet.
        unproven: Whether the values were not compared (`--no-decrypt`). Apply compares them, and writes no
            version if they are equal.
        may_replace: Whether apply may delete and create the parameter if AWS refuses to change its type.
        origin: Whether the parameter was created as a replica, or existed before.
        record: The record to write where no version is written.
    """

    action: ClassVar[Action] = Action.UPDATE
    desired: DesiredParameter
    tags: TagDiff
    put: bool = True
    takes_over: bool = False
    unproven: bool = False
    may_replace: bool = False
    origin: Origin = Origin.CREATED
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Retag:
    """Write tags and record only; no new version."""

    action: ClassVar[Action] = Action.RETAG
    desired: DesiredParameter
    tags: TagDiff
    record: Record


@dataclass(frozen=True, slots=True)
class Adopt:
    """Take ownership of an equal parameter by writing its tags."""

    action: ClassVar[Action] = Action.ADOPT
    desired: DesiredParameter
    tags: TagDiff
    record: Record


@dataclass(frozen=True, slots=True)
class Replace:
    """Delete, wait and create, for differences that AWS does not change in place."""

    action: ClassVar[Action] = Action.REPLACE
    desired: DesiredParameter
    origin: Origin = Origin.CREATED


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the replica, after apply has confirmed that `source_name`, if any, does not exist.

    `expires`: the instant of its mark, which must still be there; None for a replica without a mark.
    `record` is the record tag that the replica must have; None for the record of any write.
    """

    action: ClassVar[Action] = Action.DELETE
    desired: ClassVar[None] = None
    tags: ClassVar[TagDiff] = TagDiff()
    source_name: str | None
    expires: datetime | None = None
    record: str | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """Remove the ownership tags of an adopted replica whose source is gone (`delete: created`).

    `expires`: as in `Delete`.
    """

    action: ClassVar[Action] = Action.RETAG
    desired: ClassVar[None] = None
    source_name: str | None
    tags: TagDiff
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Write the mark of a replica whose source is gone: a whole run deletes it `after` the write.

    `releases`: whether that run releases it, because it was adopted (`delete: created`).
    """

    action: ClassVar[Action] = Action.RETAG
    desired: ClassVar[None] = None
    tags: ClassVar[TagDiff] = TagDiff()
    source_name: str | None
    after: timedelta
    releases: bool = False


@dataclass(frozen=True, slots=True)
class Unmark:
    """Remove the mark of a replica whose source exists again, and that nothing else is written to."""

    action: ClassVar[Action] = Action.RETAG
    desired: ClassVar[None] = None
    tags: TagDiff


@dataclass(frozen=True, slots=True)
class Restore:
    """Take back an earlier change: write a former version again, its former tags, or both.

    Attributes:
        desired: The former version: its `source` is this parameter as it was; the live one if `put` is false.
        tags: The tags to write and to remove; those of the ownership only if it begins or ends.
        live_record: The record tag that the parameter must have; None: none.
        put: Whether a version is written.
        is_replica: Whether the parameter must be a replica.
        equal_to: The version whose value the live one must have: an undo that failed has written it.
        owner: The owner tag to write; None if the parameter is not a replica any more.
        record: The record to write. It gets the version and the time of the write, and keeps its version if
            the value is that of another writer.
    """

    desired: DesiredParameter
    tags: TagDiff
    live_record: str | None
    put: bool
    is_replica: bool = True
    equal_to: int | None = None
    owner: str | None = None
    record: Record | None = None

    @property
    def action(self) -> Action:
        """The action under which summaries count the change."""
        return Action.UPDATE if self.put else Action.RETAG


Effect: TypeAlias = Create | Update | Retag | Adopt | Replace | Delete | Release | Mark | Unmark | Restore


@dataclass(frozen=True, slots=True)
class Change:
    """One address of one target, and the effect of the change on it.

    Attributes:
        replication: The name of the replication.
        target: The name of the target.
        name: The name of the parameter in the target.
        row: The row of the table of cases.
        effect: The action, with its data.
        expected: The versions that must be unchanged when the change is applied.
        differences: The attributes that differ.
        reasons: Sentences for people.
        place: Account and region of the target.
        source_name: The source parameter.
        kind: The type that the parameter has or will have.
        writer: The ARN of the identity that changed the live parameter last.
        changed_outside: Whether another identity changed the replica after the last write.
        exposes: Whether a SecureString becomes plain text.
        source_made_plain: Whether the source was a SecureString at the last write.
        withheld: One entry for each guard that withholds the change. Without an entry, it is applied.
        lifted: The guards that would withhold the change without a lift, each with the digest of the lift.
            Not part of the plan id.
        pending: Whether the spec of `plan --against` makes the same change. Not part of the plan id.
        is_shown: Of a parameter that is not a replica before or after the change, whether comments and pages
            show both sides (`show` of the spec); None if they always do. Not part of the plan id.
        outdated_mark: The mark of the replica if it counts although the source exists; None without one. Not
            part of the plan id.
    """

    replication: str
    target: str
    name: str
    row: Row
    effect: Effect
    expected: Preconditions
    differences: tuple[Difference, ...] = ()
    reasons: tuple[str, ...] = ()
    place: str = ""
    source_name: str | None = None
    kind: str = ""
    writer: str = ""
    changed_outside: bool = False
    exposes: bool = False
    source_made_plain: bool = False
    withheld: tuple[Withholding, ...] = ()
    lifted: tuple[tuple[str, str], ...] = ()
    pending: bool = False
    is_shown: bool | None = None
    outdated_mark: str | None = None

    @property
    def fate(self) -> Fate:
        """Whether a guard withholds this change."""
        return Fate.WITHHELD if self.withheld else Fate.APPLY

    @property
    def withheld_by(self) -> tuple[str, ...]:
        """The names of the guards that withhold this change."""
        return tuple(one.guard for one in self.withheld)

    @property
    def all_reasons(self) -> tuple[str, ...]:
        """The reasons, followed by why each guard withholds this change."""
        cleared = (MARK_IS_CLEARED,) if self.clears_mark else ()
        return (*self.reasons, *cleared, *(f"{WITHHELD_MARK}{one.why}" for one in self.withheld))

    @property
    def clears_mark(self) -> bool:
        """Whether apply removes an outdated mark of the replica, although guards withhold the change."""
        is_writable = MARK_CLEARING_GUARDS.issuperset(self.withheld_by)
        return bool(self.withheld) and self.outdated_mark is not None and is_writable

    @property
    def removal_of_mark(self) -> Change:
        """The change that only removes the outdated mark of this change, and that no guard withholds."""
        assert self.outdated_mark is not None
        effect = Unmark(TagDiff(before={EXPIRES: self.outdated_mark}))
        return replace(self, effect=effect, differences=(), withheld=())

    @property
    def to_apply(self) -> Change | None:
        """This change as apply makes it: of a withheld one the removal of an outdated mark, or None."""
        if not self.withheld:
            return self
        return self.removal_of_mark if self.clears_mark else None

    @property
    def action(self) -> Action:
        """The action under which summaries count this change."""
        return self.effect.action

    @property
    def tags(self) -> TagDiff:
        """The tags that this change adds and removes."""
        effect = self.effect
        return TagDiff({}, effect.desired.tags) if isinstance(effect, Create | Replace) else effect.tags

    @property
    def desired(self) -> DesiredParameter | None:
        """The desired parameter; None if the effect writes none."""
        return self.effect.desired

    @property
    def wanted(self) -> DesiredParameter:
        """The desired parameter of a change that writes one."""
        assert self.desired is not None
        return self.desired

    @property
    def writes_value(self) -> bool:
        """Whether this change is a PutParameter."""
        return isinstance(self.effect, Create | Replace) or (
            isinstance(self.effect, Update | Restore) and self.effect.put
        )

    @property
    def is_to_delete(self) -> bool:
        """Whether this run deletes the replica, or marks it for a later one."""
        effect = self.effect
        return isinstance(effect, Delete) or (isinstance(effect, Mark) and not effect.releases)

    @property
    def takes_over(self) -> bool:
        """Whether this change overwrites a parameter that is not a replica, and makes it one."""
        effect = self.effect
        if isinstance(effect, Restore):
            return not effect.is_replica and effect.owner is not None
        return isinstance(effect, Update) and effect.takes_over

    @property
    def is_undo(self) -> bool:
        """Whether this change takes back an earlier one, so that the next run would make that one again."""
        return isinstance(self.effect, Restore) or self.row is Row.UNDONE

    @property
    def former(self) -> DesiredParameter | None:
        """The former version that this change writes again; None for any other change."""
        return self.effect.desired if isinstance(self.effect, Restore) and self.effect.put else None

    @property
    def rests_on_source_tags(self) -> bool:
        """Whether tags of the source are the reason to remove the replica, or to remove a tag of it."""
        removed = isinstance(self.effect, Retag) and self.tags.before.keys() - {EXPIRES}
        return self.row is Row.KEPT_OUT or bool(removed)

    @property
    def order(self) -> tuple[str, str, str]:
        """The sort key: replication, target and name."""
        return (self.replication, self.target, self.name)
