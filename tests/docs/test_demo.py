"""`make demo`: each statement of the demo holds, and its output is short, without repetition and secrets."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.doubles.once import make_once
from tools import session

TOKEN = re.compile(r"[\w-]{24}")
"""The form of the secrets of the demo."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The output with colours of one demo in a terminal with 100 columns, which all workers share."""

    def run(folder: Path) -> None:
        (folder / "output").write_text(session.record(), encoding="utf-8")

    return (make_once(tmp_path_factory, "demo", run) / "output").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shown(recorded: str) -> str:
    return session.COLOR.sub("", recorded)


def test_each_statement_of_the_demo_holds(shown: str) -> None:
    """A statement that does not hold ends the demo with an error, so `record` raises."""
    assert "none of them was printed" in shown


def test_the_demo_has_at_most_120_lines_that_fit_the_terminal(shown: str) -> None:
    lines = shown.splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > session.WIDTH] == []


def test_the_demo_shows_no_text_twice(shown: str) -> None:
    blocks = Counter(block.strip() for block in shown.split("\n\n"))
    assert [block for block, count in blocks.items() if block and count > 1] == []


def test_each_step_is_explained_in_one_sentence_of_at_most_25_words(shown: str) -> None:
    steps = re.findall(r"^== (\d)\. ((?:.+\n)+?)\$ ", shown, re.MULTILINE)
    assert [number for number, _ in steps] == ["1", "2", "3", "4", "5", "6", "7"]
    assert {sentence.strip().count(". ") for _, sentence in steps} == {0}
    assert all(sentence.strip().endswith(".") for _, sentence in steps)
    assert [sentence for _, sentence in steps if len(sentence.split()) > 25] == []


def test_the_demo_shows_a_plan_a_conflict_drift_a_withheld_delete_and_its_remedy(shown: str) -> None:
    plan, taken, applied, nothing, changed, lifted = re.split(r"^== [2-7]\. ", shown, flags=re.MULTILINE)[1:]
    assert "(secret)" in plan
    assert "Conflicts, not written: 1" in plan
    assert "value  max: 100 -> 250" in plan
    assert "--adopt overwrite" in taken
    assert "applied" in applied.lower()
    assert "Nothing to do" in nothing
    for text in ("withheld", "--max-deletes 2", "outside ssm-reconcile"):
        assert text in " ".join(changed.lower().split())
    assert "delete" in lifted


def test_the_demo_prints_no_token_and_no_path_of_this_machine(shown: str) -> None:
    assert [word for word in TOKEN.findall(shown) if not word.strip("-_").islower()] == []
    assert f"{tempfile.gettempdir()}/" not in shown


def test_the_picture_of_the_session_is_current(recorded: str) -> None:
    current = session.PICTURE.read_text(encoding="utf-8") == session.picture(recorded)
    assert current, "docs/pictures/session.svg shows other output: run `python tools/session.py`"


def test_the_picture_is_small_and_complete_in_itself() -> None:
    picture = session.PICTURE.read_text(encoding="utf-8")
    assert len(picture.encode()) < 100_000
    assert re.findall(r"@font-face|@import|url\((?!#)|href|<script|<image", picture) == []
    assert set(re.findall(r"\b\d{12}\b", picture)) == {"123456789012"}
    assert set(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d", picture.replace("&#160;", " "))) == {session.MOMENT}


def test_two_recordings_differ_in_times_and_ids_only(recorded: str) -> None:
    later = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "2031-12-31 23:59", recorded)
    later = later.replace("just before this plan", "1 min before this plan")
    ids = dict.fromkeys(session.PLAN_ID.findall(recorded))
    for number, plan_id in enumerate(ids):
        later = later.replace(plan_id, f"{number:011x}a")
    assert "1 min before this plan" in later
    assert session.picture(later) == session.picture(recorded)
