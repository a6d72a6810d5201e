"""`gitrepro gc`: it shows, asks, and lets go; what a record names stays, whichever clone's record it is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from gitrepro.records import ids
from gitrepro.store import pins, roots
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run
from tests.store.stores import age_all, age_trash, large, put_large, put_packed, put_tree, raw, spoil, truncate


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


def recorded(repo: Path, *digests: str) -> str:
    return record_run(repo, artifacts=tuple({"blob": digest, "kind": "artifact"} for digest in digests))


def test_dry_run_shows_counts_and_bytes_and_takes_nothing(repo: Path, store: BlobStore, cli: Cli) -> None:
    dead, alive = put_large(store, 1), put_large(store, 2)
    recorded(repo, alive)
    age_all(store)
    done = cli("gc", "--dry-run", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "into the trash: 1 blob (256.0 KiB) that no record names" in done.stdout
    assert "needed: 1 blob (256.0 KiB)" in done.stderr
    assert dead in store
    assert not (store.root / "trash").exists()


def test_without_anybody_to_ask_it_takes_nothing(repo: Path, store: BlobStore, cli: Cli) -> None:
    dead = put_large(store)
    age_all(store)
    done = cli("gc", cwd=repo)
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert dead in store


def test_with_yes_it_lets_go_and_a_day_later_for_good(repo: Path, store: BlobStore, cli: Cli) -> None:
    dead, alive = put_large(store, 1), put_large(store, 2)
    recorded(repo, alive)
    age_all(store)
    first = cli("gc", "--yes", cwd=repo)
    assert first.returncode == 0, first.stderr
    assert "moved to the trash: 1 file (256.0 KiB)" in first.stdout
    assert dead not in store
    age_trash(store)
    second = cli("gc", "--yes", "--json", cwd=repo)
    assert json.loads(second.stdout)["done"]["deleted"] == {"files": 1, "size_bytes": len(large(1))}
    assert cli("gc", "--yes", cwd=repo).stdout == "nothing to collect\n"
    assert store.get(alive) == large(2)


def test_in_a_repository_without_a_store_there_is_nothing_to_collect(repo: Path, cli: Cli) -> None:
    done = cli("gc", "--yes", cwd=repo)
    assert (done.returncode, done.stdout) == (0, "nothing would go\n")
    assert not (repo / ".git" / "gitrepro" / "store").exists()


@pytest.mark.parametrize("grace", ["59m", "0d", "soon", "-1d", ""])
def test_a_grace_below_an_hour_or_none_is_refused(repo: Path, cli: Cli, grace: str) -> None:
    assert cli("gc", "--dry-run", "--grace", grace, cwd=repo).returncode == 2


def test_a_shorter_grace_lets_go_sooner(repo: Path, store: BlobStore, cli: Cli) -> None:
    put_large(store)
    age_all(store, days=2)
    dead = [
        json.loads(cli("gc", "--dry-run", "--json", "--grace", grace, cwd=repo).stdout)["dead"]["blobs"]
        for grace in ("14d", "25h")
    ]
    assert dead == [0, 1]


def test_a_record_that_cannot_be_read_stops_it(repo: Path, store: BlobStore, cli: Cli, git: Git) -> None:
    dead = put_large(store)
    run_id = recorded(repo, digest_of([b"x"]))
    age_all(store)
    oid = git(repo, "rev-parse", f"refs/gitrepro/runs:runs/{ids.shard(run_id)}/{run_id}/run.yaml")
    spoil(repo / ".git" / "objects" / oid[:2] / oid[2:], at=12)
    done = cli("gc", "--yes", cwd=repo)
    assert done.returncode == 4
    assert "cannot be read" in done.stderr
    assert dead in store


def test_a_damaged_manifest_stops_it_until_it_is_given_up(repo: Path, store: BlobStore, cli: Cli) -> None:
    tree = put_tree(store, {"a": large(1)})
    recorded(repo, tree)
    [pack] = (store.root / "packs").iterdir()
    age_all(store)
    entry = store.index.find(raw(tree))
    assert entry is not None
    spoil(pack, at=entry.offset)
    for _ in range(2):
        refused = cli("gc", "--yes", cwd=repo)
        assert refused.returncode == 4
        assert f"--lost {tree}" in refused.stderr
        assert digest_of([large(1)]) in store
    assert cli("gc", "--yes", "--lost", "b3:12", cwd=repo).returncode == 2
    assert cli("gc", "--yes", "--lost", tree, cwd=repo).returncode == 0
    assert digest_of([large(1)]) not in store


def test_runs_that_died_are_put_on_record_first(repo: Path, store: BlobStore, cli: Cli) -> None:
    program = "import gitrepro, os; run = gitrepro.record(); run.log({'a': 1.0}); os.kill(os.getpid(), 9)"
    (repo / "train.py").write_text(program)
    cli("record", "--no-seed", "--", os.sys.executable, "train.py", cwd=repo)
    put_large(store)
    age_all(store)
    done = cli("gc", "--yes", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert list((opened(repo).home / "live").glob("[0-9a-z]*")) == []


# -- a shared store


@pytest.fixture
def team(repo: Path, cli: Cli, git: Git, tmp_path: Path) -> tuple[Path, Path, BlobStore]:
    """Two clones that share a store."""
    git(tmp_path, "clone", "--quiet", str(repo), "other")
    other = tmp_path / "other"
    git(other, "config", "user.name", "Grace")
    git(other, "config", "user.email", "grace@example.org")
    for clone in (repo, other):
        done = cli("init", "--no-hooks", "--store", str(tmp_path / "team"), cwd=clone)
        assert done.returncode == 0, done.stderr
    return repo, other, BlobStore(tmp_path / "team")


def test_what_another_clone_has_pinned_stays(team: tuple[Path, Path, BlobStore], cli: Cli) -> None:
    one, other, store = team
    tree, mine, dead = put_tree(store, {"a": large(1)}), put_large(store, 2), put_large(store, 3)
    recorded(one, mine)
    roots.pin(opened(other), [tree])
    recorded(other, tree)
    age_all(store)
    done = cli("gc", "--yes", cwd=one)
    assert done.returncode == 0, done.stderr
    assert store.get(digest_of([large(1)])) == large(1)
    assert mine in store
    assert dead not in store
    assert str(other / ".git") in done.stderr, "whose store it is as well"


def test_a_clone_pins_what_its_records_name_when_it_collects(team: tuple[Path, Path, BlobStore], cli: Cli) -> None:
    one, other, store = team
    digest = put_large(store)
    recorded(other, digest)
    assert cli("gc", "--dry-run", cwd=other).returncode == 0
    age_all(store)
    assert cli("gc", "--yes", cwd=one).returncode == 0
    assert digest in store


def test_pins_that_cannot_be_read_stop_it_and_say_whose_they_are(team: tuple[Path, Path, BlobStore], cli: Cli) -> None:
    one, other, store = team
    dead = put_large(store)
    roots.pin(opened(other), [digest_of([b"1"]), digest_of([b"2"])])
    age_all(store)
    file = pins.path_of(store.root, pins.clone_id(opened(other)))
    file.write_bytes(b"\0" * file.stat().st_size)
    refused = cli("gc", "--yes", cwd=one)
    assert refused.returncode == 4
    assert str(other / ".git") in refused.stderr
    assert dead in store
    assert cli("gc", "--dry-run", cwd=other).returncode == 0, "the clone itself writes them again"
    assert cli("gc", "--yes", cwd=one).returncode == 0
    assert dead not in store


def test_a_clone_that_was_deleted_keeps_its_blobs_until_its_pins_are(
    team: tuple[Path, Path, BlobStore], cli: Cli
) -> None:
    one, other, store = team
    digest = put_large(store)
    roots.pin(opened(other), [digest])
    name = pins.clone_id(opened(other))
    shutil.rmtree(other)
    age_all(store)
    assert cli("gc", "--yes", cwd=one).returncode == 0
    assert digest in store
    pins.withdraw(store.root, name)
    assert cli("gc", "--yes", cwd=one).returncode == 0
    assert digest not in store


def test_a_shared_store_that_is_not_mounted_is_not_taken_for_an_empty_one(
    team: tuple[Path, Path, BlobStore], cli: Cli
) -> None:
    one, _, store = team
    store.root.rename(store.root.with_name("elsewhere"))
    done = cli("gc", "--yes", cwd=one)
    assert done.returncode == 4
    assert str(store.root) in done.stderr


def test_a_pack_without_a_table_stops_it_and_verify_helps(repo: Path, store: BlobStore, cli: Cli) -> None:
    small, *_ = put_packed(store, b"one" * 9, b"two" * 9)
    recorded(repo, small)
    [pack] = (store.root / "packs").iterdir()
    truncate(pack, pack.stat().st_size - 10)
    age_all(store)
    refused = cli("gc", "--yes", cwd=repo)
    assert refused.returncode == 4
    assert "gitrepro verify --full" in refused.stderr
    assert cli("verify", "--full", cwd=repo).returncode == 4
    assert cli("verify", cwd=repo).returncode == 0, "all that the run names was kept"
    assert cli("gc", "--yes", cwd=repo).returncode == 0
