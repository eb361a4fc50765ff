"""Paths, or YAML text -> replications, or every error and warning about them at once.

    files      paths -> texts                        bounded; links stay in their directory
    tree       text -> trees with positions          strict YAML; bounded
    schema     tree -> view of its valid values      errors against the JSON Schema
    matrix     view -> view with plain targets       lists of regions and accounts, placeholders
    meaning    views -> errors beyond a schema       one document alone, then all together
      places   regions, accounts, roles, KMS keys
      patterns patterns of names
    messages   findings with positions; safe text for messages

A spec from a pull request is untrusted: each step is bounded in time and memory, and text of the spec that a
message repeats is cut and escaped. No module outside this folder knows YAML or JSON Schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any, TypeAlias

from ssm_reconcile import spec
from ssm_reconcile.aws_limits import used_classes
from ssm_reconcile.errors import Finding, Severity, SpecError, Where, unknown_name
from ssm_reconcile.lift import Lift
from ssm_reconcile.load.files import SpecText, read_texts
from ssm_reconcile.load.matrix import expand_targets
from ssm_reconcile.load.meaning import check_document, check_documents
from ssm_reconcile.load.messages import SpecFindings
from ssm_reconcile.load.schema import NodeView, check
from ssm_reconcile.load.tree import MappingNode, YamlDocument, documents
from ssm_reconcile.model import Access
from ssm_reconcile.skip_sync import OnSkip, SkipMode, SkipSync


@dataclass(frozen=True, slots=True)
class Loaded:
    """The replications in the order in which they were read, and the warnings about them.

    `errors` are those that `validate` reports, and for which a run withholds changes instead of refusing the
    spec.
    """

    replications: tuple[spec.Replication, ...]
    findings: tuple[Finding, ...] = ()
    errors: tuple[Finding, ...] = ()


def load(paths: Sequence[str], *, stdin: str | None = None, name: str | None = None) -> Loaded:
    """Read and check the replications of files and directories.

    Args:
        paths: Files; directories, which stand for each `*.yaml` and `*.yml` file directly inside; `-` for
            standard input.
        stdin: The text of standard input.
        name: Keep only the replications of that name. All documents are checked nevertheless.

    Raises:
        SpecError: The spec has errors. It holds all of them, each with `file:line:column`, a code and what to
            write.
        UsageError: No replication has that name.
    """
    findings = SpecFindings()
    return _load(read_texts(paths, stdin, findings), findings, name)


def load_text(text: str, file: str = "replication.yaml", *, name: str | None = None) -> Loaded:
    """Read and check the replications of one text.

    Args:
        text: YAML with one or more documents.
        file: The name of the file in positions.
        name: The replication to keep; None for all.

    Raises:
        SpecError: The spec has errors.
        UsageError: No replication has that name.
    """
    return _load([SpecText(file, text.removeprefix("\ufeff"))], SpecFindings(), name)


def _load(texts: Sequence[SpecText], findings: SpecFindings, name: str | None) -> Loaded:
    views = [
        view
        for one in texts
        for document in documents(one.text, one.file, findings)
        if (view := _checked(document, findings)) is not None
    ]
    check_documents(views, findings)
    files = [one.file for one in texts]
    warnings = (*findings.sorted(Severity.WARNING, files), *findings.sorted(Severity.NOTICE, files))
    if findings.failed:
        errors = findings.sorted(Severity.ERROR, files)
        raise SpecError([one.finding() for one in (*errors, *findings.deferred, *warnings)])
    replications = [_replication(view) for view in views]
    if name is not None and name not in {one.name for one in replications}:
        raise unknown_name("replication", name, [one.name for one in replications])
    return Loaded(
        tuple(one for one in replications if name in {None, one.name}),
        tuple(one.finding() for one in warnings if name is None or not one.about or name in one.about),
        tuple(one.finding() for one in findings.deferred if name is None or name in one.about),
    )


def _checked(document: YamlDocument, findings: SpecFindings) -> NodeView | None:
    """Report the errors of one document on its own; return its view, None when it is not a mapping."""
    root = document.root
    if root is None:
        message = "this document is empty: remove its `---`, or write a replication"
        findings.error(document.where, "empty-document", message)
        return None
    if not isinstance(root, MappingNode):
        message = "a replication must be a mapping: begin with `version: 1`"
        findings.error(root.where, "not-a-mapping", message)
        return None
    if _is_saved(root, findings):
        return None
    view = check(root, findings)
    name = view.at("name").text
    findings.about = () if name is None else (name,)
    view = expand_targets(view, findings)
    check_document(view, findings)
    findings.about = ()
    return view


def _is_saved(root: MappingNode, findings: SpecFindings) -> bool:
    """Whether a document is a saved plan or report; reports it once instead of once for each of its keys."""
    keys = {key.text: key.where for key, _ in root.entries}
    where = keys.get("plan_id")
    if where is None:
        return False
    file = where.file
    if "outcomes" in keys:
        message = f"this is a saved report, not a spec: show it with `ssm-reconcile show {file}`"
        findings.error(where, "saved-report", message)
    else:
        use = f"apply it with `ssm-reconcile apply {file}`, or show it with `ssm-reconcile show {file}`"
        findings.error(where, "saved-plan", f"this is a saved plan, not a spec: {use}")
    return True


Pairs: TypeAlias = tuple[tuple[str, str], ...]
RateSettings: TypeAlias = tuple[tuple[tuple[str, float], ...], bool]
"""Calls per second by class, and whether higher rates are looked for."""


def _replication(view: NodeView) -> spec.Replication:
    """Return the replication of a document without errors; each key of the schema has a field."""
    source, rules, tags = view.at("source"), view.at("parameters"), view.at("tags")
    chosen = {key.text: value.text for key, value in view.pairs() if value.text is not None}
    rates = _rates(view.at("rates"))
    home = replace(_access(source, _rates_of_reads(rates)), read_only=True)
    limits, limit_lines = _limits(view)
    return spec.Replication(
        name=chosen["name"],
        source=spec.Source(home, source.at("account").text, source.where),
        targets=tuple(_target(one, rates, home.region) for one in view.at("targets").each()),
        include=_globs(rules.at("include")),
        delete=spec.DeleteMode(chosen.get("delete") or view.at("delete", "mode").text or ""),
        exclude=_globs(rules.at("exclude")),
        holds=tuple(map(_hold, rules.at("hold").each())),
        types=frozenset(_texts(rules.at("types"))) or spec.ALL_TYPES,
        previous_names=_texts(view.at("previous_names")),
        id=chosen.get("id"),
        previous_ids=_texts(view.at("previous_ids")),
        skip_sync=_skip_sync(view.at("skip_sync")),
        kms=tuple(
            spec.KeyRule(one.at("source").text or "", _pairs(one.at("targets")), one.where)
            for one in view.at("kms").each()
        ),
        rewrites=tuple(map(_rewrite, view.at("rewrite").each())),
        ignore_tags=_texts(tags.at("ignore")),
        add_tags=_pairs(tags.at("add")),
        adopt=spec.AdoptMode(chosen.get("adopt", spec.AdoptMode.IDENTICAL)),
        grace=_duration(view.at("delete", "after").raw or "0"),
        orphans=spec.Orphans(chosen.get("orphans", spec.Orphans.KEEP)),
        changed_outside=spec.ChangedOutside(chosen.get("changed_outside", spec.ChangedOutside.WITHHOLD)),
        limits=limits,
        lifts=tuple(map(_lift, view.at("lifts").each())),
        hide=_globs(view.at("hide")),
        show=_globs(view.at("show")),
        where=view.at("name").where,
        limit_lines=limit_lines,
    )


def _texts(view: NodeView) -> tuple[str, ...]:
    return tuple(one.text for one in view.texts())


def _globs(view: NodeView) -> tuple[spec.Glob, ...]:
    return tuple(spec.Glob(one.text, one.where) for one in view.texts())


def _pairs(view: NodeView) -> Pairs:
    return tuple((key.text, value.text or "") for key, value in view.pairs())


def _rates(view: NodeView) -> RateSettings:
    given = {key.text: value.raw or "" for key, value in view.pairs()}
    probe = given.pop("probe", None) == "true"
    return tuple(sorted((kind, float(rate or 0)) for kind, rate in given.items())), probe


def _rates_of_reads(rates: RateSettings) -> RateSettings:
    used = used_classes(read_only=True)
    return tuple((kind, rate) for kind, rate in rates[0] if kind in used), rates[1]


def _access(view: NodeView, rates: RateSettings, sts_region: str | None = None) -> Access:
    region, role, external_id = (view.at(key).text for key in ("region", "role_arn", "external_id"))
    return Access(region or "", role, external_id, *rates, sts_region=sts_region)


def _target(view: NodeView, rates: RateSettings, source_region: str) -> spec.Target:
    access = _access(view, rates, source_region)
    return spec.Target(
        name=view.at("name").text or access.region,
        access=access,
        account=view.at("account").text,
        frozen=view.at("frozen").raw == "true",
        default_key=view.at("kms", "default").text,
        keys=_pairs(view.at("kms", "keys")),
        tier=spec.TierMode(view.at("tier").text or spec.TierMode.SAME),
        where=view.where,
    )


def _skip_sync(view: NodeView) -> SkipSync:
    default, values = SkipSync(), view.at("values")
    listed = _texts(values)
    mode = SkipMode.LISTED if listed else SkipMode(values.text or default.mode)
    replicas = OnSkip(view.at("replicas").text or default.replicas)
    tag, ignore = view.at("tag").text or default.tag, _texts(view.at("ignore"))
    return SkipSync(tag, mode, listed, replicas, ignore)


def _rewrite(view: NodeView) -> spec.Rewrite:
    match, scope = view.at("match"), spec.RewriteIn(view.at("in").text or spec.RewriteIn.VALUE)
    old, new = (view.at(key).text or "" for key in ("from", "to"))
    return spec.Rewrite(spec.Glob(match.text or "", match.where), scope, old, new)


def _hold(view: NodeView) -> spec.Hold:
    match, until = view.at("match"), view.at("until").text
    ends = None if until is None else date.fromisoformat(until)
    return spec.Hold(spec.Glob(match.text or "", match.where), ends, view.at("reason").text or "", view.where)


def _lift(view: NodeView) -> Lift:
    guard, target, changes, until, reason = (
        view.at(key).text or "" for key in ("guard", "target", "changes", "until", "reason")
    )
    count = int(view.at("count").raw or 0)
    return Lift(guard, target, changes, count, date.fromisoformat(until), reason, view.where)


def _limits(view: NodeView) -> tuple[spec.Limits, dict[str, Where]]:
    """Return the limits, and the position of each in the spec, or the position to add it."""
    guards = view.at("guards")
    written = {field.name: guards.at(field.name) for field in fields(spec.Limits)}
    written["max_updates"] = guards.at("events").at("max_updates")
    given = {key: one.raw for key, one in written.items() if one.raw is not None}
    limits: dict[str, Any] = {
        key: _duration(raw) if key == "window" else int(raw) for key, raw in given.items()
    }
    lines = {key: (one or guards or view.at("name")).where for key, one in written.items()}
    return spec.Limits(**limits), lines


def _duration(text: str) -> timedelta:
    """Return a number of hours (`24h`) or days (`7d`), or nothing (`0`)."""
    if text[-1] not in "hd":
        return timedelta(0)
    number = int(text[:-1])
    return timedelta(days=number) if text.endswith("d") else timedelta(hours=number)
