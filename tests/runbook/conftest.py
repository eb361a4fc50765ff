"""The day behind the one seam of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_reconcile.cli import command_run
from tests.runbook.day import Day


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Day:
    for word in ("CI", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(word, raising=False)
    monkeypatch.chdir(tmp_path)
    found = Day()
    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: found.connect)
    monkeypatch.setattr(command_run, "SystemClock", lambda *_: found.clock)
    return found
