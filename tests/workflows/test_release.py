"""Each script of `release.yml` on a clone with a tag, with stand-ins for docker and gh, without a network."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

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

URL = "https://github.com/Example/ssm-reconcile"
IMAGE = "ghcr.io/example/ssm-reconcile"
PERMISSIONS = {
    "build": {"contents": "read"},
    "attest": {"attestations": "write", "id-token": "write"},
    "image": {"contents": "read", "packages": "write"},
    "index": {"attestations": "write", "id-token": "write", "packages": "write"},
    "pypi": {"id-token": "write"},
    "publish": {"contents": "write"},
}


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The job `build` until the distributions are installed."""
    runner = Runner(tmp_path_factory.mktemp("release"))
    clone_into(runner.folder)
    clean_environments(runner)
    job = "build"
    passed(runner.run(job, "Refuse a commit that is not on the default branch"))
    passed(runner.run(job, "Write the release notes, if the tag is the version"))
    passed(runner.run(job, "Build twice, and compare"))
    return runner


# The workflow


def test_only_a_version_tag_starts_a_release_and_only_a_protected_one_gets_further(runner: Runner) -> None:
    assert WORKFLOW[True] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}, "`on` is true in YAML 1.1"
    first = JOBS["build"]["steps"][0]
    assert first["if"] == "${{ !github.ref_protected }}"
    refused(runner.run("build", first["name"]), f"no ruleset protects the tag {TAG}")
    for name, job in JOBS.items():
        needs = job.get("needs", [])
        assert name == "build" or "build" in ([needs] if isinstance(needs, str) else needs)
        assert "if" not in job, "a job whose `needs` failed is skipped unless it has a condition of its own"


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
        writes = "write" in job["permissions"].values() and name != "image"
        assert not (writes and "actions/checkout" in uses), f"{name} signs or publishes: it runs no code"


def test_nothing_is_published_before_everything_is_built_checked_and_attested() -> None:
    assert {*JOBS["pypi"]["needs"]} == {"build", "attest", "index"}
    assert {*JOBS["publish"]["needs"]} == {"build", "attest", "index", "pypi"}
    assert WORKFLOW["concurrency"]["cancel-in-progress"] is False


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


def test_a_commit_that_is_not_on_the_default_branch_is_refused(runner: Runner) -> None:
    git(runner.folder, "init", "--quiet", "--initial-branch", "main")
    git(runner.folder, "commit", "--quiet", "--allow-empty", "--message", "one")
    git(runner.folder, "update-ref", "refs/remotes/origin/main", "HEAD")
    name = "Refuse a commit that is not on the default branch"
    passed(runner.run("build", name))
    git(runner.folder, "commit", "--quiet", "--allow-empty", "--message", "two")
    refused(runner.run("build", name), "the commit of the tag is not on main")


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


def test_another_folder_another_umask_and_the_sdist_give_the_same_bytes(built: Runner) -> None:
    """The script compares; a file that is not committed is in one of its builds only, and must fail it."""
    names = sorted(path.name for path in (built.folder / "dist").iterdir())
    assert names == [f"ssm_reconcile-{VERSION}-py3-none-any.whl", f"ssm_reconcile-{VERSION}.tar.gz"]
    second = Runner(built.temp / "again-changed")
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
    with tarfile.open(sdist, "w:gz") as new:
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


def test_each_distribution_is_installed_and_tried(built: Runner) -> None:
    contexts = {"steps.notes.outputs.version": VERSION}
    out = passed(built.run("build", "Install each distribution, and try it", contexts))
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


# The image


def test_the_image_is_made_from_a_digest_tried_with_a_read_only_root_and_then_pushed(built: Runner) -> None:
    passed(built.run("build", "Resolve the base of the image"))
    base = built.outputs()["base"]
    assert base == f"python:3.13-slim@{DIGEST}"
    built.calls_file.unlink()
    contexts = {
        "needs.build.outputs.base": base, "needs.build.outputs.version": VERSION, "matrix.processor": "arm64",
    }  # fmt: skip
    step = "Build the image, and try it with a read-only root"
    passed(built.run("image", step, contexts))
    image = f"{IMAGE}:{VERSION}-arm64"
    assert built.outputs()["image"] == image
    passed(built.run("image", "Push the image", {"steps.image.outputs.image": image}))
    build, *tries, login, push = built.calls
    assert f"--build-arg BASE={base} --tag {image}" in build
    assert [call.count("--read-only") for call in tries] == [1, 1, 1]
    assert login == "docker login ghcr.io --username octocat --password-stdin"
    assert push == f"docker push {image}"
    assert (built.standins / "tokens").read_text() == "the-token"
    assert built.run("image", step, contexts, USER_ID="0").returncode != 0


def test_a_base_without_a_digest_stops_the_release(built: Runner) -> None:
    """`docker` prints nothing, or a warning, where the registry does not answer as expected."""
    docker = (built.standins / "docker").read_text()
    (built.standins / "docker").write_text(docker.replace(DIGEST, "unknown"))
    try:
        assert built.run("build", "Resolve the base of the image").returncode != 0
    finally:
        (built.standins / "docker").write_text(docker)


def test_the_index_joins_the_images_of_both_processors(runner: Runner) -> None:
    contexts = {"needs.build.outputs.version": VERSION}
    passed(runner.run("index", "Push the index of the images", contexts))
    joined = f"{IMAGE}:{VERSION}"
    assert f"docker buildx imagetools create --tag {joined} {joined}-amd64 {joined}-arm64" in runner.calls
    assert runner.outputs() == {"name": IMAGE, "digest": DIGEST}
    made = {one["processor"] for one in JOBS["image"]["strategy"]["matrix"]["include"]}
    assert made == {"amd64", "arm64"}


def test_the_container_file_takes_its_base_from_one_argument_and_is_not_run_as_root() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^ARG (.+)$", text, re.MULTILINE) == ["BASE=python:3.13-slim"]
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) != ["0"]


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
PUBLISHED = {"needs.build.outputs.base": f"python@{DIGEST}", "needs.index.outputs.image": f"{IMAGE}@{DIGEST}"}


def test_a_release_has_its_notes_the_digest_of_the_image_and_the_files(publishing: Runner) -> None:
    passed(publishing.run("publish", PUBLISH, PUBLISHED))
    assert publishing.calls[1:] == [
        f"gh release create {TAG} --verify-tag --title {TAG} --notes-file notes.md {FILES}"
    ]
    notes = (publishing.folder / "notes.md").read_text()
    assert notes == f"### Added\n\n* One.\n\nImage: `{IMAGE}@{DIGEST}`, made from `python@{DIGEST}`\n"


def test_a_repeated_run_uploads_the_files_again(publishing: Runner) -> None:
    (publishing.standins / "released").touch()
    passed(publishing.run("publish", PUBLISH, PUBLISHED))
    assert publishing.calls[1:] == [f"gh release upload {TAG} --clobber {FILES}"]


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


def test_a_release_of_an_older_version_leaves_the_major_tag(publishing: Runner) -> None:
    (publishing.standins / "tags").write_text(f"refs/tags/{TAG}\nrefs/tags/v0.100.0\nrefs/tags/v0.99.9\n")
    (publishing.standins / "major").touch()
    assert "v0 stays at v0.100.0" in passed(publishing.run("publish", MOVE))
    assert len(publishing.calls) == 1
