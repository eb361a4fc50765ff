"""Spec + source -> the desired parameters of one target, by address.

Pure: keys are resolved before, and the time is an argument. An address is the canonical name of a parameter
in the target. A parameter that the target cannot take is returned with its problems; `diff` assigns it to
the row `invalid`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from ssm_reconcile.attributes import COPIED
from ssm_reconcile.aws_limits import LEVEL_LIMIT, NAME_LIMIT, TAG_LIMIT, is_reserved_name
from ssm_reconcile.encoding import is_unicode
from ssm_reconcile.model import (
    ADVANCED,
    IMAGE,
    INTELLIGENT,
    MANAGED_KEY,
    DesiredParameter,
    Keyring,
    KeyState,
    Listing,
    Parameter,
    Place,
    Problem,
    ProblemKind,
    Tags,
    canonical,
)
from ssm_reconcile.record import has_source_tag, is_replica
from ssm_reconcile.spec import Replication, RewriteIn, Target, TierMode
from ssm_reconcile.wording import utc_text

INTEGRATION = "aws:ssm:integration"
INTEGRATION_PATH = "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/"
"""The data type of a webhook, and the only path where AWS allows it. Not documented by AWS."""
_NAME = re.compile(r"(?:/[A-Za-z0-9_.-]+)+|[A-Za-z0-9_.-]+")


_TIERS = {TierMode.ADVANCED: ADVANCED, TierMode.INTELLIGENT: INTELLIGENT}
"""The tier of all replicas of a target with that mode; `diff` selects the tier for `keep`."""


def source_keys(replication: Replication, source: Listing) -> frozenset[str]:
    """Return the key references to resolve in the source: those of its parameters, and mapped ones."""
    used = {
        parameter.key_id or MANAGED_KEY
        for parameter in source.parameters.values()
        if parameter.is_secret and replication.rule_for(parameter.name, parameter.type)
    }
    if not used - {MANAGED_KEY} and not replication.kms and not any(one.keys for one in replication.targets):
        return frozenset(used)  # otherwise the spec may map the AWS managed key by an id to be resolved
    mapped = {rule.source for rule in replication.kms}
    mapped |= {reference for target in replication.targets for reference, _ in target.keys}
    return frozenset(used | mapped) if used else frozenset()


def target_keys(
    replication: Replication, target: Target, source: Listing, live: Listing, keyring: Keyring
) -> frozenset[str]:
    """Return the key references to resolve in a target: those that a write would send, and those in use.

    Args:
        replication: The replication.
        target: The target.
        source: The parameters of the source.
        live: The parameters of the target.
        keyring: The keys of the source.
    """
    wanted: set[str] = set()
    for parameter in source.parameters.values():
        if not parameter.is_secret or not replication.rule_for(parameter.name, parameter.type):
            continue
        chosen = choose_key(replication, target, parameter, keyring, source.place, live.place)
        if chosen is not None:
            wanted.add(chosen)
        address = replication.address(parameter.name, source.place, live.place, target.name)
        there = live.parameters.get(canonical(address))
        if there is not None and there.is_secret:
            wanted.add(there.key_id or MANAGED_KEY)
    return frozenset(wanted)


def choose_key(
    replication: Replication,
    target: Target,
    parameter: Parameter,
    keyring: Keyring,
    source: Place,
    place: Place,
) -> str | None:
    """Return the key that a write sends for a SecureString in a target; None without a mapping.

    In this order: the map of the target, the shared map, a key that needs no map (a multi-Region key has a
    replica in other regions, the AWS managed key exists in each), the default of the target.

    Args:
        replication: The replication.
        target: The target.
        parameter: The source parameter.
        keyring: The keys of the source.
        source: The place of the source.
        place: The place of the target.
    """
    reference = parameter.key_id or MANAGED_KEY
    identity = keyring.identity(reference)
    for named, key in target.keys:
        if named == reference or keyring.identity(named) == identity:
            return key
    for rule in replication.kms:
        if rule.source == reference or keyring.identity(rule.source) == identity:
            for name, key in rule.targets:
                if name == target.name:
                    return key
    known = keyring.keys.get(reference)
    if identity.startswith("alias/aws/") or (known is not None and known.managed):
        return identity
    if known is not None and known.multi_region and source.account == place.account:
        return _same_key(identity, place)
    return target.default_key


def _is_known_by_name(replication: Replication, target: Target, reference: str) -> bool:
    """Whether the reference of a source key alone decides the key in the target, without a call of KMS.

    For any other reference, `default` could replace a key that is mapped under another name.
    """
    mapped = {named for named, _ in target.keys}
    mapped |= {rule.source for rule in replication.kms if target.name in dict(rule.targets)}
    return reference in mapped or reference.startswith("alias/aws/")


def _same_key(arn: str, place: Place) -> str:
    """Return the ARN of a multi-Region key's replica in another region. It has the account of the key."""
    _, partition, _, _, account, rest = arn.split(":", 5)
    return f"arn:{partition}:kms:{place.region}:{account}:{rest}"


@dataclass(frozen=True, slots=True)
class Route:
    """One source and one target of a replication.

    Attributes:
        replication: The replication.
        target: The target.
        source: The parameters of the source.
        place: The place of the target.
        source_ring: The keys of the source.
        target_ring: The keys of the target.
        now: The time, timezone-aware: Expiration policies before it are problems.
    """

    replication: Replication
    target: Target
    source: Listing
    place: Place
    source_ring: Keyring
    target_ring: Keyring
    now: datetime


def resolve(
    route: Route, others: Mapping[str, DesiredParameter] = MappingProxyType({})
) -> dict[str, DesiredParameter]:
    """Return the desired parameters of a target by canonical address, sorted.

    Args:
        route: The source and the target.
        others: Those of another target. Equal ones are returned as the same object, for memory.
    """
    replication, source = route.replication, route.source
    found: dict[str, DesiredParameter] = {}
    collisions: dict[str, list[DesiredParameter]] = {}
    rules = {id(glob): str(glob) for glob in replication.include}  # one text for all parameters of a rule
    for name in sorted(source.parameters):
        parameter = source.parameters[name]
        rule = replication.rule_for(parameter.name, parameter.type)
        if rule is not None:
            desired = _desired(route, parameter, rules[id(rule)])
            address = canonical(desired.name)
            if address in found:
                collisions.setdefault(address, [found[address]]).append(desired)
                continue
            other = others.get(address)
            found[address] = other if other == desired else desired
    found |= {address: _settle_collision(every) for address, every in collisions.items()}
    return {address: found[address] for address in sorted(found)}


def _desired(route: Route, parameter: Parameter, rule: str) -> DesiredParameter:
    replication, target, source, place = route.replication, route.target, route.source, route.place
    address = replication.address(parameter.name, source.place, place, target.name)
    name = canonical(parameter.name)
    tags = source.tags_of(name)
    wanted = _tags(replication, tags)
    rewrite = replication.rewrite_for(parameter.name, RewriteIn.VALUE)
    key, key_problems = _key(route, parameter)
    return DesiredParameter(
        name=address,
        source=parameter,
        tags=wanted,
        tier=_TIERS.get(target.tier, parameter.tier),
        key_id=key,
        key_identity=None if key is None else route.target_ring.identity(key),
        substitutions=() if rewrite is None else (rewrite.substitution(source.place, place, target.name),),
        hidden=parameter.is_secret or any(map(replication.hides, {parameter.name, address})),
        skip=replication.skip_sync.applies(tags, target.name),
        chained=is_replica(tags, source.arn(name)),
        rule=rule,
        problems=(
            *key_problems,
            *_name_problems(parameter, address, place),
            *_policy_problems(parameter, route.now),
            *_tag_problems(wanted, parameter.name, address),
            *_text_problems(parameter, wanted),
            *replication.skip_sync.problems(tags, target.name, f"its source in {source.place}", live=False),
        ),
        warnings=_warnings(parameter, place),
    )


def _settle_collision(every: list[DesiredParameter]) -> DesiredParameter:
    """Return the only source parameter of an address; a parameter with a problem where several map to it."""
    placed = [one for one in every if not one.skip and not one.chained] or every
    if len(placed) == 1:
        return placed[0]
    names = ", ".join(sorted(one.source.name for one in placed))
    problem = Problem(
        ProblemKind.COLLISION,
        f"several source parameters land on this address: {names}; make the rewrite rules tell them apart",
    )
    return replace(placed[0], problems=(*placed[0].problems, problem))


def _tags(replication: Replication, tags: Tags) -> Tags:
    """Return the tags of the replica, sorted; the mapping of the source itself if it is equal, for memory."""
    kept = {key: value for key, value in tags.items() if replication.replicates_tag(key)}
    wanted = dict(sorted({**kept, **dict(replication.add_tags)}.items()))
    return tags if list(wanted.items()) == list(tags.items()) else wanted


_STATES = {
    KeyState.MISSING: "does not exist",
    KeyState.DISABLED: "is disabled",
    KeyState.UNAVAILABLE: "has no key material that can be used now",
    KeyState.PENDING_DELETION: "is pending deletion",
    KeyState.UNSUITABLE: "is not a symmetric encryption key",
}


def _key(route: Route, parameter: Parameter) -> tuple[str | None, tuple[Problem, ...]]:
    """Return the key to send, and its problems. All problems of one key have one subject, for one finding."""
    if not parameter.is_secret:
        return None, ()
    reference = parameter.key_id or MANAGED_KEY
    if route.source_ring.trouble and not _is_known_by_name(route.replication, route.target, reference):
        reason = (
            f"KMS in {route.source.place} did not resolve the key {reference}, so its key in"
            f" {route.target.name} is unknown: run again, or map this very reference in `kms`"
        )
        return None, (Problem(ProblemKind.KEY, reason, subject=reference),)
    source, place = route.source.place, route.place
    key = choose_key(route.replication, route.target, parameter, route.source_ring, source, place)
    if key is None:
        name = route.source_ring.name(reference)
        reason = (
            f"no KMS key is mapped for {name} in {route.target.name}:"
            f" add it to `kms` (source: {name}, targets: {route.target.name}) or give the target a `default`"
        )
        return None, (Problem(ProblemKind.KEY, reason, subject=name),)
    known = route.target_ring.keys.get(key)
    fault = _STATES.get(known.state) if known is not None else None
    if fault is None:
        return key, ()
    name = route.target_ring.name(key)
    where = f"{route.target.name} ({route.place})"
    reason = f"the KMS key {name} {fault} in {where}: fix the key or map another one"
    return key, (Problem(ProblemKind.KEY, reason, subject=name),)


def _name_problems(parameter: Parameter, name: str, place: Place) -> tuple[Problem, ...]:
    """Return the problem of a name that AWS refuses in that place (API reference, PutParameter)."""
    fault = ""
    levels = canonical(name)[1:].split("/")
    if not _NAME.fullmatch(name):
        fault = "has characters or slashes that AWS does not take in a name"
    elif is_reserved_name(name):
        fault = "begins with aws or ssm, which AWS keeps for itself"
    elif len(levels) > LEVEL_LIMIT:
        fault = f"has {len(levels)} levels; AWS takes {LEVEL_LIMIT}"
    elif len(place.arn("")) + len(name) > NAME_LIMIT:
        fault = f"is too long in {place.region}: with its ARN it has more than {NAME_LIMIT} characters"
    elif parameter.data_type == INTEGRATION and not name.startswith(INTEGRATION_PATH):
        fault = f"is not below {INTEGRATION_PATH}, where AWS wants a parameter of the data type {INTEGRATION}"
    return (Problem(ProblemKind.NAME, f"the name {fault}"),) if fault else ()


def _policy_problems(parameter: Parameter, now: datetime) -> tuple[Problem, ...]:
    """Return the problem of a past Expiration. AWS does not document whether it refuses or deletes."""
    moment = parameter.expiration
    if moment is None or moment > now:
        return ()
    reason = f"its Expiration policy ({utc_text(moment)}) is past: AWS is about to delete it"
    return (Problem(ProblemKind.POLICY, reason),)


def _text_problems(parameter: Parameter, wanted: Tags) -> tuple[Problem, ...]:
    """Return the problem of texts with lone surrogates, which a request cannot contain."""
    broken = [one.name for one in COPIED if not is_unicode("".join(one.of(parameter)))]
    broken += [] if all(map(is_unicode, (*wanted.keys(), *wanted.values()))) else ["tags"]
    if not broken:
        return ()
    where = " and ".join(broken)
    reason = f"half a character (a lone surrogate) in its {where}: write them again at the source"
    return (Problem(ProblemKind.NOT_UNICODE, reason),)


def _tag_problems(wanted: Tags, source_name: str, address: str) -> tuple[Problem, ...]:
    """Return the problem of a source with so many tags that the ownership tags have no room."""
    ours = 2 + has_source_tag(source_name, address)
    if len(wanted) + ours <= TAG_LIMIT:
        return ()
    reason = f"its {len(wanted)} tags and {ours} ownership tags exceed {TAG_LIMIT}: add some to `tags.ignore`"
    return (Problem(ProblemKind.TAGS, reason),)


def _warnings(parameter: Parameter, place: Place) -> tuple[str, ...]:
    if parameter.data_type != IMAGE:
        return ()
    warning = (
        f"{IMAGE}: AMI ids are regional and AWS checks them after the write;"
        f" one that is not in {place.region} is dropped in silence, so apply verifies by reading back"
    )
    return (warning,)
