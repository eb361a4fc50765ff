"""Whatever arrives is understood, or rejected with a reason; nothing raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.event.events import (
    LONGEST_TEXT,
    MOST_NAMES,
    Content,
    EventOrigin,
    FullRun,
    Message,
    Names,
    Operation,
    Reason,
    Rejected,
    Watch,
    read_content,
    read_document,
    read_request,
    read_text,
)

HERE = EventOrigin("123456789012", "us-east-1")
AT = datetime(2017, 5, 22, 16, 43, 48, tzinfo=UTC)


def content_of(document: Any) -> Content:
    """Return the content of a document that has just one."""
    (content,) = read_content(document)
    return content


def change(**more: Any) -> dict[str, Any]:
    """The example of the user guide, "Monitoring Systems Manager events"."""
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


def tag_change(**more: Any) -> dict[str, Any]:
    """An event of `aws.tag` as the tag editor user guide shows it."""
    detail = {
        "changed-tag-keys": ["skip_sync"], "service": "ssm", "resource-type": "parameter", "version": 3,
        "tags": {"skip_sync": "true"},
    }  # fmt: skip
    return change(**{"detail-type": "Tag Change on Resource", "source": "aws.tag", "detail": detail, **more})


def tag_call(**more: Any) -> dict[str, Any]:
    """A call that changes tags, as CloudTrail hands it to EventBridge."""
    detail = {
        "eventSource": "ssm.amazonaws.com", "eventName": "AddTagsToResource", "awsRegion": "us-east-1",
        "requestParameters": {"resourceType": "Parameter", "resourceId": "/foo", "tags": []},
    }  # fmt: skip
    return change(**{"detail-type": "AWS API Call via CloudTrail", "detail": detail | more})


class TestUnderstood:
    @pytest.mark.parametrize("word", ["Create", "Update", "Delete", "LabelParameterVersion"])
    def test_a_change_has_a_name_and_an_operation(self, word: str) -> None:
        content = content_of(change(detail={"operation": word, "name": "/foo", "type": "String"}))
        assert content == Names(("/foo",), Operation(word), HERE, AT)

    def test_a_policy_action_has_hyphens_in_its_keys(self) -> None:
        assert content_of(policy_action()) == Names(("/foo",), Operation.POLICY, HERE, AT)

    @pytest.mark.parametrize("source", ["aws.events", "aws.scheduler"])
    def test_a_scheduled_event_is_a_full_run(self, source: str) -> None:
        assert content_of({"detail-type": "Scheduled Event", "source": source, "detail": {}}) == FullRun()

    def test_the_seed_queued_bare_names(self) -> None:
        records = {"Records": [{"messageId": "1", "body": "/foo", "eventSource": "aws:sqs"}]}
        assert read_document(records) == [Message(Names(("/foo",)), "1")]

    def test_a_record_of_a_queue_keeps_its_identifier_and_receipt(self) -> None:
        record = {
            "messageId": "m",
            "receiptHandle": "r",
            "body": json.dumps(change()),
            "attributes": {"ApproximateReceiveCount": "3"},
        }
        assert read_document({"Records": [record]}) == [Message(content_of(change()), "m", "r", 3)]

    def test_a_topic_may_wrap_an_event(self) -> None:
        wrapped = {"Type": "Notification", "Message": json.dumps(change())}
        assert content_of(wrapped) == content_of(change())
        assert read_document({"Records": [{"messageId": "1", "body": json.dumps(wrapped)}]})[
            0
        ].content == content_of(change())
        assert read_document({"Records": [{"Sns": {"Message": json.dumps(change())}}]})[
            0
        ].content == content_of(change())

    def test_a_dispatch_has_a_name_and_an_operation(self) -> None:
        payload = {
            "name": "/foo", "operation": "Delete", "account": "123456789012", "region": "us-east-1",
            "time": "2017-05-22T16:43:48Z",
        }  # fmt: skip
        document = {"action": "ssm-parameter-change", "branch": "main", "client_payload": payload}
        assert content_of(document) == Names(("/foo",), Operation.DELETE, HERE, AT)

    @pytest.mark.parametrize("envelope", [lambda one: one, lambda one: {"client_payload": {"event": one}}])
    def test_the_mark_of_a_whole_run_of_earlier_versions_is_ignored(
        self, envelope: Callable[[Any], Any]
    ) -> None:
        assert content_of(envelope({"names": ["/foo"], "judged": True})) == Names(("/foo",))

    def test_a_part_of_an_event_is_read_as_the_same_event(self) -> None:
        event = content_of(change())
        assert isinstance(event, Names)
        assert content_of(event.document(["/b", "/c"])) == replace(event, names=("/b", "/c"))
        bare = Names(("/a",))
        assert content_of(bare.document(bare.names)) == bare

    def test_a_record_has_its_body_and_the_time_at_which_it_was_sent(self) -> None:
        record = {"messageId": "m", "body": "/a", "attributes": {"SentTimestamp": "1795928400123"}}
        (message,) = read_document({"Records": [record]})
        assert message.body == "/a"
        assert message.sent == datetime(2026, 11, 29, 5, 0, 0, 123000, tzinfo=UTC)
        (message,) = read_document({"Records": [{"messageId": "m", "body": "/a", "attributes": None}]})
        assert message.sent is None

    @pytest.mark.parametrize("text", ["/foo", json.dumps({"name": "/foo"})])
    def test_a_byte_order_mark_is_ignored(self, text: str) -> None:
        assert [message.content for message in read_text("\ufeff" + text)] == [Names(("/foo",))]

    def test_each_name_is_read_once_in_order(self) -> None:
        assert content_of(["/b", "/a", "/b"]) == Names(("/b", "/a"))
        assert read_text("/b\n/a\n") == [Message(Names(("/b", "/a")))]

    def test_an_event_with_an_invalid_time_is_read_without_it(self) -> None:
        content = content_of(change(time="yesterday"))
        assert isinstance(content, Names)
        assert content.at is None


class TestTags:
    def test_a_change_of_tags_names_its_parameter(self) -> None:
        assert content_of(tag_change()) == Names(("/foo",), Operation.TAGS, HERE, AT)

    @pytest.mark.parametrize("name", ["AddTagsToResource", "RemoveTagsFromResource"])
    def test_a_recorded_tag_call_names_its_parameter(self, name: str) -> None:
        assert content_of(tag_call(eventName=name)) == Names(("/foo",), Operation.TAGS, HERE, AT)

    def test_a_recorded_tag_call_may_name_an_arn(self) -> None:
        arn = "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"
        asked = {"resourceType": "Parameter", "resourceId": arn}
        assert content_of(tag_call(requestParameters=asked)) == Names(("/a/b",), Operation.TAGS, HERE, AT)


class TestLists:
    def test_pipes_deliver_a_bare_list_of_records(self) -> None:
        records = [
            {"messageId": "1", "receiptHandle": "r", "body": json.dumps(change()), "eventSource": "aws:sqs"},
            {"messageId": "2", "body": "/bar", "eventSource": "aws:sqs"},
        ]
        assert read_document(records) == read_document({"Records": records})
        assert [message.identifier for message in read_document(records)] == ["1", "2"]

    def test_a_list_may_hold_whole_events(self) -> None:
        events = [change(), tag_change(), {"detail-type": "Scheduled Event", "source": "aws.events"}]
        wanted = [Message(content_of(one)) for one in events]
        assert read_document(events) == wanted
        assert read_text(json.dumps(events)) == wanted

    def test_a_body_may_hold_a_list_of_events(self) -> None:
        found = read_document([{"messageId": "1", "body": json.dumps([change(), tag_change(), "/bar"])}])
        assert [message.identifier for message in found] == ["1", "1", "1"]
        assert [message.content for message in found] == [
            content_of(change()), content_of(tag_change()), Names(("/bar",)),
        ]  # fmt: skip

    def test_a_list_of_names_inside_a_list_of_events_is_rejected(self) -> None:
        events = [change(), ["/bar", "/baz"]]
        wanted = [content_of(change()), Rejected(Reason.NAME, "entry 1 of 1")]
        assert [message.content for message in read_document(events)] == wanted
        assert [message.content for message in read_document([{"body": json.dumps(events)}])] == wanted

    @pytest.mark.parametrize(
        "body",
        [
            "/a\n/b\n",
            "\ufeff" + json.dumps(["/a", "/b"]),
            json.dumps({"Records": [{"messageId": "2", "body": "/a\n/b"}]}),
            json.dumps([{"messageId": "2", "body": json.dumps(["/a", "/b"])}]),
        ],
    )
    def test_a_body_may_hold_whatever_a_file_may_hold(self, body: str) -> None:
        assert read_document({"Records": [{"messageId": "1", "body": body}]}) == [
            Message(Names(("/a", "/b")), "1")
        ]

    def test_batches_within_batches_end_at_the_depth_of_real_envelopes(self) -> None:
        body = "/a"
        for _ in range(9):
            body = json.dumps([{"messageId": "2", "body": body}])
        found = read_document([{"messageId": "1", "body": body}])
        assert [type(message.content) for message in found] == [Rejected]

    def test_an_arn_has_its_own_place(self) -> None:
        arns = [
            "arn:aws:ssm:us-east-1:123456789012:parameter/a",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/b",
        ]
        assert read_content([*arns, "/c"]) == [
            Names(("/a",), origin=HERE),
            Names(("/b",), origin=EventOrigin("123456789012", "eu-west-1")),
            Names(("/c",)),
        ]
        body = {"messageId": "1", "body": arns[0]}
        assert read_document({"Records": [body]}) == [Message(Names(("/a",), origin=HERE), "1")]

    def test_one_bad_name_is_named_and_stops_no_other(self) -> None:
        found = read_content({"names": ["/a", "/b c", 7, "/d"]})
        assert found[0] == Names(("/a", "/d"))
        assert [str(one) for one in found[1:]] == [
            'no parameter name: "/b c" (entry 2 of 4)', "no parameter name: entry 3 of 4",
        ]  # fmt: skip

    def test_one_bad_line_is_named_and_stops_no_other(self) -> None:
        found = [message.content for message in read_text("/a\n/b c\n\n/d\n")]
        assert found[0] == Names(("/a", "/d"))
        assert [str(one) for one in found[1:]] == ['no parameter name: "/b c" (entry 2 of 3)']

    def test_of_ten_bad_names_each_is_named(self) -> None:
        found = read_content(["/a", *["/b c"] * 10])
        assert [str(one) for one in found[1:]] == [
            f'no parameter name: "/b c" (entry {number} of 11)' for number in range(2, 12)
        ]

    def test_of_many_bad_names_the_first_are_named_and_the_rest_is_counted(self) -> None:
        found = read_content(["/a", *["/b c"] * 30])
        assert len(found) == 12
        assert str(found[-1]) == "no parameter name: 20 more entries"


BAD: list[tuple[str, Any, Reason]] = [
    ("nothing", None, Reason.SHAPE),
    ("a number", 7, Reason.SHAPE),
    ("an empty object", {}, Reason.SHAPE),
    ("an empty list", [], Reason.NAME),
    ("a list of numbers", [1, 2], Reason.NAME),
    ("another service's event", change(source="aws.ec2"), Reason.SHAPE),
    ("an event of another application", change(source="my.app"), Reason.SHAPE),
    ("another event of Systems Manager", change(**{"detail-type": "Automation Execution"}), Reason.SHAPE),
    ("a schedule of another source", {"detail-type": "Scheduled Event", "source": "me"}, Reason.SHAPE),
    ("an event without detail", change(detail=None), Reason.SHAPE),
    ("an unknown operation", change(detail={"operation": "Move", "name": "/foo"}), Reason.OPERATION),
    ("no operation", change(detail={"name": "/foo"}), Reason.OPERATION),
    ("an operation that is a list", change(detail={"operation": [], "name": "/foo"}), Reason.OPERATION),
    ("no name", change(detail={"operation": "Update"}), Reason.NAME),
    ("an empty name", change(detail={"operation": "Update", "name": ""}), Reason.NAME),
    ("a name with a blank", change(detail={"operation": "Update", "name": "/a b"}), Reason.NAME),
    ("the ARN of something else", ["arn:aws:ssm:us-east-1:123456789012:document/a"], Reason.NAME),
    ("an ARN with a version", ["arn:aws:ssm:us-east-1:123456789012:parameter/a:3"], Reason.NAME),
    ("an ARN of another place than its event", {
        "name": "arn:aws:ssm:eu-west-1:123456789012:parameter/a",
        "account": "123456789012", "region": "us-east-1",
    }, Reason.SHAPE),
    ("tags of another resource", tag_change(resources=["arn:aws:s3:::bucket"]), Reason.RESOURCE),
    ("tags of nothing", tag_change(resources=None), Reason.RESOURCE),
    ("another event about tags", tag_change(**{"detail-type": "Something Else"}), Reason.OPERATION),
    ("a tag call that failed", tag_call(errorCode="AccessDenied"), Reason.CALL),
    ("another call of Systems Manager", tag_call(eventName="PutParameter"), Reason.OPERATION),
    ("a call of another service", tag_call(eventSource="ec2.amazonaws.com"), Reason.OPERATION),
    ("a tag call without parameters", tag_call(requestParameters=None), Reason.RESOURCE),
    ("a tag call on a document", tag_call(
        requestParameters={"resourceType": "Document", "resourceId": "/foo"}
    ), Reason.RESOURCE),
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
def test_an_unknown_document_is_rejected_with_a_reason(document: Any, reason: Reason) -> None:
    content = content_of(document)
    assert isinstance(content, Rejected)
    assert content.reason is reason


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
    messages = read_document({"Records": [record, {"messageId": "2", "body": "/foo"}]})
    assert isinstance(messages[0].content, Rejected)
    assert messages[1].content == Names(("/foo",))


def test_nested_envelopes_are_limited() -> None:
    inner: dict[str, Any] = change()
    for _ in range(50):
        inner = {"client_payload": {"event": inner}}
    assert isinstance(content_of(inner), Rejected)


def test_a_rejection_repeats_nothing_of_what_it_rejects() -> None:
    for document in (["hunter2 is my password"], change(detail={"operation": "hunter2", "name": "/a"})):
        assert "hunter2" not in str(content_of(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["Records", "body", "Sns", "Message", "Type", "detail", "detail-type", "source",
                         "client_payload", "event", "name", "names", "operation", "account", "region", "time",
                         "attributes", "messageId"]) | st.text(max_size=5), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.large
@given(JSON)
def test_no_document_breaks_the_reader(document: Any) -> None:
    for message in read_document(document):
        assert isinstance(message.content, Names | FullRun | Rejected)


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert read_text(text)


def test_an_unknown_operation_is_rejected_with_the_name() -> None:
    event = change(detail={"operation": "UnlabelParameterVersion", "name": "/foo"})
    assert content_of(event) == Rejected(Reason.OPERATION, "for /foo")
    assert content_of(change(detail={"operation": "x", "name": "not a name!"})) == Rejected(Reason.OPERATION)


class TestRequestsOfTheStack:
    def test_the_state_machine_names_its_execution_and_the_slice(self) -> None:
        assert read_request({"whole_run": {"execution": "arn:x", "slice": 3}}) == FullRun("arn:x", 3)

    @pytest.mark.parametrize("number", [0, -1, "2", None])
    def test_a_slice_without_a_number_is_the_first(self, number: object) -> None:
        assert read_request({"whole_run": {"execution": "x", "slice": number}}) == FullRun("x", 1)

    def test_the_watch_asks_for_the_age_of_the_last_whole_run(self) -> None:
        assert read_request({"watch": "whole-run"}) == Watch()

    @pytest.mark.parametrize(
        "document",
        [change(), {"watch": "x"}, {"whole_run": {}}, {"whole_run": "x"}, [], "x", None, {"Records": []}],
    )
    def test_other_documents_are_events(self, document: object) -> None:
        assert read_request(document) is None

    def test_a_message_of_the_queue_cannot_ask_for_them(self) -> None:
        body = json.dumps({"whole_run": {"execution": "x", "slice": 1}})
        (message,) = read_document({"Records": [{"messageId": "1", "body": body}]})
        assert isinstance(message.content, Rejected)


class TestOwnTags:
    def test_a_change_of_our_own_tags_only_is_rejected(self) -> None:
        keys = ["ssm-reconcile:owner", "ssm-reconcile:record"]
        event = tag_change(detail={"changed-tag-keys": keys})
        assert content_of(event) == Rejected(Reason.OWN_TAGS)
        assert Reason.OWN_TAGS.is_understood

    @pytest.mark.parametrize("keys", [["ssm-reconcile:owner", "team"], ["team"], [], None, "x", [1]])
    def test_any_other_change_of_tags_is_read(self, keys: object) -> None:
        assert isinstance(content_of(tag_change(detail={"changed-tag-keys": keys})), Names)

    @pytest.mark.parametrize(
        ("tags", "is_read"),
        [
            ({"tags": [{"key": "ssm-reconcile:owner", "value": "x"}]}, False),
            ({"tags": [{"key": "ssm-reconcile:owner"}, {"key": "team"}]}, True),
            ({"tagKeys": ["ssm-reconcile:record"]}, False),
            ({"tagKeys": ["team"]}, True),
            ({"tags": "x"}, True),
        ],
    )
    def test_a_recorded_call_with_our_own_tags_only_is_rejected(self, tags: Any, *, is_read: bool) -> None:
        event = tag_call()
        event["detail"]["requestParameters"] |= tags
        assert isinstance(content_of(event), Names if is_read else Rejected)


class TestLimits:
    def test_ten_thousand_records_keep_their_identifiers(self) -> None:
        records = [{"messageId": str(number), "body": "/foo"} for number in range(MOST_NAMES)]
        assert [one.identifier for one in read_document(records)] == [
            str(number) for number in range(MOST_NAMES)
        ]

    def test_more_events_than_that_are_rejected_as_one(self) -> None:
        (message,) = read_document([change()] * (MOST_NAMES + 1))
        assert message.content == Rejected(Reason.SIZE, "more than 10,000 events")

    @pytest.mark.parametrize(("count", "is_read"), [(MOST_NAMES, True), (MOST_NAMES + 1, False)])
    def test_a_batch_in_a_message_has_up_to_ten_thousand_records(self, count: int, *, is_read: bool) -> None:
        batch = [{"body": "/a"}] * count
        for body in (batch, {"Records": batch}):
            messages = read_document({"Records": [{"messageId": "1", "body": json.dumps(body)}]})
            assert len(messages) == (count if is_read else 1)
            assert isinstance(messages[0].content, Names if is_read else Rejected)

    def test_ten_thousand_names_are_read(self) -> None:
        names = tuple(f"/{number}" for number in range(MOST_NAMES))
        assert content_of(list(names)) == Names(names)

    def test_a_text_is_read_up_to_the_size_of_a_message(self) -> None:
        text = "/foo\n".ljust(LONGEST_TEXT)
        assert [one.content for one in read_text(text)] == [Names(("/foo",))]
        (message,) = read_text(text + " ")
        assert message.content == Rejected(Reason.SIZE, "more than 1,048,576 characters")

    @pytest.mark.parametrize(("envelopes", "is_read"), [(1, True), (2, True), (3, False)])
    def test_an_event_has_up_to_two_envelopes_in_its_message(self, envelopes: int, *, is_read: bool) -> None:
        body: Any = change()
        for _ in range(envelopes - 1):
            body = {"Type": "Notification", "Message": json.dumps(body)}
        (message,) = read_document({"Records": [{"messageId": "1", "body": json.dumps(body)}]})
        assert isinstance(message.content, Names if is_read else Rejected)

    def test_a_rejected_entry_is_cut(self) -> None:
        for length, end in ((80, ""), (81, "...")):
            _, rejected = read_document(["/foo", "!" * length])
            assert rejected.content == Rejected(Reason.NAME, f'"{"!" * 80}{end}" (entry 2 of 2)')


class TestTimesOfMessages:
    def test_the_receives_and_the_time_of_sending_are_read(self) -> None:
        attributes = {"ApproximateReceiveCount": "12", "SentTimestamp": "1764504000500"}
        record = {"messageId": "m", "receiptHandle": "r", "body": "/foo", "attributes": attributes}
        (message,) = read_document({"Records": [record]})
        assert (message.identifier, message.receipt, message.received, message.body) == ("m", "r", 12, "/foo")
        assert message.sent == datetime(2025, 11, 30, 12, 0, 0, 500_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        "attributes", [None, {}, {"ApproximateReceiveCount": "x", "SentTimestamp": "-1"}]
    )
    def test_without_them_it_is_a_first_receive_of_an_unknown_time(self, attributes: object) -> None:
        (message,) = read_document(
            {"Records": [{"messageId": "m", "body": "/foo", "attributes": attributes}]}
        )
        assert (message.received, message.sent) == (1, None)

    @pytest.mark.parametrize(
        ("time", "at"),
        [
            ("2026-11-30T12:00:00Z", datetime(2026, 11, 30, 12, tzinfo=UTC)),
            ("2026-11-30T12:00:00", datetime(2026, 11, 30, 12, tzinfo=UTC)),
            ("2026-11-30T12:00:00+02:00", datetime(2026, 11, 30, 10, tzinfo=UTC)),
            ("yesterday", None),
            (1764504000, None),
        ],
    )
    def test_the_time_of_an_event_is_in_utc_unless_it_has_an_offset(
        self, time: object, at: datetime | None
    ) -> None:
        content = content_of(change(time=time))
        assert isinstance(content, Names)
        assert content.at == at
