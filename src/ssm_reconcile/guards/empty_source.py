"""A source that selects nothing is more likely a mistake than a wish to delete everything."""

from __future__ import annotations

from ssm_reconcile.change import Action
from ssm_reconcile.guards.base import Rules, counted, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "empty-source"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds all deletes and releases when no source parameter is selected."""
    if plan.selected or rules.run.allow_empty_source:
        return plan
    for target in plan.targets:
        chosen = open_changes(plan, target.name, Action.DELETE, Action.RETAG, Action.REPLACE)
        if not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "the source holds nothing that the spec selects")
        deletes = sum(change.action is not Action.RETAG for change in chosen)
        also = f" --max-deletes {deletes}" if deletes > 1 else ""  # all of them are over half of them
        message = (
            f"the source {plan.source} holds nothing that the spec selects, and {target.name} has"
            f" {counted(target.replicas, 'replica', 'replicas')}: nothing is deleted."
            f" If that is meant: --allow-empty-source{also}"
        )
        plan = noted(plan, NAME, message, str(rules.replication.source.where or plan.source), target.name)
    return plan
