"""Documents -> findings about their meaning, beyond what a schema can express: one alone, then all together.

Each check reads a view of the tree, and skips the values that the schema has refused already.

Two replications share names when an include of one and an include of the other may match the same name and no
exclude of either hides it. Names that a rewrite changes are not compared: the patterns do not show where they
are written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from itertools import combinations, permutations

from ssm_reconcile.errors import Where
from ssm_reconcile.load.messages import SpecFindings, advise_name, echo, quote, unknown_placeholder
from ssm_reconcile.load.patterns import PatternIndex, check_patterns, levels, valid_patterns
from ssm_reconcile.load.places import PlaceKey, PlaceSpec, check_keys, check_places, places_of
from ssm_reconcile.load.schema import NodeView
from ssm_reconcile.load.tree import ScalarNode
from ssm_reconcile.record import PREFIX
from ssm_reconcile.skip_sync import SkipSync
from ssm_reconcile.spec import ALL_TYPES, NO_ID_REMEDY, PLACEHOLDER, PLACEHOLDERS, fill_placeholders

_TAG_SIGNS = frozenset("_.:/=+-@")
_NAME_TEXT = re.compile(r"[A-Za-z0-9_./-]*")


def check_document(view: NodeView, findings: SpecFindings) -> None:
    """Report the errors in the meaning of one document on its own."""
    source, targets = places_of(view)
    check_places(view, findings)
    check_patterns(view, source, findings)
    check_keys(view, findings)
    _check_names(view, findings)
    _check_skip_sync(view, targets, findings)
    _check_rewrites(view.at("rewrite"), source, targets, findings)
    _check_tags(view, findings)
    _check_holds(view.at("parameters", "hold"), findings)
    _check_lifts(view.at("lifts"), targets, findings)


def _check_lifts(view: NodeView, targets: Sequence[PlaceSpec], findings: SpecFindings) -> None:
    names = [target.name for target in targets]
    for lift in view.each():
        target = lift.at("target").text_node
        if target is not None and all(names) and target.text not in names:
            message = f"no target has the name `{echo(target.text)}`: {advise_name(target.text, names)}"
            findings.error(target.where, "lift-unknown-target", message)
        _check_date(lift.at("until").text_node, findings)


def _check_holds(view: NodeView, findings: SpecFindings) -> None:
    """Report dates that do not exist, and two holds with the same pattern: one ends last, by accident."""
    first: dict[tuple[str, ...], ScalarNode] = {}
    for hold in view.each():
        _check_date(hold.at("until").text_node, findings)
        match = hold.at("match").text_node
        if match is None:
            continue
        earlier = first.setdefault(levels(match.text), match)
        if earlier is not match:
            message = f"`{echo(match.text)}` is already held in line {earlier.where.line}: keep one entry"
            findings.error(match.where, "hold-repeated", message)


def _check_date(scalar: ScalarNode | None, findings: SpecFindings) -> None:
    """Report a text in the form of a date that is not a day of the calendar."""
    if scalar is None:
        return
    try:
        date.fromisoformat(scalar.text)
    except ValueError:
        message = f"{quote(scalar.text)} is not a date: write year, month and day, such as 2026-12-24"
        findings.error(scalar.where, "bad-date", message)


def _check_names(view: NodeView, findings: SpecFindings) -> None:
    for former in view.at("previous_names").texts():
        if former.text == view.at("name").text:
            message = f"`previous_names` holds the present name {echo(former.text)}: remove it"
            findings.error(former.where, "previous-name-is-name", message)
    for former in view.at("previous_ids").texts():
        if former.text == view.at("id").text:
            message = f"`previous_ids` holds the present id {echo(former.text)}: remove it"
            findings.error(former.where, "previous-id-is-id", message)
    orphans = view.at("orphans")
    if orphans.text == "delete" and view.at("id").node is None:
        why = "since another spec with the same name may own the orphans"
        message = (
            f"`orphans: delete` needs an `id`, {why}: without it their deletes are withheld. {NO_ID_REMEDY}"
        )
        findings.defer(orphans.where, "no-id", message)


def _is_tag_text(scalar: ScalarNode, what: str, findings: SpecFindings, extra: str = "") -> bool:
    """Whether AWS takes a text as the key or the value of a tag (API reference, Tag); otherwise reports it.

    `extra` holds the characters that are allowed in addition.
    """
    for char in scalar.text:
        if not (unicodedata.category(char)[0] in "LNZ" or char in _TAG_SIGNS or char in extra):
            wrong = f"{what} {quote(scalar.text)} has `{echo(char)}`, which AWS does not allow in tags"
            message = f"{wrong}: write letters, digits, spaces and _ . : / = + - @ only"
            findings.error(scalar.where, "bad-tag", message)
            return False
    return True


def _is_reserved(scalar: ScalarNode, findings: SpecFindings) -> bool:
    """Whether a tag key belongs to AWS or to ssm-reconcile; reports it if so."""
    for prefix, whose in (("aws:", "AWS"), (PREFIX, "ssm-reconcile itself")):
        if scalar.text.lower().startswith(prefix):
            message = f"the tag key {quote(scalar.text)} is reserved for {whose}: write another key"
            findings.error(scalar.where, "reserved-tag", message)
            return True
    return False


def _skip_tag(view: NodeView) -> SkipSync:
    """Return the opt-out tag of a document; one without a key where the key in the document is wrong."""
    tag = view.at("skip_sync", "tag")
    exceptions = tuple(one.text for one in view.at("skip_sync", "ignore").texts())
    return SkipSync(tag.text or ("" if tag.node else SkipSync().tag), ignore=exceptions)


def _check_skip_sync(view: NodeView, targets: Iterable[PlaceSpec], findings: SpecFindings) -> None:
    tag = view.at("skip_sync", "tag").text_node
    if tag is not None and _is_tag_text(tag, "the tag key", findings):
        _is_reserved(tag, findings)
    _check_ignored_keys(view, findings)
    names = {target.name for target in targets}
    for value in view.at("skip_sync", "values").texts():
        if not _is_tag_text(value, "the tag value", findings):
            continue
        if value.text in {"any", "targets"}:
            text = value.text
            message = (
                f"`values: [{text}]` is the tag value {quote(text)}: for the mode write `values: {text}`"
            )
            findings.warn(value.where, "skip-value-is-mode", message)
        elif value.text in names:
            message = f"{echo(value.text)} is a target: to skip single targets write `values: targets`"
            findings.warn(value.where, "skip-value-is-target", message)


def _check_ignored_keys(view: NodeView, findings: SpecFindings) -> None:
    """Warn of ignored keys without effect: the skip tag itself, and keys that do not resemble it."""
    skip = SkipSync(view.at("skip_sync", "tag").text or SkipSync().tag)
    for key in view.at("skip_sync", "ignore").texts():
        if skip.near_misses([key.text]):
            continue
        what = f"does not resemble the skip tag {quote(skip.tag)}"
        if key.text == skip.tag:
            what = "is the skip tag itself"
        message = f"{quote(key.text)} {what}, so ignoring it has no effect: remove it"
        findings.warn(key.where, "skip-ignore-without-effect", message)


def _check_rewrites(
    view: NodeView, source: PlaceSpec, targets: Sequence[PlaceSpec], findings: SpecFindings
) -> None:
    for rule in view.each():
        old, new = rule.at("from").text_node, rule.at("to").text_node
        texts = [one for one in (old, new) if one is not None]
        valid = [_has_known_placeholders(one, findings) for one in texts]
        if old is None or new is None or not all(valid):
            continue
        filled = [(_filled(old, source, target), _filled(new, source, target)) for target in targets]
        if old.text == new.text or (filled and all(a == b for a, b in filled)):
            message = f"`to` is the same text as `from`, {quote(old.text)}: change it, or remove the rule"
            findings.error(new.where, "rewrite-without-change", message)
        if rule.at("in").text == "name":
            for one in texts:
                _check_name_text(one, findings)


def _has_known_placeholders(scalar: ScalarNode, findings: SpecFindings) -> bool:
    """Whether a text has no unknown placeholder; reports the first five."""
    unknown = [found for found in PLACEHOLDER.findall(scalar.text) if found not in PLACEHOLDERS]
    for found in unknown[:5]:
        findings.error(scalar.where, "unknown-placeholder", unknown_placeholder(found, PLACEHOLDERS))
    return not unknown


def _filled(scalar: ScalarNode, source: PlaceSpec, target: PlaceSpec) -> str:
    """Return a text with the placeholders filled in whose values the spec has."""
    values = (source.region, source.account, target.region, target.account, target.name)
    return fill_placeholders(scalar.text, values)


def _check_name_text(scalar: ScalarNode, findings: SpecFindings) -> None:
    """Report a text that a rewrite of names finds or writes and that no name can hold.

    The value of each placeholder can be in a name, and has no slash.
    """
    filled = PLACEHOLDER.sub("x", scalar.text)
    if not _NAME_TEXT.fullmatch(filled):
        message = f"{quote(scalar.text)} cannot be in a name: write letters, digits and _ . - / only"
    elif "//" in filled:
        message = f"{quote(scalar.text)} has an empty level: write a single slash"
    else:
        return
    findings.error(scalar.where, "bad-name-text", message)


def _check_tags(view: NodeView, findings: SpecFindings) -> None:
    ignored = [
        one for one in view.at("tags", "ignore").texts() if _is_tag_text(one, "the tag key", findings, "*")
    ]
    skip = _skip_tag(view)
    for key, value in view.at("tags", "add").pairs():
        if value.text_node is not None:
            _is_tag_text(value.text_node, "the tag value", findings)
        if not _is_tag_text(key, "the tag key", findings) or _is_reserved(key, findings):
            continue
        if key.text == skip.tag or skip.near_misses([key.text]):
            what = f"is {'' if key.text == skip.tag else 'almost '}the skip tag"
            message = f"{quote(key.text)} {what} and would opt out every replica: write another key"
            findings.error(key.where, "added-skip-tag", message)
        rule = next((one for one in ignored if fnmatchcase(key.text, one.text)), None)
        if rule is not None:
            ignored_by = f"{quote(rule.text)}, line {rule.where.line}"
            message = f"{quote(key.text)} is also ignored ({ignored_by}): remove one of them"
            findings.error(key.where, "added-tag-ignored", message)


@dataclass(frozen=True, slots=True)
class DocumentOutline:
    """The valid parts of one document that are compared with those of other documents."""

    name: str
    where: Where
    source: PlaceSpec
    targets: dict[PlaceKey, PlaceSpec]
    include: list[ScalarNode]
    exclude: list[ScalarNode]
    types: frozenset[str]
    renamed: list[ScalarNode]
    former: list[ScalarNode]


def _outline(view: NodeView) -> DocumentOutline:
    rules, named = view.at("parameters"), view.at("name")
    source, targets = places_of(view)
    listed = frozenset(one.text for one in rules.at("types").texts())
    renames = [rule for rule in view.at("rewrite").each() if rule.at("in").text == "name"]
    return DocumentOutline(
        name=named.text or "",
        where=named.where if named else view.where,
        source=source,
        targets={one.key: one for one in reversed(targets) if one.key is not None},
        include=valid_patterns(rules.at("include")),
        exclude=valid_patterns(rules.at("exclude")),
        types=listed & ALL_TYPES or ALL_TYPES,
        renamed=[match for rule in renames if (match := rule.at("match").text_node)],
        former=list(view.at("previous_names").texts()),
    )


def check_documents(views: Sequence[NodeView], findings: SpecFindings) -> None:
    """Report conflicts between the documents of one load: names, targets in common, circles of places."""
    outlines = [_outline(view) for view in views]
    for one, other in combinations(outlines, 2):
        _check_owners(one, other, findings)
    circles: set[frozenset[int]] = set()
    for (i, one), (j, other) in permutations(enumerate(outlines), 2):
        if {i, j} not in circles and _check_chain(one, other, findings):
            circles.add(frozenset({i, j}))
    for one, other in combinations(outlines, 2):
        _check_targets(one, other, findings)
    if findings.comparisons_left < 0 and outlines:
        message = "too many patterns to compare all pairs: some overlaps may not be reported"
        findings.warn(outlines[0].where, "too-many-to-compare", message)


def _check_owners(one: DocumentOutline, other: DocumentOutline, findings: SpecFindings) -> None:
    """Report a name that two replications of one source have: each would own the replicas of the other."""
    if not one.source.may_be(other.source):
        return
    if one.name and one.name == other.name:
        message = (
            f"`{echo(other.name)}` is the name of another replication of this source ({one.where}): write"
            " another name; if the sources are in two accounts, write `account` in both"
        )
        findings.error(other.where, "duplicate-name", message)
    for mine, their in ((one, other), (other, one)):
        for former in mine.former:
            if former.text == their.name:
                owner = f"another replication of this source ({their.where})"
                message = (
                    f"`{echo(former.text)}` is the name of {owner}: both would own its replicas; remove it"
                )
                findings.error(former.where, "previous-name-in-use", message)
    shared = {former.text for former in one.former}
    for former in other.former:
        if former.text in shared:
            shared_name = f"the previous name `{echo(former.text)}` too"
            message = f"`{echo(one.name)}` has {shared_name}: both own its replicas; keep it in one of them"
            findings.warn(former.where, "previous-name-shared", message, (one.name, other.name))


def _check_chain(one: DocumentOutline, other: DocumentOutline, findings: SpecFindings) -> bool:
    """Report a target of one that is the source of the other: replicas are not replicated further.

    Returns whether it is a circle, which is an error of both.
    """
    shared = _shared(one, other, findings) if other.source.key in one.targets else None
    if shared is None:
        return False
    mine, their = shared
    is_circle = one.source.key in other.targets
    fed = f"`{echo(one.name)}` writes to {other.source}, the source of `{echo(other.name)}`"
    both = f"both select the same names (`{echo(mine.text)}` at {mine.where}, `{echo(their.text)}`)"
    if is_circle:
        message = f"{fed}, and the reverse, and {both}: change the patterns so that no name matches both"
        findings.error(their.where, "feed-each-other", message)
    else:
        message = f"{fed}, and {both}: replicas are not replicated again; list all targets in one replication"
        findings.warn(their.where, "feeds-another", message, (one.name, other.name))
    return is_circle


def _check_targets(one: DocumentOutline, other: DocumentOutline, findings: SpecFindings) -> None:
    """Warn of names that two replications both write in one target."""
    common = one.targets.keys() & other.targets.keys()
    shared = _shared(one, other, findings) if common else None
    if shared is None:
        return
    mine, their = shared
    both = (
        f"`{echo(one.name)}` (`{echo(mine.text)}` at {mine.where}) and `{echo(other.name)}`"
        f" (`{echo(their.text)}`) write the same names in {other.targets[min(common, key=str)]}"
    )
    message = f"{both}: the second run reports a conflict; change the patterns so that no name matches both"
    findings.warn(their.where, "targets-overlap", message, (one.name, other.name))


def _shared(
    one: DocumentOutline, other: DocumentOutline, findings: SpecFindings
) -> tuple[ScalarNode, ScalarNode] | None:
    """Return two includes that may match the same name, for a type that both replicate.

    None also when the limit of comparisons is reached.
    """
    if findings.comparisons_left < 0 or not one.types & other.types:
        return None
    excluded = PatternIndex((*one.exclude, *other.exclude), findings)
    theirs = PatternIndex(_selecting(other, excluded, findings), findings)
    for mine in _selecting(one, excluded, findings):
        met = theirs.overlapping(mine.text)
        if met is not None:
            return mine, met
    return None


def _selecting(one: DocumentOutline, excluded: PatternIndex, findings: SpecFindings) -> list[ScalarNode]:
    """Return the includes that neither side excludes as a whole and whose names no rewrite changes."""
    renamed = PatternIndex(one.renamed, findings)
    return [
        rule
        for rule in one.include
        if excluded.covering(rule.text) is None and renamed.overlapping(rule.text) is None
    ]
