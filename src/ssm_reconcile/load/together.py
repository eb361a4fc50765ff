"""All documents of one load -> where they get in each other's way.

Two replications share names when an include of one and an include of the other could mean the same
name and neither one's excludes hide it. Names that a rewrite changes are left out: where they land is
not in the patterns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from ssm_reconcile.errors import Where
from ssm_reconcile.load.globs import Effort, overlaps
from ssm_reconcile.load.nodes import Scalar, View
from ssm_reconcile.load.notes import Notes, shown
from ssm_reconcile.load.patterns import Rules, sound_patterns
from ssm_reconcile.load.places import PlaceKey, Spot, spots

ALL_TYPES = frozenset({"String", "StringList", "SecureString"})


@dataclass(frozen=True, slots=True)
class Outline:
    """What the comparison needs to know of one document."""

    name: str
    where: Where
    source: Spot
    targets: dict[PlaceKey, Spot]
    include: tuple[Scalar, ...]
    exclude: tuple[Scalar, ...]
    types: frozenset[str]
    renamed: tuple[str, ...]
    former: tuple[Scalar, ...]


def outline(view: View) -> Outline:
    """The outline of a document, of as much of it as is sound."""
    rules = view.at("parameters")
    named = view.at("name")
    source, targets = spots(view)
    listed = frozenset(one.text for one in rules.at("types").each_text())
    return Outline(
        name=named.text or "",
        where=named.where if named else view.where,
        source=source,
        targets={one.key: one for one in reversed(targets) if one.key is not None},
        include=tuple(sound_patterns(rules.at("include"))),
        exclude=tuple(sound_patterns(rules.at("exclude"))),
        types=listed & ALL_TYPES or ALL_TYPES,
        renamed=tuple(
            text
            for rule in view.at("rewrite").each()
            if rule.at("in").text == "name" and (text := rule.at("match").text)
        ),
        former=tuple(view.at("previous_names").each_text()),
    )


def check_together(outlines: Sequence[Outline], notes: Notes, effort: Effort) -> None:
    """Notes what is wrong between documents."""
    _check_names(outlines, notes)
    circles: set[frozenset[int]] = set()
    for (i, one), (j, other) in permutations(enumerate(outlines), 2):
        if not effort.short:
            _check_feeding(one, other, frozenset({i, j}), circles, notes, effort)
    for one, other in combinations(outlines, 2):
        if not effort.short:
            _check_same_target(one, other, notes, effort)
    if effort.short and outlines:
        message = "there are too many patterns to compare each with each: not all overlaps were looked for"
        notes.warn(outlines[0].where, "too-many-to-compare", message)


def _check_names(outlines: Sequence[Outline], notes: Notes) -> None:
    """A name, of today or of yesterday, makes replicas ours: at one source it may belong to one only."""
    for one, other in combinations(outlines, 2):
        if not one.source.may_be(other.source):
            continue
        if one.name and one.name == other.name:
            message = (
                f"`{shown(other.name)}` is the name of another replication of this source ({one.where}):"
                " write another; if they are in two accounts, write `account` at both sources"
            )
            notes.error(other.where, "duplicate-name", message)
        for mine, their in ((one, other), (other, one)):
            for former in mine.former:
                if former.text == their.name:
                    message = (
                        f"`{shown(former.text)}` is the name of another replication of this source"
                        f" ({their.where}): both would own its replicas; remove it"
                    )
                    notes.error(former.where, "previous-name-in-use", message)
        shared = {former.text for former in one.former}
        for former in other.former:
            if former.text in shared:
                message = (
                    f"`{shown(one.name)}` had the name `{shown(former.text)}` as well: both own its"
                    " replicas, and each calls what only the other places an orphan"
                )
                notes.warn(former.where, "previous-name-shared", message, (one.name, other.name))


def _check_feeding(
    one: Outline,
    other: Outline,
    pair: frozenset[int],
    circles: set[frozenset[int]],
    notes: Notes,
    effort: Effort,
) -> None:
    """A target of one that is the source of the other: replicas are not replicated further."""
    if other.source.key not in one.targets or pair in circles:
        return
    shared = _shared(one, other, effort)
    if shared is None:
        return
    mine, their = shared
    fed = f"`{shown(one.name)}` writes to {other.source}, from where `{shown(other.name)}` reads"
    both = f"(`{shown(mine.text)}` at {mine.where}, `{shown(their.text)}`)"
    if one.source.key in other.targets:
        circles.add(pair)
        message = (
            f"{fed}, and the other way round, with names in common {both}: make the patterns tell them apart"
        )
        notes.error(their.where, "feed-each-other", message)
    else:
        message = (
            f"{fed}, with names in common {both}: replicas are not replicated further; list all targets in"
            " one replication"
        )
        notes.warn(their.where, "feeds-another", message, (one.name, other.name))


def _check_same_target(one: Outline, other: Outline, notes: Notes, effort: Effort) -> None:
    common = sorted(key for key in one.targets.keys() & other.targets.keys())
    if not common:
        return
    shared = _shared(one, other, effort)
    if shared is None:
        return
    mine, their = shared
    place = other.targets[common[0]]
    message = (
        f"`{shown(one.name)}` (`{shown(mine.text)}` at {mine.where}) and `{shown(other.name)}`"
        f" (`{shown(their.text)}`) place names in common in {place}:"
        " the second to come would find a conflict; make the patterns tell them apart"
    )
    notes.warn(their.where, "targets-overlap", message, (one.name, other.name))


def _shared(one: Outline, other: Outline, effort: Effort) -> tuple[Scalar, Scalar] | None:
    """Two includes that could mean the same name, for a type that both replicate."""
    if not one.types & other.types:
        return None
    excluded = Rules((*one.exclude, *other.exclude))
    theirs = Rules(_kept(other, excluded, effort))
    for mine in _kept(one, excluded, effort):
        met = theirs.meeting(mine.text, effort)
        if met is not None:
            return mine, met
    return None


def _kept(one: Outline, excluded: Rules, effort: Effort) -> list[Scalar]:
    """The includes that neither side excludes as a whole and no rewrite moves."""
    return [
        rule
        for rule in one.include
        if excluded.covering(rule.text, effort) is None
        and not any(overlaps(match, rule.text, effort) for match in one.renamed)
    ]
