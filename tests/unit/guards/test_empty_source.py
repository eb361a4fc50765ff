"""A source that selects nothing is more likely a mistake than a wish to delete everything."""

from __future__ import annotations

from functools import partial

from ssm_reconcile.errors import Where
from ssm_reconcile.guards import GuardRules, withhold_changes
from ssm_reconcile.model import Access
from ssm_reconcile.spec import Run, Source
from tests.builders import HERE, deletes, fates, part, releases, replication

guard = partial(withhold_changes, names=["empty-source"])

RULES = GuardRules(replication())


def test_deletes_and_releases_are_withheld_when_nothing_is_selected() -> None:
    found = guard(part(*deletes(1), *releases(2), selected=0), RULES)
    assert fates(found) == {"withheld": 3}
    assert found.summary()["withheld"] == 3


def test_one_selected_parameter_is_enough() -> None:
    plan = part(*deletes(1), selected=1)
    assert guard(plan, RULES) == plan


def test_the_flag_lifts_it() -> None:
    plan = part(*deletes(1), selected=0)
    assert guard(plan, GuardRules(replication(), Run(allow_empty_source=True))) == plan


def test_with_nothing_to_delete_it_says_nothing() -> None:
    assert guard(part(selected=0), RULES).findings == ()


def test_the_finding_says_where_what_is_at_stake_and_what_lifts_it() -> None:
    (finding,) = guard(part(*deletes(1), selected=0), RULES).findings
    assert finding.where == str(HERE)
    assert "100 replicas" in finding.message
    assert finding.remedy is not None
    assert finding.remedy.flag == "--allow-empty-source", "a single delete is under no other guard"
    (finding,) = guard(part(*deletes(2), selected=0), RULES).findings
    assert finding.remedy is not None
    assert finding.remedy.flag == "--allow-empty-source --max-deletes 2"
    spec = replication(source=Source(Access("us-east-1"), where=Where("replication.yaml", 4, 3)))
    (finding,) = guard(part(*deletes(1), selected=0), GuardRules(spec)).findings
    assert finding.where == "replication.yaml:4:3"
