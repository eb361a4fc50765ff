"""Each script of `release.yml` on a clone with a tag, with stand-ins for docker and gh, without a network."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import blocks_of
from tests.doubles.once import make_once
from tests.workflows.release_runner import (
    DIGEST,
    JOBS,
    ROOT,
    TAG,
    VERSION,
    WORKFLOW,
    Runner,
    clean_environments,
    clone_into,
    git,
    passed,
    refused,
)
from tools import release

pytestmark = pytest.mark.slow

URL = "https://github.com/Example/ssm-reconcile"
PERMISSIONS = {
    "build": {"actions": "read", "contents": "read"},
    "attest": {"attestations": "write", "id-token": "write"},
    "image": {"contents": "read"},
    "pypi": {"id-token": "write"},
    "index": {"packages": "write"},
    "attest-image": {"attestations": "write", "id-token": "write", "packages": "write"},
    "publish": {"contents": "write"},
}
NEEDS = {
    "build": set(),
    "attest": {"build"},
    "image": {"build"},
    "pypi": {"build", "attest", "image"},
    "index": {"build", "image", "pypi"},
    "attest-image": {"build", "index"},
    "publish": {"build", "attest", "index", "attest-image", "pypi"},
}
"""The approval of `pypi` comes before anything is public."""
IMAGE_SUBJECT = {
    "subject-name": "${{ needs.index.outputs.name }}",
    "subject-digest": "${{ needs.index.outputs.digest }}",
    "push-to-registry": True,
    "create-storage-record": False,
}
ATTESTED: dict[str, list[dict[str, Any]]] = {
    "attest": [
        {"subject-checksums": "release/SHA256SUMS"},
        {
            "subject-path": "release/ssm-reconcile-function-arm64.zip",
            "sbom-path": "release/ssm-reconcile-function.cdx.json",
        },
    ],
    "attest-image": [IMAGE_SUBJECT, IMAGE_SUBJECT | {"sbom-path": "release/ssm-reconcile.cdx.json"}],
}
"""The inputs of each step that attests: provenance without a bill of materials, and a bill."""
TRANSFERS = {
    "build": [{"name": "dist", "path": "dist"}, {"name": "release", "path": "release\nnotes.md\n"}],
    "attest": [{"name": "release"}],
    "image": [
        {"name": "dist", "path": "dist"},
        {"name": "image-${{ matrix.processor }}", "path": "image-${{ matrix.processor }}.tar"},
    ],
    "pypi": [{"name": "dist", "path": "dist"}],
    "index": [{"pattern": "image-*", "merge-multiple": True}],
    "attest-image": [{"name": "release"}],
    "publish": [{"name": "release"}],
}
"""The artifacts that a job downloads, then those that it uploads."""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The job `build` until the distributions are installed, for all workers: tests change copies."""

    def build(place: Path) -> None:
        runner = Runner(place)
        clone_into(runner.folder)
        clean_environments(runner)
        job = "build"
        passed(runner.run(job, "Refuse a commit that is not on the default branch"))
        passed(runner.run(job, "Write the release notes, if the tag is the version"))
        passed(runner.run(job, "Build twice, and compare"))

    return Runner(make_once(tmp_path_factory, "release", build))


# The workflow


def test_only_a_version_tag_starts_a_release_and_only_a_protected_one_gets_further(runner: Runner) -> None:
    assert WORKFLOW[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}, "`on` is true in YAML 1.1"
    first = JOBS["build"]["steps"][0]
    assert first["if"] == "${{ !github.ref_protected }}"
    refused(runner.run("build", first["name"]), f"no ruleset protects the tag {TAG}")
    for job in JOBS.values():
        assert "if" not in job, "a job whose `needs` failed is skipped unless it has a condition of its own"
        assert not any("if" in step for step in job["steps"] if step is not first)
        assert "continue-on-error" not in str(job)


def test_each_job_has_the_permissions_that_it_uses_and_no_others() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == PERMISSIONS
    assert {name: job["environment"]["name"] for name, job in JOBS.items() if "environment" in job} == {
        "pypi": "pypi"
    }
    for name, job in JOBS.items():
        uses = {step["uses"].split("@")[0] for step in job["steps"] if "uses" in step}
        assert ("actions/attest" in uses) == ("attestations" in job["permissions"]), name
        assert ("actions/checkout" in uses) <= (job["permissions"].get("contents") == "read"), name
        writes = "write" in job["permissions"].values()
        assert not (writes and "actions/checkout" in uses), f"{name} signs or publishes: it runs no code"


def used(job: str, action: str) -> list[dict[str, Any]]:
    """Return the inputs of each step of a job that uses an action."""
    steps = [step for step in JOBS[job]["steps"] if action in step.get("uses", "")]
    return [dict(step.get("with", {})) for step in steps]


def test_nothing_is_public_before_everything_is_built_checked_and_approved() -> None:
    found = {name: job.get("needs", []) for name, job in JOBS.items()}
    assert {name: {one} if isinstance(one, str) else {*one} for name, one in found.items()} == NEEDS
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is False
    pushing = {name for name, job in JOBS.items() if "docker push" in str(job) or "gh release" in str(job)}
    assert pushing == {"index", "publish"}


def test_each_file_and_the_image_has_provenance_and_each_set_of_packages_its_bill() -> None:
    assert {name: used(name, "actions/attest@") for name in JOBS if used(name, "actions/attest@")} == ATTESTED


def test_each_job_has_the_artifacts_of_the_jobs_before_it() -> None:
    for name, expected in TRANSFERS.items():
        found = used(name, "-artifact@")
        uploads = used(name, "upload-artifact@")
        assert all(one.pop("if-no-files-found") == "error" for one in uploads)
        for one in found:
            one.pop("if-no-files-found", None)
        assert found == expected, name


def test_the_index_gets_the_distributions_and_a_repeated_run_skips_those_that_exist() -> None:
    assert used("pypi", "pypa/gh-action-pypi-publish@") == [{"packages-dir": "dist", "skip-existing": True}]


def test_each_script_is_run_by_a_test() -> None:
    scripts = {step["name"] for job in JOBS.values() for step in job["steps"] if "run" in step}
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_release*.py"))
    first = "Refuse a tag that is not protected"
    assert {name for name in scripts if f'"{name}"' not in text.replace(f'first = "{first}"', "")} == {first}


def test_the_locked_packages_are_installed_by_hash() -> None:
    """This step needs the index, so only its words are tested: `clean_environments` stands in for it."""
    name = "Install the locked packages into two clean environments"
    script = next(step["run"] for step in JOBS["build"]["steps"] if step.get("name") == name)
    assert "--require-hashes --requirement requirements/run.txt" in script
    lock = (ROOT / "requirements/run.txt").read_text()
    assert {"hatchling", "packaging"} <= {*re.findall(r"^([a-z-]+)==", lock, re.MULTILINE)}


# The tag and the notes


@pytest.mark.parametrize(
    ("name", "pattern", "count"),
    [
        (".pre-commit-hooks.yaml", r"rev: v(\S+)", 1),
        ("docs/github-actions.md", r"rev: v(\S+)", 1),
        ("docs/event-driven.md", r"gh release download v(\S+)|refs/tags/v([^\s;]+)|, `(\S+)` the version", 3),
        ("docs/upgrading.md", r"refs/tags/v([^\s;]+)|ghcr\.io/\S+:(\S+)", 2),
        ("Containerfile", r"ssm_reconcile-(\d\S+)-py3-none-any\.whl", 1),
    ],
)
def test_each_command_for_a_release_names_the_version(name: str, pattern: str, count: int) -> None:
    found = re.findall(pattern, (ROOT / name).read_text())
    versions = ["".join(one) for one in found]
    assert versions == [VERSION] * count, f"{name}: write {VERSION} there"


def test_a_commit_that_is_not_on_the_default_branch_is_refused(runner: Runner) -> None:
    git(runner.folder, "init", "--quiet", "--initial-branch", "main")
    git(runner.folder, "commit", "--quiet", "--allow-empty", "--message", "one")
    git(runner.folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    name = "Refuse a commit that is not on the default branch"
    passed(runner.run("build", name))
    git(runner.folder, "commit", "--quiet", "--allow-empty", "--message", "two")
    refused(runner.run("build", name), "the commit of the tag is not on main")


def test_a_commit_for_which_the_tests_have_not_passed_is_refused(runner: Runner) -> None:
    name = "Refuse a commit without a successful run of the tests"
    passed(runner.run("build", name, RUNS="1"))
    query = f"head_sha={'c' * 40}&branch=main&event=push&status=success"
    address = f"repos/Example/ssm-reconcile/actions/workflows/ci.yml/runs?{query}"
    assert runner.calls == [f"gh api {address} --jq .total_count"]
    for runs in ("0", ""):
        refused(runner.run("build", name, RUNS=runs), "ci.yml has no successful run for a push of cccccc")
    tests = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert tests[True]["push"] == {"branches": ["main"]}


@pytest.mark.parametrize(
    ("tag", "changelog", "message"),
    [
        ("v9.9.9", "", f"the version of the package is {VERSION}"),
        (TAG, "## Unreleased\n\n* One.\n", f"no section `## {VERSION}`"),
        (TAG, f"## {VERSION}\n\n## 0.0.1\n\n* One.\n", f"`## {VERSION}` lists no changes"),
        (TAG, f"## {VERSION}\n\n### Added\n\n", "lists no changes"),
    ],
)
def test_a_tag_without_its_version_or_notes_is_refused(
    runner: Runner, tag: str, changelog: str, message: str
) -> None:
    for name in ("tools/release.py", "src/ssm_reconcile/__init__.py"):
        (runner.folder / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, runner.folder / name)
    (runner.folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}")
    name = "Write the release notes, if the tag is the version"
    refused(runner.run("build", name, GITHUB_REF_NAME=tag), message)
    assert not runner.output.exists()


def test_the_notes_are_the_section_of_the_version(built: Runner) -> None:
    notes = (built.folder / "notes.md").read_text()
    assert notes.startswith("### Added\n")
    assert "## Unreleased" not in notes
    assert built.outputs()["version"] == VERSION


# The distributions


def test_another_folder_another_umask_and_the_sdist_give_the_same_bytes(
    built: Runner, tmp_path: Path
) -> None:
    """The script compares; a file that is not committed is in one of its builds only, and must fail it."""
    names = sorted(path.name for path in (built.folder / "dist").iterdir())
    assert names == [f"ssm_reconcile-{VERSION}-py3-none-any.whl", f"ssm_reconcile-{VERSION}.tar.gz"]
    second = Runner(tmp_path)
    shutil.copytree(built.folder, second.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("dist"))
    (second.temp / "wheel").symlink_to(built.temp / "wheel")
    git(second.folder, "worktree", "prune")
    (second.folder / "src/ssm_reconcile/extra.py").write_text("")
    refused(second.run("build", "Build twice, and compare"), "differ")


def test_contents_and_metadata_are_checked(built: Runner) -> None:
    passed(built.run("build", "Check contents and metadata"))
    done = built.run("build", "Check contents and metadata", GITHUB_REPOSITORY="Other/ssm-reconcile")
    refused(done, "the URL of the repository is not https://github.com/Other/ssm-reconcile")
    assert "ssm_reconcile/schema/plan.schema.json has another $id" in done.stderr


@pytest.mark.parametrize(
    ("added", "removed", "error"),
    [
        ("ssm_reconcile/tests/test_it.py", "", "ssm_reconcile/tests/test_it.py does not belong there"),
        ("tests/test_it.py", "", "tests/test_it.py does not belong there"),
        ("ssm_reconcile/.env", "", "ssm_reconcile/.env does not belong there"),
        ("", "ssm_reconcile/schema/plan.schema.json", "ssm_reconcile/schema/plan.schema.json is missing"),
    ],
)
def test_a_wheel_with_other_contents_is_refused(
    built: Runner, tmp_path: Path, added: str, removed: str, error: str
) -> None:
    shutil.copytree(built.folder / "dist", tmp_path, dirs_exist_ok=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as old:
        contents = {name: old.read(name) for name in old.namelist() if name != removed}
    with zipfile.ZipFile(wheel, "w") as new:
        for name, data in (contents | ({added: b""} if added else {})).items():
            new.writestr(name, data)
    assert release.check(tmp_path, URL) == [f"{wheel.name}: {error}"]


def test_an_sdist_with_other_contents_or_metadata_is_refused(built: Runner, tmp_path: Path) -> None:
    shutil.copytree(built.folder / "dist", tmp_path, dirs_exist_ok=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as old:
        members = [
            (one, file.read()) for one in old.getmembers() if (file := old.extractfile(one)) is not None
        ]
    stem = f"ssm_reconcile-{VERSION}"
    with tarfile.open(sdist, "w:gz", compresslevel=1) as new:
        for name in (".github/workflows/ci.yml", ".env"):
            new.addfile(tarfile.TarInfo(f"{stem}/{name}"))
        for member, data in members:
            changed = data + b"\n" if member.name == f"{stem}/PKG-INFO" else data
            member.size = len(changed)
            new.addfile(member, io.BytesIO(changed))
    assert release.check(tmp_path, URL) == [
        f"{sdist.name}: .github/workflows/ci.yml does not belong there",
        f"{sdist.name}: .env does not belong there",
        f"{sdist.name}: PKG-INFO is not the METADATA of the wheel",
    ]
    (tmp_path / "more.txt").touch()
    assert "more.txt" in release.check(tmp_path, URL)[0]


def test_metadata_that_an_index_would_refuse_are_refused() -> None:
    data = f"Metadata-Version: 2.4\nName: ssm-reconcile\nVersion: {VERSION}\n".encode()
    errors = list(release.metadata_errors(data, URL))
    assert [error.split(",")[0].split(" is not ")[0] for error in errors] == [
        "no description in Markdown",
        "the URL of the repository",
    ]
    assert "'x' is invalid for 'version'" in "".join(release.metadata_errors(b"Name: -\nVersion: x\n", URL))


def test_a_distribution_without_the_owner_of_the_repository_is_refused(built: Runner, tmp_path: Path) -> None:
    shutil.copytree(built.folder / "dist", tmp_path, dirs_exist_ok=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as old:
        members = [(one, old.extractfile(one)) for one in old.getmembers()]
        contents = [(one, file.read()) for one, file in members if file is not None]
    stem, text = f"ssm_reconcile-{VERSION}", b"gh release download --repo " + release.PLACEHOLDER
    with tarfile.open(sdist, "w:gz", compresslevel=1) as new:
        for member, data in contents:
            changed = text if member.name == f"{stem}/docs/upgrading.md" else data
            member.size = len(changed)
            new.addfile(member, io.BytesIO(changed))
    (error,) = release.check(tmp_path, URL)
    assert error.startswith(f"{sdist.name}: {stem}/docs/upgrading.md has OWNER/")


def test_the_commands_of_the_documentation_build_the_same_bytes(built: Runner, tmp_path: Path) -> None:
    (command,) = [
        one.text
        for _, commands in blocks_of(ROOT / "docs/upgrading.md")
        for one in commands
        if "hatchling" in one.text
    ]
    clone = tmp_path / "clone"
    shutil.copytree(built.folder, clone, ignore=shutil.ignore_patterns("dist"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "GIT_"))}
    path = f"{built.temp}/wheel/bin:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", command], cwd=clone, env=kept | {"PATH": path}, check=True)
    first, second = (
        {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}
        for folder in (built.folder, clone)
    )
    assert second == first


def test_each_distribution_is_installed_and_tried(built: Runner) -> None:
    contexts = {"steps.notes.outputs.version": VERSION}
    out = passed(built.run("build", "Install each distribution, and try it", contexts, PIP_NO_COMPILE="1"))
    assert out.count("replications, valid") == 2
    for name in ("wheel", "sdist"):
        code = "import ssm_reconcile; print(ssm_reconcile.__file__)"
        python = built.temp / name / "bin" / "python"
        where = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
        assert where.startswith(str(built.temp / name))


def test_the_bill_of_materials_lists_what_the_lock_installs_here(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(
        "# of a lock\none-two==1.2.3 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\n"
        "three==4.5 ; python_full_version < '3.0' \\\n    --hash=sha256:cc\n"
        "four==6 ; python_version >= '3.11'\n"
    )
    found: Any = release.sbom(lock)
    assert found["components"] == [
        {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}
        for name, number in (("one-two", "1.2.3"), ("four", "6"))
        for purl in (f"pkg:pypi/{name}@{number}",)
    ]
    assert found["metadata"]["component"]["version"] == VERSION
    assert len(release.sbom(ROOT / "requirements/run.txt")["components"]) > 20  # type: ignore[arg-type] # a list


def test_the_serial_number_of_a_bill_of_materials_is_that_of_version_and_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serial(version: str, hashes: str) -> object:
        lock = tmp_path / f"{hashes}.txt"
        lock.write_text(f"one==1 \\\n    --hash=sha256:{hashes}\n")
        monkeypatch.setattr(release, "version", lambda: version)
        return release.sbom(lock)["serialNumber"]

    inputs = [("1.2.3", "aa"), ("1.2.4", "aa"), ("1.2.3", "bb")]
    found = [serial(*one) for one in inputs]
    assert len(set(found)) == len(inputs)
    assert found == [serial(*one) for one in inputs], "two builds give the same bytes"


# The release


@pytest.fixture
def publishing(runner: Runner) -> Runner:
    folder = runner.folder / "release"
    folder.mkdir()
    (folder / "one.whl").write_bytes(b"wheel")
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(b'wheel').hexdigest()}  one.whl\n")
    (runner.folder / "notes.md").write_text("### Added\n\n* One.\n")
    (runner.standins / "tags").write_text(
        "".join(f"refs/tags/{one}\n" for one in ("v0.0.9", TAG, "v0.9.0-rc1"))
    )
    return runner


FILES = "release/SHA256SUMS release/one.whl"
PUBLISH = "Publish the release, or its files again"
MOVE = "Move the major tag, if no later version exists"
IMAGE = "ghcr.io/example/ssm-reconcile"
PUBLISHED = {
    "needs.build.outputs.base": f"python@{DIGEST}",
    "needs.index.outputs.name": IMAGE,
    "needs.index.outputs.digest": DIGEST,
}


def test_a_release_has_its_notes_the_digest_of_the_image_and_the_files(publishing: Runner) -> None:
    passed(publishing.run("publish", PUBLISH, PUBLISHED))
    assert publishing.calls[1:] == [
        f"gh release create {TAG} --verify-tag --title {TAG} --notes-file notes.md {FILES}"
    ]
    notes = (publishing.folder / "notes.md").read_text()
    assert notes == f"### Added\n\n* One.\n\nImage: `{IMAGE}@{DIGEST}`, made from `python@{DIGEST}`\n"


def test_a_run_that_was_interrupted_leaves_a_draft_which_the_next_run_publishes(publishing: Runner) -> None:
    assert publishing.run("publish", PUBLISH, PUBLISHED, INTERRUPTED="1").returncode != 0
    assert (publishing.standins / "release").read_text() == "draft\n"
    passed(publishing.run("publish", PUBLISH, PUBLISHED))
    assert (publishing.standins / "release").read_text() == "published\n"
    assert publishing.calls[3:] == [
        f"gh release upload {TAG} --clobber {FILES}",
        f"gh release edit {TAG} --verify-tag --draft=false --notes-file notes.md",
    ]


def test_a_file_that_changed_on_its_way_is_not_published(publishing: Runner) -> None:
    (publishing.folder / "release/one.whl").write_bytes(b"other")
    refused(publishing.run("publish", PUBLISH, PUBLISHED), "one.whl: FAILED")
    assert publishing.calls == []


@pytest.mark.parametrize("exists", [True, False], ids=["moved", "created"])
def test_the_major_tag_names_the_newest_version(publishing: Runner, exists: bool) -> None:
    if exists:
        (publishing.standins / "major").touch()
    passed(publishing.run("publish", MOVE))
    major, commit = TAG.split(".")[0], "c" * 40
    base = "repos/Example/ssm-reconcile/git"
    assert publishing.calls[-1] == (
        f"gh api --method PATCH {base}/refs/tags/{major} -f sha={commit} -F force=true"
        if exists
        else f"gh api --method POST {base}/refs -f ref=refs/tags/{major} -f sha={commit}"
    )


@pytest.mark.parametrize("exists", [True, False], ids=["moved", "created"])
def test_a_major_tag_that_cannot_be_moved_is_an_error_with_the_command(
    publishing: Runner, exists: bool
) -> None:
    if exists:
        (publishing.standins / "major").touch()
    major = TAG.split(".")[0]
    command = f"git push --force origin {'c' * 40}:refs/tags/{major}"
    refused(publishing.run("publish", MOVE, FORBIDDEN="1"), command)


def test_a_release_of_an_older_version_leaves_the_major_tag(publishing: Runner) -> None:
    (publishing.standins / "tags").write_text(f"refs/tags/{TAG}\nrefs/tags/v0.100.0\nrefs/tags/v0.99.9\n")
    (publishing.standins / "major").touch()
    assert "v0 stays at v0.100.0" in passed(publishing.run("publish", MOVE))
    assert len(publishing.calls) == 1
