"""Starting the program in a process of its own: what is loaded, where output goes, what a pipe does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks import startup
from tests.e2e.conftest import Shell

SOURCE = Path(__file__).parents[2] / "src"
GOLDEN = Path(__file__).parents[1] / "unit" / "renderers" / "golden"
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/app/**"] }
delete: owned
"""
ENVIRONMENT = {
    key: value for key, value in os.environ.items() if not key.startswith("AWS_") and key != "FORCE_COLOR"
} | {"PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"}
AWS = {"boto3", "botocore", "s3transfer"}
HEAVY = {*AWS, "deepdiff", "jsonschema", "re2", "rich", "yaml", "concurrent.futures", "urllib3"}


def run(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", *words],
        capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@cache
def loaded(*words: str, cwd: Path | None = None) -> set[str]:
    """The names of all modules that a command line loads."""
    return loaded_by(f"from ssm_reconcile.cli import root\nroot.main({list(words)!r})", cwd)


@cache
def loaded_by(program: str, cwd: Path | None = None) -> set[str]:
    indented = "\n".join(f"    {line}" for line in program.splitlines())
    result = python(f"import sys\ntry:\n{indented}\nfinally:\n    print(*sys.modules, file=sys.stderr)", cwd)
    return set(result.stderr.splitlines()[-1].split())


def python(program: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=60, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_load_click_and_next_to_nothing(word: str) -> None:
    modules = loaded(word)
    ours = {name for name in modules if name.startswith("ssm_reconcile")}
    assert ours == {
        "ssm_reconcile",
        "ssm_reconcile.cli",
        "ssm_reconcile.cli.help_layout",
        "ssm_reconcile.cli.terminal",
        "ssm_reconcile.cli.verbosity",
    }


LAYOUT = {"click._textwrap", "_locale", "locale", "signal", "textwrap"}
"""Modules that every help of click loads, apart from `signal`, which the handler of SIGTERM needs."""


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_load_no_standard_module_that_click_does_not_need(word: str) -> None:
    more = loaded(word) - loaded_by("import click")
    assert {name for name in more if not name.startswith("ssm_reconcile")} <= LAYOUT


FIRST_LINE = """
import json, os, sys

class FirstLine:
    def isatty(self):
        return True
    def flush(self):
        pass
    def write(self, text):
        print(json.dumps([text, sorted(sys.modules)]), flush=True)
        os._exit(0)

sys.stderr = FirstLine()
from ssm_reconcile.cli import root
root.main(%r)
"""
COMMANDS_WITH_AWS = {
    "plan": ["plan"],
    "apply": ["apply", "--yes"],
    "status": ["status"],
    "doctor": ["doctor"],
    "explain": ["explain", "/app/x"],
    "detach": ["detach", "--target", "us-east-2", "--yes"],
    "doctor --probe": ["doctor", "--probe", "/probe", "--account", "123456789012", "--yes-write-here"],
    "event": ["event", "names"],
    "init": ["init", "--source-region", "us-east-1", "--target", "us-east-2", "--yes"],
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS_WITH_AWS)
def test_the_first_line_of_progress_comes_before_boto3_and_the_bars_are_imported(
    command: str, tmp_path: Path
) -> None:
    if command != "init":
        (tmp_path / "replication.yaml").write_text(SPEC)
    (tmp_path / "names").write_text("/app/x\n")
    result = python(FIRST_LINE % COMMANDS_WITH_AWS[command], tmp_path)
    assert result.stdout, result.stderr
    line, modules = json.loads(result.stdout)
    assert line == ("Opening 1 place ...\n" if "--probe" in command else "Opening 2 places ...\n")
    assert not {*AWS, "rich"} & set(modules)


def test_a_place_that_is_source_and_target_is_opened_once(tmp_path: Path) -> None:
    result = python(
        FIRST_LINE % ["init", "--source-region", "us-east-1", "--target", "us-east-1", "--yes"], tmp_path
    )
    assert json.loads(result.stdout)[0] == "Opening 1 place ...\n"


WITH_SAVED_PLAN = {"apply": ["apply", "large", "--yes"], "plan": ["plan", "--reviewed", "large"]}


@pytest.mark.parametrize("command", WITH_SAVED_PLAN)
def test_the_name_of_a_large_saved_plan_is_written_before_the_plan_is_read(
    command: str, tmp_path: Path
) -> None:
    """The file is not a valid plan: the line comes before the error."""
    (tmp_path / "large").write_text('{"plan_id": 1}' + " " * 1_000_000)
    result = python(FIRST_LINE % WITH_SAVED_PLAN[command], tmp_path)
    line, modules = json.loads(result.stdout)
    assert line == "Reading large ...\n"
    assert not {*AWS, "rich", "jsonschema"} & set(modules)


@pytest.mark.parametrize(("size", "options"), [(1_000, []), (1_000_000, ["-q"])])
def test_a_small_saved_plan_and_quiet_have_no_line_before_the_read(
    size: int, options: list[str], tmp_path: Path
) -> None:
    (tmp_path / "saved").write_text('{"plan_id": 1}' + " " * size)
    result = python(FIRST_LINE % ["apply", "saved", "--yes", *options], tmp_path)
    line, _ = json.loads(result.stdout)
    assert line.startswith("Error: ")


@pytest.mark.parametrize("option", ["-q", "--target=nope"])
def test_no_first_line_with_quiet_or_for_an_unknown_target(option: str, tmp_path: Path) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    result = python(FIRST_LINE % ["plan", option, "--endpoint-url", "http://127.0.0.1:9"], tmp_path)
    line, _ = json.loads(result.stdout)
    assert line.startswith("Error: ")


@pytest.mark.bench
def test_the_start_takes_no_longer_than_its_targets() -> None:
    seconds = {start.command: start.seconds for start in startup.measure_starts()}
    assert seconds["--help"] <= startup.HELP_LIMIT * seconds["import click"]
    assert seconds[startup.FIRST_LINE] <= startup.FIRST_LINE_LIMIT


@pytest.mark.parametrize("kind", ["plan", "report"])
def test_text_loads_no_renderer_of_another_format(kind: str) -> None:
    document = {"plan": "12-changes.json", "report": "12-changes.applied.json"}[kind]
    modules = loaded("show", str(GOLDEN / document))
    renderers = {name.removeprefix("ssm_reconcile.renderers.") for name in modules}
    assert f"{kind if kind == 'report' else 'plan_summary'}_text" in renderers
    assert not renderers & {"html", "markdown", "report_markdown"}


def test_validate_loads_no_aws_no_diff_and_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    modules = loaded("validate", cwd=tmp_path)
    assert "yaml" in modules
    assert not modules & {*AWS, "deepdiff", "re2", "rich"}


@pytest.mark.parametrize("command", ["plan", "apply", "show", "validate", "schema"])
def test_the_help_of_a_command_loads_no_library_either(command: str) -> None:
    assert not loaded(command, "--help") & (HEAVY - {"concurrent.futures"})


def test_a_command_walks_all_objects_in_memory_rarely() -> None:
    """The collector of Python: by default it does so after each 700 new ones, and at the end."""
    program = """
import gc, sys
from ssm_reconcile.cli import main
sys.argv = ["ssm-reconcile", "--version"]
try:
    main()
finally:
    print(gc.get_threshold()[0], gc.get_freeze_count())
"""
    threshold, frozen = map(int, python(program).stdout.split()[-2:])
    assert threshold >= 20_000
    assert frozen > 1_000


def test_results_are_on_stdout_and_all_else_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    result = run("validate", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        "replication.yaml: 1 replication, valid\n",
        "",
    )
    result = run("validate", "nope.yaml", cwd=tmp_path)
    assert result.returncode == 1
    assert "error" in result.stderr


def test_wrong_usage_is_64_and_not_the_2_that_means_changes() -> None:
    for words in (
        ["--nope"],
        ["plan", "--nope"],
        ["nope"],
        ["schema", "nope"],
        ["plan", "--parallelism", "0"],
    ):
        result = run(*words)
        assert result.returncode == 64, words
        assert result.stdout == ""
        assert "Error: " in result.stderr


def test_no_credentials_are_one_message_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "replication.yaml").write_text(SPEC)
    result = subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", "plan"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        env=ENVIRONMENT | {
            "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        },
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stdout == ""
    assert "us-east-1" in result.stderr
    assert "What to do: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("word", ["schema", "--help"])
def test_a_closed_pipe_is_not_an_error(word: str) -> None:
    """As `ssm-reconcile schema | head -1`, only that the reader is gone from the start."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-m", "ssm_reconcile", word],
            stdout=pipe, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=60, check=False,
        )  # fmt: skip
    assert result.stderr == ""
    assert result.returncode == 0


def test_the_module_and_the_console_script_are_the_same_program() -> None:
    assert run("--version").stdout == f"ssm-reconcile, version {_version()}\n"


def _version() -> str:
    from ssm_reconcile import __version__

    return __version__


def test_a_terminal_that_knows_no_unicode_gets_escapes_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "spéc.yaml").write_text(SPEC)
    result = subprocess.run(
        [sys.executable, "-m", "ssm_reconcile", "validate", "spéc.yaml"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert result.returncode == 0
    assert result.stdout == "sp\\xe9c.yaml: 1 replication, valid\n"


def test_processes_with_other_hash_seeds_make_the_same_plan_and_one_applies_it(shell: Shell) -> None:
    """The forks of the command server share one seed, and with it the order of all sets."""

    def start(seed: int, *words: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "ssm_reconcile", *words], capture_output=True, text=True, timeout=60,
            cwd=shell.folder, env={**shell.environment, "PYTHONHASHSEED": str(seed)}, check=False,
        )  # fmt: skip
        shell.heard += [result.stdout, result.stderr]
        assert result.returncode == 0, result.stderr
        return result.stdout

    for number in range(9):
        shell.put(f"/some/{number}", str(number))
    shell.write_spec()
    plans = [json.loads(start(seed, "plan", "--format", "json", "--out", "plan.json")) for seed in (1, 2)]
    assert len(plans[0]["changes"]) == 9
    times = {"created": "", "as_of": ""}
    assert [{**plan, **times} for plan in plans] == [{**plans[0], **times}] * 2
    assert "Applied 9 of 9 changes" in start(3, "apply", "plan.json")
