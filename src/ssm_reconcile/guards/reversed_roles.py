"""What was detached from a place is not written back there unasked: somebody swapped the regions by mistake.

After a failover the standby region lives on its own. A spec with the two regions the wrong way round, or
one that fails back before anybody meant it to, would write over the place that the standby was made from.
"""

from __future__ import annotations

from ssm_reconcile.guards.base import Rules, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "roles-reversed"
NAMED = 3


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds every change of a target whose replicas the source held until they were detached."""
    if rules.run.allow_reversed:
        return plan
    for target in plan.targets:
        names = rules.reversed_roles.get(target.name, ())
        chosen = open_changes(plan, target.name)
        if not names or not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "the source was detached from this target")
        shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        message = (
            f"the source {plan.source} holds what was replicated from {target.place} until it was detached"
            f" ({shown}): source and target look reversed, nothing is written to {target.name}."
            " If they have changed roles for good: --allow-reversed"
        )
        where = rules.replication.target(target.name).where or target.name
        plan = noted(plan, NAME, message, str(where), target.name)
    return plan
