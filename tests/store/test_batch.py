"""Batches and packs: many blobs, durable together, found again from the packs alone."""

from __future__ import annotations

import os
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.errors import BlobMissing, Damaged, SourceChanged, StorageError, Unsafe
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.objects.packfile import SMALL_BYTES, entries

BIG = b"0123456789abcdef" * (SMALL_BYTES // 16)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def packs(store: BlobStore) -> list[Path]:
    return sorted((store.root / "packs").glob("*.pack"))


def fill(store: BlobStore, count: int) -> dict[str, bytes]:
    blobs = [b"blob %d " % number * 7 for number in range(count)]
    with store.batch() as batch:
        return {batch.put(data): data for data in blobs}


def test_small_blobs_share_a_pack_and_large_ones_have_files(store: BlobStore) -> None:
    held = fill(store, 100)
    with store.batch() as batch:
        large = batch.put(BIG)

    assert len(packs(store)) == 1
    assert store.path(large).read_bytes() == BIG
    assert {digest: store.get(digest) for digest in held} == held
    assert {store.size(digest) == len(data) for digest, data in held.items()} == {True}
    assert sorted(store.names()) == sorted([*held, large])


def test_nothing_has_a_name_before_the_block_ends(store: BlobStore) -> None:
    with store.batch() as batch:
        small, large = batch.put(b"small"), batch.put(BIG)
        assert small in batch and large in batch
        assert small not in store and large not in store

    assert small in store and large in store


def test_an_exception_leaves_nothing(store: BlobStore) -> None:
    with pytest.raises(ZeroDivisionError), store.batch() as batch:
        batch.put(b"small")
        batch.put(BIG)
        raise ZeroDivisionError

    assert list(store.names()) == []
    assert list((store.root / "incoming").iterdir()) == []


def test_what_is_there_is_not_written_again_and_is_made_young(store: BlobStore) -> None:
    fill(store, 10)
    with store.batch() as batch:
        batch.put(BIG)
    files = [*packs(store), store.path(digest_of([BIG]))]
    for path in files:
        os.utime(path, ns=(1, 1))

    fill(store, 10)
    with store.batch() as batch:
        batch.put(BIG)
        assert batch.new_bytes == 0

    assert [*packs(store), store.path(digest_of([BIG]))] == files
    assert all(path.stat().st_mtime_ns > 1 for path in files)


def test_a_blob_put_twice_in_a_batch_is_there_once(store: BlobStore) -> None:
    with store.batch() as batch:
        assert batch.put(b"a") == batch.put(b"a")
        assert batch.put(BIG) == batch.put(BIG)
        assert batch.new_bytes == 1 + len(BIG)
    assert len(entries(packs(store)[0])) == 1


def test_the_same_blobs_make_the_same_pack(tmp_path: Path) -> None:
    stores = [BlobStore(tmp_path / name) for name in "ab"]
    for store in stores:
        fill(store, 50)

    first, second = (packs(store)[0] for store in stores)
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=2000), max_size=40))
def test_any_blobs_come_back(tmp_path_factory: pytest.TempPathFactory, blobs: list[bytes]) -> None:
    store = BlobStore(tmp_path_factory.mktemp("store"))
    with store.batch() as batch:
        names = [batch.put(data) for data in blobs]

    assert [store.get(name) for name in names] == blobs
    assert names == [digest_of([data]) for data in blobs]


def test_threads_may_put_into_one_batch(store: BlobStore) -> None:
    blobs = [os.urandom(50) for _ in range(400)] + [BIG + bytes([n]) for n in range(4)]
    with store.batch() as batch:
        threads = [threading.Thread(target=lambda: [batch.put(data) for data in blobs]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(store.names()) == sorted(digest_of([data]) for data in blobs)
    for data in blobs:
        assert store.get(digest_of([data])) == data


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns so often that they meet in the middle of everything."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_what_threads_put_at_once_is_counted_and_kept_once(store: BlobStore) -> None:
    blobs = [BIG + bytes([number]) for number in range(20)]
    with store.batch() as batch, ThreadPoolExecutor(4) as pool:
        start = threading.Barrier(4)

        def put_all() -> None:
            for data in blobs:
                start.wait()
                batch.put(data)

        for future in [pool.submit(put_all) for _ in range(4)]:
            future.result()
        assert batch.new_bytes == sum(map(len, blobs))
        assert len(list(store.root.glob("incoming/*/*"))) == len(blobs)
    assert sorted(store.names()) == sorted(digest_of([data]) for data in blobs)


def test_processes_may_publish_the_same_at_once(store: BlobStore, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gitrepro.store.objects import BlobStore\n"
        "with BlobStore(Path(sys.argv[1])).batch() as batch:\n"
        "    for n in range(300): batch.put(b'%d' % n)\n"
        "    batch.put(b'x' * (1 << 20))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(store.root)]) for _ in range(8)]

    assert [writer.wait(60) for writer in writers] == [0] * 8
    assert len(set(store.names())) == 301
    for number in range(300):
        assert store.get(digest_of([b"%d" % number])) == b"%d" % number


# -- files of the user


def test_a_file_is_taken_as_it_is(store: BlobStore, tmp_path: Path) -> None:
    for name, data in {"empty": b"", "small": b"abc", "large": BIG + b"!"}.items():
        (tmp_path / name).write_bytes(data)
        with store.batch() as batch:
            assert batch.put_file(tmp_path / name) == (digest_of([data]), len(data))
        assert store.get(digest_of([data])) == data


def test_what_is_no_plain_file_is_refused_and_nobody_waits(store: BlobStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link", "."):
        with store.batch() as batch, pytest.raises(Unsafe, match="no plain file"):
            batch.put_file(tmp_path / name)
    with pytest.raises(Unsafe), store.batch() as batch:
        batch.put_file("/dev/zero")


@pytest.mark.parametrize("size_bytes", [1000, 8 << 20])
def test_a_file_that_is_written_to_all_the_while_gets_no_name(
    store: BlobStore, tmp_path: Path, size_bytes: int
) -> None:
    source = tmp_path / "growing"
    source.write_bytes(b"x" * size_bytes)
    over = threading.Event()

    def write() -> None:
        with open(source, "r+b", buffering=0) as file:
            while not over.is_set():
                file.write(os.urandom(64))
                file.seek(0)

    writer = threading.Thread(target=write)
    writer.start()
    refused = 0
    try:
        for _ in range(20):
            try:
                with store.batch() as batch:
                    name, _ = batch.put_file(source)
            except SourceChanged as error:
                assert "written to while it is read" in error.what
                refused += 1
            else:
                assert digest_of([store.get(name)]) == name
    finally:
        over.set()
        writer.join()

    # A small file is read at one moment; a large one is not read in one.
    assert refused > 0 or size_bytes == 1000


def test_a_file_cut_short_while_it_is_read_does_not_kill_the_process(store: BlobStore, tmp_path: Path) -> None:
    code = (
        "import os, sys, threading; from pathlib import Path; from gitrepro.store.objects import BlobStore\n"
        "source = Path(sys.argv[2]); store = BlobStore(Path(sys.argv[1]))\n"
        "def cut():\n"
        "    for n in range(200): os.truncate(source, (n % 7) << 20); os.truncate(source, 8 << 20)\n"
        "thread = threading.Thread(target=cut); thread.start()\n"
        "while thread.is_alive():\n"
        "    try:\n"
        "        with store.batch() as batch: batch.put_file(source)\n"
        "    except OSError: pass\n"
    )
    source = tmp_path / "data"
    source.write_bytes(b"x" * (8 << 20))
    done = subprocess.run([sys.executable, "-c", code, str(store.root), str(source)], timeout=120)

    assert done.returncode == 0
    for name in store.names():
        store.verify(name)


# -- packs and their index


@pytest.mark.parametrize("harm", ["deleted", "garbage", "truncated", "folder"])
def test_the_index_is_made_again(store: BlobStore, harm: str) -> None:
    held = fill(store, 200)
    index = store.root / "index.sqlite"
    assert index.exists()
    index.unlink()
    match harm:
        case "garbage":
            index.write_bytes(os.urandom(9000))
        case "truncated":
            index.write_bytes(b"SQLite format 3\0" + bytes(50))
        case "folder":
            index.mkdir()

    again = BlobStore(store.root)
    assert {digest: again.get(digest) for digest in held} == held


def test_an_index_that_lies_never_shows_other_bytes(store: BlobStore) -> None:
    held = fill(store, 200)
    with sqlite3.connect(store.root / "index.sqlite") as db:
        db.execute("UPDATE blobs SET offset = offset + 1")
    digest, data = next(iter(held.items()))

    lied_to = BlobStore(store.root)
    with pytest.raises(Damaged, match="index"):
        lied_to.get(digest)
    assert lied_to.get(digest) == data
    assert len(packs(store)) == 1, "the pack was right"


def test_a_reader_finds_what_others_have_packed_since(store: BlobStore) -> None:
    fill(store, 3)
    reader = BlobStore(store.root)
    assert reader.get(digest_of([b"blob 1 " * 7]))

    with store.batch() as batch:
        later = batch.put(b"later")

    assert reader.get(later) == b"later"


def test_wrong_bytes_in_a_pack_are_set_aside_and_the_others_stay(store: BlobStore) -> None:
    held = fill(store, 100)
    [pack] = packs(store)
    bad = entries(pack)[17]
    pack.chmod(0o644)
    with open(pack, "r+b") as file:
        file.seek(bad.offset)
        file.write(b"\xff")
    wrong = f"b3:{bad.hash.hex()}"

    with pytest.raises(Damaged, match="other bytes"):
        store.get(wrong)

    assert [path.name[:64] for path in (store.root / "quarantine").iterdir()] == [bad.hash.hex()]
    with pytest.raises(BlobMissing):
        store.get(wrong)
    for digest in held.keys() - {wrong}:
        assert store.get(digest) == held[digest]
    with store.batch() as batch:
        assert batch.put(held[wrong]) == wrong
    assert store.get(wrong) == held[wrong]


def test_of_a_pack_that_was_cut_all_is_kept_that_the_index_knows_when_one_of_it_is_read(store: BlobStore) -> None:
    held = fill(store, 100)
    [pack] = packs(store)
    last = max(entries(pack), key=lambda entry: entry.offset)
    pack.chmod(0o644)
    os.truncate(pack, last.offset + 3)
    wrong = f"b3:{last.hash.hex()}"

    with pytest.raises(Damaged, match="other bytes"):
        store.get(wrong)

    assert [path.name[:69] for path in (store.root / "quarantine").iterdir()] == [f"pack-{pack.name[:64]}"]
    for digest in held.keys() - {wrong}:
        assert BlobStore(store.root).get(digest) == held[digest]


def test_every_damage_to_a_packs_table_is_seen(store: BlobStore) -> None:
    fill(store, 4)
    [pack] = packs(store)
    sound = pack.read_bytes()
    table_at = len(sound) - 48 - 4 * 44
    pack.chmod(0o644)
    for at in [*range(8), *range(table_at, len(sound))]:
        pack.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with pytest.raises(Damaged):
            entries(pack)
    for length in range(0, len(sound), 5):
        pack.write_bytes(sound[:length])
        with pytest.raises(Damaged):
            entries(pack)
    huge = sound[:-48] + struct.pack(">Q", 1 << 60) + sound[-40:]
    pack.write_bytes(huge)
    with pytest.raises(Damaged):
        entries(pack)


def test_a_pack_that_cannot_be_read_is_mended_by_putting_again(store: BlobStore) -> None:
    held = fill(store, 4)
    [pack] = packs(store)
    pack.chmod(0o644)
    pack.write_bytes(b"?" + pack.read_bytes()[1:])
    (store.root / "index.sqlite").unlink()

    again = BlobStore(store.root)
    with pytest.raises(BlobMissing):
        again.get(next(iter(held)))
    assert list(again.index.trouble) == [pack.name[:64]]
    assert fill(again, 4) == held
    for reader in (again, BlobStore(store.root)):
        assert {digest: reader.get(digest) for digest in held} == held
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_a_pack_under_a_foreign_name_is_not_believed(store: BlobStore) -> None:
    held = fill(store, 4)
    [pack] = packs(store)
    pack.rename(pack.with_name("0" * 64 + ".pack"))

    again = BlobStore(store.root)
    (store.root / "index.sqlite").unlink()
    with pytest.raises(BlobMissing):
        again.get(next(iter(held)))


def test_a_pack_that_vanishes_costs_what_was_in_it(store: BlobStore) -> None:
    held = fill(store, 4)
    packs(store)[0].unlink()

    with pytest.raises(BlobMissing):
        store.get(next(iter(held)))
    assert fill(store, 4) == held
    assert store.get(next(iter(held))) in held.values()


def test_a_store_that_cannot_be_written_is_read(small_disk: Path) -> None:
    store = BlobStore(small_disk / "store")
    held = fill(store, 20)
    (store.root / "index.sqlite").unlink()
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    again = BlobStore(store.root)
    assert {digest: again.get(digest) for digest in again.names()} == held
    with pytest.raises(StorageError, match="Read-only"), again.batch() as batch:
        batch.put(b"new")
    again.close()


def test_a_full_disk_is_said_and_leaves_no_name(small_disk: Path) -> None:
    store = BlobStore(small_disk / "store")
    with store.batch() as batch:
        held = batch.put(b"held")
    with pytest.raises(StorageError, match="No space left"), store.batch() as batch:
        for number in range(100):
            batch.put(bytes([number]) * (1 << 20))

    assert [*store.names()] == [held]
    assert not any((store.root / "incoming").iterdir())
    with store.batch() as batch:
        later = batch.put(BIG)
    assert store.get(later) == BIG
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", place], capture_output=True).returncode:
        pytest.skip("a file system of its own needs root")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.parametrize("size_bytes", [0, 1, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES * 5 + 3])
def test_a_blob_that_comes_in_parts_is_taken_whole(store: BlobStore, size_bytes: int) -> None:
    data = os.urandom(size_bytes)
    parts = [memoryview(data)[at : at + 20_000] for at in range(0, size_bytes, 20_000)]
    with store.batch() as batch:
        assert batch.put_parts(blake3(data).digest(), parts, most_bytes=size_bytes) == size_bytes
        assert batch.new_bytes == size_bytes
    assert store.get(digest_of([data])) == data


@pytest.mark.parametrize("size_bytes", [10, SMALL_BYTES * 2])
@pytest.mark.parametrize("fault", ["other bytes", "too long", "the line is cut"])
def test_parts_that_are_not_what_the_name_says_leave_nothing(store: BlobStore, size_bytes: int, fault: str) -> None:
    data = os.urandom(size_bytes)

    def parts() -> Iterator[bytes]:
        yield data[:-1]
        if fault == "the line is cut":
            raise ConnectionResetError
        yield bytes([data[-1] ^ 1]) if fault == "other bytes" else data[-1:] + b"x"

    with store.batch() as batch:
        with pytest.raises(ConnectionResetError if fault == "the line is cut" else Damaged):
            batch.put_parts(blake3(data).digest(), parts(), most_bytes=size_bytes)
        assert batch.new_bytes == 0
        assert not [path for path in (store.root / "incoming").rglob("*") if path.is_file()]
    assert digest_of([data]) not in store
