"""Mutation run: a sample of changes in src -> which of them the tests find, by room.

The suite runs once under coverage in a copy of the tree. Then each change is made in a copy, and the tests
that execute its line run until one fails. A failed test counts only if it passes without the change.
This module is also the plugin of pytest for these runs. Reasons: docs/decisions/0051-mutation-run.md.
"""

from __future__ import annotations

import argparse
import ast
import ctypes
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools import mutation_sites as changes  # noqa: E402 - after the path

EXCLUDED = {"architecture", "browser", "docs", "performance"}
"""Test folders that are not used: they read the code, measure it, or need a browser."""
SLOW = {"e2e", "workflows"}
FIRST_SECONDS, LIMIT_SECONDS = 6.0, 120.0
"""CPU time of the tests of a change in the first round and in total, as recorded."""
FOLDER = Path(os.environ.get("MUTATE_FOLDER", os.devnull))  # of the list and the results of a run of pytest
OPTIONS = ("-p", "tools.mutate", "-p", "no:cacheprovider", "-q", "--no-header", "-rN", "--hypothesis-seed=0")
INCLUDE = f"{ROOT / changes.PACKAGE}/*"
NAME = re.compile(r"^ *(?:class |def )?(\w+)(?: = |: |\()")  # the name that a statement binds
LINES = """SELECT path, context, numbits FROM line_bits
JOIN file ON file.id = file_id JOIN context ON context.id = context_id"""


def pytest_configure(config: pytest.Config) -> None:
    """Record the tests of each worker of xdist."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config.workerinput["workerid"]))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests on the list, in its order. A test that no longer exists is left out."""
    if (FOLDER / "tests").exists():
        order = {test: n for n, test in enumerate((FOLDER / "tests").read_text().split("\n"))}
        items[:] = sorted((i for i in items if i.nodeid in order), key=lambda item: order[item.nodeid])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write the first test that failed."""
    if report.failed and not (FOLDER / "failed").exists():
        (FOLDER / "failed").write_text(report.nodeid)


class Recorder:
    """Writes the lines of each test, with its name as the context of coverage, and its times."""

    def __init__(self, worker: str) -> None:
        self.times: dict[str, list[float]] = {}
        self.end, self.parts = FOLDER / f"times.{worker}", Path(tempfile.mkdtemp())
        options = f"parallel = true\ndata_file = {self.parts}/lines\ninclude = {INCLUDE}\npatch = fork\n"
        (self.parts / "settings").write_text(f"[run]\n{options}")
        os.environ["COVERAGE_PROCESS_START"] = str(self.parts / "settings")
        self.coverage = coverage.Coverage(FOLDER / f"lines.{worker}", config_file=False, include=[INCLUDE])
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Record a test, if it passes, with the lines of the processes that it started."""
        if sys.gettrace() is None:  # a test that counts steps has removed the trace function
            self.coverage.stop()
            self.coverage.start()
        self.coverage.switch_context(item.nodeid)
        failed, cpu, clock = item.session.testsfailed, sum(os.times()[:4]), time.perf_counter()
        result: Any = yield
        if item.session.testsfailed == failed:
            self.times[item.nodeid] = [sum(os.times()[:4]) - cpu, time.perf_counter() - clock]
        for path in self.parts.glob("lines.*"):
            part = coverage.CoverageData(str(path))
            with suppress(coverage.CoverageException):  # the process still writes it
                part.read()
                self.coverage.get_data().add_lines({f: part.lines(f) or () for f in part.measured_files()})
                path.unlink()
        self.coverage.switch_context("")
        return result  # type: ignore[no-any-return] # of the next plugin

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        self.coverage.stop()
        self.coverage.save()
        self.end.write_text(json.dumps(self.times))


def run_pytest(tree: Path, folder: Path, words: Sequence[str], seconds: float | None = None) -> int | None:
    """Run pytest in a tree and kill all processes that it leaves; returns its exit code, or None if late."""
    scratch = tempfile.mkdtemp(dir=tree.parent)
    env = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPATH": f"{tree}/src:{tree}", "TMPDIR": scratch}
    env |= {"MUTATE_FOLDER": str(folder), "COVERAGE_CORE": "ctrace", "PYTEST_DEBUG_TEMPROOT": scratch}
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process
    code = None
    with (folder / "log").open("w") as log, suppress(subprocess.TimeoutExpired):
        code = subprocess.run(  # noqa: S603 - pytest
            [sys.executable, "-m", "pytest", *OPTIONS, *words], cwd=tree, env=env, timeout=seconds,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=False,
        ).returncode  # fmt: skip
    while pids := Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        for pid in map(int, pids):
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    shutil.rmtree(scratch, ignore_errors=True)
    return code


def file_of(test: str) -> str:
    """Return the file of a test."""
    return test.partition("::")[0]


class Records:
    """The lines of each test, and its seconds of CPU and of the clock."""

    def __init__(self, texts: dict[str, bytes], folder: Path) -> None:
        self.lines = {path: text.decode().splitlines() for path, text in texts.items()}
        self.times: dict[str, list[float]] = {}
        self.covers: defaultdict[str, dict[str, int]] = defaultdict(dict)  # lines as bits, by module and test
        self.sizes: Counter[str] = Counter()
        for path in folder.glob("times.*"):
            self.times |= json.loads(path.read_text())
        for path in folder.glob("lines.*"):
            for name, test, bits in sqlite3.connect(path).execute(LINES):
                if test in self.times:
                    lines = int.from_bytes(bits, "little")
                    self.covers[name[name.index(changes.PACKAGE) :]][test] = lines
                    self.sizes[test] += lines.bit_count()

    def choose(self, site: changes.Site) -> list[str]:
        """Return the tests of a change, the most specific first."""
        module = Path(site.path.removesuffix("/__init__.py")).with_suffix("")
        lines, room = self.lines[site.path], module.parent.name
        statements = (node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.stmt))
        around = [node for node in statements if node.lineno <= site.line <= (node.end_lineno or 0)]
        functions = [node for node in around if isinstance(node, ast.FunctionDef)]
        own = self._tests_of(site.path, range(site.line, site.last + 1))
        groups = [own or self._tests_of(site.path, [around[-1].lineno])]
        if not any(node.body[0].lineno <= site.line for node in functions):
            # The line runs at import: coverage shows it for no test, or for each test that starts a process.
            bodies = [n for node in functions for n in range(node.body[0].lineno, (node.end_lineno or 0) + 1)]
            names = {name for node in around for name in NAME.findall(lines[node.lineno - 1])}
            use = re.compile(rf"\b(?:{'|'.join(names) or '$.'})\b")
            users = self._tests_of(site.path, bodies)
            for path, texts in self.lines.items():
                users |= self._tests_of(path, [n for n, text in enumerate(texts, 1) if use.search(text)])
            # A test of a constant may execute no line.
            near = (test for test in self.times if module.name in file_of(test) or room in file_of(test))
            groups = [users | {test for test in near if not self.sizes[test]}, set(self.covers[site.path])]

        def rank(test: str) -> tuple[Any, ...]:
            file = file_of(test)
            is_slow = file.split("/")[1] in SLOW
            return is_slow, module.name not in file, room not in file, self.sizes[test], test

        return list(dict.fromkeys(test for group in groups for test in sorted(group, key=rank)))

    def _tests_of(self, path: str, lines: Iterable[int]) -> set[str]:
        wanted = sum(1 << line for line in set(lines))
        return {test for test, found in self.covers[path].items() if found & wanted}


class Judge:
    """Runs the tests of changes in one copy of the tree."""

    def __init__(self, scratch: Path, records: Records) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=scratch))
        self.tree = Path(shutil.copytree(scratch / "tree", self.folder / "tree", symlinks=True))
        self.records = records
        self.reliable: dict[str, bool] = {}
        self.moment = 1_000_000_000

    def judge(self, site: changes.Site) -> dict[str, Any]:
        """Make the change, run its tests until one fails, and restore the file; returns the result."""
        path, started = self.tree / site.path, time.monotonic()
        original, tests = path.read_bytes(), self.records.choose(site)
        rounds: tuple[list[str], list[str]] = [], []
        spent, killer = 0.0, ""
        for test in tests:
            cost = self.records.times[test][0]
            if spent + cost <= LIMIT_SECONDS or not spent:
                rounds[bool(spent) and spent + cost > FIRST_SECONDS].append(test)
                spent += cost
        count = sum(map(len, rounds))
        result = "limit" if count < len(tests) else "survived" if tests else "untested"
        for left in rounds:
            while left and not killer:
                failed, is_late = self._run(path, site.applied(original), left)
                if not failed:
                    break
                if is_late or failed not in self.reliable:
                    self.reliable[failed] = not self._run(path, original, left if is_late else [failed])[0]
                if self.reliable[failed]:
                    result, killer = "timeout" if is_late else "killed", failed
                left.remove(failed)
        path.write_bytes(original)
        seconds = round(time.monotonic() - started, 1)
        return changes.row_of(site, original, result) | {"tests": count, "seconds": seconds, "killer": killer}

    def _run(self, path: Path, text: bytes, tests: Sequence[str]) -> tuple[str, bool]:
        """Return the first test that fails with this text, or "", and whether the tests ran too long."""
        path.write_bytes(text)
        self.moment += 2  # a time of its own, by which Python recognises the compiled form
        os.utime(path, (self.moment, self.moment))
        files = list(dict.fromkeys(map(file_of, tests)))
        files = [file for file in files if (self.tree / file).exists()]  # `--keep`: renamed since the record
        by_file = [test for file in files for test in tests if file_of(test) == file]
        (self.folder / "tests").write_text("\n".join(by_file))
        (failed := self.folder / "failed").unlink(missing_ok=True)
        late = 30 + 4 * sum(self.records.times[test][1] for test in tests)
        code = files and run_pytest(self.tree, self.folder, ["-p", "no:xdist", "-x", *files], late)
        if not files or code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return "", False
        return failed.read_text() if failed.exists() else tests[0], code is None


_judges: list[Judge] = []  # in a worker, its judge


def _judge(site: changes.Site) -> dict[str, Any]:
    return _judges[0].judge(site)


def run(options: argparse.Namespace, scratch: Path, store: Path) -> None:
    """Record, judge the sites, and write the results and the table."""
    texts, last = changes.copy_tree(ROOT, scratch / "tree"), store / "last.jsonl"
    rows = changes.read_rows(last) if options.rerun else []
    sites, equivalents = changes.choose_sites(options, texts, rows), changes.load_equivalents(ROOT)
    again = {changes.key_of(site, texts[site.path]) for site in sites}
    rows = [row for row in rows if (row["path"], row["text"], row["change"]) not in again]
    left = [site for site in sites if changes.key_of(site, texts[site.path]) not in equivalents]
    rows += [changes.row_of(site, texts[site.path], "equivalent") for site in sites if site not in left]
    digest, known = hashlib.sha256(repr(texts).encode()).hexdigest(), store / "records" / "digest"
    if not (options.keep and known.exists() and known.read_text() == digest):
        shutil.rmtree(known.parent, ignore_errors=True)
        known.parent.mkdir(parents=True)
        log, left_out = known.parent / "log", EXCLUDED if options.slow else EXCLUDED | SLOW
        sys.stdout.write(f"recording the lines of each test; the output of pytest is in {log}\n")
        words = [f"-n{options.workers}", "--dist=worksteal", *(f"--ignore=tests/{name}" for name in left_out)]
        code = run_pytest(scratch / "tree", known.parent, [*words, "tests"])
        if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
            sys.exit(f"{log}: pytest ended with exit code {code}: fix its error and run again")
        if code == pytest.ExitCode.TESTS_FAILED:
            sys.stdout.write(f"failed tests are left out, such as {(log.parent / 'failed').read_text()}\n")
        known.write_text(digest)
    records = Records(texts, known.parent)
    sys.stdout.write(f"{len(sites)} sites, {len(records.times)} tests\n")
    fork, running = multiprocessing.get_context("fork"), store / "running.jsonl"
    with fork.Pool(options.workers, lambda: _judges.append(Judge(scratch, records))) as pool:
        for row in pool.imap_unordered(_judge, left):
            rows.append(row)
            running.write_text("".join(json.dumps(row) + "\n" for row in rows))
            sys.stdout.write(f"{len(rows):>4} {row['seconds']:6.1f} s  {changes.label(row)}\n")
    if not options.only:
        running.replace(last)
    sys.stdout.write(changes.summary(rows))


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description="Change the code in many places and see which tests fail.")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--sample", type=int, default=300, help="number of sites in all rooms")
    parser.add_argument("--room", help="only the sites of this folder of the package, or of `top`")
    parser.add_argument("--only", metavar="PATH[:LINE]", help="all changes of a module or of a line")
    parser.add_argument("--rerun", action="store_true", help="only the sites that the last run left unfound")
    parser.add_argument("--keep", action="store_true", help="use the last record, if src is the same")
    parser.add_argument("--slow", action="store_true", help="use tests/e2e and tests/workflows too")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", type=Path, default=ROOT / ".mutate", help="folder of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutate-", dir="/dev/shm") as scratch:
        run(options, Path(scratch), options.store.resolve())


if __name__ == "__main__":
    main()
