"""The little that runs name travels in packs together, and is found by the run: few requests, and no list is needed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrepro.errors import Damaged
from gitrepro.store.objects import BlobStore
from gitrepro.store.place import store_of
from gitrepro.sync.blobs import fetch, layout, missing_there, send
from gitrepro.sync.blobs.counted import Counted
from gitrepro.sync.blobs.driver import Listed, NoListing
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver
from gitrepro.sync.blobs.opening import open_driver
from gitrepro.sync.get import bring_needs, ensure
from gitrepro.sync.kept import kept_there
from gitrepro.sync.naming import runs_naming
from gitrepro.sync.needs import needs
from gitrepro.sync.remotes import StoreRemote, add
from gitrepro.sync.travel import deliver, loads
from tests.recorded_runs import opened, record_run
from tests.sync.test_blobs import WithoutListing

Runs = dict[str, list[str]]


def made(store: BlobStore, count: int, *, seed: int = 0) -> Runs:
    """So many runs with three small blobs of their own each."""
    draw = random.Random(seed)
    with store.batch() as batch:
        return {
            f"01jd{seed:06}{number:016}": [batch.put(draw.randbytes(900)) for _ in range(3)] for number in range(count)
        }


def roots_of(runs: Runs) -> dict[str, list[str]]:
    return {digest: [digest] for digests in runs.values() for digest in digests}


def sent(store: BlobStore, folder: Path, runs: Runs) -> tuple[int, int, int]:
    """Requests, blobs and packs of one push."""
    driver = Counted(DirectoryDriver(folder))
    done = send(store, driver, roots_of(runs), runs=runs)
    return driver.requests, done.blobs, done.packs


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "mine")


@pytest.fixture
def other(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "other")


def test_the_small_blobs_of_many_runs_go_in_one_pack_with_one_request_a_run(store: BlobStore, tmp_path: Path) -> None:
    runs = made(store, 200)
    requests, blobs, packs = sent(store, tmp_path / "team", runs)

    assert (blobs, packs) == (600, 1)
    assert requests <= len(runs) + 5


def test_new_runs_cost_no_more_where_there_are_others_already(store: BlobStore, tmp_path: Path) -> None:
    sent(store, tmp_path / "team", made(store, 50, seed=1))
    runs = made(store, 50, seed=2)
    driver = Counted(DirectoryDriver(tmp_path / "team"))
    missing = missing_there(driver, roots_of(runs), roots=roots_of(runs), runs=runs, cache=store.root / "tables")
    requests, blobs, packs = sent(store, tmp_path / "team", runs)

    assert (len(missing), blobs, packs) == (150, 150, 1)
    assert driver.requests <= 8
    assert requests <= len(runs) + 8


def test_sent_again_nothing_goes(store: BlobStore, tmp_path: Path) -> None:
    runs = made(store, 20)
    sent(store, tmp_path / "team", runs)
    one = dict(list(runs.items())[:1])

    assert sent(store, tmp_path / "team", runs)[1] == 0
    assert sent(store, tmp_path / "team", one)[1] == 0
    assert not (tmp_path / "team" / "objects").exists()


def test_what_a_run_names_is_found_by_the_run_where_nobody_can_say_what_there_is(
    store: BlobStore, other: BlobStore, tmp_path: Path
) -> None:
    runs = made(store, 20)
    sent(store, tmp_path / "team", runs)
    place = WithoutListing(DirectoryDriver(tmp_path / "team"))
    run_id, digests = list(runs.items())[7]

    without = fetch(other, [place], [digests[1]])
    found = fetch(other, [place], [digests[1]], runs=[run_id])

    assert without.missing == (digests[1],) and without.unlisted
    assert found.missing == () and other.get(digests[1]) == store.get(digests[1])
    assert found.requests <= 5
    assert missing_there(place, digests, runs=[run_id]) == set()


def test_many_runs_come_with_few_requests(store: BlobStore, other: BlobStore, tmp_path: Path) -> None:
    runs = made(store, 100)
    sent(store, tmp_path / "team", runs)
    driver = Counted(DirectoryDriver(tmp_path / "team"))
    found = fetch(other, [driver], roots_of(runs), runs=runs)

    assert (found.blobs, found.missing) == (300, ())
    assert driver.requests <= 6


def test_a_push_that_was_cut_before_the_roots_of_runs_writes_them_at_the_next(store: BlobStore, tmp_path: Path) -> None:
    runs = made(store, 20)
    sent(store, tmp_path / "team", runs)
    for path in sorted((tmp_path / "team" / "runs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()

    assert sent(store, tmp_path / "team", runs)[1] == 0
    assert len([path for path in (tmp_path / "team" / "runs").rglob("*") if path.is_file()]) == 20


def test_two_runs_with_the_same_blob_both_lead_to_it(store: BlobStore, other: BlobStore, tmp_path: Path) -> None:
    first = made(store, 10, seed=1)
    sent(store, tmp_path / "team", first)
    shared = next(iter(first.values()))
    second = {"01jdtwotwotwotwotwotwotwot": shared}
    sent(store, tmp_path / "team", second)

    found = fetch(other, [WithoutListing(DirectoryDriver(tmp_path / "team"))], shared, runs=second)

    assert found.missing == ()


def test_a_remote_of_before_is_read_and_added_to(store: BlobStore, other: BlobStore, tmp_path: Path) -> None:
    before, after = made(store, 3, seed=1), made(store, 3, seed=2)
    send(store, DirectoryDriver(tmp_path / "team"), roots_of(before))  # each a file of its own
    both = before | after
    _, blobs, _ = sent(store, tmp_path / "team", both)

    assert blobs == 9
    found = fetch(other, [WithoutListing(DirectoryDriver(tmp_path / "team"))], roots_of(both), runs=both)
    assert found.missing == ()


@pytest.mark.parametrize("harm", ["cut", "another run", "changed"])
def test_the_root_of_a_run_is_trusted_in_nothing(store: BlobStore, tmp_path: Path, harm: str) -> None:
    text = layout.dump_root("01jd", layout.Reached(packs=frozenset(["1" * 64])))
    assert layout.load_root(text, "01jd", source="here").packs == {"1" * 64}
    spoilt = {"cut": text[:-1], "another run": text, "changed": text.replace(b"pack 1", b"pack 2")}[harm]

    with pytest.raises(Damaged, match="damaged"):
        layout.load_root(spoilt, "01je" if harm == "another run" else "01jd", source="here")


# -- from a record to its bytes


class Silent(WithoutListing):
    """A folder that cannot say what it has, as behind a plain web server."""

    def list(self, prefix: str) -> Iterator[Listed]:
        raise NoListing(prefix)


@pytest.fixture
def recorded(repo: Path) -> Runs:
    """Runs on record with three small artifacts each."""
    store = store_of(opened(repo))
    blobs = list(made(store, 6).values())
    return {
        record_run(
            repo, artifacts=tuple({"kind": "file", "name": digest[3:7], "blob": digest} for digest in each)
        ): each
        for each in blobs
    }


@pytest.fixture
def team(repo: Path, tmp_path: Path, recorded: Runs, monkeypatch: pytest.MonkeyPatch) -> StoreRemote:
    """A store remote that has all of them, and can be read by names alone; nothing is left here."""
    remote = add(opened(repo), "team", str(tmp_path / "team"))
    for load in loads(opened(repo), remote, list(recorded)):
        deliver(opened(repo), load)
    store = store_of(opened(repo))
    store.close()
    store.root.rename(store.root.with_name("store-before"))
    (store.root / "objects").mkdir(parents=True)
    monkeypatch.setattr("gitrepro.sync.blobs.opening.open_driver", lambda each: Silent(open_driver_before(each)))
    return remote


open_driver_before = open_driver


def test_what_one_record_names_comes_without_a_list(repo: Path, recorded: Runs, team: StoreRemote) -> None:
    run_id, digests = list(recorded.items())[2]
    store = store_of(opened(repo))

    ensure(opened(repo), [digests[0]])  # nobody says of which run it is
    assert digests[0] in store and digests[1] not in store

    assert not bring_needs(opened(repo), needs(opened(repo), [run_id]).absent).missing
    assert all(digest in store for digest in digests)


def test_it_is_known_what_such_a_place_keeps_of_a_run(repo: Path, recorded: Runs, team: StoreRemote) -> None:
    run_id = list(recorded)[1]

    assert all(each.whole for each in kept_there(opened(repo), run_id, team))
    assert all(each.whole for each in kept_there(opened(repo), run_id, team, full=True))


def test_the_newest_run_that_names_a_blob_is_found_in_the_records(repo: Path, recorded: Runs) -> None:
    run_id, digests = list(recorded.items())[3]
    later = record_run(repo, artifacts=({"kind": "file", "name": "again", "blob": digests[0]},))

    assert runs_naming(opened(repo), [digests[0], digests[1]]) == [later, run_id]
    assert runs_naming(opened(repo), ["b3:" + "0" * 64]) == []
