"""Items of NumPy archives."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import datasets

from gitrepro.data.reading import ArrayItems, open_items
from gitrepro.errors import Damaged, GitreproError, UsageError


def opened(path: Path, **options: Any) -> ArrayItems:
    items = open_items(path, "npz", **options)
    assert isinstance(items, ArrayItems)
    return items


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    found = datasets.load_digits()
    np.savez_compressed(tmp_path / "digits.npz", images=found.images, data=found.data, target=found.target)
    return tmp_path / "digits.npz"


def test_an_archive_gives_items_labels_and_arrays(digits: Path) -> None:
    items = opened(digits, label="target")

    assert len(items) == 1797
    assert list(items.ids())[-1] == "1796"
    assert list(items.labels() or ())[:5] == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(items.read("images"), datasets.load_digits().images)


def test_arrays_become_columns_of_a_table(digits: Path) -> None:
    table = opened(digits).table()

    assert (table.num_rows, str(table.schema.field("target").type)) == (1797, "int64")
    assert table["data"][10].as_py() == datasets.load_digits().data[10].tolist()


@given(
    array=hnp.arrays(
        st.sampled_from(["<f8", ">f4", "<i2", "|u1", "|b1", "<U3", "|S2", "<c8"]),
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=6),
    ),
    by_columns=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_array_comes_back_whatever_its_order(tmp_path: Path, array: Any, by_columns: bool) -> None:
    np.savez(tmp_path / "a.npz", a=np.asfortranarray(array) if by_columns else array)

    np.testing.assert_array_equal(opened(tmp_path / "a.npz").read("a"), array)


def test_a_single_array_of_an_npy_file_is_named_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(3, 2))

    assert list(opened(tmp_path / "a.npy").arrays) == ["array"]
    assert len(opened(tmp_path / "a.npy")) == 3


def test_large_arrays_are_read_in_pieces_of_small_memory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros((40_000, 1000), np.float32))
    items = opened(tmp_path / "a.npz")

    tracemalloc.start()
    total = sum(len(piece) for piece in items.pieces("a"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total == 40_000
    assert peak_bytes < 40 << 20  # of 160 MB


def test_pickled_objects_are_refused_and_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "a.npz", good=np.zeros(1), bad=np.array([Bomb()], object))

    with pytest.raises(UsageError, match=r"'bad' .* holds Python objects") as caught:
        opened(tmp_path / "a.npz")
    assert "numpy.asarray" in caught.value.do
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_named_npy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(pickle.dumps([1, 2]))

    with pytest.raises(Damaged, match="neither"):
        opened(tmp_path / "a.npy")


def test_arrays_of_unequal_length_are_refused_with_their_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=np.zeros(5), x_test=np.zeros(3))

    with pytest.raises(UsageError, match="different lengths") as caught:
        opened(tmp_path / "a.npz")
    assert "x_test: 3" in caught.value.why
    assert "x_train: 5" in caught.value.why


def test_scalars_stand_aside(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(5), version=np.array(3))

    items = opened(tmp_path / "a.npz")
    assert (list(items.arrays), list(items.scalars), len(items)) == (["a"], ["version"], 5)


def test_an_archive_of_scalars_only_has_no_items(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", version=np.array(3))

    with pytest.raises(UsageError, match="no items"):
        opened(tmp_path / "a.npz")


def test_ids_from_an_array_are_checked(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", name=np.array(["a", "b", "a"]), x=np.zeros((3, 2)))

    with pytest.raises(UsageError, match=r"item 2 .* has the id 'a'"):
        opened(tmp_path / "a.npz", id="column:name").ids()
    with pytest.raises(UsageError, match="cannot name or label"):
        opened(tmp_path / "a.npz", label="x")
    with pytest.raises(UsageError, match="no array 'z'"):
        opened(tmp_path / "a.npz", label="z")


@pytest.mark.parametrize("keep", [0, 2, 6, 50, 400, -1, -30])
def test_an_archive_cut_off_is_damaged(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(Damaged):
        opened(path).read("a")


@pytest.mark.parametrize("keep", [0, 8, 40, 128, 1000])
def test_an_array_file_cut_off_is_damaged(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(1000.0))
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(Damaged):
        opened(path).read("array")


def test_a_flipped_byte_is_found_by_the_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(1000.0))
    data = bytearray(path.read_bytes())
    data[4000] ^= 1
    path.write_bytes(data)

    with pytest.raises(Damaged, match="CRC"):
        opened(path).read("a")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 0)}",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (1000, 1000)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 3}",
        "{'descr': '<f8', 'fortran_order': False}",
        "__import__('os').system('true')",
        "(" * 5000,
    ],
)
def test_a_hostile_header_takes_no_memory_and_no_time(tmp_path: Path, header: str) -> None:
    text = header.ljust(118 if len(header) < 118 else len(header)).encode() + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64
    (tmp_path / "a.npy").write_bytes(data)

    with pytest.raises(GitreproError):
        items = opened(tmp_path / "a.npy")
        for _ in items.pieces("array"):
            pass


def test_an_archive_that_claims_more_than_it_holds_is_refused_before_anybody_counts(tmp_path: Path) -> None:
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}".ljust(117).encode() + b"\n"
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 1000)

    with pytest.raises(Damaged, match="ends before its 1,000,000,000,000 items"):
        opened(tmp_path / "a.npz")

    np.savez_compressed(tmp_path / "zeros.npz", a=np.zeros(1_000_000))
    assert len(opened(tmp_path / "zeros.npz")) == 1_000_000


@given(data=st.binary(max_size=300), place=st.integers(0, 2000))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
def test_a_spoilt_archive_is_read_or_refused(tmp_path: Path, data: bytes, place: int) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(100), b=np.zeros((100, 2), np.float32))
    spoilt = bytearray(buffer.getvalue())
    spoilt[place : place + len(data)] = data
    (tmp_path / "a.npz").write_bytes(spoilt)

    try:
        items = opened(tmp_path / "a.npz")
        for name in items.arrays:
            items.read(name)
    except GitreproError:
        pass


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.npy", buffer.getvalue())
        archive.writestr("a.npy", buffer.getvalue())

    with pytest.raises(UsageError, match="two arrays"):
        opened(tmp_path / "a.npz")
