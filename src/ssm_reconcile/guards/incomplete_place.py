"""No delete on the word of a partial listing, and nothing at all in a target seen in part.

`diff` plans neither; this guard holds even if it did.
"""

from __future__ import annotations

from ssm_reconcile.change import Action
from ssm_reconcile.guards.base import Rules, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "incomplete-place"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds everything in an incomplete target, and deletes when the source is incomplete."""
    del rules  # nothing lifts this guard
    for target in plan.targets:
        if not target.complete:
            chosen = open_changes(plan, target.name)
        elif not plan.source_complete:
            chosen = open_changes(plan, target.name, Action.DELETE, Action.REPLACE)
        else:
            continue
        plan = withhold(plan, NAME, chosen, "a place was not listed to the end")
    return plan
