"""Order-free: in whatever order and in whatever pages AWS lists, the plan and its bytes are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.documents.encode import plan_document
from ssm_reconcile.model import Access, Parameter, Place
from ssm_reconcile.model import Tags as TagMap
from ssm_reconcile.plan import Plan
from ssm_reconcile.renderers.escaping import dumps
from ssm_reconcile.stores.base import Answers
from tests.fake_aws.store import Memory, MemoryStore
from tests.fake_aws.world import Pages, World
from tests.property.profiles import examples
from tests.property.scenarios import Scenario, scenarios

Item = TypeVar("Item")


class Shuffled(MemoryStore):
    """A store whose listings and answers come in an order of their own: a hash of what they are, salted."""

    def __init__(self, world: World, place: Place, salt: int) -> None:
        super().__init__(world, place)
        self._salt = salt

    def _mixed(self, items: Iterable[Item]) -> list[Item]:
        return sorted(items, key=lambda item: hashlib.sha256(f"{self._salt} {item!r}".encode()).digest())

    def describe(self) -> Iterator[Sequence[Parameter]]:
        yield self._mixed(parameter for page in super().describe() for parameter in page)

    def tagged(self) -> Iterator[Mapping[str, TagMap]]:
        found = self._mixed(pair for page in super().tagged() for pair in page.items())
        yield from ({name: dict(self._mixed(tags.items()))} for name, tags in found)

    def tags(self, name: str) -> TagMap | None:
        found = super().tags(name)
        return None if found is None else dict(self._mixed(found.items()))

    def values(self, names: Iterable[str], *, decrypt: bool) -> Answers:
        answers = super().values(names, decrypt=decrypt)
        return Answers(dict(self._mixed(answers.found.items())), answers.missing, answers.failed)


def as_bytes(plan: Plan) -> str:
    """A plan as it is saved, without its time."""
    plan = replace(plan, as_of=None)
    return dumps(plan_document(plan, tool_version="0", created=datetime(2026, 11, 23, tzinfo=UTC)))


@given(scenario=scenarios(), salt=st.integers(0, 99))
@examples(17)
def test_the_order_of_listings_and_answers_makes_no_difference(scenario: Scenario, salt: int) -> None:
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)

    def connect(access: Access) -> MemoryStore:
        return Shuffled(aws.world, Memory(aws.world).connect(access).place, salt)

    aws.connect = connect
    mixed = aws.plan(scenario.spec, run=scenario.run)
    assert mixed.plan_id == plan.plan_id
    assert as_bytes(mixed) == as_bytes(plan)


sizes = st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any).map(tuple)


@given(scenario=scenarios(), describe=sizes, resources=sizes)
@examples(12)
def test_the_size_of_pages_makes_no_difference(
    scenario: Scenario, describe: tuple[int, ...], resources: tuple[int, ...]
) -> None:
    """Short pages, and empty ones with more to come, as the API reference says."""
    aws = scenario.play()
    plan = aws.plan(scenario.spec, run=scenario.run)
    aws.world.pages = Pages(describe, resources)
    paged = aws.plan(scenario.spec, run=scenario.run)
    assert paged.plan_id == plan.plan_id
    assert as_bytes(paged) == as_bytes(plan)


@given(scenario=scenarios())
@examples(10)
def test_the_same_world_gives_the_same_bytes_twice(scenario: Scenario) -> None:
    """Although the key of the digests, the clock and the threads are other ones each time."""
    aws = scenario.play()
    first = aws.plan(scenario.spec, run=scenario.run)
    aws.clock.sleep(1.5)
    assert as_bytes(aws.plan(scenario.spec, run=scenario.run)) == as_bytes(first)
