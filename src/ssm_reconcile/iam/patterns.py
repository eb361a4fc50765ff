"""Path rules -> the ARNs of parameters as IAM spells them.

`/prod/**`     parameter/prod/*
`/a/**/b`      parameter/a/b and parameter/a/*/b
`/shared/*`    parameter/shared/*       (wider: in IAM a star runs through slashes)
`foo`          parameter/foo

The ARN of a parameter has no slash before its name besides the one that follows `parameter`
(aws-facts A2, D). Where a rewrite changes names, its result is among them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ssm_reconcile.model import Place, Substitution, canonical
from ssm_reconcile.spec import Glob, Replication, RewriteIn


def of_source(spec: Replication) -> list[str]:
    """What the include rules may select, without the leading slash; sorted, the covered left out."""
    return _least(pattern for glob in spec.include for pattern in spelled(glob))


def of_target(spec: Replication, source: Place, place: Place, target: str) -> list[str]:
    """Where what the include rules select may land in a target."""
    found = set(of_source(spec))
    for rule in spec.rewrites:
        if rule.scope is RewriteIn.NAME:
            change = rule.substitution(source, place, target)
            found |= {one for pattern in list(found) for one in rewritten(f"/{pattern}", change)}
    return _least(found)


def spelled(glob: Glob) -> set[str]:
    """One path rule in IAM's spelling: the least patterns that take in all it matches."""
    levels = canonical(glob.text)[1:].split("/")
    *inner, last = levels
    choices = [("*/", "") if level == "**" else (f"{level}/",) for level in inner]
    end = "*" if last == "**" else last
    return {"".join(parts) + end for parts in product(*choices)}


def rewritten(pattern: str, change: Substitution) -> set[str]:
    """The patterns of what names that a pattern takes in become by a rewrite, without leading slash.

    What lies within the pattern's own text is replaced; what lies within a star stays a star. Where the
    old text may begin in one and end in the other, all that follows is a star.
    """
    parts = [part.replace(change.old, change.new) for part in pattern.split("*")]
    found = {"*".join(parts)}
    head = ""
    for part in parts[:-1]:
        head += part
        cut = [k for k in range(1, len(change.old)) if part.endswith(change.old[:k])]
        if cut:
            found.add(head[: len(head) - max(cut)] + "*")
        head += "*"
    if any(part.startswith(change.old[k:]) for part in parts[1:] for k in range(1, len(change.old)) if part):
        found.add(parts[0] + "*")
    return {one.removeprefix("/") for one in found}


def _least(patterns: Iterable[str]) -> list[str]:
    """Sorted, without what another one that ends in a star takes in already."""
    every = set(patterns)
    return sorted(
        one
        for one in every
        if not any(other != one and other.endswith("*") and _covers(other, one) for other in every)
    )


def _covers(wide: str, narrow: str) -> bool:
    """Whether a pattern whose only star is its last character takes in another."""
    return wide.count("*") == 1 and narrow.startswith(wide[:-1])
