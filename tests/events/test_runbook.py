"""The runbook of docs/event-driven.md: its alarms, queries and commands exist; the counts of its costs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
import urllib3
from botocore import xform_name
from moto.server import ThreadedMotoServer

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.state import State, TableUnavailableError
from tests.events.pump import Account, Deployed
from tests.events.templates import loaded
from tests.events.test_dashboard import own_metrics
from tests.events.test_deployed import SPEC
from tests.fake_aws.traffic import refused

DOCUMENT = (Path(__file__).parents[2] / "docs" / "event-driven.md").read_text()
RUNBOOK = DOCUMENT.partition("\n## Runbook\n")[2]
RESOURCES = loaded("template.yaml")["Resources"]


def of_type(kind: str) -> set[str]:
    return {name for name, one in RESOURCES.items() if one["Type"] == kind}


ALARMS = of_type("AWS::CloudWatch::Alarm")


def blocks() -> list[str]:
    found = re.findall(r"^```(?:console|text)\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^\$ ", "", block, flags=re.MULTILINE) for block in found]


def queries() -> list[str]:
    return [block for block in blocks() if block.startswith("fields ")]


class TestAlarms:
    def test_each_alarm_has_a_row_and_each_row_is_of_an_alarm(self) -> None:
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", RUNBOOK, re.MULTILINE)
        named = [name for name, *_ in rows]
        assert sorted(named) == sorted(ALARMS)

    def test_each_alarm_that_the_page_names_exists(self) -> None:
        assert set(re.findall(r"alarm `(\w+)`", DOCUMENT)) <= ALARMS

    def test_each_resource_that_the_page_names_exists(self) -> None:
        declared = {*RESOURCES, *loaded("template.yaml")["Parameters"], *own_metrics()}
        named = set(re.findall(r"`([A-Z]\w+(?:Rule|Queue|Function|Run|Table|Letters))`", DOCUMENT))
        named -= {"ReplicationQueue"}  # of the post
        assert len(named) > 8
        assert named <= declared


class TestCounts:
    def test_the_costs_are_those_of_the_template(self) -> None:
        (found,) = re.findall(r"CloudWatch: (\d+) metrics .*?, (\d+) alarms .*?, (\d+) dashboard", DOCUMENT)
        dashboards = of_type("AWS::CloudWatch::Dashboard")
        assert tuple(map(int, found)) == (len(own_metrics()), len(ALARMS), len(dashboards))

    def test_the_table_of_the_template_has_every_metric(self) -> None:
        (listed,) = re.findall(r"metrics (`Applied`.*?) in namespace", DOCUMENT)
        assert set(re.findall(r"`(\w+)`", listed)) == own_metrics()
        assert f"| {len(ALARMS)} alarms, " in DOCUMENT


def flattened(document: Any, path: str = "") -> Iterator[str]:
    """Yield the names of the fields that CloudWatch Logs Insights discovers in a JSON line."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(document, Mapping):
        items = iter(document.items())
    elif isinstance(document, Sequence) and not isinstance(document, str):
        items = iter(enumerate(document))
    else:
        yield path
    for key, value in items:
        yield from flattened(value, f"{path}.{key}" if path else str(key))


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """The log of a stack in trouble: each line that the runbook looks for."""
    account = Account()
    stack = account.deploy(SPEC)
    stack.run_slice()
    in_conflict(account)
    in_outage(account, stack)
    writes_denied(account, stack)
    without_a_table(account, stack)
    stack.spec = "version: 2"
    stack.function = stack.new_process()
    stack.invoke({"Records": [{"messageId": "1", "body": "/prod/a"}]})
    return [json.loads(line) for line in stack.log.getvalue().splitlines()]


def in_conflict(account: Account) -> None:
    account.world.put(account.there, "/prod/conflict", "theirs")
    account.put(account.here, "/prod/conflict", "v")
    account.drain()


def in_outage(account: Account, stack: Deployed) -> None:
    account.world.faults = lambda _, place, *__: (
        refused(Trouble.UNREACHABLE) if place == account.there else None
    )
    account.put(account.here, "/prod/a", "v")
    stack.poll()
    account.world.faults = None
    account.drain()


def writes_denied(account: Account, stack: Deployed) -> None:
    account.world.faults = lambda operation, *_: (
        refused(Trouble.DENIED) if operation == "PutParameter" else None
    )
    account.put(account.here, "/prod/a", "w")
    account.drain()
    assert stack.queue.dead
    account.world.faults = None


def without_a_table(account: Account, stack: Deployed) -> None:
    def fails(_: str) -> None:
        raise TableUnavailableError("DynamoDB: InternalServerError")

    stack.run_slice(execution="one")
    stack.table.fault = fails
    account.put(account.here, "/prod/b", "v")
    stack.poll()
    stack.table.fault = lambda _: None
    account.drain()
    until = account.clock.now().timestamp() + 900
    State(stack.table, account.clock).take_whole_run("one", until)
    stack.run_slice(execution="two")


class TestQueries:
    def test_there_are_three_queries(self) -> None:
        assert len(queries()) == 3
        assert set(re.findall(r"[Qq]uery ([A-Z])\b", RUNBOOK)) == {"A", "B", "C"}

    @pytest.mark.parametrize("query", queries())
    def test_each_message_of_a_query_is_in_the_log(self, query: str, lines: list[dict[str, Any]]) -> None:
        logged = {line["message"] for line in lines}
        for wanted in messages_of(query):
            assert wanted in logged

    @pytest.mark.parametrize("query", queries())
    def test_each_field_of_a_query_is_in_a_line_that_it_finds(
        self, query: str, lines: list[dict[str, Any]]
    ) -> None:
        found = [line for line in lines if line["message"] in messages_of(query)]
        fields = {field for line in found for field in flattened(line)}
        wanted = re.findall(r"[\w.@]+", query.splitlines()[0].removeprefix("fields"))
        assert {one for one in wanted if not one.startswith("@")} - {"reasons.1"} <= fields

    def test_the_results_of_the_first_query_are_those_of_names(self, lines: list[dict[str, Any]]) -> None:
        results = {line["result"] for line in lines if line["message"] == "name"}
        assert results >= {"refused", "again"}
        table = DOCUMENT.partition("| result in the log")[2].partition("\n\n")[0]
        cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        listed = set(re.findall(r"`([a-z ]+)`", " ".join(cells)))
        assert listed >= results
        assert set(re.findall(r'"(\w+)"', queries()[0])) - {"name"} == listed - {"applied", "nothing to do"}


def messages_of(query: str) -> list[str]:
    condition = re.search(r'message (?:= "([^"]+)"|in \[(.*?)\])', query)
    assert condition is not None
    return [condition[1]] if condition[1] else re.findall(r'"([^"]+)"', condition[2])


def aws_commands() -> list[list[str]]:
    """Return the words of each `aws` command of the runbook."""
    text = "".join(block for block in blocks() if "aws " in block)
    found = re.findall(r"aws (?:cloudformation|sqs|logs|stepfunctions) [^|;\n]+", text)
    return [shlex.split(re.sub(r'"?\$\([^)]*\)+"?', "VALUE", one).rstrip(")")) for one in found]


def test_each_aws_command_exists_with_its_options() -> None:
    session = botocore.session.get_session()
    commands = aws_commands()
    assert len(commands) >= 9
    for _, service, name, *rest in commands:
        model = session.get_service_model(service)
        operation = {xform_name(one, "-"): one for one in model.operation_names}[name]
        shape = model.operation_model(operation).input_shape
        known = {f"--{xform_name(member, '-')}" for member in (shape.members if shape else {})}
        options = [word for word in rest if word.startswith("--")]
        assert set(options) <= known | {"--query", "--output"}, name


def test_dead_letters_are_processed_on_a_machine(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = "rates: { put: 200, tags: 200, list_tags: 200, describe: 200, get: 200 }\n"
    (tmp_path / "replication.yaml").write_text(SPEC + rates)
    (command,) = [line for block in blocks() for line in block.splitlines() if "ssm-reconcile event" in line]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("PATH", f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # The server shares the parameters of all tests in this process.
        urllib3.request("POST", f"{url}/moto-api/reset", timeout=60, retries=3)
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        sqs, here = boto3.client("sqs"), boto3.client("ssm")
        queue = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
        names = ["/prod/runbook/a", "/prod/runbook/b"]
        for name in names:
            here.put_parameter(Name=name, Value="v", Type="String")
            sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"names": [name], "judged": True}))
        # Version 1 of the AWS CLI does not use AWS_ENDPOINT_URL for SQS.
        script = "set -eo pipefail\n" + command.replace("aws sqs", f"aws --endpoint-url {url} sqs")
        monkeypatch.setenv("DEAD_LETTERS", queue)
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        there = boto3.client("ssm", region_name="us-east-2")
        assert {one["Name"] for one in there.get_parameters(Names=names)["Parameters"]} == set(names)
    finally:
        server.stop()
