"""`ssm-reconcile doctor`: check everything that a plan and an apply need; with --github, its settings.

With --probe, `cli/probe.py` measures what an account allows.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ssm_reconcile.cli import command_run, options, probe, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import DEFAULT_SPEC, CommonOptions
from ssm_reconcile.command_line import CommandLine
from ssm_reconcile.errors import Severity, UsageError
from ssm_reconcile.spec import Run
from ssm_reconcile.wording import join, plural

if TYPE_CHECKING:
    from ssm_reconcile.doctor import Check, Diagnosis

_NAMED = 50
"""Places that are named below those with the same results."""
MARKS = {"ok": "ok", "warning": "!", "failed": "FAILED", "unknown": "?"}

EPILOG = """\
\b
Examples:
  ssm-reconcile doctor
  ssm-reconcile doctor prod.yaml --no-decrypt --format json
  ssm-reconcile doctor --github
  ssm-reconcile doctor --probe /probe --account 123456789012 --target us-east-2
"""
ENVIRONMENT = {
    "GITHUB_TOKEN": "with --github; or GH_TOKEN. Default: the token of `gh auth token`",
    "GITHUB_REPOSITORY": "OWNER/NAME; default: the remote `origin`",
    "GITHUB_SERVER_URL": "and GITHUB_API_URL: the addresses of an Enterprise Server",
}
EXIT_CODES = {
    0: "a plan will work, and no check failed that an apply needs; --github: nothing is missing;"
    " --probe: all rates were measured, nothing remains",
    1: "a plan will not work; --github: GitHub did not answer; --probe: nothing could be created",
    3: "a plan will work; an apply will not work for all parameters;"
    " --github: a setting is missing or could not be read;"
    " --probe: a parameter remains (also after Ctrl-C), or a rate was not measured",
    64: "wrong usage; --probe: refused, no parameter was created",
    130: "interrupted; --probe: after the clean-up",
}


@click.command("doctor", cls=DocumentedCommand, epilog=EPILOG, environment=ENVIRONMENT, exit_codes=EXIT_CODES)
@options.spec_argument
@options.name_option
@options.target_option
@options.no_decrypt_option
@click.option(
    "--github", "is_github", is_flag=True,
    help="Check what protects an apply on GitHub, and nothing in AWS: environments, rules of the default"
    " branch, CODEOWNERS, variables and workflows.",
)  # fmt: skip
@click.option(
    "--probe", "path", metavar="PATH",
    help="Measure what the account allows: create, change and delete at most 300 parameters below PATH, which"
    " must be empty, for at most ten minutes. The place is one target of the spec; without a spec, the region"
    " of the AWS configuration. Needs --account.",
)  # fmt: skip
@click.option("--account", metavar="ID", help="With --probe: the account that the credentials must be for.")
@click.option(
    "--yes-write-here", "has_consent", is_flag=True,
    help="With --probe: the consent to write. Without it, the events and the cost to expect are printed.",
)  # fmt: skip
@options.format_option("text", "json")
@options.aws_options
def command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    targets: tuple[str, ...],
    no_decrypt: bool,
    is_github: bool,
    output_format: str,
    common: CommonOptions,
    **given: Any,
) -> int:
    """Check everything that a plan and an apply need, and change nothing; --probe is the exception.

    Checks the identity in each place; read permissions, by real calls, with the IAM action that is missing;
    KMS keys in every target; settings, limits and clocks; warnings about the spec; the duration of a first
    apply. Write permissions cannot be tested without writing; they are reported as unknown.

    With --github, reads the settings of the repository that protect an apply, and lists what is missing and
    what the token may not read.

    With --probe, measures the rates that AWS allows in one place, and answers open questions about AWS, on
    parameters of its own below an empty path. It prints the `rates` to put into the spec.
    """
    probe_options = probe.ProbeOptions(**given)
    if probe_options.is_wanted(has_others=is_github or no_decrypt):
        return probe.run(probe_options, specs, name, targets, output_format, common)
    if is_github:
        if name or targets or no_decrypt:
            raise click.UsageError(
                "--github checks no replication: leave out --name, --target, --no-decrypt."
            )
        return _check_github(specs, output_format)
    from ssm_reconcile import doctor

    run = Run(targets=targets, no_decrypt=no_decrypt)
    loaded = command_run.load_all(specs, name)
    warnings = [one for one in loaded.findings if one.severity is not Severity.NOTICE]
    with command_run.start_runner(loaded.replications, run, common) as runner, runner.reading() as progress:
        again = CommandLine(specs, name, access=common.access)
        found = doctor.diagnose(
            loaded.replications, runner.connect, run, runner.clock, progress, warnings, again
        )
    terminal.write(json.dumps(document(found), indent=2) if output_format == "json" else text(found))
    command_run.note_standard_input(specs, common)
    return found.exit_code


def text(diagnosis: Diagnosis) -> str:
    """Return all checks by place, and the verdict."""
    works = f"A plan will {'' if diagnosis.plan_works else 'NOT '}work."
    applies = "No check failed that an apply needs; write permissions were not tested."
    return _text(
        diagnosis.checks,
        [works, applies if diagnosis.apply_works else "An apply will NOT work for all parameters."],
        diagnosis.places,
    )


def _text(checks: Iterable[Check], verdict: Iterable[str], own: Mapping[str, str]) -> str:
    """Return checks by place. `own`: the place of each target, by `where`."""
    from ssm_reconcile.renderers.escaping import LINE_LIMIT, visible
    from ssm_reconcile.renderers.groups import merge_alike

    lines = []
    sorted_checks = sorted(checks, key=lambda one: one.where)
    places = [(where, list(some)) for where, some in groupby(sorted_checks, key=lambda one: one.where)]
    for (where, some), *others in merge_alike(places, lambda place: _results(place, own.get(place[0], ""))):
        lines.append(where or "the spec")
        for one in some:
            lines.append(f"  {MARKS[one.answer.value]:<6}  {one.subject}: {one.message}")
            if one.remedy and one.answer.value != "ok":
                lines.append(f"          what to do: {one.remedy}")
        if others:
            names = join([name.removeprefix("target ") for name, _ in others], _NAMED)
            lines.append(f"  and with the same results {plural(len(others), 'more target')}:")
            lines += wrap(names, 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
    return "\n".join(visible(line, LINE_LIMIT) for line in [*lines, "", *verdict])


def _results(place: tuple[str, Sequence[Check]], own: str) -> Hashable:
    """Return the results of the checks of a place, to compare them with those of another place.

    The texts of checks that passed are left out, and so are the names of the place in the others.
    """
    from ssm_reconcile.renderers.groups import without_place

    where, checks = place[0].removeprefix("target "), place[1]
    return tuple(
        (
            one.subject,
            one.answer,
            one.answer.value == "ok" or without_place(f"{one.message} {one.remedy}", where, own),
        )
        for one in checks
    )


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the checks and the verdict as JSON (schema/doctor.schema.json)."""
    return {
        "format_version": "1.0",
        "plan_works": diagnosis.plan_works,
        "apply_works": diagnosis.apply_works,
        "checks": [asdict(one) for one in diagnosis.checks],
    }


def _check_github(specs: tuple[str, ...], output_format: str) -> int:
    """Check the settings of the repository on GitHub, and return the exit code.

    Raises:
        UsageError: The repository, the token or the path of the spec is not known.
        GitHubError: GitHub did not answer.
    """
    from ssm_reconcile.doctor import Answer, Diagnosis
    from ssm_reconcile.github.client import GitHub
    from ssm_reconcile.github.settings import RepositorySettings, read_settings
    from ssm_reconcile.github.setup_checks import judge
    from ssm_reconcile.github.workflow_run import read_workflow_run
    from ssm_reconcile.system import SystemClock

    environment = _github_environment(os.environ)
    run = read_workflow_run(environment)
    paths = list(_spec_paths(specs, environment))
    found_settings = read_settings(GitHub(run, SystemClock()), run.server_url)
    if isinstance(found_settings, RepositorySettings):
        found_settings = replace(
            found_settings,
            folder=_folder_in(environment.get("GITHUB_WORKSPACE", "")),
            is_account_known=_is_account_known(specs),
        )
    checks = judge(found_settings, paths)
    counts = {answer: sum(one.answer is answer for one in checks) for answer in Answer}
    missing, unread = counts[Answer.FAILED], counts[Answer.UNKNOWN]
    warnings = plural(counts[Answer.WARNING], "warning")
    verdict = f"{run.repository}: {missing} missing, {unread} could not be read, {warnings}."
    found = Diagnosis(checks)
    terminal.write(
        json.dumps(document(found), indent=2) if output_format == "json" else _text(checks, [verdict], {})
    )
    return 3 if missing or unread else 0


def _folder_in(root: str) -> str:
    """Return the current folder below the root of the repository; empty for the root and outside of it."""
    here, top = Path.cwd().resolve(), Path(root or ".").resolve()
    return here.relative_to(top).as_posix().removeprefix(".") if here.is_relative_to(top) else ""


def _is_account_known(specs: tuple[str, ...]) -> bool:
    """Return whether the specs name the account of their source, or cannot be read here."""
    from ssm_reconcile.errors import ReconcileError
    from ssm_reconcile.iam.stack import own_account

    try:
        return own_account(command_run.load_all(specs, None).replications) is not None
    except (OSError, ReconcileError):
        return True


def _github_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with GITHUB_TOKEN and GITHUB_REPOSITORY.

    Raises:
        UsageError: One of them is not known, or the two addresses of a server do not belong together.
    """
    from ssm_reconcile.github.workflow_run import read_workflow_run

    found, server = dict(given), read_workflow_run(given).server_url
    if bool(given.get("GITHUB_API_URL")) != bool(given.get("GITHUB_SERVER_URL")):
        message = "only one of GITHUB_SERVER_URL and GITHUB_API_URL is set"
        remedy = "set both, such as https://HOSTNAME and https://HOSTNAME/api/v3, or none for github.com"
        raise UsageError(message, remedy)
    token = given.get("GITHUB_TOKEN") or given.get("GH_TOKEN") or _gh_token(server)
    if not token:
        remedy = f"run `gh auth login`, or export GITHUB_TOKEN with a token of {server}/settings/tokens"
        raise UsageError("no token for GitHub is set: GITHUB_TOKEN or GH_TOKEN", remedy)
    found["GITHUB_TOKEN"] = token
    found["GITHUB_REPOSITORY"] = given.get("GITHUB_REPOSITORY") or repository_of(
        _output("git", "remote", "get-url", "origin"), server
    )
    found["GITHUB_WORKSPACE"] = given.get("GITHUB_WORKSPACE") or _output(
        "git", "rev-parse", "--show-toplevel"
    )
    return found


def _gh_token(server: str) -> str:
    """Return the token with which `gh` is logged in to a server; empty if there is none."""
    return _output("gh", "auth", "token", "--hostname", urlsplit(server).hostname or "")


def _output(*words: str) -> str:
    """Return the output of a command; empty if it is missing or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            words, capture_output=True, text=True, errors="replace", check=False, timeout=30,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def repository_of(remote: str, server: str) -> str:
    """Return OWNER/NAME of the URL of a remote.

    The remote must be on the server that gets the token: a cloned repository must not choose that server.

    Args:
        remote: The URL, as https, ssh, or `git@HOST:OWNER/NAME`.
        server: The address of the server.

    Raises:
        UsageError: The remote is empty, on another server, or of another form.
    """
    remedy = "export GITHUB_REPOSITORY=OWNER/NAME"
    if not remote:
        raise UsageError("the repository is not known: git has no remote `origin` here", remedy)
    scheme, _, rest = remote.partition("://") if "://" in remote else ("ssh", "", remote.replace(":", "/", 1))
    authority, _, path = rest.partition("/")
    host = authority.rpartition("@")[2].partition(":")[0].lower().removeprefix("ssh.")
    name = path.strip("/").removesuffix(".git")
    if scheme not in {"https", "ssh", "git", "http"} or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UsageError("the remote `origin` is not of the form https://HOST/OWNER/NAME", remedy)
    if host != urlsplit(server).hostname:
        message = f"the remote `origin` is on {host}, and the token is for {urlsplit(server).hostname}"
        others = "; for an Enterprise Server, also export GITHUB_SERVER_URL and GITHUB_API_URL"
        raise UsageError(message, remedy + others)
    return name


def _spec_paths(specs: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the path of each spec in the repository; that of a folder ends with `/`."""
    from ssm_reconcile.github.workflow_run import repository_paths

    for spec in specs or (DEFAULT_SPEC,):
        if spec == "-":
            raise UsageError("--github needs the path of the spec in the repository, not `-`")
        (path,) = repository_paths([spec], environment)
        yield ("" if path == "." else f"{path}/") if Path(spec).is_dir() else path
