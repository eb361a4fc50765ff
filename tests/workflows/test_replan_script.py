"""The script that takes the spec of a pull request: a file, a folder, links, and what is left."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.workflows.runner import ROOT, pairs

STEP = next(
    step
    for step in yaml.safe_load((ROOT / ".github/workflows/replicate.yml").read_text())["jobs"]["replan"][
        "steps"
    ]
    if step.get("id") == "merge"
)


class Repository:
    """A repository with a pull request, and its checkout of main."""

    def __init__(self, folder: Path) -> None:
        self.origin, self.checkout, self.temp = folder / "origin", folder / "checkout", folder / "temp"
        self.temp.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", str(self.origin), cwd=folder)

    def git(self, *words: str, cwd: Path | None = None) -> str:
        config = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        done = subprocess.run(
            ["git", *config, *words], cwd=cwd or self.origin, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], *, remove: tuple[str, ...] = ()) -> str:
        """Commit files; a text that starts with -> is a symbolic link."""
        for name in remove:
            (self.origin / name).unlink()
        for name, text in files.items():
            path = self.origin / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("->"):
                path.symlink_to(text[2:])
            else:
                path.write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    def propose(self, files: dict[str, str], *, remove: tuple[str, ...] = ()) -> str:
        """Open pull request 7 on what main has now; return its last commit."""
        self.git("checkout", "--quiet", "-b", "change")
        head = self.commit(files, remove=remove)
        self.git("checkout", "--quiet", "main")
        self.git("update-ref", "refs/pull/7/head", head)
        self.git("clone", "--quiet", str(self.origin), str(self.checkout))
        return head

    def take(self, spec: str, listed: str) -> tuple[bool, str]:
        """Run the script; return whether the spec was taken, and the output."""
        output = self.temp / "output"
        output.touch()
        done = subprocess.run(
            ["bash", "-e", "-c", STEP["run"]], cwd=self.checkout, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={
                **os.environ, "SPEC": spec, "NUMBER": "7", "LISTED": listed, "TOKEN": "t",
                "GITHUB_SERVER_URL": "https://github.com", "GITHUB_OUTPUT": str(output),
                "RUNNER_TEMP": str(self.temp),
            },
        )  # fmt: skip
        return pairs(output.read_text())["ready"] == "true", done.stdout

    def files(self) -> dict[str, str]:
        every = (path for path in self.checkout.rglob("*") if ".git" not in path.parts and path.is_file())
        return {str(path.relative_to(self.checkout)): path.read_text() for path in every}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_folder_is_replaced_by_that_of_the_merge_and_other_files_stay(repository: Repository) -> None:
    repository.commit({"specs/a.yaml": "a", "specs/old.yaml": "old", "tool.sh": "main"})
    head = repository.propose(
        {"specs/more/b c.yaml": "b", "tool.sh": "of the pull request"}, remove=("specs/old.yaml",)
    )
    repository.commit({"specs/main.yaml": "main"})
    repository.git("pull", "--quiet", cwd=repository.checkout)
    assert repository.take("specs", head)[0]
    assert repository.files() == {
        "specs/a.yaml": "a", "specs/main.yaml": "main", "specs/more/b c.yaml": "b", "tool.sh": "main",
    }  # fmt: skip


def test_a_link_in_a_folder_becomes_a_file_with_its_text(repository: Repository) -> None:
    repository.commit({"specs/a.yaml": "a"})
    head = repository.propose({"specs/b.yaml": "->/etc/passwd", "specs/c": "->../.git"})
    assert repository.take("specs", head)[0]
    assert repository.files() == {"specs/a.yaml": "a", "specs/b.yaml": "/etc/passwd", "specs/c": "../.git"}
    assert not [path for path in (repository.checkout / "specs").rglob("*") if path.is_symlink()]


def test_a_file_that_main_and_the_pull_request_changed_is_merged(repository: Repository) -> None:
    text = "first\n" + "same\n" * 8 + "last\n"
    repository.commit({"replication.yaml": text})
    head = repository.propose({"replication.yaml": text.replace("first", "of the pull request")})
    repository.commit({"replication.yaml": text.replace("last", "of main")})
    repository.git("pull", "--quiet", cwd=repository.checkout)
    assert repository.take("replication.yaml", head)[0]
    expected = text.replace("first", "of the pull request").replace("last", "of main")
    assert repository.files() == {"replication.yaml": expected}


def test_a_pull_request_that_removes_the_spec_is_left_out(repository: Repository) -> None:
    repository.commit({"replication.yaml": "a", "other": "x"})
    head = repository.propose({}, remove=("replication.yaml",))
    taken, output = repository.take("replication.yaml", head)
    assert not taken
    assert "Pull request 7 is not planned again: it has no replication.yaml" in output
    assert repository.files()["replication.yaml"] == "a"


def test_another_commit_than_the_listed_one_is_left_out(repository: Repository) -> None:
    first = repository.commit({"replication.yaml": "a"})
    repository.propose({"replication.yaml": "b"})
    taken, output = repository.take("replication.yaml", first)
    assert not taken
    assert "it has a newer commit" in output
    assert repository.files() == {"replication.yaml": "a"}
