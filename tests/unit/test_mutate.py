"""The mutation run: its changes, its sample, its file of equivalent changes, and a run on a small package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutate import Judge, Records
from tools.mutation_sites import load_equivalents, room_of, sample, sites_of

ROOT = Path(__file__).parents[2]
MODULE = b'''\
"""A docstring with 1 number."""

LIMIT: int = 3
CODES = frozenset({"a", "b"})


def choose(values: list[int], deep: bool = False) -> list[int]:
    """Return 2 values."""
    if not values or deep:
        raise ValueError(f"{len(values)} values")
    return [value for value in values if value > LIMIT]
'''


def changes(text: bytes) -> set[str]:
    """Return the changes that compile."""
    return {site.change for site in sites_of("m.py", text) if site.compiles(text)}


def test_each_condition_constant_element_and_result_has_changes() -> None:
    assert changes(MODULE) == {
        "3  ->  4",
        '"a",  ->  (removed)', ', "b"  ->  (removed)', "\"a\"  ->  'a~'", "\"b\"  ->  'b~'",
        "False  ->  True",
        "not values or deep  ->  ((not values) and (deep))", "not values or deep  ->  ((deep))",
        "not values or deep  ->  ((not values))", "not values or deep  ->  (not (not values or deep))",
        "not values  ->  (values)",
        'raise ValueError(f"{len(values)} values")  ->  pass',
        "return [value for value in values if value > LIMIT]  ->  return None",
        "value > LIMIT  ->  (value >= LIMIT)", "value > LIMIT  ->  (value <= LIMIT)",
        "value > LIMIT  ->  True",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "x: Literal[1] = y",
        "def f(a: Literal['a']) -> Literal[2]: ...",
        "if TYPE_CHECKING:\n    x = 1",
        "assert x == 1",
        "class A(Protocol):\n    x = 1",
        "x = f'{1 + 2}'",
        "x = 'a text for people'",
    ],
)
def test_annotations_and_texts_for_people_are_not_changed(text: str) -> None:
    assert changes(text.encode()) == set()


def test_a_change_leaves_the_rest_of_the_text_as_it_is() -> None:
    text = "é = 1  # é\nx = [\n    é == 2,  # a\n    3,\n]\n".encode()
    found = [site for site in sites_of("m.py", text) if site.before == "é == 2"]
    assert [site.applied(text) for site in found] == [text.replace("é == 2".encode(), "(é != 2)".encode())]


@pytest.mark.large
def test_a_sample_depends_on_the_seed_only_and_has_sites_of_each_room() -> None:
    many = b"\n".join(b"x%d = %d" % (n, n) for n in range(400))
    few = b"\n".join(b"x%d = %d" % (n, n) for n in range(9))
    texts = {
        "src/ssm_reconcile/diff/a.py": many,
        "src/ssm_reconcile/iam/b.py": few,
        "src/ssm_reconcile/c.py": few,
    }

    def lines(seed: int) -> list[tuple[str, int]]:
        return [(room_of(site.path), site.line) for site in sample(texts, 40, seed)]

    assert lines(1) == lines(1) != lines(2)
    assert [sum(room == name for room, _ in lines(1)) for name in ("diff", "iam", "top")] == [38, 5, 5]


def test_entries_of_equivalent_changes_are_current() -> None:
    assert all(load_equivalents(ROOT).values())


def test_an_entry_whose_line_has_changed_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(x):\n    return x > 2\n")
    (tmp_path / "tools").mkdir()
    entry = {"path": "m.py", "line": "return x > 2", "change": "x > 2  ->  (x >= 2)", "reason": "never 2"}
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())
    (tmp_path / "tools/mutation_equivalent.toml").write_text(f"[[equivalent]]\n{rows}\n")
    found = load_equivalents(tmp_path)
    assert list(found.values()) == ["never 2"]
    (tmp_path / "m.py").write_text("def f(x):\n    return x > 3\n")
    with pytest.raises(SystemExit, match="remove the entry"):
        load_equivalents(tmp_path)


RATES = """\
RATE = 2


def unpaid(count):
    return count
"""
SHOP = """\
from ssm_reconcile.rates import RATE


def price(count):
    return count * RATE
"""
TESTS = """\
import os
import sys

from ssm_reconcile.rates import unpaid
from ssm_reconcile.shop import price


def test_that_removes_the_trace_function():
    sys.settrace(None)


def test_price():
    assert price(2) == 4


def test_that_fails():
    assert False


def test_that_fails_in_the_run_of_a_change():
    assert unpaid(2) and "PYTEST_XDIST_WORKER" in os.environ
"""


@pytest.mark.large
def test_a_run_kills_tested_changes_and_lists_the_others(tmp_path: Path) -> None:
    for folder in ("src/ssm_reconcile", "tests/unit", "tools"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "tools/mutation_equivalent.toml").write_text("equivalent = []")
    for name in ("mutate.py", "mutation_sites.py"):
        shutil.copy(ROOT / "tools" / name, tmp_path / "tools")
    for name, text in {"__init__": "", "rates": RATES, "shop": SHOP}.items():
        (tmp_path / f"src/ssm_reconcile/{name}.py").write_text(text)
    (tmp_path / "tests/unit/test_shop.py").write_text(TESTS)
    (tmp_path / "pyproject.toml").write_text("")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    words = ["--workers", "1", "--only", "src/ssm_reconcile/rates.py"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    run = subprocess.run(
        [sys.executable, "tools/mutate.py", *words], cwd=tmp_path, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in (tmp_path / ".mutate/running.jsonl").read_text().splitlines()]
    assert [(row["line"], row["result"], row["killer"]) for row in rows] == [
        (1, "killed", "tests/unit/test_shop.py::test_price"), (5, "survived", ""),
    ]  # fmt: skip
    assert "left out, such as tests/unit/test_shop.py::test_that_fails\n" in run.stdout
    assert "survived   src/ssm_reconcile/rates.py:5  return count  ->  return None" in run.stdout
    assert (tmp_path / "src/ssm_reconcile/rates.py").read_text() == RATES


def test_a_constant_has_the_tests_of_its_room_that_execute_no_line(tmp_path: Path) -> None:
    path = "src/ssm_reconcile/cli/show.py"
    (site,) = (one for one in sites_of(path, MODULE) if one.before == "3")
    records = Records({path: MODULE}, tmp_path)
    files = ("unit/cli/test_a.py", "unit/test_show.py", "unit/test_c.py", "unit/cli/test_d.py")
    records.times = {f"tests/{file}::test": [0.0, 0.0] for file in files}
    records.sizes["tests/unit/cli/test_d.py::test"] = 1
    assert records.choose(site) == ["tests/unit/test_show.py::test", "tests/unit/cli/test_a.py::test"]


@pytest.mark.parametrize(("late_without", "result"), [(True, "survived"), (False, "timeout")])
def test_a_late_run_counts_only_if_the_same_tests_end_in_time_without_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_without: bool, result: str
) -> None:
    (tmp_path / "m.py").write_bytes(MODULE)
    site = next(site for site in sites_of("m.py", MODULE) if site.before == "3")
    judge = Judge.__new__(Judge)
    judge.tree, judge.reliable = tmp_path, {}
    judge.records = Records({}, tmp_path)
    judge.records.times = {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    monkeypatch.setattr(judge.records, "choose", lambda _: ["a", "b"])

    def run(_: Path, text: bytes, tests: list[str]) -> tuple[str, bool]:
        is_late = len(tests) == 2 and (text != MODULE or late_without)
        return ("a", True) if is_late else ("", False)

    monkeypatch.setattr(judge, "_run", run)
    assert judge.judge(site)["result"] == result
