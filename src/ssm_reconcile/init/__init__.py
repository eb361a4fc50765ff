"""A survey of a source and its targets -> a proposed spec, with the numbers that justify it.

survey.py  opened places -> the parameters, keys and region ties
text.py    a proposal -> commented YAML
github.py  specs -> the files and the settings of a repository on GitHub

A proposal is safe to apply: nothing is overwritten, a value that would be wrong in another region is
rewritten or left out, and a secret is left out until its key has a counterpart in every target. It is
tried before it is written: the loader reads it, and a plan over the survey's listings finds what a target
cannot take. Those names are left out, with the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ssm_reconcile import reconcile
from ssm_reconcile.diff.case import TargetContext, cases
from ssm_reconcile.errors import SpecError, UsageError
from ssm_reconcile.init.survey import Likeness, Survey, likeness_of
from ssm_reconcile.init.text import spec_text
from ssm_reconcile.load import load_text
from ssm_reconcile.model import RegionTie, canonical
from ssm_reconcile.record import OWNER, is_replica, record_of
from ssm_reconcile.session import Session
from ssm_reconcile.skip_sync import SkipMode, SkipSync
from ssm_reconcile.spec import AdoptMode, Glob
from ssm_reconcile.wording import plural

Patterns: TypeAlias = Mapping[str, int]
"""Patterns of names, each with the number of names that it matches."""
SKIP_SYNC = SkipSync()
MOST_PATTERNS = 150
"""Patterns for one reason; a spec holds 200 rewrites and 1,000 excludes, and a person has to read them."""
MOST_OFFERED = 12
"""Paths that are offered for a choice."""


@dataclass(frozen=True, slots=True)
class InitChoices:
    """The choices of the user. `keys` maps a key of the source to the key for all targets."""

    name: str = "main"
    id: str = ""
    include: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excluded:
    """Names that are excluded for one reason. No `paths`: too many to list, so they stay included."""

    why: str
    paths: Patterns
    count: int


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key of the source: the number of its SecureStrings, and the key in each target where known."""

    source: str
    count: int
    targets: Mapping[str, str]
    note: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed spec, with its numbers.

    Attributes:
        include: The patterns of the spec.
        parts: The levels below a single pattern, for information.
        not_included: Paths that no pattern of the user includes completely.
        foreign: Warnings about replicas that a plan of the spec reports as `foreign`.
        near_misses: Tag keys that are almost the skip tag, with the number of their parameters.
        skips: Skipped addresses as the trial plan counts them: a parameter counts once for each target.
        likeness: By target name, the relation of each selected name that the target already has.
    """

    name: str
    id: str
    survey: Survey
    include: Patterns
    parts: Patterns
    not_included: Patterns
    selected: int
    excluded: tuple[Excluded, ...]
    keys: tuple[KeyEntry, ...]
    rewrites: Patterns
    skip_mode: SkipMode
    skipped: int
    foreign: tuple[str, ...]
    near_misses: Mapping[str, int]
    skips: int = 0
    likeness: Mapping[str, Mapping[str, Likeness]] = field(default_factory=dict)

    def numbers(self, target: str) -> Counter[Likeness]:
        """Return the number of selected names with each relation in a target."""
        return Counter(self.likeness.get(target, {}).values())

    @property
    def adopt(self) -> AdoptMode:
        """The narrowest mode that adopts each existing parameter with the same value."""
        found = {one for every in self.likeness.values() for one in every.values()}
        loose = {Likeness.SAME_VALUE, Likeness.SHAPED, Likeness.UNKNOWN}
        return AdoptMode.SAME_VALUE if found & loose else AdoptMode.IDENTICAL


def propose_valid(
    found: Survey, choices: InitChoices, session: Session, *, compare_secrets: bool = False
) -> Proposal:
    """Return a proposal that the loader reads, and in whose plan nothing is invalid.

    Args:
        found: The survey.
        choices: The choices of the user.
        session: The places of the survey. Their values are read again, to be compared.
        compare_secrets: Decrypt the SecureStrings that a target has as well.

    Raises:
        UsageError: No parameter is selected, or the choices do not make a spec.
    """
    targets = {one.access: one.listing for one in found.targets}
    scope = reconcile.PlanScope({found.access: found.listing, **targets})
    plain = replace(session, run=replace(session.run, no_decrypt=True, adopt=AdoptMode.SAME_VALUE))
    problems: dict[str, str] = {}
    while True:
        proposal = propose(found, choices, problems)
        if not (proposal.selected or problems):
            raise UsageError("no parameter is selected", "check the patterns of --include, and the region")
        try:
            (spec,) = load_text(spec_text(proposal, session.clock.now())).replications
        except SpecError as error:
            raise UsageError(f"these choices do not make a valid spec: {error.findings[0].message}") from None
        part, inputs = reconcile.plan_replication(spec, plain, scope)
        invalid = {one.name: "; ".join(one.reasons) for one in part.others if one.counted == "invalid"}
        if invalid.keys() <= problems.keys():  # names of a reason that has too many stay included
            break
        problems |= invalid
    if compare_secrets:
        existing = {(spec.name, name): frozenset(_likeness(target)) for name, target in inputs.items()}
        decrypting = replace(plain, run=replace(plain.run, no_decrypt=False))
        _, inputs = reconcile.plan_replication(spec, decrypting, replace(scope, addresses=existing))
    return replace(
        proposal,
        skips=sum(one.counted == "skipped" for one in part.others),
        likeness={name: _likeness(target) for name, target in inputs.items()},
    )


def _likeness(target: TargetContext) -> dict[str, Likeness]:
    """Return the relation of each parameter of a target to its source; for parameters that both have."""
    return {
        case.address: likeness_of(case)
        for case in cases(target)
        if case.live is not None and case.desired is not None and not case.desired.skip
    }


def propose(found: Survey, choices: InitChoices, problems: Mapping[str, str]) -> Proposal:
    """Return a proposal without a trial.

    Args:
        found: The survey.
        choices: The choices of the user.
        problems: Names that a target cannot take, and why.
    """
    every, tags_of = found.names, found.listing.tags_of
    tops = top_paths(every)
    globs = [Glob(text) for text in choices.include or tops]
    chosen = [name for name in every if any(glob.matches(name) for glob in globs)]
    rest = set(every) - set(chosen)
    skipped = [name for name in chosen if SKIP_SYNC.tag in tags_of(name)]
    open_names = [name for name in chosen if SKIP_SYNC.tag not in tags_of(name)]
    keys = tuple(_keys(found, choices, chosen))
    excluded, gone = _exclusions(found, keys, open_names, problems)
    kept = [name for name in open_names if name not in gone]
    return Proposal(
        name=choices.name,
        id=choices.id,
        survey=found,
        include={glob.text: sum(map(glob.matches, every)) for glob in globs},
        parts={} if choices.include else paths_below(tops, every),
        not_included={path: count for path, count in tops.items() if any(map(Glob(path).matches, rest))},
        selected=len(kept),
        excluded=excluded,
        keys=keys,
        rewrites=_rewrites(found, kept),
        skip_mode=_skip_mode(found, skipped),
        skipped=len(skipped),
        foreign=tuple(foreign_replicas(found, choices.name)),
        near_misses=Counter(key for name in open_names for key in SKIP_SYNC.near_misses(tags_of(name))),
    )


def _exclusions(
    found: Survey, keys: Iterable[KeyEntry], names: list[str], problems: Mapping[str, str]
) -> tuple[tuple[Excluded, ...], set[str]]:
    """Return the excluded names by reason, and all of them; a name counts for its first reason."""
    region = found.listing.place.region
    keyless = [entry.source for entry in keys if len(entry.targets) < len(found.targets)]
    reasons = {
        "named after the region: probably parameters of one region only": [n for n in names if region in n],
        "made by the CDK for its own region": [n for n in names if n.startswith("/cdk-bootstrap/")],
        "values with ids of one region (AMI, VPC, subnet, ...), which differ in other regions": [
            name for name in names if found.ties.get(name) is RegionTie.ID
        ],
        "values with ARNs of generated names (keys, certificates, ...), which differ in other regions": [
            name for name in names if found.ties.get(name) is RegionTie.ARN
        ],
        **{
            f"{key} has no counterpart in every target: map one under kms, then remove these lines": [
                name for name in names if found.keys.get(name) == key
            ]
            for key in keyless
        },
        **{why: [n for n in names if problems.get(n) == why] for why in sorted(set(problems.values()))},
    }
    gone: set[str] = set()
    excluded = []
    for why, matching in reasons.items():
        new = exact_names(set(matching) - gone, found.names)
        if new:
            paths = cover_within(new, found.names, MOST_PATTERNS) or {}
            excluded.append(Excluded(why, paths, len(new)))
            gone |= new if paths else set()
    return tuple(excluded), gone


def _keys(found: Survey, choices: InitChoices, names: Iterable[str]) -> Iterator[KeyEntry]:
    """Yield the customer managed keys of some parameters, each with its counterparts."""
    counts = Counter(found.keys[name] for name in names if name in found.keys)
    for key, count in sorted(counts.items()):
        known, given = found.ring.keys.get(key), choices.keys.get(key)
        targets = {one.name: given or one.keys.get(key, "") for one in found.targets}
        note = "given" if given else "a multi-Region key" if known and known.multi_region else ""
        yield KeyEntry(key, count, {name: ref for name, ref in targets.items() if ref}, note)


def _rewrites(found: Survey, names: Iterable[str]) -> Patterns:
    """Return the patterns of values that name the region; `/**` where there would be too many."""
    regional = exact_names((name for name in names if found.ties.get(name) is RegionTie.REGION), found.names)
    paths = cover_within(regional, found.names, MOST_PATTERNS)
    return {"/**": len(regional)} if paths is None else paths


def _skip_mode(found: Survey, names: Iterable[str]) -> SkipMode:
    """Return TARGETS if every value of the skip tag names targets, otherwise ANY."""
    values = [re.findall(r"[^:,\s]+", found.listing.tags_of(name)[SKIP_SYNC.tag]) for name in names]
    known = {one.name for one in found.targets}
    named = values and all(value and known.issuperset(value) for value in values)
    return SkipMode.TARGETS if named else SkipMode.ANY


def foreign_replicas(found: Survey, name: str) -> Iterator[str]:
    """Yield a warning for each owner of replicas that a new spec of that name would report as `foreign`.

    The new spec has a new id, and often a new name. Replicas of the same name without an id are left out:
    an apply records the new id.
    """
    counts: Counter[str] = Counter()
    for one in found.targets:
        for address in one.listing.parameters:
            tags, arn = one.listing.tags_of(address), one.listing.arn(address)
            owner, _, place = tags.get(OWNER, "").rpartition("@")
            if place != str(found.listing.place) or not is_replica(tags, arn):
                continue
            record = record_of(tags)
            if owner != name or (record is not None and record.id_digest(arn)):
                counts[owner] += 1
    for owner, count in sorted(counts.items()):
        earlier = "" if owner == name else f", or list {owner} in `previous_names`"
        yield (
            f"The targets hold {plural(count, 'replica')} of {owner} from this source. With this `name` and"
            f" `id`, a plan reports them as conflicts (`foreign`). To take over from the spec that wrote"
            f" them: write its `name: {owner}`{earlier}; write its `id`, or list that in"
            " `previous_ids`. The id is in that spec only; it cannot be read from the"
            " replicas. A spec without an `id` needs no entry."
        )


_NOT_IN_RULES = re.compile(r"[^A-Za-z0-9_.-]+")
"""Characters that a pattern cannot hold. AWS refuses them in names; an imitation of AWS may not."""


def as_pattern(path: str) -> str:
    """Return a name, or the start of one, as a pattern: `*` for characters that a pattern cannot hold."""
    return "/".join(_NOT_IN_RULES.sub("*", level) for level in path.split("/"))


def exact_names(names: Iterable[str], every: Iterable[str]) -> set[str]:
    """Return the names whose pattern matches no other name."""
    found = set(names)
    for name in sorted(found):
        pattern = as_pattern(canonical(name))
        if "*" in pattern and any(map(Glob(pattern).matches, set(every) - found)):
            found.discard(name)
    return found


def offered_paths(found: Survey) -> Patterns:
    """Return the paths among which the user may choose."""
    tops = top_paths(found.names)
    return paths_below(tops, found.names) or tops


def top_paths(names: Iterable[str]) -> Patterns:
    """Return the top levels as patterns, which also match parameters that are created there later."""
    return _at_depth(names, 1)


def paths_below(paths: Patterns, names: Iterable[str]) -> Patterns:
    """Return the second levels if all names are below one path, and if there are few of them."""
    below = _at_depth(names, 2) if len(paths) == 1 else {}
    return below if 1 < len(below) <= MOST_OFFERED else {}


def _at_depth(names: Iterable[str], depth: int) -> Patterns:
    """Return a pattern for each path of that many levels: `/a/**`, or `/a/*` for names that end above."""
    counts: Counter[str] = Counter()
    for name in {canonical(name) for name in names}:
        levels = name[1:].split("/")
        parents = levels[: min(depth, len(levels) - 1)]
        end = "**" if len(parents) == depth else "*"
        counts[as_pattern("/" + "/".join(parents)).rstrip("/") + f"/{end}"] += 1
    return dict(sorted(counts.items()))


def cover(chosen: Iterable[str], every: Iterable[str]) -> Patterns:
    """Return few patterns that match all chosen names and no other name."""
    wanted = {canonical(name) for name in chosen}
    sizes = Counter(path for name in wanted for path in _parents(name))
    shared = {path for name in every if canonical(name) not in wanted for path in _parents(canonical(name))}
    found: Counter[str] = Counter()
    for name in sorted(wanted):
        whole = next((path for path in _parents(name) if sizes[path] > 1 and path not in shared), None)
        found[as_pattern(name) if whole is None else f"{as_pattern(whole)}/**"] += 1
    return found


def cover_within(chosen: Iterable[str], every: Iterable[str], limit: int) -> Patterns | None:
    """Return patterns as `cover` does, or by last levels if these are fewer; None if all are too many.

    Args:
        chosen: The names that the patterns must match.
        every: All names of the place; the patterns match none of them that is not chosen.
        limit: The most patterns.
    """
    names, everything = {canonical(name) for name in chosen}, {canonical(name) for name in every}
    exact = cover(names, everything)
    if len(exact) <= limit // 4:
        return exact
    shared = {_last(name) for name in everything - names}
    by_last = Counter(f"/**/{as_pattern(_last(name))}" for name in sorted(names) if _last(name) not in shared)
    rest = {name for name in names if _last(name) in shared}
    best = min(exact, {**by_last, **cover(rest, everything)}, key=len)
    return best if len(best) <= limit else None


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _parents(name: str) -> list[str]:
    """Return the paths above a name, the shortest first, without the root."""
    levels = name.split("/")
    return ["/".join(levels[:depth]) for depth in range(2, len(levels))]
