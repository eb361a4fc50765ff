"""Two specs with one name at one source: the id in the record keeps their replicas apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_reconcile import detach
from ssm_reconcile.change import Row
from ssm_reconcile.detach import DetachReport
from ssm_reconcile.record import OWNER, RECORD, Claim, Standing, digest, digest_id, standing
from ssm_reconcile.skip_sync import OnSkip, SkipSync
from ssm_reconcile.spec import AdoptMode, Glob, Orphans, Replication, Run
from tests.builders import ID, OWNED_BY, THERE, counted, held, judge, outcome, record, replica, replication
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.cli.conftest import Cli, aws, cli

__all__ = ["aws", "cli"]

OTHER = "h5t8w4p2zc"
ARN = THERE.arn("/p/a")


def spec(spec_id: str | None, **more: object) -> Replication:
    return replication(id=spec_id, **more)


def of_team(spec_id: str | None, *names: str) -> SimulatedAws:
    """A target with replicas of a spec with that id."""
    aws = SimulatedAws(spec(spec_id))
    for name in names or ("/p/a",):
        aws.put(name, "v")
    aws.apply()
    aws.world.traffic.forget()
    return aws


def findings(document: str, code: str) -> list[dict[str, str]]:
    """Return the findings of a plan document that have that code."""
    return [one for one in json.loads(document)["findings"] if one["code"] == code]


def detached(aws: SimulatedAws, *, without_id: bool = False, undo: bool = False) -> DetachReport:
    request = detach.resolve_request(aws.spec, "us-east-2", aws.places(), undo=undo, without_id=without_id)
    return detach.detach(request, request.find_replicas(), aws.clock, unwatched, aws.stop, 1)


class TestStandingById:
    @pytest.mark.parametrize(
        ("recorded", "ids", "placed", "found"),
        [
            (ID, {ID}, False, Standing.OURS),
            (ID, {OTHER}, True, Standing.OTHER_ID),
            (ID, {OTHER}, False, Standing.OTHER_ID),
            (ID, {OTHER, ID}, False, Standing.OURS),
            (ID, {None}, True, Standing.OTHER_ID),
            (ID, {None, ID}, False, Standing.OURS),
            (None, {ID}, True, Standing.OURS),
            (None, {ID}, False, Standing.NO_ID),
            (None, {None}, False, Standing.OURS),
        ],
    )
    def test_the_id_in_the_record_decides(
        self, recorded: str | None, ids: set[str | None], placed: bool, found: Standing
    ) -> None:
        claim = Claim((OWNED_BY,), frozenset(None if one is None else digest_id(one) for one in ids))
        records = [record(spec_id=recorded)] if recorded else [record(spec_id=None), record(own=digest(ARN))]
        for one in records:
            assert standing({OWNER: OWNED_BY, RECORD: one.text()}, ARN, claim, placed=placed) is found

    def test_today_and_earlier_ids_make_the_claim_of_a_spec(self) -> None:
        assert spec(ID, previous_ids=(OTHER,)).claim(THERE).ids == {digest_id(ID), digest_id(OTHER)}
        assert spec(None, previous_ids=(OTHER,)).claim(THERE).ids == {None, digest_id(OTHER)}


class TestAnotherId:
    @pytest.mark.parametrize("mine", [OTHER, None])
    @pytest.mark.parametrize("mode", list(AdoptMode))
    def test_no_adopt_mode_touches_a_replica_of_another_id(self, mine: str | None, mode: AdoptMode) -> None:
        source = held(version=2)
        found = judge(source, replica(source, "other"), spec=spec(mine, adopt=mode))
        assert found.row == "foreign"
        assert "another spec with the same name" in found.reasons

    @pytest.mark.parametrize("mine", [OTHER, None])
    def test_it_is_not_an_orphan_and_not_deleted_after_its_source_is_deleted(self, mine: str | None) -> None:
        aws = of_team(ID, "/p/a", "/p/gone")
        aws.delete("/p/gone")
        aws.spec = spec(mine, orphans=Orphans.DELETE, exclude=(Glob("/p/a"),))
        assert counted(aws.plan(run=Run(max_deletes=9))) == {}

    @pytest.mark.parametrize("mine", [OTHER, None])
    def test_detach_leaves_it_alone_and_names_it(self, mine: str | None) -> None:
        aws = of_team(ID)
        aws.spec = spec(mine)
        (one,) = detached(aws, without_id=True).outcomes
        assert (one.result.value, "another spec with the same name" in one.reason) == ("withheld", True)
        assert detached(aws, without_id=True).exit_code == 5
        assert (aws.world.tags(aws.there, "/p/a") or {})[OWNER] == OWNED_BY
        assert not aws.world.traffic.writes()

    def test_detach_undo_leaves_what_another_spec_detached(self) -> None:
        aws = of_team(ID)
        detached(aws)
        aws.spec = spec(OTHER)
        assert [one.result.value for one in detached(aws, undo=True).outcomes] == ["withheld"]

    def test_a_source_that_is_a_replica_of_another_id_stays_chained(self) -> None:
        aws = of_team(ID)
        tags = {OWNER: OWNED_BY, RECORD: record(own=digest(aws.here.arn("/p/a"))).text()}
        aws.world.tag(aws.here, "/p/a", tags)
        assert [one.row for one in aws.plan().others] == [Row.CHAINED]


@pytest.mark.parametrize("act", ["update", "retag", "delete", "replace"])
@pytest.mark.parametrize("then", [OTHER, None])
def test_a_replica_that_gets_another_id_after_the_plan_is_not_written(act: str, then: str | None) -> None:
    """Ownership is read again right before each write."""
    aws = of_team(ID, "/p/a", "/p/b")
    if act == "update":
        aws.put("/p/a", "new")
    elif act == "retag":
        aws.world.tag(aws.here, "/p/a", {"team": "b"})
    else:
        aws.put("/p/a", "v", tier="Advanced")
        aws.apply()
        aws.delete("/p/a")
        aws.pass_time()
    if act == "replace":
        aws.put("/p/a", "v")
    aws.pass_time()
    run = Run(allow_replace=True, max_deletes=2)
    plan = aws.plan(run=run)
    assert [one.action.value for one in plan.changes] == [act]
    aws.world.tag(aws.there, "/p/a", {RECORD: record(spec_id=then).text()})
    aws.world.traffic.forget()
    report = aws.carry_out(plan, run=run)
    if then is None and act != "delete":  # placed, so it is ours still
        assert outcome(report).result.value == "applied"
    else:
        assert outcome(report).result.value == "stale"
        assert not aws.world.traffic.writes()


def test_a_plan_is_not_applied_under_another_id_than_it_was_approved_with() -> None:
    """A create would write a record with an id that was not approved."""
    found = []
    for one in (ID, OTHER, None):
        aws = SimulatedAws(spec(one))
        aws.put("/p/a", "v")
        found.append(aws.plan().plan_id)
    assert len(set(found)) == 3


class TestWithoutAnId:
    def test_a_replica_at_a_placed_address_is_retagged_once(self) -> None:
        aws = of_team(None)
        aws.spec = spec(ID)
        assert counted(aws.plan()) == {"retag": 1}
        aws.apply()
        assert counted(aws.plan()) == {"in_sync": 1}
        assert aws.version("/p/a") == 1

    def test_a_replica_at_an_unplaced_address_is_kept_and_reported(self) -> None:
        aws = of_team(None, "/p/orphan", "/p/gone", "/p/a")
        aws.delete("/p/gone")
        aws.pass_time()
        aws.spec = spec(ID, orphans=Orphans.DELETE, exclude=(Glob("/p/orphan"),))
        plan = aws.plan()
        assert counted(plan) == {"retag": 1}
        (finding,) = [
            one for part in plan.replications for one in part.findings if one.code == "replica-without-id"
        ]
        assert "/p/gone, /p/orphan" in finding.message

    def test_it_is_not_deleted_when_its_source_opts_out(self) -> None:
        aws = of_team(None)
        aws.world.tag(aws.here, "/p/a", {"skip_sync": "true"})
        aws.pass_time()
        aws.spec = spec(ID, skip_sync=SkipSync(replicas=OnSkip.DELETE))
        (other,) = aws.plan().others
        assert other.row is Row.KEPT_OUT
        assert "has no id" in other.reasons[0]

    def test_detach_leaves_it_alone_unless_it_is_asked_for(self) -> None:
        aws = of_team(None)
        aws.spec = spec(ID)
        left = detached(aws)
        assert left.exit_code == 3
        assert "--without-id" in left.outcomes[0].reason
        assert not aws.world.traffic.writes()
        assert detached(aws, without_id=True).exit_code == 0
        assert (aws.world.tags(aws.there, "/p/a") or {})[OWNER] == f"detached:{OWNED_BY}"


class TestPreviousIds:
    @pytest.mark.parametrize(("before", "after"), [(ID, OTHER), (ID, None)])
    def test_an_earlier_id_is_ours_and_is_rewritten_to_todays_or_to_none(
        self, before: str, after: str | None
    ) -> None:
        aws = of_team(before, "/p/a", "/p/gone")
        aws.delete("/p/gone")
        aws.pass_time()
        aws.spec = spec(after, previous_ids=(before,))
        assert counted(aws.plan()) == {"retag": 1, "delete": 1}
        aws.apply(run=Run(max_deletes=1))
        aws.spec = spec(after)
        assert counted(aws.plan()) == {"in_sync": 1}


class TestCommands:
    @pytest.fixture
    def shared(self, aws: SimulatedAws, cli: Cli) -> SimulatedAws:
        """Replicas of a spec with the same name and another id."""
        path = Path("replication.yaml")
        text = path.read_text()
        path.write_text(f"{text}\nid: {OTHER}\n")
        assert cli("apply", "--yes", "-q").exit_code == 0
        path.write_text(f"{text}\nid: {ID}\n")
        return aws

    def test_plan_explain_doctor_and_detach_name_it(self, shared: SimulatedAws, cli: Cli) -> None:
        name = "/app/url"
        words = "another spec"
        assert words in cli("plan").stdout
        explained = cli("explain", name).stdout
        assert words in explained
        assert "`previous_ids`" in explained
        assert words in cli("doctor").stdout
        assert words in cli("detach", "--target", "us-east-2", "--yes").stdout

    @pytest.mark.parametrize("spec_id", [f"\nid: {ID}\n", ""])
    def test_plan_and_explain_name_a_replica_of_another_id_whose_source_is_gone(
        self, shared: SimulatedAws, cli: Cli, spec_id: str
    ) -> None:
        path = Path("replication.yaml")
        path.write_text(path.read_text().replace(f"\nid: {ID}\n", spec_id))
        shared.delete("/app/url")
        finding, _ = findings(cli("plan", "--format", "json").stdout, "replica-of-another-id")
        assert finding["severity"] == "warning"
        assert ": replicas of another id, on which nothing is placed: 1 (/app/url)." in finding["message"]
        assert "`previous_ids`" in finding["message"]
        explained = " ".join(cli("explain", "/app/url").stdout.split())
        assert "it belongs to another spec with the same name, or to this spec before its `id`" in explained
        assert "`previous_ids`" in explained
        assert "spelling" not in explained

    def test_a_narrowed_plan_names_replicas_of_another_id_only_inside_the_narrowing(
        self, shared: SimulatedAws, cli: Cli
    ) -> None:
        shared.delete("/app/url")
        inside, outside = (
            cli("plan", "--only", name, "--format", "json") for name in ("/app/url", "/app/hosts")
        )
        assert len(findings(inside.stdout, "replica-of-another-id")) == 2
        assert not findings(outside.stdout, "replica-of-another-id")

    def test_explain_and_doctor_keep_a_replica_without_an_id_on_which_nothing_is_placed(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        path = Path("replication.yaml")
        assert cli("apply", "--yes", "-q").exit_code == 0
        aws.delete("/app/url")
        path.write_text(f"{path.read_text()}\nid: {ID}\n")
        explained = " ".join(cli("explain", "/app/url").stdout.split())
        assert "the replica there has no id and may belong to another spec with the same name" in explained
        assert "spelling" not in explained
        examined = " ".join(cli("doctor").stdout.split())
        assert "delete those" not in examined
        assert "They may belong to another spec with the same name, so they are kept" in examined

    def test_detach_of_another_specs_replicas_ends_5_and_says_that_they_stay(
        self, shared: SimulatedAws, cli: Cli
    ) -> None:
        expected = cli("detach", "--target", "us-east-2", "--yes")
        assert expected.exit_code == 5
        assert "3 replicas of another spec with the same name left alone" in expected.stdout.splitlines()[0]

    def test_the_finding_about_replicas_without_an_id_names_the_earlier_name(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        path = Path("replication.yaml")
        assert cli("apply", "--yes", "-q").exit_code == 0
        aws.delete("/app/url")
        text = path.read_text().replace("name: prod", "name: live\nprevious_names: [prod]")
        path.write_text(f"{text}\nid: {ID}\n")
        finding = findings(cli("plan", "--format", "json").stdout, "replica-without-id")[-1]
        assert "the owner tag of prod, but" in finding["message"]
        assert f"detaches every replica in {finding['where']}," in finding["message"]

    def test_orphan_deletes_without_an_id_are_withheld_and_validate_reports_an_error(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        path = Path("replication.yaml")
        assert cli("apply", "--yes", "-q").exit_code == 0
        text = path.read_text().replace('"/app/**"]', '"/app/**"], exclude: ["/app/url"]')
        path.write_text(text.replace("delete: owned", "delete: owned\norphans: delete"))
        expected = cli("apply", "--yes")
        assert expected.exit_code == 5
        assert "Add `id:`" in expected.output
        checked = cli("validate", "--format", "json")
        assert checked.exit_code == 1
        (finding,) = json.loads(checked.stdout)["findings"]
        assert (finding["severity"], finding["code"]) == ("error", "no-id")
        assert finding["where"].startswith("replication.yaml:")
        for words in ("Add `id:`", "select them again, apply with the `id`, and then exclude them"):
            assert words in finding["message"]
            assert words in " ".join(expected.output.split())

    def test_init_writes_an_id_that_differs_each_time(self, aws: SimulatedAws, cli: Cli) -> None:
        found = {
            cli(
                "init", "--source-region", "us-east-1", "--target", "us-east-2", "--output", "-"
            ).stdout.split("\nid: ")[1][:12]
            for _ in range(2)
        }
        assert len(found) == 2
        assert all(one.isalnum() and one == one.lower() and one[0].isalpha() for one in found)
