"""A tag, two distributions or a lock -> release notes, errors, a bill of materials.

    python tools/release.py notes v0.2.0                 section of the version in CHANGELOG.md
    python tools/release.py check dist URL               contents and metadata of sdist and wheel
    python tools/release.py sbom requirements/run.txt    CycloneDX document of what a lock installs here

`.github/workflows/release.yml` runs each command. The version is the one in `src/ssm_reconcile/__init__.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "ssm_reconcile"
SDIST = {
    ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "benchmarks", "docs", "pyproject.toml",
    "replication.yaml", "schema", "src", "tests", "tools",
}  # fmt: skip
"""Names in the top folder of the source distribution. hatchling adds `.gitignore`, to build again from it."""
PLACEHOLDER = b"OWNER/" + b"ssm-reconcile"
"""Stands for the repository until it has an owner. In two parts, or it would be replaced here too."""


def version() -> str:
    """Return the version of the package.

    Raises:
        SystemExit: The module has no version.
    """
    text = (ROOT / "src" / NAME / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    if found is None:
        sys.exit(f"src/{NAME}/__init__.py: __version__ is not of the form 1.2.3")
    return found[1]


def notes(tag: str) -> str:
    """Return the notes of the version: its section of the changelog without the heading.

    Args:
        tag: `v` and the version.

    Raises:
        SystemExit: The tag is not the version, or the section is missing or empty.
    """
    if tag != f"v{version()}":
        sys.exit(f"tag {tag}: the version of the package is {version()}: change one of them")
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(
        rf"^## {re.escape(version())}(?: - \d{{4}}-\d\d-\d\d)?$(.*?)(?=^## |\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    if section is None:
        sys.exit(f"CHANGELOG.md: no section `## {version()}`: rename `## Unreleased`")
    if not re.search(r"^[*-] \S", section[1], re.MULTILINE):
        sys.exit(f"CHANGELOG.md: the section `## {version()}` lists no changes: add them")
    return section[1].strip() + "\n"


def check(folder: Path, url: str) -> list[str]:
    """Return the errors of the distributions in a folder: names, contents, metadata.

    Args:
        folder: The folder of one wheel and one source distribution, and nothing else.
        url: The page of the repository, which the metadata must name.
    """
    stem = f"{NAME}-{version()}"
    wheel, sdist = folder / f"{stem}-py3-none-any.whl", folder / f"{stem}.tar.gz"
    found = {path.name for path in folder.iterdir()}
    if found != {wheel.name, sdist.name}:
        return [f"{folder}: {sorted(found)}, not {sorted({wheel.name, sdist.name})}"]
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
        schemas = {name: archive.read(name) for name in in_wheel if name.endswith(".schema.json")}
        metadata = archive.read(f"{stem}.dist-info/METADATA")
    with tarfile.open(sdist) as archive:
        in_sdist = [name.removeprefix(f"{stem}/") for name in archive.getnames()]
        information = archive.extractfile(f"{stem}/PKG-INFO")
        same = information is not None and information.read() == metadata
        members = [one for one in archive.getmembers() if one.isfile()]
        unowned = [one.name for one in members if PLACEHOLDER in archive.extractfile(one).read()]  # type: ignore[union-attr] # a file
    errors = [f"{wheel.name}: {error}" for error in wheel_errors(in_wheel, stem)]
    errors += [
        f"{wheel.name}: {name} has another $id than its address in this release: run `make fix`"
        for name, text in schemas.items()
        if json.loads(text).get("$id") != f"{url}/releases/download/v{version()}/{name.rsplit('/', 1)[-1]}"
    ]
    errors += [f"{sdist.name}: {error}" for error in sdist_errors(in_sdist)]
    errors += [f"{wheel.name}: {error}" for error in metadata_errors(metadata, url)]
    errors += [
        f"{sdist.name}: {name} has {PLACEHOLDER.decode()}: replace it with the owner of the repository"
        for name in unowned
    ]
    return errors if same else [*errors, f"{sdist.name}: PKG-INFO is not the METADATA of the wheel"]


def wheel_errors(names: list[str], stem: str) -> Iterator[str]:
    """Yield what is wrong with the contents of a wheel."""
    expected = {f"{NAME}/schema/{path.name}" for path in (ROOT / "schema").iterdir()}
    expected |= {
        f"{NAME}/__init__.py",
        f"{stem}.dist-info/licenses/LICENSE",
        f"{stem}.dist-info/entry_points.txt",
    }
    yield from (f"{name} is missing" for name in sorted(expected - {*names}))
    for name in names:
        top, *rest = name.split("/")
        if top not in {NAME, f"{stem}.dist-info"} or any(
            part in {"tests", "__pycache__"} or part.startswith(".") for part in rest
        ):
            yield f"{name} does not belong there"


def sdist_errors(names: list[str]) -> Iterator[str]:
    """Yield what is wrong with the contents of a source distribution."""
    tops = {name.split("/")[0] for name in names}
    yield from (f"{name} is missing" for name in sorted(SDIST - tops))
    for name in names:
        top, *rest = name.split("/")
        if top not in SDIST or any(part == "__pycache__" or part.startswith(".") for part in rest):
            yield f"{name} does not belong there"


def metadata_errors(data: bytes, url: str) -> Iterator[str]:
    """Yield what is wrong with the metadata of a distribution."""
    from packaging.metadata import Metadata

    try:
        metadata = Metadata.from_email(data, validate=True)
    except ExceptionGroup as errors:
        yield from (str(error) for error in errors.exceptions)
        return
    if str(metadata.version) != version():
        yield f"version {metadata.version}, not {version()}"
    if metadata.description_content_type != "text/markdown" or not metadata.description:
        yield "no description in Markdown"
    for address in relative_addresses(metadata.description or ""):
        yield f"the description has the relative address {address}: see tools/readme.py"
    if (metadata.project_urls or {}).get("Repository") != url:
        yield f"the URL of the repository is not {url}: correct [project.urls] in pyproject.toml"


def relative_addresses(text: str) -> list[str]:
    """Return the links and pictures of a text in Markdown that the page of an index cannot resolve.

    Args:
        text: The text.
    """
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    tokens += [child for token in tokens for child in token.children or ()]
    found = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in tokens]
    for token in tokens:
        if token.type in {"html_block", "html_inline"}:
            found += re.findall(r'(?:src|href)="([^"]*)"', token.content)
    return [one for one in found if one and not one.startswith("https://")]


def sbom(lock: Path) -> dict[str, object]:
    """Return a CycloneDX document of the distributions that a lock installs on this Python and platform.

    `actions/attest` refuses a document without a serial number. This one is made of the name, the version and
    the lock, so two builds of a release give the same bytes.

    Args:
        lock: A file of requirements with versions and markers.
    """
    from packaging.requirements import Requirement

    content = lock.read_bytes()
    lines = re.findall(r"^([^\s#-].*?)(?: \\)?$", content.decode("utf-8"), re.MULTILINE)
    requirements = [Requirement(line) for line in lines]
    used = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    versions = [(one.name, str(one.specifier).removeprefix("==")) for one in used]
    own = component("application", "ssm-reconcile", version())
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{own['purl']}#{hashlib.sha256(content).hexdigest()}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial.urn,
        "version": 1,
        "metadata": {"component": {**own, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": [component("library", name, number) for name, number in versions],
    }


def component(kind: str, name: str, number: str) -> dict[str, object]:
    """Return the entry of a distribution."""
    purl = f"pkg:pypi/{name}@{number}"
    return {"type": kind, "bom-ref": purl, "name": name, "version": number, "purl": purl}


def main(words: list[str]) -> None:
    """Run a command.

    Args:
        words: The name of the command and its arguments.

    Raises:
        SystemExit: The command failed, or does not exist.
    """
    match words:
        case ["notes", tag]:
            sys.stdout.write(notes(tag))
        case ["check", folder, url]:
            errors = check(Path(folder), url)
            sys.exit("\n".join(errors) or 0)
        case ["sbom", lock]:
            sys.stdout.write(json.dumps(sbom(Path(lock)), indent=2) + "\n")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
