"""`plan --against`: the effect of a change to the spec, apart from what was pending before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Parameter
from ssm_reconcile.stores.base import Store
from tests.fake_aws.store import MemoryStore
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SPEC, Cli

BASE = "base.yaml"


@pytest.fixture(autouse=True)
def base(aws: SimulatedAws) -> None:
    """The base selects less than the head: /app/new is of this change."""
    rules = 'parameters: { include: ["/app/**"], exclude: ["/app/new"] }'
    Path(BASE).write_text(SPEC.replace('parameters: { include: ["/app/**"] }', rules))
    aws.put("/app/new", "of this change")


def planned(cli: Cli, *words: str) -> dict[str, Any]:
    result = cli("plan", "--format", "json", *words)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def pending(document: dict[str, Any]) -> set[str]:
    return {change["name"] for change in document["changes"] if change["pending"]}


def warnings(document: dict[str, Any]) -> list[str]:
    return [finding["message"] for finding in document["findings"] if finding["code"] == "not-compared"]


def listings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The places that are listed from now on."""
    listed: list[str] = []
    describe = MemoryStore.describe

    def noting(store: MemoryStore) -> Iterator[Sequence[Parameter]]:
        listed.append(str(store.place))
        return describe(store)

    monkeypatch.setattr(MemoryStore, "describe", noting)
    return listed


def test_changes_of_the_base_are_pending(aws: SimulatedAws, cli: Cli) -> None:
    document = planned(cli, "--against", BASE)
    names = {change["name"] for change in document["changes"]}
    assert pending(document) == {"/app/url", "/app/hosts", "/app/key"}
    assert names - pending(document) == {"/app/new"}
    assert document["against"] == {"pending": 6, "dropped": []}


def test_an_unaltered_spec_has_everything_pending_and_lists_nothing_twice(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = listings(monkeypatch)
    document = planned(cli, "--against", "replication.yaml")
    assert document["against"]["pending"] == len(document["changes"]) == 8
    assert len(listed) == 3, "each place was listed once"


def test_both_are_planned_over_one_listing_of_each_place(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = listings(monkeypatch)
    planned(cli, "--against", BASE)
    assert len(listed) == 3


def test_changes_of_the_base_only_are_dropped(aws: SimulatedAws, cli: Cli) -> None:
    head, base = Path("replication.yaml"), Path(BASE)
    result, before = head.read_text(), base.read_text()
    head.write_text(before)
    base.write_text(result)
    dropped = planned(cli, "--against", BASE)["against"]["dropped"]
    assert {(one["name"], one["target"]) for one in dropped} == {
        ("/app/new", "us-east-2"),
        ("/app/new", "eu-west-1"),
    }


def test_the_plan_id_is_that_of_a_plan_without_the_comparison_and_apply_takes_it(
    aws: SimulatedAws, cli: Cli
) -> None:
    plain = planned(cli)["plan_id"]
    assert planned(cli, "--against", BASE, "--out", "plan.json")["plan_id"] == plain
    assert cli("apply", "plan.json").exit_code == 0
    assert "/app/new" in aws.names("us-east-2")


def test_an_invalid_base_is_a_warning_and_the_plan_is_made(aws: SimulatedAws, cli: Cli) -> None:
    Path(BASE).write_text("version: [")
    document = planned(cli, "--against", BASE)
    assert document["against"] is None
    assert len(document["changes"]) == 8
    assert len(warnings(document)) == 1


def test_a_base_whose_account_is_wrong_is_a_warning(aws: SimulatedAws, cli: Cli) -> None:
    Path(BASE).write_text(
        SPEC.replace("{ region: us-east-1 }", '{ region: us-east-1, account: "999999999999" }')
    )
    document = planned(cli, "--against", BASE)
    assert "999999999999" in warnings(document)[0]
    assert document["against"] is None


def test_a_place_of_the_base_that_cannot_be_reached_spoils_nothing(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(access: Access) -> Store:
        if access.region == "eu-north-1":
            raise StoreError(Trouble.DENIED, place="eu-north-1", operation="GetCallerIdentity", code="no")
        return aws.connect(access)

    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: connect)
    Path(BASE).write_text(SPEC.replace("eu-west-1", "eu-north-1"))
    document = planned(cli, "--against", BASE)
    assert {c["target"] for c in document["changes"] if c["pending"]} == {"us-east-2"}
    assert document["complete"]


def test_a_replication_that_is_new_has_nothing_pending(aws: SimulatedAws, cli: Cli) -> None:
    Path(BASE).write_text(SPEC.replace("name: prod", "name: other"))
    document = planned(cli, "--against", BASE)
    assert pending(document) == set()
    assert {one["replication"] for one in document["against"]["dropped"]} == {"other"}


def test_a_narrowed_run_compares_only_the_selected_names(aws: SimulatedAws, cli: Cli) -> None:
    document = planned(cli, "--against", BASE, "--target", "us-east-2", "--only", "/app/n*")
    assert [change["name"] for change in document["changes"]] == ["/app/new"]
    assert document["against"] == {"pending": 0, "dropped": []}


def test_a_base_that_is_not_there_is_a_warning(aws: SimulatedAws, cli: Cli) -> None:
    assert len(warnings(planned(cli, "--against", "nowhere.yaml"))) == 1
