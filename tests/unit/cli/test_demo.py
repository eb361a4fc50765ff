"""Demo: its steps against the simulator in this process, and each statement that does not hold."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import boto3
import pytest
from click.testing import CliRunner

from ssm_reconcile.cli import demo, root
from ssm_reconcile.errors import ReconcileError

pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The empty AWS of the demo; afterwards the process has its environment again."""
    folder = tmp_path_factory.mktemp("requests")
    with mock.patch.dict(os.environ, {"AWS_PROFILE": "of-the-user"}), demo._simulator(folder):
        from moto.core.model_instances import reset_model_data
        from moto.moto_api import recorder

        assert "AWS_PROFILE" not in os.environ
        reset_model_data()
        # An earlier test of this process may have imported moto.
        with mock.patch.object(recorder, "_location", str(folder / "requests.log")):
            yield


def run_here(words: Sequence[str], *, cwd: Path, **_: Any) -> SimpleNamespace:
    """Run a command in this process in place of one of its own."""
    with chdir(cwd):
        done = CliRunner().invoke(root, list(words[3:]))
    return SimpleNamespace(stdout=done.output, returncode=done.exit_code)


def use_commands(monkeypatch: pytest.MonkeyPatch, run: Callable[..., SimpleNamespace]) -> None:
    monkeypatch.setattr(demo, "subprocess", SimpleNamespace(run=run, PIPE=-1, STDOUT=-2, DEVNULL=-3))


@pytest.mark.parametrize(
    ("service", "call", "given", "is_decryption"),
    [
        ("ssm", "get_parameters", {"Names": ["/p"], "WithDecryption": True}, True),
        ("ssm", "get_parameters", {"Names": ["/p"], "WithDecryption": False}, False),
        ("ssm", "describe_parameters", {}, False),
        ("kms", "list_keys", {}, False),
    ],
)
@pytest.mark.usefixtures("simulator")
def test_a_decryption_is_found_in_the_requests_that_the_simulator_records(
    service: Any, call: str, given: dict[str, Any], *, is_decryption: bool
) -> None:
    with demo._recorded_requests() as requests:
        getattr(boto3.client(service, region_name=demo.SOURCE), call)(**given)
    assert list(map(demo._is_decryption, requests)) == [is_decryption]


def test_a_call_of_kms_that_decrypts_is_a_decryption() -> None:
    assert demo._is_decryption({"headers": {"X-Amz-Target": "TrentService.Decrypt"}})


@pytest.mark.usefixtures("simulator")
def test_each_statement_holds_and_each_secret_is_copied_and_not_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_commands(monkeypatch, run_here)
    rates = "rates: { describe: 100, put: 100, tags: 100, list_tags: 100, delete: 100 }\n"
    monkeypatch.setattr(demo, "SPEC", demo.SPEC + rates)
    monkeypatch.setenv("COLUMNS", "80")
    steps = demo._Demo(tmp_path, "never")
    steps.run()
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert len(lines) - rates.count("\n") <= 120
    assert [line for line in lines if len(line) > 80] == []
    plan, _, _, again, changed, _ = shown.split("\n== ")[2:8]
    assert "9 selected, 1 skipped by skip_sync" in plan
    assert "7 to create, 0 in sync, 1 conflict" in plan
    assert "max: 100 -> 250" in plan
    assert plan.count("(secret)") == 2
    assert "Nothing to do: 8 in sync" in again
    assert "3 to update, 2 to delete (2 withheld)" in changed
    assert "max: 250 -> 400" in changed
    assert "https://old.example.com -> https://users.example.com" in changed
    assert "3 secret values were copied" in shown
    assert [secret for secret in steps.account.secrets if secret in shown] == []


SOURCE_VALUES = {demo.LIMITS: "new", demo.PASSWORD: "p", demo.EDITED: "url", demo.REGIONAL: "r"}
CREATES = {demo.PASSWORD: "create", demo.EDITED: "create"}
CREATED = [{"name": name, "action": "create"} for name in CREATES]
CONFLICT = [{"name": demo.LIMITS, "row": "conflict"}]
TAKEN = [{"name": demo.LIMITS, "action": "update", "outcome": "applied"}]
LATER = [
    {"name": name, "action": "update", "withheld_by": []}
    for name in (demo.LIMITS, demo.PASSWORD, demo.EDITED)
] + [{"name": name, "action": "delete", "withheld_by": ["max-deletes"]} for name in demo.FLAGS]
FLAG = [{"remedy": {"flag": "--max-deletes 2"}}]
LAST_PLAN = {"changes": LATER, "findings": FLAG}
BEFORE = {demo.LIMITS: "old", demo.FOREIGN: "vpc"}
TAKEN_OVER = {demo.LIMITS: "new", demo.FOREIGN: "vpc"}
AFTER = TAKEN_OVER | {demo.PASSWORD: "p", demo.EDITED: "url"}
DECRYPTION = {
    "headers": {"X-Amz-Target": "AmazonSSM.GetParameters"},
    "body": base64.b64encode(b'{"WithDecryption": true}').decode(),
}
LISTING: dict[str, Any] = {"headers": {}}


def applied(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a report in which each change is applied."""
    return {"outcomes": [change | {"outcome": "applied"} for change in changes]}


def run_step(
    step: str,
    document: dict[str, Any],
    targets: Sequence[dict[str, str]],
    *given: object,
    requests: Sequence[dict[str, Any]] = (LISTING,),
) -> list[dict[str, str]]:
    """Run a step whose command saves `document`; return the states of the target that it did not read."""
    steps: Any = demo._Demo(Path(), "never")
    steps._command = lambda *_: document
    states = iter(targets)
    steps.account = SimpleNamespace(
        values=lambda region: SOURCE_VALUES if region == demo.SOURCE else next(states),
        change_source=lambda: None,
        edit_target=lambda: None,
        secrets=["p"],
    )
    with mock.patch.object(demo, "_recorded_requests", return_value=nullcontext(requests)):
        getattr(steps, step)(*given)
    return list(states)


HOLDS: dict[str, tuple[Any, ...]] = {
    "_plan": ({"others": CONFLICT, "changes": CREATED}, [BEFORE, BEFORE]),
    "_take_over": ({"outcomes": TAKEN}, [TAKEN_OVER]),
    "_apply": (applied(CREATED), [BEFORE, AFTER], CREATES),
    "_plan_again": ({"changes": []}, []),
    "_plan_changes": ({"changes": LATER}, []),
    "_apply_changes": (applied(LATER), [AFTER], LAST_PLAN),
}
"""For each step: a document, states of the target and arguments with which each statement holds."""


@pytest.mark.parametrize("step", HOLDS)
def test_statements_that_hold_end_no_step(step: str) -> None:
    assert run_step(step, *HOLDS[step]) == []


@pytest.mark.parametrize(
    ("statement", "step", "document", "targets", "given"),
    [
        ("the plan leaves the conflict", "_plan", {"others": [], "changes": CREATED}, None, None),
        ("the plan creates 2", "_plan", {"others": CONFLICT, "changes": CREATED[:1]}, None, None),
        ("the plan wrote nothing", "_plan", None, [BEFORE, AFTER], None),
        ("the parameter was taken over", "_take_over", {"outcomes": []}, None, None),
        ("the value of the source was written", "_take_over", None, [BEFORE], None),
        ("nothing else was written", "_take_over", None, [AFTER], None),
        ("the apply made the changes of the plan", "_apply", applied(CREATED[:1]), None, None),
        (f"{demo.EDITED} was copied", "_apply", None, [BEFORE, AFTER | {demo.EDITED: "x"}], None),
        ("a parameter outside the spec", "_apply", None, [BEFORE, AFTER | {demo.FOREIGN: "x"}], None),
        ("a parameter with the tag skip_sync", "_apply", None, [BEFORE, AFTER | {demo.REGIONAL: "r"}], None),
        ("the second plan is empty", "_plan_again", {"changes": CREATED}, None, None),
        ("the plan lists each change", "_plan_changes", {"changes": LATER[1:]}, None, None),
        (
            "only deletes are withheld",
            "_plan_changes",
            {"changes": [change | {"withheld_by": []} for change in LATER]},
            None,
            None,
        ),
        ("the plan has the flag", "_apply_changes", None, None, {"changes": LATER, "findings": FLAG * 2}),
        ("the apply made all changes", "_apply_changes", applied(LATER[1:]), None, None),
        (f"{demo.LIMITS} has the value", "_apply_changes", None, [AFTER | {demo.LIMITS: "x"}], None),
        (
            f"the replica of {demo.FLAGS[1]} was deleted",
            "_apply_changes",
            None,
            [AFTER | {demo.FLAGS[1]: "on"}],
            None,
        ),
    ],
)
def test_a_statement_that_does_not_hold_ends_its_step(
    statement: str, step: str, document: Any, targets: Any, given: Any
) -> None:
    usual_document, usual_targets, *usual = HOLDS[step]
    with pytest.raises(ReconcileError, match=f"the demo failed at this statement: {statement}"):
        run_step(step, document or usual_document, targets or usual_targets, *([given] if given else usual))


@pytest.mark.parametrize(
    ("requests", "statement"),
    [([], "the simulator recorded"), ([LISTING, DECRYPTION], "the second plan decrypts no secret")],
)
def test_a_second_plan_that_decrypts_or_was_not_recorded_ends_the_demo(
    requests: list[dict[str, Any]], statement: str
) -> None:
    with pytest.raises(ReconcileError, match=f"the demo failed at this statement: {statement}"):
        run_step("_plan_again", *HOLDS["_plan_again"], requests=requests)


@pytest.mark.parametrize("holds", [True, False])
def test_a_statement_that_does_not_hold_makes_the_command_fail(
    monkeypatch: pytest.MonkeyPatch, *, holds: bool
) -> None:
    monkeypatch.setattr(demo, "_simulator", nullcontext)
    monkeypatch.setattr(demo._Demo, "run", lambda steps: steps._check("one is one", holds))
    done = CliRunner().invoke(root, ["demo"])
    assert done.exit_code == (0 if holds else 1)
    assert ("the demo failed at this statement: one is one" in done.stderr) is not holds


def test_a_secret_that_was_not_copied_ends_the_demo(tmp_path: Path) -> None:
    steps: Any = demo._Demo(tmp_path, "never")
    steps.account = SimpleNamespace(secrets=["s"], fill=lambda: None)
    for step in HOLDS:
        setattr(steps, step, lambda *_: None)
    with pytest.raises(ReconcileError, match="each secret was copied"):
        steps.run()


@pytest.mark.parametrize(
    ("output", "document", "code", "statement"),
    [
        ("a hush b", "{}", 0, "the output has no secret"),
        ("", '{"v": "hush"}', 0, "the saved document has no secret"),
        ("", "{}", 5, r"`plan` exits with 0 \(it exited with 5\)"),
    ],
)
def test_a_secret_in_an_output_and_a_failed_command_end_the_demo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
    document: str,
    code: int,
    statement: str,
) -> None:
    (tmp_path / "document.json").write_text(document)
    use_commands(monkeypatch, lambda *_, **__: SimpleNamespace(stdout=output, returncode=code))
    steps = demo._Demo(tmp_path, "never")
    steps.account.secrets.append("hush")
    with pytest.raises(ReconcileError, match=f"the demo failed at this statement: {statement}"):
        steps._command("plan")
    assert "hush" not in capsys.readouterr().out
