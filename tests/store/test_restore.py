"""Laying trees out: every byte back, nothing of the user's lost, nothing written where it does not belong."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.errors import BlobMissing, Conflict, Damaged, NotFound, StorageError, Unsafe, UsageError
from gitrepro.records.manifest import (
    EMPTY,
    FILE,
    FOLDER,
    LINK,
    PROGRAM,
    FileEntry,
    ShardRef,
    dump_shard,
    root_of,
)
from gitrepro.store import trees
from gitrepro.store.ingest import add_tree
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.progress import Progress
from gitrepro.store.restore import Compared, Restored, compare_tree, restore_tree
from gitrepro.store.restore.placing import rename_new
from gitrepro.store.restore.target import refuse_collisions, takes_for_one
from gitrepro.store.statcache import RACY_NS, StatCache

AGED_SECONDS = RACY_NS / 1e9 + 0.1
How = Literal["stat", "sample", "full"]


class Place:
    """A store, a stat cache, a folder to add from and one to lay out in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = BlobStore(root / "store")
        self.cache = StatCache(root / "statcache.sqlite")
        self.data, self.out = root / "data", root / "out"
        self.data.mkdir(parents=True)

    def add(self, files: dict[str, bytes] | None = None) -> str:
        for path, data in (files or {}).items():
            write(self.data / path, data)
        return add_tree(self.store, self.cache, self.data).tree.digest

    def restore(
        self,
        digest: str,
        *,
        only: Iterable[bytes] | None = None,
        force: bool = False,
        hardlink: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> Restored:
        return restore_tree(
            self.store, self.cache, digest, self.out, only=only, force=force, hardlink=hardlink, progress=progress
        )

    def compare(self, digest: str, how: How = "full", *, path: Path | None = None, follow: bool = False) -> Compared:
        return compare_tree(self.store, self.cache, digest, path or self.out, how=how, follow=follow)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def listing(folder: Path) -> dict[str, bytes | str]:
    """All there is: files by their bytes, links as `-> text`, empty folders as `/`."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[name] = "/"
    return found


FILES = {"a": b"one", "b/c": b"two", "b/d/e": b"three" * 100_000, "z.bin": os.urandom(2 << 20), "empty": b""}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# -- all of it


def test_a_tree_is_laid_out_as_it_was(place: Place) -> None:
    digest = place.add(FILES)
    (place.data / "b/c").chmod(0o755)
    (place.data / "b/link").symlink_to("../a")
    (place.data / "x/y").mkdir(parents=True)
    digest = place.add()
    assert place.restore(digest) == Restored(7, 0, sum(map(len, FILES.values())) + len("../a"))
    assert listing(place.out) == listing(place.data)
    assert (place.out / "b/c").stat().st_mode & 0o7777 == 0o755
    assert (place.out / "a").stat().st_mode & 0o7777 == 0o644
    assert add_tree(place.store, place.cache, place.out).tree.digest == digest


NAMES = st.sampled_from([b"a", b"b", b"a.b", b"\xff\xfe", "é".encode(), b"\n", b"-x", b"a\\b", b" "])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(b"/".join), st.binary(max_size=9), max_size=9))
def test_any_tree_comes_back(tmp_path_factory: pytest.TempPathFactory, files: dict[bytes, bytes]) -> None:
    place = Place(tmp_path_factory.mktemp("any"))
    for path, data in files.items():
        try:
            write(place.data / os.fsdecode(path), data)
        except OSError:
            pass  # a file where a folder was
    digest = place.add()
    place.restore(digest)
    assert listing(place.out) == listing(place.data)
    assert place.restore(digest).written == 0


def test_the_mode_does_not_depend_on_the_umask(place: Place) -> None:
    write(place.data / "d/run", b"x")
    (place.data / "d/run").chmod(0o755)
    digest = place.add({"top": b"t", "d/small": b"s", "d/large": b"l" * 2_000_000})
    before = os.umask(0o077)
    try:
        place.restore(digest)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in place.out.rglob("*") if path.is_file()}
    assert modes == {"run": 0o755, "top": 0o644, "small": 0o644, "large": 0o644}


def test_nothing_of_ours_is_left_beside_the_files(place: Place) -> None:
    place.restore(place.add(FILES))
    assert sorted(path.name for path in place.out.iterdir()) == ["a", "b", "empty", "z.bin"]


def test_many_large_files_are_laid_out_beside_each_other(place: Place) -> None:
    digest = place.add({f"{number % 3}/{number}": os.urandom(1_500_000) for number in range(20)})
    place.restore(digest)
    assert listing(place.out) == listing(place.data)


def test_progress_is_told_and_ends_with_all_of_it(place: Place) -> None:
    told: list[Progress] = []
    digest = place.add(FILES)
    place.restore(digest, progress=told.append)
    total = sum(map(len, FILES.values()))
    assert told[-1] == Progress(5, 5, total, total)


# -- some of it


def test_some_paths_and_folders_are_laid_out_alone(place: Place) -> None:
    digest = place.add(FILES)
    assert place.restore(digest, only=[b"a", b"b/d"]).written == 2
    assert set(listing(place.out)) == {"a", "b/d/e"}
    assert place.restore(digest, only=[b"b"]).written == 1
    with pytest.raises(NotFound, match="nope is not in the data"):
        place.restore(digest, only=[b"a", b"nope"])


# -- what is there already


def test_what_is_there_already_is_kept(place: Place) -> None:
    digest = place.add(FILES)
    place.restore(digest)
    before = {path: path.stat().st_ino for path in place.out.rglob("*")}
    (place.out / "b/c").unlink()
    assert place.restore(digest) == Restored(1, 4, 3)
    assert listing(place.out) == listing(place.data)
    kept = {path for path in before if path.name != "c"}
    assert all(path.stat().st_ino == before[path] for path in kept)


def test_other_files_in_the_folder_are_left_alone(place: Place) -> None:
    digest = place.add(FILES)
    write(place.out / "mine", b"m")
    write(place.out / "b/mine", b"n")
    place.restore(digest)
    assert listing(place.out) == {**listing(place.data), "mine": b"m", "b/mine": b"n"}


def test_a_file_with_changes_of_the_user_is_not_overwritten_and_nothing_is_written(place: Place) -> None:
    digest = place.add(FILES)
    write(place.out / "b/c", b"mine")
    write(place.out / "a", b"also mine")
    with pytest.raises(Conflict, match=r"2 files in .*out would be overwritten: a, b/c") as caught:
        place.restore(digest)
    assert "--force" in caught.value.do
    assert listing(place.out) == {"a": b"also mine", "b/c": b"mine"}
    assert place.restore(digest, force=True).written == 5
    assert listing(place.out) == listing(place.data)


def test_a_version_before_gives_way_to_the_next_one(place: Place) -> None:
    old = place.add(FILES)
    new = place.add({"a": b"changed", "b/d/e": b"changed too"})
    place.restore(old)
    assert place.restore(new) == Restored(2, 3, 18)
    assert listing(place.out) == listing(place.data)


def test_a_wrong_mode_is_put_right(place: Place) -> None:
    digest = place.add(FILES)
    place.restore(digest)
    (place.out / "a").chmod(0o755)
    assert place.restore(digest).kept == 5
    assert (place.out / "a").stat().st_mode & 0o7777 == 0o644


def test_a_file_is_never_written_through_a_link(place: Place) -> None:
    digest = place.add(FILES)
    write(place.root / "elsewhere/c", b"precious")
    place.out.mkdir()
    (place.out / "b").symlink_to("../elsewhere")
    for force in (False, True):
        with pytest.raises(Conflict, match="cannot lay out b/c, b/d/e"):
            place.restore(digest, force=force)
    (place.out / "b").unlink()
    (place.out / "a").symlink_to("../elsewhere/c")
    with pytest.raises(Conflict, match="1 file"):
        place.restore(digest)
    place.restore(digest, force=True)
    assert (place.root / "elsewhere/c").read_bytes() == b"precious"
    assert listing(place.out) == listing(place.data)


def test_the_target_itself_may_be_a_link(place: Place) -> None:
    digest = place.add(FILES)
    (place.root / "disk").mkdir()
    place.out.symlink_to("disk")
    place.restore(digest)
    assert listing(place.root / "disk") == listing(place.data)


@pytest.mark.parametrize("kind", ["folder", "pipe", "file for a folder"])
def test_something_of_another_kind_is_in_the_way_and_stays(place: Place, kind: str) -> None:
    digest = place.add(FILES)
    if kind == "folder":
        write(place.out / "a/mine", b"m")
    elif kind == "pipe":
        place.out.mkdir()
        os.mkfifo(place.out / "a")
    else:
        write(place.out / "b", b"m")
    with pytest.raises(Conflict, match="cannot lay out"):
        place.restore(digest, force=True)
    assert len(list(place.out.iterdir())) == 1


def test_a_file_where_the_folder_is_to_be_is_a_conflict(place: Place) -> None:
    digest = place.add(FILES)
    place.out.write_bytes(b"mine")
    with pytest.raises(Conflict, match="is a file"):
        place.restore(digest)


def test_links_that_differ_are_changes_too(place: Place) -> None:
    place.add(FILES)
    (place.data / "l").symlink_to("a")
    digest = place.add()
    place.out.mkdir()
    (place.out / "l").symlink_to("mine")
    with pytest.raises(Conflict, match="overwritten: l"):
        place.restore(digest)
    place.restore(digest, force=True)
    assert str((place.out / "l").readlink()) == "a"


# -- interrupted


def test_a_restore_that_is_killed_goes_on_where_it_was(place: Place) -> None:
    digest = place.add({f"{number % 4}/{number:04}": os.urandom(20_000) for number in range(1500)})
    program = f"""
from pathlib import Path
from gitrepro.store.objects import BlobStore
from gitrepro.store.restore import restore_tree
from gitrepro.store.statcache import StatCache
root = Path({str(place.root)!r})
restore_tree(BlobStore(root / "store"), StatCache(root / "statcache.sqlite"), {digest!r}, root / "out")
"""
    for files in (1, 400, 900):
        with subprocess.Popen([sys.executable, "-c", program]) as child:
            while child.poll() is None and sum(len(names) for _, _, names in os.walk(place.out)) < files:
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
        whole = [
            path
            for path in place.out.glob("[0-9]/*")
            if path.read_bytes() != (place.data / path.relative_to(place.out)).read_bytes()
        ]
        assert whole == []
    assert place.restore(digest).kept >= 390
    assert listing(place.out) == listing(place.data)


def test_half_a_file_that_was_left_behind_is_written_again(place: Place) -> None:
    digest = place.add(FILES)
    stage = place.out / f".gitrepro-part-{digest[3:19]}"
    write(stage / "b/c", b"tw")
    write(stage / "b/d/e", b"")
    write(place.out / ".gitrepro-part-0", b"half")
    write(place.out / ".gitrepro-part-0123456789abcdef/x", b"of another tree")
    place.restore(digest)
    assert listing(place.out) == listing(place.data)


def test_a_folder_that_was_made_by_somebody_else_meanwhile_wins(place: Place) -> None:
    digest = place.add(FILES)
    write(place.out / f".gitrepro-part-{digest[3:19]}" / "b/c", b"two")
    write(place.out / "b/mine", b"m")
    place.restore(digest)
    assert listing(place.out) == {**listing(place.data), "b/mine": b"m"}


def test_two_restores_into_one_folder_are_not_mixed(place: Place) -> None:
    import fcntl

    digest = place.add(FILES)
    place.out.mkdir()
    fd = os.open(place.out, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(StorageError, match="being laid out by another process"):
        place.restore(digest)
    os.close(fd)
    place.restore(digest)


def test_a_full_disk_is_told_of_and_the_rest_follows(place: Place) -> None:
    disk = place.root / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("may not mount here")
    try:
        digest = place.add({f"d/{number}": os.urandom(100_000) for number in range(100)})
        place.out = disk / "out"
        with pytest.raises(StorageError, match="cannot lay out files"):
            place.restore(digest)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert place.restore(digest).kept > 10
        assert listing(place.out) == listing(place.data)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# -- blobs that are missing or wrong


def loose(place: Place, data: bytes) -> Path:
    return place.store.path(digest_of([data]))


def test_missing_blobs_are_named_when_the_rest_is_there(place: Place) -> None:
    digest = place.add(FILES)
    loose(place, FILES["z.bin"]).unlink()
    with pytest.raises(BlobMissing, match=r"1 file of tree .* could not be laid out: z.bin"):
        place.restore(digest)
    assert listing(place.out) == {path: data for path, data in FILES.items() if path != "z.bin"}
    place.store.put(FILES["z.bin"])
    assert place.restore(digest).written == 1
    assert listing(place.out) == FILES


def test_a_missing_pack_leaves_the_large_files(place: Place) -> None:
    digest = place.add(FILES)
    root = place.store.get(digest)
    shards = [place.store.get(ref.digest) for ref in trees.read_root(place.store, digest).shards]
    shutil.rmtree(place.store.root / "packs")
    place.store.close()
    for each in (root, *shards):
        place.store.put(each)
    with pytest.raises(BlobMissing, match=r"3 files of tree .*: a, b/c, empty"):
        place.restore(digest)
    assert set(listing(place.out)) == {"b/d/e", "z.bin"}


def test_wrong_bytes_are_not_laid_out_and_are_named(place: Place) -> None:
    digest = place.add(FILES)
    path = loose(place, FILES["z.bin"])
    path.chmod(0o644)
    path.write_bytes(b"x" + FILES["z.bin"][1:])
    with pytest.raises(Damaged, match=r"could not be laid out: z\.bin"):
        place.restore(digest)
    assert "z.bin" not in listing(place.out)
    assert len(listing(place.out)) == 4


def test_wrong_bytes_in_a_pack_are_not_laid_out_and_the_rest_is(place: Place) -> None:
    digest = place.add({f"{number}": b"content %d" % number for number in range(50)})
    (pack,) = (place.store.root / "packs").iterdir()
    pack.chmod(0o644)
    data = pack.read_bytes()
    pack.write_bytes(data.replace(b"content 33", b"content 34", 1))
    with pytest.raises(Damaged, match="could not be laid out: 33"):
        place.restore(digest)
    assert set(listing(place.out)) == {f"{number}" for number in range(50)} - {"33"}


# -- trees that nobody here would write


def forged(store: BlobStore, *entries: FileEntry) -> str:
    ref = ShardRef(store.put(dump_shard(entries)), len(entries), sum(e.size_bytes for e in entries), entries[0].path)
    return store.put(root_of([ref]).dump())


@pytest.mark.parametrize(
    "path",
    [
        b"../evil",
        b"/tmp/evil",
        b"d/../../evil",
        b".git/hooks/post-checkout",
        b"d/.GIT/config",
        b"git~1/config",
        b"d//evil",
        b"d/./evil",
        b".",
    ],
)
def test_a_path_that_leads_elsewhere_is_not_written(place: Place, path: bytes) -> None:
    blob = place.store.put(b"evil")
    with pytest.raises(Damaged):
        place.restore(forged(place.store, FileEntry(path, blob, 4, FILE)))
    assert [found for found in place.root.rglob("*") if found.name in ("evil", "config", "post-checkout")] == []


@pytest.mark.parametrize("text", [b"/etc/passwd", b"..", b"../../x", b"d/../..", b".git/config", b"a/../b"])
def test_a_link_that_leads_elsewhere_is_not_made(place: Place, text: bytes) -> None:
    blob = place.store.put(text)
    with pytest.raises(Damaged, match="could not be laid out: link"):
        place.restore(forged(place.store, FileEntry(b"link", blob, len(text), LINK)))
    assert listing(place.out) == {}


def test_a_file_below_a_link_is_refused(place: Place) -> None:
    link, blob = place.store.put(b"elsewhere"), place.store.put(b"evil")
    entries = (FileEntry(b"d", link, 9, LINK), FileEntry(b"d/evil", blob, 4, FILE))
    with pytest.raises(Damaged, match="below it"):
        place.restore(forged(place.store, *entries))


def test_a_mode_beyond_two_is_no_tree(place: Place) -> None:
    blob = place.store.put(b"evil")
    with pytest.raises(Damaged):
        place.restore(forged(place.store, FileEntry(b"a", blob, 4, 0o104755)))


def test_names_that_are_one_to_the_file_system_are_refused_there() -> None:
    def entries(*paths: bytes) -> list[FileEntry]:
        return [FileEntry(path, EMPTY, 0, FOLDER if path.endswith(b"/") else PROGRAM) for path in sorted(paths)]

    refuse_collisions(entries(b"a/b", b"a/c", b"b", b"c/a/b", b"d/"), "here")
    for one, two in ((b"A", b"a"), (b"D/x", b"d/y"), ("é".encode(), "e\u0301".encode()), (b"x/", b"X/a")):
        with pytest.raises(Unsafe, match="would be one in here"):
            refuse_collisions(entries(one, two, b"m"), "here")


def test_this_file_system_is_asked_and_nothing_stays(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert takes_for_one(fd) == (tmp_path / ".." / tmp_path.name.upper()).exists()
    os.close(fd)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def casefolding(tmp_path: Path) -> Iterator[Path]:
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    commands = [
        ["truncate", "-s", "16M", str(image)],
        ["mkfs.ext4", "-q", "-F", "-O", "casefold", str(image)],
        ["mount", "-o", "loop", str(image), str(disk)],
    ]
    if os.geteuid() != 0 or any(subprocess.run(each, capture_output=True).returncode for each in commands):
        pytest.skip("no file system without cases here")
    try:
        (disk / "fold").mkdir()
        if subprocess.run(["chattr", "+F", str(disk / "fold")]).returncode:
            pytest.skip("no folder without cases here")
        yield disk / "fold"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_names_that_collide_are_refused_where_they_collide(place: Place, casefolding: Path) -> None:
    digest = place.add({"A": b"1", "a": b"2"})
    place.out = casefolding
    with pytest.raises(Unsafe, match="A and a would be one"):
        place.restore(digest)
    assert list(casefolding.iterdir()) == []


# -- hard links


def test_a_hard_link_is_the_file_of_the_store(place: Place) -> None:
    digest = place.add(FILES)
    place.restore(digest, hardlink=True)
    assert listing(place.out) == listing(place.data)
    assert (place.out / "z.bin").samefile(loose(place, FILES["z.bin"]))
    assert (place.out / "z.bin").stat().st_mode & 0o7777 == 0o444
    assert place.restore(digest).kept == 5


def test_a_damaged_blob_is_not_linked(place: Place) -> None:
    digest = place.add(FILES)
    path = loose(place, FILES["z.bin"])
    path.chmod(0o644)
    path.write_bytes(b"x" + FILES["z.bin"][1:])
    with pytest.raises((Damaged, BlobMissing), match=r"z\.bin"):
        place.restore(digest, hardlink=True)
    assert not (place.out / "z.bin").exists()


def test_to_make_a_hard_link_a_program_leaves_the_store_as_it_is(place: Place) -> None:
    place.restore(place.add(FILES), hardlink=True)
    (place.data / "z.bin").chmod(0o755)
    place.restore(place.add())
    assert (place.out / "z.bin").stat().st_mode & 0o7777 == 0o755
    assert loose(place, FILES["z.bin"]).stat().st_mode & 0o7777 == 0o444


def test_a_new_name_is_never_one_that_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "old", b"o")
    write(tmp_path / "taken", b"t")
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(FileExistsError):
        rename_new(fd, b"old", fd, b"taken")
    rename_new(fd, b"old", fd, b"free")
    os.close(fd)
    assert listing(tmp_path) == {"free": b"o", "taken": b"t"}


# -- a folder beside a tree


@pytest.mark.parametrize("how", ["stat", "sample", "full"])
def test_an_equal_folder_is_the_same(place: Place, how: How) -> None:
    (place.data / "x").mkdir()
    (place.data / "l").symlink_to("a")
    digest = place.add(FILES)
    place.restore(digest)
    found = place.compare(digest, how)
    assert found.is_same
    assert (found.checked_files, found.unknown_files) == (7, 0)


@pytest.mark.parametrize("how", ["stat", "full"])
def test_what_is_gone_changed_and_new_is_told(place: Place, how: How) -> None:
    digest = place.add(FILES)
    place.restore(digest)
    (place.out / "a").unlink()
    (place.out / "b/c").write_bytes(b"owt")
    (place.out / "empty").chmod(0o755)
    write(place.out / "b/new", b"n")
    (place.out / "zz").mkdir()
    found = place.compare(digest, how)
    assert (found.missing, found.changed, found.added) == ((b"a",), (b"b/c", b"empty"), (b"b/new", b"zz/"))
    assert found.checked_files == 2


def test_other_kinds_of_files_are_changes(place: Place) -> None:
    (place.data / "l").symlink_to("a")
    (place.data / "x").mkdir()
    digest = place.add(FILES)
    place.restore(digest)
    (place.out / "a").unlink()
    (place.out / "a").symlink_to("b/c")
    (place.out / "l").unlink()
    (place.out / "l").symlink_to("b")
    (place.out / "empty").unlink()
    os.mkfifo(place.out / "empty")
    write(place.out / "x/y", b"inside")
    found = place.compare(digest, "stat")
    assert (found.missing, found.changed, found.added) == ((), (b"a", b"empty", b"l"), (b"x/y",))


def test_files_that_were_never_read_are_unknown_until_all_are_read(place: Place) -> None:
    digest = place.add(FILES)
    shutil.copytree(place.data, place.out)
    (place.out / "a").write_bytes(b"eno")
    found = place.compare(digest, "stat")
    assert (found.is_same, found.checked_files, found.unknown_files) == (True, 0, 5)
    assert place.compare(digest, "sample").changed == (b"a",)
    assert place.compare(digest, "full").changed == (b"a",)
    assert place.compare(digest, "stat").changed == (b"a",)


def test_a_sample_draws_some_of_many(place: Place) -> None:
    digest = place.add({f"{number:04}": b"%04d" % number for number in range(3000)})
    shutil.copytree(place.data, place.out)
    found = place.compare(digest, "sample")
    assert (found.checked_files, found.unknown_files) == (100, 2900)


def test_a_trusted_folder_is_sampled_too(place: Place) -> None:
    digest = place.add({f"{number:04}": b"%04d" % number for number in range(3000)})
    shutil.copytree(place.data, place.out)
    time.sleep(AGED_SECONDS)
    for how in ("full", "stat", "sample", "full"):
        found = place.compare(digest, how)  # type: ignore[arg-type]
        assert (found.checked_files, found.is_same) == (3000, True)


def test_a_single_file_is_compared_with_its_tree(place: Place) -> None:
    write(place.data / "f", b"one")
    digest = add_tree(place.store, place.cache, place.data / "f").tree.digest
    assert place.compare(digest, path=place.data / "f").is_same
    (place.data / "f").write_bytes(b"two")
    assert place.compare(digest, path=place.data / "f").changed == (b"f",)
    with pytest.raises(NotFound):
        place.compare(digest, path=place.data / "gone")


def test_what_was_added_by_following_links_is_compared_so(place: Place) -> None:
    write(place.root / "elsewhere/f", b"one")
    (place.data / "d").symlink_to("../elsewhere")
    digest = add_tree(place.store, place.cache, place.data, follow=True).tree.digest
    assert place.compare(digest, path=place.data, follow=True).is_same
    write(place.root / "elsewhere/f", b"two")
    assert place.compare(digest, path=place.data, follow=True).changed == (b"d/f",)


def test_there_are_three_ways_to_compare(place: Place) -> None:
    with pytest.raises(UsageError, match="no way to compare"):
        place.compare(place.add(FILES), "quick")  # type: ignore[arg-type]


EDITS = st.lists(st.tuples(st.integers(0, 2999), st.sampled_from(["remove", "change", "beside"])), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(edits=EDITS, how=st.sampled_from(["stat", "full"]))
def test_whatever_is_done_to_a_large_folder_is_found(
    many: tuple[Place, str], edits: list[tuple[int, str]], how: How
) -> None:
    place, digest = many
    missing, changed, added = set(), set(), set()
    for number, kind in edits:
        path, name = place.out / f"{number:04}", b"%04d" % number
        if kind == "beside":
            path.with_suffix(".new").write_bytes(b"")
            added.add(name + b".new")
        elif kind == "remove":
            path.unlink(missing_ok=True)
            changed.discard(name)
            missing.add(name)
        elif name not in missing:
            path.write_bytes(b"edit")
            changed.add(name)
    found = place.compare(digest, how)
    assert (set(found.missing), set(found.changed), set(found.added)) == (missing, changed, added)
    for name in added:
        (place.out / os.fsdecode(name)).unlink()
    place.restore(digest, force=True)
    assert place.compare(digest).is_same


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    place = Place(tmp_path_factory.mktemp("many"))
    digest = place.add({f"{number:04}": b"%04d" % number for number in range(3000)})
    place.restore(digest)
    time.sleep(AGED_SECONDS)
    assert place.compare(digest).is_same
    return place, digest
