"""A Markdown document -> the commands that it shows, with what it says that they print and how they end.

A block of the language `console` is run: lines that begin with `$ ` are commands (a line that ends in a
backslash goes on), what follows each is what it prints, in that order and at least. `...` stands for any
lines, `…` for anything within one. `# exit 5` after a command is its exit code, which is 0 otherwise. A
block after `<!-- not run: reason -->` is left alone, and so is one after `<!-- run by: tests/... -->`, which
has a test of its own; a comment that begins with `<!-- setup` and a line break holds commands that readers
need not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(
    r"<!-- setup\n(?P<setup>.*?)-->"
    r"|(?:^ *<!-- (?P<why>(?:not run|run by): [^>]+) -->\n+)?^(?P<indent> *)```console\n(?P<body>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(slots=True)
class Command:
    """One command of a document."""

    text: str
    line: int
    code: int = 0
    output: list[str] = field(default_factory=list)


def blocks_of(path: Path) -> list[tuple[str | None, list[Command]]]:
    """Every console block: why it is not run (None: it is), and its commands."""
    text = path.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        body = "body" if block["setup"] is None else "setup"
        first = text.count("\n", 0, block.start(body)) + 1
        found.append((block["why"], _commands(block[body], len(block["indent"] or ""), first)))
    return found


def languages_of(path: Path) -> list[tuple[int, str, str]]:
    """Return the line, the language and the first line of every block."""
    found: list[tuple[int, str, str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    inside = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            if not inside:
                found.append((number, line.strip().removeprefix("```"), lines[number].strip()))
            inside = not inside
    return found


def _commands(body: str, indent: int, first: int) -> list[Command]:
    commands: list[Command] = []
    more = False
    for number, raw in enumerate(body.splitlines(), first):
        line = raw[indent:].rstrip()
        if more:
            commands[-1].text += "\n" + line
        elif line.startswith("$ "):
            commands.append(Command(line[2:], number))
        elif line and commands:
            commands[-1].output.append(line)
        more = line.endswith("\\")
    for command in commands:
        code = re.search(r"\s+#.*\bexit (\d+)", command.text)
        command.code = int(code[1]) if code else 0
    return commands


def missing(expected: list[str], printed: str) -> str | None:
    """The first line that a document shows and the command did not print in its place; None when it did."""
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = 0
    for shown in expected:
        if shown.strip() in {"...", "…"}:
            continue
        pattern = ".*".join(re.escape(part) for part in " ".join(shown.split()).split("…"))
        found = next((i for i in range(at, len(lines)) if re.fullmatch(pattern, lines[i])), None)
        if found is None:
            return shown
        at = found + 1
    return None
