"""Changes of the settings of a repository, as the REST reference describes them (version 2022-11-28).

    PUT  environments/NAME                               the body replaces all settings
    POST environments/NAME/deployment-branch-policies; DELETE environments/NAME/deployment-branch-policies/ID
    GET, POST rulesets; GET, PUT rulesets/ID

A body with an unknown key, a missing required key or a value of another type is refused with 422. So is a
setting that the plan of a private repository does not have; a ruleset is refused with 403 then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.github.content import Environment, Hub, account_id

REVIEW = {
    "dismiss_stale_reviews_on_push": bool, "require_code_owner_review": bool,
    "require_last_push_approval": bool, "required_approving_review_count": int,
    "required_review_thread_resolution": bool,
}  # fmt: skip
"""The required parameters of the rule `pull_request`."""
MOST_REVIEWERS = 6


class RefusedError(Exception):
    """A response with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _check(
    body: Any, types: Mapping[str, Any], *, needed: set[str], optional: set[str] | None = None
) -> None:
    """Check the keys and the types of an object; `optional` has keys whose value is not checked."""
    if not isinstance(body, dict):
        raise RefusedError(422, "For 'properties', the body is not an object.")
    unknown = body.keys() - types.keys() - (optional or set())
    missing = needed - body.keys()
    wrong = [key for key in body.keys() & types.keys() if type(body[key]) is not types[key]]
    if unknown or missing or wrong:
        raise RefusedError(422, f"Invalid request. unknown {unknown}, missing {missing}, type of {wrong}")


def put_environment(hub: Hub, name: str, body: Any) -> dict[str, Any]:
    """Create an environment or replace its settings; what the body leaves out is reset."""
    body = {} if body is None else body
    types = {
        "wait_timer": int, "prevent_self_review": bool, "reviewers": list, "deployment_branch_policy": dict,
        "can_admins_bypass": bool,
    }  # fmt: skip
    _check({key: value for key, value in body.items() if value is not None}, types, needed=set())
    reviewers = [_reviewer(hub, one) for one in body.get("reviewers") or ()]
    if len(reviewers) > MOST_REVIEWERS:
        raise RefusedError(422, "An environment has at most 6 reviewers.")
    policy = body.get("deployment_branch_policy")
    if policy is not None:
        flags = {"protected_branches": bool, "custom_branch_policies": bool}
        _check(policy, flags, needed=set(flags))
        if policy["protected_branches"] == policy["custom_branch_policies"]:
            raise RefusedError(422, "protected_branches and custom_branch_policies have the same value.")
    private = hub.visibility == "private"
    if reviewers and private and hub.plan != "enterprise":
        raise RefusedError(422, "Failed to create the environment protection rule. Check the billing plan.")
    if policy is not None and private and hub.plan == "free":
        raise RefusedError(422, "Failed to create the branch rule. Check the billing plan.")
    found = hub.environment(name)
    found.reviewers, found.wait_timer = reviewers, body.get("wait_timer") or 0
    found.prevent_self_review = bool(body.get("prevent_self_review"))
    found.can_admins_bypass = body.get("can_admins_bypass", True)
    if policy is None:
        found.branches = None
    elif found.branches is None or found.protected_branches != policy["protected_branches"]:
        found.branches = []
    found.protected_branches = bool(policy and policy["protected_branches"])
    return found.document


def _reviewer(hub: Hub, entry: Any) -> str:
    _check(entry, {"type": str, "id": int}, needed={"type", "id"})
    for name in hub.accounts:
        if entry == {"type": "Team" if "/" in name else "User", "id": account_id(name)}:
            return name
    raise RefusedError(422, "A reviewer does not exist, or has no access to the repository.")


def add_branch_policy(environment: Environment, body: Any) -> tuple[int, dict[str, Any]]:
    """Admit a branch; 303 if it is admitted already."""
    _check(body, {"name": str, "type": str}, needed={"name"})
    if environment.branches is None or environment.protected_branches:
        raise RefusedError(404, "Not Found")
    if body.get("type", "branch") not in {"branch", "tag"}:
        raise RefusedError(422, "type is not branch or tag")
    name = ("tag " if body.get("type") == "tag" else "") + body["name"]
    if name in environment.branches:
        return 303, {}
    environment.branches.append(name)
    return 200, body


def branch_policies(environment: Environment) -> list[dict[str, Any]]:
    """Return the branches and tags that an environment admits."""
    return [
        {
            "id": account_id(name), "name": name.removeprefix("tag "),
            "type": "tag" if name.startswith("tag ") else "branch",
        }
        for name in environment.branches or ()
    ]  # fmt: skip


def remove_branch_policy(environment: Environment, number: str) -> tuple[int, None]:
    """Admit a branch or a tag no longer."""
    branches = environment.branches or []
    rest = [name for name in branches if str(account_id(name)) != number]
    if rest == branches:
        raise RefusedError(404, "Not Found")
    environment.branches = rest
    return 204, None


def _list_rulesets(hub: Hub, asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return a page of the rulesets of the repository, and by default also those of its organization."""
    keys = ("id", "name", "target", "enforcement", "source_type")
    kinds = {"Repository"} if asked.get("includes_parents") == "false" else {"Repository", "Organization"}
    found = [
        {key: one[key] for key in keys if key in one} for one in hub.rulesets if one["source_type"] in kinds
    ]
    size, page = min(int(asked.get("per_page", "30")), 100), int(asked.get("page", "1"))
    return found[(page - 1) * size : page * size]


def answer_rulesets(
    hub: Hub, method: str, number: str | None, body: Any, asked: Mapping[str, str]
) -> tuple[int, Any]:
    """Return the response for the rulesets of the repository; `number` is the id of one."""
    if hub.visibility == "private" and hub.plan == "free":
        raise RefusedError(
            403, "Upgrade to GitHub Pro or make this repository public to enable this feature."
        )
    if number is None and method == "GET":
        return 200, _list_rulesets(hub, asked)
    others = [one for one in hub.rulesets if str(one["id"]) != number]
    found = next((one for one in hub.rulesets if str(one["id"]) == number), None)
    if number is not None and found is None:
        raise RefusedError(404, "Not Found")
    if method == "GET":
        return 200, found
    _check_ruleset(body)
    if any(one["name"] == body["name"] and one["source_type"] == "Repository" for one in others):
        raise RefusedError(422, "Name must be unique")
    new = {"id": hub.next_id(), "source_type": "Repository", "bypass_actors": [], **(found or {}), **body}
    hub.rulesets = [*others, new]
    return (201 if found is None else 200), new


def _check_ruleset(body: Any) -> None:
    types = {
        "name": str, "target": str, "enforcement": str, "bypass_actors": list, "conditions": dict,
        "rules": list,
    }  # fmt: skip
    _check(body, types, needed={"name", "enforcement"})
    if body.get("target", "branch") not in {"branch", "tag", "push"}:
        raise RefusedError(422, "Invalid target")
    if body["enforcement"] not in {"disabled", "active", "evaluate"}:
        raise RefusedError(422, "Invalid enforcement")
    names = body.get("conditions", {}).get("ref_name", {})
    _check(names, {"include": list, "exclude": list}, needed={"include", "exclude"})
    for rule in body.get("rules", ()):
        _check(rule, {"type": str, "parameters": dict}, needed={"type"})
        parameters = rule.get("parameters", {})
        match rule["type"]:
            case "deletion" | "non_fast_forward" | "required_linear_history" | "required_signatures":
                _check(rule, {"type": str}, needed={"type"})
            case "pull_request":
                _check(parameters, REVIEW, needed=set(REVIEW), optional={"allowed_merge_methods"})
            case "required_status_checks":
                status = {"required_status_checks": list, "strict_required_status_checks_policy": bool}
                _check(parameters, status, needed=set(status), optional={"do_not_enforce_on_create"})
                for check in parameters["required_status_checks"]:
                    _check(check, {"context": str, "integration_id": int}, needed={"context"})
            case kind:
                raise RefusedError(422, f"Invalid rule {kind!r}")


def rules_of_branch(hub: Hub) -> list[dict[str, Any]]:
    """Return the rules that hold for the default branch: those of active rulesets."""
    named = {"~DEFAULT_BRANCH", "~ALL", "refs/heads/main"}
    active = [
        one
        for one in hub.rulesets
        if one["enforcement"] == "active"
        and one.get("target", "branch") == "branch"
        and named & set(one["conditions"]["ref_name"]["include"])
        and not named & set(one["conditions"]["ref_name"]["exclude"])
    ]
    own = [
        rule | {"ruleset_id": one["id"], "ruleset_source_type": one["source_type"]}
        for one in active
        for rule in one["rules"]
    ]
    return [*hub.branch_rules, *own]


def find_account(hub: Hub, path: str) -> dict[str, Any] | None:
    """Return the user or the team of a path such as `/users/alice`; None if the path is another one."""
    match path.strip("/").split("/"):
        case ["users", login]:
            name = login
        case ["orgs", organization, "teams", team]:
            name = f"{organization}/{team}"
        case _:
            return None
    if name not in hub.accounts:
        raise RefusedError(404, "Not Found")
    return {"id": account_id(name)}
