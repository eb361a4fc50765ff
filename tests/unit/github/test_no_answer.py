"""No answer of GitHub to one request: each command ends 1 with "run it again", and saves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from ssm_reconcile.renderers.escaping import dumps
from tests.doubles.clock import FakeClock
from tests.github.content import Hub
from tests.unit.cli.conftest import Cli
from tests.unit.github.conftest import MERGE, RUN
from tests.unit.github.test_reviewed_push import show
from tests.unit.publishers.conftest import NUMBER
from tests.unit.renderers import plans

COMMANDS = {
    "approval": ("--environment", "ssm-apply-changed", "--plan", "plan.json", "--out", "out"),
    "current": (),
    "refused": ("--out", "out"),
    "reviewed": ("--out", "out"),
}
REQUESTS = {
    "approval": (
        "/actions/runs/500$", "/environments/ssm-apply-changed$", "/runs/500/approvals$", "/compare/",
        "/commits/.*/pulls$", "/actions/runs$", "/commits/3f9c2ab0+$", "/workflows/ssm-reconcile.yml/runs$",
        "/runs/490/artifacts$", "/runs/310/artifacts$",
    ),
    "current": ("/compare/",),
    "refused": (
        "/actions/runs/500$", "params$", "/actions/artifacts$", "/actions/runs/300$", "/compare/",
        "/artifacts/[0-9]+/zip$", "^/archive/", "/actions/runs/310$",
    ),
    "reviewed": (
        "acme/params$", "/actions/runs/500$", "/workflows/ssm-reconcile.yml/runs$", "/runs/490/artifacts$",
        "/runs/310/artifacts$", "/compare/",
        "/commits/.*/pulls$", "/pulls/7$", "/pulls/7/files$", "/issues/7/comments$", "/graphql$",
        "/actions/runs/400$", "/issues/7/timeline$", "params/pulls$", "/runs/400/artifacts$",
        "/artifacts/[0-9]+/zip$", "^/archive/", "/pulls/7/reviews$", "/collaborators/bob/permission$",
    ),
}  # fmt: skip
"""The requests of each command; `test_every_request_is_listed` holds them."""


@pytest.fixture
def everything(merged: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A merge that each command accepts, in a state in which it sends all of its requests."""
    for module in ("github", "publish"):
        monkeypatch.setattr(f"ssm_reconcile.cli.{module}.SystemClock", FakeClock)
    show(merged)
    merged.review(NUMBER, "bob", ago=-5)
    merged.environment("ssm-apply-changed").reviewers.append("bob")
    merged.judge(RUN, "ssm-apply-changed", "bob", "approved")
    merged.add_run("490", ".github/workflows/ssm-reconcile.yml", "push", MERGE)
    document = plans.document_of(plans.twelve())
    Path("plan.json").write_text(dumps(document))
    for run in ("300", "310"):
        merged.add_run(run, ".github/workflows/ssm-reconcile.yml", "push", MERGE)
    merged.keep("300", "ssm-plan-changed", {"new-plan.json": dumps(document).encode()})
    merged.backdate("300", days=1)
    report = plans.report_document_of(plans.reported(plans.plan_of([plans.create("eu-west-1", "/a")])))
    merged.keep("310", "ssm-report", {"report.json": dumps(report).encode()})
    return merged


@pytest.fixture
def call(everything: Hub, cli: Cli) -> Callable[[str], Result]:
    """Return a function that calls a command."""
    return lambda name: cli("github", name, *COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_request_is_listed(everything: Hub, call: Callable[[str], Result], name: str) -> None:
    everything.requests.clear()
    result = call(name)
    assert result.exit_code == 0, result.stderr
    sent = {request.path for request in everything.requests}
    unlisted = {path for path in sent if not any(re.search(one, path) for one in REQUESTS[name])}
    unused = {one for one in REQUESTS[name] if not any(re.search(one, path) for path in sent)}
    assert (unlisted, unused) == (set(), set())


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, paths in REQUESTS.items() for path in paths]
)
@pytest.mark.parametrize(("status", "wait"), [(502, "1"), (429, "300")])
def test_a_request_without_an_answer_ends_1_and_the_command_is_to_be_run_again(
    everything: Hub, call: Callable[[str], Result], name: str, path: str, status: int, wait: str
) -> None:
    method = "POST" if path == "/graphql$" else "GET"
    everything.fail(method, path, status, times=9, headers={"Retry-After": wait})
    result = call(name)
    assert result.exit_code == 1, result.stderr
    assert "What to do: GitHub did not answer: run it again" in result.stderr
    assert "no reviewed plan" not in result.stderr
    assert not Path("out").exists()
    everything.faults.clear()
    assert call(name).exit_code == 0, "the same command succeeds later"
