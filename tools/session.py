"""Output of `ssm-reconcile demo` with colours -> a picture of its last steps: docs/pictures/session.svg.

python tools/session.py            runs the demo and writes the picture (`make picture` does the same)

The picture has fixed times and plan ids, so equal output makes equal bytes. A test compares both.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "session.svg"
WIDTH = 100
STEPS = ("6", "7")
"""Numbers of the steps in the picture: a plan with withheld changes, and an apply that lifts the guard."""
MOMENT = "2026-03-14 09:26"
BACKGROUND, TEXT = (13, 17, 23), (230, 237, 243)
COLORS = [
    (72, 79, 88), (255, 123, 114), (63, 185, 80), (227, 179, 65),
    (88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196),
]  # fmt: skip
"""Black, red, green, yellow, blue, magenta, cyan, white: each readable on the background, dimmed text too."""
PLAN_ID = re.compile(r"(?<=[Pp]lan )[0-9a-f]{12}\b")
RELATIVE = re.compile(r"(just|\d+ (min|h|days)) before this plan")
COLOR = re.compile(r"\x1b\[[\d;]*m")


def record(width: int = WIDTH) -> str:
    """Run the demo and return its output.

    Args:
        width: The columns of the terminal.

    Raises:
        CalledProcessError: A statement of the demo did not hold.
    """
    done = subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", "demo", "--color", "always"],
        env=os.environ | {"COLUMNS": str(width)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True, check=True, timeout=240,
    )  # fmt: skip
    return done.stdout


def session(output: str) -> str:
    """Return the steps of the picture as a terminal shows them: titles as comments, fixed times and ids."""
    text = "\n\n".join(_steps(output))
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", MOMENT, text)
    text = RELATIVE.sub("just before this plan", text)
    ids = dict.fromkeys(PLAN_ID.findall(text))
    for number, plan_id in enumerate(ids):
        text = text.replace(plan_id, f"{0x9535F4258859 + number * 0x1111:012x}")
    return text


def _steps(output: str) -> Iterator[str]:
    """Yield each step of the picture, with its title as comment lines."""
    for step in re.split(r"\n(?=(?:\x1b\[1m)?== )", output):
        head, _, rest = step.partition("\n$ ")
        title = COLOR.sub("", head).removeprefix("== ").strip()
        number, _, words = title.partition(". ")
        if number in STEPS:
            yield "\n".join(f"\x1b[2m# {line}\x1b[0m" for line in words.split("\n")) + f"\n$ {rest.rstrip()}"


def picture(output: str) -> str:
    """Return the picture of the output of a demo as SVG, without links to other sites."""
    from rich.console import Console
    from rich.terminal_theme import TerminalTheme
    from rich.text import Text

    console = Console(record=True, width=WIDTH, file=io.StringIO(), color_system="standard")
    console.print(Text.from_ansi(session(output)))
    theme = TerminalTheme(BACKGROUND, TEXT, COLORS)
    svg = console.export_svg(title="ssm-reconcile", unique_id="session", theme=theme)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(record()), encoding="utf-8")
