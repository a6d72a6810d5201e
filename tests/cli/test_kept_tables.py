"""Tables of store remotes that are kept in the store are nothing that a collection or a check minds, and may go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.store.objects import BlobStore
from gitrepro.store.place import store_of
from gitrepro.sync.blobs.there import CACHE
from gitrepro.sync.kept import kept_there
from gitrepro.sync.remotes import StoreRemote, find
from tests.cli.test_push_pull import follow
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run
from tests.store.stores import put_tree

FILES = {f"c/{number}.txt": b"%d" % number for number in range(20)}


@pytest.fixture
def store(repo: Path, git: Git, warm_cli: Cli, tmp_path: Path) -> BlobStore:
    """A store in which a table of a remote is kept, since it was asked what it has."""
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    follow(warm_cli, repo, tmp_path / "team", "team")
    found = store_of(opened(repo))
    record_run(repo, data=({"name": "digits", "version": "v1", "digest": put_tree(found, FILES), "splits": []},))
    for _ in range(2):
        assert warm_cli("push", "--runs", "@last", cwd=repo).returncode == 0
    assert tables(found)
    return found


def tables(store: BlobStore) -> list[Path]:
    return sorted((store.root / CACHE).glob("*.idx"))


def team(repo: Path) -> StoreRemote:
    return find(opened(repo), "team")


def test_a_collection_leaves_them_alone(repo: Path, store: BlobStore, warm_cli: Cli) -> None:
    before = tables(store)

    done = warm_cli("gc", "--json", cwd=repo)

    assert done.returncode == 0, done.stderr
    assert tables(store) == before
    told = json.loads(done.stdout)
    assert CACHE not in json.dumps(told)


@pytest.mark.parametrize("words", [["verify"], ["verify", "--full"], ["verify", "@last"]])
def test_a_check_of_the_store_finds_it_sound(repo: Path, store: BlobStore, warm_cli: Cli, words: list[str]) -> None:
    done = warm_cli(*words, "--json", cwd=repo)

    assert done.returncode == 0, done.stdout + done.stderr
    assert CACHE not in done.stdout and CACHE not in done.stderr


@pytest.mark.parametrize("harm", ["spoilt", "cut", "a folder", "gone"])
def test_one_that_is_harmed_is_asked_for_again(repo: Path, store: BlobStore, harm: str) -> None:
    run_id = next(need.need.run_id for need in kept_there(opened(repo), _last(repo), team(repo)))
    for path in tables(store):
        data = path.read_bytes()
        path.unlink()
        if harm == "a folder":
            path.mkdir()
        elif harm != "gone":
            path.write_bytes(data[:-7] if harm == "cut" else bytes([data[0] ^ 1]) + data[1:])

    assert all(each.whole for each in kept_there(opened(repo), run_id, team(repo)))


def _last(repo: Path) -> str:
    from gitrepro.store.resolve import resolve

    return resolve(opened(repo), "@last")
