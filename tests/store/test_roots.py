"""Roots: every blob that anything on record names, wherever it stands; and what these name in turn."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.errors import Damaged, TooNew
from gitrepro.records import ids
from gitrepro.store import live
from gitrepro.store.fold import Pending, enqueue
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.journal import JournalWriter
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.reach import reach
from gitrepro.store.roots import own_roots
from tests.conftest import Git
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_packed, put_pieces, put_tree, raw, spoil, truncate


def token(number: int) -> str:
    return digest_of([bytes([number])])


def roots_of(repo: Path, **more: object) -> set[str]:
    return {f"b3:{name.hex()}" for name in own_roots(opened(repo), **more)}  # type: ignore[arg-type]


def live_folder(home: Path) -> Path:
    folder = home / "live" / ids.new_id()
    folder.mkdir(parents=True)
    return folder


# -- where they stand


def test_a_field_that_nobody_knows_yet_keeps_its_blob(repo: Path) -> None:
    record_run(repo, artifacts=({"blob": token(1), "kind": "artifact"},), unknown={"future": [{"deep": token(2)}]})
    assert {token(1), token(2)} <= roots_of(repo)


def test_a_name_in_the_config_keeps_its_blob(repo: Path) -> None:
    record_run(repo, config={"values": {"init": token(3)}, "sources": {}, "overridden": {}, "format": 1})
    assert token(3) in roots_of(repo)


def test_what_waits_in_the_queue_is_named(repo: Path) -> None:
    text = f"digest: {token(4)}\n"
    enqueue(opened(repo), Pending(kind="data", subject="digits", line="data", files={"datasets/digits/x.yaml": text}))
    assert token(4) in roots_of(repo)


def test_a_run_whose_tree_no_ref_names_yet_is_read(repo: Path) -> None:
    found = opened(repo)
    with GitObjects(found.common_dir) as objects:
        [blob] = objects.write([("blob", f"blob: {token(5)}\n".encode())])
        [tree] = objects.write([("tree", encode_tree({"run.yaml": Entry(FILE_MODE, blob)}))])
    enqueue(found, Pending(kind="run", subject=ids.new_id(), line="run", trees={"runs/x": tree}))
    assert token(5) in roots_of(repo)


def test_a_run_under_way_names_what_its_journal_and_its_start_name(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    (folder / "start.yaml").write_text(f"data: {token(6)}\n")
    journal = JournalWriter(folder, run_id=folder.name)
    journal.event({"op": "artifact", "blob": token(7)})
    journal.row({"loss": 0.5}, 1)
    journal.close()
    assert {token(6), token(7)} <= roots_of(repo)


def test_a_name_that_lies_across_two_chunks_is_found(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    for at in ((1 << 20) - 66, (1 << 20) - 30, (1 << 20) - 1):
        (folder / f"observed.{at}").write_bytes(b"x" * at + token(at % 251).encode())
    assert {token(at % 251) for at in ((1 << 20) - 66, (1 << 20) - 30, (1 << 20) - 1)} <= roots_of(repo)


def test_what_a_program_prints_keeps_nothing(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    (folder / live.OUTPUT).write_text(token(8))
    assert token(8) not in roots_of(repo)


def test_a_checkpoint_that_was_dropped_is_let_go_unless_it_was_saved_again(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    journal = JournalWriter(folder, run_id=folder.name)
    for op, number in [("checkpoint", 1), ("checkpoint", 2), ("checkpoint_dropped", 1), ("checkpoint_dropped", 2)]:
        journal.event({"op": op, "blob": token(number)})
    journal.event({"op": "checkpoint", "blob": token(2)})
    journal.event({"op": "artifact", "name": "copy", "blob": token(3)})
    journal.event({"op": "checkpoint", "blob": token(3)})
    journal.event({"op": "checkpoint_dropped", "blob": token(3)})
    journal.close()
    found = roots_of(repo)
    assert token(1) not in found
    assert {token(2), token(3)} <= found


def test_a_run_that_was_just_set_aside_is_still_read(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    (folder / "journal.rank-0.1.0").write_bytes(token(9).encode())
    live.set_aside(opened(repo).home, folder.name)
    assert token(9) in roots_of(repo)


def test_a_spool_is_read_when_it_is_named(repo: Path, tmp_path: Path) -> None:
    (live_folder(tmp_path / "spool") / "start.yaml").write_text(token(10))
    assert token(10) not in roots_of(repo)
    assert token(10) in roots_of(repo, spools=[tmp_path / "spool"])


@pytest.mark.parametrize("ref", ["refs/gitrepro-remotes/origin/runs", "refs/gitrepro/inbox/b0b"])
def test_runs_of_others_count_as_soon_as_they_are_here(repo: Path, git: Git, ref: str) -> None:
    record_run(repo, artifacts=({"blob": token(11), "kind": "artifact"},))
    git(repo, "update-ref", ref, "refs/gitrepro/runs")
    git(repo, "update-ref", "-d", "refs/gitrepro/runs")
    git(repo, "pack-refs", "--all")
    assert token(11) in roots_of(repo)


def test_locks_of_a_run_are_not_opened(repo: Path) -> None:
    """To close one would drop the lease of a run in this very process."""
    folder = live_folder(opened(repo).home)
    for name in (f"lease.host.{os.getpid()}", "rank-0"):
        (folder / name).write_text(token(1))
    assert roots_of(repo) == set()


# -- what cannot be read


def test_a_damaged_record_is_an_error_and_no_absence(repo: Path, git: Git) -> None:
    run_id = record_run(repo, artifacts=({"blob": token(1), "kind": "artifact"},))
    path = f"runs/{ids.shard(run_id)}/{run_id}/run.yaml"
    oid = git(repo, "rev-parse", f"refs/gitrepro/runs:{path}")
    spoil(repo / ".git" / "objects" / oid[:2] / oid[2:], at=12)
    with pytest.raises(Damaged, match="cannot be read, so it is not known"):
        own_roots(opened(repo))


def test_a_missing_tree_is_an_error(repo: Path, git: Git) -> None:
    record_run(repo)
    oid = git(repo, "rev-parse", "refs/gitrepro/runs:runs")
    (repo / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(Damaged, match="the Git tree"):
        own_roots(opened(repo))


def test_a_ref_that_names_nothing_is_an_error(repo: Path) -> None:
    record_run(repo)
    (repo / ".git/refs/gitrepro/inbox").mkdir()
    (repo / ".git/refs/gitrepro/inbox/b0b").write_text("1" * 40 + "\n")
    with pytest.raises(Damaged):
        own_roots(opened(repo))


def test_a_damaged_queue_entry_is_an_error(repo: Path) -> None:
    (opened(repo).home / "queue").mkdir(parents=True)
    (opened(repo).home / "queue" / f"event.{ids.new_id()}.yaml").write_bytes(b"\0\0\0")
    with pytest.raises(Damaged):
        own_roots(opened(repo))


def test_a_run_folder_without_rights_is_an_error(repo: Path) -> None:
    folder = live_folder(opened(repo).home)
    (folder / "start.yaml").write_text(token(1))
    folder.chmod(0)
    try:
        if os.geteuid() == 0:
            pytest.skip("root may read all")
        with pytest.raises(Damaged):
            own_roots(opened(repo))
    finally:
        folder.chmod(0o755)


# -- what they lead to


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


def reached(store: BlobStore, *digests: str, lost: tuple[str, ...] = ()) -> set[str]:
    return {f"b3:{name.hex()}" for name in reach(store, map(raw, digests), lost=frozenset(map(raw, lost)))}


def test_a_tree_leads_to_its_files_and_those_to_their_pieces(store: BlobStore) -> None:
    whole = put_pieces(store, large(1), large(2))
    with store.batch() as batch:
        shard = batch.put(f"gitrepro tree-shard 1\n{whole[3:]} 1 100644 model.pt\n".encode())
        tree = batch.put(f"gitrepro tree 1\nfiles 1\nsize 1\n{shard[3:]} 1 1 model.pt\n".encode())
    assert reached(store, tree) == {tree, shard, whole, digest_of([large(1)]), digest_of([large(2)])}


def test_a_split_leads_to_its_data(store: BlobStore) -> None:
    tree = put_tree(store, {"a": b"1"})
    other = digest_of([b"no data"])
    text = f"gitrepro split 1\ndata {tree}\nids path\nrule {{}}\npart test 1\n{other}\n"
    split = store.put(text.encode())
    assert {split, tree, digest_of([b"1"])} <= reached(store, split)
    assert other not in reached(store, split)


def test_a_file_that_only_looks_like_a_list_leads_nowhere(store: BlobStore) -> None:
    named = token(1)
    file = store.put(f"{named[3:]} 12 100644 x\n".encode())
    assert reached(store, file) == {file}


def test_what_is_not_here_is_kept_by_name(store: BlobStore) -> None:
    assert reached(store, token(1)) == {token(1)}


def test_a_part_of_a_tree_that_is_missing_is_an_error_unless_it_is_given_up(store: BlobStore) -> None:
    shard = token(2)
    tree = store.put(f"gitrepro tree 1\nfiles 1\nsize 1\n{shard[3:]} 1 1 a\n".encode())
    with pytest.raises(Damaged, match="is needed and cannot be read") as raised:
        reached(store, tree)
    assert f"--lost {shard}" in raised.value.do
    assert reached(store, tree, lost=(shard,)) == {tree, shard}


@pytest.mark.parametrize("harm", ["first byte", "last byte", "cut", "emptied", "zeroed"])
def test_a_damaged_manifest_is_an_error_now_and_later(store: BlobStore, harm: str) -> None:
    text = f"gitrepro tree 1\nfiles 0\nsize 0\n{token(1)[3:]} 1 1 a\n".encode()
    tree = store.put(text)
    path = store.path(tree)
    match harm:
        case "first byte":
            spoil(path)
        case "last byte":
            spoil(path, at=len(text) - 1)
        case "cut":
            truncate(path, 60)
        case "emptied":
            truncate(path, 0)
        case "zeroed":
            path.chmod(0o644)
            path.write_bytes(b"\0" * len(text))
    for _ in range(2):
        with pytest.raises(Damaged, match="is needed and cannot be read"):
            reached(store, tree)
    assert reached(store, tree, lost=(tree,)) == {tree}


def test_a_damaged_manifest_that_was_put_again_is_fine(store: BlobStore) -> None:
    files = {"a": b"1", "b": b"2"}
    tree = put_tree(store, files)
    [pack] = (store.root / "packs").glob("*")
    spoil(pack, at=pack.stat().st_size - 300)
    with pytest.raises(Damaged):
        reached(store, tree)
    assert put_tree(store, files) == tree
    assert {tree, digest_of([b"1"]), digest_of([b"2"])} <= reached(store, tree)


def test_what_was_given_up_and_is_here_again_is_needed_like_any_other(store: BlobStore) -> None:
    whole = put_pieces(store, large(1), large(2))
    tree = put_tree(store, {"a": b"1", "b": b"2"})
    everything = reached(store, tree, whole)
    shard = next(name for name in everything - {tree} if store.get(name).startswith(b"gitrepro tree-shard"))
    assert reached(store, tree, whole, lost=(tree, shard, whole)) == everything


def test_a_damaged_recipe_is_an_error_now_and_later(store: BlobStore) -> None:
    whole = put_pieces(store, large(1), large(2))
    spoil(store.recipe_path(raw(whole)), at=100)
    with pytest.raises(Damaged):
        reached(store, whole)
    with pytest.raises(Damaged):
        store.verify(whole)
    with pytest.raises(Damaged, match="set aside"):
        reached(store, whole)
    assert reached(store, whole, lost=(whole,)) == {whole}


def test_blobs_that_went_with_a_damaged_pack_are_not_forgotten(store: BlobStore) -> None:
    """The first that is read tells that the pack is damaged; others in it were damaged too."""
    first, second = put_packed(store, b"first" * 100, b"second" * 100)
    [pack] = (store.root / "packs").glob("*")
    for at in range(8, 8 + 500 + 600, 100):
        spoil(pack, at=at)
    with pytest.raises(Damaged):
        store.verify(first)
    with pytest.raises(Damaged, match="set aside"):
        reached(store, second)


def test_a_manifest_of_tomorrow_stops_it(store: BlobStore) -> None:
    with pytest.raises(TooNew):
        reached(store, store.put(b"gitrepro tree 2\nother words\n"))


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=80) | st.sampled_from([token(1)[3:].encode() + b" 1 1 a"]), max_size=12))
def test_no_manifest_however_made_stops_it_or_leads_in_a_circle(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    store = BlobStore(tmp_path_factory.mktemp("store"))
    with store.batch() as batch:
        shard = batch.put(b"gitrepro tree-shard 1\n" + b"\n".join(lines))
        tree = batch.put(b"gitrepro tree 1\n" + f"{shard[3:]} 1 1 a\n".encode() * 3 + b"\n")
        split = batch.put(f"gitrepro split 1\ndata {tree}\n".encode() + b"\n".join(lines))
    try:
        found = reached(store, split, tree, shard)
    except Damaged as error:
        assert "part of a tree is missing" in str(error)
    else:
        assert {split, tree, shard} <= found
