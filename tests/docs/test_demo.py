"""`make demo`: every claim that the story makes holds, or it ends with 1."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_does_what_it_says(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "none of them stands anywhere above" in result.stdout
