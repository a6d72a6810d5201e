"""The index: nothing in it is true by itself, so whatever becomes of its file, `ls` shows the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrepro.records import ids
from gitrepro.records.run import RunRecord, run_path
from gitrepro.store import repository as repositories
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.index import Index, index_path
from gitrepro.store.repository import Repository
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def record(found: Repository, name: str, *, accuracy: float = 0.5, data: bytes | None = None) -> str:
    """Put one run into the ref; `data` stands in for its `run.yaml`."""
    run_id = ids.new_id()
    run = RunRecord(
        id=run_id,
        name=name,
        kind="train",
        status="finished",
        started_at=f"2026-01-01T00:00:00.{int(accuracy * 1000):06d}Z",
        metrics={"accuracy": {"goal": "max", "last": accuracy}},
        summary={"accuracy": accuracy},
        journal={"digest": f"b3:{run_id}"},
    )
    with GitObjects(found.common_dir) as objects:
        [blob] = objects.write([("blob", run.dump() if data is None else data)])
        [tree] = objects.write([("tree", encode_tree({"run.yaml": Entry(FILE_MODE, blob)}))])
    enqueue(found, Pending(kind="run", subject=run_id, line=name, trees={run_path(run_id): tree}, journal=run_id))
    fold(found, identity=IDENTITY)
    return run_id


def names(found: Repository) -> list[str]:
    with Index(found) as index:
        return [run["name"] for run in index.listings()]


def test_runs_are_listed_newest_first(found: Repository) -> None:
    for number, name in enumerate(("first", "second", "third")):
        record(found, name, accuracy=number / 10)
    assert names(found) == ["third", "second", "first"]


def test_a_repository_without_runs_has_an_empty_index(found: Repository) -> None:
    assert names(found) == []


def test_it_follows_the_ref(found: Repository) -> None:
    record(found, "first", accuracy=0.1)
    assert names(found) == ["first"]
    run_id = record(found, "second", accuracy=0.2)
    annotate(found, run_id, "name", "renamed", identity=IDENTITY, at="2026-01-02T00:00:00.000000Z")
    assert names(found) == ["renamed", "first"]


@pytest.fixture(params=["deleted", "empty", "garbage", "cut", "flipped", "other version", "a folder's remains"])
def spoilt(request: pytest.FixtureRequest, found: Repository) -> Iterator[Repository]:
    record(found, "first", accuracy=0.1)
    assert names(found) == ["first"]
    record(found, "second", accuracy=0.2)
    path = index_path(found)
    data = path.read_bytes()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    match request.param:
        case "deleted":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "garbage":
            path.write_bytes(os.urandom(len(data)))
        case "cut":
            path.write_bytes(data[: len(data) // 2])
        case "flipped":
            path.write_bytes(data[:100] + bytes(byte ^ 255 for byte in data[100:6000]) + data[6000:])
        case "other version":
            import sqlite3

            with sqlite3.connect(path) as db:
                db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
            db.close()
        case "a folder's remains":
            path.with_name(path.name + "-wal").write_bytes(b"not a log")
    yield found


def test_whatever_becomes_of_its_file_the_runs_are_the_same(spoilt: Repository) -> None:
    assert names(spoilt) == ["second", "first"]
    assert names(spoilt) == ["second", "first"], "and it is whole from then on"


def test_a_record_that_cannot_be_read_is_named_and_the_others_are_listed(found: Repository) -> None:
    record(found, "good", accuracy=0.1)
    bad = record(found, "bad", data=b"\xff not yaml")
    record(found, "also good", accuracy=0.3)
    for _ in range(2):
        with Index(found) as index:
            assert [run["name"] for run in index.listings()] == ["also good", "good"]
            assert [path for path in index.troubles() if bad in path] == [run_path(bad)]


def test_a_damaged_object_is_named_and_its_repair_is_noticed(found: Repository, git: Git) -> None:
    record(found, "good", accuracy=0.1)
    bad = record(found, "bad", accuracy=0.2)
    oid = git(found.git_dir, "rev-parse", f"refs/gitrepro/runs:{run_path(bad)}/run.yaml")
    path = found.common_dir / "objects" / oid[:2] / oid[2:]
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-8] + bytes(8))

    assert names(found) == ["good"]
    with Index(found) as index:
        assert len(index.troubles()) == 1
    path.write_bytes(whole)
    assert names(found) == ["bad", "good"]
    with Index(found) as index:
        assert index.troubles() == {}


def test_the_standings_of_a_metric_come_with_its_goal(found: Repository) -> None:
    run_id = record(found, "one", accuracy=0.7)
    with Index(found) as index:
        assert list(index.standings("accuracy")) == [(run_id, 0.7, "max")]
        assert index.count(where="name = ?", values=["one"]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone who may not write here")
def test_in_a_repository_that_cannot_be_written_it_is_built_in_memory(found: Repository, tmp_path: Path) -> None:
    record(found, "one")
    program = (
        "import os, sys; from pathlib import Path\n"
        "from gitrepro.store.index import Index, index_path\n"
        "from gitrepro.store.repository import Repository\n"
        "at = Path(sys.argv[1])\n"
        "found = Repository(git_dir=at / '.git', common_dir=at / '.git', work_tree=at)\n"
        "Index(found).close()\n"  # loads all modules while they can be read
        "index_path(found).unlink()\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "assert not os.access(found.common_dir, os.W_OK)\n"
        "print([run['name'] for run in Index(found).listings()])\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", program, str(found.work_tree)], capture_output=True, text=True, env={"PATH": ""}
    )
    assert done.stdout == "['one']\n", done.stderr
    assert not index_path(found).exists()


def test_two_programs_may_follow_the_ref_at_once(found: Repository) -> None:
    for number in range(5):
        record(found, f"run {number}", accuracy=number / 10)
    program = (
        "import sys; from pathlib import Path\n"
        "from gitrepro.store import repository\n"
        "from gitrepro.store.index import Index\n"
        "print(Index(repository.find(Path(sys.argv[1]), {})).count())\n"
    )
    readers = [
        subprocess.Popen([sys.executable, "-c", program, str(found.work_tree)], stdout=subprocess.PIPE)
        for _ in range(6)
    ]
    assert [reader.communicate()[0] for reader in readers] == [b"5\n"] * 6
