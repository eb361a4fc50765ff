"""Tier mode of a target + one address -> the tier that a write requests there.

`same` requests the source's tier, `advanced` and `intelligent` always the same one. `keep` requests the
source's tier for a create and the live tier after that, and Advanced when Standard cannot hold the
value or its policies. AWS never takes a parameter back from Advanced to Standard (aws-facts B3).
"""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.diff.compare import Verdict
from ssm_reconcile.model import ADVANCED, STANDARD, Desired, Parameter, Reading
from ssm_reconcile.spec import TierMode

BILLED = "Advanced is billed, and AWS does not take a parameter back to Standard"


def with_tier(
    mode: TierMode, desired: Desired, live: Parameter | None, reading: Reading | None, known: Verdict
) -> Desired:
    """Return the desired parameter with the tier to request, once the live parameter is known.

    `reading` is the shaped source value where it was read, `known` whether it equals the live value.
    """
    if mode is not TierMode.KEEP:
        return desired
    source = desired.source
    tier = source.tier if live is None else live.tier
    if tier != STANDARD:
        return replace(desired, tier=tier)
    if source.policies:
        return replace(desired, tier=ADVANCED)
    if known is Verdict.EQUAL:  # the live parameter holds the value in this tier
        return replace(desired, tier=STANDARD)
    if reading is None:
        held = source.tier == STANDARD and not desired.substitutions
        return replace(desired, tier=STANDARD, may_rise=not held)
    held = source.tier == STANDARD and not reading.rewritten
    return replace(desired, tier=STANDARD if held or reading.fits_standard else ADVANCED)


def tier_reasons(mode: TierMode, desired: Desired, live: Parameter | None) -> tuple[str, ...]:
    """Return why a write changes the tier although the source did not ask for it."""
    if desired.may_rise:
        return (f"it becomes Advanced if its value, which was not read, exceeds Standard; {BILLED}",)
    before = desired.source.tier if live is None else live.tier
    if before != STANDARD or desired.tier != ADVANCED:
        return ()
    if mode is TierMode.KEEP:
        return (f"it becomes Advanced, since Standard cannot hold its value or policies; {BILLED}",)
    if mode is TierMode.ADVANCED and live is not None:
        return (f"it becomes Advanced (`tier: advanced`); {BILLED}",)
    return ()
