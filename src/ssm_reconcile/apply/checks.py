"""What must still be true right before a write. Each check ends the change when it is not."""

from __future__ import annotations

from collections.abc import Mapping

from ssm_reconcile.apply.work import Ended, Work, failed, stale, withheld
from ssm_reconcile.change import Adopt, Change, Create, Delete, Release, Update
from ssm_reconcile.encoding import is_unicode
from ssm_reconcile.errors import StoreError
from ssm_reconcile.model import SECURE, Desired, Sealed, Tags, Value, canonical
from ssm_reconcile.record import SAME_MOMENT, Standing, is_replica, standing, was_replica_of
from ssm_reconcile.report import Result
from ssm_reconcile.shape import shape


def source_still_wants(work: Work, change: Change, desired: Desired) -> None:
    """The source exists, carries no skip_sync and is no replica; once a source name and run."""
    name = desired.source.name
    try:
        tags = work.source_tags.of(name)
    except StoreError as failure:
        failed(failure, doing="skip_sync could not be confirmed at the source")
    if tags is None:
        stale("its source is gone")
    if work.ends.spec.skip_sync.applies(tags, change.target):
        stale(f"its source carries {work.ends.spec.skip_sync.tag} by now")
    for problem in work.ends.spec.skip_sync.problems(tags, change.target, "its source", live=False):
        stale(problem.reason)
    if is_replica(tags, work.ends.source.place.arn(name)):
        stale("its source is a replica by now")
    if not work.run.allow_reversed and was_replica_of(tags, work.place) and _begins(change):
        withheld("its source was detached from this place; only with --allow-reversed")


def _begins(change: Change) -> bool:
    """Whether a change makes a replica of what is none yet."""
    effect = change.effect
    return isinstance(effect, Create | Adopt) or (isinstance(effect, Update) and effect.takes_over)


def target_tags(work: Work, change: Change, wanted: Standing) -> Tags:
    """The live parameter's tags, read directly: it must still be ours, or still be nobody's."""
    try:
        tags = work.ends.store.tags(change.name)
    except StoreError as failure:
        failed(failure, doing="its ownership could not be confirmed")
    if tags is None:
        stale("it is gone")
    claim = work.ends.spec.claim(work.ends.source.place)
    placed = change.desired is not None
    found = standing(tags, work.place.arn(change.name), claim, placed=placed)
    if found is not wanted:
        stale(f"its ownership has changed: it is {found} by now")
    if work.ends.spec.skip_sync.applies(tags, change.target):
        stale(f"it carries {work.ends.spec.skip_sync.tag} itself by now")
    for problem in work.ends.spec.skip_sync.problems(tags, change.target, "the parameter", live=True):
        stale(problem.reason)
    return tags


def live_version(work: Work, change: Change) -> None:
    """The live parameter is still the version that the plan saw. Nothing is decrypted for it."""
    try:
        answers = work.ends.store.values([change.name], decrypt=False)
    except StoreError as failure:
        failed(failure, doing="its version could not be confirmed")
    name = canonical(change.name)
    if name in answers.failed:
        failed(answers.failed[name], doing="its version could not be confirmed")
    value = answers.found.get(name)
    if value is None:
        stale("it is gone")
    if not as_expected(change, value):
        stale(f"it is at version {value.version} by now, the plan saw {change.expected.version}")
    desired = change.desired
    plain = desired is not None and not desired.source.is_secret
    if plain and value.type == SECURE and not change.exposes:
        stale("it has become a SecureString, and the plan did not show that its value becomes plain text")


def as_expected(change: Change, value: Value) -> bool:
    """Whether a live value is of the version, and of the moment, that the plan saw."""
    moment = change.expected.modified
    return (
        moment is not None
        and value.version == change.expected.version
        and abs(value.last_modified - moment) <= SAME_MOMENT
    )


def source_values(work: Work, changes: list[Change]) -> Mapping[str, Value | StoreError]:
    """The source values of up to ten changes, by change name, each by `name:version`."""
    selectors = {
        change.name: f"{change.desired.source.name}:{change.expected.source_version}"
        for change in changes
        if change.desired is not None
    }
    try:
        answers = work.ends.source.values(sorted(set(selectors.values())), decrypt=True)
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


def shaped(change: Change, desired: Desired, values: Mapping[str, Value | StoreError]) -> Sealed:
    """The value to write: of the version and the moment that the plan saw, with its rewrites."""
    value = values.get(change.name)
    if value is None:
        stale(f"version {change.expected.source_version} of its source is gone")
    if isinstance(value, StoreError):
        failed(value, doing="its source value could not be read")
    moment = change.expected.source_modified
    if moment is None or abs(value.last_modified - moment) > SAME_MOMENT:
        stale("its source was deleted and made anew since the plan")
    if value.type != desired.source.type:
        # the listing lagged: a value that has become a secret must not be written as what it was
        stale(f"its source is a {value.type} by now, the plan saw a {desired.source.type}")
    text = shape(value.text, desired.substitutions)
    if not is_unicode(text.reveal()):
        raise Ended(Result.FAILED, "its source value holds half a character (a lone surrogate)")
    return text


def source_gone(work: Work, changes: list[Change]) -> dict[str, str]:
    """Why deletes must not happen: by change name, for each whose source is not surely gone."""
    names = {c.name: c.source_name for c in changes if c.source_name is not None and needs_absence(c)}
    if not names:
        return {}
    try:
        answers = work.ends.source.values(sorted(set(names.values())), decrypt=False)
    except StoreError as failure:
        return dict.fromkeys(names, f"whether its source is gone could not be confirmed ({failure.code})")
    reasons = {}
    for name, source in names.items():
        key = canonical(source)
        if key in answers.found:
            reasons[name] = "its source exists after all"
        elif key in answers.failed:
            code = answers.failed[key].code
            reasons[name] = f"whether its source is gone could not be confirmed ({code})"
        elif key not in answers.missing:
            reasons[name] = "AWS gave no answer about its source"
    return reasons


def needs_absence(change: Change) -> bool:
    """Whether a change is right only while its source is gone."""
    return isinstance(change.effect, Delete | Release) and change.effect.source_name is not None


def refuse_unless_gone(work: Work, change: Change) -> None:
    """Withholds one removal whose source is not surely gone."""
    reason = source_gone(work, [change]).get(change.name)
    if reason:
        withheld(reason)
