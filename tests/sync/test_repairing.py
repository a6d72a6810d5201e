"""A store remote that has wrong bytes is put right, from here, from another remote, or from what is right there."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import Driver, fetch, layout, send
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.opening import open_driver
from gitrepro.sync.blobs.repairing import Repaired, repair
from gitrepro.sync.remotes import StoreRemote
from tests.store.stores import large, put_large, put_pieces, put_tree, spoil
from tests.sync.servers import S3, Sshd, moto, sshd

__all__ = ["moto", "sshd"]

MIB = 1 << 20
HARMS = ("spoilt", "cut", "gone")


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "mine")


@pytest.fixture
def remote(tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "remote")


@pytest.fixture
def second(tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "second")


def content(store: BlobStore) -> dict[str, list[str]]:
    """A tree with many small files and one large, and a file in pieces."""
    tree = put_tree(store, {**{f"{number}.txt": os.urandom(900) for number in range(40)}, "big": large(1)})
    digests = [tree, *(each for each in store.names() if each != tree)]
    pieces = put_pieces(store, large(2), large(3))
    return {tree: digests, pieces: [pieces]}


def mend(driver: Driver, roots: dict[str, list[str]], folder: Path, *others: Driver, by: BlobStore) -> Repaired:
    scratch = folder / os.urandom(4).hex()
    return repair(by, driver, others, roots, BlobStore(scratch))


def harm(driver: Driver, key: str, how: str) -> None:
    data = b"".join(driver.read(key))
    new = {"spoilt": data[: len(data) // 2] + b"\0\1\2" + data[len(data) // 2 + 3 :], "cut": data[: len(data) // 2]}
    if how == "gone":
        driver.delete([key])
    else:
        wrong = new.get(how, b"")
        driver.write(key, [wrong], len(wrong))


def first(driver: Driver, kind: str) -> str:
    return min(each.key for each in driver.list(f"{kind}/"))


def assert_right(driver: Driver, roots: dict[str, list[str]], folder: Path) -> None:
    got = fetch(BlobStore(folder / os.urandom(4).hex()), [driver], roots)
    assert (got.missing, got.wrong, got.spoilt) == ((), (), ())


def test_a_sound_place_is_read_and_left_as_it_is(store: BlobStore, remote: DirectoryDriver, tmp_path: Path) -> None:
    roots = content(store)
    send(store, remote, roots)
    before = list(remote.list(""))

    done = mend(remote, roots, tmp_path, by=store)

    assert (done.wrong, done.sent, done.lost) == ((), 0, ()) and done.looked > 40
    assert list(remote.list("")) == before


@pytest.mark.parametrize("kind", ["objects", "packs", "index", "recipes", "roots"])
@pytest.mark.parametrize("how", HARMS)
def test_whatever_is_wrong_is_written_again_from_here(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, kind: str, how: str
) -> None:
    roots = content(store)
    send(store, remote, roots)
    key = first(remote, kind)
    right = (remote.root / key).read_bytes()
    harm(remote, key, how)

    done = mend(remote, roots, tmp_path, by=store)

    assert done.lost == ()
    assert_right(remote, roots, tmp_path)
    if kind != "roots":
        assert (remote.root / key).read_bytes() == right


@pytest.mark.parametrize("kind", ["objects", "packs", "index", "recipes", "roots"])
def test_a_clone_that_has_nothing_takes_it_from_another_remote(
    store: BlobStore, remote: DirectoryDriver, second: DirectoryDriver, tmp_path: Path, kind: str
) -> None:
    roots = content(store)
    send(store, remote, roots)
    send(store, second, roots)
    harm(remote, first(remote, kind), "spoilt")

    done = mend(remote, roots, tmp_path, second, by=BlobStore(tmp_path / "empty"))

    assert done.lost == ()
    assert_right(remote, roots, tmp_path)


def test_of_a_harmed_pack_only_the_harmed_blob_is_asked_for_elsewhere(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    roots = content(store)
    send(store, remote, roots)
    pack = first(remote, "packs")
    right = (remote.root / pack).read_bytes()
    spoil(remote.root / pack, at=500)
    got = fetch(BlobStore(tmp_path / "got"), [remote], roots)
    (harmed,) = got.missing
    alone = BlobStore(tmp_path / "alone")
    alone.put(store.get(harmed))

    done = mend(remote, roots, tmp_path, by=alone)

    assert (done.wrong, done.mended, done.lost) == ((pack,), (pack,), ())
    assert (remote.root / pack).read_bytes() == right


def test_what_nobody_has_right_is_named_and_the_rest_is_put_right(
    store: BlobStore, remote: DirectoryDriver, second: DirectoryDriver, tmp_path: Path
) -> None:
    lost, found = put_large(store, 1), put_large(store, 2)
    roots = {lost: [lost], found: [found]}
    send(store, remote, roots)
    send(store, second, roots)
    for driver, digest in ((remote, lost), (second, lost), (remote, found)):
        harm(driver, layout.object_key(digest), "spoilt")

    done = mend(remote, roots, tmp_path, second, by=BlobStore(tmp_path / "empty"))

    assert done.lost == (lost,)
    assert done.mended == (layout.object_key(found),)
    assert (remote.root / layout.object_key(lost)).exists(), "nothing is taken away"


def test_wrong_bytes_here_are_not_written_there(store: BlobStore, remote: DirectoryDriver, tmp_path: Path) -> None:
    digest = put_large(store, 1)
    send(store, remote, {digest: [digest]})
    harm(remote, layout.object_key(digest), "spoilt")
    spoil(store.path(digest))

    done = mend(remote, {digest: [digest]}, tmp_path, by=store)

    assert done.lost == (digest,)


@pytest.mark.parametrize("how", ["spoilt", "gone"])
def test_a_piece_of_a_large_file_is_cut_out_of_it_again(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, how: str
) -> None:
    digest = store.put(os.urandom(66 * MIB))
    roots = {digest: [digest]}
    send(store, remote, roots)
    smallest = min(remote.list("objects/"), key=lambda each: each.size_bytes)
    harm(remote, smallest.key, how)

    done = mend(remote, roots, tmp_path, by=store)

    assert done.lost == ()
    assert_right(remote, roots, tmp_path)


def test_several_wrongs_at_once_are_put_right(store: BlobStore, remote: DirectoryDriver, tmp_path: Path) -> None:
    roots = content(store)
    send(store, remote, roots)
    for kind in ("objects", "packs", "index", "recipes", "roots"):
        harm(remote, first(remote, kind), "spoilt")

    done = mend(remote, roots, tmp_path, by=store)

    assert done.lost == ()
    got = fetch(BlobStore(tmp_path / "other"), [remote], roots)
    assert got.missing == ()


# -- every place that can be written


def _put_right(driver: Driver, folder: Path) -> None:
    store = BlobStore(folder / "mine")
    roots = content(store)
    send(store, driver, roots)
    harmed: Iterable[str] = [first(driver, kind) for kind in ("objects", "packs")]
    for key in harmed:
        harm(driver, key, "spoilt")

    done = mend(driver, roots, folder, by=store)

    assert (set(harmed) <= set(done.mended), done.lost) == (True, ())
    assert_right(driver, roots, folder)


def test_a_machine_behind_ssh_is_put_right(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{sshd.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TEST_SSH_CONFIG", str(sshd.shared_config))
    driver = open_driver(StoreRemote(name="box", url=f"ssh://box{tmp_path}/remote"))
    try:
        _put_right(driver, tmp_path)
    finally:
        driver.close()


@pytest.mark.skipif(not importlib.util.find_spec("obstore"), reason="obstore is not installed")
def test_a_bucket_is_put_right(moto: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3.environment().items():
        monkeypatch.setenv(name, value)
    url, options = f"s3://{moto.bucket}/repaired", {"endpoint": moto.endpoint}
    _put_right(open_driver(StoreRemote(name="cloud", url=url, options=options)), tmp_path)
