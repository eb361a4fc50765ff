"""The spec as data: one `Replication` for each YAML document, with the functions that apply its rules.

`load` builds it from a checked document; `resolve`, `diff` and the guards use it. Nothing here reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import groupby

from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX
from ssm_reconcile.errors import Where
from ssm_reconcile.lift import Lift, Member
from ssm_reconcile.model import (
    SECURE,
    STRING_LIST,
    Access,
    Place,
    Substitution,
    canonical,
)
from ssm_reconcile.record import PREFIX, Claim, digest_id
from ssm_reconcile.secret_detection import name_looks_secret
from ssm_reconcile.skip_sync import SkipSync

ALL_TYPES = frozenset({"String", STRING_LIST, SECURE})
"""The parameter types of AWS (API reference, PutParameter)."""


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a pattern.

    Atomic groups prevent backtracking: the earliest match of each part between two `**` is as good as a
    later one. So the time is at most the product of the lengths of the pattern and the name.
    """
    levels = canonical(pattern)[1:].split("/")
    if levels[-1] == "**":
        levels.append("*")  # names below the level, not the level itself
    groups = [list(group) for deep, group in groupby(levels, "**".__eq__) if not deep]
    deep_first = levels[0] == "**"
    out: list[str] = []
    for i, group in enumerate(groups):
        part = "".join("/" + _level(level) for level in group)
        if i == 0 and not deep_first:
            out.append(part)
        elif i == len(groups) - 1:
            out.append(f"(?:/[^/]+)*{part}")
        else:
            out.append(f"(?>(?:/[^/]+)*?{part})")
    return re.compile("".join(out) + r"\Z")


def _level(level: str) -> str:
    """Return the expression of one level, literal text and stars, that matches no slash."""
    if level == "*":
        return r"[^/]+(?=/|\Z)"
    head, *rest = level.split("*")
    if not rest:
        return re.escape(head) + r"(?=/|\Z)"
    *middle, tail = rest
    stars = "".join(f"(?>[^/]*?{re.escape(part)})" for part in middle if part)
    return rf"{re.escape(head)}{stars}[^/]*{re.escape(tail)}(?=/|\Z)"


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern of names: `*` matches within a level, `**` any number of levels, other text itself.

    `foo` and `/foo` are one parameter in AWS, so they are one pattern too. Letters match exactly:
    names are case-sensitive.
    """

    text: str
    where: Where | None = field(default=None, compare=False)

    def matches(self, name: str) -> bool:
        """Whether the pattern matches a parameter name, with or without a leading slash."""
        return _expression(self.text).match(canonical(name)) is not None

    def __str__(self) -> str:
        return f"{self.text} ({self.where})" if self.where else self.text


HOLD_KEY = "parameters.hold"
"""The key of holds in the spec."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A pattern of source names whose replicas no plan, apply or event changes.

    Attributes:
        match: The pattern.
        until: The last day of the hold, in UTC; None without an end. After it, the hold still holds.
        reason: The reason, for people.
        where: The position in the spec.
    """

    match: Glob
    until: date | None = None
    reason: str = ""
    where: Where | None = field(default=None, compare=False)

    def has_expired(self, today: date) -> bool:
        """Whether the last day is before a day in UTC: a person has to extend or remove the hold."""
        return self.until is not None and self.until < today

    def text(self, today: date) -> str:
        """Return the hold as text, as of a day: "the hold on `/db/**` until 2026-12-24 (UTC)"."""
        ends = "" if self.until is None else f" until {self.until} (UTC)"
        if self.has_expired(today):
            ends = f", which expired after {self.until} (UTC),"
        return f"the hold on `{self.match.text}`{ends}"


class HoldIndex:
    """The holds by the source name that they match. Each name is matched once, for all targets and steps."""

    def __init__(self, holds: Sequence[Hold]) -> None:
        """Index the holds of one spec."""
        self._expressions = [(hold, _expression(hold.match.text)) for hold in holds]
        # One search for all holds: most names match none of them.
        self._any = re.compile("|".join(one.pattern for _, one in self._expressions))
        self._found: dict[str, tuple[Hold, ...]] = {}

    def matching(self, name: str) -> tuple[Hold, ...]:
        """Return the holds that match a source name, in the order of the spec."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = self._match(canonical(name))
        return found

    def _match(self, name: str) -> tuple[Hold, ...]:
        if self._any.match(name) is None:
            return ()
        return tuple(hold for hold, expression in self._expressions if expression.match(name))


@dataclass(frozen=True, slots=True)
class Source:
    """The place that parameters are replicated from. `account`: the only account that a run accepts."""

    access: Access
    account: str | None = None
    where: Where | None = field(default=None, compare=False)


class TierMode(StrEnum):
    """Tier of the replicas of a target: that of the source, the present one, or a fixed one."""

    SAME = "same"
    KEEP = "keep"
    ADVANCED = "advanced"
    INTELLIGENT = "intelligent"


@dataclass(frozen=True, slots=True)
class Target:
    """A place that parameters are replicated to. `keys` maps references to source keys to keys in it."""

    name: str
    access: Access
    account: str | None = None
    frozen: bool = False
    default_key: str | None = None
    keys: tuple[tuple[str, str], ...] = ()
    tier: TierMode = TierMode.SAME
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One entry of the KMS map: a source key, and the key in each target by the target's name."""

    source: str
    targets: tuple[tuple[str, str], ...]
    where: Where | None = field(default=None, compare=False)


class RewriteIn(StrEnum):
    """The text that a rewrite changes."""

    VALUE = "value"
    NAME = "name"


PLACEHOLDERS = ("{source.region}", "{source.account}", "{target.region}", "{target.account}", "{target.name}")
"""The placeholders of a rewrite; any other text of their form is an error of the spec."""
TARGET_PLACEHOLDERS = ("{target.account}", "{target.region}", "{target.partition}", "{target.name}")
"""The placeholders of a target; its `name` may hold all but the last."""
PLACEHOLDER = re.compile(r"\{[A-Za-z][A-Za-z0-9_.-]*\}")
"""The form of a placeholder."""


def fill_placeholders(text: str, values: Sequence[str | None]) -> str:
    """Return a text with its placeholders filled in.

    `values` are in the order of `PLACEHOLDERS`; a placeholder whose value is None stays as it is.
    """
    known = dict(zip(PLACEHOLDERS, values, strict=True))
    return PLACEHOLDER.sub(lambda found: known.get(found[0]) or found[0], text)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A rule that replaces literal text in values or names, such as the region."""

    match: Glob
    scope: RewriteIn
    old: str
    new: str

    def substitution(self, source: Place, place: Place, target: str) -> Substitution:
        """Return the replacement for one target, with the placeholders of both texts filled in.

        Args:
            source: The place of the source.
            place: The place of the target.
            target: The name of the target.
        """
        values = (source.region, source.account, place.region, place.account, target)
        return Substitution(fill_placeholders(self.old, values), fill_placeholders(self.new, values))


class AdoptMode(StrEnum):
    """The treatment of a parameter that exists in a target and is not a replica."""

    NEVER = "never"
    IDENTICAL = "identical"
    SAME_VALUE = "same_value"
    OVERWRITE = "overwrite"


class DeleteMode(StrEnum):
    """The replicas that may be deleted when their source no longer exists."""

    OWNED = "owned"
    CREATED = "created"
    NEVER = "never"


class Orphans(StrEnum):
    """The treatment of replicas that the present rules do not write."""

    KEEP = "keep"
    DELETE = "delete"


NO_ID_REMEDY = (
    "Add `id:` with 6 to 32 random characters (a-z, 0-9) to the spec: only replicas that are recorded with"
    " it are deleted. Delete the present orphans by hand, or select them again, apply with the `id`, and"
    " then exclude them"
)
"""Remedy for `orphans: delete` without an id: the records of the present orphans have no id either."""


class ChangedOutside(StrEnum):
    """The treatment of a replica that another identity changed."""

    WITHHOLD = "withhold"
    OVERWRITE = "overwrite"


_MOST_DELETES_TOTAL = 50
"""The default of `max_deletes_total`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the changes of one run. `max_deletes` counts the deletes and replacements of one target.

    `max_deletes_total` counts those of all targets; None: the spec does not set it.

    Events, and the whole runs of their stack, count their deletes over the `window`. `max_updates` limits the
    updates of events over the window; None: no limit.
    """

    max_deletes: int = 10
    max_change_percent: int = 30
    window: timedelta = timedelta(hours=24)
    max_updates: int | None = None
    max_deletes_total: int | None = None

    def of_all_targets(self, of_one: int | None = None) -> int:
        """Return the limit on the deletes of all targets: 50, but not less than that of one target.

        An explicit limit stays as it is written.

        Args:
            of_one: The limit on one target that is given for this run.
        """
        if self.max_deletes_total is not None:
            return self.max_deletes_total
        return max(_MOST_DELETES_TOTAL, self.max_deletes, of_one or 0)


def _matches_any_level(glob: Glob, name: str) -> bool:
    """Whether a `hide` or `show` pattern matches a name; without a slash it matches any level of it."""
    if "/" in glob.text or glob.text == "**":
        return glob.matches(name)
    pattern = _expression(glob.text.lower())
    return any(pattern.match(f"/{level}") for level in name.lower().split("/") if level)


@dataclass(frozen=True, slots=True)
class Replication:
    """One document of the spec: a source, its targets and the rules."""

    name: str
    source: Source
    targets: tuple[Target, ...]
    include: tuple[Glob, ...]
    delete: DeleteMode
    exclude: tuple[Glob, ...] = ()
    holds: tuple[Hold, ...] = ()
    types: frozenset[str] = ALL_TYPES
    previous_names: tuple[str, ...] = ()
    id: str | None = None
    previous_ids: tuple[str, ...] = ()
    skip_sync: SkipSync = field(default_factory=SkipSync)
    kms: tuple[KeyRule, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    ignore_tags: tuple[str, ...] = ()
    add_tags: tuple[tuple[str, str], ...] = ()
    adopt: AdoptMode = AdoptMode.IDENTICAL
    grace: timedelta = timedelta(0)
    orphans: Orphans = Orphans.KEEP
    changed_outside: ChangedOutside = ChangedOutside.WITHHOLD
    limits: Limits = Limits()
    lifts: tuple[Lift, ...] = ()
    hide: tuple[Glob, ...] = ()
    show: tuple[Glob, ...] = ()
    where: Where | None = field(default=None, compare=False)
    limit_lines: Mapping[str, Where] = field(default_factory=dict, compare=False)
    hold_index: HoldIndex = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Index the holds."""
        object.__setattr__(self, "hold_index", HoldIndex(self.holds))

    def owner(self, source: Place) -> str:
        """Return the value of the owner tag of this replication's replicas."""
        return self.owners(source)[0]

    def owners(self, source: Place) -> tuple[str, ...]:
        """Return the owner tags of this replication: of the present name, then of earlier names."""
        names = (self.name, *self.previous_names)
        return tuple(f"{name}@{source.account}/{source.region}" for name in names)

    def claim(self, source: Place) -> Claim:
        """Return the owner tags and ids by which this replication recognises its replicas."""
        today = None if self.id is None else digest_id(self.id)
        return Claim(self.owners(source), frozenset({today, *map(digest_id, self.previous_ids)}))

    def included_by(self, name: str) -> Glob | None:
        """Return the first include pattern that matches a name."""
        return next((glob for glob in self.include if glob.matches(name)), None)

    def excluded_by(self, name: str) -> Glob | None:
        """Return the first exclude pattern that matches a name; it has priority over every include."""
        return next((glob for glob in self.exclude if glob.matches(name)), None)

    def rule_for(self, name: str, kind: str) -> Glob | None:
        """Return the include pattern that selects a source parameter; None when it is not selected."""
        if kind not in self.types or (self.exclude and self.excluded_by(name)):
            return None
        return self.included_by(name)

    def holds_on(self, names: Collection[str | None]) -> tuple[Hold, ...]:
        """Return the holds that match one of the names of sources, in the order of the spec.

        None is a name that is not known. Any hold may be meant for it, so each of them matches it.
        """
        found = {name: self.holds if name is None else self.hold_index.matching(name) for name in names}
        if len(found) == 1:
            return next(iter(found.values()))
        return tuple(hold for hold in self.holds if any(hold in holds for holds in found.values()))

    def patterns_without_effect(
        self, parameters: Iterable[tuple[str, str]], holding: Collection[str] | None = None
    ) -> list[tuple[str, Glob]]:
        """Return the patterns that decide about none of the given parameters, each with its key in the spec.

        A pattern decides about a name when it is the first one that matches: of `exclude`, else of `include`,
        and of `rewrite` where the name is selected.

        Args:
            parameters: The name and the type of each parameter of the source.
            holding: The patterns of `hold` that match an address of a target; None if not all are known.
        """
        deciding = {id(hold.match) for hold in self.holds if hold.match.text in (holding or ())}
        for name, kind in parameters:
            if kind not in self.types:
                continue
            rule = self.excluded_by(name)
            if rule is None and (rule := self.included_by(name)):
                rewrites = (self.rewrite_for(name, scope) for scope in RewriteIn)
                deciding.update(id(rewrite.match) for rewrite in rewrites if rewrite)
            deciding.add(id(rule))
        every = (
            *(("parameters.include", glob) for glob in self.include),
            *(("parameters.exclude", glob) for glob in self.exclude),
            *(("rewrite", rewrite.match) for rewrite in self.rewrites),
            *((HOLD_KEY, hold.match) for hold in self.holds if holding is not None),
        )
        return [(key, glob) for key, glob in every if id(glob) not in deciding]

    def rewrite_for(self, name: str, scope: RewriteIn) -> Rewrite | None:
        """Return the rewrite rule for a source parameter: the first that matches its name."""
        if not self.rewrites:
            return None
        return next((r for r in self.rewrites if r.scope is scope and r.match.matches(name)), None)

    def address(self, name: str, source: Place, place: Place, target: str) -> str:
        """Return the name of a replica in a target: the name of its source, unless a rewrite changes it.

        Args:
            name: The name of the source parameter.
            source: The place of the source.
            place: The place of the target.
            target: The name of the target.
        """
        rule = self.rewrite_for(name, RewriteIn.NAME)
        if rule is None:
            return name
        change = rule.substitution(source, place, target)
        return name.replace(change.old, change.new)

    def replicates_tag(self, key: str) -> bool:
        """Whether a tag is copied, added and removed by a run.

        Tags of AWS cannot be written, tags of ssm-reconcile hold the record, and the skip tag is about the
        parameter that has it.
        """
        if key.startswith((RESERVED_TAG_PREFIX, PREFIX)) or key == self.skip_sync.tag:
            return False
        if self.add_tags and any(key == added for added, _ in self.add_tags):
            return True
        return not self.ignore_tags or not any(fnmatchcase(key, pattern) for pattern in self.ignore_tags)

    def leaves_tag(self, key: str) -> bool:
        """Whether a tag of a replica stays as it is: it is of neither AWS, ssm-reconcile nor the source."""
        return not key.startswith((RESERVED_TAG_PREFIX, PREFIX)) and not self.replicates_tag(key)

    def shows(self, *names: str) -> bool:
        """Whether `show` matches each of the names: of a parameter, and of its source.

        Its plain value is shown then even if it looks like a secret, and in comments even if it is or was
        not that of a replica.
        """
        return all(any(_matches_any_level(glob, name) for glob in self.show) for name in names)

    def hides(self, name: str) -> bool:
        """Whether a plain value is hidden because its name looks like that of a secret."""
        if self.show and self.shows(name):
            return False
        return name_looks_secret(name) or any(_matches_any_level(glob, name) for glob in self.hide)

    def target(self, name: str) -> Target:
        """Return the target of a name; raise KeyError when there is none."""
        return {target.name: target for target in self.targets}[name]


@dataclass(frozen=True, slots=True)
class Run:
    """The options of one run, which have priority over the spec.

    None and False leave the value of the spec. `targets` and `only` narrow the run. `leave_out` has addresses
    of plans that were refused, or that wait for an approval: replication, target, name. `lift` adds lifts to
    those of the spec; both count with `lifts_allowed` only. `saved_lifts` has the sets that a saved plan
    lifted, by replication and lift (`str(lift)`). `without_hold` lifts a guard of `undo`.
    """

    verify_values: bool = False
    no_decrypt: bool = False
    targets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    adopt: AdoptMode | None = None
    overwrite_outside: bool = False
    allow_replace: bool = False
    allow_empty_source: bool = False
    allow_reversed: bool = False
    allow_exposure: bool = False
    max_deletes: int | None = None
    max_deletes_total: int | None = None
    max_change_percent: int | None = None
    parallelism: int = 8
    leave_out: frozenset[tuple[str, str, str]] = frozenset()
    lift: tuple[Lift, ...] = ()
    lifts_allowed: bool = False
    without_hold: bool = False
    saved_lifts: Mapping[tuple[str, str], frozenset[Member]] = field(default_factory=dict)
