"""Walking through a folder: everything in it, in the order of a manifest, and nothing that is not to be taken."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.errors import GitreproError, Unsafe
from gitrepro.store.scan import Scan, matcher
from gitrepro.store.statcache import EMPTY_FOLDER, STAT


def scanned(folder: Path, *ignore: str, follow: bool = False, skip: Path | None = None) -> tuple[list[bytes], Scan]:
    fd = os.open(folder, os.O_RDONLY)
    try:
        left_out = frozenset({(skip.stat().st_dev, skip.stat().st_ino)} if skip else ())
        scan = Scan(root_fd=fd, place="here", follow=follow, ignored=matcher(ignore), skip=left_out)
        return [run.prefix + name for run in scan.runs() for name in run.names], scan
    finally:
        os.close(fd)


def paths(folder: Path, *ignore: str, follow: bool = False) -> list[bytes]:
    return scanned(folder, *ignore, follow=follow)[0]


def make(folder: Path, *names: str | bytes) -> Path:
    for name in names:
        path = folder / os.fsdecode(name)
        is_folder = os.fsencode(name).endswith(b"/")
        (path if is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            path.touch(exist_ok=False)
    return folder


def test_files_come_in_the_order_of_their_whole_paths(tmp_path: Path) -> None:
    make(tmp_path, "b", "a/z", "a.txt", "a/b/c", "a-b", "a0", "c/")
    assert paths(tmp_path) == [b"a-b", b"a.txt", b"a/b/c", b"a/z", b"a0", b"b", b"c/"]


NAMES = st.binary(min_size=1, max_size=4).filter(
    lambda name: not {0, 47} & set(name) and name not in (b".", b"..", b".git")
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=15))
def test_whatever_they_are_called_they_come_in_order_each_once(
    tmp_path_factory: pytest.TempPathFactory, wanted: set[tuple[bytes, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    folders = {each[:count] for each in wanted for count in range(1, len(each))}
    files = wanted - folders
    make(folder, *(b"/".join(each) for each in files))
    assert paths(folder) == sorted(b"/".join(each) for each in files)


def test_each_has_the_stat_that_the_system_gives(tmp_path: Path) -> None:
    make(tmp_path, "a/b", "c/")
    (tmp_path / "link").symlink_to("a/b")
    fd = os.open(tmp_path, os.O_RDONLY)
    found = {
        run.prefix + name: packed
        for run in Scan(root_fd=fd, place="here").runs()
        for name, packed in zip(run.names, run.stats, strict=True)
    }
    os.close(fd)
    seen = (tmp_path / "a/b").stat()
    assert STAT.unpack(found[b"a/b"]) == (
        seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_mode
    )  # fmt: skip
    assert stat.S_ISLNK(STAT.unpack(found[b"link"])[5])
    assert found[b"c/"] == EMPTY_FOLDER


def test_a_folder_of_more_files_than_are_looked_at_at_once_is_whole(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number:05}" for number in range(2500)), "01000.d/x")
    assert len(paths(tmp_path)) == 2501
    assert paths(tmp_path) == sorted(paths(tmp_path))


def test_git_and_what_a_restore_left_behind_are_not_looked_at(tmp_path: Path) -> None:
    make(
        tmp_path,
        ".git/config",
        ".gitignore",
        ".gitrepro-part-0",
        ".gitrepro-part-ab12/x",
        "sub/.git",
        "sub/a",
        ".gitx/b",
    )
    assert paths(tmp_path) == [b".gitignore", b".gitx/b", b"sub/a"]


def test_the_store_in_the_folder_is_left_out_and_it_is_said(tmp_path: Path) -> None:
    make(tmp_path, "a", "s/objects/b")
    found, scan = scanned(tmp_path, skip=tmp_path / "s")
    assert found == [b"a"]
    assert scan.notes == ["here/s is left out: the content store is in it"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.tmp", ["a", "d/b", "d/tmp/c"]),
        ("tmp", ["a", "a.tmp", "d/b", "d/b.tmp"]),
        ("tmp/", ["a", "a.tmp", "d/b", "d/b.tmp"]),
        ("a/", ["a", "a.tmp", "d/b", "d/b.tmp", "d/tmp/c"]),
        ("d/b", ["a", "a.tmp", "d/b.tmp", "d/tmp/c"]),
        ("/a", ["a.tmp", "d/b", "d/b.tmp", "d/tmp/c"]),
        ("/b", ["a", "a.tmp", "d/b", "d/b.tmp", "d/tmp/c"]),
        ("[ab]", ["a.tmp", "d/b.tmp", "d/tmp/c"]),
        ("d", ["a", "a.tmp"]),
    ],
)
def test_patterns_leave_out_what_they_name(tmp_path: Path, pattern: str, left: list[str]) -> None:
    make(tmp_path, "a", "a.tmp", "d/b", "d/b.tmp", "d/tmp/c")
    assert [path.decode() for path in paths(tmp_path, pattern)] == left


def test_names_that_some_system_takes_for_one_are_told_of(tmp_path: Path) -> None:
    make(tmp_path, "d/Readme", "d/README", "e/caf\u00e9", "e/cafe\u0301", "straße", "STRASSE", "one", "two")
    found, scan = scanned(tmp_path)
    assert len(found) == 8
    assert [note.split(" are ")[1] for note in scan.notes] == ["one name to macOS or Windows"] * 3
    assert "here/d/README and here/d/Readme" in scan.notes[1]


def test_links_are_not_followed_unless_asked(tmp_path: Path) -> None:
    make(tmp_path, "in/d/a", "out/b")
    (tmp_path / "in/link").symlink_to("../out")
    (tmp_path / "in/file").symlink_to("../out/b")
    assert paths(tmp_path / "in") == [b"d/a", b"file", b"link"]
    assert paths(tmp_path / "in", follow=True) == [b"d/a", b"file", b"link/b"]


def test_a_link_that_leads_back_is_refused_when_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c")
    (tmp_path / "a/b/up").symlink_to("../..")
    with pytest.raises(Unsafe, match="here/a/b/up leads back"):
        paths(tmp_path, follow=True)


def test_a_link_that_leads_nowhere_is_refused_when_links_are_followed(tmp_path: Path) -> None:
    make(tmp_path, "a/b")
    (tmp_path / "a/c").symlink_to("gone")
    with pytest.raises(Unsafe, match="here/a/c leads nowhere"):
        paths(tmp_path, follow=True)
    assert paths(tmp_path) == [b"a/b", b"a/c"]


def test_a_link_to_itself_is_an_error_and_no_crash_when_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(GitreproError, match="here"):
        paths(tmp_path, follow=True)


def test_a_deep_folder_needs_few_descriptors(tmp_path: Path) -> None:
    program = """
import os, resource, sys
from gitrepro.store.scan import Scan
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
root = os.open(sys.argv[1], os.O_RDONLY)
fd = os.dup(root)
for depth in range(300):
    os.mkdir("d", dir_fd=fd)
    for name in ("c", "e"):
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    below = os.open("d", os.O_RDONLY, dir_fd=fd)
    os.close(fd)
    fd = below
found = [run.prefix + name for run in Scan(root_fd=root, place="x").runs() for name in run.names]
assert found == sorted(found) and len(found) == 601, len(found)
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_a_file_that_goes_while_the_folder_is_walked_is_not_there(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number:05}" for number in range(1500)))
    fd = os.open(tmp_path, os.O_RDONLY)
    runs = Scan(root_fd=fd, place="here").runs()
    first = next(runs)
    (tmp_path / "01400").unlink()
    found = first.names + [name for run in runs for name in run.names]
    os.close(fd)
    assert len(found) == 1499


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    make(tmp_path, "d/a")
    (tmp_path / "d").chmod(0)
    try:
        with pytest.raises(GitreproError, match="cannot read here/d"):
            paths(tmp_path)
    finally:
        (tmp_path / "d").chmod(0o755)
