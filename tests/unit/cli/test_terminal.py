"""Output streams, colour, and files that cannot be written completely."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_reconcile.cli import terminal, text_files
from ssm_reconcile.errors import ReconcileError, UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choice", "is_terminal", "environment", "wanted"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("auto", False, {"FORCE_COLOR": "1", "CI": "true"}, True),
        ("auto", False, {"FORCE_COLOR": ""}, False),
        ("auto", True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_decided_once_and_the_flag_comes_first(
    choice: str, is_terminal: bool, environment: dict[str, str], wanted: bool
) -> None:
    stream = Terminal() if is_terminal else io.StringIO()
    assert terminal.use_color(stream, choice, environment) is wanted


def test_a_file_is_replaced_as_a_whole_with_mode_0644(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(0o600)
    text_files.save(path, "new\n")
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [found.name for found in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        text_files.save(path, "half \ud800")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["plan.json"]


def test_a_file_whose_text_ends_in_an_error_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def blocks() -> Iterator[str]:
        yield "x" * 100_000
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        text_files.save(path, blocks())
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["plan.json"]


def test_blocks_are_written_as_one_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text_files.save(tmp_path / "plan.json", iter(["{", "}\n"]))
    assert (tmp_path / "plan.json").read_text() == "{}\n"
    terminal.write(iter(["{", "}\n"]))
    assert capsys.readouterr().out == "{}\n"
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdout", terminal.LastingStream(closed))
    terminal.write(iter(["{", "}\n"]))


def test_a_file_is_on_disk_before_it_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced, replace = tmp_path / "plan.json", list[int](), os.replace

    def replace_synced(new: Path, old: Path) -> None:
        assert synced == [new.stat().st_size], "a crash must leave the old file or all of the new one"
        replace(new, old)

    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    monkeypatch.setattr(os, "replace", replace_synced)
    text_files.save(path, "new\n")
    assert path.read_text() == "new\n"
    assert synced == [4]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    place, link = tmp_path / "real.json", tmp_path / "link.json"
    place.write_text("old")
    link.symlink_to(place)
    text_files.save(link, "new")
    assert link.is_symlink()
    assert place.read_text() == "new"


def test_a_device_is_written_to_and_not_replaced() -> None:
    text_files.save(Path("/dev/null"), "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_path_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        text_files.check_writable(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        text_files.check_writable(tmp_path / "no" / "plan.json")
    text_files.check_writable(tmp_path / "plan.json")
    with pytest.raises(ReconcileError, match="could not be written: No such file"):
        text_files.save(tmp_path / "no" / "plan.json", "x")


class Broken(io.StringIO):
    """A stream of which each write or flush fails."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure

    def write(self, text: str) -> int:
        raise self.failure

    def flush(self) -> None:
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "lost"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("odd"), "odd"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
        (ValueError("closed"), ""),
    ],
)
def test_a_stream_that_fails_keeps_the_reason_unless_its_reader_went_away(
    failure: Exception, lost: str
) -> None:
    uses: list[Callable[[terminal.LastingStream], object]] = [
        lambda one: one.write("text"), lambda one: one.writelines(["a", "b"]), lambda one: one.flush(),
    ]  # fmt: skip
    for use in uses:
        stream = terminal.LastingStream(Broken(failure))
        assert use(stream) in {4, None}
        assert stream.lost == lost


def test_text_after_a_failure_of_the_disk_goes_to_the_null_device(
    tmp_path: Path,
) -> None:
    with (tmp_path / "out").open("w") as file:
        stream = terminal.LastingStream(file)
        stream._fail(OSError(errno.ENOSPC, "full"))
        stream.write("text")
        stream.flush()
    assert (tmp_path / "out").read_text() == ""


def test_a_character_that_a_stream_cannot_encode_is_an_error() -> None:
    stream = terminal.LastingStream(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    with pytest.raises(UnicodeEncodeError):
        stream.write("\u00e9")
    assert stream.lost == ""


def test_a_result_that_was_lost_is_an_error_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal.LastingStream(Broken(OSError(errno.ENOSPC, "full")))
    monkeypatch.setattr("sys.stdout", stream)
    terminal.write("result")
    with pytest.raises(ReconcileError, match=r"^standard output could not be written: full$"):
        terminal.check_output()
    stream.stream = io.StringIO()
    terminal.check_output()


@pytest.mark.parametrize(("is_closed", "is_reported"), [(False, True), (True, False)])
def test_the_end_restores_the_streams_and_reports_a_lost_result_unless_stdout_was_closed(
    monkeypatch: pytest.MonkeyPatch, *, is_closed: bool, is_reported: bool
) -> None:
    out, err = Broken(OSError(errno.ENOSPC, "full")), io.StringIO()
    monkeypatch.setattr("sys.stdout", terminal.LastingStream(out, is_closed=is_closed))
    monkeypatch.setattr("sys.stderr", terminal.LastingStream(err))
    terminal.write("result")
    terminal.restore_streams()
    assert (sys.stdout, sys.stderr) == (out, err)
    assert err.getvalue() == "Warning: standard output could not be written: full\n" * is_reported


def test_text_for_a_process_without_stdout_is_lost() -> None:
    stream = terminal.LastingStream(io.StringIO(), is_closed=True)
    stream.write("")
    assert stream.lost == ""
    stream.write("text")
    assert stream.lost == "it is closed"


def test_prepared_streams_accept_each_character(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(f"sys.{name}", io.TextIOWrapper(out, encoding="ascii", errors="strict"))
    monkeypatch.setattr("sys.stdin", None)
    terminal.prepare_streams()
    prepared = sys.stdout, sys.stderr
    terminal.prepare_streams()
    assert (sys.stdout, sys.stderr) == prepared
    assert sys.stdin.readline() == ""
    terminal.write("\u00e9")
    assert out.getvalue() == b"\\xe9\n"


@pytest.mark.parametrize(
    ("answer", "is_yes", "end"),
    [("y\n", True, ""), (" YES\n", True, ""), ("no\n", False, ""), ("y", True, "\n")],
)
def test_a_question_is_answered_on_its_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    end: str,
    *,
    is_yes: bool,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert terminal.confirm("Apply? ") is is_yes
    assert capsys.readouterr() == ("", f"Apply? {end}")


def test_a_name_of_others_stays_on_its_line_and_a_runner_reads_no_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.log_line("::error::a\nb\x1b[2J" + "x" * 100_000)
    (line,) = capsys.readouterr().err.splitlines()
    assert not line.startswith("::")
    assert "\x1b" not in line
    assert len(line) < 10_000
