"""Orphan deletes need an id in the spec: without one, another spec of the same name may own the orphans."""

from __future__ import annotations

from ssm_reconcile.change import Row
from ssm_reconcile.guards.base import Rules, counted, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.spec import NO_ID_REMEDY

NAME = "no-id"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withhold the deletes of orphans, and the releases of adopted ones, while the spec has no id."""
    if rules.replication.id is not None:
        return plan
    for target in plan.targets:
        chosen = [change for change in open_changes(plan, target.name) if change.row is Row.ORPHAN]
        if not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "`orphans: delete` needs an `id` in the spec")
        message = (
            f"{counted(len(chosen), 'orphan', 'orphans')} to remove in {target.name}: withheld, since the"
            f" spec has no `id` and another spec with the same name may own them. {NO_ID_REMEDY}"
        )
        plan = noted(plan, NAME, message, str(rules.replication.where or target.name), target.name)
    return plan
