"""A proposal -> `replication.yaml`: what was found, what is proposed and why, in comments beside each key.

The text is YAML that our own loader takes; names and patterns are quoted, and what others wrote is made
printable before it gets into a comment.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from ssm_reconcile.init import Proposal
from ssm_reconcile.init.survey import Likeness, Seen
from ssm_reconcile.model import Access, Place
from ssm_reconcile.renderers.escaping import visible
from ssm_reconcile.spec import AdoptMode
from ssm_reconcile.wording import counted

COLUMN = 32
"""Where comments beside a key begin."""
WIDTH = 100


def spec_text(proposal: Proposal, created: datetime) -> str:
    """The whole file. `created` is timezone-aware."""
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


def _beside(text: str, said: str = "") -> str:
    return f"{text:<{COLUMN - 1}} # {said}" if said else text


def _comment(said: str, indent: int = 0) -> Iterator[str]:
    yield from textwrap.wrap(
        visible(said),
        WIDTH,
        initial_indent=" " * indent + "# ",
        subsequent_indent=" " * indent + "# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _quoted(text: str) -> str:
    return json.dumps(visible(text), ensure_ascii=True)


def _head(proposal: Proposal, created: datetime) -> Iterator[str]:
    seen = proposal.survey
    places = ", ".join([str(seen.listing.place), *(str(one.place) for one in seen.targets)])
    yield "# yaml-language-server: $schema=./replication.schema.json"
    yield "# (your editor completes and checks this file: ssm-reconcile schema > replication.schema.json)"
    yield "#"
    yield from _comment(
        f"Proposed by `ssm-reconcile init` on {created:%Y-%m-%d} from what it saw in {places}."
    )
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
    seen = proposal.survey
    yield "source:"
    yield from _place(seen.access, seen.listing.place, "  ", "  ")
    yield "targets:"
    for one in proposal.survey.targets:
        first, rest = "  - ", "    "
        if one.name != one.place.region:
            yield f"{first}name: {one.name}"
            first = rest
        yield from _place(
            one.access,
            one.place,
            first,
            rest,
            f"holds {counted(len(one.listing.parameters), 'parameter')} now",
        )


def _place(access: Access, place: Place, first: str, rest: str, said: str = "") -> Iterator[str]:
    yield _beside(f"{first}region: {access.region}", said)
    yield _beside(f'{rest}account: "{place.account}"', "" if said else "refuse to work in any other account")
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
    for path in proposal.left_out:
        yield _beside(f"    # - {_quoted(path.pattern)}", f"{path.count:,}, left out in whole or in part")
    if not proposal.excluded:
        return
    some = any(excluded.paths for excluded in proposal.excluded)
    yield _beside("  exclude:" if some else "  exclude: []", "wins over include")
    for excluded in proposal.excluded:
        late = ": too many to list here, so NOT left out; look at them" if excluded.too_many else ""
        yield from _comment(f"{excluded.why} ({excluded.count:,}){late}", 4)
        for path in excluded.paths:
            yield _beside(f"    - {_quoted(path.pattern)}", f"{path.count:,}" if path.count > 1 else "")


def _skip_sync(proposal: Proposal) -> Iterator[str]:
    found = counted(proposal.skipped, "parameter") + (" carries" if proposal.skipped == 1 else " carry")
    yield _beside("skip_sync:", f"what carries this tag stays where it is: {found} it now")
    yield "  tag: skip_sync"
    what = "its value names the targets to skip" if proposal.skip_mode == "targets" else "whatever its value"
    yield _beside(f"  values: {proposal.skip_mode}", what)
    if proposal.near_misses:
        counts = ", ".join(f"{key} ({count:,})" for key, count in proposal.near_misses)
        yield from _comment(
            f"These tags are almost the skip tag: {counts}. Parameters that carry one are not replicated."
            " Rename the tag to skip_sync, or list its key under `ignore` and remove the exclude above.",
            2,
        )


def _kms(proposal: Proposal) -> Iterator[str]:
    """The map, and as comments what is not known yet."""
    known = [entry for entry in proposal.keys if entry.targets]
    if not proposal.keys:
        yield "# No customer KMS key is in use: secrets go to the AWS managed key of each target."
        return
    yield _beside("kms:" if known else "# kms:", "keys are regional: which one takes the place of which")
    for entry in proposal.keys:
        mark = "  " if entry.targets else "  # "
        yield _beside(f"{mark}- source: {_quoted(entry.source)}", counted(entry.count, "SecureString"))
        told = entry.note or "of the same name there"
        yield f"{mark}  targets:"
        for one in proposal.survey.targets:
            if one.name in entry.targets:
                yield _beside(f"{mark}    {one.name}: {_quoted(entry.targets[one.name])}", told)
            else:
                yield _beside(f"  #     {one.name}: alias/...", "no key of that name is usable there")


def _rewrite(proposal: Proposal) -> Iterator[str]:
    if not proposal.rewrites:
        return
    region = proposal.survey.listing.place.region
    total = sum(path.count for path in proposal.rewrites)
    yield from _comment(
        f"{counted(total, 'plain value')} {'holds' if total == 1 else 'hold'} the name of the region: in a"
        f" target it becomes the target's.{_confirmed(proposal)} Exclude what should stay as it is."
        " SecureString values were not looked at."
    )
    yield "rewrite:"
    for path in proposal.rewrites:
        yield _beside(f"  - match: {_quoted(path.pattern)}", f"{path.count:,}" if path.count > 1 else "")
        yield f"    from: {region}"
        yield '    to: "{target.region}"'


def _confirmed(proposal: Proposal) -> str:
    """That a target holds values rewritten like that already."""
    found = {name: numbers.get(Likeness.SHAPED, 0) for name, numbers in proposal.numbers.items()}
    told = [f"{name} holds {count:,} of them like that already" for name, count in found.items() if count]
    return f" {'; '.join(told)}." if told else ""


_MEANS = {
    AdoptMode.IDENTICAL: "what a target has already is taken over if it is the same, otherwise reported",
    AdoptMode.SAME_VALUE: "what has the same value already is taken over, the rest of it brought in line",
}


def _rest(proposal: Proposal) -> Iterator[str]:
    for one in proposal.survey.targets:
        yield from _there(one, proposal.numbers[one.name])
    yield _beside(f"adopt: {proposal.adopt.value}", _MEANS[proposal.adopt])
    yield _beside("delete: owned", "owned | created | never: which replicas go when their source is gone")
    yield _beside("changed_outside: withhold", "a replica that somebody else has changed is reported")
    yield _beside("guards:", "more than this in one run of one target is withheld")
    yield "  max_deletes: 10"
    yield _beside("  max_change_percent: 30", "updates against all replicas, from ten replicas on")


_SAID: Mapping[Likeness, str] = {
    Likeness.IDENTICAL: "identical",
    Likeness.SAME_VALUE: "with the same value, and other tags, description, tier or key: copies, likely",
    Likeness.SHAPED: "with the same value but for the region's name",
    Likeness.DIFFERENT: "with another value or type: conflicts, reported and never overwritten",
    Likeness.UNKNOWN: "SecureStrings, not decrypted to compare them (--compare-secrets does)",
    Likeness.OURS: "replicas of ssm-reconcile already",
    Likeness.FOREIGN: "managed by CloudFormation: conflicts, always",
}


def _there(one: Seen, numbers: Mapping[Likeness, int]) -> Iterator[str]:
    """What a target has of it already, in numbers."""
    total = sum(numbers.values())
    if not total:
        yield from _comment(f"{one.name} has none of these names yet: all of them will be created.")
        return
    yield from _comment(f"{one.name} has {total:,} of these names already:")
    for likeness, said in _SAID.items():
        if numbers.get(likeness):
            yield from _listed(f"{numbers[likeness]:,} {said}")


def _listed(said: str) -> Iterable[str]:
    first, *rest = textwrap.wrap(said, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return [f"#   * {first}", *(f"#     {line}" for line in rest)]
