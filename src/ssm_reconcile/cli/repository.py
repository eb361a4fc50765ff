"""A folder -> the name of its Git repository, or of the folder, in the form that a replication's name has.

Git's own files are read, and no command is run: the remote `origin` first, then the folder of the
checkout, then the folder itself.
"""

from __future__ import annotations

import re
from pathlib import Path

FALLBACK = "main"
_LIMIT = 64
_ORIGIN = re.compile(r'^\[remote "origin"\]\s*$(?:\n(?!\[).*$)*?\n\s*url\s*=\s*(\S+)\s*$', re.MULTILINE)


def propose_name(folder: Path) -> str:
    """Return a name for the replication of a repository; `main` if no letter or digit is left of it."""
    for home in (folder, *folder.parents):
        git = home / ".git"
        if git.exists():
            return _formed(_origin(git)) or _formed(home.name) or FALLBACK
    return _formed(folder.name) or FALLBACK


def _origin(git: Path) -> str:
    """Return the last part of the URL of the remote `origin`, empty without one."""
    try:
        found = _ORIGIN.search((_common(git) / "config").read_text("utf-8", errors="replace"))
    except OSError:
        return ""
    if found is None:
        return ""
    return re.split(r"[/:\\]", found[1].rstrip("/"))[-1].removesuffix(".git")


def _common(git: Path) -> Path:
    """Return the directory that holds the configuration: a linked worktree has a file that names its own."""
    if git.is_dir():
        return git
    own = (git.parent / git.read_text("utf-8").partition("gitdir:")[2].strip()).resolve()
    common = own / "commondir"
    return (own / common.read_text("utf-8").strip()).resolve() if common.exists() else own


def _formed(text: str) -> str:
    """Return a text in small letters, digits and single `-`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LIMIT].strip("-")
