"""A saved plan + a new plan -> may the new one be applied on the word of the old one?

    bound        the document of a plan, with what a later comparison needs
    run_of       that document -> the run that has to be made again
    check_age    an id that is true again is not a new approval
    compare      what was done since counts as done; a new or altered change is not approved
    names        the beginning of an id, as people type it -> does it name this plan

An approval covers what the plan id covers: every change's effect, with the versions that it assumes.
"""

from __future__ import annotations

from ssm_reconcile.approve.compare import Item, Verdict, compare
from ssm_reconcile.approve.saved import GUARD_FLAGS, Saved, bound, check_age, matches, names, run_of

__all__ = [
    "GUARD_FLAGS",
    "Item",
    "Saved",
    "Verdict",
    "bound",
    "check_age",
    "compare",
    "matches",
    "names",
    "run_of",
]
