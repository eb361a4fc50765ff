"""Checks right before a write. Each check stops the change when its condition does not hold."""

from __future__ import annotations

from collections.abc import Mapping

from ssm_reconcile.apply.work import ChangeStopped, Work, raise_failed, raise_stale, raise_withheld
from ssm_reconcile.change import Adopt, Change, Create, Delete, Mark, Release, Row, Update
from ssm_reconcile.encoding import is_unicode
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import SECURE, SealedText, Tags, Value, canonical
from ssm_reconcile.record import RECORD, SAME_MOMENT, Standing, is_replica, mark_of, standing, was_replica_of
from ssm_reconcile.report import Result
from ssm_reconcile.shape import shape
from ssm_reconcile.stores.base import Reader

Values = Mapping[str, Value | StoreError]
"""Source values by the name of the change, or the error of the read."""
MARK_CHANGED = "its mark has changed since the plan"


def check_source(work: Work, change: Change) -> None:
    """Check that the source exists, has no skip_sync tag for this target and is not a replica."""
    name = change.wanted.source.name
    try:
        tags = work.source_tags.of(name)
    except StoreError as failure:
        raise_failed(failure, doing="skip_sync could not be confirmed at the source")
    if tags is None:
        raise_stale("its source is gone")
    if work.spec.skip_sync.applies(tags, change.target):
        raise_stale(f"its source has the tag {work.spec.skip_sync.tag} now")
    for problem in work.spec.skip_sync.problems(tags, change.target, "its source", live=False):
        raise_stale(problem.reason)
    if is_replica(tags, work.source.place.arn(name)):
        raise_stale("its source is a replica now")
    is_allowed = work.run.allow_reversed or "roles-reversed" in dict(change.lifted)
    if not is_allowed and was_replica_of(tags, work.place) and _makes_replica(change):
        raise_withheld("its source was detached from this place")


def _makes_replica(change: Change) -> bool:
    """Whether a change makes a replica of a name that is not one yet."""
    effect = change.effect
    return isinstance(effect, Create | Adopt) or (isinstance(effect, Update) and effect.takes_over)


def confirm_target(work: Work, change: Change, wanted: Standing, *, recent_suffice: bool = False) -> Tags:
    """Return the tags of the live parameter, by ListTagsForResource.

    Args:
        work: the target.
        change: the change.
        wanted: `OURS` where the parameter must still be our replica, `FREE` where it must have no owner.
        recent_suffice: whether tags that the plan read a few seconds ago are not read again. Never for a
            change that removes a parameter or its ownership, and never for a repeated write.

    Raises:
        ChangeStopped: stale where the parameter is gone, has another owner or a skip_sync tag; failed where
            the tags cannot be read.
    """
    doing = "its ownership could not be confirmed"
    tags = work.live_tags(change.name, doing, recent_suffice=recent_suffice)
    if tags is None:
        raise_stale("it is gone")
    claim = work.spec.claim(work.source.place)
    placed = change.desired is not None
    found = standing(tags, work.place.arn(change.name), claim, placed=placed)
    if found is not wanted:
        raise_stale(f"its ownership has changed since the plan: it is {found}")
    if work.spec.skip_sync.applies(tags, change.target):
        raise_stale(f"it has the tag {work.spec.skip_sync.tag} itself now")
    for problem in work.spec.skip_sync.problems(tags, change.target, "the parameter", live=True):
        raise_stale(problem.reason)
    return tags


def check_mark(work: Work, change: Change, tags: Tags) -> None:
    """Check that a replica still has the mark that the plan judged to be due, or still has none.

    Args:
        work: the target.
        change: a delete or a release.
        tags: the present tags of the replica.
    """
    effect = change.effect
    if not isinstance(effect, Delete | Release) or (effect.expires is None and change.row is not Row.DELETE):
        return
    mark = mark_of(tags, work.place.arn(change.name))
    if effect.expires != (None if mark is None else mark.expires):
        raise_stale(MARK_CHANGED)


def check_record(tags: Tags, wanted: str | None) -> None:
    """Check that a parameter still has the record tag that the plan saw."""
    if tags.get(RECORD) != wanted:
        raise_stale("its record has changed since the plan")


def check_version(work: Work, change: Change) -> None:
    """Check that the live parameter has the version of the plan. The value is not decrypted."""
    value = live_value(work, change, decrypt=False, doing="its version could not be confirmed")
    if value is None:
        raise_stale("it is gone")
    if not is_as_planned(change, value):
        raise_stale(version_moved(change, value))
    desired = change.desired
    plain = desired is not None and not desired.source.is_secret
    if plain and value.type == SECURE and not change.exposes:
        raise_stale(
            "it has become a SecureString, and the plan did not show that its value becomes plain text"
        )


def live_value(work: Work, change: Change, *, decrypt: bool, doing: str) -> Value | None:
    """Return the live value of a parameter; None if the parameter does not exist.

    Args:
        work: the target.
        change: the change.
        decrypt: whether a SecureString is decrypted.
        doing: the step that fails without this read, for the message.

    Raises:
        ChangeStopped: failed where the parameter cannot be read.
    """
    try:
        answers = work.store.values([change.name], decrypt=decrypt)
    except StoreError as failure:
        raise_failed(failure, doing=doing)
    name = canonical(change.name)
    if name in answers.failed:
        raise_failed(answers.failed[name], doing=doing)
    return answers.found.get(name)


def is_as_planned(change: Change, value: Value) -> bool:
    """Whether a live value has the version and the time that the plan saw."""
    moment = change.expected.modified
    return (
        moment is not None
        and value.version == change.expected.version
        and abs(value.last_modified - moment) <= SAME_MOMENT
    )


def version_moved(change: Change, value: Value) -> str:
    """Return the reason for a live parameter with another version than the plan saw."""
    return f"it is at version {value.version}, and the plan saw version {change.expected.version}"


def source_values(work: Work, changes: list[Change]) -> Values:
    """Read the source values of up to ten changes, each of the version that the plan saw (`name:version`)."""
    selectors = {
        change.name: f"{change.wanted.source.name}:{change.expected.source_version}" for change in changes
    }
    return read_versions(work.source, selectors)


def read_versions(reader: Reader, selectors: Mapping[str, str]) -> Values:
    """Read values by `name:version`, decrypted; `selectors` has them by the name of the change."""
    try:
        answers = reader.values(sorted(set(selectors.values())), decrypt=True)
    except StoreError as failure:
        return dict.fromkeys(selectors, failure)
    found: dict[str, Value | StoreError] = {}
    for name, selector in selectors.items():
        key = canonical(selector)
        if key in answers.found:
            found[name] = answers.found[key]
        elif key in answers.failed:
            found[name] = answers.failed[key]
    return found


def value_to_write(change: Change, values: Values) -> SealedText:
    """Return the source value with its rewrites, after a check that it is the value that the plan saw.

    Raises:
        ChangeStopped: stale where the source has another version, time or type than the plan saw; failed
            where its value cannot be read or written.
    """
    value, desired = values.get(change.name), change.wanted
    if value is None:
        raise_stale(f"version {change.expected.source_version} of its source is gone")
    if isinstance(value, StoreError):
        raise_failed(value, doing="its source value could not be read")
    moment = change.expected.source_modified
    if moment is None or abs(value.last_modified - moment) > SAME_MOMENT:
        raise_stale("its source was deleted and created again since the plan")
    if value.type != desired.source.type:
        # The listing lagged. A value that has become a secret must not be written as plain text.
        raise_stale(f"its source is a {value.type} now, and the plan saw a {desired.source.type}")
    text = shape(value.text, desired.substitutions)
    if not is_unicode(text.reveal()):
        raise ChangeStopped(Result.FAILED, "its source value holds a lone surrogate (half of a character)")
    return text


def reasons_to_keep(work: Work, changes: list[Change]) -> dict[str, str]:
    """Return why replicas must not be removed, by change name: their source is not confirmed to be gone."""
    names = {c.name: c.source_name for c in changes if c.source_name is not None and needs_source_gone(c)}
    if not names:
        return {}
    try:
        answers = work.source.values(sorted(set(names.values())), decrypt=False)
    except StoreError as failure:
        return dict.fromkeys(names, f"whether its source is gone could not be confirmed ({failure.code})")
    reasons = {}
    for name, source in names.items():
        key = canonical(source)
        if key in answers.found:
            reasons[name] = "its source exists"
        elif key in answers.failed:
            code = answers.failed[key].code
            reasons[name] = f"whether its source is gone could not be confirmed ({code})"
        elif key not in answers.missing:
            reasons[name] = "AWS returned nothing about its source"
    return reasons


def needs_source_gone(change: Change) -> bool:
    """Whether a change may be made only while its source does not exist."""
    return isinstance(change.effect, Delete | Release | Mark) and change.effect.source_name is not None


def check_source_gone(work: Work, change: Change) -> None:
    """Withhold a removal, or a mark for one, while the source is not confirmed to be gone."""
    reason = reasons_to_keep(work, [change]).get(change.name)
    if reason:
        raise_withheld(reason)
