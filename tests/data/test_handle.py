"""A version as a program uses it: where its bytes come from, and that they are the right ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gitrepro.data import open_dataset
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.handle import RowNumbers
from gitrepro.errors import Ambiguous, Damaged, GitreproError, NotAvailable, NotFound, UsageError
from gitrepro.records.dataset import DatasetRecord
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity
from gitrepro.store.place import store_of
from gitrepro.store.repository import Repository
from tests.conftest import Git

ADA = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


@pytest.fixture
def data(repo: Path) -> Path:
    for name in ("a/1.bin", "a/2.bin", "b/3.bin", "top.bin"):
        (repo / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / "data" / name).write_bytes(name.encode() * 50)
    return repo / "data"


def add(found: Repository, path: Path, name: str = "digits", **options) -> DatasetRecord:
    source = options.pop("source", str(path))
    wish = Wish(path=path, source=source, name=name, **{"describe": False, **options})
    return add_dataset(found, wish, identity=ADA, at="2026-03-04T05:06:07.000008Z").record


def same(one: Path, two: Path) -> bool:
    names = [sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file()) for root in (one, two)]
    return names[0] == names[1] and all((one / name).read_bytes() == (two / name).read_bytes() for name in names[0])


def test_data_that_lie_unchanged_are_used_where_they_lie(found, data):
    add(found, data)
    dataset = open_dataset(found, "digits")

    assert (dataset.path, dataset.checked, dataset.remarks) == (data, "stat", ())
    assert not (found.home / "data").exists()


@pytest.mark.parametrize("check", ["stat", "sample", "full"])
def test_data_that_changed_are_laid_out_from_the_store(found, data, tmp_path, check):
    original = shutil.copytree(data, tmp_path / "original")
    add(found, data)
    (data / "a" / "1.bin").write_bytes(b"edited")
    dataset = open_dataset(found, "digits", check=check)

    assert dataset.path == found.home / "data" / "digits" / "v1"
    assert same(dataset.path, original)
    assert dataset.checked == "full"
    assert "a/1.bin" in dataset.remarks[0]


def test_what_was_laid_out_is_used_again(found, data):
    add(found, data)
    shutil.rmtree(data)
    first = open_dataset(found, "digits").path
    inode = (first / "a" / "1.bin").stat().st_ino
    again = open_dataset(found, "digits")

    assert (again.path, again.checked) == (first, "stat")
    assert (first / "a" / "1.bin").stat().st_ino == inode


def test_a_laid_out_copy_that_was_edited_is_not_used_and_not_lost(found, data):
    add(found, data)
    shutil.rmtree(data)
    path = open_dataset(found, "digits").path
    (path / "a" / "1.bin").chmod(0o644)
    (path / "a" / "1.bin").write_bytes(b"mine")

    with pytest.raises(GitreproError, match=r"1\.bin"):
        _ = open_dataset(found, "digits").path
    assert (path / "a" / "1.bin").read_bytes() == b"mine"


def test_the_older_version_is_laid_out_beside_the_newer(found, data):
    add(found, data)
    (data / "a" / "1.bin").write_bytes(b"newer")
    add(found, data)

    assert open_dataset(found, "digits@v2").path == data
    old = open_dataset(found, "digits@v1").path
    assert (old / "a" / "1.bin").read_bytes() == b"a/1.bin" * 50


def test_two_contents_of_one_label_are_laid_out_beside_each_other(found, data):
    """As after a merge of two clones that both made a v1."""
    from gitrepro.store.catalog import write_records

    mine = add(found, data)
    (data / "a" / "1.bin").write_bytes(b"theirs")
    theirs = replace(add(found, data, "other"), name="digits", created_at="2027")
    write_records(found, {theirs.path: theirs.dump()}, subject="digits", line="x", identity=ADA)
    shutil.rmtree(data)
    paths = [open_dataset(found, f"digits@{each.digest}").path for each in (mine, theirs)]

    assert [(path / "a" / "1.bin").read_bytes() for path in paths] == [b"a/1.bin" * 50, b"theirs"]


def test_a_record_that_its_tree_belies_is_damage(found, data, repo):
    from gitrepro.store.catalog import write_records

    (repo / "nothing").mkdir()
    empty = add(found, repo / "nothing", "empty")
    odd = replace(empty, name="odd", kind="csv", id="row")
    write_records(found, {odd.path: odd.dump()}, subject="odd", line="x", identity=ADA)
    (repo / "nothing").rmdir()

    with pytest.raises(GitreproError):
        open_dataset(found, "odd").table()


def test_a_full_check_finds_what_size_and_times_hide(found, data):
    add(found, data)
    file = data / "a" / "1.bin"
    before = file.stat()
    file.write_bytes(b"x" * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert open_dataset(found, "digits", check="full").path != data


def test_linked_data_that_are_gone_or_changed_are_refused(found, data):
    add(found, data, link=True)
    (data / "a" / "1.bin").write_bytes(b"edited")
    with pytest.raises(Damaged, match=r"1\.bin"):
        _ = open_dataset(found, "digits").path
    shutil.rmtree(data)
    with pytest.raises(NotAvailable, match="gone"):
        _ = open_dataset(found, "digits").path
    assert open_dataset(found, "digits").ids() == ["a/1.bin", "a/2.bin", "b/3.bin", "top.bin"]


def test_data_in_the_work_tree_of_a_clone_are_found_by_their_content(found, data, repo, tmp_path, git: Git):
    add(found, data, source="data")
    git(repo, "add", "data")
    git(repo, "commit", "-qm", "data")
    git(tmp_path, "clone", "-q", str(repo), "clone")
    clone = tmp_path / "clone"
    git(clone, "fetch", "-q", "origin", "refs/gitrepro/runs:refs/gitrepro/runs")
    there = repositories.find(clone, {})
    shutil.copytree(store_of(found).root, store_of(there).root)
    dataset = open_dataset(there, "digits")

    assert (dataset.path, dataset.checked) == (clone / "data", "full")
    assert open_dataset(there, "digits").checked == "stat"


def test_a_path_that_the_record_of_a_stranger_names_is_looked_for_in_the_work_tree_alone(found, data):
    from gitrepro.data.lookup import _typed

    record = add(found, data, source="data")
    for source in ("/etc", "../repo/data", "data/../../x", "nowhere"):
        assert _typed(found, replace(record, source=source)) is None
    assert _typed(found, record).path == data


def test_the_bytes_of_a_version_that_never_came_here_are_not_available(found, data):
    add(found, data)
    shutil.rmtree(data)
    shutil.rmtree(store_of(found).root)
    dataset = open_dataset(found, "digits")

    with pytest.raises(NotAvailable, match="NOT AVAILABLE"):
        _ = dataset.path
    with pytest.raises(GitreproError):
        dataset.ids()


def test_files_ids_and_labels_are_in_one_order(found, data):
    add(found, data, label="folder")
    (data / "later.bin").write_bytes(b"not of this version")
    dataset = open_dataset(found, "digits")

    assert len(dataset) == 4
    assert list(dataset.ids()) == ["a/1.bin", "a/2.bin", "b/3.bin", "top.bin"]
    assert dataset.labels() == ["a", "a", "b", None]
    assert [str(path.relative_to(dataset.path)) for path in dataset.files()] == list(dataset.ids())
    with pytest.raises(UsageError, match="no table"):
        dataset.table()


def write_tables(folder: Path) -> dict[str, Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir()
    (folder / "t.csv").write_text("id,x,y\na,1,u\nb,2,v\nc,3,\n")
    (folder / "t.jsonl").write_text('{"id":"a","x":1,"y":"u"}\n{"id":"b","x":2,"y":"v"}\n{"id":"c","x":3}\n')
    pq.write_table(pa.table({"id": ["a", "b", "c"], "x": [1, 2, 3], "y": ["u", "v", None]}), folder / "t.parquet")
    np.savez(folder / "t.npz", id=np.array(["a", "b", "c"]), x=np.array([1, 2, 3]), y=np.array(["u", "v", "w"]))
    return {path.suffix[1:]: path for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "npz"])
def test_rows_of_every_kind_of_table(found, repo, kind):
    path = write_tables(repo / "tables")[kind]
    add(found, path, id="column:id", label="y")
    dataset = open_dataset(found, "digits")

    assert (dataset.record.kind, len(dataset), dataset.path) == (kind, 3, path)
    assert list(dataset.ids()) == ["a", "b", "c"]
    assert dataset.labels() == ["u", "v", "w" if kind == "npz" else None]
    assert dataset.table().column("x").to_pylist() == [1, 2, 3]
    assert dataset.column("x") == [1, 2, 3]
    assert dataset.files() == [path]
    with pytest.raises(UsageError, match="colour"):
        dataset.column("colour")


def test_a_table_that_is_gone_is_laid_out_as_the_file_it_was(found, repo):
    path = write_tables(repo / "tables")["csv"]
    add(found, path)
    data = path.read_bytes()
    path.unlink()
    dataset = open_dataset(found, "digits")

    assert dataset.path == found.home / "data" / "digits" / "v1" / "t.csv"
    assert dataset.path.read_bytes() == data
    assert list(dataset.ids()) == ["0", "1", "2"]


def test_row_numbers_are_a_sequence_of_text():
    rows = RowNumbers(1000)

    assert (len(rows), rows[0], rows[-1], rows[2:4]) == (1000, "0", "999", ["2", "3"])
    assert "999" in rows and "1000" not in rows and "01" not in rows and 3 not in rows
    assert list(RowNumbers(2)) == ["0", "1"] and RowNumbers(2) == ["0", "1"]
    assert RowNumbers(10**12)[-1] == "999999999999"


def test_what_cannot_be_opened(found, data):
    record = add(found, data)
    with pytest.raises(NotFound, match="nearest: digits"):
        open_dataset(found, "digit")
    with pytest.raises(UsageError, match="no check"):
        open_dataset(found, "digits", check="quick")
    add(found, data, "numbers")
    with pytest.raises(Ambiguous):
        open_dataset(found, record.digest[:9])


READING = """
import os, shutil, sys
from pathlib import Path
from gitrepro.data import open_dataset
from gitrepro.errors import GitreproError
from gitrepro.store import repository

found = repository.find(Path.cwd(), {})
print(open_dataset(found, "digits").path)
try:
    open_dataset(found, "digits@v1").path
except GitreproError as error:
    print(type(error).__name__, error)
"""


def test_a_repository_that_may_only_be_read_is_enough_for_what_lies_there(found, data, repo):
    without_rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if without_rights and (not shutil.which("setpriv") or subprocess.run([*without_rights, "true"]).returncode):
        pytest.skip("root cannot lay down its rights here")
    add(found, data)
    (data / "a" / "1.bin").write_bytes(b"newer")
    add(found, data)
    subprocess.run(["chmod", "-R", "a-w", repo], check=True)
    try:
        command = [*without_rights, sys.executable, "-c", READING]
        done = subprocess.run(command, cwd=repo, capture_output=True, text=True)
    finally:
        subprocess.run(["chmod", "-R", "u+w", repo], check=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(data)
    assert done.stdout.splitlines()[1].startswith("StorageError cannot lay digits@v1 out")
