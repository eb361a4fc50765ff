"""The file that stands for a command in PATH: asks the command server to run it with its own streams.

It is started for each command of a script, so it imports only what Python has loaded or what loads at once.
"""

from __future__ import annotations

import marshal
import os
import struct
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOL_SOCKET, socket

LENGTH = struct.Struct("!I")


def send(connection: socket, request: dict[str, object], descriptors: tuple[int, ...]) -> None:
    """Send a request and three descriptors over a Unix socket."""
    body = marshal.dumps(request)
    passed = struct.pack(f"{len(descriptors)}i", *descriptors)
    connection.sendmsg([LENGTH.pack(len(body))], [(SOL_SOCKET, SCM_RIGHTS, passed)])
    connection.sendall(body)


def main(path: str, program: str, *words: str) -> None:
    """Run a program with the streams, environment and folder of this process, and exit with its code."""
    connection = socket(AF_UNIX)
    connection.connect(path)
    request: dict[str, object] = {
        "program": program,
        "words": words,
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib is slow to import
        "env": dict(os.environ),
        "session": False,
        "closed": [],
    }
    send(connection, request, (0, 1, 2))
    answer = b""  # two numbers: the process id and the status
    while len(answer) < 2 * LENGTH.size:
        more = connection.recv(2 * LENGTH.size)
        if not more:
            sys.exit("the command server ended")
        answer += more
    (status,) = LENGTH.unpack(answer[LENGTH.size :])
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(*sys.argv[1:])
