"""The simulated AWS of an incident, with the command line on it and a spec in the current directory."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.doubles.clock import FakeClock
from tests.runbook.commands import write_spec
from tests.simulated_aws import SimulatedAws

MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimulatedAws:
    monkeypatch.chdir(tmp_path)
    found = SimulatedAws(clock=FakeClock(MORNING))
    found.connect_command_line(monkeypatch)
    write_spec()
    return found
