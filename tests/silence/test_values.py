"""Silence about the parts of values: one part that is a secret hides all of both values, in every output."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ssm_reconcile.model import SECURE
from ssm_reconcile.shape import EXCERPT
from ssm_reconcile.spec import AdoptMode, Glob
from tests.property import actions
from tests.property.places import LIFTED, NEAR, SOURCE, three_places
from tests.property.test_converge import full_spec
from tests.silence.listening import everything, listening
from tests.silence.planted import Planted, leaks, token
from tests.simulated_aws import SimulatedAws

HERE = replace(LIFTED, targets=(NEAR,))
FORMS = {
    "json": lambda secret: json.dumps({"a": 1, "b": "x" * 300, "db": {"password": secret}}),
    "yaml": lambda secret: (
        "a: 1\n" + "".join(f"k{n}: v{n}\n" for n in range(60)) + f"db:\n  password: {secret}\n"
    ),
    "env": lambda secret: "".join(f"K{n}=v{n}\n" for n in range(60)) + f"API_TOKEN={secret}\n",
    "lines": lambda secret: "line\n" * 100 + f"  see redis://:{secret}@cache:6379/0\n" + "line\n" * 100,
    "list": lambda secret: ",".join(["item"] * 100 + [f"redis://:{secret}@cache:6379/0"]),
    "one line": lambda secret: "x" * 3000 + f" postgres://app:{secret}@db.example.org/app",
}
"""Values of each form, with a secret after more characters than are shown."""


def both_sides(source: str, existing: str, kind: str = "String") -> SimulatedAws:
    aws = three_places()
    places = ((SOURCE, source), (NEAR, existing))
    actions.perform(aws, [actions.Write(place, "/p/a", value, kind) for place, value in places])
    aws.pass_time(minutes=20)
    return aws


def outputs(aws: SimulatedAws, *, adopt: AdoptMode, show: tuple[Glob, ...] = ()) -> dict[str, str]:
    with listening() as ear:
        return everything(aws, replace(full_spec(), adopt=adopt, show=show), HERE, ear)


def hidden_attributes(said: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield every attribute that is marked as a secret in a document."""
    for text in (said["plan as json"], said["saved plan"]):
        document = json.loads(text)
        for entry in (*document["changes"], *document["others"]):
            yield from (one for one in entry.get("attributes", {}).values() if one.get("secret"))


@pytest.mark.parametrize("adopt", [AdoptMode.OVERWRITE, AdoptMode.IDENTICAL], ids=["update", "conflict"])
@pytest.mark.parametrize("is_source", [True, False], ids=["source", "target"])
@pytest.mark.parametrize("form", FORMS)
def test_a_secret_after_the_part_that_is_shown_hides_both_values(
    form: str, adopt: AdoptMode, *, is_source: bool
) -> None:
    secret, harmless = (Planted(token(n), FORMS[form](token(n)) if n == 1 else token(n)) for n in (1, 2))
    assert secret.value.index(secret.token) > EXCERPT
    sides = (secret, harmless) if is_source else (harmless, secret)
    said = outputs(both_sides(sides[0].value, sides[1].value), adopt=adopt)
    assert leaks(said, [secret, harmless]) == []
    found = list(hidden_attributes(said))
    assert found
    assert all(one == {"secret": True, "by_shape": True} for one in found)


@pytest.mark.parametrize("adopt", [AdoptMode.OVERWRITE, AdoptMode.IDENTICAL], ids=["update", "conflict"])
def test_no_key_and_no_length_of_a_secure_string_is_in_any_output(adopt: AdoptMode) -> None:
    sides = [json.dumps({token(n): "x" * 3900, "limits": n}) for n in (1, 2)]
    said = outputs(both_sides(sides[0], sides[1], SECURE), adopt=adopt)
    assert leaks(said, [Planted(token(n), side) for n, side in enumerate(sides, start=1)]) == []
    found = list(hidden_attributes(said))
    assert found
    assert all(one == {"secret": True} for one in found)


PRIVATE = ("plan as text", "plan as json", "saved plan")
SHOWN = ("plan as markdown", "plan as html", "comment of level 0", "issue on drift")
PUBLIC = (*SHOWN, "pages")


def test_the_sides_of_a_conflict_are_public_under_show_only() -> None:
    sides = [token(1), token(2)]
    said = outputs(both_sides(*sides), adopt=AdoptMode.IDENTICAL)
    for place in PRIVATE:
        assert all(side in said[place] for side in sides), place
    for place in PUBLIC:
        assert not any(side in said[place] for side in sides), place
    shown = outputs(both_sides(*sides), adopt=AdoptMode.IDENTICAL, show=(Glob("/p/a"),))
    for place in (*PRIVATE, *SHOWN):
        assert all(side in shown[place] for side in sides), place
