"""Values that versions prove to be equal, and the values that must be read: only those that decide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.model import SECURE, DesiredParameter, Problem, ProblemKind, Substitution
from ssm_reconcile.record import digest, rewrite_digest
from ssm_reconcile.settle import Proof, prove
from ssm_reconcile.skip_sync import SkipMode, SkipSync
from ssm_reconcile.spec import Run
from tests.builders import HERE, THERE, Held, desired, held, listing, replica, replication


def proof(wanted: DesiredParameter, live: Held | None = None, run: Run | None = None, **spec: Any) -> Proof:
    there = listing(THERE) if live is None else listing(THERE, live.parameter, tags={live.name: live.tags})
    return prove(
        replication(**spec),
        "us-east-2",
        {wanted.name: wanted},
        listing(HERE, wanted.source),
        there,
        run or Run(),
    )


SECRET = held(kind=SECURE)
NONE: frozenset[str] = frozenset()
QUESTIONS = frozenset({"/p/a"})


def asked(found: Proof) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(found.source), frozenset(found.live)


@pytest.mark.parametrize("kind", ["String", "StringList", SECURE])
def test_versions_settle_what_is_ours_and_nothing_is_read(kind: str) -> None:
    found = proof(desired(kind=kind), replica(held(kind=kind)))
    assert found == Proof(equal=QUESTIONS)


def test_verify_values_reads_both_sides_of_what_is_settled_too() -> None:
    found = proof(desired(kind=SECURE), replica(SECRET), Run(verify_values=True))
    assert (found.equal, asked(found)) == (QUESTIONS, (QUESTIONS, QUESTIONS))


@pytest.mark.parametrize("changed", [{"version": 2}, {"source_version": 2}, {"rewrite": "0" * 16}])
def test_values_that_versions_do_not_prove_are_read_on_both_sides(changed: dict[str, Any]) -> None:
    found = proof(desired(kind=SECURE), replica(SECRET, record=changed))
    assert (found.equal, asked(found)) == (frozenset(), (QUESTIONS, QUESTIONS))


def test_parameters_without_ownership_are_read_on_both_sides() -> None:
    assert asked(proof(desired(), replica(held(), own_tags=False))) == (QUESTIONS, QUESTIONS)


@pytest.mark.parametrize(
    "live",
    [
        replica(SECRET, owner="staging@123456789012/us-east-1"),
        replica(SECRET, own_tags=False, tags={"aws:cloudformation:stack-id": "s"}),
        replica(SECRET, record={"own": digest("arn:x"), "version": 2}),
        replica(SECRET, tags={"skip_sync": ""}, record={"version": 2}),
        replace(replica(SECRET), tags={"ssm-reconcile:owner": "detached:x"}),
    ],
)
def test_parameters_that_are_left_alone_are_not_read(live: Held) -> None:
    assert proof(desired(kind=SECURE), live) == Proof()


@pytest.mark.parametrize(
    "left_out",
    [
        {"skip": True},
        {"chained": True},
        {"problems": (Problem(ProblemKind.KEY, "no key"),)},
    ],
)
def test_unplaced_parameters_are_not_read(left_out: dict[str, Any]) -> None:
    wanted = replace(desired(kind=SECURE), **left_out)
    assert proof(wanted, replica(SECRET, record={"version": 2})) == Proof()


def test_a_new_secret_is_not_read_before_it_is_written() -> None:
    assert proof(desired(kind=SECURE, hidden=True)) == Proof()


def test_a_new_secret_is_read_where_a_rewrite_may_make_it_too_large() -> None:
    wanted = desired(kind=SECURE, hidden=True, substitutions=(Substitution("a", "aa"),))
    assert asked(proof(wanted)) == (QUESTIONS, NONE)
    assert proof(wanted, run=Run(no_decrypt=True)) == Proof()


def test_a_new_plain_value_is_read_to_be_shown_unless_it_is_hidden() -> None:
    assert proof(desired()).source["/p/a"].show
    assert proof(desired(hidden=True)) == Proof()


def test_a_question_about_the_source_carries_its_rewrites_and_one_about_the_replica_does_not() -> None:
    rules = (Substitution("a", "b"),)
    found = proof(desired(substitutions=rules), replica(held()))
    assert found.source["/p/a"].substitutions == rules
    assert found.live["/p/a"].substitutions == ()


def test_the_same_rewrite_as_recorded_is_settled() -> None:
    rules = (Substitution("a", "b"),)
    live = replica(held(), record={"rewrite": rewrite_digest(rules)})
    assert proof(desired(substitutions=rules), live).equal == QUESTIONS


@pytest.mark.parametrize(("source", "live"), [("String", SECURE), (SECURE, "String"), (SECURE, SECURE)])
def test_no_side_is_shown_when_one_of_them_is_a_secret(source: str, live: str) -> None:
    found = proof(desired(kind=source), replica(held(kind=live), record={"version": 2}))
    assert not found.source["/p/a"].show
    assert not found.live["/p/a"].show


@pytest.mark.parametrize(("source", "live"), [("String", SECURE), (SECURE, "String"), (SECURE, SECURE)])
def test_without_decryption_a_secret_on_either_side_stays_unproven(source: str, live: str) -> None:
    there = replica(held(kind=live), record={"version": 2})
    found = proof(desired(kind=source), there, Run(no_decrypt=True))
    assert (found.unproven, asked(found)) == (QUESTIONS, (NONE, NONE))


def test_without_decryption_plain_values_are_read() -> None:
    found = proof(desired(), replica(held(), record={"version": 2}), Run(no_decrypt=True))
    assert (found.unproven, asked(found)) == (frozenset(), (QUESTIONS, QUESTIONS))


def test_without_decryption_versions_still_settle_even_when_values_are_to_be_verified() -> None:
    found = proof(desired(kind=SECURE), replica(SECRET), Run(no_decrypt=True, verify_values=True))
    assert found == Proof(equal=QUESTIONS)


def test_a_copied_record_settles_nothing() -> None:
    assert not proof(desired(), replica(held(), record={"own": digest("arn:x")})).equal


def test_opting_out_is_asked_for_this_target() -> None:
    live = replica(held(), tags={"skip_sync": "elsewhere"}, record={"version": 2})
    assert asked(proof(desired(), live, skip_sync=SkipSync(mode=SkipMode.TARGETS))) == (QUESTIONS, QUESTIONS)
    assert proof(desired(), live) == Proof()


class TestDoubts:
    def found(self, live: Held, *, confirmed: bool = False) -> list[str]:
        there = listing(
            THERE,
            live.parameter,
            tags={live.name: live.tags},
            confirmed=frozenset({live.name}) if confirmed else frozenset(),
        )
        wanted = {"/p/a": desired(), "/p/absent": desired("/p/absent")}
        found = prove(replication(), "us-east-2", wanted, listing(HERE), there, Run())
        return sorted(found.unconfirmed_strangers)

    def test_a_parameter_that_seems_unowned_is_unconfirmed(self) -> None:
        assert self.found(replica(held(), own_tags=False)) == ["/p/a"]

    def test_directly_read_tags_are_confirmed(self) -> None:
        assert self.found(replica(held(), own_tags=False), confirmed=True) == []

    def test_a_parameter_of_another_owner_is_confirmed(self) -> None:
        assert self.found(replica(held())) == []
        assert self.found(replica(held(), owner="staging@123456789012/us-east-1")) == []

    def test_absent_and_unplaced_parameters_are_confirmed(self) -> None:
        assert self.found(replica(held("/q/a"), own_tags=False)) == []
