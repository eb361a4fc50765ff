"""Places -> what they hold; later, the values that are asked for, shaped and sealed.

Everything here reads and nothing decides. A listing that fails half way is handed on as incomplete;
what to make of that is for others to say. Cost of listing N parameters: N/50 DescribeParameters and
N/100 GetResources, the two streams side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from sys import intern
from typing import TypeVar

from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import (
    SECURE,
    Keyring,
    Listing,
    Parameter,
    Place,
    Reading,
    Tags,
    UnreadableValue,
    Value,
    ValueRequest,
    canonical,
)
from ssm_reconcile.progress import Phase, Progress, ProgressListener
from ssm_reconcile.shape import read as read_one
from ssm_reconcile.stores.base import Reader
from ssm_reconcile.system import ReadPool

Key = TypeVar("Key")
CHUNK = 400
"""How many values are in memory at a time."""
REPLACEABLE = frozenset({Trouble.DENIED, Trouble.UNREACHABLE})
"""Failures of GetResources after which ListTagsForResource is asked instead."""
AT_ONCE = 8
"""Requests under way at a time in one place, where AWS has no batch call."""


def list_place(reader: Reader, watch: ProgressListener) -> Listing:
    """Everything that one place holds. Never raises for a failed call: then it is incomplete.

    Without permission for GetResources, or where its endpoint cannot be reached, tags are read one by
    one; `trouble` says so.
    """
    with ReadPool(max_workers=2) as pool:
        describing = pool.submit(_describe, reader, watch)
        tagging = pool.submit(_tags_in_bulk, reader, watch)
        parameters, failure = describing.result()
        tags, tag_failure = tagging.result()
    confirmed: frozenset[str] = frozenset()
    trouble = ""
    if failure is None and tag_failure is not None and tag_failure.kind in REPLACEABLE:
        trouble = explain_slow_tags(reader.place, tag_failure)
        tags, tag_failure = list_tags_one_by_one(reader, parameters, watch)
        confirmed = frozenset(tags)
    if tag_failure is not None:
        # without its tags nothing can be said of a parameter: it counts as not seen
        parameters = {name: one for name, one in parameters.items() if name in tags}
    failure = failure or tag_failure
    if failure is not None:
        trouble = trouble_of(failure)
    return Listing(
        place=reader.place,
        caller=reader.caller,
        parameters=parameters,
        tags=tags,
        confirmed=confirmed,
        complete=failure is None,
        trouble=trouble,
    )


def trouble_of(failure: StoreError) -> str:
    """Return what failed, and what to do about it."""
    return str(failure) + (f". {failure.remedy}" if failure.remedy else "")


def _describe(reader: Reader, watch: ProgressListener) -> tuple[dict[str, Parameter], StoreError | None]:
    found: dict[str, Parameter] = {}
    try:
        for page in reader.describe():
            found.update((canonical(parameter.name), parameter) for parameter in page)
            watch(Progress(str(reader.place), Phase.LISTING, len(found)))
        watch(Progress(str(reader.place), Phase.LISTING, len(found), len(found)))
    except StoreError as failure:
        return found, failure
    return found, None


def _tags_in_bulk(reader: Reader, watch: ProgressListener) -> tuple[dict[str, Tags], StoreError | None]:
    found: dict[str, Tags] = {}
    try:
        for page in reader.tagged():
            found.update((name, tags) for name, tags in page.items() if tags)
            watch(Progress(str(reader.place), Phase.TAGS, len(found)))
        watch(Progress(str(reader.place), Phase.TAGS, len(found), len(found)))
    except StoreError as failure:
        return found, failure
    return found, None


def explain_slow_tags(place: Place, failure: StoreError) -> str:
    """Return why tags are read one by one, and how to avoid it."""
    slow = f"tags in {place} are read one by one, which is slow"
    if failure.kind is Trouble.DENIED:
        return f"{slow}: tag:GetResources is not allowed there; {failure.remedy or 'allow it on Resource *'}"
    return (
        f"{slow}: the endpoint of tag:GetResources cannot be reached ({failure.code}); in a VPC without"
        f" internet access create the interface endpoint com.amazonaws.{place.region}.tagging"
    )


def list_tags_one_by_one(
    reader: Reader, parameters: Mapping[str, Parameter], watch: ProgressListener
) -> tuple[dict[str, Tags], StoreError | None]:
    """Read the tags of all parameters of a place with ListTagsForResource; the first failure, if any."""
    fresh, failed = confirm_tags(reader, parameters, watch)
    found = {name: tags for name, tags in fresh.items() if tags is not None}
    return found, next(iter(failed.values()), None)


def confirm_tags(
    reader: Reader, names: Iterable[str], watch: ProgressListener
) -> tuple[dict[str, Tags | None], dict[str, StoreError]]:
    """The tags of some names, read one by one and consistently; and the names that gave an error.

    A name that is not there any more has None.
    """
    wanted = sorted(set(names))
    place, total = str(reader.place), len(wanted)
    fresh: dict[str, Tags | None] = {}
    failed: dict[str, StoreError] = {}
    if wanted:
        watch(Progress(place, Phase.CONFIRMING, 0, total))
    for done, (name, answer) in enumerate(zip(wanted, _each(wanted, reader.tags), strict=True), start=1):
        if isinstance(answer, StoreError):
            failed[name] = answer
        else:
            fresh[name] = answer
        watch(Progress(place, Phase.CONFIRMING, done, total))  # a few a second: this may take minutes
    return fresh, failed


Answer = TypeVar("Answer")


def _each(names: list[str], ask: Callable[[str], Answer]) -> Iterator[Answer | StoreError]:
    """The answers in the order of the names, each as soon as it and those before it are there."""

    def safely(name: str) -> Answer | StoreError:
        try:
            return ask(name)
        except StoreError as failure:
            return failure

    with ReadPool(max_workers=AT_ONCE) as pool:
        yield from pool.map(safely, names)


def resolve_keys(reader: Reader, references: frozenset[str]) -> Keyring:
    """KMS keys of one place, by the references that name them. Asks nothing when there are none.

    Where KMS cannot be asked, nothing is known of any key, and nothing is concluded from that.
    """
    if not references:
        return Keyring({})
    try:
        return Keyring(reader.keys(sorted(references)))
    except StoreError as failure:
        return Keyring({}, f"{failure}. {failure.remedy}".rstrip(". ") + ".")


def read(
    reader: Reader,
    questions: Mapping[Key, ValueRequest],
    key: bytes,
    watch: ProgressListener,
    *,
    decrypt: bool,
) -> dict[Key, Reading | UnreadableValue]:
    """The answers to some questions about one place: each name is read once, whatever it is asked for.

    A value that cannot be read stops that parameter only. Values are sealed with `key` as they come
    in, and not kept.
    """
    asked: dict[str, list[Key]] = {}
    for who, question in questions.items():
        asked.setdefault(canonical(question.name), []).append(who)
    names = sorted(asked)
    answers: dict[Key, Reading | UnreadableValue] = {}
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        wanted = [questions[asked[name][0]].name for name in chunk]
        found, failed = _values(reader, wanted, decrypt=decrypt)
        for name in chunk:
            for who in asked[name]:
                answers[who] = _answer(
                    questions[who], found.get(name), failed.get(name), key, decrypt=decrypt
                )
        watch(Progress(str(reader.place), Phase.READING, start + len(chunk), len(names)))
    return answers


def _values(
    reader: Reader, names: list[str], *, decrypt: bool
) -> tuple[Mapping[str, Value], Mapping[str, StoreError]]:
    try:
        answers = reader.values(names, decrypt=decrypt)
    except StoreError as failure:
        return {}, {canonical(name): failure for name in names}
    return answers.found, answers.failed


def _answer(
    question: ValueRequest, value: Value | None, failure: StoreError | None, key: bytes, *, decrypt: bool
) -> Reading | UnreadableValue:
    if value is not None and value.type == SECURE and not decrypt:
        return UnreadableValue("NotDecrypted", "it became a SecureString while the plan was made")
    if value is not None:
        found = read_one(
            value,
            question.substitutions,
            key,
            show=question.show,
            pattern=question.pattern,
            lifted=question.lifted,
            region=question.region,
        )
        # What is the same in all places is in memory once.
        return found if found.excerpt is None else replace(found, excerpt=intern(found.excerpt))
    if failure is not None:
        reason = failure.remedy or "AWS refused to read it"
        return UnreadableValue(failure.code, reason, of_key=failure.kind is Trouble.KEY)
    return UnreadableValue("ParameterNotFound", "it vanished while the plan was made")
