"""The blob store: put once, verified on every read, damage set aside and never shown."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from gitrepro.errors import BlobMissing, Damaged, StorageError, UsageError
from gitrepro.store.objects import BlobStore, digest_of

DATA = b"one blob of some bytes"


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def quarantined(store: BlobStore) -> list[Path]:
    return sorted((store.root / "quarantine").glob("*"))


def spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_what_is_put_is_got_back(store: BlobStore) -> None:
    digest = store.put(DATA)
    assert digest == digest_of([DATA])
    assert store.get(digest) == DATA
    assert store.verify(digest) == len(DATA)
    assert digest in store
    assert list(store.names()) == [digest]


def test_the_name_is_the_blake3_that_b3sum_prints(store: BlobStore) -> None:
    # The test vector of BLAKE3 for no input at all.
    assert store.put(b"") == "b3:af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_putting_twice_is_putting_once(store: BlobStore) -> None:
    digest = store.put(DATA)
    before = store.path(digest).stat()
    assert store.put(DATA) == digest
    after = store.path(digest).stat()
    assert before.st_ino == after.st_ino
    assert before.st_mtime_ns < after.st_mtime_ns, "no collection may take what was wanted just now"
    assert list((store.root / "incoming").iterdir()) == []


def test_a_file_is_put_by_its_content(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(DATA * 100_000)
    assert store.put_file(source) == (digest_of([DATA * 100_000]), len(DATA) * 100_000)
    assert store.get(store.put(DATA * 100_000)) == DATA * 100_000


def test_a_blob_cannot_be_written_to_by_accident(store: BlobStore) -> None:
    assert store.path(store.put(DATA)).stat().st_mode & 0o777 == 0o444


def test_every_flipped_byte_is_damage_and_is_set_aside(store: BlobStore) -> None:
    digest = store.put(DATA)
    for at in range(len(DATA)):
        spoil(store.path(digest), DATA[:at] + bytes([DATA[at] ^ 1]) + DATA[at + 1 :])
        with pytest.raises(Damaged, match="other bytes"):
            store.get(digest)
        assert digest not in store
        store.put(DATA)
    assert len(quarantined(store)) == len(DATA)
    assert store.get(digest) == DATA


@pytest.mark.parametrize("length", range(len(DATA)))
def test_a_truncated_blob_is_damage(store: BlobStore, length: int) -> None:
    digest = store.put(DATA)
    spoil(store.path(digest), DATA[:length])
    with pytest.raises(Damaged):
        store.verify(digest)
    assert [path.read_bytes() for path in quarantined(store)] == [DATA[:length]]


def test_a_blob_of_another_size_does_not_stand_in_for_a_new_one(store: BlobStore) -> None:
    digest = store.put(DATA)
    spoil(store.path(digest), b"")
    assert store.put(DATA) == digest
    assert store.get(digest) == DATA
    assert len(quarantined(store)) == 1


def test_a_symlink_in_the_place_of_a_blob_is_not_followed(store: BlobStore, tmp_path: Path) -> None:
    digest = store.put(DATA)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(DATA)
    store.path(digest).unlink()
    store.path(digest).symlink_to(elsewhere)
    with pytest.raises(Damaged):
        store.get(digest)
    assert elsewhere.read_bytes() == DATA


def test_a_folder_in_the_place_of_a_blob_is_damage_and_gives_way(store: BlobStore) -> None:
    digest = store.put(DATA)
    store.path(digest).unlink()
    store.path(digest).mkdir()
    with pytest.raises(Damaged):
        store.get(digest)
    assert store.put(DATA) == digest
    assert store.get(digest) == DATA


def test_a_pipe_in_the_place_of_a_blob_is_damage_and_nobody_waits_for_it(store: BlobStore) -> None:
    digest = store.put(DATA)
    store.path(digest).unlink()
    os.mkfifo(store.path(digest))
    with pytest.raises(Damaged):
        store.get(digest)


def test_a_blob_that_is_not_here_is_missing(store: BlobStore) -> None:
    with pytest.raises(BlobMissing, match="is not in"):
        store.get(digest_of([b"never put"]))


@pytest.mark.parametrize("name", ["", "b3:", "b3:../../etc/passwd", "sha256:" + "0" * 64, "b3:" + "A" * 64])
def test_what_is_no_name_never_becomes_a_path(store: BlobStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.get(name)


def test_a_refusal_of_the_disk_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the store should be")
    with pytest.raises(StorageError, match="cannot keep a blob of 22 bytes"):
        BlobStore(tmp_path / "store").put(DATA)


def test_many_threads_put_the_same_blob_once(store: BlobStore) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(store.put(DATA * 1000))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert list(store.names()) == [*{*found}]
    assert store.get(found[0]) == DATA * 1000
