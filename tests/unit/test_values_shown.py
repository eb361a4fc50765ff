"""Plain values in a plan: hidden where they look like secrets, reported where they belong to one region."""

from __future__ import annotations

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.model import IMAGE, SECURE, Place, Reading, Tags
from ssm_reconcile.plan import Plan
from ssm_reconcile.reconcile import plan_replication
from ssm_reconcile.record import OWNER, RECORD, WAS_SECRET, parse_record
from ssm_reconcile.settle import prove
from ssm_reconcile.spec import AdoptMode, Glob, Rewrite, RewriteIn, Run
from tests.builders import desired, listing, parameter, replication, target
from tests.simulated_aws import SimulatedAws

URL = "postgres://app:hunter2@db/x"


def value_of(plan: Plan, name: str = "/p/a") -> dict[str, object]:
    (found,) = [d for c in plan.changes if c.name == name for d in c.differences if d.attribute == "value"]
    return {
        "before": found.before, "after": found.after, "secret": found.secret, "by_shape": found.by_shape
    }  # fmt: skip


HIDDEN = {"before": None, "after": None, "secret": True, "by_shape": True}


def findings(plan: Plan, code: str) -> list[str]:
    return [one.message for one in plan.all_findings if one.code == code]


def test_a_new_plain_value_that_looks_like_a_secret_is_hidden_and_its_parameter_named() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", URL)
    plan = aws.plan()
    assert value_of(plan) == HIDDEN
    (message,) = findings(plan, "plain-secret")
    assert message.startswith("/p/a: not a SecureString although the value looks like a secret")
    assert "hunter2" not in repr(plan)


@pytest.mark.parametrize(("before", "after"), [(URL, "none"), ("none", URL), (URL, URL + "y")])
def test_both_sides_are_hidden_when_either_looks_like_a_secret(before: str, after: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", before)
    aws.put("/p/a", after)
    plan = aws.plan()
    assert value_of(plan) == HIDDEN
    assert len(findings(plan, "plain-secret")) == 1


def test_a_secret_beyond_what_is_shown_of_a_value_hides_all_of_it() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "x=1\n" * 900 + "db_password=hunter2")
    assert value_of(aws.plan()) == HIDDEN


def test_an_item_of_a_string_list_that_looks_like_a_secret_hides_the_list() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", f"one,two,{URL}", "StringList")
    assert value_of(aws.plan()) == HIDDEN


@pytest.mark.parametrize(
    ("value", "old", "new"), [("db: hole", "hole", URL), (URL, "hunter2@", "@"), (f"{URL} db", URL, "hole")]
)
def test_a_value_is_judged_before_and_after_its_rewrite(value: str, old: str, new: str) -> None:
    aws = SimulatedAws(replication(rewrites=(Rewrite(Glob("/p/**"), RewriteIn.VALUE, old, new),)))
    aws.put("/p/a", value)
    assert value_of(aws.plan()) == HIDDEN


def test_a_name_under_show_lifts_what_its_name_and_its_value_say() -> None:
    aws = SimulatedAws(replication(show=(Glob("/p/*token"),)))
    aws.put("/p/a-token", URL)
    plan = aws.plan()
    assert value_of(plan, "/p/a-token")["after"] == URL
    assert findings(plan, "plain-secret") == []


@pytest.mark.parametrize(
    ("show", "is_shown"), [(("/p/a",), False), (("/q/b",), False), (("/p/a", "/q/b"), True)]
)
@pytest.mark.parametrize("live", [None, "none"])
def test_a_renamed_value_that_looks_secret_is_shown_if_both_names_are_under_show(
    show: tuple[str, ...], is_shown: bool, live: str | None
) -> None:
    moved = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", "/q/b")
    aws = SimulatedAws(replication(rewrites=(moved,), show=tuple(map(Glob, show))))
    aws.put("/p/a", URL)
    if live is not None:
        aws.put("/q/b", live, region="us-east-2")
    plan = aws.plan(run=Run(adopt=AdoptMode.OVERWRITE, max_change_percent=1000))
    assert (value_of(plan, "/q/b")["after"] == URL) is is_shown
    assert ("hunter2" in repr(plan)) is is_shown


def test_a_value_hidden_by_its_name_is_reported_once() -> None:
    aws = SimulatedAws()
    aws.put("/p/token", URL)
    (message,) = findings(aws.plan(), "plain-secret")
    assert "although the name looks secret" in message


def test_values_that_versions_prove_are_not_read() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", URL)
    aws.world.traffic.calls.clear()
    plan = aws.plan()
    assert plan.changes == ()
    assert "GetParameters" not in {call.operation for call in aws.world.traffic.calls}


REGIONAL = {
    "ami-0123456789abcdef0": "an id of one region",
    "subnet-0a1b2c3d,subnet-0a1b2c3e": "an id of one region",
    "sg-0123456789abcdef0": "an id of one region",
    "arn:aws:sqs:us-east-1:123456789012:orders": "an ARN or a host name of us-east-1",
    "https://sqs.us-east-1.amazonaws.com/1/x": "an ARN or a host name of us-east-1",
    "db.abc.us-east-1.rds.amazonaws.com": "an ARN or a host name of us-east-1",
}


@pytest.mark.parametrize(("value", "expected"), REGIONAL.items())
def test_a_value_of_the_source_region_is_reported_and_replicated(value: str, expected: str) -> None:
    aws = SimulatedAws()
    aws.put("/p/a", value, "StringList" if "," in value else "String")
    plan = aws.plan()
    (message,) = findings(plan, "regional-value")
    assert message.startswith("/p/a: the value holds " + expected)
    assert value not in message
    assert aws.carry_out(plan).exit_code == 0


@pytest.mark.parametrize(
    "value", ["us-east-1", "eu-west-1.example.org", "arn:aws:iam::123456789012:role/x", "vpc-production"]
)
def test_other_values_are_not_reported_as_regional(value: str) -> None:
    aws = SimulatedAws()
    aws.put("/p/a", value)
    assert findings(aws.plan(), "regional-value") == []


def test_a_rewritten_value_is_not_reported_as_regional() -> None:
    rewrites = (
        Rewrite(Glob("/p/ami"), RewriteIn.VALUE, "ami-0123456789abcdef0", "ami-0123456789abcdef1"),
        Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}"),
    )
    aws = SimulatedAws(replication(rewrites=rewrites))
    aws.put("/p/ami", "ami-0123456789abcdef0")
    aws.put("/p/host", "db.us-east-1.example.org")
    aws.put("/p/kept", "subnet-0a1b2c3d.us-east-1.example.org")
    (message,) = findings(aws.plan(), "regional-value")
    assert message.startswith("/p/kept: the value holds an id")


def test_many_regional_values_in_many_targets_are_one_finding() -> None:
    aws = SimulatedAws(replication(targets=(target(), target("eu-west-1", region="eu-west-1"))))
    for number in range(8):
        aws.put(f"/p/{number}", "sg-0123456789abcdef0")
    (message,) = findings(aws.plan(), "regional-value")
    assert message.startswith("/p/0, /p/1, /p/2, /p/3, /p/4 and 3 more: ")


def test_a_target_in_the_same_region_has_no_regional_values() -> None:
    """Of another account: what names the region is right there, and nothing is searched."""
    there = listing(Place("210987654321", "us-east-1"))
    here = listing(Place("123456789012", "us-east-1"), parameter("/p/a"))
    found = prove(replication(), "other", {"/p/a": desired()}, here, there, Run())
    assert [question.region for question in found.source.values()] == [""]
    elsewhere = listing(Place("210987654321", "us-east-2"))
    found = prove(replication(), "other", {"/p/a": desired()}, here, elsewhere, Run())
    assert [question.region for question in found.source.values()] == ["us-east-1"]


def test_an_image_has_its_own_finding_only() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "ami-0123456789abcdef0", data_type=IMAGE)
    (message,) = findings(aws.plan(run=Run()), "regional-value")
    assert "AMI ids are regional and AWS checks them after the write" in message


def test_a_former_secret_is_hidden_after_any_number_of_changes() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "PLANTED", SECURE)
    aws.put("/p/a", "PLANTED", "String")
    assert aws.apply(run=Run(max_deletes=100, max_change_percent=1000)).summary["applied"] == 1
    assert aws.live("/p/a").type == "String"
    for value in ("second", "third"):
        aws.put("/p/a", value, "String")
        (change,) = aws.plan(run=Run(max_deletes=100, max_change_percent=1000)).changes
        assert [(d.attribute, d.secret, d.before, d.after) for d in change.differences] == [
            ("value", True, None, None)
        ]
        assert aws.apply(run=Run(max_deletes=100, max_change_percent=1000)).summary["applied"] == 1
        record = parse_record((aws.world.tags(aws.there, "/p/a") or {})[RECORD])
        assert record is not None
        assert record.key == WAS_SECRET
    assert aws.plan().changes == ()


def former_secret() -> tuple[SimulatedAws, Tags]:
    """Return an AWS with a plain replica that was a SecureString, and the tags of the replica."""
    aws = SimulatedAws()
    aws.replicate("/p/a", "PLANTED", SECURE)
    aws.put("/p/a", "PLANTED", "String")
    aws.apply(run=Run(max_deletes=100, max_change_percent=1000))
    tags = aws.world.tags(aws.there, "/p/a") or {}
    assert f"key={WAS_SECRET}" in tags[RECORD]
    return aws, tags


def test_a_former_secret_without_its_owner_tag_is_hidden() -> None:
    aws, _ = former_secret()
    aws.world.untag(aws.there, "/p/a", OWNER)
    aws.put("/p/a", "PLANTED-2", "String")
    aws.pass_time()
    plan = aws.plan()
    assert [(one.row, one.conflict is not None) for one in plan.others] == [(Row.CONFLICT, True)]
    assert "PLANTED" not in repr(plan)


@pytest.mark.parametrize("live", [None, "other"])
def test_a_source_that_was_the_replica_of_a_secret_is_hidden(live: str | None) -> None:
    _, tags = former_secret()
    aws = SimulatedAws()
    aws.put("/p/a", "PLANTED", tags={OWNER: f"detached:{tags[OWNER]}", RECORD: tags[RECORD]})
    if live is not None:
        aws.put("/p/a", live, region="us-east-2")
    plan = aws.plan()
    rows = [*(one.row for one in plan.changes), *(one.row for one in plan.others)]
    assert rows == [Row.CONFLICT if live else Row.CREATE]
    assert "PLANTED" not in repr(plan)


def test_texts_are_kept_only_where_they_are_shown_and_differ() -> None:
    aws = SimulatedAws()
    for name, live, source in (
        ("same", "1", "1"),
        ("other", "1", "2"),
        ("token", "1", "2"),
        ("url", "x", URL),
    ):
        aws.put(f"/p/{name}", live, region="us-east-2")
        aws.put(f"/p/{name}", source)
    aws.put("/p/key", "1", SECURE, region="us-east-2")
    aws.put("/p/key", "2")
    _, contexts = plan_replication(aws.spec, aws.session())
    readings = contexts["us-east-2"].readings
    kept = {
        address: [one.text for one in (readings.source[address], held) if isinstance(one, Reading)]
        for address, held in readings.live.items()
    }
    hidden = {name: [None, None] for name in ("/p/same", "/p/token", "/p/url", "/p/key")}
    assert kept == {"/p/other": ["2", "1"], **hidden}
