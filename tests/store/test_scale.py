"""Repositories of many runs: made alike each time, read in bulk, the same to the bulk reader and the careful one."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import generate
from gitrepro.errors import Damaged, GitreproError, NotFound
from gitrepro.records.event import Event
from gitrepro.store import bulk
from gitrepro.store import repository as repositories
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import Identity
from gitrepro.store.gitobjects import GitObjects
from gitrepro.store.index import Index, index_path
from gitrepro.store.repository import RUNS_REF, Repository
from gitrepro.store.runs import RunTree
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")
RUNS = 60
following = import_module("gitrepro.store.index.follow")  # the package has a function of that name


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        return generate.make(tmp_path_factory.mktemp("scale") / "repo", RUNS, batch=7)


@pytest.fixture
def found(original: Path, tmp_path: Path, git: Git) -> Iterator[Repository]:
    target = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(original), str(target)], check=True)
    yield repositories.find(target, {})


def rows(found: Repository) -> list[dict[str, object]]:
    with Index(found) as index:
        assert index.troubles() == {}
        return list(index.listings())


def test_the_same_seed_makes_the_same_repository(original: Path, tmp_path: Path, git: Git) -> None:
    same, other = (generate.make(tmp_path / str(seed), 20, seed=seed) for seed in (1, 2))
    again = generate.make(tmp_path / "again", 20, seed=1)
    trees = [git(repo, "rev-parse", f"{RUNS_REF}^{{tree}}") for repo in (same, again, other)]
    assert trees[0] == trees[1] != trees[2]


def test_what_is_generated_is_what_gitrepro_reads(found: Repository, git: Git) -> None:
    assert git(found.git_dir, "fsck", "--no-dangling") == ""
    with RunTree(found) as tree:
        names = tree.run_ids()
        assert len(names) == RUNS
        for name in names:
            assert tree.run(name).dump() == tree.read(f"{tree.run(name).path}/run.yaml")
            assert set(tree.run_files(name)) == {"run.yaml", "config.yaml", "env.yaml", "metrics.parquet"}
        assert sum(bool(tree.events(name)[0]) for name in names) == RUNS // 10
    assert len(rows(found)) == RUNS


def test_the_bulk_reader_and_the_careful_one_make_the_same_index(
    found: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = rows(found)
    index_path(found).unlink()
    real = following._take_changes

    def broken(*_: object) -> None:
        raise following.ChildFailed("git ls-tree failed")

    monkeypatch.setattr(following, "_take_changes", broken)
    slow = rows(found)
    monkeypatch.setattr(following, "_take_changes", real)
    assert slow == fast
    assert {row["name"] for row in fast} >= {"renamed-20"}


def test_an_index_built_step_by_step_is_the_one_built_at_once(found: Repository, git: Git) -> None:
    commits = git(found.git_dir, "rev-list", "--reverse", RUNS_REF).split()
    for commit in [*commits[::3], commits[-1]]:
        git(found.git_dir, "update-ref", RUNS_REF, commit)
        stepwise = rows(found)
    index_path(found).unlink()
    assert rows(found) == stepwise


def test_an_event_on_an_old_run_changes_its_row_and_keeps_its_other_events(found: Repository) -> None:
    renamed = next(row for row in rows(found) if row["name"] == "renamed-20")
    annotate(found, str(renamed["id"]), "label", "later", identity=IDENTITY, at="2026-03-01T00:00:00.000000Z")
    after = next(row for row in rows(found) if row["id"] == renamed["id"])
    assert (after["name"], after["labels"]) == ("renamed-20", [*renamed["labels"], "later"])  # type: ignore[misc]


def test_a_run_that_is_gone_from_the_ref_is_gone_from_the_index(found: Repository, git: Git) -> None:
    assert len(rows(found)) == RUNS
    earlier = git(found.git_dir, "rev-list", RUNS_REF).split()[2]
    git(found.git_dir, "update-ref", RUNS_REF, earlier)
    left = rows(found)
    assert 0 < len(left) < RUNS
    index_path(found).unlink()
    assert rows(found) == left


def test_an_up_to_date_index_is_opened_without_git(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(found)
    for path in (found.common_dir / "objects" / "pack").iterdir():
        path.unlink()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert rows(found) == before


def test_progress_is_told_to_the_end(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_BATCH", 25)
    told: list[tuple[int, int]] = []
    with Index(found, on_progress=lambda done, total: told.append((done, total))):
        pass
    assert told == [(25, 60), (50, 60), (60, 60)]


def test_batches_of_any_size_make_the_same_index(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rows(found)
    for size in (1, 7, 59, 60, 61):
        index_path(found).unlink()
        monkeypatch.setattr(following, "_BATCH", size)
        assert rows(found) == expected


def test_a_build_that_is_cut_leaves_nothing_half_true(found: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, _total: int) -> None:
        if done > 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(following, "_BATCH", 10)
    with pytest.raises(KeyboardInterrupt):
        Index(found, on_progress=stop)
    db = sqlite3.connect(index_path(found))
    assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'runs'").fetchone() == (0,)
    db.close()
    assert len(rows(found)) == RUNS


def test_a_build_that_is_killed_leaves_nothing_half_true(found: Repository) -> None:
    program = (
        "import os, sys; from importlib import import_module; from pathlib import Path;"
        "from gitrepro.store import repository;"
        "from gitrepro.store.index import Index; import_module('gitrepro.store.index.follow')._BATCH = 10;"
        "Index(repository.find(Path(sys.argv[1]), {}), on_progress=lambda done, _: os._exit(9) if done > 30 else None)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(found.work_tree)]).returncode == 9
    assert len(rows(found)) == RUNS


def test_of_several_who_open_it_first_each_sees_all_runs(found: Repository) -> None:
    program = (
        "import sys; from pathlib import Path; from gitrepro.store import repository;"
        "from gitrepro.store.index import Index; print(Index(repository.find(Path(sys.argv[1]), {})).count())"
    )
    argv = [sys.executable, "-c", program, str(found.work_tree)]
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [child.communicate()[0].strip() for child in children] == [str(RUNS)] * 4


def test_while_another_one_builds_the_old_state_is_read(
    found: Repository, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip, *_, first = git(found.git_dir, "rev-list", RUNS_REF).split()
    git(found.git_dir, "update-ref", RUNS_REF, first)
    old = rows(found)
    git(found.git_dir, "update-ref", RUNS_REF, tip)
    builder = sqlite3.connect(index_path(found), isolation_level=None)
    builder.execute("BEGIN IMMEDIATE")
    builder.execute("DELETE FROM runs")
    db = sqlite3.connect(index_path(found), isolation_level=None, timeout=0.05)
    following.follow(db, found)
    assert db.execute("SELECT count(*) FROM runs").fetchone() == (len(old),)
    builder.execute("ROLLBACK")
    builder.close()
    following.follow(db, found)
    assert db.execute("SELECT count(*) FROM runs").fetchone() == (RUNS,)
    db.close()


# -- many objects at once


def unpack(found: Repository) -> None:
    """Make every object a loose file, so that one of them can be spoiled."""
    for path in (found.common_dir / "objects" / "pack").glob("*.pack"):
        moved = found.common_dir / path.name
        path.rename(moved)
        path.with_suffix(".idx").unlink()
        subprocess.run(["git", "unpack-objects", "-q"], cwd=found.git_dir, stdin=moved.open("rb"), check=True)


def test_blobs_come_in_the_order_asked_for(found: Repository) -> None:
    oids = [oid for _, oid in bulk.list_files(found.common_dir, RUNS_REF)][::-1]
    with GitObjects(found.common_dir) as objects:
        assert list(bulk.blobs(found.common_dir, oids)) == [objects.read(oid, "blob") for oid in oids]
    assert list(bulk.blobs(found.common_dir, [])) == []


@pytest.mark.parametrize("spoiled", [b"", b"garbage", None], ids=["empty", "garbage", "gone"])
def test_a_blob_that_is_damaged_or_gone_costs_no_other(found: Repository, spoiled: bytes | None) -> None:
    unpack(found)
    files = dict(bulk.list_files(found.common_dir, RUNS_REF))
    oids = list(dict.fromkeys(files.values()))
    with GitObjects(found.common_dir) as objects:
        bad = [Path(objects.loose_path(oid)) for oid in (oids[3], oids[4], oids[-1])]
    for path in bad:
        path.chmod(0o644)
        path.unlink() if spoiled is None else path.write_bytes(spoiled)
    answers = list(bulk.blobs(found.common_dir, oids))
    wrong = [number for number, answer in enumerate(answers) if isinstance(answer, GitreproError)]
    assert wrong == [3, 4, len(oids) - 1]
    assert all(isinstance(answers[number], NotFound if spoiled is None else Damaged) for number in wrong)


def test_a_swapped_blob_is_not_believed(found: Repository) -> None:
    unpack(found)
    one, other = sorted({oid for path, oid in bulk.list_files(found.common_dir, RUNS_REF) if "run.yaml" in path})[:2]
    with GitObjects(found.common_dir) as objects:
        target = Path(objects.loose_path(one))
        target.chmod(0o644)
        target.write_bytes(Path(objects.loose_path(other)).read_bytes())
    [answer] = bulk.blobs(found.common_dir, [one])
    assert isinstance(answer, Damaged)
    with Index(found) as index:
        assert index.count() == RUNS - 1
        assert len(index.troubles()) == 1


def test_a_tree_that_is_damaged_hides_only_what_is_below_it(found: Repository, git: Git) -> None:
    unpack(found)
    with RunTree(found) as tree:
        name = tree.run_ids()[0]
        path = Path(tree.objects.loose_path(tree.run_tree(name) or ""))
    path.chmod(0o644)
    path.write_bytes(b"garbage")
    with Index(found) as index:
        assert index.count() == RUNS - 1
        assert len(index.troubles()) == 1


def test_an_event_that_is_damaged_costs_no_run(found: Repository) -> None:
    unpack(found)
    with RunTree(found) as tree:
        path, oid = next((path, oid) for path, oid in bulk.list_files(found.common_dir, RUNS_REF) if "events/" in path)
        assert isinstance(tree.events(path.split("/")[4])[0][0], Event)
        Path(tree.objects.loose_path(oid)).chmod(0o644)
        Path(tree.objects.loose_path(oid)).write_bytes(b"garbage")
    with Index(found) as index:
        assert index.count() == RUNS
        assert list(index.troubles()) == [path]
