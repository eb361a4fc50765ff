"""Whatever arrives is understood, or rejected with a reason; nothing raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.triggers.events import (
    MOST_NAMES,
    Full,
    Message,
    Names,
    Operation,
    Origin,
    Reason,
    Rejected,
    batch,
    news_of,
    read,
)

HERE = Origin("123456789012", "us-east-1")
AT = datetime(2017, 5, 22, 16, 43, 48, tzinfo=UTC)


def change(**more: Any) -> dict[str, Any]:
    """The example of the user guide (aws-facts C)."""
    return {
        "version": "0",
        "id": "6a7e4feb-b491-4cf7-a9f1-bf3703497718",
        "detail-type": "Parameter Store Change",
        "source": "aws.ssm",
        "account": "123456789012",
        "time": "2017-05-22T16:43:48Z",
        "region": "us-east-1",
        "resources": ["arn:aws:ssm:us-east-1:123456789012:parameter/foo"],
        "detail": {
            "operation": "Create",
            "name": "/foo",
            "type": "String",
            "description": "Sample Parameter",
        },
        **more,
    }


def policy_action() -> dict[str, Any]:
    return change(
        **{
            "detail-type": "Parameter Store Policy Action",
            "detail": {"parameter-name": "/foo", "policy-type": "Expiration"},
        }
    )


class TestUnderstood:
    @pytest.mark.parametrize("word", ["Create", "Update", "Delete", "LabelParameterVersion"])
    def test_a_change_names_its_parameter_and_what_happened(self, word: str) -> None:
        news = news_of(change(detail={"operation": word, "name": "/foo", "type": "String"}))
        assert news == Names(("/foo",), Operation(word), HERE, AT)

    def test_a_policy_action_has_hyphens_in_its_keys(self) -> None:
        assert news_of(policy_action()) == Names(("/foo",), Operation.POLICY, HERE, AT)

    @pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
    def test_a_schedule_means_everything(self, source: str) -> None:
        assert news_of({"detail-type": "Scheduled Event", "source": source, "detail": {}}) == Full()

    def test_the_seed_queued_bare_names(self) -> None:
        records = {"Records": [{"messageId": "1", "body": "/foo", "eventSource": "aws:sqs"}]}
        assert batch(records) == [Message(Names(("/foo",)), "1")]

    def test_a_record_of_a_queue_has_what_the_queue_needs_again(self) -> None:
        record = {
            "messageId": "m",
            "receiptHandle": "r",
            "body": json.dumps(change()),
            "attributes": {"ApproximateReceiveCount": "3"},
        }
        assert batch({"Records": [record]}) == [Message(news_of(change()), "m", "r", 3)]

    def test_a_topic_may_stand_in_between(self) -> None:
        wrapped = {"Type": "Notification", "Message": json.dumps(change())}
        assert news_of(wrapped) == news_of(change())
        assert batch({"Records": [{"messageId": "1", "body": json.dumps(wrapped)}]})[0].news == news_of(
            change()
        )
        assert batch({"Records": [{"Sns": {"Message": json.dumps(change())}}]})[0].news == news_of(change())

    def test_a_dispatch_carries_a_name_and_what_happened(self) -> None:
        payload = {
            "name": "/foo", "operation": "Delete", "account": "123456789012", "region": "us-east-1",
            "time": "2017-05-22T16:43:48Z",
        }  # fmt: skip
        document = {"action": "ssm-parameter-change", "branch": "main", "client_payload": payload}
        assert news_of(document) == Names(("/foo",), Operation.DELETE, HERE, AT)

    def test_what_a_dispatch_carries_has_been_judged_by_nobody(self) -> None:
        """Only a whole run, on our own queue, may say that its guards have seen a name."""
        ours = {"names": ["/foo"], "judged": True}
        assert news_of(ours) == Names(("/foo",), judged=True)
        document = {"action": "ssm-parameter-change", "client_payload": ours}
        assert news_of(document) == Names(("/foo",), judged=False)

    @pytest.mark.parametrize("text", ["/foo", json.dumps({"name": "/foo"})])
    def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_it(self, text: str) -> None:
        assert [message.news for message in read("\ufeff" + text)] == [Names(("/foo",))]

    def test_names_come_once_each_in_their_order(self) -> None:
        assert news_of(["/b", "/a", "/b"]) == Names(("/b", "/a"))
        assert read("/b\n/a\n") == [Message(Names(("/b", "/a")))]

    def test_a_time_that_is_none_is_no_reason_to_ignore_an_event(self) -> None:
        news = news_of(change(time="yesterday"))
        assert isinstance(news, Names)
        assert news.at is None


BAD: list[tuple[str, Any, Reason]] = [
    ("nothing", None, Reason.SHAPE),
    ("a number", 7, Reason.SHAPE),
    ("an empty object", {}, Reason.SHAPE),
    ("an empty list", [], Reason.NAME),
    ("a list of numbers", [1, 2], Reason.NAME),
    ("another service's event", change(source="aws.ec2"), Reason.SHAPE),
    ("somebody's own event", change(source="my.app"), Reason.SHAPE),
    ("another event of Systems Manager", change(**{"detail-type": "Automation Execution"}), Reason.SHAPE),
    ("a schedule of somebody", {"detail-type": "Scheduled Event", "source": "me"}, Reason.SHAPE),
    ("an event without detail", change(detail=None), Reason.SHAPE),
    ("an unknown operation", change(detail={"operation": "Move", "name": "/foo"}), Reason.OPERATION),
    ("no operation", change(detail={"name": "/foo"}), Reason.OPERATION),
    ("an operation that is a list", change(detail={"operation": [], "name": "/foo"}), Reason.OPERATION),
    ("no name", change(detail={"operation": "Update"}), Reason.NAME),
    ("an empty name", change(detail={"operation": "Update", "name": ""}), Reason.NAME),
    ("a name with a blank", change(detail={"operation": "Update", "name": "/a b"}), Reason.NAME),
    ("a name that is an ARN", ["arn:aws:ssm:us-east-1:123456789012:parameter/a"], Reason.NAME),
    ("a name with an escape", ["/a\x1b[2J"], Reason.NAME),
    ("a name longer than any", ["/" + "a" * 1011], Reason.NAME),
    ("no account", change(account=None), Reason.SHAPE),
    ("an account that is a number", change(account=123456789012), Reason.SHAPE),
    ("no region", change(region=""), Reason.SHAPE),
    ("more names than one event has", ["/a"] * (MOST_NAMES + 1), Reason.SIZE),
    ("a dispatch without a payload", {"action": "x", "client_payload": None}, Reason.SHAPE),
    ("a dispatch of something else", {"client_payload": {"ref": "main"}}, Reason.NAME),
    ("half an origin", {"client_payload": {"name": "/a", "region": "us-east-1"}}, Reason.SHAPE),
    ("envelopes without end", {"Type": "Notification", "Message": None}, Reason.SHAPE),
]  # fmt: skip


@pytest.mark.parametrize(("document", "reason"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_what_makes_no_sense_is_rejected_with_a_reason(document: Any, reason: Reason) -> None:
    news = news_of(document)
    assert isinstance(news, Rejected)
    assert news.reason is reason


@pytest.mark.parametrize(
    "record",
    [
        None,
        "text",
        {},
        {"messageId": "1", "body": None},
        {"messageId": "1", "body": ""},
        {"messageId": "1", "body": "{"},
        {"messageId": "1", "body": "[" * 100_000},
        {"messageId": "1", "body": "not a name!"},
        {"messageId": "1", "body": "x" * 2_000_000},
        {"messageId": ["1"], "body": "{}", "attributes": {"ApproximateReceiveCount": "many"}},
    ],
)
def test_a_poison_message_is_rejected_and_the_next_one_is_read(record: Any) -> None:
    messages = batch({"Records": [record, {"messageId": "2", "body": "/foo"}]})
    assert isinstance(messages[0].news, Rejected)
    assert messages[1].news == Names(("/foo",))


def test_envelopes_in_envelopes_come_to_an_end() -> None:
    inner: dict[str, Any] = change()
    for _ in range(50):
        inner = {"client_payload": {"event": inner}}
    assert isinstance(news_of(inner), Rejected)


def test_a_rejection_repeats_nothing_of_what_it_rejects() -> None:
    for document in (["hunter2 is my password"], change(detail={"operation": "hunter2", "name": "/a"})):
        assert "hunter2" not in str(news_of(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["Records", "body", "Sns", "Message", "Type", "detail", "detail-type", "source",
                         "client_payload", "event", "name", "names", "operation", "account", "region", "time",
                         "attributes", "messageId"]) | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_no_document_breaks_the_reader(document: Any) -> None:
    for message in batch(document):
        assert isinstance(message.news, Names | Full | Rejected)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert read(text)
