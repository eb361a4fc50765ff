"""`ssm-reconcile iam`: specs -> IAM policies of a run; a repository -> the trust policy of a role."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from ssm_reconcile.iam import Policy
    from ssm_reconcile.iam.statements import PolicyPhase

DEFAULT = "default credentials"
"""The same as `iam.DEFAULT`, without the import, so that `--help` stays fast."""

HELP = """\
Print the least-privilege IAM policies for a spec. Needs no AWS.

There is one policy for each identity: the roles of the spec, and the default credentials. The path rules
give the ARNs of parameters, the KMS map those of keys. Wildcards of IAM match more than path rules do.
"""
EPILOG = """\
\b
Examples:
  ssm-reconcile iam plan --no-decrypt
  ssm-reconcile iam apply prod.yaml --format terraform
  ssm-reconcile iam event prod.yaml
  ssm-reconcile iam plan --identity default --document | aws iam put-role-policy \\
      --role-name ssm-reconcile-plan --policy-name plan --policy-document file:///dev/stdin
  ssm-reconcile iam trust --github acme/parameters --github-ids 1234/5678 --environment prod
  ssm-reconcile iam trust --github acme/parameters --partition aws-cn

\b
Exit codes:
    0  done
    1  the spec has errors
   64  wrong usage
"""
FORMATS = ("json", "terraform", "cloudformation")
_form = click.option(
    "--format", "output_format", type=click.Choice(FORMATS), default="json", show_default=True,
    help="What to write to stdout.",
)  # fmt: skip


@click.group("iam", help=HELP, epilog=EPILOG)
def command() -> None:
    """Group the subcommands."""


def _print(found: Sequence[Policy], phase: PolicyPhase, output_format: str, *, document: bool) -> list[str]:
    """Write policies to stdout; return the notes about them for stderr."""
    from ssm_reconcile import iam

    if document:
        terminal.write(json.dumps(_only(found).document(), indent=2))
        return [*iam.too_long(found), iam.WIDER.rstrip(".")]
    render = {
        "json": iam.as_json,
        "terraform": iam.as_terraform,
        "cloudformation": iam.as_cloudformation,
    }
    terminal.write(render[output_format](found, phase))
    return iam.too_long(found)


def _chosen(found: Sequence[Policy], identity: str | None) -> Sequence[Policy]:
    """Return the policies for one identity, for None those of all identities."""
    if identity is None:
        return found
    chosen = [one for one in found if identity in {one.identity, *_short_names(one)}]
    if not chosen:
        known = [_short_names(one)[0] if one.identity == DEFAULT else one.identity for one in found]
        raise unknown_name("identity", identity, known)
    return chosen


def _only(found: Sequence[Policy]) -> Policy:
    """Return the only policy; raise UsageError, with the choices, when there are several."""
    if len(found) == 1:
        return found[0]
    names = ", ".join(_short_names(one)[0] if one.identity == DEFAULT else one.identity for one in found)
    message = f"--document prints one policy document, and {len(found)} identities need one each"
    raise UsageError(message, f"choose one with --identity: {names or 'none'}")


def _short_names(policy: Policy) -> tuple[str, ...]:
    """Return the short names that `--identity` takes for an identity."""
    return ("default",) if policy.identity == DEFAULT else (policy.identity.rpartition("/")[2],)


def _phase(name: str, help_text: str) -> Callable[..., Any]:
    """Add the subcommand of one phase."""

    @command.command(name, help=help_text, epilog="Exit codes: as `ssm-reconcile iam --help` has them.")
    @options.spec_argument
    @options.name_option
    @click.option(
        "--identity",
        metavar="ROLE",
        help="Only the policy for that role of the spec (its ARN or name), or for `default`: the default"
        " credentials.",
    )
    @click.option(
        "--document", is_flag=True, help="Print one policy document, for `aws iam put-role-policy`."
    )
    @click.option("--no-decrypt", is_flag=True, help="Deny kms:Decrypt (iam plan only).")
    @_form
    @options.basic_options
    def print_policies(
        *,
        specs: tuple[str, ...],
        name: str | None,
        identity: str | None,
        document: bool,
        no_decrypt: bool,
        output_format: str,
        common: CommonOptions,
    ) -> int:
        from ssm_reconcile.iam import policies
        from ssm_reconcile.iam.statements import PolicyPhase

        if document and output_format != "json":
            raise click.UsageError(f"--document prints JSON: leave out --format {output_format}.")
        phase = PolicyPhase(name_of_phase)
        found = policies(command_run.load_specs(specs, name), phase, no_decrypt=no_decrypt)
        notes = _print(_chosen(found, identity), phase, output_format, document=document)
        for note in notes if not common.quiet else ():
            terminal.log(f"Note: {note}.")
        return 0

    name_of_phase = name
    return print_policies


_phase("plan", "Permissions for `plan`: read in every place; with --no-decrypt no decryption.")
_phase("apply", "Permissions for `apply` and `detach`: read in every place, write in the targets.")
_phase("event", "Permissions for a run by event: those of `apply`, without `detach`.")


@command.command("trust", epilog="Exit codes: as `ssm-reconcile iam --help` has them.")
@click.option(
    "--github", metavar="OWNER/REPO", required=True, help="The repository whose workflows the role trusts."
)
@click.option(
    "--github-ids", metavar="OWNER_ID/REPO_ID",
    help="The ids of the owner and the repository, for the subject of newer repositories.",
)  # fmt: skip
@click.option("--environment", metavar="NAME", help="Only jobs with that environment.")
@click.option("--branch", metavar="NAME", default="main", show_default=True, help="Only runs on that branch.")
@click.option(
    "--pull-requests", is_flag=True, help="Also trust runs on pull requests; for a role that only plans."
)
@click.option("--account", metavar="ID", help="The account of the role, 12 digits.")
@click.option(
    "--partition", metavar="NAME",
    help="The partition of the role, such as aws-cn or aws-eusc. Default: that of the spec's source region;"
    " without a spec `aws`.",
)  # fmt: skip
@options.spec_argument
@options.name_option
@_form
@options.basic_options
def trust_command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    partition: str | None,
    github: str,
    github_ids: str | None,
    environment: str | None,
    branch: str,
    pull_requests: bool,
    account: str | None,
    output_format: str,
    common: CommonOptions,
) -> int:
    """Print the trust policy of a role for GitHub's OIDC tokens, with both forms of their subject."""
    from ssm_reconcile.iam.trust import ACCOUNT, TrustedWorkflows, trust_as, trust_policy

    if account is not None and not (account.isascii() and account.isdigit() and len(account) == 12):  # noqa: PLR2004 - the form of AWS
        raise click.UsageError("--account: write the 12 digits of the account id.")
    trusted = TrustedWorkflows(github, github_ids, environment, branch, pull_requests)
    policy = trust_policy(trusted, account or ACCOUNT, _partition(partition, specs, name))
    terminal.write(trust_as(output_format, policy))
    if not common.quiet:
        if account is None:
            terminal.log(f"Note: replace {ACCOUNT} with the account of the role.")
        if github_ids is None:
            terminal.log(
                "Note: a repository created or renamed since 2026-07-15 needs --github-ids to match."
            )
    return 0


def _partition(partition: str | None, specs: tuple[str, ...], name: str | None) -> str:
    """Return the partition of the role: the option, else that of the spec, which need not exist."""
    from ssm_reconcile.iam.trust import partition_for
    from ssm_reconcile.partitions import partitions

    if partition is not None:
        known = [one.name for one in partitions()]
        if partition not in known:
            raise click.UsageError(f"no partition is named {partition!r}: write one of {', '.join(known)}.")
        return partition
    if not specs and name is None and not Path(options.DEFAULT_SPEC).is_file():
        return partition_for(())
    return partition_for(command_run.load_specs(specs, name))
