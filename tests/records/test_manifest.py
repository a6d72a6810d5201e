"""Manifests: the bytes they are, what is refused in them, and that no path or link leads out of a folder."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, GitreproError, TooNew
from gitrepro.records import manifest
from gitrepro.records.filename import escape, fault_of, fault_of_link, unescape
from gitrepro.records.manifest import (
    EMPTY,
    FILE,
    FOLDER,
    LINK,
    PROGRAM,
    FileEntry,
    Root,
    Sequenced,
    ShardRef,
    dump_shard,
    load_root,
    load_shard,
    root_of,
    shard_length,
)

A, B = "b3:" + "a1" * 32, "b3:" + "b2" * 32
PARTS = st.binary(min_size=1, max_size=12).filter(lambda part: not fault_of(part) and b"/" not in part)
PATHS = st.lists(PARTS, min_size=1, max_size=3).map(b"/".join)
DIGESTS = st.binary(min_size=32, max_size=32).map(lambda name: f"b3:{name.hex()}")
ENTRIES = st.builds(FileEntry, PATHS, DIGESTS, st.integers(0, 2**40), st.sampled_from([FILE, PROGRAM]))


def judged(entries: list[FileEntry], *, ref: ShardRef | None = None) -> None:
    ref = ref or ShardRef(A, len(entries), sum(entry.size_bytes for entry in entries), entries[0].path)
    Sequenced("here").take(entries, ref)


def file(path: bytes, size_bytes: int = 1) -> FileEntry:
    return FileEntry(path, A, size_bytes, FILE)


# -- the bytes


def test_a_shard_is_these_bytes() -> None:
    entries = [
        FileEntry(b"a b.txt", A, 12, FILE),
        FileEntry(b"empty/", EMPTY, 0, FOLDER),
        FileEntry(b"run.sh", B, 3, PROGRAM),
        FileEntry("é\\\n\xff".encode("latin-1"), A, 7, LINK),
    ]
    assert dump_shard(entries).decode() == (
        "gitrepro tree-shard 1\n"
        f"{'a1' * 32} 12 100644 a b.txt\n"
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262 0 040000 empty/\n"
        f"{'b2' * 32} 3 100755 run.sh\n"
        f"{'a1' * 32} 7 120000 \\xe9\\\\\\x0a\\xff\n"
    )
    assert load_shard(dump_shard(entries), source="here") == entries
    judged(entries)


def test_a_root_is_these_bytes() -> None:
    root = Root(files=5, size_bytes=9, shards=(ShardRef(A, 2, 4, b"a"), ShardRef(B, 3, 5, b"b\xff")))
    assert root.dump().decode() == (f"gitrepro tree 1\nfiles 5\nsize 9\n{'a1' * 32} 2 4 a\n{'b2' * 32} 3 5 b\\xff\n")
    assert load_root(root.dump(), source="here") == root


def test_a_tree_of_nothing_is_a_root_without_shards() -> None:
    assert root_of([]).dump() == b"gitrepro tree 1\nfiles 0\nsize 0\n"
    assert load_root(b"gitrepro tree 1\nfiles 0\nsize 0\n", source="here") == root_of([])


@given(st.lists(ENTRIES, min_size=1, max_size=20, unique_by=lambda entry: entry.path))
def test_every_shard_comes_back_as_it_was(entries: list[FileEntry]) -> None:
    entries.sort()
    assert load_shard(dump_shard(entries), source="here") == entries


@given(st.binary(max_size=40))
def test_every_path_is_one_line_of_text_and_comes_back(path: bytes) -> None:
    text = escape(path)
    assert unescape(text) == path
    assert "\n" not in text and "\0" not in text
    text.encode()


@pytest.mark.parametrize("text", ["\\", "a\\b", "\\x41", "\\xFF", "\\xc3\\xa9", "\n", "\x7f", "\\x5c", "\\x0"])
def test_a_path_that_is_written_in_another_way_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not how a path is written"):
        unescape(text)


# -- where a shard ends


def test_a_shard_ends_where_the_path_says_so() -> None:
    paths = [b"%06d" % number for number in range(8000)]
    ends = next(at for at, path in enumerate(paths) if zlib.crc32(path) & 1023 == 0)
    assert shard_length(paths) == ends + 1
    assert shard_length(paths[:ends]) is None


def test_a_shard_ends_after_4096_entries_at_the_latest() -> None:
    paths = [path for path in (b"%06d" % number for number in range(9000)) if zlib.crc32(path) & 1023]
    assert shard_length(paths) == 4096
    assert shard_length(paths[:4095]) is None


def test_a_shard_of_the_longest_paths_stays_below_what_is_read() -> None:
    long = [b"%04d" % number + b"/\xff".join([b"\xff" * 200] * 19) for number in range(4096)]
    count = shard_length(long)
    assert count is not None
    data = dump_shard(FileEntry(path, A, 2**63 - 1, FILE) for path in long[:count])
    assert len(data) < manifest.SHARD_BYTES_AT_MOST
    assert len(load_shard(data, source="here")) == count


@given(st.integers(0, 2999), st.sampled_from([b"", b"x", b"000"]))
def test_a_new_file_moves_no_more_than_one_end(number: int, more: bytes) -> None:
    paths = [b"%05d" % each for each in range(3000)]
    grown = sorted({*paths, b"%05d%s" % (number, more)})
    ends, ends_then = ({shard[-1] for shard in cut(each)} for each in (paths, grown))
    assert len(ends ^ ends_then) <= 2


def cut(paths: list[bytes]) -> list[list[bytes]]:
    found = []
    while paths:
        count = shard_length(paths) or len(paths)
        found.append(paths[:count])
        paths = paths[count:]
    return found


# -- names that could do harm


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/etc/passwd",
        b"a//b",
        b"a/",
        b".",
        b"..",
        b"a/../b",
        b"./a",
        b"a/.",
        b"a\0b",
        b".git",
        b"a/.git/config",
        b".GIT",
        b".Git/hooks/post-checkout",
        b"git~1",
        b"GIT~1/config",
        ".g\u200cit/config".encode(),
        "\ufeff.git".encode(),
        b".git ",
        b".git...",
        b".git::$INDEX_ALLOCATION/config",
        b"a" * 256,
        b"/".join([b"a" * 200] * 21),
    ],
)
def test_a_name_that_could_do_harm_is_refused(path: bytes) -> None:
    assert fault_of(path)
    with pytest.raises(Damaged, match="cannot be used"):
        judged([file(path + b"/x" if path.endswith(b"/") else path)])


@pytest.mark.parametrize(
    "path",
    [
        b"a",
        b"a/b.txt",
        b".gitignore",
        b".gitmodules/x",
        b".github/a",
        b"git~10",
        b"a.git",
        b"..a",
        b"...",
        b"a..b",
        b"con",
        b"a\\b",
        b"\xff\xfe",
        b"\n",
        b" ",
        b"-rf",
        b"a" * 255,
        b"/".join([b"a" * 200] * 20),
    ],
)
def test_an_odd_name_that_does_no_harm_is_taken(path: bytes) -> None:
    assert fault_of(path) == ""
    judged([file(path)])


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (b"a", b"/etc/passwd"),
        (b"a", b".."),
        (b"a", b"../b"),
        (b"d/a", b"../../b"),
        (b"d/a", b".././../b"),
        (b"a", b"b/../../c"),
        (b"a", b"b/../c"),  # b may be a link itself
        (b"a", b".git/config"),
        (b"a", b""),
        (b"a", b"b\0c"),
        (b"a", b"x" * 5000),
    ],
)
def test_a_link_that_may_lead_out_is_refused(path: bytes, text: bytes) -> None:
    assert fault_of_link(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [(b"a", b"b"), (b"a", b"b/c"), (b"a", b"./b"), (b"d/a", b"../b"), (b"d/e/a", b"../../b/c"), (b"a", b"b//c/")],
)
def test_a_link_that_stays_inside_is_taken(path: bytes, text: bytes) -> None:
    assert fault_of_link(path, text) == ""


@given(data=st.data())
def test_no_links_that_are_taken_lead_out_together(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    inside = tmp_path_factory.mktemp("out") / "in"
    folders = ["", "p/", "p/q/", "p/q/r/"]
    (inside / folders[-1]).mkdir(parents=True)
    part = st.sampled_from(["..", ".", "p", "q", "r", "l0", "l1", "l2", "l3"])
    paths = [inside / data.draw(st.sampled_from(folders)) / f"l{number}" for number in range(4)]
    for path in paths:
        text = "/".join(data.draw(st.lists(part, min_size=1, max_size=5)))
        if not fault_of_link(os.fsencode(path.relative_to(inside)), text.encode()):
            path.symlink_to(text)
    for path in paths:
        for tail in ("", "l0", "l1", "l2", "l3"):
            found = Path(os.path.realpath(path / tail))
            assert found == inside or inside in found.parents


# -- what is no manifest

ROOT = Root(files=5, size_bytes=9, shards=(ShardRef(A, 2, 4, b"a"), ShardRef(B, 3, 5, b"b"))).dump()
SHARD = dump_shard([file(b"a"), file(b"b", 22), FileEntry(b"c\xff", B, 333, PROGRAM)])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"gitrepro tree 1",
        b"gitrepro tree 1\n",
        b"gitrepro tree-shard 1\nfiles 0\nsize 0\n",
        b"\xff" * 100,
        ROOT[:-1],
        ROOT + b"\n",
        ROOT + b"more\n",
        ROOT.replace(b"files 5", b"files 6"),
        ROOT.replace(b"files 5", b"files 05"),
        ROOT.replace(b"size 9", b"size 8"),
        ROOT.replace(b" 2 4 a", b" 2 4 c"),  # out of order
        ROOT.replace(b" 2 4 a", b" 2 4 b"),  # twice
        ROOT.replace(b" 2 4 a", b" 2  4 a"),
        ROOT.replace(b" 2 4 a", b" 2 4 \\x61"),
        ROOT.replace(b"a1a1", b"A1a1"),
        ROOT.replace(b"\n", b"\r\n"),
        ROOT.replace(b"files 5", b"files 3").replace(b" 2 4 a", b" 0 4 a"),
        ROOT.replace(b"files 5", b"files 4100").replace(b" 2 4 a", b" 4097 4 a"),
        root_of([ShardRef(A, 1, 2**62, b"a"), ShardRef(B, 1, 2**62, b"b")]).dump(),
    ],
)
def test_what_is_no_root_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        load_root(data, source="here")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"gitrepro tree 1\n",
        SHARD[:-1],
        SHARD + b"\n",
        SHARD + b"x\n",
        SHARD.replace(b"100644 a", b"100600 a"),
        SHARD.replace(b"100644 a", b"104755 a"),  # setuid
        SHARD.replace(b"1 100644 a", b"-1 100644 a"),
        SHARD.replace(b"1 100644 a", b"01 100644 a"),
        SHARD.replace(b"1 100644 a", b"99999999999999999999 100644 a"),
        SHARD.replace(b"\\xff", b"\xff"),
        SHARD.replace(b"\\xff", b"\\xFF"),
        SHARD.replace(b"100644 b", b"100644 b\x00"),
        SHARD.replace(b"100644 b", b"100644 "),
        SHARD.replace(b"a1a1", b"zza1a1"),
    ],
)
def test_what_is_no_shard_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        load_shard(data, source="here")


def test_more_than_a_manifest_may_have_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Damaged, match="at most"):
        load_shard(b"x" * (manifest.SHARD_BYTES_AT_MOST + 1), source="here")
    with pytest.raises(Damaged, match="at most"):
        load_root(b"x" * (manifest.ROOT_BYTES_AT_MOST + 1), source="here")


def test_a_later_format_is_told_from_damage() -> None:
    with pytest.raises(TooNew, match="later format"):
        load_root(ROOT.replace(b"tree 1", b"tree 2"), source="here")
    with pytest.raises(TooNew, match="later format"):
        load_shard(SHARD.replace(b"shard 1", b"shard 12"), source="here")


@pytest.mark.parametrize(
    "entries",
    [
        [file(b"b"), file(b"a")],
        [file(b"a"), file(b"a")],
        [file(b"a"), file(b"a/b")],
        [file(b"a"), file(b"a.txt"), file(b"a/b")],  # not neighbours
        [FileEntry(b"a/", EMPTY, 0, FOLDER), file(b"a/b")],
        [file(b"a"), FileEntry(b"a/", EMPTY, 0, FOLDER)],
        [FileEntry(b"a", EMPTY, 0, FOLDER)],
        [FileEntry(b"a/", A, 1, FILE)],
        [FileEntry(b"a/", A, 0, FOLDER)],
        [FileEntry(b"a/", EMPTY, 1, FOLDER)],
        [FileEntry(b"a", A, 0, LINK)],
        [FileEntry(b"a", A, 4096, LINK)],
    ],
)
def test_entries_that_do_not_fit_together_are_damage(entries: list[FileEntry]) -> None:
    with pytest.raises(Damaged):
        judged(entries)


def test_entries_that_do_not_fit_together_are_found_across_shards() -> None:
    judge = Sequenced("here")
    judge.take([file(b"a"), file(b"a.txt")], ShardRef(A, 2, 2, b"a"))
    with pytest.raises(Damaged, match="below it"):
        judge.take([file(b"a/b")], ShardRef(A, 1, 1, b"a/b"))


@pytest.mark.parametrize(
    "ref", [ShardRef(A, 2, 1, b"a"), ShardRef(A, 1, 2, b"a"), ShardRef(A, 1, 1, b"b")], ids=["files", "size", "first"]
)
def test_a_shard_that_is_not_what_the_root_tells_of_is_damage(ref: ShardRef) -> None:
    with pytest.raises(Damaged, match="not the one"):
        judged([file(b"a")], ref=ref)


@given(st.data(), st.sampled_from([ROOT, SHARD]))
def test_bytes_that_were_changed_are_damage_or_another_manifest(data: st.DataObject, good: bytes) -> None:
    at = data.draw(st.integers(0, len(good) - 1))
    upto = data.draw(st.integers(at, min(len(good), at + 8)))
    changed = good[:at] + data.draw(st.binary(max_size=8)) + good[upto:]
    assume(changed != good)
    try:
        found = load_root(changed, source="x").dump() if good is ROOT else dump_shard(load_shard(changed, source="x"))
    except GitreproError:
        return
    assert found == changed


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_a_parser_fail_in_another_way(data: bytes) -> None:
    for load, header in ((load_root, b"gitrepro tree 1\nfiles 1\nsize 1\n"), (load_shard, b"gitrepro tree-shard 1\n")):
        for each in (data, header + data):
            try:
                found = load(each, source="here")
            except Damaged:
                continue
            assert (found.dump() if isinstance(found, Root) else dump_shard(found)) == each
