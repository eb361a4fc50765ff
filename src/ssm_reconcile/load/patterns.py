"""The patterns of one document -> those that AWS could never match, hide each other or do nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ssm_reconcile.load.globs import DEEP, Effort, covers, levels, overlaps
from ssm_reconcile.load.grammar import replication_schema
from ssm_reconcile.load.name_hints import name_hint
from ssm_reconcile.load.nodes import Items, Scalar, View
from ssm_reconcile.load.notes import Notes, inline, shown
from ssm_reconcile.load.places import Spot
from ssm_reconcile.model import Place, canonical
from ssm_reconcile.partitions import partition_of

NAME_LIMIT = 1011
"""Characters of a name including the ARN prefix of its place (aws-facts B6)."""
LEVEL_LIMIT = 15


class Rules:
    """Patterns to be asked which of them meets another one; names without a star are looked up."""

    def __init__(self, patterns: Iterable[Scalar]) -> None:
        self.all = list(patterns)
        self._names: dict[str, Scalar] = {}
        self._wild: list[Scalar] = []
        for one in self.all:
            if "*" in one.text:
                self._wild.append(one)
            else:
                self._names.setdefault(canonical(one.text), one)

    def covering(self, pattern: str, effort: Effort) -> Scalar | None:
        """One that means all that `pattern` means."""
        named = self._names.get(canonical(pattern))
        if named is not None or effort.short:
            return named
        return next((one for one in self._wild if covers(one.text, pattern, effort)), None)

    def meeting(self, pattern: str, effort: Effort) -> Scalar | None:
        """One that means a name that `pattern` means too."""
        named = self._names.get(canonical(pattern))
        if named is not None or effort.short:
            return named
        others = self.all if "*" in pattern else self._wild
        return next((one for one in others if overlaps(one.text, pattern, effort)), None)


def sound_patterns(view: View) -> list[Scalar]:
    """The patterns of a list that could match something."""
    return [one for one in view.each_text() if fault(one.text) is None]


def check_patterns(view: View, source: Spot, notes: Notes, effort: Effort) -> None:
    """Notes what is wrong with the patterns of a document."""
    rules = view.at("parameters")
    include = _sound(rules.at("include").each_text(), source, notes)
    exclude = _sound(rules.at("exclude").each_text(), source, notes)
    matches = [rule.at("match").node for rule in view.at("rewrite").each() if rule.at("match")]
    rewritten = _sound([one for one in matches if isinstance(one, Scalar)], source, notes)
    for key in ("hide", "show"):
        _check_shown_names(view.at(key).each_text(), source, notes)
    selecting = _check_includes(include, exclude, notes, effort)
    if selecting and len(selecting) == _written(
        rules.at("include")
    ):  # else more may be selected than we know
        _check_effects(
            exclude, selecting, "exclude", "excludes nothing that `include` selects", notes, effort
        )
        _check_effects(
            rewritten, selecting, "rewrite", "matches nothing that `include` selects", notes, effort
        )
    _check_rewrite_order(view, notes, effort)


def _written(view: View) -> int:
    """The number of entries of a list, wrong ones included."""
    return len(view.node.items) if isinstance(view.node, Items) else 0


def _sound(patterns: Iterable[Scalar], source: Spot, notes: Notes) -> list[Scalar]:
    """The patterns that could match; the others are noted."""
    sound: list[Scalar] = []
    for one in patterns:
        wrong = fault(one.text) or _too_long(one.text, source.region)
        if wrong is None:
            sound.append(one)
        else:
            notes.error(one.where, "bad-pattern", f"`{shown(one.text)}` {wrong}")
    return sound


def impossible(pattern: str) -> str | None:
    """Return why no parameter name matches a pattern, and what to write; None when a name may match.

    For patterns outside a spec. The answer is the one that a spec gets for the same text under `include`.
    """
    rule = replication_schema()["properties"]["parameters"]["properties"]["include"]["items"]
    if not pattern:
        return f"is empty: write for example {inline(rule['examples'][0])}"
    if not re.fullmatch(rule["pattern"], pattern):
        return f"must be {rule['patternErrorMessage']}{name_hint(pattern)}"
    return fault(pattern) or _too_long(pattern, "us-east-1")


def impossible_name(name: str) -> str | None:
    """Return why no parameter has a name, and what to write instead; None when one may have it."""
    if "*" in name:
        return "is a pattern: write the name of one parameter"
    if name.endswith("/") and "//" not in name and name != "/":
        return f"ends with a slash, and names never do: write `{shown(name.rstrip('/'))}`"
    hint = name_hint(name)
    if hint:
        return f"is not a parameter name{hint}"
    if not name or re.fullmatch(r"[A-Za-z0-9_./-]+", name) is None:
        return "is not a parameter name: write letters, digits and _ . - / only, for example `/prod/db/url`"
    return impossible(canonical(name))


def fault(pattern: str) -> str | None:
    """Why AWS has no name that a pattern could match, and what to write; None when it may (aws-facts B6)."""
    if "//" in pattern or pattern == "/":
        return "has an empty level: write a single slash between two levels"
    if pattern.endswith("/"):
        return f"ends with a slash, and names never do: write `{shown(pattern)}**` for all that is below"
    if "/" in pattern and not pattern.startswith("/"):
        return f"has levels but no leading slash: write `/{shown(pattern)}`"
    parts = levels(pattern)
    if any(DEEP in level and level != DEEP for level in parts):
        return (
            "has `**` beside other text: make it a level of its own, as in `/a/**/b`, or write a single `*`"
        )
    if sum(level != DEEP for level in parts) > LEVEL_LIMIT:
        return f"has more than {LEVEL_LIMIT} levels, and AWS takes no more: shorten it"
    if parts[0].split("*", 1)[0].lower().startswith(("aws", "ssm")):
        return "begins with aws or ssm, which AWS keeps for itself: no parameter of yours has such a name"
    return None


def _too_long(pattern: str, region: str | None) -> str | None:
    """Whether even the shortest name of a pattern is too long where it would have to be."""
    shortest = sum(1 + max(1, len(level.replace("*", ""))) for level in levels(pattern) if level != DEEP)
    region = region or "us-east-1"
    prefix = len(Place("123456789012", region, partition_of(region)).arn("/")) - 1
    if shortest + prefix <= NAME_LIMIT:
        return None
    return (
        f"is too long for any name: {NAME_LIMIT - prefix} characters in {region}, and it means at least"
        f" {shortest}"
    )


def _check_shown_names(patterns: Iterable[Scalar], source: Spot, notes: Notes) -> None:
    """`hide` and `show`: without a slash, a pattern is compared with single levels of names."""
    for one in patterns:
        wrong = None
        if "/" in one.text:
            wrong = fault(one.text) or _too_long(one.text, source.region)
        elif DEEP in one.text and one.text != DEEP:
            wrong = "has `**` beside other text: write a single `*`"
        if wrong is not None:
            notes.error(one.where, "bad-pattern", f"`{shown(one.text)}` {wrong}")


def _check_includes(
    include: Sequence[Scalar], exclude: Sequence[Scalar], notes: Notes, effort: Effort
) -> list[Scalar]:
    """Includes that others cover or excludes hide; returns those that still select something."""
    selecting: list[Scalar] = []
    kept: list[Scalar] = []
    excluded = Rules(exclude)
    first: dict[str, Scalar] = {}
    for one in include:
        name = canonical(one.text)
        hidden = excluded.covering(one.text, effort)
        if hidden is None:
            selecting.append(one)
        else:
            message = (
                f"`{shown(one.text)}` selects nothing: `{shown(hidden.text)}` in line {hidden.where.line}"
                " excludes all of it"
            )
            notes.warn(one.where, "include-excluded", message)
        if name in first:
            message = f"`{shown(one.text)}` is in line {first[name].where.line} already: remove one of them"
            notes.warn(one.where, "include-covered", message)
        else:
            first[name] = one
            kept.append(one)
    wild = [one for one in kept if "*" in one.text]
    for one in () if effort.short else kept:
        wider = next((w for w in wild if w is not one and covers(w.text, one.text, effort)), None)
        if wider is not None and not (
            covers(one.text, wider.text, effort) and kept.index(one) < kept.index(wider)
        ):
            message = (
                f"`{shown(wider.text)}` in line {wider.where.line} includes all of `{shown(one.text)}`:"
                " remove this one"
            )
            notes.warn(one.where, "include-covered", message)
    return selecting


def _check_effects(
    rules: Iterable[Scalar], include: Sequence[Scalar], what: str, words: str, notes: Notes, effort: Effort
) -> None:
    """Rules that meet no include: most likely a typo, and an exclude that fails to exclude is a leak."""
    selected = Rules(include)
    for rule in rules:
        if selected.meeting(rule.text, effort) is None and not effort.short:
            notes.warn(
                rule.where, f"{what}-without-effect", f"`{shown(rule.text)}` {words}: mend or remove it"
            )


def _check_rewrite_order(view: View, notes: Notes, effort: Effort) -> None:
    """The first rule that matches decides: one that an earlier one covers never gets a turn."""
    earlier: dict[str, list[Scalar]] = {}
    for rule in view.at("rewrite").each():
        match, scope = rule.at("match").node, rule.at("in").text or "value"
        if not isinstance(match, Scalar) or not rule.at("match") or fault(match.text):
            continue
        before = earlier.setdefault(scope, [])
        wider = next((one for one in before if covers(one.text, match.text, effort)), None)
        if wider is not None:
            message = (
                f"`{shown(wider.text)}` in line {wider.where.line} matches all of `{shown(match.text)}`"
                " first: put this rule above it"
            )
            notes.warn(match.where, "rewrite-covered", message)
        before.append(match)
