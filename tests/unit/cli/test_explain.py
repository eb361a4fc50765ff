"""`explain`: the remedy of a guard comes first and is run as printed; impossible names; no repetition."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.errors import Interrupted
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Cli


@pytest.fixture
def many(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Two targets with twenty replicas each."""
    for name in ("url", "hosts", "key"):
        aws.delete(f"/app/{name}")
    for number in range(20):
        aws.put(f"/app/{number:02}", "v")
    assert cli("apply", "--yes", "-q").exit_code == 0
    return aws


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on which a remedy is one line."""
    monkeypatch.setenv("COLUMNS", "1000")


def advice(cli: Cli, name: str, *words: str) -> list[str]:
    """Return what `explain` says to do in us-east-2, line by line."""
    result = cli("explain", name, "--target", "us-east-2", *words)
    assert result.exit_code == 0, result.stderr
    return [line[6:] for line in result.stdout.splitlines() if line.startswith("    - ")]


def run_printed(cli: Cli, line: str) -> int:
    """Run the command in a line; whoever runs an apply on a terminal is asked, and says yes."""
    (command,) = re.findall(r"`ssm-reconcile ([^`]*)`", line)
    return cli(*shlex.split(command), "--yes").exit_code


def change(aws: SimulatedAws, count: int) -> None:
    for number in range(count):
        aws.put(f"/app/{number:02}", "changed")


def test_too_many_updates_are_applied_with_the_percentage_that_covers_them(
    many: SimulatedAws, cli: Cli
) -> None:
    change(many, 7)
    first = advice(cli, "/app/03")[0]
    assert first == ("to apply it: `ssm-reconcile apply --target us-east-2 --max-change-percent 35`")
    assert cli("apply", "--target", "us-east-2", "--max-change-percent", "34", "--yes").exit_code == 5
    assert run_printed(cli, first) == 0


def test_changes_of_all_replicas_are_applied_with_a_hundred_percent(many: SimulatedAws, cli: Cli) -> None:
    change(many, 20)
    first = advice(cli, "/app/03")[0]
    assert first == "to apply it: `ssm-reconcile apply --target us-east-2 --max-change-percent 100`"
    assert run_printed(cli, first) == 0


def test_more_changes_than_replicas_are_applied_one_at_a_time(many: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    spec.write_text(f"{spec.read_text()}adopt: overwrite\n")
    change(many, 20)
    many.put("/app/new", "v")
    many.put("/app/new", "by hand", region="us-east-2")
    first = advice(cli, "/app/03")[0]
    assert first == (
        "no flag lifts the limit for that many changes; a single change is not withheld:"
        " `ssm-reconcile apply --target us-east-2 --only /app/03`"
    )
    assert run_printed(cli, first) == 0


def test_a_percentage_counts_the_changes_of_its_own_target(many: SimulatedAws, cli: Cli) -> None:
    change(many, 7)
    result = cli("explain", "/app/03").stdout
    for target in ("us-east-2", "eu-west-1"):
        assert f"`ssm-reconcile apply --target {target} --max-change-percent 35`" in result


def test_too_many_deletes_are_applied_with_the_number_that_covers_them(many: SimulatedAws, cli: Cli) -> None:
    for number in range(12):
        many.delete(f"/app/{number:02}")
    lines = advice(cli, "/app/03")
    assert lines[0] == "to apply it: `ssm-reconcile apply --target us-east-2 --max-deletes 12`"
    assert not any("ssm-reconcile" in line for line in lines[1:])
    assert run_printed(cli, lines[0]) == 0
    assert len(many.names("us-east-2")) == 8


def test_a_frozen_target_is_to_be_thawed_in_the_spec(many: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    thawed = spec.read_text()
    spec.write_text(thawed.replace("- region: us-east-2", "- { region: us-east-2, frozen: true }"))
    change(many, 1)
    (line,) = advice(cli, "/app/00")
    assert line == (
        "set `frozen: false` at target us-east-2 (replication.yaml:5:5),"
        " then `ssm-reconcile apply --target us-east-2 --only /app/00`"
    )
    spec.write_text(thawed)
    assert cli("apply", "--target", "us-east-2", "--only", "/app/00", "--yes").exit_code == 0


def test_a_limit_that_one_change_of_a_frozen_target_keeps_is_not_lifted(many: SimulatedAws, cli: Cli) -> None:
    spec = Path("replication.yaml")
    thawed = spec.read_text()
    spec.write_text(thawed.replace("- region: us-east-2", "- { region: us-east-2, frozen: true }"))
    change(many, 9)
    line = advice(cli, "/app/00")[0]
    assert line.endswith("then `ssm-reconcile apply --target us-east-2 --only /app/00`")
    spec.write_text(thawed)
    assert run_printed(cli, line) == 0


def test_a_limit_that_one_change_of_a_frozen_target_exceeds_is_lifted_with_it(
    many: SimulatedAws, cli: Cli
) -> None:
    spec = Path("replication.yaml")
    thawed = f"{spec.read_text()}guards: {{ max_change_percent: 4 }}\n"
    spec.write_text(thawed.replace("- region: us-east-2", "- { region: us-east-2, frozen: true }"))
    change(many, 9)
    line = advice(cli, "/app/00")[0]
    assert "--max-change-percent 5`" in line
    spec.write_text(thawed)
    assert run_printed(cli, line) == 0


def test_many_replicas_that_were_changed_outside_are_overwritten_alone(many: SimulatedAws, cli: Cli) -> None:
    place = many.store("us-east-2").place
    for number in range(9):
        many.world.put(place, f"/app/{number:02}", "by hand", user="arn:aws:iam::123456789012:user/eve")
    line = advice(cli, "/app/00")[0]
    assert line.endswith("--only /app/00 --overwrite-outside`")
    assert run_printed(cli, line) == 0


def test_an_orphan_of_a_spec_without_an_id_is_deleted_on_the_way_that_is_printed(
    many: SimulatedAws, cli: Cli
) -> None:
    spec = Path("replication.yaml")
    selected = f"{spec.read_text()}orphans: delete\n"
    excluded = selected.replace('"/app/**"]', '"/app/**"], exclude: ["/app/00"]')
    spec.write_text(excluded)
    result = cli("explain", "/app/00").stdout
    assert result.count("select them again, apply with the `id`, and then exclude them") == 2
    assert "1 orphan to remove in" not in result
    spec.write_text(f"{selected}id: abcdef123456\n")
    assert cli("apply", "--yes", "-q").exit_code == 0
    spec.write_text(f"{excluded}id: abcdef123456\n")
    assert cli("apply", "--yes", "-q").exit_code == 0
    assert "/app/00" not in many.names("us-east-2")


def test_a_replica_that_was_changed_outside_is_overwritten_alone(many: SimulatedAws, cli: Cli) -> None:
    store = many.store("us-east-2")
    for name in ("/app/00", "/app/01"):
        many.world.put(store.place, name, "by hand", user="arn:aws:iam::123456789012:user/eve")
    lines = advice(cli, "/app/00")
    assert lines[0] == (
        "to apply it: `ssm-reconcile apply --target us-east-2 --only /app/00 --overwrite-outside`"
    )
    assert run_printed(cli, lines[0]) == 0
    assert store.describe_names(["/app/01"])["/app/01"].version == 2


def test_an_empty_source_needs_two_flags(many: SimulatedAws, cli: Cli) -> None:
    for number in range(20):
        many.delete(f"/app/{number:02}")
    first = advice(cli, "/app/03")[0]
    assert "--allow-empty-source --max-deletes 20" in first
    assert run_printed(cli, first) == 0
    assert many.names("us-east-2") == []


def test_changes_without_a_guard_are_applied_while_others_are_withheld(many: SimulatedAws, cli: Cli) -> None:
    change(many, 9)
    many.put("/app/new one".replace(" ", "-"), "v")
    line = advice(cli, "/app/new-one")[0]
    assert line == "to create it now: `ssm-reconcile apply --target us-east-2 --only /app/new-one`"
    assert run_printed(cli, line) == 0
    assert cli("apply", "--target", "us-east-2", "--yes").exit_code == 5


def test_the_command_names_spec_replication_and_access(many: SimulatedAws, cli: Cli) -> None:
    file = "the spec.yaml"
    Path(file).write_text(f"{SPEC}---\n{SPEC.replace('prod', 'stage').replace('/app/', '/stage/')}")
    change(many, 1)
    words = ("--spec", file, "--profile", "my profile", "--no-decrypt")
    result = cli("explain", "/app/00", "--target", "us-east-2", *words).stdout
    expected = (
        "ssm-reconcile apply 'the spec.yaml' --name prod --target us-east-2 --only /app/00 --no-decrypt"
        " --profile 'my profile'"
    )
    assert f"`{expected}`" in result
    assert cli(*shlex.split(expected)[1:], "--yes").exit_code == 0


def test_a_detached_replica_is_taken_back_by_the_command_that_is_printed(
    many: SimulatedAws, cli: Cli
) -> None:
    assert cli("detach", "--target", "us-east-2", "--yes").exit_code == 0
    Path("replication.yaml").rename("other.yaml")
    line = next(line for line in advice(cli, "/app/00", "--spec", "other.yaml") if "`ssm" in line)
    assert run_printed(cli, line) == 0
    assert cli("plan", "other.yaml", "--fail-on-drift").exit_code == 0
    assert len(many.names("us-east-2")) == 20


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("arn:aws:ssm:us-east-1:123456789012:parameter/app/url", "`/app/url`"),
        ("/app/url:1", "`/app/url`"),
        ("/app/url/", "`/app/url`"),
        ("C:/Program Files/Git/app/url", "`/app/url`"),
        ("arn:aws:ssm:us-east-1:123456789012:parameter/app/", "`/app/`"),
        ("C:/Program Files/Git/", "the name again and set MSYS_NO_PATHCONV=1"),
        ("D:\\app\\url", "the name again and set MSYS_NO_PATHCONV=1"),
        ("/app//url", "a single slash"),
        ("/app/**x", "`**`"),
        ("", "`/prod/db/url`"),
    ],
)
def test_a_name_that_no_parameter_can_have_is_wrong_usage(
    name: str, write: str, cli: Cli, aws: SimulatedAws
) -> None:
    before = len(aws.world.calls)
    result = cli("explain", name)
    assert result.exit_code == 64
    assert (
        f"write {write}" in result.stderr
        or f"write the name in it, {write}" in result.stderr
        or write in result.stderr
    )
    assert result.stdout == ""
    assert len(aws.world.calls) == before


def states(aws: SimulatedAws, cli: Cli) -> list[str]:
    """Put parameters into many rows, and return their names."""
    assert cli("apply", "--yes", "--target", "us-east-2", "-q").exit_code == 0
    aws.put("/app/gone", "v")
    aws.put("/app/orphan", "v")
    assert cli("apply", "--yes", "--target", "us-east-2", "-q").exit_code == 0
    aws.delete("/app/gone")
    aws.put("/app/conflict", "source")
    aws.put("/app/conflict", "by hand", region="us-east-2")
    aws.put("/app/adopt", "same")
    aws.put("/app/adopt", "same", region="us-east-2")
    aws.put("/app/new", "v")
    aws.put("/app/url", "https://example.net")
    aws.store("us-east-1").add_tags("/app/hosts", {"skip_sync": ""})
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace('"/app/**"]', '"/app/**"], exclude: ["/app/orphan"]'))
    words = ("gone", "orphan", "conflict", "adopt", "new", "url", "hosts", "key", "nothing")
    return [f"/app/{word}" for word in words]


@pytest.mark.parametrize("frozen", [False, True])
def test_no_sentence_is_printed_twice(frozen: bool, aws: SimulatedAws, cli: Cli) -> None:
    names = states(aws, cli)
    if frozen:
        spec = Path("replication.yaml")
        spec.write_text(spec.read_text().replace("region: us-east-2", "region: us-east-2\n    frozen: true"))
    for name in names:
        result = cli("explain", name, "--target", "us-east-2").stdout
        parts = [part.strip(" -.()") for part in re.split(r": |[;\n]| {2,}", result)]
        sentences = [part for part in parts if len(part.split()) > 3]
        assert len(sentences) == len(set(sentences)), result


def test_the_rows_that_do_not_fit_are_for_v_only(aws: SimulatedAws, cli: Cli) -> None:
    assert aws.names("us-east-1")
    assert "rows that do not fit" not in cli("explain", "/app/url").stdout
    assert "rows that do not fit" in cli("explain", "/app/url", "-v").stdout
    assert '"ruled_out"' in cli("explain", "/app/url", "--format", "json").stdout


def test_an_interrupt_while_the_whole_plan_is_made_ends_the_command(
    many: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(many, 1)

    def interrupted(*_: object, **__: object) -> None:
        raise Interrupted("interrupted")

    monkeypatch.setattr(reconcile, "make_plan", interrupted)
    result = cli("explain", "/app/00")
    assert result.exit_code == 130
    assert "Note" not in result.stderr
