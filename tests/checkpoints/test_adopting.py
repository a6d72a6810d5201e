"""Checkpoints that a framework writes: hashed where they lie, watched until the end, copied where that is wanted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitrepro.checkpoints import reading
from gitrepro.checkpoints.saving import Saver
from gitrepro.errors import UsageError
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.trees import read_tree

from .conftest import Told


@pytest.fixture
def written(tmp_path: Path) -> Path:
    torch = pytest.importorskip("torch")
    folder = tmp_path / "out" / "checkpoint-500"
    folder.mkdir(parents=True)
    torch.save({"w": torch.ones(300_000)}, folder / "pytorch_model.bin")
    (folder / "trainer_state.json").write_text("{}")
    return folder


def test_a_file_is_named_by_its_bytes_and_nothing_is_copied(
    written: Path, store: BlobStore, saver: Saver, told: Told
) -> None:
    path = written / "pytorch_model.bin"
    saver.adopt(path, step=500, metric=("eval_loss", "min"), value=0.25)
    saver.wait()

    assert told.last["blob"] == digest_of([path.read_bytes()])
    assert (told.last["path"], told.last["format"], told.last["size_bytes"]) == (str(path), "file", path.stat().st_size)
    assert told.standing == [(500, ["best", "kept", "last"])]
    assert list(store.names()) == []
    assert reading.from_file(path, expected=told.last["blob"], map_location="cpu").state["model"]["w"].sum() == 300_000


def test_a_folder_is_named_by_its_tree(written: Path, store: BlobStore, saver: Saver, told: Told) -> None:
    saver.adopt(written, step=500)
    saver.wait()

    tree = read_tree(store, told.last["blob"])
    assert (tree.files, told.last["files"], told.last["size_bytes"]) == (2, 2, tree.size_bytes)
    assert digest_of([(written / "pytorch_model.bin").read_bytes()]) not in store


def test_a_copy_stays_when_the_file_goes(written: Path, store: BlobStore, saver: Saver, told: Told) -> None:
    path = written / "pytorch_model.bin"
    data = path.read_bytes()
    saver.adopt(path, copy=True)
    saver.wait()
    path.unlink()
    saver.close()

    assert store.get(told.last["blob"]) == data
    assert "path" not in told.last
    assert told.of("lost") == told.of("checkpoint_dropped") == []


def test_a_copied_folder_has_all_its_files_in_the_store(
    written: Path, store: BlobStore, saver: Saver, told: Told
) -> None:
    saver.adopt(written, copy=True)
    saver.wait()

    assert digest_of([(written / "pytorch_model.bin").read_bytes()]) in store


def test_a_file_that_was_changed_afterwards_is_told_at_the_end(written: Path, saver: Saver, told: Told) -> None:
    saver.adopt(written)
    saver.wait()
    (written / "trainer_state.json").write_text("[]")
    saver.close()

    assert "changed after it was put on record" in told.of("lost")[0]["why"]


def test_a_change_that_hides_behind_the_old_time_is_told_too(written: Path, saver: Saver, told: Told) -> None:
    path = written / "trainer_state.json"
    saver.adopt(path)
    saver.wait()
    before = path.stat()
    path.write_text("[]")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    saver.close()

    assert told.of("lost")


def test_a_file_that_its_framework_has_removed_is_off_the_record(written: Path, saver: Saver, told: Told) -> None:
    saver.adopt(written / "pytorch_model.bin", step=1)
    saver.save(model={"w": __import__("numpy").ones(2)}, step=2)
    saver.wait()
    (written / "pytorch_model.bin").unlink()
    saver.close()

    assert told.standing == [(2, ["last"])]
    assert told.of("lost") == []


def test_what_stays_as_it_was_is_not_mentioned(written: Path, saver: Saver, told: Told) -> None:
    saver.adopt(written)
    saver.close()

    assert (told.of("lost"), told.of("checkpoint_dropped"), told.warnings) == ([], [], [])


def test_what_replaces_an_adopted_one_does_not_remove_it(written: Path, saver: Saver, told: Told) -> None:
    path = written / "pytorch_model.bin"
    saver.adopt(path, step=1, metric=("val/loss", "min"), value=2.0)
    saver.adopt(written / "trainer_state.json", step=2, metric=("val/loss", "min"), value=1.0)
    saver.wait()

    assert path.exists()
    assert told.standing == [(1, ["kept"]), (2, ["best", "kept", "last"])]


@pytest.mark.parametrize("path", ["gone.pt", 3, None])
def test_a_path_that_is_none_is_told_at_once(path: object, saver: Saver, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        saver.adopt(tmp_path / path if isinstance(path, str) else path)  # type: ignore[arg-type]


def test_a_pipe_in_a_folder_is_not_waited_for(written: Path, saver: Saver, told: Told) -> None:
    os.mkfifo(written / "pipe")
    saver.adopt(written)
    saver.wait()

    assert told.of("checkpoint") == []
    assert "pipe" in told.of("lost")[0]["why"]
