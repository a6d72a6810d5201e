"""Taking folders into the store: every byte, nothing twice, never a wrong name, a clear word on what cannot be kept."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import blake3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.errors import GitreproError, NotFound, SourceChanged, Unsafe
from gitrepro.records.manifest import EMPTY, FILE, FOLDER, LINK, PROGRAM
from gitrepro.store import trees
from gitrepro.store.ingest import Added, add_tree
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.progress import Progress
from gitrepro.store.statcache import RACY_NS, StatCache

AGED_SECONDS = RACY_NS / 1e9 + 0.1


class Place:
    """A store, a stat cache, and a folder of data."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = BlobStore(root / "store")
        self.cache = StatCache(root / "statcache.sqlite")
        self.data = root / "data"
        self.data.mkdir(parents=True)

    def file(self, path: str | bytes, data: bytes = b"data") -> Path:
        found = self.data / os.fsdecode(path)
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(data)
        return found

    def add(
        self,
        *,
        path: Path | None = None,
        link: bool = False,
        follow: bool = False,
        ignore: Sequence[str] = (),
        progress: Callable[[Progress], None] | None = None,
    ) -> Added:
        place = path or self.data
        return add_tree(self.store, self.cache, place, link=link, follow=follow, ignore=ignore, progress=progress)

    def found(self, added: Added) -> dict[bytes, bytes]:
        return {entry.path: self.store.get(entry.digest) for entry in trees.entries(self.store, added.tree.digest)}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Place]]:
    """Places with three files that were written more than two seconds ago, and were added after that."""
    places = [Place(tmp_path_factory.mktemp("aged")) for _ in range(16)]
    for place in places:
        for name in ("a", "b/c", "b/d"):
            place.file(name, name.encode())
    time.sleep(AGED_SECONDS)
    waiting = iter(places)

    def next_place() -> Place:
        place = next(waiting)
        assert place.add().hashed_files == 3
        return place

    yield next_place


@contextmanager
def kept_busy(act: Callable[[], object]) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# -- all of it


def test_a_folder_comes_back_byte_by_byte(place: Place) -> None:
    wanted = {b"a": b"one", b"b/c": b"", b"b/d/e": os.urandom(300_000), b"z": os.urandom(3 << 20)}
    for path, data in wanted.items():
        place.file(path, data)
    added = place.add()
    assert place.found(added) == wanted
    assert (added.tree.files, added.tree.size_bytes) == (4, sum(map(len, wanted.values())))
    assert (added.hashed_files, added.reused_files, added.recipes, added.notes) == (4, 0, 0, ())
    assert added.new_bytes >= added.tree.size_bytes


CONTENTS = st.dictionaries(
    st.lists(st.sampled_from([b"a", b"b", b"a.b", b"\xff", "é".encode(), b"\n", b"a\\"]), min_size=1, max_size=3)
    .map(tuple),
    st.binary(max_size=20),
    max_size=8,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(CONTENTS, CONTENTS)
def test_any_folder_comes_back_and_so_does_what_becomes_of_it(
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[tuple[bytes, ...], bytes],
    two: dict[tuple[bytes, ...], bytes],
) -> None:
    place = Place(tmp_path_factory.mktemp("any"))
    there: dict[bytes, bytes] = {}
    for files in (one, two):
        for parts, data in files.items():
            path = b"/".join(parts)
            try:
                place.file(path, data)
            except OSError:
                continue  # a file where a folder was, or the other way round
            there[path] = data
        assert place.found(place.add()) == there


def test_the_same_files_have_the_same_name_wherever_they_lie(place: Place, tmp_path: Path) -> None:
    for number in range(3000):
        place.file(f"{number % 7}/{number}", str(number).encode())
    other = Place(tmp_path / "other")
    subprocess.run(["cp", "-r", f"{place.data}/.", other.data], check=True)
    assert place.add().tree == other.add().tree == place.add(link=True).tree == place.add().tree


def test_modes_links_and_empty_folders_are_kept(place: Place) -> None:
    place.file("run.sh").chmod(0o750)
    place.file("odd").chmod(0o604)
    (place.data / "empty/inner").mkdir(parents=True)
    (place.data / "link").symlink_to("empty/inner")
    added = place.add()
    assert {entry.path: (entry.mode, entry.digest) for entry in trees.entries(place.store, added.tree.digest)} == {
        b"empty/inner/": (FOLDER, EMPTY),
        b"link": (LINK, digest_of([b"empty/inner"])),
        b"odd": (FILE, digest_of([b"data"])),
        b"run.sh": (PROGRAM, digest_of([b"data"])),
    }
    assert place.found(added)[b"link"] == b"empty/inner"


def test_an_empty_folder_is_a_tree_of_nothing(place: Place) -> None:
    assert place.add().tree.files == 0


def test_a_single_file_is_a_tree_of_one(place: Place) -> None:
    path = place.file("x/weights.bin", b"w" * 400_000)
    place.file("x/other")
    added = place.add(path=path)
    assert place.found(added) == {b"weights.bin": b"w" * 400_000}
    (place.data / "link.bin").symlink_to(path)
    assert place.found(place.add(path=place.data / "link.bin")) == {b"link.bin": b"w" * 400_000}


def test_files_of_the_same_content_are_stored_once(place: Place) -> None:
    data = os.urandom(2 << 20)
    for number in range(4):
        place.file(f"{number}", data)
        place.file(f"small{number}", data[:1000])
    assert place.add().new_bytes < len(data) + 10_000


def test_a_hash_is_the_blake3_of_the_file(place: Place) -> None:
    for size_bytes in (0, 1, 1000, 262_143, 262_144, 1_048_575, 1_048_576, 5_000_001):
        place.file(f"{size_bytes}", os.urandom(size_bytes))
    for link in (True, False):
        for entry in trees.entries(place.store, place.add(link=link).tree.digest):
            data = (place.data / os.fsdecode(entry.path)).read_bytes()
            assert entry.digest == f"b3:{blake3.blake3(data).hexdigest()}"


def test_what_is_linked_leaves_nothing_but_a_tree_in_the_store(place: Place) -> None:
    place.file("a", os.urandom(1 << 20))
    place.file("b", b"small")
    (place.data / "c").symlink_to("a")
    added = place.add(link=True)
    stored = set(place.store.names())
    assert added.tree.digest in stored
    assert stored == {
        added.tree.digest,
        *(ref.digest for ref in trees.read_root(place.store, added.tree.digest).shards),
    }
    assert place.add().tree == added.tree
    assert place.found(added)[b"b"] == b"small"


def test_tensor_files_are_cut_so_that_what_stays_the_same_is_stored_once(place: Place) -> None:
    frozen = os.urandom(2 << 20)

    def tensors(head: bytes) -> bytes:
        table = {
            "frozen": {"dtype": "U8", "shape": [len(frozen)], "data_offsets": [0, len(frozen)]},
            "head": {"dtype": "U8", "shape": [len(head)], "data_offsets": [len(frozen), len(frozen) + len(head)]},
        }
        text = json.dumps(table).encode()
        return struct.pack("<Q", len(text)) + text + frozen + head

    one, two = tensors(os.urandom(100_000)), tensors(os.urandom(100_000))
    place.file("one.safetensors", one)
    assert place.add().recipes == 1
    place.file("two.safetensors", two)
    added = place.add()
    assert added.new_bytes < 300_000
    assert place.found(added) == {b"one.safetensors": one, b"two.safetensors": two}


def test_many_files_and_large_ones_among_them_keep_their_order(place: Place) -> None:
    for number in range(600):
        place.file(f"{number:04}", os.urandom(2 << 20 if number % 100 == 7 else 10))
    added = place.add()
    assert place.found(added) == {os.fsencode(path.name): path.read_bytes() for path in place.data.iterdir()}


def test_progress_is_told_and_ends_with_all_of_it(place: Place) -> None:
    for number in range(50):
        place.file(f"{number}", b"x" * number)
    told: list[Progress] = []
    place.add(progress=told.append)
    assert told[-1] == Progress(50, None, sum(range(50)), None)


# -- what was not changed is not read again


def test_what_was_not_changed_is_not_read_again(aged: Callable[[], Place]) -> None:
    place = aged()
    again = place.add()
    assert (again.hashed_files, again.reused_files, again.new_bytes) == (0, 3, 0)
    assert place.add(link=True).hashed_files == 0


def test_a_young_file_is_read_again(place: Place) -> None:
    place.file("a")
    assert place.add().hashed_files == 1
    assert place.add().hashed_files == 1


def test_an_edit_in_the_tick_in_which_it_was_added_is_seen(place: Place) -> None:
    for number in range(30):
        path = place.file("a", b"old%02d" % number)
        before, times = place.add(), path.stat()
        path.write_bytes(b"new%02d" % number)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        after = place.add()
        assert (place.found(before)[b"a"], place.found(after)[b"a"]) == (b"old%02d" % number, b"new%02d" % number)


@pytest.mark.parametrize("change", ["edit", "restored mtime", "other file", "swapped", "folder swapped", "future"])
def test_a_change_is_seen_whatever_it_does_to_the_times(aged: Callable[[], Place], change: str) -> None:
    place = aged()
    path, before = place.data / "b/c", (place.data / "b/c").stat()
    if change == "swapped":
        (place.data / "b/c").rename(place.data / "x")
        (place.data / "b/d").rename(place.data / "b/c")
        (place.data / "x").rename(place.data / "b/d")
    elif change == "folder swapped":
        (place.data / "b").rename(place.data / "x")
        place.file("b/c", b"d/c")
        place.file("b/d", b"c/d")
        (place.data / "x/c").unlink()
        (place.data / "x/d").unlink()
        (place.data / "x").rmdir()
    elif change == "other file":
        other = place.root / "other"
        other.write_bytes(b"c/b")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    else:
        path.write_bytes(b"c/b")
        if change == "restored mtime":
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        if change == "future":
            os.utime(path, ns=(0, time.time_ns() + 3600 * 10**9))
    there = {
        os.fsencode(each.relative_to(place.data)): each.read_bytes() for each in place.data.rglob("*") if each.is_file()
    }
    assert place.found(place.add()) == there
    assert place.found(place.add()) == there


def test_files_that_come_and_go_are_seen_beside_those_that_stay(aged: Callable[[], Place]) -> None:
    place = aged()
    place.file("b/cc", b"new")
    (place.data / "a").unlink()
    added = place.add()
    assert place.found(added) == {b"b/c": b"b/c", b"b/cc": b"new", b"b/d": b"b/d"}
    assert (added.hashed_files, added.reused_files) == (1, 2)


def test_what_went_from_the_store_is_put_again(aged: Callable[[], Place]) -> None:
    place = aged()
    assert place.add().hashed_files == 0
    for path in (place.root / "store/packs").iterdir():
        path.unlink()
    place.store.close()
    again = place.add()
    assert again.hashed_files == 3
    assert place.found(again) == {b"a": b"a", b"b/c": b"b/c", b"b/d": b"b/d"}


def test_another_store_gets_all_of_it(aged: Callable[[], Place], tmp_path: Path) -> None:
    place = aged()
    place.store = BlobStore(tmp_path / "another")
    added = place.add()
    assert added.hashed_files == 3
    assert place.found(added)[b"a"] == b"a"


def test_what_was_linked_before_is_put_when_it_is_added(aged: Callable[[], Place], tmp_path: Path) -> None:
    place = aged()
    place.store = BlobStore(tmp_path / "another")
    assert place.add(link=True).hashed_files == 0
    assert place.found(place.add())[b"b/d"] == b"b/d"


def test_a_deleted_cache_costs_time_and_nothing_else(aged: Callable[[], Place]) -> None:
    place = aged()
    place.cache.path.write_bytes(b"garbage")
    again = place.add()
    assert (again.hashed_files, again.new_bytes) == (3, 0)
    assert place.add().hashed_files == 0


# -- sources that change


def test_a_file_that_is_written_to_all_the_while_is_named_and_not_stored(place: Place) -> None:
    path = place.file("d/busy", os.urandom(24 << 20))
    place.file("a", b"quiet")

    def write() -> None:
        with open(path, "r+b") as file:
            file.seek(1 << 20)
            file.write(os.urandom(16))

    with kept_busy(write):
        for link in (False, True):
            with pytest.raises(SourceChanged, match="d/busy is written to"):
                place.add(link=link)
    assert place.found(place.add()) == {b"a": b"quiet", b"d/busy": path.read_bytes()}


def test_a_file_that_is_cut_short_and_grows_again_gets_no_wrong_name(place: Place) -> None:
    path = place.file("f", b"\1" * (4 << 20))
    sizes = iter(range(10**9))

    def cut() -> None:
        os.truncate(path, (4 << 20) if next(sizes) % 2 else 1000)

    with kept_busy(cut):
        for _ in range(10):
            try:
                added = place.add()
            except SourceChanged:
                continue
            data = place.found(added)[b"f"]
            # One of the two states that it ever had, or of what came between: never a name without its bytes.
            assert len(data) in (1000, 4 << 20)


def test_a_file_that_is_replaced_again_and_again_is_one_of_those_it_was(place: Place) -> None:
    path = place.file("f", b"\0" * 300_000)
    numbers = iter(range(10**9))

    def replace() -> None:
        new = place.root / "new"
        new.write_bytes(bytes([next(numbers) % 256]) * 300_000)
        new.replace(path)

    with kept_busy(replace):
        for _ in range(20):
            try:
                data = place.found(place.add())[b"f"]
            except SourceChanged:
                continue
            assert len(data) == 300_000 and len(set(data)) == 1


def test_an_addition_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(place: Place) -> None:
    for number in range(300):
        place.file(f"{number % 5}/{number}", os.urandom(60_000))
    program = f"""
from pathlib import Path
from gitrepro.store.ingest import add_tree, rolling
from gitrepro.store.objects import BlobStore
from gitrepro.store.statcache import StatCache
rolling._BYTES_A_BATCH = 1 << 20
root = Path({str(place.root)!r})
add_tree(BlobStore(root / "store"), StatCache(root / "statcache.sqlite"), root / "data")
"""
    time.sleep(AGED_SECONDS)
    for packs in (1, 3, 6):
        with subprocess.Popen([sys.executable, "-c", program]) as child:
            while child.poll() is None and len(list(place.root.glob("store/packs/*"))) < packs:
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
    added = place.add()
    assert added.hashed_files < 300
    assert place.found(added) == {
        os.fsencode(path.relative_to(place.data)): path.read_bytes() for path in place.data.rglob("*") if path.is_file()
    }


# -- what cannot be kept


def test_a_path_that_is_not_there_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound, match=r"there is no .*nowhere"):
        place.add(path=place.root / "nowhere")
    (place.root / "dangling").symlink_to("nowhere")
    with pytest.raises(NotFound, match="leads nowhere"):
        place.add(path=place.root / "dangling")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("inside", [True, False])
def test_what_has_no_bytes_of_its_own_is_refused_by_name(
    place: Place, tmp_path_factory: pytest.TempPathFactory, kind: str, inside: bool
) -> None:
    path = place.data / "odd"
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "socket":
            os.chdir(place.data)
            listener.bind("odd")
            os.chdir("/")
        else:
            try:
                os.mknod(path, 0o20600, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("may not make devices here")
        with pytest.raises(Unsafe, match=f"odd is a {kind}") as caught:
            place.add(path=None if inside else path)
    assert "--ignore" in caught.value.do or not inside
    place.file("a")
    assert set(place.found(place.add(ignore=["odd"]))) == {b"a"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_named(place: Place) -> None:
    place.file("secret").chmod(0)
    with pytest.raises(GitreproError, match=r"cannot read .*secret"):
        place.add()
    assert place.add(ignore=["secret"]).tree.files == 0


@pytest.mark.parametrize("text", ["/etc/hostname", "../outside", "b/../../outside", "../data/a"])
def test_a_link_that_leads_out_is_refused_and_can_be_followed(place: Place, text: str) -> None:
    place.file("a", b"inside")
    (place.root / "outside").write_bytes(b"outside")
    (place.data / "b").mkdir()
    (place.data / "link").symlink_to(text)
    with pytest.raises(Unsafe, match="data/link leads ") as caught:
        place.add()
    assert "--follow" in caught.value.do
    assert place.found(place.add(follow=True))[b"link"] == (place.data / "link").read_bytes()
    assert set(place.found(place.add(ignore=["link"]))) == {b"a", b"b/"}


def test_links_that_are_followed_are_files_and_folders(place: Place) -> None:
    place.file("d/a", b"a")
    (place.data / "again").symlink_to("d")
    (place.data / "file").symlink_to("d/a")
    assert place.found(place.add()) == {b"again": b"d", b"d/a": b"a", b"file": b"d/a"}
    assert place.found(place.add(follow=True)) == {b"again/a": b"a", b"d/a": b"a", b"file": b"a"}


@pytest.mark.parametrize("name", [".GIT/config", "git~1", "a/.Git", ".git /x"])
def test_a_name_that_some_system_takes_for_git_is_refused(place: Place, name: str) -> None:
    place.file(name)
    with pytest.raises(Unsafe, match=r"may take for \.git") as caught:
        place.add()
    assert "another name" in caught.value.do


def test_git_and_the_store_inside_are_left_out(place: Place) -> None:
    place.file("a")
    place.file(".git/config")
    place.store = BlobStore(place.data / "inside")
    place.store.put(b"something")
    added = place.add()
    assert set(place.found(added)) == {b"a"}
    assert "content store" in added.notes[0]


def test_names_that_collide_elsewhere_are_taken_and_told_of(place: Place) -> None:
    place.file("A")
    place.file("a")
    added = place.add()
    assert set(place.found(added)) == {b"A", b"a"}
    assert added.notes == (f"{place.data}/A and {place.data}/a are one name to macOS or Windows",)


def test_a_path_too_long_to_open_is_refused(place: Place) -> None:
    fd = os.open(place.data, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=fd)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.raises(Unsafe, match="no system opens"):
        place.add()


def test_nothing_of_a_refused_folder_stays(place: Place) -> None:
    for number in range(4200):
        place.file(f"{number:04}", b"%d" % number)
    os.mkfifo(place.data / "z")
    with pytest.raises(Unsafe):
        place.add()
    assert set(place.store.names()) == set()
    assert list((place.root / "store/incoming").iterdir()) == []
