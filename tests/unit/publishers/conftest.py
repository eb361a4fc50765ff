"""A GitHub server on loopback with one pull request, and the variables of a workflow run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from ssm_reconcile.github.client import GitHub
from ssm_reconcile.github.marked import RESULT_MARK
from ssm_reconcile.github.workflow_run import WorkflowRun
from ssm_reconcile.plan import Plan
from ssm_reconcile.publishers.marked_body import PageResult, PullRequestComments
from ssm_reconcile.publishers.pages import Page, plan_pages
from ssm_reconcile.renderers.comment_context import COMMENT_MARK, CommentContext
from tests.doubles.clock import FakeClock
from tests.github.content import REPOSITORY, Hub
from tests.unit.renderers import plans

NUMBER = 7
HEAD = "3f9c2ab" + "0" * 33
SPEC = "replication.yaml"
TOKEN = "ghs-of-the-run"
Publish: TypeAlias = Callable[..., list[tuple[str, PageResult]]]


@pytest.fixture
def hub(empty_hub: Hub) -> Hub:
    empty_hub.pulls[NUMBER] = {
        "number": NUMBER,
        "head": {"sha": HEAD, "ref": "change"},
        "base": {"ref": "main"},
        "merged_at": None,
    }
    return empty_hub


@pytest.fixture
def event(hub: Hub) -> WorkflowRun:
    return WorkflowRun(
        repository=REPOSITORY,
        api_url=hub.api_url,
        graphql_url=hub.graphql_url,
        event_name="pull_request",
        payload={"pull_request": {"number": NUMBER, "head": {"sha": HEAD}}},
        run_id="19822345678",
        token=TOKEN,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def github(event: WorkflowRun, clock: FakeClock) -> GitHub:
    return GitHub(event, clock)


@pytest.fixture
def publish(github: GitHub) -> Publish:
    """Publishes a plan, or pages, on the pull request."""

    def run(
        what: Plan | list[Page],
        *,
        run: str = "1",
        head: str = HEAD,
        reviews: bool = True,
        always: bool = False,
    ) -> list[tuple[str, PageResult]]:
        pages = plan_pages(plans.document_of(what)) if isinstance(what, Plan) else what
        context = CommentContext(head, run, mark=COMMENT_MARK if reviews else RESULT_MARK)
        comments = PullRequestComments(github, SPEC, context, NUMBER, always)
        return comments.publish(pages, comments.find())

    return run


def marker(**facts: Any) -> str:
    """A first line as ours is."""
    known = {"v": 1, "scope": "prod", "plan": "sha256:1", "head": HEAD, "run": "1", "level": 0, "danger": 0}
    return f"<!-- ssm-reconcile:plan {json.dumps({**known, 'spec': SPEC, **facts})} -->\n"


def renamed(plan: Plan, name: str) -> Plan:
    """The same plan for a replication of another name."""
    (part,) = plan.replications
    changes = tuple(replace(change, replication=name) for change in part.changes)
    others = tuple(replace(other, replication=name) for other in part.others)
    return replace(plan, replications=(replace(part, name=name, changes=changes, others=others),))
