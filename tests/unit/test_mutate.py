"""The mutation run: its changes, its sample, its file of equivalent changes, and a run on a small package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import mutate
from tools.mutation_records import Records
from tools.mutation_sites import load_equivalents, sites_of

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


def test_a_sample_depends_on_the_seed_only_and_has_sites_of_each_room() -> None:
    many = b"\n".join(b"x%d = %d" % (n, n) for n in range(400))
    few = b"\n".join(b"x%d = %d" % (n, n) for n in range(9))
    texts = {
        "src/ssm_reconcile/diff/a.py": many,
        "src/ssm_reconcile/iam/b.py": few,
        "src/ssm_reconcile/c.py": few,
    }

    def lines(seed: int) -> list[tuple[str, int]]:
        return [(mutate.room_of(site.place.path), site.line) for site in mutate.sample(texts, 40, seed)]

    assert lines(1) == lines(1) != lines(2)
    assert [sum(room == name for room, _ in lines(1)) for name in ("diff", "iam", "top")] == [38, 5, 5]


def test_entries_of_equivalent_changes_are_current() -> None:
    assert all(load_equivalents(ROOT / mutate.EQUIVALENT, ROOT).values())


def test_an_entry_whose_line_has_changed_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def f(x):\n    return x > 2\n")
    entries = tmp_path / "entries.toml"
    entry = {"path": "m.py", "line": "return x > 2", "change": "x > 2  ->  (x >= 2)", "reason": "never 2"}
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())
    entries.write_text(f"[[equivalent]]\n{rows}\n")
    found = load_equivalents(entries, tmp_path)
    assert list(found.values()) == ["never 2"]
    (tmp_path / "m.py").write_text("def f(x):\n    return x > 3\n")
    with pytest.raises(SystemExit, match="remove the entry"):
        load_equivalents(entries, tmp_path)


RATES = "RATE = 2\n"
SHOP = """\
from ssm_reconcile.rates import RATE


def price(count):
    if count > 9:
        return count
    return count * RATE


def unused(count):
    return count > 1
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with tests for one of its branches, after a run for all its changes."""
    root = tmp_path_factory.mktemp("a shop")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    (root / "src/ssm_reconcile").mkdir(parents=True)
    (root / "tests/unit").mkdir(parents=True)
    (root / "src/ssm_reconcile/__init__.py").write_text("")
    (root / "src/ssm_reconcile/rates.py").write_text(RATES)
    (root / "src/ssm_reconcile/shop.py").write_text(SHOP)
    (root / "tests/unit/test_shop.py").write_text(
        "from ssm_reconcile.shop import price\n\n\ndef test_price():\n    assert price(2) == 4\n"
    )
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n')
    words = ["--root", str(root), "--workers", "1", "--sample", "99"]
    program = f"from tools import mutate, mutation_runs\nmutation_runs.LIBRARIES = ()\nmutate.main({words!r})"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    return root


def test_a_run_kills_tested_changes_and_lists_the_others(shop: Path) -> None:
    found = [json.loads(line) for line in (shop / ".mutate/last.jsonl").read_text().splitlines()]
    results = {(each["line"], each["result"]) for each in found}
    assert results == {(1, "killed"), (5, "killed"), (6, "untested"), (7, "killed"), (11, "untested")}
    survivors = (shop / ".mutate/survivors.txt").read_text()
    assert "src/ssm_reconcile/shop.py:6  return count  ->  return None  [untested, 0 tests]" in survivors
    assert (shop / "src/ssm_reconcile/shop.py").read_text() == SHOP


def test_lines_of_a_record_follow_the_text(shop: Path) -> None:
    store = shop / ".mutate/records"
    path = shop / "src/ssm_reconcile/shop.py"
    try:
        path.write_text("# a comment\n" * 3 + SHOP)
        records = Records(shop, store, store.glob("*.gz"))
        assert records.tests_of("src/ssm_reconcile/shop.py", [10]) == {"tests/unit/test_shop.py::test_price"}
        assert records.tests_of("src/ssm_reconcile/shop.py", [9]) == set()
    finally:
        path.write_text(SHOP)


def test_a_constant_has_the_tests_of_functions_of_other_modules_that_use_it(shop: Path) -> None:
    store = shop / ".mutate/records"
    records = Records(shop, store, store.glob("*.gz"))
    (constant,) = sites_of("src/ssm_reconcile/rates.py", RATES.encode())
    assert records.choose(constant, 6, 60) == (["tests/unit/test_shop.py::test_price"], [], False)
