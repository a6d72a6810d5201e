"""`purge`: asks first, says what it cannot reach, and is gone for good."""

from __future__ import annotations

import json
from pathlib import Path

from gitrepro.store.gitrefs import read_ref
from gitrepro.store.repository import RUNS_REF
from gitrepro.sync.runs import push
from tests.conftest import Git
from tests.recorded_runs import opened, record_run
from tests.warm import WarmCli


def test_a_purged_run_is_gone_and_what_stays_elsewhere_is_said(
    repo: Path, tmp_path: Path, git: Git, warm_cli: WarmCli
) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    kept, bad = (
        record_run(repo),
        record_run(repo, artifacts=({"name": "x", "kind": "output", "blob": f"b3:{'0' * 64}"},)),
    )
    push(opened(repo))

    done = warm_cli("purge", bad[-8:], "--yes", cwd=repo)

    assert (done.returncode, done.stdout) == (0, f"{bad}\n")
    assert "purged 1 run (2 files" in done.stderr
    for words in (
        "epoch 2",
        "at origin: `gitrepro push`",
        "gitrepro pull",
        "git gc --prune=now",
        "1 blob in the store",
    ):
        assert words in done.stderr
    assert [run["id"] for run in json.loads(warm_cli("ls", "--json", cwd=repo).stdout)] == [kept]


def test_without_a_terminal_it_wants_a_yes(repo: Path, warm_cli: WarmCli) -> None:
    run = record_run(repo)
    before = read_ref(repo / ".git", RUNS_REF)

    done = warm_cli("purge", run[-8:], cwd=repo)

    assert done.returncode == 2
    assert "--dry-run" in done.stderr
    assert read_ref(repo / ".git", RUNS_REF) == before


def test_a_dry_run_shows_what_would_go_and_changes_nothing(repo: Path, warm_cli: WarmCli) -> None:
    run = record_run(repo)
    before = read_ref(repo / ".git", RUNS_REF)

    told = json.loads(warm_cli("purge", run[-8:], "--dry-run", "--json", cwd=repo).stdout)

    assert (told["runs"], told["epoch"], told["commit"], told["dry_run"]) == ([run], 2, None, True)
    assert "would purge 1 run" in warm_cli("purge", run[-8:], "--dry-run", cwd=repo).stderr
    assert read_ref(repo / ".git", RUNS_REF) == before


def test_a_run_that_nobody_knows_is_not_found(repo: Path, warm_cli: WarmCli) -> None:
    record_run(repo)

    assert warm_cli("purge", "nosuchrun", "--yes", cwd=repo).returncode == 3
