"""Blobs to store remotes and back: few requests, whole or not at all, nothing wrong kept, finished by the next try."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitrepro.errors import Damaged, RemoteError, TooNew
from gitrepro.records.manifest import EMPTY
from gitrepro.store import trees
from gitrepro.store.objects import BlobStore, digest_of, packfile
from gitrepro.store.objects.packfile import PackWriter
from gitrepro.store.progress import Progress
from gitrepro.sync.blobs import fetch, layout, missing_there, send
from gitrepro.sync.blobs.counted import Counted
from gitrepro.sync.blobs.driver import Listed, NoListing
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.tables import parts, plan
from tests.store.stores import put_pieces, put_tree, spoil, truncate

MIB = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "mine")


@pytest.fixture
def other(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "other")


@pytest.fixture
def remote(tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "remote")


class WithoutListing:
    """A store remote as a plain web server is one: it can be read, and cannot say what it has."""

    def __init__(self, driver: DirectoryDriver) -> None:
        self._driver = driver
        self.url, self.read_only, self.parallel = driver.url, True, 4
        self.read, self.size, self.write = driver.read, driver.size, driver.write
        self.delete, self.close = driver.delete, driver.close

    def list(self, prefix: str) -> Iterator[Listed]:
        raise NoListing(prefix)


def small(store: BlobStore, count: int, *, size_bytes: int = 200, begin: int = 0) -> list[str]:
    with store.batch() as batch:
        return [batch.put(f"{number:8}".encode() * (size_bytes // 8)) for number in range(begin, begin + count)]


def files_of(remote: DirectoryDriver) -> dict[str, bytes]:
    return {each.key: (remote.root / each.key).read_bytes() for each in remote.list("")}


def one(remote: DirectoryDriver, kind: str) -> Path:
    (found,) = (remote.root / each.key for each in remote.list(f"{kind}/"))
    return found


# -- there and back


def test_a_few_small_blobs_travel_as_files(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 3)
    sent = send(store, remote, {digests[0]: digests})
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert (sent.blobs, sent.packs, sent.already, sent.absent) == (3, 0, 0, ())
    assert files_of(remote).keys() == {layout.FORMAT_KEY, *map(layout.object_key, digests)}
    assert (fetched.blobs, fetched.missing, fetched.wrong) == (3, (), ())
    assert [other.get(digest) for digest in digests] == [store.get(digest) for digest in digests]


def test_many_small_blobs_travel_as_a_pack(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 100)
    sent = send(store, remote, {digests[0]: digests})
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert (sent.blobs, sent.packs, sent.size_bytes) == (100, 1, 100 * 200)
    assert (fetched.blobs, fetched.size_bytes, fetched.missing) == (100, 100 * 200, ())
    assert all(other.verify(digest) == 200 for digest in digests)


def test_a_pack_there_is_a_pack_as_here(store: BlobStore, remote: DirectoryDriver, tmp_path: Path) -> None:
    digests = small(store, 50)
    send(store, remote, {digests[0]: digests})
    pack = one(remote, "packs")
    writer = PackWriter(str(tmp_path / "by hand"))
    for digest in digests:
        writer.add(bytes.fromhex(digest[3:]), store.get(digest))
    name, entries = writer.close()

    assert pack.name == f"{name}.pack"
    assert pack.read_bytes() == (tmp_path / "by hand").read_bytes()
    assert packfile.entries(pack) == entries
    table = (remote.root / layout.index_key(name)).read_bytes()
    assert pack.read_bytes().endswith(table)
    assert len(table) == 44 * 50 + 48


def test_a_blob_of_middle_size_is_a_file(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    data = os.urandom(3 * MIB)
    digest = store.put(data)
    send(store, remote, {digest: []})
    fetch(other, [remote], {digest: []})

    assert (remote.root / layout.object_key(digest)).read_bytes() == data
    assert other.get(digest) == data


def test_a_large_blob_travels_in_pieces(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    data = random.Random(7).randbytes(8 * MIB) * 17  # 136 MiB
    digest = store.put(data)
    sent = send(store, remote, {digest: []})
    fetched = fetch(other, [remote], {digest: []})

    assert sent.size_bytes == len(data)
    assert max(each.size_bytes for each in remote.list("")) == 64 * MIB
    assert [each.key for each in remote.list("recipes/")] == [layout.recipe_key(digest)]
    assert fetched.missing == ()
    assert other.verify(digest) == len(data)


def test_a_file_that_lies_in_pieces_travels_in_those(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    pieces = [bytes([number]) * (1000 + number) for number in range(20)] + [os.urandom(MIB)]
    digest = put_pieces(store, *pieces)
    send(store, remote, {digest: []})
    fetched = fetch(other, [remote], {digest: []})

    assert fetched.missing == ()
    assert other.get(digest) == b"".join(pieces)


def test_what_two_files_share_travels_once(store: BlobStore, remote: DirectoryDriver) -> None:
    frozen = os.urandom(2 * MIB)
    first, second = (put_pieces(store, frozen, os.urandom(300_000)) for _ in range(2))
    send(store, remote, {first: []})
    sent = send(store, remote, {second: []})

    assert sent.size_bytes == 300_000


def test_what_is_here_already_is_asked_of_nobody(store: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 100)
    send(store, remote, {digests[0]: digests})

    assert fetch(store, [remote], {digests[0]: digests}).requests == 0


def test_no_bytes_travel_too(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    digests = [store.put(b""), *small(store, 9)]
    send(store, remote, {digests[1]: digests})

    assert fetch(other, [remote], {digests[1]: digests}).missing == ()
    assert other.get(digests[0]) == b""


def test_pushing_again_sends_nothing(store: BlobStore, remote: DirectoryDriver) -> None:
    digests = [*small(store, 100), store.put(os.urandom(MIB)), put_pieces(store, b"a" * 5000, b"b" * 300_000)]
    send(store, remote, {digests[0]: digests})
    before = files_of(remote)
    sent = send(store, remote, {digests[0]: digests})

    assert (sent.blobs, sent.size_bytes, sent.already) == (0, 0, 104)
    assert sent.requests == 3  # the format, the root, the table of the pack
    assert files_of(remote) == before


def test_a_tree_is_brought_by_its_name_alone(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    tree = put_tree(store, {f"{number:04}.txt": b"file %d" % number for number in range(300)})
    send(store, remote, {tree: [digest for digest in store.names() if digest != tree]})
    fetched = fetch(other, [WithoutListing(remote)], [tree])

    assert (fetched.blobs, fetched.missing) == (302, ())
    assert len(list(trees.entries(other, tree))) == 300
    assert all(other.verify(entry.digest) for entry in trees.entries(other, tree))


def test_part_of_a_tree_is_brought_without_the_rest(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 4000, size_bytes=4000)
    send(store, remote, {digests[0]: digests})
    counted = Counted(remote)
    fetched = fetch(other, [WithoutListing(remote)], {digests[0]: digests[1000:1010]})

    assert fetched.blobs == 11
    assert counted.requests == 0
    assert fetched.requests <= 6


def test_what_is_in_no_root_is_found_where_the_place_can_list(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 100)
    send(store, remote, {digests[0]: digests})

    assert fetch(other, [remote], {digests[50]: []}).missing == ()
    assert fetch(other, [remote], [digests[51]]).missing == ()
    assert fetch(other, [WithoutListing(remote)], {digests[52]: []}).missing == (digests[52],)


# -- requests


def test_ten_thousand_small_blobs_cost_a_hundredth_of_the_requests(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 10_000, size_bytes=2048)
    sent = send(store, remote, {digests[0]: digests})
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert (sent.blobs, fetched.blobs) == (10_000, 10_000)
    assert sent.requests <= 100
    assert fetched.requests <= 100
    assert sent.requests + fetched.requests <= 20


def test_a_new_version_sends_what_is_new(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    old = small(store, 1000)
    send(store, remote, {old[0]: old})
    new = [*old[5:], *small(store, 10, begin=5000)]
    sent = send(store, remote, {new[-1]: new})

    assert (sent.blobs, sent.packs) == (10, 1)
    assert sent.requests <= 10
    assert fetch(other, [WithoutListing(remote)], {new[-1]: new}).missing == ()


def test_missing_there_names_what_is_missing(store: BlobStore, remote: DirectoryDriver) -> None:
    there = [*small(store, 100), store.put(os.urandom(MIB)), put_pieces(store, b"a" * 5000, b"b" * 300_000)]
    assert missing_there(remote, there) == set(there)
    send(store, remote, {there[0]: there})
    elsewhere = small(store, 10, begin=200)

    assert missing_there(remote, [*there, *elsewhere]) == set(elsewhere)
    assert missing_there(remote, [there[0], elsewhere[0]]) == {elsewhere[0]}
    assert missing_there(WithoutListing(remote), there, roots=[there[0]]) == set()
    assert missing_there(remote, []) == set()


def test_a_large_remote_is_listed_and_not_asked_for_each(store: BlobStore, remote: DirectoryDriver) -> None:
    digests = [digest_of([b"%d" % number]) for number in range(1500)]
    remote.write(layout.FORMAT_KEY, [layout.dump_format()], len(layout.dump_format()))
    for digest in digests[:1200]:
        path = remote.root / layout.object_key(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    counted = Counted(remote)

    assert missing_there(counted, digests) == set(digests[1200:])
    assert counted.requests <= 400


# -- what is wrong there


Harm = Callable[[Path], None]


def cut(path: Path) -> None:
    truncate(path, path.stat().st_size // 2)


def swap(path: Path) -> None:
    """Let something else stand there that is right in itself."""
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[::-1])


def flip(path: Path) -> None:
    spoil(path, at=path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    path.chmod(0o644)
    with open(path, "ab") as file:
        file.write(b"more")


def remove(path: Path) -> None:
    path.unlink()


def link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


HARMS = [cut, swap, flip, remove, link]


@pytest.fixture
def backup(store: BlobStore, tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "backup")


def fill(store: BlobStore, *drivers: DirectoryDriver) -> tuple[str, list[str]]:
    digests = [*small(store, 40), store.put(os.urandom(MIB)), put_pieces(store, b"a" * 5000, os.urandom(300_000))]
    for driver in drivers:
        send(store, driver, {digests[0]: digests})
    return digests[0], digests


@pytest.mark.parametrize("kind", ["objects", "packs", "index", "recipes", "roots"])
@pytest.mark.parametrize("harm", [*HARMS, lengthen])
def test_what_is_wrong_in_one_place_comes_from_another(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, backup: DirectoryDriver, kind: str, harm: Harm
) -> None:
    root, digests = fill(store, remote, backup)
    harmed = [remote.root / each.key for each in remote.list(f"{kind}/")]
    for path in harmed:
        harm(path)
    fetched = fetch(other, [remote, backup], {root: digests})

    assert fetched.missing == ()
    assert [other.get(digest) for digest in digests] == [store.get(digest) for digest in digests]
    assert {each.url for each in fetched.wrong} <= {remote.url}
    if harm not in (remove, lengthen):
        assert fetched.wrong


@pytest.mark.parametrize("kind", ["objects", "packs", "recipes"])
@pytest.mark.parametrize("harm", HARMS)
def test_what_is_wrong_everywhere_is_missing_and_the_rest_comes(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, kind: str, harm: Harm
) -> None:
    root, digests = fill(store, remote)
    for each in remote.list(f"{kind}/"):
        harm(remote.root / each.key)
    fetched = fetch(other, [remote], {root: digests})

    assert fetched.missing
    for digest in digests:
        if digest in fetched.missing:
            assert digest not in other
        else:
            assert other.get(digest) == store.get(digest)
    assert all(other.verify(digest) for digest in other.names())


def test_of_a_harmed_pack_the_sound_blobs_come_and_the_harmed_one_is_named(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 100)
    send(store, remote, {digests[0]: digests})
    spoil(one(remote, "packs"), at=8 + 200 * 30 + 5)
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert fetched.missing == (digests[30],)
    ((url, name, why),) = fetched.wrong
    assert (url, name) == (remote.url, digests[30])
    assert f"packs/{one(remote, 'packs').name}" in why


@pytest.mark.parametrize("harm", [cut, swap, flip])
def test_a_harmed_root_is_named_and_written_anew(store: BlobStore, remote: DirectoryDriver, harm: Harm) -> None:
    root, digests = fill(store, remote)
    before = (remote.root / layout.root_key(root)).read_bytes()
    harm(remote.root / layout.root_key(root))
    sent = send(store, remote, {root: digests})

    assert sent.blobs == 0
    assert (remote.root / layout.root_key(root)).read_bytes() == before


def test_the_root_of_another_blob_is_not_believed(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    first, second = small(store, 40), small(store, 40, begin=100)
    send(store, remote, {first[0]: first, second[0]: second})
    shutil.copy(remote.root / layout.root_key(second[0]), remote.root / "copy")
    (remote.root / "copy").replace(remote.root / layout.root_key(first[0]))
    fetched = fetch(other, [remote], {first[0]: first})

    assert fetched.missing == ()
    assert [each.name for each in fetched.wrong] == [layout.root_key(first[0])]


def test_the_recipe_of_another_file_is_not_believed(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    first, second = (put_pieces(store, os.urandom(300_000), os.urandom(400_000)) for _ in range(2))
    send(store, remote, {first: [], second: []})
    shutil.copy(remote.root / layout.recipe_key(second), remote.root / "copy")
    path = remote.root / layout.recipe_key(first)
    (remote.root / "copy").replace(path)
    fetched = fetch(other, [remote], {first: [], second: []})

    assert fetched.missing == (first,)
    assert [each.name for each in fetched.wrong] == [layout.recipe_key(first)]


def test_pieces_that_make_up_another_file_are_not_kept_as_this_one(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    from gitrepro.records.recipe import Recipe, load_recipe

    digest = put_pieces(store, os.urandom(300_000), os.urandom(400_000))
    send(store, remote, {digest: []})
    path = remote.root / layout.recipe_key(digest)
    recipe = load_recipe(path.read_bytes())
    forged = Recipe(size_bytes=recipe.size_bytes, digest=digest, segments=recipe.segments[::-1]).dump()
    path.chmod(0o644)
    path.write_bytes(forged)
    fetched = fetch(other, [remote], {digest: []})

    assert fetched.missing == (digest,)
    assert digest not in other
    assert "make up another file" in fetched.wrong[0].why


def test_a_remote_that_cannot_be_asked_is_told_when_something_is_missing(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    away = DirectoryDriver(tmp_path / "not mounted" / "remote")
    digests = small(store, 10)
    send(store, remote, {digests[0]: digests})

    assert fetch(other, [away, remote], {digests[0]: digests}).missing == ()
    with pytest.raises(RemoteError, match="is not there"):
        fetch(other, [remote, away], {digest_of([b"nobody has it"]): []})


@pytest.mark.parametrize("text", ["format: 2\n", "format: 99\nmore: true\n"])
def test_a_store_remote_of_a_newer_format_is_refused(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, text: str
) -> None:
    root, digests = fill(store, remote)
    before = files_of(remote)
    (remote.root / layout.FORMAT_KEY).chmod(0o644)
    (remote.root / layout.FORMAT_KEY).write_text(text)

    with pytest.raises(TooNew, match="upgrade gitrepro"):
        send(store, remote, {root: [*digests, *small(store, 9, begin=900)]})
    with pytest.raises(TooNew):
        fetch(other, [remote], {root: digests})
    with pytest.raises(TooNew):
        missing_there(remote, digests)
    assert files_of(remote) == {**before, layout.FORMAT_KEY: text.encode()}


@pytest.mark.parametrize("text", ["", "format: 0\n", "format: true\n", "a page of a web server", "format: 1\n" * 9000])
def test_what_is_no_store_remote_is_refused(store: BlobStore, remote: DirectoryDriver, text: str) -> None:
    remote.root.mkdir()
    (remote.root / layout.FORMAT_KEY).write_text(text)

    with pytest.raises(Damaged):
        send(store, remote, {digest: [] for digest in small(store, 3)})


def test_a_folder_that_holds_something_else_is_no_store_remote_yet(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    remote.root.mkdir()
    (remote.root / "thesis.tex").write_text("mine")
    (digest,) = small(store, 1)

    assert fetch(other, [remote], {digest: []}).missing == (digest,)
    send(store, remote, {digest: []})
    assert (remote.root / "thesis.tex").read_text() == "mine"


# -- what is wrong here


def test_what_is_damaged_here_is_not_sent(store: BlobStore, remote: DirectoryDriver) -> None:
    digest = store.put(os.urandom(MIB))
    spoil(store.path(digest), at=MIB // 2)

    with pytest.raises(Damaged, match="other bytes"):
        send(store, remote, {digest: []})
    assert list(remote.list("objects/")) == []


def test_a_damaged_pack_here_is_not_sent(store: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 100)
    (pack,) = (store.root / "packs").glob("*.pack")
    spoil(pack, at=5000)

    with pytest.raises(Damaged):
        send(store, remote, {digests[0]: digests})
    assert list(remote.list("packs/")) == list(remote.list("index/")) == list(remote.list("roots/")) == []


def test_a_large_blob_that_is_damaged_here_gets_no_name_there(store: BlobStore, remote: DirectoryDriver) -> None:
    digest = store.put(bytes(65 * MIB))
    spoil(store.path(digest), at=64 * MIB + 1000)

    with pytest.raises(Damaged):
        send(store, remote, {digest: []})
    assert list(remote.list("recipes/")) == []


def test_what_is_neither_here_nor_there_is_named_and_its_root_is_not_written(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests, nobody = small(store, 30), digest_of([b"nobody has it"])
    sent = send(store, remote, {digests[0]: [*digests, nobody]})

    assert (sent.blobs, sent.absent) == (30, (nobody,))
    assert list(remote.list("roots/")) == []
    assert fetch(other, [remote], {digests[0]: [*digests, nobody]}).missing == (nobody,)


def test_what_is_there_alone_stands_in_for_what_is_not_here(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    theirs, mine = small(other, 30), small(store, 30, begin=100)
    send(other, remote, {theirs[0]: theirs})
    sent = send(store, remote, {mine[0]: [*mine, *theirs]})

    assert (sent.blobs, sent.absent) == (30, ())
    assert fetch(other, [WithoutListing(remote)], {mine[0]: [*mine, *theirs]}).missing == ()


# -- cut, and begun again


class Cut(Exception):
    pass


class CutAfter:
    """A place that fails at one of its writes, in the middle of it or just after."""

    def __init__(self, driver: DirectoryDriver, writes: int, *, whole: bool) -> None:
        self._driver, self._left, self._whole = driver, writes, whole
        self.url, self.read_only, self.parallel = driver.url, False, 1
        self.read, self.size, self.list = driver.read, driver.size, driver.list
        self.delete, self.close = driver.delete, driver.close

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self._left -= 1
        if self._left >= 0 or self._whole:
            self._driver.write(key, parts, size_bytes)
        if self._left < 0:
            raise RemoteError("the connection was cut")


@pytest.mark.parametrize("whole", [False, True])
def test_a_push_that_is_cut_at_any_write_is_finished_by_the_next(store: BlobStore, tmp_path: Path, whole: bool) -> None:
    root, digests = fill(store)
    for writes in range(20):
        remote, other = DirectoryDriver(tmp_path / f"remote-{writes}"), BlobStore(tmp_path / f"other-{writes}")
        try:
            send(store, CutAfter(remote, writes, whole=whole), {root: digests})
        except RemoteError:
            pass
        else:
            assert writes >= 5
            return
        for each in remote.list("roots/"):
            assert missing_there(remote, digests) == set(), each
        fetched = fetch(BlobStore(tmp_path / f"early-{writes}"), [remote], {root: digests})
        assert fetched.wrong == ()
        send(store, remote, {root: digests})
        assert fetch(other, [WithoutListing(remote)], {root: digests}).missing == ()
    raise AssertionError("it never came to its end")


SENDER = """
import sys
from pathlib import Path
from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import send
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
store, digests = BlobStore(Path(sys.argv[1])), sys.stdin.read().split()
print("begun", flush=True)
send(store, DirectoryDriver(Path(sys.argv[2])), {digests[0]: digests})
"""


def started(program: str, store: BlobStore, remote: DirectoryDriver, digests: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, store.root, remote.root]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(digests))
    process.stdin.close()
    process.stdout.readline()
    return process


def test_a_sender_that_is_killed_and_repeated_comes_to_its_end(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, seed: int
) -> None:
    rng = random.Random(seed)
    with store.batch() as batch:
        digests = [batch.put(rng.randbytes(rng.choice((900, 40_000, 300_000)))) for _ in range(150)]
    for _ in range(6):
        process = started(SENDER, store, remote, digests)
        try:
            process.wait(rng.random() * 0.25)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        assert fetch(BlobStore(remote.root.parent / os.urandom(4).hex()), [remote], {digests[0]: digests}).wrong == ()
    send(store, remote, {digests[0]: digests})

    assert fetch(other, [WithoutListing(remote)], {digests[0]: digests}).missing == ()


FETCHER = """
import sys
from pathlib import Path
from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import fetch, receiving
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
receiving._KEPT_AT_BYTES = 1 << 20
store, digests = BlobStore(Path(sys.argv[1])), sys.stdin.read().split()
print("begun", flush=True)
fetch(store, [DirectoryDriver(Path(sys.argv[2]))], {digests[0]: digests})
"""


def test_a_reader_that_is_killed_and_repeated_keeps_nothing_wrong_and_comes_to_its_end(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, seed: int
) -> None:
    rng = random.Random(seed)
    with store.batch() as batch:
        digests = [batch.put(rng.randbytes(rng.choice((900, 40_000, 300_000)))) for _ in range(150)]
    send(store, remote, {digests[0]: digests})
    for _ in range(5):
        process = started(FETCHER, other, remote, digests)
        try:
            process.wait(rng.random() * 0.25)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        assert all(other.verify(digest) for digest in other.names())
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert fetched.missing == ()
    assert [other.get(digest) for digest in digests] == [store.get(digest) for digest in digests]


def test_two_senders_at_once_lose_nothing(store: BlobStore, other: BlobStore, tmp_path: Path) -> None:
    remote = DirectoryDriver(tmp_path / "remote")
    both = [*small(store, 500), store.put(os.urandom(MIB))]
    mine, theirs = [*both, *small(store, 50, begin=1000)], [*both, *small(store, 50, begin=2000)]

    def push(digests: list[str]) -> None:
        send(store, DirectoryDriver(remote.root), {digests[-1]: digests})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(push, (mine, theirs)))

    assert fetch(other, [WithoutListing(remote)], {mine[-1]: mine, theirs[-1]: theirs}).missing == ()


class FailsToRead:
    """A place that fails for good after so many reads."""

    def __init__(self, driver: DirectoryDriver, reads: int) -> None:
        self._driver, self._left = driver, reads
        self.url, self.read_only, self.parallel = driver.url, False, 1
        self.size, self.list, self.write = driver.size, driver.list, driver.write
        self.delete, self.close = driver.delete, driver.close

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._left -= 1
        found = self._driver.read(key, start=start, length=length)
        if self._left < 0:
            yield next(found, b"")[:10]
            raise RemoteError("the connection was cut")
        yield from found


def test_a_pull_that_is_cut_keeps_what_came_and_is_finished_by_the_next(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = [store.put(os.urandom(300_000)) for _ in range(8)]
    send(store, remote, {digests[0]: digests})
    with pytest.raises(RemoteError, match="cut"):
        fetch(other, [FailsToRead(remote, 6)], {digests[0]: digests})
    kept = list(other.names())
    fetched = fetch(other, [remote], {digests[0]: digests})

    assert len(kept) == 4  # the format, the root, and four of the files
    assert (fetched.blobs, fetched.missing) == (4, ())


def test_a_pull_that_is_cut_goes_on_at_the_next_remote(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver, backup: DirectoryDriver
) -> None:
    digests = [store.put(os.urandom(300_000)) for _ in range(8)]
    for driver in (remote, backup):
        send(store, driver, {digests[0]: digests})

    assert fetch(other, [FailsToRead(remote, 6), backup], {digests[0]: digests}).missing == ()


# -- and


def test_progress_is_told_in_blobs_and_bytes(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    root, digests = fill(store)
    sending, fetching = list[Progress](), list[Progress]()
    send(store, remote, {root: digests}, progress=sending.append)
    fetch(other, [remote], {root: digests}, progress=fetching.append)

    assert sending[-1].done_files == sending[-1].files
    assert sending[-1].done_bytes == sending[-1].bytes > MIB
    assert fetching[-1].done_bytes == sending[-1].bytes


def test_nothing_is_sent_to_what_can_only_be_read(store: BlobStore, remote: DirectoryDriver) -> None:
    with pytest.raises(RemoteError, match="can only be read"):
        send(store, WithoutListing(remote), {digest: [] for digest in small(store, 2)})


def test_packs_are_no_larger_than_64_mib() -> None:
    blobs = [(os.urandom(32), 250_000 + number % 7) for number in range(600)]
    plans = list(plan(blobs))

    assert len(plans) == 3
    assert max(each.size_bytes for each in plans) <= 64 * MIB
    assert [entry.hash for each in plans for entry in each.entries] == [name for name, _ in blobs]
    made = sum(map(len, parts(plans[2], lambda entry: bytes(entry.size_bytes))))
    assert made == plans[2].size_bytes


def test_a_blob_known_by_its_own_name_is_a_file_and_found_without_a_list(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 50)
    tree = put_tree(store, {"a.txt": b"one", "b.txt": b"two"})
    needs = {tree: [digest for digest in store.names() if digest not in digests]}
    sent = send(store, remote, {**{digest: [digest] for digest in digests}, **needs})
    fetched = fetch(other, [WithoutListing(remote)], {digest: [digest] for digest in [*digests, tree]})

    assert sent.packs == 0
    assert fetched.missing == ()


def test_the_list_of_a_tree_is_found_by_its_name_alone(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    tree = put_tree(store, {f"{number:04}.txt": b"file %d" % number for number in range(300)})
    send(store, remote, {tree: [digest for digest in store.names() if digest != tree]})

    assert fetch(other, [WithoutListing(remote)], {tree: [tree]}).missing == ()
    assert len(list(other.names())) == 1


def test_the_empty_folders_of_a_tree_need_no_bytes(store: BlobStore, other: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 20)
    sent = send(store, remote, {digests[0]: [*digests, EMPTY]})

    assert sent.absent == ()
    assert fetch(other, [WithoutListing(remote)], {digests[0]: [*digests, EMPTY]}).missing == ()
    assert other.get(EMPTY) == b""


def test_a_table_is_read_once_and_never_believed_when_it_is_torn(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 40)
    send(store, remote, {digests[0]: digests})
    first = fetch(other, [remote], {digests[0]: digests[:5]})
    second = fetch(other, [remote], {digests[0]: digests[5:10]})
    (kept,) = (other.root / "tables").iterdir()
    truncate(kept, 99)
    third = fetch(other, [remote], {digests[0]: digests[10:]})

    assert (first.requests, second.requests, third.requests) == (4, 3, 4)
    assert first.missing == second.missing == third.missing == ()


def test_a_table_that_is_damaged_there_is_named_to_the_sender_and_mended(
    store: BlobStore, other: BlobStore, remote: DirectoryDriver
) -> None:
    digests = small(store, 40)
    send(store, remote, {digests[0]: digests})
    table = one(remote, "index")
    flip(table)
    sent = send(store, remote, {digests[0]: digests})

    assert [each.name for each in sent.wrong] == [f"index/{table.name}"]
    assert fetch(other, [WithoutListing(remote)], {digests[0]: digests}).wrong == ()


class OneFails:
    """A place where the first of two files fails, and the second waits until somebody has noticed."""

    def __init__(self, driver: DirectoryDriver) -> None:
        self._driver = driver
        self._together = threading.Barrier(2)
        self.noticed = threading.Event()
        self.asked: list[str] = []
        self.parts_after = 0
        self.url, self.read_only, self.parallel = driver.url, False, 2
        self.read, self.size, self.list = driver.read, driver.size, driver.list
        self.delete, self.close = driver.delete, driver.close

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        if not key.startswith("objects/"):
            return self._driver.write(key, parts, size_bytes)
        self.asked.append(key)
        if self._together.wait() == 0:
            raise RemoteError("the disk there is full")
        self.noticed.wait()
        for _ in parts:
            self.parts_after += 1
        return None


def test_one_failure_ends_what_else_is_under_way(
    store: BlobStore, remote: DirectoryDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [store.put(os.urandom(400_000)) for _ in range(4)]
    driver, stop = OneFails(remote), Counted.stop

    def noticed(counted: Counted) -> None:
        stop(counted)
        driver.noticed.set()

    monkeypatch.setattr(Counted, "stop", noticed)
    with pytest.raises(RemoteError, match="the disk there is full"):
        send(store, driver, {digest: [] for digest in digests})

    assert len(driver.asked) == 2
    assert driver.parts_after == 0
