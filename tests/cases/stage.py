"""A case's `world.yaml` -> a world in memory, on a clock that only the case turns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ssm_reconcile.errors import Trouble
from ssm_reconcile.model import KeyState, Place
from ssm_reconcile.record import RECORD, record_of
from tests.fake_aws.behaviour import AwsBehaviour, facts
from tests.fake_aws.traffic import Fault, lost, refused
from tests.fake_aws.world import ACCOUNT, SOMEBODY, Seen
from tests.simulated_aws import SimulatedAws

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
Document = Mapping[str, Any]
_DIGEST = re.compile(r"=[0-9a-f]{16,32}\b")
"""In a record: of ARNs, keys and rules. They are the same in every run, and of no use to a reader."""


class Stage(SimulatedAws):
    """One world. `clock` is the world's and the command line's, so that records carry its time."""

    def __init__(self, document: Document) -> None:
        super().__init__(_readings(document.get("readings") or {}), start=START)
        self.document = document
        for name, keys in (document.get("keys") or {}).items():
            for key in keys:
                self._add_key(self.place(name), key if isinstance(key, dict) else {"alias": key})
        for name, every in (document.get("parameters") or {}).items():
            for parameter, said in every.items():
                self._put(self.place(name), parameter, said)
        for name, prefixes in (document.get("many") or {}).items():
            for prefix, count in prefixes.items():
                for number in range(count):
                    self._put(self.place(name), f"{prefix}/{number:03}", f"value {number}")
        self.pass_time()

    def place(self, name: str) -> Place:
        """A place by `region` or `account/region`."""
        account, _, region = str(name).rpartition("/")
        return self.world.place(region, account or ACCOUNT)

    def pass_time(self, by: timedelta = HOUR) -> None:
        self.clock.advance(by)

    def do(self, step: Document) -> None:
        """One step of `then` or `meanwhile`: what other people do."""
        if "wait" in step:
            self.pass_time(timedelta(seconds=step["wait"]))
            return
        place = self.place(step["in"])
        for name, said in (step.get("put") or {}).items():
            self._put(place, name, said)
        self.world.delete(place, *(step.get("delete") or ()))
        for name, tags in (step.get("tag") or {}).items():
            self.world.tag(place, name, {key: str(value) for key, value in tags.items()})
        for name, keys in (step.get("untag") or {}).items():
            self.world.untag(place, name, *keys)
        for name, other in (step.get("copy_tags") or {}).items():
            self.world.tag(place, other, self.world.tags(place, name) or {})
        for name, value in (step.get("forge") or {}).items():
            self._forge(place, name, value)
        for alias, reference in (step.get("point_alias") or {}).items():
            self.world.point_alias(place, alias, reference)
        for reference, state in (step.get("key_state") or {}).items():
            self.world.set_key(place, reference, KeyState[state])

    def break_down(self, when: str) -> None:
        """From now on what the case says goes wrong `plan` or `apply`; for anything else nothing does."""
        planned = list(_faults(self, (self.document.get("faults") or {}).get(when) or ()))
        self.world.traffic.forget()

        def plan(operation: str, place: Place, names: tuple[str, ...], nth: int) -> Fault | None:
            return next((f for fits, f in planned if fits(operation, place, names, nth)), None)

        self.world.faults = plan if planned else None

    def interfere(self) -> None:
        """Has everything of `meanwhile` happen during the next command."""
        for step in self.document.get("meanwhile") or ():
            self.world.before(step["before"], partial(self.do, step), name=step.get("name"))

    @property
    def secrets(self) -> set[str]:
        """Every SecureString value that any place holds, in any version: rewritten ones too."""
        return {
            version.settled.value.reveal()
            for place in self.world.state()
            for stored in self.world.region(place).parameters.values()
            for version in stored.versions
            if version.parameter.is_secret
        }

    def state(self) -> dict[Place, Mapping[str, Seen]]:
        """All there is, to be compared with another moment; a place that was only looked at is none."""
        return {place: every for place, every in self.world.state().items() if every}

    def held(self, *, but: Place) -> dict[str, Any]:
        """Return the content of every place except one, readable and the same in each run."""
        state = self.world.state()
        return {
            str(place): {name: self._shown(place, name) for name in every}
            for place, every in sorted(state.items())
            if place != but and every
        }

    def _shown(self, place: Place, name: str) -> dict[str, Any]:
        stored = self.world.peek(place, name)
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
            "encrypted_under": self._aliases(place, key) if key else None,
            "tags": {key: _DIGEST.sub("=…", text) for key, text in sorted(stored.tags.items())},
        }
        return {word: what for word, what in every.items() if what}

    def _aliases(self, place: Place, arn: str) -> str:
        """The alias that a key has now, which is easier to read than its id."""
        region = self.world.region(place)
        named = [alias for alias, key_id in sorted(region.aliases.items()) if arn.endswith(f"/{key_id}")]
        return " ".join(named) or arn

    def _add_key(self, place: Place, said: Document) -> None:
        alias = said["alias"]
        self.world.add_key(place, alias, multi_region=bool(said.get("multi_region")))
        if "state" in said:
            self.world.set_key(place, alias, KeyState[said["state"]])

    def _forge(self, place: Place, name: str, value: str) -> None:
        """A value and the record that goes with it: what no accident does, and versions cannot tell."""
        there = self.world.peek(place, name)
        assert there is not None
        version = self.world.put(place, name, value, there.latest.parameter.type)
        record = record_of(there.tags)
        assert record is not None
        forged = replace(record, version=version, written=self.clock.now())
        self.world.tag(place, name, {RECORD: forged.text()})

    def _put(self, place: Place, name: str, said: Any) -> None:
        given = dict(said) if isinstance(said, dict) else {"value": said}
        value = str(given.pop("value")) * given.pop("times", 1)
        kind = given.pop("type", "String")
        words = {"key": "key_id", "pattern": "allowed_pattern"}
        by = given.pop("by", SOMEBODY)
        tags = given.pop("tags", None)
        if isinstance(tags, int):  # so many of them
            tags = {f"tag-{number:02}": "x" for number in range(tags)}
        self.world.put(
            place, name, value, kind,
            user=by if by.startswith("arn:") else f"arn:aws:iam::{place.account}:user/{by}",
            policies=given.pop("policies", ()),
            **{words.get(word, word): text for word, text in given.items()},
        )  # fmt: skip
        if tags is not None:
            self.world.tag(place, name, {key: str(text) for key, text in tags.items()})


def _person(arn: str) -> str:
    """The user, or the role without the name of its session."""
    return arn.split("/")[1]


def _readings(said: Mapping[str, str]) -> AwsBehaviour:
    known = facts()
    return AwsBehaviour(**{fact: type(known[fact][0])[word] for fact, word in said.items()})


Fits = Callable[[str, Place, tuple[str, ...], int], bool]


def _faults(stage: Stage, said: Any) -> Iterator[tuple[Fits, Fault]]:
    for one in said:
        where = stage.place(one["in"]) if "in" in one else None
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
