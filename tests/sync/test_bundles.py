"""Runs that travel in a file: the same runs come out, and a file that is wrong changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import Damaged, NotFound, UsageError
from gitrepro.store.annotate import annotate
from gitrepro.store.gitrefs import list_refs, read_ref
from gitrepro.store.repository import CODE_REF, RUNS_REF
from gitrepro.store.runs import RunTree
from gitrepro.sync.bundles import read_bundle, write_bundle
from gitrepro.sync.runs import push
from tests.conftest import Git
from tests.recorded_runs import ADA, commit_file, opened, record_run

AT = "2026-01-02T03:04:05.678901Z"


@pytest.fixture
def other(tmp_path: Path, repo: Path, git: Git) -> Path:
    """A clone of the code, which has none of the runs."""
    git(tmp_path, "clone", "--quiet", "--no-hardlinks", str(repo), "other")
    return tmp_path / "other"


def ids_in(root: Path) -> list[str]:
    with RunTree(opened(root)) as tree:
        return tree.run_ids()


def test_what_is_written_here_is_read_there(repo: Path, other: Path, tmp_path: Path) -> None:
    runs = [record_run(repo) for _ in range(2)]
    annotate(opened(repo), runs[0], "label", "good", identity=ADA, at=AT)

    written = write_bundle(opened(repo), tmp_path / "runs.bundle")
    taken = read_bundle(opened(other), tmp_path / "runs.bundle")

    assert (written.runs, written.events, written.code) == (tuple(runs), 1, False)
    assert written.size_bytes == (tmp_path / "runs.bundle").stat().st_size
    assert (taken.runs, taken.events, taken.rejected) == (tuple(runs), 1, ())
    assert ids_in(other) == runs


def test_two_clones_that_read_each_other_have_equal_trees(repo: Path, other: Path, tmp_path: Path) -> None:
    record_run(repo), record_run(other)
    for source, target in ((repo, other), (other, repo)):
        write_bundle(opened(source), tmp_path / "runs.bundle")
        read_bundle(opened(target), tmp_path / "runs.bundle")

    with RunTree(opened(repo)) as ours, RunTree(opened(other)) as theirs:
        assert ours.tree == theirs.tree
        assert len(ours.run_ids()) == 2


def test_reading_it_again_changes_nothing(repo: Path, other: Path, tmp_path: Path) -> None:
    record_run(repo)
    write_bundle(opened(repo), tmp_path / "runs.bundle")
    read_bundle(opened(other), tmp_path / "runs.bundle")
    tip = read_ref(other / ".git", RUNS_REF)

    assert read_bundle(opened(other), tmp_path / "runs.bundle").runs == ()
    assert read_ref(other / ".git", RUNS_REF) == tip
    assert list_refs(other / ".git", "refs/gitrepro-remotes/") == {}


def test_with_since_a_bundle_holds_only_what_came_later(repo: Path, other: Path, tmp_path: Path, git: Git) -> None:
    record_run(repo)
    write_bundle(opened(repo), tmp_path / "first.bundle")
    since = git(repo, "rev-parse", RUNS_REF)
    later = record_run(repo)

    written = write_bundle(opened(repo), tmp_path / "later.bundle", since=since)

    assert written.runs == (later,)
    with pytest.raises(NotFound, match="goes on from commits"):
        read_bundle(opened(other), tmp_path / "later.bundle")
    for name in ("first", "later"):
        read_bundle(opened(other), tmp_path / f"{name}.bundle")
    assert ids_in(other) == ids_in(repo)


def test_since_a_remote_leaves_out_what_it_was_last_seen_with(repo: Path, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "hub", str(tmp_path / "hub.git"))
    with pytest.raises(UsageError, match="nothing was ever pushed"):
        write_bundle(opened(repo), tmp_path / "runs.bundle", since="hub")
    record_run(repo)
    push(opened(repo), "hub")

    assert write_bundle(opened(repo), tmp_path / "runs.bundle", since="hub").path is None
    assert not (tmp_path / "runs.bundle").exists()
    later = record_run(repo)
    assert write_bundle(opened(repo), tmp_path / "runs.bundle", since="hub").runs == (later,)


def test_code_goes_only_where_somebody_says_so(repo: Path, other: Path, tmp_path: Path, git: Git) -> None:
    commit = commit_file(repo, "model.py", "layers = 3\n")
    record_run(repo)

    write_bundle(opened(repo), tmp_path / "runs.bundle")
    read_bundle(opened(other), tmp_path / "runs.bundle")
    assert read_ref(other / ".git", CODE_REF) is None
    assert write_bundle(opened(repo), tmp_path / "code.bundle", code=True).code
    read_bundle(opened(other), tmp_path / "code.bundle")

    assert git(other, "show", f"{commit}:model.py") == "layers = 3"


def test_a_repository_without_runs_writes_no_file(repo: Path, tmp_path: Path) -> None:
    assert write_bundle(opened(repo), tmp_path / "runs.bundle").path is None
    assert not (tmp_path / "runs.bundle").exists()


def test_a_file_of_yours_is_not_overwritten_and_an_older_bundle_is(repo: Path, tmp_path: Path) -> None:
    record_run(repo)
    with pytest.raises(UsageError, match="no bundle"):
        write_bundle(opened(repo), repo / "train.py")
    with pytest.raises(UsageError, match="a folder"):
        write_bundle(opened(repo), repo)
    for _ in range(2):
        write_bundle(opened(repo), tmp_path / "runs.bundle")

    assert (repo / "train.py").read_text() == 'print("trained")\n'
    assert [path.name for path in tmp_path.iterdir() if "bundle" in path.name] == ["runs.bundle"]


def test_since_nothing_that_is_there_is_refused(repo: Path, tmp_path: Path) -> None:
    for since in ("nowhere", "--all", "HEAD:train.py", ""):
        with pytest.raises(UsageError):
            write_bundle(opened(repo), tmp_path / "runs.bundle", since=since)


def test_a_bundle_that_is_cut_anywhere_changes_nothing(repo: Path, other: Path, tmp_path: Path) -> None:
    record_run(repo)
    write_bundle(opened(repo), tmp_path / "runs.bundle")
    whole = (tmp_path / "runs.bundle").read_bytes()
    for length in (0, 10, 30, 90, len(whole) // 2, len(whole) - 25, len(whole) - 1):
        (tmp_path / "cut.bundle").write_bytes(whole[:length])
        with pytest.raises(Damaged):
            read_bundle(opened(other), tmp_path / "cut.bundle")
        assert list_refs(other / ".git", "refs/gitrepro") == {}

    assert len(read_bundle(opened(other), tmp_path / "runs.bundle").runs) == 1


def test_a_flipped_bit_changes_nothing(repo: Path, other: Path, tmp_path: Path) -> None:
    record_run(repo)
    write_bundle(opened(repo), tmp_path / "runs.bundle")
    data = bytearray((tmp_path / "runs.bundle").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "runs.bundle").write_bytes(data)

    with pytest.raises(Damaged):
        read_bundle(opened(other), tmp_path / "runs.bundle")
    assert read_ref(other / ".git", RUNS_REF) is None


def test_what_is_no_bundle_is_said(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes\n")
    with pytest.raises(NotFound):
        read_bundle(opened(repo), tmp_path / "nothing.bundle")
    with pytest.raises(NotFound):
        read_bundle(opened(repo), tmp_path)
    with pytest.raises(Damaged, match="no bundle"):
        read_bundle(opened(repo), tmp_path / "notes.txt")


def test_a_bundle_touches_none_of_your_branches(repo: Path, other: Path, tmp_path: Path, git: Git) -> None:
    """One that somebody made by hand, with a branch and a tag in it."""
    record_run(repo)
    git(repo, "branch", "evil")
    git(repo, "tag", "result/evil")
    git(repo, "bundle", "create", "--quiet", str(tmp_path / "all.bundle"), "--all")
    before = git(other, "for-each-ref", "refs/heads", "refs/tags", "refs/remotes")

    assert len(read_bundle(opened(other), tmp_path / "all.bundle").runs) == 1
    assert git(other, "for-each-ref", "refs/heads", "refs/tags", "refs/remotes") == before


def test_a_bad_record_in_a_bundle_is_left_out_and_named(repo: Path, other: Path, tmp_path: Path) -> None:
    good = record_run(repo)
    bad = record_run(repo, files={"metrics.parquet": b"this is no table"})
    write_bundle(opened(repo), tmp_path / "runs.bundle")

    taken = read_bundle(opened(other), tmp_path / "runs.bundle")

    assert ids_in(other) == [good]
    assert [bad in each.path for each in taken.rejected] == [True]
