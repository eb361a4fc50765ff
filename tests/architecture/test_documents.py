"""Documents against the files, targets and schemas that they name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.docs.pages import blocks_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SCHEMAS = sorted((ROOT / "schema").glob("*.json"))
MAKEFILE = (ROOT / "Makefile").read_text()
MADE_HERE = {".git", ".venv", "build", "dist", "htmlcov", "mutants", "__pycache__"}
MADE_BY_TOOLS = re.compile(r"\.\w+_cache|\.hypothesis|\.coverage.*|.*\.egg-info")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def files(root: Path) -> list[Path]:
    """Return what git tracks, and what is new and not ignored. No environment, whatever its name is."""
    if (root / ".git").exists():
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(words, cwd=root, capture_output=True, check=True).stdout
        found = [root / os.fsdecode(name) for name in listed.split(b"\0") if name]
    else:  # an unpacked source distribution
        found = list(root.rglob("*"))
    environments = {path.parent for path in found if path.name == "pyvenv.cfg"}
    return sorted(path for path in found if path.is_file() and not environments & set(path.parents))


def texts() -> list[Path]:
    """Return every text file that belongs to the project."""
    return [
        path
        for path in files(ROOT)
        if not any(
            part in MADE_HERE or MADE_BY_TOOLS.fullmatch(part) for part in path.relative_to(ROOT).parts
        )
        and path.suffix not in {".png", ".svg", ".gz"}
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    broken = [
        link
        for link in links
        if not re.match(r"[a-z]+:|#", link) and not (path.parent / link.split("#")[0]).exists()
    ]
    assert broken == []


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document, and those that it sets itself."""
    text = re.sub(r"^ *```.*?^ *```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain} | {
        *re.findall(r'<a id="([^"]+)">', text)
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_to_a_heading_leads_to_one(path: Path) -> None:
    links = re.findall(r"\]\((?![a-z]+:)([^)\s#]*)#([^)\s]+)\)", path.read_text())
    pages = [(path.parent / link if link else path, anchor) for link, anchor in links]
    assert [f"{page.name}#{anchor}" for page, anchor in pages if anchor not in anchors_of(page)] == []


def test_every_page_of_the_documentation_is_in_its_contents() -> None:
    contents = (ROOT / "docs" / "README.md").read_text()
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^)#\s]+)", contents)}
    pages = {path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts}
    assert pages - linked - {ROOT / "docs" / "README.md"} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "tasks").glob("*.md")), ids=named)
def test_a_task_page_is_short_and_shows_commands(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 120
    assert "```console" in text


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_make_target_that_a_document_names_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", path.read_text())) <= targets


def test_the_targets_for_people_have_a_line_of_help() -> None:
    helped = set(re.findall(r"^([a-z-]+):[^\n]*## \S", MAKEFILE, re.MULTILINE))
    assert {"demo", "test", "check", "fix", "lock", "clean", "help"} <= helped


def test_each_decision_has_a_number_of_its_own() -> None:
    """Numbers are given out in advance, so one may be missing for a while."""
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers[0] == 1
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("path", DECISIONS, ids=named)
def test_a_decision_is_half_a_page_and_admits_its_drawbacks(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.name[:4]}: ")
    assert "**Decision.**" in text
    assert "**Drawbacks.**" in text
    assert len(text.split()) < 450


def test_every_top_level_module_is_in_the_architecture_page_and_in_a_layer() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    modules = {
        path.stem
        for path in (ROOT / "src" / "ssm_reconcile").iterdir()
        if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")
    }
    assert {name for name in modules if not re.search(rf"\b{name}\b", page)} == set()
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    layered = {name.strip(" ()") for layer in layers for name in layer.split("|")} - {"__main__"}
    assert {name for name in layered if not re.search(rf"\b{name}\b", page)} == set()


def documents_of(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text()))


def test_the_spec_in_the_root_is_what_its_schema_describes() -> None:
    schema = json.loads((ROOT / "schema" / "replication.schema.json").read_text())
    documents = documents_of(ROOT / "replication.yaml")
    assert documents
    for document in documents:
        jsonschema.validate(document, schema)


def test_the_spec_in_the_readme_is_what_its_schema_describes() -> None:
    schema = json.loads((ROOT / "schema" / "replication.schema.json").read_text())
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        jsonschema.validate(yaml.safe_load(block), schema)


def test_only_files_of_the_project_are_looked_through(tmp_path: Path) -> None:
    kept = ["tracked.py", "new file.py", "deep/ä.md"]
    left = ["ignored.log", "some-env/pyvenv.cfg", "some-env/lib/python/site.py", "gone.py"]
    for name in (*kept, *left):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / ".gitignore").write_text("*.log\n")
    for words in (["init", "-q"], ["add", "tracked.py", "gone.py", ".gitignore"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "gone.py").unlink()
    assert set(files(tmp_path)) == {tmp_path / name for name in (*kept, ".gitignore")}


def test_no_file_names_a_package_registry_or_a_local_folder() -> None:
    banned = re.compile(r"py" + r"pi\.org|python" + r"hosted|(?<![\w.])/(?:root|work|home/\w+|Users/\w+)/")
    found = [
        f"{named(path)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if banned.search(line) and path != Path(__file__)
    ]
    assert found == []


def test_no_file_cites_a_document_that_a_reader_does_not_have() -> None:
    """A fact about AWS names its page, an issue, or "not documented", never a note outside of the project."""
    notes = re.compile(r"aws-" + r"facts|github-" + r"facts|\bux" + r"\.md|\((?:[A-G]\d+(?:\.\d)?(?:, )?)+\)")
    found = [
        f"{named(path)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if notes.search(line)
    ]
    assert found == []


def test_the_commands_of_the_readme_have_no_comment() -> None:
    """An interactive zsh passes `# ...` behind a command as words."""
    commands = [command for _, found in blocks_of(ROOT / "README.md") for command in found]
    assert commands
    assert [one.text for one in commands if re.search(r"\s#", one.text)] == []
