"""One case -> its facts as labelled sentences, its row in words, and the rows that do not fit. Pure.

Names in specs and tags come from outside: they are escaped where the explanation is printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeAlias

from ssm_reconcile.change import Change, Difference, Release, Row, Update
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.diff.compare import ValueMatch
from ssm_reconcile.diff.table import TABLE
from ssm_reconcile.model import MANAGED_KEY, DesiredParameter, Parameter, Tags, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.record import OWNER, PREFIX, Record, Standing, key_digest, record_of, standing
from ssm_reconcile.spec import Replication, RewriteIn

Fact: TypeAlias = tuple[str, str]
"""A label and a sentence."""


def facts_of_case(case: Case, outcome: Change | Other | None) -> Iterator[Fact]:
    """Yield the facts of an address that holds our replica, or where the spec places a replica."""
    context, wanted = case.context, case.desired
    if wanted is not None:
        yield from _of_source(case, wanted)
    elif case.made_from is not None:
        there = context.source.parameters.get(canonical(case.made_from))
        yield "source", f"{case.made_from}, " + ("still there" if there else f"not in {context.source.place}")
        yield from _selection(case.made_from, case.live.type if case.live else "", context.replication)
    yield "live", _parameter(case.live, str(context.live.place))
    if case.live is not None:
        yield "live tags", _tags(case.tags)
        yield from _ownership(case)
    if isinstance(outcome, Change):
        for difference in outcome.differences:
            yield "differs", _difference(difference)
        tags = outcome.tags
        if case.live is not None and (tags.added or tags.removed):
            yield "differs", f"tags: {_tags(tags.before)} -> {_tags(tags.after)}"


def facts_of_unselected(address: str, spec: Replication, context: TargetContext) -> Iterator[Fact]:
    """Yield the facts of a name that no rule selects, at the source if it exists there, and in the target."""
    source = context.source.parameters.get(address)
    if source is not None:
        yield "source", _parameter(source, str(context.source.place))
        yield from _selection(source.name, source.type, spec)
        yield "source tags", _tags(context.source.tags_of(address))
    live = context.live.parameters.get(address)
    yield "live", _parameter(live, str(context.live.place))
    if live is not None:
        tags = context.live.tags_of(address)
        found = standing(tags, context.live.arn(address), spec.claim(context.source.place), placed=False)
        of_id = f" ({found.value})" if found in (Standing.OTHER_ID, Standing.NO_ID) else ""
        yield "owner", tags.get(OWNER, "none") + of_id


def _of_source(case: Case, wanted: DesiredParameter) -> Iterator[Fact]:
    context, source = case.context, wanted.source
    yield "source", f"{source.name}, {_parameter(source, str(context.source.place))}"
    yield "selected by", f"include {wanted.rule}"
    yield "source tags", _tags(context.source.tags_of(canonical(source.name)))
    if canonical(wanted.name) != canonical(source.name):
        rule = context.replication.rewrite_for(source.name, RewriteIn.NAME)
        yield "lands at", f"{wanted.name}, by the rewrite of {rule.match if rule else 'its name'}"
    for change in wanted.substitutions:
        rule = context.replication.rewrite_for(source.name, RewriteIn.VALUE)
        place = f" ({rule.match})" if rule else ""
        yield "rewrite", f"{change.old!r} becomes {change.new!r} in its value{place}"
    if source.is_secret:
        before = f"{source.key_id or MANAGED_KEY} at the source"
        if wanted.key_id is None:
            yield "key", f"{before}; none is mapped for {context.target.name}"
        else:
            known = "" if wanted.key_identity in (None, wanted.key_id) else f" ({wanted.key_identity})"
            yield "key", f"{before}, {wanted.key_id}{known} in {context.target.name}"


def _selection(name: str, kind: str, spec: Replication) -> Iterator[Fact]:
    """Yield the rule that selects or excludes a source parameter, with its line."""
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
    return f"{one.type} ({one.tier}) in {place}, version {one.version} of {_time(one.last_modified)}{who}"


def _ownership(case: Case) -> Iterator[Fact]:
    """Yield the owner tag and the decoded record; of a record of another parameter, only that it is one."""
    owner = case.tags.get(OWNER)
    if owner is None:
        yield "owner", "none: it carries no ssm-reconcile:owner tag"
        return
    yield "owner", f"{owner} ({case.standing.value})"
    record = record_of(case.tags)
    if record is None:
        yield "record", "none that can be read"
    elif not record.is_for(case.context.live.arn(case.address)):
        yield "record", "written for another parameter"
    else:
        source = f"made from source version {record.source_version} of {_time(record.source_modified)}"
        replica = f"left at version {record.version} at {_time(record.written)}"
        yield "record", f"{record.origin.value}; {source}; {replica}"
        yield from _versions(case, record)


def _versions(case: Case, record: Record) -> Iterator[Fact]:
    wanted, live = case.desired, case.live
    if wanted is None or live is None:
        return
    source = "as recorded" if record.is_made_from(wanted.source) else f"now {wanted.source.version}"
    replica = (
        "as recorded"
        if record.is_at_recorded_version(live)
        else f"now {live.version}, so somebody wrote it after us"
    )
    yield "versions", f"source {source}; replica {replica}"
    if wanted.source.is_secret and record.key not in ("none", key_digest(wanted.key_identity)):
        yield "key", "not the one that it was encrypted under: mapped anew, or its alias was re-pointed"


def _difference(one: Difference) -> str:
    if one.secret:
        return f"{one.attribute} (secret)"
    before, after = ("nothing" if text is None else repr(text) for text in (one.before, one.after))
    return f"{one.attribute}: {before} -> {after}{' (cut)' if one.cut else ''}"


def _tags(tags: Tags) -> str:
    """Return the tags of the user; the tags of ssm-reconcile are facts of their own."""
    shown = [f"{key}={value}" for key, value in sorted(tags.items()) if not key.startswith(PREFIX)]
    return ", ".join(shown) or "none"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


_ROW_IN_WORDS = {
    Row.FOREIGN: "somebody else manages what is there",
    Row.DETACHED: "it is detached: it lives on its own",
    Row.COPIED: "it carries ownership tags that were copied from another parameter",
    Row.OPTED_OUT: "the target opted out",
    Row.CHAINED: "its source is itself a replica, and replicas are not replicated on",
    Row.SKIPPED: "its source opted out",
    Row.KEPT_OUT: "its source opted out after it had been replicated",
    Row.DELETE: "its source is gone",
    Row.ORPHAN: "a replica on which today's rules place nothing",
    Row.INVALID: "the target cannot take it",
    Row.CREATE: "it is not there yet",
    Row.ADOPT: "it is there already, equal, and nobody's",
    Row.CONFLICT: "it is there already, is not ours, and differs",
    Row.REPLACE: "it differs in what AWS does not change in place",
    Row.UPDATE: "it differs from its source",
    Row.RETAG: "only its tags or its record are out of date",
    Row.IN_SYNC: "it is what it should be",
}


def row_in_words(case: Case, row: Row, outcome: Change | Other | None) -> str:
    """Return the row as a sentence, with the reasons that the plan gives."""
    if row is Row.IN_SYNC:
        how = "compared" if case.live_reading is not None else "proven by versions, without reading it"
        return f"{_ROW_IN_WORDS[row]} ({how})"
    said = "; ".join(outcome.reasons) if outcome else ""
    if row in (Row.INVALID, Row.UPDATE, Row.CREATE):
        return f"{_ROW_IN_WORDS[row]}: {said}" if said else _ROW_IN_WORDS[row]
    return said or _ROW_IN_WORDS[row]  # in the other rows the reasons repeat the sentence, with more detail


def planned_action(outcome: Change | Other | None) -> str:
    """Return the action that a plan has for an address, withheld or not."""
    if not isinstance(outcome, Change):
        return "nothing"
    match outcome.effect:
        case Update(takes_over=True):
            return "update, which takes it over"
        case Release():
            return "retag: our tags go, its value stays"
        case _:
            return outcome.action.value


def rows_ruled_out(case: Case, row: Row) -> Iterator[tuple[str, str]]:
    """Yield each row of the table before the one that fits, with the reason why it does not fit."""
    for earlier, _ in TABLE:
        if earlier is row:
            return
        why = _WHY_NOT[earlier]
        yield earlier.value, why if isinstance(why, str) else why(case)


_STANDINGS = {
    Standing.OURS: "it is ours",
    Standing.FREE: "it is nobody's",
    Standing.FOREIGN: "it is another owner's",
    Standing.CLOUDFORMATION: "CloudFormation manages it",
    Standing.DETACHED: "it is detached",
    Standing.OTHER_ID: "it is of another spec with the same name",
    Standing.NO_ID: "its record has no id",
    Standing.COPIED: "its tags are copied",
}
_NOT_PLACED = "nothing is placed here"


def _standing(case: Case) -> str:
    if case.live is None:
        return "nothing is there"
    return _NOT_PLACED if case.desired is None else _STANDINGS[case.standing]


def _opted_out(case: Case) -> str:
    tag = case.context.replication.skip_sync.tag
    return "nothing is there" if case.live is None else f"it carries no {tag} tag that counts here"


def _source_tag(case: Case) -> str:
    tag = case.context.replication.skip_sync.tag
    return _NOT_PLACED if case.desired is None else f"its source carries no {tag} tag that counts here"


def _skipped(case: Case) -> str:
    return "it is ours" if case.desired is not None and case.desired.skip else _source_tag(case)


def _placed(case: Case) -> str:
    if case.desired is not None:
        return "its source is there and lands here"
    if case.has_doubtful_tag:
        return "its own tags may opt it out"
    return (
        "today's rules would not place its source here" if case.source_gone else "its source is still there"
    )


def _differs(case: Case) -> str:
    if case.live is None:
        return "nothing is there"
    if case.ours:
        return "it is ours"
    found = [one.attribute for one in case.differences] + (["tags"] if case.tag_diff else [])
    return f"it differs in {', '.join(found)}" if found else "its value could not be compared"


def _same(case: Case) -> str:
    unknown = case.value_match is ValueMatch.UNKNOWN
    return "nothing of that kind is known to differ" if unknown else "nothing of that kind differs"


_WHY_NOT: dict[Row, str | Callable[[Case], str]] = {
    Row.FOREIGN: _standing,
    Row.DETACHED: _standing,
    Row.COPIED: _standing,
    Row.OPTED_OUT: _opted_out,
    Row.CHAINED: lambda case: _NOT_PLACED if case.desired is None else "its source is no replica itself",
    Row.SKIPPED: _skipped,
    Row.KEPT_OUT: _source_tag,
    Row.DELETE: _placed,
    Row.ORPHAN: lambda case: (
        "its own tags may opt it out" if case.desired is None else "its source lands here"
    ),
    Row.INVALID: "the target can take it",
    Row.CREATE: "it is there",
    Row.ADOPT: _differs,
    Row.CONFLICT: "it is ours",
    Row.REPLACE: _same,
    Row.UPDATE: _same,
    Row.RETAG: _same,
}
