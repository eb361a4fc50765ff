"""Files in the repository of the user: CODEOWNERS, the workflows, and writes that lose no other text."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ssm_reconcile.cli import terminal, text_files
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.errors import ReconcileError, UsageError

_MOST_OWNERS_BYTES = 3_000_000
"""Bytes of CODEOWNERS that GitHub reads."""


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
        folder = next(one for one in path.parents if one.exists())
        is_present = path.exists()
        access = os.access(path, os.R_OK | os.W_OK) if is_present else os.access(folder, os.W_OK)
        if not folder.is_dir() or (is_present and not path.is_file()) or not access:
            message = f"{self.shown(path)} cannot be read or written"
            raise UsageError(message, "check that it is a file, and its permissions and those of its folder")
        if is_present and not self.force and (text is None or not _has_text(path, text)):
            raise UsageError(f"{self.shown(path)} already exists", "overwrite it with --force")

    def read_code_owners(self) -> str:
        """Return the text of CODEOWNERS; empty if there is none.

        Raises:
            UsageError: It is not a text, cannot be written, or is longer than GitHub reads.
        """
        path = self.code_owners
        FileWriter(self.root, force=True).check(path)
        if not path.exists():
            return ""
        self.check_length(path, path.stat().st_size)
        return text_files.read_text(str(path), _MOST_OWNERS_BYTES)

    def check_length(self, path: Path, length: int) -> None:
        """Check the number of bytes of CODEOWNERS.

        Raises:
            UsageError: GitHub does not read a file with so many.
        """
        if length > _MOST_OWNERS_BYTES:
            message = (
                f"{self.shown(path)} has {length:,} bytes, and GitHub reads at most {_MOST_OWNERS_BYTES:,}"
            )
            raise UsageError(message, "shorten it, or leave out --code-owner")

    def read_workflows(self) -> dict[str, str]:
        """Return the text of each workflow by its path in the repository.

        Raises:
            UsageError: One cannot be read.
        """
        folder, found = self.root / ".github" / "workflows", {}
        for path in sorted((*folder.glob("*.yml"), *folder.glob("*.yaml"))):
            try:
                text = path.read_bytes() if path.is_file() else b""
            except OSError as error:
                message = f"{self.shown(path)} cannot be read: {error.strerror}"
                raise UsageError(message, "check its permissions") from error
            found[path.relative_to(self.root).as_posix()] = text.decode("utf-8", errors="replace")
        return found

    def is_kept(self, path: Path, text: str) -> bool:
        """Return whether a file exists with another text and is not to be overwritten."""
        return path.is_file() and not self.force and not _has_text(path, text)

    def save(self, path: Path, text: str, common: CommonOptions) -> None:
        """Write a file that has another text, with its folders, and log its path.

        Args:
            path: The file.
            text: Its new text.
            common: The options of all commands.

        Raises:
            ReconcileError: The file could not be written.
        """
        is_same = path.exists() and _has_text(path, text)
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


def _has_text(path: Path, text: str) -> bool:
    return path.read_bytes() == text.encode()


def find_root() -> Path:
    """Return the root of the repository in which this process runs; without one the current directory."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)
