"""The holdout log: entries in a chain, those of two clones both counted, and what was cut or changed found."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import blake3
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.data.holdouts import (
    Log,
    anchor_of,
    append,
    before_selection,
    broken_anchors,
    entry_after,
    known_log,
    later_by,
    log_of,
    looks_at,
    selected_at,
    splits_with_log,
)
from gitrepro.data.holdouts.log import Held
from gitrepro.errors import Damaged, StorageError, TooNew, UsageError
from gitrepro.records.holdout import Entry, load_entry
from gitrepro.records.run import RunRecord
from gitrepro.records.split import SplitRecord
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitrefs import move_ref, read_ref
from gitrepro.store.repository import RUNS_REF
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, opened

GOLDEN = Path(__file__).parent.parent / "golden" / "v1" / "holdout"
AT = "2026-01-02T03:04:05.678901Z"
RUN, OTHER = "01kq0000000000000000000001", "01kq0000000000000000000002"
SPLIT = SplitRecord(
    name="default",
    version="v1",
    digest="b3:" + "cd" * 32,
    dataset={"name": "digits", "version": "v1", "digest": "b3:" + "ab" * 32},
    rule={"by": "hash"},
    parts={"train": 80, "test": 20},
)


def said(op: str = "open", **more: Any) -> dict[str, Any]:
    return {"op": op, "split": SPLIT, "part": "test", "identity": ADA, "at": AT, **more}


def chain(*steps: Sequence[int], ops: Sequence[dict[str, Any]] = ()) -> Log:
    """A log whose writers knew of the entries at these places: `chain((), (0,), (0,))` is a fork."""
    held: list[Held] = []
    for at, known in enumerate(steps):
        log = Log(split=SPLIT.digest, held=tuple(held[k] for k in known))
        entry = entry_after(log, **(said() | (ops[at] if at < len(ops) else {})))
        held.append(Held(entry, entry.digest))
    return Log(split=SPLIT.digest, held=tuple(held))


def on_record(repo: Path) -> Log:
    with RunTree(opened(repo)) as tree:
        return log_of(tree, SPLIT.digest)


def put(repo: Path, entry: Entry, data: bytes | None = None) -> None:
    """Commit an entry whatever it says, as another clone or a hand could."""
    files = {entry.path: (data or entry.dump()).decode()}
    enqueue(opened(repo), Pending(kind="holdout", subject=entry.id, line="by hand", files=files))
    fold(opened(repo), identity=ADA)


# -- bytes


def test_an_entry_reads_back_as_it_was_written() -> None:
    entry = entry_after(Log(split=SPLIT.digest), **said(run=RUN, reason=" final score ", detail={"n": 1}))
    assert load_entry(entry.dump(), source="it") == entry
    assert (entry.number, entry.prev, entry.purpose, entry.reason) == (1, (), "confirm", "final score")


@settings(max_examples=25)
@given(
    reason=st.text(max_size=50), runs=st.lists(st.sampled_from([RUN, OTHER])), purpose=st.sampled_from([None, "debug"])
)
def test_any_entry_reads_back(reason: str, runs: list[str], purpose: str | None) -> None:
    entry = entry_after(Log(split=SPLIT.digest), **said(reason=reason, runs=runs, purpose=purpose))
    assert load_entry(entry.dump(), source="it") == entry


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prev", ["not a digest"]),
        ("number", 0),
        ("split", "b3:12"),
        ("runs", ["x"]),
        ("purpose", "fun"),
        ("id", "x"),
        ("part", ""),
    ],
)
def test_an_entry_with_a_field_of_another_shape_is_damaged(field: str, value: Any) -> None:
    entry = entry_after(Log(split=SPLIT.digest), **said())
    with pytest.raises(Damaged):
        load_entry(replace(entry, **{field: value}).dump(), source="it")


def test_an_entry_of_a_later_format_is_too_new() -> None:
    data = entry_after(Log(split=SPLIT.digest), **said()).dump().replace(b"format: 1\n", b"format: 2\n")
    with pytest.raises(TooNew):
        load_entry(data, source="it")


@pytest.mark.parametrize(
    "wrong", [{"op": "peek"}, {"part": "nosuch"}, {"part": "../x"}, {"purpose": "fun"}, {"reason": "x" * 2_001}]
)
def test_what_cannot_be_in_a_log_is_a_usage_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        entry_after(Log(split=SPLIT.digest), **(said() | wrong))


# -- in a repository


def test_entries_are_chained_and_counted(repo: Path) -> None:
    first = append(opened(repo), **said(run=RUN, reason="look"))
    second = append(opened(repo), **said("select", runs=[RUN, OTHER]))
    log = on_record(repo)
    assert [each.id for each in log.entries] == [first.id, second.id]
    assert (second.prev, second.number) == ((first.digest,), 2)
    assert (log.heads, log.troubles, log.concurrent) == ((second.digest,), (), ())
    assert [each.id for each in log.openings] == [first.id]
    with RunTree(opened(repo)) as tree:
        assert splits_with_log(tree) == [SPLIT.digest]


def test_what_the_runs_of_a_choice_see_after_it_is_one_look() -> None:
    choice = said("select", runs=[RUN, OTHER], run=None)
    ops = [choice, said(run=RUN), said(run=OTHER), said(run=None)]
    after = chain((), (0,), (0, 1), (0, 1, 2), ops=ops)
    before = chain((), (0,), (0, 1), ops=[ops[1], choice, ops[2]])
    both = {"chosen": (RUN, OTHER), "own": (RUN, OTHER)}

    assert [each.run for each in later_by(after, "test", **both)] == [OTHER, RUN]
    assert looks_at(after, "test", **both) == 2, "theirs, and that of somebody else"
    assert looks_at(before, "test", **both) == 2, "one of them was before the choice"
    assert looks_at(chain((), (0,), ops=ops[1:]), "test", **both) == 2, "nobody has chosen"


def test_a_repository_without_a_log_has_an_empty_one(repo: Path) -> None:
    assert on_record(repo).entries == ()
    with RunTree(opened(repo)) as tree:
        assert splits_with_log(tree) == []


def test_where_the_run_ref_cannot_be_written_the_entry_waits_and_the_next_one_knows_of_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = repo / ".git" / "gitrepro" / "lock"
    lock.mkdir(parents=True)  # cannot be opened as a file: as where a node may not lock
    first = append(opened(repo), **said())
    assert on_record(repo).entries == ()
    assert known_log(opened(repo), SPLIT.digest).entries == (first,)
    second = append(opened(repo), **said())
    lock.rmdir()
    fold(opened(repo), identity=ADA)
    assert second.prev == (first.digest,)
    assert on_record(repo).entries == (first, second)


def test_where_nothing_can_be_written_nothing_is_added(repo: Path) -> None:
    (repo / ".git" / "gitrepro").write_text("a file where the folder should be")
    with pytest.raises(StorageError):
        append(opened(repo), **said())


def test_two_clones_that_open_at_once_are_both_counted_and_called_concurrent(repo: Path) -> None:
    first = append(opened(repo), **said(reason="before"))
    there = entry_after(
        on_record(repo), **said(reason="in the other clone", identity=Identity(name="Bob", email="b@x"))
    )
    here = append(opened(repo), **said(reason="in this one"))
    put(repo, there)
    log = on_record(repo)
    assert {each.id for each in log.concurrent} == {here.id, there.id}
    assert (len(log.openings), log.troubles) == (3, ())
    assert log.heads == tuple(sorted((here.digest, there.digest)))
    last = append(opened(repo), **said())
    assert (last.prev, last.number) == (log.heads, 3)
    assert log.entries[0] == first


def test_a_pull_merges_the_logs_of_two_clones(repo: Path, cli: Any, git: Any, tmp_path: Path) -> None:
    append(opened(repo), **said(reason="before"))
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repo), str(clone))
    git(clone, "fetch", "--quiet", "origin", f"{RUNS_REF}:{RUNS_REF}")
    append(opened(clone), **said(reason="there"))
    append(opened(repo), **said(reason="here"))
    done = cli("pull", "origin", cwd=clone)
    assert done.returncode == 0, done.stderr
    log = on_record(clone)
    assert log.entries[0].reason == "before"
    assert ({each.reason for each in log.concurrent}, log.troubles) == ({"here", "there"}, ())


# -- what is wrong with it


def removed(repo: Path, entry: Entry) -> None:
    """Rewrite the run ref without an entry, as somebody who wants to hide it would."""
    repository = opened(repo)
    work = repo.parent / "index"
    env = {"GIT_INDEX_FILE": str(work), "PATH": "/usr/bin:/bin"}

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", *args], cwd=repo, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("read-tree", RUNS_REF)
    git("rm", "--quiet", "--cached", entry.path)
    tree = git("write-tree")
    person = ["-c", "user.name=Eve", "-c", "user.email=eve@example.org"]
    commit = git(*person, "commit-tree", tree, "-m", "nothing happened")
    assert move_ref(repository.common_dir, RUNS_REF, old=read_ref(repository.common_dir, RUNS_REF), new=commit)


def test_an_entry_that_was_removed_from_the_middle_is_missed_by_the_next_one(repo: Path) -> None:
    entries = [append(opened(repo), **said(reason=str(each))) for each in range(3)]
    removed(repo, entries[1])
    [trouble] = on_record(repo).troubles
    assert "which is not here" in trouble
    assert entries[2].id[-8:] in trouble


def test_the_last_entry_removed_contradicts_the_runs_that_have_seen_it(repo: Path) -> None:
    entries = [append(opened(repo), **said(reason=str(each))) for each in range(2)]
    run = RunRecord(
        id=RUN, name="x", kind="train", status="finished", started_at=AT, holdouts=(anchor_of(on_record(repo)),)
    )
    assert broken_anchors(on_record(repo), [run]) == ()
    removed(repo, entries[1])
    assert on_record(repo).troubles == ()
    [fault] = broken_anchors(on_record(repo), [run])
    assert "has seen entry" in fault


def test_an_entry_that_was_edited_is_noticed(repo: Path) -> None:
    first = append(opened(repo), **said(reason="I peeked"))
    append(opened(repo), **said())
    removed(repo, first)
    put(repo, replace(first, reason="routine"))
    assert "which is not here" in on_record(repo).troubles[0]


def test_another_number_than_the_chain_gives_is_noticed(repo: Path) -> None:
    put(repo, replace(entry_after(Log(split=SPLIT.digest), **said()), number=7))
    assert "another number" in on_record(repo).troubles[0]


def test_an_entry_of_another_split_does_not_count_here(repo: Path) -> None:
    entry = entry_after(Log(split=SPLIT.digest), **said())
    put(repo, entry, replace(entry, split="b3:" + "ef" * 32).dump())
    log = on_record(repo)
    assert log.entries == ()
    assert "says it is entry" in log.troubles[0]


def test_a_file_that_is_no_entry_is_a_trouble_and_the_others_are_read(repo: Path) -> None:
    entry = append(opened(repo), **said())
    put(repo, replace(entry, id=RUN), b"format: 1\n")
    log = on_record(repo)
    assert log.entries == (entry,)
    assert "cannot be read" in log.troubles[0]


def test_two_entries_of_one_name_are_both_counted_and_told(repo: Path) -> None:
    entry = append(opened(repo), **said())
    put(repo, replace(entry, reason="another"))
    log = on_record(repo)
    assert len(log.openings) == 2
    assert any("2 entries are called" in each for each in log.troubles)


# -- what it says of runs


def test_all_openings_count_before_a_selection_that_is_not_on_record() -> None:
    log = chain((), (0,))
    assert selected_at(log, [RUN]) is None
    assert before_selection(log, [RUN]) == log.entries


def test_openings_after_the_selection_of_all_the_runs_are_no_part_of_it() -> None:
    select = {"op": "select", "runs": [RUN, OTHER]}
    log = chain((), (0,), (1,), ops=[{}, select])
    assert selected_at(log, [RUN]) == selected_at(log, [OTHER, RUN]) == log.entries[1]
    assert before_selection(log, [RUN, OTHER]) == (log.entries[0],)


def test_a_selection_that_names_only_some_of_the_runs_is_none_of_theirs() -> None:
    log = chain((), (0,), ops=[{"op": "select", "runs": [RUN]}])
    assert selected_at(log, [RUN, OTHER]) is None
    assert selected_at(log, []) is None


def test_the_first_selection_counts_and_a_later_one_hides_nothing() -> None:
    select = {"op": "select", "runs": [RUN]}
    log = chain((), (0,), (1,), ops=[select, {}, select])
    assert selected_at(log, [RUN]) == log.entries[0]
    assert before_selection(log, [RUN]) == ()


def test_an_opening_that_did_not_know_of_the_selection_counts_as_before_it() -> None:
    select = {"op": "select", "runs": [RUN]}
    log = chain((), (0,), (0,), (1, 2), ops=[{"op": "budget"}, select])
    assert before_selection(log, [RUN]) == (log.entries[2],)


def test_a_score_of_which_nothing_was_told_is_no_opening() -> None:
    told = {"op": "score", "detail": {"feedback": "ladder"}}
    untold = {"op": "score", "detail": {"feedback": "none"}}
    log = chain((), (0,), (1,), (2,), ops=[{"op": "seal"}, told, untold, {"part": "train"}])
    assert log.openings == (log.entries[1], log.entries[3])
    assert log.openings_of("test") == (log.entries[1],)


@settings(max_examples=40)
@given(data=st.data())
def test_whatever_the_writers_knew_a_log_has_no_troubles_and_counts_them_all(data: Any) -> None:
    steps = [data.draw(st.sets(st.integers(0, at - 1))) if at else set() for at in range(data.draw(st.integers(1, 6)))]
    log = chain(*map(sorted, steps))
    shuffled = Log(split=SPLIT.digest, held=tuple(sorted(log.held, key=lambda each: each.entry.number)))
    assert shuffled.troubles == ()
    assert len(shuffled.openings) == len(steps)
    for at, each in enumerate(log.entries):
        beside = {other.id for k, other in enumerate(log.entries) if k != at}
        later = shuffled.after(each)
        earlier = {other.id for other in log.entries if each.id in shuffled.after(other)}
        assert (each.id in {e.id for e in shuffled.concurrent}) == bool(beside - later - earlier)


# -- tampering, and many at once


def _edits(entry: Entry) -> list[Entry]:
    """The entry with each of its fields changed, to something that reads."""
    other = "b3:" + "0f" * 32
    return [
        replace(entry, **{name: value})
        for name, value in {
            "op": "select", "part": "train", "run": OTHER, "runs": (OTHER,), "purpose": "debug", "reason": "routine",
            "dataset": "mnist", "name": "other", "version": "v9", "at": "2020-01-01", "actor": {"name": "Bob"},
            "detail": {"x": 1}, "number": entry.number + 1, "prev": (other,), "unknown": {"more": 1},
        }.items()
    ]  # fmt: skip


def test_each_field_of_each_entry_that_is_edited_is_found() -> None:
    log = chain((), (0,), (0,), (1, 2), ops=[{"run": RUN}])
    run = RunRecord(id=RUN, name="x", kind="train", status="finished", started_at=AT, holdouts=(anchor_of(log),))
    for at, held in enumerate(log.held):
        for edited in _edits(held.entry):
            forged = [*log.held]
            forged[at] = Held(load_entry(edited.dump(), source="it"), edited.digest)
            found = Log(split=log.split, held=tuple(forged))
            assert found.troubles or broken_anchors(found, [run]), edited


def test_each_entry_that_is_left_out_is_found() -> None:
    log = chain((), (0,), (1,))
    run = RunRecord(id=RUN, name="x", kind="train", status="finished", started_at=AT, holdouts=(anchor_of(log),))
    for at in range(3):
        found = Log(split=log.split, held=log.held[:at] + log.held[at + 1 :])
        assert found.troubles or broken_anchors(found, [run])
    assert broken_anchors(Log(split=log.split), [run])


def test_an_anchor_of_another_shape_breaks_nothing() -> None:
    log = chain(())
    strange: Any = ({"split": log.split, "head": "x", "count": "y", "opened": 3}, {"split": "b3:00"}, "no map")
    run = RunRecord(id=RUN, name="x", kind="train", status="finished", started_at=AT, holdouts=strange)
    assert broken_anchors(log, [run]) == ()


def test_writers_of_one_clone_stand_in_one_line(repo: Path) -> None:
    def write(of: int) -> None:
        for each in range(2):
            append(opened(repo), **said(reason=f"{of}.{each}"))

    writers = [multiprocessing.get_context("fork").Process(target=write, args=(of,)) for of in range(3)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    log = known_log(opened(repo), SPLIT.digest)
    assert [each.number for each in log.entries] == [1, 2, 3, 4, 5, 6]
    assert (log.concurrent, log.troubles, len(log.heads)) == ((), (), 1)


# -- golden files: what a release has written, every later one reads


def test_the_golden_entries_read_and_are_written_again_to_the_same_bytes() -> None:
    for name in ("select", "open"):
        data = (GOLDEN / f"{name}.yaml").read_bytes()
        entry = load_entry(data, source=name)
        assert (entry.op, entry.dump()) == (name, data)


def test_the_golden_entries_are_chained_by_the_hash_of_their_bytes() -> None:
    select, entry = (yaml.safe_load((GOLDEN / f"{name}.yaml").read_bytes()) for name in ("select", "open"))
    assert entry["prev"] == [f"b3:{blake3.blake3((GOLDEN / 'select.yaml').read_bytes()).hexdigest()}"]
    assert (select["prev"], select["number"], entry["number"]) == ([], 1, 2)
