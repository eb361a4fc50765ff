"""One case -> its row in words, why no earlier row of the table fits, and what a plan would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ssm_reconcile.change import Change, Release, Row, Update
from ssm_reconcile.diff.case import Case
from ssm_reconcile.diff.compare import Verdict
from ssm_reconcile.diff.table import TABLE
from ssm_reconcile.plan import Other
from ssm_reconcile.record import Standing

_IN_WORDS = {
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


def answer(case: Case, row: Row, outcome: Change | Other | None) -> str:
    """The row in words, and the reasons that the plan gives."""
    if row is Row.IN_SYNC:
        how = "compared" if case.live_reading is not None else "proven by versions, without reading it"
        return f"{_IN_WORDS[row]} ({how})"
    said = "; ".join(outcome.reasons) if outcome else ""
    if row in (Row.INVALID, Row.UPDATE, Row.CREATE):
        return f"{_IN_WORDS[row]}: {said}" if said else _IN_WORDS[row]
    return said or _IN_WORDS[row]  # in the other rows the reasons are the row in words, and more


def planned(outcome: Change | Other | None) -> Iterator[str]:
    """Yield what a plan wants to do with it, withheld or not."""
    if not isinstance(outcome, Change):
        yield "nothing"
        return
    what = outcome.action.value
    match outcome.effect:
        case Update(takes_over=True):
            what = "update, which takes it over"
        case Release():
            what = "retag: our tags go, its value stays"
        case _:
            pass
    yield what


def ruled_out(case: Case, row: Row) -> Iterator[tuple[str, str]]:
    """The rows before the one that decides, and why each does not fit."""
    for earlier, _ in TABLE:
        if earlier is row:
            return
        yield earlier.value, _WHY_NOT[earlier](case)


def _standing(case: Case) -> str:
    if case.live is None:
        return "nothing is there"
    if case.desired is None:
        return "nothing is placed here"
    return {
        Standing.OURS: "it is ours",
        Standing.FREE: "it is nobody's",
        Standing.FOREIGN: "it is another owner's",
        Standing.CLOUDFORMATION: "CloudFormation manages it",
        Standing.DETACHED: "it is detached",
        Standing.OTHER_ID: "it is of another spec with the same name",
        Standing.NO_ID: "its record has no id",
        Standing.COPIED: "its tags are copied",
    }[case.standing]


def _opted_out(case: Case) -> str:
    tag = case.scene.replication.skip_sync.tag
    return "nothing is there" if case.live is None else f"it carries no {tag} tag that counts here"


def _source_tag(case: Case) -> str:
    if case.desired is None:
        return "nothing is placed here"
    return f"its source carries no {case.scene.replication.skip_sync.tag} tag that counts here"


def _skipped(case: Case) -> str:
    return "it is ours" if case.desired is not None and case.desired.skip else _source_tag(case)


def _placed(case: Case) -> str:
    if case.desired is not None:
        return "its source is there and lands here"
    if case.doubtful_tag:
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
    if case.verdict is Verdict.UNKNOWN:
        return "nothing of that kind is known to differ"
    return "nothing of that kind differs"


_WHY_NOT: dict[Row, Callable[[Case], str]] = {
    Row.FOREIGN: _standing,
    Row.DETACHED: _standing,
    Row.COPIED: _standing,
    Row.OPTED_OUT: _opted_out,
    Row.CHAINED: lambda case: (
        "nothing is placed here" if case.desired is None else "its source is no replica itself"
    ),
    Row.SKIPPED: _skipped,
    Row.KEPT_OUT: _source_tag,
    Row.DELETE: _placed,
    Row.ORPHAN: lambda case: (
        "its own tags may opt it out" if case.desired is None else "its source lands here"
    ),
    Row.INVALID: lambda _: "the target can take it",
    Row.CREATE: lambda _: "it is there",
    Row.ADOPT: _differs,
    Row.CONFLICT: lambda _: "it is ours",
    Row.REPLACE: _same,
    Row.UPDATE: _same,
    Row.RETAG: _same,
    Row.IN_SYNC: lambda _: "",
}
