"""The wheel in an environment of its own, without an index and without the checkout on `sys.path`.

Its dependencies are empty distributions with the names and versions of this environment. The `.pth` file of
each names a folder with links to the packages that the requirements need, and to no others. So pip, uv and
pipx resolve the requirements as they do with an index, and a requirement that is missing is noticed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from hatchling.builders.constants import EDITABLES_REQUIREMENT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.doubles.command_server import CLOSED, CommandServer

ROOT = Path(__file__).parents[2]
STREAMS = ((0, "<", "stdin"), (1, ">", "stdout"), (2, ">", "stderr"))


@dataclass(frozen=True, slots=True)
class Distributions:
    """The wheel, and the folder of the distributions that it requires."""

    wheel: Path
    links: Path


def build_distributions(folder: Path) -> Distributions:
    """Build the wheel, and stand-ins for all that it, its extra `demo` and its build require."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, needed = document["project"], document["build-system"]["requires"]
    lines = [
        *project["dependencies"],
        *project["optional-dependencies"]["demo"],
        *needed,
        EDITABLES_REQUIREMENT,
    ]
    requirements = [Requirement(line) for line in lines]
    borrowed, links = folder / "borrowed", folder / "links"
    for each in (borrowed, links):
        each.mkdir()
    link_packages(borrowed, names_with_dependencies(requirements))
    for requirement in requirements:
        write_stand_in(links, requirement, borrowed)
    return Distributions(wheel, links)


def names_with_dependencies(requirements: list[Requirement]) -> set[str]:
    """Return the names of the distributions that are required here, directly or not."""
    seen: set[tuple[str, str]] = set()
    waiting = [*requirements]
    while waiting:
        one = waiting.pop()
        for extra in {"", *one.extras}:
            key = (canonicalize_name(one.name), extra)
            if key not in seen:
                seen.add(key)
                lines = metadata.requires(one.name) or ()
                waiting += [
                    more
                    for more in map(Requirement, lines)
                    if more.marker is None or more.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in seen}


def link_packages(folder: Path, names: set[str]) -> None:
    """Link the packages of these distributions, their metadata and their libraries."""
    distributions = metadata.packages_distributions()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        top = path.name.split(".")[0]
        owners = {canonicalize_name(one) for one in distributions.get(top, ())}
        owners.add(canonicalize_name(re.split(r"-\d", path.name)[0].split(".")[0]))
        if owners & names:
            (folder / path.name).symlink_to(path)


def write_stand_in(links: Path, requirement: Requirement, borrowed: Path) -> None:
    """Write a wheel without code for a requirement, which adds the borrowed packages to the path."""
    name, version = requirement.name.replace("-", "_"), metadata.version(requirement.name)
    extras = "".join(f"Provides-Extra: {extra}\n" for extra in sorted(requirement.extras))
    contents = {
        f"{name}.pth": f"{borrowed}\n",
        f"{name}-{version}.dist-info/METADATA":
            f"Metadata-Version: 2.1\nName: {requirement.name}\nVersion: {version}\n{extras}",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }  # fmt: skip
    record = f"{name}-{version}.dist-info/RECORD"
    with zipfile.ZipFile(links / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
        archive.writestr(record, "".join(f"{path},,\n" for path in (*contents, record)))


def install(distributions: Distributions, folder: Path) -> Path:
    """Install `wheel[demo]` into a new environment, and return the folder of its commands."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install", "--no-index"]
    requirement = f"ssm-reconcile[demo] @ {distributions.wheel.as_uri()}"
    done = subprocess.run(
        [*pip, "--find-links", str(distributions.links), requirement],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return python.parent


class InstalledCommands(CommandServer):
    """Starts the `ssm-reconcile` of a folder in a process of its own, and the AWS CLI of this environment."""

    def start(self, program: str, words: Any, *, cwd: Path, env: Any, **streams: int) -> Any:
        """Start a command without PYTHONPATH, as a user does."""
        own = Path(self.path) / program
        command = [str(own if own.exists() else Path(sys.executable).with_name(program)), *words]
        closed = [f"{number}{sign}&-" for number, sign, name in STREAMS if streams.get(name) == CLOSED]
        if closed:
            command = ["sh", "-c", f'exec "$@" {" ".join(closed)}', "sh", *command]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        given: Any = pipes | {
            name: subprocess.DEVNULL if stream == CLOSED else stream for name, stream in streams.items()
        }
        environment = {key: value for key, value in env.items() if key != "PYTHONPATH"}
        return subprocess.Popen(command, cwd=cwd, env=environment, text=True, **given)


@contextmanager
def installed_commands() -> Iterator[CommandServer]:
    """Install the wheel for as long as the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        yield InstalledCommands(str(install(build_distributions(Path(folder)), Path(folder) / "venv")))


def found_on_path(program: str, why: str = "") -> str:
    """Return the path of a program, or skip the test."""
    import pytest

    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on the path{why}")
    return path
