"""The command `undo`: its report, its plan in every format, its approvals and its exit codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.cli import terminal
from ssm_reconcile.errors import Trouble
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import ACCOUNT, SECRET, SPEC, Cli, save

LATER = "later battery staple"
HOLD = SPEC.replace(
    'parameters: { include: ["/app/**"] }',
    'parameters: { include: ["/app/**"], hold: [{ match: "/app/**" }] }',
)
SCHEMAS = Path(__file__).parents[3] / "schema"


@pytest.fixture
def applied(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Replicas in two targets of which an apply has updated two and created one, and `report.json`."""
    assert cli("apply", "--yes").exit_code == 0
    aws.put("/app/url", "https://example.net")
    aws.put("/app/key", LATER, "SecureString")
    aws.put("/app/new", "n")
    aws.pass_time()
    assert cli("apply", "--yes", "--max-change-percent", "100", "--out", "report.json").exit_code == 0
    aws.pass_time()
    Path("replication.yaml").write_text(HOLD)
    return aws


def values(aws: SimulatedAws, region: str = "us-east-2") -> dict[str, str | None]:
    place = aws.place(region)
    return {name: aws.world.value(place, name) for name in aws.names(region)}


FORMER = {"/app/url": "https://example.org", "/app/hosts": "a,b", "/app/key": SECRET}
ALL = ("--max-deletes", "9", "--max-change-percent", "100")


def test_yes_takes_the_apply_back_and_saves_a_report(applied: SimulatedAws, cli: Cli) -> None:
    result = cli("undo", "report.json", "--yes", "--out", "undone.json", *ALL)
    assert result.exit_code == 0, result.output
    assert values(applied) == values(applied, "eu-west-1") == FORMER
    report = json.loads(Path("undone.json").read_text())
    assert report["summary"]["applied"] == 6
    assert {one["row"] for one in report["outcomes"]} == {"update", "undone"}
    jsonschema.validate(report, json.loads((SCHEMAS / "report.schema.json").read_text()))
    returned = [one["restores"]["version"] for one in report["outcomes"] if "restores" in one]
    assert returned == [1] * 4


def test_the_plan_is_shown_with_its_id_which_then_approves_it(applied: SimulatedAws, cli: Cli) -> None:
    shown = cli("undo", "report.json", "--plan-only", "--out", "undo.json", *ALL)
    assert shown.exit_code == 0, shown.output
    plan = json.loads(Path("undo.json").read_text())
    jsonschema.validate(plan, json.loads((SCHEMAS / "plan.schema.json").read_text()))
    assert plan["undoes"] == json.loads(Path("report.json").read_text())["plan_id"]
    (printed,) = re.findall(r"ssm-reconcile (undo .*--expect-plan \w+)", shown.stdout)
    assert plan["plan_id"].startswith(printed.rpartition(" ")[2])
    assert cli(*printed.split()).exit_code == 0
    assert values(applied) == FORMER


def test_a_plan_is_applied_as_of_its_own_time(applied: SimulatedAws, cli: Cli) -> None:
    shown = cli("undo", "report.json", "--plan-only", "--format", "json", *ALL)
    plan = json.loads(shown.stdout)
    applied.pass_time()
    words = ("--expect-plan", plan["plan_id"], "--as-of", plan["as_of"])
    assert cli("undo", "report.json", *words, *ALL).exit_code == 0
    assert cli("undo", "report.json", "--yes", "--as-of", plan["as_of"]).exit_code == 64


def test_a_lift_that_ends_after_the_plan_does_not_change_it(applied: SimulatedAws, cli: Cli) -> None:
    words = ("undo", "report.json", "--target", "us-east-2", "--max-deletes", "0", *ALL[2:])

    def planned() -> dict[str, Any]:
        return dict(json.loads(cli(*words, "--plan-only", "--format", "json").stdout))

    (found,) = [one["remedy"] for one in planned()["findings"] if one["code"] == "max-deletes"]
    entry = {key: found[key] for key in ("guard", "target", "count", "changes")}
    tomorrow = applied.clock.now().date() + timedelta(days=1)
    entry |= {"until": tomorrow.isoformat(), "reason": "gone"}
    Path("replication.yaml").write_text(f"{HOLD}lifts: {json.dumps([entry])}\n")
    plan = planned()
    applied.pass_time(days=4)
    assert planned()["plan_id"] != plan["plan_id"]
    assert cli(*words, "--expect-plan", plan["plan_id"], "--as-of", plan["as_of"]).exit_code == 0
    assert values(applied) == FORMER


@pytest.mark.parametrize(("mode", "state"), [("--plan-only", "pending"), ("--yes", "in_sync")])
def test_metrics_count_what_an_undo_will_do_or_has_done(
    applied: SimulatedAws, cli: Cli, mode: str, state: str
) -> None:
    assert cli("undo", "report.json", mode, "--metrics", "now.prom", "--only", "/app/key").exit_code == 0
    assert f'place="{ACCOUNT}/us-east-2",state="{state}"}} 1\n' in Path("now.prom").read_text()


def test_a_plan_is_either_shown_or_applied_by_its_id(applied: SimulatedAws, cli: Cli) -> None:
    before = applied.world.state()
    result = cli("undo", "report.json", "--plan-only", "--expect-plan", "0" * 12)
    assert (result.exit_code, result.stdout) == (64, "")
    assert "give one of them" in result.stderr
    assert applied.world.state() == before


@pytest.mark.parametrize(
    ("form", "is_noted"), [("text", True), ("html", True), ("markdown", False), ("json", False)]
)
def test_a_command_that_reads_standard_input_again_is_noted(
    applied: SimulatedAws, cli: Cli, form: str, *, is_noted: bool
) -> None:
    words = ("undo", "report.json", "--spec", "-", "--plan-only", "--format", form, *ALL)
    result = cli(*words, stdin=HOLD)
    assert ("ssm-reconcile undo report.json --spec - " in result.stdout) is is_noted
    assert ("read the spec from standard input again" in result.stderr) is is_noted
    assert "standard input" not in cli(*words, "-q", stdin=HOLD).stderr


def test_another_plan_is_refused(applied: SimulatedAws, cli: Cli) -> None:
    before = applied.world.state()
    result = cli("undo", "report.json", "--expect-plan", "0" * 12)
    assert result.exit_code == 4
    assert "Returns to an older secret" in result.stderr
    assert applied.world.state() == before


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_each_secret_that_goes_back_is_under_danger_in_every_format(
    applied: SimulatedAws, cli: Cli, form: str
) -> None:
    shown = cli("undo", "report.json", "--plan-only", "--format", form, "--out", "undo.json", *ALL).stdout
    assert shown.lower().count("returns to an older secret") >= 1
    again = cli("show", "undo.json", "--format", form)
    assert again.exit_code == 0
    assert "returns to an older secret" in again.stdout.lower()
    if form != "json":
        assert "Takes back the apply of the plan" in shown
    for text in (shown, again.stdout):
        assert SECRET not in text
        assert LATER not in text


def test_the_comment_counts_the_secrets_that_go_back_as_dangerous(applied: SimulatedAws, cli: Cli) -> None:
    shown = cli("undo", "report.json", "--plan-only", "--format", "markdown", *ALL).stdout
    assert "on merge" not in shown
    caution = shown[shown.index("[!CAUTION]") :]
    assert caution.index("**Delete: 2**") < caution.index("**Returns to an older secret: 2**")
    done = cli("undo", "report.json", "--yes", "--format", "markdown", *ALL).stdout
    assert "older secret /app/key" in done


def test_without_a_hold_it_withholds_and_says_why(applied: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text(SPEC)
    before = applied.world.state()
    assert cli("undo", "report.json", "--plan-only", *ALL).exit_code == 5
    result = cli("undo", "report.json", "--yes", *ALL)
    assert result.exit_code == 5
    assert "the next run would undo the undo" in result.output
    assert "--without-hold" in result.output
    assert applied.world.state() == before
    assert cli("undo", "report.json", "--yes", "--without-hold", *ALL).exit_code == 0
    assert values(applied) == FORMER


def test_a_plan_after_the_undo_holds_what_was_taken_back(applied: SimulatedAws, cli: Cli) -> None:
    assert cli("undo", "report.json", "--yes", *ALL).exit_code == 0
    summary = json.loads(cli("plan", "--format", "json").stdout)["summary"]
    assert {word: count for word, count in summary.items() if count} == {"held": 8}
    Path("replication.yaml").write_text(SPEC)
    summary = json.loads(cli("plan", "--format", "json").stdout)["summary"]
    assert {word: count for word, count in summary.items() if count} == {
        "create": 2, "update": 4, "in_sync": 2,
    }  # fmt: skip


def test_one_target_and_one_name_are_taken_back_alone(applied: SimulatedAws, cli: Cli) -> None:
    words = ("--target", "eu-west-1", "--only", "/app/url")
    result = cli("undo", "report.json", "--yes", *words)
    assert result.exit_code == 0, result.output
    assert values(applied, "eu-west-1")["/app/url"] == "https://example.org"
    assert values(applied)["/app/url"] == "https://example.net"
    assert cli("undo", "report.json", "--yes", "--only", "/app/nothing").exit_code == 64


def test_exposure_is_allowed_for_named_parameters_only(applied: SimulatedAws, cli: Cli) -> None:
    before = applied.world.state()
    result = cli("undo", "report.json", "--yes", "--allow-exposure", *ALL)
    assert result.exit_code == 64
    assert "name them with --only GLOB" in result.stderr
    assert applied.world.state() == before


def test_without_a_terminal_an_approval_is_needed(applied: SimulatedAws, cli: Cli) -> None:
    result = cli("undo", "report.json")
    assert result.exit_code == 64
    assert "--plan-only" in result.stderr


@pytest.mark.parametrize(("answer", "is_done"), [("y\n", True), ("n\n", False), ("", False)])
def test_on_a_terminal_the_plan_is_shown_and_only_yes_applies_it(
    applied: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: str, *, is_done: bool
) -> None:
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    before = applied.world.state()
    result = cli("undo", "report.json", *ALL, stdin=answer)
    assert result.exit_code == 0, result.output
    question = result.stderr.index("Apply these 6 changes? [y/N] ")
    assert "Returns to an older secret: 2" in result.stderr[:question]
    assert ("Nothing was changed." in result.stderr) is not is_done
    assert (values(applied) == FORMER) is is_done
    assert (applied.world.state() == before) is not is_done


def test_a_plan_of_changes_that_are_taken_back_already_ends_0_as_the_undo_does(
    applied: SimulatedAws, cli: Cli
) -> None:
    words = ("undo", "report.json", "--only", "/app/new", *ALL)
    assert cli(*words, "--yes").exit_code == 0
    shown = cli(*words, "--plan-only", "--out", "undo.json")
    assert [one["row"] for one in json.loads(Path("undo.json").read_text())["others"]] == ["in_sync"] * 2
    assert shown.exit_code == cli(*words, "--yes").exit_code == 0


def test_a_plan_with_a_parameter_that_was_changed_since_ends_3_as_the_undo_does(
    applied: SimulatedAws, cli: Cli
) -> None:
    applied.put("/app/url", "theirs", region="us-east-2")
    assert cli("undo", "report.json", "--plan-only", *ALL).exit_code == 3
    assert cli("undo", "report.json", "--yes", *ALL).exit_code == 3


def test_a_plan_of_a_target_that_cannot_be_listed_ends_3(applied: SimulatedAws, cli: Cli) -> None:
    applied.world.faults = at_call("DescribeParameters", refused(Trouble.DENIED))
    result = cli("undo", "report.json", "--plan-only", *ALL)
    assert result.exit_code == 3
    assert "DescribeParameters" in result.output


def test_a_target_that_the_spec_lacks_is_refused_unless_the_run_leaves_it_out(
    applied: SimulatedAws, cli: Cli
) -> None:
    Path("replication.yaml").write_text(HOLD.replace("  - region: eu-west-1\n", ""))
    before = applied.world.state()
    result = cli("undo", "report.json", "--yes", *ALL)
    assert result.exit_code == 1
    assert "prod has no target eu-west-1" in " ".join(result.stderr.split())
    assert applied.world.state() == before
    assert cli("undo", "report.json", "--yes", "--target", "us-east-2", *ALL).exit_code == 0
    assert values(applied) == FORMER


def test_a_plan_of_an_undo_is_not_applied_by_apply(applied: SimulatedAws, cli: Cli) -> None:
    cli("undo", "report.json", "--plan-only", "--out", "undo.json")
    result = cli("apply", "undo.json", "--yes")
    assert result.exit_code == 64
    assert "ssm-reconcile undo REPORT" in result.stderr


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "code", "message"),
    [
        (lambda report: report.update(format_version="1.2"), 1, "format 1.3 or later"),
        (lambda report: report["replications"][0].update(spec_id="0" * 12), 1, "prod has another `id`"),
        (
            lambda report: report["replications"][0].update(source="999999999999/us-east-1"),
            1,
            "the source of prod is 999999999999/us-east-1 there and 123456789012/us-east-1 in the spec",
        ),
        (
            lambda report: report["targets"][0].update(place="999999999999/us-east-2"),
            1,
            "the target us-east-2 of prod is 999999999999/us-east-2 there",
        ),
        (lambda report: report["outcomes"].append(report["outcomes"][0]), 64, "do not fit"),
        (
            lambda report: (
                report["outcomes"].append(report["outcomes"][0]),
                report["summary"].update(applied=report["summary"]["applied"] + 1),
            ),
            1,
            "twice",
        ),
        (
            lambda report: report["outcomes"][0]["after"].update(last_modified="now"),
            1,
            "time of another form",
        ),
        (lambda report: report["outcomes"][0]["after"].update(version="2"), 64, "outcomes[0].after"),
        (lambda report: report["outcomes"][0].update(tags={"before": {"a": 1}}), 64, "outcomes[0].tags"),
        (lambda report: report.pop("outcomes"), 64, "not a saved report"),
    ],
)
def test_an_edited_foreign_or_older_report_is_refused_and_nothing_is_written(
    applied: SimulatedAws, cli: Cli, edit: Edit, code: int, message: str
) -> None:
    report = json.loads(Path("report.json").read_text())
    edit(report)
    before = applied.world.state()
    applied.world.traffic.forget()
    result = cli("undo", save(report, "edited.json"), "--yes", "--without-hold", *ALL)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())
    assert applied.world.state() == before
    assert {call.operation for call in applied.world.calls} <= {"GetCallerIdentity"}


def test_the_report_of_another_spec_is_refused(applied: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").write_text(HOLD.replace("name: prod", "name: other"))
    result = cli("undo", "report.json", "--yes")
    assert result.exit_code == 1
    assert "it is about prod, and the spec about other" in result.stderr


def test_a_report_without_writes_has_nothing_to_undo(aws: SimulatedAws, cli: Cli) -> None:
    aws.stop.set()
    assert cli("apply", "--yes", "--out", "first.json").exit_code == 0
    assert cli("apply", "--yes", "--out", "report.json").exit_code == 0
    result = cli("undo", "report.json", "--yes")
    assert result.exit_code == 0
    assert "Nothing to do" in result.output
