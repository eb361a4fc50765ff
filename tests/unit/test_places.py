"""The way to the places, and that they are the right ones: all of it before the first read."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from ssm_reconcile.errors import PlaceError, StoreError, Trouble, UsageError, Where
from ssm_reconcile.model import Access, Place
from ssm_reconcile.session import narrow_specs, open_places
from ssm_reconcile.spec import Replication, Run, Source, Target
from ssm_reconcile.stores.base import Store
from tests.builders import NOW, replication, target
from tests.doubles.clock import FakeClock
from tests.fake_aws.store import Memory
from tests.fake_aws.traffic import Fault, at_call, refused
from tests.fake_aws.world import World

OTHER = "210987654321"
ROLE = f"arn:aws:iam::{OTHER}:role/ssm-reconcile"


def world() -> World:
    return World(FakeClock(NOW))


def two(role_arn: str | None = None) -> Replication:
    return replication(targets=(target(), Target("dr", Access("eu-west-1", role_arn=role_arn))))


class TestNarrowing:
    def test_without_targets_named_all_are_meant(self) -> None:
        assert narrow_specs([two()], Run()) == (two(),)

    def test_named_targets_alone_are_left(self) -> None:
        (found,) = narrow_specs([two()], Run(targets=("dr",)))
        assert [one.name for one in found.targets] == ["dr"]

    def test_a_replication_without_any_of_them_drops_out(self) -> None:
        one = replace(two(), name="dev", targets=(target(),))
        assert [found.name for found in narrow_specs([one, two()], Run(targets=("dr",)))] == ["prod"]

    def test_a_name_that_no_target_has_is_an_error_that_offers_the_others(self) -> None:
        with pytest.raises(UsageError, match="no target is named 'dr-eu'") as refused:
            narrow_specs([two()], Run(targets=("dr", "dr-eu")))
        assert refused.value.remedy == "the spec has: dr, us-east-2"


class TestOpening:
    def test_each_place_is_opened_once_and_nothing_is_read(self) -> None:
        w = world()
        places = open_places([two(), replace(two(), name="dev")], Memory(w).connect, Run())
        assert len(places.opened) == 3
        assert [call.operation for call in w.calls] == ["GetCallerIdentity"] * 3
        assert places.store(Access("eu-west-1")).place.region == "eu-west-1"

    def test_only_the_places_that_the_run_is_narrowed_to_are_opened(self) -> None:
        places = open_places([two()], Memory(world()).connect, Run(targets=("dr",)))
        assert {access.region for access in places.opened} == {"us-east-1", "eu-west-1"}

    def test_a_role_leads_to_its_account(self) -> None:
        places = open_places([two(role_arn=ROLE)], Memory(world()).connect, Run())
        assert places.store(Access("eu-west-1", role_arn=ROLE)).place.account == OTHER

    def test_one_place_that_cannot_be_opened_is_left_to_the_plan(self) -> None:
        w = world()
        down = w.place("eu-west-1")
        w.faults = lambda _op, place, _names, _nth: refused(Trouble.UNREACHABLE) if place == down else None
        spec = replication(targets=(target(), Target("dr", Access("eu-west-1"), account="123456789012")))
        places = open_places([spec], Memory(w).connect, Run())
        assert places.store(Access("us-east-2")).place.region == "us-east-2"
        with pytest.raises(StoreError):
            places.store(Access("eu-west-1"))

    def test_when_none_can_be_opened_the_run_ends(self) -> None:
        w = world()
        w.faults = at_call("GetCallerIdentity", refused(Trouble.CREDENTIALS))
        with pytest.raises(StoreError, match="ExpiredTokenException"):
            open_places([two()], Memory(w).connect, Run())

    @pytest.mark.threads
    def test_places_are_opened_at_the_same_time_in_the_order_of_the_spec(self) -> None:
        connect = Memory(world()).connect
        all_others, names = threading.Barrier(40), [f"us-east-{number}" for number in range(10, 50)]

        def open_with_others(access: Access) -> Store:
            if access != spec.source.access:
                all_others.wait(timeout=10)
            return connect(access)

        spec = replication(targets=tuple(Target(name, Access(name)) for name in names))
        opened = open_places([spec], open_with_others, Run()).opened
        assert [access.region for access in opened] == ["us-east-1", *names]

    @pytest.mark.threads
    def test_the_calling_thread_opens_places_until_one_is_open_as_it_may_be_asked_for_an_mfa_code(
        self,
    ) -> None:
        w = world()
        down = (w.place("us-east-1"), w.place("us-east-2"))
        w.faults = lambda _op, place, _names, _nth: refused(Trouble.UNREACHABLE) if place in down else None
        connect, threads = Memory(w).connect, []

        def open_in_thread(access: Access) -> Store:
            threads.append((access.region, threading.current_thread() is threading.main_thread()))
            return connect(access)

        names = ("us-east-2", "eu-west-1", "eu-west-2", "eu-west-3")
        spec = replication(targets=tuple(Target(name, Access(name)) for name in names))
        open_places([spec], open_in_thread, Run())
        assert threads[:3] == [("us-east-1", True), ("us-east-2", True), ("eu-west-1", True)]
        assert sorted(threads[3:]) == [("eu-west-2", False), ("eu-west-3", False)]

    @pytest.mark.threads
    def test_the_error_of_the_first_place_of_the_spec_ends_the_run_whichever_comes_first(self) -> None:
        w, gone = world(), threading.Event()

        def fail(_operation: str, place: Place, _names: tuple[str, ...], _nth: int) -> Fault | None:
            if place.region == "us-east-2":
                gone.wait(timeout=10)
                raise ValueError("first of the spec")
            if place.region == "eu-west-1":
                gone.set()
                raise ValueError("first in time")
            return None

        w.faults = fail
        with pytest.raises(ValueError, match="first of the spec"):
            open_places([two()], Memory(w).connect, Run())

    def test_two_replications_of_one_name_are_an_error_that_says_where(self) -> None:
        one = replication(where=Where("a.yaml", 1, 1))
        other = replication(where=Where("b.yaml", 3, 1))
        with pytest.raises(UsageError, match=r"have the name prod \(a.yaml:1:1, b.yaml:3:1\)"):
            open_places([one, other], Memory(world()).connect, Run())


class TestTheRightOnes:
    def opened(self, spec: Replication) -> set[str]:
        """Open the places of a spec and return each as account/region."""
        places = open_places([spec], Memory(world()).connect, Run())
        return {str(places.store(access).place) for access in places.opened}

    def test_the_account_of_the_spec_is_asked_for(self) -> None:
        here = Source(Access("us-east-1"), account="123456789012")
        found = self.opened(replication(source=here, targets=(target(account="123456789012"),)))
        assert found == {"123456789012/us-east-1", "123456789012/us-east-2"}

    def test_another_account_at_the_source_is_an_error(self) -> None:
        here = Source(Access("us-east-1"), account=OTHER, where=Where("replication.yaml", 4, 3))
        with pytest.raises(
            PlaceError, match=f"source should be account {OTHER}, but .* for 123456789012"
        ) as error:
            self.opened(replication(source=here))
        assert "replication.yaml:4:3" in error.value.remedy
        assert error.value.exit_code == 1

    def test_another_account_at_a_target_is_an_error(self) -> None:
        with pytest.raises(PlaceError, match="target us-east-2 should be account"):
            self.opened(replication(targets=(target(account=OTHER),)))

    def test_a_target_that_is_the_source_is_an_error(self) -> None:
        aims = (Target("x", Access("us-east-1")),)
        with pytest.raises(PlaceError, match="target x and the source are the same place") as error:
            self.opened(replication(targets=aims))
        assert "`account` under `source`" in error.value.remedy
        known = Source(Access("us-east-1"), account="123456789012")
        with pytest.raises(PlaceError) as error:
            self.opened(replication(source=known, targets=aims))
        assert "`account`" not in error.value.remedy

    def test_two_targets_that_are_one_place_are_an_error_by_whatever_role(self) -> None:
        role = "arn:aws:iam::123456789012:role/another"
        aims = (target("a"), Target("b", Access("us-east-2", role_arn=role)))
        with pytest.raises(PlaceError, match="target b and target a are the same place"):
            self.opened(replication(targets=aims))

    def test_the_same_region_of_another_account_is_another_place(self) -> None:
        found = self.opened(replication(targets=(Target("x", Access("us-east-1", role_arn=ROLE)),)))
        assert found == {"123456789012/us-east-1", f"{OTHER}/us-east-1"}
