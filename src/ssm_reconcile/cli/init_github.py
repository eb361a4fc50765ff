"""`ssm-reconcile init --github`: specs -> the files of a repository, and its settings through `gh`.

Everything that can be refused is checked before the first file is written. Without `--apply`, the commands of
`gh` are printed; with it, only those are run that are still needed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile import __version__
from ssm_reconcile.cli import command_run, gh, terminal, text_files
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import ReconcileError, UsageError

if TYPE_CHECKING:
    from ssm_reconcile.init.github import ApiRequest, GitHubState, RepositorySetup, ToolCommit

_NAME = re.compile(r"@?([A-Za-z0-9][A-Za-z0-9-]*(/[A-Za-z0-9._-]+)?)")
_MOST_REVIEWERS = 6
"""Reviewers of an environment (REST reference)."""
_MOST_OWNERS_BYTES = 3_000_000
"""Bytes of CODEOWNERS that GitHub reads."""
_SECONDS = 60
_PLACEHOLDER = "OWNER"
"""The owner in the address of this project as long as nothing is released."""
_PAID = "a private repository has this setting on a paid plan of GitHub only"


@dataclass(frozen=True, slots=True)
class GitHubOptions:
    """The options for the repository; `repository` is None without `--github`."""

    repository: str | None
    branch: str | None
    code_owners: tuple[str, ...]
    reviewers: tuple[str, ...]
    ref: str | None
    account: str | None
    is_applied: bool

    @property
    def apply_words(self) -> list[str]:
        """The options that the settings depend on."""
        branch = [] if self.branch is None else ["--branch", self.branch]
        account = [] if self.account is None else ["--account", self.account]
        return [*branch, *account, *(word for name in self.reviewers for word in ("--reviewer", name))]

    def check(self) -> None:
        """Check the form of the options.

        Raises:
            UsageError: An option needs `--github`, or is not valid.
        """
        from ssm_reconcile.iam import TrustedWorkflows

        if self.repository is None:
            if any((self.branch, self.code_owners, self.reviewers, self.ref, self.account, self.is_applied)):
                message = "--branch, --code-owner, --reviewer, --ref, --account and --apply need --github"
                raise UsageError(message, "add --github OWNER/REPO")
            return
        TrustedWorkflows(self.repository).check()
        for name in (*self.code_owners, *self.reviewers):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} is not @USER or @ORGANIZATION/TEAM")
        if len(set(self.reviewers)) > _MOST_REVIEWERS:
            raise UsageError(f"an environment has at most {_MOST_REVIEWERS} reviewers", "name a team")
        if self.ref is not None and not re.fullmatch(r"[0-9a-f]{40}", self.ref):
            raise UsageError(f"--ref {self.ref!r} is not a full commit id", "write its 40 hex digits")
        if self.account is not None and not re.fullmatch(r"[0-9]{12}", self.account):
            raise UsageError(f"--account {self.account!r} is not an account id", "write its 12 digits")


def _names(given: Sequence[str], mark: str = "") -> tuple[str, ...]:
    """Return names without their `@`, each once, after a mark."""
    return tuple(dict.fromkeys(mark + name.removeprefix("@") for name in given))


def add_options(command: Any) -> Any:
    """Return a command with the options for the repository."""
    for option in reversed((
        click.option(
            "--github", "repository", metavar="OWNER/REPO",
            help="Write the workflow and CODEOWNERS for that repository, and print the commands for its"
            " settings. An existing spec is used as it is, without AWS.",
        ),
        click.option("--branch", metavar="NAME", help="Its default branch. Default: main."),
        click.option(
            "--code-owner", "code_owners", metavar="@TEAM", multiple=True,
            help="Owner of the spec and of .github/ in CODEOWNERS (repeat for more).",
        ),
        click.option(
            "--reviewer", "reviewers", metavar="NAME", multiple=True,
            help="User or ORGANIZATION/TEAM that approves a plan that changed (repeat for more).",
        ),
        click.option(
            "--ref", metavar="SHA",
            help="Commit of this project to call. Default: that of its checkout, else of the tag of this"
            " version.",
        ),
        click.option(
            "--apply", "is_applied", is_flag=True,
            help="Make the settings that are missing, with `gh`.",
        ),
        click.option("--account", metavar="ID", help="Account of the roles, if the spec does not name it."),
    )):  # fmt: skip
        command = option(command)
    return command


@dataclass(slots=True)
class FileWriter:
    """The files in a repository that are about to be written, each with its text."""

    root: Path
    force: bool

    @property
    def code_owners(self) -> Path:
        """The first file that GitHub would use; a new one would replace it."""
        from ssm_reconcile.github.settings import CODEOWNERS

        paths = [self.root / name for name in CODEOWNERS]
        return next((path for path in paths if path.exists()), paths[0])

    def check(self, path: Path, text: str | None = None) -> None:
        """Check that a file may be written: it is new, or has the same text, or `--force` is given.

        Raises:
            UsageError: The file has another text, or cannot be written.
        """
        if path.exists() and not self.force and (text is None or path.read_text("utf-8") != text):
            raise UsageError(f"{self.shown(path)} already exists", "overwrite it with --force")
        folder = next(one for one in path.parents if one.exists())
        if not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
            message = f"{self.shown(path)} cannot be written"
            raise UsageError(message, "check the permissions of its folder")

    def is_kept(self, path: Path, text: str) -> bool:
        """Return whether a file exists with another text and is not to be overwritten."""
        return path.is_file() and not self.force and path.read_text("utf-8") != text

    def save(self, path: Path, text: str, common: CommonOptions) -> None:
        """Write a file that has another text, with its folders, and log its path.

        Args:
            path: The file.
            text: Its new text.
            common: The options of all commands.

        Raises:
            ReconcileError: The file could not be written.
        """
        is_same = path.exists() and path.read_text("utf-8") == text
        if not is_same:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                message = f"{self.shown(path.parent)} could not be created: {error.strerror}"
                raise ReconcileError(message, "check the permissions of its folder") from error
            text_files.save(path, text)
        if not common.quiet:
            terminal.log(f"{'Unchanged:' if is_same else 'Wrote'} {self.shown(path)}")

    def shown(self, path: Path) -> str:
        """Return the path of a file as a person sees it, from the current directory if it is below."""
        return os.path.relpath(path)


def find_root() -> Path:
    """Return the root of the repository in which this process runs; without one the current directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def check_new(github: GitHubOptions, output: str, *, force: bool) -> None:
    """Check the files before a spec is made, which takes longer.

    Args:
        github: The options for the repository.
        output: The file of the new spec.
        force: Whether to overwrite a workflow.

    Raises:
        UsageError: The workflow exists, or cannot be written, or `gh` is missing.
    """
    from ssm_reconcile.init.github import WORKFLOW, check_words

    if output == "-":
        raise UsageError("--github needs a file for the spec, not `-`")
    check_words(github.branch or "main", [output])
    files = FileWriter(find_root(), force)
    files.check(files.root / WORKFLOW)
    _tool_commit(github.ref)
    if github.is_applied:
        _check_gh(github)


def run(github: GitHubOptions, specs: Sequence[str], *, force: bool, common: CommonOptions) -> int:
    """Write the files, print or make the settings, and return the exit code.

    Args:
        github: The options for the repository.
        specs: The files or folders of the specs.
        force: Whether to overwrite a workflow.
        common: The options of all commands.

    Raises:
        UsageError: The setup is not possible, or a file exists.
        ReconcileError: A file cannot be written, or GitHub refuses a setting.
    """
    from ssm_reconcile.init.github import (
        WORKFLOW,
        code_owners_text,
        missing_requests,
        script,
        workflow_text,
    )

    files = FileWriter(find_root(), force)
    setup = _setup_of(github, specs, files.root)
    workflow, text = files.root / WORKFLOW, workflow_text(setup)
    is_new, is_kept = not workflow.exists(), github.is_applied and files.is_kept(workflow, text)
    texts = {} if is_kept else {workflow: text}
    for path in texts:
        files.check(path, text)
    if setup.code_owners:
        path = files.code_owners
        existing = text_files.read_text(str(path), _MOST_OWNERS_BYTES) if path.exists() else ""
        name = path.relative_to(files.root).as_posix()
        texts[path] = code_owners_text(setup, name, existing)
        FileWriter(files.root, force=True).check(path)
    requests = []
    if github.is_applied:
        _check_gh(github)
        requests = missing_requests(setup, _read_state(setup))
    for path, text in texts.items():
        files.save(path, text, common)
    if github.is_applied:
        _send(requests, common)
    else:
        terminal.write(script(setup))
    if not common.quiet:
        if is_kept:
            terminal.log(f"Kept {files.shown(workflow)}, which has another text; --force overwrites it.")
        _log_notes(setup, has_owners=files.code_owners.exists())
        _log_steps(github, setup, specs, is_new=is_new)
    return 0


def _setup_of(github: GitHubOptions, specs: Sequence[str], root: Path) -> RepositorySetup:
    from ssm_reconcile.github.workflow_run import repository_paths
    from ssm_reconcile.iam import partition_for
    from ssm_reconcile.iam.stack import own_account, role_names
    from ssm_reconcile.init.github import RepositorySetup, check_words

    if "-" in specs:
        raise UsageError("--github needs the path of the spec in the repository, not `-`")
    paths = repository_paths(specs, {"GITHUB_WORKSPACE": str(root)})
    is_folder = [Path(spec).is_dir() for spec in specs]
    named = [
        "" if path == "." else f"{path}/" if folder else path
        for path, folder in zip(paths, is_folder, strict=True)
    ]
    branch, repository = github.branch or "main", github.repository or ""
    check_words(branch, named)
    loaded = command_run.load_specs(specs, None)
    account = own_account(loaded)
    if account is None and github.account is None:
        message = "the account of the roles is not known: no spec names the account of its source"
        raise UsageError(message, "write `account` of the source in the spec, or give --account")
    if github.account not in {None, account} and account is not None:
        raise UsageError(f"--account {github.account}: the spec names {account}", "leave out --account")
    return RepositorySetup(
        repository=repository,
        branch=branch,
        specs=tuple(dict.fromkeys(named)),
        tool=_tool_commit(github.ref),
        region=loaded[0].source.access.region,
        account=account or github.account or "",
        partition=partition_for(loaded),
        roles=role_names(loaded, repository),
        code_owners=_names(github.code_owners, "@"),
        reviewers=_names(github.reviewers),
    )


# The commit of this project that a workflow names


def _tool_commit(ref: str | None) -> ToolCommit:
    """Return the commit of `--ref`, else of the checkout that runs, else of the tag of this version.

    Raises:
        UsageError: The commit is not known.
    """
    from ssm_reconcile.init.github import ToolCommit

    home = Path(__file__).resolve().parents[3]
    is_checkout = (home / ".git").exists() and (home / "pyproject.toml").is_file()
    url = _project_url(home if is_checkout else None)
    repository = url.removeprefix("https://github.com/")
    unreleased = f"{__version__}, not released"
    if ref is not None:
        return ToolCommit(repository, ref, f"{__version__}, chosen with --ref")
    if is_checkout:
        commit = _output("git", "-C", str(home), "rev-parse", "HEAD")
        tags = _output("git", "-C", str(home), "tag", "--points-at", "HEAD").split()
        if commit:
            is_release = f"v{__version__}" in tags
            return ToolCommit(repository, commit, f"v{__version__}" if is_release else unreleased)
    tag = f"refs/tags/v{__version__}"
    lines = _output("git", "ls-remote", url, tag, f"{tag}^{{}}").splitlines()
    commits = {name: commit for commit, _, name in (line.partition("\t") for line in lines)}
    found = commits.get(f"{tag}^{{}}") or commits.get(tag)
    if not found:
        message = f"the commit of v{__version__} in {url} could not be read with `git ls-remote`"
        raise UsageError(message, "give the commit of the release: --ref SHA")
    return ToolCommit(repository, found, f"v{__version__}")


def _project_url(checkout: Path | None) -> str:
    """Return the address of this project, from pyproject.toml or the metadata of the installed package."""
    if checkout is not None:
        import tomllib

        project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["urls"]["Repository"])
    links = map(str, metadata.metadata("ssm-reconcile").get_all("Project-URL") or [])
    return next(link.partition(", ")[2] for link in links if link.startswith("Repository, "))


def _output(*words: str) -> str:
    """Return the output of a command; empty if it is missing or fails. Git asks for no password."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            words, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# Settings through `gh`


def _check_gh(github: GitHubOptions) -> None:
    """Check that `gh` reaches the repository, and the name of its default branch.

    Raises:
        UsageError: `gh` is missing, or the default branch has another name.
        ReconcileError: The repository cannot be read.
    """
    if shutil.which("gh") is None:
        remedy = "install it (https://cli.github.com), or leave out --apply and run the printed commands"
        raise UsageError("--apply needs `gh`, which is not installed", remedy)
    found = gh.read_object(f"repos/{github.repository}", "repository")
    default, branch = str(found.get("default_branch")), github.branch or "main"
    if default != branch:
        message = f"the default branch of {github.repository} is {default}, and the files are for {branch}"
        raise UsageError(message, f"give --branch {default}")


def _read_state(setup: RepositorySetup) -> GitHubState:
    """Return the settings that GitHub has; raises ReconcileError if one cannot be read."""
    from ssm_reconcile.github.settings import ENVIRONMENTS
    from ssm_reconcile.init.github import RULESET, GitHubState, reviewer_path

    base = f"repos/{setup.repository}"
    listed = gh.read_object(f"{base}/environments?per_page=100", "environments")["environments"]
    environments = {str(one["name"]).lower(): one for one in listed}
    branches: dict[str, list[str]] = {}
    for name in ENVIRONMENTS:
        if (environments.get(name, {}).get("deployment_branch_policy") or {}).get("custom_branch_policies"):
            path = f"{base}/environments/{name}/deployment-branch-policies?per_page=100"
            policies = gh.read_object(path, f"branches of environment {name}")["branch_policies"]
            branches[name] = [one["name"] for one in policies if one.get("type", "branch") == "branch"]
    ids = {one: int(gh.read_object(reviewer_path(one), f"reviewer {one}")["id"]) for one in setup.reviewers}
    path, remedy = f"{base}/rulesets?includes_parents=false&per_page=100", f"{gh.ADMINISTER}; {_PAID}"
    rulesets = gh.read_object(path, "rulesets", remedy)
    mine = next((one for one in rulesets if one["name"] == RULESET), None)
    ruleset = None if mine is None else gh.read_object(f"{base}/rulesets/{mine['id']}", f"ruleset {RULESET}")
    return GitHubState(environments, branches, ruleset, ids)


def _send(requests: Sequence[ApiRequest], common: CommonOptions) -> None:
    """Make the settings that are missing, and log the command of each first.

    Raises:
        ReconcileError: GitHub refused a setting; those before it are made.
    """
    for request in requests:
        if not common.quiet:
            body = "" if request.body is None else f" <<< '{json.dumps(request.body)}'"
            terminal.log(request.command + body)
        response = gh.send_request(request.method, request.path, request.body)
        if not response.is_success:
            remedy = _remedy(request) if response.status in {gh.FORBIDDEN, gh.NOT_FOUND, gh.INVALID} else ""
            raise gh.request_error(request.command, request.setting, response, remedy)
    if not common.quiet and not requests:
        terminal.log("All settings on GitHub are complete.")


def _remedy(request: ApiRequest) -> str:
    if request.needs_plan == "Enterprise":
        return (
            "check that each reviewer may read the repository. A private repository has required reviewers on"
            " GitHub Enterprise only: there run again without --reviewer. Then no one approves in"
            " ssm-apply-changed: a merge whose plan changed is refused, and a person applies it by its id"
        )
    return f"{gh.ADMINISTER}; {_PAID}" if request.needs_plan else gh.ADMINISTER


def _log_notes(setup: RepositorySetup, *, has_owners: bool) -> None:
    """Log what the files and settings lack."""
    if setup.tool.repository.startswith(f"{_PLACEHOLDER}/"):
        terminal.log(
            f"Note: replace {_PLACEHOLDER} in the workflow with the owner of ssm-reconcile on GitHub."
        )
    if not setup.code_owners and not has_owners:
        terminal.log(
            "Note: CODEOWNERS does not exist: give --code-owner for the owners of the spec and .github/."
        )
    if not setup.reviewers:
        without = "without --reviewer, no one can approve in ssm-apply-changed"
        terminal.log(f"Note: {without}: a merge whose plan changed is refused.")


def _log_steps(github: GitHubOptions, setup: RepositorySetup, specs: Sequence[str], *, is_new: bool) -> None:
    """Log the commands that are left, in their order. `is_new`: this run wrote the workflow."""
    again = CommandLine(() if tuple(specs) == (DEFAULT_SPEC,) else tuple(specs))
    branch = setup.branch
    if not github.is_applied:
        terminal.log("Next:")
        terminal.log(next_steps(again, setup.repository, (*github.apply_words, "--apply"), branch))
    else:
        terminal.log(f"Next, after the stack of `iam stack` is deployed:\n  {again.doctor_github()}")
    if github.is_applied and is_new:
        terminal.log(
            f"Commit the files on a branch, and open a pull request to {branch}. It changes .github/, so its"
            " plan does not count as reviewed: after the merge, it is applied when a person approves it."
        )
    else:
        terminal.log(
            f"Then open a pull request to {branch} with the spec, and without a change of .github/: its plan"
            " is applied on merge."
        )


def next_steps(
    again: CommandLine, repository: str, words: Sequence[str] = ("--apply",), branch: str = "main"
) -> str:
    """Return the commands for the roles, the files, the settings and the check, one a line.

    The workflow is pushed before its rules exist, which need a pull request for each change.

    Args:
        again: The specs.
        repository: The repository on GitHub, as OWNER/REPO.
        words: The options that make the settings.
        branch: The default branch.
    """
    ids = f'"$(gh api repos/{repository} --jq \'"\\(.owner.id)/\\(.id)"\')"'
    stack = "--template-file roles.json --stack-name ssm-reconcile --capabilities CAPABILITY_NAMED_IAM"
    return (
        f"  {again.iam('stack', '--github', repository)} --github-ids {ids} > roles.json\n"
        f"  aws cloudformation deploy {stack}\n"
        f"  git add .github && git commit -m 'Plan and apply on GitHub' && git push origin {branch}\n"
        f"  {again.init_github(repository, *words)}\n"
        f"  {again.doctor_github()}"
    )
