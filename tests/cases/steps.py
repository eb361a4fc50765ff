"""A case's `world.yaml` -> a world in memory, on a clock that only the case turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import KeyState, Place
from ssm_reconcile.record import RECORD, record_of
from tests.doubles.clock import FakeClock
from tests.fake_aws.behaviour import AwsBehaviour, facts
from tests.fake_aws.traffic import Fault, lost, refused
from tests.fake_aws.world import SOMEBODY, Seen
from tests.simulated_aws import SimulatedAws

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
Document = Mapping[str, Any]
_DIGEST = re.compile(r"=[0-9a-f]{16,32}\b")
"""In a record: of ARNs, keys and rules. They are the same in every run, and of no use to a reader."""


def arrange(document: Document) -> SimulatedAws:
    """Return an AWS with the keys and parameters of a document, an hour later."""
    aws = SimulatedAws(behaviour=_behaviour_of(document.get("readings") or {}), clock=FakeClock(START))
    for name, keys in (document.get("keys") or {}).items():
        for key in keys:
            _add_key(aws, aws.place(name), key if isinstance(key, dict) else {"alias": key})
    for name, every in (document.get("parameters") or {}).items():
        for parameter, said in every.items():
            _put(aws, aws.place(name), parameter, said)
    for name, prefixes in (document.get("many") or {}).items():
        for prefix, count in prefixes.items():
            for number in range(count):
                _put(aws, aws.place(name), f"{prefix}/{number:03}", f"value {number}")
    aws.pass_time()
    return aws


def do(aws: SimulatedAws, step: Document) -> None:
    """One step of `then` or `meanwhile`: what other people do."""
    if "wait" in step:
        aws.pass_time(seconds=step["wait"])
        return
    place = aws.place(step["in"])
    for name, said in (step.get("put") or {}).items():
        _put(aws, place, name, said)
    aws.world.delete(place, *(step.get("delete") or ()))
    for name, tags in (step.get("tag") or {}).items():
        aws.world.tag(place, name, {key: str(value) for key, value in tags.items()})
    for name, keys in (step.get("untag") or {}).items():
        aws.world.untag(place, name, *keys)
    for name, other in (step.get("copy_tags") or {}).items():
        aws.world.tag(place, other, aws.world.tags(place, name) or {})
    for name, value in (step.get("forge") or {}).items():
        _forge(aws, place, name, value)
    for alias, reference in (step.get("point_alias") or {}).items():
        aws.world.point_alias(place, alias, reference)
    for reference, state in (step.get("key_state") or {}).items():
        aws.world.set_key(place, reference, KeyState[state])


def break_down(aws: SimulatedAws, document: Document, when: str) -> None:
    """From now on what the case says goes wrong `plan` or `apply`; for anything else nothing does."""
    planned = list(_faults(aws, (document.get("faults") or {}).get(when) or ()))
    aws.world.traffic.forget()

    def plan(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
        return next((f for fits, f in planned if fits(operation, place, names, nth)), None)

    aws.world.faults = plan if planned else None


def interfere(aws: SimulatedAws, document: Document) -> None:
    """Has everything of `meanwhile` happen during the next command."""
    for step in document.get("meanwhile") or ():
        aws.world.before(step["before"], partial(do, aws, step), name=step.get("name"))


def secrets(aws: SimulatedAws) -> set[str]:
    """Every SecureString value that any place holds, in any version: rewritten ones too."""
    return {
        version.settled.value.reveal()
        for place in aws.world.state()
        for stored in aws.world.region(place).parameters.values()
        for version in stored.versions
        if version.parameter.is_secret
    }


def state(aws: SimulatedAws) -> dict[Place, Mapping[str, Seen]]:
    """All there is, to be compared with another moment; a place that was only looked at is none."""
    return {place: every for place, every in aws.world.state().items() if every}


def held(aws: SimulatedAws, *, but: Place) -> dict[str, Any]:
    """Return the content of every place except one, readable and the same in each run."""
    state = aws.world.state()
    return {
        str(place): {name: _shown(aws, place, name) for name in every}
        for place, every in sorted(state.items())
        if place != but and every
    }


def _shown(aws: SimulatedAws, place: Place, name: str) -> dict[str, Any]:
    stored = aws.world.peek(place, name)
    assert stored is not None
    shown, settled = stored.latest.parameter, stored.latest.settled
    key = None if stored.latest.key_arn is None else stored.latest.key_arn
    every = {
        "type": shown.type,
        "value": settled.value.reveal(),
        "version": shown.version,
        "by": _person(shown.last_modified_user),
        "description": shown.description,
        "pattern": shown.allowed_pattern,
        "tier": "" if shown.tier == "Standard" else shown.tier,
        "policies": list(shown.policies),
        "data_type": "" if shown.data_type == "text" else shown.data_type,
        "key": shown.key_id,
        "encrypted_under": _aliases(aws, place, key) if key else None,
        "tags": {key: _DIGEST.sub("=…", text) for key, text in sorted(stored.tags.items())},
    }
    return {word: what for word, what in every.items() if what}


def _aliases(aws: SimulatedAws, place: Place, arn: str) -> str:
    """The alias that a key has now, which is easier to read than its id."""
    region = aws.world.region(place)
    named = [alias for alias, key_id in sorted(region.aliases.items()) if arn.endswith(f"/{key_id}")]
    return " ".join(named) or arn


def _add_key(aws: SimulatedAws, place: Place, said: Document) -> None:
    alias = said["alias"]
    aws.world.add_key(place, alias, multi_region=bool(said.get("multi_region")))
    if "state" in said:
        aws.world.set_key(place, alias, KeyState[said["state"]])


def _forge(aws: SimulatedAws, place: Place, name: str, value: str) -> None:
    """A value and the record that goes with it: what no accident does, and versions cannot tell."""
    there = aws.world.peek(place, name)
    assert there is not None
    version = aws.world.put(place, name, value, there.latest.parameter.type)
    record = record_of(there.tags)
    assert record is not None
    forged = replace(record, version=version, written=aws.clock.now())
    aws.world.tag(place, name, {RECORD: forged.text()})


def _put(aws: SimulatedAws, place: Place, name: str, said: Any) -> None:
    given = dict(said) if isinstance(said, dict) else {"value": said}
    value = str(given.pop("value")) * given.pop("times", 1)
    kind = given.pop("type", "String")
    words = {"key": "key_id", "pattern": "allowed_pattern"}
    by = given.pop("by", SOMEBODY)
    tags = given.pop("tags", None)
    if isinstance(tags, int):  # so many of them
        tags = {f"tag-{number:02}": "x" for number in range(tags)}
    aws.world.put(
        place, name, value, kind,
        user=by if by.startswith("arn:") else f"arn:aws:iam::{place.account}:user/{by}",
        policies=given.pop("policies", ()),
        **{words.get(word, word): text for word, text in given.items()},
    )  # fmt: skip
    if tags is not None:
        aws.world.tag(place, name, {key: str(text) for key, text in tags.items()})


def _person(arn: str) -> str:
    """The user, or the role without the name of its session."""
    return arn.split("/")[1]


def _behaviour_of(said: Mapping[str, str]) -> AwsBehaviour:
    known = facts()
    return AwsBehaviour(**{fact: type(known[fact][0])[word] for fact, word in said.items()})


Fits = Callable[[str, Place, tuple[str, ...], int], bool]


def _faults(aws: SimulatedAws, said: Any) -> Iterator[tuple[Fits, Fault]]:
    for one in said:
        where = aws.place(one["in"]) if "in" in one else None
        kind = Trouble[one.get("kind", "DENIED")]
        fault = lost(done=bool(one.get("done"))) if kind is Trouble.LOST else refused(kind)

        def fits(
            operation: str, place: Place, names: tuple[str, ...], nth: int, one: Any = one, where: Any = where
        ) -> bool:
            return (
                operation == one["operation"]
                and where in (None, place)
                and one.get("nth") in (None, nth)
                and (one.get("name") is None or any(n.partition(":")[0] == one["name"] for n in names))
            )

        yield fits, fault
