"""Proof that bytes are there and right: of one thing, and of a whole store; and what is done about wrong ones."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gitrepro.errors import Damaged
from gitrepro.store.fsck import DAMAGED, FAST, HASH, NOT_AVAILABLE, OK, Checker, Proof, verify_blob, verify_run
from gitrepro.store.fsck.whole import Report, verify_store
from gitrepro.store.gc import GRACE_SECONDS, look, sweep
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.store.reach import give_up, reach
from tests.recorded_runs import opened, record_run
from tests.store.stores import (
    age_all,
    files_of,
    large,
    plain_file,
    put_large,
    put_packed,
    put_pieces,
    put_tree,
    raw,
    spoil,
    truncate,
)

LEVELS = (FAST, HASH)


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def quarantined(store: BlobStore) -> list[Path]:
    return sorted((store.root / "quarantine").glob("*"))


def the_pack(store: BlobStore) -> Path:
    [pack] = (store.root / "packs").glob("*.pack")
    return pack


def state(store: BlobStore, digest: str, level: str = HASH) -> str:
    return verify_blob(Checker(store, level=level), digest).state


Made = Callable[[BlobStore], str]
FORMS: dict[str, Made] = {
    "loose": put_large,
    "packed": lambda store: put_packed(store, b"small" * 50, b"other" * 50)[0],
    "pieces": lambda store: put_pieces(store, large(1), large(2)),
    "tree": lambda store: put_tree(store, {"a": b"one", "b": large(3)}),
}


# -- one thing


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_and_right_is_ok(store: BlobStore, form: str, level: str) -> None:
    assert state(store, FORMS[form](store), level) == OK


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_never_here_is_not_available(store: BlobStore, level: str) -> None:
    proof = verify_blob(Checker(store, level=level), digest_of([b"elsewhere"]))
    assert (proof.state, proof.size_bytes) == (NOT_AVAILABLE, None)
    assert proof.do


def test_another_byte_in_a_file_is_damage_and_is_set_aside(store: BlobStore) -> None:
    digest = put_large(store)
    spoil(store.path(digest), at=100)
    assert state(store, digest, FAST) == OK, "that it is there is all that was asked"
    proof = verify_blob(Checker(store, level=HASH), digest)
    assert proof.state == DAMAGED
    assert "quarantine" in proof.do
    assert len(quarantined(store)) == 1
    assert put_large(store) == digest
    assert state(store, digest) == OK


def test_two_files_that_changed_places_are_both_damaged(store: BlobStore) -> None:
    first, second = put_large(store, 1), put_large(store, 2)
    aside = store.path(first).rename(store.root / "aside")
    store.path(second).rename(store.path(first))
    aside.rename(store.path(second))
    assert {state(store, first), state(store, second)} == {DAMAGED}


def test_a_file_cut_short_is_damage_even_at_a_glance_where_the_size_is_on_record(store: BlobStore) -> None:
    digest = put_large(store)
    truncate(store.path(digest), 10)
    assert Checker(store, level=FAST).blob(digest, len(large(0))).state == DAMAGED


def test_another_byte_in_a_pack_costs_that_blob_and_no_other(store: BlobStore) -> None:
    first, second = put_packed(store, b"first" * 50, b"second" * 50)
    place = store.index.find(raw(first))
    assert place is not None
    spoil(the_pack(store), at=place.offset + 3)
    assert state(store, first) == DAMAGED
    assert store.get(second) == b"second" * 50


def test_a_piece_that_is_gone_is_told_at_a_glance(store: BlobStore) -> None:
    whole = put_pieces(store, large(1), large(2))
    store.path(digest_of([large(2)])).unlink()
    assert state(store, whole, FAST) == NOT_AVAILABLE
    assert state(store, whole, HASH) != OK


def test_a_tree_says_which_files_are_wrong(store: BlobStore) -> None:
    tree = put_tree(store, {"a": large(1), "b": large(2), "c": large(3)})
    spoil(store.path(digest_of([large(1)])))
    store.path(digest_of([large(2)])).unlink()
    proof = verify_blob(Checker(store, level=HASH), tree)
    assert proof.state == DAMAGED, "the worse of the two"
    assert "1 of 3 files damaged: a" in proof.why
    assert "1 of 3 files not available: b" in proof.why


def test_a_tree_that_is_none_is_damage_and_no_error(store: BlobStore) -> None:
    digest = store.put(b"gitrepro tree 1\nnonsense\n")
    assert state(store, digest) == DAMAGED


def test_a_damaged_index_is_made_again_and_that_is_said(store: BlobStore) -> None:
    digest, *_ = put_packed(store, b"one", b"two")
    store.close()
    store.index.path.write_bytes(b"no table of anything" * 100)
    checker = Checker(BlobStore(store.root), level=HASH)
    assert checker.blob(digest).state == OK
    assert ["index" in text for text in checker.mended] == [True]


def test_an_index_that_points_elsewhere_is_found_out(store: BlobStore) -> None:
    import sqlite3

    first, _ = put_packed(store, b"first" * 20, b"second" * 20)
    store.close()
    with sqlite3.connect(store.index.path) as db:
        db.execute("UPDATE blobs SET offset = offset + 1 WHERE hash = ?", (raw(first),))
    checker = Checker(BlobStore(store.root), level=HASH)
    assert checker.blob(first).state == OK
    assert checker.mended
    assert quarantined(store) == []


def test_what_a_collection_took_too_early_is_put_back(store: BlobStore) -> None:
    digest = put_large(store)
    age_all(store)
    began = time.time()
    sweep(store, look(store, set(), began=began, grace_seconds=GRACE_SECONDS), began=began)
    assert digest not in store
    checker = Checker(store, level=FAST)
    assert checker.blob(digest).state == OK
    assert "trash" in checker.mended[0]
    assert digest in store


# -- a run


@pytest.fixture
def team(repo: Path) -> BlobStore:
    return store_of(opened(repo))


def run_of(repo: Path, store: BlobStore) -> str:
    tree = put_tree(store, {"a": b"one", "b": large(1)})
    split = store.put(f"gitrepro split 1\ndata {tree}\nids path\nrule {{}}\npart test 1\na\n".encode())
    checkpoint = put_pieces(store, large(2), large(3))
    log, fitted = store.put(b"epoch 1\n"), store.put(b"mean\n")
    size_bytes = len(large(2)) + len(large(3))
    return record_run(
        repo,
        data=(
            {
                "name": "digits",
                "version": "v1",
                "digest": tree,
                "kind": "folder",
                "splits": [{"name": "default", "version": "v1", "digest": split, "parts": {"test": 1}}],
            },
        ),
        fitted=({"name": "mean_std", "method": "mean_std", "blob": fitted},),
        checkpoints=({"blob": checkpoint, "name": "best", "roles": ["best"], "size_bytes": size_bytes},),
        artifacts=({"blob": log, "kind": "output", "name": "output.log", "size_bytes": 8},),
    )


def states(proofs: list[Proof]) -> dict[str, str]:
    return {proof.what: proof.state for proof in proofs}


@pytest.mark.parametrize("level", LEVELS)
def test_every_thing_that_a_run_names_is_looked_at(repo: Path, team: BlobStore, level: str) -> None:
    proofs = verify_run(opened(repo), team, run_of(repo, team), level)
    assert states(proofs) == {
        "record": OK,
        "code, commit": OK,
        "data digits@v1": OK,
        "split default@v1 of digits": OK,
        "fitted mean_std": OK,
        "checkpoint best (best)": OK,
        "output output.log": OK,
    }


def test_each_of_them_is_told_when_it_is_wrong(repo: Path, team: BlobStore) -> None:
    run_id = run_of(repo, team)
    spoil(team.path(digest_of([large(1)])))
    team.path(digest_of([b"mean\n"])).unlink()
    spoil(team.path(digest_of([large(3)])))
    truncate(team.path(digest_of([b"epoch 1\n"])), 2)
    found = states(verify_run(opened(repo), team, run_id))
    assert found["data digits@v1"] == DAMAGED
    assert found["fitted mean_std"] == NOT_AVAILABLE
    assert found["checkpoint best (best)"] == DAMAGED
    assert found["output output.log"] == DAMAGED
    assert found["split default@v1 of digits"] == found["record"] == OK


def test_code_that_is_gone_is_told(repo: Path, team: BlobStore) -> None:
    run_id = record_run(repo)
    for path in (repo / ".git" / "objects").glob("??/*"):
        if path.read_bytes() and b"trained" in _unpacked(path):
            path.unlink()
    found = states(verify_run(opened(repo), team, run_id))
    assert found["code, commit"] == NOT_AVAILABLE


def _unpacked(path: Path) -> bytes:
    import zlib

    return zlib.decompress(path.read_bytes())


def test_a_checkpoint_that_was_not_copied_is_looked_at_where_it_lies(
    repo: Path, team: BlobStore, tmp_path: Path
) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"weights")
    entry = {"blob": digest_of([b"weights"]), "name": "own", "path": str(file), "size_bytes": 7, "roles": ["kept"]}
    run_id = record_run(repo, checkpoints=(entry,))
    what = f"checkpoint own (kept), at {file}"
    assert states(verify_run(opened(repo), team, run_id))[what] == OK
    file.write_bytes(b"changed")
    assert states(verify_run(opened(repo), team, run_id, FAST))[what] == OK
    assert states(verify_run(opened(repo), team, run_id))[what] == DAMAGED
    file.unlink()
    assert states(verify_run(opened(repo), team, run_id))[what] == NOT_AVAILABLE
    os.mkfifo(file)
    assert states(verify_run(opened(repo), team, run_id))[what] == NOT_AVAILABLE, "it waits for nobody"


def test_a_record_that_names_nonsense_is_damage(repo: Path, team: BlobStore) -> None:
    run_id = record_run(repo, artifacts=({"blob": "b3:12", "kind": "artifact", "name": "x"},))
    assert states(verify_run(opened(repo), team, run_id))["artifact x"] == DAMAGED


# -- a whole store


def whole(store: BlobStore, **more: object) -> Report:
    return verify_store(BlobStore(store.root), **more)  # type: ignore[arg-type]


def fill(store: BlobStore) -> list[str]:
    return [make(store) for make in FORMS.values()]


def test_a_sound_store_is_said_to_be_sound(store: BlobStore) -> None:
    fill(store)
    report = whole(store)
    assert (report.state, report.complete, report.findings, report.mended) == (OK, True, [], [])
    assert report.looked == report.files == len(files_of(store))


def test_an_empty_store_is_sound(store: BlobStore) -> None:
    assert whole(store).complete


def test_every_file_of_it_that_is_harmed_is_found(store: BlobStore, tmp_path: Path) -> None:
    fill(store)
    for number, path in enumerate(files_of(store)):
        harmed = BlobStore(tmp_path / f"harmed-{number}")
        shutil.copytree(store.root, harmed.root)
        there = harmed.root / path.relative_to(store.root)
        spoil(there, at=there.stat().st_size - 1)
        report = whole(harmed)
        assert report.state == DAMAGED, path
        assert report.findings[0].do
        assert len(quarantined(harmed)) == 1
    assert whole(store).state == OK


def test_wrong_bytes_are_set_aside_and_the_next_look_is_sound(store: BlobStore) -> None:
    digest = put_large(store)
    spoil(store.path(digest))
    assert whole(store).state == DAMAGED
    assert len(quarantined(store)) == 1
    assert whole(store).state == OK, "the blob is missing now; who needs it is asked by `verify --all`"


def test_of_a_pack_whose_table_is_gone_all_is_kept_that_the_index_knows(store: BlobStore) -> None:
    first, second = put_packed(store, b"first" * 50, b"second" * 50)
    pack = the_pack(store)
    truncate(pack, pack.stat().st_size - 20)
    report = whole(store)
    assert report.state == DAMAGED
    assert "2 of 2 blobs" in report.findings[0].why
    assert store.get(first) + store.get(second) == b"first" * 50 + b"second" * 50
    assert reach(store, {raw(first)}) == {raw(first)}, "nothing is missing: a collection may go on"


def test_a_pack_of_which_nobody_knows_what_it_held_stops_collections(store: BlobStore) -> None:
    first, _ = put_packed(store, b"first" * 50, b"second" * 50)
    pack = the_pack(store)
    truncate(pack, pack.stat().st_size - 20)
    store.index.forget()
    assert "the index knew nothing" in whole(store).findings[0].why
    needed = {raw(first)}
    with pytest.raises(Damaged, match="not known which blobs the pack") as raised:
        reach(store, needed)
    assert f"--lost b3:{pack.name[:64]}" in raised.value.do
    assert reach(store, needed, lost=frozenset({bytes.fromhex(pack.name[:64])})) == needed
    give_up(store, frozenset({bytes.fromhex(pack.name[:64])}))
    assert reach(store, needed) == needed, "it is said once"
    assert len(quarantined(store)) == 1


def test_a_lost_pack_stops_no_collection_where_nothing_is_missing(store: BlobStore) -> None:
    first, _ = put_packed(store, b"first" * 50, b"second" * 50)
    pack = the_pack(store)
    truncate(pack, pack.stat().st_size - 20)
    store.index.forget()
    assert "the index knew nothing" in whole(store).findings[0].why
    needed = {raw(first)}
    store.put(b"first" * 50)
    assert reach(store, needed) == needed, "nothing that may lead on is missing any more"


def test_a_pack_of_one_blob_whose_table_is_gone_is_kept_under_the_same_name(store: BlobStore) -> None:
    [only] = put_packed(store, b"only" * 50)
    pack = the_pack(store)
    spoil(pack, at=pack.stat().st_size - 60)
    assert "1 of 1 blobs" in whole(store).findings[0].why
    assert the_pack(store) == pack
    assert BlobStore(store.root).get(only) == b"only" * 50
    assert [path.name[:9] for path in quarantined(store)] == ["salvaged-"]


def test_an_index_that_says_something_else_than_the_packs_is_made_again(store: BlobStore) -> None:
    import sqlite3

    _, second = put_packed(store, b"first" * 50, b"second" * 50)
    store.close()
    with sqlite3.connect(store.index.path) as db:
        db.execute("DELETE FROM blobs WHERE hash = ?", (raw(second),))
    report = whole(store)
    assert report.mended
    assert report.state == OK
    assert second in BlobStore(store.root)
    assert whole(store).mended == []


def test_strangers_in_the_store_are_told_and_left(store: BlobStore) -> None:
    fill(store)
    (store.root / "objects" / "zz").mkdir()
    strays = [store.root / "objects" / "zz" / "notes", store.root / "packs" / "x.pack", store.root / "objects" / "y"]
    for stray in strays:
        stray.write_bytes(b"mine")
    report = whole(store)
    assert sorted(report.strays) == sorted(strays)
    assert report.state == OK
    assert all(stray.exists() for stray in strays)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_no_blob(store: BlobStore, kind: str) -> None:
    digest = put_large(store)
    path = store.path(digest)
    path.unlink()
    match kind:
        case "link":
            path.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    assert whole(store).state == DAMAGED
    assert not os.path.lexists(path)


# -- in several goes


class Clock:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_it_stops_when_its_time_is_over_and_goes_on_where_it_stopped(store: BlobStore) -> None:
    for number in range(30):
        plain_file(store, f"{number}".encode())
    looked, clock = 0, Clock()
    for _ in range(40):
        report = whole(store, limit_seconds=20, clock=clock)
        assert report.before == looked
        looked += report.looked
        if report.complete:
            break
        assert report.looked < 30
    assert looked == 30
    assert whole(store, clock=clock).looked == 30, "the next round begins anew"


def test_what_was_touched_since_is_looked_at_again(store: BlobStore) -> None:
    paths = [plain_file(store, f"{number}".encode()) for number in range(10)]
    first = whole(store, limit_seconds=12, clock=Clock())
    assert 0 < first.looked < 10
    spoil(sorted(paths)[0])
    second = whole(store)
    assert second.state == DAMAGED
    assert second.before == first.looked - 1


def test_what_was_found_wrong_is_found_again_until_it_is_gone(store: BlobStore) -> None:
    whole_ = put_pieces(store, large(1), large(2))
    store.path(digest_of([large(2)])).unlink()
    for _ in range(2):
        report = whole(store)
        assert report.state != OK
    assert store.recipe_path(raw(whole_)).exists() or quarantined(store)


def test_a_damaged_memory_costs_a_second_look_and_nothing_else(store: BlobStore) -> None:
    fill(store)
    whole(store, limit_seconds=1.5, clock=Clock())
    (store.root / "verified.sqlite").write_bytes(b"nonsense" * 1000)
    report = whole(store)
    assert (report.state, report.complete, report.before) == (OK, True, 0)


def test_a_round_that_was_begun_long_ago_is_not_gone_on_with(store: BlobStore) -> None:
    for number in range(10):
        plain_file(store, f"{number}".encode())
    then = time.time() - 40 * 86_400
    clock = Clock()
    clock.now = then
    assert not whole(store, limit_seconds=5, clock=clock).complete
    assert whole(store).before == 0
