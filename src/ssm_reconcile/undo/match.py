"""A report against the loaded spec and the opened places -> the changes that may be taken back.

A report names parameters and the versions that must be found, and the tags before a change, which AWS does
not keep. All else is read live. Whatever does not match stops the run before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ssm_reconcile.aws_limits import RESERVED_TAG_PREFIX
from ssm_reconcile.change import Action, TagDiff
from ssm_reconcile.documents import OutcomeEntry, ReplicationResultEntry, ReportDocument, VersionEntry
from ssm_reconcile.errors import ReconcileError, StoreError, UsageError
from ssm_reconcile.model import Tags, canonical
from ssm_reconcile.record import OWNER, PREFIX, RECORD, digest_id
from ssm_reconcile.report import ParameterVersion, Result
from ssm_reconcile.session import Session
from ssm_reconcile.spec import Glob, Replication
from ssm_reconcile.wording import first_of, parse_time

FIRST_MINOR = 3
"""The minor of the format that has the versions and tags of each outcome."""
WRITING = frozenset({Result.APPLIED, Result.FAILED})
"""The results of changes that wrote, or may have."""


class ReportRefused(ReconcileError):  # noqa: N818 - as PlanRefused
    """The report is not one of an apply of this spec, or lacks what an undo needs."""

    finding_code = "undo-refused"


@dataclass(frozen=True, slots=True)
class PastChange:
    """One change of a report.

    Attributes:
        name: The name of the parameter in the target.
        action: What the apply did.
        is_known: Whether the report says what was written: the change was applied, and no fact is missing.
        failed: Whether the change failed, so that it may have written.
        before: The version before the change; None if the parameter did not exist.
        after: The version after it; None if the parameter does not exist any more.
        tags: The tags that the change wrote or removed.
        recreated: Whether the apply deleted the parameter and created it again.
        is_outside: Whether `--only` leaves it out, so that it only counts for the limits on deletes.
    """

    name: str
    action: str
    is_known: bool
    failed: bool
    before: ParameterVersion | None
    after: ParameterVersion | None
    tags: TagDiff
    recreated: bool = False
    is_outside: bool = False

    @property
    def touches_record(self) -> bool:
        """Whether the change wrote or removed the record: each does, apart from those of a mark to delete."""
        return RECORD in self.tags.before or RECORD in self.tags.after

    @property
    def restores_value(self) -> bool:
        """Whether the change overwrote a version that GetParameterHistory may still have."""
        return (
            self.is_known
            and self.touches_record
            and self.before is not None
            and self.after is not None
            and self.after.version == self.before.version + 1
        )

    @property
    def impossible_reason(self) -> str:
        """The reason why no state of AWS can make an undo possible; empty without one."""
        if self.failed:
            return (
                "it failed, and what it wrote is unknown. Correct the source and apply again, or write the"
                " former value from its history by hand"
            )
        if self.action == Action.DELETE:
            return (
                "AWS keeps no history of a deleted parameter. The next apply creates the replica again, if"
                " its source exists and no hold matches it"
            )
        if not self.is_known or self.after is None:
            return "the report does not say what was written"
        if self.before is None:
            return ""
        found = self.after.version - self.before.version
        if self.recreated or self.action == Action.REPLACE or found < 0:
            return "it was deleted and created again, and AWS keeps no history of a deleted parameter"
        if found > 1:
            return f"another client wrote version {self.after.version - 1} during the apply"
        if found == 0 and {OWNER, RECORD} & self.tags.before.keys() - self.tags.after.keys():
            return (
                "its ownership tags were removed, and only an apply makes it a replica: the next one adopts"
                " it, if the spec places a source there and `adopt` allows it"
            )
        return "" if found == 0 or self.restores_value else "the report does not say what was written"


PastChanges: TypeAlias = Mapping[tuple[str, str], Sequence[PastChange]]
"""The changes of a report by replication and target."""


def past_changes(
    report: ReportDocument, specs: Sequence[Replication], session: Session, *, is_narrowed: bool
) -> PastChanges:
    """Return the changes of a report that wrote, or may have, sorted by name.

    `--only` leaves out all but the creates at other names, which are marked as outside.

    Args:
        report: The document of the report.
        specs: The replications, narrowed to the targets of the run.
        session: The session of the run; all places are open.
        is_narrowed: Whether the run leaves replications or targets of the report out.

    Raises:
        ReportRefused: The report is of an older format, or differs from the spec.
        StoreError: A source could not be opened.
        UsageError: No pattern of the run matches.
    """
    if int(report["format_version"].partition(".")[2]) < FIRST_MINOR:
        version = report["format_version"]
        message = f"the report has format {version}: it lacks the versions and tags that undo needs"
        raise ReportRefused(
            message, f"undo needs a report of format 1.{FIRST_MINOR} or later; restore the source"
        )
    differences = list(_differences(report, specs, session, is_narrowed=is_narrowed))
    if differences:
        remedy = "give the report, the spec and the credentials of one apply"
        raise ReportRefused(f"the report does not match the spec: {'; '.join(differences)}", remedy)
    known = {(spec.name, target.name) for spec in specs for target in spec.targets}
    only = tuple(Glob(text) for text in session.run.only)
    found: dict[tuple[str, str], dict[str, PastChange]] = {}
    for entry in report["outcomes"]:
        key, name = (entry["replication"], entry["target"]), canonical(entry["name"])
        if key not in known or entry["outcome"] not in WRITING:
            continue
        if name in found.setdefault(key, {}):
            raise ReportRefused(
                f"the report names {entry['name']} in {entry['target']} twice", "take another report"
            )
        is_outside = bool(only) and not any(glob.matches(entry["name"]) for glob in only)
        found[key][name] = replace(_past_change(entry), is_outside=is_outside)
    changes = {key: [of_name[name] for name in sorted(of_name)] for key, of_name in found.items()}
    if only and all(one.is_outside for of_target in changes.values() for one in of_target):
        raise UsageError(
            "no pattern of --only matches a parameter that the apply wrote", "correct the pattern"
        )
    return {
        key: [one for one in of_target if not one.is_outside or one.before is None]
        for key, of_target in changes.items()
    }


def compare_user_tags(spec: Replication, past: PastChange, live: Tags) -> tuple[TagDiff, list[str]]:
    """Return the tags to write and to remove, and why others stay: tags that were changed since.

    Args:
        spec: The replication, which decides which tags are replicated.
        past: The change.
        live: The tags of the live parameter.
    """
    before, after, kept = dict[str, str](), dict[str, str](), []
    for key in sorted({*past.tags.before, *past.tags.after}):
        if key.startswith((PREFIX, RESERVED_TAG_PREFIX)):
            continue
        if live.get(key) == past.tags.before.get(key):
            continue
        if live.get(key) != past.tags.after.get(key):
            kept.append(f"its tag {key} was changed since, and stays")
        elif not spec.replicates_tag(key):
            kept.append(f"its tag {key} is not replicated any more, and stays")
        else:
            before |= {key: live[key]} if key in live else {}
            after |= {key: past.tags.before[key]} if key in past.tags.before else {}
    return TagDiff(before, after), kept


def _differences(
    report: ReportDocument, specs: Sequence[Replication], session: Session, *, is_narrowed: bool
) -> Iterator[str]:
    """Yield what differs between a report and the spec, for the replications and targets of the run."""
    loaded = {spec.name: spec for spec in specs}
    parts = {part["name"]: part for part in report["replications"]}
    both = sorted(parts.keys() & loaded.keys())
    if not both or (parts.keys() - loaded.keys() and not is_narrowed):
        theirs, ours = (first_of(sorted(names), 3) or "nothing" for names in (parts, loaded))
        yield f"it is about {theirs}, and the spec about {ours}"
    for name in both:
        yield from _of_replication(parts[name], loaded[name], report, session, is_narrowed=is_narrowed)


def _of_replication(
    part: ReplicationResultEntry,
    spec: Replication,
    report: ReportDocument,
    session: Session,
    *,
    is_narrowed: bool,
) -> Iterator[str]:
    source = str(session.places.store(spec.source.access).place)
    if part["source"] != source:
        yield f"the source of {spec.name} is {part['source']} there and {source} in the spec"
    of_id = None if spec.id is None else digest_id(spec.id)
    if part.get("spec_id") != of_id:
        yield f"{spec.name} has another `id`"
    places = {target.name: session.places.opened[target.access] for target in spec.targets}
    listed = [target for target in report["targets"] if target["replication"] == spec.name]
    missing = sorted(target["name"] for target in listed if target["name"] not in places)
    if missing and not is_narrowed:
        yield f"{spec.name} has no target {first_of(missing, 3)}"
    for target in listed:
        place = places.get(target["name"])
        if place is not None and not isinstance(place, StoreError) and str(place.place) != target["place"]:
            named = f"the target {target['name']} of {spec.name}"
            yield f"{named} is {target['place']} there and {place.place} in the spec"


def _past_change(entry: OutcomeEntry) -> PastChange:
    before, after = _version(entry.get("before")), _version(entry.get("after"))
    tags = entry.get("tags")
    action = entry["action"]
    complete = (
        tags is not None
        and (before is None) == (action == Action.CREATE)
        and (after is None) == (action == Action.DELETE)
        and (before is None or before.modified is not None)
    )
    return PastChange(
        name=entry["name"],
        action=action,
        is_known=entry["outcome"] == Result.APPLIED and complete,
        failed=entry["outcome"] == Result.FAILED,
        before=before,
        after=after,
        tags=TagDiff() if tags is None else TagDiff(tags["before"], tags["after"]),
        recreated=entry.get("recreated", False),
    )


def _version(entry: VersionEntry | None) -> ParameterVersion | None:
    if entry is None:
        return None
    text = entry.get("last_modified")
    moment = parse_time(text)
    if text is not None and moment is None:
        raise ReportRefused("the report has a time of another form", "take the report as `apply` wrote it")
    return ParameterVersion(entry["version"], moment)
