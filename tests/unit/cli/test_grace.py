"""`delete.after` on the command line: exit codes, outputs, and plans that are saved before a mark is due."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.errors import Trouble
from ssm_reconcile.record import EXPIRES, instant, mark_of
from tests.fake_aws.traffic import refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli
from tests.unit.cli.test_apply import at_a_terminal

GONE = "/app/url"


@pytest.fixture
def marked(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """A replica in us-east-2 whose source is gone, with a mark that is due in two days."""
    spec = Path("replication.yaml")
    text = spec.read_text().replace("  - region: eu-west-1\n", "")
    spec.write_text(text.replace("delete: owned", "delete: { mode: owned, after: 2d }"))
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.pass_time()
    aws.delete(GONE)
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.pass_time()
    return aws


def document(cli: Cli, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli(*words, "-q", "--format", "json").stdout)
    return found


def expires(aws: SimulatedAws) -> str:
    found = mark_of(aws.world.tags(aws.there, GONE) or {}, aws.there.arn(GONE))
    assert found is not None
    return instant(found.expires)


@pytest.mark.parametrize("flag", ["--detailed-exitcode", "--fail-on-drift"])
def test_a_mark_that_is_not_due_counts_neither_as_a_change_nor_as_drift(
    marked: SimulatedAws, cli: Cli, flag: str
) -> None:
    result = cli("plan", flag)
    assert result.exit_code == 0
    assert "Nothing to do: 2 in sync, 1 expiring." in result.stdout
    marked.pass_time(days=3)
    assert cli("plan", flag).exit_code == (2 if flag == "--detailed-exitcode" else 3)


@pytest.mark.parametrize(("flag", "code"), [("--detailed-exitcode", 2), ("--fail-on-drift", 3)])
def test_a_new_mark_is_a_change(marked: SimulatedAws, cli: Cli, flag: str, code: int) -> None:
    marked.delete("/app/hosts")
    marked.pass_time()
    assert cli("plan", flag, "--max-deletes", "2").exit_code == code


def test_documents_have_the_instant(marked: SimulatedAws, cli: Cli) -> None:
    plan = document(cli, "plan")
    (other,) = plan["others"]
    stamp = expires(marked).replace("Z", ".000Z")
    assert (other["row"], other["counted"], other["expires"]) == ("expiring", "expiring", stamp)
    assert plan["summary"]["expiring"] == 1
    marked.pass_time(days=3)
    (change,) = document(cli, "plan")["changes"]
    assert (change["action"], change["expires"]) == ("delete", stamp)


def test_a_saved_plan_has_the_period_of_a_mark_and_the_instant_of_a_delete(
    marked: SimulatedAws, cli: Cli
) -> None:
    stamp = expires(marked)
    marked.pass_time(days=3)
    marked.delete("/app/hosts")
    marked.pass_time()
    assert cli("plan", "--out", "plan.json", "--max-deletes", "2", "-q").exit_code == 0
    effects = {one["name"]: one["effect"] for one in json.loads(Path("plan.json").read_text())["changes"]}
    assert effects[GONE]["expires"] == stamp
    assert effects["/app/hosts"]["after"] == 2 * 24 * 3600
    assert instant(marked.clock.now())[:13] not in json.dumps(effects)


def test_status_lists_the_state_with_the_instant(marked: SimulatedAws, cli: Cli) -> None:
    (found,) = document(cli, "status", "--state", "expiring")["replicas"]
    assert found["name"] == GONE
    at = expires(marked)[:16].replace("T", " ")
    assert found["reasons"] == [f"its source is gone: the first whole run after {at} UTC deletes it"]
    assert "1 expiring" in cli("status").stdout.replace("expiring 1", "1 expiring")
    marked.pass_time(days=3)
    (due,) = document(cli, "status", "--state", "delete")["replicas"]
    assert due["reasons"][0] == "its source is gone"
    assert due["reasons"][1].startswith("its mark ended at ")


def test_explain_shows_the_mark_and_the_ways_to_keep_the_replica(marked: SimulatedAws, cli: Cli) -> None:
    text = " ".join(cli("explain", GONE).stdout.split())
    assert "[expiring] its source is gone: the first whole run after" in text
    assert f"mark expires at {expires(marked)[:16].replace('T', ' ')} UTC" in text
    assert f"create {GONE} in 123456789012/us-east-1 again" in text
    marked.world.tag(marked.there, GONE, {EXPIRES: "whenever"})
    text = " ".join(cli("explain", GONE).stdout.split())
    assert "mark it does not count: it is of another parameter or source version, or cannot be read" in text
    assert "retag: it is marked, to be deleted 2 days later" in text


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("", "", "apply removes it"),
        ("- region: us-east-2", "- { region: us-east-2, frozen: true }", "it stays: the target is frozen"),
        (
            '["/app/**"]',
            '["/app/**"], hold: [{ match: /app/url, reason: moves }]',
            "it stays: a hold stops every change",
        ),
    ],
)
def test_explain_shows_whether_an_outdated_mark_is_removed_and_no_equal_tags(
    marked: SimulatedAws, cli: Cli, old: str, new: str, why: str
) -> None:
    marked.put(GONE, "back")
    marked.pass_time()
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace(old, new) if old else spec.read_text())
    text = " ".join(cli("explain", GONE).stdout.split())
    assert f"UTC; its source exists again: {why}" in text
    assert "none -> none" not in text


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_comments_and_pages_list_it(marked: SimulatedAws, cli: Cli, form: str) -> None:
    page = cli("plan", "--format", form).stdout
    assert GONE in page
    assert "expiring" in page.lower()
    assert "deletes it" in page
    marked.delete("/app/hosts")
    marked.pass_time()
    assert "mark" in cli("plan", "--format", form, "--max-deletes", "2").stdout.lower()


def test_metrics_count_it(marked: SimulatedAws, cli: Cli) -> None:
    assert cli("plan", "-q", "--metrics", "metrics.prom").exit_code == 0
    lines = Path("metrics.prom").read_text().splitlines()
    assert [line for line in lines if 'state="expiring"' in line and line.endswith(" 1")]
    assert [line for line in lines if 'status="in_sync"' in line and line.endswith(" 1")]


class TestAsOf:
    """A saved plan is judged at its own instant: what expires later waits for the next run."""

    def test_a_mark_that_expires_after_the_plan_deletes_nothing(self, marked: SimulatedAws, cli: Cli) -> None:
        marked.put("/app/new", "v")
        marked.pass_time()
        assert cli("plan", "--out", "plan.json", "-q").exit_code == 0
        marked.pass_time(days=3)
        result = cli("apply", "plan.json")
        assert result.exit_code == 0, result.output
        assert GONE in marked.names("us-east-2")
        assert "/app/new" in marked.names("us-east-2")
        marked.pass_time()
        assert cli("apply", "--yes", "-q").exit_code == 0
        assert GONE not in marked.names("us-east-2")

    def test_a_delete_of_a_saved_plan_is_made_days_later(self, marked: SimulatedAws, cli: Cli) -> None:
        marked.pass_time(days=3)
        assert cli("plan", "--out", "plan.json", "-q").exit_code == 0
        marked.pass_time(days=3)
        assert cli("apply", "plan.json").exit_code == 0
        assert GONE not in marked.names("us-east-2")

    def test_a_mark_of_a_saved_plan_has_its_whole_time(self, marked: SimulatedAws, cli: Cli) -> None:
        marked.delete("/app/hosts")
        marked.pass_time()
        assert cli("plan", "--out", "plan.json", "--max-deletes", "2", "-q").exit_code == 0
        marked.pass_time(days=1)
        assert cli("apply", "plan.json", "--max-deletes", "2").exit_code == 0
        found = mark_of(marked.world.tags(marked.there, "/app/hosts") or {}, marked.there.arn("/app/hosts"))
        assert found is not None
        assert found.expires >= marked.clock.now() + timedelta(days=2) - timedelta(minutes=1)

    def test_an_expected_plan_is_the_same_as_of_its_instant_only(
        self, marked: SimulatedAws, cli: Cli
    ) -> None:
        marked.put("/app/new", "v")
        marked.pass_time()
        plan = document(cli, "plan")
        marked.pass_time(days=3)
        refused = cli("apply", "--expect-plan", plan["plan_id"], "-q")
        assert refused.exit_code == 4
        assert cli("apply", "--expect-plan", plan["plan_id"], "--as-of", plan["as_of"], "-q").exit_code == 0
        assert GONE in marked.names("us-east-2")


@pytest.fixture
def withheld(marked: SimulatedAws) -> SimulatedAws:
    """The source is back, the mark is due, and another client has changed the replica."""
    marked.put(GONE, "by hand", region="us-east-2")
    marked.pass_time(days=3)
    marked.put(GONE, "back")
    marked.pass_time()
    return marked


CLEARED = "its source exists again: its mark is removed, although the change is withheld"


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_plan_shows_that_the_mark_of_a_withheld_change_is_removed(
    withheld: SimulatedAws, cli: Cli, form: str
) -> None:
    assert document(cli, "plan")["changes"][0]["clears_mark"] is True
    shown = cli("plan", "--format", form).stdout
    assert CLEARED in " ".join(shown.split())
    assert ("Apply exactly this" in shown) == (form != "markdown")
    assert cli("apply", "--yes", "-q").exit_code == 5
    withheld.pass_time()
    assert "clears_mark" not in document(cli, "plan")["changes"][0]
    shown = cli("plan", "--format", form).stdout
    assert CLEARED not in " ".join(shown.split())
    assert "Apply exactly this" not in shown


@pytest.mark.usefixtures("withheld")
def test_explain_reports_that_the_mark_of_a_withheld_change_is_removed(cli: Cli) -> None:
    shown = cli("explain", GONE).stdout
    assert "a plan would do: update, withheld by a guard, its mark is removed" in shown


def test_an_apply_on_a_terminal_asks_before_it_removes_a_mark(
    withheld: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch)
    result = cli("apply", stdin="n\n")
    assert "Apply this 1 change? [y/N]" in result.stderr
    assert EXPIRES in (withheld.world.tags(withheld.there, GONE) or {})


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_report_shows_that_the_mark_of_a_withheld_change_was_removed(
    withheld: SimulatedAws, cli: Cli, form: str
) -> None:
    assert cli("apply", "--yes", "--out", "report.json").exit_code == 5
    (one,) = json.loads(Path("report.json").read_text())["outcomes"]
    assert (one["outcome"], one["withheld_by"]) == ("withheld", ["changed-outside"])
    assert one["note"] == "its mark was removed"
    shown = cli("show", "report.json", "--format", form).stdout
    assert "its mark was removed" in " ".join(shown.split())
    assert "changed-outside" in shown or "changed outside" in " ".join(shown.split())


@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_a_report_shows_why_the_mark_of_a_withheld_change_was_not_removed(
    withheld: SimulatedAws, cli: Cli, form: str
) -> None:
    withheld.world.faults = lambda called, *_: (
        refused(Trouble.DENIED) if called in ("AddTagsToResource", "RemoveTagsFromResource") else None
    )
    assert cli("apply", "--yes", "--out", "report.json").exit_code == 5
    shown = cli("show", "report.json", "--format", form).stdout
    assert "RemoveTagsFromResource" in shown
    assert "its mark may still count if its source is deleted again" in " ".join(shown.split())
    assert "withheld by changed-outside" in " ".join(shown.split())
    assert "failed by" not in shown
