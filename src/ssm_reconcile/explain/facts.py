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
        return f"no parameter in {place}"
    who = f" by {one.last_modified_user}" if one.last_modified_user.startswith("arn:") else ""
    return f"{one.type} ({one.tier}) in {place}, version {one.version} of {_time(one.last_modified)}{who}"


def _ownership(case: Case) -> Iterator[Fact]:
    """Yield the owner tag and the decoded record; of a record of another parameter, only that it is one."""
    owner = case.tags.get(OWNER)
    if owner is None:
        yield "owner", "none: it has no ssm-reconcile:owner tag"
        return
    yield "owner", f"{owner} ({case.standing.value})"
    record = record_of(case.tags)
    if record is None:
        yield "record", "none, or not readable"
    elif not record.is_for(case.context.live.arn(case.address)):
        yield "record", "written for another parameter"
    else:
        source = f"made from source version {record.source_version} of {_time(record.source_modified)}"
        replica = f"written as version {record.version} at {_time(record.written)}"
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
        else f"now {live.version}, so it was written after the last apply"
    )
    yield "versions", f"source {source}; replica {replica}"
    if wanted.source.is_secret and record.key not in ("none", key_digest(wanted.key_identity)):
        yield (
            "key",
            "another one than at the last apply: the mapping changed, or its alias points to another key",
        )


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
    Row.FOREIGN: "another owner manages the parameter in the target",
    Row.DETACHED: "it is detached: no run changes it",
    Row.COPIED: "it carries ownership tags that were copied from another parameter",
    Row.OPTED_OUT: "the parameter in the target has the skip tag",
    Row.CHAINED: "its source is a replica itself, and replicas are not replicated",
    Row.SKIPPED: "its source has the skip tag",
    Row.KEPT_OUT: "its source has the skip tag since it was replicated",
    Row.DELETE: "its source does not exist any more",
    Row.ORPHAN: "it is a replica, and the rules of the spec place no parameter here",
    Row.INVALID: "the target cannot take it",
    Row.CREATE: "it does not exist yet",
    Row.ADOPT: "it exists already, is equal, and has no owner",
    Row.CONFLICT: "it exists already, differs, and is not a replica of this spec",
    Row.REPLACE: "it differs in an attribute that AWS cannot change in place",
    Row.UPDATE: "it differs from its source",
    Row.RETAG: "only its tags or its record are out of date",
    Row.IN_SYNC: "it is in sync",
}


def row_in_words(case: Case, row: Row, outcome: Change | Other | None) -> str:
    """Return the row as a sentence, with the reasons that the plan gives."""
    if row is Row.IN_SYNC:
        how = "compared" if case.live_reading is not None else "proven by versions, without reading it"
        return f"{_ROW_IN_WORDS[row]} ({how})"
    reasons = "; ".join(outcome.reasons) if outcome else ""
    if row in (Row.INVALID, Row.UPDATE, Row.CREATE):
        return f"{_ROW_IN_WORDS[row]}: {reasons}" if reasons else _ROW_IN_WORDS[row]
    return (
        reasons or _ROW_IN_WORDS[row]
    )  # in the other rows the reasons repeat the sentence, with more detail


def planned_action(outcome: Change | Other | None) -> str:
    """Return the action that a plan has for an address, withheld or not."""
    if not isinstance(outcome, Change):
        return "nothing"
    match outcome.effect:
        case Update(takes_over=True):
            return "update, which adopts it"
        case Release():
            return "retag: the ownership tags are removed, its value stays"
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
    Standing.OURS: "it is a replica of this spec",
    Standing.FREE: "it has no owner",
    Standing.FOREIGN: "another owner manages it",
    Standing.CLOUDFORMATION: "CloudFormation manages it",
    Standing.DETACHED: "it is detached",
    Standing.OTHER_ID: "it belongs to another spec with the same name",
    Standing.NO_ID: "its record has no id",
    Standing.COPIED: "its tags were copied",
}
_NOT_PLACED = "the spec places no parameter here"


def _standing(case: Case) -> str:
    if case.live is None:
        return "no parameter exists here"
    return _NOT_PLACED if case.desired is None else _STANDINGS[case.standing]


def _opted_out(case: Case) -> str:
    tag = case.context.replication.skip_sync.tag
    return "no parameter exists here" if case.live is None else f"it has no {tag} tag that applies here"


def _source_tag(case: Case) -> str:
    tag = case.context.replication.skip_sync.tag
    return _NOT_PLACED if case.desired is None else f"its source has no {tag} tag that applies here"


def _skipped(case: Case) -> str:
    return (
        "it is a replica of this spec"
        if case.desired is not None and case.desired.skip
        else _source_tag(case)
    )


def _placed(case: Case) -> str:
    if case.desired is not None:
        return "its source exists and is placed here"
    if case.has_doubtful_tag:
        return "its own tags may exclude it"
    return (
        "the rules of the spec would not place its source here"
        if case.source_gone
        else "its source still exists"
    )


def _differs(case: Case) -> str:
    if case.live is None:
        return "no parameter exists here"
    if case.ours:
        return "it is a replica of this spec"
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
    Row.CHAINED: lambda case: _NOT_PLACED if case.desired is None else "its source is not a replica",
    Row.SKIPPED: _skipped,
    Row.KEPT_OUT: _source_tag,
    Row.DELETE: _placed,
    Row.ORPHAN: lambda case: (
        "its own tags may exclude it" if case.desired is None else "its source is placed here"
    ),
    Row.INVALID: "the target accepts it",
    Row.CREATE: "it exists",
    Row.ADOPT: _differs,
    Row.CONFLICT: "it is a replica of this spec",
    Row.REPLACE: _same,
    Row.UPDATE: _same,
    Row.RETAG: _same,
}
