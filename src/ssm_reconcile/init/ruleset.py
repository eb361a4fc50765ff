"""A ruleset of the default branch -> its body for reviewed applies, and its body without excess. Pure.

Source: REST reference, "Rules".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ssm_reconcile.github.workflow_calls import ACTIONS_APP, OWN_CHECK

NAME = "ssm-reconcile"


class RulesetExcess(NamedTuple):
    """Parts of a ruleset that only a person removes: a phrase about them, and the body without them."""

    phrase: str
    body: Mapping[str, Any]


def body_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a PUT that leaves a ruleset as it is."""
    kept = {"name", "target", "enforcement", "bypass_actors", "conditions", "rules"}
    return {key: value for key, value in found.items() if key in kept}


def complete_body(before: Mapping[str, Any], checks: Sequence[str]) -> dict[str, Any]:
    """Return a ruleset with all that `doctor --github` looks for, and with what it has already.

    It keeps the checks of other specs: they protect them.
    """
    names = dict((before.get("conditions") or {}).get("ref_name") or {"include": [], "exclude": []})
    if not {"~DEFAULT_BRANCH", "~ALL"} & set(names["include"]):
        names["include"] = [*names["include"], "~DEFAULT_BRANCH"]
    rules = {rule["type"]: dict(rule.get("parameters") or {}) for rule in before.get("rules") or ()}
    for kind in ("deletion", "non_fast_forward"):
        rules.setdefault(kind, {})
    review = rules.get("pull_request", {})
    rules["pull_request"] = {
        "required_review_thread_resolution": False,
        **review,
        "required_approving_review_count": max(1, review.get("required_approving_review_count", 1)),
        "dismiss_stale_reviews_on_push": True,
        "require_code_owner_review": True,
        "require_last_push_approval": True,
    }
    status = rules.get("required_status_checks", {})
    others = [one for one in status.get("required_status_checks", ()) if one["context"] not in checks]
    rules["required_status_checks"] = {
        "strict_required_status_checks_policy": False,
        **status,
        "required_status_checks": [
            *others, *({"context": check, "integration_id": ACTIONS_APP} for check in checks),
        ],
    }  # fmt: skip
    return {
        "name": NAME,
        "target": "branch",
        **before,
        "enforcement": "active",
        "conditions": {**(before.get("conditions") or {}), "ref_name": names},
        "rules": [{"type": kind} | ({"parameters": some} if some else {}) for kind, some in rules.items()],
    }


def find_excess(found: Mapping[str, Any], branch: str, checks: Sequence[str]) -> RulesetExcess | None:
    """Return the exclusion of the default branch and the checks of other specs; None if there are none.

    Args:
        found: The document of the ruleset.
        branch: The default branch.
        checks: The checks that the workflow reports.
    """
    names = (found.get("conditions") or {}).get("ref_name") or {}
    excluded = [one for one in names.get("exclude") or () if _covers(one, branch)]
    contexts = [one["context"] for rule in found.get("rules") or () for one in _required_checks(rule)]
    others = [one for one in contexts if OWN_CHECK.fullmatch(one) and one not in checks]
    phrases = []
    if excluded:
        phrases.append(f"excludes {', '.join(excluded)}: it does not hold for {branch}")
    if others:
        listed = ", ".join(f"`{one}`" for one in others)
        phrases.append(f"also requires {listed}, which the workflow of these specs does not report")
    if not phrases:
        return None
    after = complete_body(copy.deepcopy(body_of(found)), checks)
    after["conditions"]["ref_name"]["exclude"] = [
        one for one in names.get("exclude") or () if one not in excluded
    ]
    for rule in after["rules"]:
        kept = [one for one in _required_checks(rule) if one["context"] not in others]
        if kept:
            rule["parameters"]["required_status_checks"] = kept
    return RulesetExcess("; it ".join(phrases), after)


def _required_checks(rule: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the checks of a rule; none if it is of another kind."""
    return (rule.get("parameters") or {}).get("required_status_checks") or ()


def _covers(pattern: str, branch: str) -> bool:
    """Return whether a pattern of a ruleset matches the default branch."""
    return pattern in {"~DEFAULT_BRANCH", "~ALL"} or fnmatchcase(f"refs/heads/{branch}", pattern)
