"""One document -> what is wrong with its meaning, beyond what a schema can say.

Every check asks a view of the tree, and stays silent where the schema has complained already.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from ssm_reconcile.load.globs import Effort
from ssm_reconcile.load.keys import check_keys
from ssm_reconcile.load.nodes import Scalar, View
from ssm_reconcile.load.notes import Notes, did_you_mean, quoted, shown
from ssm_reconcile.load.patterns import check_patterns
from ssm_reconcile.load.places import Spot, check_places, spots
from ssm_reconcile.record import PREFIX
from ssm_reconcile.skip_tag import SkipSync
from ssm_reconcile.spec import NO_ID_REMEDY

PLACEHOLDERS = ("{source.region}", "{source.account}", "{target.region}", "{target.account}", "{target.name}")
_PLACEHOLDER = re.compile(r"\{[A-Za-z][A-Za-z0-9_.-]*\}")
_TAG_SIGNS = frozenset("_.:/=+-@")
_NAME_TEXT = re.compile(r"[A-Za-z0-9_./-]*")


def check_meaning(view: View, notes: Notes, effort: Effort) -> None:
    """Notes what is wrong with one document on its own."""
    source, targets = spots(view)
    check_places(view, notes)
    check_patterns(view, source, notes, effort)
    check_keys(view, source, targets, notes)
    _names(view, notes)
    _skip_sync(view.at("skip_sync"), targets, notes)
    _rewrites(view.at("rewrite"), source, targets, notes)
    _tags(view, notes)


def _names(view: View, notes: Notes) -> None:
    name = view.at("name").text
    for former in view.at("previous_names").each_text():
        if former.text == name:
            message = f"`previous_names` holds the name of today, {shown(former.text)}: remove it here"
            notes.error(former.where, "previous-name-is-name", message)
    today = view.at("id").text
    for former in view.at("previous_ids").each_text():
        if former.text == today:
            message = f"`previous_ids` holds the id of today, {shown(former.text)}: remove it here"
            notes.error(former.where, "previous-id-is-id", message)
    orphans = view.at("orphans")
    if orphans.text == "delete" and view.at("id").node is None:
        message = (
            "`orphans: delete` needs an `id`, since another spec with the same name may own the orphans;"
            f" until then their deletes are withheld. {NO_ID_REMEDY}"
        )
        notes.defer(orphans.where, "no-id", message)


def tag_fault(text: str, extra: str = "") -> str | None:
    """The first character that AWS does not take in a tag's key or value (aws-facts A1.3)."""
    for char in text:
        if not (unicodedata.category(char)[0] in "LNZ" or char in _TAG_SIGNS or char in extra):
            return char
    return None


def _check_tag_text(scalar: Scalar, what: str, notes: Notes, extra: str = "") -> bool:
    fault = tag_fault(scalar.text, extra)
    if fault is not None:
        message = (
            f"{what} {quoted(scalar.text)} has `{shown(fault)}`, which AWS does not take in tags: write"
            " letters, digits, spaces and _ . : / = + - @ only"
        )
        notes.error(scalar.where, "bad-tag", message)
    return fault is None


def _reserved(scalar: Scalar, notes: Notes) -> bool:
    """Whether a tag key belongs to AWS or to us."""
    for prefix, whose in (("aws:", "AWS"), (PREFIX, "ssm-reconcile itself")):
        if scalar.text.lower().startswith(prefix):
            message = f"the tag key {quoted(scalar.text)} is reserved for {whose}: write another key"
            notes.error(scalar.where, "reserved-tag", message)
            return True
    return False


def _skip_sync(view: View, targets: Iterable[Spot], notes: Notes) -> None:
    tag = view.at("tag").node
    if isinstance(tag, Scalar) and view.at("tag").text and _check_tag_text(tag, "the tag key", notes):
        _reserved(tag, notes)
    _ignored_tags(view, view.at("tag").text or SkipSync().tag, notes)
    names = {target.name for target in targets}
    for value in view.at("values").each_text():
        if not _check_tag_text(value, "the tag value", notes):
            continue
        if value.text in {"any", "targets"}:
            message = (
                f"`values: [{value.text}]` means the tag value {quoted(value.text)}: for the mode write"
                f" `values: {value.text}`"
            )
            notes.warn(value.where, "skip-value-is-mode", message)
        elif value.text in names:
            message = (
                f"{shown(value.text)} is the name of a target: to skip single targets write `values: targets`"
            )
            notes.warn(value.where, "skip-value-is-target", message)


def _ignored_tags(view: View, tag: str, notes: Notes) -> None:
    """Warn of ignored keys that change nothing: the skip tag itself, and keys that do not look like it."""
    for key in view.at("ignore").each_text():
        if SkipSync(tag).near_misses([key.text]):
            continue
        what = (
            "is the skip tag itself" if key.text == tag else f"does not look like the skip tag {quoted(tag)}"
        )
        message = f"{quoted(key.text)} {what}, so ignoring it has no effect: remove it"
        notes.warn(key.where, "skip-ignore-without-effect", message)


def _rewrites(view: View, source: Spot, targets: list[Spot], notes: Notes) -> None:
    for rule in view.each():
        texts = [rule.at(key).node for key in ("from", "to")]
        sound = [one for one in texts if isinstance(one, Scalar) and _check_placeholders(one, notes)]
        old, new = rule.at("from").text, rule.at("to").text
        if len(sound) < len(texts) or old is None or new is None:
            continue
        _check_effect(rule, old, new, source, targets, notes)
        if rule.at("in").text == "name":
            _check_name_text(sound, source, targets, notes)


def _check_placeholders(scalar: Scalar, notes: Notes) -> bool:
    unknown = [word for word in _PLACEHOLDER.findall(scalar.text) if word not in PLACEHOLDERS]
    for word in unknown[:5]:
        message = f"{quoted(word)} is not a placeholder: {did_you_mean(word, PLACEHOLDERS)}"
        notes.error(scalar.where, "unknown-placeholder", message)
    return not unknown


def _filled(text: str, source: Spot, target: Spot) -> str:
    """The text with the placeholders filled in that the spec alone can fill."""
    known = {
        "{source.region}": source.region,
        "{source.account}": source.account,
        "{target.region}": target.region,
        "{target.account}": target.account,
        "{target.name}": target.name,
    }
    return _PLACEHOLDER.sub(lambda found: known.get(found[0]) or found[0], text)


def _check_effect(rule: View, old: str, new: str, source: Spot, targets: list[Spot], notes: Notes) -> None:
    same = [_filled(old, source, target) == _filled(new, source, target) for target in targets]
    if old == new or (same and all(same)):
        message = (
            f"`to` is the same text as `from`, {quoted(old)}: write what takes its place, or remove the rule"
        )
        notes.error(rule.at("to").where, "rewrite-without-change", message)


def _check_name_text(texts: list[Scalar], source: Spot, targets: list[Spot], notes: Notes) -> None:
    """A name rewrite may look for, and make, only what can stand in a name."""
    for scalar in texts:
        for target in targets or [source]:
            filled = _PLACEHOLDER.sub("x", _filled(scalar.text, source, target))
            if not _NAME_TEXT.fullmatch(filled):
                message = (
                    f"{quoted(scalar.text)} cannot stand in a name: write letters, digits and _ . - / only"
                )
            elif "//" in filled:
                message = f"{quoted(scalar.text)} has an empty level: write a single slash"
            else:
                continue
            notes.error(scalar.where, "bad-name-text", message)
            break


def _tags(view: View, notes: Notes) -> None:
    ignored = [
        one
        for one in view.at("tags", "ignore").each_text()
        if _check_tag_text(one, "the tag key", notes, "*")
    ]
    skip_tag = view.at("skip_sync", "tag").text or ("" if view.at("skip_sync", "tag").node else "skip_sync")
    exceptions = tuple(one.text for one in view.at("skip_sync", "ignore").each_text())
    skip = SkipSync(skip_tag, ignore=exceptions)
    for key, value in view.at("tags", "add").pairs():
        if isinstance(value.node, Scalar) and value.text is not None:
            _check_tag_text(value.node, "the tag value", notes)
        if not _check_tag_text(key, "the tag key", notes) or _reserved(key, notes):
            continue
        if key.text == skip_tag or skip.near_misses([key.text]):
            almost = "" if key.text == skip_tag else "almost "
            message = (
                f"{quoted(key.text)} is {almost}the skip_sync tag: it would opt every replica out;"
                " write another key"
            )
            notes.error(key.where, "added-skip-tag", message)
        for rule in ignored:
            if _ignores(rule.text, key.text):
                message = (
                    f"{quoted(key.text)} is also ignored ({quoted(rule.text)}, line {rule.where.line}):"
                    " remove one of them"
                )
                notes.error(key.where, "added-tag-ignored", message)
                break


def _ignores(pattern: str, key: str) -> bool:
    parts = [f"(?>[^\\n]*?{re.escape(part)})" for part in pattern.split("*")[1:-1] if part]
    if "*" not in pattern:
        return pattern == key
    head, tail = pattern.split("*", 1)[0], pattern.rsplit("*", 1)[1]
    return re.fullmatch(f"{re.escape(head)}{''.join(parts)}.*{re.escape(tail)}", key, re.DOTALL) is not None
