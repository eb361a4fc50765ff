"""`--only`: a pattern that no name can match, one that matches nothing, and the counts of a narrowed run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssm_reconcile.errors import SpecError
from ssm_reconcile.load import load_text

if TYPE_CHECKING:
    from tests.simulated_aws import SimulatedAws
    from tests.unit.cli.conftest import Cli

IMPOSSIBLE = {
    "": "is empty",
    "/app/": "write `/app/**`",
    "//": "empty level",
    "/app//url": "empty level",
    "app/url": "write `/app/url`",
    "/app/a b": "letters, digits and _ . - / only",
    "/app/{url,key}": "letters, digits and _ . - / only",
    "/app/url:3": "write `/app/url`",
    "/app**": "write it as a level of its own",
    "/aws/service/x": "which AWS reserves",
    "arn:aws:ssm:us-east-1:123456789012:parameter/app/url": "write the name in it, `/app/url`",
    "C:/Program Files/Git/app/**": "write `/app/**` and set MSYS_NO_PATHCONV=1",
}


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("status",)])
@pytest.mark.parametrize(("pattern", "advice"), IMPOSSIBLE.items())
def test_a_pattern_that_no_name_can_match_is_wrong_usage(
    pattern: str, advice: str, command: tuple[str, ...], cli: Cli, aws: SimulatedAws
) -> None:
    result = cli(*command, "--only", "/app/**", "--only", pattern)
    assert result.exit_code == 64
    assert advice in result.stderr
    assert f" --only {shlex.quote(pattern)} " in result.stderr
    assert result.stdout == ""
    assert aws.names("us-east-2") == []


@pytest.mark.parametrize(("pattern", "advice"), IMPOSSIBLE.items())
def test_include_gives_the_same_advice(pattern: str, advice: str) -> None:
    text = f"""\
version: 1
name: prod
source: {{ region: us-east-1 }}
targets: [{{ region: us-east-2 }}]
parameters: {{ include: [{json.dumps(pattern)}] }}
delete: owned
"""
    with pytest.raises(SpecError) as caught:
        load_text(text)
    assert advice in caught.value.findings[0].message


def test_init_refuses_an_include_that_no_name_can_match(cli: Cli, aws: SimulatedAws) -> None:
    assert aws.names("us-east-1")
    words = ("--source-region", "us-east-1", "--target", "us-east-2", "--yes", "--force")
    result = cli("init", *words, "--include", "/app/")
    assert result.exit_code == 64
    assert "--include /app/ ends with a slash" in result.stderr


@pytest.mark.parametrize("command", [("plan", "--detailed-exitcode"), ("apply", "--yes")])
def test_patterns_that_match_nothing_at_all_are_wrong_usage(
    command: tuple[str, ...], cli: Cli, aws: SimulatedAws
) -> None:
    result = cli(*command, "--only", "/ap/**", "--only", "/other/x")
    assert result.exit_code == 64
    assert "--only '/ap/**' matches no selected parameter and no replica" in result.stderr
    assert "did you mean `'/app/**'`?" in result.stderr
    assert "--only /other/x matches no selected parameter" in result.stderr
    assert aws.names("us-east-2") == []


def test_the_report_of_an_apply_whose_narrowing_matches_nothing_has_the_exit_code(
    cli: Cli, aws: SimulatedAws
) -> None:
    assert aws.names("us-east-1")
    result = cli("apply", "--yes", "--only", "/ap/**", "--format", "json")
    document = json.loads(result.stdout)
    assert (document["exit_code"], document["plan_id"], document["outcomes"]) == (64, "0" * 64, [])


def test_one_pattern_of_several_that_matches_nothing_is_a_warning(cli: Cli, aws: SimulatedAws) -> None:
    assert aws.names("us-east-1")
    result = cli("plan", "--only", "/app/url", "--only", "/app/ulr", "--format", "json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    (finding,) = [one for one in document["findings"] if one["code"] == "only-matches-nothing"]
    assert finding["severity"] == "warning"
    assert "/app/ulr" in finding["message"]
    assert "did you mean `/app/url`?" in finding["message"]
    assert {change["name"] for change in document["changes"]} == {"/app/url"}


def test_a_path_without_stars_is_offered_with_them(cli: Cli, aws: SimulatedAws) -> None:
    assert aws.names("us-east-1")
    assert "did you mean `'/app/**'`?" in cli("plan", "--only", "/app").stderr


def test_a_replica_whose_source_is_gone_is_matched(cli: Cli, aws: SimulatedAws) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.delete("/app/url")
    result = cli("plan", "--only", "/app/url", "--format", "json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["summary"]["delete"] == 2
    assert document["replications"][0]["selected"] == 0
    assert {change["fate"] for change in document["changes"]} == {"apply"}


def test_a_replica_without_an_id_whose_source_is_gone_is_matched(cli: Cli, aws: SimulatedAws) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.delete("/app/url")
    spec = Path("replication.yaml")
    spec.write_text(f"{spec.read_text()}id: abcdef123456\n")
    result = cli("plan", "--only", "/app/url", "--format", "json")
    assert result.exit_code == 0, result.stderr
    codes = {one["code"] for one in json.loads(result.stdout)["findings"]}
    assert "replica-without-id" in codes
    assert "only-matches-nothing" not in codes


def test_a_saved_plan_is_applied_although_its_narrowing_matches_nothing_any_more(
    cli: Cli, aws: SimulatedAws
) -> None:
    assert cli("plan", "--only", "/app/url", "--out", "plan.json").exit_code == 0
    aws.delete("/app/url")
    result = cli("apply", "plan.json")
    assert result.exit_code == 0
    assert "only-matches-nothing" in result.stdout
    assert "Nothing to do" in result.stdout


def test_matches_of_a_narrowing_are_unknown_after_an_incomplete_listing(
    cli: Cli, aws: SimulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssm_reconcile.errors import StoreError, Trouble
    from tests.fake_aws.store import MemoryStore

    describe = MemoryStore.describe

    def broken(self: MemoryStore) -> object:
        if self.place.region == "eu-west-1":
            raise StoreError(Trouble.DENIED, place="p", operation="o", code="c")
        return describe(self)

    monkeypatch.setattr(MemoryStore, "describe", broken)
    result = cli("plan", "--only", "/ap/**", "--format", "json")
    assert result.exit_code == 3
    assert [one["code"] for one in json.loads(result.stdout)["findings"]].count("only-matches-nothing") == 1
    assert aws.names("us-east-2") == []


def test_the_counts_of_a_narrowed_run_are_those_of_the_narrowed_run(cli: Cli, aws: SimulatedAws) -> None:
    assert cli("apply", "--yes").exit_code == 0
    aws.store("us-east-1").add_tags("/app/hosts", {"skip_sync": ""})
    words = ("plan", "--only", "/app/url", "--target", "us-east-2")
    document = json.loads(cli(*words, "--format", "json").stdout)
    assert document["replications"][0]["selected"] == 1
    assert document["summary"]["in_sync"] == 1
    assert document["summary"]["skipped"] == document["summary"]["opted_out"] == 0
    assert [target["replicas"] for target in document["targets"]] == [3]
    text = cli(*words).stdout
    assert "1 selected" in text
    assert "Nothing to do: 1 in sync." in text
    assert json.loads(cli("plan", "--format", "json").stdout)["replications"][0]["selected"] == 3


def test_a_name_rewrite_is_matched_on_both_sides(cli: Cli, aws: SimulatedAws) -> None:
    assert aws.names("us-east-1")
    spec = Path("replication.yaml")
    rewrite = 'rewrite: [{ match: "/app/**", in: name, from: "/app", to: "/dr" }]\n'
    spec.write_text(spec.read_text() + rewrite)
    for pattern in ("/app/url", "/dr/url"):
        document = json.loads(cli("plan", "--only", pattern, "--format", "json").stdout)
        assert document["replications"][0]["selected"] == 1
        assert {change["name"] for change in document["changes"]} == {"/dr/url"}


def test_copied_tags_outside_of_a_narrowed_run_are_not_reported_by_it(cli: Cli, aws: SimulatedAws) -> None:
    assert cli("apply", "--yes").exit_code == 0
    store = aws.store("us-east-2")
    aws.put("/other/copy", "x", region="us-east-2")
    store.add_tags("/other/copy", dict(store.tags("/app/url") or {}))
    assert "copied-tags" in cli("plan").stdout
    assert "copied-tags" not in cli("plan", "--only", "/app/url").stdout
