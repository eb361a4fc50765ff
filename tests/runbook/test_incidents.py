"""Each incident is found by a plan, explained with its cause and remedy, and fixed by the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runbook.commands import SECRET, explain, plan, run
from tests.runbook.incidents import INCIDENTS, Incident
from tests.simulated_aws import SimulatedAws


def codes_of(document: dict[str, Any]) -> set[str]:
    """Every row, finding and guard of a plan."""
    every = [*document["changes"], *document["others"]]
    rows = {one["row"] for one in every}
    guards = {guard for one in document["changes"] for guard in one["withheld_by"]}
    return rows | guards | {finding["code"] for finding in document["findings"]}


def plain(text: str) -> str:
    return " ".join(text.split())


def test_there_are_twenty_at_least_and_no_two_alike() -> None:
    assert len({one.title for one in INCIDENTS}) == len(INCIDENTS) >= 20


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda one: one.title.replace(" ", "-"))
def test_an_incident_is_found_explained_and_fixed(aws: SimulatedAws, incident: Incident) -> None:
    incident.happen(aws)
    aws.pass_time()
    assert incident.found in codes_of(plan(*incident.words))

    said = plain(explain(incident.name, *incident.words))
    assert incident.cause in said
    assert incident.remedy in said
    assert SECRET not in said

    incident.mend(aws)
    aws.pass_time()
    done = run("apply", "--yes", "-q", *incident.words, *incident.flags)
    assert done.exit_code == 0, done.output
    aws.pass_time()
    after = plan(*incident.words)
    assert after["changes"] == []
    left = {word for word, count in after["summary"].items() if count} - {"in_sync"}
    assert left == set(), after["others"]
    assert incident.found not in codes_of(after)
    again = plain(explain(incident.name, *incident.words))
    assert incident.cause not in again


@pytest.mark.parametrize("incident", INCIDENTS, ids=lambda one: one.title.replace(" ", "-"))
def test_without_the_way_out_the_incident_stays(aws: SimulatedAws, incident: Incident) -> None:
    """The remedy fixes the incident, and an apply alone does not, unless it is the remedy."""
    incident.happen(aws)
    aws.pass_time()
    assert incident.found in codes_of(plan(*incident.words))
    run("apply", "--yes", "-q", *incident.words)
    aws.pass_time()
    still = incident.found in codes_of(plan(*incident.words))
    assert still is not incident.by_apply_alone


def test_an_apply_alone_is_the_way_out_where_a_key_was_re_pointed_and_nowhere_else() -> None:
    assert [one.title for one in INCIDENTS if one.by_apply_alone] == ["an alias points to another key"]
