"""`ssm-reconcile iam`: specs -> IAM policies of a run; a repository -> trust policies, stacks of roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ssm_reconcile import iam
from ssm_reconcile.aws_limits import partitions
from ssm_reconcile.cli import command_run, options, terminal
from ssm_reconcile.cli.help_layout import DocumentedGroup
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import UsageError, unknown_name
from ssm_reconcile.iam import stack
from ssm_reconcile.iam.statements import PolicyPhase

EPILOG = """\
\b
Examples:
  ssm-reconcile iam plan --no-decrypt
  ssm-reconcile iam apply prod.yaml --format terraform
  ssm-reconcile iam event prod.yaml
  ssm-reconcile iam plan --identity default --document |
      aws iam put-role-policy --role-name ssm-reconcile-plan \\
      --policy-name plan --policy-document file:///dev/stdin
  ssm-reconcile iam trust --github acme/parameters --github-ids 1234/5678 \\
      --environment prod
  ssm-reconcile iam trust --github acme/parameters --partition aws-cn
  ssm-reconcile iam stack --github acme/parameters > roles.json
  aws cloudformation deploy --region us-east-1 --template-file roles.json \\
      --stack-name ssm-reconcile-prod --capabilities CAPABILITY_NAMED_IAM
"""
EXIT_CODES = {
    0: "done",
    1: "the spec has errors, or the output was lost",
    64: "wrong usage",
}
_form = click.option(
    "--format", "output_format", type=click.Choice(list(iam.FORMATS)), default="json", show_default=True,
    help="Format of the result on stdout.",
)  # fmt: skip
_github = click.option(
    "--github", "repository", metavar="OWNER/REPO", required=True,
    help="The repository whose workflows the role trusts, with its letters as GitHub shows them.",
)  # fmt: skip
_github_ids = click.option(
    "--github-ids", "ids", metavar="OWNER_ID/REPO_ID",
    help="The ids of the owner and the repository, for the subject of newer repositories.",
)  # fmt: skip


@click.group("iam", cls=DocumentedGroup, epilog=EPILOG, exit_codes=EXIT_CODES)
def command() -> None:
    """Print the least-privilege IAM policies for a spec. Needs no AWS.

    There is one policy for each identity: the roles of the spec, and the default credentials. The path rules
    give the ARNs of parameters, the KMS map those of keys. Wildcards of IAM match more than path rules do.
    """


def _add_phase(phase: PolicyPhase, help_text: str) -> None:
    """Add the subcommand of one phase."""

    @command.command(phase.value, help=help_text, exit_codes=EXIT_CODES)
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
    @click.option(
        "--undo", is_flag=True,
        help="Also allow `undo` to read the history of replicas (iam plan, iam apply).",
    )  # fmt: skip
    @_form
    @options.basic_options
    def print_policies(
        *,
        specs: tuple[str, ...],
        name: str | None,
        identity: str | None,
        document: bool,
        no_decrypt: bool,
        undo: bool,
        output_format: str,
        common: CommonOptions,
    ) -> int:
        if document and output_format != "json":
            raise click.UsageError(f"--document prints JSON: leave out --format {output_format}.")
        loaded = command_run.load_specs(specs, name)
        found = iam.policies(loaded, phase, no_decrypt=no_decrypt, undo=undo)
        found = _of_identity(found, identity, single=document)
        notes = iam.too_long(found)
        if document:
            terminal.write(json.dumps(found[0].document(), indent=2))
            notes.append(iam.WIDER.rstrip("."))
        else:
            terminal.write(iam.FORMATS[output_format](found, phase))
        for note in notes if not common.quiet else ():
            terminal.log(f"Note: {note}.")
        return 0


def _of_identity(
    found: tuple[iam.Policy, ...], identity: str | None, *, single: bool
) -> tuple[iam.Policy, ...]:
    """Return the policies for an identity, given by its ARN or its short name; None: all policies.

    Raises:
        UsageError: No policy is for that identity, or `single` and there are several.
    """
    chosen = tuple(one for one in found if identity in {None, one.identity, one.short_name})
    known = [one.short_name if one.identity == iam.DEFAULT else one.identity for one in found]
    if identity is not None and not chosen:
        raise unknown_name("identity", identity, known)
    if single and len(chosen) != 1:
        message = f"--document prints one policy document, and {len(chosen)} identities need one each"
        raise UsageError(message, f"choose one with --identity: {', '.join(known) or 'none'}")
    return chosen


_add_phase(PolicyPhase.PLAN, "Permissions for `plan`: read in every place; with --no-decrypt no decryption.")
_add_phase(
    PolicyPhase.APPLY, "Permissions for `apply` and `detach`: read in every place, write in the targets."
)
_add_phase(PolicyPhase.EVENT, "Permissions for a run by event: those of `apply`, without `detach`.")


@command.command("trust", exit_codes=EXIT_CODES)
@_github
@_github_ids
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
    account: str | None,
    output_format: str,
    common: CommonOptions,
    **trusted: Any,
) -> int:
    """Print the trust policy of a role for GitHub's OIDC tokens, with both forms of their subject."""
    if account is not None and not (account.isascii() and account.isdigit() and len(account) == 12):  # noqa: PLR2004 - the form of AWS
        raise click.UsageError("--account: write the 12 digits of the account id.")
    workflows = iam.TrustedWorkflows(**trusted)
    policy = iam.trust_policy(workflows, account or iam.ACCOUNT, _partition(partition, specs, name))
    terminal.write(iam.trust_as(output_format, policy))
    notes = []
    if account is None:
        notes.append(f"replace {iam.ACCOUNT} with the account of the role")
    if workflows.ids is None:
        notes.append("a repository created or renamed since 2026-07-15 needs --github-ids to match")
    for note in notes if not common.quiet else ():
        terminal.log(f"Note: {note}.")
    return 0


def _partition(partition: str | None, specs: tuple[str, ...], name: str | None) -> str:
    """Return the partition of the role: the option, else that of the spec, which need not exist."""
    if partition is not None:
        known = [one.name for one in partitions()]
        if partition not in known:
            raise click.UsageError(f"no partition is named {partition!r}: write one of {', '.join(known)}.")
        return partition
    if not specs and name is None and not Path(options.DEFAULT_SPEC).is_file():
        return iam.partition_for(())
    return iam.partition_for(command_run.load_specs(specs, name))


@command.command("stack", exit_codes=EXIT_CODES)
@options.spec_argument
@_github
@_github_ids
@click.option(
    "--target-account", metavar="ID",
    help="Print the template for that account instead, with the roles of the spec in it.",
)  # fmt: skip
@options.name_option
@options.basic_options
def stack_command(
    *,
    specs: tuple[str, ...],
    name: str | None,
    repository: str,
    ids: str | None,
    target_account: str | None,
    common: CommonOptions,
) -> int:
    """Print a CloudFormation template with the roles of a repository's workflows on GitHub.

    The plan role denies kms:Decrypt, and trusts jobs with the environment ssm-plan. The apply role trusts
    jobs with ssm-apply. Deploy the template in the account of the source; roles of the spec in that account
    are part of it.
    """
    if target_account is not None and ids is not None:
        message = "--target-account: the roles of that account trust other roles, not GitHub"
        raise UsageError(message, "leave out --github-ids")
    loaded = command_run.load_specs(specs, name)
    if target_account is None:
        template = stack.own_stack(loaded, repository, ids)
    else:
        template = stack.target_stack(loaded, repository, target_account)
    text = json.dumps(template, indent=2)
    terminal.write(text)
    notes = template["Metadata"]["Notes"]
    if len(f"{text}\n") > stack.BODY:
        notes.append(f"the template has more than {stack.BODY:,} bytes: deploy it with --s3-bucket")
    for note in notes if not common.quiet else ():
        terminal.log(f"Note: {note}.")
    return 0
