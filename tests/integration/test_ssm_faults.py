"""SSM on moto with faults on the wire: calls that are retried or not, and messages without text of AWS."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from botocore.parsers import ResponseParser

from ssm_reconcile.aws_limits import CALL_RATES, CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Key, KeyState, SealedText
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.ssm import Aws, SsmStore
from tests.doubles.clock import FakeClock
from tests.integration.faults import REGION, Wire, answer, aws, open_store, refusal

SECRET = "correct horse battery staple"
URL = "https://ssm.example"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def there(clock: FakeClock) -> Iterator[Aws]:
    with aws(clock=clock) as made:
        yield made


@pytest.fixture
def store(there: Aws) -> SsmStore:
    return open_store(there, rates=tuple((kind, 1e6) for kind in CALL_RATES))


def write(
    store: SsmStore, name: str = "/a", text: str = "v", *, overwrite: bool = False, tier: str = "Standard"
) -> int:
    return store.put(Put(name=name, text=SealedText(text), type="String", overwrite=overwrite, tier=tier))


def raising(error: Exception) -> Callable[[], AWSResponse]:
    def answered() -> AWSResponse:
        raise error

    return answered


FAULTS: dict[str, tuple[Callable[[], AWSResponse], Trouble]] = {
    "throttled": (lambda: refusal("ThrottlingException"), Trouble.THROTTLED),
    "one update at a time": (lambda: refusal("TooManyUpdates"), Trouble.THROTTLED),
    "http 429": (lambda: answer(429, "slow down"), Trouble.THROTTLED),
    "http 500": (lambda: refusal("InternalServerError", status=500), Trouble.LOST),
    "a proxy's 502": (lambda: answer(502, "<html>Bad Gateway</html>"), Trouble.LOST),
    "an unreadable response": (lambda: answer(200, '{"Version": '), Trouble.LOST),
    "connection closed": (raising(ConnectionClosedError(endpoint_url=URL)), Trouble.LOST),
    "read timeout": (raising(ReadTimeoutError(endpoint_url=URL)), Trouble.LOST),
    "connection reset": (raising(ConnectionResetError()), Trouble.LOST),
    "no server": (raising(EndpointConnectionError(endpoint_url=URL)), Trouble.UNREACHABLE),
    "denied": (lambda: refusal("AccessDeniedException"), Trouble.DENIED),
    "expired": (lambda: refusal("ExpiredTokenException"), Trouble.CREDENTIALS),
    "bad signature": (lambda: refusal("SignatureDoesNotMatch", status=403), Trouble.CREDENTIALS),
    "bad key": (lambda: refusal("InvalidKeyId"), Trouble.KEY),
    "type in place": (lambda: refusal("HierarchyTypeMismatchException"), Trouble.TYPE),
    "downgrade": (
        lambda: refusal("ValidationException", "You can't downgrade a parameter"),
        Trouble.DOWNGRADE,
    ),
    "invalid": (lambda: refusal("ValidationException"), Trouble.REFUSED),
}
ATTEMPTS = {Trouble.THROTTLED: 10, Trouble.LOST: 5, Trouble.UNREACHABLE: 3}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_is_one_request_whatever_comes_back(store: SsmStore, clock: FakeClock, fault: str) -> None:
    hook, kind = FAULTS[fault]
    wire = Wire(store._ssm, "PutParameter").answers(lambda _: hook())
    with pytest.raises(StoreError) as caught:
        write(store)
    assert (caught.value.kind, len(wire.bodies), clock.slept) == (kind, 1, [])
    assert (caught.value.place, caught.value.operation) == ("123456789012/us-east-1", "PutParameter")


@pytest.mark.parametrize("operation", ["AddTagsToResource", "RemoveTagsFromResource", "DeleteParameters"])
@pytest.mark.parametrize("fault", ["throttled", "http 500", "read timeout"])
def test_tags_and_deletes_are_one_request_too(store: SsmStore, operation: str, fault: str) -> None:
    hook, kind = FAULTS[fault]
    write(store)
    wire = Wire(store._ssm, operation).answers(lambda _: hook())
    calls: dict[str, Callable[[], object]] = {
        "AddTagsToResource": lambda: store.add_tags("/a", {"k": "v"}),
        "RemoveTagsFromResource": lambda: store.remove_tags("/a", ["k"]),
        "DeleteParameters": lambda: store.delete(["/a"]),
    }
    with pytest.raises(StoreError) as caught:
        calls[operation]()
    assert (caught.value.kind, len(wire.bodies)) == (kind, 1)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_read_is_repeated_as_long_as_the_trouble_may_pass(store: SsmStore, fault: str) -> None:
    hook, kind = FAULTS[fault]
    wire = Wire(store._ssm, "DescribeParameters").answers(lambda _: hook())
    with pytest.raises(StoreError) as caught:
        list(store.describe())
    assert caught.value.kind is kind
    assert len(wire.bodies) == ATTEMPTS.get(kind, 1)


def test_pauses_grow_up_to_twenty_seconds(store: SsmStore, clock: FakeClock) -> None:
    wire = Wire(store._ssm, "ListTagsForResource").answers(lambda _: refusal("ThrottlingException"))
    with pytest.raises(StoreError):
        store.tags("/a/b")
    assert len(wire.bodies) == 10
    pauses = [slept for slept in clock.slept if slept >= 0.5]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 20, 20, 20]


def test_a_read_survives_what_passes(store: SsmStore) -> None:
    write(store)
    passing = [FAULTS[name][0] for name in ("throttled", "http 500", "connection closed", "no server")]
    wire = Wire(store._ssm, "GetParameters").answers_once_each(*passing[:2])
    assert set(store.values(["/a"], decrypt=True).found) == {"/a"}
    assert len(wire.bodies) == 3
    tagging = store._clients.tagging
    wire = Wire(tagging, "GetResources").answers_once_each(lambda: refusal("ThrottledException"))
    assert list(store.tagged()) == [{}]
    assert len(wire.bodies) == 2


UNANSWERED = ("no server", "read timeout", "connection closed", "connection reset")


@pytest.mark.parametrize("fault", UNANSWERED)
def test_a_tagging_endpoint_that_never_answers_is_given_up_after_two_tries(
    store: SsmStore, clock: FakeClock, fault: str
) -> None:
    hook, _ = FAULTS[fault]
    wire = Wire(store._clients.tagging, "GetResources").answers(lambda _: hook())
    for listing in (store.tagged(), store.tagged()):
        with pytest.raises(StoreError) as caught:
            list(listing)
        assert (caught.value.kind, caught.value.operation) == (Trouble.UNREACHABLE, "GetResources")
        assert_silent(caught.value)
    assert len(wire.bodies) == 2, "the second listing of the run does not try again"
    assert clock.slept == [0.5]


def test_an_error_that_the_tagging_service_answers_is_not_taken_for_an_unreachable_endpoint(
    store: SsmStore,
) -> None:
    wire = Wire(store._clients.tagging, "GetResources").answers(
        lambda _: refusal("InternalServiceException", status=500)
    )
    with pytest.raises(StoreError) as caught:
        list(store.tagged())
    assert (caught.value.kind, len(wire.bodies)) == (Trouble.LOST, 5)
    wire.answers(lambda _: None)
    assert list(store.tagged()) == [{}]


def test_the_tagging_endpoint_has_short_limits_and_no_other_endpoint_has(store: SsmStore) -> None:
    def limits(client: Any) -> tuple[float, float]:
        return client.meta.config.connect_timeout, client.meta.config.read_timeout

    assert limits(store._clients.tagging) == (3, 15)
    assert limits(store._ssm) == (5, 30)


def test_each_attempt_of_a_read_takes_a_turn(there: Aws, clock: FakeClock) -> None:
    store = open_store(there, rates=(("list_tags", 0.01),))
    Wire(store._ssm, "ListTagsForResource").answers_once_each(FAULTS["http 500"][0])
    store.tags("/a/b")
    assert clock.monotonic() == pytest.approx(100)


def test_a_throttled_write_slows_all_that_follow(there: Aws) -> None:
    store = open_store(there, rates=(("put", 4.0),))
    Wire(store._ssm, "PutParameter").answers_once_each(FAULTS["one update at a time"][0])
    with pytest.raises(StoreError):
        write(store)
    assert store._calls.rates[CallClass.PUT].rate == pytest.approx(4 * 0.7, rel=0.05)
    assert store._calls.rates[CallClass.GET].rate == CALL_RATES[CallClass.GET]


# Listings


def item(name: str) -> dict[str, object]:
    return {"Name": name, "Type": "String", "Version": 1, "LastModifiedDate": 1.7e9}


def page(names: str = "", token: str | None = None) -> Callable[[], AWSResponse]:
    body: dict[str, object] = {"Parameters": [item(f"/{name}") for name in names]}
    return lambda: answer(200, body if token is None else {**body, "NextToken": token})


def test_a_listing_is_read_without_a_walk_along_the_service_model(
    store: SsmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    walked: Counter[str] = Counter()
    walk: Any = ResponseParser.__dict__["_parse_shape"]

    def count(parser: ResponseParser, shape: Any, node: Any) -> Any:
        walked["shapes"] += 1
        return walk(parser, shape, node)

    monkeypatch.setattr(ResponseParser, "_parse_shape", count)
    described = [item(f"/p/{number}") for number in range(50)]
    Wire(store._ssm, "DescribeParameters").answers(lambda _: answer(200, {"Parameters": described}))
    mapped = [{"ResourceARN": store.place.arn(f"/p/{number}"), "Tags": []} for number in range(50)]
    Wire(store._clients.tagging, "GetResources").answers(
        lambda _: answer(200, {"ResourceTagMappingList": mapped})
    )
    assert [len(page) for page in store.describe()] == [50]
    assert [len(page) for page in store.tagged()] == [50]
    assert walked["shapes"] <= 4, "two responses of no field, instead of hundreds of fields"


def test_fields_that_are_null_count_as_absent(store: SsmStore) -> None:
    nulls = dict.fromkeys(("Description", "AllowedPattern", "Policies", "Tier", "DataType", "KeyId"))
    Wire(store._ssm, "DescribeParameters").answers(
        lambda _: answer(200, {"Parameters": [{**item("/a"), **nulls}], "NextToken": None})
    )
    Wire(store._ssm, "ListTagsForResource").answers(
        lambda _: answer(200, {"TagList": [{"Key": "a", "Value": None}]})
    )
    ((found,),) = store.describe()
    assert (found.description, found.policies, found.tier, found.data_type) == ("", (), "Standard", "text")
    assert store.tags("/a") == {"a": ""}


@pytest.mark.parametrize(
    "body", ["", "[]", "null", "1", '{"Parameters": 1}', '{"Parameters": [1]}', "<html>"]
)
def test_a_response_that_is_not_a_listing_is_an_error_and_not_an_empty_place(
    store: SsmStore, body: str
) -> None:
    Wire(store._ssm, "DescribeParameters").answers(lambda _: answer(200, body))
    with pytest.raises(StoreError) as caught:
        list(store.describe())
    assert_silent(caught.value)


def test_only_a_missing_token_ends_a_listing(store: SsmStore) -> None:
    wire = Wire(store._ssm, "DescribeParameters")
    wire.answers_once_each(page("", "1"), page("a", "2"), page("", "3"), page("bc"))
    assert [[one.name for one in found] for found in store.describe()] == [[], ["/a"], [], ["/b", "/c"]]
    assert [body.get("NextToken") for body in wire.bodies] == [None, "1", "2", "3"]
    assert {body["MaxResults"] for body in wire.bodies} == {50}


def test_a_listing_whose_token_expires_starts_again(store: SsmStore) -> None:
    wire = Wire(store._ssm, "DescribeParameters")
    wire.answers_once_each(
        page("a", "1"), lambda: refusal("InvalidNextToken"), page("a", "2"), page("b"),
    )  # fmt: skip
    assert [one.name for found in store.describe() for one in found] == ["/a", "/a", "/b"]
    assert [body.get("NextToken") for body in wire.bodies] == [None, "1", None, "2"]


def test_a_listing_starts_again_once_only(store: SsmStore) -> None:
    wire = Wire(store._ssm, "DescribeParameters")
    wire.answers(lambda body: refusal("InvalidNextToken") if "NextToken" in body else page("a", "1")())
    with pytest.raises(StoreError) as caught:
        list(store.describe())
    assert (caught.value.kind, len(wire.bodies)) == (Trouble.TOKEN, 4)


def test_tokens_that_lead_in_a_circle_end_in_an_error(store: SsmStore) -> None:
    circle = {None: "1", "1": "2", "2": "1"}
    wire = Wire(store._ssm, "DescribeParameters")
    wire.answers(lambda body: page("a", circle[body.get("NextToken")])())
    with pytest.raises(StoreError) as caught:
        list(store.describe())
    assert (caught.value.kind, caught.value.code, len(wire.bodies)) == (Trouble.TOKEN, "RepeatedToken", 6)


def test_a_listing_of_tags_starts_again_when_its_token_expires(store: SsmStore) -> None:
    def tagged(name: str, token: str) -> Callable[[], AWSResponse]:
        arn = f"arn:aws:ssm:{REGION}:123456789012:parameter/{name}"
        listed = [{"ResourceARN": arn, "Tags": [{"Key": "k", "Value": name}]}]
        return lambda: answer(200, {"ResourceTagMappingList": listed, "PaginationToken": token})

    wire = Wire(store._clients.tagging, "GetResources")
    wire.answers_once_each(
        tagged("a", "1"),
        lambda: refusal("PaginationTokenExpiredException"),
        tagged("a", "2"),
        tagged("x/b", ""),
    )
    assert [dict(found) for found in store.tagged()] == [
        {"/a": {"k": "a"}},
        {"/a": {"k": "a"}},
        {"/x/b": {"k": "x/b"}},
    ]


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "{}", '{"Parameters": [', "null"])
def test_an_unreadable_response_is_never_an_empty_place(store: SsmStore, body: str) -> None:
    calls: dict[str, tuple[Any, Callable[[], object]]] = {
        "DescribeParameters": (store._ssm, lambda: list(store.describe())),
        "GetResources": (store._clients.tagging, lambda: list(store.tagged())),
        "ListTagsForResource": (store._ssm, lambda: store.tags("/a/b")),
        "ListAliases": (store._keys._kms, lambda: store.keys(["alias/app"])),
        "DeleteParameters": (store._ssm, lambda: store.delete(["/a"])),
    }
    for operation, (client, call) in calls.items():
        Wire(client, operation).answers(lambda _: answer(200, body))
        with pytest.raises(StoreError) as caught:
            call()
        assert (caught.value.kind, caught.value.operation) == (Trouble.LOST, operation)


# Values


def poisoned(code: str, message: str, *names: str) -> Callable[[dict[str, Any]], AWSResponse | None]:
    return lambda body: refusal(code, message) if set(names) & set(body["Names"]) else None


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("InvalidKeyId", "the key is disabled", Trouble.KEY),
        ("AccessDeniedException", "not authorized to perform: kms:Decrypt (Service: AWSKMS)", Trouble.DENIED),
        ("AccessDeniedException", "not authorized to perform: ssm:GetParameters", Trouble.DENIED),
        ("ValidationException", "odd name", Trouble.REFUSED),
    ],
)
def test_one_bad_name_does_not_fail_its_batch(
    store: SsmStore, code: str, message: str, kind: Trouble
) -> None:
    names = [f"/p/{n}" for n in range(25)]
    for name in names[:24]:
        write(store, name)
    wire = Wire(store._ssm, "GetParameters").answers(poisoned(code, message, "/p/3", "/p/17"))
    answers = store.values(names, decrypt=True)
    assert set(answers.found) == set(names[:24]) - {"/p/3", "/p/17"}
    assert {name: failure.kind for name, failure in answers.failed.items()} == {"/p/3": kind, "/p/17": kind}
    assert answers.missing == {"/p/24"}
    assert len(wire.bodies) == 3 + 20


def test_a_version_that_is_not_there_is_missing(store: SsmStore) -> None:
    write(store)
    Wire(store._ssm, "GetParameters").answers(poisoned("ParameterVersionNotFound", "", "/a:7"))
    answers = store.values(["/a:7"], decrypt=True)
    assert answers.missing == {"/a:7"}
    assert not answers.failed


def test_a_name_that_aws_leaves_out_of_its_answer_is_not_taken_for_missing(store: SsmStore) -> None:
    Wire(store._ssm, "GetParameters").answers(
        lambda _: answer(200, {"Parameters": [], "InvalidParameters": []})
    )
    answers = store.values(["/a/b"], decrypt=True)
    assert (answers.missing, answers.failed["/a/b"].kind) == (frozenset(), Trouble.LOST)


@pytest.mark.parametrize("fault", ["expired", "no server"])
def test_trouble_of_the_place_stops_the_reading(store: SsmStore, fault: str) -> None:
    hook, kind = FAULTS[fault]
    Wire(store._ssm, "GetParameters").answers(lambda _: hook())
    with pytest.raises(StoreError) as caught:
        store.values([f"/p/{n}" for n in range(50)], decrypt=True)
    assert caught.value.kind is kind


def test_two_batches_that_are_never_answered_fail_alone(store: SsmStore) -> None:
    names = [f"/p/{n}" for n in range(30)]
    for name in names:
        write(store, name)
    hook, _ = FAULTS["http 500"]
    Wire(store._ssm, "GetParameters").answers(
        lambda body: hook() if {"/p/3", "/p/13"} & {*body["Names"]} else None
    )
    answers = store.values(names, decrypt=True)
    assert (set(answers.found), set(answers.failed)) == (set(names[20:]), set(names[:20]))


def test_a_place_that_never_answers_is_given_up(store: SsmStore) -> None:
    hook, _ = FAULTS["http 500"]
    wire = Wire(store._ssm, "GetParameters").answers(lambda _: hook())
    with pytest.raises(StoreError) as caught:
        store.values([f"/p/{n}" for n in range(1000)], decrypt=True)
    assert caught.value.kind is Trouble.LOST
    assert len(wire.bodies) < 150


# Keys


def test_without_permission_to_list_aliases_they_are_asked_one_by_one(store: SsmStore) -> None:
    kms = store._keys._kms
    made = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=made["KeyId"])
    Wire(kms, "ListAliases").answers(lambda _: refusal("AccessDeniedException"))
    found = store.keys(["alias/app", "alias/absent"])
    assert found["alias/app"].identity == made["Arn"]
    assert found["alias/absent"].state is KeyState.MISSING


def test_without_permission_to_list_aliases_a_key_of_aws_can_only_be_that_of_ssm(store: SsmStore) -> None:
    kms = store._keys._kms
    Wire(kms, "ListAliases").answers(lambda _: refusal("AccessDeniedException"))
    Wire(kms, "DescribeKey").answers(
        lambda _: answer(200, {"KeyMetadata": {"KeyId": "1", "KeyManager": "AWS"}})
    )
    assert store.keys(["1"])["1"] == Key("alias/aws/ssm", managed=True)


def test_an_alias_that_is_called_like_a_multi_region_key_is_none(store: SsmStore) -> None:
    """Without permission only an ARN identifies a key; an alias has no ARN to derive the replica's from."""
    kms = store._keys._kms
    for operation in ("ListAliases", "DescribeKey"):
        Wire(kms, operation).answers(lambda _: refusal("AccessDeniedException"))
    assert store.keys(["alias/mrk-app"])["alias/mrk-app"] == Key("alias/mrk-app", KeyState.UNKNOWN)


def test_a_key_that_may_not_be_described_is_identified_by_its_arn(store: SsmStore) -> None:
    kms = store._keys._kms
    made = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/app", TargetKeyId=made["KeyId"])
    Wire(kms, "DescribeKey").answers(lambda _: refusal("AccessDeniedException"))
    found = store.keys(["alias/app", made["KeyId"]])
    assert {(key.identity, key.state) for key in found.values()} == {(made["Arn"], KeyState.UNKNOWN)}


def test_other_trouble_with_kms_is_raised(store: SsmStore) -> None:
    Wire(store._keys._kms, "ListAliases").answers(lambda _: refusal("InternalFailure", status=500))
    with pytest.raises(StoreError) as caught:
        store.keys(["alias/app"])
    assert (caught.value.kind, caught.value.operation) == (Trouble.LOST, "ListAliases")


# Tiers


def test_a_place_that_is_full_says_how_many_there_are(store: SsmStore) -> None:
    write(store)
    list(store.describe())
    Wire(store._ssm, "PutParameter").answers(lambda _: refusal("ParameterLimitExceeded", SECRET))
    with pytest.raises(StoreError) as caught:
        write(store, "/b")
    assert "has 1 Standard and 0 Advanced parameters" in caught.value.remedy
    assert "10,000" in caught.value.remedy
    assert_silent(caught.value)


def test_a_partition_without_tiers_gets_a_write_without_a_tier(store: SsmStore) -> None:
    wire = Wire(store._ssm, "PutParameter")
    wire.answers(
        lambda body: refusal("ValidationException", "Tier is not supported") if "Tier" in body else None
    )
    write(store, overwrite=True)
    write(store, overwrite=True)
    assert ["Tier" in body for body in wire.bodies] == [True, False, False]


def test_a_partition_without_tiers_refuses_a_write_that_needs_advanced(store: SsmStore) -> None:
    wire = Wire(store._ssm, "PutParameter")
    wire.answers(
        lambda body: refusal("ValidationException", "Tier is not supported") if "Tier" in body else None
    )
    with pytest.raises(StoreError) as caught:
        write(store, overwrite=True, tier="Advanced")
    assert caught.value.kind is Trouble.REFUSED
    assert ["Tier" in body for body in wire.bodies] == [True]


# Opening a place


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials from anywhere, and no network to ask for some."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def refused(there: Aws, **access: Any) -> StoreError:
    with pytest.raises(StoreError) as caught:
        there.connect(Access(**{"region": REGION, **access}))
    assert caught.value.place == access.get("region", REGION)
    return caught.value


@pytest.mark.usefixtures("no_credentials")
def test_without_credentials_a_place_cannot_be_opened(clock: FakeClock) -> None:
    failure = refused(Aws(clock=clock))
    assert (failure.kind, failure.operation, failure.code) == (
        Trouble.CREDENTIALS, "GetCallerIdentity", "NoCredentialsError",
    )  # fmt: skip
    assert clock.slept == []


@pytest.mark.usefixtures("no_credentials")
def test_a_profile_that_is_not_there_is_named(clock: FakeClock) -> None:
    failure = refused(Aws("dr-admin", clock=clock))
    assert failure.kind is Trouble.CREDENTIALS
    assert "does not have the profile dr-admin" in str(failure)


def test_a_profile_without_credentials_is_named(
    no_credentials: None, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[profile empty]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_PROFILE", "empty")
    failure = refused(Aws(clock=clock))
    assert "there are no credentials in the profile empty" in str(failure)
    assert "aws sso login --profile empty" in failure.remedy


def test_an_endpoint_without_a_server_is_unreachable(
    monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    failure = refused(Aws(None, "http://127.0.0.1:1", clock=clock, jitter=lambda: 1.0))
    assert (failure.kind, failure.code) == (Trouble.UNREACHABLE, "EndpointConnectionError")
    assert "http://127.0.0.1:1 cannot be reached" in str(failure)
    assert clock.slept == [0.5, 1]


def test_an_endpoint_that_is_not_a_url_is_reported(there: Aws) -> None:
    there._clients.endpoint_url = "nonsense"
    assert refused(there).code == "InvalidEndpoint"


def test_an_unknown_region_is_reported(there: Aws) -> None:
    assert refused(there, region="us east").kind is Trouble.UNREACHABLE


# Roles


ROLE = "arn:aws:iam::210987654321:role/sync"
HOME, FAR = "us-east-1", "af-south-1"


def sts_refusal(code: str, message: str = SECRET) -> AWSResponse:
    content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return answer(403, f"<ErrorResponse>{content}</ErrorResponse>")


class Roles:
    """A place in an opt-in region that is reached by a role, and each STS that may be asked for it."""

    def __init__(self, there: Aws, **access: Any) -> None:
        self.access = Access(**{"region": FAR, "role_arn": ROLE, "sts_region": HOME, **access})
        self.there = there
        self.clients = there._clients.create(self.access)
        provider = self.clients.sts._request_signer._credentials._refresh_using.__self__  # type: ignore[attr-defined]  # botocore's own
        self.urls = [sts.meta.endpoint_url for sts in provider.endpoints]
        self.wires = [Wire(sts, "AssumeRole") for sts in provider.endpoints]

    def identify(self) -> str:
        return self.there._clients.identify(self.clients, self.access)[1]

    def failure(self) -> StoreError:
        with pytest.raises(StoreError) as caught:
            self.identify()
        assert_silent(caught.value)
        return caught.value

    def asked(self) -> list[int]:
        return [len(wire.bodies) for wire in self.wires]


@pytest.mark.parametrize("setting", ["legacy", "regional"])
def test_a_role_is_assumed_at_the_regional_sts_of_the_source(
    there: Aws, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", setting)
    roles = Roles(there, external_id="seven")
    assert roles.identify() == "arn:aws:sts::210987654321:assumed-role/sync/ssm-reconcile"
    assert roles.urls == [f"https://sts.{region}.amazonaws.com" for region in (HOME, FAR)]
    assert roles.asked() == [1, 0]
    assert "ExternalId=seven" in str(roles.wires[0].bodies[0]["raw"])


def test_a_source_with_a_role_asks_the_sts_of_its_own_region(there: Aws) -> None:
    roles = Roles(there, region=HOME, sts_region=None)
    assert roles.urls == [f"https://sts.{HOME}.amazonaws.com"]


@pytest.mark.parametrize(
    "hook",
    [
        lambda: sts_refusal("AccessDenied"),
        lambda: sts_refusal("RegionDisabledException"),
        raising(EndpointConnectionError(endpoint_url=URL)),
    ],
)
def test_sts_of_the_target_is_used_if_sts_of_the_source_refuses_the_role(
    there: Aws, hook: Callable[[], AWSResponse]
) -> None:
    roles = Roles(there)
    roles.wires[0].answers(lambda _: hook())
    assert ":assumed-role/sync/" in roles.identify()
    assert roles.asked() == [1, 1]


def test_a_role_that_no_sts_gives_is_named_with_its_trust_policy(there: Aws) -> None:
    roles = Roles(there)
    roles.wires[0].answers(lambda _: sts_refusal("AccessDenied"))
    roles.wires[1].answers(lambda _: sts_refusal("InvalidClientTokenId"))
    failure = roles.failure()
    assert (failure.kind, failure.operation, failure.place) == (Trouble.CREDENTIALS, "AssumeRole", HOME)
    assert failure.remedy.startswith(ROLE)
    assert "trust policy" in failure.remedy


def test_an_sts_that_answers_says_why_better_than_one_that_does_not(there: Aws) -> None:
    roles = Roles(there)
    roles.wires[0].answers(lambda _: raising(EndpointConnectionError(endpoint_url=URL))())
    roles.wires[1].answers(lambda _: sts_refusal("RegionDisabledException"))
    failure = roles.failure()
    assert failure.code == "RegionDisabledException"
    assert "trust policy" not in failure.remedy
    assert f"activate STS in {FAR}" in failure.remedy


def test_a_region_that_the_account_of_a_role_has_not_enabled_has_a_message_of_its_own(there: Aws) -> None:
    roles = Roles(there)
    Wire(roles.clients.sts, "GetCallerIdentity").answers(lambda _: sts_refusal("InvalidClientTokenId"))
    failure = roles.failure()
    assert (failure.operation, failure.code) == ("GetCallerIdentity", "InvalidClientTokenId")
    assert "has not enabled af-south-1" in str(failure)
    assert "aws account enable-region --region-name af-south-1" in failure.remedy
    assert "trust policy" not in failure.remedy


def test_an_unknown_key_in_a_region_that_is_always_enabled_is_not_blamed_on_the_region(there: Aws) -> None:
    roles = Roles(there, region="eu-west-1")
    Wire(roles.clients.sts, "GetCallerIdentity").answers(lambda _: sts_refusal("InvalidClientTokenId"))
    failure = roles.failure()
    assert "enable" not in f"{failure}{failure.remedy}"
    assert "AWS does not know the access key" in str(failure)


# Silence


def frames(trace: TracebackType | None) -> Iterator[str]:
    """The local variables of every frame that our own code added to a traceback."""
    while trace is not None:
        code = trace.tb_frame.f_code.co_filename
        if "ssm_reconcile" in code or "botocore" in code:
            yield repr(trace.tb_frame.f_locals)
        trace = trace.tb_next


def assert_silent(failure: StoreError) -> None:
    """No part of the error holds the secret, nor an exception that would."""
    said = [
        str(failure),
        repr(failure),
        repr(failure.args),
        repr(vars(failure)),
        *frames(failure.__traceback__),
    ]
    said += traceback.format_exception(failure)
    assert not [text for text in said if SECRET in text]
    assert failure.__cause__ is None
    assert failure.__context__ is None


@pytest.mark.parametrize(
    "hook",
    [
        lambda: refusal("ParameterPatternMismatchException", f"{SECRET} does not match .*"),
        lambda: refusal(SECRET, SECRET),
        lambda: refusal("InternalServerError", SECRET, status=500),
        lambda: answer(200, SECRET),
        raising(ReadTimeoutError(endpoint_url=URL, error=SECRET)),
        raising(RuntimeError(SECRET)),
    ],
)
def test_a_failed_write_says_nothing_of_what_was_written(
    store: SsmStore, hook: Callable[[], AWSResponse]
) -> None:
    Wire(store._ssm, "PutParameter").answers(lambda _: hook())
    with pytest.raises(StoreError) as caught:
        write(store, text=SECRET)
    assert_silent(caught.value)


def test_a_request_that_the_sdk_cannot_encode_says_nothing_of_the_value(store: SsmStore) -> None:
    request = Put(name="/a", text=SealedText({SECRET}), type="String", overwrite=True)  # type: ignore[arg-type]  # no JSON
    with pytest.raises(StoreError) as caught:
        store.put(request)
    assert caught.value.code == "TypeError"
    assert_silent(caught.value)


@pytest.mark.parametrize("text", [None, ""])
def test_a_value_that_is_missing_or_empty_is_refused_by_aws(store: SsmStore, text: str | None) -> None:
    sent = Wire(store._ssm, "PutParameter").answers(lambda _: refusal("ValidationException"))
    with pytest.raises(StoreError) as caught:
        store.put(Put(name="/a", text=SealedText(text), type="String", overwrite=False))  # type: ignore[arg-type]  # on purpose
    assert (caught.value.kind, caught.value.code) == (Trouble.REFUSED, "ValidationException")
    assert sent.bodies[0]["Value"] == text


def test_a_failed_read_says_nothing_of_what_was_read(store: SsmStore) -> None:
    write(store, text=SECRET)
    half = {"Parameters": [{"Name": "/a", "Type": "String", "Value": SECRET, "Version": 1}]}
    Wire(store._ssm, "GetParameters").answers(lambda _: answer(200, half))
    failure = store.values(["/a"], decrypt=True).failed["/a"]
    assert failure.kind is Trouble.LOST
    assert_silent(failure)
