"""Changes -> the numbers of deletes, marks and replacements that guards and the event path limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ssm_reconcile.change import Action, Change, Fate, Update
from ssm_reconcile.plan import ReplicationPlan


def excess_of_deletes(count: int, limit: int, replicas: int | None) -> str:
    """Return the limit that a number of deletes exceeds, as a phrase; empty if it exceeds none.

    Args:
        count: The deletes and replacements of a target, in one run or over a window.
        limit: `guards.max_deletes`.
        replicas: The replicas of the target; None to check only the limit.
    """
    if count > limit:
        return f"more than {limit}"
    if replicas is not None and count > 1 and count * 2 > replicas:
        return f"over half of its {replicas} replicas"
    return ""


def may_delete(change: Change) -> bool:
    """Whether a change deletes, marks for it, or replaces if AWS refuses to change the type in place."""
    if isinstance(change.effect, Update):
        return change.effect.may_replace
    return change.is_to_delete or change.action is Action.REPLACE


def counts_in_total(change: Change) -> bool:
    """Whether a change counts for the limit on all targets: a lift of `max-deletes` names it otherwise."""
    return may_delete(change) and all(guard != "max-deletes" for guard, _ in change.lifted)


def deletes_of_all(plan: ReplicationPlan, changes: Iterable[Change], limit: int, *, checks_half: bool) -> int:
    """Return the deletes, marks and replacements of all targets that the guards before let through.

    Marks that are not due count until they are, as the guard on one target counts them. A run for some names,
    or with `--only`, also counts what is due at other names. Of targets in which a full run withholds the
    deletes, neither counts.

    Args:
        plan: The plan.
        changes: Its changes, as the guards before have judged them.
        limit: The limit on the deletes of one target.
        checks_half: Whether half of the replicas of a target is a limit too.
    """
    every = [change for change in changes if may_delete(change)]
    withheld = {one.target for one in every if "max-deletes" in one.withheld_by}
    marked = Counter(other.target for other in plan.others if other.is_to_delete)
    total = sum(one.fate is Fate.APPLY and counts_in_total(one) for one in every)
    for target in plan.targets:
        later = marked[target.name] + target.deletes_outside
        replicas = target.replicas if checks_half else None
        # With changes over its limit, the target is among those withheld; here are those without a change.
        excess = excess_of_deletes(later, limit, replicas)
        if not (target.frozen or target.name in withheld or excess):
            total += later
    return total
