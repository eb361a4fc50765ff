"""Evaluations of holds in a plan: each address once, each source name once for all targets and holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile import settle
from ssm_reconcile.diff import case
from ssm_reconcile.spec import DeleteMode, Glob, Hold, HoldIndex, Replication
from tests.builders import replication, target
from tests.simulated_aws import SimulatedAws

NAMES, HOLDS = 200, 50
TARGETS = (replication().targets[0], target("eu", region="eu-west-1"))


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The evaluations: `addresses` by the names of their sources, `names` by the patterns of holds."""
    found = Counter[str]()

    def counted(key: str, original: Any) -> Any:
        def call(*arguments: Any) -> Any:
            found[key] += 1
            return original(*arguments)

        return call

    for module in (settle, case):
        monkeypatch.setattr(module, "source_names", counted("addresses", module.source_names))
    monkeypatch.setattr(HoldIndex, "_match", counted("names", HoldIndex._match))
    return found


def replicated(spec: Replication) -> SimulatedAws:
    """Return an AWS with replicas in sync, and one in each target whose source is gone."""
    aws = SimulatedAws(spec)
    for number in range(NAMES):
        aws.put(f"/p/{number % 10}/{number}")
    aws.apply()
    aws.delete("/p/0/0")
    aws.pass_time()
    return aws


@pytest.mark.parametrize("pattern", ["/other/{}/**", "/p/{}/**"])
def test_a_plan_evaluates_each_address_and_each_source_name_once(counts: Counter[str], pattern: str) -> None:
    aws = replicated(replication(targets=TARGETS, delete=DeleteMode.NEVER))
    aws.spec = replace(aws.spec, holds=tuple(Hold(Glob(pattern.format(one))) for one in range(HOLDS)))
    counts.clear()
    plan = aws.plan()
    unused = sum(one.code == "pattern-without-effect" for one in plan.all_findings)
    held = NAMES * len(TARGETS) if pattern.startswith("/p") else 0
    assert (plan.summary["held"], unused) == (held, 20)
    assert counts == {"addresses": NAMES * len(TARGETS), "names": NAMES}


def test_a_spec_without_holds_evaluates_none(counts: Counter[str]) -> None:
    aws = replicated(replication(targets=TARGETS, delete=DeleteMode.NEVER))
    assert aws.plan().summary["in_sync"] == (NAMES - 1) * len(TARGETS)
    assert not counts
