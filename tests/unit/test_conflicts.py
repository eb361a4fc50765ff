"""A parameter that is not a replica and differs: both sides are in the plan, unless one is a secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.cli.show import render_plan
from ssm_reconcile.documents.decode import read_plan_document
from ssm_reconcile.documents.encode import plan_document, report_document
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import SECURE, STRING_LIST
from ssm_reconcile.plan import ExistingParameter, Plan
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.renderers.changes import TERMINAL_ONLY
from ssm_reconcile.renderers.comment_context import CommentContext
from ssm_reconcile.renderers.drift_issue import plan_issue
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.renderers.groups import AddressGroup
from ssm_reconcile.renderers.markdown import plan_comment, plan_summary
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView
from ssm_reconcile.spec import AdoptMode, Glob, Rewrite, RewriteIn, Run
from tests.builders import replication, target
from tests.fake_aws.traffic import refused
from tests.simulated_aws import SimulatedAws
from tests.unit.renderers.plans import whole

SCHEMA = json.loads((Path(__file__).parents[2] / "schema/plan.schema.json").read_text(encoding="utf-8"))
SIDES = """\
value  max: 100 -> 250
       name:
       -  x
       + y
       before begins with 1 space
"""
URL = "postgres://app:hunter2@db/x"


def conflicting(
    before: str, after: str, kinds: tuple[str, str] = ("String", "String"), **rules: Any
) -> SimulatedAws:
    """Return an AWS with `/p/a` at the source and, by another writer, in the target."""
    aws = SimulatedAws(replication(**rules))
    aws.put("/p/a", after, kinds[1])
    aws.put("/p/a", before, kinds[0], region="us-east-2")
    return aws


def existing(plan: Plan) -> ExistingParameter | None:
    (found,) = [one for one in plan.others if one.name == "/p/a"]
    assert found.counted == "conflict"
    return found.conflict


def document(plan: Plan) -> Any:
    made = whole(plan_document(plan, tool_version="1", created=datetime(2026, 11, 29, tzinfo=UTC)))
    jsonschema.validate(made, SCHEMA)
    assert read_plan_document(dumps(made)) == made
    return made


def group(plan: Plan) -> AddressGroup:
    (found,) = PlanView(document(plan)).groups
    return found


def phrases(found: AddressGroup, name: str = "/p/a") -> list[list[str]]:
    return [
        [f"{line.label} {line.phrase(is_new=False)}" for line in conflict.lines]
        for conflict in found.conflicts.get(name, ())
    ]


def test_both_sides_of_a_conflict_are_in_the_plan_by_part() -> None:
    plan = conflicting('{"max": 100}', '{"max": 250, "new": 1}').plan()
    assert phrases(group(plan)) == [["value max: 100 -> 250", "value new: 1 added"]]
    entry = document(plan)["others"][0]
    assert (entry["row"], entry["type"], entry["version"]) == ("conflict", "String", 1)
    assert entry["writer"].endswith("another-writer")
    assert "show" not in entry


def test_attributes_and_tags_of_a_conflict_are_in_the_plan_too() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", description="at the source", tags={"team": "a"})
    aws.put("/p/a", "v", description="here", tags={"team": "b"}, region="us-east-2")
    expected = ["description here -> at the source", "tags team=b -> team=a"]
    assert phrases(group(aws.plan())) == [expected]


@pytest.mark.parametrize(
    ("kinds", "expected"), [(("String", SECURE), []), ((SECURE, "String"), []), ((SECURE, SECURE), [])]
)
def test_a_conflict_with_a_secure_string_shows_neither_side(
    kinds: tuple[str, str], expected: list[str]
) -> None:
    plan = conflicting("PLANTED-before", "PLANTED-after", kinds).plan()
    assert "PLANTED" not in dumps(document(plan))
    found = existing(plan)
    assert found is not None
    (value,) = [one for one in found.differences if one.attribute == "value"]
    assert (value.secret, value.parts, value.before, value.after) == (True, None, None, None)
    assert [line for lines in phrases(group(plan)) for line in lines if line.startswith("value")] == []


@pytest.mark.parametrize(("before", "after"), [(URL, "none"), ("none", URL), ("x=1\n" * 900 + URL, "none")])
def test_a_conflict_with_a_secret_shape_on_either_side_is_hidden_whole(before: str, after: str) -> None:
    plan = conflicting(before, after).plan()
    assert document(plan)["others"][0]["attributes"] == {"value": {"secret": True, "by_shape": True}}
    assert phrases(group(plan)) == [["value (hidden: the value looks secret)"]]


def test_a_conflict_of_a_name_that_looks_secret_is_hidden() -> None:
    plan = conflicting("PLANTED-1", "PLANTED-2", hide=(Glob("a"),)).plan()
    assert phrases(group(plan)) == [["value (hidden because of its name or its tags)"]]
    assert "PLANTED" not in repr(plan)


def test_a_name_under_show_is_shown_in_comments_and_pages_too() -> None:
    plan = conflicting("1", "2", show=(Glob("/p/a"),)).plan()
    assert document(plan)["others"][0]["show"] is True
    (conflict,) = group(plan).conflicts["/p/a"]
    assert conflict.is_public
    (conflict,) = group(conflicting("1", "2").plan()).conflicts["/p/a"]
    assert not conflict.is_public


def test_a_terminal_shows_both_sides_and_a_comment_does_under_show_only() -> None:
    for show, is_public in (((), False), ((Glob("/p/a"),), True)):
        plan = conflicting('{"max": 100, "name": " x"}', '{"max": 250, "name": "y"}', show=show).plan()
        view = PlanView(document(plan))
        assert indent(SIDES, " " * 6) in plan_text(view)
        assert (indent(SIDES, " " * 4) in plan_comment(view)) is is_public
        last = "version 1, last changed 2026-11-23 12:00 UTC"
        on_terminal = f"/p/a   us-east-2   {last} (5 days before this plan) by user another-writer\n"
        assert on_terminal in plan_text(view)
        assert f"/p/a  {last} by user another-writer\n" in plan_comment(view)


TAKE_OVER = Run(adopt=AdoptMode.OVERWRITE, max_change_percent=1000)


def public_outputs(made: Any) -> dict[str, str]:
    """Return every output that others than the operator read."""
    view = PlanView(made)
    return {
        "comment": plan_comment(view),
        "summary": plan_summary(view),
        "issue": plan_issue(view, context=CommentContext(), budget=60_000),
        "markdown": "".join(render_plan("markdown", made, color=False)),
        "html": "".join(render_plan("html", made, color=False)),
    }


@pytest.mark.parametrize(
    ("show", "is_public"), [((), False), ((Glob("/p/a"),), True)], ids=["hidden", "shown"]
)
def test_a_take_over_shows_both_sides_as_a_conflict_does(show: tuple[Glob, ...], is_public: bool) -> None:
    aws = SimulatedAws(replication(show=show))
    aws.put("/p/a", "NEW-value", description="NEW-text", tags={"team": "NEW-tag"})
    aws.put("/p/a", "OLD-value", description="OLD-text", tags={"team": "OLD-tag"}, region="us-east-2")
    made = document(aws.plan(run=TAKE_OVER))
    (entry,) = made["changes"]
    assert (entry["takes_over"], entry.get("show", False)) == (True, is_public)
    sides = [f"{age}-{what}" for age in ("NEW", "OLD") for what in ("value", "text", "tag")]
    on_terminal = plan_text(PlanView(made))
    assert all(side in on_terminal for side in sides)
    for output, text in public_outputs(made).items():
        assert [side in text for side in sides] == [is_public] * len(sides), output
    note = f"value, description, tags  {TERMINAL_ONLY}"
    assert (note in plan_comment(PlanView(made))) is not is_public


def test_a_take_over_of_a_secure_string_says_why_it_is_hidden() -> None:
    plan = conflicting("PLANTED-1", "PLANTED-2", (SECURE, SECURE)).plan(run=TAKE_OVER)
    comment = plan_comment(PlanView(document(plan)))
    assert "value  (secret) changed, from us-east-1 version 1" in comment
    assert TERMINAL_ONLY not in comment


def test_an_update_of_a_replica_shows_both_sides_everywhere() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "OLD")
    aws.put("/p/a", "NEW")
    for output, text in public_outputs(document(aws.plan())).items():
        assert [side in text for side in ("OLD", "NEW")] == [True, True], output


@pytest.mark.parametrize(
    ("show", "is_public"),
    [(("/p/a",), False), (("/q/b",), False), (("/p/a", "/q/b"), True)],
    ids=["source", "target", "both"],
)
@pytest.mark.parametrize("run", [Run(), TAKE_OVER], ids=["conflict", "take-over"])
def test_a_renamed_parameter_is_public_if_both_names_are_under_show(
    show: tuple[str, ...], is_public: bool, run: Run
) -> None:
    moved = Rewrite(Glob("/p/a"), RewriteIn.NAME, "/p/a", "/q/b")
    aws = SimulatedAws(replication(rewrites=(moved,), show=tuple(map(Glob, show))))
    aws.put("/p/a", "NEW")
    aws.put("/q/b", "OLD", region="us-east-2")
    made = document(aws.plan(run=run))
    (entry,) = made["changes"] + made["others"]
    assert (entry["name"], entry.get("show", False)) == ("/q/b", is_public)


def test_a_terminal_counts_the_lines_of_a_long_difference_unless_all_is_asked_for() -> None:
    before, after = (json.dumps({str(n): n + add for n in range(15)}) for add in (0, 1))
    view = PlanView(document(conflicting(before, after).plan()))
    assert "      ... and 5 more lines\n" in plan_text(view)
    assert "14: 14 -> 15" not in plan_text(view)
    assert "14: 14 -> 15" in plan_text(view, extent="full")


def test_a_report_has_no_side_of_a_conflict() -> None:
    report = conflicting("PLANTED-1", "PLANTED-2").apply()
    made = whole(report_document(report, tool_version="1", created=datetime(2026, 11, 29, tzinfo=UTC)))
    assert "PLANTED" not in dumps(made)
    assert "attributes" not in made["others"][0]


def test_equal_differences_in_several_targets_are_one() -> None:
    rewrite = Rewrite(Glob("/p/b"), RewriteIn.VALUE, "v", "{target.region}")
    targets = tuple(target(name, region=name) for name in ("us-east-2", "eu-west-1", "us-west-2"))
    aws = SimulatedAws(replication(targets=targets, rewrites=(rewrite,)))
    for name in ("/p/a", "/p/b"):
        aws.put(name, "v")
        for one in targets:
            aws.put(name, "old" if one.name != "us-west-2" else "older", region=one.name)
    found = group(aws.plan())
    assert [conflict.targets for conflict in found.conflicts["/p/a"]] == [
        ("eu-west-1", "us-east-2"),
        ("us-west-2",),
    ]
    assert [conflict.targets for conflict in found.conflicts["/p/b"]] == [
        ("eu-west-1",),
        ("us-east-2",),
        ("us-west-2",),
    ]


def test_a_list_in_a_conflict_is_compared_by_item() -> None:
    plan = conflicting("a,b", "a,c", (STRING_LIST, STRING_LIST)).plan()
    assert phrases(group(plan)) == [["value item 2: b -> c"]]


def test_without_decryption_a_conflict_has_no_differences() -> None:
    plan = conflicting("1", "2", (SECURE, SECURE)).plan(run=Run(no_decrypt=True))
    assert existing(plan) is None


def test_a_conflict_whose_tags_could_not_be_read_has_no_differences() -> None:
    """It may be a replica of another owner."""
    aws = conflicting("PLANTED", "2")
    aws.world.faults = lambda called, *_: refused(Trouble.DENIED) if called == "ListTagsForResource" else None
    plan = aws.plan()
    assert existing(plan) is None
    assert "PLANTED" not in repr(plan)


def test_a_take_over_whose_tags_could_not_be_read_is_withheld_and_hidden() -> None:
    aws = conflicting("PLANTED", "2")
    aws.world.faults = lambda called, *_: refused(Trouble.DENIED) if called == "ListTagsForResource" else None
    plan = aws.plan(run=TAKE_OVER)
    assert [(one.row, one.withheld_by) for one in plan.changes] == [(Row.CONFLICT, ("unconfirmed",))]
    assert "PLANTED" not in repr(plan)
    assert "(hidden because of its name or its tags) changed" in plan_text(PlanView(document(plan)))


def foreign(aws: SimulatedAws) -> None:
    aws.apply(replication(name="other"))


def managed(aws: SimulatedAws) -> None:
    aws.put("/p/a", "v", region="us-east-2")
    aws.world.tag(aws.there, "/p/a", {"aws:cloudformation:stack-name": "s"})


def detached(aws: SimulatedAws) -> None:
    aws.apply()
    owner = (aws.world.tags(aws.there, "/p/a") or {})[OWNER]
    aws.world.tag(aws.there, "/p/a", {OWNER: f"detached:{owner}"})


def copied(aws: SimulatedAws) -> None:
    aws.put("/q/b", "x")
    wide = replication(include=(Glob("/**"),))
    aws.apply(wide)
    tags = aws.world.tags(aws.there, "/q/b") or {}
    aws.world.tag(aws.there, "/p/a", {OWNER: tags[OWNER], RECORD: tags[RECORD]})


@pytest.mark.parametrize(
    ("prepare", "row"),
    [(foreign, Row.FOREIGN), (managed, Row.FOREIGN), (detached, Row.DETACHED), (copied, Row.COPIED)],
)
@pytest.mark.parametrize("run", [Run(), Run(verify_values=True)], ids=["", "verify-values"])
def test_the_value_of_another_owner_is_not_read(prepare: Any, row: Row, run: Run) -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "source")
    prepare(aws)
    aws.put("/p/a", "PLANTED", region="us-east-2")
    aws.put("/p/a", "changed")
    aws.pass_time()
    aws.world.traffic.forget()
    plan = aws.plan(run=run)
    assert [(one.row, one.conflict) for one in plan.others if one.name == "/p/a"] == [(row, None)]
    reads = [call for call in aws.world.traffic.calls if call.operation == "GetParameters"]
    assert [call for call in reads if call.place == aws.there and "/p/a" in call.names] == []
    assert "PLANTED" not in dumps(document(plan))
