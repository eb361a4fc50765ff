"""The package of the Lambda function of a release: its files are enough to deploy it, without a checkout."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import boto3
import pytest

from tests.docs.pages import blocks_of
from tests.e2e.aws import moto
from tests.workflows.release_runner import JOBS, REPOSITORY, ROOT, VERSION, Runner, clone_into, passed

PACKAGE = "ssm-reconcile-function-arm64.zip"
DISTRIBUTIONS = (f"ssm_reconcile-{VERSION}-py3-none-any.whl", f"ssm_reconcile-{VERSION}.tar.gz")
BIN = Path(sys.executable).parent
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
rates: { put: 200, tags: 200, list_tags: 200, describe: 200, get: 200, resources: 200 }
"""
PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])

class Context:
    aws_request_id = "request"
    get_remaining_time_in_millis = staticmethod(lambda: 60_000)

from ssm_reconcile.event.aws_lambda import answer
answer({"names": ["/prod/url"]}, Context())
"""

GH = """\
#!/bin/bash
set -e
printf "gh %s\\n" "$*" >> "$CALLS"
case "$1 $2" in
  "release download")
    while [ $# -gt 0 ]; do
      # shellcheck disable=SC2086 # a pattern
      if [ "$1" = --pattern ]; then (cd "$RELEASE" && cp $2 "$OLDPWD"); fi
      shift
    done ;;
  "attestation verify") case $3 in oci://*) ;; *) grep -q "  $3$" "$RELEASE/SHA256SUMS" ;; esac ;;
  *) exit 1 ;;
esac
"""
SAM = """\
#!/bin/bash
for file in template.yaml "$(sed -n 's/.*CodeUri: //p' template.yaml | head -n 1)"; do test -f "$file"; done
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the packages are those of Linux"),
]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the release, with a function for this machine in place of that for arm64."""
    runner = Runner(tmp_path_factory.mktemp("function"))
    clone_into(runner.folder)
    machine = {
        "PYTHON": sys.executable, "MACHINE": platform.machine(),
        "VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
    }  # fmt: skip
    done = runner.run("build", "Build the package of the Lambda function", None, **machine)
    if "No matching distribution found" in done.stderr and "connection" in done.stderr.lower():
        pytest.skip("no connection to the package index")
    passed(done)
    (runner.folder / "dist").mkdir()
    for name in DISTRIBUTIONS:
        (runner.folder / "dist" / name).touch()
    (runner.temp / "wheel/bin").mkdir(parents=True)
    (runner.temp / "wheel/bin/python").symlink_to(sys.executable)
    passed(runner.run("build", "Collect the files of the release", TZ="Asia/Tokyo"))
    return runner.folder / "release"


def test_the_release_has_the_package_the_templates_the_schemas_and_sums_of_all(collected: Path) -> None:
    names = {path.name for path in collected.iterdir()}
    assert names == {
        PACKAGE, "template.yaml", "target-role.yaml", "forward-events.yaml", "github-dispatch.yaml",
        *DISTRIBUTIONS,
        "ssm-reconcile.cdx.json", "ssm-reconcile-function.cdx.json", "SHA256SUMS",
        *(path.name for path in (ROOT / "schema").iterdir()),
    }  # fmt: skip
    check = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=collected, capture_output=True, text=True, check=True
    )
    assert check.stdout.count(": OK\n") == len(names) - 1
    materials = json.loads((collected / "ssm-reconcile-function.cdx.json").read_text())
    assert "aws-lambda-powertools" in {one["name"] for one in materials["components"]}


def test_each_attested_bill_of_materials_has_a_form_that_attest_accepts(collected: Path) -> None:
    """`actions/attest` takes a document for CycloneDX if it has the three keys, and refuses it otherwise.

    Sources: `checkIsCycloneDX` in `src/sbom.ts` of actions/attest; bom-1.6.schema.json of CycloneDX.
    """
    steps = [step for job in JOBS.values() for step in job["steps"]]
    attested = {step["with"]["sbom-path"] for step in steps if "sbom-path" in step.get("with", {})}
    assert {Path(one).name for one in attested} == {one.name for one in collected.glob("*.cdx.json")}
    numbers = set()
    for path in attested:
        document = json.loads((collected / Path(path).name).read_text())
        assert document["bomFormat"] == "CycloneDX"
        assert document["specVersion"] == "1.6"
        pattern = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
        assert re.fullmatch(pattern, document["serialNumber"])
        numbers.add(document["serialNumber"])
    assert len(numbers) == len(attested)


def test_two_packages_of_the_same_inputs_are_identical(collected: Path) -> None:
    """`test_build.py` compares two folders; a zip also has times, in the zone of the machine."""
    with zipfile.ZipFile(collected / PACKAGE) as archive:
        entries = archive.infolist()
    assert {entry.date_time for entry in entries} == {(2020, 1, 1, 0, 0, 0)}
    assert [
        entry.filename for entry in entries if ".." in entry.filename or entry.filename.startswith("/")
    ] == []
    names = [entry.filename for entry in entries]
    assert "replication.yaml" not in names
    tops = list(dict.fromkeys(name.split("/")[0] for name in names))
    assert tops == sorted(tops), "by bytes, in each locale"


def test_the_package_is_for_the_processor_of_the_template() -> None:
    """The release builds it with the default of `build.sh`."""
    (machine,) = re.findall(r"MACHINE:-(\w+)", (ROOT / "deploy/build.sh").read_text())
    architectures = re.findall(r"Architectures: \[(\w+)\]", (ROOT / "deploy/template.yaml").read_text())
    assert {*architectures} == {{"aarch64": "arm64", "x86_64": "x86_64"}[machine]} == {"arm64"}
    step = next(one for one in JOBS["build"]["steps"] if one.get("name", "").startswith("Build the package"))
    assert step == {"name": step["name"], "run": 'deploy/build.sh ""'}
    assert PACKAGE.endswith(f"-{architectures[0]}.zip")


def test_the_template_deploys_the_package_beside_it(collected: Path, tmp_path: Path) -> None:
    """The AWS CLI uploads the bytes of the release as they are, so the sum of the deployed code is theirs."""
    text = (collected / "template.yaml").read_text()
    assert re.findall(r"^ *CodeUri: (.+)$", text, re.MULTILINE) == [PACKAGE] * 2
    templates = sorted(collected.glob("*.yaml"))
    lint = [str(BIN / "cfn-lint"), "--include-checks", "I3510", "--", *map(str, templates)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    with moto() as url:
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        s3 = boto3.Session("testing", "testing").client("s3", "us-east-1", endpoint_url=url)
        s3.create_bucket(Bucket="deployments")
        packaged = tmp_path / "packaged.yaml"
        subprocess.run(
            [BIN / "aws", "cloudformation", "package", "--template-file", "template.yaml",
             "--s3-bucket", "deployments", "--output-template-file", packaged],
            cwd=collected, check=True, capture_output=True,
            env=os.environ | keys | {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"},
        )  # fmt: skip
        (uri,) = {*re.findall(r"^ *CodeUri: s3://(.+)$", packaged.read_text(), re.MULTILINE)}
        bucket, key = uri.split("/", 1)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == (collected / PACKAGE).read_bytes()


def test_the_function_of_the_release_reads_its_spec_from_a_parameter(collected: Path, tmp_path: Path) -> None:
    """Nothing else is on the path of this process: no checkout, no installed package."""
    with zipfile.ZipFile(collected / PACKAGE) as archive:
        archive.extractall(tmp_path)
    with moto() as url:
        client = boto3.Session("testing", "testing").client
        source, target = (client("ssm", region, endpoint_url=url) for region in ("us-east-1", "us-east-2"))
        source.put_parameter(Name="/replication/spec", Value=SPEC, Type="String")
        source.put_parameter(Name="/prod/url", Value="https://example.com", Type="String")
        environment = {
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1", "NAME": "prod", "LAMBDA_TASK_ROOT": str(tmp_path),
            "SPEC_URI": "ssm:/replication/spec", "SPEC_PATH": "replication.yaml",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(tmp_path)],
            env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = target.get_parameter(Name="/prod/url")["Parameter"]["Value"]
    assert found == "https://example.com"
    assert (tmp_path / "ssm_reconcile/__init__.py").read_text().count(f'"{VERSION}"') == 1


def documented(page: str) -> str:
    """Return the commands of a page that this test runs."""
    found = [
        command.text
        for why, block in blocks_of(ROOT / "docs" / page)
        if why == "run by: tests/workflows/test_release_function.py"
        for command in block
    ]
    assert found
    return "\n".join(found)


def run_documented(page: str, place: Path, release: Path, calls: Path) -> str:
    """Run the commands of a page with stand-ins for gh and sam, and return their output.

    gh copies from the release, and verifies files that have a sum only.
    """
    standins = place.with_name("standins")
    standins.mkdir()
    for name, text in (("gh", GH), ("sam", SAM)):
        (standins / name).write_text(text)
        (standins / name).chmod(0o755)
    path = f"{standins}:{BIN}:{os.environ['PATH']}"
    with moto() as url:
        done = subprocess.run(
            ["bash", "-euc", documented(page)],
            cwd=place, capture_output=True, text=True, check=False,
            env={
                "PATH": path, "CALLS": str(calls), "RELEASE": str(release), "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        if page == "event-driven.md":
            client = boto3.Session("testing", "testing").client("ssm", "us-east-1", endpoint_url=url)
            assert client.get_parameter(Name="/replication/spec")["Parameter"]["Value"] == SPEC
    return done.stdout


@pytest.mark.parametrize("page", ["event-driven.md", "upgrading.md"])
def test_the_commands_of_the_documentation_verify_and_deploy_a_release(
    collected: Path, tmp_path: Path, page: str
) -> None:
    place, calls = tmp_path / "place", tmp_path / "calls"
    place.mkdir()
    if page == "upgrading.md":
        shutil.copytree(collected, place, dirs_exist_ok=True)
    else:
        (place / "replication.yaml").write_text(SPEC)
    assert "template.yaml: OK" in run_documented(page, place, collected, calls)
    verified = [line.split() for line in calls.read_text().splitlines() if " verify " in line]
    files = {path.name for path in place.iterdir() if path.suffix in {".whl", ".gz", ".zip", ".yaml"}}
    images = {f"oci://ghcr.io/{REPOSITORY}:{VERSION}"} if page == "upgrading.md" else set()
    assert {line[3] for line in verified} == (files - {"replication.yaml"}) | images
    for line in verified:
        assert line[4:] == [
            "--repo", REPOSITORY, "--signer-workflow", f"{REPOSITORY}/.github/workflows/release.yml",
            "--source-ref", f"refs/tags/v{VERSION}",
        ]  # fmt: skip
