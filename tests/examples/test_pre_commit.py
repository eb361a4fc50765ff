"""The hook for pre-commit: the specs that it matches by default, and with the `files` of the example."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_a_folder_of_specs_is_matched_by_the_example_and_not_by_default() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    page = (ROOT / "docs/github-actions.md").read_text()
    (block,) = re.findall(r"^```yaml\n(repos:\n.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (repository,) = yaml.safe_load(block)["repos"]
    (example,) = repository["hooks"]
    assert example["id"] == hook["id"]
    for path, by_default, by_example in (
        ("replication.yaml", True, False),
        ("a/prod.replication.yml", True, False),
        ("specs/prod.yaml", False, True),
        ("specs/team/prod.yml", False, True),
        ("specs/notes.md", False, False),
    ):
        assert bool(re.search(hook["files"], path)) is by_default
        assert bool(re.search(example["files"], path)) is by_example
