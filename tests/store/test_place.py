"""Where the store is: by itself in the clone, or where `gitrepro.store` says; and what is said of the place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from gitrepro.errors import StorageError, Unsafe, UsageError
from gitrepro.store import filesystem, moving, pins, place
from gitrepro.store.filesystem import FileSystem, Quota
from gitrepro.store.place import is_shared, prepare, store_of
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_large, put_packed, put_pieces, put_tree

GIB = 1 << 30


def test_by_itself_a_store_lies_in_the_clone(repo: Path) -> None:
    found = opened(repo)
    assert store_of(found).root == repo / ".git" / "gitrepro" / "store"
    assert not is_shared(found)


def test_to_find_it_starts_no_process_where_no_configuration_names_one(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = opened(repo)
    monkeypatch.setenv("PATH", "/nowhere")
    assert store_of(found).root == found.home / "store"


def test_the_setting_of_the_clone_names_another_place(repo: Path, git: Git, tmp_path: Path) -> None:
    prepare(tmp_path / "team", shared=True)
    git(repo, "config", "gitrepro.store", str(tmp_path / "team"))
    assert store_of(opened(repo)).root == tmp_path / "team"
    assert is_shared(opened(repo))


def test_a_relative_path_is_seen_from_the_top_of_the_work_tree(repo: Path, git: Git) -> None:
    prepare(repo.parent / "team", shared=True)
    git(repo, "config", "gitrepro.store", "../team")
    (repo / "deep" / "down").mkdir(parents=True)
    assert store_of(opened(repo / "deep" / "down")).root == repo.parent / "team"


def test_a_tilde_is_the_home_of_the_user(repo: Path, git: Git, hermetic: Path) -> None:
    prepare(hermetic / "team", shared=True)
    git(repo, "config", "gitrepro.store", "~/team")
    assert store_of(opened(repo)).root == hermetic / "team"


def test_the_setting_of_the_user_holds_for_all_clones_and_that_of_a_clone_stands_over_it(
    repo: Path, git: Git, tmp_path: Path
) -> None:
    for name in ("users", "clones"):
        prepare(tmp_path / name, shared=True)
    git(repo, "config", "--global", "gitrepro.store", str(tmp_path / "users"))
    assert store_of(opened(repo)).root == tmp_path / "users"
    git(repo, "config", "gitrepro.store", str(tmp_path / "clones"))
    assert store_of(opened(repo)).root == tmp_path / "clones"


def test_an_included_file_may_name_it_too(repo: Path, git: Git, tmp_path: Path) -> None:
    prepare(tmp_path / "team", shared=True)
    (tmp_path / "more").write_text(f"[gitrepro]\n\tstore = {tmp_path / 'team'}\n")
    git(repo, "config", "include.path", str(tmp_path / "more"))
    assert store_of(opened(repo)).root == tmp_path / "team"


def test_a_folder_that_is_not_there_is_named_and_not_made(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "config", "gitrepro.store", str(tmp_path / "unmounted"))
    with pytest.raises(StorageError, match="unmounted is not there"):
        store_of(opened(repo))
    assert not (tmp_path / "unmounted").exists()


def test_an_empty_folder_is_no_store_for_a_file_system_may_be_missing(repo: Path, git: Git, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    git(repo, "config", "gitrepro.store", str(tmp_path / "mount"))
    with pytest.raises(StorageError, match="is no store"):
        store_of(opened(repo))


# -- init


def test_init_makes_a_shared_store_and_says_where_it_is(repo: Path, cli: Cli, git: Git, tmp_path: Path) -> None:
    done = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=repo)
    assert done.returncode == 0, done.stderr
    assert git(repo, "config", "gitrepro.store") == str(tmp_path / "team")
    assert f"data, checkpoints and outputs: {tmp_path / 'team'}" in done.stderr
    assert store_of(opened(repo)).root == tmp_path / "team"


def test_who_leaves_a_store_that_others_use_is_not_told_to_delete_it(
    repo: Path, cli: Cli, git: Git, tmp_path: Path
) -> None:
    blob = put_large(store_of(opened(repo)))
    record_run(repo, artifacts=({"blob": blob, "kind": "artifact"},))
    git(tmp_path, "clone", "--quiet", str(repo), "other")
    git(tmp_path / "other", "fetch", "--quiet", "origin", "refs/gitrepro/*:refs/gitrepro/*")
    alone = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=repo)
    assert "delete it" in alone.stderr
    assert cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=tmp_path / "other").returncode == 0

    left = cli("init", "--no-hooks", "--store", str(tmp_path / "mine"), cwd=repo)
    assert "copied 1 blobs" in left.stderr
    assert "delete it" not in left.stderr
    assert f"leave it where it is, for {tmp_path / 'other' / '.git'}" in left.stderr


def test_the_folders_of_a_shared_store_are_for_the_group_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        prepare(tmp_path / "team", shared=True)
    finally:
        os.umask(before)
    for name in ("", "objects", "objects/ab", "recipes/00", "packs", "incoming", "quarantine", "trash", "pins"):
        assert (tmp_path / "team" / name).stat().st_mode & 0o7777 == 0o2775, name


def test_init_takes_along_all_that_the_records_of_the_clone_name(repo: Path, cli: Cli, tmp_path: Path) -> None:
    before = store_of(opened(repo))
    big, whole = put_large(before), put_pieces(before, large(2), large(3))
    [small] = put_packed(before, b"small")
    tree = put_tree(before, {"a.txt": b"one", "b.txt": large(4)})
    nobodys = put_large(before, 9)
    record_run(repo, artifacts=tuple({"blob": each, "kind": "artifact"} for each in (big, whole, small, tree)))

    done = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=repo)

    assert done.returncode == 0, done.stderr
    after = store_of(opened(repo))
    for digest in (big, whole, small, tree):
        assert after.verify(digest) == before.verify(digest)
    assert after.get(before.put(b"one")) == b"one", "the files of a tree come along"
    assert nobodys not in after
    assert after.recipe_path(bytes.fromhex(whole[3:])).exists(), "what lay in pieces lies in pieces"
    assert big in {f"b3:{name.hex()}" for name in pins.read(after.root, pins.clone_id(opened(repo)))}


def test_init_may_be_run_again_and_back(repo: Path, cli: Cli, tmp_path: Path) -> None:
    digest = put_large(store_of(opened(repo)))
    record_run(repo, artifacts=({"blob": digest, "kind": "artifact"},))
    for place_ in (tmp_path / "team", tmp_path / "team", repo / ".git/gitrepro/store"):
        assert cli("init", "--no-hooks", "--store", str(place_), cwd=repo).returncode == 0
    assert not is_shared(opened(repo))
    assert store_of(opened(repo)).get(digest) == large(0)
    assert pins.clones(tmp_path / "team") == [], "it needs nothing there any more"


def test_a_relative_store_of_init_is_seen_from_where_it_is_typed(repo: Path, cli: Cli) -> None:
    (repo / "deep").mkdir()
    assert cli("init", "--no-hooks", "--store", "../../team", cwd=repo / "deep").returncode == 0
    assert store_of(opened(repo)).root == repo.parent / "team"


def test_a_store_that_everybody_may_write_into_is_refused_unless_one_says_yes(
    repo: Path, cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    refused = cli("init", "--no-hooks", "--store", str(tmp_path / "open"), cwd=repo)
    assert refused.returncode == 2
    assert f"chmod o-w {tmp_path / 'open'}" in refused.stderr
    assert place.named(opened(repo)) is None
    assert cli("init", "--no-hooks", "--store", str(tmp_path / "open"), "--yes", cwd=repo).returncode == 0


def test_with_the_sticky_bit_nobody_can_take_what_is_not_theirs(tmp_path: Path) -> None:
    prepare(tmp_path, shared=True)
    tmp_path.chmod(0o1777)
    place.check_writers(tmp_path)
    (tmp_path / "packs").chmod(0o777)
    with pytest.raises(Unsafe):
        place.check_writers(tmp_path)


@pytest.mark.parametrize("inside", [".git", ".git/gitrepro", ".git/objects", ".git/refs/heads", "."])
def test_a_store_is_not_put_where_other_things_lie(repo: Path, inside: str) -> None:
    with pytest.raises(UsageError, match="no place for a store"):
        moving.move(opened(repo), (repo / inside).absolute())


# -- the file system


def test_the_file_system_of_a_folder_is_known_before_the_folder_is_made(tmp_path: Path) -> None:
    found = filesystem.look(tmp_path / "not" / "yet", probe=True)
    assert found.free_bytes > 0
    assert found.kind not in ("", "unknown")
    assert not list(tmp_path.iterdir()), "what is tried leaves nothing behind"


def test_memory_is_no_place_to_keep_things() -> None:
    if filesystem.look(Path("/dev/shm")).kind != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    said = " ".join(remark.what for remark in filesystem.remarks(filesystem.look(Path("/dev/shm"))))
    assert "gone when the machine restarts" in said


def known(**changes: object) -> FileSystem:
    plain: dict[str, object] = {"folder": Path("/s"), "kind": "ext4", "mounted_at": "/", "size_bytes": 100 * GIB}
    return FileSystem(**{**plain, "free_bytes": 50 * GIB, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"free_bytes": 9 * GIB}, "9.0 GiB free of 100.0 GiB"),
        ({"size_bytes": 1000 * GIB, "free_bytes": 40 * GIB}, "40.0 GiB free of 1000.0 GiB"),
        ({"quotas": (Quota(whose="user", limit_bytes=20 * GIB, used_bytes=5 * GIB),)}, "15.0 GiB are left"),
        ({"kind": "nfs4"}, "many small files are slow"),
        ({"kind": "fuse.sshfs"}, "up to its program"),
        ({"kind": "overlay"}, "gone with it"),
        ({"kind": "tmpfs"}, "lies in memory"),
    ],
)
def test_what_speaks_against_a_place_is_said(changes: dict[str, object], word: str) -> None:
    assert any(word in remark.what for remark in filesystem.remarks(known(**changes)))


def test_nothing_is_said_against_a_large_disk() -> None:
    assert filesystem.remarks(known()) == []


def test_a_quota_is_seen_without_rights(tmp_path: Path) -> None:
    """On a file system of our own with a quota; skipped where none can be mounted."""
    image, mount = tmp_path / "image", tmp_path / "mount"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    if os.geteuid() != 0 or subprocess.run(["mkfs.ext4", "-q", "-O", "quota", str(image)]).returncode:
        pytest.skip("no file system can be made here")
    if subprocess.run(["mount", "-o", "loop,usrquota", str(image), str(mount)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        if subprocess.run(["setquota", "-u", "0", "0", "20480", "0", "0", str(mount)], capture_output=True).returncode:
            pytest.skip("no quota can be set here")
        assert [each.limit_bytes for each in filesystem.look(mount).quotas] == [20 << 20]
    except FileNotFoundError:
        pytest.skip("there is no setquota here")
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_clone_of_another_one_keeps_its_own_name(repo: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "other")
    names = {pins.clone_id(opened(each)) for each in (repo, tmp_path / "other")}
    assert len(names) == 2
    assert pins.clone_id(opened(repo)) in names
