"""One change of a document -> the lines that say what differs, and the remarks that say why.

A secret attribute has no value here: it is said that it changed, and from which source version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ssm_reconcile.attributes import ATTRIBUTES
from ssm_reconcile.change import changed_by
from ssm_reconcile.renderers.inert import shown, shown_pair, visible

SECURE = "SecureString"
OURS = "ssm-reconcile:"
"""How our own tags begin."""
ORDER = tuple(one.name for one in ATTRIBUTES)


@dataclass(frozen=True, slots=True)
class Line:
    """One attribute: before and after where both are shown (None: it was or will be absent), or a note.

    `wraps`: the note is a sentence and quotes no value, so it may continue on the next line.
    """

    label: str
    before: str | None = None
    after: str | None = None
    note: str = ""
    wraps: bool = False


def type_of(change: Mapping[str, Any]) -> str:
    """The type, or `String -> SecureString` where it changes."""
    kind = visible(change.get("type") or "")
    before, after = _sides(change["attributes"].get("type") or {})
    if before is not None and after is not None and before != after:
        return f"{visible(before)} -> {visible(after)}"
    return kind


def lines_of(change: Mapping[str, Any], source: str) -> tuple[Line, ...]:
    """What differs, attribute by attribute. `source` is the source's region."""
    attributes = change["attributes"]
    names = [name for name in ORDER if name in attributes] + sorted(set(attributes) - set(ORDER))
    return tuple(line for name in names for line in _lines(name, attributes[name], change, source))


def _lines(name: str, attribute: Mapping[str, Any], change: Mapping[str, Any], source: str) -> Iterator[Line]:
    label = visible(name)
    if attribute.get("secret"):
        yield Line(label, note=_secret(name, change, source), wraps=True)
    elif name == "tags" and change["action"] == "replace":
        yield from (Line(label, note=line.after or "") for line in _tags(attribute))
    elif name == "tags":
        yield from _tags(attribute)
    else:
        before, after = _sides(attribute)
        if before is not None and after is not None:
            cut = bool(attribute.get("cut"))
            old, new = shown_pair(before, after, cut=cut)
            if old == new:
                yield Line(label, note=f"{new} differs beyond what is shown")
            else:
                yield Line(label, old, new)
        elif before is not None or after is not None:
            yield Line(label, _one(before, attribute), _one(after, attribute))


def _sides(attribute: Mapping[str, Any]) -> tuple[str | None, str | None]:
    before, after = attribute.get("before"), attribute.get("after")
    return (before if isinstance(before, str) else None), (after if isinstance(after, str) else None)


def _one(text: str | None, attribute: Mapping[str, Any]) -> str | None:
    return None if text is None else shown(text, cut=bool(attribute.get("cut")))


def _secret(name: str, change: Mapping[str, Any], source: str) -> str:
    """What may be said of an attribute that is not shown: that it changed, and where from."""
    if name != "value":
        return "(secret)" if change["action"] == "create" else "(secret) changed"
    version = change["expected"].get("source_version")
    origin = "" if version is None else f"from {visible(source)} version {version}"
    before, after = _sides(change["attributes"].get("type") or {})
    types = {before, after, change.get("type")} - {None}
    mark = "(secret)" if SECURE in types or not types else "(hidden: the name looks secret)"
    if change["attributes"][name].get("by_shape"):
        mark = "(hidden: the value looks secret)"
    if before not in (None, SECURE) and after == SECURE:
        mark = "(secret: the old plain value is hidden too)"
    if change["action"] == "create":
        return f"{mark} {origin}".rstrip()
    state = "not compared" if change.get("unproven") else "changed"
    return f"{mark} {state}{', ' if origin else ''}{origin}"


def _tags(attribute: Mapping[str, Any]) -> Iterator[Line]:
    was = attribute.get("before")
    before: Mapping[str, str] = was if isinstance(was, Mapping) else {}
    added: Mapping[str, str] = attribute.get("added") or {}
    gone = (set(attribute.get("removed") or ()) | set(before)) - set(added)
    for key in sorted({*added, *gone}):
        if key.startswith(OURS):  # what it says is for the tool, not for people
            yield Line("tags", None if key in added else visible(key), visible(key) if key in added else None)
            continue
        old = _tag(key, before.get(key)) if key in before or key in gone else None
        yield Line("tags", old, _tag(key, added[key]) if key in added else None)


def _tag(key: str, value: str | None) -> str:
    """`key=value`; a key that holds an equals sign itself is quoted."""
    name = shown(key)
    if "=" in key and not name.startswith('"'):
        name = f'"{name}"'
    return name if value is None else f"{name}={shown(value) if value else ''}"


def remarks_of(change: Mapping[str, Any]) -> tuple[str, ...]:
    """Why, by whom, and what it means: sentences, most important first."""
    loud = change["action"] in ("delete", "replace") or change.get("changed_outside")
    last = _last_change(change) if loud else ""
    found = [last] if last else []
    if change["action"] == "replace":
        found.append("replaced by delete and create: readers fail for a moment, history is lost")
    if change["action"] != "delete" and change.get("source") not in (None, change["name"]):
        found.append(f"from {visible(change['source'])}")
    known = changed_by(change.get("writer") or "") if last else None
    found += [visible(reason) for reason in change["reasons"] if reason != known]
    if change["fate"] == "withheld" and not change["reasons"]:
        by = ", ".join(visible(guard) for guard in change.get("withheld_by") or ())
        found.append(f"withheld{' by ' + by if by else ''}")
    return tuple(dict.fromkeys(found))


def _last_change(change: Mapping[str, Any]) -> str:
    """`version 4, last changed 2026-11-02 by user/bob, outside ssm-reconcile`."""
    expected = change["expected"]
    if expected.get("version") is None:
        return ""
    when = visible((expected.get("last_modified") or "")[:10])
    writer = visible(change.get("writer") or "")
    who = writer.split(":", 5)[-1] if writer.startswith("arn:") else ""
    text = f"version {expected['version']}"
    if when or who:
        text += f", last changed{' ' + when if when else ''}{' by ' + who if who else ''}"
    return text + (", outside ssm-reconcile" if change.get("changed_outside") else "")
