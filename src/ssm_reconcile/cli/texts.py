"""Commands that print a text: a JSON schema, a completion script for a shell, or the help of a command."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class

from ssm_reconcile.cli import COMPLETION_VARIABLE, PROGRAM, options, root, terminal
from ssm_reconcile.cli.help_layout import DocumentedCommand
from ssm_reconcile.cli.options import CommonOptions

SCHEMA_EPILOG = """\
\b
Examples:
  ssm-reconcile schema > replication.schema.json
  ssm-reconcile schema plan
"""
COMPLETION_EPILOG = """\
\b
Examples:
  eval "$(ssm-reconcile completion bash)"   # in ~/.bashrc
  autoload -Uz compinit; compinit           # in ~/.zshrc
  eval "$(ssm-reconcile completion zsh)"    # in ~/.zshrc
  ssm-reconcile completion fish | source    # in ~/.config/fish/config.fish
  ssm-reconcile completion powershell | Out-String | iex    # in $PROFILE
"""
HELP_EPILOG = """\
\b
Examples:
  ssm-reconcile help
  ssm-reconcile help plan
  ssm-reconcile help iam trust
"""
SCHEMAS = ("replication", "plan", "report", "doctor", "doctor-probe", "status")
SHELLS = ("bash", "zsh", "fish", "powershell")

_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = $commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } | ForEach-Object { $_.Extent.Text }
    try {
        $env:COMP_WORDS = $words -join "`n"
        $env:COMP_WORD = $wordToComplete
        $env:%(complete_var)s = "powershell_complete"
        %(prog_name)s | ForEach-Object {
            $type, $value, $help = $_ -split "`t", 3
            if ($type -eq "plain") {
                if (-not $help) { $help = $value }
                [System.Management.Automation.CompletionResult]::new($value, $value, "ParameterValue", $help)
            }
        }
    } finally {
        Remove-Item Env:COMP_WORDS, Env:COMP_WORD, Env:%(complete_var)s -ErrorAction SilentlyContinue
    }
}
"""


@click.command("schema", cls=DocumentedCommand, epilog=SCHEMA_EPILOG)
@click.argument("what", type=click.Choice(SCHEMAS), default="replication")
@options.basic_options
def schema(what: str, common: CommonOptions) -> int:  # noqa: ARG001 - takes the options that all commands take
    """Print the JSON schema (draft-07) of a spec, a saved plan, a report, or the JSON of another command.

    Editors complete and check a spec when its first line names the schema:
    `# yaml-language-server: $schema=./replication.schema.json`.
    """
    from ssm_reconcile.load.schema import schema_text

    terminal.write(schema_text(what))
    return 0


@add_completion_class
class PowerShellComplete(ShellComplete):
    """PowerShell completion: one word a line, so that paths with backslashes and spaces stay whole."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words before the cursor, and the incomplete word."""
        words = os.environ.get("COMP_WORDS", "").splitlines()
        incomplete = os.environ.get("COMP_WORD", "")
        if incomplete and words and words[-1] == incomplete:
            words.pop()
        return words, incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return type, word and help, separated by tabs; PowerShell completes file names by itself."""
        return f"{item.type}\t{item.value}\t{(item.help or '').replace(chr(9), ' ')}"


@click.command("completion", cls=DocumentedCommand, epilog=COMPLETION_EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print a completion script for a shell."""
    # The script calls the program for each completion, so it stays correct when options are added.
    kind = get_completion_class(shell)
    assert kind is not None, "click or this module defines each of SHELLS"
    completer = kind(root, {}, PROGRAM, COMPLETION_VARIABLE)
    terminal.write(completer.source_template % completer.source_vars())
    return 0


@click.command("help", cls=DocumentedCommand, epilog=HELP_EPILOG)
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
def show_help(names: tuple[str, ...]) -> None:
    """Show the help of a command, as `ssm-reconcile COMMAND --help` does; without COMMAND, of the program."""
    try:
        context = root.make_context(PROGRAM, [*names, "--help"])
        with context:
            click.Group.invoke(root, context)
    except click.exceptions.Exit:
        terminal.check_output()
        raise
