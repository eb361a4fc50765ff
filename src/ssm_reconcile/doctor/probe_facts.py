"""The area of a probe -> answers to questions about AWS that its documents leave open.

A fact is a few requests on parameters of the run. Its answer is a word of a closed set, so that answers of
several accounts can be compared. A fact that needs a KMS key, an AMI or the Advanced tier is not probed.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ssm_reconcile.aws_limits import DELETE_SECONDS
from ssm_reconcile.doctor.probe_calls import PROBE_TAG, ProbeCalls
from ssm_reconcile.errors import StoreError, Trouble
from ssm_reconcile.model import STRING_LIST

LAG_SECONDS = 60.0
"""Time that the probe waits for GetResources to list a new parameter."""
_POLL = 2.0
_REST = 1.0
"""Seconds between facts: a throttled request does not answer a question."""
_VISIBLE_SECONDS = 10.0
"""Time that the probe waits for a write to be visible in GetParameters."""
_PATTERN_REFUSED = "ParameterPatternMismatchException"
MOST_CREATES = 14
"""Creates of all facts: one for each of `_FACTS`, and the repeated creates of a deleted name."""
UPDATES = 3
TAG_CHANGES = 1
MOST_READS = 100
"""Reads of all facts, most of them while a write is not visible."""


@dataclass(frozen=True, slots=True)
class FactAnswer:
    """The answer to one question.

    Attributes:
        id: A stable kebab-case word.
        question: The question.
        answer: The observation, a word that the documentation lists; None if it was not seen.
        code: The error code of AWS, where it refused a request.
        seconds: The time that was measured.
        reason: The reason for which it was not seen.
    """

    id: str
    question: str
    answer: str | None = None
    code: str = ""
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Observation:
    """An observation: the answer, the error code, and the time."""

    answer: str | None
    code: str = ""
    seconds: float | None = None
    reason: str = ""


_KEY = "needs a KMS key; a probe uses none"
_ADVANCED = "needs the Advanced tier, which costs money"
NOT_PROBED: Mapping[str, tuple[str, str]] = {
    "key-omitted": ("Which key has a SecureString after an overwrite without KeyId?", _KEY),
    "type-to-secure": ("Does an overwrite change String to SecureString?", _KEY),
    "key-form": ("Which form has KeyId in DescribeParameters for a key given by id or ARN?", _KEY),
    "key-on-string": ("Does AWS refuse KeyId with the type String?", _KEY),
    "tier-omitted": ("Does an overwrite without Tier keep the tier?", _ADVANCED),
    "past-expiration": ("Does AWS refuse an Expiration in the past?", _ADVANCED),
    "policy-text": ("Does AWS rewrite the text of a policy?", _ADVANCED),
    "data-type-omitted": ("Does an overwrite without DataType keep the data type?", "needs an AMI"),
}
"""Open questions that a probe does not answer, each with the reason."""


CREATE_RATE = ("create-rate", "Are creates and updates limited alike?")
"""The question that the measurement of PutParameter answers."""


def read_facts(calls: ProbeCalls) -> Iterator[FactAnswer]:
    """Yield the answer to each question; a refused request is an answer, or the reason for none.

    Args:
        calls: Sends the requests of the run.

    Raises:
        ProbeEndError: No further request may be sent.
    """
    for name, (question, read) in _FACTS.items():
        calls.wait(_REST)
        try:
            seen = read(calls)
        except StoreError as failure:
            seen = _Observation(None, failure.code, reason=str(failure))
        yield FactAnswer(name, question, seen.answer, seen.code, seen.seconds, seen.reason)


def unanswered(done: Container[str], reason: str) -> Iterator[FactAnswer]:
    """Yield the questions that were not reached, and those that a probe does not answer.

    Args:
        done: The ids of the questions that were answered.
        reason: The reason for which the others were not.
    """
    questions = [(name, question) for name, (question, _) in _FACTS.items()]
    for name, question in (*questions, CREATE_RATE):
        if name not in done:
            yield FactAnswer(name, question, reason=reason or "no rate was found")
    for name, (question, why) in NOT_PROBED.items():
        yield FactAnswer(name, question, reason=f"not probed: {why}")


def _read_lag(calls: ProbeCalls) -> _Observation:
    began = calls.clock.monotonic()
    calls.create("fact/lag", Type="String", Value="a")
    while True:
        is_listed = _is_listed(calls)
        seconds = calls.clock.monotonic() - began
        if is_listed:
            return _Observation("listed", seconds=round(seconds, 1))
        if seconds > LAG_SECONDS:
            return _Observation("not listed", seconds=round(seconds, 1))
        calls.wait(_POLL)


def _is_listed(calls: ProbeCalls) -> bool:
    """Return whether GetResources lists a parameter of the run; a page may be empty."""
    wanted = {"Key": PROBE_TAG, "Values": [calls.area.run]}
    filters = {"ResourceTypeFilters": ["ssm:parameter"], "TagFilters": [wanted]}
    token = ""
    while True:
        page = calls.probe("GetResources", **filters, **({"PaginationToken": token} if token else {}))
        token = page.get("PaginationToken", "")
        if page.get("ResourceTagMappingList") or not token:
            return bool(page.get("ResourceTagMappingList"))


def _overwrite(calls: ProbeCalls, name: str, **arguments: Any) -> str:
    """Overwrite a parameter of the run; return the error code if AWS refused it, else an empty text."""
    calls.wait(_REST)
    try:
        calls.probe("PutParameter", Name=name, Overwrite=True, Tier="Standard", **arguments)
    except StoreError as failure:
        if failure.kind not in {Trouble.REFUSED, Trouble.TYPE}:
            raise
        return failure.code
    return ""


def _read_pattern_omitted(calls: ProbeCalls) -> _Observation:
    name = calls.create("fact/pattern-omitted", Type="String", Value="a", AllowedPattern="^[a-z]$")
    code = _overwrite(calls, name, Type="String", Value="1")
    if code not in {"", _PATTERN_REFUSED}:
        return _Observation(None, code, reason="the overwrite was refused for another reason")
    return _Observation("kept" if code else "reset", code)


def _read_pattern_match(calls: ProbeCalls) -> _Observation:
    try:
        calls.create("fact/pattern-match", Type="String", Value="abc", AllowedPattern="b")
    except StoreError as failure:
        if failure.code != _PATTERN_REFUSED:
            raise
        return _Observation("whole value", failure.code)
    return _Observation("anywhere")


def _read_type_change(calls: ProbeCalls) -> _Observation:
    name = calls.create("fact/type", Type="String", Value="a")
    code = _overwrite(calls, name, Type=STRING_LIST, Value="a,b")
    if code:
        return _Observation("refused", code)
    code = _overwrite(calls, name, Type="String", Value="a")
    return _Observation("refused back to String" if code else "allowed", code)


def _read_list_spaces(calls: ProbeCalls) -> _Observation:
    text = "a, b ,c"
    name = calls.create("fact/list", Type=STRING_LIST, Value=text)
    stored = str(_read(calls, name)["Value"])
    return _Observation({text: "kept", text.replace(" ", ""): "stripped"}.get(stored, "other"))


def _read_modified(calls: ProbeCalls, level: str, change: Callable[[str], object]) -> _Observation:
    """Return whether a change moves LastModifiedDate."""
    name = calls.create(level, Type="String", Value="a")
    before = _read(calls, name)["LastModifiedDate"]
    calls.wait(_POLL)
    change(name)
    after = _read(calls, name, lambda one: one["LastModifiedDate"] != before)
    return _Observation("no" if after["LastModifiedDate"] == before else "yes")


def _read_tagged(calls: ProbeCalls) -> _Observation:
    tags = [{"Key": "note", "Value": "changed"}]
    send = partial(calls.probe, "AddTagsToResource", ResourceType="Parameter", Tags=tags)
    return _read_modified(calls, "fact/tagged", lambda name: send(ResourceId=name))


def _read_labelled(calls: ProbeCalls) -> _Observation:
    send = partial(calls.probe, "LabelParameterVersion", ParameterVersion=1, Labels=["probe"])
    return _read_modified(calls, "fact/labelled", lambda name: send(Name=name))


def _read(
    calls: ProbeCalls, name: str, is_wanted: Callable[[Mapping[str, Any]], bool] = bool
) -> Mapping[str, Any]:
    """Return a parameter of the run as soon as it is as wanted, else as it is after some seconds.

    Raises:
        StoreError: It is not visible.
    """
    until = calls.clock.monotonic() + _VISIBLE_SECONDS
    while True:
        found = calls.probe("GetParameters", Names=[name]).get("Parameters", ())
        if (found and is_wanted(found[0])) or calls.clock.monotonic() > until:
            break
        calls.wait(_POLL)
    if not found:
        raise StoreError(Trouble.MISSING, place=calls.place, operation="GetParameters", code="NotVisible")
    one: Mapping[str, Any] = found[0]
    return one


def _read_duplicates(calls: ProbeCalls) -> _Observation:
    name = calls.create("fact/duplicate", Type="String", Value="a")
    _read(calls, name)
    try:
        found = calls.probe("GetParameters", Names=[name, name]).get("Parameters", ())
    except StoreError as failure:
        if failure.kind is not Trouble.REFUSED:
            raise
        return _Observation("refused", failure.code)
    return _Observation({1: "once", 2: "twice"}.get(len(found), "other"))


def _read_recreate(calls: ProbeCalls) -> _Observation:
    """Create a name right after its delete; if AWS refuses, until it does not."""
    level = "fact/recreate"
    name = calls.create(level, Type="String", Value="a")
    _read(calls, name)
    deleted = calls.delete([name])
    if deleted.failure is not None:
        raise deleted.failure
    if name not in deleted.gone:
        return _Observation(None, reason="the parameter was not visible, and was not deleted")
    began, code = calls.clock.monotonic(), ""
    for pause in (0.0, 5.0, 10.0, 10.0, DELETE_SECONDS - 24):
        calls.wait(pause)
        try:
            calls.create(level, Type="String", Value="b")
        except StoreError as failure:
            if failure.kind not in {Trouble.THROTTLED, Trouble.EXISTS, Trouble.REFUSED}:
                raise
            code = code or failure.code
        else:
            seconds = round(calls.clock.monotonic() - began, 1)
            return _Observation("refused" if code else "allowed", code, seconds)
    return _Observation("refused", code, reason="also refused after 31 seconds")


_FACTS: Mapping[str, tuple[str, Callable[[ProbeCalls], _Observation]]] = {
    "resources-lag": ("When does GetResources list a new parameter?", _read_lag),
    "pattern-omitted": ("Does an overwrite without AllowedPattern keep the pattern?", _read_pattern_omitted),
    "pattern-match": ("Must AllowedPattern match the whole value?", _read_pattern_match),
    "type-change": ("Does an overwrite change String to StringList and back?", _read_type_change),
    "list-spaces": ("Does AWS keep spaces around the commas of a StringList?", _read_list_spaces),
    "tags-move-modified": ("Does a change of tags move LastModifiedDate?", _read_tagged),
    "labels-move-modified": ("Does a label move LastModifiedDate?", _read_labelled),
    "duplicate-names": ("Does GetParameters accept a name twice?", _read_duplicates),
    "recreate": ("May a name be created within 30 seconds of its delete?", _read_recreate),
}
