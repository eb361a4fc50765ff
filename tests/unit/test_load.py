"""YAML text -> replications: every key of the spec, where it came from, and where files come from."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from ssm_reconcile.errors import Finding, SpecError, UsageError, Where
from ssm_reconcile.lift import Lift
from ssm_reconcile.load import load, load_text
from ssm_reconcile.model import Access
from ssm_reconcile.skip_sync import OnSkip, SkipMode, SkipSync
from ssm_reconcile.spec import (
    AdoptMode,
    ChangedOutside,
    DeleteMode,
    Glob,
    KeyRule,
    Limits,
    Orphans,
    Replication,
    Rewrite,
    RewriteIn,
    Source,
    Target,
)

ROOT = Path(__file__).parents[2]

SMALL = """\
version: 1
name: {name}
source: {{region: us-east-1}}
targets: [{{region: us-east-2}}]
parameters: {{include: ["/{name}/**"]}}
delete: owned
"""

FULL = """\
version: 1
name: prod
previous_names: [production]
source:
  region: us-east-1
  account: "123456789012"
  role_arn: arn:aws:iam::123456789012:role/ssm-reconcile
  external_id: abc
targets:
  - region: us-east-2
  - name: dr-eu
    region: eu-west-1
    account: "210987654321"
    role_arn: arn:aws:iam::210987654321:role/ssm-reconcile
    external_id: def
    frozen: true
    kms: { default: alias/dr, keys: { alias/app: alias/app-eu } }
parameters:
  include: ["/prod/**", shared]
  exclude: ["/prod/us-east-1/**"]
  types: [String, SecureString]
skip_sync:
  tag: stay
  values: ["yes", "012"]
  replicas: delete
kms:
  - source: alias/app
    targets: { us-east-2: alias/app }
rewrite:
  - match: "/prod/**/endpoint"
    in: name
    from: us-east-1
    to: "{target.region}"
  - { match: "/prod/*", from: "{source.region}", to: "" }
tags:
  ignore: ["cost:*"]
  add: { replicated-from: us-east-1 }
adopt: same_value
delete: created
orphans: delete
changed_outside: overwrite
guards:
  max_deletes: 7
  max_change_percent: 55
  window: 7d
  events: { max_updates: 200 }
hide: ["*pin*"]
show: ["/prod/token_lifetime"]
id: k3v9x2m7qa
previous_ids: [h5t8w4p2zc]
rates: { put: 10, get: 0.5, probe: true }
lifts:
  - { guard: max-deletes, target: dr-eu, count: 12, changes: "3f9a0c2b7d11", until: "2026-12-24",
      reason: gone }
"""


def at(line: int, column: int) -> Where:
    return Where("spec.yaml", line, column)


def only(text: str) -> Replication:
    (found,) = load_text(text, "spec.yaml").replications
    return found


def refusals(*paths: str, stdin: str | None = None, name: str | None = None) -> tuple[Finding, ...]:
    with pytest.raises(SpecError) as caught:
        load(paths, stdin=stdin, name=name)
    return caught.value.findings


def codes(*paths: str, stdin: str | None = None) -> list[tuple[str, str]]:
    return [(one.code, one.where) for one in refusals(*paths, stdin=stdin)]


def test_every_key_of_a_spec_is_read() -> None:
    reads, rates = (("get", 0.5),), (("get", 0.5), ("put", 10.0))
    role = "arn:aws:iam::123456789012:role/ssm-reconcile"
    assert only(FULL) == Replication(
        name="prod",
        source=Source(
            Access("us-east-1", role, "abc", reads, probe=True, read_only=True),
            "123456789012",
            at(5, 3),
        ),
        targets=(
            Target("us-east-2", Access("us-east-2", rates=rates, probe=True), where=at(10, 5)),
            Target(
                "dr-eu",
                Access("eu-west-1", "arn:aws:iam::210987654321:role/ssm-reconcile", "def", rates, probe=True),
                account="210987654321",
                frozen=True,
                default_key="alias/dr",
                keys=(("alias/app", "alias/app-eu"),),
                where=at(11, 5),
            ),
        ),
        include=(Glob("/prod/**", at(19, 13)), Glob("shared", at(19, 25))),
        delete=DeleteMode.CREATED,
        exclude=(Glob("/prod/us-east-1/**", at(20, 13)),),
        types=frozenset({"String", "SecureString"}),
        previous_names=("production",),
        id="k3v9x2m7qa",
        previous_ids=("h5t8w4p2zc",),
        skip_sync=SkipSync("stay", SkipMode.LISTED, ("yes", "012"), OnSkip.DELETE),
        kms=(KeyRule("alias/app", (("us-east-2", "alias/app"),), at(27, 5)),),
        rewrites=(
            Rewrite(Glob("/prod/**/endpoint", at(30, 12)), RewriteIn.NAME, "us-east-1", "{target.region}"),
            Rewrite(Glob("/prod/*", at(34, 14)), RewriteIn.VALUE, "{source.region}", ""),
        ),
        ignore_tags=("cost:*",),
        add_tags=(("replicated-from", "us-east-1"),),
        adopt=AdoptMode.SAME_VALUE,
        orphans=Orphans.DELETE,
        changed_outside=ChangedOutside.OVERWRITE,
        limits=Limits(7, 55, timedelta(days=7), 200),
        lifts=(Lift("max-deletes", "dr-eu", "3f9a0c2b7d11", 12, date(2026, 12, 24), "gone", at(53, 5)),),
        hide=(Glob("*pin*", at(47, 8)),),
        show=(Glob("/prod/token_lifetime", at(48, 8)),),
        where=at(2, 7),
        limit_lines={
            "max_deletes": at(43, 16),
            "max_change_percent": at(44, 23),
            "window": at(45, 11),
            "max_updates": at(46, 26),
        },
    )


def test_a_missing_key_has_the_default_of_its_type() -> None:
    found = only(SMALL.format(name="prod"))
    bare = Replication("prod", found.source, found.targets, found.include, DeleteMode.OWNED)
    for field in (
        "exclude",
        "types",
        "skip_sync",
        "kms",
        "rewrites",
        "adopt",
        "orphans",
        "changed_outside",
        "limits",
    ):
        assert getattr(found, field) == getattr(bare, field)


def test_the_defaults_of_the_schema_are_those_of_the_types() -> None:
    explicit = SMALL.format(name="prod") + (
        "skip_sync: {tag: skip_sync, values: any, replicas: keep}\n"
        "adopt: identical\norphans: keep\nchanged_outside: withhold\n"
        "guards: {max_deletes: 10, max_change_percent: 30, window: 24h}\n"
    )
    implicit = only(SMALL.format(name="prod"))
    found = only(explicit)
    for field in ("skip_sync", "adopt", "orphans", "changed_outside", "limits"):
        assert getattr(found, field) == getattr(implicit, field)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("1h", timedelta(hours=1)),
        ("168h", timedelta(days=7)),
        ("1d", timedelta(days=1)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_window_is_a_number_of_hours_or_days(text: str, window: timedelta) -> None:
    assert only(SMALL.format(name="prod") + f"guards: {{ window: {text} }}\n").limits.window == window


@pytest.mark.parametrize(
    ("text", "mode", "grace"),
    [
        ("owned", DeleteMode.OWNED, timedelta(0)),
        ("{ mode: created }", DeleteMode.CREATED, timedelta(0)),
        ("{ mode: owned, after: 0 }", DeleteMode.OWNED, timedelta(0)),
        ('{ mode: owned, after: "0" }', DeleteMode.OWNED, timedelta(0)),
        ("{ mode: never, after: 1h }", DeleteMode.NEVER, timedelta(hours=1)),
        ("{ mode: created, after: 12h }", DeleteMode.CREATED, timedelta(hours=12)),
        ("{ after: 9999h, mode: owned }", DeleteMode.OWNED, timedelta(hours=9999)),
        ("{ mode: owned, after: 999d }", DeleteMode.OWNED, timedelta(days=999)),
    ],
)
def test_delete_has_a_mode_and_a_time_in_hours_or_days(text: str, mode: DeleteMode, grace: timedelta) -> None:
    found = only(SMALL.format(name="prod").replace("delete: owned", f"delete: {text}"))
    assert (found.delete, found.grace) == (mode, grace)


def test_a_missing_limit_has_the_position_to_add_it() -> None:
    small = SMALL.format(name="prod")
    keys = ("max_deletes", "max_deletes_total", "max_change_percent", "window", "max_updates")
    assert only(small).limit_lines == dict.fromkeys(keys, at(2, 7))
    half = only(small + "guards:\n  max_deletes: 0\n")
    assert half.limits == Limits(0, 30)
    assert half.limit_lines == dict.fromkeys(keys, at(8, 3)) | {"max_deletes": at(8, 16)}


@pytest.mark.parametrize(
    ("values", "mode", "listed"),
    [("any", SkipMode.ANY, ()), ("targets", SkipMode.TARGETS, ()), ('["a", ""]', SkipMode.LISTED, ("a", ""))],
)
def test_skip_sync_has_three_modes(values: str, mode: SkipMode, listed: tuple[str, ...]) -> None:
    found = only(SMALL.format(name="a") + f"skip_sync: {{values: {values}}}\n").skip_sync
    assert (found.mode, found.values) == (mode, listed)


def test_documents_of_one_file_keep_their_order() -> None:
    text = "---\n".join(SMALL.format(name=name) for name in ("b", "a"))
    assert [one.name for one in load_text(text).replications] == ["b", "a"]


def test_anchors_and_merges_work_within_a_document() -> None:
    text = """\
version: 1
name: a
x-place: &place {account: "123456789012"}
x-more: &more [{<<: *place, region: us-east-2}]
source: {<<: [*place, {region: eu-west-1}], region: us-east-1}
targets: *more
parameters: {include: &include ["/a/**"]}
hide: *include
delete: owned
"""
    found = only(text)
    assert (found.source.access.region, found.source.account) == ("us-east-1", "123456789012")
    assert (found.targets[0].access.region, found.targets[0].account) == ("us-east-2", "123456789012")
    assert found.hide[0].where == at(7, 33), "where it is written, not where it is used"


def test_json_is_yaml() -> None:
    text = (
        '{"version": 1, "name": "a", "source": {"region": "us-east-1"}, "targets": [{"region": "us-east-2"}],'
        ' "parameters": {"include": ["/a/**"]}, "delete": "owned"}'
    )
    assert only(text).include == (Glob("/a/**", at(1, text.index("/a/**"))),)


def test_windows_line_ends_are_accepted() -> None:
    found = load_text(FULL.replace("\n", "\r\n"), "spec.yaml").replications
    assert found == load_text(FULL, "spec.yaml").replications


def test_the_spec_in_the_root_is_valid_without_warnings() -> None:
    found = load([str(ROOT / "replication.yaml")])
    assert found.findings == ()
    assert [one.name for one in found.replications] == ["prod", "staging", "dev", "test"]
    for one in found.replications:
        assert one.source.access.region == "us-east-1"
        assert [target.name for target in one.targets] == ["us-east-2"]
        assert one.delete is DeleteMode.OWNED
        assert one.skip_sync == SkipSync()
    assert all(one.kms for one in found.replications[:3])


def test_the_spec_of_the_design_is_valid() -> None:
    text = FULL.replace("include: [", "include: ['/shared/*', ").replace("types: [", "types: [StringList, ")
    assert load_text(text).findings == ()


# Files


def write(folder: Path, **texts: str) -> list[str]:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return [str(folder / f"{name}.yaml") for name in texts]


def test_files_are_read_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    paths = write(tmp_path, b=SMALL.format(name="b"), a=SMALL.format(name="a"))
    assert [one.name for one in load(paths).replications] == ["b", "a"]


def test_a_directory_stands_for_the_yaml_files_directly_inside_sorted_by_name(tmp_path: Path) -> None:
    write(tmp_path, b=SMALL.format(name="b"))
    (tmp_path / "a.yml").write_text(SMALL.format(name="a"))
    for ignored in (".hidden.yaml", "notes.txt"):
        (tmp_path / ignored).write_text("nonsense: [")
    (tmp_path / "below.yaml").mkdir()
    (tmp_path / "below.yaml" / "c.yaml").write_text("nonsense: [")
    assert [one.name for one in load([str(tmp_path)]).replications] == ["a", "b"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    (path,) = write(tmp_path, a=SMALL.format(name="a"))
    (tmp_path / "link.yaml").symlink_to(path)
    assert len(load([path, str(tmp_path), path]).replications) == 1
    (tmp_path / "z.yaml").write_text(SMALL.format(name="z"))
    assert [one.name for one in load([path, path, str(tmp_path)]).replications] == ["a", "z"]


def test_a_link_out_of_a_directory_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (path,) = write(tmp_path, a=SMALL.format(name="a"))
    (inside / "a.yaml").symlink_to(path)
    assert codes(str(inside)) == [("link-out-of-directory", f"{inside}/a.yaml:1:1")]


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    assert [where for _, where in codes(str(tmp_path))] == [f"{tmp_path}/a.yaml:1:1"]


def test_a_pipe_in_a_directory_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert codes(str(tmp_path)) == [("file-unreadable", f"{tmp_path}/a.yaml:1:1")]


def test_a_path_below_a_file_is_an_error(tmp_path: Path) -> None:
    (path,) = write(tmp_path, a=SMALL.format(name="a"))
    (found,) = refusals(f"{path}/b.yaml")
    assert (found.code, found.where) == ("file-unreadable", f"{path}/b.yaml:1:1")
    assert found.message == "cannot be read (Not a directory): check the path and its permissions"


def test_a_directory_without_specs_is_an_error(tmp_path: Path) -> None:
    assert codes(str(tmp_path)) == [("no-spec", f"{tmp_path}:1:1")]


def test_no_path_is_an_error() -> None:
    assert [code for code, _ in codes()] == ["no-spec"]


def test_a_missing_file_does_not_hide_other_errors(tmp_path: Path) -> None:
    (path,) = write(tmp_path, a="a: [")
    missing = str(tmp_path / "b.yaml")
    assert codes(missing, path) == [("yaml-syntax", f"{path}:1:4"), ("file-not-found", f"{missing}:1:1")]


def test_a_path_with_a_zero_byte_is_an_error() -> None:
    (found,) = refusals("a\0b")
    assert (found.code, found.where) == ("file-unreadable", "a\\x00b:1:1")
    assert found.message == "cannot be read (not a path): check the path and its permissions"


def test_a_path_is_escaped_and_cut_after_300_characters_in_the_position() -> None:
    long = "a/" * 149 + "bc"
    found = [one.where for one in refusals("\x1b[31m.yaml", long, f"{long}d")]
    assert found == ["\\x1b[31m.yaml:1:1", f"{long}:1:1", f"{long}…:1:1"]


def test_standard_input_is_read_as_a_file() -> None:
    assert load(["-"], stdin=SMALL.format(name="a")).replications[0].where == Where("<stdin>", 2, 7)
    assert codes("-", stdin="a: [") == [("yaml-syntax", "<stdin>:1:4")]
    assert codes("-") == [("file-unreadable", "<stdin>:1:1")]


def test_one_name_in_two_files_is_an_error(tmp_path: Path) -> None:
    one, other = write(tmp_path, a=SMALL.format(name="x"), b=SMALL.format(name="x"))
    assert ("duplicate-name", f"{other}:2:7") in codes(one, other)


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"", "empty-file", "1:1"),
        (b"a: 1\nb: \xff\n", "not-utf-8", "2:4"),
        ("é: ü".encode() + b"\xc3(", "not-utf-8", "1:5"),
        (b"\xff\xfea\x00", "not-utf-8", "1:1"),
        (b"v\x00e\x00r\x00s\x00", "not-utf-8", "1:1"),
        (b"\x00v\x00e\x00r\x00s", "not-utf-8", "1:1"),
        (b"\xff\xfe\x00\x00v\x00\x00\x00", "not-utf-8", "1:1"),
        (b"a: 1\n\0", "control-character", "2:1"),
        (b"#" * (1024 * 1024 + 1), "too-large", "1:1"),
    ],
)
def test_bytes_that_are_not_a_spec_are_refused(tmp_path: Path, content: bytes, code: str, place: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert codes(str(path)) == [(code, f"{path}:{place}")]


def test_another_encoding_is_named_with_the_advice_to_save_as_utf_8(tmp_path: Path) -> None:
    for codec, name in (("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32")):
        path = tmp_path / "a.yaml"
        path.write_bytes(SMALL.format(name="x").encode(codec))
        (found,) = refusals(str(path))
        assert f"in {name}: save it as UTF-8" in found.message


def test_a_byte_order_mark_of_utf_8_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.format(name="x").encode())
    assert [one.name for one in load([str(path)]).replications] == ["x"]
    assert load_text("\ufeff" + SMALL.format(name="x")).replications
    assert load(["-"], stdin="\ufeff" + SMALL.format(name="x")).replications


def test_the_error_for_a_missing_file_names_the_command_that_creates_it(tmp_path: Path) -> None:
    (spec,) = refusals(str(tmp_path / "replication.yaml"))
    (folder,) = refusals(str(tmp_path))
    (plan,) = refusals(str(tmp_path / "plan.json"))
    assert "ssm-reconcile init" in spec.message
    assert "ssm-reconcile init" in folder.message
    assert "ssm-reconcile plan --out plan.json" in plan.message


def test_a_link_to_a_missing_file_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    missing.symlink_to(tmp_path / "nowhere")
    assert codes(str(missing)) == [("file-not-found", f"{missing}:1:1")]


def test_more_files_than_the_limit_are_refused(tmp_path: Path) -> None:
    write(tmp_path, **{f"f{i:03}": SMALL.format(name=f"n{i}") for i in range(102)})
    assert codes(str(tmp_path)) == [("too-many-files", f"{tmp_path}/f100.yaml:1:1")]


def test_the_exception_has_the_number_of_errors() -> None:
    with pytest.raises(SpecError, match="the spec has 2 errors"):
        load_text(SMALL.format(name="a").replace("owned", "own").replace("1\n", "2\n", 1))


# One name


TWO = "---\n".join(
    (
        SMALL.format(name="a").replace('"/a/**"', '"/a/**", "/a/**"'),
        SMALL.format(name="b").replace('"/b/**"', '"/b/**", "/b/**"'),
    )
)


def test_a_name_keeps_only_its_own_document() -> None:
    found = load_text(TWO, name="b")
    assert [one.name for one in found.replications] == ["b"]


def test_a_name_keeps_only_the_warnings_about_its_own_document() -> None:
    assert [one.where for one in load_text(TWO, "s.yaml", name="b").findings] == ["s.yaml:12:33"]
    assert len(load_text(TWO).findings) == 2


def test_an_unknown_name_is_an_error_with_the_nearest_one_and_the_known_ones() -> None:
    with pytest.raises(UsageError) as refused:
        load(["-"], stdin=SMALL.format(name="prod"), name="prd")
    assert refused.value.message == "no replication is named 'prd'"
    assert refused.value.remedy == "did you mean `prod`? the spec has: prod"


def test_other_documents_are_checked_even_when_one_is_named() -> None:
    with pytest.raises(SpecError):
        load_text(TWO.replace("name: a", "name: A"), name="b")


# What it costs


def test_loading_a_spec_imports_no_heavy_library() -> None:
    code = (
        "import sys; from ssm_reconcile.load import load;"
        f"load([{str(ROOT / 'replication.yaml')!r}]);"
        "heavy = {'boto3', 'botocore', 'deepdiff', 'rich', 'click'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
