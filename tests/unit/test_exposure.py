"""A write that would turn a SecureString into plain text: found, withheld, lifted, shown."""

from __future__ import annotations

from typing import Any

import pytest

from ssm_reconcile.model import ADVANCED, SECURE, STRING_LIST
from ssm_reconcile.record import digest
from ssm_reconcile.spec import AdoptMode, Glob, Rewrite, RewriteIn, Run
from tests.builders import SOMEBODY, THERE, US, held, judge, outcome, replica, replication
from tests.simulated_aws import SimulatedAws

OLD_OWN = {"own": digest(THERE.arn("/p/a"))}
"""The record of an earlier version: it does not show the type of the source."""


def exposing(source: str = "String", **live: Any) -> tuple[bool, bool]:
    made_from = held(kind=source)
    there = replica(made_from, type=SECURE, key_id="alias/aws/ssm", **live)
    change = judge(made_from, there, spec=replication(adopt=AdoptMode.OVERWRITE)).change
    return change.exposes, change.source_made_plain


@pytest.mark.parametrize("source", ["String", STRING_LIST])
def test_a_hardened_replica_of_a_plain_source_would_be_exposed(source: str) -> None:
    assert exposing(source, version=2, last_modified_user=SOMEBODY) == (True, False)


def test_a_secret_that_is_not_ours_would_be_exposed() -> None:
    assert exposing(own_tags=False) == (True, False)


@pytest.mark.parametrize("tier", ["Standard", ADVANCED])
def test_a_source_that_was_made_plain_on_purpose_is_known_by_the_record(tier: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "hidden", SECURE, tier=tier)
    aws.put("/p/a", "shown", tier=tier)
    report = aws.apply()
    change = outcome(report).change
    assert (change.exposes, change.source_made_plain, change.withheld_by) == (True, True, ())
    assert (outcome(report).result.value, aws.live("/p/a").type) == ("applied", "String")


def test_an_old_record_shows_a_secret_source_by_its_key_only() -> None:
    assert exposing(record={**OLD_OWN, "key": "0123456789abcdef"}) == (True, True)
    assert exposing(record={**OLD_OWN, "key": "none"}) == (True, False)
    assert exposing(record={**OLD_OWN, "key": "was"}) == (True, False)


def test_a_secret_source_and_a_plain_replica_expose_nothing() -> None:
    secret = held(kind=SECURE)
    assert not judge(secret, replica(secret, type="String", key_id=None)).change.exposes
    assert not judge(secret, replica(secret, "old", record={"version": 7})).change.exposes
    plain = held()
    assert not judge(plain, replica(plain, "old", record={"version": 7})).change.exposes


@pytest.mark.parametrize("user", [SOMEBODY, US])
def test_a_replica_that_was_made_secret_stays_secret_until_the_flag(user: str) -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "v", SECURE, user=user)
    aws.apply(run=Run(overwrite_outside=True, allow_replace=True, adopt=AdoptMode.OVERWRITE))
    assert aws.live("/p/a").type == SECURE
    aws.apply(run=Run(overwrite_outside=True, allow_exposure=True, only=("/p/a",)))
    assert aws.live("/p/a").type == "String"


@pytest.mark.parametrize("mode", list(AdoptMode))
def test_no_adopt_mode_takes_over_a_secret_as_plain_text(mode: AdoptMode) -> None:
    aws = SimulatedAws(replication(adopt=mode))
    aws.put("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "v", SECURE)
    aws.apply(run=Run(adopt=mode))
    assert (aws.live("/p/a").type, aws.live("/p/a").version) == (SECURE, 1)


def test_without_decryption_it_is_withheld_as_well() -> None:
    aws = SimulatedAws()
    aws.replicate("/p/a", "v")
    aws.world.put(aws.there, "/p/a", "other", SECURE)
    (change,) = aws.plan(run=Run(no_decrypt=True, overwrite_outside=True)).changes
    assert change.withheld_by == ("exposure",)


def from_source(name: str) -> Any:
    """Return a spec that places one source parameter on /p/dr."""
    return replication(rewrites=(Rewrite(Glob(name), RewriteIn.NAME, name, "/p/dr"),), include=(Glob(name),))


def test_the_record_of_another_secret_source_does_not_show_that_this_source_was_made_plain() -> None:
    aws = SimulatedAws(from_source("/p/x"))
    aws.put("/p/x", "hidden", SECURE)
    aws.put("/p/y", "plain")
    aws.apply()
    aws.spec = from_source("/p/y")
    aws.pass_time()
    change = outcome(aws.apply(), "/p/dr").change
    assert (change.exposes, change.source_made_plain, change.withheld_by) == (True, False, ("exposure",))
    assert (aws.live("/p/dr").type, aws.value("/p/dr")) == (SECURE, "hidden")
