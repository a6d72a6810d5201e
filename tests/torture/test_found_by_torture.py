"""What the torture found once, each as a test of its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gitrepro
from gitrepro.cli.data.numbers import beside
from gitrepro.data.compare import compare
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.errors import Damaged, GitreproError, GitreproWarning, NotFound, StorageError
from gitrepro.records import ids, yaml
from gitrepro.records.dataset import statistics_path
from gitrepro.records.partition import Partition, load_partition
from gitrepro.records.run import RunRecord
from gitrepro.run import commit
from gitrepro.run.compose import compose
from gitrepro.run.recording import begin
from gitrepro.store import catalog, fold, fs, live
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity, queued
from tests.conftest import Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")
AT = "2026-01-01T00:00:00.000000Z"


def dead_run(home: Path, *, rows: int = 3) -> Path:
    """The folder of a run that was killed after some rows."""
    run_id = ids.new_id()
    record = RunRecord(id=run_id, name="dead", kind="train", status="running", started_at="2026-01-01T00:00:00.000000Z")
    config = {"format": 1, "values": {"lr": 0.1}, "sources": {}, "overridden": {}}
    recording = begin(home, record, config=config, environment={"format": 1}, boot_id="boot", supervised=False)
    for step in range(rows):
        recording.journal.row({"loss": step / 4}, step)
    recording.journal.sync()
    recording.journal.close()
    recording.release()
    return recording.folder


def replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("config.yaml", b"0.1", b"0.9"), ("env.yaml", b"format: 1", b"format: 3"), ("start.yaml", b"dead", b"dear")],
)
def test_a_start_file_with_other_bytes_than_were_written_is_told_on_the_record(
    tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    folder = dead_run(tmp_path)
    assert compose(folder, blobs=None).record.losses == ()
    replace(folder / name, old, new)
    [loss] = compose(folder, blobs=None).record.losses
    assert loss["what"] == name


def test_a_start_record_under_another_id_is_damage(tmp_path: Path) -> None:
    folder = dead_run(tmp_path)
    moved = folder.rename(folder.with_name(ids.new_id()))
    with pytest.raises(Damaged, match="says it is run"):
        compose(moved, blobs=None)


def test_a_start_record_that_parses_and_makes_no_sense_is_damage(tmp_path: Path) -> None:
    folder = dead_run(tmp_path)
    replace(folder / "start.yaml", b"T00:00:00", b"T00*00:00")
    with pytest.raises(Damaged, match="does not hold what was written"):
        compose(folder, blobs=None)


def test_a_damaged_run_does_not_keep_the_others_from_recovery(repo: Path) -> None:
    found = repositories.find(repo, {})
    bad, good = dead_run(found.home), dead_run(found.home)
    replace(bad / "start.yaml", b"T00:00:00", b"T00*00:00")
    done = commit.recover(found, identity=IDENTITY)
    assert [record.id for record in done.committed] == [good.name]
    assert [run_id for run_id, _ in done.failed] == [bad.name]
    assert bad.is_dir()


def test_a_run_whose_journal_cannot_be_opened_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def full(path: str, *args: int, **kwargs: int) -> int:
        if "journal." in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="No space"):
        dead_run(tmp_path)
    assert list((tmp_path / "live").iterdir()) == []


def test_a_run_whose_start_is_not_durable_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs.make_directories(tmp_path / "live")

    def refuse(path: Path) -> None:
        if Path(path).name == "live":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fs, "sync_directory", refuse)
    with pytest.raises(OSError, match="Input/output"):
        dead_run(tmp_path)
    assert list((tmp_path / "live").iterdir()) == []


def test_an_adoption_that_was_killed_before_the_original_was_removed_can_be_repeated(
    repo: Path, tmp_path: Path
) -> None:
    found = repositories.find(repo, {})
    outside = dead_run(tmp_path / "state")
    kept = {path.name: path.read_bytes() for path in outside.iterdir()}
    commit.adopt(found, outside, at=AT)
    outside.mkdir()
    for name, data in kept.items():
        (outside / name).write_bytes(data)

    commit.adopt(found, outside, at=AT)

    assert not outside.exists()
    [record] = commit.recover(found, identity=IDENTITY).committed
    assert record.journal["rows"] == 3


def test_an_adoption_onto_less_of_the_same_run_takes_what_is_longer(repo: Path, tmp_path: Path) -> None:
    found = repositories.find(repo, {})
    outside = dead_run(tmp_path / "state", rows=5)
    begun = found.home / "live" / outside.name
    begun.mkdir(parents=True)
    for path in outside.iterdir():
        (begun / path.name).write_bytes(path.read_bytes()[:100])
    commit.adopt(found, outside, at=AT)
    [record] = commit.recover(found, identity=IDENTITY).committed
    assert record.journal["rows"] == 5


def test_a_run_whose_objects_keep_vanishing_is_said_not_to_be_committed(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = repositories.find(repo, {})
    folder = dead_run(found.home)
    real = fold._load

    def pruned(*args: object) -> object:
        git(repo, "prune", "--expire=now")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fold, "_load", pruned)
    with pytest.raises(StorageError, match="not committed"):
        commit.commit_run(found, folder, identity=IDENTITY)
    assert folder.is_dir()
    assert len(queued(found)) == 1
    [(run_id, error)] = commit.recover(found, identity=IDENTITY).failed
    assert run_id == folder.name
    assert isinstance(error, GitreproError)

    monkeypatch.undo()
    assert [record.id for record in commit.recover(found, identity=IDENTITY).committed] == [folder.name]


def test_a_full_disk_at_the_start_costs_the_program_a_warning_and_no_point(
    repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run begins in the state folder under the same id, and is adopted whole."""
    monkeypatch.chdir(repo)
    real = os.open

    def full(path: str, *args: int, **kwargs: int) -> int:
        if "journal." in str(path) and str(repo) in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    with pytest.warns(GitreproWarning):
        run = gitrepro.record()
        run.log({"loss": 0.5})
        run.finish()
    monkeypatch.setattr(os, "open", real)
    found = repositories.find(repo, {})
    state = Path(os.environ["XDG_STATE_HOME"]) / "gitrepro"
    [waiting] = live.live_runs(state)
    commit.adopt(found, waiting.folder, at=AT)
    [record] = commit.recover(found, identity=IDENTITY).committed
    assert (record.id, record.journal["rows"]) == (run.id, 1)


def test_a_folder_that_goes_while_a_recovery_looks_at_it_is_no_fault(repo: Path) -> None:
    """As beside a writer: a folder was listed and has got its name since. A link to nothing is listed and not there."""
    found = repositories.find(repo, {})
    run_id = ids.new_id()
    for place in (found.home / "live" / f".new-{run_id}", found.home / "done" / run_id):
        place.parent.mkdir(parents=True)
        place.symlink_to("gone")
    assert commit.recover(found, identity=IDENTITY).failed == ()


def test_an_id_with_a_control_character_that_is_not_escaped_is_damage() -> None:
    """It was taken, so that one split had two ways to be written, and two names."""
    split = Partition(data=f"b3:{'1' * 64}", ids="path", rule={}, parts={"train": ["a\0b"]})
    assert load_partition(split.dump(), source="here").parts == split.parts
    with pytest.raises(Damaged, match="line 6"):
        load_partition(split.dump().replace(b"\\x00", b"\0"), source="here")


def test_statistics_of_another_shape_are_told_and_keep_no_comparison_from_being_made(repo: Path) -> None:
    found = repositories.find(repo, {})
    versions = []
    for text in ("x\n1\n2\n", "x\n1\n3\n"):
        (repo / "a.csv").write_text(text)
        wish = Wish(path=repo / "a.csv", source="a.csv", name="a", describe=False)
        versions.append(add_dataset(found, wish, identity=IDENTITY, at=AT).record)
    for record, feature in zip(versions, ({"mean": "?"}, [1]), strict=True):
        text = yaml.dump({"algorithm": 1, "features": {"x": feature}, "format": 1})
        path = statistics_path(record.name, record.digest, 1)
        catalog.write_records(found, {path: text}, subject="a", line="a", identity=IDENTITY)
    compared = compare(found, *versions)
    assert compared.moves is None
    assert "features" in compared.unmoved
    assert compared.table
    assert compared.table.rows.any


def test_histograms_so_far_apart_that_no_number_tells_are_not_drawn_beside_each_other() -> None:
    far, tiny = {"counts": [1], "edges": [1e308, 1e308]}, {"counts": [1], "edges": [0.0, 1e-300]}
    assert beside(far, tiny) is None
    assert beside(tiny, tiny)


def test_an_error_that_finds_no_room_to_be_said_is_told_by_the_exit_code(repo: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "gitrepro", "show", "nothing"], cwd=repo, stderr=full)
    assert done.returncode == NotFound.exit_code
