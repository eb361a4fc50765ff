"""`ssm-reconcile init --github`: specs -> the files of a repository, and its settings through `gh`.

Everything that can be refused is checked before the first file is written. Without `--apply`, the commands of
`gh` for a repository without the settings are printed; with it, only those are run that are still needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile import __version__
from ssm_reconcile.cli import command_run, gh, terminal
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.cli.repository_files import FileWriter, find_root
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import UsageError

if TYPE_CHECKING:
    from ssm_reconcile.init.github import ApiRequest, GitHubState, RepositorySetup, ToolCommit
    from ssm_reconcile.spec import Replication

_NAME = re.compile(r"@?([A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9._-]+)?)")
"""A login has `_` before the short code of its enterprise, if the enterprise manages its users."""
_MOST_REVIEWERS = 6
"""Reviewers of an environment (REST reference)."""
_SECONDS = 60
_UNKNOWN_CHECKS = "overwrite it with --force, or write its specs as a list in the matrix"
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
                remedy = "write a login, such as @octocat, or a team, such as @acme/ops"
                raise UsageError(f"{name!r} is not @USER or @ORGANIZATION/TEAM", remedy)
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


def check_new(github: GitHubOptions, output: str, *, force: bool) -> None:
    """Check the files before a spec is made, which takes longer.

    Args:
        github: The options for the repository.
        output: The file of the new spec.
        force: Whether to overwrite a workflow.

    Raises:
        UsageError: The spec would not be in the repository, the workflow exists, a file cannot be written,
            or `gh` is missing.
    """
    from ssm_reconcile.github.workflow_run import repository_paths
    from ssm_reconcile.init.callers import check_applying, other_callers
    from ssm_reconcile.init.github import WORKFLOW, check_words

    if output == "-":
        raise UsageError("--github needs a file for the spec, not `-`")
    files = FileWriter(find_root(), force)
    paths = repository_paths([output], {"GITHUB_WORKSPACE": str(files.root)})
    check_words(github.branch or "main", paths)
    other_callers(WORKFLOW, files.read_workflows(), paths, may_keep=False)
    files.check(files.root / WORKFLOW)
    if not force:
        check_applying(WORKFLOW, files.read_workflows())
    if github.code_owners:
        files.read_code_owners()
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
    from ssm_reconcile.init import github as content

    files = FileWriter(find_root(), force)
    setup, texts, kept = _plan_workflow(github, _setup_of(github, specs, files.root), files)
    for path, text in texts.items():
        files.check(path, text)
    is_new = any(not path.exists() for path in texts)
    owners, notes = _owners_of(setup, files)
    notes += _losses(texts, files)
    ids, state, requests = None, content.GitHubState(), []
    if github.is_applied:
        ids = _check_gh(github)
        with gh.documented_form(f"settings of {setup.repository}"):
            state = _read_state(setup)
            requests = content.missing_requests(setup, state)
            notes += content.excess_notes(setup, state)
    for path, text in (texts | owners).items():
        files.save(path, text, common)
    if github.is_applied:
        _send(requests, common)
    else:
        terminal.write(content.script(setup))
    if not common.quiet:
        for line in kept:
            terminal.log(line)
        for note in (*notes, *content.setup_notes(setup, state, has_owners=files.code_owners.exists())):
            terminal.log(f"Note: {note}")
        if github.is_applied and content.is_complete(setup, state):
            terminal.log("All settings on GitHub are complete.")
        words = (*github.apply_words, "--apply")
        again = CommandLine(() if tuple(specs) == (DEFAULT_SPEC,) else tuple(specs))
        shown = [files.shown(path) for path in texts | owners]
        terminal.log(content.next_steps(setup, again, words, ids, files=shown, is_new=is_new))
    if not github.is_applied:
        terminal.check_output()  # the commands for the settings are a result
    return 0


def _plan_workflow(
    github: GitHubOptions, setup: RepositorySetup, files: FileWriter
) -> tuple[RepositorySetup, dict[Path, str], list[str]]:
    """Return the setup with the checks of all workflows, the workflow to write, and notes on those kept.

    Raises:
        UsageError: Another workflow calls for one of the specs, or its checks are unknown.
    """
    from ssm_reconcile.init import callers
    from ssm_reconcile.init.github import WORKFLOW, workflow_text

    found, name = files.read_workflows(), files.shown(files.root / WORKFLOW)
    may_keep = github.is_applied and not files.force
    others = callers.other_callers(WORKFLOW, found, setup.specs, may_keep=may_keep)
    setup = replace(setup, other_checks=callers.checks_of_others(WORKFLOW, found, setup.branch))
    text = workflow_text(setup)
    if others:
        kept = [f"Kept {path}, which calls for {', '.join(specs)}." for path, specs in others.items()]
        return _with_kept_checks(setup, next(iter(others)), found), {}, kept
    if github.is_applied and files.is_kept(files.root / WORKFLOW, text):
        after = _with_kept_checks(setup, name, found)
        kept = [f"Kept {name}, which has another text; --force overwrites it."]
        missing = callers.specs_without_call(found[WORKFLOW], setup.specs)
        if missing:
            kept.append(f"Note: {name} does not call for {', '.join(missing)}: add it there.")
        return after, {}, kept
    shared = set(setup.written_checks) & set(setup.other_checks)
    if shared:
        message = f"another workflow also reports `{min(shared)}`: the success of one passes for the other"
        raise UsageError(message, "give the job of that workflow another id, and require its check")
    if WORKFLOW not in found and not files.force:
        callers.check_applying(WORKFLOW, found)
    return setup, {files.root / WORKFLOW: text}, []


def _with_kept_checks(setup: RepositorySetup, name: str, texts: Mapping[str, str]) -> RepositorySetup:
    """Return the setup with the checks of workflows that stay as they are; `name` is one of them.

    Raises:
        UsageError: They are unknown, or no pull request gets one.
    """
    from ssm_reconcile.github.workflow_calls import read_calls
    from ssm_reconcile.init.callers import checks_of
    from ssm_reconcile.init.github import WORKFLOW

    own: tuple[str, ...] = ()
    if WORKFLOW in texts and (name == WORKFLOW or read_calls(WORKFLOW, texts[WORKFLOW])):
        own = checks_of(WORKFLOW, texts[WORKFLOW], setup.branch, _UNKNOWN_CHECKS)
    if not own and not setup.other_checks:
        message = f"{name} stays as it is, and pull requests to {setup.branch} do not start it"
        raise UsageError(message, f"write `pull_request: {{ branches: [{setup.branch}] }}` under its `on`")
    return replace(setup, kept_checks=own or setup.other_checks)


def _losses(texts: Mapping[Path, str], files: FileWriter) -> list[str]:
    """Return notes on workflows that also apply, and on what the workflow no longer has."""
    from ssm_reconcile.init.callers import applying_workflows, lost_parts
    from ssm_reconcile.init.github import WORKFLOW

    found = files.read_workflows()
    before, others = found.get(WORKFLOW, ""), applying_workflows(WORKFLOW, found) if texts else []
    return [
        *(
            f"{path} also applies by the action: remove it, or each merge is applied twice."
            for path in others
        ),
        *(note for text in texts.values() for note in lost_parts(WORKFLOW, before, text)),
    ]


def _owners_of(setup: RepositorySetup, files: FileWriter) -> tuple[dict[Path, str], list[str]]:
    """Return CODEOWNERS with its new text, if owners are given, and notes on lines that no longer decide."""
    from ssm_reconcile.init.github import code_owners_text, overridden_owners

    if not setup.code_owners:
        return {}, []
    path, existing = files.code_owners, files.read_code_owners()
    name = path.relative_to(files.root).as_posix()
    text = code_owners_text(setup, name, existing)
    files.check_length(path, len(text.encode()))
    lines = overridden_owners(setup, name, existing)
    return {path: text}, [
        f"{name}: `{line}` no longer decides for the files of the new lines." for line in lines
    ]


def _setup_of(github: GitHubOptions, specs: Sequence[str], root: Path) -> RepositorySetup:
    from ssm_reconcile.github.workflow_run import repository_paths
    from ssm_reconcile.iam import partition_for
    from ssm_reconcile.iam.stack import role_names
    from ssm_reconcile.init.github import RepositorySetup, check_words

    if "-" in specs:
        raise UsageError("--github needs the path of the spec in the repository, not `-`")
    paths = repository_paths(specs, {"GITHUB_WORKSPACE": str(root)})
    is_folder = [Path(spec).is_dir() for spec in specs]
    named = [
        "" if path == "." else f"{path}/" if folder else path
        for path, folder in zip(paths, is_folder, strict=True)
    ]
    branch, repository = github.branch or "main", github.repository
    assert repository is not None
    check_words(branch, named)
    loaded = command_run.load_specs(specs, None)
    return RepositorySetup(
        repository=repository,
        branch=branch,
        specs=tuple(dict.fromkeys(named)),
        tool=_tool_commit(github.ref),
        region=loaded[0].source.access.region,
        account=account_of(github, loaded),
        partition=partition_for(loaded),
        roles=role_names(loaded, repository),
        code_owners=_names(github.code_owners, "@"),
        reviewers=_names(github.reviewers),
    )


def account_of(github: GitHubOptions, specs: Sequence[Replication]) -> str:
    """Return the account of the roles, from the specs or from `--account`.

    Raises:
        UsageError: It is not known, or the two differ.
    """
    from ssm_reconcile.iam.stack import own_account

    account = own_account(specs)
    if github.account not in {None, account} and account is not None:
        raise UsageError(f"--account {github.account}: the spec names {account}", "leave out --account")
    found = account or github.account
    if found is None:
        message = "the account of the roles is not known: no spec names the account of its source"
        raise UsageError(message, "write `account` of the source in the spec, or give --account")
    return found


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


def _check_gh(github: GitHubOptions) -> str:
    """Check that `gh` reaches the repository, and the name of its default branch; return OWNER_ID/REPO_ID.

    Raises:
        UsageError: `gh` is missing, or the default branch has another name.
        ReconcileError: The repository cannot be read.
    """
    if shutil.which("gh") is None:
        remedy = "install it (https://cli.github.com), or leave out --apply and run the printed commands"
        raise UsageError("--apply needs `gh`, which is not installed", remedy)
    with gh.documented_form(f"repository {github.repository}"):
        found = gh.read_object(f"repos/{github.repository}", "repository")
        default, ids = str(found["default_branch"]), f"{found['owner']['id']}/{found['id']}"
    branch = github.branch or "main"
    if default != branch:
        message = f"the default branch of {github.repository} is {default}, and the files are for {branch}"
        raise UsageError(message, f"give --branch {default}")
    return ids


def _read_state(setup: RepositorySetup) -> GitHubState:
    """Return the settings that GitHub has; raises ReconcileError if one cannot be read."""
    from ssm_reconcile.github.settings import ENVIRONMENTS
    from ssm_reconcile.init import ruleset as rules
    from ssm_reconcile.init.github import GitHubState, reviewer_path

    base = f"repos/{setup.repository}"
    # If their list can be read, 404 for one of them does not mean that the permission is missing.
    gh.read_object(f"{base}/environments?per_page=1", "environments")["environments"]
    environments: dict[str, Any] = {}
    branches: dict[str, list[Any]] = {}
    for name in ENVIRONMENTS:
        path = f"{base}/environments/{name}"
        found = gh.read_object(path, f"environment {name}", may_be_missing=True)
        if found is not None:
            environments[name] = found
            if (found.get("deployment_branch_policy") or {}).get("custom_branch_policies"):
                path += "/deployment-branch-policies"
                branches[name] = gh.read_pages(path, f"branches of environment {name}", "branch_policies")
    ids = {one: int(gh.read_object(reviewer_path(one), f"reviewer {one}")["id"]) for one in setup.reviewers}
    remedy = f"{gh.ADMINISTER}; {_PAID}"
    rulesets = gh.read_pages(f"{base}/rulesets?includes_parents=false", "rulesets", remedy=remedy)
    mine = next((one for one in rulesets if one["name"] == rules.NAME), None)
    if mine is not None and mine.get("target", "branch") != "branch":
        message = f"the ruleset {rules.NAME} of {setup.repository} is not for branches"
        raise UsageError(message, "rename it: init --github makes one with this name for the default branch")
    ruleset = (
        None if mine is None else gh.read_object(f"{base}/rulesets/{mine['id']}", f"ruleset {rules.NAME}")
    )
    return GitHubState(environments, branches, ruleset, ids)


def _send(requests: Sequence[ApiRequest], common: CommonOptions) -> None:
    """Make the settings that are missing, and log the command of each first.

    Raises:
        ReconcileError: GitHub refused a setting; those before it are made.
    """
    for request in requests:
        if not common.quiet:
            terminal.log(request.line)
        response = gh.send_request(request.method, request.path, request.body)
        if not response.is_success:
            remedy = _remedy(request) if response.status in {gh.FORBIDDEN, gh.NOT_FOUND, gh.INVALID} else ""
            raise gh.request_error(request.command, request.setting, response, remedy)


def _remedy(request: ApiRequest) -> str:
    if request.needs_plan == "Enterprise":
        return (
            "check that each reviewer may read the repository. A private repository has required reviewers on"
            " GitHub Enterprise only: there run again without --reviewer. Then no one approves in"
            " ssm-apply-changed: a merge whose plan changed is refused, and a person applies it by its id"
        )
    return f"{gh.ADMINISTER}; {_PAID}" if request.needs_plan else gh.ADMINISTER
