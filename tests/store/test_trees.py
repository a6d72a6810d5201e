"""Trees in the store: written and read back, looked up, compared without reading what is equal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitrepro.errors import BlobMissing, Damaged, NotFound, Unsafe
from gitrepro.records.manifest import EMPTY, FILE, FOLDER, PROGRAM, FileEntry, ShardRef, dump_shard, root_of
from gitrepro.store import trees
from gitrepro.store.objects import BlobStore, digest_of

A, B = digest_of([b"a"]), digest_of([b"b"])


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def file(path: bytes, digest: str = A) -> FileEntry:
    return FileEntry(path, digest, 1, FILE)


def many(count: int = 5000) -> list[FileEntry]:
    return [file(b"f%05d" % number) for number in range(count)]


def blobs(store: BlobStore) -> set[str]:
    return set(store.names())


def forged(store: BlobStore, entries: list[FileEntry]) -> str:
    """A tree that nobody here would write."""
    shard = store.put(dump_shard(entries))
    ref = ShardRef(shard, len(entries), sum(entry.size_bytes for entry in entries), entries[0].path)
    return store.put(root_of([ref]).dump())


def test_a_tree_comes_back_entry_by_entry(store: BlobStore) -> None:
    with store.batch() as batch:
        info = trees.write_tree(batch, iter(many()))
    assert (info.files, info.size_bytes) == (5000, 5000)
    assert trees.read_tree(store, info.digest) == info
    assert list(trees.entries(store, info.digest)) == many()


def test_the_same_files_are_the_same_tree_however_they_come(store: BlobStore) -> None:
    def one_by_one() -> Iterator[FileEntry]:
        yield from many()

    assert trees.write_tree(store, one_by_one()) == trees.write_tree(store, many())


def test_a_tree_of_nothing_is_a_tree(store: BlobStore) -> None:
    info = trees.write_tree(store, [])
    assert (info.files, list(trees.entries(store, info.digest))) == (0, [])
    assert trees.find(store, info.digest, b"a") is None


def test_one_changed_file_rewrites_one_shard_and_the_root(store: BlobStore) -> None:
    old = trees.write_tree(store, many(20_000))
    before = blobs(store)
    new = trees.write_tree(
        store, [entry if at != 7000 else file(entry.path, B) for at, entry in enumerate(many(20_000))]
    )
    assert len(before) > 10
    assert len(blobs(store) - before) == 2
    assert [change.path for change in trees.changed(store, old.digest, new.digest)] == [b"f07000"]


def test_entries_out_of_order_and_names_that_do_harm_are_not_written(store: BlobStore) -> None:
    for entries in ([file(b"b"), file(b"a")], [file(b"a"), file(b"a")], [file(b"../a")], [file(b".git/config")]):
        with pytest.raises(Unsafe):
            trees.write_tree(store, entries)


def test_one_entry_is_found_in_one_shard(store: BlobStore) -> None:
    info = trees.write_tree(store, [*many(), FileEntry(b"g/", EMPTY, 0, FOLDER), FileEntry(b"run", B, 1, PROGRAM)])
    refs = trees.read_root(store, info.digest).shards
    for ref in refs[1:-1]:
        store.path(ref.digest).unlink()
    assert trees.find(store, info.digest, b"f00000") == file(b"f00000")
    assert trees.find(store, info.digest, b"run") == FileEntry(b"run", B, 1, PROGRAM)
    assert trees.find(store, info.digest, b"g/") is not None
    for path in (b"", b"f0000", b"g", b"zzz"):
        assert trees.find(store, info.digest, path) is None


def test_equal_shards_are_not_read_to_tell_two_trees_apart(store: BlobStore) -> None:
    old = trees.write_tree(store, many())
    new = trees.write_tree(store, [*many()[:-1], file(b"f99999")])
    both = {ref.digest for ref in trees.read_root(store, old.digest).shards}
    both &= {ref.digest for ref in trees.read_root(store, new.digest).shards}
    assert both
    for digest in both:
        store.path(digest).unlink()
    assert list(trees.changed(store, old.digest, new.digest)) == [
        (b"f04999", file(b"f04999"), None),
        (b"f99999", None, file(b"f99999")),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), base=st.integers(0, 3000))
def test_what_differs_is_what_a_plain_comparison_finds(store: BlobStore, data: st.DataObject, base: int) -> None:
    old = {entry.path: entry for entry in many(base)}
    new = dict(old)
    for number in data.draw(st.lists(st.integers(0, 3100), max_size=5)):
        path = b"f%05d" % number
        kind = data.draw(st.sampled_from(["remove", "change", "mode"]))
        if kind == "remove":
            new.pop(path, None)
        else:
            new[path] = FileEntry(path, B if kind == "change" else A, 1, FILE if kind == "change" else PROGRAM)
    one, two = (trees.write_tree(store, sorted(each.values())).digest for each in (old, new))
    wanted = [(p, old.get(p), new.get(p)) for p in sorted({*old, *new}) if old.get(p) != new.get(p)]
    assert list(trees.changed(store, one, two)) == wanted


def test_paths_and_folders_are_selected(store: BlobStore) -> None:
    paths = [b"a/1", b"a/2", b"ab", b"b/c/1", b"b/d"]
    info = trees.write_tree(store, map(file, paths))

    def selected(*wanted: bytes) -> list[bytes]:
        return [entry.path for _, found in trees.selected(store, info.digest, wanted) for entry in found]

    assert selected(b"a") == [b"a/1", b"a/2"]
    assert selected(b"a/", b"a/1", b"b/c/1") == [b"a/1", b"a/2", b"b/c/1"]
    assert selected(b"b") == [b"b/c/1", b"b/d"]
    with pytest.raises(NotFound, match="a/3 is not in the data"):
        selected(b"a/3", b"ab")


def test_a_missing_shard_is_told_of(store: BlobStore) -> None:
    info = trees.write_tree(store, many())
    store.path(trees.read_root(store, info.digest).shards[2].digest).unlink()
    with pytest.raises(BlobMissing):
        list(trees.entries(store, info.digest))


def test_a_damaged_shard_is_told_of(store: BlobStore) -> None:
    info = trees.write_tree(store, many())
    path = store.path(trees.read_root(store, info.digest).shards[0].digest)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"f00001", b"f00000"))
    with pytest.raises(Damaged):
        list(trees.entries(store, info.digest))


def test_swapped_shards_are_damage(store: BlobStore) -> None:
    refs = trees.read_root(store, trees.write_tree(store, many()).digest).shards
    swapped = [refs[1]._replace(first=refs[0].first), refs[0]._replace(first=refs[1].first), *refs[2:]]
    digest = store.put(root_of(swapped).dump())
    with pytest.raises(Damaged, match="not the one that the root tells of"):
        list(trees.entries(store, digest))


@pytest.mark.parametrize(
    "entries",
    [
        [file(b"../up")],
        [file(b"/etc/passwd")],
        [file(b".git/hooks/pre-commit")],
        [file(b"a/.GIT/config")],
        [file(b"a"), file(b"a/b")],
        [file(b"a"), file(b"a")],
        [file(b"b"), file(b"a")],
    ],
)
def test_a_forged_tree_is_damage_wherever_it_is_read(store: BlobStore, entries: list[FileEntry]) -> None:
    digest, good = forged(store, entries), trees.write_tree(store, many(3)).digest
    for read in (
        lambda: list(trees.entries(store, digest)),
        lambda: trees.find(store, digest, entries[0].path),
        lambda: list(trees.changed(store, good, digest)),
        lambda: list(trees.selected(store, digest, [b"a"])),
    ):
        with pytest.raises(Damaged):
            read()


def test_what_is_no_tree_is_damage(store: BlobStore) -> None:
    with pytest.raises(Damaged, match="does not begin"):
        trees.read_tree(store, store.put(b"just a file"))
