"""`make demo`: each statement of the demo holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_each_statement_of_the_demo_holds(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", "demo"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert "none of them was printed" in result.stdout
