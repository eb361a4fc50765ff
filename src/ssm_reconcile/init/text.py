"""A proposal -> the text of `replication.yaml`, with the reason for each key in a comment beside it. Pure.

Names and patterns are quoted. Text from AWS is escaped before it stands in a comment.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ssm_reconcile.init.survey import Likeness, Survey, SurveyedTarget
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.skip_sync import SkipMode
from ssm_reconcile.spec import AdoptMode
from ssm_reconcile.wording import plural, utc_text

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


def _comment(text: str, start: str = "# ") -> list[str]:
    """Return a comment as lines that begin with `start`."""
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=start,
        subsequent_indent=start,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _quoted(text: str) -> str:
    return json.dumps(visible(text))


def _head(proposal: Proposal, created: datetime) -> Iterator[str]:
    found = proposal.survey
    places = ", ".join([str(found.listing.place), *(str(one.listing.place) for one in found.targets)])
    yield "# yaml-language-server: $schema=./replication.schema.json"
    yield "# (your editor completes and checks this file: ssm-reconcile schema > replication.schema.json)"
    yield "#"
    yield from _comment(f"Proposed by `ssm-reconcile init` on {utc_text(created)} from {places}.")
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
    yield from _place(found, "  ")
    yield "targets:"
    for one in found.targets:
        named = [] if one.name == one.access.region else [f"    name: {one.name}"]
        first, *others = [*named, *_place(one, "    ")]
        yield first.replace("    ", "  - ", 1)
        yield from others


def _place(end: Survey | SurveyedTarget, indent: str) -> Iterator[str]:
    access, listing = end.access, end.listing
    yield _beside(
        f"{indent}region: {access.region}", f"holds {plural(len(listing.parameters), 'parameter')} now"
    )
    yield _beside(f'{indent}account: "{listing.place.account}"', "refuse to work in any other account")
    if access.role_arn:
        yield f"{indent}role_arn: {_quoted(access.role_arn)}"


def _parameters(proposal: Proposal) -> Iterator[str]:
    yield "parameters:"
    yield _beside("  include:", "`*` within a level, `**` any depth; the number of names at the source")
    for pattern, count in proposal.include.items():
        yield _beside(f"    - {_quoted(pattern)}", f"{count:,}")
    for pattern, count in proposal.parts.items():
        yield _beside(f"    #   {visible(pattern)}", f"{count:,} of them")
    for pattern, count in proposal.not_included.items():
        yield _beside(f"    # - {_quoted(pattern)}", f"{count:,}, not included, or in part only")
    if not proposal.excluded:
        return
    any_listed = any(excluded.paths for excluded in proposal.excluded)
    yield _beside("  exclude:" if any_listed else "  exclude: []", "takes precedence over include")
    for excluded in proposal.excluded:
        note = "" if excluded.paths else ": too many to list here, so NOT excluded; check them"
        yield from _comment(f"{excluded.why} ({excluded.count:,}){note}", "    # ")
        for pattern, count in excluded.paths.items():
            yield _beside(f"    - {_quoted(pattern)}", f"{count:,}" if count > 1 else "")


def _skip_sync(proposal: Proposal) -> Iterator[str]:
    carry = "carries" if proposal.skipped == 1 else "carry"
    found = f"{plural(proposal.skipped, 'parameter')} {carry} this tag and"
    yield _beside("skip_sync:", f"{found} will not be replicated")
    yield "  tag: skip_sync"
    by_target = proposal.skip_mode is SkipMode.TARGETS
    meaning = "its value names the targets to skip" if by_target else "whatever its value"
    yield _beside(f"  values: {proposal.skip_mode.value}", meaning)
    if proposal.near_misses:
        counts = ", ".join(f"{key} ({count:,})" for key, count in sorted(proposal.near_misses.items()))
        yield from _comment(
            f"These tags are almost the skip tag: {counts}. Parameters with one of them are not replicated."
            " Rename the tag to skip_sync, or list its key under `ignore` and remove the exclude above.",
            "  # ",
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
        yield _beside(f"{mark}- source: {_quoted(entry.source)}", plural(entry.count, "SecureString"))
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
    targets, total = proposal.survey.targets, sum(proposal.rewrites.values())
    rewritten = {one.name: proposal.numbers(one.name)[Likeness.SHAPED] for one in targets}
    yield from _comment(
        f"{plural(total, 'plain value')} {'holds' if total == 1 else 'hold'} the name of the region: in a"
        " target it becomes the name of the target's region. Exclude values that must not change."
        " SecureString values were not read."
    )
    for name, count in rewritten.items():
        if count:
            yield from _comment(f"{name} already has {count:,} of them with its own region.")
    yield "rewrite:"
    for pattern, count in proposal.rewrites.items():
        yield _beside(f"  - match: {_quoted(pattern)}", f"{count:,}" if count > 1 else "")
        yield f"    from: {proposal.survey.listing.place.region}"
        yield '    to: "{target.region}"'


_MEANS = {
    AdoptMode.IDENTICAL: "an existing parameter is adopted if identical, otherwise reported",
    AdoptMode.SAME_VALUE: "an existing parameter with the same value is adopted, and updated",
}


_IN_WORDS: Mapping[Likeness, str] = {
    Likeness.IDENTICAL: "identical",
    Likeness.SAME_VALUE: "with the same value, and other tags, description, tier or key",
    Likeness.SHAPED: "with the same value except for the name of the region",
    Likeness.DIFFERENT: "with another value or type: conflicts, reported and never overwritten",
    Likeness.UNKNOWN: "not compared: opted out, or a SecureString (see --compare-secrets)",
    Likeness.OURS: "replicas of ssm-reconcile already",
    Likeness.FOREIGN: "managed by CloudFormation: conflicts, always",
}


def _rest(proposal: Proposal) -> Iterator[str]:
    for one in proposal.survey.targets:
        yield from _existing(one.name, proposal.numbers(one.name))
    yield _beside(f"adopt: {proposal.adopt.value}", _MEANS[proposal.adopt])
    yield "delete:"
    yield _beside("  mode: owned", "owned | created | never: the replicas to delete after their source")
    yield _beside("  after: 7d", "the time until then, in hours (12h) or days; 0 deletes at once")
    yield _beside("changed_outside: withhold", "a replica that was changed by others is not overwritten")
    yield _beside("guards:", "larger changes of one target in one run are withheld")
    yield "  max_deletes: 10"
    yield _beside("  max_change_percent: 30", "updates in percent of the replicas, from ten replicas")


def _existing(target: str, numbers: Counter[Likeness]) -> Iterator[str]:
    """Yield the number of selected names that a target already has, by their relation to the source."""
    if not numbers:
        yield from _comment(f"{target} has none of these names yet: all of them will be created.")
        return
    yield from _comment(f"{target} has {numbers.total():,} of these names already:")
    for likeness, words in _IN_WORDS.items():
        if numbers[likeness]:
            yield f"#   * {numbers[likeness]:,} {words}"
