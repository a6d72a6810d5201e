"""What runs need: every blob that their records name, under that by which a store remote is asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import NotFound, UsageError
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.sync.needs import Needs, missing_pieces, needs
from tests.recorded_data import add_data, digits
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_large, put_packed, put_pieces, put_tree


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


def of(repo: Path, *run_ids: str, **options: object) -> Needs:
    return needs(opened(repo), run_ids, **options)  # type: ignore[arg-type]


def digests(found: Needs) -> set[str]:
    return {digest for each in found.roots.values() for digest in each}


def test_a_tree_leads_to_its_list_and_all_its_files(repo: Path, store: BlobStore) -> None:
    tree = put_tree(store, {"a": b"one", "b": large(1)})
    run_id = record_run(repo, data=({"name": "digits", "version": "v1", "digest": tree, "splits": []},))

    found = of(repo, run_id)

    assert found.roots.keys() == {tree}
    assert {digest_of([b"one"]), digest_of([large(1)]), tree} < set(found.roots[tree])
    assert len(found.roots[tree]) == 4, "the root, one shard, two files"
    assert found.size_bytes == sum(map(store.size, found.roots[tree]))
    assert [(need.kind, need.name) for need in found.items] == [("data", "digits@v1")]


def test_data_that_were_linked_need_only_their_list(repo: Path, store: BlobStore) -> None:
    folder = repo.parent / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(large(1))
    record = add_data(repo, folder, "pictures", link=True)
    entry = {"name": "pictures", "version": "v1", "digest": record.digest, "linked": True, "splits": []}

    found = of(repo, record_run(repo, data=(entry,)))

    assert digest_of([large(1)]) not in digests(found)
    assert record.digest in digests(found) and found.absent == ()


def test_data_can_be_left_out_and_their_lists_and_splits_stay(repo: Path) -> None:
    record, split = digits(repo)
    splits = [{"name": "default", "version": "v1", "digest": split.digest}]
    run_id = record_run(repo, data=({"name": "digits", "digest": record.digest, "splits": splits},))

    whole, lists = of(repo, run_id), of(repo, run_id, data=False)

    assert lists.roots.keys() == whole.roots.keys() == {record.digest, split.digest}
    assert len(lists.roots[record.digest]) == 2 < len(whole.roots[record.digest])


CHECKPOINTS = (("step-1", ["kept"]), ("step-2", ["best"]), ("step-3", ["last"]))


@pytest.mark.parametrize(
    ("choice", "meant"), [("best", {"step-2"}), ("all", {"step-1", "step-2", "step-3"}), ("none", set())]
)
def test_which_checkpoints_are_meant_is_a_choice(repo: Path, store: BlobStore, choice: str, meant: set[str]) -> None:
    entries = [
        {"blob": put_large(store, place), "name": name, "roles": roles}
        for place, (name, roles) in enumerate(CHECKPOINTS)
    ]
    run_id = record_run(repo, checkpoints=tuple(entries))

    found = of(repo, run_id, checkpoints=choice)

    assert {need.name for need in found.items} == meant
    assert digests(found) == {str(entry["blob"]) for entry in entries if entry["name"] in meant}


def test_without_a_best_checkpoint_the_last_one_is_meant(repo: Path, store: BlobStore) -> None:
    entries = (
        {"blob": put_large(store, 1), "name": "a", "roles": []},
        {"blob": put_large(store, 2), "roles": ["last"]},
    )

    assert digests(of(repo, record_run(repo, checkpoints=entries))) == {digest_of([large(2)])}


def test_there_is_no_other_choice(repo: Path) -> None:
    with pytest.raises(UsageError, match="'newest'"):
        of(repo, checkpoints="newest")


def test_what_a_run_left_behind_leads_to_itself(repo: Path, store: BlobStore) -> None:
    output, figure = put_packed(store, b"printed", b"drawn")
    artifacts = (
        {"blob": output, "kind": "output", "name": "stdout.log", "size_bytes": 7},
        {"blob": figure, "kind": "artifact", "name": "figure.png", "size_bytes": 5},
    )
    run_id = record_run(repo, artifacts=artifacts)

    found = of(repo, run_id)

    assert found.roots == {output: (output,), figure: (figure,)}
    assert {need.kind for need in found.items} == {"output", "artifact"}


def test_what_several_runs_need_is_counted_once(repo: Path, store: BlobStore) -> None:
    tree = put_tree(store, {"a": large(1)})
    runs = [record_run(repo, data=({"name": "d", "digest": tree, "splits": []},)) for _ in range(3)]

    assert of(repo, *runs, *runs).sizes == of(repo, runs[0]).sizes


def test_what_is_not_here_is_absent_and_under_no_root(repo: Path, store: BlobStore) -> None:
    tree = put_tree(store, {"a": b"one", "b": large(1)})
    store.path(digest_of([large(1)])).unlink()
    gone = digest_of([b"never here"])
    run_id = record_run(
        repo,
        data=({"name": "digits", "digest": tree, "splits": []},),
        checkpoints=({"blob": gone, "name": "best", "roles": ["best"], "size_bytes": 10},),
    )

    found = of(repo, run_id)

    assert {need.name for need in found.absent} == {"digits", "best"}
    assert found.roots == {}


def test_a_checkpoint_without_one_of_its_pieces_is_absent(repo: Path, store: BlobStore) -> None:
    whole = put_pieces(store, large(1), large(2))
    run_id = record_run(repo, checkpoints=({"blob": whole, "name": "best", "roles": ["best"]},))
    assert of(repo, run_id).absent == ()

    store.path(digest_of([large(2)])).unlink()

    assert [need.digest for need in of(repo, run_id).absent] == [whole]
    assert missing_pieces(store, whole) == [digest_of([large(2)])]


def test_a_tree_that_is_none_is_told_of_and_the_rest_is_found(repo: Path, store: BlobStore) -> None:
    fine = put_large(store, 1)
    run_id = record_run(
        repo,
        data=({"name": "odd", "digest": put_large(store, 2), "splits": []},),
        checkpoints=({"blob": fine, "name": "best", "roles": ["best"]},),
    )

    found = of(repo, run_id)

    assert [each for each, _ in found.troubles] == [run_id]
    assert digests(found) == {fine}


def test_what_is_no_name_of_a_blob_is_passed_by(repo: Path) -> None:
    run_id = record_run(repo, artifacts=({"blob": "b3:../../etc", "kind": "artifact", "name": "x"},))

    assert of(repo, run_id).items == ()


def test_a_run_that_nobody_knows_is_not_found(repo: Path) -> None:
    record_run(repo)

    with pytest.raises(NotFound):
        of(repo, "01kb00000000000000000000zz")
