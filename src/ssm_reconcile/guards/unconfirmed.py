"""What rests on tags that could not be read directly is not done."""

from __future__ import annotations

from ssm_reconcile.guards.base import Rules, open_changes, withhold
from ssm_reconcile.model import canonical
from ssm_reconcile.plan import ReplicationPlan

NAME = "unconfirmed"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds changes whose confirming tag read failed."""
    for target in plan.targets:
        for change in open_changes(plan, target.name):
            why = rules.unconfirmed.get((target.name, canonical(change.name)))
            if why:
                plan = withhold(plan, NAME, [change], why)
    return plan
