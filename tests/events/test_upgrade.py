"""Upgrade of a stack from the template before the table and the state machine, its queue not empty."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cfnlint.schema.manager import (  # type: ignore[import-untyped]  # it has no types
    PROVIDER_SCHEMA_MANAGER,
)

from ssm_reconcile.errors import Trouble
from ssm_reconcile.event.messages import MOST_ATTEMPTS
from tests.events.pump import SCHEDULED, Account, Deployed, metrics
from tests.events.templates import loaded
from tests.events.test_deployed import SPEC, assert_converged, calls, tag_event
from tests.fake_aws.traffic import refused

TEMPLATE = loaded("template.yaml")
PARAMETERS = {
    "Stage": "String", "SpecUri": "String", "SpecArn": "String", "ParameterPath": "String",
    "TargetRegions": "CommaDelimitedList", "SourceKeyArns": "CommaDelimitedList",
    "TargetKeyArns": "CommaDelimitedList", "RoleArns": "CommaDelimitedList", "NamePrefix": "String",
    "EventBusName": "String", "ForwardingAccounts": "CommaDelimitedList", "Schedule": "String",
    "Concurrency": "Number", "AlarmTopicArn": "String", "LogDays": "Number",
}  # fmt: skip
"""The parameters of the former template, with their types."""
RESOURCES = {
    "ChangeRule": "AWS::Events::Rule",
    "BusPolicy": "AWS::Events::EventBusPolicy",
    "ChangeQueue": "AWS::SQS::Queue",
    "DeadLetters": "AWS::SQS::Queue",
    "QueuePolicy": "AWS::SQS::QueuePolicy",
    "ChangeFunction": "AWS::Serverless::Function",
    "WholeFunction": "AWS::Serverless::Function",
    "Logs": "AWS::Logs::LogGroup",
    "Role": "AWS::IAM::Role",
}
"""The resources of the former template, alarms left out."""
FIXED = {
    "BusPolicy": {
        "EventBusName": {"Ref": "EventBusName"},
        "StatementId": {"Fn::Sub": "ssm-reconcile-${Stage}"},
    }
}
"""The properties of these resources in the former template that CloudFormation cannot change in place."""
OUTPUTS = {"QueueUrl", "DeadLettersUrl", "RoleArn"}
FORMER_RECEIVES = 9
"""The most receives of a message that the former queue did not move to the dead letters."""


class TestTemplate:
    def test_the_parameters_of_the_former_template_are_kept(self) -> None:
        declared = TEMPLATE["Parameters"]
        assert {name: declared[name]["Type"] for name in PARAMETERS} == PARAMETERS

    def test_new_parameters_have_defaults(self) -> None:
        new = set(TEMPLATE["Parameters"]) - set(PARAMETERS)
        assert new
        assert [name for name in new if "Default" not in TEMPLATE["Parameters"][name]] == []

    def test_the_resources_of_the_former_template_are_kept(self) -> None:
        declared = TEMPLATE["Resources"]
        assert {name: declared[name]["Type"] for name in RESOURCES} == RESOURCES

    @pytest.mark.parametrize("name", RESOURCES)
    def test_no_resource_is_replaced(self, name: str) -> None:
        kind = RESOURCES[name].replace("Serverless", "Lambda")
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        fixed = {path.rpartition("/")[2] for path in schema.get("createOnlyProperties", ())}
        given = TEMPLATE["Resources"][name]["Properties"]
        assert {key: value for key, value in given.items() if key in fixed} == FIXED.get(name, {})

    def test_the_mapping_of_the_queue_is_not_replaced(self) -> None:
        """SAM builds its logical id from those of the function and the event."""
        (event,) = TEMPLATE["Resources"]["ChangeFunction"]["Properties"]["Events"].items()
        assert event[0] == "Queue"
        assert event[1]["Properties"]["Queue"] == {"Fn::GetAtt": ["ChangeQueue", "Arn"]}

    def test_the_outputs_of_the_former_template_are_kept(self) -> None:
        assert set(TEMPLATE["Outputs"]) >= OUTPUTS


@pytest.fixture
def account() -> Account:
    """An account with replicas that the former version wrote."""
    account = Account()
    for name in (*"abcdefghijkl", "gone"):
        account.world.put(account.here, f"/prod/{name}", "v")
    account.deploy(SPEC, environment={}).invoke(SCHEDULED, 900)
    account.stacks.clear()
    account.clock.advance(timedelta(hours=1))
    return account


def queued(stack: Deployed, body: Any) -> None:
    """Put a message into the queue as the former version left it: received several times."""
    text = body if isinstance(body, str) else json.dumps(body)
    stack.queue.messages[stack.queue.send(text)].received = FORMER_RECEIVES


def changed(account: Account, name: str = "/prod/a") -> None:
    """Change a parameter without an event."""
    account.world.put(account.here, name, "new")


def event(account: Account, name: str, operation: str) -> dict[str, Any]:
    return account.event(account.here, name, operation)


def policy_event(account: Account) -> dict[str, Any]:
    detail = {"parameter-name": "/prod/a", "policy-type": "NoChangeNotification", "parameter-type": "String"}
    return event(account, "/prod/a", "") | {
        "detail-type": "Parameter Store Policy Action", "detail": detail,
    }  # fmt: skip


def bodies(account: Account) -> Mapping[str, Any]:
    """Return the bodies that the former version could have left in the queue, for a change of `/prod/a`."""
    update = event(account, "/prod/a", "Update")
    call = {
        "eventSource": "ssm.amazonaws.com", "eventName": "AddTagsToResource",
        "requestParameters": {
            "resourceType": "Parameter", "resourceId": "/prod/a", "tags": [{"key": "team"}],
        },
    }  # fmt: skip
    return {
        "update": update,
        "create": event(account, "/prod/a", "Create"),
        "label": event(account, "/prod/a", "LabelParameterVersion"),
        "policy": policy_event(account),
        "tags": tag_event(account, account.here, "/prod/a"),
        "tags by CloudTrail": update | {"detail-type": "AWS API Call via CloudTrail", "detail": call},
        "names of a whole run": {"names": [f"/prod/{name}" for name in "abcdefghij"], "judged": True},
        "names": {"names": ["/prod/a"], "operation": "Update"},
        "name": "/prod/a",
        "lines": "/prod/a\n/prod/b",
        "ARN": account.here.arn("/prod/a"),
        "list": ["/prod/a", "/prod/b"],
        "several events": [update, event(account, "/prod/b", "Update")],
        "SNS": {"Type": "Notification", "Message": json.dumps(update)},
        "dispatch": {"client_payload": {"event": update}},
        "batch": {"Records": [{"messageId": "1", "body": json.dumps(update)}]},
    }


KINDS = tuple(bodies(Account()))


class TestMessages:
    @pytest.mark.parametrize("kind", KINDS)
    def test_each_message_is_done(
        self, account: Account, kind: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stack = account.deploy(SPEC)
        changed(account)
        queued(stack, bodies(account)[kind])
        account.drain()
        assert account.world.value(account.there, "/prod/a") == "new"
        assert not stack.queue.dead
        assert metrics(capsys.readouterr().out)["Rejected"] == 0
        assert_converged(account)

    def test_all_messages_together_are_done(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        changed(account)
        changed(account, "/prod/b")
        for body in bodies(account).values():
            queued(stack, body)
        account.drain()
        assert not stack.queue.dead
        assert_converged(account)

    def test_former_receives_do_not_count_as_attempts(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        changed(account)
        queued(stack, bodies(account)["update"])
        account.world.faults = lambda operation, *_: (
            refused(Trouble.DENIED) if operation == "PutParameter" else None
        )
        for _ in range(MOST_ATTEMPTS - 1):
            account.wait()
            stack.poll()
        account.world.faults = None
        account.drain()
        assert not stack.queue.dead
        assert_converged(account)

    def test_a_delete_among_judged_names_waits_for_a_count(self, account: Account) -> None:
        """The former version left deletes to the next whole run; a place is reserved for each of them now."""
        stack = account.deploy(SPEC.replace("max_deletes: 1000", "max_deletes: 2"))
        for name in "abc":
            account.world.delete(account.here, f"/prod/{name}")
        queued(stack, {"names": ["/prod/a", "/prod/b", "/prod/c"], "judged": True})
        stack.poll()
        assert calls(account, account.there)["DeleteParameters"] == 1
        assert stack.clients.started == 1
        account.drain()
        left = {"/prod/a", "/prod/b", "/prod/c"} & set(account.world.names(account.there))
        assert len(left) == 1
        assert not stack.queue.dead

    def test_a_delete_event_is_done(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        account.world.delete(account.here, "/prod/gone")
        queued(stack, event(account, "/prod/gone", "Delete"))
        account.drain()
        assert not stack.queue.dead
        assert_converged(account)

    def test_the_event_of_a_former_schedule_starts_the_state_machine(self, account: Account) -> None:
        stack = account.deploy(SPEC)
        changed(account)
        stack.invoke(SCHEDULED)
        assert stack.clients.started == 1
        account.drain()
        assert_converged(account)


def test_split_messages_have_the_form_that_the_former_version_reads(account: Account) -> None:
    stack = account.deploy(SPEC)
    names = [f"/prod/many/{number:03}" for number in range(60)]
    for name in names:
        account.world.put(account.here, name, "v")
    given = {
        "names": names, "operation": "Create", "account": account.here.account,
        "region": account.here.region, "time": account.clock.now().isoformat(),
    }  # fmt: skip
    queued(stack, given)
    queued(stack, {"names": [*names, "/prod/a"], "judged": True})
    stack.poll()
    found = [json.loads(one.body) for one in stack.queue.messages.values()]
    with_event = [one for one in found if len(one) > 1]
    assert sorted(name for one in with_event for name in one["names"]) == names
    assert all(one | given == given | {"names": given["names"]} for one in with_event)
    assert {tuple(one) for one in found if len(one) == 1} == {("names",)}
    assert max(len(one["names"]) for one in found) == 10
    account.drain()
    assert_converged(account)
