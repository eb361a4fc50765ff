"""SSM on moto: what the store reads, writes and resolves when nothing goes wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import botocore.session
import pytest
from botocore import auth, handlers, useragent
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from botocore.hooks import first_non_none_response
from botocore.loaders import JSONFileLoader, create_loader
from botocore.validate import ParamValidator
from moto.sts.models import sts_backends

from ssm_reconcile import __version__
from ssm_reconcile.aws_limits import CallClass
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import Access, Key, KeyState, Place, SealedText
from ssm_reconcile.stores import session
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.ssm import Aws, SsmStore
from tests.doubles.clock import FakeClock
from tests.integration.faults import REGION, Wire, answer, aws, open_store, refusal

OTHER = "us-west-2"


@pytest.fixture
def there() -> Iterator[Aws]:
    with aws() as made:
        yield made


@pytest.fixture
def store(there: Aws) -> SsmStore:
    return open_store(there)


def create(store: SsmStore, name: str, text: str = "v", **changed: Any) -> int:
    fields: dict[str, Any] = {"type": "String", "overwrite": False, **changed}
    return store.put(Put(name=name, text=SealedText(text), **fields))


def listed(store: SsmStore) -> dict[str, Any]:
    return {parameter.name: parameter for page in store.describe() for parameter in page}


# Places


def test_a_place_is_what_sts_says_it_is(store: SsmStore) -> None:
    assert store.place == Place("123456789012", REGION, "aws")
    assert store.caller.startswith("arn:aws:sts::123456789012:")


def test_a_partition_is_read_from_the_callers_arn(there: Aws) -> None:
    store = open_store(there, region="cn-north-1")
    assert store.place.arn("/a").startswith("arn:aws-cn:ssm:cn-north-1:")


def test_a_role_leads_into_its_own_account(there: Aws) -> None:
    mine = open_store(there)
    theirs = open_store(there, role_arn="arn:aws:iam::210987654321:role/sync", external_id="seven")
    create(theirs, "/a")
    assert theirs.place.account == "210987654321"
    assert theirs.caller == "arn:aws:sts::210987654321:assumed-role/sync/ssm-reconcile"
    assert (len(listed(theirs)), len(listed(mine))) == (1, 0)


@pytest.mark.parametrize("external_id", ["seven", None])
def test_a_role_is_assumed_with_the_external_id_of_the_spec(there: Aws, external_id: str | None) -> None:
    role = "arn:aws:iam::210987654321:role/sync"
    open_store(there, role_arn=role, external_id=external_id)
    backends: Any = sts_backends["210987654321"]
    assumed = [one for backend in backends.values() for one in backend.assumed_roles]
    assert [(one.role_arn, one.session_name, one.external_id) for one in assumed] == [
        (role, "ssm-reconcile", external_id)
    ]


def test_a_role_is_assumed_again_when_its_hour_is_over(there: Aws) -> None:
    store = open_store(there, role_arn="arn:aws:iam::210987654321:role/sync")
    credentials = store._ssm._request_signer._credentials  # type: ignore[attr-defined]  # botocore's own
    before = credentials.get_frozen_credentials().access_key
    listed(store)
    assert credentials.get_frozen_credentials().access_key == before
    credentials._expiry_time -= timedelta(hours=1)
    listed(store)
    assert credentials.get_frozen_credentials().access_key != before


def test_the_files_of_the_sdk_are_read_once_for_all_places_and_roles(
    there: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    load_file = JSONFileLoader.load_file

    def count(loader: JSONFileLoader, path: str) -> Any:
        found = load_file(loader, path)
        read[path] += found is not None
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", count)
    monkeypatch.setattr(botocore.session, "create_loader", create_loader)  # tests share a loader of their own
    roles = [None, *(f"arn:aws:iam::{account}:role/sync" for account in ("210987654321", "310987654321"))]
    for role in roles:
        for region in ("us-east-1", "eu-west-1"):
            there._clients.create(Access(region, role_arn=role, sts_region="us-east-1"))
    assert {Path(path).parts[-3] for path in read} >= {"ssm", "kms", "resourcegroupstaggingapi", "sts"}
    assert read.most_common(1)[0][1] == 1


def test_an_endpoint_of_the_command_line_is_every_services() -> None:
    clock = FakeClock()
    with aws(clock=clock, endpoint_url="http://127.0.0.1:1") as there:
        clients = there._clients.create(Access(REGION, role_arn="arn:aws:iam::210987654321:role/sync"))
    made = (clients.ssm, clients.kms, clients.tagging, clients.sts)
    assert {client.meta.endpoint_url for client in made} == {"http://127.0.0.1:1"}


def test_the_endpoint_variables_of_boto3_are_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "http://127.0.0.1:2")
    clients = Aws(clock=FakeClock())._clients.create(Access(REGION))
    assert (clients.ssm.meta.endpoint_url, clients.kms.meta.endpoint_url) == (
        "http://127.0.0.1:2",
        "http://127.0.0.1:1",
    )


def test_clients_tell_who_they_are_and_leave_retries_and_connections_to_us(there: Aws) -> None:
    there._clients.parallelism = 32
    clients = there._clients.create(Access(REGION))
    for client in (clients.ssm, clients.kms, clients.tagging, clients.sts):
        config: Any = client.meta.config
        assert config.retries == {"mode": "standard", "total_max_attempts": 1}
        assert config.max_pool_connections >= 32


def test_arguments_are_validated_by_the_sdk_where_the_spec_supplies_them(
    there: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = there._clients.create(Access(REGION))
    validated: list[str] = []
    validate = ParamValidator.validate

    def note(validator: ParamValidator, params: Any, shape: Any) -> Any:
        validated.append(shape.name)
        return validate(validator, params, shape)

    monkeypatch.setattr(ParamValidator, "validate", note)
    for client in (clients.ssm, clients.tagging, clients.kms):
        _headers_of(client)
    assert validated == ["ListAliasesRequest"]


def test_requests_to_ssm_have_no_headers_of_retries_by_the_sdk(there: Aws) -> None:
    clients = there._clients.create(Access(REGION))
    sent = {client: _headers_of(client) for client in (clients.ssm, clients.tagging, clients.kms)}
    retrying = {client for client, headers in sent.items() if "amz-sdk-request" in headers}
    assert retrying == {clients.kms}


def test_the_sdk_asks_no_handler_of_its_own_whether_to_retry(there: Aws) -> None:
    clients = there._clients.create(Access(REGION))
    for client, service in ((clients.ssm, "ssm"), (clients.tagging, "resource-groups-tagging-api")):
        assert client.meta.service_model.service_id.hyphenize() == service
        assert not client.meta.events.emit(f"needs-retry.{service}.GetParameters")


def test_requests_of_a_function_carry_its_trace_id(there: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "events")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1")
    clients = there._clients.create(Access(REGION))
    for client in (clients.ssm, clients.tagging):
        assert _headers_of(client)["x-amzn-trace-id"] == "Root=1"


JSON_HEADERS = {"X-Amz-Target": "AmazonSSM.GetParameters", "Content-Type": "json;  v=1", "User-Agent": "x"}
ENDPOINT = "https://ssm.us-east-1.amazonaws.com/"


def signed_headers(signer: Any, credentials: Credentials | None, **changed: Any) -> dict[str, list[str]]:
    request = AWSRequest(
        **{"method": "POST", "url": ENDPOINT, "data": b"{}", "headers": JSON_HEADERS, **changed}
    )
    signer(credentials, "ssm", REGION).add_auth(request)
    return {name.lower(): request.headers.get_all(name, []) for name in request.headers}


@pytest.fixture
def json_signer(there: Aws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The signer that requests to SSM use; `SigV4Auth` signs with the date of its last signature."""
    events = there._clients.create(Access(REGION)).ssm.meta.events
    choices = events.emit(
        "choose-signer.ssm.GetParameters", signature_version="v4", context={}, signing_name=""
    )
    signer = auth.AUTH_TYPE_MAPS[first_non_none_response(choices)]
    moment = datetime.now(UTC)
    monkeypatch.setattr(session, "datetime", Mock(now=lambda _: moment))
    monkeypatch.setattr(auth, "get_current_datetime", lambda: moment)
    return signer


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"url": "http://127.0.0.1:8000/"},
        {"url": "https://[::1]/"},
        {"url": ENDPOINT + "path?query=1"},
        {"params": {"query": "1"}},
        {"method": "GET", "data": b""},
        {"data": io.BytesIO(b"{}")},
        {"headers": {**JSON_HEADERS, "X-Amz-Date": "20200101T000000Z"}},
        {"headers": {**JSON_HEADERS, "X-Amzn-Trace-Id": "Root=1", "x-extra": "a  b"}},
    ],
)
def test_requests_have_the_signature_of_the_sdk(json_signer: Any, changed: dict[str, Any]) -> None:
    """A role has a token, and its keys are replaced by others while the program runs."""
    for keys in (("A", "one"), ("A", "one", "token"), ("B", "two", "next"), ("A", "one")):
        given = Credentials(*keys)
        expected = signed_headers(auth.SigV4Auth, given, **changed)
        assert signed_headers(json_signer, given, **changed) == expected
        assert "Signature=" in expected["authorization"][0]


def test_a_request_without_credentials_is_not_signed(json_signer: Any) -> None:
    with pytest.raises(NoCredentialsError):
        signed_headers(json_signer, None)


def test_the_key_of_signatures_is_derived_once_for_the_calls_of_a_day(store: SsmStore) -> None:
    session._signing_key.cache_clear()
    for number in range(3):
        create(store, f"/signed/{number}")
    assert session._signing_key.cache_info().misses == 1
    assert session._signing_key.cache_info().hits == 2


@pytest.mark.parametrize("missing", ["add_retry_headers", "inject_api_version_header_if_needed"])
def test_a_release_of_the_sdk_may_lack_a_handler_that_is_removed(
    there: Aws, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delattr(handlers, missing)
    store = there.connect(Access(REGION))
    create(store, "/made/by/this/release")
    assert store.values(["/made/by/this/release"], decrypt=False).found


def test_an_app_id_has_no_character_that_a_header_may_not_have(
    there: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "ci\n team\u2013a")
    clients = there._clients.create(Access(REGION))
    for client in (clients.sts, clients.ssm, clients.kms, clients.tagging):
        assert " app/ci--team-a " in f"{_user_agent_of(client)} "


def test_every_request_names_the_program_and_the_app_id_of_the_configuration(
    there: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "of-the-user")
    clients = there._clients.create(Access(REGION))
    for client in (clients.ssm, clients.kms, clients.tagging, clients.sts):
        agent = _user_agent_of(client)
        assert agent.startswith("Boto3/")
        assert agent.count(f"ssm-reconcile/{__version__}") == 1
        assert "app/of-the-user" in agent


def test_the_user_agent_is_not_composed_again_for_each_request(
    there: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = there._clients.create(Access(REGION))
    composed: Counter[str] = Counter()
    compose = useragent.UserAgentComponent.to_string

    def count(component: useragent.UserAgentComponent) -> str:
        composed["parts"] += 1
        return compose(component)

    monkeypatch.setattr(useragent.UserAgentComponent, "to_string", count)
    for client in (clients.ssm, clients.kms, clients.tagging):
        _user_agent_of(client)
    assert not composed
    _user_agent_of(clients.sts)
    assert composed, "the first client composes it, so this test would see it"


def _user_agent_of(client: Any) -> str:
    return _headers_of(client)["user-agent"]


def _headers_of(client: Any) -> dict[str, str]:
    """Return the headers of one request, by their names in lower case."""
    sent: dict[str, str] = {}

    def keep(request: Any, **_: Any) -> None:
        for name, value in request.headers.items():
            sent[name.lower()] = value.decode() if isinstance(value, bytes) else value

    client.meta.events.register_first("before-send", keep)
    calls = {
        "ssm": "describe_parameters",
        "kms": "list_aliases",
        "sts": "get_caller_identity",
        "resourcegroupstaggingapi": "get_resources",
    }
    getattr(client, calls[client.meta.service_model.service_name])()
    return sent


def test_importing_the_store_does_not_import_boto3() -> None:
    state = "import ssm_reconcile.stores.ssm, sys; print(sorted({'boto3', 'botocore'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", state], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


# Listings


def test_every_page_is_listed(store: SsmStore) -> None:
    for n in range(25):
        create(store, f"/p/{n:02}")
    pages = list(store.describe())
    assert len(pages) >= 3
    assert sorted(p.name for page in pages for p in page) == [f"/p/{n:02}" for n in range(25)]


def test_an_empty_place_is_an_empty_listing(store: SsmStore) -> None:
    assert listed(store) == {}
    assert [dict(page) for page in store.tagged()] == [{}]


def test_a_listing_shows_all_that_is_not_value_or_tags(store: SsmStore) -> None:
    policy = '{"Type":"NoChangeNotification","Version":"1.0","Attributes":{"After":"2","Unit":"Days"}}'
    create(
        store, "/a", type="SecureString", description="d", allowed_pattern=".*", tier="Advanced",
        policies=(policy,), key_id="alias/app",
    )  # fmt: skip
    found = listed(store)["/a"]
    assert (found.type, found.version, found.description, found.allowed_pattern) == (
        "SecureString",
        1,
        "d",
        ".*",
    )
    assert (found.tier, found.data_type, found.key_id) == ("Advanced", "text", "alias/app")
    assert [json.loads(text) for text in found.policies] == [json.loads(policy)]
    assert found.last_modified.tzinfo is UTC


def test_a_string_that_was_secret_has_no_key(store: SsmStore) -> None:
    create(store, "/a", type="SecureString", key_id="alias/app")
    create(store, "/a", overwrite=True)
    assert listed(store)["/a"].key_id is None


def test_named_parameters_are_described_by_canonical_name(store: SsmStore) -> None:
    for name in ("/a/b", "bare", *(f"/p/{n}" for n in range(60))):
        create(store, name)
    asked = ["/a/b", "/bare", "/absent", *(f"/p/{n}" for n in range(60))]
    found = store.describe_names(asked)
    assert set(found) == set(asked) - {"/absent"}
    assert found["/bare"].name == "bare"
    assert store.describe_names([]) == {}


def test_parameters_are_found_by_tag(store: SsmStore) -> None:
    create(store, "/a", tags={"owner": "x"})
    create(store, "b", tags={"owner": "y"})
    create(store, "/c", tags={"other": "x"})
    assert store.names_tagged("owner", ["x"]) == {"/a"}
    assert store.names_tagged("owner", ["x", "y"]) == {"/a", "/b"}
    assert store.names_tagged("owner", []) == {"/a", "/b"}
    assert store.names_tagged("absent", ["x"]) == frozenset()


def test_tags_are_listed_by_canonical_name(store: SsmStore) -> None:
    for n in range(70):
        create(store, f"/p/{n}", tags={"n": str(n), "x": "1", "y": "2"})
    create(store, "bare", tags={"n": "b"})
    pages = list(store.tagged())
    merged = {name: tags for page in pages for name, tags in page.items()}
    assert len(pages) > 1
    assert merged == {
        "/bare": {"n": "b"},
        **{f"/p/{n}": {"n": str(n), "x": "1", "y": "2"} for n in range(70)},
    }


def test_tags_of_one_parameter_are_read_directly(store: SsmStore) -> None:
    create(store, "/a/b", tags={"k": "v"})
    create(store, "bare")
    assert store.tags("/a/b") == {"k": "v"}
    assert store.tags("/bare") == {}
    assert store.tags("/absent") is None
    assert store.tags("/absent/too") is None


# Values


def test_values_are_read_ten_at_a_time_in_whatever_order_they_come(store: SsmStore) -> None:
    wire = Wire(store._ssm, "GetParameters")
    for n in range(23):
        create(store, f"/p/{n}", f"text {n}")
    answers = store.values([f"/p/{n}" for n in range(23)], decrypt=True)
    assert {name: value.text.reveal() for name, value in answers.found.items()} == {
        f"/p/{n}": f"text {n}" for n in range(23)
    }
    assert (answers.missing, answers.failed) == (frozenset(), {})
    assert sorted(len(body["Names"]) for body in wire.bodies) == [3, 10, 10]


def test_names_are_asked_once_and_answered_by_canonical_name(store: SsmStore) -> None:
    wire = Wire(store._ssm, "GetParameters")
    create(store, "bare", "x")
    create(store, "/a/b", "y")
    answers = store.values(["bare", "/bare", "/a/b", "/a/b", "/no/where", "nowhere"], decrypt=True)
    assert {name: value.text.reveal() for name, value in answers.found.items()} == {"/bare": "x", "/a/b": "y"}
    assert answers.missing == {"/no/where", "/nowhere"}
    assert sorted(wire.bodies[0]["Names"]) == ["/a/b", "/bare", "/no/where", "/nowhere"]
    assert wire.bodies[1]["Names"] == ["nowhere"], "a name of one level is missing in both its forms only"
    assert len(wire.bodies) == 2


def test_old_versions_are_answered_under_the_name_they_were_asked_by(store: SsmStore) -> None:
    for n in range(1, 4):
        create(store, "/a", f"text {n}", overwrite=n > 1)
    create(store, "bare", "b")
    answers = store.values(["/a", "/a:1", "/a:2", "/a:9", "bare:1"], decrypt=True)
    found = {name: (value.name, value.version, value.text.reveal()) for name, value in answers.found.items()}
    assert found == {
        "/a": ("/a", 3, "text 3"),
        "/a:1": ("/a", 1, "text 1"),
        "/a:2": ("/a", 2, "text 2"),
        "/bare:1": ("/bare", 1, "b"),
    }
    assert answers.missing == {"/a:9"}


def test_a_secret_is_read_decrypted_only_when_that_is_asked(store: SsmStore) -> None:
    create(store, "/a", "hunter2", type="SecureString")
    wire = Wire(store._ssm, "GetParameters")
    assert store.values(["/a"], decrypt=True).found["/a"].text.reveal() == "hunter2"
    assert store.values(["/a"], decrypt=False).found["/a"].text.reveal() != "hunter2"
    assert [body["WithDecryption"] for body in wire.bodies] == [True, False]
    assert "hunter2" not in repr(store.values(["/a"], decrypt=True))


# Keys


@pytest.fixture
def kms() -> Any:
    return boto3.client("kms", region_name=REGION)


def new_key(kms: Any, **options: Any) -> tuple[str, str]:
    state = kms.create_key(**options)["KeyMetadata"]
    return state["KeyId"], state["Arn"]


def test_a_key_is_the_same_by_alias_id_and_arn(store: SsmStore, kms: Any) -> None:
    key_id, arn = new_key(kms)
    kms.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    alias_arn = f"arn:aws:kms:{REGION}:123456789012:alias/app"
    references = ["alias/app", alias_arn, key_id, arn]
    assert store.keys(references) == dict.fromkeys(references, Key(arn))


def test_a_managed_key_is_its_alias_and_is_never_asked_for(store: SsmStore, kms: Any) -> None:
    describing, listing = Wire(store._keys._kms, "DescribeKey"), Wire(store._keys._kms, "ListAliases")
    arn = f"arn:aws:kms:{REGION}:123456789012:alias/aws/ssm"
    found = store.keys(["alias/aws/ssm", arn])
    assert found == dict.fromkeys(["alias/aws/ssm", arn], Key("alias/aws/ssm", managed=True))
    assert (describing.bodies, listing.bodies) == ([], [])
    made = kms.describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]
    assert set(store.keys([made["KeyId"], made["Arn"]]).values()) == {Key("alias/aws/ssm", managed=True)}
    assert describing.bodies == []


def test_a_key_that_does_not_exist_or_is_elsewhere_is_missing(store: SsmStore, kms: Any) -> None:
    _, arn = new_key(kms)
    elsewhere = arn.replace(REGION, OTHER)
    absent = "00000000-0000-0000-0000-000000000000"
    found = store.keys(["alias/absent", elsewhere, absent])
    assert {key.state for key in found.values()} == {KeyState.MISSING}
    assert found["alias/absent"].identity == "alias/absent"
    assert found[elsewhere].identity == elsewhere


@pytest.mark.parametrize("rest", ["key/11111111-2222-3333-4444-555555555555", "alias/theirs"])
def test_a_key_of_another_account_is_asked_for_by_its_whole_arn(store: SsmStore, kms: Any, rest: str) -> None:
    """Aliases are listed for our account only, and its key of that id would be another key."""
    own, _ = new_key(kms)
    kms.create_alias(AliasName="alias/theirs", TargetKeyId=own)
    theirs = f"arn:aws:kms:{REGION}:210987654321:{rest}"
    arn = f"arn:aws:kms:{REGION}:210987654321:key/11111111-2222-3333-4444-555555555555"
    listing = Wire(store._keys._kms, "ListAliases")
    describing = Wire(store._keys._kms, "DescribeKey").answers(
        lambda _: answer(200, {"KeyMetadata": {"KeyId": arn.rpartition("/")[2], "Arn": arn}})
    )
    assert store.keys([theirs])[theirs] == Key(arn)
    assert [body["KeyId"] for body in describing.bodies] == [theirs]
    assert listing.bodies == []


def test_a_key_of_another_account_that_may_not_be_asked_for_is_unknown(store: SsmStore) -> None:
    Wire(store._keys._kms, "DescribeKey").answers(lambda _: refusal("AccessDeniedException"))
    theirs = f"arn:aws:kms:{REGION}:210987654321:key/11111111-2222-3333-4444-555555555555"
    assert store.keys([theirs])[theirs] == Key(theirs, KeyState.UNKNOWN)


def test_the_state_of_a_key_is_reported(store: SsmStore, kms: Any) -> None:
    disabled, _ = new_key(kms)
    kms.disable_key(KeyId=disabled)
    doomed, _ = new_key(kms)
    kms.schedule_key_deletion(KeyId=doomed)
    rsa, _ = new_key(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    mac, _ = new_key(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    found = store.keys([disabled, doomed, rsa, mac])
    assert found[disabled].state is KeyState.DISABLED
    assert found[doomed].state is KeyState.PENDING_DELETION
    assert found[rsa].state is found[mac].state is KeyState.UNSUITABLE


@pytest.mark.parametrize("state", ["PendingImport", "Unavailable", "Creating"])
def test_a_key_without_usable_material_is_unavailable_and_not_disabled(store: SsmStore, state: str) -> None:
    arn = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-3333-4444-555555555555"
    described = {"KeyMetadata": {"KeyId": arn.rpartition("/")[2], "Arn": arn, "KeyState": state}}
    Wire(store._keys._kms, "DescribeKey").answers(lambda _: answer(200, described))
    assert store.keys([arn])[arn].state is KeyState.UNAVAILABLE


def test_a_multi_region_key_says_so(store: SsmStore, kms: Any) -> None:
    key_id, arn = new_key(kms, MultiRegion=True)
    assert key_id.startswith("mrk-")
    assert store.keys([key_id])[key_id] == Key(arn, multi_region=True)


def test_keys_are_asked_once_a_run(store: SsmStore, kms: Any) -> None:
    describing, listing = Wire(store._keys._kms, "DescribeKey"), Wire(store._keys._kms, "ListAliases")
    key_id, _ = new_key(kms)
    kms.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    first = store.keys(["alias/app"])
    assert store.keys(["alias/app"]) == first
    assert (len(describing.bodies), len(listing.bodies)) == (1, 1)


def test_a_key_may_be_asked_for_again_whatever_is_known_of_it(store: SsmStore, kms: Any) -> None:
    key_id, _ = new_key(kms)
    kms.create_alias(AliasName="alias/app", TargetKeyId=key_id)
    assert store.keys(["alias/app"])["alias/app"].state is KeyState.USABLE
    other, arn = new_key(kms)
    kms.update_alias(AliasName="alias/app", TargetKeyId=other)
    kms.disable_key(KeyId=other)
    assert store.keys(["alias/app"])["alias/app"].state is KeyState.USABLE
    assert store.keys(["alias/app"], fresh=True)["alias/app"] == Key(arn, KeyState.DISABLED)


# Writes


def test_a_create_carries_its_tags_and_is_version_one(store: SsmStore) -> None:
    assert create(store, "/a", tags={"k": "v"}) == 1
    assert store.tags("/a") == {"k": "v"}


def test_a_create_finds_the_name_taken(store: SsmStore) -> None:
    create(store, "/a", "first")
    with pytest.raises(StoreError) as caught:
        create(store, "/a", "second")
    assert caught.value.kind is Trouble.EXISTS
    assert store.values(["/a"], decrypt=True).found["/a"].text.reveal() == "first"


def test_an_overwrite_is_the_next_version_and_clears_what_is_not_there(store: SsmStore) -> None:
    create(store, "/a", description="d", allowed_pattern=".*", tier="Advanced", policies=('{"Type":"x"}',))
    assert create(store, "/a", "w", overwrite=True, tier="Advanced") == 2
    found = listed(store)["/a"]
    assert (found.description, found.allowed_pattern, found.policies) == ("", "", ())


def test_tags_cannot_travel_with_an_overwrite(store: SsmStore) -> None:
    create(store, "/a")
    with pytest.raises(StoreError) as caught:
        create(store, "/a", overwrite=True, tags={"k": "v"})
    assert caught.value.kind is Trouble.REFUSED


def test_tags_are_added_overwritten_and_removed(store: SsmStore) -> None:
    create(store, "/a", tags={"a": "1", "b": "2"})
    store.add_tags("/a", {"b": "3", "c": "4"})
    store.remove_tags("/a", ["a", "never"])
    assert store.tags("/a") == {"b": "3", "c": "4"}


def test_no_tags_are_no_call(store: SsmStore) -> None:
    adding, removing = Wire(store._ssm, "AddTagsToResource"), Wire(store._ssm, "RemoveTagsFromResource")
    store.add_tags("/absent", {})
    store.remove_tags("/absent", [])
    assert (adding.bodies, removing.bodies) == ([], [])
    create(store, "/a")
    store.add_tags("/a", {"k": "v"})
    store.remove_tags("/a", ["k"])
    assert (len(adding.bodies), len(removing.bodies)) == (1, 1)


def test_tags_of_what_is_not_there_are_missing(store: SsmStore) -> None:
    with pytest.raises(StoreError) as caught:
        store.add_tags("/absent", {"a": "1"})
    assert caught.value.kind is Trouble.MISSING


def test_a_missing_parameter_counts_as_deleted(store: SsmStore) -> None:
    create(store, "/a")
    create(store, "bare")
    assert store.delete(["/a", "bare", "/absent"]) == {"/a", "/bare", "/absent"}
    assert listed(store) == {}
    assert store.delete([]) == frozenset()


def test_more_than_ten_are_not_deleted_at_once(store: SsmStore) -> None:
    with pytest.raises(ValueError, match="10 names, not 11"):
        store.delete([f"/p/{n}" for n in range(11)])


# Turns


def test_a_write_waits_for_its_turn_and_not_between_turn_and_call() -> None:
    clock = FakeClock()
    with aws(clock=clock) as there:
        store = open_store(there, rates=(("put", 2.0),))
        for n in range(3):
            store.await_turn(CallClass.PUT)
            slept = list(clock.slept)
            create(store, f"/p/{n}")
            assert clock.slept == slept
    assert clock.slept == pytest.approx([0.5, 0.5])


def test_reads_are_paced_by_their_own_rate() -> None:
    clock = FakeClock()
    with aws(clock=clock) as there:
        store = open_store(there, rates=(("list_tags", 1.0),))
        for _ in range(3):
            store.tags("/a/b")
    assert clock.slept == pytest.approx([1.0, 1.0] * 1)


def test_two_stores_of_one_place_share_its_rates(there: Aws) -> None:
    one, other = open_store(there), open_store(there)
    elsewhere = open_store(there, region=OTHER)
    assert one._calls.rates[CallClass.PUT] is other._calls.rates[CallClass.PUT]
    assert one._calls.rates[CallClass.PUT] is not elsewhere._calls.rates[CallClass.PUT]
