"""A document that has no errors -> a `Replication`, with the positions that findings may name later."""

from __future__ import annotations

from dataclasses import replace

from ssm_reconcile.errors import Where
from ssm_reconcile.load.nodes import Scalar, View
from ssm_reconcile.model import Access
from ssm_reconcile.skip_tag import OnSkip, SkipMode, SkipSync
from ssm_reconcile.spec import (
    Adopt,
    DeleteMode,
    Glob,
    KeyRule,
    Limits,
    OnOutside,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Source,
    Target,
    TierMode,
)

Pairs = tuple[tuple[str, str], ...]
_LIMITS = Limits()


def build(view: View) -> Replication:
    """The replication; every key of the schema lands in it."""
    rates = tuple(sorted((key.text, value.number or 0.0) for key, value in view.at("rates").pairs()))
    rules, tags = view.at("parameters"), view.at("tags")
    chosen = {key.text: value.text for key, value in view.pairs() if value.text is not None}
    kinds = _texts(rules.at("types")) or ("String", "StringList", "SecureString")
    return Replication(
        name=chosen["name"],
        source=_source(view.at("source"), rates),
        targets=tuple(
            _with_sts(_target(one, rates), view.at("source", "region").text)
            for one in view.at("targets").each()
        ),
        include=_globs(rules.at("include")),
        delete=DeleteMode(chosen["delete"]),
        exclude=_globs(rules.at("exclude")),
        types=frozenset(kinds),
        previous_names=_texts(view.at("previous_names")),
        id=chosen.get("id"),
        previous_ids=_texts(view.at("previous_ids")),
        skip_sync=_skip_sync(view.at("skip_sync")),
        kms=tuple(
            KeyRule(one.at("source").text or "", _pairs(one.at("targets")), one.where)
            for one in view.at("kms").each()
        ),
        rewrites=tuple(_rewrite(one) for one in view.at("rewrite").each()),
        ignore_tags=_texts(tags.at("ignore")),
        add_tags=_pairs(tags.at("add")),
        adopt=Adopt(chosen.get("adopt", Adopt.IDENTICAL)),
        orphans=Orphans(chosen.get("orphans", Orphans.KEEP)),
        changed_outside=OnOutside(chosen.get("changed_outside", OnOutside.WITHHOLD)),
        limits=_limits(view.at("guards")),
        hide=_globs(view.at("hide")),
        show=_globs(view.at("show")),
        where=view.at("name").where,
        limit_lines=_limit_lines(view),
    )


def _texts(view: View) -> tuple[str, ...]:
    return tuple(one.text for one in view.each_text())


def _globs(view: View) -> tuple[Glob, ...]:
    return tuple(Glob(one.text, one.where) for one in view.each_text())


def _pairs(view: View) -> Pairs:
    return tuple((key.text, value.text or "") for key, value in view.pairs())


def _access(view: View, rates: tuple[tuple[str, float], ...]) -> Access:
    return Access(view.at("region").text or "", view.at("role_arn").text, view.at("external_id").text, rates)


def _source(view: View, rates: tuple[tuple[str, float], ...]) -> Source:
    return Source(_access(view, rates), view.at("account").text, view.where)


def _target(view: View, rates: tuple[tuple[str, float], ...]) -> Target:
    access = _access(view, rates)
    return Target(
        name=view.at("name").text or access.region,
        access=access,
        account=view.at("account").text,
        frozen=view.at("frozen").flag,
        default_key=view.at("kms", "default").text,
        keys=_pairs(view.at("kms", "keys")),
        tier=TierMode(view.at("tier").text or TierMode.SAME),
        where=view.where,
    )


def _with_sts(target: Target, region: str | None) -> Target:
    """Return the target with the region in which its role is assumed first."""
    return replace(target, access=replace(target.access, sts_region=region))


def _skip_sync(view: View) -> SkipSync:
    default = SkipSync()
    values = view.at("values")
    listed = _texts(values)
    mode = SkipMode.LISTED if listed else SkipMode(values.text or default.mode)
    replicas = OnSkip(view.at("replicas").text or default.replicas)
    ignore = _texts(view.at("ignore"))
    return SkipSync(view.at("tag").text or default.tag, mode, listed, replicas, ignore)


def _rewrite(view: View) -> Rewrite:
    match = view.at("match").node
    text, where = (match.text, match.where) if isinstance(match, Scalar) else ("", view.where)
    scope = RewriteIn(view.at("in").text or RewriteIn.VALUE)
    return Rewrite(Glob(text, where), scope, view.at("from").text or "", view.at("to").text or "")


def _limits(view: View) -> Limits:
    deletes, percent = view.at("max_deletes").integer, view.at("max_change_percent").integer
    return Limits(
        _LIMITS.max_deletes if deletes is None else deletes,
        _LIMITS.max_change_percent if percent is None else percent,
    )


def _limit_lines(view: View) -> dict[str, Where]:
    """Where each guard's number stands, or where one would write it."""
    guards = view.at("guards")
    home = guards or view.at("name")
    found = {key: guards.at(key) for key in ("max_deletes", "max_change_percent")}
    return {key: (one or home).where for key, one in found.items()}
