"""The name that `init` proposes comes from the repository or the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_reconcile.cli.init import propose_name


def write_config(git: Path, url: str) -> None:
    git.mkdir(parents=True)
    lines = [
        "[core]", "\tbare = false", '[remote "up"]', "\turl = x/other.git",
        '[remote "origin"]', "\tfetch = +a:b", f"\turl = {url}", '[branch "main"]', "",
    ]  # fmt: skip
    (git / "config").write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://github.com/acme/Payments_Config.git", "payments-config"),
        ("git@github.com:acme/payments.git", "payments"),
        ("host:payments", "payments"),
        ("https://host/acme/payments/", "payments"),
        ("https://host/acme/...", "checkout"),
    ],
)
def test_a_checkout_is_named_after_its_remote(tmp_path: Path, url: str, name: str) -> None:
    write_config(tmp_path / "Checkout" / ".git", url)
    (tmp_path / "Checkout" / "specs").mkdir()
    assert propose_name(tmp_path / "Checkout" / "specs") == name


def test_a_linked_worktree_is_named_after_the_remote_of_its_repository(tmp_path: Path) -> None:
    write_config(tmp_path / "first" / ".git", "git@host:acme/payments.git")
    own = tmp_path / "first" / ".git" / "worktrees" / "second"
    own.mkdir(parents=True)
    (own / "commondir").write_text("../..\n")
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / ".git").write_text(f"gitdir: {own}\n")
    assert propose_name(tmp_path / "second") == "payments"


def test_without_a_remote_the_folder_gives_the_name(tmp_path: Path) -> None:
    (tmp_path / "My Config" / ".git").mkdir(parents=True)
    assert propose_name(tmp_path / "My Config") == "my-config"
    (tmp_path / "plain").mkdir()
    assert propose_name(tmp_path / "plain") == "plain"


def test_a_name_of_other_signs_only_is_main_and_a_long_one_is_cut(tmp_path: Path) -> None:
    assert propose_name(Path("/")) == "main"
    assert len(propose_name(tmp_path / ("a" * 100))) == 64
