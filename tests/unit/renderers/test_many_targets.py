"""Texts of many targets: those that are alike are shown once, the others one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.change import Difference, Row
from ssm_reconcile.cli.doctor import text as doctor_text
from ssm_reconcile.doctor import Answer, Check, Diagnosis
from ssm_reconcile.documents.status import ReplicaEntry, StatusDocument
from ssm_reconcile.explain import Explanation, explanation_text
from ssm_reconcile.explain.facts import Fact
from ssm_reconcile.renderers.groups import MANY_TARGETS, alike_label, all_but, merge_alike, without_place
from ssm_reconcile.renderers.html import plan_html
from ssm_reconcile.renderers.markdown import plan_comment
from ssm_reconcile.renderers.report_markdown import report_comment
from ssm_reconcile.renderers.report_text import report_text
from ssm_reconcile.renderers.status_text import status_text
from ssm_reconcile.renderers.text import plan_text
from ssm_reconcile.renderers.view import PlanView, ReportView
from ssm_reconcile.wording import key_without_place
from tests.unit.cli.test_status import entry
from tests.unit.renderers import plans

REGIONS = ("us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "sa-east-1")
NAMES = [f"{account}-{region}" for account in ("1" * 12, "2" * 12, "3" * 12) for region in REGIONS]
FEW = NAMES[:MANY_TARGETS]


def place(name: str) -> str:
    return f"{name[:12]}/{name[13:]}"


def test_up_to_ten_targets_stay_apart_and_of_more_those_that_are_alike_are_one_group() -> None:
    assert merge_alike(FEW, len) == [[name] for name in FEW]
    groups = merge_alike(NAMES, lambda name: name[:12])
    assert groups == [NAMES[:5], NAMES[5:10], NAMES[10:]]


def test_a_label_names_the_first_of_some_and_none_of_all() -> None:
    assert alike_label(["a"], 1) == "a"
    assert alike_label(["a"], 3) == "a"
    assert alike_label(["a", "b"], 3) == "a and 1 alike"
    assert alike_label(["a", "b", "c"], 3) == "each of 3 targets"


@pytest.mark.parametrize(
    ("number", "total", "text"),
    [
        (2, 2, ""),
        (3, 3, "all"),
        (1, 4, ""),
        (3, 6, ""),
        (4, 7, "all but e, f, g"),
        (4, 5, "all but e"),
        (10, 14, ""),
        (11, 14, "all but l, m, n"),
    ],
)
def test_all_targets_but_a_few_are_named_by_the_few_where_that_is_shorter(
    number: int, total: int, text: str
) -> None:
    every = "abcdefghijklmn"[:total]
    assert all_but("all", every[:number], every) == text


def test_a_text_is_compared_without_its_target_account_and_region() -> None:
    first, second = (
        without_place(f"{name}: no access to {place(name)} of {name[:12]}", name, place(name))
        for name in (NAMES[0], NAMES[-1])
    )
    assert first == second


def test_an_arn_in_the_place_of_its_target_is_compared_without_the_place() -> None:
    """The names of these targets hold neither account nor region, and all are in one account."""
    own, other = (
        {
            without_place(
                f"no access to arn:aws:ssm:{at or region}:{'1' * 12}:*", name, f"{'1' * 12}/{region}"
            )
            for name, region in zip("abcde", REGIONS, strict=True)
        }
        for at in ("", "us-east-9")
    )
    assert (len(own), other) == (1, {"no access to arn:aws:ssm:us-east-9:PLACE:*"})
    assert without_place(f"in us-west-2 as :us-west-2:{'9' * 12}:", "a", f"{'1' * 12}/us-west-2") == (
        f"in us-west-2 as :us-west-2:{'9' * 12}:"
    )


@pytest.mark.parametrize("other", ["9" * 12, "us-gov-west-1", "us-west-20", f"{'9' * 12}-us"])
def test_another_account_or_region_in_a_text_stays(other: str) -> None:
    assert other in without_place(f"the key belongs to {other}", NAMES[0], place(NAMES[0]))


@pytest.mark.parametrize("source", [f"{NAMES[0][:12]}/us-east-9", "9" * 12 + "/us-west-2"])
def test_the_place_of_the_source_is_the_same_text_for_every_target(source: str) -> None:
    """One of these targets is in the account, or in the region, of the source."""
    texts = {without_place(f"create /a in {source} again", name, place(name)) for name in NAMES}
    assert texts == {f"create /a in {source} again"}


def test_texts_that_differ_in_another_account_are_not_merged() -> None:
    """The owner of the last target is another one than that of the others."""
    owners = {name: "8" * 12 if name == NAMES[-1] else "9" * 12 for name in NAMES}
    reasons = {name: f"{place(name)} has the parameter of {owner}" for name, owner in owners.items()}
    status = TestStatus()
    replicas = [status.of(name, state="conflict", reasons=[reasons[name]]) for name in NAMES]
    explained = TestExplain().text(*(reasons[name] for name in NAMES))
    for text in (status.text(*replicas), explained, TestDoctor().text(**reasons)):
        assert "9" * 12 in text
        assert "8" * 12 in text
        assert text.count("has the parameter of") == 2


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("us-west-2:111111111111", "{target.partition}:kms:{target.region}:{target.account}"),
        ("us-west-2:999999999999", "{target.partition}:kms:{target.region}:999999999999"),
        ("eu-north-1:111111111111", "aws:kms:eu-north-1:{target.account}"),
        ("eu-north-1:999999999999", "aws:kms:eu-north-1:999999999999"),
    ],
)
def test_the_arn_of_a_key_is_compared_without_the_place_of_its_target(key: str, text: str) -> None:
    assert key_without_place(f"(arn:aws:kms:{key}:key/1)", place(NAMES[0])) == f"(arn:{text}:key/1)"


class TestAPlan:
    def text(self, targets: Sequence[str], *exceptions: str, **more: Any) -> str:
        changes = [plans.create(target, "/a") for target in targets]
        changes += [plans.delete(target, "/b") for target in exceptions]
        plan = plans.plan_of(changes, targets=targets)
        return plan_text(PlanView(plans.document_of(plan)), width=80, **more)

    def test_equal_counts_share_a_row_and_others_have_their_own(self) -> None:
        lines = self.text(NAMES, NAMES[3]).splitlines()
        rows = [line for line in lines if line.endswith((" 160", " in sync"))]
        assert [line.split("  ")[0].strip() for line in rows[1:]] == [f"{NAMES[0]} and 13 alike", NAMES[3]]
        assert "--summary lists each" in "\n".join(lines)

    def test_a_frozen_target_has_its_own_row(self) -> None:
        document = plans.document_of(
            plans.plan_of([plans.create(name, "/a") for name in NAMES], targets=NAMES)
        )
        places = [one for one in document["targets"] if one["name"] == NAMES[3]]
        places[0]["frozen"] = True
        rows = [line for line in plan_text(PlanView(document), width=100).splitlines() if " 160" in line]
        assert f"{NAMES[0]} and 13 alike" in rows[-2]
        assert (NAMES[3] in rows[-1], rows[-1].endswith("frozen")) == (True, True)

    def test_a_target_that_was_not_listed_completely_has_its_own_row(self) -> None:
        plan = plans.plan_of(
            [plans.create(name, "/a") for name in NAMES], targets=NAMES, incomplete=NAMES[3:4]
        )
        lines = plan_text(PlanView(plans.document_of(plan)), width=100).splitlines()
        rows = [line for line in lines if " 160" in line]
        assert f"{NAMES[0]} and 13 alike" in rows[-2]
        assert (NAMES[3] in rows[-1], rows[-1].endswith("INCOMPLETE")) == (True, True)

    def test_a_comment_names_all_targets_as_such_also_if_they_are_two(self) -> None:
        plan = plans.plan_of([plans.create(name, "/a") for name in NAMES[:2]], targets=NAMES[:2])
        assert "(all regions)" in plan_comment(PlanView(plans.document_of(plan)))

    def test_a_change_in_all_but_a_few_targets_names_these_few_in_every_output(self) -> None:
        changes = [plans.create(name, "/a") for name in NAMES[2:]]
        plan = plans.plan_of(changes, targets=NAMES)
        view, report = (
            PlanView(plans.document_of(plan)),
            ReportView(plans.report_document_of(plans.reported(plan))),
        )
        few = f"regions but {NAMES[1]}, {NAMES[0]}"
        assert f"all 15 {few}" in " ".join(plan_text(view, width=200).split())
        assert f"all 15 {few}" in report_text(report, width=200)
        assert f"  (all {few})" in plan_comment(view)
        assert f"  (all {few})" in report_comment(report, view)

    def document(self, keys: Mapping[str, str]) -> Any:
        """Return a plan with a secret and a conflict for each key, by the names of their targets."""
        changes, others = [], []
        for name, key in keys.items():
            differences = (plans.secret(), Difference("KeyId", "alias/old", key))
            changes.append(plans.update(name, "/token", *differences, kind="SecureString"))
            others.append(plans.other(name, "/taken", Row.CONFLICT, "conflict", "it has no owner tag"))
        document = plans.document_of(plans.plan_of(changes, targets=list(keys), others=others))
        for target in document["targets"]:
            target["place"] = place(target["name"])
        for other in document["others"]:
            attributes = {"KeyId": {"before": "alias/old", "after": keys[other["target"]]}}
            other |= {"attributes": attributes, "show": True}
        return document

    def outputs(self, keys: Mapping[str, str]) -> list[str]:
        view = PlanView(self.document(keys))
        return [plan_text(view, width=200), plan_comment(view), plan_html(view)]

    def test_a_key_of_the_place_of_each_target_is_shown_once(self) -> None:
        for account in ("{target.account}", "9" * 12):
            shared = f"arn:{{target.partition}}:kms:{{target.region}}:{account}:alias/app"
            keys = {
                name: f"arn:aws:kms:{name[13:]}:{account.replace('{target.account}', name[:12])}:alias/app"
                for name in NAMES
            }
            for text in self.outputs(keys):
                assert text.count(shared) == 2
                assert "arn:aws:kms" not in text

    @pytest.mark.parametrize("other", ["us-west-2:999999999999", "eu-north-1:333333333333"])
    def test_a_key_of_another_place_is_shown_for_its_target_as_it_is(self, other: str) -> None:
        keys = {name: f"arn:aws:kms:{name[13:]}:{name[:12]}:alias/app" for name in NAMES}
        keys[NAMES[-1]] = f"arn:aws:kms:{other}:alias/app"
        for text in self.outputs(keys):
            assert text.count(keys[NAMES[-1]]) == 2
            assert text.count("arn:{target.partition}:kms:{target.region}:{target.account}:alias/app") == 2

    def test_one_target_has_the_key_as_it_is(self) -> None:
        key = f"arn:aws:kms:us-west-2:{NAMES[0][:12]}:alias/app"
        for text in self.outputs({NAMES[0]: key}):
            assert text.count(key) == 2
            assert "{target." not in text

    def test_a_key_in_a_value_is_shown_as_it_is(self) -> None:
        keys = {name: f"arn:aws:kms:{name[13:]}:{name[:12]}:alias/app" for name in NAMES}
        changes = [plans.update(name, "/key", Difference("value", "", key)) for name, key in keys.items()]
        document = plans.document_of(plans.plan_of(changes, targets=NAMES))
        for target in document["targets"]:
            target["place"] = place(target["name"])
        text = plan_text(PlanView(document), width=200)
        assert [key for key in keys.values() if key in text] == list(keys.values())

    def test_a_summary_and_a_full_text_have_a_row_for_each(self) -> None:
        for extent in ("summary", "full"):
            rows = [line for line in self.text(NAMES, extent=extent).splitlines() if line.endswith(" 160")]
            assert [row.split()[0] for row in rows] == NAMES

    def test_few_targets_have_a_row_each(self) -> None:
        rows = [line for line in self.text(FEW).splitlines() if line.endswith(" 160")]
        assert [row.split()[0] for row in rows] == FEW

    def test_the_first_line_counts_them_also_without_changes(self) -> None:
        text = plan_text(PlanView(plans.document_of(plans.plan_of([], targets=NAMES))), width=80)
        assert text.startswith("prod: 123456789012/us-east-1 -> 15 regions        498 selected")


class TestStatus:
    def text(self, *replicas: ReplicaEntry, names: Sequence[str] = NAMES) -> str:
        return status_text(self.document(*replicas, names=names), width=100)

    def document(self, *replicas: ReplicaEntry, names: Sequence[str] = NAMES) -> StatusDocument:
        targets = [
            {
                "replication": "prod", "source": "1/us-east-1", "target": name, "place": place(name),
                "complete": True, "counts": {"in_sync": sum(one["target"] == name for one in replicas)},
            }
            for name in names
        ]  # fmt: skip
        document: Any = {
            "created": "2026-11-23T12:01:00.000Z",
            "targets": targets,
            "replicas": list(replicas),
        }
        found: StatusDocument = document
        return found

    def of(self, target: str, **more: Any) -> ReplicaEntry:
        one: Any = {**entry(), **more, "target": target}
        found: ReplicaEntry = one
        return found

    def test_targets_that_are_alike_are_shown_once(self) -> None:
        text = self.text(*map(self.of, NAMES))
        assert "\n  each of 15 targets  1 in_sync\n\neach of 15 targets\n  in_sync (1)\n    /a\n" in text

    def test_one_that_differs_has_its_own_block_and_the_others_are_named(self) -> None:
        *others, last = NAMES
        text = self.text(*map(self.of, others), self.of(last, state="conflict", reasons=["another owner"]))
        assert f"\n{NAMES[0]} and 13 alike\n  {NAMES[0]}, {NAMES[1]}" in text
        assert f"\n{last} ({place(last)})\n" in text
        assert "  conflict (1): another owner" in text

    @pytest.mark.parametrize(
        ("key", "other"),
        [
            ("source_version", 7),
            ("recorded_source_version", 7),
            ("writer", "arn:aws:iam::111111111111:user/alice"),
        ],
    )
    def test_a_target_with_another_version_or_writer_has_its_own_block(self, key: str, other: object) -> None:
        *others, last = NAMES
        text = self.text(*map(self.of, others), self.of(last, **{key: other}))
        assert f"\n{NAMES[0]} and 13 alike\n" in text
        assert f"\n{last} ({place(last)})\n" in text

    def test_a_target_that_was_not_listed_completely_has_its_own_line(self) -> None:
        document = self.document(*map(self.of, NAMES))
        document["targets"][3]["complete"] = False
        lines = status_text(document, width=100).splitlines()
        assert [line.strip() for line in lines if "1 in_sync" in line] == [
            f"{NAMES[0]} and 13 alike  1 in_sync",
            f"{NAMES[3]:<35}  NOT LISTED COMPLETELY, 1 in_sync",
        ]

    def test_times_that_differ_are_left_out(self) -> None:
        times = {name: f"2026-11-{number + 1:02}T12:00:00.000Z" for number, name in enumerate(NAMES)}
        text = self.text(*(self.of(name, state="update", last_modified=times[name]) for name in NAMES))
        assert "2026-11-01" not in text
        same = self.text(*(self.of(name, state="update") for name in NAMES))
        assert "2026-11-23 12:00 UTC" in same

    def test_few_targets_are_shown_one_by_one(self) -> None:
        text = self.text(*map(self.of, FEW), names=FEW)
        assert text.count("in_sync (1)") == len(FEW)


class TestExplain:
    def text(self, *answers: str, names: Sequence[str] = NAMES) -> str:
        found = [
            Explanation("prod", name, f"{name[:12]}/{name[13:]}", "/a", Row.IN_SYNC, answer=answer)
            for name, answer in zip(names, answers, strict=True)
        ]
        return explanation_text(found, width=100)

    def test_one_target_is_explained_for_all_that_are_alike(self) -> None:
        text = self.text(*(f"it is in sync in {name}" for name in NAMES))
        assert text.count("it is in sync") == 1
        assert text.endswith("  the same in all 14 other targets (--target NAME shows one)")

    def test_the_others_are_named_if_some_differ(self) -> None:
        text = self.text("another owner", *["it is in sync"] * 14)
        assert "/a in 111111111111-us-west-2" in text
        assert f"  the same in 13 other targets (--target NAME shows one):\n    {NAMES[2]}" in text

    @pytest.mark.parametrize("part", ["plan", "withheld_by", "remedies"])
    def test_a_target_with_another_action_guard_or_remedy_is_explained_apart(self, part: str) -> None:
        found = [Explanation("prod", name, name, "/a", Row.UPDATE, answer="it differs") for name in NAMES]
        other: dict[str, Any] = {part: ("another",)}
        text = explanation_text([*found[:-1], replace(found[-1], **other)], width=200)
        assert "the same in 13 other targets" in text
        assert f"/a in {NAMES[-1]}" in text

    @pytest.mark.parametrize(
        ("label", "usual", "other"),
        [
            ("live", "String (Standard) in {place}, version 2 of 2026-11-0{day} 12:00 UTC by role app", other)
            for other in (
                "no parameter in {place}",
                "StringList (Standard) in {place}, version 2 of 2026-11-01 12:00 UTC by role app",
                "String (Advanced) in {place}, version 2 of 2026-11-01 12:00 UTC by role app",
                "String (Standard) in {place}, version 3 of 2026-11-01 12:00 UTC by role app",
                "String (Standard) in {place}, version 2 of 2026-11-01 12:00 UTC by user alice",
            )
        ]
        + [
            ("live tags", "team=a", "team=b"),
            ("live tags", "payer=111111111111", "payer=222222222222"),
            ("owner", "111111111111/us-east-1#prod", "222222222222/us-east-1#prod"),
            ("differs", "value  111111111111 -> v", "value  222222222222 -> v"),
            ("record", "of version 1 at 2026-11-0{day} 12:00 UTC", "of version 2 at 2026-11-01 12:00 UTC"),
            ("versions", "source as recorded; replica as recorded", "source now 4; replica as recorded"),
            ("mark", "expires at 2026-12-01 12:00 UTC", "expires at 2026-12-08 12:00 UTC"),
            *(
                ("key", f"{begin}:key/{{day}}) in {{name}}", other)
                for begin in ("alias/a (arn:aws:kms:{region}:{account}",)
                for other in (
                    "alias/b in {name}",
                    f"{begin}:alias/{{day}}) in {{name}}",
                    "alias/a (arn:aws:kms:{region}:999999999999:key/1) in {name}",
                    "alias/a (arn:aws:kms:eu-north-1:{account}:key/1) in {name}",
                )
            ),
            (
                "differs",
                "KeyId  alias/old -> arn:aws:kms:{region}:{account}:alias/app",
                "KeyId  alias/old -> arn:aws:kms:{region}:999999999999:alias/app",
            ),
            ("differs", "value  v -> arn:aws:kms:us-east-1:1:a", "value  v -> arn:aws:kms:us-east-1:2:a"),
            ("rewrite", "'a' becomes 'b' in its value", "'a' becomes 'c' in its value"),
            ("cause", "{name}: no access to {place}", "{name}: the endpoint of {place} does not exist"),
        ],
    )  # fmt: skip
    def test_a_target_with_another_fact_is_explained_apart(self, label: str, usual: str, other: str) -> None:
        def text(*lines: str) -> str:
            found = []
            for number, (name, line) in enumerate(zip(NAMES, lines, strict=True)):
                account, region = name[:12], name[13:]
                sentence = line.format(
                    name=name, place=place(name), account=account, region=region, day=number % 9 + 1
                )
                fact = Fact(label, sentence)
                found.append(Explanation("prod", name, place(name), "/a", Row.IN_SYNC, facts=(fact,)))
            return explanation_text(found, width=200)

        assert "the same in all 14 other targets" in text(*[usual] * 15)
        apart = text(*[usual] * 14, other)
        assert "the same in 13 other targets" in apart
        assert f"/a in {NAMES[-1]}" in apart

    def test_a_key_in_a_value_is_compared_as_it_is(self) -> None:
        facts = {name: Fact("differs", f"value  arn:aws:kms:{name[13:]}:{name[:12]}:a") for name in NAMES}
        found = [Explanation("prod", n, place(n), "/a", Row.UPDATE, facts=(facts[n],)) for n in NAMES]
        assert "the same in" not in explanation_text(found, width=200)

    def test_few_targets_are_explained_one_by_one(self) -> None:
        assert self.text(*["it is in sync"] * len(FEW), names=FEW).count("it is in sync") == len(FEW)


class TestDoctor:
    def text(self, **messages: str) -> str:
        checks: list[Check] = []
        for name in NAMES:
            message = messages.get(name, f"no access to {name[:12]}/{name[13:]}")
            checks += [
                Check(f"target {name}", "clock", Answer.OK, f"{len(checks)} s apart"),
                Check(f"target {name}", "settings", Answer.UNKNOWN, message, "compare the role"),
            ]
        return doctor_text(Diagnosis(tuple(checks), {f"target {name}": place(name) for name in NAMES}))

    def test_the_results_of_one_target_stand_for_all_that_are_alike(self) -> None:
        text = self.text()
        assert text.count("s apart") == 1
        assert "and with the same results 14 more targets:" in text
        assert all(name in text for name in NAMES)

    def test_another_result_is_shown_for_itself(self) -> None:
        text = self.text(**{NAMES[4]: "the endpoint does not exist"})
        assert text.count("s apart") == 2
        assert f"target {NAMES[4]}\n  ok      clock:" in text
        assert "and with the same results 13 more targets:" in text
