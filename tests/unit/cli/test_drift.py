"""`plan --fail-on-drift`, and detached replicas as a count of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ssm_reconcile.plan_findings import DriftedAddress
from ssm_reconcile.record import DETACHED, OWNER

if TYPE_CHECKING:
    from tests.simulated_aws import SimulatedAws
    from tests.unit.cli.conftest import Cli

DRIFT = ("plan", "--fail-on-drift", "--target", "us-east-2")


@pytest.fixture
def settled(aws: SimulatedAws, cli: Cli) -> SimulatedAws:
    """Two targets that hold what the spec says."""
    assert cli("apply", "--yes").exit_code == 0
    return aws


def say(text: str) -> None:
    """Add lines to the spec."""
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text() + text)


def saved_plan() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path("plan.json").read_text())
    return document


def test_targets_that_hold_what_the_spec_says_are_no_drift(cli: Cli, settled: SimulatedAws) -> None:
    assert settled.names("us-east-2")
    result = cli(*DRIFT, "--verify-values")
    assert (result.exit_code, "Drift" in result.stderr) == (0, False)


def test_a_change_is_drift_and_is_listed(cli: Cli, settled: SimulatedAws) -> None:
    settled.put("/app/url", "https://example.net")
    result = cli(*DRIFT, "--format", "json", "-q")
    assert result.exit_code == 3
    assert "Drift: 1 address not as the spec says." in result.stderr
    assert "  update  /app/url (prod, us-east-2)" in result.stderr
    assert json.loads(result.stdout)["summary"]["update"] == 1


def test_a_drift_has_no_command_for_a_runner(
    cli: Cli, settled: SimulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled.put("/app/url", "https://example.net")
    drift = [DriftedAddress("prod", "us-east-2", "/app/url", "update", ("##[error]a",))]
    monkeypatch.setattr("ssm_reconcile.plan_findings.find_drift", lambda *_: drift)
    result = cli(*DRIFT)
    assert "##[" not in result.stderr
    assert r"##\u005berror]a" in result.stderr


def test_a_withheld_change_is_drift(cli: Cli, settled: SimulatedAws) -> None:
    settled.put("/app/url", "https://example.net")
    spec = Path("replication.yaml")
    spec.write_text(spec.read_text().replace("- region: us-east-2", "- { region: us-east-2, frozen: true }"))
    result = cli(*DRIFT)
    assert result.exit_code == 3
    assert "  update, withheld  /app/url (prod, us-east-2): withheld: the target is frozen" in result.stderr


@pytest.mark.parametrize("flag", ["--verify-values", "--no-decrypt"])
def test_a_conflict_is_drift_without_a_change(flag: str, cli: Cli, aws: SimulatedAws) -> None:
    aws.put("/app/key", "another secret", region="us-east-2", kind="SecureString")
    cli("apply", "--yes", "--target", "us-east-2")
    detailed = cli("plan", "--target", "us-east-2", flag, "--detailed-exitcode")
    assert detailed.exit_code == 0
    result = cli(*DRIFT, flag, "--detailed-exitcode")
    assert result.exit_code == 3
    assert "  conflict  /app/key (prod, us-east-2)" in result.stderr


def test_replicas_of_another_owner_are_drift(cli: Cli, settled: SimulatedAws) -> None:
    settled.store("us-east-2").add_tags("/app/url", {OWNER: "other@123456789012/us-east-1"})
    result = cli(*DRIFT)
    assert result.exit_code == 3
    assert "  foreign  /app/url (prod, us-east-2)" in result.stderr


def test_copied_ownership_tags_are_drift(cli: Cli, settled: SimulatedAws) -> None:
    store = settled.store("us-east-2")
    tags = dict(store.tags("/app/hosts") or {})
    settled.put("/app/new", "x")
    settled.put("/app/new", "x", region="us-east-2")
    store.add_tags("/app/new", tags)
    result = cli(*DRIFT)
    assert result.exit_code == 3
    assert "  copied  /app/new (prod, us-east-2)" in result.stderr


def test_a_detached_replica_is_drift_and_a_count_of_its_own(cli: Cli, settled: SimulatedAws) -> None:
    assert cli("detach", "--target", "us-east-2", "--yes").exit_code == 0
    assert (settled.store("us-east-2").tags("/app/url") or {})[OWNER].startswith(DETACHED)
    result = cli(*DRIFT, "--format", "json")
    assert result.exit_code == 3
    assert "  detached  /app/url (prod, us-east-2): it is detached" in result.stderr
    document = json.loads(result.stdout)
    assert document["format_version"] == "1.3"
    for counts in (document["summary"], document["targets"][0], document["replications"][0]["summary"]):
        assert (counts["detached"], counts["conflict"]) == (3, 0)
    assert {other["counted"] for other in document["others"]} == {"detached"}
    assert "3 detached" in cli("plan", "--target", "us-east-2").stdout


def test_an_apply_that_leaves_a_detached_replica_does_not_end_well(cli: Cli, settled: SimulatedAws) -> None:
    assert cli("detach", "--target", "us-east-2", "--yes").exit_code == 0
    before = settled.store("us-east-2").tags("/app/url")
    result = cli("apply", "--yes", "--target", "us-east-2", "--format", "json")
    assert result.exit_code == 3
    assert len(json.loads(result.stdout)["remaining"]) == 3
    assert settled.store("us-east-2").tags("/app/url") == before


def test_an_invalid_parameter_is_drift(cli: Cli, settled: SimulatedAws) -> None:
    settled.store("us-east-1").add_tags("/app/url", {f"t{n}": "" for n in range(49)})
    result = cli(*DRIFT)
    assert result.exit_code == 3
    assert "  invalid  /app/url (prod, us-east-2)" in result.stderr


def test_a_place_that_was_not_listed_is_drift(
    cli: Cli, settled: SimulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssm_reconcile.errors import StoreError, Trouble
    from tests.fake_aws.store import MemoryStore

    assert settled.names("us-east-2")
    describe = MemoryStore.describe

    def broken(self: MemoryStore) -> object:
        if self.place.region == "eu-west-1":
            raise StoreError(Trouble.DENIED, place="p", operation="o", code="c")
        return describe(self)

    monkeypatch.setattr(MemoryStore, "describe", broken)
    result = cli("plan", "--fail-on-drift")
    assert result.exit_code == 3
    assert "Drift: 0 addresses not as the spec says; a place was not listed completely." in result.stderr


@pytest.mark.parametrize(
    ("delete", "orphans", "code"),
    [("owned", "keep", 0), ("never", "keep", 0), ("owned", "delete", 3), ("never", "delete", 3)],
)
def test_an_orphan_is_drift_where_the_spec_would_delete_it(
    delete: str, orphans: str, code: int, cli: Cli, settled: SimulatedAws
) -> None:
    assert settled.names("us-east-2")
    spec = Path("replication.yaml")
    text = spec.read_text().replace('"/app/**"]', '"/app/**"], exclude: ["/app/url"]')
    spec.write_text(text.replace("delete: owned", f"delete: {delete}\norphans: {orphans}"))
    assert cli(*DRIFT).exit_code == code


def test_a_kept_replica_without_a_source_is_not_drift_when_orphans_are_deleted(
    cli: Cli, settled: SimulatedAws
) -> None:
    spec = Path("replication.yaml")
    spec.write_text(
        spec.read_text().replace("delete: owned", "delete: never\norphans: delete\nid: abcdef123456")
    )
    assert cli("apply", "--yes").exit_code == 0
    settled.delete("/app/url")
    result = cli(*DRIFT, "--format", "json")
    assert json.loads(result.stdout)["summary"]["orphaned"] == 1
    assert result.exit_code == 0


def test_an_orphan_is_judged_by_the_document_that_it_belongs_to(cli: Cli, settled: SimulatedAws) -> None:
    assert settled.names("us-east-2")
    spec = Path("replication.yaml")
    text = spec.read_text()
    kept = text.replace('"/app/**"]', '"/app/**"], exclude: ["/app/url"]')
    other = text.replace("name: prod", "name: stage").replace("/app/", "/stage/")
    spec.write_text(f"{kept}---\n{other}orphans: delete\nid: abcdef123456\n")
    result = cli(*DRIFT, "--format", "json")
    assert json.loads(result.stdout)["summary"]["orphaned"] == 1
    assert result.exit_code == 0


def test_opted_out_and_skipped_parameters_are_not_drift(cli: Cli, settled: SimulatedAws) -> None:
    settled.store("us-east-2").add_tags("/app/url", {"skip_sync": ""})
    settled.store("us-east-1").add_tags("/app/hosts", {"skip_sync": ""})
    settled.put("/app/new", "x")
    settled.store("us-east-1").add_tags("/app/new", {"skip_sync": ""})
    result = cli(*DRIFT, "--format", "json")
    document = json.loads(result.stdout)
    assert (document["summary"]["opted_out"], document["summary"]["skipped"]) == (2, 1)
    assert (result.exit_code, "Drift" in result.stderr) == (0, False)


def test_a_chained_parameter_is_not_drift(cli: Cli, settled: SimulatedAws) -> None:
    assert settled.names("us-east-2")
    Path("chain.yaml").write_text(
        "version: 1\nname: chain\nsource: { region: us-east-2 }\ntargets: [{ region: ap-south-1 }]\n"
        'parameters: { include: ["/app/**"] }\ndelete: owned\n'
    )
    result = cli("plan", "chain.yaml", "--fail-on-drift", "--format", "json")
    assert json.loads(result.stdout)["summary"]["skipped"] == 3
    assert result.exit_code == 0


def test_a_plan_of_the_version_before_is_shown_and_applied(cli: Cli, aws: SimulatedAws) -> None:
    assert cli("plan", "--target", "us-east-2", "--out", "plan.json").exit_code == 0
    document = saved_plan() | {"format_version": "1.0"}
    for counts in (
        document["summary"],
        *document["targets"],
        *(p["summary"] for p in document["replications"]),
    ):
        del counts["detached"]
    Path("plan.json").write_text(json.dumps(document))
    assert cli("show", "plan.json").exit_code == 0
    assert cli("publish", "plan.json", "--comment", "never").exit_code == 0
    assert cli("apply", "plan.json").exit_code == 0
    assert len(aws.names("us-east-2")) == 3


def test_a_detached_replica_of_a_plan_of_the_version_before_is_still_shown(
    cli: Cli, settled: SimulatedAws
) -> None:
    assert settled.names("us-east-2")
    cli("detach", "--target", "us-east-2", "--yes")
    cli("plan", "--target", "us-east-2", "--out", "plan.json")
    document = saved_plan() | {"format_version": "1.0"}
    for counts in (
        document["summary"],
        *document["targets"],
        *(p["summary"] for p in document["replications"]),
    ):
        counts["conflict"] = counts.pop("detached")
    for other in document["others"]:
        other["counted"] = "conflict"
    Path("plan.json").write_text(json.dumps(document))
    output = cli("show", "plan.json")
    assert output.exit_code == 0
    assert "3 conflicts" in output.stdout


def test_the_outputs_of_a_plan_count_what_is_not_a_change(
    cli: Cli, settled: SimulatedAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settled.names("us-east-2")
    assert cli("detach", "--target", "us-east-2", "--yes").exit_code == 0
    settled.delete("/app/url")
    cli("plan", "--out", "plan.json")
    monkeypatch.setenv("GITHUB_OUTPUT", "outputs")
    assert cli("publish", "plan.json", "--comment", "never").exit_code == 0
    output = dict(line.split("=", 1) for line in Path("outputs").read_text().splitlines())
    expected = {
        "changes": "1",
        "delete": "1",
        "danger": "1",
        "replace": "0",
        "detached": "2",
        "conflict": "0",
    }
    assert {name: output[name] for name in expected} == expected
    assert (output["withheld"], output["invalid"], output["orphaned"]) == ("0", "0", "0")
