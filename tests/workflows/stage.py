"""A repository, its GitHub and its AWS: what the workflows are played on.

The repository is a real one (git), GitHub is `tests.github.server`, AWS is moto's server. A pull request
is opened, planned, merged and applied as GitHub would do it: with the merge that it tries out, the
payloads of its events, and credentials for the role and the environment that a trust policy names only.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.github.content import BOT, REPOSITORY, Comment, Hub
from tests.workflows.runner import ROOT, Job, Refused, machine, run_jobs

WORKFLOWS = ROOT / ".github" / "workflows"
ACCOUNT = "123456789012"
PLAN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/ssm-plan"
APPLY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/ssm-apply"
TRUST = {PLAN_ROLE: {"ssm-plan"}, APPLY_ROLE: {"ssm-apply", "ssm-apply-changed"}}
"""Which environments each role trusts, as docs/github-actions.md sets it up."""
VARIABLES = {
    "SSM_PLAN_ROLE": PLAN_ROLE,
    "SSM_APPLY_ROLE": APPLY_ROLE,
    "SSM_REGION": "us-east-1",
    "SSM_ACCOUNT": ACCOUNT,
}
SOURCE, TARGET = "us-east-1", "us-east-2"
SECRET = "correct horse battery staple"
SPEC = """\
version: 1
name: prod
source: { region: us-east-1, account: "123456789012" }
targets: [{ region: us-east-2, account: "123456789012" }]
parameters: { include: [%s] }
delete: owned
"""


def spec(*globs: str) -> str:
    """A spec that selects these."""
    return SPEC % ", ".join(f'"{glob}"' for glob in globs)


@dataclass(slots=True)
class Stage:
    """Everything there is. `assumed` notes which role became whose, `runs` how many there were."""

    hub: Hub
    endpoint: str
    folder: Path
    command: str
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))
    assumed: list[tuple[str, str]] = field(default_factory=list)
    runs: int = 100

    def __post_init__(self) -> None:
        self.repository.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        for name, value in (
            ("user.name", "a"), ("user.email", "a@example.com"), ("uploadpack.allowAnySHA1InWant", "true"),
            ("commit.gpgsign", "false"),
        ):  # fmt: skip
            self._git("config", name, value)
        self.commit(spec("/app/**"))

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    # AWS, as others use it

    def ssm(self, region: str = SOURCE) -> Any:
        return boto3.client(
            "ssm",
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def put(self, name: str, value: str, *, region: str = SOURCE, kind: str = "String") -> None:
        self.ssm(region).put_parameter(Name=name, Value=value, Type=kind, Overwrite=True)

    def delete(self, name: str, *, region: str = SOURCE) -> None:
        self.ssm(region).delete_parameter(Name=name)

    def holds(self, region: str = TARGET) -> dict[str, str]:
        """Return the values of a region, by name."""
        pages = self.ssm(region).get_paginator("get_parameters_by_path")
        every = pages.paginate(Path="/", Recursive=True, WithDecryption=True)
        return {one["Name"]: one["Value"] for page in every for one in page["Parameters"]}

    # The repository, as people use it

    def commit(self, text: str, file: str = "replication.yaml") -> str:
        """A commit on the branch that is checked out; on main it is pushed, too."""
        (self.repository / file).write_text(text)
        self._git("add", file)
        self._git("commit", "--quiet", "--allow-empty", "--message", f"change {file}")
        sha = self._git("rev-parse", "HEAD")
        if self._git("branch", "--show-current") == "main":
            self._pushed(sha, [file])
        return sha

    def _pushed(self, sha: str, files: list[str]) -> None:
        self.hub.branches.setdefault("main", []).append(sha)
        self.hub.files[sha] = files

    def open(self, text: str, number: int = 7, *, author: str = "alice", fork: bool = False) -> None:
        """A pull request that changes the spec, or one more commit of it."""
        branch = f"change-{number}"
        known = self._git("branch", "--list", branch)
        self._git("checkout", "--quiet", *([branch] if known else ["-b", branch]))
        head = self.commit(text)
        self._git("checkout", "--quiet", "main")
        self.hub.pulls[number] = {
            "number": number,
            "user": {"login": author},
            "head": {"sha": head, "repo": {"full_name": "mallory/params" if fork else REPOSITORY}},
            "base": {"ref": "main"},
            "merged_at": None,
        }

    def _merge(self, number: int) -> str:
        self._git("merge", "--quiet", "--no-ff", "--message", f"merge #{number}", f"change-{number}")
        return self._git("rev-parse", "HEAD")

    def merge(self, number: int = 7) -> str:
        """Merges a pull request; gives the commit."""
        sha = self._merge(number)
        self._pushed(sha, ["replication.yaml"])
        self.hub.merged_by[sha] = [number]
        self.hub.pulls[number] |= {"merged_at": f"2026-11-23T10:00:{number:02}Z", "merge_commit_sha": sha}
        return sha

    # GitHub, as it starts runs

    def plan(self, number: int = 7, *, jobs: set[str] | None = None) -> dict[str, Job]:
        """plan.yml for a pull request, on the merge that GitHub tries out; all of its jobs, or some."""
        self._git("checkout", "--quiet", "--detach", "main")
        sha = self._merge(number)
        self._git("checkout", "--quiet", "main")
        pull = self.hub.pulls[number]
        payload = {"action": "synchronize", "number": number, "pull_request": pull}
        return self.start("plan.yml", "pull_request", payload, sha, f"refs/pull/{number}/merge", jobs=jobs)

    def push(
        self, sha: str, *, approved: set[str] | None = None, meanwhile: Callable[[str], None] | None = None
    ) -> dict[str, Job]:
        """Run apply.yml after a push to main; by default nothing is approved, and nothing happens."""
        return self.start("apply.yml", "push", {"after": sha}, sha, "refs/heads/main", approved, meanwhile)

    def later(self, event: str, **inputs: str) -> dict[str, Job]:
        """apply.yml on a schedule, by hand, or by a dispatch, on what main is now."""
        sha = self.hub.branches["main"][-1]
        return self.start("apply.yml", event, {"inputs": inputs} if inputs else {}, sha, "refs/heads/main")

    def start(
        self, workflow: str, event: str, payload: dict[str, Any], sha: str, ref: str,
        approved: set[str] | None = None, meanwhile: Callable[[str], None] | None = None,
        jobs: set[str] | None = None,
    ) -> dict[str, Job]:  # fmt: skip
        """A run of a workflow. Environments without required reviewers need no approval."""
        self.runs += 1
        run, folder = str(self.runs), self.folder / f"run-{self.runs}"
        folder.mkdir()
        (folder / "event.json").write_text(json.dumps(payload))
        pull = payload.get("pull_request")
        self.hub.runs[run] = {"head_sha": pull["head"]["sha"] if pull else sha, "event": event}
        foreign = bool(pull and pull["head"]["repo"]["full_name"] != REPOSITORY)
        github: dict[str, Any] = {
            "event": payload, "event_name": event, "event_path": str(folder / "event.json"), "sha": sha,
            "ref": ref, "run_id": run, "run_number": run, "workflow": f"SSM {workflow.removesuffix('.yml')}",
            "repository": REPOSITORY, "actor": "alice", "api_url": self.hub.api_url,
            "graphql_url": self.hub.graphql_url, "server_url": "https://github.com", "token": f"ghs-{run}",
        }  # fmt: skip
        self.hub.tokens[github["token"]] = BOT
        variables = {} if foreign else self.variables

        def make(name: str, spec: Mapping[str, Any], needs: Mapping[str, Any]) -> Job:
            place = folder / name
            return Job(
                name, spec, github, variables, place, machine(place / "machine", self.endpoint, self.command),
                {"actions/checkout": self._checkout, "actions/upload-artifact": self._upload,
                 "actions/download-artifact": self._download,
                 "aws-actions/configure-aws-credentials": self._credentials},
                needs,
            )  # fmt: skip

        free = {"ssm-plan", "ssm-apply"}
        return run_jobs(
            WORKFLOWS / workflow, make, free | (approved or set()), meanwhile or (lambda _job: None), jobs
        )

    # Actions of others

    def _checkout(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        if job.permissions.get("contents") != "read" or given.get("persist-credentials") != "false":
            raise Refused("checkout: contents: read, and no credentials left behind")
        depth = given.get("fetch-depth", "1")
        self._git("init", "--quiet", cwd=job.workspace)
        origin = f"file://{self.repository}"
        self._git("fetch", "--quiet", f"--depth={depth}", origin, job.github["sha"], cwd=job.workspace)
        self._git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=job.workspace)
        return {}

    def _credentials(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        role = given["role-to-assume"]
        if job.permissions.get("id-token") != "write" or job.environment not in TRUST.get(role, set()):
            raise Refused(f"Not authorized to perform sts:AssumeRoleWithWebIdentity: {role}")
        if given.get("allowed-account-ids") != ACCOUNT:
            raise Refused("The account is not one of the allowed ones")
        self.assumed.append((role, job.environment))
        job.env |= {"AWS_ACCESS_KEY_ID": "ASIA", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y",
                    "AWS_REGION": given["aws-region"], "AWS_DEFAULT_REGION": given["aws-region"]}  # fmt: skip
        return {}

    def _upload(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        path, run = Path(given["path"]), job.github["run_id"]
        if not path.is_file():
            raise Refused(f"No files were found with the provided path: {path}")
        kept = [a for a in self.hub.artifacts if not (a.run == run and a.name == given["name"])]
        if len(kept) < len(self.hub.artifacts) and given.get("overwrite") != "true":
            raise Refused("an artifact of that name is there already")
        self.hub.artifacts = kept
        self.hub.keep(run, given["name"], {path.name: path.read_bytes()})
        return {}

    def _download(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        run = job.github["run_id"]
        found = [a for a in self.hub.artifacts if a.run == run and a.name == given["name"]]
        if not found:
            raise Refused(f"Unable to download artifact(s): Artifact not found for name: {given['name']}")
        zipfile.ZipFile(io.BytesIO(found[-1].content)).extractall(given["path"])
        return {"download-path": given["path"]}

    # What can be seen of it

    def comment(self, number: int = 7) -> Comment:
        (comment,) = self.hub.shown(number)
        return comment

    def all_output(self) -> str:
        """All that any run wrote anywhere: logs and summaries are looked at by the tests themselves."""
        answer = [comment.body for comment in self.hub.comments]
        answer += [json.dumps(request.body) for request in self.hub.requests]
        for artifact in self.hub.artifacts:
            with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
                answer += [archive.read(name).decode() for name in archive.namelist()]
        answer += [
            path.read_text(errors="replace")
            for path in self.folder.glob("run-*/**/*")
            if path.is_file() and ".git/" not in str(path)
        ]
        return "\n".join(answer)

    def forget(self) -> None:
        """The folders of all runs; they are large."""
        for path in self.folder.glob("run-*"):
            shutil.rmtree(path)


def log_of(jobs: Mapping[str, Job]) -> str:
    """The logs and summaries of a run."""
    return "\n".join(f"{job.log}\n{job.summary}" for job in jobs.values())


def results(jobs: Mapping[str, Job]) -> dict[str, str]:
    """Return the result of each job, without skipped jobs."""
    return {name: job.result for name, job in jobs.items() if job.result != "skipped"}
