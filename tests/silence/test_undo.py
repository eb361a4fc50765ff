"""An undo says nothing of a secret: neither of its present nor of its former value, wherever it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssm_reconcile.cli import root
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import RECORD
from ssm_reconcile.renderers.changes import TERMINAL_ONLY
from ssm_reconcile.spec import Run
from tests.fake_aws.traffic import Fault, at_call, killed, lost, refused
from tests.silence.listening import listening
from tests.simulated_aws import SimulatedAws

SPEC = """\
version: 1
name: prod
id: k3v9x2m7qa
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/p/**"] }
delete: owned
"""
SECRETS = ("F0RMERTOKENAAAAA", "LATERTOKENBBBBBB", "PATTERNTOKENCCCC", "HIDDENTOKENDDDDD", "WASPLAINTOKENEEE")
ALL = ("--without-hold", "--max-change-percent", "100", "--max-deletes", "99")
FAULTS: dict[str, Fault | None] = {
    "none": None,
    "denied": refused(Trouble.DENIED),
    "key": refused(Trouble.KEY),
    "lost": lost(done=True),
    "bug": killed(ValueError("boom"), done=False),
}


def applied() -> SimulatedAws:
    """An AWS on which an apply has updated a secret, a plain value that looks secret, and one made secret."""
    aws = SimulatedAws()
    former, later, pattern, hidden, plain = SECRETS
    aws.put("/p/key", former, SECURE, allowed_pattern=f"(?s).*|{pattern}")
    aws.put("/p/password", hidden)
    aws.put("/p/made", plain)
    aws.apply()
    aws.put("/p/key", later, SECURE, allowed_pattern="")
    aws.put("/p/password", "other")
    aws.put("/p/made", later, SECURE)
    aws.put("/p/new", later, SECURE)
    aws.pass_time()
    return aws


@pytest.mark.parametrize(
    "operation", ["GetParameterHistory", "GetParameters", "PutParameter", "AddTagsToResource"]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_output_of_an_undo_says_a_secret(
    operation: str, fault: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws = applied()
    aws.connect_command_line(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text(SPEC)
    texts: list[str] = []

    def run(*words: str) -> int:
        result = CliRunner().invoke(root, list(words), input="")
        texts.extend((result.stdout, result.stderr, repr(result.exception)))
        return result.exit_code

    with listening() as ear:
        assert run("apply", "--yes", "--max-change-percent", "100", "--out", "report.json") == 0
        aws.pass_time()
        struck = FAULTS[fault]
        aws.world.faults = None if struck is None else at_call(operation, struck)
        for form in ("text", "json", "markdown", "html"):
            run("undo", "report.json", "--plan-only", "--format", form, "--out", f"{form}.json", *ALL)
        run("--debug", "undo", "report.json", "--yes", "-v", "--out", "undone.json", *ALL)
        texts.extend(ear.heard)
    texts.extend(path.read_text() for path in tmp_path.glob("*.json"))
    if fault == "none":
        assert aws.value("/p/key") == SECRETS[0]
    found = [secret for secret in SECRETS for text in texts if secret in text]
    assert found == []


def test_nothing_of_a_value_is_in_the_plan_or_the_report() -> None:
    aws = applied()
    run = Run(without_hold=True, max_change_percent=100, max_deletes=99, allow_exposure=True, only=("/p/**",))
    report = aws.apply(run=run)
    plan = aws.plan_undo(report, run=run)
    done = aws.carry_out(plan, run=run)
    assert done.summary["applied"] == len(plan.changes) == 4
    kept = repr((plan, done))
    assert RECORD in kept
    assert [secret for secret in SECRETS if secret in kept] == []


@pytest.mark.parametrize(
    ("show", "is_public"),
    [([], False), (["/p/**"], False), (["/q/**"], False), (["/p/**", "/q/**"], True)],
    ids=["without", "source", "target", "both"],
)
def test_comments_and_pages_hide_the_sides_of_another_owner_unless_both_names_are_under_show(
    show: list[str], *, is_public: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a take-over, of its undo, and of the undo of that undo: /q/tags differs in tags, /q/value in all."""
    aws = SimulatedAws()
    aws.connect_command_line(monkeypatch)
    monkeypatch.chdir(tmp_path)
    renamed = "rewrite: [{ in: name, match: '/p/**', from: /p/, to: /q/ }]\nshow: " + json.dumps(show)
    spec = SPEC.replace("delete: owned", f"{renamed}\ndelete: owned\nadopt: overwrite")
    Path("replication.yaml").write_text(spec)
    aws.put("/p/tags", "equal", tags={"team": "OUR-tag"})
    aws.put("/p/value", "OUR-value", tags={"team": "OUR-tag"})
    aws.put("/q/tags", "equal", tags={"team": "THEIR-tag"}, region="us-east-2")
    aws.put("/q/value", "THEIR-value", tags={"team": "THEIR-tag"}, region="us-east-2")
    sides = {f"{owner}-{what}" for owner in ("OUR", "THEIR") for what in ("value", "tag")}

    def run(*words: str) -> str:
        result = CliRunner().invoke(root, list(words), input="")
        return result.stdout + result.stderr

    command = ["apply", *ALL[1:]]
    for step, report in (("plan", "applied"), ("undo", "undone"), ("undo again", "redone")):
        aws.pass_time()
        see = ["plan"] if step == "plan" else [*command, "--plan-only"]
        shown = {form: run(*see, "--format", form) for form in ("text", "markdown", "html")}
        shown["results"] = run(*command, "--yes", "--format", "markdown", "--out", f"{report}.json")
        shown["page"] = run("show", f"{report}.json", "--format", "html")
        found = {form: {side for side in sides if side in text} for form, text in shown.items()}
        assert all("/q/tags" in text for text in shown.values()), step
        assert found.pop("text") == sides, step
        assert found["markdown"] == found["html"], step
        assert bool(found["markdown"]) is is_public, step
        assert found.pop("results") == found.pop("page") == set(), step
        assert (TERMINAL_ONLY in shown["markdown"]) is not is_public, step
        if step == "undo":
            assert "THEIR-value" in shown["text"]
            assert aws.value("/q/value") == "THEIR-value"
        command = ["undo", f"{report}.json", *ALL]
