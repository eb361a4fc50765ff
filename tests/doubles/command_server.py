"""Processes of `ssm-reconcile` and `aws` that are forked from one warm interpreter, not started from cold.

    with command_server() as server:
        process = server.start("ssm-reconcile", ["plan"], cwd=folder, env=environment)
        server.write_stub(folder, "ssm-reconcile")      a file for PATH that does the same

A fork has its own process id, streams, environment, working directory and exit code. It joins its threads,
runs its exit functions and flushes its streams as any Python process does. Two things are left out, which are
most of the time of a short command: the import of the libraries, and the release of their memory at the end.
Tests of the start itself (`e2e/test_startup.py`, `e2e/test_installed.py`) do not use it.
"""

from __future__ import annotations

import atexit
import gc
import io
import marshal
import os
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from tests.doubles import command_stub
from tests.doubles.command_stub import LENGTH, send

ROOT = Path(__file__).parents[2]
CLOSED = -10
"""Instead of a descriptor: the command starts without this stream, as after `>&-` in a shell."""
START_SECONDS = 60


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


# In a test


class ForkedProcess:
    """A command that runs: the part of `subprocess.Popen[str]` that tests use."""

    def __init__(self, connection: socket.socket, args: Sequence[str], pid: int) -> None:
        self.args = list(args)
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self._connection = connection

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._status(0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code; raises subprocess.TimeoutExpired."""
        code = self._status(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, text: str | None = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Write the input, read both outputs to their end, wait; returns stdout and stderr."""
        found: dict[str, str] = {}
        readers = []
        for name in ("stdout", "stderr"):
            stream: IO[str] | None = getattr(self, name)
            if stream is not None:
                reader = threading.Thread(
                    target=lambda n=name, s=stream: found.update({n: s.read()}), daemon=True
                )
                reader.start()
                readers.append((reader, stream))
        if self.stdin is not None:
            try:
                self.stdin.write(text or "")
                self.stdin.close()
            except BrokenPipeError:
                pass  # the command ended without reading its input
        until = time.monotonic() + (timeout or 600)
        for reader, stream in readers:
            reader.join(max(0.0, until - time.monotonic()))
            if reader.is_alive():
                os.kill(self.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            stream.close()
        self.wait(max(0.1, until - time.monotonic()))
        return found.get("stdout"), found.get("stderr")

    def _status(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                (status,) = LENGTH.unpack(_receive(self._connection, LENGTH.size))
            except (TimeoutError, BlockingIOError):
                return None
            self.returncode = os.waitstatus_to_exitcode(status)
            self._connection.close()
        return self.returncode


class CommandServer:
    """The warm interpreter, seen from the tests."""

    def __init__(self, path: str) -> None:
        self.path = path

    def start(
        self,
        program: str,
        words: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        start_new_session: bool = False,
    ) -> ForkedProcess:
        """Start a command. The streams are as for `subprocess.Popen`, or CLOSED."""
        ours: list[tuple[str, int]] = []
        theirs, opened = [], []
        for name, given in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
            if given == subprocess.PIPE:
                reading, writing = os.pipe()
                mine, other = (writing, reading) if name == "stdin" else (reading, writing)
                ours.append((name, mine))
                opened.append(other)
            elif given in (subprocess.DEVNULL, CLOSED):
                other = os.open(os.devnull, os.O_RDWR)
                opened.append(other)
            else:
                other = given
            theirs.append(other)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(START_SECONDS)
        connection.connect(self.path)
        closed = [number for number, given in enumerate((stdin, stdout, stderr)) if given == CLOSED]
        request = {"program": program, "words": list(words), "cwd": str(cwd), "env": dict(env),
                   "session": start_new_session, "closed": closed}  # fmt: skip
        send(connection, request, tuple(theirs))
        for other in opened:
            os.close(other)
        (pid,) = LENGTH.unpack(_receive(connection, LENGTH.size))
        process = ForkedProcess(connection, [program, *words], pid)
        for name, mine in ours:
            setattr(process, name, open(mine, "w" if name == "stdin" else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - a descriptor, closed by its user
        return process

    def write_stub(self, folder: Path, program: str) -> None:
        """Write an executable file that runs a program of the server with its own streams and environment."""
        folder.mkdir(parents=True, exist_ok=True)
        stub = folder / program
        stub.write_text(f'#!/bin/sh\nexec {self.stub(program)} "$@"\n')
        stub.chmod(0o755)

    def stub(self, program: str) -> str:
        """Return the words of a shell command that runs a program of the server."""
        return shlex.join([sys.executable, "-I", "-S", command_stub.__file__, self.path, program])


@contextmanager
def command_server() -> Iterator[CommandServer]:
    """Start the warm interpreter, and end it with the block."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/socket"
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
        environment |= {"PYTHONUTF8": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.command_server", path], cwd=folder, env=environment,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            until = time.monotonic() + START_SECONDS
            while not os.path.exists(path):  # noqa: PTH110 - a socket
                assert process.poll() is None, "the command server ended at once"
                assert time.monotonic() < until, "the command server did not start"
                time.sleep(0.02)
            yield CommandServer(path)
        finally:
            process.terminate()
            process.wait()


# In the warm interpreter


_AWSCLI_DATA: dict[str, str] = {}


def _warm_up() -> None:
    """Import what commands import; use clients, the schema and the AWS CLI once, which load parts late."""
    import importlib
    import pkgutil
    from contextlib import redirect_stdout

    import boto3

    import ssm_reconcile
    from ssm_reconcile.load import load
    from tests.doubles.botocore_data import share_loader

    share_loader()
    for module in pkgutil.walk_packages(ssm_reconcile.__path__, "ssm_reconcile."):
        if not module.name.endswith(("__main__", "aws_lambda")):
            importlib.import_module(module.name)
    load([str(ROOT / "replication.yaml")])
    session = boto3.Session("warm", "up", region_name="us-east-1")
    for service in ("ssm", "kms", "sts", "resourcegroupstaggingapi"):
        session.client(service)
    clidriver = importlib.import_module("awscli.clidriver")
    _AWSCLI_DATA["AWS_DATA_PATH"] = os.environ["AWS_DATA_PATH"]  # its import has set this
    driver = clidriver.create_clidriver()
    with redirect_stdout(io.StringIO()):
        driver.main(["ssm", "get-parameter", "--generate-cli-skeleton"])
    for service in ("ssm", "kms"):
        driver.session.create_client(service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    del os.environ["AWS_DATA_PATH"]


def _serve(path: str) -> None:
    _warm_up()
    gc.freeze()  # a collection in a fork would copy the memory that forks share
    gc.set_threshold(20_000, 20, 20)  # short commands create fewer objects than a collection is worth
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)
    ended, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # with a handler, a signal writes into the pipe
    signal.set_wakeup_fd(waking)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            _report_ends(running)
        if listener.fileno() in ready:
            connection, _ = listener.accept()
            request = _read_request(connection)
            if request is None:
                continue
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (listener, connection, *running.values()):
                    each.close()
                os.close(ended)
                os.close(waking)
                _run_and_end(request)
            for descriptor in request["descriptors"]:
                os.close(descriptor)
            running[pid] = connection
            _send_number(connection, pid)


def _report_ends(running: dict[int, socket.socket]) -> None:
    """Send the status of each command that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as connection:
            _send_number(connection, status)


def _send_number(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # whoever asked is gone
        connection.sendall(LENGTH.pack(number))


def _read_request(connection: socket.socket) -> dict[str, Any] | None:
    """Return a request with its descriptors; None if whoever asked is gone."""
    connection.settimeout(START_SECONDS)
    try:
        head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 3)
        request = marshal.loads(_receive(connection, LENGTH.unpack(head)[0]))  # noqa: S302 - of our own stub
    except (EOFError, OSError, struct.error):
        connection.close()
        return None
    return {**request, "descriptors": descriptors}


def _run_and_end(request: Mapping[str, Any]) -> NoReturn:
    """Run the command and end as Python does, except for its memory: a fork copies a page to release it."""
    try:
        _run(request)
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        code = end.code
    else:
        code = 0
    threading._shutdown()  # type: ignore[attr-defined] # what Python calls at its end
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        sys.exit(code)  # Python reports it, with an exit code of its own
    os._exit(code)


def _run(request: Mapping[str, Any]) -> None:
    """Become the command: its session, folder, environment, streams and arguments."""
    if request["session"]:
        os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, descriptor in enumerate(request["descriptors"]):
        os.dup2(descriptor, number)
    for descriptor in request["descriptors"]:
        if descriptor > 2:
            os.close(descriptor)
    for number in request["closed"]:
        os.close(number)
    sys.stdin = _stream(0, "r", "surrogateescape")
    sys.stdout = _stream(1, "w", "surrogateescape")
    sys.stderr = _stream(2, "w", "backslashreplace", line_buffering=True)
    _reseed()
    if request["program"] == "aws":
        from awscli.clidriver import main as aws  # type: ignore[import-untyped] # no stubs

        os.environ |= _AWSCLI_DATA
        sys.argv = ["aws", *request["words"]]
        sys.exit(aws())
    from ssm_reconcile.cli import main

    sys.argv = ["ssm-reconcile", *request["words"]]
    main()


def _stream(number: int, mode: str, errors: str, *, line_buffering: bool = False) -> Any:
    """Open a standard stream as the start of Python does: None if it is closed."""
    try:
        os.fstat(number)
    except OSError:
        return None
    buffered = io.open(number, f"{mode}b", closefd=False)  # noqa: SIM115, UP020 - for the life of the process
    buffering = line_buffering or os.isatty(number)
    return io.TextIOWrapper(buffered, encoding="utf-8", errors=errors, line_buffering=buffering)


def _reseed() -> None:
    """Give each process its own random numbers, as a process that starts has."""
    import random

    random.seed()


if __name__ == "__main__":
    _serve(sys.argv[1])
