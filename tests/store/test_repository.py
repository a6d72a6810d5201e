"""Finding the repository: as Git would, without starting Git; and refusing in words what cannot be written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitrepro.errors import NoRepository, UnsupportedRepository
from gitrepro.store.repository import find
from tests.conftest import Git


def test_it_is_found_from_any_folder_below(repo: Path) -> None:
    (repo / "a" / "b").mkdir(parents=True)
    found = find(repo / "a" / "b", {})
    assert (found.git_dir, found.common_dir, found.work_tree) == (repo / ".git", repo / ".git", repo)
    assert found.home == repo / ".git" / "gitrepro"


def test_outside_of_any_repository_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="git init"):
        find(tmp_path, {})


def test_a_linked_worktree_shares_the_folder_of_the_first(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    found = find(tmp_path / "linked", {})
    assert found.work_tree == tmp_path / "linked"
    assert found.git_dir == repo / ".git" / "worktrees" / "linked"
    assert found.home == repo / ".git" / "gitrepro"


def test_a_worktree_whose_repository_moved_away_is_refused_with_the_repair(
    repo: Path, git: Git, tmp_path: Path
) -> None:
    git(repo, "worktree", "add", "--quiet", str(tmp_path / "linked"))
    repo.rename(tmp_path / "moved")
    with pytest.raises(NoRepository, match="git worktree repair"):
        find(tmp_path / "linked", {})


def test_a_submodule_is_a_repository_of_its_own(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "library")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    found = find(repo / "lib", {})
    assert found.work_tree == repo / "lib"
    assert found.common_dir == repo / ".git" / "modules" / "lib"


def test_a_bare_repository_has_no_work_tree(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), "bare.git")
    found = find(tmp_path / "bare.git", {})
    assert found.bare
    assert found.git_dir == tmp_path / "bare.git"


def test_git_dir_and_git_work_tree_stand_over_the_folder(repo: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = find(elsewhere, {"GIT_DIR": str(repo / ".git"), "GIT_WORK_TREE": str(elsewhere)})
    assert (named.git_dir, named.work_tree) == (repo / ".git", elsewhere)
    assert find(elsewhere, {"GIT_DIR": str(repo / ".git")}).work_tree == repo


def test_a_git_dir_that_is_none_is_refused(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(NoRepository, match="GIT_DIR"):
        find(repo, {"GIT_DIR": str(tmp_path)})


def test_a_sha256_repository_is_refused(git: Git, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "new")
    with pytest.raises(UnsupportedRepository, match="objectformat = sha256"):
        find(tmp_path / "new", {})


def test_a_reftable_repository_is_refused(repo: Path) -> None:
    with open(repo / ".git" / "config", "a") as config:
        config.write("[extensions]\n\trefStorage = reftable\n")
    with pytest.raises(UnsupportedRepository, match="reftable"):
        find(repo, {})


def test_extensions_that_say_what_is_usual_are_fine(repo: Path, git: Git) -> None:
    git(repo, "config", "core.repositoryformatversion", "1")
    git(repo, "config", "extensions.objectFormat", "sha1")
    assert find(repo, {}).work_tree == repo


def test_a_repository_of_another_user_is_trusted_only_when_git_trusts_it(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository away")
    monkeypatch.delenv("SUDO_UID", raising=False)
    subprocess.run(["chown", "-R", "65534", str(repo)], check=True)
    with pytest.raises(NoRepository, match=r"safe\.directory"):
        find(repo, {})
    git(repo.parent, "config", "--global", "--add", "safe.directory", str(repo))
    assert find(repo, {}).work_tree == repo


def test_its_own_git_calls_run_no_program_that_the_repository_names(repo: Path, git: Git, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    git(repo, "config", "core.fsmonitor", f"touch {trap}; true")
    git(repo, "config", "core.hooksPath", str(tmp_path))
    find(repo, {}).git("status", "--porcelain")
    assert not trap.exists()


def test_a_hook_of_git_does_not_lead_our_calls_astray(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent/index")
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    assert find(repo, {}).git("ls-files").decode().split() == ["train.py"]
