"""The command `detach`: it asks, it tells, and it ends by what came of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_reconcile.cli import terminal
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Place
from tests.doubles.open_calls import OpenCalls
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, SPEC, Cli

WEST = Place("123456789012", "us-east-2")
REPLICATED = "us-east-2", str(WEST)


def replicated(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes", "-q").exit_code == 0
    aws.world.traffic.forget()


def test_without_a_terminal_it_needs_yes(aws: SimulatedAws, cli: Cli) -> None:
    replicated(aws, cli)
    result = cli("detach", "--target", "us-east-2")
    assert result.exit_code == 64
    assert "--yes" in result.stderr
    assert aws.world.traffic.writes() == []


def test_it_says_how_many_and_where(aws: SimulatedAws, cli: Cli) -> None:
    replicated(aws, cli)
    result = cli("detach", "--target", "us-east-2", "--yes")
    assert result.exit_code == 0
    assert "prod: 3 detached in us-east-2 (123456789012/us-east-2)" in result.stdout
    assert SECRET not in result.output
    again = cli("detach", "--target", "us-east-2", "--yes")
    assert again.exit_code == 0
    assert "nothing to do" in again.stdout
    assert "3 reattached" in cli("detach", "--target", "us-east-2", "--undo", "--yes").stdout


def test_other_targets_stay_as_they_are(aws: SimulatedAws, cli: Cli) -> None:
    replicated(aws, cli)
    cli("detach", "--target", "us-east-2", "--yes")
    assert {call.place for call in aws.world.traffic.writes()} == {WEST}


def test_a_failure_is_in_the_document_and_in_the_exit_code(aws: SimulatedAws, cli: Cli) -> None:
    replicated(aws, cli)
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED), name="/app/url")
    result = cli("detach", "--target", "us-east-2", "--yes", "--format", "json")
    assert result.exit_code == 3
    (part,) = json.loads(result.stdout)["replications"]
    assert (part["name"], part["target"], part["place"], part["undo"]) == ("prod", *REPLICATED, False)
    assert part["summary"]["applied"] == 2
    (failed,) = [one for one in part["outcomes"] if one["outcome"] == "failed"]
    assert failed["name"] == "/app/url"
    assert "AccessDenied" in failed["error"]


def test_an_unknown_target_is_wrong_usage(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("detach", "--target", "nowhere", "--yes").exit_code == 64


@pytest.mark.parametrize(("words", "verb"), [((), "Detach"), (("--undo",), "Reattach")])
def test_the_question_names_action_number_owner_and_place_and_another_answer_changes_nothing(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], verb: str
) -> None:
    replicated(aws, cli)
    if words:
        cli("detach", "--target", "us-east-2", "--yes")
        aws.world.traffic.forget()
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    result = cli("detach", "--target", "us-east-2", *words, stdin="n\n")
    assert f"{verb} these 3 replicas of prod in us-east-2 (123456789012/us-east-2)? [y/N] " in result.stderr
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing was changed." in result.stderr
    assert aws.world.traffic.writes() == []


def test_replicas_without_an_id_are_detached_only_by_the_flag(aws: SimulatedAws, cli: Cli) -> None:
    replicated(aws, cli)
    spec = Path("replication.yaml")
    spec.write_text(f"{spec.read_text()}id: abcdef123456\n")
    words = ("detach", "--target", "us-east-2", "--yes")
    left = cli(*words)
    assert left.exit_code == 3
    assert left.stdout.count("its record has no id") == left.stdout.count("--without-id includes it") == 3
    assert aws.world.traffic.writes() == []
    result = cli(*words, "--without-id")
    assert result.exit_code == 0
    assert "prod: 3 detached in us-east-2" in result.stdout


def test_the_worst_of_several_replications_is_the_exit_code(aws: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(f"{SPEC}---\n{SPEC.replace('prod', 'stage').replace('/app/', '/stage/')}")
    aws.put("/stage/a", "v")
    replicated(aws, cli)
    aws.world.faults = at_call("AddTagsToResource", refused(Trouble.DENIED), name="/stage/a")
    result = cli("detach", "--target", "us-east-2", "--yes")
    assert result.exit_code == 3
    assert "prod: 3 detached" in result.stdout
    assert "stage: 0 detached" in result.stdout
    assert "  failed  /stage/a  AddTagsToResource: AccessDenied" in result.stdout


@pytest.mark.threads
def test_parallelism_limits_the_replicas_at_a_time(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/app/last", "v")
    replicated(aws, cli)
    open_calls = OpenCalls(3)

    def hold(operation: str, _place: Place, _names: tuple[str, ...], _nth: int) -> None:
        if operation == "AddTagsToResource":
            open_calls.wait()

    aws.world.faults = hold
    assert cli("detach", "--target", "us-east-2", "--yes", "--parallelism", "3").exit_code == 0
    assert len(aws.world.traffic.writes()) == 4
    assert open_calls.most == 3
