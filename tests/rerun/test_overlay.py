"""Overlays from a stranger's repository: nothing is written outside the folder they are laid over."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import Damaged, GitreproError
from gitrepro.store import overlay
from gitrepro.store.fold import Identity
from gitrepro.store.gitobjects import FILE_MODE, TREE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.repository import Repository, find
from gitrepro.store.worktree import commit_files


@pytest.fixture
def opened(repo: Path) -> Repository:
    return find(repo, {})


def planted(opened: Repository, path: str, *, mode: int = FILE_MODE, data: bytes = b"planted\n") -> str:
    """A commit that names one file in a way that Git itself would never write."""
    with GitObjects(opened.common_dir) as objects:
        oid = objects.write([("blob", data)])[0]
        for name in reversed(path.split("/")):
            oid = objects.write([("tree", encode_tree({name: Entry(mode, oid)}))])[0]
            mode = TREE_MODE
    nobody = Identity(name="Mallory", email="m@example.org")
    return commit_files(opened, oid, None, "x\n", identity=nobody, now=0)


@pytest.mark.parametrize("path", ["../out", "a/../../out", ".git", "a/.GIT/config", "GIT~1/x", ".", "a/./b"])
def test_a_name_that_leads_elsewhere_is_refused(opened: Repository, tmp_path: Path, path: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(GitreproError):
        overlay.lay(opened, planted(opened, path), tmp_path / "there")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", [0o120000, 0o160000, 0o100664])
def test_only_plain_files_are_laid(opened: Repository, tmp_path: Path, mode: int) -> None:
    with pytest.raises(Damaged):
        overlay.lay(opened, planted(opened, "model.py", mode=mode), tmp_path)


def test_a_folder_that_is_a_link_is_not_followed(opened: Repository, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "there" / "package").symlink_to(tmp_path / "outside")
    with pytest.raises(GitreproError):
        overlay.lay(opened, planted(opened, "package/model.py"), tmp_path / "there")

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_file_that_is_a_link_is_replaced_and_not_written_through(opened: Repository, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "outside.py").write_text("mine\n")
    (tmp_path / "there" / "model.py").symlink_to(tmp_path / "outside.py")
    overlay.lay(opened, planted(opened, "model.py"), tmp_path / "there")

    assert (tmp_path / "outside.py").read_text() == "mine\n"
    assert (tmp_path / "there" / "model.py").read_bytes() == b"planted\n"


def test_equal_files_make_equal_commits(opened: Repository, repo: Path) -> None:
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    first = overlay.keep(opened, ["train.py", "run.sh"], forbidden=lambda path, head: None)
    again = overlay.keep(opened, ["run.sh", "train.py"], forbidden=lambda path, head: None)

    assert first.commit is not None
    assert first == again


def test_an_overlay_that_is_not_as_laid_is_seen(opened: Repository, repo: Path, tmp_path: Path) -> None:
    kept = overlay.keep(opened, ["train.py"], forbidden=lambda path, head: None)
    assert kept.commit is not None
    overlay.lay(opened, kept.commit, tmp_path)
    assert overlay.same(opened, kept.commit, tmp_path)
    (tmp_path / "train.py").write_text("other\n")

    assert not overlay.same(opened, kept.commit, tmp_path)
