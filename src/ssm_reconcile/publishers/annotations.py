"""Findings -> workflow commands that GitHub shows on the lines of the spec.

    ::error file=replication.yaml,line=3,col=5,title=unknown-key::what is wrong

GitHub keeps ten of a kind a step and drops the rest in silence, so the tenth says how many more there
are. What may not be in a command is escaped as actions/toolkit does (`command.ts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ssm_reconcile.errors import Finding, Severity

MOST = 10
"""Of a kind and step (ux.md section 1)."""
LONGEST = 4000
"""Characters of one message: GitHub cuts longer ones."""
KINDS = ("error", "warning", "notice")
_POSITION = re.compile(r"(?P<file>.+?):(?P<line>\d+):(?P<column>\d+)")


def commands(findings: Iterable[Finding], folder: Path, root: Path | None) -> list[str]:
    """One line a finding, at most ten of a kind, errors first.

    `folder` is what the files of positions are relative to, `root` the top of the repository.
    """
    lines = []
    every = list(dict.fromkeys(findings))
    for kind in KINDS:
        mine = [finding for finding in every if finding.severity.value == kind]
        shown = mine if len(mine) <= MOST else mine[: MOST - 1]
        lines += [_command(kind, finding, folder, root) for finding in shown]
        if len(shown) < len(mine):
            lines.append(command(kind, f"and {len(mine) - len(shown):,} more: see the log"))
    return lines


def workspace(environment: Mapping[str, str]) -> Path | None:
    """The top of the repository in a run; None elsewhere."""
    top = environment.get("GITHUB_WORKSPACE", "")
    return Path(top) if top else None


def _command(kind: str, finding: Finding, folder: Path, root: Path | None) -> str:
    position = _POSITION.fullmatch(finding.where)
    if position is None:
        about = f"{finding.where}: " if finding.where else ""
        return command(kind, f"{about}{finding.message}", title=finding.code)
    file = _from_root(position["file"], folder, root)
    return command(
        kind, finding.message, file=file, line=position["line"], col=position["column"], title=finding.code
    )


def _from_root(file: str, folder: Path, root: Path | None) -> str:
    """A path as GitHub wants it: from the top of the repository."""
    try:
        return (folder / file).resolve().relative_to((root or folder).resolve()).as_posix()
    except (ValueError, OSError):
        return file


def command(kind: str, message: str, **properties: str) -> str:
    """One workflow command; nothing in it can end it, or begin another."""
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind}{' ' if told else ''}{told}::{_text(message[:LONGEST])}"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")


def findings_in(document: Mapping[str, Any]) -> list[Finding]:
    """The findings of a plan's or a report's document."""
    known = {severity.value: severity for severity in Severity}
    return [
        Finding(
            known.get(found["severity"], Severity.NOTICE), found["code"], found["message"], found["where"]
        )
        for found in document["findings"]
    ]
