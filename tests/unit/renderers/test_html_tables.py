"""The sections of a page from a few rows: folds, counts, labels of targets, controls of the filter."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from ssm_reconcile.renderers.html.rows import TableRow
from ssm_reconcile.renderers.html.tables import tables
from ssm_reconcile.renderers.view import PlanView
from tests.unit.renderers import plans

MARKUP = re.compile(r"<[^>]*>")


def row(section: str, name: str = "/a", label: str = "", kind: str = "create", **more: str) -> TableRow:
    targets = tuple(more.get("at", "t0").split())
    return TableRow(section, label, name, kind, more.get("state", ""), targets, ("<b>+</b>", "String", "x"))


def parts(rows: Sequence[TableRow], number: int = 2) -> list[str]:
    """Return the bar and the sections of rows on a page with a number of targets."""
    view = PlanView(plans.document_of(plans.plan_of([], targets=[f"t{i}" for i in range(number)])))
    return list(tables(view, rows))


def test_a_whole_section_of_one_row() -> None:
    _, section, empty = parts([row("Dangerous changes", "/d", "gone", "delete", state="withheld")])
    heads = "".join(
        f'<th role="columnheader" scope="col">{one}</th>'
        for one in ("What", "Name", "Type", "Where", "Details")
    )
    assert section == (
        '<section class="rows" data-what="changes" aria-labelledby="dangerous-changes">'
        '<h2 id="dangerous-changes">Dangerous changes <span class="n">1</span></h2>'
        '<details class="group reason" open><summary><span class="label">gone</span><span class="counts">'
        ' <span class="a delete">1 delete</span></span></summary><table role="table">'
        '<caption class="vh">Dangerous changes gone</caption>'
        f'<thead role="rowgroup" class="vh"><tr role="row">{heads}</tr></thead><tbody role="rowgroup">\n'
        '<tr role="row" data-k="delete" data-s="withheld" data-n="0" data-p="0" data-t="0">'
        '<td role="cell"><b>+</b></td><th role="rowheader" scope="row"><code>/d</code></th>'
        '<td role="cell">String</td><td role="cell"><code>t0</code></td><td role="cell">x</td></tr>\n'
        "</tbody></table></details></section>"
    )
    assert empty == '<p id="empty" class="dim" hidden>Nothing matches the filter.</p>'


def test_sections_and_their_counts_are_in_the_order_of_danger() -> None:
    rows = [
        row("Left as they are", "/l", "a reason", "conflict", at="t0 t1"),
        row("Other changes", "/a"),
        row("Other changes", "/b", kind="update", at="t0 t1"),
        row("Dangerous changes", "/d", "gone", "delete"),
    ]
    _, *sections, _ = parts(rows)
    texts = [MARKUP.sub("|", one.split("<table")[0]) for one in sections]
    assert [re.sub(r"\|+", "|", text) for text in texts] == [
        "|Dangerous changes |1|gone| |1 delete|",
        "|Other changes |3| |1 create| |2 update|",
        "|Left as they are |2|a reason| |2|",
    ]


def options(bar: str, name: str) -> list[str]:
    """Return the values and the texts of one control."""
    (control,) = re.findall(rf'<select id="f-{name}" name="{name}">(.*?)</select>', bar)
    return [f"{value}={text}" for value, text in re.findall(r'<option value="(.*?)">(.*?)</option>', control)]


def test_the_filter_offers_targets_kinds_states_and_paths() -> None:
    rows = [
        row("Other changes", "/b/x", state="withheld", at="t0 t1"),
        row("Other changes", "/a", kind="update", state="to apply"),
        row("Left as they are", "/c", kind="conflict"),
    ]
    bar, *_ = parts(rows)
    assert options(bar, "target") == ["=all regions", "t0=t0", "t1=t1"]
    assert options(bar, "kind") == [
        "=everything", "create=create (2)", "update=update (1)", "conflict=conflict (1)",
    ]  # fmt: skip
    assert options(bar, "state") == ["=any", "withheld=withheld (2)", "to apply=to apply (1)"]
    assert options(bar, "sort") == ["=danger", "name=name", "target=region", "action=action"]
    assert options(bar, "group") == ["=default", "path=path", "target=region", "none=none"]
    assert '<datalist id="paths"><option value="/"></option><option value="/b"></option></datalist>' in bar
    assert "<strong>prod</strong>" in bar
    assert MARKUP.sub(" ", bar.split('class="cols"')[1]).split()[-5:] == [
        "What", "Name", "Type", "Where", "Details",
    ]  # fmt: skip


def test_rows_of_one_state_have_no_filter_by_state() -> None:
    bar, *_ = parts([row("Other changes", state="to apply"), row("Left as they are", kind="conflict")])
    assert 'name="state"' not in bar


WHERE = {
    (1, "t0"): "t0",
    (2, "t0"): "t0",
    (2, "t0 t1"): "all 2 regions",
    (4, "t0 t1 t2"): "t0, t1, t2",
    (5, "t0 t1 t2 t3"): "all 5 regions but t4",
    (7, "t0 t1 t2 t3"): "all 7 regions but t4, t5 and t6",
    (8, "t0 t1 t2 t3"): "t0, t1, t2, t3",
    (12, "t0 t1 t2 t3 t4 t5 t6 t7"): "t0, t1, t2, t3, t4, t5, t6, t7",
    (13, "t0 t1 t2 t3 t4 t5 t6 t7 t8"): "t0, t1, t2, t3, t4, t5, t6, t7, and 1 more t8",
}


@pytest.mark.parametrize(("number", "at", "text"), [(*key, text) for key, text in WHERE.items()])
def test_the_targets_of_a_row_are_named_or_their_exceptions(number: int, at: str, text: str) -> None:
    _, section, _ = parts([row("Other changes", at=at)], number)
    cell = section.split('<td role="cell">')[3].split("</td>")[0]
    assert MARKUP.sub("", cell.replace("<summary>", "").replace("</summary>", " ")) == text
    assert f'data-t="{" ".join(one[1:] for one in at.split())}"' in section
    assert cell.count("<code>") == len(re.findall(r"\bt\d", text))


def test_a_target_that_the_page_does_not_have_is_still_named() -> None:
    _, section, _ = parts([row("Other changes", at="gone")])
    assert 'data-t="-1"' in section
    assert "<code>gone</code>" in section


FOLDS = {
    ("Other changes", 40): (1, 1, 0),
    ("Other changes", 41): (2, 0, 2),
    ("Applied", 40): (1, 1, 0),
    ("Applied", 41): (2, 0, 2),
    ("Dangerous changes", 40): (1, 1, 0),
    ("Dangerous changes", 41): (2, 2, 2),
    ("Withheld changes", 40): (1, 1, 0),
    ("Withheld changes", 41): (1, 0, 0),
    ("Not applied", 40): (1, 1, 0),
    ("Not applied", 41): (1, 1, 0),
    ("Left as they are", 40): (1, 1, 0),
    ("Left as they are", 41): (1, 0, 0),
}
"""Title and number of rows -> folds, open folds, folds by path."""


@pytest.mark.parametrize(("title", "number", "folds"), [(*key, folds) for key, folds in FOLDS.items()])
def test_more_than_forty_rows_are_folded_by_path_or_by_reason(
    title: str, number: int, folds: tuple[int, int, int]
) -> None:
    _, section, _ = parts([row(title, f"/p{i % 2}/{i}", "a reason") for i in range(number)])
    found = section.count("<details"), section.count(" open>"), section.count('class="group path"')
    assert found == folds
    assert ("<code>/p1</code></span>" in section) is (folds[2] == 2)


@pytest.mark.parametrize(("number", "style"), [(500, "rows"), (501, "rows many")])
def test_a_section_of_more_than_five_hundred_rows_is_laid_out_in_parts(number: int, style: str) -> None:
    _, section, _ = parts([row("Other changes", f"/{i}") for i in range(number)])
    assert section.startswith(f'<section class="{style}" ')


@pytest.mark.parametrize("number", [60, 61])
def test_the_filter_offers_at_most_sixty_paths(number: int) -> None:
    bar, *_ = parts([row("Other changes", f"/top/{i}/{x}") for i in range(number) for x in "ab"])
    assert bar.split("</datalist>")[0].count("<option", bar.index("<datalist")) == (60 if number == 60 else 1)


def test_a_page_without_rows_has_no_table() -> None:
    assert parts([]) == []
