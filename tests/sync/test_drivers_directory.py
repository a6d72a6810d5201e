"""A store remote in a folder: whole files or none, no links followed, and what stands in the way is named."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrepro.errors import Damaged, RemoteError
from gitrepro.sync.blobs.driver import KeyMissing
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from tests.sync.contract import KEY, Place, WritingContract, keys, put, read


class TestTheContract(WritingContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return lambda: DirectoryDriver(tmp_path / "remote")


@pytest.fixture
def driver(tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "remote")


def test_a_key_is_a_file_that_nobody_writes_to(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"some bytes")

    assert (driver.root / KEY).read_bytes() == b"some bytes"
    assert stat.S_IMODE((driver.root / KEY).stat().st_mode) == 0o444


def test_nothing_else_is_left_behind(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"some bytes")
    put(driver, KEY, b"others")

    assert [path for path in driver.root.rglob("*") if path.is_file()] == [driver.root / KEY]


def test_folders_give_a_team_what_the_root_gives_it(driver: DirectoryDriver) -> None:
    driver.root.mkdir()
    driver.root.chmod(0o2775)
    before = os.umask(0o077)
    try:
        put(driver, KEY, b"x")
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in driver.root.rglob("*") if path.is_dir()} == {0o2775}


def test_equal_bytes_that_are_there_stay_and_become_young(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"some bytes")
    os.utime(driver.root / KEY, (1, 1))
    before = (driver.root / KEY).stat()
    put(driver, KEY, b"some bytes")
    after = (driver.root / KEY).stat()

    assert after.st_ino == before.st_ino
    assert after.st_mtime > time.time() - 3600


def test_equal_length_and_other_bytes_make_way(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"some bytes")
    (driver.root / KEY).chmod(0o644)
    (driver.root / KEY).write_bytes(b"s0me bytes")
    put(driver, KEY, b"some bytes")

    assert read(driver, KEY) == b"some bytes"


# -- links


def test_a_link_in_the_place_of_a_file_is_not_followed(driver: DirectoryDriver, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (driver.root / "objects" / "ab").mkdir(parents=True)
    (driver.root / KEY).symlink_to(tmp_path / "secret")

    with pytest.raises(Damaged, match="no plain file"):
        read(driver, KEY)
    with pytest.raises(Damaged, match="no plain file"):
        driver.size(KEY)
    assert keys(driver) == set()


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_written_through(
    driver: DirectoryDriver, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("precious")
    (driver.root / "objects" / "ab").mkdir(parents=True)
    (driver.root / KEY).symlink_to(tmp_path / "precious")
    put(driver, KEY, b"some bytes")

    assert read(driver, KEY) == b"some bytes"
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_in_the_place_of_a_folder_is_not_followed(driver: DirectoryDriver, tmp_path: Path) -> None:
    (tmp_path / "outside" / "ab").mkdir(parents=True)
    (tmp_path / "outside" / "ab" / KEY[-62:]).write_text("secret")
    driver.root.mkdir()
    (driver.root / "objects").symlink_to(tmp_path / "outside")

    for act in (lambda: read(driver, KEY), lambda: put(driver, KEY, b"x"), lambda: driver.delete([KEY])):
        with pytest.raises(RemoteError):
            act()
    assert (tmp_path / "outside" / "ab" / KEY[-62:]).read_text() == "secret"
    assert keys(driver) == set()


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put(DirectoryDriver(tmp_path / "link"), KEY, b"x")

    assert (tmp_path / "real" / KEY).read_bytes() == b"x"


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(driver: DirectoryDriver) -> None:
    (driver.root / "objects" / "ab").mkdir(parents=True)
    os.mkfifo(driver.root / KEY)

    with pytest.raises(Damaged, match="no plain file"):
        read(driver, KEY)


# -- what stands in the way


def test_a_place_that_is_not_mounted_is_not_an_empty_one(tmp_path: Path) -> None:
    driver = DirectoryDriver(tmp_path / "not mounted" / "remote")
    acts = (
        lambda: read(driver, KEY),
        lambda: driver.size(KEY),
        lambda: keys(driver),
        lambda: put(driver, KEY, b"x"),
        lambda: driver.delete([KEY]),
    )
    for act in acts:
        with pytest.raises(RemoteError, match="is not there") as caught:
            act()
        assert "mount" in caught.value.do
    assert not (tmp_path / "not mounted").exists()


def test_a_file_in_the_place_of_the_root_is_named(tmp_path: Path) -> None:
    (tmp_path / "remote").write_text("a file")

    with pytest.raises(RemoteError, match="Not a directory"):
        put(DirectoryDriver(tmp_path / "remote"), KEY, b"x")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_keeps_what_it_has_and_is_named(small_disk: Path) -> None:
    driver = DirectoryDriver(small_disk / "remote")
    put(driver, "index/a", b"x" * 1000)
    with pytest.raises(RemoteError, match="No space left") as caught:
        driver.write(KEY, (b"y" * 65536 for _ in range(32)), 32 * 65536)

    assert "free some space" in caught.value.do
    assert keys(driver) == {"index/a"}
    assert list((driver.root / "incoming").iterdir()) == []
    put(driver, KEY, b"z" * 500_000)
    assert driver.size(KEY) == 500_000


def test_a_read_only_place_is_read_and_named(small_disk: Path) -> None:
    driver = DirectoryDriver(small_disk / "remote")
    put(driver, KEY, b"x")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    assert read(driver, KEY) == b"x"
    for act in (lambda: put(DirectoryDriver(driver.root), "index/a", b"y"), lambda: driver.delete([KEY])):
        with pytest.raises(RemoteError, match="Read-only file system") as caught:
            act()
        assert "another store remote" in caught.value.do


NOBODY = """
import os, sys
from pathlib import Path
from gitrepro.errors import Damaged, RemoteError
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
os.setuid(65534)
driver = DirectoryDriver(Path(sys.argv[1]))
print(b"".join(driver.read("index/a")).decode())
try:
    driver.write("index/b", [b"x"], 1)
except RemoteError as error:
    print(error.why, "|", error.do)
"""


def test_a_place_of_somebody_else_is_read_and_named() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be somebody else")
    place = Path(os.path.realpath(f"/tmp/gitrepro-test-{os.getpid()}-{os.urandom(4).hex()}"))
    place.mkdir(mode=0o755)
    try:
        put(DirectoryDriver(place), "index/a", b"read me")
        done = subprocess.run([sys.executable, "-c", NOBODY, place], capture_output=True, text=True)
    finally:
        shutil.rmtree(place)

    assert done.stdout.splitlines()[0] == "read me", done.stderr
    assert re.match(r"Permission denied \| ask whose folder it is", done.stdout.splitlines()[1])


# -- leftovers


def test_what_dead_writers_left_is_removed_after_a_day_and_nothing_else(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"x")
    incoming = driver.root / "incoming"
    (incoming / ".tmp-old-1-000000000000").write_text("torn")
    (incoming / ".tmp-new-1-000000000000").write_text("being written")
    (incoming / "notes of a person").write_text("mine")
    for name, hours in ((".tmp-old-1-000000000000", 25), (".tmp-new-1-000000000000", 23), ("notes of a person", 99)):
        os.utime(incoming / name, (time.time() - hours * 3600,) * 2)
    put(DirectoryDriver(driver.root), KEY, b"x")

    assert sorted(path.name for path in incoming.iterdir()) == [".tmp-new-1-000000000000", "notes of a person"]


def test_what_is_being_written_and_what_has_no_key_is_in_no_list(driver: DirectoryDriver) -> None:
    put(driver, KEY, b"x")
    (driver.root / "objects" / "ab" / ".tmp-other-1-000000000000").write_text("torn")
    (driver.root / "notes of a person.txt").write_text("mine")

    assert keys(driver) == {KEY}


WRITER = """
import os, sys
from pathlib import Path
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
driver = DirectoryDriver(Path(sys.argv[1]))
print("ready", flush=True)
number = 0
while True:
    driver.write(f"objects/{number % 16:02x}/{number:062x}", [bytes([number % 256]) * 65536] * 8, 8 * 65536)
    number += 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 3, 8])
def test_a_writer_that_is_killed_leaves_whole_files_alone(driver: DirectoryDriver, after: int) -> None:
    driver.root.mkdir()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, driver.root], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(after + 1):
        writer.stdout.readline()
    writer.kill()
    writer.wait()

    found = list(driver.list(""))
    assert len(found) >= after
    for each in found:
        number = int(each.key[-62:], 16)
        assert read(driver, each.key) == bytes([number % 256]) * (8 * 65536)


def test_a_key_that_is_missing_is_told_by_its_name(driver: DirectoryDriver) -> None:
    with pytest.raises(KeyMissing, match=KEY):
        read(driver, KEY)
