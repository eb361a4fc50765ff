"""One change of a document -> its attributes before and after, and remarks on the reason.

A line on a secret attribute has no value, only the fact that it changes and the source version.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from ssm_reconcile.attributes import ATTRIBUTES, COPIED
from ssm_reconcile.change import Row
from ssm_reconcile.documents import ChangeEntry, OtherEntry, OutcomeEntry
from ssm_reconcile.documents.counts import AttributeEntry, ValuePartEntry
from ssm_reconcile.model import SECURE
from ssm_reconcile.record import OWNER, PREFIX
from ssm_reconcile.renderers.escaping import is_plain, json_text, value_text, visible
from ssm_reconcile.renderers.value_texts import UNKNOWN, ShownText, ValueNotation
from ssm_reconcile.shape import EXCERPT, excerpt, excerpt_start
from ssm_reconcile.wording import (
    key_without_place,
    outside_change_reason,
    parse_time,
    plural,
    time_before,
    utc_text,
    writer_name,
)

ORDER = tuple(one.name for one in ATTRIBUTES)
ACTIONS = ("create", "update", "replace", "delete", "adopt", "retag")
"""The actions in the order in which a sentence counts them."""
BY_DANGER = ("delete", "replace", "update", "adopt", "create", "retag")
"""The actions in the order in which changes are listed."""
HARMLESS = ("create", "update", "adopt", "retag")
"""The actions that delete nothing. An action that this version does not know is not among them."""


@dataclass(frozen=True, slots=True)
class AttributeLine:
    """One attribute: before and after where both are shown (None: it was or will be absent), or a note.

    Attributes:
        label: The name of the attribute.
        before: The text in the target.
        after: The text to be written.
        note: A remark, where neither text is shown.
        wraps: Whether the note is a sentence that quotes no value, so it may continue on the next line.
        key: The part of a value: `limits.max`, `item 3`, `line 12`; empty for the whole value.
        is_context: Whether the line shows an unchanged part of a value, next to a changed one.
    """

    label: str
    before: str | None = None
    after: str | None = None
    note: str = ""
    wraps: bool = False
    key: str = ""
    is_context: bool = False

    @property
    def needs_own_lines(self) -> bool:
        """Whether a reader could misread `phrase`: a text is empty, has outer spaces, or resembles a note."""
        if self.label == "tags":  # quoted as JSON where they are not plain
            return False
        return not all(text is None or is_plain(text) for text in (self.before, self.after))

    def own_lines(self) -> list[str]:
        """Return each side on a line of its own: `- old`, `+ new`. No note begins with these signs."""
        if self.is_context:
            return [f"  {self.after}"]
        sides = (("-", self.before), ("+", self.after))
        return [f"{sign} {text}" for sign, text in sides if text is not None]

    def phrase(self, *, is_new: bool) -> str:
        """Return the difference in one phrase. Attributes of a new parameter are not called added.

        Texts that could be misread are quoted as JSON; outputs with room for `own_lines` show those instead.
        """
        start = f"{self.key}: " if self.key else ""
        before, after = self.before, self.after
        if self.needs_own_lines:
            before, after = (None if text is None else json_text(text) for text in (before, after))
        if self.note:
            return f"{start}{self.note}"
        if self.is_context:
            return f"{start}{after}"
        if before is not None and after is not None:
            return f"{start}{before} -> {after}"
        if is_new:
            return f"{start}{after}"
        word, text = ("added", after) if before is None else ("removed", before)
        is_sentence = " " in (text or "") and not self.key and self.label != "tags"
        return f"{word}: {text}" if is_sentence else f"{start}{text} {word}"

    def texts(self, *, is_new: bool, width: float = math.inf) -> list[str]:
        """Return the phrase, or `own_lines` below the key where the phrase could be misread.

        Args:
            is_new: As for `phrase`.
            width: The most characters of a phrase with both sides.
        """
        phrase = self.phrase(is_new=is_new)
        has_both = not (self.wraps or self.is_context or None in (self.before, self.after))
        if self.needs_own_lines or (has_both and len(phrase) > width):
            return [*([f"{self.key}:"] if self.key else []), *self.own_lines()]
        return [phrase]


TERMINAL_ONLY = "shown on a terminal, and here for names under `show`"
"""The note in comments and pages on the attributes of a parameter that was, or will be, not a replica."""


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One change in one target. `target` is the target's label, `kind` the type or `old -> new`.

    `exposes`: a SecureString becomes plain text. `releases`: the parameter stays and is no longer a replica.
    `marks`: a later run deletes or releases it. `clears_mark`: apply removes its mark, though it is withheld.
    `returns_secret`: `undo` writes a former version of a SecureString.
    `takes_over`: the parameter was no replica; `is_public`: comments and pages show both sides: of such a
    parameter, or one that `undo` gives back, only under `show` of the spec. `last_change_with_age` is the
    last change for a terminal, with its time relative to the plan, too. `holds` are the reasons of `guards`,
    in their order. `common_lines` are the attributes with placeholders for the place of the target.
    """

    target: str
    name: str
    action: str
    kind: str
    lines: tuple[AttributeLine, ...] = ()
    last_change: str = ""
    last_change_with_age: str = ""
    reasons: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    withheld: bool = False
    clears_mark: bool = False
    guards: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    changed_outside: bool = False
    exposes: bool = False
    releases: bool = False
    marks: bool = False
    takes_over: bool = False
    returns_secret: bool = False
    is_public: bool = True
    pending: bool = False
    common_lines: tuple[AttributeLine, ...] = ()

    @property
    def as_shared(self) -> ChangeView:
        """The change as it is shown for several targets."""
        return self if self.common_lines is self.lines else replace(self, lines=self.common_lines)

    @property
    def remarks(self) -> tuple[str, ...]:
        """The last change, the consequences and the reasons, most important first."""
        last = (self.last_change,) if self.last_change else ()
        return tuple(dict.fromkeys((*last, *self.reasons, *self.holds)))

    @property
    def public_lines(self) -> tuple[AttributeLine, ...]:
        """The attributes as comments and pages show them. Of another owner's, only under `show`."""
        if self.is_public:
            return self.lines
        # `kind` has both types.
        hidden = {line.label: None for line in self.lines if not line.wraps and line.label != "type"}
        note = AttributeLine(", ".join(hidden), note=TERMINAL_ONLY, wraps=True)
        return tuple(dict.fromkeys(note if line.label in hidden else line for line in self.lines))

    @property
    def is_new(self) -> bool:
        """Whether the change creates the parameter, so that none of its attributes is called added."""
        return self.action in ("create", "replace")


def change_view(
    change: ChangeEntry, source: str, label: str, created: datetime | None = None, place: str = ""
) -> ChangeView:
    """Return the view of one change.

    Args:
        change: An entry under `changes` of a plan's document.
        source: The place of its source, as `account/region`.
        label: The label of its target.
        created: The time of the plan.
        place: The place of its target, as `account/region`.
    """
    lines = attribute_lines(change, source.rsplit("/", 1)[-1])
    names_writer = change["action"] in ("delete", "replace") or change.get("changed_outside")
    last, with_age = (_last_change(change, time) if names_writer else "" for time in (None, created))
    reasons, holds = _reasons(change, names_writer=bool(last))
    return ChangeView(
        target=label,
        name=visible(change["name"]),
        action=visible(change["action"]),
        kind=_type(change),
        lines=lines,
        last_change=last,
        last_change_with_age=with_age,
        reasons=reasons,
        attributes=tuple(visible(name) for name in sorted(change["attributes"])),
        withheld=change["fate"] == "withheld",
        clears_mark=bool(change.get("clears_mark")),
        guards=tuple(visible(guard) for guard in change.get("withheld_by") or ()),
        holds=holds,
        changed_outside=bool(change.get("changed_outside")),
        exposes=bool(change.get("exposes")),
        releases=OWNER in (change["attributes"].get("tags") or {}).get("removed", ()),
        marks=change["row"] == Row.EXPIRING.value,
        takes_over=bool(change.get("takes_over")),
        returns_secret=returns_secret(change),
        is_public=bool(change.get("show", not change.get("takes_over"))),
        pending=bool(change.get("pending")),
        common_lines=without_key_places(lines, place),
    )


def returns_secret(change: ChangeEntry | OutcomeEntry) -> bool:
    """Whether a change writes a former version of a SecureString again."""
    return bool(change.get("restores")) and change.get("type") == SECURE


def _type(change: ChangeEntry) -> str:
    """Return the type, or `String -> SecureString` where it changes."""
    kind = visible(change.get("type") or "")
    before, after = _sides(change["attributes"].get("type") or {})
    if before is not None and after is not None and before != after:
        return f"{visible(before)} -> {visible(after)}"
    return kind


def without_key_places(lines: tuple[AttributeLine, ...], place: str) -> tuple[AttributeLine, ...]:
    """Return attributes with placeholders for the place of a target in the ARNs of its keys."""

    def shared(text: str | None) -> str | None:
        return None if text is None else key_without_place(text, place)

    found = tuple(
        replace(line, before=shared(line.before), after=shared(line.after)) if line.label == "KeyId" else line
        for line in lines
    )
    return lines if found == lines else found


def attribute_lines(change: ChangeEntry, source: str) -> tuple[AttributeLine, ...]:
    """Return the attributes that differ, in the order of ATTRIBUTES. `source` is the source's region."""
    attributes = change["attributes"]
    names = _ordered(attributes)
    return tuple(line for name in names for line in _lines(name, attributes[name], change, source))


def conflict_lines(other: OtherEntry) -> tuple[AttributeLine, ...]:
    """Return the differences of an existing parameter: its own value before, that of the source after."""
    attributes = other.get("attributes") or {}
    lines: list[AttributeLine] = []
    for name in _ordered(attributes):
        attribute = attributes[name]
        if attribute.get("secret"):
            mark = _secret_mark(name, attributes, other.get("type"))
            if mark.startswith("(hidden"):  # the reasons say that a SecureString differs
                lines.append(AttributeLine(visible(name), note=mark, wraps=True))
        elif name == "tags":
            lines += _tags(attribute)
        else:
            lines += _text_lines(visible(name), attribute, has_empty=name not in _ABSENT_IF_EMPTY)
    return tuple(lines)


def _ordered(attributes: Mapping[str, AttributeEntry]) -> list[str]:
    return [name for name in ORDER if name in attributes] + sorted(set(attributes) - set(ORDER))


def _lines(name: str, attribute: AttributeEntry, change: ChangeEntry, source: str) -> Iterator[AttributeLine]:
    label = visible(name)
    if attribute.get("secret"):
        yield AttributeLine(label, note=_secret(name, change, source), wraps=True)
    elif name == "tags" and change["action"] == "replace":
        yield from (AttributeLine(label, note=line.after or "") for line in _tags(attribute))
    elif name == "tags":
        yield from _tags(attribute)
    else:
        yield from _text_lines(label, attribute, has_empty=name not in _ABSENT_IF_EMPTY)


def _text_lines(label: str, attribute: AttributeEntry, *, has_empty: bool) -> Iterator[AttributeLine]:
    """Yield the parts of an attribute that differ, each followed by a note on what a reader cannot see."""
    keyed = _shown_parts(attribute)
    if keyed is None:
        keyed = [("", _whole(attribute, has_empty=has_empty), False)]
    notation = ValueNotation((part for _, part, _ in keyed), (key for key, _, _ in keyed))
    for note in attribute.get("notes") or ():
        yield AttributeLine(label, note=visible(note), wraps=True)
    for raw, part, is_context in keyed:
        key = notation.key(raw)
        before, after = notation.texts(part)
        if before is None and after is None:
            continue
        if before == after and not is_context:
            state = "differs after the part that is shown" if _has_cut_end(part) else "on both sides"
            yield AttributeLine(label, note=f"{after} {state}", key=key)
            continue
        yield AttributeLine(label, before, after, key=key, is_context=is_context)
        notes = notation.notes(part, raw, is_line=attribute.get("form") == "lines")
        if notes:
            yield AttributeLine(label, note="; ".join(notes), wraps=True)
    if more := attribute.get("more"):
        noun = _PARTS.get(attribute.get("form") or "", "part")
        is_new = attribute.get("before") is None
        note = plural(more, f"more {noun}") + ("" if is_new else f" {'differs' if more == 1 else 'differ'}")
        yield AttributeLine(label, note=note, wraps=True)


_ABSENT_IF_EMPTY = frozenset(one.name for one in COPIED if not one.default)
_PARTS = {"json": "key", "yaml": "key", "env": "key", "list": "item", "lines": "line"}
"""The word for a part of a value of each form."""


_KeyedText: TypeAlias = tuple[str, ShownText, bool]
"""The key of a part of a value, its texts, and whether it is unchanged."""


def _shown_parts(attribute: AttributeEntry) -> list[_KeyedText] | None:
    """Return the parts of a value; None without parts, and if neither they nor a note show a difference.

    A forged plan may have two values and parts that say nothing of them: both values are shown then.
    """
    entries = attribute.get("parts")
    if entries is None:
        return None
    parts = [_part(one) for one in entries]
    changed = [part for _, part, is_context in parts if not is_context]
    is_difference = any(part.before != part.after or _has_cut_end(part) for part in changed)
    return parts if is_difference or attribute.get("notes") or attribute.get("more") else None


def _part(entry: ValuePartEntry) -> _KeyedText:
    old, new = entry.get("before"), entry.get("after")
    skipped, start = excerpt_start(old, new), entry.get("start") or 0
    before, after = (excerpt(side, skipped) for side in (old, new))
    lengths = (
        entry.get("before_length") or start + len(old or ""),
        entry.get("after_length") or start + len(new or ""),
    )
    is_context = bool(entry.get("context")) and old == new
    return entry["key"], ShownText(before, after, start + skipped, lengths), is_context


def _has_cut_end(part: ShownText) -> bool:
    return any(part.is_cut(text, length) for _, text, length in part.sides)


def _whole(attribute: AttributeEntry, *, has_empty: bool) -> ShownText:
    """Return the texts of an attribute that is not compared by parts.

    `has_empty`: whether an empty text is shown; for a description it means that there is none.
    """
    sides, is_cut = _sides(attribute), attribute.get("cut")
    if not has_empty:
        sides = (sides[0] or None, sides[1] or None)
    start = excerpt_start(*sides)
    before, after = (excerpt(side, start) for side in sides)
    lengths = [UNKNOWN if is_cut and len(side or "") >= EXCERPT else len(side or "") for side in sides]
    return ShownText(before, after, start, (lengths[0], lengths[1]))


def _sides(attribute: AttributeEntry) -> tuple[str | None, str | None]:
    before, after = attribute.get("before"), attribute.get("after")
    return (before if isinstance(before, str) else None), (after if isinstance(after, str) else None)


def _secret(name: str, change: ChangeEntry, source: str) -> str:
    """Return the note on an attribute whose value is not shown: that it changes, and from which version."""
    mark = _secret_mark(name, change["attributes"], change.get("type"))
    if name != "value":
        return mark if change["action"] == "create" else f"{mark} changed"
    version, former = change["expected"].get("source_version"), change.get("restores")
    origin = "" if version is None else f"from {visible(source)} version {version}"
    if former:
        return f"{mark} written again as in version {former['version']}"
    if change["action"] == "create":
        return f"{mark} {origin}".rstrip()
    state = "not compared" if change.get("unproven") else "changed"
    return f"{mark} {state}{', ' if origin else ''}{origin}"


def _secret_mark(name: str, attributes: Mapping[str, AttributeEntry], kind: str | None) -> str:
    """Return why an attribute is not shown. `kind` is the type of the parameter, if it is known."""
    if name != "value":
        return "(secret)"
    before, after = _sides(attributes.get("type") or {})
    if before not in (None, SECURE) and after == SECURE:
        return "(secret: the old plain value is hidden too)"
    if attributes[name].get("by_shape"):
        return "(hidden: the value looks secret)"
    types = {before, after, kind} - {None}
    return "(secret)" if SECURE in types or not types else "(hidden because of its name or its tags)"


def _tags(attribute: AttributeEntry) -> Iterator[AttributeLine]:
    was = attribute.get("before")
    before: Mapping[str, str] = was if isinstance(was, Mapping) else {}
    added: Mapping[str, str] = attribute.get("added") or {}
    gone = (set(attribute.get("removed") or ()) | set(before)) - set(added)
    for key in sorted({*added, *gone}):
        if key.startswith(PREFIX):
            # Only the tool reads the values of its own tags.
            yield AttributeLine(
                "tags", None if key in added else visible(key), visible(key) if key in added else None
            )
            continue
        old = _tag(key, before.get(key)) if key in before or key in gone else None
        yield AttributeLine("tags", old, _tag(key, added[key]) if key in added else None)


def _tag(key: str, value: str | None) -> str:
    """Return `key=value`; a key with an equals sign in it is quoted."""
    name = value_text(key)
    if "=" in key and not name.startswith('"'):
        name = f'"{name}"'
    return name if value is None else f"{name}={value_text(value) if value else ''}"


def _reasons(change: ChangeEntry, *, names_writer: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the consequences and reasons of a change, and the reasons of the guards that withhold it.

    Args:
        change: An entry under `changes`. The last of its reasons are those of `withheld_by`, in its order.
        names_writer: Whether the last change names the writer.
    """
    found = []
    if change["action"] == "replace":
        found.append(
            "replaced by delete and create: reads fail for a moment, and the version history is lost"
        )
    source = change.get("source")
    if change["action"] != "delete" and source is not None and source != change["name"]:
        found.append(f"from {visible(source)}")
    writer, guards = change.get("writer") or "", change.get("withheld_by") or ()
    repeated = outside_change_reason(writer) if names_writer else None
    named = (_without_arn(reason, writer) for reason in change["reasons"])
    reasons = [visible(reason) for reason in named if reason != repeated]
    first_hold = max(0, len(reasons) - len(guards))
    holds = reasons[first_hold:]
    if change["fate"] == "withheld" and not change["reasons"]:
        by = ", ".join(map(visible, guards))
        holds = [f"withheld{' by ' + by if by else ''}"]
    return tuple(dict.fromkeys([*found, *reasons[:first_hold]])), tuple(holds)


_IDENTITY = re.compile(r"arn:[a-z0-9-]+:(?:iam|sts)::[\w+=,.@:/-]+")


def _without_arn(reason: str, writer: str) -> str:
    """Return a reason with short names of the writer and of each IAM identity.

    Plans of earlier versions have ARNs; that of the writer may have any form.
    """
    if writer.startswith("arn:"):
        reason = reason.replace(writer, writer_name(writer) or "an unknown identity")
    return _IDENTITY.sub(lambda found: writer_name(found[0]) or "an unknown identity", reason)


def _last_change(change: ChangeEntry, created: datetime | None) -> str:
    """Return `version 4, last changed 2026-11-02 14:03 UTC by user bob, outside ssm-reconcile`."""
    expected = change["expected"]
    text = last_change_text(
        expected.get("version"), expected.get("last_modified"), change.get("writer") or "", created
    )
    return text + (", outside ssm-reconcile" if text and change.get("changed_outside") else "")


def last_change_text(
    version: int | None, modified: str | None, writer: str, created: datetime | None = None
) -> str:
    """Return `version 4, last changed 2026-11-02 14:03 UTC by user bob`; empty without a version.

    Args:
        version: The version of a parameter in a target.
        modified: The time of its last change.
        writer: The identity that made it.
        created: The time of the plan, to which the time is relative, too.
    """
    if version is None:
        return ""
    time, who = parse_time(modified), visible(writer_name(writer))
    text = f"version {version}"
    if time or who:
        before = time_before(time, created) if time and created else ""
        when = f" {utc_text(time)}{f' ({before} this plan)' if before else ''}" if time else ""
        text += f", last changed{when}{' by ' + who if who else ''}"
    return text
