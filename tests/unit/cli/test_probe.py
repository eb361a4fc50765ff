"""`doctor --probe` on the command line: consent, account, place, output, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ssm_reconcile.cli import probe
from ssm_reconcile.cli.probe import MASKED, remaining_text
from ssm_reconcile.doctor.probe_calls import PROBE_TAG, ProbeEnd
from ssm_reconcile.errors import Trouble
from tests.fake_aws.probed import RUN_AGAIN, InlineExecutor, staged
from tests.fake_aws.traffic import at_call, killed, refused
from tests.fake_aws.world import ACCOUNT
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import SECRET, Cli, aws, cli

__all__ = ["aws", "cli"]

SCHEMA = json.loads((Path(__file__).parents[3] / "schema" / "doctor-probe.schema.json").read_text())
HERE = ("doctor", "--probe", "/probe", "--account", ACCOUNT, "--target", "us-east-2")
CONSENT = (*HERE, "--yes-write-here")


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call at a time, so that the simulated clock is exact."""
    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", InlineExecutor)


def operations(aws: SimulatedAws) -> list[str]:
    return [call.operation for call in aws.world.calls]


def test_a_probe_prints_rates_facts_and_the_rates_of_the_spec(aws: SimulatedAws, cli: Cli) -> None:
    result = cli(*CONSENT, "-q")
    assert result.exit_code == 0, result.output
    out = result.stdout
    assert re.search(r"put +PutParameter +burst 40 or more +rate 12\.00 or more; \d+ calls, 0 throttled", out)
    assert "For the spec, 90 % of the measured rates:\nrates:\n  delete: 17.1\n  describe: 17.1\n" in out
    assert "  put: 10.8\n" in out
    assert "type-change           Does an overwrite change String to StringList and back? allowed\n" in out
    assert "not seen (not probed: needs an AMI)" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 100
    assert out.endswith("Cleaned up: nothing of this run remains.\n")
    assert aws.names("us-east-2") == []
    assert aws.names("eu-west-1") == []


def test_the_proposed_rates_are_valid_in_a_spec(aws: SimulatedAws, cli: Cli) -> None:
    out = cli(*CONSENT, "-q").stdout
    lines = out[out.index("\nrates:") + 1 :].split("\n\n")[0]
    Path("replication.yaml").write_text(Path("replication.yaml").read_text() + lines + "\n")
    assert cli("validate").exit_code == 0, lines


def test_the_json_is_that_of_the_schema_and_has_no_account(aws: SimulatedAws, cli: Cli) -> None:
    aws.world.faults = at_call("LabelParameterVersion", refused(Trouble.DENIED))
    result = cli(*CONSENT, "--format", "json")
    found = json.loads(result.stdout)
    jsonschema.validate(found, SCHEMA)
    assert set(found) == set(SCHEMA["properties"])
    assert set(found["rates"][0]) == set(SCHEMA["properties"]["rates"]["items"]["properties"])
    assert set(found["facts"][0]) == set(SCHEMA["properties"]["facts"]["items"]["properties"])
    assert SCHEMA["properties"]["end"]["enum"] == [end.value for end in ProbeEnd]
    assert found["account"] == MASKED
    assert ACCOUNT not in result.stdout
    assert found["spec_rates"]["put"] == 10.8


def test_the_events_and_the_cost_are_printed_before_the_first_write(aws: SimulatedAws, cli: Cli) -> None:
    result = cli(*CONSENT)
    err = result.stderr
    assert err.index("events      at most") < err.index("resources-lag")
    assert "at most 10 minutes" in err
    assert "limit 300" in err
    assert "higher throughput is off: requests are free" in err


def test_without_the_consent_the_expectation_is_printed_and_nothing_is_written(
    aws: SimulatedAws, cli: Cli
) -> None:
    result = cli(*HERE)
    assert result.exit_code == 64
    assert "events      at most" in result.stderr
    assert "add --yes-write-here" in result.stderr
    assert set(operations(aws)) == {"GetCallerIdentity", "GetServiceSetting"}


def test_another_account_makes_exactly_one_call(aws: SimulatedAws, cli: Cli) -> None:
    result = cli(*HERE[:4], "210987654321", *HERE[5:], "--yes-write-here")
    assert result.exit_code == 64
    assert f"the credentials are for {ACCOUNT}" in result.stderr
    assert operations(aws) == ["GetCallerIdentity"]


@pytest.mark.parametrize(
    "words",
    [
        ("--probe", "/probe"),
        ("--probe", "/probe", "--account", "12345"),
        ("--probe", "/probe", "--account", "١٢٣٤٥٦٧٨٩٠١٢"),
        ("--probe", "/ssm-reconcile", "--account", ACCOUNT, "--target", "us-east-2"),
        ("--probe", "/app/x", "--account", ACCOUNT, "--target", "us-east-2"),
        ("--probe", "/probe", "--account", ACCOUNT),
        ("--probe", "/probe", "--account", ACCOUNT, "--target", "eu-west-1", "--target", "us-east-2"),
        ("--probe", "/probe", "--account", ACCOUNT, "--target", "nowhere"),
        ("--probe", "/probe", "--account", ACCOUNT, "--target", "us-east-2", "--name", "other"),
        ("--probe", "/probe", "--account", ACCOUNT, "--target", "us-east-2", "--no-decrypt"),
        ("--probe", "/probe", "--account", ACCOUNT, "--target", "us-east-2", "--github"),
        ("--account", ACCOUNT),
        ("--yes-write-here",),
    ],
)
def test_wrong_usage_is_refused_before_any_call(aws: SimulatedAws, cli: Cli, words: tuple[str, ...]) -> None:
    extra = ("--yes-write-here",) if "--probe" in words else ()
    result = cli("doctor", *words, *extra)
    assert result.exit_code == 64, result.output
    assert operations(aws) == []


@pytest.mark.parametrize("more", ["account: '210987654321'", "frozen: true"])
def test_a_target_that_is_frozen_or_of_another_account_is_refused(
    aws: SimulatedAws, cli: Cli, more: str
) -> None:
    text = Path("replication.yaml").read_text()
    target = "  - region: us-east-2\n"
    Path("replication.yaml").write_text(text.replace(target, f"{target}    {more}\n"))
    assert cli(*CONSENT).exit_code == 64
    assert operations(aws) == []


def test_without_a_spec_the_region_is_that_of_the_environment(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("replication.yaml").unlink()
    words = ("doctor", "--probe", "/probe", "--account", ACCOUNT, "--yes-write-here", "-q")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    assert cli(*words).exit_code == 64
    assert cli(*words, "--target", "us-east-2").exit_code == 64
    assert operations(aws) == []
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert cli(*words).exit_code == 0
    assert {call.place.region for call in aws.world.calls} == {"eu-central-1"}


def test_the_skip_tag_of_the_spec_is_on_each_parameter(aws: SimulatedAws, cli: Cli) -> None:
    text = Path("replication.yaml").read_text()
    Path("replication.yaml").write_text(text + "skip_sync: { tag: do-not-copy }\n")
    found: list[dict[str, str] | None] = []

    def look() -> None:
        found.extend(aws.world.tags(aws.there, name) for name in aws.names("us-east-2"))

    aws.world.before("LabelParameterVersion", look)
    assert cli(*CONSENT, "-q").exit_code == 0
    assert found
    assert all(tags and {"skip_sync", "do-not-copy", PROBE_TAG} <= tags.keys() for tags in found)


def test_a_parameter_that_remains_is_listed(aws: SimulatedAws, cli: Cli) -> None:
    others = "/probe/other"
    aws.world.before("GetResources", lambda: aws.put(others, "v", region="us-east-2"))
    result = cli(*CONSENT, "-q")
    assert result.exit_code == 3
    assert f"Not touched: 1 parameter that this run has not created.\n  {others}\n" in result.stdout
    assert aws.names("us-east-2") == [others]


def test_a_path_in_use_is_refused(aws: SimulatedAws, cli: Cli) -> None:
    aws.put("/probe/other", SECRET, region="us-east-2")
    result = cli(*CONSENT)
    assert SECRET not in result.output
    assert result.exit_code == 64
    assert "/probe/other" in result.stderr
    assert aws.world.traffic.writes() == [
        call for call in aws.world.traffic.writes() if "absent" in str(call)
    ]


@pytest.mark.parametrize(
    "operation", ["GetParametersByPath", "GetResources", "LabelParameterVersion", "AddTagsToResource"]
)
def test_ctrl_c_cleans_up_and_ends_with_130(aws: SimulatedAws, cli: Cli, operation: str) -> None:
    aws.world.before(operation, lambda: signal.raise_signal(signal.SIGINT))
    result = cli(*CONSENT)
    assert result.exit_code == 130, result.output
    assert "interrupted after" in result.stdout
    assert "Cleaned up: nothing of this run remains." in result.stdout
    assert aws.names("us-east-2") == []


def test_the_notice_of_ctrl_c_names_the_clean_up(
    aws: SimulatedAws, cli: Cli, capfd: pytest.CaptureFixture[str]
) -> None:
    aws.world.before("GetResources", lambda: signal.raise_signal(signal.SIGINT))
    cli(*CONSENT, "-q")
    assert "Stopping: the parameters of the probe are deleted." in capfd.readouterr().err


def test_a_failed_probe_has_its_remedy_in_the_text_only(aws: SimulatedAws) -> None:
    probed = staged(aws)
    probed.calls.create("put/1", Type="String", Value="v")
    aws.pass_time()
    aws.world.faults = at_call("DeleteParameters", refused(Trouble.DENIED), nth=2)
    report = staged(aws, run=RUN_AGAIN).run()
    assert "\n  what to do: delete them by hand, or run it again later\n" in probe.text(report)
    assert "\n  /probe/0123456789ab/put/1\n" in probe.text(report)
    assert "by hand" not in probe.json_text(report)


def test_ctrl_c_before_the_consent_is_used_ends_at_once(aws: SimulatedAws, cli: Cli) -> None:
    aws.world.before("GetServiceSetting", lambda: signal.raise_signal(signal.SIGINT))
    assert cli(*CONSENT).exit_code == 130
    assert aws.world.traffic.writes() == []


def test_a_second_ctrl_c_names_what_may_remain(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The process ends there: an exception stands for the end."""

    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        aws.world.faults = lambda *_: killed(Left(code), done=False)
        raise Left(code)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    original = probe._ForcedExit
    monkeypatch.setattr(probe, "_ForcedExit", lambda: original(leave))
    aws.world.before("LabelParameterVersion", twice)
    with pytest.raises(Left):
        cli(*CONSENT)
    left = aws.names("us-east-2")
    err = capfd.readouterr().err
    assert f"The clean-up was interrupted. {len(left)} parameters may remain:" in err
    assert all(f"  {name}\n" in err for name in left)
    assert left
    aws.world.faults = None
    early = cli(*CONSENT)
    assert early.exit_code == 64
    assert "run it again in 10 minutes" in early.stderr
    aws.pass_time(minutes=10)
    assert cli(*CONSENT, "-q").exit_code == 0
    assert aws.names("us-east-2") == []


def test_the_names_that_may_remain_are_followed_by_the_remedy() -> None:
    assert remaining_text(["/probe/x"]).splitlines() == [
        "The clean-up was interrupted. 1 parameter may remain:",
        "  /probe/x",
        "A probe of this path deletes them, from ten minutes after their last change on.",
    ]


def test_no_credentials_end_with_exit_code_1(aws: SimulatedAws, cli: Cli) -> None:
    aws.world.faults = at_call("GetCallerIdentity", refused(Trouble.CREDENTIALS))
    assert cli(*CONSENT).exit_code == 1


def test_the_text_of_a_run_with_remains(aws: SimulatedAws) -> None:
    probed = staged(aws)

    def plan(called: str, _: object, names: tuple[str, ...], __: int) -> Any:
        return refused(Trouble.DENIED) if called == "DeleteParameters" and "put/" in str(names) else None

    aws.world.faults = plan
    report = probed.run()
    text = probe.text(report)
    assert re.search(r"NOT deleted: \d+ parameters of this or an earlier run\.\n", text)
    assert "Leftovers" not in text, "an earlier run left nothing"
    assert "Leftovers of earlier runs were deleted: 3.\n" in probe.text(replace(report, leftovers=3))
    assert "\n  /probe/0123456789ab/put/0\n" in text
    assert "A probe of this path deletes them, from ten minutes after" in text
    assert "The clean-up failed: DeleteParameters" in text
    assert "Cleaned up" not in text


@pytest.mark.parametrize(("minutes", "code"), [(4, 1), (6, 130), (60, 0)])
def test_a_probe_cleans_up_before_session_credentials_end(
    aws: SimulatedAws, cli: Cli, monkeypatch: pytest.MonkeyPatch, minutes: int, code: int
) -> None:
    end = aws.clock.now() + timedelta(minutes=minutes)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SESSION_TOKEN": "testing",
        "AWS_CREDENTIAL_EXPIRATION": end.isoformat(),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    result = cli(*CONSENT)
    assert result.exit_code == code, result.output
    assert aws.names("us-east-2") == []
    assert ("Stopped five minutes before the credentials end" in result.stderr) is (code == 130)
    assert (aws.world.traffic.writes() == []) is (code == 1)
    assert aws.clock.now() < end


def test_the_page_names_each_action_that_a_probe_needs(aws: SimulatedAws, cli: Cli) -> None:
    page = (Path(__file__).parents[3] / "docs" / "tasks" / "measure-quotas.md").read_text()
    assert cli(*CONSENT, "-q").exit_code == 0
    made = set(operations(aws)) - {"GetCallerIdentity", "GetResources"}
    assert {name for name in made if f"`ssm:{name}`" not in page} == set()
    assert "`tag:GetResources`" in page
