"""A store remote is collected by lists: what anybody needs stays, whatever a list says and whoever comes meanwhile."""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, RemoteError
from gitrepro.records.ids import new_id
from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import Driver, fetch, layout, lists, send
from gitrepro.sync.blobs.claims import Claim, load, standing
from gitrepro.sync.blobs.collecting import survey
from gitrepro.sync.blobs.driver import Listed
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.opening import open_driver
from gitrepro.sync.blobs.plan import DAY_SECONDS, Records, Survey
from gitrepro.sync.blobs.sweeping import Collected
from gitrepro.sync.blobs.sweeping import collect as collect_by
from gitrepro.sync.blobs.there import There
from gitrepro.sync.remotes import StoreRemote
from tests.store.stores import large, put_large, put_pieces, put_tree
from tests.sync.servers import S3, Sshd, moto, sshd

__all__ = ["moto", "sshd"]

ADA, BOB = "a" * 32, "b" * 32
NOBODY = Records(named=frozenset())


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "mine")


@pytest.fixture
def remote(tmp_path: Path) -> DirectoryDriver:
    return DirectoryDriver(tmp_path / "remote")


def small(store: BlobStore, count: int, *, begin: int = 0) -> list[str]:
    with store.batch() as batch:
        return [batch.put(f"{number:8}".encode() * 25) for number in range(begin, begin + count)]


def push(store: BlobStore, driver: Driver, *roots: Iterable[str], clone: str = ADA) -> str:
    """One run that names these; its id."""
    run_id = new_id()
    named = [list(needs) for needs in roots]
    send(store, driver, {needs[0]: needs for needs in named}, claim=Claim(clone=clone, runs=(run_id,)))
    return run_id


def look(driver: Driver, records: Records = NOBODY, *, days: float = 0, gone: Iterable[str] = ()) -> Survey:
    """What is found so many days from now."""
    now = time.time() + days * DAY_SECONDS
    return survey(There(driver), records, gone=frozenset(gone), now=now)


def collect(
    driver: Driver, found: Survey, *, clone: str = ADA, between: Callable[[str], None] = lambda _: None
) -> Collected:
    return collect_by(driver, found, clone=clone, between=between)


def twice(driver: Driver, records: Records = NOBODY, *, gone: Iterable[str] = ()) -> tuple[Collected, Collected]:
    """A collection in a month, and one in two."""
    first = collect(driver, look(driver, records, days=30, gone=gone))
    return first, collect(driver, look(driver, records, days=60, gone=gone))


def known(run_ids: Iterable[str], named: Iterable[str] = ()) -> Records:
    """Records that have these runs, and name these blobs."""
    return Records(named=frozenset(named), runs=frozenset(run_ids), absent=frozenset(named))


def purged(run_ids: Iterable[str], named: Iterable[str] = ()) -> Records:
    return Records(named=frozenset(named), purged=frozenset(run_ids), absent=frozenset(named))


def keys(driver: Driver) -> set[str]:
    return {each.key for each in driver.list("") if layout.kind_of(each.key)}


def assert_whole(driver: Driver, folder: Path, digests: Iterable[str]) -> None:
    wanted = list(digests)
    got = fetch(BlobStore(folder), [driver], {digest: [digest] for digest in wanted})
    assert (got.missing, got.wrong) == ((), ())


# -- what goes and what stays


def test_the_first_collection_only_lists_and_a_grace_later_the_second_deletes(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    digests = [put_large(store, 1), *small(store, 20)]
    gone = push(store, remote, digests)
    before = keys(remote)

    first, second = twice(remote, purged([gone]))

    assert (first.deleted, first.listed) == (0, len(before)) and len(before) == 4
    assert (second.deleted, second.left) == (4, 0)
    assert keys(remote) == set()
    assert not list(remote.list("gc/"))


def test_a_list_that_is_young_deletes_nothing(store: BlobStore, remote: DirectoryDriver) -> None:
    records = purged([push(store, remote, [put_large(store, 1)])])
    collect(remote, look(remote, records, days=30))
    os.utime(next((remote.root / "gc").iterdir()), (time.time() + 30 * DAY_SECONDS,) * 2)

    found = look(remote, records, days=43)

    assert (len(found.ripe), len(found.waiting), len(found.fresh)) == (0, 1, 0)
    assert len(look(remote, records, days=45).ripe) == 1


def test_what_is_young_is_not_even_listed(store: BlobStore, remote: DirectoryDriver) -> None:
    records = purged([push(store, remote, [put_large(store, 1)])])

    assert len(look(remote, records, days=13).young) == 1
    assert survey(There(remote), records, grace_seconds=0).fresh == (), "no grace is shorter than a day"


def test_what_a_clone_claims_stays_though_no_record_here_names_it(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    digests = [put_large(store, 1), *small(store, 20)]
    push(store, remote, digests, clone=BOB)

    first, second = twice(remote)

    assert (first.listed, second.deleted) == (0, 0)
    assert_whole(remote, tmp_path / "other", digests)


def test_what_only_a_clone_claims_that_is_gone_for_good_goes_once_somebody_says_so(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    alone, shared = put_large(store, 1), put_large(store, 2)
    push(store, remote, [alone], [shared], clone=BOB)
    push(store, remote, [shared], clone=ADA)

    _, second = twice(remote, gone=[BOB])

    assert second.deleted == 1
    assert_whole(remote, tmp_path / "other", [shared])


def test_the_records_of_a_run_that_is_on_record_decide_and_not_its_claim(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    named, forgotten = put_large(store, 1), put_large(store, 2)
    run_id = push(store, remote, [named], [forgotten], clone=BOB)

    _, second = twice(remote, known([run_id], [named]))

    assert second.deleted == 1
    assert_whole(remote, tmp_path / "other", [named])


@pytest.mark.parametrize("files", [2, 40])
def test_a_tree_that_a_record_names_keeps_its_files_though_its_list_is_not_here(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, files: int
) -> None:
    tree = put_tree(store, {f"{number}.bin": large(number)[: 300_000 - number] for number in range(files)})
    digests = [tree, *(each for each in store.names() if each != tree)]
    run_id = push(store, remote, digests)
    for each in remote.list("roots/"):
        remote.delete([each.key])
    for each in remote.list("users/"):
        (remote.root / each.key).unlink()

    _, second = twice(remote, known([run_id], [tree]))

    assert second.deleted == 0
    assert_whole(remote, tmp_path / "other", digests)


def test_the_pieces_of_a_file_live_through_it_and_those_of_none_go(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path
) -> None:
    alive, dead = put_pieces(store, large(1), large(2)), put_pieces(store, large(2), large(3))
    kept, gone = push(store, remote, [alive]), push(store, remote, [dead])

    _, second = twice(remote, Records(named=frozenset([alive]), runs=frozenset([kept]), purged=frozenset([gone])))

    assert second.deleted == 2, "the recipe and one piece"
    assert_whole(remote, tmp_path / "other", [alive])


def test_a_pack_stays_as_long_as_one_blob_in_it_is_needed(store: BlobStore, remote: DirectoryDriver) -> None:
    digests = small(store, 30)
    run_id = push(store, remote, digests)

    twice(remote, known([run_id], [digests[7]]))

    assert {key.partition("/")[0] for key in keys(remote)} == {"packs", "index"}, "its root led to what nobody needs"


def test_what_a_cut_push_left_goes(store: BlobStore, remote: DirectoryDriver) -> None:
    push(store, remote, [put_large(store, 1)])
    remote.write(layout.pack_key("c" * 64), [b"half"], 4)

    _, second = twice(remote)

    assert second.deleted == 1


def test_what_is_none_of_ours_is_left_alone(store: BlobStore, remote: DirectoryDriver) -> None:
    push(store, remote, [put_large(store, 1)])
    for key in ("README", "objects/notes", "packs/x.pack", "objects/ab/short"):
        remote.write(key, [b"mine"], 4)

    _, second = twice(remote, purged(_runs(remote)))

    assert second.deleted == 1
    assert remote.size("objects/notes") == 4


def _runs(remote: DirectoryDriver) -> list[str]:
    return [run for each in remote.list("users/") for run in _claim(remote, each.key).runs]


def _claim(remote: DirectoryDriver, key: str) -> Claim:
    return load((remote.root / key).read_bytes(), source=key)


# -- refusals


def test_nothing_is_collected_where_pushes_did_not_say_what_they_need(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    digest = put_large(store, 1)
    send(store, remote, {digest: [digest]})

    with pytest.raises(RemoteError, match="nobody can know"):
        look(remote)


def test_a_place_that_can_only_be_read_and_one_that_is_empty_are_refused(remote: DirectoryDriver) -> None:
    with pytest.raises(RemoteError, match="no store remote yet"):
        look(remote)
    with pytest.raises(RemoteError, match="can only be read"):
        look(open_driver(StoreRemote(name="web", url="http://127.0.0.1:1/")))


@pytest.mark.parametrize("harm", ["claim", "root", "recipe", "list of a tree"])
def test_nothing_is_collected_while_something_cannot_be_read_that_says_what_is_needed(
    store: BlobStore, remote: DirectoryDriver, harm: str
) -> None:
    pieces = put_pieces(store, large(1), large(2))
    tree = put_tree(store, {"a": large(3), "b": large(4)})
    digests = [put_large(store, 5), *small(store, 20)]
    run_id = push(store, remote, digests, [pieces], [tree])
    (claim,) = remote.list("users/")
    path = {
        "claim": remote.root / claim.key,
        "root": remote.root / layout.root_key(digests[0]),
        "recipe": remote.root / layout.recipe_key(pieces),
        "list of a tree": remote.root / layout.object_key(tree),
    }[harm]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-3] + b"\0\0\0")
    records = NOBODY
    if harm == "list of a tree":
        records = known([run_id], [digests[0], pieces, tree])
        remote.delete([claim.key])

    with pytest.raises(Damaged, match="cannot be read"):
        look(remote, records, days=30)


def test_a_pack_of_which_the_table_cannot_be_read_stays(store: BlobStore, remote: DirectoryDriver) -> None:
    run_id = push(store, remote, small(store, 30))
    (table,) = remote.list("index/")
    (remote.root / table.key).chmod(0o644)
    (remote.root / table.key).write_bytes(b"no table")

    found = look(remote, purged([run_id]), days=30)

    assert len(found.uncertain) == 1
    assert {each.key.partition("/")[0] for each in found.fresh} == {"roots"}


# -- hostile lists and clocks


@pytest.mark.parametrize("future", [False, True])
def test_a_list_deletes_nothing_that_is_needed_whatever_it_names(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, future: bool
) -> None:
    digests = [put_large(store, 1), *small(store, 20)]
    push(store, remote, digests)
    outside = tmp_path / "outside"
    outside.write_bytes(b"not of the store")
    every = dump = lists.dump(list(remote.list("")))
    poison = every[: dump.rindex(b"check ")] + b"16 1 ../outside\n16 1 /etc/passwd\n9 1 gitrepro-store.yaml\n"
    poison += lists._check(poison)
    key = lists.new_key()
    remote.write(key, [poison], len(poison))
    moment = time.time() + (365 if future else -365) * DAY_SECONDS
    os.utime(remote.root / key, (moment, moment))

    found = look(remote, days=30)
    collect(remote, found)

    assert found.ripe == ()
    assert outside.exists()
    assert_whole(remote, tmp_path / "other", digests)


def test_a_list_from_the_future_makes_nothing_ripe_and_holds_nothing_back(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    records = purged([push(store, remote, [put_large(store, 1)])])
    collect(remote, look(remote, records, days=30))
    (made,) = (remote.root / "gc").iterdir()
    moment = time.time() + 365 * DAY_SECONDS
    os.utime(made, (moment, moment))

    found = look(remote, records, days=60)

    assert (found.ripe, len(found.fresh)) == ((), 1)


def test_a_damaged_list_is_as_none(store: BlobStore, remote: DirectoryDriver) -> None:
    records = purged([push(store, remote, [put_large(store, 1)])])
    collect(remote, look(remote, records, days=30))
    (made,) = (remote.root / "gc").iterdir()
    made.chmod(0o644)
    made.write_bytes(made.read_bytes()[:-9])

    found = look(remote, records, days=60)
    collect(remote, found)

    assert (len(found.leftovers), len(found.fresh), found.ripe) == (1, 1, ())
    assert not made.exists()


def test_the_time_is_that_of_the_place_and_not_of_this_machine(store: BlobStore, remote: DirectoryDriver) -> None:
    records = purged([push(store, remote, [put_large(store, 1)])])
    ago = time.time() - 365 * DAY_SECONDS
    driver = _Shifted(remote, -365 * DAY_SECONDS)

    found = survey(There(driver), records)

    assert abs(found.began - ago) < 3600
    assert len(found.young) == 1, "to that place it was written just now"


class _Shifted:
    """A place with another clock."""

    def __init__(self, driver: DirectoryDriver, seconds: float) -> None:
        self._seconds, self._driver = seconds, driver
        self.url, self.read_only, self.parallel = driver.url, False, driver.parallel
        self.read, self.size, self.write = driver.read, driver.size, driver.write
        self.delete, self.close = driver.delete, driver.close

    def list(self, prefix: str) -> Iterable[object]:
        from dataclasses import replace

        return (replace(each, modified_at=each.modified_at + self._seconds) for each in self._driver.list(prefix))


# -- beside others


def test_what_was_written_again_since_it_was_listed_is_listed_anew(store: BlobStore, remote: DirectoryDriver) -> None:
    digest = put_large(store, 1)
    records = purged([push(store, remote, [digest])])
    collect(remote, look(remote, records, days=30))
    path = remote.root / layout.object_key(digest)
    os.utime(path, (time.time() + 50,) * 2)

    found = look(remote, records, days=60)

    assert (found.ripe, len(found.fresh)) == ((), 1)


@pytest.mark.parametrize("step", ["sweep", "users"])
def test_a_push_that_comes_before_the_deletion_stops_it(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, step: str
) -> None:
    digest = put_large(store, 1)
    gone = purged([push(store, remote, [digest])])
    collect(remote, look(remote, gone, days=30))
    found = look(remote, gone, days=60)
    pushing = [threading.Thread(target=push, args=(store, remote, [digest]))]

    def between(now: str) -> None:
        if now == step:
            for each in pushing:
                each.start()
            if step == "sweep":
                pushing[0].join()
            else:
                _until(lambda: any(each.key.endswith(".begun") for each in remote.list("users/")))

    with pytest.raises(RemoteError, match="somebody pushes"):
        collect(remote, found, between=between)
    pushing[0].join()

    assert_whole(remote, tmp_path / "other", [digest])
    assert look(remote, gone, days=60).ripe == ()


@pytest.mark.parametrize("step", ["roots", "objects"])
def test_a_push_that_comes_while_something_is_deleted_waits_and_sends_it_again(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, step: str
) -> None:
    digests = [put_large(store, 1), *small(store, 20)]
    gone = purged([push(store, remote, digests)])
    collect(remote, look(remote, gone, days=30))
    pushing = threading.Thread(target=push, args=(store, remote, digests))

    def between(now: str) -> None:
        if now == step:
            pushing.start()
            _until(lambda: any(each.key.endswith(".begun") for each in remote.list("users/")))

    done = collect(remote, look(remote, gone, days=60), between=between)
    pushing.join()

    assert done.deleted == 4
    assert_whole(remote, tmp_path / "other", digests)


def test_a_push_gives_up_where_a_deletion_goes_on_and_not_where_it_has_died(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    digest = put_large(store, 1)
    push(store, remote, [digest])
    remote.write(f"gc/{'0' * 32}.sweep", [b"\n"], 1)
    claim = Claim(clone=ADA, leads={digest: ()})

    with pytest.raises(RemoteError, match="is being collected"), standing(remote, claim, patience_seconds=0):
        pass
    os.utime(remote.root / f"gc/{'0' * 32}.sweep", (time.time() - 4 * 3600,) * 2)
    with standing(remote, claim, patience_seconds=0):
        pass


@final
class _Interrupted:
    """A place where something else happens before a key of that kind is written or read."""

    def __init__(self, driver: DirectoryDriver, at: str, then: Callable[[], None]) -> None:
        self._driver, self._at, self._then = driver, at, then
        self.url, self.read_only, self.parallel = driver.url, False, 1
        self.list, self.delete, self.close = driver.list, driver.delete, driver.close

    def _now(self, act: str, key: str) -> None:
        if f"{act} {key}".startswith(self._at) or key.endswith(self._at):
            self._at = "never again"
            self._then()

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self._now("write", key)
        self._driver.write(key, parts, size_bytes)

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._now("read", key)
        return self._driver.read(key, start=start, length=length)

    def size(self, key: str) -> int | None:
        self._now("size", key)
        return self._driver.size(key)


@pytest.mark.parametrize("claims", [True, False])
@pytest.mark.parametrize("at", [".begun", "read gitrepro-store.yaml", "size objects/", "write objects/", ".claim"])
def test_a_whole_collection_in_the_midst_of_a_push_takes_nothing_that_it_found_there(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, at: str, claims: bool
) -> None:
    found, new = put_large(store, 1), put_large(store, 2)
    gone = purged([push(store, remote, [found])])
    collect(remote, look(remote, gone, days=30))
    met: list[str] = []

    def gc() -> None:
        try:
            met.append(f"deleted {collect(remote, look(remote, gone, days=60)).deleted}")
        except RemoteError as error:
            met.append(error.what)

    claim = Claim(clone=BOB, runs=(new_id(),)) if claims else None
    send(store, _Interrupted(remote, at, gc), {new: [new], found: [found]}, claim=claim)

    lost = fetch(BlobStore(tmp_path / "other"), [remote], {found: [found]}).missing
    if claims:
        assert (len(met), lost) == (1, ())
    elif at == "write objects/":
        assert lost == (found,), "without a claim it is lost: so this test can fail"


def test_what_a_killed_collection_left_goes_with_the_next_of_that_clone_at_once_and_of_others_in_time(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    push(store, remote, [put_large(store, 1)])
    for name in (f"{ADA}.sweep", f"{BOB}.sweep", f"{BOB}.clock"):
        remote.write(f"gc/{name}", [b"\n"], 1)

    collect(remote, look(remote))
    assert {each.key for each in remote.list("gc/")} == {f"gc/{BOB}.sweep", f"gc/{BOB}.clock"}
    collect(remote, look(remote, days=2))
    assert list(remote.list("gc/")) == []


def test_a_push_under_way_holds_up_a_deletion_and_a_dead_one_does_not_for_ever(
    store: BlobStore, remote: DirectoryDriver
) -> None:
    gone = purged([push(store, remote, [put_large(store, 1)])])
    collect(remote, look(remote, gone, days=30))
    other = put_large(store, 2)
    with pytest.raises(KeyboardInterrupt), standing(remote, Claim(clone=BOB, leads={other: ()})):
        raise KeyboardInterrupt
    (begun,) = (each for each in remote.list("users/") if each.key.endswith(".begun"))
    in_two_months = time.time() + 60 * DAY_SECONDS
    os.utime(remote.root / begun.key, (in_two_months - 3600,) * 2)

    with pytest.raises(RemoteError, match="somebody pushes"):
        collect(remote, look(remote, gone, days=60))
    os.utime(remote.root / begun.key, (in_two_months - 3 * DAY_SECONDS,) * 2)

    assert collect(remote, look(remote, gone, days=60)).deleted == 1


@pytest.mark.parametrize("step", ["list", "sweep", "users", "roots", "index", "packs", "objects"])
def test_two_collections_at_once_and_one_that_is_cut_harm_nothing(
    store: BlobStore, remote: DirectoryDriver, tmp_path: Path, step: str
) -> None:
    alive, dead = [put_large(store, 1), *small(store, 20)], [put_large(store, 2), *small(store, 20, begin=50)]
    push(store, remote, alive)
    gone = purged([push(store, remote, dead)])
    if step != "list":
        collect(remote, look(remote, gone, days=30))

    def other(now: str) -> None:
        if now == step:
            collect(remote, look(remote, gone, days=60), clone=BOB)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(remote, look(remote, gone, days=60), between=other)
    collect(remote, look(remote, gone, days=60))
    collect(remote, look(remote, gone, days=90))

    assert_whole(remote, tmp_path / "other", alive)
    assert {each.key for each in look(remote, gone, days=120).kept} == keys(remote)
    assert len(keys(remote)) == 4


def _until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        threading.Event().wait(0.005)
    raise AssertionError("it did not come")


# -- the texts


digests = st.binary(min_size=32, max_size=32).map(lambda name: f"b3:{name.hex()}")


@given(
    st.builds(
        Claim,
        clone=st.just(ADA),
        host=st.text(),
        folder=st.text(),
        runs=st.lists(st.integers(0, 1 << 40).map(lambda ms: new_id(now_ms=ms)), max_size=3).map(sorted).map(tuple),
        leads=st.dictionaries(digests, st.none() | st.lists(digests, max_size=4).map(sorted).map(tuple), max_size=4),
    )
)
def test_a_claim_is_read_as_it_was_written(claim: Claim) -> None:
    assert load(claim.dump(), source="here") == claim


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(1, 255))
def test_of_a_claim_or_a_list_with_other_bytes_nothing_is_believed(junk: bytes, at: int, change: int) -> None:
    claim = Claim(clone=ADA, runs=(new_id(),), leads={f"b3:{'1' * 64}": None}).dump()
    named = lists.dump([Listed(f"packs/{'2' * 64}.pack", 9, 1.5)])
    for text in (claim, named):
        wrong = bytearray(text)
        wrong[at % len(text)] ^= change
        for data in (bytes(wrong), junk, text[: at % len(text)]):
            with pytest.raises(Damaged):
                load(data, source="here")
            with pytest.raises(Damaged):
                lists.load(data, modified_at=0, source="here")


# -- every place that can be written


def _collected_by_lists(driver: Driver, folder: Path) -> None:
    store = BlobStore(folder / "mine")
    alive, dead = [put_large(store, 1), *small(store, 20)], [put_large(store, 2), *small(store, 20, begin=50)]
    push(store, driver, alive)
    gone = purged([push(store, driver, dead)])
    young = survey(There(driver), gone)

    first, second = twice(driver, gone)

    assert len(young.young) == 4 and abs(young.began - time.time()) < 3600
    assert (first.listed, first.deleted, second.deleted) == (4, 0, 4)
    assert_whole(driver, folder / "other", alive)


def test_a_machine_behind_ssh_is_collected(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{sshd.programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("TEST_SSH_CONFIG", str(sshd.shared_config))
    driver = open_driver(StoreRemote(name="box", url=f"ssh://box{tmp_path}/remote"))
    try:
        _collected_by_lists(driver, tmp_path)
    finally:
        driver.close()


@pytest.mark.skipif(not importlib.util.find_spec("obstore"), reason="obstore is not installed")
def test_a_bucket_is_collected(moto: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in S3.environment().items():
        monkeypatch.setenv(name, value)
    url, options = f"s3://{moto.bucket}/collected", {"endpoint": moto.endpoint}
    _collected_by_lists(open_driver(StoreRemote(name="cloud", url=url, options=options)), tmp_path)
