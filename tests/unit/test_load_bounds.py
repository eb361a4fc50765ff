"""The spec as an attack: whatever is in the text, the answer is an error, soon, and nothing else."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_reconcile.errors import Finding, Severity, SpecError
from ssm_reconcile.load import load, load_text
from ssm_reconcile.load.messages import SpecFindings, echo
from ssm_reconcile.load.tree import documents
from tests.property.profiles import examples

pytestmark = pytest.mark.large

HEAD = """\
version: 1
name: prod
source: {region: us-east-1}
targets: [{region: us-east-2}]
delete: owned
"""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the processor time of this thread: neither a busy machine nor another thread counts.

    The garbage collector is off meanwhile: after thousands of tests one full collection takes a second.
    """
    gc.disable()
    try:
        start = time.thread_time()
        yield
        spent = time.thread_time() - start
    finally:
        gc.enable()
    assert spent < seconds


def bomb(width: int, depth: int) -> str:
    """Lists of aliases of lists of aliases: width to the power of depth values in a few lines."""
    lines = ["x-0: &a0 [" + ", ".join("1" * width) + "]"]
    lines += [f"x-{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * width) + "]" for i in range(1, depth)]
    return "\n".join(lines)


def mapping_bomb(depth: int) -> str:
    lines = ["x-0: &a0 {x: 1}"]
    lines += [f"x-{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}" for i in range(1, depth)]
    return "\n".join(lines)


def patterns(count: int) -> str:
    return ", ".join(f'"/a*z{i}/*b{i}/**"' for i in range(count))


ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "a billion laughs": (lambda: bomb(10, 12), "too-large"),
    "a billion mappings": (lambda: mapping_bomb(28), "too-large"),
    "merges of merges": (
        lambda: (
            "x-0: &a0 {k0: 1}\n"
            + "\n".join(f"x-{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], k{i}: 1}}" for i in range(1, 28))
        ),
        "too-large",
    ),
    "a deep list": (lambda: "[" * 100_000, "too-deep"),
    "a deep mapping": (lambda: "{a: " * 100_000, "too-deep"),
    "deep blocks": (lambda: "\n".join(" " * i + "a:" for i in range(1000)), "too-deep"),
    "deep by aliases": (
        lambda: "x-0: &a0 [1]\n" + "\n".join(f"x-{i}: &a{i} [*a{i - 1}]" for i in range(1, 60)),
        "too-deep",
    ),
    "deep keys": (lambda: "? " * 100_000, "too-deep"),
    "a list without end": (lambda: "x-a: [" + "a," * 400_000, "too-many-items"),
    "a mapping without end": (lambda: "\n".join(f"k{i}: 1" for i in range(100_000)), "too-many-items"),
    "empty lists without end": (lambda: "x-a: [" + ("[" + "[]," * 999 + "],") * 300, "too-large"),
    "a merge without end": (
        lambda: (
            "\n".join(f"x-{i}: &a{i} {{{', '.join(f'k{i}-{j}: 1' for j in range(600))}}}" for i in range(2))
            + "\nx-z: {<<: [*a0, *a1]}"
        ),
        "too-many-items",
    ),
    "a value without end": (lambda: "x-a: " + "b" * 1_000_000, "too-long"),
    "a quoted value without end": (lambda: 'x-a: "' + "\\n" * 500_000 + '"', "too-long"),
    "documents without end": (lambda: "a: 1\n---\n" * 50_000, "too-many-documents"),
    "a file without end": (lambda: "# " + "a" * 2_000_000, "too-large"),
    "mistakes without end": (lambda: HEAD + "\n".join(f"k{i}: 1" for i in range(900)), "too-many-findings"),
}


@pytest.mark.parametrize(("text", "code"), ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_the_loader_is_refused_within_a_second(text: Callable[[], str], code: str) -> None:
    attack = text()
    with within(1), pytest.raises(SpecError) as caught:
        load(["-"], stdin=attack)
    assert code in {one.code for one in caught.value.findings}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


LAST_THAT_FITS: dict[str, tuple[Callable[[int], str], int, str]] = {
    "levels": (lambda n: f"x-a: {nested(n)}", 29, "too-deep"),  # the document itself is the first
    "levels of blocks": (lambda n: "\n".join(" " * i + "x-a:" for i in range(n)), 30, "too-deep"),
    "levels by an alias": (lambda n: f"x-a: &a {nested(14)}\nx-b: {'[' * n}*a{']' * n}", 15, "too-deep"),
    "entries of a list": (lambda n: f"x-a: [{'1, ' * n}]", 1000, "too-many-items"),
    "entries of a mapping": (lambda n: "\n".join(f"x-{i}: 1" for i in range(n)), 1000, "too-many-items"),
    "characters of a value": (lambda n: f"x-a: {'b' * n}", 4096, "too-long"),
    "documents": (lambda n: "x-a: 1\n---\n" * (n - 1) + "x-a: 1\n", 50, "too-many-documents"),
    "values": (
        lambda n: "x-a:\n" + f"  - [{'1, ' * 799}]\n" * 24 + f"  - [{'1, ' * (n - 19_204)}]\n",
        20_000,
        "too-large",
    ),
    "values by an alias": (
        lambda n: f"x-a: &a [{'1, ' * 799}]\nx-b: [{'*a, ' * 23}]\nx-c: [{'1, ' * (n - 19_206)}]\n",
        20_000,
        "too-large",
    ),
    "bytes": (lambda n: "x-a: 1\n#" + "a" * (n - 8), 1024 * 1024, "too-large"),
}
"""By limit: a text of that size, the largest size, and the code of what is larger."""


@pytest.mark.parametrize(("text", "most", "code"), LAST_THAT_FITS.values(), ids=LAST_THAT_FITS)
def test_the_last_size_that_fits_is_read_and_the_next_one_is_refused(
    text: Callable[[int], str], most: int, code: str
) -> None:
    def codes(size: int) -> set[str]:
        with pytest.raises(SpecError) as caught:  # none of them is a whole spec
            load(["-"], stdin=text(size))
        return {one.code for one in caught.value.findings}

    assert code not in codes(most)
    assert code in codes(most + 1)


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("\x07", "\\x07"),
        ("\x9b", "\\x9b"),
        ("\n", "\\n"),
        ("\u202e", "\\u202e"),
        ("\ue000", "\\ue000"),
        ("\u0378", "\\u0378"),
        ("\ud800", "\\ud800"),
        ("\u00a0", "\\xa0"),
        ("\u3000", "\\u3000"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
        (" ", " "),
        ("é", "é"),
        ("東", "東"),
        ("~", "~"),
    ],
)
def test_an_unprintable_character_is_escaped_in_a_message(char: str, expected: str) -> None:
    assert echo(f"a{char}b") == f"a{expected}b"


BORDERS = (0x85, 0x61C, 0x200E, 0x2028, 0x202F, 0x2066, 0x206A, 0xD800, 0xE000, 0xFEFF, 0xFFFE, 0x10000)
"""Characters at which a range begins that YAML or a reader of it treats differently."""


@pytest.mark.parametrize("border", BORDERS, ids=hex)
def test_a_character_is_read_or_refused_as_invisible(border: int) -> None:
    for char in map(chr, range(border - 3, border + 3)):
        findings = SpecFindings()
        found = documents(f"a: |\n  b{char}\n", "a.yaml", findings)
        assert found or [one.code for one in findings.all] == ["control-character"]


def test_a_text_longer_than_the_limit_is_cut() -> None:
    assert echo("a" * 60) == "a" * 60
    assert echo("a" * 61) == "a" * 60 + "…"


DEAR: dict[str, Callable[[], str]] = {
    "comments": lambda: HEAD + "parameters: {include: [/a]}\n" + "# x\n" * 200_000,
    "patterns that begin alike": lambda: (
        HEAD + f"parameters: {{include: [{patterns(1000)}], exclude: [{patterns(1000)}]}}\n"
    ),
    "patterns full of stars": lambda: (
        HEAD + "parameters: {include: [" + ", ".join(f'"/{"a*" * 450}{i}"' for i in range(400)) + "]}\n"
    ),
    "documents full of patterns": lambda: "---\n".join(
        HEAD.replace("prod", f"n{i}") + f"parameters: {{include: [{patterns(300)}]}}\n" for i in range(40)
    ),
    "ignored tags full of stars": lambda: (
        HEAD
        + "parameters: {include: [/a]}\ntags: {ignore: ["
        + ", ".join(f"'{'*a' * 60}{i}'" for i in range(100))
        + "], add: {"
        + ", ".join(f"{'a' * 120}{i}: b" for i in range(47))
        + "}}\n"
    ),
}


@pytest.mark.parametrize("text", DEAR.values(), ids=DEAR)
def test_a_spec_that_is_costly_to_check_is_checked_within_seconds(text: Callable[[], str]) -> None:
    attack = text()
    with within(10):  # 0.7 s; five times as long under coverage
        check(attack)


def findings_of(text: str) -> tuple[Finding, ...]:
    try:
        return load_text(text, "a.yaml").findings
    except SpecError as error:
        return error.findings or (Finding(Severity.ERROR, "no-findings", "\n"),)


def check(text: str) -> None:
    """Loads a text; anything but a spec or a SpecError with well-formed findings fails the test."""
    for one in findings_of(text):
        assert one.message.isprintable(), one
        file, line, column = one.where.rsplit(":", 2)
        assert (file, int(line) > 0, int(column) > 0) == ("a.yaml", True, True)
        assert one.code.replace("-", "").isalpha()


WORDS = [
    "version: 1", "name: prod", "source:", "targets:", "region: us-east-1", "parameters:", "include:",
    "delete: owned", "- ", "  ", "\n", "\n  ", "\n    - ", "[", "]", "{", "}", ": ", ",", "&a ", "*a",
    "<<: *a", "!!str ", "---\n", "...\n", "%YAML 1.1\n", "|\n", ">-\n", '"', "'", "\\", "# ", "\t", "? ",
    "012", "no", "12:30", "~", ".inf", "2026-01-01", "=", "kms:", "rewrite:", "tags: {add: {a: b}}",
    "/a/**", "x-a: ", "\u202e", "\x1b", "\ufeff", "é", "\r", "\x00", "\ud800",
]  # fmt: skip


@examples(150)
@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), max_size=40).map("".join))
def test_no_text_raises_anything_but_a_spec_error(text: str) -> None:
    check(text)


texts = st.text(max_size=5) | st.sampled_from(WORDS)
plain = st.none() | st.booleans() | st.integers(-5, 300) | texts
KEYS = (
    "region", "name", "account", "include", "source", "targets", "from", "to", "match", "add", "default",
    "keys", "q",
)  # fmt: skip
TOP = (
    "version", "name", "previous_names", "id", "previous_ids", "source", "targets", "parameters",
    "skip_sync", "kms", "rewrite",
    "tags", "adopt", "delete", "orphans", "changed_outside", "guards", "hide", "show", "rates", "x-a", "q",
)  # fmt: skip
trees = st.recursive(
    plain,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=4),
)


@examples(100)
@given(st.dictionaries(st.sampled_from(TOP), trees, max_size=8))
def test_no_tree_of_values_raises_anything_but_a_spec_error(tree: dict[str, object]) -> None:
    sound = {
        "version": 1,
        "name": "a",
        "source": {"region": "us-east-1"},
        "targets": [{"region": "us-east-2"}],
        "parameters": {"include": ["/a/**"]},
        "delete": "owned",
    }
    check(json.dumps({**sound, **tree}))
