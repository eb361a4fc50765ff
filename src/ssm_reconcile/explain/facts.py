"""One address -> what is there and where it comes from, as pairs of a label and a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ssm_reconcile.change import Change, Difference
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.model import MANAGED_KEY, Desired, Parameter, Tags, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import OWNER, PREFIX, Record, Standing, key_digest, record_of, standing
from ssm_reconcile.spec import Replication, RewriteIn

Fact = tuple[str, str]


def of(case: Case, outcome: Change | Other | None) -> Iterator[Fact]:
    """All that is known of an address that is ours, or on which something is placed."""
    scene, wanted = case.scene, case.desired
    if wanted is not None:
        yield from _of_source(case, wanted)
    elif case.made_from is not None:
        there = scene.source.parameters.get(canonical(case.made_from))
        yield "source", f"{case.made_from}, " + ("still there" if there else f"not in {scene.source.place}")
        yield from _selection(case.made_from, case.live.type if case.live else "", scene.replication)
    yield "live", _parameter(case.live, str(scene.live.place))
    if case.live is not None:
        yield "live tags", _tags(case.tags)
        yield from _ownership(case)
    if isinstance(outcome, Change):
        for difference in outcome.differences:
            yield "differs", _difference(difference)
        tags = outcome.tags
        if case.live is not None and (tags.added or tags.removed):
            yield "differs", _tag_change(tags.before, tags.after)


def of_nobodys(address: str, spec: Replication, scene: TargetContext) -> Iterator[Fact]:
    """Yield what is at a name that is not selected, at both ends; nothing of a source that is not there."""
    source = scene.source.parameters.get(address)
    if source is not None:
        yield "source", _parameter(source, str(scene.source.place))
        yield from _selection(source.name, source.type, spec)
        yield "source tags", _tags(scene.source.tags_of(address))
    live = scene.live.parameters.get(address)
    yield "live", _parameter(live, str(scene.live.place))
    if live is not None:
        tags = scene.live.tags_of(address)
        claim = spec.claim(scene.source.place)
        found = standing(tags, scene.live.arn(address), claim, placed=False)
        of_id = f" ({found.value})" if found in (Standing.OTHER_ID, Standing.NO_ID) else ""
        yield "owner", tags.get(OWNER, "none") + of_id


def _of_source(case: Case, wanted: Desired) -> Iterator[Fact]:
    scene, source = case.scene, wanted.source
    yield "source", f"{source.name}, {_parameter(source, str(scene.source.place))}"
    yield "selected by", f"include {wanted.rule}"
    yield "source tags", _tags(scene.source.tags_of(canonical(source.name)))
    if canonical(wanted.name) != canonical(source.name):
        rule = scene.replication.rewrite_for(source.name, RewriteIn.NAME)
        yield "lands at", f"{wanted.name}, by the rewrite of {rule.match if rule else 'its name'}"
    for change in wanted.substitutions:
        rule = scene.replication.rewrite_for(source.name, RewriteIn.VALUE)
        place = f" ({rule.match})" if rule else ""
        yield "rewrite", f"{change.old!r} becomes {change.new!r} in its value{place}"
    if source.is_secret:
        yield "key", _key(case, wanted)


def _key(case: Case, wanted: Desired) -> str:
    before = wanted.source.key_id or MANAGED_KEY
    if wanted.key_id is None:
        return f"{before} at the source; none is mapped for {case.scene.target.name}"
    meaning = "" if wanted.key_identity in (None, wanted.key_id) else f" ({wanted.key_identity})"
    return f"{before} at the source, {wanted.key_id}{meaning} in {case.scene.target.name}"


def _selection(name: str, kind: str, spec: Replication) -> Iterator[Fact]:
    """Which rule selects or excludes a source parameter, with its line."""
    excluding = spec.excluded_by(name)
    including = spec.included_by(name)
    if excluding is not None:
        yield "excluded by", f"exclude {excluding}"
    elif including is None:
        yield "selected by", f"no include rule ({spec.where})" if spec.where else "no include rule"
    elif kind not in spec.types:
        yield "excluded by", f"parameters.types, which has no {kind}"
    else:
        yield "selected by", f"include {including}"


def _parameter(one: Parameter | None, place: str) -> str:
    if one is None:
        return f"nothing there in {place}"
    who = f" by {one.last_modified_user}" if one.last_modified_user.startswith("arn:") else ""
    return f"{one.type} ({one.tier}) in {place}, version {one.version} of {_moment(one.last_modified)}{who}"


def _ownership(case: Case) -> Iterator[Fact]:
    """Owner tag and record, decoded. Of a record that names another parameter no more is said."""
    owner = case.tags.get(OWNER)
    if owner is None:
        yield "owner", "none: it carries no ssm-reconcile:owner tag"
        return
    yield "owner", f"{owner} ({case.standing.value})"
    record = record_of(case.tags)
    if record is None:
        yield "record", "none that can be read"
    elif not record.names(case.scene.live.arn(case.address)):
        yield "record", "written for another parameter"
    else:
        yield "record", _record(record)
        yield from _versions(case, record)


def _record(record: Record) -> str:
    return (
        f"{record.origin.value}; made from source version {record.source_version} of"
        f" {_moment(record.source_modified)}; left at version {record.version} at {_moment(record.written)}"
    )


def _versions(case: Case, record: Record) -> Iterator[Fact]:
    wanted, live = case.desired, case.live
    if wanted is None or live is None:
        return
    source = "as recorded" if record.made_from(wanted.source) else f"now {wanted.source.version}"
    replica = "as recorded" if record.left_at(live) else f"now {live.version}, so somebody wrote it after us"
    yield "versions", f"source {source}; replica {replica}"
    if wanted.source.is_secret and record.key not in ("none", key_digest(wanted.key_identity)):
        yield "key", "not the one that it was encrypted under: mapped anew, or its alias was re-pointed"


def _difference(one: Difference) -> str:
    if one.secret:
        return f"{one.attribute} (secret)"
    cut = " (cut)" if one.cut else ""
    return f"{one.attribute}: {_shown(one.before)} -> {_shown(one.after)}{cut}"


def _shown(text: str | None) -> str:
    return "nothing" if text is None else repr(text)


def _tag_change(before: Tags, after: Tags) -> str:
    return f"tags: {_tags(before)} -> {_tags(after)}"


def _tags(tags: Tags) -> str:
    """Tags but ours, which are told decoded."""
    shown = [f"{key}={value}" for key, value in sorted(tags.items()) if not key.startswith(PREFIX)]
    return ", ".join(shown) or "none"


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
