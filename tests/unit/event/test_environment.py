"""Environment variables of the function: the place of its spec, and the times that they set."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.event.aws_lambda import Function
from tests.events.pump import STATEFUL, Account, metrics
from tests.events.test_deployed import SPEC


class TestTheBundledSpec:
    @pytest.mark.parametrize("variable", [{}, {"SPEC_PATH": ""}, {"SPEC_PATH": "specs/prod.yaml"}])
    def test_it_is_a_file_of_the_package(self, tmp_path: Path, variable: dict[str, str]) -> None:
        path = tmp_path / (variable.get("SPEC_PATH") or "replication.yaml")
        path.parent.mkdir(exist_ok=True)
        path.write_text(SPEC, encoding="utf-8")
        (spec,) = Function({"LAMBDA_TASK_ROOT": str(tmp_path), **variable})._specs()
        assert spec.name == "prod"

    def test_outside_of_lambda_the_path_is_that_of_the_working_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "replication.yaml").write_text(SPEC, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        assert [one.name for one in Function({})._specs()] == ["prod"]

    def test_only_the_replication_of_that_name_is_used(self, tmp_path: Path) -> None:
        text = f"{SPEC}---\n{SPEC.replace('name: prod', 'name: other').replace('/prod/', '/other/')}"
        (tmp_path / "replication.yaml").write_text(text, encoding="utf-8")
        for name, found in (("other", ["other"]), ("", ["prod", "other"])):
            specs = Function({"LAMBDA_TASK_ROOT": str(tmp_path), "NAME": name})._specs()
            assert sorted(one.name for one in specs) == sorted(found)

    @pytest.mark.parametrize(
        ("content", "error"), [(None, "FileNotFoundError"), (b"name: \xff", "UnicodeDecodeError")]
    )
    def test_a_file_that_cannot_be_read_is_reported_by_its_path(
        self, tmp_path: Path, content: bytes | None, error: str
    ) -> None:
        if content is not None:
            (tmp_path / "spec.yaml").write_bytes(content)
        with pytest.raises(ReconcileError) as found:
            Function({"LAMBDA_TASK_ROOT": str(tmp_path), "SPEC_PATH": "spec.yaml"})._specs()
        assert found.value.message == f"SPEC_PATH spec.yaml cannot be read ({error})"

    def test_another_spec_has_another_digest_and_so_has_another_name(self, tmp_path: Path) -> None:
        """Leases keep it: a version that was made under another spec proves nothing."""
        path = tmp_path / "replication.yaml"
        digests = []
        for text, name in (
            (SPEC, "prod"),
            (SPEC, "prod"),
            (f"{SPEC}adopt: same_value\n", "prod"),
            (SPEC, ""),
        ):
            path.write_text(text, encoding="utf-8")
            function = Function({"LAMBDA_TASK_ROOT": str(tmp_path), "NAME": name})
            function._specs()
            digests.append(function.spec_digest)
        assert digests[0] == digests[1]
        assert len(set(digests)) == 3


@pytest.mark.parametrize(("seconds", "names"), [(19, ["/prod/a"]), (21, ["/prod/a", "/other/a"])])
def test_the_spec_is_read_again_after_its_time_to_live(seconds: int, names: list[str]) -> None:
    account = Account()
    account.clock.advance(timedelta(hours=1))  # the clock of a process may start anywhere
    stack = account.deploy(SPEC, environment={**STATEFUL, "SPEC_TTL": "20"})
    account.put(account.here, "/prod/a", "v")
    account.drain()
    stack.spec = SPEC.replace("/prod/**", "/**")
    account.clock.advance(timedelta(seconds=seconds))
    account.put(account.here, "/other/a", "v")
    account.drain()
    assert sorted(account.world.names(account.there)) == sorted(names)


def test_a_count_is_used_for_two_schedules_of_the_whole_run() -> None:
    assert Function({}).longest == Function({"WHOLE_RUN_HOURS": ""}).longest == timedelta(hours=48)
    assert Function({"WHOLE_RUN_HOURS": "1.5"}).longest == timedelta(hours=3)


def test_the_state_needs_a_table() -> None:
    assert Function({}).state() is None
    assert Function({"TABLE": ""}).state() is None


def test_the_watch_reports_hours_since_the_last_whole_run_and_what_remained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    account = Account()
    stack = account.deploy(SPEC)
    state = stack.function.state()
    assert state is not None
    stack.invoke({"watch": "whole-run"})
    account.clock.advance(timedelta(hours=9))
    state.write_whole_run(7)
    account.clock.advance(timedelta(hours=30))
    capsys.readouterr()
    answer = stack.invoke({"watch": "whole-run"})
    assert answer["hours"] == pytest.approx(30, abs=0.001)
    written = metrics(capsys.readouterr().out)
    assert (written["HoursSinceWholeRun"], written["Remaining"]) == (answer["hours"], 7)
