"""The fold: all that is queued becomes one commit; any step may be cut, repeated, or met by another writer."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gitrepro.errors import StorageError
from gitrepro.records import ids
from gitrepro.records.run import run_path
from gitrepro.store import fold as folding
from gitrepro.store import repository as repositories
from gitrepro.store import rescue
from gitrepro.store.fold import Identity, Pending, enqueue, fold, queued
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.gitrefs import move_ref, read_ref
from gitrepro.store.repository import CODE_REF, RUNS_REF, Repository
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def run_entry(found: Repository, text: str, *, run_id: str = "", code: str = "", journal: str = "b3:1") -> Pending:
    """A queue entry of a run that consists of one file."""
    run_id = run_id or ids.new_id()
    record = f'id: "{run_id}"\njournal:\n  digest: "{journal}"\ntext: "{text}"\n'.encode()
    with GitObjects(found.common_dir) as objects:
        [blob] = objects.write([("blob", record)])
        [tree] = objects.write([("tree", encode_tree({"run.yaml": Entry(FILE_MODE, blob)}))])
    return Pending(
        kind="run",
        subject=run_id,
        line=f"run {text}",
        trees={run_path(run_id): tree},
        code=[code] if code else [],
        journal=journal,
    )


def event(name: str, text: str = "a note") -> Pending:
    return Pending(kind="event", subject=name, line=text, files={f"events/{name}.yaml": text})


def files(git: Git, repo: Path) -> list[str]:
    return git(repo, "ls-tree", "-r", "--name-only", RUNS_REF).splitlines()


def test_everything_queued_becomes_one_commit(found: Repository, repo: Path, git: Git) -> None:
    runs = [run_entry(found, text) for text in ("one", "two")]
    for pending in runs:
        enqueue(found, pending)

    folded = fold(found, identity=IDENTITY)

    assert folded.commit == git(repo, "rev-parse", RUNS_REF)
    assert git(repo, "rev-list", "--count", RUNS_REF) == "1"
    assert files(git, repo) == ["format.yaml", *sorted(f"{run_path(run.subject)}/run.yaml" for run in runs)]
    assert queued(found) == []
    assert git(repo, "log", "-1", "--format=%an <%ae>%n%s", RUNS_REF).splitlines() == [
        "Ada Lovelace <ada@example.org>",
        "gitrepro: 2 runs",
    ]
    assert git(repo, "fsck", "--no-dangling") == ""


def test_a_fold_with_nothing_queued_writes_nothing(found: Repository, repo: Path) -> None:
    assert fold(found, identity=IDENTITY).commit is None
    assert not found.home.exists()


def test_folding_the_same_run_again_changes_nothing(found: Repository, repo: Path, git: Git) -> None:
    pending = run_entry(found, "one")
    commits = []
    for _ in range(3):
        enqueue(found, pending)
        fold(found, identity=IDENTITY)
        commits.append(git(repo, "rev-parse", RUNS_REF))
    assert len({*commits}) == 1
    assert queued(found) == []


def test_a_run_composed_otherwise_from_the_same_journal_is_the_run_that_is_there(found: Repository, git: Git) -> None:
    run_id = ids.new_id()
    for text in ("as it was", "as a newer version would have it"):
        enqueue(found, run_entry(found, text, run_id=run_id))
        assert fold(found, identity=IDENTITY).conflicts == ()
    assert len([path for path in files(git, found.git_dir) if run_id in path]) == 1


def test_other_bytes_at_the_same_path_are_kept_beside_it_and_told(found: Repository, git: Git) -> None:
    run_id = ids.new_id()
    enqueue(found, run_entry(found, "one", run_id=run_id, journal="b3:1"))
    fold(found, identity=IDENTITY)
    enqueue(found, run_entry(found, "other", run_id=run_id, journal="b3:2"))

    folded = fold(found, identity=IDENTITY)

    assert folded.conflicts == (run_path(run_id),)
    kept = [path for path in files(git, found.git_dir) if run_id in path]
    assert len(kept) == 2
    assert {"one" in git(found.git_dir, "show", f"{RUNS_REF}:{path}") for path in kept} == {True, False}


@pytest.mark.parametrize("bad", [b"", b"\0\xff", b"format: 1\n", b'kind: "run"\nunknown: "field"\n', b"- a\n"])
def test_an_entry_that_cannot_be_used_holds_nobody_up(found: Repository, git: Git, bad: bytes) -> None:
    pending = run_entry(found, "good")
    enqueue(found, pending)
    name = f"run.{ids.new_id()}.yaml"
    (found.home / "queue" / name).write_bytes(bad)

    folded = fold(found, identity=IDENTITY)

    assert folded.unusable == (name,)
    assert f"{run_path(pending.subject)}/run.yaml" in files(git, found.git_dir)
    assert queued(found) == [name], "it is kept for people to look at"


def test_an_entry_whose_objects_were_pruned_is_told_and_kept(found: Repository, repo: Path, git: Git) -> None:
    gone, good = run_entry(found, "gone"), run_entry(found, "good")
    enqueue(found, gone)
    git(repo, "prune", "--expire=now")
    with GitObjects(found.common_dir) as objects:
        objects.write([("blob", b"unrelated")])
    good = run_entry(found, "good")
    enqueue(found, good)

    folded = fold(found, identity=IDENTITY)

    assert [entry.subject for entry in folded.entries] == [good.subject]
    assert folded.unusable == (f"run.{gone.subject}.yaml",)
    assert git(repo, "fsck", "--no-dangling") == ""


def test_a_ref_that_moves_meanwhile_is_folded_onto(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(found, event("first"))
    fold(found, identity=IDENTITY)
    first = git(repo, "rev-parse", RUNS_REF)
    other = git(repo, "commit-tree", "-p", first, "-m", "another program", f"{first}^{{tree}}")
    moved: list[str] = []

    def overtaken(common_dir: Path, ref: str, *, old: str | None, new: str) -> bool:
        if not moved:
            moved.append(git(repo, "update-ref", RUNS_REF, other))
        return move_ref(common_dir, ref, old=old, new=new)

    monkeypatch.setattr(folding, "move_ref", overtaken)
    enqueue(found, event("second"))
    fold(found, identity=IDENTITY)

    assert git(repo, "rev-parse", f"{RUNS_REF}^") == other
    assert files(git, repo) == ["events/first.yaml", "events/second.yaml", "format.yaml"]


def test_a_ref_is_moved_only_from_where_it_was_seen(found: Repository, repo: Path, git: Git) -> None:
    head = git(repo, "rev-parse", "HEAD")
    assert not move_ref(found.common_dir, RUNS_REF, old=head, new=head)
    assert move_ref(found.common_dir, RUNS_REF, old=None, new=head)
    assert not move_ref(found.common_dir, RUNS_REF, old=None, new=head)
    assert read_ref(found.common_dir, RUNS_REF) == head


def test_a_packed_ref_is_read_and_moved_on(found: Repository, repo: Path, git: Git) -> None:
    enqueue(found, event("first"))
    fold(found, identity=IDENTITY)
    git(repo, "pack-refs", "--all")
    assert not (found.common_dir / RUNS_REF).exists()

    enqueue(found, event("second"))
    fold(found, identity=IDENTITY)

    assert git(repo, "rev-list", "--count", RUNS_REF) == "2"


@pytest.mark.parametrize("ref", [RUNS_REF, CODE_REF])
def test_the_lock_that_a_killed_writer_left_is_cleared(found: Repository, repo: Path, git: Git, ref: str) -> None:
    lock = found.common_dir / f"{ref}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    enqueue(found, run_entry(found, "one", code=git(repo, "rev-parse", "HEAD")))
    fold(found, identity=IDENTITY)
    assert not lock.exists()
    assert len(files(git, repo)) == 2


def test_another_holder_of_our_lock_is_waited_for_and_then_named(found: Repository) -> None:
    enqueue(found, event("first"))
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import fcntl, time; f = open({str(found.home / 'lock')!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX);"
            "print('held', flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    holder.stdout.readline()
    with pytest.raises(StorageError, match="is locked"):
        fold(found, identity=IDENTITY, timeout_seconds=0.1)
    assert len(queued(found)) == 1
    holder.kill()
    holder.wait()
    assert fold(found, identity=IDENTITY, timeout_seconds=10).commit


def test_who_waits_goes_on_once_another_has_committed_its_entry(found: Repository) -> None:
    enqueue(found, event("first"))
    hold = (
        "import fcntl, pathlib, sys; home = pathlib.Path(sys.argv[1]); f = open(home / 'lock', 'w');"
        "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.readline();"
        "[entry.unlink() for entry in (home / 'queue').iterdir()]; sys.stdin.read()"
    )
    argv = [sys.executable, "-c", hold, str(found.home)]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdin and holder.stdout
    holder.stdout.readline()
    with pytest.raises(StorageError, match="is locked"):
        fold(found, identity=IDENTITY, timeout_seconds=0.1)
    holder.stdin.write(b"done\n")
    holder.stdin.flush()

    assert fold(found, identity=IDENTITY, timeout_seconds=30).commit is None  # the lock is still held
    assert holder.poll() is None
    holder.communicate()


def test_the_code_of_runs_outlives_a_rebase_and_a_gc(found: Repository, repo: Path, git: Git) -> None:
    (repo / "train.py").write_text("print(2)\n")
    git(repo, "commit", "--quiet", "-am", "second")
    recorded = git(repo, "rev-parse", "HEAD")
    enqueue(found, run_entry(found, "one", code=recorded))
    fold(found, identity=IDENTITY)
    git(repo, "reset", "--quiet", "--hard", "HEAD^")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "--quiet", "--prune=now")
    assert git(repo, "show", f"{recorded}:train.py") == "print(2)"


def test_code_that_is_kept_already_is_not_named_again(found: Repository, repo: Path, git: Git) -> None:
    head = git(repo, "rev-parse", "HEAD")
    for text in ("one", "two"):
        enqueue(found, run_entry(found, text, code=head))
        fold(found, identity=IDENTITY)
    assert git(repo, "rev-list", "--count", "--first-parent", CODE_REF) == "2", "the code commit and the recorded one"


def test_it_works_in_a_linked_worktree_a_detached_head_and_an_unborn_branch(
    repo: Path, git: Git, tmp_path: Path
) -> None:
    git(repo, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    git(tmp_path, "init", "--quiet", "unborn")
    for place, common in ((tmp_path / "linked", repo / ".git"), (tmp_path / "unborn", tmp_path / "unborn" / ".git")):
        found = repositories.find(place, {})
        assert found.common_dir == common
        enqueue(found, run_entry(found, "one"))
        fold(found, identity=IDENTITY)
        assert len(files(git, place)) == 2
        assert git(place, "status", "--porcelain") == ""


def test_a_commit_message_holds_no_line_that_a_record_made_up(found: Repository, git: Git) -> None:
    enqueue(found, Pending(kind="event", subject="x", line="one\n\nGitrepro-Run: forged", files={"a": "b"}))
    fold(found, identity=Identity(name="A\nauthor <x>", email="a>b\0"))
    text = git(found.git_dir, "log", "-1", "--format=%B", RUNS_REF)
    assert text.splitlines()[0] == "one  Gitrepro-Run: forged"
    assert git(found.git_dir, "fsck", "--no-dangling") == ""


def test_writers_of_eight_processes_lose_nothing(found: Repository, repo: Path, git: Git) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from gitrepro.store import repository
        from gitrepro.store.fold import Identity, Pending, enqueue, fold
        found = repository.find(Path(sys.argv[1]), {})
        for number in range(10):
            name = f"{sys.argv[2]}-{number}"
            enqueue(found, Pending(kind="event", subject=name, line=name, files={f"events/{name}": name}))
            fold(found, identity=Identity(name="A", email="a"))
    """)
    writers = [subprocess.Popen([sys.executable, "-c", program, str(repo), str(number)]) for number in range(8)]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert len(files(git, repo)) == 81
    assert git(repo, "fsck", "--no-dangling") == ""


# -- a gc beside us


def a_gc(found: Repository) -> Path:
    """What Git leaves while `git gc` runs: here this very process says that it is one."""
    path = found.common_dir / "gc.pid"
    path.write_text(f"{os.getpid()} {os.uname().nodename}")
    return path


def test_what_a_running_gc_takes_of_a_commit_comes_back(
    found: Repository, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gc looked at the refs before the commit, and prunes after it: here everything we just wrote."""
    pid = a_gc(found)
    monkeypatch.setattr(rescue, "PATIENCE_SECONDS", 0.0)
    before = set((repo / ".git" / "objects").glob("??/*"))
    enqueue(found, run_entry(found, "one", code=git(repo, "rev-parse", "HEAD")))
    fold(found, identity=IDENTITY)
    for path in set((repo / ".git" / "objects").glob("??/*")) - before:
        path.unlink()
    pid.unlink()

    enqueue(found, event("next"))
    fold(found, identity=IDENTITY)

    assert git(repo, "fsck", "--no-dangling") == ""
    assert len(files(git, repo)) == 3


def test_the_pid_file_of_a_dead_gc_stands_for_none(found: Repository) -> None:
    a_gc(found)
    assert rescue.running_gc(found)
    dead = subprocess.Popen(["true"])
    dead.wait()
    (found.common_dir / "gc.pid").write_text(f"{dead.pid} {os.uname().nodename}")
    assert rescue.running_gc(found) is None


def test_a_damaged_rescue_file_blocks_nothing(found: Repository) -> None:
    (found.home / "rescue").mkdir(parents=True)
    (found.home / "rescue" / "11-0").write_bytes(b"gRo1garbage")
    enqueue(found, run_entry(found, "one"))
    assert fold(found, identity=IDENTITY).commit
    assert not (found.home / "rescue" / "11-0").exists()
