"""Patterns of names -> findings about patterns that match nothing; whether two patterns share a name.

Two levels with a star in each always share a text when their beginnings and their ends agree, so comparing
two patterns needs no search. The number of pairs needs a limit (`comparisons_left`): 40 documents of 300
patterns are 70 million pairs, which take half a minute. A pattern that another one makes superfluous is a
finding of a plan, which knows the names; here only a literal duplicate is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby, takewhile

from ssm_reconcile.aws_limits import LEVEL_LIMIT, NAME_LIMIT, is_reserved_name, partition_of
from ssm_reconcile.load.messages import SpecFindings, echo, inline, name_hint
from ssm_reconcile.load.places import PlaceSpec
from ssm_reconcile.load.schema import NodeView, replication_schema
from ssm_reconcile.load.tree import ListNode, ScalarNode
from ssm_reconcile.model import Place, canonical

DEEP = "**"


@lru_cache(maxsize=32768)
def levels(pattern: str) -> tuple[str, ...]:
    """Return the levels of a pattern; `/a/**` matches names below `/a` and not `/a`, so it ends in `*`."""
    parts: list[str] = []
    for level in canonical(pattern)[1:].split("/"):
        if level != DEEP or parts[-1:] != [DEEP]:
            parts.append(level)
    return (*parts, "*") if parts[-1] == DEEP else tuple(parts)


@lru_cache(maxsize=32768)
def _literal_start(pattern: str) -> str:
    """Return the text that every name begins with which a pattern matches."""
    return canonical(pattern).split("*", 1)[0]


def overlaps(one: str, other: str) -> bool:
    """Whether a name may match both patterns; also yes where only names of over fifteen levels do."""
    a, b = levels(one), levels(other)
    if DEEP in a and DEEP in b:
        heads = zip(_head(a), _head(b), strict=False)
        tails = zip(_head(a[::-1]), _head(b[::-1]), strict=False)
        return all(_levels_overlap(x, y) for x, y in [*heads, *tails])
    narrow, wide = (a, b) if DEEP in b else (b, a)
    return _fits(narrow, wide, _levels_overlap)


def covers(wide: str, narrow: str) -> bool:
    """Whether `wide` matches every name that `narrow` matches; no where that is not certain."""
    return _fits(levels(narrow), levels(wide), _level_covers)


def _head(parts: Sequence[str]) -> list[str]:
    return list(takewhile(lambda level: level != DEEP, parts))


def _fits(fixed: Sequence[str], wide: Sequence[str], level_fits: Callable[[str, str], bool]) -> bool:
    """Whether the levels `fixed` fit under `wide`, whose `**` each stand for any number of levels.

    A `**` of `fixed` fits under a `**` only.
    """
    groups = [list(group) for is_deep, group in groupby(wide, DEEP.__eq__) if not is_deep]

    def fits_at(group: Sequence[str], at: int) -> bool:
        part = fixed[at : at + len(group)]
        return len(part) == len(group) and all(
            below != DEEP and level_fits(above, below) for above, below in zip(group, part, strict=True)
        )

    if DEEP not in wide:
        return len(fixed) == len(groups[0]) and fits_at(groups[0], 0)
    start, end = 0, len(fixed)
    if wide[0] != DEEP:
        if not fits_at(groups[0], 0):
            return False
        start = len(groups.pop(0))
    last = groups.pop()  # `levels` ends no pattern with `**`
    end -= len(last)
    if end < start or not fits_at(last, end):
        return False
    for group in groups:
        found = next((at for at in range(start, end - len(group) + 1) if fits_at(group, at)), None)
        if found is None:
            return False
        start = found + len(group)
    return True


def _levels_overlap(a: str, b: str) -> bool:
    """Whether a text may match two patterns of one level."""
    if "*" in a and "*" in b:
        heads = a.split("*", 1)[0], b.split("*", 1)[0]
        tails = a.rsplit("*", 1)[1], b.rsplit("*", 1)[1]
        return _agree(*heads) and _agree(tails[0][::-1], tails[1][::-1])
    return _level_covers(a, b) if "*" in a else _level_covers(b, a)


def _agree(a: str, b: str) -> bool:
    return a.startswith(b) or b.startswith(a)


def _level_covers(wide: str, narrow: str) -> bool:
    """Whether a pattern of one level matches every text that another one matches.

    A star of `narrow` counts as a character of its own: only a star of `wide` matches it, and then also all
    that it matches.
    """
    if wide == "*":
        return True
    head, *rest = wide.split("*")
    if not rest:
        return wide == narrow
    *middle, tail = rest
    if len(narrow) < len(head) + len(tail) or not narrow.startswith(head) or not narrow.endswith(tail):
        return False
    at, end = len(head), len(narrow) - len(tail)
    for part in middle:
        found = narrow.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


class PatternIndex:
    """Patterns, to find one that overlaps or covers another pattern; names without a star are looked up."""

    def __init__(self, patterns: Iterable[ScalarNode], findings: SpecFindings) -> None:
        self.all = list(patterns)
        self._findings = findings
        self._names = {canonical(one.text): one for one in reversed(self.all) if "*" not in one.text}
        self._wild = [one for one in self.all if "*" in one.text]

    def overlapping(self, pattern: str) -> ScalarNode | None:
        """Return a pattern that may match a name that `pattern` matches too; None beyond the limit."""
        among = self.all if "*" in pattern else self._wild
        return self._names.get(canonical(pattern)) or self._first(among, overlaps, pattern)

    def covering(self, pattern: str) -> ScalarNode | None:
        """Return a pattern that matches every name that `pattern` matches; None beyond the limit."""
        return self._names.get(canonical(pattern)) or self._first(self._wild, covers, pattern)

    def _first(
        self, among: Iterable[ScalarNode], holds: Callable[[str, str], bool], pattern: str
    ) -> ScalarNode | None:
        start = _literal_start(pattern)
        for one in among:
            # Patterns whose literal beginnings differ have no name in common. Most pairs end here.
            agree = _agree(start, _literal_start(one.text))
            self._findings.comparisons_left -= 80 if agree else 1
            if self._findings.comparisons_left < 0:
                return None
            if agree and holds(one.text, pattern):
                return one
        return None


def valid_patterns(view: NodeView) -> list[ScalarNode]:
    """Return the patterns of a list that may match a name."""
    return [one for one in view.texts() if pattern_error(one.text) is None]


def check_patterns(view: NodeView, source: PlaceSpec, findings: SpecFindings) -> None:
    """Report patterns that match no possible name, that are written twice, or that have no effect.

    Args:
        view: The node of the replication.
        source: The place of the source.
        findings: The list that the findings are added to.
    """
    rules = view.at("parameters")
    include = _checked(rules.at("include").texts(), source, findings)
    exclude = _checked(rules.at("exclude").texts(), source, findings)
    matches = [rule.at("match").text_node for rule in view.at("rewrite").each()]
    rewritten = _checked(filter(None, matches), source, findings)
    holding = [hold.at("match").text_node for hold in rules.at("hold").each()]
    _checked(filter(None, holding), source, findings)
    for key in ("hide", "show"):
        _checked(view.at(key).texts(), source, findings, any_level=True)
    selecting = _check_duplicates(include, exclude, findings)
    written = rules.at("include").node
    if selecting and isinstance(written, ListNode) and len(selecting) == len(written.items):
        # Otherwise an include is wrong or excluded, and what it was meant to select is not known.
        index = PatternIndex(selecting, findings)
        for code, patterns, words in (
            ("exclude-without-effect", exclude, "excludes nothing that `include` selects"),
            ("rewrite-without-effect", rewritten, "matches nothing that `include` selects"),
        ):
            for one in patterns:
                if index.overlapping(one.text) is None and findings.comparisons_left >= 0:
                    findings.warn(one.where, code, f"`{echo(one.text)}` {words}: correct or remove it")
    _check_rewrite_order(view, findings)


def _checked(
    patterns: Iterable[ScalarNode], source: PlaceSpec, findings: SpecFindings, *, any_level: bool = False
) -> list[ScalarNode]:
    """Report patterns that match no possible name; return the others.

    `any_level`: a pattern without a slash is compared with each level of a name.
    """
    valid: list[ScalarNode] = []
    for one in patterns:
        if any_level and "/" not in one.text:
            is_wrong = DEEP in one.text and one.text != DEEP
            wrong = "has `**` next to other text: write a single `*`" if is_wrong else None
        else:
            wrong = pattern_error(one.text) or _too_long(one.text, source.region)
        if wrong is None:
            valid.append(one)
        else:
            findings.error(one.where, "bad-pattern", f"`{echo(one.text)}` {wrong}")
    return valid


def _check_duplicates(
    include: Sequence[ScalarNode], exclude: Sequence[ScalarNode], findings: SpecFindings
) -> list[ScalarNode]:
    """Warn of an include that is written twice or excluded as a whole; return those that are not excluded."""
    excluded = {levels(one.text): one for one in reversed(exclude)}
    first: dict[tuple[str, ...], ScalarNode] = {}
    for one in include:
        key = levels(one.text)
        if key in excluded:
            there = f"`exclude` has the same pattern in line {excluded[key].where.line}"
            message = f"`{echo(one.text)}` selects nothing: {there}; remove one of them"
            findings.warn(one.where, "include-excluded", message)
        if key in first:
            line = first[key].where.line
            message = f"`{echo(one.text)}` is already written in line {line}: remove one of them"
            findings.warn(one.where, "include-covered", message)
        first.setdefault(key, one)
    return [one for one in include if levels(one.text) not in excluded]


def _check_rewrite_order(view: NodeView, findings: SpecFindings) -> None:
    """Warn of a rewrite with the pattern of an earlier one: only the first one that matches is applied."""
    earlier: dict[tuple[str, tuple[str, ...]], ScalarNode] = {}
    for rule in view.at("rewrite").each():
        match, scope = rule.at("match").text_node, rule.at("in").text or "value"
        if match is None:
            continue
        first = earlier.setdefault((scope, levels(match.text)), match)
        if first is not match:
            applied = f"the rule for `{echo(first.text)}` in line {first.where.line} is always applied first"
            message = f"`{echo(match.text)}`: {applied}: remove one of the two rules"
            findings.warn(match.where, "rewrite-covered", message)


def impossible(pattern: str) -> str | None:
    """Return why no parameter name matches a pattern, with what to write; None when a name may match.

    For patterns outside a spec. The answer is the one that a spec gets for the same text under `include`.
    """
    rule = replication_schema()["properties"]["parameters"]["properties"]["include"]["items"]
    if not pattern:
        return f"is empty: write for example {inline(rule['examples'][0])}"
    if not re.fullmatch(rule["pattern"], pattern):
        return f"must be {rule['patternErrorMessage']}{name_hint(pattern)}"
    return pattern_error(pattern) or _too_long(pattern, "us-east-1")


def impossible_name(name: str) -> str | None:
    """Return why no parameter has a name, with what to write instead; None when one may have it."""
    if "*" in name:
        return "is a pattern: write the name of one parameter"
    hint = name_hint(name)
    if hint:
        return f"is not a parameter name{hint}"
    if name.endswith("/") and "//" not in name and name != "/":
        return f"ends with a slash, as no name does: write `{echo(name.rstrip('/'))}`"
    if not name or re.fullmatch(r"[A-Za-z0-9_./-]+", name) is None:
        return "is not a parameter name: write letters, digits and _ . - / only, for example `/prod/db/url`"
    return impossible(canonical(name))


def pattern_error(pattern: str) -> str | None:
    """Return why AWS has no name that matches a pattern, with advice; None when it may.

    Source: user guide, "Requirements and constraints for parameter names".
    """
    if "//" in pattern or pattern == "/":
        return "has an empty level: write a single slash between two levels"
    if pattern.endswith("/"):
        return f"ends with a slash, as no name does: write `{echo(pattern)}**` for all names below it"
    if "/" in pattern and not pattern.startswith("/"):
        return f"has levels but no leading slash: write `/{echo(pattern)}`"
    parts = levels(pattern)
    if any(DEEP in level and level != DEEP for level in parts):
        return "has `**` next to other text: write it as a level of its own, as in `/a/**/b`, or a single `*`"
    if sum(level != DEEP for level in parts) > LEVEL_LIMIT:
        return f"has more than {LEVEL_LIMIT} levels, the limit of AWS: shorten it"
    if is_reserved_name(_literal_start(parts[0])):
        return "begins with aws or ssm, which AWS reserves, so it matches no parameter: write another pattern"
    return None


def _too_long(pattern: str, region: str | None) -> str | None:
    """Return the message for a pattern whose shortest name is too long for AWS in a region."""
    shortest = sum(1 + max(1, len(level.replace("*", ""))) for level in levels(pattern) if level != DEEP)
    region = region or "us-east-1"
    prefix = len(Place("123456789012", region, partition_of(region)).arn("/")) - 1
    if shortest + prefix <= NAME_LIMIT:
        return None
    limit = f"a name in {region} has at most {NAME_LIMIT - prefix} characters"
    return f"is too long: {limit}, and the shortest match has {shortest}; shorten it"
