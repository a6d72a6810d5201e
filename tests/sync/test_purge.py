"""Purging takes bytes out of the history for good, keeps all else, and other clones follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import NotFound, StorageError
from gitrepro.records import yaml
from gitrepro.records.result import Cited, Result
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import Pending, enqueue, fold
from gitrepro.store.gitobjects import GitObjects
from gitrepro.store.gitrefs import read_ref
from gitrepro.store.index import Index
from gitrepro.store.repository import CODE_REF, RUNS_REF
from gitrepro.store.runs import RunTree
from gitrepro.sync.coderef import kept_by
from gitrepro.sync.epochs import look, purge
from gitrepro.sync.runs import pull, push
from gitrepro.sync.union import epoch, purged
from tests.conftest import Git
from tests.recorded_runs import ADA, commit_file, opened, record_run

AT = "2026-01-02T03:04:05.678901Z"
SECRET = "AKIA-this-must-not-exist"


@pytest.fixture
def hub(tmp_path: Path, repo: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(repo, "push", "--quiet", "origin", "main")
    return tmp_path / "hub.git"


@pytest.fixture
def other(tmp_path: Path, hub: Path, git: Git) -> Path:
    git(tmp_path, "clone", "--quiet", "--branch=main", str(hub), "other")
    git(tmp_path / "other", "config", "user.name", "Grace Hopper")
    git(tmp_path / "other", "config", "user.email", "grace@example.org")
    return tmp_path / "other"


def leaky_run(repo: Path, **changes: object) -> str:
    return record_run(repo, argv=("python", "train.py", f"--key={SECRET}"), **changes)  # type: ignore[arg-type]


def ids_in(root: Path) -> list[str]:
    with RunTree(opened(root)) as tree:
        return tree.run_ids()


def tree_of(root: Path) -> str | None:
    with RunTree(opened(root)) as tree:
        return tree.tree


def history(root: Path, git: Git) -> str:
    """All that the run ref reaches, as text."""
    listed = git(root, "rev-list", "--objects", RUNS_REF).splitlines()
    blobs = [each.split(" ", 1)[0] for each in listed if " " in each and not each.endswith(" ")]
    return "".join(git(root, "cat-file", "-p", oid) for oid in blobs)


def cite(repo: Path, run_id: str, tag: str = "result/x") -> str:
    """Put a result on record that cites a run."""
    repository = opened(repo)
    with RunTree(repository) as tree:
        cited = Cited(id=run_id, tree=str(tree.run_tree(run_id)), commit=None)
        result = Result(
            id="01k3v9m2h8q4w5x6y7z8a9b0ce", tag=tag, level="minimal", runs=(cited,), as_of=tree.tree, policy="",
            commit="", code_tree="", actor={}, created_at=AT,
        )  # fmt: skip
    files = {f"results/{result.id}/result.yaml": result.dump().decode()}
    enqueue(repository, Pending(kind="result", subject=result.id, line="result", files=files))
    fold(repository, identity=ADA)
    return result.id


def test_a_purged_run_is_in_no_commit_of_the_history(repo: Path, git: Git) -> None:
    kept, bad = record_run(repo), leaky_run(repo)
    annotate(opened(repo), bad, "note", f"oh no, {SECRET}", identity=ADA, at=AT)
    annotate(opened(repo), kept, "label", "good", identity=ADA, at=AT)
    assert SECRET in history(repo, git)

    done = purge(opened(repo), [bad], identity=ADA)

    assert (done.runs, done.events, done.epoch) == ((bad,), 1, 2)
    assert ids_in(repo) == [kept]
    assert SECRET not in history(repo, git)
    assert git(repo, "rev-list", "--count", RUNS_REF) == "1"
    with RunTree(opened(repo)) as tree:
        assert len(tree.events(kept)[0]) == 1
        assert (epoch(tree.objects, tree.tree), purged(tree.objects, tree.tree)) == (2, {bad})


def test_what_stays_is_byte_for_byte_what_it_was(repo: Path) -> None:
    kept, bad = record_run(repo), leaky_run(repo)
    with RunTree(opened(repo)) as tree:
        before = tree.run_tree(kept)

    purge(opened(repo), [bad], identity=ADA)

    with RunTree(opened(repo)) as tree:
        assert tree.run_tree(kept) == before


def test_after_a_collection_of_git_the_bytes_are_nowhere(repo: Path, git: Git) -> None:
    bad = leaky_run(repo)
    with RunTree(opened(repo)) as tree:
        record = tree.run_files(bad)["run.yaml"].oid
    (repo / ".git" / "gitrepro" / "done" / bad).mkdir(parents=True)
    (repo / ".git" / "gitrepro" / "done" / bad / "journal").write_text(SECRET)

    purge(opened(repo), [bad], identity=ADA)
    git(repo, "gc", "--quiet", "--prune=now")

    with GitObjects(repo / ".git") as objects:
        assert not objects.has(record)
    found = [path for path in (repo / ".git").rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert found == []
    assert git(repo, "fsck", "--full") == ""
    later = record_run(repo)
    assert ids_in(repo) == [later]


def test_the_list_does_not_show_it_any_more(repo: Path) -> None:
    kept, bad = record_run(repo), leaky_run(repo)
    with Index(opened(repo)) as index:
        assert index.count() == 2

    purge(opened(repo), [bad], identity=ADA)

    with Index(opened(repo)) as index:
        assert [each["id"] for each in index.listings()] == [kept]


def test_results_that_cite_it_go_with_it_and_their_tags_are_named(repo: Path) -> None:
    kept, bad = record_run(repo), leaky_run(repo)
    result = cite(repo, bad)

    done = purge(opened(repo), [bad], identity=ADA)

    assert (done.results, done.tags) == ((result,), ("result/x",))
    with RunTree(opened(repo)) as tree:
        assert (tree.result_ids(), tree.run_ids()) == ([], [kept])


def test_looking_changes_nothing(repo: Path) -> None:
    bad = leaky_run(repo)
    before = read_ref(repo / ".git", RUNS_REF)

    seen = look(opened(repo), [bad])

    assert (seen.runs, seen.files, seen.commit) == ((bad,), 2, None)
    assert seen.size_bytes > 100
    assert read_ref(repo / ".git", RUNS_REF) == before


def test_bytes_that_other_runs_hold_too_are_named(repo: Path) -> None:
    env = {"env.yaml": yaml.dump({"key": SECRET})}
    record_run(repo, files=env)
    bad = record_run(repo, files=env)

    assert look(opened(repo), [bad]).shared == ("config.yaml", "env.yaml")


def test_a_run_that_is_not_there_cannot_be_purged(repo: Path) -> None:
    bad = leaky_run(repo)
    purge(opened(repo), [bad], identity=ADA)

    with pytest.raises(NotFound):
        purge(opened(repo), [bad], identity=ADA)


def test_a_second_purge_remembers_the_first(repo: Path) -> None:
    first, second, kept = (record_run(repo) for _ in range(3))
    for bad in (first, second):
        purge(opened(repo), [bad], identity=ADA)

    assert ids_in(repo) == [kept]
    with RunTree(opened(repo)) as tree:
        assert (epoch(tree.objects, tree.tree), purged(tree.objects, tree.tree)) == (3, {first, second})


# -- code


def run_with_snapshot(repo: Path, snapshot: str) -> str:
    code = {"commit": None, "dirty": True, "snapshot": snapshot}
    run = record_run(repo, code=code)
    repository = opened(repo)
    pending = Pending(kind="event", subject=run, line="x", files={f"datasets/d/{run}.txt": run}, code=[snapshot])
    enqueue(repository, pending)
    fold(repository, identity=ADA)
    return run


def test_a_snapshot_of_its_code_is_let_go_and_all_other_code_stays(repo: Path, git: Git) -> None:
    other = commit_file(repo, "model.py", "layers = 3\n")
    record_run(repo)
    snapshot = git(repo, "commit-tree", "HEAD^{tree}", "-m", "snapshot with a secret")
    bad = run_with_snapshot(repo, snapshot)
    with GitObjects(repo / ".git") as objects:
        assert {other, snapshot} <= {*kept_by(objects, read_ref(repo / ".git", CODE_REF))}

    assert purge(opened(repo), [bad], identity=ADA).snapshots == (snapshot,)

    with GitObjects(repo / ".git") as objects:
        assert kept_by(objects, read_ref(repo / ".git", CODE_REF)) == [other]
    assert snapshot not in git(repo, "rev-list", CODE_REF).splitlines()


def test_a_snapshot_that_another_run_names_stays_and_is_told(repo: Path, git: Git) -> None:
    snapshot = git(repo, "commit-tree", "HEAD^{tree}", "-m", "snapshot")
    bad = run_with_snapshot(repo, snapshot)
    run_with_snapshot(repo, snapshot)

    done = purge(opened(repo), [bad], identity=ADA)

    assert (done.snapshots, done.kept_snapshots) == ((), (snapshot,))
    assert snapshot in git(repo, "rev-list", CODE_REF).splitlines()


# -- remotes and other clones


def test_remotes_that_have_it_are_named(repo: Path, hub: Path) -> None:
    bad = leaky_run(repo)
    assert look(opened(repo), [bad]).remotes == ()
    push(opened(repo))

    assert look(opened(repo), [bad]).remotes == ("origin",)


def test_a_push_begins_the_history_anew_there_and_other_clones_follow(
    repo: Path, hub: Path, other: Path, git: Git
) -> None:
    kept, bad = record_run(repo), leaky_run(repo)
    push(opened(repo))
    pull(opened(other))
    unpushed = record_run(other)

    purge(opened(repo), [bad], identity=ADA)
    push(opened(repo))
    assert SECRET not in history(hub, git)
    pull(opened(other))
    push(opened(other))
    pull(opened(repo))

    assert ids_in(other) == ids_in(repo) == sorted([kept, unpushed])
    assert tree_of(other) == tree_of(repo)
    for root in (repo, other, hub):
        assert SECRET not in history(root, git)


def test_a_clone_that_slept_through_it_does_not_bring_it_back(
    repo: Path, hub: Path, other: Path, tmp_path: Path, git: Git
) -> None:
    """It has pushed what it had to another place, and comes back with that."""
    bad = leaky_run(repo)
    push(opened(repo))
    pull(opened(other))
    git(tmp_path, "init", "--quiet", "--bare", "second.git")
    git(other, "remote", "add", "second", str(tmp_path / "second.git"))
    push(opened(other), "second")

    purge(opened(repo), [bad], identity=ADA)
    git(repo, "remote", "add", "second", str(tmp_path / "second.git"))
    pull(opened(repo), "second")

    assert ids_in(repo) == []
    assert SECRET not in history(repo, git)


def test_a_purge_that_was_cut_before_its_end_is_finished_by_the_next(repo: Path, git: Git) -> None:
    snapshot = git(repo, "commit-tree", "HEAD^{tree}", "-m", "snapshot with a secret")
    bad = run_with_snapshot(repo, snapshot)
    # A folder in the place of the lock: the run ref cannot be moved, and all before that was done.
    lock = repo / ".git" / "refs" / "gitrepro" / "runs.lock"
    (lock / "x").mkdir(parents=True)
    with pytest.raises(StorageError):
        purge(opened(repo), [bad], identity=ADA)
    (lock / "x").rmdir()
    lock.rmdir()
    assert ids_in(repo) == [bad]

    purge(opened(repo), [bad], identity=ADA)

    assert ids_in(repo) == []
    assert snapshot not in git(repo, "rev-list", CODE_REF).splitlines()


def test_two_clones_that_purge_at_once_bring_nothing_back(repo: Path, hub: Path, other: Path, git: Git) -> None:
    one, two = leaky_run(repo), leaky_run(repo)
    push(opened(repo))
    pull(opened(other))
    purge(opened(repo), [one], identity=ADA)
    purge(opened(other), [two], identity=ADA)

    push(opened(repo))
    push(opened(other))
    pull(opened(repo))
    push(opened(repo))
    pull(opened(other))

    assert (ids_in(repo), ids_in(other)) == ([], [])
    assert tree_of(repo) == tree_of(other)
    for each in (repo, other, hub):
        assert SECRET not in history(each, git)
