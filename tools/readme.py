"""README.md -> the description of a distribution, in which each link and picture has an absolute address.

The page of an index, such as PyPI, has no other files of the repository. A link becomes the page of its file
at the tag of the version, a picture becomes the file. hatchling runs the hook in each build.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURES = (
    re.compile(r"(!\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()([^()\s]+)(?=\))"),
    re.compile(r'(\bsrc=")([^"]+)(?=")'),
)
_LINKS = (re.compile(r"(\]\()([^()\s]+)(?=\))"), re.compile(r'(\bhref=")([^"]+)(?=")'))
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def describe(text: str, repository: str, version: str) -> str:
    """Return the text of README.md with absolute addresses.

    Args:
        text: The text of README.md.
        repository: The page of the repository.
        version: The version, whose tag is `v` and the version.
    """
    for kind, patterns in (("raw", _PICTURES), ("blob", _LINKS)):
        base = f"{repository}/{kind}/v{version}/"
        for pattern in patterns:
            text = pattern.sub(partial(_absolute, base), text)
    return text


def _absolute(base: str, found: re.Match[str]) -> str:
    before, target = found.groups()
    if _ABSOLUTE.match(target):
        return found[0]
    return f"{before}{base}{'README.md' if target.startswith('#') else ''}{target}"


class ReadmeHook(MetadataHookInterface):
    """The field `readme` of the metadata."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description.

        Args:
            metadata: The table `project` of pyproject.toml, with the version.
        """
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = describe(text, metadata["urls"]["Repository"], metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
