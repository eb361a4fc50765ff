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
from ssm_reconcile.load.messages import SpecFindings, echo

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


class _UnreadableError(Exception):
    """A path that cannot be read: the code and the message of the finding, and the position in the file."""

    def __init__(self, code: str, message: str, line: int = 1, column: int = 1) -> None:
        self.code, self.message = code, message
        self.line, self.column = line, column


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
        message = "no spec is given: name a file, a directory, or `-` for standard input"
        findings.error(Where("-"), "no-spec", message)
    for path in _files(paths, findings):
        real = _identity(path)
        if real in seen:
            continue
        seen.add(real)
        if len(seen) > FILE_LIMIT:
            findings.error(Where(_name(path)), "too-many-files", f"more than {FILE_LIMIT} files: name fewer")
            break
        name = STDIN if path == "-" else _name(path)
        try:
            found.append(SpecText(name, _stdin(stdin) if path == "-" else _decoded(_content(path))))
        except _UnreadableError as error:
            findings.error(Where(name, error.line, error.column), error.code, error.message)
    return found


def _identity(path: str) -> str:
    """Return a text that is equal for two paths to one file."""
    try:
        return path if path == "-" else os.path.realpath(path)
    except ValueError:
        return path  # a zero byte or half a character: to open it fails too


def _name(path: str) -> str:
    return echo(path, 300)


def _files(paths: Sequence[str], findings: SpecFindings) -> Iterator[str]:
    for path in paths:
        if path != "-" and "\0" not in path and Path(path).is_dir():
            yield from _directory(path, findings)
        else:
            yield path


def _directory(path: str, findings: SpecFindings) -> list[str]:
    """Return the spec files of a directory; report other entries with such a name, and an empty directory."""
    folder = Path(path)
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.suffix in {".yaml", ".yml"})
    except OSError as error:
        findings.error(Where(_name(path)), "file-unreadable", _reason(error))
        return []
    root = folder.resolve()
    found: list[str] = []
    for file in entries:
        where = Where(_name(str(file)))
        if file.name.startswith("."):
            continue
        if not _link_target(file).is_relative_to(root):
            message = "this link leads out of the directory: put the file here, or name its path instead"
            findings.error(where, "link-out-of-directory", message)
        elif file.is_file():
            found.append(str(file))
        elif not file.is_dir():
            findings.error(where, "file-unreadable", "this is not a regular file: remove it")
    if not found and not findings.failed:
        message = (
            "the directory has no *.yaml or *.yml file: name files, or write one with `ssm-reconcile init`"
        )
        findings.error(Where(_name(path)), "no-spec", message)
    return found


def _link_target(path: Path) -> Path:
    """Return the file that a path leads to; the root directory for a link in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return Path("/")


def _stdin(text: str | None) -> str:
    if text is None:
        message = "standard input was not given: pipe the spec into the command"
        raise _UnreadableError("file-unreadable", message)
    _check_size(len(text.encode(errors="replace")))
    return text.removeprefix("\ufeff")


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - `Path` would not change what is opened, and `-` is not one
            if stat.S_ISDIR(os.fstat(file.fileno()).st_mode):
                raise IsADirectoryError
            content = file.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        advice = "write a first spec with `ssm-reconcile init`"
        if path.endswith(".json"):
            advice = f"save a plan with `ssm-reconcile plan --out {echo(Path(path).name)}`"
        message = f"the file does not exist: check the path, or {advice}"
        raise _UnreadableError("file-not-found", message) from None
    except (OSError, ValueError) as error:
        raise _UnreadableError("file-unreadable", _reason(error)) from None
    _check_size(len(content))
    return content


def _decoded(content: bytes) -> str:
    wrong = wrong_encoding(content)
    if wrong is not None:
        raise _UnreadableError("not-utf-8", f"the file is in {wrong.name}: {ADVICE}")
    content = without_mark(content)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise _UnreadableError("not-utf-8", message, line, column) from None


def _check_size(size: int) -> None:
    if size > SIZE_LIMIT:
        limit = f"larger than {SIZE_LIMIT // 1024} KiB"
        advice = "split the spec; for a saved plan use `ssm-reconcile apply`"
        raise _UnreadableError("too-large", f"{limit}: {advice}")


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
    return f"cannot be read ({reason}): check the path and its permissions"
