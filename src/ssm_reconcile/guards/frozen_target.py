"""A frozen target is planned and never written."""

from __future__ import annotations

from ssm_reconcile.guards.base import Rules, counted, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "frozen-target"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds every change of targets that the spec has frozen."""
    for target in plan.targets:
        chosen = open_changes(plan, target.name)
        if not target.frozen or not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "the target is frozen")
        held = counted(len(chosen), "change", "changes")
        message = f"{target.name} is frozen: {held} withheld; `frozen: false` lifts it"
        where = str(rules.replication.target(target.name).where or target.name)
        plan = noted(plan, NAME, message, where, target.name)
    return plan
