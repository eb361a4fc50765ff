"""Output streams, colour, and files that cannot be written completely."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
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
