"""What was seen of a source and its targets -> a proposed spec, with the numbers that speak for it.

    survey   readers -> what is there
    paths    names -> few patterns                 text    a proposal -> commented YAML
    replicas targets -> warnings about replicas of another spec

What is proposed is what does no harm: nothing is overwritten, a value that would be wrong elsewhere is
rewritten or left out, and a secret whose key has no counterpart in a target is left out until somebody
says which key to use. All of it is text to be read and changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ssm_reconcile.init.paths import Path, cover_within, parts_of, speakable, top_paths
from ssm_reconcile.init.replicas import foreign_replicas
from ssm_reconcile.init.survey import End, Likeness, Survey, survey
from ssm_reconcile.model import RegionTie
from ssm_reconcile.skip_tag import SkipMode, SkipSync
from ssm_reconcile.spec import AdoptMode, Glob

__all__ = ["End", "Likeness", "Proposal", "Survey", "Wishes", "offered", "propose", "survey"]

SKIP_TAG = "skip_sync"
PATTERNS = 150
"""For one reason: a spec holds 200 rewrites and 1,000 excludes, and nobody reads more than this."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody has decided already. `keys`: the key to use in all targets, by source key."""

    name: str | None = None
    id: str = ""
    fallback: str = "main"
    """The name if none is given: that of the repository or folder."""
    include: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Excluded:
    """Names that are left out, and why: patterns, and how many parameters."""

    why: str
    paths: tuple[Path, ...]
    count: int

    @property
    def too_many(self) -> bool:
        """Whether they are too many to be listed, so that they are not left out after all."""
        return not self.paths


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One source key: how many secrets it encrypts, and the key in each target (none: not known)."""

    source: str
    count: int
    targets: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that the text says."""

    name: str
    id: str
    survey: Survey
    include: tuple[Path, ...]
    parts: tuple[Path, ...]
    left_out: tuple[Path, ...]
    selected: int
    excluded: tuple[Excluded, ...]
    keys: tuple[KeyEntry, ...]
    rewrites: tuple[Path, ...]
    skip_mode: str
    skipped: int
    skips: int
    """Skipped addresses, as a plan counts them: a parameter counts once for each target."""
    adopt: AdoptMode
    numbers: Mapping[str, Mapping[Likeness, int]]
    foreign: tuple[str, ...] = ()
    """Warnings about replicas that a plan of the proposed spec reports as `foreign`."""
    near_misses: tuple[tuple[str, int], ...] = ()
    """Tag keys that are almost the skip tag, with the number of parameters that carry each."""


def offered(seen: Survey) -> tuple[Path, ...]:
    """The paths that somebody may choose from."""
    tops = top_paths(seen.names)
    return parts_of(tops, seen.names) or tops


def propose(seen: Survey, wishes: Wishes, trouble: Mapping[str, str] | None = None) -> Proposal:
    """A spec for what was seen. `trouble`: names that a target cannot take, and why (a trial plan tells)."""
    every = seen.names
    tops = top_paths(every)
    globs = [Glob(text) for text in wishes.include] or [Glob(path.pattern) for path in tops]
    chosen = [name for name in every if any(glob.matches(name) for glob in globs)]
    include = tuple(Path(glob.text, sum(glob.matches(name) for name in every)) for glob in globs)
    rest = set(every) - set(chosen)
    skipped = [name for name in chosen if SKIP_TAG in seen.listing.tags_of(name)]
    almost = Counter(
        key
        for name in chosen
        if name not in skipped
        for key in SkipSync(SKIP_TAG).near_misses(seen.listing.tags_of(name))
    )
    open_names = [name for name in chosen if name not in skipped]
    excluded, gone = _exclusions(seen, wishes, open_names, every, trouble or {})
    kept = [name for name in open_names if name not in gone]
    skip = SkipSync(SKIP_TAG, SkipMode(_skip_mode(seen, skipped)))
    return Proposal(
        name=wishes.name or wishes.fallback,
        id=wishes.id,
        survey=seen,
        include=include,
        parts=() if wishes.include else parts_of(tops, every),
        left_out=tuple(path for path in tops if rest and _any(path, rest)) if wishes.include else (),
        selected=len(kept),
        excluded=excluded,
        keys=_keys(seen, wishes, chosen),
        rewrites=_rewrites(seen, kept, every),
        skip_mode=skip.mode.value,
        skipped=len(skipped),
        skips=sum(skip.applies(seen.listing.tags_of(n), one.name) for n in skipped for one in seen.targets),
        foreign=tuple(foreign_replicas(seen, wishes.name or wishes.fallback)),
        near_misses=tuple(sorted(almost.items())),
        adopt=_adopt(seen, kept),
        numbers={
            one.name: Counter(one.compared[n] for n in kept if n in one.compared) for one in seen.targets
        },
    )


def _any(path: Path, names: Iterable[str]) -> bool:
    glob = Glob(path.pattern)
    return any(glob.matches(name) for name in names)


def _exclusions(
    seen: Survey, wishes: Wishes, names: list[str], every: tuple[str, ...], trouble: Mapping[str, str]
) -> tuple[tuple[Excluded, ...], set[str]]:
    """What is left out for each reason; a name for the first that fits."""
    region = seen.listing.place.region
    mark_former_secret = {
        key for entry in _keys(seen, wishes, names) if not _complete(entry, seen) for key in [entry.source]
    }
    reasons = {
        "named for the region: parameters of one region only, by the look of it": [
            name for name in names if region in name
        ],
        "made by the CDK for its own region": [n for n in names if n.startswith("/cdk-bootstrap/")],
        "values with ids of one region (AMI, VPC, subnet, ...): elsewhere they have others": [
            name for name in names if seen.looks.get(name) is RegionTie.ID
        ],
        "values with ARNs of generated names (keys, certificates, ...): elsewhere they have others": [
            name for name in names if seen.looks.get(name) is RegionTie.ARN
        ],
        **{
            f"{key} has no counterpart in every target: name one under kms, then remove this": [
                name for name in names if seen.keys.get(name) == key
            ]
            for key in sorted(mark_former_secret)
        },
        **{why: [n for n in names if trouble.get(n) == why] for why in sorted(set(trouble.values()))},
    }
    gone: set[str] = set()
    found = []
    for why, matching in reasons.items():
        fresh = speakable(set(matching) - gone, every)
        if fresh:
            paths = cover_within(fresh, every, PATTERNS)
            found.append(Excluded(why, paths or (), len(fresh)))
            gone |= fresh if paths else set()
    return tuple(found), gone


def _complete(entry: KeyEntry, seen: Survey) -> bool:
    return all(one.name in entry.targets for one in seen.targets)


def _keys(seen: Survey, wishes: Wishes, names: Iterable[str]) -> tuple[KeyEntry, ...]:
    """The customer keys of some parameters, each with its counterpart where one is known."""
    counts = Counter(seen.keys[name] for name in names if name in seen.keys)
    entries = []
    for key, count in sorted(counts.items()):
        known = seen.ring.keys.get(key)
        given = wishes.keys.get(key)
        targets = {one.name: given or one.keys.get(key, "") for one in seen.targets}
        note = "given" if given else "a multi-Region key" if known and known.multi_region else ""
        entries.append(KeyEntry(key, count, {name: ref for name, ref in targets.items() if ref}, note))
    return tuple(entries)


def _rewrites(seen: Survey, names: Iterable[str], every: tuple[str, ...]) -> tuple[Path, ...]:
    """Patterns of values that name the region; all names where the patterns would be too many."""
    regional = speakable((name for name in names if seen.looks.get(name) is RegionTie.REGION), every)
    found = cover_within(regional, every, PATTERNS)
    return (Path("/**", len(regional)),) if found is None else found


def _skip_mode(seen: Survey, names: Iterable[str]) -> str:
    """`targets` where every value of the tag names targets, otherwise any value counts."""
    words = [
        seen.listing.tags_of(name)[SKIP_TAG].replace(":", " ").replace(",", " ").split() for name in names
    ]
    known = {one.name for one in seen.targets}
    named = words and all(one and set(one) <= known for one in words)
    return "targets" if named else "any"


def _adopt(seen: Survey, names: Iterable[str]) -> AdoptMode:
    """As much as is needed to take over what has the same value, and never more."""
    found = {one.compared.get(name) for one in seen.targets for name in names}
    loose = {Likeness.SAME_VALUE, Likeness.SHAPED, Likeness.UNKNOWN}
    return AdoptMode.SAME_VALUE if found & loose else AdoptMode.IDENTICAL
