"""Targets with lists of regions and accounts, and placeholders -> one plain target for each place.

The result is a tree that a person could have written: all later checks, and all other modules, know plain
targets only. Each target has the position of its entry in the spec.

    draft   entry of `targets` -> its places, in the order of `accounts`, then of `regions`
    fill    draft -> the name first, then the texts that may hold the name
    kms     names with placeholders in the KMS map -> the names of the targets that they give
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeAlias

from ssm_reconcile.aws_limits import partition_of
from ssm_reconcile.errors import Where
from ssm_reconcile.load.messages import TOO_LARGE, SpecFindings, brace_error, echo, quote
from ssm_reconcile.load.places import ROLE, default_account, places_of
from ssm_reconcile.load.schema import NodeView, Schema, replication_schema
from ssm_reconcile.load.tree import ListNode, MappingNode, Node, ScalarNode
from ssm_reconcile.spec import PLACEHOLDER, TARGET_PLACEHOLDERS
from ssm_reconcile.wording import plural

TARGET_LIMIT = 200
"""Targets of one replication."""
_LISTS = ("regions", "accounts", "exclude", "overrides")
_FILLED = ("role_arn", "external_id", "kms")
"""The keys that may hold any placeholder; `name` may hold all but `{target.name}`."""
_ACCOUNT, _REGION, _PARTITION, _NAME = TARGET_PLACEHOLDERS
_EXAMPLE = f'`name: "{_ACCOUNT}-{_REGION}"`'
_TOO_MANY = f"more than {TARGET_LIMIT} targets: write fewer, or split the replication"

Values: TypeAlias = Mapping[str, str | None]
"""The text of each placeholder; None where the spec does not have it."""
Properties: TypeAlias = Mapping[str, tuple[ScalarNode, Node]]
"""The properties of a mapping by their names."""
MatrixPlace: TypeAlias = tuple[str | None, str]
"""An account and a region; None for an account that is not known from the matrix."""
Selector: TypeAlias = tuple[str | None, str | None]
"""An account and a region; None for any."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """One target.

    `where` and `entry`: position and number of the entry that it comes from, a matrix or a plain target. An
    alias has the position of its anchor. `overrides`: the positions of the overrides that change it.
    """

    where: Where
    entry: int = 0
    is_matrix: bool = False
    keys: Properties = field(default_factory=dict)
    overrides: tuple[Where, ...] = ()

    def text(self, key: str) -> str | None:
        """Return the text of a key; None when it is missing."""
        node = self.keys[key][1] if key in self.keys else None
        return node.text if isinstance(node, ScalarNode) else None

    @property
    def name(self) -> str:
        """The name of the target; empty for an entry with an error."""
        return self.text("name") or self.text("region") or ""

    @property
    def size(self) -> int:
        """The number of its values, with those below."""
        return 1 + sum(1 + value.size for _, value in self.keys.values())

    def without_keys(self) -> _Draft:
        """Return the target of an entry with an error."""
        return replace(self, is_matrix=False, keys={})


def expand_targets(view: NodeView, findings: SpecFindings) -> NodeView:
    """Return the view of a document in which each target is a plain one, with its texts filled in.

    An entry with an error is an empty mapping there: the checks of places and names skip it.

    Args:
        view: The view of a document.
        findings: The list that the findings are added to.
    """
    drafts: list[_Draft] = []
    for number, entry in enumerate(view.at("targets").each()):
        found = [replace(one, entry=number) for one in _drafts(entry, findings)] or [_Draft(entry.where)]
        if len(drafts) + len(found) > TARGET_LIMIT:
            findings.error(entry.where, "too-many-targets", _TOO_MANY)
            found = [_Draft(entry.where)]
        elif not findings.take_nodes(sum(one.size for one in found if one.is_matrix)):
            findings.error(entry.where, "too-large", TOO_LARGE)
            found = [_Draft(entry.where)]
        drafts += found
    return _Filler(view, findings, set(view.bad)).fill(drafts) if drafts else view


def _drafts(entry: NodeView, findings: SpecFindings) -> Iterator[_Draft]:
    """Yield the targets of one entry of `targets`; none after an error that leaves its places open."""
    keys: Properties = {key.text: (key, value.node) for key, value in entry.pairs() if value.node is not None}
    if not keys.keys() & set(_LISTS):
        yield _Draft(entry.where, keys=keys)
        return
    regions = {one.text: one for one in entry.at("regions").texts()}
    single = entry.at("account").text_node
    accounts = {one.text: one for one in entry.at("accounts").texts()} or (
        {single.text: single} if single else {}
    )
    if _has_single_place(keys, findings) or not regions or _has_fault(keys.values(), entry.bad):
        return  # the others are errors of the schema
    known = (*accounts,) or (_account_of_roles(entry),)
    if known == (None,) and _selects_accounts(entry, findings):
        return
    if not findings.take_nodes(len(known) * len(regions)):
        findings.error(entry.where, "too-large", TOO_LARGE)
        return
    places = _places(entry, list(product(known, regions)), findings)
    if len(places) > TARGET_LIMIT:
        findings.error(entry.where, "too-many-targets", _TOO_MANY)
        return
    overrides = list(_overrides(entry.at("overrides"), places, findings)) if places else []
    for place in places:
        own = {key: value for key, value in keys.items() if key not in _LISTS}
        used = [one for one in overrides if _fits(one.selector, place)]
        for one in used:
            own |= one.changed
        account, region = place
        own["region"] = (replace(regions[region], text="region"), regions[region])
        if account in accounts:
            own["account"] = (replace(accounts[account], text="account"), accounts[account])
        yield _Draft(entry.where, is_matrix=True, keys=own, overrides=tuple(one.where for one in used))


def _account_of_roles(entry: NodeView) -> str | None:
    """Return the account of the roles of a matrix; None unless each place has a role, all in one account."""
    roles = [one.at("role_arn").text for one in entry.at("overrides").each()]
    found = {_account_of(entry.at("role_arn").text, {_PARTITION: "aws"}, None)}
    found |= {_account_of(one, {_PARTITION: "aws"}, None) for one in roles if one is not None}
    return found.pop() if len(found) == 1 else None


def _selects_accounts(entry: NodeView, findings: SpecFindings) -> bool:
    """Whether `exclude` or `overrides` select by account; reports it for a matrix without a known account."""
    selectors = [*entry.at("exclude").each(), *entry.at("overrides").each()]
    selected = [one.at("account") for one in selectors if one.at("account").text is not None]
    for one in selected:
        message = (
            "the account of this matrix is not in the spec, so `account` selects nothing here: write"
            " `account` in the matrix, or select by `region` only"
        )
        findings.error(one.where, "selector-without-account", message)
    return bool(selected)


def _places(entry: NodeView, every: Sequence[MatrixPlace], findings: SpecFindings) -> list[MatrixPlace]:
    """Return the places that `exclude` leaves; reports entries without effect, and if no place is left."""
    known = {None, *(one for place in every for one in place)}
    excluded: set[Selector] = set()
    for one in entry.at("exclude").each():
        selector = _selector(one)
        excluded.add(selector)
        if not known.issuperset(selector):
            message = f"this matrix has no place {_selector_text(selector)}: correct the entry, or remove it"
            findings.warn(one.where, "exclude-without-effect", message)
    left = [one for one in every if excluded.isdisjoint({one, (one[0], None), (None, one[1])})]
    if not left:
        message = "`exclude` leaves out every place of this matrix: remove an entry, or the matrix"
        findings.error(entry.where, "matrix-without-target", message)
    return left


def _has_single_place(keys: Properties, findings: SpecFindings) -> bool:
    """Whether a matrix has a key for one place that does not fit its lists; reports it."""
    region, account = keys.get("region"), keys.get("account")
    if region is not None and "regions" in keys:
        message = "`region` and `regions` are both written: remove one of them"
        findings.error(region[0].where, "region-and-regions", message)
    elif region is not None:
        text = echo(region[1].text) if isinstance(region[1], ScalarNode) else "us-east-2"
        message = f"a matrix has `regions`: write `regions: [{text}]` in place of `region`"
        findings.error(region[0].where, "region-and-regions", message)
    if account is not None and "accounts" in keys:
        message = "`account` and `accounts` are both written: remove one of them"
        findings.error(account[0].where, "account-and-accounts", message)
    return region is not None or (account is not None and "accounts" in keys)


def _has_fault(keys: Iterable[tuple[ScalarNode, Node]], bad: frozenset[int]) -> bool:
    """Whether the schema has refused a value, or one below it."""
    todo: list[Node] = [node for _, node in keys]
    while todo:
        node = todo.pop()
        if id(node) in bad:
            return True
        if isinstance(node, ListNode):
            todo += node.items
        elif isinstance(node, MappingNode):
            todo += [one for entry in node.entries for one in entry]
    return False


def _selector(view: NodeView) -> Selector:
    """Return the places that an entry of `exclude` or `overrides` is about."""
    return view.at("account").text, view.at("region").text


def _selector_text(selector: Selector) -> str:
    return "/".join(echo(one) for one in selector if one is not None)


def _fits(selector: Selector, place: MatrixPlace) -> bool:
    return all(one in (None, other) for one, other in zip(selector, place, strict=True))


def _overrides(view: NodeView, places: Sequence[MatrixPlace], findings: SpecFindings) -> Iterator[_Override]:
    """Yield the entries of `overrides`; reports useless ones."""
    for entry in view.each():
        selector = _selector(entry)
        changed = {
            key.text: (key, value.node)
            for key, value in entry.pairs()
            if key.text not in {"account", "region"} and value.node is not None
        }
        if selector == (None, None):
            message = "an override needs `account`, `region` or both: write the targets that it changes"
        elif not changed:
            message = "this override changes nothing: write a key, such as `frozen: true`, or remove it"
        elif not any(_fits(selector, place) for place in places):
            message = (
                f"this matrix has no target in {_selector_text(selector)}: correct the entry, or remove it"
            )
        else:
            yield _Override(selector, changed, entry.where)
            continue
        findings.error(entry.where, "override-without-effect", message)


@dataclass(frozen=True, slots=True)
class _Override:
    """The keys that an entry of `overrides` changes in the targets of its selector."""

    selector: Selector
    changed: Properties
    where: Where


@dataclass(slots=True)
class _Filler:
    """Fills in the placeholders of one document.

    `bad`: the nodes that later checks skip, by identity. `faulty` keeps the new ones of them alive, since the
    identity of a node that is gone may be that of another one.
    """

    view: NodeView
    findings: SpecFindings
    bad: set[int]
    faulty: list[Node] = field(default_factory=list)

    def fill(self, drafts: Sequence[_Draft]) -> NodeView:
        """Return the document with plain targets, and with the KMS map by their names."""
        open_view = self._with(drafts)
        default = default_account([open_view.at("source"), *open_view.at("targets").each()])
        filled = [self._fill_target(draft, None if default is None else default.text) for draft in drafts]
        filled = [one.without_keys() if self._has_bad_name(one) else one for one in filled]
        kept = self._without_source(filled, self._with(filled))
        repeated = self._repeated_names(kept)
        kept = [one.without_keys() if one.entry in repeated else one for one in kept]
        return self._with(kept, self._expand_kms(self._with(kept)))

    def _with(self, drafts: Sequence[_Draft], kms: Sequence[Node] | None = None) -> NodeView:
        """Return the document with other targets, and with another KMS map unless it is None."""
        targets = [MappingNode(tuple(draft.keys.values()), draft.where) for draft in drafts]
        lists: dict[str, Sequence[Node]] = {"targets": targets, **({} if kms is None else {"kms": kms})}
        assert isinstance(self.view.node, MappingNode), "a document is a mapping"
        entries = tuple(
            (key, replace(value, items=tuple(lists[key.text])))
            if key.text in lists and isinstance(value, ListNode) and id(value) not in self.bad
            else (key, value)
            for key, value in self.view.node.entries
        )
        return NodeView(MappingNode(entries, self.view.where), frozenset(self.bad))

    def _fill_target(self, draft: _Draft, default: str | None) -> _Draft:
        """Return a target with its texts filled in. `default`: the account of the default credentials."""
        region = draft.text("region")
        if region is None:
            return draft
        schema: Schema = replication_schema()["properties"]["targets"]["items"]["properties"]
        values: dict[str, str | None] = {
            _ACCOUNT: None,
            _REGION: region,
            _PARTITION: partition_of(region),
        }
        values[_ACCOUNT] = draft.text("account") or _account_of(draft.text("role_arn"), values, default)
        keys = dict(draft.keys)
        for wanted in ("name", *_FILLED):
            if wanted in keys:
                key, node = keys[wanted]
                keys[wanted] = (key, self._fill_node(node, schema[wanted], values))
            if wanted == "name":
                values[_NAME] = replace(draft, keys=keys).name
        return replace(draft, keys=keys)

    def _has_bad_name(self, draft: _Draft) -> bool:
        return "name" in draft.keys and id(draft.keys["name"][1]) in self.bad

    def _fill_node(self, node: Node, schema: Schema, values: Values) -> Node:
        """Return a value with its placeholders filled in; one that cannot be is skipped by later checks."""
        if id(node) in self.bad:
            return node
        if isinstance(node, MappingNode):
            known, others = schema.get("properties", {}), schema.get("additionalProperties") or {}
            entries = [
                (key, self._fill_node(value, known.get(key.text, others), values))
                for key, value in node.entries
            ]
            return replace(node, entries=tuple(entries))
        if not isinstance(node, ScalarNode) or not _has_brace(node.text):
            return node
        filled = replace(node, text=_fill(node.text, values))
        fault = _fault(node.text, filled.text, schema, values)
        if fault is not None:
            if node.where not in {one.where for one in self.faulty}:  # one error, not one for each target
                self.findings.error(node.where, *fault)
            self.bad.add(id(filled))
            self.faulty.append(filled)
        return filled

    def _without_source(self, drafts: Sequence[_Draft], view: NodeView) -> list[_Draft]:
        """Return the targets without those of a matrix that are the source, with a notice for each."""
        source, places = places_of(view)
        left: list[_Draft] = []
        lost: set[tuple[int, Where]] = set()
        unknown: dict[Where, list[str]] = {}
        for draft, place in zip(drafts, places, strict=True):
            if draft.is_matrix and place.key is not None and place.key == source.key:
                message = f"the source, {source}, is a place of this matrix: it is left out"
                self.findings.note(draft.where, "source-left-out", message)
                lost |= {(draft.entry, one) for one in draft.overrides}
                continue
            left.append(draft)
            if draft.is_matrix and place.key != source.key and place.may_be(source):
                unknown.setdefault(draft.where, []).append(str(place))
        for where, some in unknown.items():
            stay, which = f"{some[0]} stays a target", "it"
            if len(some) > 1:
                more = plural(len(some) - 1, "more place")
                stay, which = f"{some[0]} and {more} in its region stay targets", "one of them"
            message = (
                f"{stay}: {which} may be the source, whose account is not in the spec. With `account` under"
                " `source` a matrix leaves the source out; without it, such a run stops"
            )
            self.findings.note(where, "source-account-unknown", message)
        for _, where in lost - {(draft.entry, one) for draft in left for one in draft.overrides}:
            message = (
                f"this override is for the source only, {source}, which is left out: correct or remove it"
            )
            self.findings.error(where, "override-without-effect", message)
        for where in {draft.where: None for draft in drafts}.keys() - {draft.where for draft in left}:
            message = "this matrix has no place but the source: write another region or account"
            self.findings.error(where, "matrix-without-target", message)
        return left

    def _repeated_names(self, drafts: Sequence[_Draft]) -> set[int]:
        """Return the numbers of the matrices in which several targets have one name; reports them."""
        groups: dict[int, list[_Draft]] = {}
        for draft in drafts:
            if draft.is_matrix:
                groups.setdefault(draft.entry, []).append(draft)
        found = set()
        for entry, group in groups.items():
            name, count = Counter(draft.name for draft in group).most_common(1)[0]
            if count == 1:
                continue
            found.add(entry)
            written = [one.keys["name"][1] for one in group if one.name == name and "name" in one.keys]
            if written:
                message = f"{count} targets of this matrix get the name `{echo(name)}`: write {_EXAMPLE}"
                self.findings.error(written[0].where, "duplicate-target", message)
            else:
                message = f"{count} targets of this matrix are in {name}: write a name, such as {_EXAMPLE}"
                self.findings.error(group[0].where, "target-name-required", message)
        return found

    def _expand_kms(self, view: NodeView) -> list[Node]:
        """Return the KMS map with the names of targets in place of names with placeholders."""
        _, places = places_of(view)
        every: list[Values] = [
            {
                _ACCOUNT: place.account,
                _REGION: place.region,
                _PARTITION: partition_of(place.region),
                _NAME: place.name,
            }
            for place in places
            if place.region is not None
        ]
        is_open = len(every) < len(places)
        rules: list[Node] = []
        for rule in view.at("kms").each():
            assert isinstance(rule.node, MappingNode), "the schema refuses other values"
            entries = tuple(
                (key, self._expand_keys(value, every, is_open=is_open) if key.text == "targets" else value)
                for key, value in rule.node.entries
            )
            rules.append(replace(rule.node, entries=entries))
        return rules

    def _expand_keys(self, node: Node, every: Sequence[Values], *, is_open: bool) -> Node:
        """Return the keys for one source key by the names of targets; a written name has priority."""
        if not isinstance(node, MappingNode) or id(node) in self.bad or not every:
            return node
        schema: Schema = replication_schema()["properties"]["kms"]["items"]["properties"]["targets"]
        values_of = {values[_NAME]: values for values in every}
        written = {key.text for key, _ in node.entries}
        found: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in node.entries:
            if id(key) in self.bad:
                continue
            names = [key.text] if not _has_brace(key.text) else self._expand_name(key, every, is_open=is_open)
            for name in names:
                if name != key.text and name in written:
                    continue
                if name in found:
                    message = (
                        f"`{echo(name)}` has a key in line {found[name][0].where.line}: remove one of them"
                    )
                    self.findings.error(key.where, "duplicate-kms-target", message)
                    break
                values = values_of.get(name)
                filled = (
                    value
                    if values is None
                    else self._fill_node(value, schema["additionalProperties"], values)
                )
                found[name] = (replace(key, text=name), filled)
        return replace(node, entries=tuple(found.values()))

    def _expand_name(self, key: ScalarNode, every: Sequence[Values], *, is_open: bool) -> list[str]:
        """Return the names of the targets that a name with placeholders gives.

        None is an error, unless `is_open`: the places of some targets are not known.
        """
        if not self.findings.take_nodes(len(every)):
            self.findings.error(key.where, "too-large", TOO_LARGE)
            return []
        error = brace_error(key.text, every[0])
        found = [str(values[_NAME]) for values in every if _fill(key.text, values) == values[_NAME]]
        if error is not None:
            self.findings.error(key.where, "unknown-placeholder", error)
        elif not found and not is_open:
            message = f"no target has a name that {quote(key.text)} gives: correct it, or remove it"
            self.findings.error(key.where, "kms-unknown-target", message)
        return found


def _account_of(role: str | None, values: Values, default: str | None) -> str | None:
    """Return the account of a target without `account`: that of its role, or of the default credentials."""
    if role is None:
        return default
    found = ROLE.fullmatch(_fill(role, values))
    return None if found is None else found[2]


def _has_brace(text: str) -> bool:
    return "{" in text or "}" in text


def _fill(text: str, values: Values) -> str:
    return PLACEHOLDER.sub(lambda found: values.get(found[0]) or found[0], text)


def _fault(text: str, filled: str, schema: Schema, values: Values) -> tuple[str, str] | None:
    """Return code and message for a text that cannot be filled in, or that gives an invalid value.

    The patterns of the schema allow braces; of a text without braces they allow what a plain target may have.
    """
    error = brace_error(text, values)
    if error is not None:
        return "unknown-placeholder", error
    if any(values[one] is None for one in PLACEHOLDER.findall(text)):
        message = (
            f"{quote(text)} needs the account of the target, which the spec does not have: write `account`"
        )
        return "placeholder-without-value", message
    if len(filled) > schema["maxLength"]:
        message = f"{quote(text)} gives {len(filled)} characters, over {schema['maxLength']}: shorten it"
        return "too-long", message
    if not re.fullmatch(schema["pattern"], filled):
        message = f"{quote(text)} gives {quote(filled)}: it must be {schema['patternErrorMessage']}"
        return "bad-format", message
    return None
