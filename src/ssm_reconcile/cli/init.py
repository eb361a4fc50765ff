"""`ssm-reconcile init`: a region and its targets -> a commented replication.yaml that plans without error."""

from __future__ import annotations

import os
import re
import secrets
import string
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssm_reconcile.aws_limits import REGION
from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.progress import show_progress
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.model import Access
from ssm_reconcile.system import SystemClock
from ssm_reconcile.wording import counted

if TYPE_CHECKING:
    from ssm_reconcile.init import InitChoices, Proposal
    from ssm_reconcile.init.survey import Survey

HELP = """\
Read the parameters of a region, and write a commented replication.yaml for them.

Reads the source and the targets that are given: paths, KMS keys and their counterparts, skip_sync tags,
values that depend on the region, and parameters that a target already has. Writes one file, and nothing in
AWS. SecureStrings are not decrypted. On a terminal, it asks for each choice that no option makes.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile init
  ssm-reconcile init --source-region us-east-1 --target us-east-2
  ssm-reconcile init --source-region us-east-1 --target dr=eu-west-1 --include '/prod/**' \\
      --role-arn dr=arn:aws:iam::210987654321:role/ssm-reconcile --key alias/app=alias/app-eu

\b
Exit codes:
    0  the file is written
    1  error: a place cannot be read
   64  wrong usage, or the file exists already
"""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The options, completed by answers on the terminal. `targets` are `REGION` or `NAME=REGION`."""

    region: str
    targets: tuple[str, ...] = ()
    name: str | None = None
    include: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    source_role: str | None = None
    roles: tuple[str, ...] = ()
    compare_secrets: bool = False

    def source_access(self) -> Access:
        """Return the place of the source; raises UsageError for an invalid region."""
        return Access(_region(self.region), self.source_role)

    def target_accesses(self) -> dict[str, Access]:
        """Return the places of the targets by name; raises UsageError for an invalid or repeated one."""
        roles = dict(_pair(role) for role in self.roles)
        found: dict[str, Access] = {}
        for text in self.targets:
            name, region = _pair(text)
            name = name or region
            if not NAME.fullmatch(name) or name in found:
                message = f"--target {text}: the name {name!r} is not valid, or another target has it"
                raise UsageError(message, "write REGION, or NAME=REGION with another NAME for each")
            role = roles.get(name) or roles.get("")
            found[name] = Access(_region(region), role, sts_region=_region(self.region))
        unknown = sorted(roles.keys() - found.keys() - {""})
        if unknown:
            raise unknown_name("target of --role-arn", unknown[0], found)
        return found

    def choices(self) -> InitChoices:
        """Return the choices that the options make; raises UsageError for an incomplete `--key`."""
        from ssm_reconcile.init import InitChoices

        keys = dict(_pair(text) for text in self.keys)
        if "" in keys:
            raise UsageError(
                f"--key {keys['']} names one key", "write SOURCE=KEY, such as alias/app=alias/app-eu"
            )
        return InitChoices(self.name, random_id(), propose_name(Path.cwd()), self.include, keys)


def _pair(text: str) -> tuple[str, str]:
    """Return `NAME=REST` as a pair, and `REST` alone with an empty name; an ARN may hold `=` itself."""
    name, mark, rest = text.partition("=")
    return ("", text) if not mark or name.startswith("arn:") else (name.strip(), rest.strip())


def _region(text: str) -> str:
    if not REGION.fullmatch(text):
        raise UsageError(f"{text!r} is not an AWS region", "write one such as us-east-2")
    return text


@click.command("init", help=HELP, epilog=EPILOG)
@click.option("--source-region", metavar="REGION", help="Where the parameters are (AWS_REGION if not given).")
@click.option(
    "--target", "targets", metavar="REGION|NAME=REGION", multiple=True,
    help="Where they belong as well (repeat for more).",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the replication; default: the repository or folder.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only names that match, such as '/prod/**' (repeat for more).",
)
@click.option(
    "--key", "keys", metavar="SOURCE=KEY", multiple=True,
    help="The KMS key to use in the targets for a source key (repeat for more).",
)  # fmt: skip
@click.option("--source-role-arn", metavar="ARN", help="The role that reaches the source.")
@click.option(
    "--role-arn", "roles", metavar="ARN|NAME=ARN", multiple=True,
    help="The role that reaches the targets, or one of them (repeat for more).",
)  # fmt: skip
@click.option(
    "--compare-secrets", is_flag=True,
    help="Decrypt SecureStrings that a target has as well, to compare them; needs kms:Decrypt.",
)  # fmt: skip
@click.option(
    "--output", metavar="FILE", default=DEFAULT_SPEC, show_default=True,
    help="Where to write; `-` is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is proposed.")
@options.aws_options
def command(
    *,
    source_region: str | None,
    targets: tuple[str, ...],
    name: str | None,
    include: tuple[str, ...],
    keys: tuple[str, ...],
    source_role_arn: str | None,
    roles: tuple[str, ...],
    compare_secrets: bool,
    output: str,
    force: bool,
    yes: bool,
    common: CommonOptions,
) -> int:
    """Write the spec; return the exit code."""
    options.check_patterns("--include", include)
    if output != "-":
        terminal.check_writable(Path(output))
        if Path(output).exists() and not force:
            message = f"{output} is there already"
            raise UsageError(message, "name another file with --output, or overwrite it with --force")
    asking = terminal.can_ask() and not yes
    region = source_region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    given = InitOptions(
        region=region,
        targets=targets,
        name=name,
        include=include,
        keys=keys,
        source_role=source_role_arn,
        roles=roles,
        compare_secrets=compare_secrets,
    )
    given = _completed(given, asking=asking, ask_region=asking and source_region is None)
    text = _spec_text(given, common, asking=asking)
    if output == "-":
        terminal.write(text)
        return 0
    terminal.save(Path(output), text)
    if not common.quiet:
        specs = () if output == DEFAULT_SPEC else (output,)
        terminal.log(f"Wrote {output}. Read it, then: {CommandLine(specs, access=common.access).plan()}")
    return 0


def _completed(given: InitOptions, *, asking: bool, ask_region: bool) -> InitOptions:
    """Return the options with the source region and the targets, asked for where no option has them."""
    if ask_region:
        region = click.prompt("Source region", default=given.region or None, err=True)
        given = replace(given, region=str(region).strip())
    if not given.region:
        raise UsageError("the source region is not known", "give it: --source-region us-east-1")
    if asking and not given.targets:
        answer = str(click.prompt("Target regions (or NAME=REGION), with commas between", err=True))
        given = replace(given, targets=tuple(filter(None, re.split(r"[,\s]+", answer))))
    if not given.targets:
        raise UsageError("no target is given", "give at least one: --target us-east-2")
    return given


def _spec_text(given: InitOptions, common: CommonOptions, *, asking: bool) -> str:
    """Return the text of the spec; raises StoreError or ReconcileError if a place cannot be read."""
    from ssm_reconcile.init import propose_valid
    from ssm_reconcile.init.survey import survey
    from ssm_reconcile.init.text import spec_text
    from ssm_reconcile.session import Places, Session
    from ssm_reconcile.spec import Run

    clock = SystemClock()
    connect = command_run.connect_factory(common, clock)
    source, targets = given.source_access(), given.target_accesses()
    choices = given.choices()
    places = Places({access: connect(access) for access in (source, *targets.values())})
    with show_progress(common) as progress:
        found = survey(source, targets, places, progress)
    if asking:
        choices = _ask_choices(found, choices)
    with show_progress(common) as progress:
        session = Session(places, Run(parallelism=common.parallelism), clock, progress)
        proposal = propose_valid(found, choices, session, compare_secrets=given.compare_secrets)
    if not common.quiet:
        _log_summary(proposal)
    return spec_text(proposal, clock.now())


def random_id() -> str:
    """Return a random id for a spec: it begins with a letter, so that YAML reads it as text."""
    characters = string.ascii_lowercase + string.digits
    return secrets.choice(string.ascii_lowercase) + "".join(secrets.choice(characters) for _ in range(11))


def _ask_choices(found: Survey, choices: InitChoices) -> InitChoices:
    """Return the choices with the answers to each question that no option answers."""
    from ssm_reconcile.init import offered_paths, propose

    if not choices.include:
        paths = offered_paths(found)
        for number, path in enumerate(paths, 1):
            click.echo(f"  {number:>2}  {path.pattern:<40} {path.count:>7,}", err=True)
        question = "Which of these? Numbers or patterns, with commas between"
        answer = str(click.prompt(question, "all", err=True)).strip()
        chosen = [] if answer == "all" else [word for word in re.split(r"[,\s]+", answer) if word]
        known = {str(number): path.pattern for number, path in enumerate(paths, 1)}
        choices = replace(choices, include=tuple(known.get(word, word) for word in chosen))
    first = propose(found, choices)
    if choices.name is None:
        choices = replace(choices, name=str(click.prompt("Name of the replication", first.name, err=True)))
    keys = dict(choices.keys)
    for entry in first.keys:
        if len(entry.targets) < len(found.targets):
            question = f"{entry.source} encrypts {entry.count:,} and is not in every target. Key to use there"
            answer = click.prompt(f"{question} (empty: leave them out)", "", show_default=False, err=True)
            if str(answer).strip():
                keys[entry.source] = str(answer).strip()
    return replace(choices, keys=keys)


def _log_summary(proposal: Proposal) -> None:
    """Log the numbers of the proposal, and its warnings."""
    from ssm_reconcile.renderers.escaping import visible

    found = proposal.survey
    excluded = sum(one.count for one in proposal.excluded if one.paths)
    numbers = [counted(len(found.listing.parameters), "parameter")]
    numbers += [f"{proposal.selected + proposal.skipped:,} selected"]
    numbers += [f"{excluded:,} excluded (the file says why)"] if excluded else []
    numbers += [f"{proposal.skips:,} skipped by skip_sync"] if proposal.skips else []
    terminal.log(f"{found.listing.place}: {', '.join(numbers)}")
    for key, count in proposal.near_misses:
        almost = f"with the tag {visible(key)}, which is almost skip_sync: left out"
        terminal.log(f"{counted(count, 'parameter')} {almost}")
    for warning in proposal.foreign:
        terminal.log(f"warning: {visible(warning)}")
    for one in found.targets:
        relations = proposal.numbers(one.name)
        of_each = ", ".join(f"{number:,} {relation.value}" for relation, number in relations.items())
        existing = f"{relations.total():,} of the selected: {of_each}" if of_each else "none of the selected"
        terminal.log(f"{one.name}: {counted(len(one.listing.parameters), 'parameter')}, {existing}")


DEFAULT_NAME = "main"
_NAME_LENGTH = 64
_ORIGIN = re.compile(r'^\[remote "origin"\]\s*$(?:\n(?!\[).*$)*?\n\s*url\s*=\s*(\S+)\s*$', re.MULTILINE)


def propose_name(folder: Path) -> str:
    """Return a name for the replication of a repository; `main` if no letter or digit is left of it."""
    for home in (folder, *folder.parents):
        git = home / ".git"
        if git.exists():
            return _formed(_origin(git)) or _formed(home.name) or DEFAULT_NAME
    return _formed(folder.name) or DEFAULT_NAME


def _origin(git: Path) -> str:
    """Return the last part of the URL of the remote `origin`, empty without one."""
    try:
        found = _ORIGIN.search((_common(git) / "config").read_text("utf-8", errors="replace"))
    except OSError:
        return ""
    if found is None:
        return ""
    return re.split(r"[/:\\]", found[1].rstrip("/"))[-1].removesuffix(".git")


def _common(git: Path) -> Path:
    """Return the directory that holds the configuration: a linked worktree has a file that names its own."""
    if git.is_dir():
        return git
    own = (git.parent / git.read_text("utf-8").partition("gitdir:")[2].strip()).resolve()
    common = own / "commondir"
    return (own / common.read_text("utf-8").strip()).resolve() if common.exists() else own


def _formed(text: str) -> str:
    """Return a text in small letters, digits and single `-`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_NAME_LENGTH].strip("-")
