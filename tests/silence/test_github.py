"""Silence of what is read from GitHub: the token of a job and secrets of a plan are in no output and file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.workflow_run import read_workflow_run
from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import BOT, Hub
from tests.silence.listening import listening, text_of
from tests.silence.planted import Planted, leaks, token
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli
from tests.unit.github.conftest import BEFORE, RUN
from tests.unit.github.test_reviewed_push import show
from tests.unit.publishers.conftest import HEAD, NUMBER
from tests.unit.renderers import plans

TOKEN = Planted(token(50), f"ghs_{token(50)}{token(51)}")
SHAPED = Planted(token(52), f"postgres://app:{token(52)}@db.example.org/app")
SECURE = Planted(token(53), token(53))
COMMANDS = {
    "approval": ("--environment", "ssm-apply-changed", "--plan", "plan.json", "--out", "out"),
    "current": (),
    "refused": ("--out", "out"),
    "reviewed": ("--out", "out"),
}


@pytest.fixture
def ready(merged: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A merge that each command accepts; the token of the job is a planted secret."""
    monkeypatch.setattr("ssm_reconcile.cli.github.SystemClock", FakeClock)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN.value)
    merged.tokens = {TOKEN.value: BOT}
    show(merged)
    merged.environment("ssm-apply-changed").reviewers.append("bob")
    merged.judge(RUN, "ssm-apply-changed", "bob", "approved")
    merged.add_run("300", ".github/workflows/ssm-reconcile.yml", "push", merged.branches["main"][-1])
    document = dumps(plans.document_of(plans.twelve()))
    Path("plan.json").write_text(document)
    merged.keep("300", "ssm-plan-changed", {"new-plan.json": document.encode()})
    return merged


def saved() -> dict[str, str]:
    """Return every file of the current directory."""
    return {str(path): path.read_text() for path in Path().rglob("*") if path.is_file()}


def nothing(_hub: Hub) -> None:
    pass


def quote_in_an_error(hub: Hub) -> None:
    body = json.dumps({"message": f"Bad credentials: {TOKEN.value}"}).encode()
    hub.fail("GET", "", 403, times=9, headers={"X-Echo": TOKEN.value}, body=body)


def lose(hub: Hub) -> None:
    hub.fail("GET", "", 502, times=9, body=TOKEN.value.encode())


def send_no_json(hub: Hub) -> None:
    hub.fail("GET", "", 200, times=9, body=f"<html>{TOKEN.value}".encode())


def send_another_document(hub: Hub) -> None:
    """A document of another shape ends in an error that no one expected."""
    hub.fail("GET", "", 200, times=9, body=json.dumps([TOKEN.value]).encode())


def damage_artifacts(hub: Hub) -> None:
    for artifact in hub.artifacts:
        artifact.content = TOKEN.value.encode()


@pytest.mark.parametrize(
    "fault", [nothing, quote_in_an_error, lose, send_no_json, send_another_document, damage_artifacts]
)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_token_of_a_job_is_in_no_output_file_and_log(
    ready: Hub,
    cli: Cli,
    name: str,
    fault: Callable[[Hub], None],
) -> None:
    fault(ready)
    with listening() as ear:
        result = cli("github", name, *COMMANDS[name], "--debug")
    heard = {"stdout": result.stdout, "stderr": result.stderr, "log": "\n".join(ear.heard), **saved()}
    assert leaks(heard, [TOKEN]) == []
    assert ready.requests[0].token == TOKEN.value, "GitHub got the token"
    if fault is nothing:
        assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("status", [403, 404, 422, 429, 502])
def test_the_token_of_a_job_is_in_no_error_and_no_repr(ready: Hub, status: int) -> None:
    ready.fail("GET", "", status, times=9, headers={"Retry-After": "300"}, body=TOKEN.value.encode())
    variables = {
        "GITHUB_TOKEN": TOKEN.value, "GITHUB_REPOSITORY": "acme/params", "GITHUB_API_URL": ready.api_url,
    }  # fmt: skip
    run = read_workflow_run(variables)
    github = GitHub(run, FakeClock())
    with pytest.raises(ReconcileError) as caught:
        github.get(github.repository)
    texts = {"the error": text_of(caught.value), "the run": repr(run) + str(run), "the client": repr(github)}
    assert leaks(texts, [TOKEN]) == []


def test_a_secret_of_a_plan_is_masked_from_the_comment_to_the_saved_plan(
    ready: Hub,
    aws: SimulatedAws,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws.put("/app/database", SHAPED.value)
    aws.put("/app/key", SECURE.value, "SecureString")
    ready.comments.clear()
    ready.artifacts.clear()
    Path("plan").mkdir()
    after = dict(ready.pulls[NUMBER])
    ready.pulls[NUMBER] |= {"state": "open", "closed_at": None, "merged_at": None}
    pull = {"number": NUMBER, "head": {"sha": HEAD}, "base": {"sha": BEFORE}}
    Path("pull.json").write_text(json.dumps({"pull_request": pull}))
    with listening() as ear:
        said = [cli("plan", "--out", "plan/plan.json", "--no-progress")]
        with monkeypatch.context() as plan_run:
            plan_run.setenv("GITHUB_EVENT_NAME", "pull_request")
            plan_run.setenv("GITHUB_EVENT_PATH", "pull.json")
            plan_run.setenv("GITHUB_RUN_ID", "400")
            said.append(cli("publish", "plan/plan.json", "--save", "plan"))
        ready.pulls[NUMBER] = after
        ready.keep("400", "ssm-plan", {path.name: path.read_bytes() for path in Path("plan").iterdir()})
        said.append(cli("github", "reviewed", "--out", "reviewed", "--debug"))
    assert [one.exit_code for one in said] == [0, 0, 0], said[-1].stderr
    assert "/app/database" in Path("reviewed/7.json").read_text()
    assert "/app/database" in ready.comments[0].body
    heard = {"output": "".join(one.stdout + one.stderr for one in said), "log": "\n".join(ear.heard)}
    heard |= {"sent": repr([request.body for request in ready.requests])} | saved()
    assert leaks(heard, [SHAPED, SECURE, TOKEN]) == []
