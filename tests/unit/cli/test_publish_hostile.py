"""Nothing that `publish` prints can be a command for a runner, whoever wrote the names, markers and files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from ssm_reconcile.github.marked import RESULT_MARK
from ssm_reconcile.renderers.escaping import dumps, inert
from tests.github.content import Hub, stamp
from tests.unit.cli.conftest import HEAD, NUMBER, SPEC, Cli, save
from tests.unit.publishers.conftest import marker
from tests.unit.renderers import plans

HOSTILE = (
    "x\n::error::forged\r\n \t::add-mask::forged\r##[add-mask]forged"
    "\x85::stop-commands::forged ##[error]forged"
)
RUN = "19822345678"
OURS = re.compile(r"::(error|warning|notice)( [a-z]+=[^:,]*(,[a-z]+=[^:,]*)*)?::(?!forged)")


def check(result: Result) -> list[str]:
    """Check every line of both streams, and return the lines."""
    lines = re.split(r"[\r\n]", result.stdout + "\n" + result.stderr)
    for line in lines:
        if line.lstrip().startswith("::"):
            assert OURS.match(line), line
        else:
            assert "##[" not in line, line
    return lines


def hostile_plan() -> Any:
    """Return a plan whose names and messages all contain commands."""
    document = plans.document_of(plans.twelve())
    (part,) = document["replications"]
    text = json.dumps(document).replace(json.dumps(part["name"]), json.dumps(HOSTILE))
    document = json.loads(text)
    for code, where in ((HOSTILE, HOSTILE), ("code", f"{HOSTILE}.yaml:3:1"), ("code", "::error::forged:3:1")):
        document["findings"].append(
            {"severity": "error", "code": code, "message": HOSTILE, "where": where, "replication": ""}
        )
    return document


def hostile_report() -> Any:
    document = plans.report_document_of(plans.reported(plans.twelve()))
    (part,) = document["replications"]
    document = json.loads(json.dumps(document).replace(json.dumps(part["name"]), json.dumps(HOSTILE)))
    finding = {"severity": "error", "code": "plan-refused", "message": HOSTILE, "where": HOSTILE}
    document["findings"].append({**finding, "replication": ""})
    return document


@pytest.fixture
def marked(hub: Hub) -> Hub:
    """A pull request whose comments have markers with commands in them."""
    hub.say(NUMBER, marker(scope=HOSTILE, run="1", plan=HOSTILE, state=HOSTILE, dangers=HOSTILE))
    hub.say(NUMBER, marker(scope=HOSTILE + "2", run=HOSTILE, danger=HOSTILE, head=HOSTILE))
    hub.say(NUMBER, marker(scope=HOSTILE, run="2").replace("ssm-reconcile:plan", RESULT_MARK))
    return hub


@pytest.mark.parametrize("mode", ["changes", "always", "never", "required"])
@pytest.mark.parametrize("faults", ["none", "comment", "locked", "minimize", "graphql"])
def test_a_hostile_plan_and_hostile_markers_print_no_command(
    marked: Hub, cli: Cli, mode: str, faults: str
) -> None:
    match faults:
        case "locked":
            marked.pulls[NUMBER]["locked"] = True
        case "graphql":
            body = json.dumps({"errors": [{"type": HOSTILE, "message": HOSTILE}]}).encode()
            marked.fail("POST", "/graphql$", 200, body=body, times=9)
        case _:
            marked.denied.add(faults)
    result = cli("publish", save(hostile_plan()), "--comment", mode, "--issue", "--save", "plan")
    lines = check(result)
    assert any(line.startswith("::error ") for line in lines), "annotations are commands"


def test_a_comment_on_a_hostile_replication_is_logged_on_one_line(marked: Hub, cli: Cli) -> None:
    lines = check(cli("publish", save(hostile_plan())))
    (posted, gone) = [line for line in lines if line.startswith("Comment on pull request 7 for x")]
    assert posted.endswith("posted again.")
    assert "forged" in gone


@pytest.mark.parametrize(
    "words",
    [
        ("report.json",),
        ("report.json", "--plan", "plan.json"),
        ("report.json", "--plan", HOSTILE),
        ("plan.json", "--refused", "report.json"),
        ("plan.json", "--refused", HOSTILE),
        ("plan.json", "--unreviewed", HOSTILE),
        ("--failed", HOSTILE),
        ("--failed", HOSTILE, "--plan", "plan.json"),
        ("report.json", "--name", HOSTILE, "--spec", HOSTILE),
        ("plan.json", "--issue"),
    ],
)
def test_a_hostile_result_prints_no_command(
    marked: Hub, cli: Cli, push: None, words: tuple[str, ...]
) -> None:
    save(hostile_report(), "report.json")
    save(hostile_plan())
    check(cli("publish", *words))


@pytest.mark.parametrize("content", [None, "{", HOSTILE, '{"format_version": "1.0"}', dumps({"a": HOSTILE})])
def test_a_file_with_a_hostile_name_prints_no_command(hub: Hub, cli: Cli, content: str | None) -> None:
    name = HOSTILE.replace("\x85", "")
    if content is not None:
        Path(name).write_text(content)
    result = cli("publish", name)
    assert result.exit_code == 1
    assert any(line.startswith("Error: x") for line in check(result))


def _wrong_option(_hub: Hub) -> tuple[str, ...]:
    return ("plan.json", f"--{HOSTILE}")


def _wrong_choice(_hub: Hub) -> tuple[str, ...]:
    return ("plan.json", "--comment", HOSTILE)


def _folder(_hub: Hub) -> tuple[str, ...]:
    Path("file").write_text("")
    return ("plan.json", "--save", f"file/{HOSTILE}")


def _reviewed(hub: Hub) -> tuple[str, ...]:
    hub.comments.clear()
    hub.say(NUMBER, marker(scope="prod", run=RUN, plan=HOSTILE, head=HEAD))
    hub.add_run(RUN, HOSTILE, "pull_request", HEAD)
    hub.keep(RUN, "ssm-plan", {HOSTILE: b"{}", "plan.json": HOSTILE.encode()})
    hub.pulls[NUMBER]["merged_at"] = stamp(-60)
    return ("--reviewed", HOSTILE, "--pull-request", str(NUMBER))


def _reviewed_head(hub: Hub) -> tuple[str, ...]:
    hub.comments.clear()
    hub.say(NUMBER, marker(scope="prod", run=RUN, head="\n::add"))
    return ("--reviewed", "reviewed.json", "--pull-request", str(NUMBER))


def _replan(hub: Hub) -> tuple[str, ...]:
    hub.pulls[NUMBER]["head"]["sha"] = HOSTILE
    return ("plan.json", "--replan", "--pull-request", str(NUMBER), "--head", HEAD)


def _replan_head(_hub: Hub) -> tuple[str, ...]:
    return ("plan.json", "--replan", "--pull-request", str(NUMBER), "--head", HOSTILE)


@pytest.mark.parametrize(
    "words_of",
    [_wrong_option, _wrong_choice, _folder, _reviewed, _reviewed_head, _replan, _replan_head],
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_hostile_option_or_answer_prints_no_command(
    marked: Hub,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    words_of: Callable[[Hub], tuple[str, ...]],
    debug: tuple[str, ...],
) -> None:
    if "replan" in words_of.__name__:
        Path("event.json").write_text("{}")
        monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    save(hostile_plan())
    check(cli("publish", *words_of(marked), *debug))


def test_a_hostile_file_name_on_the_branch_prints_no_command(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch, push: None
) -> None:
    monkeypatch.setenv("GITHUB_REF", "refs/heads/main")
    Path("replication.yaml").write_text(SPEC)
    hub.branches["main"].append("2" * 40)
    hub.files["2" * 40] = [HOSTILE]
    result = cli("publish", "--current", "--spec", ".")
    assert result.exit_code == 1
    assert any("forged" in line for line in check(result))


def test_variables_of_the_runner_print_no_command(
    hub: Hub, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORKFLOW", "RUN_NUMBER", "REF", "SHA", "RUN_ID"):
        monkeypatch.setenv(f"GITHUB_{name}", HOSTILE)
    check(cli("publish", save(hostile_plan())))
    for name in ("REPOSITORY", "API_URL", "SERVER_URL"):
        monkeypatch.setenv(f"GITHUB_{name}", HOSTILE)
        check(cli("publish", "plan.json"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("::error::x", "\\u003a:error::x"),
        ("a\n  ::error::x", "a\n  \\u003a:error::x"),
        ("a ##[error]x", "a ##\\u005berror]x"),
        ("a::b ## [c", "a::b ## [c"),
        (":", ":"),
    ],
)
def test_only_what_a_runner_obeys_is_escaped(text: str, expected: str) -> None:
    assert inert(text) == expected
