"""The examples, run as a reader would run them."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from ssm_reconcile.metrics import STATES, metrics, target_statuses
from tests.builders import creates, plan_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "cloudwatch-metrics.sh"


def test_metrics_reach_cloudwatch_one_a_state(tmp_path: Path) -> None:
    stand_in = tmp_path / "bin" / "aws"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$@" >> "$0.calls"\n')
    stand_in.chmod(0o755)
    file = tmp_path / "status.prom"
    file.write_text(metrics(target_statuses(plan_of(*creates(2))), datetime(2026, 11, 23, tzinfo=UTC)))
    path = f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([EXAMPLE, file], check=True, env={"PATH": path})
    calls = (tmp_path / "bin" / "aws.calls").read_text().splitlines()
    assert len(calls) == len(STATES)
    (pending,) = [call for call in calls if "State=pending" in call]
    assert "cloudwatch put-metric-data --namespace ssm-reconcile" in pending
    assert "--value 2 --dimensions Replication=prod,Target=us-east-2,State=pending" in pending
