"""The command `apply`: on whose word, what is reported, and the exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.cli import error_output, terminal
from ssm_reconcile.cli.show import sums_by_target
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli
from tests.unit.renderers import plans

ALL = ["/app/hosts", "/app/key", "/app/url"]


def plan_id(cli: Cli, *words: str) -> str:
    found: str = json.loads(cli("plan", "--format", "json", *words).stdout)["plan_id"]
    return found


def report(path: str = "report.json") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(path).read_text())
    return document


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda: True)


def test_yes_applies_and_the_report_is_on_stdout_and_in_the_file(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--format", "json", "--out", "report.json")
    assert result.exit_code == 0
    assert aws.names("us-east-2") == aws.names("eu-west-1") == ALL
    document = json.loads(result.stdout)
    assert document == report()
    assert document["summary"]["applied"] == 6
    assert "6 to create" in result.stderr
    assert "Saved the report to report.json." in result.stderr
    assert SECRET not in result.output


def on_one_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stdin, stdout and stderr be one terminal, without colours."""
    at_a_terminal(monkeypatch)
    monkeypatch.setattr(terminal, "shares_terminal", lambda: True)


@pytest.mark.parametrize("approval", ["--yes", "--expect-plan", "plan.json"])
def test_without_a_question_stderr_has_the_sums_and_the_report_names_each_change_once(
    aws: SimulatedAws, cli: Cli, approval: str
) -> None:
    cli("plan", "--out", "plan.json")
    plan = plan_id(cli)[:12]
    result = cli("apply", approval, *[plan] * (approval == "--expect-plan"))
    assert result.exit_code == 0
    assert aws.names("us-east-2") == ALL
    assert f"Plan {plan}: 6 to create.\n  us-east-2: 3 to create\n  eu-west-1: 3 to create\n" in result.stderr
    assert not any(name in result.stderr for name in ALL)
    assert all(result.stdout.count(f"create   {name} ") == 1 for name in ALL)


def test_the_sums_of_many_targets_that_are_alike_share_a_line() -> None:
    names = [f"t{number:02}" for number in range(30)]
    changes = [plans.create(name, "/a") for name in names] + [plans.delete(names[-1], "/b")]
    assert sums_by_target(plans.plan_of(changes, targets=names)) == [
        "  t00 and 28 alike: 1 to create",
        "  t29: 1 to create, 1 to delete",
    ]
    assert len(sums_by_target(plans.plan_of(changes[:10], targets=names[:10]))) == 10
    assert sums_by_target(plans.plan_of(changes[:1], targets=names[:2]))[1] == "  t01: nothing to do"
    assert sums_by_target(plans.plan_of(changes[:1], targets=names[:1])) == []


def test_quiet_leaves_out_the_sums(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--quiet")
    assert result.stderr == ""
    assert aws.names("us-east-2") == ALL


def test_the_report_does_not_repeat_the_plan_that_was_shown_on_the_same_terminal(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put("/app/url", "of someone else", region="us-east-2")
    on_one_terminal(monkeypatch)
    result = cli("apply", stdin="y\n")
    assert "differs in value" in result.stderr
    assert "differs in value" not in result.stdout
    assert "1 conflict" in result.stdout.splitlines()[0]


def test_the_report_is_complete_if_it_goes_elsewhere_than_the_plan(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.put("/app/url", "of someone else", region="us-east-2")
    at_a_terminal(monkeypatch)
    result = cli("apply", stdin="y\n")
    assert "differs in value" in result.stderr
    assert "differs in value" in result.stdout


def test_nothing_to_do_is_reported_once_on_one_terminal(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("apply", "--yes")
    on_one_terminal(monkeypatch)
    result = cli("apply")
    assert result.exit_code == 0
    assert "Nothing to do" in result.stderr
    assert result.stdout == ""


def test_without_a_terminal_an_apply_needs_yes(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply")
    assert result.exit_code == 64
    assert "--expect-plan" in result.stderr
    assert aws.names("us-east-2") == []


@pytest.mark.parametrize("answer", ["y\n", "yes\n", " YES \n", "y"])
def test_yes_on_a_terminal_applies_the_plan_that_was_shown(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    at_a_terminal(monkeypatch)
    result = cli("apply", stdin=answer)
    assert result.exit_code == 0
    assert "Apply these 6 changes? [y/N] " in result.stderr
    assert "Apply exactly this" not in result.stderr
    assert aws.names("us-east-2") == ALL


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yep\n"])
def test_another_answer_changes_nothing_and_exits_0(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    at_a_terminal(monkeypatch)
    result = cli("apply", "--out", "report.json", stdin=answer)
    assert result.exit_code == 0
    assert "Nothing was changed." in result.stderr
    assert aws.names("us-east-2") == []
    assert report()["summary"]["not_attempted"] == 6
    assert report()["exit_code"] == 0


def test_nothing_is_asked_when_there_is_nothing_to_do(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("apply", "--yes")
    at_a_terminal(monkeypatch)
    result = cli("apply")
    assert result.exit_code == 0
    assert "[y/N]" not in result.stderr


def test_the_expected_plan_is_applied(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--expect-plan", f"sha256:{plan_id(cli)[:12]}")
    assert result.exit_code == 0
    assert aws.names("us-east-2") == ALL


def test_another_plan_than_the_expected_one_is_shown_and_refused(aws: SimulatedAws, cli: Cli) -> None:
    expected = plan_id(cli)[:12]
    aws.put("/app/url", "https://example.net")
    result = cli("apply", "--expect-plan", expected, "--format", "json", "--out", "report.json")
    assert result.exit_code == 4
    assert f"not the expected {expected}" in result.stderr
    assert "6 to create" in result.stderr
    assert aws.names("us-east-2") == []
    assert json.loads(result.stdout) == report()
    assert report()["exit_code"] == 4
    assert report()["summary"] == {
        "applied": 0, "failed": 0, "stale": 0, "withheld": 0, "not_attempted": 6
    }  # fmt: skip
    assert report()["findings"][-1]["code"] == "plan-refused"


@pytest.mark.parametrize("given", ["1234", "not-an-id", ""])
def test_an_invalid_id_is_reported_before_any_call(aws: SimulatedAws, cli: Cli, given: str) -> None:
    before = len(aws.world.calls)
    result = cli("apply", "--expect-plan", given)
    assert result.exit_code == 64
    assert len(aws.world.calls) == before


def test_a_saved_plan_is_applied_without_a_question(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json", "--target", "us-east-2")
    result = cli("apply", "plan.json")
    assert result.exit_code == 0
    assert aws.names("us-east-2") == ALL
    assert aws.names("eu-west-1") == []


def test_changes_that_were_made_since_count_as_applied(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    cli("apply", "--yes", "--target", "us-east-2")
    result = cli("apply", "plan.json", "--format", "json")
    assert result.exit_code == 0
    assert "Done since the plan was made, or no longer needed: 3." in result.stderr
    assert json.loads(result.stdout)["summary"]["applied"] == 3


def test_a_create_whose_source_was_deleted_since_is_not_needed(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    aws.delete(ALL[0])
    result = cli("apply", "plan.json")
    assert result.exit_code == 0
    assert "Done since the plan was made, or no longer needed: 2." in result.stderr
    assert ALL[0] not in aws.names("us-east-2")


def test_a_new_change_refuses_a_saved_plan_and_is_named(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    aws.put("/app/fresh", "1")
    result = cli("apply", "plan.json", "--out", "report.json")
    assert result.exit_code == 4
    assert "new: create /app/fresh in us-east-2 (prod)" in result.stderr
    assert aws.names("us-east-2") == []
    assert [f["code"] for f in report()["findings"]] == ["plan-changed"] * 3


def test_two_saved_plans_approve_their_changes_together(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "first.json")
    aws.put("/app/fresh", "1")
    cli("plan", "--out", "second.json")
    result = cli("apply", "first.json", "--also", "second.json")
    assert result.exit_code == 0
    assert aws.names("us-east-2") == sorted([*ALL, "/app/fresh"])


def test_a_change_that_none_of_the_saved_plans_has_refuses_all_of_them(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "first.json")
    cli("plan", "--out", "second.json")
    aws.put("/app/fresh", "1")
    result = cli("apply", "first.json", "--also", "second.json")
    assert result.exit_code == 4
    assert "new: create /app/fresh" in result.stderr
    assert aws.names("us-east-2") == []


def test_saved_plans_that_were_made_with_other_options_are_not_applied_together(
    aws: SimulatedAws, cli: Cli
) -> None:
    cli("plan", "--out", "first.json")
    cli("plan", "--out", "second.json", "--target", "us-east-2")
    result = cli("apply", "first.json", "--also", "second.json")
    assert result.exit_code == 64
    assert "second.json was made with other options than first.json" in result.stderr
    assert aws.names("us-east-2") == []


def test_each_of_several_saved_plans_has_to_be_young_enough(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "first.json")
    old = json.loads(Path("first.json").read_text()) | {"created": "2020-01-01T00:00:00.000Z"}
    Path("second.json").write_text(json.dumps(old))
    result = cli("apply", "first.json", "--also", "second.json")
    assert result.exit_code == 4
    assert aws.names("us-east-2") == []


def test_another_saved_plan_needs_a_first_one(cli: Cli) -> None:
    result = cli("apply", "--yes", "--also", "second.json")
    assert result.exit_code == 64
    assert "--also and --against need a saved plan" in result.stderr


def test_an_altered_change_refuses_a_saved_plan_in_words(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    aws.put("/app/url", "https://example.net")
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "altered: create /app/url in eu-west-1 (prod): source version 1 became 2" in result.stderr


def test_a_guard_that_the_plan_lifted_has_to_be_lifted_at_apply_too(aws: SimulatedAws, cli: Cli) -> None:
    cli("apply", "--yes")
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    cli("plan", "--out", "plan.json", "--max-deletes", "5")
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "give --max-deletes 5 again" in result.stderr
    assert aws.names("us-east-2") == ALL
    assert cli("apply", "plan.json", "--max-deletes", "5").exit_code == 0
    assert aws.names("us-east-2") == ["/app/key"]


@pytest.mark.parametrize("flag", ["--max-deletes", "--max-deletes-total", "--max-change-percent"])
def test_a_limit_that_is_lower_than_that_of_the_plan_is_advised_once_with_the_limit_of_the_plan(
    aws: SimulatedAws, cli: Cli, flag: str
) -> None:
    cli("apply", "--yes")
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    lifts = ("--max-deletes", "6", "--max-deletes-total", "10", flag, "12")
    assert cli("plan", "--out", "plan.json", *lifts).exit_code == 0
    aws.put("/app/more", "1")
    result = cli("apply", "plan.json", flag, "3")
    assert result.exit_code == 4
    (command,) = {one for one in result.stderr.split("`") if one.startswith("ssm-reconcile apply")}
    assert command.count(f"{flag} ") == 1
    assert f"{flag} 12" in command


def test_a_limit_that_is_higher_than_that_of_the_plan_lifts_the_guard_too(
    aws: SimulatedAws, cli: Cli
) -> None:
    cli("apply", "--yes")
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    cli("plan", "--out", "plan.json", "--max-deletes", "5")
    aws.put("/app/more", "1")
    result = cli("apply", "plan.json", "--max-deletes", "6")
    assert result.exit_code == 4
    assert "again, since a saved plan" not in result.stderr


def test_a_refusal_of_the_action_names_its_inputs_and_no_command_with_a_path_of_the_runner(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("apply", "--yes")
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    cli("plan", "--out", "plan.json", "--max-deletes", "5")
    monkeypatch.setenv(error_output.ERRORS_VARIABLE, "errors")
    assert cli("apply", "plan.json").exit_code == 4
    shown = Path("errors").read_text()
    assert "give this step the inputs for --max-deletes 5 as well" in shown
    document = report("plan.json")
    document["created"] = (aws.clock.now() - timedelta(days=8)).isoformat()
    Path("plan.json").write_text(json.dumps(document))
    assert cli("apply", "plan.json").exit_code == 4
    old = Path("errors").read_text()
    assert "approve the current plan, or plan the pull request again" in old
    assert "set the input `max-plan-age` to 9" in old
    assert not [text for text in (shown, old) if "plan.json" in text or "ssm-reconcile " in text]


def test_an_old_saved_plan_is_refused_before_any_call(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    document = report("plan.json")
    document["created"] = (aws.clock.now() - timedelta(days=8)).isoformat()
    Path("plan.json").write_text(json.dumps(document))
    before = len(aws.world.calls)
    result = cli("apply", "plan.json")
    assert result.exit_code == 4
    assert "8.0 days old" in result.stderr
    assert len(aws.world.calls) == before
    plan, apply, old = re.findall(r"`ssm-reconcile ([^`]*)`", result.stderr)
    assert old.endswith("--max-plan-age 9")
    assert cli(*old.split()).exit_code == 0
    assert cli(*plan.split()).exit_code == 0
    assert cli(*apply.split()).exit_code == 0


@pytest.mark.parametrize(("hours", "code"), [(7 * 24 - 1, 0), (7 * 24 + 1, 4)])
def test_a_saved_plan_is_accepted_for_seven_days(aws: SimulatedAws, cli: Cli, hours: int, code: int) -> None:
    cli("plan", "--out", "plan.json")
    document = report("plan.json")
    document["created"] = (aws.clock.now() - timedelta(hours=hours)).isoformat()
    Path("plan.json").write_text(json.dumps(document))
    assert cli("apply", "plan.json").exit_code == code
    assert bool(aws.names("us-east-2")) is (code == 0)


def test_the_commands_for_an_old_plan_lift_the_guards_that_it_lifted(aws: SimulatedAws, cli: Cli) -> None:
    cli("apply", "--yes")
    for name in ("/app/url", "/app/hosts"):
        aws.delete(name)
    cli("plan", "--target", "us-east-2", "--max-deletes", "5", "--out", "plan.json")
    document = report("plan.json")
    document["created"] = (aws.clock.now() - timedelta(days=8)).isoformat()
    Path("plan.json").write_text(json.dumps(document))
    plan, apply, old = re.findall(r"`ssm-reconcile ([^`]*)`", cli("apply", "plan.json").stderr)
    assert plan == "plan --target us-east-2 --max-deletes 5 --out plan.json"
    assert apply == "apply plan.json --max-deletes 5"
    assert cli(*old.split()).exit_code == 0
    assert aws.names("us-east-2") == ["/app/key"]


def test_a_saved_plan_and_an_id_have_to_be_the_same(aws: SimulatedAws, cli: Cli) -> None:
    cli("plan", "--out", "plan.json")
    result = cli("apply", "plan.json", "--expect-plan", "0" * 12)
    assert result.exit_code == 4
    assert cli("apply", "plan.json", "--expect-plan", report("plan.json")["plan_id"]).exit_code == 0


def test_a_saved_plan_knows_the_spec_that_it_was_made_from(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").rename("prod.yaml")
    cli("plan", "prod.yaml", "--out", "plan.json")
    assert cli("apply", "plan.json").exit_code == 0


def test_a_saved_plan_whose_spec_was_moved_asks_for_its_path(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").rename("prod.yaml")
    cli("plan", "prod.yaml", "--out", "plan.json")
    Path("prod.yaml").rename("moved.yaml")
    result = cli("apply", "plan.json")
    assert result.exit_code == 64
    assert "prod.yaml" in result.stderr
    assert "--spec" in result.stderr
    assert cli("apply", "plan.json", "--spec", "moved.yaml").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("plan.json", "replication.yaml"),
        ("plan.json", "--target", "us-east-2"),
        ("plan.json", "--no-decrypt"),
        ("plan.json", "--adopt", "overwrite"),
        ("narrow.json", "--target", "us-east-2", "--target", "eu-west-1"),
        ("narrow.json", "--target", "us-east-2", "--verify-values"),
        ("replication.yaml", "--spec", "replication.yaml", "--yes"),
        ("cut.json",),
        ("report.json",),
    ],
)
def test_options_that_contradict_a_saved_plan_are_wrong_usage(
    aws: SimulatedAws, cli: Cli, words: tuple[str, ...]
) -> None:
    cli("plan", "--out", "plan.json")
    cli("plan", "--target", "us-east-2", "--out", "narrow.json")
    Path("cut.json").write_text(Path("plan.json").read_text()[:-100])
    cli("apply", "--yes", "--target", "us-east-2", "--out", "report.json")
    result = cli("apply", *words)
    assert result.exit_code == 64
    assert aws.names("eu-west-1") == []


@pytest.mark.parametrize(
    ("words", "created"),
    [
        (("--no-decrypt",), 6),
        (("--verify-values",), 6),
        (("--adopt", "overwrite"), 6),
        (("--name", "prod"), 6),
        (("--target", "us-east-2", "--target", "eu-west-1"), 6),
        (("--target", "us-east-2", "--only", "/app/url"), 1),
    ],
)
def test_the_options_of_a_saved_plan_can_be_repeated(
    aws: SimulatedAws, cli: Cli, words: tuple[str, ...], created: int
) -> None:
    cli("plan", *words, "--out", "plan.json")
    result = cli("apply", "plan.json", *reversed_targets(words), "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["summary"]["applied"] == created


def reversed_targets(words: tuple[str, ...]) -> tuple[str, ...]:
    """The same flags in another order: pairs of a flag and its value, last pair first."""
    pairs = [words[at : at + 2] for at in range(0, len(words), 2)]
    return tuple(word for pair in reversed(pairs) for word in pair)


def test_withheld_changes_are_five_and_the_rest_is_applied(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    Path("replication.yaml").write_text(
        text.replace("region: us-east-2", "region: us-east-2\n    frozen: true")
    )
    result = cli("apply", "--yes", "--format", "json")
    assert result.exit_code == 5
    assert aws.names("eu-west-1") == ALL
    assert json.loads(result.stdout)["summary"]["withheld"] == 3


def test_a_conflict_is_three(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/url", "theirs", region="us-east-2")
    assert cli("apply", "--yes").exit_code == 3


def test_an_account_that_is_not_that_of_the_spec_is_a_finding_of_the_report(
    aws: SimulatedAws, cli: Cli
) -> None:
    spec = Path("replication.yaml")
    wrong = 'source: { region: us-east-1, account: "999999999999" }'
    spec.write_text(spec.read_text().replace("source: { region: us-east-1 }", wrong))
    result = cli("apply", "--yes", "--format", "json")
    assert result.exit_code == 1
    assert [one["code"] for one in json.loads(result.stdout)["findings"]] == ["wrong-place"]
    assert aws.names("us-east-2") == []


def test_a_report_is_complete_even_when_nothing_could_be_planned(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text("version: 1\n")
    result = cli("apply", "--yes", "--format", "json", "--out", "report.json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document == report()
    assert document["exit_code"] == 1
    assert document["outcomes"] == []
    assert document["findings"][0]["code"]
    assert document["complete"] is False  # not one place was listed
    assert cli("show", "report.json").exit_code == 0


def test_a_report_has_no_extent_and_the_message_names_its_file(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "--out", "report.json").exit_code == 0
    refused = cli("show", "report.json", "--full")
    assert (refused.exit_code, refused.stdout) == (64, "")
    assert "--full is for a plan, and report.json holds a report" in refused.stderr
    read = cli("show", "-", "--full", stdin=Path("report.json").read_text())
    assert "standard input holds a report" in read.stderr


def test_a_run_that_breaks_off_while_writing_does_not_claim_that_nothing_was_done(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(reconcile, "carry_out", broken)
    result = cli("apply", "--yes", "--out", "report.json", "--debug")
    assert result.exit_code == 1
    assert {outcome["outcome"] for outcome in report()["outcomes"]} == {"failed"}
    assert "ValueError" in result.stderr
    assert "    x failed create   /app/key     eu-west-1, us-east-2\n" in result.stdout
    assert SECRET not in result.output
    assert SECRET not in Path("report.json").read_text()


def test_a_signal_while_writing_ends_in_order_with_130(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.world.before("PutParameter", lambda: os.kill(os.getpid(), signal.SIGTERM))
    result = cli("apply", "--yes", "--out", "report.json", "--parallelism", "1")
    assert result.exit_code == 130
    document = report()
    assert document["interrupted"]
    assert sum(document["summary"].values()) == 6
    written = len(aws.names("us-east-2")) + len(aws.names("eu-west-1"))
    assert document["summary"]["applied"] == written
    assert cli("apply", "--yes").exit_code == 0
    assert aws.names("us-east-2") == aws.names("eu-west-1") == ALL


def test_a_signal_while_planning_ends_with_130_and_nothing_written(aws: SimulatedAws, cli: Cli) -> None:
    aws.world.before("DescribeParameters", lambda: os.kill(os.getpid(), signal.SIGINT))
    result = cli("apply", "--yes", "--out", "report.json")
    assert result.exit_code == 130
    assert "Interrupted." in result.stderr
    assert "Traceback" not in result.output
    assert report()["exit_code"] == 130
    assert aws.names("us-east-2") == []


def test_a_report_that_cannot_be_written_is_found_before_anything_is(aws: SimulatedAws, cli: Cli) -> None:
    result = cli("apply", "--yes", "--out", "no/such/folder/report.json")
    assert result.exit_code == 64
    assert aws.names("us-east-2") == []
