"""Paths -> texts: files, directories and standard input, within limits.

A directory stands for every `*.yaml` and `*.yml` file directly inside, sorted by name; files whose name
begins with a dot are skipped. A link in it must lead to a file inside: a pull request could add a link that
leads anywhere. A file that is named twice is read once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssm_reconcile.encoding import ADVICE, without_mark, wrong_encoding
from ssm_reconcile.errors import Where
from ssm_reconcile.load.messages import SpecFindings, shown

SIZE_LIMIT = 1024 * 1024
"""Bytes of one file."""
FILE_LIMIT = 100
"""Files of one load."""
STDIN = "<stdin>"
"""The name of standard input in positions."""


@dataclass(frozen=True, slots=True)
class SpecText:
    """The text of one file, and the name of the file in positions."""

    file: str
    text: str


def read_texts(paths: Sequence[str], stdin: str | None, findings: SpecFindings) -> list[SpecText]:
    """Return the texts of some paths, in order; a path that cannot be read is reported.

    Args:
        paths: Files and directories; `-` is standard input.
        stdin: The text of standard input, None when it was not read.
        findings: Collects the errors.
    """
    found: list[SpecText] = []
    seen: set[str] = set()
    if not paths:
        findings.error(
            Where("-"), "no-spec", "no spec is given: name a file, a directory, or `-` for standard input"
        )
    for path in _files(paths, findings):
        real = _identity(path)
        if real in seen:
            continue
        seen.add(real)
        if len(seen) > FILE_LIMIT:
            findings.error(Where(_name(path)), "too-many-files", f"more than {FILE_LIMIT} files: name fewer")
            break
        one = _stdin(stdin, findings) if path == "-" else _file(path, findings)
        if one is not None:
            found.append(one)
    return found


def _identity(path: str) -> str:
    """Return a text that is equal for two paths to one file."""
    try:
        return path if path == "-" else os.path.realpath(path)
    except ValueError:
        return path  # a zero byte or half a character: to open it fails too


def _name(path: str) -> str:
    return shown(path, 300)


def _files(paths: Sequence[str], findings: SpecFindings) -> Iterator[str]:
    for path in paths:
        if path != "-" and "\0" not in path and Path(path).is_dir():
            yield from _directory(path, findings)
        else:
            yield path


def _directory(path: str, findings: SpecFindings) -> list[str]:
    folder = Path(path)
    try:
        entries = sorted(entry.name for entry in folder.iterdir() if entry.suffix in {".yaml", ".yml"})
    except OSError as error:
        _unreadable(path, error, findings)
        return []
    root = folder.resolve()
    found: list[str] = []
    for entry in entries:
        if entry.startswith("."):
            continue
        file = folder / entry
        if not _link_target(file).is_relative_to(root):
            message = (
                "this link leads out of the directory: put the file here, or name its path in the command"
            )
            findings.error(Where(_name(str(file))), "link-out-of-directory", message)
        elif file.is_file():
            found.append(str(file))
        elif not file.is_dir():
            message = "this is not a regular file: remove it, only regular files are read from a directory"
            findings.error(Where(_name(str(file))), "file-unreadable", message)
    if not found and not findings.failed:
        message = (
            "there is no *.yaml or *.yml file directly in this directory: name the files themselves, or write"
            " a first spec with `ssm-reconcile init`"
        )
        findings.error(Where(_name(path)), "no-spec", message)
    return found


def _link_target(path: Path) -> Path:
    """Return the file that a path leads to; the root directory for a link in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path("/")


def _stdin(text: str | None, findings: SpecFindings) -> SpecText | None:
    if text is None:
        findings.error(
            Where(STDIN), "file-unreadable", "standard input was not given: pipe the spec into the command"
        )
        return None
    if len(text.encode(errors="replace")) > SIZE_LIMIT:
        _too_large(STDIN, findings)
        return None
    return SpecText(STDIN, text.removeprefix("\ufeff"))


def _file(path: str, findings: SpecFindings) -> SpecText | None:
    name = _name(path)
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - `Path` would not change what is opened, and `-` is not one
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        what = (
            f"check the path; `ssm-reconcile plan --out {shown(Path(path).name)}` saves a plan"
            if path.endswith(".json")
            else "check the path, or write a first spec with `ssm-reconcile init`"
        )
        findings.error(Where(name), "file-not-found", f"the file does not exist: {what}")
        return None
    except (OSError, ValueError) as error:
        _unreadable(path, error, findings)
        return None
    if len(content) > SIZE_LIMIT:
        _too_large(name, findings)
        return None
    return _decoded(content, name, findings)


def _decoded(content: bytes, name: str, findings: SpecFindings) -> SpecText | None:
    wrong = wrong_encoding(content)
    if wrong is not None:
        findings.error(Where(name), "not-utf-8", f"the file is in {wrong.name}: {ADVICE}")
        return None
    content = without_mark(content)
    try:
        return SpecText(name, content.decode("utf-8"))
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        findings.error(Where(name, line, column), "not-utf-8", message)
        return None


def _too_large(name: str, findings: SpecFindings) -> None:
    message = (
        f"larger than {SIZE_LIMIT // 1024} KiB: split the spec; for a saved plan use `ssm-reconcile apply`"
    )
    findings.error(Where(name), "too-large", message)


def _unreadable(path: str, error: Exception, findings: SpecFindings) -> None:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
    findings.error(
        Where(_name(path)),
        "file-unreadable",
        f"cannot be read ({reason}): check the path and its permissions",
    )
