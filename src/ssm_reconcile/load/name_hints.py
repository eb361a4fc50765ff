"""A text that is not a parameter name -> what to write instead, where its form shows what was meant."""

from __future__ import annotations

import re

from ssm_reconcile.load.notes import shown

_ARN = re.compile(r"arn:aws[a-z-]*:ssm:[^:]*:[^:]*:parameter(/[^:]*)(:.*)?")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_GIT = re.compile(r".*[\\/]Git(?=[\\/])")
_SELECTOR = re.compile(r"([A-Za-z0-9_./-]+):([A-Za-z0-9_.-]+)")


def name_hint(text: str) -> str:
    """Return what to write instead of an ARN, a Windows path or a name with a selector; else nothing."""
    arn = _ARN.fullmatch(text)
    if arn is not None:
        return f"; this is an ARN: write the name in it, `{shown(arn[1])}`"
    if text.startswith("arn:"):
        return "; this is an ARN: write the name of the parameter"
    if _DRIVE.match(text):
        root = _GIT.match(text)
        name = text[root.end() :].replace("\\", "/") if root else ""
        write = f"write `{shown(name)}`" if name.strip("/") else "write the name again"
        return f"; a shell such as Git Bash made a Windows path of it: {write} and set MSYS_NO_PATHCONV=1"
    selector = _SELECTOR.fullmatch(text)
    if selector is not None:
        return (
            f"; `:{shown(selector[2])}` selects a version or label: write `{shown(selector[1])}` without it"
        )
    return ""
