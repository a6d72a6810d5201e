"""What changed between two versions: rows by their ids or by what they hold, files, statistics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.data.compare import compare
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.reading import open_items
from gitrepro.data.rows import TableChanges, compare_rows, rows_of
from gitrepro.errors import BlobMissing
from gitrepro.records.dataset import DatasetRecord
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity
from gitrepro.store.repository import Repository

OLD = "name,size,kind\na,1,x\nb,2,y\nc,3,\n"


def table(path: Path, text: str, *, id: str = "row"):
    path.write_text(text)
    return rows_of(open_items(path, "csv", id=id))


def compared(tmp_path: Path, old: str, new: str, *, by: str | None = "name") -> TableChanges:
    id = f"column:{by}" if by else "row"
    return compare_rows(table(tmp_path / "old.csv", old, id=id), table(tmp_path / "new.csv", new, id=id), by=by)


def test_rows_with_ids_are_added_removed_and_changed(tmp_path):
    found = compared(tmp_path, OLD, "name,size,kind\nd,9,z\nc,3,\nb,2,w\n")

    assert (found.by, found.rows.before, found.rows.after) == ("name", 3, 3)
    assert found.rows.names_added == ("d",)
    assert found.rows.names_removed == ("a",)
    assert found.rows.names_changed == ("b",)


def test_rows_in_another_order_are_the_same_rows(tmp_path):
    new = "name,size,kind\nc,3,\na,1,x\nb,2,y\n"

    assert not compared(tmp_path, OLD, new).rows.any
    assert not compared(tmp_path, OLD, new, by=None).rows.any


def test_rows_without_ids_are_counted_by_what_they_hold(tmp_path):
    found = compared(tmp_path, "v\n1\n1\n2\n", "v\n1\n2\n2\n2\n3\n", by=None).rows

    assert (found.added, found.removed, found.changed) == (3, 1, 0)
    assert found.names_added == ("2", "3", "4")
    assert found.names_removed == ("1",)


def test_columns_that_came_and_went_are_named_and_the_others_compared(tmp_path):
    found = compared(tmp_path, OLD, "name,size,colour\na,1,red\nb,2,red\nc,4,red\n")

    assert (found.columns_added, found.columns_removed) == (("colour",), ("kind",))
    assert found.rows.names_changed == ("c",)


def test_a_whole_number_that_became_a_fraction_elsewhere_is_no_change(tmp_path):
    found = compared(tmp_path, "name,size\na,1\nb,2\n", "name,size\na,1\nb,2.5\n")

    assert found.rows.names_changed == ("b",)
    assert list(found.retyped) == ["size"]


def test_tables_without_a_common_column_share_no_row(tmp_path):
    found = compared(tmp_path, "a\n1\n2\n", "b\n1\n2\n", by=None).rows

    assert (found.added, found.removed) == (2, 2)


def test_a_gap_is_no_zero_and_no_word(tmp_path):
    found = compared(tmp_path, "name,size\na,0\nb,\nc,1\n", "name,size\na,\nb,0\nc,1\n")

    assert found.rows.names_changed == ("a", "b")


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ([0.0, 1.0], [-0.0, 1.0], True),
        ([float("nan"), 1.0], [float("nan"), 1.0], True),
        ([0.0, 1.0], [0.0, float("nan")], False),
        ([0.1 + 0.2], [0.3], False),
    ],
)
def test_numbers_are_equal_when_they_compare_equal_and_so_is_not_a_number(tmp_path, old, new, same):
    sides = []
    for at, values in enumerate((old, new)):
        np.savez(tmp_path / f"{at}.npz", x=np.array(values), y=np.array([[value, value] for value in values]))
        sides.append(rows_of(open_items(tmp_path / f"{at}.npz", "npz")))

    assert compare_rows(*sides, by=None).rows.any is not same


def test_arrays_are_compared_item_by_item_in_a_common_type(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    np.savez(tmp_path / "old.npz", images=images, id=np.array(["a", "b", "c", "d"]), gone=np.zeros(4))
    changed = images.astype(np.float64)
    changed[2, 1, 1] += 0.5
    np.savez(tmp_path / "new.npz", images=changed, id=np.array(["a", "b", "c", "d"]))
    sides = [rows_of(open_items(tmp_path / name, "npz", id="column:id")) for name in ("old.npz", "new.npz")]

    found = compare_rows(*sides, by="id")

    assert found.rows.names_changed == ("c",)
    assert found.columns_removed == ("gone",)
    assert found.retyped["images"] == ("uint8 2×3", "float64 2×3")


def test_arrays_of_another_shape_are_named_and_not_compared(tmp_path):
    np.savez(tmp_path / "old.npz", x=np.zeros((2, 3)), y=np.arange(2))
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 4)), y=np.arange(2))
    found = compare_rows(*(rows_of(open_items(tmp_path / name, "npz")) for name in ("old.npz", "new.npz")), by=None)

    assert not found.rows.any
    assert list(found.retyped) == ["x"]


cells = st.tuples(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text("ab\"',é", max_size=3), st.booleans()
)


@settings(max_examples=40)
@given(old=st.lists(cells, min_size=1, max_size=12), new=st.lists(cells, min_size=1, max_size=12))
def test_rows_by_content_are_those_that_python_counts(tmp_path_factory, old, new):
    from collections import Counter

    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("rows")
    sides = []
    for at, rows in enumerate((old, new)):
        columns = dict(zip("ifsb", zip(*rows, strict=True), strict=True))
        pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), folder / f"{at}.parquet")
        sides.append(rows_of(open_items(folder / f"{at}.parquet", "parquet")))
    found = compare_rows(*sides, by=None).rows
    counts = [Counter(rows) for rows in (old, new)]

    assert found.added == (counts[1] - counts[0]).total()
    assert found.removed == (counts[0] - counts[1]).total()


# -- versions


ADA = Identity(name="Ada Lovelace", email="ada@example.org")


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


def add(found: Repository, path: Path, name: str = "prices", **options) -> DatasetRecord:
    wish = Wish(path=path, source=path.name, name=name, **{"describe": False, **options})
    return add_dataset(found, wish, identity=ADA, at="2026-03-04T05:06:07.000008Z").record


def two_versions(found: Repository, repo: Path, **options) -> tuple[DatasetRecord, DatasetRecord]:
    path = repo / "prices.csv"
    path.write_text(OLD)
    old = add(found, path, id="column:name", **options)
    path.write_text(OLD.replace("b,2", "b,7") + "d,4,x\n")
    return old, add(found, path, id="column:name", **options)


def test_an_older_version_of_a_table_comes_out_of_the_store_to_be_compared(found, repo):
    old, new = two_versions(found, repo)
    result = compare(found, old, new)

    assert result.differ and result.table is not None
    assert (result.table.rows.names_added, result.table.rows.names_changed) == (("d",), ("b",))
    assert result.files.names_changed == ("prices.csv",)
    assert (result.size_removed_bytes, result.size_added_bytes) == (old.size_bytes, new.size_bytes)
    assert not (found.home / "data").exists()


def test_a_version_whose_bytes_are_gone_is_compared_by_its_files(found, repo):
    old, new = two_versions(found, repo, link=True)
    result = compare(found, old, new)

    assert result.table is None and "prices@v1" in result.unread
    assert result.files.names_changed == ("prices.csv",)


def test_a_version_does_not_differ_from_itself(found, repo):
    old, _ = two_versions(found, repo)

    assert not compare(found, old, old).differ


def test_a_manifest_that_is_not_here_is_an_error(found, repo):
    old, new = two_versions(found, repo)
    with pytest.raises(BlobMissing):
        compare(found, replace(old, digest="b3:" + "7" * 64), new)


def test_statistics_move_with_the_values(found, repo):
    old, new = two_versions(found, repo, describe=True)
    result = compare(found, old, new)

    assert {"size"} <= {move.feature for move in result.moves or ()}
    assert compare(found, old, old).moves == []


def test_statistics_of_two_algorithms_are_not_compared(found, repo):
    from gitrepro.records import yaml
    from gitrepro.records.dataset import statistics_path
    from gitrepro.store.catalog import Catalog, write_records

    old, new = two_versions(found, repo, describe=True)
    with Catalog(found) as catalog:
        later = {**(catalog.statistics(new) or {}), "algorithm": 99}
    path = statistics_path(new.name, new.digest, 99)
    write_records(found, {path: yaml.dump(later)}, subject="x", line="x", identity=ADA)
    result = compare(found, old, new)

    assert result.moves is None and "cannot be compared" in result.unmoved


def test_many_rows_are_compared_by_files_alone(found, repo, monkeypatch):
    from gitrepro.data import compare as module

    old, new = two_versions(found, repo)
    monkeypatch.setattr(module, "ROWS_AT_MOST", 3)
    result = compare(found, old, new)

    assert result.table is None and "up to 3" in result.unread


def test_files_of_a_folder_are_named_where_they_differ(found, repo):
    data = repo / "data"
    (data / "sub").mkdir(parents=True)
    for name in ("a", "b", "sub/c"):
        (data / name).write_text(name)
    old = add(found, data, "files")
    (data / "a").unlink()
    (data / "b").write_text("other")
    (data / "odd\nname").write_text("new")
    result = compare(found, old, add(found, data, "files"))

    assert (result.files.before, result.files.after) == (3, 3)
    assert result.files.names_added == ("odd\\x0aname",)
    assert (result.files.names_removed, result.files.names_changed) == (("a",), ("b",))
    assert (result.size_removed_bytes, result.size_added_bytes) == (2, 8)
