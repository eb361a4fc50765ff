"""Output of a command -> the same without the parts that differ in each run; comparison with golden files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

UPDATING = bool(os.environ.get("UPDATE_CASES"))
MOVING = ("created", "as_of", "tool_version")
"""Of a document of ours: what a new run or a new release changes."""


def settled(text: str) -> str:
    """A document of ours as it is kept."""
    document = json.loads(text)
    for key in MOVING:
        document.pop(key, None)
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def as_yaml(document: Any) -> str:
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000, default_flow_style=False)


def compare(path: Path, text: str) -> None:
    """Compare a text with its golden file, or write the file. `newline`: a carriage return counts."""
    if UPDATING:
        path.write_text(text, encoding="utf-8", newline="")
        return
    assert path.is_file(), f"{path.name} is missing: UPDATE_CASES=1 writes it"
    with path.open(encoding="utf-8", newline="") as file:
        assert text == file.read(), f"{path.parent.name}/{path.name} is different"


def absent(path: Path) -> None:
    """Golden files of something that the command did not write at all."""
    if UPDATING:
        path.unlink(missing_ok=True)
    assert not path.exists(), f"{path.name} is of no use in this case"
