"""Every folder here: plan, read, apply, plan again, through the real command line (see README.md)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from ssm_reconcile.change import Row
from ssm_reconcile.cli import root
from ssm_reconcile.documents.decode import read_plan_document, read_report_document
from ssm_reconcile.guards import GUARDS
from ssm_reconcile.model import Place
from tests.cases import golden, steps
from tests.cases.states import compare_states, narrowing
from tests.unit.renderers.plans import text_at_once

FOLDERS = sorted(folder for folder in Path(__file__).parent.glob("[0-9]*-*") if folder.is_dir())
WITH_JSON = {
    "32-attributes-change",
    "42-max-deletes",
    "50-incomplete-target",
    "56-failed",
    "72-looks-secret",
    "76-two-documents",
}
"""The cases that keep `plan.json` and `report.json`; README.md says why these."""
OF_UNDO = ("undo.txt", "undo.md", "undone.txt", "state-undone.yaml")
GOLDEN = (
    "plan.txt", "plan.md", "plan.json", "report.txt", "report.json", "state-after.yaml", *OF_UNDO,
    "stderr.txt",
)  # fmt: skip
KNOWN = {
    "title",
    "rows",
    "withheld_by",
    "attributes",
    "flags",
    "apply_flags",
    "plan",
    "apply",
    "again",
    "undo",
}
VALUE_READS = {"GetParameter", "GetParameters", "GetParameterHistory"}
SCHEMAS = Path(__file__).parents[2] / "schema"


@dataclass(frozen=True, slots=True)
class Case:
    """The content of `case.yaml`."""

    folder: Path
    title: str
    rows: tuple[str, ...]
    withheld_by: tuple[str, ...]
    attributes: tuple[str, ...]
    flags: tuple[str, ...]
    apply_flags: tuple[str, ...]
    plan: int
    apply: int | None
    again: dict[str, int]
    undo: dict[str, Any]


@lru_cache
def case_of(folder: Path) -> Case:
    content = yaml.safe_load((folder / "case.yaml").read_text())
    assert set(content) <= KNOWN, f"{folder.name}/case.yaml has more than {KNOWN}"
    return Case(
        folder=folder,
        title=content["title"],
        rows=tuple(content["rows"]),
        withheld_by=tuple(content.get("withheld_by", ())),
        attributes=tuple(content.get("attributes", ())),
        flags=tuple(map(str, content.get("flags", ()))),
        apply_flags=tuple(map(str, content.get("apply_flags", ()))),
        plan=content.get("plan", 0),
        apply=content.get("apply", 0),
        again=content.get("again", {}),
        undo=content.get("undo", {}),
    )


@dataclass(frozen=True, slots=True)
class Ran:
    """The end of one command."""

    code: int
    out: str
    err: str


class Cli:
    """The command line over the AWS of a case. All its output is kept, to be searched for secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.content = yaml.safe_load((folder / "world.yaml").read_text())
        self.aws = steps.arrange(self.content)
        self.wrote: list[str] = []

    def run(self, *words: str) -> Ran:
        result = CliRunner().invoke(root, ["--help"] if not words else list(words), input="")
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        self.wrote += [ran.out, ran.err]
        return ran

    def document(self, ran: Ran) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(ran.out)
        return found

    def arrange(self, spec: Path) -> None:
        """Arrange the world: earlier applies, and actions of people since."""
        before = self.content.get("replicate") or ()
        for one in [{}] if before is True else before:
            other = self.folder / one["spec"] if "spec" in one else spec
            ran = self.run("apply", str(other), "--yes", "-q", *one.get("flags", ()))
            assert ran.code == 0, f"the world could not be arranged:\n{ran.out}{ran.err}"
            self.aws.pass_time()
        for step in self.content.get("then") or ():
            steps.do(self.aws, step)
        self.aws.pass_time()


@pytest.fixture
def cli(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """The command line over the world of a case, in a folder where only its spec is."""
    folder: Path = request.param
    monkeypatch.setenv("COLUMNS", "120")
    cli = Cli(folder)
    cli.aws.connect_command_line(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("replication.yaml").write_text((folder / "spec.yaml").read_text())
    for refused in folder.glob("refused.json"):
        Path(refused.name).write_text(refused.read_text())
    return cli


@pytest.mark.parametrize("cli", FOLDERS, indirect=True, ids=lambda folder: folder.name)
def test_plan_apply_and_plan_again(cli: Cli) -> None:
    case = case_of(cli.folder)
    cli.arrange(Path("replication.yaml"))
    sources = _sources_of(cli)
    before = steps.state(cli.aws)
    plan = _planned(cli, case)
    _compare_status(cli, case, plan)
    assert steps.state(cli.aws) == before, "a plan or a status wrote something"
    if plan is not None:
        assert _rows(plan) >= set(case.rows), f"the case promises the rows {case.rows}, it has {_rows(plan)}"
        assert _guards(plan) == set(case.withheld_by)
        assert {name for change in plan["changes"] for name in change["attributes"]} >= set(case.attributes)
        _applied(cli, case, plan)
        _undone(cli, case)
    written = [call for call in cli.aws.world.traffic.writes() if call.place in sources]
    assert written == [], "an apply wrote to the source"
    if "meanwhile" not in cli.content:
        assert [steps.state(cli.aws).get(source) for source in sources] == [
            before.get(one) for one in sources
        ]
    _hold_silence(cli)


def _sources_of(cli: Cli) -> list[Place]:
    """The source of each document of the spec, that of the first one first."""
    specs = yaml.safe_load_all(Path("replication.yaml").read_text())
    return [cli.aws.place(spec["source"]["region"]) for spec in specs]


def _planned(cli: Cli, case: Case) -> dict[str, Any] | None:
    """The plan in all its forms, one of them of the saved plan; None where there is none."""
    steps.break_down(cli.aws, cli.content, "plan")
    every = {}
    for form, out in (("text", ()), ("json", ("--out", "plan.json"))):
        cli.aws.world.traffic.forget()
        every[form] = cli.run("plan", "-q", "--format", form, *out, *case.flags)
        assert every[form].code == case.plan, every[form].err
    if not every["json"].out:
        golden.compare(cli.folder / "stderr.txt", every["text"].err)
        for name in GOLDEN[:-1]:
            golden.absent(cli.folder / name)
        return None
    golden.absent(cli.folder / "stderr.txt")
    plan = cli.document(every["json"])
    every["markdown"] = cli.run("show", "plan.json", "--format", "markdown")
    cli.wrote.append(Path("plan.json").read_text())
    assert text_at_once(read_plan_document(every["json"].out)) == every["json"].out
    _compare_json(cli.folder / "plan.json", every["json"].out)
    golden.compare(cli.folder / "plan.txt", every["text"].out)
    golden.compare(cli.folder / "plan.md", every["markdown"].out)
    assert f"`{plan['plan_id'][:12]}`" in every["markdown"].out, "plan.md holds the plan id of the case"
    return plan


def _compare_status(cli: Cli, case: Case, plan: dict[str, Any] | None) -> None:
    """`status` finds the rows of the plan and reads no value; it fails where the plan does."""
    steps.break_down(cli.aws, cli.content, "plan")
    ran = cli.run("status", "-q", "--format", "json", *narrowing(case.flags))
    assert {call.operation for call in cli.aws.world.traffic.calls} & VALUE_READS == set()
    if plan is None:
        assert (ran.code, ran.out) == (case.plan, "")
        return
    assert ran.code == (0 if plan["complete"] else 3)
    compare_states(cli.document(ran), plan, verified="--verify-values" in case.flags)


def _compare_json(path: Path, text: str) -> None:
    """Compare a plan or report with its schema, and with its golden file in a case that has one."""
    assert list(_schema(path.stem).iter_errors(json.loads(text))) == []
    if path.parent.name in WITH_JSON:
        golden.compare(path, golden.settled(text))
    else:
        golden.absent(path)


@lru_cache
def _schema(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads((SCHEMAS / f"{name}.schema.json").read_text()))


def _applied(cli: Cli, case: Case, plan: dict[str, Any]) -> None:
    """Exactly this plan is applied, which proves too that its id is the same an hour later."""
    cli.aws.pass_time()
    steps.break_down(
        cli.aws, cli.content, "apply" if "apply" in (cli.content.get("faults") or {}) else "plan"
    )
    steps.interfere(cli.aws, cli.content)
    words = ["--expect-plan", plan["plan_id"], *case.flags, *case.apply_flags]
    ran = cli.run("apply", "-q", "--out", "report.json", *words)
    assert ran.code == case.apply, f"{ran.out}{ran.err}"
    report = Path("report.json").read_text()
    golden.compare(cli.folder / "report.txt", ran.out)
    assert text_at_once(read_report_document(report)) == report
    _compare_json(cli.folder / "report.json", report)
    held = steps.held(cli.aws, but=_sources_of(cli)[0])
    golden.compare(cli.folder / "state-after.yaml", golden.as_yaml(held))
    cli.wrote.append(report)
    cli.aws.pass_time()
    steps.break_down(cli.aws, cli.content, "")
    again = cli.run("plan", "-q", "--format", "json", *case.flags)
    summary = cli.document(again)["summary"]
    left = {word: number for word, number in summary.items() if number and word != "in_sync"}
    assert left == case.again, "what a second plan still finds"


def _undone(cli: Cli, case: Case) -> None:
    """The apply is taken back, if the case says so: its plan, exactly that plan, and the state after it."""
    if not case.undo:
        for name in OF_UNDO:
            golden.absent(cli.folder / name)
        return
    words, code = list(map(str, case.undo.get("flags", ()))), case.undo.get("code", 0)
    every = {
        form: cli.run("undo", "report.json", "-q", "--plan-only", "--format", form, *words)
        for form in ("json", "text", "markdown")
    }
    plan = cli.document(every["json"])
    assert list(_schema("plan").iter_errors(plan)) == []
    assert text_at_once(read_plan_document(every["json"].out)) == every["json"].out
    golden.compare(cli.folder / "undo.txt", every["text"].out)
    golden.compare(cli.folder / "undo.md", every["markdown"].out)
    assert _rows(plan) >= set(case.undo["rows"])
    assert _guards(plan) == set(case.undo.get("withheld_by", ()))
    words += ["--expect-plan", plan["plan_id"], "--out", "undone.json"]
    ran = cli.run("undo", "report.json", "-q", *words)
    assert ran.code == code, f"{ran.out}{ran.err}"
    assert list(_schema("report").iter_errors(json.loads(Path("undone.json").read_text()))) == []
    cli.wrote.append(Path("undone.json").read_text())
    golden.compare(cli.folder / "undone.txt", ran.out)
    held = steps.held(cli.aws, but=_sources_of(cli)[0])
    golden.compare(cli.folder / "state-undone.yaml", golden.as_yaml(held))


def _rows(plan: dict[str, Any]) -> set[str]:
    rows = {item["row"] for item in (*plan["changes"], *plan["others"])}
    return rows | ({"in_sync"} if plan["summary"]["in_sync"] else set())


def _guards(plan: dict[str, Any]) -> set[str]:
    return {guard for change in plan["changes"] for guard in change["withheld_by"]}


def _hold_silence(cli: Cli) -> None:
    secrets = steps.secrets(cli.aws)
    for text in cli.wrote:
        assert "Traceback" not in text
        for secret in secrets:
            assert secret not in text, "a SecureString was shown"


# The cases together


def test_every_row_of_the_table_has_a_case() -> None:
    shown: Counter[str] = Counter(
        row for case in map(case_of, FOLDERS) for row in (*case.rows, *case.undo.get("rows", ()))
    )
    assert set(shown) == {row.value for row in Row}


def test_every_guard_withholds_something_in_some_case() -> None:
    known = set(GUARDS)
    shown = {
        guard
        for case in map(case_of, FOLDERS)
        for guard in (*case.withheld_by, *case.undo.get("withheld_by", ()))
    }
    assert known - shown <= {"incomplete-place"}, "diff plans nothing that this guard would have to withhold"


ATTRIBUTES = {
    "value", "type", "description", "AllowedPattern", "tier", "policies", "DataType", "KeyId", "tags",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("create", ATTRIBUTES - {"type"}),
        ("change", ATTRIBUTES),
        ("clear", ATTRIBUTES - {"value", "type"}),
        ("drift", ATTRIBUTES),
    ],
)
def test_every_attribute_has_a_case_of_its_own(kind: str, known: set[str]) -> None:
    """No value and no type is ever cleared; the type of what is created stands beside it."""
    folder = next(folder for folder in FOLDERS if folder.name.endswith(f"-attributes-{kind}"))
    assert set(case_of(folder).attributes) >= known


def test_the_cases_are_numbered_and_their_titles_differ() -> None:
    numbers = [folder.name.split("-")[0] for folder in FOLDERS]
    assert len(set(numbers)) == len(numbers)
    titles: Sequence[str] = [case_of(folder).title for folder in FOLDERS]
    assert len(set(titles)) == len(titles)


def test_every_folder_has_only_files_that_are_read() -> None:
    for folder in FOLDERS:
        world = yaml.safe_load((folder / "world.yaml").read_text())
        before = world.get("replicate")
        others = {one["spec"] for one in before if "spec" in one} if isinstance(before, list) else set()
        known = {"spec.yaml", "world.yaml", "case.yaml", "refused.json", *GOLDEN, *others}
        assert {file.name for file in folder.iterdir()} <= known, folder.name
