"""`ssm-reconcile init`: a region and its targets -> a commented replication.yaml that plans without error."""

from __future__ import annotations

import os
import re
import secrets
import string
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.aws_limits import REGION
from ssm_reconcile.cli import command_run, init_github, options, terminal, text_files
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.progress import log_opening, show_progress
from ssm_reconcile.cli.repository_files import find_root
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.model import Access
from ssm_reconcile.system import SystemClock
from ssm_reconcile.wording import plural

if TYPE_CHECKING:
    from ssm_reconcile.init import InitChoices, Proposal
    from ssm_reconcile.init.survey import Survey

EPILOG = """\
\b
Examples:
  ssm-reconcile init
  ssm-reconcile init --source-region us-east-1 --target us-east-2
  ssm-reconcile init --source-region us-east-1 --target dr=eu-west-1 \\
      --role-arn dr=arn:aws:iam::210987654321:role/ssm-reconcile \\
      --key alias/app=alias/app-eu --include '/prod/**'
  ssm-reconcile init --github acme/parameters --code-owner @acme/platform \\
      --reviewer acme/platform
  ssm-reconcile init --github acme/parameters --apply specs/a.yaml specs/b.yaml
"""
EXIT_CODES = {
    0: "the files are written; --apply: the settings are complete",
    1: "error: a place cannot be read, or GitHub refused a setting",
    64: "wrong usage, or a file exists already",
}
GITHUB_STEPS = "To plan pull requests and apply merges on GitHub (docs/github-actions.md):"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The options, completed by answers on the terminal. `targets` are `REGION` or `NAME=REGION`."""

    region: str | None
    targets: tuple[str, ...] = ()
    name: str | None = None
    include: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    source_role: str | None = None
    roles: tuple[str, ...] = ()
    compare_secrets: bool = False

    @property
    def is_given(self) -> bool:
        """Whether an option for the content of a new spec is given."""
        return self != InitOptions(region=None)

    def source_access(self) -> Access:
        """Return the place of the source; raises UsageError for an invalid region."""
        return Access(_check_region(self.region), self.source_role, read_only=True)

    def target_accesses(self) -> dict[str, Access]:
        """Return the places of the targets by name.

        Raises:
            UsageError: A target is invalid, or two have the same name.
        """
        roles = dict(_pair(role) for role in self.roles)
        found: dict[str, Access] = {}
        for text in self.targets:
            name, region = _pair(text)
            name = name or region
            if not NAME.fullmatch(name) or name in found:
                message = f"--target {text}: the name {name!r} is not valid, or another target has it"
                raise UsageError(message, "write REGION, or NAME=REGION with another NAME for each")
            role = roles.get(name) or roles.get("")
            found[name] = Access(_check_region(region), role, sts_region=_check_region(self.region))
        unknown = sorted(roles.keys() - found.keys() - {""})
        if unknown:
            raise unknown_name("target of --role-arn", unknown[0], found)
        return found

    def choices(self) -> InitChoices:
        """Return the choices that the options make.

        Raises:
            UsageError: A `--key` is incomplete.
        """
        from ssm_reconcile.init import InitChoices

        keys = dict(_pair(text) for text in self.keys)
        if "" in keys:
            raise UsageError(
                f"--key {keys['']} names one key", "write SOURCE=KEY, such as alias/app=alias/app-eu"
            )
        return InitChoices(self.name or propose_name(Path.cwd()), random_id(), self.include, keys)


def _pair(text: str) -> tuple[str, str]:
    """Return `NAME=REST` as a pair, and `REST` alone with an empty name; an ARN may hold `=` itself."""
    name, mark, rest = text.partition("=")
    return ("", text) if not mark or name.startswith("arn:") else (name.strip(), rest.strip())


def _check_region(text: str | None) -> str:
    if text is None or not REGION.fullmatch(text):
        raise UsageError(f"{text!r} is not an AWS region", "write one such as us-east-2")
    return text


@click.command("init", cls=DocumentedCommand, epilog=EPILOG, exit_codes=EXIT_CODES)
@click.option(
    "--source-region", "region", metavar="REGION", help="Region of the source. Default: AWS_REGION."
)
@click.option(
    "--target", "targets", metavar="REGION|NAME=REGION", multiple=True,
    help="Region of a target (repeat for more).",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the replication; default: the repository or folder.")
@click.option(
    "--include", metavar="GLOB", multiple=True,
    help="Only names that match, such as '/prod/**' (repeat for more).",
)  # fmt: skip
@click.option(
    "--key", "keys", metavar="SOURCE=KEY", multiple=True,
    help="The KMS key to use in the targets for a source key (repeat for more).",
)  # fmt: skip
@click.option("--source-role-arn", "source_role", metavar="ARN", help="The role that reaches the source.")
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
    help="The file to write; `-` is standard output.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--yes", is_flag=True, help="Do not ask; use the proposed values.")
@options.spec_argument
@init_github.add_options
@options.aws_options
def command(
    *, output: str, force: bool, yes: bool, specs: tuple[str, ...], common: CommonOptions, **given: Any
) -> int:
    """Read the parameters of a region, and write a commented replication.yaml for them.

    Reads the source and the targets that are given: paths, KMS keys and their counterparts, skip_sync tags,
    values that depend on the region, and parameters that a target already has. Writes one file, and nothing
    in AWS. SecureStrings are not decrypted. On a terminal, it asks for each choice that no option makes.

    With --github, writes the workflow of the repository and its entries in CODEOWNERS, and prints the
    commands of `gh` for environments and rules. SPEC, or an existing replication.yaml, is the spec then;
    several specs become a matrix, and AWS is not called.
    """
    chosen = init_github.GitHubOptions(
        **{one.name: given.pop(one.name) for one in fields(init_github.GitHubOptions)}
    )
    chosen.check()
    wanted = InitOptions(**given)
    if specs and (chosen.repository is None or wanted.is_given):
        message = "SPEC is an existing spec for --github, and the other options make a new one"
        raise UsageError(message, "name a new spec with --output")
    if chosen.repository and (specs or (Path(output).exists() and not wanted.is_given)):
        return init_github.run(chosen, specs or (output,), force=force, common=common)
    if chosen.repository:
        init_github.check_new(chosen, output, force=force)
    from ssm_reconcile.iam.stack import role_names
    from ssm_reconcile.init.github import WORKFLOW
    from ssm_reconcile.load import load_text

    text = _new_text(wanted, output, common, force=force, yes=yes)
    found = load_text(text).replications
    if chosen.repository:
        init_github.account_of(chosen, found)
    if output == "-":
        terminal.write(text)
    else:
        text_files.save(Path(output), text)
    again = CommandLine(() if output == DEFAULT_SPEC else (output,), access=common.access)
    if output != "-" and not common.quiet:
        terminal.log(f"Wrote {output}. Read it, then: {again.plan()}")
    if chosen.repository:
        return init_github.run(chosen, (output,), force=force, common=common)
    if output != "-" and not common.quiet:
        repository = propose_repository(Path.cwd())
        terminal.log(f"{GITHUB_STEPS}\n  {again.init_github(repository)}")
        region = found[0].source.access.region
        files = [os.path.relpath(find_root() / WORKFLOW)]
        terminal.log(again.github_steps(repository, role_names(found, repository).stack, region, files))
    return 0


def _new_text(wanted: InitOptions, output: str, common: CommonOptions, *, force: bool, yes: bool) -> str:
    """Return the text of the spec that the options and the answers describe.

    Raises:
        UsageError: The file exists, or an option is missing or not valid.
    """
    options.check_patterns("--include", wanted.include)
    if output != "-":
        text_files.check_writable(Path(output))
        if Path(output).exists() and not force:
            message = f"{output} already exists"
            raise UsageError(message, "name another file with --output, or overwrite it with --force")
    asking = terminal.can_ask() and not yes
    return _spec_text(_completed(wanted, asking=asking), common, asking=asking)


def _completed(given: InitOptions, *, asking: bool) -> InitOptions:
    """Return the options with the source region and the targets, asked for where no option has them."""
    region = given.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if asking and given.region is None:
        region = str(click.prompt("Source region", default=region, err=True)).strip()
    if not region:
        raise UsageError("the source region is not known", "give it: --source-region us-east-1")
    targets = given.targets
    if asking and not targets:
        answer = str(click.prompt("Target regions (or NAME=REGION), with commas between", err=True))
        targets = tuple(_words(answer))
    if not targets:
        raise UsageError("no target is given", "give at least one: --target us-east-2")
    return replace(given, region=region, targets=targets)


def _words(answer: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", answer) if word]


def _spec_text(given: InitOptions, common: CommonOptions, *, asking: bool) -> str:
    """Return the text of the spec; raises StoreError or ReconcileError if a place cannot be read."""
    source, targets, choices = given.source_access(), given.target_accesses(), given.choices()
    log_opening((source, *targets.values()), common)
    from ssm_reconcile.init import propose_valid
    from ssm_reconcile.init.survey import survey
    from ssm_reconcile.init.text import spec_text
    from ssm_reconcile.session import Places, Session, connect_each
    from ssm_reconcile.spec import Run

    clock = SystemClock()
    connect = command_run.connect_factory(common, clock)
    places = Places(connect_each((source, *targets.values()), connect))
    with show_progress(common) as progress:
        found = survey(source, targets, places, progress)
    if asking:
        choices = _ask_choices(found, choices, ask_name=given.name is None)
    with show_progress(common) as progress:
        session = Session(places, Run(), clock, progress)
        proposal = propose_valid(found, choices, session, compare_secrets=given.compare_secrets)
    if not common.quiet:
        _log_summary(proposal)
    return spec_text(proposal, clock.now())


def random_id() -> str:
    """Return a random id for a spec: it begins with a letter, so that YAML reads it as text."""
    characters = string.ascii_lowercase + string.digits
    return secrets.choice(string.ascii_lowercase) + "".join(secrets.choice(characters) for _ in range(11))


def _ask_choices(found: Survey, choices: InitChoices, *, ask_name: bool) -> InitChoices:
    """Return the choices with the answers to each question that no option answers."""
    from ssm_reconcile.init import offered_paths, propose

    if not choices.include:
        paths = offered_paths(found)
        for number, (pattern, count) in enumerate(paths.items(), 1):
            click.echo(f"  {number:>2}  {pattern:<40} {count:>7,}", err=True)
        question = "Which of these? Numbers or patterns, with commas between"
        answer = str(click.prompt(question, "all", err=True)).strip()
        known = {str(number): pattern for number, pattern in enumerate(paths, 1)}
        chosen = [known.get(word, word) for word in _words(answer)]
        choices = replace(choices, include=() if answer == "all" else tuple(chosen))
    if ask_name:
        choices = replace(choices, name=str(click.prompt("Name of the replication", choices.name, err=True)))
    keys = dict(choices.keys)
    for entry in propose(found, choices, {}).keys:
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
    numbers = [plural(len(found.listing.parameters), "parameter")]
    numbers += [f"{proposal.selected + proposal.skipped:,} selected"]
    numbers += [f"{excluded:,} excluded (the file says why)"] if excluded else []
    numbers += [f"{proposal.skips:,} skipped by skip_sync"] if proposal.skips else []
    terminal.log(f"{found.listing.place}: {', '.join(numbers)}")
    for key, count in proposal.near_misses.items():
        almost = f"with the tag {visible(key)}, which is almost skip_sync: left out"
        terminal.log(f"{plural(count, 'parameter')} {almost}")
    for warning in proposal.foreign:
        terminal.log(f"warning: {visible(warning)}")
    for one in found.targets:
        relations = proposal.numbers(one.name)
        of_each = ", ".join(f"{number:,} {relation.value}" for relation, number in relations.items())
        existing = f"{relations.total():,} of the selected: {of_each}" if of_each else "none of the selected"
        terminal.log(f"{one.name}: {plural(len(one.listing.parameters), 'parameter')}, {existing}")


DEFAULT_NAME = "main"
_NAME_LENGTH = 64
_ORIGIN = re.compile(r'^\[remote "origin"\]\s*$(?:\n(?!\[).*$)*?\n\s*url\s*=\s*(\S+)\s*$', re.MULTILINE)


def propose_name(folder: Path) -> str:
    """Return a name for the replication of a repository; `main` if no letter or digit is left of it."""
    for home in (folder, *folder.parents):
        git = home / ".git"
        if git.exists():
            name = re.split(r"[/:\\]", _origin(git).rstrip("/"))[-1].removesuffix(".git")
            return _formed(name) or _formed(home.name) or DEFAULT_NAME
    return _formed(folder.name) or DEFAULT_NAME


def propose_repository(folder: Path) -> str:
    """Return OWNER/REPO of the remote `origin` on github.com; without one, these words."""
    from ssm_reconcile.cli.doctor import repository_of

    git = next((home / ".git" for home in (folder, *folder.parents) if (home / ".git").exists()), None)
    try:
        return repository_of("" if git is None else _origin(git), "https://github.com")
    except UsageError:
        return "OWNER/REPO"


def _origin(git: Path) -> str:
    """Return the URL of the remote `origin`, empty without one."""
    try:
        found = _ORIGIN.search((_common(git) / "config").read_text("utf-8", errors="replace"))
    except OSError:
        return ""
    return "" if found is None else found[1]


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
