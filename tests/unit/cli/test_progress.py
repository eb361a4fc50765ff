"""The conditions for a progress bar, for lines and for no output."""

from __future__ import annotations

import io
import threading

import pytest

from ssm_reconcile.aws_limits import CALL_CLASSES
from ssm_reconcile.cli import progress
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import CallRates, ProgressLines, _repeating, is_bar_wanted, show_progress
from ssm_reconcile.system import Phase, Progress
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import ACCOUNT, Cli

PLACE = "123456789012/us-east-1"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("asked", "terminal", "environment", "wanted"),
    [
        (CommonOptions(), True, {}, True),
        (CommonOptions(), False, {}, False),
        (CommonOptions(), True, {"CI": "true"}, False),
        (CommonOptions(), True, {"CI": ""}, True),
        (CommonOptions(), False, {"FORCE_COLOR": "1"}, False),
        (CommonOptions(), True, {"TERM": "dumb"}, False),
        (CommonOptions(no_progress=True), True, {}, False),
    ],
)
def test_a_bar_is_shown_on_a_terminal_only(
    asked: CommonOptions, terminal: bool, environment: dict[str, str], wanted: bool
) -> None:
    assert is_bar_wanted(asked, Terminal() if terminal else io.StringIO(), environment) is wanted


def test_a_line_when_a_place_begins_and_one_every_ten_seconds() -> None:
    printed: list[str] = []
    now = [0.0]
    lines = ProgressLines(printed.append, lambda: now[0])
    for second in range(0, 25, 2):
        now[0] = second
        lines(Progress(PLACE, Phase.LISTING, second * 50))
    lines(Progress(PLACE, Phase.WRITING, 1, 12))
    assert printed == [
        f"{PLACE}: listing ...",
        f"{PLACE}: listing, 500, 50/s",
        f"{PLACE}: listing, 1,000, 50/s",
    ]
    now[0] = 34
    lines(Progress(PLACE, Phase.WRITING, 1, 12))
    assert printed[-1] == f"{PLACE}: writing, 1 of 12"
    now[0] = 44
    lines(Progress(PLACE, Phase.WRITING, 2, 12))
    assert printed[-1] == f"{PLACE}: writing, 2 of 12, 0.05/s, 3 min left"
    now[0] = 54
    lines(Progress(PLACE, Phase.WRITING, 7, 12))
    assert printed[-1] == f"{PLACE}: writing, 7 of 12, 0.2/s, 25 s left"
    now[0] = 70
    lines(Progress(PLACE, Phase.WRITING, 12, 12))
    assert printed[-1] == f"{PLACE}: writing, 12 of 12"


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_a_remaining_time_has_two_digits_of_one_unit(seconds: int, left: str) -> None:
    printed: list[str] = []
    now = [0.0]
    lines = ProgressLines(printed.append, lambda: now[0])
    for done in (0, 11):
        now[0] = done
        lines(Progress(PLACE, Phase.WRITING, done, seconds + 11))
    assert printed[-1].endswith(f", 1/s, {left} left")


def test_a_waiting_run_logs_that_it_waits() -> None:
    printed: list[str] = []
    now = [0.0]
    lines = ProgressLines(printed.append, lambda: now[0])
    now[0] = 30
    lines.beat()
    assert printed == [], "no line before the first event"
    lines(Progress(PLACE, Phase.WRITING, 3, 12))
    printed.clear()
    for second in range(31, 62):
        now[0] = second
        lines.beat()
    assert printed == [f"{PLACE}: writing, 3 of 12"] * 3


def test_the_beat_ends_with_the_work() -> None:
    beats, twice = [0], threading.Event()

    def beat() -> None:
        beats[0] += 1
        if beats[0] == 2:
            twice.set()

    with _repeating(beat, pause=0.001):
        assert twice.wait(20)
        (thread,) = [one for one in threading.enumerate() if one.name == "progress"]
        assert thread.daemon, "a signal in between must not keep the process alive"
    assert not [one for one in threading.enumerate() if one.name == "progress"]


def test_a_line_names_the_cause_of_a_delay() -> None:
    printed: list[str] = []
    now = [0.0]
    pace = CallRates(lambda: now[0])
    lines = ProgressLines(printed.append, lambda: now[0], pace)
    pace.note(PLACE, "PutParameter", 3, throttled=False)
    pace.note(PLACE, "AddTagsToResource", 5, throttled=False)
    lines(Progress(PLACE, Phase.WRITING, 0, 10_000))
    now[0] = 10
    lines(Progress(PLACE, Phase.WRITING, 31, 10_000))
    assert printed[-1] == f"{PLACE}: writing, 31 of 10,000, 3.1/s, 54 min left, PutParameter at 3/s"
    pace.note(PLACE, "AddTagsToResource", 2.45, throttled=True)
    now[0] = 20
    lines(Progress(PLACE, Phase.WRITING, 40, 10_000))
    assert printed[-1].endswith("2/s, 83 min left, AWS throttles AddTagsToResource: down to 2.45/s for now")
    now[0] = 60
    lines(Progress(PLACE, Phase.WRITING, 160, 10_000))
    assert printed[-1].endswith(", PutParameter at 3/s"), "it was half a minute ago"


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_has_the_rate_of_an_operation_of_the_stores(phase: Phase) -> None:
    rates = CallRates(lambda: 0.0)
    for operation in CALL_CLASSES:
        rates.note(PLACE, operation, 3, throttled=False)
    operation = rates.text(Progress(PLACE, phase, 1, 2)).removesuffix(" at 3/s")
    assert operation in CALL_CLASSES


def test_a_line_has_the_rate_of_the_moment_while_probing() -> None:
    now = [0.0]
    pace, writing = CallRates(lambda: now[0]), Progress(PLACE, Phase.WRITING, 1, 2)
    pace.note(PLACE, "PutParameter", 3.15, throttled=False, found=3.15)
    assert pace.text(writing) == "PutParameter at 3.15/s"
    pace.note(PLACE, "PutParameter", 2.2, throttled=True, found=3.01)
    assert pace.text(writing) == "AWS throttles PutParameter: down to 2.2/s for now"
    now[0] = 31
    pace.note(PLACE, "PutParameter", 3.12, throttled=False, found=3.3)
    assert pace.text(writing) == "PutParameter at 3.12/s"


def test_rates_that_probing_has_found_are_rounded_down_and_apart_from_those_without_throttling() -> None:
    pace = CallRates(lambda: 0.0)
    pace.note(PLACE, "PutParameter", 3.3, throttled=False, found=3.19)
    pace.note(PLACE, "PutParameter", 2.2, throttled=True, found=3.09)
    pace.note(PLACE, "PutParameter", 3.12, throttled=False, found=3.09)
    pace.note(PLACE, "DeleteParameters", 0.07, throttled=False, found=0.0678)
    pace.note(PLACE, "DescribeParameters", 5, throttled=False)
    assert pace.found(was_throttled=True) == {PLACE: {"put": 3.0}}
    assert pace.found(was_throttled=False) == {PLACE: {"delete": 0.067}}


def test_a_place_of_which_nothing_is_known_is_held_by_nothing() -> None:
    assert CallRates(lambda: 0.0).text(Progress(PLACE, Phase.READING, 1, 2)) == ""


def test_the_line_has_all_places() -> None:
    printed: list[str] = []
    now = [0.0]
    lines = ProgressLines(printed.append, lambda: now[0])
    lines(Progress("b", Phase.LISTING, 1))
    now[0] = 11
    lines(Progress("a", Phase.TAGS, 2, 3))
    assert printed == ["b: listing ...", "a: reading tags ...", "a: reading tags, 2 of 3; b: listing, 1"]


def test_of_many_places_some_that_are_at_work_have_a_line() -> None:
    printed: list[str] = []
    now = [0.0]
    lines = ProgressLines(printed.append, lambda: now[0])
    for number in range(40):
        lines(Progress(f"place-{number:02}", Phase.LISTING, 5, 5 if number < 20 else 9))
    assert printed == [f"place-{number:02}: listing ..." for number in range(10)]
    now[0] = 11
    lines.beat()
    (line,) = printed[10:]
    assert line.startswith("place-20: listing, 5 of 9; place-21: ")
    assert line.endswith("place-29: listing, 5 of 9; 10 more places at work; 20 places done with a step")
    for number in range(20):
        lines(Progress(f"place-{number:02}", Phase.TAGS, 5, 9))
    now[0] = 22
    lines.beat()
    assert printed[-1].endswith("place-09: reading tags, 5 of 9; 30 more places at work")


def test_verbose_says_each_phase() -> None:
    printed: list[str] = []
    lines = ProgressLines(printed.append, lambda: 0.0, every_phase=True)
    for phase in (Phase.LISTING, Phase.LISTING, Phase.WRITING):
        lines(Progress(PLACE, phase, 1))
    assert printed == [f"{PLACE}: listing ...", f"{PLACE}: writing ..."]


def test_without_verbose_the_first_phase_of_a_place_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (0, 1):
        with show_progress(CommonOptions(no_progress=True, verbose=verbose)) as watch:
            watch(Progress(PLACE, Phase.LISTING, 1))
            watch(Progress(PLACE, Phase.WRITING, 1))
    listing, writing = f"{PLACE}: listing ...\n", f"{PLACE}: writing ...\n"
    assert capsys.readouterr().err == listing + listing + writing


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress(CommonOptions(quiet=True)) as watch:
        watch(Progress(PLACE, Phase.LISTING, 1))
    assert capsys.readouterr().err == ""


def test_the_bar_takes_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for word in ("CI", "TERM"):
        monkeypatch.delenv(word, raising=False)
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    with show_progress(CommonOptions()) as watch:
        watch(Progress("[red]x", Phase.LISTING, 1))
        watch(Progress("[red]x", Phase.LISTING, 2, 2))
    assert "[red]x listing" in screen.getvalue()


@pytest.mark.parametrize(
    ("words", "places"),
    [
        (("plan",), "3 places"),
        (("apply", "--yes"), "3 places"),
        (("event", "-"), "3 places"),
        (("status",), "3 places"),
        (("explain", "/app/url"), "3 places"),
        (("doctor",), "3 places"),
        (("doctor", "--probe", "/probe", "--account", ACCOUNT, "--target", "us-east-2"), "1 place"),
        (("detach", "--target", "us-east-2", "--yes"), "2 places"),
        (("init", "--force", "--yes", "--source-region", "us-east-1", "--target", "us-east-2"), "2 places"),
    ],
)
@pytest.mark.usefixtures("aws")
def test_each_command_reports_the_places_before_it_opens_them(
    cli: Cli, words: tuple[str, ...], places: str
) -> None:
    assert cli(*words, stdin="/app/url").stderr.count(f"Opening {places} ...\n") == 1
    assert "Opening" not in cli(*words, "-q", stdin="/app/url").stderr


@pytest.mark.parametrize(
    "words",
    [("apply", "plan.json"), ("plan", "--reviewed", "plan.json"), ("undo", "report.json", "--plan-only")],
)
@pytest.mark.usefixtures("aws")
def test_a_large_file_is_reported_before_it_is_read(
    cli: Cli, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    assert cli("apply", "plan.json", "--out", "report.json").exit_code == 0
    line = f"Reading {words[1] if words[0] != 'plan' else words[2]} ..."
    assert line not in cli(*words).stderr
    monkeypatch.setattr(progress, "LARGE_FILE", 1000)
    assert cli(*words).stderr.startswith(line)
    assert line not in cli(*words, "-q").stderr


@pytest.mark.parametrize(
    "command",
    [
        "plan --out new.json", "plan --reviewed plan.json", "apply --yes", "apply plan.json --out new.json",
        "event -", "status", "explain /app/url", "doctor", "detach --target us-east-2 --yes",
        "undo report.json --plan-only", "show plan.json", "validate", "iam stack --github a/b",
        "init --force --yes --source-region us-east-1 --target us-east-2",
    ],
)  # fmt: skip
def test_a_quiet_command_that_has_no_warning_writes_its_result_only(
    aws: SimulatedAws, cli: Cli, command: str
) -> None:
    assert cli("plan", "--out", "plan.json").exit_code == 0
    assert cli("apply", "--yes", "--only", "/app/url", "--out", "report.json").exit_code == 0
    assert cli(*command.split(), "-q", stdin="/app/url").stderr == ""
