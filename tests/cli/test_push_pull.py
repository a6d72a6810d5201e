"""`gitrepro push` and `gitrepro pull`: runs by Git, blobs by store remotes, and what is said of both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gitrepro
from gitrepro.audit.gate import declare
from gitrepro.store import fs
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.sync.blobs.layout import object_key
from gitrepro.sync.later import push_when_over
from tests.conftest import Cli, Git
from tests.recorded_data import digits
from tests.recorded_runs import ADA, NOW, opened, record_run
from tests.store.stores import large, put_large, put_packed, put_tree, spoil

FILES = {"a.txt": b"one", "b.bin": large(1)}


@pytest.fixture
def team(repo: Path, tmp_path: Path, git: Git) -> Path:
    """A bare repository to which `repo` pushes."""
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(repo, "remote", "add", "origin", str(server))
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    return server


@pytest.fixture
def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


@pytest.fixture
def run_id(repo: Path, store: BlobStore) -> str:
    return a_run(repo, store, "brisk-otter")


def a_run(repo: Path, store: BlobStore, name: str, seed: int = 2) -> str:
    [output] = put_packed(store, name.encode())
    return record_run(
        repo,
        name=name,
        data=({"name": "digits", "version": "v1", "digest": put_tree(store, FILES), "splits": []},),
        checkpoints=(
            {
                "blob": put_large(store, seed),
                "name": "step-1",
                "roles": ["best"],
                "size_bytes": len(large(seed)),
                "metric": {"name": "val/accuracy", "goal": "max", "value": 0.9},
            },
            {"blob": put_large(store, seed + 100), "name": "step-2", "roles": ["last"], "size_bytes": len(large(seed))},
        ),
        artifacts=({"blob": output, "kind": "output", "name": "output.log", "size_bytes": len(name)},),
    )


def clone(team: Path, git: Git, name: str = "clone") -> Path:
    git(team.parent, "clone", "--quiet", str(team), name)
    root = team.parent / name
    git(root, "config", "user.name", "Grace Hopper")
    git(root, "config", "user.email", "grace@example.org")
    return root


def said(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def follow(cli: Cli, root: Path, place: Path, name: str = "store") -> None:
    assert cli("remote", "add", name, str(place), cwd=root).returncode == 0


def test_runs_and_what_they_need_arrive_in_a_fresh_clone(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    pushed = warm_cli("push", cwd=repo)
    other = clone(team, git)
    follow(warm_cli, other, tmp_path / "store")

    pulled = warm_cli("pull", "--blobs", "brisk-otter", cwd=other)

    assert (pushed.returncode, pulled.returncode) == (0, 0), pushed.stderr + pulled.stderr
    assert "pushed 1 run to origin" in pushed.stdout
    assert "sent 6 blobs" in pushed.stdout
    assert "pulled 1 run from origin" in pulled.stdout
    assert "fetched 6 blobs" in pulled.stderr
    fast = json.loads(warm_cli("verify", run_id, "--json", cwd=other).stdout)["proofs"]
    there = {proof["what"]: proof["state"] for proof in fast if not proof["what"].startswith("checkpoint step-2")}
    assert set(there.values()) == {"ok"}


def test_a_second_push_sends_nothing_and_says_so(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", cwd=repo)

    again = warm_cli("push", cwd=repo)

    assert again.returncode == 0 and again.stdout == ""
    assert "origin has all runs of this clone" in again.stderr
    assert "store has all that these runs need" in again.stderr


def test_a_dry_run_names_runs_blobs_and_bytes_and_sends_none(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")

    done = warm_cli("push", "--dry-run", cwd=repo)
    told = said(warm_cli("push", "--dry-run", "--json", cwd=repo))

    assert f"  run {run_id[-8:]}" in done.stdout.splitlines()
    assert "would send 6 blobs" in done.stdout
    assert told["runs"] == [run_id]
    assert told["stores"][0]["blobs"] == 6 and told["stores"][0]["size_bytes"] > 2 * len(large(1))
    assert not (tmp_path / "store").exists()
    assert git(team, "for-each-ref", "refs/gitrepro") == ""


def test_without_a_store_remote_runs_go_and_one_line_says_what_stays(
    repo: Path, team: Path, run_id: str, warm_cli: Cli
) -> None:
    done = warm_cli("push", cwd=repo)

    assert done.returncode == 0
    assert "pushed 1 run" in done.stdout
    [stays] = [text for text in done.stderr.splitlines() if "gitrepro remote add" in text]
    assert stays.startswith("6 blobs (")


@pytest.mark.parametrize(("choice", "sent"), [("best", 6), ("all", 7), ("none", 5)])
def test_checkpoints_go_as_they_are_chosen(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path, choice: str, sent: int
) -> None:
    follow(warm_cli, repo, tmp_path / "store")

    told = said(warm_cli("push", "--checkpoints", choice, "--json", cwd=repo))

    assert told["stores"][0]["blobs"] == sent


def test_what_was_left_out_goes_when_it_is_asked_for(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", "--no-blobs", cwd=repo)
    assert not (tmp_path / "store").exists()
    warm_cli("push", "--checkpoints", "none", cwd=repo)

    assert said(warm_cli("push", "--json", cwd=repo))["stores"][0]["blobs"] == 1


@pytest.mark.parametrize("named", ["brisk-otter", "status == 'finished' and name == 'brisk-otter'"])
def test_runs_are_chosen_by_name_or_by_query(
    repo: Path, store: BlobStore, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path, named: str
) -> None:
    other = a_run(repo, store, "calm-heron", seed=3)
    follow(warm_cli, repo, tmp_path / "store")

    told = said(warm_cli("push", "--runs", named, "--json", cwd=repo))

    assert told["runs"] == [run_id]
    assert other not in told["runs"]
    assert not (tmp_path / "store" / "objects" / digest_of([large(3)])[3:5] / digest_of([large(3)])[5:]).exists()


def test_runs_that_go_alone_take_their_results_with_them(
    repo: Path, store: BlobStore, team: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    other = record_run(repo)
    declare(opened(repo), "result/mine", [run_id], identity=ADA, now=NOW)
    git(repo, "tag", "-d", "result/mine")
    declare(opened(repo), "result/both", [run_id, other], identity=ADA, now=NOW)

    would = said(warm_cli("push", "--runs", run_id, "--dry-run", "--json", cwd=repo))
    told = said(warm_cli("push", "--runs", run_id, "--json", cwd=repo))

    assert (would["runs"], would["results"]) == (told["runs"], told["results"]) == ([run_id], 1)
    later = warm_cli("push", "--runs", other, cwd=repo)
    assert "pushed 1 run and 1 result" in later.stdout
    assert git(team, "rev-parse", "refs/gitrepro/runs:results") == git(repo, "rev-parse", "refs/gitrepro/runs:results")


def test_a_data_set_that_no_run_names_goes_by_its_name_and_comes_in_another_clone(
    repo: Path, team: Path, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    record, _ = digits(repo)

    assert warm_cli("push", cwd=repo).returncode == 0
    assert not (tmp_path / "store" / "gitrepro-store.yaml").exists()
    would = warm_cli("push", "--data", "digits", "--dry-run", cwd=repo)
    assert "of data sets to store" in would.stdout, would.stderr
    told = said(warm_cli("push", "--data", f"digits@{record.version}", "--json", cwd=repo))
    assert told["stores"][0]["blobs"] > 0
    assert said(warm_cli("push", "--data", "digits", "--json", cwd=repo))["stores"][0]["blobs"] == 0

    other = clone(team, git)
    assert warm_cli("init", cwd=other).returncode == 0
    follow(warm_cli, other, tmp_path / "store")
    done = warm_cli("data", "get", "digits", cwd=other)
    assert done.returncode == 0, done.stderr
    assert warm_cli("split", "show", f"digits@{record.version}", "--json", cwd=other).returncode == 0


def test_a_data_set_that_nobody_knows_stops_the_push_before_anything_goes(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    assert warm_cli("push", "--data", "nothing", cwd=repo).returncode == 3
    assert warm_cli("push", "--data", "digits", "--no-blobs", cwd=repo).returncode == 2
    assert not git(team, "for-each-ref", "refs/gitrepro")


def test_a_run_that_nobody_knows_is_not_found_and_nothing_goes(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    assert warm_cli("push", "--runs", "no-such-run", cwd=repo).returncode == 3
    assert warm_cli("push", "--runs", "name == 'no-such-run'", cwd=repo).returncode == 3
    assert git(team, "for-each-ref", "refs/gitrepro") == ""


def test_blobs_go_to_the_store_remote_that_is_named(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    follow(warm_cli, repo, tmp_path / "backup", "backup")

    told = said(warm_cli("push", "--to", "backup", "--json", cwd=repo))

    assert [each["name"] for each in told["stores"]] == ["backup"]
    assert not (tmp_path / "store").exists()
    assert warm_cli("push", "--to", "nowhere", cwd=repo).returncode == 3


def test_one_store_remote_that_is_down_holds_up_no_other_and_exits_5(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    assert warm_cli("remote", "add", "down", "http://127.0.0.1:1/", cwd=repo).returncode == 0
    follow(warm_cli, repo, tmp_path / "store")

    done = warm_cli("push", "--json", cwd=repo)

    assert done.returncode == 5
    told = json.loads(done.stdout)
    assert told["runs"] == [run_id]
    assert [(each["name"], each["blobs"], each["error"] is None) for each in told["stores"]] == [
        ("down", 0, False),
        ("store", 6, True),
    ]


def test_a_git_remote_that_is_not_there_exits_5_with_gits_own_words(
    repo: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    git(repo, "remote", "add", "origin", str(repo.parent / "gone.git"))

    done = warm_cli("push", cwd=repo)

    assert done.returncode == 5
    assert "does not appear to be a git repository" in done.stderr or "does not exist" in done.stderr


def test_without_any_git_remote_it_is_said_what_to_do(repo: Path, run_id: str, warm_cli: Cli) -> None:
    for verb in ("push", "pull"):
        assert warm_cli(verb, cwd=repo).returncode == 2


def test_a_git_that_dies_while_it_is_asked_for_settings_is_no_repository_without_remotes(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    real = shutil.which("git")
    dying = tmp_path / "bin" / "git"
    dying.parent.mkdir()
    dying.write_text(f'#!/bin/sh\ncase "$*" in *get-regexp*remote*) kill -KILL $$;; esac\nexec {real} "$@"\n')
    dying.chmod(0o755)

    done = warm_cli("push", cwd=repo, env={"PATH": f"{dying.parent}{os.pathsep}{os.environ['PATH']}"})

    assert done.returncode == 6, done.stderr
    assert "git config failed" in done.stderr


def test_quiet_says_nothing(repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path) -> None:
    follow(warm_cli, repo, tmp_path / "store")

    done = warm_cli("push", "--quiet", cwd=repo)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_runs_of_two_clones_meet(
    repo: Path, store: BlobStore, team: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    other = clone(team, git)
    theirs = record_run(other, name="calm-heron")
    assert warm_cli("push", cwd=repo).returncode == 0
    done = warm_cli("push", cwd=other)
    assert done.returncode == 0, done.stderr

    pulled = said(warm_cli("pull", "--json", cwd=repo))

    assert pulled["runs"] == [theirs]
    assert {each["id"] for each in said(warm_cli("ls", "--json", cwd=other))} == {run_id, theirs}


def test_a_checkpoint_comes_when_it_is_first_asked_for(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", cwd=repo)
    other = clone(team, git)
    warm_cli("pull", cwd=other)

    alone = warm_cli("checkpoint", "get", "brisk-otter:best", "model.bin", cwd=other)
    follow(warm_cli, other, tmp_path / "store")
    done = warm_cli("checkpoint", "get", "brisk-otter:best", "model.bin", cwd=other)

    assert alone.returncode == 3 and "gitrepro remote add" in alone.stderr
    assert done.returncode == 0, done.stderr
    assert "fetched 1 blob" in done.stderr and "verified" in done.stderr
    assert (other / "model.bin").read_bytes() == large(2)


def test_what_was_printed_comes_when_it_is_first_asked_for(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", cwd=repo)
    other = clone(team, git)
    follow(warm_cli, other, tmp_path / "store")
    warm_cli("pull", cwd=other)

    assert warm_cli("show", "brisk-otter", "--output", cwd=other).stdout == "brisk-otter\n"


def test_blobs_that_nobody_has_are_named_and_exit_3(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    warm_cli("push", cwd=repo)
    other = clone(team, git)
    follow(warm_cli, other, tmp_path / "store")

    done = warm_cli("pull", "--blobs", run_id, cwd=other)

    assert done.returncode == 3
    assert "pulled 1 run" in done.stdout, "the runs came"
    assert "has it not" in done.stderr


def test_runs_go_by_file_where_no_network_goes(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git, tmp_path: Path
) -> None:
    other = clone(team, git)
    file = tmp_path / "runs.bundle"
    assert warm_cli("push", "--bundle", str(file), cwd=repo).returncode == 0

    assert said(warm_cli("pull", str(file), "--json", cwd=other))["runs"] == [run_id]


def test_pushing_says_of_which_runs_the_code_is_nowhere_else(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, git: Git
) -> None:
    (repo / "train.py").write_text("print('other')\n")
    git(repo, "commit", "--quiet", "--all", "--message=not pushed")
    record_run(repo)

    assert "the code of 1 run is in no branch that was pushed" in warm_cli("push", cwd=repo).stderr


def test_a_store_remote_that_was_emptied_gets_it_all_again(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", cwd=repo)
    shutil.rmtree(tmp_path / "store")

    done = warm_cli("push", cwd=repo)

    assert "has nothing any more" in done.stderr
    assert "sent 6 blobs" in done.stdout


# -- verify --remote


def test_it_is_asked_of_each_store_remote_what_it_has_of_a_run(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    follow(warm_cli, repo, tmp_path / "empty", "empty")
    warm_cli("push", "--to", "store", "--checkpoints", "all", cwd=repo)

    done = warm_cli("verify", run_id, "--remote", "--json", cwd=repo)

    assert done.returncode == 1
    things = json.loads(done.stdout)["things"]
    assert {each["state"] for each in things if each["remote"] == "store"} == {"ok"}
    assert {each["state"] for each in things if each["remote"] == "empty"} == {"not there"}
    assert len(things) == 2 * 4, "data, two checkpoints, output"


def test_wrong_bytes_there_are_found_when_they_are_read(
    repo: Path, team: Path, run_id: str, warm_cli: Cli, tmp_path: Path
) -> None:
    follow(warm_cli, repo, tmp_path / "store")
    warm_cli("push", "--checkpoints", "all", cwd=repo)
    assert warm_cli("verify", run_id, "--remote", "--full", cwd=repo).returncode == 0
    spoil(tmp_path / "store" / object_key(digest_of([large(2)])))

    glance = warm_cli("verify", run_id, "--remote", cwd=repo)
    read = warm_cli("verify", run_id, "--remote", "--full", cwd=repo)

    assert glance.returncode == 0
    assert read.returncode == 4
    assert "checkpoint step-1\t0 of 1\tDAMAGED" in read.stdout
    assert not list(opened(repo).home.glob("verify-*"))


def test_without_a_store_remote_there_is_nobody_to_ask(repo: Path, run_id: str, warm_cli: Cli) -> None:
    assert warm_cli("verify", run_id, "--remote", cwd=repo).returncode == 3
    assert warm_cli("verify", "--all", "--remote", cwd=repo).returncode == 2


# -- by itself


def by_itself(root: Path) -> None:
    (root / ".gitrepro.yaml").write_text("version: 1\npush: {runs: on-finish}\n")


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_where_the_policy_says_so_a_run_goes_when_it_is_over(repo: Path, team: Path, cli: Cli, git: Git) -> None:
    by_itself(repo)

    done = cli("record", "--", sys.executable, "train.py", cwd=repo)

    assert done.returncode == 0
    until(lambda: git(team, "for-each-ref", "refs/gitrepro/runs"))
    home = opened(repo).home
    with fs.locked(home / "push.lock"):
        assert "pushed 1 run to origin" in (home / "push.log").read_text()


def test_elsewhere_a_run_stays_until_it_is_pushed(repo: Path) -> None:
    (repo / ".gitrepro.yaml").write_text("version: 1\npush: {runs: manual}\n# on-finish\n")

    assert not push_when_over(opened(repo))
    assert not (opened(repo).home / "push.wanted").exists()


def test_of_many_runs_that_end_at_once_one_begins_a_push(repo: Path, team: Path, run_id: str, git: Git) -> None:
    by_itself(repo)
    found = opened(repo)

    begun = [push_when_over(found) for _ in range(5)]

    assert begun == [True, False, False, False, False]
    until(lambda: git(team, "for-each-ref", "refs/gitrepro/runs"))
    with fs.locked(found.home / "push.lock"):
        assert not (found.home / "push.wanted").exists()


def test_offline_it_is_said_in_the_log_and_the_run_waits(repo: Path, run_id: str, git: Git) -> None:
    git(repo, "remote", "add", "origin", str(repo.parent / "gone.git"))
    by_itself(repo)
    home = opened(repo).home

    assert push_when_over(opened(repo))

    until(lambda: (home / "push.log").exists() and "error:" in (home / "push.log").read_text())


def test_a_wish_that_nobody_took_is_taken_up_by_the_next_one(repo: Path, team: Path, run_id: str, git: Git) -> None:
    by_itself(repo)
    found = opened(repo)
    wish = found.home / "push.wanted"
    wish.touch()
    os.utime(wish, (0, 0))

    assert push_when_over(found)
    until(lambda: git(team, "for-each-ref", "refs/gitrepro/runs"))


# -- a real run

_PROGRAM = """
import torch, gitrepro

with gitrepro.record(name="calm-heron", seed=0) as run:
    run.define_metric("val/accuracy", goal="max")
    model = torch.nn.Linear(400, 400)
    for step in range(2):
        run.log({"val/accuracy": 0.5 + step / 10}, step=step)
        run.checkpoint(model=model, step=step, metric=("val/accuracy", "max"))
"""


def test_what_a_program_saved_is_loaded_in_another_clone(
    repo: Path, team: Path, warm_cli: Cli, cli: Cli, git: Git, tmp_path: Path
) -> None:
    (repo / "train.py").write_text(_PROGRAM)
    git(repo, "commit", "--quiet", "--all", "--message=train")
    recorded = cli("record", "--", sys.executable, "train.py", cwd=repo)
    assert recorded.returncode == 0, recorded.stderr
    follow(warm_cli, repo, tmp_path / "store")
    told = said(warm_cli("push", "--json", cwd=repo))
    other = clone(team, git)
    follow(warm_cli, other, tmp_path / "store")
    assert warm_cli("pull", cwd=other).returncode == 0

    loaded = gitrepro.load_checkpoint("calm-heron:best", repo=other)

    assert told["stores"][0]["absent"] == []
    assert loaded.state["model"]["weight"].shape == (400, 400)
    assert loaded.step == 1
