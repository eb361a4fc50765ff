"""The status of each target: one word, counts, and the metrics for Prometheus."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ssm_reconcile import detach
from ssm_reconcile.errors import Trouble
from ssm_reconcile.metrics import STATES, TargetStatus, metrics, target_statuses
from ssm_reconcile.model import Place
from ssm_reconcile.plan import TargetPlan
from ssm_reconcile.report import Outcome, Result
from tests.builders import creates, part, plan_of
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.cli.conftest import Cli, aws, cli

__all__ = ["aws", "cli"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def status(**counts: int) -> TargetStatus:
    return TargetStatus(
        "prod", "us-east-2", "1/us-east-2", True, {state: counts.get(state, 0) for state in STATES}
    )


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"in_sync": 3}, "in_sync"),
        ({}, "in_sync"),
        ({"in_sync": 3, "skipped": 1, "orphaned": 2}, "in_sync"),
        ({"in_sync": 3, "pending": 1}, "pending"),
        ({"pending": 1, "withheld": 1}, "withheld"),
        ({"pending": 1, "withheld": 1, "detached": 1}, "detached"),
        ({"detached": 1, "conflict": 1}, "conflict"),
        ({"invalid": 1, "withheld": 1}, "conflict"),
        ({"conflict": 1, "failed": 1}, "failed"),
    ],
)
def test_the_worst_that_there_is_gives_the_word(counts: dict[str, int], word: str) -> None:
    assert status(**counts).status == word


def test_a_target_that_was_not_seen_to_its_end_is_unknown() -> None:
    assert replace(status(in_sync=3), complete=False).status == "unknown"


def staged() -> SimulatedAws:
    aws = SimulatedAws()
    for name in ("/p/a", "/p/b", "/p/c"):
        aws.put(name, "v")
    return aws


def counts(one: TargetStatus) -> dict[str, int]:
    return {state: count for state, count in one.counts.items() if count}


def test_a_plan_counts_pending_changes_and_a_report_their_results() -> None:
    aws = staged()
    plan = aws.plan()
    assert [counts(one) for one in target_statuses(plan)] == [{"pending": 3}]
    aws.world.faults = at_call("PutParameter", refused(Trouble.DENIED), name="/p/b")
    report = aws.carry_out(plan)
    (after,) = target_statuses(plan, report.outcomes)
    assert counts(after) == {"in_sync": 2, "failed": 1}
    assert after.status == "failed"


def test_a_withheld_change_is_withheld_before_and_after_an_apply() -> None:
    aws = staged()
    aws.spec = replace(aws.spec, targets=(replace(aws.spec.targets[0], frozen=True),))
    plan = aws.plan()
    assert [counts(one) for one in target_statuses(plan)] == [{"withheld": 3}]
    assert [counts(one) for one in target_statuses(plan, aws.carry_out(plan).outcomes)] == [{"withheld": 3}]


def test_a_stale_or_unattempted_change_is_pending() -> None:
    plan = plan_of(*creates(2))
    outcomes = (Outcome(plan.changes[0], Result.STALE), Outcome(plan.changes[1], Result.NOT_ATTEMPTED))
    assert counts(target_statuses(plan, outcomes)[0]) == {"pending": 2}


def test_detached_parameters_are_no_conflicts_here() -> None:
    aws = staged()
    aws.apply()
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=False)
    detach.detach(request, request.find_replicas(), aws.clock, unwatched, aws.stop, 1)
    (one,) = target_statuses(aws.plan())
    assert counts(one) == {"detached": 3}
    assert one.status == "detached"


def test_every_sample_is_a_line_that_prometheus_takes() -> None:
    strange = replace(status(in_sync=3), target='a"b\\c\nd')
    text = metrics([strange], NOW)
    label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
    for line in text.splitlines():
        assert re.fullmatch(rf"# (HELP|TYPE) [a-z_]+ .+|[a-z_]+\{{{label}(,{label})*\}} \d+", line), line
    assert 'state="in_sync"} 3' in text
    assert 'status="in_sync"} 1' in text
    assert 'status="failed"} 0' in text
    assert 'timestamp_seconds{replication="prod"' in text
    assert text.endswith(f" {int(NOW.timestamp())}\n")


def test_each_metric_is_described_once_whatever_the_number_of_targets() -> None:
    plan = replace(plan_of(*creates(1)), replications=(part(*creates(1)),) * 2)
    text = metrics(target_statuses(plan), NOW)
    described = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(described) == len(set(described)) == 4


def test_an_incomplete_target_says_so() -> None:
    plan = replace(
        plan_of(), replications=(replace(part(), targets=(TargetPlan("x", "1/eu-west-1", complete=False),)),)
    )
    text = metrics(target_statuses(plan), NOW)
    assert 'ssm_reconcile_target_complete{replication="prod",target="x",place="1/eu-west-1"} 0' in text
    assert 'status="unknown"} 1' in text


class TestTheFlag:
    def test_plan_and_apply_write_the_file_as_a_whole(self, aws: SimulatedAws, cli: Cli) -> None:
        assert cli("plan", "--metrics", "now.prom").exit_code == 0
        assert 'state="pending"} 3' in Path("now.prom").read_text()
        assert cli("apply", "--yes", "--metrics", "now.prom").exit_code == 0
        text = Path("now.prom").read_text()
        assert 'target="us-east-2",place="123456789012/us-east-2",state="in_sync"} 3' in text
        assert 'state="pending"} 0' in text
        assert sorted(path.name for path in Path().iterdir()) == ["now.prom", "replication.yaml"]

    def test_a_place_to_write_it_is_wanted_before_anything_is_done(self, aws: SimulatedAws, cli: Cli) -> None:
        result = cli("apply", "--yes", "--metrics", "nowhere/now.prom")
        assert result.exit_code == 64
        assert "--metrics" in result.stderr
        assert aws.world.names(Place("123456789012", "us-east-2")) == []
