"""Silence next to AWS: botocore prints requests and answers at DEBUG, and AWS's messages quote values."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from ssm_reconcile import reconcile
from ssm_reconcile.errors import ReconcileError, StoreError
from ssm_reconcile.model import SECURE, Access, SealedText
from ssm_reconcile.session import Session, open_places
from ssm_reconcile.spec import DeleteMode, Glob, Replication, Source, Target
from ssm_reconcile.stores.base import Put
from ssm_reconcile.stores.ssm import Aws
from tests.doubles.clock import FakeClock, StopFlag
from tests.integration.faults import Wire, answer, aws, open_store, refusal
from tests.property.places import LIFTED
from tests.silence.listening import Ear, listening, outputs_of_plan, outputs_of_report, text_of
from tests.silence.planted import leaks, plant
from tests.simulated_aws import unwatched

SECRETS = [plant(number) for number in range(10)]
SPEC = Replication(
    "prod",
    Source(Access("us-east-1")),
    (Target("us-east-2", Access("us-east-2")),),
    (Glob("/p/**"),),
    DeleteMode.OWNED,
)


@pytest.fixture
def there() -> Iterator[Aws]:
    with aws() as made:
        yield made


def put(there: Aws) -> None:
    """Writes the secrets before anybody listens; at every second name there is another one already."""
    source, target = open_store(there, region="us-east-1"), open_store(there, region="us-east-2")
    for number, secret in enumerate(SECRETS):
        source.put(
            Put(f"/p/{number}", SealedText(secret.value), SECURE, overwrite=False, key_id="alias/aws/ssm")
        )
        if number % 2:
            other = SealedText(SECRETS[number - 1].value)
            target.put(Put(f"/p/{number}", other, SECURE, overwrite=False, key_id="alias/aws/ssm"))


def run(there: Aws, ear: Ear) -> dict[str, str]:
    """Return all output of a plan and an apply against moto."""
    places = open_places([SPEC], there.connect, LIFTED)
    plan = reconcile.make_plan([SPEC], Session(places, LIFTED, FakeClock(), unwatched))
    report = reconcile.carry_out(plan, [SPEC], Session(places, LIFTED, FakeClock(), unwatched), StopFlag())
    assert len(plan.changes) + len(plan.others) == len(SECRETS)
    return {**outputs_of_plan(plan, LIFTED), **outputs_of_report(report), "log": "\n".join(ear.heard)}


def test_a_process_that_logs_at_debug_logs_no_request_and_no_answer(there: Aws) -> None:
    """As in a Lambda function with log level DEBUG."""
    put(there)
    with listening() as ear:
        logging.getLogger("another").debug("the ear hears")
        said = run(there, ear)
    assert "the ear hears" in said["log"]
    assert leaks(said, SECRETS) == []


@pytest.fixture
def loggers() -> Iterator[dict[str, logging.Logger]]:
    """The loggers of botocore that could be turned up one by one; left as they were."""
    known = sorted(name for name in logging.root.manager.loggerDict if name.startswith("botocore"))
    found = {name: logging.getLogger(name) for name in known}
    levels = {name: logger.level for name, logger in found.items()}
    yield found
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_nor_does_one_that_turns_up_the_loggers_of_botocore_one_by_one_and_late(
    there: Aws, loggers: dict[str, logging.Logger]
) -> None:
    """A digest of a request is one of the value in it: the text that botocore signs is not logged either."""
    put(there)
    store = open_store(there, region="us-east-2")
    for logger in loggers.values():
        logger.setLevel(logging.DEBUG)
    with listening() as ear:
        store.put(
            Put("/p/late", SealedText(SECRETS[0].value), SECURE, overwrite=False, key_id="alias/aws/ssm")
        )
        assert not store.values(["/p/late"], decrypt=True).failed
    log = "\n".join(ear.heard)
    assert {"botocore.auth", "botocore.endpoint", "botocore.parsers"} <= loggers.keys()
    assert leaks({"log": log}, SECRETS) == []
    assert "CanonicalRequest" not in log


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("operation", ["PutParameter", "GetParameters", "AddTagsToResource"])
def test_the_message_of_aws_on_a_failed_call_is_not_repeated(there: Aws, operation: str, status: int) -> None:
    store = open_store(there, region="us-east-2")
    quoting = " ".join(f"1 validation error detected: Value '{one.value}' failed" for one in SECRETS)
    Wire(store._ssm, operation).answers(lambda _: refusal("ValidationException", quoting, status))
    calls = {
        "PutParameter": lambda: store.put(Put("/p/x", SealedText(SECRETS[0].value), SECURE, overwrite=True)),
        "GetParameters": lambda: raised(store.values(["/p/0", "/p/1"], decrypt=True).failed.values()),
        "AddTagsToResource": lambda: store.add_tags("/p/0", {"a": "b"}),
    }
    call: Callable[[], object] = calls[operation]
    with listening() as ear, pytest.raises(StoreError) as caught:
        call()
    said = {"the error": text_of(caught.value), "log": "\n".join(ear.heard)}
    assert leaks(said, SECRETS) == []
    assert operation in said["the error"]


def raised(failures: object) -> None:
    """Raises the first failure of a batch."""
    assert hasattr(failures, "__iter__")
    for failure in failures:
        raise failure


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_makes_no_sense_is_not_quoted(there: Aws, status: int) -> None:
    store = open_store(there, region="us-east-2")
    Wire(store._ssm, "GetParameters").answers(lambda _: answer(status, f"<{SECRETS[0].value}"))
    with listening() as ear:
        try:
            raised(store.values(["/p/0"], decrypt=True).failed.values())
        except ReconcileError as error:
            said = {"the error": text_of(error), "log": "\n".join(ear.heard)}
        else:
            said = {"log": "\n".join(ear.heard)}
    assert leaks(said, SECRETS[:1]) == []
