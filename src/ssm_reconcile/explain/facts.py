"""One case -> its facts as labelled sentences, its row in words, and the rows that do not fit. Pure.

Names in specs and tags come from outside: they are escaped where the explanation is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ssm_reconcile.change import Action, Change, Mark, Release, Row, Unmark, Update
from ssm_reconcile.diff.case import Case, TargetContext
from ssm_reconcile.diff.compare import ValueMatch
from ssm_reconcile.diff.table import TABLE
from ssm_reconcile.documents.encode import change_entry, other_entry
from ssm_reconcile.model import MANAGED_KEY, DesiredParameter, Parameter, Tags, canonical
from ssm_reconcile.plan import Other
from ssm_reconcile.plan_findings import why_mark_stays
from ssm_reconcile.record import EXPIRES, OWNER, PREFIX, Standing, key_digest, record_of, standing
from ssm_reconcile.renderers.changes import attribute_lines, conflict_lines
from ssm_reconcile.renderers.groups import without_place
from ssm_reconcile.spec import DeleteMode, Replication, RewriteIn
from ssm_reconcile.wording import key_without_place, period_text, utc_text, writer_name

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2} UTC")
_KEY_ID = re.compile(r"(arn:[^\s:]+:kms:[^\s:]+:[^\s:]+:)key/[^\s,;)]+")


class Fact(NamedTuple):
    """A label and a sentence."""

    label: str
    text: str


class RuledOut(NamedTuple):
    """A row of the table of cases, and the reason why it does not fit."""

    row: str
    why: str


def facts_of_case(case: Case, outcome: Change | Other | None) -> Iterator[Fact]:
    """Yield the facts of an address that holds our replica, or where the spec places a replica."""
    context, wanted = case.context, case.desired
    if wanted is not None:
        yield from _of_source(context, wanted)
    elif case.made_from is not None:
        found = "it exists"
        if case.source_gone:
            found = f"it does not exist in {context.source.place}"
            if not case.is_source_gone:
                found = f"unknown: the listing of {context.source.place} is incomplete"
        yield Fact("source", f"{case.made_from}, {found}")
        yield selection(case.made_from, case.live.type if case.live else "", context.replication)[0]
    yield Fact("live", _parameter(case.live, str(context.live.place)))
    if case.live is not None:
        yield Fact("live tags", _tags(case.tags))
        yield from _ownership(case, case.live, outcome)
    compared = outcome.conflict if isinstance(outcome, Other) else outcome
    if outcome is not None and compared is not None:
        yield from (Fact("differs", text) for text in _differing_texts(outcome, context.source.place.region))
        tags = compared.tags
        before, after = _tags(tags.before), _tags(tags.after)
        if case.live is not None and before != after:
            yield Fact("differs", f"tags: {before} -> {after}")


def facts_of_unselected(address: str, spec: Replication, context: TargetContext) -> Iterator[Fact]:
    """Yield the facts of a name that no rule selects, at the source if it exists there, and in the target.

    Args:
        address: The canonical name of the parameter.
        spec: The replication.
        context: The listings of source and target.
    """
    source = context.source.parameters.get(address)
    if source is not None:
        yield Fact("source", _parameter(source, str(context.source.place)))
        yield selection(source.name, source.type, spec)[0]
        yield Fact("source tags", _tags(context.source.tags_of(address)))
    live = context.live.parameters.get(address)
    yield Fact("live", _parameter(live, str(context.live.place)))
    if live is not None:
        tags = context.live.tags_of(address)
        found = standing(tags, context.live.arn(address), spec.claim(context.source.place), placed=False)
        of_id = f" ({found.value})" if found in (Standing.OTHER_ID, Standing.NO_ID) else ""
        yield Fact("owner", tags.get(OWNER, "none") + of_id)


def selection(name: str, kind: str, spec: Replication) -> tuple[Fact, str]:
    """Return the rule that selects or excludes a source parameter, and what to change to select it.

    Args:
        name: The name at the source.
        kind: The type of the parameter.
        spec: The replication.
    """
    excluding, including = spec.excluded_by(name), spec.included_by(name)
    if excluding is not None:
        remedy = "remove that rule from `parameters.exclude`, or narrow it"
        return Fact("excluded by", str(excluding)), remedy
    if including is None:
        where = f" ({spec.where})" if spec.where else ""
        return Fact("selected by", f"no include rule{where}"), f"add it to `parameters.include`{where}"
    if kind not in spec.types:
        why = f"`parameters.types`, which does not list {kind}"
        return Fact("excluded by", why), f"add {kind} to `parameters.types`"
    return Fact("selected by", f"include {including}"), ""


def is_excluded(one: Parameter, spec: Replication) -> bool:
    """Whether an include selects a source parameter, and an exclude or its type leaves it out."""
    return spec.included_by(one.name) is not None and spec.rule_for(one.name, one.type) is None


def without_own_place(fact: Fact, target: str, place: str) -> Fact:
    """Return a fact without times and without what only names its own target, to compare it with another.

    Values, tags and owners are compared as they are: an account in them is not the account of the target.

    Args:
        fact: The fact.
        target: The name of the target.
        place: Its place: account and region, or the region.
    """
    text = fact.text
    match fact.label:
        case "live":
            text = _TIME.sub("TIME", without_place(text, target, place))
        case "record":
            text = _TIME.sub("TIME", text)
        case "key":
            text = _KEY_ID.sub(r"\1KEY", key_without_place(text, place)).replace(target, "TARGET")
        case "differs" if text.startswith("KeyId "):
            text = key_without_place(text, place)
        case "cause":
            text = without_place(text, target, place)
        case _:
            pass
    return Fact(fact.label, text)


def _of_source(context: TargetContext, wanted: DesiredParameter) -> Iterator[Fact]:
    source, spec, target = wanted.source, context.replication, context.target.name
    yield Fact("source", f"{source.name}, {_parameter(source, str(context.source.place))}")
    yield Fact("selected by", f"include {wanted.rule}")
    yield Fact("source tags", _tags(context.source.tags_of(canonical(source.name))))
    if canonical(wanted.name) != canonical(source.name):
        rule = spec.rewrite_for(source.name, RewriteIn.NAME)
        yield Fact("lands at", f"{wanted.name}, by the rewrite of {rule.match if rule else 'its name'}")
    for change in wanted.substitutions:
        rule = spec.rewrite_for(source.name, RewriteIn.VALUE)
        match = f" ({rule.match})" if rule else ""
        yield Fact("rewrite", f"{change.old!r} becomes {change.new!r} in its value{match}")
    if source.is_secret:
        before = f"{source.key_id or MANAGED_KEY} at the source"
        known = "" if wanted.key_identity == wanted.key_id else f" ({wanted.key_identity})"
        mapped = (
            f", {wanted.key_id}{known} in {target}" if wanted.key_id else f"; none is mapped for {target}"
        )
        yield Fact("key", f"{before}{mapped}")


def _parameter(one: Parameter | None, place: str) -> str:
    if one is None:
        return f"no parameter in {place}"
    name = writer_name(one.last_modified_user)
    who = f" by {name}" if name else ""
    return f"{one.type} ({one.tier}) in {place}, version {one.version} of {utc_text(one.last_modified)}{who}"


def _ownership(case: Case, live: Parameter, outcome: Change | Other | None) -> Iterator[Fact]:
    """Yield the owner tag and the decoded record; of a record of another parameter, only that it is one."""
    owner, record = case.tags.get(OWNER), record_of(case.tags)
    if owner is None:
        yield Fact("owner", "none: it has no ssm-reconcile:owner tag")
        return
    yield Fact("owner", f"{owner} ({case.standing.value})")
    if record is None:
        yield Fact("record", "none, or not readable")
        return
    if not record.is_for(case.context.live.arn(case.address)):
        yield Fact("record", "written for another parameter")
        return
    if EXPIRES in case.tags:
        yield Fact("mark", _mark(case, outcome))
    made = f"made from source version {record.source_version} of {utc_text(record.source_modified)}"
    if not record.names_source_version:
        made = "the source version that its value is of is not known"
    written = f"written as version {record.version} at {utc_text(record.written)}"
    if record.is_of_outside_value:
        written = "its value is that of another writer, which an undo returned"
    yield Fact("record", f"{record.origin.value}; {made}; {written}")
    wanted = case.desired
    if wanted is None:
        return
    source, replica = "as recorded", "as recorded"
    if not record.is_made_from(wanted.source):
        source = f"now {wanted.source.version}"
    if record.is_of_outside_value:
        replica = f"now {live.version}, and none is recorded"
    elif not record.is_at_recorded_version(live):
        replica = f"now {live.version}, so it was written after the last apply"
    yield Fact("versions", f"source {source}; replica {replica}")
    if wanted.source.is_secret and record.key not in ("none", key_digest(wanted.key_identity)):
        why = "the mapping changed, or its alias points to another key"
        yield Fact("key", f"not the key of the last apply: {why}")


def _mark(case: Case, outcome: Change | Other | None) -> str:
    if case.mark is None:
        return "it does not count: it is of another parameter or source version, or cannot be read"
    text = f"expires at {utc_text(case.mark.expires)}"
    if case.outdated_mark is None or outcome is None:
        return text
    why = why_mark_stays(outcome)
    return f"{text}; its source exists again: " + (f"it stays: {why}" if why else "apply removes it")


def _differing_texts(outcome: Change | Other, region: str) -> Iterator[str]:
    """Yield the attributes that differ, except tags, as a plan shows them. `region` is that of the source."""
    if isinstance(outcome, Change):
        lines, is_new = attribute_lines(change_entry(outcome), region), outcome.action is Action.CREATE
        named = {one.attribute for one in outcome.differences}
        lines = tuple(line for line in lines if line.label in named)
    else:
        lines, is_new = conflict_lines(other_entry(outcome)), False
    for line in lines:
        if line.label != "tags":
            yield from (f"{line.label}  {text}" for text in line.texts(is_new=is_new))


def _tags(tags: Tags) -> str:
    """Return the tags of the user; the tags of ssm-reconcile are facts of their own."""
    shown = [f"{key}={value}" for key, value in sorted(tags.items()) if not key.startswith(PREFIX)]
    return ", ".join(shown) or "none"


_ROW_IN_WORDS = {
    Row.HELD: "no plan, apply or event changes it",
    Row.INVALID: "the target cannot take it",
    Row.CREATE: "it does not exist yet",
    Row.UPDATE: "it differs from its source",
    Row.RETAG: "only its tags or its record are out of date",
    Row.IN_SYNC: "it is in sync",
}
"""The rows whose reasons in a plan say only why, or that have none."""


def row_in_words(case: Case, row: Row, outcome: Change | Other | None) -> str:
    """Return the row as a sentence, with the reasons that the plan gives.

    Args:
        case: The case of the parameter.
        row: Its row in the table of cases.
        outcome: The change or the other result that the plan has for it; None if the plan has none.
    """
    words, reasons = _ROW_IN_WORDS.get(row, ""), list(outcome.reasons if outcome else ())
    if row is Row.IN_SYNC:
        how = "compared" if case.live_reading is not None else "proven by versions, without reading it"
        return f"{words} ({how})"
    return ": ".join(filter(None, (words, "; ".join(reasons))))


def planned_action(outcome: Change | Other | None) -> str:
    """Return the action that a plan has for an address, withheld or not."""
    if not isinstance(outcome, Change):
        return "nothing"
    match outcome.effect:
        case Update(takes_over=True):
            return "update, which adopts it"
        case Release():
            return "retag: the ownership tags are removed, its value stays"
        case Mark(after=after, releases=releases):
            then = "released" if releases else "deleted"
            return f"retag: it is marked, to be {then} {period_text(after)} later"
        case Unmark():
            return "retag: its mark is removed"
        case _:
            return outcome.action.value


def rows_ruled_out(case: Case, row: Row) -> Iterator[RuledOut]:
    """Yield each row of the table before the one that fits, with the reason why it does not fit."""
    for earlier, _ in TABLE:
        if earlier is row:
            return
        yield RuledOut(earlier.value, _why_not(earlier, case))


_STANDINGS = {
    Standing.OURS: "it is a replica of this spec",
    Standing.FREE: "it has no owner",
    Standing.DETACHED: "it is detached",
    Standing.COPIED: "its tags were copied",
}
"""The standings of a placed parameter that is not in the row `foreign`."""
_NOT_PLACED = "the spec places no parameter here"


def _why_not_waiting(case: Case) -> str:
    """Return why a replica whose source is gone does not wait for its deletion."""
    if case.context.replication.delete is DeleteMode.NEVER:
        return "`delete: never` keeps it"
    return "`delete.after` is 0" if case.mark is None else "its mark is due"


def _why_not(row: Row, case: Case) -> str:
    """Return the reason why a row does not fit a case that no earlier row fits either."""
    desired, tag = case.desired, case.context.replication.skip_sync.tag
    match row:
        case Row.FOREIGN | Row.DETACHED | Row.COPIED | Row.OPTED_OUT if case.live is None:
            return "no parameter exists here"
        case Row.HELD:
            return "no hold of the spec matches the name of its source"
        case Row.OPTED_OUT:
            return f"it has no {tag} tag that applies here"
        case Row.FOREIGN | Row.DETACHED | Row.COPIED | Row.CHAINED | Row.SKIPPED | Row.KEPT_OUT if (
            not desired
        ):
            return _NOT_PLACED
        case Row.FOREIGN | Row.DETACHED | Row.COPIED:
            return _STANDINGS[case.standing]
        case Row.CHAINED:
            return "its source is not a replica"
        case Row.SKIPPED if desired and desired.skip:
            return _STANDINGS[Standing.OURS]
        case Row.SKIPPED | Row.KEPT_OUT:
            return f"its source has no {tag} tag that applies here"
        case Row.EXPIRING | Row.DELETE | Row.ORPHAN if desired:
            return "its source exists and is placed here"
        case Row.EXPIRING | Row.DELETE | Row.ORPHAN if case.problems:
            return "its own tags may exclude it" if case.has_doubtful_tag else "it has no room for a mark"
        case Row.EXPIRING if case.source_gone and case.would_place:
            return _why_not_waiting(case)
        case Row.EXPIRING | Row.DELETE if case.source_gone:
            return "the rules of the spec would not place its source here"
        case Row.EXPIRING | Row.DELETE if case.made_from is None:
            return "its record proves no source name"
        case Row.EXPIRING | Row.DELETE:
            return "its source still exists"
        case Row.INVALID:
            return "the target accepts it"
        case Row.CREATE:
            return "it exists"
        case Row.ADOPT | Row.CONFLICT if case.ours:
            return _STANDINGS[Standing.OURS]
        case Row.ADOPT:
            found = ", ".join(case.differing)
            return f"it differs in {found}" if found else "its value could not be compared"
        case _:
            unknown = case.value_match is ValueMatch.UNKNOWN
            return "nothing of that kind is known to differ" if unknown else "nothing of that kind differs"
