"""What goes wrong outside of the program: one clear message that names place, operation and what to do."""

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


def says(told: subprocess.CompletedProcess[str], *words: str) -> None:
    """One message with a remedy and all of the words, and nothing on stdout."""
    assert told.stdout == ""
    assert told.stderr.count("Error: ") == 1, told.stderr
    assert "What to do: " in told.stderr
    for word in words:
        assert word in told.stderr


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_a_broken_spec_is_told_whole_and_no_call_is_made(shell: Shell, command: str) -> None:
    (shell.folder / "replication.yaml").write_text(WRONG)
    told = shell.run(command, *(["--yes"] if command == "apply" else []))
    assert told.returncode == 1
    for where in ("2:7:", "3:30:", "5:13:", "6:35:", "7:45:", "8:9:"):
        assert f"replication.yaml:{where} error: " in told.stderr, told.stderr
    assert "did you mean" in told.stderr.lower()
    assert shell.proxy.seen == []


def test_no_credentials(shell: Shell) -> None:
    shell.write_spec()
    gone: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    told = shell.run("plan", env=gone)
    assert told.returncode == 1
    says(told, HERE, "GetCallerIdentity", "credentials")
    assert shell.proxy.seen == []


def test_a_profile_that_is_not_there(shell: Shell) -> None:
    shell.write_spec()
    told = shell.run("plan", "--profile", "nope")
    assert told.returncode == 1
    says(told, "profile")


def test_credentials_that_have_expired(shell: Shell) -> None:
    shell.write_spec()
    shell.proxy.meddle = refusing("GetCallerIdentity", "ExpiredToken", status=403)
    told = shell.run("plan")
    assert told.returncode == 1
    says(told, HERE, "GetCallerIdentity", "ExpiredToken")
    assert {asked.operation for asked in shell.proxy.seen} == {"GetCallerIdentity"}


def test_credentials_that_expire_while_it_writes(shell: Shell) -> None:
    for number in range(12):
        shell.put(f"/some/{number:02}", "1")
    shell.write_spec()
    shell.proxy.meddle = lambda asked: (
        Answer(400, "ExpiredTokenException") if asked.operation == "PutParameter" and asked.nth > 3 else None
    )
    told = shell.run("apply", "--yes", "--out", "report.json")
    assert told.returncode == 3
    summary = shell.report()["summary"]
    assert summary["applied"] == 3
    assert summary["failed"] + summary["not_attempted"] == 9
    assert shell.proxy.count("PutParameter") <= 3 + 8, "what cannot work is not tried twelve times"
    shell.proxy.meddle = None
    assert shell.run("apply", "--yes", "-q").returncode == 0
    assert len(shell.names()) == 12


def test_an_endpoint_where_nobody_listens(shell: Shell) -> None:
    shell.write_spec()
    started = time.monotonic()
    told = shell.run("plan", env={"AWS_ENDPOINT_URL": None, "AWS_ENDPOINT_URL_STS": unreachable()})
    assert told.returncode == 1
    says(told, HERE, "EndpointConnectionError")
    assert time.monotonic() - started < 30
    assert shell.proxy.seen == []


def test_a_tagging_endpoint_that_cannot_be_reached_makes_a_plan_slow_and_no_more(shell: Shell) -> None:
    shell.put("/a", "1")
    shell.write_spec()
    env: dict[str, str | None] = {"AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API": unreachable()}
    told = shell.run("plan", "--format", "json", env=env)
    assert told.returncode == 0, told.stderr
    plan = json.loads(told.stdout)
    assert plan["complete"] is True
    assert plan["summary"]["create"] == 1
    assert {finding["code"] for finding in plan["findings"]} == {"slow-tags"}
    assert shell.run("apply", "--yes", "-q", env=env).returncode == 0


def test_no_permission_to_list_the_source(shell: Shell) -> None:
    shell.write_spec()
    shell.proxy.meddle = refusing("DescribeParameters", "AccessDeniedException", region=HERE)
    told = shell.run("plan")
    assert told.returncode == 1
    assert "DescribeParameters" in told.stderr
    assert HERE in told.stderr
    assert "ssm:DescribeParameters" in told.stderr, "what to allow"


def test_no_permission_to_list_a_target_leaves_a_plan_that_says_so(shell: Shell) -> None:
    shell.put("/a", "1")
    spec = shell.write_spec()
    spec.write_text(
        spec.read_text().replace("[{ region: us-east-2 }]", "[{ region: us-east-2 }, { region: eu-west-1 }]")
    )
    shell.proxy.meddle = refusing("DescribeParameters", "AccessDeniedException", region="eu-west-1")
    told = shell.run("plan")
    assert told.returncode == 3
    assert "INCOMPLETE: eu-west-1" in told.stdout
    assert "ssm:DescribeParameters" in told.stdout
    assert "1 to create" in told.stdout
    assert json.loads(shell.run("plan", "--format", "json").stdout)["complete"] is False


def test_one_write_that_is_denied_fails_by_itself(shell: Shell) -> None:
    shell.put("/denied", SECRET, kind="SecureString")
    shell.put("/fine", "1")
    shell.write_spec()
    shell.proxy.meddle = refusing("PutParameter", "AccessDeniedException", holding=b"/denied")
    told = shell.run("apply", "--yes", "--out", "report.json")
    assert told.returncode == 3
    assert "PutParameter: AccessDeniedException" in told.stdout
    assert "ssm:PutParameter" in told.stdout, "what to allow"
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
    told = shell.ended(process)
    assert told.returncode == 130, told.stderr
    assert "Stopping" in told.stderr
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
    told = shell.ended(process)
    assert told.returncode == 130
    assert told.stdout == ""
    assert time.monotonic() - started < 5


def test_debug_says_where_and_never_a_value(shell: Shell) -> None:
    """The one flag that may show a traceback: of places and kinds, without locals or AWS's message."""
    shell.put("/key", SECRET, kind="SecureString")
    shell.write_spec()
    shell.proxy.meddle = refusing("GetCallerIdentity", "ExpiredToken", status=403)
    told = shell.run("plan", "--debug")
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert SECRET not in told.stderr
    shell.heard.clear()


def test_the_target_is_untouched_where_the_account_is_not_the_one_of_the_spec(shell: Shell) -> None:
    shell.put("/a", "1")
    spec = shell.write_spec()
    spec.write_text(
        spec.read_text().replace("{ region: us-east-1 }", '{ region: us-east-1, account: "999999999999" }')
    )
    told = shell.run("apply", "--yes")
    assert told.returncode == 1
    says(told, "999999999999", "123456789012")
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
        told = shell.run(*words)
        assert told.returncode == code, told.stderr
        assert "AllowedPattern" in told.stdout + told.stderr
    assert shell.run("apply", "--yes", "-q").returncode == 3
    assert shell.names() == {"/fine": "1"}
