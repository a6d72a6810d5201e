"""The index: nothing in it is true by itself, so whatever becomes of its file, `ls` shows the same."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitrepro.errors import Damaged, UsageError
from gitrepro.records import ids
from gitrepro.records.event import Standing
from gitrepro.records.run import RunRecord, run_path
from gitrepro.records.term import Term, escaped, text
from gitrepro.store import repository as repositories
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.index import Index, index_path, schema
from gitrepro.store.index.ask import ask
from gitrepro.store.index.rows import forget, put, row_of
from gitrepro.store.index.terms import expression
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
            with sqlite3.connect(path) as db:
                db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
            db.close()
        case "a folder's remains":
            path.with_name(path.name + "-wal").write_bytes(b"not a log")
    yield found


def test_whatever_becomes_of_its_file_the_runs_are_the_same(spoilt: Repository) -> None:
    assert names(spoilt) == ["second", "first"]
    assert names(spoilt) == ["second", "first"], "and it is whole from then on"


def test_damage_that_shows_only_when_it_is_read_is_no_answer_and_the_next_time_all_is_whole(found: Repository) -> None:
    record(found, "first", accuracy=0.1)
    with Index(found) as index:
        (page,) = index.db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'listings'").fetchone()
        (size,) = index.db.execute("PRAGMA page_size").fetchone()
        index.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(index_path(found), "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    with Index(found) as index, pytest.raises(Damaged, match="run it again"):
        list(index.listings())
    assert names(found) == ["first"]


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


def test_the_best_run_of_a_metric_is_that_by_its_goal(found: Repository) -> None:
    for number, name in enumerate(("bad", "good", "also good")):
        record(found, name, accuracy=min(number, 1) / 2 + 0.1)
    with Index(found) as index:
        assert [run["name"] for run in index.listings(where="id = ?", values=[index.best("accuracy")])] == ["good"]
        assert index.best("loss") is None


READER = """
import os, sys; from pathlib import Path
from gitrepro.store.index import Index, index_path, schema
from gitrepro.store.index.ask import ask
from gitrepro.store.index.rows import forget, put, row_of
from gitrepro.store.index.terms import expression
from gitrepro.store.repository import Repository
at = Path(sys.argv[1])
found = Repository(git_dir=at / ".git", common_dir=at / ".git", work_tree=at)
Index(found).close()  # loads all modules while they can be read
index_path(found).unlink()
os.setgid(65534); os.setuid(65534)
assert not os.access(found.common_dir, os.W_OK)
for _ in range(2):
    with Index(found) as index:
        print([run["name"] for run in index.listings()], index.path)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone who may not write here")
@pytest.mark.parametrize("cache", [True, False])
def test_where_the_repository_cannot_be_written_it_lies_in_the_cache_or_in_memory(
    found: Repository, tmp_path: Path, cache: bool
) -> None:
    record(found, "one")
    place = tmp_path / "cache"
    place.mkdir(mode=0o777 if cache else 0o755)
    place.chmod(0o777 if cache else 0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    env = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(place), **trusted}
    done = subprocess.run([sys.executable, "-c", READER, str(found.work_tree)], capture_output=True, text=True, env=env)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith(f"['one'] {place}" if cache else "['one'] None")
    assert not index_path(found).exists()
    assert bool(list(place.glob("gitrepro/*/index.sqlite"))) == cache


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


# -- what the rows hold


def rows(*records: RunRecord, config: dict[str, Any] | None = None) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(db)
    put(db, [row_of(run, Standing(labels=run.labels), config or {}) for run in records])
    return db


def a_run(**changes: Any) -> RunRecord:
    known = {"id": ids.new_id(), "name": "one", "kind": "train", "status": "finished"}
    return RunRecord(**{**known, "started_at": "2026-01-01T00:00:00.000000Z", **changes})


DEFAULT = {"name": "default", "version": "v1", "digest": f"b3:{'5' * 64}", "parts": {"train": 80}}
DIGITS = {"name": "digits", "version": "v1", "digest": f"b3:{'1' * 64}", "items": 100, "splits": [DEFAULT]}


def values(db: sqlite3.Connection, *terms: Term) -> list[Any]:
    return [db.execute(f"SELECT {expression(db, term)} FROM runs").fetchone()[0] for term in terms]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.1, 0.1), (True, 1), (3, 3), ("3", "3"), (2**63 - 1, 2**63 - 1), (2**64, float(2**64)),
        (-(10**400), -math.inf), (math.inf, math.inf), (math.nan, b"nan"), ([1, "a", None], '[1, "a", null]'),
        (None, None), ("a\0b\ud800", "a\ufffdb\ufffd"), ({}, None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_of_a_config_lies_in_its_column(value: Any, stored: Any) -> None:
    assert values(rows(a_run(), config={"key": value}), Term("config", "key")) == [stored]


@pytest.mark.parametrize("key", ['a"b', "a'b", "a b", "été", "a.b", "a\\b", "", "select", "m1", "a\ud800"])
def test_a_key_of_any_spelling_has_its_own_column(key: str) -> None:
    db = rows(a_run(summary={key: 1}), config={key: 2, "x": {key: 3}})
    part = text(escaped(key))
    assert values(db, Term("metric", text(key)), Term("config", part), Term("config", f"x.{part}")) == [1, 2, 3]


def test_keys_that_differ_in_case_alone_are_two() -> None:
    db = rows(a_run(), config={"lr": 1, "LR": 2})
    assert values(db, Term("config", "lr"), Term("config", "LR")) == [1, 2]


def test_ten_thousand_metrics_of_one_run_are_found_and_leave_room_for_other_runs() -> None:
    many = {f"task{number}/acc": number for number in range(10_000)}
    db = rows(a_run(summary=many), a_run(summary={"loss": 0.5}), config={"lr": 0.1})

    assert values(db, Term("metric", "task9999/acc"), Term("metric", "task0/acc")) == [9999, 0]
    assert dict(db.execute("SELECT key, wide FROM columns WHERE key IN ('lr', 'loss', 'task9999/acc')")) == {
        "lr": 1, "loss": 1, "task9999/acc": 0,
    }  # fmt: skip


def test_no_number_of_different_keys_is_too_many_for_the_table() -> None:
    db = rows(*(a_run(summary={f"{run}/{key}": key for key in range(300)}) for run in range(8)))

    assert len(db.execute("PRAGMA table_info(runs)").fetchall()) < 1_600
    where = f"{expression(db, Term('metric', '7/299'))} = 299"
    assert db.execute(f"SELECT count(*) FROM runs WHERE {where}").fetchone() == (1,)


def test_a_run_that_is_put_again_is_replaced_in_every_table() -> None:
    goals = {"loss": {"goal": "min"}}
    run = a_run(note="cosine", labels=("old",), summary={"loss": 1.0}, metrics=goals, data=(DIGITS,))
    db = rows(run)
    put(db, [row_of(replace(run, note="linear", labels=(), summary={}, metrics={}, data=()), Standing(), {})])

    def count(query: str) -> int:
        return int(db.execute(f"SELECT count(*) FROM {query}").fetchone()[0])

    assert (count("runs"), count("listings"), count("labels"), count("goals"), count("uses")) == (1, 1, 0, 0, 0)
    assert (count("search WHERE search MATCH 'cosine'"), count("search WHERE search MATCH 'linear'")) == (0, 1)
    forget(db, [run.id])
    assert (count("runs"), count("listings"), count("search WHERE search MATCH 'linear'")) == (0, 0, 0)
    db.execute("INSERT INTO search (search) VALUES ('integrity-check')")


def test_of_a_lineage_the_newest_attempt_that_is_not_removed_stands_for_all() -> None:
    first, second, third = (a_run(started_at=f"2026-01-0{day}T00:00:00.000000Z") for day in (1, 2, 3))
    second = replace(second, resumes=first.id, lineage=first.id)
    third = replace(third, resumes=second.id, lineage=first.id)
    other = a_run()
    for order in ((first, second, third, other), (third, other, second, first)):
        db = rows()
        for run in order:
            put(db, [row_of(run, Standing(), {})])
        assert set(db.execute("SELECT id FROM runs WHERE superseded = 0")) == {(third.id,), (other.id,)}
    put(db, [row_of(third, Standing(removed=True), {})])
    shown = db.execute("SELECT id FROM runs WHERE superseded = 0 AND removed = 0")
    assert set(shown) == {(second.id,), (other.id,)}


def test_a_lineage_that_goes_round_in_a_circle_hides_nothing_for_ever() -> None:
    one, two = a_run(), a_run()
    db = rows(replace(one, lineage=two.id), replace(two, lineage=one.id))
    assert db.execute("SELECT count(*) FROM runs").fetchone() == (2,)


# -- data


def test_data_and_splits_stand_in_columns_as_people_type_them() -> None:
    mnist = {"name": "mnist", "version": None, "digest": f"b3:{'2' * 64}"}
    db = rows(a_run(data=(DIGITS, mnist)))
    assert values(db, Term("data", ""), Term("split", "")) == ["digits@v1 mnist", "default@v1"]
    assert values(rows(a_run()), Term("data", ""), Term("split", "")) == [None, None]


def test_what_many_runs_use_is_kept_once_and_another_content_of_that_name_is_another() -> None:
    other = {**DIGITS, "digest": f"b3:{'2' * 64}"}
    db = rows(*(a_run(data=(data,)) for data in (DIGITS, DIGITS, other, DIGITS)))
    put(db, [row_of(a_run(data=(DIGITS,)), Standing(), {})])

    counts = "SELECT data.digest, count(*) FROM data JOIN uses USING (number) WHERE kind = 'data' GROUP BY number"
    assert dict(db.execute(counts)) == {DIGITS["digest"]: 4, other["digest"]: 1}
    assert db.execute("SELECT count(*) FROM data WHERE kind = 'split'").fetchone() == (1,)


def test_a_run_that_names_its_data_twice_uses_it_once() -> None:
    db = rows(a_run(data=(DIGITS, DIGITS)))
    assert values(db, Term("data", "")) == ["digits@v1"]
    assert db.execute("SELECT count(*) FROM uses").fetchone() == (2,)


@pytest.mark.parametrize("seed", [math.nan, math.inf])
def test_a_seed_that_is_no_number_is_not_taken_for_a_missing_one(seed: float) -> None:
    db = rows(a_run(duration_seconds=seed))
    assert values(db, Term("field", "duration_seconds")) == [b"nan" if math.isnan(seed) else seed]


def test_an_index_of_the_version_before_is_built_again(found: Repository) -> None:
    run_id = record(found, "first")
    with Index(found) as index:
        # As it was: without what runs use.
        for table in ("data", "data_names", "uses"):
            index.db.execute(f"DROP TABLE {table}")
        for column in ("data", "split"):
            index.db.execute(f'ALTER TABLE runs DROP COLUMN "{column}"')
        index.db.execute("UPDATE meta SET value = '4' WHERE key = 'version'")

    with Index(found) as index:
        assert [run["id"] for run in index.listings(where="data IS NULL")] == [run_id]
        assert index.facts()["version"] == schema.VERSION > 4


# -- questions of a user


def test_a_question_sees_people_s_names_and_nan_as_null() -> None:
    db = rows(a_run(summary={"val/acc": math.nan, "name": 5}), config={"lr": 0.1, "a.b": 1})
    names, found = ask(db, 'SELECT name, "metric.name", "val/acc", "config.lr" AS "my lr", "config.a\\.b" FROM runs')

    assert names == ["name", "metric.name", "val/acc", "my lr", "config.a\\.b"]
    assert list(found) == [("one", 5, None, 0.1, 1)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM main.runs", "DROP TABLE main.runs", "UPDATE main.runs SET name = 'x'", "ATTACH 'x.db' AS x",
        "PRAGMA journal_mode = DELETE", "CREATE TABLE x (a)", "VACUUM INTO 'x.db'", "SELECT load_extension('x')",
        "BEGIN", "INSERT INTO main.meta VALUES ('version', '7')", "REINDEX", "SELECT 1; DELETE FROM main.runs",
        "WITH x AS (SELECT 1) DELETE FROM main.meta", "SELECT * FROM pragma_table_info('runs')", "ANALYZE",
        "DETACH temp",
    ],
)  # fmt: skip
def test_a_question_that_would_write_is_refused(sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    db = rows(a_run())
    before = list(db.iterdump())
    with pytest.raises(UsageError):
        list(ask(db, sql)[1])
    db.set_authorizer(None)
    for view in ("runs", "labels", "extra", "data"):
        db.execute(f"DROP VIEW temp.{view}")
    assert list(db.iterdump()) == before
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_column_of_its_own_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "WIDE_AT_MOST", 1)
    run = a_run(summary={"loss": 0.5}, labels=("keep",))
    db = rows(run, config={"lr": 1})
    assert list(ask(db, "SELECT * FROM extra JOIN labels USING (id)")[1]) == [(run.id, "metric", "loss", 0.5, "keep")]


def test_a_question_sees_the_data_of_runs() -> None:
    run = a_run(data=(DIGITS,))
    db = rows(run, a_run())
    assert list(ask(db, "SELECT data, split FROM runs ORDER BY data")[1]) == [(None, None), ("digits@v1", "default@v1")]
    db.set_authorizer(None)
    assert list(ask(db, "SELECT * FROM data ORDER BY kind")[1]) == [
        (run.id, "data", "digits", "v1", DIGITS["digest"], ""),
        (run.id, "split", "default", "v1", DEFAULT["digest"], "digits"),
    ]
    db.set_authorizer(None)
    counts = 'SELECT "data"."name", count(*) FROM data JOIN runs USING (id) WHERE "digest" > 1 GROUP BY "dataset"'
    assert list(ask(db, counts)[1]) == [("digits", 1), ("default", 1)]


def test_a_misspelt_name_in_quotes_is_no_text() -> None:
    with pytest.raises(UsageError, match=r"there is no column 'config\.lrr'.*\"config\.lr\""):
        ask(rows(a_run(), config={"lr": 1}), """SELECT 'config.nothing', "config.lrr" FROM runs""")
