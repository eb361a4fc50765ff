"""A proposal -> the text of `replication.yaml`, with the reason for each key in a comment beside it. Pure.

Names and patterns are quoted. Text from AWS is escaped before it stands in a comment.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ssm_reconcile.init.survey import Likeness, SurveyedTarget
from ssm_reconcile.model import Access, Place
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.spec import AdoptMode, SkipMode
from ssm_reconcile.wording import counted

if TYPE_CHECKING:
    from ssm_reconcile.init import Proposal

COLUMN = 32
"""Column of the comments beside a key."""
WIDTH = 100


def spec_text(proposal: Proposal, created: datetime) -> str:
    """Return the whole file; `created` is timezone-aware."""
    parts = [
        _head(proposal, created),
        _places(proposal),
        _parameters(proposal),
        _skip_sync(proposal),
        _kms(proposal),
        _rewrite(proposal),
        _rest(proposal),
    ]
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _beside(text: str, comment: str = "") -> str:
    return f"{text:<{COLUMN - 1}} # {comment}" if comment else text


def _comment(text: str, indent: int = 0) -> Iterator[str]:
    yield from textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=" " * indent + "# ",
        subsequent_indent=" " * indent + "# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _quoted(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=True)


def _head(proposal: Proposal, created: datetime) -> Iterator[str]:
    found = proposal.survey
    places = ", ".join([str(found.listing.place), *(str(one.listing.place) for one in found.targets)])
    yield "# yaml-language-server: $schema=./replication.schema.json"
    yield "# (your editor completes and checks this file: ssm-reconcile schema > replication.schema.json)"
    yield "#"
    yield from _comment(f"Proposed by `ssm-reconcile init` on {created:%Y-%m-%d} from {places}.")
    yield from _comment("Read it, change it, then: ssm-reconcile validate, and ssm-reconcile plan.")
    for warning in proposal.foreign:
        yield "#"
        yield from _comment(f"WARNING: {warning}")
    yield ""
    yield "version: 1"
    yield _beside(f"name: {proposal.name}", "in the ownership tag of every replica")
    if proposal.id:
        yield _beside(f"id: {proposal.id}", "random; a copy of this file needs another one")


def _places(proposal: Proposal) -> Iterator[str]:
    found = proposal.survey
    yield "source:"
    yield from _place(found.access, found.listing.place, "  ", "  ")
    yield "targets:"
    for one in proposal.survey.targets:
        first, rest = "  - ", "    "
        if one.name != one.listing.place.region:
            yield f"{first}name: {one.name}"
            first = rest
        yield from _place(
            one.access,
            one.listing.place,
            first,
            rest,
            f"holds {counted(len(one.listing.parameters), 'parameter')} now",
        )


def _place(access: Access, place: Place, first: str, rest: str, comment: str = "") -> Iterator[str]:
    yield _beside(f"{first}region: {access.region}", comment)
    yield _beside(
        f'{rest}account: "{place.account}"', "" if comment else "refuse to work in any other account"
    )
    if access.role_arn:
        yield f"{rest}role_arn: {_quoted(access.role_arn)}"
    if access.external_id:
        yield f"{rest}external_id: {_quoted(access.external_id)}"


def _parameters(proposal: Proposal) -> Iterator[str]:
    total = len(proposal.survey.listing.parameters)
    yield "parameters:"
    yield _beside(
        "  include:", f"`*` within a level, `**` any depth; {counted(total, 'parameter')} at the source"
    )
    for path in proposal.include:
        yield _beside(f"    - {_quoted(path.pattern)}", f"{path.count:,}")
    for path in proposal.parts:
        yield _beside(f"    #   {visible(path.pattern)}", f"{path.count:,} of them")
    for path in proposal.not_included:
        yield _beside(f"    # - {_quoted(path.pattern)}", f"{path.count:,}, not included, or in part only")
    if not proposal.excluded:
        return
    any_listed = any(excluded.paths for excluded in proposal.excluded)
    yield _beside("  exclude:" if any_listed else "  exclude: []", "takes precedence over include")
    for excluded in proposal.excluded:
        note = "" if excluded.paths else ": too many to list here, so NOT excluded; check them"
        yield from _comment(f"{excluded.why} ({excluded.count:,}){note}", 4)
        for path in excluded.paths:
            yield _beside(f"    - {_quoted(path.pattern)}", f"{path.count:,}" if path.count > 1 else "")


def _skip_sync(proposal: Proposal) -> Iterator[str]:
    carry = "carries" if proposal.skipped == 1 else "carry"
    found = f"{counted(proposal.skipped, 'parameter')} {carry} this tag and"
    yield _beside("skip_sync:", f"{found} will not be replicated")
    yield "  tag: skip_sync"
    what = (
        "its value names the targets to skip"
        if proposal.skip_mode is SkipMode.TARGETS
        else "whatever its value"
    )
    yield _beside(f"  values: {proposal.skip_mode.value}", what)
    if proposal.near_misses:
        counts = ", ".join(f"{key} ({count:,})" for key, count in proposal.near_misses)
        yield from _comment(
            f"These tags are almost the skip tag: {counts}. Parameters with one of them are not replicated."
            " Rename the tag to skip_sync, or list its key under `ignore` and remove the exclude above.",
            2,
        )


def _kms(proposal: Proposal) -> Iterator[str]:
    """Yield the map of keys; a key without a known counterpart is a comment."""
    known = [entry for entry in proposal.keys if entry.targets]
    if not proposal.keys:
        yield "# No customer KMS key is in use: secrets go to the AWS managed key of each target."
        return
    yield _beside("kms:" if known else "# kms:", "the key of each target for each key of the source")
    for entry in proposal.keys:
        mark = "  " if entry.targets else "  # "
        yield _beside(f"{mark}- source: {_quoted(entry.source)}", counted(entry.count, "SecureString"))
        note = entry.note or "has the same name there"
        yield f"{mark}  targets:"
        for one in proposal.survey.targets:
            if one.name in entry.targets:
                yield _beside(f"{mark}    {one.name}: {_quoted(entry.targets[one.name])}", note)
            else:
                yield _beside(f"  #     {one.name}: alias/...", "no usable key has that name there")


def _rewrite(proposal: Proposal) -> Iterator[str]:
    if not proposal.rewrites:
        return
    region = proposal.survey.listing.place.region
    total = sum(path.count for path in proposal.rewrites)
    yield from _comment(
        f"{counted(total, 'plain value')} {'holds' if total == 1 else 'hold'} the name of the region: in a"
        f" target it becomes the name of the target's region.{_confirmed(proposal)}"
        " Exclude values that must not change. SecureString values were not read."
    )
    yield "rewrite:"
    for path in proposal.rewrites:
        yield _beside(f"  - match: {_quoted(path.pattern)}", f"{path.count:,}" if path.count > 1 else "")
        yield f"    from: {region}"
        yield '    to: "{target.region}"'


def _confirmed(proposal: Proposal) -> str:
    """Return a sentence for the targets that have values which are rewritten like that already."""
    counts = {one.name: proposal.numbers(one.name)[Likeness.SHAPED] for one in proposal.survey.targets}
    held = [
        f"{name} already has {count:,} of them with its own region" for name, count in counts.items() if count
    ]
    return f" {'; '.join(held)}." if held else ""


_MEANS = {
    AdoptMode.IDENTICAL: "an existing parameter is adopted if identical, otherwise reported",
    AdoptMode.SAME_VALUE: "an existing parameter with the same value is adopted, and updated",
}


def _rest(proposal: Proposal) -> Iterator[str]:
    for one in proposal.survey.targets:
        yield from _existing(one, proposal.numbers(one.name))
    yield _beside(f"adopt: {proposal.adopt.value}", _MEANS[proposal.adopt])
    yield _beside("delete: owned", "owned | created | never: the replicas to delete after their source")
    yield _beside("changed_outside: withhold", "a replica that was changed by others is not overwritten")
    yield _beside("guards:", "larger changes of one target in one run are withheld")
    yield "  max_deletes: 10"
    yield _beside("  max_change_percent: 30", "updates in percent of the replicas, from ten replicas")


_IN_WORDS: Mapping[Likeness, str] = {
    Likeness.IDENTICAL: "identical",
    Likeness.SAME_VALUE: "with the same value, and other tags, description, tier or key",
    Likeness.SHAPED: "with the same value except for the name of the region",
    Likeness.DIFFERENT: "with another value or type: conflicts, reported and never overwritten",
    Likeness.UNKNOWN: "not compared: opted out, or a SecureString (see --compare-secrets)",
    Likeness.OURS: "replicas of ssm-reconcile already",
    Likeness.FOREIGN: "managed by CloudFormation: conflicts, always",
}


def _existing(one: SurveyedTarget, numbers: Mapping[Likeness, int]) -> Iterator[str]:
    """Yield the number of selected names that a target already has, by their relation to the source."""
    total = sum(numbers.values())
    if not total:
        yield from _comment(f"{one.name} has none of these names yet: all of them will be created.")
        return
    yield from _comment(f"{one.name} has {total:,} of these names already:")
    for likeness, words in _IN_WORDS.items():
        if numbers.get(likeness):
            yield from _listed(f"{numbers[likeness]:,} {words}")


def _listed(text: str) -> Iterable[str]:
    first, *rest = textwrap.wrap(text, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return [f"#   * {first}", *(f"#     {line}" for line in rest)]
