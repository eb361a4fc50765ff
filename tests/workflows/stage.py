"""A repository, its GitHub and its AWS: what the workflows are played on.

The repository is a real one (git), GitHub is `tests.github.server`, AWS is moto's server. A pull request
is opened, planned, merged and applied as GitHub would do it: with the merge that it tries out, the
payloads of its events, and credentials for the role and the environment that a trust policy names only.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from tests.github.content import REPOSITORY, Comment, Hub, repository, stamp, user
from tests.workflows.runner import ROOT, Job, Refused, machine, parsed
from tests.workflows.schedule import Scheduler, StartedRun, default_inputs, event_fits, with_needs

WORKFLOWS = ROOT / ".github" / "workflows"
CALLER, CALLED = "ssm-reconcile.yml", "replicate.yml"
APPLYING = {"merged", "approval", "changed"}
REPLANNING = {"open", "replan", "check"}
ROUTINE = {"by-hand", "routine", "drift"}
"""Jobs of a schedule and of a start by hand, without those that plan pull requests again."""
TOOL = {"workflow_repository": "ssm-tools/ssm-reconcile", "workflow_sha": "7" * 40}
"""The keys of the context `job` of a called workflow that it uses."""
ACCOUNT = "123456789012"
PLAN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/ssm-plan"
APPLY_ROLE = f"arn:aws:iam::{ACCOUNT}:role/ssm-apply"
TRUST = {PLAN_ROLE: {"ssm-plan"}, APPLY_ROLE: {"ssm-apply"}}
"""Which environments each role trusts, as docs/github-actions.md sets it up."""
VARIABLES = {
    "SSM_PLAN_ROLE": PLAN_ROLE,
    "SSM_APPLY_ROLE": APPLY_ROLE,
    "SSM_REGION": "us-east-1",
    "SSM_ACCOUNT": ACCOUNT,
}
SOURCE, TARGET = "us-east-1", "us-east-2"
QUEUE = "github-merge-queue[bot]"
SECRET = "correct horse battery staple"
SPEC = """\
version: 1
name: prod
source: { region: us-east-1, account: "123456789012" }
targets: [{ region: us-east-2, account: "123456789012" }]
parameters: { include: [%s] }
delete: owned
rates: { describe: 1000, get: 1000, put: 1000, delete: 1000, tags: 1000, list_tags: 1000, resources: 1000 }
"""


GIT_CONFIG = """\
[user]
name = a
email = a@example.com
[uploadpack]
allowAnySHA1InWant = true
[commit]
gpgsign = false
"""


def spec(*globs: str) -> str:
    """A spec that selects these."""
    return SPEC % ", ".join(f'"{glob}"' for glob in globs)


@cache
def _client(endpoint: str, region: str) -> Any:
    return boto3.client(
        "ssm", region_name=region, endpoint_url=endpoint, aws_access_key_id="x", aws_secret_access_key="x"
    )


@dataclass(slots=True)
class Stage:
    """Everything there is.

    `assumed` has each role with the environment that it was given to, `runs` is the id of the last run,
    `permissions` has the permissions of a job's token where they are not those of its file,
    `last_push` the commit that main had in the last push, `pushed_from` the one before each push, `shallow`
    makes every checkout one without history, `caller` is the workflow file that calls the reusable one, and
    `tool` is the context `job` of its jobs.
    """

    hub: Hub
    endpoint: str
    folder: Path
    command: str
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))
    assumed: list[tuple[str, str]] = field(default_factory=list)
    runs: int = 100
    permissions: dict[str, Mapping[str, str]] = field(default_factory=dict)
    scheduler: Scheduler = field(init=False)
    last_push: str = ""
    pushed_from: dict[str, str] = field(default_factory=dict)
    shallow: bool = False
    caller: Path | None = None
    tool: dict[str, str] = field(default_factory=lambda: dict(TOOL))

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.hub)
        self.hub.environment("ssm-plan")
        self.hub.environment("ssm-apply").branches = ["main"]
        changed = self.hub.environment("ssm-apply-changed")
        changed.branches, changed.reviewers = ["main"], ["bob"]
        self.repository.mkdir(parents=True)
        self._git("init", "--quiet", "--template=", "--initial-branch=main")
        with (self.repository / ".git" / "config").open("a") as file:
            file.write(GIT_CONFIG)
        self.last_push = self.commit(spec("/app/**"))

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
        return _client(self.endpoint, region)

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

    def open(
        self, text: str, number: int = 7, *, author: str = "alice", fork: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """A pull request that changes the spec and further files, or one more commit of it."""
        branch = f"change-{number}"
        known = self._git("branch", "--list", branch)
        self._git("checkout", "--quiet", *([branch] if known else ["-b", branch]))
        for name, content in (files or {}).items():
            (self.repository / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repository / name).write_text(content)
            self._git("add", name)
        head = self.commit(text)
        changed = self._git("diff", "--name-only", "main...HEAD").splitlines()
        self._git("checkout", "--quiet", "main")
        self._git("update-ref", f"refs/pull/{number}/head", head)
        self.hub.commits[head] = {"sha": head, "author": user(author), "committer": user(author)}
        self.hub.pull_files[number] = [{"filename": name, "status": "modified"} for name in changed]
        self.hub.open_pull(
            number, branch, head, base_sha=self._git("rev-parse", "main"), author=author,
            head_repository="mallory/params" if fork else REPOSITORY, files=len(changed),
        )  # fmt: skip

    def _merge(self, number: int) -> str:
        self._git("merge", "--quiet", "--no-ff", "--message", f"merge #{number}", f"change-{number}")
        return self._git("rev-parse", "HEAD")

    def merge(self, number: int = 7) -> str:
        """Merges a pull request; gives the commit."""
        sha = self._merge(number)
        self._merged(number, sha)
        return sha

    def _merged(self, number: int, sha: str) -> None:
        self._pushed(sha, [file["filename"] for file in self.hub.pull_files[number]])
        self.hub.merged_by[sha] = [number]
        self.hub.pulls[number] |= {
            "state": "closed", "closed_at": stamp(), "merged_at": stamp(), "merge_commit_sha": sha,
        }  # fmt: skip

    # GitHub, as it starts runs

    def plan(self, number: int = 7, *, jobs: set[str] | None = None, actor: str = "") -> dict[str, Job]:
        """A run of a pull request, on the merge that GitHub tries out; all of its jobs, or some."""
        self._git("checkout", "--quiet", "--detach", "main")
        sha = self._merge(number)
        self._git("checkout", "--quiet", "main")
        self._git("update-ref", f"refs/pull/{number}/merge", sha)
        pull = self.hub.pulls[number]
        payload = {"action": "synchronize", "number": number, "pull_request": pull, "before": "0" * 40}
        ref, pusher = f"refs/pull/{number}/merge", actor or pull["user"]["login"]
        return self.start("pull_request", payload, sha, ref, jobs=jobs, actor=pusher)

    def push(
        self, sha: str, *, approved: set[str] | None = None, meanwhile: Callable[[str], None] | None = None,
        actor: str = "alice",
    ) -> dict[str, Job]:  # fmt: skip
        """Run the apply of a push to main; by default nothing is approved, and nothing happens."""
        payload, ref = self.push_payload(sha), "refs/heads/main"
        return self.start("push", payload, sha, ref, approved, meanwhile, APPLYING, actor)

    def push_payload(self, sha: str) -> dict[str, Any]:
        """Return the payload of a push; the one before it ended at `last_push`."""
        before = self.pushed_from.setdefault(sha, self.last_push)
        self.last_push = sha
        return {"before": before, "after": sha, "ref": "refs/heads/main"}

    def later(self, event: str, **inputs: str) -> dict[str, Job]:
        """`ROUTINE` on a schedule, by hand, or by a dispatch, on what main is now."""
        sha, payload = self.hub.branches["main"][-1], {"inputs": inputs} if inputs else {}
        return self.start(event, payload, sha, "refs/heads/main", jobs=ROUTINE)

    def by_hand(self, branch: str = "main", *, actor: str = "alice", **inputs: str) -> dict[str, Job]:
        """`ROUTINE` by hand, on a branch of the repository."""
        sha, ref = self._git("rev-parse", branch), f"refs/heads/{branch}"
        payload = {"inputs": inputs}
        return self.start("workflow_dispatch", payload, sha, ref, jobs=ROUTINE, actor=actor)

    def replan(
        self, event: str = "schedule", *, branch: str = "main", meanwhile: Callable[[str], None] | None = None
    ) -> dict[str, Job]:  # fmt: skip
        """`REPLANNING` by a push of main, on a schedule or by hand: it plans the open pull requests again."""
        sha, ref = self._git("rev-parse", branch), f"refs/heads/{branch}"
        payload = self.push_payload(sha) if event == "push" else {}
        return self.start(event, payload, sha, ref, meanwhile=meanwhile, jobs=REPLANNING)

    def queue(self, *numbers: int) -> tuple[str, dict[str, Job]]:
        """Put pull requests into the merge queue; return the commit of the group and its jobs."""
        base = self._git("rev-parse", "main")
        ref = f"gh-readonly-queue/main/pr-{numbers[-1]}-{base}"
        self._git("checkout", "--quiet", "-B", ref, "main")
        group = []
        for number in numbers:
            sha = self._merge(number)
            self.hub.merged_by[sha] = [number]
            self.hub.files[sha] = [file["filename"] for file in self.hub.pull_files[number]]
            group.append(sha)
        self._git("checkout", "--quiet", "main")
        self.hub.branches[ref] = [*self.hub.branches["main"], *group]
        payload = {
            "action": "checks_requested",
            "merge_group": {
                "head_sha": group[-1], "head_ref": f"refs/heads/{ref}", "base_sha": base,
                "base_ref": "refs/heads/main",
            },
        }  # fmt: skip
        jobs = self.start("merge_group", payload, group[-1], f"refs/heads/{ref}", actor=QUEUE)
        return group[-1], jobs

    def land(self, sha: str) -> None:
        """Let the merge queue move main to the commit of a group; `push` starts its run."""
        known = len(self.hub.branches["main"])
        ref = next(name for name, shas in self.hub.branches.items() if shas[-1] == sha and name != "main")
        self._git("merge", "--quiet", "--ff-only", sha)
        for one in self.hub.branches.pop(ref)[known:]:
            self._merged(self.hub.merged_by[one][0], one)

    def start(
        self, event: str, payload: dict[str, Any], sha: str, ref: str,
        approved: set[str] | None = None, meanwhile: Callable[[str], None] | None = None,
        jobs: set[str] | None = None, actor: str = "alice",
    ) -> dict[str, Job]:  # fmt: skip
        """A run, until all of its jobs are finished or wait; no job if the event does not fit."""
        run = self.trigger(event, payload, sha, ref, actor=actor, jobs=jobs)
        if run is None:
            return {}
        run.approved = approved or set()
        run.before_job = meanwhile or (lambda _job: None)
        self.scheduler.settle()
        return run.jobs

    def trigger(
        self, event: str, payload: dict[str, Any], sha: str, ref: str, *,
        actor: str = "alice", jobs: set[str] | None = None,
    ) -> StartedRun | None:  # fmt: skip
        """Add a run and execute nothing: that is `scheduler.settle()`. None if the event does not fit."""
        file = self.caller or WORKFLOWS / CALLER
        if not event_fits(file, event, self._pushed_files(payload) if event == "push" else None):
            return None
        self.runs += 1
        pull, group = payload.get("pull_request"), payload.get("merge_group")
        if event == "workflow_dispatch":
            payload = {**payload, "inputs": default_inputs(file) | payload.get("inputs", {})}
        if event != "schedule":  # its event names neither
            payload = {**payload, "repository": repository(), "sender": user(actor)}
        head: dict[str, Any] = {"sha": sha, "ref": ref.removeprefix("refs/heads/"), "repo": repository()}
        head = pull["head"] if pull else head
        run_id, path = str(self.runs), f".github/workflows/{file.name}"
        self.hub.add_run(
            run_id, path, event, head["sha"], branch=head["ref"], actor=actor,
            head_repository=head["repo"]["full_name"],
        )  # fmt: skip
        github: dict[str, Any] = {
            "event": payload, "event_name": event, "sha": sha, "ref": ref,
            "ref_name": ref.removeprefix("refs/heads/").removeprefix("refs/"),
            "head_ref": head["ref"] if pull else "", "base_ref": "main" if pull or group else "",
            "run_id": run_id, "run_number": run_id, "run_attempt": 1,
            "workflow": "SSM", "workflow_ref": f"{REPOSITORY}/{path}@{ref}",
            "repository": REPOSITORY, "repository_id": repository()["id"], "actor": actor,
            "triggering_actor": actor, "api_url": self.hub.api_url, "graphql_url": self.hub.graphql_url,
            "server_url": "https://github.com",
        }  # fmt: skip
        called = parsed(WORKFLOWS / CALLED)["jobs"]
        run = StartedRun(
            run_id, file, github, self._job, only=None if jobs is None else with_needs(called, jobs),
            variables=self._variables(run_id),
        )  # fmt: skip
        run.add_jobs()
        self.scheduler.add(run)
        return run

    def _pushed_files(self, payload: Mapping[str, Any]) -> list[str]:
        """Return the files of a push, by which a path filter decides."""
        commits = self.hub.branches["main"]
        first, last = commits.index(payload["before"]) + 1, commits.index(payload["after"]) + 1
        return [file for sha in commits[first:last] for file in self.hub.files[sha]]

    def rerun(self, run: StartedRun, *, by: str = "alice", jobs: set[str] | None = None) -> dict[str, Job]:
        """Run all jobs of a finished run again, or some: the next attempt, of the same commit and payload."""
        run.github = {**run.github, "run_attempt": run.github["run_attempt"] + 1, "triggering_actor": by}
        run.passed, run.is_cancelled = {}, False
        run.jobs = {n: job for n, job in run.jobs.items() if jobs is not None and job.base not in jobs}
        run.add_jobs(jobs)
        self.scheduler.add(run)
        self.scheduler.settle()
        return run.jobs

    def last_run(self) -> StartedRun:
        return self.scheduler.runs[-1]

    def _is_foreign(self, run_id: str) -> bool:
        return bool(self.hub.runs[run_id]["head_repository"]["full_name"] != REPOSITORY)

    def _variables(self, run_id: str) -> dict[str, str]:
        return {} if self._is_foreign(run_id) else self.variables

    def _job(self, run: StartedRun, name: str, spec: Mapping[str, Any]) -> Job:
        """Return a job with a token of its own, which ends with the job."""
        github = run.github
        attempt = "" if github["run_attempt"] == 1 else f"-{github['run_attempt']}"
        place = self.folder / f"run-{run.id}" / f"{re.sub('[^a-z0-9()-]+', '-', name)}{attempt}"
        place.mkdir(parents=True)
        event = place / "event.json"
        event.write_text(json.dumps(github["event"]))
        token = f"ghs-{run.id}-{github['run_attempt']}-{name}"
        granted = self.permissions.get(name, spec.get("permissions") or {})
        if self._is_foreign(run.id):
            granted = {key: "read" for key in granted if key != "id-token"}
        self.hub.restrict(token, granted)
        variables = machine(place / "machine", self.endpoint, self.command)
        private_git(place / "machine", token)
        return Job(
            name, spec, {**github, "token": token, "event_path": str(event)},
            self._variables(run.id), place, variables,
            {"actions/checkout": self._checkout, "actions/upload-artifact": self._upload,
             "actions/download-artifact": self._download,
             "aws-actions/configure-aws-credentials": self._credentials},
            {}, workflow=self.tool,
        )  # fmt: skip

    # Actions of others

    def _checkout(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        if job.permissions.get("contents") != "read" or given.get("persist-credentials") != "false":
            raise Refused("checkout: contents: read, and no credentials left behind")
        depth = "1" if self.shallow else given.get("fetch-depth", "1")
        folder = job.workspace / given.get("path", "")
        folder.mkdir(parents=True, exist_ok=True)
        if given.get("repository") == TOOL["workflow_repository"]:
            if given.get("ref") != TOOL["workflow_sha"]:
                raise Refused("checkout: the tool is at the commit of the reusable workflow")
            shutil.copyfile(ROOT / "action.yml", folder / "action.yml")
            shutil.copytree(ROOT / "requirements", folder / "requirements")
            return {}
        self._git("init", "--quiet", "--template=", cwd=folder)
        self._git("remote", "add", "origin", f"file://{self.repository}", cwd=folder)
        wanted = given.get("ref") or job.github["sha"]
        self._git(
            "fetch", "--quiet", *([] if depth == "0" else [f"--depth={depth}"]), "origin", wanted, cwd=folder
        )
        self._git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=folder)
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
        """Store files, and the files of folders, below the folder that they have in common."""
        paths, run = [Path(line) for line in given["path"].splitlines() if line], job.github["run_id"]
        files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
        files = [file for file in files if file.is_file()]
        if not files:
            raise Refused(f"No files were found with the provided path: {given['path']}")
        root = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))
        kept = [a for a in self.hub.artifacts if not (a.run == run and a.name == given["name"])]
        if len(kept) < len(self.hub.artifacts) and given.get("overwrite") != "true":
            raise Refused("an artifact of that name is there already")
        self.hub.artifacts = kept
        content = {str(file.relative_to(root)): file.read_bytes() for file in files}
        artifact = self.hub.keep(run, given["name"], content)
        return {"artifact-id": str(artifact.id)}

    def _download(self, job: Job, given: Mapping[str, str]) -> Mapping[str, str]:
        run = job.github["run_id"]
        found = [a for a in self.hub.artifacts if a.run == run and a.name == given["name"]]
        if not found:
            raise Refused(f"Unable to download artifact(s): Artifact not found for name: {given['name']}")
        zipfile.ZipFile(io.BytesIO(found[-1].content)).extractall(given["path"])
        return {"download-path": given["path"]}

    # What can be seen of it

    def comment(self, number: int = 7) -> Comment:
        """Return the comment with the result; before the first result, the one with the plan."""
        marked = {comment.body.split(" ")[1]: comment for comment in self.hub.shown(number)}
        assert len(marked) == len(self.hub.shown(number)), "one comment of each kind"
        return marked.get("ssm-reconcile:result") or marked["ssm-reconcile:plan"]

    def plan_comment(self, number: int = 7) -> Comment:
        """Return the comment with the plan."""
        (comment,) = (c for c in self.hub.shown(number) if c.body.startswith("<!-- ssm-reconcile:plan "))
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


_GIT = """\
#!/usr/bin/env bash
# git of a runner, for a private repository on https://github.com: a fetch needs the token of the job.
found="$({git} config http.https://github.com/.extraheader | sha256sum)"
if [ "$1" = fetch ] && [ "${{found%% *}}" != {digest} ]; then
  echo "fatal: could not read Username for 'https://github.com'" >&2
  exit 128
fi
exec {git} "$@"
"""


def private_git(folder: Path, token: str) -> None:
    """Write a `git` that fetches with the token of the job only, as actions/checkout passes it."""
    header = f"AUTHORIZATION: basic {base64.b64encode(f'x-access-token:{token}'.encode()).decode()}\n"
    digest = hashlib.sha256(header.encode()).hexdigest()
    (folder / "git").write_text(_GIT.format(git=shutil.which("git"), digest=digest))
    (folder / "git").chmod(0o755)


def log_of(jobs: Mapping[str, Job]) -> str:
    """The logs and summaries of a run."""
    return "\n".join(f"{job.log}\n{job.summary}" for job in jobs.values())


def results(jobs: Mapping[str, Job]) -> dict[str, str]:
    """Return the result of each job, without skipped jobs, and without the comparison of a push."""
    return {
        name: job.result
        for name, job in jobs.items()
        if job.result != "skipped" and (job.base, job.github["event_name"]) != ("touched", "push")
    }
