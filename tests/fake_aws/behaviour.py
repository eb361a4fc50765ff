"""Unconfirmed facts about AWS, each with the possible readings.

Where the documents of AWS are silent or contradict each other, the product must be right either way. A
`AwsBehaviour` names one reading of every such fact; the memory store and the strict double of SSM behave
by it, so that a test can run the same law in a world of each kind.

The default reading of each fact is the first one of its enum: what the evidence favours, or where
there is none, what is harder on a caller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, get_type_hints


class Omitted(StrEnum):
    """Effect of an overwrite on a field that it omits."""

    KEPT = "kept"
    RESET = "reset"


class OmittedKey(StrEnum):
    """Effect of an overwrite of a SecureString without a KeyId."""

    MANAGED = "falls back to alias/aws/ssm"
    KEPT = "kept"


class InPlace(StrEnum):
    """Whether AWS changes a thing in place."""

    ALLOWED = "allowed"
    REFUSED = "refused"


class Unasked(StrEnum):
    """Response of AWS to a field that has no effect there."""

    REFUSED = "refused"
    ACCEPTED = "accepted"


class KeyForm(StrEnum):
    """Form in which a key given by id or ARN is reported; an alias is reported as itself."""

    AS_GIVEN = "as given"
    ALIAS = "by an alias of the key"
    KEY_ID = "by the key id"


class Expired(StrEnum):
    """Effect of a put whose Expiration is already past."""

    REFUSED = "refused"
    DELETED = "accepted, and deleted at once"


class PolicyText(StrEnum):
    """Whether AWS rewrites the text of a policy."""

    KEPT = "kept"
    NORMALISED = "keys sorted, times in UTC with milliseconds"


class ListSpaces(StrEnum):
    """Effect on spaces around the commas of a StringList."""

    STRIPPED = "stripped"
    KEPT = "kept"


class Moves(StrEnum):
    """Whether a change of tags or labels moves LastModifiedDate."""

    NO = "no"
    YES = "yes"


class Recreate(StrEnum):
    """Response of AWS to a create within 30 seconds of the delete."""

    BUSY = "TooManyUpdates"
    EXISTS = "ParameterAlreadyExists"
    ALLOWED = "allowed"


class Match(StrEnum):
    """Match of AllowedPattern against a value."""

    WHOLE = "the whole value"
    ANYWHERE = "anywhere in the value"


class Duplicates(StrEnum):
    """Response of GetParameters to a name that is given twice."""

    REFUSED = "refused"
    ONCE = "answered once"


@dataclass(frozen=True, slots=True)
class AwsBehaviour:
    """One possible AWS: a reading of each fact that is in conflict or unknown."""

    type_change: InPlace = InPlace.ALLOWED
    """The type, by an overwrite; refused is HierarchyTypeMismatchException."""
    data_type_change: InPlace = InPlace.REFUSED
    """The data type, by an overwrite that names another one."""
    tier_omitted: Omitted = Omitted.KEPT
    """Reset is the default tier of the region, Standard."""
    pattern_omitted: Omitted = Omitted.KEPT
    data_type_omitted: Omitted = Omitted.KEPT
    """`RESET` is `text`."""
    key_omitted: OmittedKey = OmittedKey.MANAGED
    """A SecureString overwritten without KeyId."""
    key_form: KeyForm = KeyForm.AS_GIVEN
    key_on_plain: Unasked = Unasked.REFUSED
    """KeyId with a String; accepted means ignored."""
    clear_on_standard: Unasked = Unasked.REFUSED
    """Policies `[{}]` where the tier is Standard, so that there is nothing to clear."""
    text_with_secret: Unasked = Unasked.REFUSED
    """DataType `text` sent with a SecureString, which some partitions refuse."""
    past_expiration: Expired = Expired.REFUSED
    policy_text: PolicyText = PolicyText.KEPT
    list_spaces: ListSpaces = ListSpaces.STRIPPED
    pattern_match: Match = Match.WHOLE
    tags_move_modified: Moves = Moves.NO
    recreate: Recreate = Recreate.BUSY
    duplicate_names: Duplicates = Duplicates.REFUSED


def facts() -> Mapping[str, tuple[Any, ...]]:
    """Every open fact by its field of `AwsBehaviour`, with its possible readings, the default first.

    For a property test over whole worlds: `st.builds(AwsBehaviour, **{f: st.sampled_from(r) ...})`.
    """
    kinds = get_type_hints(AwsBehaviour)
    found = {}
    for fact in fields(AwsBehaviour):
        first = getattr(AwsBehaviour(), fact.name)
        rest = (reading for reading in kinds[fact.name] if reading is not first)
        found[fact.name] = (first, *rest)
    return found


def all_readings() -> Iterator[AwsBehaviour]:
    """The default, each single departure from it, and all departures together.

    Not the product of all facts: that is thousands; random combinations are a property test's work.
    """
    yield AwsBehaviour()
    for fact, (_, *others) in facts().items():
        for reading in others:
            yield AwsBehaviour(**{fact: reading})
    yield AwsBehaviour(**{fact: readings[-1] for fact, readings in facts().items()})


def label(readings: AwsBehaviour) -> str:
    """A short name for a test's id: what departs from the default."""
    default = AwsBehaviour()
    changed = [
        f"{fact.name}={getattr(readings, fact.name).name.lower()}"
        for fact in fields(AwsBehaviour)
        if getattr(readings, fact.name) is not getattr(default, fact.name)
    ]
    return ",".join(changed) if changed else "default"
