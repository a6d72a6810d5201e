"""The stat cache: right or empty, never wrong, and never in the way."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.store.statcache import NEVER, RACY_NS, STAT, Chunk, Session, StatCache, clock_ns, packed

LATER_NS = 10 * RACY_NS
HASHES = [bytes([number]) * 32 for number in range(250)]


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "home" / "statcache.sqlite")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@contextmanager
def session(cache: StatCache, folder: Path) -> Iterator[Session]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        with cache.session(fd) as found:
            yield found
    finally:
        os.close(fd)


def stat_of(number: int, *, time_ns: int = 1) -> bytes:
    return STAT.pack(1, number, 10, time_ns, time_ns, 0o100644)


def chunk(*paths: bytes, time_ns: int = 1, shard: bytes | None = None) -> Chunk:
    return Chunk(
        paths=b"\0".join(paths),
        stats=b"".join(stat_of(hash(path) & 0xFF, time_ns=time_ns) for path in paths),
        hashes=b"".join(HASHES[at] for at in range(len(paths))),
        size_bytes=10 * len(paths),
        shard=shard,
        closed=shard is not None,
    )


def save(cache: StatCache, folder: Path, *chunks: Chunk, taken_ns: int = LATER_NS, ended: bool = True) -> None:
    with session(cache, folder) as found:
        for each in chunks:
            found.save(each, taken_ns=taken_ns)
        found.flush(ended=ended)


def known(cache: StatCache, folder: Path, first: bytes = b"", last: bytes = b"\xff") -> dict[bytes, bytes]:
    """The hashes of files that are trusted."""
    with session(cache, folder) as found:
        return {path: name for path, (stat, name) in found.known(first, last).items() if stat != NEVER}


def test_what_was_saved_is_known(cache: StatCache, folder: Path) -> None:
    whole = chunk(b"a", b"b/c", b"d", shard=HASHES[9])
    save(cache, folder, whole)
    assert known(cache, folder) == {b"a": HASHES[0], b"b/c": HASHES[1], b"d": HASHES[2]}
    with session(cache, folder) as found:
        assert found.at(b"a") == whole
        assert found.at(b"b/c") is None


def test_another_folder_knows_nothing_of_it(cache: StatCache, folder: Path, tmp_path: Path) -> None:
    save(cache, folder, chunk(b"a"))
    (tmp_path / "other").mkdir()
    assert known(cache, tmp_path / "other") == {}


def test_a_folder_that_was_renamed_is_the_same(cache: StatCache, folder: Path, tmp_path: Path) -> None:
    save(cache, folder, chunk(b"a"))
    folder.rename(tmp_path / "renamed")
    assert known(cache, tmp_path / "renamed") == {b"a": HASHES[0]}


@pytest.mark.parametrize("before_ns", [0, 1, RACY_NS, -RACY_NS, -3600 * 10**9])
def test_a_file_that_was_changed_just_before_it_was_read_is_not_trusted(
    cache: StatCache, folder: Path, before_ns: int
) -> None:
    save(cache, folder, chunk(b"a", b"b", time_ns=LATER_NS - before_ns, shard=HASHES[9]))
    assert known(cache, folder) == {}
    with session(cache, folder) as found:
        assert set(found.known(b"a", b"b")) == {b"a", b"b"}
        again = found.at(b"a")
        assert again is not None and again.shard is None


def test_a_file_that_was_changed_long_before_is_trusted(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a", time_ns=LATER_NS - RACY_NS - 1))
    assert known(cache, folder) == {b"a": HASHES[0]}


def test_a_young_ctime_is_enough_to_distrust(cache: StatCache, folder: Path) -> None:
    stats = STAT.pack(1, 1, 1, 5, LATER_NS, 0o100644)
    save(cache, folder, Chunk(paths=b"a", stats=stats, hashes=HASHES[0], size_bytes=1))
    assert known(cache, folder) == {}


def test_another_cut_takes_the_place_of_the_one_before(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a", b"b"), chunk(b"c", b"d"), chunk(b"e"))
    save(cache, folder, chunk(b"a", b"b", b"c"), chunk(b"d", b"e"))
    assert set(known(cache, folder)) == {b"a", b"b", b"c", b"d", b"e"}
    with sqlite3.connect(cache.path) as db:
        assert db.execute("SELECT first FROM chunks ORDER BY first").fetchall() == [(b"a",), (b"d",)]


def test_what_is_gone_is_forgotten_when_a_walk_ends(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"), chunk(b"b"), chunk(b"c"), chunk(b"d"))
    save(cache, folder, chunk(b"a"), chunk(b"c"))
    assert set(known(cache, folder)) == {b"a", b"c"}


def test_what_was_passed_stays_and_what_lies_between_goes(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"), chunk(b"b"), chunk(b"c"), chunk(b"d"))
    with session(cache, folder) as found:
        found.passed(b"b")
        found.save(chunk(b"d"), taken_ns=LATER_NS)
        found.flush(ended=True)
    assert set(known(cache, folder)) == {b"a", b"b", b"d"}


def test_a_walk_that_was_stopped_forgets_nothing_beyond(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"), chunk(b"b"), chunk(b"c"))
    save(cache, folder, chunk(b"a", b"aa"), ended=False)
    assert set(known(cache, folder)) == {b"a", b"aa", b"b", b"c"}


def test_a_session_reads_on_in_what_it_writes_over(cache: StatCache, folder: Path) -> None:
    save(cache, folder, *(chunk(b"%03d" % number) for number in range(100)))
    met = set()
    with session(cache, folder) as found:
        for number in range(0, 100, 10):
            first, last = b"%03d" % number, b"%03d" % (number + 9)
            met |= set(found.known(first, last))
            found.save(chunk(first, last), taken_ns=LATER_NS)
            found.flush()
    assert met == {b"%03d" % number for number in range(100)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.lists(st.integers(0, 99), unique=True, max_size=30), max_size=4))
def test_after_any_walks_the_last_one_is_what_is_known(
    tmp_path_factory: pytest.TempPathFactory, walks: list[list[int]]
) -> None:
    place = tmp_path_factory.mktemp("walks")
    cache = StatCache(place / "cache.sqlite")
    for walk in walks:
        numbers = sorted(walk)
        cut = [numbers[at : at + 4] for at in range(0, len(numbers), 4)]
        save(cache, place, *(chunk(*(b"%02d" % number for number in part)) for part in cut))
    assert set(known(cache, place)) == {b"%02d" % number for number in (walks[-1] if walks else [])}


# -- a file that is not as it should be


def test_garbage_is_deleted_and_made_anew(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"))
    cache.path.write_bytes(b"no database at all" * 1000)
    assert known(cache, folder) == {}
    save(cache, folder, chunk(b"a"))
    assert set(known(cache, folder)) == {b"a"}


def test_a_flipped_byte_anywhere_gives_nothing_wrong(cache: StatCache, folder: Path) -> None:
    save(cache, folder, *(chunk(*(b"%02d%02d" % (part, each) for each in range(20))) for part in range(5)))
    right, good = known(cache, folder), cache.path.read_bytes()
    assert len(right) == 100
    for at in range(0, len(good), 97):
        cache.path.write_bytes(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
        found = known(cache, folder)
        assert found.items() <= right.items()


def test_a_truncated_file_gives_nothing_wrong(cache: StatCache, folder: Path) -> None:
    save(cache, folder, *(chunk(*(b"%02d%02d" % (part, each) for each in range(20))) for part in range(5)))
    right, good = known(cache, folder), cache.path.read_bytes()
    for length in range(0, len(good), 1021):
        cache.path.write_bytes(good[:length])
        assert known(cache, folder).items() <= right.items()


def test_a_cache_of_another_version_is_made_anew(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"))
    with sqlite3.connect(cache.path) as db:
        db.execute("PRAGMA user_version = 99")
    assert known(cache, folder) == {}
    save(cache, folder, chunk(b"b"))
    assert set(known(cache, folder)) == {b"b"}


def test_a_locked_cache_is_read_and_not_written(cache: StatCache, folder: Path) -> None:
    save(cache, folder, chunk(b"a"))
    db = sqlite3.connect(cache.path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    save(cache, folder, chunk(b"b"))
    db.execute("ROLLBACK")
    db.close()
    assert set(known(cache, folder)) == {b"a"}


def test_no_place_for_a_cache_is_as_good_as_an_empty_one(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").touch()
    cache = StatCache(tmp_path / "file" / "statcache.sqlite")
    save(cache, folder, chunk(b"a"))
    assert known(cache, folder) == {}


def test_roots_that_nobody_asked_for_in_half_a_year_are_forgotten(
    cache: StatCache, folder: Path, tmp_path: Path
) -> None:
    save(cache, folder, chunk(b"a"))
    with sqlite3.connect(cache.path) as db:
        db.execute("UPDATE roots SET used_day = used_day - 200")
    (tmp_path / "other").mkdir()
    save(cache, tmp_path / "other", chunk(b"b"))
    with sqlite3.connect(cache.path) as db:
        assert db.execute("SELECT count(*), min(first) FROM chunks").fetchone() == (1, b"b")


# -- what shows that a file was changed


def test_every_change_of_a_file_shows_in_its_stat(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    seen = [packed(path.lstat())]

    def changed() -> bool:
        seen.append(packed(path.lstat()))
        return seen[-1] not in seen[:-1]

    time.sleep(0.02)
    path.write_bytes(b"two")
    assert changed()
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"six")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert changed()
    time.sleep(0.02)
    path.chmod(0o755)
    assert changed()
    (tmp_path / "g").write_bytes(b"six")
    os.utime(tmp_path / "g", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "g").replace(path)
    assert changed()


def test_the_clock_is_that_of_the_file_system(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "before").touch()
    found = clock_ns(fd)
    (tmp_path / "after").touch()
    os.close(fd)
    assert (tmp_path / "before").stat().st_mtime_ns <= found <= (tmp_path / "after").stat().st_mtime_ns
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


def test_where_no_file_can_be_made_only_old_files_are_trusted() -> None:
    fd = os.open("/proc/self", os.O_RDONLY)
    found = clock_ns(fd)
    os.close(fd)
    assert time.time_ns() - found > 23 * 3600 * 10**9
