"""`gitrepro remote gc` and `gitrepro remote repair`: what they do to a place of a team, and what they say of it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from gitrepro.store.objects import BlobStore
from gitrepro.store.place import store_of
from gitrepro.sync.blobs.layout import object_key
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run
from tests.store.stores import large, put_large, put_tree, spoil

DAY_SECONDS = 86_400


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


@pytest.fixture
def team(repo: Path, tmp_path: Path, git: Git, warm_cli: Cli) -> Path:
    """The folder of a store remote that `repo` follows, beside a bare repository to which it pushes."""
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(repo, "remote", "add", "origin", str(server))
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    assert warm_cli("remote", "add", "team", str(tmp_path / "team"), cwd=repo).returncode == 0
    return tmp_path / "team"


def a_run(repo: Path, store: BlobStore, name: str, seed: int) -> str:
    tree = put_tree(store, {"a.txt": b"one", "b.bin": large(1), **{f"{n}.txt": bytes([n]) * 99 for n in range(9)}})
    checkpoint = {"blob": put_large(store, seed), "name": "best", "roles": ["best"], "size_bytes": len(large(seed))}
    data = {"name": "digits", "version": "v1", "digest": tree, "splits": []}
    return record_run(repo, name=name, data=(data,), checkpoints=(checkpoint,))


def said(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def age(folder: Path, *, days: float) -> None:
    moment = time.time() - days * DAY_SECONDS
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (path.stat().st_mtime - days * DAY_SECONDS,) * 2 if days else (moment, moment))


def test_what_a_purged_run_alone_had_goes_in_two_steps_a_grace_apart(
    repo: Path, team: Path, store: BlobStore, warm_cli: Cli, tmp_path: Path, git: Git
) -> None:
    kept, gone = a_run(repo, store, "kept", 2), a_run(repo, store, "gone", 3)
    checkpoint = team / object_key(put_large(store, 3))
    assert warm_cli("push", cwd=repo).returncode == 0
    assert checkpoint.exists()
    assert warm_cli("purge", gone, "--yes", cwd=repo).returncode == 0
    assert warm_cli("push", cwd=repo).returncode == 0
    age(team, days=20)

    first = said(warm_cli("remote", "gc", "team", "--json", cwd=repo))
    assert (first["done"]["listed"]["files"], first["done"]["deleted"]["files"]) == (1 + _run_files(team, gone), 0)
    assert checkpoint.exists()
    soon = said(warm_cli("remote", "gc", "team", "--json", cwd=repo))
    assert (soon["waiting"]["files"], soon["ripe"]["files"]) == (first["done"]["listed"]["files"], 0)
    age(team / "gc", days=15)
    unasked = warm_cli("remote", "gc", "team", cwd=repo)
    assert unasked.returncode == 2 and "--yes" in unasked.stderr and checkpoint.exists()
    second = warm_cli("remote", "gc", "team", "--yes", cwd=repo)

    assert second.returncode == 0 and "deleted " in second.stdout, second.stderr
    assert not checkpoint.exists()
    git(tmp_path, "clone", "--quiet", str(tmp_path / "server.git"), "fresh")
    warm_cli("remote", "add", "team", str(team), cwd=tmp_path / "fresh")
    assert warm_cli("pull", "--blobs", kept, cwd=tmp_path / "fresh").returncode in (0, 3)
    assert warm_cli("pull", cwd=tmp_path / "fresh").returncode == 0
    assert warm_cli("pull", "--blobs", kept, cwd=tmp_path / "fresh").returncode == 0


def _run_files(team: Path, run_id: str) -> int:
    return len(list(team.glob(f"runs/*/{run_id}")))


def test_what_another_repository_keeps_there_stays(
    repo: Path, team: Path, store: BlobStore, warm_cli: Cli, tmp_path: Path, git: Git
) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    git(tmp_path, "init", "--quiet", "other")
    other = tmp_path / "other"
    git(other, "-c", "user.name=G", "-c", "user.email=g@x", "commit", "--quiet", "--allow-empty", "-m", "first")
    warm_cli("remote", "add", "team", str(team), cwd=other)
    age(team, days=20)

    found = said(warm_cli("remote", "gc", "team", "--json", cwd=other))

    assert (found["fresh"]["files"], found["done"]["listed"]["files"]) == (0, 0)
    [claim] = found["claims"]
    assert Path(claim["folder"]) == repo / ".git"
    named = warm_cli("remote", "gc", "team", "--dry-run", "--gone", claim["clone"][:8], cwd=other)
    assert "would list" in named.stdout
    assert not list((team / "gc").glob("*"))


def test_a_dry_run_writes_nothing_there(repo: Path, team: Path, store: BlobStore, warm_cli: Cli) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    before = sorted(team.rglob("*"))

    done = warm_cli("remote", "gc", "team", "--dry-run", cwd=repo)

    assert done.returncode == 0 and "nothing to collect" in done.stdout
    assert sorted(path for path in team.rglob("*") if path.name != "gc") == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere",), 3, "no store remote"),
        (("team", "--grace", "0"), 2, "at least a day"),
        (("team", "--grace", "soon"), 2, "number of days"),
        (("team", "--gone", "abcd1234", "--dry-run"), 3, "0 clones"),
        (("web",), 5, "can only be read"),
    ],
)
def test_what_cannot_be_is_refused_and_says_what_to_do(
    repo: Path, team: Path, store: BlobStore, warm_cli: Cli, arguments: tuple[str, ...], code: int, words: str
) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    warm_cli("remote", "add", "web", "http://127.0.0.1:1/", cwd=repo)

    done = warm_cli("remote", "gc", *arguments, cwd=repo)

    assert done.returncode == code and words in done.stderr, done.stderr


def test_without_the_runs_of_the_team_nothing_is_collected(
    repo: Path, team: Path, store: BlobStore, warm_cli: Cli, git: Git
) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    git(repo, "remote", "set-url", "origin", str(repo / "nowhere"))

    assert warm_cli("remote", "gc", "team", cwd=repo).returncode == 5
    assert warm_cli("remote", "gc", "team", "--no-pull", cwd=repo).returncode == 0


# -- repair


def test_wrong_bytes_are_found_written_over_and_then_right(
    repo: Path, team: Path, store: BlobStore, warm_cli: Cli
) -> None:
    run_id = a_run(repo, store, "mine", 2)
    assert warm_cli("push", "--checkpoints", "all", cwd=repo).returncode == 0
    harmed = team / object_key(put_large(store, 2))
    spoil(harmed)
    (pack,) = team.glob("packs/*")
    spoil(pack, at=700)
    wrong = warm_cli("verify", run_id, "--remote", "--full", cwd=repo)

    done = warm_cli("remote", "repair", "team", run_id, "--json", cwd=repo)

    assert wrong.returncode == 4
    assert "gitrepro remote repair" in wrong.stderr
    things = said(done)["things"]
    assert {key for each in things for key in each["mended"]} == {
        str(harmed.relative_to(team)),
        str(pack.relative_to(team)),
    }
    assert warm_cli("verify", run_id, "--remote", "--full", cwd=repo).returncode == 0
    again = warm_cli("remote", "repair", "team", "--all", cwd=repo)
    assert again.returncode == 0 and "repaired" not in again.stdout


def test_what_nobody_has_right_is_named_and_exits_4(repo: Path, team: Path, store: BlobStore, warm_cli: Cli) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    checkpoint = put_large(store, 2)
    spoil(team / object_key(checkpoint))
    store.path(checkpoint).unlink()

    done = warm_cli("remote", "repair", "team", cwd=repo)

    assert done.returncode == 4
    assert f"right nowhere: {checkpoint}" in done.stderr


def test_a_missing_one_that_nobody_has_exits_1(repo: Path, team: Path, store: BlobStore, warm_cli: Cli) -> None:
    a_run(repo, store, "mine", 2)
    assert warm_cli("push", cwd=repo).returncode == 0
    checkpoint = put_large(store, 2)
    (team / object_key(checkpoint)).unlink()
    store.path(checkpoint).unlink()

    assert warm_cli("remote", "repair", "team", cwd=repo).returncode == 1


def test_names_and_all_do_not_go_together(repo: Path, team: Path, warm_cli: Cli) -> None:
    assert warm_cli("remote", "repair", "team", "@last", "--all", cwd=repo).returncode == 2
