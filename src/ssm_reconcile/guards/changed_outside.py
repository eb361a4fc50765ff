"""A replica that somebody else has changed is not overwritten unasked."""

from __future__ import annotations

from ssm_reconcile.guards.base import Rules, counted, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan
from ssm_reconcile.spec import OnOutside

NAME = "changed-outside"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds updates and replacements of replicas that were changed outside."""
    if rules.run.overwrite_outside or rules.replication.changed_outside is OnOutside.OVERWRITE:
        return plan
    for target in plan.targets:
        chosen = [change for change in open_changes(plan, target.name) if change.changed_outside]
        if not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "only with --overwrite-outside")
        message = (
            f"{counted(len(chosen), 'replica', 'replicas')} in {target.name}"
            f" {'was' if len(chosen) == 1 else 'were'} changed outside ssm-reconcile: withheld. Bring the"
            " change to the source, or give --overwrite-outside (or `changed_outside: overwrite`)"
        )
        plan = noted(plan, NAME, message, target.name, target.name)
    return plan
