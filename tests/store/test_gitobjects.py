"""Git objects: the same bytes as Git's, verified on every read, written so that nothing is half there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, NotFound, StorageError
from gitrepro.store.gitobjects import TREE_MODE, Entry, GitObjects, decode_tree, encode_tree, name_of
from tests.conftest import Git

BLOB = name_of("blob", b"x")


def loose(repo: Path, oid: str) -> Path:
    return repo / ".git" / "objects" / oid[:2] / oid[2:]


def spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_objects_get_the_names_git_gives_them(repo: Path, git: Git) -> None:
    assert name_of("blob", (repo / "train.py").read_bytes()) == git(repo, "rev-parse", "HEAD:train.py")


def test_a_tree_has_the_bytes_that_git_mktree_makes(repo: Path, git: Git) -> None:
    with GitObjects(repo / ".git") as objects:
        [blob] = objects.write([("blob", b"x")])
        [below] = objects.write([("tree", encode_tree({"inner": Entry(0o100644, blob)}))])
    # Git sorts a folder as if it ended in a slash: `a.b` before `a/`, and `a/` before `a0`.
    tree = {name: Entry(0o100644, blob) for name in ("a.b", "a0", "a-b", "ä", "z")} | {"a": Entry(TREE_MODE, below)}
    lines = "".join(
        f"{entry.mode:06o} {'tree' if entry.is_tree else 'blob'} {entry.oid}\t{name}\0" for name, entry in tree.items()
    )
    made = subprocess.run(["git", "mktree", "-z"], cwd=repo, input=lines.encode(), capture_output=True, check=True)
    assert name_of("tree", encode_tree(tree)) == made.stdout.decode().strip()


names = st.text(st.characters(exclude_characters="\0/", codec="utf-8"), min_size=1, max_size=12)


@given(st.dictionaries(names, st.sampled_from([Entry(0o100644, BLOB), Entry(0o100755, BLOB), Entry(TREE_MODE, BLOB)])))
def test_a_tree_is_read_as_it_was_written(tree: dict[str, Entry]) -> None:
    assert decode_tree(encode_tree(tree)) == tree


def test_every_cut_of_a_tree_is_damage_or_a_shorter_tree() -> None:
    data = encode_tree({"a": Entry(0o100644, BLOB), "b": Entry(0o100644, BLOB)})
    whole = len(data) // 2
    for length in range(len(data)):
        if length in (0, whole):
            assert len(decode_tree(data[:length])) == length // whole
        else:
            with pytest.raises(Damaged):
                decode_tree(data[:length])


def test_what_is_written_is_what_git_reads(repo: Path, git: Git) -> None:
    with GitObjects(repo / ".git") as objects:
        [oid] = objects.write([("blob", b"hello\n")])
    assert git(repo, "cat-file", "-p", oid) == "hello"
    assert git(repo, "fsck", "--no-dangling") == ""


def test_no_temporary_file_stays_behind(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        objects.write([("blob", b"hello\n"), ("blob", b"hello\n")])
    assert not list((repo / ".git" / "objects").rglob("tmp_*"))


def test_every_flipped_byte_of_an_object_is_reported(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        [oid] = objects.write([("blob", b"accuracy: 0.9\n")])
    good = loose(repo, oid).read_bytes()
    for at in range(len(good)):
        spoil(loose(repo, oid), good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        # A flipped bit in the end of the stream may leave the content whole: then it is the right content.
        with GitObjects(repo / ".git") as objects:
            try:
                assert objects.read(oid, "blob") == b"accuracy: 0.9\n"
            except Damaged:
                pass


@pytest.mark.parametrize("data", [b"", b"x", b"\x78\x01"])
def test_an_empty_or_cut_object_is_damage(repo: Path, data: bytes) -> None:
    with GitObjects(repo / ".git") as objects:
        [oid] = objects.write([("blob", b"accuracy: 0.9\n")])
    spoil(loose(repo, oid), data)
    with GitObjects(repo / ".git") as objects, pytest.raises((Damaged, NotFound)):
        objects.read(oid, "blob")


def test_another_object_in_its_place_is_damage(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        one, other = objects.write([("blob", b"accuracy: 0.9\n"), ("blob", b"accuracy: 1.0\n")])
    spoil(loose(repo, one), loose(repo, other).read_bytes())
    with GitObjects(repo / ".git") as objects, pytest.raises(Damaged, match="hash to another name"):
        objects.read(one, "blob")


def test_an_object_of_another_kind_is_refused(repo: Path, git: Git) -> None:
    with GitObjects(repo / ".git") as objects, pytest.raises(Damaged, match="it is no blob"):
        objects.read(git(repo, "rev-parse", "HEAD"), "blob")


def test_an_object_that_is_nowhere_is_not_found(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects, pytest.raises(NotFound, match="git fsck"):
        objects.read("1" * 40, "blob")


def test_packed_objects_are_read_and_not_written_again(repo: Path, git: Git) -> None:
    with GitObjects(repo / ".git") as objects:
        commit = git(repo, "rev-parse", "HEAD")
        text = objects.read(commit, "commit")
    git(repo, "gc", "--quiet")
    assert not loose(repo, commit).exists()
    with GitObjects(repo / ".git") as objects:
        assert objects.read(commit, "commit") == text
        assert objects.write([("commit", text)]) == [commit]
    assert not loose(repo, commit).exists()


def test_an_object_that_a_partial_clone_left_out_is_fetched_by_git(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    blob = git(repo, "rev-parse", "HEAD:train.py")
    git(tmp_path, "clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{repo}", "part")
    assert not loose(tmp_path / "part", blob).exists()
    with GitObjects(tmp_path / "part" / ".git") as objects:
        assert objects.read(blob, "blob") == (repo / "train.py").read_bytes()


def test_a_refusal_of_the_disk_is_said_in_words(repo: Path) -> None:
    oid = name_of("blob", b"no room")
    loose(repo, oid).parent.write_text("a file where the folder should be")
    with GitObjects(repo / ".git") as objects, pytest.raises(StorageError, match="cannot write objects"):
        objects.write([("blob", b"no room")])


def test_a_graft_keeps_what_is_there_and_opens_only_what_changes(repo: Path, git: Git) -> None:
    with GitObjects(repo / ".git") as objects:
        [blob] = objects.write([("blob", b"x")])
        one, trees = objects.graft(None, {"runs/a/one": Entry(0o100644, blob), "top": Entry(0o100644, blob)})
        objects.write(trees)
        two, trees = objects.graft(one, {"runs/b/two": Entry(0o100644, blob)})
        objects.write(trees)
        assert [path for path, _ in objects.files(two)] == ["runs/a/one", "runs/b/two", "top"]
        assert [path for path, _ in objects.changed(one, two)] == ["runs/b/two"]
    assert git(repo, "ls-tree", "-r", "--name-only", two).split() == ["runs/a/one", "runs/b/two", "top"]


def test_the_closure_of_a_tree_is_all_that_write_needs(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "other")
    with GitObjects(repo / ".git") as objects, GitObjects(tmp_path / "other" / ".git") as other:
        tree = git(repo, "rev-parse", "HEAD^{tree}")
        assert other.write(objects.closure(tree))[-1] == tree
    assert git(tmp_path / "other", "ls-tree", "--name-only", tree) == "train.py"
