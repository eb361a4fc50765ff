"""How large a part of one target's replicas one run may change."""

from __future__ import annotations

from ssm_reconcile.change import Action
from ssm_reconcile.guards.base import Rules, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "max-change-percent"
SMALLEST = 10
"""Below so many replicas a percentage says nothing."""


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds all updates, replacements and take-overs of a target where they are too many.

    Never a create, an adopt or a retag, so that a bootstrap killed half way resumes unhindered. A run for
    a few names knows of no other replicas, and is not held against them.
    """
    given = rules.run.max_change_percent
    limit = rules.replication.limits.max_change_percent if given is None else given
    for target in plan.targets:
        chosen = open_changes(plan, target.name, Action.UPDATE, Action.REPLACE)
        if not target.counted or target.replicas < SMALLEST or len(chosen) * 100 <= limit * target.replicas:
            continue
        percent = -(-len(chosen) * 100 // target.replicas)
        plan = withhold(plan, NAME, chosen, f"{percent}% of the replicas would change, the limit is {limit}%")
        message = (
            f"{percent}% of the {target.replicas} replicas in {target.name} would change (limit {limit}%):"
            f" withheld. If meant: --max-change-percent {percent}, or raise guards.max_change_percent"
        )
        where = str(rules.replication.limit_lines.get("max_change_percent", target.name))
        plan = noted(plan, NAME, message, where, target.name)
    return plan
