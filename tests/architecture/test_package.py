"""The package: the locks against pyproject.toml, and the wheel against the tree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import readme, release

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = PROJECT["project"]["dependencies"]
EXTRAS = PROJECT["project"]["optional-dependencies"]
BUILD = PROJECT["dependency-groups"]["build"]
TERMINAL = {"click", "rich"}
"""Dependencies of the command line, which the Lambda function does not have."""
LOCKS = {
    "run": [*RUN, *BUILD],
    "lambda": [*(one for one in RUN if Requirement(one).name not in TERMINAL), *EXTRAS["lambda"]],
    "demo": [*RUN, *EXTRAS["demo"], *BUILD],
    "dev": [*RUN, *EXTRAS["demo"], *EXTRAS["lambda"], *EXTRAS["dev"], *BUILD],
}


def pins(name: str) -> dict[str, str]:
    """The versions of one lock by package."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_all_that_the_project_asks_for(name: str) -> None:
    locked = pins(name)
    wanted = [Requirement(text) for text in LOCKS[name]]
    missing = [
        str(one)
        for one in wanted
        if one.name != PROJECT["project"]["name"]
        and not ((version := locked.get(canonicalize_name(one.name))) and one.specifier.contains(version))
    ]
    assert missing == [], "run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_a_hash_for_everything_and_a_place_for_nothing(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    bare = [entry.split("\n")[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]
    assert bare == []
    assert not re.search(r"https?:|file:|@ |^-", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["run", "demo", "lambda"])
def test_the_smaller_locks_agree_with_the_large_one(name: str) -> None:
    assert pins(name).items() <= pins("dev").items()


def test_the_wheel_holds_the_package_and_the_schemas_and_no_spec(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    schemas = {f"ssm_reconcile/schema/{path.name}" for path in (ROOT / "schema").glob("*.json")}
    assert schemas
    assert schemas | {"ssm_reconcile/__init__.py", "ssm_reconcile/reconcile.py"} <= names
    assert not any(name.endswith("replication.yaml") for name in names)


def test_the_description_has_no_relative_link_or_picture(tmp_path: Path) -> None:
    """The page of PyPI has no other files. The links of README.md itself are relative."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    assert release.relative_addresses((ROOT / "README.md").read_text())
    assert release.relative_addresses(text.partition("\n\n")[2]) == []
    base = PROJECT["project"]["urls"]["Repository"]
    assert f"({base}/raw/v{release.version()}/docs/pictures/session.svg)" in text
    assert f"({base}/blob/v{release.version()}/docs/github-actions.md)" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](docs/a.md#b)", "[a](https://u/blob/v1.2.3/docs/a.md#b)"),
        ("[a](#b)", "[a](https://u/blob/v1.2.3/README.md#b)"),
        ("[a](https://example.com/b)", "[a](https://example.com/b)"),
        ("[a](mailto:a@example.com)", "[a](mailto:a@example.com)"),
        ("![a [b]](c.png)", "![a [b]](https://u/raw/v1.2.3/c.png)"),
        ("[![a](c.png)](d.md)", "[![a](https://u/raw/v1.2.3/c.png)](https://u/blob/v1.2.3/d.md)"),
        (
            '<a href="d.md"><img src="c.png"></a>',
            '<a href="https://u/blob/v1.2.3/d.md"><img src="https://u/raw/v1.2.3/c.png"></a>',
        ),
    ],
)
def test_an_address_in_the_description_is_that_of_the_tag(text: str, expected: str) -> None:
    assert readme.describe(text, "https://u", "1.2.3") == expected


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "version"]
    said = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    written = re.search(r'__version__ = "(.+)"', (ROOT / "src" / "ssm_reconcile" / "__init__.py").read_text())
    assert written
    assert said == written[1]
