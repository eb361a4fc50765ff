"""A plan of a run with `--only` -> the same plan, with a finding for each pattern that matches nothing.

A pattern counts as matched when it matches a selected parameter or a replica of any replication. For one
that matches nothing the nearest path is offered. It is found level by level, so a wrong pattern costs one
pass over the names for each of its levels.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import Plan, ReplicationPlan
from ssm_reconcile.spec import Glob

CODE = "only-matches-nothing"
COMPARED = 1000
"""Siblings that are compared with a misspelt level: each comparison is quadratic in its length."""


def report_unmatched(plan: Plan, parts: Iterable[ReplicationPlan], names: Iterable[str]) -> Plan:
    """Return the plan with a warning for each pattern that no part has matched; `names` may be offered."""
    matched = {pattern for part in parts for pattern in part.matched}
    unmatched = tuple(pattern for pattern in plan.narrowing.only if pattern not in matched)
    if not unmatched:
        return plan
    known = [canonical(name) for name in names]
    found = [Finding(Severity.WARNING, CODE, _message(pattern, known)) for pattern in unmatched]
    narrowing = replace(plan.narrowing, unmatched=unmatched)
    return replace(plan, narrowing=narrowing, findings=(*plan.findings, *found))


def _message(pattern: str, names: Sequence[str]) -> str:
    near = nearest(pattern, names)
    advice = (
        f"did you mean {shlex.quote(near)}?" if near else "check its spelling, and `parameters` in the spec"
    )
    return f"--only {shlex.quote(pattern)} matches no selected parameter and no replica: {advice}"


def nearest(pattern: str, names: Sequence[str]) -> str | None:
    """Return a pattern that resembles this one and matches at least one of the canonical names."""
    levels = canonical(pattern)[1:].split("/")
    literal = next((i for i, level in enumerate(levels) if "*" in level), len(levels))
    below = [name[1:].split("/") for name in names]
    found: list[str] = []
    for depth, level in enumerate(levels[:literal]):
        below = [name for name in below if len(name) > depth]
        siblings = {name[depth] for name in below}
        if level not in siblings:
            close = get_close_matches(level, sorted(siblings)[:COMPARED], n=1)
            if not close:
                return None
            level = close[0]  # noqa: PLW2901 - the rest of the loop is about the level that exists
        below = [name for name in below if name[depth] == level]
        found.append(level)
    near = "/" + "/".join([*found, *levels[literal:]])
    for offer in (near, f"{near}/**"):
        glob = Glob(offer)
        if offer != pattern and any(glob.matches(name) for name in names):
            return offer
    return None
