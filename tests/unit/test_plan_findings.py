"""Findings about KMS keys: only source keys that do not decrypt, and only where a value has to be read."""

from __future__ import annotations

import pytest

from ssm_reconcile.change import Change, Create, Delete, Replace, Retag, TagDiff, Update
from ssm_reconcile.errors import Severity
from ssm_reconcile.model import MANAGED_KEY, SECURE, Key, Keyring, KeyState, Listing
from ssm_reconcile.plan_findings import find_unusable_source_keys
from ssm_reconcile.spec import Run
from tests.builders import HERE, change, desired, parameter, record, replication, target
from tests.simulated_aws import SimulatedAws

ALIAS = "alias/app"
ARN = "arn:aws:kms:us-east-1:123456789012:key/0f3c1c52-6a3e-4d0b-9d0e-1a2b3c4d5e03"
SECRETS = ("/p/a", "/p/b", "/p/c", "/p/d", "/p/e", "/p/f")


def secret(name: str, key: str = ALIAS) -> Create:
    return Create(desired(name, SECURE, key_id=key))


def found(
    *changes: Change, state: KeyState = KeyState.DISABLED, key: str = ALIAS, unread: tuple[str, ...] = ()
) -> list[str]:
    """The messages about a source with six secrets under one key in that state."""
    held = {name: parameter(name, SECURE, key_id=key) for name in SECRETS}
    ring = Keyring({key: Key(ARN, state)})
    source = Listing(HERE, parameters=held)
    findings = list(find_unusable_source_keys(replication(), source, ring, changes, unread))
    assert all((one.severity, one.where) == (Severity.ERROR, "the source") for one in findings)
    return [one.message for one in findings]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (KeyState.DISABLED, "is disabled"),
        (KeyState.PENDING_DELETION, "cancel-key-deletion"),
        (KeyState.UNAVAILABLE, "no key material"),
    ],
)
def test_a_key_that_does_not_decrypt_is_named_with_its_parameters_and_the_fix(
    state: KeyState, words: str
) -> None:
    (message,) = found(change(secret("/p/b"), "/p/b"), change(secret("/p/a"), "/p/a"), state=state)
    assert words in message
    assert ALIAS in message
    assert "/p/a, /p/b;" in message


@pytest.mark.parametrize("state", [KeyState.USABLE, KeyState.UNKNOWN])
def test_a_key_that_can_decrypt_gives_no_finding(state: KeyState) -> None:
    assert found(change(secret("/p/a")), state=state) == []


def test_a_key_that_is_gone_does_not_decrypt_and_one_without_its_alias_does() -> None:
    assert len(found(change(secret("/p/a", ARN)), state=KeyState.MISSING, key=ARN)) == 1
    assert found(change(secret("/p/a")), state=KeyState.MISSING) == []


def test_only_changes_that_write_a_value_need_the_key() -> None:
    made_from = desired("/p/a", SECURE, key_id=ALIAS)
    tags = TagDiff({}, {"team": "x"})
    assert found(change(Retag(made_from, tags, record())), change(Delete("/p/a"))) == []
    assert found(change(Update(made_from, tags, put=False))) == []
    assert len(found(change(Update(made_from, tags)))) == 1
    assert len(found(change(Update(made_from, tags, put=False, unproven=True)))) == 1


def test_a_value_that_could_not_be_read_is_named_and_many_are_counted() -> None:
    (message,) = found(unread=SECRETS)
    assert "/p/e and 1 more" in message
    assert found(unread=("/p/gone",)) == []


@pytest.mark.parametrize("run", [Run(), Run(no_decrypt=True)])
def test_a_plan_names_what_is_to_be_created_and_not_what_is_in_sync(run: Run) -> None:
    aws = SimulatedAws(replication(targets=(target(default_key=ALIAS),)))
    aws.world.add_key(aws.here, ALIAS)
    aws.world.add_key(aws.there, ALIAS)
    aws.replicate("/p/a", "hush", SECURE, key_id=ALIAS)
    aws.put("/p/b", "hush", SECURE, key_id=ALIAS)
    assert "source-key" not in {one.code for one in aws.plan(run=run).all_findings}
    aws.world.set_key(aws.here, ALIAS, KeyState.DISABLED)
    (finding,) = [one for one in aws.plan(run=run).all_findings if one.code == "source-key"]
    assert "cannot be decrypted: /p/b;" in finding.message
    aws.delete("/p/b")
    assert "source-key" not in {one.code for one in aws.plan(run=run).all_findings}


def test_a_plain_parameter_needs_no_key_even_where_the_managed_key_is_disabled() -> None:
    held = {"/p/a": parameter("/p/a")}
    ring = Keyring({MANAGED_KEY: Key(ARN, KeyState.DISABLED)})
    plain = change(Create(desired("/p/a")))
    source = Listing(HERE, parameters=held)
    assert list(find_unusable_source_keys(replication(), source, ring, [plain], ())) == []


def test_a_replacement_writes_a_value_and_needs_the_key() -> None:
    (message,) = found(change(Replace(desired("/p/a", SECURE, key_id=ALIAS))))
    assert "/p/a" in message
