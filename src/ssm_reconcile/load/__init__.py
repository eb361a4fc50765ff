"""YAML text -> replications, or everything that is wrong with it, at once.

    files      paths -> texts                          bounded; links stay in their directory
    parse      text -> trees with positions            strict YAML; bounded
    grammar    tree -> what the JSON schema says       our own messages (complaints)
    meaning    tree -> what a schema cannot say        places, patterns, keys, tags, rewrites
    together   trees -> where documents get in each other's way
    build      tree -> Replication

A spec from a pull request is untrusted: each step is bounded in time and memory, and what messages
repeat of it is cut and escaped. The only modules that know YAML and JSON schema are in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssm_reconcile.errors import Finding, Severity, SpecError, unknown_name
from ssm_reconcile.load.build import build
from ssm_reconcile.load.files import Text, texts
from ssm_reconcile.load.globs import Effort
from ssm_reconcile.load.grammar import check, schema_text
from ssm_reconcile.load.meaning import check_meaning
from ssm_reconcile.load.nodes import Map, View
from ssm_reconcile.load.notes import Notes
from ssm_reconcile.load.parse import Budget, Document, documents
from ssm_reconcile.load.together import check_together, outline
from ssm_reconcile.spec import Replication

__all__ = ["Loaded", "load", "load_text", "schema_text"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The replications in the order in which they were read, and the warnings about them."""

    replications: tuple[Replication, ...]
    findings: tuple[Finding, ...] = ()
    errors: tuple[Finding, ...] = ()
    """What `validate` reports as an error; a run withholds changes for it instead of refusing the spec."""


def load(paths: Sequence[str], *, stdin: str | None = None, name: str | None = None) -> Loaded:
    """The replications of files and directories; `-` is the text of standard input.

    A directory means each `*.yaml` and `*.yml` file directly inside of it. `name` keeps only the
    documents of that name; all are checked nevertheless. Raises `SpecError` with every error found,
    each with `file:line:column`, a code, and what to write; `UsageError` for an unknown `name`.
    """
    notes = Notes()
    return _load(texts(paths, stdin, notes), notes, name)


def load_text(text: str, file: str = "replication.yaml", *, name: str | None = None) -> Loaded:
    """The replications of one text; `file` is what positions call it. Raises as `load` does."""
    return _load([Text(file, text.removeprefix("\ufeff"))], Notes(), name)


def _load(found: Sequence[Text], notes: Notes, name: str | None) -> Loaded:
    budget, effort = Budget(), Effort()
    files = [one.file for one in found]
    views: list[View] = []
    for one in found:
        for document in documents(one.text, one.file, notes, budget):
            view = _checked(document, notes, effort)
            if view is not None:
                views.append(view)
    check_together([outline(view) for view in views], notes, effort)
    if notes.failed:
        every = (
            *notes.sorted(Severity.ERROR, files),
            *notes.deferred,
            *notes.sorted(Severity.WARNING, files),
        )
        raise SpecError([note.finding() for note in every])
    if name is not None:
        _check_name(name, views)
    replications = [build(view) for view in views]
    warnings = notes.sorted(Severity.WARNING, files)
    return Loaded(
        tuple(one for one in replications if name in {None, one.name}),
        tuple(note.finding() for note in warnings if name is None or not note.about or name in note.about),
        tuple(note.finding() for note in notes.deferred if name is None or name in note.about),
    )


def _checked(document: Document, notes: Notes, effort: Effort) -> View | None:
    """The view of one document, its own faults noted; None when it is no mapping at all."""
    root = document.root
    if root is None:
        message = "this document is empty: remove its `---`, or write a replication"
        notes.error(document.where, "empty-document", message)
        return None
    if not isinstance(root, Map):
        message = "a replication must hold properties at the top: begin with `version: 1`"
        notes.error(root.where, "not-a-mapping", message)
        return None
    if _is_saved(document, root, notes):
        return None
    view = View(*check(root, notes))
    name = view.at("name").text
    notes.about = () if name is None else (name,)
    check_meaning(view, notes, effort)
    notes.about = ()
    return view


def _is_saved(document: Document, root: Map, notes: Notes) -> bool:
    """Whether a document is a saved plan or report: one finding instead of one for each of its keys."""
    keys = {key.text: key.where for key, _ in root.entries}
    if "plan_id" not in keys:
        return False
    where = keys["plan_id"]
    file = document.where.file
    if "outcomes" in keys:
        message = f"this is a saved report, not a spec: show it with `ssm-reconcile show {file}`"
        notes.error(where, "saved-report", message)
    else:
        message = (
            f"this is a saved plan, not a spec: apply it with `ssm-reconcile apply {file}`, or show it with"
            f" `ssm-reconcile show {file}`"
        )
        notes.error(where, "saved-plan", message)
    return True


def _check_name(name: str, views: Sequence[View]) -> None:
    known = [one for view in views if (one := view.at("name").text) is not None]
    if name not in known:
        raise unknown_name("replication", name, known)
