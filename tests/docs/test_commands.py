"""Every command that a document shows is run, in order, against moto's server, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from moto.server import ThreadedMotoServer

from tests.docs.pages import Command, blocks_of, languages_of, missing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
ELSEWHERE = re.compile(r"A test runs every command on this page in this order \(`(tests/[\w/]+\.py)`\)")
"""The sentence of a document that has a test of its own."""
LANGUAGES = {"console", "diff", "hcl", "json", "text", "yaml"}
PROGRAM = re.compile(
    r"([A-Z_]+=\S* )*(\.?[\w./-]*/)?"
    r"(aws|cd|curl|docker|export|gh|git|make|pip|pipx|podman|python3?|sam|sha256sum|ssm-reconcile|uvx?|\w+\.sh)"
    r" "
)
"""The beginning of a command."""


def has_its_own_test(path: Path) -> bool:
    found = ELSEWHERE.search(path.read_text(encoding="utf-8"))
    return found is not None and path.name in (ROOT / found[1]).read_text(encoding="utf-8")


RUN_PAGES = [
    path
    for path in DOCUMENTS
    if any(why is None for why, _ in blocks_of(path)) and not has_its_own_test(path)
]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An empty AWS, for one document."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    urllib3.request("POST", f"{url}/moto-api/reset", timeout=60, retries=3)
    try:
        yield url
    finally:
        server.stop()


@pytest.mark.parametrize("path", RUN_PAGES, ids=named)
def test_a_document_does_what_it_shows(path: Path, endpoint: str, programs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prod"  # `init` derives the name of the replication from the folder
    folder.mkdir()
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))},
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "docs",
        "AWS_SECRET_ACCESS_KEY": "docs",
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
        "COLUMNS": "110",
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }
    for why, commands in blocks_of(path):
        for command in commands if why is None else ():
            _run(command, folder, environment, named(path))


def _run(command: Command, folder: Path, environment: dict[str, str], name: str) -> None:
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    shown = f"{name}:{command.line}: $ {command.text}\n{done.stdout}{done.stderr}"
    assert done.returncode == command.code, f"exit {done.returncode}, not {command.code}\n{shown}"
    lost = missing(command.output, done.stdout)
    assert lost is None, f"not printed: {lost}\n{shown}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_block_that_looks_like_commands_is_one_that_is_run(path: Path) -> None:
    """A prompt in a block of another language would never be tried."""
    text = path.read_text(encoding="utf-8")
    shown = text.count("\n$ ") + text.count("\n   $ ")
    assert shown == sum(len(commands) for _, commands in blocks_of(path))


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_commands_are_in_console_blocks(path: Path) -> None:
    """Commands in a block without a language, or of another one, would not be run, and no reason is given."""
    for line, language, first in languages_of(path):
        assert language in LANGUAGES, f"{named(path)}:{line}: {language or 'no language'}"
        assert language != "text" or not PROGRAM.match(first), f"{named(path)}:{line}: {first}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_block_that_another_test_runs_is_named_there(path: Path) -> None:
    for why, _ in blocks_of(path):
        if why is not None and why.startswith("run by: "):
            assert path.name in (ROOT / why.removeprefix("run by: ")).read_text(encoding="utf-8"), why


def test_the_beginning_of_a_command_is_recognized() -> None:
    for line in (
        "gh release download",
        "SOURCE_DATE_EPOCH=1 python -m x",
        "deploy/build.sh a",
        ".venv/bin/pip x",
    ):
        assert PROGRAM.match(line), line
    assert not PROGRAM.match("Usage: ssm-reconcile plan")


def test_a_line_that_was_not_printed_is_noticed() -> None:
    assert missing(["a", "c"], "a\nb\nc\n") is None
    assert missing(["c", "a"], "a\nb\nc\n") == "a"
    assert missing(["Plan …: 1 to create.", "..."], "Plan 12ab: 1  to create.\n") is None
    assert missing(["Plan …: 1 to create."], "Plan 12ab: 2 to create.\n") is not None
