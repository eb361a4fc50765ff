"""Invalid specs with one mistake each: the position, code and text of the finding.

`§` in a text marks the place that the finding has to name.
"""

from __future__ import annotations

import pytest

from ssm_reconcile.errors import Finding, Severity, SpecError
from ssm_reconcile.load import load_text

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


def instead(old: str, new: str) -> str:
    """The sound spec with one text replaced."""
    assert old in BASE
    return BASE.replace(old, new)


def plus(text: str) -> str:
    """The sound spec with something added."""
    return BASE + text + "\n"


def errors(marked: str) -> tuple[Finding, ...]:
    with pytest.raises(SpecError) as caught:
        load_text(marked.replace("§", ""), "spec.yaml")
    assert all(one.severity is Severity.ERROR for one in caught.value.findings)
    return caught.value.findings


def places(marked: str) -> list[str]:
    """The positions that are marked in a text."""
    found = []
    for number, line in enumerate(marked.split("\n"), 1):
        pieces = line.split("§")
        found += [f"spec.yaml:{number}:{sum(map(len, pieces[:i])) + 1}" for i in range(1, len(pieces))]
    return found


YAML = {
    "a tab": ("a:\n§\tb: 1", "yaml-syntax", "use spaces"),
    "a colon too many": ("a: b§: c", "yaml-syntax", "quote the text"),
    "an open quote": ('a: §"b\nc: d', "yaml-syntax", "quote that begins here is not closed"),
    "an open list": ("a: §[b, c", "yaml-syntax", "not closed"),
    "an open mapping": ("a: §{b: c", "yaml-syntax", "not closed"),
    "a wrong indentation": ("a:\n  b: 1\n §c: 2", "yaml-syntax", "indentation"),
    "an unquoted sign": ("a: §@b", "yaml-syntax", 'cannot begin with `@`: quote it: "@b"'),
    "an unquoted sign in braces": ("a: {b: §@c, d: e}", "yaml-syntax", 'quote it: "@c"'),
    "a bracket too many": ("{a: 1}§}", "yaml-syntax", "a value cannot follow here"),
    "an escape without its digits": ('a: "\\x§ZZ"', "yaml-syntax", "this is not valid YAML: "),
    "a second key": ("a: 1\nb: 2\n§a: 3", "duplicate-key", "`a` is already written in line 1"),
    "a second key below": (plus("guards:\n  max_deletes: 1\n  §max_deletes: 2"), "duplicate-key", "line 11"),
    "a tag": (plus("x-a: §!!python/object:os.system x"), "yaml-tag", "no YAML tags"),
    "a tag of the standard": (plus("x-a: §!!str 1"), "yaml-tag", "in quotes"),
    "a tag on a mapping": (plus("x-a: §!thing {}"), "yaml-tag", "`!thing`"),
    "an alias of nothing": (plus("x-a: §*b"), "unknown-alias", "the anchor &b is missing before"),
    "an alias of itself": (plus("x-a: &b [§*b]"), "recursive-alias", "inside its own anchor"),
    "an anchor of another document": (
        "---\na: &b 1\n---\nc: §*b",
        "unknown-alias",
        "the end of its document",
    ),
    "a merge of text": (plus("x-a: {<<: §b}"), "merge-key", "<<: *anchor"),
    "a merge of two texts": (plus("x-a: {<<: [§b, {}, §c]}"), "merge-key", "<<: *anchor"),
    "two merges": (plus("x-a: {<<: {}, §<<: {}}"), "duplicate-key", "already written"),
    "a list as a key": (plus("x-a:\n  ? §[a]\n  : b"), "key-type", "must be text"),
    "a key that YAML reads as true": (plus("tags: {add: {§on: x}}"), "unquoted", 'as true: quote it: "on"'),
    "another one": (plus("tags: {add: {§Yes: x}}"), "unquoted", 'as true: quote it: "Yes"'),
    "a key that YAML reads as false": (plus("tags: {add: {§no: x}}"), "unquoted", 'as false: quote it: "no"'),
    "a key that YAML reads as a number": (plus("x-a: {§12: x}"), "unquoted", 'quote it: "12"'),
    "a list at the top": ("§- a: 1", "not-a-mapping", "begin with `version: 1`"),
    "a text at the top": ("§hello", "not-a-mapping", "must be a mapping"),
    "nothing": ("§", "empty-file", "no replication"),
    "comments only": ("§# nothing\n", "empty-file", "no replication"),
    "an empty document": (plus("§---"), "empty-document", "remove its `---`"),
    "a second byte order mark": ("§\ufeff\ufeff" + BASE, "control-character", "U+FEFF"),
    "a control character": (plus("x-a: b§\x07"), "control-character", "U+0007"),
    "a control character in the second line": ("\n§\x07", "control-character", "U+0007"),
    "a turned line": (plus("# a §\u202eb"), "control-character", "U+202E"),
    "a line break that editors do not show": (
        plus("# a §\u2028delete: never"),
        "control-character",
        "U+2028",
    ),
    "a lone carriage return": (plus("# a §\rdelete: never"), "control-character", "U+000D"),
    "a version of YAML from the future": ("§%YAML 2.0\n---\na: 1", "yaml-syntax", "1.1 or 1.2"),
}


@pytest.mark.parametrize(("text", "code", "piece"), YAML.values(), ids=YAML)
def test_invalid_yaml_is_reported_at_its_position(text: str, code: str, piece: str) -> None:
    found = [one for one in errors(text) if one.code == code]
    assert [one.where for one in found] == places(text)
    assert piece in found[0].message


def test_the_properties_before_a_wrong_end_of_a_document_are_not_checked() -> None:
    assert [one.code for one in errors("{a: 1,\n b: 1} @")] == ["yaml-syntax"]


SCHEMA = {
    "no version": (instead("version: 1\n", "§"), "missing-property", "write `version: 1`"),
    "a version to come": (
        instead("version: 1", "version: §2"),
        "unsupported-version",
        "cannot be 2: write `version: 1`",
    ),
    "a version in quotes": (instead("version: 1", 'version: §"1"'), "wrong-type", "without quotes"),
    "a version with a point": (instead("version: 1", "version: §1.0"), "wrong-type", "whole number"),
    "no way to delete": (
        instead("delete: owned", ""),
        "missing-property",
        "`delete: owned` (or created, never)",
    ),
    "a typo in an enumeration": (instead("owned", "§owend"), "unknown-value", "did you mean `owned`?"),
    "a truth value for an enumeration": (plus("adopt: §no"), "unknown-value", "never, identical, same_value"),
    "no name": (instead("name: prod\n", ""), "missing-property", "`name: prod`"),
    "a name with capitals": (instead("prod\n", "§Prod\n"), "bad-format", "small letters"),
    "a name with a line end": (instead("prod\n", '§"prod\\n"\n'), "bad-format", '"prod\\\\n"'[:5]),
    "a name that YAML reads as false": (instead("prod\n", "§no\n"), "unquoted", 'as false: quote it: "no"'),
    "a name that YAML reads as a date": (instead("prod\n", "§2026-01-01\n"), "unquoted", "as a date"),
    "a name without a value": (instead("name: prod", "name:§"), "empty-value", "for example prod"),
    "a name that is nothing": (instead("prod\n", "§null\n"), "unquoted", "as nothing"),
    "no source region": (
        instead("region: us-east-1", "account: '123456789012'"),
        "missing-property",
        "`region:",
    ),
    "a region with a zone": (instead("us-east-1", "§us-east-1a"), "bad-format", "availability zone"),
    "a source as a text": (
        instead("source:\n  region: us-east-1", "source: §us-east-1"),
        "wrong-type",
        "region:",
    ),
    "a source without anything": (instead("  region: us-east-1\n", ""), "empty-value", "region: us-east-1"),
    "an octal account": (
        instead("us-east-1\n", "us-east-1\n  account: §012345670123\n"),
        "unquoted",
        'as a number: quote it: "012345670123"',
    ),
    "a plain account": (
        instead("us-east-1\n", "us-east-1\n  account: §123456789012\n"),
        "unquoted",
        'quote it: "123456789012"',
    ),
    "a region that YAML reads as false": (
        instead("us-east-2", "§no"),
        "unquoted",
        'quote it: "no"; and it must be an AWS region',
    ),
    "a short account": (
        instead("us-east-1\n", 'us-east-1\n  account: §"12345"\n'),
        "bad-format",
        "twelve digits",
    ),
    "a role that is a user": (
        instead("us-east-1\n", "us-east-1\n  role_arn: §arn:aws:iam::123456789012:user/x\n"),
        "bad-format",
        "IAM role",
    ),
    "a property with a typo": (plus("§adpot: never"), "unknown-property", "did you mean `adopt`?"),
    "a property in the wrong place": (plus("§max_deletes: 3"), "unknown-property", "belongs under `guards`"),
    "a property in the wrong case": (plus("skip_sync: {§Tag: x}"), "unknown-property", "did you mean `tag`?"),
    "a property of nowhere": (plus("§qqq: 3"), "unknown-property", "write one of: version, name"),
    "a saved plan": (plus("§plan_id: abc"), "saved-plan", "`ssm-reconcile apply spec.yaml`"),
    "a free property below the top": (plus("guards: {§x-a: 1}"), "unknown-property", "`guards`"),
    "targets as a mapping": (
        instead("\n  - region: us-east-2", " §{region: us-east-2}"),
        "wrong-type",
        "must be a list",
    ),
    "no target": (instead("\n  - region: us-east-2", " §[]"), "empty-value", "us-east-2"),
    "a target without a region": (
        instead("- region: us-east-2", "- §name: a"),
        "missing-property",
        "`targets[0]`",
    ),
    "a target as a text": (instead("- region: us-east-2", "- §us-east-2"), "wrong-type", "must be a mapping"),
    "a frozen that is a text": (
        instead("us-east-2\n", "us-east-2\n    frozen: §'true'\n"),
        "wrong-type",
        "`true` or `false`",
    ),
    "a frozen that is a yes": (
        instead("us-east-2\n", "us-east-2\n    frozen: §yes\n"),
        "wrong-type",
        "`true` or `false`",
    ),
    "an include as a text": (instead('["/prod/**"]', "§/prod/**"), "wrong-type", 'write ["/prod/**"]'),
    "an empty include": (instead('["/prod/**"]', "§[]"), "empty-value", "/prod/**"),
    "an empty pattern": (instead('"/prod/**"', '§""'), "empty-value", "is empty"),
    "a pattern with a space": (instead('"/prod/**"', '§"/prod /**"'), "bad-format", "letters, digits"),
    "a pattern that is a number": (instead('"/prod/**"', "§12:30"), "unquoted", 'quote it: "12:30"'),
    "a pattern that is a list": (instead('"/prod/**"', "§[a]"), "wrong-type", "not a list"),
    "a long pattern": (instead('"/prod/**"', f'§"/{"a" * 1011}"'), "too-long", "1012 characters"),
    "a type twice": (
        instead('["/prod/**"]', '["/prod/**"]\n  types: [String, §String]'),
        "duplicate-item",
        'repeats "String"',
    ),
    "a type with a typo": (
        instead('["/prod/**"]', '["/prod/**"]\n  types: [§securestring]'),
        "unknown-value",
        "did you mean `SecureString`?",
    ),
    "a mode of skip_sync that is none": (
        plus("skip_sync: {values: §never}"),
        "unknown-value",
        "any, targets (or a list of texts)",
    ),
    "a mode of skip_sync that is a truth value": (
        plus("skip_sync: {values: §yes}"),
        "unknown-value",
        "any, targets",
    ),
    "a value of skip_sync that is a truth value": (
        plus("skip_sync: {values: [§yes]}"),
        "unquoted",
        'quote it: "yes"',
    ),
    "an invalid key": (
        plus("kms: [{source: §app, targets: {us-east-2: alias/x}}]"),
        "bad-format",
        "alias/app",
    ),
    "an invalid key of a map": (
        instead("us-east-2\n", "us-east-2\n    kms: {keys: {§app: alias/app}}\n"),
        "bad-format",
        "alias ARN",
    ),
    "a key that is a fraction of an ARN": (
        plus("kms: [{source: alias/a, targets: {us-east-2: §key/mrk-0123456789abcdef0123456789abcdef}}]"),
        "bad-format",
        "key ARN",
    ),
    "a map without targets": (
        plus("kms: [{source: alias/x, targets: §{}}]"),
        "empty-value",
        "us-east-2: alias/app",
    ),
    "a rewrite of nothing": (
        plus("rewrite: [{match: /prod/*, from: §'', to: x}]"),
        "empty-value",
        "is empty",
    ),
    "a rewrite without an end": (plus("rewrite: [§{match: /prod/*, from: x}]"), "missing-property", "`to:"),
    "a number with underscores": (plus("guards: {max_deletes: §1_000}"), "wrong-type", "plain digits"),
    "a number in octal": (plus("guards: {max_deletes: §010}"), "wrong-type", "plain digits"),
    "a number in quotes": (plus("guards: {max_deletes: §'10'}"), "wrong-type", "without quotes"),
    "a number with a point": (plus("guards: {max_deletes: §10.0}"), "wrong-type", "whole number"),
    "a number as a time": (plus("guards: {max_deletes: §12:30}"), "wrong-type", "whole number"),
    "a number of 5,000 digits": (
        plus(f"guards: {{max_deletes: §{'9' * 4000}}}"),
        "wrong-type",
        "whole number",
    ),
    "a negative number": (
        plus("guards: {max_deletes: §-1}"),
        "out-of-range",
        "cannot be -1: write a number from 0",
    ),
    "more than a hundred percent": (plus("guards: {max_change_percent: §101}"), "out-of-range", "up to 100"),
    "a time to delete in another unit": (
        instead("delete: owned", "delete: { mode: owned, after: §2w }"),
        "bad-format",
        "a number of hours (`1h` to `9999h`)",
    ),
    "a time to delete with a point": (
        instead("delete: owned", "delete: { mode: owned, after: §0.0 }"),
        "unquoted",
        "it must be `0`",
    ),
    "a time to delete of 0 days": (
        instead("delete: owned", "delete: { mode: owned, after: §0d }"),
        "bad-format",
        "it must be `0`",
    ),
    "a time to delete of too many days": (
        instead("delete: owned", "delete: { mode: owned, after: §1000d }"),
        "bad-format",
        "`999d`",
    ),
    "a way to delete without a mode": (
        instead("delete: owned", "§delete: { after: 7d }"),
        "missing-property",
        "`delete` has no `mode`: write `mode: owned` (or created, never)",
    ),
    "a mode that is none": (
        instead("delete: owned", "delete: { mode: §always }"),
        "unknown-value",
        "owned, created, never",
    ),
    "a property of delete that is none": (
        instead("delete: owned", "delete: { mode: owned, §later: 7d }"),
        "unknown-property",
        "`later` is not a property of `delete`",
    ),
    "a misspelled property of delete": (
        instead("delete: owned", "delete: { mode: owned, §aftr: 7d }"),
        "unknown-property",
        "did you mean `after`?",
    ),
    "a list of ways to delete": (
        instead("delete: owned", "delete: §[owned]"),
        "wrong-type",
        "`delete` must be one of: owned, created, never (or a mapping such as { mode: owned, after: 7d })",
    ),
    "an unknown way to delete": (
        instead("delete: owned", "delete: §all"),
        "unknown-value",
        "owned, created, never (or a mapping such as { mode: owned, after: 7d })",
    ),
    "a way to delete that is empty": (
        instead("delete: owned", "delete:§ "),
        "empty-value",
        "`delete` has no value: write one, for example owned",
    ),
    "a time to delete without a unit": (
        instead("delete: owned", "delete: { mode: owned, after: §7 }"),
        "unquoted",
        "has a number without a unit: write 7d or 7h; it must be `0`",
    ),
    "a window of eight days": (plus("guards: {window: §8d}"), "bad-format", "`7d`"),
    "a window of no time": (plus("guards: {window: §0h}"), "bad-format", "`1h`"),
    "a window without a unit": (
        plus("guards: {window: §24}"),
        "unquoted",
        "write 24h; it must be a number of hours",
    ),
    "no updates by events": (plus("guards: {events: {max_updates: §0}}"), "out-of-range", "from 1"),
    "a rate of nothing": (plus("rates: {put: §0}"), "out-of-range", "above 0"),
    "a rate that is enormous": (plus("rates: {put: §10000.5}"), "out-of-range", "up to 10000"),
    "a rate without end": (plus("rates: {put: §.inf}"), "wrong-type", "plain digits"),
    "a rate of an unknown class": (plus("rates: {§puts: 3}"), "unknown-property", "did you mean `put`?"),
    "an added tag without a value": (plus("tags: {add: {team: §}}"), "empty-value", "has no value"),
    "an added tag that is true": (plus("tags: {add: {team: §true}}"), "unquoted", 'quote it: "true"'),
    "an added tag that is too long": (plus(f"tags: {{add: {{team: §{'a' * 257}}}}}"), "too-long", "256"),
    "a former name twice": (plus("previous_names: [a, §a]"), "duplicate-item", 'repeats "a"'),
}


@pytest.mark.parametrize(("text", "code", "piece"), SCHEMA.values(), ids=SCHEMA)
def test_a_violation_of_the_schema_is_reported_at_its_position(text: str, code: str, piece: str) -> None:
    found = [one for one in errors(text) if one.code == code]
    assert piece in found[0].message
    if "§" in text:
        assert [one.where for one in found] == places(text)


def test_all_errors_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
version: §2
name: prod
§soruce:
  region: us-east-1
targets:
  - region: §no
  - region: us-east-2
    account: §12
parameters:
  include: [§/a//b, "/b"]
delete: §own
tags:
  add:
    §aws:x: "1"
"""
    found = errors(text)
    assert [one.where for one in found] == places(text)


UNQUOTED = [
    "**",
    "*",
    "*foo",
    "*foo/bar",
    "@x",
    "%x",
    "`x",
    "!x",
    "!%x",
    "!{x}",
    "&x",
    "& x",
    "> x",
    "| x",
    ",x",
    "]",
    "}",
]


@pytest.mark.parametrize("sign", UNQUOTED)
def test_text_that_begins_with_an_indicator_of_yaml_is_one_error_with_advice(
    sign: str,
) -> None:
    (found,) = errors(BASE.replace('  include: ["/prod/**"]', f"  include:\n    - {sign}"))
    assert f'quote it: "{sign}"' in found.message.replace("quote it if it is text", "quote it")
    assert found.where == "spec.yaml:9:7"


@pytest.mark.parametrize("sign", ["{a}", "[a]", "a: b"])
def test_text_that_yaml_reads_as_a_list_or_a_mapping_is_an_error_with_advice(
    sign: str,
) -> None:
    (found,) = errors(BASE.replace('  include: ["/prod/**"]', f"  include:\n    - {sign}"))
    assert "quote it" in found.message


def test_an_indicator_of_yaml_in_a_flow_list_is_quoted_alone() -> None:
    (found,) = errors(BASE.replace('["/prod/**"]', '["/prod/**", **, "/b"]'))
    assert 'quote it: "**"' in found.message


def test_the_value_of_a_misspelled_property_is_checked_under_the_right_name() -> None:
    text = plus("x-a: 1").replace("parameters:", "§paramters:").replace('["/prod/**"]', '[§"/prod/"]')
    found = errors(text)
    assert [one.code for one in found] == ["unknown-property", "bad-pattern"]
    assert [one.where for one in found] == places(text)


def test_warnings_are_reported_with_the_errors() -> None:
    text = BASE.replace("delete: owned", "delete: maybe").replace("region: us-east-2", "region: us-esat-2")
    with pytest.raises(SpecError) as refused:
        load_text(text)
    assert [one.code for one in refused.value.findings] == ["unknown-value", "unknown-region"]
    assert refused.value.message == "the spec has 1 error"


def test_a_missing_include_causes_no_warning_about_other_rules() -> None:
    text = BASE.replace('include: ["/prod/**"]', 'exclude: ["/prod/a"]')
    with pytest.raises(SpecError) as refused:
        load_text(text)
    assert [one.code for one in refused.value.findings] == ["missing-property"]


def test_an_alias_without_an_anchor_hides_no_other_error() -> None:
    found = errors(plus("x-a: *b").replace("delete: owned", "delete: maybe"))
    assert [one.code for one in found] == ["unknown-value", "unknown-alias"]


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("us-esat-1", "did you mean `us-east-1`?"),
        ("us-esat-2", "did you mean `us-east-2`?"),
        ("eu-wst-1", "did you mean `eu-west-1`?"),
        ("eu-central-11", "did you mean `eu-central-1`?"),
        ("us-esat-11", "did you mean `us-east-1`?"),
        ("ap-soth-est-1", "check the spelling"),
        ("xx-nowhere-1", "check the spelling"),
    ],
)
@pytest.mark.parametrize("place", ["source", "target"])
def test_an_unknown_region_is_a_warning_with_the_nearest_one(region: str, hint: str, place: str) -> None:
    old = "region: us-east-1" if place == "source" else "region: us-east-2"
    (found,) = load_text(BASE.replace(old, f"region: {region}")).findings
    assert (found.code, found.severity.value) == ("unknown-region", "warning")
    assert f"`{region}` is not a region that this version knows: {hint}" == found.message


@pytest.mark.parametrize("region", ["ap-southeast-3", "eu-central-2"])
def test_a_known_region_causes_no_warning(region: str) -> None:
    assert load_text(BASE.replace("region: us-east-2", f"region: {region}")).findings == ()


def test_an_error_inside_an_anchor_is_reported_at_the_anchor() -> None:
    text = plus("x-a: &a [§yes]\nskip_sync: {values: *a}\nprevious_names: *a")
    assert {one.where for one in errors(text)} == set(places(text))


def test_the_documents_before_a_syntax_error_are_checked_too() -> None:
    text = instead("owned", "§own") + "---\na: §'b"
    assert [one.where for one in errors(text)] == places(text)


def test_text_of_a_spec_is_escaped_and_cut_in_messages() -> None:
    text = instead("owned", '"\\e[31m\\u202egone ' + "x" * 3000 + '"')
    (found,) = errors(text)
    assert "\\x1b[31m\\u202egone" in found.message
    assert found.message.isprintable()
    assert len(found.message) < 200
    assert found.code == "unknown-value"


def test_the_number_of_reported_errors_has_a_limit() -> None:
    text = plus("\n".join(f"k{i}: 1" for i in range(900)))
    found = errors(text)
    assert len(found) == 201
    assert found[-1].code == "too-many-findings"
