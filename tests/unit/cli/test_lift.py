"""Lifts on the command line: reviewed, interrupted and resumed, outside of their set, ended, not reviewed."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.cli import terminal
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC, Cli

GONE = [f"/app/p{i:02}" for i in range(24)]
ONE_TARGET = SPEC.replace("  - region: eu-west-1\n", "")
ENTRY = (
    '{{guard: max-deletes, target: us-east-2, count: {count}, changes: "{changes}", until: "{until}",'
    " reason: gone}}"
)


@pytest.fixture
def withheld(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Thirty replicas whose source has lost 24: more deletes than the limit."""
    Path("replication.yaml").write_text(ONE_TARGET)
    for name in (*GONE, *(f"/app/k{i}" for i in range(6))):
        aws.put(name, "x")
    assert cli("apply", "--yes", "-q").exit_code == 0
    for name in GONE:
        aws.delete(name)
    return aws


def planned(cli: Cli, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("plan", "--format", "json", *words).stdout)
    return found


def remedy(cli: Cli) -> dict[str, Any]:
    (found,) = [one["remedy"] for one in planned(cli)["findings"] if one["code"] == "max-deletes"]
    assert isinstance(found, dict)
    return found


def write_lift(cli: Cli, *, until: str = "2099-12-31", **more: object) -> None:
    entry = ENTRY.format(**{**remedy(cli), "until": until, **more})
    Path("replication.yaml").write_text(f"{ONE_TARGET}lifts: [{entry}]\n")


def flag(cli: Cli) -> str:
    return f"max-deletes@us-east-2={remedy(cli)['changes']}"


def codes(document: dict[str, Any]) -> set[str]:
    return {one["code"] for one in document["findings"]}


def test_the_plan_names_the_flag_on_the_terminal_and_both_ways_in_its_json(
    withheld: SimulatedAws, cli: Cli
) -> None:
    assert "  max-deletes (24 changes): --max-deletes 24\n    24 to delete" in cli("plan").stdout
    found = remedy(cli)
    assert (found["flag"], found["guard"], found["target"]) == (
        "--max-deletes 24",
        "max-deletes",
        "us-east-2",
    )
    assert (found["count"], len(found["changes"])) == (24, 12)


def test_the_limit_of_all_targets_is_lifted_by_a_flag_and_has_no_entry_for_the_spec(
    withheld: SimulatedAws, cli: Cli
) -> None:
    words = ("--max-deletes", "50", "--max-deletes-total", "20")
    assert planned(cli, *words)["findings"][0]["remedy"] == {
        "flag": "--max-deletes-total 24",
        "guard": "max-deletes-total",
        "count": 24,
    }
    text = cli("plan", *words).stdout
    assert "Let through by a flag of plan and apply: max-deletes-total" in " ".join(text.split())
    assert "  max-deletes-total (24 changes): --max-deletes-total 24\n    24 to delete" in text
    comment = cli("plan", *words, "--format", "markdown").stdout
    assert "lifts:" not in comment
    assert "--max-deletes-total 24" not in comment
    assert "guards.max_deletes_total" in comment


def test_a_lift_of_the_spec_is_applied_with_the_saved_plan(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    document = planned(cli, "--out", "plan.json")
    assert document["summary"]["withheld"] == 0
    digest = document["changes"][0]["lifted"][0]["changes"]
    assert document["changes"][0]["lifted"] == [
        {"guard": "max-deletes", "target": "us-east-2", "changes": digest}
    ]
    assert cli("apply", "plan.json").exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


def test_a_lift_is_applied_by_the_id_of_its_plan(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    assert cli("apply", "--expect-plan", planned(cli)["plan_id"]).exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


def test_a_lift_is_applied_after_the_question(
    withheld: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    write_lift(cli)
    assert cli("apply", stdin="y\n").exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


def today(aws: SimulatedAws) -> str:
    return aws.clock.now().date().isoformat()


def test_a_saved_plan_is_applied_as_of_its_own_time(withheld: SimulatedAws, cli: Cli) -> None:
    """A lift that ends after the plan does not change the plan that was approved."""
    write_lift(cli, until=today(withheld))
    document = planned(cli, "--out", "plan.json")
    assert document["as_of"] == document["created"][:19] + ".000Z"
    withheld.clock.advance(timedelta(days=2))
    assert "lift-expired" in codes(planned(cli))
    assert planned(cli)["summary"]["withheld"] == 24
    assert cli("plan", "--reviewed", "plan.json").exit_code == 0
    assert cli("apply", "plan.json").exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


def test_several_saved_plans_are_applied_as_of_the_earliest(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli, until=today(withheld))
    planned(cli, "--out", "first.json")
    withheld.clock.advance(timedelta(days=2))
    planned(cli, "--out", "second.json")
    assert cli("apply", "second.json", "--also", "first.json").exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


def test_a_saved_plan_without_a_time_of_its_own_is_applied_as_of_now(
    withheld: SimulatedAws, cli: Cli
) -> None:
    """Format 1.2 and earlier has none."""
    write_lift(cli, until=today(withheld))
    document = planned(cli, "--out", "plan.json")
    del document["as_of"]
    Path("plan.json").write_text(json.dumps(document))
    assert cli("apply", "plan.json").exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


@pytest.mark.parametrize("days", [-1, 8])
def test_a_saved_plan_whose_time_was_edited_is_refused(withheld: SimulatedAws, cli: Cli, days: int) -> None:
    document = planned(cli, "--out", "plan.json")
    document["as_of"] = (withheld.clock.now() - timedelta(days=days)).isoformat()
    Path("plan.json").write_text(json.dumps(document))
    assert cli("apply", "plan.json").exit_code == 4
    assert set(GONE) <= set(withheld.names("us-east-2"))


def test_a_plan_is_applied_by_its_id_as_of_its_time(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli, until=today(withheld))
    document = planned(cli)
    expect = ("apply", "--expect-plan", document["plan_id"])
    withheld.clock.advance(timedelta(days=2))
    assert cli(*expect).exit_code == 4
    assert set(GONE) <= set(withheld.names("us-east-2"))
    assert cli(*expect, "--as-of", document["as_of"]).exit_code == 0
    assert not set(GONE) & set(withheld.names("us-east-2"))


@pytest.mark.parametrize(
    ("days", "code", "message"),
    [(-1, 64, "give the `as_of` of the plan"), (8, 4, "8.0 days ago, more than 7")],
)
def test_a_time_of_the_future_and_an_old_one_are_refused_before_any_call(
    withheld: SimulatedAws, cli: Cli, days: int, code: int, message: str
) -> None:
    as_of = (withheld.clock.now() - timedelta(days=days)).isoformat()
    before = len(withheld.world.calls)
    result = cli("apply", "--expect-plan", "0" * 12, "--as-of", as_of)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert len(withheld.world.calls) == before


@pytest.mark.parametrize("text", ["yesterday", "2026-11-29", "2026-11-29T18:46:15", "0001-01-01T00:00+23:00"])
def test_a_time_needs_a_zone(cli: Cli, aws: SimulatedAws, text: str) -> None:
    result = cli("apply", "--expect-plan", "0" * 12, "--as-of", text)
    assert result.exit_code == 64
    assert "is not a time with a zone, such as 2026-11-29T18:46:15Z" in " ".join(result.stderr.split())


def test_a_time_is_for_an_expected_plan_only(withheld: SimulatedAws, cli: Cli) -> None:
    as_of = planned(cli, "--out", "plan.json")["as_of"]
    for words in (["--yes"], ["plan.json"], ["plan.json", "--expect-plan", "0" * 12]):
        result = cli("apply", *words, "--as-of", as_of)
        assert result.exit_code == 64
        assert "--as-of is for --expect-plan ID and specs" in " ".join(result.stderr.split())


def test_an_apply_without_a_review_does_not_lift(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    result = cli("apply", "--yes", "--format", "json")
    assert result.exit_code == 5
    assert "lift-not-reviewed" in codes(json.loads(result.stdout))
    assert set(GONE) <= set(withheld.names("us-east-2"))


def test_an_event_does_not_lift(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    result = cli("event", "-", "--format", "json", stdin="\n".join(GONE))
    assert set(GONE) <= set(withheld.names("us-east-2"))
    assert "lift-not-reviewed" in codes(json.loads(result.stdout))


def test_a_plan_can_show_what_a_run_without_a_review_does(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    assert planned(cli, "--unreviewed")["summary"]["withheld"] == 24
    withheld.put("/app/new", "x")
    assert "Apply exactly this" in cli("plan").stdout
    assert "Apply exactly this" not in cli("plan", "--unreviewed").stdout, "the lift would count there"
    result = cli("plan", "--unreviewed", "--lift", "max-deletes@us-east-2=0123456789ab")
    assert result.exit_code == 64
    assert "leave out --unreviewed" in result.stderr


def test_a_lift_of_reversed_roles_holds_for_the_check_before_each_write(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text(ONE_TARGET)
    cli("apply", "--yes", "-q")
    cli("detach", "--target", "us-east-2", "--yes")
    aws.delete("/app/url")
    back = (
        ONE_TARGET.replace("us-east-1", "here").replace("us-east-2", "us-east-1").replace("here", "us-east-2")
    )
    Path("replication.yaml").write_text(back)
    (found,) = [one["remedy"] for one in planned(cli)["findings"] if one["code"] == "roles-reversed"]
    entry = ENTRY.format(**{**found, "until": "2099-12-31"})
    entry = entry.replace("max-deletes", "roles-reversed").replace("us-east-2", "us-east-1")
    Path("replication.yaml").write_text(f"{back}lifts: [{entry}]\n")
    cli("plan", "--out", "plan.json")
    result = cli("apply", "plan.json", "-q")
    assert result.exit_code == 0, result.output
    assert "/app/url" in aws.names("us-east-1")


def test_an_interrupted_apply_is_resumed_by_the_same_saved_plan(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    planned(cli, "--out", "plan.json")
    for name in GONE[:8]:
        withheld.delete(name, region="us-east-2")
    assert planned(cli)["summary"]["withheld"] == 16, "the digest alone does not show that it is a subset"
    result = cli("apply", "plan.json")
    assert result.exit_code == 0
    assert "Done since the plan was made, or no longer needed: 8." in result.stderr
    assert not set(GONE) & set(withheld.names("us-east-2"))


def test_an_interrupted_apply_by_its_id_needs_the_new_digest(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    for name in GONE[:8]:
        withheld.delete(name, region="us-east-2")
    assert "lift-other-changes" in codes(planned(cli))
    Path("replication.yaml").write_text(ONE_TARGET)
    given = flag(cli)
    plan_id = planned(cli, "--lift", given)["plan_id"]
    assert cli("apply", "--expect-plan", plan_id, "--lift", given).exit_code == 0


def test_a_change_outside_of_the_set_refuses_the_saved_plan(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli)
    planned(cli, "--out", "plan.json")
    withheld.delete("/app/k0")
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "new: delete /app/k0" in result.stderr
    assert set(GONE) <= set(withheld.names("us-east-2"))


@pytest.mark.parametrize("late", ["until", "count", "removed"])
def test_a_lift_that_ended_or_was_altered_after_the_review_refuses_the_saved_plan(
    withheld: SimulatedAws, cli: Cli, late: str
) -> None:
    write_lift(cli)
    planned(cli, "--out", "plan.json")
    Path("replication.yaml").write_text(ONE_TARGET)
    if late != "removed":
        write_lift(cli, **{"until": "2020-01-01"} if late == "until" else {"count": 23})
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "withheld now, by max-deletes" in result.stderr
    assert set(GONE) <= set(withheld.names("us-east-2"))


def test_an_expired_lift_is_a_warning_and_stops_no_run(withheld: SimulatedAws, cli: Cli) -> None:
    write_lift(cli, until="2020-01-01")
    result = cli("plan")
    assert result.exit_code == 0
    assert "[lift-expired] (replication.yaml:8:9)" in " ".join(result.stdout.split())


def test_the_flag_of_a_saved_plan_is_given_again(withheld: SimulatedAws, cli: Cli) -> None:
    given = flag(cli)
    assert planned(cli, "--lift", given, "--out", "plan.json")["run"]["lift"] == [given]
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert f"--lift {given}" in result.stderr
    for name in GONE[:8]:
        withheld.delete(name, region="us-east-2")
    assert cli("apply", "plan.json", "--lift", given).exit_code == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("max-deletes@us-east-2", "is not GUARD@TARGET=DIGEST"),
        ("no-id@us-east-2=0123456789ab", "GUARD is one of roles-reversed"),
        ("max-deletes@us-east-9=0123456789ab", "no target is named 'us-east-9'"),
    ],
)
@pytest.mark.parametrize("command", [("plan",), ("apply", "--expect-plan", "0123456789ab")])
def test_a_wrong_lift_is_wrong_usage(
    withheld: SimulatedAws, cli: Cli, command: tuple[str, ...], word: str, message: str
) -> None:
    result = cli(*command, "--lift", word)
    assert result.exit_code == 64
    assert message in result.stderr
    assert set(GONE) <= set(withheld.names("us-east-2"))


def test_a_lift_does_not_go_with_yes(withheld: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--lift", flag(cli))
    assert result.exit_code == 64
    assert "--lift does not count with --yes" in result.stderr
    assert set(GONE) <= set(withheld.names("us-east-2"))


@pytest.mark.parametrize("text", ["max-deletes", "no-id@a=0123456789ab"])
def test_a_damaged_lift_in_a_saved_plan_is_refused(withheld: SimulatedAws, cli: Cli, text: str) -> None:
    document = planned(cli, "--out", "plan.json")
    document["run"]["lift"] = [text]
    Path("plan.json").write_text(json.dumps(document))
    result = cli("apply", "plan.json")
    assert result.exit_code == 64
    assert "it has invalid options of its run" in result.stderr


def test_explain_shows_a_lifted_change_as_the_plan_does(withheld: SimulatedAws, cli: Cli) -> None:
    assert "withheld" in cli("explain", GONE[0]).stdout
    write_lift(cli)
    assert "withheld" not in cli("explain", GONE[0]).stdout


def test_the_yaml_of_the_comment_can_be_pasted_and_lacks_a_reason_only(
    withheld: SimulatedAws, cli: Cli
) -> None:
    text = cli("plan", "--format", "markdown").stdout
    assert "--max-deletes" not in text.split("```yaml")[0]
    block = text.split("```yaml\n")[1].split("\n```")[0]
    assert len(block.split("\n")) == 2
    Path("replication.yaml").write_text(f"{ONE_TARGET}{block}\n")
    result = cli("validate")
    assert result.exit_code == 1
    assert "lifts[0].reason` is empty" in result.stderr + result.stdout
    Path("replication.yaml").write_text(f"{ONE_TARGET}{block}\n".replace('reason: ""', 'reason: "gone"'))
    assert cli("validate").exit_code == 0
    assert planned(cli)["summary"]["withheld"] == 0
