"""Places -> their parameters and tags; later, facts about values that were read.

This module reads and does not decide. A listing that fails is returned as incomplete. Cost of listing N
parameters: N/50 DescribeParameters and N/100 GetResources, in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from ssm_reconcile.shape import read as read_one
from ssm_reconcile.stores.base import Answers, PastVersion, Reader
from ssm_reconcile.system import Clock, Phase, Progress, ProgressListener, ReadPool

_K = TypeVar("_K")
_T = TypeVar("_T")
CHUNK = 400
"""The most values in memory at a time."""
REPLACEABLE = frozenset({Trouble.DENIED, Trouble.UNREACHABLE})
"""Failures of GetResources after which ListTagsForResource is called instead."""
AT_ONCE = 8
"""Parallel requests in one place where AWS has no batch call."""


def list_place(reader: Reader, watch: ProgressListener) -> Listing:
    """Return the parameters and tags of one place; an incomplete listing after a failed call.

    If GetResources is denied, or its endpoint cannot be reached, tags are read one by one, and `trouble`
    has the reason.
    """

    def parameter_pages() -> Iterator[Mapping[str, Parameter]]:
        for page in reader.describe():
            yield {canonical(one.name): one for one in page}

    def tag_pages() -> Iterator[Mapping[str, Tags]]:
        for page in reader.tagged():
            yield {name: tags for name, tags in page.items() if tags}

    with ReadPool(max_workers=2) as pool:
        describing = pool.submit(_read_pages, parameter_pages(), reader.place, Phase.LISTING, watch)
        tagging = pool.submit(_read_pages, tag_pages(), reader.place, Phase.TAGS, watch)
        parameters, failure = describing.result()
        tags, tag_failure = tagging.result()
    confirmed: frozenset[str] = frozenset()
    trouble = ""
    if failure is None and tag_failure is not None and tag_failure.kind in REPLACEABLE:
        trouble = explain_slow_tags(reader.place, tag_failure)
        fresh, failed = confirm_tags(reader, parameters, watch)
        tags = {name: found for name, found in fresh.items() if found is not None}
        tag_failure = next(iter(failed.values()), None)
        confirmed = frozenset(tags)
    if tag_failure is not None:
        # Without its tags the owner of a parameter is unknown, so it counts as not listed.
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


def _read_pages(
    pages: Iterator[Mapping[str, _T]], place: Place, phase: Phase, watch: ProgressListener
) -> tuple[dict[str, _T], StoreError | None]:
    """Return the items of all pages by canonical name, and the failure that ended the listing, if any."""
    found: dict[str, _T] = {}
    try:
        for page in pages:
            found.update(page)
            watch(Progress(str(place), phase, len(found)))
        watch(Progress(str(place), phase, len(found), len(found)))
    except StoreError as failure:
        return found, failure
    return found, None


def explain_slow_tags(place: Place, failure: StoreError) -> str:
    """Return the reason why tags are read one by one, and the remedy."""
    slow = f"tags in {place} are read one by one, which is slow"
    if failure.kind is Trouble.DENIED:
        return f"{slow}: tag:GetResources is not allowed there; {failure.remedy or 'allow it on Resource *'}"
    return (
        f"{slow}: the endpoint of tag:GetResources cannot be reached ({failure.code}); in a VPC without"
        f" internet access create the interface endpoint com.amazonaws.{place.region}.tagging"
    )


def confirm_tags(
    reader: Reader,
    names: Iterable[str],
    watch: ProgressListener,
    *,
    before_read: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Tags | None], dict[str, StoreError]]:
    """Return the tags of some names by ListTagsForResource, which is consistent, and the failures by name.

    The tags of a parameter that does not exist are None.

    Args:
        reader: The place.
        names: Canonical names.
        watch: Receives the progress.
        before_read: Called with each name right before its read, from several threads.
    """

    def read_tags(name: str) -> Tags | None:
        before_read(name)
        return reader.tags(name)

    return _read_by_name(reader, names, read_tags, Phase.CONFIRMING, watch)


def read_histories(
    reader: Reader, names: Iterable[str], watch: ProgressListener
) -> tuple[dict[str, Sequence[PastVersion]], dict[str, StoreError]]:
    """Return the kept versions of some names by GetParameterHistory, and the failures by name.

    Args:
        reader: The place.
        names: Canonical names.
        watch: Receives the progress.
    """
    return _read_by_name(reader, names, reader.history, Phase.HISTORY, watch)


def _read_by_name(
    reader: Reader, names: Iterable[str], ask: Callable[[str], _T], phase: Phase, watch: ProgressListener
) -> tuple[dict[str, _T], dict[str, StoreError]]:
    """Return the answers and the failures of reads for which AWS has no batch call."""
    wanted = sorted(set(names))
    place, total = str(reader.place), len(wanted)
    found: dict[str, _T] = {}
    failed: dict[str, StoreError] = {}
    if wanted:
        watch(Progress(place, phase, 0, total))

    def read_one(name: str) -> _T | StoreError:
        try:
            return ask(name)
        except StoreError as failure:
            return failure

    with ReadPool(max_workers=AT_ONCE) as pool:
        for done, (name, answer) in enumerate(zip(wanted, pool.map(read_one, wanted), strict=True), start=1):
            if isinstance(answer, StoreError):
                failed[name] = answer
            else:
                found[name] = answer
            watch(Progress(place, phase, done, total))  # a few a second: this may take minutes
    return found, failed


@dataclass(frozen=True, slots=True)
class Unsure:
    """Why the state of a name could not be read, and the kind of the failed call; None if no call failed."""

    why: str
    trouble: Trouble | None = None

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class PartialListing:
    """Some parameters of one place. `unsure`: names whose state could not be read, and why."""

    listing: Listing
    unsure: Mapping[str, Unsure] = field(default_factory=dict)


def list_names(
    reader: Reader,
    names: Iterable[str],
    progress: ProgressListener,
    clock: Clock,
    known: Mapping[str, Parameter] | None = None,
) -> PartialListing:
    """Read some parameters of one place by name; all others are absent from the listing.

    DescribeParameters (50 names a call) reads which exist and their attributes, ListTagsForResource (one name
    a call) the tags of those. Never raises for a failed call: a failure of one name makes that name unsure, a
    failure of the place makes the listing incomplete.

    Args:
        reader: The place.
        names: Names in any form; they are read as canonical names.
        progress: Gets the tags, which are read a few a second.
        clock: Takes the time of each read of tags.
        known: The descriptions of at least these names, if they were read a moment ago.
    """
    wanted = frozenset(canonical(name) for name in names)
    try:
        every = reader.describe_names(sorted(wanted)) if known is None else known
        described = {name: one for name, one in every.items() if name in wanted}
    except StoreError as failure:
        return PartialListing(
            Listing(reader.place, reader.caller, complete=False, trouble=trouble_of(failure))
        )
    read_at: dict[str, float] = {}

    def take_time(name: str) -> None:
        read_at[name] = clock.monotonic()

    fresh, failed = confirm_tags(reader, described, progress, before_read=take_time)
    unsure = {name: Unsure(trouble_of(failure), failure.kind) for name, failure in failed.items()}
    unsure |= {name: Unsure("it vanished while it was read") for name, tags in fresh.items() if tags is None}
    tags = {name: tags for name, tags in fresh.items() if tags is not None}
    listing = Listing(
        place=reader.place,
        caller=reader.caller,
        parameters={name: one for name, one in described.items() if name not in unsure},
        tags=tags,
        confirmed=wanted - unsure.keys(),
        tags_read_at={name: read_at[name] for name in tags},
    )
    return PartialListing(listing, unsure)


def overlaid(whole: Listing | StoreError, known: Listing | StoreError) -> Listing | StoreError:
    """Return a whole listing with the state of each name that was read directly; else what failed."""
    if isinstance(whole, StoreError) or isinstance(known, StoreError) or not known.complete:
        return whole if isinstance(whole, StoreError) else known
    direct = known.confirmed
    parameters: dict[str, Parameter] = {k: v for k, v in whole.parameters.items() if k not in direct}
    tags: dict[str, Tags] = {k: v for k, v in whole.tags.items() if k not in direct}
    return replace(
        whole,
        parameters=parameters | dict(known.parameters),
        tags=tags | dict(known.tags),
        confirmed=whole.confirmed | direct,
        tags_read_at=known.tags_read_at,
    )


def resolve_keys(reader: Reader, references: frozenset[str]) -> Keyring:
    """Return the KMS keys of one place by the references that name them. No call without a reference.

    If KMS cannot be called, no key is known, and `trouble` has the reason.
    """
    if not references:
        return Keyring({})
    try:
        return Keyring(reader.keys(sorted(references)))
    except StoreError as failure:
        return Keyring({}, f"{failure}. {failure.remedy}".rstrip(". ") + ".")


def read(
    reader: Reader,
    questions: Mapping[_K, ValueRequest],
    key: bytes,
    watch: ProgressListener,
    *,
    decrypt: bool,
) -> dict[_K, Reading | UnreadableValue]:
    """Return the facts about the values of one place. Each name is read once.

    A value that cannot be read affects that parameter only. Values are not kept.

    Args:
        reader: The place.
        questions: The values to read, by keys of the caller.
        key: The key of the digests.
        watch: Receives the progress.
        decrypt: Whether SecureStrings are decrypted.
    """
    asked: dict[str, list[_K]] = {}
    for who, question in questions.items():
        asked.setdefault(canonical(question.name), []).append(who)
    names = sorted(asked)
    answers: dict[_K, Reading | UnreadableValue] = {}
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        wanted = [questions[asked[name][0]].name for name in chunk]
        try:
            read_now = reader.values(wanted, decrypt=decrypt)
        except StoreError as failure:
            read_now = Answers({}, frozenset(), dict.fromkeys(chunk, failure))
        for name in chunk:
            for who in asked[name]:
                found, failed = read_now.found.get(name), read_now.failed.get(name)
                answers[who] = _answer(questions[who], found, failed, key, decrypt=decrypt)
        watch(Progress(str(reader.place), Phase.READING, start + len(chunk), len(names)))
    return answers


def _answer(
    question: ValueRequest, value: Value | None, failure: StoreError | None, key: bytes, *, decrypt: bool
) -> Reading | UnreadableValue:
    if value is not None and value.type == SECURE and not decrypt:
        return UnreadableValue("NotDecrypted", "it became a SecureString while the plan was made")
    if value is not None:
        found = read_one(value, question, key)
        # Equal texts of several places are kept in memory once.
        return found if found.text is None else replace(found, text=intern(found.text))
    if failure is not None:
        reason = failure.remedy or "AWS refused to read it"
        return UnreadableValue(failure.code, reason, failure.kind)
    return UnreadableValue("ParameterNotFound", "it vanished while the plan was made")
