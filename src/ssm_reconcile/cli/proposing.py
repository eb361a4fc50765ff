"""What somebody wants of `init` -> the text of a spec: places opened, looked at, proposed, tried.

The proposal is tried before it is told: the loader reads it, and a plan without decryption over the same
listings finds what a target cannot take. That is left out, with its reason, and what is written plans.
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from ssm_reconcile.cli import command_run, terminal
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import show_progress
from ssm_reconcile.cli.repository import propose_name
from ssm_reconcile.clock import Clock
from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.model import Access
from ssm_reconcile.system import SystemClock

if TYPE_CHECKING:
    from ssm_reconcile.init import Proposal, Survey, Wishes
    from ssm_reconcile.model import Listing, Parameter, Tags
    from ssm_reconcile.places import Connect
    from ssm_reconcile.progress import Progress
    from ssm_reconcile.stores.base import Reader, Store

REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ID_SIGNS = string.ascii_lowercase + string.digits
TRIES = 5
"""How often what a trial plan cannot place is left out; twice has always been enough."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What options and answers say. `targets` are `REGION` or `NAME=REGION`."""

    region: str
    targets: tuple[str, ...] = ()
    name: str | None = None
    include: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    source_role: str | None = None
    roles: tuple[str, ...] = ()
    compare_secrets: bool = False

    def source(self) -> Access:
        """How the source is reached."""
        return Access(_region(self.region), self.source_role)

    def ends(self) -> list[tuple[str, Access]]:
        """The targets with how they are reached; raises UsageError for what is none."""
        roles = dict(_pair(role) for role in self.roles)
        found: dict[str, Access] = {}
        for text in self.targets:
            name, region = _pair(text)
            name = name or region
            if not NAME.fullmatch(name) or name in found:
                message = f"--target {text}: {name!r} is no name for a target, or there are two of it"
                raise UsageError(message, "write REGION, or NAME=REGION with another NAME for each")
            role = roles.get(name) or roles.get("")
            found[name] = Access(_region(region), role, sts_region=_region(self.region))
        unknown = sorted(roles.keys() - found.keys() - {""})
        if unknown:
            raise unknown_name("target of --role-arn", unknown[0], found)
        return list(found.items())


def _pair(text: str) -> tuple[str, str]:
    """`NAME=REST`, or `REST` alone; an ARN may hold `=` itself."""
    name, mark, rest = text.partition("=")
    return ("", text) if not mark or name.startswith("arn:") else (name.strip(), rest.strip())


def _region(text: str) -> str:
    if not REGION.fullmatch(text):
        message = f"{text!r} is no AWS region"
        raise UsageError(message, "write one such as us-east-2")
    return text


def completed(wanted: Wanted, *, asking: bool, region_given: bool) -> Wanted:
    """With the source region and the targets, asked for where nobody said them."""
    if asking and not region_given:
        region = click.prompt("Source region", default=wanted.region or None, err=True)
        wanted = replace(wanted, region=str(region).strip())
    if not wanted.region:
        raise UsageError("init does not know the source region", "say it: --source-region us-east-1")
    if asking and not wanted.targets:
        said = str(click.prompt("Target regions (or NAME=REGION), with commas between", err=True))
        wanted = replace(wanted, targets=tuple(filter(None, re.split(r"[,\s]+", said))))
    if not wanted.targets:
        raise UsageError("init does not know where to replicate to", "say it: --target us-east-2")
    return wanted


def text_for(wanted: Wanted, common: CommonOptions, *, asking: bool) -> str:
    """The text of the spec. Raises StoreError where a place cannot be read."""
    from ssm_reconcile.init import End, Wishes, survey
    from ssm_reconcile.init.text import spec_text

    clock = SystemClock()
    connect = command_run.connect_factory(common, clock)
    source, ends = wanted.source(), wanted.ends()
    with show_progress(common) as watch:
        seen = survey(
            End("source", source, connect(source)),
            [End(name, access, connect(access)) for name, access in ends],
            secrets.token_bytes(32),
            watch,
            compare_secrets=wanted.compare_secrets,
        )
    keys = dict(_pair(text) for text in wanted.keys)
    if "" in keys:
        raise UsageError(
            f"--key {keys['']} names one key", "write SOURCE=KEY, such as alias/app=alias/app-eu"
        )
    wishes = Wishes(wanted.name, random_id(), propose_name(Path.cwd()), wanted.include, keys)
    if asking:
        wishes = _asked(seen, wishes)
    proposal = _tried(seen, wishes, connect, clock)
    _tell(proposal, common)
    return spec_text(proposal, clock.now())


def random_id() -> str:
    """Return a random id for a spec: it begins with a letter, so that YAML reads it as text."""
    return secrets.choice(string.ascii_lowercase) + "".join(secrets.choice(_ID_SIGNS) for _ in range(11))


def _asked(seen: Survey, wishes: Wishes) -> Wishes:
    """What the survey leaves open, asked on the terminal."""
    from ssm_reconcile.init import offered, propose

    if not wishes.include:
        paths = offered(seen)
        for number, path in enumerate(paths, 1):
            click.echo(f"  {number:>2}  {path.pattern:<40} {path.count:>7,}", err=True)
        said = str(click.prompt("Which of these? Numbers or patterns, with commas between", "all", err=True))
        chosen = [] if said.strip() == "all" else [word for word in re.split(r"[,\s]+", said) if word]
        known = {str(number): path.pattern for number, path in enumerate(paths, 1)}
        wishes = replace(wishes, include=tuple(known.get(word, word) for word in chosen))
    first = propose(seen, wishes)
    if wishes.name is None:
        wishes = replace(wishes, name=str(click.prompt("Name of the replication", first.name, err=True)))
    keys = dict(wishes.keys)
    for entry in first.keys:
        if len(entry.targets) < len(seen.targets):
            question = f"{entry.source} encrypts {entry.count:,} and is not in every target. Key to use there"
            said = str(click.prompt(f"{question} (empty: leave them out)", "", show_default=False, err=True))
            if said.strip():
                keys[entry.source] = said.strip()
    return replace(wishes, keys=keys)


def _tried(seen: Survey, wishes: Wishes, connect: Connect, clock: Clock) -> Proposal:
    """A proposal that the loader takes, and in whose plan nothing is invalid."""
    from ssm_reconcile import reconcile
    from ssm_reconcile.errors import SpecError
    from ssm_reconcile.init import propose
    from ssm_reconcile.init.text import spec_text
    from ssm_reconcile.load import load_text
    from ssm_reconcile.places import Places
    from ssm_reconcile.session import Session
    from ssm_reconcile.spec import Run

    trouble: dict[str, str] = {}
    proposal = propose(seen, wishes)
    if not proposal.selected:
        raise UsageError("no parameter is selected", "look at the patterns of --include, and at the region")
    listings = {seen.access: seen.listing, **{one.access: one.listing for one in seen.targets}}
    replayed = {access: cast("Store", _Replay(connect(access), there)) for access, there in listings.items()}
    for _ in range(TRIES):
        try:
            loaded = load_text(spec_text(proposal, clock.now()))
        except SpecError as error:
            first = error.findings[0]
            raise UsageError(f"no spec can be made of that: {first.message}") from None
        places = Places(dict(replayed))
        plan = reconcile.make_plan(loaded.replications, Session(places, Run(no_decrypt=True), clock, _silent))
        fresh = {other.name: "; ".join(other.reasons) for other in plan.others if other.counted == "invalid"}
        if not fresh:
            break
        trouble |= fresh
        proposal = propose(seen, wishes, trouble)
    return proposal


def _silent(progress: Progress) -> None:
    """The listings of a trial are those of the survey: nothing is under way."""


class _Replay:
    """A reader whose listings are there already; all else is asked of the real one."""

    def __init__(self, reader: Reader, listing: Listing) -> None:
        self._reader = reader
        self._listing = listing

    def describe(self) -> Iterator[Sequence[Parameter]]:
        yield list(self._listing.parameters.values())

    def tagged(self) -> Iterator[Mapping[str, Tags]]:
        yield self._listing.tags

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)


def _tell(proposal: Proposal, common: CommonOptions) -> None:
    """What was found, in a few lines."""
    from ssm_reconcile.renderers.escaping import visible

    if common.quiet:
        return
    seen = proposal.survey
    left = sum(one.count for one in proposal.excluded if not one.too_many)
    told = [f"{_n(len(seen.listing.parameters))}, {proposal.selected + proposal.skipped:,} selected"]
    told += [f"{left:,} excluded (the file says why)"] if left else []
    told += [f"{proposal.skips:,} skipped by skip_sync"] if proposal.skips else []
    terminal.log(f"{seen.listing.place}: {', '.join(told)}")
    for key, count in proposal.near_misses:
        terminal.log(f"{_n(count)} with the tag {visible(key)}, which is almost skip_sync: left out")
    for warning in proposal.foreign:
        terminal.log(f"warning: {visible(warning)}")
    for one in seen.targets:
        numbers = proposal.numbers[one.name]
        found = ", ".join(f"{number:,} {like.value}" for like, number in numbers.items() if number)
        there = f"{sum(numbers.values()):,} of the selected: {found}" if found else "none of the selected"
        terminal.log(f"{one.name}: {_n(len(one.listing.parameters))}, {there}")


def _n(number: int) -> str:
    return f"{number:,} parameter{'' if number == 1 else 's'}"
