"""The image of a release, with a stand-in for docker: built from the wheel, and joined by digest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.workflows.release_runner import AMD64, ARM64, DIGEST, JOBS, ROOT, VERSION, Runner, passed, refused

IMAGE = "ghcr.io/example/ssm-reconcile"
WHEEL = f"ssm_reconcile-{VERSION}-py3-none-any.whl"
BASE = f"python:3.13-slim@{DIGEST}"
BUILD = "Build the image from the wheel, and try it with a read-only root"
PUSH = "Push the images, and the index of both"
CONTEXTS = {
    "needs.build.outputs.base": BASE, "needs.build.outputs.version": VERSION, "matrix.processor": "arm64",
}  # fmt: skip
LOGIN = "docker login ghcr.io --username octocat --password-stdin"


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    runner = Runner(tmp_path)
    (runner.folder / "Containerfile").write_text((ROOT / "Containerfile").read_text())
    (runner.folder / "dist").mkdir()
    (runner.folder / "dist" / WHEEL).write_bytes(b"wheel")
    return runner


def test_the_base_of_the_image_is_a_digest(runner: Runner) -> None:
    passed(runner.run("build", "Resolve the base of the image"))
    assert runner.outputs() == {"base": BASE}


def test_a_base_without_a_digest_stops_the_release(runner: Runner) -> None:
    """`docker` prints nothing, or a warning, where the registry does not answer as expected."""
    docker = runner.standins / "docker"
    docker.write_text(docker.read_text().replace(DIGEST, "unknown"))
    assert runner.run("build", "Resolve the base of the image").returncode != 0


def test_the_image_is_built_from_the_wheel_and_tried_with_a_read_only_root(runner: Runner) -> None:
    passed(runner.run("image", BUILD, CONTEXTS))
    image = f"{IMAGE}:{VERSION}-arm64"
    build, *tries, save = runner.calls
    assert f"--build-arg BASE={BASE} --build-arg DISTRIBUTION={WHEEL} --tag {image}" in build
    assert (runner.folder / WHEEL).read_bytes() == b"wheel", "in the folder of the build"
    assert [call.count("--read-only --network none") for call in tries] == [1] * 5
    assert save == f"docker save --output image-arm64.tar {image}", "it is not public before the approval"


def test_an_image_that_is_run_as_root_or_has_more_than_its_bill_is_refused(runner: Runner) -> None:
    assert runner.run("image", BUILD, CONTEXTS, USER_ID="0").returncode != 0
    refused(runner.run("image", BUILD, CONTEXTS, HAS_PIP="1"), "the image has pip")
    assert not any(call.startswith("docker save") for call in runner.calls)


def test_the_images_of_both_processors_are_pushed_and_joined_by_digest(runner: Runner) -> None:
    passed(runner.run("index", PUSH, CONTEXTS))
    assert [call for call in runner.calls if " inspect " not in call] == [
        LOGIN,
        "docker load --input image-amd64.tar",
        f"docker push {IMAGE}:{VERSION}-amd64",
        "docker load --input image-arm64.tar",
        f"docker push {IMAGE}:{VERSION}-arm64",
        f"docker buildx imagetools create --tag {IMAGE}:{VERSION} {IMAGE}@{AMD64} {IMAGE}@{ARM64}",
    ]
    assert runner.outputs() == {"name": IMAGE, "digest": DIGEST}
    assert (runner.standins / "tokens").read_text() == "the-token"
    made = {one["processor"] for one in JOBS["image"]["strategy"]["matrix"]["include"]}
    assert made == {"amd64", "arm64"}


def test_an_image_without_a_digest_is_not_joined(runner: Runner) -> None:
    docker = runner.standins / "docker"
    docker.write_text(docker.read_text().replace(f"@{ARM64}", ":latest"))
    assert runner.run("index", PUSH, CONTEXTS).returncode != 0
    assert not any("imagetools create" in call for call in runner.calls)


def test_an_image_that_is_published_is_not_replaced(runner: Runner) -> None:
    (runner.standins / "index").touch()
    refused(runner.run("index", PUSH, CONTEXTS), f"{IMAGE}:{VERSION} exists")
    assert not any(word in call for call in runner.calls for word in ("push", "create"))


@pytest.mark.parametrize(
    "answer",
    [
        "failed to authorize: failed to fetch oauth token: 403 Forbidden",
        "failed to do request: Head https://ghcr.io/v2/: dial tcp: lookup ghcr.io: no such host",
        "unexpected status from HEAD request: 503 Service Unavailable",
    ],
)
def test_a_registry_that_cannot_be_read_does_not_pass_for_one_without_the_image(
    runner: Runner, answer: str
) -> None:
    done = runner.run("index", PUSH, CONTEXTS, REGISTRY=answer)
    refused(done, f"whether {IMAGE}:{VERSION} exists could not be read: ERROR: {answer}: run this job again")
    assert not any(word in call for call in runner.calls for word in ("push", "create"))


def test_attestations_are_pushed_with_the_token_of_the_job(runner: Runner) -> None:
    passed(runner.run("attest-image", "Log in to the registry"))
    assert runner.calls == [LOGIN]
    assert (runner.standins / "tokens").read_text() == "the-token"


def test_the_container_file_takes_base_and_distribution_as_arguments_and_is_not_run_as_root() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^ARG (.+)$", text, re.MULTILINE) == ["BASE=python:3.13-slim", "DISTRIBUTION=."]
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) not in ([], ["0"])
    assert text.count("--without-pip") == 1
    assert "RUN pip uninstall --yes pip\n" in text.rpartition("FROM")[2]
