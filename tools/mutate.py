"""Mutation run: a sample of changes in src -> which of them the tests find, by room.

python tools/mutate.py [--seed 20] [--sample 300]       a table, and the survivors in .mutate/survivors.txt
python tools/mutate.py --only src/ssm_reconcile/diff/compare.py:132
python tools/mutate.py --rerun                          only the survivors of the last run

A first step runs each test file under coverage in a copy of the tree and records the lines of each test. A
record is kept in .mutate until its test file changes; in changed modules its lines follow the text. Then each
change is made in a copy, and the tests that execute its line run, a few of each file first, until one fails.
A failed test counts only if it passes without the change. Reasons: docs/decisions/0051-mutation-run.md.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.pool
import os
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.mutation_records import Records, record_file, record_paths  # noqa: E402 - after the path
from tools.mutation_runs import Run, adopt_orphans, copy_tree, run_tests, warm_up  # noqa: E402
from tools.mutation_sites import Site, key_of, load_equivalents, sites_of  # noqa: E402

PACKAGE = "src/ssm_reconcile"
EQUIVALENT = "tools/mutation_equivalent.toml"
FIRST_SECONDS, LIMIT_SECONDS = 6.0, 60.0
"""Time of the tests of a change in the first round and in total, as recorded."""
SMALL_ROOM = 5
RESULTS = ("killed", "timeout", "survived", "limit", "untested", "equivalent")
FOUND = {"killed", "timeout"}
SETTLED = {*FOUND, "equivalent"}


@dataclass
class Result:
    """Result of one change."""

    path: str
    line: int
    change: str
    result: str
    tests: int = 0
    seconds: float = 0.0
    killer: str = ""
    unreliable: list[str] = field(default_factory=list)


def room_of(path: str) -> str:
    """Return the folder below the package, or "top"."""
    parts = Path(path).relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else "top"


def sample(texts: dict[str, bytes], size: int, seed: int) -> list[Site]:
    """Return one change of each of `size` lines: rooms in proportion to their lines that have changes."""
    rooms: defaultdict[str, defaultdict[tuple[str, int], list[Site]]]
    rooms = defaultdict(lambda: defaultdict(list))
    for path, text in sorted(texts.items()):
        for site in sites_of(path, text):
            rooms[room_of(path)][path, site.line].append(site)
    total = sum(map(len, rooms.values()))
    chosen = []
    for room, lines in sorted(rooms.items()):
        draw = random.Random(f"{seed} {room}")  # noqa: S311 - a sample
        count = min(len(lines), max(SMALL_ROOM, round(size * len(lines) / total)))
        for path, line in draw.sample(sorted(lines), count):
            sites = lines[path, line]
            draw.shuffle(sites)
            chosen += [site for site in sites if site.compiles(texts[path])][:1]
    return chosen


@dataclass
class Judge:
    """Runs the tests of changes in one copy of the tree."""

    tree: Path
    records: Records
    extra: list[str]
    reliable: dict[str, bool] = field(default_factory=dict)
    moment: int = 1_000_000_000

    def judge(self, site: Site) -> Result:
        """Make the change, run its tests and restore the file."""
        result = Result(site.place.path, site.line, site.change, "survived")
        first, rest, is_cut = self.records.choose(site, FIRST_SECONDS, LIMIT_SECONDS, self.extra)
        if not first:
            result.result = "untested"
        for tests in (first, rest):
            while tests and result.result == "survived":
                run = self._run_changed(site, tests)
                result.seconds += run.seconds
                result.tests += run.count
                if run.is_passed:
                    break
                if self._is_reliable(run, tests):
                    result.result = "timeout" if run.is_timeout else "killed"
                    result.killer = run.failed or tests[0]
                else:
                    result.unreliable.append(run.failed or tests[0])
                    tests = [test for test in tests if test not in result.unreliable]  # noqa: PLW2901
        if result.result == "survived" and is_cut:
            result.result = "limit"
        return result

    def _run_changed(self, site: Site, tests: Sequence[str]) -> Run:
        path = self.tree / site.place.path
        original = path.read_bytes()
        self._write(path, site.applied(original))
        try:
            return run_tests(self.tree, tests, self.records.seconds(tests) * 5 + 20)
        finally:
            self._write(path, original)

    def _write(self, path: Path, text: bytes) -> None:
        """Give each text a time of its own, by which Python recognises its compiled form."""
        path.write_bytes(text)
        self.moment += 2
        os.utime(path, (self.moment, self.moment))

    def _is_reliable(self, run: Run, tests: Sequence[str]) -> bool:
        """Whether the failed test passes without the change."""
        test = run.failed or tests[0]
        if test not in self.reliable:
            self.reliable[test] = run_tests(
                self.tree, [test], self.records.seconds([test]) * 5 + 60
            ).is_passed
        return self.reliable[test]


_judges: list[Judge] = []


def _judge(task: tuple[Site, str, bool]) -> dict[str, Any]:
    site, text, is_equivalent = task
    known = Result(site.place.path, site.line, site.change, "equivalent")
    return asdict(known if is_equivalent else _judges[0].judge(site)) | {"text": text}


def _record(task: tuple[str, Path]) -> str:
    return record_file(_judges[0].tree, *task)


def _start(scratch: Path, records: Records, extra: list[str]) -> None:
    """Prepare a worker: its copy of the tree."""
    tree = scratch / str(os.getpid())
    shutil.copytree(scratch / "tree", tree, symlinks=True)
    adopt_orphans()
    _judges[:] = [Judge(tree, records, extra)]


def workers(options: argparse.Namespace, scratch: Path, records: Records) -> multiprocessing.pool.Pool:
    """Start the worker processes."""
    fork = multiprocessing.get_context("fork")
    return fork.Pool(options.workers, _start, (scratch, records, options.tests))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the kill rates by room."""
    rooms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        rooms[room_of(row["path"])][row["result"]] += 1
        rooms["all rooms"][row["result"]] += 1
    lines = [f"{'room':<18}{'sites':>6}" + "".join(f"{name:>12}" for name in RESULTS) + f"{'rate':>8}"]
    for room, counts in sorted(rooms.items(), key=lambda item: (item[0] == "all rooms", item[0])):
        real = counts.total() - counts["equivalent"]
        found = sum(counts[name] for name in FOUND)
        cells = "".join(f"{counts[name]:>12}" for name in RESULTS)
        lines.append(f"{room:<18}{counts.total():>6}{cells}{found / real if real else 1:>8.1%}")
    return "\n".join(lines)


def choose_sites(
    options: argparse.Namespace, texts: dict[str, bytes], last: list[dict[str, Any]]
) -> list[Site]:
    """Return the sites of the options: of a place, of the last survivors, or a sample."""
    if options.rerun:
        left = {(r["path"], r["text"], r["change"]) for r in last if r["result"] not in SETTLED}
        sites = [
            s for path in sorted({key[0] for key in left} & set(texts)) for s in sites_of(path, texts[path])
        ]
        found = list({key: s for s in sites if (key := key_of(s, texts[s.place.path])) in left}.values())
    elif options.only:
        path, _, line = options.only.partition(":")
        sites = [s for s in sites_of(path, texts[path]) if not line or s.line == int(line)]
        found = [site for site in sites if site.compiles(texts[path])]
    else:
        found = sample(texts, options.sample, options.seed)
    return [site for site in found if options.room in {None, room_of(site.place.path)}]


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description="Change the code in many places and see which tests fail.")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--sample", type=int, default=300, help="number of sites in all rooms")
    parser.add_argument("--room", help="only the sites of this folder of the package, or of `top`")
    parser.add_argument("--only", metavar="PATH[:LINE]", help="all changes of a module or of a line")
    parser.add_argument("--rerun", action="store_true", help="only the sites that the last run left unfound")
    parser.add_argument(
        "--tests", action="append", default=[], metavar="ID", help="run this test first for each site"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slow", action="store_true", help="record tests/e2e and tests/workflows too")
    parser.add_argument("--record", action="store_true", help="only record the lines of the tests")
    parser.add_argument("--root", type=Path, default=ROOT, help="tree to change")
    parser.add_argument(
        "--store", type=Path, help="folder of records and results (default: .mutate of the tree)"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Record, run and report; returns 0 whatever the rates are."""
    options = arguments(words)
    store = options.store or options.root / ".mutate"
    (store / "records").mkdir(parents=True, exist_ok=True)
    warm_up()
    base = Path("/dev/shm")  # noqa: S108 - a folder of its own in it
    with tempfile.TemporaryDirectory(prefix="mutate-", dir=base if base.is_dir() else None) as folder:
        scratch = Path(folder)
        copy_tree(options.root, scratch / "tree")
        files = record_paths(scratch / "tree", store / "records", slow=options.slow)
        empty = Records(scratch / "tree", store / "records", [])
        with workers(options, scratch, empty) as pool:
            missing = [(name, path) for name, path in files.items() if not path.exists()]
            for line in pool.imap_unordered(_record, missing):
                report(line)
        if not options.record:
            records = Records(scratch / "tree", store / "records", files.values())
            run(options, scratch, records, store)
    return 0


def run(options: argparse.Namespace, scratch: Path, records: Records, store: Path) -> None:
    """Judge the sites, and write the results and the table."""
    tree = scratch / "tree"
    texts = {str(p.relative_to(tree)): p.read_bytes() for p in sorted((tree / PACKAGE).rglob("*.py"))}
    equivalents = load_equivalents(tree / EQUIVALENT, tree)
    path = store / "last.jsonl"
    last = [json.loads(line) for line in path.read_text().splitlines()] if options.rerun else []
    keys = {site: key_of(site, texts[site.place.path]) for site in choose_sites(options, texts, last)}
    report(f"{len(keys)} sites, seed {options.seed}; tests that fail without a change: {records.failed}")
    rows = [row for row in last if row["result"] in SETTLED]
    tasks = [(site, keys[site][1], keys[site] in equivalents) for site in keys]
    with workers(options, scratch, records) as pool, (store / "running.jsonl").open("w") as log:
        for row in chain(list(rows), pool.imap_unordered(_judge, tasks)):
            log.write(json.dumps(row) + "\n")
            log.flush()
            if row not in rows:
                rows.append(row)
                report(f"{len(rows):>4} {row['result']:<10} {row['seconds']:5.1f} s  {label(row)}")
    if not options.only:
        (store / "running.jsonl").replace(path)
    left = sorted((r for r in rows if r["result"] not in SETTLED), key=lambda r: (r["path"], r["line"]))
    text = "\n".join(f"{label(r)}  [{r['result']}, {r['tests']} tests]" for r in left)
    (store / "survivors.txt").write_text(f"{text}\n")
    (store / "table.txt").write_text(f"seed {options.seed}, sample {options.sample}\n\n{table(rows)}\n")
    report(f"\n{text}\n\n{(store / 'table.txt').read_text()}")


def label(row: dict[str, Any]) -> str:
    """Return the place and the change."""
    return f"{row['path']}:{row['line']}  {row['change']}"


def report(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
