"""A replacement deletes before it creates: readers fail in between, history is lost. So it is asked for."""

from __future__ import annotations

from ssm_reconcile.change import Action
from ssm_reconcile.guards.base import Rules, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "replace"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds replacements unless this run allows them."""
    if rules.run.allow_replace:
        return plan
    for target in plan.targets:
        chosen = open_changes(plan, target.name, Action.REPLACE)
        if not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "only with --allow-replace")
        message = (
            f"{len(chosen)} to replace (delete, wait, create) in {target.name}:"
            " withheld without --allow-replace"
        )
        plan = noted(plan, NAME, message, target.name, target.name)
    return plan
