"""Specs that the schema allows and that mean nothing, or the wrong thing.

`§` in a text marks the places that the findings of that code have to name.
"""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import Finding, Severity, SpecError, Where
from ssm_reconcile.load import load_text
from ssm_reconcile.load.messages import advise_name
from ssm_reconcile.load.places import PlaceSpec

BASE = """\
version: 1
name: prod
source:
  region: us-east-1
targets:
  - region: us-east-2
parameters:
  include: ["/prod/**"]
delete: owned
"""
ROLE = "arn:aws:iam::123456789012:role/r"
OTHER_ROLE = "arn:aws:iam::210987654321:role/r"
KEY = "0f3c1c52-6a3e-4d0b-9d0e-1a2b3c4d5e03"


def plus(text: str) -> str:
    return BASE + text + "\n"


def include(patterns: str) -> str:
    return BASE.replace('["/prod/**"]', patterns)


def places_of(source: str, *targets: str) -> str:
    """A spec with these places, each as the text between braces."""
    listed = ", ".join(f"{{{target}}}" for target in targets)
    return f"""\
version: 1
name: prod
source: {{{source}}}
targets: [{listed}]
parameters: {{include: ["/prod/**"]}}
delete: owned
"""


def findings(marked: str) -> tuple[Finding, ...]:
    """Return the errors of a text, or its warnings if it has no error."""
    try:
        return load_text(marked.replace("§", ""), "spec.yaml").findings
    except SpecError as error:
        return error.findings


def places(marked: str) -> list[str]:
    found = []
    for number, line in enumerate(marked.split("\n"), 1):
        pieces = line.split("§")
        found += [f"spec.yaml:{number}:{sum(map(len, pieces[:i])) + 1}" for i in range(1, len(pieces))]
    return found


def check(text: str, severity: Severity, code: str, piece: str) -> None:
    every = findings(text)
    found = [one for one in every if one.code == code]
    assert found, every
    assert [one.where for one in found] == places(text)
    assert {one.severity for one in found} == {severity}
    assert piece in found[0].message


def test_the_advice_for_a_name_where_none_is_defined_lists_none() -> None:
    assert advise_name("us-east-3", []) == "none is defined"
    assert advise_name("us-east-3", ["us-east-2"]) == "did you mean `us-east-2`?"


LIFT = 'guard: replace, count: 1, changes: "3f9a0c2b7d11", reason: gone'
ERRORS = {
    "a lift of an unknown target": (
        plus(f"lifts: [{{target: §us-east-3, until: '2026-12-24', {LIFT}}}]"),
        "lift-unknown-target",
        "no target has the name `us-east-3`: did you mean `us-east-2`?",
    ),
    "a lift until a day that the calendar does not have": (
        plus(f"lifts: [{{target: us-east-2, until: §'2026-02-30', {LIFT}}}]"),
        "bad-date",
        "write year, month and day",
    ),
    "the source as a target": (
        places_of("region: us-east-1", "region: §us-east-1"),
        "target-is-source",
        "this target is the source",
    ),
    "the source as a target, by its account": (
        places_of("region: us-east-1, account: '123456789012'", f"region: §us-east-1, role_arn: {ROLE}"),
        "target-is-source",
        "123456789012/us-east-1",
    ),
    "the source as a target, by the credentials": (
        places_of("region: us-east-1, account: '123456789012'", "region: §us-east-1"),
        "target-is-source",
        "write another region",
    ),
    "one place twice": (
        places_of("region: us-east-1", "region: us-east-2, name: a", "region: §us-east-2, name: b"),
        "same-place",
        "same place as `a`",
    ),
    "one region twice without names": (
        places_of(
            "region: us-east-1",
            "region: us-east-2, name: a",
            f"region: §us-east-2, role_arn: {ROLE}",
        ),
        "target-name-required",
        "give each a `name`",
    ),
    "one name twice": (
        places_of("region: us-east-1", "region: us-east-2, name: a", "region: us-west-2, name: §a"),
        "duplicate-target",
        "another target has the name `a` (line 4)",
    ),
    "a name that is another target's region": (
        places_of("region: us-east-1", "region: us-east-2", "region: us-west-2, name: §us-east-2"),
        "duplicate-target",
        "another target has the name `us-east-2`",
    ),
    "an account that is not the role's": (
        places_of(
            "region: us-east-1", f"region: us-east-2, account: '123456789012', role_arn: §{OTHER_ROLE}"
        ),
        "account-mismatch",
        "the role is in account 210987654321",
    ),
    "two accounts with one set of credentials": (
        places_of(
            "region: us-east-1, account: '123456789012'", "region: us-east-2, account: §'210987654321'"
        ),
        "account-without-role",
        "write the `role_arn` of a role in",
    ),
    "an external id without a role": (
        places_of("region: us-east-1, external_id: §abc", "region: us-east-2"),
        "external-id-without-role",
        "write `role_arn`",
    ),
    "a role of another partition": (
        places_of("region: cn-northwest-1", f"region: cn-north-1, role_arn: §{ROLE}"),
        "partition-mismatch",
        "aws-cn",
    ),
    "a key ARN of another partition": (
        plus(
            "kms: [{source: §arn:aws-cn:kms:us-east-1:123456789012:alias/a, targets: {us-east-2: alias/b}}]"
        ),
        "partition-mismatch",
        "write arn:aws:kms",
    ),
    "targets in other partitions": (
        places_of(
            "region: us-east-1", "region: §us-gov-west-1", "region: us-east-2", "region: §eusc-de-east-1"
        ),
        "several-partitions",
        "and the source in aws:",
    ),
    "a former name that is the name": (plus("previous_names: [old, §prod]"), "previous-name-is-name", "prod"),
    "levels without a leading slash": (include("[§a/b]"), "bad-pattern", "write `/a/b`"),
    "an empty level": (include("[§/a//b]"), "bad-pattern", "single slash"),
    "a slash alone": (include("[§/]"), "bad-pattern", "empty level"),
    "a slash at the end": (include("[§/a/]"), "bad-pattern", "write `/a/**`"),
    "two stars beside text": (
        include("[§/a**, §/a/**b, §/a/x**y/b, §/a/***]"),
        "bad-pattern",
        "a level of its own",
    ),
    "sixteen levels": (include(f"[§{'/a' * 16}, §/**{'/*' * 16}]"), "bad-pattern", "more than 15 levels"),
    "a reserved beginning": (
        include("[§/aws/x, §/SSM*, §awsfoo, §/Ssm-x/**]"),
        "bad-pattern",
        "which AWS reserves",
    ),
    "a name that no region has room for": (
        include(f"[§/{'a' * 980}]"),
        "bad-pattern",
        "has at most 967 characters",
    ),
    "an exclude that could never match": (
        BASE.replace('["/prod/**"]', '["/prod/**"]\n  exclude: [§prod/a]'),
        "bad-pattern",
        "leading slash",
    ),
    "a rewrite that could never match": (
        plus("rewrite: [{match: §prod/a, from: a, to: b}]"),
        "bad-pattern",
        "leading slash",
    ),
    "a hidden name that could never match": (plus('hide: [§a/b, §"a**"]'), "bad-pattern", "slash"),
    "a shown name that could never match": (plus("show: [§/aws/x]"), "bad-pattern", "which AWS reserves"),
    "a key for no target": (
        plus("kms: [{source: alias/a, targets: {§us-east2: alias/b}}]"),
        "kms-unknown-target",
        "did you mean `us-east-2`?",
    ),
    "a source key twice": (
        plus(
            "kms:\n"
            "  - {source: alias/a, targets: {us-east-2: alias/b}}\n"
            "  - {source: §alias/a, targets: {us-east-2: alias/c}}"
        ),
        "duplicate-kms-source",
        "line 11",
    ),
    "a source key of another region": (
        plus(
            f"kms: [{{source: §arn:aws:kms:us-west-2:123456789012:key/{KEY}, targets: {{us-east-2: {KEY}}}}}]"
        ),
        "key-region",
        "this key is in us-west-2, and the source in us-east-1",
    ),
    "a target key of another region": (
        plus("kms: [{source: alias/a, targets: {us-east-2: §arn:aws:kms:us-east-1:123456789012:alias/b}}]"),
        "key-region",
        "the target in us-east-2",
    ),
    "a default key of another region": (
        BASE.replace(
            "- region: us-east-2",
            "- region: us-east-2\n    kms: {default: §arn:aws:kms:us-east-1:123456789012:alias/b}",
        ),
        "key-region",
        "write a key in us-east-2",
    ),
    "a key of a target's map, of another region": (
        BASE.replace(
            "- region: us-east-2",
            "- region: us-east-2\n    kms: {keys: {§arn:aws:kms:us-east-2:123456789012:alias/b: alias/c}}",
        ),
        "key-region",
        "the source in us-east-1",
    ),
    "an unknown placeholder": (
        plus("rewrite: [{match: /prod/*, from: us-east-1, to: §'{target.regoin}'}]"),
        "unknown-placeholder",
        "did you mean `{target.region}`?",
    ),
    "a placeholder without its place": (
        plus("rewrite: [{match: /prod/*, from: §'{region}', to: 'x'}]"),
        "unknown-placeholder",
        "region}`?",
    ),
    "a rewrite that changes nothing": (
        plus("rewrite: [{match: /prod/*, from: a, to: §a}]"),
        "rewrite-without-change",
        "remove the rule",
    ),
    "a rewrite that changes nothing once filled in": (
        plus("rewrite: [{match: /prod/*, from: us-east-2, to: §'{target.region}'}]"),
        "rewrite-without-change",
        "same text",
    ),
    "a name rewritten into what no name can be": (
        plus("rewrite: [{match: /prod/*, in: name, from: a, to: §'a b'}]"),
        "bad-name-text",
        "cannot be in a name",
    ),
    "a name in which something is looked for that no name has": (
        plus("rewrite: [{match: /prod/*, in: name, from: §'a:b', to: 'c'}]"),
        "bad-name-text",
        "cannot be in a name",
    ),
    "a name rewritten into an empty level": (
        plus("rewrite: [{match: /prod/*, in: name, from: a, to: §b//c}]"),
        "bad-name-text",
        "single slash",
    ),
    "a skip tag with a sign": (plus("skip_sync: {tag: §'a,b'}"), "bad-tag", "does not allow in tags"),
    "a skip tag of AWS": (plus("skip_sync: {tag: §'aws:x'}"), "reserved-tag", "reserved for AWS: "),
    "a skip value with a sign": (plus("skip_sync: {values: [§'a,b']}"), "bad-tag", "`,`"),
    "an added tag of AWS": (plus("tags: {add: {§AWS:x: a}}"), "reserved-tag", "reserved for AWS: "),
    "an added tag of ours": (
        plus("tags: {add: {§ssm-reconcile:owner: a}}"),
        "reserved-tag",
        "ssm-reconcile itself",
    ),
    "an added tag that opts out": (
        plus("tags: {add: {§skip_sync: a}}"),
        "added-skip-tag",
        "opt out every replica",
    ),
    "an added tag that opts out by another name": (
        plus("tags: {add: {§stay: a}}\nskip_sync: {tag: stay}"),
        "added-skip-tag",
        "write another key",
    ),
    "an added tag that almost opts out": (
        plus("tags: {add: {§Skip-Sync: a}}"),
        "added-skip-tag",
        "is almost the skip tag",
    ),
    "an added tag that is ignored": (
        plus("tags:\n  ignore: ['cost:*']\n  add: {§cost:center: a}"),
        "added-tag-ignored",
        '"cost:*", line 11',
    ),
    "an added tag with a sign": (plus("tags: {add: {§'a;b': a, c: §'d#e'}}"), "bad-tag", "does not allow"),
    "a hold on no possible name": (
        BASE.replace("delete:", "  hold: [{match: §/prod/, until: '2026-12-24', reason: x}]\ndelete:"),
        "bad-pattern",
        "ends with a slash",
    ),
    "the present id as a previous one": (
        plus("id: k3v9x2m7qa\nprevious_ids: [§k3v9x2m7qa]"),
        "previous-id-is-id",
        "remove it",
    ),
    "an ignored tag with a sign": (plus("tags: {ignore: [§'a?']}"), "bad-tag", "`?`"),
}


@pytest.mark.parametrize(("text", "code", "piece"), ERRORS.values(), ids=ERRORS)
def test_an_error_of_meaning_is_reported_at_its_position(text: str, code: str, piece: str) -> None:
    check(text, Severity.ERROR, code, piece)


WARNINGS = {
    "an include that is excluded": (
        include("[/a/**/b, §/a/*, /c]\n  exclude: [/a/*]"),
        "include-excluded",
        "selects nothing: `exclude` has the same pattern in line 9",
    ),
    "an include twice": (include("[/a, §a, /b]"), "include-covered", "already written in line 8"),
    "two ways to write one include": (
        include('["/a/**", §"/a/**/**"]'),
        "include-covered",
        "already written in line 8",
    ),
    "an exclude that meets nothing": (
        BASE.replace('["/prod/**"]', '["/prod/**"]\n  exclude: ["/prod/a/*", §/prd/b]'),
        "exclude-without-effect",
        "excludes nothing",
    ),
    "a rewrite that meets nothing": (
        plus("rewrite: [{match: §/prd/*, from: a, to: b}]"),
        "rewrite-without-effect",
        "matches nothing",
    ),
    "a rewrite behind another one of the same pattern": (
        plus(
            "rewrite:\n"
            "  - {match: /prod/x, from: a, to: b}\n"
            "  - {match: /prod/x, in: name, from: a, to: b}\n"
            "  - {match: §/prod/x, from: c, to: d}"
        ),
        "rewrite-covered",
        "remove one of the two rules",
    ),
    "a managed key of another service": (
        plus("kms: [{source: alias/a, targets: {us-east-2: §alias/aws/s3}}]"),
        "aws-managed-key",
        "write alias/aws/ssm",
    ),
    "a skip value that is a mode": (
        plus("skip_sync: {values: [§targets]}"),
        "skip-value-is-mode",
        "`values: targets`",
    ),
    "a skip tag that is to be ignored": (
        plus("skip_sync: {tag: stay, ignore: [§stay, Stay]}"),
        "skip-ignore-without-effect",
        "is the skip tag itself",
    ),
    "an ignored skip tag that looks like none": (
        plus("skip_sync: {ignore: [§skip]}"),
        "skip-ignore-without-effect",
        "does not resemble",
    ),
    "a skip value that is a target": (
        plus("skip_sync: {values: ['yes', §us-east-2]}"),
        "skip-value-is-target",
        "write `values: targets`",
    ),
}


@pytest.mark.parametrize(("text", "code", "piece"), WARNINGS.values(), ids=WARNINGS)
def test_a_doubtful_rule_is_a_warning_at_its_position(text: str, code: str, piece: str) -> None:
    check(text, Severity.WARNING, code, piece)


SILENT = {
    "two accounts, each with a role": places_of(
        f"region: us-east-1, role_arn: {ROLE}", f"region: us-east-1, role_arn: {OTHER_ROLE}"
    ),
    "one region, two accounts, two names": places_of(
        "region: us-east-1",
        f"region: us-east-2, name: a, role_arn: {ROLE}",
        f"region: us-east-2, name: b, role_arn: {OTHER_ROLE}",
    ),
    "the managed key in place of a customer key": plus(
        "kms: [{source: alias/a, targets: {us-east-2: alias/aws/ssm}}]"
    ),
    "a multi-Region key by its id": plus(
        "kms: [{source: alias/a, targets: {us-east-2: mrk-0123456789abcdef0123456789abcdef}}]"
    ),
    "fifteen levels": include(f"[{'/a' * 15}]"),
    "a bare name": include("[foo]"),
    "everything": include('["/**"]'),
    "a part of the reserved words": include("[/aw*, /app/aws/*, /ss]"),
    "hidden parts of names": plus("hide: [aws*, '*ssm*', '**', '/a/*']"),
    "a rewrite in both": plus(
        "rewrite: [{match: /prod/*, from: a, to: b}, {match: /prod/*, in: name, from: a, to: b}]"
    ),
    "a rewrite to nothing": plus("rewrite: [{match: /prod/*, in: name, from: /us-east-1, to: ''}]"),
    "a tag in another alphabet": plus("tags: {add: {équipe: plate-forme}}"),
    "fewer tags than there is room for": plus(
        f"tags: {{add: {{{', '.join(f'k{i}: v' for i in range(47))}}}}}"
    ),
    "an added tag that is almost the skip tag and has another meaning": plus(
        "skip_sync: {ignore: [Skip-Sync]}\ntags: {add: {Skip-Sync: a}}"
    ),
    "a partition of its own": places_of(
        "region: cn-north-1", "region: cn-northwest-1, role_arn: arn:aws-cn:iam::123456789012:role/a"
    ),
}


@pytest.mark.parametrize("text", SILENT.values(), ids=SILENT)
def test_an_unusual_valid_spec_has_no_findings(text: str) -> None:
    assert findings(text) == ()


def test_one_mistake_makes_one_finding() -> None:
    """Checks of meaning skip values that the schema refuses, so no error is reported twice."""
    text = BASE.replace("- region: us-east-2", "- region: useast2") + (
        "kms: [{source: alias/a, targets: {us-east-2: alias/b}}]\n"
        "rewrite: [{match: '/prod /x', from: a, to: a b, in: name}]\n"
    )
    assert [one.code for one in findings(text)] == ["bad-format", "bad-format", "bad-name-text"]


def test_a_missing_property_hides_no_error_of_meaning_beside_it() -> None:
    text = BASE.replace("name: prod\n", "").replace("/prod/**", "/prod/")
    assert [one.code for one in findings(text)] == ["missing-property", "bad-pattern"]
    text = plus("rewrite: [{match: /prod/*, in: name, from: a, to: a b}]")
    text = text.replace("targets:\n  - region: us-east-2\n", "")
    assert [one.code for one in findings(text)] == ["missing-property", "bad-name-text"]
    text = plus(
        "rewrite: [{from: a, to: b}, {match: /prod/x, from: a, to: b}, {match: /prod/x, from: c, to: d}]"
    )
    assert [one.code for one in findings(text)] == ["missing-property", "rewrite-covered"]


def test_a_hold_without_a_pattern_hides_no_error_of_another_one() -> None:
    hold = "until: '2026-12-24', reason: x"
    holds = f"[{{{hold}}}, {{match: /prod/a, {hold}}}, {{match: /prod/a, {hold}}}]"
    text = BASE.replace('["/prod/**"]', f'["/prod/**"]\n  hold: {holds}')
    assert [one.code for one in findings(text)] == ["missing-property", "hold-repeated"]


def test_a_target_without_a_region_makes_no_empty_level_in_a_rewrite() -> None:
    text = plus("rewrite: [{match: /prod/*, in: name, from: /a/, to: '/{target.name}/'}]")
    found = findings(text.replace("- region: us-east-2", "- account: '123456789012'"))
    assert [one.code for one in found] == ["missing-property"]


def test_an_excluded_include_causes_no_warning_about_other_excludes() -> None:
    text = include("[/a, /b]\n  exclude: [/a, /c]")
    assert [one.code for one in findings(text)] == ["include-excluded"]


@pytest.mark.parametrize(("region", "most"), [("us-east-1", 967), ("ap-southeast-2", 962)])
def test_the_longest_name_depends_on_the_region_of_the_source(region: str, most: int) -> None:
    text = BASE.replace("us-east-1", region)
    assert findings(text.replace("/prod/**", f"/{'a' * (most - 1)}")) == ()
    (found,) = findings(text.replace("/prod/**", f"/{'a' * most}"))
    assert f"a name in {region} has at most {most} characters" in found.message


def test_a_reserved_tag_has_one_finding_whatever_else_it_is() -> None:
    text = plus("tags: {ignore: ['aws:*'], add: {aws:x: a}}")
    assert [one.code for one in findings(text)] == ["reserved-tag"]


def test_a_rewrite_without_effect_in_one_target_only_is_valid() -> None:
    text = places_of("region: us-east-1", "region: us-east-2", "region: eu-west-1")
    text += "rewrite: [{match: /prod/*, from: us-east-2, to: '{target.region}'}]\n"
    assert findings(text) == ()


@pytest.mark.parametrize(
    ("account", "region", "is_one"),
    [("1", "a", True), (None, "a", True), ("2", "a", False), ("1", "b", False), (None, None, False)],
)
def test_two_places_may_be_one_unless_region_or_account_differ(
    account: str | None, region: str | None, *, is_one: bool
) -> None:
    where = Where("spec.yaml")
    one, other = PlaceSpec("a", "1", "x", where), PlaceSpec(region, account, "y", where)
    assert (one.may_be(other), other.may_be(one)) == (is_one, is_one)
