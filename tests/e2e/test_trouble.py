"""Faults outside of the program: one clear message that names place, operation and remedy."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest

from tests.e2e.aws import Answer, Asked, Meddle, unreachable
from tests.e2e.conftest import HERE, SECRET, THERE, Shell

WRONG = """\
version: 1
name: Prod
source: { region: us-east-1, acount: "123456789012" }
targets:
  - region: us-east-1
  - { region: us-east-2, account: 012345670123 }
parameters: { include: ["/app/**"], types: [SecretString] }
delete: sometimes
"""


def refusing(
    operation: str, code: str, *, status: int = 400, region: str = "", holding: bytes = b""
) -> Meddle:
    """A meddler that refuses one operation, in one region, or for one name."""

    def meddle(asked: Asked) -> Answer | None:
        wanted = asked.operation == operation and region in ("", asked.region) and holding in asked.body
        return Answer(status, code) if wanted else None

    return meddle


def says(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """One message with a remedy and all of the words, and nothing on stdout."""
    assert result.stdout == ""
    assert result.stderr.count("Error: ") == 1, result.stderr
    assert "What to do: " in result.stderr
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_all_errors_of_a_spec_are_reported_and_no_call_is_made(shell: Shell, command: str) -> None:
    (shell.folder / "replication.yaml").write_text(WRONG)
    result = shell.run(command, *(["--yes"] if command == "apply" else []))
    assert result.returncode == 1
    for where in ("2:7:", "3:30:", "5:13:", "6:35:", "7:45:", "8:9:"):
        assert f"replication.yaml:{where} error: " in result.stderr, result.stderr
    assert "did you mean" in result.stderr.lower()
    assert shell.proxy.seen == []


def test_no_credentials(shell: Shell) -> None:
    shell.write_spec()
    gone: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    result = shell.run("plan", env=gone)
    assert result.returncode == 1
    says(result, HERE, "GetCallerIdentity", "credentials")
    assert shell.proxy.seen == []


def test_a_profile_that_is_not_there(shell: Shell) -> None:
    shell.write_spec()
    result = shell.run("plan", "--profile", "nope")
    assert result.returncode == 1
    says(result, "profile")


def test_credentials_that_have_expired(shell: Shell) -> None:
    shell.write_spec()
    shell.proxy.meddle = refusing("GetCallerIdentity", "ExpiredToken", status=403)
    result = shell.run("plan")
    assert result.returncode == 1
    says(result, HERE, "GetCallerIdentity", "ExpiredToken")
    assert {asked.operation for asked in shell.proxy.seen} == {"GetCallerIdentity"}


def test_credentials_that_expire_while_it_writes(shell: Shell) -> None:
    for number in range(12):
        shell.put(f"/some/{number:02}", "1")
    shell.write_spec()
    shell.proxy.meddle = lambda asked: (
        Answer(400, "ExpiredTokenException") if asked.operation == "PutParameter" and asked.nth > 3 else None
    )
    result = shell.run("apply", "--yes", "--out", "report.json")
    assert result.returncode == 3
    summary = shell.report()["summary"]
    assert summary["applied"] == 3
    assert summary["failed"] + summary["not_attempted"] == 9
    assert shell.proxy.count("PutParameter") <= 3 + 8, "what cannot work is not tried twelve times"
    shell.proxy.meddle = None
    assert shell.run("apply", "--yes", "-q").returncode == 0
    assert len(shell.names()) == 12


def test_an_endpoint_without_a_server(shell: Shell) -> None:
    shell.write_spec()
    started = time.monotonic()
    result = shell.run("plan", env={"AWS_ENDPOINT_URL": None, "AWS_ENDPOINT_URL_STS": unreachable()})
    assert result.returncode == 1
    says(result, HERE, "EndpointConnectionError")
    assert time.monotonic() - started < 30
    assert shell.proxy.seen == []


def test_a_tagging_endpoint_that_cannot_be_reached_makes_a_plan_slow_and_no_more(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    env: dict[str, str | None] = {"AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": unreachable()}
    result = shell.run("plan", "--format", "json", env=env)
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert plan["complete"] is True
    assert plan["summary"]["create"] == 1
    assert {finding["code"] for finding in plan["findings"]} == {"slow-tags"}
    assert shell.run("apply", "--yes", "-q", env=env).returncode == 0


def test_no_permission_to_list_the_source(shell: Shell) -> None:
    shell.write_spec()
    shell.proxy.meddle = refusing("DescribeParameters", "AccessDeniedException", region=HERE)
    result = shell.run("plan")
    assert result.returncode == 1
    assert "DescribeParameters" in result.stderr
    assert HERE in result.stderr
    assert "ssm:DescribeParameters" in result.stderr, "what to allow"


def test_no_permission_to_list_a_target_leaves_a_plan_that_says_so(shell: Shell) -> None:
    shell.put("/a", "1")
    spec = shell.write_spec()
    spec.write_text(
        spec.read_text().replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
    )
    shell.proxy.meddle = refusing("DescribeParameters", "AccessDeniedException", region="eu-west-1")
    result = shell.run("plan")
    assert result.returncode == 3
    assert "INCOMPLETE: eu-west-1" in result.stdout
    assert "ssm:DescribeParameters" in result.stdout
    assert "1 to create" in result.stdout
    assert json.loads(shell.run("plan", "--format", "json").stdout)["complete"] is False


def test_one_write_that_is_denied_fails_by_itself(shell: Shell) -> None:
    shell.put("/denied", SECRET, kind="SecureString")
    shell.put("/fine", "1")
    shell.write_spec()
    shell.proxy.meddle = refusing("PutParameter", "AccessDeniedException", holding=b"/denied")
    result = shell.run("apply", "--yes", "--out", "report.json")
    assert result.returncode == 3
    assert "PutParameter: AccessDeniedException" in result.stdout
    assert "ssm:PutParameter" in result.stdout, "what to allow"
    assert shell.names() == {"/fine": "1"}


def test_throttling_is_waited_out(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    shell.proxy.meddle = lambda asked: (
        Answer(400, "ThrottlingException")
        if asked.operation in ("PutParameter", "DescribeParameters") and asked.nth == 1
        else None
    )
    assert shell.run("apply", "--yes").returncode == 0
    assert shell.names() == {"/a": "1"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_writes_ends_in_a_complete_report(shell: Shell, number: signal.Signals) -> None:
    for each in range(30):
        shell.put(f"/some/{each:02}", "1")
    shell.write_spec()

    def slowly(asked: Asked) -> None:
        if asked.operation == "PutParameter":
            time.sleep(0.2)

    shell.proxy.meddle = slowly
    process = shell.start(
        "apply", "--yes", "--parallelism", "2", "--out", "report.json", start_new_session=True
    )
    shell.proxy.wait_for("PutParameter", 3)
    process.send_signal(number)
    result = shell.ended(process)
    assert result.returncode == 130, result.stderr
    assert "Stopping" in result.stderr
    report = shell.report()
    assert report["interrupted"] is True
    assert sum(report["summary"].values()) == 30
    assert 3 <= report["summary"]["applied"] < 30
    assert report["summary"]["not_attempted"] == 30 - report["summary"]["applied"]
    assert len(shell.names()) == report["summary"]["applied"], "what it says was done, was done"
    shell.proxy.meddle = None
    assert shell.run("apply", "--yes", "-q").returncode == 0
    assert len(shell.names()) == 30


def test_a_signal_while_it_plans_ends_at_once(shell: Shell) -> None:
    shell.write_spec()

    def slowly(asked: Asked) -> None:
        if asked.operation == "DescribeParameters":
            time.sleep(3)

    shell.proxy.meddle = slowly
    process = shell.start("plan", start_new_session=True)
    shell.proxy.wait_for("DescribeParameters", 1)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    result = shell.ended(process)
    assert result.returncode == 130
    assert result.stdout == ""
    assert time.monotonic() - started < 5


def test_debug_says_where_and_never_a_value(shell: Shell) -> None:
    """The one flag that may show a traceback: of places and kinds, without locals or AWS's message."""
    shell.put("/key", SECRET, kind="SecureString")
    shell.write_spec()
    shell.proxy.meddle = refusing("GetCallerIdentity", "ExpiredToken", status=403)
    result = shell.run("plan", "--debug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert SECRET not in result.stderr
    shell.heard.clear()


def test_the_target_is_untouched_where_the_account_is_not_the_one_of_the_spec(shell: Shell) -> None:
    shell.put("/a", "1")
    spec = shell.write_spec()
    spec.write_text(
        spec.read_text().replace("{ region: us-east-1 }", '{ region: us-east-1, account: "999999999999" }')
    )
    result = shell.run("apply", "--yes")
    assert result.returncode == 1
    says(result, "999999999999", "123456789012")
    assert {asked.operation for asked in shell.proxy.seen} == {"GetCallerIdentity"}
    assert shell.names(THERE) == {}


def test_an_allowed_pattern_made_to_backtrack_holds_no_command_up(shell: Shell) -> None:
    """Python's own engine would take longer than anybody waits."""
    shell.put("/fine", "1")
    name = f"{shell.path}/slow"
    shell.ssm(HERE).put_parameter(
        Name=name, Value=f"{'a' * 60}.{HERE}", Type="String", AllowedPattern=r"^([a-zA-Z0-9-]+\.?)+$"
    )
    shell.write_spec(f'rewrite: [{{ match: "{shell.path}/**", in: value, from: {HERE}, to: "b_c" }}]\n')
    event = {
        "source": "aws.ssm", "detail-type": "Parameter Store Change", "account": "123456789012",
        "region": HERE, "time": "2026-01-01T00:00:00Z", "resources": [],
        "detail": {"operation": "Update", "name": name, "type": "String"},
    }  # fmt: skip
    (shell.folder / "event.json").write_text(json.dumps(event))
    for words, code in ((("plan",), 3), (("explain", name), 0), (("event", "event.json"), 3)):
        result = shell.run(*words)
        assert result.returncode == code, result.stderr
        assert "AllowedPattern" in result.stdout + result.stderr
    assert shell.run("apply", "--yes", "-q").returncode == 3
    assert shell.names() == {"/fine": "1"}
