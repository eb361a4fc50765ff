"""Each block of a Markdown page as a whole text, for few entries and for more than it lists."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssm_reconcile.change import Row
from ssm_reconcile.documents import RemedyEntry
from ssm_reconcile.errors import Finding, Severity
from ssm_reconcile.plan import Mode, Narrowing
from ssm_reconcile.renderers import markdown_blocks as blocks
from ssm_reconcile.renderers.changes import AttributeLine
from ssm_reconcile.renderers.groups import AddressGroup, ConflictView, FindingView
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans, shapes

TARGETS = ("ap-southeast-2", "eu-west-1", "us-west-2")


def view_of(*changes: Any, **more: Any) -> PlanView:
    return PlanView(plans.document_of(plans.plan_of(changes, **more)))


def test_empty_blocks_take_no_lines() -> None:
    assert blocks.join_blocks(["a", "", "b"]) == "a\n\nb\n"


def test_blocks_are_kept_while_they_fit_with_the_empty_line_between_them() -> None:
    found = ["aaaa", "", "bbbbbb", "éé", "c"]
    kept = [blocks.blocks_within(found, budget) for budget in (17, 16, 14, 12, 6, 5)]
    assert kept == [
        ["aaaa", "bbbbbb", "c"], ["aaaa", "bbbbbb"], ["aaaa", "bbbbbb"], ["aaaa", "éé"], ["aaaa"], ["c"],
    ]  # fmt: skip


def test_names_of_more_than_ten_replications_are_counted() -> None:
    assert blocks.scope_names(list("abcdefghij")).endswith("`i` and `j`")
    assert blocks.scope_names(list("abcdefghijk")).endswith("`i`, `j` and 1 more")


def test_folds_are_closed_and_alerts_have_no_spaces_at_line_ends() -> None:
    assert blocks.fold("a", "b") == "<details><summary>a</summary>\n\nb\n</details>"
    assert blocks.fold("a", "b", is_open=True).startswith("<details open><summary>")
    assert blocks.alert("NOTE", ["a", "", "b\n c"]) == "> [!NOTE]\n> a\n>\n> b\n>  c"


def test_targets_are_named_unless_the_plan_has_one() -> None:
    one, two, three, five = (
        view_of(targets=names) for names in (TARGETS[:1], TARGETS[:2], TARGETS, plans.REGIONS)
    )
    assert not blocks.in_targets(one, TARGETS[:1])
    assert blocks.in_targets(two, TARGETS[:1]) == "  (ap-southeast-2)"
    assert blocks.in_targets(two, TARGETS[:2]) == "  (all regions)"
    assert blocks.in_targets(three, TARGETS[:2]) == "  (ap-southeast-2, eu-west-1)"
    assert blocks.in_targets(three, TARGETS) == "  (all regions)"
    assert blocks.in_targets(five, plans.REGIONS[:4]) == "  (all regions but us-west-2)"


def test_counts_of_targets_are_a_table_with_dangers_in_bold() -> None:
    changes = [plans.delete("eu-west-1", "/a"), plans.create("us-west-2", "/b")]
    assert blocks.counts_table(view_of(*changes, in_sync=1_600, incomplete=["us-west-2"])) == (
        "| Region | Delete | Create | In sync |\n"
        "|---|--:|--:|--:|\n"
        "| `ap-southeast-2` | 0 | 0 | 1,600 |\n"
        "| `eu-west-1` | **1** | 0 | 1,600 |\n"
        "| `us-west-2` **incomplete** | 0 | 1 | 1,600 |"
    )
    assert not blocks.counts_table(view_of())
    assert not blocks.counts_table(view_of(*changes[:1], targets=["eu-west-1"]))


def test_counts_of_many_targets_are_folded_and_cut() -> None:
    targets = [f"eu-west-{number}" for number in range(9)]
    view = view_of(plans.create("eu-west-1", "/a"), targets=targets)
    whole = blocks.counts_table(view)
    assert whole.startswith("<details><summary><b>Counts of 9 regions</b></summary>\n\n| Region | Create |")
    assert whole.count("| `eu-west-") == 9
    cut = blocks.counts_table(view, 8)
    assert cut.startswith("| Region |")
    assert cut.count("| `eu-west-") == 8
    assert cut.endswith("\n\n… and 1 more regions.")


@pytest.mark.parametrize("word", ["delete", "conflict", "invalid", "withheld"])
def test_a_dangerous_count_is_bold_unless_it_is_zero(word: str) -> None:
    entry = plans.document_of(plans.plan_of([], targets=TARGETS))
    entry["summary"] = {**entry["summary"], word: 1}
    entry["targets"][0] = {**entry["targets"][0], word: 1}
    table = blocks.counts_table(PlanView(entry))
    assert (table.count("**1**"), table.count("| 0 |")) == (1, 2)


def test_a_frozen_target_is_marked_and_a_pipe_in_its_name_is_escaped() -> None:
    document = plans.document_of(plans.plan_of([plans.create("eu|1", "/a")], targets=["eu|1", "b"]))
    document["targets"][0]["frozen"] = True
    del document["targets"][1]["create"]
    table = blocks.counts_table(PlanView(document))
    assert "| `eu\\|1` **frozen** | 1 | 160 |\n| `b` | 0 | 160 |" in table


def test_incomplete_places_are_an_alert_up_to_a_limit() -> None:
    view = view_of(incomplete=TARGETS, source_complete=False)
    source = (
        "> [!WARNING]\n> **The source `123456789012/us-east-1` was not listed completely.**"
        " No delete is planned."
    )
    named = "`ap-southeast-2`, `eu-west-1` and `us-west-2`"
    rest = f"> **{named} were not listed completely.** Nothing is planned there."
    assert blocks.incomplete_places(view, 2) == f"{source}\n>\n{rest}"
    assert blocks.incomplete_places(view, 1) == f"{source}\n>\n> … and 1 more."
    assert not blocks.incomplete_places(view_of(), 1)
    seven = [f"eu-west-{number}" for number in range(7)]
    cut = blocks.incomplete_places(view_of(targets=seven, incomplete=seven), 1)
    assert "`eu-west-5` and 1 more were" in cut


def remedy(number: int, **more: Any) -> RemedyEntry:
    found = {
        "flag": "--f",
        "guard": "max-deletes",
        "target": f't"{number}',
        "count": 3,
        "changes": "ab",
        **more,
    }
    return cast("RemedyEntry", found)


LIFTS = """\
To let withheld changes through, add to the spec, with a reason, and have the new plan reviewed:

```yaml
lifts:
  - {guard: "max-deletes", target: "t\\"0", count: 3, changes: "ab", until: "UNTIL", reason: ""}
```"""


def test_lifts_are_yaml_without_a_reason() -> None:
    everywhere = remedy(1)
    del everywhere["target"]
    assert blocks.lifts([everywhere], "2026-11-23T09:30:00Z", 5) == []
    for created, until in (
        ("2026-11-23T09:30:00Z", "2026-11-30"),
        ("", "YYYY-MM-DD"),
        ("9999-12-30T00:00:00Z", "YYYY-MM-DD"),
    ):
        assert blocks.lifts([everywhere, remedy(0)], created, 1) == [LIFTS.replace("UNTIL", until)]


def test_many_lifts_are_folded_and_counted() -> None:
    (two,) = blocks.lifts([remedy(0), remedy(1)], "", 1)
    title = "<b>2 entries of the spec</b> that let withheld changes through"
    assert two.startswith(f"<details><summary>{title}</summary>\n\nTo let withheld")
    assert two.count("- {guard") == 2
    (most,) = blocks.lifts([remedy(number) for number in range(100)], "", 100)
    assert most.endswith("\n```")
    (more,) = blocks.lifts([remedy(number) for number in range(1_101)], "", 2_000)
    assert more.count("- {guard") == 100
    assert more.endswith("\n```\n\nThe comment on the new plan has 1,001 more.")


def test_only_guards_that_withhold_changes_are_lifted() -> None:
    kept = plans.withheld(plans.delete("eu-west-1", "/a"), "max-deletes", "too many")
    held = plans.withheld(plans.delete("eu-west-1", "/b"), "frozen", "it is frozen")
    lifted = shapes.guard_finding("max-deletes", "eu-west-1", "1 to delete", "--max-deletes 1")
    unused = shapes.guard_finding("replace", "eu-west-1", "1 to replace", "--allow-replace")
    frozen = Finding(Severity.WARNING, "frozen", "eu-west-1 is frozen")
    _, lifts = blocks.remedies(view_of(kept, held, findings=[lifted, unused, frozen]), 5)
    assert lifts.count("- {guard") == 1
    assert '{guard: "max-deletes", target: "eu-west-1", count: 1,' in lifts


def test_notices_are_one_paragraph_with_at_most_twenty_names() -> None:
    globs = tuple(f"/{number:02}" for number in range(21))
    view = view_of(narrowing=Narrowing(only=globs), mode=Mode.NO_DECRYPT)
    assert blocks.notes(view) == (
        f"Narrowed to {', '.join(f'`--only {glob}`' for glob in globs[:20])} and 1 more:"
        " nothing else was planned."
        " Made without decryption: `SecureString` values were not compared."
    )


def test_reasons_beyond_the_open_ones_are_in_a_fold() -> None:
    kept = [
        plans.withheld(plans.delete("eu-west-1", f"/a/{number}"), "max-deletes", f"reason {number}")
        for number in range(101)
    ]
    assert blocks.remedies(view_of(*kept[:2]), 2) == [""]
    items = "\n".join(f"* `max-deletes`: reason {number}" for number in range(2))
    title = "<b>All reasons of withheld changes</b>"
    assert blocks.remedies(view_of(*kept[:2]), 1) == [blocks.fold(title, items)]
    assert blocks.remedies(view_of(*kept[:100]), 1)[0].startswith(f"<details><summary>{title}")
    (cut,) = blocks.remedies(view_of(*kept), 1)
    assert cut.startswith("<details><summary><b>Reasons of withheld changes</b>")
    assert cut.endswith("\n* … and 1 more, all in the saved plan.\n</details>")
    assert cut.count("* `max-deletes`") == 100


def test_addresses_left_alone_are_folds_with_a_list_for_each_reason() -> None:
    others = [
        plans.other("eu-west-1", "/h/1", Row.SKIPPED, "held", "on hold"),
        plans.other("eu-west-1", "/i/1", Row.INVALID, "invalid"),
        *(plans.other("us-west-2", f"/i/{number}", Row.INVALID, "invalid", "too large") for number in (2, 3)),
    ]
    invalid, held = blocks.left_alone(view_of(others=others), 2)
    assert invalid == (
        "<details open><summary><b>3 invalid, not written</b></summary>\n\n"
        "* no reason stated\n\n  ```text\n  /i/1  (eu-west-1)\n  ```\n\n"
        "* too large\n\n  ```text\n  /i/2  (us-west-2)\n  /i/3  (us-west-2)\n  ```\n</details>"
    )
    assert held.startswith("<details><summary><b>1 held, left as it is</b></summary>\n\n* on hold\n\n")
    cut, _ = blocks.left_alone(view_of(others=others), 1)
    assert cut.endswith("  ```\n\n… and 1 more reason.\n</details>")
    (paths,) = blocks.left_alone(view_of(others=others[2:]), 1)
    assert "\n\n  ```text\n  /i/* × 2\n  ```\n" in paths


@pytest.mark.parametrize(("number", "start"), [(10, "<details open>"), (11, "<details>")])
def test_few_invalid_addresses_are_open(number: int, start: str) -> None:
    others = [plans.other("eu-west-1", f"/{one}", Row.INVALID, "invalid", "big") for one in range(number)]
    assert blocks.left_alone(view_of(others=others), 20)[0].startswith(start)


def test_a_conflict_has_its_last_change_and_its_sides_if_they_are_public() -> None:
    line = AttributeLine("value", "theirs", "ours")
    shown = ConflictView((line,), "version 4", is_public=True, targets=("eu-west-1",))
    hidden = ConflictView((line,), "", is_public=False, targets=("us-west-2",))
    both = {"/a": ("eu-west-1", "us-west-2")}
    group = AddressGroup("conflict", "it differs", both, {"/a": (shown, hidden)})
    assert blocks.by_reason(view_of(), [group], 5) == (
        "* it differs\n\n  ```text\n"
        "  /a  (eu-west-1)  version 4\n    value  theirs -> ours\n  /a  (us-west-2)\n  ```"
    )


def test_items_of_several_kinds_begin_with_their_kind() -> None:
    view = view_of(others=[plans.other("eu-west-1", "/a", Row.SKIPPED, "held", "on hold")])
    listed = "\n\n  ```text\n  /a  (eu-west-1)\n  ```"
    assert blocks.by_reason(view, view.groups, 5, labelled=True) == f"* held: on hold{listed}"
    assert blocks.by_reason(view, view.groups, 5) == f"* on hold{listed}"


def finding(number: int, severity: str = "warning", **more: Any) -> FindingView:
    return FindingView(severity, "code", f"problem {number}", "--flag", **{"where": (), **more})


def test_findings_are_listed_up_to_a_limit() -> None:
    where = tuple(f"a.yaml:{number}" for number in range(7))
    places = ", ".join(f"`a.yaml:{number}`" for number in range(6))
    found = [finding(0, where=where), *map(finding, range(1, 1_003))]
    assert blocks.findings(found, 2) == (
        "<details><summary><b>1,003 findings</b></summary>\n\n"
        f"* **warning** `code`: problem 0 ({places} and 1 more)\n"
        "* **warning** `code`: problem 1\n"
        "* … and 1,001 more.\n</details>"
    )
    assert blocks.findings(found[1:2], 1) == (
        "<details><summary><b>1 finding</b></summary>\n\n* **warning** `code`: problem 1\n</details>"
    )
    assert not blocks.findings([], 1)


@pytest.mark.parametrize(
    ("number", "severity", "is_open", "start"),
    [
        (10, "error", False, "<details open>"),
        (11, "error", False, "<details>"),
        (10, "warning", False, "<details>"),
        (11, "warning", True, "<details open>"),
    ],
)
def test_few_findings_with_an_error_are_open(number: int, severity: str, is_open: bool, start: str) -> None:
    found = [*map(finding, range(1, number)), finding(0, severity)]
    assert blocks.findings(found, 20, is_open=is_open).startswith(start)
