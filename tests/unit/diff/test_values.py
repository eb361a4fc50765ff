"""Two plain values are compared by key, item or line, and no difference is lost or invented."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ssm_reconcile.change import ValueParts
from ssm_reconcile.diff import trees
from ssm_reconcile.diff.trees import DEPTH, READERS, differing_runs, longest_increasing
from ssm_reconcile.diff.values import PARTS, value_parts
from ssm_reconcile.model import STRING_LIST
from ssm_reconcile.shape import EXCERPT, normalize_value
from tests.property.profiles import examples


def compared(before: str, after: str) -> ValueParts:
    return value_parts(before, after, is_list=False)


def shown(found: ValueParts) -> list[tuple[str, str | None, str | None]]:
    return [(part.key, part.before, part.after) for part in found.parts if not part.is_context]


KEYED = {
    "a changed key": ('{"limits": {"max": 100}}', '{"limits": {"max": 250}}', [("limits.max", "100", "250")]),
    "an added key": ('{"a": 1}', '{"a": 1, "b": "x"}', [("b", None, "x")]),
    "a removed key": ('{"a": 1, "b": [1, "x"]}', '{"a": 1}', [("b", '[1, "x"]', None)]),
    "an item": ('{"s": [{"h": "a"}, {"h": "b"}]}', '{"s": [{"h": "a"}, {"h": "c"}]}', [("s[1].h", "b", "c")]),
    "an item in front": ("[2, 3, 4]", "[1, 2, 3, 4]", [("[0]", None, "1")]),
    "a number in another form": (
        '{"a": 1, "b": 1e3}', '{"a": 1.0, "b": 1000}', [("a", "1", "1.0"), ("b", "1e3", "1000")],
    ),
    "another type": ('{"a": 1, "b": true}', '{"a": "1", "b": 1}', [("a", "1", '"1"'), ("b", "true", "1")]),
    "a string that looks like a number": (
        "{}", '{"a": "1", "b": "null"}', [("a", None, '"1"'), ("b", None, '"null"')],
    ),
    "an object that becomes a list": ('{"a": {}}', '{"a": []}', [("a", "{}", "[]")]),
    "a document that becomes a list": ('{"a": 1}', "[1]", [("", '{"a": 1}', "[1]")]),
    "keys that are not simple": (
        '{"a.b": 1, "c\\n": 1, "__d": 1, "": 1}',
        '{"a.b": 2, "c\\n": 2, "__d": 2, "": 2}',
        [('["a.b"]', "1", "2"), ('["c\\n"]', "1", "2"), ("__d", "1", "2"), ('[""]', "1", "2")],
    ),
    "a number of any size": (
        '{"a": 1e999999}', '{"a": ' + "9" * 5000 + "}", [("a", "1e999999", "9" * EXCERPT)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "parts"), KEYED.values(), ids=KEYED)
def test_json_is_compared_by_key(before: str, after: str, parts: list[tuple[str, str, str]]) -> None:
    found = compared(before, after)
    assert (found.form, shown(found), found.more, found.notes) == ("json", parts, 0, ())


YAML = """\
# comment
db:
  host: a.example
  port: 5432
  users:
  - name: app
    roles: [read, "write"]
  - name: admin
limits:
    max: 100
"""


def test_simple_yaml_is_compared_by_key() -> None:
    changed = (
        YAML.replace("5432", "5433").replace("admin", "root").replace("max: 100", "max: 100\n    min: 1")
    )
    found = compared(YAML, changed)
    assert found.form == "yaml"
    assert shown(found) == [
        ("db.port", "5432", "5433"),
        ("db.users[1].name", "admin", "root"),
        ("limits.min", None, "1"),
    ]


UNUSUAL_YAML = {
    "a block scalar": "a: |\n  text\nb: 1",
    "an anchor": "a: &x 1\nb: *x",
    "a tag": "a: !!str 1\nb: 2",
    "two documents": "a: 1\n---\nb: 1",
    "a key twice": "a: 1\na: 2",
    "a folded scalar": "a: one\n  two\nb: 1",
    "a tab": "a:\n\tb: 1",
    "an open bracket": "a: [1,\n  2]\nb: 1",
    "a colon in a plain scalar": "a: b: c\nd: 1",
    "a sentence": "Note: this is\na text",
    "a list of nothing": "a:\n-\nb: 1",
    "less indentation": "  a: 1\nb: 2",
}


@pytest.mark.parametrize("text", UNUSUAL_YAML.values(), ids=UNUSUAL_YAML)
def test_yaml_that_the_reader_does_not_know_is_compared_by_line(text: str) -> None:
    found = compared(text, text + "\nz: 9")
    assert (found.form, found.notes) == ("lines", ())


def test_assignments_are_compared_by_key_in_their_order() -> None:
    before = "# shop\nLOG_LEVEL=info\nexport B=1\ndb.url = x\nOLD=\n"
    found = compared(before, before.replace("info", "debug").replace("OLD=\n", "NEW=a=b\n"))
    assert found.form == "env"
    assert shown(found) == [("LOG_LEVEL", "info", "debug"), ("OLD", "", None), ("NEW", None, "a=b")]
    assert shown(compared("db.url=x\nb=1", "db.url=y\nb=1")) == [("db.url", "x", "y")]


def test_base64_with_an_equals_sign_has_no_key() -> None:
    assert compared("QUJDRA==", "QUJERA==").form == "text"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1}', '{"a":1}'),
        ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}'),
        ('{"a": "A"}', '{"a": "\\u0041"}'),
        ("A=1\nB=2", "B=2\nA=1"),
        ("a: 1\nb: 2", "a: 1\n\nb: 2"),
    ],
)
def test_texts_with_equal_keys_differ_in_their_formatting_and_are_shown_as_text(
    before: str, after: str
) -> None:
    found = compared(before, after)
    assert found.form in ("text", "lines")
    assert shown(found)
    assert found.notes == ("only the formatting differs: all keys and values are equal",)


@pytest.mark.parametrize(
    ("before", "after"), [('{"a": 1, "a": 2}', '{"a": 1, "a": 3}'), ("[NaN]", "[1]"), ("[1", "[2")]
)
def test_json_that_has_two_meanings_is_compared_as_text(before: str, after: str) -> None:
    assert (compared(before, after).form, shown(compared(before, after))) == ("text", [("", before, after)])


def test_comments_and_another_layout_are_noted_beside_the_keys() -> None:
    assert compared("# a\nA=1\nB=2", "# b\nA=1\nB=3").notes == ("comments differ too",)
    assert compared('{"a": 1}', '{\n"a": 2\n}').notes == ("the formatting differs too",)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a":1,\n"b":2}', '{"a":  2,\n"b":2}'),
        ('{\n  "a": 1,\n  "b": 2\n}', '{\n    "a": 1,\n    "b": 3\n}'),
        ('{"a": [1, 2], "b": 1}', '{"a": [1,2], "b": 2, "c": 3}'),
        ('{"a": "A", "b": 1}', '{"a": "\\u0041", "b": 2}'),
        ("a:\n- 1\n- 2\nb: 1", "a:\n  - 1\n  - 2\nb: 2"),
        ("a: x y\nb: 1\n", "a:  x y\nb: 2\n"),
        ("a: 1\nb: 1", "a: 1\n\nb: 2"),
        ("A=1\nB=1", "A=1\n\nB=2"),
    ],
)
def test_another_layout_is_noted_beside_the_keys_that_differ(before: str, after: str) -> None:
    found = compared(before, after)
    assert {part.key for part in found.parts} <= {"a", "b", "c", "B"}
    assert found.notes == ("the formatting differs too",)


def test_another_order_of_keys_is_noted_beside_the_keys_that_differ() -> None:
    found = compared('{"x": {"a": 1, "b": 2}, "c": 1}', '{"x": {"b": 2, "a": 1}, "c": 2}')
    assert (shown(found), found.notes) == ([("c", "1", "2")], ("the order of the keys differs too",))


def test_export_and_spaces_before_the_value_of_a_key_are_shown() -> None:
    found = compared("export A=1\nB= 1\nC = 1\nD=1", "A=1\nB=1\nC = 2\nexport E=1")
    assert shown(found) == [
        ("A", "export A=1", "A=1"),
        ("B", "B= 1", "B=1"),
        ("C", "1", "2"),
        ("D", "1", None),
        ("E", None, "export E=1"),
    ]
    assert found.notes == ()


MEMBERS = st.recursive(
    st.integers(0, 9) | st.sampled_from(["x", "y z", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.large
@given(
    st.dictionaries(st.sampled_from("abcdef"), MEMBERS, min_size=1),
    st.dictionaries(st.sampled_from("abcdef"), MEMBERS),
    st.sampled_from([None, 0, 2]),
)
def test_keys_that_differ_are_no_other_layout(
    members: dict[str, object], others: dict[str, object], indent: int | None
) -> None:
    texts = [json.dumps(one, indent=indent, sort_keys=True) for one in (members, members | others)]
    assert "the formatting differs too" not in value_parts(*texts, is_list=False).notes


def test_lines_are_shown_with_one_line_of_context() -> None:
    found = compared("one\ntwo\nthree\nfour\nfive", "one\ntwo\n3\nfour\nfive\nsix")
    assert [(part.key, part.before, part.after, part.is_context) for part in found.parts] == [
        ("line 2", "two", "two", True),
        ("line 3", "three", "3", False),
        ("line 4", "four", "four", True),
        ("line 5", "five", "five", True),
        ("line 6", None, "six", False),
    ]


def test_a_removed_line_has_its_old_number_where_the_numbers_moved() -> None:
    found = compared("a one\nb two\nc three\nd four", "new\na one\nb two\nd four")
    assert shown(found) == [("line 1", None, "new"), ("old line 3", "c three", None)]


@pytest.mark.parametrize(
    ("before", "after", "notes"),
    [
        ("a\r\nb\r\n", "a\nb\n", ["line ends: CRLF before, LF after"]),
        ("a\nb\n", "a\nb", ["before ends with a line break, after does not"]),
        ("a", "a\n", ["after ends with a line break, before does not"]),
    ],
)
def test_line_ends_are_noted_and_do_not_mark_every_line(before: str, after: str, notes: list[str]) -> None:
    found = compared(before, after)
    assert (found.parts, list(found.notes)) == ((), notes)


def test_a_list_is_compared_by_item() -> None:
    found = value_parts("a,b,c,d,e", "e, a,x,c,d,f", is_list=True)
    assert [(part.key, part.before, part.after) for part in found.parts] == [
        ("item 5 moved to item 1", "e", "e"),
        ("item 2", "b", None),
        ("item 3", None, "x"),
        ("item 6", None, "f"),
    ]
    assert (found.form, found.notes) == ("list", ("1 item moved",))


def test_a_long_line_is_shown_around_its_first_difference_with_both_lengths() -> None:
    (part,) = compared("x" * 300 + "old", "x" * 300 + "new" + "y" * 400).parts
    assert (part.start, part.before_length, part.after_length) == (260, 303, 703)
    assert part.before == "x" * 40 + "old"
    assert part.after == ("x" * 40 + "new" + "y" * 400)[:EXCERPT]


def test_a_new_value_has_its_first_lines_or_its_json_on_one_line() -> None:
    found = value_parts(None, "\n".join("abcdefgh") + "\n", is_list=False)
    assert (shown(found)[0], len(found.parts), found.more) == (("line 1", None, "a"), 5, 3)
    found = value_parts(None, '{\n  "b": 1.50,\n  "a": ["x"]\n}', is_list=False)
    assert (found.form, shown(found)) == ("json", [("", None, '{"b": 1.50, "a": ["x"]}')])


def test_at_most_twenty_parts_are_kept_and_the_others_are_counted() -> None:
    numbers = range(150)
    old, new = (json.dumps({str(n): n + add for n in numbers}) for add in (0, 1))
    assert (len(compared(old, new).parts), compared(old, new).more) == (PARTS, 150 - PARTS)
    old, new = (",".join(str(n + add) for n in numbers) for add in (0, 1000))
    assert value_parts(old, new, is_list=True).more == 150 - PARTS


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
YAML_LINES = ("a: 1", "b: x", "  c: 2", "c:", "- d", "  - e: 1", "f: 'g'", "# h", "")
TEXTS = st.one_of(
    st.text(),
    st.text(alphabet="ab\n \r\t=:,-{}[]\"'1#\\"),
    DOCUMENTS.map(json.dumps),
    st.lists(st.sampled_from(YAML_LINES)).map("\n".join),
    st.dictionaries(st.from_regex(r"[A-Z]{1,3}", fullmatch=True), st.text("ab1 ")).map(
        lambda pairs: "\n".join(f"{key}={value}" for key, value in pairs.items())
    ),
)


@pytest.mark.large
@given(before=TEXTS, after=TEXTS, is_list=st.booleans())
def test_different_texts_have_a_part_or_a_note_and_no_part_has_equal_sides(
    before: str, after: str, *, is_list: bool
) -> None:
    kind = STRING_LIST if is_list else "String"
    assume(normalize_value(before, kind) != normalize_value(after, kind))  # otherwise nothing differs
    found = value_parts(before, after, is_list=is_list)
    assert shown(found) or found.notes
    for part in found.parts:
        assert (part.before == part.after) is part.is_context
        assert all(len(text) <= EXCERPT for text in (part.before or "", part.after or ""))
    assert len(found.parts) <= PARTS


@pytest.mark.large
@given(st.lists(DOCUMENTS, max_size=3).map(json.dumps))
@examples(40)
def test_the_text_of_a_tree_is_one_line_and_has_the_same_tree(text: str) -> None:
    tree = trees.json_tree(text)
    assert tree is not None
    assert trees.json_tree(trees.compact(tree)) == tree
    assert "\n" not in trees.compact(tree)


ITEMS = st.lists(st.sampled_from("abcdefgh"), max_size=12)


@given(ITEMS, ITEMS)
def test_the_runs_rebuild_the_new_sequence(before: Sequence[str], after: Sequence[str]) -> None:
    made: list[str] = []
    position = 0
    for run in differing_runs(before, after):
        made += before[position : run.start]
        assert len(made) == run.new_start
        made += after[run.new_start : run.new_end]
        position = run.end
    assert [*made, *before[position:]] == list(after)


@given(st.permutations(range(8)))
def test_the_longest_increasing_subsequence_is_increasing_and_has_no_gap(numbers: list[int]) -> None:
    found = [numbers[i] for i in longest_increasing(numbers)]
    assert found == sorted(found)
    lengths = [1] * len(numbers)
    for i, number in enumerate(numbers):
        lengths[i] += max((lengths[j] for j in range(i) if numbers[j] < number), default=0)
    assert len(found) == max(lengths)


def steps(before: str, after: str, *, is_list: bool = False) -> int:
    """Return the number of lines of Python that a comparison runs."""
    count = Counter[str]()

    def trace(frame: object, event: str, argument: object) -> object:
        count[event] += 1
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type] # the stub has no type for a function that returns itself
    try:
        value_parts(before, after, is_list=is_list)
    finally:
        sys.settrace(earlier)
    return count["line"]


LARGE = {
    "equal lines": ("\n".join("aab" * 1300), "\n".join("abb" * 1300)),
    "no equal lines": ("\n".join(map(str, range(1600))), "\n".join(map(str, range(5000, 6600)))),
    "reversed lines": ("\n".join(map(str, range(1600))), "\n".join(map(str, reversed(range(1600))))),
    "numbers of few values": (
        json.dumps([n % 7 for n in range(2600)]), json.dumps([n % 5 for n in range(2600)]),
    ),
    "objects": (json.dumps([{"a": n} for n in range(700)]), json.dumps([{"a": n + 1} for n in range(700)])),
    "open brackets": ("[" * 8000, "[" * 8000 + "]"),
    "levels": ("[" * 4000 + "1" + "]" * 4000, "[" * 4000 + "2" + "]" * 4000),
    "levels of yaml": ("- " * 4000 + "a\nb", "- " * 4000 + "b\nb"),
    "one long line": ("x" * 8192, "x" * 8191 + "y"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), LARGE.values(), ids=LARGE)
def test_the_largest_values_take_a_bounded_number_of_steps(before: str, after: str) -> None:
    assert max(len(before), len(after)) <= 10_000
    assert steps(before, after) < 400_000
    assert steps(before, after, is_list=True) < 400_000


def test_a_text_that_is_longer_than_aws_takes_is_not_compared_by_part() -> None:
    before, after = ("".join(f"K{n}={add}\n" for n in range(9_000)) for add in "xy")
    found = compared(before, after)
    assert (found.form, len(found.parts)) == ("text", 1)
    assert value_parts(None, before, is_list=False).form == "text"


def test_a_tree_has_a_limited_number_of_levels() -> None:
    def nested(levels: int, leaf: str) -> str:
        return '{"a": ' * levels + leaf + "}" * levels

    assert compared(nested(DEPTH, "1"), nested(DEPTH, "2")).form == "json"
    assert compared(nested(DEPTH + 1, "1"), nested(DEPTH + 1, "2")).form == "text"
    assert set(READERS) == {"json", "env", "yaml"}


def test_twenty_parts_of_a_value_are_kept_and_five_lines_of_a_new_one() -> None:
    found = compared("{}", json.dumps({f"k{i}": i for i in range(30)}))
    assert (len(found.parts), found.more) == (20, 10)
    new = value_parts(None, "x\n" * 8, is_list=False)
    assert (len(new.parts), new.more) == (5, 3)


@pytest.mark.parametrize("start", ["", "- "])
def test_yaml_is_read_as_a_tree_up_to_forty_levels(start: str) -> None:
    def nested(levels: int) -> str:
        lines = [f"{'  ' * n}{start}a:" for n in range(levels)]
        return "\n".join([f"{lines[0]}", *lines[1:], f"{'  ' * levels}b: 1"])

    levels = 20 if start else 40
    assert READERS["yaml"](nested(levels)) is not None
    assert READERS["yaml"](nested(levels + 1)) is None
