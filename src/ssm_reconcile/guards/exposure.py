"""A SecureString in a target is not turned into plain text unless that is meant."""

from __future__ import annotations

from ssm_reconcile.guards.base import Rules, counted, noted, withhold
from ssm_reconcile.plan import ReplicationPlan

NAME = "exposure"
NAMED = 5


def guard(plan: ReplicationPlan, rules: Rules) -> ReplicationPlan:
    """Withhold writes that would turn a SecureString into a String or a StringList.

    Not withheld: the source itself was a SecureString at the last write and was made plain since. What
    another guard withholds already is withheld here too: its own flag alone must not write it.
    """
    if rules.run.allow_exposure:
        return plan
    for target in plan.targets:
        chosen = [
            change
            for change in plan.changes
            if change.target == target.name and change.exposes and not change.source_made_plain
        ]
        if not chosen:
            continue
        plan = withhold(plan, NAME, chosen, "only with --only and --allow-exposure")
        names = ", ".join(change.name for change in chosen[:NAMED])
        more = f" and {len(chosen) - NAMED} more" if len(chosen) > NAMED else ""
        message = (
            f"{counted(len(chosen), 'SecureString', 'SecureStrings')} in {target.name} would become plain"
            f" text ({names}{more}): withheld. Make the source a SecureString, or, if plain text is meant,"
            " name it with --only and give --allow-exposure"
        )
        plan = noted(plan, NAME, message, target.name, target.name)
    return plan
