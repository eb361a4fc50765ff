"""An empty repository -> the first reviewed apply, by the commands of README.md, on a local GitHub and moto.

The commands are read from the blocks of README.md that name this file, so both cannot differ. Each is run by
bash, as a person pastes it. `aws` is the AWS CLI, `gh` the one of `tests/github/gh.py`, and the jobs of the
workflow that was pushed are executed step by step.

The simulation differs from AWS and GitHub: moto creates no OIDC provider and enforces no policy. A job gets
credentials according to the trust policies of the roles that the stack created, for the subject of a new
repository, which has ids. A push to main is an error as soon as a rule needs a pull request.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3

from tests.docs.pages import blocks_of
from tests.doubles.command_server import CommandServer
from tests.github.content import BOT, REPOSITORY, Hub
from tests.github.setup import rules_of_branch
from tests.workflows.runner import ROOT, Job, Refused
from tests.workflows.schedule import Scheduler
from tests.workflows.stage import (
    ACCOUNT,
    CALLED,
    CALLER,
    GIT_CONFIG,
    SECRET,
    SOURCE,
    TARGET,
    WORKFLOWS,
    Stage,
    log_of,
    results,
)

pytestmark = pytest.mark.slow

TOKEN = "ghp-token-of-alice"
ZEROS = "0" * 40
"""The commit before the first push of a branch."""
SUBJECT = "repo:acme@1234/params@5678:environment:"
"""The subject of a job in a repository that was created since 2026-07-15."""
NAMES = {"ACME/PARAMS": REPOSITORY, "ACME/OPS": "acme/ops", "us-east-1": SOURCE, "us-east-2": TARGET}
OTHERS = ("222222222222", "333333333333")
MOST_COMMANDS, MOST_EDITS, MOST_CLICKS = 8, 3, 2


def commands_of_readme() -> tuple[list[str], list[str]]:
    """Return the commands of README.md for one account, and those for the roles of other accounts."""
    blocks = [
        [re.sub(r"\s*\\\n\s*", " ", command.text) for command in commands]
        for why, commands in blocks_of(ROOT / "README.md")
        if why and Path(__file__).name in why
    ]
    one, others = blocks
    return one, others


@dataclass(slots=True)
class NewRepository(Stage):
    """A repository without a commit, on a GitHub without a setting.

    `calls` has the jobs of each run that a push or a pull request started.
    """

    calls: list[dict[str, Job]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.hub)
        self.repository.mkdir(parents=True)
        self._git("init", "--quiet", "--template=", "--initial-branch=main")
        with (self.repository / ".git" / "config").open("a") as file:
            file.write(f"{GIT_CONFIG}[receive]\ndenyCurrentBranch = updateInstead\n")
        self.last_push = ZEROS
        self.hub.tokens[TOKEN] = "alice"

    def notice_pushes(self) -> None:
        """Start the run of each push to main, and make other branches known."""
        refs = self._git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
        for name, sha in (line.split() for line in refs.splitlines()):
            if sha in self.hub.branches.get(name, []):
                continue
            if name == "main":
                needed = {rule["type"] for rule in rules_of_branch(self.hub)}
                assert "pull_request" not in needed, "GitHub refuses this push: a rule needs a pull request"
                self._pushed(sha, self._git("show", "--format=", "--name-only", sha).splitlines())
                self.run_push(sha)
            else:
                self.hub.branches[name] = [sha]

    def run_push(self, sha: str) -> None:
        """Start the run of a push with all of its jobs; main has new files."""
        names = self._git("ls-tree", "-r", "--name-only", sha).splitlines()
        self.hub.contents = {name: self._git("show", f"{sha}:{name}").encode() for name in names}
        folder = self.folder / "workflows"
        folder.mkdir(exist_ok=True)
        (folder / CALLER).write_text(self._git("show", f"{sha}:.github/workflows/{CALLER}"))
        shutil.copyfile(WORKFLOWS / CALLED, folder / CALLED)
        self.caller = folder / CALLER
        jobs = self.start("push", self.push_payload(sha), sha, "refs/heads/main")
        self.calls.append(jobs)

    def notice_pulls(self) -> None:
        """Complete new pull requests, and start their runs."""
        for number, pull in self.hub.pulls.items():
            if number in self.hub.pull_files:
                continue
            head = pull["head"]["sha"]
            self._git("branch", f"change-{number}", head)  # the name that `Stage` merges
            self.hub.branches[f"change-{number}"] = [head]
            self._git("update-ref", f"refs/pull/{number}/head", head)
            files = self._git("diff", "--name-only", f"main...{head}").splitlines()
            self.hub.pull_files[number] = [{"filename": name, "status": "added"} for name in files]
            pull["changed_files"] = len(files)
            author = {"login": "alice", "id": 1, "type": "User"}
            self.hub.commits[head] = {"sha": head, "author": author, "committer": author}
            self.calls.append(self.plan(number))

    def _pushed_files(self, payload: Mapping[str, Any]) -> list[str]:
        if payload["before"] == ZEROS:
            return [file for sha in self.hub.branches["main"] for file in self.hub.files[sha]]
        return Stage._pushed_files(self, payload)

    def _credentials(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        """Give credentials if the trust policy that the stack created has the subject of the job."""
        arn = given["role-to-assume"]
        statements = trust_of(self.endpoint, arn)
        subjects = [one["Condition"]["StringEquals"] for one in statements]
        trusted = [subject for one in subjects for key in one if key.endswith(":sub") for subject in one[key]]
        if job.permissions.get("id-token") != "write" or f"{SUBJECT}{job.environment}" not in trusted:
            raise Refused(f"Not authorized to perform sts:AssumeRoleWithWebIdentity: {arn}")
        assert given["allowed-account-ids"] == arn.split(":")[4]
        self.assumed.append((arn, job.environment))
        job.env |= {"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y",
                    "AWS_REGION": given["aws-region"], "AWS_DEFAULT_REGION": given["aws-region"]}  # fmt: skip
        return {}


def keys_of(endpoint: str, account: str) -> dict[str, Any]:
    """Return the keys of an administrator in an account, by their names in a profile."""
    keys: dict[str, Any] = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    if account == ACCOUNT:
        return keys
    sts = boto3.Session(region_name=SOURCE, **keys).client("sts", endpoint_url=endpoint)
    arn = f"arn:aws:iam::{account}:role/admin"
    found = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return {
        "aws_access_key_id": found["AccessKeyId"], "aws_secret_access_key": found["SecretAccessKey"],
        "aws_session_token": found["SessionToken"],
    }  # fmt: skip


def client_of(service: str, endpoint: str, account: str = ACCOUNT, region: str = SOURCE) -> Any:
    """Return a client of an administrator in an account."""
    client: Any = boto3.Session(region_name=region, **keys_of(endpoint, account)).client
    return client(service, endpoint_url=endpoint)


def trust_of(endpoint: str, arn: str) -> list[dict[str, Any]]:
    """Return the statements of the trust policy of a role."""
    iam = client_of("iam", endpoint, arn.split(":")[4])
    role = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
    assert role["Arn"] == arn
    found: list[dict[str, Any]] = role["AssumeRolePolicyDocument"]["Statement"]
    return found


@dataclass(slots=True)
class Newcomer:
    """A person with a clone of the empty repository: commands, edits of files, and clicks on GitHub."""

    stage: NewRepository
    clone: Path
    environment: dict[str, str]
    commands: list[str] = field(default_factory=list)
    programs: int = 0
    edits: int = 0
    clicks: int = 0
    printed: str = ""

    def run(self, line: str) -> None:
        """Run one command line; GitHub notices a push before the next program starts."""
        self.commands.append(line)
        if "pip install " in line:  # tests/e2e/test_ways_in.py runs this line
            self.programs += len(line.split(" && "))
            return
        for name, value in NAMES.items():
            line = line.replace(name, value)
        for part in line.split(" && ") if not line.startswith("(for ") else [line]:
            self.programs += 1 + part.count("$(") + part.count("; do")
            assert self.execute(part) == 0, self.printed
            self.stage.notice_pushes()
            self.stage.notice_pulls()

    def execute(self, part: str) -> int:
        """Run a command as a shell does that a person types into, without `-e`; return its status."""
        done = subprocess.run(
            ["bash", "-c", part],
            cwd=self.clone, env=self.environment, capture_output=True, text=True, check=False,
            timeout=120, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.printed += f"$ {part}\n{done.stdout}{done.stderr}"
        return done.returncode

    def edit(self, file: str, change: Callable[[str], str]) -> None:
        """Change a file in an editor."""
        self.edits += 1
        path = self.clone / file
        before = path.read_text()
        path.write_text(change(before))
        assert path.read_text() != before

    def approve_and_merge(self, number: int) -> None:
        """Let another person approve a pull request, and merge it."""
        self.clicks += 2
        self.stage.hub.review(number, "bob")
        self.stage.run_push(self.stage.merge(number))


@pytest.fixture
def newcomer(
    aws: str, commands: CommandServer, programs: Path, fresh_hub: Callable[[], Hub], tmp_path: Path
) -> Iterator[Newcomer]:
    urllib3.request("POST", f"{aws}/moto-api/reset", timeout=60, retries=3)
    stage = NewRepository(fresh_hub(), aws, tmp_path / "stage", commands.stub("ssm-reconcile"))
    stage.put("/app/url", "https://example.org")
    stage.put("/app/key", SECRET, kind="SecureString")
    home, clone = tmp_path / "home", tmp_path / "params"
    home.mkdir()
    (home / "gh").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{ROOT}/tests/github/gh.py" "$@"\n')
    (home / "gh").chmod(0o755)
    address = f"https://github.com/{REPOSITORY}.git"
    pushing = f'[url "file://{stage.repository}"]\npushInsteadOf = {address}\n'
    (home / ".gitconfig").write_text(f"{GIT_CONFIG}{pushing}")
    profiles = [
        "\n".join([f"[profile {account}]", *(f"{k} = {v}" for k, v in keys_of(aws, account).items()), ""])
        for account in OTHERS
    ]
    (home / "aws").write_text("".join(profiles))
    environment = {
        "PATH": f"{home}:{programs}:{os.environ['PATH']}", "HOME": str(home), "LANG": "C.UTF-8",
        "GH_TOKEN": TOKEN, "GH_TEST_API": stage.hub.api_url, "GH_TEST_REPOSITORY": REPOSITORY,
        "GITHUB_API_URL": stage.hub.api_url, "GITHUB_SERVER_URL": "https://github.com",
        "AWS_ENDPOINT_URL": aws, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_CONFIG_FILE": str(home / "aws"), "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true", "PYTHONWARNINGS": "ignore",
    }  # fmt: skip
    for words in (("init", "--quiet", "--initial-branch=main", str(clone)),
                  ("-C", str(clone), "remote", "add", "origin", address)):  # fmt: skip
        subprocess.run(["git", *words], check=True, env=environment)
    yield Newcomer(stage, clone, environment)
    assert SECRET not in stage.all_output()


def replace_owner(text: str) -> str:
    """Replace the placeholder of the owner of this project, as `init` says."""
    return text.replace("uses: OWNER/", "uses: ssm-tools/")


def use_other_accounts(text: str) -> str:
    """Replace the targets by two places in other accounts."""
    targets = "".join(
        f"  - name: {name}\n    region: {TARGET}\n    account: '{account}'\n"
        f"    role_arn: arn:aws:iam::{account}:role/ssm-reconcile\n"
        for name, account in zip(("shop", "payments"), OTHERS, strict=True)
    )
    return re.sub(r"(?<=^targets:\n)(  .*\n)+", targets, text, flags=re.MULTILINE)


def journey(person: Newcomer, accounts: tuple[str, ...]) -> None:
    """Run the commands of README.md, with edits of files in between."""
    commands, for_others = commands_of_readme()
    for command in commands:
        person.run(command)
        if " init --source-region" in f" {command}":
            if "OWNER/" in (person.clone / ".github/workflows" / CALLER).read_text():
                person.edit(f".github/workflows/{CALLER}", replace_owner)
            if accounts:
                person.edit("replication.yaml", use_other_accounts)
        if accounts and "cloudformation deploy" in command:
            for one in for_others:
                person.run(one)


def test_an_account_whose_roles_are_not_made_stops_those_of_the_next_accounts(newcomer: Newcomer) -> None:
    commands, (for_others,) = commands_of_readme()
    for command in commands[1:3]:
        newcomer.run(command)
        if " init --source-region" in f" {command}":
            newcomer.edit("replication.yaml", use_other_accounts)
    line = for_others.replace("ACME/PARAMS", REPOSITORY)
    profiles = newcomer.environment["AWS_CONFIG_FILE"]
    with_both = Path(profiles).read_text()
    Path(profiles).write_text(with_both.replace(f"[profile {OTHERS[0]}]", "[profile other]"))
    assert newcomer.execute(line) != 0
    assert f"profile ({OTHERS[0]}) could not be found" in newcomer.printed
    client = client_of("iam", newcomer.stage.endpoint, OTHERS[1])
    assert client.list_roles()["Roles"] == []
    Path(profiles).write_text(with_both)
    assert newcomer.execute(line) == 0, newcomer.printed
    assert [one["RoleName"] for one in client.list_roles()["Roles"]] == ["ssm-reconcile"]


@pytest.mark.parametrize("accounts", [(), OTHERS], ids=["one account", "three accounts"])
def test_the_commands_of_the_readme_lead_to_a_reviewed_apply(
    newcomer: Newcomer, accounts: tuple[str, ...]
) -> None:
    began = time.monotonic()
    stage = newcomer.stage
    journey(newcomer, accounts)
    first_push, planned = stage.calls
    assert set(results(first_push).values()) == {"success"}, log_of(first_push)
    assert set(results(planned).values()) == {"success"}, log_of(planned)
    comment = stage.plan_comment(1)
    assert comment.author == BOT
    assert "/app/url" in comment.body
    assert stage.holds() == {}
    newcomer.approve_and_merge(1)
    applied = stage.calls[-1]
    assert results(applied)["merged"] == "success", log_of(applied)
    assert "as reviewed by `@bob`" in stage.comment(1).body
    assert "changed" not in results(applied)
    for account in accounts or (ACCOUNT,):
        ssm = client_of("ssm", stage.endpoint, account, TARGET)
        found = ssm.get_parameters(Names=["/app/url", "/app/key"], WithDecryption=True)["Parameters"]
        assert {one["Name"]: one["Value"] for one in found} == {
            "/app/url": "https://example.org", "/app/key": SECRET,
        }  # fmt: skip
    roles = {arn for arn, _ in stage.assumed}
    for account in accounts:
        (trust,) = trust_of(stage.endpoint, f"arn:aws:iam::{account}:role/ssm-reconcile")
        assert set(trust["Principal"]["AWS"]) == roles
    newcomer.run(next(one for one in commands_of_readme()[0] if "doctor --github" in one))
    newcomer.commands.pop()  # the check before the pull request, again
    assert "0 missing, 0 could not be read" in newcomer.printed.splitlines()[-1]
    seconds = time.monotonic() - began
    edits = f"{newcomer.edits} edit{'' if newcomer.edits == 1 else 's'}"
    cost = (
        f"{len(newcomer.commands)} lines ({newcomer.programs} programs), {edits} and {newcomer.clicks} clicks"
    )
    sys.stdout.write(f"{cost}, {seconds:.0f} s of machine time\n")
    assert cost in (ROOT / "README.md").read_text(), "README.md has other numbers"
    assert len(newcomer.commands) <= MOST_COMMANDS
    assert newcomer.edits <= MOST_EDITS
    assert newcomer.clicks <= MOST_CLICKS
