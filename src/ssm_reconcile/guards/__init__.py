"""Guards: small pure functions from a plan to a plan, with fates and findings.

Each file is one guard: `guard(plan, rules) -> plan`. A guard never changes what a plan wants, only
whether it may happen now. Order matters: first what is withheld for its own sake, then the limits,
which count only what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssm_reconcile.guards import (
    changed_outside,
    empty_source,
    exposure,
    frozen_target,
    incomplete_place,
    max_change_percent,
    max_deletes,
    no_id,
    replacement,
    reversed_roles,
    unconfirmed,
)
from ssm_reconcile.guards.base import Guard, Rules
from ssm_reconcile.plan import ReplicationPlan

__all__ = ["GUARDS", "Rules", "guarded"]

GUARDS: Sequence[Guard] = (
    incomplete_place.guard,
    frozen_target.guard,
    reversed_roles.guard,
    empty_source.guard,
    no_id.guard,
    unconfirmed.guard,
    replacement.guard,
    changed_outside.guard,
    exposure.guard,
    max_deletes.guard,
    max_change_percent.guard,
)


def guarded(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """The plan after all guards."""
    for guard in GUARDS:
        plan = guard(plan, rules)
    return plan
