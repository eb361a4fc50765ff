"""How much one run may delete in one target; a replacement deletes too."""

from __future__ import annotations

from ssm_reconcile.change import Action, Change, Update
from ssm_reconcile.guards.base import Rules, noted, open_changes, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "max-deletes"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds all deletes and replacements of a target where they are too many.

    Too many: more than the limit, or more than one and over half of its replicas. A number given
    for this run that covers them lifts both. A run for some names counts what is due at others too: a
    mass deletion that comes as many small batches is one all the same.
    """
    given = rules.run.max_deletes
    limit = rules.replication.limits.max_deletes if given is None else given
    for target in plan.targets:
        chosen = [change for change in open_changes(plan, target.name) if _may_delete(change)]
        if not chosen:
            continue
        count = len(chosen) + target.going
        if count > limit:
            why = f"more than {limit}"
        elif given is None and count > 1 and count * 2 > target.replicas:
            why = f"over half of its {target.replicas} replicas"
        else:
            continue
        plan = withhold(plan, NAME, chosen, f"{count} deletes are {why}")
        message = (
            f"{count} to delete or replace in {target.name} are {why}: all withheld."
            f" If meant: --max-deletes {count}"
        )
        where = str(rules.replication.limit_lines.get("max_deletes", target.name))
        plan = noted(plan, NAME, message, where, target.name)
    return plan


def _may_delete(change: Change) -> bool:
    """Deletes, replacements, and updates that become one where AWS refuses to change a type in place."""
    if isinstance(change.effect, Update):
        return change.effect.may_replace
    return change.action in (Action.DELETE, Action.REPLACE)
