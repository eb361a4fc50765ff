"""Higher rates in commands: the setting for higher throughput, and probing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_reconcile.cli import command_run
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import CallRates
from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import Access
from ssm_reconcile.spec import Run
from ssm_reconcile.stores.base import Store
from tests.fake_aws.traffic import at_call, refused
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import Cli

SETTING = "GetServiceSetting"
DENIED = (
    "the setting for higher throughput could not be read (AccessDeniedException): PutParameter at 3/s; allow"
    " ssm:GetServiceSetting to use it"
)


def turn_on(aws: SimulatedAws, *regions: str) -> None:
    aws.world.higher_throughput |= {aws.place(region) for region in regions}


def test_apply_reads_the_setting_of_each_target_once(aws: SimulatedAws, cli: Cli) -> None:
    assert cli("apply", "--yes").exit_code == 0
    read = [call.place.region for call in aws.world.calls if call.operation == SETTING]
    assert sorted(read) == ["eu-west-1", "us-east-2"]


def test_apply_reports_the_setting_with_verbose(aws: SimulatedAws, cli: Cli) -> None:
    turn_on(aws, "us-east-2")
    lines = cli("apply", "--yes", "-v").stderr.splitlines()
    assert f"{aws.there}: higher throughput is on: PutParameter at 10/s" in lines
    assert f"{aws.place('eu-west-1')}: higher throughput is off: PutParameter at 3/s" in lines


@pytest.mark.parametrize("option", ["", "-q", "-v"])
def test_apply_reports_a_denied_setting_with_verbose_only(aws: SimulatedAws, cli: Cli, option: str) -> None:
    aws.world.faults = at_call(SETTING, refused(Trouble.DENIED))
    result = cli("apply", "--yes", *filter(None, [option]))
    assert result.exit_code == 0
    assert (f"{aws.there}: {DENIED}" in result.stderr.splitlines()) is (option == "-v")
    assert (SETTING in result.output) is (option == "-v")


def test_a_plan_reads_no_setting_and_is_the_same_with_the_setting(aws: SimulatedAws, cli: Cli) -> None:
    def plan() -> tuple[list[str], list[str]]:
        result = cli("plan", "--format", "json", "-v")
        moving = ('"created"', '"as_of"')
        lines = [one for one in result.stdout.splitlines() if not any(key in one for key in moving)]
        return lines, sorted(result.stderr.splitlines())

    off = plan()
    turn_on(aws, "us-east-1", "us-east-2", "eu-west-1")
    assert plan() == off
    assert not aws.world.traffic.count(SETTING)


@pytest.mark.parametrize(
    ("words", "probes"), [(("apply", "--yes"), True), (("plan",), True), (("event", "-"), False)]
)
def test_commands_probe_if_the_spec_says_so_and_event_does_not(
    words: tuple[str, ...], aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, *, probes: bool
) -> None:
    spec = Path("replication.yaml")
    spec.write_text(f"{spec.read_text()}\nrates: {{ probe: true }}\n")
    opened: list[Access] = []

    def connect(access: Access) -> Store:
        opened.append(access)
        return aws.connect(access)

    monkeypatch.setattr(command_run, "connect_factory", lambda _asked, _clock: connect)
    assert cli(*words, stdin="/app/url").exit_code == 0
    assert {access.probe for access in opened} == {probes}


@pytest.mark.parametrize("option", ["", "-q", "-v"])
def test_the_end_of_a_run_reports_the_rates_found_with_verbose_only(
    option: str, aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = CallRates()
    monkeypatch.setattr(command_run, "SHOWN_RATES", rates)
    for operation, found in (("PutParameter", 5.67), ("AddTagsToResource", 6.0), ("DescribeParameters", 0.0)):
        rates.note(str(aws.there), operation, 2.1, throttled=True, found=found)
    rates.note(str(aws.there), "DeleteParameters", 7.0, throttled=False, found=6.5)
    lines = cli("plan", *filter(None, [option])).stderr.splitlines()
    expected = [
        f'{aws.there}: rates found by probing, for the spec: rates: {{"tags": 6.0, "put": 5.6}}',
        f'{aws.there}: not throttled up to these rates; AWS may have used saved calls: {{"delete": 6.5}}',
    ]
    assert [line for line in lines if "rates" in line] == (expected if option == "-v" else [])


def test_a_run_that_is_interrupted_reports_the_rates_found(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = CallRates()
    monkeypatch.setattr(command_run, "SHOWN_RATES", rates)
    rates.note("there", "PutParameter", 3.0, throttled=True, found=5.67)
    common = CommonOptions(verbose=1)
    with pytest.raises(KeyboardInterrupt), command_run.start_runner((), Run(), common):
        raise KeyboardInterrupt
    assert 'there: rates found by probing, for the spec: rates: {"put": 5.6}' in capsys.readouterr().err
