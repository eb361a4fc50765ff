"""`ssm-reconcile completion`: the name of a shell -> its completion script.

Click supports bash, zsh and fish; PowerShell is added here. The script calls the program for each
completion, so it stays correct when commands and options are added.
"""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class

from ssm_reconcile.cli import COMPLETION_VARIABLE, PROGRAM, root, terminal

HELP = """\
Print a completion script for a shell.
"""
EPILOG = """\
\b
Examples:
  bash        eval "$(ssm-reconcile completion bash)"            in ~/.bashrc
  zsh         eval "$(ssm-reconcile completion zsh)"             in ~/.zshrc
  fish        ssm-reconcile completion fish | source             in ~/.config/fish/config.fish
  powershell  ssm-reconcile completion powershell | Out-String | Invoke-Expression    in $PROFILE
"""
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


@click.command("completion", help=HELP, epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print the script; return the exit code."""
    kind = get_completion_class(shell)
    assert kind is not None, "click or this module defines each of SHELLS"
    completer = kind(root, {}, PROGRAM, COMPLETION_VARIABLE)
    terminal.write(completer.source_template % completer.source_vars())
    return 0
