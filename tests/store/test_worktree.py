"""The code of a run: what differs from the commit, and a snapshot of it, while the user's index stays as it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitrepro.capture.secrets import secret_file
from gitrepro.store import repository as repositories
from gitrepro.store import worktree
from gitrepro.store.fold import Identity
from gitrepro.store.worktree import Snapshot, WorkTree, look, snapshot
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


def seen(repo: Path, *named: str) -> WorkTree:
    return look(repositories.find(repo, {}), named=named)


def dirty(repo: Path, *named: str) -> list[str]:
    return sorted(f"{change.what} {change.path}" for change in seen(repo, *named).dirty)


def taken(repo: Path) -> Snapshot:
    found = repositories.find(repo, {})
    return snapshot(found, look(found), identity=IDENTITY, now=1_700_000_000, forbidden=secret_file)


def committed(repo: Path, git: Git, name: str, text: str = "x = 1\n") -> Path:
    path = repo / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(repo, "add", "--", name)
    git(repo, "commit", "--quiet", "-m", name)
    return path


def test_a_clean_tree_is_its_commit(repo: Path, git: Git) -> None:
    state = seen(repo)
    assert (state.dirty, state.untracked) == ((), ())
    assert state.commit == git(repo, "rev-parse", "HEAD")
    assert state.tree == git(repo, "rev-parse", "HEAD^{tree}")
    assert state.branch == "main"


def test_every_kind_of_change_is_named(repo: Path, git: Git) -> None:
    for name in ("gone.py", "moved.py", "script.sh"):
        committed(repo, git, name, f"# {name}, long enough to be known again\n" * 5)
    (repo / "train.py").write_text("edited = 1\n")
    (repo / "gone.py").unlink()
    git(repo, "mv", "moved.py", "new name.py")
    (repo / "script.sh").chmod(0o755)
    (repo / "staged.py").write_text("staged = 1\n")
    git(repo, "add", "staged.py")

    assert dirty(repo) == [
        "added new name.py",
        "added staged.py",
        "deleted gone.py",
        "deleted moved.py",
        "modified script.sh",
        "modified train.py",
    ]


def test_untracked_code_counts_and_output_does_not(repo: Path) -> None:
    (repo / "model.py").write_text("x = 1\n")
    (repo / "config.yaml").write_text("lr: 1\n")
    (repo / "out.log").write_text("epoch 1\n")
    (repo / "metrics.json").write_text("{}\n")
    assert dirty(repo) == ["untracked config.yaml", "untracked model.py"]
    assert sorted(seen(repo).untracked) == ["metrics.json", "out.log"]
    assert dirty(repo, "metrics.json") == ["untracked config.yaml", "untracked metrics.json", "untracked model.py"]


def test_ignored_files_are_nobodys_business(repo: Path, git: Git) -> None:
    committed(repo, git, ".gitignore", "*.py\n")
    (repo / "scratch.py").write_text("x = 1\n")
    assert dirty(repo) == []


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_that_git_was_told_not_to_see_is_seen(repo: Path, git: Git, flag: str) -> None:
    git(repo, "update-index", flag, "train.py")
    assert dirty(repo) == []
    (repo / "train.py").write_text("hidden = 1\n")
    assert git(repo, "status", "--porcelain") == ""
    assert dirty(repo) == ["hidden train.py"]
    assert git(repo, "show", f"{taken(repo).commit}:train.py") == "hidden = 1"


def test_a_file_that_a_sparse_checkout_leaves_out_is_no_change(repo: Path, git: Git) -> None:
    git(repo, "update-index", "--skip-worktree", "train.py")
    (repo / "train.py").unlink()
    assert dirty(repo) == []


def test_a_changed_submodule_is_dirty_and_said_to_be_left_out(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "library")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repo, "commit", "--quiet", "-m", "lib")
    assert dirty(repo) == []
    (repo / "lib" / "train.py").write_text("edited = 1\n")
    assert dirty(repo) == ["submodule lib"]
    assert taken(repo).left_out == (("lib", "a submodule with changes"),)


def test_an_unborn_branch_and_a_detached_head_have_states_too(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "new")
    (tmp_path / "new" / "train.py").write_text("x = 1\n")
    state = seen(tmp_path / "new")
    assert (state.commit, state.tree, state.branch) == (None, None, "main")
    assert git(tmp_path / "new", "show", f"{taken(tmp_path / 'new').commit}:train.py") == "x = 1"
    git(repo, "checkout", "--quiet", "--detach")
    assert seen(repo).branch is None


def test_a_snapshot_is_the_files_as_they_are_on_top_of_the_commit(repo: Path, git: Git) -> None:
    committed(repo, git, "gone.py")
    committed(repo, git, "run.sh")
    (repo / "gone.py").unlink()
    (repo / "run.sh").chmod(0o755)
    (repo / "train.py").write_text("edited = 1\n")
    (repo / "model.py").write_text("new = 1\n")
    (repo / "link.py").symlink_to("train.py")
    (repo / "notes.txt").write_text("note\n")

    made = taken(repo)

    listing = git(repo, "ls-tree", "-r", made.commit).splitlines()
    assert [(line.split()[0], line.split("\t")[1]) for line in listing] == [
        ("120000", "link.py"),
        ("100644", "model.py"),
        ("100644", "notes.txt"),
        ("100755", "run.sh"),
        ("100644", "train.py"),
    ]
    assert git(repo, "show", f"{made.commit}:train.py") == "edited = 1"
    assert git(repo, "rev-parse", f"{made.commit}^") == git(repo, "rev-parse", "HEAD")
    assert made.left_out == ()


def test_a_large_file_and_a_secret_are_left_out_and_named(repo: Path, git: Git) -> None:
    (repo / "big.py").write_bytes(b"#" * (worktree.MAX_FILE_BYTES + 1))
    (repo / "fits.py").write_bytes(b"#" * worktree.MAX_FILE_BYTES)
    (repo / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n")
    made = taken(repo)
    assert [path for path, _ in made.left_out] == ["big.py", "id_rsa"]
    assert "over 1 MiB" in made.left_out[0][1]
    assert git(repo, "ls-tree", "-r", "--name-only", made.commit).split() == ["fits.py", "train.py"]


def test_a_snapshot_stops_growing_at_twenty_mebibytes(repo: Path) -> None:
    for number in range(21):
        (repo / f"part{number:02d}.py").write_bytes(bytes([65 + number]) * worktree.MAX_FILE_BYTES)
    assert [path for path, _ in taken(repo).left_out] == ["part20.py"]


ODD = ["with space.py", "with\nnewline.py", "tab\tand 'quotes'.py", "-dash.py", ":(top)magic.py", "ünï.py", "*.py"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_kept_as_they_are(repo: Path, git: Git, name: str) -> None:
    (repo / name).write_text("odd = 1\n")
    assert dirty(repo) == [f"untracked {name}"]
    assert name in git(repo, "ls-tree", "-r", "-z", "--name-only", taken(repo).commit).split("\0")


@pytest.mark.parametrize("name", ODD)
def test_a_hidden_edit_of_an_odd_name_is_seen(repo: Path, git: Git, name: str) -> None:
    (repo / name).write_text("odd = 1\n")
    git(repo, "--literal-pathspecs", "add", "--", name)
    git(repo, "commit", "--quiet", "-m", "odd")
    git(repo, "update-index", "--assume-unchanged", "--", name)
    (repo / name).write_text("odd = 2\n")
    assert dirty(repo) == [f"hidden {name}"]


def test_a_name_that_is_not_utf8_is_kept_as_it_is(repo: Path, git: Git) -> None:
    name = os.fsdecode(b"caf\xe9.py")
    (repo / name).write_text("odd = 1\n")
    assert dirty(repo) == [f"untracked {name}"]
    assert name in git(repo, "ls-tree", "-r", "-z", "--name-only", taken(repo).commit).split("\0")


def test_neither_a_look_nor_a_snapshot_touches_the_users_index(repo: Path, git: Git) -> None:
    (repo / "staged.py").write_text("staged = 1\n")
    git(repo, "add", "staged.py")
    (repo / "train.py").write_text("edited = 1\n")
    os.utime(repo / "train.py", (1, 1))  # stale times are what a status would write back
    before = (repo / ".git" / "index").read_bytes()
    taken(repo)
    assert (repo / ".git" / "index").read_bytes() == before
    assert git(repo, "stash", "list") == ""


def test_a_snapshot_can_be_repeated(repo: Path) -> None:
    (repo / "train.py").write_text("edited = 1\n")
    assert taken(repo) == taken(repo)
