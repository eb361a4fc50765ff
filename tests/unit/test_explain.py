"""Explanations agree with the plan, read only the name, and show no secret."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ssm_reconcile.by_name import plan_one_name
from ssm_reconcile.change import Row
from ssm_reconcile.documents.encode import plan_document
from ssm_reconcile.errors import Address, Finding, Severity, Trouble, Where
from ssm_reconcile.explain import Explanation, explain, explanation_document, explanation_text
from ssm_reconcile.explain.facts import selection
from ssm_reconcile.model import SECURE, KeyState
from ssm_reconcile.plan import ReplicationPlan, TargetPlan
from ssm_reconcile.record import OWNER, RECORD
from ssm_reconcile.renderers.changes import attribute_lines
from ssm_reconcile.renderers.groups import MANY_TARGETS
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, Orphans, Rewrite, RewriteIn, Run
from tests.builders import OWNED_BY, counted, replication
from tests.builders import target as target_of
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws, unwatched
from tests.unit.cli.conftest import SECRET, Cli, aws, cli

__all__ = ["aws", "cli"]


def explained(aws: SimulatedAws, name: str = "/p/a", run: Run | None = None) -> Explanation:
    """Explain one name of one target; only that name is read."""
    run = run or Run()
    session = Session(aws.places(run=run), run, aws.clock, unwatched)
    (found,) = explain(name, aws.spec, *plan_one_name(aws.spec, session, name))
    return found


def facts(found: Explanation) -> dict[str, str]:
    return dict(found.facts)


def test_in_sync_is_proven_without_reading_a_value() -> None:
    aws = SimulatedAws()
    aws.replicate(value=SECRET, kind="SecureString")
    aws.world.traffic.forget()
    found = explained(aws)
    assert found.row is Row.IN_SYNC
    assert found.plan == ("nothing",)
    assert found.remedies == ()
    assert aws.world.traffic.count("GetParameters") == 0
    assert facts(found)["record"].startswith("created; made from source version 1")
    assert facts(found)["source"].startswith("/p/a, SecureString")
    assert facts(found)["versions"] == "source as recorded; replica as recorded"


def test_only_the_name_is_read_however_many_there_are() -> None:
    aws = SimulatedAws()
    for number in range(200):
        aws.put(f"/p/many/{number:03}", "v")
    aws.put("/p/a", "v")
    aws.apply()
    aws.put("/p/a", "changed")
    aws.world.traffic.forget()
    assert explained(aws).row is Row.UPDATE
    named = {name for call in aws.world.calls for name in call.names}
    assert {name.partition(":")[0] for name in named} == {"/p/a"}
    assert aws.world.traffic.count("GetResources") == 0
    assert not aws.world.traffic.writes()


def test_every_row_before_the_one_that_fits_is_ruled_out_in_words() -> None:
    aws = SimulatedAws()
    aws.replicate()
    found = explained(aws)
    order = [row.value for row in Row]
    assert [row for row, _ in found.ruled_out] == order[: order.index("in_sync")]
    assert all(why for _, why in found.ruled_out)


def test_the_rule_that_selects_and_the_one_that_excludes_are_named_with_their_lines() -> None:
    aws = SimulatedAws(
        replication(
            include=(Glob("/p/**", Where("r.yaml", 7, 5)),), exclude=(Glob("/p/x/**", Where("r.yaml", 9, 5)),)
        )
    )
    aws.put("/p/a", "v")
    aws.put("/p/x/a", "v")
    assert facts(explained(aws))["selected by"] == "include /p/** (r.yaml:7:5)"
    assert selection("/p/a", "String", aws.spec)[1] == "", "nothing to change"
    found = explained(aws, "/p/x/a")
    assert found.row is None
    assert found.answer == "excluded by /p/x/** (r.yaml:9:5)"
    assert "parameters.exclude" in found.remedies[0]


def test_a_name_that_no_rule_selects_or_that_does_not_exist_is_explained() -> None:
    aws = SimulatedAws(replication(types=frozenset({"String"})))
    aws.put("/q/a", "v")
    aws.put("/p/list", "a,b", "StringList")
    aws.put("/p/a", "v")
    assert explained(aws, "/q/a").answer == "selected by no include rule"
    aws.spec = replace(aws.spec, where=Where("r.yaml", 3, 3))
    found = explained(aws, "/q/a")
    assert found.answer == "selected by no include rule (r.yaml:3:3)"
    assert found.remedies == ("add it to `parameters.include` (r.yaml:3:3)",)
    assert "which does not list StringList" in explained(aws, "/p/list").answer
    assert "/p/nowhere does not exist" in explained(aws, "/p/nowhere").answer


def test_a_name_that_a_rewrite_changes_is_found_from_either_side() -> None:
    rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "us-east-1", "{target.region}")
    aws = SimulatedAws(replication(rewrites=(rule,)))
    aws.replicate("/p/us-east-1/a")
    for name in ("/p/us-east-1/a", "/p/us-east-2/a"):
        found = explained(aws, name)
        assert (found.name, found.row) == ("/p/us-east-2/a", Row.IN_SYNC)
        assert facts(found)["lands at"].startswith("/p/us-east-2/a")


def test_the_deleted_source_of_a_replica_is_known_by_its_record() -> None:
    rule = Rewrite(Glob("/p/**"), RewriteIn.NAME, "us-east-1", "{target.region}")
    aws = SimulatedAws(replication(rewrites=(rule,)))
    aws.replicate("/p/us-east-1/a")
    aws.delete("/p/us-east-1/a")
    found = explained(aws, "/p/us-east-2/a")
    assert found.row is Row.DELETE
    assert "create /p/us-east-1/a in 123456789012/us-east-1 again" in " ".join(found.remedies)


def test_a_value_rewrite_and_a_key_are_facts() -> None:
    rule = Rewrite(Glob("/p/**"), RewriteIn.VALUE, "us-east-1", "{target.region}")
    aws = SimulatedAws(replication(rewrites=(rule,)))
    aws.replicate(value=f"us-east-1 {SECRET}", kind="SecureString")
    found = facts(explained(aws))
    assert "'us-east-1' becomes 'us-east-2'" in found["rewrite"]
    assert found["key"] == "alias/aws/ssm at the source, alias/aws/ssm in us-east-2"


def test_the_last_writer_and_the_versions_are_facts() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.world.put(aws.there, "/p/a", "by hand", user="arn:aws:iam::123456789012:user/eve")
    found = explained(aws)
    assert "2026-11-23 14:00 UTC by user eve" in facts(found)["live"]
    assert "replica now 2, so it was written after the last apply" in facts(found)["versions"]
    assert found.plan == ("update, withheld by a guard",)
    assert found.withheld_by == ("changed-outside: another writer changed the replica",)
    assert any("--overwrite-outside" in one for one in found.remedies)


@pytest.mark.parametrize("end", ["here", "there"])
def test_a_tag_that_is_almost_the_skip_tag_is_named_with_both_ways_out(end: str) -> None:
    aws = SimulatedAws()
    aws.replicate(value="one")
    aws.world.tag(getattr(aws, end), "/p/a", {"Skip-Sync": ""})
    found = explained(aws)
    assert found.row is Row.INVALID
    assert "carries the tag `Skip-Sync`, which is almost the skip tag `skip_sync`" in found.answer
    assert "`skip_sync.ignore`" in found.remedies[0]
    aws.delete("/p/a")
    found = explained(aws)
    expected = (Row.DELETE, None) if end == "here" else (Row.INVALID, "its own tags may exclude it")
    assert (found.row, dict(found.ruled_out).get("delete")) == expected


def test_plain_values_are_shown_as_in_a_plan_and_secrets_never() -> None:
    aws = SimulatedAws()
    aws.replicate(value="one")
    aws.replicate("/p/secret", SECRET, "SecureString")
    aws.put("/p/secret", SECRET + "!", "SecureString", allowed_pattern="correct.*")
    aws.put("/p/a", "two")
    assert ("differs", "value  one -> two") in explained(aws).facts
    both = [explained(aws, "/p/secret")]
    shown = explanation_text(both) + json.dumps(explanation_document(both))
    assert "value  (secret) changed, from us-east-1 version 2" in shown
    assert SECRET not in shown
    assert "correct.*" not in shown


def test_tags_are_shown_sorted_without_ours_and_as_none_where_there_are_none() -> None:
    aws = SimulatedAws()
    aws.replicate()
    found = facts(explained(aws))
    assert (found["source tags"], found["live tags"]) == ("none", "none")
    aws.world.tag(aws.here, "/p/a", {"team": "a", "app": "shop"})
    tagged = explained(aws)
    assert facts(tagged)["source tags"] == "app=shop, team=a"
    assert ("differs", "tags: none -> app=shop, team=a") in tagged.facts
    aws.apply()
    aws.world.untag(aws.here, "/p/a", "team", "app")
    found = facts(explained(aws))
    assert (found["source tags"], found["live tags"]) == ("none", "app=shop, team=a")
    assert ("differs", "tags: app=shop, team=a -> none") in explained(aws).facts


def test_a_value_differs_by_part() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", '{"max": 100, "min": 1}')
    aws.put("/p/a", '{"max": 250, "new": "x"}')
    assert [text for label, text in explained(aws).facts if label == "differs"] == [
        "value  max: 100 -> 250",
        "value  min: 1 removed",
        "value  new: x added",
    ]


def test_a_value_differs_in_the_notation_of_a_plan() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "caf\u00e9 it's")
    aws.put("/p/a", "cafe\u0301 -> it's" + "x" * 300)
    found = [text for label, text in explained(aws).facts if label == "differs"]
    document = plan_document(aws.plan(), tool_version="1", created=datetime(2026, 11, 29, tzinfo=UTC))
    (entry,) = document["changes"]
    lines = attribute_lines(entry, "us-east-1")
    assert [text.removeprefix("value  ") for text in found] == [
        text for line in lines for text in line.texts(is_new=False)
    ]
    assert [text[:9] for text in found[:2]] == ["value  - ", "value  + "]
    assert "before has 9 characters, after has 313" in found[2]


def test_a_conflict_differs_on_both_sides_unless_one_is_a_secret() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "a\nb")
    aws.put("/p/a", "a\nc\n", region="us-east-2")
    assert [text for label, text in explained(aws).facts if label == "differs"] == [
        "value  before ends with a line break, after does not",
        "value  line 1: a",
        "value  line 2: c -> b",
    ]
    aws.put("/p/a", "PLANTED", SECURE)
    found = explained(aws)
    texts = [text for label, text in found.facts if label == "differs"]
    assert "type  String -> SecureString" in texts
    assert not any(text.startswith("value") for text in texts)
    assert "differs in value, KeyId, type" in found.answer


def test_an_attribute_that_only_the_source_of_a_conflict_has_is_added() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "a", allowed_pattern="a")
    aws.put("/p/a", "a", region="us-east-2")
    assert [text for label, text in explained(aws).facts if label == "differs"] == ["AllowedPattern  a added"]


def test_a_value_that_is_to_be_created_is_shown() -> None:
    aws = SimulatedAws()
    aws.put("/p/a", "v", tags={"team": "a"})
    found = explained(aws).facts
    assert ("source tags", "team=a") in found
    assert [fact for fact in found if fact[0] == "differs"] == [("differs", "value  v")]


def test_the_source_of_a_replica_that_is_not_placed_any_more_is_a_fact() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.replicate("/p/b")
    aws.spec = replace(aws.spec, exclude=(Glob("/p/b"),))
    found = facts(explained(aws, "/p/b"))
    assert found["source"] == "/p/b, it exists"
    assert found["excluded by"] == "/p/b"
    aws.delete("/p/a")
    found = facts(explained(aws))
    assert found["source"] == "/p/a, it does not exist in 123456789012/us-east-1"
    assert found["selected by"] == "include /p/**"


def test_at_a_name_that_is_not_selected_both_ends_are_shown() -> None:
    aws = SimulatedAws()
    aws.put("/q/a", "v", tags={"team": "a"})
    found = facts(explained(aws, "/q/a"))
    assert found["source"].startswith("String (Standard) in 123456789012/us-east-1, version 1")
    assert found["selected by"] == "no include rule"
    assert found["source tags"] == "team=a"
    assert found["live"].startswith("no parameter in")
    aws.world.put(aws.there, "/q/a", "w")
    assert facts(explained(aws, "/q/a"))["owner"] == "none"


def test_a_place_that_cannot_be_listed_is_reported_with_the_cause() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.world.faults = at_call("DescribeParameters", refused(Trouble.DENIED))
    found = explained(aws)
    assert found.row is None
    assert "AccessDeniedException" in facts(found)["cause"]


def test_hostile_text_does_nothing_to_a_terminal() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.put("/p/a", "v", description="a\u202eb\x1b[2J")
    shown = explanation_text([explained(aws)])
    assert "description" in shown
    assert not {"\u202e", "\x1b"} & set(shown)


@pytest.mark.parametrize("mode", [Run(), Run(no_decrypt=True)])
def test_the_row_is_always_the_one_of_the_plan(mode: Run) -> None:
    aws = SimulatedAws(replication(orphans=Orphans.KEEP))
    names = [f"/p/{word}" for word in "abcdefgh"]
    for name in names:
        aws.put(name, f"v {name}", "SecureString" if name < "/p/d" else "String")
    aws.apply()
    aws.put("/p/a", "changed", "SecureString")
    aws.put("/p/d", "changed")
    aws.delete("/p/e")
    aws.world.tag(aws.here, "/p/f", {"skip_sync": "x"})
    aws.world.tag(aws.there, "/p/g", {OWNER: f"detached:{OWNED_BY}"})
    aws.world.untag(aws.there, "/p/h", OWNER, RECORD)
    aws.pass_time()
    plan = aws.plan(run=mode)
    rows = {change.name: change.row for change in plan.changes}
    rows |= {other.name: other.row for other in plan.others}
    assert len(set(rows.values())) >= 5
    for name in names:
        found = explained(aws, name, mode)
        assert found.row is rows.get(name, Row.IN_SYNC), name
        change = next((one for one in plan.changes if one.name == name), None)
        assert found.plan[0].split(",")[0].split(":")[0] == (change.action.value if change else "nothing")


def test_two_targets_have_an_explanation_each() -> None:
    aws = SimulatedAws(replication(targets=(target_of(), target_of("eu", region="eu-west-1"))))
    aws.put("/p/a", "v")
    session = Session(aws.places(), Run(), aws.clock, unwatched)
    found = list(explain("/p/a", aws.spec, *plan_one_name(aws.spec, session, "/p/a")))
    assert [(one.target, one.row) for one in found] == [("us-east-2", Row.CREATE), ("eu", Row.CREATE)]
    assert counted(aws.plan()) == {"create": 2}


def test_tags_that_cannot_be_read_leave_the_target_unexplained() -> None:
    aws = SimulatedAws()
    aws.replicate()
    aws.world.faults = at_call("ListTagsForResource", refused(Trouble.DENIED))
    found = explained(aws)
    assert found.row is None
    assert "ListTagsForResource" in facts(found)["cause"]


def test_a_target_does_not_get_the_message_on_a_target_whose_name_begins_like_its_own() -> None:
    targets = tuple(TargetPlan(name, f"1/{name}", complete=False) for name in ("eu", "eu-2"))
    findings = [
        Finding(Severity.ERROR, "incomplete-place", f"target {name} failed", about=(Address(name),))
        for name in ("eu", "eu-2")
    ]
    part = ReplicationPlan("prod", "1/us-east-1", targets, findings=tuple(findings))
    causes = [one.facts for one in explain("/p/a", replication(), part, {})]
    assert causes == [(("cause", "target eu failed"),), (("cause", "target eu-2 failed"),)]
    assert [one.is_about("eu", "/p/a") for one in findings] == [True, False]


def test_a_frozen_target_withholds_and_the_remedy_is_to_thaw_it() -> None:
    aws = SimulatedAws()
    aws.spec = replace(aws.spec, targets=(replace(aws.spec.targets[0], frozen=True),))
    aws.put("/p/a", "v")
    found = explained(aws)
    assert found.plan == ("create, withheld by a guard",)
    assert found.withheld_by == ("frozen-target: the target is frozen",)
    assert found.remedies[0].startswith("set `frozen: false` at target ")


class TestTheCommand:
    def test_it_explains_every_target_and_ends_with_0(self, aws: SimulatedAws, cli: Cli) -> None:
        message = cli("explain", "/app/url")
        assert message.exit_code == 0
        assert "/app/url in us-east-2" in message.stdout
        assert "/app/url in eu-west-1" in message.stdout
        assert "[create]" in message.stdout

    def test_a_target_and_a_format_can_be_chosen(self, aws: SimulatedAws, cli: Cli) -> None:
        message = json.loads(cli("explain", "app/url", "--target", "eu-west-1", "--format", "json").stdout)
        (one,) = message["explanations"]
        assert (one["target"], one["row"], one["plan"]) == ("eu-west-1", "create", ["create"])
        assert message["format_version"] == "1.0"

    def test_counting_guards_are_applied_unless_quick_is_given(self, aws: SimulatedAws, cli: Cli) -> None:
        assert cli("apply", "--yes").exit_code == 0
        for name in ("/app/url", "/app/hosts", "/app/key"):
            aws.delete(name)
        message = cli("explain", "/app/url", "--target", "us-east-2")
        assert "withheld by empty-source" in message.stdout
        quick = cli("explain", "/app/url", "--target", "us-east-2", "--quick")
        assert "withheld by empty-source" not in quick.stdout
        assert "were not applied (--quick)" in quick.stderr

    def test_no_secret_is_shown_and_without_decryption_none_is_read(
        self, aws: SimulatedAws, cli: Cli
    ) -> None:
        aws.put("/app/key", SECRET, region="us-east-2", kind="SecureString")
        for words in ((), ("--no-decrypt",), ("--format", "json"), ("--debug",)):
            message = cli("explain", "/app/key", *words)
            assert message.exit_code == 0
            assert SECRET not in message.output
        assert "cannot compare" in cli("explain", "/app/key", "--no-decrypt").stdout

    def test_it_writes_nothing(self, aws: SimulatedAws, cli: Cli) -> None:
        aws.world.traffic.forget()
        cli("explain", "/app/url")
        assert aws.world.traffic.writes() == []

    def test_an_unknown_target_is_wrong_usage(self, aws: SimulatedAws, cli: Cli) -> None:
        assert cli("explain", "/app/url", "--target", "nowhere").exit_code == 64


def test_a_disabled_source_key_comes_before_the_command_that_applies() -> None:
    aws = SimulatedAws(replication(targets=(target_of(default_key="alias/app"),)))
    for place in (aws.here, aws.there):
        aws.world.add_key(place, "alias/app")
    for name in ("/p/a", "/p/b"):
        aws.put(name, SECRET, "SecureString", key_id="alias/app")
    aws.put("/p/plain", "v")
    aws.world.set_key(aws.here, "alias/app", KeyState.DISABLED)
    key, *others = explained(aws, run=Run(no_decrypt=True)).remedies
    assert "enable-key" in key
    assert "ssm-reconcile apply" in others[0]
    assert not any("enable-key" in one for one in explained(aws, "/p/plain").remedies)


@pytest.mark.parametrize(
    "other", [{"row": Row.DELETE}, {"row": None, "excluded": True}, {"name": "/b"}, {"replication": "test"}]
)
def test_only_explanations_of_one_name_in_one_state_are_shown_once(other: dict[str, Any]) -> None:
    one = Explanation("prod", "target-0", "1/us-east-2", "/a", Row.CREATE, answer="a reason")
    same = [replace(one, target=f"target-{number}") for number in range(MANY_TARGETS + 1)]
    assert explanation_text(same).count("a reason") == 1
    assert explanation_text([*same, replace(one, **other)]).count("a reason") == 2


def test_a_wrapped_sentence_is_not_a_command_for_a_runner() -> None:
    answer = f"it is a replica of {'x' * 50} ::error::forged"
    text = explanation_text([Explanation("prod", "live", "1/us-east-2", "/a", answer=answer)], width=60)
    assert "forged" in text
    assert not re.search(r"^\s*::", text, re.MULTILINE)
