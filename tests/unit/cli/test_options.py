"""Options of click against the code that takes them by name, which no type checker compares."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from ssm_reconcile.cli import command_run, init, init_github, publish
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.progress import CallRates
from ssm_reconcile.model import Access
from ssm_reconcile.system import Phase, Progress
from tests.doubles.clock import FakeClock
from tests.doubles.open_calls import OpenCalls

COMMON = {field.name for field in dataclasses.fields(CommonOptions)}


@pytest.mark.parametrize(
    ("command", "taken_by", "computed"),
    [
        (publish.command, [publish.Publisher], {"run", "specs", "common"}),
        (init.command, [init.InitOptions, init_github.GitHubOptions], set()),
    ],
)
def test_the_options_of_a_command_are_the_fields_of_its_dataclasses(
    command: click.Command, taken_by: list[Any], computed: set[str]
) -> None:
    """`computed`: the fields that the command itself sets."""
    assert command.callback is not None
    parameters = inspect.signature(command.callback).parameters.values()
    named = {one.name for one in parameters if one.kind is not inspect.Parameter.VAR_KEYWORD}
    given = {str(one.name) for one in command.params} - named - COMMON
    assert given == {field.name for one in taken_by for field in dataclasses.fields(one)} - computed


class Body:
    """The body of a response, as urllib3 has it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def stream(self, **_named: object) -> Iterator[bytes]:
        """Return the bytes."""
        yield self.text.encode()


IDENTITY = """\
<GetCallerIdentityResponse><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/bob</Arn><UserId>b</UserId><Account>123456789012</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
NO_VALUES = '{"Parameters": [], "InvalidParameters": []}'


@pytest.mark.threads
def test_requests_have_the_endpoint_and_the_profile_and_at_most_parallelism_are_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("[profile p]\naws_access_key_id = key-of-p\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    seen: set[tuple[str, bool]] = set()
    open_calls = OpenCalls(3)

    def send(_session: object, request: AWSPreparedRequest) -> AWSResponse:
        seen.add((request.url, b"key-of-p/" in request.headers["Authorization"]))
        is_read = "X-Amz-Target" in request.headers
        if is_read:
            open_calls.wait()
        return AWSResponse(request.url, 200, HTTPHeaders(), Body(NO_VALUES if is_read else IDENTITY))

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", send)
    rates = CallRates()
    monkeypatch.setattr(command_run, "SHOWN_RATES", rates)
    access = CommonOptions(profile="p", endpoint_url="http://h", parallelism=3)
    store = command_run.connect_factory(access, FakeClock())(Access("us-east-1"))
    store.values([f"/app/{number}" for number in range(40)], decrypt=True)
    assert seen == {("http://h/", True)}
    assert open_calls.most == 3
    assert rates.text(Progress(str(store.place), Phase.READING, 0)).startswith("GetParameters at ")
