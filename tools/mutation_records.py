"""Lines of src that each test executes, and the tests to run for a change.

A record of a test file is {"tests": {id: [seconds, {path: lines}]}, "sources": {path: digest}}. The lines are
the bits of a hexadecimal number. Processes that a test starts count too, if they get its environment.
"""

from __future__ import annotations

import ast
import difflib
import gzip
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import coverage
import pytest

from tools.mutation_runs import OPTIONS, in_fork
from tools.mutation_sites import Site

EXCLUDED = {"architecture", "browser", "docs", "performance"}
"""Test folders that are not used: they read the code, measure it, or need a browser."""
LAST = {"e2e", "workflows"}
"""Test folders whose tests are slow: they run after the others."""
FILE_SECONDS = 0.1
"""About the time to collect a test file."""
RECORD_SECONDS = 900.0
MOST = 0.9
"""A process that executes lines of nearly all modules is the command server: its forks save its lines too."""
PROCESS = """\
[run]
parallel = true
data_file = {folder}/data
include = {tree}/src/*
patch = fork, _exit
"""


def record_paths(tree: Path, store: Path, *, slow: bool) -> dict[str, Path]:
    """Return the test files, each with the path of its record, which may not exist yet."""
    found = {}
    for path in sorted(tree.glob("tests/**/test_*.py")):
        folder = path.relative_to(tree).parts[1]
        if folder not in EXCLUDED and (slow or folder not in LAST):
            found[str(path.relative_to(tree))] = record_path(tree, path, store)
    return found


def record_path(tree: Path, path: Path, store: Path) -> Path:
    """Return the path of the record of a test file, which depends on its content and that of its folder."""
    digest = hashlib.sha256(path.read_bytes())
    for each in sorted(path.parent.rglob("*") if path.parent.name == "cases" else path.parent.glob("*")):
        if each.is_file() and "__pycache__" not in each.parts and not each.name.startswith("test_"):
            digest.update(each.read_bytes())
    return store / f"{str(path.relative_to(tree)).replace('/', '.')}-{digest.hexdigest()[:12]}.json.gz"


class Recorder:
    """Plugin: notes the lines and the time of each test that passes."""

    def __init__(self, tree: Path, folder: Path) -> None:
        self.source = f"{tree}/"
        self.folder = folder
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=[f"{tree}/src/*"])
        self.modules = len(list((tree / "src").rglob("*.py")))
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self.lines: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Separate the lines of one test, and read those of the processes that it started."""
        self.coverage.switch_context(item.nodeid)
        started = time.perf_counter()
        result: Any = yield
        self.seconds[item.nodeid] = round(time.perf_counter() - started, 3)
        self.coverage.switch_context("")
        for path in self.folder.glob("data.*"):
            found = coverage.CoverageData(str(path))
            try:
                found.read()
                names = found.measured_files()
                if len(names) < MOST * self.modules:
                    for name in names:
                        self._add(item.nodeid, name, found.lines(name) or ())
            except coverage.CoverageException:
                continue  # the process still writes it
            path.unlink()
        return result  # type: ignore[no-any-return] # of the next plugin

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure: the test is left out."""
        if report.failed:
            self.failed.add(report.nodeid)

    def _add(self, test: str, name: str, lines: Iterable[int]) -> None:
        path = name.removeprefix(self.source)
        for line in lines:
            self.lines[test][path] |= 1 << line

    def record(self) -> dict[str, Any]:
        """Return the record."""
        data = self.coverage.get_data()
        for name in data.measured_files():
            for line, contexts in data.contexts_by_lineno(name).items():
                for test in filter(None, contexts):
                    self._add(test, name, [line])
        tests = {
            test: [seconds, {path: f"{bits:x}" for path, bits in self.lines[test].items()}]
            for test, seconds in self.seconds.items()
            if test not in self.failed
        }
        sources = {path for lines in self.lines.values() for path in lines}
        return {
            "tests": tests,
            "sources": {p: digest_of(Path(self.source + p)) for p in sources},
            "failed": sorted(self.failed),
        }


def digest_of(path: Path) -> str:
    """Return a digest of the content of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def record_file(tree: Path, name: str, to: Path) -> str:
    """Run a test file under coverage and write its record; returns a line for the log."""
    folder = tree.parent / f"coverage-{tree.name}"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "settings").write_text(PROCESS.format(folder=folder, tree=tree))

    def run() -> dict[str, Any]:
        recorder = Recorder(tree, folder)
        recorder.coverage.start()
        code = pytest.main([*OPTIONS, name], plugins=[recorder])
        recorder.coverage.stop()
        record = recorder.record()
        for path, digest in record["sources"].items():
            (to.parent / digest).write_bytes((tree / path).read_bytes())
        partial = to.with_suffix(".part")
        partial.write_bytes(gzip.compress(json.dumps(record).encode(), 3))
        partial.replace(to)
        return {"code": int(code), "tests": len(record["tests"]), "failed": record["failed"]}

    started = time.monotonic()
    found, _ = in_fork(tree, run, RECORD_SECONDS, COVERAGE_PROCESS_START=str(folder / "settings"))
    return f"{time.monotonic() - started:6.1f} s  {name}  {found or 'NO RECORD'}"


class Records:
    """The records of all test files, and the code as it is in `tree`."""

    def __init__(self, tree: Path, store: Path, records: Iterable[Path]) -> None:
        self.tree = tree
        self.store = store
        self.time: dict[str, float] = {}
        self.failed: list[str] = []
        self.covers: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
        """By path of src: test, digest of the text at that time, lines as bits."""
        for record in filter(Path.exists, records):
            found = json.loads(gzip.decompress(record.read_bytes()))
            self.failed += found["failed"]
            for test, (seconds, paths) in found["tests"].items():
                self.time[test] = seconds
                for path, bits in paths.items():
                    self.covers[path].append((test, found["sources"][path], int(bits, 16)))
        self.uses, self.functions = _names_of(tree)

    def seconds(self, tests: Iterable[str]) -> float:
        """Return the recorded time of tests."""
        chosen = list(tests)
        files = {test.partition("::")[0] for test in chosen}
        return sum(self.time.get(test, 1.0) for test in chosen) + FILE_SECONDS * len(files)

    def tests_of(self, path: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that execute one of the lines."""
        wanted = sorted(set(lines))
        masks: dict[str, int] = {}
        for digest in {digest for _, digest, _ in self.covers[path]}:
            masks[digest] = sum(1 << line for line in self._old_lines(path, digest, wanted))
        return {test for test, digest, bits in self.covers[path] if bits & masks[digest]}

    def _old_lines(self, path: str, digest: str, lines: Sequence[int]) -> set[int]:
        """Return the lines of an earlier text that correspond to lines of the present text."""
        if digest == digest_of(self.tree / path):
            return set(lines)
        found = set()
        for _, old, old_end, new, new_end in _blocks(self.store / digest, self.tree / path):
            for line in lines:
                if new <= line - 1 < new_end:
                    same = old_end - old == new_end - new
                    found |= {old + line - new} if same else set(range(old + 1, max(old, old_end) + 2))
        return found

    def choose(
        self, site: Site, first: float, limit: float, extra: Sequence[str] = ()
    ) -> tuple[list[str], list[str], bool]:
        """Return the tests of the first round, the others, and whether the limit leaves out some."""
        place = site.place
        groups = [self.tests_of(place.path, range(site.line, site.last + 1))]
        groups += [self.tests_of(place.path, [place.statement])] if place.at_import or not groups[0] else []
        if place.at_import:  # a test that imports the module executes the line too, and may not depend on it
            groups.insert(0, self._tests_of_names(place.names))
            groups.insert(
                0, self.tests_of(place.path, range(place.body[0], place.body[1] + 1)) if place.body else set()
            )
            groups.append(self.tests_of(place.path, self.functions[place.path]))
        ordered: dict[str, None] = {}
        for group in groups:
            ordered |= dict.fromkeys(self._spread(group, Path(place.path)))
        quick = [t for t in ordered if t.split("/")[1] not in LAST]
        wanted = [*extra, *quick, *(t for t in ordered if t.split("/")[1] in LAST)]
        rounds: tuple[list[str], list[str]] = ([], [])
        spent, files = 0.0, set()
        for test in wanted:
            file = test.partition("::")[0]
            cost = self.time.get(test, 1.0) + (FILE_SECONDS if file not in files else 0)
            if rounds[0] and spent + cost > limit:
                continue
            spent += cost
            files.add(file)
            rounds[spent > first and bool(rounds[0])].append(test)
        return (
            self._by_file(rounds[0]),
            self._by_file(rounds[1]),
            len(rounds[0]) + len(rounds[1]) < len(wanted),
        )

    def _spread(self, tests: set[str], path: Path) -> list[str]:
        """Order tests: one of each file in turn, the fastest first, files named like the module first."""
        files: defaultdict[str, list[str]] = defaultdict(list)
        for test in sorted(tests, key=lambda test: (self.time[test], test)):
            files[test.partition("::")[0]].append(test)
        stem = path.parent.name if path.stem == "__init__" else path.stem

        def rank(file: str) -> tuple[bool, bool, float, str]:
            return stem not in file, path.parent.name not in file, self.time[files[file][0]], file

        turns = zip_longest(*(files[file] for file in sorted(files, key=rank)))
        return [test for turn in turns for test in turn if test is not None]

    @staticmethod
    def _by_file(tests: Sequence[str]) -> list[str]:
        """Order tests by file, so that fixtures of a module are made once."""
        files: defaultdict[str, list[str]] = defaultdict(list)
        for test in tests:
            files[test.partition("::")[0]].append(test)
        return [test for group in files.values() for test in group]

    def _tests_of_names(self, names: Sequence[str]) -> set[str]:
        """Return the tests that execute a use of one of the names in a function."""
        lines: defaultdict[str, set[int]] = defaultdict(set)
        for name in names:
            for path, line in self.uses[name]:
                lines[path].add(line)
        return {test for path, found in lines.items() for test in self.tests_of(path, found)}


@cache
def _blocks(old: Path, new: Path) -> list[tuple[str, int, int, int, int]]:
    texts = old.read_text().splitlines(), new.read_text().splitlines()
    return list(difflib.SequenceMatcher(None, *texts, autojunk=False).get_opcodes())


def _names_of(tree: Path) -> tuple[defaultdict[str, set[tuple[str, int]]], defaultdict[str, set[int]]]:
    """Return where functions use each name, and the lines of functions by module.

    A name that is used in the value of another one at the top of a module is used where that one is.
    """
    uses: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    functions: defaultdict[str, set[int]] = defaultdict(set)
    inner: defaultdict[str, set[str]] = defaultdict(set)
    for path in sorted((tree / "src").rglob("*.py")):
        name = str(path.relative_to(tree))
        module = ast.parse(path.read_bytes())
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef):
                functions[name] |= set(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
        for node in ast.walk(module):
            if isinstance(node, ast.Name | ast.Attribute) and node.lineno in functions[name]:
                uses[node.id if isinstance(node, ast.Name) else node.attr].add((name, node.lineno))
        for statement in module.body:
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for used in ast.walk(statement.value):
                    if isinstance(used, ast.Name):
                        inner[used.id] |= {target.id for target in targets if isinstance(target, ast.Name)}
    for name, others in inner.items():
        uses[name] = uses[name].union(*(uses[other] for other in others))
    return uses, functions
