"""What rests on tags that could not be read directly is not done."""

from __future__ import annotations

from ssm_reconcile.change import Change, Retag, Row
from ssm_reconcile.guards.base import Rules, open_changes, withhold
from ssm_reconcile.model import SOURCE, canonical
from ssm_reconcile.plan import ReplicationPlan

NAME = "unconfirmed"


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withholds changes whose confirming tag read failed."""
    for target in plan.targets:
        for change in open_changes(plan, target.name):
            why = rules.unconfirmed.get((target.name, canonical(change.name)))
            why = why or _at_the_source(change, rules)
            if why:
                plan = withhold(plan, NAME, [change], why)
    return plan


def _at_the_source(change: Change, rules: Rules) -> str | None:
    """What the source's tags are the reason to take away, the replica or a tag of it, rests on them."""
    takes_away = change.row is Row.KEPT_OUT or (isinstance(change.effect, Retag) and bool(change.tags.before))
    if not takes_away or change.source_name is None:
        return None
    return rules.unconfirmed.get((SOURCE, canonical(change.source_name)))
