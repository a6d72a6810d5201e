"""What every driver must do. A test file makes its driver a class of these, with the fixture `place`:

    class TestFolders(WritingContract):
        @pytest.fixture
        def place(self, tmp_path):
            return lambda: DirectoryDriver(tmp_path / "remote")

`place()` opens the same place again each time; what a place held before the test is the test's own doing.
For a place that can only be read, `ReadingContract` wants the fixture `filled` instead.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from gitrepro.errors import Damaged, UsageError
from gitrepro.sync.blobs.driver import Driver, KeyMissing

Place = Callable[[], Driver]
Filled = Callable[[Mapping[str, bytes]], Driver]

KEY = "objects/ab/" + "c" * 62
MANY_PARTS = bytes(range(256)) * 8192  # 2 MiB: several parts of any driver


def read(driver: Driver, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    return b"".join(driver.read(key, start=start, length=length))


def put(driver: Driver, key: str, data: bytes) -> None:
    driver.write(key, [data], len(data))


def keys(driver: Driver, prefix: str = "") -> set[str]:
    return {each.key for each in driver.list(prefix)}


class ReadingContract:
    """What a place must do that can only be read. `filled(contents)` is a driver of one that has these."""

    def test_what_is_there_is_read_as_it_is(self, filled: Filled) -> None:
        assert read(filled({KEY: MANY_PARTS}), KEY) == MANY_PARTS

    def test_no_part_is_empty_and_none_is_the_whole_of_much(self, filled: Filled) -> None:
        parts = list(filled({KEY: MANY_PARTS}).read(KEY))

        assert all(parts)
        assert max(map(len, parts)) <= 1 << 20

    def test_no_bytes_are_a_content_too(self, filled: Filled) -> None:
        driver = filled({KEY: b""})

        assert read(driver, KEY) == b""
        assert driver.size(KEY) == 0

    @pytest.mark.parametrize(
        ("start", "length"), [(0, 1), (5, None), (1, 300_000), (262_143, 2), (len(MANY_PARTS) - 1, 1), (3, 0)]
    )
    def test_a_range_is_read_alone(self, filled: Filled, start: int, length: int | None) -> None:
        end = None if length is None else start + length

        assert read(filled({KEY: MANY_PARTS}), KEY, start=start, length=length) == MANY_PARTS[start:end]

    @pytest.mark.parametrize(("start", "length"), [(10, None), (10, 5), (99, None), (99, 5), (7, 50)])
    def test_beyond_the_end_is_nothing(self, filled: Filled, start: int, length: int | None) -> None:
        assert read(filled({KEY: b"ten bytes."}), KEY, start=start, length=length) == b"ten bytes."[start:]

    def test_a_reader_may_stop_at_any_part(self, filled: Filled) -> None:
        driver = filled({KEY: MANY_PARTS})
        parts = iter(driver.read(KEY))
        first = next(parts)
        close = getattr(parts, "close", None)
        if close is not None:
            close()

        assert MANY_PARTS.startswith(first)
        assert read(driver, KEY, length=9) == MANY_PARTS[:9]

    def test_the_size_is_told(self, filled: Filled) -> None:
        assert filled({KEY: MANY_PARTS}).size(KEY) == len(MANY_PARTS)

    def test_what_is_not_there_has_no_size(self, filled: Filled) -> None:
        driver = filled({KEY: b"x"})

        assert driver.size("objects/ab/" + "d" * 62) is None
        assert driver.size("nowhere/" + "d" * 62) is None

    def test_what_is_not_there_cannot_be_read(self, filled: Filled) -> None:
        driver = filled({KEY: b"x"})
        for key in ("objects/ab/" + "d" * 62, "nowhere/at/all"):
            with pytest.raises(KeyMissing):
                read(driver, key)
            with pytest.raises(KeyMissing):
                read(driver, key, start=5, length=5)

    @pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".x", "a/.b", "a b", "a\n"])
    def test_a_key_that_could_lead_elsewhere_is_refused(self, filled: Filled, key: str) -> None:
        driver = filled({KEY: b"x"})

        with pytest.raises(UsageError):
            read(driver, key)
        with pytest.raises(UsageError):
            driver.size(key)

    def test_several_threads_read_at_once(self, filled: Filled) -> None:
        contents = {f"packs/{number:064x}.pack": os.urandom(50_000 + number) for number in range(24)}
        driver = filled(contents)
        with ThreadPoolExecutor(8) as threads:
            found = dict(zip(contents, threads.map(lambda key: read(driver, key), contents), strict=True))

        assert found == contents

    def test_closing_twice_is_closing_once(self, filled: Filled) -> None:
        driver = filled({KEY: b"x"})
        driver.close()
        driver.close()


class WritingContract(ReadingContract):
    """What a place must do that can be written too. `place()` is a driver of the same place, again and again."""

    @pytest.fixture
    def driver(self, place: Place) -> Iterator[Driver]:
        driver = place()
        yield driver
        driver.close()

    @pytest.fixture
    def filled(self, driver: Driver) -> Filled:
        def fill(contents: Mapping[str, bytes]) -> Driver:
            for key, data in contents.items():
                put(driver, key, data)
            return driver

        return fill

    def test_it_says_that_it_can_be_written(self, driver: Driver) -> None:
        assert driver.read_only is False
        assert driver.parallel >= 1
        assert driver.url

    def test_what_is_written_is_there_for_others(self, place: Place, driver: Driver) -> None:
        put(driver, KEY, MANY_PARTS)
        other = place()

        assert read(other, KEY) == MANY_PARTS
        other.close()

    def test_parts_of_all_kinds_and_sizes_are_joined(self, driver: Driver) -> None:
        parts = [b"", b"a", memoryview(MANY_PARTS), memoryview(bytearray(b"b" * 70_000)), b"", b"c"]
        driver.write(KEY, iter(parts), sum(map(len, parts)))

        assert read(driver, KEY) == b"".join(bytes(part) for part in parts)

    def test_a_part_may_be_used_anew_once_the_next_is_asked_for(self, driver: Driver) -> None:
        buffer = bytearray(100_000)

        def parts() -> Iterator[memoryview]:
            for number in range(20):
                buffer[:] = bytes([number]) * len(buffer)
                yield memoryview(buffer)

        driver.write(KEY, parts(), 20 * len(buffer))

        assert read(driver, KEY) == b"".join(bytes([number]) * len(buffer) for number in range(20))

    def test_an_empty_place_has_nothing(self, driver: Driver) -> None:
        assert keys(driver) == set()
        assert keys(driver, "objects/ab/") == set()
        assert driver.size(KEY) is None

    # -- whole or not at all

    def test_an_exception_while_the_parts_are_made_leaves_nothing(self, driver: Driver) -> None:
        class Stopped(Exception):
            pass

        def parts() -> Iterator[bytes]:
            yield MANY_PARTS
            raise Stopped

        with pytest.raises(Stopped):
            driver.write(KEY, parts(), 2 * len(MANY_PARTS))

        assert driver.size(KEY) is None
        assert keys(driver) == set()

    def test_an_exception_at_the_very_end_leaves_nothing(self, driver: Driver) -> None:
        def parts() -> Iterator[bytes]:
            yield b"all of it, and wrong"
            raise Damaged("its hash is another")

        with pytest.raises(Damaged, match="its hash is another"):
            driver.write(KEY, parts(), len(b"all of it, and wrong"))

        assert driver.size(KEY) is None

    def test_an_error_of_the_disk_that_is_read_comes_through_as_it_is(self, driver: Driver) -> None:
        def parts() -> Iterator[bytes]:
            yield b"some"
            raise OSError(5, "the disk of the reader")

        with pytest.raises(OSError, match="the disk of the reader"):
            driver.write(KEY, parts(), 8)

        assert driver.size(KEY) is None

    @pytest.mark.parametrize("size_bytes", [0, 9, 11, 1 << 20])
    def test_parts_of_another_length_than_was_said_leave_nothing(self, driver: Driver, size_bytes: int) -> None:
        with pytest.raises(Damaged):
            driver.write(KEY, [b"ten ", b"bytes."], size_bytes)

        assert driver.size(KEY) is None

    def test_what_is_there_stays_when_it_cannot_be_replaced(self, driver: Driver) -> None:
        put(driver, KEY, b"the first")
        with pytest.raises(Damaged):
            driver.write(KEY, [b"cut"], 9)

        assert read(driver, KEY) == b"the first"

    def test_the_next_try_succeeds(self, driver: Driver) -> None:
        with suppress(Damaged):
            driver.write(KEY, [b"cut"], 9)
        put(driver, KEY, b"now whole")

        assert read(driver, KEY) == b"now whole"

    def test_a_reader_never_sees_part_of_what_is_being_written(self, place: Place, driver: Driver) -> None:
        other, seen = place(), list[int | None]()

        def parts() -> Iterator[bytes]:
            for _ in range(4):
                yield MANY_PARTS
                seen.append(other.size(KEY))

        driver.write(KEY, parts(), 4 * len(MANY_PARTS))
        seen.append(other.size(KEY))
        other.close()

        assert seen == [None, None, None, None, 4 * len(MANY_PARTS)]

    # -- again

    def test_writing_the_same_again_is_fine(self, driver: Driver) -> None:
        put(driver, KEY, MANY_PARTS)
        put(driver, KEY, MANY_PARTS)

        assert read(driver, KEY) == MANY_PARTS
        assert keys(driver) == {KEY}

    @pytest.mark.parametrize("other", [b"other bytes", b"longer than what was there", b""])
    def test_writing_others_replaces(self, driver: Driver, other: bytes) -> None:
        put(driver, KEY, b"some bytes.")
        put(driver, KEY, other)

        assert read(driver, KEY) == other

    def test_several_write_different_keys_at_once(self, driver: Driver) -> None:
        contents = {f"objects/{number % 7:02x}/{number:062x}": os.urandom(20_000 + number) for number in range(24)}
        in_threads(driver, contents.items())

        assert {key: read(driver, key) for key in contents} == contents

    def test_several_write_the_same_key_at_once(self, place: Place) -> None:
        data = os.urandom(300_000)
        drivers = [place() for _ in range(4)]
        together = threading.Barrier(4)

        def write(driver: Driver) -> None:
            together.wait()
            put(driver, KEY, data)

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, drivers))

        assert read(drivers[0], KEY) == data
        assert keys(drivers[0]) == {KEY}
        for driver in drivers:
            driver.close()

    # -- listing and deleting

    def test_all_is_listed_with_its_size(self, driver: Driver) -> None:
        contents = {"gitrepro-store.yaml": b"format: 1\n", KEY: b"x" * 300, f"index/{'a' * 64}.idx": b""}
        for key, data in contents.items():
            put(driver, key, data)

        found = list(driver.list(""))

        assert {each.key: each.size_bytes for each in found} == {key: len(data) for key, data in contents.items()}
        assert len(found) == len(contents)

    def test_a_prefix_lists_what_is_below_it(self, driver: Driver) -> None:
        for key in ("index/a.idx", "index/b.idx", "index2/c.idx", "objects/ab/1", "objects/ac/2"):
            put(driver, key, b"x")

        assert keys(driver, "index/") == {"index/a.idx", "index/b.idx"}
        assert keys(driver, "objects/") == {"objects/ab/1", "objects/ac/2"}
        assert keys(driver, "objects/ab/") == {"objects/ab/1"}
        assert keys(driver, "roots/") == set()

    @pytest.mark.parametrize("prefix", ["index", "/", "../", "a/../"])
    def test_what_is_no_prefix_is_refused(self, driver: Driver, prefix: str) -> None:
        with pytest.raises(UsageError):
            keys(driver, prefix)

    def test_the_time_that_is_listed_is_that_of_the_writing(self, driver: Driver) -> None:
        put(driver, "index/a.idx", b"x")
        (first,) = driver.list("index/")

        assert first.modified_at > 1_600_000_000

    def test_many_keys_are_listed_each_once(self, driver: Driver) -> None:
        names = [f"index/{number:064x}.idx" for number in range(40)]
        in_threads(driver, [(name, b"x") for name in names])

        assert sorted(each.key for each in driver.list("index/")) == names

    def test_what_is_deleted_is_gone_and_the_rest_stays(self, driver: Driver) -> None:
        for key in ("objects/ab/1", "objects/ab/2", "index/3"):
            put(driver, key, b"x")
        driver.delete(["objects/ab/1", "index/3"])

        assert keys(driver) == {"objects/ab/2"}
        assert driver.size("index/3") is None

    def test_deleting_what_is_not_there_is_fine(self, driver: Driver) -> None:
        put(driver, "objects/ab/1", b"x")
        driver.delete(["objects/ab/1", "objects/ab/1", "objects/zz/9", "nowhere/at/all"])
        driver.delete([])

        assert keys(driver) == set()

    def test_what_was_deleted_can_be_written_anew(self, driver: Driver) -> None:
        put(driver, KEY, b"old")
        driver.delete([KEY])
        put(driver, KEY, b"new")

        assert read(driver, KEY) == b"new"

    @pytest.mark.parametrize("key", ["/etc/x", "../x", "a//b", "a/", ".x"])
    def test_nothing_is_written_or_deleted_outside(self, driver: Driver, key: str) -> None:
        with pytest.raises(UsageError):
            put(driver, key, b"x")
        with pytest.raises(UsageError):
            driver.delete([key])


def in_threads(driver: Driver, contents: Iterable[tuple[str, bytes]]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: put(driver, *each), contents))
