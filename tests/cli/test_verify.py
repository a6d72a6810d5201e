"""`gitrepro verify`: a table of what a run names and how it is, and an exit code that says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from tests.conftest import Cli
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_large, put_packed, put_pieces, put_tree, spoil


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


@pytest.fixture
def run_id(repo: Path, store: BlobStore) -> str:
    tree = put_tree(store, {"a": b"one", "b": large(1)})
    checkpoint = put_pieces(store, large(2), large(3))
    return record_run(
        repo,
        name="brisk-otter",
        data=({"name": "digits", "version": "v1", "digest": tree, "kind": "folder", "splits": []},),
        checkpoints=({"blob": checkpoint, "name": "best", "roles": ["best"]},),
        artifacts=({"blob": put_large(store, 4), "kind": "artifact", "name": "figure.png"},),
    )


def test_a_sound_run_is_a_table_of_oks(repo: Path, run_id: str, cli: Cli) -> None:
    done = cli("verify", run_id, cwd=repo)
    assert done.returncode == 0, done.stderr
    rows = [text.split("\t") for text in done.stdout.splitlines()]
    assert rows[0] == ["what", "size", "state"]
    assert ["checkpoint best (best)", "512.0 KiB", "ok"] in rows
    assert ["data digits@v1", "256.0 KiB", "ok"] in rows
    assert {row[2] for row in rows[1:]} == {"ok"}
    assert "6 there and right" in done.stderr or "5 there and right" in done.stderr


@pytest.mark.parametrize("named", [[], ["@last"], ["brisk-otter"]])
def test_a_run_is_named_as_everywhere_and_the_last_one_by_itself(
    repo: Path, run_id: str, cli: Cli, named: list[str]
) -> None:
    done = cli("verify", *named, "--json", cwd=repo)
    assert run_id and done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "ok"


def test_what_is_not_here_is_said_so_and_exits_1(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    store.path(digest_of([large(4)])).unlink()
    done = cli("verify", run_id, cwd=repo)
    assert done.returncode == 1
    assert "artifact figure.png\t\tNOT AVAILABLE" in done.stdout
    assert "do: " in done.stderr


def test_damage_is_said_so_and_exits_4_and_is_set_aside(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    store.path(digest_of([large(4)])).unlink()
    spoil(store.path(digest_of([large(1)])))
    assert cli("verify", run_id, "--fast", cwd=repo).returncode == 1, "a glance does not see it"
    done = cli("verify", run_id, cwd=repo)
    assert done.returncode == 4, "the worse of the two"
    assert "data digits@v1\t256.0 KiB\tDAMAGED" in done.stdout
    assert "1 of 2 files damaged: b" in done.stderr
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_damage_stays_damage_when_it_is_looked_at_again(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    spoil(store.path(digest_of([large(4)])))
    assert cli("verify", run_id, cwd=repo).returncode == 4
    for how in ([], ["--fast"]):
        done = cli("verify", run_id, *how, cwd=repo)
        assert done.returncode == 4
        assert "had wrong bytes here, which were set aside" in done.stderr


def test_put_again_it_is_right_again(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    spoil(store.path(digest_of([large(4)])))
    assert cli("verify", run_id, cwd=repo).returncode == 4
    put_large(store, 4)
    assert cli("verify", run_id, cwd=repo).returncode == 0


def test_a_blob_is_named_by_its_hash(repo: Path, store: BlobStore, cli: Cli) -> None:
    [digest, *_] = put_packed(store, b"one", b"two")
    assert cli("verify", digest, cwd=repo).returncode == 0
    assert cli("verify", digest_of([b"none"]), cwd=repo).returncode == 1


def test_several_are_looked_at_in_one_go(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    done = cli("verify", run_id, put_large(store, 4), "--json", cwd=repo)
    assert {proof["of"] for proof in json.loads(done.stdout)["proofs"]} == {run_id, digest_of([large(4)])}


@pytest.mark.parametrize("target", ["nothing-of-that-name", "nodata@v1", "b3:1234"])
def test_what_nobody_knows_is_not_found(repo: Path, run_id: str, cli: Cli, target: str) -> None:
    assert run_id and cli("verify", target, cwd=repo).returncode == 3


@pytest.mark.parametrize(
    "args",
    [["--full", "@last"], ["--all", "@last"], ["--limit", "3"], ["--full", "--fast"], ["--limit", "-1", "--full"]],
)
def test_what_does_not_go_together_is_refused(repo: Path, cli: Cli, args: list[str]) -> None:
    assert cli("verify", *args, cwd=repo).returncode == 2


def test_a_data_set_is_looked_at_by_its_name(repo: Path, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"one")
    (folder / "b.bin").write_bytes(large(1))
    added = cli("data", "add", str(folder), "digits", cwd=repo)
    if added.returncode:
        pytest.skip(f"no data can be added yet: {added.stderr[-200:]}")
    for name in ("digits", "digits@v1"):
        done = cli("verify", name, cwd=repo)
        assert (done.returncode, "data digits@v1" in done.stdout) == (0, True), done.stderr
    store = store_of(opened(repo))
    spoil(store.path(digest_of([large(1)])))
    assert cli("verify", "digits", cwd=repo).returncode == 4


def test_linked_data_is_looked_at_where_it_lies(repo: Path, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"one")
    (folder / "b.bin").write_bytes(large(1))
    added = cli("data", "add", "--link", str(folder), "digits", cwd=repo)
    if added.returncode:
        pytest.skip(f"no data can be added yet: {added.stderr[-200:]}")
    for level in ([], ["--fast"]):
        done = cli("verify", "digits", *level, cwd=repo)
        assert done.returncode == 0, done.stderr
        assert f"data digits@v1, at {folder}" in done.stdout
    (folder / "b.bin").write_bytes(large(2))
    changed = cli("verify", "digits", cwd=repo)
    assert changed.returncode == 4
    assert "1 file changed: b.bin" in changed.stderr
    (folder / "b.bin").unlink()
    assert cli("verify", "digits", cwd=repo).returncode == 1
    folder.rename(tmp_path / "elsewhere")
    gone = cli("verify", "digits", cwd=repo)
    assert gone.returncode == 1
    assert f"is no more at {folder}" in gone.stderr


# -- everything


def test_all_shows_what_is_wrong_and_counts_the_rest(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    fine = cli("verify", "--all", cwd=repo)
    assert (fine.returncode, fine.stdout) == (0, "")
    store.path(digest_of([large(4)])).unlink()
    done = cli("verify", "--all", "--fast", cwd=repo)
    assert done.returncode == 1
    rows = [text.split("\t") for text in done.stdout.splitlines()]
    assert rows[1:] == [[run_id[-8:], "artifact figure.png", "", "NOT AVAILABLE"]]


def test_all_of_an_empty_repository_is_right(repo: Path, cli: Cli) -> None:
    assert cli("verify", "--all", cwd=repo).returncode == 0
    assert cli("verify", "--full", cwd=repo).returncode == 0


def test_full_looks_at_what_nobody_names_too(repo: Path, store: BlobStore, run_id: str, cli: Cli) -> None:
    nobodys = put_large(store, 9)
    assert run_id and cli("verify", "--full", cwd=repo).returncode == 0
    spoil(store.path(nobodys))
    assert cli("verify", "--all", cwd=repo).returncode == 0
    done = cli("verify", "--full", cwd=repo)
    assert done.returncode == 4
    assert f"DAMAGED\t{nobodys}" in done.stdout


def test_full_stops_at_its_limit_and_goes_on(repo: Path, store: BlobStore, cli: Cli) -> None:
    for number in range(5):
        put_large(store, number)
    stopped = json.loads(cli("verify", "--full", "--limit", "0", "--json", cwd=repo).stdout)
    assert (stopped["complete"], stopped["looked"]) == (False, 0)
    assert "goes on here" in cli("verify", "--full", "--limit", "0.000001", cwd=repo).stderr
    assert json.loads(cli("verify", "--full", "--json", cwd=repo).stdout)["complete"]


def test_a_damaged_index_is_made_again_and_said(repo: Path, store: BlobStore, cli: Cli) -> None:
    [digest, *_] = put_packed(store, b"one", b"two")
    store.close()
    for args in (["verify", digest], ["verify", "--full"]):
        store.index.path.write_bytes(b"nonsense" * 999)
        done = cli(*args, cwd=repo)
        assert done.returncode == 0, done.stderr
        assert "mended: the index of the packs was damaged" in done.stderr


def test_a_terminal_is_asked_for_no_bar_in_a_pipe(repo: Path, run_id: str, cli: Cli) -> None:
    done = cli("verify", run_id, cwd=repo)
    assert "\r" not in done.stderr + done.stdout
