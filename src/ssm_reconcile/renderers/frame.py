"""What is around a Markdown page: the hidden marker, the title, the counts, the line below."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ssm_reconcile.encoding import utf8
from ssm_reconcile.renderers import words
from ssm_reconcile.renderers.inert import escaped, span
from ssm_reconcile.renderers.view import View

MARKER = "ssm-reconcile:plan"
"""What the first line of every comment of ours begins with, in an HTML comment."""


@dataclass(frozen=True, slots=True)
class CommentContext:
    """Where a comment comes from. All may be empty; `run_label` is the text of the link to the run.

    `extra` are further facts for the marker, for who publishes the comment. `promise`: what is shown is
    under review, and only that is applied. `command` applies the spec by hand.
    """

    head: str = ""
    run: str = ""
    run_url: str = ""
    run_label: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    promise: bool = True
    command: str = ""


NO_CONTEXT = CommentContext()


def marker(
    scope: Sequence[str],
    plan_id: str,
    context: CommentContext,
    *,
    level: int,
    danger: int,
    state: str = "",
    mark: str = MARKER,
) -> str:
    """The hidden first line. `danger` counts deletes, replacements and exposed secrets, to see it grow."""
    facts: dict[str, object] = {
        "v": 1,
        "scope": ",".join(scope),
        "plan": f"sha256:{plan_id}",
        "head": context.head,
        "run": context.run,
        "level": level,
        "danger": danger,
        **dict(context.extra),
    }
    if state:
        facts["state"] = state
    text = json.dumps(facts, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"<!-- {mark} {text} -->"


def page(blocks: Iterable[str]) -> str:
    """Blocks with an empty line between them."""
    return "\n\n".join(block for block in blocks if block) + "\n"


def size(text: str) -> int:
    """Bytes of UTF-8."""
    return len(utf8(text))


def scope_of(names: Sequence[str]) -> str:
    """The names of the replications."""
    return words.listed([span(name) for name in names], 10)


def title(view: View, level: int) -> str:
    """The heading, such as `SSM plan for prod: 12 changes in 3 regions`."""
    scope = scope_of(view.scope)
    if not view.changed:
        return f"## SSM plan for {scope}: nothing to do{'' if view.complete else ', and INCOMPLETE'}"
    places = len({change.target for change in view.changes})
    parameters = len({change.name for change in view.changes})
    of = f" to {words.count(parameters, 'parameter')}" if level else ""
    where = words.count(places, view.place_word)
    return f"## SSM plan for {scope}: {words.count(view.changed, 'change')}{of} in {where}"


def counts(view: View) -> str:
    """The sums, such as `5 to create, 1 to delete. 486 unchanged`."""
    aside = words.aside(view.summary)
    rest = f"{view.summary.get('in_sync', 0):,} unchanged{', ' + aside if aside else ''}."
    if view.pending:
        were = "was" if view.pending == 1 else "were"
        rest += f" **{view.pending:,} of the changes {were} pending anyway**, before what is reviewed here."
    todo = words.to_do(view.summary)
    return f"**{todo}.** {rest}" if todo else rest


def footer(short_id: str, context: CommentContext, *, promise: bool = True) -> str:
    """What the plan is called, where it was made, and what may be relied on.

    `promise`: the plan is still to be applied, and only as it stands here.
    """
    made = f" for {span(context.head[:7])}" if context.head else ""
    where = link(context)
    made += f", made in {where}" if where else ""
    rule = " Applied on merge only if a new plan has the same id." if promise and context.promise else ""
    silence = "`SecureString` values are never shown, nor their length or hash."
    return f"<sub>Plan {span(short_id)}{made}. {silence}{rule}</sub>"


def link(context: CommentContext) -> str:
    """A link to the run; only a plain web address becomes one."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.:/_?=%~-]+", context.run_url):
        return ""
    label = escaped(context.run_label or "this run")
    return f"[{re.sub(r'([^A-Za-z0-9 ])', _entity, label)}]({context.run_url})"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[1])};"
