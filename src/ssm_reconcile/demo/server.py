"""The simulated AWS of the demo: moto in a process of its own, on loopback, stopped with the demo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ssm_reconcile.errors import ReconcileError

HOST = "127.0.0.1"
PATIENCE = 30.0
"""Seconds until moto must accept its first connection."""


@contextmanager
def server() -> Iterator[str]:
    """Start an empty AWS and yield its endpoint URL.

    Raises:
        ReconcileError: moto does not start.
    """
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, no input
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"},
        start_new_session=True,  # Ctrl-C is for the demo, which stops the server
    )
    try:
        _await(process, port)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise ReconcileError(f"moto exited with {process.returncode} before it was ready", "try again")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise ReconcileError(f"moto did not answer within {PATIENCE:.0f} s", "try again on a less busy machine")
