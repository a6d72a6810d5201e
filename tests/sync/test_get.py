"""What is on record and not here comes from the store remotes, each asked in its turn; nothing wrong gets a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gitrepro.data import open_dataset
from gitrepro.data.getting import get_dataset
from gitrepro.errors import BlobMissing, Damaged, NotAvailable
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.sync.blobs.layout import object_key
from gitrepro.sync.get import bring_needs, ensure, ensure_tree
from gitrepro.sync.needs import needs
from gitrepro.sync.remotes import StoreRemote, add
from gitrepro.sync.travel import deliver, due, loads, remember_came
from tests.conftest import Git
from tests.recorded_data import AT, digits
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_large, put_pieces, put_tree, spoil

Filled = Callable[..., StoreRemote]
FILES = {"a.txt": b"one", "b.bin": large(1), **{f"c/{number}.txt": b"%d" % number for number in range(20)}}


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


@pytest.fixture
def filled(repo: Path, tmp_path: Path) -> Filled:
    """A store remote with what some runs need, or empty, that the repository follows."""

    def fill(name: str, *run_ids: str, checkpoints: str = "best") -> StoreRemote:
        remote = add(opened(repo), name, str(tmp_path / name))
        for load in loads(opened(repo), remote, run_ids, checkpoints=checkpoints):
            deliver(opened(repo), load)
        return remote

    return fill


def empty(store: BlobStore) -> None:
    """Take all blobs out of a store."""
    store.close()
    store.root.rename(store.root.with_name("store-before"))
    (store.root / "objects").mkdir(parents=True)


def a_run(repo: Path, store: BlobStore) -> tuple[str, str, str]:
    tree = put_tree(store, FILES)
    checkpoint = put_pieces(store, large(2), large(3))
    run_id = record_run(
        repo,
        data=({"name": "digits", "version": "v1", "digest": tree, "splits": []},),
        checkpoints=({"blob": checkpoint, "name": "best", "roles": ["best"]},),
    )
    return run_id, tree, checkpoint


def test_what_is_here_is_asked_of_nobody(repo: Path, store: BlobStore) -> None:
    add(opened(repo), "team", "/not/there")

    assert ensure(opened(repo), [put_large(store, 1)]).answers == ()


def test_a_blob_in_pieces_comes_whole(repo: Path, store: BlobStore, filled: Filled) -> None:
    run_id, _, checkpoint = a_run(repo, store)
    filled("team", run_id)
    empty(store)

    brought = ensure(opened(repo), [checkpoint])

    assert store.get(checkpoint) == large(2) + large(3)
    assert [answer.remote.name for answer in brought.answers] == ["team"]


def test_one_piece_that_is_gone_comes_alone(repo: Path, store: BlobStore, filled: Filled) -> None:
    run_id, _, checkpoint = a_run(repo, store)
    filled("team", run_id)
    store.path(digest_of([large(3)])).unlink()

    brought = ensure(opened(repo), [checkpoint])

    assert store.get(checkpoint) == large(2) + large(3)
    assert brought.size_bytes == len(large(3))


def test_a_tree_comes_with_all_its_files_or_with_those_that_are_wanted(
    repo: Path, store: BlobStore, filled: Filled
) -> None:
    run_id, tree, _ = a_run(repo, store)
    filled("team", run_id)
    empty(store)

    ensure_tree(opened(repo), tree, only=[b"c"])
    assert digest_of([b"7"]) in store
    assert digest_of([large(1)]) not in store

    ensure_tree(opened(repo), tree)
    assert all(digest_of([data]) in store for data in FILES.values())


def test_the_list_of_a_tree_can_come_alone(repo: Path, store: BlobStore, filled: Filled) -> None:
    run_id, tree, _ = a_run(repo, store)
    filled("team", run_id)
    empty(store)

    ensure_tree(opened(repo), tree, files=False)

    assert tree in store and digest_of([b"one"]) not in store


def test_all_that_runs_need_comes_and_what_nobody_has_is_named(repo: Path, store: BlobStore, filled: Filled) -> None:
    run_id, *_ = a_run(repo, store)
    gone = digest_of([b"nowhere"])
    other = record_run(repo, artifacts=({"blob": gone, "kind": "artifact", "name": "x"},))
    filled("team", run_id)
    empty(store)

    brought = bring_needs(opened(repo), needs(opened(repo), [run_id, other]).absent)

    assert brought.missing == (gone,)
    assert needs(opened(repo), [run_id]).absent == ()


def test_without_a_store_remote_the_error_says_how_to_name_one(repo: Path) -> None:
    with pytest.raises(BlobMissing, match="gitrepro remote add NAME URL"):
        ensure(opened(repo), [digest_of([b"nowhere"])])


def test_where_nobody_has_it_the_error_says_who_was_asked(repo: Path, filled: Filled) -> None:
    filled("team")
    filled("backup")

    with pytest.raises(BlobMissing, match=r"team \(.*\) has it not; backup \(.*\) has it not"):
        ensure(opened(repo), [digest_of([b"nowhere"])])


def test_one_that_cannot_be_asked_is_passed_by_and_the_next_one_is_asked(
    repo: Path, store: BlobStore, filled: Filled, git: Git
) -> None:
    run_id, _, checkpoint = a_run(repo, store)
    git(repo, "config", "gitrepro-remote.down.url", "http://127.0.0.1:1/")
    filled("team", run_id)
    empty(store)

    brought = ensure(opened(repo), [checkpoint])

    assert [(answer.remote.name, answer.trouble is None) for answer in brought.answers] == [
        ("down", False),
        ("team", True),
    ]
    assert checkpoint in store


def test_when_nobody_can_be_asked_the_error_says_to_come_again(repo: Path) -> None:
    add(opened(repo), "down", "http://127.0.0.1:1/")

    with pytest.raises(BlobMissing, match="run it again when the remote can be reached"):
        ensure(opened(repo), [digest_of([b"nowhere"])])


def test_wrong_bytes_get_no_name_and_the_next_remote_has_right_ones(
    repo: Path, store: BlobStore, filled: Filled, tmp_path: Path
) -> None:
    blob = put_large(store, 5)
    run_id = record_run(repo, artifacts=({"blob": blob, "kind": "artifact", "name": "x"},))
    filled("poisoned", run_id)
    filled("sound", run_id)
    spoil(tmp_path / "poisoned" / object_key(blob))
    empty(store)

    brought = ensure(opened(repo), [blob])

    assert store.get(blob) == large(5)
    assert brought.answers[0].wrong == (blob,)


def test_wrong_bytes_alone_are_none(repo: Path, store: BlobStore, filled: Filled, tmp_path: Path) -> None:
    blob = put_large(store, 5)
    run_id = record_run(repo, artifacts=({"blob": blob, "kind": "artifact", "name": "x"},))
    filled("poisoned", run_id)
    spoil(tmp_path / "poisoned" / object_key(blob))
    empty(store)

    with pytest.raises(BlobMissing, match="has other bytes under that name"):
        ensure(opened(repo), [blob])
    assert blob not in store


def test_what_looks_like_a_tree_and_is_none_is_damage(repo: Path, store: BlobStore) -> None:
    with pytest.raises(Damaged):
        ensure_tree(opened(repo), put_large(store, 1))


# -- data


def test_data_are_laid_out_from_a_remote_when_they_are_opened(
    repo: Path, store: BlobStore, filled: Filled, tmp_path: Path
) -> None:
    record, split = digits(repo)
    splits = [{"name": "default", "version": "v1", "digest": split.digest}]
    filled("team", record_run(repo, data=({"name": "digits", "digest": record.digest, "splits": splits},)))
    before = (tmp_path / "digits.npz").read_bytes()
    (tmp_path / "digits.npz").unlink()
    empty(store)

    found = open_dataset(opened(repo), "digits")

    assert found.path.read_bytes() == before
    assert found.split("default").parts == split.parts


def test_data_are_got_from_a_remote_by_their_name(repo: Path, store: BlobStore, filled: Filled, tmp_path: Path) -> None:
    record, _ = digits(repo)
    filled("team", record_run(repo, data=({"name": "digits", "digest": record.digest, "splits": []},)))
    (tmp_path / "digits.npz").unlink()
    empty(store)

    got = get_dataset(opened(repo), record, str(tmp_path / "out.npz"), at=AT)

    assert got.written == 1


def test_data_that_are_nowhere_are_not_available_and_it_is_said_who_was_asked(
    repo: Path, store: BlobStore, filled: Filled, tmp_path: Path
) -> None:
    record, _ = digits(repo)
    filled("team")
    (tmp_path / "digits.npz").unlink()
    empty(store)

    with pytest.raises(NotAvailable, match=r"team \(.*\) has it not"):
        get_dataset(opened(repo), record, str(tmp_path / "out.npz"), at=AT)


# -- what went before


def test_what_went_is_not_looked_at_again_until_more_of_it_is_wanted(
    repo: Path, store: BlobStore, filled: Filled
) -> None:
    run_id, *_ = a_run(repo, store)
    remote = filled("team", run_id)
    new = record_run(repo)

    assert due(opened(repo), remote) == [new]
    assert due(opened(repo), remote, checkpoints="all") == sorted([run_id, new])


def test_runs_that_came_from_others_are_for_them_to_send(repo: Path, filled: Filled) -> None:
    remote = filled("team")
    theirs, ours = record_run(repo), record_run(repo)

    remember_came(opened(repo), [theirs])

    assert due(opened(repo), remote) == [ours]


def test_of_another_place_under_the_same_name_nothing_is_known(repo: Path, filled: Filled) -> None:
    run_id = record_run(repo)
    filled("team", run_id)

    other = add(opened(repo), "team", str(repo.parent / "elsewhere"))

    assert due(opened(repo), other) == [run_id]


def test_a_note_that_was_cut_costs_another_look_and_nothing_else(repo: Path, filled: Filled) -> None:
    run_id = record_run(repo)
    remote = filled("team", run_id)
    [path] = (opened(repo).home / "sent").iterdir()
    path.write_bytes(b"\xff\x00" + path.read_bytes()[:-3])

    assert due(opened(repo), remote) == [run_id]


def test_a_checkpoint_in_a_place_of_its_own_is_taken_in_when_it_goes(
    repo: Path, store: BlobStore, filled: Filled, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(large(7))
    blob = digest_of([large(7)])
    entry = {"blob": blob, "name": "best", "roles": ["best"], "size_bytes": len(large(7)), "path": str(path)}
    filled("team", record_run(repo, checkpoints=(entry,)))

    assert (tmp_path / "team" / object_key(blob)).read_bytes() == large(7)


def test_one_that_was_changed_since_does_not_go(repo: Path, filled: Filled, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(large(8))
    blob = digest_of([large(7)])
    entry = {"blob": blob, "name": "best", "roles": ["best"], "size_bytes": len(large(7)), "path": str(path)}
    filled("team", record_run(repo, checkpoints=(entry,)))

    assert not (tmp_path / "team" / "objects").exists()
