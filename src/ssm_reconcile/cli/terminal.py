"""Standard streams and files: text in; results, messages, errors and files out.

Results go to stdout, all other text to stderr, colour only where it is wanted. A stream that is closed
from the start, or breaks later (`| head -1`, a full disk), changes what is shown and nothing else: the
work goes on, and the exit code is the same.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO, cast

import click

from ssm_reconcile.errors import Finding, Interrupted, ReconcileError, Severity, SpecError, UsageError

ERRORS_VARIABLE = "SSM_RECONCILE_ERRORS"
"""Names a file for the errors of a command; the action shows them in the comment."""


def is_action() -> bool:
    """Return whether the action runs this command, so that a comment shows its errors."""
    return bool(os.environ.get(ERRORS_VARIABLE))


class LastingStream:
    """A text stream that accepts every write; after an error of the stream the text is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write a text; discard it if the stream has failed."""
        try:
            return self.stream.write(text)
        except UnicodeError:
            raise
        except (OSError, ValueError) as failure:
            self._fail(failure)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts; discard them if the stream has failed."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, unless the stream has failed."""
        try:
            self.stream.flush()
        except (OSError, ValueError) as failure:
            self._fail(failure)

    def _fail(self, failure: Exception) -> None:
        """Discard the rest. Report a lost result, unless its reader closed the pipe."""
        lost = isinstance(failure, OSError) and failure.errno != errno.EPIPE
        is_result = sys.stdout is cast("TextIO", self)
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass  # not a file of the operating system: a later write cannot fail at exit
        if lost and is_result:
            reason = failure.strerror if isinstance(failure, OSError) else ""
            log(f"Warning: standard output could not be written: {reason}")


def prepare_streams() -> None:
    """Make both streams accept every write, and escape characters that the terminal cannot encode."""
    _fill_descriptors()
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    sys.stdout, sys.stderr = _lasting(sys.stdout), _lasting(sys.stderr)


def _fill_descriptors() -> None:
    """Open the null device where a standard descriptor is closed.

    Otherwise the next file or socket gets that number, and printed text is written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - stderr
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - a child process needs them as well
    os.close(descriptor)


def _lasting(stream: TextIO | None) -> TextIO:
    if isinstance(stream, LastingStream):
        return cast("TextIO", stream)
    stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
    return cast("TextIO", LastingStream(stream))


def restore_streams() -> None:
    """Flush both streams, so that an error is handled here and not at exit; undo `prepare_streams`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, LastingStream):
            stream.flush()
            setattr(sys, name, stream.stream)


def write(text: str) -> None:
    """Write a result to stdout."""
    _write(sys.stdout, text)


def log(text: str) -> None:
    """Write any other text to stderr."""
    _write(sys.stderr, text)


def log_line(text: str) -> None:
    """Write a text with names of others to stderr, on one line that is not a command for a runner."""
    from ssm_reconcile.renderers.escaping import LINE_LIMIT, inert, visible

    log(inert(visible(text, LINE_LIMIT)))


def _write(stream: TextIO, text: str) -> None:
    stream.write(text if text.endswith("\n") or not text else text + "\n")
    stream.flush()


def use_color(stream: TextIO, choice: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to write colour: `--color` decides, then NO_COLOR, FORCE_COLOR, then the terminal.

    NO_COLOR and FORCE_COLOR count when they are not empty (no-color.org, force-color.org).

    Args:
        stream: The stream that is written to.
        choice: The value of `--color`: `auto`, `always` or `never`.
        environment: The environment variables; None for those of the process.
    """
    known = os.environ if environment is None else environment
    if choice != "auto":
        return choice == "always"
    if known.get("NO_COLOR"):
        return False
    if known.get("FORCE_COLOR"):
        return True
    return stream.isatty() and known.get("TERM") != "dumb"


def can_ask() -> bool:
    """Whether a person can answer a question: stdin is a terminal."""
    return sys.stdin.isatty()


def shares_terminal() -> bool:
    """Whether the reader of stdout has just read what went to stderr: both are terminals."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask on stderr and read a line from stdin; return whether it is y or yes."""
    sys.stderr.write(question)
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        log("")
    return answer.strip().lower() in {"y", "yes"}


def check_writable(path: Path, flag: str = "--out") -> None:
    """Check that a file can be written, before any work.

    Args:
        path: The file.
        flag: The option that names it, for the message.

    Raises:
        UsageError: The file cannot be written.
    """
    parent = path.absolute().parent
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a directory", "give the path of a file")
    if not parent.is_dir():
        message = f"{flag} {path}: the directory {parent} does not exist"
        raise UsageError(message, "create it, or give another path")
    if not os.access(path if path.exists() else parent, os.W_OK):
        message = f"{flag} {path} cannot be written"
        raise UsageError(message, "check the permissions, or give another path")


def save(path: Path, text: str) -> None:
    """Write a file completely or not at all, with mode 0644.

    A symbolic link stays a link. A file that is not regular (a pipe, /dev/null) is written in place.

    Raises:
        ReconcileError: The file could not be written.
    """
    place = type(path)(os.path.realpath(path))  # `Path.resolve` raises for a loop of links
    try:
        if place.exists() and not stat.S_ISREG(place.stat().st_mode):
            place.write_text(text, encoding="utf-8")
            return
        _replace(place, text)
    except OSError as failure:
        message = f"{path} could not be written: {failure.strerror or type(failure).__name__}"
        raise ReconcileError(message, "give another path") from failure


def _replace(place: Path, text: str) -> None:
    import tempfile  # slow to import, and only needed to save

    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    temporary = place.parent / name
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(place)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def report_error(error: BaseException, *, debug: bool) -> int:
    """Write an exception to stderr and return its exit code; `debug`: with a traceback."""
    if isinstance(error, KeyboardInterrupt | click.Abort | Interrupted):
        log("Interrupted.")
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        log(error.format_message())
    else:
        if debug:
            log(traceback_text(error))
        if isinstance(error, click.UsageError) and error.ctx is not None:
            log(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} --help' for help.\n\n")
        if isinstance(error, SpecError):
            write_findings(error.findings)
        message, remedy = error_summary(error)
        log(f"Error: {_escaped(message)}")
        if remedy:
            log(f"  What to do: {_escaped(remedy)}.")
        _save_errors(error)
    return exit_code_of(error)


def _save_errors(error: BaseException) -> None:
    """Write an error to the file of SSM_RECONCILE_ERRORS: problem, remedy, and its single faults."""
    path = os.environ.get(ERRORS_VARIABLE)
    if not path:
        return
    message, remedy = error_summary(error)
    lines = [f"{message.rstrip('.')}.", *([f"What to do: {remedy}."] if remedy else [])]
    if isinstance(error, ReconcileError):
        faults = [one for one in error.findings if one.severity is Severity.ERROR]
        lines += [f"{one.where}: {one.message}" if one.where else one.message for one in faults]
    try:
        save(Path(path), "".join(f"{_escaped(line)}\n" for line in lines))
    except ReconcileError as failure:
        log(f"Warning: {_escaped(failure.message)}")


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an exception."""
    match error:
        case ReconcileError():
            return error.exit_code
        case click.UsageError():
            return UsageError.exit_code  # 2, the code of click, means that a plan has changes
        case KeyboardInterrupt() | click.Abort():
            return Interrupted.exit_code
        case _:
            return ReconcileError.exit_code


def error_summary(error: BaseException) -> tuple[str, str]:
    """Return message and remedy of an exception.

    Of a foreign exception only the type is reported, since its message may contain a value.
    """
    match error:
        case ReconcileError():
            return error.message, error.remedy.rstrip(".")
        case click.ClickException():
            return error.format_message(), ""
        case OSError() if error.strerror:
            where = f"{error.filename}: " if isinstance(error.filename, str) else ""
            return f"{where}{error.strerror}", ""
        case ImportError() if error.name:
            return f"the Python package {error.name} is missing", "install ssm-reconcile again"
        case _:
            remedy = "this is a bug of ssm-reconcile: report it with the output of --debug"
            found = traceback.extract_tb(error.__traceback__)
            place = f" in {found[-1].name}, line {found[-1].lineno}" if found else ""
            return f"unexpected {_kind(error)}{place}", remedy


def _kind(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException) -> str:
    """Return a traceback of files, lines and types, the cause first.

    It contains no local variables and no message of a foreign exception: either may contain a value.
    """
    lines: list[str] = []
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    for one in reversed(chain):
        lines.append("Traceback (most recent call last):")
        lines += (
            f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}'
            for frame in traceback.extract_tb(one.__traceback__)
        )
        message = f": {_escaped(one.message)}" if isinstance(one, ReconcileError) else ""
        lines += [f"{_kind(one)}{message}", ""]
    return "\n".join(lines)


def write_findings(findings: Iterable[Finding]) -> None:
    """Write findings to stderr as `file:line:column: severity: message [code]`, which editors parse."""
    for finding in findings:
        where = f"{finding.where}: " if finding.where else ""
        log(_escaped(f"{where}{finding.severity.value}: {finding.message} [{finding.code}]"))


def _escaped(text: str) -> str:
    """Return a text without control characters and without commands for a runner: names are not trusted."""
    from ssm_reconcile.renderers.escaping import escaped_lines, inert

    return inert(escaped_lines(text))


def read_document(path: Path) -> str:
    """Return the text of a saved plan or report; raise UsageError for another encoding."""
    return decode_document(path.read_bytes(), str(path))


def decode_document(content: bytes, name: str) -> str:
    """Return the text of some bytes; `name` is the file in messages.

    Bytes that are not UTF-8 are replaced: the reader of the document reports what is wrong with it.
    """
    return _utf8(content, name).decode("utf-8", errors="replace")


def read_text(name: str, limit: int) -> str:
    """Return the text of a file or of standard input (`-`), up to `limit` bytes.

    Raises:
        UsageError: The text is not UTF-8.
    """
    if name == "-":
        name, content = "standard input", sys.stdin.buffer.read(limit)
    else:
        with Path(name).open("rb") as file:
            content = file.read(limit)
    try:
        return _utf8(content, name).decode("utf-8")
    except UnicodeDecodeError as error:
        if len(content) >= limit and error.reason == "unexpected end of data":
            return content[: error.start].decode("utf-8")  # cut at the limit; the reader refuses the size
        raise UsageError(f"{name} is not UTF-8 text", "save it as UTF-8") from None


def decode_guess(content: bytes) -> str:
    """Return the text of bytes in an unknown encoding, only to detect the kind of a file."""
    from ssm_reconcile.encoding import without_mark, wrong_encoding

    found = wrong_encoding(content)
    return without_mark(content).decode("utf-8" if found is None else found.codec, errors="replace")


def _utf8(content: bytes, name: str) -> bytes:
    from ssm_reconcile.encoding import ADVICE, WrongEncoding, without_mark, wrong_encoding

    found = wrong_encoding(content)
    if isinstance(found, WrongEncoding):
        raise UsageError(f"{name} is in {found.name}, not in UTF-8", ADVICE)
    return without_mark(content)
