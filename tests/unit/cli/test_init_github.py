"""`init --github`: the workflow and CODEOWNERS of a repository, and the commit that the workflow names."""

from __future__ import annotations

import errno
import json
import re
import shlex
import subprocess
import sys
import tomllib
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from ssm_reconcile import __version__
from ssm_reconcile.cli import gh, init_github
from ssm_reconcile.cli.options import CommonOptions
from ssm_reconcile.cli.repository_files import FileWriter
from ssm_reconcile.errors import ReconcileError
from ssm_reconcile.github.workflow_calls import PERMISSIONS, read_calls
from ssm_reconcile.github.workflow_run import read_workflow_run
from ssm_reconcile.init import ruleset
from ssm_reconcile.init.github import WORKFLOW
from tests.simulated_aws import SimulatedAws
from tests.unit.cli.conftest import ACCOUNT, SPEC, WITH_ACCOUNT, Cli

ROOT = Path(__file__).parents[3]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OWNERS = ".github/CODEOWNERS"
URL = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
TOOL = URL.removeprefix("https://github.com/")
INIT = ("init", "--github", "acme/params", "--ref", COMMIT)


def workflow() -> dict[Any, Any]:
    """Return the workflow that was written; YAML 1.1 reads its key `on` as true."""
    found: dict[Any, Any] = yaml.safe_load(Path(WORKFLOW).read_text())
    return found


def call() -> dict[str, Any]:
    (job,) = workflow()["jobs"].values()
    return dict(job)


@pytest.mark.parametrize(
    ("specs", "given", "paths", "matrix"),
    [
        ((), "replication.yaml", ["replication.yaml"], None),
        (("specs/a.yaml",), "specs/a.yaml", ["specs/a.yaml"], None),
        (("specs",), "specs", ["specs/**"], None),
        (("./specs/",), "specs", ["specs/**"], None),
        (
            ("specs/b.yaml", "replication.yaml"), "${{ matrix.spec }}", ["specs/b.yaml", "replication.yaml"],
            ["specs/b.yaml", "replication.yaml"],
        ),
    ],
)  # fmt: skip
def test_the_workflow_calls_the_one_of_this_project_for_a_spec_a_folder_and_a_matrix(
    repository: Path, cli: Cli, specs: tuple[str, ...], given: str, paths: list[str], matrix: list[str] | None
) -> None:
    result = cli(*INIT, *specs)
    assert result.exit_code == 0, result.output
    job = call()
    name = {(): "prod", ("specs/a.yaml",): "a"}.get(specs, "params")
    assert job["uses"] == f"{TOOL}/.github/workflows/replicate.yml@{COMMIT}"
    assert job["with"] == {
        "spec": given, "region": "us-east-1", "account": ACCOUNT,
        "plan-role": f"arn:aws:iam::{ACCOUNT}:role/ssm-reconcile-{name}-plan",
        "apply-role": f"arn:aws:iam::{ACCOUNT}:role/ssm-reconcile-{name}-apply",
    }  # fmt: skip
    assert job.get("strategy") == (matrix and {"fail-fast": False, "matrix": {"spec": matrix}})
    assert workflow()[True]["push"] == {"branches": ["main"], "paths": [*paths, WORKFLOW]}
    assert workflow()["permissions"] == {}
    assert len(Path(WORKFLOW).read_text().splitlines()) <= 36


@pytest.mark.large
@pytest.mark.parametrize("specs", [(), ("specs",), ("specs/a.yaml", "specs/b.yaml")])
def test_the_workflow_is_valid_and_has_no_finding_of_an_auditor(
    repository: Path, cli: Cli, specs: tuple[str, ...]
) -> None:
    assert cli(*INIT, *specs).exit_code == 0
    tools = Path(sys.executable).parent
    for command in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        ("zizmor", "--offline", "--quiet", "--strict-collection", "--persona", "pedantic"),
    ):
        done = subprocess.run(
            [tools / command[0], *command[1:], WORKFLOW], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("specs", [(), ("specs",), ("specs/a.yaml", "specs/b.yaml")])
def test_the_roles_are_those_of_the_stack_whose_command_is_printed(
    repository: Path, cli: Cli, specs: tuple[str, ...]
) -> None:
    steps = cli(*INIT, *specs).stderr
    command = next(line for line in steps.splitlines() if " iam stack " in line)
    words = shlex.split(re.sub(r'"\$\(.*\)"', "1234/5678", command.partition(">")[0]))
    stack = cli(*words[1:])
    resources = json.loads(stack.stdout)["Resources"].values()
    names = {one["Properties"]["RoleName"] for one in resources if "RoleName" in one["Properties"]}
    assert {call()["with"][key].rpartition("/")[2] for key in ("plan-role", "apply-role")} == names


def test_another_branch_partition_and_account(repository: Path, cli: Cli) -> None:
    text = SPEC.replace("us-east-1", "cn-north-1").replace("us-east-2", "cn-northwest-1")
    Path("replication.yaml").write_text(text.replace("  - region: eu-west-1\n", ""))
    assert cli(*INIT).exit_code == 64
    assert cli(*INIT, "--branch", "1.x", "--account", ACCOUNT).exit_code == 0
    assert call()["with"]["plan-role"] == f"arn:aws-cn:iam::{ACCOUNT}:role/ssm-reconcile-prod-plan"
    triggers = workflow()[True]
    assert [triggers[name]["branches"] for name in ("pull_request", "merge_group", "push")] == [["1.x"]] * 3


def test_files_are_in_the_root_of_the_repository(
    repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("specs")
    assert cli(*INIT, "--code-owner", "@bob", "a.yaml").exit_code == 0
    monkeypatch.chdir("..")
    assert call()["with"]["spec"] == "specs/a.yaml"
    assert "/specs/a.yaml @bob\n" in Path(OWNERS).read_text()
    assert not Path("specs/.github").exists()


@pytest.mark.parametrize("name", [OWNERS, WORKFLOW])
def test_a_folder_in_the_place_of_a_file_is_reported(repository: Path, cli: Cli, name: str) -> None:
    Path(name).mkdir(parents=True)
    result = cli(*INIT, "--code-owner", "@bob", "--force")
    assert result.exit_code == 64
    assert f"{name} cannot be read or written" in result.stderr


def test_a_workflow_that_is_not_a_text_is_not_overwritten(repository: Path, cli: Cli) -> None:
    Path(WORKFLOW).parent.mkdir(parents=True)
    Path(WORKFLOW).write_bytes(b"\xff\xfe")
    assert f"{WORKFLOW} already exists" in cli(*INIT).stderr
    assert cli(*INIT, "--force").exit_code == 0
    assert call()["with"]["spec"] == "replication.yaml"


def test_each_spec_has_a_stack_of_its_own_with_a_name_that_cloudformation_takes(
    repository: Path, cli: Cli
) -> None:
    names = []
    for name, spec in (("a-b", "specs"), ("a.b", "specs"), ("a_b", "specs"), ("c", "specs/a.yaml")):
        steps = cli("init", "--github", f"acme/{name}", "--ref", COMMIT, "--force", spec).stderr
        names.append(steps.partition("--stack-name ")[2].split()[0])
    assert (names[0], names[-1]) == ("ssm-reconcile-a-b", "ssm-reconcile-a")
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", name) for name in names)


def test_names_of_managed_users_are_accepted(
    repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("init", "--github", "octo_acme/params", "--ref", COMMIT)
    result = cli(*words, "--code-owner", "@octo_acme", "--reviewer", "octo_acme")
    assert result.exit_code == 0, result.output
    assert "/replication.yaml @octo_acme\n" in Path(OWNERS).read_text()
    assert "gh api users/octo_acme --jq .id" in result.stdout
    assert cli("iam", "stack", "--github", "octo_acme/params").exit_code == 0
    assert read_workflow_run({"GITHUB_REPOSITORY": "octo_acme/params"}).repository == "octo_acme/params"


def test_specs_of_several_accounts_need_a_run_each(repository: Path, cli: Cli) -> None:
    Path("specs/b.yaml").write_text(Path("specs/b.yaml").read_text().replace(ACCOUNT, "210987654321"))
    result = cli(*INIT, "specs")
    assert result.exit_code == 64
    assert "run the command once for each spec" in result.stderr
    assert "--name" not in result.stderr


@pytest.mark.parametrize("name", ["123", "1.0", "no", "TRUE", "null", ".inf", ".NaN"])
def test_a_name_that_yaml_could_read_as_another_type_stays_a_text(
    repository: Path, cli: Cli, name: str
) -> None:
    Path("specs").rename(name)
    assert cli(*INIT, "--branch", name, name).exit_code == 0
    assert call()["with"]["spec"] == name
    assert workflow()[True]["push"] == {"branches": [name], "paths": [f"{name}/**", WORKFLOW]}
    Path(WORKFLOW).unlink()
    assert cli(*INIT, f"{name}/a.yaml", name + "/b.yaml").exit_code == 0
    assert call()["strategy"]["matrix"]["spec"] == [f"{name}/a.yaml", f"{name}/b.yaml"]


def test_an_owner_that_is_a_placeholder_is_noted(
    repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("OWNER", "acme"):
        monkeypatch.setattr(init_github, "_project_url", lambda _, o=owner: f"https://github.com/{o}/tool")
        result = cli(*INIT, "--force")
        assert f"uses: {owner}/tool/.github/" in Path(WORKFLOW).read_text()
        assert ("replace OWNER in the workflow" in result.stderr) is (owner == "OWNER")


def test_without_a_code_owner_there_is_a_note_and_no_file(repository: Path, cli: Cli) -> None:
    result = cli(*INIT)
    assert not Path(OWNERS).exists()
    assert "--code-owner" in result.stderr
    assert cli(*INIT, "--quiet", "--force").stderr == ""


def test_another_workflow_is_not_overwritten_and_nothing_else_is_written(repository: Path, cli: Cli) -> None:
    assert cli(*INIT).exit_code == 0
    assert cli(*INIT).exit_code == 0, "the text is the same"
    Path(WORKFLOW).write_text("name: mine\n")
    result = cli(*INIT, "--code-owner", "@bob")
    assert result.exit_code == 64
    assert f"{WORKFLOW} already exists" in result.stderr
    assert Path(WORKFLOW).read_text() == "name: mine\n"
    assert not Path(OWNERS).exists()
    assert cli(*INIT, "--force").exit_code == 0
    assert call()["with"]["spec"] == "replication.yaml"
    assert Path("replication.yaml").read_text() == WITH_ACCOUNT, "--force is for the workflow"


def test_a_file_in_the_place_of_a_folder_is_reported_before_anything_is_written(
    repository: Path, cli: Cli
) -> None:
    Path(".github").write_text("")
    result = cli(*INIT, "--code-owner", "@bob")
    assert result.exit_code == 64, result.output
    assert "cannot be read or written" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--github", "acme"), "'acme' is not OWNER/REPO"),
        (("--reviewer", "bob"), "need --github"),
        (("--apply",), "need --github"),
        (("--branch", "main"), "need --github"),
        (("replication.yaml",), "SPEC is an existing spec for --github"),
        (("--github", "a/b", "replication.yaml", "--target", "us-east-2"), "SPEC is an existing spec"),
        (("--github", "a/b", "--ref", "v1"), "not a full commit id"),
        (("--github", "a/b", "--ref", "0123456"), "not a full commit id"),
        (("--github", "a/b", "--account", "12"), "not an account id"),
        (("--github", "a/b", "--ref", COMMIT, "--account", "210987654321"), f"the spec names {ACCOUNT}"),
        (("--github", "a/b", "--code-owner", "@a b"), "is not @USER"),
        (("--github", "a/b", "--reviewer", "a/b/c"), "is not @USER"),
        (("--github", "a/b", *(f"--reviewer=r{n}" for n in range(7))), "at most 6 reviewers"),
        (("--github", "a/b", "--branch", "re*"), "has a character"),
        (("--github", "a/b", "--branch", "${{ x }}"), "has a character"),
        (("--github", "a/b", "-"), "not `-`"),
        (("--github", "a/b", "."), "root of the repository"),
        (("--github", "a/b", "a b.yaml"), "has a character"),
        (("--github", "a/b", "../other.yaml"), "is not in the repository"),
        (("--github", "a/b", ".ssm-reconcile/a.yaml"), "checks out ssm-reconcile into .ssm-reconcile"),
        (("--github", "a/b", "specs", "specs/a.yaml"), "specs contains specs/a.yaml: each of its merges"),
        (("--github", "a/b", "specs/a.yaml", "./specs/"), "specs contains specs/a.yaml: each of its merges"),
        (("--github", "a/b", "specs/a.yaml", "specs/A.yaml"), "differ in case only"),
        (("--github", "a/b", "--", "-x/a.yaml"), "has a character"),
    ],
)
def test_a_wrong_option_is_refused_and_nothing_is_written(
    repository: Path, cli: Cli, words: tuple[str, ...], message: str
) -> None:
    for name in ("a b.yaml", "specs/A.yaml", ".ssm-reconcile/a.yaml", "-x/a.yaml"):
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(WITH_ACCOUNT)
    result = cli("init", *words)
    assert result.exit_code == 64, result.output
    assert message in result.stderr
    assert not Path(".github").exists()


def test_a_spec_is_made_first_where_there_is_none(aws: SimulatedAws, cli: Cli) -> None:
    Path("replication.yaml").unlink()
    survey = ("--source-region", "us-east-1", "--target", "us-east-2", "--name", "prod")
    assert cli(*INIT, *survey, "--output", "-").exit_code == 64
    result = cli(*INIT, *survey, "--output", "new.yaml", "--code-owner", "@bob")
    assert result.exit_code == 0, result.output
    assert cli("validate", "new.yaml").exit_code == 0
    assert call()["with"]["spec"] == "new.yaml"
    assert call()["with"]["plan-role"].endswith("/ssm-reconcile-prod-plan")
    assert "/new.yaml @bob" in Path(OWNERS).read_text()


def test_files_are_checked_before_a_spec_is_made(aws: SimulatedAws, cli: Cli) -> None:
    Path(WORKFLOW).parent.mkdir(parents=True)
    Path(WORKFLOW).write_text("name: mine\n")
    aws.world.calls.clear()
    survey = ("--source-region", "us-east-1", "--target", "us-east-2", "--output", "new.yaml")
    assert cli(*INIT, *survey).exit_code == 64
    assert not Path("new.yaml").exists()
    assert aws.world.calls == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "../new.yaml"), "is not in the repository"),
        (("--output", "new.yaml", "--account", "999999999999"), "the spec names 1"),
        (("--output", "new.yaml", "--code-owner", "@bob"), "CODEOWNERS cannot be read or written"),
    ],
)
def test_a_new_spec_is_not_written_where_the_files_cannot_be(
    aws: SimulatedAws, cli: Cli, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    Path("CODEOWNERS").mkdir()
    before = sorted(tmp_path.parent.rglob("*"))
    result = cli(*INIT, "--source-region", "us-east-1", "--target", "us-east-2", *words)
    assert result.exit_code == 64, result.output
    assert message in result.stderr
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_new_spec_may_have_an_absolute_path_in_the_repository(
    aws: SimulatedAws, cli: Cli, tmp_path: Path
) -> None:
    words = ("--source-region", "us-east-1", "--target", "us-east-2", "--output", str(tmp_path / "new.yaml"))
    result = cli(*INIT, *words)
    assert result.exit_code == 0, result.output
    assert call()["with"]["spec"] == "new.yaml"


# The commit that the workflow names


def test_a_checkout_names_its_commit_and_calls_only_that_of_its_tag_a_release(
    repository: Path, installed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (installed / "pyproject.toml").write_text(
        '[project]\nurls = { Repository = "https://github.com/me/it" }\n'
    )
    module = installed / "src" / "ssm_reconcile" / "cli" / "init_github.py"
    monkeypatch.setattr(init_github, "__file__", str(module))
    commit = git(installed, "rev-parse", "HEAD")
    for tag, version in (("v0", f"{__version__}, not released"), (f"v{__version__}", f"v{__version__}")):
        git(installed, "tag", tag)
        assert cli("init", "--github", "acme/params", "--force").exit_code == 0
        called = f"uses: me/it/.github/workflows/replicate.yml@{commit} # {version}\n"
        assert called in Path(WORKFLOW).read_text()


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as in an installed package, and the repository of this project without a tag."""
    folder = tmp_path_factory.mktemp("installed")
    link = Message()
    link["Project-URL"] = "Changelog, https://example.com/log"
    link["Project-URL"] = "Repository, https://github.com/owner/tool"
    monkeypatch.setattr(metadata, "metadata", lambda _: link)
    home = folder / "lib" / "site-packages" / "ssm_reconcile" / "cli" / "init_github.py"
    monkeypatch.setattr(init_github, "__file__", str(home))
    project = folder / "tool"
    for name, value in {
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{project}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/owner/tool",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    project.mkdir()
    git(project, "init", "-q", "-b", "main")
    git(project, "commit", "-q", "--allow-empty", "-m", "first")
    return project


def git(folder: Path, *words: str) -> str:
    person = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", "-C", folder, *person, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("annotated", [(), ("-a", "-m", "release")], ids=["light", "annotated"])
def test_an_installed_version_names_the_commit_of_its_tag(
    repository: Path, installed: Path, cli: Cli, annotated: tuple[str, ...]
) -> None:
    commit = git(installed, "rev-parse", "HEAD")
    git(installed, "tag", *annotated, f"v{__version__}")
    git(installed, "commit", "-q", "--allow-empty", "-m", "later")
    result = cli("init", "--github", "acme/params")
    assert result.exit_code == 0, result.output
    called = f"uses: owner/tool/.github/workflows/replicate.yml@{commit} # v{__version__}\n"
    assert called in Path(WORKFLOW).read_text()


def test_without_the_tag_a_commit_must_be_given(repository: Path, installed: Path, cli: Cli) -> None:
    result = cli("init", "--github", "acme/params")
    assert result.exit_code == 64
    assert f"the commit of v{__version__} in https://github.com/owner/tool" in result.stderr
    assert "--ref SHA" in result.stderr
    assert not Path(".github").exists()
    assert cli(*INIT).exit_code == 0
    assert (
        f"owner/tool/.github/workflows/replicate.yml@{COMMIT} # {__version__}" in Path(WORKFLOW).read_text()
    )


def test_the_workflow_of_this_repository_has_the_shape_of_the_one_that_is_written(
    repository: Path, cli: Cli
) -> None:
    """It names the reusable workflow by its path, and has variables instead of the names of roles."""
    assert cli(*INIT).exit_code == 0
    written, own = workflow(), yaml.safe_load((ROOT / WORKFLOW).read_text())
    for document in (written, own):
        for one in document[True]["workflow_dispatch"]["inputs"].values():
            one.pop("description")
    job, call_ = own["jobs"]["ssm"], call()
    assert job.pop("uses") == "./.github/workflows/replicate.yml"
    call_.pop("uses")
    assert job["with"].pop("spec") == call_["with"].pop("spec")
    assert job["with"].keys() - call_["with"].keys() == {"schedule", "no-decrypt", "session-seconds"}
    assert all("vars." in value for value in job["with"].values())
    assert {**job, "with": None} == {**call_, "with": None}
    assert {**own, "jobs": None} == {**written, "jobs": None}


@pytest.mark.parametrize("specs", [(), ("specs",), ("specs/a.yaml", "specs/b.yaml")])
def test_doctor_reads_the_written_workflow_as_a_whole_call(
    repository: Path, cli: Cli, specs: tuple[str, ...]
) -> None:
    assert cli(*INIT, *specs).exit_code == 0
    (found,) = read_calls(WORKFLOW, Path(WORKFLOW).read_text()) or ()
    assert found.permissions == PERMISSIONS
    assert found.version == COMMIT
    many = [f"ssm ({spec}) / SSM check" for spec in specs]
    assert list(found.checks) == (many if len(specs) > 1 else ["ssm / SSM check"])
    inputs = yaml.safe_load((ROOT / ".github/workflows/replicate.yml").read_text())[True]["workflow_call"][
        "inputs"
    ]
    assert found.inputs.keys() <= inputs.keys()
    assert {name for name, one in inputs.items() if one.get("required")} <= found.inputs.keys()


def test_the_settings_are_read_with_the_ids_of_the_reviewers_and_the_ruleset_of_this_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objects: dict[str, Any] = {
        "repos/a/b/environments?per_page=1": {"environments": []},
        "repos/a/b/environments/ssm-plan": {"name": "ssm-plan"},
        "repos/a/b/environments/ssm-apply": {"deployment_branch_policy": {"custom_branch_policies": True}},
        "users/alice": {"id": 11},
        "orgs/acme/teams/ops": {"id": 12},
        "repos/a/b/rulesets/7": {"id": 7, "rules": []},
    }
    pages: dict[str, list[dict[str, Any]]] = {
        "repos/a/b/environments/ssm-apply/deployment-branch-policies": [{"name": "main"}],
        "repos/a/b/rulesets?includes_parents=false": [
            {"id": 6, "name": "other"}, {"id": 7, "name": ruleset.NAME, "target": "branch"},
        ],
    }  # fmt: skip
    monkeypatch.setattr(gh, "read_object", lambda path, *_, **__: objects.get(path))
    monkeypatch.setattr(gh, "read_pages", lambda path, *_, **__: pages[path])
    setup: Any = SimpleNamespace(repository="a/b", reviewers=("alice", "acme/ops"))
    state = init_github._read_state(setup)
    assert state.ids == {"alice": 11, "acme/ops": 12}
    assert state.environments == {
        name: objects[f"repos/a/b/environments/{name}"] for name in ("ssm-plan", "ssm-apply")
    }
    assert state.branches == {"ssm-apply": [{"name": "main"}]}
    assert state.ruleset == {"id": 7, "rules": []}


def test_a_folder_that_cannot_be_created_is_an_error_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ReconcileError, match="could not be created: Permission denied") as raised:
        FileWriter(tmp_path, force=False).save(tmp_path / "new" / "file", "x", CommonOptions())
    assert raised.value.remedy == "check the permissions of its folder"
