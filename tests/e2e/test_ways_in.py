"""uvx, pipx, pre-commit, a read-only root, and the completion of each shell, with the wheel and no index."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from ssm_reconcile import __version__
from tests.docs.pages import blocks_of
from tests.e2e.aws import moto
from tests.e2e.wheel import Distributions, build_distributions, found_on_path, install

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPEC = """\
version: 1
name: prod
source: { region: us-east-1 }
targets: [{ region: us-east-2 }]
parameters: { include: ["/prod/**"] }
delete: owned
"""
READ_ONLY = """\
for place in $(cut -d' ' -f2 /proc/self/mounts | sort -r); do
    mount -o remount,bind,ro "$place" 2>/dev/null
done
for folder in . / /tmp /var/tmp /dev/shm; do
    if touch "$folder/written" 2>/dev/null; then echo "$folder can be written" >&2; exit 99; fi
done
exec "$@"
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build_distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="module")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(distributions, tmp_path_factory.mktemp("installed") / "venv")


def environment_of(folder: Path, distributions: Distributions) -> dict[str, str]:
    """Return an environment in which uv and pip find the stand-ins, and no index."""
    links, cleared = str(distributions.links), ("PYTHON", "AWS_", "PIP_", "UV_", "PIPX_", "GIT_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(cleared)}
    return kept | {
        "HOME": str(folder), "UV_CACHE_DIR": f"{folder}/uv", "UV_FIND_LINKS": links, "UV_NO_INDEX": "1",
        "UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_PYTHON": sys.executable, "PIP_FIND_LINKS": links,
        "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "PIPX_HOME": f"{folder}/pipx",
        "PIPX_BIN_DIR": f"{folder}/bin", "PRE_COMMIT_HOME": f"{folder}/pre-commit",
    }  # fmt: skip


def passed(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_checkout(folder: Path) -> None:
    """Copy the files from which the package is built."""
    folder.mkdir()
    for path in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / path, folder / path)
    for path in ("schema", "src", "tools"):
        shutil.copytree(ROOT / path, folder / path, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize("extra", ["", "[demo]"])
def test_uvx_runs_the_wheel(distributions: Distributions, tmp_path: Path, extra: str) -> None:
    uvx = found_on_path("uvx")
    environment = environment_of(tmp_path, distributions)
    words = [uvx, "--from", f"{distributions.wheel}{extra}", "ssm-reconcile"]
    assert passed([*words, "--version"], tmp_path, environment).startswith("ssm-reconcile, version ")
    (tmp_path / "replication.yaml").write_text(SPEC)
    assert "1 replication, valid" in passed([*words, "validate"], tmp_path, environment)


def test_pipx_runs_and_installs_the_wheel(distributions: Distributions, tmp_path: Path) -> None:
    """With uv behind it: with pip, pipx downloads a newer pip first."""
    pipx, _ = found_on_path("pipx"), found_on_path("uv")
    environment = environment_of(tmp_path, distributions)
    options, wheel = ["--backend", "uv", "--python", sys.executable], str(distributions.wheel)
    words = [pipx, "run", *options, "--spec", wheel, "ssm-reconcile", "--version"]
    assert passed(words, tmp_path, environment).startswith("ssm-reconcile, version ")
    passed([pipx, "install", *options, wheel], tmp_path, environment)
    command = str(tmp_path / "bin" / "ssm-reconcile")
    assert passed([command, "schema"], tmp_path, environment).startswith("{")


def test_the_first_commands_of_the_readme_install_the_checkout_and_call_its_commit(
    distributions: Distributions, tmp_path: Path
) -> None:
    """`python3` is this Python. Outside of an environment pip refuses to install, as in Debian.

    Git reaches no other machine, so the commit in the workflow is that of the checkout.
    """
    readme = blocks_of(ROOT / "README.md")
    blocks = [commands for why, commands in readme if why and Path(__file__).name in why]
    install_line, init_line = (command.text for command in blocks[0][:2])
    assert "pip install" in install_line
    assert init_line.startswith("ssm-reconcile init ")
    home, programs, clone = (tmp_path / name for name in ("home", "programs", "params"))
    for folder in (home, programs, clone):
        folder.mkdir()
    checkout = tmp_path / "ssm-reconcile"
    copy_checkout(checkout)
    (programs / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python3").chmod(0o755)
    environment = environment_of(home, distributions) | {
        "PATH": f"{programs}:/usr/bin:/bin", "PIP_REQUIRE_VIRTUALENV": "1", "GIT_ALLOW_PROTOCOL": "file",
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    }  # fmt: skip
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "tool"]):
        passed([*git, *words], checkout, environment)
    commit = passed(["git", "rev-parse", "HEAD"], checkout, environment).strip()
    shown = 'test -z "$(ls -A)" && ssm-reconcile --version >&2 && command -v ssm-reconcile >&2'
    with moto() as url:
        client = boto3.Session("testing", "testing").client("ssm", "us-east-1", endpoint_url=url)
        client.put_parameter(Name="/prod/url", Value="one", Type="String")
        done = subprocess.run(
            ["bash", "-ec", f"{install_line}\n{shown}\n{init_line}"], cwd=clone, check=False, timeout=120,
            env=environment | {"AWS_ENDPOINT_URL": url}, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"ssm-reconcile, version {__version__}\n{home}/" in done.stderr
    workflow = (clone / ".github/workflows/ssm-reconcile.yml").read_text()
    assert f"/ssm-reconcile/.github/workflows/replicate.yml@{commit} #" in workflow


def test_pre_commit_runs_the_hook_of_this_repository(distributions: Distributions, tmp_path: Path) -> None:
    pre_commit = found_on_path("pre-commit")
    environment = environment_of(tmp_path, distributions)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    hooks, user = tmp_path / "hooks", tmp_path / "user"
    copy_checkout(hooks)
    user.mkdir()
    for folder in (hooks, user):
        passed([*git, "init", "--quiet"], folder, environment)
    passed([*git, "add", "."], hooks, environment)
    passed([*git, "commit", "--quiet", "--message", "hook"], hooks, environment)
    (user / "replication.yaml").write_text(SPEC)
    words = [pre_commit, "try-repo", str(hooks), "ssm-reconcile-validate", "--all-files", "--verbose"]
    passed([*git, "add", "."], user, environment)
    assert "replication.yaml: 1 replication, valid" in passed(words, user, environment)
    (user / "replication.yaml").write_text(SPEC.replace("version: 1", "version: 9"))
    done = subprocess.run(words, cwd=user, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "replication.yaml:1:10: " in done.stdout


def test_commands_work_where_nothing_can_be_written(installed: Path, tmp_path: Path) -> None:
    """As in a container with a read-only root: no home, and no folder for temporary files."""
    unshare = [found_on_path("unshare"), "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no mount namespaces")
    (tmp_path / "replication.yaml").write_text(SPEC)
    with moto() as url:
        client = boto3.Session("testing", "testing").client("ssm", "us-east-1", endpoint_url=url)
        client.put_parameter(Name="/prod/url", Value="one", Type="String")
        client.put_parameter(Name="/prod/key", Value="two", Type="SecureString")
        environment = {
            "PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

        def run(*words: str) -> str:
            command = [*unshare, "sh", "-c", READ_ONLY, "sh", str(installed / "ssm-reconcile"), *words]
            return passed(command, tmp_path, environment)

        assert "2 to create" in run("plan")
        assert "Applied 2 of 2 changes" in run("apply", "--yes")
        assert "Nothing to do: 2 in sync" in run("plan", "--verify-values")
        assert run("plan", "--format", "html").startswith("<!doctype html>")
        assert "2 in_sync" in run("status")


class Terminal:
    """A shell on a terminal of its own, typed into as a person does."""

    def __init__(self, words: list[str], environment: dict[str, str], folder: Path) -> None:
        self.terminal, other = pty.openpty()
        self.process = subprocess.Popen(
            words, stdin=other, stdout=other, stderr=other, cwd=folder, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(other)

    def type(self, text: str, awaited: str) -> str:
        """Type, and return what the shell wrote until a text came."""
        os.write(self.terminal, text.encode())
        found, until = "", time.monotonic() + 30
        while awaited not in found:
            ready, _, _ = select.select([self.terminal], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"{awaited!r} did not come: {found!r}"
            found += os.read(self.terminal, 65536).decode(errors="replace")
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def lines_of_help(installed: Path, file: str) -> str:
    """Return the lines of `ssm-reconcile completion --help` for the startup file of a shell."""
    command = [str(installed / "ssm-reconcile"), "completion", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(rf"^ *(\S.*?) +# in {re.escape(file)}$", text, re.MULTILINE)
    assert lines
    return "; ".join(lines)


@pytest.mark.parametrize(
    ("words", "file"),
    [(["bash", "--norc", "--noprofile", "-i"], "~/.bashrc"), (["zsh", "-f", "-i"], "~/.zshrc")],
    ids=["bash", "zsh"],
)
def test_a_shell_completes_commands_and_options(
    installed: Path, tmp_path: Path, words: list[str], file: str
) -> None:
    shell = found_on_path(words[0])
    path = f"{installed}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "> "}
    terminal = Terminal([shell, *words[1:]], environment, tmp_path)
    try:
        terminal.type(f"{lines_of_help(installed, file)}; echo load''ed\n", "loaded")
        terminal.type("ssm-reconcile valid\t", "ate")
        terminal.type("\x15ssm-reconcile plan --detailed-e\t", "xitcode")
        terminal.type("\x15ssm-reconcile completion powers\t", "hell")
    finally:
        terminal.end()


def test_fish_completes_commands_and_options(installed: Path, tmp_path: Path) -> None:
    fish = found_on_path("fish")
    environment = {"PATH": f"{installed}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def completed(line: str) -> list[str]:
        script = f"{lines_of_help(installed, '~/.config/fish/config.fish')}; complete --do-complete '{line}'"
        return re.findall(r"^\S+", passed([fish, "-c", script], tmp_path, environment), re.MULTILINE)

    assert completed("ssm-reconcile valid") == ["validate"]
    assert "--detailed-exitcode" in completed("ssm-reconcile plan --detailed-e")
    assert completed("ssm-reconcile completion fi") == ["fish"]
