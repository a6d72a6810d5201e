"""What a prune took that looked before a commit: kept for a while, and written again by whoever meets the gap."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import gitrepro
from gitrepro.errors import Damaged, NotFound
from gitrepro.records import ids, yaml
from gitrepro.records.run import load_run, run_path
from gitrepro.run import commit
from gitrepro.store import repository as repositories
from gitrepro.store import rescue
from gitrepro.store.fold import Identity, Pending, enqueue, fold
from gitrepro.store.gitobjects import GitObjects, name_of
from gitrepro.store.gitrefs import move_ref, read_ref
from gitrepro.store.index import Index
from gitrepro.store.repository import CODE_REF, RUNS_REF, Repository
from gitrepro.store.runs import RunTree
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def note(found: Repository, text: str) -> None:
    """Commit one more fact."""
    enqueue(found, Pending(kind="event", subject=text, line=text, files={f"events/{text}.yaml": text}))
    fold(found, identity=IDENTITY)


def prune_as_if_it_had_looked_before(found: Repository, git: Git) -> None:
    """What a prune leaves that read the refs before we moved them: the refs, and none of their objects."""
    refs = {ref: read_ref(found.common_dir, ref) for ref in (RUNS_REF, CODE_REF)}
    for ref in refs:
        git(found.common_dir, "update-ref", "-d", ref)
    git(found.common_dir, "prune", "--expire=now")
    for ref, tip in refs.items():
        assert tip is None or move_ref(found.common_dir, ref, old=None, new=tip)


def copies(found: Repository) -> list[Path]:
    return sorted((found.home / "rescue").glob("*"))


def drop_copies(found: Repository) -> None:
    for path in copies(found):
        path.unlink()


def recorded(repo: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A finished run on record; its id."""
    monkeypatch.chdir(repo)
    with gitrepro.record(config={"lr": 0.1}, seed=7) as run:
        run.log({"loss": 0.5}, step=1)
    return run.id


def test_the_next_fold_brings_back_the_trees_it_grafts_onto(found: Repository, repo: Path, git: Git) -> None:
    note(found, "first")
    prune_as_if_it_had_looked_before(found, git)
    note(found, "second")
    assert git(repo, "fsck", "--no-dangling") == ""
    assert "events/first.yaml" in git(repo, "ls-tree", "-r", "--name-only", RUNS_REF)


def test_without_the_copies_the_fold_says_what_is_gone_and_keeps_its_entry(found: Repository, git: Git) -> None:
    note(found, "first")
    prune_as_if_it_had_looked_before(found, git)
    drop_copies(found)
    with pytest.raises(NotFound, match="gitrepro recover"):
        note(found, "second")
    assert len(list((found.home / "queue").iterdir())) == 1


def test_a_listing_brings_back_what_it_reads(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    prune_as_if_it_had_looked_before(found, git)
    with Index(found) as index:
        assert index.ids(where="removed = 0") == [run_id]
    assert git(repo, "fsck", "--no-dangling") == ""


def test_a_listing_brings_back_a_record_of_which_only_the_blob_is_gone(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    blob = git(repo, "rev-parse", f"{RUNS_REF}:{run_path(run_id)}/run.yaml")
    (found.common_dir / "objects" / blob[:2] / blob[2:]).unlink()
    with Index(found) as index:
        assert index.troubles() == {}
        assert index.ids(where="removed = 0") == [run_id]


def test_a_reader_of_one_run_brings_it_back(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    prune_as_if_it_had_looked_before(found, git)
    with RunTree(found) as tree:
        assert tree.run(run_id).id == run_id


def test_recover_brings_back_what_nobody_has_met(found: Repository, repo: Path, git: Git) -> None:
    note(found, "first")
    prune_as_if_it_had_looked_before(found, git)
    commit.recover(found, identity=IDENTITY)
    assert git(repo, "fsck", "--no-dangling") == ""


def test_without_copies_the_files_of_a_run_are_composed_from_its_journal(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    tree = git(repo, "rev-parse", f"{RUNS_REF}:{run_path(run_id)}")
    lost = [tree, *git(repo, "ls-tree", "--format=%(objectname)", tree).split()]
    for oid in lost:
        (found.common_dir / "objects" / oid[:2] / oid[2:]).unlink()
    drop_copies(found)
    with Index(found) as index:
        assert index.troubles()

    commit.recover(found, identity=IDENTITY)

    assert git(repo, "fsck", "--no-dangling") == ""
    with Index(found) as index:
        assert index.troubles() == {}
        assert index.ids(where="removed = 0") == [run_id]


def test_what_neither_copies_nor_journals_hold_is_damage_that_says_what_mends_it(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(repo, monkeypatch)
    prune_as_if_it_had_looked_before(found, git)
    drop_copies(found)
    (found.home / "live" / ids.new_id()).mkdir(parents=True)
    with pytest.raises(Damaged, match="names what is gone") as told:
        commit.recover(found, identity=IDENTITY)
    assert "gitrepro recover" in told.value.do


@contextmanager
def nothing_can_be_written() -> Iterator[None]:
    """By a limit on files, which binds root too."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_who_may_only_read_reads_the_copy(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    prune_as_if_it_had_looked_before(found, git)
    with nothing_can_be_written(), RunTree(found) as tree:
        assert tree.run(run_id).id == run_id


def test_who_may_only_read_is_told_what_is_missing_and_what_mends_it(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = recorded(repo, monkeypatch)
    prune_as_if_it_had_looked_before(found, git)
    drop_copies(found)
    with (
        nothing_can_be_written(),
        RunTree(found) as tree,
        pytest.raises(NotFound, match="gitrepro recover"),
    ):
        tree.run(run_id)


# -- the copies


def test_copies_go_into_one_file_for_each_minute_and_old_ones_are_let_go_of(found: Repository) -> None:
    for minute in range(40):
        rescue.keep(found, {name_of("blob", b"x"): ("blob", b"x")}, now=60.0 * minute)
        rescue.let_go(found, now=60.0 * minute)
    assert len(copies(found)) == rescue.KEPT_MINUTES + 1


def test_old_copies_are_let_go_of_only_when_all_they_hold_is_there(found: Repository, repo: Path, git: Git) -> None:
    oid = name_of("blob", b"taken")
    rescue.keep(found, {oid: ("blob", b"taken")}, now=0.0)
    rescue.let_go(found, now=86400.0)
    assert git(repo, "cat-file", "blob", oid) == "taken"
    assert copies(found) == []


def test_copies_outlive_a_gc_that_still_runs(found: Repository) -> None:
    rescue.keep(found, {name_of("blob", b"x"): ("blob", b"x")}, now=0.0)
    (found.common_dir / "gc.pid").write_text(f"{os.getpid()} {os.uname().nodename}")
    rescue.let_go(found, now=86400.0)
    assert len(copies(found)) == 1


def test_a_clock_that_was_set_back_leaves_no_copies_for_ever(found: Repository) -> None:
    rescue.keep(found, {name_of("blob", b"x"): ("blob", b"x")}, now=1e9)
    rescue.let_go(found, now=0.0)
    assert copies(found) == []


@pytest.mark.parametrize("cut", [1, 20, 30])
def test_a_torn_copy_costs_only_itself(found: Repository, cut: int) -> None:
    contents = [b"one", b"gRo1 is in this one", b"three"]
    names = [name_of("blob", data) for data in contents]
    rescue.keep(found, {names[0]: ("blob", contents[0])}, now=0.0)
    [path] = copies(found)
    path.write_bytes(path.read_bytes()[:-cut])
    for oid, data in zip(names[1:], contents[1:], strict=True):
        rescue.keep(found, {oid: ("blob", data)}, now=0.0)

    rescue.bring_back(found)

    with GitObjects(found.common_dir) as objects:
        assert [objects.has(oid) for oid in names] == [False, True, True]


def test_a_copy_with_other_bytes_is_no_copy(found: Repository) -> None:
    oid = name_of("blob", b"right")
    rescue.keep(found, {oid: ("blob", b"wrong")}, now=0.0)
    assert rescue.bring_back(found) == 0


def test_names_of_strangers_among_the_copies_are_left_alone(found: Repository) -> None:
    (found.home / "rescue").mkdir(parents=True)
    for name in ("notes", ".hidden", "x-1"):
        (found.home / "rescue" / name).write_bytes(b"garbage")
    assert rescue.bring_back(found) == 0
    rescue.let_go(found, now=1e9)
    assert len(copies(found)) == 3


def test_copies_that_cannot_be_kept_stop_no_commit(found: Repository, repo: Path, git: Git) -> None:
    found.home.mkdir()
    (found.home / "rescue").write_text("a file where the folder would be")
    note(found, "first")
    assert git(repo, "fsck", "--no-dangling") == ""


# -- the code of a run that still goes on


def test_the_code_of_a_dirty_run_outlives_a_prune_while_it_runs(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "train.py").write_text("print('edited')\n")
    monkeypatch.chdir(repo)
    with gitrepro.record(seed=7) as run:
        git(repo, "prune", "--expire=now")
    with RunTree(found) as tree:
        record = tree.run(run.id)
    assert record.code
    assert git(repo, "show", f"{record.code['snapshot']}:train.py") == "print('edited')"
    assert record.losses == ()


def test_a_snapshot_that_a_prune_took_is_brought_back_from_its_copy(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "train.py").write_text("print('edited')\n")
    monkeypatch.chdir(repo)
    with gitrepro.record(seed=7) as run:
        prune_as_if_it_had_looked_before(found, git)
    with RunTree(found) as tree:
        record = tree.run(run.id)
    assert record.code
    assert git(repo, "show", f"{record.code['snapshot']}:train.py") == "print('edited')"
    assert git(repo, "fsck", "--no-dangling") == ""


def test_code_that_is_gone_for_good_is_a_loss_on_record(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo / "train.py").write_text("print('edited')\n")
    monkeypatch.chdir(repo)
    with gitrepro.record(seed=7) as run:
        git(repo, "update-ref", "-d", CODE_REF)
        git(repo, "prune", "--expire=now")
        drop_copies(found)
    text = git(repo, "show", f"{RUNS_REF}:{run_path(run.id)}/run.yaml")
    record = load_run(text.encode() + b"\n", source="run.yaml")
    [loss] = record.losses
    assert loss["kind"] == "code"
    assert record.code
    assert record.code["snapshot"][:12] in loss["what"]
    assert record.status == "finished"
    assert yaml.load((found.home / "done" / run.id / "lost.yaml").read_bytes())["losses"] == [loss]


def test_a_real_prune_beside_eight_writers_costs_nothing(found: Repository, repo: Path, git: Git) -> None:
    program = (
        "import sys; from pathlib import Path; from gitrepro.store import repository\n"
        "from gitrepro.store.fold import Identity, Pending, enqueue, fold\n"
        "found = repository.find(Path(sys.argv[1]), {})\n"
        "for number in range(10):\n"
        "    name = f'{sys.argv[2]}-{number}'\n"
        "    enqueue(found, Pending(kind='event', subject=name, line=name, files={f'events/{name}': name}))\n"
        "    fold(found, identity=Identity(name='A', email='a'))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(repo), str(number)]) for number in range(8)]
    while any(writer.poll() is None for writer in writers):
        subprocess.run(["git", "prune", "--expire=now"], cwd=repo, capture_output=True)
    commit.recover(found, identity=IDENTITY)
    assert [writer.returncode for writer in writers] == [0] * 8
    assert git(repo, "fsck", "--no-dangling") == ""
    assert len(git(repo, "ls-tree", "-r", "--name-only", RUNS_REF).splitlines()) == 81


@pytest.mark.parametrize("name", ["", "x" * 40, "../../config", "ab" * 19 + "g0"])
def test_nothing_was_kept_under_the_name_of_no_object(found: Repository, name: str) -> None:
    note(found, "one")

    assert rescue.restorer(found)(name) is None
